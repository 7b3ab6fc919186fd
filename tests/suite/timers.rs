//! `timers`: waiting, and being woken (row 125 of `tests/conformance.toml`).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::house::{BARE, FULL, Plan};

/// Rows 125.
/// Events `timer`.
#[tokio::test(flavor = "multi_thread")]
async fn after_fires_once_and_only_for_who_set_it() {
    let house = Plan::offline().three().start().await;
    let overheard = house.listen(FULL, "timer").await;
    let began = Instant::now();
    let timer = house.order(BARE, "timers.after", json!({ "milliseconds": 50 })).await;
    house.answer(BARE, "timers.after", timer).await.ok();
    assert_eq!(house.heard(BARE, timer).await["name"], "timer");
    assert!(began.elapsed() >= Duration::from_millis(50));
    house.call(BARE, "timers.cancel", json!({ "order": timer })).await.fails("not-found");
    assert!(house.heard_so_far(BARE, timer).await.is_empty());
    assert!(house.heard_so_far(FULL, overheard).await.is_empty(), "somebody else's timer");
}

/// Rows 125.
#[tokio::test(flavor = "multi_thread")]
async fn every_fires_until_it_is_cancelled() {
    let house = Plan::offline().three().start().await;
    house.call(BARE, "timers.every", json!({ "milliseconds": 9 })).await.invalid("milliseconds");
    let timer = house.order(BARE, "timers.every", json!({ "milliseconds": 10 })).await;
    house.answer(BARE, "timers.every", timer).await.ok();
    for _ in 0..5 {
        house.heard(BARE, timer).await;
    }
    house.call(BARE, "timers.cancel", json!({ "order": timer })).await.ok();
    house.heard_so_far(BARE, timer).await;
    let other = house.order(BARE, "timers.after", json!({ "milliseconds": 60 })).await;
    house.answer(BARE, "timers.after", other).await.ok();
    house.heard(BARE, other).await;
    assert!(house.heard_so_far(BARE, timer).await.is_empty(), "it was cancelled");
}

/// Row 125.
#[tokio::test(flavor = "multi_thread")]
async fn cancelled_ones_do_not_fire() {
    let house = Plan::offline().three().start().await;
    let timer = house.order(BARE, "timers.after", json!({ "milliseconds": 3_600_000 })).await;
    house.answer(BARE, "timers.after", timer).await.ok();
    house.call(BARE, "timers.cancel", json!({ "order": timer })).await.ok();
    house.call(BARE, "timers.cancel", json!({ "order": timer })).await.fails("not-found");
}

/// Rows 125.
#[tokio::test(flavor = "multi_thread")]
async fn a_sleep_holds_up_nobody() {
    let house = Plan::offline().three().start().await;
    let began = Instant::now();
    let forever = house.order(BARE, "timers.sleep", json!({ "milliseconds": u64::MAX })).await;
    let mut sleeps = Vec::new();
    for _ in 0..10 {
        sleeps.push(house.order(BARE, "timers.sleep", json!({ "milliseconds": 200 })).await);
    }
    house.call(BARE, "user.bare-jid", json!(null)).await.ok();
    for n in sleeps {
        house.answer(BARE, "timers.sleep", n).await.ok();
    }
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(house.ears().nothing_from(BARE, forever));
    house.call(BARE, "timers.sleep", json!({ "milliseconds": 0 })).await.ok();
}
