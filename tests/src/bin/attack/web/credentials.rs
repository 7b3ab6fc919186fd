//! Attacks on credentials: a plugin may use them in requests, and must not learn them.

use anyhow::{Result, ensure};
use parlor_tests::memories;
use parlor_tests::web::Web;
use serde_json::{Value, json};

use super::servers::{Answer, Server};
use super::{PASS, fails, fetches, plan, plan_with};
use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::secrets::{TRACE, disguises, files, has_none};
use crate::stage::{Stage, canary};
use crate::trial::Trial;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(91, "a credential towards others, in logs and in errors", credential),
        case!(105, "a credential in a server's name or a header's name", credential_in_names),
        case!(106, "a credential where two parts of an answer meet", split_credential),
    ]
}

/// The commands that show what the host knows of the plugin and of its settings.
const SHOWN: [&[&str]; 13] = [
    &["status", "--json"],
    &["status", "caller", "--json"],
    &["explain", "caller"],
    &["logs", "--json", "-n", "1000"],
    &["plugin", "list", "--json"],
    &["plugin", "inspect", "caller"],
    &["plugin", "config", "caller"],
    &["plugin", "config", "caller", "pass"],
    &["plugin", "config", "caller", "--json"],
    &["plugin", "hooks", "caller", "--json"],
    &["audit"],
    &["audit", "--plugin", "caller", "--json"],
    &["doctor", "--offline"],
];

/// Searches for the credential in the plugin's events and answers, and in everything that the host has written or
/// shows.
async fn search(stage: &mut Stage, pass: &str, seen: &[Value]) -> Result<()> {
    stage.during().await?;
    has_none("what the plugin was told", &serde_json::to_string(seen)?, &[pass])?;
    has_none("the log", &stage.host.log().all().join("\n"), &[pass])?;
    let mut shown = stage.metrics().await?;
    for arguments in SHOWN {
        let finished = stage.home.run(arguments).await?;
        shown.push_str(&finished.stdout);
        shown.push_str(&finished.stderr);
    }
    has_none("what the command line shows", &shown, &[pass])?;
    let said: String = stage.messages().into_iter().map(|(_, body)| body + "\n").collect();
    has_none("what the plugin says", &said, &[pass])?;
    has_none("the data folder", &files(&stage.home.path().join("data"))?, &[pass])?;
    search_memory(stage, pass).await
}

/// Looks for the credential in the memory of all plugins.
async fn search_memory(stage: &mut Stage, pass: &str) -> Result<()> {
    // This order waits, so that its word stays in memory. It is found, which proves that the others would be found.
    let told = canary("told");
    stage.order_call(99, "timers.sleep", &json!({ "milliseconds": 3_600_000, "told": told })).await?;
    // The answer to the next order shows that the plugin has got this one.
    stage.call("user.jid", &json!({})).await?;
    let words = [disguises(pass.as_bytes()), vec![told.clone()]].concat();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = memories::found(stage.host.id(), &words)?;
    ensure!(found == [told.as_str()], "the memory of plugins holds {found:?}");
    Ok(())
}

/// Returns the credential as queries have it.
fn encoded(pass: &str) -> String {
    pass.replace('/', "%2F").replace('+', "%2B")
}

/// Builds a request that uses the credential in a header and in its body.
fn with_pass(url: &str) -> Value {
    let headers = json!([["authorization", "Bearer {{pass}}"], ["title", "a person's {{pass}}"]]);
    json!({ "url": url, "method": "POST", "headers": headers, "body": "my {{pass}}", "credentials": ["pass"] })
}

async fn credential(trial: &mut Trial) -> Result<String> {
    let (web, pass) = (Web::start().await?, PASS.as_str());
    let other = Web::start_as(web.certificate()).await?;
    let plain = Server::lure().await?;
    let scope = [web.url("/"), other.url("/"), web.address(), other.address(), plain.url("/")];
    let stage = trial.start(plan(&web, &scope)?.log(TRACE).metrics()).await?;
    let encoded = encoded(pass);
    let json = pass.replace('/', "\\/");
    let echoed = format!("{pass} and {encoded} and {} and {json}", encoded.to_lowercase());
    let head = format!("HTTP/1.1 200 {pass}\r\nx-echo: {pass}\r\ncontent-length: {}\r\n\r\n", echoed.len());
    web.put_raw(&format!("/?key={encoded}"), head + &echoed);
    let mut seen = vec![fetches(stage, &with_pass(&web.url("/?key={{pass}}")), 200).await?];
    let sent = web.requests().concat();
    ensure!(
        sent.contains(&format!("authorization: Bearer {pass}\r\n")) && sent.ends_with(&format!("my {pass}")),
        "the server does not get the credential"
    );
    ensure!(sent.contains("title: a person's {{pass}}\r\n"), "a text of a person was filled in");
    // Towards others, without TLS, and in places that are not filled.
    for url in [other.url("/"), plain.url("/"), web.url("/").replace("localhost", "127.0.0.1")] {
        fails(stage, "http.fetch", &with_pass(&url), &["denied"]).await?;
        fails(stage, "http.open", &with_pass(&url), &["denied"]).await?;
    }
    fails(stage, "http.fetch", &with_pass(&web.url("/{{pass}}")), &["invalid"]).await?;
    seen.push(stage.call("http.fetch", &with_pass("https://{{pass}}.example/")).await?);
    let mut ranged = with_pass(&web.url("/"));
    ranged["headers"] = json!([["Range", "bytes=0-9"]]);
    fails(stage, "http.fetch", &ranged, &["invalid"]).await?;
    // One request fetches the data that another one has stored at the server. A response that is not HTTP is an error.
    web.put("/stored", pass);
    seen.push(fetches(stage, &json!({ "url": web.url("/stored") }), 200).await?);
    web.put_raw(&format!("/broken?key={encoded}"), format!("{pass}\r\n\r\n"));
    fails(stage, "http.fetch", &with_pass(&web.url("/broken?key={{pass}}")), &["protocol"]).await?;
    web.redirect("/echo", &web.url(&format!("/stored?key={encoded}")));
    seen.push(stage.call("http.fetch", &json!({ "url": web.url("/echo"), "follow": 1 })).await?);
    let setting = stage.call("settings.get", &json!({ "key": "pass" })).await?;
    ensure!(setting["ok"]["value"] == true, "the setting reads as {}", short(&setting));
    seen.push(stage.call("settings.set", &json!({ "key": "pass", "value": "mine" })).await?);
    search(stage, pass, &seen).await?;
    ensure!(
        !web.requests().iter().any(|request| request.starts_with("POST /%7B")),
        "a path without its credential was sent"
    );
    ensure!(other.requests().is_empty() && plain.visits() == 0, "the credential went to another server");
    remove(stage).await?;
    Ok("goes to its server alone; elsewhere there are asterisks, or nothing".to_owned())
}

async fn credential_in_names(trial: &mut Trial) -> Result<String> {
    let web = Web::start().await?;
    // It could be a part of a domain, or the name of a header.
    let pass = canary("word");
    let plan = plan_with(&web, &pass, &["*".to_owned(), web.url("/"), web.address()], |entry| entry)?;
    let narrow = plan.policy.plugin["caller"].clone().grant("http.fetch", &[&web.url("/"), &web.address()]);
    let stage = trial.start(plan.log(TRACE).metrics()).await?;
    // Many servers redirect to wherever a query says.
    web.redirect(&format!("/go?to={pass}"), &format!("https://{pass}.example/"));
    let go = json!({ "url": web.url("/go?to={{pass}}"), "credentials": ["pass"], "follow": 1, "timeout": 10_000 });
    let mut seen = vec![stage.call("http.fetch", &go).await?];
    web.put_raw("/name", format!("HTTP/1.1 200 OK\r\nx-{pass}: 1\r\n{pass}: 1\r\ncontent-length: 0\r\n\r\n"));
    seen.push(fetches(stage, &with_pass(&web.url("/name")), 200).await?);
    // With a grant for this server alone, the redirect is refused by another check.
    let policy = stage.policy.clone().with("caller", narrow);
    stage.reload(policy).await?;
    seen.push(stage.call("http.fetch", &go).await?);
    ensure!(seen[2]["err"]["case"] == "denied", "the redirect was followed: {}", short(&seen[2]));
    search(stage, &pass, &seen).await?;
    remove(stage).await?;
    Ok("in no error, no name of a header, and no log line".to_owned())
}

async fn split_credential(trial: &mut Trial) -> Result<String> {
    let (web, pass) = (Web::start().await?, PASS.as_str());
    // The path says after how many bytes of the credential the first part ends.
    let server = Server::start(move |target| {
        let cut = target.trim_start_matches('/').parse().unwrap_or(0);
        let (first, second) = pass.split_at(cut);
        let (before, after) = ("x".repeat(200), "y".repeat(200));
        let length = before.len() + pass.len() + after.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        Answer::Parts(vec![format!("{head}{before}{first}").into(), format!("{second}{after}").into()])
    })
    .await?;
    let stage = trial.start(plan(&web, &[server.url("/")])?).await?;
    for cut in 0..=pass.len() {
        let exchange = stage.call("http.open", &json!({ "url": server.url(&format!("/{cut}")) })).await?["ok"].clone();
        let this = json!({ "exchange": exchange });
        let head = stage.call("http.answer", &this).await?;
        ensure!(head["ok"]["status"] == 200, "{}", short(&head));
        let mut shown = String::new();
        loop {
            let part = stage.call("http.read", &this).await?;
            ensure!(part["err"].is_null(), "{}", short(&part));
            let Some(part) = part["ok"]["part"].as_str() else { break };
            shown.push_str(part);
        }
        let middle = shown.trim_start_matches('x').trim_end_matches('y');
        let is_hidden = middle.chars().all(|sign| sign == '*') && middle.len() == pass.len();
        ensure!(is_hidden && shown.len() == 400 + pass.len(), "cut after {cut} bytes, it is shown as {middle:?}");
    }
    stage.during().await?;
    ensure!(server.visits() == pass.len() + 1, "the server was asked {} times", server.visits());
    remove(stage).await?;
    Ok(format!("asterisks in its place, wherever of {} places it is cut", pass.len() + 1))
}
