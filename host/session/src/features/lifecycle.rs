//! The life of a session, from the first log-in to the last log-out: the order of events, and the effects of a lost
//! stream.
//!
//! The order on connecting is that of `docs/reference/events.md`. It waits for three things, each with a deadline: the features
//! of the server and the own account, the roster, and the automatic joins.

use std::time::Duration;

use jid::{FullJid, Jid};
use parlor_stanza::types::Offers;

use super::early::take_in_early;
use super::{Features, HeldBack};
use crate::bookmarks::BookmarkList;
use crate::encryption::{publishing, sending};
use crate::event::Payload;
use crate::messages::numbering::Numbering;
use crate::names;
use crate::presence::PRESENCE_PATIENCE;
use crate::records::status::{Status, StatusValue};
use crate::records::view::View;
use crate::rooms::leaving::GiveUp;
use crate::rooms::rejoining::Listed;
use crate::roster::ROSTER_PROMISES;
use crate::status::show_again;
use crate::turn::{FollowUp, Link, Turn};

impl Features {
    pub(crate) fn bound(&mut self, jid: FullJid, offers: Offers, turn: &mut Turn<'_>) {
        if turn.link != Link::Over {
            self.stream_gone(GiveUp::No, turn);
        }
        // After a stream that was closed on request, this is not a reconnect.
        let comes_back = matches!(turn.link, Link::Up | Link::Suspended);
        turn.own = Jid::from(jid);
        // An anonymous account has another address now (XEP-0175).
        turn.own_avatar = self.cards.own_avatar(turn);
        self.roster.versions_offered = offers.roster_versions;
        turn.link = Link::Up;
        turn.stream += 1;
        turn.bound_at = turn.now;
        turn.resumed = false;
        (turn.arriving, turn.moving) = (None, None);
        turn.changed = true;
        if turn.promises.is_pending("connectionInitialized") {
            turn.fire("connectionInitialized", Payload::None);
        }
        if turn.promises.is_resolved("connected") {
            turn.promises.rearm(&ROSTER_PROMISES);
        }
        turn.fire(if comes_back { "reconnected" } else { "connected" }, Payload::None);
        turn.feedback(turn.status.value, turn.status.message.clone());
        turn.fire_once("statusInitialized");
        self.disco.discover_server(turn);
    }

    pub(crate) fn taken_up(&mut self, turn: &mut Turn<'_>) {
        if turn.announced {
            turn.arriving = turn.moving.clone();
            turn.say_gone();
        } else {
            self.held = Some(HeldBack::default());
        }
    }

    /// Continues once the roster has come, or will not.
    pub(super) fn roster_settled(&mut self, turn: &mut Turn<'_>) {
        if turn.announced {
            return take_in_early(self, turn);
        }
        turn.announce_first(self.held.is_some());
        // A hidden account gets no presence.
        let hides = turn.status.value.is_hidden();
        self.roster.await_presence(Some(if hides { Duration::ZERO } else { PRESENCE_PATIENCE }), turn);
        for held in self.held.take().unwrap_or_default().stanzas {
            self.take_in(held, turn);
        }
        take_in_early(self, turn);
        if !turn.promises.is_resolved("chatBoxesFetched") {
            turn.fire("chatBoxesInitialized", Payload::None);
            turn.fire("chatBoxesFetched", Payload::None);
        }
        self.chats_ready(turn);
        self.pubsub.again(turn);
        publishing::begin(&mut self.encryption, turn);
        sending::again(&mut self.encryption, &self.rooms, turn);
        self.bookmarks.fetch(turn);
    }

    /// Continues once the bookmarks have come, or will not.
    pub(super) fn bookmarks_settled(&mut self, turn: &mut Turn<'_>) {
        turn.changed = true;
        self.bookmarks.settled();
        turn.fire_once("bookmarksInitialized");
        turn.fire_once("roomsPanelRendered");
        self.rooms.enter_wanted(turn);
        if turn.promises.is_resolved("roomsAutoJoined") {
            self.bookmarks.join(&mut self.rooms, turn);
        }
        if !turn.promises.is_resolved("roomsAutoJoined") {
            for room in turn.settings.auto_join_rooms.clone() {
                self.bookmarks.enter_listed(room, Listed::Already, &mut self.rooms, turn);
            }
            self.bookmarks.join(&mut self.rooms, turn);
            self.rooms.auto_joins_began(turn);
            if self.rooms.auto.is_empty() {
                turn.follow(FollowUp::RoomsAutoJoined);
            }
        }
    }

    /// Continues once every automatic join has ended, with or without success.
    pub(super) fn auto_joined(&mut self, turn: &mut Turn<'_>) {
        if turn.promises.is_resolved("roomsAutoJoined") {
            return;
        }
        turn.fire("roomsAutoJoined", Payload::None);
        for jid in turn.settings.auto_join_private_chats.clone() {
            self.start_chat(jid, None, View::new(false), turn);
        }
        turn.fire("privateChatsAutoJoined", Payload::None);
        turn.fire("initialized", Payload::None);
    }

    pub(crate) fn resumed(&mut self, turn: &mut Turn<'_>) {
        if turn.link != Link::Suspended {
            return;
        }
        turn.link = Link::Up;
        turn.resumed = true;
        turn.changed = true;
        let is_told = turn.announced && !turn.status.value.is_hidden();
        self.roster.await_presence(is_told.then_some(PRESENCE_PATIENCE), turn);
        if is_told && self.disco.is_mongooseim(turn) {
            // From 6.5 on, it tells contacts and rooms that the account is gone when the session is resumed.
            show_again(turn);
        }
        turn.fire("reconnected", Payload::None);
        turn.feedback(turn.status.value, turn.status.message.clone());
        self.rooms.ask_all_whether_inside(turn);
    }

    pub(crate) fn lost(&mut self, reason: &str, turn: &mut Turn<'_>) {
        self.end_session(reason, turn);
        self.forget_session(turn);
    }

    pub(crate) fn closed(&mut self, turn: &mut Turn<'_>) {
        self.end_session("", turn);
        turn.common.promises.end_host_waits(turn.out);
    }

    pub(crate) fn logged_out(&mut self, turn: &mut Turn<'_>) {
        self.end_session("", turn);
        self.forget_session(turn);
        self.chats.open = imbl::OrdMap::new();
        self.rooms.forget_all();
        self.bookmarks = BookmarkList::default();
        turn.focus = None;
        self.archives.forget();
        turn.status = Status::initial(&turn.settings);
        self.numbering = Numbering::default();
        self.disco.forget();
        turn.fire("logout", Payload::None);
    }

    fn end_session(&mut self, reason: &str, turn: &mut Turn<'_>) {
        let was_up = turn.link == Link::Up;
        turn.link = Link::Over;
        turn.changed = true;
        self.stream_gone(GiveUp::Yes, turn);
        self.chats.end_waits(turn);
        if was_up {
            turn.fire("disconnected", Payload::None);
        }
        turn.feedback(StatusValue::Offline, reason.to_owned());
    }

    /// Ends everything that only the old stream could have answered, and forgets everything that only it could have
    /// kept current.
    fn stream_gone(&mut self, give_up: GiveUp, turn: &mut Turn<'_>) {
        turn.announced = false;
        // If the server says "gone" on the next stream, it means that stream, or an older session that ends late.
        turn.shown_at = None;
        for held in self.held.take().unwrap_or_default().stanzas {
            self.take_in(held, turn);
        }
        self.early = HeldBack::default();
        turn.end_iqs();
        self.archives.end(turn);
        self.cards.end_changes(turn);
        self.disco.stream_gone(turn);
        self.pubsub.stream_gone();
        self.encryption.stream_gone(turn);
        turn.caps_untold();
        self.rooms.cut(give_up, turn);
        if give_up == GiveUp::No {
            self.roster.doubt_presence(turn);
        } else {
            self.roster.forget_presence(turn);
            self.dialogs.end_all(turn);
            self.encryption.end(turn);
            self.rooms.auto.clear();
            self.rooms.forget_resends();
            turn.deadlines.clear();
            publishing::check_soon(&mut self.encryption, &mut turn.deadlines);
        }
    }

    /// Forgets what belongs to a session, and makes the host's promises pending again, except `pluginsInitialized`.
    fn forget_session(&mut self, turn: &mut Turn<'_>) {
        self.roster.end();
        let (cards, mut holders) = self.cards_and_holders();
        cards.forget_all(&mut holders, turn);
        turn.common.promises.end_host_waits(turn.out);
        let fresh: Vec<&str> = names::promises().filter(|name| *name != names::PLUGINS_INITIALIZED).collect();
        turn.promises.rearm(&fresh);
    }
}

impl Turn<'_> {
    pub(crate) fn retrying(&mut self, after: Duration, why: &str) {
        self.connecting();
        self.feedback(StatusValue::Offline, format!("{why}; trying again in {} s", after.as_secs()));
    }

    pub(crate) fn reconnecting(&mut self) {
        if self.link == Link::Suspended {
            self.fire("reconnecting", Payload::None);
        }
    }

    pub(crate) fn suspended(&mut self) {
        if self.link != Link::Up {
            return;
        }
        self.link = Link::Suspended;
        self.cut_at = self.now;
        self.changed = true;
        self.fire("disconnected", Payload::None);
        self.fire("will-reconnect", Payload::None);
        self.feedback(StatusValue::Offline, "the connection was cut".to_owned());
    }

    pub(crate) fn plugins_initialized(&mut self) {
        self.fire(names::PLUGINS_INITIALIZED, Payload::None);
        self.fire("connectionInitialized", Payload::None);
    }
}
