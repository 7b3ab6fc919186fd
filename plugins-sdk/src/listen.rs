//! Subscribing to events. An event that a filter leaves out never wakes the plugin.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! let orders = on("message").kind("chat").prefix("!").run(|message: Message| async move {
//!     info!("{} orders something", message.from);
//!     Ok(())
//! })?;
//! on("occupantJoined").room("hall@rooms.example.org").run(|occupant: Occupant| async move {
//!     rooms::send(&occupant.room, format!("Welcome, {}!", occupant.nick)).await?;
//!     Ok(())
//! })?;
//! on("connected").once(move |_: Event| async move { orders.end() })?;
//! # Ok(()) }
//! ```

use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::api::wait_until;
use crate::bindings::parlor::plugin::listen::{self, Filter};
use crate::connection::connected;
use crate::error::{Error, Result};
use crate::failure::{of_call, relocate};
use crate::runtime::{self, Handler, Work};
use crate::types::{
    Chat, Command, Contact, DueTime, Feature, Hook, Invite, IqRequest, Message, Occupant, Payload, PluginRequest,
    PubsubItem, Room, Status, Undecryptable, Webhook, owned,
};

pub use crate::bindings::parlor::plugin::listen::Event;

/// Begins a subscription to the event of this name, without own messages and history: see [`Listen`].
pub fn on(name: impl Into<String>) -> Listen {
    Listen { name: name.into(), filter: Filter::default() }
}

/// Subscribes to every message that is news and not our own. Needs `messages.read`.
#[track_caller]
pub fn on_message<W>(closure: impl Fn(Message) -> W + 'static) -> Result<Subscription>
where
    W: Future<Output = Result<()>> + 'static,
{
    on("message").run(closure)
}

/// Subscribes to every message in a room that names our nickname there. Needs `messages.read` for the room.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # fn example() -> Result<()> {
/// on_mention(|message| async move { rooms::reply(&message, "at your service").await.map(drop) })?;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn on_mention<W>(closure: impl Fn(Message) -> W + 'static) -> Result<Subscription>
where
    W: Future<Output = Result<()>> + 'static,
{
    on("messageNotification").kind("groupchat").run(closure)
}

/// Runs `closure` once, when the account is logged in and all that follows is done: the moment to send and to enter rooms, for
/// which a plugin's start is too early. If the plugin starts after that moment, `closure` runs at once. Free.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # fn example() -> Result<()> {
/// on_ready(|| async {
///     rooms::open("hall@rooms.example.org", rooms::Attributes::default()).await?;
///     Ok(())
/// })?;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn on_ready<W>(closure: impl FnOnce() -> W + 'static) -> Result<()>
where
    W: Future<Output = Result<()>> + 'static,
{
    let waiting = Rc::new(Cell::new(None));
    let (at_event, after_cut) = (Rc::clone(&waiting), Rc::clone(&waiting));
    let first = on("initialized").once(move |_: Event| ready(&at_event))?;
    // A plugin that starts during a cut is called when the connection is back.
    let again = on("reconnected").run(move |_: Event| look(Rc::clone(&after_cut)))?;
    waiting.set(Some((closure, [first, again])));
    // If the event has come already, it does not come again.
    runtime::spawn(look(waiting));
    Ok(())
}

/// The closure that waits to be called, and the subscriptions that call it.
type Waiting<C> = Rc<Cell<Option<(C, [Subscription; 2])>>>;

/// Calls it if it was not called yet.
fn ready<C: FnOnce() -> W, W: Future<Output = Result<()>> + 'static>(waiting: &Waiting<C>) -> Work {
    match waiting.take() {
        Some((closure, subscriptions)) => {
            // The event may be on its way already, and then there is nothing to end.
            let _ = subscriptions.map(Subscription::end);
            Box::pin(closure())
        }
        None => Box::pin(async { Ok(()) }),
    }
}

/// The same where the account is there: a promise that was kept stays so in a cut. A wait ends early where the account is logged
/// out; the event comes then.
async fn look<C: FnOnce() -> W, W: Future<Output = Result<()>> + 'static>(waiting: Waiting<C>) -> Result<()> {
    if connected() && wait_until("initialized").await.is_ok() { ready(&waiting).await } else { Ok(()) }
}

/// A subscription in the making. All that is asked of an event must hold; one without such a field does not match.
#[derive(Debug, Clone)]
#[must_use = "a subscription begins with `run` or `once`"]
pub struct Listen {
    name: String,
    filter: Filter,
}

impl Listen {
    /// Only from this sender, occupant or contact: a bare JID also stands for its full ones.
    pub fn from(mut self, jid: impl AsRef<str>) -> Self {
        self.filter.from = Some(jid.as_ref().to_owned());
        self
    }

    /// Only in this room.
    pub fn room(mut self, jid: impl AsRef<str>) -> Self {
        self.filter.room = Some(jid.as_ref().to_owned());
        self
    }

    /// Only messages of this kind: `chat`, `normal`, `headline`, `groupchat` or `error`.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.filter.kind = Some(kind.into());
        self
    }

    /// Only messages of one of these kinds.
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # fn example() -> Result<()> {
    /// on("message").kinds(["chat", "normal"]).run(|message: Message| async move {
    ///     message.reply("heard").await.map(drop)
    /// })?;
    /// # Ok(()) }
    /// ```
    pub fn kinds(self, kinds: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.kind(owned(kinds).join(" "))
    }

    /// Only messages whose body begins like this, byte for byte. The quotation of a reply and the white space behind it
    /// are skipped, so cut the prefix off the trimmed result of [`Message::body_without_fallback`].
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.filter.prefix = Some(prefix.into());
        self
    }

    /// Only requests to the webhook of this name in the manifest.
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # fn example() -> Result<()> {
    /// on("webhook").webhook("github").run(|hook: Webhook| async move {
    ///     info!("GitHub tells of {:?}", hook.header("x-github-event"));
    ///     Ok(())
    /// })?;
    /// # Ok(()) }
    /// ```
    pub fn webhook(mut self, name: impl Into<String>) -> Self {
        self.filter.webhook = Some(name.into());
        self
    }

    /// Only due times of the schedule of this name.
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # fn example() -> Result<()> {
    /// on("schedule").schedule("standup").run(|due: DueTime| async move {
    ///     info!("it was due at {}, and {} were missed before", due.due, due.missed);
    ///     Ok(())
    /// })?;
    /// # Ok(()) }
    /// ```
    pub fn schedule(mut self, name: impl Into<String>) -> Self {
        self.filter.schedule = Some(name.into());
        self
    }

    /// Also what this account wrote itself.
    pub fn with_own(mut self) -> Self {
        self.filter.own = true;
        self
    }

    /// Also history: messages that were stored on the way, and a room's backlog. Do not answer those.
    pub fn with_delayed(mut self) -> Self {
        self.filter.delayed = true;
        self
    }

    /// With the whole stanza in [`Message::xml`]. Needs `stanza.read`.
    pub fn with_xml(mut self) -> Self {
        self.filter.xml = true;
        self
    }

    /// Runs `closure` for each event. The type of its argument selects a part of the event: see [`FromEvent`].
    ///
    /// Closures may overlap while they wait. An error is written to the host's log, and the plugin continues.
    #[track_caller]
    pub fn run<T, W>(self, closure: impl Fn(T) -> W + 'static) -> Result<Subscription>
    where
        T: FromEvent,
        W: Future<Output = Result<()>> + 'static,
    {
        let id = listen::on(&self.name, self.filter()).map_err(of_call("listen.on", &self.name))?;
        let line = Location::caller();
        let handler = move |event| match T::from_event(event).inspect_err(|error| relocate(error, line)) {
            Ok(wanted) => Box::pin(closure(wanted)) as Work,
            Err(error) => Box::pin(async { Err(error) }),
        };
        runtime::handle(id, Handler::Always(Rc::new(handler)));
        Ok(Subscription(id))
    }

    /// Runs `closure` for the next event only.
    #[track_caller]
    pub fn once<T, W>(self, closure: impl FnOnce(T) -> W + 'static) -> Result<Subscription>
    where
        T: FromEvent,
        W: Future<Output = Result<()>> + 'static,
    {
        let id = listen::once(&self.name, self.filter()).map_err(of_call("listen.once", &self.name))?;
        let line = Location::caller();
        let handler = move |event| match T::from_event(event).inspect_err(|error| relocate(error, line)) {
            Ok(wanted) => Box::pin(closure(wanted)) as Work,
            Err(error) => Box::pin(async { Err(error) }),
        };
        runtime::handle(id, Handler::Once(Box::new(handler)));
        Ok(Subscription(id))
    }

    fn filter(&self) -> Option<&Filter> {
        (self.filter != Filter::default()).then_some(&self.filter)
    }
}

/// An active subscription. It continues when this is dropped. Keep this to end it, since closures cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription(u64);

impl Subscription {
    /// Ends it. [`Error::NotFound`]: it has ended.
    #[track_caller]
    pub fn end(self) -> Result<()> {
        runtime::forget(self.0);
        listen::not(self.0).map_err(of_call("listen.not", ""))
    }
}

/// A type that a handler can take: the whole [`Event`], a type that it carries ([`Message`], [`Occupant`] …,
/// [`Payload`]), or with [`Json`] any type that `serde` reads.
pub trait FromEvent: Sized {
    /// Takes it out. An error, if the event carries another payload.
    fn from_event(event: Event) -> Result<Self>;
}

impl FromEvent for Event {
    fn from_event(event: Event) -> Result<Self> {
        Ok(event)
    }
}

impl FromEvent for Payload {
    fn from_event(event: Event) -> Result<Self> {
        Ok(event.payload)
    }
}

/// A text, or a stanza as XML.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # fn example() -> Result<()> {
/// on("rosterPush").run(|stanza: String| async move {
///     info!("the roster changes: {stanza}");
///     Ok(())
/// })?;
/// # Ok(()) }
/// ```
impl FromEvent for String {
    fn from_event(event: Event) -> Result<Self> {
        match event.payload {
            Payload::Text(text) | Payload::Stanza(text) => Ok(text),
            other => Err(Error::other(format_args!("it carries {}, and no text", other.shape()))),
        }
    }
}

/// The payload of another plugin's event, read by `serde`.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # fn example() -> Result<()> {
/// on("greeted").run(|Json(nick): Json<String>| async move {
///     info!("somebody greeted {nick}");
///     Ok(())
/// })?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromEvent for Json<T> {
    fn from_event(event: Event) -> Result<Self> {
        Ok(Self(event.payload.json()?))
    }
}

macro_rules! from_payload {
    ($($case:ident => $wanted:ty),+ $(,)?) => {
        $(impl FromEvent for $wanted {
            fn from_event(event: Event) -> Result<Self> {
                match event.payload {
                    Payload::$case(wanted) => Ok(wanted),
                    other => Err(Error::other(format_args!("it carries {}, not {}", other.shape(), stringify!($wanted)))),
                }
            }
        })+
    };
}

from_payload!(
    Status => Status,
    Contact => Contact,
    Chat => Chat,
    Message => Message,
    Room => Room,
    Occupant => Occupant,
    Feature => Feature,
    Invite => Invite,
    Command => Command,
    Webhook => Webhook,
    Schedule => DueTime,
    IqRequest => IqRequest,
    PluginRequest => PluginRequest,
    Hook => Hook,
    PubsubItem => PubsubItem,
    Undecryptable => Undecryptable,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_an_event_carries_and_a_stanza_is_one() {
        let taken = |payload| {
            let (name, at) = ("tested".to_owned(), "2026-11-20T06:24:00Z".to_owned());
            String::from_event(Event { name, at, subscriptions: Vec::new(), payload })
        };
        assert_eq!(taken(Payload::Text("hello".to_owned())), Ok("hello".to_owned()));
        assert_eq!(taken(Payload::Stanza("<iq/>".to_owned())), Ok("<iq/>".to_owned()));
        assert_eq!(taken(Payload::None), Err(Error::Other("it carries nothing, and no text".to_owned())));
    }
}
