//! The configuration and the plugins with which sleeping addresses fell asleep, as a number for each.

use parlor_base::id::Digest;
use parlor_config::{AccountConfig, Config, Selector};
use parlor_plugins::policy::Entry;

use crate::host::Host;
use crate::host::plugin::{Plugin, Standing};

/// The plugins that may run, in the order of their ids: the accounts that each is for, and a digest of the rest
/// of its entry, but for its log level.
pub(super) struct Marks(Vec<(Option<Vec<Selector>>, Digest)>);

impl Marks {
    /// Returns those of the present plugins; `None` while one of them waits for the compiler. The caller holds `changing`.
    pub(super) async fn of(host: &Host) -> Option<Self> {
        let plugins = host.plugins.lock().await;
        if plugins.values().any(Plugin::is_compiling) {
            return None;
        }
        let runs = plugins.iter().filter(|(_, plugin)| matches!(plugin.standing, Standing::Admitted { .. }));
        let of_each = runs.map(|(id, plugin)| {
            let selectors = plugin.entry.accounts.clone();
            let rest = Entry { accounts: None, log: None, ..Entry::clone(&plugin.entry) };
            (selectors, Digest::of(format!("{id} {rest:?}").as_bytes()))
        });
        Some(Self(of_each.collect()))
    }

    /// Returns the mark of an account. `[web]` has no part in it: it is read when it is used.
    pub(super) fn of_account(&self, config: &Config, account: &AccountConfig) -> i64 {
        let AccountConfig { name, group, link, owners, web: _, encryption, otr_people, settings } = account;
        let mut text = format!("{name} {group:?} {link:?} {owners:?} {encryption:?} {otr_people:?} {settings:?}");
        for (_, digest) in self.0.iter().filter(|(selectors, _)| config.is_chosen(name, selectors.as_deref())) {
            text.push(' ');
            text.push_str(&digest.to_hex());
        }
        let hex = Digest::of(text.as_bytes()).to_hex();
        // The first 16 of its 64 digits.
        let number = hex.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.unwrap_or_default().cast_signed()
    }
}
