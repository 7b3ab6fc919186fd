//! A plugin with webhooks, for the suite: it counts in its storage how often it was told of each body, and does with a
//! request what its body says.

use std::time::Duration;

use parlor_sdk::bindings::parlor::plugin::webhooks::{Response, address, answer};
use parlor_sdk::http::Header;
use parlor_sdk::prelude::*;
use parlor_sdk::types::Webhook;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    info!("at {}", address("queue".to_owned()).await.unwrap_or_else(|error| error.to_string()));
    if settings::get_or("tells", true)? {
        on("webhook").run(handle)?;
    }
    Ok(())
}

async fn handle(request: Webhook) -> Result<()> {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let key = format!("{}/{}", request.name, body.chars().take(100).collect::<String>());
    let times = storage::get(&key).await?.unwrap_or(0_u64) + 1;
    storage::set(&key, &times).await?;
    let headers: Vec<_> = request.headers.iter().map(|one| format!("{}={}", one.name, one.value)).collect();
    let (name, attempt, method, query) = (&request.name, request.attempt, &request.method, request.query.as_deref());
    info!("told {name} {attempt} {times} {method} {query:?} {headers:?} {body:.100}");
    let (word, rest) = body.split_once(' ').unwrap_or((&body, ""));
    match word {
        "fail" => Err(Error::other("it is told to fail")),
        "fail-once" if attempt == 1 => Err(Error::other("it is told to fail once")),
        "panic" => panic!("it is told to panic"),
        "panic-once" if attempt == 1 => panic!("it is told to panic once"),
        "wait" => {
            timers::sleep(Duration::from_hours(1)).await;
            Ok(())
        }
        "say" => say(&request.id, rest).await,
        _ => Ok(()),
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
