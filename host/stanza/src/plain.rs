//! Reads elements that are written plainly, in one pass over their text.
//!
//! Nearly all elements of a stream are written with the same few means of XML. For these, this is a tenth of the work of a
//! complete parser. Whatever is written in another way is not read here at all, and left to the library: prefixes,
//! comments, CDATA, numbered characters, text beside elements, odd white space, and anything that is not well-formed.

use std::ops::Range;
use std::sync::Arc;

use xmpp_parsers::ns;

use crate::xml::Xml;

/// The maximum length of an element that is read here.
const MAX_BYTES: usize = 64 << 10;
/// The maximum number of attributes of an element that is read here.
const MAX_ATTRIBUTES: usize = 16;
/// The beginning of namespaces that are XML's own.
const RESERVED: &str = "http://www.w3.org/";
/// The attribute that declares the namespace of an element.
const NAMESPACE: &str = "xmlns";
/// The attribute with the language of an element.
const LANG: &str = "xml:lang";
/// Stands for no node.
const NONE: u32 = u32::MAX;

/// An element that is written plainly, with what is in it.
#[derive(Debug)]
pub struct PlainElement {
    text: Arc<str>,
    /// Values with characters that are escaped in the text.
    unescaped: String,
    /// The elements in their order; the first one contains all others.
    nodes: Vec<Node>,
    attributes: Vec<Attribute>,
}

/// What is said about the number of handled stanzas (XEP-0198).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// The other side asks for it.
    Asked,
    /// It is this one.
    Told(u32),
}

#[derive(Debug)]
struct Node {
    name: Part,
    /// The declared namespace; `None` if it is that of the stream.
    namespace: Option<Part>,
    /// The text in it.
    content: Value,
    attributes: Range<u32>,
    /// The index behind the last element in it.
    end: u32,
    /// The index of the element that contains it, or [`NONE`].
    parent: u32,
}

#[derive(Debug)]
struct Attribute {
    name: Part,
    value: Value,
}

/// A part of the text.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: u32,
    end: u32,
}

/// A value, as it is in the text or unescaped.
#[derive(Debug, Clone, Copy)]
enum Value {
    Text(Part),
    Unescaped(Part),
}

const EMPTY: Value = Value::Text(Part { start: 0, end: 0 });

impl Part {
    fn of(range: Range<usize>) -> Option<Self> {
        Some(Self { start: u32::try_from(range.start).ok()?, end: u32::try_from(range.end).ok()? })
    }

    fn within(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

impl PlainElement {
    /// Reads an element; `None` if it is not written plainly.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_BYTES {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        if !text.is_ascii() && text.contains(['\u{fffe}', '\u{ffff}']) {
            return None;
        }
        let reader = Reader {
            text,
            at: 0,
            nodes: Vec::with_capacity(8),
            attributes: Vec::with_capacity(16),
            unescaped: String::new(),
        };
        let Reader { nodes, attributes, unescaped, .. } = reader.read()?;
        Some(Self { text: text.into(), unescaped, nodes, attributes })
    }

    /// Returns what it says about the number of handled stanzas (XEP-0198); `None` if it is something else.
    pub fn handled(&self) -> Option<Handled> {
        let root = self.root();
        if !root.has_ns(ns::SM) || !root.content().is_empty() || self.nodes.len() > 1 {
            return None;
        }
        let mut attributes = root.attributes();
        match (root.name(), attributes.next(), attributes.next()) {
            ("r", None, None) => Some(Handled::Asked),
            ("a", Some(("h", h)), None) if h.bytes().all(|byte| byte.is_ascii_digit()) => {
                h.parse().ok().map(Handled::Told)
            }
            _ => None,
        }
    }

    /// Returns the element itself.
    pub(crate) fn root(&self) -> Plain<'_> {
        Plain { of: self, at: 0 }
    }

    /// Returns the text of which it was read.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Returns the numbers of elements and of attributes.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.nodes.len(), self.attributes.len())
    }

    fn value(&self, value: Value) -> &str {
        match value {
            Value::Text(part) => part.within(&self.text),
            Value::Unescaped(part) => part.within(&self.unescaped),
        }
    }
}

/// An element within a [`PlainElement`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<'a> {
    of: &'a PlainElement,
    at: u32,
}

impl<'a> Plain<'a> {
    fn node(self) -> &'a Node {
        &self.of.nodes[self.at as usize]
    }

    /// Returns the declared namespace; `None` if it is that of the stream.
    pub(crate) fn namespace(self) -> Option<&'a str> {
        self.node().namespace.map(|part| part.within(&self.of.text))
    }

    /// Returns the names and values of the attributes, without the namespace.
    pub(crate) fn attributes(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let Range { start, end } = self.node().attributes;
        let attributes = &self.of.attributes[start as usize..end as usize];
        let all = attributes.iter().map(move |one| (one.name.within(&self.of.text), self.of.value(one.value)));
        all.filter(|(name, _)| *name != NAMESPACE)
    }

    /// Returns the text in it, which is all of its content if it contains no elements.
    pub(crate) fn content(self) -> &'a str {
        self.of.value(self.node().content)
    }
}

impl<'a> Xml<'a> for Plain<'a> {
    fn name(self) -> &'a str {
        self.node().name.within(&self.of.text)
    }

    fn has_ns(self, namespace: &str) -> bool {
        self.namespace().unwrap_or(ns::JABBER_CLIENT) == namespace
    }

    fn is_beside(self, other: Self) -> bool {
        self.namespace() == other.namespace()
    }

    fn attr(self, name: &str) -> Option<&'a str> {
        self.attributes().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn lang(self) -> Option<&'a str> {
        self.attr(LANG)
    }

    fn text(self) -> String {
        self.content().to_owned()
    }

    fn children(self) -> impl Iterator<Item = Self> {
        let (mut next, end) = (self.at + 1, self.node().end);
        std::iter::from_fn(move || {
            let child = (next < end).then_some(Plain { of: self.of, at: next })?;
            next = child.node().end;
            Some(child)
        })
    }

    fn element(self) -> Option<&'a minidom::Element> {
        None
    }
}

/// Reads an element from its text.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    nodes: Vec<Node>,
    attributes: Vec<Attribute>,
    unescaped: String,
}

impl<'a> Reader<'a> {
    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes().get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// Reads the element; `None` if it is not written plainly.
    fn read(mut self) -> Option<Self> {
        let mut open = NONE;
        loop {
            self.skip(b'<')?;
            if self.bytes().get(self.at) == Some(&b'/') {
                open = self.closed(open)?;
            } else {
                open = self.opened(open)?;
            }
            if open == NONE {
                return (self.at == self.text.len()).then_some(self);
            }
            if self.bytes().get(self.at)? != &b'<' {
                self.content(open)?;
            }
        }
    }

    /// Reads the rest of an end tag, and returns the element that is open behind it.
    fn closed(&mut self, open: u32) -> Option<u32> {
        let end = u32::try_from(self.nodes.len()).ok()?;
        let node = self.nodes.get_mut(usize::try_from(open).ok()?)?;
        node.end = end;
        let (name, parent) = (node.name.within(self.text), node.parent);
        self.text[self.at + 1..].strip_prefix(name)?;
        self.at += 1 + name.len();
        self.skip(b'>')?;
        Some(parent)
    }

    /// Reads the rest of a start tag, and returns the element that is open behind it.
    fn opened(&mut self, parent: u32) -> Option<u32> {
        let name = self.name(false)?;
        let first = self.attributes.len();
        let mut namespace = self.nodes.get(parent as usize).and_then(|parent| parent.namespace);
        let is_empty = loop {
            match self.next()? {
                b'>' => break false,
                b'/' => {
                    self.skip(b'>')?;
                    break true;
                }
                b' ' => {}
                _ => return None,
            }
            let known = self.attributes.len() - first;
            let name = self.name(true)?;
            self.skip(b'=')?;
            let quote = self.next().filter(|quote| matches!(quote, b'"' | b'\''))?;
            let value = self.value(quote)?;
            self.at += 1;
            match name.within(self.text) {
                NAMESPACE => namespace = Some(self.declared(value)?),
                LANG => {}
                name if name.starts_with("xml") || name.contains(':') => return None,
                _ => {}
            }
            let is_same = |other: &Attribute| other.name.within(self.text) == name.within(self.text);
            if known == MAX_ATTRIBUTES || self.attributes[first..].iter().any(is_same) {
                return None;
            }
            self.attributes.push(Attribute { name, value });
        };
        let (at, attributes) = (u32::try_from(self.nodes.len()).ok()?, first..self.attributes.len());
        let Part { start, end } = Part::of(attributes)?;
        self.nodes.push(Node { name, namespace, content: EMPTY, attributes: start..end, end: at + 1, parent });
        Some(if is_empty { parent } else { at })
    }

    /// Returns a namespace that may be declared.
    fn declared(&self, namespace: Value) -> Option<Part> {
        let Value::Text(part) = namespace else { return None };
        let name = part.within(self.text);
        (!name.is_empty() && !name.starts_with(RESERVED)).then_some(part)
    }

    /// Reads a name; that of an attribute may have a prefix.
    fn name(&mut self, is_attribute: bool) -> Option<Part> {
        let rest = &self.bytes()[self.at..];
        let is_name = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || (is_attribute && byte == b':')
        };
        let length = rest.iter().position(|byte| !is_name(*byte))?;
        let is_begun = rest.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_');
        let start = self.at;
        self.at += length;
        if is_begun { Part::of(start..self.at) } else { None }
    }

    /// Reads the text in an element, which has to be all that is in it.
    fn content(&mut self, open: u32) -> Option<()> {
        let is_alone = self.nodes.len() == open as usize + 1;
        let content = self.value(b'<')?;
        if !is_alone || self.bytes().get(self.at + 1) != Some(&b'/') {
            return None;
        }
        self.nodes[open as usize].content = content;
        Some(())
    }

    /// Reads text up to this delimiter.
    fn value(&mut self, end: u8) -> Option<Value> {
        let rest = &self.bytes()[self.at..];
        let is_text = end == b'<';
        let is_special = |byte: &u8| *byte == end || matches!(*byte, b'&' | b'<' | b']') || *byte < b' ';
        let mut at = 0;
        loop {
            at += rest[at..].iter().position(is_special)?;
            match rest[at] {
                found if found == end => {
                    let part = Part::of(self.at..self.at + at)?;
                    self.at += at;
                    return Some(Value::Text(part));
                }
                b'&' => return self.escaped(end),
                // White space in an attribute has another meaning, and this must not be in a text.
                b'\n' | b'\t' if is_text => at += 1,
                b']' if !rest[at..].starts_with(b"]]>") => at += 1,
                _ => return None,
            }
        }
    }

    /// Reads text up to this delimiter, in which characters are escaped.
    fn escaped(&mut self, end: u8) -> Option<Value> {
        const ENTITIES: [(&str, char); 5] =
            [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&apos;", '\''), ("&quot;", '"')];
        let (start, is_text) = (self.unescaped.len(), end == b'<');
        let mut rest = &self.text[self.at..];
        loop {
            let is_special = |byte: u8| byte == end || matches!(byte, b'&' | b'<' | b']') || byte < b' ';
            let length = rest.bytes().position(is_special)?;
            self.unescaped.push_str(&rest[..length]);
            rest = &rest[length..];
            match rest.as_bytes()[0] {
                found if found == end => {
                    self.at = self.text.len() - rest.len();
                    return Part::of(start..self.unescaped.len()).map(Value::Unescaped);
                }
                b'&' => {
                    let (entity, character) = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity))?;
                    self.unescaped.push(*character);
                    rest = &rest[entity.len()..];
                    continue;
                }
                b'\n' | b'\t' if is_text => {}
                b']' if !rest.starts_with("]]>") => {}
                _ => return None,
            }
            self.unescaped.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_are_written() {
        let handled = |text: &str| PlainElement::read(text.as_bytes())?.handled();
        assert_eq!(handled("<r xmlns='urn:xmpp:sm:3'/>"), Some(Handled::Asked));
        assert_eq!(handled("<a h='7' xmlns='urn:xmpp:sm:3'/>"), Some(Handled::Told(7)));
        assert_eq!(handled("<a xmlns=\"urn:xmpp:sm:3\" h=\"4294967295\"></a>"), Some(Handled::Told(u32::MAX)));
        for odd in [
            "<r xmlns='urn:xmpp:sm:2'/>",
            "<r/>",
            "<r xmlns='urn:xmpp:sm:3' h='1'/>",
            "<a xmlns='urn:xmpp:sm:3'/>",
            "<a xmlns='urn:xmpp:sm:3' h='4294967296'/>",
            "<a xmlns='urn:xmpp:sm:3' h='+7'/>",
            "<a xmlns='urn:xmpp:sm:3' h=''/>",
            "<a xmlns='urn:xmpp:sm:3' h='7' x='8'/>",
            "<a xmlns='urn:xmpp:sm:3' h='7'>8</a>",
            "<a xmlns='urn:xmpp:sm:3' h='7'><b/></a>",
        ] {
            assert_eq!(handled(odd), None, "{odd}");
        }
    }
}
