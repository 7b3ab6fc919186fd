//! A plugin's own settings on one account, and how much of it the log shows, as the owner changes them while it runs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Supervised;
use crate::plugins::settings::{OwnSettings, Values};
use crate::plugins::{CommandNames, LogLevel};

impl Supervised {
    /// Its own settings.
    pub fn settings(&self) -> &OwnSettings {
        &self.shared.settings
    }

    /// Its lines stand in the log from this level on.
    pub fn log_from(&self, level: Option<LogLevel>) {
        self.shared.log.set(level);
    }

    /// Its commands go by these names of the owner's.
    pub fn name_commands(&self, names: CommandNames) {
        self.shared.commands.set(names);
    }

    /// Whether it runs and wants to hear when its settings change.
    pub fn hears_of_settings(&self) -> bool {
        self.instance().is_some_and(|one| self.shared.account.router.listens(one.id, "settingsChanged"))
    }

    /// The owner wrote other settings, which were checked; it goes on with them.
    pub fn settings_changed(&self, owner: Values) {
        let Some(instance) = self.instance() else {
            self.shared.settings.owner_changed(owner, &|_| None);
            return;
        };
        let changes = self.shared.settings.owner_changed(owner, &|key| instance.written(key));
        instance.tell_changes(&changes);
    }

    /// Which of these it has for settings of its own, with the values that win now. None where nothing runs: what starts reads
    /// them then.
    pub fn wins<'a>(&self, keys: impl Iterator<Item = &'a str>) -> BTreeMap<String, Option<Value>> {
        let Some(instance) = self.instance() else { return BTreeMap::new() };
        let own = keys.filter(|key| self.shared.settings.claims(key));
        own.map(|key| (key.to_owned(), self.shared.settings.get(key, || instance.written(key)))).collect()
    }

    /// Others stand under `[settings]` of the configuration now; before, these won. It hears of it. True: it listens to
    /// nothing of the kind, and has to be started anew.
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
