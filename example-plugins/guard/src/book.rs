//! Remembers rooms, the people in them and what they said last, and decides which rules are broken. It calls nothing of
//! the host's. Each list has an upper bound, above which the oldest entry is forgotten. Times are in milliseconds.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The most rooms that are remembered.
const MAX_ROOMS: usize = 32;
/// The most people of a room that are remembered.
const MAX_PEOPLE: usize = 300;
/// The most messages of a room that are remembered.
pub(crate) const MAX_MESSAGES: usize = 200;
/// The most joins of a room that are counted.
const MAX_JOINS: usize = 200;
/// The most rooms with slow mode.
const MAX_SLOW: usize = 200;
/// Longer ids of messages are not remembered: the message cannot be retracted later.
const MAX_ID: usize = 256;
/// Several people say shorter texts without any bad intent: "good morning".
const SHORT: usize = 14;

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How many newcomers may enter within the window; 0 = any number.
    pub(crate) joins: usize,
    /// The window for joins.
    pub(crate) join_window: i64,
    /// How often one person may say the same; 0 = as often as they like.
    pub(crate) repeats: usize,
    /// How often several people may say the same; 0 = as often as they like.
    pub(crate) crowd_repeats: usize,
    /// How many messages that cannot be read one person may send; 0 = any number.
    pub(crate) unreadable: usize,
    /// The window for repeated texts, and for messages that cannot be read.
    pub(crate) repeat_window: i64,
    /// How long after the first message somebody is a newcomer.
    pub(crate) newcomer: i64,
    /// At which broken rule somebody is kicked.
    pub(crate) strikes: i64,
    /// How long broken rules are counted.
    pub(crate) strike_time: Duration,
    /// The room that is told what was done.
    pub(crate) log_room: Option<String>,
}

/// A rule that a message breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offence {
    /// It came too early in slow mode, with this pause.
    Early(i64),
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
#[derive(Debug)]
pub(crate) struct Said {
    /// The id by which the room retracts it.
    pub(crate) id: Option<String>,
    /// The normalized texts.
    pub(crate) texts: Vec<String>,
    /// Whether it has a link or a file.
    pub(crate) has_link: bool,
    /// Whether it gives a command, which people may do more often with the same words.
    pub(crate) is_command: bool,
    /// Whether it is encrypted, or says so, and cannot be read here. Others in the room may read it.
    pub(crate) is_unreadable: bool,
}

/// The rule that a message breaks, and the new standing of its author.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The broken rule.
    pub(crate) offence: Option<Offence>,
    /// The author is no newcomer from now on.
    pub(crate) has_settled: bool,
}

/// Somebody in a room.
#[derive(Debug, Default)]
struct Person {
    nick: String,
    /// Whether it is a moderator, a member or more.
    is_spared: bool,
    /// Whether it is no newcomer any more; none = storage was not asked yet.
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

/// All rooms.
#[derive(Debug, Default)]
pub(crate) struct Book {
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

    /// Returns whether this was said too often, with this message.
    fn is_repeated(&self, rules: &Rules, key: &str, said: &Said, now: i64) -> bool {
        let is_long = |text: &String| text.chars().count() >= SHORT;
        let is_recent = |one: &&Remembered| now - one.at < rules.repeat_window;
        said.texts.iter().any(|text| {
            let same = || self.messages.iter().rev().take_while(is_recent).filter(|one| one.texts.contains(text));
            let by_one = 1 + same().filter(|one| one.key == key).count();
            let by_all = 1 + same().count();
            let is_meant = !said.is_command || is_long(text);
            let is_over = |count: usize, most: usize| most > 0 && count > most;
            is_meant && (is_over(by_one, rules.repeats) || is_long(text) && is_over(by_all, rules.crowd_repeats))
        })
    }

    /// Returns whether somebody sent too many messages that cannot be read, with this one.
    fn is_unreadable(&self, rules: &Rules, key: &str, said: &Said, now: i64) -> bool {
        let is_recent = |one: &&Remembered| now - one.at < rules.repeat_window;
        let recent = self.messages.iter().rev().take_while(is_recent);
        let count = 1 + recent.filter(|one| one.is_unreadable && one.key == key).count();
        said.is_unreadable && rules.unreadable > 0 && count > rules.unreadable
    }
}

impl Book {
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
    pub(crate) fn meet(&mut self, room: &str, key: &str, nick: String, is_spared: bool, now: i64) {
        let person = self.room(room, now).person(key, now);
        (person.nick, person.is_spared) = (nick, is_spared);
    }

    /// Returns the key and the rank of somebody who has left, by the last nickname.
    pub(crate) fn absent(&self, room: &str, nick: &str) -> Option<(String, bool)> {
        let people = self.rooms.get(room)?.people.iter().filter(|(_, person)| person.nick == nick);
        people.max_by_key(|(_, person)| person.seen).map(|(key, person)| (key.clone(), person.is_spared))
    }

    /// Returns whether somebody is no newcomer; none = storage has to be asked.
    pub(crate) fn is_settled(&self, room: &str, key: &str) -> Option<bool> {
        self.rooms.get(room)?.people.get(key)?.settled
    }

    /// Notes whether somebody is no newcomer.
    pub(crate) fn settle(&mut self, room: &str, key: &str, is_settled: bool, now: i64) {
        self.room(room, now).person(key, now).settled = Some(is_settled);
    }

    /// Counts a newcomer's join. Returns the keys of people to kick: in a flood, everybody in it who was not returned
    /// before.
    pub(crate) fn join(&mut self, rules: &Rules, room: &str, key: &str, now: i64) -> Vec<String> {
        let joins = &mut self.room(room, now).joins;
        // Somebody who comes again and again is no flood.
        joins.retain(|one| now - one.at < rules.join_window && one.key != key);
        if joins.len() >= MAX_JOINS {
            joins.pop_front();
        }
        joins.push_back(Join { key: key.to_owned(), at: now, is_handled: false });
        if rules.joins == 0 || joins.len() <= rules.joins {
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
    pub(crate) fn hear(&mut self, rules: &Rules, room: &str, key: &str, said: Said, now: i64) -> Verdict {
        let pause = self.slow.get(room).copied();
        let place = self.room(room, now);
        let is_repeated = place.is_repeated(rules, key, &said, now);
        let is_unreadable = place.is_unreadable(rules, key, &said, now);
        let person = place.person(key, now);
        let was_settled = person.settled == Some(true);
        let is_settled = was_settled || now - *person.first.get_or_insert(now) >= rules.newcomer;
        person.settled = Some(is_settled);
        let early = pause.filter(|pause| person.allowed.is_some_and(|before| now - before < *pause));
        if early.is_none() {
            person.allowed = Some(now);
        }
        let nick = person.nick.clone();
        let offence = match early {
            Some(pause) => Some(Offence::Early(pause)),
            None if said.has_link && !is_settled => Some(Offence::Link),
            None if said.is_unreadable && !is_settled => Some(Offence::Sealed),
            None if is_unreadable => Some(Offence::Unreadable),
            None => is_repeated.then_some(Offence::Repeat),
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
    pub(crate) fn author(&self, room: &str, nick: &str) -> Option<String> {
        let messages = self.rooms.get(room)?.messages.iter().rev();
        messages.filter(|one| one.nick == nick).map(|one| one.key.clone()).next()
    }

    /// Returns the ids of somebody's messages that are not retracted yet, the last ones first.
    pub(crate) fn messages(&self, room: &str, key: &str, most: usize) -> Vec<String> {
        let messages = self.rooms.get(room).into_iter().flat_map(|place| place.messages.iter().rev());
        messages.filter(|one| one.key == key).filter_map(|one| one.id.clone()).take(most).collect()
    }

    /// Notes that a message is retracted.
    pub(crate) fn retracted(&mut self, room: &str, id: &str) {
        let messages = self.rooms.get_mut(room).into_iter().flat_map(|place| place.messages.iter_mut());
        for one in messages.filter(|one| one.id.as_deref() == Some(id)) {
            one.id = None;
        }
    }

    /// Sets the pause of a room in slow mode, or ends slow mode. False: it is on in too many rooms.
    pub(crate) fn slow_down(&mut self, room: &str, pause: Option<i64>) -> bool {
        let Some(pause) = pause else {
            self.slow.remove(room);
            return true;
        };
        if !self.slow.contains_key(room) && self.slow.len() >= MAX_SLOW {
            return false;
        }
        self.slow.insert(room.to_owned(), pause);
        true
    }

    /// Forgets a room that the account is not in any more. Slow mode stays for when it comes back.
    pub(crate) fn leave(&mut self, room: &str) {
        self.rooms.remove(room);
    }
}

#[cfg(test)]
mod tests;
