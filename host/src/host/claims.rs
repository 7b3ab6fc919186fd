//! The accounts that a cluster gave to this host. In a cluster, those alone run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use jid::BareJid;
use parlor_base::clock::Clock;
use parlor_config::AccountName;
use parlor_runtime::account::{Account, Backing, Shared};
use parlor_runtime::supervisor::Supervised;
use parlor_store::{Audit, PluginData};
use tokio::sync::Notify;

use super::accounts::{open, spread, start_one};
use super::plugin::Standing;
use super::{Host, audit as counting, webhooks};

/// The accounts that the host has, by address.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Held for moments only. Code that also locks the accounts of the host locks this first.
    all: Mutex<BTreeMap<BareJid, Claim>>,
    /// Notified when the configuration was read again.
    reconfigured: Notify,
    /// Notified when an account has started, or has fallen asleep.
    started: Notify,
}

#[derive(Debug)]
struct Claim {
    backing: Backing,
    /// The account that runs. None: the configuration has no account of this address, or it is about to start.
    runs: Option<AccountName>,
}

impl Claims {
    fn held(&self) -> MutexGuard<'_, BTreeMap<BareJid, Claim>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the stores of these accounts. The handles keep none of them open.
    pub(super) fn stores(&self) -> Vec<PluginData> {
        self.held().values().map(|claim| claim.backing.store.data(Clock::Machine)).collect()
    }

    /// Notes that the configuration was read again, in which these accounts are not as they were.
    pub(super) fn reconfigured(&self, ended: &[&AccountName]) {
        for claim in self.held().values_mut() {
            if claim.runs.as_ref().is_some_and(|name| ended.contains(&name)) {
                claim.runs = None;
            }
        }
        self.reconfigured.notify_one();
    }
}

/// Waits until the configuration was read again.
pub(crate) async fn reconfigured(host: &Host) {
    host.claims.reconfigured.notified().await;
}

/// Waits until an account has started or ended since the last call without a change of a file: a cluster gave it to the host, somebody
/// wrote to an address of a component, or such an address fell asleep or woke.
pub async fn account_started(host: &Host) {
    host.claims.started.notified().await;
}

/// Notes that an account has started or ended without a change of a file.
pub(super) fn note_start(host: &Host) {
    host.claims.started.notify_one();
}

/// Returns the audit of the host, which all accounts share: their own stores go with them.
pub(crate) fn audit(host: &Host) -> Audit {
    host.store.audit()
}

/// Notes that the host has an account from now on. [`start`] starts it.
pub(crate) fn note(host: &Host, jid: &BareJid, backing: Backing) {
    host.claims.held().insert(jid.clone(), Claim { backing, runs: None });
}

/// Starts the accounts that the host has and that do not run. One that the configuration lacks starts once it is there.
pub(crate) async fn start(host: &Host) {
    let coming = {
        let _changing = host.changing.lock().await;
        let coming = begin(host);
        if !coming.is_empty() {
            spread(host).await;
        }
        coming
    };
    // Other stores may be slow: neither the accounts nor a change of the policy wait for them.
    let noted = async {
        if !coming.is_empty() {
            webhooks::note_resting(host).await;
        }
    };
    tokio::join!(open(host, &coming), noted);
}

/// Starts the tasks of accounts that the host has and that do not run. The caller holds `changing`.
pub(super) fn begin(host: &Host) -> Vec<Arc<Shared>> {
    let (config, mut claims) = (host.config(), host.claims.held());
    if claims.values().all(|claim| claim.runs.is_some()) {
        return Vec::new();
    }
    let mut coming = Vec::new();
    for account in config.accounts.values() {
        let Some(claim) = claims.get_mut(&account.link.jid.to_bare()).filter(|claim| claim.runs.is_none()) else {
            continue;
        };
        let shared = start_one(host, account, claim.backing.clone());
        tracing::info!(account = %account.name, jid = %shared.own, "account taken");
        claim.runs = Some(account.name.clone());
        coming.push(shared);
    }
    if !coming.is_empty() {
        host.claims.started.notify_one();
    }
    coming
}

/// Lets an account go, so that it can go on elsewhere: its plugins handle what they got, and its session is left for the next
/// node. On return, nothing has its store. If the future is dropped, the account ends at once; [`clear`] then ends its plugins.
pub(crate) async fn give(host: &Host, jid: &BareJid) {
    let Some(account) = take_out(host, jid) else { return };
    let _killing = account.kill_on_drop();
    let name = account.shared().name.clone();
    let mut unsaid = Leaving(Some(name.clone()));
    account.drain().await;
    let leaving = plugins_on(host, |on| Arc::ptr_eq(on, account.shared())).await;
    join_all(leaving.into_iter().map(Supervised::stop_with_the_host)).await;
    counting::write(&audit(host), [account.shared()].into_iter()).await;
    account.stop().await;
    unsaid.0 = None;
    tracing::info!(account = %name, "account given away");
}

/// An account that is being given away. It says so if there is no time left for it.
struct Leaving(Option<AccountName>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(name) = self.0.take() {
            ended_at_once(&name);
        }
    }
}

fn ended_at_once(account: &AccountName) {
    tracing::warn!(%account, "account ended at once: another node may have it");
}

/// Ends an account at once: it may run elsewhere. [`clear`] ends its plugins.
pub(crate) fn kill(host: &Host, jid: &BareJid) {
    if let Some(account) = take_out(host, jid) {
        drop(account.kill_on_drop());
        ended_at_once(&account.shared().name);
    }
}

/// Ends the plugins on accounts that are gone.
pub(crate) async fn clear(host: &Host) {
    let leaving =
        plugins_on(host, |on| !host.held().get(&on.name).is_some_and(|one| Arc::ptr_eq(one.shared(), on))).await;
    join_all(leaving.into_iter().map(Supervised::stop)).await;
}

/// Takes an account from those that run, and from those that the host has.
fn take_out(host: &Host, jid: &BareJid) -> Option<Account> {
    let mut claims = host.claims.held();
    let name = claims.remove(jid)?.runs?;
    host.held().remove(&name)
}

/// Takes the plugins from such accounts.
async fn plugins_on(host: &Host, is_meant: impl Fn(&Arc<Shared>) -> bool) -> Vec<Supervised> {
    let mut plugins = host.plugins.lock().await;
    let admitted = plugins.values_mut().filter_map(|plugin| match &mut plugin.standing {
        Standing::Admitted { on, .. } => Some(on),
        Standing::Refused(_) | Standing::Compiling { .. } => None,
    });
    admitted.flat_map(|on| on.extract_if(.., |_, one| is_meant(one.account()))).map(|(_, one)| one).collect()
}
