//! Reading the occupants of a room.

use parlor_session::Occupant;
use parlor_session::permissions::CallName;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Hat;

use super::super::fits;
use super::super::types::shown_card;
use super::reading::known;
use crate::bindings::parlor::plugin::types::Occupant as WitOccupant;
use crate::instance::Instance;

/// Size of an occupant in a plugin's memory without its texts, as the contract lays it out.
const RECORD: usize = 248;

/// Returns who is in a room.
pub(super) fn read(instance: &Instance, text: &str) -> Result<Vec<WitOccupant>, CallError> {
    let room = known(instance, CallName::RoomsOccupants, text)?;
    let texts = |one: &Occupant| {
        let real = one.jid.as_ref().map_or(0, |jid| jid.as_str().len());
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let said = optional(&one.status) + optional(&one.occupant_id) + one.hats.iter().map(Hat::bytes).sum::<usize>();
        2 * one.room.as_str().len() + one.nick.len() + real + said + shown_card(one.card.as_deref())
    };
    let remedy = "listen to `occupantJoined` and `occupantLeft` instead";
    fits(instance, "occupants", remedy, room.occupants.values().map(|one| RECORD + texts(one)))?;
    let shown = |occupant: &Occupant| {
        let mut occupant = occupant.clone();
        occupant.keep_trusted(Some(&*room));
        WitOccupant::from(&occupant)
    };
    Ok(room.occupants.values().map(|occupant| shown(occupant)).collect())
}
