//! Removal from rooms: decides whether to return, and notifies the owner.

use parlor_config::Rejoin;

use super::RoomTurn;
use crate::effect::Effect;

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

/// Reports our state in a room to the owner. `was_in`: we were in it, and did not merely fail to enter.
pub(super) fn tell_owner(room: &mut RoomTurn<'_, '_>, was_in: bool) {
    let news = room.rooms.records.news(room.jid, was_in);
    room.turn.out.extend(news.map(Effect::RoomNews));
}
