//! Calls that need no server, tested again on a connected account: nothing differs there.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, prosody};

/// Rows 4, 8, 13-16.
#[tokio::test(flavor = "multi_thread")]
async fn plugins_tell_each_other_and_wait_for_each_other() {
    let host = Plan::new().await.three().start().await;
    let wait = |promise: &str| json!({ "promise": promise });
    let heard = host.listen(FULL, "ready").await;
    host.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    host.call(BARE, "promises.add-all", json!({ "names": ["bread", "wine"] })).await.ok();
    let early = host.order(FULL, "api.wait-until", wait("ready")).await;
    host.call(NARROW, "api.emit", json!({ "name": "ready" })).await.fails("denied");
    host.call(BARE, "api.emit", json!({ "name": "ready", "payload": { "at": 7 } })).await.ok();
    host.answer(FULL, "api.wait-until", early).await.is(json!({ "json": { "at": 7 } }));
    host.call(NARROW, "api.wait-until", wait("ready")).await.is(json!({ "json": { "at": 7 } }));
    assert_eq!(host.heard(FULL, heard).await["payload"], json!({ "json": { "at": 7 } }));
    host.call(BARE, "promises.reject", json!({ "name": "wine", "reason": "no grapes" })).await.ok();
    assert_eq!(host.call(FULL, "api.wait-until", wait("wine")).await.fails("rejected")["what"], "no grapes");
    host.call(FULL, "api.wait-until", wait("nobody added it")).await.fails("not-found");
}

/// Rows 12, 116-119, 122-125.
#[tokio::test(flavor = "multi_thread")]
async fn settings_subscriptions_timers_and_the_log_are_a_plugins_own() {
    let host = Plan::new().await.set("nickname", "Benvolio").three().start().await;
    let get = |key: &str| json!({ "key": key });
    host.call(BARE, "settings.get", get("greeting")).await.is(json!({ "value": "hello" }));
    host.call(BARE, "settings.update", json!({ "values": [["greeting", "hi"]] })).await.ok();
    host.call(BARE, "settings.get", get("greeting")).await.is(json!({ "value": "hi" }));
    host.call(BARE, "settings.set", json!({ "key": "greeting", "value": "ahoy" })).await.ok();
    host.call(BARE, "settings.set-many", json!({ "values": [["greeting", "good day"], ["more", 2]] })).await.ok();
    host.call(BARE, "settings.get", get("greeting")).await.is(json!({ "value": "good day" }));
    host.call(NARROW, "settings.get", get("greeting")).await.is(json!({ "value": "hello" }));
    host.call(FULL, "settings.get", get("nickname")).await.is(json!({ "value": "Benvolio" }));
    host.call(BARE, "settings.get", get("nickname")).await.denied("settings.read", None);
    host.call(FULL, "settings.set", json!({ "key": "password", "value": "x" })).await.fails("denied");

    let on = host.listen(BARE, "tick").await;
    let once = host.order(BARE, "listen.once", json!({ "name": "tick" })).await;
    host.answer(BARE, "listen.once", once).await.ok();
    for number in 1..=2 {
        host.call(FULL, "api.emit", json!({ "name": "tick", "payload": number })).await.ok();
    }
    let counted = (host.heard_so_far(BARE, on).await.len(), host.heard_so_far(BARE, once).await.len());
    assert_eq!(counted, (2, 1));
    host.call(BARE, "listen.not", json!({ "order": on })).await.ok();
    host.call(FULL, "api.emit", json!({ "name": "tick" })).await.ok();
    assert!(host.heard_so_far(BARE, on).await.is_empty());

    for (call, times) in [("timers.after", 1), ("timers.every", 2)] {
        let timer = host.order(BARE, call, json!({ "milliseconds": 20 })).await;
        host.answer(BARE, call, timer).await.ok();
        for _ in 0..times {
            assert_eq!(host.heard(BARE, timer).await["name"], "timer");
        }
    }
    host.call(BARE, "timers.sleep", json!({ "milliseconds": 1 })).await.is(Value::Null);
    host.call(BARE, "log.write", json!({ "level": "info", "message": "that was all" })).await.ok();
    host.logged("that was all", &[("plugin", BARE)]).await;
}

/// Row 129.
#[tokio::test(flavor = "multi_thread")]
async fn after_disconnecting_what_needs_the_server_is_offline_and_a_status_is_kept() {
    let host = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    host.call(FULL, "connection.disconnect", Value::Null).await.ok();
    let body = json!({ "jid": "juliet@localhost", "body": "hi" });
    host.call(FULL, "chats.send", body).await.fails("offline");
    host.call(FULL, "rooms.open", json!({ "jid": "room@conference.localhost" })).await.fails("offline");
    let stanza = json!({ "stanza": "<message to='juliet@localhost'><body>hi</body></message>" });
    host.call(FULL, "api.send", stanza).await.fails("offline");
    host.call(FULL, "user.set-status", json!({ "value": "dnd" })).await.ok();
    assert_eq!(host.call(FULL, "user.get-status", Value::Null).await.ok()["value"], "dnd");
}

/// Rows 62-64.
#[tokio::test(flavor = "multi_thread")]
async fn before_the_roster_is_there_nobody_is_told_that_it_is_empty() {
    let host = Plan::offline().three().start().await;
    for (call, args) in [
        ("contacts.get", json!({ "jid": "juliet@localhost" })),
        ("contacts.get-many", json!({ "jids": ["juliet@localhost"] })),
        ("contacts.get-all", Value::Null),
    ] {
        assert_eq!(host.call(FULL, call, args).await.fails("not-ready")["what"], "rosterContactsFetched", "{call}");
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
        let host = Plan::new().await.set("keepalive", keepalive).three().start().await;
        let before = host.call(BARE, "user.jid", Value::Null).await.ok();
        let mut contact = crate::test_host::friend("friend").await;
        let host = host.restart().await;
        let session = if keepalive { "continued" } else { "new" };
        let line = host.logged("account connected", &[("session", session)]).await;
        let fields: Vec<_> = line.fields.keys().copied().collect();
        assert_eq!(fields, ["account", "jid", "message", "session"], "nothing was left to send again");
        let after = host.call(BARE, "user.jid", Value::Null).await.ok();
        assert_eq!(before == after, keepalive, "{before} {after}");
        host.call(FULL, "settings.get", json!({ "key": "keepalive" })).await.is(json!({ "value": keepalive }));
        // The session is fully usable.
        let jid = contact.jid().to_bare();
        host.call(FULL, "chats.send", json!({ "jid": jid.to_string(), "body": "again" })).await.ok();
        contact.wait_body(&host.account().jid, "again", SOON).await.unwrap();
        let heard = host.listen(FULL, "message").await;
        contact.chat(host.account().jid.clone(), "hello").await.unwrap();
        assert_eq!(host.heard(FULL, heard).await["payload"]["message"]["body"], "hello");
        let room = prosody().await.fresh_room().to_string();
        assert_eq!(host.call(FULL, "rooms.open", json!({ "jid": room })).await.ok()["joined"], true);
    }
}

/// Events `will-reconnect`, `reconnecting`, `reconnected`, `connfeedback`.
/// Settings `auto_reconnect`.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_and_its_end_are_told() {
    let cable = Cable::to(prosody().await.ports().starttls).await;
    let host = Plan::new().await.through(cable.port).await.three().start().await;
    let names = ["will-reconnect", "reconnecting", "reconnected"];
    let mut heard = Vec::new();
    for name in names {
        heard.push(host.listen(BARE, name).await);
    }
    let feedback = host.listen(BARE, "connfeedback").await;
    cable.cut();
    for (name, n) in names.iter().zip(heard) {
        let event = host.heard(BARE, n).await;
        assert_eq!((&event["name"], &event["payload"]), (&json!(name), &json!("none")));
    }
    let status = host.heard(BARE, feedback).await["payload"]["status"].clone();
    assert!(status["value"].is_string(), "{status}");
    host.call(BARE, "connection.connected", Value::Null).await.is(true);
}

/// Rows 51.
/// Events `connfeedback`, `connected`, `disconnected`, `will-reconnect`, `reconnecting`.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_told_of_from_the_first_attempt_to_the_last() {
    let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let way = listener.local_addr().unwrap().port();
    let host = Plan::new().await.through(way).await.unconnected().three().start().await;
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
    let feedback = host.listen(BARE, "connfeedback").await;
    let is_up = async |expected: bool| host.call(BARE, "connection.connected", Value::Null).await.is(expected);
    let says = async |value: &str, words: &str| {
        let status = host.heard(BARE, feedback).await["payload"]["status"].take();
        assert_eq!(status["value"], value, "{status}");
        assert!(status["message"].as_str().unwrap().contains(words), "{words:?} is not in {status}");
    };
    let names = ["connected", "disconnected", "will-reconnect", "reconnecting", "reconnected"];
    let mut heard = Vec::new();
    for name in names {
        heard.push(host.listen(BARE, name).await);
    }
    is_up(false).await;

    // The connection hangs, and is finally closed.
    let login = host.order(FULL, "user.login", Value::Null).await;
    let still = next().await;
    is_up(false).await;
    assert!(host.heard_so_far(BARE, feedback).await.is_empty(), "nothing has happened yet");
    drop(still);
    says("offline", "; trying again in ").await;
    host.answer(FULL, "user.login", login).await.fails("other");

    let stream = through(next().await);
    says("online", "").await;
    is_up(true).await;

    // Before it reconnects, the password becomes wrong.
    std::fs::write(host.home.password_file(host.name()), "wrong\n").unwrap();
    stream.abort();
    says("offline", "the connection was cut").await;
    is_up(false).await;
    let refused = through(next().await);
    says("offline", "the server refused the password").await;
    is_up(false).await;
    assert!(host.heard_so_far(BARE, feedback).await.is_empty(), "nobody tries again");
    for (name, (n, times)) in names.iter().zip(heard.into_iter().zip([1, 1, 1, 1, 0])) {
        assert_eq!(host.heard_so_far(BARE, n).await.len(), times, "{name}");
    }
    refused.abort();
}
