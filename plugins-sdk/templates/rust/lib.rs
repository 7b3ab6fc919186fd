//! Says what you said.

use parlor_sdk::prelude::*;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    on("message").kind("chat").run(answer)?;
    info!("ready");
    Ok(())
}

async fn answer(message: Message) -> Result<()> {
    // Another client answers what it received (`carbon`), and another plugin its commands (`command`).
    if let (Some(body), None, None) = (&message.body, &message.carbon, &message.command) {
        chats::reply(&message, format!("you said: {body}")).await?;
    }
    Ok(())
}
