//! Invitations to rooms (XEP-0045, section 7.8; XEP-0249).

use std::sync::Arc;

use super::{Reason, RoomWish, Stage};
use crate::event::Payload;
use crate::session::{Session, Turn};
use crate::stanza::{Invite, RoomJoin, kept};

/// How many rooms may be on their way to being entered because somebody invited us.
const MAX_INVITED: usize = 16;
/// How much of a reason is kept, in bytes.
const MAX_REASON: usize = 4_096;
/// The longest password that is taken of an invitation, as of a bookmark, in bytes. It is sent to the room, and a stanza that is
/// larger than our own server takes ends the stream.
const MAX_PASSWORD: usize = 4_096;

impl Session {
    pub(in crate::session) fn invited(&mut self, mut invite: Invite, turn: &mut Turn<'_>) {
        if !self.settings.allow_muc {
            return;
        }
        // A person is no room, and a service is none either: who says so wants our presence.
        let is_person = invite.room == self.own.to_bare() || self.roster.has(&invite.room);
        // Nor does anybody have to be told of a room that we are in (XEP-0249, section 3).
        let is_in = self.rooms.stage(&invite.room).is_some_and(Stage::is_in);
        if is_person || is_in || invite.room.node().is_none() {
            self.ignored += 1;
            return;
        }
        cut_reason(&mut invite);
        invite.password = invite.password.filter(|password| password.len() <= MAX_PASSWORD);
        let join = RoomJoin { password: invite.password.clone(), history: None };
        let wish = RoomWish { join, ..RoomWish::default() };
        let room = invite.room.clone();
        self.fire("roomInviteReceived", Payload::Invite(Arc::new(invite)), turn);
        let entering = self.rooms.memberships.values();
        let entering = entering.filter(|room| room.reason == Reason::Invited && room.stage == Stage::Entering).count();
        let is_open = self.rooms.stage(&room).is_some_and(|stage| stage != Stage::Outside { wanted: false });
        if self.settings.auto_join_on_invite && entering < MAX_INVITED && !is_open {
            // Nobody waits for it: an invitation that leads nowhere is the inviter's loss.
            let _ = self.try_open(&room, wish, Reason::Invited, turn);
        }
    }

    /// Whom we invited does not come. Of a room that is not open anybody could say so.
    pub(in crate::session) fn declined(&mut self, mut no: Invite, turn: &mut Turn<'_>) {
        if !self.rooms.has(&no.room) {
            self.ignored += 1;
            return;
        }
        cut_reason(&mut no);
        self.fire("roomInviteDeclined", Payload::Invite(Arc::new(no)), turn);
    }
}

fn cut_reason(invite: &mut Invite) {
    invite.reason = invite.reason.take().map(|reason| kept(reason, MAX_REASON));
}
