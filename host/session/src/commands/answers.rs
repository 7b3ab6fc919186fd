//! How many answers the host gives on behalf of plugins: some to each person, and some more to all people together, so that
//! one person cannot use up the answers of others.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use super::people::Who;

/// Number of answers that the host gives a person at once.
pub(crate) const PERSON_ANSWERS: u32 = 5;
/// Number of answers that the host gives all people of an account at once.
const ACCOUNT_ANSWERS: u32 = 20;

const PERSON: Limit = Limit { most: PERSON_ANSWERS, every: Duration::from_secs(2) };
const ACCOUNT: Limit = Limit { most: ACCOUNT_ANSWERS, every: Duration::from_secs(1) };

#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// The number at once.
    pub(super) most: u32,
    /// The time after which another one may follow.
    pub(super) every: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) left: u32,
    /// The start of the wait for the next one.
    pub(super) since: Duration,
}

impl Budget {
    pub(super) fn refill(&mut self, limit: Limit, now: Duration) {
        let ready = now.saturating_sub(self.since).as_millis() / limit.every.as_millis();
        self.left = limit.most.min(self.left.saturating_add(u32::try_from(ready).unwrap_or(limit.most)));
        if ready > 0 || self.left == limit.most {
            self.since = now;
        }
    }
}

/// The answers that the host may still give.
#[derive(Debug)]
pub(super) struct Answers {
    random: RandomState,
    account: Budget,
    /// By the hash of the person, since a nickname may be long. People who may get all their answers have no entry. So the limit
    /// of the account bounds the table: nobody has an entry for longer than 10 s after an answer.
    people: HashMap<u64, Budget>,
}

impl Default for Answers {
    fn default() -> Self {
        let account = Budget { left: ACCOUNT.most, since: Duration::ZERO };
        Self { random: RandomState::new(), account, people: HashMap::new() }
    }
}

impl Answers {
    /// Returns whether the host may give this person another answer, and counts it.
    pub(super) fn take(&mut self, who: &Who, now: Duration) -> bool {
        self.account.refill(ACCOUNT, now);
        self.people.retain(|_, one| {
            one.refill(PERSON, now);
            one.left < PERSON.most
        });
        let key = self.random.hash_one(who);
        let person = self.people.get(&key).copied().unwrap_or(Budget { left: PERSON.most, since: now });
        if self.account.left == 0 || person.left == 0 {
            return false;
        }
        self.account.left -= 1;
        self.people.insert(key, Budget { left: person.left - 1, ..person });
        true
    }
}

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn who(name: &str) -> Who {
        Who::Jid(BareJid::new(&format!("{name}@example.org")).unwrap())
    }

    /// Returns how many of many answers a person gets.
    fn taken(answers: &mut Answers, name: &str, now: Duration) -> u32 {
        (0..100).map(|_| u32::from(answers.take(&who(name), now))).sum()
    }

    #[test]
    fn a_person_gets_some_at_once_and_leaves_others_theirs() {
        let mut answers = Answers::default();
        assert_eq!(taken(&mut answers, "alice", SECOND), PERSON_ANSWERS);
        assert_eq!(taken(&mut answers, "bob", SECOND), PERSON_ANSWERS);
        assert_eq!(taken(&mut answers, "alice", SECOND * 2), 0);
        assert_eq!(taken(&mut answers, "alice", SECOND * 3), 1);
        assert_eq!(taken(&mut answers, "alice", SECOND * 60), PERSON_ANSWERS);
    }

    #[test]
    fn all_people_together_get_some_and_the_table_of_people_stays_small() {
        let mut answers = Answers::default();
        let all: u32 = (0..100).map(|number| taken(&mut answers, &format!("n{number}"), SECOND)).sum();
        assert_eq!(all, ACCOUNT_ANSWERS);
        for number in 0..1_000_u32 {
            let person = who(&format!("m{number}"));
            assert!(answers.take(&person, SECOND * (number + 2)), "{number}");
            assert!(answers.people.len() <= 32, "{}", answers.people.len());
        }
        assert_eq!(taken(&mut answers, "alice", SECOND * 3_600), PERSON_ANSWERS);
        assert_eq!(answers.people.len(), 1);
    }
}
