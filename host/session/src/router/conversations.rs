//! How many events of each room or person wait in a mailbox, for a plugin that handles them in order. One of them may take half of
//! the mailbox, so that a busy room leaves room for others.
//!
//! Only such a plugin pays for the lock: it is held while one event is counted, when it is put in and when its handler begins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jid::BareJid;

/// The number of conversations that a map without any may keep room for.
const SPARE: usize = 14;

/// The events that wait, by room or person.
#[derive(Debug)]
pub(super) struct Conversations {
    /// The maximum number of events of one conversation.
    most: usize,
    /// A conversation without events is not in it.
    waiting: Mutex<HashMap<BareJid, usize>>,
}

impl Conversations {
    /// Creates the counts for a mailbox of this size.
    pub(super) fn of(mailbox: usize) -> Arc<Self> {
        Arc::new(Self { most: (mailbox / 2).max(1), waiting: Mutex::default() })
    }

    /// Returns the maximum number of events of one conversation.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<BareJid, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event that waits. It counts for its conversation until this is dropped, with the mail.
#[derive(Debug)]
pub(super) struct Counted {
    of: Arc<Conversations>,
    conversation: BareJid,
}

impl Counted {
    /// Counts one more event. None: as many events of this conversation wait as may.
    pub(super) fn one(of: &Arc<Conversations>, conversation: BareJid) -> Option<Self> {
        let mut waiting = of.waiting();
        let count = waiting.entry(conversation.clone()).or_default();
        if *count >= of.most {
            return None;
        }
        *count += 1;
        drop(waiting);
        Some(Self { of: Arc::clone(of), conversation })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut waiting = self.of.waiting();
        let Some(count) = waiting.get_mut(&self.conversation) else { return };
        *count -= 1;
        if *count == 0 {
            waiting.remove(&self.conversation);
        }
        // A burst must not leave its memory behind.
        if waiting.is_empty() {
            waiting.shrink_to(SPARE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_conversation_has_half_of_the_mailbox_and_leaves_no_memory_behind() {
        let conversations = Conversations::of(4);
        let jid = |number: usize| BareJid::new(&format!("{number}@example.org")).unwrap();
        let counted: Vec<_> = (0..200).filter_map(|number| Counted::one(&conversations, jid(number % 50))).collect();
        assert_eq!((counted.len(), conversations.waiting().len()), (100, 50));
        drop(counted);
        let waiting = conversations.waiting();
        assert!(waiting.is_empty() && waiting.capacity() <= SPARE, "{}", waiting.capacity());
    }

    #[test]
    fn a_mailbox_for_one_event_takes_one_of_any_conversation() {
        let conversations = Conversations::of(1);
        let jid = BareJid::new("a@example.org").unwrap();
        let one = Counted::one(&conversations, jid.clone());
        assert!(one.is_some() && Counted::one(&conversations, jid.clone()).is_none());
        drop(one);
        assert!(Counted::one(&conversations, jid).is_some());
    }
}
