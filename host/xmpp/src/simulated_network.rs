//! A simulated network with a server, in one thread, for tests with a paused clock: every fault on the network or the
//! server follows from one seed.
//!
//! A [`Network`] is a [`Dial`](super::Dial) instead of TCP and TLS. Everything
//! above, from the first byte of the stream to the account, is the real code. `wire` loses bytes, `observed` holds the
//! state of the server that tests look at.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::observed::{Observed, Standing};
pub use self::wire::Fault;
use self::wire::Way;
use super::dialer::{Connection, Dial};
use super::error::ConnectError;

mod observed;
mod server;
mod wire;

/// The bytes that can be in flight in one direction.
const PIPE: usize = 16 * 1024;

thread_local! {
    static NETWORK: RefCell<Option<Network>> = const { RefCell::new(None) };
}

/// Removes the network from this thread, and returns the log of its events.
pub fn story() -> Vec<String> {
    NETWORK.take().map(|network| std::mem::take(&mut network.lock().story)).unwrap_or_default()
}

/// The server's reaction to a log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Welcome {
    Good,
    /// The log-in is refused temporarily.
    Refused,
    /// The log-in is refused for good.
    Denied,
    /// The stream is ended with this condition.
    Ended(&'static str),
    /// The server closes the connection without an error.
    HungUp,
    /// The server sends nothing.
    Mute,
}

/// The server's reaction to a request to resume a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Good,
    /// The session is gone, except the count of handled stanzas.
    Counted,
    /// The session is gone.
    Forgotten,
    /// The server claims to have handled more stanzas than there were.
    Miscounted,
    /// The session is resumed, but nothing is handled on this connection.
    Deaf,
}

/// The fate of one connection.
#[derive(Debug, Clone, Copy)]
struct Fate {
    way: Way,
    welcome: Welcome,
    memory: Memory,
    /// The delay of acknowledgements.
    slowness: Duration,
}

impl Fate {
    const GOOD: Self = Self { way: Way::GOOD, welcome: Welcome::Good, memory: Memory::Good, slowness: Duration::ZERO };

    /// Draws the fate of a connection; `None` if it is refused.
    fn draw(random: &mut StdRng) -> Option<Self> {
        let welcome = match random.random_range(0..40) {
            0..=3 => return None,
            4 => Welcome::Refused,
            5 => Welcome::Ended("system-shutdown"),
            6 => Welcome::Ended("resource-constraint"),
            7 => Welcome::HungUp,
            8 => Welcome::Mute,
            10 => Welcome::Ended("see-other-host"),
            9 if random.random_ratio(1, 4) => Welcome::Denied,
            _ => Welcome::Good,
        };
        let memory = match random.random_range(0..20) {
            0..=3 => Memory::Counted,
            4..=6 => Memory::Forgotten,
            7 => Memory::Miscounted,
            8..=9 => Memory::Deaf,
            _ => Memory::Good,
        };
        let slowness = match random.random_range(0..4) {
            0 => Duration::from_millis(random.random_range(0..20_000)),
            _ => Duration::ZERO,
        };
        Some(Self { way: Way::draw(random), welcome, memory, slowness })
    }
}

/// An order to the tasks of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Look for something to do.
    Look,
    /// Apply this fault to the connection with this number, but to no newer one.
    Suffer { connection: u32, fault: Fault },
}

/// A network with one server and one client.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

struct State {
    began: Instant,
    random: StdRng,
    jitter: StdRng,
    /// The fates of the next connections.
    planned: VecDeque<Fate>,
    /// Whether no more random faults occur.
    calm: bool,
    /// The number of connections so far.
    connections: u32,
    /// The senders to both tasks of each connection. No `watch` channel is used, since its receivers wake in an
    /// arbitrary order.
    orders: Vec<mpsc::UnboundedSender<Order>>,
    observed: Observed,
    /// The log of all events, with the time in milliseconds.
    story: Vec<String>,
    tasks: JoinSet<()>,
}

impl Network {
    /// Sets up a network for this thread.
    pub fn begin(seed: u64) -> Self {
        let state = State {
            began: Instant::now(),
            random: StdRng::seed_from_u64(seed),
            jitter: StdRng::seed_from_u64(!seed),
            planned: VecDeque::new(),
            calm: false,
            connections: 0,
            orders: Vec::new(),
            observed: Observed::default(),
            story: Vec::new(),
            tasks: JoinSet::new(),
        };
        let network = Self(Arc::new(Mutex::new(state)));
        NETWORK.set(Some(network.clone()));
        network
    }

    /// Ends all connections.
    pub async fn end(&self) {
        let mut tasks = std::mem::take(&mut self.lock().tasks);
        tasks.shutdown().await;
    }

    /// Stops all further random faults.
    pub fn calm(&self) {
        self.lock().calm = true;
    }

    /// Plans this many good connections, and then one that is lost after this many bytes, both directions together.
    pub fn plan_cut(&self, good: usize, bytes: usize) {
        let cut = Fate { way: Way::cut_after(bytes), ..Fate::GOOD };
        self.lock().planned = iter::repeat_n(Fate::GOOD, good).chain([cut]).collect();
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> usize {
        self.lock().connections as usize
    }

    /// Applies this fault to the current connection.
    pub fn strike(&self, fault: Fault) {
        let mut state = self.lock();
        let connection = state.connections;
        state.order(Order::Suffer { connection, fault });
    }

    /// Makes a contact send this many more messages.
    pub fn say(&self, count: u32) {
        self.observed(|observed| observed.say(count));
        self.wake();
    }

    /// Makes every connection look for something to do.
    fn wake(&self) {
        self.lock().order(Order::Look);
    }

    /// Gives access to the state of the server that tests look at.
    pub fn observed<R>(&self, look: impl FnOnce(&mut Observed) -> R) -> R {
        look(&mut self.lock().observed)
    }

    /// Adds an entry to the log of events.
    pub fn tell(&self, what: impl Display) {
        self.lock().tell(what);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics over it")
    }

    fn connect(&self) -> Result<DuplexStream, ConnectError> {
        let mut state = self.lock();
        state.connections += 1;
        let number = state.connections;
        let fate = match state.planned.pop_front() {
            None if !state.calm => Fate::draw(&mut state.random),
            planned => Some(planned.unwrap_or(Fate::GOOD)),
        };
        state.tell(format_args!("connection {number}: {fate:?}"));
        let Some(fate) = fate else { return Err(ConnectError::Refused { address: "nowhere".to_owned() }) };
        let (near, ours) = tokio::io::duplex(PIPE);
        let (theirs, far) = tokio::io::duplex(PIPE);
        let orders = state.subscribe();
        let network = self.clone();
        state.tasks.spawn(async move { network.carry(number, (ours, theirs), fate.way, orders).await });
        let orders = state.subscribe();
        let network = self.clone();
        state.tasks.spawn(async move { network.serve(number, far, fate, orders).await });
        Ok(near)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network(..)")
    }
}

impl Dial for Network {
    fn dial(&self) -> Result<Box<dyn Connection>, ConnectError> {
        Ok(Box::new(self.connect()?))
    }

    fn draw(&self) -> f64 {
        self.lock().jitter.random()
    }
}

impl State {
    fn subscribe(&mut self) -> mpsc::UnboundedReceiver<Order> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.orders.push(sender);
        receiver
    }

    fn order(&mut self, order: Order) {
        self.orders.retain(|half| half.send(order).is_ok());
    }

    fn tell(&mut self, what: impl Display) {
        self.story.push(format!("{} {what}", self.began.elapsed().as_millis()));
    }
}
