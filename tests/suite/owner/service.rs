//! The host as a service: its messages to the service manager, the journal, and collectors of metrics and traces.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use parlor_tests::component::with_credentials_for;
use parlor_tests::faults::{Fault, Faults};
use parlor_tests::host::{Home, Server};
use parlor_tests::log::Mark;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::ports;
use parlor_tests::process::{Process, Signal};
use parlor_tests::web::Web;
use prost::Message as _;
use serde_json::json;

use super::{SOON, echo, ended, home, juliet};
use crate::deployment::figures;
use crate::test_host::prosody;

/// Waits until the service manager hears a message with this beginning. Pings of the watchdog are skipped unless
/// wanted.
fn hears(manager: &UnixDatagram, wanted: &str) {
    let mut text = [0; 256];
    loop {
        let length = manager.recv(&mut text).unwrap_or_else(|error| panic!("no {wanted}: {error}"));
        let text = String::from_utf8_lossy(&text[..length]);
        if text.starts_with(wanted) {
            return;
        }
        assert!(text.starts_with("WATCHDOG=1"), "{text:?} came in place of {wanted:?}");
    }
}

#[tokio::test]
async fn the_service_manager_hears_of_each_turn() {
    let (mut home, _) = home().await;
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    let path = home.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    home.set_environment("NOTIFY_SOCKET", path.to_str().unwrap());
    home.set_environment("WATCHDOG_USEC", "200000");
    let mut host = home.start().unwrap();
    let hears_all = tokio::task::spawn_blocking(move || {
        hears(&manager, "READY=1");
        hears(&manager, "WATCHDOG=1");
        hears(&manager, "WATCHDOG=1");
        manager
    });
    let manager = hears_all.await.unwrap();
    host.reload().unwrap();
    let manager = tokio::task::spawn_blocking(move || {
        hears(&manager, "RELOADING=1\nMONOTONIC_USEC=");
        hears(&manager, "READY=1\nSTATUS=");
        manager
    });
    let manager = manager.await.unwrap();
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    home.write("parlor.toml", &format!("nonsense = 1\n{config}")).unwrap();
    let manager = tokio::task::spawn_blocking(move || {
        hears(
            &manager,
            "READY=1\nSTATUS=the configuration does not count as it is written now, the one before does: parlor",
        );
        manager
    });
    let manager = manager.await.unwrap();
    assert!(host.stop(SOON).await.unwrap().success());
    hears(&manager, "STOPPING=1");
}

/// A command that inherited the manager's socket could speak for the host and have it stopped.
#[tokio::test]
async fn no_command_of_the_owners_can_speak_for_the_host() {
    let (mut home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let socket = home.path().join("notify").display().to_string();
    home.set_environment("NOTIFY_SOCKET", &socket);
    home.set_environment("WATCHDOG_USEC", "60000000");
    let password = home.password_file("main").display().to_string();
    let command = format!("test -z \"$NOTIFY_SOCKET$WATCHDOG_USEC\" && cat '{password}'");
    home.amend("main", "password_file", None).unwrap();
    home.amend("main", "password_command", Some(command.into())).unwrap();
    let host = home.start().unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
}

#[tokio::test]
async fn lines_for_the_journal_begin_with_their_level() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let process = Process::start("parlor", home.command(["run", "--log-format", "journal"]).unwrap()).unwrap();
    let line = process
        .log()
        .wait("its line", &mut Mark::default(), SOON, |line| {
            line.contains("account connected").then(|| line.to_owned())
        })
        .await
        .unwrap();
    assert!(line.starts_with("<6> INFO account connected ") && !line.contains('\x1b'), "{line:?}");
    // The reason why it ended has a level as well, so that `journalctl -p err` finds it.
    let failed = ended(home.run(&["run", "--log-format", "journal"]).await.unwrap(), 1).stderr;
    assert!(failed.starts_with("<3>parlor: another parlor runs with the data folder "), "{failed}");
    assert!(failed.lines().all(|line| line.starts_with('<')), "{failed}");
    let failed = ended(home.run(&["run"]).await.unwrap(), 1).stderr;
    assert!(failed.starts_with("parlor: another parlor runs "), "{failed}");
}

/// Sends a request to a loopback port, and returns the answer.
pub(super) fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

async fn with_metrics() -> (Home, Process, u16) {
    let (home, _) = home().await;
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    let port = ports::free().unwrap();
    let command = home.command(["run", "--metrics", &format!("127.0.0.1:{port}")]).unwrap();
    let process = Process::start("parlor", command).unwrap();
    for line in ["account connected", "plugin running", "metrics are served"] {
        process.log().wait(line, &mut Mark::default(), SOON, |text| text.contains(line).then_some(())).await.unwrap();
    }
    ended(home.run(&["status"]).await.unwrap(), 0);
    (home, process, port)
}

#[tokio::test]
async fn metrics_and_health_are_served_on_loopback_alone() {
    let (home, mut process, port) = with_metrics().await;
    let get = |path: &str| ask(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"));
    let metrics = get("/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"), "{metrics}");
    for line in [
        "# TYPE parlor_uptime_seconds gauge\n",
        "# TYPE parlor_tasks gauge\nparlor_tasks ",
        "parlor_account_connected{account=\"main\"} 1\n",
        "parlor_plugin_running{plugin=\"echo\",account=\"main\"} 1\n",
        "parlor_plugin_down{plugin=\"echo\",account=\"main\"} 0\n",
        "# TYPE parlor_plugin_events_total counter\n",
        "parlor_plugin_events_lost_total{plugin=\"echo\",account=\"main\"} 0\n",
        "parlor_plugin_memory_limit_bytes{plugin=\"echo\",account=\"main\"} ",
        "parlor_plugin_limit_used{plugin=\"echo\",account=\"main\",limit=\"subscriptions\"} 2\n",
        "parlor_plugin_limit{plugin=\"echo\",limit=\"subscriptions\"} 256\n",
        "parlor_plugin_limit{plugin=\"echo\",limit=\"cpu_slice\"} 1\n",
    ] {
        assert!(metrics.contains(line), "no {line:?} in {metrics}");
    }
    assert!(get("/health").ends_with("\r\n\r\nok\n"));
    // Load balancers and monitors may ask only for the head.
    let head = ask(port, "HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("\r\ncontent-length: 3\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    // A plugin that may not run makes the host unhealthy, and is named.
    home.write(
        "plugins.toml",
        &std::fs::read_to_string(home.path().join("plugins.toml")).unwrap().replace("rooms.send", "rooms.read"),
    )
    .unwrap();
    process.signal(Signal::Reload).unwrap();
    process
        .log()
        .wait("it", &mut Mark::default(), SOON, |line| line.contains("policy read again").then_some(()))
        .await
        .unwrap();
    let ill = get("/health");
    assert!(ill.starts_with("HTTP/1.1 503 ") && ill.ends_with("plugin echo is refused\n"), "{ill}");
    let down = get("/metrics");
    assert!(down.contains("\nparlor_plugin_down{plugin=\"echo\",account=\"\"} 1\n"), "{down}");
    for (request, code) in [
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("GET /metrics HTTP/1.1\r\n\r\n", "403"),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        ("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = ask(port, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{request:?}: {answer}");
        assert_eq!(answer.contains("\r\nallow: GET, HEAD\r\n"), code == "405", "{request:?}: {answer}");
    }
    // The answer arrives although the request was not read completely.
    let long = "x".repeat((768 << 10) + 1);
    let request = format!("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{long}", long.len());
    assert!(ask(port, &request).starts_with("HTTP/1.1 413 "));
    process.signal(Signal::Terminate).unwrap();
    assert!(process.wait(SOON).await.unwrap().success());
}

/// The dashboard in `dist/` is compared with that page.
#[tokio::test]
async fn figures_have_the_labels_that_their_page_names() {
    let (_home, _process, port) = with_metrics().await;
    let answer = ask(port, &format!("GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"));
    let (page, mut served) = (figures(), BTreeSet::new());
    for line in answer.lines().filter(|line| line.starts_with("parlor_")) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        let labels: BTreeSet<String> =
            labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned())).collect();
        assert_eq!(page.get(name), Some(&labels), "{line}");
        served.insert(name.to_owned());
    }
    // These are left out until there is something to count, and those of a cluster on a host that is alone.
    let later = [
        "parlor_cluster_accounts",
        "parlor_cluster_accounts_here",
        "parlor_cluster_accounts_idle",
        "parlor_cluster_accounts_nowhere",
        "parlor_cluster_cpu_percent",
        "parlor_cluster_files_behind",
        "parlor_cluster_nats_reached",
        "parlor_cluster_nodes",
        "parlor_cluster_share_percent",
        "parlor_component_accounts",
        "parlor_component_accounts_limit",
        "parlor_component_asleep",
        "parlor_plugin_events_withheld_total",
        "parlor_plugin_hook_questions_total",
        "parlor_room_departures_total",
    ];
    let absent: Vec<_> =
        page.keys().filter(|name| !served.contains(*name) && !later.contains(&name.as_str())).collect();
    assert!(absent.is_empty(), "{absent:?}");
}

#[tokio::test]
async fn metrics_for_the_world_are_refused() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let refused = ended(home.run(&["run", "--metrics", "0.0.0.0:0"]).await.unwrap(), 2);
    assert!(refused.stderr.contains("0.0.0.0:0 is not this machine's alone"), "{refused:?}");
}

/// A connection loss is not a permanent failure: the service manager may start the host again, as the owner wants it.
#[tokio::test]
async fn a_host_that_is_not_to_come_back_after_a_cut_ends_so_that_it_may_be_started_again() {
    let prosody = prosody().await;
    let faults = Faults::before(prosody.ports().starttls).await.unwrap();
    let (mut home, account) = (Home::new().unwrap(), prosody.fresh_account("bot").unwrap());
    home.add_account("main", &account, Server::StartTls(faults.port(), prosody.certificate())).unwrap();
    home.set("auto_reconnect", false).unwrap();
    let mut host = home.start().unwrap();
    host.wait("account connected", &[], SOON).await.unwrap();
    faults.strike(Fault::Close);
    assert_eq!(host.ended(SOON).await.unwrap().code(), Some(1));
    // A wrong password has another exit code, since retrying could lock the account.
    home.set("auto_reconnect", true).unwrap();
    std::fs::write(home.password_file("main"), "wrong\n").unwrap();
    assert_eq!(home.start().unwrap().ended(SOON).await.unwrap().code(), Some(6));
}

/// Starts a collector of traces on a free port. Returns the port, and a function that waits for the end and returns the
/// spans.
fn collector() -> (u16, impl FnOnce() -> Vec<Span>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let taking = std::thread::spawn(move || {
        let mut spans = Vec::new();
        loop {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut lines = stream.by_ref().lines().map(Result::unwrap);
            let Some(request) = lines.next() else { return spans };
            assert_eq!(request, "POST /v1/traces HTTP/1.1");
            let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let header = |name: &str| headers.iter().find_map(|line| line.strip_prefix(name)).unwrap();
            assert_eq!(header("content-type: "), "application/x-protobuf");
            let mut body = vec![0; header("content-length: ").parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            for of_one in ExportTraceServiceRequest::decode(&*body).unwrap().resource_spans {
                let service = &of_one.resource.unwrap().attributes;
                assert!(service.iter().any(|found| text(found) == ("service.name", "parlor")), "{service:?}");
                spans.extend(of_one.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
    });
    let end = move || {
        drop(TcpStream::connect(address).unwrap());
        taking.join().unwrap()
    };
    (address.port(), end)
}

fn text(attribute: &KeyValue) -> (&str, &str) {
    let text = attribute.value.as_ref().and_then(|value| match value.value.as_ref() {
        Some(Value::StringValue(text)) => Some(text.as_str()),
        _ => None,
    });
    (&attribute.key, text.unwrap_or_default())
}

#[tokio::test]
async fn traces_show_what_took_how_long_and_nothing_that_was_said() {
    let (home, account) = home().await;
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    let (port, taken) = collector();
    let mut host = home.start_with(&["--traces", &format!("127.0.0.1:{port}")]).unwrap();
    host.wait_count("plugin running", &[], 1, SOON).await.unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    let mut juliet = juliet().await;
    juliet.chat(account.jid.clone(), "a confidence").await.unwrap();
    juliet.wait_body(&account.jid, "a confidence", SOON).await.unwrap();
    assert!(host.stop(SOON).await.unwrap().success());

    let spans = tokio::task::spawn_blocking(taken).await.unwrap();
    let of = |name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        let [only] = *found else { panic!("{name}: {found:#?}") };
        only
    };
    let (handler, call, connect) = (of("handle message"), of("call chats.send"), of("connect"));
    assert_eq!((&call.trace_id, &call.parent_span_id), (&handler.trace_id, &handler.span_id));
    assert!(handler.start_time_unix_nano <= call.start_time_unix_nano);
    assert!(call.end_time_unix_nano <= handler.end_time_unix_nano);
    assert!(handler.parent_span_id.is_empty() && connect.parent_span_id.is_empty());
    for expected in [("parlor.plugin", "echo"), ("parlor.account", "main"), ("parlor.event", "message")] {
        assert!(handler.attributes.iter().any(|found| text(found) == expected), "{expected:?}: {handler:?}");
    }
    let all = format!("{spans:?}");
    assert!(!all.contains("a confidence") && !all.contains("juliet"), "{all}");
}

/// A credential leaves the host only within the request. A span has neither its server nor its address, in case that is in there.
#[tokio::test]
async fn traces_have_nothing_of_a_request_and_its_credential() {
    const TOKEN: &str = "canary-token-of-traces";
    let (mut home, account) = home().await;
    let (web, mut juliet) = (Web::start().await.unwrap(), juliet().await);
    web.put(&format!("/hidden?key={TOKEN}"), "a forecast");
    home.set_web("ca_file", web.certificate().certificate_file.display().to_string()).unwrap();
    // The manifest binds the credential to the server, whose port was not known before.
    let caller = with_credentials_for(&built("caller").unwrap().bytes().unwrap(), &web.host()).unwrap();
    let person = juliet.jid().to_bare().to_string();
    let entry = home.install_bytes("visitor", &caller).unwrap().set("chat", true);
    let entry = entry.set("pass", home.keep_secret("token", TOKEN).unwrap());
    let entry = entry.grant("messages.read", &[&person]).grant("messages.send", &[&person]);
    let entry = entry.grant("http.fetch", &[&web.url("/"), &web.address()]);
    home.set_policy(&Policy::default().with("visitor", entry)).unwrap();
    let (port, taken) = collector();
    let mut host = home.start_with(&["--traces", &format!("127.0.0.1:{port}")]).unwrap();
    // It has to be compiled.
    host.wait_count("plugin running", &[], 1, 3 * SOON).await.unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    let headers = json!([["authorization", "Bearer {{pass}}"]]);
    let asked = json!({ "url": web.url("/hidden?key={{pass}}"), "headers": headers, "credentials": ["pass"] });
    let order = json!({ "n": 1, "call": "http.fetch", "args": asked });
    juliet.chat(account.jid.clone(), &format!("call {order}")).await.unwrap();
    let done = |text: &str| text.strip_prefix("done ").map(str::to_owned);
    let answer = juliet.wait_text("the answer", &account.jid, SOON, done).await.unwrap();
    assert!(answer.contains("a forecast"), "{answer}");
    assert!(web.requests().concat().contains(&format!("Bearer {TOKEN}")), "the server did not get it");
    assert!(host.stop(SOON).await.unwrap().success());

    let spans = tokio::task::spawn_blocking(taken).await.unwrap();
    assert!(spans.iter().any(|span| span.name == "call http.fetch"), "{spans:#?}");
    let all = format!("{spans:?}");
    for word in [TOKEN, "hidden", "forecast", &web.host()] {
        assert!(!all.contains(word), "{word}: {all}");
    }
}

#[tokio::test]
async fn traces_leave_the_machine_by_a_collector_alone() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let refused = ended(home.run(&["run", "--traces", "192.0.2.1:4318"]).await.unwrap(), 2);
    let says = "192.0.2.1:4318 is not this machine's alone";
    assert!(refused.stderr.contains(says), "{refused:?}");
    // If no collector listens, the only effect is one logged message.
    let port = ports::free().unwrap();
    let mut host = home.start_with(&["--traces", &format!("127.0.0.1:{port}")]).unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    assert!(host.stop(SOON).await.unwrap().success());
    host.wait_count("traces are not taken, and are lost until they are", &[], 1, SOON).await.unwrap();
}

/// The unit calls the program with arguments that it accepts.
#[tokio::test]
async fn the_unit_of_systemd_starts_what_there_is() {
    let unit = include_str!("../../../dist/parlor.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/parlor ")).unwrap();
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let data = home.path().join("data").display().to_string();
    let line = line.replace("/etc/parlor/parlor.toml", "parlor.toml").replace("/var/lib/parlor", &data);
    let process = Process::start("parlor", home.command(line.split(' ')).unwrap()).unwrap();
    let mark = &mut Mark::default();
    process.log().wait("it", mark, SOON, |line| line.contains("account connected").then_some(())).await.unwrap();
    assert!(
        unit.contains("Type=notify\n")
            && unit.contains("ExecReload=/bin/kill -HUP $MAINPID\n")
            && unit.contains("WatchdogSec=")
            && unit.contains("\nTimeoutStartSec=")
            // The exit codes of a usage error and of a wrong password (`bad_input::login`).
            && unit.contains("\nRestartPreventExitStatus=2 6\n")
            && unit.contains("\n# LoadCredential=")
    );
}

/// An attacker who takes over the process can do next to nothing.
#[test]
fn the_unit_of_systemd_holds_the_service_to_what_it_needs() {
    let unit = include_str!("../../../dist/parlor.service");
    let settings: Vec<_> = unit.lines().filter(|line| !line.starts_with('#')).collect();
    for setting in [
        "User=parlor",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "ProtectSystem=strict",
        "ReadWritePaths=/etc/parlor",
        "StateDirectoryMode=0700",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectProc=invisible",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectControlGroups=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "RestrictNamespaces=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "UMask=0077",
        "LimitCORE=1",
    ] {
        assert!(settings.contains(&setting), "{setting}");
    }
    // This setting would prevent compiling plugins.
    assert!(!settings.iter().any(|line| line.starts_with("MemoryDenyWriteExecute")), "{settings:?}");
}
