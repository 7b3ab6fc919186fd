//! Rooms with several people (XEP-0045).
//!
//! Reading needs `rooms.read`, entering and leaving `rooms.join`, speaking `rooms.send`, each for the room.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! let room = rooms::open("hall@rooms.example.org", rooms::nick("Romeo")).await?;
//! rooms::send(&room.jid, "Good evening!").await?;
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::rooms;
use crate::error::{Error, Result};
use crate::types::{Message, Outgoing, each, owned};

pub use crate::bindings::parlor::plugin::rooms::Attributes;
pub use crate::types::{Occupant, Room};

/// Enter as `nick`, and else as the settings say. Without a wish: `rooms::Attributes::default()`.
pub fn nick(nick: impl Into<String>) -> Attributes {
    Attributes { nick: Some(nick.into()), ..Attributes::default() }
}

/// The room, if it was opened.
pub fn get(jid: impl AsRef<str>) -> Result<Option<Room>> {
    rooms::get(jid.as_ref()).map_err(Error::from)
}

/// Several, in the same order.
pub fn get_many(jids: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<Option<Room>>> {
    rooms::get_many(&owned(jids)).map_err(Error::from)
}

/// All open ones that the grant covers, ordered by JID.
pub fn get_all() -> Result<Vec<Room>> {
    rooms::get_all().map_err(Error::from)
}

/// Enters a room, and returns when we are in. [`Error::condition`] says why a room did not let us in.
pub async fn open(jid: impl AsRef<str>, attributes: Attributes) -> Result<Room> {
    rooms::open(jid.as_ref().to_owned(), attributes).await.map_err(Error::from)
}

/// Several, each with its own result, in the same order.
pub async fn open_many(
    jids: impl IntoIterator<Item = impl AsRef<str>>,
    attributes: Attributes,
) -> Result<Vec<Result<Room>>> {
    rooms::open_many(owned(jids), attributes).await.map(each).map_err(Error::from)
}

/// Leaves a room.
pub async fn close(jid: impl AsRef<str>) -> Result<()> {
    rooms::close(jid.as_ref().to_owned()).await.map_err(Error::from)
}

/// Several, each with its own result, in the same order. None given: all open ones.
pub async fn close_many(jids: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<Result<()>>> {
    rooms::close_many(owned(jids)).await.map(each).map_err(Error::from)
}

/// Says something in a room that we are in, and gives the message's id once it is queued.
pub async fn send(jid: impl AsRef<str>, message: impl Into<Outgoing>) -> Result<String> {
    rooms::send(jid.as_ref().to_owned(), message.into()).await.map_err(Error::from)
}

/// Answers before everybody, in the room that the message came from.
pub async fn reply(to: &Message, message: impl Into<Outgoing>) -> Result<String> {
    send(&to.chat, message.into().in_thread_of(to)?).await
}

/// Who is in the room, ordered by nickname.
pub fn occupants(jid: impl AsRef<str>) -> Result<Vec<Occupant>> {
    rooms::occupants(jid.as_ref()).map_err(Error::from)
}
