//! Invitations to rooms (XEP-0045, section 7.8; XEP-0249).

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_stanza::types::{Invitation, Invite, Outgoing, RoomJoin, kept};

use super::{Reason, RoomOptions, Stage};
use crate::bookmarks::BookmarkList;
use crate::command::{Answer, Command};
use crate::event::Payload;
use crate::features::Features;
use crate::iq::random_id;
use crate::rooms::Rooms;
use crate::roster::Roster;
use crate::turn::Turn;

/// Maximum number of rooms that are being entered because of invitations.
const MAX_INVITED: usize = 16;
/// Maximum length of a reason, in bytes.
const MAX_REASON: usize = 4_096;
/// Maximum length of a password in an invitation or a bookmark, in bytes. It is sent to the room, and a stanza that is
/// too large for our own server ends the stream.
const MAX_PASSWORD: usize = 4_096;

/// Invite a person to a room. Answered when the invitation is sent.
#[derive(Debug)]
pub struct InviteToRoom {
    /// The room.
    pub jid: BareJid,
    /// The person to invite.
    pub user: BareJid,
    /// Whether to send it directly instead of through the room.
    pub direct: bool,
    /// The reason to state.
    pub reason: Option<String>,
    /// The room's password.
    pub password: Option<String>,
}

impl Command for InviteToRoom {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = super::may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        let Self { jid: room, user, direct, reason, password } = self;
        let invite = Invite {
            room: room.clone(),
            from: turn.own.clone(),
            to: user.clone().into(),
            reason: reason.clone(),
            password: password.clone(),
        };
        let (to, invitation) = if direct {
            (user.into(), Invitation::Direct { room, reason, password })
        } else {
            (Jid::from(room), Invitation::Mediated { user, reason })
        };
        turn.send(Outgoing::Invite { to, id: random_id(), invitation });
        turn.fire("roomInviteSent", Payload::Invite(Arc::new(invite)));
        turn.answer(answer, Ok(()));
    }
}

/// Decline an invitation to a room. Answered when the decline is sent.
#[derive(Debug)]
pub struct DeclineInvitation {
    /// The room.
    pub jid: BareJid,
    /// The person who sent the invitation.
    pub inviter: Jid,
    /// The reason to state.
    pub reason: Option<String>,
}

impl Command for DeclineInvitation {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = super::may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        let invitation = Invitation::Declined { inviter: self.inviter, reason: self.reason };
        turn.send(Outgoing::Invite { to: self.jid.into(), id: random_id(), invitation });
        turn.answer(answer, Ok(()));
    }
}

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
        bookmarks: &BookmarkList,
        turn: &mut Turn<'_>,
    ) {
        if !turn.settings.allow_muc {
            return;
        }
        // A person or a service is no room: such an invitation only tries to get our presence.
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
        turn.fire("roomInviteReceived", Payload::Invite(Arc::new(invite)));
        let entering = self.memberships.values();
        let entering = entering.filter(|room| room.reason == Reason::Invited && room.stage == Stage::Entering).count();
        let is_open = self.stage(&room).is_some_and(|stage| stage != Stage::Outside { wanted: false });
        if turn.settings.auto_join_on_invite && entering < MAX_INVITED && !is_open {
            // No call waits for it: an invitation that fails is the inviter's loss.
            let bookmark = bookmarks.get(&room).map(Arc::as_ref);
            let _ = self.one(&room, turn).try_open(options, Reason::Invited, bookmark);
        }
    }
}

fn cut_reason(invite: &mut Invite) {
    invite.reason = invite.reason.take().map(|reason| kept(reason, MAX_REASON));
}
