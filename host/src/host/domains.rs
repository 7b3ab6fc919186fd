//! The connections as components of servers, each for all accounts of a domain (XEP-0114).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use jid::BareJid;
use parlor_config::{AccountConfig, AccountName, Config, LinkSettings, OwnAddresses};
use parlor_xmpp::{Component, ComponentState, Dialer};
use tokio::sync::Notify;

use super::sleeping::Sleepers;

/// The components of the host, by their names in the configuration.
#[derive(Debug)]
pub(crate) struct Domains {
    all: Mutex<BTreeMap<AccountName, Arc<Component>>>,
    /// Notified when somebody has written to an address that is to become an account.
    arrivals: Arc<Notify>,
    /// Notified when an address that sleeps is to be woken.
    rouses: Arc<Notify>,
}

impl Domains {
    /// Starts them. Each connects once an account wants to, or if addresses of it sleep. Must be called within a runtime.
    pub(super) fn start(config: &Config, sleepers: &Sleepers) -> Self {
        let all = config.components.iter();
        let started = all.map(|(name, link)| (name.clone(), Arc::new(Component::start(link.clone()))));
        let domains = Self { all: Mutex::new(started.collect()), arrivals: Arc::default(), rouses: Arc::default() };
        // Before they connect: what comes for these addresses has to wake them.
        for (name, addresses) in sleepers.by_component() {
            if let Some(component) = domains.component(&name) {
                component.add_sleepers(addresses);
            }
        }
        domains.admit(config);
        domains.rouse();
        domains
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<AccountName, Arc<Component>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets which addresses become accounts when somebody writes to them.
    fn admit(&self, config: &Config) {
        let own = Arc::new(OwnAddresses::of(config));
        for (name, component) in &*self.held() {
            component.rouse(&self.rouses);
            component.admit(config.new_addresses.get(name).cloned(), &own, &self.arrivals);
        }
    }

    /// Returns the component of this name.
    pub(super) fn component(&self, name: &AccountName) -> Option<Arc<Component>> {
        self.held().get(name).map(Arc::clone)
    }

    /// Waits until an address that sleeps is to be woken.
    pub(super) async fn roused(&self) {
        self.rouses.notified().await;
    }

    /// Notes that an address that sleeps is to be woken.
    pub(super) fn rouse(&self) {
        self.rouses.notify_one();
    }

    /// Returns up to so many addresses that sleep and that something has come for, each once.
    pub(super) fn next_roused(&self, most: usize) -> Vec<BareJid> {
        let mut roused = Vec::new();
        for component in self.held().values() {
            roused.extend(component.next_roused(most - roused.len()));
        }
        roused
    }

    /// Gives stanzas back that have waited for too long for an address to wake. Returns whether others still wait.
    pub(super) fn give_up_overdue(&self) -> bool {
        self.held().values().filter(|component| component.give_up_overdue()).count() > 0
    }

    /// Waits until somebody has written to an address that is to become an account.
    pub(super) async fn arrivals(&self) {
        self.arrivals.notified().await;
    }

    /// Returns the addresses that are to become accounts, each once, with the names of their components.
    pub(super) fn newcomers(&self) -> Vec<(AccountName, BareJid)> {
        let held = self.held();
        let of = |(name, component): (&AccountName, &Arc<Component>)| {
            component.newcomers().into_iter().map(|jid| (name.clone(), jid)).collect::<Vec<_>>()
        };
        held.iter().flat_map(of).collect()
    }

    /// Lets an address be among the [`newcomers`](Self::newcomers) again, if messages to it still wait.
    pub(super) fn put_off(&self, component: &AccountName, address: &BareJid) {
        if let Some(component) = self.held().get(component) {
            component.put_off(address);
        }
    }

    /// Gives messages to an address that becomes no account back to their senders.
    pub(super) fn turn_away(&self, component: &AccountName, address: &BareJid) {
        if let Some(component) = self.held().get(component) {
            component.turn_away(address);
        }
    }

    /// Turns those away that have waited for their accounts for too long. Returns whether others still wait.
    pub(super) fn turn_away_overdue(&self) -> bool {
        self.held().values().filter(|component| component.turn_away_overdue()).count() > 0
    }

    /// Returns the state of each.
    pub(crate) fn states(&self) -> Vec<(AccountName, ComponentState)> {
        self.held().iter().map(|(name, component)| (name.clone(), component.state())).collect()
    }

    /// Returns the way from an account to its server.
    pub(super) fn dialer(&self, account: &AccountConfig) -> Dialer {
        let Some(name) = account.link.component() else { return Dialer::Network };
        match self.held().get(name) {
            Some(component) => Dialer::Local(component.address(account.link.jid.to_bare())),
            // The configuration is refused without it.
            None => Dialer::Network,
        }
    }

    /// Applies another configuration. The accounts of components that are gone must have ended.
    pub(super) async fn follow(&self, before: &Config, config: &Config) {
        let (before, after) = (&before.components, &config.components);
        let domain =
            |all: &BTreeMap<AccountName, LinkSettings>, name: &AccountName| all.get(name).map(|link| link.jid.clone());
        let leaving: Vec<_> = {
            let mut held = self.held();
            held.extract_if(.., |name, _| domain(before, name) != domain(after, name)).collect()
        };
        join_all(leaving.iter().map(|(_, component)| component.stop())).await;
        for (name, link) in after {
            let held = self.held().get(name).map(Arc::clone);
            match held {
                None => {
                    self.held().insert(name.clone(), Arc::new(Component::start(link.clone())));
                }
                Some(component) if before.get(name) != Some(link) => component.follow(link.clone()).await,
                Some(_) => {}
            }
        }
        self.admit(config);
    }

    /// Closes all of them.
    pub(super) async fn stop(&self) {
        let all = std::mem::take(&mut *self.held());
        join_all(all.values().map(|component| component.stop())).await;
    }
}
