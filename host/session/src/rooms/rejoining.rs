//! Being put out of rooms: whether the owner wants us back, and the news for the owner.

use parlor_config::Rejoin;

use super::RoomTurn;
use crate::effect::Effect;

/// Returns whether we come back after we were put out, and counts kicks for that. A ban and the end of a room are final:
/// coming back all the same would be a nuisance.
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

/// Tells the owner how we stand in a room. `was_in`: we were in it, and did not merely fail to enter.
pub(super) fn tell_owner(room: &mut RoomTurn<'_, '_>, was_in: bool) {
    let news = room.rooms.records.news(room.jid, was_in);
    room.turn.out.extend(news.map(Effect::RoomNews));
}
