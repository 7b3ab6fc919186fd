//! Outgoing stanzas, while the link has no room for them.

use std::collections::VecDeque;

use parlor_session::{KeepRoster, Sent};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Outgoing;
use parlor_xmpp::Link;

use super::{Worker, tell_leaving};

/// Maximum number of stanzas that may wait for the link. Plugins are stopped long before.
const OUTBOX: usize = 4_096;
/// Maximum number of replies among them, each of some KiB. Further ones are dropped: a server provokes them with requests
/// while it reads nothing.
const REPLIES: usize = 256;

/// A stanza that waits, and the call that is answered when it is queued.
type Waiting = (Outgoing, Option<Sent>);

/// The stanzas for which the link had no room, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Outbox(VecDeque<Waiting>);

impl Outbox {
    /// Returns whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out all that waits.
    pub(super) fn take(&mut self) -> VecDeque<Waiting> {
        std::mem::take(&mut self.0)
    }

    /// Adds a stanza. If as many wait as may, it is dropped, and its call is returned.
    fn put(&mut self, outgoing: Outgoing, sent: Option<Sent>) -> Result<(), Option<Sent>> {
        if self.0.len() >= OUTBOX || self.is_one_reply_too_many(&outgoing) {
            return Err(sent);
        }
        self.0.push_back((outgoing, sent));
        Ok(())
    }

    /// Returns whether a stanza is a reply, and as many wait as may.
    fn is_one_reply_too_many(&self, outgoing: &Outgoing) -> bool {
        let is_reply = |outgoing: &Outgoing| matches!(outgoing, Outgoing::Reply { .. });
        let waiting = || self.0.iter().filter(|(waiting, _)| is_reply(waiting)).count();
        self.0.len() >= REPLIES && is_reply(outgoing) && waiting() >= REPLIES
    }
}

impl Worker {
    /// Stores a change of the roster. A contact that was removed no longer counts as added by a plugin.
    pub(super) fn keep_roster(&mut self, change: KeepRoster) {
        if let KeepRoster::Removed { jid, .. } = &change {
            self.shared.records.contact_left(jid);
        }
        self.roster.keep(change);
    }

    pub(super) fn put_out(&mut self, outgoing: Outgoing, sent: Option<Sent>) {
        let put = if self.link.is_some() { self.outbox.put(outgoing, sent) } else { Err(sent) };
        if let Err(Some(sent)) = put {
            sent.failed(CallError::Offline);
        }
    }

    /// Passes as many stanzas to the link as it has room for. It never waits: an account that waits would notice no
    /// failure.
    pub(super) fn flush(&mut self) {
        match &mut self.link {
            Some(link) => {
                while link.has_room()
                    && let Some((outgoing, sent)) = self.outbox.0.pop_front()
                {
                    let outgoing = tell_leaving(&self.shared, &mut self.session, outgoing);
                    link.send(outgoing);
                    if let Some(sent) = sent {
                        sent.queued();
                    }
                }
            }
            None => {
                for (_, sent) in self.outbox.take() {
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

#[cfg(test)]
mod tests {
    use parlor_stanza::types::{Ask, Reply};

    use super::*;

    fn reply() -> Outgoing {
        Outgoing::Reply { to: None, id: "q".to_owned(), reply: Reply::Done }
    }

    fn ask() -> Outgoing {
        Outgoing::Ask { to: None, id: "a".to_owned(), ask: Ask::Roster { version: None } }
    }

    /// A server could otherwise have any number of them written by asking while it reads nothing.
    #[test]
    fn so_many_replies_wait_for_the_link_and_take_no_place_of_other_stanzas() {
        let mut outbox = Outbox::default();
        assert_eq!((0..OUTBOX).filter(|_| outbox.put(reply(), None).is_ok()).count(), REPLIES);
        let others = (0..=OUTBOX).filter(|_| outbox.put(ask(), None).is_ok()).count();
        assert_eq!(others, OUTBOX - REPLIES);
        outbox.take();
        assert!(outbox.put(reply(), None).is_ok());
    }
}
