//! Connections that break under traffic: nothing is lost, and nothing comes twice.

use parlor_tests::endurance::{Plan, Transport, run};

/// Settings `auto_reconnect`, `websocket_url`.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_lose_nothing_and_double_nothing() {
    for transport in [Transport::StartTls, Transport::Direct, Transport::WebSocket] {
        let plan = Plan { cuts: 4, accounts: 2, transport, silence: false, seed: 7 };
        let report = run(plan, |_| ()).await.unwrap();
        assert!(report.is_good() && report.resumed > 0, "{report}");
    }
}
