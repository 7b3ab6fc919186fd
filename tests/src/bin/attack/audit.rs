//! Attacks on the audit: a plugin that fills it.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::stage::{Plan, Stage};
use crate::trial::Trial;
use crate::web::fast;

pub(crate) fn cases() -> Vec<Case> {
    vec![case!(147, "a plugin that fills the audit", flood)]
}

/// How often the plugin changes a setting of the host.
const CHANGES: usize = 1_300;
/// How many people it makes up.
const PEOPLE: usize = 300;
/// The most entries that one plugin causes, with the one that says how many were removed.
const MOST: usize = 1_001;

/// Returns the audit, as its command shows it.
async fn audit(stage: &Stage, more: &[&str]) -> Result<Value> {
    let finished = stage.home.run(&[&["audit", "--json", "--lines", "10000"], more].concat()).await?;
    ensure!(finished.code == Some(0), "{finished:#?}");
    finished.json()
}

fn about<'a>(audit: &'a Value, plugin: &str) -> Result<Vec<&'a Value>> {
    let entries = audit["entries"].as_array().context("there are no entries")?;
    Ok(entries.iter().filter(|entry| entry["plugin"] == plugin).collect())
}

async fn flood(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| fast(entry).grant_whole("settings.write"))?).await?;
    let first = audit(stage, &[]).await?;
    let ids: Vec<_> =
        first["entries"].as_array().context("there are no entries")?.iter().map(|one| one["id"].clone()).collect();
    for number in 0..CHANGES {
        let set = json!({ "key": "nickname", "value": format!("bot{number}") });
        let set = stage.call("settings.set", &set).await?;
        ensure!(set.get("ok").is_some(), "the change {number}: {}", short(&set));
    }
    for number in 0..PEOPLE {
        let to = format!("person{number}@nowhere.example");
        stage.refused("chats.send", &json!({ "jid": to, "body": "x" }), "denied").await?;
    }
    stage.during().await?;
    let all = audit(stage, &["--plugin", "caller"]).await?;
    let caused = about(&all, "caller")?;
    let changes = caused.iter().filter(|entry| entry["kind"] == "setting" && entry["who"] == "plugin:caller").count();
    ensure!((1..=MOST).contains(&changes), "{changes} entries of the plugin are kept");
    ensure!(caused.iter().any(|entry| entry["kind"] == "cut"), "nothing says that entries were removed");
    let names = all["names"].as_array().map_or(0, Vec::len);
    ensure!((1..=PEOPLE + 10).contains(&names), "{names} names are kept");
    let now = audit(stage, &[]).await?;
    let kept = now["entries"].as_array().context("there are no entries")?;
    let is_kept = |id: &Value| kept.iter().any(|entry| entry["id"] == *id);
    ensure!(ids.iter().all(is_kept), "entries of others are gone");
    remove(stage).await?;
    Ok(format!("{changes} of its {CHANGES} entries are kept, and all {} of others", ids.len()))
}
