//! The rooms that the owner keeps a plugin to.

use parlor_base::id::PluginId;
use parlor_session::permissions::RoomList;
use toml::Value as Toml;

use super::recording::change_entry;
use super::{AdminError, PluginAdmin, known};
use crate::policy::edit::Change;

/// Keeps a plugin to these rooms; `None` lets it act in all that its grants cover. Returns whether that is a change.
pub fn keep_to_rooms(admin: &PluginAdmin<'_>, id: &PluginId, rooms: Option<&RoomList>) -> Result<bool, AdminError> {
    let mut file = admin.open()?;
    if known(admin, file.policy(), id)?.grants.rooms() == rooms {
        return Ok(false);
    }
    let key = vec!["rooms".to_owned()];
    let change = match rooms {
        None => Change::Unset(key),
        Some(rooms) => Change::Set(key, rooms_value(rooms)),
    };
    change_entry(admin, &mut file, id, &[change])?;
    Ok(true)
}

/// Returns the value of `rooms` in an entry.
pub fn rooms_value(rooms: &RoomList) -> Toml {
    rooms.iter().map(|room| Toml::from(room.as_str())).collect::<Vec<_>>().into()
}
