//! The places that show vCards: contacts, open chats, and occupants of rooms.

use std::sync::Arc;

use jid::Jid;

use crate::chats::Chats;
use crate::event::Payload;
use crate::records::card::KnownCard;
use crate::records::contact::Contact;
use crate::rooms::Rooms;
use crate::rooms::occupants::fire_occupant;
use crate::roster::Roster;
use crate::turn::Turn;

/// The features whose items show vCards: contacts, open chats, and occupants of rooms.
pub(crate) struct CardHolders<'a> {
    pub(crate) roster: &'a mut Roster,
    pub(crate) chats: &'a mut Chats,
    pub(crate) rooms: &'a mut Rooms,
}

impl CardHolders<'_> {
    /// Lets the owner's contact, open chat or occupant show a vCard, or none any more. Returns whether a chat or an
    /// occupant shows another one than before.
    pub(super) fn show(&mut self, owner: &Jid, card: Option<&Arc<KnownCard>>, turn: &mut Turn<'_>) -> bool {
        let bare = owner.to_bare();
        if let Some(nick) = owner.resource() {
            let Some(room) = self.rooms.shown.get_mut(&bare) else { return false };
            if room.occupants.get(nick.as_str()).is_none_or(|occupant| occupant.card.as_ref() == card) {
                return false;
            }
            if let Some(occupant) = Arc::make_mut(room).occupants.get_mut(nick.as_str()) {
                Arc::make_mut(occupant).card = card.map(Arc::clone);
            }
            turn.changed = true;
            return true;
        }
        self.roster.show_card(&bare, card, self.chats, turn)
    }

    pub(super) fn tell(&mut self, owner: &Jid, known: &Arc<KnownCard>, turn: &mut Turn<'_>) {
        let bare = owner.to_bare();
        let is_another = self.show(owner, Some(known), turn);
        let contact = match self.roster.get(&bare).filter(|_| owner.is_bare()) {
            Some(contact) => Arc::clone(contact),
            None => Arc::new(Contact {
                requesting: false,
                occupant: owner.resource().map(ToString::to_string),
                card: Some(Arc::clone(known)),
                ..Contact::stranger(bare)
            }),
        };
        turn.fire("vcardUpdated", Payload::Contact(contact));
        if !is_another {
            return;
        }
        // Front ends that see only chats or rooms learn of it by these events.
        let bare = owner.to_bare();
        if let Some(nick) = owner.resource() {
            let room = self.rooms.shown.get(&bare);
            if let Some(occupant) = room.and_then(|room| room.occupants.get(nick.as_str())).map(Arc::clone) {
                fire_occupant(self.rooms, "occupantChanged", occupant, turn);
            }
        } else if let Some(chat) = self.chats.open.get(&bare).map(Arc::clone) {
            turn.fire("chatBoxChanged", Payload::Chat(chat));
        }
    }
}
