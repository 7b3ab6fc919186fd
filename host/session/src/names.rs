//! The names of the host's events as events carry them, and which of them are promises. The table in `permissions/`
//! lists them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

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

/// Returns the name of an event of the host as events carry it. All accounts share it.
pub(super) fn event_name(name: &'static str) -> EventName {
    static ALL: LazyLock<HashMap<&'static str, EventName>> =
        LazyLock::new(|| EVENTS.iter().map(|rule| (rule.name, EventName::from(rule.name))).collect());
    ALL.get(name).map_or_else(|| EventName::from(name), Arc::clone)
}
