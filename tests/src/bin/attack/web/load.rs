//! Attacks by servers that waste the host's time and memory, and by plugins that leave requests open.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use parlor_tests::web::Web;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::servers::{Answer, Server, until};
use super::{PASS, fast, plan_with};
use crate::between::order;
use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::stage::{Plan, SOON, Stage};
use crate::trial::Trial;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(93, "servers that are slow, endless or no servers", bad_servers),
        case!(94, "a flood of requests beside another plugin", flood),
        case!(108, "a grant taken back in the middle of a request", grant_taken_back),
        case!(109, "requests that are opened and not read", unread),
    ]
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// The targets of a bad server, each with the expected error.
const BAD: [(&str, &str); 14] = [
    ("/silent", "timed-out"),
    ("/slow-head", "timed-out"),
    ("/slow-body", "timed-out"),
    ("/hints", "protocol"),
    ("/endless", "over-limit"),
    ("/bomb", "over-limit"),
    ("/headers", "protocol"),
    ("/long-header", "protocol"),
    ("/cut", "protocol"),
    ("/two-lengths", "protocol"),
    ("/chunk", "protocol"),
    ("/no-gzip", "protocol"),
    ("/no-http", "protocol"),
    ("/end", "protocol"),
];

/// Returns how the bad server answers.
fn bad(target: &str) -> Answer {
    match target {
        "/slow-head" => Answer::Trickle(format!("{OK}x-slow: ").into(), b"x".to_vec()),
        "/slow-body" => Answer::Trickle(format!("{OK}content-length: 1000000\r\n\r\n").into(), b"x".to_vec()),
        "/hints" => Answer::Endless(Vec::new(), b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100)),
        "/endless" => Answer::Endless(format!("{OK}\r\n").into(), vec![b'x'; 64 << 10]),
        "/bomb" => {
            let bomb = bomb();
            let head = format!("{OK}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
            Answer::raw([head.as_bytes(), &bomb].concat())
        }
        "/headers" => {
            let headers = (0..100_000).fold(OK.to_owned(), |head, number| head + &format!("x-{number}: y\r\n"));
            Answer::raw(headers + "\r\n")
        }
        "/long-header" => Answer::raw(format!("{OK}x: {}\r\n\r\n", "y".repeat(1 << 20))),
        "/cut" => Answer::raw(format!("{OK}content-length: 10\r\n\r\nhalf")),
        "/two-lengths" => Answer::raw(format!("{OK}content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef")),
        "/chunk" => Answer::raw(format!("{OK}transfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n")),
        "/no-gzip" => Answer::raw(format!("{OK}content-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd")),
        "/no-http" => Answer::raw("SSH-2.0-OpenSSH_9.6\r\n"),
        "/end" => Answer::raw(""),
        _ => Answer::Begun(Vec::new()),
    }
}

/// Returns a gzip stream (RFC 1952) that unpacks to 64 MiB of zeros: a zero, and then copies of the 258 bytes before.
fn bomb() -> Vec<u8> {
    // The last block, with the fixed codes, and the code of a zero (RFC 1951, section 3.2.6).
    const BEGIN: [u8; 11] = [1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    // The codes of the length 258 and of the distance 1.
    const COPY: [u8; 13] = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let bits: Vec<u8> = BEGIN.into_iter().chain(std::iter::repeat_n(COPY, 1 << 18).flatten()).collect();
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| (byte << 1) | bit);
    [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), bits.chunks(8).map(byte).collect()].concat()
}

async fn bad_servers(trial: &mut Trial) -> Result<String> {
    let (web, untrusted, server) = (Web::start().await?, Web::start().await?, Server::start(bad).await?);
    // The kernel accepts connections to it, but nothing reads from them.
    let mute = TcpListener::bind("127.0.0.1:0").await?;
    let mute_url = format!("https://{}/", mute.local_addr()?);
    let no_tls = server.url("/").replace("http", "https");
    // The host trusts the certificates of these two, which are for another server and too old.
    let folders = [Folder::new()?, Folder::new()?];
    let certificates =
        [Certificate::make_for(&folders[0], &["other.example"])?, Certificate::make_expired(&folders[1])?];
    let (misnamed, expired) = (Web::start_as(&certificates[0]).await?, Web::start_as(&certificates[1]).await?);
    let mut scope = vec![server.url("/"), no_tls.clone(), mute_url.clone()];
    scope.extend([&untrusted, &misnamed, &expired].iter().flat_map(|web| [web.url("/"), web.address()]));
    let limits = |entry: Entry| {
        let entry = entry.limit("http_requests", 64).limit("http_body", "1 MiB");
        entry.limit("http_bytes_per_second", "64 MiB")
    };
    let mut plan = plan_with(&web, &PASS, &scope, limits)?;
    let trusted = [web.certificate(), &certificates[0], &certificates[1]].map(|one| fs::read(&one.certificate_file));
    let trusted = trusted.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let file = folders[0].write("trusted.pem", trusted)?;
    plan.home.set_web("ca_file", file.display().to_string())?;
    let stage = trial.start(plan).await?;
    let mut urls: Vec<_> = BAD.iter().map(|(target, ending)| (server.url(target), *ending)).collect();
    urls.extend([(no_tls, "tls"), (mute_url, "timed-out")]);
    urls.extend([&untrusted, &misnamed, &expired].map(|web| (web.url("/"), "tls")));
    // All of them at once.
    for (number, (url, ending)) in (0_u64..).zip(&urls) {
        let timeout = if *ending == "timed-out" { 3_000 } else { 30_000 };
        stage.order_call(number, "http.fetch", &json!({ "url": url, "timeout": timeout })).await?;
    }
    stage.during().await?;
    let mut endings = BTreeMap::new();
    while endings.len() < urls.len() {
        let answer: Value = done(&stage.answer().await?)?;
        endings.insert(answer["n"].as_u64().context("an answer without a number")?, answer);
    }
    for (number, (url, ending)) in (0_u64..).zip(&urls) {
        let answer = &endings[&number];
        ensure!(answer["err"]["case"] == *ending, "{url} has to end in {ending}, but gave {}", short(answer));
    }
    server.has_open(0).await?;
    for web in [&untrusted, &misnamed, &expired] {
        ensure!(web.requests().is_empty(), "a server with a wrong certificate was asked");
    }
    stage.during().await?;
    remove(stage).await?;
    Ok(format!("{} servers, each ended in an error of its kind, and no connection is left", urls.len()))
}

/// Reads the answer to an order.
fn done(answer: &str) -> Result<Value> {
    let json = answer.strip_prefix("done ").with_context(|| format!("not an answer: {answer}"))?;
    Ok(serde_json::from_str(json)?)
}

async fn flood(trial: &mut Trial) -> Result<String> {
    /// The limit `http_requests` by default, and how many are made.
    const AT_ONCE: usize = 8;
    const REQUESTS: usize = 64;
    let server = Server::start(|target| match target {
        "/silent" => Answer::Begun(Vec::new()),
        _ => Answer::body("hello"),
    })
    .await?;
    let scope = server.url("/");
    let plan = Plan::new()?.caller(|entry| fast(entry).grant("http.fetch", &[&scope]))?;
    let other = plan.home.install("victim", &plugins::built("caller")?)?.set("name", "victim");
    let stage = trial.start(plan.with("victim", other.grant("http.fetch", &[&scope]))).await?;
    stage.logged("plugin running", "victim").await?;
    for number in 0..REQUESTS {
        let silent = json!({ "url": server.url("/silent"), "timeout": 30_000 });
        stage.order_call(number as u64, "http.fetch", &silent).await?;
    }
    for _ in AT_ONCE..REQUESTS {
        let answer = done(&stage.answer().await?)?;
        ensure!(answer["err"]["case"] == "over-limit", "more than {AT_ONCE} wait: {}", short(&answer));
    }
    server.has_open(AT_ONCE).await?;
    // Another plugin asks the same server meanwhile.
    let fetch = json!({ "url": server.url("/other") });
    stage.call("api.emit", &order(1, "http.fetch", &fetch)).await?;
    let is_served = || server.heard().iter().any(|head| head.starts_with("GET /other "));
    until("the request of the other plugin", is_served).await?;
    stage.during().await?;
    ensure!(server.visits() == AT_ONCE + 1, "{} connections were made", server.visits());
    remove(stage).await?;
    server.has_open(0).await?;
    let policy = stage.policy.clone().without("victim");
    stage.reload(policy).await?;
    Ok(format!("{AT_ONCE} at once, {} over-limit; the other plugin asks the same server", REQUESTS - AT_ONCE))
}

/// Has the plugin open a request, and waits for the head of its answer. Returns the arguments for further calls.
async fn open(stage: &mut Stage, url: &str) -> Result<Value> {
    let opened = stage.call("http.open", &json!({ "url": url })).await?;
    let this = json!({ "exchange": opened["ok"] });
    let head = stage.call("http.answer", &this).await?;
    ensure!(head["ok"]["status"] == 200, "{url} is not answered: {} and {}", short(&opened), short(&head));
    Ok(this)
}

async fn grant_taken_back(trial: &mut Trial) -> Result<String> {
    let begun = format!("{OK}content-length: 1000000\r\n\r\n{}", "x".repeat(4_096));
    let server = Server::start(move |target| match target {
        "/begun" => Answer::Begun(begun.clone().into()),
        "/put" => Answer::Begun(Vec::new()),
        _ => Answer::body("hello"),
    })
    .await?;
    let plan = Plan::new()?.caller(|entry| fast(entry).grant("http.fetch", &[&server.url("/")]))?;
    let stage = trial.start(plan).await?;
    let this = open(stage, &server.url("/begun")).await?;
    let part = stage.call("http.read", &this).await?;
    ensure!(part["ok"]["size"].as_u64().is_some_and(|size| size > 0), "nothing can be read: {}", short(&part));
    // A second request is still being written.
    let put = json!({ "url": server.url("/put"), "method": "PUT" });
    let written = json!({ "exchange": stage.call("http.open", &put).await?["ok"], "part": "x" });
    stage.call("http.write", &written).await?;
    until("the second connection", || server.visits() == 2).await?;
    let mut entry = stage.policy.plugin["caller"].clone();
    entry.grants.remove("http.fetch");
    let policy = stage.policy.clone().with("caller", entry);
    stage.reload(policy).await?;
    for (call, args) in [
        ("http.read", &this),
        ("http.write", &written),
        ("http.answer", &written),
        ("http.fetch", &json!({ "url": server.url("/") })),
        ("http.open", &json!({ "url": server.url("/") })),
    ] {
        stage.refused(call, args, "denied").await?;
    }
    stage.during().await?;
    ensure!(server.visits() == 2, "{} connections were made", server.visits());
    for exchange in [&this, &written] {
        stage.call("http.close", exchange).await?;
    }
    server.has_open(0).await?;
    remove(stage).await?;
    Ok("the next call is denied, also of a request that was open".to_owned())
}

async fn unread(trial: &mut Trial) -> Result<String> {
    /// The limit `http_requests` by default.
    const AT_ONCE: usize = 8;
    let server = Server::start(|_| Answer::Endless(format!("{OK}\r\n").into(), vec![b'x'; 64 << 10])).await?;
    let plan = Plan::new()?.caller(|entry| fast(entry).grant("http.fetch", &[&server.url("/")]))?;
    let stage = trial.start(plan).await?;
    for _ in 0..AT_ONCE {
        open(stage, &server.url("/")).await?;
    }
    stage.refused("http.open", &json!({ "url": server.url("/") }), "over-limit").await?;
    stage.during().await?;
    ensure!(server.open() == AT_ONCE, "{} connections are open", server.open());
    // They end with the plugin.
    stage.order_call(1, "action.panic", &Value::Null).await?;
    stage.ended("caller", "it panicked or aborted").await?;
    server.has_open(0).await?;
    stage.host.wait_count("plugin running", &[("plugin", "caller")], 2, SOON).await?;
    open(stage, &server.url("/")).await?;
    remove(stage).await?;
    server.has_open(0).await?;
    Ok(format!("{AT_ONCE} at once, and the ninth over-limit; all of them end with the plugin"))
}
