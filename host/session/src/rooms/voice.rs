//! Visitors who ask for voice (XEP-0045, sections 7.13 and 8.6).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use jiff::Timestamp;
use parlor_stanza::types::VoiceRequest;

use super::Rooms;
use super::membership::Stage;
use super::occupants::fire_occupant;
use crate::records::occupant::Occupant;
use crate::turn::Turn;

/// Maximum number of requests that are remembered, of all rooms and of one.
const MAX_ASKING: usize = 256;
const MAX_OF_ROOM: usize = 32;
/// How long a request can be answered.
const COUNTS: Duration = Duration::from_mins(10);

/// The requests for voice that were not answered yet, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct VoiceRequests(VecDeque<Asking>);

#[derive(Debug)]
struct Asking {
    room: BareJid,
    since: Timestamp,
    request: VoiceRequest,
}

impl Asking {
    fn counts(&self, now: Timestamp) -> bool {
        now.duration_since(self.since).unsigned_abs() <= COUNTS
    }

    fn is_of(&self, room: &BareJid, nick: &str) -> bool {
        self.room == *room && self.request.nick == nick
    }
}

impl VoiceRequests {
    /// Notes a request, which replaces an earlier one of the same visitor. The oldest one makes room.
    fn note(&mut self, room: &BareJid, request: VoiceRequest, now: Timestamp) {
        self.0.retain(|one| one.counts(now) && !one.is_of(room, &request.nick));
        let is_full = self.0.iter().filter(|one| one.room == *room).count() >= MAX_OF_ROOM;
        let oldest = if is_full { self.0.iter().position(|one| one.room == *room) } else { None };
        if let Some(oldest) = oldest.or((self.0.len() >= MAX_ASKING).then_some(0)) {
            self.0.remove(oldest);
        }
        self.0.push_back(Asking { room: room.clone(), since: now, request });
    }

    /// Removes the request of the visitor with this nickname, to answer it.
    pub(crate) fn take(&mut self, room: &BareJid, nick: &str, now: Timestamp) -> Option<VoiceRequest> {
        let place = self.0.iter().position(|one| one.is_of(room, nick) && one.counts(now))?;
        Some(self.0.remove(place)?.request)
    }

    /// Drops the request of a visitor who has left: somebody else may take the nickname.
    pub(crate) fn occupant_left(&mut self, room: &BareJid, nick: &str) {
        self.0.retain(|one| !one.is_of(room, nick));
    }

    /// Lets the request of a visitor follow the new nickname.
    pub(crate) fn occupant_renamed(&mut self, room: &BareJid, old: &str, new: &str) {
        for one in self.0.iter_mut().filter(|one| one.is_of(room, old)) {
            new.clone_into(&mut one.request.nick);
        }
    }

    /// Drops the requests in a room that we are out of, since nobody tells who leaves it.
    pub(crate) fn out_of_room(&mut self, room: &BareJid) {
        self.0.retain(|one| one.room != *room);
    }
}

/// Tells that a visitor asks for voice, as the room says to its moderators.
pub(crate) fn voice_requested(rooms: &mut Rooms, room: &BareJid, request: VoiceRequest, turn: &mut Turn<'_>) {
    let is_in = rooms.stage(room).is_some_and(Stage::is_in);
    let shown = rooms.shown.get(room).filter(|_| is_in);
    let Some(occupant) = shown.and_then(|room| room.occupants.get(request.nick.as_str())) else {
        turn.ignored += 1;
        return;
    };
    let asking = Occupant { jid: Some(request.jid.clone()), ..Occupant::clone(occupant) };
    rooms.voices.note(room, request, turn.now);
    fire_occupant(rooms, "voiceRequest", Arc::new(asking), turn);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_voice_are_few_and_end() {
        let mut asking = VoiceRequests::default();
        let room = |number: usize| format!("r{number}@b").parse::<BareJid>().unwrap();
        let request = |nick: &str| VoiceRequest { jid: "a@b/c".parse().unwrap(), nick: nick.to_owned() };
        let now = Timestamp::UNIX_EPOCH;
        for number in 0..100 {
            asking.note(&room(0), request(&number.to_string()), now);
        }
        assert_eq!(asking.0.len(), MAX_OF_ROOM);
        assert_eq!(asking.take(&room(0), "0", now), None);
        assert_eq!(asking.take(&room(0), "99", now), Some(request("99")));
        assert_eq!(asking.take(&room(0), "99", now), None, "it is answered once");
        for number in 1..1_000 {
            asking.note(&room(number), request("n"), now);
        }
        assert_eq!(asking.0.len(), MAX_ASKING);
        let later = now + 2 * COUNTS;
        assert_eq!(asking.take(&room(999), "n", later), None);
        asking.note(&room(0), request("n"), later);
        assert_eq!(asking.0.len(), 1);
    }
}
