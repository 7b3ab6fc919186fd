//! Staying in rooms: asking a silent room whether it still knows us (XEP-0410), and entering it again if not.

use crate::rooms::RoomTurn;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_stanza::error::{CallError, StanzaError};
use parlor_stanza::types::Ask;

use super::{Reason, RoomQuestion};
use crate::deadlines::Late;
use crate::rooms::Rooms;
use crate::turn::Turn;

/// How long a room may be silent before it is asked.
const SILENCE: Duration = Duration::from_mins(15);
/// Delay before it is asked again if its answer decided nothing.
const ASK_AGAIN: Duration = Duration::from_mins(1);

impl Rooms {
    /// Asks all rooms that we are in, after a resumption: a service may have removed us meanwhile and could not report
    /// it.
    pub(crate) fn ask_all_whether_inside(&mut self, turn: &mut Turn<'_>) {
        let inside = self.memberships.iter().filter(|(_, room)| room.stage.is_in());
        let mut inside: Vec<BareJid> = inside.map(|(jid, _)| jid.clone()).collect();
        inside.sort();
        for jid in inside {
            self.ask_whether_inside(&jid, turn);
        }
    }

    /// Checks whether a room is silent. There is one deadline for a room, however busy it is: it is checked when it
    /// passes.
    pub(crate) fn room_silent(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let silent_for = |heard| turn.deadlines.elapsed().saturating_sub(heard);
        let Some(silent_for) = self.memberships.get(jid).map(|membership| silent_for(membership.heard)) else {
            return;
        };
        match SILENCE.checked_sub(silent_for).filter(|rest| !rest.is_zero()) {
            Some(rest) => self.watch_again_in(jid, rest, turn),
            None => self.ask_whether_inside(jid, turn),
        }
    }

    pub(crate) fn watch_again_in(&mut self, jid: &BareJid, after: Duration, turn: &mut Turn<'_>) {
        let Some(membership) = self.memberships.get_mut(jid) else { return };
        turn.deadlines.replace(&mut membership.silence, Some((after, Late::RoomSilent(jid.clone()))));
    }

    /// Notes that the room knows us.
    pub(crate) fn is_found(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        self.no_farewell_is_due(jid);
        if let Some(membership) = self.membership(jid) {
            membership.is_missed = false;
        }
        self.watch(jid, turn);
    }

    /// Asks a room whether we are in it; one request at a time.
    pub(crate) fn ask_whether_inside(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let Some(room) = self.shown.get(jid) else { return };
        let Ok(ourselves) = room.jid.with_resource_str(&room.nick).map(Jid::from) else { return };
        let Some(membership) = self.memberships.get_mut(jid).filter(|room| room.stage.is_in()) else { return };
        // Without a deadline, the answer to an earlier request is pending.
        let Some(key) = membership.silence.take() else { return };
        turn.deadlines.cancel(key);
        turn.ask_in_room(jid, ourselves, Ask::Ping, RoomQuestion::WhetherInside);
    }

    /// Notes that something came from a room.
    pub(crate) fn room_heard(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let now = turn.deadlines.elapsed();
        if let Some(membership) = self.memberships.get_mut(jid) {
            membership.heard = now;
        }
    }

    /// Starts to watch a room that we are in.
    pub(super) fn watch(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        self.room_heard(jid, turn);
        self.watch_again_in(jid, SILENCE, turn);
    }
}

impl RoomTurn<'_, '_> {
    /// Handles the answer, according to the table in XEP-0410, section 3.
    pub(super) fn told_whether_inside(&mut self, result: &Result<(), CallError>) {
        let jid = self.jid;
        if !self.rooms.stage(jid).is_some_and(super::Stage::is_in) {
            return;
        }
        match result {
            Ok(()) => self.rooms.is_found(jid, self.turn),
            Err(CallError::Stanza(error)) => match error.condition.as_str() {
                // Another client under our nickname answered, and does not support pings.
                "service-unavailable" | "feature-not-implemented" => self.rooms.is_found(jid, self.turn),
                // MongooseIM sends this to occupants of a room in which requests to others are forbidden; strangers get
                // another error.
                "not-allowed" if says_that_nobody_is_asked(error) => self.rooms.is_found(jid, self.turn),
                // Our nickname may have changed a moment ago. If the error comes again, there is no such room.
                "item-not-found" => match self.rooms.membership(jid) {
                    Some(membership) if membership.is_missed => self.fell_out(),
                    Some(membership) => {
                        membership.is_missed = true;
                        self.rooms.watch_again_in(jid, ASK_AGAIN, self.turn);
                    }
                    None => {}
                },
                // The service is unreachable.
                "remote-server-not-found" | "remote-server-timeout" => {
                    self.rooms.watch_again_in(jid, ASK_AGAIN, self.turn)
                }
                _ => self.fell_out(),
            },
            Err(_) => self.rooms.watch_again_in(jid, ASK_AGAIN, self.turn),
        }
    }

    fn fell_out(&mut self) {
        let jid = self.jid;
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.reason = Reason::Again;
        self.emptied();
        self.rooms.want_nick_back(jid, self.turn);
        self.enter();
    }
}

/// Returns whether the room forbids requests to others. Other services send strangers the same condition, without this
/// text.
fn says_that_nobody_is_asked(error: &StanzaError) -> bool {
    error.text.as_deref().is_some_and(|text| text.starts_with("Queries to the conference members are not allowed"))
}
