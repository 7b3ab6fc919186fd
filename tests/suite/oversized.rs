//! Stanzas over a limit, over each transport. A server computes for minutes on them, so it is a server of their own. Tests
//! begin in the order of their names: these do not come last, when nothing else would be left for the other cores.

use parlor_tests::transport::Transport;
use serde_json::{Value, json};

use crate::test_host::{FULL, Plan, client_on, software};

/// Rules oversized.
/// A server repeats a namespace declaration on each element inside, so this stanza of 234 KiB becomes one of more than
/// 10 MiB. If it ended the stream, it would come again on the next one.
#[tokio::test(flavor = "multi_thread")]
async fn no_stanza_that_a_server_makes_larger_ends_the_stream() {
    let bomb = format!("<x xmlns='urn:x' xmlns:p='{}'>{}</x>", "u".repeat(254), "<p:a/>".repeat(40_000));
    assert!(bomb.len() < 240 << 10);
    let server = software().start().await.unwrap();
    for transport in Transport::ALL {
        let host = Plan::on(&server).over_to(&server, transport).await.three().start().await;
        let (heard, lost) = (host.listen(FULL, "message").await, host.listen(FULL, "will-reconnect").await);
        let disconnected = host.listen(FULL, "disconnected").await;
        let stranger = client_on(&server, &server.fresh_account("stranger").unwrap()).await;
        let to = host.account().jid.clone();
        let full = host.call(FULL, "user.jid", Value::Null).await.ok();
        let full = full.as_str().unwrap();
        let said = [
            format!("<message to='{to}' type='chat'>{bomb}<body>beside it</body></message>"),
            format!("<message to='{to}' type='chat'><body>before it</body>{bomb}</message>"),
            format!("<message to='{to}' type='headline'>{bomb}<body>as news</body></message>"),
            format!("<presence to='{to}'>{bomb}</presence>"),
            format!("<iq to='{full}' id='1' type='get'>{bomb}</iq>"),
            format!("<iq to='{full}' id='2' type='result'>{bomb}</iq>"),
            format!("<message to='{to}' type='chat'><body>after all</body></message>"),
        ];
        let stream = stranger.write_raw(&said.concat()).await.unwrap();
        for (body, is_cut) in [("beside it", true), ("before it", true), ("as news", true), ("after all", false)] {
            let message = host.heard(FULL, heard).await["payload"]["message"].clone();
            assert_eq!(
                (&message["body"], message["cut"].is_string()),
                (&json!(body), is_cut),
                "{transport:?}: {message}"
            );
        }
        for event in [lost, disconnected] {
            assert!(host.heard_so_far(FULL, event).await.is_empty(), "{transport:?}: the stream was lost");
        }
        drop(stream);
    }
}
