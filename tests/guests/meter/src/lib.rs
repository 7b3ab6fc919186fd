//! A plugin that only makes calls, for `cargo xtask bench`.
//!
//! The event `measure` says which call to make, and how often. The event `tick` is for counting events.

use parlor_sdk::archive::Options;
use parlor_sdk::prelude::*;

parlor_sdk::plugin!(start);

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
    Ok(())
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
