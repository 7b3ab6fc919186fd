//! A plugin that answers numbered messages, for `cargo xtask cluster`. For messages that it is to note, it stores how often it
//! was told each number, and how many there were in all. It answers once both are acknowledged.

use parlor_sdk::prelude::*;

parlor_sdk::plugin!(start);

/// The key of the number of messages.
const COUNT: &str = "count";
/// The prefix of the storage keys of messages.
const TOLD: &str = "told/";
/// How many keys one answer names.
const PAGE: u32 = 400;

async fn start() -> Result<()> {
    on("message").kind("chat").with_delayed().run(|message: Message| async move {
        let (Some(body), None, None) = (&message.body, &message.carbon, &message.command) else { return Ok(()) };
        let answer = match body.split_once(' ') {
            Some(("tell", number)) => tell(number).await?,
            Some(("say", number)) => format!("said {number}"),
            Some(("told-after", number)) => told_after(number).await?,
            _ => body.clone(),
        };
        chats::send(message.from, answer).await.map(drop)
    })?;
    Ok(())
}

/// Notes a message, and returns its number, how often it was told, and how many messages were told with it.
async fn tell(number: &str) -> Result<String> {
    let times = increase(format!("{TOLD}{number}")).await?;
    let count = increase(COUNT).await?;
    Ok(format!("told {number} {times} {count}"))
}

/// Increases a number in storage, and returns it.
async fn increase(key: impl AsRef<str>) -> Result<u64> {
    let key = key.as_ref();
    let number = storage::get(key).await?.unwrap_or(0_u64) + 1;
    storage::set(key, &number).await?;
    Ok(number)
}

/// Returns the first numbers after this one that are noted.
async fn told_after(number: &str) -> Result<String> {
    let page = storage::list(TOLD, Some(format!("{TOLD}{number}")), PAGE).await?;
    let numbers = page.keys.iter().filter_map(|key| key.strip_prefix(TOLD)).collect::<Vec<_>>().join(" ");
    let end = if page.next.is_some() { "more" } else { "end" };
    Ok(format!("noted {end} {numbers}"))
}
