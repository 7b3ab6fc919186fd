//! The knowledge of one account, and the rules about reading and changing it.
//!
//! [`Session`] is fed with stanzas from the stream, commands of plugins, and the time. It changes its state and returns
//! the [`Effect`]s, in order. Readers never touch it: they hold a [`Snapshot`].
//!
//! **Owns:** roster, presence, rooms, chats, archive queries, chat commands, promises and status of one account; [`event`]s and
//! the [`router`] that hands them to plugins; [`permissions`].
//!
//! **Must not** do I/O: no network, no file, no guest. It gets the time as an input instead of reading a clock, and it
//! never waits for a plugin.
//!
//! **Begin with** [`Session`], the inputs, then `features.rs`, which hands each input to a feature, then the file of one
//! feature. The layers, each of which names only those before it:
//!
//! 1. `records/`, the data that readers get, and `event.rs`, which carries them
//! 2. `permissions/`, then `router.rs` and `router/`: who may see which event, and who gets it
//! 3. `answer.rs`, `questions.rs`, `effect.rs`, `deadlines.rs`, `waiters.rs`, `promises.rs`, and `iq.rs` with the pending requests
//! 4. `turn.rs`: what all features share, with `disco/own.rs`, the information that the account announces
//! 5. one file for each feature: `roster.rs`, `rooms.rs`, `archive.rs` and more, and `snapshot.rs` with what they show
//! 6. `features.rs` and `features/`, the inputs that concern several features
//! 7. `calls.rs` and `calls/`, one [`Command`] for each change that a plugin can make
//! 8. `session.rs`

mod answer;
mod archive;
mod blocking;
mod bookmarks;
mod calls;
mod carbons;
mod cards;
mod chats;
pub mod command_names;
pub mod command_rules;
mod commands;
mod component;
mod contacts;
mod deadlines;
mod dialogs;
mod disco;
mod effect;
mod encryption;
mod entities;
pub mod event;
mod features;
mod focus;
mod hushed;
mod iq;
mod keys;
mod messages;
mod names;
mod owners;
pub mod permissions;
pub mod position;
mod presence;
mod promises;
mod pubsub;
mod questions;
mod records;
mod resting;
mod rooms;
mod roster;
pub mod router;
mod session;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;
mod turn;
mod waiters;

pub use answer::Answer;
pub use archive::pager::Pager;
pub use archive::{ArchivePage, Archived, OwnArchive};
pub use bookmarks::{Bookmarks, NoBookmarks};
pub use calls::archive::QueryArchive;
pub use calls::bookmarks::{RemoveBookmark, SetBookmark};
pub use calls::cards::{GetCard, SetCard, UpdateCard};
pub use calls::chats::{ChangeChatView, CloseChat, OpenChat, SetChatAttribute};
pub use calls::commands::{
    AddCommand, AnswerFailed, AnswerForm, DeclareCommand, FindForm, ForgetCommands, RemoveCommand,
};
pub use calls::contacts::{BlockAddress, ChangeContact, ListBlocked, UnblockAddress};
pub use calls::dialogs::BeginDialog;
pub use calls::disco::{AddFeature, AddIdentity, ClearIdentities, Discover};
pub use calls::encryption::{BeginOtr, EndOtr};
pub use calls::entities::{GetActivity, GetSoftware, GetTime};
pub use calls::keys::{
    AbortComparison, AnswerComparison, BeginComparison, ForgetKeys, ListKeys, ResetOwnKeys, ResetSessions, SetTrust,
};
pub use calls::messages::SendMessage;
pub use calls::promises::{Emit, RegisterPromises, RejectPromise, TakeOverPromises, WaitUntil};
pub use calls::pubsub::{ChangeNode, GetItems, NodeAction, PublishItem, SubscribeNode, UnsubscribeNode, WhichItems};
pub use calls::registration::{AnswerVoice, GetReservedNick, RegisterWithRoom, RequestVoice, UnregisterFromRoom};
pub use calls::rooms::{
    ChangeRoomView, CloseRoom, ConfigureRoom, DeclineInvitation, DismissRoom, InviteToRoom, ListAffiliations,
    ModerateRoom, OpenRoom, RetractInRoom, SetRoomAttribute, SetSubject,
};
pub use calls::settings::{ChangeSettings, Wins};
pub use calls::stanzas::{SendIq, SendRaw};
pub use calls::status::SetStatus;
pub use calls::{AnyCommand, Command};
pub use commands::declaration::{Argument, Declaration, Declared};
pub use commands::kinds::Kind;
pub use commands::refusing::{command_owner, refuse_command, withhold_command};
pub use commands::{Added, Spoken};
pub use component::on_component;
pub use contacts::ContactChange;
pub use dialogs::answering::{ask_again, take_answer};
pub use dialogs::{DialogAnswer, DialogEnd, Question};
pub use disco::known::KnownDisco;
pub use effect::{Due, Effect, KeepRoster, KeyNews, KeyNewsKind, Sent};
pub use encryption::KeyCounts;
pub use encryption::comparisons::{Compared, ComparisonEnd, OpenComparison};
pub use encryption::deciding::{DecidedKey, KeyList, OwnKeys, OwnOmemo};
pub use encryption::kept::{KeptKeys, KeyChange, MessageKey, Way};
pub use encryption::otr::make_otr_key;
pub use encryption::trust::{KeyKind, KnownKey, grouped, typed};
pub use iq::rooms::ConfigValue;
pub use iq::{MOST_IQS, PATIENCE};
pub use keys::{
    changed_key_counts, keys_kept, keys_unreadable, keys_unwritten, otr_key_made, set_encryption, set_otr_people,
};
pub use owners::OWNER_COMMANDS;
pub use owners::telling::tell_owners;
pub use parlor_e2ee::omemo::Secret;
pub use questions::{OpenQuestions, PossibleAnswer, Repetition};
pub use records::card::KnownCard;
pub use records::chat::Chat;
pub use records::command_value::CommandValue;
pub use records::contact::{Contact, ContactResource, Contacts};
pub use records::due_time::DueTime;
pub use records::encryption::{OtrStatus, Undecryptable, UndecryptableReason};
pub use records::hook::Hook;
pub use records::iq_request::IqRequest;
pub use records::occupant::Occupant;
pub use records::plugin_request::PluginRequest;
pub use records::pubsub_item::{PubsubItem, PubsubKind};
pub use records::room::Room;
pub use records::room_record::{Departure, RoomNews, RoomRecord, RoomRecords, RoomState};
pub use records::status::{Status, StatusValue};
pub use records::view::{Attribute, CHAT_FIELDS, ROOM_FIELDS, View, ViewChange, field_name};
pub use records::webhook::Webhook;
pub use resting::{Unfinished, unfinished};
pub use rooms::MAX_ROOMS;
pub use rooms::opening::RoomOptions;
pub use rooms::passwords::RoomPasswords;
pub use session::{Session, Woken, await_room_passwords, moved, set_host_clients, set_name, set_room_passwords};
pub use snapshot::Snapshot;
