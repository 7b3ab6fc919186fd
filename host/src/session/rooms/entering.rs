//! Getting into rooms: because a plugin asks, the settings or a bookmark say so, somebody invites us, or the stream broke.

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jid::{BareJid, Jid};
use jiff::SignedDuration;

use super::leaving::Farewell;
use super::{Membership, Room, RoomWish, Stage, Tells};
use crate::error::CallError;
use crate::event::Payload;
use crate::session::deadlines::Late;
use crate::session::questions::PATIENCE;
use crate::session::{Occupant, Session, Turn};
use crate::stanza::{History, Outgoing, PresenceOut};

/// How long entering a room may take.
pub(super) const JOIN_PATIENCE: Duration = Duration::from_secs(30);
/// How long after our entering a room may take to say what its subject is, before what it says counts as new.
const PAST_PATIENCE: Duration = Duration::from_secs(5);
/// How many other nicknames are tried where ours is taken.
const MAX_NICKS: u32 = 6;
/// How often a room is tried again that does not let us in for a while, before anybody hears that we are out of it.
const TRIES_UNTOLD: u32 = 6;
/// When a room is asked again that could not say what it is.
const ASK_AGAIN: Duration = Duration::from_mins(5);
/// When a room is entered again whose service had to put us out.
const COME_BACK: Duration = Duration::from_secs(30);
/// How often that is doubled, where it puts us out again and again.
const MAX_DOUBLED: u32 = 5;
/// How long we have to stay for that not to count any more.
const STAYED: Duration = Duration::from_mins(10);
/// When it is tried for the second time; after that, twice as late each time, up to some ten minutes.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// How much earlier than what we know a room's past is asked for: clocks differ, and what comes twice is told once.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

/// Why a room is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Reason {
    /// A plugin asked.
    Asked,
    /// The settings or a bookmark say so.
    Automatic,
    /// Somebody invited us, and the settings say that we come.
    Invited,
    /// We were in it before, and never left.
    Again,
}

impl Session {
    /// Sends the presence that enters a room which is known.
    pub(super) fn enter(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let Ok(address) = room.jid.with_resource_str(&room.nick) else { return };
        let presence = if self.status.value.is_hidden() {
            PresenceOut { to: Some(address.into()), caps: Some(self.disco.own.caps()), ..PresenceOut::default() }
        } else {
            self.presence_to(Some(address.into()))
        };
        let Some(membership) = self.rooms.memberships.get(jid) else { return };
        let mut join = membership.join.clone();
        // It may have another one since.
        let put_down = self.bookmark(jid).filter(|_| membership.bookmarked);
        join.password = put_down.and_then(|bookmark| bookmark.password.clone()).or(join.password);
        if let Some(until) = membership.known_until {
            let since = until.checked_sub(CLOCKS_DIFFER).unwrap_or(until);
            join.history = Some(History { since: Some(since), ..History::default() });
        }
        self.is_entering(jid);
        if let Some(membership) = self.rooms.memberships.get_mut(jid) {
            membership.untold = false;
        }
        turn.send(Outgoing::Presence(PresenceOut { join: Some(join), ..presence }));
    }

    /// We are in, and what the presence that entered said of us may be true no more.
    fn tell_what_has_changed(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        if !std::mem::take(&mut membership.untold) || self.status.value.is_hidden() {
            return;
        }
        let Some(room) = self.rooms.shown.get(jid) else { return };
        let Ok(address) = room.jid.with_resource_str(&room.nick) else { return };
        turn.send(Outgoing::Presence(self.presence_to(Some(address.into()))));
    }

    fn is_entering(&mut self, jid: &BareJid) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.stage = Stage::Entering;
        membership.is_missed = false;
        membership.tells = Tells::Past;
        self.set_room_deadline(jid, Some(JOIN_PATIENCE));
    }

    /// What has let us in was late: it answers an entering that we have taken back, and the room says so now. What we sent
    /// after that it answers next, so that nobody is told that we are out.
    pub(in crate::session) fn enters_still(&mut self, jid: &BareJid) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        if membership.stage == Stage::Inside {
            membership.reason = Reason::Again;
        }
        self.emptied(jid);
        self.is_entering(jid);
    }

    /// Enters again what a lost stream, or our own hiding, put us out of.
    pub(in crate::session) fn enter_wanted_rooms(&mut self, turn: &mut Turn<'_>) {
        let wanted = self.rooms.memberships.iter().filter(|(_, room)| room.stage == Stage::Outside { wanted: true });
        let mut wanted: Vec<BareJid> = wanted.map(|(jid, _)| jid.clone()).collect();
        wanted.sort();
        for jid in wanted {
            self.wish_nick_back(&jid);
            self.enter(&jid, turn);
        }
    }

    /// The nickname that was asked for is tried again: who had it may be gone by now.
    pub(super) fn wish_nick_back(&mut self, jid: &BareJid) {
        let nick = self.rooms.memberships.get(jid).map(|membership| membership.nick.clone());
        if let (Some(nick), Some(room)) = (nick, self.rooms.shown.get_mut(jid))
            && room.nick != nick
        {
            Arc::make_mut(room).nick = nick;
            self.changed = true;
        }
    }

    /// The automatic joins (API row 27).
    pub(in crate::session) fn auto_join(&mut self, turn: &mut Turn<'_>) {
        for room in self.settings.auto_join_rooms.clone() {
            self.enter_by_itself(&room.jid, room.nick, turn);
        }
        self.join_bookmarked(turn);
        let stages = self.rooms.memberships.iter();
        self.rooms.auto = stages.filter(|(_, room)| room.is_automatic_and_open()).map(|(jid, _)| jid.clone()).collect();
        if !self.rooms.auto.is_empty() {
            self.deadlines.set(JOIN_PATIENCE, Late::AutoJoins);
        }
    }

    /// Enters a room that nobody waits for; `true`: it was not on its way already.
    pub(in crate::session) fn enter_by_itself(
        &mut self,
        jid: &BareJid,
        nick: Option<String>,
        turn: &mut Turn<'_>,
    ) -> bool {
        if matches!(self.rooms.stage(jid), Some(Stage::Entering | Stage::Configuring | Stage::Inside)) {
            return false;
        }
        let wish = RoomWish { nick, ..RoomWish::default() };
        match self.try_open(jid, wish, Reason::Automatic, turn) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(room = %jid, %error, "a room cannot be entered");
                false
            }
        }
    }

    pub(in crate::session) fn auto_joins_ended(&self) -> bool {
        self.rooms.auto.is_empty()
    }

    pub(in crate::session) fn give_up_auto_joins(&mut self) {
        self.rooms.auto.clear();
    }

    /// We are in: the room says so of ourselves (XEP-0045, section 7.2.2).
    pub(in crate::session) fn entered(&mut self, jid: &BareJid, created: bool, turn: &mut Turn<'_>) {
        self.set_room_deadline(jid, Some(PAST_PATIENCE));
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        (membership.tries, membership.nicks_tried) = (0, 0);
        membership.known_until.get_or_insert(turn.now);
        // Who comes back after a cut was in it all the time, as far as anybody has been told.
        if membership.reason != Reason::Again {
            membership.entered_at = self.deadlines.elapsed();
        }
        membership.stage = Stage::Inside;
        let before = std::mem::take(&mut membership.before);
        // Kept: a room that went with its service is made anew when we come back, as it was wanted.
        let configure = membership.configure.clone();
        self.rooms.enterings += 1;
        if let Some(room) = self.rooms.shown.get_mut(jid) {
            let room = Arc::make_mut(room);
            (room.entered, room.archived) = (self.rooms.enterings, None);
            self.changed = true;
        }
        self.watch(jid);
        self.tell_what_has_changed(jid, turn);
        self.ask_about(jid, turn);
        self.tell_changes_since(jid, &before, turn);
        self.send_to_room_again(jid, turn);
        let fields = match (created, configure) {
            (false, _) => return self.settled_in(jid, turn),
            (true, Some(fields)) => fields,
            (true, None) if self.settings.muc_instant_rooms => Vec::new(),
            (true, None) => {
                if let Some(room) = self.rooms.shown.get(jid).map(Arc::clone) {
                    self.fire("configurationNeeded", Payload::Room(room), turn);
                }
                return self.settled_in(jid, turn);
            }
        };
        if let Some(membership) = self.rooms.memberships.get_mut(jid) {
            membership.stage = Stage::Configuring;
        }
        self.configure_new(jid, fields, turn);
    }

    /// Who came and went while we were out without anybody's knowing.
    fn tell_changes_since(&mut self, jid: &BareJid, before: &OrdMap<String, Arc<Occupant>>, turn: &mut Turn<'_>) {
        let Some(room) = self.rooms.shown.get(jid).map(Arc::clone).filter(|_| !before.is_empty()) else { return };
        let is_gone = |occupant: &&Arc<Occupant>| !occupant.own && !room.occupants.contains_key(&occupant.nick);
        for gone in before.values().filter(is_gone) {
            let gone = Occupant { left: Some("left"), ..Occupant::clone(gone) };
            self.fire_occupant("occupantLeft", Arc::new(gone), turn);
        }
        for here in room.occupants.values() {
            // Who has the nickname that was ours is somebody else.
            match before.get(&here.nick).filter(|known| !known.own) {
                _ if here.own => {}
                None => self.fire_occupant("occupantJoined", Arc::clone(here), turn),
                Some(known) if !is_same(known, here) => self.fire_occupant("occupantChanged", Arc::clone(here), turn),
                Some(_) => {}
            }
        }
    }

    /// Tells everybody who waited.
    pub(super) fn settled_in(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let Some(room) = self.rooms.shown.get(jid).map(Arc::clone) else { return };
        let again = std::mem::replace(&mut membership.reason, Reason::Asked) == Reason::Again;
        let joiners = std::mem::take(&mut membership.joiners);
        if !again {
            self.fire("chatRoomOpened", Payload::Room(Arc::clone(&room)), turn);
        }
        for joiner in joiners {
            turn.answer(joiner.answer, Ok(Arc::clone(&room)));
        }
        self.auto_join_ended(jid, turn);
    }

    /// Entering did not work out. The room is forgotten, unless we were in it before or may try again.
    pub(in crate::session) fn not_entered(&mut self, jid: &BareJid, error: &CallError, turn: &mut Turn<'_>) {
        if self.try_again(jid, error, turn) {
            return;
        }
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let joiners = std::mem::take(&mut membership.joiners);
        if membership.reason == Reason::Again {
            self.refused(jid, false, error, turn);
        } else {
            if membership.reason == Reason::Automatic {
                tracing::warn!(room = %jid, %error, "a room cannot be entered");
            }
            self.again.forget(jid);
            self.drop_room(jid, turn);
        }
        for joiner in joiners {
            turn.answer(joiner.answer, Err(error.clone()));
        }
        self.auto_join_ended(jid, turn);
    }

    /// Entering did not work out for now: its service goes down, or has trouble, which is no word about us.
    pub(in crate::session) fn not_entered_now(&mut self, jid: &BareJid, error: &CallError, turn: &mut Turn<'_>) {
        match self.rooms.memberships.get(jid).map(|membership| membership.reason) {
            Some(Reason::Automatic | Reason::Again) => self.try_later(jid, error, turn),
            Some(Reason::Asked | Reason::Invited) | None => self.not_entered(jid, error, turn),
        }
    }

    /// Whether another try is made, or will be. Nobody can be asked for another nickname where nobody asked to enter, and
    /// ours may be held by what a broken stream left of us; and a service that is down comes back.
    fn try_again(&mut self, jid: &BareJid, error: &CallError, turn: &mut Turn<'_>) -> bool {
        let Some(membership) = self.rooms.memberships.get(jid) else { return false };
        match membership.reason {
            Reason::Asked => false,
            _ if is_conflict(error) => self.try_another_nick(jid, turn),
            Reason::Automatic | Reason::Again if may_pass(error) => {
                self.try_later(jid, error, turn);
                true
            }
            Reason::Automatic | Reason::Invited | Reason::Again => false,
        }
    }

    fn try_another_nick(&mut self, jid: &BareJid, turn: &mut Turn<'_>) -> bool {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return false };
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
        self.changed = true;
        self.enter(jid, turn);
        true
    }

    /// Tries it in a while, however often that was done: a service may be down for hours. Who waits does not wait for that, and
    /// after some tries whoever believes that we are still in hears that we are not.
    fn try_later(&mut self, jid: &BareJid, error: &CallError, turn: &mut Turn<'_>) {
        if let Some(room) = self.rooms.shown.get_mut(jid) {
            // Whom it has named so far may be gone by then, of which nobody would tell us.
            Arc::make_mut(room).empty();
        }
        self.forget_occupants(jid);
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        let tries = membership.tries;
        if tries == 0 {
            tracing::warn!(room = %jid, %error, "a room cannot be entered now, trying again");
        }
        membership.tries = tries.saturating_add(1);
        membership.stage = Stage::Outside { wanted: true };
        let joiners = std::mem::take(&mut membership.joiners);
        if tries == TRIES_UNTOLD && std::mem::replace(&mut membership.reason, Reason::Automatic) == Reason::Again {
            self.refused(jid, true, error, turn);
        }
        self.set_room_deadline(jid, Some(TRY_AGAIN * 2_u32.pow(tries.min(TRIES_UNTOLD))));
        for joiner in joiners {
            turn.answer(joiner.answer, Err(error.clone()));
        }
        self.auto_join_ended(jid, turn);
    }

    /// A room that we were in does not let us in again; so we have left it, and those who were there have, too.
    fn refused(&mut self, jid: &BareJid, wanted: bool, error: &CallError, turn: &mut Turn<'_>) {
        self.again.forget(jid);
        let membership = self.rooms.memberships.get_mut(jid);
        let before = membership.map(|membership| std::mem::take(&mut membership.before)).unwrap_or_default();
        self.tell_changes_since(jid, &before, turn);
        let farewell = match error {
            // Nobody gets in any more (XEP-0045, section 10.9).
            CallError::Stanza(error) if error.condition == "gone" => {
                let (reason, alternative) = (error.text.clone(), error.gone_to.clone());
                Farewell { why: "destroyed", reason, alternative, actor: None }
            }
            _ => Farewell { why: "refused", reason: Some(error.to_string()), ..Farewell::default() },
        };
        self.outside(jid, wanted, farewell, turn);
    }

    /// We are out of a room, and everybody was told; it is entered again by itself, `soon` or when we show ourselves.
    pub(in crate::session) fn comes_back(&mut self, jid: &BareJid, soon: bool) {
        self.wish_nick_back(jid);
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        membership.reason = Reason::Automatic;
        if self.deadlines.elapsed().saturating_sub(membership.entered_at) >= STAYED {
            membership.put_out = 0;
        }
        let wait = COME_BACK * 2_u32.pow(membership.put_out.min(MAX_DOUBLED));
        if soon {
            membership.put_out = membership.put_out.saturating_add(1);
        }
        self.set_room_deadline(jid, soon.then_some(wait));
    }

    pub(in crate::session) fn auto_join_ended(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        if self.rooms.auto.remove(jid) && self.rooms.auto.is_empty() {
            self.auto_joined(turn);
        }
    }

    /// The room says what it is and can do; a change of what it is comes as a status code, and is asked for again.
    pub(super) fn ask_about(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        self.learn(Jid::from(jid.clone()), PATIENCE, turn);
    }

    /// A room that we are in could not say now what it is and can do.
    pub(in crate::session) fn room_untold(&mut self, entity: &Jid) {
        if let Some(room) = self.rooms.shown.get(entity).filter(|room| room.joined && room.archived.is_none()) {
            self.deadlines.set(ASK_AGAIN, Late::RoomAgain(room.jid.clone()));
        }
    }

    pub(in crate::session) fn ask_about_again(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        if self.rooms.shown.get(jid).is_some_and(|room| room.joined && room.archived.is_none()) {
            self.ask_about(jid, turn);
        }
    }
}

/// Whether nothing is told of somebody that was not known before. A card is fetched anew, and tells of itself.
fn is_same(known: &Occupant, here: &Occupant) -> bool {
    *here == Occupant { card: here.card.clone(), ..known.clone() }
}

impl Membership {
    fn is_automatic_and_open(&self) -> bool {
        self.reason == Reason::Automatic && matches!(self.stage, Stage::Entering | Stage::Configuring)
    }
}

/// Whether somebody else has our nickname. Tigase has another condition for it, by which it also lets nobody make a room, and says
/// which it is in its text alone.
fn is_conflict(error: &CallError) -> bool {
    let CallError::Stanza(error) = error else { return false };
    let says_so = || error.text.as_deref().is_some_and(|text| text.starts_with("Nickname already in use"));
    error.condition == "conflict" || (error.condition == "not-allowed" && says_so())
}

/// Whether it may be otherwise in a while. A service that is down is one that its server does not find.
fn may_pass(error: &CallError) -> bool {
    const DOWN: [&str; 5] = [
        // Somebody else has just made it, and nobody may come in before it is configured (XEP-0045, section 10.1.3).
        "item-not-found",
        "remote-server-not-found",
        "remote-server-timeout",
        "resource-constraint",
        "service-unavailable",
    ];
    error.may_pass() || matches!(error, CallError::Stanza(error) if DOWN.contains(&error.condition.as_str()))
}

impl Room {
    /// We are in it now, and this is what its first word about us says (XEP-0045, section 7.2).
    pub(in crate::session) fn welcomed(&mut self, shows_jids: bool, logged: bool) {
        self.left = None;
        self.reason = None;
        self.alternative = None;
        self.actor = None;
        self.shows_jids = shows_jids;
        self.logged = logged;
    }
}
