//! The configuration of one account: its link, its owners, its settings.

use std::path::Path;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::escape::EscapedPath as _;

use super::encryption::{Encryption, OtrPeople, OtrPolicy};
use super::error::{ConfigError, Origin};
use super::group::GroupName;
use super::keys::ACCOUNT_NAMES;
use super::link::{LinkSettings, PasswordSource};
use super::name::AccountName;
use super::sections::{Section, Written};
use super::settings::{Settings, setting};
use super::web::Web;

/// The configuration of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// Its name.
    pub name: AccountName,
    /// The group whose keys count where it has none of its own.
    pub group: Option<GroupName>,
    /// Its address, and how to connect and log in to its server.
    pub link: LinkSettings,
    /// The addresses that may send commands to the host from an ordinary client (XEP-0050), and get alerts; empty by
    /// default.
    pub owners: Vec<BareJid>,
    /// The section `[web]` of the configuration, which all accounts share.
    pub web: Arc<Web>,
    /// How it encrypts from end to end.
    pub encryption: Encryption,
    /// The people with whom it is off the record by another policy.
    pub otr_people: OtrPeople,
    /// Its settings.
    pub settings: Settings,
}

impl AccountConfig {
    /// Reads `[account.<name>]`, which is over the section of its group. Paths in it are relative to `folder`. `settings`
    /// are the account's own, over the group's and the host's.
    pub fn read(
        name: AccountName,
        group: Option<GroupName>,
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
        let encrypts = section.section("encryption")?;
        let mut encryption = Encryption::read(encrypts.as_ref())?;
        let otr_people = OtrPeople::read(encrypts.as_ref())?;
        // No server would keep its keys for others (XEP-0384).
        encryption.omemo &= link.component().is_none();
        let has_otr = [OtrPolicy::Allow, OtrPolicy::Require]
            .into_iter()
            .any(|policy| encryption.otr == policy || otr_people.have(policy));
        let settings = if has_otr { settings } else { without_otr(&settings, section)? };
        Ok(Self { name, group, link, owners, web: Arc::default(), encryption, otr_people, settings })
    }

    /// Returns whether this person is an owner to whom the account can write. It cannot write to itself: that would come back as a
    /// message from its owner.
    pub fn has_owner(&self, jid: &BareJid) -> bool {
        self.owners.contains(jid) && self.link.jid.to_bare() != *jid
    }

    /// Returns problems that are not errors, but should be fixed.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.link.warnings();
        if let PasswordSource::File(file) = &self.link.password
            && !file.exists()
        {
            let (name, file) = (&self.name, file.escaped());
            warnings.push(format!(
                "the account {name} cannot log in on this node: there is no file {file} with its password; copy it from another node, and run `parlor reload`"
            ));
        }
        warnings
    }
}

/// Lets plugins see that the account never uses off-the-record messaging.
fn without_otr(settings: &Settings, section: &Section<'_>) -> Result<Settings, ConfigError> {
    let wrong = |reason| ConfigError::Setting { origin: Origin::File(section.at.clone()), reason };
    settings.with("allow_otr", serde_json::Value::Bool(false)).map_err(wrong)
}

pub(crate) fn owners(section: &Section<'_>) -> Result<Vec<BareJid>, ConfigError> {
    let Some((_, Written { value, at })) = section.json()?.into_iter().rfind(|(key, _)| *key == "owners") else {
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
