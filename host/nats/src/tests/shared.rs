//! Nodes share versions of a text, and files by their digests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::object_store::ObjectInfo;
use async_nats::jetstream::stream::Config;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use parlor_base::id::Digest;
use parlor_cluster::Timing;
use tokio::time::timeout;

use super::server::{KEY, LATER_KEY, Server, cluster, with_keys};
use super::soon;
use crate::seal::{OVERHEAD, What};
use crate::{
    Cluster, Forgery, KeyRing, MOST_IN_A_FILE, MOST_IN_A_TEXT, Next, Shared, SharedError, SharedText, SnapshotError,
    Snapshots, Standing, State, StateError, StreamError, Version, agree_on_keys, examine,
};

const PLUGINS: SharedText = SharedText::Plugins;
const ACCOUNTS: SharedText = SharedText::Accounts;

async fn shared(server: &Server) -> (State, Shared) {
    shared_with(server, &cluster()).await
}

async fn shared_with(server: &Server, cluster: &Cluster) -> (State, Shared) {
    let state = State::open(&server.link().await, cluster, Timing::default()).await.unwrap();
    let shared = Shared::open(&state, PLUGINS).await.unwrap();
    (state, shared)
}

async fn publish(shared: &Shared, text: &str, before: Option<&Version>, node: &str) -> Option<Version> {
    soon(shared.publish(text, Next::of(before), node, "0.1.0")).await.unwrap()
}

#[tokio::test]
async fn a_version_reaches_other_nodes_with_its_files_and_one_of_two_at_once_is_refused() {
    let server = Server::start();
    let [(_, one), (_, two)] = [shared(&server).await, shared(&server).await];
    let mut changes = two.changes();
    assert_eq!(two.version().await.unwrap(), None);
    let file = vec![7; 300_000];
    one.keep(&file).await.unwrap();
    let first = publish(&one, "first", None, "one").await.unwrap();
    assert_eq!((first.number, first.node.as_str()), (1, "one"));
    soon(changes.next()).await;
    assert_eq!(two.version().await.unwrap().as_ref(), Some(&first));
    assert_eq!(soon(two.text(&first)).await.unwrap(), "first");
    assert_eq!(soon(two.file(&Digest::of(&file))).await.unwrap(), file);
    assert_eq!(soon(two.has(&Digest::of(b"other"))).await, Ok(false));

    assert_eq!(publish(&two, "second", None, "two").await, None, "there is a first one");
    let second = publish(&two, "second", Some(&first), "two").await.unwrap();
    assert_eq!(second.number, 2);
    assert_eq!(publish(&one, "at the same time", Some(&first), "one").await, None);
    assert_eq!(one.version().await.unwrap(), Some(second));
}

#[tokio::test]
async fn an_object_that_was_changed_or_removed_is_an_error_and_can_be_stored_again() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    let (digest, bucket) = (Digest::of(b"component"), "PARLOR_c_SHARED".to_owned());
    shared.keep(b"component").await.unwrap();
    let objects = state.link.jetstream.get_object_store(&bucket).await.unwrap();
    objects.put(digest.to_hex().as_str(), &mut b"tampered".as_slice()).await.unwrap();
    let changed = SharedError::Changed { digest, bucket: bucket.clone() };
    assert_eq!(soon(shared.file(&digest)).await, Err(changed));
    assert_eq!(soon(shared.has(&digest)).await, Ok(false));
    shared.keep(b"component").await.unwrap();
    assert_eq!(soon(shared.file(&digest)).await.unwrap(), b"component");
    objects.delete(digest.to_hex()).await.unwrap();
    assert_eq!(soon(shared.file(&digest)).await, Err(SharedError::Missing { digest, bucket }));
    // An encrypted text, which another program replaces by itself before it was encrypted.
    let version = publish(&shared, "text", None, "one").await.unwrap();
    shared.keep(b"text").await.unwrap();
    let (digest, bucket) = (Digest::of(b"text"), "PARLOR_c_SHARED".to_owned());
    let plain = Version { object: digest, ..version.clone() };
    assert_eq!(soon(shared.text(&plain)).await, Err(SharedError::Changed { digest, bucket: bucket.clone() }));
    // That of another version.
    let other = Version { digest: Digest::of(b"other"), ..version.clone() };
    let changed = SharedError::Changed { digest: version.object, bucket };
    assert_eq!(soon(shared.text(&other)).await, Err(changed));
    // A text that is none.
    let sealed = state.cluster.seal_own(What::Text, &state.cluster.shared_subject(PLUGINS), &[0xff]).unwrap();
    shared.keep(&sealed).await.unwrap();
    let no_text = Version { digest: Digest::of(&[0xff]), object: Digest::of(&sealed), ..version };
    assert_eq!(soon(shared.text(&no_text)).await, Err(SharedError::NoText { digest: no_text.digest }));
}

#[tokio::test]
async fn what_is_too_large_is_neither_stored_nor_read() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    let too_large = |size, most| SharedError::TooLarge { size, most };
    let long = "a".repeat(MOST_IN_A_TEXT + OVERHEAD + 1);
    let refused = soon(shared.publish(&long, Next::of(None), "one", "0.1.0")).await.unwrap_err();
    assert_eq!(refused, too_large(long.len(), MOST_IN_A_TEXT));
    let large = vec![0; MOST_IN_A_FILE + 1];
    let refused = soon(shared.keep(&large)).await.unwrap_err();
    assert_eq!(refused, too_large(large.len(), MOST_IN_A_FILE));
    // Another program stores it.
    let digest = Digest::of(long.as_bytes());
    let objects = state.link.jetstream.get_object_store("PARLOR_c_SHARED").await.unwrap();
    objects.put(digest.to_hex().as_str(), &mut long.as_bytes()).await.unwrap();
    let version = publish(&shared, "text", None, "one").await.unwrap();
    let version = Version { object: digest, ..version };
    let refused = soon(shared.text(&version)).await.unwrap_err();
    assert_eq!(refused, too_large(long.len(), MOST_IN_A_TEXT + OVERHEAD));
}

#[tokio::test]
async fn a_version_of_a_newer_parlor_is_an_error_that_says_so() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    let body = r#"{"format":4,"number":1}"#;
    state.link.jetstream.publish("parlor.c.state.shared.version", body.into()).await.unwrap().await.unwrap();
    let error = shared.version().await.unwrap_err();
    assert!(matches!(&error, SharedError::State(StateError::Unreadable { .. })) && !error.is_passing(), "{error}");
    assert!(error.to_string().contains("format 4"), "{error}");
}

#[tokio::test]
async fn what_each_node_has_is_told_and_objects_of_the_last_hour_stay() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    let version = publish(&shared, "text", None, "one").await.unwrap();
    let standing = |trouble: Option<&str>| Standing {
        revision: Some(version.revision),
        number: Some(1),
        trouble: trouble.map(str::to_owned),
    };
    for trouble in [None, Some("it cannot be read"), None] {
        soon(shared.report("one", &standing(trouble))).await.unwrap();
    }
    let overview = soon(state.overview()).await.unwrap();
    assert_eq!(overview.shared, BTreeMap::from([(PLUGINS, version.clone())]));
    assert!(overview.nodes.is_empty(), "none has a session");
    shared.keep(b"of a version that is about to come").await.unwrap();
    soon(shared.clean(version.revision, &BTreeSet::new())).await.unwrap();
    assert_eq!(soon(shared.text(&version)).await.unwrap(), "text");
}

/// The stream of the object store.
const STREAM: &str = "OBJ_PARLOR_c_SHARED";

/// Returns how many messages the object store has.
async fn messages(state: &State) -> u64 {
    state.link.jetstream.get_stream(STREAM).await.unwrap().cached_info().state.messages
}

/// Has an owner change the settings of a stream.
async fn change(state: &State, stream: &str, changed: impl FnOnce(&mut Config)) {
    let mut config = state.link.jetstream.get_stream(stream).await.unwrap().cached_info().config.clone();
    changed(&mut config);
    state.link.jetstream.update_stream(&config).await.unwrap();
}

/// As if there was no room for all of it.
#[tokio::test]
async fn a_file_that_cannot_be_stored_leaves_nothing() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    change(&state, STREAM, |config| config.max_messages = 3).await;
    let error = soon(shared.keep(&vec![7; 1 << 20])).await.unwrap_err();
    assert!(matches!(&error, SharedError::Server { .. }), "{error}");
    let found = state.link.jetstream.get_stream(STREAM).await.unwrap().cached_info().state.clone();
    assert_eq!((found.messages, found.last_sequence), (0, 3), "three parts were there");
}

/// As if a node was killed meanwhile.
#[tokio::test]
async fn what_an_upload_left_is_removed_with_unused_files_and_not_before_an_hour() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    let file = vec![7; 300_000];
    shared.keep(&file).await.unwrap();
    let (digest, whole) = (Digest::of(&file), messages(&state).await);
    for of in [digest, Digest::of(b"other")] {
        let subject = format!("$O.PARLOR_c_SHARED.C.{}.0123456789abcdef", of.to_hex());
        state.link.jetstream.publish(subject, Bytes::from_static(b"part")).await.unwrap().await.unwrap();
    }
    let (now, used) = (state.time_of_nats().await.unwrap(), BTreeSet::from([digest]));
    let hours = |count: u64| now + 3_600 * count;
    soon(shared.clean_as_of(now, 0, &used)).await.unwrap();
    assert_eq!(messages(&state).await, whole + 2, "another node may be uploading them");
    soon(shared.clean_as_of(hours(2), 0, &used)).await.unwrap();
    assert_eq!(messages(&state).await, whole);
    assert_eq!(soon(shared.file(&digest)).await.unwrap(), file);
    soon(shared.clean_as_of(hours(2), 0, &BTreeSet::new())).await.unwrap();
    assert_eq!(messages(&state).await, 0, "nothing uses it");
}

/// The owner may have gone back to an earlier component meanwhile, which is in NATS and is not stored again.
#[tokio::test]
async fn nothing_is_removed_for_a_version_that_does_not_count_any_more() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    shared.keep(b"component").await.unwrap();
    let first = publish(&shared, "without it", None, "one").await.unwrap();
    let second = publish(&shared, "with it", Some(&first), "two").await.unwrap();
    let (later, digest) = (state.time_of_nats().await.unwrap() + 7_200, Digest::of(b"component"));
    for (version, is_there) in [(&first, true), (&second, false)] {
        soon(shared.clean_as_of(later, version.revision, &BTreeSet::new())).await.unwrap();
        assert_eq!(soon(shared.has(&digest)).await, Ok(is_there), "version {}", version.number);
    }
}

/// Other nodes do so when several start at once. The list that the library delivers then has no end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unused_files_are_looked_for_while_files_are_replaced() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    let objects = state.link.jetstream.get_object_store("PARLOR_c_SHARED").await.unwrap();
    let replacing = tokio::spawn(async move {
        for number in 0.. {
            objects.put(format!("{}", number % 3).as_str(), &mut b"other".as_slice()).await.unwrap();
        }
    });
    for _ in 0..100 {
        let cleaned = timeout(Duration::from_secs(20), shared.clean(0, &BTreeSet::new())).await;
        cleaned.expect("it comes to an end").unwrap();
    }
    replacing.abort();
}

/// As if the parts were removed meanwhile, or the last message came late to NATS, after its upload was given up.
#[tokio::test]
async fn a_file_of_which_parts_are_gone_is_missing_and_can_be_stored_again() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    let file = vec![7; 300_000];
    let digest = Digest::of(&file);
    let missing = SharedError::Missing { digest, bucket: "PARLOR_c_SHARED".to_owned() };
    let stream = state.link.jetstream.get_stream(STREAM).await.unwrap();
    for keep in [0, 1] {
        shared.keep(&file).await.unwrap();
        assert_eq!(soon(shared.has(&digest)).await, Ok(true));
        let parts = format!("$O.PARLOR_c_SHARED.C.{}.*", digest.to_hex());
        stream.purge().filter(parts).keep(keep).await.unwrap();
        let read = timeout(Duration::from_secs(5), shared.file(&digest)).await;
        assert_eq!(read.expect("nobody waits for the parts"), Err(missing.clone()), "{keep} parts are left");
        assert_eq!(soon(shared.has(&digest)).await, Ok(false));
    }
    shared.keep(&file).await.unwrap();
    assert_eq!(soon(shared.file(&digest)).await.unwrap(), file);
}

/// NATS says when a file was stored. A node whose clock is wrong would remove what another one is about to use.
#[tokio::test]
async fn the_age_of_a_file_does_not_depend_on_the_clock_of_the_node_that_stored_it() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    shared.keep(b"component").await.unwrap();
    let digest = Digest::of(b"component");
    let subject = format!("$O.PARLOR_c_SHARED.M.{}", URL_SAFE.encode(digest.to_hex()));
    let stream = state.link.jetstream.get_stream(STREAM).await.unwrap();
    let last = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
    let info: ObjectInfo = serde_json::from_slice(&last.payload).unwrap();
    let earlier = ObjectInfo { modified: None, ..info };
    let mut headers = HeaderMap::new();
    headers.insert(NATS_ROLLUP, "sub");
    let body = serde_json::to_vec(&earlier).unwrap();
    let written = state.link.jetstream.publish_with_headers(subject, headers, body.into()).await.unwrap();
    written.await.unwrap();
    soon(shared.clean(0, &BTreeSet::new())).await.unwrap();
    assert_eq!(soon(shared.file(&digest)).await.unwrap(), b"component");
}

/// Somebody deleted it.
#[tokio::test]
async fn an_object_store_of_files_that_is_gone_is_created_again() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    let version = publish(&shared, "text", None, "one").await.unwrap();
    state.link.jetstream.delete_stream(STREAM).await.unwrap();
    let missing = SharedError::Missing { digest: version.object, bucket: "PARLOR_c_SHARED".to_owned() };
    assert_eq!(soon(shared.text(&version)).await, Err(missing));
    state.link.jetstream.delete_stream(STREAM).await.unwrap();
    assert_eq!(soon(shared.has_text(&version)).await, Ok(false), "an owner can have it stored again");
    let again = publish(&shared, "text", Some(&version), "one").await.unwrap();
    assert_eq!(soon(shared.text(&again)).await.unwrap(), "text");
    state.link.jetstream.delete_stream(STREAM).await.unwrap();
    soon(shared.keep(b"component")).await.unwrap();
    assert_eq!(soon(shared.file(&Digest::of(b"component"))).await.unwrap(), b"component");
}

/// Otherwise no node would start any more.
#[tokio::test]
async fn an_owner_may_limit_object_stores_but_not_have_them_drop_objects() {
    let server = Server::start();
    let (state, shared) = shared(&server).await;
    let (link, cluster) = (&state.link, &state.cluster);
    let snapshots = "OBJ_PARLOR_c_SNAPSHOTS";
    Snapshots::open(link, cluster).await.unwrap();
    for stream in [STREAM, snapshots] {
        change(&state, stream, |config| config.max_bytes = 1 << 24).await;
    }
    Shared::open(&state, PLUGINS).await.unwrap();
    Snapshots::open(link, cluster).await.unwrap();
    soon(shared.keep(b"component")).await.unwrap();
    for stream in [STREAM, snapshots] {
        change(&state, stream, |config| config.max_age = Duration::from_hours(1)).await;
    }
    let differs = |error: &StreamError| matches!(error, StreamError::Differs { setting: "max_age", .. });
    let error = Shared::open(&state, PLUGINS).await.unwrap_err();
    assert!(matches!(&error, SharedError::Stream(cause) if differs(cause)) && !error.is_passing(), "{error}");
    let error = Snapshots::open(link, cluster).await.unwrap_err();
    assert!(matches!(&error, SnapshotError::Stream(cause) if differs(cause)), "{error}");
}

/// By somebody who can log in to NATS, and has no key, that of another cluster, or an old copy.
#[tokio::test]
async fn a_version_that_no_node_of_the_cluster_wrote_is_refused_until_an_owner_decides() {
    let server = Server::start();
    let (state, one) = shared(&server).await;
    let mut last = publish(&one, "text", None, "one").await.unwrap().revision;
    let subject = state.cluster.shared_subject(PLUGINS);
    let refused = async || match soon(one.version()).await {
        Err(error @ SharedError::Forged { .. }) => error,
        other => panic!("{other:?}"),
    };
    let of_other_name = Cluster::new("d", KeyRing::parse(KEY).unwrap()).unwrap();
    let (_, other) = shared_with(&server, &of_other_name).await;
    publish(&other, "text", None, "one").await.unwrap();
    let of_other_name = {
        let stream = state.link.jetstream.get_stream(of_other_name.state_stream()).await.unwrap();
        stream.get_last_raw_message_by_subject(&of_other_name.shared_subject(PLUGINS)).await.unwrap().payload
    };
    let older = format!(
        "{{\"format\":1,\"number\":2,\"digest\":\"{}\",\"node\":\"one\",\"parlor\":\"0.1.0\"}}",
        Digest::of(b"text")
    );
    for (body, expected) in
        [(of_other_name, Forgery::Changed), (older.into(), Forgery::Older), ("nonsense".into(), Forgery::Changed)]
    {
        let text = String::from_utf8(body.to_vec()).unwrap();
        last = state.put_text(subject.clone(), text, last, crate::answer::ANSWER).await.unwrap();
        let error = refused().await;
        assert_eq!(error.replaceable(), Some(last), "{error}");
        assert!(matches!(&error, SharedError::Forged { cause, .. } if *cause == expected), "{error}");
        assert!(!error.is_passing() && error.to_string().contains("parlor reload"), "{error}");
        let overview = soon(state.overview()).await.unwrap();
        assert_eq!((overview.shared, overview.refused), (BTreeMap::new(), BTreeMap::from([(PLUGINS, error)])));
    }
    // An owner has the file of a node take its place.
    let next = Next { after: last, number: 2 };
    let version = soon(one.publish("text", next, "one", "0.1.0")).await.unwrap().unwrap();
    assert_eq!(soon(one.version()).await.unwrap(), Some(version.clone()));
    assert_eq!(soon(state.overview()).await.unwrap().shared, BTreeMap::from([(PLUGINS, version.clone())]));
    // One by another key may be that of a node whose key this one lacks.
    let (_, with_other_key) = shared_with(&server, &with_keys(&[LATER_KEY])).await;
    publish(&with_other_key, "other", Some(&version), "two").await.unwrap();
    let error = refused().await;
    let cause = Forgery::Key(with_keys(&[LATER_KEY]).keys().first());
    assert!(matches!(&error, SharedError::Forged { cause: found, .. } if *found == cause), "{error}");
    assert_eq!(error.replaceable(), None);
}

/// Both nodes get the new key behind the old one, then before it, and at last without the old one.
#[tokio::test]
async fn the_present_version_stays_when_the_key_is_replaced() {
    let server = Server::start();
    let [old, both, turned] = [&[KEY][..], &[KEY, LATER_KEY], &[LATER_KEY, KEY]].map(with_keys);
    let new = with_keys(&[LATER_KEY]);
    let link = server.link().await;
    let keys = async |cluster: &Cluster| {
        soon(examine(&link, cluster)).await.unwrap().records.unwrap().into_iter().collect::<Vec<_>>()
    };
    let [earlier, later] = [&old, &new].map(|cluster| cluster.keys().first());
    server.cluster().await;
    agree_on_keys(&link, &old).await.unwrap();
    let (_, shared) = shared_with(&server, &old).await;
    let first = publish(&shared, "text", None, "one").await.unwrap();
    agree_on_keys(&link, &both).await.unwrap();
    let (_, of_both) = shared_with(&server, &both).await;
    assert_eq!(soon(of_both.version()).await.unwrap(), Some(first.clone()), "nothing was written");
    assert_eq!(keys(&both).await, [(earlier, 1)]);
    agree_on_keys(&link, &turned).await.unwrap();
    assert_eq!(keys(&turned).await, [(later, 1)]);
    let sealed_again = soon(of_both.version()).await.unwrap().unwrap();
    assert_ne!(sealed_again.object, first.object, "the text, too");
    let (revision, object) = (first.revision, first.object);
    assert_eq!(Version { revision, object, ..sealed_again.clone() }, first);
    // A node that has not started again writes one more with the old key.
    publish(&of_both, "more", Some(&sealed_again), "two").await.unwrap();
    assert_eq!(keys(&turned).await, [(earlier, 1)]);
    agree_on_keys(&link, &turned).await.unwrap();
    agree_on_keys(&link, &new).await.unwrap();
    let (_, of_new) = shared_with(&server, &new).await;
    let version = soon(of_new.version()).await.unwrap().unwrap();
    assert_eq!((version.number, soon(of_new.text(&version)).await.unwrap().as_str()), (2, "more"));
    assert!(matches!(soon(shared.version()).await, Err(SharedError::Forged { cause: Forgery::Key(_), .. })));
}

/// By somebody who can log in to NATS, and has no key.
#[tokio::test]
async fn two_texts_have_versions_of_their_own_and_nobody_else_reads_them() {
    let server = Server::start();
    let (state, plugins) = shared(&server).await;
    let accounts = plugins.about(ACCOUNTS);
    let canary = "password_file = \"canary\"";
    let one = publish(&accounts, canary, None, "one").await.unwrap();
    assert_eq!(soon(plugins.version()).await.unwrap(), None);
    let other = publish(&plugins, "[plugin.canary]", None, "two").await.unwrap();
    assert_eq!((one.number, other.number), (1, 1));
    assert_eq!(soon(accounts.text(&one)).await.unwrap(), canary);
    let overview = soon(state.overview()).await.unwrap();
    assert_eq!(overview.shared, BTreeMap::from([(PLUGINS, other.clone()), (ACCOUNTS, one.clone())]));
    for object in [&one.object, &other.object] {
        let stored = soon(plugins.file(object)).await.unwrap();
        assert!(!stored.windows(6).any(|bytes| bytes == b"canary"), "{}", String::from_utf8_lossy(&stored));
    }
    assert_eq!(soon(plugins.has(&Digest::of(canary.as_bytes()))).await, Ok(false), "it is nowhere else");
    // The text of one is none of the other.
    assert!(soon(plugins.text(&one)).await.is_err());
    // The record of one is none of the other, either.
    let stream = state.link.jetstream.get_stream(state.cluster.state_stream()).await.unwrap();
    let record = stream.get_last_raw_message_by_subject(&state.cluster.shared_subject(PLUGINS)).await.unwrap().payload;
    let record = String::from_utf8(record.to_vec()).unwrap();
    let subject = state.cluster.shared_subject(ACCOUNTS);
    state.put_text(subject, record, one.revision, crate::answer::ANSWER).await.unwrap();
    let refused = soon(accounts.version()).await.unwrap_err();
    assert!(matches!(&refused, SharedError::Forged { cause: Forgery::Changed, .. }), "{refused}");
    // Nothing is removed while it is not known what is in use.
    assert_eq!(soon(plugins.clean(other.revision, &BTreeSet::new())).await, Err(refused));
    assert_eq!(soon(plugins.has_text(&one)).await, Ok(true));
}
