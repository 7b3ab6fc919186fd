//! Logs of accounts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use parlor_cluster::{Revision, Token};
use tokio::sync::mpsc;

use super::proxy::Proxy;
use super::server::{Server, cluster, settings};
use super::soon;
use crate::answer::Last;
use crate::record::headers;
use crate::{
    AccountLog, Kind, Link, LogError, MOST_IN_A_CHANGE, MOST_IN_A_RECORD, Position, PutError, Record, RecordError,
    StreamError, prepare, read_log,
};

const ACCOUNT: &str = "bot@example.org";
/// How long the parts of a test may wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);

async fn open(link: &Link, token: u64) -> Result<AccountLog, LogError> {
    soon(AccountLog::open(link, &cluster(), ACCOUNT, Token(token))).await
}

async fn read(link: &Link) -> Result<Vec<Record>, LogError> {
    let mut records = Vec::new();
    soon(read_log(link, &cluster(), ACCOUNT, |record| records.push(record))).await?;
    Ok(records)
}

/// Writes to the log of the account without looking at it.
async fn put(link: &Link, expected: Revision, headers: HeaderMap, body: Bytes) -> Result<Revision, PutError> {
    let (stream, subject) = cluster().log(ACCOUNT);
    link.put(&stream, subject, expected, headers, body, ANSWER).await
}

/// Returns the revision of the last record; 0 stands for none.
async fn last(link: &Link) -> Revision {
    let (stream, subject) = cluster().log(ACCOUNT);
    match link.last(&stream, &subject, ANSWER).await.unwrap() {
        Last::None => 0,
        Last::Stored(stored) => stored.revision,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_log_is_read_as_it_was_written() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    assert_eq!(read(&link).await, Ok(vec![]));
    let mut log = open(&link, 1).await.unwrap();
    let fence = log.position();
    let first = log.append(Bytes::from_static(b"one")).await.unwrap();
    let large = Bytes::from(vec![7; MOST_IN_A_RECORD]);
    let second = log.append(large.clone()).await.unwrap();
    assert_eq!((fence.number, first.number, second.number), (1, 2, 3));
    let records = read(&link).await.unwrap();
    let bodies: Vec<_> = records.iter().map(|record| (record.kind, record.body.clone())).collect();
    let one = Bytes::from_static(b"one");
    assert_eq!(bodies, [(Kind::Fence, Bytes::new()), (Kind::Change, one), (Kind::Change, large)]);
    let mut rest = Vec::new();
    soon(log.read(first.revision, |record| rest.push(record.number))).await.unwrap();
    assert_eq!(rest, [3]);
}

#[tokio::test]
async fn a_change_that_is_too_large_is_an_error_and_the_log_goes_on() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let mut log = open(&link, 1).await.unwrap();
    let large = Bytes::from(vec![0; MOST_IN_A_CHANGE + 1]);
    assert_eq!(log.append(large).await, Err(LogError::TooLarge { size: MOST_IN_A_CHANGE + 1 }));
    assert_eq!(log.append(Bytes::from_static(b"a")).await.unwrap().number, 2);
}

#[tokio::test]
async fn a_change_that_does_not_fit_into_a_record_is_split() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let mut log = open(&link, 1).await.unwrap();
    let large: Vec<u8> = (0..2 * MOST_IN_A_RECORD + 5).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let position = soon(log.append(large.clone().into())).await.unwrap();
    assert_eq!((position.number, log.position()), (4, position));
    assert_eq!(log.append(Bytes::from_static(b"a")).await.unwrap().number, 5);
    let records = read(&link).await.unwrap();
    let kinds: Vec<_> = records.iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [Kind::Fence, Kind::Part, Kind::Part, Kind::Change, Kind::Change]);
    let whole: Vec<u8> = records[..4].iter().flat_map(|record| record.body.to_vec()).collect();
    assert!(whole == large);
}

/// Otherwise the next change would be taken for the end of the one before.
#[tokio::test]
async fn nothing_follows_a_part_whose_change_was_given_up() {
    let server = Server::start();
    let (direct, _) = server.cluster().await;
    let proxy = Proxy::before(server.port()).await;
    let link = Link::connect(&settings(proxy.port())).await.unwrap();
    let mut log = open(&link, 1).await.unwrap();
    proxy.set_deaf(true);
    {
        let mut append = std::pin::pin!(log.append(Bytes::from(vec![7; 2 * MOST_IN_A_RECORD])));
        while read(&direct).await.unwrap().len() < 2 {
            assert!(tokio::time::timeout(Duration::from_millis(1), append.as_mut()).await.is_err());
        }
    }
    proxy.set_deaf(false);
    proxy.cut();
    for _ in 0..2 {
        assert_eq!(log.append(Bytes::from_static(b"next")).await, Err(LogError::Ended));
    }
    let mut next = open(&direct, 2).await.unwrap();
    next.append(Bytes::from_static(b"next")).await.unwrap();
    let kinds: Vec<_> = read(&direct).await.unwrap().into_iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [Kind::Fence, Kind::Part, Kind::Fence, Kind::Change]);
}

/// Of all writes that expect the same revision, the server accepts one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_writes_one_is_accepted_each_time() {
    const CLIENTS: u64 = 8;
    const EACH: usize = 25;
    let server = Server::start();
    _ = server.cluster().await;
    let mut racers = Vec::new();
    for client in 0..CLIENTS {
        let link = server.link().await;
        racers.push(tokio::spawn(async move {
            let mut won = Vec::new();
            while won.len() < EACH {
                let expected = last(&link).await;
                match put(&link, expected, headers(Token(client), 1, Kind::Change), Bytes::new()).await {
                    Ok(revision) => won.push((revision, expected)),
                    Err(error) => assert_eq!(error, PutError::Refused),
                }
            }
            won
        }));
    }
    let mut writes = BTreeMap::new();
    for racer in racers {
        for (revision, expected) in soon(racer).await.unwrap() {
            assert_eq!(writes.insert(revision, expected), None);
        }
    }
    let mut before = 0;
    for (revision, expected) in writes {
        assert_eq!(expected, before, "revision {revision} replaced the one that it expected");
        before = revision;
    }
    assert_eq!(last(&server.link().await).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_holders_the_last_one_writes() {
    const HOLDERS: u64 = 8;
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let mut racers = Vec::new();
    for token in 1..=HOLDERS {
        let link = server.link().await;
        racers.push(tokio::spawn(async move {
            let mut log = open(&link, token).await?;
            let most = if token == HOLDERS { 50 } else { usize::MAX };
            for _ in 0..most {
                log.append(Bytes::from(token.to_string())).await?;
            }
            Ok(())
        }));
    }
    for (token, racer) in (1..).zip(racers) {
        let end = soon(racer).await.unwrap();
        assert_eq!(end, if token == HOLDERS { Ok(()) } else { Err(LogError::Fenced) }, "token {token}");
    }
    // Reading checks that tokens rise and that no number is left out.
    let records = read(&link).await.unwrap();
    let own = records.iter().filter(|record| record.token == Token(HOLDERS));
    assert_eq!(own.clone().count(), 51);
    assert!(own.skip(1).all(|record| record.kind == Kind::Change && record.body == HOLDERS.to_string()));
}

/// After NATS has lost claims, two nodes may have had the same token.
#[tokio::test]
async fn a_holder_does_not_take_the_record_of_another_with_its_token_for_its_own() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let mut first = open(&link, 5).await.unwrap();
    first.append(Bytes::from_static(b"first")).await.unwrap();
    let mut second = open(&link, 5).await.unwrap();
    assert_eq!(first.append(Bytes::from_static(b"late")).await, Err(LogError::Fenced), "a fence lies in its place");
    let mut third = open(&link, 5).await.unwrap();
    third.append(Bytes::from_static(b"third")).await.unwrap();
    assert_eq!(second.append(Bytes::from_static(b"late")).await, Err(LogError::Fenced));
    let bodies: Vec<_> = read(&link).await.unwrap().into_iter().map(|record| record.body).collect();
    assert_eq!(bodies, ["", "first", "", "", "third"]);
}

#[tokio::test]
async fn a_change_whose_acknowledgement_was_lost_is_written_once() {
    let server = Server::start();
    let (direct, _) = server.cluster().await;
    let proxy = Proxy::before(server.port()).await;
    let link = Link::connect(&settings(proxy.port())).await.unwrap();
    let mut log = open(&link, 1).await.unwrap();
    let fence = log.position().revision;
    proxy.set_deaf(true);
    let writing = tokio::spawn(async move {
        let position = log.append(Bytes::from_static(b"change")).await;
        (position, log)
    });
    let written = soon(async {
        loop {
            let revision = last(&direct).await;
            if revision > fence {
                return revision;
            }
        }
    });
    let written = written.await;
    assert!(!writing.is_finished(), "nobody has told that it was written");
    proxy.set_deaf(false);
    proxy.cut();
    let (position, mut log) = soon(writing).await.unwrap();
    assert_eq!(position, Ok(Position { revision: written, number: 2 }));
    assert_eq!(log.append(Bytes::from_static(b"next")).await.unwrap().number, 3);
    let bodies: Vec<_> = read(&direct).await.unwrap().into_iter().map(|record| record.body).collect();
    assert_eq!(bodies, ["", "change", "next"]);
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_the_log() {
    let server = Server::start();
    let (_, _) = server.cluster().await;
    let proxy = Proxy::before(server.port()).await;
    let link = Link::connect(&settings(proxy.port())).await.unwrap();
    let mut log = open(&link, 1).await.unwrap();
    proxy.set_deaf(true);
    let given_up = tokio::time::timeout(Duration::from_millis(1), log.append(Bytes::from_static(b"one"))).await;
    assert!(given_up.is_err());
    proxy.set_deaf(false);
    proxy.cut();
    assert_eq!(log.append(Bytes::from_static(b"two")).await, Err(LogError::Ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_acknowledged_record() {
    const LOGS: usize = 4;
    const KILLS: usize = 3;
    let mut server = Server::start();
    let (link, cluster) = server.cluster().await;
    let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for number in 0..LOGS {
        let (link, cluster, acknowledge) = (link.clone(), cluster.clone(), acknowledge.clone());
        let is_over = Arc::clone(&is_over);
        writers.push(tokio::spawn(async move {
            let account = format!("bot{number}@example.org");
            let mut log = AccountLog::open(&link, &cluster, &account, Token(1)).await.unwrap();
            while !is_over.load(Ordering::SeqCst) {
                let body = rand::random::<u64>().to_string();
                let position = log.append(body.clone().into()).await.unwrap();
                acknowledge.send((number, position, body)).unwrap();
            }
        }));
    }
    let mut all: Vec<BTreeMap<u64, (Revision, String)>> = vec![BTreeMap::new(); LOGS];
    let note = |(log, position, body): (usize, Position, String), all: &mut Vec<BTreeMap<u64, (Revision, String)>>| {
        all[log].insert(position.number, (position.revision, body));
        log
    };
    for kill in 0..=KILLS {
        let mut counts = [0; LOGS];
        while counts.iter().any(|count| *count < 50) {
            let log = note(soon(acknowledged.recv()).await.unwrap(), &mut all);
            counts[log] += 1;
        }
        if kill < KILLS {
            server.kill();
            server.start_again();
        }
    }
    is_over.store(true, Ordering::SeqCst);
    for writer in writers {
        soon(writer).await.unwrap();
    }
    while let Ok(one) = acknowledged.try_recv() {
        note(one, &mut all);
    }
    let link = server.link().await;
    for (number, all) in all.iter().enumerate() {
        let mut found = BTreeMap::new();
        let account = format!("bot{number}@example.org");
        let each = |record: Record| {
            _ = found.insert(record.number, (record.revision, String::from_utf8(record.body.to_vec()).unwrap()));
        };
        soon(read_log(&link, &cluster, &account, each)).await.unwrap();
        for (number, written) in all {
            assert_eq!(found.get(number), Some(written), "record {number} of {account}");
        }
    }
}

#[tokio::test]
async fn what_another_program_wrote_into_a_log_is_an_error() {
    let mut other = HeaderMap::new();
    other.insert("Parlor-Format", "1");
    let mut wrong = headers(Token(1), 1, Kind::Change);
    wrong.insert("Parlor-Number", "many");
    let cases = [
        (HeaderMap::new(), RecordError::Missing("Parlor-Format")),
        (other, RecordError::Format("1".to_owned())),
        (wrong, RecordError::Wrong { header: "Parlor-Number", value: "many".to_owned() }),
    ];
    let server = Server::start();
    let (link, _) = server.cluster().await;
    for (headers, cause) in cases {
        let revision = put(&link, last(&link).await, headers, Bytes::from_static(b"x")).await.unwrap();
        let error = open(&link, 1).await.unwrap_err();
        assert!(
            matches!(&error, LogError::Foreign { revision: at, cause: found, .. } if *at == revision && *found == cause),
            "{error}"
        );
        let (stream, subject) = cluster().log(ACCOUNT);
        assert!(matches!(read(&link).await, Err(LogError::Foreign { cause: found, .. }) if found == cause));
        let stream = link.jetstream.get_stream(stream).await.unwrap();
        stream.purge().filter(subject).await.unwrap();
    }
    open(&link, 1).await.unwrap();
}

#[tokio::test]
async fn a_log_with_a_forged_record_is_an_error() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let mut log = open(&link, 5).await.unwrap();
    let fence = log.position().revision;
    // By somebody who has the keys.
    let sealed = cluster().seal(ACCOUNT).record(Token(4), 2, Kind::Change, b"").unwrap();
    let forged = put(&link, fence, headers(Token(4), 2, Kind::Change), sealed.into()).await.unwrap();
    assert_eq!(log.append(Bytes::from_static(b"a")).await, Err(LogError::Fenced), "it is not alone any more");
    let error = read(&link).await.unwrap_err();
    assert!(matches!(error, LogError::Foreign { revision, .. } if revision == forged), "{error}");
}

#[tokio::test]
async fn a_log_from_which_a_record_was_removed_is_an_error() {
    let server = Server::start();
    let (link, _) = server.cluster().await;
    let (stream, _) = cluster().log(ACCOUNT);
    let stream = link.jetstream.get_stream(stream).await.unwrap();
    let mut log = open(&link, 1).await.unwrap();
    let second = log.append(Bytes::from_static(b"a")).await.unwrap();
    let third = log.append(Bytes::from_static(b"b")).await.unwrap();
    stream.delete_message(second.revision).await.unwrap();
    assert!(matches!(read(&link).await, Err(LogError::Gap { expected: 2, found: 3, .. })));
    stream.delete_message(third.revision).await.unwrap();
    let error = soon(log.append(Bytes::from_static(b"c"))).await.unwrap_err();
    assert!(matches!(error, LogError::Lost { revision, .. } if revision == third.revision), "{error}");
}

#[tokio::test]
async fn a_record_of_two_mebibytes_does_not_get_in_and_is_not_read() {
    let server = Server::with("max_payload: 4MB\njetstream: {}\n");
    let (link, cluster) = server.cluster().await;
    let large = || Bytes::from(vec![0; 2 * 1024 * 1024]);
    let error = put(&link, 0, headers(Token(1), 1, Kind::Change), large()).await.unwrap_err();
    assert!(matches!(error, PutError::Server { code: 10_054, .. }), "{error}");
    // Somebody takes the limit away.
    let (name, _) = cluster.log(ACCOUNT);
    let config = link.jetstream.get_stream(&name).await.unwrap().cached_info().config.clone();
    link.jetstream.update_stream(Config { max_message_size: -1, ..config }).await.unwrap();
    put(&link, 0, headers(Token(1), 1, Kind::Change), large()).await.unwrap();
    for error in [open(&link, 2).await.unwrap_err(), read(&link).await.unwrap_err()] {
        assert!(matches!(error, LogError::Foreign { cause: RecordError::TooLarge, .. }), "{error}");
    }
    let error = prepare(&link, &cluster).await.unwrap_err();
    assert!(matches!(&error, StreamError::Differs { setting: "max_msg_size", .. }), "{error}");
}

/// Before, it was written again and again without a pause, and nobody was told.
#[tokio::test]
async fn a_log_whose_stream_is_full_is_an_error_until_there_is_room() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let mut log = open(&link, 1).await.unwrap();
    let (name, _) = cluster.log(ACCOUNT);
    let info = link.jetstream.get_stream(&name).await.unwrap().cached_info().clone();
    let bound = i64::try_from(info.state.bytes).unwrap() + 1_024;
    link.jetstream.update_stream(Config { max_bytes: bound, ..info.config.clone() }).await.unwrap();
    let error = soon(log.append(Bytes::from(vec![7; 2_048]))).await.unwrap_err();
    assert!(matches!(&error, LogError::Put(PutError::Server { code: 10_077, .. })), "{error}");
    assert!(error.to_string().contains("room"), "{error}");
    link.jetstream.update_stream(info.config).await.unwrap();
    let mut next = open(&link, 2).await.unwrap();
    soon(next.append(Bytes::from(vec![7; 2_048]))).await.unwrap();
}

#[tokio::test]
async fn a_log_whose_stream_is_gone_is_an_error() {
    let server = Server::start();
    let link = server.link().await;
    let error = open(&link, 1).await.unwrap_err();
    assert!(matches!(error, LogError::Put(PutError::Server { code: 10_059, .. })), "{error}");
}
