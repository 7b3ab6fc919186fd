//! Staying in rooms: asking a room that is silent whether it still knows us (XEP-0410), and entering it again if not.

use std::time::Duration;

use jid::{BareJid, Jid};

use super::{Reason, RoomQuestion};
use crate::error::{CallError, StanzaError};
use crate::session::deadlines::Late;
use crate::session::{Session, Turn};
use crate::stanza::Ask;

/// How long a room may be silent before it is asked.
const SILENCE: Duration = Duration::from_mins(15);
/// When it is asked again where its answer decided nothing.
const ASK_AGAIN: Duration = Duration::from_mins(1);

impl Session {
    /// Something came from a room.
    pub(in crate::session) fn room_heard(&mut self, jid: &BareJid) {
        let now = self.deadlines.elapsed();
        if let Some(membership) = self.rooms.memberships.get_mut(jid) {
            membership.heard = now;
        }
    }

    /// Looks after a room that we are in.
    pub(super) fn watch(&mut self, jid: &BareJid) {
        self.room_heard(jid);
        self.watch_again_in(jid, SILENCE);
    }

    fn watch_again_in(&mut self, jid: &BareJid, after: Duration) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        self.deadlines.replace(&mut membership.silence, Some((after, Late::RoomSilent(jid.clone()))));
    }

    /// One dead-line for a room, however much is said there: it looks when it passes.
    pub(in crate::session) fn room_silent(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let silent_for = |heard| self.deadlines.elapsed().saturating_sub(heard);
        let Some(silent_for) = self.rooms.memberships.get(jid).map(|membership| silent_for(membership.heard)) else {
            return;
        };
        match SILENCE.checked_sub(silent_for).filter(|rest| !rest.is_zero()) {
            Some(rest) => self.watch_again_in(jid, rest),
            None => self.ask_whether_inside(jid, turn),
        }
    }

    /// Asks all rooms that we are in. After a resumption: a service may have put us out meanwhile that could not say so.
    pub(in crate::session) fn ask_all_whether_inside(&mut self, turn: &mut Turn<'_>) {
        let inside = self.rooms.memberships.iter().filter(|(_, room)| room.stage.is_in());
        let mut inside: Vec<BareJid> = inside.map(|(jid, _)| jid.clone()).collect();
        inside.sort();
        for jid in inside {
            self.ask_whether_inside(&jid, turn);
        }
    }

    /// Asks a room whether we are in it; one question at a time.
    pub(in crate::session) fn ask_whether_inside(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let Ok(ourselves) = room.jid.with_resource_str(&room.nick).map(Jid::from) else { return };
        let Some(membership) = self.rooms.memberships.get_mut(jid).filter(|room| room.stage.is_in()) else { return };
        // Without one, the answer to an earlier question is still to come.
        let Some(key) = membership.silence.take() else { return };
        self.deadlines.cancel(key);
        self.ask_in_room(jid, ourselves, Ask::Ping, RoomQuestion::WhetherInside, turn);
    }

    /// The table of XEP-0410, section 3.
    pub(super) fn told_whether_inside(&mut self, jid: &BareJid, result: &Result<(), CallError>, turn: &mut Turn<'_>) {
        if !self.rooms.stage(jid).is_some_and(super::Stage::is_in) {
            return;
        }
        match result {
            Ok(()) => self.is_found(jid),
            Err(CallError::Stanza(error)) => match error.condition.as_str() {
                // Another client under our nickname answered, and does not know pings.
                "service-unavailable" | "feature-not-implemented" => self.is_found(jid),
                // MongooseIM says so to who is in a room where nobody may ask another; to strangers it says something else.
                "not-allowed" if says_that_nobody_is_asked(error) => self.is_found(jid),
                // Our nickname changed a moment ago, which is over when this is said again: then there is no such room.
                "item-not-found" => match self.rooms.membership(jid) {
                    Some(membership) if membership.is_missed => self.fell_out(jid, turn),
                    Some(membership) => {
                        membership.is_missed = true;
                        self.watch_again_in(jid, ASK_AGAIN);
                    }
                    None => {}
                },
                // The service cannot be reached.
                "remote-server-not-found" | "remote-server-timeout" => self.watch_again_in(jid, ASK_AGAIN),
                _ => self.fell_out(jid, turn),
            },
            Err(_) => self.watch_again_in(jid, ASK_AGAIN),
        }
    }

    /// It knows us.
    fn is_found(&mut self, jid: &BareJid) {
        self.rooms.no_farewell_is_due(jid);
        if let Some(membership) = self.rooms.membership(jid) {
            membership.is_missed = false;
        }
        self.watch(jid);
    }

    fn fell_out(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.reason = Reason::Again;
        self.emptied(jid);
        self.wish_nick_back(jid);
        self.enter(jid, turn);
    }
}

/// Other services tell strangers the same, without these words.
fn says_that_nobody_is_asked(error: &StanzaError) -> bool {
    error.text.as_deref().is_some_and(|text| text.starts_with("Queries to the conference members are not allowed"))
}
