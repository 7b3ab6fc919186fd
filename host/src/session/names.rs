//! The names of the host's events as events carry them, and which of them are promises (API rows 17–33). The table in
//! `permissions/` says which there are.

use std::collections::HashMap;

use crate::event::EventName;
use crate::permissions::EVENTS;

/// The one promise that no log-out takes back: plugins live on.
pub(super) const PLUGINS_INITIALIZED: &str = "pluginsInitialized";

/// The host's promises: each is resolved by the event of its name.
pub(super) fn promises() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().filter(|rule| rule.promise).map(|rule| rule.name)
}

/// The host's names as events carry them, made once: those that it keeps for itself, whether this version fires them or
/// not.
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
