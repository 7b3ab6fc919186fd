//! Rooms: entering, leaving and staying in them (XEP-0045).

pub(super) mod answers;
pub(super) mod configuring;
mod departures;
mod entering;
pub(super) mod invitations;
pub(super) mod leaving;
pub(super) mod membership;
pub(super) mod occupants;
pub(super) mod opening;
mod ourselves;
pub(super) mod passwords;
mod registering;
pub(super) mod rejoining;
pub(super) mod renaming;
mod resend;
mod staying;
mod view;
pub(crate) mod voice;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use imbl::OrdMap;
use jid::{BareJid, Jid};
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Bookmark;

use crate::records::room::Room;
use crate::records::room_record::RoomRecords;
use crate::turn::Turn;
use crate::waiters::{self, Waiter};
use membership::{Farewells, Membership, Stage, Tells};
use passwords::RoomPasswords;
use rejoining::Listed;
use resend::Resend;
use voice::VoiceRequests;

/// Maximum number of open rooms of an account.
pub const MAX_ROOMS: usize = 1_000;
/// Maximum number of calls that wait to enter one room, and of those that wait to leave it.
const MAX_WAITERS: usize = 2_048;
/// Maximum number of one plugin's waiting calls. It caps the limit `open_calls`, so that one plugin does not take the
/// place of others.
pub(super) const MAX_OWN_WAITERS: usize = 256;
/// The feature of an entity that numbers messages.
pub(super) const STANZA_IDS: &str = "urn:xmpp:sid:0";

/// One room, in a turn in which something happens to it.
#[derive(Debug)]
pub(super) struct RoomTurn<'a, 't> {
    pub(super) jid: &'a BareJid,
    pub(super) rooms: &'a mut Rooms,
    pub(super) turn: &'a mut Turn<'t>,
}

/// The rooms of an account.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) shown: OrdMap<BareJid, Arc<Room>>,
    /// The same keys as `shown`.
    memberships: HashMap<BareJid, Membership>,
    /// The number of times that a room was entered.
    enterings: u64,
    /// The number of times that a room that we are in has reported whether it has an archive.
    pub(super) told: u64,
    /// The stanzas of a lost stream that wait until we are in again.
    resend: Resend,
    /// The automatic joins that have not ended.
    pub(super) auto: HashSet<BareJid>,
    pub(super) farewells: Farewells,
    /// The owner's view of the rooms, including those that we are out of.
    pub(super) records: RoomRecords,
    /// The passwords that the owner gives.
    passwords: RoomPasswords,
    /// The rooms for which the owner gives passwords that are not read yet.
    awaited: BTreeSet<BareJid>,
    /// The visitors who ask for voice.
    pub(super) voices: VoiceRequests,
}

impl Rooms {
    /// Returns this room for the events of this turn.
    pub(super) fn one<'a, 't>(&'a mut self, jid: &'a BareJid, turn: &'a mut Turn<'t>) -> RoomTurn<'a, 't> {
        RoomTurn { jid, rooms: self, turn }
    }

    /// Makes room for another room by forgetting one that we were removed from.
    fn make_room(&mut self, turn: &mut Turn<'_>) -> Result<(), CallError> {
        if self.memberships.len() < MAX_ROOMS {
            return Ok(());
        }
        let unused = self.memberships.iter().find(|(_, old)| old.stage == Stage::Outside { wanted: false });
        let unused = unused.map(|(jid, _)| jid.clone());
        let unused = unused.ok_or_else(|| CallError::OverLimit(format!("{MAX_ROOMS} rooms are open")))?;
        self.one(&unused, turn).drop_room();
        Ok(())
    }

    /// Returns the rooms that we have entered because of their bookmarks.
    pub(super) fn bookmarked(&self) -> Vec<BareJid> {
        let entered = self.memberships.iter().filter(|(_, membership)| membership.bookmark.is_some());
        entered.map(|(jid, _)| jid.clone()).collect()
    }

    /// Notes that the bookmarks are unknown from now on. We stay in the rooms that we are in, as if a plugin had entered
    /// them.
    pub(super) fn forget_bookmarks(&mut self) {
        for membership in self.memberships.values_mut() {
            membership.bookmark = None;
        }
    }

    /// Adopts a nickname that a bookmark has changed, for the next time that its room is entered. Otherwise we keep the
    /// present one, which a plugin may have changed.
    pub(super) fn bookmark_changed(&mut self, before: &Bookmark, now: &Arc<Bookmark>, turn: &Turn<'_>) {
        let Some(membership) = self.memberships.get_mut(&now.room) else { return };
        if membership.bookmark.is_none() {
            return;
        }
        membership.bookmark = Some(Arc::clone(now));
        if now.nick != before.nick
            && let Ok(address) = turn.address_in(&now.room, None, Some(now))
        {
            membership.is_called(address.resource().as_str());
            membership.is_renamed |= matches!(membership.stage, Stage::Outside { .. });
        }
    }

    /// Enters a room because of its bookmark.
    pub(super) fn enter_bookmarked(&mut self, bookmark: &Arc<Bookmark>, listed: Listed, turn: &mut Turn<'_>) {
        if self.one(&bookmark.room, turn).enter_by_itself(None, Some(bookmark), listed)
            && let Some(membership) = self.memberships.get_mut(&bookmark.room)
        {
            membership.bookmark = Some(Arc::clone(bookmark));
        }
    }

    /// Leaves a room that was entered because of its bookmark.
    pub(super) fn leave_bookmarked(&mut self, room: &BareJid, turn: &mut Turn<'_>) {
        let Some(membership) = self.memberships.get(room) else { return };
        if membership.bookmark.is_some() && membership.stage != Stage::Leaving {
            self.one(room, turn).leave(None);
        }
    }

    pub(super) fn has(&self, jid: &Jid) -> bool {
        self.memberships.contains_key(jid)
    }

    /// Returns whether this is certainly a room. The address of a room that is only being entered may turn out to be a
    /// person's.
    pub(super) fn is_known(&self, jid: &Jid) -> bool {
        self.stage(jid).is_some_and(|stage| stage != Stage::Entering)
    }

    pub(super) fn membership(&mut self, jid: &BareJid) -> Option<&mut Membership> {
        self.memberships.get_mut(jid)
    }

    pub(super) fn stage(&self, jid: &Jid) -> Option<Stage> {
        self.memberships.get(jid).map(|membership| membership.stage)
    }

    pub(super) fn tells(&self, jid: &Jid) -> Option<Tells> {
        self.memberships.get(jid).map(|membership| membership.tells)
    }

    /// Returns whether we are about to be in it again.
    fn will_be_entered(&self, jid: &BareJid) -> bool {
        matches!(self.stage(jid), Some(Stage::Outside { wanted: true } | Stage::Entering))
    }

    /// Returns our own addresses in the rooms that we are in.
    pub(super) fn occupied(&self) -> impl Iterator<Item = Jid> {
        self.shown
            .values()
            // Presence after our leaving would enter the room again.
            .filter(|room| room.joined && self.stage(&room.jid) != Some(Stage::Leaving))
            .filter_map(|room| room.jid.with_resource_str(&room.nick).ok())
            .map(Jid::from)
    }

    /// Notes that our presence has changed. A room that we are entering gets it once we are in: if it refuses us, the
    /// presence would be another attempt to enter.
    pub(super) fn changed_while_entering(&mut self) {
        for membership in self.memberships.values_mut().filter(|membership| membership.stage == Stage::Entering) {
            membership.untold = true;
        }
    }

    /// Notes that messages in our rooms may have been lost, as if we entered them now.
    pub(super) fn enter_in_doubt(&mut self) {
        let inside: Vec<BareJid> =
            self.shown.values().filter(|room| room.joined).map(|room| room.jid.clone()).collect();
        for jid in inside {
            self.enterings += 1;
            if let Some(room) = self.shown.get_mut(&jid) {
                Arc::make_mut(room).entered = self.enterings;
            }
        }
        self.told += 1;
    }

    pub(super) fn forget_abandoned(&mut self) {
        for membership in self.memberships.values_mut() {
            membership.joiners.retain(|joiner| !joiner.answer.is_abandoned());
            membership.leavers.retain(|leaver| !leaver.answer.is_abandoned());
        }
    }

    pub(super) fn forget_all(&mut self) {
        // The counters continue, so that no number is used twice.
        let (passwords, awaited) = (std::mem::take(&mut self.passwords), std::mem::take(&mut self.awaited));
        *self = Self { enterings: self.enterings, told: self.told, passwords, awaited, ..Self::default() };
    }

    #[cfg(test)]
    pub(super) fn waiters(&self) -> usize {
        self.memberships.values().map(|membership| membership.joiners.len() + membership.leavers.len()).sum()
    }

    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        self.shown.len() == self.memberships.len() && self.shown.keys().all(|jid| self.memberships.contains_key(jid))
    }

    /// Returns the address for a vCard: the occupant's for an occupant of a room, else the bare one.
    pub(super) fn card_owner(&self, jid: &Jid) -> Jid {
        let bare = jid.to_bare();
        if !jid.is_bare() && self.has(&bare) { jid.clone() } else { Jid::from(bare) }
    }
}

/// Returns whether a plugin may send something to a room now.
pub(super) fn may_ask(turn: &mut Turn<'_>) -> Result<(), CallError> {
    if !turn.settings.allow_muc {
        return Err(CallError::Unsupported("rooms: the setting allow_muc is false".to_owned()));
    }
    if !turn.is_live() {
        return Err(CallError::Offline);
    }
    turn.make_room_for_iq()
}

/// Checks whether another call of this plugin may wait for a room. Abandoned ones make room.
fn may_wait<T>(waiters: &mut Vec<Waiter<T>>, by: InstanceId, jid: &BareJid) -> Result<(), CallError> {
    if waiters.len() >= MAX_OWN_WAITERS {
        waiters.retain(|waiter| !waiter.answer.is_abandoned());
    }
    waiters::may_wait(waiters.iter(), by, (MAX_OWN_WAITERS, MAX_WAITERS), jid)
}

pub(super) fn not_open(jid: &BareJid) -> CallError {
    CallError::NotFound(format!("the open room {jid}"))
}
