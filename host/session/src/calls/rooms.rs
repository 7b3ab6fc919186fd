//! Opening, closing, configuring, moderating and showing rooms, and inviting to them.

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_base::id::InstanceId;
use parlor_stanza::types::{Affiliated, Ask, Draft, Invitation, Invite, MessageKind, Outgoing};

use super::Command;
use crate::answer::Answer;
use crate::encryption::sending::may_state_reason;
use crate::event::Payload;
use crate::features::Features;
use crate::iq::rooms::{ConfigValue, RoomIq, WantedRetraction, weight_of_fields};
use crate::iq::{PATIENCE, Waiting, random_id};
use crate::messages::outgoing;
use crate::records::room::Room;
use crate::records::view::{Attribute, Focus, ViewChange};
use crate::rooms::membership::{Reason, Stage};
use crate::rooms::opening::RoomOptions;
use crate::rooms::{may_ask, not_open};
use crate::turn::Turn;
use crate::waiters::Waiter;

/// Enter a room, unless the account is in it already. Answered with the room once the account is in it.
#[derive(Debug)]
pub struct OpenRoom {
    /// The calling instance.
    pub by: InstanceId,
    /// The address of the room.
    pub jid: BareJid,
    /// The parameters for entering.
    pub options: RoomOptions,
}

impl Command for OpenRoom {
    type Answer = Arc<Room>;

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.options.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let (jid, options, joiner) = (&self.jid, self.options, Waiter { by: self.by, answer });
        // Focus matters only if something else is open.
        let is_beside = !features.chats.open.is_empty() || features.rooms.shown.keys().any(|other| other != jid);
        let (maximize, focus) = (options.maximize, options.bring_to_foreground && is_beside);
        let bookmark = features.bookmarks.get(jid).map(Arc::as_ref);
        if let Err(error) = features.rooms.one(jid, turn).try_open(options, Reason::Asked, bookmark) {
            return turn.answer(joiner.answer, Err(error));
        }
        // It was opened above, so changing its view cannot fail.
        if maximize {
            let _ = features.rooms.change_view(jid, ViewChange::Maximize, turn);
        }
        if focus {
            features.take_focus_for(&Focus::Room(jid.clone()), turn);
            let _ = features.rooms.change_view(jid, ViewChange::Focus, turn);
        }
        features.rooms.wait_to_enter(jid, joiner, turn);
    }
}

/// Leave a room. Answered when the account has left.
#[derive(Debug)]
pub struct CloseRoom {
    /// The calling instance.
    pub by: InstanceId,
    /// The address of the room.
    pub jid: BareJid,
}

impl Command for CloseRoom {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        features.rooms.close(&self.jid, Waiter { by: self.by, answer }, turn);
    }
}

/// Forget a room that the account is out of, and why it is out. A room that is open stays known.
#[derive(Debug)]
pub struct DismissRoom {
    /// The address of the room.
    pub jid: BareJid,
}

impl Command for DismissRoom {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if features.rooms.stage(&self.jid).is_none() {
            features.rooms.records.dismissed(&self.jid);
            turn.changed = true;
        }
        turn.answer(answer, Ok(()));
    }
}

/// Change fields of the configuration of a room. Answered when the room has accepted them.
#[derive(Debug)]
pub struct ConfigureRoom {
    /// The room.
    pub jid: BareJid,
    /// The fields with their new values.
    pub fields: Vec<(String, ConfigValue)>,
}

impl Command for ConfigureRoom {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        weight_of_fields(&self.fields)
    }

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        turn.ask_room(&self.jid, Ask::RoomConfig, RoomIq::Form(self.fields, answer));
    }
}

/// Set the subject of a room. Answered when the room has shown it.
#[derive(Debug)]
pub struct SetSubject {
    /// The room.
    pub jid: BareJid,
    /// The new subject.
    pub subject: String,
}

impl Command for SetSubject {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        let Self { jid, subject } = self;
        if !features.rooms.stage(&jid).is_some_and(Stage::is_in) {
            return turn.answer(answer, Err(not_open(&jid)));
        }
        let to = Jid::from(jid.clone());
        let waiting = Waiting::Room(jid.clone(), RoomIq::Subject(answer));
        let id = turn.expect(Some(to.clone()), waiting, PATIENCE);
        let draft = Draft { subject: Some(subject), ..Draft::default() };
        turn.send(outgoing(&features.rooms, to, MessageKind::Groupchat, id.clone(), draft));
        turn.ask_room(&jid, Ask::DiscoInfo { node: None }, RoomIq::AfterSubject(id));
    }
}

/// Moderate a room. Answered when the room has done it.
#[derive(Debug)]
pub struct ModerateRoom {
    /// The room.
    pub jid: BareJid,
    /// The request to it: `SetRole`, `SetAffiliation` or `DestroyRoom`.
    pub ask: Ask,
}

impl Command for ModerateRoom {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        turn.ask_room(&self.jid, self.ask, RoomIq::Done(answer));
    }
}

/// Have a room retract somebody's message. Answered when the room has done it.
#[derive(Debug)]
pub struct RetractInRoom {
    /// The room.
    pub jid: BareJid,
    /// The number that the room gave the message.
    pub id: String,
    /// The reason to state.
    pub reason: Option<String>,
}

impl Command for RetractInRoom {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        let Self { jid, id, reason } = self;
        let wanted = WantedRetraction { id, reason };
        // A room that we are in has said what it can, and says so again when that changes.
        match features.rooms.shown.get(&jid).filter(|room| room.joined && room.is_described()) {
            Some(room) => turn.retract_in_room(&jid, wanted, &room.about.features, answer),
            None => turn.ask_room(&jid, Ask::DiscoInfo { node: None }, RoomIq::BeforeRetraction(wanted, answer)),
        }
    }
}

/// List the people with an affiliation to a room. Answered with the list.
#[derive(Debug)]
pub struct ListAffiliations {
    /// The room.
    pub jid: BareJid,
    /// The affiliation.
    pub affiliation: &'static str,
}

impl Command for ListAffiliations {
    type Answer = Vec<Affiliated>;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        let ask = Ask::Affiliations { affiliation: self.affiliation };
        turn.ask_room(&self.jid, ask, RoomIq::Affiliations(answer));
    }
}

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

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { jid: room, user, direct, reason, password } = self;
        let to = Jid::from(user.clone());
        let may_invite =
            may_ask(turn).and_then(|()| may_state_reason(&features.encryption, &to, reason.as_deref(), turn));
        if let Err(error) = may_invite {
            return turn.answer(answer, Err(error));
        }
        let invite = Invite {
            room: room.clone(),
            from: turn.own.clone(),
            to,
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

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { jid: room, inviter, reason } = self;
        let may_decline =
            may_ask(turn).and_then(|()| may_state_reason(&features.encryption, &inviter, reason.as_deref(), turn));
        if let Err(error) = may_decline {
            return turn.answer(answer, Err(error));
        }
        let invitation = Invitation::Declined { inviter, reason };
        turn.send(Outgoing::Invite { to: room.into(), id: random_id(), invitation });
        turn.answer(answer, Ok(()));
    }
}

/// Change how a front end should show a room. Answered when the view is changed.
#[derive(Debug)]
pub struct ChangeRoomView {
    /// The room.
    pub jid: BareJid,
    /// The change of the view.
    pub change: ViewChange,
}

impl Command for ChangeRoomView {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if self.change == ViewChange::Focus && features.rooms.shown.contains_key(&self.jid) {
            features.take_focus_for(&Focus::Room(self.jid.clone()), turn);
        }
        let result = features.rooms.change_view(&self.jid, self.change, turn);
        turn.answer(answer, result);
    }
}

/// Set or remove an attribute of a room. Answered when the attribute is set.
#[derive(Debug)]
pub struct SetRoomAttribute {
    /// The room.
    pub jid: BareJid,
    /// The attribute with its value.
    pub attribute: Attribute,
}

impl Command for SetRoomAttribute {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let result = features.rooms.set_room_attribute(&self.jid, &self.attribute, turn);
        turn.answer(answer, result);
    }
}
