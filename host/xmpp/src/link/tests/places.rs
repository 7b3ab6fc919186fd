//! Tests of the server's address: from DNS (XEP-0368), and from a server that names a host for resumption (XEP-0198).

use std::sync::Arc;

use tokio::net::TcpListener;

use super::*;
use crate::mock_server::dns::ScriptedDns;

const STARTTLS: &str = "_xmpp-client._tcp.localhost.";
const DIRECT: &str = "_xmpps-client._tcp.localhost.";

/// Returns the settings of an account whose server is found only through DNS.
fn unnamed(peer: &Peer) -> LinkSettings {
    LinkSettings { server: None, tls: None, ..peer.settings() }
}

/// Returns the parameters of a log-in for which DNS has these records and no others.
fn dns(records: &[(&str, u16, &str, u16)]) -> LogIn {
    LogIn { dialer: Dialer::Resolving(Arc::new(ScriptedDns::of(records))), ..LogIn::default() }
}

#[tokio::test]
async fn a_server_is_spoken_to_as_the_dns_says() {
    for (tls, service) in [(TlsMode::StartTls, STARTTLS), (TlsMode::Direct, DIRECT)] {
        let peer = Peer::start(Manners { tls, ..Manners::default() }).await;
        let log_in = dns(&[(service, 0, "127.0.0.1", peer.port())]);
        let event = outcome_of(&peer, Link::log_in(unnamed(&peer), log_in)).await;
        assert!(matches!(event, LinkEvent::Bound { .. }), "{tls:?}: {event:?}");
    }
}

#[tokio::test]
async fn where_the_dns_is_wrong_about_direct_tls_it_begins_after_a_first_exchange() {
    let peer = peer().await;
    let records = [(DIRECT, 0, "127.0.0.1", peer.port()), (STARTTLS, 10, "127.0.0.1", peer.port())];
    let event = outcome_of(&peer, Link::log_in(unnamed(&peer), dns(&records))).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    // If the owner chose direct TLS, STARTTLS is not tried.
    let settings = LinkSettings { tls: Some(TlsMode::Direct), ..unnamed(&peer) };
    let event = outcome_of(&peer, Link::log_in(settings, dns(&records))).await;
    assert!(matches!(event, LinkEvent::Retrying { .. }), "{event:?}");
}

/// A load balancer without a working server accepts every connection.
#[tokio::test]
async fn a_server_that_takes_a_connection_and_hangs_up_leaves_the_next_attempt_to_the_others() {
    let peer = peer().await;
    let (one, other) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let [first, second] = [&one, &other].map(|listener| listener.local_addr().unwrap().port());
    let settings = unnamed(&peer);
    let log_in = dns(&[
        (STARTTLS, 0, "127.0.0.1", first),
        (STARTTLS, 10, "127.0.0.1", second),
        (STARTTLS, 20, "127.0.0.1", peer.port()),
    ]);
    let mut link = Link::log_in(settings.clone(), log_in);
    let hang_up = async |listener: &TcpListener| loop {
        drop(listener.accept().await);
    };
    let mut nobody = Box::pin(async { tokio::join!(hang_up(&one), hang_up(&other)) });
    let mut served = Box::pin(peer.accept());
    for failures in 1..=2 {
        let event = tokio::select! {
            event = next(&mut link) => event,
            _ = &mut nobody => unreachable!("hanging up does not end"),
        };
        assert!(matches!(event, LinkEvent::Retrying { .. }), "{event:?}");
        // New settings skip the backoff, which this test cannot wait for.
        link.follow(LinkSettings { keep_unsent: Duration::from_secs(failures), ..settings.clone() }, &settings);
    }
    let mut session = None;
    let event = loop {
        tokio::select! {
            event = next(&mut link) => break event,
            served = &mut served, if session.is_none() => session = Some(served),
            _ = &mut nobody => unreachable!("hanging up does not end"),
        }
    };
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
}

/// A link whose server has named another host for resuming the session.
struct Clustered {
    base: Peer,
    /// The named host.
    node: Peer,
    /// The server where the session began.
    first: Peer,
    link: Link,
    session: Option<Session>,
}

async fn clustered() -> Clustered {
    let base = peer().await;
    let node = base.twin().await;
    let first = base.twin().await.with_location(node.place());
    let mut link = Link::log_in(unnamed(&base), dns(&[(STARTTLS, 0, "127.0.0.1", first.port())]));
    let (event, session) = tokio::join!(link.next(), first.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    Clustered { base, node, first, link, session }
}

#[tokio::test]
async fn a_session_is_asked_for_where_its_server_said_and_if_it_is_not_there_the_usual_way() {
    let Clustered { base: _base, node, first, mut link, session } = clustered().await;
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    let (event, session) = again(&mut link, &node).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
    drop((session, node));
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    let (event, _session) = again(&mut link, &first).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "nobody waits, and nobody hears of it: {event:?}");
}

#[tokio::test]
async fn a_session_that_a_former_process_left_is_asked_for_where_its_server_said() {
    let Clustered { base, node, first, link, session } = clustered().await;
    let left = link.leave().await.expect("nothing is under way");
    drop(session);
    let mut link =
        Link::log_in(unnamed(&base), LogIn { left: Some(left), ..dns(&[(STARTTLS, 0, "127.0.0.1", first.port())]) });
    let (event, _session) = again(&mut link, &node).await;
    assert!(matches!(event, LinkEvent::Bound { taken_up: true, .. }), "{event:?}");
}

#[tokio::test]
async fn whoever_names_the_server_knows_better_where_a_session_is_asked_for() {
    let base = peer().await;
    let (node, first) = (base.twin().await, base.twin().await);
    let first = first.with_location(node.place());
    let mut link = Link::start(LinkSettings { server: first.settings().server, ..base.settings() });
    let (event, session) = tokio::join!(link.next(), first.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    let (event, _session) = again(&mut link, &first).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
}
