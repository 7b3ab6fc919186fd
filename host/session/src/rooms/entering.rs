//! Entering rooms: for a plugin, the settings, a bookmark, an invitation, or after a lost stream.

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jid::{BareJid, Jid};
use jiff::SignedDuration;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Bookmark, History, Outgoing, PresenceOut};

use super::membership::{Farewell, Membership, Reason, Stage, Tells};
use super::occupants::fire_occupant;
use super::opening::RoomOptions;
use super::passwords::{password_for, waits_for_password};
use super::rejoining::{Listed, apart, stays_out, still_waits, tell_owner};
use super::staying::SILENCE;
use super::{RoomTurn, Rooms};
use crate::deadlines::Late;
use crate::event::Payload;
use crate::records::occupant::Occupant;
use crate::records::room::Room;
use crate::records::room_record::{Departure, is_nickname_taken};
use crate::turn::{FollowUp, Turn};

/// Time limit for entering a room.
pub(super) const JOIN_PATIENCE: Duration = Duration::from_secs(30);
/// Time limit for a room to send its subject after our entering. After it, unstamped messages count as new.
const PAST_PATIENCE: Duration = Duration::from_secs(5);
/// Maximum number of other nicknames that are tried if ours is taken.
const MAX_NICKS: u32 = 6;
/// Number of attempts at a room that refuses us for a while, before it is reported that we are out of it.
const TRIES_UNTOLD: u32 = 6;
/// Delay before a room is asked again that could not answer with its features.
const ASK_AGAIN: Duration = Duration::from_mins(5);
/// Delay before a room is entered again whose service removed us.
const COME_BACK: Duration = Duration::from_secs(30);
/// Maximum number of times that this delay doubles, if we are removed repeatedly.
const MAX_DOUBLED: u32 = 5;
/// Duration of a stay after which earlier removals no longer count.
const STAYED: Duration = Duration::from_mins(10);
/// Delay before the second attempt. It doubles with each further one, up to some ten minutes.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// Overlap of the requested history with the known messages: clocks differ, and repetitions are recognised.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

impl Rooms {
    /// Schedules another request to a room that we are in and that could not answer.
    pub(crate) fn room_untold(&self, entity: &Jid, turn: &mut Turn<'_>) {
        if let Some(room) = self.shown.get(entity).filter(|room| room.is_untold()) {
            turn.deadlines.set(ASK_AGAIN, Late::RoomAgain(room.jid.clone()));
        }
    }
}

impl RoomTurn<'_, '_> {
    /// Returns to the requested nickname: its other user may be gone by now.
    pub(super) fn want_nick_back(&mut self) {
        let jid = self.jid;
        let nick = self.rooms.memberships.get(jid).map(|membership| membership.nick.clone());
        if let (Some(nick), Some(room)) = (nick, self.rooms.shown.get_mut(jid))
            && room.nick != nick
        {
            Arc::make_mut(room).nick = nick;
            self.turn.changed = true;
        }
    }

    /// Schedules entering a room again, after it was reported that we are out: `soon`, or when we become visible.
    pub(super) fn comes_back(&mut self, soon: bool) {
        let jid = self.jid;
        self.want_nick_back();
        let is_kick = self.rooms.shown.get(jid).is_some_and(|room| room.left == Some("kicked"));
        let apart = if is_kick { Duration::ZERO } else { apart(self.rooms, jid) };
        let now = self.turn.deadlines.elapsed();
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.reason = Reason::Automatic;
        if now.saturating_sub(membership.entered_at) >= STAYED {
            membership.put_out = 0;
        }
        let wait = COME_BACK * 2_u32.pow(membership.put_out.min(MAX_DOUBLED)) + apart;
        if soon {
            membership.put_out = membership.put_out.saturating_add(1);
        }
        // A service that comes back with the server is entered at once on the next stream.
        membership.not_before = (soon && is_kick).then_some(now + wait);
        self.set_deadline(soon.then_some(wait));
        let next = if soon { self.turn.now.checked_add(wait).ok() } else { None };
        self.rooms.records.tries_at(jid, next);
    }

    fn is_entering(&mut self) {
        let jid = self.jid;
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.stage = Stage::Entering;
        (membership.is_missed, membership.is_nick_over) = (false, false);
        membership.not_before = None;
        membership.tells = Tells::Past;
        self.rooms.records.joining(jid);
        self.turn.changed = true;
        self.set_deadline(Some(JOIN_PATIENCE));
    }

    /// Sends the presence that enters a known room.
    pub(super) fn enter(&mut self) {
        let jid = self.jid;
        if waits_for_password(self.rooms, jid) {
            return self.rooms.records.waits(jid);
        }
        if self.rooms.memberships.get(jid).is_some_and(|membership| membership.is_renamed) {
            self.want_nick_back();
        }
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let Ok(address) = room.jid.with_resource_str(&room.nick) else { return };
        let presence = if self.turn.status.value.is_hidden() {
            PresenceOut { to: Some(address.into()), caps: Some(self.turn.own_disco.caps()), ..PresenceOut::default() }
        } else {
            self.turn.presence_to(Some(address.into()))
        };
        let Some(membership) = self.rooms.memberships.get(jid) else { return };
        let mut join = membership.join.clone();
        join.password = password_for(&self.rooms.passwords, jid, membership);
        if let Some(until) = membership.known_until {
            let since = until.checked_sub(CLOCKS_DIFFER).unwrap_or(until);
            join.history = Some(History { since: Some(since), ..History::default() });
        }
        self.is_entering();
        if let Some(membership) = self.rooms.memberships.get_mut(jid) {
            (membership.untold, membership.is_renamed) = (false, false);
        }
        self.turn.send(Outgoing::Presence(PresenceOut { join: Some(join), ..presence }));
    }

    /// Sends our presence once we are in, if it or our nickname changed since we asked to enter. A hidden account sends it when it is
    /// seen.
    pub(super) fn tell_what_has_changed(&mut self) {
        let jid = self.jid;
        if self.turn.status.value.is_hidden() {
            return;
        }
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let is_renamed = std::mem::take(&mut membership.is_renamed);
        let is_untold = std::mem::take(&mut membership.untold) || is_renamed;
        if !is_untold {
            return;
        }
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let nick = if is_renamed { &membership.nick } else { &room.nick };
        let Ok(address) = room.jid.with_resource_str(nick) else { return };
        self.turn.send(Outgoing::Presence(self.turn.presence_to(Some(address.into()))));
    }

    /// Handles a late confirmation of an attempt to enter that we have taken back. The answer to our later attempt
    /// comes next, so no event reports that we are out.
    pub(super) fn enters_still(&mut self) {
        let jid = self.jid;
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        if membership.stage == Stage::Inside {
            membership.reason = Reason::Again;
        }
        self.emptied();
        self.is_entering();
    }

    /// Enters a room without a waiting call. Returns `false` if it was being entered already, or is not entered now.
    pub(crate) fn enter_by_itself(
        &mut self,
        nick: Option<String>,
        bookmark: Option<&Bookmark>,
        listed: Listed,
    ) -> bool {
        let jid = self.jid;
        if matches!(self.rooms.stage(jid), Some(Stage::Entering | Stage::Configuring | Stage::Inside)) {
            return false;
        }
        if listed == Listed::Already && stays_out(self.rooms, jid) {
            return false;
        }
        let options = RoomOptions { nick, ..RoomOptions::default() };
        match self.try_open(options, Reason::Automatic, bookmark) {
            Ok(()) => true,
            Err(error) => {
                self.rooms.records.out(jid, false, Departure::not_entered(&error, self.turn.now));
                self.turn.changed = true;
                tell_owner(self, false);
                false
            }
        }
    }

    /// Handles the room's confirmation that we are in (XEP-0045, section 7.2.2).
    pub(crate) fn entered(&mut self, created: bool) {
        let jid = self.jid;
        self.set_deadline(Some(PAST_PATIENCE));
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        (membership.tries, membership.nicks_tried) = (0, 0);
        membership.known_until.get_or_insert(self.turn.now);
        // After a lost stream, we count as having been in it all the time.
        let again = membership.reason == Reason::Again;
        if !again {
            membership.entered_at = self.turn.deadlines.elapsed();
        }
        membership.stage = Stage::Inside;
        let before = std::mem::take(&mut membership.before).occupants;
        // Kept: a room that its service lost is created again when we come back, with the same configuration.
        let configure = membership.configure.clone();
        let was_put_out = self.rooms.records.is_put_out(jid);
        self.rooms.records.joined(jid, self.turn.now, again);
        if was_put_out {
            tell_owner(self, true);
        }
        self.rooms.enterings += 1;
        if let Some(room) = self.rooms.shown.get_mut(jid) {
            let room = Arc::make_mut(room);
            (room.entered, room.archived) = (self.rooms.enterings, None);
            self.turn.changed = true;
        }
        self.heard();
        self.watch_again_in(SILENCE);
        self.tell_what_has_changed();
        self.turn.follow(FollowUp::RoomChanged(jid.clone()));
        tell_changes_since(self.rooms, jid, &before, self.turn);
        self.rooms.resend.send_to_room_again(jid, self.turn);
        let fields = match (created, configure) {
            (false, _) => return self.settled_in(),
            (true, Some(fields)) => fields,
            (true, None) if self.turn.settings.muc_instant_rooms => Vec::new(),
            (true, None) => {
                if let Some(room) = self.rooms.shown.get(jid).map(Arc::clone) {
                    self.turn.fire("configurationNeeded", Payload::Room(room));
                }
                return self.settled_in();
            }
        };
        if let Some(membership) = self.rooms.memberships.get_mut(jid) {
            membership.stage = Stage::Configuring;
        }
        self.turn.configure_new(jid, fields);
    }

    /// Answers all calls that waited to enter.
    pub(super) fn settled_in(&mut self) {
        let jid = self.jid;
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let Some(room) = self.rooms.shown.get(jid).map(Arc::clone) else { return };
        let again = std::mem::replace(&mut membership.reason, Reason::Asked) == Reason::Again;
        let joiners = std::mem::take(&mut membership.joiners);
        if !again {
            self.turn.fire("chatRoomOpened", Payload::Room(Arc::clone(&room)));
        }
        for joiner in joiners {
            self.turn.answer(joiner.answer, Ok(Arc::clone(&room)));
        }
        self.auto_join_ended();
    }

    /// Handles a failure to enter. The room is forgotten, unless we were in it before or may try again.
    pub(super) fn not_entered(&mut self, error: &CallError) {
        let jid = self.jid;
        if self.try_again(error) {
            return;
        }
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let joiners = std::mem::take(&mut membership.joiners);
        let reason = membership.reason;
        if reason == Reason::Again {
            self.refused(false, error);
        } else {
            self.rooms.resend.forget(jid);
            self.drop_room();
            self.rooms.records.out(jid, false, Departure::not_entered(error, self.turn.now));
        }
        // Plugins and strangers may cause any number of attempts to enter impossible rooms, so the owner is not
        // notified of those: a plugin gets an error.
        if matches!(reason, Reason::Automatic | Reason::Again) {
            tell_owner(self, reason == Reason::Again);
        }
        for joiner in joiners {
            self.turn.answer(joiner.answer, Err(error.clone()));
        }
        self.auto_join_ended();
    }

    /// Handles a temporary failure to enter: its service shuts down or fails, and has not refused us.
    pub(super) fn not_entered_now(&mut self, error: &CallError) {
        let jid = self.jid;
        match self.rooms.memberships.get(jid).map(|membership| membership.reason) {
            Some(Reason::Automatic | Reason::Again) => self.try_later(error),
            Some(Reason::Asked | Reason::Invited) | None => self.not_entered(error),
        }
    }

    /// Returns whether another attempt is made, now or later. If no plugin asked to enter, no one can choose another
    /// nickname, and our own lost stream may hold ours. A service that is down comes back.
    fn try_again(&mut self, error: &CallError) -> bool {
        let jid = self.jid;
        let Some(membership) = self.rooms.memberships.get(jid) else { return false };
        match membership.reason {
            Reason::Asked => false,
            _ if is_conflict(error) => self.try_another_nick(),
            Reason::Automatic | Reason::Again if may_pass(error) => {
                self.try_later(error);
                true
            }
            Reason::Automatic | Reason::Invited | Reason::Again => false,
        }
    }

    fn try_another_nick(&mut self) -> bool {
        let jid = self.jid;
        if let Some(room) = self.rooms.shown.get_mut(jid) {
            // The room lists everyone again, and does not tell who leaves until then.
            Arc::make_mut(room).empty();
        }
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return false };
        // The taken one is the one from before.
        if membership.is_renamed {
            self.enter();
            return true;
        }
        if membership.nicks_tried >= MAX_NICKS {
            return false;
        }
        membership.nicks_tried += 1;
        let nick = format!("{}_{}", membership.nick, membership.nicks_tried + 1);
        let Some(room) = self.rooms.shown.get_mut(jid) else { return false };
        if room.jid.with_resource_str(&nick).is_err() {
            return false;
        }
        Arc::make_mut(room).nick = nick;
        self.turn.changed = true;
        self.enter();
        true
    }

    /// Schedules another attempt, without a limit: a service may be down for hours. Waiting calls get the error. After
    /// some attempts, plugins that believe us to be in are notified.
    fn try_later(&mut self, error: &CallError) {
        let jid = self.jid;
        if let Some(room) = self.rooms.shown.get_mut(jid) {
            // Occupants that it has named so far may leave, which would not be reported.
            Arc::make_mut(room).empty();
        }
        self.turn.out_of_room(jid);
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let tries = membership.tries;
        membership.tries = tries.saturating_add(1);
        membership.stage = Stage::Outside { wanted: true };
        let joiners = std::mem::take(&mut membership.joiners);
        if tries == 0 {
            self.rooms.records.out(jid, true, Departure::not_entered(error, self.turn.now));
        } else {
            self.rooms.records.waits(jid);
        }
        if tries == TRIES_UNTOLD && std::mem::replace(&mut membership.reason, Reason::Automatic) == Reason::Again {
            self.refused(true, error);
        }
        let wait = TRY_AGAIN * 2_u32.pow(tries.min(TRIES_UNTOLD));
        self.set_deadline(Some(wait));
        self.rooms.records.tries_at(jid, self.turn.now.checked_add(wait).ok());
        if tries == 0 {
            tell_owner(self, false);
        }
        for joiner in joiners {
            self.turn.answer(joiner.answer, Err(error.clone()));
        }
        self.auto_join_ended();
    }

    /// Handles the refusal of a room that we were in: we count as having left, and so do its occupants.
    fn refused(&mut self, wanted: bool, error: &CallError) {
        let jid = self.jid;
        self.rooms.resend.forget(jid);
        let membership = self.rooms.memberships.get_mut(jid);
        let before = membership.map(|membership| std::mem::take(&mut membership.before).occupants).unwrap_or_default();
        tell_changes_since(self.rooms, jid, &before, self.turn);
        let farewell = match error {
            // The room is closed for good (XEP-0045, section 10.9).
            CallError::Stanza(error) if error.condition == "gone" => {
                let (reason, alternative) = (error.text.clone(), error.gone_to.clone());
                Farewell { why: "destroyed", reason, alternative, ..Farewell::default() }
            }
            _ => {
                let recorded = Some(Departure::not_entered(error, self.turn.now).why);
                Farewell { why: "refused", recorded, reason: Some(error.to_string()), ..Farewell::default() }
            }
        };
        self.outside(wanted, farewell);
    }

    pub(super) fn auto_join_ended(&mut self) {
        let jid = self.jid;
        if self.rooms.auto.remove(jid) && self.rooms.auto.is_empty() {
            self.turn.follow(FollowUp::RoomsAutoJoined);
        }
    }
}

impl Rooms {
    /// Enters the rooms again that a lost stream, or our own hiding, removed us from.
    pub(crate) fn enter_wanted(&mut self, turn: &mut Turn<'_>) {
        // A room with a deadline removed us on this stream, or refused entry: it is entered when the deadline passes.
        let is_due = |room: &Membership| room.stage == Stage::Outside { wanted: true } && room.deadline.is_none();
        let wanted = self.memberships.iter().filter(|(_, room)| is_due(room));
        let mut wanted: Vec<BareJid> = wanted.map(|(jid, _)| jid.clone()).collect();
        wanted.sort();
        for jid in wanted {
            let mut room = self.one(&jid, turn);
            room.want_nick_back();
            if !still_waits(&mut room) {
                room.enter();
            }
        }
    }

    /// Notes which automatic joins have begun and are not over. They have a time limit together.
    pub(crate) fn auto_joins_began(&mut self, turn: &mut Turn<'_>) {
        let stages = self.memberships.iter();
        self.auto = stages.filter(|(_, room)| room.is_automatic_and_open()).map(|(jid, _)| jid.clone()).collect();
        if !self.auto.is_empty() {
            turn.deadlines.set(JOIN_PATIENCE, Late::AutoJoins);
        }
    }
}

/// Reports the occupants who joined and left while we were out unnoticed.
fn tell_changes_since(rooms: &Rooms, jid: &BareJid, before: &OrdMap<String, Arc<Occupant>>, turn: &mut Turn<'_>) {
    let Some(room) = rooms.shown.get(jid).map(Arc::clone).filter(|_| !before.is_empty()) else { return };
    let is_there = |known: &Occupant| room.occupants.get(&known.nick).is_some_and(|here| !is_another(known, here));
    let is_gone = |occupant: &&Arc<Occupant>| !occupant.own && !is_there(occupant);
    for gone in before.values().filter(is_gone) {
        let gone = Occupant { left: Some("left"), ..Occupant::clone(gone) };
        fire_occupant(rooms, "occupantLeft", Arc::new(gone), turn);
    }
    for here in room.occupants.values() {
        // The nickname that was ours, or another person's, may belong to someone else now.
        match before.get(&here.nick).filter(|known| !is_another(known, here)) {
            _ if here.own => {}
            None => fire_occupant(rooms, "occupantJoined", Arc::clone(here), turn),
            Some(known) if !is_same(known, here) => fire_occupant(rooms, "occupantChanged", Arc::clone(here), turn),
            Some(_) => {}
        }
    }
}

/// Returns whether the room says that somebody else has this nickname now. Occupant ids do not tell: a service that restarts may give
/// all people other ones.
fn is_another(known: &Occupant, here: &Occupant) -> bool {
    let addresses = known.jid.as_ref().zip(here.jid.as_ref());
    known.own != here.own || addresses.is_some_and(|(before, now)| before.to_bare() != now.to_bare())
}

/// Returns whether nothing about an occupant has changed. A vCard is fetched again, which has its own event.
fn is_same(known: &Occupant, here: &Occupant) -> bool {
    *here == Occupant { card: here.card.clone(), ..known.clone() }
}

impl Membership {
    fn is_automatic_and_open(&self) -> bool {
        self.reason == Reason::Automatic && matches!(self.stage, Stage::Entering | Stage::Configuring)
    }
}

/// Returns whether our nickname is taken.
fn is_conflict(error: &CallError) -> bool {
    matches!(error, CallError::Stanza(error) if is_nickname_taken(error))
}

/// Returns whether a later attempt may succeed. If a service is down, its server does not find it.
fn may_pass(error: &CallError) -> bool {
    const DOWN: [&str; 5] = [
        // Someone else has just created it, and others may not enter before it is configured (XEP-0045, section
        // 10.1.3).
        "item-not-found",
        "remote-server-not-found",
        "remote-server-timeout",
        "resource-constraint",
        "service-unavailable",
    ];
    error.may_pass() || matches!(error, CallError::Stanza(error) if DOWN.contains(&error.condition.as_str()))
}

impl Room {
    /// Returns whether we are in it and it has not announced what it can do since.
    pub(crate) fn is_untold(&self) -> bool {
        self.joined && self.archived.is_none()
    }

    /// Notes that we are in, with the information from the room's first presence about us (XEP-0045, section 7.2).
    pub(super) fn welcomed(&mut self, shows_jids: bool, logged: bool) {
        self.left = None;
        self.reason = None;
        self.alternative = None;
        self.actor = None;
        self.shows_jids = shows_jids;
        self.logged = logged;
    }
}
