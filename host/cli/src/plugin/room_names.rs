//! Addresses of rooms, as owners write and read them.

use jid::BareJid;
use parlor_base::escape::escape_untrusted;
use parlor_session::permissions::RoomList;

/// Parses the address of a room.
pub(super) fn room(text: &str) -> Result<BareJid, String> {
    RoomList::room(text).map_err(|error| error.to_string())
}

/// Returns the addresses of rooms, escaped for display.
pub(super) fn names(rooms: &RoomList) -> Vec<String> {
    rooms.iter().map(|room| escape_untrusted(room.as_str(), usize::MAX)).collect()
}

/// Lists rooms for people.
pub(super) fn shown(rooms: &RoomList) -> String {
    names(rooms).join(", ")
}
