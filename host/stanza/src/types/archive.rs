//! Queries of a message archive, and its answers (XEP-0313, XEP-0059, XEP-0441).

use jid::Jid;
use jiff::Timestamp;

use super::Message;

/// The feature of an entity that has an archive; also the namespace of queries and answers.
pub const MAM: &str = "urn:xmpp:mam:2";

/// A query for one page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveQuery {
    /// The id that the results carry, to recognise them.
    pub queryid: String,
    /// Only messages exchanged with this address.
    pub with: Option<Jid>,
    /// Only messages since this time.
    pub start: Option<Timestamp>,
    /// Only messages up to this time.
    pub end: Option<Timestamp>,
    /// Maximum number of messages.
    pub max: u32,
    /// The position of the page.
    pub cursor: Cursor,
}

/// The position of a page in an archive (XEP-0059, sections 2.1 to 2.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cursor {
    /// At the oldest message.
    #[default]
    Start,
    /// Directly after the message with this archive id.
    After(String),
    /// Directly before the message with this archive id. An empty id means the end of the archive.
    Before(String),
    /// At the message of this number.
    Index(u32),
}

/// A message of an archive, as received.
#[derive(Debug)]
pub struct ArchiveResult {
    /// The sender; the own bare JID if the stanza names none.
    pub from: Jid,
    /// The query that it belongs to.
    pub queryid: Option<String>,
    /// The archive's id of the message.
    pub id: String,
    /// The id that the archive has written into the message, unless somebody else did (XEP-0359).
    pub inner_id: Option<String>,
    /// When it was archived.
    pub stamp: Option<Timestamp>,
    /// The message. None: there is none that can be read.
    pub message: Option<Box<Message>>,
    /// The real JID that the message is from or about, according to a room's archive (XEP-0313, section 5.1.1).
    pub author: Option<Jid>,
    /// About how many bytes of memory it takes.
    pub weight: usize,
}

/// The archive's information at the end of a page (XEP-0313, section 4.1; XEP-0059).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveFin {
    /// Whether no messages are left in the direction of the paging.
    pub complete: bool,
    /// The id of the page's first message.
    pub first: Option<String>,
    /// The number of the page's first message.
    pub index: Option<u32>,
    /// The id of the page's last message.
    pub last: Option<String>,
    /// The total number of matching messages.
    pub count: Option<u32>,
}

/// The preferences of the server's archive (XEP-0441).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivePreferences {
    /// The default: `always`, `never` or `roster`.
    pub default: String,
    /// The addresses whose messages it always keeps.
    pub always: Vec<Jid>,
    /// The addresses whose messages it never keeps.
    pub never: Vec<Jid>,
}
