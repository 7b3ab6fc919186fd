//! Addresses of a component that sleep: the memory of each in a host of its own, and how soon some of them answer. The server is
//! a scripted one in this process.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use parlor_tests::host::{Home, Host};
use parlor_tests::policy::Policy;
use parlor_tests::usage;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use xtask::Part;

use crate::bots::Build;
use crate::domain::{AT_ONCE, DOMAIN, Server, address};
use crate::parked::{IDLE, entry};
use crate::row::{Goal, Row, Unit};

/// The number of addresses.
const ADDRESSES: usize = 100_000;
/// The number of addresses that are new at a start. New ones are awake at first, with some fifty times as much memory.
const NEW: usize = 20_000;
/// The number of addresses with a plugin that answers.
const ANSWERING: usize = AT_ONCE;
/// The most memory of each address, in KiB.
const EACH: f64 = 2.0;
/// The timeout of everything.
const SOON: Duration = Duration::from_mins(5);
/// The time between two looks.
const LOOK: Duration = Duration::from_millis(500);

#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 of anything")]
pub(crate) async fn rows(build: &Build) -> Result<Vec<Row>> {
    let (one, _) = measured(build, 1).await?;
    let (all, woken) = measured(build, ADDRESSES).await?;
    let each = all.saturating_sub(one) as f64 / (ADDRESSES - 1) as f64;
    let what = format!("memory of a host for each of {ADDRESSES} addresses that sleep");
    let memory = Row::alone(Part::Cluster, what, each, Unit::Kib).goal(Goal::AtMost(EACH));
    let what = format!("until {ANSWERING} of them have woken up and answered");
    let answers = Row::alone(Part::Cluster, what, woken.as_secs_f64() * 1e3, Unit::Millis);
    Ok(vec![memory, answers])
}

/// Returns the memory of a host that was started while so many addresses sleep, in KiB, and how long some of them take to answer.
async fn measured(build: &Build, count: usize) -> Result<(u64, Duration)> {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await?);
    let home = home(build, listener.local_addr()?.port(), count.min(ANSWERING))?;
    for known in (0..count).step_by(NEW) {
        lull(&home, &listener, count.min(known + NEW)).await.with_context(|| format!("beside {known} that sleep"))?;
    }
    // A host that ran them has memory that it may use again. A new one has none.
    let mut host = home.start()?;
    let mut server = timeout(SOON, Server::accept(&listener)).await.context("the component does not connect")??;
    host.wait("addresses sleep on", &[], SOON).await.context("they do not sleep on")?;
    host.wait("component connected", &[], SOON).await.context("the component does not connect")?;
    let memory = usage::anonymous_kib(host.id())?;
    let begin = Instant::now();
    if count >= ANSWERING {
        let answers = timeout(SOON, server.exchange(ANSWERING)).await;
        answers.context("addresses that sleep do not answer").flatten().with_context(|| host.log().tail())?;
    }
    let woken = begin.elapsed();
    // It closes the stream, and waits for the same.
    let closing = tokio::spawn(async move { server.keep().await });
    host.stop(SOON).await?;
    closing.abort();
    Ok((memory, woken))
}

/// Makes a home with a component, whose first addresses get a plugin that answers.
fn home(build: &Build, port: u16, answering: usize) -> Result<Home> {
    let mut home = Home::new()?;
    build.take(&mut home);
    home.set("allow_non_roster_messaging", true)?;
    home.add_component("bots", DOMAIN, "test", port)?;
    home.amend_component("bots", "sleep_after", "1 s")?;
    let mut echo = entry(&home, "echo", &build.echo)?.limit("idle", IDLE);
    echo.accounts = Some((0..answering).map(name).collect());
    home.set_policy(&Policy::default().with("echo", echo))?;
    Ok(home)
}

fn name(number: usize) -> String {
    format!("bot-{number}")
}

/// Runs a host with so many addresses until all of them sleep.
async fn lull(home: &Home, listener: &Arc<TcpListener>, count: usize) -> Result<()> {
    let mut accounts = String::new();
    for number in 0..count {
        writeln!(accounts, "[account.{}]\njid = \"{}\"\ncomponent = \"bots\"", name(number), address(number))?;
    }
    home.write("accounts.toml", &accounts)?;
    let server = keep(listener);
    let mut host = home.start()?;
    let asleep = asleep(home, &mut host, count, &server).await;
    server.abort();
    // Otherwise it would accept the next connection.
    let _ = server.await;
    asleep
}

/// Accepts each connection of the component, and reads what it sends.
fn keep(listener: &Arc<TcpListener>) -> JoinHandle<()> {
    let listener = Arc::clone(listener);
    tokio::spawn(async move {
        while let Ok(mut stream) = Server::accept(&listener).await {
            let _ = stream.keep().await;
        }
    })
}

/// Waits until all addresses sleep, and stops the host.
async fn asleep(home: &Home, host: &mut Host, count: usize, server: &JoinHandle<()>) -> Result<()> {
    let began = Instant::now();
    while home.run(&["status", "--json", "--limit", "1"]).await?.json()?["components"][0]["asleep"] != json!(count) {
        ensure!(began.elapsed() < SOON && !server.is_finished(), "the addresses do not fall asleep");
        sleep(LOOK).await;
    }
    host.stop(SOON).await.map(drop)
}
