//! The table of the host's settings: key, type, default, and permission to change it. Docs and checks use it.

use jid::BareJid;
use serde_json::Value;

/// A setting of the host.
#[derive(Debug, Clone, Copy)]
pub struct SettingRule {
    /// The key.
    pub key: &'static str,
    /// The type and range of its value.
    pub kind: SettingKind,
    /// Its default, as JSON; `null` = none.
    pub default: &'static str,
    /// Its purpose, which decides who may change it.
    pub role: Role,
}

/// The purpose of a setting, which decides who may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has an effect, and a plugin with `settings.write` may change it.
    Effect,
    /// It decides about connection, credentials, policy or exposure, and only the operator may change it.
    Operator,
    /// Like `Operator`, and its value cannot be read back.
    Secret,
    /// Kept for a front end; the host does nothing with it.
    Data,
}

/// The type and range of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// True or false.
    Flag,
    /// A string.
    Text,
    /// A whole number within these bounds, inclusive.
    Number(i64, i64),
    /// A choice of these strings.
    Choice(&'static [&'static str]),
    /// A list of some of these strings.
    Choices(&'static [&'static str]),
    /// A list of bare JIDs.
    Jids,
    /// A list of rooms: bare JIDs, or `{jid, nick}`.
    Rooms,
    /// A list of strings.
    Names,
    /// Any JSON.
    Any,
}

/// The most rooms, JIDs or names in a list.
const MOST_IN_A_LIST: usize = 1_000;
/// The longest text, in bytes.
const LONGEST_TEXT: usize = 4_096;

const U32: SettingKind = SettingKind::Number(0, u32::MAX as i64);

const fn rule(role: Role, key: &'static str, kind: SettingKind, default: &'static str) -> SettingRule {
    SettingRule { key, kind, default, role }
}

/// The kinds of alerts that owners may get.
pub const ALERTS: &[&str] = &["away", "certificate", "denied", "keys", "kicked", "quarantined"];

/// Every setting of the host, ordered by key.
pub const SETTINGS: &[SettingRule] = {
    use Role::{Data, Effect, Operator, Secret};
    use SettingKind::{Any, Choice, Choices, Flag, Jids, Names, Number, Rooms, Text};
    &[
        // Plugins must not decide which alerts the owners get, and how often.
        rule(Operator, "alerts", Choices(ALERTS), r#"["away","certificate","denied","keys","kicked","quarantined"]"#),
        rule(Operator, "alerts_per_hour", Number(0, 1_000), "12"),
        rule(Effect, "allow_bookmarks", Flag, "true"),
        rule(Effect, "allow_contact_requests", Flag, "true"),
        rule(Effect, "allow_muc", Flag, "true"),
        rule(Effect, "allow_non_roster_messaging", Flag, "false"),
        // Whether people may be written to off the record is the owner's decision, with all about keys.
        rule(Operator, "allow_otr", Flag, "true"),
        // The most messages that `archive.query` returns without `max`.
        rule(Effect, "archived_messages_limit", Number(1, 100_000), "1000"),
        rule(Effect, "archived_messages_page_size", Number(1, 1_000), "50"),
        rule(Operator, "authentication", Choice(&["login", "external", "anonymous", "prebind"]), "\"login\""),
        rule(Effect, "auto_join_on_invite", Flag, "false"),
        rule(Effect, "auto_join_private_chats", Jids, "[]"),
        rule(Effect, "auto_join_rooms", Rooms, "[]"),
        rule(Data, "auto_list_rooms", Flag, "false"),
        rule(Operator, "auto_login", Flag, "true"),
        rule(Operator, "auto_reconnect", Flag, "true"),
        // It lets strangers into the roster. A plugin that set it would make every requester a contact, covered by its
        // grants for contacts.
        rule(Operator, "auto_subscribe", Flag, "false"),
        rule(Operator, "blacklisted_plugins", Names, "[]"),
        rule(Operator, "bosh_service_url", Text, "null"),
        // The prefix of messages that are parsed as commands. A plugin that chose it would choose which messages reach
        // it, without a grant to read any.
        rule(Operator, "command_prefix", Text, "\"!\""),
        // The same holds for this one: with it, a plugin gets messages that begin with a word of its choice.
        rule(Operator, "command_prefix_optional_in_private", Flag, "false"),
        // A secret: its response holds credentials.
        rule(Secret, "credentials_url", Text, "null"),
        // In seconds.
        rule(Effect, "csi_waiting_time", U32, "0"),
        rule(Operator, "debug", Flag, "false"),
        rule(Effect, "default_state", Choice(STATES), "\"online\""),
        // Contacts and rooms read it as the account's words: a plugin needs `status.write` for its own.
        rule(Operator, "default_status_message", Text, "null"),
        rule(Operator, "expose_rid_and_sid", Flag, "false"),
        // The host sends it for a plugin that may not be allowed to send there: the text is the owner's, never a
        // plugin's.
        rule(Operator, "failed_command_answer", Text, "\"Sorry, that failed.\""),
        rule(Data, "hide_muc_server", Flag, "false"),
        rule(Data, "hide_offline_users", Flag, "false"),
        rule(Data, "i18n", Any, "null"),
        rule(Operator, "jid", Text, "null"),
        rule(Operator, "keepalive", Flag, "true"),
        rule(Effect, "message_archiving", Choice(&["never", "always", "roster"]), "null"),
        // In milliseconds.
        rule(Effect, "message_archiving_timeout", U32, "20000"),
        rule(Effect, "message_carbons", Flag, "true"),
        rule(Effect, "muc_history_max_stanzas", U32, "null"),
        rule(Effect, "muc_instant_rooms", Flag, "true"),
        rule(Effect, "muc_nickname_from_jid", Flag, "false"),
        rule(Effect, "nickname", Text, "null"),
        rule(Secret, "password", Text, "null"),
        // In seconds; 0 = never.
        rule(Operator, "ping_interval", U32, "180"),
        rule(Data, "play_sounds", Flag, "false"),
        // The older form of authentication = "prebind".
        rule(Operator, "prebind", Flag, "false"),
        // A secret: its response holds a session.
        rule(Secret, "prebind_url", Text, "null"),
        rule(Effect, "priority", Number(-128, 127), "0"),
        // After a removal, the account returns to a room only if the owner wants that.
        rule(Operator, "rejoin", Choice(&["always", "kicked-once", "never"]), "\"never\""),
        rule(Secret, "rid", Text, "null"),
        rule(Data, "roster_groups", Flag, "false"),
        rule(Data, "show_controlbox_by_default", Flag, "false"),
        rule(Secret, "sid", Text, "null"),
        rule(Operator, "strict_plugin_dependencies", Flag, "false"),
        rule(Operator, "websocket_url", Text, "null"),
        rule(Operator, "whitelisted_plugins", Names, "[]"),
    ]
};

const STATES: &[&str] = &["online", "chat", "away", "dnd", "xa", "offline", "unavailable"];

/// Returns the rule of a key; none = the host has no such setting.
pub fn setting(key: &str) -> Option<&'static SettingRule> {
    SETTINGS.binary_search_by_key(&key, |rule| rule.key).ok().map(|index| &SETTINGS[index])
}

impl SettingRule {
    /// Returns its default, if it has one.
    pub fn default_value(&self) -> Option<Value> {
        serde_json::from_str(self.default).ok().filter(|value: &Value| !value.is_null())
    }

    /// Checks that this is a valid value. A setting whose default is none may be none again.
    ///
    /// The reason never repeats a value, except one that is not a valid address: settings may be secret.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        if value.is_null() && self.default == "null" {
            return Ok(());
        }
        match (self.kind, value) {
            (SettingKind::Any, _) | (SettingKind::Flag, Value::Bool(_)) => Ok(()),
            (SettingKind::Flag, other) => Err(format!("must be true or false, not {}", a(other))),
            (SettingKind::Text, Value::String(text)) => text_fits(text),
            (SettingKind::Text, other) => Err(format!("must be a string, not {}", a(other))),
            (SettingKind::Number(least, most), Value::Number(number)) => match number.as_i64() {
                Some(number) if (least..=most).contains(&number) => Ok(()),
                _ => Err(format!("must be a whole number from {least} to {most}, not {number}")),
            },
            (SettingKind::Number(least, most), other) => {
                Err(format!("must be a whole number from {least} to {most}, not {}", a(other)))
            }
            (SettingKind::Choice(known), value) => match value.as_str() {
                Some(text) if known.contains(&text) => Ok(()),
                _ => Err(format!("must be one of \"{}\"", known.join("\", \""))),
            },
            (SettingKind::Choices(known), Value::Array(list)) => {
                let is_known = |entry: &Value| entry.as_str().is_some_and(|text| known.contains(&text));
                if list.len() <= known.len() && list.iter().all(is_known) {
                    return Ok(());
                }
                Err(format!("must list some of \"{}\"", known.join("\", \"")))
            }
            (SettingKind::Jids | SettingKind::Rooms | SettingKind::Names, Value::Array(list)) => {
                if list.len() > MOST_IN_A_LIST {
                    return Err(format!("has {} entries, and may have {MOST_IN_A_LIST}", list.len()));
                }
                list.iter().try_for_each(|entry| self.kind.check_entry(entry))
            }
            (SettingKind::Choices(_) | SettingKind::Jids | SettingKind::Rooms | SettingKind::Names, other) => {
                Err(format!("must be a list, not {}", a(other)))
            }
        }
    }
}

impl SettingKind {
    fn check_entry(self, entry: &Value) -> Result<(), String> {
        match (self, entry) {
            (Self::Jids, Value::String(jid)) => bare_jid(jid),
            (Self::Rooms, Value::String(jid)) => room(jid),
            (Self::Rooms, Value::Object(keys)) => {
                if let Some(key) = keys.keys().find(|key| key.starts_with("password")) {
                    return Err(format!(
                        "has a room with {key:?}: a password is not written here; put it into a file or a variable of the environment, and the owner writes it as password_file or password_env in parlor.toml or accounts.toml"
                    ));
                }
                if let Some(other) = keys.keys().find(|key| !matches!(key.as_str(), "jid" | "nick")) {
                    return Err(format!(
                        "has a room with the unknown key {other:?}: write {{ jid = \"…\", nick = \"…\" }}"
                    ));
                }
                match (entry.get("jid"), entry.get("nick")) {
                    (Some(Value::String(jid)), None | Some(Value::Null)) => room(jid),
                    (Some(Value::String(jid)), Some(Value::String(nick))) => {
                        text_fits(nick)?;
                        room(jid)
                    }
                    _ => Err("has a room that is not { jid = \"…\", nick = \"…\" }".to_owned()),
                }
            }
            (Self::Names, Value::String(name)) => text_fits(name),
            (Self::Rooms, other) => Err(format!("must list rooms, each a JID or {{ jid, nick }}, not {}", a(other))),
            (Self::Jids, other) => Err(format!("must list JIDs, not {}", a(other))),
            (_, other) => Err(format!("must list strings, not {}", a(other))),
        }
    }
}

/// Checks the address of a room: it has a node, since one without is that of a service (XEP-0045, section 4.1).
fn room(text: &str) -> Result<(), String> {
    bare_jid(text)?;
    if BareJid::new(text).is_ok_and(|jid| jid.node().is_none()) {
        let shown: String = text.chars().take(128).collect();
        return Err(format!(
            "lists {shown:?}, which has no name before an @: write it whole, such as \"den@conference.example.org\""
        ));
    }
    Ok(())
}

fn bare_jid(text: &str) -> Result<(), String> {
    let shown: String = text.chars().take(128).collect();
    match jid::Jid::new(text).map(jid::Jid::try_into_full) {
        Ok(Err(BareJid { .. })) => Ok(()),
        Ok(Ok(full)) => Err(format!("lists {shown:?}, which has a resource: write {:?}", full.to_bare().as_str())),
        Err(error) => Err(format!("lists {shown:?}, which is no JID: {error}")),
    }
}

fn text_fits(text: &str) -> Result<(), String> {
    if text.len() > LONGEST_TEXT {
        return Err(format!("has a text of {} bytes, and may have {LONGEST_TEXT}", text.len()));
    }
    Ok(())
}

fn a(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_and_its_defaults_fit() {
        assert!(SETTINGS.is_sorted_by(|a, b| a.key < b.key));
        for rule in SETTINGS {
            let default = serde_json::from_str(rule.default).unwrap();
            assert_eq!(rule.check(&default), Ok(()), "{}", rule.key);
            assert_eq!(setting(rule.key).unwrap().key, rule.key);
        }
    }

    #[test]
    fn owners_get_all_alerts_unless_they_choose_some() {
        let rule = setting("alerts").unwrap();
        assert_eq!(serde_json::from_str::<Vec<String>>(rule.default).unwrap(), ALERTS);
        for (value, is_well) in [
            (serde_json::json!([]), true),
            (serde_json::json!(["kicked"]), true),
            (serde_json::json!(["kickd"]), false),
            (serde_json::json!([1]), false),
            (serde_json::json!(vec!["kicked"; ALERTS.len() + 1]), false),
            (serde_json::json!("kicked"), false),
        ] {
            assert_eq!(rule.check(&value).is_ok(), is_well, "{value}");
        }
    }

    /// The settings that the API lists, with their defaults.
    const LISTED: &[(&str, &str)] = &[
        ("authentication", "\"login\""),
        ("prebind", "false"),
        ("auto_login", "true"),
        ("auto_reconnect", "true"),
        ("keepalive", "true"),
        ("jid", "null"),
        ("password", "null"),
        ("nickname", "null"),
        ("bosh_service_url", "null"),
        ("websocket_url", "null"),
        ("credentials_url", "null"),
        ("prebind_url", "null"),
        ("sid", "null"),
        ("rid", "null"),
        ("priority", "0"),
        ("default_state", "\"online\""),
        ("csi_waiting_time", "0"),
        ("ping_interval", "180"),
        ("allow_non_roster_messaging", "false"),
        ("allow_contact_requests", "true"),
        ("allow_otr", "true"),
        ("auto_subscribe", "false"),
        ("message_carbons", "true"),
        ("message_archiving", "null"),
        ("archived_messages_page_size", "50"),
        ("message_archiving_timeout", "20000"),
        ("allow_muc", "true"),
        ("muc_instant_rooms", "true"),
        ("auto_join_rooms", "[]"),
        ("auto_join_private_chats", "[]"),
        ("auto_join_on_invite", "false"),
        ("muc_nickname_from_jid", "false"),
        ("muc_history_max_stanzas", "null"),
        ("expose_rid_and_sid", "false"),
        ("strict_plugin_dependencies", "false"),
        ("whitelisted_plugins", "[]"),
        ("blacklisted_plugins", "[]"),
        ("allow_bookmarks", "true"),
        ("debug", "false"),
    ];

    /// The listed settings that are kept for a front end.
    const KEPT: &[(&str, &str)] = &[
        ("auto_list_rooms", "false"),
        ("hide_muc_server", "false"),
        ("i18n", "null"),
        ("show_controlbox_by_default", "false"),
        ("play_sounds", "false"),
        ("hide_offline_users", "false"),
        ("roster_groups", "false"),
    ];

    /// The settings that other parts of the API need.
    const ADDED: &[(&str, &str)] = &[
        ("alerts", r#"["away","certificate","denied","keys","kicked","quarantined"]"#),
        ("alerts_per_hour", "12"),
        ("archived_messages_limit", "1000"),
        ("command_prefix", "\"!\""),
        ("command_prefix_optional_in_private", "false"),
        ("default_status_message", "null"),
        ("failed_command_answer", "\"Sorry, that failed.\""),
        ("rejoin", "\"never\""),
    ];

    #[test]
    fn the_table_is_what_the_api_lists() {
        let listed: Vec<_> = LISTED.iter().chain(KEPT).chain(ADDED).collect();
        for (key, default) in &listed {
            assert_eq!(setting(key).map(|rule| rule.default), Some(*default), "{key}");
        }
        for rule in SETTINGS {
            assert!(listed.iter().any(|(key, _)| *key == rule.key), "{} is not listed", rule.key);
            let is_kept = KEPT.iter().any(|(key, _)| *key == rule.key);
            assert_eq!(rule.role == Role::Data, is_kept, "{}", rule.key);
        }
    }

    /// Collects the host's Rust sources, except tests and the settings themselves.
    fn product(folder: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !matches!(name.as_str(), "tests" | "settings") {
                product(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
                text.push_str(
                    std::fs::read_to_string(&path).unwrap().split("#[cfg(test)]\nmod tests {").next().unwrap(),
                );
            }
        }
    }

    #[test]
    fn each_setting_with_an_effect_is_read_somewhere() {
        let mut text = String::new();
        // This package, and those above it.
        product(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap(), &mut text);
        let is_read = |key: &str| {
            let read = format!(".{key}");
            text.match_indices(&read).any(|(at, _)| {
                !text[at + read.len()..].starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '('))
            })
        };
        for rule in SETTINGS.iter().filter(|rule| rule.role != Role::Data) {
            // Keys of the account, and the older form of another setting, are read elsewhere.
            let elsewhere = matches!(rule.key, "jid" | "password" | "prebind");
            assert!(elsewhere || is_read(rule.key), "nobody reads {}", rule.key);
        }
    }

    #[test]
    fn connection_credentials_policy_and_exposure_are_the_operators() {
        for key in [
            "authentication",
            "bosh_service_url",
            "websocket_url",
            "credentials_url",
            "prebind_url",
            "jid",
            "password",
            "whitelisted_plugins",
            "blacklisted_plugins",
            "expose_rid_and_sid",
            "strict_plugin_dependencies",
            "debug",
            "command_prefix",
            "command_prefix_optional_in_private",
            "alerts",
            "alerts_per_hour",
            "rejoin",
            "default_status_message",
        ] {
            assert!(matches!(setting(key).unwrap().role, Role::Operator | Role::Secret), "{key}");
        }
    }
}
