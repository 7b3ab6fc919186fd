//! Ten thousand requests a second that the host refuses, and their effect on a neighbour without a webhook.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::future::{join_all, try_join_all};
use parlor_tests::webhooks::{Connection, github};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::{oneshot, watch};
use tokio::time::{Interval, interval, interval_at, sleep, timeout};

use super::hooks::{Hooks, receiver};
use super::load::HALF;
use super::took_nothing;
use crate::neighbours::{Flooded, Times};
use crate::stage::{Plan, SOON, Stage};

/// The number of requests in a second.
const RATE: u32 = 10_000;
/// The number of connections that they come over.
const CONNECTIONS: u32 = 32;
/// The number of connections whose bodies come slowly, as many as one address may have.
const SLOW: u32 = 64;
/// The time from one byte of such a body to the next.
const DRIP: Duration = Duration::from_millis(100);
/// The number of bytes that are missing of [`HALF`].
const MISSING: usize = 6;
/// How much the senders give way, as the host's server does. Strangers are on other machines.
const NICE: i32 = 10;
/// The number of messages in one conversation with the neighbour.
const TURNS: u64 = 500;
/// The number of conversations without requests, and of those during requests.
const ROUNDS: usize = 20;

/// Lets the neighbour answer without requests and during requests, in turn.
pub(crate) async fn measure() -> Result<Flooded> {
    let mut stage = Box::pin(Stage::set(receiver(Plan::new()?, |entry| entry)?)).await?;
    let hooks = Hooks::open(&mut stage).await?;
    let (mut rest, mut beside) = (Vec::new(), Vec::new());
    let (mut answered, mut time) = (0, Duration::ZERO);
    for _ in 0..ROUNDS {
        rest.extend(stage.converse(TURNS).await?);
        let flood = Flood::begin(&hooks).await?;
        beside.extend(stage.converse(TURNS).await?);
        let (requests, took) = flood.end().await?;
        answered += requests;
        time += took;
    }
    took_nothing(&stage).await?;
    ensure!(stage.host.lines("plugin ended", &[]).is_empty(), "a plugin was ended");
    ensure!(stage.host.lines("account connected", &[]).len() == 1, "the connection was lost");
    let answered = u32::try_from(answered).context("too many requests")?;
    let reached = f64::from(answered) / time.as_secs_f64();
    Ok(Flooded { rest: Times::of(rest), beside: Times::of(beside), wanted: f64::from(RATE), reached })
}

/// Requests that are sent by a thread of their own, until this is ended or dropped, and for [`SOON`] at most.
struct Flood {
    began: Instant,
    enough: watch::Sender<bool>,
    thread: JoinHandle<Result<u64>>,
}

impl Flood {
    /// Begins to send, and waits until the first one is answered.
    async fn begin(hooks: &Hooks) -> Result<Self> {
        let (enough, stops) = watch::channel(false);
        let (begun, is_begun) = oneshot::channel();
        let hooks = hooks.clone();
        let thread = std::thread::Builder::new().name("senders".to_owned());
        let thread = thread.spawn(move || send(&hooks, stops, begun))?;
        if is_begun.await.is_err() {
            return Err(outcome(thread).await.err().unwrap_or_else(|| anyhow!("the senders have ended")));
        }
        Ok(Self { began: Instant::now(), enough, thread })
    }

    /// Ends it. Returns the number of requests that were answered, and in what time.
    async fn end(self) -> Result<(u64, Duration)> {
        let took = self.began.elapsed();
        let _ = self.enough.send(true);
        Ok((outcome(self.thread).await?, took))
    }
}

/// Waits for the senders. Returns the number of requests that were answered since they began.
async fn outcome(thread: JoinHandle<Result<u64>>) -> Result<u64> {
    tokio::task::spawn_blocking(move || thread.join()).await?.map_err(|_| anyhow!("the senders panicked"))?
}

/// Sends requests until there are enough.
fn send(hooks: &Hooks, mut stops: watch::Receiver<bool>, begun: oneshot::Sender<()>) -> Result<u64> {
    // On Linux this is the priority of the thread alone.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // A first one, so that the following ones are sent at the full rate.
        timeout(SOON, first(hooks)).await.context("no request is answered")??;
        let _ = begun.send(());
        let answered = AtomicU64::new(0);
        let fast = try_join_all((0..CONNECTIONS).map(|number| fast(hooks, number, &answered)));
        let slow = join_all((0..SLOW).map(|_| slow(hooks)));
        tokio::select! {
            // Flooding tasks only end if they fail.
            failed = fast => failed.map(drop)?,
            _ = slow => {}
            // Also when the receiver was dropped.
            _ = stops.wait_for(|stops| *stops) => {}
            () = sleep(SOON) => bail!("the neighbour does not answer within {SOON:?}"),
        }
        Ok(answered.load(Relaxed))
    })
}

async fn first(hooks: &Hooks) -> Result<()> {
    ask(&mut Connection::open(from(0), hooks.at).await?, &refused(hooks, 0)?).await
}

/// Returns the address of a sender.
fn from(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 2 + number)
}

/// Returns a request that is refused: with a wrong signature, or to an unused address.
fn refused(hooks: &Hooks, number: u32) -> Result<String> {
    let path = hooks.path("queue")?;
    let (folder, _) = path.rsplit_once('/').context("a path without a slash")?;
    let path =
        if number.is_multiple_of(2) { path.to_owned() } else { format!("{folder}/{:048x}", rand::random::<u128>()) };
    let body = format!("{{\"connection\":{number},\"text\":\"{:512}\"}}", "pushed");
    let lines = github("another secret", &body);
    Ok(format!("POST {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {}\r\n\r\n{body}", body.len()))
}

async fn ask(connection: &mut Connection, request: &str) -> Result<()> {
    let status = connection.ask(request.as_bytes()).await?;
    ensure!(status == 401, "a request that has to be refused is answered with {status}");
    Ok(())
}

/// Sends its share of the requests over one connection, each after the answer to the one before, without an end.
async fn fast(hooks: &Hooks, number: u32, answered: &AtomicU64) -> Result<()> {
    let (request, share) = (refused(hooks, number)?, Duration::from_secs(1) * CONNECTIONS / RATE);
    let mut connection = Connection::open(from(0), hooks.at).await?;
    let mut pace = interval_at(tokio::time::Instant::now() + share * number / CONNECTIONS, share);
    loop {
        pace.tick().await;
        ask(&mut connection, &request).await?;
        answered.fetch_add(1, Relaxed);
    }
}

/// Sends requests whose bodies come slowly, one after the other. The host may close a connection at any time.
async fn slow(hooks: &Hooks) {
    let mut pace = interval(DRIP);
    loop {
        // Not even a server that closes each connection at once is asked more often.
        pace.tick().await;
        let _ = drip(hooks, &mut pace).await;
    }
}

/// Sends a request whose body is sent byte by byte, over a separate connection.
async fn drip(hooks: &Hooks, pace: &mut Interval) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from(1), 0).into())?;
    let mut stream = socket.connect(hooks.at).await?;
    stream.write_all(HALF.as_bytes()).await?;
    for _ in 0..MISSING {
        pace.tick().await;
        stream.write_all(b"x").await?;
    }
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}
