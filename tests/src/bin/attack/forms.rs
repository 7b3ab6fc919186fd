//! Attacks by forms of commands (XEP-0050): incomplete and repeated forms, forms of other people, and endless ones.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::report::short;
use crate::stage::{MALLORY, Plan, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(136, "a form that lacks its middle, or comes twice", cut_and_twice),
        case!(137, "a form that others go on with", of_others),
        case!(138, "forms that nobody ends", without_end),
    ]
}

/// A person whom the plugin may send messages to.
const TYBALT: &str = "tybalt@localhost/home";

/// A command whose form has two pages.
fn poll() -> Value {
    json!({
        "name": "poll", "help": "Asks a question",
        "arguments": [{ "name": "question" }, { "name": "count", "integer": [1, 9], "page": "Answers" }],
    })
}

/// Starts a host whose plugin may answer everybody, and has declared the command.
async fn begin(trial: &mut Trial) -> Result<&mut Stage> {
    let plan = Plan::new()?.caller(|entry| entry.grant("messages.send", &["*"]))?;
    let stage = trial.start(plan).await?;
    let declared = stage.call("commands.declare", &poll()).await?;
    ensure!(declared.get("ok").is_some(), "it was not declared: {}", short(&declared));
    Ok(stage)
}

/// Writes a step as if this client had sent it.
fn step(from: &str, id: &str, attributes: &str, inner: &str) -> String {
    format!(
        "<iq xmlns='jabber:client' type='set' id='{id}' from='{from}' to='bot@localhost/parlor'>\
         <command xmlns='http://jabber.org/protocol/commands' node='caller.poll' {attributes}>{inner}</command></iq>"
    )
}

/// Writes a form with these fields.
fn form(fields: &[(&str, &str)]) -> String {
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    format!("<x xmlns='jabber:x:data' type='submit'>{}</x>", fields.iter().map(field).collect::<String>())
}

/// Begins the command as this client. Returns the id of the form.
async fn open(stage: &mut Stage, from: &str, id: &str) -> Result<String> {
    stage.raw(step(from, id, "action='execute'", "")).await?;
    stage.during().await?;
    let answer = answer_to(stage, id)?;
    let session = answer.split("sessionid='").nth(1).and_then(|rest| rest.split('\'').next());
    session.map(str::to_owned).with_context(|| format!("no form: {answer:.300}"))
}

/// Returns what the host has sent from the answer to this request on.
fn answer_to(stage: &Stage, id: &str) -> Result<String> {
    let (wire, mark) = (stage.wire(), format!("id='{id}'"));
    let answer = wire.split(&mark).nth(1);
    answer.map(str::to_owned).with_context(|| format!("the request {id} is not answered"))
}

/// Returns the number of commands that the plugin got: it reports each to mallory.
fn told(stage: &Stage) -> usize {
    let is_told = |(to, text): &(String, String)| to.starts_with(MALLORY) && text.starts_with("heard ");
    stage.messages().iter().filter(|message| is_told(message)).count()
}

async fn cut_and_twice(trial: &mut Trial) -> Result<String> {
    let stage = begin(trial).await?;
    let session = open(stage, TYBALT, "begin").await?;
    let go = |action: &str| format!("action='{action}' sessionid='{session}'");
    let long = "x".repeat(60 << 10);
    let odd = [
        String::new(),
        "<x xmlns='jabber:x:data'/>".to_owned(),
        "<x xmlns='jabber:x:data' type='submit'><field/><field var='question'/></x>".to_owned(),
        "<x xmlns='urn:example:other' type='submit'><field var='question'><value>Tea?</value></field></x>".to_owned(),
        "<field xmlns='jabber:x:data' var='question'><value>Tea?</value></field>".to_owned(),
        form(&[("question", &long)]),
        form(&[(&long, "Tea?")]),
        form(&[("count", "3")]),
        (0..500).map(|n| form(&[(&*format!("f{n}"), "x")])).collect(),
    ];
    for (number, inner) in odd.iter().enumerate() {
        for action in ["next", "complete", "prev", "jump", ""] {
            stage.raw(step(TYBALT, &format!("odd-{number}{action}"), &go(action), inner)).await?;
        }
    }
    stage.during().await?;
    let answered = stage.wire().matches("id='odd-").count();
    ensure!(answered == odd.len() * 5, "{answered} of {} steps are answered", odd.len() * 5);
    ensure!(told(stage) == 0, "the plugin was told");
    // Each page comes three times at once.
    let first = step(TYBALT, "first", &go("next"), &form(&[("question", "Tea?")]));
    stage.raw(first.repeat(3)).await?;
    let last = step(TYBALT, "last", &go("complete"), &form(&[("count", "3")]));
    stage.raw(last.repeat(3)).await?;
    while !stage.answer().await?.starts_with("heard ") {}
    stage.during().await?;
    ensure!(told(stage) == 1, "the plugin was told {} times", told(stage));
    Ok(format!("{answered} odd steps are answered, and a form that comes three times is given once"))
}

async fn of_others(trial: &mut Trial) -> Result<String> {
    const OTHERS: [&str; 6] = [
        "tybalt@localhost/other",
        "tybalt@localhost",
        "tybalt@localhost.evil/home",
        "tyb\u{430}lt@localhost/home",
        "mallory@localhost/home",
        "room@conference.localhost/tybalt@localhost",
    ];
    let stage = begin(trial).await?;
    let session = open(stage, TYBALT, "begin").await?;
    let go = |action: &str| format!("action='{action}' sessionid='{session}'");
    for (number, other) in OTHERS.iter().enumerate() {
        for action in ["next", "complete", "prev", "cancel"] {
            let inner = form(&[("question", "Mine?"), ("count", "1")]);
            stage.raw(step(other, &format!("theirs-{number}{action}"), &go(action), &inner)).await?;
        }
    }
    stage.during().await?;
    ensure!(stage.wire().matches("id='theirs-").count() == OTHERS.len() * 4, "not all of them are answered");
    for number in 0..OTHERS.len() {
        let answer = answer_to(stage, &format!("theirs-{number}next"))?;
        let end = answer.find("</iq>").unwrap_or(answer.len());
        ensure!(answer[..end].contains("<error"), "somebody else went on: {:.300}", &answer[..end]);
    }
    ensure!(told(stage) == 0, "the plugin was told");
    stage.raw(step(TYBALT, "first", &go("next"), &form(&[("question", "Tea?")]))).await?;
    stage.raw(step(TYBALT, "last", &go("complete"), &form(&[("count", "3")]))).await?;
    let heard = loop {
        let answer = stage.answer().await?;
        if let Some(heard) = answer.strip_prefix("heard ") {
            break serde_json::from_str::<Value>(heard)?;
        }
    };
    let args = &heard["event"]["payload"]["command"]["args"];
    ensure!(*args == json!(["Tea?", "3"]), "somebody else's values: {args}");
    stage.during().await?;
    Ok(format!("{} clients are refused, and whose form it is gives it", OTHERS.len()))
}

async fn without_end(trial: &mut Trial) -> Result<String> {
    let stage = begin(trial).await?;
    // From one person with many clients, who must only get a part of the places.
    let session = open(stage, TYBALT, "begin").await?;
    for round in 0..20 {
        let many = (0..100).map(|n| step(&format!("flood@localhost/{round}-{n}"), "flood", "action='execute'", ""));
        stage.raw(many.collect::<String>()).await?;
    }
    stage.during().await?;
    let go = format!("action='next' sessionid='{session}'");
    stage.raw(step(TYBALT, "kept", &go, &form(&[("question", "Tea?")]))).await?;
    stage.during().await?;
    let kept = answer_to(stage, "kept")?;
    let end = kept.find("</iq>").unwrap_or(kept.len());
    ensure!(!kept[..end].contains("<error"), "a form was lost to somebody else's: {:.300}", &kept[..end]);
    // Of as many people as there are.
    for round in 0..20 {
        let many = (0..100).map(|n| step(&format!("{round}-{n}@localhost/x"), "flood", "action='execute'", ""));
        stage.raw(many.collect::<String>()).await?;
    }
    stage.during().await?;
    let status = stage.status("caller").await?;
    ensure!(status["state"] == "running", "{status}");
    // Somebody who comes later can still give it.
    let session = open(stage, "juliet@localhost/home", "later").await?;
    let go = |action: &str| format!("action='{action}' sessionid='{session}'");
    stage.raw(step("juliet@localhost/home", "first", &go("next"), &form(&[("question", "Tea?")]))).await?;
    stage.raw(step("juliet@localhost/home", "last", &go("complete"), &form(&[("count", "3")]))).await?;
    while !stage.answer().await?.starts_with("heard ") {}
    Ok("64 of 4,001 are kept, and 8 of one person; who comes later has one as well".to_owned())
}
