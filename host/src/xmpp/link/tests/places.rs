//! Where a server is, as the DNS says (XEP-0368).

use super::*;
use crate::xmpp::srv::scripted;

const STARTTLS: &str = "_xmpp-client._tcp.localhost.";
const DIRECT: &str = "_xmpps-client._tcp.localhost.";

/// Settings of an account whose server only the DNS knows.
fn unnamed(peer: &Peer) -> LinkSettings {
    LinkSettings { server: None, tls: None, ..peer.settings() }
}

#[tokio::test]
async fn a_server_is_spoken_to_as_the_dns_says() {
    for (tls, service) in [(TlsMode::StartTls, STARTTLS), (TlsMode::Direct, DIRECT)] {
        let peer = Peer::start(Manners { tls, ..Manners::default() }).await;
        scripted::say(&[(service, 0, "127.0.0.1", peer.port())]);
        let event = outcome(&peer, unnamed(&peer)).await;
        assert!(matches!(event, LinkEvent::Bound { .. }), "{tls:?}: {event:?}");
    }
}

#[tokio::test]
async fn where_the_dns_is_wrong_about_direct_tls_it_begins_after_a_first_exchange() {
    let peer = peer().await;
    scripted::say(&[(DIRECT, 0, "127.0.0.1", peer.port()), (STARTTLS, 10, "127.0.0.1", peer.port())]);
    let event = outcome(&peer, unnamed(&peer)).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    // Who chose it gets no other.
    let settings = LinkSettings { tls: Some(TlsMode::Direct), ..unnamed(&peer) };
    let event = outcome(&peer, settings).await;
    assert!(matches!(event, LinkEvent::Retrying { .. }), "{event:?}");
}
