//! Welcomes who joins a room, and shows how plugins wait for one another: see the README.

use parlor_sdk::prelude::*;

/// Resolved once this plugin greets whoever comes.
const READY: &str = "greeterReady";
/// Resolved when somebody says `resolve`.
const DEMO: &str = "demoPromise";

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    promises::add_all([READY, DEMO]).await?;
    // Greeting works without the grant to read messages. It is optional in plugin.toml, so this is no error then.
    on("message").kind("chat").run(answer)?;
    // Not in `start` itself: the host connects only after every plugin has started, and the rooms come after that.
    spawn(greet_newcomers());
    Ok(())
}

/// Greets people who come from now on. Those in the rooms already were there before us.
async fn greet_newcomers() -> Result<()> {
    wait_until("roomsAutoJoined").await?;
    on("occupantJoined").run(greet)?;
    emit(READY, json!({ "account": user::bare_jid() })).await?;
    info!("ready to greet");
    Ok(())
}

async fn greet(occupant: Occupant) -> Result<()> {
    if occupant.own {
        return Ok(());
    }
    let greeting = settings::get_or("greeting", "Welcome, {nick}!".to_owned())?;
    rooms::send(&occupant.room, greeting.replace("{nick}", &occupant.nick)).await?;
    Ok(())
}

/// Waiting here holds up nobody: other messages are answered meanwhile.
async fn answer(message: Message) -> Result<()> {
    // A message to another client of the account is not for this one to answer.
    if message.carbon.is_some() {
        return Ok(());
    }
    let body = message.body.as_deref().unwrap_or_default().trim();
    let (word, rest) = body.split_once(' ').unwrap_or((body, ""));
    let text = match word {
        "ready?" => awaited(READY).await,
        "await" => awaited(DEMO).await,
        "resolve" => {
            emit(DEMO, if rest.is_empty() { "done" } else { rest }).await?;
            format!("{DEMO} is resolved")
        }
        "reset" => {
            promises::add(DEMO).await?;
            format!("{DEMO} is fresh again")
        }
        _ => return Ok(()),
    };
    chats::reply(&message, text).await?;
    Ok(())
}

async fn awaited(promise: &str) -> String {
    match wait_until(promise).await.and_then(|payload| payload.json::<Value>()) {
        Ok(payload) => format!("resolved: {payload}"),
        Err(error) => format!("not resolved: {error}"),
    }
}
