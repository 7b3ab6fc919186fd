//! The groups of accounts in the file: what their accounts have in common.

use std::collections::BTreeMap;
use std::path::Path;

use parlor_base::nearest::{nearest, suggestion};

use super::account::owners;
use super::encryption::{Encryption, OtrPeople};
use super::error::{AccountsFileError, ConfigError};
use super::group::{BadGroupName, GroupName};
use super::keys::{ACCOUNT_NAMES, GROUP_NAMES};
use super::link::check_shared;
use super::sections::{Section, Written};
use super::settings::setting;

/// The groups of a file, each with its section.
pub(crate) struct Groups<'a>(BTreeMap<GroupName, Section<'a>>);

impl<'a> Groups<'a> {
    /// Reads `[group.NAME]` of all files. Each is checked, also one that no account is in. `settings` checks a table of
    /// settings, of the table with this name.
    pub(crate) fn read(
        tops: &[Section<'a>],
        folder: &Path,
        settings: impl Fn(Option<&Section<'_>>, &str) -> Result<(), ConfigError>,
    ) -> Result<Self, ConfigError> {
        let mut groups = BTreeMap::<GroupName, Section<'a>>::new();
        let mut all = Vec::new();
        for top in tops {
            all.extend(top.section("group")?.map_or(Ok(Vec::new()), |section| section.sections())?);
        }
        for (name, section) in all {
            let bad = |_: BadGroupName| ConfigError::BadGroupName {
                at: name.at.clone(),
                name: name.value.chars().take(64).collect(),
            };
            let group: GroupName = name.value.parse().map_err(bad)?;
            if let Some(first) = groups.get(&group) {
                let (at, first) = (name.at, first.at.clone());
                return Err(AccountsFileError::InBoth { at, name: format!("group {group}"), first }.into());
            }
            check(&group, &section, folder)?;
            settings(section.section("settings")?.as_ref(), &format!("group.{group}"))?;
            groups.insert(group, section);
        }
        Ok(Self(groups))
    }

    /// Returns the group that an account names, and the account's section over that of the group.
    pub(crate) fn of(&self, account: Section<'a>) -> Result<(Option<GroupName>, Section<'a>), ConfigError> {
        let Some(Written { value, at }) = account.text("group")? else { return Ok((None, account)) };
        let known = value.parse::<GroupName>().ok().filter(|name| self.0.contains_key(name));
        let Some(name) = known else {
            let near = suggestion(nearest(value, self.0.keys().map(GroupName::as_str)));
            return Err(ConfigError::NoGroup { at, group: value.chars().take(64).collect(), near });
        };
        let section = self.0[&name].clone();
        Ok((Some(name), account.over(section)))
    }

    /// Returns the names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &GroupName> {
        self.0.keys()
    }

    /// Returns the names.
    pub(crate) fn into_names(self) -> impl Iterator<Item = GroupName> {
        self.0.into_keys()
    }
}

fn check(group: &GroupName, section: &Section<'_>, folder: &Path) -> Result<(), ConfigError> {
    if let Some(at) = section.place_of("password") {
        return Err(ConfigError::LiteralPassword { at });
    }
    if let Some((key, at)) = section.other_than(&GROUP_NAMES) {
        if let Some(key) = ACCOUNT_NAMES.iter().copied().find(|name| *name == key) {
            return Err(ConfigError::KeyOfAccount { at, key, group: group.clone() });
        }
        if let Some(rule) = setting(key) {
            return Err(ConfigError::SettingOfGroup { at, key: rule.key, group: group.clone() });
        }
    }
    section.allow_only(&GROUP_NAMES)?;
    check_shared(section, folder)?;
    owners(section)?;
    let encryption = section.section("encryption")?;
    Encryption::read(encryption.as_ref())?;
    OtrPeople::read(encryption.as_ref())?;
    Ok(())
}
