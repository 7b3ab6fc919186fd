//! `rooms`: rooms with several people.

use std::sync::Arc;

use futures_util::future::join_all;
use jid::BareJid;
use wasmtime::component::Accessor;

use super::types::draft;
use super::{answer, bare_jid, bounded, caller, pace, text};
use crate::bindings::parlor::plugin::rooms::{Attributes, Host, HostWithStore};
use crate::bindings::parlor::plugin::types::{Error, Occupant as WitOccupant, Outgoing, Room as WitRoom};
use crate::error::CallError;
use crate::permissions::{Permission, Target};
use crate::plugins::{Context, Grouping, Instance};
use crate::session::{Command, Room};
use crate::stanza::{MessageKind, RoomJoin};

/// Fields of a room's configuration, each with its values.
type Fields = Vec<(String, Vec<String>)>;

/// How many fields of a room's configuration one call may set.
const MAX_FIELDS: usize = 100;
/// The longest nickname, password or field.
const MAX_TEXT: usize = 4 << 10;

impl Host for Context {
    fn get(&mut self, jid: String) -> Result<Option<WitRoom>, Error> {
        answer(get(&self.instance, "jid", &[jid]).map(|mut found| found.pop().flatten()))
    }

    fn get_many(&mut self, jids: Vec<String>) -> Result<Vec<Option<WitRoom>>, Error> {
        answer(get(&self.instance, "jids", &jids))
    }

    fn get_all(&mut self) -> Result<Vec<WitRoom>, Error> {
        let rooms = answer(covered(&self.instance, Permission::RoomsRead))?;
        Ok(rooms.iter().map(|room| (&**room).into()).collect())
    }

    fn occupants(&mut self, jid: String) -> Result<Vec<WitOccupant>, Error> {
        answer(occupants(&self.instance, &jid))
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn open(accessor: &Accessor<T, Self>, jid: String, attributes: Attributes) -> Result<WitRoom, Error> {
        let (instance, _open) = caller(accessor)?;
        answer(open(&instance, "jid", &jid, &attributes).await)
    }

    async fn open_many(
        accessor: &Accessor<T, Self>,
        jids: Vec<String>,
        attributes: Attributes,
    ) -> Result<Vec<Result<WitRoom, Error>>, Error> {
        let (instance, _open) = caller(accessor)?;
        let opened =
            join_all(bounded("jids", &jids)?.iter().map(|jid| open(&instance, "jids", jid, &attributes))).await;
        Ok(opened.into_iter().map(answer).collect())
    }

    async fn close(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        let (instance, _open) = caller(accessor)?;
        let jid = bare_jid("jid", &jid)?;
        answer(close(&instance, jid).await)
    }

    async fn close_many(accessor: &Accessor<T, Self>, jids: Vec<String>) -> Result<Vec<Result<(), Error>>, Error> {
        let (instance, _open) = caller(accessor)?;
        let all: Vec<_> = if bounded("jids", &jids)?.is_empty() {
            // Denials for the others would name rooms that the plugin may not know of.
            covered(&instance, Permission::RoomsJoin)?.into_iter().map(|room| Ok(room.jid.clone())).collect()
        } else {
            jids.iter().map(|jid| bare_jid("jids", jid)).collect()
        };
        let closed = join_all(all.into_iter().map(async |jid| close(&instance, jid?).await)).await;
        Ok(closed.into_iter().map(answer).collect())
    }

    async fn send(accessor: &Accessor<T, Self>, jid: String, message: Outgoing) -> Result<String, Error> {
        answer(send(accessor, &jid, message).await)
    }
}

fn get(instance: &Instance, argument: &str, jids: &[String]) -> Result<Vec<Option<WitRoom>>, CallError> {
    let snapshot = instance.account.snapshot();
    bounded(argument, jids)?
        .iter()
        .map(|text| {
            let jid = bare_jid(argument, text)?;
            instance.require(Permission::RoomsRead, Target::Room(&jid))?;
            Ok(snapshot.rooms.get(&jid).map(|room| (&**room).into()))
        })
        .collect()
}

/// All open rooms that this grant covers; an error where there is no such grant.
fn covered(instance: &Instance, permission: Permission) -> Result<Vec<Arc<Room>>, CallError> {
    let grants = instance.mailbox.grants().load();
    if !grants.has(permission) {
        return Err(instance.deny(permission, None));
    }
    let is_covered = |room: &Room| grants.may_do(permission, Target::Room(&room.jid), &|_| false);
    Ok(instance.account.snapshot().rooms.values().filter(|room| is_covered(room)).cloned().collect())
}

fn occupants(instance: &Instance, text: &str) -> Result<Vec<WitOccupant>, CallError> {
    let jid = bare_jid("jid", text)?;
    instance.require(Permission::RoomsRead, Target::Room(&jid))?;
    let snapshot = instance.account.snapshot();
    let room = snapshot.rooms.get(&jid).ok_or_else(|| CallError::NotFound(jid.to_string()))?;
    Ok(room.occupants.values().map(|occupant| (&**occupant).into()).collect())
}

async fn open(
    instance: &Arc<Instance>,
    argument: &str,
    jid: &str,
    attributes: &Attributes,
) -> Result<WitRoom, CallError> {
    let jid = bare_jid(argument, jid)?;
    let configure = configuration(attributes)?;
    for (argument, value) in [("attributes.nick", &attributes.nick), ("attributes.password", &attributes.password)] {
        if let Some(value) = value {
            text(argument, value, MAX_TEXT)?;
        }
    }
    instance.require(Permission::RoomsJoin, Target::Room(&jid))?;
    if !attributes.roomconfig.is_empty() {
        instance.require(Permission::RoomsConfigure, Target::Room(&jid))?;
    }
    pace(instance).await?;
    let _waits = instance.waits_for_session();
    let nick = attributes.nick.clone();
    let join = RoomJoin { password: attributes.password.clone(), history: attributes.history };
    let room = instance.account.ask(|answer| Command::OpenRoom { jid, nick, join, configure, answer }).await?;
    Ok((&*room).into())
}

/// The fields with their full names, or none where the room is to be as the server would have it.
fn configuration(attributes: &Attributes) -> Result<Option<Fields>, CallError> {
    let fields = &attributes.roomconfig;
    if !attributes.auto_configure {
        return if fields.is_empty() {
            Ok(None)
        } else {
            Err(CallError::invalid("attributes.roomconfig", "fields need auto-configure"))
        };
    }
    if fields.len() > MAX_FIELDS {
        return Err(CallError::invalid("attributes.roomconfig", format!("more than {MAX_FIELDS} fields")));
    }
    let mut full = Vec::with_capacity(fields.len());
    for (name, values) in fields {
        for value in values.iter().chain([name]) {
            text("attributes.roomconfig", value, MAX_TEXT)?;
        }
        full.push((format!("muc#roomconfig_{name}"), values.clone()));
    }
    Ok(Some(full))
}

async fn close(instance: &Instance, jid: BareJid) -> Result<(), CallError> {
    instance.require(Permission::RoomsJoin, Target::Room(&jid))?;
    instance.account.ask(|answer| Command::CloseRoom { jid, answer }).await
}

async fn send<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    jid: &str,
    message: Outgoing,
) -> Result<String, CallError> {
    let (instance, _open) = caller(accessor)?;
    let jid = bare_jid("jid", jid)?;
    let draft = Box::new(draft(message)?);
    instance.require(Permission::RoomsSend, Target::Room(&jid))?;
    pace(&instance).await?;
    let to = jid.into();
    instance.account.ask(|answer| Command::SendMessage { to, kind: MessageKind::Groupchat, draft, answer }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::plugins::disconnected_instance;
    use crate::plugins::limits::Limits;
    use crate::session::{Session, Snapshot};

    #[tokio::test]
    async fn all_rooms_are_all_that_the_grant_covers() {
        let (instance, _mailbox) =
            disconnected_instance("\"rooms.join\" = [\"mine@muc.example.org\"]", Limits::default());
        let room = |jid: &str| {
            let jid: BareJid = jid.parse().unwrap();
            (jid.clone(), Arc::new(Room::new(jid, "bot".to_owned())))
        };
        let snapshot = Session::new("bot@example.org".parse().unwrap(), Settings::default()).snapshot();
        let rooms = [room("mine@muc.example.org"), room("secret@muc.example.org")].into_iter().collect();
        instance.account.publish(Snapshot { rooms, ..snapshot });
        let found = covered(&instance, Permission::RoomsJoin).unwrap();
        assert_eq!(found.iter().map(|room| room.jid.as_str()).collect::<Vec<_>>(), ["mine@muc.example.org"]);
        let denied = covered(&instance, Permission::RoomsRead).unwrap_err();
        assert!(matches!(denied, CallError::Denied { scope: None, .. }), "{denied:?}");
    }
}
