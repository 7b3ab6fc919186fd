//! Getting into rooms: because a plugin asks, the settings say so, somebody invites us, or the stream broke.

use std::sync::Arc;

use jid::BareJid;

use super::{JOIN_PATIENCE, MAX_INVITED, Reason, Stage, Wish};
use crate::error::CallError;
use crate::event::Payload;
use crate::session::deadlines::Late;
use crate::session::{Session, Turn};
use crate::stanza::{Invite, Outgoing, PresenceOut, RoomJoin};

impl Session {
    /// Sends the presence that enters a room which is known.
    pub(super) fn enter(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let Ok(address) = room.jid.with_resource_str(&room.nick) else { return };
        let presence = if self.status.value.is_hidden() {
            PresenceOut { to: Some(address.into()), caps: Some(self.disco.own.caps()), ..PresenceOut::default() }
        } else {
            self.presence_to(Some(address.into()))
        };
        let deadline = self.deadlines.set(JOIN_PATIENCE, Late::Room(jid.clone()));
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.stage = Stage::Entering;
        if let Some(old) = membership.deadline.replace(deadline) {
            self.deadlines.cancel(old);
        }
        let mut join = membership.join.clone();
        join.history = join.history.or(self.settings.muc_history_max_stanzas);
        turn.send(Outgoing::Presence(PresenceOut { join: Some(join), ..presence }));
    }

    /// Enters again what a lost stream, or our own hiding, put us out of.
    pub(in crate::session) fn enter_wanted_rooms(&mut self, turn: &mut Turn<'_>) {
        let wanted = self.rooms.memberships.iter().filter(|(_, room)| room.stage == Stage::Outside { wanted: true });
        let mut wanted: Vec<BareJid> = wanted.map(|(jid, _)| jid.clone()).collect();
        wanted.sort();
        for jid in wanted {
            self.enter(&jid, turn);
        }
    }

    /// The automatic joins (API row 27).
    pub(in crate::session) fn auto_join(&mut self, turn: &mut Turn<'_>) {
        for room in self.settings.auto_join_rooms.clone() {
            let wish = Wish { nick: room.nick, join: RoomJoin::default(), configure: None };
            if self.try_open(&room.jid, wish, Reason::Asked, turn).is_ok()
                && self.rooms.stage(&room.jid) == Some(Stage::Entering)
            {
                self.rooms.auto.insert(room.jid);
            }
        }
        if !self.rooms.auto.is_empty() {
            self.deadlines.set(JOIN_PATIENCE, Late::AutoJoins);
        }
    }

    pub(in crate::session) fn auto_joins_ended(&self) -> bool {
        self.rooms.auto.is_empty()
    }

    pub(in crate::session) fn give_up_auto_joins(&mut self) {
        self.rooms.auto.clear();
    }

    pub(in crate::session) fn invited(&mut self, invite: Invite, turn: &mut Turn<'_>) {
        if !self.settings.allow_muc {
            return;
        }
        let wish =
            Wish { nick: None, join: RoomJoin { password: invite.password.clone(), history: None }, configure: None };
        let room = invite.room.clone();
        self.fire("roomInviteReceived", Payload::Invite(Arc::new(invite)), turn);
        let entering = self.rooms.memberships.values();
        let entering = entering.filter(|room| room.reason == Reason::Invited && room.stage == Stage::Entering).count();
        if self.settings.auto_join_on_invite && entering < MAX_INVITED && !self.rooms.has(&room) {
            // Nobody waits for it: an invitation that leads nowhere is the inviter's loss.
            let _ = self.try_open(&room, wish, Reason::Invited, turn);
        }
    }

    /// We are in: the room says so of ourselves (XEP-0045, section 7.2.2).
    pub(in crate::session) fn entered(&mut self, jid: &BareJid, created: bool, turn: &mut Turn<'_>) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        if let Some(key) = membership.deadline.take() {
            self.deadlines.cancel(key);
        }
        membership.farewell_due = false;
        membership.stage = Stage::Inside;
        self.send_to_room_again(jid, turn);
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let fields = match (created, membership.configure.take()) {
            (false, _) => return self.settled_in(jid, &Ok(()), turn),
            (true, Some(fields)) => fields.into_iter().map(|(name, values)| (full_field_name(name), values)).collect(),
            (true, None) if self.settings.muc_instant_rooms => Vec::new(),
            (true, None) => {
                if let Some(room) = self.rooms.shown.get(jid).map(Arc::clone) {
                    self.fire("configurationNeeded", Payload::Room(room), turn);
                }
                return self.settled_in(jid, &Ok(()), turn);
            }
        };
        membership.stage = Stage::Configuring;
        self.ask_room_configuration(jid.clone(), fields, turn);
    }

    pub(in crate::session) fn room_configured(
        &mut self,
        jid: &BareJid,
        result: &Result<(), CallError>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(membership) = self.rooms.memberships.get_mut(jid)
            && membership.stage == Stage::Configuring
        {
            membership.stage = Stage::Inside;
            self.settled_in(jid, result, turn);
        }
    }

    /// Tells everybody who waited. An error here is one of the configuration: we are in nevertheless.
    fn settled_in(&mut self, jid: &BareJid, result: &Result<(), CallError>, turn: &mut Turn<'_>) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let Some(room) = self.rooms.shown.get(jid).map(Arc::clone) else { return };
        let again = std::mem::replace(&mut membership.reason, Reason::Asked) == Reason::Again;
        let joiners = std::mem::take(&mut membership.joiners);
        if !again {
            self.fire("chatRoomOpened", Payload::Room(Arc::clone(&room)), turn);
        }
        for joiner in joiners {
            turn.answer(joiner, result.clone().map(|()| Arc::clone(&room)));
        }
        self.auto_join_ended(jid, turn);
    }

    /// Entering did not work out. The room is forgotten, unless we were in it before.
    pub(in crate::session) fn not_entered(&mut self, jid: &BareJid, error: &CallError, turn: &mut Turn<'_>) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let joiners = std::mem::take(&mut membership.joiners);
        let again = membership.reason == Reason::Again;
        self.again.forget(jid);
        if again {
            self.outside(jid, Stage::Outside { wanted: false }, turn);
        } else {
            self.drop_room(jid);
        }
        for joiner in joiners {
            turn.answer(joiner, Err(error.clone()));
        }
        self.auto_join_ended(jid, turn);
    }

    pub(super) fn auto_join_ended(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        if self.rooms.auto.remove(jid) && self.rooms.auto.is_empty() {
            self.auto_joined(turn);
        }
    }
}

/// API row 102: plugins write `persistentroom`, the form says `muc#roomconfig_persistentroom`.
fn full_field_name(name: String) -> String {
    if name.contains('#') { name } else { format!("muc#roomconfig_{name}") }
}
