//! A network and the server behind it, in one thread, for tests under a clock that stands still: whatever goes wrong on the way
//! or at the other end follows from one number.
//!
//! `connect` calls here in place of TCP and TLS, where a test has set up a [`Network`] on its thread; all above that, from
//! the first byte of the stream to the account, is what runs in earnest. `wire` loses bytes, `server` keeps the books.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use self::books::{Books, Standing};
pub(crate) use self::wire::Fault;
use self::wire::Way;
use super::connect::ConnectError;

mod books;
mod server;
mod wire;

/// How much is under way in one direction.
const PIPE: usize = 16 * 1024;

thread_local! {
    static NETWORK: RefCell<Option<Network>> = const { RefCell::new(None) };
}

/// A connection to the server, if this thread has a network.
pub(super) fn call() -> Option<Result<DuplexStream, ConnectError>> {
    NETWORK.with_borrow(Clone::clone).map(|network| network.connect())
}

/// What is drawn for a back-off in [0, 1), if this thread has a network.
pub(super) fn chance() -> Option<f64> {
    NETWORK.with_borrow(Clone::clone).map(|network| network.lock().jitter.random())
}

/// Takes the network away from this thread, and says what happened on it.
pub(crate) fn story() -> Vec<String> {
    NETWORK.take().map(|network| std::mem::take(&mut network.lock().story)).unwrap_or_default()
}

/// What becomes of a log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Welcome {
    Good,
    /// Refused for now.
    Refused,
    /// Refused for good.
    Denied,
    /// The stream is ended, with this condition.
    Ended(&'static str),
    /// The server closes the connection without a word.
    HungUp,
    /// It says nothing at all.
    Mute,
}

/// What becomes of a session that is to be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Good,
    /// Gone, but for what it had taken in.
    Counted,
    /// Gone.
    Forgotten,
    /// More was taken in than there was.
    Miscounted,
    /// It goes on, and nothing is taken in on this connection.
    Deaf,
}

/// What becomes of one connection.
#[derive(Debug, Clone, Copy)]
struct Fate {
    way: Way,
    welcome: Welcome,
    memory: Memory,
    /// How late it is acknowledged what was taken in.
    slowness: Duration,
}

impl Fate {
    const GOOD: Self = Self { way: Way::GOOD, welcome: Welcome::Good, memory: Memory::Good, slowness: Duration::ZERO };

    /// None: nobody answers.
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

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// There may be something to do.
    Look,
    /// This happens to the connection of this number, and a younger one is spared.
    Suffer { connection: u32, fault: Fault },
}

/// A network with one server and one client.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<State>>);

struct State {
    began: Instant,
    random: StdRng,
    jitter: StdRng,
    /// What becomes of the next connections.
    planned: VecDeque<Fate>,
    /// Nothing else goes wrong any more.
    calm: bool,
    /// How many connections there were.
    connections: u32,
    /// Both halves of each connection. No `watch`: it wakes in an order of its own.
    orders: Vec<mpsc::UnboundedSender<Order>>,
    books: Books,
    /// All that happened, with the time in milliseconds.
    story: Vec<String>,
    tasks: JoinSet<()>,
}

impl Network {
    /// Sets one up for this thread.
    pub(crate) fn begin(seed: u64) -> Self {
        let state = State {
            began: Instant::now(),
            random: StdRng::seed_from_u64(seed),
            jitter: StdRng::seed_from_u64(!seed),
            planned: VecDeque::new(),
            calm: false,
            connections: 0,
            orders: Vec::new(),
            books: Books::default(),
            story: Vec::new(),
            tasks: JoinSet::new(),
        };
        let network = Self(Arc::new(Mutex::new(state)));
        NETWORK.set(Some(network.clone()));
        network
    }

    /// Ends all connections.
    pub(crate) async fn end(&self) {
        let mut tasks = std::mem::take(&mut self.lock().tasks);
        tasks.shutdown().await;
    }

    /// From now on nothing goes wrong by itself.
    pub(crate) fn calm(&self) {
        self.lock().calm = true;
    }

    /// After so many good connections there will be one that is cut after so many bytes, both directions together.
    pub(crate) fn plan_cut(&self, good: usize, bytes: usize) {
        let cut = Fate { way: Way::cut_after(bytes), ..Fate::GOOD };
        self.lock().planned = iter::repeat_n(Fate::GOOD, good).chain([cut]).collect();
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.lock().connections as usize
    }

    /// Lets this happen to the connection that there is.
    pub(crate) fn strike(&self, fault: Fault) {
        let mut state = self.lock();
        let connection = state.connections;
        state.order(Order::Suffer { connection, fault });
    }

    /// Lets a contact say this much more.
    pub(crate) fn say(&self, count: u32) {
        self.books(|books| books.say(count));
        self.wake();
    }

    /// Every connection looks what there is to do.
    fn wake(&self) {
        self.lock().order(Order::Look);
    }

    /// What the server knows.
    pub(crate) fn books<R>(&self, look: impl FnOnce(&mut Books) -> R) -> R {
        look(&mut self.lock().books)
    }

    /// Notes that something happened.
    pub(crate) fn tell(&self, what: impl Display) {
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
