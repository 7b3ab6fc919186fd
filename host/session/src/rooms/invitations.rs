//! Invitations to rooms (XEP-0045, section 7.8; XEP-0249).

use std::sync::Arc;

use parlor_stanza::types::{Bookmark, Invite, RoomJoin, kept};

use super::Rooms;
use super::membership::{Reason, Stage};
use super::opening::RoomOptions;
use super::passwords::has_owners;
use super::rejoining::ignores_invitations;
use crate::event::Payload;
use crate::roster::Roster;
use crate::turn::Turn;

/// Maximum number of rooms that are being entered because of invitations.
const MAX_INVITED: usize = 16;
/// Maximum length of a reason, in bytes.
const MAX_REASON: usize = 4_096;
/// Maximum length of a password in an invitation or a bookmark, in bytes. It is sent to the room, and a stanza that is
/// too large for our own server ends the stream.
const MAX_PASSWORD: usize = 4_096;

/// Reports the decline of our invitation. Only open rooms count, since anyone could send it for another room.
pub(crate) fn invitation_declined(rooms: &Rooms, mut no: Invite, turn: &mut Turn<'_>) {
    if !rooms.has(&no.room) {
        turn.ignored += 1;
        return;
    }
    cut_reason(&mut no);
    turn.fire("roomInviteDeclined", Payload::Invite(Arc::new(no)));
}

impl Rooms {
    pub(crate) fn invited(
        &mut self,
        mut invite: Invite,
        roster: &Roster,
        bookmark: Option<&Bookmark>,
        turn: &mut Turn<'_>,
    ) {
        if !turn.settings.allow_muc {
            return;
        }
        // A person or a service is not a room: such an invitation only tries to get our presence.
        let is_person = invite.room == turn.own.to_bare() || roster.has(&invite.room);
        // An invitation to a room that we are in is not reported, either (XEP-0249, section 3).
        let is_in = self.stage(&invite.room).is_some_and(Stage::is_in);
        if is_person || is_in || invite.room.node().is_none() {
            turn.ignored += 1;
            return;
        }
        cut_reason(&mut invite);
        invite.password = invite.password.filter(|password| password.len() <= MAX_PASSWORD);
        let join = RoomJoin { password: invite.password.clone(), history: None };
        let options = RoomOptions { join, ..RoomOptions::default() };
        let room = invite.room.clone();
        // A room adds its password to the invitations that it passes on. Plugins need none where the account has the owner's.
        invite.password = invite.password.filter(|_| !has_owners(self, &room));
        turn.fire("roomInviteReceived", Payload::Invite(Arc::new(invite)));
        let entering = self.memberships.values();
        let entering = entering.filter(|room| room.reason == Reason::Invited && room.stage == Stage::Entering).count();
        let is_open = self.stage(&room).is_some_and(|stage| stage != Stage::Outside { wanted: false });
        let is_followed = !is_open && !ignores_invitations(self, &room);
        if turn.settings.auto_join_on_invite && entering < MAX_INVITED && is_followed {
            // No call waits for it: an invitation that fails is the inviter's loss.
            let _ = self.one(&room, turn).try_open(options, Reason::Invited, bookmark);
        }
    }
}

fn cut_reason(invite: &mut Invite) {
    invite.reason = invite.reason.take().map(|reason| kept(reason, MAX_REASON));
}
