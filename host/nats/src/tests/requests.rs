//! Requests between nodes.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parlor_cluster::{Claim, Cpu, Key, Session, SessionId, SessionState, Timing, Token, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::server::{KEY, LATER_KEY, Server, with_keys};
use super::soon;
use crate::answer::{ANSWER, Last};
use crate::envelope::{AnswerHead, EnvelopeError, FORMAT, Place, RequestHead, Says, new_id, open, seal};
use crate::inbox::Inbox;
use crate::requests::{PART, unix_time};
use crate::seal::What;
use crate::{CLOCKS, MOST_IN_A_REQUEST, MOST_IN_AN_ANSWER, RequestError, Requests, Serving, State, Topic};

const PATIENCE: Duration = Duration::from_secs(30);

/// Has a node hear the next request, which another one sends now. Nothing else may come before it.
async fn hears_the_next(inbox: &mut Inbox, from: &Requests, to: &str) {
    let hearing = async {
        let asked = soon(inbox.next()).await.unwrap();
        let body = asked.body.clone();
        asked.answer(async { b"heard".to_vec() }).await;
        body
    };
    let (answer, body) = tokio::join!(ask(from, to, b"next"), hearing);
    assert_eq!((answer.unwrap(), body), ("heard".into(), "next".into()));
}

/// Sees what goes over NATS, and sends it again, as anybody does who can log in there.
struct Spy {
    client: Client,
    messages: async_nats::Subscriber,
}

impl Spy {
    /// Its messages come in the order of those of this node.
    async fn on(requests: &Requests, subjects: &'static str) -> Self {
        let client = requests.state.link.client.clone();
        Self { messages: client.subscribe(subjects).await.unwrap(), client }
    }

    async fn next(&mut self) -> Message {
        soon(self.messages.next()).await.unwrap()
    }

    async fn send(&self, subject: &str, message: &Message) {
        let reply = message.reply.clone().unwrap();
        self.client.publish_with_reply(subject.to_owned(), reply, message.payload.clone()).await.unwrap();
    }
}

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
    tokio::spawn(async move {
        while let Some(asked) = inbox.next().await {
            assert_eq!(asked.from, "one");
            let body = asked.body.clone();
            let work = async move {
                // Longer than silence may be.
                sleep(Duration::from_millis(2500)).await;
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
async fn signs_of_work_do_not_wait_for_a_connection() {
    let mut server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut inbox = two.serve().await.unwrap();
    let asking = tokio::spawn(async move { one.ask("two", b"slow", PATIENCE, std::future::pending()).await });
    let asked = soon(inbox.next()).await.unwrap();
    let mut spy = Spy::on(&two, "_INBOX.>").await;
    let work = async {
        sleep(Duration::from_secs(4)).await;
        b"done".to_vec()
    };
    let working = tokio::spawn(asked.answer(work));
    server.kill();
    sleep(Duration::from_secs(3)).await;
    server.start_again();
    soon(working).await.unwrap();
    while !two.state.link.is_connected() {
        sleep(Duration::from_millis(10)).await;
    }
    let mut count = 0;
    while timeout(Duration::from_millis(700), spy.messages.next()).await.is_ok() {
        count += 1;
    }
    // One before, the answer, and those of the last second; in the three seconds between, there would be six more.
    assert!((1..6).contains(&count), "{count} messages");
    asking.abort();
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
    let head = RequestHead {
        format: FORMAT,
        id: new_id(),
        from: "one".to_owned(),
        to: "two".to_owned(),
        reply,
        run: Some(inbox.process),
        at: unix_time(),
        within: 1000,
        is_withdrawn: false,
        is_question: false,
    };
    let clocks = u64::try_from(CLOCKS.as_millis()).unwrap();
    let early = RequestHead { id: new_id(), at: unix_time() - 2 * clocks, ..head.clone() };
    let misled = RequestHead { id: new_id(), to: "one".to_owned(), ..head.clone() };
    let last = RequestHead { id: new_id(), ..head.clone() };
    let messages = [(&early, "early"), (&misled, "misled"), (&head, "once"), (&head, "again"), (&last, "last")];
    let cluster = &one.state.cluster;
    for (head, body) in messages {
        let sealed = seal(cluster, Place::Request(&subject), head, body.as_bytes()).unwrap();
        client.publish(subject.clone(), sealed).await.unwrap();
    }
    assert_eq!(soon(inbox.next()).await.unwrap().body, "once");
    assert_eq!(soon(inbox.next()).await.unwrap().body, "last");
    let refused = soon(answers.next()).await.unwrap().payload;
    let place = Place::Answer { subject: &subject, id: &early.id };
    let (AnswerHead { says, .. }, _) = open(cluster, place, &refused).unwrap();
    assert!(matches!(&says, Says::Refused(reason) if reason.contains("clock")), "{says:?}");
    assert_eq!(inbox.remembered(), 2);
}

#[tokio::test]
async fn a_request_that_no_node_sealed_is_refused_and_counted() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut spy = Spy::on(&one, "parlor.c.node.>").await;
    assert!(ask(&one, "two", b"?").await.is_err(), "nobody answers");
    let sealed = spy.next().await;
    let mut inbox = two.serve().await.unwrap();
    let subject = two.subject("two");
    let mut flipped = sealed.payload.to_vec();
    flipped[70] ^= 1;
    let link = server.link().await;
    let other = State::open(&link, &with_keys(&[LATER_KEY]), Timing::default()).await.unwrap();
    let other = Requests::new(&other, "one", Topic::Control);
    assert!(other.ask("three", b"by another key", PATIENCE, std::future::pending()).await.is_err());
    let by_other_key = spy.next().await.payload;
    let cut = sealed.payload.slice(..sealed.payload.len() - 1);
    for forged in [flipped.into(), cut, by_other_key, Bytes::from_static(b"nonsense"), Bytes::new()] {
        spy.send(&subject, &Message { payload: forged, ..sealed.clone() }).await;
    }
    hears_the_next(&mut inbox, &one, "two").await;
    assert_eq!(inbox.unopened(), 5);
    // A node with other keys is not heard, and hears nothing.
    let refused = tokio::select! {
        _ = inbox.next() => panic!("it was heard"),
        refused = ask(&other, "two", b"?") => refused,
    };
    assert_eq!(refused, Err(RequestError::Silent("two".to_owned())));
    assert_eq!(inbox.unopened(), 6);
}

#[tokio::test]
async fn a_request_that_somebody_keeps_does_nothing_elsewhere_or_later() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let [one_of_webhooks, two_of_webhooks] =
        ["one", "two"].map(|node| Requests::new(&one.state, node, Topic::Webhooks));
    let (mut inbox, mut at_one) = (two.serve().await.unwrap(), one.serve().await.unwrap());
    let mut of_webhooks = two_of_webhooks.serve().await.unwrap();
    let mut spy = Spy::on(&one, "parlor.c.node.>").await;
    hears_the_next(&mut inbox, &one, "two").await;
    // The first one asks for the number of the process.
    let kept = [spy.next().await, spy.next().await];
    let subjects = [two.subject("two"), one.subject("one"), two_of_webhooks.subject("two")];
    for (subject, message) in subjects.iter().flat_map(|subject| kept.iter().map(move |message| (subject, message))) {
        spy.send(subject, message).await;
    }
    hears_the_next(&mut inbox, &one, "two").await;
    hears_the_next(&mut at_one, &two, "one").await;
    hears_the_next(&mut of_webhooks, &one_of_webhooks, "two").await;
    assert_eq!([inbox.unopened(), at_one.unopened(), of_webhooks.unopened()], [0, 2, 2]);
    // The node starts again, within the time in which a request counts.
    drop(inbox);
    let mut inbox = two.serve().await.unwrap();
    for message in &kept {
        spy.send(&subjects[0], message).await;
    }
    hears_the_next(&mut inbox, &one, "two").await;
    assert_eq!((inbox.unopened(), inbox.remembered()), (0, 1), "they are for the process before");
}

#[tokio::test]
async fn an_answer_counts_for_its_request_alone() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut inbox = two.serve().await.unwrap();
    let mut answers = Spy::on(&one, "_INBOX.>").await;
    hears_the_next(&mut inbox, &one, "two").await;
    // The number of the process, a sign of life, and the answer.
    let kept = [answers.next().await, answers.next().await, answers.next().await];
    let plain = Bytes::from_static(b"{\"format\":1}\nforged");
    for (messages, cause) in
        [(kept.map(|kept| kept.payload).to_vec(), EnvelopeError::Changed), (vec![plain.clone()], EnvelopeError::Older)]
    {
        let mut requests = Spy::on(&one, "parlor.c.node.>").await;
        let swapping = async {
            let reply = requests.next().await.reply.unwrap();
            for payload in messages {
                requests.client.publish(reply.clone(), payload).await.unwrap();
            }
            soon(inbox.next()).await.unwrap()
        };
        let (answer, _asked) = tokio::join!(ask(&one, "two", b"other"), swapping);
        assert_eq!(answer, Err(RequestError::Sealed { node: "two".to_owned(), cause }));
    }
    // The node's own answer counts, whatever comes before it.
    let mut requests = Spy::on(&one, "parlor.c.node.>").await;
    let answering = async {
        let reply = requests.next().await.reply.unwrap();
        requests.client.publish(reply, plain).await.unwrap();
        soon(inbox.next()).await.unwrap().answer(async { b"own".to_vec() }).await;
    };
    assert_eq!(tokio::join!(ask(&one, "two", b"other"), answering).0.unwrap(), "own");
}

/// Sends what a server sends if nobody listens, as anybody can who logs in to NATS.
async fn say_that_nobody_listens(server: &Server, reply: &Subject) {
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    let says = "NATS/1.0 503\r\n\r\n";
    let publish = format!("HPUB {reply} {0} {0}\r\n{says}\r\n", says.len());
    let all = format!("CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\n{publish}PING\r\n");
    connection.write_all(all.as_bytes()).await.unwrap();
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    while !said.windows(4).any(|four| four == b"PONG") {
        let count = soon(connection.read(&mut part)).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&part[..count]);
    }
}

#[tokio::test]
async fn a_node_that_is_there_is_heard_although_somebody_says_that_nobody_listens() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut inbox = two.serve().await.unwrap();
    hears_the_next(&mut inbox, &one, "two").await;
    let mut requests = Spy::on(&one, "parlor.c.node.>").await;
    // Before the node says that it works, and while it does.
    let answering = async {
        let reply = requests.next().await.reply.unwrap();
        say_that_nobody_listens(&server, &reply).await;
        let asked = soon(inbox.next()).await.unwrap();
        let work = async {
            say_that_nobody_listens(&server, &reply).await;
            sleep(Duration::from_secs(1)).await;
            b"own".to_vec()
        };
        asked.answer(work).await;
    };
    assert_eq!(tokio::join!(ask(&one, "two", b"other"), answering).0.unwrap(), "own");
}

#[tokio::test]
async fn a_node_with_an_older_parlor_is_told_what_to_do() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut inbox = two.serve().await.unwrap();
    let (client, subject) = (&one.state.link.client, two.subject("two"));
    let reply = client.new_inbox();
    let mut answers = client.subscribe(reply.clone()).await.unwrap();
    let id = new_id();
    let older = format!(
        "{{\"format\":1,\"id\":\"{id}\",\"from\":\"one\",\"to\":\"two\",\"at\":1,\"within\":1,\"is_withdrawn\":false}}\n"
    );
    // A program that logs in to NATS names any subject for the answer. The record of the keys must not be written.
    let keys = one.state.cluster.keys_subject();
    for reply in [keys.clone(), reply] {
        client.publish_with_reply(subject.clone(), reply, older.clone().into()).await.unwrap();
    }
    let (told, ()) = tokio::join!(soon(answers.next()), hears_the_next(&mut inbox, &one, "two"));
    let told = String::from_utf8(told.unwrap().payload.to_vec()).unwrap();
    assert!(told.contains(&id) && told.contains("run the same version of parlor on all nodes"), "{told}");
    assert_eq!(inbox.unopened(), 2);
    let stream = one.state.cluster.state_stream();
    assert!(matches!(one.state.link.last(&stream, &keys, ANSWER).await, Ok(Last::None)));
}

/// The head of its requests has a field that this version does not know.
#[tokio::test]
async fn a_node_with_a_newer_parlor_is_told_what_to_do() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut inbox = two.serve().await.unwrap();
    let (client, cluster, subject) = (&one.state.link.client, &one.state.cluster, two.subject("two"));
    let own = client.new_inbox();
    let mut answers = client.subscribe(own.clone()).await.unwrap();
    let (id, keys) = (new_id(), cluster.keys_subject());
    // The record of the keys must not be written.
    for reply in [&keys, &own] {
        let head = serde_json::json!({ "format": FORMAT, "id": id, "from": "one", "reply": reply, "later": true });
        let newer = cluster.seal_own(What::Request, &subject, format!("{head}\nbody").as_bytes()).unwrap();
        client.publish(subject.clone(), newer.into()).await.unwrap();
    }
    hears_the_next(&mut inbox, &one, "two").await;
    // It was sent before the answer that has come, on the same connection.
    let told = timeout(Duration::from_secs(1), answers.next()).await.expect("the node was told");
    let place = Place::Answer { subject: &subject, id: &id };
    let (head, _) = open::<AnswerHead>(cluster, place, &told.unwrap().payload).unwrap();
    let Says::Refused(reason) = &head.says else { panic!("{head:?}") };
    assert!(reason.contains("run the same version on all nodes"), "{reason}");
    assert_eq!(inbox.unopened(), 2);
    let stream = cluster.state_stream();
    assert!(matches!(one.state.link.last(&stream, &keys, ANSWER).await, Ok(Last::None)));
}

#[tokio::test]
async fn nodes_with_the_same_keys_in_another_order_understand_each_other() {
    let server = Server::start();
    let link = server.link().await;
    let of = async |node, keys: &[&str]| {
        Requests::new(&State::open(&link, &with_keys(keys), Timing::default()).await.unwrap(), node, Topic::Control)
    };
    let (one, two) = (of("one", &[LATER_KEY, KEY]).await, of("two", &[KEY, LATER_KEY]).await);
    repeat(&two, 1).await;
    repeat(&one, 2).await;
    assert_eq!(ask(&one, "two", b"?").await.unwrap(), "?");
    assert_eq!(ask(&two, "one", b"?").await.unwrap(), "??");
}

#[tokio::test]
async fn a_busy_node_refuses_at_once_and_still_answers_questions() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let (began, mut has_begun) = mpsc::unbounded_channel();
    let serving = Serving::start(&two, 1, move |asked| {
        let (began, body, withdrawn) = (began.clone(), asked.body.clone(), asked.withdrawn());
        asked.answer(async move {
            if body == "long" {
                began.send(()).unwrap();
                withdrawn.await;
            }
            body.to_vec()
        })
    });
    // It listens soon.
    soon(async { while one.look("two", b"?", PATIENCE).await.is_err() {} }).await;
    let (withdraw, withdrawn) = oneshot::channel::<()>();
    let long = {
        let one = one.clone();
        let withdrawn = async { withdrawn.await.unwrap() };
        tokio::spawn(async move { one.ask("two", b"long", PATIENCE, withdrawn).await })
    };
    soon(has_begun.recv()).await.unwrap();
    let refused = ask(&one, "two", b"other").await.unwrap_err();
    assert!(matches!(&refused, RequestError::Refused { reason, .. } if reason.contains("busy")), "{refused}");
    assert_eq!(soon(one.look("two", b"?", PATIENCE)).await.unwrap(), "?");
    withdraw.send(()).unwrap();
    assert_eq!(soon(long).await.unwrap().unwrap(), "long", "it hears that it is to give up");
    // Its place is free soon.
    soon(async { while one.ask("two", b"other", PATIENCE, std::future::pending()).await.is_err() {} }).await;
    soon(serving.stop()).await;
}

/// Asks node two as soon as it listens.
async fn ask_once_it_listens(one: Requests) -> Result<Bytes, RequestError> {
    loop {
        match ask(&one, "two", b"?").await {
            Err(RequestError::Absent(_)) => {}
            answered => return answered,
        }
    }
}

#[tokio::test]
async fn a_request_that_has_begun_ends_before_the_node_hears_no_more_unless_it_takes_too_long() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    for (within, is_answered) in [(PATIENCE, true), (Duration::ZERO, false)] {
        let (began, mut has_begun) = mpsc::unbounded_channel();
        let goes_on = Arc::new(Notify::new());
        let serving = {
            let goes_on = Arc::clone(&goes_on);
            Serving::start(&two, 1, move |asked| {
                let (began, goes_on) = (began.clone(), Arc::clone(&goes_on));
                asked.answer(async move {
                    began.send(()).unwrap();
                    goes_on.notified().await;
                    b"done".to_vec()
                })
            })
        };
        let asking = tokio::spawn(ask_once_it_listens(one.clone()));
        soon(has_begun.recv()).await.unwrap();
        let finishing = tokio::spawn(serving.finish(within));
        // It hears nothing more. Work that it does not wait for is given up by then.
        soon(async { while !matches!(ask(&one, "two", b"?").await, Err(RequestError::Absent(_))) {} }).await;
        if is_answered {
            goes_on.notify_one();
            soon(finishing).await.unwrap();
            assert_eq!(soon(asking).await.unwrap().unwrap(), "done");
        } else {
            soon(finishing).await.unwrap();
            asking.abort();
        }
        assert!(has_begun.recv().await.is_none(), "nothing holds what the work held");
    }
}

#[tokio::test]
async fn questions_are_not_remembered() {
    let server = Server::start();
    let [one, two] = nodes(&server).await;
    let mut inbox = two.serve().await.unwrap();
    for _ in 0..3 {
        let hearing = async {
            let asked = soon(inbox.next()).await.unwrap();
            assert!(asked.is_question());
            asked.answer(async { b"!".to_vec() }).await;
        };
        assert_eq!(tokio::join!(one.look("two", b"?", PATIENCE), hearing).0.unwrap(), "!");
    }
    assert_eq!(inbox.remembered(), 0);
    hears_the_next(&mut inbox, &one, "two").await;
    assert_eq!(inbox.remembered(), 1);
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
            let (node, state, cpu) = (node.into(), SessionState::Open, Cpu::default());
            let session = Session { node, capacity: 1, beat: 0, state, cpu };
            (session.clone(), write(&Key::Session(id), Value::Session(session), 0).await)
        };
        [session(ids[0], "one").await, session(ids[1], "two").await]
    };
    assert_eq!(
        (own.capacity, state.nodes().await.unwrap()),
        (other.capacity, vec!["one".to_owned(), "two".to_owned()])
    );
    let claim =
        |session| Value::Claim(Claim { session: Some(session), token: Token(1), weight: 1, lacking: Vec::new() });
    let key = Key::Account(account.into());
    let before = state.link.last(&state.cluster.state_stream(), &state.cluster.subject(&key), PATIENCE).await.unwrap();
    let Last::Stored(before) = before else { panic!("{before:?}") };
    write(&key, claim(ids[0]), before.revision).await;
    assert_eq!(state.holder(account).await.unwrap().as_deref(), Some("one"));
    let over = Session { state: SessionState::Over, ..own };
    write(&Key::Session(ids[0]), Value::Session(over), began).await;
    assert_eq!(state.holder(account).await.unwrap(), None, "its node has ended");
    assert_eq!(state.nodes().await.unwrap(), ["two"]);
}
