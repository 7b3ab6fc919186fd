//! Addresses of rooms, as owners write and read them.

use jid::BareJid;
use parlor::control::addresses;
use parlor::control::views::Room;
use parlor_base::escape::{escape_untrusted, shell_word};
use parlor_base::id::PluginId;
use parlor_base::nearest::suggestion;
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

/// Returns a hint for a setting in a room in which the plugin does not act. The room may be added to it later.
pub(super) fn without_effect(id: &PluginId, room: &BareJid, rooms: Option<&RoomList>) -> Option<String> {
    let rooms = rooms.filter(|rooms| !rooms.has(room))?;
    let add = format!("parlor plugin rooms {id} --add {}", shell_word(room.as_str()));
    let room = escape_untrusted(room.as_str(), usize::MAX);
    Some(format!("{id} acts only in {}, so a value in {room} has no effect until `{add}`", shown(rooms)))
}

/// Returns a hint at the rooms that no account of the running host is in or waits for. An account may enter them later.
pub(super) fn unknown<'r>(rooms: impl IntoIterator<Item = &'r BareJid>, known: &[Room]) -> Option<String> {
    let known = known.iter().filter(|room| room.state != "out").filter_map(|room| BareJid::new(&room.room).ok());
    let known: Vec<_> = known.collect();
    let hint = |room: &BareJid| {
        let near = suggestion(addresses::nearest(room, &known).map(|near| near.as_str()));
        format!("no account of the host that runs is in {}{near}", escape_untrusted(room.as_str(), usize::MAX))
    };
    let lines: Vec<_> = rooms.into_iter().filter(|room| !known.contains(room)).map(hint).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jid(text: &str) -> BareJid {
        text.parse().unwrap()
    }

    #[test]
    fn a_value_in_a_room_of_other_plugins_is_hinted_at() {
        let (id, rooms) = ("guard-b".parse().unwrap(), RoomList::new([jid("hall@muc.example.org")]));
        let hint = |room: &str, rooms: Option<&RoomList>| without_effect(&id, &jid(room), rooms);
        assert_eq!(hint("hall@muc.example.org", Some(&rooms)), None);
        assert_eq!(hint("lounge@muc.example.org", None), None, "it acts everywhere");
        assert_eq!(
            hint("lounge@muc.example.org", Some(&rooms)).unwrap(),
            "guard-b acts only in hall@muc.example.org, so a value in lounge@muc.example.org has no effect until `parlor plugin rooms guard-b --add lounge@muc.example.org`"
        );
    }

    #[test]
    fn a_room_that_no_account_is_in_is_hinted_at() {
        let known = json!([
            { "account": "main", "room": "hall@muc.example.org", "state": "joined", "kept": false },
            { "account": "main", "room": "den@muc.example.org", "state": "out", "kept": false },
        ]);
        let known: Vec<Room> = serde_json::from_value(known).unwrap();
        let hint = |rooms: &[&str]| unknown(&rooms.iter().map(|room| jid(room)).collect::<Vec<_>>(), &known);
        assert_eq!(hint(&["hall@muc.example.org"]), None);
        assert_eq!(
            hint(&["hal@muc.example.org", "hall@muc.example.org", "den@muc.example.org"]).unwrap(),
            "no account of the host that runs is in hal@muc.example.org, did you mean \"hall@muc.example.org\"?\n\
             no account of the host that runs is in den@muc.example.org"
        );
    }
}
