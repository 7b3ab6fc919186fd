//! The configuration of one account: its name, its link, its settings.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use jid::BareJid;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::ConfigError;
use super::keys::ACCOUNT_NAMES;
use super::link::LinkSettings;
use super::sections::{Section, Written};
use super::settings::{Settings, setting};

/// The name that the owner gives to an account. Letters, digits, `-` and `_`, so that it can name files and variables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

/// A text that cannot name an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name an account: write 1 to 32 of a-z, 0-9, - and _, beginning with a letter or digit")]
pub struct BadAccountName(String);

impl AccountName {
    /// The most bytes in a name.
    pub const LONGEST: usize = 32;

    /// Returns the name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the environment variable that may hold the password of an account without a configured source.
    pub fn password_variable(&self) -> String {
        format!("PARLOR_PASSWORD_{}", self.0.to_ascii_uppercase().replace('-', "_"))
    }
}

impl FromStr for AccountName {
    type Err = BadAccountName;

    fn from_str(name: &str) -> Result<Self, BadAccountName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = name.len() <= Self::LONGEST
            && name.bytes().next().is_some_and(plain)
            && name.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_'));
        if fits { Ok(Self(name.to_owned())) } else { Err(BadAccountName(name.chars().take(64).collect())) }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for AccountName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for AccountName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AccountName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The configuration of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// Its name.
    pub name: AccountName,
    /// Its address, and how to connect and log in to its server.
    pub link: LinkSettings,
    /// The addresses that may send commands to the host from an ordinary client (XEP-0050); empty by default.
    pub owners: Vec<BareJid>,
    /// Its settings.
    pub settings: Settings,
}

impl AccountConfig {
    /// Reads `[account.<name>]`. Paths in it are relative to `folder`. `settings` are the account's own, over the
    /// host's.
    pub fn read(
        name: AccountName,
        section: &Section<'_>,
        folder: &Path,
        environment: fn(&str) -> Option<String>,
        settings: Settings,
    ) -> Result<Self, ConfigError> {
        if let Some(at) = section.place_of("password") {
            return Err(ConfigError::LiteralPassword { at });
        }
        if let Some((key, at)) = section.other_than(&ACCOUNT_NAMES)
            && let Some(rule) = setting(key)
        {
            return Err(ConfigError::SettingOfAccount { at, key: rule.key, account: name });
        }
        section.allow_only(&ACCOUNT_NAMES)?;
        let link = LinkSettings::read(&name, section, folder, environment, &settings)?;
        let owners = owners(section)?;
        Ok(Self { name, link, owners, settings })
    }

    /// Returns problems that are not errors, but should be fixed.
    pub fn warnings(&self) -> Vec<String> {
        self.link.warnings()
    }
}

fn owners(section: &Section<'_>) -> Result<Vec<BareJid>, ConfigError> {
    let Some((_, Written { value, at })) = section.json()?.into_iter().find(|(key, _)| *key == "owners") else {
        return Ok(Vec::new());
    };
    let bad = |jid: &str, reason: &str| ConfigError::BadJid {
        at: at.clone(),
        jid: jid.chars().take(128).collect(),
        reason: reason.to_owned(),
    };
    let no_list = || ConfigError::WrongType {
        at: at.clone(),
        key: "owners".to_owned(),
        expected: "a list of JIDs",
        found: "something else",
    };
    let list = value.as_array().ok_or_else(no_list)?;
    let one = |jid: &serde_json::Value| {
        let text = jid.as_str().ok_or_else(no_list)?;
        match BareJid::new(text) {
            Ok(jid) if jid.node().is_some() => Ok(jid),
            Ok(_) => Err(bad(text, "it has no part before an @")),
            Err(error) => Err(bad(text, &error.to_string())),
        }
    };
    list.iter().map(one).collect()
}
