//! The accounts that a plugin runs on, and those that wait until its owner is asked.

use std::collections::BTreeMap;

use parlor_base::id::PluginId;
use parlor_config::AccountName;
use toml::Value;

use super::recording::change_entry;
use super::{AdminError, PluginAdmin, known};
use crate::policy::Policy;
use crate::policy::edit::Change;

/// Lets a plugin run on these accounts alone; `None` = on all, also on those that are added later. Returns whether that is
/// a change.
///
/// If the list is made here, the plugin continues to run without accounts that are removed later: the owner did not
/// type the list.
pub fn run_on(admin: &PluginAdmin<'_>, id: &PluginId, accounts: Option<&[AccountName]>) -> Result<bool, AdminError> {
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
pub fn accounts_value<'n>(names: impl IntoIterator<Item = &'n AccountName>) -> Value {
    names.into_iter().map(|name| Value::from(name.as_str())).collect::<Vec<_>>().into()
}

/// Returns the accounts on which plugins do not run because their entries list others, each with these plugins.
pub fn waiting<'p>(
    policy: &'p Policy,
    accounts: impl IntoIterator<Item = &'p AccountName>,
) -> BTreeMap<&'p AccountName, Vec<&'p PluginId>> {
    let without = |account: &'p AccountName| {
        let leaves_out = |names: &Vec<AccountName>| !names.contains(account);
        let plugins = policy.plugins.iter().filter(|(_, entry)| entry.accounts.as_ref().is_some_and(leaves_out));
        (account, plugins.map(|(id, _)| id).collect::<Vec<_>>())
    };
    accounts.into_iter().map(without).filter(|(_, plugins)| !plugins.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use parlor_base::id::Digest;

    use super::*;

    #[test]
    fn an_account_waits_for_plugins_that_list_others() {
        let entry = |id: &str, accounts: &str| {
            format!("[plugin.{id}]\nsource = \"{id}.wasm\"\ndigest = \"{}\"\n{accounts}", Digest::of(b""))
        };
        let text = entry("everywhere", "") + &entry("one", "accounts = [\"main\"]\n");
        let policy = Policy::parse(&text, Path::new("")).unwrap();
        let accounts: Vec<AccountName> = ["main", "later"].map(|name| name.parse().unwrap()).into();
        let waiting: Vec<_> = waiting(&policy, &accounts).into_iter().collect();
        let [(account, plugins)] = &waiting[..] else { panic!("{waiting:?}") };
        assert_eq!((account.as_str(), plugins.len(), plugins[0].as_str()), ("later", 1, "one"));
    }
}
