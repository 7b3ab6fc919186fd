//! How many commands each person gives without the prefix. Two bots that take commands in this way could answer each other without end:
//! an answer of one may begin with the name of a command of the other. A single message that is no command ends that.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use super::answers::{Budget, Limit};
use super::people::Who;

/// Number of commands that a person gives at once without the prefix.
pub(crate) const MOST_BARE: u32 = 20;
/// More than people give who play a game by commands.
const LIMIT: Limit = Limit { most: MOST_BARE, every: Duration::from_secs(2) };
/// The maximum number of people who are counted. Strangers could be any number, and each command looks through all.
const MOST_PEOPLE: usize = 256;

/// The commands that people may still give without the prefix.
#[derive(Debug, Default)]
pub(super) struct BareCommands {
    random: RandomState,
    /// By the hash of the person, since a nickname may be long. People who may give all their commands have no entry.
    people: HashMap<u64, Budget>,
}

impl BareCommands {
    /// Returns whether this person may give another one, and counts it.
    pub(super) fn take(&mut self, who: &Who, now: Duration) -> bool {
        self.people.retain(|_, one| {
            one.refill(LIMIT, now);
            one.left < LIMIT.most
        });
        let key = self.random.hash_one(who);
        let known = self.people.get(&key).copied();
        let budget = known.unwrap_or(Budget { left: LIMIT.most, since: now });
        if budget.left == 0 {
            return false;
        }
        if known.is_some() || self.people.len() < MOST_PEOPLE {
            self.people.insert(key, Budget { left: budget.left - 1, ..budget });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::*;

    fn who(name: &str) -> Who {
        Who::Jid(BareJid::new(&format!("{name}@example.org")).unwrap())
    }

    #[test]
    fn many_people_take_no_memory_and_no_commands_of_others() {
        let (mut bare, now) = (BareCommands::default(), Duration::from_secs(1));
        let taken = |bare: &mut BareCommands, name: &str, now| (0..100).filter(|_| bare.take(&who(name), now)).count();
        assert_eq!(taken(&mut bare, "alice", now), MOST_BARE as usize);
        for number in 0..MOST_PEOPLE * 2 {
            assert!(bare.take(&who(&format!("n{number}")), now), "{number}");
        }
        assert_eq!(bare.people.len(), MOST_PEOPLE);
        assert_eq!(taken(&mut bare, "alice", now), 0, "she is still counted");
        assert_eq!(taken(&mut bare, "alice", now + Duration::from_secs(2)), 1);
        assert_eq!(taken(&mut bare, "alice", now + Duration::from_hours(1)), MOST_BARE as usize);
        assert_eq!(bare.people.len(), 1);
    }
}
