//! Private chats. Reading needs `chats.read`, opening, closing and showing `chats.write`, speaking `messages.send`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! let id = chats::send("juliet@example.org", "But soft!").await?;
//! info!("sent as {id}");
//! # Ok(()) }
//! ```
//!
//! An open chat has attributes, of which front ends know `height` and `url`:
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! let chat = chats::open("juliet@example.org").await?;
//! chats::set_attribute(&chat, "height", 400).await?;
//! chats::set_attribute(&chat, "mood", json!({ "romantic": true })).await?;
//! let height: Option<u32> = chats::get_attribute(&chat, "height")?;
//! chats::focus(&chat).await?;
//! # Ok(()) }
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::as_json;
use crate::bindings::parlor::plugin::chats;
use crate::error::{Error, Result};
use crate::failure::{located, of_call, placed};
use crate::turns::in_turn;
use crate::types::{Entity, Message, Outgoing, addresses, each};

pub use crate::types::Chat;

/// Returns the open chat with this address. Never opens one.
#[track_caller]
pub fn get(jid: impl Entity) -> Result<Option<Chat>> {
    let jid = jid.address();
    chats::get(&jid).map_err(of_call("chats.get", &jid))
}

/// Several, in the same order.
#[track_caller]
pub fn get_many(jids: impl IntoIterator<Item = impl Entity>) -> Result<Vec<Option<Chat>>> {
    chats::get_many(&addresses(jids)).map_err(of_call("chats.get-many", ""))
}

/// Returns all open chats, ordered by JID.
#[track_caller]
pub fn get_all() -> Result<Vec<Chat>> {
    chats::get_all().map_err(of_call("chats.get-all", ""))
}

/// Opens a chat, or returns the open one.
#[track_caller]
pub fn open(jid: impl Entity) -> impl Future<Output = Result<Chat>> {
    located(async move {
        let jid = jid.address();
        chats::open(jid.clone()).await.map_err(of_call("chats.open", &jid))
    })
}

/// Opens several, each with its own result, in the same order.
#[track_caller]
pub fn open_many(jids: impl IntoIterator<Item = impl Entity>) -> impl Future<Output = Result<Vec<Result<Chat>>>> {
    located(async move { chats::open_many(addresses(jids)).await.map(each).map_err(of_call("chats.open-many", "")) })
}

/// Closes a chat.
#[track_caller]
pub fn close(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        chats::close(jid.clone()).await.map_err(of_call("chats.close", &jid))
    })
}

/// Closes several, each with its own result, in the same order.
#[track_caller]
pub fn close_many(jids: impl IntoIterator<Item = impl Entity>) -> impl Future<Output = Result<Vec<Result<()>>>> {
    located(async move { chats::close_many(addresses(jids)).await.map(each).map_err(of_call("chats.close-many", "")) })
}

/// Shows a chat, no longer small, and has what a person types go there.
#[track_caller]
pub fn focus(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        chats::focus(jid.clone()).await.map_err(of_call("chats.focus", &jid))
    })
}

/// Shows a chat, not minimized.
#[track_caller]
pub fn show(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        chats::show(jid.clone()).await.map_err(of_call("chats.show", &jid))
    })
}

/// Maximizes a chat.
#[track_caller]
pub fn maximize(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        chats::maximize(jid.clone()).await.map_err(of_call("chats.maximize", &jid))
    })
}

/// Makes a chat small.
#[track_caller]
pub fn minimize(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        chats::minimize(jid.clone()).await.map_err(of_call("chats.minimize", &jid))
    })
}

/// An attribute of an open chat, read by `serde`; none: it is not set.
#[track_caller]
pub fn get_attribute<T: DeserializeOwned>(jid: impl Entity, name: impl AsRef<str>) -> Result<Option<T>> {
    let jid = jid.address();
    let json = chats::get_attribute(&jid, name.as_ref()).map_err(of_call("chats.get-attribute", &jid))?;
    placed(json.map(|json| serde_json::from_str(&json)).transpose().map_err(Error::from))
}

/// Sets an attribute of an open chat until it is closed. `serde` converts the value to JSON; `()` removes the
/// attribute.
#[track_caller]
pub fn set_attribute(
    jid: impl Entity,
    name: impl AsRef<str>,
    value: impl Serialize,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        let value = as_json::text(&value)?;
        chats::set_attribute(jid.clone(), name.as_ref().to_owned(), value)
            .await
            .map_err(of_call("chats.set-attribute", &jid))
    })
}

/// Begins off-the-record messaging (OTR) with the person of an open chat, and returns once the chat is encrypted. Needs
/// `messages.send` for the person.
///
/// [`Error::NotFound`](crate::Error::NotFound): the chat is not open. [`Error::Unsupported`](crate::Error::Unsupported): the owner does not
/// allow it. [`Error::TimedOut`](crate::Error::TimedOut): no client of the person's answered. [`Error::Rejected`](crate::Error::Rejected): one
/// refused.
#[track_caller]
pub fn initiate_otr(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        chats::initiate_otr(jid.clone()).await.map_err(of_call("chats.initiate-otr", &jid))
    })
}

/// Ends off-the-record messaging with the person of an open chat. Does nothing if it is not used. Needs `messages.send`
/// for the person.
#[track_caller]
pub fn end_otr(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        chats::end_otr(jid.clone()).await.map_err(of_call("chats.end-otr", &jid))
    })
}

/// Sends a message of the kind `chat`, and returns its id once it is queued on the stream.
#[track_caller]
pub fn send(jid: impl Entity, message: impl Into<Outgoing>) -> impl Future<Output = Result<String>> {
    located(async move {
        let jid = jid.address();
        let message = message.into();
        in_turn(|| chats::send(jid.clone(), message.clone())).await.map_err(of_call("chats.send", &jid))
    })
}

/// Confirms the receipt of a message to its author, if the message requests that (XEP-0184). Returns the id of the
/// receipt, if one was sent. A receipt reveals that somebody is online, so only plugins decide to send it.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # fn example() -> Result<()> {
/// on_message(|message| async move { chats::acknowledge(&message).await.map(drop) })?;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn acknowledge(message: &Message) -> impl Future<Output = Result<Option<String>>> {
    located(async move {
        let asks = message.extensions.as_ref().is_some_and(|extensions| extensions.receipt_requested);
        let is_said_now = !message.own && !message.delayed && message.carbon.is_none();
        // Everybody in a room would send one, and errors, history and copies are not answered.
        let may = is_said_now && !message.is_groupchat() && !message.is_error();
        match &message.id {
            Some(id) if asks && may => send(&message.from, Outgoing::receipt(id)).await.map(Some),
            _ => Ok(None),
        }
    })
}

/// Answers somebody in private, in the same chat and thread.
///
/// For a message from a room, that is a private message to its author there.
#[track_caller]
pub fn reply(to: &Message, message: impl Into<Outgoing>) -> impl Future<Output = Result<String>> {
    located(async move {
        let whom = if to.is_groupchat() { &to.from } else { &to.chat };
        send(whom, message.into().in_thread_of(to)?).await
    })
}
