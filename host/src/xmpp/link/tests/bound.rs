//! Servers and those in between that would rather have a log-in unbound.

use std::collections::BTreeSet;

use xmpp_parsers::sasl_cb::Type;

use super::*;
use crate::config::{ChannelBinding, TransportChoice};
use crate::xmpp::pins::{Carrier, Pins};

/// How SCRAM's first message begins, in the base64 of the wire: `p=tls-exporter,,`, `n,,n=` and `y,,n=`.
const EXPORTER: &str = "cD10bHMtZXhwb3J0ZXIs";
const UNBOUND: &str = "biwsbj1i";
const STRIPPED: &str = "eSwsbj1i";

const BOTH: &[&str] = &["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];

fn pinned() -> Pins {
    Pins::of(BTreeSet::from([Carrier::Tcp]))
}

fn link(settings: LinkSettings, pins: &Pins) -> Link {
    Link::log_in(settings, LogIn { pins: pins.clone(), ..LogIn::default() })
}

/// The error of a log-in that has to fail.
async fn failure(peer: &Peer, settings: LinkSettings, pins: &Pins) -> ConnectError {
    let mut link = link(settings, pins);
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(session.is_none(), "nobody logs in");
    match event {
        LinkEvent::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

/// Somebody in between has struck the server's list of what it binds to (XEP-0440).
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

/// As ejabberd 23.01 does, which knows `tls-unique` alone and offers -PLUS even where there is none.
#[tokio::test]
async fn a_server_that_cannot_bind_as_it_offers_is_logged_in_to_unbound_and_asked_once() {
    let peer = Peer::start(Manners { mechanisms: BOTH, ..Manners::default() }).await;
    let pins = Pins::default();
    let mut link = link(peer.settings(), &pins);
    let both = async {
        assert!(peer.accept().await.is_none(), "it refuses what it does not know");
        peer.accept().await.unwrap()
    };
    let (event, session) = tokio::join!(link.next(), both);
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
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

/// RFC 5802, section 6: the server notices.
#[tokio::test]
async fn a_log_in_from_whose_offer_all_that_binds_was_struck_says_so() {
    let peer = Peer::start(Manners::default()).await;
    let mut link = Link::start(peer.settings());
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }) && session.unwrap().has_said(STRIPPED), "{event:?}");
}

#[tokio::test]
async fn after_a_bound_log_in_an_unbound_one_is_refused_before_anything_is_said() {
    let stripped = Peer::start(Manners { names_bindings: false, ..Manners::default() }).await;
    let error = failure(&stripped, stripped.settings(), &pinned()).await;
    assert!(matches!(error, ConnectError::NoChannelBinding { .. }) && !error.is_verdict(), "{error}");
    let said = error.to_string();
    assert!(said.contains("but earlier ones were") && said.contains("channel_binding = \"never\""), "{said}");
    // One that refuses the bound log-in does not get another.
    let refusing = Peer::start(Manners { mechanisms: BOTH, ..Manners::default() }).await;
    let error = failure(&refusing, refusing.settings(), &pinned()).await;
    assert!(matches!(error, ConnectError::NoChannelBinding { .. }), "{error}");
    // That is so from the first log-in where the owner requires it.
    let settings = LinkSettings { channel_binding: ChannelBinding::Required, ..stripped.settings() };
    let error = failure(&stripped, settings, &Pins::default()).await;
    assert!(error.to_string().contains("channel_binding = \"required\""), "{error}");
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
        assert_eq!(settings(transport, websocket, bosh).carrier(), carrier, "{transport:?} {websocket} {bosh}");
    }
}

/// XEP-0474: somebody has struck `SCRAM-SHA-512` from the list, and cannot change the server's word for it.
#[tokio::test]
async fn a_list_that_is_not_the_one_the_server_sent_ends_the_log_in() {
    // The SHA-256 of `SCRAM-SHA-256` and `SCRAM-SHA-512`, and what stands between them.
    let challenge = |said: String| format!("{said},h=EGS6a7qsI+lFBIsA4DHz+dHySk1RlZcZfXKDdpF+HpM=");
    let peer = Peer::start(Manners { mechanisms: &["SCRAM-SHA-256"], challenge, ..Manners::default() }).await;
    let error = failure(&peer, peer.settings(), &Pins::default()).await;
    assert_eq!(error, ConnectError::Downgraded { domain: "localhost".to_owned() });
    assert!(error.is_final() && !error.is_verdict(), "it may pass, once it has worked");
}
