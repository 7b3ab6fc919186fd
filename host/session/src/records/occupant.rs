//! An occupant of a room, as readers see it.

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_stanza::types::{Actor, Hat, Show};

use super::card::KnownCard;
use super::room::Room;

/// An occupant of a room. Fields as in `occupant` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Occupant {
    pub room: BareJid,
    pub nick: String,
    pub role: String,
    pub affiliation: String,
    pub jid: Option<Jid>,
    pub show: Option<Show>,
    pub status: Option<String>,
    pub own: bool,
    pub previous_nick: Option<String>,
    pub left: Option<&'static str>,
    pub reason: Option<String>,
    /// Shown only if [`Room::has_occupant_ids`](super::room::Room::has_occupant_ids).
    pub occupant_id: Option<String>,
    /// Shown only if [`Room::has_hats`](super::room::Room::has_hats).
    pub hats: Vec<Hat>,
    /// Set only in events: an occupant's record does not have it.
    pub actor: Option<Actor>,
    /// The occupant's vCard, once it was fetched.
    pub card: Option<Arc<KnownCard>>,
}

impl Occupant {
    /// Returns how many bytes it takes. The nickname counts twice, since it is a key as well.
    ///
    /// The vCard is counted where all of them are kept.
    pub fn bytes(&self) -> usize {
        let optional = |text: Option<&str>| text.map_or(0, str::len);
        let chosen = 2 * self.nick.len() + optional(self.status.as_deref()) + optional(self.occupant_id.as_deref());
        let hats: usize = self.hats.iter().map(Hat::bytes).sum();
        size_of::<Self>() + chosen + optional(self.jid.as_ref().map(Jid::as_str)) + hats
    }

    /// Returns whether there is nothing that [`Self::keep_trusted`] removes.
    pub(crate) fn is_trusted(&self, room: Option<&Room>) -> bool {
        (self.occupant_id.is_none() || room.is_some_and(Room::has_occupant_ids))
            && (self.hats.is_empty() || room.is_some_and(Room::has_hats))
    }

    /// Removes what anybody may have written, unless this room announces that only it writes such.
    pub fn keep_trusted(&mut self, room: Option<&Room>) {
        if !room.is_some_and(Room::has_occupant_ids) {
            self.occupant_id = None;
        }
        if !room.is_some_and(Room::has_hats) {
            self.hats = Vec::new();
        }
    }
}

/// Returns whether this is the address of an occupant of this room.
pub(crate) fn is_occupant(jid: &Jid, room: &BareJid) -> bool {
    jid.as_str().strip_prefix(room.as_str()).is_some_and(|rest| rest.starts_with('/'))
}
