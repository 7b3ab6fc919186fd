//! Each transport carries the same: messages in order, of any size, in both directions at once.

use parlor_tests::client::body;
use parlor_tests::front::Front;
use parlor_tests::transport::Transport;
use parlor_tests::web::Web;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;

use crate::test_host::{FULL, Plan, SOON, friend, prosody};

/// Rows 51, 52.
/// Settings `bosh_service_url`, `websocket_url`.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_said_comes_in_its_order_over_each_transport() {
    const MANY: usize = 40;
    for transport in Transport::ALL {
        let plan = Plan::new().await.over(transport).await.set("allow_non_roster_messaging", true);
        let host = plan.three().start().await;
        let heard = host.listen(FULL, "message").await;
        let mut friend = friend("friend").await;
        let (bot, to) = (host.account().jid.clone(), friend.jid().to_bare().to_string());
        // Two of these exceed what BOSH sends at once, and one exceeds a TLS buffer.
        let long = "x".repeat(60_000);
        for number in 0..MANY {
            let text = if number == 7 { long.clone() } else { format!("<&> {number}") };
            host.call(FULL, "chats.send", json!({ "jid": to, "body": text })).await.ok();
            friend.chat(bot.clone(), &text).await.unwrap();
        }
        for number in 0..MANY {
            let text = if number == 7 { long.clone() } else { format!("<&> {number}") };
            let said = host.heard(FULL, heard).await["payload"]["message"]["body"].clone();
            assert_eq!(said, text, "{transport:?}: {number}");
            let from = |stanza: &Stanza| match stanza {
                Stanza::Message(message) if message.from.as_ref().is_some_and(|from| from.to_bare() == bot) => {
                    body(message).map(str::to_owned)
                }
                _ => None,
            };
            let said = friend.wait_for("the bot's next message", SOON, from).await.unwrap();
            assert_eq!(said, text, "{transport:?}: {number}");
        }
        let room = prosody().await.fresh_room().to_string();
        assert_eq!(host.call(FULL, "rooms.open", json!({ "jid": room })).await.ok()["joined"], true, "{transport:?}");
        host.call(FULL, "connection.disconnect", Value::Null).await.ok();
        host.call(FULL, "connection.connected", Value::Null).await.is(false);
        host.call(FULL, "user.login", Value::Null).await.ok();
        host.call(FULL, "connection.connected", Value::Null).await.is(true);
    }
}

/// Without a configured address, the domain is asked (XEP-0156). Addresses without TLS are ignored.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_says_where_it_is_on_the_web() {
    let prosody = prosody().await;
    let web = Web::start_as(prosody.certificate()).await.unwrap();
    let front = Front::before(prosody.ports().http, prosody.certificate()).await.unwrap();
    let (port, open) = (front.port(), prosody.ports().http);
    let json = json!({ "links": [
        { "rel": "urn:xmpp:alt-connections:xbosh", "href": format!("http://localhost:{open}/http-bind") },
        { "rel": "urn:xmpp:alt-connections:xbosh", "href": format!("https://localhost:{port}/http-bind") },
        { "rel": "urn:xmpp:alt-connections:websocket", "href": format!("wss://localhost:{port}/xmpp-websocket") },
    ] });
    let xml = format!(
        "<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\
         <Link rel='urn:xmpp:alt-connections:websocket' href='wss://localhost:{port}/xmpp-websocket'/></XRD>"
    );
    for (transport, name, text) in [
        ("bosh", "host-meta.json", json.to_string()),
        ("websocket", "host-meta.json", json.to_string()),
        ("websocket", "host-meta", xml),
    ] {
        let path = format!("/.well-known/{name}");
        web.put(&path, text);
        let plan = Plan::new().await.discovering(transport, &web.host()).set("expose_rid_and_sid", true);
        let host = plan.three().start().await;
        host.call(FULL, "connection.connected", Value::Null).await.is(true);
        let sid = host.call(FULL, "tokens.get", json!({ "name": "sid" })).await.ok();
        assert_eq!(sid.is_string(), transport == "bosh", "{name}: {sid}");
        web.remove(&path);
    }
    let host = Plan::new().await.discovering("bosh", &web.host()).unconnected().three().start().await;
    let error = host.call(FULL, "user.login", Value::Null).await.fails("other").to_string();
    assert!(error.contains("does not say where it speaks XMPP over the web"), "{error}");
}
