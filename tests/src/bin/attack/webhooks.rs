//! Attacks on webhooks: requests that strangers send to the host.

mod deliveries;
pub(crate) mod flood;
mod hooks;
mod load;
mod timing;

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use parlor_tests::policy::Entry;
use parlor_tests::webhooks::{github, status};
use serde_json::json;

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::secrets::TRACE;
use crate::stage::{Plan, SOON, Stage, canary};
use crate::trial::Trial;
use crate::web::fast;
use hooks::{Hooks, SECRET, bearer, has_stored, paths, receiver, say, shown, slack, stored, taken};

pub(crate) fn cases() -> Vec<Case> {
    let own = vec![
        case!(97, "webhooks with wrong, late or replayed signatures", signatures),
        case!(99, "forged headers of proxies", forwarding),
        case!(100, "other spellings of a webhook's path", path_tricks),
        case!(101, "answers that proxies and browsers act upon", answers),
        case!(104, "strangers' paths in metrics and in the log", labels),
        case!(110, "a request with two lengths and another within", two_lengths),
        case!(111, "a former address, and a grant taken back", former_address),
    ];
    [own, deliveries::cases(), load::cases()].into_iter().flatten().collect()
}

/// Starts a host with webhooks.
async fn open(trial: &mut Trial, change: impl FnOnce(Entry) -> Entry) -> Result<(&mut Stage, Hooks)> {
    let stage = trial.start(receiver(Plan::new()?, change)?).await?;
    let hooks = Hooks::open(stage).await?;
    Ok((stage, hooks))
}

/// Checks that only the first request was accepted and delivered to the plugin.
async fn took_nothing(stage: &Stage) -> Result<()> {
    let (taken, told) = (taken(stage).await?, stored(stage).await?);
    ensure!(taken == 1 && told.lines().count() == 1, "{taken} requests were taken, and the plugin was told of: {told}");
    Ok(())
}

async fn signatures(trial: &mut Trial) -> Result<String> {
    let (stage, hooks) = open(trial, |entry| entry).await?;
    let body = canary("body");
    let right = github(&SECRET, &body);
    let queue = format!("POST {} HTTP/1.1\r\n", hooks.path("queue")?);
    let wrong = [
        String::new(),
        "x-hub-signature-256: \r\n".to_owned(),
        "x-hub-signature-256: sha256=\r\n".to_owned(),
        "x-hub-signature: sha1=00\r\n".to_owned(),
        github("", &body),
        github("another secret", &body),
        github(&SECRET, "another body"),
        right.replace("sha256=", ""),
        right.replace("sha256=", "sha1="),
        right.replacen("\r\n", "00\r\n", 1),
        format!("{right}{right}"),
        format!("{}{right}", github("", &body)),
        bearer(),
    ];
    for lines in &wrong {
        hooks.refuses(&format!("{queue}{lines}"), &body).await?;
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        hooks.refuses(&format!("{}{right}", queue.replacen("POST", method, 1)), &body).await?;
    }
    let answer = format!("POST {} HTTP/1.1\r\n", hooks.path("answer")?);
    for line in ["", "authorization: Bearer \r\n", "authorization: Bearer x\r\n", "authorization: Basic Og==\r\n"] {
        hooks.refuses(&format!("{answer}{line}"), "say 200 etag=x said").await?;
    }
    let (slack_head, now) = (format!("POST {} HTTP/1.1\r\n", hooks.path("slack")?), Timestamp::now().as_second());
    for late in [-301, -86_400, 900, i64::from(i32::MAX)] {
        hooks.refuses(&format!("{slack_head}{}", slack(&body, now + late)), &body).await?;
    }
    stage.during().await?;
    took_nothing(stage).await?;
    // Requests with a valid signature are accepted. One that signs its time is stored once, even after a restart: who sends it
    // again gets the same answer, as a sender that did not get the first one.
    ensure!(hooks.signed(&body).await? == 202, "a request that is signed is refused");
    let once = format!("{slack_head}{}", slack("once", now));
    ensure!(status(&hooks.send(&once, "once").await?) == 202, "a request that is signed just now is refused");
    ensure!(status(&hooks.send(&once, "once").await?) == 202, "a sender that did not get its answer is refused");
    stage.kill_and_start().await?;
    let hooks = Hooks::open(stage).await?;
    ensure!(status(&hooks.send(&once, "once").await?) == 202, "it is refused after a restart");
    has_stored(stage, "slack", "once").await?;
    let all = shown(stage, &[]).await?["requests"].take();
    let count = all.as_array().map_or(0, |all| all.iter().filter(|one| one["webhook"] == "slack").count());
    ensure!(count == 1, "what was sent again is stored {count} times");
    stage.during().await?;
    Ok(format!("{} of them, and all get the same answer as an address that nobody has", wrong.len() + 13))
}

async fn forwarding(trial: &mut Trial) -> Result<String> {
    /// The proxy that the owner names.
    const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
    let mut plan = receiver(Plan::new()?, |entry| entry)?;
    plan.home.set_web("proxies", vec![PROXY.to_string()])?;
    let stage = trial.start(plan).await?;
    let hooks = Hooks::open(stage).await?;
    let head = format!("POST {} HTTP/1.1\r\n", hooks.path("open")?);
    let forged = "x-forwarded-for: 203.0.113.9\r\nforwarded: for=203.0.113.9\r\nx-real-ip: 203.0.113.9\r\n\
                  x-client-ip: 203.0.113.9\r\ncf-connecting-ip: 203.0.113.9\r\nx-forwarded-host: evil.example\r\n";
    let two = "x-forwarded-for: 203.0.113.9\r\nx-forwarded-for: 203.0.113.9, 198.51.100.7\r\n";
    for (from, lines, expected) in [
        (Ipv4Addr::LOCALHOST, forged, "127.0.0.1"),
        (Ipv4Addr::new(127, 0, 0, 8), forged, "127.0.0.8"),
        // Only the address that the proxy itself wrote is believed, which is the last one.
        (PROXY, two, "198.51.100.7"),
        (PROXY, "x-forwarded-for: 203.0.113.9, nonsense\r\n", "127.0.0.9"),
        (PROXY, "x-forwarded-for: \r\n", "127.0.0.9"),
        (PROXY, "forwarded: for=203.0.113.9\r\nx-real-ip: 203.0.113.9\r\n", "127.0.0.9"),
    ] {
        let answer = hooks.send_from(from, &format!("{head}{lines}"), "x").await?;
        ensure!(status(&answer) == 202, "{answer}");
        let sender = shown(stage, &[]).await?["requests"][0]["sender"].take();
        ensure!(sender == expected, "{from} with {lines:?} counts as {sender}");
    }
    stage.during().await?;
    Ok("not believed, but of the proxy that the owner names, and only what that wrote".to_owned())
}

async fn path_tricks(trial: &mut Trial) -> Result<String> {
    let (stage, hooks) = open(trial, |entry| entry).await?;
    let (path, body) = (hooks.path("queue")?, "hello");
    let (folder, token) = path.rsplit_once('/').context("a path without a slash")?;
    let zeros = "0".repeat(token.len());
    let mut tricks: Vec<String> = [
        ("/hooks/", "//hooks/"),
        ("/hooks/", "/hooks//"),
        ("/hooks/", "/./hooks/"),
        ("/hooks/", "/x/../hooks/"),
        ("/hooks/", "/hooks/x/../"),
        ("/hooks/", "/hooks/%2e%2e/hooks/"),
        ("/hooks/", "/hooks/..%2fhooks/"),
        ("/hooks/", "/%68ooks/"),
        ("/hooks/", "/hooks%2f"),
        ("/hooks/", "/Hooks/"),
        ("/hooks/", "/hooks;x/"),
        ("receiver", "Receiver"),
        ("receiver", "%72eceiver"),
        ("receiver", "receiver."),
        ("receiver", "receiver%00"),
        ("receiver", "echo"),
        ("receiver", "other"),
        ("/queue/", "/slack/"),
        ("/queue/", "/QUEUE/"),
        ("/queue/", "/queue%2f"),
        ("/queue/", "/none/"),
        ("/queue/", "/"),
    ]
    .map(|(part, trick)| path.replacen(part, trick, 1))
    .into();
    tricks.extend(
        ["/", "/x", "/..", "/metrics", "/v1/status", "/hooks", "/hooks/", "/hooks/receiver/queue/"].map(str::to_owned),
    );
    tricks.extend([&path[..path.len() - 1], folder].map(str::to_owned));
    tricks.extend(["/", "/x", "//", ";x", "%00", "."].map(|more| format!("{path}{more}")));
    tricks.extend([token.to_uppercase(), zeros, format!("{token}{token}")].map(|other| format!("{folder}/{other}")));
    // Tokens that somebody guesses.
    tricks.extend((0..50).map(|_| format!("{folder}/{:048x}", rand::random::<u128>())));
    for trick in &tricks {
        hooks.refuses(&format!("POST {trick} HTTP/1.1\r\n{}", github(&SECRET, body)), body).await?;
    }
    // Below the address of a webhook that takes such paths.
    let open = hooks.path("open")?;
    let below =
        ["/", "/..", "/x/../..", "/x//y", "/x/", "/%2e%2e", "/x%2f..", "/x%5c..", "/%252e%252e", "/%00", "/%c0%ae"];
    for more in below {
        hooks.refuses(&format!("POST {open}{more} HTTP/1.1\r\n"), body).await?;
    }
    // The form of requests to proxies (RFC 9112, section 3.2.2).
    let evil = format!("POST http://evil.example{folder}/x HTTP/1.1\r\n{}", github(&SECRET, body));
    hooks.refuses(&evil, body).await?;
    timing::refusals_take_as_long(&hooks).await?;
    stage.during().await?;
    took_nothing(stage).await?;
    ensure!(hooks.signed(body).await? == 202, "the path itself is refused");
    Ok(format!("{} paths, and one and the same answer after the same time", tricks.len() + below.len()))
}

async fn answers(trial: &mut Trial) -> Result<String> {
    let plan =
        Plan::new()?.caller(|entry| fast(entry).grant_whole("webhooks.receive").limit("webhook_time", "1 min"))?;
    let stage = trial.start(receiver(plan, |entry| entry)?).await?;
    let hooks = Hooks::open(stage).await?;
    let said = hooks.post("answer", &bearer(), "say 201 content-type=text/html <script>1</script>").await?;
    ensure!(said.starts_with("HTTP/1.1 201 ") && said.ends_with("\r\n\r\n<script>1</script>"), "{said}");
    for line in ["content-security-policy: default-src 'none'; sandbox\r\n", "x-content-type-options: nosniff\r\n"] {
        ensure!(said.contains(line), "a browser may run this: {said}");
    }
    let tricks = [
        "set-cookie=session=mine",
        "Set-Cookie2=session=mine",
        "location=https://evil.example",
        "refresh=0;url=https://evil.example",
        "connection=close,",
        "keep-alive=timeout=9999",
        "transfer-encoding=chunked",
        "content-length=0",
        "content-encoding=gzip",
        "trailer=x",
        "upgrade=h2c",
        "te=trailers",
        "proxy-authenticate=Basic",
        "www-authenticate=Basic",
        "x-accel-redirect=/etc/passwd",
        "x-sendfile=/etc/passwd",
        "x-lighttpd-send-file=/etc/passwd",
        "x-reproxy-url=http://127.0.0.1/",
        "access-control-allow-origin=*",
        "content-security-policy=default-src",
        "strict-transport-security=max-age=0",
        "clear-site-data=*",
        "service-worker-allowed=/",
        "link=</x>;rel=preload",
        "alt-svc=evil",
        "et:ag=mine",
        "=mine",
    ];
    for trick in tricks {
        let answer = hooks.post("answer", &bearer(), &format!("say 200 {trick} said")).await?;
        // The plugin's answer was refused, and so there is none.
        ensure!(status(&answer) == 204, "{trick:?} is sent: {answer}");
        ensure!(
            !answer.contains("mine") && !answer.contains("evil") && !answer.contains("said"),
            "{trick:?}: {answer}"
        );
    }
    for status_line in ["0", "99", "100", "101", "103", "199", "600", "65535"] {
        let answer = hooks.post("answer", &bearer(), &format!("say {status_line} etag=x said")).await?;
        ensure!(status(&answer) == 204, "the status {status_line} is sent: {answer}");
    }
    line_breaks(stage, &hooks).await?;
    stage.during().await?;
    remove(stage).await?;
    Ok(format!("invalid, {} headers and 8 statuses; browsers run nothing of what is sent", tricks.len()))
}

/// Has a plugin answer a request with control characters in its headers.
async fn line_breaks(stage: &mut Stage, hooks: &Hooks) -> Result<()> {
    stage.call("promises.add", &json!({ "name": "later" })).await?;
    // Until the promise is resolved, the handler does not return, and the request waits.
    let listen = json!({ "name": "webhook", "webhook": "asked", "promise": "later" });
    stage.call("listen.on-and-wait", &listen).await?;
    let theirs = Hooks { paths: paths(stage, "caller").await?, ..hooks.clone() };
    let sender = tokio::spawn(async move { theirs.post("asked", "", "x").await });
    let heard = stage.heard().await?;
    let id = &heard["event"]["payload"]["webhook"]["id"];
    for (name, value) in [
        ("etag", "x\r\nset-cookie: mine"),
        ("etag", "x\nset-cookie: mine"),
        ("etag", "x\rset-cookie: mine"),
        ("etag", "x\0"),
        ("etag", "x\u{85}set-cookie: mine"),
        ("etag\r\nset-cookie", "mine"),
        ("etag: x\r\nset-cookie", "mine"),
    ] {
        let answer = json!({ "id": id, "headers": [[name, value]], "body": "mine" });
        stage.refused("webhooks.answer", &answer, "invalid").await?;
    }
    stage.call("webhooks.answer", &json!({ "id": id, "headers": [["ETag", "fine"]], "body": "fine" })).await?;
    let answer = sender.await??;
    ensure!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\netag: fine\r\n"), "{answer}");
    ensure!(answer.ends_with("\r\n\r\nfine") && !answer.contains("mine"), "{answer}");
    Ok(())
}

/// Returns the names and labels of all metrics, without their values.
fn series(page: &str) -> Vec<&str> {
    let lines = page.lines().filter(|line| line.starts_with("parlor_"));
    lines.filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series)).collect()
}

async fn labels(trial: &mut Trial) -> Result<String> {
    /// The number of strangers' paths, and of hosts that the plugin names.
    const MANY: usize = 50;
    let plan =
        Plan::new()?.log(TRACE).metrics().caller(|entry| fast(entry).grant("http.fetch", &["api.example.org"]))?;
    let stage = trial.start(receiver(plan, |entry| entry)?).await?;
    let hooks = Hooks::open(stage).await?;
    hooks.refuses("GET / HTTP/1.1\r\n", "").await?;
    stage.refused("http.fetch", &json!({ "url": "https://first.example/" }), "denied").await?;
    let before = stage.metrics().await?;
    let (path, host) = (canary("path"), canary("host"));
    for number in 0..MANY {
        let odd = format!("/hooks/{path}-{number}/%1b%5b31m%0aERROR/..?{path}=%00");
        let lines = format!("user-agent: {path}\r\nreferer: http://{path}/\r\nx-forwarded-for: {path}\r\n");
        let method = if number % 2 == 0 { "GET" } else { "CANARY" };
        hooks.refuses(&format!("{method} {odd} HTTP/1.1\r\n{lines}"), &path).await?;
        let url = format!("https://{host}-{number}.example/{path}");
        stage.refused("http.fetch", &json!({ "url": url }), "denied").await?;
    }
    // Names of hosts that strangers make up, also in the form of requests to proxies (RFC 9112, section 3.2.2).
    for number in 0..MANY {
        let name = format!("{path}-{number}.example");
        let request = format!("GET http://{name}/ HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n");
        let answer = say(Ipv4Addr::LOCALHOST, hooks.at, request.as_bytes()).await?;
        ensure!(status(&answer) == 401, "a request to a host of that name is answered with {answer}");
    }
    // Bytes that are not HTTP at all.
    for bytes in [
        &b"GET /\x1b[31m HTTP/1.1\r\n\r\n"[..],
        b"GET /a\nERROR forged HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02",
        b"\0\r\n\r\n",
    ] {
        let answer = say(Ipv4Addr::LOCALHOST, hooks.at, &[bytes, b"\r\n\r\n"].concat()).await?;
        ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    stage.during().await?;
    let after = stage.metrics().await?;
    let known = series(&before);
    // The use of a limit is left out while it is nothing. Its labels are the owner's.
    let is_new = |one: &&str| !known.contains(one) && !one.starts_with("parlor_plugin_limit_used{plugin=\"echo\",");
    let new: Vec<_> = series(&after).into_iter().filter(is_new).collect();
    ensure!(new.is_empty() && !after.contains("canary"), "strangers made metrics: {new:?}");
    let log = stage.host.log().all();
    let shown = stage.home.run(&["status", "--json"]).await?.stdout + &shown(stage, &[]).await?.to_string();
    ensure!(!log.iter().any(|line| line.contains(&path)) && !shown.contains(&path), "a stranger's path is shown");
    for line in &log {
        let is_harmless = !line.starts_with("ERROR") && !line.chars().any(char::is_control);
        ensure!(is_harmless, "a stranger wrote into the log: {line:?}");
    }
    remove(stage).await?;
    Ok(format!("{} series, as before; strangers' paths are nowhere", known.len()))
}

async fn two_lengths(trial: &mut Trial) -> Result<String> {
    let (stage, hooks) = open(trial, |entry| entry).await?;
    let (path, hidden) = (hooks.path("open")?, canary("hidden"));
    let second = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len());
    let length = |length: usize| format!("content-length: {length}");
    let chunked = "transfer-encoding: chunked".to_owned();
    let (whole, ended) = (length(5 + second.len()), format!("0\r\n\r\n{second}"));
    for (lines, body) in [
        (vec![whole.clone(), chunked.clone()], &ended),
        (vec![chunked.clone(), whole.clone()], &ended),
        (vec![length(0), length(second.len())], &second),
        (vec!["content-length: 0, 5".to_owned()], &second),
        (vec!["content-length: +5".to_owned()], &second),
        (vec!["content-length : 5".to_owned()], &second),
        (vec!["transfer-encoding: identity".to_owned(), whole.clone()], &ended),
        (vec!["transfer-encoding: chunked, identity".to_owned()], &ended),
        (vec!["transfer-encoding: xchunked".to_owned(), whole.clone()], &ended),
        (vec!["transfer-encoding: gzip, chunked".to_owned()], &ended),
        (vec!["transfer-encoding: identity".to_owned(), chunked.clone()], &ended),
        (vec!["transfer-encoding : chunked".to_owned(), whole], &ended),
        (vec![" ".to_owned() + &chunked, length(0)], &second),
    ] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{}\r\n\r\n{body}", lines.join("\r\n"));
        let answer = say(Ipv4Addr::LOCALHOST, hooks.at, request.as_bytes()).await?;
        let answers = answer.matches("HTTP/1.1 ").count();
        ensure!(answers <= 1, "{lines:?}: the request within was answered, too: {answer}");
    }
    // With a correct length, bytes that look like a request are a body.
    ensure!(status(&hooks.post("open", "", &second).await?) == 202, "a body is refused");
    stage.during().await?;
    let shown = shown(stage, &[]).await?;
    let sizes: Vec<_> = shown["requests"].as_array().into_iter().flatten().map(|one| &one["bytes"]).collect();
    ensure!(sizes.first().is_some_and(|size| **size == second.len()), "the body was not taken: {shown}");
    ensure!(!sizes.iter().any(|size| **size == hidden.len()), "the request within was taken: {shown}");
    // The plugin cannot store the name of that body, and would get it again for minutes.
    let policy = stage.policy.clone().without("receiver");
    stage.reload(policy).await?;
    Ok("one request at most, and then the connection ends".to_owned())
}

async fn former_address(trial: &mut Trial) -> Result<String> {
    let (stage, mut hooks) = open(trial, |entry| entry).await?;
    let former = format!("POST {} HTTP/1.1\r\n{}", hooks.path("queue")?, github(&SECRET, "x"));
    shown(stage, &["--rotate", "queue"]).await?;
    hooks.refuses(&former, "x").await?;
    hooks.paths = paths(stage, "receiver").await?;
    ensure!(hooks.signed("y").await? == 202, "the new address is refused");
    has_stored(stage, "queue", "y").await?;
    // Each of these removes the webhooks, and the plugin gets no further requests.
    let entry = stage.policy.plugin.get("receiver").context("there is no receiver")?.clone();
    let mut without = entry.clone();
    without.grants.remove("webhooks.receive");
    let mut disabled = entry;
    disabled.enabled = false;
    let policy = stage.policy.clone().with("receiver", without);
    stage.reload(policy).await?;
    stage.host.wait_count("webhooks are no longer listened for", &[], 1, SOON).await?;
    let answer = hooks.signed("z").await?;
    ensure!(answer == 0, "it was answered with {answer}");
    // Its sender is to try again later, and a stranger is refused as before.
    let begun = stage.host.lines("webhooks are listened for", &[]).len();
    let policy = stage.policy.clone().with("receiver", disabled);
    stage.reload(policy).await?;
    stage.host.wait_count("webhooks are listened for", &[], begun + 1, SOON).await?;
    let listened = stage.host.lines("webhooks are listened for", &[]);
    hooks.at = listened.last().context("nothing listens")?.get("at").parse()?;
    let answer = hooks.signed("z").await?;
    ensure!(answer == 503, "it was answered with {answer}");
    hooks.refuses(&former, "x").await?;
    stage.during().await?;
    ensure!(!stored(stage).await?.contains("\"queue/z\""), "the plugin was told of it");
    Ok("as unknown as any; without the grant, nothing listens; while the plugin is disabled, 503".to_owned())
}
