//! Reading XML.

use std::rc::Rc;

use crate::error::{Error, Result};
use crate::failure::placed;

/// Deeper than the host lets anything in.
const DEEPEST: usize = 200;

/// A parsed element: an answer, or the payload of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Its name.
    pub name: String,
    /// Its namespace: its own, or that of its parent.
    pub namespace: Option<Rc<str>>,
    /// Its attributes, in their order.
    pub attributes: Vec<(String, String)>,
    /// The elements inside of it.
    pub children: Vec<Self>,
    /// The text in it, but not that in its children.
    pub text: String,
}

impl Parsed {
    /// Returns the value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The elements inside of it that have this name, in this namespace.
    pub fn all<'a>(&'a self, name: &'a str, namespace: &'a str) -> impl Iterator<Item = &'a Self> {
        let fits = move |child: &&Self| child.name == name && child.namespace.as_deref() == Some(namespace);
        self.children.iter().filter(fits)
    }

    /// The first of them.
    pub fn find<'a>(&'a self, name: &'a str, namespace: &'a str) -> Option<&'a Self> {
        self.all(name, namespace).next()
    }
}

/// Reads one element. [`Error::Invalid`]: it is not XML of the kind that stanzas use.
///
/// ```
/// use parlor_sdk::stanza::{ns, parse};
///
/// let answer = parse("<iq type='result'><query xmlns='jabber:iq:version'><name>Gajim</name></query></iq>")?;
/// let name = answer.find("query", ns::VERSION).and_then(|query| query.find("name", ns::VERSION));
/// assert_eq!(name.map(|name| name.text.as_str()), Some("Gajim"));
/// # Ok::<(), parlor_sdk::Error>(())
/// ```
#[track_caller]
pub fn parse(xml: &str) -> Result<Parsed> {
    placed(whole(xml))
}

fn whole(xml: &str) -> Result<Parsed> {
    let mut reader = Reader { rest: xml.trim_start() };
    let element = reader.element(None, 0)?;
    if reader.rest.trim_start().is_empty() { Ok(element) } else { Err(broken("goes on behind its element")) }
}

fn broken(reason: &str) -> Error {
    Error::invalid("xml", reason)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn element(&mut self, around: Option<&Rc<str>>, depth: usize) -> Result<Parsed> {
        if depth > DEEPEST {
            return Err(broken("has too many elements inside of each other"));
        }
        if !self.takes("<") {
            return Err(broken("does not begin with an element"));
        }
        let mut element = Parsed { name: self.name()?.to_owned(), namespace: around.cloned(), ..Parsed::default() };
        while !self.takes(">") {
            if self.takes("/>") {
                return Ok(element);
            }
            let (name, value) = self.attribute()?;
            if name == "xmlns" {
                element.namespace = Some(value.as_str().into());
            }
            element.attributes.push((name, value));
        }
        loop {
            let end = self.rest.find('<').ok_or_else(|| broken("ends in the midst of an element"))?;
            element.text += &unescaped(self.skip(end));
            if self.takes("</") {
                let is_it = self.name()? == element.name && self.takes(">");
                return if is_it { Ok(element) } else { Err(broken("ends an element that is not open")) };
            }
            let child = self.element(element.namespace.as_ref(), depth + 1)?;
            element.children.push(child);
        }
    }

    fn attribute(&mut self) -> Result<(String, String)> {
        let name = self.name()?.to_owned();
        if !self.takes("=") {
            return Err(broken("has an attribute without a value"));
        }
        let quote = if self.takes("'") { '\'' } else { '"' };
        if quote == '"' && !self.takes("\"") {
            return Err(broken("has an attribute whose value is not quoted"));
        }
        let end = self.rest.find(quote).ok_or_else(|| broken("ends in the midst of an attribute"))?;
        let value = unescaped(self.skip(end));
        self.rest = self.rest[1..].trim_start();
        Ok((name, value))
    }

    /// A name, and the spaces behind it.
    fn name(&mut self) -> Result<&'a str> {
        let ends = |sign: char| sign.is_ascii_whitespace() || "<>/=".contains(sign);
        let name = self.skip(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = self.rest.trim_start();
        if name.is_empty() { Err(broken("lacks a name")) } else { Ok(name) }
    }

    /// Whether this comes next; then it is taken, with the spaces behind a sign of a tag.
    fn takes(&mut self, sign: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(sign) else { return false };
        self.rest = if sign == "=" { rest.trim_start() } else { rest };
        true
    }

    fn skip(&mut self, size: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(size);
        self.rest = rest;
        skipped
    }
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some((sign, rest)) = part.split_once(';').and_then(|(name, rest)| Some((sign(name)?, rest))) {
            whole.push(sign);
            whole += rest;
        } else {
            whole.push('&');
            whole += part;
        }
    }
    whole
}

fn sign(name: &str) -> Option<char> {
    let number = |name: &str| match name.strip_prefix('x') {
        Some(number) => u32::from_str_radix(number, 16).ok(),
        None => name.parse().ok(),
    };
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        name => char::from_u32(number(name.strip_prefix('#')?)?),
    }
}
