//! Nodes that run accounts: from orders to stores, and back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_nats::jetstream::stream::Config;
use jid::BareJid;
use parlor_base::clock::Clock;
use parlor_cluster::{Timing, Token};
use parlor_store::{Accounts, Addition, Changed, Owner, Step, Store};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::proxy::Proxy;
use super::server::{Server, cluster, settings};
use super::soon;
use crate::{
    AccountHost, AccountRow, Held, Link, LogError, LostNode, NodeRow, NodeSettings, Overview, Permit, PutError, Runner,
    State, Stores, Trouble,
};

const ACCOUNT: &str = "bot@example.org";
const QUOTA: u64 = 64 << 20;

/// Runs accounts that write one key after the other.
struct Writers {
    node: &'static str,
    /// The node and the key of each write that was acknowledged.
    acknowledged: mpsc::UnboundedSender<(&'static str, String)>,
    trouble: mpsc::UnboundedSender<Trouble>,
}

/// An account that writes until it is dropped.
struct Writing(AbortHandle);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AccountHost for Writers {
    type Running = Writing;

    fn start(&self, account: &BareJid, store: Store, permit: Permit) -> Writing {
        let (node, acknowledged) = (self.node, self.acknowledged.clone());
        let owner = Owner { account: account.clone(), plugin: "echo".parse().unwrap() };
        let task = tokio::spawn(async move {
            while permit.may_act() {
                let key = format!("k{:016x}", rand::random::<u64>());
                let steps = vec![
                    Step::Expect { key: key.clone(), value: None },
                    Step::Set { key: key.clone(), value: b"v".to_vec(), expires: None },
                    Step::Add(Addition { key: "n".to_owned(), amount: 1, expires: None }),
                ];
                match store.data(Clock::Machine).change(owner.clone(), QUOTA, steps, None).await {
                    Ok(Changed::Made(_)) => _ = acknowledged.send((node, key)),
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => return,
                }
            }
        });
        Writing(task.abort_handle())
    }

    async fn stop(&self, running: Writing) {
        running.0.abort();
        // The task drops its handle on the store when it ends.
        while !running.0.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    fn report(&self, trouble: Trouble) {
        _ = self.trouble.send(trouble);
    }
}

/// The reports of all nodes of a test.
struct Told {
    acknowledged: mpsc::UnboundedReceiver<(&'static str, String)>,
    trouble: mpsc::UnboundedReceiver<Trouble>,
    senders: (mpsc::UnboundedSender<(&'static str, String)>, mpsc::UnboundedSender<Trouble>),
    keys: BTreeSet<String>,
}

impl Told {
    fn new() -> Self {
        let ((one, acknowledged), (other, trouble)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        Self { acknowledged, trouble, senders: (one, other), keys: BTreeSet::new() }
    }

    /// Waits until a node has written.
    async fn by(&mut self, node: &str) {
        loop {
            let (by, key) = soon(self.acknowledged.recv()).await.unwrap();
            assert!(self.keys.insert(key));
            if by == node {
                return;
            }
        }
    }
}

/// Starts a node that reaches NATS at this port.
async fn start(port: u16, node: &'static str, data: &TempDir, told: &Told) -> Runner {
    start_with(port, node, data, told, |writers| writers).await
}

/// The same, with another host around the one that writes.
async fn start_with<H: AccountHost>(
    port: u16,
    node: &'static str,
    data: &TempDir,
    told: &Told,
    host: impl FnOnce(Writers) -> H,
) -> Runner {
    let link = Link::connect(&settings(port)).await.unwrap();
    let stores = Stores::open(&link, &cluster(), Accounts::start(data.path()).unwrap()).await.unwrap();
    let (acknowledged, trouble) = told.senders.clone();
    let host = Arc::new(host(Writers { node, acknowledged, trouble }));
    let own = NodeSettings { name: node.to_owned(), capacity: 1, timing: Timing::default() };
    soon(Runner::start(settings(port), cluster(), own, stores, host)).await.unwrap()
}

async fn with_account(server: &Server) -> Link {
    let (link, cluster) = server.cluster().await;
    State::open(&link, &cluster, Timing::default()).await.unwrap().add(ACCOUNT, 1).await.unwrap();
    link
}

/// Takes the account over as somebody who is not part of the cluster, with a token that is higher than that of any claim.
async fn seize(link: &Link, data: &TempDir, token: u64) -> Held {
    let stores = Stores::open(link, &cluster(), Accounts::start(data.path()).unwrap()).await.unwrap();
    soon(stores.take_over(&ACCOUNT.parse().unwrap(), Token(token))).await.unwrap()
}

/// Compares the account with what was acknowledged, when all nodes have ended.
async fn compare(link: &Link, told: &mut Told) {
    while let Ok((_, key)) = told.acknowledged.try_recv() {
        assert!(told.keys.insert(key));
    }
    let data = tempfile::tempdir().unwrap();
    let held = seize(link, &data, 2_000).await;
    let account = ACCOUNT.parse().unwrap();
    let owner = Owner { account, plugin: "echo".parse().unwrap() };
    let kept = held.store().data(Clock::Machine);
    for key in &told.keys {
        assert!(kept.get(owner.clone(), key.clone()).await.unwrap().is_some(), "{key} is lost");
    }
    let count: usize =
        String::from_utf8(kept.get(owner, "n".to_owned()).await.unwrap().unwrap()).unwrap().parse().unwrap();
    // Those that were not acknowledged may have been made: one for each node that ended.
    assert!((told.keys.len()..=told.keys.len() + 3).contains(&count), "{count} for {}", told.keys.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_goes_on_where_it_was_when_its_node_ends_or_leaves() {
    let server = Server::start();
    let link = with_account(&server).await;
    let (mut told, folders) = (Told::new(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let first = start(server.port(), "first", &folders[0], &told).await;
    told.by("first").await;
    let second = start(server.port(), "second", &folders[1], &told).await;
    drop(first);
    told.by("second").await;
    let again = start(server.port(), "again", &folders[0], &told).await;
    soon(second.leave()).await;
    told.by("again").await;
    soon(again.leave()).await;
    let troubles: Vec<_> = std::iter::from_fn(|| told.trouble.try_recv().ok()).collect();
    assert!(troubles.is_empty(), "{troubles:?}");
    compare(&link, &mut told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_node_is_cut_off_goes_on_elsewhere_alone() {
    let server = Server::start();
    let link = with_account(&server).await;
    let proxy = Proxy::before(server.port()).await;
    let (mut told, folders) = (Told::new(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let _first = start(proxy.port(), "first", &folders[0], &told).await;
    told.by("first").await;
    let second = start(server.port(), "second", &folders[1], &told).await;
    proxy.set_deaf(true);
    proxy.cut();
    told.by("second").await;
    // The first node hears again, and does nothing with the account any more.
    proxy.set_deaf(false);
    proxy.cut();
    for _ in 0..50 {
        told.by("second").await;
    }
    soon(second.leave()).await;
    compare(&link, &mut told).await;
}

/// Panics when it starts an account for the first time.
struct Panics(Writers, AtomicBool);

impl AccountHost for Panics {
    type Running = Writing;

    fn start(&self, account: &BareJid, store: Store, permit: Permit) -> Writing {
        assert!(self.1.swap(true, Ordering::SeqCst), "a defect");
        self.0.start(account, store, permit)
    }

    async fn stop(&self, running: Writing) {
        self.0.stop(running).await;
    }

    fn report(&self, trouble: Trouble) {
        self.0.report(trouble);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_ends_by_a_panic_is_given_away_and_its_owner_is_told() {
    let server = Server::start();
    let link = with_account(&server).await;
    let (mut told, data) = (Told::new(), tempfile::tempdir().unwrap());
    let panics = |writers| Panics(writers, AtomicBool::new(false));
    let node = start_with(server.port(), "first", &data, &told, panics).await;
    let trouble = soon(told.trouble.recv()).await.unwrap();
    assert!(matches!(&trouble, Trouble::Defect(account) if **account == *ACCOUNT), "{trouble}");
    soon(told.by("first")).await;
    soon(node.leave()).await;
    compare(&link, &mut told).await;
}

/// Also if it starts again before that is taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_to_be_drained_gives_its_account_away_and_takes_none() {
    let server = Server::start();
    let link = with_account(&server).await;
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    let (mut told, folders) = (Told::new(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let first = start(server.port(), "first", &folders[0], &told).await;
    told.by("first").await;
    let second = start(server.port(), "second", &folders[1], &told).await;
    state.drain("first", true).await.unwrap();
    told.by("second").await;
    let overview = state.overview().await.unwrap();
    let row = |name: &str, is_draining, accounts| NodeRow {
        name: name.to_owned(),
        capacity: 1,
        used: 0,
        share: 100,
        is_draining,
        accounts,
        standings: std::collections::BTreeMap::new(),
    };
    // How busy this process is depends on other tests.
    let nodes: Vec<_> = overview.nodes.into_iter().map(|node| NodeRow { used: 0, ..node }).collect();
    assert_eq!(nodes, [row("first", true, 0), row("second", false, 1)]);
    assert_eq!(Vec::from_iter(overview.drained), ["first"]);
    let node = Some("second".to_owned());
    assert_eq!(overview.accounts, [AccountRow { account: ACCOUNT.to_owned(), node }]);
    soon(first.leave()).await;
    let overview = state.overview().await.unwrap();
    assert!(overview.drained.contains("first"), "also while it does not run: {overview:?}");
    let first = start(server.port(), "first", &folders[0], &told).await;
    soon(second.leave()).await;
    state.drain("first", false).await.unwrap();
    assert_eq!(state.overview().await.unwrap().drained.len(), 0);
    told.by("first").await;
    soon(first.leave()).await;
    compare(&link, &mut told).await;
}

/// Reads the state of the cluster until it is so.
async fn until(state: &State, is_so: impl Fn(&Overview) -> bool) -> Overview {
    let read = async {
        loop {
            let overview = state.overview().await.unwrap();
            if is_so(&overview) {
                return overview;
            }
        }
    };
    soon(read).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_killed_is_shown_as_lost_until_it_is_back_and_one_that_leaves_is_not() {
    let server = Server::start();
    let link = with_account(&server).await;
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    let (mut told, folders) = (Told::new(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let first = start(server.port(), "first", &folders[0], &told).await;
    told.by("first").await;
    let second = start(server.port(), "second", &folders[1], &told).await;
    until(&state, |overview| overview.nodes.len() == 2).await;
    let begin = SystemTime::now();
    drop(first);
    told.by("second").await;
    let overview = until(&state, |overview| !overview.lost.is_empty()).await;
    let LostNode { name, since } = &overview.lost[0];
    assert!(name == "first" && *since + Duration::from_secs(2) > begin && overview.lost.len() == 1, "{overview:?}");
    let first = start(server.port(), "first", &folders[0], &told).await;
    let overview = until(&state, |overview| overview.nodes.len() == 2).await;
    assert_eq!(overview.lost, []);
    soon(first.leave()).await;
    let overview = until(&state, |overview| overview.nodes.len() == 1).await;
    assert_eq!(overview.lost, [], "it left in order");
    soon(second.leave()).await;
    compare(&link, &mut told).await;
}

/// The records of the cluster go on to say that the node has the account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_says_why_nats_takes_no_writes_and_that_its_account_is_at_no_node() {
    let server = Server::start();
    let link = with_account(&server).await;
    let (mut told, folder) = (Told::new(), tempfile::tempdir().unwrap());
    let node = start(server.port(), "first", &folder, &told).await;
    told.by("first").await;
    let mut health = node.health();
    let whole = soon(health.wait_for(|health| health.cluster.own == 1)).await.unwrap().clone();
    assert!(whole.reaches_nats() && whole.trouble.is_none(), "{whole:?}");
    assert_eq!((whole.cluster.nodes, whole.cluster.accounts, whole.cluster.nowhere), (1, 1, 0));
    let stream = link.jetstream.get_stream(cluster().state_stream()).await.unwrap();
    let config = stream.cached_info().config.clone();
    link.jetstream.update_stream(Config { max_message_size: 10, ..config.clone() }).await.unwrap();
    let full =
        soon(health.wait_for(|health| health.cluster.nowhere == 1 && health.trouble.is_some())).await.unwrap().clone();
    assert!(full.is_connected && !full.reaches_nats(), "{full:?}");
    assert!(matches!(full.trouble, Some(PutError::Server { code: 10_054, .. })), "{full:?}");
    // As a server whose disk is full, it goes on to answer pings, and no writes.
    let elsewhere = Config { subjects: vec!["parlor.c.elsewhere".to_owned()], ..config.clone() };
    link.jetstream.update_stream(elsewhere).await.unwrap();
    soon(health.wait_for(|health| health.is_connected && health.trouble == Some(PutError::Silent))).await.unwrap();
    link.jetstream.update_stream(config).await.unwrap();
    soon(health.wait_for(|health| health.reaches_nats() && health.cluster.own == 1)).await.unwrap();
    soon(node.leave()).await;
    drop(told);
}

/// Passes on the permission of each account.
struct Shows(Writers, mpsc::UnboundedSender<Permit>);

impl AccountHost for Shows {
    type Running = Writing;

    fn start(&self, account: &BareJid, store: Store, permit: Permit) -> Writing {
        _ = self.1.send(permit.clone());
        self.0.start(account, store, permit)
    }

    async fn stop(&self, running: Writing) {
        self.0.stop(running).await;
    }

    fn report(&self, trouble: Trouble) {
        self.0.report(trouble);
    }
}

/// The server takes renewals of the lease and answers reads, as if only the connection of the stores hung.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_waits_while_its_log_takes_nothing_also_if_there_is_one_server() {
    let server = Server::start();
    let link = with_account(&server).await;
    let (mut told, data) = (Told::new(), tempfile::tempdir().unwrap());
    let (permits, mut given) = mpsc::unbounded_channel();
    let node = start_with(server.port(), "first", &data, &told, |writers| Shows(writers, permits)).await;
    let mut permit = soon(given.recv()).await.unwrap();
    told.by("first").await;
    // The server acknowledges no record any more. The writer waits for a second, and then looks whether its record is there.
    let stream = link.jetstream.get_stream(cluster().log(ACCOUNT).0).await.unwrap();
    let config = stream.cached_info().config.clone();
    link.jetstream.update_stream(Config { no_ack: true, ..config.clone() }).await.unwrap();
    soon(async {
        while permit.stuck().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            // On a busy machine, the lease may be over in between. Then the account begins again.
            while let Ok(next) = given.try_recv() {
                permit = next;
            }
        }
    })
    .await;
    link.jetstream.update_stream(config).await.unwrap();
    soon(node.leave()).await;
    compare(&link, &mut told).await;
}

/// Somebody who is not part of the cluster has fenced the account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_log_is_fenced_ends_and_its_owner_is_told() {
    let server = Server::start();
    let link = with_account(&server).await;
    let (mut told, data) = (Told::new(), tempfile::tempdir().unwrap());
    let node = start(server.port(), "first", &data, &told).await;
    told.by("first").await;
    let elsewhere = tempfile::tempdir().unwrap();
    seize(&link, &elsewhere, 1_000).await.kill();
    let trouble = soon(told.trouble.recv()).await.unwrap();
    assert!(matches!(&trouble, Trouble::Log { cause: LogError::Fenced, .. }), "{trouble}");
    // It is given away, taken again and refused, and the node goes on.
    let trouble = soon(told.trouble.recv()).await.unwrap();
    assert!(matches!(&trouble, Trouble::TakeOver { .. }), "{trouble}");
    soon(node.leave()).await;
    compare(&link, &mut told).await;
}

/// NATS then counts more messages that are still to come than there are, and the count may never reach zero.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_is_read_to_its_end_while_its_records_are_replaced() {
    let server = Server::start();
    let link = with_account(&server).await;
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    for number in 0..20 {
        state.add(&format!("bot{number}@example.org"), 1).await.unwrap();
    }
    let (stream, pulse) = (cluster().state_stream(), cluster().pulse_subject());
    let replace = async move {
        loop {
            soon(link.touch(&stream, pulse.clone(), Duration::from_mins(1))).await.unwrap();
        }
    };
    let replacing = tokio::spawn(replace);
    for _ in 0..300 {
        assert_eq!(state.overview().await.unwrap().accounts.len(), 21);
    }
    assert!(!replacing.is_finished());
    replacing.abort();
}
