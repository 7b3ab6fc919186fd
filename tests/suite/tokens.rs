//! `tokens`: those of a BOSH session (API rows 120 and 121).

use serde_json::{Value, json};

use crate::house::{FULL, Plan, refuses};

/// Rows 120-121.
/// Settings `expose_rid_and_sid`.
#[tokio::test(flavor = "multi_thread")]
async fn without_bosh_there_are_none_and_without_the_grant_nobody_is_told_that() {
    for exposed in [false, true] {
        let house = Plan::offline().set("expose_rid_and_sid", exposed).three().start().await;
        for name in ["rid", "sid"] {
            house.call(FULL, "tokens.get", json!({ "name": name })).await.is(Value::Null);
            refuses(&house, &[("tokens.get", json!({ "name": name }), "tokens.read", None)]).await;
        }
        for name in ["", "RID", "jid", "password", &"x".repeat(1 << 18)] {
            house.call(FULL, "tokens.get", json!({ "name": name })).await.invalid("name");
        }
    }
}
