//! Messages, in and out.

use std::borrow::Cow;
use std::fmt;

use jid::Jid;
use jiff::Timestamp;

use super::{Invite, MucUser};
use crate::error::StanzaError;
use crate::xmpp::RawStanza;

/// The `type` of a message (RFC 6121, section 5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the RFC's own")]
pub enum MessageKind {
    Chat,
    Normal,
    Headline,
    Groupchat,
    Error,
}

impl MessageKind {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Chat, Self::Normal, Self::Headline, Self::Groupchat, Self::Error];

    /// As the attribute spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Normal => "normal",
            Self::Headline => "headline",
            Self::Groupchat => "groupchat",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a message reached this client when it was not sent to it (XEP-0280).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carbon {
    /// Another client of this account received it.
    Received,
    /// Another client of this account sent it.
    Sent,
}

/// A message as it came. Fields as in `message` of `wit/types.wit`.
#[derive(Debug, Clone)]
pub struct Message {
    /// The id that the author's client gave it.
    pub id: Option<String>,
    /// The archive's id, only where the archive's own entity says it (XEP-0359, section 5).
    pub stanza_id: Option<String>,
    /// The author's id that survives rewriting.
    pub origin_id: Option<String>,
    /// The conversation: the other side's bare JID or the room's; `session` makes it an occupant's for private messages in rooms.
    pub chat: Jid,
    /// The sender; the own bare JID where the stanza names none (RFC 6120, section 8.1.2.1).
    pub from: Jid,
    /// The recipient.
    pub to: Jid,
    /// The occupant's nickname, for a groupchat message from one.
    pub nick: Option<String>,
    /// Its type.
    pub kind: MessageKind,
    /// The text; the first where there are several.
    pub body: Option<String>,
    /// All texts with their languages, in the order in which they came; empty where there are not several.
    pub bodies: Vec<(String, String)>,
    /// The subject.
    pub subject: Option<String>,
    /// The thread.
    pub thread: Option<String>,
    /// The command that the host read in it; `session` sets it.
    pub command: Option<String>,
    /// The limit of the host over which a part of it was left out.
    pub cut: Option<String>,
    /// When it was sent (XEP-0203), else when it came.
    pub at: Timestamp,
    /// It was stored on the way, as somebody says whose word counts, or who gives no name.
    pub delayed: bool,
    /// When it was sent, as somebody says whose word does not count, or who gives no name; `session` believes it of a room's past, and
    /// of what was before the stream.
    pub claimed_at: Option<Timestamp>,
    /// It is a copy.
    pub carbon: Option<Carbon>,
    /// This account wrote it; `session` also sets it for its echoes in rooms.
    pub own: bool,
    /// It says that it is between somebody in a room and us alone (XEP-0045, section 7.5).
    pub of_occupant: bool,
    /// What it carries beside its text.
    pub extensions: Option<Box<Extensions>>,
    /// For the kind `error`: which.
    pub error: Option<Box<StanzaError>>,
    /// An invitation to a room that it carries (XEP-0045, section 7.8; XEP-0249).
    pub invite: Option<Box<Invite>>,
    /// The no to an invitation of ours (XEP-0045, section 7.8.2): `from` says it.
    pub declined: Option<Box<Invite>>,
    /// Status codes by which a room says what changed about itself (XEP-0045, section 10.2.1).
    pub room_status: Vec<u16>,
    /// A room says of which affiliation somebody is now who is not in it.
    pub affiliation: Option<Box<MucUser>>,
    /// The stanza itself, for those who may see XML.
    pub raw: RawStanza,
}

/// The namespace of replies. Who replies in most clients writes what is replied to before it, for those who know no
/// replies (XEP-0461, section 3.2).
pub const REPLY: &str = "urn:xmpp:reply:0";
/// What else others write into a body for those who do not know it, and is said by nobody: reactions (XEP-0444), which are read as
/// a reply then, and that a message is taken back (XEP-0424).
const NOT_SAID: [&str; 2] = ["urn:xmpp:reactions:0", "urn:xmpp:message-retract:1"];

impl Message {
    /// Whether there is a text that does not only stand in for a reply's quotation, for a reaction or for taking something back
    /// (XEP-0428, section 3).
    pub fn says_something(&self) -> bool {
        self.body.as_deref().is_some_and(|body| body.is_empty() || !self.said().is_empty())
    }

    /// The body without what it quotes for a reply, and without what stands in for a reaction or for taking something back, wherever
    /// that is; empty where there is none.
    pub fn said(&self) -> Cow<'_, str> {
        let body = self.body.as_deref().unwrap_or_default();
        let parts = self.extensions.iter().flat_map(|extensions| &extensions.fallback);
        let is_known = |feature: &str| feature == REPLY || NOT_SAID.contains(&feature);
        let parts = parts.filter(|part| part.feature.as_deref().is_none_or(is_known));
        let mut parts: Vec<(u32, u32)> = parts.map(|part| part.part.unwrap_or((0, u32::MAX))).collect();
        if parts.is_empty() {
            return Cow::Borrowed(body);
        }
        parts.sort_unstable();
        let (mut said, mut rest, mut at) = (String::new(), body, 0);
        // They may overlap, end before they begin, or lie behind the end: then nothing is left to leave out.
        for (start, end) in parts {
            let (kept, behind) = rest.split_at(place(rest, start.saturating_sub(at)));
            said.push_str(kept);
            at = at.max(start);
            rest = &behind[place(behind, end.saturating_sub(at))..];
            at = at.max(end);
        }
        said.push_str(rest);
        Cow::Owned(said.trim_start().to_owned())
    }
}

/// Where the character of this number begins, in bytes; the end of the text where there is none.
fn place(text: &str, number: u32) -> usize {
    text.char_indices().nth(number as usize).map_or(text.len(), |(at, _)| at)
}

/// What a message carries beside its text. Fields as in `extensions` of `wit/types.wit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Extensions {
    pub thread_parent: Option<String>,
    pub reply: Option<ReplyTo>,
    pub fallback: Vec<Fallback>,
    pub replace: Option<String>,
    pub reactions: Option<Reactions>,
    pub receipt_requested: bool,
    pub receipt: Option<String>,
    pub markable: bool,
    pub marker: Option<String>,
    pub marked: Option<String>,
    pub chat_state: Option<String>,
    pub hints: Vec<Hint>,
}

impl Extensions {
    /// Whether there are only such as make sense beside something else.
    pub fn say_nothing(&self) -> bool {
        let Self {
            thread_parent: _,
            reply: _,
            fallback: _,
            replace: _,
            reactions,
            receipt_requested: _,
            receipt,
            markable: _,
            marker,
            marked: _,
            chat_state,
            hints: _,
        } = self;
        reactions.is_none() && receipt.is_none() && marker.is_none() && chat_state.is_none()
    }
}

/// A part of the body for clients that lack something (XEP-0428).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Fallback {
    pub feature: Option<String>,
    /// In Unicode code points, the end excluded; none = the whole body.
    pub part: Option<(u32, u32)>,
}

/// What servers on the way should do with a message (XEP-0334).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the XEP's own")]
pub enum Hint {
    NoCopy,
    NoPermanentStore,
    NoStore,
    Store,
}

impl Hint {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::NoCopy, Self::NoPermanentStore, Self::NoStore, Self::Store];

    /// As the element is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCopy => "no-copy",
            Self::NoPermanentStore => "no-permanent-store",
            Self::NoStore => "no-store",
            Self::Store => "store",
        }
    }

    /// The hint of this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hint| hint.as_str() == name)
    }
}

/// The message that another one replies to (XEP-0461).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct ReplyTo {
    pub id: String,
    pub to: Option<Jid>,
}

/// Reactions to a message (XEP-0444).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Reactions {
    pub id: String,
    pub emojis: Vec<String>,
}

/// What a message to be sent says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Draft {
    pub body: Option<String>,
    pub subject: Option<String>,
    pub thread: Option<String>,
    pub extensions: Option<Box<Extensions>>,
}

impl Draft {
    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let extended = self.extensions.as_deref().map_or(0, |extensions| {
            let features = extensions.fallback.iter().filter_map(|one| one.feature.as_ref());
            let emojis = extensions.reactions.iter().flat_map(|reactions| &reactions.emojis);
            size_of::<Extensions>() + features.chain(emojis).map(|text| size_of::<String>() + text.len()).sum::<usize>()
        });
        let texts = [&self.body, &self.subject, &self.thread];
        size_of::<Self>() + texts.into_iter().flatten().map(String::len).sum::<usize>() + extended
    }
}
