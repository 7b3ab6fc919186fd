//! `connection`: whether the account is connected, and disconnecting it (rows 51 and 52 of `tests/conformance.toml`).

use serde_json::Value;

use crate::house::{BARE, FULL, Plan, refuses};

/// Rows 51, 52.
/// Events `disconnected`.
#[tokio::test(flavor = "multi_thread")]
async fn connected_is_true_until_somebody_who_may_disconnects() {
    let house = Plan::new().await.three().start().await;
    house.call(BARE, "connection.connected", Value::Null).await.is(true);
    let events = (house.listen(BARE, "disconnected").await, house.listen(BARE, "connected").await);
    refuses(&house, &[("connection.disconnect", Value::Null, "session.control", None)]).await;
    house.call(BARE, "connection.connected", Value::Null).await.is(true);
    house.call(FULL, "connection.disconnect", Value::Null).await.ok();
    house.call(BARE, "connection.connected", Value::Null).await.is(false);
    assert_eq!(house.heard(BARE, events.0).await["payload"], "none");
    assert!(house.heard_so_far(BARE, events.1).await.is_empty(), "nobody connects again");
    house.call(FULL, "user.login", Value::Null).await.ok();
    assert_eq!(house.heard(BARE, events.1).await["payload"], "none");
    house.call(BARE, "connection.connected", Value::Null).await.is(true);
}

/// Rows 51.
#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_log_in_it_is_false() {
    let house = Plan::offline().three().start().await;
    house.call(BARE, "connection.connected", Value::Null).await.is(false);
}
