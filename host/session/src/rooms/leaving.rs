//! Leaving rooms: on request, after removal by the room, or with the stream.

use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Outgoing, PresenceOut, PresenceOutKind};

use super::entering::JOIN_PATIENCE;
use super::membership::{Before, Farewell, Farewells, Reason, Stage, Tells};
use super::occupants::entered_without_code;
use super::{RoomTurn, Rooms, may_wait, not_open};
use crate::event::Payload;
use crate::records::room::Room;
use crate::records::view::Focus;
use crate::turn::{Link, Turn};
use crate::waiters::Waiter;

/// Time limit for leaving a room.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);

/// Whether calls that wait to enter a room are answered that this will not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveUp {
    Yes,
    No,
}

impl RoomTurn<'_, '_> {
    pub(super) fn send_farewell(&mut self) {
        let jid = self.jid;
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let Ok(address) = room.jid.with_resource_str(&room.nick) else { return };
        let kind = PresenceOutKind::Unavailable;
        self.rooms.farewells.sent(jid);
        self.turn.send(Outgoing::Presence(PresenceOut { to: Some(address.into()), kind, ..PresenceOut::default() }));
    }

    /// Marks a room as left; it stays known.
    pub(super) fn outside(&mut self, wanted: bool, why: Farewell) {
        let jid = self.jid;
        if let Some(membership) = self.rooms.memberships.get_mut(jid) {
            membership.stage = Stage::Outside { wanted };
            self.turn.deadlines.replace(&mut membership.silence, None);
            self.turn.deadlines.replace(&mut membership.deadline, None);
        }
        self.turn.out_of_room(jid);
        if wanted && why.why == "left" {
            // The account hides. This departure is not reported.
            self.rooms.records.waits(jid);
        } else {
            self.rooms.records.out(jid, wanted, why.departure(self.turn.now));
        }
        if let Some(room) = self.rooms.shown.get_mut(jid) {
            bid_farewell(Arc::make_mut(room), why);
            let room = Arc::clone(room);
            self.turn.changed = true;
            self.turn.fire("roomLeft", Payload::Room(room));
        }
    }

    pub(super) fn drop_room(&mut self) -> Option<Arc<Room>> {
        let jid = self.jid;
        if let Some(membership) = self.rooms.memberships.remove(jid) {
            self.turn.cancel_deadlines(&membership);
        }
        self.turn.out_of_room(jid);
        self.turn.end_focus(&Focus::Room(jid.clone()));
        self.rooms.shown.remove(jid)
    }

    /// Leaves a known room. Calls that wait to enter end.
    pub(crate) fn leave(&mut self, leaver: Option<Waiter<()>>) {
        let jid = self.jid;
        let live = self.turn.is_live();
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let joiners = std::mem::take(&mut membership.joiners);
        match membership.stage {
            Stage::Leaving => membership.leavers.extend(leaver),
            Stage::Entering | Stage::Configuring | Stage::Inside if live => {
                membership.leavers.extend(leaver);
                membership.stage = Stage::Leaving;
                self.set_deadline(Some(LEAVE_PATIENCE));
                self.send_farewell();
            }
            _ => {
                if membership.is_to_come_back() {
                    // The room counts as entered for everyone.
                    self.left();
                } else {
                    self.drop_room();
                    self.rooms.records.given_up(jid);
                }
                if let Some(leaver) = leaver {
                    self.turn.answer(leaver.answer, Ok(()));
                }
            }
        }
        for joiner in joiners {
            self.turn.answer(joiner.answer, Err(CallError::Stopped));
        }
        self.auto_join_ended();
    }

    /// Completes a requested leaving. A room that we were never in is forgotten, unless a bookmark or the settings list it.
    pub(super) fn left(&mut self) {
        let jid = self.jid;
        let membership = self.rooms.membership(jid);
        let (leavers, is_bookmarked) = membership
            .map(|membership| (std::mem::take(&mut membership.leavers), membership.bookmark.is_some()))
            .unwrap_or_default();
        let is_listed = is_bookmarked || self.turn.settings.auto_join_rooms.iter().any(|listed| listed.jid == *jid);
        if let Some(mut room) = self.drop_room() {
            let farewell = Farewell { why: "left", ..Farewell::default() };
            self.rooms.records.out(jid, false, farewell.departure(self.turn.now));
            if !is_listed {
                self.rooms.records.forget_unless_entered(jid);
            }
            bid_farewell(Arc::make_mut(&mut room), farewell);
            self.turn.fire("roomLeft", Payload::Room(room));
        }
        for leaver in leavers {
            self.turn.answer(leaver.answer, Ok(()));
        }
    }

    pub(crate) fn room_late(&mut self) {
        let jid = self.jid;
        let may_enter = self.turn.is_live() && self.turn.announced;
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.deadline = None;
        match membership.stage {
            // Our presence is queued during a lost connection, so no room could have answered it.
            Stage::Entering if self.turn.link == Link::Suspended && membership.joiners.is_empty() => {
                self.set_deadline(Some(JOIN_PATIENCE));
            }
            Stage::Entering => {
                if !entered_without_code(self) {
                    // The room may have let us in without our learning of it.
                    self.send_farewell();
                    self.not_entered(&CallError::TimedOut);
                }
            }
            Stage::Leaving => self.left(),
            // The room did not send its subject.
            Stage::Configuring | Stage::Inside if membership.tells == Tells::Past => membership.tells = Tells::Whenever,
            Stage::Configuring | Stage::Inside if membership.tells == Tells::Ending => {
                membership.tells = Tells::Present;
            }
            Stage::Outside { wanted: true } if may_enter => self.enter(),
            Stage::Configuring | Stage::Inside | Stage::Outside { .. } => {}
        }
    }

    /// Empties a room that we are out of unnoticed and will enter again.
    pub(super) fn emptied(&mut self) {
        let jid = self.jid;
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.stage = Stage::Outside { wanted: true };
        if let Some(room) = self.rooms.shown.get_mut(jid) {
            let room = Arc::make_mut(room);
            if room.joined {
                membership.before = Before::of(room);
            }
            room.empty();
        }
        self.rooms.records.waits(jid);
        self.turn.out_of_room(jid);
    }
}

impl Rooms {
    pub(crate) fn close(&mut self, jid: &BareJid, leaver: Waiter<()>, turn: &mut Turn<'_>) {
        let Some(membership) = self.memberships.get_mut(jid) else {
            return turn.answer(leaver.answer, Err(not_open(jid)));
        };
        match may_wait(&mut membership.leavers, leaver.by, jid) {
            Ok(()) => self.one(jid, turn).leave(Some(leaver)),
            Err(error) => turn.answer(leaver.answer, Err(error)),
        }
    }

    /// Handles the loss of the stream, and with it of our presence in rooms. With `give_up`, calls that wait to enter
    /// end.
    pub(crate) fn cut(&mut self, give_up: GiveUp, turn: &mut Turn<'_>) {
        let all: Vec<BareJid> = self.shown.keys().cloned().collect();
        self.farewells = Farewells::default();
        for jid in all {
            let Some(membership) = self.memberships.get_mut(&jid) else { continue };
            turn.deadlines.replace(&mut membership.deadline, None);
            turn.deadlines.replace(&mut membership.silence, None);
            (membership.tries, membership.nicks_tried) = (0, 0);
            if give_up == GiveUp::Yes {
                for joiner in std::mem::take(&mut membership.joiners) {
                    turn.answer(joiner.answer, Err(CallError::Offline));
                }
            }
            match membership.stage {
                Stage::Leaving => self.one(&jid, turn).left(),
                // Rooms that we were in, or enter automatically, are entered at the next log-in.
                Stage::Entering | Stage::Outside { wanted: true }
                    if give_up == GiveUp::Yes && matches!(membership.reason, Reason::Asked | Reason::Invited) =>
                {
                    self.one(&jid, turn).drop_room();
                    self.records.given_up(&jid);
                    self.auto.remove(&jid);
                }
                Stage::Entering => self.one(&jid, turn).emptied(),
                Stage::Configuring | Stage::Inside => {
                    // No event reports that we are back in a room if none reported that we were out.
                    membership.reason = Reason::Again;
                    self.one(&jid, turn).emptied();
                }
                // The wait after a kick continues.
                Stage::Outside { wanted: true } if membership.not_before.is_some() => {}
                Stage::Outside { wanted: true } => self.records.waits(&jid),
                Stage::Outside { wanted: false } => {}
            }
        }
    }
}

fn bid_farewell(room: &mut Room, farewell: Farewell) {
    room.empty();
    room.left = Some(farewell.why);
    room.reason = farewell.reason;
    room.alternative = farewell.alternative;
    room.actor = farewell.actor;
}
