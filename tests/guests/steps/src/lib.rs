//! A hundred steps that are the same in every language. Each message `PART FRIEND ROOM` runs a part of them, and the
//! answer has the result of each. Results of later events are reported by the part `heard`.

mod parts;

use std::cell::{Cell, RefCell};
use std::fmt::Display;

use parlor_sdk::prelude::*;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    on("message").kind("chat").run(|message: Message| async move {
        let words: Vec<_> = message.body.as_deref().unwrap_or_default().splitn(4, ' ').map(str::to_owned).collect();
        let [part, friend, room, rest] = <[String; 4]>::try_from(words).unwrap_or_default();
        let mut steps = Steps { friend, room, rest, lines: Vec::new() };
        parts::take(&part, &mut steps, &message).await;
        chats::reply(&message, format!("{part}\n{}", steps.lines.join("\n"))).await?;
        Ok(())
    })?;
    Ok(())
}

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
    /// The results of events since the last report.
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The arguments of a part, and its results.
struct Steps {
    friend: String,
    room: String,
    rest: String,
    lines: Vec<String>,
}

impl Steps {
    fn note(&mut self, what: &str, outcome: Result<impl Display>) {
        self.tell(&line(what, outcome));
    }

    fn tell(&mut self, line: &str) {
        let number = COUNT.get() + 1;
        COUNT.set(number);
        self.lines.push(format!("{number:03} {line}"));
    }

    /// Records a step that returns nothing.
    fn done(&mut self, what: &str, outcome: Result<()>) {
        self.note(what, outcome.map(|()| "done"));
    }

    /// Records a step that must fail.
    fn fails<T>(&mut self, what: &str, outcome: Result<T>) {
        self.note(what, outcome.map(|_| "it worked"));
    }

    /// Records a step whose result differs in each run.
    fn some(&mut self, what: &str, outcome: Result<String>) {
        self.note(what, outcome.map(|text| if text.is_empty() { "nothing" } else { "something" }));
    }

    fn heard(&mut self) {
        HEARD.take().iter().for_each(|line| self.tell(line));
    }
}

fn hear(what: &str, outcome: Result<impl Display>) {
    let line = line(what, outcome);
    HEARD.with_borrow_mut(|heard| heard.push(line));
}

fn line(what: &str, outcome: Result<impl Display>) -> String {
    let outcome = match outcome {
        Ok(value) => value.to_string(),
        Err(error) => typed(error),
    };
    format!("{what}: {outcome}")
}

/// Returns the case of an error, with those of its fields that are the same in each run.
fn typed(error: Error) -> String {
    match error {
        Error::Denied { permission, .. } => format!("denied {permission}"),
        Error::Invalid { argument, .. } => format!("invalid {argument}"),
        Error::NotFound(_) => "not-found".to_owned(),
        Error::NotReady(promise) => format!("not-ready {promise}"),
        Error::Unsupported(_) => "unsupported".to_owned(),
        Error::Stanza(error) => format!("stanza {}", error.condition),
        Error::Rejected(reason) => format!("rejected {reason}"),
        Error::TimedOut => "timed-out".to_owned(),
        Error::Offline => "offline".to_owned(),
        Error::Stopped => "stopped".to_owned(),
        Error::OverLimit(_) => "over-limit".to_owned(),
        _ => "other".to_owned(),
    }
}

fn or_none(value: Option<String>) -> String {
    value.unwrap_or_else(|| "none".to_owned())
}
