//! The connections as components of servers, each for all accounts of a domain (XEP-0114).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// The place, among all, of the component whose address wakes next.
    turn: AtomicUsize,
}

impl Domains {
    /// Starts them. Each connects once an account wants to, or if addresses of it sleep. Must be called within a runtime.
    pub(super) fn start(config: &Config, sleepers: &Sleepers) -> Self {
        let all = config.components.iter();
        let started = all.map(|(name, link)| (name.clone(), Arc::new(Component::start(link.clone()))));
        let (arrivals, rouses, turn) = (Arc::default(), Arc::default(), AtomicUsize::new(0));
        let domains = Self { all: Mutex::new(started.collect()), arrivals, rouses, turn };
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

    /// Returns up to so many addresses that sleep and that something has come for, each once: one of each component in turn. A crowd
    /// that writes to those of one must not hold up those of the others.
    pub(super) fn next_roused(&self, most: usize) -> Vec<BareJid> {
        let all: Vec<_> = self.held().values().map(Arc::clone).collect();
        let next_of = |place: usize| all.get(place)?.next_roused(1).pop();
        let (roused, turn) = in_turn(most, all.len(), self.turn.load(Ordering::Relaxed), next_of);
        self.turn.store(turn, Ordering::Relaxed);
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

/// Leaves components and their addresses out as long as the host is a node of a cluster. Its file may be one without `[cluster]` by now,
/// which counts at the next start. Until then, each node would connect as the component, and end the connections of the others.
pub(super) fn without_on_nodes(mut config: Config) -> Config {
    if config.cluster.is_some() {
        config.components.clear();
        config.new_addresses.clear();
        config.sleep_after.clear();
        config.accounts.retain(|_, account| account.link.component().is_none());
    }
    config
}

/// Takes up to so many, one from each of `count` places in turn, and begins with the place `turn`. Returns them, and the place that is
/// next.
fn in_turn<T>(
    most: usize,
    count: usize,
    mut turn: usize,
    mut next_of: impl FnMut(usize) -> Option<T>,
) -> (Vec<T>, usize) {
    let (mut taken, mut in_vain) = (Vec::new(), 0);
    while taken.len() < most && in_vain < count {
        // There may be fewer places than before.
        let place = turn % count;
        turn = place + 1;
        if let Some(one) = next_of(place) {
            taken.push(one);
            in_vain = 0;
        } else {
            in_vain += 1;
        }
    }
    (taken, turn)
}

#[cfg(test)]
mod tests {
    use parlor_config::Overrides;

    use super::*;

    #[test]
    fn a_node_of_a_cluster_gets_no_component_before_it_is_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        let load = |text: &str| {
            let main = "[account.main]\njid = \"main@example.org\"\npassword_env = \"NONE\"\n";
            std::fs::write(&path, format!("{text}{main}")).unwrap();
            Config::load(&path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap()
        };
        let node = load("[cluster]\nnats = \"tls://nats.example.org\"\nname = \"bots\"\nkey_env = \"KEY\"\n");
        let new = load(
            "[component.bots]\ndomain = \"bots.example.org\"\npassword_env = \"NONE\"\nsleep_after = \"1 h\"\n\
             new_addresses = [\"*@bots.example.org\"]\n[account.echo]\njid = \"echo@bots.example.org\"\ncomponent = \"bots\"\n",
        );
        let of = |config: &Config| {
            let rules = config.new_addresses.len() + config.sleep_after.len();
            (config.accounts.len(), config.components.len(), rules)
        };
        assert_eq!(of(&without_on_nodes(new.clone())), (2, 1, 2), "it is no node");
        assert_eq!(of(&without_on_nodes(Config { cluster: node.cluster, ..new })), (1, 0, 0));
    }

    #[test]
    fn a_crowd_that_waits_for_one_component_holds_up_none_of_another() {
        let mut waiting = [vec!["a"; 1_000], vec!["b"; 2], Vec::new(), vec!["d"]];
        let mut next_of = |place: usize| waiting[place].pop();
        let (first, turn) = in_turn(3, 4, 0, &mut next_of);
        assert_eq!(first, ["a", "b", "d"]);
        // Even if there is room for one at a time.
        let (second, turn) = in_turn(1, 4, turn, &mut next_of);
        let (third, turn) = in_turn(1, 4, turn, &mut next_of);
        assert_eq!([second, third].concat(), ["a", "b"]);
        assert_eq!(in_turn(2, 4, turn, &mut next_of).0, ["a", "a"], "nobody else waits");
        assert_eq!(in_turn(1, 2, 7, &mut next_of).0, ["a"], "there are fewer by now");
        assert!(in_turn(9, 0, 3, |_| Some("x")).0.is_empty());
    }
}
