//! Reads elements in simple XML, in one pass over their text.
//!
//! Nearly all elements of a stream use only a few features of XML ("simple XML"). For these, this is a tenth of the
//! work of a complete parser. All other elements are left to the library: those with prefixes, comments, CDATA, numeric
//! character references, text next to elements, or unusual white space, and those that are not well-formed.

use std::ops::Range;
use std::sync::Arc;

use xmpp_parsers::ns;

use crate::sieve::limits::UNASKED;
use crate::text::RESERVED;
use crate::xml::Xml;

/// The maximum length of an element that is read here.
const MAX_BYTES: usize = 64 << 10;
/// The maximum numbers of elements in it, of attributes of each, and of the elements around one. Like all limits here,
/// these are below those of the [sieve](crate::sieve), which passes such an element as it is. A message that OMEMO
/// encrypts for a room has an element for each device of all people.
const MAX_ELEMENTS: usize = 500;
const MAX_ATTRIBUTES: usize = 16;
const _: () = assert!(MAX_ELEMENTS < UNASKED.elements && MAX_ELEMENTS * MAX_ATTRIBUTES < UNASKED.attributes);
const MAX_DEPTH: usize = 32;
/// The maximum lengths of a name, of the value of an attribute, and of a namespace.
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 2_048;
const MAX_NAMESPACE: usize = 256;
/// The attribute that declares the namespace of an element.
const NAMESPACE: &str = "xmlns";
/// The attribute with the language of an element.
const LANG: &str = "xml:lang";
/// Stands for no node.
const NONE: u32 = u32::MAX;

/// An element in simple XML, with its contents.
#[derive(Debug)]
pub struct PlainElement {
    text: Arc<str>,
    /// Values with characters that are escaped in the text.
    unescaped: String,
    /// The elements in their order; the first one contains all others.
    nodes: Vec<Node>,
    attributes: Vec<Attribute>,
}

/// A count of handled stanzas, or the request for one (XEP-0198).
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
    /// The position behind it in the text.
    stop: u32,
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

/// Returns whether this parser may accept an element that begins with these bytes: a message, or an element of stream
/// management. Reading others only to refuse them would waste time.
pub fn is_worth_reading(bytes: &[u8]) -> bool {
    [&b"<message"[..], b"<r ", b"<a "].iter().any(|head| bytes.starts_with(head))
}

impl PlainElement {
    /// Reads an element; `None` if it is not in simple XML.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Self::first(bytes).filter(|(_, length)| *length == bytes.len()).map(|(element, _)| element)
    }

    /// Reads the element at the start of these bytes, and returns its length; `None` if it is not in simple XML, or
    /// incomplete.
    pub fn first(bytes: &[u8]) -> Option<(Self, usize)> {
        let bytes = &bytes[..bytes.len().min(MAX_BYTES)];
        let (nodes, attributes) = (Vec::with_capacity(8), Vec::with_capacity(24));
        let mut reader = Reader { bytes, at: 0, depth: 0, nodes, attributes, unescaped: Vec::new() };
        reader.read()?;
        let Reader { at, nodes, attributes, unescaped, .. } = reader;
        let text = std::str::from_utf8(&bytes[..at]).ok()?;
        if !text.is_ascii() && text.contains(['\u{fffe}', '\u{ffff}']) {
            return None;
        }
        let unescaped = String::from_utf8(unescaped).ok()?;
        Some((Self { text: text.into(), unescaped, nodes, attributes }, at))
    }

    /// Returns its count of handled stanzas, or its request for ours (XEP-0198); `None` if it is another element.
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

    /// Returns the element at this index.
    pub(crate) fn at(&self, at: u32) -> Plain<'_> {
        Plain { of: self, at }
    }

    /// Returns the text of which it was read.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
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

    /// Returns its index.
    pub(crate) fn index(self) -> u32 {
        self.at
    }

    /// Returns its source text, which is a complete document if it declares its namespace.
    pub(crate) fn whole(self) -> &'a str {
        // Its name follows the first character.
        &self.of.text[self.node().name.start as usize - 1..self.node().stop as usize]
    }

    /// Returns whether it declares its namespace itself.
    pub(crate) fn declares(self) -> bool {
        let Range { start, end } = self.node().attributes;
        let mut attributes = self.of.attributes[start as usize..end as usize].iter();
        attributes.any(|one| one.name.within(&self.of.text) == NAMESPACE)
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

/// Reads an element from bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    nodes: Vec<Node>,
    attributes: Vec<Attribute>,
    unescaped: Vec<u8>,
}

/// The parts of an element that a byte can belong to.
const NAME: u8 = 1;
const TEXT: u8 = 2;
const VALUE: u8 = 4;
/// The parts that each byte can belong to, in any context.
const PARTS: [u8; 256] = {
    let mut parts = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let this = byte as u8;
        if this.is_ascii_alphanumeric() || matches!(this, b'-' | b'_' | b'.' | b':') {
            parts[byte] |= NAME;
        }
        if this >= b' ' && !matches!(this, b'<' | b'&' | b']') {
            parts[byte] |= TEXT;
        }
        if this >= b' ' && !matches!(this, b'<' | b'&' | b'\'' | b'"') {
            parts[byte] |= VALUE;
        }
        byte += 1;
    }
    parts
};

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// Skips bytes of this kind, and returns how many.
    fn skip_all(&mut self, part: u8) -> usize {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| PARTS[usize::from(*byte)] & part == 0).unwrap_or(rest.len());
        self.at += length;
        length
    }

    fn within(&self, part: Part) -> &'a [u8] {
        &self.bytes[part.start as usize..part.end as usize]
    }

    /// Reads the element; `None` if it is not in simple XML, or incomplete.
    fn read(&mut self) -> Option<()> {
        let mut open = NONE;
        loop {
            self.skip(b'<')?;
            open = if self.peek()? == b'/' { self.closed(open)? } else { self.opened(open)? };
            if open == NONE {
                return Some(());
            }
            if self.peek()? != b'<' {
                self.content(open)?;
            }
        }
    }

    /// Reads the rest of an end tag, and returns the element that is open behind it.
    fn closed(&mut self, open: u32) -> Option<u32> {
        let end = u32::try_from(self.nodes.len()).ok()?;
        let node = self.nodes.get_mut(open as usize)?;
        node.end = end;
        let (name, parent) = (node.name, node.parent);
        let name = self.within(name);
        self.bytes[self.at + 1..].strip_prefix(name)?;
        self.at += 1 + name.len();
        self.depth -= 1;
        self.skip(b'>')?;
        self.nodes[open as usize].stop = u32::try_from(self.at).ok()?;
        Some(parent)
    }

    /// Reads the rest of a start tag, and returns the element that is open behind it.
    fn opened(&mut self, parent: u32) -> Option<u32> {
        let name = self.name()?;
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
            let attribute = self.attribute()?;
            let name = self.within(attribute.name);
            let others = &self.attributes[first..];
            if others.len() == MAX_ATTRIBUTES || others.iter().any(|other| self.within(other.name) == name) {
                return None;
            }
            if name == NAMESPACE.as_bytes() {
                namespace = Some(self.declared(attribute.value)?);
            }
            self.attributes.push(attribute);
        };
        if self.within(name).contains(&b':') || self.nodes.len() == MAX_ELEMENTS {
            return None;
        }
        let at = u32::try_from(self.nodes.len()).ok()?;
        let Part { start, end } = Part::of(first..self.attributes.len())?;
        let stop = u32::try_from(self.at).ok()?;
        self.nodes.push(Node { name, namespace, content: EMPTY, attributes: start..end, end: at + 1, parent, stop });
        if is_empty {
            return Some(parent);
        }
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(at)
    }

    /// Reads an attribute, whose name has no prefix.
    fn attribute(&mut self) -> Option<Attribute> {
        let name = self.name()?;
        self.skip(b'=')?;
        let quote = self.next().filter(|quote| matches!(quote, b'"' | b'\''))?;
        let start = self.at;
        let value = self.value(VALUE, quote)?;
        let length = self.at - start;
        self.at += 1;
        let known = self.within(name);
        let is_odd = (known.starts_with(b"xml") || known.contains(&b':'))
            && known != NAMESPACE.as_bytes()
            && known != LANG.as_bytes();
        (!is_odd && length <= MAX_VALUE).then_some(Attribute { name, value })
    }

    /// Returns a namespace that may be declared.
    fn declared(&self, namespace: Value) -> Option<Part> {
        let Value::Text(part) = namespace else { return None };
        let name = self.within(part);
        let is_fine = !name.is_empty() && name.len() <= MAX_NAMESPACE && !name.starts_with(RESERVED.as_bytes());
        is_fine.then_some(part)
    }

    /// Reads a name, with or without a prefix.
    fn name(&mut self) -> Option<Part> {
        let (start, first) = (self.at, self.peek()?);
        let is_fine = (first.is_ascii_alphabetic() || first == b'_') && self.skip_all(NAME) <= MAX_NAME;
        if is_fine { Part::of(start..self.at) } else { None }
    }

    /// Reads the text in an element, which must be its only content.
    fn content(&mut self, open: u32) -> Option<()> {
        let is_alone = self.nodes.len() == open as usize + 1;
        let content = self.value(TEXT, b'<')?;
        if !is_alone || self.bytes.get(self.at + 1) != Some(&b'/') {
            return None;
        }
        self.nodes[open as usize].content = content;
        Some(())
    }

    /// Reads text up to this delimiter. It is copied from the first escaped character on.
    fn value(&mut self, part: u8, end: u8) -> Option<Value> {
        const ENTITIES: [(&[u8], u8); 5] =
            [(b"&amp;", b'&'), (b"&lt;", b'<'), (b"&gt;", b'>'), (b"&apos;", b'\''), (b"&quot;", b'"')];
        let (mut start, mut copied) = (self.at, None);
        loop {
            self.skip_all(part);
            let rest = &self.bytes[self.at..];
            match *rest.first()? {
                found if found == end => break,
                b'&' => {
                    let (entity, character) = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity))?;
                    copied.get_or_insert(self.unescaped.len());
                    self.unescaped.extend_from_slice(&self.bytes[start..self.at]);
                    self.unescaped.push(*character);
                    self.at += entity.len();
                    start = self.at;
                }
                // The other kind of quote.
                b'\'' | b'"' => self.at += 1,
                // White space in an attribute has another meaning, and the end of CDATA must not be in a text.
                b'\n' | b'\t' if part == TEXT => self.at += 1,
                b']' if !rest.starts_with(b"]]>") => self.at += 1,
                _ => return None,
            }
        }
        match copied {
            None => Part::of(start..self.at).map(Value::Text),
            Some(copied) => {
                self.unescaped.extend_from_slice(&self.bytes[start..self.at]);
                Part::of(copied..self.unescaped.len()).map(Value::Unescaped)
            }
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
