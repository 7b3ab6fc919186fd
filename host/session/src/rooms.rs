//! Rooms: entering, leaving and staying in them (XEP-0045).

mod configuring;
mod entering;
mod invitations;
mod leaving;
mod moderating;
mod staying;
mod view;

use crate::resend::Resend;
use crate::view::Focus;
use parlor_stanza::types::Bookmark;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jid::{BareJid, FullJid, Jid, NodeRef};
use jiff::Timestamp;
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Actor, History, RoomJoin};

use crate::command::{Answer, Command};
use crate::deadlines::{DeadlineKey, Late};
use crate::features::Features;
use crate::turn::Turn;
use crate::waiters::{self, Waiter};
use crate::{Occupant, View, ViewChange};

pub use configuring::{ConfigValue, ConfigureRoom};
pub(super) use entering::Reason;
pub(super) use invitations::invitation_declined;
pub use invitations::{DeclineInvitation, InviteToRoom};
pub use leaving::CloseRoom;
pub(super) use leaving::{Farewell, GiveUp};
pub(super) use moderating::RoomQuestion;
pub use moderating::{ListAffiliations, ModerateRoom, SetSubject};
pub use view::{ChangeRoomView, SetRoomAttribute};

/// Maximum number of open rooms of an account.
pub const MAX_ROOMS: usize = 1_000;
/// Maximum number of calls that wait to enter one room, and of those that wait to leave it.
const MAX_WAITERS: usize = 2_048;
/// Maximum number of one plugin's waiting calls, whatever its limit `open_calls` is, so that it does not take the place
/// of others.
pub(super) const MAX_OWN_WAITERS: usize = 256;

/// A room. Fields as in `room` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Room {
    pub jid: BareJid,
    pub nick: String,
    pub joined: bool,
    pub subject: Option<String>,
    pub role: String,
    pub affiliation: String,
    /// How a front end should show it.
    pub view: View,
    pub left: Option<&'static str>,
    pub reason: Option<String>,
    pub alternative: Option<BareJid>,
    pub actor: Option<Actor>,
    /// The room's information; shared, since every change of a room copies the record.
    pub about: Arc<About>,
    pub shows_jids: bool,
    pub logged: bool,
    /// The number of this visit, counted over all rooms since the start of this process.
    pub entered: u64,
    /// Whether it has an archive whose ids its messages carry. None: not announced since it was entered.
    pub archived: Option<bool>,
    /// The occupants by nickname, including ourselves.
    pub occupants: OrdMap<String, Arc<Occupant>>,
    /// The size of the occupants in bytes.
    pub(super) bytes: usize,
}

/// The information that a room announces about itself (XEP-0045, section 6.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The name of the room.
    pub name: Option<String>,
    /// The features and the configuration of the room.
    pub features: Vec<String>,
}

impl Room {
    /// Returns a room that was not entered yet.
    pub fn new(jid: BareJid, nick: String) -> Self {
        Self {
            jid,
            nick,
            joined: false,
            subject: None,
            role: "none".to_owned(),
            affiliation: "none".to_owned(),
            view: View::new(true),
            left: None,
            reason: None,
            alternative: None,
            actor: None,
            about: Arc::default(),
            shows_jids: false,
            logged: false,
            entered: 0,
            archived: None,
            occupants: OrdMap::new(),
            bytes: 0,
        }
    }

    /// Returns whether its occupant ids can be trusted: elsewhere anyone may write them (XEP-0421, section 5).
    pub fn has_occupant_ids(&self) -> bool {
        self.about.features.iter().any(|feature| feature == "urn:xmpp:occupant-id:0")
    }

    pub(super) fn empty(&mut self) {
        self.joined = false;
        self.archived = None;
        "none".clone_into(&mut self.role);
        self.occupants = OrdMap::new();
        self.bytes = 0;
    }
}

/// Our state in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// We are not in it. If `wanted`, we enter as soon as possible.
    Outside { wanted: bool },
    /// The presence that enters it was sent.
    Entering,
    /// We are in it, and it is being configured.
    Configuring,
    /// We are in it.
    Inside,
    /// The presence that leaves it was sent.
    Leaving,
}

impl Stage {
    /// Returns whether we are in the room.
    pub(super) fn is_in(self) -> bool {
        matches!(self, Self::Inside | Self::Configuring)
    }
}

/// The time to which a room's messages belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// History: everything is from before we entered. The subject ends it (XEP-0045, section 7.2.15).
    Past,
    /// History if stamped, else new. Some services repeat each subject in its place within the history, and continue
    /// with later messages.
    Ending,
    /// The room never sent its subject, so each message's stamp decides.
    Whenever,
    /// New, whatever the stamp is.
    Present,
}

/// The internal state that belongs to a [`Room`].
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) stage: Stage,
    reason: Reason,
    /// The bookmark because of which it was entered. It is left when that is removed.
    bookmark: Option<Arc<Bookmark>>,
    join: RoomJoin,
    configure: Option<Vec<(String, ConfigValue)>>,
    joiners: Vec<Waiter<Arc<Room>>>,
    leavers: Vec<Waiter<()>>,
    /// The requested nickname; the room's may have a suffix.
    nick: String,
    /// The number of failed attempts to enter it again.
    tries: u32,
    /// The number of other nicknames that were tried.
    nicks_tried: u32,
    /// How often its service removed us soon after we had entered.
    put_out: u32,
    /// When we last entered.
    entered_at: Duration,
    /// The time to which its messages belong now.
    pub(super) tells: Tells,
    /// For entering, leaving, the end of the history and the next attempt.
    deadline: Option<DeadlineKey>,
    /// For asking whether we are still in.
    silence: Option<DeadlineKey>,
    /// When something last came from the room.
    heard: Duration,
    /// Whether it reported that it does not know us, or does not exist.
    is_missed: bool,
    /// Whether our presence has changed since we asked to enter.
    untold: bool,
    /// The time up to which we know the messages.
    known_until: Option<Timestamp>,
    /// The occupants from before we had to enter again.
    before: OrdMap<String, Arc<Occupant>>,
}

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
    pub(super) resend: Resend,
    /// The automatic joins that have not ended.
    pub(super) auto: HashSet<BareJid>,
    pub(super) farewells: Farewells,
}

/// The number of times that each room has still to confirm on this stream that we left. It does so before it answers
/// later stanzas.
#[derive(Debug, Default)]
pub(super) struct Farewells(HashMap<BareJid, u32>);

impl Farewells {
    /// Notes that we leave, which the room has to confirm.
    fn sent(&mut self, jid: &BareJid) {
        // Someone may invite us to room after room that never answers: the number is bounded.
        if self.0.len() < MAX_ROOMS || self.0.contains_key(jid) {
            *self.0.entry(jid.clone()).or_default() += 1;
        }
    }

    /// Handles a room's confirmation that we left. Returns whether one was due.
    pub(super) fn came(&mut self, jid: &BareJid) -> bool {
        let Some(due) = self.0.get_mut(jid) else { return false };
        *due -= 1;
        if *due == 0 {
            self.0.remove(jid);
        }
        true
    }

    /// Notes that the room will send no more confirmations.
    pub(super) fn none_is_due(&mut self, jid: &Jid) {
        self.0.remove(jid);
    }
}

impl Membership {
    /// Returns the state of a room that is to be entered.
    fn new(reason: Reason, nick: String) -> Self {
        Self {
            stage: Stage::Outside { wanted: true },
            reason,
            bookmark: None,
            join: RoomJoin::default(),
            configure: None,
            joiners: Vec::new(),
            leavers: Vec::new(),
            nick,
            tries: 0,
            nicks_tried: 0,
            put_out: 0,
            entered_at: Duration::ZERO,
            tells: Tells::Past,
            deadline: None,
            silence: None,
            heard: Duration::ZERO,
            is_missed: false,
            untold: false,
            known_until: None,
            before: OrdMap::new(),
        }
    }

    /// Takes the calls that wait to enter, for answering that this will not happen.
    pub(super) fn take_joiners(&mut self) -> Vec<Waiter<Arc<Room>>> {
        std::mem::take(&mut self.joiners)
    }

    /// Returns whether a lost stream removed us, which was not reported.
    fn is_to_come_back(&self) -> bool {
        self.reason == Reason::Again && self.stage == Stage::Outside { wanted: true }
    }

    /// Notes that we have another nickname now, and keep it.
    pub(super) fn is_called(&mut self, nick: &str) {
        nick.clone_into(&mut self.nick);
    }

    /// Notes that a message was sent in the room at this time.
    pub(super) fn said(&mut self, at: Timestamp) {
        self.known_until = self.known_until.max(Some(at));
    }
}

impl Rooms {
    /// Returns this room for what happens to it in this turn.
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
        }
    }

    /// Enters a room because of its bookmark.
    pub(super) fn enter_bookmarked(&mut self, bookmark: &Arc<Bookmark>, turn: &mut Turn<'_>) {
        if self.one(&bookmark.room, turn).enter_by_itself(None, Some(bookmark))
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

    /// Returns whether this is certainly a room. One that is only being entered may turn out to be anybody's address.
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
    pub(super) fn will_be_entered(&self, jid: &BareJid) -> bool {
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
        *self = Self { enterings: self.enterings, told: self.told, ..Self::default() };
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
    pub(crate) fn card_owner(&self, jid: &Jid) -> Jid {
        let bare = jid.to_bare();
        if !jid.is_bare() && self.has(&bare) { jid.clone() } else { Jid::from(bare) }
    }
}

/// The parameters with which a room is entered.
#[derive(Debug, Clone, Default)]
pub struct RoomOptions {
    /// The requested nickname.
    pub nick: Option<String>,
    /// Password and history.
    pub join: RoomJoin,
    /// The configuration if this creates the room. None: the setting `muc_instant_rooms` decides.
    pub configure: Option<Vec<(String, ConfigValue)>>,
    /// Whether it should not be minimized.
    pub maximize: bool,
    /// Whether it should get the focus, if another chat or room is open.
    pub bring_to_foreground: bool,
}

impl RoomOptions {
    /// Returns how many bytes of memory its configuration takes; its other texts have some KiB at most.
    pub(super) fn weight(&self) -> usize {
        self.configure.as_deref().map_or(0, configuring::weight)
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

/// Enter a room, unless the account is in it already. Answered with the room once the account is in it.
#[derive(Debug)]
pub struct OpenRoom {
    /// The calling instance.
    pub by: InstanceId,
    /// The address of the room.
    pub jid: BareJid,
    /// The parameters for entering.
    pub options: RoomOptions,
}

impl Command for OpenRoom {
    type Answer = Arc<Room>;

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.options.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let (jid, options, joiner) = (&self.jid, self.options, Waiter { by: self.by, answer });
        // Focus matters only if something else is open.
        let is_beside = !features.chats.open.is_empty() || features.rooms.shown.keys().any(|other| other != jid);
        let (maximize, focus) = (options.maximize, options.bring_to_foreground && is_beside);
        let bookmark = features.bookmarks.get(jid).map(Arc::as_ref);
        if let Err(error) = features.rooms.one(jid, turn).try_open(options, Reason::Asked, bookmark) {
            return turn.answer(joiner.answer, Err(error));
        }
        // It was opened above, so changing its view cannot fail.
        if maximize {
            let _ = features.rooms.change_view(jid, ViewChange::Maximize, turn);
        }
        if focus {
            features.take_focus_for(&Focus::Room(jid.clone()), turn);
            let _ = features.rooms.change_view(jid, ViewChange::Focus, turn);
        }
        let Some(membership) = features.rooms.memberships.get_mut(jid) else { return };
        // The room should not be left with a bookmark, since a plugin asks for it now.
        membership.bookmark = None;
        if membership.stage == Stage::Inside {
            let room = features.rooms.shown.get(jid).map(Arc::clone);
            return turn.answer(joiner.answer, room.ok_or_else(|| not_open(jid)));
        }
        match may_wait(&mut membership.joiners, joiner.by, jid) {
            Ok(()) => membership.joiners.push(joiner),
            Err(error) => turn.answer(joiner.answer, Err(error)),
        }
    }
}

impl RoomTurn<'_, '_> {
    /// Replaces the deadline for the current step.
    fn set_deadline(&mut self, after: Option<Duration>) {
        let Some(membership) = self.rooms.memberships.get_mut(self.jid) else { return };
        let after = after.map(|after| (after, Late::Room(self.jid.clone())));
        self.turn.deadlines.replace(&mut membership.deadline, after);
    }

    fn try_open(&mut self, options: RoomOptions, reason: Reason, bookmark: Option<&Bookmark>) -> Result<(), CallError> {
        let jid = self.jid;
        if !self.turn.settings.allow_muc {
            return Err(CallError::Unsupported("rooms: the setting allow_muc is false".to_owned()));
        }
        if jid.node().is_none() {
            return Err(CallError::invalid("jid", format!("{jid} is a service, not a room: write name@{jid}")));
        }
        if !self.turn.is_live() {
            return Err(CallError::Offline);
        }
        if matches!(self.rooms.stage(jid), Some(Stage::Entering | Stage::Configuring | Stage::Inside)) {
            return Ok(());
        }
        let address = self.turn.address_in(jid, options.nick, bookmark)?;
        if !self.rooms.has(jid) {
            self.rooms.make_room(self.turn)?;
        }
        let mut join = options.join;
        if join.password.is_none() {
            join.password = bookmark.and_then(|bookmark| bookmark.password.clone());
        }
        let max_stanzas = self.turn.settings.muc_history_max_stanzas;
        join.history = join.history.or_else(|| max_stanzas.map(|_| History { max_stanzas, ..History::default() }));
        let nick = address.resource().to_string();
        let room = self.rooms.shown.entry(jid.clone()).or_insert_with(|| {
            let view = View::new(reason == Reason::Asked);
            Arc::new(Room { view, ..Room::new(jid.clone(), nick.clone()) })
        });
        let room = Arc::make_mut(room);
        room.nick.clone_from(&nick);
        self.turn.changed = true;
        if let Some(known) = self.rooms.memberships.get_mut(jid).filter(|room| room.is_to_come_back()) {
            // Our knowledge of it and the waiting calls are kept: it is entered again anyway.
            known.join.password = join.password.or_else(|| known.join.password.take());
            known.configure = options.configure.or_else(|| known.configure.take());
            known.nick = nick;
            self.enter();
            return Ok(());
        }
        room.empty();
        let mut joiners = Vec::new();
        if let Some(old) = self.rooms.memberships.remove(jid) {
            self.turn.cancel_deadlines(&old);
            joiners = old.joiners;
            for leaver in old.leavers {
                self.turn.answer(leaver.answer, Ok(()));
            }
        }
        let membership = Membership {
            join,
            configure: options.configure,
            joiners,
            heard: self.turn.deadlines.elapsed(),
            ..Membership::new(reason, nick)
        };
        self.rooms.memberships.insert(jid.clone(), membership);
        self.enter();
        Ok(())
    }
}

impl Turn<'_> {
    /// Returns our address in a room. The nickname is the requested one, else the bookmark's, else the setting's, else
    /// the node of our JID.
    fn address_in(
        &self,
        room: &BareJid,
        nick: Option<String>,
        bookmark: Option<&Bookmark>,
    ) -> Result<FullJid, CallError> {
        let given = nick.is_some();
        let nick = nick
            .or_else(|| bookmark.and_then(|bookmark| bookmark.nick.clone()))
            .or_else(|| self.settings.nickname.clone().filter(|_| !self.settings.muc_nickname_from_jid))
            .or_else(|| self.own.node().map(unescaped))
            .ok_or_else(|| {
                CallError::invalid("attributes.nick", "is not given, and this account has no name to use instead")
            })?;
        room.with_resource_str(&nick).map_err(|error| {
            let whose = if given { "" } else { "from the bookmark or the setting nickname: " };
            CallError::invalid("attributes.nick", format!("{whose}{error}"))
        })
    }

    fn cancel_deadlines(&mut self, membership: &Membership) {
        for key in [membership.deadline, membership.silence].into_iter().flatten() {
            self.deadlines.cancel(key);
        }
    }
}

/// Checks whether another call of this plugin may wait for a room. Abandoned ones make room.
fn may_wait<T>(waiters: &mut Vec<Waiter<T>>, by: InstanceId, jid: &BareJid) -> Result<(), CallError> {
    if waiters.len() >= MAX_OWN_WAITERS {
        waiters.retain(|waiter| !waiter.answer.is_abandoned());
    }
    waiters::may_wait(waiters.iter(), by, (MAX_OWN_WAITERS, MAX_WAITERS), jid)
}

/// Returns a local part as people read it (XEP-0106, section 4).
fn unescaped(node: &NodeRef) -> String {
    let written = node.as_str();
    // The library reads two characters after each backslash, even if they do not exist.
    let is_cut = written.match_indices('\\').any(|(at, _)| at + 2 >= written.len());
    if is_cut { written.to_owned() } else { node.unescape().unwrap_or(written.into()).into_owned() }
}

fn not_open(jid: &BareJid) -> CallError {
    CallError::NotFound(format!("the open room {jid}"))
}
