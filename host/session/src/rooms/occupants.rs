//! The occupants of rooms, as the rooms report them (XEP-0045, sections 7.2 to 7.6 and 9).

use std::sync::Arc;

use jid::BareJid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Actor, Message, MucUser, Presence, PresenceKind, kept};

use super::departures::{MAX_REASON, is_for_silence, kept_reason, why_left};
use super::membership::{Before, Farewell, Membership, Stage};
use super::ourselves::{CREATED, OURSELVES, is_of_before, is_ourselves, take_nick_told_late};
use super::rejoining::{rejoins, tell_owner};
use super::renaming::take_nick_back;
use super::{RoomTurn, Rooms};
use crate::event::Payload;
use crate::presence::kept_status;
use crate::records::occupant::Occupant;
use crate::records::room::{MAX_OCCUPANT_ID, Room};
use crate::turn::{FollowUp, Turn};

/// Maximum number of occupants of one room.
pub(crate) const MAX_OCCUPANTS: usize = 20_000;
/// Maximum number of occupants of all rooms together: someone who invites us to a hundred rooms also decides who is in
/// them.
pub(crate) const MAX_ALL_OCCUPANTS: usize = 100_000;
/// Maximum number of bytes that the occupants of all rooms take, as far as rooms choose them: names can be long.
pub(crate) const MAX_ALL_BYTES: usize = 64 << 20;
/// Number of occupants for which each room has room, however many others have.
pub(crate) const OWN_SHARE: usize = 64;
/// Maximum length of a nickname, in bytes (RFC 7622, section 3.4).
const MAX_NICK: usize = 1_023;
// The meanings of a room's status codes (XEP-0045, section 15.6).
const RENAMED: u16 = 303;
const SHOWS_JIDS: u16 = 100;
const LOGGED: u16 = 170;

impl Room {
    fn take_in(&mut self, occupant: Arc<Occupant>) -> Option<Arc<Occupant>> {
        self.bytes += occupant.bytes();
        let before = self.occupants.insert(occupant.nick.clone(), occupant)?;
        self.bytes -= before.bytes();
        Some(before)
    }

    fn let_go(&mut self, nick: &str) -> Option<Arc<Occupant>> {
        let occupant = self.occupants.remove(nick)?;
        self.bytes -= occupant.bytes();
        Some(occupant)
    }

    /// Notes that the occupant with our nickname is another client of the account from now on. If there is no room, the occupant
    /// goes: a room may give us further nicknames without end.
    fn give_nick_up(&mut self, has_room: bool) {
        let nick = self.nick.clone();
        if !has_room {
            self.let_go(&nick);
        } else if let Some(other) = self.occupants.get_mut(&nick) {
            Arc::make_mut(other).own = false;
        }
    }
}

/// Returns the value from the room, else the previous one.
fn said_or_known(said: String, known: Option<&String>) -> String {
    if said.is_empty() { known.cloned().unwrap_or_else(|| "none".to_owned()) } else { said }
}

/// Fires an event about an occupant. The occupant id and the hats are included only if they can be trusted.
pub(crate) fn fire_occupant(rooms: &Rooms, name: &'static str, mut occupant: Arc<Occupant>, turn: &mut Turn<'_>) {
    let room = rooms.shown.get(&occupant.room).map(|room| &**room);
    // Most can be trusted, and copying each one would cost as much as all the rest.
    if !occupant.is_trusted(room) {
        Arc::make_mut(&mut occupant).keep_trusted(room);
    }
    turn.fire(name, Payload::Occupant(occupant));
}

/// Reports that an occupant joined or changed, with the actor and the reason.
fn tell_of_occupant(
    rooms: &Rooms,
    before: Option<Arc<Occupant>>,
    occupant: Arc<Occupant>,
    (actor, reason): (Option<Actor>, Option<String>),
    turn: &mut Turn<'_>,
) {
    match before {
        None => fire_occupant(rooms, "occupantJoined", occupant, turn),
        Some(before) if before != occupant => {
            // The actor and the reason of a change are reported once, and not kept.
            let reason = reason.map(|reason| kept(reason, MAX_REASON));
            let is_explained = actor.is_some() || reason.is_some();
            let told = if is_explained {
                Arc::new(Occupant { reason, actor, ..Occupant::clone(&occupant) })
            } else {
                occupant
            };
            fire_occupant(rooms, "occupantChanged", told, turn);
        }
        Some(_) => {}
    }
}

/// Reports a changed affiliation of someone who is not in the room (XEP-0045, sections 9.1 to 9.6 and 10.3 to
/// 10.8).
fn affiliation_changed(rooms: &Rooms, room: &BareJid, muc: MucUser, turn: &mut Turn<'_>) {
    if let Some(person) = &muc.jid {
        turn.follow(FollowUp::AffiliationTold(room.clone(), person.to_bare(), muc.affiliation.clone()));
    }
    let occupant = Occupant {
        room: room.clone(),
        nick: muc.nick.filter(|nick| nick.len() <= MAX_NICK).unwrap_or_default(),
        role: "none".to_owned(),
        affiliation: muc.affiliation,
        jid: muc.jid,
        show: None,
        status: None,
        own: false,
        previous_nick: None,
        left: None,
        reason: muc.reason.map(|reason| kept(reason, MAX_REASON)),
        occupant_id: None,
        hats: Vec::new(),
        actor: muc.actor,
        card: None,
    };
    fire_occupant(rooms, "affiliationChanged", Arc::new(occupant), turn);
}

impl Room {
    /// Returns the data for a presence without the room's data. It comes from a service older than XEP-0045, where
    /// everyone may speak, or only its sender was within the limits.
    fn as_known_or_plain(&self, nick: &str) -> Box<MucUser> {
        let known = self.occupants.get(nick);
        Box::new(MucUser {
            role: known.map_or("participant", |known| &known.role).to_owned(),
            jid: known.and_then(|known| known.jid.clone()),
            occupant_id: known.and_then(|known| known.occupant_id.clone()),
            hats: known.map(|known| known.hats.clone()).unwrap_or_default(),
            ..MucUser::default()
        })
    }
}

/// Returns how many occupants all rooms have, and how many bytes these take. Those from before we had to enter a room again
/// count until we are in, as far as the room has not listed as many.
fn taken(rooms: &Rooms) -> (usize, usize) {
    let add = |(count, bytes): (usize, usize), room: &Arc<Room>| (count + room.occupants.len(), bytes + room.bytes);
    let listed = rooms.shown.values().fold((0, 0), add);
    let again = rooms.memberships.iter().filter(|(_, membership)| !membership.before.occupants.is_empty());
    again.fold(listed, |(count, bytes), (jid, Membership { before, .. })| {
        let (here, taken) = rooms.shown.get(jid).map_or((0, 0), |room| (room.occupants.len(), room.bytes));
        (count + before.occupants.len().saturating_sub(here), bytes + before.bytes.saturating_sub(taken))
    })
}

impl Rooms {
    fn has_room_for_occupant(&self, room: &Room) -> bool {
        let here = room.occupants.len();
        // A room that we had to enter again lists mostly the same as before.
        let had = |before: &Before| here < before.occupants.len() && room.bytes < before.bytes;
        let has_had = || self.memberships.get(&room.jid).is_some_and(|membership| had(&membership.before));
        let has_room = || {
            let (count, bytes) = taken(self);
            count < MAX_ALL_OCCUPANTS && bytes < MAX_ALL_BYTES
        };
        here < OWN_SHARE || (here < MAX_OCCUPANTS && (has_had() || has_room()))
    }

    /// Returns whether there is room for more data about occupants.
    fn has_bytes(&self) -> bool {
        taken(self).1 < MAX_ALL_BYTES
    }

    /// Reports a changed affiliation. Returns `true` if the message has no other content.
    pub(crate) fn is_affiliation_alone(&mut self, message: &mut Message, turn: &mut Turn<'_>) -> bool {
        let Some(muc) = message.affiliation.take() else { return false };
        let room = message.from.to_bare();
        if message.delayed || message.carbon.is_some() || !self.stage(&room).is_some_and(Stage::is_in) {
            return false;
        }
        affiliation_changed(self, &room, *muc, turn);
        message.body.is_none() && message.subject.is_none() && message.extensions.is_none()
    }
}

impl RoomTurn<'_, '_> {
    /// Handles a presence from an open room or one of its occupants.
    pub(crate) fn room_presence(&mut self, presence: Presence) {
        let jid = self.jid;
        let Some(stage) = self.rooms.stage(jid) else { return };
        self.heard();
        match presence.kind {
            // The room has refused another nickname, for which we do not ask any more.
            PresenceKind::Error(ref error) if stage == Stage::Entering && is_of_before(self, &presence.from, error) => {
                self.turn.ignored += 1;
            }
            PresenceKind::Error(error) => {
                // A jid that did not let us in will not confirm our leaving.
                self.rooms.farewells.none_is_due(jid);
                match stage {
                    Stage::Entering => self.not_entered(&CallError::Stanza(error)),
                    Stage::Leaving => self.left(),
                    // For example, a jid that no longer knows us refused a change of status.
                    Stage::Configuring | Stage::Inside => self.ask_whether_inside(),
                    Stage::Outside { .. } => {}
                }
            }
            PresenceKind::Available if !matches!(stage, Stage::Outside { .. }) => {
                self.occupant_here(stage, presence);
            }
            PresenceKind::Unavailable if !matches!(stage, Stage::Outside { .. }) => {
                self.occupant_gone(stage, &presence);
            }
            _ => {
                self.rooms.farewells.seen_off_late(jid, &presence);
                self.turn.ignored += 1;
            }
        }
    }

    fn occupant_here(&mut self, stage: Stage, presence: Presence) {
        let jid = self.jid;
        let Some(nick) = presence.from.resource() else {
            self.turn.ignored += 1;
            return;
        };
        take_nick_told_late(self, stage, nick.as_str(), presence.muc.as_deref());
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let muc = presence.muc.unwrap_or_else(|| room.as_known_or_plain(nick.as_str()));
        let ourselves = is_ourselves(self, stage, nick.as_str(), &muc);
        // Once we are in, no other occupant has our nickname.
        let ours = ourselves || (stage.is_in() && room.nick == nick.as_str());
        let is_renamed = ours && stage.is_in() && room.nick != nick.as_str();
        let before = room.occupants.get(nick.as_str());
        // Without an item, the room does not say that it hides the address from now on.
        let has_item = !(muc.role.is_empty() && muc.affiliation.is_empty());
        let known = before.filter(|_| !has_item).and_then(|before| before.jid.clone());
        let mut occupant = Occupant {
            room: jid.clone(),
            nick: nick.to_string(),
            role: said_or_known(muc.role, before.map(|before| &before.role)),
            affiliation: said_or_known(muc.affiliation, before.map(|before| &before.affiliation)),
            jid: muc.jid.or(known),
            show: presence.show,
            status: kept_status(presence.status),
            own: ours,
            previous_nick: None,
            left: None,
            reason: None,
            occupant_id: muc.occupant_id.filter(|id| !id.is_empty() && id.len() <= MAX_OCCUPANT_ID),
            hats: muc.hats,
            actor: None,
            card: before.and_then(|before| before.card.clone()),
        };
        // A room that we leave need not list us.
        let is_bounded = !ours || stage == Stage::Leaving;
        if is_bounded && before.is_none() && !self.rooms.has_room_for_occupant(room) {
            self.turn.ignored += 1;
            return;
        }
        // Changes of known occupants always count, except for texts for which there is no room.
        if is_bounded && before.is_some_and(|before| occupant.bytes() > before.bytes()) && !self.rooms.has_bytes() {
            occupant.status = None;
            occupant.jid = before.and_then(|before| before.jid.clone());
            occupant.hats = before.map(|before| before.hats.clone()).unwrap_or_default();
        }
        let has_room = !is_renamed || self.rooms.has_room_for_occupant(room);
        let occupant = Arc::new(occupant);
        // If another client of the account keeps the old nickname, a room does not report that ours was changed.
        if is_renamed && let Some(membership) = self.rooms.membership(jid) {
            membership.is_called(&occupant.nick);
        }
        let Some(room) = self.rooms.shown.get_mut(jid) else { return };
        let room = Arc::make_mut(room);
        if ourselves && stage == Stage::Entering {
            room.welcomed(muc.status.contains(&SHOWS_JIDS), muc.status.contains(&LOGGED));
        }
        if is_renamed {
            room.give_nick_up(has_room);
        }
        if ours {
            room.nick.clone_from(&occupant.nick);
            room.role.clone_from(&occupant.role);
            room.affiliation.clone_from(&occupant.affiliation);
            room.joined = !matches!(stage, Stage::Leaving);
        }
        let before = room.take_in(Arc::clone(&occupant));
        self.turn.changed = true;
        if ourselves && stage == Stage::Entering {
            return self.entered(muc.status.contains(&CREATED));
        }
        if !matches!(stage, Stage::Inside | Stage::Configuring) {
            // Occupants who were there before us are not news.
            return;
        }
        tell_of_occupant(self.rooms, before, occupant, (muc.actor, muc.reason), self.turn);
    }

    fn occupant_gone(&mut self, stage: Stage, presence: &Presence) {
        let jid = self.jid;
        let no_muc = MucUser::default();
        let muc = presence.muc.as_deref().unwrap_or(&no_muc);
        let Some(nick) = presence.from.resource().map(jid::ResourceRef::as_str) else {
            // Bifröst writes so, under the room's own address, to somebody whom it does not know any more, and a cluster of
            // Tigase to those in rooms of a node that is gone. The second leaves out the code.
            if muc.status.contains(&OURSELVES) || why_left(muc, None) == "shutdown" {
                return self.we_are_out(stage, muc, kept_status(presence.status.clone()));
            }
            self.turn.ignored += 1;
            return;
        };
        let renamed = muc.nick.as_deref().filter(|new| !new.is_empty());
        // Checked only for a change of nickname, since it iterates over all rooms.
        let has_bytes = renamed.is_none() || self.rooms.has_bytes();
        let Some(room) = self.rooms.shown.get_mut(jid) else { return };
        // Before we are in, an occupant whom the room has listed under our nickname is another one, such as our ghost.
        let is_another = stage == Stage::Entering && room.occupants.contains_key(nick);
        // Once we are in, that is another client of the account, unless it gets our nickname.
        let is_elsewhere = stage.is_in()
            && muc.nick.as_deref() != Some(room.nick.as_str())
            && room.occupants.get(nick).is_some_and(|known| !known.own);
        let is_named = muc.status.contains(&OURSELVES) && !is_elsewhere;
        let ourselves = is_named || (room.nick == nick && !is_another);
        // If there is no room for the longer name, the occupant leaves, and no other one joins.
        let fits = |new: &&str| ourselves || new.len() <= nick.len() || has_bytes;
        if let Some(new) = renamed.filter(|_| muc.status.contains(&RENAMED)).filter(fits) {
            if new.len() > MAX_NICK {
                self.turn.ignored += 1;
                return;
            }
            return note_renamed(self, stage, nick, new, ourselves);
        }
        // Some services leave the new one out, and name us by it next.
        if ourselves && muc.status.contains(&RENAMED) {
            if let Some(membership) = self.rooms.membership(jid) {
                membership.is_nick_over = true;
            }
            return;
        }
        let status = kept_status(presence.status.clone());
        if ourselves {
            return self.we_are_out(stage, muc, status);
        }
        let Some(occupant) = Arc::make_mut(room).let_go(nick) else { return };
        self.turn.changed = true;
        self.turn.follow(FollowUp::OccupantLeft(jid.clone(), nick.to_owned()));
        if let Some(person) = &occupant.jid {
            let affiliation = said_or_known(muc.affiliation.clone(), Some(&occupant.affiliation));
            self.turn.follow(FollowUp::AffiliationTold(jid.clone(), person.to_bare(), affiliation));
        }
        if matches!(stage, Stage::Inside | Stage::Configuring) {
            let mut occupant = Arc::unwrap_or_clone(occupant);
            occupant.went(muc, status);
            fire_occupant(self.rooms, "occupantLeft", Arc::new(occupant), self.turn);
        }
        take_nick_back(self, nick);
    }

    fn we_are_out(&mut self, stage: Stage, muc: &MucUser, status: Option<String>) {
        let jid = self.jid;
        let (why, reason) = (why_left(muc, status.as_deref()), kept_reason(muc, status.as_deref()));
        let was_due = self.rooms.farewells.came(jid);
        match stage {
            Stage::Leaving => self.left(),
            // It confirms our leaving, perhaps after the time limit. A room that refuses entry says why.
            Stage::Entering if why == "left" => {}
            Stage::Entering => {
                if was_due {
                    // It may have removed us before it got our leave, and be about to let us in.
                    self.send_farewell();
                }
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                let error = CallError::Other(format!("the room {jid} let nobody in ({why}){reason}"));
                if matches!(why, "shutdown" | "error") {
                    self.not_entered_now(&error);
                } else {
                    self.not_entered(&error);
                }
            }
            Stage::Configuring | Stage::Inside => {
                // A server removes a hidden account from its rooms, and a service that restarts or fails removes
                // everyone. In both cases, the removal was not intended.
                let hides = why == "left" && self.turn.status.value.is_hidden();
                if was_due && why == "left" && !hides {
                    return self.enters_still();
                }
                // MongooseIM sends this to all clients of an account that share a nickname, whichever of them left, and
                // some services omit the code. If the room was asked, as after a resumption, it knows better.
                let is_asked = self.rooms.memberships.get(jid).is_some_and(Membership::is_asked);
                if why == "left" && !hides && (!muc.status.contains(&OURSELVES) || is_asked) {
                    return self.ask_whether_inside();
                }
                let comes_back =
                    hides || matches!(why, "shutdown" | "error") || is_for_silence(muc) || rejoins(self, why);
                own_occupant_left(self.rooms, jid, muc, status, self.turn);
                let error = CallError::Other(format!("the room {jid} put us out ({why})"));
                let joiners = self.rooms.membership(jid).map(Membership::take_joiners).unwrap_or_default();
                let (alternative, actor) = (muc.destroyed.clone().flatten(), muc.actor.clone());
                self.outside(comes_back, Farewell { why, recorded: None, reason, alternative, actor });
                if comes_back {
                    self.comes_back(!hides);
                }
                if !hides {
                    tell_owner(self, true);
                }
                for joiner in joiners {
                    self.turn.answer(joiner.answer, Err(error.clone()));
                }
                self.auto_join_ended();
            }
            Stage::Outside { .. } => {}
        }
    }
}

/// Notes that an occupant has another nickname.
pub(super) fn note_renamed(one: &mut RoomTurn<'_, '_>, stage: Stage, old: &str, new: &str, ourselves: bool) {
    let jid = one.jid;
    let Some(room) = one.rooms.shown.get_mut(jid) else { return };
    let occupant = rename(Arc::make_mut(room), old, new, ourselves);
    one.turn.follow(FollowUp::OccupantRenamed(jid.clone(), old.to_owned(), new.to_owned()));
    if ourselves && let Some(membership) = one.rooms.membership(jid) {
        membership.is_called(new);
    }
    one.turn.changed = true;
    if let Some(occupant) = occupant.filter(|_| matches!(stage, Stage::Inside | Stage::Configuring)) {
        fire_occupant(one.rooms, "occupantChanged", occupant, one.turn);
    }
    take_nick_back(one, old);
}

/// Enters a room that has listed our nickname, and named nobody as us: some gateways omit the code 110. Returns whether it did.
/// Only what comes after our presence tells, such as the subject, since before it the name may be that of our ghost.
pub(crate) fn entered_without_code(one: &mut RoomTurn<'_, '_>) -> bool {
    let jid = one.jid;
    let is_entering = one.rooms.stage(jid) == Some(Stage::Entering);
    let Some(room) = one.rooms.shown.get_mut(jid).filter(|_| is_entering) else { return false };
    let Some(own) = room.occupants.get(&room.nick).cloned() else { return false };
    let room = Arc::make_mut(room);
    room.welcomed(false, false);
    room.role.clone_from(&own.role);
    room.affiliation.clone_from(&own.affiliation);
    room.joined = true;
    room.take_in(Arc::new(Occupant { own: true, ..Occupant::clone(&own) }));
    one.entered(false);
    true
}

impl Turn<'_> {
    /// Notes that we are out of a room, and that nothing is known about its occupants any more.
    pub(super) fn out_of_room(&mut self, room: &BareJid) {
        self.changed = true;
        self.follow(FollowUp::OutOfRoom(room.clone()));
    }
}

/// Reports our own leaving like that of others, so that plugins learn the reason.
fn own_occupant_left(rooms: &mut Rooms, jid: &BareJid, muc: &MucUser, status: Option<String>, turn: &mut Turn<'_>) {
    let Some(room) = rooms.shown.get_mut(jid) else { return };
    let Some(own) = room.occupants.get(&room.nick) else { return };
    let mut own = Occupant::clone(own);
    own.went(muc, status);
    Arc::make_mut(room).affiliation.clone_from(&own.affiliation);
    fire_occupant(rooms, "occupantLeft", Arc::new(own), turn);
}

/// Changes an occupant's nickname. Returns the record for the event.
fn rename(room: &mut Room, old: &str, new: &str, ourselves: bool) -> Option<Arc<Occupant>> {
    if ourselves {
        new.clone_into(&mut room.nick);
    }
    let mut occupant = Arc::unwrap_or_clone(room.let_go(old)?);
    // vCards are stored by address.
    occupant.card = None;
    occupant.own |= ourselves;
    new.clone_into(&mut occupant.nick);
    room.take_in(Arc::new(occupant.clone()));
    occupant.previous_nick = Some(old.to_owned());
    Some(Arc::new(occupant))
}
