use tokio::runtime::Handle;

use super::*;
use crate::config::{PasswordSource, TlsMode};
use crate::stanza::{Draft, MessageKind, Query};
use crate::xmpp::connect::CertificateFault;
use crate::xmpp::peer::{Manners, Peer, Session, jid};

/// Waits until no more tasks live than at the start of a test.
async fn no_task_is_left() {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Handle::current().metrics().num_alive_tasks() > 0 {
        assert!(Instant::now() < deadline, "{} tasks are left", Handle::current().metrics().num_alive_tasks());
        tokio::task::yield_now().await;
    }
}

async fn peer() -> Peer {
    Peer::start(Manners::default()).await
}

fn message(body: &str) -> Outgoing {
    Outgoing::Message {
        to: jid("friend@localhost"),
        kind: MessageKind::Chat,
        id: "m".to_owned(),
        draft: Draft { body: Some(body.to_owned()), ..Draft::default() },
    }
}

/// A link and the server's end of it.
async fn pair(peer: &Peer) -> (Link, Session) {
    let mut link = Link::start(peer.settings());
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    (link, session.unwrap())
}

async fn incoming(link: &mut Link) -> Incoming {
    match link.next().await {
        LinkEvent::Stanza(incoming) => incoming,
        other => panic!("expected a stanza, found {other:?}"),
    }
}

/// What becomes of a first log-in there.
async fn outcome(peer: &Peer, settings: LinkSettings) -> LinkEvent {
    let mut link = Link::start(settings);
    let serve = async {
        loop {
            // The session is held, so that the client decides what happens.
            let _session = peer.accept().await;
        }
    };
    let event = tokio::select! {
        event = link.next() => event,
        () = serve => unreachable!("serving does not end"),
    };
    if let LinkEvent::Failed(_) = &event {
        assert!(matches!(link.next().await, LinkEvent::Closed));
        no_task_is_left().await;
    }
    drop(link);
    no_task_is_left().await;
    event
}

#[tokio::test]
async fn stanzas_go_both_ways_in_order() {
    for tls in [TlsMode::StartTls, TlsMode::Direct] {
        let peer = Peer::start(Manners { tls, ..Manners::default() }).await;
        let (mut link, mut session) = pair(&peer).await;
        assert_eq!(session.jid.clone().unwrap().as_str(), "bot@localhost/here");
        for body in ["one", "two", "three"] {
            assert!(link.has_room());
            link.send(message(body)).await;
            session.say(&format!("<message xmlns='jabber:client' from='a@b/c'><body>{body}</body></message>")).await;
        }
        for body in ["one", "two", "three"] {
            assert_eq!(session.hear_body().await, body);
            let Incoming::Message(message) = incoming(&mut link).await else { panic!("a message was sent") };
            assert_eq!(message.body.as_deref(), Some(body));
        }
    }
}

#[tokio::test]
async fn without_a_resource_one_of_our_own_is_asked_for() {
    let peer = peer().await;
    let mut link = Link::start(LinkSettings { jid: jid("bot@localhost"), ..peer.settings() });
    let (event, _session) = tokio::join!(link.next(), peer.accept());
    let LinkEvent::Bound { jid, .. } = event else { panic!("{event:?}") };
    let resource = jid.resource().as_str().strip_prefix("parlor-").unwrap();
    assert!(resource.len() == 8 && resource.chars().all(|digit| digit.is_ascii_hexdigit()), "{resource}");
}

#[tokio::test]
async fn a_wrong_password_is_final() {
    let peer = Peer::start(Manners { password: "another", ..Manners::default() }).await;
    let event = outcome(&peer, peer.settings()).await;
    assert!(matches!(event, LinkEvent::Failed(ConnectError::NotAuthorized { .. })), "{event:?}");
}

#[tokio::test]
async fn plain_is_refused_unless_allowed() {
    let peer = Peer::start(Manners { mechanisms: &["PLAIN"], ..Manners::default() }).await;
    let event = outcome(&peer, peer.settings()).await;
    let LinkEvent::Failed(error @ ConnectError::NoMechanism { plain_is_offered: true, .. }) = event else {
        panic!("{event:?}")
    };
    assert!(error.to_string().contains("allow_plain"));
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let peer = Peer::start(Manners { starttls: false, ..Manners::default() }).await;
    let event = outcome(&peer, peer.settings()).await;
    assert!(matches!(event, LinkEvent::Failed(ConnectError::NoTls { .. })), "{event:?}");
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_for_the_domain() {
    let (server, stranger) = (peer().await, peer().await);
    let settings = LinkSettings { ca_file: stranger.settings().ca_file, ..server.settings() };
    let event = outcome(&server, settings).await;
    let LinkEvent::Failed(error @ ConnectError::Certificate { .. }) = event else { panic!("{event:?}") };
    assert!(error.to_string().contains("ca_file"), "{error}");

    let other = Peer::start(Manners { certificate_for: "elsewhere.example", ..Manners::default() }).await;
    let event = outcome(&other, other.settings()).await;
    let LinkEvent::Failed(ConnectError::Certificate { fault, .. }) = event else { panic!("{event:?}") };
    assert_eq!(fault, CertificateFault::WrongName);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let peer = peer().await;
    let settings = LinkSettings { ca_file: Some("/nowhere/ca.pem".into()), ..peer.settings() };
    let event = outcome(&peer, settings).await;
    assert!(matches!(event, LinkEvent::Failed(ConnectError::CaFile { .. })), "{event:?}");

    let password = PasswordSource::File("/nowhere/password".into());
    let event = outcome(&peer, LinkSettings { password, ..peer.settings() }).await;
    assert!(matches!(event, LinkEvent::Failed(ConnectError::Password(_))), "{event:?}");

    let event = outcome(&peer, LinkSettings { jid: jid("localhost/here"), ..peer.settings() }).await;
    assert!(matches!(event, LinkEvent::Failed(ConnectError::NoUser { .. })), "{event:?}");
}

#[tokio::test]
async fn a_refused_port_is_tried_again() {
    let peer = peer().await;
    let mut settings = peer.settings();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.server.as_mut().unwrap().port = Some(free.local_addr().unwrap().port());
    drop(free);
    let event = outcome(&peer, settings).await;
    let LinkEvent::Retrying { why: ConnectError::Refused { .. }, after } = event else { panic!("{event:?}") };
    assert!(after >= Duration::from_secs(1), "{after:?}");
}

#[tokio::test]
async fn forged_carbons_and_roster_pushes_are_refused() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session
        .say(
            "<message xmlns='jabber:client' from='mallory@evil'><sent xmlns='urn:xmpp:carbons:2'><forwarded \
             xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='bot@localhost/x' to='a@b'><body>hi</body>\
             </message></forwarded></sent></message>",
        )
        .await;
    session
        .say(
            "<iq xmlns='jabber:client' from='mallory@evil' type='set' id='1'><query xmlns='jabber:iq:roster'><item \
             jid='mallory@evil' subscription='both'/></query></iq>",
        )
        .await;
    assert!(matches!(incoming(&mut link).await, Incoming::Refused(_)));
    assert!(matches!(incoming(&mut link).await, Incoming::Refused(_)));
}

#[tokio::test]
async fn a_request_of_unknown_kind_is_handed_up() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session.say("<iq xmlns='jabber:client' from='a@b/c' type='get' id='q1'><what xmlns='urn:example'/></iq>").await;
    let Incoming::Request(request) = incoming(&mut link).await else { panic!("a request was sent") };
    assert_eq!((request.id.as_str(), request.query), ("q1", Query::Other));
}

#[tokio::test]
async fn a_cut_connection_is_resumed_without_loss_and_not_at_once() {
    let peer = peer().await;
    let (mut link, session) = pair(&peer).await;
    let began = Instant::now();
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    link.send(message("said meanwhile")).await;
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Resumed), "{event:?}");
    let mut session = session.unwrap();
    assert!(session.resumed);
    assert_eq!(session.hear_body().await, "said meanwhile");
    assert!(began.elapsed() > Duration::from_millis(1500), "the second log-in came after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_goes_down_is_come_back_to() {
    let peer = Peer::start(Manners { resumption: false, ..Manners::default() }).await;
    let (mut link, session) = pair(&peer).await;
    let (event, ()) = tokio::join!(link.next(), session.goodbye());
    assert!(matches!(event, LinkEvent::Suspended { .. }), "{event:?}");
    let (event, _session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
}

#[tokio::test]
async fn room_is_said_before_the_queue_is_full() {
    let peer = peer().await;
    let (mut link, session) = pair(&peer).await;
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    let mut sent = 0;
    while link.has_room() {
        link.send(message("x")).now_or_never().expect("there was room");
        sent += 1;
    }
    assert_eq!(sent, QUEUE);
    assert!(link.wait_room().now_or_never().is_none());
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Resumed), "{event:?}");
    let mut session = session.unwrap();
    tokio::join!(link.wait_room(), session.hear_body());
    assert!(link.has_room());
}

#[tokio::test]
async fn a_closed_link_says_goodbye_and_leaves_no_task() {
    let peer = peer().await;
    let (link, mut session) = pair(&peer).await;
    let serve = async {
        assert!(session.hear().await.is_none());
        session.goodbye().await;
    };
    tokio::join!(link.close(), serve);
    no_task_is_left().await;
}

#[tokio::test]
async fn a_dropped_link_leaves_no_task_wherever_it_was() {
    // Before anything answers.
    let peer = peer().await;
    let link = Link::start(peer.settings());
    let socket = peer.accept_socket().await;
    drop(link);
    no_task_is_left().await;
    drop(socket);

    // Logged in, while the server owes the answer to the bind.
    let mut link = Link::start(peer.settings());
    let session = tokio::select! {
        event = link.next() => panic!("nothing was bound: {event:?}"),
        session = peer.accept_unbound() => session.unwrap(),
    };
    drop(link);
    no_task_is_left().await;
    drop(session);

    // Bound, with a server that does not answer a goodbye.
    let (link, session) = pair(&peer).await;
    drop(link);
    no_task_is_left().await;
    drop(session);

    // Between two connections.
    let (mut link, session) = pair(&peer).await;
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    drop(link);
    no_task_is_left().await;
}

#[tokio::test]
async fn closing_ends_also_while_connecting_and_with_a_silent_server() {
    let peer = peer().await;
    let link = Link::start(peer.settings());
    let _socket = peer.accept_socket().await;
    let began = Instant::now();
    link.close().await;
    assert!(began.elapsed() < Duration::from_secs(2));
    no_task_is_left().await;

    let (link, _session) = pair(&peer).await;
    link.close().await;
    assert!(began.elapsed() < Duration::from_secs(8));
    no_task_is_left().await;
}

mod hostile;
