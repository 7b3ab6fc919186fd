//! Retracts messages, kicks people, and tells the log room of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use parlor_sdk::jiff::Timestamp;
use parlor_sdk::moderation::{Judge, Rules, is_spared};
use parlor_sdk::prelude::*;

use crate::patterns::Patterns;

/// The most lines that wait for the log room at once; others are only counted.
const MAX_WAITING: usize = 40;
/// The longest key of storage, in bytes.
const MAX_STORED: usize = 512;

/// The settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) rules: Rules,
    /// At which broken rule somebody is kicked.
    pub(crate) strikes: i64,
    /// How long broken rules are counted.
    pub(crate) strike_time: Duration,
    /// The room that is told what was done.
    pub(crate) log_room: Option<String>,
}

/// Everything that handlers share.
#[derive(Default)]
pub(crate) struct Kit {
    pub(crate) settings: RefCell<Settings>,
    pub(crate) judge: RefCell<Judge>,
    pub(crate) patterns: RefCell<Patterns>,
    /// When the connection was there again after it was lost.
    pub(crate) reconnected: Cell<Option<Timestamp>>,
    /// The rooms and people of kicks that are not answered yet.
    kicking: RefCell<BTreeSet<(String, String)>>,
    /// Lines that wait for the log room.
    waiting: Cell<usize>,
    /// Lines that it was not told.
    untold: Cell<u64>,
}

pub(crate) fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// Returns the people in a room; nobody if the account has left it meanwhile.
pub(crate) fn occupants(room: &str) -> Result<Vec<Occupant>> {
    match rooms::occupants(room) {
        Err(Error::NotFound(_)) => Ok(Vec::new()),
        other => other,
    }
}

/// Returns the key under which something about a person is stored.
pub(crate) fn stored(kind: &str, room: &str, key: &str) -> Option<String> {
    let key = format!("{kind}/{room}/{key}");
    (key.len() <= MAX_STORED && !key.contains(char::is_control)).then_some(key)
}

/// Tells the log of the host and the log room of one thing that was done.
pub(crate) async fn tell(kit: &Kit, line: String) {
    info!("{line}");
    let Some(room) = kit.settings.borrow().log_room.clone() else { return };
    if kit.waiting.get() >= MAX_WAITING {
        kit.untold.set(kit.untold.get() + 1);
        return;
    }
    let untold = kit.untold.take();
    let line = if untold == 0 { line } else { format!("{line} (and {untold} more, which the host's log has)") };
    let waits = Waits::begin(kit);
    match rooms::send(&room, line).await {
        Ok(_) => {}
        Err(Error::OverLimit(_)) => kit.untold.set(kit.untold.get() + untold + 1),
        Err(error) => warn!("{room} was not told what was done: {error}; the account has to be in that room"),
    }
    drop(waits);
}

/// Counts a line that waits, also if its handler ends early.
struct Waits<'a>(&'a Kit);

impl<'a> Waits<'a> {
    fn begin(kit: &'a Kit) -> Self {
        kit.waiting.set(kit.waiting.get() + 1);
        Self(kit)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

/// A message that breaks a rule.
pub(crate) struct Offending<'a> {
    pub(crate) room: &'a str,
    /// The author's key and nickname.
    pub(crate) key: &'a str,
    pub(crate) nick: &'a str,
    /// The id of the message, if it can be retracted.
    pub(crate) id: Option<&'a str>,
    /// The rule, for people to read.
    pub(crate) why: &'a str,
}

/// Retracts a message that breaks a rule. Kicks its author after several of them, and at once if the room cannot
/// retract.
pub(crate) async fn punish(kit: &Rc<Kit>, message: &Offending<'_>) -> Result<()> {
    let Offending { room, key, why, .. } = *message;
    let is_retracted = retract(kit, message).await;
    let (most, time) = {
        let settings = kit.settings.borrow();
        (settings.strikes, settings.strike_time)
    };
    let strikes = match stored("strikes", room, key) {
        Some(stored) => storage::add_for(stored, 1, time).await,
        None => Ok(1),
    };
    let strikes = strikes.unwrap_or_else(|error| {
        warn!("broken rules are not counted: {error}");
        1
    });
    if is_retracted && strikes < most {
        return Ok(());
    }
    kick(kit, room, key, why).await
}

async fn retract(kit: &Kit, message: &Offending<'_>) -> bool {
    let Offending { room, nick, id: Some(id), why, .. } = *message else { return false };
    match rooms::retract(room, id, Some(why)).await {
        Ok(()) => {
            kit.judge.borrow_mut().retracted(room, id);
            tell(kit, format!("{room}: retracted a message of {nick}: {why}")).await;
            true
        }
        // The room retracts nobody's messages, which is no news.
        Err(Error::Unsupported(_)) => false,
        Err(error) => {
            // Somebody else was faster.
            let is_gone = error.condition() == Some("item-not-found");
            if !is_gone {
                tell(kit, format!("{room}: could not retract a message of {nick}: {error}")).await;
            }
            is_gone
        }
    }
}

/// Kicks a person, under each nickname, unless the person is spared by now.
pub(crate) async fn kick(kit: &Rc<Kit>, room: &str, key: &str, why: &str) -> Result<()> {
    let all: Vec<_> = occupants(room)?.into_iter().filter(|one| moderation::key(one) == key).collect();
    if all.iter().any(is_spared) {
        return Ok(());
    }
    let Some(kicking) = Kicking::begin(kit, room, key) else { return Ok(()) };
    for occupant in all {
        let nick = moderation::nick(&occupant.nick);
        let line = match rooms::kick(room, &occupant.nick, Some(why)).await {
            Ok(()) => format!("{room}: kicked {nick}: {why}"),
            Err(error) if error.condition() == Some("item-not-found") => continue,
            Err(error) => {
                warn!("{room}: cannot kick {nick}: {error}; the account has to be a moderator there");
                format!("{room}: could not kick {nick}: {error}")
            }
        };
        tell(kit, line).await;
    }
    drop(kicking);
    Ok(())
}

/// A kick that is not answered yet, so that no second one is asked for.
struct Kicking {
    kit: Rc<Kit>,
    who: (String, String),
}

impl Kicking {
    fn begin(kit: &Rc<Kit>, room: &str, key: &str) -> Option<Self> {
        let who = (room.to_owned(), key.to_owned());
        kit.kicking.borrow_mut().insert(who.clone()).then(|| Self { kit: Rc::clone(kit), who })
    }
}

impl Drop for Kicking {
    fn drop(&mut self) {
        self.kit.kicking.borrow_mut().remove(&self.who);
    }
}
