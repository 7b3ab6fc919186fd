//! Reading a room's attributes: those that plugins set, and the fields of its record.

use parlor_session::permissions::CallName;
use parlor_session::{Attribute, Room, field_name};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Actor;
use serde_json::{Value, json};

use crate::instance::Instance;

/// Returns an attribute that a plugin set, or a field of the record, as JSON.
pub(super) fn read(instance: &Instance, text: &str, name: &str) -> Result<Option<String>, CallError> {
    Attribute::check_name(name)?;
    let room = super::reading::known(instance, CallName::RoomsGetAttribute, text)?;
    Ok(match field(&room, name) {
        Some(field) => Some(field).filter(|field| !field.is_null()).map(|field| field.to_string()),
        None => room.view.attribute(name).map(ToString::to_string),
    })
}

/// Returns a field of the record. None: it is an attribute.
fn field(room: &Room, name: &str) -> Option<Value> {
    Some(match &*field_name(name) {
        "actor" => json!(room.actor.as_ref().map(|Actor { nick, jid }| {
            let jid = jid.as_ref().map(ToString::to_string);
            json!({ "nick": nick, "jid": jid })
        })),
        "affiliation" => json!(room.affiliation),
        "alternative" => json!(room.alternative.as_ref().map(ToString::to_string)),
        "features" => json!(room.about.features),
        "focused" => json!(room.view.focused),
        "jid" => json!(room.jid.as_str()),
        "joined" => json!(room.joined),
        "left" => json!(room.left),
        "logged" => json!(room.logged),
        "minimized" => json!(room.view.minimized),
        "name" => json!(room.about.name),
        "nick" => json!(room.nick),
        "occupants" => json!(room.occupants.len()),
        "reason" => json!(room.reason),
        "role" => json!(room.role),
        "shown" => json!(room.view.shown),
        "shows-jids" => json!(room.shows_jids),
        "subject" => json!(room.subject),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use parlor_session::ROOM_FIELDS;

    use super::*;

    #[test]
    fn each_field_that_is_no_attribute_can_be_read_like_one() {
        let room = Room::new("hall@muc.example.org".parse().unwrap(), "bot".to_owned());
        assert_eq!(ROOM_FIELDS.iter().filter(|name| field(&room, name).is_none()).count(), 0);
        let contract = include_str!("../../../../../wit/types.wit");
        let (_, record) = contract.split_once("record room {").unwrap();
        let fields = record.split('}').next().unwrap().lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let fields: BTreeSet<_> = fields.filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
        assert_eq!(fields, ROOM_FIELDS.iter().copied().collect(), "each field of the record can be read");
        assert_eq!((field(&room, "nick"), field(&room, "subject")), (Some(json!("bot")), Some(Value::Null)));
        for spelled in ["shows-jids", "shows_jids", "showsJids"] {
            assert_eq!(field(&room, spelled), Some(json!(false)), "{spelled}");
        }
        assert_eq!((field(&room, "height"), field(&room, "SHOWSJIDS")), (None, None));
    }
}
