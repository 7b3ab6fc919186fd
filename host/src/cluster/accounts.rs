//! The accounts that the node has: started, stopped and ended as the cluster says.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jid::BareJid;
use parlor_nats::{AccountHost, Permit, StateError, Trouble};
use parlor_runtime::account::Backing;
use parlor_runtime::may_act::{MayAct, Permission};
use parlor_store::Store;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use super::failing::Failing;
use crate::host::{Host, claims};

/// For how long the same trouble is not told again.
const TOLD: Duration = Duration::from_mins(10);

/// A handle on the host. The end of the node waits until there is none.
#[derive(Clone)]
pub(super) struct HostRef {
    host: Arc<Host>,
    runtime: Handle,
    /// Dropped after the host.
    _using: mpsc::Sender<()>,
}

impl HostRef {
    /// Must be called within a runtime.
    pub(super) fn new(host: &Arc<Host>, using: mpsc::Sender<()>) -> Self {
        Self { host: Arc::clone(host), runtime: Handle::current(), _using: using }
    }
}

impl Deref for HostRef {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

/// Runs the accounts of the node on the host.
pub(super) struct NodeAccounts {
    host: HostRef,
    /// The troubles that were told last, by what they are about. Held for moments only.
    told: Mutex<HashMap<String, (String, Instant)>>,
    /// Told when NATS has lost what it had confirmed.
    lost: Arc<Notify>,
    /// Those that could not be started.
    failing: Arc<Failing>,
}

impl NodeAccounts {
    pub(super) fn new(host: HostRef, lost: Arc<Notify>, failing: Arc<Failing>) -> Self {
        Self { host, told: Mutex::default(), lost, failing }
    }

    /// Returns whether this is news: an account that cannot be taken over is tried again each second.
    fn is_news(&self, about: &str, words: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_known = |(before, at): &(String, Instant)| before == words && now.duration_since(*at) < TOLD;
        if told.get(about).is_some_and(is_known) {
            return false;
        }
        told.insert(about.to_owned(), (words.to_owned(), now));
        true
    }
}

/// The permission of an account, as its node has it.
struct Given(Permit);

impl Permission for Given {
    fn now(&self) -> bool {
        self.0.may_act()
    }

    fn is_fresh(&self) -> bool {
        self.0.is_fresh()
    }

    fn confirmed(&self) -> BoxFuture<'static, bool> {
        self.0.confirmed()
    }
}

/// An account that the node has. Dropping it ends the account at once.
pub(super) struct NodeAccount {
    host: HostRef,
    jid: BareJid,
    has_stopped: bool,
}

impl Drop for NodeAccount {
    fn drop(&mut self) {
        if self.has_stopped {
            return;
        }
        claims::kill(&self.host, &self.jid);
        let host = self.host.clone();
        self.host.runtime.spawn(async move { claims::clear(&host).await });
    }
}

impl AccountHost for NodeAccounts {
    type Running = NodeAccount;

    fn start(&self, account: &BareJid, store: Store, permit: Permit) -> NodeAccount {
        self.failing.clear(account);
        let may_act = MayAct::given_by(Given(permit));
        claims::note(&self.host, account, Backing { store, audit: claims::audit(&self.host), may_act });
        let host = self.host.clone();
        self.host.runtime.spawn(async move {
            // One that the configuration lacks goes to another node soon.
            claims::start(&host).await;
        });
        NodeAccount { host: self.host.clone(), jid: account.clone(), has_stopped: false }
    }

    async fn stop(&self, mut running: NodeAccount) {
        claims::give(&running.host, &running.jid).await;
        running.has_stopped = true;
    }

    fn report(&self, trouble: Trouble) {
        if matches!(trouble, Trouble::State(StateError::Lost(_))) {
            self.lost.notify_one();
        }
        let about = match &trouble {
            Trouble::State(_) => "",
            Trouble::Address(name) | Trouble::Defect(name) | Trouble::Lacks(name) => name,
            Trouble::TakeOver { account, .. } | Trouble::Log { account, .. } | Trouble::Copy { account, .. } => {
                account.as_str()
            }
        };
        let words = trouble.to_string();
        if let Trouble::TakeOver { account, cause } = &trouble {
            self.failing.add(account, cause.to_string());
        }
        if !self.is_news(about, &words) {
            tracing::debug!(trouble = words, "as before");
        } else if let Trouble::Lacks(jid) = &trouble {
            tracing::warn!(%jid, "{words}");
        } else if matches!(trouble, Trouble::Copy { .. }) {
            tracing::warn!("{words}");
        } else {
            tracing::error!("{words}");
        }
    }
}
