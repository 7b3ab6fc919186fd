//! The host as a node of a cluster: it runs the accounts that the cluster gives it, each with a store of its own whose log is in NATS.
//!
//! `parlor_cluster` decides which node runs which account, and `parlor_nats` says when to start and stop them. All nodes have
//! the same accounts in their configuration. They share `accounts.toml`, the policy and its components by way of NATS.

mod accounts;
mod connecting;
mod examine;
mod failing;
pub(crate) mod framed;
mod member;
mod moving;
mod reading;
mod sharing;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};
use parlor_cluster::Timing;
use parlor_config::Config;
use parlor_nats::{
    Added, Link, NodeSettings, Runner, Shared, SharedText, Snapshots, State, StateError, Stores, Teller, agree_on_keys,
    encrypt_remains_anew, prepare,
};
use parlor_store::Accounts;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use self::accounts::{HostRef, NodeAccounts};
use self::failing::Failing;
use self::sharing::Sharing;
use crate::host::{Host, claims};

pub use connecting::ClusterStartError;
pub use examine::{examine, key_ids};
pub(crate) use member::Member;
pub use moving::{MovePreview, Moving, MovingError, Removing};
pub(crate) use parlor_nats::Serving;
pub use parlor_nats::{
    Away, Examined, Export, ExportLook, Import, KeyId, KeyRing, KeyRingError, Look, LostNode, NodeRow, Overview,
    Removal, Step, sees_records,
};
pub(crate) use reading::tidy;
pub use reading::{Reading, ReadingError};
pub use sharing::SharingError;

/// How many accounts are added to the cluster at once.
const ADDING: usize = 32;
/// The log says what a start waits for whenever it has waited for this time.
const LONG: Duration = Duration::from_secs(5);
/// How long after a failure accounts are added again.
const RETRY: Duration = Duration::from_secs(5);

/// A host that is a node of a cluster. Dropping it ends its accounts at once, as if the process was killed.
pub struct Cluster {
    runner: Runner,
    /// Adds the accounts of a changed configuration.
    following: JoinHandle<()>,
    /// Compare the accounts and the plugins with those of the cluster; none if the node does not share them.
    sharing: Vec<JoinHandle<()>>,
    /// Closes when nothing of the node uses the host.
    in_use: mpsc::Receiver<()>,
}

impl Cluster {
    /// Makes the host a node of the cluster that its configuration names. Returns `None` if it names none.
    pub async fn start(host: &Arc<Host>) -> Result<Option<Self>, ClusterStartError> {
        let config = host.config();
        let Some(section) = &config.cluster else { return Ok(None) };
        let (settings, cluster) = waiting("the secrets of [cluster]", connecting::settings(section)).await?;
        let name = section.node.clone().unwrap_or_else(connecting::machine);
        let link = waiting("a connection to NATS", Link::connect(&settings)).await?;
        waiting("the streams of the cluster in NATS", prepare(&link, &cluster)).await?;
        // Before anything of this node is in the cluster.
        waiting("the key of the cluster in NATS", agree_on_keys(&link, &cluster)).await?;
        let state =
            waiting("the times of the cluster in NATS", State::open(&link, &cluster, Timing::default())).await?;
        let checking = Box::pin(state.check_name(&name, Timing::default().patience()));
        waiting("the sessions of nodes in NATS", checking).await?;
        // Before the node takes accounts: it may have been down while something was revoked, or an account was removed.
        let mut sharing = Vec::new();
        if section.share_plugins {
            let accounts =
                waiting("the bucket of shared files in NATS", Shared::open(&state, SharedText::Accounts)).await?;
            let plugins = accounts.about(SharedText::Plugins);
            sharing.extend([accounts, plugins].map(|one| Arc::new(Sharing::new(one, &config, &section.name, &name))));
            // In this order: a policy may name accounts.
            for one in &sharing {
                waiting(one.name(), one.start(host)).await?;
            }
        } else {
            waiting("the bucket of shared files in NATS", sharing::goes_alone(&state, &name)).await?;
        }
        waiting("the accounts of the cluster in NATS", add_all(&state, &host.config(), false)).await?;
        let files = Accounts::start(&config.data).map_err(ClusterStartError::Files)?;
        let stores = waiting("the bucket of snapshots in NATS", Stores::open(&link, &cluster, files)).await?;
        let (using, in_use) = mpsc::channel(1);
        let host_ref = HostRef::new(host, using);
        let lost = Arc::new(Notify::new());
        let places = Places { link, cluster: cluster.clone(), state: state.clone() };
        let looking = sharing.iter().map(|sharing| tokio::spawn(look(host_ref.clone(), Arc::clone(sharing))));
        let looking: Vec<_> = looking.collect();
        let node = NodeSettings { name: name.clone(), capacity: section.capacity, timing: Timing::default() };
        let failing = Arc::<Failing>::default();
        let accounts = Arc::new(NodeAccounts::new(host_ref.clone(), Arc::clone(&lost), Arc::clone(&failing)));
        let starting = Runner::start(settings, cluster, node, stores, accounts);
        let runner = match waiting("the connection of the lease to NATS", starting).await {
            Ok(runner) => runner,
            Err(error) => {
                looking.iter().for_each(JoinHandle::abort);
                return Err(error.into());
            }
        };
        runner.teller().configured(configured(&host.config()));
        let following = tokio::spawn(follow(host_ref, places, runner.teller(), lost));
        tracing::info!(cluster = %section.name, node = %name, "the host is a node of a cluster");
        // A host is started as a node once.
        let _ = host.cluster.set(Member::new(&section.name, name, state, sharing, runner.health(), failing));
        Ok(Some(Self { runner, following, sharing: looking, in_use }))
    }

    /// Returns when the node has ended without being told to: the cluster has other times than this version of parlor, which the log
    /// says, or the host itself fails.
    pub fn over(&self) -> impl Future<Output = ()> + Send + use<> {
        self.runner.over()
    }

    /// Gives all accounts away, and ends the node. On return, nothing of it uses the host.
    pub async fn leave(self) {
        let Self { runner, following, sharing, mut in_use } = self;
        runner.leave().await;
        following.abort();
        sharing.iter().for_each(JoinHandle::abort);
        // Nothing is ever sent there.
        let _ = in_use.recv().await;
    }
}

/// Does a step of the start. If it takes long, the log says what the node waits for, and for how long it has.
fn waiting<T>(what: &'static str, step: impl Future<Output = T>) -> impl Future<Output = T> {
    let tell = move |seconds: u64| {
        tracing::warn!(waits_for = what, seconds, "this host is no node of its cluster yet, and runs no accounts");
    };
    // Boxed, or the start would have room for the largest step several times.
    telling(tell, Box::pin(step))
}

/// Does a step. While it lasts, tells again and again for how many seconds it has.
async fn telling<T>(mut tell: impl FnMut(u64), step: impl Future<Output = T>) -> T {
    let (began, mut step) = (Instant::now(), pin!(step));
    loop {
        match timeout(LONG, step.as_mut()).await {
            Ok(done) => return done,
            Err(_) => tell(began.elapsed().as_secs()),
        }
    }
}

/// Shares the accounts and the plugins after the owner had the host read its files. Does nothing on a host that is no node, or does
/// not share.
pub async fn reloaded(host: &Host) -> Result<(), SharingError> {
    let mut all = Ok(());
    for sharing in sharing_of(host) {
        all = all.and(sharing.reloaded(host).await);
    }
    all
}

/// Has the accounts and the plugins shared soon, after the host has read a file that was changed.
pub fn read_again(host: &Host) {
    for sharing in sharing_of(host) {
        sharing.read_again();
    }
}

fn sharing_of(host: &Host) -> impl Iterator<Item = &Sharing> {
    host.cluster.get().into_iter().flat_map(|member| member.sharing.iter().map(|sharing| &**sharing))
}

/// Takes a file of other nodes when it comes, and gives them that of this one when it has changed.
async fn look(host: HostRef, sharing: Arc<Sharing>) {
    let mut changes = sharing.changes();
    loop {
        tokio::select! {
            () = changes.next() => {}
            () = sharing.changed() => {}
            () = sleep(sharing::LATEST) => {}
        }
        sharing.look(&host).await;
    }
}

/// Adds the accounts of the configuration to the cluster, as far as they are not there. `is_lost` says whether NATS has lost the state.
/// One whose record cannot be read is left out, and the log says so.
async fn add_all(state: &State, config: &Config, is_lost: bool) -> Result<(), StateError> {
    let jids: Vec<_> = config.accounts.values().map(|account| account.link.jid.to_bare()).collect();
    let adding = jids.into_iter().map(|jid| {
        let state = state.clone();
        async move {
            let added =
                if is_lost { state.add_after_loss(jid.as_str(), 1).await } else { state.add(jid.as_str(), 1).await };
            (jid, added)
        }
    });
    let mut adding = stream::iter(adding).buffer_unordered(ADDING);
    while let Some((jid, added)) = adding.next().await {
        match added {
            Ok(Added::New | Added::Present) => {}
            Ok(Added::Away(why)) => tracing::warn!(
                %jid, %why,
                "the account does not run in the cluster: take it out of the configuration of all nodes, or run `parlor cluster import`"
            ),
            // All other accounts of all nodes would wait for its owner.
            Err(error @ StateError::Unreadable { .. }) => tracing::error!(
                %jid, %error,
                "the account does not run in the cluster: if no newer parlor wrote this, run `parlor backup`, and take the account from that backup with `parlor cluster import --replace`"
            ),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the accounts that the host can run.
fn configured(config: &Config) -> BTreeSet<Arc<str>> {
    config.accounts.values().map(|account| account.link.jid.to_bare().as_str().into()).collect()
}

/// The places in NATS in which a cluster keeps something.
struct Places {
    link: Link,
    cluster: parlor_nats::Cluster,
    state: State,
}

impl Places {
    /// Creates what NATS has lost, as a node does that starts.
    async fn mend(&self) -> Result<(), ClusterStartError> {
        let Self { link, cluster, state } = self;
        prepare(link, cluster).await?;
        agree_on_keys(link, cluster).await?;
        Snapshots::open(link, cluster).await?;
        Shared::open(state, SharedText::Plugins).await?;
        Ok(())
    }

    /// Adds the accounts of the configuration, and creates what they need if NATS has lost it.
    async fn add(&self, config: &Config, is_lost: bool) -> Result<(), ClusterStartError> {
        if is_lost {
            self.mend().await?;
        }
        Ok(add_all(&self.state, config, is_lost).await?)
    }
}

/// Adds the accounts that come with another configuration, and all of them if NATS has lost what it had confirmed. Before that, an
/// earlier key is replaced where no node would do it.
async fn follow(host: HostRef, places: Places, node: Teller, lost: Arc<Notify>) {
    if let Err(error) = encrypt_remains_anew(&places.state).await {
        tracing::warn!(
            %error,
            "remaining data of removed or exported accounts may still need an earlier key; a node tries again at its start to encrypt it anew"
        );
    }
    loop {
        let mut is_lost = tokio::select! {
            biased;
            () = lost.notified() => true,
            () = claims::reconfigured(&host) => {
                node.configured(configured(&host.config()));
                false
            }
        };
        let mut is_told = false;
        while let Err(error) = places.add(&host.config(), is_lost).await {
            if !std::mem::replace(&mut is_told, true) {
                tracing::error!(%error, "some accounts are not in the cluster yet; they are added once NATS answers");
            }
            sleep(RETRY).await;
            // NATS may have lost it meanwhile. Then accounts need what is made anew first.
            is_lost |= lost.notified().now_or_never().is_some();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_start_that_waits_says_for_how_long() {
        let (mut told, twelve) = (Vec::new(), Duration::from_secs(12));
        let step = async {
            sleep(twelve).await;
            7
        };
        let done = telling(|seconds| told.push(seconds), step).await;
        assert_eq!((done, told), (7, vec![5, 10]));
    }
}
