//! The people of rooms, whose devices get the messages of the room.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Affiliated;

use super::outbound::no_encryption;
use crate::records::room::Room;

/// Maximum number of people in a room in which messages are encrypted.
pub(super) const MAX_PEOPLE: usize = 500;
/// The affiliations that may read messages in a room of members.
pub(super) const AFFILIATIONS: [&str; 3] = ["owner", "admin", "member"];
/// How long the list of a room's people is valid. Occupants are added without a new request.
const LASTS: Duration = Duration::from_mins(10);

/// The people of one room.
#[derive(Debug, Default)]
struct People {
    known: BTreeSet<BareJid>,
    /// The people in lists that arrived since all lists were last complete.
    coming: BTreeSet<BareJid>,
    /// When the lists were last complete.
    at: Option<Duration>,
}

/// The people of all rooms.
#[derive(Debug, Default)]
pub(super) struct Members(HashMap<BareJid, People>);

/// Checks whether messages in a room can be encrypted, as far as it has described itself: all of its readers must be known.
pub(super) fn may_encrypt(room: &Room) -> Result<(), CallError> {
    if !room.is_described() || room.has("muc_membersonly") && room.has("muc_nonanonymous") {
        return Ok(());
    }
    let why = "the room is to be for members only, and to show their addresses to all";
    Err(no_encryption(&Jid::from(room.jid.clone()), why))
}

impl Members {
    /// Returns the people of a room, including its occupants; `None` if they must be requested.
    pub(super) fn of(&self, room: &Room, now: Duration) -> Option<BTreeSet<BareJid>> {
        let people = self.0.get(&room.jid)?;
        people.at.filter(|at| now < *at + LASTS)?;
        Some(with_occupants(people.known.clone(), room))
    }

    /// Returns the known people, even if the lists are incomplete or old.
    pub(super) fn at_least(&self, room: &Room) -> BTreeSet<BareJid> {
        let known = self.0.get(&room.jid).map(|people| people.known.clone());
        with_occupants(known.unwrap_or_default(), room)
    }

    /// Stores one list of a room.
    pub(super) fn came(&mut self, room: &BareJid, list: Vec<Affiliated>) {
        let coming = &mut self.0.entry(room.clone()).or_default().coming;
        for person in list {
            if coming.len() > MAX_PEOPLE {
                break;
            }
            coming.insert(person.jid);
        }
    }

    /// Notes that all lists have arrived, or will not.
    pub(super) fn are_known(&mut self, room: &BareJid, now: Duration) {
        let people = self.0.entry(room.clone()).or_default();
        people.known = std::mem::take(&mut people.coming);
        people.at = Some(now);
    }

    /// Notes the affiliation of a person. It also counts for lists that are still arriving.
    pub(super) fn changed(&mut self, room: &BareJid, person: BareJid, affiliation: &str) {
        let Some(people) = self.0.get_mut(room) else { return };
        if !AFFILIATIONS.contains(&affiliation) {
            people.known.remove(&person);
            people.coming.remove(&person);
        } else if people.known.len() <= MAX_PEOPLE {
            people.known.insert(person.clone());
            people.coming.insert(person);
        }
    }

    /// Forgets the people of a room, since they may have changed.
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
