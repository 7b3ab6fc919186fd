//! The webhooks of plugins, for the listener and for owners.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::future::join_all;
use parlor_base::clock::Clock;
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_config::Web;
use parlor_runtime::supervisor::{Door, Supervised};
use parlor_runtime::webhooks::{GivenToken, RestingWebhooks};
use parlor_store::{PluginData, StoreError};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::Host;
use super::plugin::{Plugin, Standing};
use crate::web::Counts;

/// The number of accounts that are asked for a webhook before other tasks get their turn: strangers may ask as well.
const AT_ONCE: usize = 64;
/// How long a store may take to say which addresses it has. That of an account of a cluster may wait for the log of the account.
const READING: Duration = Duration::from_secs(5);

/// The listening for webhooks: whether and where it is wanted, and how it goes.
#[derive(Debug)]
pub(crate) struct WebhookListening {
    wanted: watch::Receiver<usize>,
    /// The number of plugins whose addresses are not read yet. A plugin counts on each account.
    unread: watch::Receiver<usize>,
    section: watch::Sender<Web>,
    counts: Counts,
    fault: ArcSwapOption<String>,
    /// The webhooks of plugins that may not run.
    resting: watch::Sender<Arc<RestingWebhooks>>,
    /// Held while these are read, so that those that were read last count.
    noting: Mutex<()>,
}

impl WebhookListening {
    pub(super) fn new(section: Web, wanted: watch::Receiver<usize>, unread: watch::Receiver<usize>) -> Self {
        let section = watch::Sender::new(section);
        let (counts, fault, resting) = (Counts::default(), ArcSwapOption::empty(), watch::Sender::new(Arc::default()));
        Self { wanted, unread, section, counts, fault, resting, noting: Mutex::default() }
    }

    /// Returns the number of plugins with webhooks, and signals each change. While it is not zero, a listener is needed.
    pub(crate) fn wanted(&self) -> watch::Receiver<usize> {
        self.wanted.clone()
    }

    /// Returns the webhooks of plugins that may not run, and signals each change. While there are any, a listener is needed:
    /// their senders are told to try again.
    pub(crate) fn resting(&self) -> watch::Receiver<Arc<RestingWebhooks>> {
        self.resting.subscribe()
    }

    /// Returns whether the addresses of all plugins that were started are read.
    fn are_all_read(&self) -> bool {
        *self.unread.borrow() == 0
    }

    /// Returns the section `[web]` of the configuration, and signals each change.
    pub(crate) fn section(&self) -> watch::Receiver<Web> {
        self.section.subscribe()
    }

    /// Applies another section. One that is the same is signalled, too: certificates may have been renewed.
    pub(super) fn follow(&self, section: Web) {
        self.section.send_replace(section);
    }

    /// Returns how many requests ended in which way.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns why webhooks cannot be listened for; `None` if they are, or if there is no address to listen at.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.load_full().map(Arc::unwrap_or_clone)
    }

    /// Records whether webhooks can be listened for, and why they cannot.
    pub(crate) fn note_fault(&self, fault: Option<String>) {
        self.fault.store(fault.map(Arc::new));
    }
}

/// Returns the webhook with this name and secret of a plugin, if it may hear requests, also below its address.
pub(crate) async fn find(
    host: &Host,
    id: &PluginId,
    name: &str,
    token: &GivenToken,
    path: Option<&str>,
) -> Option<Door> {
    // They are only collected under the lock, for which owners wait as well.
    let candidates: Vec<_> = {
        let plugins = host.plugins.lock().await;
        plugins.get(id)?.supervised().filter_map(Supervised::candidate).collect()
    };
    first(&candidates, |candidate| candidate.door(name, token, path)).await
}

/// Waits until the change of plugins that is under way is over.
pub(crate) async fn change_is_over(host: &Host) {
    drop(host.changing.lock().await);
}

/// Notes the addresses of the plugins that may hear requests and may not run: disabled ones, and those that were refused.
pub(super) async fn note_resting(host: &Host) {
    let rests = |plugin: &Plugin| {
        matches!(plugin.standing, Standing::Refused(_)) && plugin.entry.grants.has(Permission::WebhooksReceive)
    };
    let _noting = host.listening.noting.lock().await;
    let plugins = host.plugins.lock().await;
    let ids: BTreeSet<_> = plugins.iter().filter(|(_, plugin)| rests(plugin)).map(|(id, _)| id.clone()).collect();
    drop(plugins);
    let addresses = if ids.is_empty() {
        Vec::new()
    } else {
        // In a cluster, each account has its own store.
        let stores = std::iter::once(host.store.data(Clock::Machine)).chain(host.claims.stores());
        join_all(stores.map(addresses)).await.concat()
    };
    let resting = RestingWebhooks::of(addresses.into_iter().filter(|(id, ..)| ids.contains(id)));
    host.listening.resting.send_replace(Arc::new(resting));
}

/// Returns the addresses of webhooks in a store: the plugin, the name of the webhook, and the secret part.
async fn addresses(store: PluginData) -> Vec<(PluginId, String, String)> {
    let error = match timeout(READING, store.webhook_addresses()).await {
        Ok(Ok(addresses)) => return addresses,
        // The account is about to go.
        Ok(Err(StoreError::Ended | StoreError::Log(_))) => return Vec::new(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the store does not answer within {} s", READING.as_secs()),
    };
    tracing::error!(%error, "the addresses of webhooks cannot be read: senders to disabled plugins are refused, and not told to try again");
    Vec::new()
}

/// Returns the first that is found, and lets other tasks have their turn in between.
async fn first<T, R>(candidates: &[T], find: impl Fn(&T) -> Option<R>) -> Option<R> {
    for some in candidates.chunks(AT_ONCE) {
        let found = some.iter().find_map(&find);
        if found.is_some() {
            return found;
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Returns whether the addresses of all webhooks are known. While plugins are added, compiled or restarted, and until
/// the addresses of their webhooks are read, an unknown address may belong to a webhook that will exist soon.
pub(crate) async fn are_all_known(host: &Host) -> bool {
    // A plugin that is to come back is in no list meanwhile, but `changing` is held for it.
    if host.changing.try_lock().is_err() {
        return false;
    }
    let is_compiling = host.plugins.lock().await.values().any(will_have_webhooks);
    // This comes after: what is no longer compiled has begun to read its addresses. They are counted, since strangers ask this
    // as often as they like, and there may be many accounts.
    !is_compiling && host.listening.are_all_read()
}

/// Returns whether the plugin may have webhooks once it is compiled.
fn will_have_webhooks(plugin: &Plugin) -> bool {
    let Standing::Compiling { admitted, .. } = &plugin.standing else { return false };
    !admitted.manifest.webhooks.is_empty() && admitted.grants.has(Permission::WebhooksReceive)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_search_among_many_accounts_lets_other_tasks_have_their_turn() {
        let asked = Cell::new(0);
        let accounts = [(); 10 * AT_ONCE];
        let ask = |(): &()| {
            asked.set(asked.get() + 1);
            (asked.get() == 9 * AT_ONCE + 1).then_some("found")
        };
        let mut search = pin!(first(&accounts, ask));
        let mut context = Context::from_waker(Waker::noop());
        for turn in 1..=9 {
            assert!(search.as_mut().poll(&mut context).is_pending());
            assert_eq!(asked.get(), turn * AT_ONCE);
        }
        assert_eq!(search.as_mut().poll(&mut context), Poll::Ready(Some("found")));
        assert_eq!(asked.get(), 9 * AT_ONCE + 1);
    }

    #[test]
    fn an_address_is_unknown_only_when_those_of_all_plugins_are_read() {
        let (_wanted, wanted) = watch::channel(1);
        let (plugins, unread) = watch::channel(1);
        let listening = WebhookListening::new(Web::default(), wanted, unread);
        assert!(!listening.are_all_read());
        plugins.send_replace(0);
        assert!(listening.are_all_read());
    }

    #[test]
    fn a_listener_hears_of_each_reading_of_the_configuration_and_of_plugins_with_webhooks() {
        let (plugins, wanted) = watch::channel(0);
        let listening = WebhookListening::new(Web::default(), wanted, watch::channel(0).1);
        let (mut wanted, mut section) = (listening.wanted(), listening.section());
        assert_eq!(*wanted.borrow_and_update(), 0);
        section.mark_unchanged();
        listening.follow(Web::default());
        assert!(section.has_changed().unwrap(), "its certificates may have been renewed");
        plugins.send_replace(2);
        assert!(wanted.has_changed().unwrap() && *wanted.borrow_and_update() == 2);
        listening.note_fault(Some("taken".to_owned()));
        assert_eq!(listening.fault().as_deref(), Some("taken"));
        listening.note_fault(None);
        assert_eq!(listening.fault(), None);
    }
}
