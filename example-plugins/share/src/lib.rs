//! Shows what somebody looks like as a robot. The picture goes from one server to the other in parts: see the README.

use parlor_sdk::http::Exchange;
use parlor_sdk::prelude::*;
use parlor_sdk::types::File;

/// The server of the pictures.
const SERVER: &str = "https://robohash.org";
const MEDIA_TYPE: &str = "image/png";
/// The largest picture that is shown, in bytes, as in `plugin.toml`.
const MOST: u64 = 2 << 20;

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    commands::add("robot", "Shows what somebody looks like as a robot", "NAME", robot).await?;
    Ok(())
}

async fn robot(command: Command) -> Result<()> {
    // Letters and digits alone: in the address of a picture, other signs would mean something else.
    let name: String = command.rest().chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    if name.is_empty() {
        return command.message.reply("Who? A name in letters and digits, please").await.map(drop);
    }
    match picture(&name).await {
        Ok(picture) => command.message.reply(picture).await?,
        Err(error) => {
            warn!("no picture of {name}: {error}");
            command.message.reply(format!("I cannot see {name} today")).await?
        }
    };
    Ok(())
}

/// Fetches a picture, and uploads it while it comes.
async fn picture(name: &str) -> Result<File> {
    let mut picture = http::get(format!("{SERVER}/{name}")).open().await?;
    let head = picture.answer().await?.success()?;
    // It may have parameters, and capitals do not matter (RFC 9110, section 8.3.1).
    let media_type = head.header("content-type").and_then(|written| written.split(';').next());
    if !media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE)) {
        return Err(Error::other("it is no picture"));
    }
    // An upload says its size at its beginning.
    let Some(size) = head.header("content-length").and_then(|size| size.parse().ok()) else {
        return whole(name, picture).await;
    };
    let mut upload = files::upload(format!("{name}.png"), MEDIA_TYPE, size).await?;
    while let Some(part) = picture.read().await? {
        upload.write(part).await?;
    }
    upload.finish().await
}

/// Does the same with a picture whose size the server does not say.
async fn whole(name: &str, mut picture: Exchange) -> Result<File> {
    let picture = picture.read_all(usize::try_from(MOST).map_err(Error::other)?).await?;
    let mut upload = files::upload(format!("{name}.png"), MEDIA_TYPE, picture.len() as u64).await?;
    upload.write(picture).await?;
    upload.finish().await
}
