//! Opening a chat, which takes what the roster and the vCards know of the other side.

use std::sync::Arc;

use jid::BareJid;
use jiff::Timestamp;
use parlor_stanza::error::CallError;

use super::Features;
use crate::chats::ChatPartner;
use crate::encryption::off_the_record::status;
use crate::records::chat::Chat;
use crate::records::view::View;
use crate::turn::Turn;

impl Features {
    /// Opens a chat, or returns the open one.
    pub(super) fn start_chat(
        &mut self,
        jid: BareJid,
        last_active: Option<Timestamp>,
        view: View,
        turn: &mut Turn<'_>,
    ) -> Arc<Chat> {
        let known = ChatPartner {
            fullname: self.roster.chat_name(&jid),
            card: self.cards.known_card(&jid),
            otr_status: status(&self.encryption, &jid),
        };
        self.chats.start(jid, known, last_active, view, turn)
    }

    /// Answers the calls that waited until chats are ready.
    pub(super) fn chats_ready(&mut self, turn: &mut Turn<'_>) {
        for (jid, waiter) in self.chats.take_pending() {
            let result = self.chat_with(jid, turn);
            turn.answer(waiter.answer, result);
        }
    }

    /// Opens a chat for a plugin, or returns the open one.
    pub(crate) fn chat_with(&mut self, jid: BareJid, turn: &mut Turn<'_>) -> Result<Arc<Chat>, CallError> {
        if let Some(chat) = self.chats.open.get(&jid) {
            return Ok(Arc::clone(chat));
        }
        if !turn.settings.allow_non_roster_messaging && !self.roster.has(&jid) {
            return Err(match self.roster.contacts {
                None => CallError::NotReady("rosterContactsFetched"),
                Some(_) => CallError::NotFound(format!(
                    "{jid} in the roster; add it, or set allow_non_roster_messaging to true"
                )),
            });
        }
        Ok(self.start_chat(jid, None, View::new(true), turn))
    }
}
