//! The grants and settings of a tested plugin: those of its manifest, until a script changes them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::nearest::nearest;
use parlor_base::permission::Permission;
use parlor_base::web_address::WebAddress;
use parlor_config::{Settings, Web};
use parlor_plugins::manifest::Manifest;
use parlor_plugins::setting::{Setting, SettingKind};
use parlor_session::permissions::Grants;
use serde_json::Value;

use super::names;
use super::web;

/// The address for requests to webhooks. Its domain is for examples (RFC 2606), so a service that is given it sends to nobody.
const ADDRESS: &str = "https://bot.example.org";

/// The credentials and certificates that an author gives a plugin that is tried by hand. Its requests go to the network.
#[derive(Clone, Default)]
pub struct ByHand {
    /// The values of credentials, which are never shown.
    pub credentials: BTreeMap<String, String>,
    /// Certificates that are trusted for requests, in addition to the system's.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for ByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByHand({})", self.credentials.len())
    }
}

/// The grants and settings of a plugin: those that its manifest asks for, until a script changes them.
#[derive(Debug, Clone)]
pub struct Given {
    manifest: Arc<Manifest>,
    pub(super) settings: Settings,
    /// The owners of the account.
    pub(super) owners: Vec<BareJid>,
    pub(super) rooms: Vec<BareJid>,
    grants: toml::Table,
    pub(super) own: BTreeMap<String, Value>,
    /// The credentials and certificates for requests that go to the network; `None` in a test, which answers them itself.
    by_hand: Option<ByHand>,
}

impl Given {
    /// Creates the grants that the manifest asks for.
    pub fn of(manifest: &Arc<Manifest>) -> Self {
        let grants = manifest.permissions.iter().map(|(permission, one)| (permission.to_string(), one.scope.clone()));
        Self {
            manifest: Arc::clone(manifest),
            settings: Settings::default(),
            owners: Vec::new(),
            rooms: Vec::new(),
            grants: grants.collect(),
            own: manifest.settings.iter().filter_map(web::stand_in).collect(),
            by_hand: None,
        }
    }

    /// Creates the same for a plugin whose requests go to the network: a credential for them has the author's value, or none.
    pub fn by_hand(manifest: &Arc<Manifest>, by_hand: &ByHand) -> Self {
        let mut given = Self { by_hand: Some(by_hand.clone()), ..Self::of(manifest) };
        for (key, setting) in &manifest.settings {
            if matches!(setting.kind, SettingKind::Credential(Some(_))) {
                // A server would get the stand-in of a test as if it were the credential.
                given.own.remove(key);
                given.own.extend(by_hand.credentials.get(key).map(|value| (key.clone(), value.as_str().into())));
            }
        }
        given
    }

    /// Returns the web as the plugin's host has it. Nothing listens at the address for webhooks.
    pub(super) fn web(&self) -> Web {
        Web {
            listen: Some(SocketAddr::from(([192, 0, 2, 1], 443))),
            address: WebAddress::parse(ADDRESS).ok(),
            ca_file: self.by_hand.as_ref().and_then(|by_hand| by_hand.ca_file.clone()),
            ..Web::default()
        }
    }

    /// Changes a setting of the host, or says who the owners of the account are.
    pub fn host(&mut self, key: &str, value: Value) -> Result<(), String> {
        if key == "owners" {
            self.owners = names::people(&value)?;
            return Ok(());
        }
        if !Settings::is_known(key) {
            let near = Settings::nearest(key).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("the host has no setting `{key}`{near}"));
        }
        self.settings = self.settings.with(key, value).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Adds a room that the account is in from the beginning.
    pub fn room(&mut self, room: BareJid) -> Result<(), String> {
        if !self.rooms.contains(&room) {
            self.rooms.push(room);
        }
        let rooms = self.rooms.iter().map(BareJid::to_string).collect::<Vec<_>>();
        self.host("auto_join_rooms", rooms.into())
    }

    /// Changes one of the plugin's own settings.
    pub fn set(&mut self, key: &str, value: Value) -> Result<(), String> {
        let Some(setting) = self.manifest.settings.get(key) else {
            let near = nearest(key, self.manifest.settings.keys().map(String::as_str));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("the plugin has no setting `{key}`{near}"));
        };
        if matches!(setting.kind, SettingKind::Credential(_)) {
            return self.set_credential(key, &value);
        }
        setting.check(&value).map_err(|why| format!("the setting `{key}` does not fit: {why}"))?;
        self.own.insert(key.to_owned(), value);
        Ok(())
    }

    /// Says whether the owner has given a credential. A plugin never reads its value, so that a test has none either.
    fn set_credential(&mut self, key: &str, value: &Value) -> Result<(), String> {
        if self.by_hand.is_some() {
            return Err(format!(
                "`{key}` is a credential, which is not typed here: give it by `parlor plugin dev --credential {key}`"
            ));
        }
        match value.as_bool() {
            Some(true) => self.own.extend(self.manifest.settings.get_key_value(key).and_then(web::stand_in)),
            Some(false) => drop(self.own.remove(key)),
            None => {
                return Err(format!(
                    "a test needs no value for `{key}`: requests show its name in its place, and those to webhooks are taken as verified; for an owner who has not given it, write: set {key} = false"
                ));
            }
        }
        Ok(())
    }

    /// Returns a required setting that has no value yet.
    pub fn unset(&self) -> Option<&str> {
        let lacks = |(name, setting): &(&String, &Setting)| setting.required && !self.own.contains_key(*name);
        self.manifest.settings.iter().find(lacks).map(|(name, _)| name.as_str())
    }

    /// Withholds or revokes a permission.
    pub fn deny(&mut self, permission: Permission) -> Result<(), String> {
        self.asked_for(permission)?;
        self.grants.remove(permission.as_str());
        Ok(())
    }

    /// Grants a permission, with the scope of the manifest or another.
    pub fn grant(&mut self, permission: Permission, scope: Option<toml::Value>) -> Result<(), String> {
        let asked = self.asked_for(permission)?;
        let scope = scope.map_or(asked, |scope| names::scope(permission.scope_kind(), scope));
        let table = toml::Table::from_iter([(permission.to_string(), scope.clone())]);
        Grants::from_table(&table).map_err(|error| error.to_string())?;
        self.grants.insert(permission.to_string(), scope);
        Ok(())
    }

    fn asked_for(&self, permission: Permission) -> Result<toml::Value, String> {
        let request = self.manifest.permissions.get(&permission);
        let none = || format!("the plugin does not ask for {permission}, so it never has it");
        request.map(|request| request.scope.clone()).ok_or_else(none)
    }

    /// Returns the grants and settings for another version of the plugin: the same ones, as far as its manifest asks
    /// for them.
    pub(super) fn passed_on(self, manifest: &Arc<Manifest>) -> Self {
        let mut new = match &self.by_hand {
            Some(by_hand) => Self::by_hand(manifest, by_hand),
            None => Self::of(manifest),
        };
        for (key, value) in self.own {
            // A value that the new manifest does not accept is left out.
            let _ = new.set(&key, value);
        }
        let asked = self.manifest.permissions.keys();
        // Revoked permissions stay revoked and narrowed scopes stay narrowed. Permissions that are new in the manifest
        // are granted.
        for permission in asked.filter(|permission| manifest.permissions.contains_key(permission)) {
            match self.grants.get(permission.as_str()) {
                None => drop(new.grants.remove(permission.as_str())),
                Some(scope) if *scope != self.manifest.permissions[permission].scope => {
                    new.grants.insert(permission.to_string(), scope.clone());
                }
                Some(_) => {}
            }
        }
        Self { settings: self.settings, owners: self.owners, rooms: self.rooms, ..new }
    }

    pub(super) fn grants(&self) -> Grants {
        // Each grant was parsed when it was added, by the manifest's reader or here.
        Grants::from_table(&self.grants).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = r#"
[plugin]
name = "weather"
version = "0.1.0"
api = "0.1.0"
description = "d"

[permissions]
"http.fetch" = { scope = ["https://api.example.org"], reason = "r" }

[settings.key]
type = "credential"
hosts = ["https://api.example.org"]
description = "d"
"#;

    fn manifest() -> Arc<Manifest> {
        Arc::new(PLUGIN.parse().unwrap())
    }

    #[test]
    fn webhooks_have_an_address_in_a_test() {
        assert_eq!(Given::of(&manifest()).web().public_address().as_deref(), Some(ADDRESS));
    }

    #[test]
    fn a_test_says_whether_the_owner_has_given_a_credential_and_never_its_value() {
        let mut given = Given::of(&manifest());
        let stand_in = given.own.get("key").cloned();
        assert!(stand_in.is_some());
        let refused = given.set("key", "no-secret".into()).unwrap_err();
        assert!(refused.ends_with("write: set key = false"), "{refused}");
        given.set("key", false.into()).unwrap();
        assert_eq!(given.own.get("key"), None);
        given.set("key", true.into()).unwrap();
        assert_eq!(given.own.get("key").cloned(), stand_in);
        let by_hand = Given::by_hand(&manifest(), &ByHand::default()).set("key", false.into()).unwrap_err();
        assert!(by_hand.contains("--credential key"), "{by_hand}");
    }

    #[test]
    fn a_credential_is_the_authors_or_none_where_requests_go_to_the_network() {
        let manifest = manifest();
        assert_eq!(Given::of(&manifest).unset(), None);
        let nothing = Given::by_hand(&manifest, &ByHand::default());
        assert_eq!(nothing.own.get("key"), None);
        let by_hand = ByHand { credentials: [("key".to_owned(), "no-secret".to_owned())].into(), ca_file: None };
        let given = Given::by_hand(&manifest, &by_hand);
        assert_eq!(given.own.get("key"), Some(&Value::from("no-secret")));
        assert_eq!(
            given.clone().passed_on(&manifest).own.get("key"),
            Some(&Value::from("no-secret")),
            "a new build has it, too"
        );
        assert!(!format!("{by_hand:?}").contains("no-secret"));
        let refused = given.clone().set("key", "x".into()).unwrap_err();
        assert!(refused.contains("--credential key"), "{refused}");
    }
}
