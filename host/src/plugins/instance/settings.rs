//! A plugin's own settings, as one instance of it is told of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Instance;
use crate::config::Settings;
use crate::event::{Event, EventName, Payload};

impl Instance {
    /// What stands under `[settings]` for a name that the host does not have. What any plugin keeps secret is not taken from
    /// there, not even for itself: whoever claims the name reads it there.
    pub fn written(&self, key: &str) -> Option<Value> {
        if Settings::is_known(key) || self.account.is_secret(key) {
            return None;
        }
        self.account.settings().given(key).cloned()
    }

    /// Tells the plugin which of its own settings are different now.
    pub fn tell_changes(&self, changes: &BTreeMap<String, Option<Value>>) {
        if changes.is_empty() {
            return;
        }
        let payload = Payload::Json(serde_json::json!(changes).to_string().into());
        let event = Event { name: EventName::from("settingsChanged"), at: self.account.clock.now(), payload };
        self.account.router.route_to(self.id, event, &|_| false);
    }
}
