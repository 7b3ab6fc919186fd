//! `tokens`: the tokens of a BOSH session (rows 120 and 121 of `tests/conformance.toml`).

use parlor_tests::transport::Transport;
use serde_json::{Value, json};

use crate::test_host::{FULL, Plan, refuses};

/// Rows 120-121.
/// Settings `expose_rid_and_sid`.
#[tokio::test(flavor = "multi_thread")]
async fn without_bosh_there_are_none_and_without_the_grant_nobody_is_told_that() {
    for exposed in [false, true] {
        let host = Plan::offline().set("expose_rid_and_sid", exposed).three().start().await;
        for name in ["rid", "sid"] {
            host.call(FULL, "tokens.get", json!({ "name": name })).await.is(Value::Null);
            refuses(&host, &[("tokens.get", json!({ "name": name }), "tokens.read", None)]).await;
        }
        for name in ["", "RID", "jid", "password", &"x".repeat(1 << 18)] {
            host.call(FULL, "tokens.get", json!({ "name": name })).await.invalid("name");
        }
    }
}

/// Rows 120-121.
/// Settings `bosh_service_url`, `expose_rid_and_sid`.
#[tokio::test(flavor = "multi_thread")]
async fn those_of_a_bosh_session_come_to_whom_the_owner_exposes_them() {
    let token = |name: &str| json!({ "name": name });
    let host = Plan::new().await.over(Transport::Bosh).await.set("expose_rid_and_sid", true).three().start().await;
    let sid = host.call(FULL, "tokens.get", token("sid")).await.ok();
    assert!(sid.as_str().is_some_and(|sid| !sid.is_empty()), "{sid}");
    let rid =
        async || -> u64 { host.call(FULL, "tokens.get", token("rid")).await.ok().as_str().unwrap().parse().unwrap() };
    let before = rid().await;
    // Each IQ takes at least one request.
    let ping = "<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    host.call(FULL, "api.send-iq", json!({ "iq": ping })).await.ok();
    assert!(rid().await > before);
    for name in ["rid", "sid"] {
        refuses(&host, &[("tokens.get", token(name), "tokens.read", None)]).await;
    }
    host.call(FULL, "connection.disconnect", Value::Null).await.ok();
    for name in ["rid", "sid"] {
        host.call(FULL, "tokens.get", token(name)).await.is(Value::Null);
    }
    let host = Plan::new().await.over(Transport::Bosh).await.three().start().await;
    host.call(FULL, "connection.connected", Value::Null).await.is(true);
    for name in ["rid", "sid"] {
        host.call(FULL, "tokens.get", token(name)).await.is(Value::Null);
    }
}
