//! Whole stanzas: received ones for plugins that may see XML, and those that plugins write to send.
//!
//! XML from a plugin is never passed on as bytes. It is parsed under limits, checked, converted to typed stanzas and
//! written again. So nothing can pass that ends the stream, opens another stanza or forges a sender.

mod shown;

use std::fmt;
use std::sync::{Arc, OnceLock};

use jid::{BareJid, Jid};
use minidom::Element;
use minidom::rxml;
use parlor_base::escape::escape_untrusted;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

use crate::error::CallError;
use crate::plain::{Plain, PlainElement};
use crate::stream::{Read, StreamReader};
use crate::text::{DECLARATIONS, name};
use crate::types::{Show, address};
use crate::xml::Xml as _;

pub use crate::text::{is_one_line, is_sendable, is_sendable_time};

/// The namespace of captchas (XEP-0158).
const CAPTCHA: &str = "urn:xmpp:captcha";
/// The name of `send`'s argument in errors.
const ARGUMENT: &str = "stanza";
/// The maximum length of a stanza from a plugin, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The maximum length of the stanza when written again; servers end the whole stream at 256 KiB.
pub(crate) const MAX_WRITTEN_BYTES: usize = 252 * 1024;
/// The maximum depth of elements. Trees are dropped recursively, so this also bounds the host's stack.
const MAX_DEPTH: usize = 64;
/// The maximum number of elements in a stanza.
const MAX_ELEMENTS: usize = 4096;
/// The maximum number of attributes of an element.
const MAX_ATTRIBUTES: usize = 64;
/// The maximum length of a namespace, in bytes. It is stored and written for each element in it, however it was
/// declared.
const MAX_NAMESPACE: usize = 256;
/// The memory of a node in a parsed stanza, in addition to its text.
const NODE: usize = 200;

/// The text of the error for a message that was given up.
const WHY: &str = "not sent: the connection was cut for longer than keep_unsent of the account says";

/// A whole stanza, opaque outside this folder. It is cheap to clone. It prints only its kind, so that no log shows its
/// content.
#[derive(Clone)]
pub struct RawStanza(Form);

#[derive(Clone)]
enum Form {
    Read(Arc<Stanza>),
    /// A message as received, which is only parsed again on demand.
    Plain(Arc<PlainText>),
}

/// The text of a received message.
struct PlainText {
    text: Arc<str>,
    /// The language of its stream.
    lang: Option<Arc<str>>,
    /// The approximate memory of the message when it is read, in bytes.
    weight: usize,
    read: OnceLock<Stanza>,
}

impl From<Stanza> for RawStanza {
    fn from(stanza: Stanza) -> Self {
        Self(Form::Read(Arc::new(stanza)))
    }
}

/// The account's status in a presence that is broadcast to everybody authorised (RFC 6121, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastPresence {
    /// Whether it is available.
    pub is_available: bool,
    /// The availability that it shows.
    pub show: Option<Show>,
    /// Its text.
    pub status: String,
}

impl fmt::Debug for RawStanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawStanza({})", self.kind())
    }
}

impl RawStanza {
    /// Keeps the text of a message from a stream in this language.
    pub(crate) fn plain(message: &PlainElement, lang: Option<Arc<str>>) -> Self {
        Self::kept(message.text().clone(), lang, plain_weight(message.root()))
    }

    /// Keeps the text of a message that another one forwards, and that declares its namespace itself.
    pub(crate) fn plainly_forwarded(message: Plain<'_>) -> Self {
        Self::kept(message.whole().into(), None, plain_weight(message))
    }

    fn kept(text: Arc<str>, lang: Option<Arc<str>>, weight: usize) -> Self {
        Self(Form::Plain(Arc::new(PlainText { text, lang, weight, read: OnceLock::new() })))
    }

    /// Returns the stanza.
    pub fn stanza(&self) -> &Stanza {
        match &self.0 {
            Form::Read(stanza) => stanza,
            Form::Plain(plain) => plain.read.get_or_init(|| {
                let read = read_again(&plain.text, plain.lang.as_deref());
                read.unwrap_or_else(|| {
                    tracing::error!("a message that was kept cannot be read again; please report it");
                    Stanza::Message(Message::new(None))
                })
            }),
        }
    }

    /// Returns the stanza, without a copy if it is not shared.
    pub fn into_stanza(self) -> Stanza {
        match self.0 {
            Form::Read(stanza) => Arc::try_unwrap(stanza).unwrap_or_else(|shared| copy(&shared)),
            Form::Plain(_) => copy(self.stanza()),
        }
    }

    /// Parses a stanza for `send`: one message, presence or IQ request, sent by `own` or without a sender.
    ///
    /// `own` is the account's JID. A `from` with it, bare or full, is removed, since the server sets the full JID. An
    /// IQ needs an id. Results and errors are refused, since only the host answers.
    pub fn parse(xml: &str, own: &Jid) -> Result<Self, CallError> {
        let mut element = read(xml)?;
        check_sender(&mut element, own)?;
        Self::from_element(element)
    }

    /// Parses a request for `send-iq`: an IQ get or set. Its id does not matter, see [`RawStanza::with_id`].
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
            element.attrs_mut().insert(rxml::Namespace::NONE, name("id"), "unset".to_owned());
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
            address(to).map_err(|error| invalid(format!("its to {}", no_jid(to, &error))))?;
        }
        let stanza = Stanza::try_from(element).map_err(|error| invalid(format!("not a valid stanza: {error}")))?;
        let stanza = Self::from(stanza);
        if stanza.to_xml().len() > MAX_WRITTEN_BYTES {
            return Err(invalid(format!("written out, it is longer than {MAX_WRITTEN_BYTES} bytes")));
        }
        Ok(stanza)
    }

    /// Returns the stanza as XML.
    pub fn to_xml(&self) -> String {
        to_text(self.stanza())
    }

    /// Returns the approximate memory of the stanza, in bytes.
    pub fn weight(&self) -> usize {
        match &self.0 {
            Form::Read(stanza) => stanza_weight(stanza),
            Form::Plain(plain) => plain.weight,
        }
    }

    /// Returns `message`, `presence` or `iq`.
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            Form::Plain(_) => "message",
            Form::Read(stanza) => match **stanza {
                Stanza::Message(_) => "message",
                Stanza::Presence(_) => "presence",
                Stanza::Iq(_) => "iq",
            },
        }
    }

    /// Returns the recipient; `None` means the own account, or everybody for a presence.
    pub fn to(&self) -> Option<Jid> {
        match self.stanza() {
            Stanza::Message(message) => message.to.clone(),
            Stanza::Presence(presence) => presence.to.clone(),
            Stanza::Iq(iq) => iq.to().cloned(),
        }
    }

    /// Returns the id, if there is one.
    pub fn id(&self) -> Option<&str> {
        match self.stanza() {
            Stanza::Message(message) => message.id.as_ref().map(|id| id.0.as_str()),
            Stanza::Presence(presence) => presence.id.as_deref(),
            Stanza::Iq(iq) => Some(iq.id()),
        }
    }

    /// Returns whether it is an IQ get or set, which must be answered.
    pub fn is_request(&self) -> bool {
        matches!(self.stanza(), Stanza::Iq(Iq::Get { .. } | Iq::Set { .. }))
    }

    /// Returns whether it is an IQ set.
    pub fn is_set(&self) -> bool {
        matches!(self.stanza(), Stanza::Iq(Iq::Set { .. }))
    }

    /// Returns the contacts that the server adds to the roster or changes because of this stanza. They are the recipients of a
    /// subscription request or approval (RFC 6121, section 3), and the items of a roster set of this account (section
    /// 2.3).
    pub fn changes_contacts(&self, own: &Jid) -> Vec<BareJid> {
        match self.stanza() {
            Stanza::Presence(presence) if matches!(presence.type_, Type::Subscribe | Type::Subscribed) => {
                presence.to.iter().map(Jid::to_bare).collect()
            }
            Stanza::Iq(Iq::Set { to, payload, .. })
                if payload.is("query", ns::ROSTER) && to.as_ref().is_none_or(|to| to.to_bare() == own.to_bare()) =>
            {
                let added = payload.children().filter(|item| item.attr("subscription") != Some("remove"));
                added.filter_map(|item| Some(address(item.attr("jid")?).ok()?.to_bare())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns whether it is a message that is not for all occupants of a room.
    pub fn is_said_to_a_person(&self) -> bool {
        matches!(self.stanza(), Stanza::Message(message) if message.type_ != MessageType::Groupchat)
    }

    /// Returns whether it is a message that asks its reader to solve a captcha (XEP-0158).
    pub fn asks_for_captcha(&self) -> bool {
        let Stanza::Message(message) = self.stanza() else { return false };
        message.payloads.iter().any(|payload| payload.is("captcha", CAPTCHA))
    }

    /// Same as [`Outgoing::outlives_its_stream`](crate::types::Outgoing::outlives_its_stream).
    pub fn outlives_its_stream(&self) -> bool {
        match self.stanza() {
            Stanza::Message(_) => true,
            Stanza::Presence(presence) => {
                matches!(presence.type_, Type::Subscribe | Type::Subscribed | Type::Unsubscribe | Type::Unsubscribed)
            }
            Stanza::Iq(_) => false,
        }
    }

    /// Returns the same stanza with another id.
    #[must_use]
    pub fn with_id(&self, id: &str) -> Self {
        let mut stanza = copy(self.stanza());
        match &mut stanza {
            Stanza::Message(message) => message.id = Some(xmpp_parsers::message::Id(id.to_owned())),
            Stanza::Presence(presence) => presence.id = Some(id.to_owned()),
            Stanza::Iq(iq) => id.clone_into(iq.id_mut()),
        }
        Self::from(stanza)
    }
}

/// Reads a stanza from its text on a stream in this language.
pub(crate) fn read_again(text: &str, lang: Option<&str>) -> Option<Stanza> {
    let header =
        Element::builder("stream", ns::JABBER_CLIENT).attr_ns(rxml::Namespace::XML, name("lang"), lang).build();
    let header = String::from(&header).replace("/>", &format!(" xmlns:stream='{}'>", ns::STREAM));
    match StreamReader::behind(header.as_bytes())?.read(&mut text.as_bytes()) {
        Ok(Read::Element(Ok(stanza))) => Some(stanza),
        _ => None,
    }
}

/// Returns the approximate memory of a stanza, in bytes.
pub fn stanza_weight(stanza: &Stanza) -> usize {
    let (texts, payloads): (usize, &[Element]) = match stanza {
        Stanza::Message(message) => {
            let texts = message.bodies.values().chain(message.subjects.values()).map(String::len);
            // The chosen text is held twice.
            (2 * texts.sum::<usize>(), &message.payloads)
        }
        Stanza::Presence(presence) => (presence.statuses.values().map(String::len).sum(), &presence.payloads),
        Stanza::Iq(Iq::Get { payload, .. } | Iq::Set { payload, .. }) => (0, std::slice::from_ref(payload)),
        Stanza::Iq(Iq::Result { payload, .. } | Iq::Error { payload, .. }) => (0, payload.as_slice()),
    };
    NODE + texts + payloads.iter().map(weight).sum::<usize>()
}

/// Copies a stanza, since the library's type does not implement `Clone`.
pub fn copy(stanza: &Stanza) -> Stanza {
    match stanza {
        Stanza::Message(message) => Stanza::Message(message.clone()),
        Stanza::Presence(presence) => Stanza::Presence(presence.clone()),
        Stanza::Iq(iq) => Stanza::Iq(iq.clone()),
    }
}

/// Converts a stanza to an element.
pub fn element(stanza: &Stanza) -> Element {
    match stanza {
        Stanza::Message(message) => message.clone().into(),
        Stanza::Presence(presence) => presence.clone().into(),
        Stanza::Iq(iq) => iq.clone().into(),
    }
}

/// Serialises a stanza.
pub fn to_text(stanza: &Stanza) -> String {
    String::from(&element(stanza))
}

/// Returns the approximate memory of an element, in bytes. The depth is bounded on input.
pub fn weight(element: &Element) -> usize {
    let text: usize = element.texts().map(str::len).sum();
    let attributes: usize = element.attrs().iter().map(|(_, value)| value.len() + NODE / 2).sum();
    NODE + text + attributes + element.children().map(weight).sum::<usize>()
}

/// Same as [`stanza_weight`], for a message from the fast parser.
fn plain_weight(message: Plain<'_>) -> usize {
    let parts = message.children().map(|child| match child.name() {
        // The chosen text is held twice.
        "body" | "subject" if child.has_ns(ns::JABBER_CLIENT) => 2 * child.content().len(),
        _ if child.has_ns(ns::JABBER_CLIENT) => 0,
        _ => plain_element_weight(child),
    });
    NODE + parts.sum::<usize>()
}

/// Same as [`weight`], for an element from the fast parser.
pub(crate) fn plain_element_weight(element: Plain<'_>) -> usize {
    let attributes: usize = element.attributes().map(|(_, value)| value.len() + NODE / 2).sum();
    NODE + element.content().len() + attributes + element.children().map(plain_element_weight).sum::<usize>()
}

fn invalid(reason: impl Into<String>) -> CallError {
    CallError::invalid(ARGUMENT, reason)
}

/// Parses one element within the limits, of a kind and namespace that may be sent.
fn read(xml: &str) -> Result<Element, CallError> {
    if xml.len() > MAX_BYTES {
        return Err(invalid(format!("{} bytes are more than {MAX_BYTES}", xml.len())));
    }
    let xml = xml.trim_matches([' ', '\t', '\r', '\n']);
    check_shape(xml)?;
    // The second pass builds the tree; the first has shown that it is not too deep and that nothing follows it.
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

/// Reads the document without building a tree.
pub(crate) fn check_shape(xml: &str) -> Result<(), CallError> {
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

/// Describes an invalid address of a plugin, and the reason.
pub fn no_jid(text: &str, why: &impl fmt::Display) -> String {
    /// The bytes of it that are shown.
    const LONGEST: usize = 128;
    format!("\"{}\" is not a JID: {why}", escape_untrusted(text, LONGEST))
}

/// Removes the sender if it is the account itself, and refuses any other.
fn check_sender(element: &mut Element, own: &Jid) -> Result<(), CallError> {
    let Some(from) = element.attr("from") else { return Ok(()) };
    let sender = address(from).map_err(|error| invalid(format!("its from {}", no_jid(from, &error))))?;
    if sender != *own && sender != own.to_bare() {
        return Err(invalid(format!("its from is somebody else; this account is {own}: leave it out")));
    }
    element.attrs_mut().remove(&rxml::Namespace::NONE, "from");
    Ok(())
}

/// Returns the error for a message that was not sent. Returns `None` for an error message, which must not be answered,
/// and for a message without a recipient.
pub fn returned(stanza: &Stanza) -> Option<Stanza> {
    let Stanza::Message(message) = stanza else { return None };
    let mut back = message.clone();
    back.from = Some(back.to.take()?);
    if std::mem::replace(&mut back.type_, MessageType::Error) == MessageType::Error {
        return None;
    }
    let error = StanzaError::new(ErrorType::Wait, DefinedCondition::RemoteServerTimeout, "en", WHY);
    back.payloads.push(error.into());
    Some(Stanza::Message(back))
}

#[cfg(test)]
mod tests;
