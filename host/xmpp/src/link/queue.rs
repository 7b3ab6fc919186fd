//! Outgoing stanzas that wait to be written, with their size in bytes. Pure.

use std::collections::VecDeque;

use parlor_stanza::encode::Written;
use xmpp_parsers::stanza::Stanza;

/// The maximum number of stanzas that wait to be written.
pub(super) const QUEUE: usize = 64;
/// The number of queued bytes at which the queue is full. Further stanzas wait with their senders, and are taken in
/// turn.
const QUEUE_BYTES: usize = 64 << 10;

/// Stanzas that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    stanzas: VecDeque<Written>,
    bytes: usize,
}

impl Queue {
    /// Appends a stanza.
    pub(super) fn push_back(&mut self, stanza: Written) {
        self.bytes += stanza.weight();
        self.stanzas.push_back(stanza);
    }

    /// Returns the next stanza.
    pub(super) fn front(&self) -> Option<&Written> {
        self.stanzas.front()
    }

    /// Removes the next stanza.
    pub(super) fn pop_front(&mut self) -> Option<Written> {
        let stanza = self.stanzas.pop_front()?;
        self.bytes -= stanza.weight();
        Some(stanza)
    }

    /// Removes all stanzas.
    pub(super) fn take(&mut self) -> VecDeque<Written> {
        std::mem::take(self).stanzas
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stanzas.is_empty()
    }

    /// Returns whether another stanza may wait.
    pub(super) fn has_room(&self) -> bool {
        self.stanzas.len() < QUEUE && self.bytes < QUEUE_BYTES
    }

    /// Frees the memory for all but `count` stanzas.
    pub(super) fn shrink_to(&mut self, count: usize) {
        self.stanzas.shrink_to(count);
    }
}

impl From<VecDeque<Written>> for Queue {
    fn from(stanzas: VecDeque<Written>) -> Self {
        Self { bytes: stanzas.iter().map(Written::weight).sum(), stanzas }
    }
}

/// Reads stanzas that were to be sent, without the secret ones: nobody would know any more that these are secret.
pub(super) fn read(written: &VecDeque<Written>) -> VecDeque<Stanza> {
    written.iter().filter(|stanza| !stanza.is_secret()).filter_map(Written::stanza).collect()
}

#[cfg(test)]
mod tests {
    use parlor_stanza::raw::RawStanza;
    use parlor_stanza::types::{Draft, Extensions, MessageKind, Outgoing, Sealed, SealedContent};

    use super::*;

    fn stanza(xml: &str) -> Written {
        let own = "bot@localhost/here".parse().unwrap();
        Written::of_stanza(RawStanza::parse(xml, &own).unwrap().stanza()).unwrap()
    }

    #[test]
    fn a_secret_message_is_not_read_again() {
        let draft = |is_secret| Draft { body: Some("hush".to_owned()), is_secret, ..Draft::default() };
        let written = |is_secret| {
            let (to, id, draft) = ("a@b".parse().unwrap(), "1".to_owned(), draft(is_secret));
            Written::of(Outgoing::Message { to, kind: MessageKind::Chat, id, draft, to_occupant: false }).unwrap()
        };
        assert_eq!(written(true).text(), written(false).text());
        assert_eq!(read(&[true, false, true].map(written).into()).len(), 1);
        let encrypted = |is_secret| {
            let (to, id, says) = ("a@b".parse().unwrap(), "1".to_owned(), Some(Box::new(draft(is_secret))));
            let (kind, content) = (MessageKind::Chat, SealedContent::Otr("?OTR:AAMD.".to_owned()));
            let (thread, beside, to_occupant) = (None, Extensions::default(), false);
            Outgoing::Sealed(Box::new(Sealed { to, kind, id, content, thread, beside, to_occupant, says }))
        };
        assert_eq!([true, false].map(|is_secret| encrypted(is_secret).outlives_its_stream()), [false, true]);
        let written = |is_secret| Written::of(encrypted(is_secret)).unwrap();
        assert_eq!(read(&[true, false, true].map(written).into()).len(), 1);
    }

    #[test]
    fn a_queue_knows_how_many_bytes_wait_in_it() {
        let mut queue = Queue::default();
        let long = format!("<message to='a@b'><body>{}</body></message>", "x".repeat(10_000));
        queue.push_back(stanza(&long));
        queue.push_back(stanza("<presence/>"));
        let bytes = queue.bytes;
        assert!(bytes > 10_000);
        let mut again = Queue::from(queue.take());
        assert_eq!((queue.bytes, queue.stanzas.len(), again.bytes), (0, 0, bytes));
        assert!(again.pop_front().unwrap().text().starts_with("<message"));
        assert!(again.bytes < 1_000);
        assert!(again.pop_front().is_some() && again.pop_front().is_none() && again.is_empty());
        assert_eq!(again.bytes, 0);
    }
}
