//! Writing stanzas without ever writing XML: everything that is not a literal of the plugin is escaped.
//!
//! ```
//! use parlor_sdk::stanza::{self, Element, ns};
//!
//! let nudge = stanza::message()
//!     .to("juliet@example.org")
//!     .attr("type", "headline")
//!     .child(Element::new("attention").ns(ns::ATTENTION))
//!     .child(Element::new("body").text("<wake up>"));
//! assert_eq!(
//!     nudge.to_string(),
//!     "<message to='juliet@example.org' type='headline'>\
//!      <attention xmlns='urn:xmpp:attention:0'/><body>&lt;wake up&gt;</body></message>"
//! );
//! ```
//!
//! [`api::send`](crate::api::send) and [`api::ask`](crate::api::ask) take what is built here; [`parse`] reads what comes.

use std::fmt::{self, Write};

pub use crate::xml::{Parsed, parse};

/// Namespaces that plugins meet.
pub mod ns {
    /// Stanzas (RFC 6120); it need not be written.
    pub const CLIENT: &str = "jabber:client";
    /// The roster (RFC 6121).
    pub const ROSTER: &str = "jabber:iq:roster";
    /// Asking what an entity is and can do (XEP-0030).
    pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
    /// Asking what an entity has (XEP-0030).
    pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
    /// Forms (XEP-0004).
    pub const FORM: &str = "jabber:x:data";
    /// Rooms (XEP-0045).
    pub const MUC: &str = "http://jabber.org/protocol/muc";
    /// Rooms, for occupants (XEP-0045).
    pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
    /// Rooms, for their administrators (XEP-0045).
    pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
    /// Rooms, for their owners (XEP-0045).
    pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
    /// vCards (XEP-0054).
    pub const VCARD: &str = "vcard-temp";
    /// Publishing and subscribing (XEP-0060).
    pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
    /// Links attached to a message (XEP-0066).
    pub const OOB: &str = "jabber:x:oob";
    /// Chat states, such as "composing" (XEP-0085).
    pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
    /// The version of a client (XEP-0092).
    pub const VERSION: &str = "jabber:iq:version";
    /// Receipts (XEP-0184).
    pub const RECEIPTS: &str = "urn:xmpp:receipts";
    /// Pings (XEP-0199).
    pub const PING: &str = "urn:xmpp:ping";
    /// Delayed delivery (XEP-0203).
    pub const DELAY: &str = "urn:xmpp:delay";
    /// Asking for attention (XEP-0224).
    pub const ATTENTION: &str = "urn:xmpp:attention:0";
    /// Corrections (XEP-0308).
    pub const CORRECTION: &str = "urn:xmpp:message-correct:0";
    /// The archive (XEP-0313).
    pub const ARCHIVE: &str = "urn:xmpp:mam:2";
    /// Markers of read messages (XEP-0333).
    pub const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
    /// Hints on how to treat a message (XEP-0334).
    pub const HINTS: &str = "urn:xmpp:hints";
    /// Ids that survive the way (XEP-0359).
    pub const STANZA_ID: &str = "urn:xmpp:sid:0";
    /// Retractions (XEP-0424).
    pub const RETRACTION: &str = "urn:xmpp:message-retract:1";
    /// Reactions (XEP-0444).
    pub const REACTIONS: &str = "urn:xmpp:reactions:0";
    /// Parts of a body for clients that lack something (XEP-0428).
    pub const FALLBACK: &str = "urn:xmpp:fallback:0";
    /// Replies (XEP-0461).
    pub const REPLY: &str = "urn:xmpp:reply:0";
}

/// A `<message/>` without anything in it.
pub fn message() -> Element {
    Element::new("message")
}

/// A `<presence/>` without anything in it.
pub fn presence() -> Element {
    Element::new("presence")
}

/// An `<iq/>` that asks for something; the host sets its id.
pub fn iq(kind: IqKind) -> Element {
    Element::new("iq").attr(
        "type",
        match kind {
            IqKind::Get => "get",
            IqKind::Set => "set",
        },
    )
}

/// The types of IQ that a plugin may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IqKind {
    /// It asks.
    Get,
    /// It changes something.
    Set,
}

/// An XML element. Names are literals of the plugin; values may come from anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// An empty element of the namespace around it.
    pub fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new() }
    }

    /// In this namespace, like the elements inside it that name none.
    #[must_use]
    pub fn ns(self, namespace: impl Into<String>) -> Self {
        self.attr("xmlns", namespace)
    }

    /// The recipient.
    #[must_use]
    pub fn to(self, jid: impl AsRef<str>) -> Self {
        self.attr("to", jid.as_ref())
    }

    /// With an attribute; one that is there already is replaced.
    #[must_use]
    pub fn attr(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.retain(|(other, _)| *other != name);
        self.attributes.push((name, value.into()));
        self
    }

    /// With another element inside, at the end.
    #[must_use]
    pub fn child(mut self, child: Element) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// With text inside, at the end.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.children.push(Node::Text(text.into()));
        self
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}='")?;
            escape(value, f)?;
            f.write_char('\'')?;
        }
        if self.children.is_empty() {
            return f.write_str("/>");
        }
        f.write_char('>')?;
        for child in &self.children {
            match child {
                Node::Element(element) => element.fmt(f)?,
                Node::Text(text) => escape(text, f)?,
            }
        }
        write!(f, "</{}>", self.name)
    }
}

/// Writes text so that it reads back unchanged, even in an attribute; characters that XML 1.0 cannot contain become
/// U+FFFD.
fn escape(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for char in text.chars() {
        match char {
            '<' => f.write_str("&lt;")?,
            '>' => f.write_str("&gt;")?,
            '&' => f.write_str("&amp;")?,
            '\'' => f.write_str("&apos;")?,
            '"' => f.write_str("&quot;")?,
            // Unescaped, a parser makes a space or a line feed of these.
            '\t' => f.write_str("&#9;")?,
            '\n' => f.write_str("&#10;")?,
            '\r' => f.write_str("&#13;")?,
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
            other => f.write_char(other)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
