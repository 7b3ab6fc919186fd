//! Reading the rooms of the account.

use std::sync::Arc;

use jid::BareJid;
use parlor_session::Room;
use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;

use super::super::{bare_jid, fits};
use crate::bindings::parlor::plugin::types::Room as WitRoom;
use crate::instance::Instance;

/// Returns these rooms, each as far as the account knows it.
pub(super) fn get(
    instance: &Instance,
    call: CallName,
    jids: &[Option<BareJid>],
) -> Result<Vec<Option<WitRoom>>, CallError> {
    // Use one snapshot for all rooms, so that the answer is consistent.
    let mut snapshot = None;
    let find = |jid: &Option<BareJid>| {
        let Some(jid) = jid else { return Ok(None) };
        let granted = instance.granted(call, Target::Room(jid))?;
        Ok(snapshot.get_or_insert_with(|| instance.snapshot(&granted)).rooms.get(jid).cloned())
    };
    let found = jids.iter().map(find).collect::<Result<Vec<_>, CallError>>()?;
    fit(instance, found.iter().flatten().map(|room| &**room))?;
    Ok(found.into_iter().map(|room| room.map(|room| (&*room).into())).collect())
}

/// Returns all open rooms that the plugin may read.
pub(super) fn all(instance: &Instance) -> Result<Vec<WitRoom>, CallError> {
    let rooms = covered(instance, CallName::RoomsGetAll)?;
    fit(instance, rooms.iter().map(|room| &**room))?;
    Ok(rooms.iter().map(|room| (&**room).into()).collect())
}

/// Size of a room in a plugin's memory without its texts, as the contract lays it out; a list has the length of each.
const ROOM: usize = 152;
const FEATURE: usize = 8;

/// Checks whether a plugin can hold all of these at once.
pub(super) fn fit<'a>(instance: &Instance, rooms: impl Iterator<Item = &'a Room>) -> Result<(), CallError> {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let texts = |room: &Room| {
        let jids = room.jid.as_str().len() + room.alternative.as_ref().map_or(0, |jid| jid.as_str().len());
        let features: usize = room.about.features.iter().map(|feature| FEATURE + feature.len()).sum();
        let said = [&room.subject, &room.reason, &room.about.name].into_iter().map(optional).sum::<usize>();
        jids + room.nick.len() + said + features
    };
    fits(instance, "rooms", "ask for fewer with `rooms.get-many`", rooms.map(|room| ROOM + texts(room)))
}

/// Returns all open rooms for which the plugin may make this call. An error if it may for none.
pub(super) fn covered(instance: &Instance, call: CallName) -> Result<Vec<Arc<Room>>, CallError> {
    if let Some(permission) = call.rule().permission.filter(|one| !instance.mailbox.grants().has(*one)) {
        return Err(instance.deny(permission, None));
    }
    let is_covered = |room: &Room| instance.mailbox.granted(call, Target::Room(&room.jid), &|_| false).is_ok();
    Ok(instance.account.snapshot().rooms.values().filter(|room| is_covered(room)).cloned().collect())
}

/// Returns the known room, for plugins that may read it.
pub(super) fn known(instance: &Instance, call: CallName, text: &str) -> Result<Arc<Room>, CallError> {
    let jid = bare_jid("jid", text)?;
    let granted = instance.granted(call, Target::Room(&jid))?;
    let room = instance.snapshot(&granted).rooms.get(&jid).map(Arc::clone);
    room.ok_or_else(|| CallError::NotFound(jid.to_string()))
}
