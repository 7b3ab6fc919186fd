//! Reads messages in simple XML, without the library's types. It implements the rules of usual messages: kinds with
//! special rules, such as carbons and errors, are left to the library.

use std::sync::Arc;

use jid::{FullJid, Jid};
use jiff::Timestamp;
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;

use super::extensions::{MAX_ID, OLDER_DELAY, stamp};
use super::{Head, archive, assemble, decode};
use crate::plain::{Plain, PlainElement};
use crate::raw::{RawStanza, plain_element_weight};
use crate::sieve::mend::NOTES;
use crate::types::{ArchiveResult, Incoming, MAM, MessageKind, address};
use crate::xml::Xml;

/// A received stanza.
#[derive(Debug)]
pub enum Arrived {
    /// A stanza that the library has read.
    Read(Box<Stanza>),
    /// A message in simple XML.
    Plain(PlainMessage),
}

/// Same as [`decode`], however the stanza was read.
pub fn arrived(arrived: Arrived, own: &FullJid, now: Timestamp) -> Incoming {
    match arrived {
        Arrived::Read(stanza) => decode(*stanza, own, now),
        Arrived::Plain(message) => message.decode(own, now),
    }
}

/// The most recently read addresses of a stream: parsing one takes longer than reading the rest of a message.
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

/// A message in simple XML without payloads that have special rules. It may also forward such a message from an
/// archive.
#[derive(Debug)]
pub struct PlainMessage {
    element: PlainElement,
    /// The language of the stream.
    lang: Option<Arc<str>>,
    envelope: Envelope,
    /// The message of an archive in it (XEP-0313, section 4.2), with its index.
    archived: Option<Box<(u32, Envelope)>>,
}

/// The addresses and the type of a message.
#[derive(Debug)]
struct Envelope {
    from: Option<Jid>,
    to: Option<Jid>,
    kind: MessageKind,
}

impl Envelope {
    /// Reads the envelope of a message; `None` if the library must read it.
    fn of(message: Plain<'_>, addresses: &mut Addresses) -> Option<Self> {
        if message.name() != "message" || !message.has_ns(ns::JABBER_CLIENT) || !message.content().is_empty() {
            return None;
        }
        let (mut from, mut to, mut kind) = (None, None, MessageKind::Normal);
        for (name, value) in message.attributes() {
            match name {
                "from" => from = Some(addresses.read(value)?),
                "to" => to = Some(addresses.read(value)?),
                "type" => kind = MessageKind::ALL.into_iter().find(|kind| kind.as_str() == value)?,
                "id" | "xml:lang" => {}
                _ => return None,
            }
        }
        (kind != MessageKind::Error).then_some(Self { from, to, kind })
    }

    /// Returns whether an occupant said it to a room.
    fn is_of_occupant(&self) -> bool {
        self.kind == MessageKind::Groupchat && self.from.as_ref().is_some_and(Jid::is_full)
    }
}

impl PlainMessage {
    /// Takes an element of a stream in this language; `None` if the library must read it.
    pub fn of(element: PlainElement, lang: Option<&Arc<str>>, addresses: &mut Addresses) -> Option<Self> {
        let root = element.root();
        let envelope = Envelope::of(root, addresses)?;
        let archived = match result_in(root) {
            // Only the room itself sends results of its archive.
            Some(_) if envelope.is_of_occupant() => return None,
            Some(result) => {
                let message = forwarded_in(result)?;
                let inner = Envelope::of(message, addresses).filter(|_| are_usual(message))?;
                Some(Box::new((message.index(), inner)))
            }
            None if are_usual(root) => None,
            None => return None,
        };
        Some(Self { element, lang: lang.cloned(), envelope, archived })
    }

    /// Returns its sender.
    pub(crate) fn sender(&self) -> Option<&Jid> {
        self.envelope.from.as_ref()
    }

    /// Returns its recipient.
    pub(crate) fn recipient(&self) -> Option<&Jid> {
        self.envelope.to.as_ref()
    }

    /// Returns its type.
    pub(crate) fn kind(&self) -> MessageKind {
        self.envelope.kind
    }

    /// Returns whether it has a text of its own.
    pub(crate) fn has_body(&self) -> bool {
        self.element.root().children().any(|child| child.name() == "body" && child.has_ns(ns::JABBER_CLIENT))
    }

    /// Returns its id.
    pub(crate) fn id(&self) -> Option<&str> {
        self.element.root().attr("id")
    }

    /// Returns the length of its text, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.element.text().len()
    }

    /// Reads it for the account that is bound as `own`, at the time `now`.
    pub fn decode(self, own: &FullJid, now: Timestamp) -> Incoming {
        let Self { element, lang, envelope, archived } = self;
        let root = element.root();
        let Some((at, inner)) = archived.map(|archived| *archived) else {
            let of_all = root.lang().or(lang.as_deref()).unwrap_or_default();
            let head = head(root, envelope, of_all, RawStanza::plain(&element, lang.clone()));
            return Incoming::Message(Box::new(assemble(head, payloads(root), own, now)));
        };
        let (message, result) = (element.at(at), root.children().next());
        let attr = |name| result.and_then(|result| result.attr(name)).map(str::to_owned);
        let delay =
            result.and_then(|result| result.children().next()?.children().find(|child| child.name() == "delay"));
        let stamp = delay.and_then(stamp);
        let head = Head { forwarded_at: stamp, ..head(message, inner, "", RawStanza::plainly_forwarded(message)) };
        let message = assemble(head, payloads(message), own, now);
        let result = ArchiveResult {
            from: envelope.from.unwrap_or_else(|| Jid::from(own.to_bare())),
            queryid: attr("queryid"),
            id: attr("id").unwrap_or_default(),
            inner_id: None,
            stamp,
            message: None,
            author: None,
            weight: result.map(plain_element_weight).unwrap_or_default(),
        };
        archive::archived(result, Some(message))
    }
}

/// Returns what is read of a message before its payloads. `of_all` is the language of texts that have none.
fn head<'a>(message: Plain<'a>, envelope: Envelope, of_all: &'a str, raw: RawStanza) -> Head<'a> {
    let part = |name: &str| message.children().find(|child| child.name() == name && child.has_ns(ns::JABBER_CLIENT));
    let Envelope { from, to, kind } = envelope;
    Head {
        from,
        to,
        kind,
        id: message.attr("id"),
        thread: part("thread").map(|thread| (thread.content(), thread.attr("parent"))),
        body: part("body").map(|body| (body.lang().unwrap_or(of_all), body.content())),
        bodies: Vec::new(),
        subject: part("subject").map(Xml::text),
        cut: None,
        carbon: None,
        forwarded_at: None,
        error: None,
        raw,
    }
}

fn payloads(message: Plain<'_>) -> impl Iterator<Item = Plain<'_>> {
    message.children().filter(|child| !child.has_ns(ns::JABBER_CLIENT))
}

/// Returns the result of an archive in a message, if that is all that is in it.
fn result_in(message: Plain<'_>) -> Option<Plain<'_>> {
    let result = only(message.children())?;
    (result.name() == "result" && result.has_ns(MAM)).then_some(result)
}

/// Returns the message that a result forwards; `None` if the library must read it.
fn forwarded_in(result: Plain<'_>) -> Option<Plain<'_>> {
    let has_id = result.attr("id").is_some_and(|id| !id.is_empty() && id.len() <= MAX_ID);
    let forwarded = only(result.children()).filter(|_| has_id && result.content().is_empty())?;
    if forwarded.name() != "forwarded" || !forwarded.has_ns(ns::FORWARD) || !forwarded.content().is_empty() {
        return None;
    }
    let (mut delays, mut others) = (0, None);
    for child in forwarded.children() {
        if child.name() == "delay" && child.has_ns(ns::DELAY) && delays == 0 {
            delays = 1;
        } else if others.replace(child).is_some() {
            return None;
        }
    }
    // Its text is kept without what is around it, and its language is not that of its texts.
    others.filter(|message| message.declares() && message.lang().is_none())
}

/// Returns the only one of these elements.
fn only<'a>(mut elements: impl Iterator<Item = Plain<'a>>) -> Option<Plain<'a>> {
    let first = elements.next();
    first.filter(|_| elements.next().is_none())
}

/// Returns whether no child of a message has special rules.
fn are_usual(message: Plain<'_>) -> bool {
    let mut known = [false; OWN.len()];
    message.children().all(|child| is_usual(child, &mut known))
}

/// The children of a message in its own namespace that are read here, with the one attribute that each may have.
const OWN: [(&str, &str); 3] = [("body", "xml:lang"), ("subject", "xml:lang"), ("thread", "parent")];

/// Returns whether a child of a message has no special rules. `known` are the children in its own namespace so far.
fn is_usual(child: Plain<'_>, known: &mut [bool; OWN.len()]) -> bool {
    if child.has_ns(ns::JABBER_CLIENT) {
        let Some(place) = OWN.iter().position(|(name, _)| *name == child.name()) else { return false };
        let is_second = std::mem::replace(&mut known[place], true);
        let mut attributes = child.attributes();
        return !is_second && attributes.all(|(name, _)| name == OWN[place].1) && child.children().next().is_none();
    }
    match child.name() {
        "result" | "sent" | "event" | "pubsub" => false,
        // Within such an element, which might be a carbon, the sieve leaves out text.
        "received" => !child.has_ns(ns::CARBONS) && child.content().is_empty() && child.children().next().is_none(),
        "x" => child.has_ns(OLDER_DELAY),
        _ => !child.has_ns(&NOTES),
    }
}

#[cfg(test)]
mod tests;
