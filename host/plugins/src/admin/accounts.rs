//! The accounts that a plugin runs on, and those that wait until its owner is asked.

use std::collections::BTreeMap;

use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, AccountName, Selector};
use toml::Value;

use super::recording::change_entry;
use super::{AdminError, PluginAdmin, known};
use crate::policy::edit::Change;
use crate::policy::{Entry, Policy};

/// Lets a plugin run on these accounts alone; `None` = on all, also on those that are added later. Returns whether that is
/// a change.
///
/// With a list that is made here the plugin goes on without accounts that are removed later: the owner did not type it.
///
/// `shown`: the entry that the owner was asked about, and that the accounts were chosen by. If the plugin has other grants, another
/// version or other accounts by now, nothing changes: on further accounts it could do more than the owner agreed to.
pub fn run_on(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    accounts: Option<&[Selector]>,
    shown: &Entry,
) -> Result<bool, AdminError> {
    admin.has_accounts(accounts.unwrap_or_default())?;
    let mut file = admin.open()?;
    let entry = known(admin, file.policy(), id)?;
    if entry.accounts.as_deref() == accounts {
        return Ok(false);
    }
    if entry.digest != shown.digest || entry.grants != shown.grants || entry.accounts != shown.accounts {
        return Err(AdminError::Changed(id.clone()));
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
    use std::fs;
    use std::path::Path;

    use parlor_base::id::Digest;
    use parlor_config::{Config, Overrides};

    use super::*;

    #[test]
    fn a_plugin_gets_no_further_account_if_it_was_changed_since_its_owner_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let account = |name: &str| format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"X\"\n");
        let text = ["main", "second", "third"].map(account).concat();
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        let config = Config::parse(&folder.path().join("parlor.toml"), &text, &overrides).unwrap();
        let (admin, id) = (PluginAdmin::new(&config), "echo".parse::<PluginId>().unwrap());
        let write = |account: &str, bytes: &[u8], to: &str| {
            let digest = Digest::of(bytes);
            let text = format!(
                "[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{digest}\"\naccounts = [\"{account}\"]\n\
                 [plugin.echo.grants]\n\"messages.send\" = [\"{to}\"]\n"
            );
            fs::write(&config.plugins, text).unwrap();
        };
        let wanted = ["main", "second"].map(|name| name.parse::<Selector>().unwrap());
        for (account, bytes, to) in
            [("main", b"one", "*"), ("main", b"two", "juliet@example.org"), ("third", b"one", "juliet@example.org")]
        {
            write("main", b"one", "juliet@example.org");
            let shown = admin.entry(&id).unwrap();
            // Another owner changes it before this one has agreed.
            write(account, bytes, to);
            let error = run_on(&admin, &id, Some(&wanted), &shown).unwrap_err().to_string();
            assert!(error.starts_with("echo was changed meanwhile, so its accounts were not"), "{error}");
            let again = admin.entry(&id).unwrap();
            assert_eq!(again.accounts, Some(vec![account.parse::<Selector>().unwrap()]));
            // The second question is about what it has now.
            assert!(run_on(&admin, &id, Some(&wanted), &again).unwrap());
            assert_eq!(admin.entry(&id).unwrap().accounts.as_deref(), Some(&wanted[..]));
            assert!(!run_on(&admin, &id, Some(&wanted), &again).unwrap(), "it is so already");
        }
    }

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
