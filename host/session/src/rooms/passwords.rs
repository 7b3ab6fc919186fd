//! The passwords with which rooms are entered. The owner's for rooms of the settings go to their rooms alone: no plugin and no
//! invitation gets or replaces them.

use std::collections::BTreeMap;

use jid::BareJid;
use parlor_config::Hidden;
use parlor_stanza::types::Bookmark;

use super::Rooms;
use super::membership::{Membership, Reason};

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

/// Returns the password that is kept for entering a room again. `given` comes with a call or an invitation.
pub(super) fn password_to_keep(
    owners: &RoomPasswords,
    jid: &BareJid,
    given: Option<String>,
    reason: Reason,
    bookmark: Option<&Bookmark>,
) -> Option<String> {
    if owners.contains_key(jid) {
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
