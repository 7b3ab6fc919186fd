//! What one account knows: roster, presence, rooms, chats, promises. No I/O, no async.
//!
//! [`Session`] is fed with what came over the stream, what plugins want and what time it is; it changes its state and
//! says what follows as [`Effect`]s, in order. Readers never touch it: they hold a [`Snapshot`].

use std::sync::Arc;

use imbl::OrdMap;
use jid::{BareJid, Jid};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::error::CallError;
use crate::event::{Event, EventName, Payload};
use crate::plugins::InstanceId;
use crate::stanza::{Draft, MessageKind, Outgoing, RoomJoin, Show};
use crate::xmpp::RawStanza;

/// A roster entry with what presence says of it. Fields as in `contact` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Contact {
    pub jid: BareJid,
    pub fullname: String,
    pub subscription: String,
    pub ask: bool,
    pub requesting: bool,
    pub groups: Vec<String>,
    /// Connected clients, the one that is spoken to first at the front.
    pub resources: Vec<ContactResource>,
}

/// One connected client of a contact. Fields as in `resource` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct ContactResource {
    pub name: String,
    pub priority: i8,
    pub show: Option<Show>,
    pub status: Option<String>,
    pub since: Timestamp,
}

impl Contact {
    /// `online`, `offline`, `busy`, `away` or `xa`, of the highest resource (API row 65).
    pub fn chat_status(&self) -> &'static str {
        match self.resources.first().map(|resource| resource.show) {
            None => "offline",
            Some(None | Some(Show::Chat)) => "online",
            Some(Some(Show::Dnd)) => "busy",
            Some(Some(Show::Away)) => "away",
            Some(Some(Show::Xa)) => "xa",
        }
    }
}

/// An open private chat. Fields as in `chat` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Chat {
    pub jid: BareJid,
    pub fullname: String,
    pub opened: Timestamp,
    pub minimized: bool,
    pub last_active: Option<Timestamp>,
}

/// A room. Fields as in `room` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Room {
    pub jid: BareJid,
    pub nick: String,
    pub joined: bool,
    pub subject: Option<String>,
    pub role: String,
    pub affiliation: String,
    pub minimized: bool,
    /// By nickname; ourselves included.
    pub occupants: OrdMap<String, Arc<Occupant>>,
}

/// Somebody in a room. Fields as in `occupant` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Occupant {
    pub room: BareJid,
    pub nick: String,
    pub role: String,
    pub affiliation: String,
    pub jid: Option<Jid>,
    pub show: Option<Show>,
    pub status: Option<String>,
    pub own: bool,
    pub previous_nick: Option<String>,
    pub left: Option<&'static str>,
    pub reason: Option<String>,
}

/// The own status (API rows 57–61).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub value: StatusValue,
    /// Its text; may be empty.
    pub message: String,
}

/// What the own status can be (API row 58).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the API's own")]
pub enum StatusValue {
    Online,
    Chat,
    Away,
    Dnd,
    Xa,
    Offline,
    Unavailable,
}

/// What readers see, as of one moment. Cloning it copies a few pointers.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The bound full JID; before the first log-in, the configured one.
    pub jid: Jid,
    /// There is a connection with a bound resource.
    pub connected: bool,
    /// The own status.
    pub status: Status,
    /// The roster; none until it has come.
    pub contacts: Option<OrdMap<BareJid, Arc<Contact>>>,
    /// Open chats.
    pub chats: OrdMap<BareJid, Arc<Chat>>,
    /// Rooms that were opened.
    pub rooms: OrdMap<BareJid, Arc<Room>>,
}

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
        /// The stanza.
        stanza: RawStanza,
        /// The answer.
        answer: Answer<()>,
    },
    /// Send an IQ get or set, and wait for its result. The id is set here.
    SendIq {
        /// The IQ.
        iq: RawStanza,
        /// The answer: the whole result.
        answer: Answer<RawStanza>,
    },
    /// API row 76.
    OpenChat {
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
    /// API row 97.
    OpenRoom {
        /// Which.
        jid: BareJid,
        /// The nickname asked for.
        nick: Option<String>,
        /// Password and history.
        join: RoomJoin,
        /// Configuration of a room that this creates; none = instant, as the setting `muc_instant_rooms` says.
        configure: Option<Vec<(String, Vec<String>)>>,
        /// The answer.
        answer: Answer<Arc<Room>>,
    },
    /// API row 105.
    CloseRoom {
        /// Which.
        jid: BareJid,
        /// The answer.
        answer: Answer<()>,
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
        /// The answer.
        answer: Answer<()>,
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
    /// API row 13.
    WaitUntil {
        /// The promise.
        name: EventName,
        /// The answer.
        answer: Answer<Payload>,
    },
}

/// What follows from something that happened, in order.
#[derive(Debug)]
pub enum Effect {
    /// Send this.
    Send(Outgoing),
    /// Send this, and give the answer when it is queued on the stream.
    SendFor(Outgoing, Sent),
    /// Tell whoever listens.
    Fire(Event),
}

/// What to answer when a stanza was queued.
#[derive(Debug)]
pub enum Sent {
    /// The message's id.
    Message(String, Answer<String>),
    /// Nothing but that it was.
    Raw(Answer<()>),
}
