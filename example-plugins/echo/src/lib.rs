//! Says what others say: in chats everything, in rooms what begins with a prefix.

use parlor_sdk::prelude::*;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    let prefix = settings::get_or("room_prefix", "echo ".to_owned())?;

    let mut chat = on("message").kind("chat");
    if settings::get_or("answer_late", false)? {
        // Messages from the time without a connection come later, and say so.
        chat = chat.with_delayed();
    }
    chat.run(|message: Message| async move {
        // Another client answers what it received (`carbon`), and another plugin its commands (`command`).
        if let (Some(body), None, None) = (&message.body, &message.carbon, &message.command) {
            chats::reply(&message, body).await?;
        }
        Ok(())
    })?;

    // The host compares the prefix, so that the rest of a busy room does not even wake this plugin.
    on("message").kind("groupchat").prefix(&prefix).run(move |message: Message| {
        let prefix = prefix.clone();
        async move {
            if message.command.is_some() {
                return Ok(());
            }
            // A reply may begin with what it answers, for clients that know no replies.
            let said = message.body_without_fallback(stanza::ns::REPLY);
            match said.strip_prefix(&prefix).or_else(|| said.trim_start().strip_prefix(&prefix)) {
                Some(rest) if !rest.is_empty() => rooms::reply(&message, rest).await.map(drop),
                _ => Ok(()),
            }
        }
    })?;

    info!("ready to echo");
    Ok(())
}
