//! `http`: requests over the web, which the host makes (rows 130–135 and 138 of `tests/conformance.toml`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor::control::metrics::{Metrics, MetricsPort};
use parlor_session::permissions::question::{Outcome, Question};
use parlor_store::{AuditFile, TallyKind, Traffic};
use parlor_tests::component::with_credentials_for;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use parlor_tests::ports;
use parlor_tests::web::{EarlyServer, KeepingServer, Web};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::test_host::{Plan, TestHost, id};
use crate::trace;

const ID: &str = "visitor";
const TOKEN: &str = "canary-8d1f/+token";

/// Starts a host with a plugin that may ask these servers, and whose credential is bound to the first one.
async fn host(web: &Web, scope: &[&str], entry: impl FnOnce(Entry) -> Entry) -> TestHost {
    let caller = plugins::built("caller").unwrap().bytes().unwrap();
    let caller = with_credentials_for(&caller, &web.host());
    let plan = Plan::offline().trusting(web.certificate());
    let token = plan.keep_secret("token", TOKEN);
    let given = |new: Entry| entry(new.set("name", ID).set("pass", token).grant("http.fetch", scope));
    plan.bytes(ID, &caller.unwrap(), given).start().await
}

async fn fetch(host: &TestHost, args: Value) -> Result<Value, Value> {
    host.call(ID, "http.fetch", args).await.result
}

fn url(web: &Web, path: &str) -> String {
    web.url(path)
}

fn case(answer: &Result<Value, Value>) -> &str {
    answer.as_ref().expect_err("an error").get("case").and_then(Value::as_str).unwrap()
}

/// Rows 130, 132.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_to_a_granted_server_by_a_granted_method_below_a_granted_path_and_nowhere_else() {
    let web = Web::start().await.unwrap();
    web.put("/a/b", "hello");
    let scope = format!("GET {}", url(&web, "/a/"));
    let host = host(&web, &[&scope, &web.address()], |entry| entry).await;
    let answer = fetch(&host, json!({ "url": url(&web, "/a/b"), "headers": [["X-One", "1"]] })).await.unwrap();
    assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!("hello")));
    assert_eq!(answer["url"], url(&web, "/a/b"));
    assert!(answer["headers"].as_array().unwrap().contains(&json!(["content-length", "5"])), "{answer}");
    assert_eq!(fetch(&host, json!({ "url": url(&web, "/a/none") })).await.unwrap()["status"], 404);
    let before = web.requests();
    assert!(
        before[0].contains("x-one: 1\r\n") && before[0].contains("accept-encoding: gzip, br;q=0.5\r\n"),
        "{}",
        before[0]
    );
    for args in [
        json!({ "url": url(&web, "/a/b"), "method": "POST" }),
        json!({ "url": url(&web, "/b") }),
        json!({ "url": url(&web, "/a/../b") }),
        json!({ "url": url(&web, "/a/%2e%2e/b") }),
        json!({ "url": url(&web, "/a/..%2fb") }),
        json!({ "url": url(&web, "/a/b").replace("https", "http") }),
        json!({ "url": "https://example.org/" }),
    ] {
        let answer = fetch(&host, args.clone()).await;
        assert_eq!(case(&answer), "denied", "{args}: {answer:?}");
        assert_eq!(answer.unwrap_err()["permission"], "http.fetch");
    }
    for header in ["host", "Content-Length", "transfer-encoding", "connection", "accept-encoding", "a b", ""] {
        let answer = fetch(&host, json!({ "url": url(&web, "/a/b"), "headers": [[header, "1"]] })).await;
        assert_eq!(case(&answer), "invalid", "{header}");
    }
    let answer = fetch(&host, json!({ "url": url(&web, "/a/b"), "headers": [["x", "1\r\nhost: evil"]] })).await;
    assert_eq!(case(&answer), "invalid");
    assert_eq!(web.requests(), before);
}

/// Row 132.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_of_the_public_network_is_dialed_only_if_the_owner_lists_it() {
    let web = Web::start().await.unwrap();
    web.put("/", "hello");
    let host = host(&web, &[&url(&web, "/")], |entry| entry).await;
    let answer = fetch(&host, json!({ "url": url(&web, "/") })).await;
    assert_eq!(case(&answer), "denied", "{answer:?}");
    // The plugin does not get the address that the name leads to.
    let error = answer.unwrap_err();
    let port = web.host().replace("localhost", "");
    assert_eq!(error["scope"], format!("https://localhost{port}"), "{error}");
    let exchange = call(&host, "http.open", json!({ "url": url(&web, "/"), "method": "PUT" })).await;
    let written = written_until_refused(&host, &json!({ "exchange": exchange, "part": "x" })).await.unwrap_err();
    let answered = host.call(ID, "http.answer", json!({ "exchange": exchange })).await.result.unwrap_err();
    assert_eq!((&written["case"], &answered), (&json!("protocol"), &error));
    for error in [&error, &written] {
        let text = error.to_string();
        assert!(text.contains("localhost") && text.contains("a network that is not public"), "{text}");
        assert!(!text.contains("127.0.0.1") && !text.contains("::1"), "{text}");
    }
    // Its owner does, with the command that allows it.
    let places = ["127.0.0.1", "[::1]"].map(|address| format!("https://{address}{port}"));
    let denied = host.host.status().await.remove(0).denied;
    assert_eq!(denied.len(), 2, "{denied:?}");
    for denial in denied {
        let place = places.iter().find(|place| denial.scope.as_ref() == Some(*place));
        assert!(place.is_some_and(|place| denial.hint.contains(place)), "{denial:?}");
    }
    assert!(web.requests().is_empty());
}

/// Rows 131, 133.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_goes_to_its_server_alone_and_comes_back_to_nobody() {
    let web = Web::start().await.unwrap();
    let other = Web::start_as(web.certificate()).await.unwrap();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unsafe_url = format!("http://127.0.0.1:{}/", plain.local_addr().unwrap().port());
    let all = [web.url("/"), other.url("/"), web.address(), other.address(), unsafe_url.clone()];
    let host = host(&web, &all.each_ref().map(String::as_str), |entry| entry).await;
    let encoded = TOKEN.replace('/', "%2F").replace('+', "%2B");
    let echoed = format!("you said {TOKEN} and {encoded}");
    let head = format!("HTTP/1.1 200 OK\r\nx-echo: {TOKEN}\r\ncontent-length: {}\r\n\r\n", echoed.len());
    web.put_raw(&format!("/?key={encoded}"), head + &echoed);
    let args = |url: &str| {
        let headers = json!([["authorization", "Bearer {{pass}}"], ["title", "What of {{pass}}?"]]);
        json!({ "url": url, "method": "POST", "headers": headers, "body": "my {{pass}}", "credentials": ["pass"] })
    };
    let answer = fetch(&host, args(&url(&web, "/?key={{pass}}"))).await.unwrap();
    let sent = web.requests().concat();
    assert!(sent.contains(&format!("authorization: Bearer {TOKEN}\r\n")), "{sent}");
    // The manifest binds it to one header, and a person may have written the title.
    assert!(sent.contains("title: What of {{pass}}?\r\n"), "{sent}");
    assert!(sent.ends_with(&format!("my {TOKEN}")) && sent.starts_with(&format!("POST /?key={encoded} ")), "{sent}");
    assert!(!answer.to_string().contains("canary") && answer["status"] == 200, "{answer}");
    // Towards a server that it is not bound to, and without TLS.
    for to in [url(&other, "/"), unsafe_url] {
        let answer = fetch(&host, args(&to)).await;
        assert_eq!(case(&answer), "denied", "{to}: {answer:?}");
    }
    assert!(other.requests().is_empty());
    // A redirect to another server takes the header away, and one that keeps the body is not followed.
    let echo = other.url(&format!("/?key={encoded}"));
    for (location, in_body, case) in
        [(other.url("/"), false, None), (other.url("/"), true, Some("denied")), (echo, false, Some("denied"))]
    {
        web.redirect("/go", &location);
        let mut args = args(&url(&web, "/go"));
        args["follow"] = json!(1);
        if !in_body {
            args["body"] = Value::Null;
        }
        let answer = fetch(&host, args).await;
        assert_eq!(answer.as_ref().err().map(|error| error["case"].as_str().unwrap()), case, "{answer:?}");
    }
    // Nor does one go there that an earlier request has left at its own server.
    web.redirect("/left", &other.url(&format!("/?key={encoded}")));
    let answer = fetch(&host, json!({ "url": url(&web, "/left"), "follow": 1 })).await;
    assert_eq!(case(&answer), "denied", "{answer:?}");
    let sent = other.requests().concat();
    assert!(sent.starts_with("GET / ") && !sent.contains("canary") && !sent.contains("authorization"), "{sent}");
    // Something that one request stored, another one may fetch.
    web.put("/stored", TOKEN);
    let fetched = fetch(&host, json!({ "url": url(&web, "/stored") })).await.unwrap();
    assert_eq!(fetched["body"], "*".repeat(TOKEN.len()));
    // A part of an answer could have a part of it.
    let mut range = args(&url(&web, "/"));
    range["headers"] = json!([["Range", "bytes=0-1"]]);
    assert_eq!(case(&fetch(&host, range).await), "invalid");
    // The plugin learns that there is one.
    host.call(ID, "settings.get", json!({ "key": "pass" })).await.is(json!({ "value": true }));
    host.call(ID, "settings.set", json!({ "key": "pass", "value": "mine" })).await.fails("invalid");
    let mut unknown = args(&url(&web, "/"));
    unknown["credentials"] = json!(["name"]);
    assert_eq!(case(&fetch(&host, unknown).await), "invalid", "it is no credential");
    assert!(!trace::tail(host.name()).contains("canary"));
}

/// Row 131: neither after requests that go well nor after those that fail, whatever the server makes of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_in_no_file_but_the_owners_own() {
    let web = Web::start().await.unwrap();
    let other = Web::start_as(web.certificate()).await.unwrap();
    let servers = [web.url("/"), web.address(), other.url("/"), other.address()];
    let host = host(&web, &servers.each_ref().map(String::as_str), |entry| entry.grant_whole("storage")).await;
    let encoded = TOKEN.replace('/', "%2F").replace('+', "%2B");
    let echo = format!("/?key={encoded}");
    let head = format!("HTTP/1.1 200 {TOKEN}\r\nx-echo: {TOKEN}\r\ncontent-length: {}\r\n\r\n", TOKEN.len());
    web.put_raw(&echo, head + TOKEN);
    web.put_raw(&format!("/broken?key={encoded}"), format!("{TOKEN}\r\n\r\n"));
    web.redirect(&format!("/go?key={encoded}"), &web.url(&echo));
    web.redirect(&format!("/away?key={encoded}"), &other.url(&echo));
    let asked = ["/?key", "/broken?key", "/go?key", "/away?key", "/{{pass}}?key"].map(|path| web.url(path));
    for url in asked.into_iter().chain([other.url("/?key"), "https://{{pass}}.example/?key".to_owned()]) {
        let args = json!({
            "url": format!("{url}={{{{pass}}}}"), "method": "POST", "body": "my {{pass}}", "follow": 2,
            "headers": [["authorization", "Bearer {{pass}}"]], "credentials": ["pass"],
        });
        let answer = fetch(&host, args).await;
        // The plugin stores what it gets.
        host.call(ID, "storage.set", json!({ "key": url, "value": format!("{answer:?}") })).await.ok();
    }
    let sent = web.requests().concat();
    assert!(sent.contains(&format!("Bearer {TOKEN}")) && sent.contains(&echo), "{sent}");
    let home = host.home.path().to_owned();
    let escaped = TOKEN.replace('/', "\\/");
    let forms = [TOKEN.to_owned(), encoded.to_lowercase(), encoded, escaped, BASE64_STANDARD.encode(TOKEN)];
    let mut found = Vec::new();
    let search = async || {
        for file in files(&home) {
            // A text in a file of bytes stays as it is.
            let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            if forms.iter().any(|form| text.contains(form)) {
                found.push(file);
            }
        }
    };
    host.stop_then(search).await;
    assert_eq!(found, [home.join("token")]);
}

/// Returns the files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let below = entries.flat_map(|entry| {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() { files(&path) } else { Vec::from_iter(kind.is_file().then_some(path)) }
    });
    below.collect()
}

/// Row 131: nothing could find a credential in it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_unpacked_reaches_no_plugin_that_has_a_credential() {
    let web = Web::start().await.unwrap();
    let host = host(&web, &[&web.url("/"), &web.address()], |entry| entry).await;
    for coding in ["deflate", "zstd", "gzip, gzip", "gzip\r\ncontent-encoding: br"] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\nconnection: close\r\n");
        web.put_raw("/packed", head + "content-length: 2\r\n\r\nab");
        let answer = fetch(&host, json!({ "url": web.url("/packed") })).await;
        assert_eq!(case(&answer), "protocol", "{coding}: {answer:?}");
        let exchange = call(&host, "http.open", json!({ "url": web.url("/packed") })).await;
        assert_eq!(failed(&host, "http.answer", json!({ "exchange": exchange })).await, "protocol", "{coding}");
        call(&host, "http.close", json!({ "exchange": exchange })).await;
    }
    // One without a body says of its coding what it likes.
    let answer = fetch(&host, json!({ "url": web.url("/packed"), "method": "HEAD" })).await;
    assert_eq!(answer.unwrap()["status"], 200);
}

/// Row 133.
#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_as_far_as_was_asked_and_granted() {
    let web = Web::start().await.unwrap();
    let host = host(&web, &[&url(&web, "/a/"), &web.address()], |entry| entry).await;
    web.redirect("/a/1", "/a/2");
    web.redirect("/a/2", "3");
    web.put("/a/3", "there");
    web.redirect("/a/round", "/a/round");
    web.redirect("/a/away", "/b");
    web.redirect("/a/plain", &url(&web, "/a/3").replace("https", "http"));
    let go = |path: &str, follow: u8| {
        let args = json!({ "url": url(&web, path), "follow": follow });
        async { fetch(&host, args).await }
    };
    assert_eq!(go("/a/1", 0).await.unwrap()["status"], 302);
    let there = go("/a/1", 2).await.unwrap();
    assert_eq!((&there["body"], &there["url"]), (&json!("there"), &json!(url(&web, "/a/3"))));
    for (path, follow, expected) in [
        ("/a/1", 1, "protocol"),
        ("/a/round", 3, "protocol"),
        ("/a/away", 1, "denied"),
        ("/a/plain", 1, "protocol"),
        ("/a/1", 11, "invalid"),
    ] {
        let answer = go(path, follow).await;
        assert_eq!(case(&answer), expected, "{path}: {answer:?}");
    }
    let asked = web.requests();
    assert!(!asked.iter().any(|request| request.starts_with("GET /b ")), "{asked:?}");
}

/// Returns the page of metrics.
pub(crate) async fn metrics(host: &TestHost) -> String {
    let port = ports::free().unwrap();
    let bound = MetricsPort::bind(format!("127.0.0.1:{port}").parse().unwrap()).unwrap();
    let serves = Metrics::start(bound, Arc::clone(&host.host)).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    serves.stop().await;
    page
}

/// Row 138.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_shown_which_servers_a_plugin_asks_and_may_ask_but_no_path() {
    let web = Web::start().await.unwrap();
    web.put("/a/hidden?hidden=1", "hello");
    let scope = format!("POST {}", web.url("/a/"));
    let other = Web::start_as(web.certificate()).await.unwrap();
    other.put("/hidden", "there");
    web.redirect("/a/hidden/go", &other.url("/hidden"));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}");
    let scopes = [&scope, &web.address(), &other.url("/hidden"), &other.address(), &closed];
    let host = host(&web, &scopes.map(String::as_str), |entry| entry).await;
    let asked = json!({ "url": web.url("/a/hidden?hidden=1"), "method": "POST", "body": "hidden" });
    assert_eq!(fetch(&host, asked).await.unwrap()["status"], 200);
    let line = host.logged("plugin made a request", &[("plugin", ID), ("method", "POST"), ("status", "200")]).await;
    assert_eq!((line.get("server"), line.get("bytes")), (format!("https://{}", web.host()).as_str(), "5"));
    assert!(trace::with("account", host.name()).iter().all(|line| !format!("{line:?}").contains("hidden")));
    let record = host.host.status().await.pop().unwrap().record.unwrap();
    assert_eq!((record.requests, record.denials), (1, 0));
    assert_eq!(record.web, Traffic { sent: 6, received: 5 });
    let (page, on) = (metrics(&host).await, format!("plugin=\"{ID}\",account=\"{}\"", host.name()));
    for line in [
        format!("parlor_plugin_web_requests_total{{{on}}} 1"),
        format!("parlor_plugin_web_bytes_total{{{on},direction=\"out\"}} 6"),
        format!("parlor_plugin_web_bytes_total{{{on},direction=\"in\"}} 5"),
    ] {
        assert!(page.lines().any(|one| one == line), "no {line:?} in {page}");
    }
    // The bytes of one in parts are known at its end.
    let exchange = call(&host, "http.open", json!({ "url": web.url("/a/hidden?hidden=1"), "method": "POST" })).await;
    call(&host, "http.write", json!({ "exchange": exchange, "part": "hidden!" })).await;
    call(&host, "http.answer", json!({ "exchange": exchange })).await;
    while !call(&host, "http.read", json!({ "exchange": exchange })).await.is_null() {}
    host.logged("plugin made a request", &[("plugin", ID), ("sent", "7"), ("bytes", "5"), ("status", "200")]).await;
    for (asks, expected) in [
        (format!("http.fetch={scope}b"), Outcome::Yes),
        (format!("http.fetch=GET {}", web.url("/a/b")), Outcome::No),
        ("http.fetch=https://example.org".to_owned(), Outcome::No),
        ("http.fetch".to_owned(), Outcome::Partly),
    ] {
        let answers = host.host.explain(&id(ID), &Question::parse(&asks, None).unwrap()).await;
        assert_eq!(answers[0].answer.outcome, expected, "{asks}: {answers:?}");
    }
    assert!(fetch(&host, json!({ "url": format!("{closed}/hidden") })).await.is_err());
    let follows = json!({ "url": web.url("/a/hidden/go"), "method": "POST", "body": "ab", "follow": 1 });
    assert_eq!(fetch(&host, follows).await.unwrap()["body"], "there");
    // The audit has all of them after the host has ended.
    let (data, mut names) = (host.home.path().join("data"), Vec::new());
    let read = async || {
        let mut audit = AuditFile::open(&data).unwrap().unwrap();
        names = audit.activity(Some(ID), None, None).unwrap().1;
    };
    host.stop_then(read).await;
    let made: Vec<_> = names.iter().filter(|name| name.kind == TallyKind::Request.as_str()).collect();
    let find = |what: &str| made.iter().find(|name| name.what == what).unwrap_or_else(|| panic!("{what}: {made:?}"));
    let answered = find(&format!("POST https://{} 2xx", web.host()));
    assert_eq!((answered.count, answered.traffic), (2, Some(Traffic { sent: 13, received: 10 })));
    let failed = find(&format!("GET {closed} failed"));
    assert_eq!((failed.count, failed.traffic), (1, Some(Traffic::default())));
    // A redirect leads to a request of its own.
    let redirected = find(&format!("POST https://{} 3xx", web.host()));
    assert_eq!((redirected.count, redirected.traffic), (1, Some(Traffic { sent: 2, received: 0 })));
    let followed = find(&format!("GET https://{} 2xx", other.host()));
    assert_eq!((followed.count, followed.traffic), (1, Some(Traffic { sent: 0, received: 5 })));
    assert!(!format!("{names:?}").contains("hidden"), "{names:?}");
}

/// Otherwise, one plugin could use what another one has proved to the server, or learn that it was there.
#[tokio::test(flavor = "multi_thread")]
async fn no_two_plugins_and_no_two_accounts_share_a_connection() {
    const ROUNDS: usize = 20;
    let server = KeepingServer::start().await.unwrap();
    let mut plan = Plan::new().await;
    plan.account().await;
    let given = |entry: Entry| entry.grant("http.fetch", &[server.url()]);
    let host = plan.caller("one", given).caller("two", given).start().await;
    let mut kept = 0;
    // Each connection is idle while the others ask. It may take a moment until it can be used again.
    for _ in 0..ROUNDS {
        for (at, plugin) in [(0, "one"), (0, "two"), (1, "one"), (1, "two")] {
            let who = format!("{plugin} on account {at}");
            let args = json!({ "url": server.url(), "headers": [["x-who", who]] });
            assert_eq!(host.call_on(at, plugin, "http.fetch", args).await.ok()["status"], 200);
        }
        kept = server.connections().iter().filter(|requests| requests.len() > 1).count();
        if kept >= 4 {
            break;
        }
    }
    let connections = server.connections();
    for requests in &connections {
        assert!(requests.iter().all(|who| *who == requests[0]), "{connections:?}");
    }
    assert!(kept >= 4 && connections.len() >= 4, "no connection is kept: {connections:?}");
    host.stop().await;
}

/// Row 134.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_on_the_way_has_a_case_of_its_own() {
    let (web, untrusted) = (Web::start().await.unwrap(), Web::start().await.unwrap());
    let (silent, closed) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let [silent_url, closed_url] = [&silent, &closed].map(|one| format!("http://{}/", one.local_addr().unwrap()));
    drop(closed);
    let scope =
        [web.url("/"), untrusted.url("/"), silent_url.clone(), closed_url.clone(), web.address(), untrusted.address()];
    let host = host(&web, &scope.each_ref().map(String::as_str), |entry| entry.limit("http_body", "1 KiB")).await;
    web.put_raw("/garbage", "nothing of the kind\r\n\r\n");
    web.put_raw("/cut", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    web.put("/large", "x".repeat(1_025));
    web.put("/fits", "x".repeat(1_024));
    for (url, expected) in [
        (closed_url, "unreachable"),
        (untrusted.url("/"), "tls"),
        (web.url("/garbage"), "protocol"),
        (web.url("/cut"), "protocol"),
        (web.url("/large"), "over-limit"),
        (silent_url, "timed-out"),
    ] {
        let answer = fetch(&host, json!({ "url": url, "timeout": 2_000 })).await;
        assert_eq!(case(&answer), expected, "{url}: {answer:?}");
    }
    assert_eq!(fetch(&host, json!({ "url": web.url("/fits") })).await.unwrap()["size"], 1_024);
}

/// Row 134.
#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_and_a_second_are_limited_each() {
    const MANY: usize = 24;
    let web = Web::start().await.unwrap();
    web.put("/", "hello");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}/", silent.local_addr().unwrap());
    let scope = [web.url("/"), silent_url.clone(), web.address()];
    let scope = scope.each_ref().map(String::as_str);
    let limited = |at_once: u32, a_second: u32| {
        let limits = move |entry: Entry| entry.limit("http_requests", at_once).limit("http_per_second", a_second);
        host(&web, &scope, limits)
    };
    let host = limited(1, 10_000).await;
    let open = host.order(ID, "http.fetch", json!({ "url": silent_url })).await;
    let (mut stream, _) = silent.accept().await.unwrap();
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut asked).await.unwrap();
    }
    let answer = fetch(&host, json!({ "url": web.url("/") })).await;
    assert_eq!(case(&answer), "over-limit");
    assert!(answer.unwrap_err()["what"].as_str().unwrap().contains("at once"));
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(host.answer(ID, "http.fetch", open).await.ok()["status"], 204);
    for _ in 0..3 {
        let answer = fetch(&host, json!({ "url": web.url("/") })).await;
        assert!(answer.is_ok(), "{answer:?}");
    }
    assert_eq!(web.requests().len(), 3);

    // One is made at once, and then one each second. The others would wait for longer than two seconds, and are refused,
    // unless the machine took 24 seconds to order all of them.
    let host = limited(32, 1).await;
    let mut orders = Vec::new();
    for _ in 0..MANY {
        orders.push(host.order(ID, "http.fetch", json!({ "url": web.url("/") })).await);
    }
    let mut refused = 0;
    for order in orders {
        let answer = host.answer(ID, "http.fetch", order).await.result;
        if let Err(error) = &answer {
            assert_eq!(case(&answer), "over-limit");
            assert_eq!(error["what"], "1 requests over the web a second (http_per_second)");
            refused += 1;
        }
    }
    assert!(refused > 0, "all {MANY} were made");
    assert_eq!(web.requests().len(), 3 + MANY - refused, "a refused one reaches no server");
}

/// Row 134.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_over_the_web_is_paced_and_ends_in_its_time() {
    let web = Web::start().await.unwrap();
    web.put("/", "x".repeat(1 << 20));
    let limited = |entry: Entry| {
        let entry = entry.limit("http_body", "1 MiB").limit("http_bytes_per_second", "64 KiB");
        entry.limit("http_time", "2 s")
    };
    let host = host(&web, &[&web.url("/"), &web.address()], limited).await;
    // 4 MiB may come at once, and the next would take 16 s.
    for _ in 0..4 {
        assert_eq!(fetch(&host, json!({ "url": web.url("/") })).await.unwrap()["size"], 1 << 20);
    }
    assert_eq!(case(&fetch(&host, json!({ "url": web.url("/") })).await), "timed-out");
}

/// Row 134. Whole bodies are refused if they would wait for longer than two seconds, and a body in parts waits for each part.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_over_the_web_is_paced() {
    const MANY: usize = 16;
    let web = Web::start().await.unwrap();
    let [whole, opened, parts] = ["/whole", "/opened", "/parts"].map(|path| web.url(path));
    for path in ["/whole", "/opened", "/parts"] {
        web.put(path, "");
    }
    let limited = |entry: Entry| {
        let entry = entry.limit("http_bytes_per_second", "64 KiB").limit("http_body", "1 KiB");
        let entry = entry.limit("hostcall_bytes", "128 KiB").limit("http_time", "30 s");
        entry.limit("http_requests", 64).limit("http_per_second", 10_000)
    };
    let host = host(&web, &[&whole, &opened, &parts, &web.address()], limited).await;
    let body = "x".repeat(50_000);
    // 128 KiB may go at once. The other bodies would take 10 s, unless the machine took that long to order them.
    let mut orders = Vec::new();
    for number in 0..MANY {
        let (call, url) = if number % 2 == 0 { ("http.fetch", &whole) } else { ("http.open", &opened) };
        let args = json!({ "url": url, "method": "POST", "body": body });
        orders.push((call, host.order(ID, call, args).await));
    }
    let mut refused = Vec::new();
    for (call, order) in orders {
        let answer = host.answer(ID, call, order).await.result;
        if let Err(error) = &answer {
            assert_eq!(case(&answer), "over-limit");
            assert_eq!(error["what"], "64 KiB over the web a second (http_bytes_per_second)");
            refused.push(call);
        }
    }
    for call in ["http.fetch", "http.open"] {
        assert!(refused.contains(&call), "each body of {call} went at once: {refused:?}");
    }
    let sent = web.requests().iter().filter(|request| request.starts_with("POST /whole ")).count();
    let kept = refused.iter().filter(|call| **call == "http.fetch").count();
    assert_eq!(sent, MANY / 2 - kept, "a refused one reaches no server");

    // All that was saved up meanwhile covers 128 KiB of them.
    let began = Instant::now();
    let exchange = call(&host, "http.open", json!({ "url": parts, "method": "POST" })).await;
    for _ in 0..6 {
        call(&host, "http.write", json!({ "exchange": exchange, "part": body })).await;
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(2), "300,000 bytes went within {took:?}");
    assert_eq!(call(&host, "http.answer", json!({ "exchange": exchange })).await["status"], 200);
}

/// Row 134: an owner may allow long answers, and yet no server that is silent.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_to_begin_in_its_own_time() {
    let web = Web::start().await.unwrap();
    let [slow, silent] =
        [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let [slow_url, silent_url] = [&slow, &silent].map(|one| format!("http://{}/", one.local_addr().unwrap()));
    let limited = |entry: Entry| entry.limit("http_first_byte", "2 s").limit("http_time", "10 min");
    let host = host(&web, &[&slow_url, &silent_url], limited).await;
    let begun = host.order(ID, "http.fetch", json!({ "url": slow_url })).await;
    let (mut stream, _) = slow.accept().await.unwrap();
    // An answer that comes before its request is none.
    assert_eq!(stream.read_u8().await.unwrap(), b'G');
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha").await.unwrap();
    let exchange = call(&host, "http.open", json!({ "url": silent_url })).await;
    let in_parts = host.order(ID, "http.answer", json!({ "exchange": exchange })).await;
    assert_eq!(case(&fetch(&host, json!({ "url": silent_url })).await), "timed-out");
    assert_eq!(case(&host.answer(ID, "http.answer", in_parts).await.result), "timed-out");
    // The one that has begun is in time, although it ends later.
    stream.write_all(b"lf").await.unwrap();
    assert_eq!(host.answer(ID, "http.fetch", begun).await.ok()["body"], "half");
}

async fn call(host: &TestHost, function: &str, args: Value) -> Value {
    host.call(ID, function, args).await.ok()
}

async fn failed(host: &TestHost, function: &str, args: Value) -> String {
    let answer = host.call(ID, function, args).await.result;
    case(&answer).to_owned()
}

/// Writes parts of a body until one is refused: it takes a moment until the answer or an error has come.
async fn written_until_refused(host: &TestHost, part: &Value) -> Result<Value, Value> {
    let mut written = Ok(Value::Null);
    for _ in 0..1_000 {
        written = host.call(ID, "http.write", part.clone()).await.result;
        if written.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    written
}

/// Row 135.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_goes_in_parts_in_both_directions() {
    let web = Web::start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("http://{}/log", listener.local_addr().unwrap());
    let host = host(&web, &[&web.url("/"), &web.address(), &plain], |entry| entry.limit("http_requests", 1)).await;
    // Without a length it goes in chunks, which are there before the end.
    let open = json!({ "url": plain, "method": "PUT" });
    let exchange = call(&host, "http.open", open).await;
    let this = |more: Value| {
        let mut args = json!({ "exchange": exchange });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    call(&host, "http.write", this(json!({ "part": "one" }))).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"one\r\n") {
        stream.read_buf(&mut got).await.unwrap();
    }
    assert!(String::from_utf8_lossy(&got).contains("transfer-encoding: chunked\r\n"));
    assert_eq!(failed(&host, "http.read", this(json!({}))).await, "not-found");
    assert_eq!(failed(&host, "http.open", json!({ "url": web.url("/") })).await, "over-limit");
    call(&host, "http.write", this(json!({ "part": "two" }))).await;
    let answer = host.order(ID, "http.answer", this(json!({}))).await;
    while !got.ends_with(b"0\r\n\r\n") {
        stream.read_buf(&mut got).await.unwrap();
    }
    // The end of it could be the beginning of a credential.
    let begun = "d".repeat(200);
    stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
    stream.write_all(begun.as_bytes()).await.unwrap();
    assert_eq!(host.answer(ID, "http.answer", answer).await.ok()["status"], 201);
    assert_eq!(failed(&host, "http.write", this(json!({ "part": "x" }))).await, "not-found");
    let part = call(&host, "http.read", this(json!({}))).await;
    assert!(part["part"].as_str().is_some_and(|part| part.len() < 200 && begun.contains(part)), "{part}");
    // A read that waits ends with the request.
    let reading = host.order(ID, "http.read", this(json!({}))).await;
    call(&host, "http.close", this(json!({}))).await;
    assert_eq!(case(&host.answer(ID, "http.read", reading).await.result), "not-found");
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the connection has ended");
    assert_eq!(failed(&host, "http.close", this(json!({}))).await, "not-found");
    // With a length, it has that length.
    let sized = json!({ "url": web.url("/"), "method": "PUT", "headers": [["content-length", "6"]] });
    let exchange = call(&host, "http.open", sized).await;
    let this = |part: &str| json!({ "exchange": exchange, "part": part });
    call(&host, "http.write", this("abc")).await;
    let short = host.call(ID, "http.answer", this("")).await.result.unwrap_err();
    assert_eq!((&short["case"], &short["argument"]), (&json!("invalid"), &json!("exchange")), "{short}");
    assert_eq!(failed(&host, "http.write", this("defg")).await, "invalid");
    // It stays open, and takes what is missing.
    call(&host, "http.write", this("def")).await;
    assert_eq!(failed(&host, "http.write", this("g")).await, "invalid");
    assert_eq!(call(&host, "http.answer", this("")).await["status"], 404);
    assert_eq!(failed(&host, "http.write", this("g")).await, "not-found");
    assert_eq!(failed(&host, "http.answer", this("")).await, "not-found");
    call(&host, "http.close", this("")).await;
    assert!(web.requests()[0].ends_with("\r\n\r\nabcdef"), "{:?}", web.requests());
    let odd = json!({ "url": web.url("/"), "method": "PUT", "headers": [["content-length", "+6"]] });
    assert_eq!(failed(&host, "http.open", odd).await, "invalid");
    assert_eq!(failed(&host, "http.open", json!({ "url": web.url("/"), "follow": 1 })).await, "invalid");
    // Nothing is filled into parts, and no name of a credential reaches the server in its place.
    let named = json!({ "url": web.url("/"), "method": "PUT", "credentials": ["pass"] });
    let exchange = call(&host, "http.open", named).await;
    let this = |part: &str| json!({ "exchange": exchange, "part": part });
    call(&host, "http.write", this("{{other}} {{pa")).await;
    assert_eq!(failed(&host, "http.write", this("ss}}")).await, "invalid");
    call(&host, "http.close", this("")).await;
}

/// Row 135: a server may answer before it has the whole body. It takes no more of it then, and its answer is read.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_before_the_end_of_a_body_is_read() {
    const LARGE: &str = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nlarge";
    let web = Web::start().await.unwrap();
    let early = EarlyServer::start(&[LARGE, LARGE]).await.unwrap();
    let host = host(&web, &[early.url()], |entry| entry).await;
    for headers in [json!([]), json!([["content-length", "100000000"]])] {
        let open = json!({ "url": early.url(), "method": "PUT", "headers": headers });
        let this = json!({ "exchange": call(&host, "http.open", open).await, "part": "x" });
        let written = written_until_refused(&host, &this).await;
        assert_eq!(case(&written), "protocol", "{written:?}");
        assert!(format!("{written:?}").contains("takes no more of the body, and answered 413"), "{written:?}");
        assert_eq!(call(&host, "http.answer", this.clone()).await["status"], 413);
        assert_eq!(call(&host, "http.read", this.clone()).await["part"], "large");
        assert_eq!(call(&host, "http.read", this).await, Value::Null);
    }
}

/// Row 135: otherwise the host would collect them.
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_body_wait_for_a_server_that_reads_nothing() {
    /// Much more than both ends of a connection have room for.
    const MUCH: usize = 256 << 20;
    let web = Web::start().await.unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", mute.local_addr().unwrap());
    let limited = |entry: Entry| entry.limit("http_time", "2 s").limit("http_bytes_per_second", "1024 MiB");
    let host = host(&web, &[&url], limited).await;
    let this =
        json!({ "exchange": call(&host, "http.open", json!({ "url": url, "method": "PUT" })).await, "size": MUCH });
    let written = host.call(ID, "http.write", this.clone()).await.result;
    assert_eq!(case(&written), "timed-out", "{written:?}");
    // A server that begins to read gets what waited, and no more was taken meanwhile than fits on the way.
    call(&host, "http.close", this).await;
    let (mut stream, _) = mute.accept().await.unwrap();
    let (mut came, mut room) = (0, vec![0; 1 << 20]);
    while let Ok(count @ 1..) = stream.read(&mut room).await {
        came += count;
    }
    assert!(came < MUCH / 2, "{came} bytes were taken");
}

/// Row 135: a credential is found also where two parts meet, and nobody skips a part.
#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_an_answer_shows_a_part_of_a_credential() {
    let web = Web::start().await.unwrap();
    let host = host(&web, &[&web.url("/"), &web.address()], |entry| entry).await;
    for before in 1..TOKEN.len() {
        let path = format!("/{before}");
        web.put(&path, "x".repeat((64 << 10) - before) + TOKEN + "end");
        let exchange = call(&host, "http.open", json!({ "url": web.url(&path) })).await;
        call(&host, "http.answer", json!({ "exchange": exchange })).await;
        let (mut shown, mut size) = (String::new(), 0);
        loop {
            let part = call(&host, "http.read", json!({ "exchange": exchange })).await;
            if part.is_null() {
                break;
            }
            size += part["size"].as_u64().unwrap();
            shown.push_str(part["part"].as_str().unwrap());
        }
        assert_eq!(size, ((64 << 10) - before + TOKEN.len() + 3) as u64);
        let shown = shown.trim_matches('x');
        assert!(!shown.contains("canary") && shown.ends_with("*end"), "{before}: {shown}");
    }
}
