//! Snapshots of accounts.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use parlor_cluster::Token;

use super::server::{Server, cluster, settings};
use super::{heard, listen, soon};
use crate::log::forget_before;
use crate::names::hash;
use crate::{
    AccountLog, Kind, Link, Login, Position, Record, Settings, Snapshot, SnapshotError, Snapshots, StreamError,
    read_log,
};

const ACCOUNT: &str = "bot@example.org";

/// The stream of the object store.
const STREAM: &str = "OBJ_PARLOR_c_SNAPSHOTS";

/// Stores a snapshot in the place of the records up to this one.
async fn keep(link: &Link, snapshots: &Snapshots, log: &mut AccountLog, up_to: Position, state: &[u8]) -> Snapshot {
    let snapshot = soon(snapshots.store(ACCOUNT, up_to, state.to_vec())).await.unwrap();
    soon(log.write(Kind::Snapshot, snapshot.body())).await.unwrap();
    soon(forget_before(link, &cluster(), ACCOUNT, up_to.revision + 1)).await.unwrap();
    snapshot
}

/// Returns a snapshot of this account, which is stored.
async fn stored(snapshots: &Snapshots, account: &str, revision: u64) -> Snapshot {
    let up_to = Position { revision, number: revision };
    soon(snapshots.store(account, up_to, b"state".to_vec())).await.unwrap()
}

/// Returns how many messages all snapshots take.
async fn messages(link: &Link) -> u64 {
    link.jetstream.get_stream(STREAM).await.unwrap().cached_info().state.messages
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
    assert_eq!(messages(&link).await, 3, "the two ends of the second one, and its name");
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

/// Returns the objects of which there are parts.
async fn begun(link: &Link) -> BTreeSet<String> {
    let stream = link.jetstream.get_stream(STREAM).await.unwrap();
    let all: Vec<(String, usize)> =
        stream.info_with_subjects("$O.PARLOR_c_SNAPSHOTS.C.>").await.unwrap().try_collect().await.unwrap();
    let names = all.iter().map(|(subject, _)| subject.strip_prefix("$O.PARLOR_c_SNAPSHOTS.C.").unwrap().to_owned());
    names.collect()
}

/// As if there was no room for all of it.
#[tokio::test]
async fn an_upload_that_fails_leaves_nothing() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let snapshots = Snapshots::open(&link, &cluster).await.unwrap();
    let mut config = link.jetstream.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    config.max_messages = 3;
    link.jetstream.update_stream(&config).await.unwrap();
    let up_to = Position { revision: 7, number: 7 };
    let error = soon(snapshots.store(ACCOUNT, up_to, vec![7; 1 << 20])).await.unwrap_err();
    assert!(matches!(&error, SnapshotError::Server { .. }), "{error}");
    let state = link.jetstream.get_stream(STREAM).await.unwrap().cached_info().state.clone();
    assert_eq!((state.messages, state.last_sequence), (0, 3), "three parts were there");
}

/// As if its node was killed.
#[tokio::test]
async fn what_an_upload_left_is_removed_with_the_next_snapshot_or_with_the_account() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let snapshots = Snapshots::open(&link, &cluster).await.unwrap();
    // One that was stored to its end, and that no record names.
    stored(&snapshots, ACCOUNT, 6).await;
    let named = stored(&snapshots, ACCOUNT, 9).await;
    let (own, other) = (hash(ACCOUNT), hash("other@example.org"));
    let [earlier, later, of_other] = [format!("{own}.4.a"), format!("{own}.9.a"), format!("{other}.4.a")];
    for name in [&earlier, &later, &of_other] {
        let subject = format!("$O.PARLOR_c_SNAPSHOTS.C.{name}");
        link.jetstream.publish(subject, Bytes::from_static(b"part")).await.unwrap().await.unwrap();
    }
    assert_eq!(begun(&link).await.len(), 5);
    soon(snapshots.forget_before(ACCOUNT, &named)).await.unwrap();
    let left = begun(&link).await;
    // A later holder may be about to store its own.
    assert!(left.len() == 3 && left.contains(&later) && left.contains(&of_other), "{left:?}");
    assert_eq!(soon(snapshots.fetch(ACCOUNT, &named)).await.unwrap(), b"state");
    assert_eq!(snapshots.sizes(ACCOUNT).await.unwrap().0, 1);
    soon(snapshots.forget_all(ACCOUNT, None)).await.unwrap();
    assert_eq!(begun(&link).await, BTreeSet::from([of_other]));
}

/// With many accounts, a list of all their snapshots would be fetched for each account that is removed.
#[tokio::test]
async fn the_snapshots_of_an_account_are_found_without_those_of_others() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let snapshots = Snapshots::open(&link, &cluster).await.unwrap();
    let of_other = stored(&snapshots, "other@example.org", 7).await;
    let kept = messages(&link).await;
    stored(&snapshots, ACCOUNT, 7).await;
    let named = stored(&snapshots, ACCOUNT, 8).await;
    let asked = listen(&link, &format!("$JS.API.STREAM.INFO.{STREAM}")).await;
    let sizes = soon(snapshots.sizes(ACCOUNT)).await.unwrap();
    assert!(sizes.0 == 2 && sizes.1 > 10, "{sizes:?}");
    soon(snapshots.forget_all(ACCOUNT, Some(&named))).await.unwrap();
    assert_eq!(soon(snapshots.sizes(ACCOUNT)).await.unwrap().0, 1);
    soon(snapshots.forget_all(ACCOUNT, None)).await.unwrap();
    let questions = heard(asked).await;
    let own = format!("\"$O.PARLOR_c_SNAPSHOTS.C.{}.>\"", hash(ACCOUNT));
    for question in &questions {
        let text = String::from_utf8_lossy(&question.payload);
        assert!(text.contains(&own), "{text}");
    }
    assert!(questions.len() >= 3, "{}", questions.len());
    assert_eq!(messages(&link).await, kept, "the parts of the other one, and its name");
    assert_eq!(soon(snapshots.fetch("other@example.org", &of_other)).await.unwrap(), b"state");
}

/// Each request makes NATS look through the whole stream.
#[tokio::test]
async fn a_snapshot_is_removed_by_one_request_for_its_end_and_one_for_its_parts() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let snapshots = Snapshots::open(&link, &cluster).await.unwrap();
    let kept = stored(&snapshots, ACCOUNT, 7).await;
    let asked = listen(&link, &format!("$JS.API.STREAM.PURGE.{STREAM}")).await;
    soon(snapshots.forget(&kept)).await;
    let requests = heard(asked).await.len();
    assert_eq!((requests, messages(&link).await), (2, 0));
}

/// Otherwise `parlor cluster remove` would say that nothing is left.
#[tokio::test]
async fn snapshots_that_cannot_be_removed_are_told() {
    let server = Server::with(&format!(
        "jetstream: {{}}\nauthorization: {{ users: [ {{ user: parlor, password: secret, permissions: {{ publish: {{ deny: \
         \"$JS.API.STREAM.PURGE.{STREAM}\" }} }} }} ] }}\n"
    ));
    let login = Login::Password { user: "parlor".to_owned(), password: "secret".to_owned() };
    let link = Link::connect(&Settings { login, ..settings(server.port()) }).await.unwrap();
    let snapshots = Snapshots::open(&link, &cluster()).await.unwrap();
    let kept = stored(&snapshots, ACCOUNT, 7).await;
    let error = soon(snapshots.forget_all(ACCOUNT, None)).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Server { .. }), "{error}");
    assert_eq!(soon(snapshots.fetch(ACCOUNT, &kept)).await.unwrap(), b"state");
}

/// Anybody at NATS can write such a name. The library would purge what all accounts have.
#[tokio::test]
async fn a_name_of_all_uploads_removes_none_of_others() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let snapshots = Snapshots::open(&link, &cluster).await.unwrap();
    let of_other = stored(&snapshots, "other@example.org", 7).await;
    let kept = messages(&link).await;
    let name = format!("{}.7.a", hash(ACCOUNT));
    let ends = format!("$O.PARLOR_c_SNAPSHOTS.M.{}", URL_SAFE.encode(&name));
    let info = serde_json::json!({ "name": name, "bucket": "PARLOR_c_SNAPSHOTS", "nuid": ">", "chunks": 1, "size": 4 });
    for (subject, body) in [(format!("$O.PARLOR_c_SNAPSHOTS.C.{name}"), "part".to_owned()), (ends, info.to_string())] {
        link.jetstream.publish(subject, body.into()).await.unwrap().await.unwrap();
    }
    soon(snapshots.forget_all(ACCOUNT, None)).await.unwrap();
    assert_eq!(soon(snapshots.fetch("other@example.org", &of_other)).await.unwrap(), b"state");
    assert_eq!(messages(&link).await, kept, "the parts of the other one, and its name");
}

/// Somebody deleted it.
#[tokio::test]
async fn an_object_store_that_is_gone_is_created_again() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let snapshots = Snapshots::open(&link, &cluster).await.unwrap();
    let (up_to, state) = (Position { revision: 7, number: 7 }, || b"state".to_vec());
    let is_gone = |error: &SnapshotError| matches!(error, SnapshotError::Stream(StreamError::Gone { stream }) if stream == STREAM);
    link.jetstream.delete_stream(STREAM).await.unwrap();
    let error = soon(snapshots.store(ACCOUNT, up_to, state())).await.unwrap_err();
    assert!(is_gone(&error), "{error}");
    let kept = soon(snapshots.store(ACCOUNT, up_to, state())).await.unwrap();
    assert_eq!(soon(snapshots.fetch(ACCOUNT, &kept)).await.unwrap(), state());
    link.jetstream.delete_stream(STREAM).await.unwrap();
    let error = soon(snapshots.fetch(ACCOUNT, &kept)).await.unwrap_err();
    assert!(is_gone(&error), "{error}");
    let error = soon(snapshots.fetch(ACCOUNT, &kept)).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Missing { .. }), "{error}");
}
