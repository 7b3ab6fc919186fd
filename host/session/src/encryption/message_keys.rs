//! Keeps the keys of messages that may arrive again from an archive.
//!
//! A session gives the key of a message only once. But a plugin may query the archive for a message that other plugins
//! already received, and each plugin catches up separately. So the keys of the latest messages are kept, under the
//! archive's id. A changed content does not fit its key. A thief of the disk and the archive can read these messages, so there is a
//! maximum of keys and of their age, and no backup has them.
//!
//! A live message is decrypted this way at most once, and only if it was not delivered live before: either the archive
//! was faster, or the last process read the message and ended before it delivered it. Without this rule, a server could
//! repeat messages.

use std::collections::{HashMap, HashSet, VecDeque};

use jid::BareJid;
use jiff::{SignedDuration, Timestamp};
use parlor_stanza::types::OmemoForm;

use super::kept::{KeyChange, MessageKey};

/// Maximum number of keys.
pub(super) const MAX_KEYS: usize = 4_096;
/// Number of keys beyond the excess that are dropped with it. Otherwise each message of a busy account would delete a row.
const AT_ONCE: usize = 64;
/// How long a key is kept on disk, until the next check.
const LONGEST: SignedDuration = SignedDuration::from_hours(48);
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

    /// Returns whether a message of a device was decrypted after this time.
    pub(super) fn has_later(&self, (jid, device, form): (&BareJid, u32, OmemoForm), at: Timestamp) -> bool {
        self.keys.values().any(|key| key.jid == *jid && key.device == device && key.form == form && key.at > at)
    }

    /// Returns whether a live message may be decrypted with its kept key, and notes that it was.
    pub(super) fn serves_live(&mut self, archived: &str) -> bool {
        self.for_live.remove(archived)
    }

    /// Keeps the key of a message. `is_past`: it is from an archive.
    pub(super) fn put(&mut self, key: MessageKey, is_past: bool, changes: &mut Vec<KeyChange>) {
        if is_past {
            self.for_live.insert(key.archived.clone());
        } else {
            self.for_live.remove(&key.archived);
        }
        let copy = MessageKey { archived: key.archived.clone(), jid: key.jid.clone(), key: key.key.clone(), ..key };
        if self.keys.insert(copy.archived.clone(), copy).is_some() {
            // It is the newest one now, as on disk.
            self.order.retain(|name| *name != key.archived);
        }
        self.order.push_back(key.archived.clone());
        changes.push(KeyChange::MessageKey(key));
        self.drop_beyond(changes);
    }

    /// Returns whether there are no keys.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Forgets keys that are too old, and those beyond the maximum. If the clock was set back, keys of a later time count as old.
    pub(super) fn drop_old(&mut self, now: Timestamp, changes: &mut Vec<KeyChange>) {
        let is_old = |key: &MessageKey| now.duration_since(key.at).abs() > LONGEST;
        let gone: Vec<String> = self.keys.values().filter(|key| is_old(key)).map(|key| key.archived.clone()).collect();
        if !gone.is_empty() {
            self.drop_all(&gone);
            self.order.retain(|name| self.keys.contains_key(name));
            changes.push(KeyChange::NoMessageKeys(gone));
        }
        self.drop_beyond(changes);
    }

    /// Forgets the oldest keys if there are more than the maximum.
    fn drop_beyond(&mut self, changes: &mut Vec<KeyChange>) {
        let many = self.order.len().saturating_sub(MAX_KEYS);
        if many > 0 {
            let gone: Vec<String> = self.order.drain(..many + AT_ONCE).collect();
            self.drop_all(&gone);
            changes.push(KeyChange::NoMessageKeys(gone));
        }
    }

    fn drop_all(&mut self, gone: &[String]) {
        for name in gone {
            self.keys.remove(name);
            self.for_live.remove(name);
        }
    }

    /// Forgets the messages of a person.
    pub(super) fn forget(&mut self, jid: &BareJid, changes: &mut Vec<KeyChange>) {
        let gone: Vec<String> =
            self.keys.values().filter(|key| key.jid == *jid).map(|key| key.archived.clone()).collect();
        if gone.is_empty() {
            return;
        }
        self.drop_all(&gone);
        self.order.retain(|name| self.keys.contains_key(name));
        changes.push(KeyChange::NoMessageKeys(gone));
    }
}

#[cfg(test)]
mod tests {
    use parlor_e2ee::omemo::Secret;

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

    /// Returns the names of the keys that are forgotten.
    fn forgotten(changes: &[KeyChange]) -> Vec<&str> {
        let names = changes.iter().flat_map(|change| match change {
            KeyChange::NoMessageKeys(names) => names.as_slice(),
            _ => &[],
        });
        names.map(String::as_str).collect()
    }

    #[test]
    fn there_are_so_many_keys_and_not_one_more() {
        let (mut keys, mut changes) = (MessageKeys::default(), Vec::new());
        for number in 0..MAX_KEYS {
            keys.put(key(&number.to_string(), 0), false, &mut changes);
        }
        assert_eq!((keys.keys.len(), forgotten(&changes)), (MAX_KEYS, vec![]));
        // One that comes again is the newest, and not one more.
        keys.put(key("0", 1), false, &mut changes);
        assert_eq!((keys.keys.len(), forgotten(&changes)), (MAX_KEYS, vec![]));
        keys.put(key("new", 1), false, &mut changes);
        let left = MAX_KEYS - AT_ONCE;
        assert_eq!((keys.keys.len(), keys.order.len(), forgotten(&changes).len()), (left, left, AT_ONCE + 1));
        assert!(keys.get("0").is_some() && keys.get("new").is_some());
        // The oldest have gone, in one write for many of the next messages.
        let [last_gone, first_left] = [AT_ONCE + 1, AT_ONCE + 2].map(|number| keys.get(&number.to_string()).is_some());
        assert_eq!((last_gone, first_left), (false, true));
        changes.clear();
        for number in 0..AT_ONCE {
            keys.put(key(&format!("next {number}"), 1), false, &mut changes);
        }
        assert_eq!((keys.keys.len(), forgotten(&changes)), (MAX_KEYS, vec![]));
    }

    #[test]
    fn keys_are_kept_for_two_days() {
        let (mut keys, mut changes) = (MessageKeys::default(), Vec::new());
        let at = |minute: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        keys.load(vec![key("old", 0), key("late", 60), key("last", 120)]);
        keys.drop_old(at(48 * 60), &mut changes);
        assert_eq!((forgotten(&changes), keys.keys.len()), (vec![], 3));
        keys.drop_old(at(48 * 60 + 1), &mut changes);
        assert_eq!((forgotten(&changes), keys.keys.len()), (vec!["old"], 2));
        // The clock was set to a wrong time and back.
        keys.put(key("of a wrong time", 1_000_000), false, &mut changes);
        changes.clear();
        keys.drop_old(at(48 * 60 + 1), &mut changes);
        assert_eq!((forgotten(&changes), keys.order.len()), (vec!["of a wrong time"], 2));
        assert!(!keys.is_empty());
        keys.drop_old(at(10_000), &mut changes);
        assert!(keys.is_empty() && keys.order.is_empty() && keys.for_live.is_empty());
    }
}
