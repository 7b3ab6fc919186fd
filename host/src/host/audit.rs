//! The audit of a running host: changes of its files, requests of its owners, and the counts of its plugins.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, Config, Encryption, OtrPeople, Role, setting};
use parlor_plugins::components::Components;
use parlor_plugins::policy::{Entry, Policy};
use parlor_runtime::account::Shared;
use parlor_runtime::audited::{self, HIDDEN};
use parlor_store::{Audit, AuditKind, By, NewAuditEntry, StoreError};
use serde_json::Value;

use super::Host;

/// How often counts are written. A host that is killed loses those since.
const COUNTING: Duration = Duration::from_secs(30);
/// The name of the configuration file in entries.
const CONFIG: &str = "parlor.toml";

/// Begins the audit of a host that starts by this policy.
pub(super) async fn begin(host: &Host, policy: &Policy) {
    let audit = host.store.audit();
    audit.keep(audited::retention(&host.config()));
    let entry = NewAuditEntry::new(AuditKind::Host, &By::host("start"), "the host was started");
    let version = Some(env!("CARGO_PKG_VERSION").to_owned());
    warn_of(audit.add(vec![NewAuditEntry { new: version, ..entry }]).await);
    changed(host, policy, "found at the start").await;
}

/// Records how the policy differs from the one that the audit knows. Commands record their changes beforehand.
pub(super) async fn changed(host: &Host, policy: &Policy, way: &str) {
    let (audit, config) = (host.store.audit(), host.config());
    let known = match audit.policy().await {
        Ok(known) => known,
        Err(error) => return warn_of(Err(error)),
    };
    let (by, policy, components) = (audited::edited(&config, way), policy.clone(), Components::new(&config.data));
    // The plugin's file has to be read to know which settings are secrets.
    let compare = move || {
        let is_shown = |id: &PluginId, entry: &Entry, name: &str| audited::is_no_secret(&components, id, entry, name);
        audited::changes(known, &policy, None, &by, &is_shown)
    };
    match tokio::task::spawn_blocking(compare).await {
        Ok(changes) => warn_of(audit.record(changes).await),
        Err(error) => tracing::error!(%error, "changes of the policy are not in the audit"),
    }
}

/// Records how another configuration differs from the one in force.
pub(super) async fn configured(host: &Host, old: &Config, new: &Config) {
    let audit = host.store.audit();
    audit.keep(audited::retention(new));
    let by = By::file(CONFIG, "read again");
    let names: BTreeSet<_> = old.accounts.keys().chain(new.accounts.keys()).collect();
    let mut all = Vec::new();
    for name in names {
        let entry =
            |kind, what: &str| NewAuditEntry { account: Some(name.to_string()), ..NewAuditEntry::new(kind, &by, what) };
        let jid = |account: &AccountConfig| account.link.jid.to_string();
        match (old.accounts.get(name), new.accounts.get(name)) {
            (Some(old), None) => {
                all.push(NewAuditEntry { old: Some(jid(old)), ..entry(AuditKind::Account, "removed") });
            }
            (None, Some(new)) => {
                all.push(NewAuditEntry { new: Some(jid(new)), ..entry(AuditKind::Account, "added") });
            }
            (Some(old), Some(new)) if old != new => {
                for key in old.settings.differing(&new.settings) {
                    let [old, new] = [old, new].map(|account| value(key, account.settings.given(key)));
                    all.push(NewAuditEntry { old, new, ..entry(AuditKind::Setting, &format!("setting {key}")) });
                }
                if old.link != new.link || old.owners != new.owners {
                    let owners = |account: &AccountConfig| {
                        let owners: Vec<_> = account.owners.iter().map(ToString::to_string).collect();
                        Some(format!("{}, owners: {}", account.link.jid, owners.join(" ")))
                    };
                    let (old, new) = (owners(old), owners(new));
                    all.push(NewAuditEntry { old, new, ..entry(AuditKind::Account, "its connection or its owners") });
                }
                if old.group != new.group {
                    let [old, new] = [old, new].map(|account| account.group.as_ref().map(ToString::to_string));
                    all.push(NewAuditEntry { old, new, ..entry(AuditKind::Account, "its group") });
                }
                if old.encryption != new.encryption {
                    let [old, new] = [old, new].map(|account| Some(encryption(account.encryption)));
                    all.push(NewAuditEntry { old, new, ..entry(AuditKind::Setting, "its encryption") });
                }
                if old.otr_people != new.otr_people {
                    let [old, new] = [old, new].map(|account| Some(people(&account.otr_people)));
                    all.push(NewAuditEntry { old, new, ..entry(AuditKind::Setting, "OTR with people") });
                }
            }
            _ => {}
        }
    }
    if !all.is_empty() {
        warn_of(audit.add(all).await);
    }
}

/// Returns how an account encrypts, as it is shown.
fn encryption(Encryption { omemo, otr, trust, announce, trust_by_chat, plain_instead }: Encryption) -> String {
    let (otr, trust) = (otr.as_str(), trust.as_str());
    format!(
        "omemo {omemo}, otr {otr}, trust {trust}, announce {announce}, trust_by_chat {trust_by_chat}, \
         plain_instead {plain_instead}"
    )
}

/// Returns the people with a policy of their own for OTR, as they are shown.
fn people(people: &OtrPeople) -> String {
    people.all().map(|(jid, policy)| format!("{jid} {}", policy.as_str())).collect::<Vec<_>>().join(", ")
}

/// Returns the value of a setting as it is shown: only settings that the host knows and that are not secret.
fn value(key: &str, value: Option<&Value>) -> Option<String> {
    let is_shown = setting(key).is_some_and(|rule| rule.role != Role::Secret);
    value.map(|value| if is_shown { value.to_string() } else { HIDDEN.to_owned() })
}

/// Records the result of an action whose entry was written before it was begun. A failure is logged.
pub(crate) async fn done(host: &Host, entry: NewAuditEntry) {
    warn_of(host.store.audit().add(vec![entry]).await);
}

/// Records several results at once.
pub(crate) async fn all_done(host: &Host, entries: Vec<NewAuditEntry>) {
    warn_of(host.store.audit().add(entries).await);
}

/// Writes the counts of all plugins.
pub(crate) async fn count(host: &Host) {
    write(&host.store.audit(), host.accounts().iter()).await;
}

/// Writes the counts of the plugins on these accounts.
pub(super) async fn write<'a>(audit: &Audit, accounts: impl Iterator<Item = &'a Arc<Shared>>) {
    let all: Vec<_> = accounts.flat_map(|account| account.records.take_activity(&account.name)).collect();
    if !all.is_empty() {
        warn_of(audit.count(all).await);
    }
}

/// Writes the counts of all plugins from time to time. It never returns.
pub(super) async fn keep_counting(host: &Host) -> Infallible {
    loop {
        tokio::time::sleep(COUNTING).await;
        count(host).await;
    }
}

/// Returns the audit.
pub(crate) fn of(host: &Host) -> Audit {
    host.store.audit()
}

pub(super) fn warn_of(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!(%error, "the audit cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use parlor_config::OtrPolicy;

    use super::*;

    #[test]
    fn how_an_account_encrypts_is_shown_by_the_names_of_its_keys() {
        assert_eq!(
            encryption(Encryption { trust_by_chat: true, ..Encryption::OFF }),
            "omemo false, otr never, trust blind, announce false, trust_by_chat true, plain_instead false"
        );
        let [juliet, romeo] =
            ["juliet@example.org", "romeo@example.org"].map(|text| text.parse::<jid::BareJid>().unwrap());
        let all = [(romeo, OtrPolicy::Require), (juliet, OtrPolicy::Never)].into_iter().collect();
        assert_eq!(people(&all), "juliet@example.org never, romeo@example.org require");
    }
}
