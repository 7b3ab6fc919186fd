//! Attacks on requests over the web: forbidden requests of a plugin, and redirects of a hostile server.

mod credentials;
mod load;
mod names;
pub(crate) mod servers;

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use anyhow::{Result, ensure};
use parlor_tests::component::with_credentials_for;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use parlor_tests::web::Web;
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::stage::{Plan, Stage, canary};
use crate::trial::Trial;
use servers::{Answer, Server};

pub(crate) fn cases() -> Vec<Case> {
    let own = vec![
        case!(86, "a server of the web that was not granted", other_server),
        case!(87, "another method or path than granted", other_path),
        case!(88, "other forms of addresses that are not public", address_forms),
        case!(90, "redirects to what was not granted", redirects),
        case!(92, "line breaks and false lengths in a request", injection),
    ];
    [own, names::cases(), credentials::cases(), load::cases()].into_iter().flatten().collect()
}

/// The credential of the plugin that makes requests. Queries spell two of its characters in another way.
pub(crate) static PASS: LazyLock<String> = LazyLock::new(|| canary("pass/+"));

/// Plans a host with a plugin that may ask these servers. Its credential is bound to the server `web`, and the host
/// trusts the certificate of that server.
fn plan(web: &Web, scope: &[String]) -> Result<Plan> {
    plan_with(web, &PASS, scope, |entry| entry)
}

/// Plans the same host with another credential, and with a change to the plugin's entry.
fn plan_with(web: &Web, pass: &str, scope: &[String], change: impl FnOnce(Entry) -> Entry) -> Result<Plan> {
    let bytes = with_credentials_for(&plugins::built("caller")?.bytes()?, &web.host())?;
    let mut plan = Plan::new()?;
    plan.home.set_web("ca_file", web.certificate().certificate_file.display().to_string())?;
    let kept = plan.home.keep_secret("pass.token", pass)?;
    let scope: Vec<_> = scope.iter().map(String::as_str).collect();
    plan.bytes("caller", &bytes, |entry| {
        change(fast(entry).set("chat", true).set("pass", kept).grant("http.fetch", &scope))
    })
}

/// Raises the limits on how fast a plugin may ask and answer, which are not what these cases attack.
pub(crate) fn fast(entry: Entry) -> Entry {
    let entry = entry.limit("messages_per_second", 10_000).limit("messages_burst", 10_000);
    entry.limit("http_per_second", 10_000)
}

/// Has the plugin make a request that must be answered with this status. Returns the answer.
async fn fetches(stage: &mut Stage, args: &Value, status: u16) -> Result<Value> {
    let answer = stage.call("http.fetch", args).await?;
    ensure!(answer["ok"]["status"] == status, "{args} has to be answered with {status}, but gave {}", short(&answer));
    Ok(answer)
}

/// Has the plugin make a call that must fail as one of these cases.
pub(crate) async fn fails(stage: &mut Stage, call: &str, args: &Value, cases: &[&str]) -> Result<()> {
    let answer = stage.call(call, args).await?;
    let case = answer["err"]["case"].as_str().unwrap_or_default();
    ensure!(cases.contains(&case), "{call} {args} has to fail as one of {cases:?}, but gave {}", short(&answer));
    Ok(())
}

async fn other_server(trial: &mut Trial) -> Result<String> {
    let (web, lure) = (Web::start().await?, Server::lure().await?);
    web.put("/", "hello");
    let stage = trial.start(plan(&web, &[web.url("/"), web.address()])?).await?;
    // The granted server answers, which proves that the others could be reached.
    fetches(stage, &json!({ "url": web.url("/") }), 200).await?;
    let others = [
        format!("https://localhost:{}/", lure.port()),
        format!("https://127.0.0.1:{}/", lure.port()),
        lure.url("/"),
        web.url("/").replace("https", "http"),
        web.url("/").replace("localhost", "www.localhost"),
        "https://localhost/".to_owned(),
        "https://example.org/".to_owned(),
    ];
    for url in &others {
        for call in ["http.fetch", "http.open"] {
            stage.refused(call, &json!({ "url": url }), "denied").await?;
        }
    }
    stage.during().await?;
    ensure!(lure.visits() == 0, "a server that was not granted was visited {} times", lure.visits());
    ensure!(web.requests().len() == 1, "another address led to the granted server: {:?}", web.requests());
    remove(stage).await?;
    Ok(format!("denied, {} servers; no connection was made", others.len()))
}

async fn other_path(trial: &mut Trial) -> Result<String> {
    let web = Web::start().await?;
    web.put("/a/b", "hello");
    let stage = trial.start(plan(&web, &[format!("GET {}", web.url("/a/")), web.address()])?).await?;
    let inside = web.url("/a/b");
    // The address itself is granted for every path, so that names may lead there.
    fetches(stage, &json!({ "url": inside }), 200).await?;
    let paths = [
        "/",
        "/a",
        "/ab",
        "/b",
        "/A/b",
        "//a/b",
        "/a//b",
        "/a/../b",
        "/a/./../b",
        "/a/%2e%2e/b",
        "/a/..%2fb",
        "/a/..%2Fb",
        "/a/..%5cb",
        "/a/%252e%252e/b",
        "/a/..;/b",
        "/b?/a/b",
        "/b#/a/b",
    ];
    for path in paths {
        stage.refused("http.fetch", &json!({ "url": web.url(path) }), "denied").await?;
    }
    stage.refused("http.fetch", &json!({ "url": web.url("/a\\..\\b") }), "invalid").await?;
    for method in ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND"] {
        stage.refused("http.fetch", &json!({ "url": inside, "method": method }), "denied").await?;
        stage.refused("http.open", &json!({ "url": inside, "method": method }), "denied").await?;
    }
    for method in ["", "get", "Get", "GET ", "GET/", "CONNECT", "TRACE"] {
        stage.refused("http.fetch", &json!({ "url": inside, "method": method }), "invalid").await?;
    }
    // Some servers take the host, the method, the path, or a second address from these headers.
    for header in [
        "X-HTTP-Method-Override",
        "x-http-method",
        "X-Method-Override",
        "X-Original-URL",
        "x-rewrite-url",
        "x-forwarded-host",
        "x_http_method_override",
        "X-Original_URL",
        "x-envoy-original-path",
        "destination",
        "x-amz-copy-source",
        "proxy",
        "http2-settings",
        "x-forwarded-proto",
        "x-middleware-subrequest",
    ] {
        stage.refused("http.fetch", &json!({ "url": inside, "headers": [[header, "DELETE"]] }), "invalid").await?;
    }
    stage.during().await?;
    ensure!(web.requests().len() == 1, "something else was asked for: {:?}", web.requests());
    remove(stage).await?;
    Ok("denied or invalid, however they are spelled; nothing was sent".to_owned())
}

/// Forms of addresses of this machine, of private networks, of metadata services and of multicast. `*` covers all of their forms.
const FORMS: [&str; 41] = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "%31%32%37.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2001::1]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "[::ffff:169.254.169.254]",
    "168.63.129.16",
    "255.255.255.255",
    "224.0.0.1",
    "239.255.255.250",
    "[ff02::1]",
];

async fn address_forms(trial: &mut Trial) -> Result<String> {
    let (web, lure) = (Web::start().await?, Server::lure().await?);
    // The same port by IPv6, if the machine has that.
    let by_six = Server::start_at((Ipv6Addr::LOCALHOST, lure.port()).into(), |_| Answer::body("lured")).await.ok();
    let stage = trial.start(plan(&web, &["*".to_owned()])?).await?;
    for form in FORMS {
        let url = format!("https://{form}:{}/", lure.port());
        // Without TLS, `*` covers nothing.
        for url in [url.replace("https", "http"), url] {
            fails(stage, "http.fetch", &json!({ "url": url, "timeout": 5_000 }), &["denied", "invalid"]).await?;
        }
    }
    stage.during().await?;
    let visits = lure.visits() + by_six.as_ref().map_or(0, Server::visits);
    ensure!(visits == 0, "the machine itself was visited {visits} times");
    let looks = look_alikes(trial, &web, &lure).await?;
    Ok(format!("{} forms refused, and {looks} that look like a granted server", FORMS.len()))
}

/// Tries addresses that look like that of the one granted server. Returns how many.
async fn look_alikes(trial: &mut Trial, web: &Web, lure: &Server) -> Result<usize> {
    web.put("/", "hello");
    let stage = trial.start(plan(web, &[web.url("/"), web.address()])?).await?;
    let (host, evil) = (web.host(), format!("127.0.0.1:{}", lure.port()));
    let port = host.trim_start_matches("localhost:");
    let others = [
        // The second letter is Cyrillic.
        format!("https://l\u{43e}calhost:{port}/"),
        format!("https://xn--lcalhost-r9e:{port}/"),
        format!("https://localhost.evil.example:{port}/"),
        format!("https://localhost%2eevil.example:{port}/"),
        format!("https://evil-localhost:{port}/"),
        format!("https://{host}@{evil}/"),
        format!("https://@{evil}/"),
        format!("https://{host}\\@{evil}/"),
        format!("https://{evil}\\@{host}/"),
        format!("https://{evil}#@{host}/"),
        format!("https://{evil}?@{host}/"),
        format!("https://{host} @{evil}/"),
        format!("https://{evil}\t.{host}/"),
        format!("https://localhost%00.evil.example:{port}/"),
        format!("https://localhost..:{port}/"),
        format!("https://.localhost:{port}/"),
        format!("https:/{host}/"),
        format!("https:///{host}/"),
        format!("//{host}/"),
        format!("https:{host}/"),
        "https://localhost:0/".to_owned(),
        format!("https://localhost:{}/", 65_536 + u32::from(lure.port())),
        format!("https://localhost:+{port}/"),
        format!("ftp://{host}/"),
        format!("gopher://{host}/"),
        format!("unix://{host}/"),
        "file:///etc/passwd".to_owned(),
        "data:text/plain,x".to_owned(),
        "javascript:1".to_owned(),
    ];
    for url in &others {
        fails(stage, "http.fetch", &json!({ "url": url, "timeout": 5_000 }), &["denied", "invalid"]).await?;
    }
    stage.during().await?;
    ensure!(lure.visits() == 0 && web.requests().is_empty(), "one of them led somewhere: {:?}", web.requests());
    // These two are other spellings of the granted server.
    for url in [web.url("/").replace("localhost", "LocalHost."), web.url("/").replace("localhost", "l%6fcalhost")] {
        fetches(stage, &json!({ "url": url }), 200).await?;
    }
    remove(stage).await?;
    Ok(others.len())
}

async fn redirects(trial: &mut Trial) -> Result<String> {
    let (web, lure) = (Web::start().await?, Server::lure().await?);
    let other = Web::start_as(web.certificate()).await?;
    other.put("/", "there");
    let stage = trial.start(plan(&web, &["*".to_owned(), web.address(), other.address()])?).await?;
    let at = |host: &str| format!("https://{host}:{}/", lure.port());
    let hosts = ["127.0.0.1", "localhost", "0177.0.0.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"];
    let mut places = Vec::from(hosts.map(at));
    places.extend([format!("//127.0.0.1:{}/", lure.port()), lure.url("/"), web.url("/").replace("https", "http")]);
    places.extend([format!("https://user@{}/", web.host()), "/go".to_owned(), at("127.0.0.1").replace('/', "\\")]);
    places.extend(
        ["https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://10.0.0.1/"]
            .map(str::to_owned),
    );
    places.extend(["ftp://localhost/", "file:///etc/passwd", "javascript:1"].map(str::to_owned));
    let bearer = json!([["authorization", "Bearer {{pass}}"]]);
    let with_pass = |path: &str, more: &Value| {
        let mut args =
            json!({ "url": web.url(path), "headers": bearer, "credentials": ["pass"], "follow": 3, "timeout": 10_000 });
        if let (Some(args), Some(more)) = (args.as_object_mut(), more.as_object()) {
            args.extend(more.clone());
        }
        args
    };
    for place in &places {
        web.redirect("/go", place);
        fails(stage, "http.fetch", &with_pass("/go", &json!({})), &["denied", "protocol"]).await?;
    }
    ensure!(lure.visits() == 0, "a redirect led to a server that may not be dialed, {} times", lure.visits());
    // Another granted server is asked, without the credential.
    web.redirect("/go", &other.url("/"));
    fetches(stage, &with_pass("/go", &json!({})), 200).await?;
    let kept = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", other.url("/"));
    web.put_raw("/keep", kept);
    let post = json!({ "method": "POST", "body": "my {{pass}}" });
    stage.refused("http.fetch", &with_pass("/keep", &post), "denied").await?;
    let encoded = PASS.replace('/', "%2F").replace('+', "%2B");
    web.redirect(&format!("/go?key={encoded}"), &other.url("/"));
    stage.refused("http.fetch", &with_pass("/go?key={{pass}}", &json!({})), "denied").await?;
    stage.during().await?;
    let asked = other.requests();
    ensure!(asked.len() == 1, "the other server was asked {} times", asked.len());
    ensure!(!asked[0].contains("canary") && !asked[0].contains("authorization"), "it got a credential: {}", asked[0]);
    remove(stage).await?;
    Ok(format!("{} denied or refused; another granted server is asked without the credential", places.len()))
}

/// A request that is hidden in the body of another one.
const SECOND: &str = "\r\n\r\nGET /second HTTP/1.1\r\nhost: localhost\r\nevil: 1\r\n\r\n";

async fn injection(trial: &mut Trial) -> Result<String> {
    let web = Web::start().await?;
    web.put("/", "hello");
    let stage = trial.start(plan(&web, &[web.url("/"), web.address()])?).await?;
    let url = web.url("/");
    for (name, value) in [
        ("x", "1\r\nevil: 1"),
        ("x", "1\nevil: 1"),
        ("x", "1\revil: 1"),
        ("x", "1\0"),
        ("x\r\nevil", "1"),
        ("x: 1\r\nevil", "1"),
        ("x evil", "1"),
        ("evil:", "1"),
        ("", "1"),
        ("Host", "evil.example"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close, evil"),
        ("Keep-Alive", "1"),
        ("Upgrade", "h2c"),
        ("TE", "trailers"),
        ("Trailer", "evil"),
        ("Expect", "100-continue"),
        ("Proxy-Authorization", "evil"),
        ("Proxy-Connection", "evil"),
    ] {
        let args = json!({ "url": url, "method": "POST", "headers": [[name, value]], "body": "x" });
        stage.refused("http.fetch", &args, "invalid").await?;
    }
    for more in ["\r\nevil: 1", " HTTP/1.1\r\nevil: 1", "\t", "\n", "\0", "?\r\n\r\nGET /second HTTP/1.1"] {
        stage.refused("http.fetch", &json!({ "url": format!("{url}{more}") }), "invalid").await?;
    }
    for method in ["GET /second HTTP/1.1\r\nevil: 1\r\n\r\nGET", "GET\r\n", "GET /second"] {
        stage.refused("http.fetch", &json!({ "url": url, "method": method }), "invalid").await?;
    }
    // In a body, all of this is a body.
    fetches(stage, &json!({ "url": url, "method": "POST", "body": SECOND }), 200).await?;
    false_lengths(stage, &url).await?;
    stage.during().await?;
    let asked = web.requests();
    ensure!(asked.len() == 1, "the server heard {} requests: {asked:?}", asked.len());
    let (head, body) = asked[0].split_once("\r\n\r\n").unwrap_or_default();
    ensure!(
        body == SECOND && !head.contains("evil") && !head.contains("second"),
        "another request came of it: {asked:?}"
    );
    remove(stage).await?;
    Ok("invalid; a body is one body, and one of another length than it says is broken off".to_owned())
}

/// Sends bodies in parts whose lengths are not those that their headers say.
async fn false_lengths(stage: &mut Stage, url: &str) -> Result<()> {
    let open = |lengths: &[&str]| {
        let headers: Vec<_> = lengths.iter().map(|length| ["content-length", *length]).collect();
        json!({ "url": url, "method": "PUT", "headers": headers })
    };
    for lengths in [
        &["+3"][..],
        &["-3"],
        &["3, 4"],
        &["3 3"],
        &["0x3"],
        &[""],
        &["99999999999999999999999"],
        &["3", "4"],
        &["3", "3"],
    ] {
        stage.refused("http.open", &open(lengths), "invalid").await?;
    }
    for body in ["ab", SECOND] {
        let exchange = stage.call("http.open", &open(&["3"])).await?["ok"].clone();
        ensure!(exchange.is_u64(), "a request with a length cannot be opened");
        // A part that exceeds the limit is not sent; then all of it is missing.
        stage.call("http.write", &json!({ "exchange": exchange, "part": body })).await?;
        stage.refused("http.answer", &json!({ "exchange": exchange }), "invalid").await?;
        stage.call("http.close", &json!({ "exchange": exchange })).await?;
    }
    Ok(())
}
