//! The account's task: its state, and how it handles an input. `running.rs` has its loop.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jid::FullJid;
use jiff::{SignedDuration, Timestamp};
use parlor_base::clock::ClockJumpDetector;
use parlor_base::fair;
use parlor_config::{LinkSettings, Settings};
use parlor_session::{AnyCommand, Effect, KeepRoster, Session};
use parlor_stanza::types::AdHocRequest;
use parlor_xmpp::{ClientState, Dialer, Link};
use tokio::sync::mpsc;

use super::Asker;
use super::alarm::Alarm;
use super::alerts::Alerts;
use super::arrived::InQuestion;
use super::held_back::HeldBack;
use super::keepers::Keepers;
use super::logins::Logins;
use super::order::{Asked, Order};
use super::outbox::Outbox;
use super::published::Published;
use super::room_passwords::Reading;
use super::screening::Screening;
use super::shared::Shared;

/// A sleep longer than this may have cost the connection: servers and middleboxes drop silent peers.
const LONG: SignedDuration = SignedDuration::from_secs(30);

/// A log-in that is not logged yet.
pub(super) struct Connected {
    pub(super) jid: FullJid,
    /// How many stanzas of the previous stream are sent again, and for how many of these it is unknown whether they
    /// arrived.
    pub(super) again: usize,
    pub(super) unsure: usize,
    /// The server resumed the session that a previous process left.
    pub(super) taken_up: bool,
}

/// The account's task.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    /// Notices when the clock was set.
    pub(super) watch: ClockJumpDetector,
    pub(super) settings: LinkSettings,
    /// The settings as the owner wrote them; plugins may have changed some since.
    pub(super) written: Settings,
    pub(super) session: Session,
    pub(super) keepers: Keepers,
    /// The in-process server, if one is used in place of a network connection.
    pub(super) dialer: Dialer,
    pub(super) link: Option<Link>,
    /// The log-in that is logged once the first presence is sent.
    pub(super) unsaid: Option<Connected>,
    pub(super) logins: Logins,
    pub(super) published: Published,
    /// Requests of plugins. The gate of this queue is open while the link has room.
    pub(super) asked: fair::Receiver<Asker, Asked>,
    pub(super) orders: mpsc::Receiver<Box<Order>>,
    /// The commands of owners (XEP-0050), sent to the task that carries them out.
    pub(super) owner_requests: mpsc::Sender<Box<AdHocRequest>>,
    pub(super) outbox: Outbox,
    /// In a cluster that has not answered for a moment, what the outbox waits for.
    pub(super) confirming: Option<BoxFuture<'static, bool>>,
    /// The effects that wait until keys are on disk.
    pub(super) held_back: HeldBack,
    /// The messages that hooks are asked about before plugins get them.
    pub(super) screening: Screening,
    /// The stanzas that are sent again once the archive has answered whether they arrived.
    pub(super) in_question: Option<InQuestion>,
    /// The passwords of rooms that are still being read.
    pub(super) room_passwords: Reading,
    /// The host is shutting down: incoming messages and requests are left to the server.
    pub(super) is_draining: bool,
    /// When to report the client as inactive (XEP-0352). None: never, or it was reported.
    pub(super) quiet: Alarm,
    /// The alerts to the owners.
    pub(super) alerts: Alerts,
    /// The effects of the input that was just handled. The buffer is kept to save an allocation for each stanza.
    pub(super) effects: Vec<Effect>,
}

impl Worker {
    /// Corrects the session's deadlines before it handles something new: time that the machine slept, or by which its
    /// clock was wrong, was not spent waiting. Returns the time.
    pub(super) fn mind_clock(&mut self) -> Timestamp {
        if let Some(by) = self.watch.look() {
            tracing::info!(account = %self.shared.name, seconds = by.as_secs(), "the machine's clock was set");
            self.session.clock_set(by);
            if by > LONG
                && let Some(link) = &mut self.link
            {
                link.ask();
            }
        }
        self.watch.last()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(super) fn execute(&mut self, command: AnyCommand) {
        let now = self.mind_clock();
        if command.sends() {
            self.note_activity();
        }
        self.session.command(command, now, &mut self.effects);
    }

    /// Notes that a plugin did something, so the client counts as active for a while.
    pub(super) fn note_activity(&mut self) {
        let wait = self.shared.settings.load().csi_waiting_time;
        if wait == 0 {
            return;
        }
        let now = self.now();
        self.quiet.set(Some(now + Duration::from_secs(u64::from(wait))), now);
        if let Some(link) = &mut self.link {
            link.set_state(ClientState::Active);
        }
    }

    /// Applies a changed inactivity setting: the state that was reported under the old one may be wrong.
    fn wait_otherwise(&mut self) {
        self.quiet.set(None, self.now());
        if let Some(link) = &mut self.link {
            link.set_state(ClientState::Active);
        }
        self.note_activity();
    }

    /// Stores a change of the roster, and compares it with the notes of what plugins made of contacts.
    pub(super) fn keep_roster(&mut self, change: KeepRoster) {
        match &change {
            KeepRoster::Removed { jid, .. } => self.shared.records.contact_left(jid, self.now()),
            KeepRoster::Whole { .. } | KeepRoster::Nothing => {
                self.shared.records.roster_came(&self.session.snapshot());
            }
            // Its effect `EntryCame` says more.
            KeepRoster::Changed { .. } => {}
        }
        self.keepers.roster.keep(change);
    }

    /// Publishes the settings and the snapshot, and then what waits for a change of it.
    pub(super) fn publish(&mut self) {
        let settings = self.session.settings();
        let before = self.shared.settings.load_full();
        if *before != *settings {
            let waits_otherwise = before.csi_waiting_time != settings.csi_waiting_time;
            self.shared.settings.store(Arc::new(settings.clone()));
            if waits_otherwise {
                self.wait_otherwise();
            }
        }
        // Messages that come from here on are newer than all that the archive is now asked for.
        self.shared.router.stream_begins(self.session.stream());
        let snapshot = Arc::new(self.session.snapshot());
        self.shared.snapshot.store(Arc::clone(&snapshot));
        self.published.archives(&snapshot);
    }
}
