//! The accounts that a plugin runs on, and those that wait until its owner is asked.

use std::collections::BTreeMap;

use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, AccountName, Selector};
use toml::Value;

use super::recording::change_entry;
use super::{AdminError, PluginAdmin, known};
use crate::policy::Policy;
use crate::policy::edit::Change;

/// Lets a plugin run on these accounts alone; `None` = on all, also on those that are added later. Returns whether that is
/// a change.
///
/// With a list that is made here the plugin goes on without accounts that are removed later: the owner did not type it.
pub fn run_on(admin: &PluginAdmin<'_>, id: &PluginId, accounts: Option<&[Selector]>) -> Result<bool, AdminError> {
    admin.has_accounts(accounts.unwrap_or_default())?;
    let mut file = admin.open()?;
    let entry = known(admin, file.policy(), id)?;
    if entry.accounts.as_deref() == accounts {
        return Ok(false);
    }
    let [list, missing] = ["accounts", "missing_accounts"].map(|key| vec![key.to_owned()]);
    let mut changes = Vec::new();
    match accounts {
        None => changes.extend([Change::Unset(list), Change::Unset(missing)]),
        Some(names) => {
            changes.push(Change::Set(list, accounts_value(names)));
            if entry.accounts.is_none() {
                changes.push(Change::Set(missing, "skip".into()));
            }
        }
    }
    change_entry(admin, &mut file, id, &changes)?;
    Ok(true)
}

/// Returns the value of `accounts` in an entry.
pub fn accounts_value(names: impl IntoIterator<Item: ToString>) -> Value {
    names.into_iter().map(|name| Value::from(name.to_string())).collect::<Vec<_>>().into()
}

/// Returns the accounts on which plugins do not run because their entries list others, each with these plugins. An entry
/// with groups or patterns says of each account, also of those that are added later, whether it is meant.
pub fn waiting<'p>(
    policy: &'p Policy,
    accounts: impl IntoIterator<Item = &'p AccountConfig>,
) -> BTreeMap<&'p AccountName, Vec<&'p PluginId>> {
    let without = |account: &'p AccountConfig| {
        let is_meant = |one: &Selector| one.is_open() || one.covers(&account.name, account.group.as_ref());
        let leaves_out = |names: &Vec<Selector>| !names.iter().any(is_meant);
        let plugins = policy.plugins.iter().filter(|(_, entry)| entry.accounts.as_ref().is_some_and(leaves_out));
        (&account.name, plugins.map(|(id, _)| id).collect::<Vec<_>>())
    };
    accounts.into_iter().map(without).filter(|(_, plugins)| !plugins.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use parlor_base::id::Digest;
    use parlor_config::{Config, Overrides};

    use super::*;

    #[test]
    fn an_account_waits_for_plugins_that_list_others() {
        let entry = |id: &str, accounts: &str| {
            format!("[plugin.{id}]\nsource = \"{id}.wasm\"\ndigest = \"{}\"\n{accounts}", Digest::of(b""))
        };
        let text = entry("everywhere", "")
            + &entry("one", "accounts = [\"main\"]\n")
            + &entry("shop", "accounts = [\"group:shop\", \"main\"]\n");
        let policy = Policy::parse(&text, Path::new("")).unwrap();
        let account = |name: &str| format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"X\"\n");
        let config = format!("{}{}[group.shop]\n", account("main"), account("later"));
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        let config = Config::parse(Path::new("parlor.toml"), &config, &overrides).unwrap();
        let waiting: Vec<_> = waiting(&policy, config.accounts.values()).into_iter().collect();
        let [(account, plugins)] = &waiting[..] else { panic!("{waiting:?}") };
        assert_eq!((account.as_str(), plugins.len(), plugins[0].as_str()), ("later", 1, "one"));
    }
}
