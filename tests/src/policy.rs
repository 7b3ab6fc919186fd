//! The owner's policy, `plugins.toml`, as a value that tests change and write.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;
use toml::{Table, Value};

/// The whole file.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Policy {
    /// The orders of hooks, with the owner's deadline and rule.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub hooks: Table,
    /// The plugins, by id.
    pub plugin: BTreeMap<String, Entry>,
}

/// The owner's entry for one plugin.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The path of the file, relative to the policy.
    pub source: String,
    /// The approved digest of the file.
    pub digest: String,
    /// Whether the plugin may run.
    pub enabled: bool,
    /// The accounts that it runs on, or `None` for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<String>>,
    /// The rooms that it is kept to, or none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<String>,
    /// The permissions that it is granted.
    pub grants: Table,
    /// The limits that differ from the defaults.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub limits: Table,
    /// The plugin's own settings.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub settings: Table,
    /// Their values in single rooms.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub settings_in: Table,
    /// The owner's rules for its commands, by their names.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub commands: Table,
}

impl Policy {
    /// Adds a plugin or replaces its entry.
    #[must_use]
    pub fn with(mut self, id: &str, entry: Entry) -> Self {
        self.plugin.insert(id.to_owned(), entry);
        self
    }

    /// Sets the orders of hooks.
    #[must_use]
    pub fn hooks(mut self, hooks: Table) -> Self {
        self.hooks = hooks;
        self
    }

    /// Removes a plugin.
    #[must_use]
    pub fn without(mut self, id: &str) -> Self {
        self.plugin.remove(id);
        self
    }

    /// Returns the file's text.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context("cannot write a policy as TOML")
    }
}

impl Entry {
    /// Creates an entry for an enabled plugin without any grant.
    pub fn new(source: impl Into<String>, digest: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            digest: digest.into(),
            enabled: true,
            accounts: None,
            rooms: Vec::new(),
            grants: Table::new(),
            limits: Table::new(),
            settings: Table::new(),
            settings_in: Table::new(),
            commands: Table::new(),
        }
    }

    /// Grants a permission with a scope.
    #[must_use]
    pub fn grant(mut self, permission: &str, scope: &[&str]) -> Self {
        let scope = scope.iter().map(|pattern| Value::from(*pattern)).collect::<Vec<_>>();
        self.grants.insert(permission.to_owned(), scope.into());
        self
    }

    /// Grants a permission without a scope.
    #[must_use]
    pub fn grant_whole(mut self, permission: &str) -> Self {
        self.grants.insert(permission.to_owned(), true.into());
        self
    }

    /// Keeps the plugin to these rooms.
    #[must_use]
    pub fn rooms(mut self, rooms: &[&str]) -> Self {
        self.rooms = rooms.iter().map(|room| (*room).to_owned()).collect();
        self
    }

    /// Sets a limit.
    #[must_use]
    pub fn limit(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.limits.insert(name.to_owned(), value.into());
        self
    }

    /// Sets who may give a command, instead of the plugin's own rule.
    #[must_use]
    pub fn allow(mut self, command: &str, people: &[&str]) -> Self {
        let people = people.iter().map(|one| Value::from(*one)).collect::<Vec<_>>();
        self.commands.insert(command.to_owned(), Table::from_iter([("allow".to_owned(), people.into())]).into());
        self
    }

    /// Takes a command away.
    #[must_use]
    pub fn off(mut self, command: &str) -> Self {
        self.commands.insert(command.to_owned(), Table::from_iter([("off".to_owned(), true.into())]).into());
        self
    }

    /// Sets one of the plugin's settings.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    /// Sets one of the plugin's settings in a room.
    #[must_use]
    pub fn set_in(mut self, room: &str, name: &str, value: impl Into<Value>) -> Self {
        let values = self.settings_in.entry(room.to_owned()).or_insert_with(|| Table::new().into());
        if let Some(values) = values.as_table_mut() {
            values.insert(name.to_owned(), value.into());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_an_owner_would_write_it() {
        let echo = Entry::new("plugins/echo.wasm", "sha256:00").grant("messages.read", &["*"]).set("room_prefix", "e ");
        let text = Policy::default().with("echo", echo).to_toml().unwrap();
        let written: Table = text.parse().unwrap();
        let expected: Table = r#"
            [plugin.echo]
            source = "plugins/echo.wasm"
            digest = "sha256:00"
            enabled = true
            [plugin.echo.grants]
            "messages.read" = ["*"]
            [plugin.echo.settings]
            room_prefix = "e "
        "#
        .parse()
        .unwrap();
        assert_eq!(written, expected);
    }
}
