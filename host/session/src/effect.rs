//! The effects of an input on the session. The account's task carries them out, in order.

use std::fmt;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{AdHocRequest, DeviceTrust, ForeignRequest, Outgoing};

use crate::answer::Answer;
use crate::encryption::kept::KeyChange;
use crate::encryption::trust::KeyKind;
use crate::event::Event;
use crate::questions::{PossibleAnswer, Repetition};
use crate::records::contact::{Contact, Contacts};
use crate::records::room_record::RoomNews;

/// An effect of an input. Effects are carried out in order.
///
/// Publish the new [`Snapshot`](crate::Snapshot) first, if one is due: everyone who gets an answer or event
/// reads it.
#[derive(Debug)]
pub enum Effect {
    /// Send this stanza.
    Send(Outgoing),
    /// Send this stanza, and give the answer when it is queued on the stream.
    SendFor(Outgoing, Sent),
    /// Send this stanza, which publishes the own keys, once the changes of keys before it are on disk. If they cannot be written, do not
    /// send it, and call [`keys_unwritten`](crate::keys_unwritten): the published keys would end with the process.
    SendKept(Outgoing),
    /// Deliver this event to all plugins that listen.
    Fire(Event),
    /// Deliver this event to this instance, if it listens.
    FireFor(InstanceId, Event),
    /// Deliver the event of the form of this id to this instance, if it listens, and report how its handler ended.
    FireForForm(InstanceId, Event, String),
    /// Deliver the events of this message once [`take_answer`](crate::take_answer) has decided who gets it as the answer.
    FireAnswer(Box<PossibleAnswer>),
    /// Let hooks see these choices of a question, and then [ask again](crate::ask_again).
    AskAgain(Box<Repetition>),
    /// Give this answer.
    Answer(Due),
    /// Give this answer once the changes of keys that come before it are on disk. If they cannot be written, it [fails](Due::fail).
    Confirm(Due),
    /// Log this about a room, and tell the owners.
    RoomNews(RoomNews),
    /// Store this part of the roster.
    Keep(KeepRoster),
    /// Compare an entry that the server told with the notes of what plugins made of it.
    EntryCame {
        /// The entry.
        contact: Arc<Contact>,
        /// Whether its name or groups changed, or it is new. A client of the account did that, or this one.
        is_edited: bool,
    },
    /// Store these changes of keys, all together. Everything about messages that follows, and all that follows of the same input, waits
    /// until they are on disk: a key must not be used twice, whenever the process ends.
    KeepKeys(Vec<KeyChange>),
    /// Tell the owner of this.
    KeyNews(KeyNews),
    /// Make a key for off-the-record messaging, which takes seconds.
    MakeOtrKey,
    /// Pass an owner's command to the task that carries it out and answers.
    Command(AdHocRequest),
    /// Pass a request to the plugin that answers its namespace, or refuse it if there is none.
    Ask(ForeignRequest),
}

impl Effect {
    /// Returns the effect that gives this answer.
    pub fn answer<T: Send + 'static>(answer: Answer<T>, result: Result<T, CallError>) -> Self {
        Self::Answer(Due::new(answer, result))
    }

    /// Returns the effect that gives this answer once keys are on disk.
    pub(super) fn confirm<T: Send + 'static>(answer: Answer<T>, result: Result<T, CallError>) -> Self {
        Self::Confirm(Due::new(answer, result))
    }
}

/// The answer to give when a stanza was queued.
#[derive(Debug)]
pub enum Sent {
    /// The answer contains the message's id.
    Message(String, Answer<String>),
    /// The answer contains nothing.
    Raw(Answer<()>),
}

impl Sent {
    /// Answers that the stanza is queued.
    pub fn queued(self) {
        match self {
            Self::Message(id, answer) => answer.give(Ok(id)),
            Self::Raw(answer) => answer.give(Ok(())),
        }
    }

    /// Answers that the stanza could not be queued.
    pub fn failed(self, error: CallError) {
        match self {
            Self::Message(_, answer) => answer.give(Err(error)),
            Self::Raw(answer) => answer.give(Err(error)),
        }
    }
}

/// A decided answer. It is held back until readers can see what it reports.
pub struct Due(Box<dyn FnOnce(Result<(), CallError>) + Send>);

impl Due {
    pub(super) fn new<T: Send + 'static>(answer: Answer<T>, result: Result<T, CallError>) -> Self {
        Self(Box::new(move |outcome: Result<(), CallError>| {
            answer.give(result.and_then(|value| outcome.map(|()| value)));
        }))
    }

    /// Gives the answer.
    pub fn give(self) {
        (self.0)(Ok(()));
    }

    /// Gives this error in place of an answer that is none.
    pub fn fail(self, error: CallError) {
        (self.0)(Err(error));
    }
}

impl fmt::Debug for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Due(..)")
    }
}

/// A change of the stored roster, for later streams. The account's task has it written; see `store/`.
#[derive(Debug, Clone)]
pub enum KeepRoster {
    /// Store the whole roster, under this version.
    Whole {
        /// The server's name for this state.
        version: String,
        /// The contacts, without people who only ask to be one.
        contacts: Contacts,
    },
    /// Store nothing: this server has no versions.
    Nothing,
    /// Store an entry that is new or changed.
    Changed {
        /// The new version, if the server named one.
        version: Option<String>,
        /// The entry to store.
        contact: Arc<Contact>,
    },
    /// Remove an entry.
    Removed {
        /// The new version, if the server named one.
        version: Option<String>,
        /// The address of the entry.
        jid: BareJid,
    },
}

/// News about keys, for the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyNews {
    /// The person: the account itself, for its own keys.
    pub jid: BareJid,
    /// The kind of news.
    pub what: KeyNewsKind,
    /// The protocol, and the device.
    pub kind: KeyKind,
    /// The fingerprint of the new key.
    pub fingerprint: Option<String>,
    /// The trust in the key now.
    pub trust: DeviceTrust,
    /// The question of somebody who asks to compare a secret. Anybody may have written it.
    pub question: Option<String>,
}

/// The kind of news about keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyNewsKind {
    /// A person whose keys are known has another device.
    NewDevice,
    /// A device has another key. If the former one was verified, the new one is refused.
    ChangedIdentity,
    /// Somebody lists more devices than get messages.
    TooManyDevices,
    /// The server does not publish the own keys.
    NotPublished,
    /// A person asks to compare a secret, off the record.
    AskedToCompare,
    /// A secret was compared, and it was not the same.
    ComparedDifferent,
}

impl KeyNewsKind {
    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewDevice => "new-device",
            Self::ChangedIdentity => "changed-identity",
            Self::TooManyDevices => "too-many-devices",
            Self::NotPublished => "not-published",
            Self::AskedToCompare => "asked-to-compare",
            Self::ComparedDifferent => "compared-different",
        }
    }
}
