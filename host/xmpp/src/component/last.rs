//! The last stanzas of addresses that have logged out, on their way to the stream.

use std::collections::VecDeque;

use parlor_stanza::encode::Written;

use super::seat::{Unsent, outliving};

/// The maximum number of bytes of them that wait. Further ones are lost, and that is logged.
pub(super) const MOST_BYTES: usize = 4 << 20;

/// They wait in their order, and go out before those of the addresses that are logged in: one of these may be the same address
/// again.
#[derive(Debug, Default)]
pub(super) struct Last {
    stanzas: VecDeque<Unsent>,
    bytes: usize,
}

impl Last {
    pub(super) fn is_empty(&self) -> bool {
        self.stanzas.is_empty()
    }

    /// Takes the stanzas of an address. Returns how many of them there was no room for.
    pub(super) fn put(&mut self, stanzas: impl IntoIterator<Item = Unsent>) -> usize {
        let mut lost = 0;
        for one in stanzas {
            let weight = one.stanza.weight();
            if self.bytes + weight > MOST_BYTES {
                lost += 1;
            } else {
                self.bytes += weight;
                self.stanzas.push_back(one);
            }
        }
        lost
    }

    /// Returns the next stanza for the stream.
    pub(super) fn take(&mut self) -> Option<Written> {
        let Unsent { stanza, .. } = self.stanzas.pop_front()?;
        self.bytes -= stanza.weight();
        Some(stanza)
    }

    /// A stream begins. Returns how many messages have waited for it for too long, and are not sent.
    pub(super) fn begin(&mut self, is_late: bool) -> usize {
        let (kept, old) = outliving(std::mem::take(&mut self.stanzas), is_late);
        self.bytes = kept.iter().map(|one| one.stanza.weight()).sum();
        self.stanzas = kept;
        old.len()
    }
}
