//! The life of a session, from the first log-in to the last log-out: the order of events, and the effects of a lost
//! stream.
//!
//! The order on connecting is that of `docs/events.md`. It waits for three things, each with a deadline: the features
//! of the server and the own account, the roster, and the automatic joins.

use std::time::Duration;

use jid::{FullJid, Jid};
use jiff::Timestamp;
use parlor_stanza::types::{Offers, Outgoing, PresenceOut, PresenceOutKind};

use crate::HeldBack;
use crate::event::Payload;
use crate::messages::Numbering;
use crate::names;
use crate::presence::PRESENCE_PATIENCE;
use crate::rooms::GiveUp;
use crate::roster::ROSTER_PROMISES;
use crate::{Effect, Session, Status, StatusValue, Turn, View};

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

impl Session {
    /// Notes that every plugin had its turn to initialize. The log-in follows.
    pub fn plugins_initialized(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        self.fire(names::PLUGINS_INITIALIZED, Payload::None, turn);
        self.fire("connectionInitialized", Payload::None, turn);
    }

    /// Notes a new log-in, so that promises that others wait for may still resolve.
    pub fn connecting(&mut self) {
        if self.link == Link::Over {
            self.link = Link::Starting;
        }
    }

    /// Handles a new stream. If there was one before, it could not be resumed, and everything is built up again.
    pub fn bound(&mut self, jid: FullJid, offers: Offers, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        if self.link != Link::Over {
            self.stream_gone(GiveUp::No, turn);
        }
        // After a stream that was closed on request, this is not a reconnect.
        let comes_back = matches!(self.link, Link::Up | Link::Suspended);
        self.own = Jid::from(jid);
        self.roster.versions_offered = offers.roster_versions;
        self.link = Link::Up;
        self.stream += 1;
        self.bound_at = now;
        self.resumed = false;
        self.arriving = None;
        self.changed = true;
        if self.promises.is_pending("connectionInitialized") {
            self.fire("connectionInitialized", Payload::None, turn);
        }
        if self.promises.is_resolved("connected") {
            self.promises.rearm(&ROSTER_PROMISES);
        }
        self.fire(if comes_back { "reconnected" } else { "connected" }, Payload::None, turn);
        self.feedback(self.status.value, self.status.message.clone(), turn);
        self.fire_once("statusInitialized", turn);
        self.ask_server(turn);
    }

    /// Continues once the server and the own account have announced their features, or will not.
    pub(super) fn disco_settled(&mut self, turn: &mut Turn<'_>) {
        self.fire_once("discoInitialized", turn);
        self.fire_once("rosterInitialized", turn);
        self.ask_roster(turn);
    }

    /// Handles a stream that was [`bound`](Self::bound) just now and resumes a session that a previous process left.
    /// The server took that session for lost, and sends the stanzas that came meanwhile.
    ///
    /// This process cannot know the state of the previous one. So it sends unavailable presence first: the server then
    /// sends everyone's presence again when we become available, and rooms can be entered again.
    pub fn taken_up(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        if !self.announced {
            self.held = Some(HeldBack::default());
        }
        turn.send(Outgoing::Presence(PresenceOut { kind: PresenceOutKind::Unavailable, ..PresenceOut::default() }));
    }

    /// Continues once the roster has come, or will not.
    pub(super) fn roster_settled(&mut self, turn: &mut Turn<'_>) {
        if self.announced {
            return;
        }
        self.announce_first(turn);
        // A hidden account gets no presence.
        let hides = self.status.value.is_hidden();
        self.await_presence(Some(if hides { Duration::ZERO } else { PRESENCE_PATIENCE }));
        for held in self.held.take().unwrap_or_default().stanzas {
            self.take_in(held, turn);
        }
        if !self.promises.is_resolved("chatBoxesFetched") {
            self.fire("chatBoxesInitialized", Payload::None, turn);
            self.fire("chatBoxesFetched", Payload::None, turn);
        }
        self.chats_ready(turn);
        self.fetch_bookmarks(turn);
    }

    /// Continues once the bookmarks have come, or will not.
    pub(super) fn bookmarks_settled(&mut self, turn: &mut Turn<'_>) {
        self.changed = true;
        self.rooms.bookmarks_asked = false;
        self.fire_once("bookmarksInitialized", turn);
        self.fire_once("roomsPanelRendered", turn);
        self.enter_wanted_rooms(turn);
        if self.promises.is_resolved("roomsAutoJoined") {
            self.join_bookmarked(turn);
        }
        if !self.promises.is_resolved("roomsAutoJoined") {
            self.auto_join(turn);
            if self.auto_joins_ended() {
                self.auto_joined(turn);
            }
        }
    }

    /// Continues once every automatic join has ended, with or without success.
    pub(super) fn auto_joined(&mut self, turn: &mut Turn<'_>) {
        if self.promises.is_resolved("roomsAutoJoined") {
            return;
        }
        self.fire("roomsAutoJoined", Payload::None, turn);
        for jid in self.settings.auto_join_private_chats.clone() {
            self.start_chat(jid, None, View::new(false), turn);
        }
        self.fire("privateChatsAutoJoined", Payload::None, turn);
        self.fire("initialized", Payload::None, turn);
    }

    /// Handles the loss of the stream. The link tries to resume it, and outgoing stanzas are queued until then.
    pub fn suspended(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        if self.link != Link::Up {
            return;
        }
        self.link = Link::Suspended;
        self.cut_at = now;
        self.changed = true;
        self.fire("disconnected", Payload::None, turn);
        self.fire("will-reconnect", Payload::None, turn);
        self.feedback(StatusValue::Offline, "the connection was cut".to_owned(), turn);
    }

    /// Handles the resumption of a lost stream. Nothing was lost.
    pub fn resumed(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        if self.link != Link::Suspended {
            return;
        }
        self.link = Link::Up;
        self.resumed = true;
        self.changed = true;
        let is_told = self.announced && !self.status.value.is_hidden();
        self.await_presence(is_told.then_some(PRESENCE_PATIENCE));
        self.fire("reconnected", Payload::None, turn);
        self.feedback(self.status.value, self.status.message.clone(), turn);
        self.ask_all_whether_inside(turn);
    }

    /// Handles possible losses on the stream that was [`resumed`](Self::resumed) just now. Nothing is built up again.
    /// Plugins that catch up do so as if a new stream had begun and each room been entered.
    pub fn doubt_stream(&mut self) {
        self.stream += 1;
        self.rooms.enter_in_doubt();
        self.changed = true;
    }

    /// Notes another attempt to connect.
    pub fn reconnecting(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        if self.link == Link::Suspended {
            self.fire("reconnecting", Payload::None, turn);
        }
    }

    /// Notes that an attempt to connect failed. The next one comes after this time.
    pub fn retrying(&mut self, after: Duration, why: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        self.connecting();
        self.feedback(StatusValue::Offline, format!("{why}; trying again in {} s", after.as_secs()), turn);
    }

    /// Handles the final loss of the connection, for this reason. There is no retry.
    ///
    /// Afterwards the host's promises are pending again, and everyone who waited for one gets `stopped`.
    pub fn lost(&mut self, reason: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        self.end_session(reason, turn);
        self.forget_session(turn);
    }

    /// Handles a stream that was closed on request. Resolved promises stay resolved.
    pub fn closed(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        self.end_session("", turn);
        self.promises.end_host_waits(turn.out);
    }

    /// Handles a log-out: as [`closed`](Self::closed), and everything that was known is forgotten.
    pub fn logged_out(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        self.end_session("", turn);
        self.forget_session(turn);
        self.chats.open = imbl::OrdMap::new();
        self.rooms.forget_all();
        self.focus = None;
        self.archives.forget();
        self.status = Status::initial(&self.settings);
        self.numbering = Numbering::default();
        self.disco.forget();
        self.fire("logout", Payload::None, turn);
    }

    fn end_session(&mut self, reason: &str, turn: &mut Turn<'_>) {
        let was_up = self.link == Link::Up;
        self.link = Link::Over;
        self.changed = true;
        self.stream_gone(GiveUp::Yes, turn);
        self.chats.end_waits(turn);
        if was_up {
            self.fire("disconnected", Payload::None, turn);
        }
        self.feedback(StatusValue::Offline, reason.to_owned(), turn);
    }

    /// Ends everything that only the old stream could have answered, and forgets everything that only it could have
    /// kept current.
    fn stream_gone(&mut self, give_up: GiveUp, turn: &mut Turn<'_>) {
        self.announced = false;
        for held in self.held.take().unwrap_or_default().stanzas {
            self.take_in(held, turn);
        }
        self.questions.end(&mut self.deadlines, turn);
        self.archives.end(turn);
        self.end_changes(turn);
        self.disco.stream_gone(turn);
        self.caps_untold();
        self.rooms_cut(give_up, turn);
        if give_up == GiveUp::No {
            self.doubt_presence();
        } else {
            self.forget_presence(turn);
            self.give_up_auto_joins();
            self.again.clear();
            self.deadlines.clear();
        }
    }

    /// Forgets what belongs to a session, and makes the host's promises pending again, except `pluginsInitialized`.
    fn forget_session(&mut self, turn: &mut Turn<'_>) {
        self.roster.end();
        self.forget_cards();
        self.promises.end_host_waits(turn.out);
        let fresh: Vec<&str> = names::promises().filter(|name| *name != names::PLUGINS_INITIALIZED).collect();
        self.promises.rearm(&fresh);
    }

    /// Fires an event of the connect order unless a previous stream got that far already.
    fn fire_once(&mut self, name: &'static str, turn: &mut Turn<'_>) {
        if !self.promises.is_resolved(name) {
            self.fire(name, Payload::None, turn);
        }
    }

    fn feedback(&mut self, value: StatusValue, message: String, turn: &mut Turn<'_>) {
        self.fire("connfeedback", Payload::Status(Status { value, message }), turn);
    }
}
