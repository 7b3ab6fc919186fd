//! The tools of a plugin that guards a room: the module remembers people and messages, and decides which rules are broken. It calls
//! nothing of the host's: tell it what happens, and act on its verdicts, as `example-plugins/guard` does.
//!
//! - floods of joins: [`Judge::join`];
//! - floods of messages, repeated texts, links of newcomers, slow mode, and messages that cannot be read: [`Judge::hear`];
//! - the last messages of a person, to retract them: [`Judge::messages`].
//!
//! Each list has an upper bound, above which the oldest entry is forgotten, so that no crowd can fill the memory.
//!
//! The SDKs for the other languages have the same kit, and `tests/moderation/cases.json` holds all of them together.
//!
//! ```
//! use parlor_sdk::jiff::Timestamp;
//! use parlor_sdk::moderation::{Judge, Offence, Rules, Said};
//!
//! let (rules, mut judge, now) = (Rules::default(), Judge::default(), Timestamp::UNIX_EPOCH);
//! let said = Said::text("see https://example.org/");
//! let verdict = judge.hear(&rules, "garden@rooms.example.org", "romeo", said, now);
//! assert_eq!(verdict.offence, Some(Offence::Link));
//! ```
//!
//! With messages of rooms:
//!
//! ```no_run
//! # use std::{cell::RefCell, rc::Rc};
//! # use parlor_sdk::{moderation::{Judge, Offence, Rules, Said}, prelude::*};
//! # fn example() -> Result<()> {
//! let judge = Rc::new(RefCell::new(Judge::default()));
//! on("message").kind("groupchat").run(move |message: Message| {
//!     let judge = Rc::clone(&judge);
//!     async move {
//!         let Some(author) = rooms::occupant_of(&message)? else { return Ok(()) };
//!         if moderation::is_spared(&author) {
//!             return Ok(());
//!         }
//!         let (key, said) = (moderation::key(&author), Said::of(&message));
//!         let verdict = judge.borrow_mut().hear(&Rules::default(), &message.chat, &key, said, now());
//!         match (verdict.offence, message.stanza_id.as_deref()) {
//!             (Some(Offence::Link), Some(id)) => rooms::retract(&message.chat, id, Some("no links yet")).await,
//!             _ => Ok(()),
//!         }
//!     }
//! })?;
//! # Ok(()) }
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::iter::once;
use std::time::Duration;

use jiff::Timestamp;

use crate::letters::{cut, is_link, normalized, unquoted};
use crate::stanza::ns;
use crate::types::{Affiliation, Message, Occupant, Role, Undecryptable};

/// The most rooms that are remembered.
const MAX_ROOMS: usize = 32;
/// The most people of a room that are remembered.
const MAX_PEOPLE: usize = 300;
/// The most messages of a room that are remembered.
pub const MAX_MESSAGES: usize = 200;
/// The most joins of a room that are counted.
const MAX_JOINS: usize = 200;
/// The most rooms with slow mode.
const MAX_SLOW: usize = 200;
/// Longer ids of messages are not remembered: the message cannot be retracted later.
const MAX_ID: usize = 256;
/// Several people say shorter texts without any bad intent: "good morning".
const SHORT: usize = 14;
/// The most texts of a message that are compared.
const MAX_TEXTS: usize = 4;
/// The longest name of a person that is remembered as it is, in bytes.
const MAX_KEY: usize = 256;
/// The most bytes of a nickname that are remembered and shown.
const MAX_NICK: usize = 64;

/// The rules of rooms. By default, they are those of `example-plugins/guard`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How many newcomers may enter within the window; 0 = any number.
    pub joins: usize,
    /// The window for joins.
    pub join_window: Duration,
    /// How many messages one person may send within the window, at most 200; 0 = any number, which is the default.
    pub messages: usize,
    /// The window for messages.
    pub message_window: Duration,
    /// How often one person may say the same; 0 = as often as they like.
    pub repeats: usize,
    /// How often several people may say the same; 0 = as often as they like.
    pub crowd_repeats: usize,
    /// How many messages that cannot be read one person may send; 0 = any number.
    pub unreadable: usize,
    /// The window for repeated texts, and for messages that cannot be read.
    pub repeat_window: Duration,
    /// How long after the first message somebody is a newcomer.
    pub newcomer: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            joins: 8,
            join_window: Duration::from_secs(30),
            messages: 0,
            message_window: Duration::from_secs(10),
            repeats: 3,
            crowd_repeats: 6,
            unreadable: 3,
            repeat_window: Duration::from_mins(2),
            newcomer: Duration::from_mins(10),
        }
    }
}

/// A rule that a message breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// It came too early in slow mode, with this pause.
    Early(Duration),
    /// Its author sent too many messages within the window.
    Flood,
    /// It has a link or a file, and its author is a newcomer.
    Link,
    /// Its text was said too often.
    Repeat,
    /// It cannot be read, so it may have a link, and its author is a newcomer.
    Sealed,
    /// Its author sent too many messages that cannot be read.
    Unreadable,
}

/// The parts of a message that the rules check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The id by which the room retracts it.
    pub id: Option<String>,
    /// The normalized texts.
    pub texts: Vec<String>,
    /// Whether it has a link or a file.
    pub has_link: bool,
    /// Whether it gives a command, which people may do more often with the same words.
    pub is_command: bool,
    /// Whether it is encrypted, or says so, and cannot be read here. Others in the room may read it.
    pub is_unreadable: bool,
}

impl Said {
    /// Reads a text alone.
    pub fn text(text: &str) -> Self {
        Self { texts: comparable(once(text)), has_link: has_link(text), ..Self::default() }
    }

    /// Reads a message. Clients show any of several texts, so all of them count.
    pub fn of(message: &Message) -> Self {
        let body = message.body.as_deref().unwrap_or_default();
        // The quoted part of a reply counts only if there is no other text. Without a reply, or in lines that do not begin with
        // `>`, nothing is quoted: people with other clients see all of it.
        let replies = message.extensions.as_ref().is_some_and(|extensions| extensions.reply.is_some());
        let own = message.body_without_fallback(ns::REPLY);
        let is_quoted = replies && unquoted(&own) == unquoted(body);
        let own = if is_quoted && !own.trim().is_empty() { own.as_str() } else { body };
        let others = || message.bodies.iter().map(|(_, text)| text.as_str()).filter(|text| *text != body);
        Self {
            id: message.stanza_id.clone(),
            texts: comparable(once(own).chain(others())),
            has_link: !message.files().is_empty() || once(body).chain(others()).any(has_link),
            is_command: message.command.is_some(),
            is_unreadable: false,
        }
    }

    /// Takes a message that cannot be decrypted, or only says that it is encrypted. Others may see a text in it.
    pub fn unreadable(message: &Undecryptable) -> Self {
        Self { id: message.stanza_id.clone(), is_unreadable: true, ..Self::default() }
    }
}

/// The rule that a message breaks, and the new standing of its author.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The broken rule.
    pub offence: Option<Offence>,
    /// The author is no newcomer from now on.
    pub has_settled: bool,
}

/// Somebody in a room.
#[derive(Debug, Default)]
struct Person {
    nick: String,
    /// Whether it is a moderator, a member or more.
    is_spared: bool,
    /// Whether it is no newcomer any more; none = unknown, as after a restart.
    settled: Option<bool>,
    /// When it said something for the first time.
    first: Option<i64>,
    /// When it said something last that slow mode allowed.
    allowed: Option<i64>,
    /// When it was noticed last.
    seen: i64,
}

/// A message of somebody who is not spared.
#[derive(Debug)]
struct Remembered {
    id: Option<String>,
    key: String,
    nick: String,
    texts: Vec<String>,
    is_unreadable: bool,
    at: i64,
}

/// A newcomer who entered.
#[derive(Debug)]
struct Join {
    key: String,
    at: i64,
    is_handled: bool,
}

#[derive(Debug, Default)]
struct Place {
    people: BTreeMap<String, Person>,
    messages: VecDeque<Remembered>,
    joins: VecDeque<Join>,
    seen: i64,
}

/// Remembers rooms, the people in them and what they said last, and decides which rules are broken.
///
/// A person is known by a [`key`], such as the occupant id.
#[derive(Debug, Default)]
pub struct Judge {
    rooms: BTreeMap<String, Place>,
    /// The pauses of rooms in slow mode.
    slow: BTreeMap<String, i64>,
}

impl Place {
    fn person(&mut self, key: &str, now: i64) -> &mut Person {
        if !self.people.contains_key(key) && self.people.len() >= MAX_PEOPLE {
            let oldest = self.people.iter().min_by_key(|(_, person)| person.seen).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.people.remove(&key));
        }
        let person = self.people.entry(key.to_owned()).or_default();
        person.seen = now;
        person
    }

    /// Returns the messages within a window, the last ones first.
    fn recent(&self, window: Duration, now: i64) -> impl Iterator<Item = &Remembered> {
        self.messages.iter().rev().take_while(move |one| now - one.at < milliseconds(window))
    }

    /// Returns whether somebody sent too many messages, with this one.
    fn is_flood(&self, rules: &Rules, key: &str, now: i64) -> bool {
        is_over(1 + self.recent(rules.message_window, now).filter(|one| one.key == key).count(), rules.messages)
    }

    /// Returns whether this was said too often, with this message.
    fn is_repeated(&self, rules: &Rules, key: &str, said: &Said, now: i64) -> bool {
        let is_long = |text: &String| text.chars().count() >= SHORT;
        said.texts.iter().any(|text| {
            let same = || self.recent(rules.repeat_window, now).filter(|one| one.texts.contains(text));
            let by_one = 1 + same().filter(|one| one.key == key).count();
            let by_all = 1 + same().count();
            let is_meant = !said.is_command || is_long(text);
            is_meant && (is_over(by_one, rules.repeats) || is_long(text) && is_over(by_all, rules.crowd_repeats))
        })
    }

    /// Returns whether somebody sent too many messages that cannot be read, with this one.
    fn is_unreadable(&self, rules: &Rules, key: &str, said: &Said, now: i64) -> bool {
        let recent = self.recent(rules.repeat_window, now);
        said.is_unreadable
            && is_over(1 + recent.filter(|one| one.is_unreadable && one.key == key).count(), rules.unreadable)
    }
}

impl Judge {
    fn room(&mut self, room: &str, now: i64) -> &mut Place {
        if !self.rooms.contains_key(room) && self.rooms.len() >= MAX_ROOMS {
            let oldest = self.rooms.iter().min_by_key(|(_, place)| place.seen).map(|(room, _)| room.clone());
            oldest.and_then(|room| self.rooms.remove(&room));
        }
        let place = self.rooms.entry(room.to_owned()).or_default();
        place.seen = now;
        place
    }

    /// Notes the nickname and the rank of somebody.
    pub fn meet(&mut self, room: &str, key: &str, nick: String, is_spared: bool, now: Timestamp) {
        let now = now.as_millisecond();
        let person = self.room(room, now).person(key, now);
        (person.nick, person.is_spared) = (nick, is_spared);
    }

    /// Returns the key and the rank of somebody who has left, by the last nickname.
    pub fn absent(&self, room: &str, nick: &str) -> Option<(String, bool)> {
        let people = self.rooms.get(room)?.people.iter().filter(|(_, person)| person.nick == nick);
        people.max_by_key(|(_, person)| person.seen).map(|(key, person)| (key.clone(), person.is_spared))
    }

    /// Returns whether somebody is no newcomer. None: it is unknown, as after a restart; ask your storage, and call `settle`.
    pub fn is_settled(&self, room: &str, key: &str) -> Option<bool> {
        self.rooms.get(room)?.people.get(key)?.settled
    }

    /// Notes whether somebody is no newcomer.
    pub fn settle(&mut self, room: &str, key: &str, is_settled: bool, now: Timestamp) {
        let now = now.as_millisecond();
        self.room(room, now).person(key, now).settled = Some(is_settled);
    }

    /// Counts a newcomer's join. Returns the keys of people to kick: in a flood, everybody in it who was not returned
    /// before.
    pub fn join(&mut self, rules: &Rules, room: &str, key: &str, now: Timestamp) -> Vec<String> {
        let now = now.as_millisecond();
        let joins = &mut self.room(room, now).joins;
        // Somebody who comes again and again is no flood.
        joins.retain(|one| now - one.at < milliseconds(rules.join_window) && one.key != key);
        if joins.len() >= MAX_JOINS {
            joins.pop_front();
        }
        joins.push_back(Join { key: key.to_owned(), at: now, is_handled: false });
        if !is_over(joins.len(), rules.joins) {
            return Vec::new();
        }
        let new = joins.iter_mut().filter(|one| !one.is_handled);
        let handled = new.map(|one| {
            one.is_handled = true;
            one.key.clone()
        });
        handled.collect()
    }

    /// Judges a message of somebody who is not spared, and remembers it.
    pub fn hear(&mut self, rules: &Rules, room: &str, key: &str, said: Said, now: Timestamp) -> Verdict {
        let now = now.as_millisecond();
        let pause = self.slow.get(room).copied();
        let place = self.room(room, now);
        let is_flood = place.is_flood(rules, key, now);
        let is_repeated = place.is_repeated(rules, key, &said, now);
        let is_unreadable = place.is_unreadable(rules, key, &said, now);
        let person = place.person(key, now);
        let was_settled = person.settled == Some(true);
        let is_settled = was_settled || now - *person.first.get_or_insert(now) >= milliseconds(rules.newcomer);
        person.settled = Some(is_settled);
        let early = pause.filter(|pause| person.allowed.is_some_and(|before| now - before < *pause));
        if early.is_none() {
            person.allowed = Some(now);
        }
        let nick = person.nick.clone();
        let offence = match early {
            Some(pause) => Some(Offence::Early(Duration::from_millis(pause.unsigned_abs()))),
            None if said.has_link && !is_settled => Some(Offence::Link),
            None if said.is_unreadable && !is_settled => Some(Offence::Sealed),
            None if is_unreadable => Some(Offence::Unreadable),
            None if is_repeated => Some(Offence::Repeat),
            None => is_flood.then_some(Offence::Flood),
        };
        if place.messages.len() >= MAX_MESSAGES {
            place.messages.pop_front();
        }
        let Said { id, texts, is_unreadable, .. } = said;
        let id = id.filter(|id| id.len() <= MAX_ID);
        place.messages.push_back(Remembered { id, key: key.to_owned(), nick, texts, is_unreadable, at: now });
        Verdict { offence, has_settled: is_settled && !was_settled }
    }

    /// Returns the key of the last author with this nickname.
    pub fn author(&self, room: &str, nick: &str) -> Option<String> {
        let messages = self.rooms.get(room)?.messages.iter().rev();
        messages.filter(|one| one.nick == nick).map(|one| one.key.clone()).next()
    }

    /// Returns the ids of somebody's messages that are not retracted yet, the last ones first.
    pub fn messages(&self, room: &str, key: &str, most: usize) -> Vec<String> {
        let messages = self.rooms.get(room).into_iter().flat_map(|place| place.messages.iter().rev());
        messages.filter(|one| one.key == key).filter_map(|one| one.id.clone()).take(most).collect()
    }

    /// Notes that a message is retracted.
    pub fn retracted(&mut self, room: &str, id: &str) {
        let messages = self.rooms.get_mut(room).into_iter().flat_map(|place| place.messages.iter_mut());
        for one in messages.filter(|one| one.id.as_deref() == Some(id)) {
            one.id = None;
        }
    }

    /// Sets the pause of a room in slow mode, or ends slow mode. False: it is on in too many rooms.
    pub fn slow_down(&mut self, room: &str, pause: Option<Duration>) -> bool {
        let Some(pause) = pause else {
            self.slow.remove(room);
            return true;
        };
        if !self.slow.contains_key(room) && self.slow.len() >= MAX_SLOW {
            return false;
        }
        self.slow.insert(room.to_owned(), milliseconds(pause));
        true
    }

    /// Forgets a room that the account is not in any more. Slow mode stays for when it comes back.
    pub fn leave(&mut self, room: &str) {
        self.rooms.remove(room);
    }
}

/// Returns whether there are more than a rule allows, which may allow any number.
fn is_over(count: usize, most: usize) -> bool {
    most > 0 && count > most
}

/// Returns a duration in milliseconds.
fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the normalized texts of a message, without empty ones.
pub fn comparable<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.take(MAX_TEXTS).map(normalized).filter(|text| !text.is_empty()).collect()
}

/// Returns whether clients are likely to show a link in this text.
pub fn has_link(text: &str) -> bool {
    text.split_whitespace().any(is_link)
}

/// Returns the key by which a person in a room is known: the occupant id, else the address, else the nickname.
pub fn key(occupant: &Occupant) -> String {
    let address = occupant.jid.as_deref().map(|jid| jid.split_once('/').map_or(jid, |(bare, _)| bare));
    key_of(occupant.occupant_id.as_deref().or(address).unwrap_or(&occupant.nick))
}

/// Returns whether the rules are not for somebody: for the account itself, moderators, members, admins and owners.
pub fn is_spared(occupant: &Occupant) -> bool {
    let ranks = [Affiliation::Member, Affiliation::Admin, Affiliation::Owner];
    occupant.own || occupant.role == Role::Moderator || ranks.iter().any(|rank| occupant.affiliation == *rank)
}

/// Returns the name by which a person is remembered. One that is too long is replaced by its hash.
fn key_of(name: &str) -> String {
    if name.len() <= MAX_KEY {
        return name.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    format!("{}#{:016x}", cut(name, MAX_NICK), hasher.finish())
}

/// Returns a nickname on one line, without characters that could disguise it.
pub fn nick(nick: &str) -> String {
    let hides = |sign: char| {
        sign.is_control() || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown: String = nick.chars().filter(|sign| !hides(*sign)).collect();
    cut(&shown, MAX_NICK).to_owned()
}

#[cfg(test)]
mod tests;
