//! What a hostile server, or a hostile peer behind an honest one, may try.

use super::*;
use crate::xmpp::peer::Proves;

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
    for manners in [forged, early, silent, careless] {
        let error = refused(manners).await;
        assert!(matches!(error, ConnectError::ServerUnproven { .. }), "{error}");
    }
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
