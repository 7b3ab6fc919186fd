//! Staying in rooms: asking a silent room whether it still knows us (XEP-0410), and entering it again if not.

use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_stanza::error::{CallError, StanzaError};
use parlor_stanza::types::Ask;

use super::membership::Reason;
use super::{RoomTurn, Rooms};
use crate::deadlines::Late;
use crate::iq::rooms::RoomIq;
use crate::turn::Turn;

/// How long a room may be silent before it is asked.
pub(super) const SILENCE: Duration = Duration::from_mins(15);
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
            self.one(&jid, turn).ask_whether_inside();
        }
    }
}

impl RoomTurn<'_, '_> {
    /// Checks whether a room is silent. There is one deadline for a room, however busy it is: it is checked when it
    /// passes.
    pub(crate) fn silent(&mut self) {
        let jid = self.jid;
        let silent_for = |heard| self.turn.deadlines.elapsed().saturating_sub(heard);
        let Some(silent_for) = self.rooms.memberships.get(jid).map(|membership| silent_for(membership.heard)) else {
            return;
        };
        match SILENCE.checked_sub(silent_for).filter(|rest| !rest.is_zero()) {
            Some(rest) => self.watch_again_in(rest),
            None => self.ask_whether_inside(),
        }
    }

    /// Asks whether we are in after this time.
    pub(super) fn watch_again_in(&mut self, after: Duration) {
        let Some(membership) = self.rooms.memberships.get_mut(self.jid) else { return };
        self.turn.deadlines.replace(&mut membership.silence, Some((after, Late::RoomSilent(self.jid.clone()))));
    }

    /// Notes that the room sent a stanza.
    pub(crate) fn heard(&mut self) {
        if let Some(membership) = self.rooms.memberships.get_mut(self.jid) {
            membership.heard = self.turn.deadlines.elapsed();
        }
    }

    /// Notes that the room knows us.
    fn is_found(&mut self) {
        let jid = self.jid;
        self.rooms.farewells.none_is_due(jid);
        if let Some(membership) = self.rooms.membership(jid) {
            membership.is_missed = false;
        }
        self.heard();
        self.watch_again_in(SILENCE);
    }

    /// Asks a room whether we are in it; one request at a time.
    pub(super) fn ask_whether_inside(&mut self) {
        let jid = self.jid;
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let Ok(ourselves) = room.jid.with_resource_str(&room.nick).map(Jid::from) else { return };
        let Some(membership) = self.rooms.memberships.get_mut(jid).filter(|room| room.stage.is_in()) else { return };
        // Without a deadline, the answer to an earlier request is pending.
        let Some(key) = membership.silence.take() else { return };
        self.turn.deadlines.cancel(key);
        self.turn.ask_in_room(jid, ourselves, Ask::Ping, RoomIq::WhetherInside);
    }

    /// Handles the answer, according to the table in XEP-0410, section 3.
    pub(super) fn told_whether_inside(&mut self, result: &Result<(), CallError>) {
        let jid = self.jid;
        if !self.rooms.stage(jid).is_some_and(super::Stage::is_in) {
            return;
        }
        match result {
            Ok(()) => self.is_found(),
            Err(CallError::Stanza(error)) => match error.condition.as_str() {
                // Another client under our nickname answered, and does not support pings.
                "service-unavailable" | "feature-not-implemented" => self.is_found(),
                // MongooseIM sends this to occupants of a room in which requests to others are forbidden; strangers get
                // another error.
                "not-allowed" if says_that_nobody_is_asked(error) => self.is_found(),
                // Our nickname may have changed a moment ago. If the error is repeated, the room does not exist.
                "item-not-found" => match self.rooms.membership(jid) {
                    Some(membership) if membership.is_missed => self.fell_out(),
                    Some(membership) => {
                        membership.is_missed = true;
                        self.watch_again_in(ASK_AGAIN);
                    }
                    None => {}
                },
                // The service is unreachable.
                "remote-server-not-found" | "remote-server-timeout" => self.watch_again_in(ASK_AGAIN),
                _ => self.fell_out(),
            },
            Err(_) => self.watch_again_in(ASK_AGAIN),
        }
    }

    fn fell_out(&mut self) {
        let jid = self.jid;
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.reason = Reason::Again;
        self.emptied();
        self.want_nick_back();
        self.enter();
    }
}

/// Returns whether the room forbids requests to others. Other services send strangers the same condition, without this
/// text.
fn says_that_nobody_is_asked(error: &StanzaError) -> bool {
    error.text.as_deref().is_some_and(|text| text.starts_with("Queries to the conference members are not allowed"))
}
