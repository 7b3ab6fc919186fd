//! Rooms: entering, leaving and staying in them (XEP-0045; API rows 92–108).

mod bookmarks;
mod configuring;
mod deeds;
mod entering;
mod invitations;
mod leaving;
mod moderating;
mod staying;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jid::{BareJid, FullJid, Jid, NodeRef};
use jiff::Timestamp;

use crate::error::CallError;
use crate::plugins::InstanceId;
use crate::session::deadlines::{DeadlineKey, Late};
use crate::session::waiters::{self, Waiter};
use crate::session::{Occupant, Session, Turn, View, ViewChange};
use crate::stanza::{Actor, History, RoomJoin};

pub(super) use bookmarks::BookmarkQuestion;
pub use bookmarks::{Bookmarks, NoBookmarks};
pub use configuring::ConfigValue;
pub use deeds::RoomDeed;
pub(super) use entering::Reason;
pub(super) use leaving::{Farewell, GiveUp};
pub(super) use moderating::RoomQuestion;

/// How many rooms an account may have open.
pub const MAX_ROOMS: usize = 1_000;
/// How many calls may wait to get into one room, and how many to get out of it.
const MAX_WAITERS: usize = 2_048;
/// How many of them may be one plugin's, whatever its limit `open_calls` is: so that it takes no other one's place.
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
    /// What it says of itself; shared, since every change of a room copies the rest.
    pub about: Arc<About>,
    pub shows_jids: bool,
    pub logged: bool,
    /// Which time this is that a room was entered, counted from the first of this process.
    pub entered: u64,
    /// Whether it has an archive whose ids its messages carry, as far as it has said so since it was entered.
    pub archived: Option<bool>,
    /// By nickname; ourselves included.
    pub occupants: OrdMap<String, Arc<Occupant>>,
    /// What they take.
    pub(super) bytes: usize,
}

/// What a room says of itself (XEP-0045, section 6.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// What it calls itself.
    pub name: Option<String>,
    /// What it can do and how it is set up.
    pub features: Vec<String>,
}

impl Room {
    pub(crate) fn new(jid: BareJid, nick: String) -> Self {
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

    /// Whether its occupants' ids can be believed: elsewhere everybody may write them (XEP-0421, section 5).
    pub(crate) fn has_occupant_ids(&self) -> bool {
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

/// How far we are with a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// We are not in it, and are again as soon as we can where `wanted`.
    Outside { wanted: bool },
    /// The presence that enters it is sent.
    Entering,
    /// We are in it, and it is being configured.
    Configuring,
    /// We are in it.
    Inside,
    /// The presence that leaves it is sent.
    Leaving,
}

impl Stage {
    /// We are in it.
    pub(super) fn is_in(self) -> bool {
        matches!(self, Self::Inside | Self::Configuring)
    }
}

/// Of when it is what a room says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// Of what was before we entered: its subject ends it (XEP-0045, section 7.2.15).
    Past,
    /// Of before, where it is stamped; else of now. Some services repeat each subject in its place among what was said, and
    /// go on with what was said after it.
    Ending,
    /// It never said what its subject is, so each message says when it was by its stamp.
    Whenever,
    /// Of now, whatever it is stamped with.
    Present,
}

/// What is behind a [`Room`], and nobody's business outside.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) stage: Stage,
    reason: Reason,
    /// It was entered because of a bookmark, and is left with it.
    bookmarked: bool,
    join: RoomJoin,
    configure: Option<Vec<(String, ConfigValue)>>,
    joiners: Vec<Waiter<Arc<Room>>>,
    leavers: Vec<Waiter<()>>,
    /// The nickname that was asked for; the room's may have got a suffix.
    nick: String,
    /// How often entering it again did not work out.
    tries: u32,
    /// How many other nicknames were tried.
    nicks_tried: u32,
    /// How often its service had to put us out soon after we had come.
    put_out: u32,
    /// When we came in last.
    entered_at: Duration,
    /// Of when it is what comes now.
    pub(super) tells: Tells,
    /// For entering, leaving, the end of the past and the next try.
    deadline: Option<DeadlineKey>,
    /// For asking whether we are still in.
    silence: Option<DeadlineKey>,
    /// When something last came from the room.
    heard: Duration,
    /// It said that it does not know us, or that there is no such room.
    is_missed: bool,
    /// What others are told of us has changed since we asked to be let in.
    untold: bool,
    /// Up to when we know what was said.
    known_until: Option<Timestamp>,
    /// Who was there before we had to enter again.
    before: OrdMap<String, Arc<Occupant>>,
}

/// The rooms of an account.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) shown: OrdMap<BareJid, Arc<Room>>,
    /// The same keys as `shown`.
    memberships: HashMap<BareJid, Membership>,
    /// How often a room was entered.
    enterings: u64,
    /// How often one that we are in has said whether it has an archive.
    pub(super) told: u64,
    /// The automatic joins that have not ended.
    auto: HashSet<BareJid>,
    /// How often each room has still to answer on this stream that we left: before it answers what we sent after that.
    farewells: HashMap<BareJid, u32>,
    /// None until they have come.
    pub(super) bookmarks: Option<Bookmarks>,
    /// They were asked for, and no place has answered that had to.
    pub(super) bookmarks_asked: bool,
    /// A place that may hold some did not say which.
    bookmarks_untold: bool,
    /// They lie where they used to be, and none of them where new ones are put down.
    bookmarks_older: bool,
}

impl Membership {
    /// A lost stream put us out of it, and nobody was told.
    fn is_to_come_back(&self) -> bool {
        self.reason == Reason::Again && self.stage == Stage::Outside { wanted: true }
    }

    /// We have another nickname now, and keep it.
    pub(super) fn is_called(&mut self, nick: &str) {
        nick.clone_into(&mut self.nick);
    }

    /// Something was said in the room at this time.
    pub(super) fn said(&mut self, at: Timestamp) {
        self.known_until = self.known_until.max(Some(at));
    }
}

impl Rooms {
    pub(super) fn has(&self, jid: &Jid) -> bool {
        self.memberships.contains_key(jid)
    }

    /// Whether this is a room for sure. One that is only being entered may turn out to be anybody's address.
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

    /// Whether we are about to be in it again.
    pub(super) fn will_be_entered(&self, jid: &BareJid) -> bool {
        matches!(self.stage(jid), Some(Stage::Outside { wanted: true } | Stage::Entering))
    }

    /// Our own addresses in the rooms that we are in.
    pub(super) fn occupied(&self) -> impl Iterator<Item = Jid> {
        self.shown
            .values()
            // What comes after our farewell would have us enter once more.
            .filter(|room| room.joined && self.stage(&room.jid) != Some(Stage::Leaving))
            .filter_map(|room| room.jid.with_resource_str(&room.nick).ok())
            .map(Jid::from)
    }

    /// What others are told of us has changed. A room that we are entering hears of it when we are in: where it does not let us
    /// in, that would be another entering.
    pub(super) fn changed_while_entering(&mut self) {
        for membership in self.memberships.values_mut().filter(|membership| membership.stage == Stage::Entering) {
            membership.untold = true;
        }
    }

    /// What was said in the rooms that we are in may have been lost, as if we entered them now.
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

    /// Whoever waits to get into a room, to be told that it will not happen.
    pub(super) fn take_joiners(&mut self, jid: &BareJid) -> Vec<Waiter<Arc<Room>>> {
        self.memberships.get_mut(jid).map(|membership| std::mem::take(&mut membership.joiners)).unwrap_or_default()
    }

    /// We leave, and the room has to say so.
    fn farewell_sent(&mut self, jid: &BareJid) {
        // Who invites us to room after room that says nothing makes us remember no more than these.
        if self.farewells.len() < MAX_ROOMS || self.farewells.contains_key(jid) {
            *self.farewells.entry(jid.clone()).or_default() += 1;
        }
    }

    /// A room says that we left it; whether that was still to come.
    pub(super) fn farewell_came(&mut self, jid: &BareJid) -> bool {
        let Some(due) = self.farewells.get_mut(jid) else { return false };
        *due -= 1;
        if *due == 0 {
            self.farewells.remove(jid);
        }
        true
    }

    /// What was still to come from a room will not come.
    pub(super) fn no_farewell_is_due(&mut self, jid: &Jid) {
        self.farewells.remove(jid);
    }

    pub(super) fn forget_abandoned(&mut self) {
        for membership in self.memberships.values_mut() {
            membership.joiners.retain(|joiner| !joiner.answer.is_abandoned());
            membership.leavers.retain(|leaver| !leaver.answer.is_abandoned());
        }
    }

    pub(super) fn forget_all(&mut self) {
        // What was counted is never used twice.
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
}

/// How somebody wants to enter a room.
#[derive(Debug, Clone, Default)]
pub struct RoomWish {
    /// The nickname asked for.
    pub nick: Option<String>,
    /// Password and history.
    pub join: RoomJoin,
    /// Configuration of a room that this creates; none = as the setting `muc_instant_rooms` says.
    pub configure: Option<Vec<(String, ConfigValue)>>,
    /// It is not to be small.
    pub maximize: bool,
    /// It is to have the focus, where another chat or room is open.
    pub bring_to_foreground: bool,
}

impl RoomWish {
    /// How many bytes of memory its configuration takes; its other texts have some KiB at most.
    pub(super) fn weight(&self) -> usize {
        self.configure.as_deref().map_or(0, configuring::weight)
    }
}

impl Session {
    pub(super) fn open_room(&mut self, jid: &BareJid, wish: RoomWish, joiner: Waiter<Arc<Room>>, turn: &mut Turn<'_>) {
        // There has to be something else that it could come before.
        let is_beside = !self.chats.open.is_empty() || self.rooms.shown.keys().any(|other| other != jid);
        let (maximize, focus) = (wish.maximize, wish.bring_to_foreground && is_beside);
        if let Err(error) = self.try_open(jid, wish, Reason::Asked, turn) {
            return turn.answer(joiner.answer, Err(error));
        }
        for change in [(maximize, ViewChange::Maximize), (focus, ViewChange::Focus)] {
            if change.0 {
                // It was opened above.
                let _ = self.change_room_view(jid, change.1, turn);
            }
        }
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        // Who asked for it now does not want it to go with a bookmark.
        membership.bookmarked = false;
        if membership.stage == Stage::Inside {
            let room = self.rooms.shown.get(jid).map(Arc::clone);
            return turn.answer(joiner.answer, room.ok_or_else(|| not_open(jid)));
        }
        match may_wait(&mut membership.joiners, joiner.by, jid) {
            Ok(()) => membership.joiners.push(joiner),
            Err(error) => turn.answer(joiner.answer, Err(error)),
        }
    }

    fn try_open(
        &mut self,
        jid: &BareJid,
        wish: RoomWish,
        reason: Reason,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        if !self.settings.allow_muc {
            return Err(CallError::Unsupported("rooms: the setting allow_muc is false".to_owned()));
        }
        if jid.node().is_none() {
            return Err(CallError::invalid("jid", format!("{jid} is a service, not a room: write name@{jid}")));
        }
        if !self.is_live() {
            return Err(CallError::Offline);
        }
        if matches!(self.rooms.stage(jid), Some(Stage::Entering | Stage::Configuring | Stage::Inside)) {
            return Ok(());
        }
        let address = self.address_in(jid, wish.nick)?;
        if !self.rooms.has(jid) {
            self.make_room_for_room(turn)?;
        }
        let mut join = wish.join;
        if join.password.is_none() {
            join.password = self.bookmark(jid).and_then(|bookmark| bookmark.password.clone());
        }
        let max_stanzas = self.settings.muc_history_max_stanzas;
        join.history = join.history.or_else(|| max_stanzas.map(|_| History { max_stanzas, ..History::default() }));
        let nick = address.resource().to_string();
        let room = self.rooms.shown.entry(jid.clone()).or_insert_with(|| {
            let view = View::new(reason == Reason::Asked);
            Arc::new(Room { view, ..Room::new(jid.clone(), nick.clone()) })
        });
        let room = Arc::make_mut(room);
        room.nick.clone_from(&nick);
        self.changed = true;
        if let Some(known) = self.rooms.memberships.get_mut(jid).filter(|room| room.is_to_come_back()) {
            // What we know of it, and who waits for what, stays: it is entered again anyway.
            known.join.password = join.password.or_else(|| known.join.password.take());
            known.configure = wish.configure.or_else(|| known.configure.take());
            known.nick = nick;
            self.enter(jid, turn);
            return Ok(());
        }
        room.empty();
        let mut joiners = Vec::new();
        if let Some(old) = self.rooms.memberships.remove(jid) {
            self.cancel_deadlines(&old);
            joiners = old.joiners;
            for leaver in old.leavers {
                turn.answer(leaver.answer, Ok(()));
            }
        }
        let membership = Membership {
            stage: Stage::Outside { wanted: true },
            reason,
            bookmarked: false,
            join,
            configure: wish.configure,
            joiners,
            leavers: Vec::new(),
            nick,
            tries: 0,
            nicks_tried: 0,
            put_out: 0,
            entered_at: Duration::ZERO,
            tells: Tells::Past,
            deadline: None,
            silence: None,
            heard: self.deadlines.elapsed(),
            is_missed: false,
            untold: false,
            known_until: None,
            before: OrdMap::new(),
        };
        self.rooms.memberships.insert(jid.clone(), membership);
        self.enter(jid, turn);
        Ok(())
    }

    /// Our address in a room: the nickname asked for, else the bookmark's, else the setting's, else the node of our JID
    /// (API row 95).
    fn address_in(&self, room: &BareJid, nick: Option<String>) -> Result<FullJid, CallError> {
        let given = nick.is_some();
        let nick = nick
            .or_else(|| self.bookmark(room).and_then(|bookmark| bookmark.nick.clone()))
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

    /// A room that we were put out of is forgotten when its place is needed.
    fn make_room_for_room(&mut self, turn: &mut Turn<'_>) -> Result<(), CallError> {
        if self.rooms.memberships.len() < MAX_ROOMS {
            return Ok(());
        }
        let unused = self.rooms.memberships.iter().find(|(_, old)| old.stage == Stage::Outside { wanted: false });
        let unused = unused.map(|(jid, _)| jid.clone());
        let unused = unused.ok_or_else(|| CallError::OverLimit(format!("{MAX_ROOMS} rooms are open")))?;
        self.drop_room(&unused, turn);
        Ok(())
    }

    fn cancel_deadlines(&mut self, membership: &Membership) {
        for key in [membership.deadline, membership.silence].into_iter().flatten() {
            self.deadlines.cancel(key);
        }
    }

    /// Replaces the dead-line for what is under way in a room.
    fn set_room_deadline(&mut self, jid: &BareJid, after: Option<Duration>) {
        let Some(membership) = self.rooms.memberships.get_mut(jid) else { return };
        self.deadlines.replace(&mut membership.deadline, after.map(|after| (after, Late::Room(jid.clone()))));
    }
}

/// Whether another call of this plugin's may wait for a room beside these. Those that were given up make room.
fn may_wait<T>(waiters: &mut Vec<Waiter<T>>, by: InstanceId, jid: &BareJid) -> Result<(), CallError> {
    if waiters.len() >= MAX_OWN_WAITERS {
        waiters.retain(|waiter| !waiter.answer.is_abandoned());
    }
    waiters::may_wait(waiters.iter(), by, (MAX_OWN_WAITERS, MAX_WAITERS), jid)
}

/// A local part as people read it (XEP-0106, section 4).
fn unescaped(node: &NodeRef) -> String {
    let written = node.as_str();
    // The library looks at two signs behind each backslash, whether they are there or not.
    let is_cut = written.match_indices('\\').any(|(at, _)| at + 2 >= written.len());
    if is_cut { written.to_owned() } else { node.unescape().unwrap_or(written.into()).into_owned() }
}

fn not_open(jid: &BareJid) -> CallError {
    CallError::NotFound(format!("the open room {jid}"))
}
