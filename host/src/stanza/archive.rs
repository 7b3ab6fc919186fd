//! What is asked of an archive of messages, and what it says (XEP-0313, XEP-0059, XEP-0441).

use jid::Jid;
use jiff::Timestamp;

use super::Message;

/// The feature of an entity that has an archive; also the namespace of all that is said to it.
pub const MAM: &str = "urn:xmpp:mam:2";

/// One page that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveQuery {
    /// What its results carry, so that they are known.
    pub queryid: String,
    /// Only what was said with them.
    pub with: Option<Jid>,
    /// Nothing older.
    pub start: Option<Timestamp>,
    /// Nothing newer.
    pub end: Option<Timestamp>,
    /// How many at most.
    pub max: u32,
    /// Where the page is.
    pub cursor: Cursor,
}

/// Where in an archive a page is (XEP-0059, sections 2.1 to 2.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cursor {
    /// At the oldest message.
    #[default]
    Start,
    /// Right after the message with this archive id.
    After(String),
    /// Right before it; an empty one stands for the newest message's end.
    Before(String),
    /// At the message of this number.
    Index(u32),
}

/// One message of an archive, as it came.
#[derive(Debug)]
pub struct ArchiveResult {
    /// Who sent it; the own bare JID where the stanza names nobody.
    pub from: Jid,
    /// The query that it belongs to.
    pub queryid: Option<String>,
    /// The archive's id.
    pub id: String,
    /// When it was archived.
    pub stamp: Option<Timestamp>,
    /// The message; none where there is none that can be read.
    pub message: Option<Box<Message>>,
    /// The message is from, or about, this real JID, as a room's archive says (XEP-0313, section 5.1.1).
    pub author: Option<Jid>,
    /// About how many bytes of memory it takes.
    pub weight: usize,
}

/// What an archive says at the end of a page (XEP-0313, section 4.1; XEP-0059).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveFin {
    /// Nothing is left in the direction of the paging.
    pub complete: bool,
    /// The id of the page's first message.
    pub first: Option<String>,
    /// The number of that message.
    pub index: Option<u32>,
    /// The id of its last message.
    pub last: Option<String>,
    /// How many messages match in all.
    pub count: Option<u32>,
}

/// What the server's archive keeps (XEP-0441).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivePreferences {
    /// `always`, `never` or `roster`.
    pub default: String,
    /// Whose messages it keeps in any case.
    pub always: Vec<Jid>,
    /// Whose it never keeps.
    pub never: Vec<Jid>,
}
