//! `webhooks`: requests that others send to plugins (rows 139–143 of `tests/conformance.toml`), against the program itself.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use parlor::web::Listener;
use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::kills;
use parlor_tests::plugins;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::ports;
use parlor_tests::process::Signal;
use parlor_tests::server::{Account, DOMAIN};
use parlor_tests::webhooks::{self, github, status};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::compiled;
use crate::http::metrics;
use crate::seed;
use crate::test_host::{A_MOMENT, BARE, FULL, Plan, SOON, granted, refuses_to_tell};

const SECRET: &str = "canary-shared-secret";
/// The answer to each request that is refused, but for its date. Discord wants this status.
const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nx-content-type-options: nosniff\r\n\
                       content-security-policy: default-src 'none'; sandbox\r\nwww-authenticate: Bearer\r\n\
                       content-length: 0\r\n";

/// A host with the plugin `receiver`, on an account that never logs in.
struct House {
    home: Home,
    host: Host,
    at: SocketAddr,
    _certificate: Folder,
}

impl House {
    async fn start(entry: impl FnOnce(Entry) -> Entry) -> Self {
        Self::start_with(entry, |_| {}).await
    }

    async fn start_with(entry: impl FnOnce(Entry) -> Entry, configure: impl FnOnce(&mut Home)) -> Self {
        let folder = Folder::new().unwrap();
        let certificate = Certificate::make(&folder).unwrap();
        let mut home = Home::new().unwrap();
        let account = Account { jid: format!("bot@{DOMAIN}").parse().unwrap(), password: "none".to_owned() };
        home.add_account("main", &account, Server::StartTls(1, &certificate)).unwrap();
        home.set("auto_login", false).unwrap();
        home.set_web("listen", format!("127.0.0.1:{}", ports::free().unwrap())).unwrap();
        configure(&mut home);
        let secret = home.keep_secret("secret", SECRET).unwrap();
        let installed = home.install("receiver", &plugins::built("receiver").unwrap()).unwrap();
        let installed = installed.grant_whole("storage").grant_whole("webhooks.receive").set("secret", secret);
        home.set_policy(&Policy::default().with("receiver", entry(installed))).unwrap();
        let (host, at) = open(&home).await;
        Self { home, host, at, _certificate: folder }
    }

    /// Starts the host again, after it ended.
    async fn again(&mut self) {
        (self.host, self.at) = open(&self.home).await;
    }

    /// Returns what `parlor plugin hooks` says.
    async fn shown(&self, more: &[&str]) -> Value {
        let arguments = [&["plugin", "hooks", "receiver", "--json"], more].concat();
        let finished = self.home.run(&arguments).await.unwrap();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        finished.json().unwrap()[0].take()
    }

    /// Returns what `parlor audit` says of the plugin.
    async fn audit(&self) -> Value {
        self.home.run(&["audit", "--plugin", "receiver", "--json"]).await.unwrap().json().unwrap()
    }

    /// Returns the path of a webhook.
    async fn path(&self, name: &str) -> String {
        webhooks::paths(&self.shown(&[]).await).remove(name).unwrap()
    }

    /// Sends a request, and returns the answer.
    async fn send(&self, head: &str, body: &[u8]) -> String {
        send(self.at, head, body).await
    }

    /// Sends a request to the webhook `queue` with GitHub's signature.
    async fn signed(&self, path: &str, body: &str) -> String {
        let head = format!("POST {path} HTTP/1.1\r\nx-github-event: push\r\n{}", github(SECRET, body));
        self.send(&head, body.as_bytes()).await
    }

    /// Waits until the plugin has logged the delivery.
    async fn told(&self, text: &str) -> String {
        let pick = |line: &str| line.contains(&format!("told {text}")).then(|| line.to_owned());
        let mut from = parlor_tests::log::Mark::default();
        self.host.log().wait(text, &mut from, SOON, pick).await.unwrap()
    }
}

/// Starts the host, and waits until it listens.
async fn listening(home: &Home) -> (Host, SocketAddr) {
    let mut host = home.start().unwrap();
    let line = host.wait("webhooks are listened for", &[], SOON).await.unwrap();
    let at = line.get("at").parse().unwrap();
    (host, at)
}

/// Starts the host, and waits until it listens and the plugin runs.
async fn open(home: &Home) -> (Host, SocketAddr) {
    compiled::give(home);
    let (host, at) = listening(home).await;
    // Until the plugin runs, its webhooks are as unknown as any.
    host.wait_count("plugin running", &[], 1, SOON).await.unwrap();
    compiled::take(home);
    (host, at)
}

/// Returns the lines of a signature as Slack makes it at this time.
fn slack(body: &str, at: i64) -> String {
    webhooks::slack(SECRET, body, at)
}

async fn send(at: SocketAddr, head: &str, body: &[u8]) -> String {
    let Ok(mut stream) = TcpStream::connect(at).await else { return String::new() };
    let head = format!("{head}host: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    // The host may have ended, or answer before it has read everything.
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(SOON, read).await.expect("the host answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns the log of its host.
fn text(house: &House) -> String {
    house.host.log().all().join("\n")
}

/// Returns an answer without its date.
fn dateless(answer: &str) -> String {
    let lines = answer.split_inclusive("\r\n").filter(|line| !line.starts_with("date: "));
    lines.collect::<String>().replace("connection: close\r\n", "")
}

/// Rows 139–141 and 143.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_is_stored_and_told_with_what_the_manifest_lists() {
    let mut house = House::start(|entry| entry).await;
    let path = house.path("queue").await;
    assert_eq!(status(&house.signed(&format!("{path}?a=b"), "hello").await), 202);
    let line = house.told("queue 1 1 POST").await;
    assert!(
        line.contains("Some(\\\"a=b\\\")") && line.contains("x-github-event=push") && line.contains("hello"),
        "{line}"
    );
    assert!(!line.contains("x-hub-signature"), "{line}");
    // The plugin got its own address.
    assert!(text(&house).contains(&format!("at http://{}{path}", house.at)), "{}", text(&house));
    let shown = house.shown(&[]).await;
    assert_eq!(shown["waiting"], 0);
    let request = &shown["requests"][0];
    assert_eq!(
        (&request["webhook"], &request["state"], &request["sender"], &request["bytes"]),
        (&json!("queue"), &json!("told"), &json!("127.0.0.1"), &json!(5))
    );
    // Once more, as the owner says.
    let number = request["id"].to_string();
    house.shown(&["--replay", &number]).await;
    house.told("queue 1 2 POST").await;
    // Another address, and the former one is as unknown as any.
    house.shown(&["--rotate", "queue"]).await;
    let other = house.path("queue").await;
    assert_ne!(path, other);
    assert_eq!(status(&house.signed(&path, "hello").await), 401);
    assert_eq!(status(&house.signed(&other, "again").await), 202);
    house.told("queue 1 1 POST").await;
    // It stays the same in the next process.
    house.host.stop(SOON).await.unwrap();
    house.again().await;
    assert_eq!(house.path("queue").await, other);
    // The owner is shown in numbers what came, also before.
    let forged = format!("POST {other} HTTP/1.1\r\n{}", github("another secret", "forged"));
    assert_eq!(status(&house.send(&forged, b"forged").await), 401);
    let audit = house.audit().await;
    let names = audit["names"].as_array().unwrap();
    for (what, count, received) in [("queue accepted", 2, 10), ("queue refused", 1, 6)] {
        let name = names.iter().find(|name| name["kind"] == "webhook" && name["what"] == what);
        let name = name.unwrap_or_else(|| panic!("{what}: {audit}"));
        assert_eq!((&name["count"], &name["received"], &name["sent"]), (&json!(count), &json!(received), &json!(0)));
    }
    let shown = house.home.run(&["audit", "--plugin", "receiver"]).await.unwrap().stdout;
    assert!(shown.contains("\nrequests to its webhooks\nWEBHOOK"), "{shown}");
    let log = text(&house);
    assert!(!log.contains(SECRET), "{log}");
    for arguments in
        [["plugin", "hooks", "receiver", "--rotate", "none"], ["plugin", "hooks", "receiver", "--replay", "999"]]
    {
        assert_eq!(house.home.run(&arguments).await.unwrap().code, Some(1));
    }
}

/// Row 140: whoever guesses, or signs wrongly, learns nothing.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_not_verified_gets_one_and_the_same_answer_and_reaches_no_plugin() {
    let house = House::start(|entry| entry.limit("webhook_body", "1 KiB")).await;
    let path = house.path("queue").await;
    let token = path.rsplit('/').next().unwrap();
    let long = "x".repeat(1_025);
    let post = |path: &str, signature: &str| format!("POST {path} HTTP/1.1\r\n{signature}");
    let right = github(SECRET, "hello");
    let swapped = path.replace("/queue/", "/slack/");
    let mut heads = vec![
        (post(&path, ""), "hello"),
        (post(&path, &github("another secret", "hello")), "hello"),
        (post(&path, &github("", "hello")), "hello"),
        (post(&path, &right), "hullo"),
        (post(&path, &format!("{right}{right}")), "hello"),
        (post(&path, &github(SECRET, &long)), &long),
        (post(&path, &right).replace("POST", "PUT"), "hello"),
        (post(&path, &right).replace("POST", "GET"), "hello"),
        (post(&swapped, &right), "hello"),
        (post(&path[..path.len() - 1], &right), "hello"),
        (post(&format!("{path}/"), &right), "hello"),
        (post(&format!("{path}/x"), &right), "hello"),
        (post(&format!("/{path}"), &right), "hello"),
        (post(&path.replace("/hooks/", "/hooks/x/../"), &right), "hello"),
        (post(&path.replace("/hooks/", "/hooks/%2e%2e/hooks/"), &right), "hello"),
        (post(&path.replace("receiver", "Receiver"), &right), "hello"),
        (post(&path.replace("receiver", "%72eceiver"), &right), "hello"),
        (post(&path.replace("receiver", "other"), &right), "hello"),
        (post(&path.to_uppercase(), &right), "hello"),
        (post("/", &right), "hello"),
        (post("/metrics", &right), "hello"),
        (post("/v1/status", &right), "hello"),
        (post(&format!("/hooks/receiver/queue/{}", "0".repeat(token.len())), &right), "hello"),
        (post("/hooks/receiver/queue/", &right), "hello"),
        (post(&format!("{path}{}", "0".repeat(8_000)), &right), "hello"),
        (post(&path.replace("/queue/", &format!("/{}/", "q".repeat(33))), &right), "hello"),
    ];
    heads.push((format!("POST http://evil.example{} HTTP/1.1\r\n{right}", "/hooks/receiver/queue/x"), "hello"));
    for (head, body) in heads {
        let answer = dateless(&house.send(&head, body.as_bytes()).await);
        assert_eq!(answer, format!("{REFUSED}\r\n"), "{head}");
    }
    // A comparison of the plugin's part of the path is of no use without the rest.
    assert_eq!(status(&house.signed(&path, "hello").await), 202);
    house.told("queue 1 1 POST").await;
    let shown = house.shown(&[]).await;
    assert_eq!(shown["requests"].as_array().unwrap().len(), 1, "{shown}");
    // Its owner, and no sender, is told that one was too long.
    let audit = house.audit().await;
    let mut names = audit["names"].as_array().unwrap().iter();
    let oversized = names.find(|name| name["what"] == "queue oversized").map(|name| name["count"].clone());
    assert_eq!(oversized, Some(json!(1)), "{audit}");
}

/// Row 139: a webhook with `paths` takes requests below its address, and only those whose path leads nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_below_the_address_is_told_decoded_and_one_that_leads_elsewhere_is_refused() {
    let house = House::start(|entry| entry).await;
    let path = house.path("open").await;
    let long = format!("/{}", "x".repeat(1_025));
    for more in ["/", "/..", "/a//b", "/a/", "/%2e%2e/a", "/a%2fb", "/a%5cb", "/%252e", "/%00", "/%ff", &long] {
        let answer = dateless(&house.send(&format!("POST {path}{more} HTTP/1.1\r\n"), b"no").await);
        assert_eq!(answer, format!("{REFUSED}\r\n"), "{more}");
    }
    assert_eq!(status(&house.send(&format!("POST {path}/garden/t%C3%ABa HTTP/1.1\r\n"), b"yes").await), 202);
    house.told("open 1 1 POST").await;
    assert!(text(&house).contains("below garden/t"), "{}", text(&house));
    assert_eq!(house.shown(&[]).await["requests"].as_array().unwrap().len(), 1);
}

/// Row 139: a plugin that gets a request gets all of it that it declared.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_or_a_header_that_is_too_long_is_refused_and_not_left_out() {
    let house = House::start(|entry| entry).await;
    let path = house.path("queue").await;
    let (fits, long) = ("x".repeat(8 << 10), "x".repeat((8 << 10) + 1));
    let signed = github(SECRET, "hello");
    for (query, lines, expected) in [
        (&long, signed.clone(), 414),
        (&fits, format!("x-github-event: {long}\r\n{signed}"), 431),
        (&long, github("another secret", "hello"), 401),
        // The plugin does not get this header.
        (&fits, format!("x-github-event: {fits}\r\nx-other: {long}\r\n{signed}"), 202),
    ] {
        let answer = house.send(&format!("POST {path}?{query} HTTP/1.1\r\n{lines}"), b"hello").await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
    house.told("queue 1 1 POST").await;
    assert_eq!(house.shown(&[]).await["requests"].as_array().unwrap().len(), 1);
}

/// Row 140: a request that was signed long ago is refused. A request that is sent again is delivered once. Its sender may not have
/// got the first answer, and gets the same one.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_time_lets_a_request_in_once_and_for_a_while_also_after_a_restart() {
    let mut house = House::start(|entry| entry).await;
    let path = house.path("slack").await;
    let now = Timestamp::now().as_second();
    let head = |at: i64, body: &str| format!("POST {path} HTTP/1.1\r\n{}", slack(body, at));
    for late in [-301, 302, -100_000] {
        assert_eq!(status(&house.send(&head(now + late, "late"), b"late").await), 401, "{late}");
    }
    assert_eq!(status(&house.send(&head(now, "once"), b"once").await), 202);
    // The signature does not cover the query.
    let other = format!("POST {path}?by=another HTTP/1.1\r\n{}", slack("once", now));
    for again in [head(now, "once"), other] {
        assert_eq!(status(&house.send(&again, b"once").await), 202);
    }
    house.host.signal(Signal::Kill).unwrap();
    house.host.ended(SOON).await.unwrap();
    house.again().await;
    assert_eq!(status(&house.send(&head(now, "once"), b"once").await), 202);
    assert_eq!(status(&house.send(&head(now, "twice"), b"twice").await), 202);
    house.told("slack 1 1 POST None [] twice").await;
    let shown = house.shown(&[]).await;
    assert_eq!(shown["requests"].as_array().unwrap().len(), 2, "{shown}");
}

/// Row 141: Slack and Zoom try an address before they send anything else, and want an answer at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_tries_an_address_is_answered_by_the_host() {
    let house = House::start(|entry| entry).await;
    let path = house.path("slack").await;
    let (body, now) = (r#"{"type":"url_verification","challenge":"3eZbrw1a"}"#, Timestamp::now().as_second());
    let head = |signature: String| format!("POST {path} HTTP/1.1\r\n{signature}");
    let answer = house.send(&head(slack(body, now)), body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"challenge\":\"3eZbrw1a\"}"), "{answer}");
    let forged = head(webhooks::slack("another secret", body, now));
    assert_eq!(status(&house.send(&forged, body.as_bytes()).await), 401);
    assert_eq!(house.shown(&[]).await["requests"].as_array().unwrap().len(), 0);
}

/// Row 141.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_answers_with_what_no_proxy_or_browser_acts_upon() {
    let house = House::start(|entry| entry.limit("webhook_time", "1 s")).await;
    let path = house.path("answer").await;
    let head = format!("POST {path} HTTP/1.1\r\nauthorization: Bearer {SECRET}\r\n");
    let answer = house.send(&head, b"say 201 content-type=text/plain yes, here").await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain\r\n") && answer.ends_with("\r\n\r\nyes, here"), "{answer}");
    assert!(answer.contains("content-security-policy: default-src 'none'; sandbox\r\n"), "{answer}");
    for (body, expected) in [
        ("nothing", 204),
        ("fail", 500),
        ("panic", 500),
        ("wait", 504),
        ("say 200 set-cookie=a=b x", 204),
        ("say 200 x-accel-redirect=/etc/passwd x", 204),
        ("say 200 location=https://evil.example x", 204),
        ("say 99 etag=x x", 204),
        ("say 600 etag=x x", 204),
    ] {
        // After a panic, the plugin starts again.
        let mut answer = house.send(&head, body.as_bytes()).await;
        while status(&answer) == 503 {
            answer = house.send(&head, body.as_bytes()).await;
        }
        assert_eq!(status(&answer), expected, "{body}: {answer}");
        assert!(
            !answer.contains("set-cookie") && !answer.contains("x-accel") && !answer.contains("location"),
            "{answer}"
        );
    }
    let get = format!("GET {path}?hub.challenge=1 HTTP/1.1\r\nauthorization: Bearer {SECRET}\r\n");
    assert_eq!(status(&house.send(&get, b"").await), 204);
    assert_eq!(status(&house.send(&head.replace(SECRET, "wrong"), b"nothing").await), 401);
    let shown = house.shown(&[]).await;
    let states: Vec<_> = shown["requests"].as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert!(states.contains(&json!(201)) && states.contains(&json!(504)), "{shown}");
}

/// Row 143: the owner sees also those that did not wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_disconnects_before_the_answer_is_counted() {
    let house = House::start(|entry| entry.limit("webhook_time", "60 s")).await;
    let path = house.path("answer").await;
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n");
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    stream.write_all(format!("{head}content-length: 4\r\n\r\nwait").as_bytes()).await.unwrap();
    house.told("answer 1 1 POST").await;
    drop(stream);
    // The host notices at some time.
    let counted = async {
        loop {
            let audit = house.audit().await;
            let mut names = audit["names"].as_array().into_iter().flatten();
            if let Some(name) = names.find(|name| name["what"] == "answer abandoned") {
                return (name["count"].clone(), name["received"].clone());
            }
        }
    };
    assert_eq!(tokio::time::timeout(SOON, counted).await.unwrap(), (json!(1), json!(4)));
}

/// Row 141: it is told again after a failure, and what came later waits until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_handler_fails_is_told_again_before_those_that_came_later() {
    let house = House::start(|entry| entry).await;
    let path = house.path("queue").await;
    for body in ["fail-once", "panic-once", "after"] {
        assert_eq!(status(&house.signed(&path, body).await), 202);
    }
    house.told("queue 1 1 POST None [\\\"x-github-event=push\\\"] after").await;
    let log = text(&house);
    let at = |text: &str| log.find(&format!("told queue {text}")).unwrap_or_else(|| panic!("{text}: {log}"));
    let order = [
        at("1 1 POST None [\\\"x-github-event=push\\\"] fail-once"),
        at("2 2 POST None [\\\"x-github-event=push\\\"] fail-once"),
        at("1 1 POST None [\\\"x-github-event=push\\\"] panic-once"),
        at("2 2 POST None [\\\"x-github-event=push\\\"] panic-once"),
        at("1 1 POST None [\\\"x-github-event=push\\\"] after"),
    ];
    assert!(order.is_sorted(), "{order:?}");
}

/// A request that fails, or that never ends, blocks those behind it: the owner is told, and can drop it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_blocks_those_behind_it_is_shown_with_the_reason_and_can_be_dropped() {
    let house = House::start(|entry| entry).await;
    let path = house.path("queue").await;
    for body in ["fail", "wait", "after"] {
        assert_eq!(status(&house.signed(&path, body).await), 202);
    }
    house.told("queue 2 2 POST None [\\\"x-github-event=push\\\"] fail").await;
    let shown = house.shown(&[]).await;
    let blocked = &shown["requests"][2];
    assert_eq!((&blocked["state"], &blocked["failure"]), (&json!("waiting"), &json!("its handler failed")), "{shown}");
    assert!(blocked["next"].is_string() && shown["requests"][1].get("next").is_none(), "{shown}");
    house.shown(&["--drop", &blocked["id"].to_string()]).await;
    house.told("queue 1 1 POST None [\\\"x-github-event=push\\\"] wait").await;
    let waits = shown["requests"][1]["id"].to_string();
    let shown = house.shown(&["--drop", &waits]).await;
    assert_eq!(
        (&shown["requests"][1]["state"], &shown["requests"][2]["state"]),
        (&json!("dropped"), &json!("dropped"))
    );
    house.told("queue 1 1 POST None [\\\"x-github-event=push\\\"] after").await;
    // One that does not wait cannot be dropped, and the audit has no entry about it.
    let refused = house.home.run(&["plugin", "hooks", "receiver", "--drop", &waits]).await.unwrap();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains(&format!("no request {waits} waits")), "{refused:?}");
    let audit = house.home.run(&["audit", "--plugin", "receiver"]).await.unwrap().stdout;
    assert_eq!(audit.matches(&format!("request {waits} is dropped")).count(), 1, "{audit}");
}

/// The sender of a request of the mode `answer` does not wait for a second answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_the_plugin_answered_is_not_told_once_more() {
    let house = House::start(|entry| entry).await;
    let path = house.path("answer").await;
    let head = format!("POST {path} HTTP/1.1\r\nauthorization: Bearer {SECRET}\r\n");
    assert_eq!(status(&house.send(&head, b"nothing").await), 204);
    let number = house.shown(&[]).await["requests"][0]["id"].to_string();
    let refused = house.home.run(&["plugin", "hooks", "receiver", "--replay", &number]).await.unwrap();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("its webhook has the mode \"answer\""), "{refused:?}");
    let audit = house.home.run(&["audit", "--plugin", "receiver"]).await.unwrap().stdout;
    assert!(!audit.contains("is told once more"), "{audit}");
}

/// Row 141: those that came while nobody listened wait, within the limits.
#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_for_a_plugin_that_does_not_listen_and_are_bounded() {
    let quiet = |entry: Entry| entry.set("tells", false).limit("webhook_queue", 3);
    let mut house = House::start(quiet).await;
    let path = house.path("queue").await;
    for body in ["1", "2", "3"] {
        assert_eq!(status(&house.signed(&path, body).await), 202);
    }
    let answer = house.signed(&path, "4").await;
    assert!(status(&answer) == 503 && answer.contains("retry-after: 30\r\n"), "{answer}");
    assert_eq!(house.shown(&[]).await["waiting"], 3);
    // Its owner lets it listen.
    assert_eq!(house.home.run(&["plugin", "config", "receiver", "tells", "true"]).await.unwrap().code, Some(0));
    for body in ["1", "2", "3"] {
        house.told(&format!("queue 1 1 POST None [\\\"x-github-event=push\\\"] {body}")).await;
    }
    house.host.stop(SOON).await.unwrap();
}

/// Row 142: senders change their secrets one after the other, and none is refused meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_former_secret_counts_until_its_owner_ends_it() {
    let mut house = House::start(|entry| entry).await;
    let path = house.path("queue").await;
    let new = house.home.keep_secret("new", "canary-another-secret").unwrap();
    let new = new["file"].as_str().unwrap().to_owned();
    // While the plugin restarts with the new secret, senders are told to try again.
    let send = async |house: &House, secret: &str, body: &str| loop {
        let head = format!("POST {path} HTTP/1.1\r\nx-github-event: push\r\n{}", github(secret, body));
        match status(&house.send(&head, body.as_bytes()).await) {
            503 => tokio::task::yield_now().await,
            other => break other,
        }
    };
    let set = ["plugin", "config", "receiver", "secret", "--file", &new, "--former-for", "1h"];
    let told = house.home.run(&set).await.unwrap();
    assert!(told.code == Some(0) && !format!("{told:?}").contains("canary"), "{told:?}");
    for (number, secret) in [SECRET, "canary-another-secret"].into_iter().enumerate() {
        assert_eq!(send(&house, secret, &number.to_string()).await, 202);
    }
    assert_eq!(send(&house, "canary-neither", "x").await, 401);
    house.host.wait("a sender still uses the former secret", &[("webhook", "queue")], SOON).await.unwrap();
    let shown = house.shown(&[]).await;
    let queue = shown["webhooks"].as_array().unwrap().iter().find(|webhook| webhook["name"] == "queue").unwrap();
    assert_eq!(queue["former"]["setting"], "secret", "{shown}");
    let ended = house.home.run(&["plugin", "config", "receiver", "--end-former", "secret"]).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(send(&house, SECRET, "y").await, 401);
    assert_eq!(send(&house, "canary-another-secret", "z").await, 202);
    let audit = house.home.run(&["audit", "--plugin", "receiver", "--json"]).await.unwrap();
    assert!(!format!("{audit:?}").contains("canary") && format!("{audit:?}").contains("the former one"), "{audit:?}");
    house.host.stop(SOON).await.unwrap();
}

/// Row 142: each repository of a forge may have its own secret, and none of them passes for another.
#[tokio::test(flavor = "multi_thread")]
async fn each_sender_has_its_own_secret_and_the_plugin_is_told_whose_it_was() {
    let mut house = House::start(|entry| entry).await;
    let path = house.path("queue").await;
    let [garden, later] = ["canary-of-the-garden", "canary-of-the-garden-2"].map(|secret| {
        let kept = house.home.keep_secret(secret, secret).unwrap();
        (secret, kept["file"].as_str().unwrap().to_owned())
    });
    let config = ["plugin", "config", "receiver"];
    let send = async |house: &House, secret: &str, more: &str, body: &str| loop {
        let head = format!("POST {path} HTTP/1.1\r\n{more}{}", github(secret, body));
        match status(&house.send(&head, body.as_bytes()).await) {
            503 => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(send(&house, garden.0, "", "early").await, 401);
    let set = ["secret", "--sender", "garden", "--file", &garden.1];
    let told = house.home.run(&[&config[..], &set].concat()).await.unwrap();
    assert!(told.code == Some(0) && !format!("{told:?}").contains("canary-shared"), "{told:?}");

    // The secret of the setting has no sender, whatever a request says.
    assert_eq!(send(&house, SECRET, "parlor-sender: garden\r\n", "a").await, 202);
    house.told("queue 1 1 POST None [] a").await;
    assert_eq!(send(&house, garden.0, "parlor-sender: shop\r\n", "b").await, 202);
    house.told("queue 1 1 POST None [\\\"parlor-sender=garden\\\"] b").await;
    assert_eq!(send(&house, "canary-neither", "", "x").await, 401);
    // Two senders may write the same at the same time. A repetition of either is told once.
    let (signed, now) = (house.path("slack").await, Timestamp::now().as_second());
    for secret in [SECRET, garden.0, SECRET, garden.0] {
        let head = format!("POST {signed} HTTP/1.1\r\n{}", webhooks::slack(secret, "same", now));
        assert_eq!(status(&house.send(&head, b"same").await), 202);
    }
    let shown = house.shown(&[]).await;
    let requests = shown["requests"].as_array().unwrap();
    assert_eq!(requests.iter().filter(|one| one["webhook"] == "slack").count(), 2, "{shown}");

    // It changes without loss, as that of the setting.
    let set = ["secret", "--sender", "garden", "--file", &later.1, "--former-for", "1h"];
    assert_eq!(house.home.run(&[&config[..], &set].concat()).await.unwrap().code, Some(0));
    for (secret, body) in [(garden.0, "c"), (later.0, "d"), (SECRET, "e")] {
        assert_eq!(send(&house, secret, "", body).await, 202, "{secret}");
    }
    let used = [("webhook", "queue"), ("sender", "garden")];
    house.host.wait("a sender still uses the former secret", &used, SOON).await.unwrap();
    let shown = house.shown(&[]).await;
    let queue = shown["webhooks"].as_array().unwrap().iter().find(|webhook| webhook["name"] == "queue").unwrap();
    assert_eq!(queue["senders"][0]["name"], "garden", "{shown}");
    assert!(queue["senders"][0]["former_until"].is_string() && queue["former"].is_null(), "{shown}");
    let ended = ["--end-former", "secret", "--sender", "garden"];
    assert_eq!(house.home.run(&[&config[..], &ended].concat()).await.unwrap().code, Some(0));
    assert_eq!(send(&house, garden.0, "", "y").await, 401);

    // Without it, the sender is a stranger.
    let unset = ["--unset", "secret", "--sender", "garden"];
    assert_eq!(house.home.run(&[&config[..], &unset].concat()).await.unwrap().code, Some(0));
    assert_eq!(send(&house, later.0, "", "z").await, 401);
    assert_eq!(send(&house, SECRET, "", "f").await, 202);
    let audit = house.home.run(&["audit", "--plugin", "receiver", "--json"]).await.unwrap();
    assert!(!format!("{audit:?}").contains("canary-of"), "{audit:?}");
    house.host.stop(SOON).await.unwrap();
}

/// Row 141: the same by their size.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_are_bounded_in_bytes() {
    let mut house = House::start(|entry| entry.set("tells", false).limit("webhook_bytes", "64 KiB")).await;
    let path = house.path("queue").await;
    let body = "x".repeat(30 << 10);
    let statuses =
        [house.signed(&path, &body).await, house.signed(&path, &body).await, house.signed(&path, &body).await];
    assert_eq!(statuses.each_ref().map(|answer| status(answer)), [202, 202, 503]);
    assert_eq!(status(&house.signed(&path, "short").await), 202);
    house.host.stop(SOON).await.unwrap();
}

/// A request wakes a parked plugin, and a grant that is taken back closes its webhooks at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_plugin_is_woken_and_one_without_the_grant_hears_nothing() {
    let house = House::start(|entry| entry.limit("idle", "50 ms")).await;
    let path = house.path("open").await;
    let head = format!("POST {path} HTTP/1.1\r\n");
    for number in 1..=3 {
        let mut state = Value::Null;
        while state != "parked" {
            state = house.home.run(&["status", "receiver", "--json"]).await.unwrap().json().unwrap()[0]["state"].take();
        }
        assert_eq!(status(&house.send(&head, number.to_string().as_bytes()).await), 202);
        house.told(&format!("open 1 1 POST None [] {number}")).await;
    }
    assert_eq!(house.home.run(&["plugin", "revoke", "receiver", "webhooks.receive"]).await.unwrap().code, Some(0));
    assert_ne!(status(&house.send(&head, b"4").await), 202);
}

/// Splits the address of a webhook into the listener and the path.
fn place(address: &Value) -> (SocketAddr, String) {
    let (at, path) = address.as_str().unwrap().strip_prefix("http://").unwrap().split_once('/').unwrap();
    (at.parse().unwrap(), format!("/{path}"))
}

/// Rows 139 and 141. Event webhook: a plugin knows its addresses, hears what comes there, and answers while its handler
/// runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_told_of_requests_as_events_and_answers_by_a_call() {
    let plan = Plan::offline().with_webhooks();
    let secret = plan.keep_secret("secret", SECRET);
    let told = |entry: Entry| granted(entry).set("signed", secret);
    let host = plan.caller(FULL, told).caller(BARE, |entry| entry).start().await;
    let listener = Listener::start(Arc::clone(&host.host));
    refuses_to_tell(&host, "webhooks.receive", &["webhook"]).await;
    let hears = host.listen_with(FULL, json!({ "name": "webhook", "webhook": "github" })).await;
    let (github_at, path) = place(&host.call(FULL, "webhooks.address", json!({ "name": "github" })).await.ok());
    let is_open = async {
        while TcpStream::connect(github_at).await.is_err() {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    assert!(tokio::time::timeout(SOON, is_open).await.is_ok(), "nobody listens at {github_at}");
    let head = format!("POST {path}?a=b HTTP/1.1\r\nx-github-event: push\r\n{}", github(SECRET, "hello"));
    assert_eq!(status(&send(github_at, &head, b"hello").await), 202);
    let event = host.heard(FULL, hears).await;
    let hook = &event["payload"]["webhook"];
    assert_eq!((&hook["name"], &hook["query"], &hook["body"]), (&json!("github"), &json!("a=b"), &json!("hello")));
    // A handler that returns without an answer gives 204, so this one waits for a promise.
    host.ears().promise("answered").await;
    let waits = json!({ "name": "webhook", "webhook": "asked", "promise": "answered" });
    let asked = host.order(FULL, "listen.on-and-wait", waits).await;
    host.answer(FULL, "listen.on-and-wait", asked).await.ok();
    let (at, path) = place(&host.call(FULL, "webhooks.address", json!({ "name": "asked" })).await.ok());
    let sending = tokio::spawn(async move { send(at, &format!("GET {path} HTTP/1.1\r\n"), b"").await });
    let id = host.heard(FULL, asked).await["payload"]["webhook"]["id"].clone();
    let answer = json!({ "id": id, "status": 201, "headers": [["content-type", "text/plain"]], "body": "done" });
    host.call(FULL, "webhooks.answer", answer.clone()).await.ok();
    let said = sending.await.unwrap();
    assert!(said.starts_with("HTTP/1.1 201 ") && said.ends_with("\r\n\r\ndone"), "{said}");
    host.call(FULL, "webhooks.answer", answer).await.fails("not-found");
    // The owner's figures count both, and one that is refused.
    let forged = head.replace("sha256=", "sha256=00");
    assert_eq!(status(&send(github_at, &forged, b"hello").await), 401);
    let page = metrics(&host).await;
    for line in [
        "parlor_webhook_requests_total{outcome=\"passed\"} 2",
        "parlor_webhook_requests_total{outcome=\"refused\"} 1",
        "parlor_webhook_bytes_total{direction=\"in\"} 10",
        "parlor_webhook_bytes_total{direction=\"out\"} 4",
    ] {
        assert!(page.lines().any(|one| one == line), "no {line:?} in {page}");
    }
    host.ears().emit("answered", &Value::Null).await;
    listener.stop().await;
    host.stop().await;
}

/// Row 139: nothing listens without need.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_without_a_plugin_that_has_webhooks() {
    let mut house = House::start(|entry| entry).await;
    assert!(TcpStream::connect(house.at).await.is_ok());
    assert_eq!(house.home.run(&["plugin", "remove", "receiver", "--yes"]).await.unwrap().code, Some(0));
    house.host.wait("webhooks are no longer listened for", &[], SOON).await.unwrap();
    assert!(TcpStream::connect(house.at).await.is_err());
}

/// GitHub does not repeat what was refused, and other senders do so after a 503. A stranger learns nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_to_a_disabled_plugin_is_told_to_try_again_and_a_stranger_is_refused() {
    let mut house = House::start(|entry| entry).await;
    let path = house.path("queue").await;
    assert_eq!(house.home.run(&["plugin", "disable", "receiver"]).await.unwrap().code, Some(0));
    for _ in 0..2 {
        let answer = house.signed(&path, "hello").await;
        assert!(status(&answer) == 503 && answer.contains("retry-after: 30\r\n"), "{answer}");
        let stranger = format!("/hooks/receiver/queue/{}", "0".repeat(48));
        for path in [stranger.as_str(), "/hooks/receiver/queue", "/"] {
            assert_eq!(status(&house.signed(path, "hello").await), 401, "{path}");
        }
        // The same after a restart, since the host knows the addresses from its store.
        house.host.stop(SOON).await.unwrap();
        (house.host, house.at) = listening(&house.home).await;
    }
    assert_eq!(house.home.run(&["plugin", "enable", "receiver"]).await.unwrap().code, Some(0));
    assert_eq!(house.path("queue").await, path);
    assert_eq!(status(&house.signed(&path, "again").await), 202);
    house.told("queue 1 1 POST None [\\\"x-github-event=push\\\"] again").await;
    assert!(!text(&house).contains("told queue 1 1 POST None [\\\"x-github-event=push\\\"] hello"));
    house.host.stop(SOON).await.unwrap();
}

/// Row 139: with its own certificate, and with a proxy that says from where a request comes.
#[tokio::test(flavor = "multi_thread")]
async fn it_listens_with_tls_and_believes_the_proxies_that_are_named() {
    let folder = Folder::new().unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let house = House::start_with(
        |entry| entry,
        |home| {
            home.set_web("certificate", certificate.certificate_file.display().to_string()).unwrap();
            home.set_web("certificate_key", certificate.key_file.display().to_string()).unwrap();
            home.set_web("address", "https://bot.example.org/base/").unwrap();
        },
    )
    .await;
    let shown = house.shown(&[]).await;
    assert!(
        shown["webhooks"][0]["address"].as_str().unwrap().starts_with("https://bot.example.org/base/hooks/receiver/")
    );
    let plain = house.send("GET / HTTP/1.1\r\n", b"").await;
    assert!(!plain.starts_with("HTTP"), "it speaks TLS alone: {plain:?}");
    let proxied = House::start_with(
        |entry| entry,
        |home| {
            home.set_web("proxies", vec!["127.0.0.1".to_owned()]).unwrap();
        },
    )
    .await;
    let path = proxied.path("open").await;
    for (house, forwarded, sender) in
        [(&proxied, "203.0.113.9, 198.51.100.7", "198.51.100.7"), (&proxied, "nonsense", "127.0.0.1")]
    {
        let head = format!("POST {path} HTTP/1.1\r\nx-forwarded-for: {forwarded}\r\n");
        assert_eq!(status(&house.send(&head, b"x").await), 202);
        assert_eq!(house.shown(&[]).await["requests"][0]["sender"], sender);
    }
}

/// Row 139: a renewed certificate counts once the configuration is read again. Until its key is there, too, the former one does.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_reached_within_tls_also_after_the_certificate_is_renewed() {
    let (folder, other) = (Folder::new().unwrap(), Folder::new().unwrap());
    let (former, renewed) = (Certificate::make(&folder).unwrap(), Certificate::make(&other).unwrap());
    let mut house = House::start_with(
        |entry| entry,
        |home| {
            home.set_web("certificate", former.certificate_file.display().to_string()).unwrap();
            home.set_web("certificate_key", former.key_file.display().to_string()).unwrap();
        },
    )
    .await;
    let path = house.path("queue").await;
    let (at, path) = (house.at, path.as_str());
    let post = async |certificate: &Certificate, body: &str| {
        let lines = format!("x-github-event: push\r\n{}", github(SECRET, body));
        webhooks::post_within_tls(at, &certificate.der, path, &lines, body).await
    };
    assert_eq!(post(&former, "one").await.unwrap(), 202);
    house.told("queue 1 1 POST None [\\\"x-github-event=push\\\"] one").await;
    assert!(post(&renewed, "unknown").await.is_err(), "it has another certificate");
    std::fs::copy(&renewed.certificate_file, &former.certificate_file).unwrap();
    house.home.run(&["reload"]).await.unwrap();
    house.host.wait(KEPT, &[], SOON).await.unwrap();
    assert_eq!(post(&former, "two").await.unwrap(), 202);
    std::fs::copy(&renewed.key_file, &former.key_file).unwrap();
    house.home.run(&["reload"]).await.unwrap();
    house.host.wait("webhooks are listened for with the new settings", &[], SOON).await.unwrap();
    assert_eq!(post(&renewed, "three").await.unwrap(), 202);
    assert!(post(&former, "unknown").await.is_err(), "the former certificate is still in use");
    house.told("queue 1 1 POST None [\\\"x-github-event=push\\\"] three").await;
    house.host.stop(SOON).await.unwrap();
}

/// Begins a request whose body has 3 bytes, and waits until the host has read its head.
async fn half(at: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let head = format!("{head}host: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begun = [0; 25];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// Ends such a request, and returns the answer.
async fn whole(mut stream: TcpStream) -> String {
    stream.write_all(b"abc").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Row 139: a host that stops answers the requests that have begun, and ends. The next one delivers what was stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_answers_the_requests_that_have_begun() {
    let mut house = House::start(|entry| entry.limit("webhook_time", "60 s")).await;
    let (open, answer) = (house.path("open").await, house.path("answer").await);
    let under_way = half(house.at, &format!("POST {open} HTTP/1.1\r\n")).await;
    let (at, head) = (house.at, format!("POST {answer} HTTP/1.1\r\nauthorization: Bearer {SECRET}\r\n"));
    let waiting = tokio::spawn(async move { send(at, &head, b"wait").await });
    house.told("answer 1 1 POST").await;
    house.host.signal(Signal::Terminate).unwrap();
    let has_closed = async {
        while TcpStream::connect(at).await.is_ok() {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    assert!(tokio::time::timeout(SOON, has_closed).await.is_ok(), "it takes new connections");
    assert_eq!(status(&whole(under_way).await), 202);
    let unanswered = waiting.await.unwrap();
    assert!(status(&unanswered) == 503 && unanswered.contains("retry-after: 30\r\n"), "{unanswered}");
    let ended = house.host.ended(SOON).await.unwrap();
    assert!(ended.success(), "{ended}: {}", text(&house));
    house.again().await;
    let is_stored = async {
        while !house.home.run(&["plugin", "data", "receiver", "export"]).await.unwrap().stdout.contains("\"open/abc\"")
        {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    assert!(tokio::time::timeout(SOON, is_stored).await.is_ok(), "it is not told: {}", text(&house));
    house.host.stop(SOON).await.unwrap();
}

/// The log line about settings that cannot be used.
const KEPT: &str = "webhooks are listened for as before, without the new settings: correct `listen`, `certificate` and `certificate_key` under [web], or the files that they name; this is tried again";

/// Row 139: the settings of the listener, and its address, while requests are under way.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_the_listener_refuse_nothing_and_interrupt_nothing() {
    let mut house = House::start(|entry| entry).await;
    let path = house.path("open").await;
    let head = format!("POST {path} HTTP/1.1\r\n");
    let reload = async |house: &House| assert_eq!(house.home.run(&["reload"]).await.unwrap().code, Some(0));
    let under_way = half(house.at, &head).await;
    house.home.set_web("proxies", vec!["127.0.0.1".to_owned()]).unwrap();
    reload(&house).await;
    house.host.wait("webhooks are listened for with the new settings", &[], SOON).await.unwrap();
    let forwarded = format!("{head}x-forwarded-for: 203.0.113.9\r\n");
    assert_eq!(status(&house.send(&forwarded, b"x").await), 202);
    assert_eq!(house.shown(&[]).await["requests"][0]["sender"], "203.0.113.9");
    assert_eq!(status(&whole(under_way).await), 202);
    assert!(!text(&house).contains("webhooks are no longer listened for"));
    // The address of another program is reported, and changes nothing.
    let (own, taken) = (house.at.to_string(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    house.home.set_web("listen", taken.local_addr().unwrap().to_string()).unwrap();
    reload(&house).await;
    let line = house.host.wait(KEPT, &[], SOON).await.unwrap();
    assert!(line.get("error").starts_with("another program listens at 127.0.0.1:"), "{line:?}");
    let shown = house.home.run(&["status", "--json"]).await.unwrap().json().unwrap();
    let fault = shown["webhooks_error"].as_str().unwrap();
    let until = format!("; until that is corrected, the host listens at {own} with the former settings");
    assert!(fault.starts_with("another program listens at 127.0.0.1:") && fault.ends_with(&until), "{fault}");
    let doctor = house.home.run(&["doctor", "--offline"]).await.unwrap();
    assert!(doctor.stdout.contains(&format!("webhooks cannot be listened for: {fault}")), "{doctor:?}");
    assert_eq!(status(&house.send(&head, b"x").await), 202);
    house.home.set_web("listen", own).unwrap();
    reload(&house).await;
    let (former, under_way) = (house.at, half(house.at, &head).await);
    house.home.set_web("listen", format!("127.0.0.1:{}", ports::free().unwrap())).unwrap();
    reload(&house).await;
    house.at = house.host.wait("webhooks are listened for", &[], SOON).await.unwrap().get("at").parse().unwrap();
    assert_ne!(house.at, former);
    // The former listener is there until its last request has ended.
    assert_eq!(status(&house.send(&head, b"x").await), 202);
    assert_eq!(status(&whole(under_way).await), 202);
    house.host.wait("webhooks are no longer listened for", &[], SOON).await.unwrap();
    assert!(TcpStream::connect(former).await.is_err());
    // Both addresses have this one, so only one of them can be listened at.
    house.home.set_web("listen", format!("0.0.0.0:{}", house.at.port())).unwrap();
    reload(&house).await;
    house.host.wait("webhooks are listened for", &[], SOON).await.unwrap();
    assert_eq!(status(&house.send(&head, b"x").await), 202);
    house.host.stop(SOON).await.unwrap();
}

/// Row 139: an owner learns that nobody listens without reading the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_finds_its_address_taken_is_shown_until_it_listens() {
    let mut house = House::start(|entry| entry).await;
    house.host.stop(SOON).await.unwrap();
    let taken = TcpListener::bind(house.at).await.unwrap();
    house.host = house.home.start().unwrap();
    house.host.wait("webhooks cannot be listened for; this is tried again", &[], SOON).await.unwrap();
    let says = format!("another program listens at {}: name another address in `listen` under [web]", house.at);
    let status = house.home.run(&["status", "--json"]).await.unwrap();
    assert_eq!(status.json().unwrap()["webhooks_error"], says);
    let status = house.home.run(&["status"]).await.unwrap();
    assert_eq!(status.code, Some(5), "{status:?}");
    assert!(status.stderr.contains("webhooks cannot be listened for: another program listens"), "{status:?}");
    let doctor = house.home.run(&["doctor", "--offline"]).await.unwrap();
    assert!(doctor.stdout.contains(&format!("webhooks cannot be listened for: {says}")), "{doctor:?}");
    drop(taken);
    house.host.wait("webhooks are listened for", &[], SOON).await.unwrap();
    let status = house.home.run(&["status", "--json"]).await.unwrap().json().unwrap();
    assert!(status.get("webhooks_error").is_none(), "{status}");
    house.host.stop(SOON).await.unwrap();
}

/// Row 142: 0 of those that were acknowledged are lost. `cargo xtask faults --kills` has more kills.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_at_random_moments() {
    let acknowledged = kills::run(12, &mut seed::random(), |_| {}).await.unwrap();
    assert!(acknowledged.count > 20, "{acknowledged:?}");
    assert!(acknowledged.lost.is_empty(), "{acknowledged:?}");
}
