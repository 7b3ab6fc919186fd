//! The commands of plugins to an account, and their answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_base::id::{InstanceId, PluginId};
use parlor_stanza::card::CardChange;
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{ArchiveQuery, Disco, Draft, Identity, Message, MessageKind};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::command_names::ChosenNames;
use crate::event::{EventName, Payload};
use crate::router::Mailbox;
use crate::{
    ArchivePage, Attribute, Chat, ContactWish, KnownCard, Room, RoomDeed, RoomWish, Spoken, StatusValue, ViewChange,
};

/// Checks whether an answer may be kept until its caller takes it.
type Fits<T> = Box<dyn FnOnce(&T) -> Result<(), CallError> + Send>;

/// The receiver of a [`Command`]'s answer. Dropping it answers `stopped`. The caller may be gone, which is fine.
pub struct Answer<T> {
    to: oneshot::Sender<Result<T, CallError>>,
    fits: Option<Fits<T>>,
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("to", &self.to.is_closed()).finish_non_exhaustive()
    }
}

impl<T> Answer<T> {
    /// Returns an answer to be given, and the end where it arrives.
    pub fn channel() -> (Self, oneshot::Receiver<Result<T, CallError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { to: sender, fits: None }, receiver)
    }

    /// Returns the same answer, which is given only if it fits; otherwise the error is given that `fits` returns.
    #[must_use]
    pub fn if_it_fits(self, fits: impl FnOnce(&T) -> Result<(), CallError> + Send + 'static) -> Self {
        Self { fits: Some(Box::new(fits)), ..self }
    }

    /// Gives the answer.
    pub fn give(self, result: Result<T, CallError>) {
        let result = match (result, self.fits) {
            (Ok(value), Some(fits)) => fits(&value).map(|()| value),
            (result, _) => result,
        };
        // The caller may have ended meanwhile.
        let _ = self.to.send(result);
    }

    /// Returns whether nobody waits any more.
    pub fn is_abandoned(&self) -> bool {
        self.to.is_closed()
    }
}

/// The previous values that a setting from a plugin replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wins {
    /// Any previous value.
    Always,
    /// Only the default.
    OverDefault,
}

/// A command of a plugin, after its grants were checked.
#[derive(Debug)]
pub enum Command {
    /// Send a message to a person (`Chat`) or to a room (`Groupchat`). The answer is its id.
    SendMessage {
        /// The recipient.
        to: Jid,
        /// `Chat` or `Groupchat`.
        kind: MessageKind,
        /// The contents of the message.
        draft: Box<Draft>,
        /// Answered when the message is queued.
        answer: Answer<String>,
    },
    /// Send a stanza as it is.
    SendRaw {
        /// The calling instance.
        by: InstanceId,
        /// The stanza to send.
        stanza: RawStanza,
        /// Answered when the stanza is queued.
        answer: Answer<()>,
    },
    /// Send an IQ get or set, and wait for its result. The session sets the id.
    SendIq {
        /// The calling instance.
        by: InstanceId,
        /// The IQ to send.
        iq: RawStanza,
        /// Answered with the whole result.
        answer: Answer<RawStanza>,
    },
    /// Query one page of an archive.
    QueryArchive {
        /// The calling instance. None: the host itself.
        by: Option<InstanceId>,
        /// The query for the page.
        query: Box<ArchiveQuery>,
        /// Answered with the page.
        answer: Answer<ArchivePage>,
    },
    /// Open a private chat, or return the open one.
    OpenChat {
        /// The calling instance.
        by: InstanceId,
        /// The other side.
        jid: BareJid,
        /// Answered with the chat.
        answer: Answer<Arc<Chat>>,
    },
    /// Close a private chat.
    CloseChat {
        /// The other side.
        jid: BareJid,
        /// Answered when the chat is closed.
        answer: Answer<()>,
    },
    /// Change how a front end should show a chat.
    ChangeChatView {
        /// The other side.
        jid: BareJid,
        /// The change of the view.
        change: ViewChange,
        /// Answered when the view is changed.
        answer: Answer<()>,
    },
    /// Set or remove an attribute of a chat.
    SetChatAttribute {
        /// The other side.
        jid: BareJid,
        /// The attribute with its value.
        attribute: Attribute,
        /// Answered when the attribute is set.
        answer: Answer<()>,
    },
    /// Enter a room, unless the account is in it already.
    OpenRoom {
        /// The calling instance.
        by: InstanceId,
        /// The address of the room.
        jid: BareJid,
        /// The parameters for entering.
        wish: Box<RoomWish>,
        /// Answered with the room once the account is in it.
        answer: Answer<Arc<Room>>,
    },
    /// Leave a room.
    CloseRoom {
        /// The calling instance.
        by: InstanceId,
        /// The address of the room.
        jid: BareJid,
        /// Answered when the account has left.
        answer: Answer<()>,
    },
    /// Add, remove or change a contact, or answer its request.
    Contact {
        /// The address of the contact.
        jid: BareJid,
        /// The change to make.
        wish: ContactWish,
        /// Answered when the change is made.
        answer: Answer<()>,
    },
    /// Get a vCard.
    GetCard {
        /// The owner of the vCard.
        jid: Jid,
        /// Whether to fetch it even if it is known.
        force: bool,
        /// Answered with the vCard.
        answer: Answer<Arc<KnownCard>>,
    },
    /// Change the own vCard.
    SetCard {
        /// The calling instance.
        by: InstanceId,
        /// The change to make.
        change: Box<CardChange>,
        /// Answered when the server has accepted the change.
        answer: Answer<()>,
    },
    /// Fetch a vCard, so that the contact shows it.
    UpdateCard {
        /// The owner of the vCard.
        jid: Jid,
        /// Whether to fetch it even if it is known.
        force: bool,
        /// Answered when the contact shows it.
        answer: Answer<()>,
    },
    /// Act on a room: moderate, configure, invite, bookmark, or change its view.
    Room {
        /// The address of the room.
        jid: BareJid,
        /// The action, with its answer.
        deed: RoomDeed,
    },
    /// Set the own status. `None` keeps the present value or text.
    SetStatus {
        /// The new value.
        value: Option<StatusValue>,
        /// The new text.
        message: Option<String>,
        /// Answered when the status is set.
        answer: Answer<()>,
    },
    /// Fire a plugin's own event.
    Emit {
        /// The calling instance.
        by: InstanceId,
        /// The name of the event, and of the promise that it resolves, if there is one.
        name: EventName,
        /// The payload of the event.
        payload: Payload,
        /// Answered when the event was fired.
        answer: Answer<()>,
    },
    /// Add promises of a plugin.
    AddPromises {
        /// The calling instance.
        by: InstanceId,
        /// The names. All of them are added, or none.
        names: Vec<EventName>,
        /// Maximum number of promises that the plugin may own.
        most: usize,
        /// Answered with the number of promises that it owns now.
        answer: Answer<usize>,
    },
    /// Reject a promise of a plugin.
    RejectPromise {
        /// The calling instance.
        by: InstanceId,
        /// The name of the promise.
        name: EventName,
        /// The reason, for everyone who waits.
        reason: String,
        /// Answered when the promise is rejected.
        answer: Answer<()>,
    },
    /// Add a feature that this account announces.
    AddFeature {
        /// The calling instance.
        by: InstanceId,
        /// The feature to announce.
        name: String,
        /// Answered with `false` if it was announced already.
        answer: Answer<bool>,
    },
    /// Add an identity that this account announces.
    AddIdentity {
        /// The calling instance.
        by: InstanceId,
        /// The identity to announce.
        identity: Identity,
        /// Answered with `false` if it was announced already.
        answer: Answer<bool>,
    },
    /// Remove the default identity, and those that the plugin added.
    ClearIdentities {
        /// The calling instance.
        by: InstanceId,
        /// Answered when they are removed.
        answer: Answer<()>,
    },
    /// Change settings of the host. All of them are changed, or none.
    ChangeSettings {
        /// The settings with their new values.
        values: BTreeMap<String, Value>,
        /// The previous values that they replace.
        wins: Wins,
        /// Answered when they are changed.
        answer: Answer<()>,
    },
    /// Register a command that people can give to the plugin.
    AddCommand {
        /// The calling instance's mailbox, with its grants.
        mailbox: Arc<Mailbox>,
        /// The owner's names for the plugin's commands.
        names: Arc<ChosenNames>,
        /// The plugin of the instance.
        plugin: PluginId,
        /// The command with its help.
        spoken: Spoken,
        /// Maximum number of commands that the plugin may have.
        most: usize,
        /// Answered with the name, and whether the command can be given by that name alone.
        answer: Answer<(String, bool)>,
    },
    /// Remove a command of the plugin.
    RemoveCommand {
        /// The calling instance.
        by: InstanceId,
        /// The plugin of the instance.
        plugin: PluginId,
        /// The name of the command.
        name: String,
        /// Answered with the name under which the command was registered.
        answer: Answer<String>,
    },
    /// Inform the person who gave a command that it failed.
    AnswerFailed {
        /// The message with the command.
        message: Arc<Message>,
        /// Answered when the reply is sent.
        answer: Answer<()>,
    },
    /// Get an entity's features and identities, from memory or by asking it.
    Discover {
        /// The address of the entity.
        entity: Jid,
        /// Answered with the entity's information.
        answer: Answer<Arc<Disco>>,
    },
    /// Wait until a promise is settled.
    WaitUntil {
        /// The calling instance.
        by: InstanceId,
        /// The name of the promise.
        name: EventName,
        /// Answered with the payload of the promise.
        answer: Answer<Payload>,
    },
}

impl Command {
    /// Returns whether the command sends something, so that it waits while the link has no room. Other commands never
    /// wait for the link.
    pub fn sends(&self) -> bool {
        match self {
            Self::SendMessage { .. }
            | Self::SendRaw { .. }
            | Self::SendIq { .. }
            | Self::QueryArchive { .. }
            | Self::OpenRoom { .. }
            | Self::CloseRoom { .. }
            | Self::Contact { .. }
            | Self::GetCard { .. }
            | Self::SetCard { .. }
            | Self::UpdateCard { .. }
            | Self::Discover { .. }
            | Self::AnswerFailed { .. }
            | Self::SetStatus { .. } => true,
            Self::OpenChat { .. }
            | Self::CloseChat { .. }
            | Self::ChangeChatView { .. }
            | Self::SetChatAttribute { .. }
            | Self::Emit { .. }
            | Self::AddPromises { .. }
            | Self::RejectPromise { .. }
            | Self::AddFeature { .. }
            | Self::AddIdentity { .. }
            | Self::ClearIdentities { .. }
            | Self::AddCommand { .. }
            | Self::RemoveCommand { .. }
            | Self::ChangeSettings { .. }
            | Self::WaitUntil { .. } => false,
            Self::Room { deed, .. } => deed.sends(),
        }
    }

    /// Returns about how many bytes of memory the command takes without its answer, as far as that may be much.
    pub fn weight(&self) -> usize {
        match self {
            Self::SendMessage { draft, .. } => draft.weight(),
            Self::SendRaw { stanza, .. } | Self::SendIq { iq: stanza, .. } => stanza.weight(),
            Self::Emit { payload, .. } => payload.weight(),
            Self::SetCard { change, .. } => change.weight(),
            Self::ChangeSettings { values, .. } => values.values().map(weight).sum(),
            Self::OpenRoom { wish, .. } => wish.weight(),
            Self::Room { deed, .. } => deed.weight(),
            Self::Contact { wish, .. } => wish.weight(),
            Self::AddPromises { names, .. } => names.iter().map(|name| size_of::<EventName>() + name.len()).sum(),
            // The calls limit each argument to some KiB, and account for lists of them themselves.
            Self::QueryArchive { .. }
            | Self::OpenChat { .. }
            | Self::CloseChat { .. }
            | Self::ChangeChatView { .. }
            | Self::SetChatAttribute { .. }
            | Self::CloseRoom { .. }
            | Self::GetCard { .. }
            | Self::UpdateCard { .. }
            | Self::SetStatus { .. }
            | Self::RejectPromise { .. }
            | Self::AddFeature { .. }
            | Self::AddIdentity { .. }
            | Self::ClearIdentities { .. }
            | Self::AddCommand { .. }
            | Self::RemoveCommand { .. }
            | Self::AnswerFailed { .. }
            | Self::Discover { .. }
            | Self::WaitUntil { .. } => 0,
        }
    }

    /// Returns whether nobody waits for the answer any more: the call was given up, or its plugin has ended.
    pub fn is_abandoned(&self) -> bool {
        match self {
            Self::SendMessage { answer, .. } | Self::RemoveCommand { answer, .. } => answer.is_abandoned(),
            Self::SendIq { answer, .. } => answer.is_abandoned(),
            Self::QueryArchive { answer, .. } => answer.is_abandoned(),
            Self::OpenChat { answer, .. } => answer.is_abandoned(),
            Self::OpenRoom { answer, .. } => answer.is_abandoned(),
            Self::WaitUntil { answer, .. } => answer.is_abandoned(),
            Self::GetCard { answer, .. } => answer.is_abandoned(),
            Self::AddFeature { answer, .. } | Self::AddIdentity { answer, .. } => answer.is_abandoned(),
            Self::Discover { answer, .. } => answer.is_abandoned(),
            Self::AddPromises { answer, .. } => answer.is_abandoned(),
            Self::AddCommand { answer, .. } => answer.is_abandoned(),
            Self::Room { deed, .. } => deed.is_abandoned(),
            Self::SendRaw { answer, .. }
            | Self::CloseChat { answer, .. }
            | Self::ChangeChatView { answer, .. }
            | Self::SetChatAttribute { answer, .. }
            | Self::CloseRoom { answer, .. }
            | Self::Contact { answer, .. }
            | Self::SetCard { answer, .. }
            | Self::UpdateCard { answer, .. }
            | Self::SetStatus { answer, .. }
            | Self::Emit { answer, .. }
            | Self::ClearIdentities { answer, .. }
            | Self::ChangeSettings { answer, .. }
            | Self::AnswerFailed { answer, .. }
            | Self::RejectPromise { answer, .. } => answer.is_abandoned(),
        }
    }
}

/// Returns about how many bytes of memory a value takes.
fn weight(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + weight(value)).sum(),
    };
    size_of::<Value>() + inside
}

#[cfg(test)]
mod tests {
    use parlor_stanza::types::Bookmark;

    use super::*;
    use crate::{ConfigValue, ContactWish};

    /// A field may be as long as a stanza, and a plugin may wait for many calls.
    #[test]
    fn a_command_weighs_what_it_carries() {
        let long = "x".repeat(100_000);
        let fields = || vec![("a".to_owned(), ConfigValue::Text(long.clone()))];
        let jid: BareJid = "room@rooms.example.org".parse().unwrap();
        let wish = RoomWish { configure: Some(fields()), ..RoomWish::default() };
        let (answer, _arrives) = Answer::channel();
        let open = Command::OpenRoom { by: InstanceId::next(), jid: jid.clone(), wish: Box::new(wish), answer };
        let (answer, _arrives) = Answer::channel();
        let configure = Command::Room { jid: jid.clone(), deed: RoomDeed::Configure(fields(), answer) };
        let (answer, _arrives) = Answer::channel();
        let bookmark = Bookmark {
            room: jid.clone(),
            name: None,
            autojoin: false,
            nick: None,
            password: None,
            extensions: Some(long.clone()),
            is_cut: false,
        };
        let keep = Command::Room { jid, deed: RoomDeed::SetBookmark(Box::new(bookmark), answer) };
        let (answer, _arrives) = Answer::channel();
        let names = (0..1_000).map(|number| EventName::from(format!("{number:0>100}").as_str())).collect();
        let promises = Command::AddPromises { by: InstanceId::next(), names, most: 64, answer };
        let (answer, _arrives) = Answer::channel();
        let wish = ContactWish::SetGroups(vec![long.clone()]);
        let groups = Command::Contact { jid: "a@b".parse().unwrap(), wish, answer };
        for command in [open, configure, keep, promises, groups] {
            assert!(command.weight() >= long.len(), "{command:?}");
        }
    }
}
