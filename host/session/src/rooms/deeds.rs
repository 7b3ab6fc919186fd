//! Actions of plugins on rooms, other than entering and leaving them.

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Affiliated, Ask, Bookmark, Invitation, Invite, Outgoing};

use super::configuring::{self, ConfigValue};
use super::{RoomQuestion, not_open};
use crate::event::Payload;
use crate::features::Features;
use crate::questions::random_id;
use crate::turn::Turn;
use crate::view::Focus;
use crate::{Answer, Attribute, ViewChange};

/// An action of a plugin on a room, after its grants were checked.
#[derive(Debug)]
pub enum RoomDeed {
    /// Change how it is shown.
    View(ViewChange, Answer<()>),
    /// Set or remove an attribute for front ends.
    Attribute(Attribute, Answer<()>),
    /// Set its subject.
    Subject(String, Answer<()>),
    /// Send it an order: `SetRole`, `SetAffiliation` or `DestroyRoom`.
    Order(Ask, Answer<()>),
    /// List the people with this affiliation.
    Affiliations(&'static str, Answer<Vec<Affiliated>>),
    /// Change fields of its configuration.
    Configure(Vec<(String, ConfigValue)>, Answer<()>),
    /// Invite a person.
    Invite {
        /// The person to invite.
        user: BareJid,
        /// Whether to send it directly instead of through the room.
        direct: bool,
        /// The reason to state.
        reason: Option<String>,
        /// The room's password.
        password: Option<String>,
        /// Answered when the invitation is sent.
        answer: Answer<()>,
    },
    /// Decline an invitation.
    Decline {
        /// The person who sent the invitation.
        inviter: Jid,
        /// The reason to state.
        reason: Option<String>,
        /// Answered when the decline is sent.
        answer: Answer<()>,
    },
    /// Store a bookmark of it.
    SetBookmark(Box<Bookmark>, Answer<()>),
    /// Remove its bookmark.
    RemoveBookmark(Answer<()>),
}

impl RoomDeed {
    /// Returns whether nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        match self {
            Self::View(_, answer)
            | Self::Attribute(_, answer)
            | Self::Subject(_, answer)
            | Self::Order(_, answer)
            | Self::Configure(_, answer)
            | Self::Invite { answer, .. }
            | Self::Decline { answer, .. }
            | Self::SetBookmark(_, answer)
            | Self::RemoveBookmark(answer) => answer.is_abandoned(),
            Self::Affiliations(_, answer) => answer.is_abandoned(),
        }
    }

    fn refuse(self, error: CallError, turn: &mut Turn<'_>) {
        match self {
            Self::View(_, answer)
            | Self::Attribute(_, answer)
            | Self::Subject(_, answer)
            | Self::Order(_, answer)
            | Self::Configure(_, answer)
            | Self::Invite { answer, .. }
            | Self::Decline { answer, .. }
            | Self::SetBookmark(_, answer)
            | Self::RemoveBookmark(answer) => turn.answer(answer, Err(error)),
            Self::Affiliations(_, answer) => turn.answer(answer, Err(error)),
        }
    }

    /// Returns how many bytes of memory it takes without its answer, as far as that may be much: other texts have some
    /// KiB at most.
    pub fn weight(&self) -> usize {
        match self {
            Self::Configure(fields, _) => configuring::weight(fields),
            Self::SetBookmark(bookmark, _) => bookmark.extensions.as_ref().map_or(0, String::len),
            Self::View(..)
            | Self::Attribute(..)
            | Self::Subject(..)
            | Self::Order(..)
            | Self::Affiliations(..)
            | Self::Invite { .. }
            | Self::Decline { .. }
            | Self::RemoveBookmark(_) => 0,
        }
    }

    /// Returns whether it sends a stanza.
    pub fn sends(&self) -> bool {
        !matches!(self, Self::View(..) | Self::Attribute(..))
    }
}

impl Features {
    pub(crate) fn room_deed(&mut self, jid: &BareJid, deed: RoomDeed, turn: &mut Turn<'_>) {
        if deed.sends()
            && let Err(error) = self.may_ask_rooms(turn)
        {
            return deed.refuse(error, turn);
        }
        match deed {
            RoomDeed::View(change, answer) => {
                let result = self.change_room_view(jid, change, turn);
                turn.answer(answer, result);
            }
            RoomDeed::Attribute(attribute, answer) => {
                let result = self.set_room_attribute(jid, &attribute, turn);
                turn.answer(answer, result);
            }
            RoomDeed::Subject(subject, answer) => self.set_subject(jid, subject, answer, turn),
            RoomDeed::Order(ask, answer) => self.ask_room(jid, ask, RoomQuestion::Done(answer), turn),
            RoomDeed::Affiliations(affiliation, answer) => {
                self.ask_room(jid, Ask::Affiliations { affiliation }, RoomQuestion::Affiliations(answer), turn);
            }
            RoomDeed::Configure(fields, answer) => {
                self.ask_room(jid, Ask::RoomConfig, RoomQuestion::Form(fields, answer), turn);
            }
            RoomDeed::Invite { user, direct, reason, password, answer } => {
                let invite = Invite {
                    room: jid.clone(),
                    from: turn.own.clone(),
                    to: user.clone().into(),
                    reason: reason.clone(),
                    password: password.clone(),
                };
                let (to, invitation) = if direct {
                    (user.into(), Invitation::Direct { room: jid.clone(), reason, password })
                } else {
                    (Jid::from(jid.clone()), Invitation::Mediated { user, reason })
                };
                turn.send(Outgoing::Invite { to, id: random_id(), invitation });
                turn.fire("roomInviteSent", Payload::Invite(Arc::new(invite)));
                turn.answer(answer, Ok(()));
            }
            RoomDeed::Decline { inviter, reason, answer } => {
                let invitation = Invitation::Declined { inviter, reason };
                turn.send(Outgoing::Invite { to: jid.clone().into(), id: random_id(), invitation });
                turn.answer(answer, Ok(()));
            }
            RoomDeed::SetBookmark(bookmark, answer) => self.set_bookmark(*bookmark, answer, turn),
            RoomDeed::RemoveBookmark(answer) => self.remove_bookmark(jid, answer, turn),
        }
    }

    fn may_ask_rooms(&mut self, turn: &mut Turn<'_>) -> Result<(), CallError> {
        if !turn.settings.allow_muc {
            return Err(CallError::Unsupported("rooms: the setting allow_muc is false".to_owned()));
        }
        if !turn.is_live() {
            return Err(CallError::Offline);
        }
        turn.make_room_for_question()
    }

    pub(super) fn change_room_view(
        &mut self,
        jid: &BareJid,
        change: ViewChange,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        let room = self.rooms.shown.get_mut(jid).ok_or_else(|| not_open(jid))?;
        let before = Arc::clone(room);
        let toggled = Arc::make_mut(room).view.change(change);
        turn.changed |= *room != before;
        self.move_focus(&Focus::Room(jid.clone()), Some(change), turn);
        let room = Arc::clone(self.rooms.shown.get(jid).ok_or_else(|| not_open(jid))?);
        // Being shown and being focused are reported each time, since a front end may have changed its own state.
        if toggled || matches!(change, ViewChange::Focus | ViewChange::Show) {
            turn.fire("roomViewChanged", Payload::Room(room));
        }
        Ok(())
    }

    fn set_room_attribute(
        &mut self,
        jid: &BareJid,
        attribute: &Attribute,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        let room = self.rooms.shown.get_mut(jid).ok_or_else(|| not_open(jid))?;
        turn.changed |= Arc::make_mut(room).view.set_attribute(attribute)?;
        Ok(())
    }
}
