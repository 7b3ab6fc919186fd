//! Tests of the turns that the log-ins of several accounts take.

use super::*;

/// Returns whether a link connects at once, behind so many log-ins to this server, after its settings were corrected.
async fn connects(crowd: u32, at: &str) -> bool {
    let (peer, turns) = (peer().await, LogInTurns::default());
    for _ in 0..crowd {
        turns.next(at, Instant::now());
    }
    let (before, after) = (peer.settings(), Duration::from_hours(1));
    let mut link = Link::log_in(before.clone(), LogIn { after, turns, ..LogIn::default() });
    // Settings that change before the link waits would not end its wait.
    tokio::time::sleep(Duration::from_millis(100)).await;
    link.follow(LinkSettings { keep_unsent: Duration::ZERO, ..before.clone() }, &before);
    tokio::time::timeout(Duration::from_secs(2), peer.accept_socket()).await.is_ok()
}

/// An owner may correct the settings of a group, and with them those of thousands of accounts that wait.
#[tokio::test]
async fn corrected_settings_are_tried_without_delay_but_in_turn() {
    assert!(connects(0, "localhost").await);
    assert!(!connects(6_000, "localhost").await);
}
