//! Addresses of a component that sleep: the memory of each in a host of its own. The server is a scripted one in this process.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use parlor_tests::host::Home;
use parlor_tests::usage;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;
use xtask::Part;

use crate::domain::{DOMAIN, Server, address};
use crate::row::{Goal, Row, Unit};

/// The number of addresses.
const ADDRESSES: usize = 20_000;
/// The most memory of each address, in KiB.
const EACH: f64 = 2.0;
/// The timeout of everything.
const SOON: Duration = Duration::from_mins(5);
/// The time between two looks.
const LOOK: Duration = Duration::from_millis(500);

#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 of anything")]
pub(crate) async fn rows() -> Result<Vec<Row>> {
    let (one, all) = (memory(1).await?, memory(ADDRESSES).await?);
    let each = all.saturating_sub(one) as f64 / (ADDRESSES - 1) as f64;
    let what = format!("memory of a host for each of {ADDRESSES} addresses that sleep");
    Ok(vec![Row::alone(Part::Cluster, what, each, Unit::Kib).goal(Goal::AtMost(EACH))])
}

/// Returns the memory of a host that was started while so many addresses sleep, in KiB.
async fn memory(count: usize) -> Result<u64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut home = Home::new()?;
    home.add_component("bots", DOMAIN, "test", listener.local_addr()?.port())?;
    home.amend_component("bots", "sleep_after", "1 s")?;
    let mut accounts = String::new();
    for number in 0..count {
        writeln!(accounts, "[account.bot-{number}]\njid = \"{}\"\ncomponent = \"bots\"", address(number))?;
    }
    home.write("accounts.toml", &accounts)?;
    let server = tokio::spawn(async move {
        while let Ok(mut stream) = Server::accept(&listener).await {
            let _ = stream.keep().await;
        }
    });
    let mut host = home.start()?;
    let began = Instant::now();
    while home.run(&["status", "--json", "--limit", "1"]).await?.json()?["components"][0]["asleep"] != json!(count) {
        ensure!(began.elapsed() < SOON && !server.is_finished(), "the addresses do not fall asleep");
        sleep(LOOK).await;
    }
    // A host that ran them has memory that it may use again. A new one has none.
    host.stop(SOON).await?;
    let mut host = home.start()?;
    host.wait("addresses sleep on", &[], SOON).await.context("they do not sleep on")?;
    host.wait("component connected", &[], SOON).await.context("the component does not connect")?;
    let memory = usage::anonymous_kib(host.id())?;
    host.stop(SOON).await?;
    server.abort();
    Ok(memory)
}
