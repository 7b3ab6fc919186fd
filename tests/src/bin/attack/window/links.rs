//! Links to log in to the owner's pages with, which an account sends: to whom, how many, and who else could use one.

use anyhow::{Context as _, Result, ensure};
use parlor_tests::host::Finished;
use parlor_tests::log::Mark;
use parlor_tests::window::{link_in, read};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{Pages, RESTART, is, nothing_changed, open};
use crate::case::{Case, case};
use crate::cpu::remove;
use crate::stage::{MALLORY, SOON, Stage};
use crate::trial::Trial;

/// The owner, with whom the neighbour does not talk.
const NURSE: &str = "nurse@localhost";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(158, "links to log in, asked for by strangers", strangers),
        case!(159, "requests for links to log in without an end", flood),
        case!(160, "the link of an owner: looked at, heard by a plugin, used twice", overheard),
        case!(162, "an owner who is none any more: their session, their open page, their link", dismissed),
    ]
}

/// Makes the nurse an owner.
async fn appoint(stage: &mut Stage) -> Result<()> {
    stage.allow(NURSE);
    stage.home.amend("main", "owners", Some(vec![NURSE].into()))?;
    done(&stage.home.run(&["reload"]).await?, 0)
}

/// Writes into the configuration who can have links sent.
async fn let_send(stage: &mut Stage, who: &str) -> Result<()> {
    stage.home.set_window("links", who)?;
    done(&stage.home.run(&["reload"]).await?, 0)
}

fn done(finished: &Finished, code: i32) -> Result<()> {
    ensure!(finished.code == Some(code), "{finished:?}");
    Ok(())
}

/// Returns how many links wait to be used.
fn waiting(stage: &Stage) -> Result<usize> {
    let kept = std::fs::read(stage.home.path().join("data/window/sessions.json"))?;
    let kept: Value = serde_json::from_slice(&kept)?;
    Ok(kept["links"].as_array().context("no list of links")?.len())
}

/// Returns the links that were sent, each with its recipient.
fn sent(stage: &Stage) -> Vec<(String, String)> {
    let all = stage.messages().into_iter();
    all.filter_map(|(to, text)| link_in(&text).map(|link| (to, link))).collect()
}

/// Waits until the window says this.
async fn logs(pages: &Pages, says: &str) -> Result<()> {
    let seen = |line: &str| line.contains(says).then_some(());
    pages.window.log().wait(says, &mut Mark::default(), SOON, seen).await
}

async fn strangers(trial: &mut Trial) -> Result<String> {
    let (stage, pages) = open(trial, |entry| entry).await?;
    appoint(stage).await?;
    let guest = pages.window.guest();
    let strangers = [
        MALLORY,
        "nurse@localhost.evil.example",
        "nurse@evil.example",
        "nurse",
        "localhost",
        "nurse@localhost,mallory@localhost",
        "\u{578}urse@localhost",
        "<script>",
    ];
    let mut answers = Vec::new();
    for stranger in strangers {
        let answer = guest.ask_for_link(stranger).await?;
        is(&answer, &[200], stranger)?;
        answers.push(answer.body);
    }
    // Two fields, of which one is an owner's, are still one request.
    let both = guest.post("/login", &[("jid", MALLORY), ("jid", NURSE)]).await?;
    answers.push(both.body);
    let owner = guest.ask_for_link(NURSE).await?;
    answers.push(owner.body);
    answers.dedup();
    ensure!(answers.len() == 1, "an owner and a stranger are told apart: {answers:?}");
    logs(&pages, "a link to the window was sent").await?;
    for jid in [MALLORY, "bot@localhost", "localhost"] {
        done(&stage.home.run(&["web", "link", "--to", jid]).await?, 1)?;
    }
    // The owner of the host turns it off, and nobody finds out who is one by asking.
    for links in ["command", "never"] {
        let_send(stage, links).await?;
        let mut answers = Vec::new();
        for asked in [MALLORY, NURSE, "<script>"] {
            let answer = guest.ask_for_link(asked).await?;
            is(&answer, &[404], asked)?;
            answers.push(answer.body);
        }
        answers.dedup();
        ensure!(answers.len() == 1, "an owner and a stranger are told apart: {answers:?}");
    }
    done(&stage.home.run(&["web", "link", "--to", NURSE]).await?, 1)?;
    let_send(stage, "page").await?;
    stage.during().await?;
    let sent = sent(stage);
    ensure!(sent.len() == 1 && sent[0].0.starts_with(NURSE), "links were sent to {sent:?}");
    ensure!(waiting(stage)? == 1, "a link that was not sent is good");
    nothing_changed(stage).await?;
    drop(pages);
    remove(stage).await?;
    Ok(format!("{} strangers are sent none, and all are told the same", strangers.len() + 1))
}

async fn flood(trial: &mut Trial) -> Result<String> {
    const FLOOD: usize = 200;
    let (stage, pages) = open(trial, |entry| entry).await?;
    appoint(stage).await?;
    let guest = pages.window.guest();
    let mut taken = 0;
    for _ in 0..FLOOD {
        let answer = guest.ask_for_link(NURSE).await?;
        is(&answer, &[200, 429], "one of many requests")?;
        taken += usize::from(answer.status == 200);
    }
    ensure!((1..=20).contains(&taken), "{taken} of {FLOOD} requests were taken");
    logs(&pages, "an owner is sent no further link").await?;
    // Those who have a link log in all the same, and the command prints further ones.
    let link = pages.window.link(&stage.home, "owner").await?;
    is(&guest.clone().log_in(&link).await?.get("/").await?, &[200], "an owner with a printed link")?;
    stage.during().await?;
    let sent = sent(stage);
    ensure!(sent.len() <= 3, "the owner was sent {} links", sent.len());
    ensure!(waiting(stage)? <= 3, "links wait that were not sent");
    nothing_changed(stage).await?;
    drop(pages);
    remove(stage).await?;
    Ok(format!("of {FLOOD} requests {taken} are taken, and the owner is sent {} links", sent.len()))
}

async fn overheard(trial: &mut Trial) -> Result<String> {
    let (stage, pages) = open(trial, |entry| entry.grant("messages.read", &[MALLORY, NURSE])).await?;
    appoint(stage).await?;
    // The plugin may read what is said to the owner.
    stage.call("listen.on", &json!({ "name": "messageSend", "prefix": "parlor, account" })).await?;
    done(&stage.home.run(&["web", "link", "--to", NURSE]).await?, 0)?;
    done(&stage.home.run(&["say", NURSE, "parlor, account main: hello", "--new"]).await?, 0)?;
    let heard = stage.heard().await?.to_string();
    ensure!(heard.contains("hello") && !heard.contains("/login/"), "the plugin hears {heard}");
    let links = sent(stage);
    let [(_, link)] = &links[..] else { anyhow::bail!("not one link was sent: {links:?}") };
    // Clients and mail scanners look at links, some with the method that they like.
    let guest = pages.window.guest();
    for method in ["GET", "HEAD", "OPTIONS", "GET"] {
        is(&guest.ask(&guest.head(method, link), b"").await?, &[200, 405], method)?;
    }
    for lines in [&[][..], &[("origin", "https://evil.example")]] {
        is(&guest.post_with(link, lines, &[]).await?, &[403], "a button that is pressed from elsewhere")?;
    }
    let owner = guest.clone().log_in(link).await?;
    is(&owner.get("/").await?, &[200], "the owner")?;
    let again = guest.post(link, &[]).await?;
    is(&again, &[403], "a link that was used")?;
    ensure!(again.cookie().is_none(), "{again:?}");
    let said = [pages.window.log().all(), stage.host.log().all()].concat().join("\n");
    ensure!(!said.contains(link.as_str()), "the link is in a log");
    stage.during().await?;
    nothing_changed(stage).await?;
    drop(pages);
    remove(stage).await?;
    Ok("no plugin hears of it, looks use nothing up, and one is let in once".to_owned())
}

async fn dismissed(trial: &mut Trial) -> Result<String> {
    let (stage, pages) = open(trial, |entry| entry).await?;
    appoint(stage).await?;
    for _ in 0..2 {
        done(&stage.home.run(&["web", "link", "--to", NURSE]).await?, 0)?;
    }
    stage.during().await?;
    let links = sent(stage);
    let [(_, used), (_, unused)] = &links[..] else { anyhow::bail!("not two links were sent: {links:?}") };
    let guest = pages.window.guest();
    let nurse = guest.clone().log_in(used).await?;
    let token = nurse.csrf("/plugins/echo", RESTART).await?;
    let mut live = nurse.connect().await?;
    live.write_all((nurse.head("GET", "/live") + "connection: close\r\n\r\n").as_bytes()).await?;
    stage.home.amend("main", "owners", None)?;
    let told = read(&mut live).await?;
    ensure!(told.status == 200 && told.body.contains("event: ended"), "the open page goes on: {told:?}");
    for path in ["/", "/plugins/echo", "/audit", "/live"] {
        is(&nurse.get(path).await?, &[303], "a page for the former owner")?;
    }
    is(&nurse.post(RESTART, &[("csrf", &token), ("agreed", "yes")]).await?, &[403], "a form of the former owner")?;
    let late = guest.post(unused, &[]).await?;
    is(&late, &[403], "a link of the former owner")?;
    ensure!(late.cookie().is_none(), "{late:?}");
    done(&stage.home.run(&["reload"]).await?, 0)?;
    done(&stage.home.run(&["web", "link", "--to", NURSE]).await?, 1)?;
    // A session from a printed link is bound to no owner, so it stays.
    is(&pages.owner.get("/").await?, &[200], "who was let in by a printed link")?;
    appoint(stage).await?;
    is(&nurse.get("/").await?, &[303], "an owner once more, with the session of before")?;
    stage.during().await?;
    nothing_changed(stage).await?;
    drop(pages);
    remove(stage).await?;
    Ok("their page closes, and neither their session nor their link lets them in".to_owned())
}
