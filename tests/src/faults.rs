//! Simulates network faults: a proxy on loopback that closes, resets, delays, splits and silences connections on
//! demand.
//!
//! It does not interpret what it carries. Data that was read from one end before a fault and not yet written to the
//! other is lost, as on a real network.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// The largest piece that is carried at once.
const CHUNK: usize = 16 * 1024;

/// A fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Both ends see an orderly close.
    Close,
    /// Both ends see a reset.
    Reset,
    /// Neither end sees anything: data that it writes is accepted, and none arrives.
    Silence,
}

/// How connections without a fault are carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// The delay of each piece.
    pub delay: Duration,
    /// The largest length of a piece; `None` leaves pieces as they come.
    pub piece: Option<usize>,
    /// The rate in bytes a second, in each direction; `None` is unlimited.
    pub rate: Option<u64>,
    /// The fault that hits a new connection after this many bytes, both directions together.
    pub limit: Option<(u64, Fault)>,
}

/// A proxy. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct Faults {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    way: Mutex<Way>,
    /// How many faults were ordered, and the last of them, for the present connections.
    order: watch::Sender<(u64, Fault)>,
    accepted: AtomicU64,
}

impl Faults {
    /// Listens on a free port of the loopback interface, in front of a server on another port.
    pub async fn before(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let (order, _) = watch::channel((0, Fault::Close));
        let state = Arc::new(State { way: Mutex::default(), order, accepted: AtomicU64::new(0) });
        let task = tokio::spawn(serve(listener, server, Arc::clone(&state)));
        Ok(Self { port, state, task })
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Applies a fault to every present connection.
    pub fn strike(&self, fault: Fault) {
        self.state.order.send_modify(|(count, last)| {
            *count += 1;
            *last = fault;
        });
    }

    /// Changes how new connections are carried.
    pub fn set(&self, way: Way) {
        *self.state.way.lock().unwrap_or_else(PoisonError::into_inner) = way;
    }

    /// Returns how many connections were accepted.
    pub fn accepted(&self) -> u64 {
        self.state.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn way(&self) -> Way {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, server: u16, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => {
                    state.accepted.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(carry(near, server, Arc::clone(&state)));
                }
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut near: TcpStream, server: u16, state: Arc<State>) {
    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
    // Each piece must be a separate segment, or splitting would have no effect.
    if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
        return;
    }
    let limit = state.way().limit;
    let budget = Budget { left: AtomicU64::new(limit.map_or(u64::MAX, |(bytes, _)| bytes)) };
    let mut order = state.order.subscribe();
    let fault = {
        let (near_in, near_out) = near.split();
        let (far_in, far_out) = far.split();
        tokio::select! {
            end = pump(near_in, far_out, &state, &budget) => end,
            end = pump(far_in, near_out, &state, &budget) => end,
            changed = order.changed() => match changed {
                Ok(()) => End::Struck(order.borrow_and_update().1),
                Err(_) => End::Over,
            },
        }
    };
    let fault = match (fault, limit) {
        (End::Struck(fault), _) | (End::Exhausted, Some((_, fault))) => fault,
        (End::Over, _) | (End::Exhausted, None) => Fault::Close,
    };
    match fault {
        Fault::Close => {}
        Fault::Reset => {
            // Closing then resets the connection at once, and drops data in transit.
            let _ = (near.set_zero_linger(), far.set_zero_linger());
        }
        Fault::Silence => {
            let mut order = state.order.subscribe();
            tokio::select! {
                () = swallow(&mut near) => {}
                () = swallow(&mut far) => {}
                // The next fault finds a dead connection, and closes it.
                _ = order.changed() => {}
            }
        }
    }
}

enum End {
    Over,
    Exhausted,
    Struck(Fault),
}

/// The number of bytes that may still be carried.
struct Budget {
    left: AtomicU64,
}

impl Budget {
    /// Takes up to `wanted` bytes from the budget.
    fn take(&self, wanted: usize) -> usize {
        let before = self.left.load(Ordering::Relaxed);
        let taken = before.min(wanted as u64);
        self.left.store(before - taken, Ordering::Relaxed);
        usize::try_from(taken).unwrap_or(wanted)
    }
}

async fn pump(
    mut from: tokio::net::tcp::ReadHalf<'_>,
    mut to: tokio::net::tcp::WriteHalf<'_>,
    state: &State,
    budget: &Budget,
) -> End {
    let mut buffer = vec![0; CHUNK];
    loop {
        let Way { delay, piece, rate, .. } = state.way();
        let most = piece.unwrap_or(CHUNK).clamp(1, CHUNK);
        let amount = match from.read(&mut buffer[..most]).await {
            Ok(0) | Err(_) => return End::Over,
            Ok(amount) => amount,
        };
        let takes = rate.map_or(Duration::ZERO, |rate| Duration::from_micros(amount as u64 * 1_000_000 / rate.max(1)));
        if !(delay + takes).is_zero() {
            sleep(delay + takes).await;
        }
        let carried = budget.take(amount);
        if to.write_all(&buffer[..carried]).await.is_err() {
            return End::Over;
        }
        if carried < amount {
            return End::Exhausted;
        }
    }
}

/// Reads and discards data until the end closes.
async fn swallow(end: &mut TcpStream) {
    let mut buffer = vec![0; CHUNK];
    while !matches!(end.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// Starts a server that echoes everything, and a proxy in front of it.
    async fn echo() -> (Faults, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let faults = Faults::before(listener.local_addr().unwrap().port()).await.unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        (faults, server)
    }

    async fn connect(faults: &Faults) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, faults.port())).await.unwrap();
        stream.write_all(b"hi").await.unwrap();
        let mut back = [0; 2];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hi");
        stream
    }

    #[tokio::test]
    async fn each_fault_looks_like_itself() {
        let (faults, server) = echo().await;
        let mut closed = connect(&faults).await;
        faults.strike(Fault::Close);
        assert_eq!(closed.read(&mut [0; 8]).await.unwrap(), 0);
        let mut reset = connect(&faults).await;
        faults.strike(Fault::Reset);
        assert_eq!(reset.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let mut silent = connect(&faults).await;
        faults.strike(Fault::Silence);
        tokio::task::yield_now().await;
        silent.write_all(b"anybody?").await.unwrap();
        let heard = tokio::time::timeout(Duration::from_millis(200), silent.read(&mut [0; 8])).await;
        assert!(heard.is_err(), "{heard:?}");
        assert_eq!(faults.accepted(), 3);
        server.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_narrow_way_takes_its_time() {
        let (faults, server) = echo().await;
        faults.set(Way { rate: Some(1_000), piece: Some(100), ..Way::default() });
        let began = tokio::time::Instant::now();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, faults.port())).await.unwrap();
        stream.write_all(&[7; 2_000]).await.unwrap();
        stream.read_exact(&mut [0; 2_000]).await.unwrap();
        let taken = began.elapsed();
        assert!(taken >= Duration::from_secs(2) && taken < Duration::from_secs(5), "{taken:?}");
        server.abort();
    }

    #[tokio::test]
    async fn a_limit_is_met_to_the_byte() {
        let (faults, server) = echo().await;
        faults.set(Way { limit: Some((7, Fault::Close)), piece: Some(3), ..Way::default() });
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, faults.port())).await.unwrap();
        stream.write_all(b"abcde").await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert!(back.len() <= 2 && b"abcde".starts_with(&back), "{back:?}");
        server.abort();
    }
}
