//! Secret messages that were sent, such as links to log in with. Servers that return or archive one tell nobody of it here:
//! plugins that may read the chat would read the secret.

use std::time::Duration;

use parlor_base::recent::Recent;
use parlor_stanza::types::{Incoming, Message};

/// How many of the last secret messages are known. The host sends few of them, and each is of use for some minutes.
const MOST: usize = 64;
/// How long a link to log in with may be of use: `parlor web link --minutes` takes no more.
const OF_USE: Duration = Duration::from_hours(24);

/// The ids of secret messages. They are random, so that nobody else's message has one by chance.
#[derive(Debug)]
pub(crate) struct Hushed {
    ids: Recent,
    /// When the last one was sent, in the time of deadlines.
    last: Option<Duration>,
}

impl Default for Hushed {
    fn default() -> Self {
        Self { ids: Recent::new(MOST), last: None }
    }
}

impl Hushed {
    /// Notes that a secret message is sent now.
    pub(crate) fn note(&mut self, id: &str, now: Duration) {
        self.ids.note(self.ids.hash(id));
        self.last = Some(now);
    }

    /// Returns whether a secret message may still be of use to somebody who reads it.
    pub(crate) fn are_of_use(&self, now: Duration) -> bool {
        self.last.is_some_and(|last| now.saturating_sub(last) < OF_USE)
    }

    /// Returns whether something is a secret message that comes back: as an error, as a copy, or from an archive.
    pub(crate) fn has(&self, incoming: &Incoming) -> bool {
        if self.ids.is_empty() {
            return false;
        }
        let is_it = |message: &Message| message.id.as_deref().is_some_and(|id| self.ids.knows(self.ids.hash(id)));
        match incoming {
            Incoming::Message(message) => is_it(message),
            Incoming::Archived(result) => result.message.as_deref().is_some_and(is_it),
            _ => false,
        }
    }
}
