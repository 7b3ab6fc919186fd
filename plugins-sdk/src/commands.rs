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
use crate::error::{Error, Result};
use crate::listen::on;
use crate::runtime::Work;
use crate::types::Command;

type Handler = Rc<dyn Fn(Command) -> Work>;

thread_local! {
    // A component has one thread, so this is the plugin's own table.
    static HANDLERS: RefCell<BTreeMap<String, Handler>> = const { RefCell::new(BTreeMap::new()) };
    static LISTENS: Cell<bool> = const { Cell::new(false) };
}

/// Adds a command, and runs `closure` each time that somebody gives it. One's own again is replaced.
///
/// The usage is what follows the name, and may be empty. [`Error::Denied`]: the name is another plugin's; the id that the
/// owner gave this plugin and a dot before it make one that is not.
pub async fn add<W>(
    name: impl AsRef<str>,
    help: impl AsRef<str>,
    usage: impl AsRef<str>,
    closure: impl Fn(Command) -> W + 'static,
) -> Result<()>
where
    W: Future<Output = Result<()>> + 'static,
{
    // One subscription for all of them, and first, so that no command is missed.
    if !LISTENS.replace(true)
        && let Err(error) = on("command").run(dispatch)
    {
        LISTENS.set(false);
        return Err(error);
    }
    let (name, help, usage) = (name.as_ref().to_owned(), help.as_ref().to_owned(), usage.as_ref().to_owned());
    let handler: Handler = Rc::new(move |command| Box::pin(closure(command)));
    // It may be given before this call has returned.
    let before = HANDLERS.with_borrow_mut(|handlers| handlers.insert(key(&name), handler));
    let result = commands::add(name.clone(), help, usage).await;
    if result.is_err() {
        let _failed = HANDLERS.with_borrow_mut(|handlers| match before {
            Some(before) => handlers.insert(key(&name), before),
            None => handlers.remove(&key(&name)),
        });
    }
    result.map_err(Error::from)
}

/// Removes an own command. [`Error::NotFound`]: there is none of this name.
pub async fn remove(name: impl AsRef<str>) -> Result<()> {
    commands::remove(name.as_ref().to_owned()).await?;
    // Dropped outside of the borrow: what a closure holds may itself remove commands when it goes.
    let _removed = HANDLERS.with_borrow_mut(|handlers| handlers.remove(&key(name.as_ref())));
    Ok(())
}

/// The name that the host calls it by: capitals do not count, and the plugin's id is left out.
fn key(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_lowercase()
}

async fn dispatch(command: Command) -> Result<()> {
    let handler = HANDLERS.with_borrow(|handlers| handlers.get(&command.name).cloned());
    match handler {
        Some(handler) => handler(command).await,
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
}
