//! Tests of the turns that the log-ins of several accounts take.

use super::*;

/// Returns whether a link connects at once, behind so many log-ins to the server that it names, or to its domain, after its settings were
/// corrected.
async fn connects(crowd: u32, at_the_server: bool) -> bool {
    let (peer, turns) = (peer().await, LogInTurns::default());
    let named = peer.settings().server.unwrap().to_string();
    for _ in 0..crowd {
        turns.next(if at_the_server { &named } else { "localhost" }, Instant::now());
    }
    let (before, after) = (peer.settings(), Duration::from_hours(1));
    let mut link = Link::log_in(before.clone(), LogIn { after, turns, ..LogIn::default() });
    // Settings that change before the link waits would not end its wait. With a paused clock, time passes only once the link waits.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::resume();
    link.follow(LinkSettings { keep_unsent: Duration::ZERO, ..before.clone() }, &before);
    tokio::time::timeout(Duration::from_secs(2), peer.accept_socket()).await.is_ok()
}

/// An owner may correct the settings of a group, and with them those of thousands of accounts that wait.
#[tokio::test]
async fn corrected_settings_are_tried_without_delay_but_in_turn() {
    assert!(connects(0, true).await);
    assert!(!connects(6_000, true).await);
}

/// A hoster may have hundreds of domains on one server, with few accounts each.
#[tokio::test]
async fn turns_are_those_of_the_server_that_is_named_and_not_of_the_domain() {
    assert!(connects(6_000, false).await);
}
