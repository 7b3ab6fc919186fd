//! `timers`: waiting, and being woken (row 125 of `tests/conformance.toml`).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::test_host::{BARE, FULL, Plan};

/// Rows 125.
/// Events `timer`.
#[tokio::test(flavor = "multi_thread")]
async fn after_fires_once_and_only_for_who_set_it() {
    let host = Plan::offline().three().start().await;
    let overheard = host.listen(FULL, "timer").await;
    let began = Instant::now();
    let timer = host.order(BARE, "timers.after", json!({ "milliseconds": 50 })).await;
    host.answer(BARE, "timers.after", timer).await.ok();
    assert_eq!(host.heard(BARE, timer).await["name"], "timer");
    assert!(began.elapsed() >= Duration::from_millis(50));
    host.call(BARE, "timers.cancel", json!({ "order": timer })).await.fails("not-found");
    assert!(host.heard_so_far(BARE, timer).await.is_empty());
    assert!(host.heard_so_far(FULL, overheard).await.is_empty(), "somebody else's timer");
}

/// Rows 125.
#[tokio::test(flavor = "multi_thread")]
async fn every_fires_until_it_is_cancelled() {
    let host = Plan::offline().three().start().await;
    host.call(BARE, "timers.every", json!({ "milliseconds": 9 })).await.invalid("milliseconds");
    let timer = host.order(BARE, "timers.every", json!({ "milliseconds": 10 })).await;
    host.answer(BARE, "timers.every", timer).await.ok();
    for _ in 0..5 {
        host.heard(BARE, timer).await;
    }
    host.call(BARE, "timers.cancel", json!({ "order": timer })).await.ok();
    host.heard_so_far(BARE, timer).await;
    let other = host.order(BARE, "timers.after", json!({ "milliseconds": 60 })).await;
    host.answer(BARE, "timers.after", other).await.ok();
    host.heard(BARE, other).await;
    assert!(host.heard_so_far(BARE, timer).await.is_empty(), "it was cancelled");
}

/// Row 125.
#[tokio::test(flavor = "multi_thread")]
async fn cancelled_ones_do_not_fire() {
    let host = Plan::offline().three().start().await;
    let timer = host.order(BARE, "timers.after", json!({ "milliseconds": 3_600_000 })).await;
    host.answer(BARE, "timers.after", timer).await.ok();
    host.call(BARE, "timers.cancel", json!({ "order": timer })).await.ok();
    host.call(BARE, "timers.cancel", json!({ "order": timer })).await.fails("not-found");
}

/// Rows 125.
#[tokio::test(flavor = "multi_thread")]
async fn a_sleep_holds_up_nobody() {
    let host = Plan::offline().three().start().await;
    let began = Instant::now();
    let forever = host.order(BARE, "timers.sleep", json!({ "milliseconds": u64::MAX })).await;
    let mut sleeps = Vec::new();
    for _ in 0..10 {
        sleeps.push(host.order(BARE, "timers.sleep", json!({ "milliseconds": 200 })).await);
    }
    host.call(BARE, "user.bare-jid", json!(null)).await.ok();
    for n in sleeps {
        host.answer(BARE, "timers.sleep", n).await.ok();
    }
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(host.ears().nothing_from(BARE, forever));
    host.call(BARE, "timers.sleep", json!({ "milliseconds": 0 })).await.ok();
}
