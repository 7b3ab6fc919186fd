//! Stanzas as text, ready to be written to a stream. Messages are written here directly; the library writes all other
//! stanzas.

use std::fmt;

use jid::Jid;
use minidom::rxml::Namespace;
use minidom::{Element, Node};
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;

use super::encode;
use crate::plain::PlainElement;
use crate::raw::{RawStanza, read_again};
use crate::stream;
use crate::text::RESERVED;
use crate::types::{Draft, MessageKind, Outgoing};
use crate::xml::Xml as _;

/// The usual length of a message, in bytes.
const USUAL: usize = 256;
/// The memory of a stanza in addition to its text, in bytes.
const RECORD: usize = 64;

/// A stanza as it is written to a stream. It prints only its length, so that no log shows its content.
#[derive(Clone)]
pub struct Written {
    text: String,
    is_secret: bool,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({} bytes)", self.text.len())
    }
}

impl Written {
    /// Writes an outgoing item. The error says why it cannot be written.
    pub fn of(outgoing: Outgoing) -> Result<Self, String> {
        let is_secret = outgoing.is_secret();
        match plain_outgoing(&outgoing) {
            Some(text) => Ok(Self { text, is_secret }),
            None => Ok(Self { is_secret, ..Self::of_stanza(&encode(outgoing))? }),
        }
    }

    /// Writes a stanza. The error says why it cannot be written.
    pub fn of_stanza(stanza: &Stanza) -> Result<Self, String> {
        let plain = match stanza {
            Stanza::Message(message) => plain_message(message),
            Stanza::Presence(_) | Stanza::Iq(_) => None,
        };
        let text = plain.map_or_else(|| stream::written(stanza), Ok).map_err(|error| error.to_string())?;
        Ok(Self { text, is_secret: false })
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether no plugin may know it.
    pub fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Returns its approximate memory, in bytes.
    pub fn weight(&self) -> usize {
        RECORD + self.text.len()
    }

    /// Returns the id of the stanza; empty if it has none. It is read from the text.
    pub fn id(&self) -> String {
        if let Some(element) = PlainElement::read(self.text.as_bytes()) {
            return element.root().attr("id").unwrap_or_default().to_owned();
        }
        self.stanza().map(RawStanza::from).and_then(|stanza| stanza.id().map(str::to_owned)).unwrap_or_default()
    }

    /// Returns the stanza, which is read from the text.
    pub fn stanza(&self) -> Option<Stanza> {
        let stanza = read_again(&self.text, None);
        if stanza.is_none() {
            tracing::error!("a stanza that was kept cannot be read again; please report it");
        }
        stanza
    }
}

/// Writes a message that has only texts, like most messages of plugins; `None` if it is another item, or must be
/// cleaned.
fn plain_outgoing(outgoing: &Outgoing) -> Option<String> {
    let Outgoing::Message { to, kind, id, draft, to_occupant: false } = outgoing else { return None };
    let Draft { body, subject, thread, extensions: None, .. } = draft else { return None };
    let mut out = String::with_capacity(USUAL);
    let kind = Some(kind.as_str()).filter(|_| *kind != MessageKind::Normal);
    begin(None, Some(to), Some(id), kind, &mut out)?;
    for (name, text) in [("body", body), ("subject", subject), ("thread", thread)] {
        if let Some(text) = text {
            leaf(name, ("xml:lang", None), text, &mut out)?;
        }
    }
    out.push_str("<origin-id xmlns='");
    out.push_str(ns::SID);
    out.push('\'');
    attribute("id", Some(id), &mut out)?;
    out.push_str("/></message>");
    Some(out)
}

/// Writes the start tag of a message.
fn begin(from: Option<&Jid>, to: Option<&Jid>, id: Option<&str>, kind: Option<&str>, out: &mut String) -> Option<()> {
    out.push_str("<message");
    attribute("from", from.map(Jid::as_str), out)?;
    attribute("to", to.map(Jid::as_str), out)?;
    attribute("id", id, out)?;
    attribute("type", kind, out)?;
    out.push('>');
    Some(())
}

/// Writes a message; `None` if the library must do it.
fn plain_message(message: &Message) -> Option<String> {
    let Message { from, to, id, type_, bodies, subjects, thread, payloads } = message;
    let mut out = String::with_capacity(USUAL);
    let kind = match type_ {
        MessageType::Chat => Some("chat"),
        MessageType::Error => Some("error"),
        MessageType::Groupchat => Some("groupchat"),
        MessageType::Headline => Some("headline"),
        MessageType::Normal => None,
    };
    begin(from.as_ref(), to.as_ref(), id.as_ref().map(|id| id.0.as_str()), kind, &mut out)?;
    for (name, texts) in [("body", bodies), ("subject", subjects)] {
        for (lang, text) in texts {
            let lang = Some(lang.0.as_str()).filter(|lang| !lang.is_empty());
            leaf(name, ("xml:lang", lang), text, &mut out)?;
        }
    }
    if let Some(thread) = thread {
        leaf("thread", ("parent", thread.parent.as_deref()), &thread.id, &mut out)?;
    }
    for payload in payloads {
        element(payload, ns::JABBER_CLIENT, &mut out)?;
    }
    out.push_str("</message>");
    Some(out)
}

fn leaf(name: &str, (key, value): (&str, Option<&str>), text: &str, out: &mut String) -> Option<()> {
    out.push('<');
    out.push_str(name);
    attribute(key, value, out)?;
    out.push('>');
    escape(text, true, out)?;
    end(name, out);
    Some(())
}

fn end(name: &str, out: &mut String) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn attribute(name: &str, value: Option<&str>, out: &mut String) -> Option<()> {
    let Some(value) = value else { return Some(()) };
    out.push(' ');
    out.push_str(name);
    out.push_str("='");
    escape(value, false, out)?;
    out.push('\'');
    Some(())
}

/// Writes an element in one of this namespace. The depth is bounded, for elements from any source.
fn element(element: &Element, around: &str, out: &mut String) -> Option<()> {
    let (name, declared) = (element.name(), (!element.has_ns(around)).then(|| element.ns()));
    let namespace = declared.as_deref().unwrap_or(around);
    out.push('<');
    out.push_str(name);
    if declared.is_some() {
        if namespace.is_empty() || namespace == ns::STREAM || namespace.starts_with(RESERVED) {
            return None;
        }
        attribute("xmlns", Some(namespace), out)?;
    }
    for ((of, name), value) in element.attrs() {
        let is_lang = *of == Namespace::XML && name.as_str() == "lang";
        if is_lang {
            attribute("xml:lang", Some(value), out)?;
        } else if of.is_none() {
            attribute(name.as_str(), Some(value), out)?;
        } else {
            return None;
        }
    }
    if element.nodes().next().is_none() {
        out.push_str("/>");
        return Some(());
    }
    out.push('>');
    for node in element.nodes() {
        match node {
            Node::Text(text) => escape(text, true, out)?,
            Node::Element(child) => self::element(child, namespace, out)?,
        }
    }
    end(name, out);
    Some(())
}

/// Writes text or the value of an attribute; `None` if there is a character in it that the library writes in another way,
/// or refuses.
fn escape(text: &str, is_text: bool, out: &mut String) -> Option<()> {
    let mut rest = text;
    let is_quote = |byte: u8| !is_text && matches!(byte, b'\'' | b'"');
    let is_special = |byte: u8| byte < b' ' || matches!(byte, b'<' | b'>' | b'&' | 0xef) || is_quote(byte);
    while let Some(at) = rest.bytes().position(is_special) {
        out.push_str(&rest[..at]);
        let length = match rest.as_bytes()[at] {
            b'<' => push("&lt;", out),
            b'>' => push("&gt;", out),
            b'&' => push("&amp;", out),
            b'\'' => push("&apos;", out),
            b'"' => push("&quot;", out),
            0xef if !rest[at..].starts_with(['\u{fffe}', '\u{ffff}']) => {
                // A character of three bytes.
                out.push_str(&rest[at..at + 3]);
                3
            }
            // In the value of an attribute, they would have another meaning.
            b'\n' | b'\t' if is_text => {
                out.push_str(&rest[at..=at]);
                1
            }
            _ => return None,
        };
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    Some(())
}

/// Writes the escape for a character of one byte, and returns its length.
fn push(escaped: &str, out: &mut String) -> usize {
    out.push_str(escaped);
    1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::jid;
    use crate::types::{Extensions, Reactions};

    /// Checks that a written stanza is read in the same way as the library's text.
    fn is_written_alike(stanza: &Stanza) {
        let by_library = stream::written(stanza).ok().and_then(|text| read_again(&text, None));
        let here = Written::of_stanza(stanza).ok().and_then(|written| written.stanza());
        assert_eq!(here, by_library);
        let Some(here) = here else { return };
        let id = RawStanza::from(here).id().unwrap_or_default().to_owned();
        assert_eq!(Written::of_stanza(stanza).map(|written| written.id()), Ok(id));
    }

    #[test]
    fn what_plugins_write_is_written() {
        for xml in [
            "<message to='a@b' id='1'><x xmlns='urn:x'><y a='1' xml:lang='de'>t&#13;</y><z xmlns='urn:z'/></x></message>",
            "<message to='a@b' type='error' id='&apos;&lt;'><error type='cancel'/></message>",
            "<message to='a@b'><p:x xmlns:p='urn:x' p:a='1'/><body xml:lang='de'>a</body><body>b</body></message>",
            "<message to='a@b'><stream:x xmlns:stream='http://etherx.jabber.org/streams'/><y xmlns='urn:y'> </y></message>",
            "<presence to='a@b' id='1'/>",
            "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        ] {
            is_written_alike(RawStanza::parse(xml, &jid("me@house")).unwrap().stanza());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_is_said_is_written_as_the_library_writes_it(
            texts in prop::array::uniform4(prop::option::of(prop_oneof![any::<String>(), "[<>&'\"\\]\n\t\r a-c\u{fffd}\u{ef00}]{0,8}"])),
            kind in prop::sample::select(MessageKind::ALL.to_vec()),
            is_extended: bool,
        ) {
            let [body, subject, thread, id] = texts;
            let id = id.unwrap_or_default();
            let reactions = Reactions { id: id.clone(), emojis: body.iter().chain(&subject).cloned().collect() };
            let extensions = Extensions { reactions: Some(reactions), markable: true, thread_parent: subject.clone(), ..Extensions::default() };
            let extensions = is_extended.then(|| Box::new(extensions));
            let draft = Draft { body, subject, thread, extensions, ..Draft::default() };
            let outgoing = || Outgoing::Message {
                to: jid("you@far"),
                kind,
                id: id.clone(),
                draft: draft.clone(),
                to_occupant: is_extended,
            };
            let stanza = encode(outgoing());
            is_written_alike(&stanza);
            let (at_once, by_way_of_it) = (Written::of(outgoing()).unwrap(), Written::of_stanza(&stanza).unwrap());
            assert_eq!(at_once.text, by_way_of_it.text);
        }
    }
}
