//! Removal from rooms: decides whether to return, and notifies the owner.

use std::time::Duration;

use jid::BareJid;
use parlor_config::Rejoin;

use super::membership::Stage;
use super::{RoomTurn, Rooms};
use crate::effect::Effect;

/// The time between the returns to two rooms, if their service has removed us from all rooms at once.
const APART: Duration = Duration::from_millis(20);

/// Since when a bookmark or the settings list a room for entering it automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Somebody has just listed it, and thereby asks to enter it.
    Newly,
    /// It was listed before.
    Already,
}

/// Returns whether we return after we were removed, and counts kicks for that. A ban and the end of a room are final:
/// returning anyway would be a nuisance.
pub(super) fn rejoins(room: &mut RoomTurn<'_, '_>, why: &str) -> bool {
    if why != "kicked" {
        return false;
    }
    let Some(membership) = room.rooms.membership(room.jid) else { return false };
    let is_first = membership.kicks == 0;
    membership.kicks = membership.kicks.saturating_add(1);
    match room.turn.settings.rejoin {
        Rejoin::Always => true,
        Rejoin::KickedOnce => is_first,
        Rejoin::Never => false,
    }
}

/// Returns whether we do not enter a room now because a bookmark or the settings list it: we are out of it for good, or
/// return to it later. This holds until somebody asks to enter it.
pub(super) fn stays_out(rooms: &Rooms, jid: &BareJid) -> bool {
    match rooms.stage(jid) {
        Some(Stage::Outside { wanted: true }) => true,
        Some(Stage::Outside { wanted: false }) => {
            why_out(rooms, jid).is_some_and(|why| is_final(why) || why == "members-only")
        }
        Some(Stage::Entering | Stage::Configuring | Stage::Inside | Stage::Leaving) => false,
        // A members-only room that we were never in may have made us a member since.
        None => why_out(rooms, jid).is_some_and(is_final),
    }
}

/// Returns whether no invitation brings us into a room: somebody has put us out of it for good, or it is destroyed, and
/// anyone can send an invitation. This holds until somebody else asks to enter it.
pub(super) fn ignores_invitations(rooms: &Rooms, jid: &BareJid) -> bool {
    why_out(rooms, jid).is_some_and(is_final)
}

/// Returns why we are out of a room, if we do not return automatically.
fn why_out(rooms: &Rooms, jid: &BareJid) -> Option<&'static str> {
    // Others may have filled the records since.
    let shown = || rooms.shown.get(jid).and_then(|room| room.left);
    rooms.records.out_because(jid).or_else(shown)
}

/// Returns whether somebody has put us out of a room, or the room is destroyed.
fn is_final(why: &str) -> bool {
    matches!(why, "kicked" | "banned" | "affiliation" | "destroyed")
}

/// Continues the wait after a kick on a new stream. Returns `false` if it is over, or there is none.
pub(super) fn still_waits(room: &mut RoomTurn<'_, '_>) -> bool {
    let until = room.rooms.membership(room.jid).and_then(|membership| membership.not_before);
    let rest = until.unwrap_or_default().saturating_sub(room.turn.deadlines.elapsed());
    if rest.is_zero() {
        return false;
    }
    room.set_deadline(Some(rest));
    true
}

/// Returns by how much we return later to this room than to the first one, so that we do not enter all rooms of a service
/// that was restarted at the same moment.
pub(super) fn apart(rooms: &Rooms, jid: &BareJid) -> Duration {
    let before = rooms.shown.range(..jid.clone()).count();
    APART * u32::try_from(before).unwrap_or(u32::MAX)
}

/// Reports our state in a room to the owner. `was_in`: we were in it, and did not merely fail to enter.
pub(super) fn tell_owner(room: &mut RoomTurn<'_, '_>, was_in: bool) {
    let news = room.rooms.records.news(room.jid, was_in);
    room.turn.out.extend(news.map(Effect::RoomNews));
}
