//! Every key of `plugins.toml` that is not a permission or a limit, in one table per place. The parser refuses all other
//! keys, and the page for owners is generated from these tables.

pub use parlor_config::keys::Key;
use parlor_config::keys::{NONE, key, names};

/// A policy with every key of these tables.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The keys at the top of the file.
pub const TOP: &[Key] = &[
    key(
        "hooks",
        "a table",
        NONE,
        "The plugins that see what other plugins send and get, with the keys of `[hooks]` below.",
    ),
    key("key", "tables", NONE, "The keys whose signatures you trust, each with the keys of `[key.NAME]` below."),
    key("plugin", "tables", NONE, "The plugins, each with the keys of `[plugin.ID]` below."),
    key(
        "require_signature",
        "true or false",
        Some("false"),
        "Refuse to install, update to or roll back to a component that none of these keys signed. Installed plugins still run; `parlor doctor` names those without a signature.",
    ),
];

/// The keys under `[hooks]`.
pub const HOOKS: &[Key] = &[
    key(
        "outgoing",
        "list of texts",
        Some("[]"),
        "The IDs of the plugins that see, change and stop what other plugins send, at most eight, in the order in which they are asked. Each also needs `hooks.outgoing`.",
    ),
    key(
        "incoming",
        "list of texts",
        Some("[]"),
        "The IDs of the plugins that see messages before other plugins do, label them and hide them. Each also needs `hooks.incoming`.",
    ),
    key(
        "commands",
        "list of texts",
        Some("[]"),
        "The IDs of the plugins that see and refuse commands to other plugins. Each also needs `hooks.commands`.",
    ),
    key(
        "deadline",
        "a duration, such as `\"50 ms\"`",
        Some("\"50 ms\""),
        "How long each of them may take for one message or command, from 1 ms to 5 s.",
    ),
    key(
        "on_failure",
        "`\"pass\"` or `\"stop\"`",
        NONE,
        "What happens to a message or command when a hook does not answer in time, fails, does not run or cannot be asked. Without this key, a message that is too large for the hook is stopped, and otherwise it passes.",
    ),
];

/// The keys under `[key.NAME]`.
pub const KEY: &[Key] = &[
    key("public", "text", None, "The public key: the second line of the signer's `minisign.pub`."),
    key("until", "a day, such as `2030-12-31`", NONE, "The last day, in UTC, on which the key is trusted."),
];

/// The keys under `[plugin.ID]`.
pub const PLUGIN: &[Key] = &[
    key(
        "source",
        "a file, `https://…` or `oci://…`",
        None,
        "Where the plugin came from. `parlor plugin update` looks there for a newer version.",
    ),
    key(
        "digest",
        "`sha256:` and 64 hex digits",
        None,
        "The SHA-256 of the component. The host runs no other bytes. `parlor plugin inspect FILE` prints it.",
    ),
    key("version", "text", NONE, "The version of the component, for display."),
    key("signer", "a NAME of `[key.NAME]`", NONE, "The key that had signed the component when it was installed."),
    key(
        "index",
        "`\"INDEX/NAME\"`",
        NONE,
        "Its name in the index that it was installed by. `parlor plugin update` looks there for a newer version.",
    ),
    key(
        "publisher",
        "text",
        NONE,
        "The public key of its publisher, as that index named it. Updates have to be signed by it.",
    ),
    key(
        "accounts",
        "list of texts",
        NONE,
        "The accounts on which it runs: names, groups (`\"group:support\"`) and patterns of names (`\"support-*\"`), which fit a name with `--` only if they have `--` themselves or are `*`. Groups and patterns also name accounts that you add later. Without this key it runs on all of them, also on those that you add later.",
    ),
    key(
        "missing_accounts",
        "`\"refuse\"` or `\"skip\"`",
        Some("\"refuse\""),
        "What happens when the configuration does not have one of these accounts or groups: it is refused, or runs on the others. `parlor plugin add` writes `\"skip\"` with the accounts that you were asked about.",
    ),
    key(
        "rooms",
        "list of texts",
        NONE,
        "The rooms that it is kept to: it sees and does nothing in others, and its commands work in these alone. Without this key its grants decide.",
    ),
    key("enabled", "true or false", Some("true"), "Whether it runs."),
    key(
        "log",
        "`\"debug\"`, `\"info\"`, `\"warn\"` or `\"error\"`",
        NONE,
        "The lowest level of its messages that are logged. Without this key it is the same as for everything else.",
    ),
    key("commands", "a table", NONE, "Other names for its chat commands, and who may give them how often."),
    key("grants", "a table", NONE, "What it is allowed to do. Without an entry a permission is refused."),
    key("limits", "a table", NONE, "The resources that it may use."),
    key(
        "settings",
        "a table",
        NONE,
        "Values of the settings that its manifest declares. A secret is `{ file = \"…\" }` or `{ command = \"…\" }`; that of a webhook may have a former one beside it, which counts until a time: `former = { file = \"…\", until = \"2026-01-31T12:00:00Z\" }`. Beside it, up to 15 senders may have their own: `senders = { garden = { file = \"…\" } }`.",
    ),
    key(
        "settings_in",
        "tables",
        NONE,
        "Values of the same settings in single rooms, each under `[plugin.ID.settings_in.\"ROOM\"]`. They count while the plugin handles what happens in that room.",
    ),
];

/// The keys under `[plugin.ID.commands.NAME]`.
pub const COMMAND: &[Key] = &[
    key("name", "text", NONE, "The name that people type instead."),
    key(
        "allow",
        "list of texts",
        NONE,
        "Who may give it, in place of what the plugin says: anybody in one of these groups. `\"contacts\"` are those whose presence the bot sees, `\"group:NAME\"` those in a group of its roster, both without what a plugin made of a contact, `\"juliet@example.org\"` is one person, and `\"domain:example.org\"` everybody there; in a room, all of these count only if it shows their addresses. `\"role:moderator\"` and `\"role:participant\"`, `\"affiliation:owner\"`, `\"affiliation:admin\"` and `\"affiliation:member\"` are those in the room with this rank or a higher one. `\"owners\"` are the `owners` of the account, outside of rooms. `[\"everybody\"]` is everybody.",
    ),
    key(
        "person_cooldown",
        "a duration, such as `\"30 s\"`",
        NONE,
        "How long after it the same person has to wait, at most a day, in place of what the plugin says.",
    ),
    key(
        "room_cooldown",
        "a duration, such as `\"30 s\"`",
        NONE,
        "How long after it everybody in the same room has to wait, at most a day, in place of what the plugin says.",
    ),
    key("off", "true or false", Some("false"), "Whether nobody can give it. `help` does not show it, either."),
];

/// The names of the keys in [`TOP`].
pub(crate) static TOP_NAMES: [&str; TOP.len()] = names(TOP);
/// The names of the keys in [`HOOKS`].
pub(crate) static HOOK_NAMES: [&str; HOOKS.len()] = names(HOOKS);
/// The names of the keys in [`KEY`].
pub(crate) static KEY_NAMES: [&str; KEY.len()] = names(KEY);
/// The names of the keys in [`PLUGIN`].
pub(crate) static PLUGIN_NAMES: [&str; PLUGIN.len()] = names(PLUGIN);
/// The names of the keys in [`COMMAND`].
pub(crate) static COMMAND_NAMES: [&str; COMMAND.len()] = names(COMMAND);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::Policy;

    fn parse(text: &str) -> Policy {
        Policy::parse(text, Path::new("/etc/parlor")).unwrap()
    }

    #[test]
    fn the_example_is_a_policy_with_every_key() {
        let policy = parse(EXAMPLE);
        let tea = &policy.plugins["tea"];
        assert!(policy.lets_through(tea.signer.as_ref()) && tea.enabled && tea.version.is_some() && tea.log.is_some());
        let document: toml::Table = EXAMPLE.parse().unwrap();
        let plugin = inner(&document, "plugin");
        let pour = plugin["commands"]["pour"].as_table().unwrap();
        for (place, keys) in [
            (&document, TOP),
            (document["hooks"].as_table().unwrap(), HOOKS),
            (inner(&document, "key"), KEY),
            (plugin, PLUGIN),
            (pour, COMMAND),
        ] {
            let missing: Vec<_> = keys.iter().map(|key| key.name).filter(|name| !place.contains_key(*name)).collect();
            assert_eq!(missing, [""; 0]);
        }
    }

    /// Returns the one table below this one.
    fn inner<'t>(document: &'t toml::Table, table: &str) -> &'t toml::Table {
        document[table].as_table().unwrap().values().next().unwrap().as_table().unwrap()
    }

    #[test]
    fn a_default_that_is_written_out_changes_nothing() {
        let digest = "a".repeat(64);
        let least = format!("[plugin.tea]\nsource = \"tea.wasm\"\ndigest = \"sha256:{digest}\"\n");
        let usual = parse(&least);
        let hooks = format!("{least}[hooks]\n");
        for (keys, before, after) in [(TOP, "", &*least), (PLUGIN, &least, ""), (HOOKS, &hooks, "")] {
            for Key { name, default, .. } in keys {
                let Some(default) = default.filter(|default| *default != "none") else { continue };
                assert_eq!(parse(&format!("{before}{name} = {default}\n{after}")), usual, "{name}");
            }
        }
    }
}
