//! The owner's policy, `plugins.toml`, as a value that tests change and write.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;
use toml::{Table, Value};

/// The whole file.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Policy {
    /// Its plugins, by id.
    pub plugin: BTreeMap<String, Entry>,
}

/// What the owner decided about one plugin.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Where the file lies, relative to the policy.
    pub source: String,
    /// Which bytes it may be.
    pub digest: String,
    /// Whether it may run.
    pub enabled: bool,
    /// On which accounts; all of them if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<String>>,
    /// What it may see and do.
    pub grants: Table,
    /// What it may use up.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub limits: Table,
    /// Its own settings.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub settings: Table,
}

impl Policy {
    /// With one more plugin, or with another entry for one.
    #[must_use]
    pub fn with(mut self, id: &str, entry: Entry) -> Self {
        self.plugin.insert(id.to_owned(), entry);
        self
    }

    /// Without one plugin.
    #[must_use]
    pub fn without(mut self, id: &str) -> Self {
        self.plugin.remove(id);
        self
    }

    /// The file's text.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context("cannot write a policy as TOML")
    }
}

impl Entry {
    /// An enabled plugin without any grant.
    pub fn new(source: impl Into<String>, digest: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            digest: digest.into(),
            enabled: true,
            accounts: None,
            grants: Table::new(),
            limits: Table::new(),
            settings: Table::new(),
        }
    }

    /// With a grant that has a scope.
    #[must_use]
    pub fn grant(mut self, permission: &str, scope: &[&str]) -> Self {
        let scope = scope.iter().map(|pattern| Value::from(*pattern)).collect::<Vec<_>>();
        self.grants.insert(permission.to_owned(), scope.into());
        self
    }

    /// With a grant that has none.
    #[must_use]
    pub fn grant_whole(mut self, permission: &str) -> Self {
        self.grants.insert(permission.to_owned(), true.into());
        self
    }

    /// With a limit.
    #[must_use]
    pub fn limit(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.limits.insert(name.to_owned(), value.into());
        self
    }

    /// With a setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
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
