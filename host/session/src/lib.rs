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
//! **Begin with** [`Session`], the inputs, then `features.rs`, which hands each input to a feature, then the file of one
//! feature. `turn.rs` has what all features share. A [`Command`] stands beside the feature that carries it out.

mod archive;
mod bookmarks;
mod carbons;
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
mod iq;
mod lifecycle;
mod messages;
mod names;
mod occupants;
mod owners;
pub mod permissions;
pub mod position;
mod presence;
mod promises;
mod resend;
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

pub use archive::{ArchivePage, Archived, OwnArchive, Pager, QueryArchive};
pub use bookmarks::{Bookmarks, NoBookmarks, RemoveBookmark, SetBookmark};
pub use cards::{GetCard, KnownCard, SetCard, UpdateCard};
pub use chats::{ChangeChatView, Chat, CloseChat, OpenChat, SetChatAttribute};
pub use command::{Answer, AnyCommand, Command};
pub use commands::{AddCommand, AnswerFailed, RemoveCommand, Spoken};
pub use contacts::{ChangeContact, ContactChange};
pub use disco::{AddFeature, AddIdentity, ClearIdentities, Discover, KnownDisco};
pub use effect::{Due, Effect, Sent};
pub use iq::{MOST_IQS, PATIENCE, SendIq, SendRaw};
pub use messages::SendMessage;
pub use occupants::Occupant;
pub use owners::OWNER_COMMANDS;
pub use presence::ContactResource;
pub use promises::{AddPromises, Emit, RejectPromise, WaitUntil};
pub use rooms::{
    ChangeRoomView, CloseRoom, ConfigValue, ConfigureRoom, DeclineInvitation, InviteToRoom, ListAffiliations,
    MAX_ROOMS, ModerateRoom, OpenRoom, Room, RoomOptions, SetRoomAttribute, SetSubject,
};
pub use roster::{Contact, Contacts, KeepRoster};
pub use session::Session;
pub use settings::{ChangeSettings, Wins};
pub use snapshot::Snapshot;
pub use status::{SetStatus, Status, StatusValue};
pub use view::{Attribute, CHAT_FIELDS, ROOM_FIELDS, View, ViewChange, field_name};
