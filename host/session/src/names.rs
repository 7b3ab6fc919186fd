//! The names of the host's events as events carry them, and which of them are promises. The table in `permissions/`
//! lists them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::EventName;
use crate::permissions::table::{EVENTS, event};

/// The only promise that stays resolved after a log-out: plugins continue to run.
pub(super) const PLUGINS_INITIALIZED: &str = "pluginsInitialized";

/// Returns the host's promises. Each is resolved by the event of its name.
pub(super) fn promises() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().filter(|rule| rule.promise).map(|rule| rule.name)
}

/// Returns whether a name is reserved for the host, whether this version fires an event of it or not.
pub(super) fn is_reserved(name: &str) -> bool {
    event(name).is_some()
}

/// The names of the host's events as events carry them. Each is allocated once for an account, with its first use: most accounts
/// use few of them.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<&'static str, EventName>);

impl Names {
    pub(super) fn get(&mut self, name: &'static str) -> EventName {
        Arc::clone(self.0.entry(name).or_insert_with(|| EventName::from(name)))
    }
}
