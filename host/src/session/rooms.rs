//! Rooms: entering, leaving and staying in them (XEP-0045; API rows 92–108).

mod entering;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jid::{BareJid, FullJid, Jid};

use crate::error::CallError;
use crate::event::Payload;
use crate::session::deadlines::{DeadlineKey, Late};
use crate::session::{Answer, Occupant, Session, Turn, View};
use crate::stanza::{Outgoing, PresenceOut, PresenceOutKind, RoomJoin};

/// How many rooms an account may have open.
pub(super) const MAX_ROOMS: usize = 1_000;
/// How many calls may wait for one room.
pub(super) const MAX_WAITERS: usize = 1_024;
/// How many rooms may be on their way to being entered because somebody invited us.
const MAX_INVITED: usize = 16;
/// How long entering a room may take.
const JOIN_PATIENCE: Duration = Duration::from_secs(30);
/// How long leaving a room may take.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);

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
    /// How a front end should show it.
    pub view: View,
    /// By nickname; ourselves included.
    pub occupants: OrdMap<String, Arc<Occupant>>,
}

impl Room {
    pub(crate) fn new(jid: BareJid, nick: String) -> Self {
        Self {
            jid,
            nick,
            joined: false,
            subject: None,
            role: "none".to_owned(),
            affiliation: "none".to_owned(),
            view: View::new(true),
            occupants: OrdMap::new(),
        }
    }

    pub(super) fn empty(&mut self) {
        self.joined = false;
        "none".clone_into(&mut self.role);
        self.occupants = OrdMap::new();
    }
}

/// How far we are with a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// We are not in it, and are again as soon as we can where `wanted`.
    Outside { wanted: bool },
    /// The presence that enters it is sent.
    Entering,
    /// We are in it, and it is being configured.
    Configuring,
    /// We are in it.
    Inside,
    /// The presence that leaves it is sent.
    Leaving,
}

/// Why a room is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Asked,
    Invited,
    Again,
}

/// What is behind a [`Room`], and nobody's business outside.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) stage: Stage,
    reason: Reason,
    join: RoomJoin,
    configure: Option<Vec<(String, Vec<String>)>>,
    joiners: Vec<Answer<Arc<Room>>>,
    leavers: Vec<Answer<()>>,
    /// A farewell that an earlier leaving is still owed comes before what answers the new entering.
    pub(super) farewell_due: bool,
    deadline: Option<DeadlineKey>,
}

/// The rooms of an account.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) shown: OrdMap<BareJid, Arc<Room>>,
    /// The same keys as `shown`.
    memberships: HashMap<BareJid, Membership>,
    /// The automatic joins that have not ended.
    auto: HashSet<BareJid>,
}

impl Rooms {
    pub(super) fn has(&self, jid: &Jid) -> bool {
        self.memberships.contains_key(jid)
    }

    pub(super) fn membership(&mut self, jid: &BareJid) -> Option<&mut Membership> {
        self.memberships.get_mut(jid)
    }

    pub(super) fn stage(&self, jid: &Jid) -> Option<Stage> {
        self.memberships.get(jid).map(|membership| membership.stage)
    }

    /// Whether we are about to be in it again.
    pub(super) fn will_be_entered(&self, jid: &BareJid) -> bool {
        matches!(self.stage(jid), Some(Stage::Outside { wanted: true } | Stage::Entering))
    }

    /// Our own addresses in the rooms that we are in.
    pub(super) fn occupied(&self) -> impl Iterator<Item = Jid> {
        self.shown
            .values()
            .filter(|room| room.joined)
            .filter_map(|room| room.jid.with_resource_str(&room.nick).ok())
            .map(Jid::from)
    }

    pub(super) fn forget_abandoned(&mut self) {
        for membership in self.memberships.values_mut() {
            membership.joiners.retain(|answer| !answer.is_abandoned());
            membership.leavers.retain(|answer| !answer.is_abandoned());
        }
    }

    pub(super) fn forget_all(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn waiters(&self) -> usize {
        self.memberships.values().map(|membership| membership.joiners.len() + membership.leavers.len()).sum()
    }

    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        self.shown.len() == self.memberships.len() && self.shown.keys().all(|jid| self.memberships.contains_key(jid))
    }
}

/// How a plugin wants to enter a room.
pub(super) struct Wish {
    pub(super) nick: Option<String>,
    pub(super) join: RoomJoin,
    pub(super) configure: Option<Vec<(String, Vec<String>)>>,
}

impl Session {
    pub(super) fn open_room(&mut self, jid: &BareJid, wish: Wish, answer: Answer<Arc<Room>>, turn: &mut Turn<'_>) {
        if let Err(error) = self.try_open(jid, wish, Reason::Asked, turn) {
            return turn.answer(answer, Err(error));
        }
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        match membership.stage {
            Stage::Inside => {
                let room = self.rooms.shown.get(jid).map(Arc::clone);
                turn.answer(answer, room.ok_or_else(|| CallError::NotFound(jid.to_string())));
            }
            _ if membership.joiners.len() >= MAX_WAITERS => {
                turn.answer(answer, Err(CallError::OverLimit(format!("{MAX_WAITERS} calls wait for {jid}"))));
            }
            _ => membership.joiners.push(answer),
        }
    }

    fn try_open(&mut self, jid: &BareJid, wish: Wish, reason: Reason, turn: &mut Turn<'_>) -> Result<(), CallError> {
        if !self.settings.allow_muc {
            return Err(CallError::Unsupported("rooms: the setting allow_muc is false".to_owned()));
        }
        if !self.is_live() {
            return Err(CallError::Offline);
        }
        let farewell_due = match self.rooms.stage(jid) {
            Some(Stage::Entering | Stage::Configuring | Stage::Inside) => return Ok(()),
            Some(Stage::Leaving) => true,
            Some(Stage::Outside { .. }) | None => false,
        };
        let address = self.address_in(jid, wish.nick)?;
        if !self.rooms.has(jid) {
            self.make_room_for_room()?;
        }
        let mut joiners = Vec::new();
        if let Some(old) = self.rooms.memberships.remove(jid) {
            old.deadline.into_iter().for_each(|key| self.deadlines.cancel(key));
            joiners = old.joiners;
            for leaver in old.leavers {
                turn.answer(leaver, Ok(()));
            }
        }
        let membership = Membership {
            stage: Stage::Outside { wanted: true },
            reason,
            join: wish.join,
            configure: wish.configure,
            joiners,
            leavers: Vec::new(),
            farewell_due,
            deadline: None,
        };
        self.rooms.memberships.insert(jid.clone(), membership);
        let nick = address.resource().to_string();
        let room =
            self.rooms.shown.entry(jid.clone()).or_insert_with(|| Arc::new(Room::new(jid.clone(), nick.clone())));
        let room = Arc::make_mut(room);
        room.empty();
        room.nick = nick;
        self.changed = true;
        self.enter(jid, turn);
        Ok(())
    }

    /// Our address in a room: the nickname asked for, else the setting's, else the node of our JID (API row 95).
    fn address_in(&self, room: &BareJid, nick: Option<String>) -> Result<FullJid, CallError> {
        let nick = nick
            .or_else(|| self.settings.nickname.clone().filter(|_| !self.settings.muc_nickname_from_jid))
            .or_else(|| self.own.node().map(ToString::to_string))
            .ok_or_else(|| {
                CallError::invalid("attributes.nick", "is not given, and this account has no name to use instead")
            })?;
        room.with_resource_str(&nick).map_err(|error| CallError::invalid("attributes.nick", error.to_string()))
    }

    /// A room that we were put out of is forgotten when its place is needed.
    fn make_room_for_room(&mut self) -> Result<(), CallError> {
        if self.rooms.memberships.len() < MAX_ROOMS {
            return Ok(());
        }
        let unused = self.rooms.memberships.iter().find(|(_, old)| old.stage == Stage::Outside { wanted: false });
        let unused = unused.map(|(jid, _)| jid.clone());
        let unused = unused.ok_or_else(|| CallError::OverLimit(format!("{MAX_ROOMS} rooms are open")))?;
        self.drop_room(&unused);
        Ok(())
    }

    /// We are no longer in a room, and it stays known.
    pub(super) fn outside(&mut self, jid: &BareJid, stage: Stage, turn: &mut Turn<'_>) {
        if let Some(membership) = self.rooms.memberships.get_mut(jid) {
            membership.stage = stage;
            if let Some(key) = membership.deadline.take() {
                self.deadlines.cancel(key);
            }
        }
        if let Some(room) = self.rooms.shown.get_mut(jid) {
            Arc::make_mut(room).empty();
            let room = Arc::clone(room);
            self.changed = true;
            self.fire("roomLeft", Payload::Room(room), turn);
        }
    }

    fn drop_room(&mut self, jid: &BareJid) -> Option<Arc<Room>> {
        if let Some(membership) = self.rooms.memberships.remove(jid) {
            membership.deadline.into_iter().for_each(|key| self.deadlines.cancel(key));
        }
        self.changed = true;
        self.move_focus(jid, None);
        self.rooms.shown.remove(jid)
    }

    pub(super) fn close_room(&mut self, jid: &BareJid, answer: Answer<()>, turn: &mut Turn<'_>) {
        let live = self.is_live();
        let Some(membership) = self.rooms.memberships.get_mut(jid) else {
            return turn.answer(answer, Err(CallError::NotFound(format!("the open room {jid}"))));
        };
        if membership.leavers.len() >= MAX_WAITERS {
            return turn.answer(answer, Err(CallError::OverLimit(format!("{MAX_WAITERS} calls wait for {jid}"))));
        }
        let joiners = std::mem::take(&mut membership.joiners);
        match membership.stage {
            Stage::Leaving => membership.leavers.push(answer),
            Stage::Entering | Stage::Configuring | Stage::Inside if live => {
                membership.leavers.push(answer);
                membership.stage = Stage::Leaving;
                let deadline = self.deadlines.set(LEAVE_PATIENCE, Late::Room(jid.clone()));
                if let Some(old) = membership.deadline.replace(deadline) {
                    self.deadlines.cancel(old);
                }
                self.send_farewell(jid, turn);
            }
            _ => {
                self.drop_room(jid);
                turn.answer(answer, Ok(()));
            }
        }
        for joiner in joiners {
            turn.answer(joiner, Err(CallError::Stopped));
        }
        self.auto_join_ended(jid, turn);
    }

    fn send_farewell(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let Ok(address) = room.jid.with_resource_str(&room.nick) else { return };
        let kind = PresenceOutKind::Unavailable;
        turn.send(Outgoing::Presence(PresenceOut { to: Some(address.into()), kind, ..PresenceOut::default() }));
    }

    /// We have left, as asked.
    pub(super) fn left(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let leavers = self.rooms.membership(jid).map(|membership| std::mem::take(&mut membership.leavers));
        if let Some(mut room) = self.drop_room(jid) {
            Arc::make_mut(&mut room).empty();
            self.fire("roomLeft", Payload::Room(room), turn);
        }
        for leaver in leavers.into_iter().flatten() {
            turn.answer(leaver, Ok(()));
        }
    }

    pub(super) fn room_late(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.deadline = None;
        match membership.stage {
            Stage::Entering => {
                // The room may have let us in without our hearing of it.
                self.send_farewell(jid, turn);
                self.not_entered(jid, &CallError::TimedOut, turn);
            }
            Stage::Leaving => self.left(jid, turn),
            Stage::Outside { .. } | Stage::Configuring | Stage::Inside => {}
        }
    }

    /// The stream is gone, and with it our being in rooms. With `give_up`, whoever waits to get in waits no longer.
    pub(super) fn rooms_cut(&mut self, give_up: GiveUp, turn: &mut Turn<'_>) {
        let all: Vec<BareJid> = self.rooms.shown.keys().cloned().collect();
        for jid in all {
            let Some(membership) = self.rooms.memberships.get_mut(&jid) else { continue };
            membership.deadline.take().into_iter().for_each(|key| self.deadlines.cancel(key));
            membership.farewell_due = false;
            if give_up == GiveUp::Yes {
                for joiner in std::mem::take(&mut membership.joiners) {
                    turn.answer(joiner, Err(CallError::Offline));
                }
            }
            match membership.stage {
                Stage::Leaving => self.left(&jid, turn),
                Stage::Entering | Stage::Outside { wanted: true }
                    if give_up == GiveUp::Yes && membership.reason != Reason::Again =>
                {
                    self.drop_room(&jid);
                    self.rooms.auto.remove(&jid);
                }
                Stage::Entering => self.emptied(&jid, Stage::Outside { wanted: true }),
                Stage::Configuring | Stage::Inside => {
                    // Nobody is told that we are back in a room when nobody was told that we were out of it.
                    membership.reason = Reason::Again;
                    self.emptied(&jid, Stage::Outside { wanted: true });
                }
                Stage::Outside { .. } => {}
            }
        }
    }

    fn emptied(&mut self, jid: &BareJid, stage: Stage) {
        if let Some(membership) = self.rooms.memberships.get_mut(jid) {
            membership.stage = stage;
        }
        if let Some(room) = self.rooms.shown.get_mut(jid) {
            Arc::make_mut(room).empty();
            self.changed = true;
        }
    }
}

/// Whether whoever waits to get into a room is told that it will not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveUp {
    Yes,
    No,
}
