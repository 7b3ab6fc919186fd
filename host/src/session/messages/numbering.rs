//! Whose archive ids count (XEP-0359).

use std::collections::HashSet;

use jid::{BareJid, Jid};

use crate::session::Session;
use crate::session::rooms::MAX_ROOMS;
use crate::stanza::{Message, MessageKind};

/// What an entity announces that numbers messages.
pub(in crate::session) const STANZA_IDS: &str = "urn:xmpp:sid:0";

/// Who numbers messages, and so takes out what others wrote in its name. From anybody else an id means nothing: it may be
/// the sender's.
#[derive(Debug, Default)]
pub(in crate::session) struct Numbering {
    /// None: it has not said so far.
    account: Option<bool>,
    rooms: HashSet<BareJid>,
}

impl Session {
    /// An entity has said what it can do: perhaps to number messages (XEP-0359, section 5).
    pub(in crate::session) fn note_numbering(&mut self, entity: &Jid, features: &[String]) {
        let announced = features.iter().any(|feature| feature == STANZA_IDS);
        let Ok(entity) = BareJid::try_from(entity.clone()) else { return };
        if entity == self.own.to_bare() {
            self.numbering.account = Some(announced);
        } else if !announced {
            self.numbering.rooms.remove(&entity);
        } else if self.rooms.has(&entity) {
            if self.numbering.rooms.len() >= MAX_ROOMS {
                self.numbering.rooms.retain(|room| self.rooms.has(room));
            }
            self.numbering.rooms.insert(entity);
        }
    }

    /// Takes out an archive id that nobody who numbers messages gave. Gives it where the account may say yet that it does.
    pub(super) fn check_number(&self, message: &mut Message) -> Option<String> {
        let counts = match message.kind {
            MessageKind::Groupchat => self.numbering.rooms.contains(&message.chat),
            MessageKind::Chat | MessageKind::Normal | MessageKind::Headline | MessageKind::Error => {
                self.numbering.account == Some(true)
            }
        };
        if counts {
            return None;
        }
        let may_count = message.kind != MessageKind::Groupchat && self.numbering.account.is_none();
        message.stanza_id.take().filter(|_| may_count)
    }
}
