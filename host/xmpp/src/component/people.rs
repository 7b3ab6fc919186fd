//! Counts the new addresses that people write to, and those of all people of a domain, so that nobody uses up the limit of a
//! component for all others. The addresses that people wake are counted in the same way.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

use jid::BareJid;
use parlor_base::domains::owned_together;
use tokio::time::Instant;

/// How many new addresses one person may write to in an hour.
pub(super) const MOST_OF_A_PERSON: usize = 16;
/// How many addresses that sleep one person may wake in an hour, and how many all people of another domain may wake.
pub(super) const MOST_WOKEN_BY_A_PERSON: usize = 1_024;
pub(super) const MOST_WOKEN_BY_A_DOMAIN: usize = 8_192;
/// The maximum number of people that are counted at a time, and that of domains.
const MOST_COUNTED: usize = 16_384;
const HOUR: Duration = Duration::from_hours(1);
/// How often the log says that somebody writes to more, or wakes more.
const TOLD: Duration = Duration::from_mins(10);

/// The addresses of each person and of each domain within an hour.
#[derive(Debug, Default)]
pub(super) struct People {
    of_each: Counts,
    of_domains: Counts,
    /// Makes the keys of both. Senders choose how long their addresses are, and must not choose which ones share a key.
    keys: RandomState,
    /// When the log last said that somebody writes to too many, or wakes too many.
    told: Option<Instant>,
}

#[derive(Debug, Default)]
struct Counts {
    all: HashMap<u64, Count>,
    /// No count began before this. None: not known.
    oldest: Option<Instant>,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    number: usize,
}

impl People {
    /// Counts another address. Returns false if it is one too many, which the log says now and then. That does not count: one
    /// person must not use up what is left for the domain by being refused.
    pub(super) fn may_come(&mut self, person: &BareJid, address: &BareJid, most_of_a_domain: Option<usize>) -> bool {
        let now = Instant::now();
        let one = self.keys.hash_one(person);
        let domain = self.keys.hash_one(owned_together(person.domain().as_str()));
        let reason = if !self.of_each.have_room(one, MOST_OF_A_PERSON, now) {
            "the person has written to as many as one may, or very many people have"
        } else if most_of_a_domain.is_some_and(|most| !self.of_domains.have_room(domain, most, now)) {
            "the people of the domain have written to as many as those of one may, or people of very many domains have"
        } else {
            self.of_each.add(one, now);
            if most_of_a_domain.is_some() {
                self.of_domains.add(domain, now);
            }
            return true;
        };
        if self.is_to_be_told(now) {
            tracing::warn!(
                %person,
                %address,
                reason,
                "somebody writes to too many new addresses of a component in an hour; their messages go back"
            );
        }
        false
    }

    /// Counts an address that sleeps and that a person wakes. Returns false if it is one too many, which the log says now and then.
    /// People of the component's own domain have no limit together: its owner has the addresses as well. If there are too many people
    /// to count, the others may wake addresses: so many could wake all of them anyway.
    pub(super) fn may_wake(&mut self, person: &BareJid, address: &BareJid) -> bool {
        let now = Instant::now();
        let one = self.keys.hash_one(person);
        let end = owned_together(person.domain().as_str());
        let is_own = end == owned_together(address.domain().as_str());
        let domain = self.keys.hash_one(end);
        let reason = if self.of_each.have_had(one, MOST_WOKEN_BY_A_PERSON, now) {
            "the person has woken as many as one may"
        } else if !is_own && self.of_domains.have_had(domain, MOST_WOKEN_BY_A_DOMAIN, now) {
            "the people of the domain have woken as many as those of one may"
        } else {
            self.of_each.count(one, now);
            if !is_own {
                self.of_domains.count(domain, now);
            }
            return true;
        };
        if self.is_to_be_told(now) {
            tracing::warn!(
                %person,
                %address,
                reason,
                "somebody wakes too many addresses of a component in an hour; stanzas for addresses that sleep go back to them"
            );
        }
        false
    }

    /// Returns whether to log that there was one too many, and notes that this is done now.
    fn is_to_be_told(&mut self, now: Instant) -> bool {
        let is_due = self.told.is_none_or(|told| now.duration_since(told) >= TOLD);
        if is_due {
            self.told = Some(now);
        }
        is_due
    }
}

impl Counts {
    /// Returns whether another one of this key may come.
    fn have_room(&mut self, key: u64, most: usize, now: Instant) -> bool {
        if let Some(count) = self.all.get(&key) {
            if !count.is_over(now) {
                return count.number < most;
            }
            self.all.remove(&key);
        }
        // A count that still runs stays, whoever else comes: otherwise a crowd could end that of one.
        if self.all.len() >= MOST_COUNTED && self.oldest.is_none_or(|oldest| now.duration_since(oldest) >= HOUR) {
            self.all.retain(|_, count| !count.is_over(now));
            self.oldest = self.all.values().map(|count| count.since).min();
        }
        self.all.len() < MOST_COUNTED
    }

    /// Returns whether this key has had so many.
    fn have_had(&self, key: u64, most: usize, now: Instant) -> bool {
        self.all.get(&key).is_some_and(|count| !count.is_over(now) && count.number >= most)
    }

    /// Adds another one of this key, if there is room to count it.
    fn count(&mut self, key: u64, now: Instant) {
        if self.have_room(key, usize::MAX, now) {
            self.add(key, now);
        }
    }

    fn add(&mut self, key: u64, now: Instant) {
        self.all.entry(key).or_insert(Count { since: now, number: 0 }).number += 1;
    }
}

impl Count {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> BareJid {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_says_once_in_ten_minutes_that_people_write_to_too_many_addresses() {
        let mut people = People::default();
        let [mallory, alice, address] = ["mallory@example.org", "alice@example.org", "shop@bots.house"].map(jid);
        for _ in 0..MOST_OF_A_PERSON {
            assert!(people.may_come(&mallory, &address, None) && people.may_come(&alice, &address, None));
        }
        assert_eq!(people.told, None, "nobody has written to too many");
        assert!(!people.may_come(&mallory, &address, None));
        let first = people.told;
        assert!(first.is_some());
        tokio::time::advance(TOLD / 2).await;
        assert!(!people.may_come(&mallory, &address, None) && !people.may_come(&alice, &address, None));
        assert_eq!(people.told, first, "it is not said again yet");
        tokio::time::advance(TOLD / 2).await;
        assert!(!people.may_come(&alice, &address, None));
        assert_eq!(people.told, Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_domain_does_not_use_up_the_addresses_of_all_others() {
        let mut people = People::default();
        let address = jid("shop@bots.house");
        let mut writes = |person: &str, most| people.may_come(&jid(person), &address, most);
        let most = Some(64);
        let crowd = |number: usize| format!("u{number}@u{}.evil.example", number % 3);
        let taken = (0..200).filter(|&number| writes(&crowd(number), most)).count();
        assert_eq!(taken, 64, "of all domains below one together");
        assert!(!writes("late@evil.example", most) && writes("alice@example.org", most));
        assert!(writes("late@evil.example", None), "the owner named the domain");
        tokio::time::advance(HOUR).await;
        assert!(writes("late@evil.example", most));
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_who_is_refused_takes_nothing_from_the_domain() {
        let mut people = People::default();
        let address = jid("shop@bots.house");
        let mut writes = |person: &str| people.may_come(&jid(person), &address, Some(64));
        assert_eq!((0..200).filter(|_| writes("mallory@example.org")).count(), MOST_OF_A_PERSON);
        assert_eq!((0..200).filter(|_| writes("alice@example.org")).count(), MOST_OF_A_PERSON);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_wakes_all_addresses_in_turn() {
        let mut people = People::default();
        let address = jid("shop@bots.house.example");
        let mut wakes = |person: &str| people.may_wake(&jid(person), &address);
        assert_eq!((0..2_000).filter(|_| wakes("mallory@evil.example")).count(), MOST_WOKEN_BY_A_PERSON);
        let crowd = |number: usize| format!("u{number}@u{}.evil.example", number % 3);
        let left = MOST_WOKEN_BY_A_DOMAIN - MOST_WOKEN_BY_A_PERSON;
        assert_eq!(
            (0..9_000).filter(|&number| wakes(&crowd(number))).count(),
            left,
            "of all domains below one together"
        );
        assert!(!wakes("late@evil.example") && wakes("alice@example.org"));
        let near = |number: usize| format!("u{number}@house.example");
        assert_eq!((0..9_000).filter(|&number| wakes(&near(number))).count(), 9_000, "of the component's own domain");
        assert!((0..20_000).all(|number| wakes(&format!("a@d{number}.example"))), "too many to count keep out nobody");
        assert!(!wakes("mallory@evil.example"), "who was counted stays so");
        tokio::time::advance(HOUR).await;
        assert!(wakes("mallory@evil.example"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_ends_the_count_of_nobody() {
        let mut counts = Counts::default();
        let mut comes = |key: u64| {
            let now = Instant::now();
            let has_room = counts.have_room(key, 2, now);
            if has_room {
                counts.add(key, now);
            }
            (has_room, counts.all.len())
        };
        let (most, half) = (MOST_COUNTED as u64, MOST_COUNTED as u64 / 2);
        assert!((0..half).chain(0..half).all(|key| comes(key).0), "each twice");
        tokio::time::advance(HOUR / 2).await;
        assert!((half..most).all(|key| comes(key).0));
        assert_eq!(comes(most), (false, MOST_COUNTED), "no more are counted");
        assert_eq!(comes(0), (false, MOST_COUNTED), "it has had two, and that is not forgotten");
        assert_eq!(comes(half), (true, MOST_COUNTED), "who is known may come");
        tokio::time::advance(HOUR / 2).await;
        assert_eq!(comes(most), (true, MOST_COUNTED / 2 + 1), "those of the first half are over");
        assert_eq!(comes(half), (false, MOST_COUNTED / 2 + 1), "those of the second one are not");
    }
}
