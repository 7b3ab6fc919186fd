//! Keeps the keys of messages that may arrive again from an archive.
//!
//! A session gives the key of a message only once. But a plugin may query the archive for a message that other plugins
//! already received, and each plugin catches up separately. So the keys of the latest messages are kept, under the
//! archive's id. A changed content does not fit its key.
//!
//! A live message is decrypted this way at most once, and only if it was not delivered live before: either the archive
//! was faster, or the last process read the message and ended before it delivered it. Without this rule, a server could
//! repeat messages.

use std::collections::{HashMap, HashSet, VecDeque};

use jid::BareJid;
use jiff::SignedDuration;

use super::kept::{KeyChange, MessageKey};

/// Maximum number of keys.
pub(super) const MAX_KEYS: usize = 4_096;
/// How long a key is kept on disk.
const LONGEST: SignedDuration = SignedDuration::from_hours(48);
/// Number of keys that are forgotten together.
const AT_ONCE: usize = 64;
/// The last process may have ended before it delivered messages that it decrypted in this time before the last one.
const UNTOLD: SignedDuration = SignedDuration::from_mins(10);

/// The keys of an account, by archive and id.
#[derive(Debug, Default)]
pub(super) struct MessageKeys {
    keys: HashMap<String, MessageKey>,
    /// The oldest first.
    order: VecDeque<String>,
    /// The keys whose messages may still arrive live.
    for_live: HashSet<String>,
}

/// Returns the name of a message in the account's archive, or in that of a room.
pub(super) fn archived(room: Option<&BareJid>, id: &str) -> String {
    room.map_or_else(|| format!(" {id}"), |room| format!("{room} {id}"))
}

impl MessageKeys {
    /// Loads the kept keys.
    pub(super) fn load(&mut self, keys: Vec<MessageKey>) {
        let last = keys.iter().map(|key| key.at).max();
        for key in keys {
            if last.is_some_and(|last| last.duration_since(key.at) <= UNTOLD) {
                self.for_live.insert(key.archived.clone());
            }
            self.order.push_back(key.archived.clone());
            self.keys.insert(key.archived.clone(), key);
        }
    }

    /// Returns the key of a message.
    pub(super) fn get(&self, archived: &str) -> Option<&MessageKey> {
        self.keys.get(archived)
    }

    /// Returns whether a live message may be decrypted with its kept key, and notes that it was.
    pub(super) fn serves_live(&mut self, archived: &str) -> bool {
        self.for_live.remove(archived)
    }

    /// Keeps the key of a message. `is_past`: it is from an archive.
    pub(super) fn put(&mut self, key: MessageKey, is_past: bool, changes: &mut Vec<KeyChange>) {
        let now = key.at;
        if is_past {
            self.for_live.insert(key.archived.clone());
        } else {
            self.for_live.remove(&key.archived);
        }
        let copy = MessageKey { archived: key.archived.clone(), jid: key.jid.clone(), key: key.key.clone(), ..key };
        if self.keys.insert(copy.archived.clone(), copy).is_none() {
            self.order.push_back(key.archived.clone());
        }
        changes.push(KeyChange::MessageKey(key));
        let is_old = |name: &String| self.keys.get(name).is_none_or(|key| now.duration_since(key.at) > LONGEST);
        let old = self.order.iter().take(AT_ONCE).take_while(|name| is_old(name)).count();
        let many = if self.order.len() >= MAX_KEYS + AT_ONCE { AT_ONCE } else { 0 };
        // One write for many.
        if old == AT_ONCE || many > 0 {
            let gone: Vec<String> = self.order.drain(..AT_ONCE).collect();
            for name in &gone {
                self.keys.remove(name);
                self.for_live.remove(name);
            }
            changes.push(KeyChange::NoMessageKeys(gone));
        }
    }

    /// Forgets the messages of a person.
    pub(super) fn forget(&mut self, jid: &BareJid, changes: &mut Vec<KeyChange>) {
        let gone: Vec<String> =
            self.keys.values().filter(|key| key.jid == *jid).map(|key| key.archived.clone()).collect();
        if gone.is_empty() {
            return;
        }
        for name in &gone {
            self.keys.remove(name);
            self.for_live.remove(name);
        }
        self.order.retain(|name| self.keys.contains_key(name));
        changes.push(KeyChange::NoMessageKeys(gone));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parlor_e2ee::omemo::Secret;
    use parlor_stanza::types::OmemoForm;

    use super::*;

    fn key(name: &str, minute: i64) -> MessageKey {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let jid = "romeo@example.org".parse().unwrap();
        let (archived, form, key) = (name.to_owned(), OmemoForm::Current, Secret::new(vec![1]));
        MessageKey { archived, jid, device: 1, form, key, at }
    }

    #[test]
    fn a_live_message_is_read_again_once_at_most_and_not_if_it_came_live() {
        let (mut keys, mut changes) = (MessageKeys::default(), Vec::new());
        keys.put(key("live", 0), false, &mut changes);
        keys.put(key("past", 0), true, &mut changes);
        assert!(!keys.serves_live("live"));
        assert!(keys.serves_live("past") && !keys.serves_live("past"));
        // Another key under the same id replaces it.
        keys.put(key("past", 1), true, &mut changes);
        keys.put(key("past", 1), false, &mut changes);
        assert!(!keys.serves_live("past"));
        assert!(keys.get("live").is_some() && keys.get("past").is_some(), "the archive may give both");
    }

    #[test]
    fn what_the_last_process_may_not_have_told_of_may_come_live() {
        let mut keys = MessageKeys::default();
        keys.load(vec![key("long ago", 0), key("late", 51), key("last", 60)]);
        assert!(!keys.serves_live("long ago"));
        assert!(keys.serves_live("late") && keys.serves_live("last") && !keys.serves_live("last"));
    }
}
