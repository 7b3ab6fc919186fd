//! Entries that nobody waits for, until the store's thread writes them. It writes many at once: when a host starts or stops,
//! thousands of accounts connect or log out within a second.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::NewAuditEntry;

/// The maximum number of entries that wait. Each has some hundred bytes.
const MOST: usize = 16_384;
/// How many are written at a time. Others want the store's thread, too.
pub(super) const AT_ONCE: usize = 256;

/// An entry, with its time in milliseconds since the Unix epoch.
pub(super) type Dated = (i64, NewAuditEntry);

/// The entries that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Dated>,
    /// Whether a job that writes them was given to the store's thread.
    is_ordered: bool,
    /// Whether a job that was ordered has nothing to do, since the one before it failed: it would fail, too.
    is_refused: bool,
    /// The number of entries for which there was no room since the last that were taken.
    lost: u64,
}

/// The entries to write now.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) entries: Vec<Dated>,
    /// The number of entries for which there was no room.
    pub(super) lost: u64,
    /// Whether the job has to be given to the store's thread once more, for the rest.
    pub(super) has_more: bool,
}

impl Waiting {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an entry in, if there is room. Returns whether the caller has to give a job to the store's thread that writes them.
    pub(super) fn put(&self, entry: Dated) -> bool {
        let mut queue = self.queue();
        if queue.entries.len() >= MOST {
            queue.lost += 1;
        } else {
            queue.entries.push_back(entry);
        }
        !std::mem::replace(&mut queue.is_ordered, true)
    }

    /// Notes that the job could not be given to the thread. The next entry tries it again.
    pub(super) fn not_ordered(&self) {
        let mut queue = self.queue();
        queue.is_ordered = false;
        // There is no job to refuse: the next one would do nothing in its place, perhaps as the last one before the end.
        queue.is_refused = false;
    }

    /// Takes entries back that could not be written, before the others. If there is no room for all, the newest are lost.
    pub(super) fn give_back(&self, entries: Vec<Dated>) {
        let mut queue = self.queue();
        for entry in entries.into_iter().rev() {
            queue.entries.push_front(entry);
        }
        queue.lost += queue.entries.len().saturating_sub(MOST) as u64;
        queue.entries.truncate(MOST);
        queue.is_refused = queue.is_ordered;
    }

    /// Returns whether entries wait for which no job is ordered. The caller has to give it to the store's thread then.
    pub(super) fn retry(&self) -> bool {
        let mut queue = self.queue();
        !queue.entries.is_empty() && !std::mem::replace(&mut queue.is_ordered, true)
    }

    /// Returns the next entries, for the job.
    pub(super) fn take(&self, most: usize) -> Taken {
        let mut queue = self.queue();
        if std::mem::take(&mut queue.is_refused) {
            queue.is_ordered = false;
            return Taken::default();
        }
        let count = queue.entries.len().min(most);
        let entries = queue.entries.drain(..count).collect();
        let has_more = !queue.entries.is_empty();
        if !has_more {
            queue.entries = VecDeque::new();
        }
        queue.is_ordered = has_more;
        Taken { entries, lost: std::mem::take(&mut queue.lost), has_more }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AuditKind, By};
    use super::*;

    fn entry(number: usize) -> Dated {
        (1, NewAuditEntry::new(AuditKind::Login, &By::host("connection"), &number.to_string()))
    }

    #[test]
    fn one_job_is_ordered_for_all_entries_that_wait_and_the_rest_is_ordered_again() {
        let waiting = Waiting::default();
        assert!(waiting.put(entry(0)), "nobody has ordered the job yet");
        assert!((1..AT_ONCE + 2).all(|number| !waiting.put(entry(number))));
        let first = waiting.take(AT_ONCE);
        assert_eq!((first.entries.len(), first.lost, first.has_more), (AT_ONCE, 0, true));
        assert!(!waiting.put(entry(AT_ONCE + 2)), "the job orders itself");
        let rest = waiting.take(AT_ONCE);
        assert_eq!((rest.entries.len(), rest.has_more), (3, false));
        let all = first.entries.into_iter().chain(rest.entries).map(|(_, entry)| entry.what);
        assert!(all.eq((0..AT_ONCE + 3).map(|number| number.to_string())), "in their order");
        assert!(waiting.put(entry(0)), "the job is over");
    }

    #[test]
    fn a_job_that_finds_no_room_is_ordered_again_with_the_next_entry() {
        let waiting = Waiting::default();
        assert!(waiting.put(entry(0)));
        waiting.not_ordered();
        assert!(waiting.put(entry(1)));
        assert_eq!(waiting.take(AT_ONCE).entries.len(), 2);
    }

    #[test]
    fn entries_that_could_not_be_written_are_taken_again_in_their_order_and_the_newest_are_lost() {
        let waiting = Waiting::default();
        assert!(!waiting.retry(), "nothing waits");
        for number in 0..=AT_ONCE {
            waiting.put(entry(number));
        }
        let first = waiting.take(AT_ONCE);
        waiting.give_back(first.entries);
        assert!(waiting.take(AT_ONCE).entries.is_empty(), "the next job would fail, too");
        assert!(waiting.retry() && !waiting.retry(), "it is ordered once");
        let all = waiting.take(MOST).entries;
        assert!(
            all.iter().map(|(_, entry)| &entry.what).eq(&(0..=AT_ONCE).map(|one| one.to_string()).collect::<Vec<_>>())
        );
        for number in 0..MOST {
            waiting.put(entry(number));
        }
        waiting.give_back(all);
        assert!(waiting.take(1).entries.is_empty());
        let all = waiting.take(MOST + 1);
        assert_eq!((all.entries.len(), all.lost, all.has_more), (MOST, AT_ONCE as u64 + 1, false));
        assert_eq!(all.entries[AT_ONCE + 1].1.what, "0", "the earlier ones are before it");
    }

    #[test]
    fn a_job_that_could_not_be_ordered_leaves_no_refusal_to_the_next_one() {
        let waiting = Waiting::default();
        waiting.put(entry(0));
        let first = waiting.take(AT_ONCE);
        assert!(waiting.put(entry(1)));
        waiting.give_back(first.entries);
        waiting.not_ordered();
        assert!(waiting.retry());
        assert_eq!(waiting.take(AT_ONCE).entries.len(), 2);
    }

    #[test]
    fn further_entries_than_there_is_room_for_are_counted_once() {
        let waiting = Waiting::default();
        for number in 0..MOST + 3 {
            waiting.put(entry(number));
        }
        assert_eq!((waiting.take(AT_ONCE).lost, waiting.take(AT_ONCE).lost), (3, 0));
    }
}
