//! Snapshots of accounts.

use bytes::Bytes;
use parlor_cluster::Token;

use super::server::{Server, cluster};
use super::soon;
use crate::log::forget_before;
use crate::{AccountLog, Kind, Link, Position, Record, Snapshot, SnapshotError, Snapshots, read_log};

const ACCOUNT: &str = "bot@example.org";

/// Stores a snapshot in the place of the records up to this one.
async fn keep(link: &Link, snapshots: &Snapshots, log: &mut AccountLog, up_to: Position, state: &[u8]) -> Snapshot {
    let snapshot = soon(snapshots.store(ACCOUNT, up_to, state.to_vec())).await.unwrap();
    soon(log.write(Kind::Snapshot, snapshot.body())).await.unwrap();
    soon(forget_before(link, &cluster(), ACCOUNT, up_to.revision + 1)).await.unwrap();
    snapshot
}

#[tokio::test]
async fn a_snapshot_takes_the_place_of_the_records_before_it() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let snapshots = Snapshots::open(&link, &cluster).await.unwrap();
    let mut log = AccountLog::open(&link, &cluster, ACCOUNT, Token(1)).await.unwrap();
    let state = vec![7; 300_000];
    let up_to = log.append(Bytes::from_static(b"one")).await.unwrap();
    log.append(Bytes::from_static(b"two")).await.unwrap();
    let first = keep(&link, &snapshots, &mut log, up_to, &state).await;
    let mut records: Vec<Record> = Vec::new();
    soon(read_log(&link, &cluster, ACCOUNT, |record| records.push(record))).await.unwrap();
    let bodies: Vec<_> = records.iter().map(|record| (record.number, record.kind)).collect();
    assert_eq!(bodies, [(3, Kind::Change), (4, Kind::Snapshot)]);
    assert_eq!(Snapshot::of(&records[0]).unwrap(), None);
    let named = Snapshot::of(&records[1]).unwrap().unwrap();
    assert_eq!(named, first);
    assert_eq!(named.up_to(), up_to);
    assert_eq!(soon(snapshots.fetch(ACCOUNT, &named)).await.unwrap(), state);

    let up_to = log.position();
    let second = keep(&link, &snapshots, &mut log, up_to, b"").await;
    snapshots.forget(&first).await;
    let stream = link.jetstream.get_stream("OBJ_PARLOR_c_SNAPSHOTS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 3, "the two ends of the second one, and its name");
    assert_eq!(soon(snapshots.fetch(ACCOUNT, &second)).await.unwrap(), b"");
    assert!(
        matches!(soon(snapshots.fetch(ACCOUNT, &first)).await, Err(SnapshotError::Missing { .. })),
        "it was removed"
    );
    // The next holder goes on behind it.
    let next = AccountLog::open(&link, &cluster, ACCOUNT, Token(2)).await.unwrap();
    assert_eq!(next.position().number, 6);
}

#[tokio::test]
async fn a_snapshot_that_was_changed_is_an_error() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let snapshots = Snapshots::open(&link, &cluster).await.unwrap();
    let mut log = AccountLog::open(&link, &cluster, ACCOUNT, Token(1)).await.unwrap();
    let up_to = log.position();
    let kept = keep(&link, &snapshots, &mut log, up_to, b"state").await;
    let mut records: Vec<Record> = Vec::new();
    soon(read_log(&link, &cluster, ACCOUNT, |record| records.push(record))).await.unwrap();
    let named: serde_json::Value = serde_json::from_slice(&records.last().unwrap().body).unwrap();
    let store = link.jetstream.get_object_store("PARLOR_c_SNAPSHOTS").await.unwrap();
    store.put(named["name"].as_str().unwrap(), &mut b"other".as_slice()).await.unwrap();
    assert!(matches!(soon(snapshots.fetch(ACCOUNT, &kept)).await, Err(SnapshotError::Changed { .. })));
    let strange = Record { body: Bytes::from_static(b"{}"), ..records.pop().unwrap() };
    assert!(matches!(Snapshot::of(&strange), Err(SnapshotError::Name(_))));
}
