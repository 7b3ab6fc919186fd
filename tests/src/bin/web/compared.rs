//! Comparisons of secrets, by a person with a client of OTR.

use std::time::Instant;

use anyhow::{Result, ensure};
use parlor_tests::counterparts::Counterpart;
use serde_json::{Value, json};

use crate::stage::{HOSTILE, SOON, Stage};
use crate::steps::{Act, act};

/// Every act with its name. It comes last: the account knows one more person after each.
pub(crate) const ALL: &[(&str, Act)] =
    &[act!("a person who asks to compare a secret is on the page of keys until an owner answers", compares)];

/// Waits until a command prints this, and returns its output.
async fn prints(stage: &Stage, arguments: &[&str], words: &str) -> Result<String> {
    let begin = Instant::now();
    loop {
        let said = stage.parlor(arguments).await?;
        if said.contains(words) {
            return Ok(said);
        }
        ensure!(begin.elapsed() < SOON, "`parlor {}` never says {words:?}: {said}", arguments.join(" "));
    }
}

async fn compares(stage: &mut Stage) -> Result<String> {
    let secret = format!("canary-{:08x}", rand::random::<u32>());
    let account = stage.prosody.fresh_account("romeo")?;
    let mut romeo = Counterpart::otr(&stage.prosody, &account).await?;
    let jid = account.jid.to_string();
    romeo.order("start", json!({ "to": stage.bot.as_str() })).await?;
    let is_begun = |line: &Value| (line["event"] == "state" && line["state"] == "encrypted").then_some(());
    romeo.wait("a conversation", is_begun).await?;
    // The last message of the exchange is still on its way to the host.
    prints(stage, &["keys", "main", "list", &jid, "--json"], "\"otr\",").await?;
    let order = json!({ "to": stage.bot.as_str(), "secret": secret, "question": HOSTILE });
    romeo.order("compare", order).await?;
    prints(stage, &["keys"], &format!("{jid} asks to compare a secret")).await?;
    stage.open("/keys").await?;
    stage.browser.shows(&["Comparisons of secrets", &jid, HOSTILE, "waits for an answer"]).await?;
    stage.browser.is_well_made().await?;
    // A browser keeps what is typed into it, so the answer is given on the machine.
    ensure!(stage.browser.count("main input[type=password]").await? == 0, "the page asks for a secret");
    let answer = ["keys", "main", "answer", &jid, "--secret-file", "-"];
    let answered = stage.home.run_with(&answer, &format!("{secret}\n")).await?;
    ensure!(answered.code == Some(0), "{answered:?}");
    stage.open("/keys").await?;
    stage.browser.shows(&[&jid]).await?;
    let text = stage.browser.text().await?;
    ensure!(!text.contains("waits for an answer"), "it is answered, and still on the page:\n{text}");
    ensure!(!stage.browser.source().await?.contains(&secret), "the secret is on the page");
    Ok(jid)
}
