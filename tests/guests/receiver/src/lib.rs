//! A plugin with webhooks and schedules, for the suite: it counts in its storage how often it was told of each body and of
//! each due time. It does with a request what its body says, and with a due time what the name of its schedule says.

use std::time::Duration;

use parlor_sdk::bindings::parlor::plugin::schedules as contract;
use parlor_sdk::bindings::parlor::plugin::webhooks::{Response, address, answer};
use parlor_sdk::http::Header;
use parlor_sdk::prelude::*;
use parlor_sdk::types::Webhook;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    info!("at {}", address("queue".to_owned()).await.unwrap_or_else(|error| error.to_string()));
    if settings::get_or("tells", true)? {
        on("webhook").run(handle)?;
        on("schedule").run(due)?;
    }
    for entry in settings::get_or("sets", String::new())?.split(';').filter(|entry| !entry.is_empty()) {
        set(entry).await?;
    }
    Ok(())
}

/// Sets a schedule as `every NAME MILLISECONDS CATCH-UP` or `at NAME TIME CATCH-UP` says, or ends it as `cancel NAME - 0` says, and
/// logs what came of it.
async fn set(entry: &str) -> Result<()> {
    let words: Vec<&str> = entry.split_whitespace().collect();
    let [kind, name, when, catch_up] = words[..] else { return Err(Error::other(format_args!("no entry: {entry}"))) };
    let (name, catch_up) = (name.to_owned(), catch_up.parse::<u32>()?);
    let result = match kind {
        "every" => contract::every(name, when.parse::<u64>()?, catch_up).await,
        "at" => contract::at(name, when.to_owned(), catch_up).await.map(|is_set| is_set.to_string()),
        "cancel" => contract::cancel(name).await.map(|was_set| was_set.to_string()),
        other => return Err(Error::other(format_args!("no timing: {other}"))),
    };
    info!("set {entry}: {result:?}");
    Ok(())
}

async fn due(due: DueTime) -> Result<()> {
    let key = format!("due/{}/{}", due.name, due.due);
    let times = storage::get(&key).await?.unwrap_or(0_u64) + 1;
    storage::set(&key, &times).await?;
    info!("due {} {} {times} missed {} late {} at {}", due.name, due.attempt, due.missed, due.late, due.due);
    match due.name.as_str() {
        "wait-once" if times == 1 => act("wait", due.attempt).await,
        name => act(name, due.attempt).await,
    }
}

/// Fails, panics or waits, as a word says.
async fn act(word: &str, attempt: u32) -> Result<()> {
    match word {
        "fail" => Err(Error::other("it is told to fail")),
        "fail-once" if attempt == 1 => Err(Error::other("it is told to fail once")),
        "panic" => panic!("it is told to panic"),
        "panic-once" if attempt == 1 => panic!("it is told to panic once"),
        "wait" => {
            timers::sleep(Duration::from_hours(1)).await;
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn handle(request: Webhook) -> Result<()> {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let key = format!("{}/{}", request.name, body.chars().take(100).collect::<String>());
    let times = storage::get(&key).await?.unwrap_or(0_u64) + 1;
    storage::set(&key, &times).await?;
    if let Some(path) = &request.path {
        info!("below {path}");
    }
    let headers: Vec<_> = request.headers.iter().map(|one| format!("{}={}", one.name, one.value)).collect();
    let (name, attempt, method, query) = (&request.name, request.attempt, &request.method, request.query.as_deref());
    info!("told {name} {attempt} {times} {method} {query:?} {headers:?} {body:.100}");
    let (word, rest) = body.split_once(' ').unwrap_or((&body, ""));
    match word {
        "say" => say(&request.id, rest).await,
        _ => act(word, attempt).await,
    }
}

/// Answers as `STATUS NAME=VALUE BODY` says, and logs how that ended.
async fn say(id: &str, what: &str) -> Result<()> {
    let mut words = what.splitn(3, ' ');
    let (status, header) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (name, value) = header.split_once('=').unwrap_or_default();
    let given = Response {
        status: status.parse().unwrap_or_default(),
        headers: vec![Header { name: name.to_owned(), value: value.to_owned() }],
        body: words.next().unwrap_or_default().into(),
    };
    match answer(id.to_owned(), given).await {
        Ok(()) => info!("answered {id}"),
        Err(error) => info!("not answered: {error}"),
    }
    Ok(())
}
