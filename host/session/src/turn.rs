//! A turn of the session: the time, the effects, and the state that all features share.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut, RangeInclusive};
use std::time::Duration;

use jid::{BareJid, Jid};
use jiff::{SignedDuration, Timestamp};
use parlor_config::{AccountName, Settings};
use parlor_stanza::card::Avatar;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Outgoing};

use crate::answer::Answer;
use crate::deadlines::Deadlines;
use crate::disco::own::Own;
use crate::effect::Effect;
use crate::encryption::outbound::Outbound;
use crate::encryption::vouched::HeldMessage;
use crate::event::{Event, EventName, Payload};
use crate::iq::{MAX_OUTSTANDING, PendingIqs, Waiting};
use crate::names::event_name;
use crate::promises::Promises;
use crate::records::encryption::OtrStatus;
use crate::records::status::{Status, StatusValue};
use crate::records::view::Focus;

/// How far the server's clock may be behind ours. Server time stamps may also be rounded to whole seconds.
pub(super) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);
/// How long an account may take to move to another node of a cluster, so that what is said meanwhile is news there.
const MOVE: SignedDuration = SignedDuration::from_secs(30);

/// A consequence in other features of a change of one. [`Features::follow_up`](crate::features::Features::follow_up)
/// lists which feature does what.
#[derive(Debug)]
pub(super) enum FollowUp {
    /// The server and the own account have announced their features, or will not.
    DiscoSettled,
    /// The roster was received, or will not be.
    RosterSettled,
    /// The bookmarks were received, or will not be.
    BookmarksSettled,
    /// The account is available again after an unavailable presence on the same stream.
    AvailableAgain,
    /// Services may send the last items of their nodes once more, and may have sent others while nobody got them.
    NodesAgain,
    /// Every automatic join has ended, with or without success.
    RoomsAutoJoined,
    /// We are out of this room. Departures from it are no longer reported, and another person may take over a nickname.
    OutOfRoom(BareJid),
    /// The occupant of this room with this nickname has left.
    OccupantLeft(BareJid, String),
    /// A person who is not in this room has this affiliation with it.
    AffiliationTold(BareJid, BareJid, String),
    /// An occupant of this room has another nickname, the second one.
    OccupantRenamed(BareJid, String, String),
    /// This room may have changed what it can do.
    RoomChanged(BareJid),
    /// The question of the dialog with this number was not sent.
    NotAsked(u64, CallError),
    /// The host says this in a chat or room that may be encrypted.
    Say(Box<Outbound>),
    /// The servers of the authors of these messages were asked about their keys.
    Vouched(Vec<HeldMessage>),
    /// It stands so with off-the-record messaging with this person.
    OtrChanged(BareJid, OtrStatus),
}

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// No connection yet; one is being attempted.
    Starting,
    /// A stream with a bound resource.
    Up,
    /// The stream was lost and may be resumed. Outgoing stanzas are queued.
    Suspended,
    /// No connection, and none is attempted.
    Over,
}

/// The state that all features share. All other state belongs to one of them.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each of them says something of its own")]
pub struct Common {
    /// The bound full JID; before the first log-in, the configured one.
    pub(super) own: Jid,
    /// The owner's name for the account. Lines of the log name it, since several accounts may write the same.
    pub(super) account: Option<AccountName>,
    /// Whether a server keeps a roster and more for the account. None does for an address of a component.
    pub(super) has_server: bool,
    pub(super) settings: Settings,
    pub(super) status: Status,
    pub(super) link: Link,
    /// The number of streams that were bound, and of times at which a stream may not have brought all messages before.
    pub(super) stream: u64,
    /// When the last stream was bound.
    pub(super) bound_at: Timestamp,
    /// When the last stream was lost.
    pub(super) cut_at: Timestamp,
    /// Whether the stream was lost and resumed since (XEP-0198).
    pub(super) resumed: bool,
    /// Whether the connect order of this stream has reached the first presence.
    pub(super) announced: bool,
    /// When the account last showed itself on this stream after it was gone.
    pub(super) shown_at: Option<Duration>,
    /// The time between binding the stream and its first presence. The server stores messages from that time, since the
    /// account seems to be offline.
    pub(super) arriving: Option<RangeInclusive<Timestamp>>,
    /// The time in which the account may have moved here from another node of a cluster, with this session.
    pub(super) moving: Option<RangeInclusive<Timestamp>>,
    /// The identities and features that the account announces (XEP-0030, XEP-0115).
    pub(super) own_disco: Own,
    /// The announcement of the own picture in presence (XEP-0153).
    pub(super) own_avatar: Avatar,
    pub(super) deadlines: Deadlines,
    pub(super) iqs: PendingIqs,
    pub(super) promises: Promises,
    follow_ups: VecDeque<FollowUp>,
    /// Whether messages may need encryption before they are sent.
    pub(super) encrypts: bool,
    /// The open chat or room that a person types into.
    pub(super) focus: Option<Focus>,
    /// Whether readers should get a new snapshot.
    pub(super) changed: bool,
    /// How many stanzas were not trusted, were duplicates, or were more than is kept.
    pub(super) ignored: u64,
}

impl Common {
    pub(super) fn new(own: Jid, settings: Settings) -> Self {
        Self {
            own,
            account: None,
            has_server: true,
            status: Status::initial(&settings),
            own_disco: Own::new(&settings),
            own_avatar: Avatar::Unknown,
            settings,
            link: Link::Starting,
            stream: 0,
            bound_at: Timestamp::UNIX_EPOCH,
            cut_at: Timestamp::UNIX_EPOCH,
            resumed: false,
            announced: false,
            shown_at: None,
            arriving: None,
            moving: None,
            deadlines: Deadlines::default(),
            iqs: PendingIqs::default(),
            promises: Promises::new(),
            follow_ups: VecDeque::new(),
            encrypts: false,
            focus: None,
            changed: true,
            ignored: 0,
        }
    }

    /// Returns the name of the account for a line of the log.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_ref().map(AccountName::as_str)
    }

    /// Returns whether stanzas reach the server, now or when the stream is resumed.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.link, Link::Up | Link::Suspended)
    }

    /// Notes that the stream may not have brought all messages up to now. It counts as another one: plugins that catch up
    /// read the account's archive again from where they are.
    pub(super) fn may_have_missed(&mut self) {
        self.stream += 1;
        self.changed = true;
    }

    /// Notes a new log-in, so that promises that others wait for may still resolve.
    pub(super) fn connecting(&mut self) {
        if self.link == Link::Over {
            self.link = Link::Starting;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.link == Link::Over
    }

    /// Checks that a server could keep this for the account.
    pub(super) fn needs_server(&self, what: &str) -> Result<(), CallError> {
        if self.has_server {
            return Ok(());
        }
        let why = format!("{what}: the account is an address of a component (XEP-0114), for which no server keeps any");
        Err(CallError::Unsupported(why))
    }

    /// Returns the address of the own server.
    pub(super) fn server(&self) -> Jid {
        Jid::from(BareJid::from_parts(None, self.own.domain()))
    }

    /// Returns when the present or last stream began, allowing for different clocks.
    pub(super) fn stream_since(&self) -> Timestamp {
        self.bound_at.checked_sub(CLOCKS_DIFFER).unwrap_or(self.bound_at)
    }

    /// Notes that another node of a cluster gave the account away a moment ago, and left this session, which began just now.
    pub(super) fn moves(&mut self) {
        let since = self.bound_at.checked_sub(MOVE).unwrap_or(self.bound_at);
        let until = self.bound_at.checked_add(CLOCKS_DIFFER).unwrap_or(self.bound_at);
        self.moving = Some(since..=until);
    }

    /// Adjusts to a clock that was set by this much. No deadline comes nearer or moves away.
    pub(super) fn clock_set(&mut self, by: SignedDuration) {
        for at in [&mut self.bound_at, &mut self.cut_at] {
            *at = at.checked_add(by).unwrap_or(*at);
        }
        (self.arriving, self.moving) = (None, None);
        self.deadlines.clock_set(by);
    }
}

/// An input of the session, on its way through the features.
#[derive(Debug)]
pub struct Turn<'a> {
    pub(super) now: Timestamp,
    pub(super) out: &'a mut Vec<Effect>,
    pub(super) common: &'a mut Common,
}

impl Deref for Turn<'_> {
    type Target = Common;

    fn deref(&self) -> &Common {
        self.common
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Common {
        self.common
    }
}

impl<'a> Turn<'a> {
    pub(super) fn new(common: &'a mut Common, now: Timestamp, out: &'a mut Vec<Effect>) -> Self {
        common.deadlines.advance(now);
        Self { now, out, common }
    }

    /// Notes what follows, after this step of the feature.
    pub(super) fn follow(&mut self, follow_up: FollowUp) {
        self.common.follow_ups.push_back(follow_up);
    }

    /// Takes the oldest follow-up.
    pub(super) fn next_follow_up(&mut self) -> Option<FollowUp> {
        self.common.follow_ups.pop_front()
    }

    pub(super) fn send(&mut self, stanza: Outgoing) {
        self.out.push(Effect::Send(stanza));
    }

    pub(super) fn answer<T: Send + 'static>(&mut self, answer: Answer<T>, result: Result<T, CallError>) {
        self.out.push(Effect::answer(answer, result));
    }

    /// Fires one of the host's events, and resolves the promise of its name.
    pub(super) fn fire(&mut self, name: &'static str, payload: Payload) {
        self.fire_and_resolve(event_name(name), payload);
    }

    /// Fires an event, and resolves the promise of its name.
    pub(super) fn fire_and_resolve(&mut self, name: EventName, payload: Payload) {
        let resolves = self.common.promises.is_unresolved(&name).then(|| (name.clone(), payload.clone()));
        self.fire_named(name, payload);
        if let Some((name, payload)) = resolves {
            self.common.promises.resolve(&name, payload, self.out);
        }
    }

    /// Fires an event that resolves no promise of the host.
    pub(super) fn fire_named(&mut self, name: EventName, payload: Payload) {
        self.out.push(Effect::Fire(Event { name, at: self.now, payload }));
    }

    /// Fires an event of the connect order unless a previous stream got that far already.
    pub(super) fn fire_once(&mut self, name: &'static str) {
        if !self.promises.is_resolved(name) {
            self.fire(name, Payload::None);
        }
    }

    pub(super) fn feedback(&mut self, value: StatusValue, message: String) {
        self.fire("connfeedback", Payload::Status(Status { value, message }));
    }

    pub(super) fn ask(&mut self, to: Option<Jid>, ask: Ask, waiting: Waiting, patience: Duration) {
        let id = self.expect(to.clone(), waiting, patience);
        self.send(Outgoing::Ask { to, id, ask });
    }

    /// Registers a request that is about to be sent. Returns its id.
    pub(super) fn expect(&mut self, to: Option<Jid>, waiting: Waiting, patience: Duration) -> String {
        self.common.iqs.add(to, waiting, patience, &mut self.common.deadlines)
    }

    /// Removes a request that was answered by something other than an IQ.
    pub(super) fn take_iq(&mut self, id: &str, is_meant: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        self.common.iqs.take(id, &mut self.common.deadlines, is_meant)
    }

    /// Ends all pending requests, because the stream is gone.
    pub(super) fn end_iqs(&mut self) {
        self.common.iqs.end(&mut self.common.deadlines, self.out);
    }

    /// Checks that there is room for another pending request of a plugin.
    pub(super) fn make_room_for_iq(&mut self) -> Result<(), CallError> {
        if self.common.iqs.len() >= MAX_OUTSTANDING {
            self.common.iqs.forget_abandoned(&mut self.common.deadlines);
        }
        if self.common.iqs.len() >= MAX_OUTSTANDING {
            return Err(CallError::OverLimit(format!("{MAX_OUTSTANDING} IQs wait for answers")));
        }
        Ok(())
    }
}
