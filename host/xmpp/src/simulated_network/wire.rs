//! The simulated wire between both ends: carries bytes in pieces and with delay, until it breaks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;

use super::{Network, Order, PIPE};

/// How long a server may take to notice that a client is gone.
const LINGER: Duration = Duration::from_mins(5);

/// A fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Both ends see that the connection is gone.
    Cut,
    /// Neither end notices, but nothing is carried any more.
    Silence,
    /// The server ends the stream with this condition.
    Ended(&'static str),
    /// The server closes the stream without a reason.
    Closed,
}

/// The properties of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    delay: Duration,
    /// The maximum size of a piece.
    piece: usize,
    /// The fault that occurs after this many bytes, both directions together.
    limit: Option<(usize, Fault)>,
}

impl Way {
    pub(super) const GOOD: Self = Self { delay: Duration::ZERO, piece: PIPE, limit: None };

    /// Creates a connection that is lost after this many bytes.
    pub(super) fn cut_after(bytes: usize) -> Self {
        Self { limit: Some((bytes, Fault::Cut)), ..Self::GOOD }
    }

    pub(super) fn draw(random: &mut StdRng) -> Self {
        let (delay, piece) = match random.random_range(0..6) {
            0 => (Duration::from_millis(random.random_range(1..400)), PIPE),
            1 => (Duration::from_millis(2), random.random_range(32..200)),
            _ => (Duration::ZERO, PIPE),
        };
        let fault = if random.random_ratio(2, 3) { Fault::Cut } else { Fault::Silence };
        // A log-in takes some 1,500 bytes, a message 200.
        let limit = random.random_ratio(1, 3).then(|| (random.random_range(0..6_000), fault));
        Self { delay, piece, limit }
    }
}

/// The reason that a connection carries no more.
enum End {
    /// Either end has closed it.
    Gone,
    Struck(Fault),
}

impl Network {
    pub(super) async fn carry(
        &self,
        number: u32,
        (mut near, mut far): (DuplexStream, DuplexStream),
        way: Way,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        let left = AtomicUsize::new(way.limit.map_or(usize::MAX, |(bytes, _)| bytes));
        let end = {
            let ((near_in, near_out), (far_in, far_out)) = (tokio::io::split(&mut near), tokio::io::split(&mut far));
            tokio::select! {
                biased;
                fault = struck(number, &mut orders) => End::Struck(fault),
                end = pump(near_in, far_out, way, &left) => end,
                end = pump(far_in, near_out, way, &left) => end,
            }
        };
        let End::Struck(fault) = end else { return };
        let is_silent = fault == Fault::Silence;
        self.tell(format_args!("connection {number}: {fault:?}"));
        self.observed(|observed| observed.broken(number, is_silent));
        if is_silent {
            swallow(&mut near).await;
            drop(near);
            // The server may assume for a long time that the client is still connected.
            let _ = tokio::time::timeout(LINGER, swallow(&mut far)).await;
        }
    }
}

/// Waits until the wire is to break.
async fn struck(number: u32, orders: &mut mpsc::UnboundedReceiver<Order>) -> Fault {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Suffer { connection, fault: fault @ (Fault::Cut | Fault::Silence) } if connection == number => {
                return fault;
            }
            Order::Suffer { .. } | Order::Look => {}
        }
    }
    std::future::pending().await
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, way: Way, left: &AtomicUsize) -> End {
    let mut buffer = vec![0; way.piece];
    loop {
        let amount = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return End::Gone,
            Ok(amount) => amount,
        };
        if !way.delay.is_zero() {
            tokio::time::sleep(way.delay).await;
        }
        let before = left.load(Ordering::Relaxed);
        let carried = before.min(amount);
        left.store(before - carried, Ordering::Relaxed);
        if to.write_all(&buffer[..carried]).await.is_err() {
            return End::Gone;
        }
        if let Some((_, fault)) = way.limit.filter(|_| carried < amount) {
            return End::Struck(fault);
        }
    }
}

/// Reads and discards everything, until the end is closed.
async fn swallow(end: &mut DuplexStream) {
    let mut buffer = vec![0; PIPE];
    while !matches!(end.read(&mut buffer).await, Ok(0) | Err(_)) {}
}
