//! A house among services: what the service manager, the journal and the collector of metrics are told.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;

use parlor_tests::host::Home;
use parlor_tests::log::Mark;
use parlor_tests::policy::Policy;
use parlor_tests::ports;
use parlor_tests::process::{Process, Signal};

use super::{SOON, echo, ended, home};

/// What the service manager hears next that begins like this; pings of the watchdog are passed over unless they are meant.
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
        hears(&manager, "READY=1");
        manager
    });
    let manager = manager.await.unwrap();
    assert!(host.stop(SOON).await.unwrap().success());
    hears(&manager, "STOPPING=1");
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
}

fn ask(port: u16, request: &str) -> String {
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
    for line in ["account connected", "plugin running"] {
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
        "parlor_account_connected{account=\"main\"} 1\n",
        "parlor_plugin_running{plugin=\"echo\",account=\"main\"} 1\n",
        "# TYPE parlor_plugin_events_total counter\n",
        "parlor_plugin_memory_limit_bytes{plugin=\"echo\",account=\"main\"} ",
    ] {
        assert!(metrics.contains(line), "no {line:?} in {metrics}");
    }
    assert!(get("/health").ends_with("\r\n\r\nok\n"));
    // A plugin that may not run is an ill, and is named.
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
    for (request, code) in [
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("GET /metrics HTTP/1.1\r\n\r\n", "403"),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        ("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = ask(port, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{request:?}: {answer}");
    }
    process.signal(Signal::Terminate).unwrap();
    assert!(process.wait(SOON).await.unwrap().success());
}

#[tokio::test]
async fn metrics_for_the_world_are_refused() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let refused = ended(home.run(&["run", "--metrics", "0.0.0.0:0"]).await.unwrap(), 1);
    assert!(refused.stderr.contains("metrics are served on loopback alone, and 0.0.0.0:0 is not"), "{refused:?}");
}

/// What the unit calls is what the program takes.
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
    assert!(unit.contains("Type=notify-reload\n") && unit.contains("WatchdogSec="));
}
