//! Requests over the web, and from there.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::webhooks;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage::{FORECAST, SOON, Stage, WEATHER};

/// The mask over words that the plugin looks for in its memory: the order itself lies there, too.
const MASK: u8 = 0x5a;

/// Juliet has the plugin make a request: the host fills the token in, and takes it out of all that comes back.
pub(super) async fn request(stage: &mut Stage) -> Result<String> {
    let url = stage.web.url(FORECAST);
    let headers = [["authorization", "Bearer {{pass}}"]];
    let answer = call(stage, "http.fetch", &json!({ "url": url, "headers": headers, "credentials": ["pass"] })).await?;
    ensure!(answer["ok"]["status"] == 200 && answer["ok"]["body"] == WEATHER, "the server says {answer}");
    let elsewhere = call(stage, "http.fetch", &json!({ "url": "https://example.org/" })).await?;
    ensure!(elsewhere["err"]["case"] == "denied", "another server says {elsewhere}");
    let token = &stage.secrets.token;
    let asked = stage.web.requests();
    ensure!(asked.iter().any(|request| request.contains(token)), "the server did not get the token: {asked:?}");
    let status = stage.home.run(&["status", "--json"]).await?;
    let stored = files(&stage.home.path().join("data"))?;
    let seen = [
        ("juliet", stage.juliet.received_xml()),
        ("the log", stage.host.log().all()),
        ("status", vec![status.stdout]),
        ("the data folder", vec![stored]),
    ];
    for (whose, lines) in seen {
        ensure!(lines.iter().all(|line| !line.contains(token)), "the token reached {whose}");
    }
    // The plugin knows who tells it what to do. That this is found shows that the token would be.
    let words = [token.clone(), stage.juliet.jid().to_bare().to_string()];
    let masked = words.map(|word| word.bytes().map(|byte| byte ^ MASK).collect::<Vec<_>>());
    let found = call(stage, "action.search", &json!({ "masked": masked })).await?;
    ensure!(found["ok"] == json!([1]), "of the token and juliet's address, the plugin's memory has {found}");
    Ok(format!("\"{WEATHER}\"; another server is denied; the plugin's memory has no token"))
}

/// Returns all files of a folder as text.
fn files(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            text.push_str(&files(&path)?);
        } else if path.is_file() {
            // The host may have removed it meanwhile.
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
        }
    }
    Ok(text)
}

/// Two requests arrive at the plugin's webhook, one of them signed without knowledge of the secret.
pub(super) async fn webhook(stage: &mut Stage) -> Result<String> {
    let at = stage.host.wait("webhooks are listened for", &[], SOON).await?.get("at").parse()?;
    let hooks = stage.home.run(&["plugin", "hooks", "visitor", "--json"]).await?.json()?;
    let path = webhooks::paths(&hooks[0]).remove("github");
    let path = path.with_context(|| format!("the webhook has no address: {hooks}"))?;
    let forged = webhooks::post(at, &path, "another secret", "forged").await?;
    ensure!(forged == 401, "the forged request was answered with {forged}");
    let signed = webhooks::post(at, &path, &stage.secrets.signed, "moved to the balcony").await?;
    ensure!(signed == 202, "the signed request was answered with {signed}");
    let began = Instant::now();
    let heard = loop {
        let noted = call(stage, "action.noted", &Value::Null).await?;
        let noted = noted["ok"].to_string();
        if noted.contains("balcony") {
            break noted;
        }
        ensure!(began.elapsed() < SOON, "the plugin was not told: {noted}");
    };
    ensure!(!heard.contains("forged"), "the plugin was told of the forged request: {heard}");
    Ok(format!("answered with {signed} once it was stored; the forged one with {forged}"))
}

/// Has the plugin make a call. Returns what it says of it.
async fn call(stage: &mut Stage, call: &str, args: &Value) -> Result<Value> {
    let Stage { juliet, bot, .. } = stage;
    juliet.chat(bot.jid.clone(), &format!("call {}", json!({ "n": 1, "call": call, "args": args }))).await?;
    let done = |text: &str| text.strip_prefix("done ").map(str::to_owned);
    let answer = juliet.wait_text("the result of a call", &bot.jid, SOON, done).await?;
    serde_json::from_str(&answer).with_context(|| format!("no result: {answer}"))
}
