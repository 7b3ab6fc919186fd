//! A message that somebody writes, and its reference to an earlier one.

use jid::FullJid;
use minidom::Element;
use parlor_stanza::encode::{extension_elements, name};
use parlor_stanza::types::{Extensions, SharedFile};
use xmpp_parsers::ns;

use super::sealed::Sealed;
use super::words::numbered;

/// A message from somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The sender; an occupant's JID in a room.
    pub from: FullJid,
    /// Whether it is for everybody in the room, and not only for the account.
    pub to_room: bool,
    /// The text; empty for a reaction.
    pub body: String,
    /// The earlier message that it refers to.
    pub about: Option<About>,
    /// How it is encrypted, if it is.
    pub sealed: Option<Sealed>,
    /// The hint behind which it is hidden, if it is; may be empty.
    pub spoiler: Option<String>,
    /// The file at the address in its text, if it is one (XEP-0447).
    pub file: Option<SharedFile>,
}

/// A reference to an earlier message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The kind of reference.
    pub how: How,
    /// The beginning of the earlier message.
    pub begins: String,
    /// The number of the message, from 1, among those that begin like this; `None` for the last one.
    pub which: Option<usize>,
}

/// The kind of a reference to an earlier message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Reactions to it, which replace earlier ones (XEP-0444).
    Reaction(Vec<String>),
    /// A reply to it (XEP-0461).
    Reply,
    /// A new text for it (XEP-0308).
    Correction,
    /// It is taken back (XEP-0424).
    Retraction,
}

impl Said {
    /// Returns a message that has only a text.
    pub fn by(from: FullJid, to_room: bool, body: String) -> Self {
        Self { from, to_room, body, about: None, sealed: None, spoiler: None, file: None }
    }

    pub(super) fn element(&self, ids: &Ids, body: &str, extensions: Extensions, own: &FullJid) -> Element {
        let mut payloads = Vec::new();
        let (spoiler, files) = (self.spoiler.clone(), self.file.iter().cloned().collect());
        extension_elements(Extensions { spoiler, files, ..extensions }, &mut payloads);
        let body = (!body.is_empty()).then(|| Element::builder("body", ns::JABBER_CLIENT).append(body).build());
        Element::builder("message", ns::JABBER_CLIENT)
            .attr(name("from"), self.from.to_string())
            .attr(name("to"), own.to_string())
            .attr(name("type"), if self.to_room { "groupchat" } else { "chat" })
            .attr(name("id"), ids.own.as_str())
            .append_all(body)
            .append_all(payloads)
            .append_all(ids.rooms.as_ref().map(|id| numbered(&self.from.to_bare(), id)))
            .append_all(self.sealed.map(Sealed::element))
            .build()
    }
}

/// The ids of a message: its author's, and that of its room.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    pub(super) own: String,
    pub(super) rooms: Option<String>,
}

impl Ids {
    /// Returns the id by which others refer to the message (XEP-0444, section 3.1; XEP-0461, section 3.1).
    pub(super) fn reference(&self) -> String {
        self.rooms.as_ref().unwrap_or(&self.own).clone()
    }
}
