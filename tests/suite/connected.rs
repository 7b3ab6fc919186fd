//! Calls that need no server, tested again on a connected account: nothing differs there.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::house::{BARE, FULL, NARROW, Plan, SOON, prosody};

/// Rows 4, 8, 13-16.
#[tokio::test(flavor = "multi_thread")]
async fn plugins_tell_each_other_and_wait_for_each_other() {
    let house = Plan::new().await.three().start().await;
    let wait = |promise: &str| json!({ "promise": promise });
    let heard = house.listen(FULL, "ready").await;
    house.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    house.call(BARE, "promises.add-all", json!({ "names": ["bread", "wine"] })).await.ok();
    let early = house.order(FULL, "api.wait-until", wait("ready")).await;
    house.call(NARROW, "api.emit", json!({ "name": "ready" })).await.fails("denied");
    house.call(BARE, "api.emit", json!({ "name": "ready", "payload": { "at": 7 } })).await.ok();
    house.answer(FULL, "api.wait-until", early).await.is(json!({ "json": { "at": 7 } }));
    house.call(NARROW, "api.wait-until", wait("ready")).await.is(json!({ "json": { "at": 7 } }));
    assert_eq!(house.heard(FULL, heard).await["payload"], json!({ "json": { "at": 7 } }));
    house.call(BARE, "promises.reject", json!({ "name": "wine", "reason": "no grapes" })).await.ok();
    assert_eq!(house.call(FULL, "api.wait-until", wait("wine")).await.fails("rejected")["what"], "no grapes");
    house.call(FULL, "api.wait-until", wait("nobody added it")).await.fails("not-found");
}

/// Rows 12, 116-119, 122-125.
#[tokio::test(flavor = "multi_thread")]
async fn settings_subscriptions_timers_and_the_log_are_a_plugins_own() {
    let house = Plan::new().await.set("nickname", "Benvolio").three().start().await;
    let get = |key: &str| json!({ "key": key });
    house.call(BARE, "settings.get", get("greeting")).await.is(json!({ "value": "hello" }));
    house.call(BARE, "settings.update", json!({ "values": [["greeting", "hi"]] })).await.ok();
    house.call(BARE, "settings.get", get("greeting")).await.is(json!({ "value": "hi" }));
    house.call(BARE, "settings.set", json!({ "key": "greeting", "value": "ahoy" })).await.ok();
    house.call(BARE, "settings.set-many", json!({ "values": [["greeting", "good day"], ["more", 2]] })).await.ok();
    house.call(BARE, "settings.get", get("greeting")).await.is(json!({ "value": "good day" }));
    house.call(NARROW, "settings.get", get("greeting")).await.is(json!({ "value": "hello" }));
    house.call(FULL, "settings.get", get("nickname")).await.is(json!({ "value": "Benvolio" }));
    house.call(BARE, "settings.get", get("nickname")).await.denied("settings.read", None);
    house.call(FULL, "settings.set", json!({ "key": "password", "value": "x" })).await.fails("denied");

    let on = house.listen(BARE, "tick").await;
    let once = house.order(BARE, "listen.once", json!({ "name": "tick" })).await;
    house.answer(BARE, "listen.once", once).await.ok();
    for number in 1..=2 {
        house.call(FULL, "api.emit", json!({ "name": "tick", "payload": number })).await.ok();
    }
    let counted = (house.heard_so_far(BARE, on).await.len(), house.heard_so_far(BARE, once).await.len());
    assert_eq!(counted, (2, 1));
    house.call(BARE, "listen.not", json!({ "order": on })).await.ok();
    house.call(FULL, "api.emit", json!({ "name": "tick" })).await.ok();
    assert!(house.heard_so_far(BARE, on).await.is_empty());

    for (call, times) in [("timers.after", 1), ("timers.every", 2)] {
        let timer = house.order(BARE, call, json!({ "milliseconds": 20 })).await;
        house.answer(BARE, call, timer).await.ok();
        for _ in 0..times {
            assert_eq!(house.heard(BARE, timer).await["name"], "timer");
        }
    }
    house.call(BARE, "timers.sleep", json!({ "milliseconds": 1 })).await.is(Value::Null);
    house.call(BARE, "log.write", json!({ "level": "info", "message": "that was all" })).await.ok();
    house.logged("that was all", &[("plugin", BARE)]).await;
}

/// Row 129.
#[tokio::test(flavor = "multi_thread")]
async fn after_disconnecting_what_needs_the_server_is_offline_and_a_status_is_kept() {
    let house = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    house.call(FULL, "connection.disconnect", Value::Null).await.ok();
    let body = json!({ "jid": "juliet@localhost", "body": "hi" });
    house.call(FULL, "chats.send", body).await.fails("offline");
    house.call(FULL, "rooms.open", json!({ "jid": "room@conference.localhost" })).await.fails("offline");
    let stanza = json!({ "stanza": "<message to='juliet@localhost'><body>hi</body></message>" });
    house.call(FULL, "api.send", stanza).await.fails("offline");
    house.call(FULL, "user.set-status", json!({ "value": "dnd" })).await.ok();
    assert_eq!(house.call(FULL, "user.get-status", Value::Null).await.ok()["value"], "dnd");
}

/// Rows 62-64.
#[tokio::test(flavor = "multi_thread")]
async fn before_the_roster_is_there_nobody_is_told_that_it_is_empty() {
    let house = Plan::offline().three().start().await;
    for (call, args) in [
        ("contacts.get", json!({ "jid": "juliet@localhost" })),
        ("contacts.get-many", json!({ "jids": ["juliet@localhost"] })),
        ("contacts.get-all", Value::Null),
    ] {
        assert_eq!(house.call(FULL, call, args).await.fails("not-ready")["what"], "rosterContactsFetched", "{call}");
    }
}

/// A proxy to another port that can be cut.
struct Cable {
    port: u16,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
    /// Whether the next connection is refused.
    closed: Arc<AtomicBool>,
    taker: JoinHandle<()>,
}

impl Cable {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap().port();
        let open = Arc::<Mutex<Vec<JoinHandle<()>>>>::default();
        let connections = Arc::clone(&open);
        let closed = Arc::<AtomicBool>::default();
        let turns_away = Arc::clone(&closed);
        let taker = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if turns_away.swap(false, Relaxed) {
                    continue;
                }
                let carry = async move {
                    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
                    // However it ends, both sides are closed.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                };
                connections.lock().unwrap().push(tokio::spawn(carry));
            }
        });
        Self { port: here, open, closed, taker }
    }

    /// Cuts all connections and refuses the next one. The second attempt to reconnect succeeds.
    fn cut(&self) {
        self.closed.store(true, Relaxed);
        for connection in self.open.lock().unwrap().drain(..) {
            connection.abort();
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.cut();
        self.taker.abort();
    }
}

/// Settings `keepalive`: a host that stops leaves its session with the same full JID to the next one, if the setting is
/// on.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_gone_on_with_after_a_restart() {
    for keepalive in [true, false] {
        let house = Plan::new().await.set("keepalive", keepalive).three().start().await;
        let before = house.call(BARE, "user.jid", Value::Null).await.ok();
        let mut contact = crate::house::friend("friend").await;
        let house = house.restart().await;
        let session = if keepalive { "continued" } else { "new" };
        let line = house.logged("account connected", &[("session", session)]).await;
        let fields: Vec<_> = line.fields.keys().copied().collect();
        assert_eq!(fields, ["account", "jid", "message", "session"], "nothing was left to send again");
        let after = house.call(BARE, "user.jid", Value::Null).await.ok();
        assert_eq!(before == after, keepalive, "{before} {after}");
        house.call(FULL, "settings.get", json!({ "key": "keepalive" })).await.is(json!({ "value": keepalive }));
        // The session is fully usable.
        let jid = contact.jid().to_bare();
        house.call(FULL, "chats.send", json!({ "jid": jid.to_string(), "body": "again" })).await.ok();
        contact.wait_body(&house.account().jid, "again", SOON).await.unwrap();
        let heard = house.listen(FULL, "message").await;
        contact.chat(house.account().jid.clone(), "hello").await.unwrap();
        assert_eq!(house.heard(FULL, heard).await["payload"]["message"]["body"], "hello");
        let room = prosody().await.fresh_room().to_string();
        assert_eq!(house.call(FULL, "rooms.open", json!({ "jid": room })).await.ok()["joined"], true);
    }
}

/// Events `will-reconnect`, `reconnecting`, `reconnected`, `connfeedback`.
/// Settings `auto_reconnect`.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_and_its_end_are_told() {
    let cable = Cable::to(prosody().await.ports().starttls).await;
    let house = Plan::new().await.through(cable.port).await.three().start().await;
    let names = ["will-reconnect", "reconnecting", "reconnected"];
    let mut heard = Vec::new();
    for name in names {
        heard.push(house.listen(BARE, name).await);
    }
    let feedback = house.listen(BARE, "connfeedback").await;
    cable.cut();
    for (name, n) in names.iter().zip(heard) {
        let event = house.heard(BARE, n).await;
        assert_eq!((&event["name"], &event["payload"]), (&json!(name), &json!("none")));
    }
    let status = house.heard(BARE, feedback).await["payload"]["status"].clone();
    assert!(status["value"].is_string(), "{status}");
    house.call(BARE, "connection.connected", Value::Null).await.is(true);
}

/// Rows 51.
/// Events `connfeedback`, `connected`, `disconnected`, `will-reconnect`, `reconnecting`.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_told_of_from_the_first_attempt_to_the_last() {
    let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let way = listener.local_addr().unwrap().port();
    let house = Plan::new().await.through(way).await.unconnected().three().start().await;
    let server = prosody().await.ports().starttls;
    let next = async || timeout(SOON, listener.accept()).await.unwrap().unwrap().0;
    // A server that names no channel binding may refuse the first that is tried; the host connects again then.
    let through = |mut near: TcpStream| {
        let listener = Arc::clone(&listener);
        tokio::spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await.unwrap();
                // However it ends, both sides are closed.
                open.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
                near = listener.accept().await.unwrap().0;
            }
        })
    };
    let feedback = house.listen(BARE, "connfeedback").await;
    let is_up = async |expected: bool| house.call(BARE, "connection.connected", Value::Null).await.is(expected);
    let says = async |value: &str, words: &str| {
        let status = house.heard(BARE, feedback).await["payload"]["status"].take();
        assert_eq!(status["value"], value, "{status}");
        assert!(status["message"].as_str().unwrap().contains(words), "{words:?} is not in {status}");
    };
    let names = ["connected", "disconnected", "will-reconnect", "reconnecting", "reconnected"];
    let mut heard = Vec::new();
    for name in names {
        heard.push(house.listen(BARE, name).await);
    }
    is_up(false).await;

    // The connection hangs, and is finally closed.
    let login = house.order(FULL, "user.login", Value::Null).await;
    let still = next().await;
    is_up(false).await;
    assert!(house.heard_so_far(BARE, feedback).await.is_empty(), "nothing has happened yet");
    drop(still);
    says("offline", "; trying again in ").await;
    house.answer(FULL, "user.login", login).await.fails("other");

    let stream = through(next().await);
    says("online", "").await;
    is_up(true).await;

    // Before it reconnects, the password becomes wrong.
    std::fs::write(house.home.password_file(house.name()), "wrong\n").unwrap();
    stream.abort();
    says("offline", "the connection was cut").await;
    is_up(false).await;
    let refused = through(next().await);
    says("offline", "the server refused the password").await;
    is_up(false).await;
    assert!(house.heard_so_far(BARE, feedback).await.is_empty(), "nobody tries again");
    for (name, (n, times)) in names.iter().zip(heard.into_iter().zip([1, 1, 1, 1, 0])) {
        assert_eq!(house.heard_so_far(BARE, n).await.len(), times, "{name}");
    }
    refused.abort();
}
