//! The keys of messages that may come again from an archive.
//!
//! A session gives the key of a message once. But a plugin may ask the archive for a message that others were told of before, and
//! each plugin is told on its own of what it missed. So the keys of the latest messages are kept, under the archive's id. A content
//! that was changed does not fit its key.

use std::collections::{HashMap, VecDeque};

use jid::BareJid;
use jiff::SignedDuration;

use super::kept::{KeyChange, MessageKey};

/// Maximum number of keys.
pub(super) const MAX_KEYS: usize = 4_096;
/// How long one is kept on disk.
const LONGEST: SignedDuration = SignedDuration::from_hours(48);
/// How many are forgotten together.
const AT_ONCE: usize = 64;

/// The keys of an account, by archive and id.
#[derive(Debug, Default)]
pub(super) struct MessageKeys {
    keys: HashMap<String, MessageKey>,
    /// The oldest first.
    order: VecDeque<String>,
}

/// Returns the name of a message in the account's archive, or in that of a room.
pub(super) fn archived(room: Option<&BareJid>, id: &str) -> String {
    room.map_or_else(|| format!(" {id}"), |room| format!("{room} {id}"))
}

impl MessageKeys {
    /// Takes over what was kept, and returns what has to be forgotten.
    pub(super) fn load(&mut self, keys: Vec<MessageKey>) {
        for key in keys {
            self.order.push_back(key.archived.clone());
            self.keys.insert(key.archived.clone(), key);
        }
    }

    /// Returns the key of a message.
    pub(super) fn get(&self, archived: &str) -> Option<&MessageKey> {
        self.keys.get(archived)
    }

    /// Keeps the key of a message.
    pub(super) fn put(&mut self, key: MessageKey, changes: &mut Vec<KeyChange>) {
        let now = key.at;
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
        }
        self.order.retain(|name| self.keys.contains_key(name));
        changes.push(KeyChange::NoMessageKeys(gone));
    }
}
