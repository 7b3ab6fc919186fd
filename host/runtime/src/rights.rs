//! The permissions that a plugin requests and those that it was granted, described for its owner.

use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_plugins::manifest::{Manifest, Request};
use parlor_session::permissions::{GrantChange, Grants, Scope};
use serde::Serialize;

/// The maximum length of an author's reason as shown, in bytes.
const LONGEST: usize = 600;

/// A permission that a plugin requests or was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Right {
    /// The permission.
    pub permission: Permission,
    /// The risk: `low`, `medium` or `high`.
    pub risk: String,
    /// A description of the actions that the permission allows.
    pub what: &'static str,
    /// The author's request, if the manifest requests this permission.
    pub asked: Option<Asked>,
    /// The granted scope, escaped for display. It is empty for a permission without a scope, and `None` if nothing was
    /// granted.
    pub granted: Option<Vec<String>>,
    /// The line of `plugins.toml` that grants what is requested, escaped for display.
    pub line: String,
    /// The command that grants what is requested to an installed plugin, or takes away what was granted; escaped for display.
    pub command: String,
}

/// An author's request for a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The requested scope, escaped for display. It is empty for a permission without a scope.
    pub scope: Vec<String>,
    /// The author's reason, escaped for display.
    pub reason: String,
    /// Whether the plugin also runs without this permission.
    pub optional: bool,
}

impl Right {
    /// Returns whether the plugin holds the permission: it must be both granted and requested.
    pub fn is_in_force(&self) -> bool {
        self.granted.is_some() && self.asked.is_some()
    }
}

/// Lists each permission that is requested or granted, the riskiest first. Without a manifest only the granted ones are
/// known.
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
    let command = match granted {
        Some(_) => format!("parlor plugin revoke {id} {permission}"),
        // No command can grant entries that the command line cannot hold.
        None => GrantChange::Entries(scope).remedy(id.as_str(), permission).unwrap_or_else(|_| line.clone()),
    };
    Right {
        permission,
        risk: permission.risk().to_string(),
        what: permission.describe(),
        asked: asked.map(|request| Asked {
            scope: shown(&request.entries(permission)),
            reason: escape_untrusted(&request.reason, LONGEST),
            optional: request.optional,
        }),
        granted: granted.map(|scope| shown(&scope.entries())),
        line: escape_untrusted(&line, usize::MAX),
        command: escape_untrusted(&command, usize::MAX),
    }
}

/// Escapes the entries of a scope for display: an address may contain characters that reorder the text after it. No
/// entry is shortened, since the owner consents to the whole of it.
pub fn shown(entries: &[String]) -> Vec<String> {
    entries.iter().map(|entry| escape_untrusted(entry, usize::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(permissions: &str) -> Manifest {
        let plugin =
            "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says what it hears\"\n";
        Manifest::parse(&format!("{plugin}[permissions]\n{permissions}")).unwrap()
    }

    #[test]
    fn each_permission_has_the_command_that_grants_it_or_takes_it_away() {
        let manifest = manifest(
            r#"
            "messages.send" = { scope = ["@example.org"], reason = "to answer" }
            "contacts.read" = { reason = "to know them" }
            "#,
        );
        let commands = |grants: &Grants| {
            let rights = rights(&"echo".parse().unwrap(), Some(&manifest), grants);
            let mut commands: Vec<_> = rights.into_iter().map(|right| right.command).collect();
            commands.sort_unstable();
            commands
        };
        let grant = ["parlor plugin grant echo contacts.read", "parlor plugin grant echo messages.send=@example.org"];
        assert_eq!(commands(&Grants::default()), grant);
        let revoke = ["parlor plugin revoke echo contacts.read", "parlor plugin revoke echo messages.send"];
        let mut both = Grants::default();
        both.grant(Permission::MessagesSend, &["*"]).unwrap();
        both.grant::<&str>(Permission::ContactsRead, &[]).unwrap();
        assert_eq!(commands(&both), revoke);
    }

    /// U+2066 to U+2069 (bidirectional isolates and their end) are allowed in a resource.
    #[test]
    fn an_address_that_turns_words_around_is_shown_and_not_obeyed() {
        let manifest = manifest(
            r#"
            "messages.send" = { scope = ["juliet@example.org/a\u2067b"], reason = "to answer" }
            "#,
        );
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
