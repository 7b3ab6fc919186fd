//! The knowledge of one account, and the rules about reading and changing it.
//!
//! [`Session`] is fed with stanzas from the stream, commands of plugins, and the time. It changes its state and returns
//! the [`Effect`]s, in order. Readers never touch it: they hold a [`Snapshot`].
//!
//! **Owns:** roster, presence, rooms, chats, archive queries, chat commands, promises and status of one account; [`event`]s and
//! the [`router`] that hands them to plugins; [`permissions`].
//!
//! **Must not** do I/O: no network, no file, no guest. It reads no clock but is told the time, and it never waits for a plugin.
//!
//! **Begin with** [`Session`] and [`Command`], then [`router`].

mod again;
mod archive;
mod cards;
mod chats;
mod command;
pub mod command_names;
mod commands;
mod contacts;
mod deadlines;
mod disco;
mod effect;
pub mod event;
mod features;
mod lifecycle;
mod messages;
mod names;
mod occupants;
mod owners;
pub mod permissions;
pub mod position;
mod presence;
mod promises;
mod questions;
mod rooms;
mod roster;
pub mod router;
mod session;
mod settings;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;
mod turn;
mod view;
mod waiters;

pub use archive::{ArchivePage, Archived, OwnArchive, Pager};
pub use cards::KnownCard;
pub use chats::Chat;
pub use command::{Answer, Command, Wins};
pub use commands::Spoken;
pub use contacts::ContactWish;
pub use disco::KnownDisco;
pub use effect::{Due, Effect, Sent};
pub use occupants::Occupant;
pub use owners::OWNER_COMMANDS;
pub use presence::ContactResource;
pub use questions::{MOST_IQS, PATIENCE};
pub use rooms::{Bookmarks, ConfigValue, MAX_ROOMS, NoBookmarks, Room, RoomDeed, RoomWish};
pub use roster::{Contact, Contacts, KeepRoster};
pub use session::Session;
pub use snapshot::Snapshot;
pub use status::{Status, StatusValue};
pub use view::{Attribute, CHAT_FIELDS, ROOM_FIELDS, View, ViewChange, field_name};
