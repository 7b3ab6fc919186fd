//! The passwords with which rooms are entered. The owner's for rooms of the settings go to their rooms alone: no plugin and no
//! invitation gets or replaces them.

use std::collections::{BTreeMap, BTreeSet};

use jid::BareJid;
use parlor_config::Hidden;
use parlor_stanza::types::Bookmark;

use super::Rooms;
use super::membership::{Membership, Reason, Stage};
use crate::turn::Turn;

/// The passwords that the owner gives for rooms.
pub type RoomPasswords = BTreeMap<BareJid, Hidden<String>>;

/// Takes over the owner's passwords. Returns the rooms that have a new one.
pub(crate) fn take_passwords(rooms: &mut Rooms, passwords: RoomPasswords) -> Vec<BareJid> {
    let before = std::mem::replace(&mut rooms.passwords, passwords);
    let is_new = |(room, now): &(&BareJid, &Hidden<String>)| before.get(*room) != Some(*now);
    let new: Vec<BareJid> = rooms.passwords.iter().filter(is_new).map(|(room, _)| room.clone()).collect();
    for room in &new {
        // It goes before one that a call has brought since.
        if let Some(membership) = rooms.memberships.get_mut(room) {
            membership.join.password = None;
        }
    }
    new
}

/// Notes that the owner gives passwords for these rooms that are not read yet.
pub(crate) fn await_passwords(rooms: &mut Rooms, awaited: BTreeSet<BareJid>) {
    rooms.awaited.extend(awaited);
}

/// Returns whether a room is entered later, since the owner's password for it is not read yet. Without it, the room would refuse us.
pub(super) fn waits_for_password(rooms: &Rooms, jid: &BareJid) -> bool {
    // A call may have brought another one.
    let lacks = |room: &Membership| matches!(room.stage, Stage::Outside { .. }) && room.join.password.is_none();
    let is_read = rooms.passwords.contains_key(jid);
    rooms.awaited.contains(jid) && !is_read && rooms.memberships.get(jid).is_some_and(lacks)
}

/// Enters the rooms that waited for their passwords, which are read now as far as they can be. On a lost stream, they are entered with
/// the other rooms on the next one.
pub(crate) fn enter_held(rooms: &mut Rooms, turn: &mut Turn<'_>) {
    let awaited = std::mem::take(&mut rooms.awaited);
    if !turn.is_live() || !turn.announced {
        return;
    }
    for jid in awaited {
        let is_held = |room: &Membership| room.stage == Stage::Outside { wanted: true } && room.deadline.is_none();
        if rooms.memberships.get(&jid).is_some_and(is_held) {
            rooms.one(&jid, turn).enter();
        }
    }
}

/// Returns whether the owner gives a password for a room, also if it is not read yet.
pub(super) fn has_owners(rooms: &Rooms, jid: &BareJid) -> bool {
    rooms.passwords.contains_key(jid) || rooms.awaited.contains(jid)
}

/// Returns the password that is kept for entering a room again. `given` comes with a call or an invitation.
pub(super) fn password_to_keep(
    rooms: &Rooms,
    jid: &BareJid,
    given: Option<String>,
    reason: Reason,
    bookmark: Option<&Bookmark>,
) -> Option<String> {
    if has_owners(rooms, jid) {
        // Anyone can send an invitation with a wrong one.
        return given.filter(|_| reason == Reason::Asked);
    }
    given.or_else(|| bookmark.and_then(|bookmark| bookmark.password.clone()))
}

/// Returns the password with which a room is entered now: the one of a call, else the owner's. A room without the owner's has that of
/// its bookmark, which may be another one since.
pub(super) fn password_for(owners: &RoomPasswords, jid: &BareJid, membership: &Membership) -> Option<String> {
    let kept = membership.join.password.clone();
    if let Some(Hidden(own)) = owners.get(jid) {
        return kept.or_else(|| Some(own.clone()));
    }
    let bookmark = membership.bookmark.as_deref();
    bookmark.and_then(|bookmark| bookmark.password.clone()).or(kept)
}
