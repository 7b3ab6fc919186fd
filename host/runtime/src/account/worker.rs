//! The account's task: it hands the session one input at a time, and applies the effects.

use std::sync::Arc;
use std::time::Duration;

use jid::FullJid;
use jiff::{SignedDuration, Timestamp};
use parlor_base::clock::ClockJumpDetector;
use parlor_base::fair;
use parlor_config::{LinkSettings, Settings};
use parlor_session::{AnyCommand, Effect, KeepRoster, Session, tell_owners};
use parlor_stanza::types::AdHocRequest;
use parlor_xmpp::{ClientState, Dialer, Link, LinkEvent};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

use super::Asker;
use super::alarm::Alarm;
use super::alerts::Alerts;
use super::arrived::{self, InQuestion};
use super::effects::carry_out;
use super::encryption;
use super::keepers::Keepers;
use super::logins::Logins;
use super::on_disk::{self, Batch, OnDisk};
use super::order::{Asked, Order};
use super::outbox::Outbox;
use super::published::Published;
use super::screened;
use super::screening::Screening;
use super::shared::Shared;

/// Number of commands that are done before the link gets its next turn.
const BATCH: usize = 32;

/// Interval for checking whether the machine slept.
const LOOK: Duration = Duration::from_secs(15);

/// A sleep longer than this may have cost the connection: servers and middleboxes drop silent peers.
const LONG: SignedDuration = SignedDuration::from_secs(30);

/// Returns the interval of these checks.
fn looks() -> Interval {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

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
    pub(super) orders: mpsc::Receiver<Order>,
    /// The commands of owners (XEP-0050), sent to the task that carries them out.
    pub(super) owner_requests: mpsc::Sender<AdHocRequest>,
    pub(super) outbox: Outbox,
    /// What waits until keys are on disk.
    pub(super) on_disk: OnDisk,
    /// The messages that hooks are asked about before plugins hear of them.
    pub(super) screening: Screening,
    /// The stanzas that are sent again once the archive has answered whether they arrived.
    pub(super) in_question: Option<InQuestion>,
    /// The host is shutting down: incoming messages and requests are left to the server.
    pub(super) is_draining: bool,
    /// When to report the client as inactive (XEP-0352). None: never, or it was reported.
    pub(super) quiet: Alarm,
    /// What the owners are told.
    pub(super) alerts: Alerts,
    /// The effects of the input that was just handled. The buffer is kept to save an allocation for each stanza.
    pub(super) effects: Vec<Effect>,
}

impl Worker {
    /// Handles events until the account is told to stop.
    pub(super) async fn run(&mut self) {
        let mut alarm = Alarm::new();
        let mut look = looks();
        // The number of link events since commands last had a turn.
        let mut heard = 0;
        loop {
            if heard == BATCH {
                heard = 0;
                self.take_waiting(BATCH).await;
            }
            alarm.set(self.session.next_deadline(), self.now());
            let has_room = self.has_room();
            tokio::select! {
                // The order of events must follow from the input, not from chance. Rare branches come first. The link
                // would starve the commands, were it not for their turn above.
                biased;
                // `Shared`, which this task holds as well, keeps both queues open.
                Some(order) = self.orders.recv() => match order {
                    // Boxed: an order is rare, and this task lives as long as the account.
                    Order::Stop { done } => return Box::pin(self.end(done)).await,
                    order => Box::pin(self.on_order(order)).await,
                },
                () = alarm.ring() => {
                    self.mind_clock();
                    self.session.tick(self.now(), &mut self.effects);
                }
                // An in-process server does not disconnect when the machine sleeps.
                _ = look.tick(), if !matches!(self.dialer, Dialer::Local(_)) => self.mind_clock(),
                () = self.quiet.ring() => {
                    if let Some(link) = &mut self.link {
                        link.set_state(ClientState::Inactive);
                    }
                }
                found = arrived::told(&mut self.in_question) => self.has_arrived(found),
                judged = self.screening.verdict(), if !self.screening.is_empty() => screened::release(self, judged),
                written = self.keepers.encryption.written(), if !on_disk::is_idle(self) => on_disk::release(self, written),
                next = next_on_link(&mut self.link, !has_room) => {
                    heard += 1;
                    if let Some(event) = next {
                        self.on_link(event);
                    }
                }
                Some((_, asked)) = self.asked.recv(has_room) => {
                    heard = 0;
                    // Answers to requests that arrived together are written together.
                    self.take(asked).await;
                    self.take_waiting(BATCH - 1).await;
                }
            }
            self.apply();
        }
    }

    /// Corrects the session's deadlines before it handles something new: time that the machine slept, or by which its
    /// clock was wrong, was not spent waiting.
    pub(super) fn mind_clock(&mut self) {
        if let Some(by) = self.watch.look() {
            tracing::info!(account = %self.shared.name, seconds = by.as_secs(), "the machine's clock was set");
            self.session.clock_set(by);
            if by > LONG
                && let Some(link) = &mut self.link
            {
                link.ask();
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Handles up to `most` requests, as long as some are waiting.
    async fn take_waiting(&mut self, most: usize) {
        for _ in 0..most {
            let has_room = self.has_room();
            let Some((_, asked)) = self.asked.try_take(has_room) else { return };
            self.take(asked).await;
        }
    }

    /// Carries out a plugin's request, and charges the plugin for the time that this takes.
    async fn take(&mut self, asked: Asked) {
        match asked {
            Asked::Order(order) => {
                Box::pin(self.on_order(order)).await;
                self.apply();
            }
            // Its call was given up while it waited for its turn.
            Asked::Command(command, _) if command.is_abandoned() => {}
            Asked::Command(command, held) => {
                // Real time: reading the thread's CPU clock is a system call, and nothing here waits.
                let began = std::time::Instant::now();
                self.execute(command);
                self.apply();
                if let Some(held) = held {
                    held.charge(began.elapsed());
                }
            }
        }
    }

    fn execute(&mut self, command: AnyCommand) {
        self.mind_clock();
        if command.sends() {
            self.note_activity();
        }
        self.session.command(command, self.now(), &mut self.effects);
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

    /// Applies the effects of the input that was handled, in order. The snapshot is published before anyone is
    /// notified.
    pub(super) fn apply(&mut self) {
        if self.session.changed() {
            self.publish();
        }
        let mut effects = std::mem::take(&mut self.effects);
        let mut batch = Batch::default();
        for effect in effects.drain(..) {
            if let Some(effect) = on_disk::pass(self, effect, &mut batch) {
                carry_out(self, effect);
            }
        }
        self.effects = effects;
        if !self.screening.is_empty() {
            screened::begin(self);
        }
        for words in self.alerts.due(self.session.is_announced()) {
            tell_owners(&mut self.session, &words, self.shared.clock.now(), &mut self.effects);
        }
        // Owners are told at once, and a command that was refused is answered at once.
        if !self.effects.is_empty() {
            return self.apply();
        }
        encryption::note(self);
        self.flush();
        self.say_connected();
    }

    /// Stores a change of the roster. A contact that was removed no longer counts as added by a plugin.
    pub(super) fn keep_roster(&mut self, change: KeepRoster) {
        if let KeepRoster::Removed { jid, .. } = &change {
            self.shared.records.contact_left(jid);
        }
        self.keepers.roster.keep(change);
    }

    /// Publishes the settings and the snapshot, and then what waits for a change of it.
    fn publish(&mut self) {
        let settings = self.session.settings();
        let before = self.shared.settings.load_full();
        if *before != *settings {
            let waits_otherwise = before.csi_waiting_time != settings.csi_waiting_time;
            self.shared.settings.store(Arc::new(settings.clone()));
            if waits_otherwise {
                self.wait_otherwise();
            }
        }
        let snapshot = Arc::new(self.session.snapshot());
        self.shared.snapshot.store(Arc::clone(&snapshot));
        self.published.archives(&snapshot);
    }
}

/// Waits for the next event of the link, or forever if there is no link. None: a full link has room again.
async fn next_on_link(link: &mut Option<Link>, full: bool) -> Option<LinkEvent> {
    match link {
        Some(link) if !full => Some(link.next().await),
        Some(link) => link.next_or_room().await,
        None => std::future::pending().await,
    }
}
