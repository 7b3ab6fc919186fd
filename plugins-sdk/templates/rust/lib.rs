//! Says what you said.

use parlor_sdk::prelude::*;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    on("message").kind("chat").run(answer)?;
    info!("ready");
    Ok(())
}

async fn answer(message: Message) -> Result<()> {
    // A copy of what another client of the account received is left to that one.
    if let (Some(body), None) = (&message.body, &message.carbon) {
        chats::reply(&message, format!("you said: {body}")).await?;
    }
    Ok(())
}
