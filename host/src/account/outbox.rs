//! Outgoing stanzas, while the link has no room for them.

use super::{OUTBOX, REPLIES, Worker, tell_leaving};
use crate::error::CallError;
use crate::session::{KeepRoster, Sent};
use crate::stanza::Outgoing;
use crate::xmpp::Link;

impl Worker {
    /// Stores a change of the roster. A contact that was removed no longer counts as added by a plugin.
    pub(super) fn keep_roster(&mut self, change: KeepRoster) {
        if let KeepRoster::Removed { jid, .. } = &change {
            self.shared.records.contact_left(jid);
        }
        self.roster.keep(change);
    }

    pub(super) fn put_out(&mut self, outgoing: Outgoing, sent: Option<Sent>) {
        if self.link.is_some() && self.outbox.len() < OUTBOX && !self.is_one_reply_too_many(&outgoing) {
            self.outbox.push_back((outgoing, sent));
        } else if let Some(sent) = sent {
            sent.failed(CallError::Offline);
        }
    }

    /// Returns whether a stanza is a reply, and as many wait as may.
    fn is_one_reply_too_many(&self, outgoing: &Outgoing) -> bool {
        let is_reply = |outgoing: &Outgoing| matches!(outgoing, Outgoing::Reply { .. });
        let waiting = || self.outbox.iter().filter(|(waiting, _)| is_reply(waiting)).count();
        self.outbox.len() >= REPLIES && is_reply(outgoing) && waiting() >= REPLIES
    }

    /// Passes as many stanzas to the link as it has room for. It never waits: an account that waits would notice no
    /// failure.
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

    /// Returns whether plugins may send more.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.is_empty() && self.link.as_ref().is_none_or(Link::has_room)
    }
}
