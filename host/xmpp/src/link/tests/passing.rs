//! Tests of temporary failures to log in after an earlier success.

use super::*;

/// Creates a link that was connected and has lost its connection.
async fn cut(peer: &Peer) -> Link {
    let (mut link, session) = pair(peer).await;
    drop(session);
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Suspended { .. }), "{event:?}");
    link
}

/// Returns the error of the next log-in, which must not be final.
async fn hindrance(link: &mut Link, peer: &Peer) -> ConnectError {
    let event = tokio::select! {
        event = next(link) => event,
        _ = peer.accept() => next(link).await,
    };
    let LinkEvent::Retrying { why, .. } = event else { panic!("{event:?}") };
    why
}

#[tokio::test]
async fn a_password_that_is_gone_for_a_moment_is_waited_for() {
    let peer = peer().await;
    let PasswordSource::File(path) = peer.settings().password else { panic!("it is in a file") };
    let mut link = cut(&peer).await;
    std::fs::remove_file(&path).unwrap();
    let why = hindrance(&mut link, &peer).await;
    assert!(matches!(why, ConnectError::Password(_)), "{why}");
    std::fs::write(&path, "secret\n").unwrap();
    let (event, _session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
}

#[tokio::test]
async fn a_certificate_that_is_no_good_for_a_while_is_waited_out() {
    let (good, expired) = tokio::join!(peer(), Peer::start(Manners { expired: true, ..Manners::default() }));
    let stranger = Peer::start(Manners { certificate_for: "elsewhere.example", ..Manners::default() }).await;
    let mut link = cut(&good).await;
    let mut before = good.settings();
    for (other, fault) in [(&expired, CertificateFault::Expired), (&stranger, CertificateFault::WrongName)] {
        link.follow(other.settings(), &before);
        before = other.settings();
        let why = hindrance(&mut link, other).await;
        assert_eq!(why, ConnectError::Certificate { domain: "localhost".to_owned(), fault });
    }
    link.follow(good.settings(), &before);
    let (event, _session) = again(&mut link, &good).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
}

#[tokio::test]
async fn a_server_without_tls_or_an_acceptable_way_in_is_waited_for() {
    let good = peer().await;
    let bare = Peer::start(Manners { starttls: false, ..Manners::default() }).await;
    let odd = Peer::start(Manners { mechanisms: &["DIGEST-MD5"], ..Manners::default() }).await;
    let mut link = cut(&good).await;
    link.follow(bare.settings(), &good.settings());
    assert!(matches!(hindrance(&mut link, &bare).await, ConnectError::NoTls { .. }));
    link.follow(odd.settings(), &bare.settings());
    assert!(matches!(hindrance(&mut link, &odd).await, ConnectError::NoMechanism { .. }));
    link.follow(good.settings(), &odd.settings());
    let (event, _session) = again(&mut link, &good).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
}

/// A retry could make the server lock the account.
#[tokio::test]
async fn a_password_that_the_server_refuses_is_the_end_also_after_it_worked() {
    let (good, changed) = tokio::join!(peer(), Peer::start(Manners { password: "another", ..Manners::default() }));
    let mut link = cut(&good).await;
    link.follow(changed.settings(), &good.settings());
    let event = tokio::select! {
        event = next(&mut link) => event,
        _ = changed.accept() => next(&mut link).await,
    };
    assert!(matches!(event, LinkEvent::Failed(ConnectError::NotAuthorized { .. })), "{event:?}");
}
