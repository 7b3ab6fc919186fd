//! Opening rooms: the parameters, and the first step of entering.

use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, FullJid, NodeRef};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Bookmark, History, RoomJoin};

use super::membership::{Membership, Reason, Stage};
use super::passwords::password_to_keep;
use super::{RoomTurn, Rooms, may_wait, not_open};
use crate::deadlines::Late;
use crate::iq::rooms::{ConfigValue, weight_of_fields};
use crate::records::room::Room;
use crate::records::view::View;
use crate::turn::Turn;
use crate::waiters::Waiter;

/// The parameters with which a room is entered.
#[derive(Debug, Clone, Default)]
pub struct RoomOptions {
    /// The requested nickname.
    pub nick: Option<String>,
    /// Password and history.
    pub join: RoomJoin,
    /// The configuration if this creates the room. None: the setting `muc_instant_rooms` decides.
    pub configure: Option<Vec<(String, ConfigValue)>>,
    /// Whether it should not be minimized.
    pub maximize: bool,
    /// Whether it should get the focus, if another chat or room is open.
    pub bring_to_foreground: bool,
}

impl RoomOptions {
    /// Returns how many bytes of memory its configuration takes; its other texts have some KiB at most.
    pub(crate) fn weight(&self) -> usize {
        self.configure.as_deref().map_or(0, weight_of_fields)
    }
}

impl Rooms {
    /// Answers a call with the room, at once or when we have entered it.
    pub(crate) fn wait_to_enter(&mut self, jid: &BareJid, joiner: Waiter<Arc<Room>>, turn: &mut Turn<'_>) {
        let Some(membership) = self.memberships.get_mut(jid) else { return };
        // The room should not be left with a bookmark, since a plugin asks for it now.
        membership.bookmark = None;
        if membership.stage == Stage::Inside {
            let room = self.shown.get(jid).map(Arc::clone);
            return turn.answer(joiner.answer, room.ok_or_else(|| not_open(jid)));
        }
        match may_wait(&mut membership.joiners, joiner.by, jid) {
            Ok(()) => membership.joiners.push(joiner),
            Err(error) => turn.answer(joiner.answer, Err(error)),
        }
    }
}

impl RoomTurn<'_, '_> {
    /// Replaces the deadline for the current step.
    pub(super) fn set_deadline(&mut self, after: Option<Duration>) {
        let Some(membership) = self.rooms.memberships.get_mut(self.jid) else { return };
        let after = after.map(|after| (after, Late::Room(self.jid.clone())));
        self.turn.deadlines.replace(&mut membership.deadline, after);
    }

    pub(crate) fn try_open(
        &mut self,
        options: RoomOptions,
        reason: Reason,
        bookmark: Option<&Bookmark>,
    ) -> Result<(), CallError> {
        let jid = self.jid;
        if !self.turn.settings.allow_muc {
            return Err(CallError::Unsupported("rooms: the setting allow_muc is false".to_owned()));
        }
        if jid.node().is_none() {
            return Err(CallError::invalid("jid", format!("{jid} is a service, not a room: write name@{jid}")));
        }
        if !self.turn.is_live() {
            return Err(CallError::Offline);
        }
        if matches!(self.rooms.stage(jid), Some(Stage::Entering | Stage::Configuring | Stage::Inside)) {
            return Ok(());
        }
        let address = self.turn.address_in(jid, options.nick, bookmark)?;
        if !self.rooms.has(jid) {
            self.rooms.make_room(self.turn)?;
        }
        let mut join = options.join;
        join.password = password_to_keep(self.rooms, jid, join.password, reason, bookmark);
        let max_stanzas = self.turn.settings.muc_history_max_stanzas;
        join.history = join.history.or_else(|| max_stanzas.map(|_| History { max_stanzas, ..History::default() }));
        let nick = address.resource().to_string();
        let room = self.rooms.shown.entry(jid.clone()).or_insert_with(|| {
            let view = View::new(reason == Reason::Asked);
            Arc::new(Room { view, ..Room::new(jid.clone(), nick.clone()) })
        });
        let room = Arc::make_mut(room);
        room.nick.clone_from(&nick);
        self.turn.changed = true;
        if let Some(known) = self.rooms.memberships.get_mut(jid).filter(|room| room.is_to_come_back()) {
            // Our knowledge of it and the waiting calls are kept: it is entered again anyway.
            known.join.password = join.password.or_else(|| known.join.password.take());
            known.configure = options.configure.or_else(|| known.configure.take());
            known.nick = nick;
            self.enter();
            return Ok(());
        }
        room.empty();
        let mut joiners = Vec::new();
        if let Some(old) = self.rooms.memberships.remove(jid) {
            self.turn.cancel_deadlines(&old);
            joiners = old.joiners;
            for leaver in old.leavers {
                self.turn.answer(leaver.answer, Ok(()));
            }
        }
        let membership = Membership {
            join,
            configure: options.configure,
            joiners,
            heard: self.turn.deadlines.elapsed(),
            ..Membership::new(reason, nick)
        };
        self.rooms.memberships.insert(jid.clone(), membership);
        self.enter();
        Ok(())
    }
}

impl Turn<'_> {
    /// Returns our address in a room. The nickname is the requested one, else the bookmark's, else the setting's, else
    /// the node of our JID.
    pub(super) fn address_in(
        &self,
        room: &BareJid,
        nick: Option<String>,
        bookmark: Option<&Bookmark>,
    ) -> Result<FullJid, CallError> {
        let given = nick.is_some();
        let nick = nick
            .or_else(|| bookmark.and_then(|bookmark| bookmark.nick.clone()))
            .or_else(|| self.settings.nickname.clone().filter(|_| !self.settings.muc_nickname_from_jid))
            .or_else(|| self.own.node().map(unescaped))
            .ok_or_else(|| {
                CallError::invalid("attributes.nick", "is not given, and this account has no name to use instead")
            })?;
        room.with_resource_str(&nick).map_err(|error| {
            let whose = if given { "" } else { "from the bookmark or the setting nickname: " };
            CallError::invalid("attributes.nick", format!("{whose}{error}"))
        })
    }

    pub(super) fn cancel_deadlines(&mut self, membership: &Membership) {
        for key in [membership.deadline, membership.silence].into_iter().flatten() {
            self.deadlines.cancel(key);
        }
    }
}

/// Returns a local part as people read it (XEP-0106, section 4).
fn unescaped(node: &NodeRef) -> String {
    let written = node.as_str();
    // The library reads two characters after each backslash, even if they do not exist.
    let is_cut = written.match_indices('\\').any(|(at, _)| at + 2 >= written.len());
    if is_cut { written.to_owned() } else { node.unescape().unwrap_or(written.into()).into_owned() }
}
