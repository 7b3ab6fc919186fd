//! A plugin that does nothing but call, for `cargo xtask bench`.
//!
//! The event `measure` says which call to make, and how often. The event `tick` is for counting events.

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
            _ => warn!("no such call: {order}"),
        }
        Ok(())
    })?;
    Ok(())
}
