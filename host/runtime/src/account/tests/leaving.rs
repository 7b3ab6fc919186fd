//! Resuming the session that a previous process left.

use std::pin::Pin;

use parlor_session::permissions::Granted;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;

use super::*;

fn start(peer: &Peer, store: &Store, keepalive: bool) -> Account {
    let settings = Settings::default().with("keepalive", keepalive.into()).unwrap();
    let config = config(peer.settings(), settings);
    Account::start(config, store.clone(), Place::here())
}

/// Stops the account. Returns whether it sent unavailable presence.
fn stop(account: Account, session: PeerSession) -> Pin<Box<dyn Future<Output = bool>>> {
    Box::pin(stopped(account, session))
}

async fn stopped(account: Account, mut session: PeerSession) -> bool {
    let heard = Box::pin(async move {
        let mut said = false;
        while let Some(stanza) = session.hear().await {
            said |= matches!(stanza, Stanza::Presence(presence) if presence.type_ == Type::Unavailable);
        }
        said
    });
    let both = Box::pin(async { tokio::join!(account.stop(), heard) });
    let ((), said) = soon("the end of the account", both).await;
    said
}

/// Settings `keepalive`.
#[tokio::test]
async fn the_next_process_goes_on_with_the_session() {
    for keepalive in [true, false] {
        let (peer, store) = (Peer::start(Manners::default()).await, Store::in_memory());
        let account = start(&peer, &store, keepalive);
        account.shared().connect().await;
        let mut session = soon("the log-in", peer.accept()).await.unwrap();
        session.settle(&[]).await;
        send(account.shared(), "first").await.unwrap();
        soon("a message", session.bodies_until("first")).await;
        let jid = account.shared().snapshot().jid.clone();
        assert!(stop(account, session).await, "nobody was told that it goes");

        let account = start(&peer, &store, keepalive);
        let mut ear = Ear::open(&account, &["message"]);
        account.shared().connect().await;
        let mut session = soon("the log-in", peer.accept()).await.unwrap();
        assert_eq!(session.resumed, keepalive);
        if keepalive {
            // Messages that arrived in between are delivered, and no stanza of the other process is sent again.
            let late = format!(
                "<message xmlns='jabber:client' from='friend@localhost/x' to='{jid}' type='chat'><body>late</body></message>"
            );
            session.say(&late).await;
            // Presence is exchanged again, regardless of what the last process sent.
            session.settle(&[]).await;
            assert!(session.has_said("unavailable"));
        }
        soon("the presence", session.settle(&[])).await;
        if keepalive {
            assert_eq!(ear.message().await.body.as_deref(), Some("late"));
            assert_eq!(account.shared().snapshot().jid, jid);
        }
        send(account.shared(), "second").await.unwrap();
        assert_eq!(soon("a message", session.bodies_until("second")).await, ["second"]);
        // A session is resumed only once.
        drop(session);
        drop(account);
        let account = start(&peer, &store, keepalive);
        account.shared().connect().await;
        assert!(!soon("the log-in", peer.accept()).await.unwrap().resumed);
        soon("the end of the account", account.stop()).await;
    }
}

/// In a cluster, it goes on elsewhere at once. A server keeps what comes meanwhile for the session only if it is there.
#[tokio::test]
async fn an_account_that_goes_on_elsewhere_keeps_its_presence() {
    for (may_act, is_told) in [(MayAct::default(), true), (MayAct::asking(|| true), false)] {
        let (peer, store) = (Peer::start(Manners::default()).await, Store::in_memory());
        let settings = Settings::default().with("keepalive", true.into()).unwrap();
        let backing = Backing { audit: store.audit(), store: store.clone(), may_act };
        let config = config(peer.settings(), settings);
        let account = Account::start_with(config, backing, Place::here(), Dialer::Network, Clock::Machine);
        account.shared().connect().await;
        let mut session = soon("the log-in", peer.accept()).await.unwrap();
        session.settle(&[]).await;
        assert_eq!(stop(account, session).await, is_told);
        let account = start(&peer, &store, true);
        account.shared().connect().await;
        assert!(soon("the log-in", peer.accept()).await.unwrap().resumed);
        soon("the end of the account", account.stop()).await;
    }
}

/// Settings `keepalive`: a new session begins if the server has forgotten the old one.
#[tokio::test]
async fn a_session_that_the_server_has_forgotten_is_begun_anew() {
    let (peer, store) = (Peer::start(Manners { memory: Memory::None, ..Manners::default() }).await, Store::in_memory());
    let account = start(&peer, &store, true);
    account.shared().connect().await;
    let mut session = soon("the log-in", peer.accept()).await.unwrap();
    session.settle(&[]).await;
    assert!(stop(account, session).await);
    let account = start(&peer, &store, true);
    account.shared().connect().await;
    let mut session = soon("the log-in", peer.accept()).await.unwrap();
    assert!(!session.resumed);
    soon("the presence", session.settle(&[])).await;
    assert!(!session.has_said("unavailable"));
    until_it_is(&account, |connection| matches!(connection, Connection::Connected(_))).await;
    soon("the end of the account", account.stop()).await;
}

/// A message to the bot.
fn said(body: &str) -> String {
    format!(
        "<message xmlns='jabber:client' from='friend@localhost/x' to='bot@localhost/here' type='chat'>\
         <body>{body}</body></message>"
    )
}

/// Settings `keepalive`. Stanzas that will not be delivered are not acknowledged, so that the server keeps them.
#[tokio::test]
async fn what_comes_while_the_host_stops_is_left_to_the_server() {
    for keepalive in [true, false] {
        let (peer, store) = (Peer::start(Manners::default()).await, Store::in_memory());
        let account = start(&peer, &store, keepalive);
        let mut ear = Ear::open(&account, &["message", "contactRequest"]);
        account.shared().connect().await;
        let mut session = soon("the log-in", peer.accept()).await.unwrap();
        session.settle(&[]).await;
        session.say(&said("heard")).await;
        assert_eq!(ear.message().await.body.as_deref(), Some("heard"));
        let taken_in = session.ask_what_was_taken_in().await;

        account.drain().await;
        session.say(&said("late")).await;
        session.say("<presence xmlns='jabber:client' from='eve@localhost' type='subscribe'/>").await;
        session
            .say(
                "<iq xmlns='jabber:client' from='eve@localhost/x' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>",
            )
            .await;
        assert_eq!(soon("the count", session.ask_what_was_taken_in()).await, taken_in);
        // Plugins may still ask and send.
        let shared = Arc::clone(account.shared());
        let request = tokio::spawn(async move {
            let xml = "<iq to='friend@localhost/x' type='get' id='q'><query xmlns='urn:example:query'/></iq>";
            let iq = RawStanza::parse_request(xml, &shared.snapshot().jid).unwrap();
            shared.ask(Asker::Host, &Granted::HOST, SendIq { by: InstanceId::next(), iq }).await
        });
        let (asked, id) = soon("the request", session.hear_xml()).await;
        assert!(asked.contains("urn:example:query"), "something else was said: {asked}");
        session.say(&format!("<iq xmlns='jabber:client' from='friend@localhost/x' type='result' id='{id}'/>")).await;
        assert!(soon("the answer", request).await.unwrap().is_ok());
        send(account.shared(), "bye").await.unwrap();
        assert_eq!(soon("a message", session.bodies_until("bye")).await, ["bye"]);
        assert_eq!(soon("the count", session.ask_what_was_taken_in()).await, taken_in);
        assert!(ear.0.try_recv().is_err(), "somebody was heard");
        assert!(stop(account, session).await, "nobody was told that it goes");

        let account = start(&peer, &store, keepalive);
        account.shared().connect().await;
        let session = soon("the log-in", peer.accept()).await.unwrap();
        assert_eq!((session.resumed, session.taken_in), (keepalive, if keepalive { taken_in } else { 0 }));
        soon("the end of the account", account.stop()).await;
    }
}

/// A server that keeps nothing is listened to until the end.
#[tokio::test]
async fn what_nobody_would_keep_is_heard_to_the_end() {
    let peer = Peer::start(Manners { resumption: false, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    session.settle(&[]).await;
    let mut ear = Ear::open(&account, &["message"]);
    account.drain().await;
    session.say(&said("late")).await;
    assert_eq!(ear.message().await.body.as_deref(), Some("late"));
    soon("the end of the account", account.stop()).await;
}
