//! Ten questions of an owner about a plugin. A single command answers each question.

use anyhow::{Context as _, Result, ensure};
use parlor_tests::clerk::{ASKED, Clerk, ID, KEPT, NEXT, REASON, SCHEDULE, STRANGER, VERSIONS};

use crate::story::{Story, says};

/// Installs the plugin that is asked about, which does a little of everything.
pub(crate) async fn settle(story: &mut Story) -> Result<String> {
    let room = story.prosody.fresh_room();
    let clerk = Clerk::settle(&story.home, &mut story.juliet, &story.bot, room).await?;
    let what = format!("{ID} may write to {} and {}", clerk.person, clerk.room);
    story.clerk = Some(clerk);
    Ok(what)
}

/// Runs a command, whose output must contain all of these words.
async fn answers(story: &Story, arguments: &[&str], words: &[&str]) -> Result<String> {
    let text = story.run(arguments, 0).await?.stdout;
    for word in words {
        says(&text, word)?;
    }
    Ok(format!("parlor {}", arguments.join(" ")))
}

fn clerk(story: &Story) -> Result<&Clerk> {
    story.clerk.as_ref().context("nobody is asked about")
}

pub(crate) async fn may(story: &mut Story) -> Result<String> {
    let Clerk { person, room } = clerk(story)?.clone();
    let [to_person, to_room] = [format!("granted for {person}"), format!("granted for {room}")];
    let words = ["clerk may:", "messages.send", &to_person, "rooms.send", &to_room, "clerk may not, although it asks"];
    answers(story, &["explain", ID], &words).await
}

pub(crate) async fn did(story: &mut Story) -> Result<String> {
    let words = ["what it did, to the day", "sent", "events"];
    answers(story, &["audit", "--plugin", ID, "--since", "24h"], &words).await
}

pub(crate) async fn denied(story: &mut Story) -> Result<String> {
    answers(story, &["audit", "--plugin", ID], &["it was denied", "messages.send", STRANGER]).await?;
    let question = ["explain", ID, "chats.send", STRANGER];
    answers(story, &question, &["denied once on main", "parlor plugin grant clerk messages.send="]).await
}

pub(crate) async fn changed(story: &mut Story) -> Result<String> {
    let uid = format!("by uid:{}", rustix::process::getuid().as_raw());
    let words = ["installed", "clerk rooms.send", "setting chat", &uid, "parlor plugin add", "parlor plugin config"];
    answers(story, &["audit", "--plugin", ID, "--lines", "1000"], &words).await
}

pub(crate) async fn uses(story: &mut Story) -> Result<String> {
    let text = story.run(&["status"], 0).await?.stdout;
    let line = text.lines().find(|line| line.starts_with(ID)).with_context(|| format!("no {ID} in {text}"))?;
    ensure!(line.contains('%') && line.contains("iB"), "neither processor nor memory: {line}");
    let json = story.run(&["status", "--json"], 0).await?.json()?;
    let plugins = json["plugins"].as_array().context("no plugins")?;
    let usage = plugins.iter().find(|one| one["id"] == ID).map(|one| &one["usage"]);
    ensure!(usage.is_some_and(|usage| usage["memory"].as_u64() > Some(0)), "it uses no memory: {usage:?}");
    Ok("parlor status".to_owned())
}

pub(crate) async fn keeps(story: &mut Story) -> Result<String> {
    answers(story, &["plugin", "data", ID, "list"], &["main", KEPT[0], KEPT[1]]).await
}

pub(crate) async fn wrote(story: &mut Story) -> Result<String> {
    let Clerk { person, room } = clerk(story)?.clone();
    answers(story, &["audit", "--plugin", ID], &["it wrote to", person.as_str(), room.as_str()]).await
}

pub(crate) async fn is_in(story: &mut Story) -> Result<String> {
    let room = clerk(story)?.room.clone();
    answers(story, &["rooms"], &[room.as_str(), "joined"]).await?;
    answers(story, &["rooms", "show", room.as_str()], &["state: joined", "plugin clerk: rooms.send"]).await
}

pub(crate) async fn next(story: &mut Story) -> Result<String> {
    answers(story, &["plugin", "schedules", ID], &["clerk on main", SCHEDULE, "waits"]).await
}

pub(crate) async fn update(story: &mut Story) -> Result<String> {
    let change = format!("clerk: {} → {}", VERSIONS[0], VERSIONS[1]);
    let words = [change.as_str(), "It asks for more than the present version", ASKED, REASON];
    let answer = answers(story, &["plugin", "update", ID, NEXT, "--check"], &words).await?;
    let list = story.run(&["plugin", "list"], 0).await?.stdout;
    let line = list.lines().find(|line| line.starts_with(ID)).with_context(|| format!("no {ID} in {list}"))?;
    ensure!(line.contains(VERSIONS[0]), "looking at an update changed it: {line}");
    Ok(answer)
}

/// Removes the plugin, so that the steps after these find the host as it was.
pub(crate) async fn leave(story: &mut Story) -> Result<String> {
    let room = story.clerk.take().context("nobody is asked about")?.room;
    story.run(&["plugin", "remove", ID, "--yes", "--with-data"], 0).await?;
    story.run(&["rooms", "leave", room.as_str()], 0).await?;
    story.juliet.leave(&room, "owner").await?;
    Ok(format!("{ID} is gone"))
}
