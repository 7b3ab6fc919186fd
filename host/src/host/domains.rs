//! The connections as components of servers, each for all accounts of a domain (XEP-0114).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use parlor_config::{AccountConfig, AccountName, LinkSettings};
use parlor_xmpp::{Component, Dialer};

/// The components of the host, by their names in the configuration.
#[derive(Debug)]
pub(super) struct Domains(Mutex<BTreeMap<AccountName, Arc<Component>>>);

impl Domains {
    /// Starts them. Each connects once an account wants to. Must be called within a runtime.
    pub(super) fn start(all: &BTreeMap<AccountName, LinkSettings>) -> Self {
        let started = all.iter().map(|(name, link)| (name.clone(), Arc::new(Component::start(link.clone()))));
        Self(Mutex::new(started.collect()))
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<AccountName, Arc<Component>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub(super) async fn follow(
        &self,
        before: &BTreeMap<AccountName, LinkSettings>,
        after: &BTreeMap<AccountName, LinkSettings>,
    ) {
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
    }

    /// Closes all of them.
    pub(super) async fn stop(&self) {
        let all = std::mem::take(&mut *self.held());
        join_all(all.values().map(|component| component.stop())).await;
    }
}
