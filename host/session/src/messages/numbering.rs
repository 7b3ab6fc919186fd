//! The archive ids that count (XEP-0359).

use std::collections::HashSet;

use jid::{BareJid, Jid};
use parlor_stanza::types::{Message, MessageKind};

use crate::rooms::{MAX_ROOMS, Rooms, STANZA_IDS};
use crate::turn::Common;

/// The entities that number messages, and so remove ids that others wrote in their name. An id from another entity
/// means nothing: the sender may have written it.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    /// None: not announced yet.
    account: Option<bool>,
    rooms: HashSet<BareJid>,
}

impl Numbering {
    /// Handles an entity's features, which may announce that it numbers messages (XEP-0359, section 5).
    pub(crate) fn note(&mut self, entity: &Jid, features: &[String], rooms: &Rooms, common: &Common) {
        let announced = features.iter().any(|feature| feature == STANZA_IDS);
        let Ok(entity) = BareJid::try_from(entity.clone()) else { return };
        if entity == common.own.to_bare() {
            self.account = Some(announced);
        } else if !announced {
            self.rooms.remove(&entity);
        } else if rooms.has(&entity) {
            if self.rooms.len() >= MAX_ROOMS {
                self.rooms.retain(|room| rooms.has(room));
            }
            self.rooms.insert(entity);
        }
    }

    /// Removes an archive id that no numbering entity set. Returns it if the account may still announce that it numbers
    /// messages.
    pub(crate) fn check(&self, message: &mut Message) -> Option<String> {
        let counts = match message.kind {
            MessageKind::Groupchat => self.rooms.contains(&message.chat),
            MessageKind::Chat | MessageKind::Normal | MessageKind::Headline | MessageKind::Error => {
                self.account == Some(true)
            }
        };
        if counts {
            return None;
        }
        let may_count = message.kind != MessageKind::Groupchat && self.account.is_none();
        message.stanza_id.take().filter(|_| may_count)
    }
}
