//! `connection`: whether the account is connected, and disconnecting it (rows 51 and 52 of `tests/conformance.toml`).

use serde_json::Value;

use crate::test_host::{BARE, FULL, Plan, refuses};

/// Rows 51, 52.
/// Events `disconnected`.
#[tokio::test(flavor = "multi_thread")]
async fn connected_is_true_until_somebody_who_may_disconnects() {
    let host = Plan::new().await.three().start().await;
    host.call(BARE, "connection.connected", Value::Null).await.is(true);
    let events = (host.listen(BARE, "disconnected").await, host.listen(BARE, "connected").await);
    refuses(&host, &[("connection.disconnect", Value::Null, "session.control", None)]).await;
    host.call(BARE, "connection.connected", Value::Null).await.is(true);
    host.call(FULL, "connection.disconnect", Value::Null).await.ok();
    host.call(BARE, "connection.connected", Value::Null).await.is(false);
    assert_eq!(host.heard(BARE, events.0).await["payload"], "none");
    assert!(host.heard_so_far(BARE, events.1).await.is_empty(), "nobody connects again");
    host.call(FULL, "user.login", Value::Null).await.ok();
    assert_eq!(host.heard(BARE, events.1).await["payload"], "none");
    host.call(BARE, "connection.connected", Value::Null).await.is(true);
}

/// Rows 51.
#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_log_in_it_is_false() {
    let host = Plan::offline().three().start().await;
    host.call(BARE, "connection.connected", Value::Null).await.is(false);
}
