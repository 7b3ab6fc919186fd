//! Open private chats.

use std::sync::Arc;

use imbl::OrdMap;
use jid::BareJid;
use jiff::{SignedDuration, Timestamp};
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;

use crate::event::Payload;
use crate::records::card::KnownCard;
use crate::records::chat::Chat;
use crate::records::encryption::OtrStatus;
use crate::records::view::{Attribute, Focus, View, ViewChange};
use crate::turn::Turn;
use crate::waiters::{self, Waiter};

/// Maximum number of open chats; the one that was idle longest makes room.
pub(super) const MAX_OPEN: usize = 1_024;
/// Maximum number of calls that wait for chats to be ready.
pub(super) const MAX_PENDING: usize = 2_048;
/// Maximum number of one plugin's waiting calls. It caps the limit `open_calls`, so that one plugin does not take the
/// place of others.
pub(super) const MAX_OWN_PENDING: usize = 256;
/// Precision of `last_active`, so that a busy chat does not cause a new snapshot with each message.
const ACTIVITY_STEP: SignedDuration = SignedDuration::from_mins(1);

/// The name and the vCard of the other side, for a chat that is opened, and the state of off-the-record messaging.
pub(super) struct ChatPartner {
    pub(super) fullname: String,
    pub(super) card: Option<Arc<KnownCard>>,
    pub(super) otr_status: OtrStatus,
}

/// The chats of an account.
#[derive(Debug, Default)]
pub(super) struct Chats {
    pub(super) open: OrdMap<BareJid, Arc<Chat>>,
    pending: Vec<(BareJid, Waiter<Arc<Chat>>)>,
}

impl Chats {
    pub(super) fn forget_abandoned(&mut self) {
        self.pending.retain(|(_, waiter)| !waiter.answer.is_abandoned());
    }

    /// Checks whether another call of this plugin may wait. Abandoned ones make room.
    fn may_wait(&mut self, by: InstanceId) -> Result<(), CallError> {
        if self.pending.len() >= MAX_OWN_PENDING {
            self.forget_abandoned();
        }
        let waiting = self.pending.iter().map(|(_, waiter)| waiter);
        waiters::may_wait(waiting, by, (MAX_OWN_PENDING, MAX_PENDING), "chats")
    }

    /// Lets a call wait until chats are ready.
    pub(super) fn wait(&mut self, jid: BareJid, waiter: Waiter<Arc<Chat>>, turn: &mut Turn<'_>) {
        match self.may_wait(waiter.by) {
            Ok(()) => self.pending.push((jid, waiter)),
            Err(error) => turn.answer(waiter.answer, Err(error)),
        }
    }

    /// Takes the calls that wait.
    pub(super) fn take_pending(&mut self) -> Vec<(BareJid, Waiter<Arc<Chat>>)> {
        std::mem::take(&mut self.pending)
    }

    pub(super) fn end_waits(&mut self, turn: &mut Turn<'_>) {
        for (_, waiter) in self.pending.drain(..) {
            turn.answer(waiter.answer, Err(CallError::Offline));
        }
    }

    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn start(
        &mut self,
        jid: BareJid,
        known: ChatPartner,
        last_active: Option<Timestamp>,
        view: View,
        turn: &mut Turn<'_>,
    ) -> Arc<Chat> {
        if let Some(chat) = self.open.get(&jid) {
            return Arc::clone(chat);
        }
        if self.open.len() >= MAX_OPEN {
            let idle = self.open.values().min_by_key(|chat| chat.last_active.unwrap_or(chat.opened));
            if let Some(idle) = idle.map(|chat| chat.jid.clone()) {
                self.end(&idle, turn);
            }
        }
        let ChatPartner { fullname, card, otr_status } = known;
        let opened = turn.now;
        let chat = Arc::new(Chat { jid: jid.clone(), fullname, opened, view, last_active, otr_status, card });
        self.open.insert(jid, Arc::clone(&chat));
        turn.changed = true;
        turn.fire("chatBoxInitialized", Payload::Chat(Arc::clone(&chat)));
        turn.fire("chatBoxOpened", Payload::Chat(Arc::clone(&chat)));
        chat
    }

    /// Changes how a front end should show a chat. Being shown and being focused are reported each time, since a front
    /// end may have changed its own state. Being minimized is reported only if it changed.
    pub(super) fn change_view(
        &mut self,
        jid: &BareJid,
        change: ViewChange,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        let chat = self.open.get_mut(jid).ok_or_else(|| not_open(jid))?;
        let before = Arc::clone(chat);
        let view = &mut Arc::make_mut(chat).view;
        let toggled = view.change(change);
        turn.move_focus(Focus::Chat(jid.clone()), change, view);
        turn.changed |= *chat != before;
        let chat = Arc::clone(chat);
        let mut tell = |name| turn.fire(name, Payload::Chat(Arc::clone(&chat)));
        if toggled {
            tell(if chat.view.minimized { "chatBoxMinimized" } else { "chatBoxMaximized" });
            tell("chatBoxToggled");
        }
        match change {
            ViewChange::Focus => tell("chatBoxFocused"),
            ViewChange::Show => tell("chatBoxOpened"),
            ViewChange::Maximize | ViewChange::Minimize => {}
        }
        Ok(())
    }

    pub(super) fn close(&mut self, jid: &BareJid, turn: &mut Turn<'_>) -> Result<(), CallError> {
        if self.end(jid, turn) { Ok(()) } else { Err(not_open(jid)) }
    }

    fn end(&mut self, jid: &BareJid, turn: &mut Turn<'_>) -> bool {
        let Some(mut chat) = self.open.remove(jid) else { return false };
        turn.changed = true;
        turn.end_focus(&Focus::Chat(jid.clone()));
        if chat.view.focused {
            Arc::make_mut(&mut chat).view.focused = false;
        }
        turn.fire("chatBoxClosed", Payload::Chat(chat));
        true
    }

    /// Updates the name of an open chat after a change of the roster.
    pub(super) fn name(&mut self, jid: &BareJid, name: String, turn: &mut Turn<'_>) {
        if let Some(chat) = self.open.get_mut(jid).filter(|chat| chat.fullname != name) {
            Arc::make_mut(chat).fullname = name;
            let chat = Arc::clone(chat);
            turn.changed = true;
            turn.fire("chatBoxChanged", Payload::Chat(chat));
        }
    }

    /// Updates the names of all open chats after the roster was received.
    pub(super) fn name_all(&mut self, name: impl Fn(&BareJid) -> String, turn: &mut Turn<'_>) {
        let open: Vec<BareJid> = self.open.keys().cloned().collect();
        for jid in &open {
            self.name(jid, name(jid), turn);
        }
    }

    /// Sets or removes an attribute of a chat.
    pub(super) fn set_chat_attribute(
        &mut self,
        jid: &BareJid,
        attribute: &Attribute,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        let chat = self.open.get_mut(jid).ok_or_else(|| not_open(jid))?;
        turn.changed |= Arc::make_mut(chat).view.set_attribute(attribute)?;
        Ok(())
    }

    /// Sets the state of off-the-record messaging in an open chat, and reports a change.
    pub(super) fn set_otr_status(&mut self, jid: &BareJid, status: OtrStatus, turn: &mut Turn<'_>) {
        if let Some(chat) = self.open.get_mut(jid).filter(|chat| chat.otr_status != status) {
            Arc::make_mut(chat).otr_status = status;
            let chat = Arc::clone(chat);
            turn.changed = true;
            turn.fire("otrStatusChanged", Payload::Chat(chat));
        }
    }

    /// Notes activity in an open chat. Returns `false` if there is none.
    pub(super) fn chat_active(&mut self, jid: &jid::Jid, at: Timestamp, turn: &mut Turn<'_>) -> bool {
        let Some(chat) = self.open.get(jid) else { return false };
        if chat.last_active.is_some_and(|before| at.duration_since(before) < ACTIVITY_STEP) {
            return true;
        }
        if let Some(chat) = self.open.get_mut(jid) {
            Arc::make_mut(chat).last_active = Some(at);
            turn.changed = true;
        }
        true
    }
}

pub(super) fn not_open(jid: &BareJid) -> CallError {
    CallError::NotFound(format!("an open chat with {jid}"))
}
