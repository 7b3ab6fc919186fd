//! Reads retractions: of a message's author (XEP-0424), and of a room for its moderators (XEP-0425).

use jid::Jid;
use xmpp_parsers::ns;

use super::extensions::{id_of, sendable_id};
use super::is_same_bare;
use crate::encode::{FASTEN, MODERATE, OLDER_MODERATE, OLDER_RETRACT};
use crate::text::kept;
use crate::types::{MessageKind, Moderated, RETRACT, address};
use crate::xml::Xml;

/// The namespace in which clients of `MongooseIM` retract a message by its id in the archive, and not by that of its author.
const BY_ARCHIVE_ID: &str = "urn:esl:message-retract-by-stanza-id:0";
/// The bytes of a reason that are kept.
const MAX_REASON: usize = 4 << 10;

/// A retraction of an earlier message.
pub(super) enum Retraction {
    /// Its author retracts the message of this id.
    OfAuthor(String),
    /// The room retracts it.
    OfRoom(Moderated),
}

/// Reads a payload of a message of this kind from this sender. Only a room itself retracts messages of others: the same element
/// from other senders is ignored.
pub(super) fn read<'a, E: Xml<'a>>(payload: E, kind: MessageKind, from: &Jid) -> Option<Retraction> {
    let room = (kind == MessageKind::Groupchat && from.is_bare()).then_some(from);
    if payload.has_ns(FASTEN) {
        return older(payload, kind, room);
    }
    let id = id_of(payload).filter(|_| payload.name() == "retract" && payload.has_ns(RETRACT))?;
    match child(payload, "moderated", MODERATE) {
        None => Some(Retraction::OfAuthor(id)),
        Some(by_room) => Some(Retraction::OfRoom(moderated(id, by_room, payload, room?))),
    }
}

/// Reads the forms of version 0.3 of XEP-0424 and version 0.2 of XEP-0425.
fn older<'a, E: Xml<'a>>(payload: E, kind: MessageKind, room: Option<&Jid>) -> Option<Retraction> {
    let id = id_of(payload).filter(|_| payload.name() == "apply-to")?;
    let Some(by_room) = child(payload, "moderated", OLDER_MODERATE) else {
        // Elsewhere, plugins know a message by the id that its author gave it, which this form does not have.
        let by_archive_id = || child(payload, "retract", BY_ARCHIVE_ID).filter(|_| kind == MessageKind::Groupchat);
        let retract = child(payload, "retract", OLDER_RETRACT).or_else(by_archive_id);
        return retract.map(|_| Retraction::OfAuthor(id));
    };
    by_room.children().find(|child| child.name() == "retract")?;
    Some(Retraction::OfRoom(moderated(id, by_room, by_room, room?)))
}

/// Reads what a room says of a retraction. `around` is the element that has the reason.
fn moderated<'a, E: Xml<'a>>(id: String, by_room: E, around: E, room: &Jid) -> Moderated {
    let by = by_room.attr("by").and_then(|by| address(by).ok());
    let occupant_id = child(by_room, "occupant-id", ns::OID).and_then(|occupant| occupant.attr("id"));
    let reason = around.children().find(|child| child.name() == "reason" && child.is_beside(around));
    Moderated {
        id,
        // Only an occupant of this room can have done it.
        by: by.filter(|by| is_same_bare(by, room)),
        occupant_id: occupant_id.and_then(sendable_id),
        reason: reason.map(|reason| kept(reason.text(), MAX_REASON)).filter(|reason| !reason.is_empty()),
    }
}

fn child<'a, E: Xml<'a>>(of: E, name: &str, namespace: &str) -> Option<E> {
    of.children().find(|child| child.name() == name && child.has_ns(namespace))
}
