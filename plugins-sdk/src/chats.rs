//! Private chats. Reading needs `chats.read`, opening and closing `chats.write`, speaking `messages.send`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! let id = chats::send("juliet@example.org", "But soft!").await?;
//! info!("sent as {id}");
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::chats;
use crate::error::{Error, Result};
use crate::types::{Message, Outgoing, each, owned};

pub use crate::types::Chat;

/// The open chat with this address. Never opens one.
pub fn get(jid: impl AsRef<str>) -> Result<Option<Chat>> {
    chats::get(jid.as_ref()).map_err(Error::from)
}

/// Several, in the same order.
pub fn get_many(jids: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<Option<Chat>>> {
    chats::get_many(&owned(jids)).map_err(Error::from)
}

/// All that are open, ordered by JID.
pub fn get_all() -> Result<Vec<Chat>> {
    chats::get_all().map_err(Error::from)
}

/// Opens a chat; one that is open is simply given.
pub async fn open(jid: impl AsRef<str>) -> Result<Chat> {
    chats::open(jid.as_ref().to_owned()).await.map_err(Error::from)
}

/// Several, each with its own result, in the same order.
pub async fn open_many(jids: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<Result<Chat>>> {
    chats::open_many(owned(jids)).await.map(each).map_err(Error::from)
}

/// Closes a chat.
pub async fn close(jid: impl AsRef<str>) -> Result<()> {
    chats::close(jid.as_ref().to_owned()).await.map_err(Error::from)
}

/// Several, each with its own result, in the same order.
pub async fn close_many(jids: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<Result<()>>> {
    chats::close_many(owned(jids)).await.map(each).map_err(Error::from)
}

/// Sends a message of the kind `chat`, and gives its id once it is queued on the stream.
pub async fn send(jid: impl AsRef<str>, message: impl Into<Outgoing>) -> Result<String> {
    chats::send(jid.as_ref().to_owned(), message.into()).await.map_err(Error::from)
}

/// Answers somebody in private, in the same chat and thread.
///
/// For a message from a room, that is a private message to its author there.
pub async fn reply(to: &Message, message: impl Into<Outgoing>) -> Result<String> {
    let whom = if to.is_groupchat() { &to.from } else { &to.chat };
    send(whom, message.into().in_thread_of(to)?).await
}
