//! The clients by which a host is logged in to its accounts. Plugins send by them, so whatever comes from one of them may be a plugin's.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use jid::{BareJid, Jid};
use parlor_config::Config;

/// An account of the host.
pub(super) trait Client: Debug + Send + Sync {
    /// Returns whether this client of it is the host's.
    fn is_at(&self, client: &Jid) -> bool;
}

/// The clients of one host, and of the other nodes of its cluster.
#[derive(Debug, Clone, Default)]
pub struct HostClients(Arc<Mutex<Clients>>);

#[derive(Debug, Default)]
struct Clients {
    /// The accounts that run here, by their addresses. Several may have one address, each with a resource of its own.
    running: HashMap<BareJid, Vec<Weak<dyn Client>>>,
    /// The clients that the configuration names at addresses of owners. In a cluster, it names all, and other nodes may run them.
    named: HashSet<Jid>,
}

impl HostClients {
    fn all(&self) -> MutexGuard<'_, Clients> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which clients the configuration names. Nobody asks about clients at other addresses than those of owners.
    pub fn follow(&self, config: &Config) {
        let owners: HashSet<&BareJid> = config.accounts.values().flat_map(|account| &account.owners).collect();
        let full = config.accounts.values().map(|account| &account.link.jid).filter(|jid| jid.is_full());
        let named = full.filter(|jid| owners.contains(&jid.to_bare())).cloned().collect();
        self.all().named = named;
    }

    fn has(&self, client: &Jid) -> bool {
        let all = self.all();
        if all.named.contains(client) {
            return true;
        }
        let accounts = all.running.get(&client.to_bare()).cloned().unwrap_or_default();
        // An account that ends here removes itself, so the lock is not held meanwhile.
        drop(all);
        accounts.iter().filter_map(Weak::upgrade).any(|account| account.is_at(client))
    }

    /// Removes the accounts of an address that have ended.
    fn forget(&self, own: &BareJid) {
        let mut all = self.all();
        let Some(accounts) = all.running.get_mut(own) else { return };
        accounts.retain(|account| account.strong_count() > 0);
        if accounts.is_empty() {
            all.running.remove(own);
        }
    }
}

/// The clients of an account's host, once the account is told of them.
#[derive(Debug)]
pub struct ClientsOfHost {
    own: BareJid,
    host: Arc<OnceLock<HostClients>>,
}

impl ClientsOfHost {
    /// Returns those of an account with this address that is told of none yet.
    pub(super) fn new(own: BareJid) -> Self {
        Self { own, host: Arc::default() }
    }

    /// Adds the account to those of the host. Only the first host counts.
    pub(super) fn join(&self, host: &HostClients, account: Weak<dyn Client>) {
        // Nearly every address has one.
        host.all().running.entry(self.own.clone()).or_insert_with(|| Vec::with_capacity(1)).push(account);
        let _ = self.host.set(host.clone());
    }

    /// Returns whether the host, or another node of its cluster, is logged in to one of the accounts by this client. It is asked about
    /// clients at addresses of owners.
    pub fn has(&self, client: &Jid) -> bool {
        is_of(&self.host, client)
    }

    /// Returns the same question for the session.
    pub(super) fn question(&self) -> impl Fn(&Jid) -> bool + Send + Sync + use<> {
        let host = Arc::clone(&self.host);
        move |client: &Jid| is_of(&host, client)
    }
}

fn is_of(host: &OnceLock<HostClients>, client: &Jid) -> bool {
    host.get().is_some_and(|host| host.has(client))
}

impl Drop for ClientsOfHost {
    fn drop(&mut self) {
        if let Some(host) = self.host.get() {
            host.forget(&self.own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account that is logged in by this client.
    #[derive(Debug)]
    struct At(Jid, ClientsOfHost);

    impl Client for At {
        fn is_at(&self, client: &Jid) -> bool {
            self.0 == *client
        }
    }

    fn account(client: &str, host: &HostClients) -> Arc<At> {
        let client: Jid = client.parse().unwrap();
        let own = client.to_bare();
        let account = Arc::new(At(client, ClientsOfHost::new(own)));
        let weak: Weak<At> = Arc::downgrade(&account);
        account.1.join(host, weak);
        account
    }

    #[test]
    fn accounts_know_the_clients_of_their_own_host_until_each_ends() {
        let host = HostClients::default();
        let bot = account("bot@example.org/parlor", &host);
        let juliet = account("juliet@example.org/parlor", &host);
        let other = account("romeo@example.org/parlor", &HostClients::default());
        let has = |client: &str| {
            let client: Jid = client.parse().unwrap();
            assert_eq!(bot.1.has(&client), bot.1.question()(&client));
            bot.1.has(&client)
        };
        assert!(has("juliet@example.org/parlor") && has("bot@example.org/parlor"));
        for foreign in ["juliet@example.org/balcony", "juliet@example.org", "romeo@example.org/parlor"] {
            assert!(!has(foreign), "{foreign}");
        }
        drop(other);
        // The account begins again before the former one has ended.
        let again = account("juliet@example.org/again", &host);
        drop(juliet);
        assert!(has("juliet@example.org/again") && !has("juliet@example.org/parlor"));
        drop(again);
        assert!(!has("juliet@example.org/again"));
        // Two accounts of one address, each with a resource of its own.
        let (balcony, garden) =
            (account("nurse@example.org/balcony", &host), account("nurse@example.org/garden", &host));
        assert!(has("nurse@example.org/balcony") && has("nurse@example.org/garden"));
        drop(garden);
        assert!(has("nurse@example.org/balcony") && !has("nurse@example.org/garden"));
        drop(balcony);
        assert_eq!(host.all().running.len(), 1, "one that has ended takes no memory");
    }
}
