//! Requests between nodes.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use parlor_cluster::{Claim, Key, Session, SessionId, SessionState, Timing, Token, Value};
use tokio::sync::oneshot;

use super::server::Server;
use super::soon;
use crate::envelope::{FORMAT, RequestHead, new_id, pack};
use crate::requests::{PART, unix_time};
use crate::{CLOCKS, MOST_IN_A_REQUEST, MOST_IN_AN_ANSWER, RequestError, Requests, State, Topic};

const PATIENCE: Duration = Duration::from_secs(30);

/// Returns what the nodes one and two ask by.
async fn nodes(server: &Server) -> [Requests; 2] {
    let (link, cluster) = server.cluster().await;
    let state = State::open(&link, &cluster, Timing::default()).await.unwrap();
    ["one", "two"].map(|node| Requests::new(&state, node, Topic::Control))
}

async fn ask(requests: &Requests, to: &str, body: &[u8]) -> Result<Bytes, RequestError> {
    soon(requests.ask(to, body, PATIENCE, std::future::pending())).await
}

/// Has a node answer each request with what it was asked, so many times.
async fn repeat(requests: &Requests, times: usize) {
    let mut inbox = requests.serve().await.unwrap();
    tokio::spawn(async move {
        while let Some(asked) = inbox.next().await {
            let answer = asked.body.repeat(times);
            tokio::spawn(asked.answer(async move { answer }));
        }
    });
}

#[tokio::test]
async fn a_node_answers_another_one_in_as_many_parts_as_it_takes() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    repeat(&two, 1).await;
    let bodies = [0, 1, PART - 1, PART, PART + 1, MOST_IN_A_REQUEST].map(|size| vec![b'x'; size]);
    for body in &bodies {
        assert_eq!(ask(&one, "two", body).await.unwrap(), body);
    }
    let most = MOST_IN_A_REQUEST;
    assert_eq!(
        ask(&one, "two", &vec![0; most + 1]).await,
        Err(RequestError::TooLarge { found: most + 1, most }),
        "a request goes in one message"
    );
    assert_eq!(ask(&two, "one", b"?").await, Err(RequestError::Absent("one".to_owned())));
    let other = Requests::new(&one.state, "one", Topic::Webhooks);
    assert_eq!(ask(&other, "two", b"?").await, Err(RequestError::Absent("two".to_owned())), "it hears another topic");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_by_the_node_that_has_it() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    repeat(&two, MOST_IN_AN_ANSWER / 1024 + 1).await;
    let refused = ask(&one, "two", &[0; 1024]).await.unwrap_err();
    assert!(matches!(&refused, RequestError::Refused { reason, .. } if reason.contains("32 MiB")), "{refused}");
}

#[tokio::test]
async fn a_node_that_says_nothing_is_silent_and_one_that_works_is_waited_for() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut inbox = two.serve().await.unwrap();
    // Nobody looks into the inbox: the process is suspended.
    assert_eq!(ask(&one, "two", b"?").await, Err(RequestError::Silent("two".to_owned())));
    assert_eq!(soon(inbox.next()).await.unwrap().from, "one");
    tokio::spawn(async move {
        while let Some(asked) = inbox.next().await {
            let body = asked.body.clone();
            let work = async move {
                // Longer than silence may be.
                tokio::time::sleep(Duration::from_millis(2500)).await;
                body.to_vec()
            };
            tokio::spawn(asked.answer(work));
        }
    });
    assert_eq!(ask(&one, "two", b"slow").await.unwrap(), "slow");
    let late = one.ask("two", b"slow", Duration::from_secs(1), std::future::pending()).await;
    assert_eq!(late, Err(RequestError::Late("two".to_owned())));
}

#[tokio::test]
async fn a_request_that_is_taken_back_is_given_up() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut inbox = two.serve().await.unwrap();
    let (began, has_begun) = oneshot::channel();
    tokio::spawn(async move {
        let asked = inbox.next().await.unwrap();
        let withdrawn = asked.withdrawn();
        tokio::spawn(asked.answer(async move {
            began.send(()).unwrap();
            withdrawn.await;
            b"given up".to_vec()
        }));
        inbox.next().await
    });
    let withdrawn = async { has_begun.await.unwrap() };
    assert_eq!(soon(one.ask("two", b"compare", PATIENCE, withdrawn)).await.unwrap(), "given up");
}

#[tokio::test]
async fn a_request_is_carried_out_once_and_only_when_it_is_new() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut inbox = two.serve().await.unwrap();
    let (client, subject) = (&one.state.link.client, one.subject("two"));
    let reply = client.new_inbox();
    let mut answers = client.subscribe(reply.clone()).await.unwrap();
    let (from, to) = ("one".to_owned(), "two".to_owned());
    let head =
        RequestHead { format: FORMAT, id: new_id(), from, to, at: unix_time(), within: 1000, is_withdrawn: false };
    let clocks = u64::try_from(CLOCKS.as_millis()).unwrap();
    let early = RequestHead { id: new_id(), at: unix_time() - 2 * clocks, ..head.clone() };
    let misled = RequestHead { id: new_id(), to: "one".to_owned(), ..head.clone() };
    let last = RequestHead { id: new_id(), ..head.clone() };
    let messages = [(&early, "early"), (&misled, "misled"), (&head, "once"), (&head, "again"), (&last, "last")];
    for (head, body) in messages {
        client.publish_with_reply(subject.clone(), reply.clone(), pack(head, body.as_bytes())).await.unwrap();
    }
    client.publish_with_reply(subject.clone(), reply.clone(), "nonsense".into()).await.unwrap();
    assert_eq!(soon(inbox.next()).await.unwrap().body, "once");
    assert_eq!(soon(inbox.next()).await.unwrap().body, "last");
    let refused = soon(answers.next()).await.unwrap().payload;
    let refused = String::from_utf8_lossy(&refused);
    assert!(refused.contains("refused") && refused.contains("clock") && refused.contains(&early.id), "{refused}");
}

#[tokio::test]
async fn the_node_that_has_an_account_is_found_by_two_records() {
    let server = Server::start();
    let [one, _] = nodes(&server).await;
    let state = &one.state;
    let account = "bot@example.org";
    assert_eq!(state.holder(account).await.unwrap(), None, "the cluster has no such account");
    state.add(account, 1).await.unwrap();
    assert_eq!(state.holder(account).await.unwrap(), None, "nobody has it yet");
    let write = async |key: &Key, value: Value, expected| state.put(key, &value, expected, PATIENCE).await.unwrap();
    let ids = [1, 2].map(|process| SessionId { process, number: 0 });
    let [(own, began), (other, _)] = {
        let session = async |id, node: &str| {
            let session = Session { node: node.into(), capacity: 1, beat: 0, state: SessionState::Open };
            (session.clone(), write(&Key::Session(id), Value::Session(session), 0).await)
        };
        [session(ids[0], "one").await, session(ids[1], "two").await]
    };
    assert_eq!(
        (own.capacity, state.nodes().await.unwrap()),
        (other.capacity, vec!["one".to_owned(), "two".to_owned()])
    );
    let claim = |session| Value::Claim(Claim { session: Some(session), token: Token(1), weight: 1 });
    let key = Key::Account(account.into());
    let before = state.link.last(&state.cluster.state_stream(), &state.cluster.subject(&key), PATIENCE).await.unwrap();
    let crate::answer::Last::Stored(before) = before else { panic!("{before:?}") };
    write(&key, claim(ids[0]), before.revision).await;
    assert_eq!(state.holder(account).await.unwrap().as_deref(), Some("one"));
    let over = Session { state: SessionState::Over, ..own };
    write(&Key::Session(ids[0]), Value::Session(over), began).await;
    assert_eq!(state.holder(account).await.unwrap(), None, "its node has ended");
    assert_eq!(state.nodes().await.unwrap(), ["two"]);
}
