//! Room messages with unknown keys. They wait until the author's own server has confirmed the key.
//!
//! A room names its occupants, and could name anybody. Its word alone must not add a key of a person, or replace a
//! session with their device.

use std::collections::HashMap;
use std::time::Duration;

use jid::BareJid;
use parlor_stanza::types::Message;

use crate::iq::keys::Fetch;

/// Maximum number of waiting messages. Further ones cannot be read.
pub(super) const MAX_HELD: usize = 128;
/// Maximum number of bytes of these messages in memory.
const MAX_BYTES: usize = 4 << 20;
/// Maximum number of remembered requests for keys.
const MAX_ASKED: usize = 1_024;
/// Delay before the same key may be requested again: otherwise a room could cause endless requests.
const PAUSE: Duration = Duration::from_mins(10);

/// A message that waits.
#[derive(Debug)]
pub(crate) struct HeldMessage {
    pub(crate) message: Box<Message>,
    /// The author, as the room says.
    pub(crate) author: BareJid,
}

/// All messages that wait.
#[derive(Debug, Default)]
pub(super) struct Unvouched {
    held: HashMap<Fetch, Vec<HeldMessage>>,
    count: usize,
    bytes: usize,
    asked: HashMap<Fetch, Duration>,
}

impl Unvouched {
    /// Returns whether a key may be requested now, and notes that it is.
    pub(super) fn may_ask(&mut self, fetch: &Fetch, now: Duration) -> bool {
        let is_recent = |at: &Duration| now < *at + PAUSE;
        if self.asked.get(fetch).is_some_and(is_recent) {
            return false;
        }
        if self.asked.len() >= MAX_ASKED {
            self.asked.retain(|_, at| is_recent(at));
        }
        if self.asked.len() >= MAX_ASKED {
            return false;
        }
        self.asked.insert(fetch.clone(), now);
        true
    }

    /// Holds a message until this fetch ends, or returns it if there is no space.
    pub(super) fn hold(&mut self, fetch: Fetch, held: HeldMessage) -> Result<(), HeldMessage> {
        let bytes = self.bytes + held.message.raw.weight();
        if self.count >= MAX_HELD || bytes > MAX_BYTES {
            return Err(held);
        }
        self.count += 1;
        self.bytes = bytes;
        self.held.entry(fetch).or_default().push(held);
        Ok(())
    }

    /// Takes the messages that waited for this fetch, in their order.
    pub(super) fn take(&mut self, fetch: &Fetch) -> Vec<HeldMessage> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let taken = self.held.remove(fetch).unwrap_or_default();
        self.count -= taken.len();
        self.bytes -= taken.iter().map(|held| held.message.raw.weight()).sum::<usize>();
        taken
    }

    /// Takes all messages, since no answer will arrive.
    pub(super) fn take_all(&mut self) -> Vec<HeldMessage> {
        (self.count, self.bytes) = (0, 0);
        std::mem::take(&mut self.held).into_values().flatten().collect()
    }
}
