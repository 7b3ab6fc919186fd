//! The people of rooms, whose devices get what is said there.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Affiliated;

use super::outbound::no_encryption;
use crate::records::room::Room;

/// Maximum number of people in a room in which messages are encrypted.
pub(super) const MAX_PEOPLE: usize = 500;
/// How long the people of a room are known. Those who are in it count at once.
const LASTS: Duration = Duration::from_mins(10);

/// The people of one room.
#[derive(Debug, Default)]
struct People {
    known: BTreeSet<BareJid>,
    /// Those of lists that have come since the last time that all were known.
    coming: BTreeSet<BareJid>,
    /// When all lists had come.
    at: Option<Duration>,
}

/// The people of all rooms.
#[derive(Debug, Default)]
pub(super) struct Members(HashMap<BareJid, People>);

/// Checks whether messages in a room can be encrypted: everybody who reads them has to be known.
pub(super) fn may_encrypt(room: &Room) -> Result<(), CallError> {
    let has = |wanted: &str| room.about.features.iter().any(|feature| feature == wanted);
    if has("muc_membersonly") && has("muc_nonanonymous") {
        return Ok(());
    }
    let why = "the room is to be for members only, and to show their addresses to all";
    Err(no_encryption(&Jid::from(room.jid.clone()), why))
}

impl Members {
    /// Returns the people of a room, with those who are in it; `None` if they have to be asked for.
    pub(super) fn of(&self, room: &Room, now: Duration) -> Option<BTreeSet<BareJid>> {
        let people = self.0.get(&room.jid)?;
        people.at.filter(|at| now < *at + LASTS)?;
        Some(with_occupants(people.known.clone(), room))
    }

    /// Returns those that are known at all.
    pub(super) fn at_least(&self, room: &Room) -> BTreeSet<BareJid> {
        let known = self.0.get(&room.jid).map(|people| people.known.clone());
        with_occupants(known.unwrap_or_default(), room)
    }

    /// Takes in one list of a room.
    pub(super) fn came(&mut self, room: &BareJid, list: Vec<Affiliated>) {
        let coming = &mut self.0.entry(room.clone()).or_default().coming;
        for person in list {
            if coming.len() > MAX_PEOPLE {
                break;
            }
            coming.insert(person.jid);
        }
    }

    /// Notes that all lists have come, or will not.
    pub(super) fn are_known(&mut self, room: &BareJid, now: Duration) {
        let people = self.0.entry(room.clone()).or_default();
        people.known = std::mem::take(&mut people.coming);
        people.at = Some(now);
    }

    /// Forgets the people of a room, who may be others now.
    pub(super) fn forget(&mut self, room: &BareJid) {
        self.0.remove(room);
    }

    pub(super) fn stream_gone(&mut self) {
        self.0.clear();
    }
}

fn with_occupants(mut people: BTreeSet<BareJid>, room: &Room) -> BTreeSet<BareJid> {
    let here = room.occupants.values().filter_map(|occupant| occupant.jid.as_ref());
    people.extend(here.map(Jid::to_bare));
    people
}
