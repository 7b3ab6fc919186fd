//! A plugin that parks, for the suite: it keeps the numbers of its starts and of the messages that it has answered in
//! storage, and answers each message with both.

use std::time::Duration;

use parlor_sdk::prelude::*;

parlor_sdk::plugin!(start);

/// How long its timer takes.
const PERIOD: Duration = Duration::from_millis(400);

async fn start() -> Result<()> {
    let starts = count("starts").await?;
    assert!(!settings::get_or("fails", false)?, "it is told to fail");
    on("message").kind("chat").run(|message: Message| async move {
        if message.body.as_deref().is_some_and(|body| body.starts_with('!')) {
            Ok(())
        } else {
            answer("messages", message).await
        }
    })?;
    commands::add(
        "count",
        "Says how many",
        "",
        |command: Command| async move { answer("commands", command.message).await },
    )
    .await?;
    disco::own_features_add("urn:example:idler").await?;
    promises::add("idlerReady").await?;
    if starts == 1 {
        emit("idlerReady", ()).await?;
    }
    if settings::get_or("listens", false)? {
        on("settingsChanged").run(|_: Event| async { emit("idlerTold", "settings").await })?;
    }
    let tells: String = settings::get_or("tells", String::new())?;
    if !tells.is_empty() {
        timers::every(PERIOD, move || {
            let tells = tells.clone();
            async move { chats::send(tells, "due").await.map(drop) }
        })?;
    }
    Ok(())
}

/// Answers with the greeting, the number of answers of this kind, and the number of starts.
async fn answer(kind: &'static str, message: Message) -> Result<()> {
    let (greeting, number) = (settings::get_or("greeting", String::new())?, count(kind).await?);
    let starts: u64 = storage::get("starts").await?.unwrap_or(0);
    chats::send(message.from, format!("{greeting} {kind} {number} starts {starts}")).await.map(drop)
}

/// Increases a number in storage, and returns it.
async fn count(key: &str) -> Result<u64> {
    let number = storage::get(key).await?.unwrap_or(0_u64) + 1;
    storage::set(key, &number).await?;
    Ok(number)
}
