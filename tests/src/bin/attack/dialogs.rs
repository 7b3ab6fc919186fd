//! Attacks by questions to people: answers of others and floods of them, people who leave, and questions without end.

use anyhow::{Result, ensure};
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::people::{FULL, HALL, enter, presence};
use crate::stage::Plan;
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(129, "a flood of answers to a question, and answers of others", answers),
        case!(130, "questions to people without end", without_end),
        case!(164, "a person who is asked in a room and leaves", leaving),
    ]
}

/// The person who is asked. The plugin gets its orders from another one.
const ROMEO: &str = "romeo@localhost";

/// Writes a message as if a client of this person had sent it.
fn says(from: &str, number: usize, body: &str) -> String {
    format!(
        "<message xmlns='jabber:client' type='chat' id='answer-{number}' from='{from}/lair' to='bot@localhost/parlor'>\
         <body>{body}</body></message>"
    )
}

/// Lets a plugin write to anybody, and often.
fn talks(entry: Entry) -> Entry {
    let entry = entry.grant("messages.send", &["*"]).limit("messages_per_second", 10_000);
    entry.limit("messages_burst", 10_000)
}

async fn answers(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(talks)?).await?;
    let question = json!({ "to": ROMEO, "text": "Which?", "choices": ["red", "blue"] });
    stage.allow(ROMEO);
    stage.order_call(7, "dialogs.ask", &question).await?;
    let asked = stage.hear(ROMEO).await?;
    ensure!(asked.starts_with("Which?"), "romeo was told {asked:?}");
    // Others answer first, and from addresses that look similar.
    for (number, from) in ["romeo@localhost.invalid", "romeo2@localhost", "localhost"].iter().enumerate() {
        stage.raw(says(from, number, "red")).await?;
    }
    stage.during().await?;
    for round in 0..20 {
        let many = (0..100).map(|number| says(ROMEO, 100 * (round + 1) + number, "neither"));
        stage.raw(many.collect::<String>()).await?;
    }
    stage.during().await?;
    // An answer of another person would have ended it with a choice.
    let end = stage.result().await?;
    ensure!(end["n"] == 7 && end["err"]["case"] == "rejected" && end["err"]["what"] == "wrong", "it ended by {end}");
    let again = stage.wire().matches("That is none of the choices").count();
    ensure!(again == 2, "{again} answers to 2000 wrong ones");
    let status = stage.status("caller").await?;
    ensure!(status["state"] == "running", "{status}");
    remove(stage).await?;
    Ok("nobody else's counts, and 2000 wrong ones are answered twice".to_owned())
}

async fn without_end(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| talks(entry).limit("dialogs", 50))?).await?;
    let mut refused = 0;
    for number in 0..200 {
        let person = format!("person-{number}@localhost");
        stage.allow(&person);
        let question = json!({ "to": person, "text": "?", "timeout": 86_400_000 });
        let answer: Value = stage.call("dialogs.begin", &question).await?;
        if answer["err"]["case"] == "over-limit" {
            refused += 1;
        }
    }
    ensure!(refused == 150, "{refused} of 200 questions were refused, not 150");
    stage.during().await?;
    let status = stage.status("caller").await?;
    ensure!(status["state"] == "running", "{status}");
    remove(stage).await?;
    Ok("50 at once, and over-limit for the others".to_owned())
}

async fn leaving(trial: &mut Trial) -> Result<String> {
    const ROUNDS: usize = 10;
    let grants = |entry: Entry| {
        let entry = talks(entry).grant("rooms.join", &[HALL]).grant("rooms.read", &[HALL]);
        entry.grant("rooms.send", &[HALL]).limit("dialogs", 2)
    };
    let stage = trial.start(Plan::new()?.caller(grants)?).await?;
    enter(stage).await?;
    let enters = presence("tybalt", "", "");
    let leaves = format!(
        "<presence xmlns='jabber:client' type='unavailable' from='{HALL}/tybalt' to='{FULL}'>\
         <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/></x></presence>"
    );
    let says = |round: usize| {
        format!(
            "<message xmlns='jabber:client' type='groupchat' id='late-{round}' from='{HALL}/tybalt' to='{FULL}'>\
             <body>bot: red</body></message>"
        )
    };
    let question = json!({ "room": HALL, "nick": "tybalt", "text": "Which?", "choices": ["red", "blue"] });
    for round in 1..=ROUNDS {
        stage.raw(enters.as_str()).await?;
        stage.order_call(7, "dialogs.ask-in-room", &question).await?;
        while stage.wire().matches("tybalt: Which?").count() < round {
            stage.during().await?;
        }
        // Another one takes the nickname at once, and answers.
        stage.raw(format!("{leaves}{enters}{}{leaves}", says(round))).await?;
        let end = stage.result().await?;
        ensure!(end["n"] == 7 && end["err"]["case"] == "not-found", "round {round} ended by {end}");
    }
    let status = stage.status("caller").await?;
    ensure!(status["state"] == "running", "{status}");
    remove(stage).await?;
    Ok(format!("{ROUNDS} of {ROUNDS} questions end with the person, and nobody answers in the same name"))
}
