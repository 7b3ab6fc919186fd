//! Metrics and health over HTTP, on request and only on loopback: the data of the control socket, for collectors.
//!
//! `GET /metrics` returns Prometheus' text format, version 0.0.4. `GET /health` returns 200 while all is well, and 503
//! with one line per fault otherwise. Neither contains names of people, rooms or messages.

mod limits;

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::{Method, StatusCode};
use parlor_base::loopback::Loopback;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;

use self::limits::{limits, used_limits};
use super::http::{self, Answer, TEXT};
use super::listening::Listening;
use super::refusal::Refusal;
use super::request::Request;
use super::views::{ComponentStatus, Encryption, HookRecord, Plugin, Record, Status, Usage};
use super::{health, rooms, show};
use crate::host::Host;
use crate::web::Counts;

/// The most connections at once; further ones wait.
const CONNECTIONS: usize = 8;
/// The timeout of a request with its response.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most connections that the system keeps until the server accepts them.
const BACKLOG: u32 = 1_024;

/// The bound port of a metrics server that does not listen yet. It is bound before the host starts: if it cannot be, nothing has begun.
pub struct MetricsPort {
    address: Loopback,
    socket: TcpSocket,
}

/// A listening metrics server.
pub struct Metrics(Listening);

/// The error if the port cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be served on {address} ({cause}): name another port with --metrics")]
pub struct MetricsError {
    /// The address of the port.
    pub address: Loopback,
    /// The error of the system.
    pub cause: io::Error,
}

impl MetricsPort {
    /// Binds the port of this address.
    pub fn bind(address: Loopback) -> Result<Self, MetricsError> {
        let socket = bound(address.address()).map_err(|cause| MetricsError { address, cause })?;
        Ok(Self { address, socket })
    }
}

fn bound(at: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A connection of an earlier host that has ended is not in the way.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    Ok(socket)
}

impl Metrics {
    /// Listens on this port.
    pub fn start(port: MetricsPort, host: Arc<Host>) -> Result<Self, MetricsError> {
        let MetricsPort { address, socket } = port;
        let listener = socket.listen(BACKLOG).map_err(|cause| MetricsError { address, cause })?;
        let at = listener.local_addr().unwrap_or(address.address());
        tracing::info!(%at, "metrics are served");
        let listener = Arc::new(listener);
        let next = move || {
            let listener = Arc::clone(&listener);
            async move { listener.accept().await.map(|(stream, _)| stream) }
        };
        let listening = Listening::start(next, CONNECTIONS, "metrics: a connection was not accepted", move |stream| {
            let host = Arc::clone(&host);
            // After the timeout the connection is dropped.
            async move { drop(tokio::time::timeout(PATIENCE, converse(stream, &host)).await) }
        });
        Ok(Self(listening))
    }

    /// Closes every connection. When this returns, it holds nothing of the host.
    pub async fn stop(self) {
        self.0.stop().await;
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, host: &Host) {
    let (read, write) = tokio::io::split(stream);
    // A client that disconnected needs no response.
    let _ = http::serve(read, write, refused, |request| answer(request, host)).await;
}

/// Returns the response to a request that is refused.
fn refused(refusal: &Refusal) -> Answer {
    http::refusal(refusal, TEXT, format!("{refusal}\n"))
}

async fn answer(request: Request, host: &Host) -> Result<Answer, Refusal> {
    // Check `Host` against DNS rebinding: a web page in a browser on this machine sends its own name, wherever that
    // resolves.
    if !request.host.as_deref().is_some_and(is_local) {
        return Err(Refusal::OtherHost);
    }
    if request.method != Method::GET {
        return Err(Refusal::Method(Method::GET));
    }
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let status = show::closely(host).await;
    match path[..] {
        ["metrics"] => {
            let text = metrics(&status)
                + &rooms::metrics(&status)
                + &encryption(&status)
                + &components(&status)
                + &health::metrics(&status)
                + &webhooks(host.listening.counts());
            Ok(http::answer(StatusCode::OK, TEXT, text))
        }
        ["health"] => {
            let ills: String = status.all_ills().into_iter().map(|ill| ill + "\n").collect();
            Ok(if ills.is_empty() {
                http::answer(StatusCode::OK, TEXT, "ok\n")
            } else {
                http::answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, ills)
            })
        }
        _ => Err(Refusal::MetricsPath),
    }
}

/// Returns whether a name, with or without a port, is one of loopback.
fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns the numbers of the plugins that were asked as hooks.
fn hooks(status: &Status) -> Vec<(String, f64)> {
    let records = status.plugins.iter().filter_map(|one| Some((one, one.record.as_ref()?.hooks)));
    let counts = records.filter(|(_, hooks)| hooks.seen + hooks.unjudged > 0).flat_map(|(one, hooks)| {
        let HookRecord { seen, altered, marked, stopped, failed, unjudged } = hooks;
        let plugin = names(one);
        let counts = [
            ("seen", seen),
            ("altered", altered),
            ("marked", marked),
            ("stopped", stopped),
            ("failed", failed),
            ("unjudged", unjudged),
        ];
        counts.map(|(outcome, count)| (format!("{{{plugin},outcome=\"{outcome}\"}}"), number(count)))
    });
    counts.collect()
}

/// Returns the bytes that plugins sent and got over the web.
fn web_bytes(status: &Status) -> Vec<(String, f64)> {
    let records = status.plugins.iter().filter_map(|one| Some((one, one.record.as_ref()?)));
    let bytes = records.flat_map(|(one, did)| {
        let both = [("out", did.web_sent), ("in", did.web_received)];
        both.map(|(direction, bytes)| (format!("{{{},direction=\"{direction}\"}}", names(one)), number(bytes)))
    });
    bytes.collect()
}

/// Writes all metrics. Label values consist of a-z, 0-9, _ and -, which need no escaping.
fn metrics(status: &Status) -> String {
    let mut text = String::new();
    let mut put = |name: &str, kind: &str, help: &str, values: Vec<(String, f64)>| {
        if values.is_empty() {
            return;
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# HELP parlor_{name} {help}\n# TYPE parlor_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(text, "parlor_{name}{labels} {value}");
        }
    };
    if let Some(host) = &status.host {
        let version = format!("{{version=\"{}\"}}", host.version);
        put("info", "gauge", "The version that runs.", vec![(version, 1.0)]);
        put("uptime_seconds", "gauge", "How long the host has run.", vec![(String::new(), number(host.uptime))]);
        put("resident_memory_bytes", "gauge", "Memory of the host in RAM.", vec![(String::new(), number(host.memory))]);
        put("tasks", "gauge", "Tasks of the host and its plugins.", vec![(String::new(), number(host.tasks))]);
    }
    let counts = |error: Option<&String>| vec![(String::new(), f64::from(u8::from(error.is_none())))];
    let config = counts(status.config_error.as_ref());
    put("config_in_force", "gauge", "Whether the configuration counts as it is written now.", config);
    let policy = counts(status.policy_error.as_ref());
    put("policy_in_force", "gauge", "Whether the policy counts as it is written now.", policy);
    let accounts = status
        .accounts
        .iter()
        .filter(|one| !one.is_asleep())
        .map(|one| (format!("{{account=\"{}\"}}", one.name), f64::from(u8::from(one.connection == "connected"))));
    put("account_connected", "gauge", "Whether the account is connected.", accounts.collect());
    let labels = |one: &Plugin| format!("{{{}}}", names(one));
    let running = status.plugins.iter().map(|one| (labels(one), f64::from(u8::from(one.runs()))));
    put("plugin_running", "gauge", "Whether the plugin runs, or is parked.", running.collect());
    let parked = status.plugins.iter().map(|one| (labels(one), f64::from(u8::from(one.state == "parked"))));
    put("plugin_parked", "gauge", "Whether the plugin is parked until its next event.", parked.collect());
    // A disabled plugin does not run either, but should raise no alarm.
    let down = status.plugins.iter().map(|one| (labels(one), f64::from(u8::from(one.is_down()))));
    put("plugin_down", "gauge", "Whether the plugin should run and does not.", down.collect());
    let restarts = status.plugins.iter().map(|one| (labels(one), number(one.restarts)));
    put("plugin_restarts_total", "counter", "How often it was started again by itself.", restarts.collect());
    let mut record = |name: &str, help: &str, value: fn(&Record) -> f64| {
        let did = status.plugins.iter().filter_map(|one| Some((labels(one), value(one.record.as_ref()?))));
        put(name, "counter", help, did.collect());
    };
    record("plugin_events_total", "Events that the plugin has handled.", |did| number(did.handled));
    record("plugin_sent_total", "Stanzas that it has sent.", |did| number(did.sent));
    record("plugin_web_requests_total", "Requests that it has made over the web.", |did| number(did.requests));
    record("plugin_denials_total", "Calls that it was denied.", |did| number(did.denials));
    record("plugin_events_lost_total", "Events lost by its full mailbox, or when it failed.", |did| number(did.lost));
    record("plugin_cpu_seconds_total", "CPU time that it has used.", |did| number(did.cpu_ms) / 1e3);
    put("plugin_web_bytes_total", "counter", "Bytes of bodies that it sent and got over the web.", web_bytes(status));
    let withheld = status.plugins.iter().flat_map(|one| {
        let counts = one.record.iter().flat_map(|record| &record.withheld);
        counts.map(|(permission, count)| (format!("{{{},permission=\"{permission}\"}}", names(one)), number(*count)))
    });
    let help = "Events that it listens to and was not shown, by the permission that did not cover them, or `rooms`.";
    put("plugin_events_withheld_total", "counter", help, withheld.collect());
    let help = "Messages and commands that it was asked about as a hook, what became of them, and those that passed without its verdict.";
    put("plugin_hook_questions_total", "counter", help, hooks(status));
    let mut usage = |name: &str, help: &str, value: fn(&Usage) -> f64| {
        let used = status.plugins.iter().filter_map(|one| Some((labels(one), value(one.usage.as_ref()?))));
        put(name, "gauge", help, used.collect());
    };
    usage("plugin_memory_bytes", "Memory that it holds.", |used| number(used.memory));
    usage("plugin_memory_limit_bytes", "Memory that it may hold.", |used| number(used.memory_limit));
    let help =
        "How much of a limit it uses, of sizes and times in bytes and seconds; left out if it uses nothing of it.";
    put("plugin_limit_used", "gauge", help, used_limits(status));
    put("plugin_limit", "gauge", "How much it may use of it on each account.", limits(status));
    text
}

/// Writes the encryption settings of accounts, and its figures. It contains no keys and no people.
fn encryption(status: &Status) -> String {
    let all: Vec<_> = status.accounts.iter().filter_map(|one| Some((one, one.encryption.as_ref()?))).collect();
    let mut text = String::new();
    let mut put = |name: &str, kind: &str, help: &str, value: fn(&Encryption) -> f64| {
        if all.is_empty() {
            return;
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# HELP parlor_{name} {help}\n# TYPE parlor_{name} {kind}");
        for (account, encryption) in &all {
            let _ = writeln!(text, "parlor_{name}{{account=\"{}\"}} {}", account.name, value(encryption));
        }
    };
    put("omemo_enabled", "gauge", "Whether OMEMO is on.", |one| f64::from(u8::from(one.omemo)));
    let help = "Whether the server has published the account's OMEMO device.";
    put("omemo_published", "gauge", help, |one| f64::from(u8::from(one.published)));
    put("known_keys", "gauge", "Keys of others that the account knows.", |one| number(one.known));
    put("messages_decrypted_total", "counter", "Messages that were decrypted.", |one| number(one.decrypted));
    let help = "Encrypted messages for the account that could not be decrypted.";
    put("messages_undecryptable_total", "counter", help, |one| number(one.undecryptable));
    put("messages_encrypted_total", "counter", "Messages that were sent encrypted.", |one| number(one.encrypted));
    text
}

/// Writes how many accounts components have, and how many they may have.
fn components(status: &Status) -> String {
    let mut text = String::new();
    let mut put = |name: &str, help: &str, value: fn(&ComponentStatus) -> Option<u64>| {
        let values: Vec<_> = status.components.iter().filter_map(|one| Some((&one.name, value(one)?))).collect();
        if values.is_empty() {
            return;
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# HELP parlor_{name} {help}\n# TYPE parlor_{name} gauge");
        for (component, value) in values {
            let _ = writeln!(text, "parlor_{name}{{component=\"{component}\"}} {value}");
        }
    };
    put("component_accounts", "Accounts of the component.", |one| Some(one.accounts));
    let help = "Accounts of the component at which no address becomes one more.";
    put("component_accounts_limit", help, |one| one.accounts_limit);
    put("component_asleep", "Accounts of the component that sleep.", |one| one.asleep);
    text
}

/// Writes how many requests to webhooks ended in which way. Nothing that a stranger wrote is in it.
fn webhooks(counts: &Counts) -> String {
    let Counts { passed, refused, busy, abandoned, received, sent } = counts;
    let [passed, refused, busy, abandoned, received, sent] =
        [passed, refused, busy, abandoned, received, sent].map(|count| count.load(Relaxed));
    format!(
        "# HELP parlor_webhook_requests_total Requests that others sent to webhooks.\n\
         # TYPE parlor_webhook_requests_total counter\n\
         parlor_webhook_requests_total{{outcome=\"passed\"}} {passed}\n\
         parlor_webhook_requests_total{{outcome=\"refused\"}} {refused}\n\
         parlor_webhook_requests_total{{outcome=\"busy\"}} {busy}\n\
         parlor_webhook_requests_total{{outcome=\"abandoned\"}} {abandoned}\n\
         # HELP parlor_webhook_bytes_total Bytes of bodies of these requests, and of the answers.\n\
         # TYPE parlor_webhook_bytes_total counter\n\
         parlor_webhook_bytes_total{{direction=\"in\"}} {received}\n\
         parlor_webhook_bytes_total{{direction=\"out\"}} {sent}\n"
    )
}

/// Returns the labels for the plugin and its account.
fn names(plugin: &Plugin) -> String {
    format!("plugin=\"{}\",account=\"{}\"", plugin.id, plugin.account.as_deref().unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn withheld_events_are_counted_by_plugin_account_and_permission() {
        let plugin = |account: &str, withheld: serde_json::Value| {
            serde_json::json!({
                "id": "echo", "account": account, "state": "running", "version": null, "digest": "sha256:00",
                "source": "echo.wasm", "restarts": 0,
                "record": { "handled": 1, "sent": 2, "denials": 0, "lost": 0, "cpu_ms": 5, "withheld": withheld },
            })
        };
        let status: Status = serde_json::from_value(serde_json::json!({
            "running": true, "data": "data", "policy": "plugins.toml", "accounts": [],
            "plugins": [
                plugin("main", serde_json::json!({ "contacts.read": 2, "messages.read": 7 })),
                plugin("spare", serde_json::json!({})),
            ],
        }))
        .unwrap();
        let text = metrics(&status);
        let found: Vec<_> = text.lines().filter(|line| line.contains("plugin_events_withheld_total")).skip(1).collect();
        assert_eq!(
            found,
            [
                "# TYPE parlor_plugin_events_withheld_total counter",
                "parlor_plugin_events_withheld_total{plugin=\"echo\",account=\"main\",permission=\"contacts.read\"} 2",
                "parlor_plugin_events_withheld_total{plugin=\"echo\",account=\"main\",permission=\"messages.read\"} 7",
            ]
        );
    }

    #[test]
    fn what_passed_a_hook_that_was_never_asked_is_counted() {
        let hooks =
            serde_json::json!({ "seen": 0, "altered": 0, "marked": 0, "stopped": 0, "failed": 0, "unjudged": 7 });
        let status: Status = serde_json::from_value(serde_json::json!({
            "running": true, "data": "data", "policy": "plugins.toml", "accounts": [],
            "plugins": [{
                "id": "guard", "account": "main", "state": "running", "version": null, "digest": "sha256:00",
                "source": "guard.wasm", "restarts": 0,
                "record": {
                    "handled": 1, "sent": 2, "denials": 0, "lost": 0, "cpu_ms": 5, "withheld": {}, "hooks": hooks,
                },
            }],
        }))
        .unwrap();
        let line = "parlor_plugin_hook_questions_total{plugin=\"guard\",account=\"main\",outcome=\"unjudged\"} 7";
        let text = metrics(&status);
        assert!(text.lines().any(|one| one == line), "{text}");
    }

    #[test]
    fn what_came_of_encryption_is_counted_by_account() {
        let main = serde_json::json!({
            "name": "main", "jid": "bot@example.org", "connection": "connected",
            "encryption": {
                "omemo": true, "otr": false, "trust": "strict", "device": 27_183, "published": true, "known": 3,
                "decrypted": 12, "undecryptable": 1, "encrypted": 7,
            },
        });
        let mut status: Status = serde_json::from_value(serde_json::json!({
            "running": true, "data": "data", "policy": "plugins.toml", "plugins": [], "accounts": [main],
        }))
        .unwrap();
        let text = encryption(&status);
        for line in [
            "# TYPE parlor_messages_undecryptable_total counter",
            "parlor_omemo_enabled{account=\"main\"} 1",
            "parlor_omemo_published{account=\"main\"} 1",
            "parlor_known_keys{account=\"main\"} 3",
            "parlor_messages_decrypted_total{account=\"main\"} 12",
            "parlor_messages_undecryptable_total{account=\"main\"} 1",
            "parlor_messages_encrypted_total{account=\"main\"} 7",
        ] {
            assert!(text.lines().any(|one| one == line), "no {line} in {text}");
        }
        assert!(!text.contains("27183"), "{text}");
        status.accounts.clear();
        assert_eq!(encryption(&status), "");
    }

    #[test]
    fn the_accounts_of_components_are_counted_beside_their_limit() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "running": true, "data": "data", "policy": "plugins.toml", "plugins": [], "accounts": [],
            "components": [
                { "name": "bots", "domain": "bots.example.org", "connection": "connected", "accounts": 7, "accounts_limit": 7 },
                { "name": "few", "domain": "few.example.org", "connection": "connected", "accounts": 1 },
            ],
        }))
        .unwrap();
        let text = components(&status);
        let values: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "parlor_component_accounts{component=\"bots\"} 7",
            "parlor_component_accounts{component=\"few\"} 1",
            "parlor_component_accounts_limit{component=\"bots\"} 7",
        ];
        assert_eq!(values, expected);
        // Health stays: a host that is restarted has the same accounts.
        assert!(status.all_ills().is_empty());
        let says =
            "component bots has 7 accounts, and new_addresses_limit is 7: no address becomes an account any more";
        assert_eq!(status.warnings().collect::<Vec<_>>(), [says]);
    }

    /// Each figure is on the page for owners.
    #[test]
    fn the_page_has_every_figure() {
        let page = include_str!("../../../docs/reference/metrics.md");
        let sources = [include_str!("metrics.rs"), include_str!("health.rs")];
        let source = sources.map(|text| text.split("#[cfg(test)]").next().unwrap_or_default()).concat();
        let calls = ["put(", "record(", "usage("].into_iter().flat_map(|call| source.split(call).skip(1));
        let names = calls.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
        let mut names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        names.extend(["webhook_requests_total", "webhook_bytes_total", "rooms", "room_departures_total"]);
        assert!(names.len() > 30, "{names:?}");
        for name in names {
            assert!(page.contains(&format!("| `parlor_{name}` |")), "{name} is not on the page");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        for name in ["localhost", "localhost:9100", "127.0.0.1:1", "[::1]:9100", "127.1.2.3"] {
            assert!(is_local(name), "{name}");
        }
        for name in ["evil.example", "evil.example:9100", "192.168.0.1", "", "localhost.evil.example"] {
            assert!(!is_local(name), "{name}");
        }
    }
}
