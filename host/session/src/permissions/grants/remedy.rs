//! The remedy for a call that the grants deny: the grant that an owner would have to add, and the error that says so.

use jid::BareJid;
use parlor_base::escape::{Reader, has_harmful, shell_word};
use parlor_base::permission::{Permission, ScopeKind};
use parlor_stanza::error::CallError;

use super::example;
use crate::permissions::scope::{ENCRYPTED, Scope};

/// The grant that an owner would have to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantChange {
    /// The permission for everybody and everything.
    Whole,
    /// Exactly these targets, spelled as entries. A plugin may have chosen them, so an entry that also covers others is
    /// refused.
    Targets(Vec<String>),
    /// Entries that the owner named.
    Entries(Vec<String>),
    /// None: the owner keeps the plugin to rooms, and would have to add this one.
    Room(BareJid),
}

impl GrantChange {
    /// Checks that a grant can express it. The error is a clause.
    pub fn check(&self, permission: Permission) -> Result<(), String> {
        let kind = permission.scope_kind();
        let targets = match self {
            Self::Targets(targets) if kind.is_list() => targets,
            _ => return Ok(()),
        };
        for target in targets {
            match Scope::parse(kind, &[target]) {
                // Such as a server in a list of rooms.
                Err(reason) => return Err(format!("no grant can name it: {reason}")),
                Ok(scope) if !scope.is_exactly(target) => {
                    return Err(format!("no grant names this address alone, since {target:?} stands for others, too"));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Returns the command that adds the grant, or the line to add if no command can; else the reason why no grant can.
    pub fn remedy(&self, plugin: &str, permission: Permission) -> Result<String, String> {
        self.check(permission)?;
        if let Self::Room(room) = self {
            return Ok(format!("parlor plugin rooms {plugin} --add {}", shell_word(room.as_str())));
        }
        let kind = permission.scope_kind();
        let entries = match (kind, self) {
            // The command grants it as the manifest requests it.
            (ScopeKind::None, _) | (ScopeKind::Quota, Self::Whole | Self::Targets(_)) | (_, Self::Room(_)) => {
                Vec::new()
            }
            (_, Self::Targets(entries) | Self::Entries(entries)) => entries.iter().map(String::as_str).collect(),
            (ScopeKind::Stanzas, Self::Whole) => vec!["message"],
            (_, Self::Whole) => vec!["*"],
        };
        // The command splits entries at commas and trims spaces; a resource may contain both. A resource may also
        // contain invisible characters, which are escaped wherever they are shown.
        let is_odd = |entry: &&str| entry.contains(',') || entry.trim() != *entry || has_harmful(entry);
        if entries.iter().any(is_odd) {
            let all: Vec<_> = entries.into_iter().map(toml_string).collect();
            let place = format!("in plugins.toml, under [plugin.{plugin}.grants], in the list \"{permission}\"");
            return Ok(format!("{place}: {}", all.join(", ")));
        }
        let change = match &entries[..] {
            [] => permission.to_string(),
            entries => format!("{permission}={}", entries.join(",")),
        };
        Ok(format!("parlor plugin grant {plugin} {}", shell_word(&change)))
    }
}

/// Writes a text as a TOML string on one line, with every invisible character escaped.
fn toml_string(text: &str) -> String {
    let mut reader = Reader::default();
    let mut written = String::new();
    // The escapes of JSON are also valid in TOML.
    for one in serde_json::Value::from(text).to_string().chars() {
        if reader.is_harmful(one) {
            written.extend(format!("\\U{:08X}", u32::from(one)).chars());
        } else {
            written.push(one);
        }
    }
    written
}

/// Returns the error for a call without the grant that it needs, with the command that adds the grant. If no grant
/// would help, it says why.
pub fn denial(plugin: &str, permission: Permission, scope: Option<String>) -> CallError {
    let change = scope.clone().map_or(GrantChange::Whole, |scope| GrantChange::Targets(vec![scope]));
    let hint = change.remedy(plugin, permission).unwrap_or_else(|why| why);
    CallError::Denied { permission, scope, hint }
}

/// Returns the same for a plugin that wants encrypted messages alone: the command grants no others.
pub fn denial_of_encrypted(plugin: &str, permission: Permission, scope: Option<String>) -> CallError {
    let whom = scope.clone().map_or(GrantChange::Whole, |scope| GrantChange::Targets(vec![scope]));
    let entry = format!("{ENCRYPTED}{}", scope.as_deref().unwrap_or("*"));
    let remedy = whom.check(permission).and_then(|()| GrantChange::Entries(vec![entry]).remedy(plugin, permission));
    CallError::Denied { permission, scope, hint: remedy.unwrap_or_else(|why| why) }
}

/// Returns the error for a call whose permission is not in the plugin's manifest: it cannot be granted.
pub fn undeclared(permission: Permission, scope: Option<String>) -> CallError {
    let change = example(permission);
    let hint = format!(
        "its author has to ask for it, in plugin.toml under [permissions]: \"{permission}\" = {{ scope = {change}, reason = \"…\" }}, \
         and to build it again; no grant helps before"
    );
    CallError::Denied { permission, scope, hint }
}
