//! The reasons why a list is not a scope, each with what to write instead.

use parlor_base::permission::ScopeKind;

use super::MOST_ENTRIES;

/// The reason why a list is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScope {
    /// The list covers nothing.
    #[error("an empty list covers nothing: write false, or leave the line out")]
    Empty,
    /// The list is too long.
    #[error("{0} entries are too many: write at most {MOST_ENTRIES}, or a domain such as \"@example.org\"")]
    TooMany(usize),
    /// The permission has no scope.
    #[error("there is nothing to list: write true")]
    NotScoped,
    /// An entry is not an address.
    #[error("{entry:?} is no address ({reason}): write {expected}")]
    NoAddress {
        /// The entry, as the owner wrote it.
        entry: String,
        /// Why it is not an address.
        reason: String,
        /// The entries that are valid here.
        expected: &'static str,
    },
    /// An entry is a word such as `everyone`. It would parse as a server's name, but a keyword was meant.
    #[error("{entry:?} is no address: did you mean {meant:?}? There can be {JID_ENTRIES}")]
    Word {
        /// The entry, as the owner wrote it.
        entry: String,
        /// The keyword that was probably meant.
        meant: &'static str,
    },
    /// An entry has a star among other characters.
    #[error("{entry:?} covers nobody, since a star stands for everybody and only by itself: write {meant:?}")]
    Star {
        /// The entry, as the owner wrote it.
        entry: String,
        /// The entry that was probably meant.
        meant: String,
    },
    /// The recipient of a stanza is wrong.
    #[error("behind \"{kind}:\", {reason}")]
    Recipient {
        /// The kind of stanza before the recipient.
        kind: String,
        /// Why the recipient is wrong.
        reason: Box<BadScope>,
    },
    /// An entry in a list of rooms is a server.
    #[error("{entry:?} is a server, not a room: write {ROOM_ENTRIES}")]
    NoRoom {
        /// The entry, as the owner wrote it.
        entry: String,
    },
    /// An entry in a list of rooms is an address with a resource.
    #[error("{entry:?} is an occupant, not a room: write {room:?}")]
    Occupant {
        /// The entry, as the owner wrote it.
        entry: String,
        /// The room of that occupant.
        room: String,
    },
    /// A list of rooms has the entry `contacts`, which are people.
    #[error("\"contacts\" are people, not rooms: write {ROOM_ENTRIES}")]
    ContactsAreNoRooms,
    /// An entry is not a kind of stanza.
    #[error("{0:?} is no kind of stanza: write \"message\", \"presence\" or \"iq\", each that is meant")]
    NoStanzaKind(String),
    /// An entry is not a size.
    #[error("{entry:?} is no size: write a whole number and one of B, KiB, MiB, GiB, such as [{meant:?}]")]
    NoSize {
        /// The entry, as the owner wrote it.
        entry: String,
        /// The size that was probably meant, or an example.
        meant: String,
    },
    /// An entry is neither a media type nor a size.
    #[error("{entry:?} is no kind of files ({reason}): write {FILE_ENTRIES}")]
    NoFile {
        /// The entry, as the owner wrote it.
        entry: String,
        /// Why it is none.
        reason: String,
    },
    /// An entry is not a namespace that a plugin may answer.
    #[error("{entry:?} cannot be answered by a plugin ({reason}): write {NAMESPACE_ENTRIES}")]
    NoNamespace {
        /// The entry, as the owner wrote it.
        entry: String,
        /// Why it is refused.
        reason: String,
    },
    /// An entry is not the id of a plugin.
    #[error("{entry:?} is no plugin ({reason}): write {PLUGIN_ENTRIES}")]
    NoPlugin {
        /// The entry, as the owner wrote it.
        entry: String,
        /// Why it is none.
        reason: String,
    },
    /// An entry is not a node of a service.
    #[error("{entry:?} is no node ({reason}): write {NODE_ENTRIES}")]
    NoNode {
        /// The entry, as the owner wrote it.
        entry: String,
        /// Why it is none.
        reason: String,
    },
    /// An entry is not a web server.
    #[error("{entry:?} is no server ({reason}): write {SERVER_ENTRIES}")]
    NoServer {
        /// The entry, as the owner wrote it.
        entry: String,
        /// Why it is not a server.
        reason: String,
    },
    /// The list has a second size.
    #[error("{0:?} is a second size: write one, such as [\"16 MiB\"]")]
    SecondSize(String),
}

pub(super) const JID_ENTRIES: &str = "\"*\", \"contacts\", \"juliet@example.org\" or \"@example.org\"";
pub(super) const MESSAGE_ENTRIES: &str =
    "\"*\", \"contacts\", \"juliet@example.org\", \"@example.org\", or one of these behind \"encrypted:\"";
pub(super) const ROOM_ENTRIES: &str = "\"*\", \"lobby@conference.example.org\" or \"@conference.example.org\"";
pub(super) const SERVER_ENTRIES: &str =
    "\"api.example.org\", \"*.example.org\", \"GET https://api.example.org/repos/\" or \"*\"";

pub(super) const NAMESPACE_ENTRIES: &str = "XML namespaces such as \"urn:example:weather\"";

pub(super) const PLUGIN_ENTRIES: &str = "\"*\", or the id of a plugin such as \"dice\"";

pub(super) const NODE_ENTRIES: &str =
    "\"*\", \"pubsub.example.org/news\", \"pubsub.example.org/*\" or \"own/urn:example:mood\"";

pub(super) const FILE_ENTRIES: &str = "\"*\", \"image/*\", \"10 MiB\" or \"image/png 5 MiB\"";

/// Returns the entries that a list of this kind can hold, for messages.
pub(in crate::permissions) fn entries_of(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::None => "nothing",
        ScopeKind::Jids => JID_ENTRIES,
        ScopeKind::Messages => MESSAGE_ENTRIES,
        ScopeKind::Rooms => ROOM_ENTRIES,
        ScopeKind::Stanzas => "\"message\", \"presence\" or \"iq\"",
        ScopeKind::Quota => "one size",
        ScopeKind::Servers => SERVER_ENTRIES,
        ScopeKind::Files => FILE_ENTRIES,
        ScopeKind::Namespaces => NAMESPACE_ENTRIES,
        ScopeKind::Plugins => PLUGIN_ENTRIES,
        ScopeKind::Nodes => NODE_ENTRIES,
    }
}
