//! Stanzas as plain data, without the types of any XMPP library.
//!
//! `xmpp/` converts stanzas of the server into [`Incoming`], and [`Outgoing`] into stanzas. Everything above knows only
//! these.

mod address;
mod adhoc;
mod archive;
mod blocking;
mod disco;
mod encryption;
mod entity;
mod incoming;
mod message;
mod omemo;
mod outgoing;
mod presence;
mod pubsub;
mod rooms;

use jid::BareJid;

pub use address::{LONGEST_ADDRESS, NoAddress, address};
pub use adhoc::{
    AdHoc, AdHocAction, AdHocAnswer, AdHocField, AdHocRefusal, AdHocRequest, AdHocStage, COMMANDS, FormStep,
    LONGEST_VALUE, RefusedValue,
};
pub use archive::{ArchiveFin, ArchivePreferences, ArchiveQuery, ArchiveResult, Cursor, MAM};
pub use blocking::{BLOCKING, MAX_BLOCKED, REPORTING, Report, ReportKind};
pub use disco::{Disco, Field, Form, Identity};
pub use encryption::{DeviceTrust, Encryption, EncryptionWish};
pub use entity::{Activity, EntityTime, MAX_IDLE, MAX_OFFSET, Software};
pub use incoming::{Answer, Body, ForeignRequest, Incoming, Query, Request};
pub use message::{
    Carbon, Draft, Extensions, Fallback, Hint, Label, LinkPreview, MAX_SPOILER, Message, MessageKind, Moderated, REPLY,
    RETRACT, Reactions, ReplyTo, SPOILER, STYLING, SharedFile,
};
pub use omemo::{
    DeviceLabel, Encrypted, EncryptedKeys, EncryptedOut, Envelope, KeyFor, ListedDevice, MAX_LISTED, OmemoForm,
    PublishedBundle, Sealed, SealedContent,
};
pub use outgoing::{Ask, Outgoing, Reply};
pub use presence::{Caps, Presence, PresenceKind, PresenceOut, PresenceOutKind, Show};
pub use pubsub::{
    MAX_ITEM_ID, MAX_NODE_CHANGES, MAX_NODE_ITEMS, NodeChange, NodeEvent, NodeItem, NodeOptions, NodePage, PubsubAsk,
};
pub use rooms::{
    Actor, Affiliated, Bookmark, BookmarkChange, BookmarkPlace, FormField, HATS, Hat, History, Invitation, Invite,
    MAX_AFFILIATED, MAX_BOOKMARKS, MAX_FORM_FIELDS, MAX_FORM_VALUES, MAX_HATS, MucUser, Registration, RoomJoin, VOICE,
    Voice, VoiceRequest,
};

pub(crate) use omemo::unwrapped;

pub use crate::text::kept;

/// An entry of the roster (RFC 6121, section 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterItem {
    /// The address of the contact.
    pub jid: BareJid,
    /// The name that was given to the contact.
    pub name: Option<String>,
    /// `none`, `to`, `from`, `both`, or `remove` in a push.
    pub subscription: String,
    /// Whether a subscription request to this contact is pending.
    pub ask: bool,
    /// The contact's groups, each once.
    pub groups: Vec<String>,
}

impl RosterItem {
    /// Maximum length of the names of a contact and of a group, in bytes.
    pub const LONGEST_NAME: usize = 1_023;
}

/// The features of a new stream that matter above the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offers {
    /// Whether the server has roster versions and sends only changes since one (RFC 6121, section 2.6.1).
    pub roster_versions: bool,
}
