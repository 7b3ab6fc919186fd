//! Commands that people give to the bot, such as `!weather Verona`. Free for every plugin; answering is not.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! commands::add("weather", "Says what the weather will be", "CITY [DAY]", |command: Command| async move {
//!     let city = command.args.first().map_or("Verona", String::as_str);
//!     command.message.reply(format!("Sunshine in {city}")).await?;
//!     Ok(())
//! })
//! .await?;
//! # Ok(()) }
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use crate::bindings::parlor::plugin::commands;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::listen::on;
use crate::runtime::Work;
use crate::types::Command;

type Handler = Rc<dyn Fn(Command) -> Work>;

/// By the names of commands. Behind the one that the host has stand those that it has not answered yet.
type Handlers = BTreeMap<String, Vec<(u64, Handler)>>;

thread_local! {
    // A component has one thread, so this is the plugin's own table.
    static HANDLERS: RefCell<Handlers> = const { RefCell::new(BTreeMap::new()) };
    static LAST: Cell<u64> = const { Cell::new(0) };
    static LISTENS: Cell<bool> = const { Cell::new(false) };
}

/// Adds a command, and runs `closure` each time that somebody gives it. One's own again is replaced.
///
/// The usage is what follows the name, and may be empty. [`Error::Denied`](crate::Error::Denied): the name is another plugin's; the id that the
/// owner gave this plugin and a dot before it make one that is not.
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
        // One subscription for all of them, and first, so that no command is missed.
        if !LISTENS.replace(true)
            && let Err(error) = on("command").run(dispatch)
        {
            LISTENS.set(false);
            return Err(error);
        }
        let (name, help, usage) = (name.as_ref().to_owned(), help.as_ref().to_owned(), usage.as_ref().to_owned());
        let handler: Handler = Rc::new(move |command| Box::pin(closure(command)));
        let short = key(&name);
        // It may be given before this call has returned.
        let number = begin(&short, handler);
        let result = commands::add(name, help, usage).await;
        match &result {
            // It has taken the place of those before it, whatever becomes of them.
            Ok(()) => keep(&short, |other| other >= number),
            Err(_) => keep(&short, |other| other != number),
        }
        result.map_err(of_call("commands.add", short))
    })
}

/// Removes an own command. [`Error::NotFound`](crate::Error::NotFound): there is none of this name.
#[track_caller]
pub fn remove(name: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let last = LAST.get();
        commands::remove(name.as_ref().to_owned()).await.map_err(of_call("commands.remove", &name))?;
        // Keep the handlers that were added meanwhile.
        keep(&key(name.as_ref()), |other| other > last);
        Ok(())
    })
}

/// Gives the number of what is to be called from now on.
fn begin(short: &str, handler: Handler) -> u64 {
    let number = LAST.get() + 1;
    LAST.set(number);
    HANDLERS.with_borrow_mut(|handlers| handlers.entry(short.to_owned()).or_default().push((number, handler)));
    number
}

/// Forgets those of a name that do not stay.
fn keep(short: &str, stays: impl Fn(u64) -> bool) {
    // Dropped outside of the borrow: what a closure holds may itself remove commands when it goes.
    let _gone = HANDLERS.with_borrow_mut(|handlers| {
        let (kept, gone): (Vec<_>, Vec<_>) = handlers.remove(short)?.into_iter().partition(|one| stays(one.0));
        if !kept.is_empty() {
            handlers.insert(short.to_owned(), kept);
        }
        Some(gone)
    });
}

/// Returns the newest handler for a name.
fn newest(short: &str) -> Option<(u64, Handler)> {
    HANDLERS.with_borrow(|handlers| handlers.get(short)?.last().cloned())
}

/// The name that the host calls it by: capitals do not count, and the plugin's id is left out.
fn key(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_lowercase()
}

async fn dispatch(command: Command) -> Result<()> {
    match newest(&command.name) {
        Some((_, handler)) => handler(command).await,
        // It was removed while it was on its way.
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_by_the_name_that_the_host_gives() {
        assert_eq!(key("Say"), "say");
        assert_eq!(key("echo.Say"), "say");
    }

    #[test]
    fn what_the_host_has_taken_is_called_whatever_became_of_others_at_the_same_time() {
        let nothing: Handler = Rc::new(|_| Box::pin(async { Ok(()) }));
        let begin = || begin("roll", Rc::clone(&nothing));
        let taken = |number: u64| keep("roll", move |other| other >= number);
        let refused = |number: u64| keep("roll", move |other| other != number);
        let called = || newest("roll").map(|(number, _)| number);
        let first = begin();
        refused(first);
        assert_eq!(called(), None);
        let first = begin();
        taken(first);

        let (second, third) = (begin(), begin());
        assert_eq!(called(), Some(third), "it may be given before the host has answered");
        refused(second);
        refused(third);
        assert_eq!(called(), Some(first));
        let (second, third) = (begin(), begin());
        refused(third);
        taken(second);
        assert_eq!(called(), Some(second));
        let (fourth, fifth) = (begin(), begin());
        taken(fifth);
        refused(fourth);
        assert_eq!(called(), Some(fifth));
    }
}
