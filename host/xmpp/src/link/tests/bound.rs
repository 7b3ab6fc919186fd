//! Tests of servers, and of attackers in between, that try to get an unbound log-in.

use std::collections::BTreeSet;

use futures_util::SinkExt as _;
use parlor_config::{ChannelBinding, TransportChoice};
use tokio_tungstenite::tungstenite::Message;
use xmpp_parsers::sasl_cb::Type;

use super::*;
use crate::peer::Proves;
use crate::pins::{Carrier, Pins};

/// The beginnings of SCRAM's first message in base64: `p=tls-exporter,,`, `n,,n=` and `y,,n=`.
const EXPORTER: &str = "cD10bHMtZXhwb3J0ZXIs";
const UNBOUND: &str = "biwsbj1i";
const STRIPPED: &str = "eSwsbj1i";

const BOTH: &[&str] = &["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];

/// ejabberd's answer to the flag `y` on a connection whose TLS ends elsewhere.
const INVALID_BINDING: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>Invalid channel binding</text></failure>";
/// Prosody's answer to the flag `y` if it offers channel binding.
const MALFORMED: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><malformed-request/></failure>";
/// A server's answer if the password has expired.
const EXPIRED: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><credentials-expired/></failure>";

fn pinned() -> Pins {
    Pins::of(BTreeSet::from([Carrier::Tcp]))
}

fn link(settings: LinkSettings, pins: &Pins) -> Link {
    Link::log_in(settings, LogIn { pins: pins.clone(), ..LogIn::default() })
}

/// Returns the error of a log-in that must fail.
async fn failure(peer: &Peer, settings: LinkSettings, pins: &Pins) -> ConnectError {
    let mut link = link(settings, pins);
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(session.is_none(), "nobody logs in");
    match event {
        LinkEvent::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

/// Returns the session of a link whose first log-in is refused for this reason, and whose second one succeeds.
async fn second_success(peer: &Peer, link: &mut Link, refused: &str) -> Session {
    let both = async {
        assert!(peer.accept().await.is_none(), "{refused}");
        peer.accept().await.unwrap()
    };
    let (event, session) = tokio::join!(link.next(), both);
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    session
}

/// Somebody in between has removed the server's list of binding types (XEP-0440).
#[tokio::test]
async fn a_log_in_is_bound_although_nobody_says_to_what() {
    let manners =
        Manners { mechanisms: BOTH, binds: Some(Type::TlsExporter), names_bindings: false, ..Manners::default() };
    let peer = Peer::start(manners).await;
    let pins = Pins::default();
    let mut link = link(peer.settings(), &pins);
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    assert!(session.unwrap().has_said(EXPORTER));
    assert_eq!(pins.known(), BTreeSet::from([Carrier::Tcp]), "the next one has to be");
}

/// ejabberd 23.01 behaves like this: it supports only `tls-unique`, and offers -PLUS even if the connection has none.
#[tokio::test]
async fn a_server_that_cannot_bind_as_it_offers_is_logged_in_to_unbound_and_asked_once() {
    let peer = Peer::start(Manners { mechanisms: BOTH, ..Manners::default() }).await;
    let pins = Pins::default();
    let mut link = link(peer.settings(), &pins);
    let session = second_success(&peer, &mut link, "it refuses what it does not know").await;
    assert!(session.has_said(UNBOUND) && pins.known().is_empty());
    drop(session);
    let back = async {
        loop {
            if let LinkEvent::Resumed { .. } | LinkEvent::Bound { .. } = link.next().await {
                return;
            }
        }
    };
    let ((), session) = tokio::join!(back, peer.accept());
    assert!(session.is_some_and(|session| session.has_said(UNBOUND)), "it is not asked again");
}

/// RFC 5802, section 6: the flag lets the server notice.
#[tokio::test]
async fn a_log_in_from_whose_offer_all_that_binds_was_struck_says_so() {
    let peer = Peer::start(Manners::default()).await;
    let mut link = Link::start(peer.settings());
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }) && session.unwrap().has_said(STRIPPED), "{event:?}");
}

/// Returns the session of a log-in that must succeed.
async fn success(peer: &Peer, pins: &Pins) -> (Link, Session) {
    let mut link = link(peer.settings(), pins);
    let (event, session) = tokio::join!(next(&mut link), peer.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    (link, session.unwrap())
}

/// ejabberd behaves like this from 24.02 on, over WebSocket and behind a proxy that ends TLS (its issue 4322).
#[tokio::test]
async fn a_server_that_refuses_to_hear_of_binding_is_logged_in_to_without_a_word_of_it() {
    let refuses = Some(("y,,", INVALID_BINDING));
    let peer = Peer::start(Manners { refuses, ..Manners::default() }).await;
    let pins = Pins::default();
    let mut link = link(peer.settings(), &pins);
    let session = second_success(&peer, &mut link, "it refuses the flag").await;
    assert!(session.has_said(UNBOUND) && pins.known().is_empty());
    drop((link, session));
    // The process remembers it for the account, and not only for that link.
    let (link, session) = success(&peer, &pins).await;
    assert!(session.has_said(UNBOUND), "it does not hear the flag again");
    drop((link, session));
    let guessing = Peer::start(Manners {
        mechanisms: BOTH,
        binds: Some(Type::TlsExporter),
        names_bindings: false,
        ..Manners::default()
    });
    let (_link, session) = success(&guessing.await, &pins).await;
    assert!(session.has_said(EXPORTER), "what it refused has nothing to do with a binding that it offers");
}

#[tokio::test]
async fn a_refused_guess_is_remembered_for_the_account_and_the_flag_is_still_said() {
    let peer = Peer::start(Manners { mechanisms: BOTH, ..Manners::default() }).await;
    let pins = Pins::default();
    let mut first = link(peer.settings(), &pins);
    let session = second_success(&peer, &mut first, "it refuses the guess").await;
    drop((first, session));
    let (link, session) = success(&peer, &pins).await;
    assert!(session.has_said(UNBOUND), "it is not asked again");
    drop((link, session));
    let other = Peer::start(Manners::default()).await;
    let (_link, session) = success(&other, &pins).await;
    assert!(session.has_said(STRIPPED));
}

/// An attacker who relays a bound log-in cannot relay the connection that it is bound to.
#[tokio::test]
async fn a_bound_log_in_that_is_refused_as_such_is_no_verdict_on_a_pinned_account() {
    for (binds, failure_said) in [(Type::TlsExporter, INVALID_BINDING), (Type::TlsServerEndPoint, MALFORMED)] {
        let manners = Manners { mechanisms: BOTH, binds: Some(binds), ..Manners::default() };
        let peer = Peer::start(Manners { refuses: Some(("p=", failure_said)), ..manners }).await;
        let error = failure(&peer, peer.settings(), &pinned()).await;
        assert!(matches!(error, ConnectError::NoChannelBinding { .. }) && !error.is_verdict(), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("the server refused the bound log-in: ") && said.contains("but earlier ones were"),
            "{said}"
        );
    }
    // Faults of the account itself are still reported as such, and so is a wrong password.
    let named = Manners { mechanisms: BOTH, binds: Some(Type::TlsExporter), ..Manners::default() };
    let peer = Peer::start(Manners { refuses: Some(("p=", EXPIRED)), ..named.clone() }).await;
    let error = failure(&peer, peer.settings(), &pinned()).await;
    assert!(matches!(error, ConnectError::LoginRefused { .. }), "{error}");
    let peer = Peer::start(Manners { password: "other", ..named }).await;
    let error = failure(&peer, peer.settings(), &pinned()).await;
    assert!(matches!(error, ConnectError::NotAuthorized { .. }), "{error}");
}

/// A wrong password is no reason to log in unbound after it is corrected.
#[tokio::test]
async fn a_refusal_is_remembered_only_if_the_server_takes_the_log_in_without() {
    let wrong = Peer::start(Manners { mechanisms: BOTH, password: "other", ..Manners::default() }).await;
    let pins = Pins::default();
    let mut refused = link(wrong.settings(), &pins);
    let both = async {
        for _ in 0..2 {
            assert!(wrong.accept().await.is_none(), "bound, and unbound");
        }
    };
    let (event, ()) = tokio::join!(refused.next(), both);
    assert!(matches!(event, LinkEvent::Failed(ConnectError::NotAuthorized { .. })), "{event:?}");
    let manners =
        Manners { mechanisms: BOTH, binds: Some(Type::TlsExporter), names_bindings: false, ..Manners::default() };
    let (_link, session) = success(&Peer::start(manners).await, &pins).await;
    assert!(session.has_said(EXPORTER));
}

#[tokio::test]
async fn the_flag_is_not_taken_back_over_a_password_and_not_where_it_was_noticed() {
    let wrong = Peer::start(Manners { proves: Proves::Refuses, ..Manners::default() }).await;
    let error = failure(&wrong, wrong.settings(), &Pins::default()).await;
    assert!(matches!(error, ConnectError::NotAuthorized { .. }), "one wrong password is enough: {error}");
    let noticing = Peer::start(Manners { refuses: Some(("y,,", MALFORMED)), ..Manners::default() }).await;
    let error = failure(&noticing, noticing.settings(), &Pins::default()).await;
    assert!(error.to_string().contains("malformed-request"), "{error}");
    let within = |_: String| "e=server-does-support-channel-binding".to_owned();
    let noticing = Peer::start(Manners { challenge: within, ..Manners::default() }).await;
    let error = failure(&noticing, noticing.settings(), &Pins::default()).await;
    assert!(error.to_string().contains("server-does-support-channel-binding"), "{error}");
}

#[tokio::test]
async fn after_a_bound_log_in_an_unbound_one_is_refused_before_anything_is_said() {
    let stripped = Peer::start(Manners { names_bindings: false, ..Manners::default() }).await;
    let error = failure(&stripped, stripped.settings(), &pinned()).await;
    assert!(matches!(error, ConnectError::NoChannelBinding { .. }) && !error.is_verdict(), "{error}");
    let said = error.to_string();
    assert!(said.contains("but earlier ones were") && said.contains("channel_binding = \"never\""), "{said}");
    // A server that refuses the bound log-in does not get an unbound one.
    let refusing = Peer::start(Manners { mechanisms: BOTH, ..Manners::default() }).await;
    let error = failure(&refusing, refusing.settings(), &pinned()).await;
    assert!(matches!(error, ConnectError::NoChannelBinding { .. }), "{error}");
    // If the owner requires binding, this applies from the first log-in.
    let settings = LinkSettings { channel_binding: ChannelBinding::Required, ..stripped.settings() };
    let error = failure(&stripped, settings, &Pins::default()).await;
    let said = error.to_string();
    assert!(
        said.contains("channel_binding = \"required\"") && said.contains("set channel_binding = \"auto\""),
        "{said}"
    );
}

#[tokio::test]
async fn an_owner_who_wants_nothing_bound_is_logged_in_and_it_is_forgotten() {
    let peer = Peer::start(Manners::default()).await;
    let pins = pinned();
    let mut link = link(LinkSettings { channel_binding: ChannelBinding::Never, ..peer.settings() }, &pins);
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }) && session.unwrap().has_said(UNBOUND), "{event:?}");
    assert!(pins.known().is_empty());
}

/// BOSH is the owner's choice, and has no connection to bind to.
#[tokio::test]
async fn what_the_owner_chose_decides_what_counts_as_before() {
    use TransportChoice::{Auto, Bosh, Tcp, WebSocket};
    let usual = peer().await.settings();
    let settings = |transport, websocket: bool, bosh: bool| LinkSettings {
        transport,
        websocket: websocket.then(|| "wss://house/ws".parse().unwrap()),
        bosh: bosh.then(|| "https://house/bosh".parse().unwrap()),
        ..usual.clone()
    };
    for (transport, websocket, bosh, carrier) in [
        (Auto, false, false, Some(Carrier::Tcp)),
        (Tcp, false, false, Some(Carrier::Tcp)),
        (Auto, true, false, Some(Carrier::WebSocket)),
        (Auto, true, true, Some(Carrier::WebSocket)),
        (WebSocket, false, false, Some(Carrier::WebSocket)),
        (Auto, false, true, None),
        (Bosh, true, true, None),
        (Bosh, false, false, None),
    ] {
        assert_eq!(Carrier::of(&settings(transport, websocket, bosh)), carrier, "{transport:?} {websocket} {bosh}");
    }
}

/// Logs in over WebSocket to a server that redirects to another one, which is reached over TCP.
async fn sent_on(manners: Manners, pins: &Pins) -> LinkEvent {
    let web = Peer::start(manners).await;
    let other = web.twin().await;
    let mut link = link(web.over_websocket(), pins);
    let serve = async {
        let mut socket = web.accept_websocket().await;
        let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>".to_owned();
        let error = format!(
            "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>\
             <see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{}</see-other-host></stream:error>",
            other.place()
        );
        for said in [open, error] {
            socket.send(Message::text(said)).await.unwrap();
        }
        (other.accept().await, socket)
    };
    tokio::join!(next(&mut link), serve).0
}

#[tokio::test]
async fn a_pin_is_set_for_the_carrier_that_was_used() {
    let pins = Pins::default();
    let manners = Manners { mechanisms: BOTH, binds: Some(Type::TlsExporter), ..Manners::default() };
    let event = sent_on(manners, &pins).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    assert_eq!(pins.known(), BTreeSet::from([Carrier::Tcp]));
}

#[tokio::test]
async fn a_server_that_sends_us_elsewhere_does_not_send_us_past_a_pin() {
    for carrier in Carrier::ALL {
        let event = sent_on(Manners::default(), &Pins::of(BTreeSet::from([carrier]))).await;
        let LinkEvent::Retrying { why, .. } = event else { panic!("{carrier:?}: {event:?}") };
        assert!(matches!(why, ConnectError::NoChannelBinding { .. }), "{carrier:?}: {why}");
    }
}

/// XEP-0474: somebody has removed `SCRAM-SHA-512` from the list, but cannot change the hash that the server sends.
#[tokio::test]
async fn a_list_that_is_not_the_one_the_server_sent_ends_the_log_in() {
    // The SHA-256 hash of `SCRAM-SHA-256` and `SCRAM-SHA-512` with the separator between them.
    let challenge = |said: String| format!("{said},h=EGS6a7qsI+lFBIsA4DHz+dHySk1RlZcZfXKDdpF+HpM=");
    let peer = Peer::start(Manners { mechanisms: &["SCRAM-SHA-256"], challenge, ..Manners::default() }).await;
    let error = failure(&peer, peer.settings(), &Pins::default()).await;
    assert_eq!(error, ConnectError::Downgraded { domain: "localhost".to_owned() });
    assert!(error.is_final() && !error.is_verdict(), "it may pass, once it has worked");
}
