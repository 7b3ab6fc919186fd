//! Commands that people give to the bot, such as `!weather Verona`. Free for every plugin; answering is not.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! commands::add("weather", "Says what the weather will be", "CITY [DAY]", |command: Command| async move {
//!     let city = command.args.first().map_or("Verona", String::as_str);
//!     command.message.reply(format!("Sunshine in {city}")).await.map(drop)
//! })
//! .await?;
//! # Ok(()) }
//! ```
//!
//! Declare a command that has typed arguments. The host reads them, answers wrong ones with the usage, and checks who
//! may give the command:
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! commands::declare("roll", "Rolls dice")
//!     .integer("count", 1..=100)
//!     .default("1")
//!     .choice("sides", ["6", "20"])
//!     .default("6")
//!     .flag("secret")
//!     .person_cooldown(Duration::from_secs(10))
//!     .run(|command: Command| async move {
//!         let (count, sides) = (command.integer("count")?, command.text("sides")?);
//!         command.message.reply(format!("{count} dice with {sides} sides")).await.map(drop)
//!     })
//!     .await?;
//! # Ok(()) }
//! ```

use std::future::Future;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::rc::Rc;
use std::time::Duration;

use jiff::civil::{Date, Time};

use crate::bindings::parlor::plugin::commands::{self, Argument, Declaration, Kind, People as Allowed};
use crate::bindings::parlor::plugin::types as wit;
use crate::command_handlers::{Handler, begin, keep, key, last, listen};
use crate::error::{Error, Result};
use crate::failure::{located, of_call, placed};
use crate::places::{Affiliation, Role};
use crate::timers::milliseconds;
use crate::turns::in_turn;
use crate::types::owned;

pub use crate::places::Place;
pub use crate::types::Command;

/// Adds a command, and runs `closure` each time that somebody gives it. Replaces this plugin's own command with the
/// same name.
///
/// The usage describes the text after the name, and may be empty. [`Error::Denied`](crate::Error::Denied): the name is
/// another plugin's. To avoid that, put this plugin's id and a dot before it.
#[track_caller]
pub fn add<W>(
    name: impl AsRef<str>,
    help: impl AsRef<str>,
    usage: impl AsRef<str>,
    closure: impl Fn(Command) -> W + 'static,
) -> impl Future<Output = Result<()>>
where
    W: Future<Output = Result<()>> + 'static,
{
    located(async move {
        let (name, help, usage) = (name.as_ref().to_owned(), help.as_ref().to_owned(), usage.as_ref().to_owned());
        let short = key(&name);
        register("commands.add", short, closure, commands::add(name, help, usage)).await
    })
}

/// Begins a command with typed arguments, which the host reads: see [`Declare`]. Free.
///
/// The help is one sentence of at most 256 bytes. The host makes the usage from the arguments.
pub fn declare(name: impl Into<String>, help: impl Into<String>) -> Declare {
    let wanted = Declaration { name: name.into(), help: help.into(), ..Declaration::default() };
    Declare { wanted, misplaced: None }
}

/// A command with typed arguments in the making.
///
/// Arguments have the order in which they are added. [`optional`](Self::optional), [`default`](Self::default), [`named`](Self::named)
/// and [`about`](Self::about) change the one that was added last, and so does [`page`](Self::page).
#[derive(Debug, Clone)]
#[must_use = "a command is added by `run`"]
pub struct Declare {
    wanted: Declaration,
    /// The method that was called before there was an argument for it.
    misplaced: Option<&'static str>,
}

/// People who may give a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum People {
    /// The contacts whose presence the bot sees.
    Contacts,
    /// The contacts in this group of the roster.
    Group(String),
    /// This bare JID, or all of this domain.
    Jid(String),
    /// In a room, those with this role or a higher one: [`Role::Participant`] or [`Role::Moderator`].
    Role(Role),
    /// In a room, those with this affiliation or a higher one: from [`Affiliation::Member`] on.
    Affiliation(Affiliation),
    /// The owners of the bot, as the configuration names them.
    Owners,
}

impl From<Role> for People {
    fn from(role: Role) -> Self {
        Self::Role(role)
    }
}

impl From<Affiliation> for People {
    fn from(affiliation: Affiliation) -> Self {
        Self::Affiliation(affiliation)
    }
}

impl From<People> for Allowed {
    fn from(people: People) -> Self {
        match people {
            People::Contacts => Self::Contacts,
            People::Group(name) => Self::Group(name),
            People::Jid(jid) => Self::Jid(jid),
            People::Role(role) => Self::Role(role.to_string()),
            People::Affiliation(affiliation) => Self::Affiliation(affiliation.to_string()),
            People::Owners => Self::Owners,
        }
    }
}

impl Declare {
    /// Adds a word, or several in quotes.
    pub fn text(self, name: impl Into<String>) -> Self {
        self.argument(name, Kind::Text)
    }

    /// Adds a whole number within these bounds, such as `1..=100`; `..` is any.
    pub fn integer(self, name: impl Into<String>, bounds: impl RangeBounds<i64>) -> Self {
        let least = match bounds.start_bound() {
            Bound::Included(least) => *least,
            Bound::Excluded(below) => below.saturating_add(1),
            Bound::Unbounded => i64::MIN,
        };
        let most = match bounds.end_bound() {
            Bound::Included(most) => *most,
            Bound::Excluded(above) => above.saturating_sub(1),
            Bound::Unbounded => i64::MAX,
        };
        self.argument(name, Kind::Integer((least, most)))
    }

    /// Adds a number within these bounds, such as `0.0..=1.0`.
    pub fn number(self, name: impl Into<String>, bounds: RangeInclusive<f64>) -> Self {
        self.argument(name, Kind::Number(bounds.into_inner()))
    }

    /// Adds a span of time, such as `90s` or `2h30m`.
    pub fn duration(self, name: impl Into<String>) -> Self {
        self.argument(name, Kind::Duration)
    }

    /// Adds a date, such as `2026-12-24`.
    pub fn date(self, name: impl Into<String>) -> Self {
        self.argument(name, Kind::Date)
    }

    /// Adds a time of day, such as `18:30`. With a date and a zone, [`schedules::parse`](crate::schedules::parse) makes a moment of it.
    pub fn time(self, name: impl Into<String>) -> Self {
        self.argument(name, Kind::Time)
    }

    /// Adds an address; in a room also the nickname of an occupant whose address the room shows.
    pub fn jid(self, name: impl Into<String>) -> Self {
        self.argument(name, Kind::Jid)
    }

    /// Adds one of these words, 1 to 64 of them; capitals do not count.
    pub fn choice(self, name: impl Into<String>, words: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.argument(name, Kind::Choice(owned(words)))
    }

    /// Adds whether `--NAME` is given.
    pub fn flag(self, name: impl Into<String>) -> Self {
        self.argument(name, Kind::Flag).named().optional()
    }

    /// Adds an argument for the rest of the text, as it was written. Only a flag or a named argument may follow.
    pub fn rest(self, name: impl Into<String>) -> Self {
        self.argument(name, Kind::Rest)
    }

    /// The last argument may be left out. Each after it that is not named must be optional, too.
    pub fn optional(self) -> Self {
        self.with_last("optional", |last| last.optional = true)
    }

    /// The value of the last argument if it is omitted, as a person would write it. This makes it optional.
    pub fn default(self, value: impl Into<String>) -> Self {
        self.with_last("default", |last| {
            last.optional = true;
            last.default = Some(value.into());
        })
    }

    /// The last argument is written as `--NAME VALUE` or `--NAME=VALUE`, at any place.
    pub fn named(self) -> Self {
        self.with_last("named", |last| last.named = true)
    }

    /// One sentence of at most 256 bytes about the last argument.
    pub fn about(self, help: impl Into<String>) -> Self {
        self.with_last("about", |last| last.help = help.into())
    }

    /// The last argument begins a page with this title, one line of at most 256 bytes, if the command is given through
    /// a form.
    ///
    /// ```
    /// # use parlor_sdk::prelude::*;
    /// let poll = commands::declare("poll", "Asks a question").text("question").rest("choices").page("What to choose from");
    /// # drop(poll);
    /// ```
    pub fn page(self, title: impl Into<String>) -> Self {
        self.with_last("page", |last| last.page = Some(title.into()))
    }

    /// Adds another name of the command; at most 8.
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.wanted.aliases.push(name.into());
        self
    }

    /// Lets these people give the command, and those of further calls; without any call, everybody may. The owner can say otherwise.
    ///
    /// ```
    /// # use parlor_sdk::{commands::People, prelude::*};
    /// let kick = commands::declare("kick", "Kicks somebody").jid("whom").allow(Role::Moderator).allow(People::Owners);
    /// # drop(kick);
    /// ```
    pub fn allow(mut self, people: impl Into<People>) -> Self {
        self.wanted.allow.push(people.into().into());
        self
    }

    /// The same person may give it again only after this time, at most a day.
    pub fn person_cooldown(mut self, time: Duration) -> Self {
        self.wanted.person_cooldown = milliseconds(time);
        self
    }

    /// In the same room it may be given again only after this time, at most a day.
    pub fn room_cooldown(mut self, time: Duration) -> Self {
        self.wanted.room_cooldown = milliseconds(time);
        self
    }

    /// It may be given in this place alone. The host tells people who give it elsewhere.
    pub fn place(mut self, place: Place) -> Self {
        self.wanted.place = Some(place.to_string());
        self
    }

    /// Adds the command, and runs `closure` each time that an allowed person gives it with valid arguments. Replaces
    /// this plugin's own command with the same name.
    ///
    /// [`Error::Denied`]: the name is another plugin's; see [`add`]. [`Error::Invalid`]: the declaration is invalid,
    /// with the reason.
    #[track_caller]
    pub fn run<W>(self, closure: impl Fn(Command) -> W + 'static) -> impl Future<Output = Result<()>>
    where
        W: Future<Output = Result<()>> + 'static,
    {
        located(async move {
            if let Some(method) = self.misplaced {
                return Err(Error::invalid(
                    "command.arguments",
                    format_args!("there is none yet where `{method}` is said"),
                ));
            }
            register("commands.declare", key(&self.wanted.name), closure, commands::declare(self.wanted)).await
        })
    }

    fn argument(mut self, name: impl Into<String>, kind: Kind) -> Self {
        let (name, help, optional, default, named, page) = (name.into(), String::new(), false, None, false, None);
        self.wanted.arguments.push(Argument { name, kind, optional, default, named, help, page });
        self
    }

    fn with_last(mut self, method: &'static str, change: impl FnOnce(&mut Argument)) -> Self {
        match self.wanted.arguments.last_mut() {
            Some(last) => change(last),
            None => self.misplaced = Some(method),
        }
        self
    }
}

/// The arguments of a command that was [declared](declare), as the host read them.
///
/// [`Error::Invalid`] with the argument's name: it was omitted and has no default, or is of another kind.
impl Command {
    /// Answers in the form through which the command was given. If it was given in a message, answers like
    /// [`Message::reply`](crate::types::Message::reply).
    ///
    /// A form has one answer, of at most 4 KiB. It needs `messages.send` and `rooms.send`, since it imports both calls.
    /// [`Error::NotFound`]: the person no longer waits for it.
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # async fn example(command: &Command) -> Result<()> {
    /// command.answer("You rolled 4").await
    /// # }
    /// ```
    #[track_caller]
    pub fn answer(&self, text: impl Into<String>) -> impl Future<Output = Result<()>> {
        located(async move {
            match &self.form {
                Some(form) => in_form(self, form, text.into(), false).await,
                None => self.message.reply(text.into()).await.map(drop),
            }
        })
    }

    /// Says in the form how far the work is; [`answer`](Self::answer) follows. Nothing is said where the command was written.
    ///
    /// The person sees it if they look again before the answer. [`Error::NotFound`]: the person no longer waits.
    #[track_caller]
    pub fn progress(&self, text: impl Into<String>) -> impl Future<Output = Result<()>> {
        located(async move {
            match &self.form {
                Some(form) => in_form(self, form, text.into(), true).await,
                None => Ok(()),
            }
        })
    }

    /// Whether an argument was given, or has a default.
    pub fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(one, _)| one == name)
    }

    /// Whether a flag was given.
    pub fn flag(&self, name: &str) -> bool {
        self.values.iter().any(|(one, value)| one == name && *value == wit::Value::Flag(true))
    }

    /// A word, the rest of the text, or the word of a choice as it was declared.
    #[track_caller]
    pub fn text(&self, name: &str) -> Result<&str> {
        placed(self.value(name, "text", |value| match value {
            wit::Value::Text(text) => Some(text.as_str()),
            _ => None,
        }))
    }

    /// A whole number.
    #[track_caller]
    pub fn integer(&self, name: &str) -> Result<i64> {
        placed(self.value(name, "integer", |value| match value {
            wit::Value::Integer(number) => Some(*number),
            _ => None,
        }))
    }

    /// A number.
    #[track_caller]
    pub fn number(&self, name: &str) -> Result<f64> {
        placed(self.value(name, "number", |value| match value {
            wit::Value::Number(number) => Some(*number),
            _ => None,
        }))
    }

    /// A span of time.
    #[track_caller]
    pub fn duration(&self, name: &str) -> Result<Duration> {
        placed(self.value(name, "duration", |value| match value {
            wit::Value::Duration(milliseconds) => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        }))
    }

    /// A date.
    #[track_caller]
    pub fn date(&self, name: &str) -> Result<Date> {
        placed(self.value(name, "date", |value| match value {
            wit::Value::Date(date) => date.parse().ok(),
            _ => None,
        }))
    }

    /// A time of day.
    #[track_caller]
    pub fn time(&self, name: &str) -> Result<Time> {
        placed(self.value(name, "time", |value| match value {
            wit::Value::Time(time) => time.parse().ok(),
            _ => None,
        }))
    }

    /// An address.
    #[track_caller]
    pub fn jid(&self, name: &str) -> Result<&str> {
        placed(self.value(name, "address", |value| match value {
            wit::Value::Jid(jid) => Some(jid.as_str()),
            _ => None,
        }))
    }

    fn value<'c, T>(&'c self, name: &str, kind: &str, read: impl FnOnce(&'c wit::Value) -> Option<T>) -> Result<T> {
        match self.values.iter().find(|(one, _)| one == name) {
            None => Err(Error::invalid(name, "was left out, and has no default")),
            Some((_, value)) => {
                read(value).ok_or_else(|| Error::invalid(name, format_args!("is of another kind than {kind}")))
            }
        }
    }
}

/// Answers a command in its form.
async fn in_form(command: &Command, form: &str, text: String, more: bool) -> Result<()> {
    let call = || commands::answer(form.to_owned(), text.clone(), more);
    in_turn(call).await.map_err(of_call("commands.answer", &command.name))
}

/// Has a closure called for the command that `asking` adds.
async fn register<W>(
    call: &'static str,
    short: String,
    closure: impl Fn(Command) -> W + 'static,
    asking: impl Future<Output = Result<(), wit::Error>>,
) -> Result<()>
where
    W: Future<Output = Result<()>> + 'static,
{
    listen()?;
    let handler: Handler = Rc::new(move |command| Box::pin(closure(command)));
    // It may be given before this call has returned.
    let number = begin(&short, handler);
    let result = asking.await;
    match &result {
        // It has replaced those before it, with any outcome of theirs.
        Ok(()) => keep(&short, |other| other >= number),
        Err(_) => keep(&short, |other| other != number),
    }
    result.map_err(of_call(call, short))
}

/// Removes an own command. [`Error::NotFound`](crate::Error::NotFound): there is none of this name.
#[track_caller]
pub fn remove(name: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let last = last();
        commands::remove(name.as_ref().to_owned()).await.map_err(of_call("commands.remove", &name))?;
        // Keep the handlers that were added meanwhile.
        keep(&key(name.as_ref()), |other| other > last);
        Ok(())
    })
}

#[cfg(test)]
mod tests;
