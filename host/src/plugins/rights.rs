//! What a plugin asks for and what it was granted, side by side and in words, for its owner.

use serde::Serialize;

use super::id::PluginId;
use super::manifest::{Manifest, Request};
use crate::harmless::harmless;
use crate::permissions::{Grants, Permission, Scope};

/// How much of an author's reason is shown, in bytes.
const LONGEST: usize = 600;

/// One permission of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Right {
    /// Its name.
    pub permission: Permission,
    /// `low`, `medium` or `high`.
    pub risk: String,
    /// What a plugin does with it.
    pub what: &'static str,
    /// What the author asks for.
    pub asked: Option<Asked>,
    /// What was granted: an empty list for what has no scope.
    pub granted: Option<Vec<String>>,
    /// The line of `plugins.toml` that grants what is asked for.
    pub line: String,
}

/// What an author asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// For whom or what: empty for what has no scope.
    pub scope: Vec<String>,
    /// Why, in the author's words, harmless.
    pub reason: String,
    /// The plugin runs without it, too.
    pub optional: bool,
}

impl Right {
    /// Whether the plugin has it: granted, and asked for.
    pub fn is_in_force(&self) -> bool {
        self.granted.is_some() && self.asked.is_some()
    }
}

/// Each permission that is asked for or granted, the most harmful first. Without a manifest nobody knows what is asked for.
pub fn rights(id: &PluginId, manifest: Option<&Manifest>, grants: &Grants) -> Vec<Right> {
    let asked = |permission: Permission| manifest.and_then(|manifest| manifest.permissions.get(&permission));
    let mut rights: Vec<_> = Permission::ALL
        .iter()
        .copied()
        .filter(|permission| asked(*permission).is_some() || grants.has(*permission))
        .map(|permission| right(id, permission, asked(permission), grants.get(permission)))
        .collect();
    rights.sort_by_key(|right| std::cmp::Reverse(right.permission.risk()));
    rights
}

fn right(id: &PluginId, permission: Permission, asked: Option<&Request>, granted: Option<&Scope>) -> Right {
    let scope = asked.map(|request| request.entries(permission)).or_else(|| granted.map(Scope::entries));
    let scope = scope.unwrap_or_default();
    let value = match scope.as_slice() {
        [] => "true".to_owned(),
        // A JSON list of strings is also a TOML list of strings.
        entries => serde_json::Value::from(entries).to_string(),
    };
    Right {
        permission,
        risk: permission.risk().to_string(),
        what: permission.describe(),
        asked: asked.map(|request| Asked {
            scope: request.entries(permission),
            reason: harmless(&request.reason, LONGEST),
            optional: request.optional,
        }),
        granted: granted.map(Scope::entries),
        line: format!("in plugins.toml, under [plugin.{id}.grants]: \"{permission}\" = {value}"),
    }
}
