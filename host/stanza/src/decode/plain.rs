//! Reads messages that are written plainly, without the library's types. The rules are those of all messages: whatever
//! has rules of its own, such as carbons, answers of archives and errors, is left to the library.

use std::sync::Arc;

use jid::{FullJid, Jid};
use jiff::Timestamp;
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;

use super::extensions::OLDER_DELAY;
use super::{Head, assemble, decode};
use crate::plain::{Plain, PlainElement};
use crate::raw::RawStanza;
use crate::sieve::mend::NOTES;
use crate::types::{Incoming, MessageKind, address};
use crate::xml::Xml;

/// A stanza that came.
#[derive(Debug)]
pub enum Arrived {
    /// A stanza that the library has read.
    Read(Box<Stanza>),
    /// A message that is written plainly.
    Plain(PlainMessage),
}

/// Same as [`decode`], however the stanza was read.
pub fn arrived(arrived: Arrived, own: &FullJid, now: Timestamp) -> Incoming {
    match arrived {
        Arrived::Read(stanza) => decode(*stanza, own, now),
        Arrived::Plain(message) => message.decode(own, now),
    }
}

/// The addresses of a stream that were read last: to parse one takes longer than to read all else of a message.
#[derive(Debug, Default)]
pub struct Addresses {
    recent: [Option<Jid>; 8],
    next: usize,
}

impl Addresses {
    fn read(&mut self, text: &str) -> Option<Jid> {
        if let Some(known) = self.recent.iter().flatten().find(|known| known.as_str() == text) {
            return Some(known.clone());
        }
        let read = address(text).ok()?;
        // Another text might not stand for the address that is written like it.
        if read.as_str() == text {
            self.recent[self.next] = Some(read.clone());
            self.next = (self.next + 1) % self.recent.len();
        }
        Some(read)
    }
}

/// A message that is written plainly and has no payload with rules of its own.
#[derive(Debug)]
pub struct PlainMessage {
    element: PlainElement,
    /// The language of the stream.
    lang: Option<Arc<str>>,
    from: Option<Jid>,
    to: Option<Jid>,
    kind: MessageKind,
}

impl PlainMessage {
    /// Takes an element of a stream in this language; `None` if the library has to read it.
    pub fn of(element: PlainElement, lang: Option<&Arc<str>>, addresses: &mut Addresses) -> Option<Self> {
        let root = element.root();
        if root.name() != "message" || !root.has_ns(ns::JABBER_CLIENT) || !root.content().is_empty() {
            return None;
        }
        let (mut from, mut to, mut kind) = (None, None, MessageKind::Normal);
        for (name, value) in root.attributes() {
            match name {
                "from" => from = Some(addresses.read(value)?),
                "to" => to = Some(addresses.read(value)?),
                "type" => kind = MessageKind::ALL.into_iter().find(|kind| kind.as_str() == value)?,
                "id" | "xml:lang" => {}
                _ => return None,
            }
        }
        let mut known = [false; OWN.len()];
        if kind == MessageKind::Error || !root.children().all(|child| is_usual(child, &mut known)) {
            return None;
        }
        Some(Self { element, lang: lang.cloned(), from, to, kind })
    }

    /// Reads it for the account that is bound as `own`, at the time `now`.
    pub fn decode(self, own: &FullJid, now: Timestamp) -> Incoming {
        let Self { element, lang, from, to, kind } = self;
        let root = element.root();
        let raw = RawStanza::plain(&element, lang.clone());
        let of_all = root.lang().or(lang.as_deref()).unwrap_or_default();
        let part = |name: &str| root.children().find(|child| child.name() == name && child.has_ns(ns::JABBER_CLIENT));
        let head = Head {
            from,
            to,
            kind,
            id: root.attr("id"),
            thread: part("thread").map(|thread| (thread.content(), thread.attr("parent"))),
            body: part("body").map(|body| (body.lang().unwrap_or(of_all), body.content())),
            bodies: Vec::new(),
            subject: part("subject").map(Xml::text),
            cut: None,
            carbon: None,
            forwarded_at: None,
            error: None,
            raw,
        };
        let payloads = root.children().filter(|child| !child.has_ns(ns::JABBER_CLIENT));
        Incoming::Message(Box::new(assemble(head, payloads, own, now)))
    }
}

/// The children of a message in its own namespace that are read here, with the one attribute that each may have.
const OWN: [(&str, &str); 3] = [("body", "xml:lang"), ("subject", "xml:lang"), ("thread", "parent")];

/// Returns whether a child of a message has no rules of its own. `known` are the children in its own namespace so far.
fn is_usual(child: Plain<'_>, known: &mut [bool; OWN.len()]) -> bool {
    if child.has_ns(ns::JABBER_CLIENT) {
        let Some(place) = OWN.iter().position(|(name, _)| *name == child.name()) else { return false };
        let is_second = std::mem::replace(&mut known[place], true);
        let mut attributes = child.attributes();
        return !is_second && attributes.all(|(name, _)| name == OWN[place].1) && child.children().next().is_none();
    }
    match child.name() {
        "result" | "sent" | "event" => false,
        // Within such an element, which might be a carbon, the sieve leaves out text.
        "received" => !child.has_ns(ns::CARBONS) && child.content().is_empty() && child.children().next().is_none(),
        "x" => child.has_ns(OLDER_DELAY),
        _ => !child.has_ns(&NOTES),
    }
}

#[cfg(test)]
mod tests;
