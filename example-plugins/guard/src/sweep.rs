//! Orders about many at once: names that are banned by a pattern, and messages of the past that are retracted by their text.

use std::rc::Rc;

use parlor_sdk::archive::Options;
use parlor_sdk::jiff::SignedDuration;
use parlor_sdk::moderation::is_spared;
use parlor_sdk::prelude::*;

use crate::act::{Kit, bare, occupants, tell};
use crate::orders::{answer, one_line};
use crate::patterns::{Refused, is_fit, matches};

/// The prefix of what is stored of patterns.
const LIKE: &str = "like/";
/// The most messages that are read, and that are retracted, for one order.
const MAX_READ: u32 = 5_000;
const MAX_RETRACTED: usize = 500;
/// The longest time to look back.
const MAX_BACK: Duration = Duration::from_hours(7 * 24);

/// Adds the commands. They are for moderators.
pub(crate) async fn add(kit: &Rc<Kit>) -> Result<()> {
    for (stored, reason) in storage::entries::<String>(LIKE).await? {
        if let Some((room, pattern)) = stored.trim_start_matches(LIKE).split_once('/') {
            // One too many is not known then, and says so in the log.
            if kit.patterns.borrow_mut().add(room, pattern, &reason).is_err() {
                warn!("{pattern} is not banned in {room} any more: there are too many patterns");
            }
        }
    }
    let given = Rc::clone(kit);
    commands::declare("banlike", "Puts out all whose name matches, now and when they come")
        .text("pattern")
        .about("A nickname or an address; * is anything, such as spam*")
        .rest("reason")
        .optional()
        .allow(Role::Moderator)
        .run(move |command| ban_like(Rc::clone(&given), command))
        .await?;
    let given = Rc::clone(kit);
    commands::declare("unbanlike", "Ends a !banlike for people who come from now on")
        .text("pattern")
        .allow(Role::Moderator)
        .run(move |command| unban_like(Rc::clone(&given), command))
        .await?;
    let given = Rc::clone(kit);
    commands::declare("sweep", "Retracts messages of the last time by their text")
        .text("text")
        .about("A part of the text; * is anything")
        .duration("since")
        .default("1h")
        .allow(Role::Moderator)
        .run(move |command| sweep(Rc::clone(&given), command))
        .await
}

/// Puts somebody out whose name matches a pattern of the room, unless the person is spared. Returns whether that was so.
pub(crate) async fn put_out(kit: &Kit, occupant: &Occupant) -> Result<bool> {
    if is_spared(occupant) {
        return Ok(false);
    }
    let address = occupant.jid.as_deref().map(bare);
    let (room, nick) = (occupant.room.as_str(), moderation::nick(&occupant.nick));
    // Signs that nobody sees make no other name.
    let names = [occupant.nick.as_str(), nick.as_str()].into_iter().chain(address);
    let Some(reason) = kit.patterns.borrow().reason(room, names) else { return Ok(false) };
    let done = match address {
        Some(jid) => rooms::ban(room, jid, Some(&reason)).await.map(|()| "banned"),
        None => rooms::kick(room, &occupant.nick, Some(&reason)).await.map(|()| "kicked"),
    };
    match done {
        Ok(done) => tell(kit, format!("{room}: {done} {nick}, whose name matches: {reason}")).await,
        Err(error) if error.condition() == Some("item-not-found") => return Ok(false),
        Err(error) => {
            warn!("{room}: cannot put out {nick}: {error}");
            return Ok(false);
        }
    }
    Ok(true)
}

async fn ban_like(kit: Rc<Kit>, command: Command) -> Result<()> {
    let Some(by) = rooms::occupant_of(&command.message)? else { return Ok(()) };
    let (room, pattern) = (by.room.as_str(), command.text("pattern")?);
    let reason = if command.has("reason") { one_line(command.text("reason")?) } else { "not welcome here".to_owned() };
    let added = kit.patterns.borrow_mut().add(room, pattern, &reason);
    match added {
        Ok(()) => {}
        Err(Refused::Unfit) => return answer(&by, "a pattern has three letters at least, such as spam*").await,
        Err(Refused::Many) => return answer(&by, "there are too many patterns; end one with !unbanlike").await,
    }
    if let Err(error) = storage::set(stored(room, pattern), &reason).await {
        warn!("{pattern} is forgotten at the next start: {error}");
    }
    let mut count = 0;
    for occupant in occupants(room)? {
        count += u32::from(put_out(&kit, &occupant).await?);
    }
    answer(&by, &format!("{count} put out, and others who match are when they come")).await
}

async fn unban_like(kit: Rc<Kit>, command: Command) -> Result<()> {
    let Some(by) = rooms::occupant_of(&command.message)? else { return Ok(()) };
    let (room, pattern) = (by.room.as_str(), command.text("pattern")?);
    let was_there = kit.patterns.borrow_mut().remove(room, pattern);
    if !was_there {
        return answer(&by, "there is no such pattern").await;
    }
    if let Err(error) = storage::delete(stored(room, pattern)).await {
        warn!("{pattern} is back at the next start: {error}");
    }
    answer(&by, "people of such names may come again").await
}

/// The key under which a pattern is stored. No address of a room has a `/`.
fn stored(room: &str, pattern: &str) -> String {
    format!("{LIKE}{room}/{pattern}")
}

/// Reads the archive of the room as a stream, and retracts what matches.
async fn sweep(kit: Rc<Kit>, command: Command) -> Result<()> {
    let Some(by) = rooms::occupant_of(&command.message)? else { return Ok(()) };
    let (room, part) = (by.room.as_str(), command.text("text")?);
    if !is_fit(part) {
        return answer(&by, "a text to look for has three letters at least").await;
    }
    let since = command.duration("since")?.min(MAX_BACK);
    let start =
        now().checked_sub(SignedDuration::try_from(since).unwrap_or(SignedDuration::ZERO)).unwrap_or_else(|_| now());
    let wanted = format!("*{part}*");
    let spared: Vec<Occupant> = occupants(room)?.into_iter().filter(is_spared).collect();
    // Somebody else may have had the nickname when the message was written.
    let is_of = |message: &Message, one: &Occupant| match message.occupant_id.as_ref().zip(one.occupant_id.as_ref()) {
        Some((said, has)) => said == has,
        None => message.nick.as_deref() == Some(one.nick.as_str()),
    };
    let mut archived_messages = archive::query_all(Options::with(room).start(start).max(MAX_READ)).await?;
    let (mut count, mut failed) = (0, None);
    while let Some(archived) = archived_messages.next().await? {
        let message = &archived.message;
        let mut texts = message.body.as_deref().into_iter().chain(message.bodies.iter().map(|(_, text)| text.as_str()));
        let is_meant = texts.any(|text| matches(&wanted, text));
        if !is_meant || message.own || count >= MAX_RETRACTED || spared.iter().any(|one| is_of(message, one)) {
            continue;
        }
        match rooms::retract(room, archived.id.as_str(), Some("swept by a moderator")).await {
            Ok(()) => count += 1,
            Err(error) if error.condition() == Some("item-not-found") => {}
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        kit.judge.borrow_mut().retracted(room, &archived.id);
    }
    let s = if count == 1 { "" } else { "s" };
    if count > 0 {
        tell(&kit, format!("{room}: swept {count} message{s} for {}", moderation::nick(&by.nick))).await;
    }
    match failed {
        Some(Error::Unsupported(_)) => answer(&by, "this room cannot retract the messages of others").await,
        Some(error) => answer(&by, &format!("{count} message{s} retracted, and then: {error}")).await,
        None => answer(&by, &format!("{count} message{s} retracted")).await,
    }
}
