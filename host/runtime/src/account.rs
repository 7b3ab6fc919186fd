//! One account: a task that owns its link and its session, and passes events to the router.
//!
//! [`Shared`] is the handle for everyone else: plugins read the snapshot without going through the task, and send it
//! commands.

mod alarm;
mod arrived;
mod leaving;
mod logins;
mod missed;
mod outbox;
mod owners;
mod panicked;
mod rewriting;
mod shared;
mod sleep;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jid::Jid;
use jiff::Timestamp;
use parlor_base::chance::Chance;
use parlor_base::clock::{Clock, Watch};
use parlor_base::fair;
use parlor_base::held::Holding;
use parlor_base::id::InstanceId;
use parlor_config::{AccountConfig, LinkSettings, Settings};
use parlor_session::router::{Mailbox, Names, Router, Shadow};
use parlor_session::{Answer, AnyCommand, Effect, OwnArchive, Session};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{AdHocRequest, Outgoing, Reply};
use parlor_store::{KeptRoster, PinKeeper, RosterKeeper, SessionKeeper, Store};
use parlor_xmpp::{ClientState, ConnectError, Dialer, Left, Link, LinkEvent, Tokens};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::alarm::Alarm;
use self::arrived::{Connected, InQuestion};
use self::leaving::{Farewell, tell_leaving};
use self::logins::Logins;
use self::missed::Missed;
use self::outbox::Outbox;
use crate::record::Records;

pub use logins::Credentials;
pub use shared::{Connection, Shared};

/// Maximum number of commands of one plugin that may wait for the account's task, or for the link if they send
/// something. Further commands of the same plugin wait to be queued.
const COMMANDS: usize = 256;

/// Number of commands that are done before the link gets its next turn.
const BATCH: usize = 32;

/// Maximum number of the host's orders that may wait for the account's task.
const ORDERS: usize = 64;

/// An order that the account carries out however full its link is. A server that reads nothing must not delay the end
/// of a plugin, nor the shutdown of the host.
#[derive(Debug)]
enum Order {
    PluginsInitialized { done: oneshot::Sender<()> },
    Connect,
    Disconnect(Answer<()>),
    LogIn(Option<Credentials>, Answer<()>),
    LogOut(Answer<()>),
    Forget { instance: InstanceId, done: oneshot::Sender<()> },
    Heir { new: InstanceId, of: InstanceId, done: oneshot::Sender<()> },
    Swap { old: Option<Arc<Mailbox>>, new: Arc<Mailbox>, done: oneshot::Sender<()> },
    TellMissed(Missed),
    Reply { to: Jid, id: String, reply: Reply },
    HearNobody { done: oneshot::Sender<()> },
    Rewrite { config: Box<AccountConfig>, done: oneshot::Sender<()> },
    Stop { done: oneshot::Sender<()> },
}

/// The sender of a request to the account's task. Senders are served in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    /// The host itself.
    Host,
    /// A plugin, whose calls delay no other sender's.
    Plugin(InstanceId),
}

/// A request to the account's task, handled when it is its sender's turn.
#[derive(Debug)]
enum Asked {
    /// A command for the session, with the memory that is accounted for while it waits. A command that sends something
    /// waits for room in the link.
    Command(AnyCommand, Option<Holding>),
    /// An order that plugins may give, too.
    Order(Order),
}

/// An account and its task.
pub struct Account {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Account {
    /// Starts the task. It logs in when it gets an order to.
    pub fn start(config: AccountConfig, store: Store) -> Self {
        Self::start_with(config, store, Dialer::Network, Clock::Machine)
    }

    /// Starts the task with what reaches the server, and with a clock.
    pub fn start_with(config: AccountConfig, store: Store, dialer: Dialer, clock: Clock) -> Self {
        let (asked, asked_receiver) = fair::queue(|_| COMMANDS);
        let (orders, order_receiver) = mpsc::channel(ORDERS);
        let (connection, connection_receiver) = watch::channel(Connection::Offline);
        let (archive, archive_receiver) = watch::channel(None);
        let (rooms_told, rooms_told_receiver) = watch::channel(0);
        let mut session = Session::new(config.link.jid.clone(), config.settings.clone());
        session.set_owners(config.owners);
        let (requests, owner_requests) = mpsc::channel(owners::REQUESTS);
        let shared = Arc::new(Shared {
            name: config.name.clone(),
            own: config.link.jid.to_bare(),
            router: Router::default(),
            clock,
            chance: Chance::beside(clock),
            data: store.data(clock),
            snapshot: ArcSwap::from_pointee(session.snapshot()),
            settings: ArcSwap::from_pointee(config.settings.clone()),
            names: Names::default(),
            records: Records::new(store.added_contacts(&config.link.jid.to_bare())),
            secrets: ArcSwap::default(),
            tokens: Tokens::default(),
            asked,
            orders,
            owner_requests: Mutex::new(Some(owner_requests)),
            connection: connection_receiver,
            archive: archive_receiver,
            rooms_told: rooms_told_receiver,
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            watch: Watch::of(clock),
            settings: config.link,
            written: config.settings,
            roster: RosterKeeper::new(store.clone(), &shared.own),
            sessions: SessionKeeper::new(store.clone(), &shared.own),
            pins: PinKeeper::new(store, &shared.own),
            left: None,
            session,
            dialer,
            link: None,
            unsaid: None,
            logins: Logins::default(),
            connection,
            archive,
            rooms_told,
            asked: asked_receiver,
            orders: order_receiver,
            owner_requests: requests,
            outbox: Outbox::default(),
            in_question: None,
            hears_nobody: false,
            quiet: Alarm::new(),
            effects: Vec::new(),
        };
        Self { shared, task: tokio::spawn(worker.run_whatever_happens()) }
    }

    /// Returns the handle that plugins and the host use.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Stops delivering messages, requests and subscription stanzas, and stops acknowledging (XEP-0198). The server
    /// then keeps them for the next process, or for whoever else it keeps messages for. Everything that was
    /// acknowledged is in the mailboxes when this returns. Plugins may still send and ask. Without stream management
    /// nobody would keep the stanzas, so they are delivered until the end.
    pub async fn hear_nobody(&self) {
        self.shared.tell(|done| Order::HearNobody { done }).await;
    }

    /// Closes the stream cleanly and ends the task.
    pub async fn stop(self) {
        self.shared.tell(|done| Order::Stop { done }).await;
        if let Err(error) = self.task.await {
            tracing::error!(account = %self.shared.name, %error, "the task of an account failed");
        }
    }
}

/// The account's task.
struct Worker {
    shared: Arc<Shared>,
    /// Notices when the clock was set.
    watch: Watch,
    settings: LinkSettings,
    /// The settings as the owner wrote them; plugins may have changed some since.
    written: Settings,
    session: Session,
    /// Stores the roster for later processes.
    roster: RosterKeeper,
    /// Stores the session with the server for the next process.
    sessions: SessionKeeper,
    /// Records on disk that log-ins used channel binding.
    pins: PinKeeper,
    /// The session that the last process left. It is offered at the first log-in only.
    left: Option<Left>,
    /// The in-process server, if one is used in place of a network connection.
    dialer: Dialer,
    link: Option<Link>,
    /// The log-in that is logged once the first presence is sent.
    unsaid: Option<Connected>,
    logins: Logins,
    connection: watch::Sender<Connection>,
    /// Whether the account has an archive, for tasks that wait to query it.
    archive: watch::Sender<Option<OwnArchive>>,
    /// The number of times that a room has reported whether it has an archive.
    rooms_told: watch::Sender<u64>,
    /// Requests of plugins. The gate of this queue is open while the link has room.
    asked: fair::Receiver<Asker, Asked>,
    orders: mpsc::Receiver<Order>,
    /// The commands of owners (XEP-0050), sent to the task that carries them out.
    owner_requests: mpsc::Sender<AdHocRequest>,
    outbox: Outbox,
    /// The stanzas that are sent again once the archive has answered whether they arrived.
    in_question: Option<InQuestion>,
    /// The host is shutting down: incoming messages and requests are left to the server.
    hears_nobody: bool,
    /// When to report the client as inactive (XEP-0352). None: never, or it was reported.
    quiet: Alarm,
    /// The effects of the input that was just handled. The buffer is kept to save an allocation for each stanza.
    effects: Vec<Effect>,
}

impl Worker {
    /// Loads what the last process stored.
    async fn load(&mut self) {
        if let Some(KeptRoster { version, items }) = self.roster.load().await {
            self.session.roster_kept(version, items);
        }
        self.left = self.sessions.take().await;
        self.pins.load().await;
    }

    /// Handles events until the account is told to stop.
    async fn run(&mut self) {
        let mut alarm = Alarm::new();
        let mut look = sleep::looks();
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
                    Order::Stop { done } => {
                        self.close(Farewell::Stop).await;
                        self.apply();
                        // The receiver may be gone; the account ends all the same.
                        let _ = done.send(());
                        return;
                    }
                    order => self.on_order(order).await,
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

    fn now(&self) -> Timestamp {
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
                self.on_order(order).await;
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
    fn note_activity(&mut self) {
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

    async fn on_order(&mut self, order: Order) {
        self.mind_clock();
        match order {
            Order::PluginsInitialized { done } => {
                self.session.plugins_initialized(self.now(), &mut self.effects);
                self.apply();
                self.logins.open = true;
                for (credentials, answer) in self.logins.begin_early() {
                    self.log_in(credentials, answer);
                }
                let _ = done.send(());
            }
            Order::Connect if self.link.is_some() => {}
            Order::Connect => match self.cannot_log_in(None) {
                None => self.connect(None),
                Some(why) => {
                    tracing::error!(account = %self.shared.name, reason = why, "account failed");
                    self.session.lost(why, self.now(), &mut self.effects);
                    self.connection.send_replace(Connection::Failed(why.to_owned()));
                }
            },
            // The plugin that wanted this is gone. The connection is left to the others.
            Order::Disconnect(answer) | Order::LogOut(answer) | Order::LogIn(_, answer) if answer.is_abandoned() => {}
            Order::Disconnect(answer) => {
                self.close(Farewell::Disconnect).await;
                self.apply();
                answer.give(Ok(()));
            }
            Order::LogOut(answer) => {
                self.close(Farewell::LogOut).await;
                self.apply();
                answer.give(Ok(()));
            }
            Order::LogIn(credentials, answer) if !self.logins.open => self.logins.wait_for_plugins(credentials, answer),
            Order::LogIn(credentials, answer) => self.log_in(credentials, answer),
            Order::Forget { instance, done } => {
                // First: requests that still wait must not register anything for an instance that is gone.
                self.asked.forget(&Asker::Plugin(instance));
                self.session.instance_gone(instance, &mut self.effects);
                self.apply();
                let _ = done.send(());
            }
            Order::Heir { new, of, done } => {
                self.session.instance_heir(new, of);
                let _ = done.send(());
            }
            Order::Swap { old, new, done } => {
                if let Some(old) = old {
                    old.shadow(Shadow::On);
                }
                new.shadow(Shadow::Off);
                self.session.instance_inherits(new.instance());
                let _ = done.send(());
            }
            Order::TellMissed(missed) => missed.tell(&self.shared),
            Order::HearNobody { done } => {
                self.hears_nobody = true;
                if let Some(link) = &mut self.link {
                    link.acknowledge_no_more();
                }
                let _ = done.send(());
            }
            Order::Reply { to, id, reply } => self.put_out(Outgoing::Reply { to: Some(to), id, reply }, None),
            Order::Rewrite { config, done } => {
                self.rewrite(*config).await;
                self.apply();
                let _ = done.send(());
            }
            Order::Stop { .. } => unreachable!("handled by `run`, which ends with it"),
        }
    }

    /// Answers the calls that wait for a log-in. Readers can see its outcome by then.
    fn answer_logins(&mut self, who: fn(&mut Logins) -> Vec<Answer<()>>, result: &Result<(), CallError>) {
        let answers = who(&mut self.logins).into_iter();
        self.effects.extend(answers.map(|answer| Effect::answer(answer, result.clone())));
    }

    fn on_link(&mut self, event: LinkEvent) {
        self.mind_clock();
        let now = self.now();
        let account = &self.shared.name;
        if let LinkEvent::Bound { .. } | LinkEvent::Resumed { .. } = event {
            self.pins.keep();
        }
        match event {
            LinkEvent::Stanza(incoming) if self.hears_nobody && incoming.speaks() && self.is_kept_for_later() => {}
            LinkEvent::Stanza(incoming) => {
                #[cfg(test)]
                parlor_xmpp::peer::panic_if_told("the session", &format!("{incoming:?}"));
                self.session.incoming(incoming, now, &mut self.effects);
            }
            LinkEvent::Bound { jid, offers, taken_up, again, doubtful } => {
                self.bound(jid, offers, taken_up, (again, doubtful), now);
            }
            LinkEvent::Suspended { why } if !why.is_own_wish() && !self.shared.settings.load().auto_reconnect => {
                tracing::error!(%account, reason = %why, "connection lost, and auto_reconnect is off");
                self.link = None;
                self.session.lost(&why.to_string(), now, &mut self.effects);
                // If the host were restarted now, it would disconnect the other client in turn.
                self.connection.send_replace(if why.is_conflict() {
                    Connection::Failed(why.to_string())
                } else {
                    Connection::Left(format!("{why}, and auto_reconnect is off"))
                });
            }
            LinkEvent::Trying => self.session.reconnecting(now, &mut self.effects),
            LinkEvent::Suspended { why } => {
                tracing::warn!(%account, reason = %why, "connection lost, reconnecting");
                self.connection.send_replace(Connection::Retrying(why.to_string()));
                self.session.suspended(now, &mut self.effects);
            }
            LinkEvent::Resumed { doubtful } => {
                tracing::info!(%account, may_have_gaps = doubtful, "connection resumed");
                self.connection.send_replace(Connection::Connected(self.shared.snapshot().jid.clone()));
                self.session.resumed(now, &mut self.effects);
                if doubtful {
                    self.session.doubt_stream();
                    self.shared.router.stream_begins(self.session.stream());
                }
                self.ask_archive_again();
            }
            LinkEvent::Retrying { after, why } => {
                tracing::warn!(%account, reason = %why, after_ms = after.as_millis(), "cannot connect, trying again");
                self.connection.send_replace(Connection::Retrying(why.to_string()));
                self.session.retrying(after, &why.to_string(), now, &mut self.effects);
                self.answer_logins(Logins::failed, &Err(logins::failure(&why)));
            }
            LinkEvent::Failed(error) if self.logins.of_a_plugin => {
                tracing::warn!(%account, reason = %error, "a log-in that a plugin asked for failed");
                self.fail(&error, Connection::Offline);
            }
            LinkEvent::Failed(error) => {
                tracing::error!(%account, reason = %error, "account failed");
                self.fail(&error, Connection::Failed(error.to_string()));
            }
            LinkEvent::Closed => {
                tracing::info!(%account, "connection closed");
                self.link = None;
                self.connection.send_replace(Connection::Offline);
                self.session.closed(now, &mut self.effects);
            }
        }
    }

    fn fail(&mut self, error: &ConnectError, stands: Connection) {
        self.link = None;
        self.session.lost(&error.to_string(), self.now(), &mut self.effects);
        self.answer_logins(Logins::failed, &Err(logins::failure(error)));
        self.connection.send_replace(stands);
    }

    /// Applies the effects of the input that was handled, in order. The snapshot is published before anyone is
    /// notified.
    fn apply(&mut self) {
        if self.session.changed() {
            let settings = self.session.settings();
            let before = self.shared.settings.load_full();
            if *before != *settings {
                let waits_otherwise = before.csi_waiting_time != settings.csi_waiting_time;
                self.shared.settings.store(Arc::new(settings.clone()));
                if waits_otherwise {
                    self.wait_otherwise();
                }
            }
            let snapshot = self.session.snapshot();
            let (archive, told) = (snapshot.archive, snapshot.rooms_told);
            self.shared.snapshot.store(Arc::new(snapshot));
            self.archive.send_if_modified(|before| std::mem::replace(before, archive) != archive);
            self.rooms_told.send_if_modified(|before| std::mem::replace(before, told) != told);
        }
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Fire(event) => {
                    self.shared.route(event);
                }
                Effect::FireFor(instance, event) => self.shared.route_to(instance, event),
                Effect::Answer(due) => due.give(),
                Effect::Keep(change) => self.keep_roster(change),
                Effect::Command(request) => self.hand_on(request),
                Effect::Send(outgoing) => self.put_out(outgoing, None),
                Effect::SendFor(outgoing, sent) => self.put_out(outgoing, Some(sent)),
            }
        }
        self.effects = effects;
        self.flush();
        self.say_connected();
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

#[cfg(test)]
mod tests;
