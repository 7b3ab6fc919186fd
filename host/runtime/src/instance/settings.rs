//! A plugin's own settings, as seen by one instance.

use std::collections::BTreeMap;

use parlor_config::Settings;
use parlor_session::event::{Event, EventName, Payload};
use serde_json::Value;

use super::Instance;

impl Instance {
    /// Returns the value under `[settings]` for a name that is not a setting of the host. Names that any plugin
    /// declares as secret are not read from there, not even for that plugin, since any plugin that claims the name
    /// could read the value.
    pub fn written(&self, key: &str) -> Option<Value> {
        if Settings::is_known(key) || self.account.is_secret(key) {
            return None;
        }
        self.account.settings().given(key).cloned()
    }

    /// Notifies the plugin of changes to its own settings.
    pub fn tell_changes(&self, changes: &BTreeMap<String, Option<Value>>) {
        if changes.is_empty() {
            return;
        }
        let payload = Payload::Json(serde_json::json!(changes).to_string().into());
        let event = Event { name: EventName::from("settingsChanged"), at: self.account.clock.now(), payload };
        self.account.router.route_to(self.id, event, &|_| false);
    }
}
