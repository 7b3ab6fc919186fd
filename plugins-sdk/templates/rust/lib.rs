//! Says what you said.

use parlor_sdk::prelude::*;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    on("message").kind("chat").run(answer)?;
    info!("ready");
    Ok(())
}

async fn answer(message: Message) -> Result<()> {
    if let Some(body) = &message.body {
        chats::reply(&message, format!("you said: {body}")).await?;
    }
    Ok(())
}
