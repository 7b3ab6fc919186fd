//! Keeps the encryption of each chat's messages: answers use the same one.
//!
//! One unencrypted message does not end the encryption of a chat that was encrypted a moment ago. Anyone in a room can
//! send one, and so can someone on the path between two servers.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jid::{BareJid, Jid};

use super::kept::{KeyChange, Way};

/// Maximum number of chats that are known to be encrypted.
pub(super) const MAX_WAYS: usize = 20_000;
/// How long a chat stays encrypted after its last encrypted message, even if unencrypted messages arrive.
pub(super) const LASTS: Duration = Duration::from_mins(15);
/// Maximum number of remembered encrypted messages of others and of the account, and maximum length of a message's id.
const MAX_MESSAGES: (usize, usize) = (1_024, 256);
/// Maximum number of occupants of rooms whose encrypted private messages are remembered.
const MAX_OCCUPANTS: usize = 1_024;

/// How a chat is encrypted.
#[derive(Debug)]
struct Chat {
    way: Way,
    /// When the last encrypted message arrived.
    at: Duration,
}

/// An encrypted message of a chat, by its id.
type Known = (BareJid, String, Way);

/// The ways of all chats, by person or room.
#[derive(Debug, Default)]
pub(super) struct Ways {
    chats: HashMap<BareJid, Chat>,
    /// Encrypted messages of others that a reply may refer to, the oldest first.
    messages: VecDeque<Known>,
    /// Encrypted messages of the account, which it may correct, the oldest first.
    own: VecDeque<Known>,
    /// The last encrypted private messages of occupants of rooms, each with the person that the occupant was, the oldest first.
    occupants: VecDeque<(Jid, BareJid, Chat)>,
}

impl Ways {
    /// Loads the kept state. The times of the messages are unknown, so each chat's time starts again.
    pub(super) fn load(&mut self, kept: Vec<(BareJid, Way)>) {
        self.chats.extend(kept.into_iter().map(|(jid, way)| (jid, Chat { way, at: Duration::ZERO })));
    }

    /// Returns whether no chat is encrypted.
    pub(super) fn is_empty(&self) -> bool {
        self.chats.is_empty()
    }

    /// Returns how a chat is encrypted.
    pub(super) fn get(&self, partner: &BareJid) -> Option<Way> {
        self.chats.get(partner).map(|chat| chat.way)
    }

    /// Returns whether any message is remembered that another one may refer to, or any occupant.
    pub(super) fn knows_messages(&self) -> bool {
        !(self.messages.is_empty() && self.own.is_empty() && self.occupants.is_empty())
    }

    /// Returns how a message of a chat was encrypted, if it is one of the latest.
    pub(super) fn of_message(&self, partner: &BareJid, id: &str) -> Option<Way> {
        let mut all = self.messages.iter().rev().chain(self.own.iter().rev());
        let found = all.find(|(of, known, _)| known == id && of == partner);
        found.map(|(_, _, way)| *way)
    }

    /// Notes the encryption of a message that a reply may refer to.
    pub(super) fn note_message(&mut self, partner: &BareJid, id: &str, way: Way) {
        note(&mut self.messages, partner, id, way);
    }

    /// Notes the encryption of a message that the account has sent.
    pub(super) fn note_own(&mut self, partner: &BareJid, id: &str, way: Way) {
        note(&mut self.own, partner, id, way);
    }

    /// Notes that a person wrote an encrypted private message through a room, as this occupant.
    pub(super) fn occupant_wrote(&mut self, occupant: &Jid, person: &BareJid, way: Way, now: Duration) {
        self.occupants.retain(|(of, _, chat)| of != occupant && now < chat.at + LASTS);
        if self.occupants.len() >= MAX_OCCUPANTS {
            self.occupants.pop_front();
        }
        self.occupants.push_back((occupant.clone(), person.clone(), Chat { way, at: now }));
    }

    /// Returns how the last private messages of an occupant were encrypted, whoever that is now.
    pub(super) fn of_occupant(&self, occupant: &Jid, now: Duration) -> Option<Way> {
        let found = self.occupants.iter().find(|(of, _, chat)| of == occupant && now < chat.at + LASTS);
        found.map(|(_, _, chat)| chat.way)
    }

    /// Notes the encryption of a chat's last message. If there are too many chats, the one that was silent for the longest is dropped
    /// among those that need not stay.
    pub(super) fn came_by(
        &mut self,
        partner: &BareJid,
        way: Way,
        now: Duration,
        stays: impl Fn(&BareJid) -> bool,
        changes: &mut Vec<KeyChange>,
    ) {
        if let Some(chat) = self.chats.get_mut(partner) {
            chat.at = now;
            if std::mem::replace(&mut chat.way, way) == way {
                return;
            }
        } else {
            if self.chats.len() >= MAX_WAYS {
                let others = self.chats.iter().filter(|(jid, _)| !stays(jid));
                let other = others.min_by_key(|(_, chat)| chat.at).map(|(jid, _)| jid.clone());
                if let Some(other) = other {
                    self.chats.remove(&other);
                    changes.push(KeyChange::Way(other, None));
                }
            }
            self.chats.insert(partner.clone(), Chat { way, at: now });
        }
        changes.push(KeyChange::Way(partner.clone(), Some(way)));
    }

    /// Notes that an unencrypted message of a chat arrived. Returns whether this ended the encryption of the chat.
    pub(super) fn came_plainly(&mut self, partner: &BareJid, now: Duration) -> bool {
        let is_over = self.chats.get(partner).is_some_and(|chat| now >= chat.at + LASTS);
        is_over && self.remove(partner)
    }

    /// Notes that a chat is not encrypted any more. Returns whether it was.
    pub(super) fn remove(&mut self, partner: &BareJid) -> bool {
        self.chats.remove(partner).is_some()
    }

    /// Forgets a chat and its messages. Returns whether it was encrypted.
    pub(super) fn forget(&mut self, partner: &BareJid) -> bool {
        self.messages.retain(|(of, _, _)| of != partner);
        self.own.retain(|(of, _, _)| of != partner);
        self.occupants.retain(|(_, person, _)| person != partner);
        self.remove(partner)
    }
}

/// Adds a message to the known ones, and forgets the oldest if there are too many.
fn note(known: &mut VecDeque<Known>, partner: &BareJid, id: &str, way: Way) {
    let (most, longest) = MAX_MESSAGES;
    if id.is_empty() || id.len() > longest {
        return;
    }
    if known.len() >= most {
        known.pop_front();
    }
    known.push_back((partner.clone(), id.to_owned(), way));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> BareJid {
        text.parse().unwrap()
    }

    #[test]
    fn a_plain_message_changes_nothing_until_the_chat_was_silent_for_a_while() {
        let (mut ways, mut changes, romeo) = (Ways::default(), Vec::new(), jid("romeo@example.org"));
        let begin = Duration::from_hours(1);
        ways.came_by(&romeo, Way::Otr, begin, |_| false, &mut changes);
        ways.came_by(&romeo, Way::Otr, begin + LASTS, |_| false, &mut changes);
        assert_eq!(changes.len(), 1, "what has not changed is not written");
        assert!(!ways.came_plainly(&romeo, begin + LASTS + Duration::from_secs(1)));
        assert_eq!(ways.get(&romeo), Some(Way::Otr));
        assert!(ways.came_plainly(&romeo, begin + LASTS * 2));
        assert_eq!(ways.get(&romeo), None);
        assert!(!ways.came_plainly(&romeo, begin + LASTS * 3));
    }

    #[test]
    fn so_many_messages_are_known_and_each_of_its_chat_alone() {
        let (mut ways, romeo, juliet) = (Ways::default(), jid("romeo@example.org"), jid("juliet@example.org"));
        let (most, longest) = MAX_MESSAGES;
        for number in 0..=most {
            ways.note_message(&romeo, &format!("m{number}"), Way::Otr);
        }
        assert_eq!(ways.messages.len(), most);
        assert_eq!((ways.of_message(&romeo, "m0"), ways.of_message(&romeo, "m1")), (None, Some(Way::Otr)));
        assert_eq!(ways.of_message(&juliet, "m1"), None);
        ways.note_message(&juliet, &"x".repeat(longest + 1), Way::Otr);
        ways.note_message(&juliet, "", Way::Otr);
        assert_eq!((ways.messages.len(), ways.of_message(&juliet, "")), (most, None));
        ways.forget(&romeo);
        assert!(ways.messages.is_empty());
    }

    #[test]
    fn own_messages_push_out_none_of_others() {
        let (mut ways, romeo) = (Ways::default(), jid("romeo@example.org"));
        ways.note_message(&romeo, "his", Way::Otr);
        for number in 0..=MAX_MESSAGES.0 {
            ways.note_own(&romeo, &format!("o{number}"), Way::Otr);
        }
        assert_eq!((ways.of_message(&romeo, "his"), ways.of_message(&romeo, "o1")), (Some(Way::Otr), Some(Way::Otr)));
        assert_eq!(ways.of_message(&romeo, "o0"), None);
        ways.forget(&romeo);
        assert!(!ways.knows_messages());
    }

    #[test]
    fn so_many_occupants_are_known_for_a_while_and_none_of_a_person_who_is_forgotten() {
        let (mut ways, romeo, begin) = (Ways::default(), jid("romeo@example.org"), Duration::from_hours(1));
        let of = |number: usize| Jid::new(&format!("room@muc.example.org/{number}")).unwrap();
        for number in 0..=MAX_OCCUPANTS {
            ways.occupant_wrote(&of(number), &romeo, Way::Otr, begin);
        }
        // One that writes again takes no further place.
        ways.occupant_wrote(&of(MAX_OCCUPANTS), &romeo, Way::Otr, begin);
        assert_eq!((ways.occupants.len(), ways.of_occupant(&of(0), begin)), (MAX_OCCUPANTS, None));
        assert_eq!(ways.of_occupant(&of(1), begin + Duration::from_mins(14)), Some(Way::Otr));
        assert_eq!(ways.of_occupant(&of(1), begin + LASTS), None);
        ways.forget(&romeo);
        assert!(!ways.knows_messages());
        ways.occupant_wrote(&of(1), &romeo, Way::Otr, begin);
        ways.occupant_wrote(&of(2), &romeo, Way::Otr, begin + LASTS);
        assert_eq!(ways.occupants.len(), 1, "the old ones make room");
    }

    #[test]
    fn chats_make_room_except_for_those_that_stay() {
        let (mut ways, mut changes) = (Ways::default(), Vec::new());
        let of = |number: usize| jid(&format!("p{number}@example.org"));
        let at = |number: usize| Duration::from_secs(u64::try_from(number).unwrap());
        for number in 0..MAX_WAYS {
            ways.came_by(&of(number), Way::Otr, at(number), |_| false, &mut changes);
        }
        // The one that was silent for the longest goes, if it may.
        ways.came_by(&of(0), Way::Otr, at(MAX_WAYS), |_| false, &mut changes);
        for (new, gone) in [(MAX_WAYS + 1, 2), (MAX_WAYS + 2, 3)] {
            changes.clear();
            ways.came_by(&of(new), Way::Otr, at(new), |jid| *jid == of(1), &mut changes);
            assert_eq!((ways.chats.len(), ways.get(&of(gone))), (MAX_WAYS, None));
            assert!(matches!(&changes[0], KeyChange::Way(jid, None) if *jid == of(gone)));
        }
    }
}
