//! Incoming and outgoing messages.

use std::borrow::Cow;
use std::fmt;

use jid::Jid;
use jiff::Timestamp;

use super::{DeviceTrust, Encrypted, Encryption, EncryptionWish, Invite, MucUser, NodeEvent, VoiceRequest};
use crate::error::StanzaError;
use crate::raw::RawStanza;

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
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Chat, Self::Normal, Self::Headline, Self::Groupchat, Self::Error];

    /// Returns the value of the attribute.
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

/// The direction of a message that is a copy from another client of the account (XEP-0280).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carbon {
    /// Another client of this account received it.
    Received,
    /// Another client of this account sent it.
    Sent,
}

/// A label that a hook gave a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The id of the hook's plugin.
    pub plugin: String,
    /// Its text.
    pub text: String,
}

/// A message from the server. Fields as in `message` of `wit/types.wit`.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub struct Message {
    /// The id that the author's client gave it.
    pub id: Option<String>,
    /// The archive's id, only if the archive's own entity set it (XEP-0359, section 5).
    pub stanza_id: Option<String>,
    /// The author's id that survives rewriting.
    pub origin_id: Option<String>,
    /// The conversation: the other side's bare JID, or the room's. `session` changes it to the occupant's address for
    /// private messages in rooms.
    pub chat: Jid,
    /// The sender; the own bare JID if the stanza names none (RFC 6120, section 8.1.2.1).
    pub from: Jid,
    /// The recipient.
    pub to: Jid,
    /// The occupant's nickname, for a groupchat message from an occupant.
    pub nick: Option<String>,
    /// The author's id in the room (XEP-0421), for such a message. `session` removes it unless the room announces such ids.
    pub occupant_id: Option<String>,
    /// The type of the message.
    pub kind: MessageKind,
    /// The text; the first one if there are several.
    pub body: Option<String>,
    /// All texts with their languages, in their order in the message. Empty unless there are several.
    pub bodies: Vec<(String, String)>,
    /// The subject.
    pub subject: Option<String>,
    /// The thread that it belongs to.
    pub thread: Option<String>,
    /// The command that the host recognised in it; `session` sets it.
    pub command: Option<String>,
    /// The host's limit because of which a part of it was omitted.
    pub cut: Option<String>,
    /// When it was sent (XEP-0203), else when it was received.
    pub at: Timestamp,
    /// Whether it was delayed, according to a stamp of a trusted entity, or one without a name.
    pub delayed: bool,
    /// When it was sent, according to a stamp of an untrusted entity, or one without a name. `session` trusts it for a
    /// room's history, and for messages from before the stream.
    pub claimed_at: Option<Timestamp>,
    /// Set if it is a carbon copy.
    pub carbon: Option<Carbon>,
    /// Whether this account wrote it; `session` also sets it for its echoes in rooms.
    pub own: bool,
    /// Whether it claims to be private between an occupant of a room and us (XEP-0045, section 7.5).
    pub of_occupant: bool,
    /// The contents other than its text.
    pub extensions: Option<Box<Extensions>>,
    /// The error, for the kind `error`.
    pub error: Option<Box<StanzaError>>,
    /// An invitation to a room that it carries (XEP-0045, section 7.8; XEP-0249).
    pub invite: Option<Box<Invite>>,
    /// The decline of our invitation (XEP-0045, section 7.8.2); the field `from` names who declined.
    pub declined: Option<Box<Invite>>,
    /// A visitor asks for voice, says a room (XEP-0045, section 8.6).
    pub voice: Option<Box<VoiceRequest>>,
    /// Status codes about changes of the room itself (XEP-0045, section 10.2.1).
    pub room_status: Vec<u16>,
    /// The room's notice about the new affiliation of someone who is not in it.
    pub affiliation: Option<Box<MucUser>>,
    /// The labels that hooks gave it.
    pub labels: Vec<Label>,
    /// How it was encrypted from end to end; `session` sets it once it has decrypted it.
    pub encryption: Option<Encryption>,
    /// The owner's decision about the device that encrypted it; `session` sets it together with `encryption`.
    pub device_trust: Option<DeviceTrust>,
    /// Its contents that are encrypted by OMEMO, one in each form, until `session` has decrypted them.
    pub encrypted: Vec<Encrypted>,
    /// How it is encrypted, as an element or a hint (XEP-0380) says, if its text is only for clients that cannot decrypt it. `session` reports
    /// it unless it decrypts it.
    pub sealed_by: Option<Encryption>,
    /// The events of publish-subscribe nodes in it (XEP-0060), mostly one. `session` checks whether its sender may send them.
    pub pubsub: Vec<NodeEvent>,
    /// The stanza itself, for plugins that may see XML.
    pub raw: RawStanza,
}

/// The namespace of replies. In most clients, a reply begins with a quotation of the original message, for clients
/// without replies (XEP-0461, section 3.2).
pub const REPLY: &str = "urn:xmpp:reply:0";
/// The namespace of retractions (XEP-0424).
pub const RETRACT: &str = "urn:xmpp:message-retract:1";
/// The namespace of spoilers (XEP-0382).
pub const SPOILER: &str = "urn:xmpp:spoiler:0";
/// The maximum length of the hint of a spoiler, in bytes.
pub const MAX_SPOILER: usize = 1_024;
/// The namespace of the hint that a text has no markup (XEP-0393).
pub const STYLING: &str = "urn:xmpp:styling:0";
/// The namespace of reactions (XEP-0444), whose fallback text would look like a reply.
const REACTIONS: &str = "urn:xmpp:reactions:0";

/// Prints no text: it may have been encrypted for this account alone. The tests of this package compare messages by all
/// that is in them.
#[cfg(not(test))]
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.body.as_ref().map(String::len);
        f.debug_struct("Message")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("body_length", &length)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}

impl Message {
    /// Returns whether a room wrote its text: rooms add one to the invitations and refusals that they forward. Nobody said it,
    /// and it may have the room's password.
    pub fn is_text_of_room(&self) -> bool {
        self.declined.is_some() || self.invite.as_ref().is_some_and(|invite| self.from == invite.room)
    }

    /// Returns whether it has text other than the fallback of a reply, a reaction or a retraction (XEP-0428, section
    /// 3).
    pub fn says_something(&self) -> bool {
        self.body.as_deref().is_some_and(|body| body.is_empty() || !self.said().is_empty())
    }

    /// Returns the body without the quotation of a reply and without the fallback of a reaction or a retraction,
    /// wherever that is. Empty if there is no body.
    pub fn said(&self) -> Cow<'_, str> {
        let body = self.body.as_deref().unwrap_or_default();
        let parts = self.extensions.iter().flat_map(|extensions| extensions.replaced_parts());
        let mut parts: Vec<(u32, u32)> = parts.map(|part| part.part.unwrap_or((0, u32::MAX))).collect();
        if parts.is_empty() {
            return Cow::Borrowed(body);
        }
        parts.sort_unstable();
        let (mut said, mut rest, mut at) = (String::new(), body, 0);
        // Ranges may overlap, end before they begin, or lie behind the end; then there is nothing left to omit.
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

/// Returns the byte position of the character with this number, or the end of the text if there is none.
fn place(text: &str, number: u32) -> usize {
    text.char_indices().nth(number as usize).map_or(text.len(), |(at, _)| at)
}

/// The contents of a message other than its text. Fields as in `extensions` of `wit/types.wit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Extensions {
    pub thread_parent: Option<String>,
    pub reply: Option<ReplyTo>,
    pub fallback: Vec<Fallback>,
    pub replace: Option<String>,
    pub retract: Option<String>,
    pub moderated: Option<Moderated>,
    pub reactions: Option<Reactions>,
    pub receipt_requested: bool,
    pub receipt: Option<String>,
    pub markable: bool,
    pub marker: Option<String>,
    pub marked: Option<String>,
    pub chat_state: Option<String>,
    pub hints: Vec<Hint>,
    pub files: Vec<SharedFile>,
    pub spoiler: Option<String>,
    pub unstyled: bool,
    pub previews: Vec<LinkPreview>,
}

impl Extensions {
    /// Removes what must not go out unencrypted beside an encrypted text: reactions, and [what does not count
    /// there](Self::forget_what_is_shown). Clients without reactions show the text in their place (XEP-0444).
    pub fn forget_what_is_read(&mut self) {
        self.forget_what_is_shown();
        self.reactions.take_if(|reactions| !reactions.emojis.is_empty());
    }

    /// Removes what does not count beside an encrypted text, since anybody could have added it: previews of links, and
    /// the words of a spoiler's hint. The text stays hidden.
    pub fn forget_what_is_shown(&mut self) {
        self.previews.clear();
        if let Some(hint) = &mut self.spoiler {
            hint.clear();
        }
    }

    /// Returns the parts of the body that are not the sender's words: they stand in for a reply, a reaction or a
    /// retraction that is in the message. Without it, other clients show the part to people.
    fn replaced_parts(&self) -> impl Iterator<Item = &Fallback> {
        let has = move |feature: &str| match feature {
            REPLY => self.reply.is_some(),
            REACTIONS => self.reactions.is_some(),
            RETRACT => self.retract.is_some() || self.moderated.is_some(),
            _ => false,
        };
        let has_any = [REPLY, REACTIONS, RETRACT].into_iter().any(has);
        self.fallback.iter().filter(move |part| part.feature.as_deref().map_or(has_any, has))
    }

    /// Returns whether it has only extensions that make no sense on their own.
    pub fn say_nothing(&self) -> bool {
        let Self {
            thread_parent: _,
            reply: _,
            fallback: _,
            replace: _,
            retract,
            moderated,
            reactions,
            receipt_requested: _,
            receipt,
            markable: _,
            marker,
            marked: _,
            chat_state,
            hints: _,
            files,
            spoiler: _,
            unstyled: _,
            previews: _,
        } = self;
        let retracts = retract.is_some() || moderated.is_some();
        let is_about_another = retracts || reactions.is_some() || receipt.is_some() || marker.is_some();
        !is_about_another && chat_state.is_none() && files.is_empty()
    }
}

/// A message that a room retracted for its moderators (XEP-0425).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Moderated {
    pub id: String,
    pub by: Option<Jid>,
    pub occupant_id: Option<String>,
    pub reason: Option<String>,
}

/// A file that a message refers to.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct SharedFile {
    pub url: String,
    pub name: Option<String>,
    pub media_type: Option<String>,
    pub size: Option<u64>,
}

/// Prints its address up to the `#`. Behind that, a link to an encrypted file has the key (XEP-0454).
impl fmt::Debug for SharedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, name, media_type, size } = self;
        let shown = url.split('#').next().unwrap_or_default();
        write!(f, "SharedFile({shown:?} of {} bytes, {name:?}, {media_type:?}, {size:?})", url.len())
    }
}

/// A preview of a link (XEP-0511).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct LinkPreview {
    pub url: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub image: Option<String>,
}

impl LinkPreview {
    /// Returns all its texts.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &String> {
        let Self { url, title, description, image } = self;
        std::iter::once(url).chain([title, description, image].into_iter().flatten())
    }
}

/// A part of the body for clients that lack a feature (XEP-0428).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Fallback {
    pub feature: Option<String>,
    /// The range in Unicode code points, the end excluded. None: the whole body.
    pub part: Option<(u32, u32)>,
}

/// A hint for servers on the way (XEP-0334).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the XEP's own")]
pub enum Hint {
    NoCopy,
    NoPermanentStore,
    NoStore,
    Store,
}

impl Hint {
    /// All hints.
    pub const ALL: [Self; 4] = [Self::NoCopy, Self::NoPermanentStore, Self::NoStore, Self::Store];

    /// Returns the name of the element.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCopy => "no-copy",
            Self::NoPermanentStore => "no-permanent-store",
            Self::NoStore => "no-store",
            Self::Store => "store",
        }
    }

    /// Returns the hint of this name, if there is one.
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

/// The contents of a message to be sent.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Draft {
    pub body: Option<String>,
    pub subject: Option<String>,
    pub thread: Option<String>,
    pub extensions: Option<Box<Extensions>>,
    pub encryption: EncryptionWish,
    /// Whether it is the host's own and no plugin may know it, whatever plugins may read. It is lost with its stream.
    pub is_secret: bool,
}

/// Prints no text: it may go out encrypted.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [body, subject] = [&self.body, &self.subject].map(|text| text.as_ref().map(String::len));
        write!(f, "Draft(body {body:?}, subject {subject:?}, {:?})", self.encryption)
    }
}

impl Draft {
    /// Returns about how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let extended = self.extensions.as_deref().map_or(0, |extensions| {
            let features = extensions.fallback.iter().filter_map(|one| one.feature.as_ref());
            let emojis = extensions.reactions.iter().flat_map(|reactions| &reactions.emojis);
            let previews = extensions.previews.iter().flat_map(LinkPreview::texts);
            let texts = features.chain(emojis).chain(&extensions.spoiler).chain(previews);
            size_of::<Extensions>() + texts.map(|text| size_of::<String>() + text.len()).sum::<usize>()
        });
        let texts = [&self.body, &self.subject, &self.thread];
        size_of::<Self>() + texts.into_iter().flatten().map(String::len).sum::<usize>() + extended
    }
}

#[cfg(test)]
mod tests {
    use super::{Draft, Extensions, SharedFile};

    #[test]
    fn nobody_prints_the_text_of_a_draft_or_the_key_of_a_file() {
        let url = format!("aesgcm://example.org/a#{}", "ab".repeat(44));
        let file = SharedFile { url: url.clone(), ..SharedFile::default() };
        let extensions = Extensions { files: vec![file], ..Extensions::default() };
        let printed = format!("{extensions:?}");
        assert!(printed.contains("aesgcm://example.org/a") && !printed.contains("abab"), "{printed}");
        let [body, subject] = [Some(url), Some("canary".to_owned())];
        let draft = Draft { body, subject, extensions: Some(Box::new(extensions)), ..Draft::default() };
        assert_eq!(format!("{draft:?}"), "Draft(body Some(111), subject Some(6), AsTheChat)");
    }
}
