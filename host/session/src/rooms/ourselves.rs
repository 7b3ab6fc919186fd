//! Tells whether a presence of a room is about this account (XEP-0045, sections 7.2 and 15.6).

use jid::{BareJid, Jid};
use parlor_stanza::error::StanzaError;
use parlor_stanza::types::{MucUser, Presence, PresenceKind};

use super::RoomTurn;
use super::membership::{Farewells, Stage};
use super::occupants::note_renamed;
use crate::records::room_record::is_nickname_taken;

/// The status code of a presence about ourselves.
pub(super) const OURSELVES: u16 = 110;
/// The status code of a room that was made for us.
pub(super) const CREATED: u16 = 201;
/// The status code of another nickname, which the service gives us when we enter.
const ASSIGNED: u16 = 210;

impl Farewells {
    /// Handles the confirmation of a room that we are out of, which arrived after the time limit for leaving.
    pub(crate) fn seen_off_late(&mut self, room: &BareJid, presence: &Presence) {
        let ourselves = presence.muc.as_ref().is_some_and(|muc| muc.status.contains(&OURSELVES));
        if ourselves && presence.kind == PresenceKind::Unavailable {
            self.came(room);
        }
    }
}

/// Returns whether an available presence is about us. Some services omit the code for that.
pub(super) fn is_ourselves(one: &RoomTurn<'_, '_>, stage: Stage, nick: &str, muc: &MucUser) -> bool {
    if muc.status.contains(&OURSELVES) && !is_other_client(one, stage, nick, muc.jid.as_ref()) {
        return true;
    }
    if stage != Stage::Entering {
        return false;
    }
    let own = &one.turn.own;
    // This very session has no other address.
    let has_our_address = muc.jid.as_ref().is_some_and(|real| real.is_full() && real == own);
    let is_of_others = |real: &Jid| real.to_bare() != own.to_bare() || (real.is_full() && real != own);
    // Only somebody who makes a room is told so, and only somebody who gets another nickname.
    let is_made = muc.status.contains(&CREATED) && one.rooms.shown.get(one.jid).is_some_and(|room| room.nick == nick);
    let is_assigned = muc.status.contains(&ASSIGNED) && !muc.jid.as_ref().is_some_and(is_of_others);
    has_our_address || is_made || is_assigned
}

/// Returns whether a presence with the code for ourselves is about another client of the account, under a nickname of its own:
/// Tigase sends the code to all clients of an account.
fn is_other_client(one: &RoomTurn<'_, '_>, stage: Stage, nick: &str, real: Option<&Jid>) -> bool {
    let own = &one.turn.own;
    let is_another = real.is_some_and(|real| real.is_full() && real != own && real.to_bare() == own.to_bare());
    let is_asked_for = one.rooms.memberships.get(one.jid).is_some_and(|membership| membership.nick == nick);
    let is_ours = one.rooms.shown.get(one.jid).is_some_and(|room| room.nick == nick);
    stage.is_in() && is_another && !is_asked_for && !is_ours
}

/// Notes our new nickname, if the room has said that the old one is over, and not which one follows.
pub(super) fn take_nick_told_late(one: &mut RoomTurn<'_, '_>, stage: Stage, new: &str, muc: Option<&MucUser>) {
    let jid = one.jid;
    if !stage.is_in() || !muc.is_some_and(|muc| is_ourselves(one, stage, new, muc)) {
        return;
    }
    let is_over = one.rooms.membership(jid).is_some_and(|own| std::mem::take(&mut own.is_nick_over));
    let old = one.rooms.shown.get(jid).map(|room| room.nick.clone()).filter(|old| old != new);
    if let Some(old) = old.filter(|_| is_over) {
        note_renamed(one, stage, &old, new, true);
    }
}

/// Returns whether an error refuses another nickname than the one that we ask for now. A room may refuse one twice.
pub(super) fn is_of_before(one: &RoomTurn<'_, '_>, from: &Jid, error: &StanzaError) -> bool {
    let asked = one.rooms.shown.get(one.jid).and_then(|room| room.jid.with_resource_str(&room.nick).ok());
    let (Some(asked), Some(refused)) = (asked, from.resource()) else { return false };
    is_nickname_taken(error) && refused.as_str() != asked.resource().as_str()
}
