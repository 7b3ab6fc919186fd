//! Outgoing stanzas, while the link has no room for them.

use std::collections::VecDeque;

use parlor_session::Sent;
use parlor_stanza::types::Outgoing;

/// Maximum number of stanzas that may wait for the link. Plugins are stopped long before.
const OUTBOX: usize = 4_096;
/// Maximum number of replies among them, each of some KiB. Further ones are dropped: a server provokes them with requests
/// while it reads nothing.
const REPLIES: usize = 256;

/// A stanza that waits, and the call that is answered when it is queued.
type Waiting = (Outgoing, Option<Sent>);

/// The stanzas for which the link had no room, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Outbox(pub(super) VecDeque<Waiting>);

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
    pub(super) fn put(&mut self, outgoing: Outgoing, sent: Option<Sent>) -> Result<(), Option<Sent>> {
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
