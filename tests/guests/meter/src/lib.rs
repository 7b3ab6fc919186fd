//! A plugin that only makes calls, for `cargo xtask bench`.
//!
//! The event `measure` says which call to make, and how often. The event `tick` is for counting events. A chat message
//! orders requests over the web and is answered when they are done.

use std::cell::Cell;

use parlor_sdk::archive::Options;
use parlor_sdk::prelude::*;
use parlor_sdk::types::Webhook;

parlor_sdk::plugin!(start);

/// The bytes of a part of a body that it sends.
const PART: usize = 64 << 10;

thread_local! {
    /// The number of requests to its webhook that it was told of.
    static TOLD: Cell<u64> = const { Cell::new(0) };
}

async fn start() -> Result<()> {
    on("tick").run(|_: Event| async { Ok(()) })?;
    on("measure").run(|Json(order): Json<Value>| async move {
        let times = order["times"].as_u64().unwrap_or(0);
        match order["call"].as_str() {
            Some("plain") => {
                for _ in 0..times {
                    std::hint::black_box(user::bare_jid());
                }
            }
            Some("async") => {
                for _ in 0..times {
                    settings::update([("", 0); 0]).await?;
                }
            }
            Some("yield") => {
                for _ in 0..times {
                    timers::sleep(Duration::ZERO).await;
                }
            }
            Some("storage-set") => {
                for number in 0..times {
                    storage::set(format!("{}-{number}", order["number"]), &number).await?;
                }
            }
            Some("storage-get") => {
                for number in 0..times {
                    std::hint::black_box(storage::get::<u64>(format!("0-{}", number % 1_000)).await?);
                }
            }
            Some(call) if call.starts_with("archive-") => match read(call).await {
                Ok(done) => emit("meter.done", done).await?,
                Err(error) => emit("meter.failed", json!(error.to_string())).await?,
            },
            _ => warn!("no such call: {order}"),
        }
        Ok(())
    })?;
    if !settings::get_or("web", false)? {
        return Ok(());
    }
    on("webhook").run(|_: Webhook| async {
        TOLD.set(TOLD.get() + 1);
        Ok(())
    })?;
    on("message").kind("chat").run(|message: Message| async move {
        let order = message.body.as_deref().unwrap_or_default();
        let done = obey(order).await.unwrap_or_else(|error| format!("failed: {error}"));
        chats::reply(&message, done).await?;
        Ok(())
    })?;
    Ok(())
}

/// Does what a message orders: `told`, `get TIMES URL`, `read URL` or `write BYTES URL`. Returns `done` and a number.
async fn obey(order: &str) -> Result<String> {
    let mut words = order.split(' ');
    let mut word = || words.next().unwrap_or_default();
    match word() {
        "told" => Ok(format!("done {}", TOLD.get())),
        "get" => {
            let (times, url) = (number(word())?, word());
            for _ in 0..times {
                http::get(url).send().await?.success()?;
            }
            Ok(format!("done {times}"))
        }
        "read" => {
            let mut exchange = http::get(word()).open().await?;
            exchange.answer().await?.success()?;
            let mut bytes = 0;
            while let Some(part) = exchange.read().await? {
                bytes += part.len();
            }
            Ok(format!("done {bytes}"))
        }
        "write" => {
            let (bytes, url) = (number(word())?, word());
            let mut exchange = http::put(url).header("content-length", bytes.to_string()).open().await?;
            let part = vec![b'x'; PART];
            for _ in 0..bytes / PART {
                exchange.write(&part).await?;
            }
            exchange.write(&part[..bytes % PART]).await?;
            exchange.answer().await?.success()?;
            Ok(format!("done {bytes}"))
        }
        other => Err(Error::other(format!("no such order: {other}"))),
    }
}

fn number(word: &str) -> Result<usize> {
    word.parse().map_err(|_| Error::other(format!("not a number: {word}")))
}

/// Reads from the account's archive: a page, the first message of a stream, or all of them.
async fn read(call: &str) -> Result<Value> {
    if call == "archive-page" {
        let page = archive::query(Options::all().max(50)).await?;
        return Ok(page.messages.len().into());
    }
    let before = memory();
    let mut messages = archive::query_all(Options::all()).await?;
    let mut count = 0;
    while messages.next().await?.is_some() {
        count += 1;
        if call == "archive-first" {
            break;
        }
    }
    Ok(json!({ "count": count, "before": before, "after": memory() }))
}

/// Returns the size of linear memory, in bytes.
fn memory() -> usize {
    #[cfg(target_arch = "wasm32")]
    return core::arch::wasm32::memory_size(0) << 16;
    #[cfg(not(target_arch = "wasm32"))]
    0
}
