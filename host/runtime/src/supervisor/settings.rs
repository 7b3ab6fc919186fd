//! Changes by the owner to a running plugin's settings, log level and command names.

use std::collections::BTreeMap;

use parlor_base::log_level::LogLevel;
use parlor_plugins::policy::RoomSettings;
use parlor_session::command_names::CommandNames;
use serde_json::Value;

use super::Supervised;
use crate::settings::{OwnSettings, Values};

impl Supervised {
    /// Returns its own settings.
    pub fn settings(&self) -> &OwnSettings {
        &self.shared.settings
    }

    /// Sets the minimum level of its log lines.
    pub fn log_from(&self, level: Option<LogLevel>) {
        self.shared.settings.log.set(level);
    }

    /// Sets the owner's names for its commands.
    pub fn name_commands(&self, names: CommandNames) {
        self.shared.lasting.name_commands(names);
    }

    /// Returns whether it runs and subscribed to changes of its settings.
    pub fn hears_of_settings(&self) -> bool {
        self.instance().is_some_and(|one| self.shared.account.router.listens(one.id, "settingsChanged"))
    }

    /// Applies settings that the owner changed, which were checked before.
    pub fn settings_changed(&self, owner: Values, in_rooms: RoomSettings) {
        let Some(instance) = self.instance() else {
            self.shared.settings.owner_changed(owner, in_rooms, &|_| None);
            return;
        };
        let changes = self.shared.settings.owner_changed(owner, in_rooms, &|key| instance.written(key));
        instance.tell_changes(&changes);
    }

    /// Returns which of these keys are its own settings, with the values that win now. The result is empty if it does
    /// not run, since it reads its settings when it starts.
    pub fn wins<'a>(&self, keys: impl Iterator<Item = &'a str>) -> BTreeMap<String, Option<Value>> {
        let Some(instance) = self.instance() else { return BTreeMap::new() };
        let own = keys.filter(|key| self.shared.settings.claims(key));
        own.map(|key| (key.to_owned(), self.shared.settings.get(key, || instance.written(key)))).collect()
    }

    /// Notifies it of changes to `[settings]` of the configuration, given the values that won before. Returns true if
    /// it is not subscribed to changes and so must be restarted.
    pub fn settings_rewritten(&self, before: &BTreeMap<String, Option<Value>>) -> bool {
        let changes: BTreeMap<_, _> = self
            .wins(before.keys().map(String::as_str))
            .into_iter()
            .filter(|(key, value)| before.get(key) != Some(value))
            .collect();
        if !changes.is_empty() && self.hears_of_settings() {
            if let Some(instance) = self.instance() {
                instance.tell_changes(&changes);
            }
            return false;
        }
        !changes.is_empty()
    }
}
