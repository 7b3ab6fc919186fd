//! Does what moderators order: `!ban`, `!slow` and `!purge`.

use std::rc::Rc;

use parlor_sdk::jiff::SignedDuration;
use parlor_sdk::moderation::{MAX_MESSAGES, is_spared, key};
use parlor_sdk::prelude::*;

use crate::act::{Kit, bare, occupants, tell};

/// The longest pause of slow mode, in seconds.
const MAX_PAUSE: i64 = 3_600;

/// The prefix by which a moderator says that an address follows, and no nickname.
const ADDRESS: &str = "xmpp:";

/// The prefix of what is stored of slow mode.
const SLOW: &str = "slow/";

/// Adds the commands. They are for moderators.
pub(crate) async fn add(kit: &Rc<Kit>) -> Result<()> {
    for (room, pause) in storage::entries::<i64>(SLOW).await? {
        let pause = Duration::from_millis(pause.unsigned_abs());
        kit.judge.borrow_mut().slow_down(room.trim_start_matches(SLOW), Some(pause));
    }
    let most = i64::try_from(MAX_MESSAGES).unwrap_or(i64::MAX);
    let given = Rc::clone(kit);
    commands::declare("ban", "Puts somebody out of the room for good")
        .text("who")
        .about("A nickname, or an address; with xmpp: before it, an address alone")
        .rest("reason")
        .optional()
        .allow(Role::Moderator)
        .run(move |command| ban(Rc::clone(&given), command))
        .await?;
    let given = Rc::clone(kit);
    commands::declare("slow", "Lets each person send one message in this time")
        .text("pause")
        .about("Seconds, a time such as 2m, or off")
        .allow(Role::Moderator)
        .run(move |command| slow(Rc::clone(&given), command))
        .await?;
    let given = Rc::clone(kit);
    commands::declare("purge", "Retracts the last messages of somebody")
        .text("who")
        .about("A nickname")
        .integer("count", 1..=most)
        .default("20")
        .allow(Role::Moderator)
        .run(move |command| purge(Rc::clone(&given), command))
        .await
}

/// Answers a moderator before everybody.
pub(crate) async fn answer(by: &Occupant, text: &str) -> Result<()> {
    rooms::send(&by.room, format!("{}: {text}", moderation::nick(&by.nick))).await.map(drop)
}

async fn ban(kit: Rc<Kit>, command: Command) -> Result<()> {
    let Some(by) = rooms::occupant_of(&command.message)? else { return Ok(()) };
    let (room, written) = (by.room.as_str(), command.text("who")?);
    let (who, is_address) = written.strip_prefix(ADDRESS).map_or((written, false), |address| (address, true));
    let name = moderation::nick(who);
    let reason =
        if command.has("reason") { command.text("reason")?.to_owned() } else { format!("{} says so", by.nick) };
    let meant = meant(occupants(room)?, who, is_address);
    if meant.iter().any(is_spared) {
        return answer(&by, &format!("{name} is a moderator or a member, whom I leave alone")).await;
    }
    if meant.is_empty() && !is_address && who.contains('@') && was_nickname(&kit, room, who) {
        return answer(&by, &format!("somebody was called {name} here; say !ban {ADDRESS}{name} for the address"))
            .await;
    }
    let known = meant.iter().find_map(|one| one.jid.as_deref()).map(bare);
    let done = match (known, meant.first()) {
        (Some(jid), _) => rooms::ban(room, jid, Some(&reason)).await.map(|()| "banned"),
        // The room does not say who it is.
        (None, Some(one)) => rooms::kick(room, &one.nick, Some(&reason)).await.map(|()| "kicked"),
        (None, None) if who.contains('@') => match has_rank(room, bare(who)).await {
            Ok(true) => return answer(&by, &format!("{name} is a member or more, whom I leave alone")).await,
            Ok(false) => rooms::ban(room, bare(who), Some(&reason)).await.map(|()| "banned"),
            Err(error) => Err(error),
        },
        (None, None) => return answer(&by, &format!("nobody is called {name} here")).await,
    };
    match done {
        Ok(done) => {
            let line = format!("{room}: {done} {name} for {}: {}", moderation::nick(&by.nick), one_line(&reason));
            tell(&kit, line).await;
            Ok(())
        }
        Err(error) => answer(&by, &error.to_string()).await,
    }
}

/// Returns the occupants whom a moderator means. A nickname may be spelled like the address of somebody else: moderators see
/// nicknames, so an address counts only if nobody is called so.
fn meant(there: Vec<Occupant>, who: &str, is_address: bool) -> Vec<Occupant> {
    let is_at = |one: &Occupant| one.jid.as_deref().is_some_and(|jid| bare(jid).eq_ignore_ascii_case(bare(who)));
    let is_called = |one: &Occupant| !is_address && one.nick == who;
    let is_nickname = there.iter().any(is_called);
    there.into_iter().filter(|one| if is_nickname { is_called(one) } else { is_at(one) }).collect()
}

/// Returns whether somebody was lately called so in a room, who is not known to have that address.
fn was_nickname(kit: &Kit, room: &str, who: &str) -> bool {
    let (judge, name) = (kit.judge.borrow(), moderation::nick(who));
    let key = judge.author(room, &name).or_else(|| judge.absent(room, &name).map(|(key, _)| key));
    key.is_some_and(|key| !key.eq_ignore_ascii_case(bare(who)))
}

/// Returns whether somebody who is not in the room is a member of it, or more.
async fn has_rank(room: &str, jid: &str) -> Result<bool> {
    for rank in [Affiliation::Owner, Affiliation::Admin, Affiliation::Member] {
        let people = rooms::affiliations(room, rank).await?;
        if people.iter().any(|one| one.jid.eq_ignore_ascii_case(jid)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns a reason as a part of one line.
pub(crate) fn one_line(reason: &str) -> String {
    reason.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).take(200).collect()
}

/// Reads the pause of slow mode, in seconds; 0 = off.
fn pause(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("off") {
        return Some(0);
    }
    let seconds = text.parse::<i64>().ok().or_else(|| text.parse::<SignedDuration>().ok().map(|time| time.as_secs()));
    seconds.filter(|seconds| (1..=MAX_PAUSE).contains(seconds))
}

async fn slow(kit: Rc<Kit>, command: Command) -> Result<()> {
    let Some(by) = rooms::occupant_of(&command.message)? else { return Ok(()) };
    let Some(seconds) = pause(command.text("pause")?) else {
        return answer(&by, "say for example 30, 2m or off; an hour is the longest").await;
    };
    let (room, stored) = (by.room.as_str(), format!("{SLOW}{}", by.room));
    let pause = (seconds > 0).then(|| Duration::from_secs(seconds.unsigned_abs()));
    if !kit.judge.borrow_mut().slow_down(room, pause) {
        return answer(&by, "slow mode is on in too many rooms").await;
    }
    let kept = match pause {
        Some(_) => storage::set(stored, &(seconds * 1_000)).await,
        None => storage::delete(stored).await.map(drop),
    };
    if let Err(error) = kept {
        warn!("slow mode of {room} is forgotten at the next start: {error}");
    }
    let done = if seconds == 0 { "slow mode is off".to_owned() } else { format!("one message in {seconds} s") };
    tell(&kit, format!("{room}: {done}, for {}", moderation::nick(&by.nick))).await;
    answer(&by, &done).await
}

async fn purge(kit: Rc<Kit>, command: Command) -> Result<()> {
    let Some(by) = rooms::occupant_of(&command.message)? else { return Ok(()) };
    let (room, who) = (by.room.as_str(), command.text("who")?);
    let name = moderation::nick(who);
    let most = usize::try_from(command.integer("count")?).unwrap_or(MAX_MESSAGES);
    let there = occupants(room)?;
    let present = there.iter().find(|one| one.nick == who).map(key);
    let is_present = present.is_some();
    let author = present.or_else(|| kit.judge.borrow().author(room, &name));
    let Some(author) = author else {
        return answer(&by, &format!("I remember nothing that {name} said")).await;
    };
    if there.iter().any(|one| key(one) == author && is_spared(one)) {
        return answer(&by, &format!("{name} is a moderator or a member, whom I leave alone")).await;
    }
    // Signs that nobody sees may be all that tells two nicknames apart.
    if !is_present && there.iter().any(|one| key(one) == author && moderation::nick(&one.nick) == name) {
        return answer(&by, &format!("somebody else here is shown as {name}; copy the nickname as it is")).await;
    }
    let ids = kit.judge.borrow().messages(room, &author, most);
    let (mut count, mut failed) = (0_usize, None);
    for id in ids {
        match rooms::retract(room, id.as_str(), Some("purged by a moderator")).await {
            Ok(()) => count += 1,
            Err(error) if error.condition() == Some("item-not-found") => {}
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        kit.judge.borrow_mut().retracted(room, &id);
    }
    let s = if count == 1 { "" } else { "s" };
    if count > 0 {
        tell(&kit, format!("{room}: retracted {count} message{s} of {name} for {}", moderation::nick(&by.nick))).await;
    }
    match failed {
        Some(Error::Unsupported(_)) => answer(&by, "this room cannot retract the messages of others").await,
        Some(error) => answer(&by, &format!("{count} message{s} of {name} retracted, and then: {error}")).await,
        None => answer(&by, &format!("{count} message{s} of {name} retracted")).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_a_time_or_off() {
        let read = ["30", "2m", "1h", "off", "OFF"].map(pause);
        assert_eq!(read, [Some(30), Some(120), Some(3_600), Some(0), Some(0)]);
        assert_eq!(["", "0", "-5", "2h", "soon", "99999999999999999999"].map(pause), [None; 6]);
    }
}
