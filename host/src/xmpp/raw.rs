//! Whole stanzas: those that came, for who may see XML, and those that plugins write, for sending.
//!
//! What a plugin wrote is never passed on as bytes: it is parsed under limits, checked, made into typed stanzas and written
//! anew. So nothing that ends the stream, opens another stanza or speaks for somebody else can get through.

use std::fmt;
use std::sync::Arc;

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use minidom::rxml;
use minidom::{Element, Node};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::MessageType;
use xmpp_parsers::ns;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;

use super::link::unsent::returned;
use super::{decode, encode};
use crate::error::CallError;
use crate::harmless::harmless;
use crate::stanza::{Incoming, Message, Outgoing, Show};

/// What `send` calls what it takes.
const ARGUMENT: &str = "stanza";
/// The longest stanza that a plugin may hand in, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The longest that it may become when written anew; servers end the whole stream at 256 KiB.
const MAX_WRITTEN_BYTES: usize = 252 * 1024;
/// How deep elements may nest. Trees are dropped recursively, so this also bounds the host's stack.
const MAX_DEPTH: usize = 64;
/// How many elements a stanza may have.
const MAX_ELEMENTS: usize = 4096;
/// How many attributes an element may have.
const MAX_ATTRIBUTES: usize = 64;
/// How long the name of a namespace may be, in bytes. It is kept, and written, for each element that is in it, however it was
/// declared.
const MAX_NAMESPACE: usize = 256;
/// The namespace that declarations of namespaces are in. Written anew, what is in it would be one itself, which servers end the
/// stream over.
pub(super) const DECLARATIONS: &str = "http://www.w3.org/2000/xmlns/";
/// What a node of a parsed stanza takes beside its text.
const NODE: usize = 200;

/// A whole stanza, opaque to everything above this folder. Cheap to clone; prints as its kind alone, so that no log shows
/// what somebody wrote.
#[derive(Clone)]
pub struct RawStanza(pub(super) Arc<Stanza>);

/// What presence for everybody who may see it says of the own status (RFC 6121, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BroadcastPresence {
    pub(crate) is_available: bool,
    pub(crate) show: Option<Show>,
    pub(crate) status: String,
}

impl fmt::Debug for RawStanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawStanza({})", self.kind())
    }
}

impl RawStanza {
    /// Reads what a plugin wants to `send`: one message, presence or IQ request, in the name of `own` or of nobody.
    ///
    /// `own` is the account's JID; a `from` that names it, bare or full, is left out, since the server stamps the full JID.
    /// An IQ needs an id. Results and errors are refused: answering is the host's.
    pub fn parse(xml: &str, own: &Jid) -> Result<Self, CallError> {
        let mut element = read(xml)?;
        check_sender(&mut element, own)?;
        Self::from_element(element)
    }

    /// Reads what a plugin wants to `send-iq`: an IQ get or set. Its id does not matter, see [`RawStanza::with_id`].
    pub fn parse_request(xml: &str, own: &Jid) -> Result<Self, CallError> {
        Self::read_request(xml, own).map_err(|error| match error {
            CallError::Invalid { argument, reason } if argument == ARGUMENT => CallError::invalid("iq", reason),
            other => other,
        })
    }

    fn read_request(xml: &str, own: &Jid) -> Result<Self, CallError> {
        let mut element = read(xml)?;
        if element.name() != "iq" {
            return Err(invalid(format!("only an iq is answered, not a {}; use send", element.name())));
        }
        check_sender(&mut element, own)?;
        if element.attr("id").is_none() {
            element.attrs_mut().insert(rxml::Namespace::NONE, encode::name("id"), "unset".to_owned());
        }
        Self::from_element(element)
    }

    fn from_element(element: Element) -> Result<Self, CallError> {
        let kind = element.attr("type").unwrap_or_default().to_owned();
        if element.name() == "iq" {
            match kind.as_str() {
                "get" | "set" if element.attr("id").is_none_or(str::is_empty) => {
                    return Err(invalid("an iq needs an id"));
                }
                "get" | "set" if element.children().count() != 1 => {
                    return Err(invalid("an iq asks with exactly one element"));
                }
                "get" | "set" => {}
                "result" | "error" => {
                    return Err(invalid(format!("an iq of type {kind} is an answer; only the host answers")));
                }
                _ => return Err(invalid("an iq needs the type get or set")),
            }
        }
        if let Some(to) = element.attr("to") {
            Jid::new(to).map_err(|error| invalid(format!("its to {}", no_jid(to, &error))))?;
        }
        let stanza = Stanza::try_from(element).map_err(|error| invalid(format!("not a valid stanza: {error}")))?;
        let stanza = Self(Arc::new(stanza));
        if stanza.to_xml().len() > MAX_WRITTEN_BYTES {
            return Err(invalid(format!("written out, it is longer than {MAX_WRITTEN_BYTES} bytes")));
        }
        Ok(stanza)
    }

    /// The very stanza that this becomes on its way out.
    pub fn of(outgoing: Outgoing) -> Self {
        match outgoing {
            Outgoing::Raw(raw) | Outgoing::Again(raw) | Outgoing::Private(raw, _) => raw,
            other => Self(Arc::new(encode::encode(other))),
        }
    }

    /// A message that leaves in the name of `own`, as those hear of it who listen; none where it is no message.
    pub fn leaving(&self, own: &FullJid, now: Timestamp) -> Option<Box<Message>> {
        decode::leaving(&self.0, own, now).map(Box::new)
    }

    /// The error that comes back for a message which is not sent any more.
    pub fn returned(&self, own: &FullJid, now: Timestamp) -> Option<Incoming> {
        Some(decode::decode(returned(&self.0)?, own, now))
    }

    /// The stanza as XML, without the passwords in it: for those who may see stanzas that leave.
    pub fn to_shown_xml(&self) -> String {
        let mut element = encode::element(&self.0);
        hide_passwords(&mut element);
        String::from(&element)
    }

    /// The stanza as XML.
    pub fn to_xml(&self) -> String {
        to_text(&self.0)
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        stanza_weight(&self.0)
    }

    /// `message`, `presence` or `iq`.
    pub fn kind(&self) -> &'static str {
        match *self.0 {
            Stanza::Message(_) => "message",
            Stanza::Presence(_) => "presence",
            Stanza::Iq(_) => "iq",
        }
    }

    /// The recipient; none = the own account, or everybody for a presence.
    pub fn to(&self) -> Option<Jid> {
        match &*self.0 {
            Stanza::Message(message) => message.to.clone(),
            Stanza::Presence(presence) => presence.to.clone(),
            Stanza::Iq(iq) => iq.to().cloned(),
        }
    }

    /// The id, where there is one.
    pub fn id(&self) -> Option<&str> {
        match &*self.0 {
            Stanza::Message(message) => message.id.as_ref().map(|id| id.0.as_str()),
            Stanza::Presence(presence) => presence.id.as_deref(),
            Stanza::Iq(iq) => Some(iq.id()),
        }
    }

    /// Whether it is an IQ get or set, which is owed an answer.
    pub fn is_request(&self) -> bool {
        matches!(&*self.0, Stanza::Iq(Iq::Get { .. } | Iq::Set { .. }))
    }

    /// Whether it is an IQ that changes something.
    pub fn is_set(&self) -> bool {
        matches!(&*self.0, Stanza::Iq(Iq::Set { .. }))
    }

    /// The contacts that the account's server adds to the roster because of it: whom a presence asks for a subscription or
    /// grants one (RFC 6121, section 3), and whom a roster set names (section 2.3).
    pub(crate) fn adds_contacts(&self) -> Vec<BareJid> {
        match &*self.0 {
            Stanza::Presence(presence) if matches!(presence.type_, Type::Subscribe | Type::Subscribed) => {
                presence.to.iter().map(Jid::to_bare).collect()
            }
            Stanza::Iq(Iq::Set { payload, .. }) if payload.is("query", ns::ROSTER) => {
                let added = payload.children().filter(|item| item.attr("subscription") != Some("remove"));
                added.filter_map(|item| Some(Jid::new(item.attr("jid")?).ok()?.to_bare())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What it says of the own status; none where it is no presence, or is for somebody alone.
    pub(crate) fn broadcast_presence(&self) -> Option<BroadcastPresence> {
        let Stanza::Presence(presence) = &*self.0 else { return None };
        let is_available = match presence.type_ {
            Type::None => true,
            Type::Unavailable => false,
            _ => return None,
        };
        presence.to.is_none().then(|| BroadcastPresence {
            is_available,
            show: presence.show.as_ref().map(decode::show),
            status: decode::only(&presence.statuses).map(|(_, text)| text.clone()).unwrap_or_default(),
        })
    }

    /// Whether it is a message that is not for all in a room.
    pub(crate) fn is_said_to_a_person(&self) -> bool {
        matches!(&*self.0, Stanza::Message(message) if message.type_ != MessageType::Groupchat)
    }

    /// As [`Outgoing::outlives_its_stream`](crate::stanza::Outgoing::outlives_its_stream).
    pub(crate) fn outlives_its_stream(&self) -> bool {
        match &*self.0 {
            Stanza::Message(_) => true,
            Stanza::Presence(presence) => {
                matches!(presence.type_, Type::Subscribe | Type::Subscribed | Type::Unsubscribe | Type::Unsubscribed)
            }
            Stanza::Iq(_) => false,
        }
    }

    /// The same stanza under another id.
    #[must_use]
    pub fn with_id(&self, id: &str) -> Self {
        let mut stanza = encode::copy(&self.0);
        match &mut stanza {
            Stanza::Message(message) => message.id = Some(xmpp_parsers::message::Id(id.to_owned())),
            Stanza::Presence(presence) => presence.id = Some(id.to_owned()),
            Stanza::Iq(iq) => id.clone_into(iq.id_mut()),
        }
        Self(Arc::new(stanza))
    }
}

/// About how many bytes of memory a stanza takes.
pub(super) fn stanza_weight(stanza: &Stanza) -> usize {
    let (texts, payloads): (usize, &[Element]) = match stanza {
        Stanza::Message(message) => {
            let texts = message.bodies.values().chain(message.subjects.values()).map(String::len);
            // The text that counts is held twice.
            (2 * texts.sum::<usize>(), &message.payloads)
        }
        Stanza::Presence(presence) => (presence.statuses.values().map(String::len).sum(), &presence.payloads),
        Stanza::Iq(Iq::Get { payload, .. } | Iq::Set { payload, .. }) => (0, std::slice::from_ref(payload)),
        Stanza::Iq(Iq::Result { payload, .. } | Iq::Error { payload, .. }) => (0, payload.as_slice()),
    };
    NODE + texts + payloads.iter().map(weight).sum::<usize>()
}

/// A stanza as XML.
pub(super) fn to_text(stanza: &Stanza) -> String {
    String::from(&encode::element(stanza))
}

/// A stanza that [`to_text`] wrote.
pub(super) fn from_text(xml: &str) -> Result<Stanza, String> {
    let element: Element = xml.parse().map_err(|error: minidom::Error| error.to_string())?;
    Stanza::try_from(element).map_err(|error| error.to_string())
}

/// About how many bytes an element takes in memory. Depth is bounded where stanzas come in.
pub(super) fn weight(element: &Element) -> usize {
    let text: usize = element.texts().map(str::len).sum();
    let attributes: usize = element.attrs().iter().map(|(_, value)| value.len() + NODE / 2).sum();
    NODE + text + attributes + element.children().map(weight).sum::<usize>()
}

/// Takes out what opens something: passwords of rooms and accounts, as elements, attributes and fields of forms.
fn hide_passwords(element: &mut Element) {
    element.attrs_mut().remove(&rxml::Namespace::NONE, "password");
    for node in element.take_nodes() {
        match node {
            Node::Element(child) if is_password(&child) => {}
            Node::Element(mut child) => {
                hide_passwords(&mut child);
                element.append_node(Node::Element(child));
            }
            text @ Node::Text(_) => element.append_node(text),
        }
    }
}

fn is_password(element: &Element) -> bool {
    let names = |name: &str| name.ends_with("password") || name.ends_with("roomsecret");
    element.name() == "password" || (element.name() == "field" && element.attr("var").is_some_and(names))
}

/// Whether XML can carry this text at all, and no control character hides in it.
pub fn is_sendable(text: &str) -> bool {
    text.chars().all(is_sendable_char)
}

/// Whether XML can carry this character, and it is no control character.
pub fn is_sendable_char(character: char) -> bool {
    !is_forbidden(character)
}

/// Whether XML can carry this text, and it is one line: what names are.
pub fn is_one_line(text: &str) -> bool {
    text.chars().all(|character| is_sendable_char(character) && !character.is_control())
}

/// Whether a stanza can carry this time: XEP-0082 has four digits for a year, and so nothing before the year 0.
pub fn is_sendable_time(at: Timestamp) -> bool {
    const YEAR_0: i64 = -62_167_219_200;
    at.as_second() >= YEAR_0
}

/// Characters that XML 1.0 has no place for, and control characters that only confuse who reads.
pub(super) fn is_forbidden(character: char) -> bool {
    matches!(character, '\u{fffe}' | '\u{ffff}') || (character.is_control() && !matches!(character, '\t' | '\n' | '\r'))
}

fn invalid(reason: impl Into<String>) -> CallError {
    CallError::invalid(ARGUMENT, reason)
}

/// One element, within the limits, of a kind and namespace that may be sent.
fn read(xml: &str) -> Result<Element, CallError> {
    if xml.len() > MAX_BYTES {
        return Err(invalid(format!("{} bytes are more than {MAX_BYTES}", xml.len())));
    }
    let xml = xml.trim_matches([' ', '\t', '\r', '\n']);
    check_shape(xml)?;
    // The second pass builds the tree; the first has shown that it is neither too deep nor followed by anything.
    let element = Element::from_reader_with_prefixes(xml.as_bytes(), ns::JABBER_CLIENT.to_owned())
        .map_err(|error| invalid(format!("not well-formed: {error}")))?;
    if !element.has_ns(ns::JABBER_CLIENT) || !matches!(element.name(), "message" | "presence" | "iq") {
        return Err(invalid(format!(
            "expected a message, presence or iq in {}, found {} in {}",
            ns::JABBER_CLIENT,
            element.name(),
            element.ns()
        )));
    }
    Ok(element)
}

/// Reads through the document without building anything of it.
fn check_shape(xml: &str) -> Result<(), CallError> {
    let mut depth = 0_usize;
    let mut elements = 0_usize;
    let mut reader = rxml::Reader::new(xml.as_bytes());
    loop {
        let event = reader.read().map_err(|error| invalid(format!("not well-formed: {error}")))?;
        match event {
            None => break,
            Some(rxml::Event::XmlDeclaration(..)) => return Err(invalid("an XML declaration belongs to a stream")),
            Some(rxml::Event::StartElement(_, (namespace, _), attributes)) => {
                depth += 1;
                elements += 1;
                if depth > MAX_DEPTH {
                    return Err(invalid(format!("nested deeper than {MAX_DEPTH} elements")));
                }
                if elements > MAX_ELEMENTS {
                    return Err(invalid(format!("more than {MAX_ELEMENTS} elements")));
                }
                if attributes.len() > MAX_ATTRIBUTES {
                    return Err(invalid(format!("more than {MAX_ATTRIBUTES} attributes on an element")));
                }
                let namespaces = || attributes.iter().map(|((namespace, _), _)| namespace).chain([&namespace]);
                if namespaces().any(|namespace| namespace.len() > MAX_NAMESPACE) {
                    return Err(invalid(format!("a namespace of more than {MAX_NAMESPACE} bytes")));
                }
                if namespaces().any(|namespace| *namespace == rxml::Namespace::XMLNS) {
                    return Err(invalid(format!("nothing can be in the namespace {DECLARATIONS}")));
                }
                if attributes.iter().any(|(_, value)| !is_sendable(value)) {
                    return Err(invalid("a control character in an attribute"));
                }
            }
            Some(rxml::Event::EndElement(_)) => depth = depth.saturating_sub(1),
            Some(rxml::Event::Text(_, text)) if !is_sendable(&text) => {
                return Err(invalid("a control character in the text"));
            }
            Some(rxml::Event::Text(..)) => {}
        }
    }
    if elements == 0 { Err(invalid("there is no element")) } else { Ok(()) }
}

/// What a plugin gave for an address, and why it is none.
pub fn no_jid(text: &str, why: &impl fmt::Display) -> String {
    /// How much of it is shown, in bytes.
    const LONGEST: usize = 128;
    format!("\"{}\" is not a JID: {why}", harmless(text, LONGEST))
}

/// Takes the sender off, if it is the account itself.
fn check_sender(element: &mut Element, own: &Jid) -> Result<(), CallError> {
    let Some(from) = element.attr("from") else { return Ok(()) };
    let sender = Jid::new(from).map_err(|error| invalid(format!("its from {}", no_jid(from, &error))))?;
    if sender != *own && sender != own.to_bare() {
        return Err(invalid(format!("its from is somebody else; this account is {own}: leave it out")));
    }
    element.attrs_mut().remove(&rxml::Namespace::NONE, "from");
    Ok(())
}

#[cfg(test)]
mod tests;
