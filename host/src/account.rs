//! One account: one task that owns its link and its session, and gives events to the router.
//!
//! [`Shared`] is what everybody else holds: plugins read the snapshot without a hop and send commands here.

mod alarm;
mod arrived;
mod leaving;
mod logins;
mod missed;
mod outbox;
mod owners;
mod rewriting;
mod shared;
mod sleep;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jid::Jid;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::alarm::Alarm;
use self::arrived::{Connected, InQuestion};
use self::leaving::{Farewell, tell_leaving};
use self::logins::Logins;
use self::missed::Missed;
use crate::chance::Chance;
use crate::clock::{Clock, Watch};
use crate::config::{AccountConfig, LinkSettings, Settings};
use crate::error::CallError;
use crate::fair;
use crate::plugins::{Holding, InstanceId, Records};
use crate::router::{Mailbox, Names, Router, Shadow};
use crate::session::{Answer, Command, Effect, OwnArchive, Sent, Session};
use crate::stanza::{AdHocRequest, Outgoing, Reply};
use crate::store::{KeptRoster, PinKeeper, RosterKeeper, SessionKeeper, Store};
use crate::xmpp::{ClientState, ConnectError, Left, Link, LinkEvent, LogIn, Lost, Tokens, Within};

pub use logins::Credentials;
pub use shared::{Connection, Shared};

/// How many commands of one plugin may wait for the account's task, or for the link if they send something. Further ones of the same
/// plugin wait to be put in.
const COMMANDS: usize = 256;

/// How many commands are done before the link has its turn again.
const BATCH: usize = 32;

/// How many orders of the host may wait for the account's task.
const ORDERS: usize = 64;

/// How many stanzas may wait for the link. Plugins are stopped long before; what a server provokes by its own
/// questions while it takes nothing in is dropped beyond this.
const OUTBOX: usize = 4_096;

/// What the account does however full its link is: a server that takes nothing in must not hold up the end of a plugin,
/// nor that of the house.
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

/// Who asks something of the account's task. Askers are served in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    /// The host itself.
    Host,
    /// A plugin, whose calls hold up nobody else's.
    Plugin(InstanceId),
}

/// What is asked of the account's task in its asker's turn.
#[derive(Debug)]
enum Asked {
    /// A command for the session, with what is counted of it while it waits. One that sends something waits for room in the link.
    Command(Command, Option<Holding>),
    /// An order that plugins may give, too.
    Order(Order),
}

/// An account and its task.
pub struct Account {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Account {
    /// Starts the task. It logs in when it is told to.
    pub fn start(config: AccountConfig, store: Store) -> Self {
        Self::begin(config, store, Clock::Machine, None)
    }

    /// The same, with a server within the process in place of the configured one, and with its clock.
    pub fn start_within(config: AccountConfig, store: Store, server: Within) -> Self {
        let clock = server.clock();
        Self::begin(config, store, clock, Some(server))
    }

    fn begin(config: AccountConfig, store: Store, clock: Clock, within: Option<Within>) -> Self {
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
            within,
            link: None,
            unsaid: None,
            logins: Logins::default(),
            connection,
            archive,
            rooms_told,
            asked: asked_receiver,
            orders: order_receiver,
            owner_requests: requests,
            outbox: VecDeque::new(),
            in_question: None,
            hears_nobody: false,
            quiet: Alarm::new(),
            effects: Vec::new(),
        };
        Self { shared, task: tokio::spawn(worker.run()) }
    }

    /// What others hold of it.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Hears nobody any more who speaks to it, and acknowledges nothing more (XEP-0198): the server keeps what comes, for the
    /// next process or whoever it keeps messages for. What was acknowledged is in the mailboxes when this returns. Plugins may
    /// still send and ask. Where the stream is not managed nobody would keep it, and it is heard until the end.
    pub async fn hear_nobody(&self) {
        self.shared.tell(|done| Order::HearNobody { done }).await;
    }

    /// Says good-bye to the server and ends the task.
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
    /// Whether the clock was set.
    watch: Watch,
    settings: LinkSettings,
    /// Its settings as the owner wrote them; plugins may have changed some since.
    written: Settings,
    session: Session,
    /// Where the roster is kept for later processes.
    roster: RosterKeeper,
    /// Where the session with the server is kept for the next process.
    sessions: SessionKeeper,
    /// Keeps on disk that log-ins were bound to their connection.
    pins: PinKeeper,
    /// What the last process left, until the first log-in.
    left: Option<Left>,
    /// The server, where it is within the process.
    within: Option<Within>,
    link: Option<Link>,
    /// What is logged once the first presence is sent.
    unsaid: Option<Connected>,
    logins: Logins,
    connection: watch::Sender<Connection>,
    /// Whether there is an archive, for whoever waits to ask it.
    archive: watch::Sender<Option<OwnArchive>>,
    /// How often rooms have said whether they have one.
    rooms_told: watch::Sender<u64>,
    /// What plugins ask for; its gate is the link.
    asked: fair::Receiver<Asker, Asked>,
    orders: mpsc::Receiver<Order>,
    /// Where commands of owners go.
    owner_requests: mpsc::Sender<AdHocRequest>,
    /// What the link had no room for.
    outbox: VecDeque<(Outgoing, Option<Sent>)>,
    /// What the archive is asked for before it is sent again.
    in_question: Option<InQuestion>,
    /// The house stops: what somebody says is left to the server.
    hears_nobody: bool,
    /// When the server is told that nobody looks (XEP-0352); none = never, or it was told.
    quiet: Alarm,
    /// What follows from what was just handled; kept to spare an allocation for each stanza.
    effects: Vec<Effect>,
}

impl Worker {
    async fn run(mut self) {
        if let Some(KeptRoster { version, items }) = self.roster.load().await {
            self.session.roster_kept(version, items);
        }
        self.left = self.sessions.take().await;
        self.pins.load().await;
        let mut alarm = Alarm::new();
        let mut look = sleep::looks();
        // How many things came from the link since commands had a turn.
        let mut heard = 0;
        loop {
            if heard == BATCH {
                heard = 0;
                self.take_waiting(BATCH).await;
            }
            alarm.set(self.session.next_deadline(), self.now());
            let has_room = self.has_room();
            tokio::select! {
                // What happens is to follow from what comes, and not from chance. What is seldom goes first; the link would
                // leave nothing to commands, but for the turn that they have above.
                biased;
                // `Shared`, which this task holds too, keeps both queues open.
                Some(order) = self.orders.recv() => match order {
                    Order::Stop { done } => {
                        self.close(Farewell::Stop).await;
                        self.apply();
                        // Whoever asked may have been ended; the account ends all the same.
                        let _ = done.send(());
                        return;
                    }
                    order => self.on_order(order).await,
                },
                () = alarm.ring() => {
                    self.mind_clock();
                    self.session.tick(self.now(), &mut self.effects);
                }
                // A server within the process does not go while nobody looks.
                _ = look.tick(), if self.within.is_none() => self.mind_clock(),
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
                    // What came together is written together.
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

    /// Takes so many things that plugins ask for, as far as some wait.
    async fn take_waiting(&mut self, most: usize) {
        for _ in 0..most {
            let has_room = self.has_room();
            let Some((_, asked)) = self.asked.try_take(has_room) else { return };
            self.take(asked).await;
        }
    }

    /// Does what a plugin asked for, and charges the plugin for the time that this takes.
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

    fn execute(&mut self, command: Command) {
        self.mind_clock();
        if command.sends() {
            self.note_activity();
        }
        self.session.command(command, self.now(), &mut self.effects);
    }

    /// A plugin does something: somebody looks, and for some time to come.
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

    /// The setting has changed: what was told the server under the other one may not hold.
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
            // The plugin that wanted it is gone, and leaves the connection to the others.
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
                // First: what it has asked for must not register anything under an instance that is gone.
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

    /// Begins to log in; there must be no link.
    fn connect(&mut self, credentials: Option<Credentials>) {
        let after = self.logins.begin(Instant::now());
        let mut settings = self.settings.clone();
        let fits = |left: &Left| settings.jid.is_bare() || settings.jid == left.jid;
        let may_go_on = credentials.is_none() && self.shared.settings().keepalive;
        let left = self.left.take().filter(|left| may_go_on && fits(left));
        let password = credentials.map(|Credentials { jid, password }| {
            if !jid.is_bare() {
                settings.jid = jid;
            }
            password
        });
        self.session.connecting();
        self.logins.of_a_plugin = false;
        let tokens = self.shared.tokens.clone();
        let mut link = match &self.within {
            Some(server) => Link::within(server.clone(), &settings),
            None => Link::log_in(settings, LogIn { password, after, left, tokens, pins: self.pins.pins() }),
        };
        if self.hears_nobody {
            link.acknowledge_no_more();
        }
        self.link = Some(link);
        self.connection.send_replace(Connection::Connecting);
    }

    /// Answers who waits for a log-in, after readers can see what became of it.
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
            LinkEvent::Stanza(incoming) => self.session.incoming(incoming, now, &mut self.effects),
            LinkEvent::Bound { jid, offers, taken_up, again, doubtful } => {
                self.unsaid = Some(Connected::new(&jid, taken_up, again.len(), doubtful));
                self.connection.send_replace(Connection::Connected(jid.clone().into()));
                // What waits here is younger than what the link had taken; and what the session wanted to say to the old
                // stream has lost its sense.
                let waiting = std::mem::take(&mut self.outbox);
                let (own, since) = (jid.clone(), self.session.stream_since());
                self.session.bound(jid, offers, now, &mut self.effects);
                self.shared.router.stream_begins(self.session.stream());
                if taken_up {
                    self.session.taken_up(now, &mut self.effects);
                }
                self.send_again(again, doubtful, &own, since);
                self.effects.extend(waiting.into_iter().filter_map(|(outgoing, sent)| match sent {
                    Some(sent) => Some(Effect::SendFor(outgoing, sent)),
                    None if outgoing.outlives_its_stream() => Some(Effect::Send(outgoing)),
                    None => None,
                }));
                self.answer_logins(Logins::succeeded, &Ok(()));
                // What becomes of the account from here on is the house's.
                self.logins.of_a_plugin = false;
                self.note_activity();
            }
            LinkEvent::Suspended { why } if why != Lost::Moved && !self.shared.settings.load().auto_reconnect => {
                tracing::error!(%account, reason = %why, "connection lost, and auto_reconnect is off");
                self.link = None;
                self.session.lost(&why.to_string(), now, &mut self.effects);
                // Whoever starts the host again at once would throw the other one out in turn.
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

    /// Does what follows from what was handled, in order. What readers see is published before anybody is told.
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

/// What happens next on the link, or never while there is none. None: a full one has room again.
async fn next_on_link(link: &mut Option<Link>, full: bool) -> Option<LinkEvent> {
    match link {
        Some(link) if !full => Some(link.next().await),
        Some(link) => link.next_or_room().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
