//! The streams of a cluster: they are created, or checked if they are there.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use bytes::Bytes;
use futures_util::future::join_all;

use crate::answer::{ANSWER, Last};
use crate::connect::Link;
use crate::error::{ConnectError, PutError, StreamError};
use crate::fitness::check_leader;
use crate::names::{Cluster, stream_of};
use crate::queue::asked;

/// The largest message of a log: a record and its headers.
const MOST_IN_A_LOG: i32 = 1024 * 1024;
/// The largest record of a session or claim, headers included.
pub(crate) const MOST_IN_THE_STATE: i32 = 8 * 1024;

/// The error of a stream that is not there.
const NO_STREAM: u32 = 10_059;

/// How long a server looks for repeated messages. Parlor sends no ids that it could know them by.
const DUPLICATES: Duration = Duration::from_mins(2);

/// Creates the streams of a cluster, or checks that they are as they must be.
pub async fn prepare(link: &Link, cluster: &Cluster) -> Result<(), StreamError> {
    prepare_state(link, cluster).await?;
    for (name, subjects) in cluster.log_streams() {
        make(link, log(link.replicas, name, subjects)).await?;
    }
    Ok(())
}

/// Does the same for the stream of sessions and claims.
pub(crate) async fn prepare_state(link: &Link, cluster: &Cluster) -> Result<(), StreamError> {
    make(link, state(link.replicas, cluster)).await
}

/// Does the same for the stream of an object store.
pub(crate) async fn prepare_objects(link: &Link, bucket: &str) -> Result<(), StreamError> {
    make(link, objects(link.replicas, bucket)).await
}

/// Returns how the streams of a cluster that are there differ from what a node needs that starts. It writes nothing.
pub(crate) async fn unfit(link: &Link, cluster: &Cluster) -> Vec<StreamError> {
    let logs = cluster.log_streams().map(|(name, subjects)| log(link.replicas, name, subjects));
    let buckets = [cluster.snapshots(), cluster.shared_bucket()].map(|bucket| objects(link.replicas, &bucket));
    let all = std::iter::once(state(link.replicas, cluster)).chain(logs).chain(buckets);
    let compared = join_all(all.map(|needed| async move {
        // One that is not there is created by the first node that needs it.
        let found = asked(link.jetstream.get_stream(needed.name.as_str())).await.ok()?;
        compare(&found.cached_info().config, &needed).err()
    }));
    compared.await.into_iter().flatten().collect()
}

/// Returns whether NATS has refused something because the stream for it is not there.
pub(crate) fn says_gone(error: &PutError) -> bool {
    matches!(error, PutError::Server { code: NO_STREAM, .. })
}

/// Returns whether NATS says that it has no stream of this name.
pub(crate) async fn is_gone(link: &Link, stream: &str) -> bool {
    // No record has this subject.
    let answer = link.last(stream, stream, ANSWER).await;
    matches!(answer, Ok(Last::Failed(error)) if says_gone(&error))
}

/// Creates the stream of an account's log again. Returns the error for its owner, who is told in any case.
pub(crate) async fn create_log_again(link: &Link, cluster: &Cluster, account: &str) -> StreamError {
    let (gone, _) = cluster.log(account);
    for (stream, subjects) in cluster.log_streams().filter(|(stream, _)| *stream == gone) {
        if let Err(error) = make(link, log(link.replicas, stream, subjects)).await {
            return error;
        }
    }
    StreamError::Gone { stream: gone }
}

fn state(replicas: usize, cluster: &Cluster) -> Config {
    Config {
        max_messages_per_subject: 1,
        max_message_size: MOST_IN_THE_STATE,
        ..common(replicas, cluster.state_stream(), vec![cluster.state_subjects()])
    }
}

fn log(replicas: usize, name: String, subjects: String) -> Config {
    Config { max_messages_per_subject: -1, max_message_size: MOST_IN_A_LOG, ..common(replicas, name, vec![subjects]) }
}

/// The settings with which clients of NATS create an object store.
fn objects(replicas: usize, bucket: &str) -> Config {
    let subjects = ["C", "M"].map(|kind| format!("$O.{bucket}.{kind}.>")).to_vec();
    Config {
        max_messages_per_subject: -1,
        max_message_size: -1,
        allow_rollup: true,
        allow_direct: true,
        ..common(replicas, stream_of(bucket), subjects)
    }
}

fn common(replicas: usize, name: String, subjects: Vec<String>) -> Config {
    Config {
        name,
        subjects,
        max_bytes: -1,
        max_messages: -1,
        max_consumers: -1,
        // An owner may limit the stream. It then refuses writes; it must never drop records.
        discard: DiscardPolicy::New,
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: replicas,
        duplicate_window: DUPLICATES,
        allow_rollup: false,
        deny_purge: false,
        // The last record is asked of the leader.
        allow_direct: false,
        ..Config::default()
    }
}

async fn make(link: &Link, needed: Config) -> Result<(), StreamError> {
    let began = Instant::now();
    let made = asked(link.jetstream.get_or_create_stream(needed.clone())).await.map_err(|error| {
        let right = link.missing("$JS.API.", began);
        let cause = right.map_or(error, |right| ConnectError::Denied(right).to_string());
        StreamError::Server { stream: needed.name.clone(), cause }
    })?;
    compare(&made.cached_info().config, &needed)?;
    look_at_the_leader(link, &needed.name).await
}

/// Checks the version of the server that leads a stream, if several servers keep it. This node may be connected to another server.
async fn look_at_the_leader(link: &Link, stream: &str) -> Result<(), StreamError> {
    if link.replicas == 1 {
        return Ok(());
    }
    let answer = link.ask(format!("$JS.API.STREAM.INFO.{stream}"), None, Bytes::new(), ANSWER).await;
    let checked = answer.map_or(Ok(()), |answer| check_leader(&answer, link.replicas));
    checked.map_err(|error| StreamError::Server { stream: stream.to_owned(), cause: error.to_string() })
}

/// Compares what has a meaning for parlor. An owner may limit bytes and choose places.
fn compare(found: &Config, needed: &Config) -> Result<(), StreamError> {
    let number = |count: i64| if count < 0 { "unlimited".to_owned() } else { count.to_string() };
    let has_source = |config: &Config| (config.mirror.is_some() || config.sources.is_some()).to_string();
    // The server's own choice is to write a record before it says that it has it.
    let mode = |config: &Config| format!("{:?}", config.persist_mode.unwrap_or_default());
    let pairs = [
        ("subjects", format!("{:?}", found.subjects), format!("{:?}", needed.subjects)),
        ("retention", format!("{:?}", found.retention), format!("{:?}", needed.retention)),
        ("storage", format!("{:?}", found.storage), format!("{:?}", needed.storage)),
        ("discard", format!("{:?}", found.discard), format!("{:?}", needed.discard)),
        // It would refuse each record that takes the place of another.
        (
            "discard_new_per_subject",
            found.discard_new_per_subject.to_string(),
            needed.discard_new_per_subject.to_string(),
        ),
        ("num_replicas", found.num_replicas.to_string(), needed.num_replicas.to_string()),
        ("max_age", format!("{:?}", found.max_age), format!("{:?}", needed.max_age)),
        ("max_msgs", number(found.max_messages), number(needed.max_messages)),
        ("max_msgs_per_subject", number(found.max_messages_per_subject), number(needed.max_messages_per_subject)),
        ("max_msg_size", number(found.max_message_size.into()), number(needed.max_message_size.into())),
        ("no_ack", found.no_ack.to_string(), needed.no_ack.to_string()),
        ("persist_mode", mode(found), mode(needed)),
        ("sealed", found.sealed.to_string(), needed.sealed.to_string()),
        ("allow_rollup_hdrs", found.allow_rollup.to_string(), needed.allow_rollup.to_string()),
        ("allow_direct", found.allow_direct.to_string(), needed.allow_direct.to_string()),
        // Records of sessions that are over would stay for good.
        ("deny_delete", found.deny_delete.to_string(), needed.deny_delete.to_string()),
        ("deny_purge", found.deny_purge.to_string(), needed.deny_purge.to_string()),
        ("a mirror or source:", has_source(found), has_source(needed)),
    ];
    let different = pairs.into_iter().find(|(_, found, needed)| found != needed);
    different.map_or(Ok(()), |(setting, found, needed_value)| {
        Err(StreamError::Differs { stream: needed.name.clone(), setting, found, needed: needed_value })
    })
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::PersistenceMode;

    use super::*;

    #[test]
    fn a_stream_that_could_lose_or_refuse_a_record_is_refused() {
        let needed = log(1, "S".to_owned(), "s.*".to_owned());
        assert_eq!(compare(&needed, &needed), Ok(()));
        let wrong = [
            ("max_age", Config { max_age: Duration::from_hours(1), ..needed.clone() }),
            ("discard", Config { discard: DiscardPolicy::Old, ..needed.clone() }),
            ("discard_new_per_subject", Config { discard_new_per_subject: true, ..needed.clone() }),
            ("deny_delete", Config { deny_delete: true, ..needed.clone() }),
            ("deny_purge", Config { deny_purge: true, ..needed.clone() }),
            ("persist_mode", Config { persist_mode: Some(PersistenceMode::Async), ..needed.clone() }),
            ("storage", Config { storage: StorageType::Memory, ..needed.clone() }),
            ("max_msgs", Config { max_messages: 1, ..needed.clone() }),
            ("max_msgs_per_subject", Config { max_messages_per_subject: 1, ..needed.clone() }),
            ("no_ack", Config { no_ack: true, ..needed.clone() }),
            ("num_replicas", Config { num_replicas: 3, ..needed.clone() }),
            ("allow_direct", Config { allow_direct: true, ..needed.clone() }),
            ("max_msg_size", Config { max_message_size: -1, ..needed.clone() }),
            ("subjects", Config { subjects: vec![">".to_owned()], ..needed.clone() }),
        ];
        for (name, found) in wrong {
            let error = compare(&found, &needed).unwrap_err();
            assert!(matches!(&error, StreamError::Differs { setting, .. } if *setting == name), "{name}: {error}");
        }
        assert_eq!(compare(&Config { max_bytes: 1 << 40, ..needed.clone() }, &needed), Ok(()));
    }
}
