//! Ten questions of an owner about a plugin, each answered by the pages alone, on the way that a person takes to them.

use anyhow::{Context as _, Result, ensure};
use parlor_tests::clerk::{ASKED, ID, KEPT, REASON, SCHEDULE, STRANGER, VERSIONS};

use crate::stage::Stage;
use crate::steps::{Act, act};

/// Every question, with the steps to answer it.
pub(crate) const ALL: &[(&str, Act)] = &[
    act!("what may it do, and to whom?", may),
    act!("what did it do today?", did),
    act!("what was it denied?", denied),
    act!("who changed it, and when?", changed),
    act!("what does it use?", uses),
    act!("what does it keep?", keeps),
    act!("whom did it write to?", wrote),
    act!("where is it?", is_in),
    act!("what runs next?", next),
    act!("what would an update change?", update),
];

/// Goes from the first page to the plugin's.
async fn to_the_plugin(stage: &Stage) -> Result<()> {
    stage.open("/").await?;
    stage.browser.press("nav a[href='/plugins']").await?;
    stage.browser.press(&format!("main a[href='/plugins/{ID}']")).await?;
    stage.browser.shows(&[ID]).await
}

/// Follows one of the links of this page.
async fn follow(stage: &Stage, path: &str) -> Result<()> {
    stage.browser.press(&format!("main a[href^='{path}']")).await
}

async fn may(stage: &mut Stage) -> Result<String> {
    to_the_plugin(stage).await?;
    let (person, room) = (stage.clerk.person.to_string(), stage.clerk.room.to_string());
    stage.browser.shows(&["messages.send", &person, "rooms.send", &room]).await?;
    Ok("on its page".to_owned())
}

async fn did(stage: &mut Stage) -> Result<String> {
    to_the_plugin(stage).await?;
    follow(stage, "/audit?plugin=").await?;
    stage.browser.fill("main input[name=since]", "24h").await?;
    stage.browser.press("main form button").await?;
    stage.browser.has("main input[name=since][value='24h']").await?;
    stage.browser.shows(&["What it did", "sent", "events"]).await?;
    Ok("in the audit".to_owned())
}

async fn denied(stage: &mut Stage) -> Result<String> {
    stage.open(&format!("/audit?plugin={ID}")).await?;
    stage.browser.shows(&["It was denied", "messages.send", STRANGER]).await?;
    stage.open("/explain").await?;
    stage.browser.run(&format!("document.querySelector('select[name=plugin]').value = '{ID}'")).await?;
    stage.browser.fill("main input[name=what]", "chats.send").await?;
    stage.browser.fill("main input[name=about]", STRANGER).await?;
    stage.browser.press("main form button").await?;
    stage.browser.shows(&["To allow it", "parlor plugin grant clerk messages.send="]).await?;
    Ok("in the audit, and explained".to_owned())
}

async fn changed(stage: &mut Stage) -> Result<String> {
    stage.open("/").await?;
    stage.browser.press("nav a[href='/audit']").await?;
    stage.browser.fill("main input[name=plugin]", ID).await?;
    stage.browser.press("main form button").await?;
    let uid = format!("uid:{}", rustix::process::getuid().as_raw());
    stage.browser.shows(&["installed", "setting chat", "parlor plugin config", &uid]).await?;
    Ok(uid)
}

async fn uses(stage: &mut Stage) -> Result<String> {
    to_the_plugin(stage).await?;
    stage.browser.shows(&["iB", "%"]).await?;
    Ok("on its page".to_owned())
}

async fn keeps(stage: &mut Stage) -> Result<String> {
    to_the_plugin(stage).await?;
    follow(stage, &format!("/plugins/{ID}/storage")).await?;
    stage.browser.shows(&KEPT).await?;
    Ok("in its storage".to_owned())
}

async fn wrote(stage: &mut Stage) -> Result<String> {
    to_the_plugin(stage).await?;
    follow(stage, "/audit?plugin=").await?;
    let (person, room) = (stage.clerk.person.to_string(), stage.clerk.room.to_string());
    stage.browser.shows(&["It wrote to", &person, &room]).await?;
    Ok("in the audit".to_owned())
}

async fn is_in(stage: &mut Stage) -> Result<String> {
    stage.open("/").await?;
    stage.browser.press("nav a[href='/rooms']").await?;
    let room = stage.clerk.room.to_string();
    stage.browser.shows(&[&room, "joined"]).await?;
    let name = room.split('@').next().unwrap_or_default();
    stage.browser.press(&format!("main a[href*='{name}']")).await?;
    stage.browser.shows(&["joined", ID, "rooms.send"]).await?;
    Ok(room)
}

async fn next(stage: &mut Stage) -> Result<String> {
    to_the_plugin(stage).await?;
    stage.browser.shows(&[SCHEDULE]).await?;
    Ok("on its page".to_owned())
}

/// The page shows what would change before anybody agrees, and nothing changes by that.
async fn update(stage: &mut Stage) -> Result<String> {
    to_the_plugin(stage).await?;
    stage.look_for_an_update().await?;
    stage.browser.shows(&[VERSIONS[1], ASKED, REASON]).await?;
    let list = stage.parlor(&["plugin", "list"]).await?;
    let line = list.lines().find(|line| line.starts_with(ID)).with_context(|| format!("no {ID} in {list}"))?;
    ensure!(line.contains(VERSIONS[0]), "looking at an update changed it: {line}");
    Ok(format!("{} → {}", VERSIONS[0], VERSIONS[1]))
}
