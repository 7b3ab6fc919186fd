//! The names of the host's events as events carry them, and which of them are promises. The table in `permissions/`
//! lists them.

use std::collections::HashMap;

use crate::event::EventName;
use crate::permissions::table::EVENTS;

/// The only promise that stays resolved after a log-out: plugins continue to run.
pub(super) const PLUGINS_INITIALIZED: &str = "pluginsInitialized";

/// Returns the host's promises. Each is resolved by the event of its name.
pub(super) fn promises() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().filter(|rule| rule.promise).map(|rule| rule.name)
}

/// The names that are reserved for the host, as events carry them, whether this version fires them or not. Each is
/// allocated once.
#[derive(Debug)]
pub(super) struct Names(HashMap<&'static str, EventName>);

impl Names {
    pub(super) fn new() -> Self {
        Self(EVENTS.iter().map(|rule| (rule.name, EventName::from(rule.name))).collect())
    }

    pub(super) fn get(&self, name: &'static str) -> EventName {
        self.0.get(name).cloned().unwrap_or_else(|| EventName::from(name))
    }

    pub(super) fn is_reserved(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
