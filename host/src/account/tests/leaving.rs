//! Going on with the session that a former process left.

use std::pin::Pin;

use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;

use super::*;

fn start(peer: &Peer, store: &Store, keepalive: bool) -> Account {
    let settings = Settings::default().with("keepalive", keepalive.into()).unwrap();
    let config = AccountConfig { name: "main".parse().unwrap(), link: peer.settings(), owners: Vec::new(), settings };
    Account::start(config, store.clone())
}

/// Stops the account; whether it said that it is unavailable.
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
            // What came meanwhile is told, and nothing that the other process had sent goes out again.
            let late = format!(
                "<message xmlns='jabber:client' from='friend@localhost/x' to='{jid}' type='chat'><body>late</body></message>"
            );
            session.say(&late).await;
            // Who was present to whom is told anew, whatever the last process came to say.
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
        // Who was gone on with once is not gone on with again.
        drop(session);
        drop(account);
        let account = start(&peer, &store, keepalive);
        account.shared().connect().await;
        assert!(!soon("the log-in", peer.accept()).await.unwrap().resumed);
        soon("the end of the account", account.stop()).await;
    }
}

/// Settings `keepalive`: where the server has forgotten the session, another one begins.
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
