//! Questions to people. A person's next message in the same chat or room is the answer. [`ask`] needs `messages.send`
//! for the person, [`ask_in_room`] `rooms.send` for the room, and [`Message::ask`] both.
//!
//! A handler that waits for an answer holds no place: hundreds may wait at once, as many as the limit `dialogs` says.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! commands::add("order", "Orders a pizza", "", |order: Command| async move {
//!     let size = Question::new("Which size?").choices(["small", "large"]).timeout(Duration::from_secs(60));
//!     match order.message.ask(size).await {
//!         Ok(size) => order.message.reply(format!("A {} pizza it is.", size.text)).await.map(drop),
//!         Err(Error::TimedOut | Error::Rejected(_)) => order.message.reply("No pizza, then.").await.map(drop),
//!         Err(Error::Stopped | Error::NotFound(_)) => Ok(()), // another order took its place, or they left the room
//!         Err(error) => Err(error),
//!     }
//! }).await?;
//! # Ok(()) }
//! ```

use std::time::Duration;

use crate::bindings::parlor::plugin::dialogs;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::runtime::{self, Handler};
use crate::timers::milliseconds;
use crate::types::{Entity, Message};

pub use crate::bindings::parlor::plugin::dialogs::{Answer, Question};

impl Question {
    /// A question that any text answers, within five minutes.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), choices: Vec::new(), timeout: None }
    }

    /// With these answers alone, at most 32. The host writes them below the text, with numbers.
    #[must_use]
    pub fn choices(mut self, choices: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.choices = choices.into_iter().map(Into::into).collect();
        self
    }

    /// Within this time, at most a day.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(milliseconds(timeout));
        self
    }
}

/// A text alone is a question without choices.
impl From<&str> for Question {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Question {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Asks a person in a private chat, and waits for the answer. Needs `messages.send`.
///
/// [`Error::TimedOut`](crate::Error::TimedOut): the person did not answer in time. [`Error::Rejected`](crate::Error::Rejected): the
/// answer was `cancel`, or wrong three times; the text is `cancelled` or `wrong`. [`Error::NotFound`](crate::Error::NotFound): the person
/// is an occupant of a room, and has left it. [`Error::Stopped`](crate::Error::Stopped): another question to the person took its place,
/// or the plugin is to stop.
#[track_caller]
pub fn ask(to: impl Entity, question: impl Into<Question>) -> impl Future<Output = Result<Answer>> {
    located(async move {
        let to = to.address();
        dialogs::ask(to.clone(), question.into()).await.map_err(of_call("dialogs.ask", to))
    })
}

/// Asks an occupant of a room by the nickname, so that all in the room see it, and waits for the answer. Needs `rooms.send`.
///
/// [`Error::NotFound`](crate::Error::NotFound): the room has no occupant with this nickname, or the person has left.
/// Otherwise like [`ask`].
#[track_caller]
pub fn ask_in_room(
    room: impl Entity,
    nick: impl AsRef<str>,
    question: impl Into<Question>,
) -> impl Future<Output = Result<Answer>> {
    located(async move {
        let (room, nick) = (room.address(), nick.as_ref().to_owned());
        dialogs::ask_in_room(room.clone(), nick, question.into()).await.map_err(of_call("dialogs.ask-in-room", room))
    })
}

impl Message {
    /// Asks its author where it was said, in the chat or in the room, and waits for the answer, as [`ask`] does.
    ///
    /// This needs `messages.send` as well as `rooms.send`, since it imports both calls. A plugin for chats alone takes
    /// [`ask`], one for rooms alone [`ask_in_room`].
    #[track_caller]
    pub fn ask(&self, question: impl Into<Question>) -> impl Future<Output = Result<Answer>> {
        located(async move {
            if self.is_groupchat() {
                ask_in_room(&self.chat, self.nick.as_deref().unwrap_or_default(), question).await
            } else {
                ask(&self.chat, question).await
            }
        })
    }
}

/// Asks as [`ask`] does, returns when the question is sent, and runs `closure` with the answer later. The handler need not wait.
#[track_caller]
pub fn begin<W>(
    to: impl Entity,
    question: impl Into<Question>,
    closure: impl FnOnce(Result<Answer>) -> W + 'static,
) -> impl Future<Output = Result<Dialog>>
where
    W: Future<Output = Result<()>> + 'static,
{
    located(async move {
        let to = to.address();
        let number = dialogs::begin(to.clone(), question.into()).await.map_err(of_call("dialogs.begin", to))?;
        Ok(begun(number, closure))
    })
}

/// Asks as [`ask_in_room`] does, returns when the question is sent, and runs `closure` with the answer later.
#[track_caller]
pub fn begin_in_room<W>(
    room: impl Entity,
    nick: impl AsRef<str>,
    question: impl Into<Question>,
    closure: impl FnOnce(Result<Answer>) -> W + 'static,
) -> impl Future<Output = Result<Dialog>>
where
    W: Future<Output = Result<()>> + 'static,
{
    located(async move {
        let (room, nick) = (room.address(), nick.as_ref().to_owned());
        let begins = dialogs::begin_in_room(room.clone(), nick, question.into()).await;
        Ok(begun(begins.map_err(of_call("dialogs.begin-in-room", room))?, closure))
    })
}

/// Runs `closure` when this question has ended.
fn begun<W>(number: u64, closure: impl FnOnce(Result<Answer>) -> W + 'static) -> Dialog
where
    W: Future<Output = Result<()>> + 'static,
{
    let ended = move |_| Box::pin(closure(dialogs::take(number).map_err(of_call("dialogs.take", "")))) as runtime::Work;
    runtime::handle(number, Handler::Once(Box::new(ended)));
    Dialog(number)
}

/// An open question. It stays open when this is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialog(u64);

impl Dialog {
    /// Ends it, without running its closure. [`Error::NotFound`](crate::Error::NotFound): it has ended.
    #[track_caller]
    pub fn cancel(self) -> Result<()> {
        runtime::forget(self.0);
        dialogs::cancel(self.0).map_err(of_call("dialogs.cancel", ""))
    }
}
