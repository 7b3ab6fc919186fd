//! The time of answers: it tells nobody which addresses there are, or how much of a signature is right.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use parlor_tests::webhooks::github;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::hooks::{Hooks, SECRET, slack};
use crate::stage::SOON;

/// The number of requests of each kind.
const ROUNDS: usize = 151;
/// The length of a body, in bytes: without the same work on it, an answer comes much sooner.
const BODY: usize = 512 << 10;
/// How many times as long as the fastest kind the slowest one may take, by their medians. A wide bound: a busy machine must not fail
/// it.
const MOST: f64 = 1.5;

/// Checks that requests of each kind that is refused take as long. They go over one connection and by turns, so that all kinds meet
/// the same load.
pub(super) async fn refusals_take_as_long(hooks: &Hooks) -> Result<()> {
    let (body, queue) = ("x".repeat(BODY), hooks.path("queue")?);
    let (folder, random) = queue.rsplit_once('/').context("a path without a slash")?;
    let (wrong, right) = (github("another secret", &body), github(&SECRET, &body));
    let (digits, last) = right.trim_end().split_at(right.trim_end().len() - 1);
    let nearly = format!("{digits}{}\r\n", if last == "0" { "1" } else { "0" });
    // These could be refused without a look at the body.
    let (unsigned, token) = (String::new(), "authorization: Bearer x\r\n".to_owned());
    let late = slack(&body, Timestamp::now().as_second() - 86_400);
    let kinds = [
        ("a wrong signature", queue.to_owned(), &wrong),
        ("a signature whose end is wrong", queue.to_owned(), &nearly),
        ("no signature", queue.to_owned(), &unsigned),
        ("a signature of yesterday", hooks.path("slack")?.to_owned(), &late),
        ("a wrong token", hooks.path("answer")?.to_owned(), &token),
        ("an unknown address", format!("{folder}/{}", "0".repeat(random.len())), &right),
        ("an unknown plugin", queue.replacen("receiver", "nobody", 1), &right),
        ("an unknown address, without a signature", format!("{folder}/{}", "1".repeat(random.len())), &unsigned),
    ];
    let requests = kinds.each_ref().map(|(_, path, lines)| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {BODY}\r\n\r\n{body}")
    });
    let mut stream = TcpStream::connect(hooks.at).await?;
    stream.set_nodelay(true)?;
    let mut times = kinds.each_ref().map(|_| Vec::new());
    for round in 0..ROUNDS {
        for at in (0..kinds.len()).map(|at| (at + round) % kinds.len()) {
            let took = timeout(SOON, refused(&mut stream, &requests[at])).await.context("no answer comes")?;
            times[at].push(took.with_context(|| kinds[at].0)?);
        }
    }
    let medians = times.map(|mut times: Vec<Duration>| {
        times.sort();
        times[ROUNDS / 2].as_secs_f64()
    });
    let fastest = medians.iter().copied().fold(f64::INFINITY, f64::min);
    for ((kind, ..), took) in kinds.iter().zip(medians) {
        let ratio = took / fastest;
        ensure!(ratio <= MOST, "{kind} is answered {ratio:.2} times as late as another kind, of {medians:?} s");
    }
    Ok(())
}

/// Sends a request that is refused, and returns how long its answer took.
async fn refused(stream: &mut TcpStream, request: &str) -> Result<Duration> {
    let begin = Instant::now();
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the host closed the connection");
    }
    ensure!(answer.starts_with(b"HTTP/1.1 401 "), "it was answered with {}", String::from_utf8_lossy(&answer));
    Ok(begin.elapsed())
}
