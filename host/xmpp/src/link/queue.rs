//! Outgoing stanzas with their size in bytes: those that wait to be written, and those that are unacknowledged. Pure.

use std::collections::VecDeque;

use parlor_stanza::raw;
use xmpp_parsers::stanza::Stanza;

/// The maximum number of stanzas that wait to be written.
pub(super) const QUEUE: usize = 64;
/// The number of queued bytes at which the queue is full. Further stanzas wait with their senders, and are taken in
/// turn.
const QUEUE_BYTES: usize = 64 << 10;
/// The memory up to which a stanza is kept parsed. A tree of many small elements takes fifty times its size on the
/// wire.
const HEAVY: usize = 8 << 10;

/// Stanzas that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    stanzas: VecDeque<(Stanza, usize)>,
    bytes: usize,
}

impl Queue {
    /// Appends a stanza.
    pub(super) fn push_back(&mut self, stanza: Stanza) {
        let bytes = raw::stanza_weight(&stanza);
        self.bytes += bytes;
        self.stanzas.push_back((stanza, bytes));
    }

    /// Returns the next stanza.
    pub(super) fn front(&self) -> Option<&Stanza> {
        self.stanzas.front().map(|(stanza, _)| stanza)
    }

    /// Removes the next stanza.
    pub(super) fn pop_front(&mut self) -> Option<Stanza> {
        let (stanza, bytes) = self.stanzas.pop_front()?;
        self.bytes -= bytes;
        Some(stanza)
    }

    /// Removes all stanzas.
    pub(super) fn take(&mut self) -> VecDeque<Stanza> {
        std::mem::take(self).stanzas.into_iter().map(|(stanza, _)| stanza).collect()
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

impl From<VecDeque<Stanza>> for Queue {
    fn from(stanzas: VecDeque<Stanza>) -> Self {
        let mut queue = Self::default();
        for stanza in stanzas {
            queue.push_back(stanza);
        }
        queue
    }
}

/// A written stanza, kept until the server acknowledges it.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    form: Form,
    /// The approximate memory of the stanza, in bytes.
    bytes: usize,
}

#[derive(Debug)]
enum Form {
    Whole(Box<Stanza>),
    /// The serialised stanza, if the parsed one would take much more memory.
    Text {
        id: String,
        xml: String,
    },
}

/// Returns the id of a stanza; empty if it has none.
pub(super) fn id(stanza: &Stanza) -> &str {
    match stanza {
        Stanza::Message(message) => message.id.as_ref().map_or("", |id| &id.0),
        Stanza::Presence(presence) => presence.id.as_deref().unwrap_or_default(),
        Stanza::Iq(iq) => iq.id(),
    }
}

impl Unacknowledged {
    pub(super) fn new(stanza: Stanza) -> Self {
        let bytes = raw::stanza_weight(&stanza);
        if bytes <= HEAVY {
            return Self { form: Form::Whole(Box::new(stanza)), bytes };
        }
        let (id, xml) = (id(&stanza).to_owned(), raw::to_text(&stanza));
        let bytes = id.len() + xml.len();
        Self { form: Form::Text { id, xml }, bytes }
    }

    /// Returns the id of the stanza; empty if it has none.
    pub(super) fn id(&self) -> &str {
        match &self.form {
            Form::Whole(stanza) => id(stanza),
            Form::Text { id, .. } => id,
        }
    }

    /// Returns the approximate memory of the stanza, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the stanza, parsed again if it was serialised.
    pub(super) fn into_stanza(self) -> Option<Stanza> {
        match self.form {
            Form::Whole(stanza) => Some(*stanza),
            // Text that was serialised from a stanza can be parsed.
            Form::Text { xml, .. } => raw::from_text(&xml)
                .inspect_err(|error| tracing::error!(error, "a stanza that was kept cannot be read again"))
                .ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use parlor_stanza::raw::RawStanza;

    use super::*;

    fn stanza(xml: &str) -> Stanza {
        let own = "bot@localhost/here".parse().unwrap();
        let stanza = RawStanza::parse(xml, &own).unwrap();
        std::sync::Arc::try_unwrap(stanza.0).unwrap()
    }

    #[test]
    fn a_stanza_of_many_elements_is_kept_as_it_was_written() {
        let many = format!("<message to='a@b' id='many'><x xmlns='urn:x'>{}</x></message>", "<a/>".repeat(4_000));
        let many = stanza(&many);
        let (weight, written) = (raw::stanza_weight(&many), raw::to_text(&many));
        assert!(weight > 10 * written.len(), "{weight} for {}", written.len());
        let kept = Unacknowledged::new(many);
        assert_eq!((kept.id(), kept.bytes()), ("many", written.len() + 4));
        assert_eq!(raw::to_text(&kept.into_stanza().unwrap()), written);
        for xml in ["<message to='a@b' id='one'><body>hi</body></message>", "<presence/>"] {
            let one = stanza(xml);
            let written = raw::to_text(&one);
            let kept = Unacknowledged::new(one);
            assert!(matches!(kept.form, Form::Whole(_)));
            assert_eq!(raw::to_text(&kept.into_stanza().unwrap()), written);
        }
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
        assert!(matches!(again.pop_front(), Some(Stanza::Message(_))));
        assert!(again.bytes < 1_000);
        assert!(again.pop_front().is_some() && again.pop_front().is_none() && again.is_empty());
        assert_eq!(again.bytes, 0);
    }
}
