//! Cooldowns: how long after a command the same person, or anybody in the same room, may give it again. They are kept
//! in memory, by the session's clock, and survive the instances of a plugin.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use jid::BareJid;
use parlor_base::id::PluginId;

use super::people::Who;

/// Maximum number of cooldowns of an account. The oldest ends early.
pub(super) const MOST: usize = 4_096;
/// Maximum number of people who are notified of one cooldown of a room. Others get no answer.
const MOST_TOLD: usize = 64;

/// The hashes of a command and of the person who gives it. A nickname and a room's address may be long, and hashes are
/// not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    by_person: u64,
    /// None: it is not given in a room.
    in_room: Option<u64>,
    who: u64,
}

/// How long the cooldowns of a command are. Zero: there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) person: Duration,
    pub(super) room: Duration,
}

/// A cooldown that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// How long it still lasts.
    pub(super) left: Duration,
    /// Whether it is that of the room.
    pub(super) is_rooms: bool,
    /// Whether the person was already notified of it, or too many others were.
    pub(super) is_told: bool,
}

#[derive(Debug)]
struct Running {
    since: Duration,
    /// Its place in the order in which cooldowns began.
    number: u64,
    /// The hashes of the people who were notified.
    told: Vec<u64>,
}

/// The cooldowns of an account.
#[derive(Debug, Default)]
pub(super) struct Cooldowns {
    random: RandomState,
    running: HashMap<u64, Running>,
    /// The keys of `running` in the order in which they began.
    order: BTreeMap<u64, u64>,
    next: u64,
    /// When the last one of them ends, by the lengths with which they began.
    until: Duration,
}

impl Cooldowns {
    /// Returns the keys for a person who gives a command, in this room if any.
    pub(super) fn tries(&self, plugin: &PluginId, name: &str, who: &Who, room: Option<&BareJid>) -> Tries {
        Tries {
            by_person: self.random.hash_one(("person", plugin.as_str(), name, who)),
            in_room: room.map(|room| self.random.hash_one(("room", plugin.as_str(), name, room))),
            who: self.random.hash_one(who),
        }
    }

    /// Returns the longest running cooldown, if any, and notes that the person is notified of it.
    pub(super) fn wait(&mut self, tries: Tries, lengths: Lengths, now: Duration) -> Option<Wait> {
        let left = |key: u64, length: Duration| {
            let since = self.running.get(&key)?.since;
            Some((since + length).saturating_sub(now)).filter(|left| !left.is_zero())
        };
        let person = left(tries.by_person, lengths.person).map(|left| (left, false, tries.by_person));
        let room = tries.in_room.and_then(|key| Some((left(key, lengths.room)?, true, key)));
        let (left, is_rooms, key) = person.max(room)?;
        let running = self.running.get_mut(&key)?;
        let is_told = running.told.contains(&tries.who) || running.told.len() >= MOST_TOLD;
        if !is_told {
            running.told.push(tries.who);
        }
        Some(Wait { left, is_rooms, is_told })
    }

    /// Begins the cooldowns of a command that was given.
    pub(super) fn begin(&mut self, tries: Tries, lengths: Lengths, now: Duration) {
        let person = Some(tries.by_person).filter(|_| !lengths.person.is_zero());
        let room = tries.in_room.filter(|_| !lengths.room.is_zero());
        let longest = lengths.person.max(room.map_or(Duration::ZERO, |_| lengths.room));
        self.until = self.until.max(now + longest);
        for key in person.into_iter().chain(room) {
            self.begin_one(key, now);
        }
    }

    /// Ends the cooldowns of a command that its plugin does not get.
    pub(super) fn take_back(&mut self, tries: Tries) {
        for key in std::iter::once(tries.by_person).chain(tries.in_room) {
            if let Some(running) = self.running.remove(&key) {
                self.order.remove(&running.number);
            }
        }
    }

    /// Returns whether one may still run.
    pub(super) fn run_at(&self, now: Duration) -> bool {
        now < self.until
    }

    fn begin_one(&mut self, key: u64, now: Duration) {
        let number = self.next;
        self.next += 1;
        if let Some(before) = self.running.insert(key, Running { since: now, number, told: Vec::new() }) {
            self.order.remove(&before.number);
        }
        self.order.insert(number, key);
        while self.running.len() > MOST {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.running.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LENGTHS: Lengths = Lengths { person: Duration::from_secs(10), room: Duration::from_secs(5) };

    fn who(name: &str) -> Who {
        Who::Jid(BareJid::new(&format!("{name}@example.org")).unwrap())
    }

    fn tries(cooldowns: &Cooldowns, name: &str, is_in_room: bool) -> Tries {
        let room = BareJid::new("room@muc.example.org").unwrap();
        cooldowns.tries(&"dice".parse().unwrap(), "roll", &who(name), Some(&room).filter(|_| is_in_room))
    }

    #[test]
    fn a_person_waits_and_is_told_once() {
        let mut cooldowns = Cooldowns::default();
        let romeo = tries(&cooldowns, "romeo", false);
        assert_eq!(cooldowns.wait(romeo, LENGTHS, SECOND), None);
        cooldowns.begin(romeo, LENGTHS, SECOND);
        let wait = |left: u32, is_told: bool| Some(Wait { left: SECOND * left, is_rooms: false, is_told });
        assert_eq!(cooldowns.wait(romeo, LENGTHS, SECOND * 2), wait(9, false));
        assert_eq!(cooldowns.wait(romeo, LENGTHS, SECOND * 3), wait(8, true));
        assert_eq!(cooldowns.wait(tries(&cooldowns, "juliet", false), LENGTHS, SECOND * 3), None);
        assert_eq!(cooldowns.wait(romeo, LENGTHS, SECOND * 11), None);
        // The next cooldown is a new one, so the person is notified again.
        cooldowns.begin(romeo, LENGTHS, SECOND * 11);
        assert_eq!(cooldowns.wait(romeo, LENGTHS, SECOND * 12), wait(9, false));
        // The owner may have made it shorter.
        let none = Lengths { person: Duration::ZERO, room: Duration::ZERO };
        assert_eq!(cooldowns.wait(romeo, none, SECOND * 12), None);
    }

    #[test]
    fn a_room_waits_as_one_and_each_person_is_told_once() {
        let mut cooldowns = Cooldowns::default();
        let lengths = Lengths { person: Duration::ZERO, ..LENGTHS };
        cooldowns.begin(tries(&cooldowns, "romeo", true), lengths, SECOND);
        for (name, is_told) in [("romeo", false), ("juliet", false), ("juliet", true)] {
            let wait = cooldowns.wait(tries(&cooldowns, name, true), lengths, SECOND * 2);
            assert_eq!(wait, Some(Wait { left: SECOND * 4, is_rooms: true, is_told }), "{name}");
        }
        assert_eq!(cooldowns.wait(tries(&cooldowns, "romeo", false), lengths, SECOND * 2), None, "elsewhere");
        for number in 0..100 {
            let wait = cooldowns.wait(tries(&cooldowns, &format!("n{number}"), true), lengths, SECOND * 2).unwrap();
            assert_eq!(wait.is_told, number + 2 >= MOST_TOLD, "{number}");
        }
    }

    #[test]
    fn one_that_is_taken_back_is_over_for_the_person_and_the_room_alone() {
        let mut cooldowns = Cooldowns::default();
        let [romeo, juliet] = ["romeo", "juliet"].map(|name| tries(&cooldowns, name, true));
        cooldowns.begin(romeo, LENGTHS, SECOND);
        assert!(cooldowns.wait(juliet, LENGTHS, SECOND).is_some(), "in the room");
        cooldowns.take_back(romeo);
        assert_eq!((cooldowns.wait(romeo, LENGTHS, SECOND), cooldowns.wait(juliet, LENGTHS, SECOND)), (None, None));
        assert!(cooldowns.running.is_empty() && cooldowns.order.is_empty());
        cooldowns.begin(juliet, Lengths { room: Duration::ZERO, ..LENGTHS }, SECOND);
        cooldowns.take_back(romeo);
        assert!(cooldowns.wait(juliet, LENGTHS, SECOND).is_some(), "of another person");
    }

    #[test]
    fn there_are_no_more_than_some_and_the_oldest_ends() {
        let mut cooldowns = Cooldowns::default();
        let given: Vec<_> = (0..=MOST).map(|number| tries(&cooldowns, &format!("n{number}"), false)).collect();
        for tries in &given {
            cooldowns.begin(*tries, LENGTHS, SECOND);
        }
        assert_eq!((cooldowns.running.len(), cooldowns.order.len()), (MOST, MOST));
        assert_eq!(cooldowns.wait(given[0], LENGTHS, SECOND), None);
        assert!(cooldowns.wait(given[1], LENGTHS, SECOND).is_some());
        cooldowns.begin(given[1], LENGTHS, SECOND);
        assert_eq!((cooldowns.running.len(), cooldowns.order.len()), (MOST, MOST));
    }
}
