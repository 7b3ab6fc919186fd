//! Stores of accounts on several nodes: a node is a data folder with a connection of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::Config;
use jid::BareJid;
use parlor_base::clock::Clock;
use parlor_cluster::Token;
use parlor_session::{Contact, KeepRoster};
use parlor_stanza::types::RosterItem;
use parlor_store::{Accounts, Addition, Changed, Owner, PageOf, ReplayError, RosterKeeper, Step, Store, StoreError};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::proxy::Proxy;
use super::server::{Server, cluster, settings};
use super::soon;
use crate::clock;
use crate::names::hash;
use crate::record::RecordError;
use crate::stores::COPIES;
use crate::{
    AccountLog, CopyError, Held, Kind, Link, LogError, MOST_IN_A_RECORD, Record, SnapshotError, Stores, StreamError,
    TakeOverError, prepare, read_log,
};

const QUOTA: u64 = 64 << 20;

fn bot() -> BareJid {
    "bot@example.org".parse().unwrap()
}

fn owner() -> Owner {
    Owner { account: bot(), plugin: "echo".parse().unwrap() }
}

struct Node {
    stores: Stores,
    data: TempDir,
}

impl Node {
    async fn over(link: &Link) -> Self {
        let data = tempfile::tempdir().unwrap();
        let accounts = Accounts::start(data.path()).unwrap();
        Self { stores: Stores::open(link, &cluster(), accounts).await.unwrap(), data }
    }

    async fn take_over(&self, token: u64) -> Held {
        soon(self.stores.take_over(&bot(), Token(token))).await.unwrap()
    }
}

/// A node whose write of `k0` NATS has recorded, and NATS's answer to which is lost.
struct LostAnswer {
    _server: Server,
    /// Past the proxy.
    direct: Link,
    proxy: Proxy,
    node: Node,
    held: Held,
    /// The number of records before the write.
    before: usize,
    writing: JoinHandle<Result<Changed, StoreError>>,
}

impl LostAnswer {
    async fn of_a_write() -> Self {
        let server = Server::start();
        let (direct, _) = server.cluster().await;
        let proxy = Proxy::before(server.port()).await;
        let node = Node::over(&Link::connect(&settings(proxy.port())).await.unwrap()).await;
        let held = node.take_over(1).await;
        let before = records(&direct).await.len();
        proxy.set_deaf(true);
        let writing = tokio::spawn(write(held.store().clone(), "k0".to_owned()));
        soon(async { while records(&direct).await.len() == before {} }).await;
        Self { _server: server, direct, proxy, node, held, before, writing }
    }
}

/// Writes a key that must not be there, and counts it.
async fn write(store: Store, key: String) -> Result<Changed, StoreError> {
    let steps = vec![
        Step::Expect { key: key.clone(), value: None },
        Step::Set { key, value: b"v".to_vec(), expires: None },
        Step::Add(Addition { key: "n".to_owned(), amount: 1, expires: None }),
    ];
    let data = store.data(Clock::Machine);
    data.change(owner(), QUOTA, steps, None).await
}

async fn get(store: &Store, key: &str) -> Option<String> {
    let value = store.data(Clock::Machine).get(owner(), key.to_owned()).await.unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

/// Returns the keys that are there, and how many were counted.
async fn written(store: &Store, most: usize) -> (BTreeSet<String>, usize) {
    let mut keys = BTreeSet::new();
    for number in 0..most {
        let key = format!("k{number}");
        if get(store, &key).await.is_some() {
            keys.insert(key);
        }
    }
    (keys, get(store, "n").await.map_or(0, |number| number.parse().unwrap()))
}

async fn records(link: &Link) -> Vec<Record> {
    let mut records = Vec::new();
    soon(read_log(link, &cluster(), bot().as_str(), |record| records.push(record))).await.unwrap();
    records
}

/// Returns how many records the log has. It can be asked while a snapshot replaces them.
async fn length(link: &Link) -> u64 {
    let (stream, _) = cluster().log(bot().as_str());
    link.jetstream.get_stream(stream).await.unwrap().cached_info().state.messages
}

/// Each node ends in the middle of writes, and the next one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_after_each_kill() {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    const KILLS: u64 = 6;
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let nodes = [Node::over(&server.link().await).await, Node::over(&server.link().await).await];
    let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
    let (mut all, mut asked) = (BTreeSet::new(), 0);
    for token in 1..=KILLS {
        let held = nodes[usize::from(token % 3 == 0)].take_over(token).await;
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let (store, acknowledge, first) = (held.store().clone(), acknowledge.clone(), asked);
            asked += 1_000;
            writers.push(tokio::spawn(async move {
                for number in first..first + 1_000 {
                    let key = format!("k{number}");
                    match write(store.clone(), key.clone()).await {
                        Ok(Changed::Made(_)) => acknowledge.send(key).unwrap(),
                        Ok(other) => panic!("{other:?}"),
                        Err(_) => return,
                    }
                }
            }));
        }
        for _ in 0..WRITERS * EACH {
            all.insert(soon(acknowledged.recv()).await.unwrap());
        }
        held.kill();
        for writer in writers {
            soon(writer).await.unwrap();
        }
        while let Ok(key) = acknowledged.try_recv() {
            all.insert(key);
        }
    }
    let last = nodes[0].take_over(KILLS + 1).await;
    let (found, counted) = written(last.store(), asked).await;
    assert!(all.is_subset(&found), "lost: {:?}", all.difference(&found));
    assert_eq!(counted, found.len(), "each was counted once");
    // Another node has the same.
    let node = Node::over(&link).await;
    let other = node.take_over(KILLS + 2).await;
    assert_eq!(written(other.store(), asked).await, (found, counted));
}

#[tokio::test]
async fn the_store_of_an_earlier_holder_ends_when_it_writes() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let nodes = [Node::over(&link).await, Node::over(&link).await];
    let first = nodes[0].take_over(1).await;
    write(first.store().clone(), "k0".to_owned()).await.unwrap();
    let over = first.store().over();
    let second = nodes[1].take_over(2).await;
    assert_eq!(get(second.store(), "k0").await.as_deref(), Some("v"));
    let refused = soon(write(first.store().clone(), "k1".to_owned())).await;
    assert!(matches!(refused, Err(StoreError::Log(parlor_store::LogError::Fenced))), "{refused:?}");
    assert_eq!(soon(over).await, parlor_store::LogError::Fenced);
    assert_eq!(first.cause(), Some(LogError::Fenced));
    soon(first.close()).await.unwrap_err();
    write(second.store().clone(), "k2".to_owned()).await.unwrap();
    let found = written(second.store(), 3).await;
    assert_eq!(found, (["k0", "k2"].map(str::to_owned).into(), 2));
    let late = soon(nodes[0].stores.take_over(&bot(), Token(1))).await.unwrap_err();
    assert!(matches!(late, TakeOverError::Log(LogError::Fenced)), "{late}");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_made_once() {
    let lost = Box::pin(LostAnswer::of_a_write()).await;
    assert!(!lost.writing.is_finished() && get(lost.held.store(), "k0").await.is_none());
    lost.proxy.set_deaf(false);
    lost.proxy.cut();
    assert_eq!(soon(lost.writing).await.unwrap().unwrap(), Changed::Made(vec![1]));
    write(lost.held.store().clone(), "k1".to_owned()).await.unwrap();
    assert_eq!(records(&lost.direct).await.len(), lost.before + 2);
}

/// As after a crash between the answer of the log and the commit.
#[tokio::test]
async fn a_write_that_only_the_log_has_is_made_by_the_next_holder() {
    let lost = Box::pin(LostAnswer::of_a_write()).await;
    lost.held.kill();
    let outcome = soon(lost.writing).await.unwrap();
    assert!(matches!(outcome, Err(StoreError::Log(parlor_store::LogError::Ended))), "{outcome:?}");
    lost.proxy.set_deaf(false);
    lost.proxy.cut();
    let held = lost.node.take_over(2).await;
    assert_eq!(written(held.store(), 2).await, (["k0".to_owned()].into(), 1));
}

#[tokio::test]
async fn a_whole_roster_is_split_and_taken_over_as_one_change() {
    const CONTACTS: usize = 20_000;
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let nodes = [Node::over(&link).await, Node::over(&link).await];
    let held = nodes[0].take_over(1).await;
    let contacts = (0..CONTACTS).map(|number| {
        let item = RosterItem {
            jid: format!("contact-{number}@example.org").parse().unwrap(),
            name: Some(format!("{number:060}")),
            subscription: "both".to_owned(),
            ask: false,
            groups: vec!["friends".to_owned()],
        };
        (item.jid.clone(), Arc::new(Contact::new(item)))
    });
    let mut keeper = RosterKeeper::new(held.store().clone(), &bot());
    keeper.keep(KeepRoster::Whole { version: "v1".to_owned(), contacts: contacts.collect() });
    assert_eq!(soon(keeper.load()).await.unwrap().items.len(), CONTACTS);
    let kinds: Vec<_> = records(&link).await.iter().map(|record| record.kind).collect();
    assert_eq!(kinds[..2], [Kind::Fence, Kind::Part]);
    assert_eq!(kinds.last(), Some(&Kind::Change));
    drop(keeper);
    held.kill();
    // Its holder is killed in the middle of the next one.
    let mut log = AccountLog::open(&link, &cluster(), bot().as_str(), Token(2)).await.unwrap();
    log.write(Kind::Part, vec![0; MOST_IN_A_RECORD].into()).await.unwrap();
    let held = nodes[1].take_over(3).await;
    write(held.store().clone(), "k0".to_owned()).await.unwrap();
    let keeper = RosterKeeper::new(held.store().clone(), &bot());
    assert_eq!(soon(keeper.load()).await.unwrap().items.len(), CONTACTS);
    drop(keeper);
    soon(held.close()).await.unwrap();
    let held = nodes[0].take_over(4).await;
    assert_eq!(written(held.store(), 1).await, (["k0".to_owned()].into(), 1));
}

/// As after a loss of power of the machine with NATS, whose log then goes on with other records at the same places.
#[tokio::test]
async fn a_file_with_changes_that_nats_has_lost_is_kept_and_does_not_go_on() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let nodes = [Node::over(&link).await, Node::over(&link).await];
    let held = nodes[0].take_over(1).await;
    write(held.store().clone(), "k0".to_owned()).await.unwrap();
    held.kill();
    let (stream, _) = cluster.log(bot().as_str());
    link.jetstream.delete_stream(stream).await.unwrap();
    prepare(&link, &cluster).await.unwrap();
    let held = nodes[1].take_over(2).await;
    for key in ["k1", "k2"] {
        write(held.store().clone(), key.to_owned()).await.unwrap();
    }
    held.kill();
    let held = nodes[0].take_over(3).await;
    assert_eq!(written(held.store(), 3).await, (["k1", "k2"].map(str::to_owned).into(), 2));
    let mut names = nodes[0].data.path().join("accounts").read_dir().unwrap();
    let is_kept = names.any(|entry| entry.unwrap().file_name().to_str().unwrap().ends_with(".db.broken-1"));
    assert!(is_kept, "nothing else has what was acknowledged");
}

#[tokio::test]
async fn a_snapshot_replaces_a_long_log_and_the_files_of_other_nodes() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let nodes = [Node::over(&link).await, Node::over(&link).await];
    let (mut token, mut keys) = (0, BTreeSet::new());
    // Each node comes back after the log that its file would need is gone.
    for round in 0..3 {
        for node in &nodes {
            token += 1;
            let held = node.take_over(token).await;
            for one in 0..10 {
                let key = format!("k{}", round * 100 + token * 10 + one);
                write(held.store().clone(), key.clone()).await.unwrap();
                keys.insert(key);
            }
            soon(held.close()).await.unwrap();
            let kinds: Vec<_> = records(&link).await.iter().map(|record| record.kind).collect();
            assert_eq!(kinds, [Kind::Snapshot], "the rest was removed");
        }
    }
    let held = nodes[0].take_over(token + 1).await;
    assert_eq!(written(held.store(), 1_000).await, (keys.clone(), keys.len()));
    let objects = link.jetstream.get_object_store("PARLOR_c_SNAPSHOTS").await.unwrap();
    let mut objects = objects.list().await.unwrap();
    let mut count = 0;
    while let Some(object) = futures_util::StreamExt::next(&mut objects).await {
        count += usize::from(!object.unwrap().deleted);
    }
    assert_eq!(count, 1, "those before were removed");
}

/// None of them sees so many changes that a snapshot is due.
#[tokio::test]
async fn a_log_does_not_grow_without_end_because_each_holder_is_killed() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let node = Node::over(&link).await;
    let held = node.take_over(1).await;
    write(held.store().clone(), "k0".to_owned()).await.unwrap();
    held.kill();
    let change = records(&link).await.pop().unwrap().body;
    for token in [2, 4] {
        let mut log = AccountLog::open(&link, &cluster(), bot().as_str(), Token(token)).await.unwrap();
        for _ in 0..600 {
            log.append(change.clone()).await.unwrap();
        }
        node.take_over(token + 1).await.kill();
    }
    let held = node.take_over(6).await;
    soon(async { while length(&link).await > 100 {} }).await;
    assert_eq!(written(held.store(), 1).await, (["k0".to_owned()].into(), 1));
}

/// While a log is read, its holder may make a snapshot, which replaces records and the snapshot before it.
#[test]
fn what_a_snapshot_may_have_replaced_is_read_again_and_what_is_lost_is_tried_rarely() {
    let gap = || LogError::Gap { subject: "s".to_owned(), expected: 3, found: 10 };
    let missing = SnapshotError::Missing { name: "n".to_owned() };
    for error in [TakeOverError::from(gap()), SnapshotError::from(gap()).into(), missing.into()] {
        assert!(error.may_be_replaced() && error.needs_owner(), "{error}");
    }
    let silent = SnapshotError::Server { name: "n".to_owned(), cause: "it took too long".to_owned() };
    let silent = TakeOverError::from(silent);
    assert!(!silent.may_be_replaced() && !silent.needs_owner());
}

/// While nodes are updated one after the other, each attempt of an earlier version would write a fence, once a second.
#[test]
fn what_another_version_wrote_is_tried_more_and_more_rarely() {
    let foreign = || {
        let (subject, cause) = ("s".to_owned(), RecordError::Format("3".to_owned()));
        LogError::Foreign { subject, revision: 1, cause }
    };
    let later = ReplayError::from(parlor_store::RecordError::Format(parlor_store::FORMAT + 1));
    let named = SnapshotError::Name("{}".to_owned());
    for error in [TakeOverError::from(foreign()), SnapshotError::from(foreign()).into(), later.into(), named.into()] {
        assert!(!error.may_be_replaced() && error.needs_owner(), "{error}");
    }
    assert!(!TakeOverError::from(ReplayError::from(StoreError::Ended)).needs_owner());
}

/// Somebody deleted it. Before, its accounts were down until a node was started.
#[tokio::test]
async fn the_stream_of_a_log_that_is_gone_is_created_again_and_the_owner_is_told() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let node = Node::over(&link).await;
    let held = node.take_over(1).await;
    soon(write(held.store().clone(), "k0".to_owned())).await.unwrap();
    let (stream, _) = cluster().log(bot().as_str());
    link.jetstream.delete_stream(&stream).await.unwrap();
    assert!(soon(write(held.store().clone(), "k1".to_owned())).await.is_err());
    held.kill();
    let error = soon(node.stores.take_over(&bot(), Token(2))).await.unwrap_err();
    let is_told = matches!(&error, TakeOverError::Stream(StreamError::Gone { stream: gone }) if *gone == stream);
    assert!(is_told && error.to_string().contains("--replace"), "{error}");
    let held = node.take_over(3).await;
    soon(write(held.store().clone(), "k2".to_owned())).await.unwrap();
    assert_eq!(written(held.store(), 3).await, (BTreeSet::from(["k2".to_owned()]), 1));
}

/// A node was killed while it stored a snapshot.
#[tokio::test]
async fn the_snapshot_of_an_account_removes_what_an_upload_left() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let node = Node::over(&link).await;
    let subject = format!("$O.PARLOR_c_SNAPSHOTS.C.{}.1.a", hash(bot().as_str()));
    link.jetstream.publish(subject.clone(), "part".into()).await.unwrap().await.unwrap();
    let objects = link.jetstream.get_stream("OBJ_PARLOR_c_SNAPSHOTS").await.unwrap();
    assert!(objects.get_last_raw_message_by_subject(&subject).await.is_ok());
    let held = node.take_over(1).await;
    soon(write(held.store().clone(), "k0".to_owned())).await.unwrap();
    soon(held.close()).await.unwrap();
    assert_eq!(node.stores.snapshots.sizes(bot().as_str()).await.unwrap().0, 1);
    assert!(objects.get_last_raw_message_by_subject(&subject).await.is_err(), "it is still there");
}

/// Its holder made a snapshot, and NATS has lost that and nothing else.
#[tokio::test]
async fn an_account_whose_snapshot_is_gone_is_told_to_lack_it() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let nodes = [Node::over(&link).await, Node::over(&link).await];
    let held = nodes[0].take_over(1).await;
    write(held.store().clone(), "k0".to_owned()).await.unwrap();
    soon(held.close()).await.unwrap();
    let objects = nodes[0].stores.snapshots.clone();
    soon(objects.forget_all(bot().as_str(), None)).await.unwrap();
    let error = soon(nodes[1].stores.fetch(&bot())).await.unwrap_err();
    assert!(matches!(error, TakeOverError::Snapshot(SnapshotError::Missing { .. })), "{error}");
    // A node with the file needs no snapshot.
    let held = nodes[0].take_over(2).await;
    assert_eq!(written(held.store(), 1).await, (["k0".to_owned()].into(), 1));
}

#[tokio::test]
async fn an_account_whose_file_has_ended_is_not_told_to_be_whole() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let node = Node::over(&link).await;
    let held = node.take_over(1).await;
    write(held.store().clone(), "k0".to_owned()).await.unwrap();
    let over = held.store().over();
    held.store().give_up();
    soon(over).await;
    write(held.store().clone(), "k1".to_owned()).await.unwrap_err();
    let closed = soon(held.close()).await;
    assert!(matches!(closed, Err(CopyError::Ended(LogError::Ended))), "{closed:?}");
    let held = node.take_over(2).await;
    assert_eq!(written(held.store(), 2).await, (["k0".to_owned()].into(), 1));
}

/// Snapshots are in memory, and thousands of accounts may stop at once.
#[tokio::test]
async fn an_account_that_stops_does_not_wait_until_those_before_it_have_snapshots() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let nodes = [Node::over(&link).await, Node::over(&link).await];
    let held = nodes[0].take_over(1).await;
    write(held.store().clone(), "k0".to_owned()).await.unwrap();
    let places = nodes[0].stores.copies.acquire_many(COPIES.try_into().unwrap()).await.unwrap();
    soon(held.close()).await.unwrap();
    assert!(records(&link).await.iter().all(|record| record.kind != Kind::Snapshot), "none was made");
    drop(places);
    let held = nodes[1].take_over(2).await;
    assert_eq!(written(held.store(), 1).await, (["k0".to_owned()].into(), 1));
    soon(held.close()).await.unwrap();
    assert!(records(&link).await.iter().any(|record| record.kind == Kind::Snapshot));
}

#[tokio::test]
async fn a_log_that_becomes_long_is_replaced_while_its_account_runs() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let nodes = [Node::over(&link).await, Node::over(&link).await];
    let held = nodes[0].take_over(1).await;
    let value = |byte: u8| {
        let step = Step::Set { key: "large".to_owned(), value: vec![byte; 200 << 10], expires: None };
        let data = held.store().data(Clock::Machine);
        async move { data.change(owner(), QUOTA, vec![step], None).await.unwrap() }
    };
    for byte in 0..60 {
        soon(value(byte)).await;
    }
    // The one that was due while another was made comes with the next change.
    soon(async { while length(&link).await > 40 {} }).await;
    write(held.store().clone(), "k0".to_owned()).await.unwrap();
    held.kill();
    let held = nodes[1].take_over(2).await;
    assert_eq!(written(held.store(), 1).await, (["k0".to_owned()].into(), 1));
    let large = held.store().data(Clock::Machine).get(owner(), "large".to_owned()).await.unwrap().unwrap();
    assert!(large.len() == 200 << 10 && large[0] == 59);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_nats_server_delays_writes_and_loses_none() {
    let mut server = Server::start();
    let (link, _) = server.cluster().await;
    let nodes = [Node::over(&link).await, Node::over(&link).await];
    let held = nodes[0].take_over(1).await;
    for round in 0..3 {
        let writing = |number: usize| write(held.store().clone(), format!("k{}", round * 10 + number));
        let all = futures_util::future::join_all((0..10).map(writing));
        let all = tokio::spawn(all);
        server.kill();
        server.start_again();
        for outcome in soon(all).await.unwrap() {
            assert!(matches!(outcome, Ok(Changed::Made(_))), "{outcome:?}");
        }
    }
    held.kill();
    let held = nodes[1].take_over(2).await;
    let (keys, counted) = written(held.store(), 30).await;
    assert_eq!((keys.len(), counted), (30, 30));
}

/// The changes behind it wait as long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_whose_name_the_log_does_not_take_is_known_to_wait() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let node = Node::over(&link).await;
    let held = node.take_over(1).await;
    soon(write(held.store().clone(), "k0".to_owned())).await.unwrap();
    let stream = link.jetstream.get_stream(cluster.log(bot().as_str()).0).await.unwrap();
    // The server acknowledges no record any more. The writer waits for a second, and then looks whether its record is there.
    let config = Config { no_ack: true, ..stream.cached_info().config.clone() };
    link.jetstream.update_stream(config).await.unwrap();
    let unnoted = held.unnoted();
    let closing = tokio::spawn(held.close());
    soon(async {
        while !unnoted.is_long(clock::now()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    soon(closing).await.unwrap().unwrap();
    assert!(!unnoted.is_long(clock::now()));
}

/// The keys of the comparison with a file that is alone.
const KEYS: [&str; 5] = ["a", "a/1", "a/2", "b", "\u{10ffff}"];
/// So small that some of its changes exceed it.
const SMALL: u64 = 600;
/// Never, long ago, and far away, in milliseconds since the Unix epoch.
const EXPIRIES: [Option<i64>; 3] = [None, Some(1), Some(4_102_444_800_000)];

fn one_of<T: Clone>(random: &mut StdRng, all: &[T]) -> T {
    all[random.random_range(0..all.len())].clone()
}

/// Returns changes of some keys, which are made only if one key still has its value. Sometimes another value is expected.
async fn some_steps(random: &mut StdRng, alone: &Store) -> Vec<Step> {
    let key = one_of(random, &KEYS).to_owned();
    let is_swap = random.random_range(0..4) > 0;
    let value =
        if is_swap { alone.data(Clock::Machine).get(owner(), key.clone()).await.unwrap() } else { Some(b"1".to_vec()) };
    let mut steps = vec![Step::Expect { key, value }];
    for key in KEYS.map(str::to_owned) {
        let (expires, length) = (one_of(random, &EXPIRIES), random.random_range(0..400));
        match random.random_range(0..8) {
            0 => steps.push(Step::Set { key, value: vec![b'x'; length], expires }),
            1 => steps.push(Step::Set { key, value: b"1".to_vec(), expires }),
            2 | 3 => steps.push(Step::Add(Addition { key, amount: random.random_range(-2..3), expires })),
            4 => steps.push(Step::Delete(key)),
            _ => {}
        }
    }
    steps
}

fn some_range(random: &mut StdRng) -> PageOf {
    let bounds = [None, Some("a/1"), Some("a/15"), Some("b")];
    let [from, to] = [one_of(random, &bounds), one_of(random, &bounds)].map(|bound| bound.map(str::to_owned));
    let prefix = one_of(random, &["", "a", "a/", "\u{10ffff}"]).to_owned();
    PageOf { prefix, from, to, descending: random.random(), after: None, most: random.random_range(1..4) }
}

/// Returns all entries of a range, which are read page by page.
async fn range(store: &Store, mut asked: PageOf) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let page = store.data(Clock::Machine).entries(owner(), asked.clone()).await.unwrap();
        all.extend(page.found);
        if page.next.is_none() {
            return all;
        }
        asked.after = page.next;
    }
}

/// A plugin cannot tell where its host keeps what it stores: swaps, sums, expiry, ranges and the quota are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_plugins_store_through_nats_is_what_a_file_alone_would_have() {
    const TURNS: u64 = 160;
    const OF_A_NODE: u64 = 20;
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let nodes = [Node::over(&link).await, Node::over(&link).await];
    let folder = tempfile::tempdir().unwrap();
    let alone = Store::open(folder.path()).unwrap();
    let (mut held, mut outcomes) = (nodes[0].take_over(1).await, BTreeSet::new());
    for turn in 2..=TURNS {
        if turn.is_multiple_of(OF_A_NODE) {
            // The first node is killed, and leaves a log. The second one gives the account away, and leaves a snapshot.
            let is_of_the_first = !turn.is_multiple_of(2 * OF_A_NODE);
            if is_of_the_first {
                held.kill();
            } else {
                soon(held.close()).await.unwrap();
            }
            held = nodes[usize::from(is_of_the_first)].take_over(turn).await;
        }
        let steps = some_steps(&mut random, &alone).await;
        let made =
            async |store: &Store| store.data(Clock::Machine).change(owner(), SMALL, steps.clone(), None).await.unwrap();
        let (expected, outcome) = (made(&alone).await, soon(made(held.store())).await);
        assert_eq!(outcome, expected, "seed {seed}, turn {turn}: {steps:?}");
        outcomes.insert(match outcome {
            Changed::Made(_) => "made",
            Changed::Otherwise => "another value",
            Changed::TooMuch => "over the quota",
            Changed::NoNumber(_) | Changed::NoSum(_) => "no number",
        });
        let asked = some_range(&mut random);
        let (expected, found) = (range(&alone, asked.clone()).await, range(held.store(), asked.clone()).await);
        assert_eq!(found, expected, "seed {seed}, turn {turn}: {asked:?}");
        let bytes = async |store: &Store| store.data(Clock::Machine).sizes().await.unwrap();
        assert_eq!(bytes(held.store()).await, bytes(&alone).await, "seed {seed}, turn {turn}");
    }
    assert_eq!(outcomes.len(), 4, "seed {seed}: {outcomes:?}");
}
