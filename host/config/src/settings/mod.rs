//! The settings of one account: given values over the host's defaults. No files and no flags.
//!
//! Keys that the host does not know are kept, since a plugin may claim them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use jid::BareJid;
use parlor_base::nearest;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

pub use auto_join::AutoJoin;
pub use choices::{Archiving, Authentication, Rejoin};
pub(crate) use room_passwords::ROOMS;
pub use room_passwords::{RoomPasswordPlace, RoomPasswordPlaces};
pub use table::{ALERTS, Role, SETTINGS, SettingKind, SettingRule, setting};

mod auto_join;
mod choices;
mod room_passwords;
mod table;

/// The most settings that one account may have.
const MOST_SETTINGS: usize = 1_000;
/// The longest key, in bytes.
const LONGEST_KEY: usize = 128;

/// The settings of one account. Cheap to clone; a change returns new settings. Debug output omits secrets.
#[derive(Clone)]
pub struct Settings(Arc<Inner>);

struct Inner {
    given: BTreeMap<String, Value>,
    /// Defaults that plugins set for settings of the host.
    defaults: BTreeMap<String, Value>,
    effective: Effective,
    /// The owner's alone: no value that a plugin reads or sets has them.
    room_passwords: Arc<RoomPasswordPlaces>,
}

/// The settings with an effect, with their types. Reach them through [`Settings`], as `settings.nickname`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the keys are described in the table, and in the handbook")]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own, with the name that owners know")]
pub struct Effective {
    /// Some of [`ALERTS`].
    pub alerts: Vec<String>,
    /// Over which alerts are withheld; 0 = none is sent.
    pub alerts_per_hour: u32,
    pub allow_bookmarks: bool,
    pub allow_contact_requests: bool,
    pub allow_muc: bool,
    pub allow_non_roster_messaging: bool,
    pub allow_otr: bool,
    pub archived_messages_limit: u32,
    pub archived_messages_page_size: u32,
    pub authentication: Authentication,
    pub auto_join_on_invite: bool,
    #[serde(deserialize_with = "bare_jids")]
    pub auto_join_private_chats: Vec<BareJid>,
    pub auto_join_rooms: Vec<AutoJoin>,
    pub auto_login: bool,
    pub auto_reconnect: bool,
    pub auto_subscribe: bool,
    pub blacklisted_plugins: Vec<String>,
    pub bosh_service_url: Option<String>,
    pub command_prefix: String,
    /// In chats, and in private messages through a room.
    pub command_prefix_optional_in_private: bool,
    pub credentials_url: Option<String>,
    /// In seconds of idleness; 0 = never (XEP-0352).
    pub csi_waiting_time: u32,
    pub debug: bool,
    /// One of `online`, `chat`, `away`, `dnd`, `xa`, `offline` or `unavailable`.
    pub default_state: String,
    pub default_status_message: Option<String>,
    pub expose_rid_and_sid: bool,
    pub failed_command_answer: String,
    pub keepalive: bool,
    pub message_archiving: Option<Archiving>,
    /// In milliseconds, for one page of the archive.
    pub message_archiving_timeout: u32,
    pub message_carbons: bool,
    pub muc_history_max_stanzas: Option<u32>,
    pub muc_instant_rooms: bool,
    pub muc_nickname_from_jid: bool,
    pub nickname: Option<String>,
    /// In seconds; 0 = never.
    pub ping_interval: u32,
    prebind: bool,
    pub prebind_url: Option<String>,
    pub priority: i8,
    pub rejoin: Rejoin,
    pub rid: Option<String>,
    pub sid: Option<String>,
    pub strict_plugin_dependencies: bool,
    pub websocket_url: Option<String>,
    pub whitelisted_plugins: Vec<String>,
}

/// The reason why a setting cannot have a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The host has this setting, and the value is invalid.
    #[error("the setting {key:?} {reason}")]
    Wrong {
        /// The key of the setting.
        key: String,
        /// The requirement that the value does not meet.
        reason: String,
    },
    /// It is a key of the account itself.
    #[error("{key:?} is no setting to be written here: write {instead} under [account.<name>]")]
    OfAccount {
        /// The misplaced key.
        key: &'static str,
        /// The key to write instead.
        instead: &'static str,
    },
    /// The key is empty or too long.
    #[error("a setting's key has 1 to {LONGEST_KEY} bytes, not {0}")]
    BadKey(usize),
    /// There are too many settings.
    #[error("an account has {MOST_SETTINGS} settings at most")]
    TooMany,
}

impl Settings {
    /// Returns the effective value: the given one, else the default. None: no such setting, no value, or a secret.
    pub fn get(&self, key: &str) -> Option<Value> {
        let rule = setting(key);
        if rule.is_some_and(|rule| rule.role == Role::Secret) {
            return None;
        }
        match self.0.given.get(key).or_else(|| self.0.defaults.get(key)) {
            Some(given) => Some(given.clone()).filter(|value| !value.is_null()),
            None => rule?.default_value(),
        }
    }

    /// Returns the value that was given for a key, even if the host does not know the key.
    pub fn given(&self, key: &str) -> Option<&Value> {
        self.0.given.get(key)
    }

    /// Returns the settings with one value changed. The caller checks that the change is allowed; see
    /// [`Settings::operator_only`].
    ///
    /// Null resets a setting to none, if its default is none.
    pub fn with(&self, key: &str, value: Value) -> Result<Self, SettingError> {
        Self::check(key, &value)?;
        let mut given = self.0.given.clone();
        given.insert(key.to_owned(), value);
        Self::new(given, self.0.defaults.clone(), &self.0.room_passwords, key)
    }

    /// Returns the settings with another default for a setting of the host. Given values still win.
    pub fn with_default(&self, key: &str, value: Value) -> Result<Self, SettingError> {
        Self::check(key, &value)?;
        let mut defaults = self.0.defaults.clone();
        defaults.insert(key.to_owned(), value);
        Self::new(self.0.given.clone(), defaults, &self.0.room_passwords, key)
    }

    /// Applies the owner's edit: the differences between the two configured versions, `before` and `after`. A value
    /// that others have changed since stays, unless the owner changed that key.
    #[must_use]
    pub fn rewritten(&self, before: &Self, after: &Self) -> Self {
        let mut given = self.0.given.clone();
        for (key, value) in after.0.given.iter().filter(|(key, value)| before.0.given.get(*key) != Some(*value)) {
            given.insert(key.clone(), value.clone());
        }
        given.retain(|key, _| after.0.given.contains_key(key) || !before.0.given.contains_key(key));
        // The only possible error is too many settings; then the configured ones apply alone.
        Self::new(given, self.0.defaults.clone(), &after.0.room_passwords, "").unwrap_or_else(|_| after.clone())
    }

    /// Returns the keys whose given values differ between the two, including those that only one has.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let (own, others) = (&self.0.given, &other.0.given);
        let new = others.keys().filter(|key| !own.contains_key(*key));
        own.keys().filter(|key| own.get(*key) != others.get(*key)).chain(new).map(String::as_str)
    }

    /// Checks that this value is valid for this key.
    pub fn check(key: &str, value: &Value) -> Result<(), SettingError> {
        match key {
            "jid" => return Err(SettingError::OfAccount { key: "jid", instead: "jid" }),
            "password" => return Err(SettingError::OfAccount { key: "password", instead: "password_file" }),
            _ if key.is_empty() || key.len() > LONGEST_KEY => return Err(SettingError::BadKey(key.len())),
            _ => {}
        }
        setting(key)
            .map_or(Ok(()), |rule| rule.check(value))
            .map_err(|reason| SettingError::Wrong { key: key.to_owned(), reason })
    }

    fn new(
        given: BTreeMap<String, Value>,
        defaults: BTreeMap<String, Value>,
        room_passwords: &Arc<RoomPasswordPlaces>,
        key: &str,
    ) -> Result<Self, SettingError> {
        if given.len() > MOST_SETTINGS || defaults.len() > MOST_SETTINGS {
            return Err(SettingError::TooMany);
        }
        let all = SETTINGS.iter().map(|rule| {
            let value = given
                .get(rule.key)
                .or_else(|| defaults.get(rule.key))
                .cloned()
                .or_else(|| rule.default_value())
                .unwrap_or(Value::Null);
            (rule.key.to_owned(), value)
        });
        let mut effective: Effective = serde_json::from_value(Value::Object(all.collect()))
            .map_err(|error| SettingError::Wrong { key: key.to_owned(), reason: format!("does not fit: {error}") })?;
        if effective.prebind {
            effective.authentication = Authentication::Prebind;
        }
        Ok(Self(Arc::new(Inner { given, defaults, effective, room_passwords: Arc::clone(room_passwords) })))
    }

    /// Returns whether the host has a setting of this key.
    pub fn is_known(key: &str) -> bool {
        setting(key).is_some()
    }

    /// Returns whether plugins may never change it, with any grants. This covers connection, credentials, policy and
    /// exposure, and every address of a service.
    pub fn operator_only(key: &str) -> bool {
        // Fold the case, so that no other spelling passes if another reader ignores case.
        let key = key.to_ascii_lowercase();
        key.ends_with("_url") || setting(&key).is_some_and(|rule| matches!(rule.role, Role::Operator | Role::Secret))
    }

    /// Returns the known key that is nearest to this one.
    pub fn nearest(key: &str) -> Option<&'static str> {
        nearest::nearest(key, SETTINGS.iter().map(|rule| rule.key))
    }

    /// Returns the given keys that the host does not know, each with the nearest known key. A plugin may claim one; the
    /// others deserve a warning.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, Option<&'static str>)> {
        self.0.given.keys().filter(|key| !Self::is_known(key)).map(|key| (key.as_str(), Self::nearest(key)))
    }
}

impl Default for Settings {
    fn default() -> Self {
        static DEFAULT: LazyLock<Settings> = LazyLock::new(|| {
            Settings::new(BTreeMap::new(), BTreeMap::new(), &Arc::default(), "")
                .expect("a test reads the table's defaults into the typed settings")
        });
        DEFAULT.clone()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.0.given.keys().map(|key| (key, self.get(key)));
        f.debug_map().entries(given).entries(self.room_passwords()).finish()
    }
}

impl Deref for Settings {
    type Target = Effective;

    fn deref(&self) -> &Effective {
        &self.0.effective
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.is_same_as(other)
    }
}

impl Eq for Settings {}

fn bare_jids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<BareJid>, D::Error> {
    let written = Vec::<String>::deserialize(deserializer)?;
    written.iter().map(|jid| BareJid::new(jid)).collect::<Result<_, _>>().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_those_of_the_table() {
        let settings = Settings::default();
        assert_eq!(settings.ping_interval, 180);
        assert_eq!(settings.default_state, "online");
        assert!(settings.auto_login && settings.allow_muc && !settings.allow_non_roster_messaging);
        assert_eq!(settings.get("ping_interval"), Some(json!(180)));
        assert_eq!(settings.get("play_sounds"), Some(json!(false)));
        assert_eq!(settings.get("nickname"), None);
        assert_eq!(settings.get("nobody-knows"), None);
    }

    #[test]
    fn what_is_given_wins_and_earlier_holders_do_not_change() {
        let before = Settings::default();
        let after = before.with("nickname", json!("bot")).unwrap().with("priority", json!(-5)).unwrap();
        assert_eq!((after.nickname.as_deref(), after.priority), (Some("bot"), -5));
        assert_eq!((before.nickname.as_deref(), before.priority), (None, 0));
        assert_eq!(after.with("nickname", Value::Null).unwrap().nickname, None);
        assert_ne!(before, after);
    }

    /// Row 116.
    #[test]
    fn another_default_gives_way_to_what_is_given() {
        let settings = Settings::default().with_default("nickname", json!("offered")).unwrap();
        assert_eq!((settings.nickname.as_deref(), settings.get("nickname")), (Some("offered"), Some(json!("offered"))));
        let settings = settings.with("nickname", json!("given")).unwrap();
        assert_eq!(settings.with_default("nickname", json!("again")).unwrap().nickname.as_deref(), Some("given"));
        assert!(Settings::default().with_default("priority", json!("high")).is_err());
    }

    #[test]
    fn what_is_written_anew_counts_and_what_was_set_since_stays() {
        let of = |pairs: &[(&str, Value)]| {
            let settings = Settings::default().with_default("command_prefix", json!("?")).unwrap();
            pairs.iter().fold(settings, |settings, (key, value)| settings.with(key, value.clone()).unwrap())
        };
        let before = of(&[("nickname", json!("a")), ("priority", json!(1)), ("mine", json!(1))]);
        let now = before.with("default_state", json!("dnd")).unwrap().with("priority", json!(7)).unwrap();
        let after = of(&[("nickname", json!("b")), ("priority", json!(1)), ("play_sounds", json!(true))]);
        let expected = of(&[
            ("nickname", json!("b")),
            ("priority", json!(7)),
            ("default_state", json!("dnd")),
            ("play_sounds", json!(true)),
        ]);
        assert_eq!(now.rewritten(&before, &after), expected);
        let mut differing: Vec<_> = before.differing(&after).collect();
        differing.sort_unstable();
        assert_eq!(differing, ["mine", "nickname", "play_sounds"]);
    }

    #[test]
    fn a_wrong_value_is_refused_by_name() {
        let refused = |key, value| Settings::default().with(key, value).unwrap_err().to_string();
        for (key, value, error) in [
            ("allow_muc", json!("yes"), "the setting \"allow_muc\" must be true or false, not a string"),
            ("priority", json!(128), "the setting \"priority\" must be a whole number from -128 to 127, not 128"),
            ("priority", json!(1.5), "the setting \"priority\" must be a whole number from -128 to 127, not 1.5"),
            (
                "ping_interval",
                json!(null),
                "the setting \"ping_interval\" must be a whole number from 0 to 4294967295, not nothing",
            ),
            (
                "message_archiving",
                json!("sometimes"),
                "the setting \"message_archiving\" must be one of \"never\", \"always\", \"roster\"",
            ),
            ("nickname", json!(7), "the setting \"nickname\" must be a string, not a number"),
            ("auto_join_rooms", json!("a@b"), "the setting \"auto_join_rooms\" must be a list, not a string"),
            (
                "auto_join_rooms",
                json!(["a@b/c"]),
                "the setting \"auto_join_rooms\" lists \"a@b/c\", which has a resource: write \"a@b\"",
            ),
            (
                "auto_join_rooms",
                json!(["den"]),
                "the setting \"auto_join_rooms\" lists \"den\", which has no name before an @: write it whole, such as \"den@conference.example.org\"",
            ),
            (
                "auto_join_rooms",
                json!([{ "jid": "den", "nick": "c" }]),
                "the setting \"auto_join_rooms\" lists \"den\", which has no name before an @: write it whole, such as \"den@conference.example.org\"",
            ),
            (
                "auto_join_rooms",
                json!([{ "jid": "a@b", "nickname": "c" }]),
                "the setting \"auto_join_rooms\" has a room with the unknown key \"nickname\": write { jid = \"…\", nick = \"…\" }",
            ),
            ("whitelisted_plugins", json!([1]), "the setting \"whitelisted_plugins\" must list strings, not a number"),
            (
                "password",
                json!("x"),
                "\"password\" is no setting to be written here: write password_file under [account.<name>]",
            ),
        ] {
            assert_eq!(refused(key, value), error);
        }
    }

    #[test]
    fn secrets_do_not_read_back() {
        let settings = Settings::default().with("credentials_url", json!("https://example.org/canary")).unwrap();
        assert_eq!(settings.get("credentials_url"), None);
        for key in ["password", "sid", "rid", "prebind_url"] {
            assert_eq!(settings.get(key), None);
        }
    }

    #[test]
    fn the_operators_keys_are_told_from_others_in_any_case() {
        for key in ["jid", "BOSH_service_url", "any_url", "expose_rid_and_sid", "Debug"] {
            assert!(Settings::operator_only(key), "{key}");
        }
        for key in ["nickname", "auto_join_rooms", "play_sounds", "greeting"] {
            assert!(!Settings::operator_only(key), "{key}");
        }
    }

    #[test]
    fn the_older_form_of_prebind_still_counts() {
        let settings = Settings::default().with("prebind", json!(true)).unwrap();
        assert_eq!(settings.authentication, Authentication::Prebind);
    }

    #[test]
    fn unknown_keys_are_kept_and_named_with_the_nearest() {
        let settings =
            Settings::default().with("nicknam", json!("x")).unwrap().with("greeting", json!({"a": [1]})).unwrap();
        assert_eq!(settings.unknown().collect::<Vec<_>>(), [("greeting", None), ("nicknam", Some("nickname"))]);
        assert_eq!(settings.get("greeting"), Some(json!({"a": [1]})));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            "[a-z]{1,3}@[a-z]{1,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("jid|nick|x", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// A value that passes the check always fits the typed settings, so the two cannot diverge.
        #[test]
        fn what_passes_the_check_fits(rule in prop::sample::select(SETTINGS), value in any_value()) {
            if rule.check(&value).is_ok() && !matches!(rule.key, "jid" | "password") {
                let settings = Settings::default().with(rule.key, value.clone());
                prop_assert!(settings.is_ok(), "{:?}", settings);
            }
        }
    }
}
