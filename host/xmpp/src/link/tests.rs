//! Tests of a link with a server that follows a script.

use futures_util::FutureExt as _;
use parlor_config::{PasswordSource, TlsMode};
use parlor_https::trust::TrustError;
use parlor_stanza::testing::jid;
use parlor_stanza::types::{Draft, MessageKind, Query};
use tokio::runtime::Handle;

use super::patience::ACK_LIMIT;
use super::queue::QUEUE;
use super::*;
use crate::error::CertificateFault;
use crate::keepalive::RESPONSE_LIMIT;
use crate::peer::{Issued, Manners, Memory, Peer, Session};

/// Waits until only the tasks from the start of the test are alive.
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
        to_occupant: false,
    }
}

/// Connects a link, and returns it with the server's end.
async fn pair(peer: &Peer) -> (Link, Session) {
    let mut link = Link::start(peer.settings());
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    (link, session.unwrap())
}

/// Returns the next event other than [`LinkEvent::Trying`].
async fn next(link: &mut Link) -> LinkEvent {
    loop {
        match link.next().await {
            LinkEvent::Trying => {}
            event => return event,
        }
    }
}

/// Runs the link until the work is done; no event may occur meanwhile.
async fn beside<R>(link: &mut Link, work: impl Future<Output = R>) -> R {
    tokio::select! {
        biased;
        result = work => result,
        event = link.next() => panic!("{event:?}"),
    }
}

/// Accepts the next connection, and returns it with the link's event.
async fn again(link: &mut Link, peer: &Peer) -> (LinkEvent, Session) {
    let (event, session) = tokio::join!(next(link), peer.accept());
    (event, session.unwrap())
}

/// Returns the texts of messages that are returned for sending again.
fn bodies(again: &[RawStanza]) -> Vec<String> {
    let body = |stanza: &RawStanza| match stanza.stanza() {
        Stanza::Message(message) => message.bodies.values().next().unwrap().clone(),
        other => panic!("only messages go again, not {other:?}"),
    };
    again.iter().map(body).collect()
}

async fn incoming(link: &mut Link) -> Incoming {
    match link.next().await {
        LinkEvent::Stanza(incoming) => incoming,
        other => panic!("expected a stanza, found {other:?}"),
    }
}

/// Returns the result of the first log-in to this server.
async fn outcome(peer: &Peer, settings: LinkSettings) -> LinkEvent {
    outcome_of(peer, Link::start(settings)).await
}

/// Returns the result of the first log-in of this link.
async fn outcome_of(peer: &Peer, mut link: Link) -> LinkEvent {
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
            link.send(message(body));
        }
        assert_eq!(beside(&mut link, session.bodies_until("three")).await, ["one", "two", "three"]);
        for body in ["one", "two", "three"] {
            session.say(&format!("<message xmlns='jabber:client' from='a@b/c'><body>{body}</body></message>")).await;
        }
        for body in ["one", "two", "three"] {
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
async fn ways_that_are_not_safe_are_refused_and_plain_unless_it_is_allowed() {
    let peer = Peer::start(Manners { mechanisms: &["PLAIN"], ..Manners::default() }).await;
    let event = outcome(&peer, peer.settings()).await;
    let LinkEvent::Failed(error @ ConnectError::NoMechanism { plain_is_offered: true, .. }) = event else {
        panic!("{event:?}")
    };
    assert!(error.to_string().contains("allow_plain"));
    let peer = Peer::start(Manners { mechanisms: &["DIGEST-MD5", "X-OAUTH2"], ..Manners::default() }).await;
    let LinkEvent::Failed(error @ ConnectError::NoMechanism { .. }) = outcome(&peer, peer.settings()).await else {
        panic!("nobody logs in like that")
    };
    let said = error.to_string();
    assert!(said.contains("DIGEST-MD5, X-OAUTH2") && !said.contains("allow_plain"), "{said}");
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

/// The certificate is given as `ca_file`, independently of its issuer.
#[tokio::test]
async fn a_certificate_that_is_named_itself_is_trusted_for_its_name_and_in_its_time() {
    for issued in [Issued::ByItself, Issued::AsAuthority, Issued::ByAuthority] {
        let manners = Manners { issued, ..Manners::default() };
        let named = Peer::start(manners.clone()).await;
        let event = outcome(&named, named.settings()).await;
        assert!(matches!(event, LinkEvent::Bound { .. }), "{issued:?}: {event:?}");
        let other = Peer::start(Manners { certificate_for: "elsewhere.example", ..manners.clone() }).await;
        let old = Peer::start(Manners { expired: true, ..manners.clone() }).await;
        let stranger = Peer::start(manners).await;
        let settings = LinkSettings { ca_file: named.settings().ca_file, ..stranger.settings() };
        for (peer, settings, expected) in [
            (&other, other.settings(), CertificateFault::WrongName),
            (&old, old.settings(), CertificateFault::Expired),
            (&stranger, settings, CertificateFault::Untrusted),
        ] {
            let event = outcome(peer, settings).await;
            let LinkEvent::Failed(ConnectError::Certificate { fault, .. }) = event else {
                panic!("{issued:?} {event:?}")
            };
            // If the certificate is an authority itself, its issuer is not even checked.
            let is_told =
                fault == expected || (issued == Issued::AsAuthority && expected == CertificateFault::Untrusted);
            assert!(is_told, "{issued:?}: {fault:?} in place of {expected:?}");
        }
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let peer = peer().await;
    let settings = LinkSettings { ca_file: Some("/nowhere/ca.pem".into()), ..peer.settings() };
    let event = outcome(&peer, settings).await;
    assert!(matches!(event, LinkEvent::Failed(ConnectError::Trust(TrustError::CaFile { .. }))), "{event:?}");

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
async fn forged_carbons_are_refused_and_forged_roster_pushes_are_none() {
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
    let Incoming::Request(request) = incoming(&mut link).await else { panic!("it is a request") };
    assert_eq!(request.query, Query::Other);
}

#[tokio::test]
async fn a_request_of_unknown_kind_is_handed_up() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session.say("<iq xmlns='jabber:client' from='a@b/c' type='get' id='q1'><what xmlns='urn:example'/></iq>").await;
    let Incoming::Request(request) = incoming(&mut link).await else { panic!("a request was sent") };
    let Query::Foreign { is_set: false, payload } = request.query else { panic!("{:?}", request.query) };
    assert_eq!((request.id.as_str(), payload.namespace().as_str(), payload.name()), ("q1", "urn:example", "what"));
}

#[tokio::test]
async fn a_cut_connection_is_resumed_without_loss_and_not_at_once() {
    let peer = peer().await;
    let (mut link, session) = pair(&peer).await;
    let began = Instant::now();
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    link.send(message("said meanwhile"));
    assert!(matches!(link.next().await, LinkEvent::Trying));
    let (event, mut session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
    assert!(session.resumed);
    assert_eq!(beside(&mut link, session.hear_body()).await, "said meanwhile");
    assert!(began.elapsed() > Duration::from_millis(1500), "the second log-in came after {:?}", began.elapsed());
}

/// Stanzas in flight when the connection is lost are sent again automatically, once, before later ones.
#[tokio::test]
async fn what_the_server_had_not_taken_in_goes_again_after_a_resumption() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    link.send(message("one"));
    assert_eq!(beside(&mut link, session.hear_body()).await, "one");
    link.send(message("two"));
    link.send(message("three"));
    // The messages are written, but not read by the server.
    beside(&mut link, tokio::time::sleep(Duration::from_millis(50))).await;
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    link.send(message("four"));
    let (event, mut session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
    assert_eq!(beside(&mut link, session.bodies_until("four")).await, ["two", "three", "four"]);
}

/// A server that has lost the session but not its count gets only the stanzas that it has not handled.
#[tokio::test]
async fn what_a_forgetful_server_did_not_take_in_is_handed_up() {
    let cases = [(Memory::Count, vec!["two", "three"], 0), (Memory::None, vec!["one", "two", "three"], 2)];
    for (memory, expected, expected_doubtful) in cases {
        let peer = Peer::start(Manners { memory, ..Manners::default() }).await;
        let (mut link, mut session) = pair(&peer).await;
        link.send(message("one"));
        // The message is received but not acknowledged: the request follows it.
        assert_eq!(beside(&mut link, session.hear_body()).await, "one");
        link.send(message("two"));
        link.send(Outgoing::Presence(parlor_stanza::types::PresenceOut::default()));
        beside(&mut link, tokio::time::sleep(Duration::from_millis(50))).await;
        drop(session);
        assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
        link.send(Outgoing::Ask { to: None, id: "q".to_owned(), ask: parlor_stanza::types::Ask::Ping });
        link.send(message("three"));
        let (event, mut session) = again(&mut link, &peer).await;
        assert!(!session.resumed);
        let LinkEvent::Bound { again, doubtful, .. } = event else { panic!("{event:?}") };
        assert_eq!((bodies(&again), doubtful), (expected.into_iter().map(str::to_owned).collect(), expected_doubtful));
        // The session decides whether to send them; none is sent automatically.
        link.send(message("last"));
        assert_eq!(beside(&mut link, session.bodies_until("last")).await, ["last"]);
    }
}

#[tokio::test]
async fn a_server_that_resumes_and_miscounts_is_begun_anew_with() {
    let peer = Peer::start(Manners { memory: Memory::False, ..Manners::default() }).await;
    let (mut link, session) = pair(&peer).await;
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    link.send(message("kept"));
    let event = tokio::select! {
        event = next(&mut link) => event,
        () = async { loop { let _session = peer.accept().await; } } => unreachable!("accepting does not end"),
    };
    let LinkEvent::Bound { again, .. } = event else { panic!("{event:?}") };
    assert_eq!(bodies(&again), ["kept"]);
}

/// Prosody 0.12.3 does this if the session's first connection was lost within a stanza.
#[tokio::test]
async fn a_session_that_is_resumed_and_deaf_is_begun_anew_and_nothing_is_lost() {
    let peer = peer().await;
    let (mut link, session) = pair(&peer).await;
    link.send(message("kept"));
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    for _ in 0..DEAF {
        let (event, _session) = again(&mut link, &peer).await;
        assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
        // The server does not read, and time passes quickly.
        tokio::time::pause();
        let event = link.next().await;
        tokio::time::resume();
        assert!(matches!(event, LinkEvent::Suspended { why: Lost::TimedOut }), "{event:?}");
    }
    let serve = async {
        loop {
            let session = peer.accept().await.unwrap();
            if !session.resumed {
                return session;
            }
        }
    };
    let (event, mut session) = tokio::join!(next(&mut link), serve);
    let LinkEvent::Bound { again, .. } = event else { panic!("{event:?}") };
    assert_eq!(bodies(&again), ["kept"]);
    link.send(message("last"));
    assert_eq!(beside(&mut link, session.bodies_until("last")).await, ["last"]);
}

/// Prosody ends the stream as soon as the following data is invalid within the torn stanza.
#[tokio::test]
async fn a_session_that_is_resumed_within_a_torn_stanza_is_begun_anew_and_no_stanza_is_suspected() {
    let peer = peer().await;
    let (mut link, session) = pair(&peer).await;
    link.send(message("one"));
    link.send(message("two"));
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    let (event, mut session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
    session.say_raw("<a xmlns='urn:xmpp:sm:3' h='0'/>").await;
    let words = "<not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>";
    session.say_raw(&format!("<stream:error>{words}</stream:error>")).await;
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Suspended { why: Lost::Torn { .. } }), "{event:?}");
    drop(session);
    let (event, mut session) = again(&mut link, &peer).await;
    let LinkEvent::Bound { again: kept, .. } = event else { panic!("{event:?}") };
    assert_eq!(bodies(&kept), ["one", "two"]);
    assert!(link.sm.as_ref().unwrap().suspects().is_empty());
    // If something was acknowledged on this connection, a stanza of ours may be the cause.
    link.send(message("three"));
    drop(session);
    assert!(matches!(next(&mut link).await, LinkEvent::Suspended { .. }));
    (_, session) = again(&mut link, &peer).await;
    beside(&mut link, session.bodies_until("three")).await;
    session.say_raw("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    session.say_raw(&format!("<stream:error>{words}</stream:error>")).await;
    let event = next(&mut link).await;
    assert!(matches!(event, LinkEvent::Suspended { why: Lost::Stream { .. } }), "{event:?}");
}

#[tokio::test]
async fn a_server_that_talks_and_acknowledges_nothing_is_left() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    link.send(message("unheard"));
    beside(&mut link, session.hear_request_only()).await;
    tokio::time::pause();
    let began = Instant::now();
    let why = loop {
        session.say("<message xmlns='jabber:client' from='a@b/c'><body>hi</body></message>").await;
        match link.next().await {
            LinkEvent::Stanza(_) => tokio::time::advance(Duration::from_secs(10)).await,
            LinkEvent::Suspended { why } => break why,
            other => panic!("{other:?}"),
        }
    };
    tokio::time::resume();
    assert_eq!(why, Lost::Deaf);
    assert!(began.elapsed() <= ACK_LIMIT + RESPONSE_LIMIT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_acknowledges_what_was_never_sent_is_left() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session.say_raw("<a xmlns='urn:xmpp:sm:3' h='7'/>").await;
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Suspended { why: Lost::Miscounted }), "{event:?}");
    assert!(session.hear_error().await.contains("undefined-condition"));
    drop(session);
    let (event, session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Bound { .. }) && !session.resumed, "{event:?}");
}

#[tokio::test]
async fn a_server_that_goes_down_is_come_back_to() {
    let peer = Peer::start(Manners { resumption: false, ..Manners::default() }).await;
    let (mut link, session) = pair(&peer).await;
    let (event, ()) = tokio::join!(link.next(), session.goodbye());
    assert!(matches!(event, LinkEvent::Suspended { .. }), "{event:?}");
    let (event, _session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
}

/// Settings `ping_interval`.
#[tokio::test]
async fn a_silent_server_is_asked_and_left_when_it_does_not_answer() {
    for resumption in [true, false] {
        let peer = Peer::start(Manners { resumption, ..Manners::default() }).await;
        let settings = LinkSettings { ping_interval: Duration::from_millis(200), ..peer.settings() };
        let mut link = Link::start(settings);
        let (event, session) = tokio::join!(link.next(), peer.accept());
        assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
        let mut session = session.unwrap();
        // The server is asked with `<r/>` or with a ping, and answers it twice.
        for _ in 0..2 {
            let asked = beside(&mut link, session.hear_request()).await;
            assert_eq!(asked, if resumption { "r" } else { "ping" });
        }
        // From here on the server is silent, and time passes quickly.
        beside(&mut link, session.hear_request_only()).await;
        tokio::time::pause();
        let began = Instant::now();
        let event = link.next().await;
        tokio::time::resume();
        assert!(matches!(event, LinkEvent::Suspended { why: Lost::TimedOut }), "{event:?}");
        let silence = began.elapsed();
        assert!(silence <= RESPONSE_LIMIT + Duration::from_secs(2), "{silence:?}");
    }
}

/// Settings `csi_waiting_time`.
#[tokio::test]
async fn a_server_that_wants_to_know_hears_whether_anybody_looks() {
    let peer = Peer::start(Manners { client_state: true, ..Manners::default() }).await;
    let (mut link, mut session) = pair(&peer).await;
    link.set_state(ClientState::Inactive);
    link.set_state(ClientState::Inactive);
    beside(&mut link, session.hear_text("<inactive xmlns='urn:xmpp:csi:0'")).await;
    link.set_state(ClientState::Active);
    beside(&mut link, session.hear_text("<active xmlns='urn:xmpp:csi:0'")).await;
    link.set_state(ClientState::Inactive);
    beside(&mut link, session.hear_text("<inactive xmlns='urn:xmpp:csi:0'")).await;
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    let (event, mut session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
    // A resumed stream begins active.
    beside(&mut link, session.hear_text("<inactive xmlns='urn:xmpp:csi:0'")).await;
}

#[tokio::test]
async fn a_full_queue_says_when_there_is_room() {
    let peer = peer().await;
    let (mut link, session) = pair(&peer).await;
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    let mut sent = 0;
    while link.has_room() {
        link.send(message("x"));
        sent += 1;
    }
    assert_eq!(sent, QUEUE);
    assert!(matches!(link.next_or_room().await, Some(LinkEvent::Trying)));
    assert!(link.next_or_room().now_or_never().is_none());
    let (event, _session) = tokio::join!(link.next_or_room(), peer.accept());
    assert!(matches!(event, Some(LinkEvent::Resumed { .. })), "{event:?}");
    assert!(link.next_or_room().await.is_none());
    assert!(link.has_room());
}

#[tokio::test]
async fn a_closed_link_says_goodbye_and_leaves_no_task() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    for body in ["one", "two"] {
        session.say(&format!("<message xmlns='jabber:client'><body>{body}</body></message>")).await;
        assert!(matches!(next(&mut link).await, LinkEvent::Stanza { .. }));
    }
    let serve = async {
        assert!(session.hear().await.is_none());
        assert!(session.has_said("h='2'"), "the server is told what was taken in (XEP-0198, section 4)");
        session.goodbye().await;
    };
    tokio::join!(link.close(), serve);
    no_task_is_left().await;
}

#[tokio::test]
async fn a_dropped_link_leaves_no_task_wherever_it_was() {
    // Before anything is answered.
    let peer = peer().await;
    let link = Link::start(peer.settings());
    let socket = peer.accept_socket().await;
    drop(link);
    no_task_is_left().await;
    drop(socket);

    // Logged in, before the answer to the bind.
    let mut link = Link::start(peer.settings());
    let session = tokio::select! {
        event = link.next() => panic!("nothing was bound: {event:?}"),
        session = peer.accept_unbound() => session.unwrap(),
    };
    drop(link);
    no_task_is_left().await;
    drop(session);

    // Bound, with a server that does not answer the end of the stream.
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
    assert_eq!(closing(link).await, Duration::ZERO);
    no_task_is_left().await;

    let (link, _session) = pair(&peer).await;
    let took = closing(link).await;
    assert!(took < CLOSE_LIMIT + Duration::from_secs(1), "{took:?}");
    no_task_is_left().await;
}

/// Closes a link. Returns how long it waits, without the time that the machine takes.
async fn closing(link: Link) -> Duration {
    tokio::time::pause();
    let began = Instant::now();
    Box::pin(link.close()).await;
    let took = began.elapsed();
    tokio::time::resume();
    took
}

mod acks;
mod answers;
mod bound;
mod hostile;
mod passing;
mod patience;
mod places;
mod silence;
mod turns;
mod ways;
