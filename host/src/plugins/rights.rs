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
    /// What was granted, harmless: an empty list for what has no scope.
    pub granted: Option<Vec<String>>,
    /// The line of `plugins.toml` that grants what is asked for, harmless.
    pub line: String,
}

/// What an author asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// For whom or what, harmless: empty for what has no scope.
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
    let line = format!("in plugins.toml, under [plugin.{id}.grants]: \"{permission}\" = {value}");
    Right {
        permission,
        risk: permission.risk().to_string(),
        what: permission.describe(),
        asked: asked.map(|request| Asked {
            scope: shown(&request.entries(permission)),
            reason: harmless(&request.reason, LONGEST),
            optional: request.optional,
        }),
        granted: granted.map(|scope| shown(&scope.entries())),
        line: harmless(&line, usize::MAX),
    }
}

/// The entries of a scope, harmless: an address may have what turns the words after it around. Each is shown whole, since that is
/// what is agreed to.
pub fn shown(entries: &[String]) -> Vec<String> {
    entries.iter().map(|entry| harmless(entry, usize::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Isolates and their end (U+2066 to U+2069) are let through in a resource.
    #[test]
    fn an_address_that_turns_words_around_is_shown_and_not_obeyed() {
        let text = r#"
            [plugin]
            name = "echo"
            version = "0.1.0"
            api = "0.1.0"
            description = "Says what it hears"
            [permissions]
            "messages.send" = { scope = ["juliet@example.org/a\u2067b"], reason = "to answer" }
        "#;
        let manifest = Manifest::parse(text).unwrap();
        let asked = manifest.permissions[&Permission::MessagesSend].entries(Permission::MessagesSend);
        assert!(asked[0].contains('\u{2067}'), "the address is one: {asked:?}");
        let mut grants = Grants::default();
        grants.grant_more(Permission::MessagesSend, &asked).unwrap();
        let right = rights(&"echo".parse().unwrap(), Some(&manifest), &grants).remove(0);
        let shown = vec!["juliet@example.org/a\\u{2067}b".to_owned()];
        assert_eq!((&right.asked.unwrap().scope, right.granted.as_ref()), (&shown, Some(&shown)));
        assert!(right.line.ends_with("\"messages.send\" = [\"juliet@example.org/a\\u{2067}b\"]"), "{}", right.line);
    }
}
