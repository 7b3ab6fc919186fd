//! The handlers of commands, by the names of the commands.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::error::Result;
use crate::listen::on;
use crate::runtime::Work;
use crate::types::Command;

pub(crate) type Handler = Rc<dyn Fn(Command) -> Work>;

/// By the names of commands. Behind the one that the host has stand those that it has not answered yet.
type Handlers = BTreeMap<String, Vec<(u64, Handler)>>;

thread_local! {
    // A component has one thread, so this is the plugin's own table.
    static HANDLERS: RefCell<Handlers> = const { RefCell::new(BTreeMap::new()) };
    static LAST: Cell<u64> = const { Cell::new(0) };
    static LISTENS: Cell<bool> = const { Cell::new(false) };
}

/// Listens to commands, by one subscription for all of them. It comes before the first command, so that none is missed.
pub(crate) fn listen() -> Result<()> {
    if LISTENS.replace(true) {
        return Ok(());
    }
    let listens = on("command").run(dispatch).map(drop);
    if listens.is_err() {
        LISTENS.set(false);
    }
    listens
}

/// Returns the number of the newest handler.
pub(crate) fn last() -> u64 {
    LAST.get()
}

/// Returns the number of the handler that is called from now on.
pub(crate) fn begin(short: &str, handler: Handler) -> u64 {
    let number = LAST.get() + 1;
    LAST.set(number);
    HANDLERS.with_borrow_mut(|handlers| handlers.entry(short.to_owned()).or_default().push((number, handler)));
    number
}

/// Forgets those of a name that do not stay.
pub(crate) fn keep(short: &str, stays: impl Fn(u64) -> bool) {
    // Dropped outside of the borrow: values that a closure holds may remove commands when they are dropped.
    let _gone = HANDLERS.with_borrow_mut(|handlers| {
        let (kept, gone): (Vec<_>, Vec<_>) = handlers.remove(short)?.into_iter().partition(|one| stays(one.0));
        if !kept.is_empty() {
            handlers.insert(short.to_owned(), kept);
        }
        Some(gone)
    });
}

/// Returns the newest handler for a name.
pub(crate) fn newest(short: &str) -> Option<(u64, Handler)> {
    HANDLERS.with_borrow(|handlers| handlers.get(short)?.last().cloned())
}

/// The host's name for it: in lower case, and without the plugin's id.
pub(crate) fn key(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_lowercase()
}

async fn dispatch(command: Command) -> Result<()> {
    match newest(&command.name) {
        Some((_, handler)) => handler(command).await,
        // It was removed while it was on its way.
        None => Ok(()),
    }
}
