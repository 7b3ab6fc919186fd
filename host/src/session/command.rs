//! What plugins want of an account, and where the answers go.

use std::collections::BTreeMap;
use std::sync::Arc;

use jid::{BareJid, Jid};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::card::CardChange;
use crate::error::CallError;
use crate::event::{EventName, Payload};
use crate::plugins::{ChosenNames, InstanceId, PluginId};
use crate::router::Mailbox;
use crate::session::{
    ArchivePage, Attribute, Chat, ContactWish, KnownCard, Room, RoomDeed, RoomWish, Spoken, StatusValue, ViewChange,
};
use crate::stanza::{ArchiveQuery, Disco, Draft, Identity, Message, MessageKind};
use crate::xmpp::RawStanza;

/// Where the answer to a [`Command`] goes. Dropping it answers `stopped`; whoever asked may be gone, which is fine.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Sender<Result<T, CallError>>);

impl<T> Answer<T> {
    /// An answer to be given, and where it arrives.
    pub fn channel() -> (Self, oneshot::Receiver<Result<T, CallError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Gives it.
    pub fn give(self, result: Result<T, CallError>) {
        // The asker may have been ended meanwhile; nobody is owed anything then.
        let _ = self.0.send(result);
    }

    /// Whether nobody waits any more.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

/// What a setting that a plugin gives wins over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wins {
    /// Whatever was given before.
    Always,
    /// The default alone.
    OverDefault,
}

/// What a plugin wants, after its grants were checked.
#[derive(Debug)]
pub enum Command {
    /// Say something in a chat (`Chat`), or in a room (`Groupchat`). Gives the id.
    SendMessage {
        /// To whom.
        to: Jid,
        /// `Chat` or `Groupchat`.
        kind: MessageKind,
        /// What.
        draft: Box<Draft>,
        /// The answer.
        answer: Answer<String>,
    },
    /// Send a stanza as it is.
    SendRaw {
        /// Who.
        by: InstanceId,
        /// The stanza.
        stanza: RawStanza,
        /// The answer.
        answer: Answer<()>,
    },
    /// Send an IQ get or set, and wait for its result. The id is set here.
    SendIq {
        /// Who.
        by: InstanceId,
        /// The IQ.
        iq: RawStanza,
        /// The answer: the whole result.
        answer: Answer<RawStanza>,
    },
    /// One page of an archive (API row 39).
    QueryArchive {
        /// Who; none: the host itself.
        by: Option<InstanceId>,
        /// What is asked for.
        query: Box<ArchiveQuery>,
        /// The answer.
        answer: Answer<ArchivePage>,
    },
    /// API row 76.
    OpenChat {
        /// Who.
        by: InstanceId,
        /// With whom.
        jid: BareJid,
        /// The answer.
        answer: Answer<Arc<Chat>>,
    },
    /// API row 78.
    CloseChat {
        /// With whom.
        jid: BareJid,
        /// The answer.
        answer: Answer<()>,
    },
    /// API rows 79–82.
    ChangeChatView {
        /// With whom.
        jid: BareJid,
        /// How.
        change: ViewChange,
        /// The answer.
        answer: Answer<()>,
    },
    /// API row 84.
    SetChatAttribute {
        /// With whom.
        jid: BareJid,
        /// What.
        attribute: Attribute,
        /// The answer.
        answer: Answer<()>,
    },
    /// API row 97.
    OpenRoom {
        /// Who.
        by: InstanceId,
        /// Which.
        jid: BareJid,
        /// How.
        wish: Box<RoomWish>,
        /// The answer.
        answer: Answer<Arc<Room>>,
    },
    /// API row 105.
    CloseRoom {
        /// Who.
        by: InstanceId,
        /// Which.
        jid: BareJid,
        /// The answer.
        answer: Answer<()>,
    },
    /// API rows 66–68.
    Contact {
        /// Whom it is about.
        jid: BareJid,
        /// What is wanted.
        wish: ContactWish,
        /// The answer.
        answer: Answer<()>,
    },
    /// API rows 69 and 70.
    GetCard {
        /// Whose.
        jid: Jid,
        /// Ask again, even where it is known.
        force: bool,
        /// The answer.
        answer: Answer<Arc<KnownCard>>,
    },
    /// API row 71.
    SetCard {
        /// Who.
        by: InstanceId,
        /// What is to change.
        change: Box<CardChange>,
        /// The answer.
        answer: Answer<()>,
    },
    /// API row 72.
    UpdateCard {
        /// Whose.
        jid: Jid,
        /// Ask again, even where it is known.
        force: bool,
        /// The answer.
        answer: Answer<()>,
    },
    /// API row 108.
    Room {
        /// Which.
        jid: BareJid,
        /// What is wanted of it, with the answer.
        deed: RoomDeed,
    },
    /// API rows 58–61. None keeps what is there.
    SetStatus {
        /// The value.
        value: Option<StatusValue>,
        /// The text.
        message: Option<String>,
        /// The answer.
        answer: Answer<()>,
    },
    /// API row 8.
    Emit {
        /// Who.
        by: InstanceId,
        /// The event, and perhaps promise.
        name: EventName,
        /// What it carries.
        payload: Payload,
        /// The answer.
        answer: Answer<()>,
    },
    /// API rows 14 and 15.
    AddPromises {
        /// Who.
        by: InstanceId,
        /// All of them or none.
        names: Vec<EventName>,
        /// How many it may own in all.
        most: usize,
        /// The answer: how many it has now.
        answer: Answer<usize>,
    },
    /// API row 16.
    RejectPromise {
        /// Who.
        by: InstanceId,
        /// Which.
        name: EventName,
        /// Why.
        reason: String,
        /// The answer.
        answer: Answer<()>,
    },
    /// API row 109. False: it was there.
    AddFeature {
        /// Who.
        by: InstanceId,
        /// The feature.
        name: String,
        /// The answer.
        answer: Answer<bool>,
    },
    /// API row 111. False: it was there.
    AddIdentity {
        /// Who.
        by: InstanceId,
        /// What this account is.
        identity: Identity,
        /// The answer.
        answer: Answer<bool>,
    },
    /// API row 113.
    ClearIdentities {
        /// Who.
        by: InstanceId,
        /// The answer.
        answer: Answer<()>,
    },
    /// API rows 116, 118 and 119, for the host's settings. All of them or none.
    ChangeSettings {
        /// The settings.
        values: BTreeMap<String, Value>,
        /// What they win over.
        wins: Wins,
        /// The answer.
        answer: Answer<()>,
    },
    /// API row 127.
    AddCommand {
        /// Who, and what it may do.
        mailbox: Arc<Mailbox>,
        /// The owner's names for the plugin's commands.
        names: Arc<ChosenNames>,
        /// As which plugin.
        plugin: PluginId,
        /// What.
        spoken: Spoken,
        /// How many it may have.
        most: usize,
        /// The answer: its name, and whether it goes by that alone.
        answer: Answer<(String, bool)>,
    },
    /// API row 127.
    RemoveCommand {
        /// Who.
        by: InstanceId,
        /// Whose.
        plugin: PluginId,
        /// Which.
        name: String,
        /// The answer: its name.
        answer: Answer<String>,
    },
    /// A command failed, and the person who gave it is to be told.
    AnswerFailed {
        /// The message with the command.
        message: Arc<Message>,
        /// The answer.
        answer: Answer<()>,
    },
    /// API rows 114 and 115.
    Discover {
        /// Who is asked.
        entity: Jid,
        /// The answer.
        answer: Answer<Arc<Disco>>,
    },
    /// API row 13.
    WaitUntil {
        /// Who.
        by: InstanceId,
        /// The promise.
        name: EventName,
        /// The answer.
        answer: Answer<Payload>,
    },
}

impl Command {
    /// Whether doing it sends something, so that it waits while the link takes nothing in. Others never wait for it.
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

    /// About how many bytes of memory it takes beside its answer, where that may be much.
    pub fn weight(&self) -> usize {
        match self {
            Self::SendMessage { draft, .. } => draft.weight(),
            Self::SendRaw { stanza, .. } | Self::SendIq { iq: stanza, .. } => stanza.weight(),
            Self::Emit { payload, .. } => payload.weight(),
            Self::SetCard { change, .. } => change.weight(),
            Self::ChangeSettings { values, .. } => values.values().map(weight).sum(),
            Self::OpenRoom { wish, .. } => wish.weight(),
            Self::Room { deed, .. } => deed.weight(),
            // Their calls bound each argument to some KiB; those with lists of them hold these for themselves.
            Self::QueryArchive { .. }
            | Self::OpenChat { .. }
            | Self::CloseChat { .. }
            | Self::ChangeChatView { .. }
            | Self::SetChatAttribute { .. }
            | Self::CloseRoom { .. }
            | Self::Contact { .. }
            | Self::GetCard { .. }
            | Self::UpdateCard { .. }
            | Self::SetStatus { .. }
            | Self::AddPromises { .. }
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

    /// Whether nobody waits for the answer any more: the call was given up, or its plugin has ended.
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

/// About how many bytes of memory a value takes.
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
    use super::*;
    use crate::session::ConfigValue;
    use crate::stanza::Bookmark;

    /// A field may have as many bytes as a stanza, and a plugin may wait for many calls.
    #[test]
    fn a_command_weighs_what_it_carries_of_a_configuration() {
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
        for command in [open, configure, keep] {
            assert!(command.weight() >= long.len(), "{command:?}");
        }
    }
}
