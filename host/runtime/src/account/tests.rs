//! Tests of an account with a scripted server: what plugins and the owner observe.

mod bound;
mod contacts;
mod fairness;
mod leaving;
mod logins;
mod may_act;
mod simulated_network;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parlor_base::clock::TimeSource;
use parlor_base::clock::settable::SettableClock;
use parlor_config::{LinkSettings, Settings};
use parlor_session::event::Payload;
use parlor_session::permissions::{Granted, Grants};
use parlor_session::router::{Delivery, Filter, MailReceiver, Mailbox};
use parlor_session::{
    ChangeSettings, Emit, OpenRoom, OwnArchive, RegisterPromises, SendIq, SendMessage, SendRaw, SetStatus, Wins,
};
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{Draft, Message, MessageKind};
use parlor_xmpp::peer::{Manners, Memory, Peer, Session as PeerSession};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something that must come in time.
async fn soon<R>(what: &str, waiting: impl Future<Output = R>) -> R {
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Returns the configuration of an account without owners.
fn config(link: LinkSettings, settings: Settings) -> AccountConfig {
    AccountConfig {
        name: "main".parse().unwrap(),
        group: None,
        link,
        owners: Vec::new(),
        web: Arc::default(),
        encryption: parlor_config::Encryption::OFF,
        otr_people: parlor_config::OtrPeople::default(),
        settings,
    }
}

/// Returns an account that could connect to the peer.
fn account(peer: &Peer) -> Account {
    let config = config(peer.settings(), Settings::default());
    Account::start(config, Store::in_memory(), Place::here())
}

/// Returns an account that is connected to the peer, and the peer's end.
async fn connected(peer: &Peer) -> (Account, PeerSession) {
    connected_with(peer, Settings::default()).await
}

async fn connected_with(peer: &Peer, settings: Settings) -> (Account, PeerSession) {
    let config = config(peer.settings(), settings);
    let account = Account::start(config, Store::in_memory(), Place::here());
    account.shared().connect().await;
    let session = soon("the log-in", peer.accept()).await.unwrap();
    until_it_is(&account, |connection| matches!(connection, Connection::Connected(_))).await;
    (account, session)
}

async fn until_it_is(account: &Account, state: impl FnMut(&Connection) -> bool) {
    soon("a state", account.shared().connection().wait_for(state)).await.unwrap();
}

async fn send(shared: &Shared, body: &str) -> Result<(), CallError> {
    let xml = format!("<message to='friend@localhost'><body>{body}</body></message>");
    let stanza = RawStanza::parse(&xml, &shared.snapshot().jid).unwrap();
    shared.ask(Asker::Host, &Granted::HOST, SendRaw { by: InstanceId::next(), stanza }).await
}

/// Returns an account whose server is gone and whose link has no room, so that stanzas of plugins wait.
async fn stuck(peer: &Peer) -> Account {
    /// Capacity of a link.
    const LINK: usize = 64;
    let (account, session) = connected(peer).await;
    drop(session);
    until_it_is(&account, |connection| matches!(connection, Connection::Retrying(_))).await;
    for _ in 0..LINK {
        soon("room in the link", send(account.shared(), "early")).await.unwrap();
    }
    account
}

/// Starts a plugin's call that waits for room in the link.
async fn waiting_call(account: &Account) -> JoinHandle<Result<(), CallError>> {
    let shared = Arc::clone(account.shared());
    let call = tokio::spawn(async move { send(&shared, "late").await });
    soon("the command", async {
        while account.shared().asked.waiting(&Asker::Host) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    call
}

#[tokio::test]
async fn a_server_that_takes_nothing_in_holds_up_no_order() {
    let peer = Peer::start(Manners::default()).await;
    let account = stuck(&peer).await;
    let call = waiting_call(&account).await;
    soon("the end of an instance", account.shared().forget(InstanceId::next())).await;
    assert!(!call.is_finished());
    soon("the end of the account", account.stop()).await;
    assert_eq!(soon("an answer", call).await.unwrap(), Err(CallError::Stopped));
}

#[tokio::test]
async fn what_a_plugin_wanted_to_send_goes_with_it() {
    let peer = Peer::start(Manners::default()).await;
    let account = stuck(&peer).await;
    waiting_call(&account).await.abort();
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    soon("room in the link", send(account.shared(), "last")).await.unwrap();
    let bodies = soon("the last message", session.bodies_until("last")).await;
    assert!(bodies.contains(&"early".to_owned()) && !bodies.contains(&"late".to_owned()), "{bodies:?}");
    soon("the end of the account", account.stop()).await;
}

/// Commands that do not need the link do not wait for it, however many others do.
/// Rows 8, 13-16.
#[tokio::test]
async fn a_full_link_holds_up_nobody_who_sends_nothing() {
    let peer = Peer::start(Manners::default()).await;
    let account = stuck(&peer).await;
    let shared = account.shared();
    let calls: Vec<_> = (0..COMMANDS + 3)
        .map(|_| {
            let shared = Arc::clone(shared);
            tokio::spawn(async move { send(&shared, "late").await })
        })
        .collect();
    soon("the commands", async {
        while shared.asked.waiting(&Asker::Host) < COMMANDS {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let by = InstanceId::next();
    for round in 0..3 {
        let names = vec![format!("promise{round}").into()];
        let added = shared.ask(Asker::Plugin(by), &Granted::HOST, RegisterPromises { by, names, most: 16 });
        assert_eq!(soon("a promise", added).await, Ok(round + 1));
        let emitted =
            shared.ask(Asker::Plugin(by), &Granted::HOST, Emit { by, name: "done".into(), payload: Payload::None });
        assert_eq!(soon("an event", emitted).await, Ok(()));
    }
    assert!(calls.iter().all(|call| !call.is_finished()));
    soon("the end of the account", account.stop()).await;
    for call in calls {
        assert_eq!(soon("an answer", call).await.unwrap(), Err(CallError::Stopped));
    }
}

/// An accepted message is sent once, whether its session survives or not, and its plugin gets no error. Rows 9, 34.
#[tokio::test]
async fn what_was_taken_in_is_sent_once_on_whatever_stream_follows() {
    for memory in [Memory::Good, Memory::Count] {
        let peer = Peer::start(Manners { memory, ..Manners::default() }).await;
        let (account, mut session) = connected(&peer).await;
        let shared = account.shared();
        assert_eq!(send(shared, "before").await, Ok(()));
        soon("a message", session.bodies_until("before")).await;
        drop(session);
        until_it_is(&account, |connection| matches!(connection, Connection::Retrying(_))).await;
        for body in ["one", "two", "three"] {
            assert_eq!(soon("room", send(shared, body)).await, Ok(()));
        }
        let mut session = soon("the connection", peer.accept()).await.unwrap();
        assert_eq!(session.resumed, memory == Memory::Good);
        let bodies = soon("the last message", session.bodies_until("three")).await;
        assert_eq!(bodies, ["one", "two", "three"]);
        assert_eq!(soon("another", send(shared, "after")).await, Ok(()));
        assert_eq!(soon("the last message", session.bodies_until("after")).await, ["after"]);
        soon("the end of the account", account.stop()).await;
    }
}

const MAM: &str = "urn:xmpp:mam:2";

/// The server may have stored what came meanwhile in the archive alone.
#[tokio::test]
async fn after_the_account_was_hidden_its_archive_is_read_again_and_what_comes_then_is_newer() {
    let peer = Peer::start(Manners::default()).await;
    let (account, mut session) = connected(&peer).await;
    session.settle(&[("bot@localhost", MAM)]).await;
    let shared = account.shared();
    let mut archive = shared.own_archive();
    let first = *soon("an archive", archive.wait_for(|archive| archive.is_some_and(|own| own.exists))).await.unwrap();
    let first = first.unwrap().stream;
    assert_eq!(shared.router.live(), Delivery::Live(first));
    for value in ["offline", "online"] {
        let status = SetStatus { value: Some(value.parse().unwrap()), message: None };
        assert_eq!(soon("the status", shared.ask(Asker::Host, &Granted::HOST, status)).await, Ok(()));
    }
    let is_next = |archive: &Option<OwnArchive>| archive.is_some_and(|own| own.stream == first + 1 && own.exists);
    soon("the archive once more", archive.wait_for(is_next)).await.unwrap();
    assert_eq!(shared.router.live(), Delivery::Live(first + 1));
    soon("the end of the account", account.stop()).await;
}

/// Returns an account that lost a stream on which it wrote "one" and "two", sent a third message since then, and begins
/// another stream.
async fn cut_while_writing(third: &str) -> (Peer, Account, PeerSession) {
    let peer = Peer::start(Manners { memory: Memory::None, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    session.settle(&[("bot@localhost", MAM)]).await;
    let shared = account.shared();
    let mut archive = shared.own_archive();
    soon("an archive", archive.wait_for(|archive| archive.is_some_and(|own| own.exists))).await.unwrap();
    for body in ["one", "two"] {
        soon("room", send_with_id(shared, body)).await.unwrap();
    }
    soon("both", session.hear_text("id-two")).await;
    drop(session);
    until_it_is(&account, |connection| matches!(connection, Connection::Retrying(_))).await;
    soon("room", send_with_id(shared, third)).await.unwrap();
    let session = soon("the connection", peer.accept()).await.unwrap();
    (peer, account, session)
}

async fn send_with_id(shared: &Shared, body: &str) -> Result<(), CallError> {
    let xml = format!("<message to='friend@localhost' id='id-{body}'><body>{body}</body></message>");
    let stanza = RawStanza::parse(&xml, &shared.snapshot().jid).unwrap();
    shared.ask(Asker::Host, &Granted::HOST, SendRaw { by: InstanceId::next(), stanza }).await
}

/// Answers a query of the archive with these messages, and then with a result or with a useless answer.
async fn tell_archived(session: &mut PeerSession, said: &[(&str, &str, &str)], is_answer: bool) {
    let fin = if is_answer { format!("<fin xmlns='{MAM}' complete='true'/>") } else { String::new() };
    tell_page(session, 0, said, &fin).await;
}

/// Sends a page of the archive whose ids begin with this number.
async fn tell_page(session: &mut PeerSession, first: usize, said: &[(&str, &str, &str)], fin: &str) {
    let (query, id) = soon("a query", until_asked(session, MAM)).await;
    assert!(query.contains("var='start'"), "ids of long ago do not count: {query}");
    let queryid = query.split("queryid='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    for (number, (from, to, body)) in (first..).zip(said) {
        session
            .say(&format!(
                "<message xmlns='jabber:client' from='bot@localhost'><result xmlns='{MAM}' queryid='{queryid}' id='{number}'>\
                 <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>\
                 <message xmlns='jabber:client' type='chat' from='{from}@localhost/x' to='{to}@localhost' id='id-{body}'>\
                 <body>{body}</body></message></forwarded></result></message>"
            ))
            .await;
    }
    session.say(&format!("<iq xmlns='jabber:client' type='result' id='{id}'>{fin}</iq>")).await;
}

/// Messages that the server accepted before the stream was lost, without an acknowledgement, are in the archive and are
/// not sent again. Messages that the archive lacks are sent again, and so are messages that were never written, with
/// any id. A useless answer of the archive holds nothing back. Rows 34.
#[tokio::test]
async fn what_has_arrived_by_the_archive_is_not_sent_again() {
    // Another sender's messages prove nothing.
    let said: &[_] = &[("bot", "friend", "one"), ("friend", "bot", "two")];
    let cases = [
        ([said, said], true, "three", vec!["two", "three"]),
        ([said, said], true, "one", vec!["two", "one"]),
        // The server was still processing the lost stream at the first query.
        ([&[], said], true, "three", vec!["two", "three"]),
        ([&[], &[]], true, "three", vec!["one", "two", "three"]),
        ([&[], &[]], false, "three", vec!["one", "two", "three"]),
    ];
    for (looks, is_answer, third, expected) in cases {
        let (_peer, account, mut session) = cut_while_writing(third).await;
        for said in looks.iter().take(if is_answer { 2 } else { 1 }) {
            tell_archived(&mut session, said, is_answer).await;
        }
        let mut bodies = Vec::new();
        while bodies.len() < expected.len() {
            bodies.push(soon("a message", next_body(&mut session)).await);
        }
        assert_eq!(bodies, expected);
        soon("the end of the account", account.stop()).await;
    }
}

/// For example, the server stored messages for a minute for a session that no longer responded.
#[tokio::test]
async fn what_has_arrived_is_found_behind_much_that_came_since() {
    const PAGE: usize = 50;
    let (_peer, account, mut session) = cut_while_writing("three").await;
    let others = [("friend", "bot", "more"); PAGE];
    for first in (1..=10).rev().map(|page| page * PAGE) {
        let (last, rsm) = (first + PAGE - 1, "http://jabber.org/protocol/rsm");
        let set = format!("<set xmlns='{rsm}'><first>{first}</first><last>{last}</last></set>");
        tell_page(&mut session, first, &others, &format!("<fin xmlns='{MAM}'>{set}</fin>")).await;
    }
    tell_archived(&mut session, &[("bot", "friend", "one"), ("bot", "friend", "two")], true).await;
    assert_eq!(soon("the last message", session.bodies_until("three")).await, ["three"]);
    soon("the end of the account", account.stop()).await;
}

/// Each lost connection makes more messages doubtful, and none less.
#[tokio::test]
async fn what_is_in_question_at_a_cut_is_asked_for_on_the_next_stream() {
    let (peer, account, mut session) = cut_while_writing("three").await;
    soon("a query", until_asked(&mut session, MAM)).await;
    drop(session);
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    for _look in 0..2 {
        tell_archived(&mut session, &[("bot", "friend", "two")], true).await;
    }
    assert_eq!(soon("the last message", session.bodies_until("three")).await, ["one", "three"]);
    soon("the end of the account", account.stop()).await;
}

/// The archive's answer is no longer awaited, and losing a message is worse than sending it twice.
#[tokio::test]
async fn what_is_in_question_when_the_account_ends_is_sent() {
    let (_peer, account, mut session) = cut_while_writing("three").await;
    soon("a query", until_asked(&mut session, MAM)).await;
    let (bodies, ()) = tokio::join!(soon("the last message", session.bodies_until("three")), account.stop());
    assert_eq!(bodies, ["one", "two", "three"]);
}

/// Returns the body of the next message.
async fn next_body(session: &mut PeerSession) -> String {
    let body = |xml: &str, _: &str| Some(xml.split_once("<body>")?.1.split('<').next().unwrap().to_owned());
    until(session, body).await
}

/// Returns the next stanza that contains this text, as XML, and its id.
async fn until_asked(session: &mut PeerSession, text: &str) -> (String, String) {
    until(session, |xml, id| xml.contains(text).then(|| (xml.replace('"', "'"), id.to_owned()))).await
}

/// Answers every request with an empty result until `comes` returns a value for a stanza and its id.
async fn until<R>(session: &mut PeerSession, comes: impl Fn(&str, &str) -> Option<R>) -> R {
    loop {
        let (xml, id) = session.hear_xml().await;
        if let Some(it) = comes(&xml, &id) {
            return it;
        }
        if !id.is_empty() {
            session.say(&format!("<iq xmlns='jabber:client' type='result' id='{id}'/>")).await;
        }
    }
}

/// Requests that only the lost session could have answered end with a typed error, and are not sent again.
/// Rows 11.
#[tokio::test]
async fn a_request_that_was_cut_ends_and_is_not_asked_again() {
    let peer = Peer::start(Manners { memory: Memory::None, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    let shared = Arc::clone(account.shared());
    let xml = "<iq to='friend@localhost/x' type='get' id='q'><query xmlns='urn:example:query'/></iq>";
    let request = tokio::spawn(async move {
        let iq = RawStanza::parse_request(xml, &shared.snapshot().jid).unwrap();
        shared
            .ask(Asker::Host, &Granted::HOST, SendIq { by: InstanceId::next(), iq })
            .await
            .map(|answer| answer.to_xml())
    });
    soon("the request", session.hear_text("urn:example:query")).await;
    drop(session);
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    assert_eq!(soon("an answer", request).await.unwrap(), Err(CallError::Offline));
    assert_eq!(soon("room", send(account.shared(), "last")).await, Ok(()));
    soon("the last message", session.bodies_until("last")).await;
    assert!(!session.has_said("urn:example:query"), "it was asked again");
    soon("the end of the account", account.stop()).await;
}

/// Settings `auto_reconnect`.
#[tokio::test]
async fn an_account_that_is_not_to_come_back_stays_away() {
    let peer = Peer::start(Manners::default()).await;
    let settings = Settings::default().with("auto_reconnect", false.into()).unwrap();
    let (account, session) = connected_with(&peer, settings).await;
    drop(session);
    until_it_is(&account, |connection| matches!(connection, Connection::Left(_))).await;
    assert_eq!(send(account.shared(), "late").await, Err(CallError::Offline));
    soon("the end of the account", account.stop()).await;
}

/// A supervisor that restarts the host after a lost connection must not restart it after this: the two clients would
/// disconnect each other forever.
#[tokio::test]
async fn an_account_that_is_not_to_come_back_has_failed_when_it_is_thrown_out() {
    let peer = Peer::start(Manners::default()).await;
    let settings = Settings::default().with("auto_reconnect", false.into()).unwrap();
    let (account, mut session) = connected_with(&peer, settings).await;
    let conflict = "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>";
    session.say_raw(&format!("<stream:error>{conflict}</stream:error></stream:stream>")).await;
    until_it_is(&account, |connection| matches!(connection, Connection::Failed(_))).await;
    soon("the end of the account", account.stop()).await;
}

/// Settings `csi_waiting_time`.
#[tokio::test]
async fn an_account_in_which_nothing_happens_says_so_and_says_when_something_does() {
    let peer = Peer::start(Manners { client_state: true, ..Manners::default() }).await;
    let settings = Settings::default().with("csi_waiting_time", 1.into()).unwrap();
    let (account, mut session) = connected_with(&peer, settings).await;
    soon("the silence", session.hear_text("<inactive xmlns='urn:xmpp:csi:0'")).await;
    assert_eq!(soon("room", send(account.shared(), "hi")).await, Ok(()));
    soon("the word", session.hear_text("<active xmlns='urn:xmpp:csi:0'")).await;
    soon("the end of the account", account.stop()).await;
}

/// A plugin that may hear everything, and a short form of each message that it gets.
struct Ear(MailReceiver);

impl Ear {
    fn open(account: &Account, names: &[&str]) -> Self {
        let (mailbox, receiver) = Mailbox::new(InstanceId::next(), 100, Arc::new(Grants::all()));
        let filter = Filter { own: true, delayed: true, ..Filter::default() };
        for name in names {
            account.shared().router.subscribe(&mailbox, name, filter.clone(), false);
        }
        Self(receiver)
    }

    async fn message(&mut self) -> Arc<Message> {
        let mail = soon("an event", self.0.recv()).await.unwrap();
        match &mail.event.payload {
            Payload::Message(message) => Arc::clone(message),
            other => panic!("{other:?}"),
        }
    }
}

/// Rules absent-from, carbon, delayed, duplicate.
#[tokio::test]
async fn what_may_not_be_believed_is_not_told() {
    let peer = Peer::start(Manners::default()).await;
    let (account, mut session) = connected(&peer).await;
    let announced = [("bot@localhost", "urn:xmpp:sid:0"), ("localhost", "urn:xmpp:carbons:2")];
    session.settle(&announced).await;
    let mut ear = Ear::open(&account, &["message"]);
    let message = |from: &str, id: &str, content: &str| {
        format!(
            "<message xmlns='jabber:client' {from} to='bot@localhost/here' type='chat' id='{id}'><body>{id}</body>{content}</message>"
        )
    };
    let carbon = |from: &str, which: &str, inner: &str| {
        let wrapped = format!(
            "<{which} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></{which}>"
        );
        format!("<message xmlns='jabber:client' {from} to='bot@localhost/here'>{wrapped}</message>")
    };
    let numbered = |by: &str, id: &str| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='{id}'/>");
    let delayed = |by: &str| format!("<delay xmlns='urn:xmpp:delay' from='{by}' stamp='2020-01-02T03:04:05Z'/>");
    let friend = "from='friend@localhost/x'";

    for from in ["from='friend@localhost'", "from='localhost'", "from='bot@localhost/here'", "from='bot@evil'"] {
        let forged = message("from='boss@localhost/x'", "forged", "");
        session.say(&carbon(from, "received", &forged)).await;
        let forged = "<message xmlns='jabber:client' from='bot@localhost/phone' to='friend@localhost'><body>forged</body></message>";
        session.say(&carbon(from, "sent", forged)).await;
    }
    session.say(&carbon("from='bot@localhost'", "received", &message(friend, "copied", ""))).await;
    let copied = ear.message().await;
    assert_eq!((copied.id.as_deref(), copied.carbon.is_some()), (Some("copied"), true), "{copied:?}");
    session.say(&carbon("", "received", &message(friend, "absent", ""))).await;
    assert_eq!(ear.message().await.id.as_deref(), Some("absent"), "no sender is the own account");

    session.say(&message(friend, "one", &numbered("friend@localhost", "n1"))).await;
    assert_eq!(ear.message().await.stanza_id, None, "nobody numbers for the own archive but itself");
    for id in ["two", "two", "other"] {
        session.say(&message(friend, id, &numbered("bot@localhost", "n1"))).await;
    }
    for id in ["two", "other"] {
        let message = ear.message().await;
        assert_eq!(
            (message.id.as_deref(), message.stanza_id.as_deref()),
            (Some(id), Some("n1")),
            "the id hides nothing"
        );
    }

    session.say(&message(friend, "three", &delayed("friend@localhost"))).await;
    let three = ear.message().await;
    assert_eq!((three.id.as_deref(), three.delayed), (Some("three"), false), "what came twice is told once");
    session.say(&message(friend, "four", &delayed("localhost"))).await;
    assert!(ear.message().await.delayed);

    session.say(&message("", "five", "")).await;
    let five = ear.message().await;
    assert_eq!((five.from.to_string(), five.own), ("bot@localhost".to_owned(), true));
    soon("the end of the account", account.stop()).await;
}

/// Rules duplicate: a server that does not announce that it numbers messages lets anyone set the ids.
#[tokio::test]
async fn a_server_that_numbers_no_messages_is_not_believed_to() {
    let peer = Peer::start(Manners::default()).await;
    let (account, mut session) = connected(&peer).await;
    session.settle(&[("localhost", "urn:xmpp:sid:0"), ("friend@localhost", "urn:xmpp:sid:0")]).await;
    let mut ear = Ear::open(&account, &["message"]);
    for id in ["one", "two"] {
        let id = format!(
            "<message xmlns='jabber:client' from='friend@localhost/x' type='chat' id='{id}'><body>hi</body><stanza-id \
             xmlns='urn:xmpp:sid:0' by='bot@localhost' id='same'/></message>"
        );
        session.say(&id).await;
    }
    for id in ["one", "two"] {
        let message = ear.message().await;
        assert_eq!((message.id.as_deref(), message.stanza_id.as_deref()), (Some(id), None), "neither is dropped");
    }
    soon("the end of the account", account.stop()).await;
}

/// Events send, messageSend: each stanza is shown as it leaves, a plugin's requests to that plugin alone.
#[tokio::test]
async fn what_leaves_is_told_in_the_order_in_which_it_leaves() {
    let peer = Peer::start(Manners::default()).await;
    let (account, mut session) = connected(&peer).await;
    session.settle(&[]).await;
    let mut ear = Ear::open(&account, &["send"]);
    let shared = account.shared();
    let own = shared.snapshot().jid.clone();
    let iq = RawStanza::parse("<iq type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>", &own).unwrap();
    shared.ask(Asker::Host, &Granted::HOST, SendRaw { by: InstanceId::next(), stanza: iq }).await.unwrap();
    send(shared, "one").await.unwrap();
    send(shared, "two").await.unwrap();
    for body in ["one", "two"] {
        let mail = soon("an event", ear.0.recv()).await.unwrap();
        assert!(matches!(&mail.event.payload, Payload::Stanza { xml, .. } if xml.contains(body)), "{:?}", mail.event);
    }
    assert_eq!(soon("both", session.bodies_until("two")).await, ["one", "two"]);
    soon("the end of the account", account.stop()).await;
}

/// Events send, messageSend. The host sends an owner a secret message, and then loses the stream. No plugin gets the
/// message, whatever it may read.
#[tokio::test]
async fn no_plugin_is_told_of_a_secret_message() {
    let peer = Peer::start(Manners { memory: Memory::None, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    session.settle(&[]).await;
    let shared = account.shared();
    let mut ear = Ear::open(&account, &["messageSend", "messageAdded"]);
    let mut stanzas = Ear::open(&account, &["send"]);
    let draft = Draft { body: Some("secret".to_owned()), is_secret: true, ..Draft::default() };
    let to: jid::Jid = "friend@localhost".parse().unwrap();
    shared.ask(Asker::Host, &Granted::HOST, SendMessage { to, kind: MessageKind::Chat, draft }).await.unwrap();
    assert_eq!(soon("the secret", session.bodies_until("secret")).await, ["secret"]);
    drop(session);
    until_it_is(&account, |connection| matches!(connection, Connection::Retrying(_))).await;
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    until_it_is(&account, |connection| matches!(connection, Connection::Connected(_))).await;
    send(shared, "one").await.unwrap();
    assert_eq!(soon("what follows", session.bodies_until("one")).await, ["one"], "the secret was sent again");
    assert_eq!(ear.message().await.body.as_deref(), Some("one"));
    loop {
        let mail = soon("an event", stanzas.0.recv()).await.unwrap();
        let Payload::Stanza { xml, .. } = &mail.event.payload else { panic!("{:?}", mail.event) };
        assert!(!xml.contains("secret"), "{xml}");
        if xml.contains(">one<") {
            break;
        }
    }
    soon("the end of the account", account.stop()).await;
}

/// Events send, messageSend. A message that is sent again is the same message in a second stanza.
#[tokio::test]
async fn a_message_that_is_sent_again_is_told_of_once() {
    let peer = Peer::start(Manners { memory: Memory::None, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    session.settle(&[]).await;
    let shared = account.shared();
    let (mut messages, mut stanzas) = (Ear::open(&account, &["messageSend"]), Ear::open(&account, &["send"]));
    send(shared, "one").await.unwrap();
    soon("a message", session.bodies_until("one")).await;
    drop(session);
    until_it_is(&account, |connection| matches!(connection, Connection::Retrying(_))).await;
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    assert_eq!(soon("it once more", session.bodies_until("one")).await, ["one"]);
    send(shared, "two").await.unwrap();
    soon("another", session.bodies_until("two")).await;
    for body in ["one", "two"] {
        assert_eq!(messages.message().await.body.as_deref(), Some(body));
    }
    let mut left = Vec::new();
    while !left.last().is_some_and(|xml: &String| xml.contains(">two<")) {
        let mail = soon("an event", stanzas.0.recv()).await.unwrap();
        let Payload::Stanza { xml, .. } = &mail.event.payload else { panic!("{:?}", mail.event) };
        left.push(xml.clone());
    }
    assert_eq!(left.iter().filter(|xml| xml.contains(">one<")).count(), 2);
    soon("the end of the account", account.stop()).await;
}

/// Rules rejoin. A room is entered again on a new session, and not on a resumed one.
#[tokio::test]
async fn rooms_are_entered_again_where_the_session_was_lost() {
    const ROOM: &str = "hall@rooms.localhost";
    for memory in [Memory::None, Memory::Good] {
        let peer = Peer::start(Manners { memory, ..Manners::default() }).await;
        let (account, mut session) = connected(&peer).await;
        session.settle(&[]).await;
        let shared = Arc::clone(account.shared());
        let opening = tokio::spawn(async move {
            let (by, jid, options) =
                (InstanceId::next(), ROOM.parse().unwrap(), parlor_session::RoomOptions::default());
            shared.ask(Asker::Host, &Granted::HOST, OpenRoom { by, jid, options }).await
        });
        soon("the entrance", until_said(&mut session, "to=\"hall@rooms.localhost/bot\"")).await;
        let occupant = |nick: &str, status: &str| {
            format!(
                "<presence xmlns='jabber:client' from='{ROOM}/{nick}'><x xmlns='http://jabber.org/protocol/muc#user'>\
                 <item affiliation='member' role='participant'/>{status}</x></presence>"
            )
        };
        // A presence from another address does not mean that we were let in.
        session.say(&occupant("bot", "<status code='110'/>").replace(ROOM, "hall@evil.localhost")).await;
        session.say(&occupant("juliet", "")).await;
        session.say(&occupant("bot", "<status code='110'/>")).await;
        let room = soon("the room", opening).await.unwrap().unwrap();
        assert_eq!((room.jid.as_str(), room.joined), (ROOM, true));
        drop(session);
        let mut session = soon("the connection", peer.accept()).await.unwrap();
        assert_eq!(session.resumed, memory == Memory::Good);
        if session.resumed {
            until_it_is(&account, |connection| matches!(connection, Connection::Connected(_))).await;
            soon("a message", send(account.shared(), "still here")).await.unwrap();
            soon("it", session.bodies_until("still here")).await;
            assert!(
                session.has_said("urn:xmpp:ping") && !session.has_said("protocol/muc"),
                "it is asked, and not entered"
            );
            assert!(account.shared().snapshot().rooms.values().all(|room| room.joined));
        } else {
            soon("the entrance", until_said(&mut session, "to=\"hall@rooms.localhost/bot\"")).await;
        }
        soon("the end of the account", account.stop()).await;
    }
}

/// Answers every request with an empty result until a presence contains this text.
async fn until_said(session: &mut PeerSession, text: &str) {
    let says =
        |xml: &str, _: &str| (xml.starts_with("<presence") && xml.replace('\'', "\"").contains(text)).then_some(());
    until(session, says).await;
}

/// Its connection is often gone, and nothing reports that.
#[tokio::test]
async fn a_machine_that_slept_asks_the_server_whether_it_is_there() {
    let peer = Peer::start(Manners::default()).await;
    let link = LinkSettings { ping_interval: Duration::from_hours(3), ..peer.settings() };
    let config = config(link, Settings::default());
    let machine = SettableClock::leak(Timestamp::now());
    let account = Account::start_with(config, Store::in_memory(), Place::here(), Dialer::Network, machine.clock());
    account.shared().connect().await;
    let mut session = soon("the log-in", peer.accept()).await.unwrap();
    session.settle(&[]).await;
    // Until nothing is left to send.
    let quiet = tokio::time::timeout(Duration::from_secs(1), until_said(&mut session, "never")).await;
    assert!(quiet.is_err());
    // A clock that was set back does not mean that the machine slept.
    for by in [-3600, 3600] {
        machine.set_by(by);
        // The time at which the account checks the clock.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(16)).await;
        tokio::time::resume();
        let limit = if by < 0 { Duration::from_secs(1) } else { DEADLINE };
        let asked = tokio::time::timeout(limit, session.hear_request()).await;
        assert_eq!(asked.ok(), (by == 3600).then_some("r"), "{by}");
    }
    soon("the end of the account", account.stop()).await;
}

/// Settings `csi_waiting_time`: also if it is set while the account is connected.
#[tokio::test]
async fn how_long_nobody_may_look_can_be_changed() {
    let peer = Peer::start(Manners { client_state: true, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    let set = async |seconds: u32| {
        let values = BTreeMap::from([("csi_waiting_time".to_owned(), seconds.into())]);
        let set = ChangeSettings { values, wins: Wins::Always };
        account.shared().ask(Asker::Host, &Granted::HOST, set).await.unwrap();
    };
    set(1).await;
    soon("the silence", session.hear_text("<inactive xmlns='urn:xmpp:csi:0'")).await;
    set(0).await;
    soon("the word", session.hear_text("<active xmlns='urn:xmpp:csi:0'")).await;
    soon("the end of the account", account.stop()).await;
}

/// Settings `authentication`, `prebind`: the missing setting is named, and no password is sent instead.
#[tokio::test]
async fn nobody_logs_in_by_password_who_is_to_do_it_otherwise() {
    let peer = Peer::start(Manners::default()).await;
    let said = "no session is named";
    for (key, value) in [("authentication", "prebind".into()), ("prebind", true.into())] {
        let settings = Settings::default().with(key, value).unwrap();
        let config = config(peer.settings(), settings);
        let account = Account::start(config, Store::in_memory(), Place::here());
        account.shared().connect().await;
        until_it_is(&account, |connection| matches!(connection, Connection::Failed(why) if why.contains(said))).await;
        soon("the end of the account", account.stop()).await;
    }
}

/// A clock that panics once, when it is read the next time after the test asked for it.
#[derive(Debug, Default)]
struct FragileClock {
    breaks: AtomicBool,
}

impl TimeSource for FragileClock {
    fn now(&self) -> Timestamp {
        assert!(!self.breaks.swap(false, Ordering::Relaxed), "the test asked for it");
        Timestamp::now()
    }
}

/// The account reads the clock while it handles the stanza. The server does not send the stanza again, and all state
/// that the panic left half changed is replaced.
#[tokio::test]
async fn a_panic_over_a_stanza_costs_that_stanza_and_the_stream() {
    let peer = Peer::start(Manners { resumption: true, ..Manners::default() }).await;
    let clock: &'static FragileClock = Box::leak(Box::default());
    let config = config(peer.settings(), Settings::default());
    let account = Account::start_with(config, Store::in_memory(), Place::here(), Dialer::Network, Clock::Source(clock));
    let shared = account.shared();
    shared.connect().await;
    let mut session = soon("the log-in", peer.accept()).await.unwrap();
    session.settle(&[]).await;
    clock.breaks.store(true, Ordering::Relaxed);
    session.say_raw("<message from='m@evil/x' to='bot@localhost'><body>hello</body></message>").await;
    let mut session = soon("a new session", peer.accept()).await.unwrap();
    assert!(!clock.breaks.load(Ordering::Relaxed));
    until_it_is(&account, |connection| matches!(connection, Connection::Connected(_))).await;
    soon("a call", send(shared, "afterwards")).await.unwrap();
    assert_eq!(soon("it", session.bodies_until("afterwards")).await, ["afterwards"]);
    soon("the end of the account", account.stop()).await;
}
