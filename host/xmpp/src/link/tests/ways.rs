//! Tests of logging in with channel binding, with a certificate (XEP-0178), or anonymously (XEP-0175).

use parlor_config::Way;
use xmpp_parsers::sasl_cb::Type;

use super::*;
use crate::peer::{Proves, Step};

/// The server computes the channel-binding data itself (RFC 9266; RFC 5929, section 4).
#[tokio::test]
async fn a_log_in_is_bound_to_the_connection_or_to_the_servers_certificate() {
    // The base64 of the two gs2 headers, `p=tls-exporter,,` and `p=tls-server-end-point,,`.
    for (kind, said) in
        [(Type::TlsExporter, "cD10bHMtZXhwb3J0ZXIs"), (Type::TlsServerEndPoint, "cD10bHMtc2VydmVyLWVuZC1wb2ludCws")]
    {
        let mechanisms = &["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
        let peer = Peer::start(Manners { mechanisms, binds: Some(kind), ..Manners::default() }).await;
        let (_link, session) = pair(&peer).await;
        assert!(session.has_said("SCRAM-SHA-256-PLUS") && session.has_said(said));
    }
}

/// RFC 6120, section 6.4.6: zero-length data is written as a single sign.
#[tokio::test]
async fn a_server_may_spell_out_that_it_says_nothing() {
    let cases: [(&'static [&'static str], Step, &str); 4] = [
        (&["PLAIN"], Step::Success, "success"),
        (&["ANONYMOUS"], Step::Success, "success"),
        (&["EXTERNAL"], Step::Success, "success"),
        (&["EXTERNAL"], Step::Challenge, "challenge"),
    ];
    for (mechanisms, step, name) in cases {
        let said = format!("<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</{name}>");
        let manners = Manners { mechanisms, proves: Proves::Never, says: Some((step, said)), ..Manners::default() };
        let peer = Peer::start(manners).await;
        let settings = match mechanisms {
            ["EXTERNAL"] => peer.with_certificate(),
            ["ANONYMOUS"] => LinkSettings { jid: jid("localhost"), way: Way::Anonymous, ..peer.settings() },
            _ => LinkSettings { allow_plain: true, ..peer.settings() },
        };
        let mut link = Link::start(settings);
        let (event, _session) = tokio::join!(link.next(), peer.accept());
        assert!(matches!(event, LinkEvent::Bound { .. }), "{mechanisms:?} {name}: {event:?}");
    }
}

/// RFC 4422, section 5: the first message has said everything.
#[tokio::test]
async fn a_server_that_asks_for_the_same_again_and_again_is_left() {
    let says = Some((Step::Challenge, "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned()));
    let manners = Manners { mechanisms: &["EXTERNAL"], proves: Proves::Never, says, asks: 2, ..Manners::default() };
    let peer = Peer::start(manners).await;
    let event = outcome(&peer, peer.with_certificate()).await;
    let LinkEvent::Retrying { why: why @ ConnectError::NotXmpp { .. }, .. } = event else { panic!("{event:?}") };
    assert!(why.to_string().contains("its log-in goes another way"), "{why}");
}

async fn external(proves: Proves) -> Peer {
    Peer::start(Manners { mechanisms: &["EXTERNAL", "SCRAM-SHA-256", "PLAIN"], proves, ..Manners::default() }).await
}

#[tokio::test]
async fn a_certificate_says_who_it_is_and_whom_it_speaks_for() {
    let peer = external(Proves::Never).await;
    let mut link = Link::start(peer.with_certificate());
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(&event, LinkEvent::Bound { jid, .. } if jid.as_str() == "bot@localhost/here"), "{event:?}");
    let session = session.unwrap();
    // The base64 text is bot@localhost.
    assert!(session.has_said("EXTERNAL") && session.has_said("Ym90QGxvY2FsaG9zdA=="));
}

#[tokio::test]
async fn who_has_a_certificate_never_falls_back_to_anything_else() {
    let without = peer().await;
    let event = outcome(&without, without.with_certificate()).await;
    let LinkEvent::Failed(error @ ConnectError::NoMechanism { plain_is_offered: false, .. }) = event else {
        panic!("{event:?}")
    };
    assert!(error.to_string().contains("EXTERNAL"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_refused_or_unusable_is_final_and_named() {
    let peer = external(Proves::Refuses).await;
    let event = outcome(&peer, peer.with_certificate()).await;
    assert!(matches!(event, LinkEvent::Failed(ConnectError::CertificateRefused { .. })), "{event:?}");

    let Way::Certificate { chain, key } = peer.with_certificate().way else { panic!("it has one") };
    let nowhere = std::path::PathBuf::from("/nowhere/key.pem");
    for (chain, key, named) in [
        (chain.clone(), nowhere.clone(), nowhere.clone()),
        (nowhere.clone(), key.clone(), nowhere.clone()),
        // A key in place of the certificate, and the other way round.
        (key.clone(), key.clone(), key.clone()),
        (chain.clone(), chain.clone(), chain.clone()),
    ] {
        let event = outcome(&peer, LinkSettings { way: Way::Certificate { chain, key }, ..peer.settings() }).await;
        let LinkEvent::Failed(ConnectError::OwnCertificate { path, .. }) = event else { panic!("{event:?}") };
        assert_eq!(path, named);
    }
}

#[tokio::test]
async fn nobody_in_particular_is_whom_the_server_says() {
    let mechanisms = &["ANONYMOUS"];
    let peer = Peer::start(Manners { mechanisms, proves: Proves::Never, ..Manners::default() }).await;
    let settings = LinkSettings { jid: jid("localhost"), way: Way::Anonymous, ..peer.settings() };
    let mut link = Link::start(settings.clone());
    let (event, session) = tokio::join!(link.next(), peer.accept());
    let LinkEvent::Bound { jid, .. } = event else { panic!("{event:?}") };
    assert_eq!(jid.to_bare().as_str(), "bot@localhost");
    assert!(session.unwrap().has_said(">=</auth>"));
    drop(link);
    let without = super::peer().await;
    let event = outcome(
        &without,
        LinkSettings { server: without.settings().server, ca_file: without.settings().ca_file, ..settings },
    )
    .await;
    let LinkEvent::Failed(error @ ConnectError::NoMechanism { .. }) = event else { panic!("{event:?}") };
    assert!(error.to_string().contains("ANONYMOUS is needed"), "{error}");
}
