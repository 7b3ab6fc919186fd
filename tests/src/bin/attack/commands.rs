//! Attacks by commands: messages of a stranger that try to make a plugin obey, or the host answer endlessly.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::report::short;
use crate::stage::{MALLORY, Plan, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(117, "a command of others by every spelling", spellings),
        case!(118, "a flood of wrong commands", wrong_ones),
        case!(119, "arguments of 60 KiB", large_ones),
        case!(120, "arguments of odd characters", odd_ones),
    ]
}

/// A person whom the plugin may send messages to, and who may only give the commands that are open to everybody.
const STRANGER: &str = "tybalt@localhost";

/// The most answers that the host may give while a case lasts: some at once, and then one in two seconds.
const MOST_ANSWERS: usize = 100;

/// The longest answer of the host, in bytes: it says what is wrong and the usage, and does not repeat all that was written.
const LONGEST_ANSWER: usize = 4 << 10;

/// Starts a host whose plugin may answer the stranger, and has declared these commands.
async fn begin<'t>(trial: &'t mut Trial, declarations: &[Value]) -> Result<&'t mut Stage> {
    let plan = Plan::new()?.caller(|entry| entry.grant("messages.send", &[MALLORY, STRANGER]))?;
    let stage = trial.start(plan).await?;
    stage.allow(STRANGER);
    for declaration in declarations {
        let answer = stage.call("commands.declare", declaration).await?;
        ensure!(answer.get("ok").is_some(), "it was not declared: {}", short(&answer));
    }
    Ok(stage)
}

/// A message in a private chat.
fn message(from: &str, body: &str) -> String {
    format!(
        "<message xmlns='jabber:client' from='{from}/lair' to='bot@localhost/parlor' type='chat' id='c'>\
         <body>{body}</body></message>"
    )
}

/// Returns the messages of the host and the plugin to a person so far.
fn said_to(stage: &Stage, jid: &str) -> Vec<String> {
    let is_to = |to: &str| to.split('/').next() == Some(jid);
    stage.messages().into_iter().filter(|(to, _)| is_to(to)).map(|(_, body)| body).collect()
}

/// Checks that the plugin got no command: it reports each to mallory.
fn plugin_was_not_told(stage: &Stage) -> Result<()> {
    let told: Vec<_> = said_to(stage, MALLORY).into_iter().filter(|text| text.starts_with("heard ")).collect();
    ensure!(told.is_empty(), "the plugin was told: {}", short(&json!(told)));
    Ok(())
}

/// Checks that the stranger was answered, in a few short words without control characters.
fn answers_are_bounded(stage: &Stage) -> Result<usize> {
    let answers = said_to(stage, STRANGER);
    ensure!(!answers.is_empty(), "nobody answered");
    ensure!(answers.len() <= MOST_ANSWERS, "{} answers to one person", answers.len());
    for answer in &answers {
        ensure!(answer.len() <= LONGEST_ANSWER, "an answer of {} bytes: {:.200}", answer.len(), answer);
        let is_odd = |sign: char| {
            (sign.is_control() && sign != '\n') || matches!(sign, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        ensure!(!answer.chars().any(is_odd), "an answer has signs that nobody sees: {answer:?}");
    }
    Ok(answers.len())
}

/// Has mallory give the command rightly, which proves that the checks above can fail.
async fn works(stage: &mut Stage, given: &str) -> Result<()> {
    stage.raw(message(MALLORY, given)).await?;
    while !stage.answer().await?.starts_with("heard ") {}
    Ok(())
}

/// A command with a number, as the cases below abuse it.
fn roll() -> Value {
    json!({
        "name": "roll", "help": "Rolls dice",
        "arguments": [{ "name": "count", "integer": [1, 100] }, { "name": "colour", "choice": ["red"], "optional": true }],
    })
}

async fn spellings(trial: &mut Trial) -> Result<String> {
    let mine = json!({ "name": "wipe", "help": "Wipes", "aliases": ["erase"], "allow": [["jid", MALLORY]] });
    let stage = begin(trial, &[mine]).await?;
    let spelled = [
        "!wipe",
        "!WIPE",
        "!Wipe",
        "!wIpE ",
        "!erase",
        "!ERASE",
        "!caller.wipe",
        "!CALLER.wipe",
        "!caller.erase",
        "! wipe",
        "!\u{ff57}ipe",
        "!wipe\u{200b}",
        "!\u{200b}wipe",
        "!w\u{131}pe",
        "!W\u{130}PE",
        "!wi\u{301}pe",
        "!wipe\u{2028}",
        "!!wipe",
        "bot: wipe",
        "Bot: wipe",
        "bot, wipe",
        "bot wipe",
        "parlor: wipe",
        "!wipe --mallory@localhost",
        "!wipe mallory@localhost",
    ];
    for body in spelled {
        stage.raw(message(STRANGER, body)).await?;
    }
    // People who look like the one that may.
    for from in [
        "m\u{430}llory@localhost",
        "mallory@localhost.evil",
        "mallory@evil.localhost",
        "evil@localhost/mallory@localhost",
        "localhost/mallory",
    ] {
        stage.raw(message(from, "!wipe")).await?;
    }
    // Messages that are not commands, though they contain one.
    let from = format!("from='{MALLORY}/lair' to='bot@localhost/parlor'");
    let carried = "<body>!wipe</body>";
    for odd in [
        format!("<message xmlns='jabber:client' {from} type='error' id='c'>{carried}</message>"),
        format!("<message xmlns='jabber:client' {from} type='headline' id='c'>{carried}</message>"),
        format!(
            "<message xmlns='jabber:client' {from} type='chat' id='c'>{carried}<delay xmlns='urn:xmpp:delay' from='localhost' \
             stamp='2020-01-01T00:00:00Z'/></message>"
        ),
        format!(
            "<message xmlns='jabber:client' {from} type='chat' id='c'>{carried}<replace xmlns='urn:xmpp:message-correct:0' \
             id='b'/></message>"
        ),
    ] {
        stage.raw(odd).await?;
    }
    stage.during().await?;
    plugin_was_not_told(stage)?;
    let answers = answers_are_bounded(stage)?;
    works(stage, "!wipe").await?;
    Ok(format!("the plugin is told of none; {answers} refusals"))
}

async fn wrong_ones(trial: &mut Trial) -> Result<String> {
    let stage = begin(trial, &[roll()]).await?;
    for _ in 0..20 {
        let many =
            message(STRANGER, "!roll x") + &message(STRANGER, "!roll 1 blue") + &message(STRANGER, "!roll --nosuch");
        stage.raw(many.repeat(50)).await?;
        stage.during().await?;
    }
    plugin_was_not_told(stage)?;
    let answers = answers_are_bounded(stage)?;
    // After that many commands, the person may still give a correct one, and so may others.
    works(stage, "!roll 1").await?;
    Ok(format!("3,000 wrong commands have {answers} answers"))
}

async fn large_ones(trial: &mut Trial) -> Result<String> {
    let stage = begin(trial, &[roll()]).await?;
    let long = 60 << 10;
    for arguments in [
        "9".repeat(long),
        "x".repeat(long),
        "x ".repeat(long / 2),
        "'".repeat(long),
        "\\".repeat(long),
        "' ".repeat(long / 2),
        "--x ".repeat(long / 4),
        "-".repeat(long),
        format!("--{}", "x".repeat(long)),
        format!("--{}={}", "x".repeat(long / 2), "y".repeat(long / 2)),
        format!("1 {}", "red".repeat(long / 3)),
    ] {
        stage.raw(message(STRANGER, &format!("!roll {arguments}"))).await?;
        stage.during().await?;
    }
    plugin_was_not_told(stage)?;
    let answers = answers_are_bounded(stage)?;
    works(stage, "!roll 1").await?;
    Ok(format!("refused in {answers} short answers"))
}

async fn odd_ones(trial: &mut Trial) -> Result<String> {
    let stage = begin(trial, &[roll()]).await?;
    let zalgo = format!("1{}", "\u{301}\u{335}\u{489}".repeat(2_000));
    for argument in [
        zalgo.as_str(),
        "1\u{301}",
        "\u{661}\u{662}",
        "\u{ff11}",
        "\u{2212}1",
        "1\u{200d}",
        "\u{202e}1",
        "1\u{202e}\u{2066}",
        "\u{feff}1",
        "1\u{85}2\u{2028}3",
        "0x1",
        "1e1",
        "+ 1",
        "1_0",
        "1,0",
        "99999999999999999999",
        "-9223372036854775809",
        "NaN",
        "1 r\u{435}d",
        "1 red\u{fe0f}",
        "1 \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "1 --\u{202e}der",
        "\u{e0031}",
        "&#x9;&#xa;\u{7f}",
    ] {
        stage.raw(message(STRANGER, &format!("!roll {argument}"))).await?;
    }
    stage.during().await?;
    plugin_was_not_told(stage)?;
    let answers = answers_are_bounded(stage)?;
    works(stage, "!roll 1 RED").await?;
    Ok(format!("none is taken for a number or a word; {answers} answers without signs that nobody sees"))
}
