//! The records that several groupings share and that events carry, with a few helpers.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bindings::parlor::plugin::types as wit;
use crate::error::{Error, Result};
use crate::failure::{located, placed};
use crate::http::without_mark;
use crate::plain::{resource, snake_case};
use crate::stanza::ns;

pub use crate::places::{Affiliation, Role};
pub use wit::{
    Actor, Chat, Command, Contact, DueTime, Extensions, Fallback, Feature, File, Hat, Header, Hook, Invite, IqRequest,
    Label, LinkPreview, Message, Moderated, Occupant, Outgoing, Payload, PluginRequest, PubsubItem, Reactions, Reply,
    Resource, Room, StanzaError, Status, Undecryptable, View, Webhook,
};

/// The hint that a message without a text should still be stored (XEP-0334).
const STORE: &str = "store";

impl Message {
    /// Answers where it was said: in the chat or in the room.
    ///
    /// Needs `messages.send` and `rooms.send`. [`chats::reply`](crate::chats::reply) and [`rooms::reply`](crate::rooms::reply) need one.
    #[track_caller]
    pub fn reply(&self, message: impl Into<Outgoing>) -> impl Future<Output = Result<String>> {
        located(async move {
            if self.is_groupchat() {
                crate::rooms::reply(self, message).await
            } else {
                crate::chats::reply(self, message).await
            }
        })
    }

    /// Whether it was said in a room, for everybody.
    pub fn is_groupchat(&self) -> bool {
        self.kind == "groupchat"
    }

    /// When it was sent, if that is known, else when it was received.
    #[track_caller]
    pub fn time(&self) -> Result<Timestamp> {
        placed(self.at.parse().map_err(|error| Error::invalid("at", error)))
    }

    /// The id by which replies and reactions know it: in a room the room's, elsewhere the author's, which stays where a relay gives
    /// it another one on the way (XEP-0444, section 4.2; XEP-0461, section 4.1). None: it has none, and cannot be referred to.
    pub fn reference(&self) -> Option<&str> {
        if self.is_groupchat() { self.stanza_id.as_deref() } else { self.origin_id.as_deref().or(self.id.as_deref()) }
    }

    /// The body without the parts for clients that lack `feature`, such as the quotation of a reply for those without
    /// `urn:xmpp:reply:0` ([`ns::REPLY`]); empty if there is no body.
    ///
    /// ```
    /// # use parlor_sdk::{prelude::*, stanza::ns};
    /// # fn example(message: &Message) {
    /// let said = message.body_without_fallback(ns::REPLY);
    /// # }
    /// ```
    pub fn body_without_fallback(&self, feature: &str) -> String {
        self.body_without(|meant| meant == feature)
    }

    /// The body without what is only there for clients that lack one of these features.
    fn body_without(&self, is_read: impl Fn(&str) -> bool) -> String {
        let parts = self.extensions.iter().flat_map(|extensions| &extensions.fallback);
        let parts = parts.filter(|part| part.feature.as_deref().is_none_or(&is_read));
        let parts: Vec<(u32, u32)> = parts.map(|part| part.part.unwrap_or((0, u32::MAX))).collect();
        let is_kept = |at: u32| !parts.iter().any(|(start, end)| (*start..*end).contains(&at));
        let characters = (0_u32..).zip(self.body.as_deref().unwrap_or_default().chars());
        characters.filter(|(at, _)| is_kept(*at)).map(|(_, character)| character).collect()
    }

    /// The files that it refers to. [`files::open`](crate::files::open) reads one.
    ///
    /// ```
    /// # use parlor_sdk::prelude::*;
    /// # fn example(message: &Message) {
    /// let pictures = message.files().iter().filter(|file| file.name.as_deref().is_some_and(|name| name.ends_with(".png")));
    /// # drop(pictures);
    /// # }
    /// ```
    pub fn files(&self) -> &[File] {
        self.extensions.as_ref().map_or(&[], |extensions| &extensions.files)
    }

    /// Whether it was encrypted from end to end. `encryption` says how.
    pub fn is_encrypted(&self) -> bool {
        self.encryption.is_some()
    }

    /// Whether it says that a message could not be delivered. Never answer one: the answer may come back the same way.
    pub fn is_error(&self) -> bool {
        self.kind == "error"
    }
}

/// Whether a part of a body repeats data that plugins read elsewhere: it does not count as text.
fn stands_for_what_is_read(feature: &str) -> bool {
    matches!(feature, ns::REPLY | ns::REACTIONS | ns::RETRACTION)
}

impl Command {
    /// Returns the text after the command's name, as it was written: no quotes resolved, and no spaces removed but
    /// those at either end.
    ///
    /// ```
    /// # use parlor_sdk::prelude::*;
    /// # fn example(command: &Command) {
    /// let text = command.rest();
    /// # }
    /// ```
    pub fn rest(&self) -> String {
        let said = self.message.body_without(stands_for_what_is_read);
        let mut rest = said.trim();
        // The prefix is before the name, in the same word or in a separate one.
        while let Some((word, after)) = rest.split_once(char::is_whitespace) {
            rest = after.trim_start();
            if word.to_lowercase().ends_with(&self.name) {
                return rest.to_owned();
            }
        }
        String::new()
    }
}

impl Webhook {
    /// Reads the body as JSON.
    ///
    /// [`Error::Other`]: it is none, or not of this type.
    ///
    /// ```
    /// # use parlor_sdk::prelude::*;
    /// # #[derive(serde::Deserialize)]
    /// # struct Push { after: String }
    /// # fn example(hook: &Webhook) -> Result<()> {
    /// let push: Push = hook.json()?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(without_mark(&self.body))?)
    }

    /// Returns the body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns the first header of this name, however it is spelled. There are `content-type` and those that the manifest lists.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|one| one.name.eq_ignore_ascii_case(name)).map(|one| one.value.as_str())
    }
}

impl DueTime {
    /// Returns the time at which it is due.
    #[track_caller]
    pub fn time(&self) -> Result<Timestamp> {
        placed(self.due.parse().map_err(|error| Error::invalid("due", error)))
    }
}

impl PluginRequest {
    /// Reads its value. [`Error::Other`]: it is not of this type.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_str(&self.value)?)
    }
}

/// A value with an address: the address itself, or a record that has one.
///
/// A [`Contact`], [`Chat`], [`View`] or [`Room`] stands for its JID, an [`Occupant`] for its address in the room.
pub trait Entity {
    /// The address.
    fn address(&self) -> String;
}

impl<T: AsRef<str> + ?Sized> Entity for T {
    fn address(&self) -> String {
        self.as_ref().to_owned()
    }
}

impl Entity for Occupant {
    fn address(&self) -> String {
        format!("{}/{}", self.room, self.nick)
    }
}

impl Entity for &Occupant {
    fn address(&self) -> String {
        (*self).address()
    }
}

macro_rules! entities {
    ($($record:ty),*) => { $(
        impl Entity for $record {
            fn address(&self) -> String {
                self.jid.clone()
            }
        }

        impl Entity for &$record {
            fn address(&self) -> String {
                self.jid.clone()
            }
        }
    )* };
}

entities!(Contact, Chat, View, Room);

impl Contact {
    /// An attribute by its name, as older programs of the API read it: `fullname`, `chat_status`, `groups` and so on. A
    /// name may be spelled as any language spells it: `chat-status`, `chatStatus`. Lists come as JSON. None: it has no
    /// such attribute, or no value for it.
    pub fn get(&self, name: &str) -> Option<Value> {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        match snake_case(name).as_str() {
            "jid" | "id" => Some(self.jid.as_str().into()),
            "fullname" => Some(self.fullname.as_str().into()),
            "user_id" => Some(self.user_id.as_str().into()),
            "subscription" => Some(self.subscription.as_str().into()),
            "ask" => text(&self.ask),
            "requesting" => Some(self.requesting.into()),
            "groups" => Some(self.groups.clone().into()),
            "chat_status" => Some(self.chat_status.as_str().into()),
            "status" => text(&self.status),
            "resources" => Some(self.resources.iter().map(resource).collect()),
            "image" => text(&self.image),
            "image_type" => text(&self.image_type),
            "url" => text(&self.url),
            "vcard_updated" => text(&self.vcard_updated),
            _ => None,
        }
    }
}

impl Outgoing {
    /// A message with this text.
    pub fn new(body: impl Into<String>) -> Self {
        Self { body: Some(body.into()), ..Self::default() }
    }

    /// With a subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// In a thread.
    #[must_use]
    pub fn thread(mut self, thread: impl Into<String>) -> Self {
        self.thread = Some(thread.into());
        self
    }

    /// As the correction of the own message with this id (XEP-0308).
    #[must_use]
    pub fn replacing(mut self, id: impl Into<String>) -> Self {
        self.extensions.get_or_insert_default().replace = Some(id.into());
        self
    }

    /// Retracts the own message with this id (XEP-0424): in a room the `stanza-id` of its echo, elsewhere the id that sending
    /// gave. The host adds a text for clients that know no retractions.
    pub fn retracting(id: impl Into<String>) -> Self {
        Self::carrying(Extensions { retract: Some(id.into()), ..Extensions::default() })
    }

    /// As the answer to this message, shown as such by clients that can (XEP-0461).
    #[must_use]
    pub fn replying_to(mut self, message: &Message) -> Self {
        if let Some(id) = message.reference() {
            let reply = Reply { id: id.to_owned(), to: Some(message.from.clone()) };
            self.extensions.get_or_insert_default().reply = Some(reply);
        }
        self
    }

    /// As the answer to this message, with its text quoted before the own words, for clients that do not support
    /// answers (XEP-0461, section 3.2).
    #[must_use]
    pub fn quoting(mut self, message: &Message) -> Self {
        let quoted = message.body_without(stands_for_what_is_read);
        let quoted: String = quoted.lines().flat_map(|line| ["> ", line, "\n"]).collect();
        if quoted.is_empty() {
            return self.replying_to(message);
        }
        let length = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let shift = length(&quoted);
        let extensions = self.extensions.get_or_insert_default();
        for part in extensions.fallback.iter_mut().filter_map(|fallback| fallback.part.as_mut()) {
            *part = (part.0.saturating_add(shift), part.1.saturating_add(shift));
        }
        extensions.fallback.push(Fallback { feature: Some(ns::REPLY.to_owned()), part: Some((0, shift)) });
        self.body = Some(quoted + self.body.as_deref().unwrap_or_default());
        self.replying_to(message)
    }

    /// Reactions to this message, in place of all earlier ones of this account (XEP-0444); none at all takes them back.
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # async fn example(message: &Message) -> Result<()> {
    /// message.reply(Outgoing::reacting_to(message, ["👍"])?).await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn reacting_to(message: &Message, emojis: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let Some(id) = message.reference() else {
            return Err(Error::invalid("message", "has no id that a reaction could name"));
        };
        let reactions = Reactions { id: id.to_owned(), emojis: owned(emojis) };
        Ok(Self::carrying(Extensions {
            reactions: Some(reactions),
            hints: vec![STORE.to_owned()],
            ..Extensions::default()
        }))
    }

    /// The receipt for the message with this id (XEP-0184). [`chats::acknowledge`](crate::chats::acknowledge) sends one where
    /// one was asked for.
    pub fn receipt(id: impl Into<String>) -> Self {
        let hints = vec![STORE.to_owned()];
        Self::carrying(Extensions { receipt: Some(id.into()), hints, ..Extensions::default() })
    }

    /// Says that this message was `displayed`, `received` or `acknowledged` (XEP-0333).
    #[track_caller]
    pub fn marking(message: &Message, marker: impl Into<String>) -> Result<Self> {
        // Outside of rooms it refers to the message's own id, not to other ids from the author.
        let id = if message.is_groupchat() { &message.stanza_id } else { &message.id };
        let Some(id) = id.clone() else {
            return Err(Error::invalid("message", "has no id that a marker could name"));
        };
        Ok(Self::carrying(Extensions {
            marker: Some(marker.into()),
            marked: Some(id),
            hints: vec![STORE.to_owned()],
            ..Extensions::default()
        }))
    }

    /// A message with this file and no text. The host sends the file's address as its body, as clients expect it (XEP-0066).
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # async fn example(message: &Message, file: parlor_sdk::types::File) -> Result<()> {
    /// message.reply(Outgoing::file(file).replying_to(message)).await?;
    /// # Ok(()) }
    /// ```
    pub fn file(file: File) -> Self {
        Self::default().with_file(file)
    }

    /// With a file behind those that it has; 16 at most.
    #[must_use]
    pub fn with_file(mut self, file: File) -> Self {
        self.extensions.get_or_insert_default().files.push(file);
        self
    }

    /// Hidden until the reader wants to see it (XEP-0382), behind a hint on one line, which may be empty. It needs a text.
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # async fn example(message: &Message) -> Result<()> {
    /// message.reply(Outgoing::new("They die.").spoiler("How it ends")).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn spoiler(mut self, hint: impl Into<String>) -> Self {
        self.extensions.get_or_insert_default().spoiler = Some(hint.into());
        self
    }

    /// Without markup: clients show signs such as `*` as they are (XEP-0393). [`styling`](crate::styling) has functions
    /// for markup, and one that escapes a part of a text.
    #[must_use]
    pub fn unstyled(mut self) -> Self {
        self.extensions.get_or_insert_default().unstyled = true;
        self
    }

    /// With a preview of a link in its text (XEP-0511), behind those that it has; 8 at most. It needs a text.
    #[must_use]
    pub fn with_preview(mut self, preview: LinkPreview) -> Self {
        self.extensions.get_or_insert_default().previews.push(preview);
        self
    }

    /// End-to-end encrypted, independently of the chat. If that is impossible, sending it returns
    /// [`Error::Unsupported`].
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # async fn example() -> Result<()> {
    /// chats::send("juliet@example.org", Outgoing::new("the code is 4711").encrypted()).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn encrypted(self) -> Self {
        Self { encryption: Some("required".to_owned()), ..self }
    }

    /// Not encrypted, independently of the chat.
    #[must_use]
    pub fn unencrypted(self) -> Self {
        Self { encryption: Some("none".to_owned()), ..self }
    }

    /// Says nothing but `active`, `composing`, `paused`, `inactive` or `gone` (XEP-0085).
    pub fn chat_state(state: impl Into<String>) -> Self {
        Self::carrying(Extensions { chat_state: Some(state.into()), ..Extensions::default() })
    }

    /// Asks for a receipt (XEP-0184), which comes as a message with `receipt`.
    #[must_use]
    pub fn with_receipt(mut self) -> Self {
        self.extensions.get_or_insert_default().receipt_requested = true;
        self
    }

    /// Requests markers when it is received and read (XEP-0333): they are messages with `marker`.
    #[must_use]
    pub fn with_markers(mut self) -> Self {
        self.extensions.get_or_insert_default().markable = true;
        self
    }

    fn carrying(extensions: Extensions) -> Self {
        Self { extensions: Some(extensions), ..Self::default() }
    }

    /// In the thread of the message that it answers, unless it has one. An error is not answered.
    pub(crate) fn in_thread_of(mut self, message: &Message) -> Result<Self> {
        if message.is_error() {
            return Err(Error::invalid("message", "an error must not be answered (RFC 6120, section 8.3.1)"));
        }
        if self.thread.is_none() {
            self.thread.clone_from(&message.thread);
        }
        Ok(self)
    }
}

impl Payload {
    /// Returns the payload that another plugin sent, read by `serde`. A missing payload is read like `null`.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        match self {
            Self::Json(json) => Ok(serde_json::from_str(json)?),
            Self::None => Ok(serde_json::from_str("null")?),
            other => Err(Error::other(format_args!("it carries {}, not JSON", other.shape()))),
        }
    }
}

/// The addresses of several, as the bindings take them.
pub(crate) fn addresses(entities: impl IntoIterator<Item = impl Entity>) -> Vec<String> {
    entities.into_iter().map(|one| one.address()).collect()
}

/// Texts as the bindings take them.
pub(crate) fn owned(names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect()
}

/// The results of a call for several, with this crate's error.
pub(crate) fn each<T>(results: Vec<std::result::Result<T, wit::Error>>) -> Vec<Result<T>> {
    results.into_iter().map(|result| result.map_err(Error::from)).collect()
}

#[cfg(test)]
mod tests;
