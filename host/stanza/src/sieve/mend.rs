//! Repairs stanzas that the library would drop. Pure.
//!
//! As little as possible is changed: the sender stays, and so does everything that can be read. A stanza that cannot be
//! repaired stays unchanged. The library then drops it, but counts it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use minidom::rxml::Namespace;
use minidom::{Element, Node};
use parlor_base::escape::printable;
use xmpp_parsers::ns;
use xmpp_parsers::sasl_cb::SaslChannelBinding;
use xmpp_parsers::sm::Enabled;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::StanzaError;
use xmpp_parsers::stream_features::StreamFeatures;

use crate::error::numbered;
use crate::sieve::limits::MAX_TOKEN;
use crate::sieve::lost::Lost;
use crate::text::{DECLARATIONS, name, trimmed};
use crate::types::address;

/// The namespace that replaces an unreadable payload. Such a request is answered like every request of an unknown kind.
const UNREADABLE: &str = "urn:parlor:unreadable";
/// The namespace that marks a request which is not valid. `decode` recognises it, and the request is answered
/// accordingly.
pub const MALFORMED: &str = "urn:parlor:malformed";

/// The namespace of notes for `decode` in a stanza. It is random for each process, so that no peer can write it.
pub static NOTES: LazyLock<String> = LazyLock::new(|| format!("urn:parlor:intake:{:032x}", rand::random::<u128>()));
/// The note that a part of a message was left out, with the limit that it exceeded.
pub const CUT: &str = "cut";
/// The note with all types of channel binding that a server announces, including those that the library does not know.
pub const BINDINGS: &str = "bindings";
/// The note with all texts of a stanza that has several of one kind, in their order.
const TEXTS: &str = "texts";

/// Returns whether the library might refuse a stanza with this start tag and this number of children.
pub fn is_odd(head: &[u8], children: usize) -> bool {
    let kind = attributes(head).find(|(name, _)| *name == b"type").map(|(_, value)| unquoted(value));
    match super::tag::name_of(head) {
        b"iq" => match kind {
            Some(b"get" | b"set") => children != 1 || !attributes(head).any(|(name, _)| name == b"id"),
            // The one permitted child can be anything, and as large as a roster.
            Some(b"result") => children > 1,
            _ => true,
        },
        b"message" => kind.is_some_and(|kind| !is_message_type(kind)),
        // Much can be wrong with a presence, and presences are few.
        _ => true,
    }
}

fn is_message_type(kind: &[u8]) -> bool {
    matches!(kind, b"chat" | b"groupchat" | b"headline" | b"normal" | b"error")
}

/// Returns the stanza in a form that the library accepts; `None` if it already does, or if it cannot be repaired.
pub fn mend(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut element = parse(bytes)?;
    let is_told_apart = tell_languages_apart(&mut element) | note_texts(&mut element);
    if !is_crowded(&element) && Stanza::try_from(element.clone()).is_ok() {
        return is_told_apart.then(|| written(&element).into_bytes());
    }
    keep_elements_alone(&mut element);
    match element.name() {
        "message" => mend_message(&mut element),
        "presence" => mend_presence(&mut element),
        _ => mend_iq(&mut element),
    }
    Stanza::try_from(element.clone()).ok()?;
    Some(written(&element).into_bytes())
}

/// Returns whether a request has more than one payload. The library would take the first for all of it.
fn is_crowded(element: &Element) -> bool {
    element.name() == "iq" && matches!(element.attr("type"), Some("get" | "set")) && element.children().count() > 1
}

/// Marks a stanza with several texts as having no language, and returns whether it has several.
///
/// A text without a language has that of the stanza or stream, and the library fills that in. Afterwards it would be
/// unknown which of several texts had none (RFC 6121, section 5.2.3).
fn tell_languages_apart(element: &mut Element) -> bool {
    let is_error = |child: &&Element| child.name() == "error" && own(child);
    let has_several = has_several_texts(element) || element.children().filter(is_error).any(has_several_texts);
    if has_several {
        element.attrs_mut().insert(Namespace::XML, name("lang"), String::new());
    }
    has_several
}

/// Notes the texts of a message or presence that has several of one kind, and keeps the first of each kind and
/// language. Returns whether there are several.
///
/// Clients show the first text, but the library keeps only the last one in each language.
fn note_texts(stanza: &mut Element) -> bool {
    let kinds: &[&str] = match stanza.name() {
        "message" => &["body", "subject"],
        "presence" => &["status"],
        _ => return false,
    };
    if stanza.has_child(TEXTS, NOTES.as_str()) {
        return false;
    }
    let is_text = |child: &Element| own(child) && kinds.contains(&child.name());
    let mut counts = BTreeMap::<&str, usize>::new();
    for child in stanza.children().filter(|child| is_text(child)) {
        *counts.entry(child.name()).or_default() += 1;
    }
    if counts.values().all(|count| *count < 2) {
        return false;
    }
    let mut texts = Element::bare(TEXTS, NOTES.as_str());
    let mut met = BTreeSet::new();
    retain(stanza, |child| {
        if !is_text(child) {
            return true;
        }
        texts.append_child(child.clone());
        let lang = child.attr_ns(&Namespace::XML, "lang").unwrap_or_default();
        met.insert((child.name().to_owned(), lang.to_owned()))
    });
    stanza.append_child(texts);
    true
}

/// Repairs a message within another one, such as a carbon, as [`mend`] does one of the stream.
pub fn mend_forwarded(message: &mut Element) {
    note_texts(message);
    mend_message(message);
}

fn has_several_texts(parent: &Element) -> bool {
    ["body", "subject", "status", "text"].into_iter().any(|text| {
        let is_one = |child: &&Element| child.name() == text && (own(child) || child.has_ns(ns::XMPP_STANZAS));
        parent.children().filter(is_one).nth(1).is_some()
    })
}

/// Returns stream features in a form that the library accepts; `None` if it already does, or if they cannot be
/// repaired.
///
/// The library reads all features or none. It knows only the channel-binding types of its time, each feature once, no
/// limits of zero, no contents of a registration, and only those parts of SASL 2 that it had to know when it was
/// written. The latter three are not used here.
pub fn features(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut element = parse(bytes)?;
    if StreamFeatures::try_from(element.clone()).is_ok() {
        return None;
    }
    let mut met = BTreeSet::new();
    retain(&mut element, |child| {
        let is_unused =
            [ns::STREAM_LIMITS, ns::SASL2, ns::REGISTER_FEATURE].into_iter().any(|unused| child.has_ns(unused));
        !is_unused && met.insert((child.name().to_owned(), child.ns()))
    });
    let named: Vec<_> =
        element.children().filter(|child| child.has_ns(ns::SASL_CB)).flat_map(Element::children).collect();
    if !named.is_empty() {
        let note = Element::builder(BINDINGS, NOTES.as_str()).append_all(named.into_iter().cloned()).build();
        element.append_child(note);
    }
    for child in element.children_mut().filter(|child| child.has_ns(ns::SASL_CB)) {
        retain(child, |binding| {
            let mut alone = Element::bare("sasl-channel-binding", ns::SASL_CB);
            alone.append_child(binding.clone());
            SaslChannelBinding::try_from(alone).is_ok()
        });
    }
    StreamFeatures::try_from(element.clone()).ok()?;
    Some(written(&element).into_bytes())
}

/// Returns the answer to `<enable/>` in a form that the library accepts; `None` if it already does, or if it cannot be
/// repaired.
///
/// The library requires an integer for how long the server keeps the session after connection loss. Prosody sends `inf`
/// if its owner configured no limit, and `5400.0` after a division. The time is then left out as unknown, but the
/// session is managed.
pub fn enabled(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut element = parse(bytes)?;
    if Enabled::try_from(element.clone()).is_ok() {
        return None;
    }
    element.attrs_mut().remove(&Namespace::NONE, "max");
    Enabled::try_from(element.clone()).ok()?;
    Some(written(&element).into_bytes())
}

/// Returns the replacement for a stanza that exceeds the limits, using only its start tag.
pub fn replacement(head: &[u8], why: &str) -> Vec<u8> {
    let kept = |wanted: &[u8]| {
        let mut found = attributes(head).filter(|(name, value)| *name == wanted && value.len() <= MAX_TOKEN);
        found.next().map(|(_, value)| value)
    };
    let mut made = b"<".to_vec();
    let kind = super::tag::name_of(head);
    made.extend_from_slice(kind);
    let mut copy = |wanted: &[&[u8]]| {
        for (name, value) in wanted.iter().filter_map(|name| Some((*name, kept(name)?))) {
            made.extend_from_slice(&[b" ", name, b"="].concat());
            made.extend_from_slice(value);
        }
    };
    let rest = match (kind, kept(b"type").map(unquoted)) {
        (b"iq", Some(b"get" | b"set")) => {
            copy(&[b"from", b"to", b"id", b"type"]);
            format!("><unreadable xmlns='{UNREADABLE}'/></iq>")
        }
        (b"iq", Some(b"result" | b"error")) => {
            copy(&[b"from", b"to", b"id"]);
            format!(
                " type='error'><error type='cancel'><undefined-condition xmlns='{0}'/><text xmlns='{0}'>the answer was \
                 not read: {why}</text></error></iq>",
                ns::XMPP_STANZAS
            )
        }
        // An occupant has left, with any other contents of the presence.
        (b"presence", Some(b"unavailable")) => {
            copy(&[b"from", b"to", b"type"]);
            "/>".to_owned()
        }
        // The message is still delivered: it shows its sender, and that clients may show other contents.
        (b"message", kind) => {
            copy(&[b"from", b"to", b"id"]);
            if kind.is_some_and(is_message_type) {
                copy(&[b"type"]);
            }
            format!(">{}</message>", cut_note(why))
        }
        // The sender is available; the rest is unknown. Presences of other types make requests, so they are not
        // replaced like this.
        (b"presence", None) => {
            copy(&[b"from", b"to"]);
            "/>".to_owned()
        }
        // The library drops a stanza of an unknown type.
        _ => " type='unreadable'/>".to_owned(),
    };
    made.extend_from_slice(rest.as_bytes());
    made
}

fn cut_note(why: &str) -> String {
    format!("<{CUT} xmlns='{}'>{why}</{CUT}>", NOTES.as_str())
}

/// Adds a note to a message that a part of it was left out.
pub fn mark_as_cut(message: &mut Vec<u8>, why: &str) {
    let note = cut_note(why);
    if message.ends_with(b"/>") {
        message.truncate(message.len() - 2);
        message.extend_from_slice(format!(">{note}</message>").as_bytes());
    } else if let Some(end) = message.windows(2).rposition(|two| two == b"</") {
        message.splice(end..end, note.into_bytes());
    }
}

/// Returns the reason that the server ends the stream.
pub fn stream_error(bytes: &[u8]) -> Lost {
    let Some(element) = parse(bytes).filter(|element| element.is("error", ns::STREAM)) else { return Lost::Closed };
    let said = |child: &&Element| child.has_ns(ns::XMPP_STREAMS);
    let condition = element.children().filter(said).find(|child| child.name() != "text");
    let condition = match condition.map_or("undefined-condition", Element::name) {
        // RFC 3920's name, which MongooseIM still uses.
        "xml-not-well-formed" => "not-well-formed",
        condition => condition,
    };
    let part = |name: &str| element.get_child(name, ns::XMPP_STREAMS).and_then(trimmed).map(|text| printable(&text));
    Lost::Stream { condition: printable(condition), text: part("text"), elsewhere: part("see-other-host") }
}

fn parse(bytes: &[u8]) -> Option<Element> {
    // The prefixes that a stream's header declares in practice.
    let prefixes = [(None, ns::JABBER_CLIENT), (Some("stream"), ns::STREAM)];
    let owned = prefixes.map(|(prefix, namespace)| (prefix.map(str::to_owned), namespace.to_owned()));
    let prefixes: BTreeMap<Option<String>, String> = owned.into();
    Element::from_reader_with_prefixes(bytes, prefixes).ok()
}

/// Serialises the element without its prefix declarations. The library would write them again, but panics if a prefix
/// is declared within another declaration of the same name, which anybody may do with `stream`, and over XML's own
/// prefix.
fn written(element: &Element) -> String {
    String::from(&without_prefixes(element))
}

/// Copies the element without prefix declarations; the library then declares what it needs. An element in the namespace
/// of declarations has no name without a prefix, and is left out.
fn without_prefixes(element: &Element) -> Element {
    let mut plain = Element::bare(element.name(), element.ns());
    for ((namespace, name), value) in
        element.attrs().iter().filter(|((namespace, _), _)| **namespace != Namespace::XMLNS)
    {
        plain.attrs_mut().insert(namespace.clone(), name.clone(), value.clone());
    }
    for node in element.nodes() {
        match node {
            Node::Text(text) => plain.append_text_node(text.as_str()),
            Node::Element(child) if child.has_ns(DECLARATIONS) => {}
            Node::Element(child) => {
                plain.append_child(without_prefixes(child));
            }
        }
    }
    plain
}

/// Removes text directly below a stanza. It has no meaning, but makes the library drop the stanza.
fn keep_elements_alone(element: &mut Element) {
    let nodes = element.take_nodes();
    for node in nodes {
        if let Node::Element(child) = node {
            element.append_child(child);
        }
    }
}

/// Keeps only the children for which `keep` returns true.
fn retain(element: &mut Element, mut keep: impl FnMut(&Element) -> bool) {
    for node in element.take_nodes() {
        if let Node::Element(child) = node
            && keep(&child)
        {
            element.append_child(child);
        }
    }
}

fn own(child: &Element) -> bool {
    child.has_ns(ns::JABBER_CLIENT)
}

/// Returns a filter that keeps the first of each child that is permitted once. Texts are permitted once for each
/// language.
fn first_of_each() -> impl FnMut(&Element) -> bool {
    let mut met = BTreeSet::new();
    move |child| {
        !own(child) || !matches!(child.name(), "thread" | "show" | "priority") || met.insert(child.name().to_owned())
    }
}

fn mend_message(message: &mut Element) {
    if message.attr("type").is_some_and(|kind| !is_message_type(kind.as_bytes())) {
        // RFC 6121, section 5.2.2: an unknown type means normal.
        message.attrs_mut().remove(&Namespace::NONE, "type");
    }
    retain(message, first_of_each());
}

fn mend_presence(presence: &mut Element) {
    // "available" is not a valid type (RFC 6121, section 4.7.1): available presence has none. Some clients send it, and
    // Tigase and MongooseIM pass it on.
    if presence.attr("type") == Some("available") {
        presence.attrs_mut().remove(&Namespace::NONE, "type");
    }
    // White space around a word or number has no meaning, but the library rejects it.
    for detail in presence.children_mut().filter(|child| own(child) && matches!(child.name(), "show" | "priority")) {
        let said = detail.text();
        detail.take_nodes();
        detail.append_text_node(said.trim_matches([' ', '\t', '\r', '\n']));
    }
    let mut first = first_of_each();
    retain(presence, |child| {
        first(child)
            && match child.name() {
                "show" if own(child) => matches!(child.text().as_str(), "away" | "chat" | "dnd" | "xa"),
                "priority" if own(child) => child.text().parse::<i8>().is_ok(),
                _ => true,
            }
    });
}

fn mend_iq(iq: &mut Element) {
    match iq.attr("type") {
        Some("get" | "set") if iq.children().count() != 1 => malformed(iq),
        // Some servers push changes of the roster without an id.
        Some("get" | "set") if iq.attr("id").is_none() && iq.has_child("query", ns::ROSTER) => {
            iq.attrs_mut().insert(Namespace::NONE, name("id"), String::new());
        }
        Some("get" | "set") => {}
        Some("error") => {
            let is_error = |child: &Element| child.name() == "error" && own(child);
            let error = iq.children().find(|child| is_error(child)).or_else(|| error_within(iq));
            let error = mend_error(error);
            let request = iq.children().find(|child| !is_error(child)).cloned();
            iq.take_nodes();
            if let Some(request) = request {
                iq.append_child(request);
            }
            iq.append_child(error);
        }
        Some("result") => {
            let mut first = true;
            retain(iq, |_| std::mem::take(&mut first));
        }
        // The sender must get an answer (RFC 6120, section 8.2.3). Without a sender, none is needed.
        _ if iq.attr("from").is_some() => {
            iq.attrs_mut().insert(Namespace::NONE, name("type"), "get".to_owned());
            malformed(iq);
        }
        _ => {}
    }
}

/// Returns the error in the payload of an answer: Bifröst writes it there.
fn error_within(iq: &Element) -> Option<&Element> {
    let says_why = |child: &Element| child.children().any(|condition| condition.has_ns(ns::XMPP_STANZAS));
    iq.children().flat_map(Element::children).find(|child| child.name() == "error" && says_why(child))
}

fn malformed(iq: &mut Element) {
    iq.take_nodes();
    iq.append_child(Element::bare("malformed", MALFORMED));
}

/// Builds a valid error from the readable parts of this one.
fn mend_error(error: Option<&Element>) -> Element {
    let said = |child: &&Element| child.has_ns(ns::XMPP_STANZAS);
    let condition = error.and_then(|error| error.children().filter(said).find(|child| child.name() != "text"));
    let text = error.and_then(|error| error.get_child("text", ns::XMPP_STANZAS)).and_then(trimmed);
    let kind = error.and_then(|error| error.attr("type"));
    let of_old = error.filter(|_| condition.is_none()).and_then(|error| numbered(error.attr("code")?));
    let kind = kind.filter(|kind| matches!(*kind, "auth" | "cancel" | "continue" | "modify" | "wait"));
    let kind = kind.or(of_old.map(|(_, usual)| usual));
    let by = error.and_then(|error| error.attr("by")).filter(|by| address(by).is_ok());
    // One application-specific condition may accompany the defined one (RFC 6120, section 8.3.2).
    let specific = error.and_then(|error| error.children().find(|child| !said(child)));
    let build = |condition: Element, text: Option<String>| {
        let text = text.map(|text| Element::builder("text", ns::XMPP_STANZAS).append(text).build());
        Element::builder("error", ns::JABBER_CLIENT)
            .attr(name("type"), kind.unwrap_or("cancel"))
            .attr(name("by"), by)
            .append(condition)
            .append_all(text)
            .append_all(specific.cloned())
            .build()
    };
    let bare = |condition: &str| Element::bare(condition, ns::XMPP_STANZAS);
    // Two conditions contain an address (RFC 6120, sections 8.3.3.5 and 8.3.3.14), all others are empty.
    let whole = |one: &Element| Element::builder(one.name(), ns::XMPP_STANZAS).append(one.text()).build();
    let conditions = condition.into_iter().flat_map(|one| [whole(one), bare(one.name())]);
    let mut errors = conditions.map(|condition| build(condition, text.clone()));
    let known = errors.find(|error| StanzaError::try_from(error.clone()).is_ok());
    known.unwrap_or_else(|| {
        let text = text.clone().or_else(|| condition.map(|condition| condition.name().to_owned()));
        let text = text.or_else(|| error.filter(|_| of_old.is_some()).and_then(trimmed));
        build(bare(of_old.map_or("undefined-condition", |(condition, _)| condition)), text)
    })
}

/// Returns the attributes of a start tag, with quoted values.
pub fn attributes(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = &head[head.len().min(1 + super::tag::name_of(head).len())..];
    std::iter::from_fn(move || {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (rest[..equals].trim_ascii(), rest[equals + 1..].trim_ascii_start());
        let quote = *value.first()?;
        let end = value.iter().skip(1).position(|byte| *byte == quote)? + 2;
        rest = &value[end..];
        Some((name, &value[..end]))
    })
}

/// Returns whether an element's name, or that of one of its attributes, has a prefix that this tag does not declare.
pub fn has_prefix(tag: &[u8]) -> bool {
    let needs_one = |name: &[u8]| name.contains(&b':') && !name.starts_with(b"xml:") && !name.starts_with(b"xmlns:");
    needs_one(super::tag::name_of(tag)) || attributes(tag).any(|(name, _)| needs_one(name))
}

/// Returns a start tag without attributes that have or declare a prefix.
pub fn tag_without_prefixes(head: &[u8]) -> Vec<u8> {
    let mut made = b"<".to_vec();
    made.extend_from_slice(super::tag::name_of(head));
    for (name, value) in attributes(head) {
        if !name.contains(&b':') || name == b"xml:lang" {
            made.extend_from_slice(&[b" ", name, b"=", value].concat());
        }
    }
    made.extend_from_slice(if head.ends_with(b"/>") { b"/>" } else { b">" });
    made
}

/// Returns an attribute's value without its quotation marks.
pub fn unquoted(value: &[u8]) -> &[u8] {
    value.get(1..value.len() - 1).unwrap_or_default()
}

#[cfg(test)]
mod tests;
