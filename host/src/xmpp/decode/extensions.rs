//! What a message carries beside its text, in one pass over its payloads: every message of the house comes through here.

use jid::{FullJid, Jid};
use jiff::Timestamp;
use minidom::Element;
use xmpp_parsers::ns;

use super::{is_same_bare, jid_attribute, muc, stanza_error};
use crate::error::StanzaError;
use crate::stanza::{Extensions, Invite, MessageKind, Reactions, ReplyTo};
use crate::xmpp::encode::REPLY;

/// How many reactions of one message are looked at.
const MAX_REACTIONS: usize = 64;

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) stanza_id: Option<String>,
    pub(super) origin_id: Option<String>,
    pub(super) delay: Option<Timestamp>,
    pub(super) extensions: Option<Box<Extensions>>,
    pub(super) error: Option<Box<StanzaError>>,
    pub(super) invite: Option<Box<Invite>>,
    pub(super) room_status: Vec<u16>,
}

impl Found {
    /// Allocated only for a message that carries any.
    fn extensions(&mut self) -> &mut Extensions {
        self.extensions.get_or_insert_default()
    }
}

/// Looks at each payload once. Names are compared first, since namespaces share long beginnings.
pub(super) fn read(payloads: &[Element], kind: MessageKind, from: &Jid, own: &FullJid) -> Found {
    let mut found = Found::default();
    for payload in payloads {
        match payload.name() {
            "stanza-id" if payload.has_ns(ns::SID) => {
                // Anybody can write this element; only the archive's own entity means it (XEP-0359, section 5).
                let archive: &Jid = if kind == MessageKind::Groupchat { from } else { own };
                if found.stanza_id.is_none() && payload.attr("by").is_some_and(|by| names(by, archive)) {
                    found.stanza_id = payload.attr("id").map(str::to_owned);
                }
            }
            "origin-id" if payload.has_ns(ns::SID) => found.origin_id = payload.attr("id").map(str::to_owned),
            "delay" if payload.has_ns(ns::DELAY) => found.delay = found.delay.or_else(|| stamp(payload)),
            "error" if payload.has_ns(ns::DEFAULT_NS) => found.error = Some(Box::new(stanza_error(payload))),
            // A room that speaks of itself does so under its own address.
            "x" if kind == MessageKind::Groupchat && from.is_bare() && payload.has_ns(ns::MUC_USER) => {
                found.room_status = muc::status(payload);
            }
            "x" if kind != MessageKind::Error && kind != MessageKind::Groupchat => {
                found.invite = found.invite.take().or_else(|| muc::invite(payload, from, own).map(Box::new));
            }
            _ => read_extension(payload, &mut found),
        }
    }
    found
}

/// Whether this text is the address of `archive` without its resource.
fn names(by: &str, archive: &Jid) -> bool {
    let resource = archive.resource().map_or(0, |resource| resource.as_str().len() + 1);
    // Servers write what they mean; reading a JID by all its rules costs more than the rest of the message.
    by == &archive.as_str()[..archive.as_str().len() - resource]
        || Jid::new(by).is_ok_and(|by| by.is_bare() && is_same_bare(&by, archive))
}

fn read_extension(payload: &Element, found: &mut Found) {
    let id = || payload.attr("id").map(str::to_owned);
    match payload.name() {
        "reply" if payload.has_ns(REPLY) => {
            found.extensions().reply = id().map(|id| ReplyTo { id, to: jid_attribute(payload, "to") });
        }
        "replace" if payload.has_ns(ns::MESSAGE_CORRECT) => found.extensions().replace = id(),
        "reactions" if payload.has_ns(ns::REACTIONS) => {
            let emojis = payload.children().filter(|child| child.is("reaction", ns::REACTIONS));
            let emojis = emojis.take(MAX_REACTIONS).map(Element::text).collect();
            found.extensions().reactions = id().map(|id| Reactions { id, emojis });
        }
        "request" if payload.has_ns(ns::RECEIPTS) => found.extensions().receipt_requested = true,
        "received" if payload.has_ns(ns::RECEIPTS) => found.extensions().receipt = id(),
        marker @ ("received" | "displayed" | "acknowledged") if payload.has_ns(ns::DISPLAYED_MARKERS) => {
            if let Some(id) = id() {
                let extensions = found.extensions();
                extensions.marker = Some(marker.to_owned());
                extensions.marked = Some(id);
            }
        }
        state @ ("active" | "composing" | "paused" | "inactive" | "gone") if payload.has_ns(ns::CHATSTATES) => {
            found.extensions().chat_state = Some(state.to_owned());
        }
        _ => {}
    }
}

/// When it was sent (XEP-0203).
pub(super) fn stamp(delay: &Element) -> Option<Timestamp> {
    delay.attr("stamp")?.parse().ok()
}
