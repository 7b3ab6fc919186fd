//! The data of accounts in NATS is encrypted, and changes that somebody made to it there are refused.

use async_nats::HeaderMap;
use bytes::Bytes;
use jid::BareJid;
use parlor_base::clock::Clock;
use parlor_cluster::Token;
use parlor_store::{Accounts, Changed, Owner, Step, Store};
use tempfile::TempDir;

use super::server::{KEY, LATER_KEY, Server, cluster, with_keys};
use super::soon;
use crate::answer::{ANSWER, Last, Stored};
use crate::log::forget_before;
use crate::record::headers;
use crate::{
    AccountLog, Cluster, Held, Kind, Link, LogError, Record, SnapshotError, StateError, Stores, TakeOverError,
    agree_on_keys, examine, read_log,
};

const ACCOUNT: &str = "bot@example.org";
const OTHER: &str = "other@example.org";
/// A value that must be nowhere but on nodes, and a name that is in records.
const SECRET: &str = "the secret that a plugin keeps";
const NAME: &str = "name-of-a-value";

fn owner(account: &str) -> Owner {
    Owner { account: account.parse().unwrap(), plugin: "echo".parse().unwrap() }
}

/// A node with these keys and a data folder of its own.
struct Node {
    stores: Stores,
    _data: TempDir,
}

impl Node {
    async fn with(link: &Link, cluster: &Cluster) -> Self {
        let data = tempfile::tempdir().unwrap();
        let accounts = Accounts::start(data.path()).unwrap();
        Self { stores: Stores::open(link, cluster, accounts).await.unwrap(), _data: data }
    }

    async fn try_take_over(&self, account: &str, token: u64) -> Result<Held, TakeOverError> {
        let account: BareJid = account.parse().unwrap();
        soon(self.stores.take_over(&account, Token(token))).await
    }

    async fn take_over(&self, account: &str, token: u64) -> Held {
        self.try_take_over(account, token).await.unwrap()
    }
}

async fn write(store: &Store, account: &str, key: &str, value: &str) {
    let steps = vec![Step::Set { key: key.to_owned(), value: value.as_bytes().to_vec(), expires: None }];
    let changed = soon(store.data(Clock::Machine).change(owner(account), 1 << 20, steps, None)).await;
    assert!(matches!(changed, Ok(Changed::Made(_))), "{changed:?}");
}

async fn read(store: &Store, account: &str, key: &str) -> String {
    let value = store.data(Clock::Machine).get(owner(account), key.to_owned()).await.unwrap();
    String::from_utf8(value.unwrap()).unwrap()
}

/// Returns the last message of a log as NATS has it.
async fn last(link: &Link, account: &str) -> Stored {
    let (stream, subject) = cluster().log(account);
    match link.last(&stream, &subject, ANSWER).await.unwrap() {
        Last::Stored(stored) => stored,
        other => panic!("{other:?}"),
    }
}

/// Replaces the last message of a log, as somebody does who can write to NATS.
async fn replace(link: &Link, account: &str, headers: HeaderMap, body: Bytes) {
    let (name, subject) = cluster().log(account);
    let stream = link.jetstream.get_stream(&name).await.unwrap();
    stream.delete_message(last(link, account).await.revision).await.unwrap();
    let expected = match link.last(&name, &subject, ANSWER).await.unwrap() {
        Last::Stored(stored) => stored.revision,
        _ => 0,
    };
    link.put(&name, subject, expected, headers, body, ANSWER).await.unwrap();
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Everything is written by a node as it runs: changes, one that is split, and snapshots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_an_account_keeps_is_readable_in_the_files_of_nats() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    agree_on_keys(&link, &cluster).await.unwrap();
    let node = Node::with(&link, &cluster).await;
    let held = node.take_over(ACCOUNT, 1).await;
    write(held.store(), ACCOUNT, NAME, SECRET).await;
    let long = SECRET.repeat(30_000);
    write(held.store(), ACCOUNT, "long", &long).await;
    let bytes = server.stored();
    assert!(contains(&bytes, "Parlor-Kind") && bytes.len() > long.len(), "the records are there");
    assert!(!contains(&bytes, SECRET) && !contains(&bytes, NAME), "of records");
    soon(held.close()).await.unwrap();
    let bytes = server.stored();
    assert!(contains(&bytes, "$O.PARLOR_c_SNAPSHOTS.C."), "the snapshot is there");
    assert!(!contains(&bytes, SECRET) && !contains(&bytes, NAME) && !contains(&bytes, "SQLite format 3"));
    let other = Node::with(&link, &cluster).await;
    let next = other.take_over(ACCOUNT, 2).await;
    assert_eq!(read(next.store(), ACCOUNT, NAME).await, SECRET);
    assert_eq!(read(next.store(), ACCOUNT, "long").await, long);
}

#[tokio::test]
async fn a_record_that_was_changed_or_moved_is_refused_and_the_account_is_not_started() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let node = Node::with(&link, &cluster).await;
    for account in [ACCOUNT, OTHER] {
        let held = node.take_over(account, 1).await;
        write(held.store(), account, NAME, SECRET).await;
        held.kill();
    }
    let own = last(&link, ACCOUNT).await.body;
    let of_other = last(&link, OTHER).await.body;
    let mut flipped = own.to_vec();
    flipped[60] ^= 1;
    let fence = cluster.seal(OTHER).record(Token(1), 2, Kind::Fence, b"").unwrap();
    let cases = [
        (headers(Token(1), 2, Kind::Change), Bytes::from(flipped), "changed"),
        (headers(Token(1), 2, Kind::Change), of_other, "of another account"),
        (headers(Token(1), 2, Kind::Change), own.slice(..own.len() - 1), "cut off"),
        (headers(Token(1), 2, Kind::Change), Bytes::from_static(b"{}"), "not encrypted"),
        (headers(Token(2), 2, Kind::Change), own.clone(), "with another token"),
        (headers(Token(1), 2, Kind::Fence), fence.into(), "a fence in place of a change"),
    ];
    for (headers, body, what) in cases {
        replace(&link, ACCOUNT, headers, body).await;
        let before = last(&link, ACCOUNT).await.revision;
        let refused = Node::with(&link, &cluster).await.try_take_over(ACCOUNT, 9).await.err();
        let Some(TakeOverError::Log(error @ LogError::Changed { .. })) = refused else { panic!("{what}: {refused:?}") };
        assert!(error.to_string().contains("find out who can write to NATS"), "{error}");
        assert_eq!(last(&link, ACCOUNT).await.revision, before, "nothing was written: {what}");
    }
    // As it was, it counts again.
    replace(&link, ACCOUNT, headers(Token(1), 2, Kind::Change), own).await;
    let other = Node::with(&link, &cluster).await;
    let held = other.take_over(ACCOUNT, 10).await;
    assert_eq!(read(held.store(), ACCOUNT, NAME).await, SECRET);
}

#[tokio::test]
async fn a_snapshot_of_another_account_is_refused() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let node = Node::with(&link, &cluster).await;
    let held = node.take_over(OTHER, 1).await;
    write(held.store(), OTHER, NAME, SECRET).await;
    soon(held.close()).await.unwrap();
    let record = {
        let mut records = Vec::new();
        soon(read_log(&link, &cluster, OTHER, |record| records.push(record))).await.unwrap();
        records.pop().unwrap()
    };
    // By somebody who has the keys, but not by parlor.
    let mut log = AccountLog::open(&link, &cluster, ACCOUNT, Token(1)).await.unwrap();
    for change in ["one", "two"] {
        log.append(change.into()).await.unwrap();
    }
    log.write(Kind::Snapshot, record.body).await.unwrap();
    forget_before(&link, &cluster, ACCOUNT, log.position().revision).await.unwrap();
    let refused = node.try_take_over(ACCOUNT, 2).await.err();
    assert!(matches!(refused, Some(TakeOverError::Snapshot(SnapshotError::Changed { .. }))), "{refused:?}");
}

#[tokio::test]
async fn a_node_without_the_key_does_not_begin_and_writes_nothing() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    agree_on_keys(&link, &cluster).await.unwrap();
    agree_on_keys(&link, &cluster).await.unwrap();
    let other = with_keys(&[LATER_KEY]);
    let error = agree_on_keys(&link, &other).await.unwrap_err();
    let found = cluster.keys().first();
    assert_eq!(error, StateError::Key { cluster: "c".to_owned(), found });
    assert!(error.to_string().contains(&format!("the key {found}")), "{error}");
    // Even if it did: it writes no fence.
    let node = Node::with(&link, &cluster).await;
    let held = node.take_over(ACCOUNT, 1).await;
    write(held.store(), ACCOUNT, NAME, SECRET).await;
    held.kill();
    let before = last(&link, ACCOUNT).await.revision;
    let refused = Node::with(&link, &other).await.try_take_over(ACCOUNT, 2).await.err();
    let Some(TakeOverError::Log(LogError::Key { key, .. })) = refused else { panic!("{refused:?}") };
    assert_eq!((key, last(&link, ACCOUNT).await.revision), (found, before));
}

#[tokio::test]
async fn an_owner_who_looks_hears_which_keys_encrypt_and_changes_nothing() {
    let server = Server::start();
    let link = server.link().await;
    let [old, turned] = [with_keys(&[KEY]), with_keys(&[LATER_KEY, KEY])];
    let before = soon(examine(&link, &old)).await.unwrap();
    assert!(before.overview.is_none() && before.limits.is_empty(), "{before:?}");
    assert!(link.jetstream.get_stream(old.state_stream()).await.is_err(), "no stream was made");
    server.cluster().await;
    agree_on_keys(&link, &old).await.unwrap();
    for (cluster, token) in [(&old, 1), (&turned, 2)] {
        let mut log = AccountLog::open(&link, cluster, ACCOUNT, Token(token)).await.unwrap();
        log.append(Bytes::from_static(b"change")).await.unwrap();
    }
    let seen = soon(examine(&link, &turned)).await.unwrap();
    let counts: Vec<_> = seen.records.unwrap().into_values().collect();
    assert_eq!(counts, [2, 2]);
    assert!(seen.overview.unwrap().nodes.is_empty());
    let other = soon(examine(&link, &with_keys(&[LATER_KEY]))).await.unwrap_err();
    assert!(matches!(other, StateError::Key { .. }), "{other}");
}

/// In the middle of a replacement that skips a step. The holder before would end, and nobody could go on.
#[tokio::test]
async fn a_node_that_lacks_the_key_of_a_record_writes_no_fence() {
    let server = Server::start();
    let (link, old) = server.cluster().await;
    let [turned, new] = [with_keys(&[LATER_KEY, KEY]), with_keys(&[LATER_KEY])];
    for (cluster, token) in [(&old, 1), (&turned, 2)] {
        let mut log = AccountLog::open(&link, cluster, ACCOUNT, Token(token)).await.unwrap();
        log.append(Bytes::from_static(b"change")).await.unwrap();
    }
    let before = last(&link, ACCOUNT).await.revision;
    // The one lacks that of the last record, and the other that of the first.
    for (cluster, lacking) in [(&old, &turned), (&new, &old)] {
        let refused = soon(AccountLog::open(&link, cluster, ACCOUNT, Token(3))).await.unwrap_err();
        assert!(matches!(refused, LogError::Key { key, .. } if key == lacking.keys().first()), "{refused}");
        assert_eq!(last(&link, ACCOUNT).await.revision, before);
    }
}

/// Both nodes get the new key behind the old one, then before it, and at last without the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_replaced_while_accounts_go_on() {
    let server = Server::start();
    let (link, old) = server.cluster().await;
    let [both, turned, new] = [with_keys(&[KEY, LATER_KEY]), with_keys(&[LATER_KEY, KEY]), with_keys(&[LATER_KEY])];
    let mut token = 0;
    for (cluster, value) in [(&old, "one"), (&both, "two"), (&turned, "three")] {
        agree_on_keys(&link, cluster).await.unwrap();
        token += 1;
        let node = Node::with(&link, cluster).await;
        let held = node.take_over(ACCOUNT, token).await;
        write(held.store(), ACCOUNT, value, SECRET).await;
        held.kill();
    }
    assert!(matches!(agree_on_keys(&link, &old).await, Err(StateError::Key { .. })), "the new key has taken its place");
    // Data under the old key is encrypted anew although nothing is written.
    let node = Node::with(&link, &turned).await;
    let held = node.take_over(ACCOUNT, token + 1).await;
    let all_are_new = async {
        loop {
            let mut keys = Vec::new();
            let each = |record: Record| keys.push(record.key);
            if read_log(&link, &new, ACCOUNT, each).await.is_ok() {
                return keys;
            }
        }
    };
    let keys = soon(all_are_new).await;
    assert!(!keys.is_empty() && keys.iter().all(|key| *key == new.keys().first()), "{keys:?}");
    held.kill();
    agree_on_keys(&link, &new).await.unwrap();
    let seen = soon(examine(&link, &new)).await.unwrap();
    // Records may have come and gone since.
    assert_eq!(seen.records.unwrap().into_keys().collect::<Vec<_>>(), [new.keys().first()]);
    let node = Node::with(&link, &new).await;
    let held = node.take_over(ACCOUNT, token + 2).await;
    for value in ["one", "two", "three"] {
        assert_eq!(read(held.store(), ACCOUNT, value).await, SECRET);
    }
}
