//! Runs a node: feeds `parlor_cluster::Node` with time, news and answers, and does what it says.
//!
//! A thread of its own has the connection and the node, so that nothing that keeps other threads busy can cost the
//! lease.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use parlor_cluster::{Key, Node, Outcome, Output, RequestId, Revision, SessionId, Timing, Token, Value};
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer::LEASE_ANSWER;
use crate::clock;
use crate::connect::{Link, Settings};
use crate::error::{PutError, StartError, StateError};
use crate::health::{NodeHealth, Telling};
use crate::losses::has_lost;
use crate::lost_nodes;
use crate::names::{self, Cluster};
use crate::permit::{Gate, Permit};
use crate::silence::Silence;
use crate::state::{Decoded, State, check_node};
use crate::teller::Teller;
use crate::watch::{Message, Watch};

/// The longest time between two looks at the clock: timers of the runtime do not count the time of sleep.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How long after a failure the stream is looked for again.
const PAUSE: Duration = Duration::from_secs(1);
/// If nothing arrives for this time although an own write was acknowledged, the watch is not whole.
const ARRIVAL: Duration = Duration::from_secs(1);
/// If it has begun again this often and nothing has arrived, the owner is told.
const VAIN: u32 = 3;

/// The settings of a node, which the others see.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Its name.
    pub name: String,
    /// The load that it can take, in relation to the others.
    pub capacity: u32,
    /// The times of the cluster.
    pub timing: Timing,
}

/// Something to do for whoever runs the accounts. It is handed over on the thread of the driver, and must not wait.
#[derive(Debug, Clone)]
pub enum Order {
    /// Start an account: open its log with this token, and ask the permit before each act that others can see.
    Start {
        /// The account.
        account: Arc<str>,
        /// The token of its claim.
        token: Token,
        /// The permission to act.
        permit: Permit,
    },
    /// Stop an account, and tell [`Driver::stopped`]. Its permit lapses at the time `by` of [`now`](crate::now), unless
    /// the session is renewed.
    Stop {
        /// The account.
        account: Arc<str>,
        /// The token that it runs with.
        token: Token,
        /// When it must not act any more.
        by: Duration,
    },
    /// End an account at once: it may run elsewhere. Its permit has ended.
    Kill {
        /// The account.
        account: Arc<str>,
        /// The token that it runs with.
        token: Token,
    },
    /// Forget what is kept here of an account that is not in the cluster any more. It may still run, and is ended.
    Forget(Arc<str>),
    /// Tell the owner: something is wrong with the cluster's state. The node goes on.
    Report(StateError),
    /// Tell the owner: the configuration of this node lacks this account.
    Lacks(Arc<str>),
}

#[derive(Debug)]
pub(crate) enum Command {
    Stopped(Arc<str>, Token),
    Configured(BTreeSet<Arc<str>>),
    Leave,
}

/// A node that runs. Dropping it ends the node at once, as if it was killed; its accounts start elsewhere after a
/// while.
#[derive(Debug)]
pub struct Driver {
    commands: mpsc::UnboundedSender<Command>,
    /// The report of the node about itself. It closes with the thread.
    told: watch::Receiver<NodeHealth>,
}

impl Driver {
    /// Connects and begins to run a node. `orders` is called with what is to be done, in that order.
    pub async fn start(
        settings: Settings,
        cluster: Cluster,
        node: NodeSettings,
        orders: impl FnMut(Order) + Send + 'static,
    ) -> Result<Self, StartError> {
        check_node(&node.name)?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let (ready, started) = oneshot::channel();
        let (telling, told) = watch::channel(NodeHealth::default());
        let main = move || run(&settings, &cluster, &node, Box::new(orders), inbox, ready, telling);
        let thread = std::thread::Builder::new().name("cluster".to_owned());
        thread.spawn(main).map_err(|error| StartError::Thread(error.to_string()))?;
        let lost = || StartError::Thread("it ended".to_owned());
        started.await.map_err(|_| lost())??;
        Ok(Self { commands, told })
    }

    /// Tells that an account has stopped, as it was told, or by itself since its log was fenced.
    pub fn stopped(&self, account: &str, token: Token) {
        self.send(Command::Stopped(account.into(), token));
    }

    /// Returns what tells that accounts have stopped. It does not keep the node running.
    pub(crate) fn teller(&self) -> Teller {
        Teller::new(self.commands.downgrade())
    }

    /// Returns what the node says of itself and its cluster.
    pub(crate) fn health(&self) -> watch::Receiver<NodeHealth> {
        self.told.clone()
    }

    /// Gives all accounts away and ends the session. They are ordered to stop, and the node [ends](Self::ended) once
    /// they have, or when its session has.
    pub fn leave(&self) {
        self.send(Command::Leave);
    }

    /// Returns when the node has left or its thread has ended, which also happens if the cluster has other times than the node.
    pub async fn ended(&mut self) {
        // The other end is dropped with the thread.
        while self.told.changed().await.is_ok() {}
    }

    fn send(&self, command: Command) {
        // Without the thread, nothing runs that could be told.
        _ = self.commands.send(command);
    }
}

/// The thread of a driver.
fn run(
    settings: &Settings,
    cluster: &Cluster,
    node: &NodeSettings,
    orders: Box<dyn FnMut(Order) + Send>,
    inbox: mpsc::UnboundedReceiver<Command>,
    ready: oneshot::Sender<Result<(), StartError>>,
    end: watch::Sender<NodeHealth>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            _ = ready.send(Err(StartError::Thread(error.to_string())));
            return;
        }
    };
    let telling = Telling::new(end.clone());
    runtime.block_on(async move {
        let (link, state) = match open(settings, cluster, node.timing).await {
            Ok(opened) => opened,
            Err(error) => {
                _ = ready.send(Err(error));
                return;
            }
        };
        if ready.send(Ok(())).is_err() {
            return;
        }
        let (name, timing) = (names::hash(&node.name), node.timing);
        let node = Node::new(&node.name, node.capacity, node.timing, rand::random());
        let watch = Watch::new(&link, cluster);
        let running = Running {
            node,
            name,
            state,
            timing,
            watch,
            answers: FuturesUnordered::new(),
            inbox,
            orders,
            gate: Gate::default(),
            held: HashMap::new(),
            awaited: None,
            heard: clock::now(),
            in_vain: 0,
            silence: Silence::new(clock::now()),
            mending: None,
            trouble: None,
            telling,
        };
        running.run().await;
    });
    drop(end);
}

async fn open(settings: &Settings, cluster: &Cluster, timing: Timing) -> Result<(Link, State), StartError> {
    let link = Link::connect(settings).await?;
    let state = State::open(&link, cluster, timing).await?;
    Ok((link, state))
}

/// The answer to a write, and whether it shows that NATS has lost what it had confirmed.
type Answered = (RequestId, Result<Revision, PutError>, bool);

/// Looks for the stream. Returns how the times of the cluster differ from those of the node.
type Mending = BoxFuture<'static, Option<StateError>>;

struct Running {
    node: Node,
    /// The hash of its name, as subjects have it.
    name: String,
    state: State,
    timing: Timing,
    watch: Watch,
    answers: FuturesUnordered<BoxFuture<'static, Answered>>,
    inbox: mpsc::UnboundedReceiver<Command>,
    orders: Box<dyn FnMut(Order) + Send>,
    gate: Gate,
    /// The accounts that may act, by their names in subjects.
    held: HashMap<String, (Arc<str>, Token, Permit)>,
    /// The first own write that has not arrived, and when it was acknowledged.
    awaited: Option<(Revision, Duration)>,
    /// When anything arrived last.
    heard: Duration,
    /// How often the watch has begun again since then.
    in_vain: u32,
    silence: Silence,
    /// Looks for the stream, creates it if it is gone, and compares the times of the cluster.
    mending: Option<Mending>,
    /// The trouble that was reported last; `None` after a write.
    trouble: Option<PutError>,
    telling: Telling,
}

impl Running {
    async fn run(mut self) {
        let mut outputs = self.node.tick(clock::now());
        loop {
            self.carry_out(outputs);
            if self.node.is_gone() {
                break;
            }
            self.telling.measure(&mut self.node);
            self.telling.look(&self.node, &self.state.link, self.trouble.as_ref());
            self.look_at_the_watch();
            self.look_for_the_stream();
            let pause = self.node.wake().saturating_sub(clock::now()).min(LONGEST_PAUSE);
            // Answers come first, because the lease depends on them. The node looks at the time after each input.
            outputs = tokio::select! {
                biased;
                Some(answered) = self.answers.next(), if !self.answers.is_empty() => self.answered(answered),
                command = self.inbox.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                // Before the messages, which may never pause.
                found = mended(&mut self.mending) => {
                    self.mending = None;
                    if let Some(other_times) = found {
                        // The node must end at once: others may end its session before its own time is over.
                        (self.orders)(Order::Report(other_times));
                        break;
                    }
                    Vec::new()
                }
                message = self.watch.next() => self.seen(&message),
                () = tokio::time::sleep(pause) => self.node.tick(clock::now()),
            };
        }
        self.gate.set(None, None);
        self.held.values().for_each(|(_, _, permit)| permit.end());
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in &outputs {
            if let Output::Kill { account, token } = output {
                self.end(account, *token);
            }
        }
        // After that: the session may be a later one than that of these accounts.
        self.gate.set(self.node.until(), self.node.fresh_until());
        for output in outputs {
            match output {
                Output::Put { request, key, value, expected } => self.put(request, key, value, expected),
                Output::Start { account, token } => {
                    let permit = self.gate.permit();
                    self.held.insert(names::hash(&account), (Arc::clone(&account), token, permit.clone()));
                    (self.orders)(Order::Start { account, token, permit });
                }
                Output::Stop { account, token, by } => (self.orders)(Order::Stop { account, token, by }),
                Output::Kill { account, token } => (self.orders)(Order::Kill { account, token }),
                Output::Lacks { account } => (self.orders)(Order::Lacks(account)),
                Output::Twin { node } => (self.orders)(Order::Report(StateError::Twin(node.to_string()))),
                Output::Remove { session, revision } => self.remove(session, revision),
                Output::ReadAnew => self.read_anew(),
            }
        }
    }

    /// Reads the state from its first record on, since NATS has lost what it had confirmed.
    fn read_anew(&mut self) {
        self.watch.begin_again();
        self.awaited = None;
        // A node with other times may have created the stream anew, after the last look at it.
        self.mending = None;
        self.mend();
        (self.orders)(Order::Report(StateError::Lost(self.state.cluster.to_string())));
    }

    fn put(&self, request: RequestId, key: Key, value: Value, expected: Revision) {
        let (state, own) = (self.state.clone(), self.name.clone());
        self.answers.push(Box::pin(async move {
            let answer = state.put(&key, &value, expected, LEASE_ANSWER).await;
            if let (Ok(revision), Some(news)) = (&answer, lost_nodes::news(&value, &own)) {
                lost_nodes::note_beside(&state, own, news, *revision).await;
            }
            let has_lost = answer == Err(PutError::Refused) && has_lost(&state, &key, expected).await;
            (request, answer, has_lost)
        }));
    }

    /// Removes the record of a session that is over. If that fails, another node does it, or this one after its next start.
    fn remove(&self, session: SessionId, revision: Revision) {
        let State { link, cluster } = self.state.clone();
        tokio::spawn(async move {
            let subject = cluster.subject(&Key::Session(session));
            if let Err(error) = link.remove(&cluster.state_stream(), &subject, revision).await {
                tracing::debug!(subject, %error, "the record of a session that is over stays in NATS");
            }
        });
    }

    fn answered(&mut self, (request, answer, has_lost): Answered) -> Vec<Output> {
        let now = clock::now();
        self.silence.answered(now, &answer);
        let outcome = match answer {
            Ok(revision) => {
                self.trouble = None;
                if revision > self.watch.last() {
                    self.awaited.get_or_insert((revision, now));
                }
                Outcome::Written(revision)
            }
            Err(PutError::Refused) if has_lost => Outcome::Lost,
            Err(PutError::Refused) => Outcome::Refused,
            Err(PutError::Unknown) => {
                if let Some(error) = self.state.link.refused() {
                    self.report(PutError::Unfit(error));
                }
                Outcome::Unknown
            }
            Err(error) => {
                self.report(error);
                Outcome::Unknown
            }
        };
        self.node.answered(now, request, outcome)
    }

    fn report(&mut self, error: PutError) {
        if self.trouble.as_ref() != Some(&error) {
            (self.orders)(Order::Report(error.clone().into()));
            self.trouble = Some(error);
        }
    }

    fn command(&mut self, command: Command) -> Vec<Output> {
        let now = clock::now();
        match command {
            Command::Stopped(account, token) => {
                self.end(&account, token);
                self.node.stopped(now, &account, token)
            }
            Command::Configured(accounts) => self.node.configured(now, accounts),
            Command::Leave => self.node.leave(now),
        }
    }

    fn seen(&mut self, message: &Message) -> Vec<Output> {
        let Message { subject, revision, body, goes_back, pending: _ } = message;
        let (now, revision) = (clock::now(), *revision);
        (self.heard, self.in_vain) = (now, 0);
        if *goes_back {
            return self.node.lost(now);
        }
        if self.awaited.is_some_and(|(awaited, _)| awaited <= revision) {
            self.awaited = None;
        }
        // The node hears of each message: it then knows how far it has seen, and looks at the time although messages may never pause.
        match self.state.decode(subject, revision, body) {
            Ok(Decoded::Record(key, value)) => self.node.seen(now, &key, revision, Some(value)),
            Ok(Decoded::Drain(hash, is_draining)) if hash == self.name => {
                let mut outputs = self.node.passed(now, revision);
                outputs.extend(self.node.drain(now, is_draining));
                outputs
            }
            Ok(Decoded::Away(account, why)) => {
                if why.is_gone() {
                    (self.orders)(Order::Forget(Arc::clone(&account)));
                }
                self.node.seen(now, &Key::Account(account), revision, None)
            }
            Ok(Decoded::Drain(..) | Decoded::Other) => self.node.passed(now, revision),
            Err(error) => {
                (self.orders)(Order::Report(error));
                self.unreadable(now, subject, revision)
            }
        }
    }

    /// Goes by a record that cannot be read. If it is a claim, nobody knows whose the account is: it ends here.
    fn unreadable(&mut self, now: Duration, subject: &str, revision: Revision) -> Vec<Output> {
        if let Some(id) = self.state.session_of(subject) {
            return self.node.seen_unreadable(now, id, revision);
        }
        let hash = subject.rsplit('.').next().unwrap_or_default();
        match self.held.get(hash).map(|(account, ..)| Key::Account(Arc::clone(account))) {
            Some(key) => self.node.seen(now, &key, revision, None),
            None => self.node.passed(now, revision),
        }
    }

    /// Takes back the permission of an account.
    fn end(&mut self, account: &str, token: Token) {
        let hash = names::hash(account);
        if let Some((_, held, permit)) = self.held.get(&hash)
            && *held == token
        {
            permit.end();
            self.held.remove(&hash);
        }
    }

    /// Restarts the watch if an own write does not arrive, nor anything before it.
    fn look_at_the_watch(&mut self) {
        if self.awaited.is_some_and(|(_, since)| clock::now() > self.heard.max(since) + ARRIVAL) {
            self.awaited = None;
            self.watch.begin_again();
            self.in_vain += 1;
            if self.in_vain == VAIN {
                (self.orders)(Order::Report(StateError::Silent(self.state.cluster.to_string())));
            }
        }
    }

    /// Looks for the stream of the state if NATS is silent for long.
    fn look_for_the_stream(&mut self) {
        if self.silence.is_long(clock::now(), self.state.link.is_connected()) {
            self.mend();
            if self.silence.lasts() {
                self.report(PutError::Silent);
            }
        }
    }

    /// Creates the stream of the state anew if NATS has none any more, as a node does that starts.
    fn mend(&mut self) {
        if self.mending.is_none() {
            self.mending = Some(Box::pin(look_for_other_times(self.state.clone(), self.timing)));
        }
    }
}

/// Creates the stream of the state if it is gone, and compares the times of the cluster, until NATS has said what they are. Returns how
/// they differ.
pub(crate) async fn look_for_other_times(state: State, timing: Timing) -> Option<StateError> {
    loop {
        match State::open(&state.link, &state.cluster, timing).await {
            Ok(_) => return None,
            Err(StartError::State(error @ StateError::Timing { .. })) => return Some(error),
            Err(error) => tracing::debug!(%error, "the stream of the cluster's state is looked for again soon"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the stream was looked for.
async fn mended(mending: &mut Option<Mending>) -> Option<StateError> {
    match mending {
        Some(mending) => mending.await,
        None => std::future::pending().await,
    }
}
