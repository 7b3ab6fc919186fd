//! Hooks: the plugin sees what passes between people and other plugins, and gives a verdict on it.
//!
//! It needs `hooks.outgoing`, `hooks.incoming` or `hooks.commands`, and a place in the owner's order. It has the owner's deadline for each
//! verdict, 50 ms by default. A handler that fails gives none, and then the owner's rule decides.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # fn example() -> Result<()> {
//! hooks::outgoing(|hook: Hook| async move {
//!     match hook.message.body.as_deref() {
//!         Some(body) if body.contains("secret") => Ok(hooks::Outgoing::stop("it names a secret")),
//!         Some(body) => Ok(hooks::Outgoing::body(format!("{body}\n-- a bot"))),
//!         None => Ok(hooks::Outgoing::Allow),
//!     }
//! })?;
//! hooks::incoming(|hook: Hook| async move {
//!     let is_spam = hook.message.body.is_some_and(|body| body.contains("casino"));
//!     Ok(if is_spam { hooks::Incoming::Hide } else { hooks::Incoming::Allow })
//! })?;
//! hooks::commands(|hook: Hook| async move {
//!     let has_code = hook.args.last().is_some_and(|code| code == "123456");
//!     Ok(if has_code { hooks::Command::Allow } else { hooks::Command::refuse("Add your code.") })
//! })?;
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::hooks;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::listen::{Subscription, on};
use crate::turns::in_turn;
use crate::types::Hook;

/// The verdict on a message that another plugin sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// It is sent as it is.
    Allow,
    /// It is sent with another body, subject or both.
    Alter {
        /// The new body. None: it stays.
        body: Option<String>,
        /// The new subject. None: it stays.
        subject: Option<String>,
    },
    /// It is not sent. The plugin that sends it gets the reason.
    Stop(Option<String>),
}

impl Outgoing {
    /// It is sent with this body.
    pub fn body(text: impl Into<String>) -> Self {
        Self::Alter { body: Some(text.into()), subject: None }
    }

    /// It is not sent, for this reason.
    pub fn stop(reason: impl Into<String>) -> Self {
        Self::Stop(Some(reason.into()))
    }
}

/// The verdict on a received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Other plugins get it.
    Allow,
    /// Other plugins get it, with this label.
    Mark(String),
    /// Other plugins do not get it.
    Hide,
}

/// The verdict on a command to another plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The plugin gets it.
    Allow,
    /// The plugin does not get it. The person gets this text, if there is one.
    Refuse(Option<String>),
}

impl Command {
    /// The plugin does not get it, and the person gets this text.
    pub fn refuse(text: impl Into<String>) -> Self {
        Self::Refuse(Some(text.into()))
    }
}

/// Runs `closure` for each message that another plugin sends, and gives its verdict. Needs `hooks.outgoing`.
#[track_caller]
pub fn outgoing<W>(closure: impl Fn(Hook) -> W + 'static) -> Result<Subscription>
where
    W: Future<Output = Result<Outgoing>> + 'static,
{
    on("hookOutgoing").run(move |hook: Hook| {
        let (id, verdict) = (hook.id.clone(), closure(hook));
        async move {
            match verdict.await? {
                Outgoing::Allow => give_allow(&id).await,
                Outgoing::Alter { body, subject } => give_alter(&id, body, subject).await,
                Outgoing::Stop(reason) => give_stop(&id, reason).await,
            }
        }
    })
}

/// Runs `closure` for each received message, before other plugins get it, and gives its verdict. Needs
/// `hooks.incoming`.
#[track_caller]
pub fn incoming<W>(closure: impl Fn(Hook) -> W + 'static) -> Result<Subscription>
where
    W: Future<Output = Result<Incoming>> + 'static,
{
    on("hookIncoming").run(move |hook: Hook| {
        let (id, verdict) = (hook.id.clone(), closure(hook));
        async move {
            match verdict.await? {
                Incoming::Allow => give_allow(&id).await,
                Incoming::Mark(label) => give_mark(&id, label).await,
                Incoming::Hide => give_stop(&id, None).await,
            }
        }
    })
}

/// Runs `closure` for each command to another plugin, and gives its verdict. Needs `hooks.commands`.
#[track_caller]
pub fn commands<W>(closure: impl Fn(Hook) -> W + 'static) -> Result<Subscription>
where
    W: Future<Output = Result<Command>> + 'static,
{
    on("hookCommand").run(move |hook: Hook| {
        let (id, verdict) = (hook.id.clone(), closure(hook));
        async move {
            match verdict.await? {
                Command::Allow => give_allow(&id).await,
                Command::Refuse(text) => give_stop(&id, text).await,
            }
        }
    })
}

/// Lets it pass as it is.
///
/// [`Error::NotFound`](crate::Error::NotFound): no verdict is awaited: it was given, or it timed out.
#[track_caller]
pub fn allow(hook: &Hook) -> impl Future<Output = Result<()>> {
    located(give_allow(&hook.id))
}

/// Lets an outgoing message pass with another body, subject or both. Needs `hooks.outgoing`.
///
/// [`Error::Invalid`](crate::Error::Invalid): it is not an outgoing message, or nothing is changed.
/// [`Error::NotFound`](crate::Error::NotFound): as with [`allow`].
#[track_caller]
pub fn alter(hook: &Hook, body: Option<&str>, subject: Option<&str>) -> impl Future<Output = Result<()>> {
    located(give_alter(&hook.id, body.map(str::to_owned), subject.map(str::to_owned)))
}

/// Stops a message or a command. The plugin that sends a message gets the reason, and so does the person who gives a command.
///
/// [`Error::NotFound`](crate::Error::NotFound): as with [`allow`].
#[track_caller]
pub fn stop(hook: &Hook, reason: Option<&str>) -> impl Future<Output = Result<()>> {
    located(give_stop(&hook.id, reason.map(str::to_owned)))
}

/// Lets an incoming message pass with a label. Needs `hooks.incoming`.
///
/// [`Error::Invalid`](crate::Error::Invalid): it is not an incoming message, or the label is invalid.
/// [`Error::NotFound`](crate::Error::NotFound): as with [`allow`].
#[track_caller]
pub fn mark(hook: &Hook, label: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move { give_mark(&hook.id, label.as_ref().to_owned()).await })
}

// One function for each call: a plugin imports those that it uses, and all but two need separate permissions.

async fn give_allow(id: &str) -> Result<()> {
    in_turn(|| hooks::allow(id.to_owned())).await.map_err(of_call("hooks.allow", id))
}

async fn give_alter(id: &str, body: Option<String>, subject: Option<String>) -> Result<()> {
    let call = || hooks::alter(id.to_owned(), body.clone(), subject.clone());
    in_turn(call).await.map_err(of_call("hooks.alter", id))
}

async fn give_stop(id: &str, reason: Option<String>) -> Result<()> {
    in_turn(|| hooks::stop(id.to_owned(), reason.clone())).await.map_err(of_call("hooks.stop", id))
}

async fn give_mark(id: &str, label: String) -> Result<()> {
    in_turn(|| hooks::mark(id.to_owned(), label.clone())).await.map_err(of_call("hooks.mark", id))
}
