//! What goes out, while the link has no room for it.

use super::{OUTBOX, Worker, tell_leaving};
use crate::error::CallError;
use crate::session::{KeepRoster, Sent};
use crate::stanza::Outgoing;
use crate::xmpp::Link;

impl Worker {
    /// Keeps what changed in the roster. A contact that left it is nobody's own any more.
    pub(super) fn keep_roster(&mut self, change: KeepRoster) {
        if let KeepRoster::Removed { jid, .. } = &change {
            self.shared.records.contact_left(jid);
        }
        self.roster.keep(change);
    }

    pub(super) fn put_out(&mut self, outgoing: Outgoing, sent: Option<Sent>) {
        if self.link.is_some() && self.outbox.len() < OUTBOX {
            self.outbox.push_back((outgoing, sent));
        } else if let Some(sent) = sent {
            sent.failed(CallError::Offline);
        }
    }

    /// Hands to the link what it has room for. It never waits: an account that waits hears of no failure.
    pub(super) fn flush(&mut self) {
        match &mut self.link {
            Some(link) => {
                while link.has_room()
                    && let Some((outgoing, sent)) = self.outbox.pop_front()
                {
                    let outgoing = tell_leaving(&self.shared, &mut self.session, outgoing);
                    link.send(outgoing);
                    if let Some(sent) = sent {
                        sent.queued();
                    }
                }
            }
            None => {
                for (_, sent) in self.outbox.drain(..) {
                    if let Some(sent) = sent {
                        sent.failed(CallError::Offline);
                    }
                }
            }
        }
    }

    /// Whether plugins may ask for more.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.is_empty() && self.link.as_ref().is_none_or(Link::has_room)
    }
}
