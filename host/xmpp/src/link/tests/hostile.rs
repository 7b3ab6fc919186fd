//! Tests of attacks by a hostile server, or by a hostile peer behind an honest one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::SinkExt as _;
use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::silence::beginning;
use super::*;
use crate::dialer::{Connection, Dial};
use crate::peer::{Proves, Step};

const STREAM_ERRORS: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'";

async fn refused(manners: Manners) -> ConnectError {
    let peer = Peer::start(manners).await;
    match outcome(&peer, peer.settings()).await {
        LinkEvent::Failed(error) => error,
        other => panic!("the log-in was to fail: {other:?}"),
    }
}

#[tokio::test]
async fn a_server_has_to_prove_that_it_knows_the_password() {
    let forged =
        Manners { proof: |_| "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(), ..Manners::default() };
    let early = Manners { proves: Proves::Early, ..forged.clone() };
    let silent = Manners { proof: |_| String::new(), ..Manners::default() };
    let careless = Manners { proves: Proves::Never, ..Manners::default() };
    let nothing = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</success>".to_owned();
    let empty = Manners { says: Some((Step::Success, nothing)), ..Manners::default() };
    for manners in [forged, early, silent, careless, empty] {
        let error = refused(manners).await;
        assert!(matches!(error, ConnectError::ServerUnproven { .. }), "{error}");
    }
}

/// RFC 5802, section 7: a server may refuse a log-in in the place of its proof.
#[tokio::test]
async fn a_refusal_in_place_of_a_proof_says_why() {
    let refuses = |proof: fn(String) -> String, proves| refused(Manners { proof, proves, ..Manners::default() });
    for proves in [Proves::Early, Proves::AtTheEnd] {
        let error = refuses(|_| "e=invalid-proof".to_owned(), proves).await;
        assert!(matches!(error, ConnectError::NotAuthorized { .. }), "{error}");
        let error = refuses(|_| "e=channel-bindings-dont-match,x=y".to_owned(), proves).await;
        let said = error.to_string();
        assert!(error.is_verdict() && said.contains("channel-bindings-dont-match; "), "{said}");
    }
    let unknown = |_: String| "e=unknown-user".to_owned();
    let error = refused(Manners { challenge: unknown, ..Manners::default() }).await;
    assert!(matches!(error, ConnectError::NotAuthorized { .. }), "{error}");
}

#[tokio::test]
async fn a_proof_may_come_before_the_success() {
    let peer = Peer::start(Manners { proves: Proves::Early, ..Manners::default() }).await;
    pair(&peer).await;
}

#[tokio::test]
async fn a_challenge_that_is_weak_or_endless_is_refused_before_it_is_computed() {
    let began = Instant::now();
    for challenge in [
        (|text| text.replace("i=4096", "i=4000000000")) as fn(String) -> String,
        |text| text.replace("i=4096", "i=64"),
        |text| text.replace("i=4096", "i=4096,i=4000000000"),
        |text| text.replacen("r=", "r=A", 1),
        |text| format!("m=x,{text}"),
    ] {
        let error = refused(Manners { challenge, ..Manners::default() }).await;
        assert!(matches!(error, ConnectError::BadChallenge { .. }), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// Otherwise stanzas behind it would never be sent, and the account would be connected for moments only. The second
/// condition is RFC 3920's name for the first; the last one is in neither RFC.
#[tokio::test]
async fn a_stanza_over_which_the_server_ends_the_stream_is_sent_twice_and_not_for_ever() {
    join_all(["not-well-formed", "xml-not-well-formed", "too-much-poetry"].map(poisoned)).await;
}

/// Sends a message over which the server ends each stream with this condition.
async fn poisoned(condition: &str) {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    let end = stream_error(&format!("<{condition} $NS/>"));
    for (id, body) in [("1", "before"), ("2", "poison"), ("3", "after")] {
        let draft = Draft { body: Some(body.to_owned()), ..Draft::default() };
        let (to, kind) = (jid("friend@localhost"), MessageKind::Chat);
        link.send(Outgoing::Message { to, kind, id: id.to_owned(), draft, to_occupant: false });
    }
    assert_eq!(beside(&mut link, session.bodies_until("poison")).await, ["before", "poison"]);
    // At first, any of the three may be the cause; then they are sent one after the other.
    for (handed_up, last) in [(&["before", "poison", "after"][..], "poison"), (&["after"], "after")] {
        session.say_raw(&end).await;
        assert!(matches!(next(&mut link).await, LinkEvent::Suspended { .. }));
        let (event, new) = again(&mut link, &peer).await;
        session = new;
        let LinkEvent::Bound { again, .. } = event else { panic!("{event:?}") };
        assert_eq!(bodies(&again), handed_up);
        for stanza in again {
            link.send(Outgoing::Raw(stanza));
        }
        beside(&mut link, session.bodies_until(last)).await;
    }
}

#[tokio::test]
async fn a_stanza_that_the_library_would_drop_is_heard() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session.say_raw("<iq type='error' id='q1' from='a@b'/>").await;
    let Incoming::Answer(answer) = incoming(&mut link).await else { panic!("an answer was sent") };
    assert_eq!((answer.id.as_str(), answer.outcome.unwrap_err().condition.as_str()), ("q1", "undefined-condition"));
    session.say_raw("<iq type='get' id='q2' from='a@b'>what?</iq>").await;
    let Incoming::Request(request) = incoming(&mut link).await else { panic!("a request was sent") };
    assert_eq!((request.id.as_str(), request.query), ("q2", Query::Malformed));
    for (id, kind) in [("q3", "set"), ("q4", "odd")] {
        session.say_raw(&format!("<iq type='{kind}' id='{id}' from='a@b'><a xmlns='u:a'/><b xmlns='u:b'/></iq>")).await;
        let Incoming::Request(request) = incoming(&mut link).await else { panic!("a request was sent") };
        assert_eq!((request.id.as_str(), request.query), (id, Query::Malformed));
    }
    session.say_raw("<message from='a@b' type='odd'>stray<body>one</body></message>").await;
    let Incoming::Message(message) = incoming(&mut link).await else { panic!("a message was sent") };
    assert_eq!(message.body.as_deref(), Some("one"));
    assert_eq!(beside(&mut link, session.ask_what_was_taken_in()).await, 5, "each counts once (XEP-0198, section 4)");
}

/// A server, or a module of it, may send elements of its own. They do not count as stanzas.
#[tokio::test]
async fn an_element_that_is_not_known_is_skipped() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    for foreign in
        ["<x xmlns='urn:x'><body>no</body></x>", "<x/>", "<iq xmlns='jabber:server' type='get' id='1'><x/></iq>"]
    {
        session.say_raw(foreign).await;
    }
    session.say_raw("<message from='a@b'><body>one</body></message>").await;
    let Incoming::Message(message) = incoming(&mut link).await else { panic!("a message was sent") };
    assert_eq!(message.body.as_deref(), Some("one"));
    assert_eq!(beside(&mut link, session.ask_what_was_taken_in()).await, 1);
}

#[tokio::test]
async fn a_long_message_comes_whole() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    let body = "y".repeat(1_000_000);
    let said = format!("<message from='a@b'><body>{body}</body></message>");
    let (incoming, ()) = tokio::join!(incoming(&mut link), session.say_raw(&said));
    let Incoming::Message(message) = incoming else { panic!("a message was sent") };
    assert!(message.body.as_deref() == Some(&body), "it was changed on the way");
}

#[tokio::test]
async fn bombs_are_left_out_and_the_stream_goes_on() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    let in_message = |bomb: &str| format!("<message from='m@evil'>{bomb}<body>beside it</body></message>");
    // A server writes 40,000 elements like this if their parent has declared the namespace.
    let many = format!("<x xmlns='urn:x'>{}</x>", format!("<a xmlns='{}'/>", "u".repeat(254)).repeat(40_000));
    assert!(many.len() > 10 << 20);
    let bombs = [
        in_message(&format!("{}{}", "<x>".repeat(50_000), "</x>".repeat(50_000))),
        in_message(&many),
        format!("<message from='m@evil' id='{}'><body>beside it</body></message>", "y".repeat(9000)),
        // A client shows the first text.
        in_message(&format!("<body>{}</body>", "y".repeat(11 << 20))),
    ];
    for (bomb, body) in bombs.iter().zip([Some("beside it"), Some("beside it"), Some("beside it"), None]) {
        let (said, ()) = tokio::join!(incoming(&mut link), session.say_raw(bomb));
        let Incoming::Message(message) = said else { panic!("a message was sent") };
        assert_eq!(message.body.as_deref(), body);
        assert!(message.cut.is_some(), "{message:?}");
    }
    let presence = format!("<presence from='m@evil'>{many}<show>dnd</show></presence>");
    let (said, ()) = tokio::join!(incoming(&mut link), session.say_raw(&presence));
    assert!(matches!(said, Incoming::Presence(presence) if presence.show.is_some()));
    let long_sender = format!("<message from='{}@evil'><body>from nobody</body></message>", "y".repeat(9000));
    for nobody in
        ["<message from='@@'><body>from nobody</body></message>", "<presence from='m@evil' type='odd'/>", &long_sender]
    {
        session.say_raw(nobody).await;
        session.say_raw("<message from='a@b'><body>still here</body></message>").await;
        let Incoming::Message(message) = incoming(&mut link).await else { panic!("a message was sent") };
        assert_eq!((message.body.as_deref(), message.cut.as_deref()), (Some("still here"), None));
    }
    // The stream counted them all, so the server does not have to send them again.
    assert_eq!(beside(&mut link, session.ask_what_was_taken_in()).await, 11);
}

#[tokio::test]
async fn half_a_stanza_and_then_nothing_is_silence_and_the_session_goes_on() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    beside(&mut link, session.say_raw("<message from='friend@localhost/x'><body>ha")).await;
    tokio::time::pause();
    let began = Instant::now();
    let event = link.next().await;
    tokio::time::resume();
    assert!(matches!(event, LinkEvent::Suspended { why: Lost::TimedOut }), "{event:?}");
    let silence = began.elapsed();
    assert!(silence <= peer.settings().ping_interval + RESPONSE_LIMIT + Duration::from_secs(2), "{silence:?}");
    drop(session);
    let (event, session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }) && session.resumed, "{event:?}");
}

/// Asserts that the next session is a new one.
async fn comes_back_anew(peer: &Peer, link: &mut Link) {
    let (event, session) = again(link, peer).await;
    assert!(matches!(event, LinkEvent::Bound { .. }) && !session.resumed, "{event:?}");
}

#[tokio::test]
async fn xml_that_cannot_be_read_is_not_resumed_into() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session.say_raw("<message from='a@b'><body>&nbsp;</body></message>").await;
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Suspended { why: Lost::Unreadable }), "{event:?}");
    assert_eq!(session.hear_error().await, "not-well-formed");
    drop(session);
    comes_back_anew(&peer, &mut link).await;
}

#[tokio::test]
async fn a_lost_connection_says_why() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session.say_raw(&format!("<stream:error><system-shutdown {STREAM_ERRORS}/></stream:error></stream:stream>")).await;
    let LinkEvent::Suspended { why } = link.next().await else { panic!("the stream was ended") };
    assert_eq!(why, Lost::Stream { condition: "system-shutdown".to_owned(), text: None, elsewhere: None });
    drop(session);

    let (event, session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    let (event, ()) = tokio::join!(link.next(), session.goodbye());
    assert!(matches!(event, LinkEvent::Suspended { why: Lost::Closed }), "{event:?}");

    let (_, session) = again(&mut link, &peer).await;
    drop(session);
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Suspended { why: Lost::Cut { .. } }), "{event:?}");
}

/// RFC 6120, section 4.4.
#[tokio::test]
async fn a_stream_that_the_server_closes_is_closed_here_too() {
    let error = format!("<stream:error><system-shutdown {STREAM_ERRORS}/></stream:error></stream:stream>");
    for said in ["</stream:stream>", &error] {
        let peer = peer().await;
        let (mut link, mut session) = pair(&peer).await;
        session.say_raw(said).await;
        let event = link.next().await;
        assert!(matches!(event, LinkEvent::Suspended { .. }), "{event:?}");
        assert!(session.hear_goodbye().await, "{said}");
    }
}

#[tokio::test]
async fn a_second_conflict_within_a_minute_is_the_end() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    let conflict = format!("<stream:error><conflict {STREAM_ERRORS}/></stream:error></stream:stream>");
    session.say_raw(&conflict).await;
    let event = link.next().await;
    assert!(matches!(&event, LinkEvent::Suspended { why } if why.is_conflict()), "{event:?}");
    drop(session);
    let (event, mut session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    session.say_raw(&conflict).await;
    let LinkEvent::Failed(error) = link.next().await else { panic!("the account was to fail") };
    assert!(matches!(&error, ConnectError::Conflict { jid } if jid.as_str() == "bot@localhost/here"), "{error}");
    assert!(matches!(link.next().await, LinkEvent::Closed));
    no_task_is_left().await;
}

/// If a server handles a bind late, after a newer attempt was bound, it throws that one out.
#[tokio::test]
async fn an_attempt_that_nobody_answered_is_no_other_client() {
    let peer = Peer::start(Manners { thinks: Some(Step::Resume), ..Manners::default() }).await;
    let mut link = beginning(&peer, Step::Resume).await;
    tokio::select! {
        event = next(&mut link) => panic!("{event:?}"),
        _ = peer.accept() => panic!("the server did not think"),
        () = peer.thinks() => {}
    }
    let event = next(&mut link).await;
    assert!(matches!(event, LinkEvent::Retrying { why: ConnectError::HungUp, .. }), "{event:?}");
    peer.go_on();
    // New settings skip the backoff, which this test cannot wait for.
    link.follow(LinkSettings { keep_unsent: Duration::from_secs(9), ..peer.settings() }, &peer.settings());
    let (event, mut session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Resumed { doubtful: true }), "{event:?}");
    let conflict = format!("<stream:error><conflict {STREAM_ERRORS}/></stream:error></stream:stream>");
    for _ in 0..2 {
        session.say_raw(&conflict).await;
        let event = next(&mut link).await;
        assert!(matches!(&event, LinkEvent::Suspended { why } if why.is_conflict()), "{event:?}");
        session = again(&mut link, &peer).await.1;
    }
    session.say_raw(&conflict).await;
    let event = next(&mut link).await;
    assert!(matches!(&event, LinkEvent::Failed(ConnectError::Conflict { .. })), "{event:?}");
}

/// A server assigns no session before it is requested.
#[tokio::test]
async fn an_attempt_that_broke_before_it_asked_for_a_session_excuses_no_conflict() {
    join_all([Step::SecureHeader, Step::Success, Step::LastHeader].map(broken_at)).await;
}

/// Breaks an attempt at this step, and then throws out the two that follow.
async fn broken_at(step: Step) {
    let peer = Peer::start(Manners { thinks: Some(step), ..Manners::default() }).await;
    let mut link = beginning(&peer, step).await;
    tokio::select! {
        event = next(&mut link) => panic!("{step:?}: {event:?}"),
        _ = peer.accept() => panic!("{step:?}: the server did not think"),
        () = peer.thinks() => {}
    }
    let event = next(&mut link).await;
    assert!(matches!(event, LinkEvent::Retrying { .. }), "{step:?}: {event:?}");
    peer.go_on();
    // New settings skip the backoff, which this test cannot wait for.
    link.follow(LinkSettings { keep_unsent: Duration::from_secs(9), ..peer.settings() }, &peer.settings());
    let (event, mut session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{step:?}: {event:?}");
    let conflict = format!("<stream:error><conflict {STREAM_ERRORS}/></stream:error></stream:stream>");
    session.say_raw(&conflict).await;
    let event = next(&mut link).await;
    assert!(matches!(&event, LinkEvent::Suspended { why } if why.is_conflict()), "{step:?}: {event:?}");
    peer.go_on();
    session = again(&mut link, &peer).await.1;
    session.say_raw(&conflict).await;
    let event = next(&mut link).await;
    assert!(matches!(&event, LinkEvent::Failed(ConnectError::Conflict { .. })), "{step:?}: {event:?}");
}

fn stream_error(inside: &str) -> String {
    format!("<stream:error>{inside}</stream:error></stream:stream>").replace("$NS", STREAM_ERRORS)
}

#[tokio::test]
async fn an_account_that_is_thrown_out_stays_out_and_says_why() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session.say_raw(&stream_error("<not-authorized $NS/><text $NS>Account deleted</text>")).await;
    let LinkEvent::Failed(error) = link.next().await else { panic!("the account was to fail") };
    assert!(error.is_final() && error.to_string().contains("Account deleted"), "{error}");
    assert!(matches!(link.next().await, LinkEvent::Closed));
    no_task_is_left().await;
}

#[tokio::test]
async fn where_a_server_sends_us_is_followed_once_and_with_the_same_checks() {
    // A redirect to another server of the same domain, with an equally valid certificate.
    let first = peer().await;
    let second = first.twin().await;
    let (mut link, mut session) = pair(&first).await;
    let place = second.place();
    session.say_raw(&stream_error(&format!("<see-other-host $NS>{place}</see-other-host>"))).await;
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Suspended { .. }), "{event:?}");
    let (event, mut session) = again(&mut link, &second).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    // The second server redirects in turn, so the first one is tried again.
    session.say_raw(&stream_error(&format!("<see-other-host $NS>{place}</see-other-host>"))).await;
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    let (event, _session) = again(&mut link, &first).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");

    // A redirect to a server that cannot prove that it serves this domain.
    let (first, stranger) = (peer().await, peer().await);
    let (mut link, mut session) = pair(&first).await;
    session.say_raw(&stream_error(&format!("<see-other-host $NS>{}</see-other-host>", stranger.place()))).await;
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    let event = tokio::select! {
        event = next(&mut link) => event,
        _ = stranger.accept() => next(&mut link).await,
    };
    assert!(matches!(event, LinkEvent::Retrying { why: ConnectError::Certificate { .. }, .. }), "{event:?}");
    // The first server is still available.
    let (event, _session) = again(&mut link, &first).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
}

/// Settings `websocket_url`, `bosh_service_url`.
#[tokio::test]
async fn a_portal_in_the_place_of_a_server_of_the_web_is_named_and_tried_again() {
    let peer = peer().await;
    let port = peer.settings().server.unwrap().port.unwrap();
    let websocket = Some(format!("wss://localhost:{port}/ws").parse().unwrap());
    let bosh = Some(format!("https://localhost:{port}/http-bind").parse().unwrap());
    for (settings, said) in [
        (LinkSettings { websocket, ..peer.settings() }, ["it answers 200 OK", "websocket_url"]),
        (LinkSettings { bosh, ..peer.settings() }, ["it answers with a web page", "bosh_service_url"]),
    ] {
        let mut link = Link::start(settings);
        let (event, ()) = tokio::join!(link.next(), peer.answer_like_a_portal());
        let LinkEvent::Retrying { why, .. } = event else { panic!("{event:?}") };
        assert!(said.iter().all(|said| why.to_string().contains(said)), "{why}");
    }
}

/// RFC 7395, section 3.6.1, as Tigase sends it in clusters; RFC 6455, section 7.4.
#[tokio::test]
async fn a_server_that_closes_a_websocket_is_understood() {
    let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>".to_owned();
    let moved = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing' see-other-uri='wss://b.example/ws'/>".to_owned();
    let busy = Message::Close(Some(CloseFrame { code: CloseCode::Again, reason: "too many".into() }));
    let elsewhere = ["wss://b.example/ws", "websocket_url"];
    for (said, expected) in [
        (vec![Message::text(format!("{open}{moved}"))], elsewhere),
        (vec![Message::text(open.clone()), Message::text(moved.clone())], elsewhere),
        (vec![Message::text(moved)], elsewhere),
        (vec![Message::text(open), busy], ["1013", "too many"]),
    ] {
        let peer = peer().await;
        let mut link = Link::start(peer.over_websocket());
        let serve = async {
            let mut socket = peer.accept_websocket().await;
            for message in said {
                socket.send(message).await.unwrap();
            }
            socket
        };
        let (event, _socket) = tokio::join!(link.next(), serve);
        let LinkEvent::Retrying { why, .. } = event else { panic!("{event:?}") };
        assert!(expected.iter().all(|expected| why.to_string().contains(expected)), "{why}");
    }
}

/// RFC 6120, section 4.9.3.
const CONDITIONS: [&str; 25] = [
    "bad-format",
    "bad-namespace-prefix",
    "conflict",
    "connection-timeout",
    "host-gone",
    "host-unknown",
    "improper-addressing",
    "internal-server-error",
    "invalid-from",
    "invalid-namespace",
    "invalid-xml",
    "not-authorized",
    "not-well-formed",
    "policy-violation",
    "remote-connection-failed",
    "reset",
    "resource-constraint",
    "restricted-xml",
    "see-other-host",
    "system-shutdown",
    "undefined-condition",
    "unsupported-encoding",
    "unsupported-feature",
    "unsupported-stanza-type",
    "unsupported-version",
];

#[tokio::test]
async fn each_stream_error_says_what_to_do_and_only_one_is_the_end_at_once() {
    let peer = peer().await;
    for condition in CONDITIONS {
        let (mut link, mut session) = pair(&peer).await;
        session
            .say_raw(&stream_error(&format!("<{condition} $NS>localhost</{condition}><text $NS>so be it</text>")))
            .await;
        match (condition, link.next().await) {
            ("not-authorized", LinkEvent::Failed(error @ ConnectError::Revoked { .. })) => {
                assert!(error.to_string().contains("check its password"), "{error}");
            }
            (_, LinkEvent::Suspended { why }) => {
                let sentence = why.to_string();
                let (what, remedy) = sentence.split_once("; ").unwrap();
                assert_eq!(what, format!("the server ended the stream: {condition} (so be it)"));
                assert!(remedy.len() > 20, "{sentence}");
                assert!(!why.may_resume());
            }
            (_, event) => panic!("{condition}: {event:?}"),
        }
    }
}

/// The errors arrive before encryption, in place of the features or of the answer to STARTTLS. The last two conditions
/// are RFC 3920's name for a renamed one, and an unknown one. Nothing is authenticated by then, so none of the errors
/// is a verdict.
#[tokio::test]
async fn each_stream_error_before_tls_says_what_to_do_as_well() {
    const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                          from='localhost' id='one' version='1.0'>";
    const OFFER: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
    let peer = peer().await;
    for condition in CONDITIONS.into_iter().chain(["xml-not-well-formed", "too-much-poetry"]) {
        for offer in ["", OFFER] {
            let mut link = Link::start(peer.settings());
            let error = format!("<{condition} $NS>localhost</{condition}><text $NS>so be it</text>");
            let said = format!("{HEADER}{offer}{}", stream_error(&error));
            let serve = async {
                let mut socket = peer.accept_socket().await;
                socket.write_all(said.as_bytes()).await.unwrap();
                socket
            };
            // The socket is held, so that no data is lost.
            let (event, _socket) = tokio::join!(link.next(), serve);
            match (condition, event) {
                ("host-unknown" | "host-gone", LinkEvent::Failed(error @ ConnectError::HostUnknown { .. })) => {
                    assert!(!error.is_verdict(), "{error}");
                }
                // The other server is tried at once.
                ("see-other-host", LinkEvent::Trying) => {}
                (_, LinkEvent::Retrying { after, why: why @ ConnectError::Stream { .. } }) => {
                    let sentence = why.to_string();
                    let (what, remedy) = sentence.split_once("; ").unwrap();
                    let condition = condition.strip_prefix("xml-").unwrap_or(condition);
                    assert_eq!(what, format!("the server ended the stream: {condition} (so be it)"));
                    assert!(remedy.len() > 20, "{sentence}");
                    let had_enough = matches!(condition, "policy-violation" | "resource-constraint");
                    assert_eq!(after >= Duration::from_secs(30), had_enough, "{sentence}: {after:?}");
                }
                (_, event) => panic!("{condition}: {event:?}"),
            }
        }
    }
}

/// A connection that panics over some bytes, as a bug in their parser would.
struct Fragile(DuplexStream);

impl AsyncRead for Fragile {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, buf));
        assert!(
            !String::from_utf8_lossy(&buf.filled()[before..]).contains("panic in the sieve"),
            "the test asked for it"
        );
        Poll::Ready(read)
    }
}

impl AsyncWrite for Fragile {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Opens such connections, and hands the server's end of each to the test.
#[derive(Debug)]
struct Pipes(mpsc::UnboundedSender<DuplexStream>);

impl Dial for Pipes {
    fn dial(&self) -> Result<Box<dyn Connection>, ConnectError> {
        let (near, far) = tokio::io::duplex(16 << 10);
        self.0.send(far).expect("the test waits for it");
        Ok(Box::new(Fragile(near)))
    }

    fn draw(&self) -> f64 {
        0.0
    }
}

/// A peer may find a bug in the parser of its stanza. The server sends unacknowledged stanzas again.
#[tokio::test]
async fn a_panic_over_a_stanza_costs_that_stanza_and_not_the_account() {
    let peer = Peer::start(Manners { resumption: true, ..Manners::default() }).await;
    let (opens, mut opened) = mpsc::unbounded_channel();
    let log_in = LogIn { dialer: Dialer::Through(Arc::new(Pipes(opens))), ..LogIn::default() };
    let mut link = Link::log_in(peer.settings(), log_in);
    link.decode = |stanza, own, now| {
        assert!(!format!("{stanza:?}").contains("panic in decode"), "the test asked for it");
        arrived(stanza, own, now)
    };
    let mut serve = async || peer.accept_on(opened.recv().await.unwrap()).await.unwrap();
    let (event, mut session) = tokio::join!(link.next(), serve());
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    let said = |body: &str| format!("<message from='m@evil/x' to='bot@localhost'><body>{body}</body></message>");
    let body = |incoming| match incoming {
        Incoming::Message(message) => message.body,
        other => panic!("{other:?}"),
    };
    session.say_raw(&said("panic in decode")).await;
    session.say_raw(&said("next")).await;
    assert_eq!(body(incoming(&mut link).await).as_deref(), Some("next"));
    session.say_raw(&said("panic in the sieve")).await;
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Suspended { why: Lost::Bug }), "{event:?}");
    link.send(message("kept"));
    let (event, mut session) = tokio::join!(next(&mut link), serve());
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
    assert_eq!(beside(&mut link, session.ask_what_was_taken_in()).await, 3);
    session.say_raw(&said("last")).await;
    assert_eq!(body(incoming(&mut link).await).as_deref(), Some("last"));
}

#[tokio::test]
async fn an_offer_to_compress_is_not_taken() {
    let peer = Peer::start(Manners { compression: true, ..Manners::default() }).await;
    let (mut link, mut session) = pair(&peer).await;
    link.send(message("as it is"));
    assert_eq!(beside(&mut link, session.bodies_until("as it is")).await, ["as it is"]);
    assert!(!session.has_said("compress"));
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_named_and_final() {
    let peer = Peer::start(Manners { expired: true, ..Manners::default() }).await;
    let event = outcome(&peer, peer.settings()).await;
    let LinkEvent::Failed(error @ ConnectError::Certificate { fault: CertificateFault::Expired, .. }) = event else {
        panic!("{event:?}")
    };
    assert_eq!(error.to_string(), "the certificate of localhost has expired; renew it on the server");
}
