//! Attacks on the server that listens for webhooks: too much, too slowly, too often.

use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::webhooks::{github, status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::hooks::{Hooks, REFUSED, SECRET, SENDER, has_stored, say, shown};
use super::{open, took_nothing};
use crate::case::{Case, case};
use crate::stage::{SOON, Stage, canary};
use crate::trial::Trial;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(98, "bodies too long or too slow, and 10,000 connections", bodies_and_crowds),
        case!(112, "heads of requests that are too much", heads),
    ]
}

/// The number of addresses that connections come from, and of connections from each.
const ADDRESSES: u8 = 10;
const EACH: usize = 1_000;
/// How many of those that find no place are open at once: this process has a limit on its files, too.
const ROUND: usize = 104;
/// How many of them the host keeps.
const KEPT: usize = 64;
// Each address has whole rounds of connections beside those that the host keeps.
const _: () = assert!((EACH - KEPT).is_multiple_of(ROUND));
/// Further files that the host may have open for other reasons meanwhile.
const SPARE_FILES: usize = 16;

/// The beginning of a request whose body does not come: six bytes of it are missing.
pub(super) const HALF: &str =
    "POST /hooks/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\nhalf";

async fn bodies_and_crowds(trial: &mut Trial) -> Result<String> {
    let (stage, hooks) = open(trial, |entry| entry.limit("webhook_body", "1 KiB")).await?;
    let slow = tokio::spawn(say(SENDER, hooks.at, HALF.as_bytes()));
    long_bodies(&hooks).await?;
    took_nothing(stage).await?;
    let before = open_files(stage)?;
    let crowd = crowd(&hooks).await?;
    let most = before + usize::from(ADDRESSES) * KEPT + SPARE_FILES;
    let files = open_files(stage)?;
    ensure!(files <= most, "the host has {files} open files, and {most} are the most");
    stage.during().await?;
    // Another sender's request is accepted, and delivered to the plugin.
    ensure!(hooks.signed("through").await? == 202, "a sender finds no place beside the crowd");
    has_stored(stage, "queue", "through").await?;
    drop(crowd);
    // The crowd's addresses have places again, once the host has noticed.
    let from = Ipv4Addr::new(127, 0, 0, 2);
    let path = hooks.path("open")?;
    let deadline = Instant::now() + SOON;
    while status(&hooks.send_from(from, &format!("POST {path} HTTP/1.1\r\n"), "again").await?) != 202 {
        ensure!(Instant::now() < deadline, "places that were left are not free again");
        stage.answers().await?;
    }
    let answer = slow.await??;
    ensure!(answer == REFUSED, "a body that does not come is answered with {answer:?}");
    stage.during().await?;
    Ok(format!(
        "{KEPT} places for each of {ADDRESSES} addresses, of {EACH} connections; others get through; a slow body ends"
    ))
}

/// Sends bodies that are longer than the limit, with different declared lengths.
async fn long_bodies(hooks: &Hooks) -> Result<()> {
    let path = hooks.path("queue")?;
    let long = "x".repeat(1_025);
    let signed = github(&SECRET, &long);
    hooks.refuses(&format!("POST {path} HTTP/1.1\r\n{signed}"), &long).await?;
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{signed}");
    let huge = "y".repeat(4 << 20);
    for rest in [
        // Nothing of this body is sent.
        "content-length: 18446744073709551615\r\n\r\n".to_owned(),
        "content-length: 99999999999\r\n\r\n".to_owned(),
        format!("transfer-encoding: chunked\r\n\r\n401\r\n{long}\r\n0\r\n\r\n"),
        format!("transfer-encoding: chunked\r\n\r\n{}", "1\r\nx\r\n".repeat(2_000)),
        format!("content-length: {}\r\n\r\n{huge}", huge.len()),
        format!("transfer-encoding: chunked\r\n\r\n400000\r\n{huge}"),
        "transfer-encoding: chunked\r\n\r\nffffffffffffffff0\r\n".to_owned(),
        format!("transfer-encoding: chunked\r\n\r\n1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(1 << 20)),
    ] {
        let answer = say(SENDER, hooks.at, format!("{head}{rest}").as_bytes()).await?;
        // If the host closes the connection before it has read everything, the answer may be lost.
        let is_refused = answer.is_empty() || [400, 401, 431].contains(&status(&answer));
        ensure!(is_refused, "{rest:.60}: {answer}");
    }
    Ok(())
}

/// Opens more connections from each of several addresses than one may have. Returns those that the host keeps.
async fn crowd(hooks: &Hooks) -> Result<JoinSet<()>> {
    let mut open = JoinSet::new();
    for number in 0..ADDRESSES {
        let from = Ipv4Addr::new(127, 0, 0, 2 + number);
        for number in 1..=EACH {
            let socket = TcpSocket::new_v4()?;
            socket.bind((from, 0).into())?;
            let mut stream = timeout(SOON, socket.connect(hooks.at)).await.context("no connection is accepted")??;
            open.spawn(async move {
                let _ = stream.write_all(HALF.as_bytes()).await;
                // Ends when the host closes the connection.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
            if number > KEPT && (number - KEPT).is_multiple_of(ROUND) {
                closed(&mut open, ROUND).await?;
            }
        }
    }
    Ok(open)
}

/// Waits until the host has closed this many connections.
async fn closed(open: &mut JoinSet<()>, count: usize) -> Result<()> {
    for _ in 0..count {
        timeout(SOON, open.join_next()).await.context("the host keeps more connections than one address may have")?;
    }
    Ok(())
}

/// Returns the number of files that the host has open.
fn open_files(stage: &Stage) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", stage.host.id()))?.count())
}

async fn heads(trial: &mut Trial) -> Result<String> {
    let (stage, hooks) = open(trial, |entry| entry).await?;
    let path = hooks.path("open")?;
    let many = (0..100_000).fold(String::new(), |head, number| head + &format!("x-{number}: y\r\n"));
    let some = (0..=100).fold(String::new(), |head, number| head + &format!("x-{number}: y\r\n"));
    let begin = format!("POST {path} HTTP/1.1\r\nhost: x\r\n");
    let bad = [
        format!("{begin}{many}\r\n"),
        format!("{begin}{some}\r\n"),
        format!("{begin}x: {}\r\n\r\n", "y".repeat(1 << 20)),
        format!("{begin}{}: y\r\n\r\n", "x".repeat(1 << 20)),
        format!("POST {path}?{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(1 << 20)),
        format!("{} {path} HTTP/1.1\r\nhost: x\r\n\r\n", "X".repeat(1 << 20)),
        "\r\n".repeat(1 << 20),
        format!("{begin}x : y\r\n\r\n"),
        format!("{begin}x: a\0b\r\n\r\n"),
        format!("{begin}x: a\rb\r\n\r\n"),
        format!("{begin} folded\r\n\r\n"),
        format!("POST {path} HTTP/9.9\r\nhost: x\r\n\r\n"),
        format!("POST  {path}  HTTP/1.1\r\nhost: x\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1} no TLS here\r\n\r\n".to_owned(),
    ];
    // Each of these waits for the rest of its head.
    let unfinished = [begin.clone(), format!("{begin}x: "), "P".to_owned(), String::new()];
    let mut waiting = JoinSet::new();
    for head in unfinished {
        let at = hooks.at;
        waiting.spawn(async move { say(SENDER, at, head.as_bytes()).await });
    }
    for head in &bad {
        let answer = say(SENDER, hooks.at, head.as_bytes()).await?;
        ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{head:.60}: {answer}");
    }
    stage.during().await?;
    while let Some(answer) = waiting.join_next().await {
        let answer = answer??;
        ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "a head without an end is answered: {answer}");
    }
    took_nothing(stage).await?;
    let body = canary("body");
    ensure!(status(&hooks.post("open", "", &body).await?) == 202, "the server takes nothing any more");
    has_stored(stage, "open", &body).await?;
    let sender = shown(stage, &[]).await?["requests"][0]["sender"].take();
    ensure!(sender == "127.0.0.1", "the sender is {sender}");
    Ok(format!("{} refused or closed; heads without an end are given up", bad.len()))
}
