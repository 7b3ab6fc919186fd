//! The state of the account in a room, apart from the public one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_stanza::types::{Actor, Bookmark, RoomJoin};

use super::MAX_ROOMS;
use crate::deadlines::DeadlineKey;
use crate::iq::rooms::ConfigValue;
use crate::records::occupant::Occupant;
use crate::records::room::Room;
use crate::records::room_record::{Departure, cut};
use crate::waiters::Waiter;

/// The reason for entering a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A plugin asked for it.
    Asked,
    /// The settings or a bookmark list it.
    Automatic,
    /// Someone invited us, and the settings accept invitations.
    Invited,
    /// We were in it before, and never left.
    Again,
}

/// Our state in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// We are not in it. If `wanted`, we enter as soon as possible.
    Outside { wanted: bool },
    /// The presence that enters it was sent.
    Entering,
    /// We are in it, and it is being configured.
    Configuring,
    /// We are in it.
    Inside,
    /// The presence that leaves it was sent.
    Leaving,
}

impl Stage {
    /// Returns whether we are in the room.
    pub(crate) fn is_in(self) -> bool {
        matches!(self, Self::Inside | Self::Configuring)
    }
}

/// The time to which a room's messages belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tells {
    /// History: everything is from before we entered. The subject ends it (XEP-0045, section 7.2.15).
    Past,
    /// History if stamped, else new. Some services repeat each subject in its place within the history, and continue
    /// with later messages.
    Ending,
    /// The room never sent its subject, so each message's stamp decides.
    Whenever,
    /// New, regardless of the stamp.
    Present,
}

/// The occupants of a room from before we had to enter again.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) occupants: OrdMap<String, Arc<Occupant>>,
    /// Their size in bytes.
    pub(super) bytes: usize,
}

impl Before {
    /// Takes the occupants of a room, without their vCards: the cache forgets these, and counts them no more.
    pub(super) fn of(room: &mut Room) -> Self {
        let (mut occupants, bytes) = (std::mem::take(&mut room.occupants), room.bytes);
        let shown = occupants.values().filter(|occupant| occupant.card.is_some());
        let nicks: Vec<String> = shown.map(|occupant| occupant.nick.clone()).collect();
        for nick in &nicks {
            if let Some(occupant) = occupants.get_mut(nick).map(Arc::make_mut) {
                occupant.card = None;
            }
        }
        Self { occupants, bytes }
    }
}

/// The internal state that belongs to a [`Room`].
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each of them says something of its own")]
pub(crate) struct Membership {
    pub(crate) stage: Stage,
    pub(super) reason: Reason,
    /// The bookmark because of which it was entered. The room is left when the bookmark is removed.
    pub(super) bookmark: Option<Arc<Bookmark>>,
    pub(super) join: RoomJoin,
    pub(super) configure: Option<Vec<(String, ConfigValue)>>,
    pub(super) joiners: Vec<Waiter<Arc<Room>>>,
    pub(super) leavers: Vec<Waiter<()>>,
    /// The requested nickname; the room's may have a suffix.
    pub(super) nick: String,
    /// The number of failed attempts to enter it again.
    pub(super) tries: u32,
    /// The number of other nicknames that were tried.
    pub(super) nicks_tried: u32,
    /// How often its service removed us soon after we had entered.
    pub(super) put_out: u32,
    /// How often we were kicked since somebody asked for it.
    pub(super) kicks: u32,
    /// When we return after a kick, on whatever stream.
    pub(super) not_before: Option<Duration>,
    /// When we last entered.
    pub(super) entered_at: Duration,
    /// The time to which its messages belong now.
    pub(crate) tells: Tells,
    /// For entering, leaving, the end of the history and the next attempt.
    pub(super) deadline: Option<DeadlineKey>,
    /// For asking whether we are still in.
    pub(super) silence: Option<DeadlineKey>,
    /// When the room last sent a stanza.
    pub(super) heard: Duration,
    /// Whether it reported that it does not know us, or does not exist.
    pub(super) is_missed: bool,
    /// Whether our presence has changed since we asked to enter.
    pub(super) untold: bool,
    /// Whether the settings, or the bookmark while we are out, have given another nickname that the room was not asked for yet.
    pub(super) is_renamed: bool,
    /// Whether the room has said that our nickname is over, and not yet which one follows.
    pub(super) is_nick_over: bool,
    /// The time up to which we know the messages.
    pub(super) known_until: Option<Timestamp>,
    pub(super) before: Before,
}

impl Membership {
    /// Returns the state of a room that should be entered.
    pub(super) fn new(reason: Reason, nick: String) -> Self {
        Self {
            stage: Stage::Outside { wanted: true },
            reason,
            bookmark: None,
            join: RoomJoin::default(),
            configure: None,
            joiners: Vec::new(),
            leavers: Vec::new(),
            nick,
            tries: 0,
            nicks_tried: 0,
            put_out: 0,
            kicks: 0,
            not_before: None,
            entered_at: Duration::ZERO,
            tells: Tells::Past,
            deadline: None,
            silence: None,
            heard: Duration::ZERO,
            is_missed: false,
            untold: false,
            is_renamed: false,
            is_nick_over: false,
            known_until: None,
            before: Before::default(),
        }
    }

    /// Takes the calls that wait to enter, for answering that this will not happen.
    pub(super) fn take_joiners(&mut self) -> Vec<Waiter<Arc<Room>>> {
        std::mem::take(&mut self.joiners)
    }

    /// Returns whether a lost stream removed us, which was not reported.
    pub(super) fn is_to_come_back(&self) -> bool {
        self.reason == Reason::Again && self.stage == Stage::Outside { wanted: true }
    }

    /// Returns whether the room was asked whether we are in it, and has not answered yet.
    pub(super) fn is_asked(&self) -> bool {
        self.stage.is_in() && self.silence.is_none()
    }

    /// Notes that we have another nickname now, and keep it.
    pub(super) fn is_called(&mut self, nick: &str) {
        nick.clone_into(&mut self.nick);
    }

    /// Notes that a message was sent in the room at this time.
    pub(crate) fn said(&mut self, at: Timestamp) {
        self.known_until = self.known_until.max(Some(at));
    }
}

/// The reason why we are out of a room, for its record.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    pub(crate) why: &'static str,
    /// The reason in the owner's record, if it is more exact than the one for plugins.
    pub(crate) recorded: Option<&'static str>,
    pub(crate) reason: Option<String>,
    pub(crate) alternative: Option<BareJid>,
    pub(crate) actor: Option<Actor>,
}

impl Farewell {
    /// Returns it as the owner sees it.
    pub(super) fn departure(&self, at: Timestamp) -> Departure {
        let (reason, actor, alternative) = (self.reason.clone().map(cut), self.actor.clone(), self.alternative.clone());
        Departure { at, why: self.recorded.unwrap_or(self.why), reason, actor, alternative }
    }
}

/// The number of times that each room has still to confirm on this stream that we left. It does so before it answers
/// later stanzas.
#[derive(Debug, Default)]
pub(crate) struct Farewells(HashMap<BareJid, u32>);

impl Farewells {
    /// Notes that we leave, which the room must confirm.
    pub(super) fn sent(&mut self, jid: &BareJid) {
        // Someone may invite us to room after room that never answers: the number is bounded.
        if self.0.len() < MAX_ROOMS || self.0.contains_key(jid) {
            *self.0.entry(jid.clone()).or_default() += 1;
        }
    }

    /// Handles a room's confirmation that we left. Returns whether one was due.
    pub(super) fn came(&mut self, jid: &BareJid) -> bool {
        let Some(due) = self.0.get_mut(jid) else { return false };
        *due -= 1;
        if *due == 0 {
            self.0.remove(jid);
        }
        true
    }

    /// Notes that the room will send no more confirmations.
    pub(super) fn none_is_due(&mut self, jid: &Jid) {
        self.0.remove(jid);
    }
}
