//! Requests to the owner's pages that are slow, many, or without an end.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use parlor_tests::usage;
use parlor_tests::window::{Session, Window, read};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{interval, timeout};

use super::{Pages, is, nothing_changed, open};
use crate::case::{Case, case};
use crate::cpu::remove;
use crate::stage::SOON;
use crate::trial::Trial;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(156, "slow and many connections to the owner's pages", slow),
        case!(157, "bodies and uploads to the owner's pages without an end", endless),
        case!(163, "somebody who only looks, and asks for pages without an end", greedy),
    ]
}

/// The most that the pages' process may grow by, in KiB.
const SPARE_KIB: u64 = 32 << 10;
/// The most time that a slow request is waited for: 10 s for its head, and 30 s for its body.
const PATIENCE: Duration = Duration::from_secs(45);
/// The time from one byte of a slow request to the next.
const DRIP: Duration = Duration::from_millis(200);
/// The largest upload that is read, and what is sent beyond it, in bytes.
const UPLOAD: usize = 64 << 20;
const BEYOND: usize = 8 << 20;
/// The most requests of a session at once, and those of each second after that.
const AT_ONCE: u64 = 600;
const EACH_SECOND: u64 = 20;

/// Connects from an address of the loopback interface.
async fn connect(window: &Window, from: u8) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 2, from), 0).into())?;
    socket.connect(window.at()).await.context("nobody listens for the pages")
}

/// Sends a request byte by byte until the server has enough of it. Returns how long that took.
async fn drip(window: &Window, from: u8, request: &str) -> Result<Duration> {
    let began = Instant::now();
    let mut stream = connect(window, from).await?;
    let mut pace = interval(DRIP);
    let (mut reading, mut writing) = stream.split();
    let dripping = async {
        for byte in request.bytes().chain(std::iter::repeat(b'x')) {
            pace.tick().await;
            if writing.write_all(&[byte]).await.is_err() {
                break;
            }
        }
    };
    let mut answer = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer);
    let ended = async {
        tokio::select! {
            () = dripping => {}
            _ = reading => {}
        }
    };
    timeout(PATIENCE, ended).await.context("a slow request is waited for without an end")?;
    Ok(began.elapsed())
}

async fn slow(trial: &mut Trial) -> Result<String> {
    let (stage, Pages { window, owner }) = open(trial, |entry| entry).await?;
    let base = usage::anonymous_kib(window.id())?;
    let token = owner.csrf("/plugins/echo", "/plugins/echo/restart").await?;
    let head = owner.head("POST", "/plugins/echo/restart");
    let body = format!(
        "{head}origin: {}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 9999\r\n\r\ncsrf={token}&",
        owner.origin
    );
    // The head of one comes slowly, the body of the other; and some send nothing at all.
    let (window_ref, owner_ref, body_ref) = (&window, &owner, body.as_str());
    let slow = join_all((1..=6).map(|from| async move {
        let head = "GET / HTTP/1.1\r\nhost: ";
        let slow_body = async {
            let mut stream = connect(window_ref, from).await?;
            stream.write_all(body_ref.as_bytes()).await?;
            timeout(PATIENCE, read(&mut stream)).await.context("a slow body is waited for without an end")?
        };
        let silent = async {
            let mut stream = connect(window_ref, from).await?;
            timeout(PATIENCE, read(&mut stream)).await.context("a silent connection is kept without an end")?
        };
        let (dripped, given_up, left) = tokio::join!(drip(window_ref, from, head), slow_body, silent);
        dripped?;
        is(&given_up?, &[0, 408], "a slow body")?;
        is(&left?, &[0, 408], "a silent connection")
    }));
    // The owner looks at pages meanwhile, and the neighbour answers.
    let looks = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..50 {
            let began = Instant::now();
            is(&owner_ref.get("/").await?, &[200], "the owner")?;
            slowest = slowest.max(began.elapsed());
        }
        anyhow::Ok(slowest)
    };
    let (slow, looks, during) = tokio::join!(slow, looks, stage.during());
    slow.into_iter().collect::<Result<Vec<()>>>()?;
    during?;
    let slowest = looks?;
    // One address has no more than its part.
    let mut kept = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(&window, 99).await?;
        stream.write_all(b"GET / HTTP/1.1\r\n").await?;
        kept.push(stream);
    }
    let mut further = connect(&window, 99).await?;
    let _ = further.write_all(b"GET / HTTP/1.1\r\n").await;
    is(&read(&mut further).await?, &[0], "one connection too many")?;
    drop(kept);
    nothing_changed(stage).await?;
    let grown = usage::anonymous_kib(window.id())?.saturating_sub(base);
    ensure!(grown <= SPARE_KIB, "the pages' process grew by {} MiB", grown >> 10);
    drop(window);
    remove(stage).await?;
    Ok(format!("each is given up; the owner waits for {:.1} s at most", slowest.as_secs_f64()))
}

async fn greedy(trial: &mut Trial) -> Result<String> {
    let (stage, Pages { window, owner }) = open(trial, |entry| entry).await?;
    let viewer = window.log_in(&stage.home, "viewer").await?;
    let (began, mut served) = (Instant::now(), 0);
    loop {
        let answer = viewer.get("/no-such-page").await?;
        if answer.status == 429 {
            ensure!(!answer.header("retry-after").is_empty(), "it does not say for how long: {answer:?}");
            break;
        }
        is(&answer, &[404], "a page that is not there")?;
        served += 1;
        let most = AT_ONCE + EACH_SECOND * (began.elapsed().as_secs() + 1);
        ensure!(served <= most, "{served} requests of one session are answered within {:?}", began.elapsed());
    }
    ensure!(served >= AT_ONCE, "a session is refused after {served} requests");
    // Others, and other sessions of the same address, are served meanwhile.
    is(&owner.get("/").await?, &[200], "the owner")?;
    is(&window.log_in(&stage.home, "viewer").await?.get("/").await?, &[200], "another viewer")?;
    stage.during().await?;
    nothing_changed(stage).await?;
    drop(window);
    remove(stage).await?;
    Ok(format!("refused after {served} requests; the owner is served"))
}

/// Sends a request whose body has no end, until the server has enough of it or much was sent. Returns how much was sent, and the
/// status of the answer.
async fn pour(session: &Session, head: &str, begins: &[u8]) -> Result<(usize, u16)> {
    let mut stream = session.connect().await?;
    let head = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n", begins.len());
    let first = [head.as_bytes(), begins, b"\r\n"].concat();
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    let mut sent = 0;
    let pouring = async {
        if stream.write_all(&first).await.is_err() {
            return;
        }
        while sent < UPLOAD + BEYOND && stream.write_all(chunk.as_bytes()).await.is_ok() {
            sent += 1 << 16;
        }
    };
    timeout(SOON, pouring).await.context("nobody reads, and nobody refuses")?;
    let answer = timeout(SOON, read(&mut stream)).await.context("a body without an end is not answered")??;
    Ok((sent, answer.status))
}

async fn endless(trial: &mut Trial) -> Result<String> {
    let (stage, Pages { window, owner }) = open(trial, |entry| entry).await?;
    let base = usage::anonymous_kib(window.id())?;
    let token = owner.csrf("/install", "/install/file").await?;
    let other = owner.csrf("/plugins/echo", "/plugins/echo/restart").await?;
    let part = |token: &str| {
        format!(
            "--b\r\ncontent-disposition: form-data; name=\"csrf\"\r\n\r\n{token}\r\n--b\r\ncontent-disposition: form-data; \
             name=\"file\"; filename=\"../../x.wasm\"\r\n\r\n"
        )
    };
    let kinds = ["multipart/form-data; boundary=b", "application/x-www-form-urlencoded"];
    let guest = window.guest();
    for (visitor, path, kind, begins) in [
        (&owner, "/install/file", kinds[0], part(&token)),
        (&owner, "/install/file", kinds[0], part(&other)),
        (&owner, "/install/file", kinds[0], part("")),
        (&guest, "/install/file", kinds[0], part(&token)),
        (&owner, "/plugins/echo/restart", kinds[1], format!("csrf={other}&x=")),
        (&guest, "/plugins/echo/restart", kinds[1], format!("csrf={other}&x=")),
        (&guest, "/login/x", kinds[1], "x=".to_owned()),
    ] {
        let head = visitor.head("POST", path) + &format!("origin: {}\r\ncontent-type: {kind}\r\n", visitor.origin);
        let (sent, status) = pour(visitor, &head, begins.as_bytes()).await?;
        ensure!([0, 400, 403, 413].contains(&status), "{path} is answered with {status} after {sent} bytes");
        let grown = usage::anonymous_kib(window.id())?.saturating_sub(base);
        ensure!(grown <= SPARE_KIB, "the pages' process grew by {} MiB at {path}", grown >> 10);
    }
    // The uploaded bytes are gone, and nothing stands where the file's name leads to.
    let folder = stage.home.path().parent().context("a folder above")?;
    ensure!(!folder.join("x.wasm").exists() && !stage.home.path().join("x.wasm").exists(), "the file's name was used");
    let files = std::fs::read_dir(format!("/proc/{}/fd", window.id()))?.flatten();
    let deleted = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    let held = deleted.filter(|path| path.display().to_string().contains("wasm")).count();
    ensure!(held == 0, "{held} uploaded files are still open");
    stage.during().await?;
    nothing_changed(stage).await?;
    is(&owner.get("/").await?, &[200], "the owner")?;
    drop(window);
    remove(stage).await?;
    Ok("refused, and no more than a part is held".to_owned())
}
