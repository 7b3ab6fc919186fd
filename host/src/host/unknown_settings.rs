//! Warnings about settings that nobody knows, and that do not fit: one for all accounts that have such a setting, since it may be that of
//! a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_runtime::account::Shared;
use tracing::field::{DisplayValue, display};

use super::Host;
use super::plugin::{Plugin, Standing};

/// How many accounts a warning names.
const NAMED: usize = 3;

/// Warns about settings of these accounts that neither parlor nor a plugin knows, or that do not fit a plugin.
pub(super) async fn warn_of_unknown_settings(host: &Host, accounts: &[Arc<Shared>]) {
    let plugins = host.plugins.lock().await;
    let mut misfits = BTreeMap::<(String, &PluginId, String), Vec<&AccountName>>::new();
    let mut unknown = BTreeMap::<(String, Option<&str>), Vec<&AccountName>>::new();
    for account in accounts {
        let settings = account.settings();
        for (key, nearest) in settings.unknown() {
            for (id, plugin) in &*plugins {
                let value = settings.given(key).zip(plugin.on(&account.name));
                if let Some(reason) = value.and_then(|(value, supervised)| supervised.settings().misfit(key, value)) {
                    misfits.entry((key.to_owned(), id, reason)).or_default().push(&account.name);
                }
            }
            if !plugins.values().any(|plugin| claims(plugin, &account.name, key)) {
                unknown.entry((key.to_owned(), nearest)).or_default().push(&account.name);
            }
        }
    }
    for ((key, id, reason), names) in &misfits {
        let (account, accounts) = of(names);
        tracing::warn!(account, accounts, plugin = %id, setting = %key, reason, "setting does not fit, and is not used");
    }
    for ((key, nearest), names) in &unknown {
        let (account, accounts) = of(names);
        tracing::warn!(account, accounts, setting = %key, nearest, "unknown setting, kept for plugins");
    }
}

/// Returns whether a plugin has this setting on an account.
fn claims(plugin: &Plugin, account: &AccountName, key: &str) -> bool {
    match &plugin.standing {
        Standing::Compiling { admitted, .. } => admitted.manifest.settings.contains_key(key),
        Standing::Admitted { admitted, on, .. } => {
            let claimed = on.get(account).is_some_and(|supervised| supervised.settings().claims(key));
            claimed || admitted.manifest.settings.contains_key(key)
        }
        Standing::Refused(_) => false,
    }
}

/// Returns the only one of these accounts for a log line, or else how many there are, with the first names.
fn of<'n>(names: &[&'n AccountName]) -> (Option<DisplayValue<&'n AccountName>>, Option<String>) {
    if let [name] = names {
        return (Some(display(*name)), None);
    }
    let first: Vec<_> = names.iter().take(NAMED).map(|name| name.as_str()).collect();
    let more = if names.len() > NAMED { ", …" } else { "" };
    (None, Some(format!("{} ({}{more})", names.len(), first.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_counts_the_accounts_that_it_is_about() {
        let names: Vec<AccountName> = (1..=250).map(|number| format!("support-{number}").parse().unwrap()).collect();
        let says = |count: usize| {
            let (account, accounts) = of(&names.iter().take(count).collect::<Vec<_>>());
            (account.map(|account| format!("{account:?}")), accounts)
        };
        assert_eq!(says(1), (Some("support-1".to_owned()), None));
        assert_eq!(says(2), (None, Some("2 (support-1, support-2)".to_owned())));
        assert_eq!(says(250), (None, Some("250 (support-1, support-2, support-3, …)".to_owned())));
    }
}
