//! Plugins that are parked: the memory of each, and how soon one answers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use parlor_tests::certificate::Certificate;
use parlor_tests::component::that_parks;
use parlor_tests::folder::Folder;
use parlor_tests::host::Home;
use parlor_tests::peer::{Session, somebody};
use parlor_tests::plugins::Built;
use parlor_tests::policy::{Entry, Policy};
use tokio::time::timeout;
use xtask::Part;

use crate::accounts::{Stage, answer};
use crate::bots::{Build, unlimited};
use crate::instances::settled;
use crate::row::{Goal, Row, Unit, median};

/// The numbers of accounts with this number of plugins.
const ACCOUNTS: [u32; 3] = [1, 10, 100];
/// The number of plugins on each account.
const PLUGINS: u32 = 1_000;
/// The most memory of each, in KiB.
const EACH: f64 = 2.0;
/// How many times as long as of a plugin that runs the first answer may take.
const SLOWER: f64 = 1.5;
/// The plugins whose answers are timed, each with a message that it answers.
const ANSWERING: [(&str, &str, &str); 2] = [("Rust", "echo", "hello"), ("C", "dice", "!roll d6")];
/// The number of answers.
const ANSWERS: usize = 200;
/// The least that `idle` may be.
pub(crate) const IDLE: &str = "10 ms";
/// A pause after which a plugin with this limit is parked.
const PAUSE: Duration = Duration::from_millis(30);
/// The log filter of the host: the parking of plugins, and little else.
const LOG: [&str; 2] = ["--log", "warn,parlor_runtime::supervisor::parking=debug"];
/// The timeout of everything that is not measured.
const SOON: Duration = Duration::from_mins(4);

/// Measures memory, and answers of plugins in two languages.
pub(crate) async fn rows(build: &Build) -> Result<Vec<Row>> {
    let folder = Folder::new()?;
    let certificate = Certificate::make(&folder)?;
    let mut rows = Vec::new();
    for accounts in ACCOUNTS {
        let each = each(&certificate, build, accounts).await?;
        let what = format!("memory of each of {}", PLUGINS * accounts);
        let row = Row::alone(Part::Parked, what, each, Unit::Kib);
        rows.push(row.goal(Goal::AtMost(EACH)));
    }
    for (language, plugin, words) in ANSWERING {
        let mut times = Vec::new();
        for idle in ["1 h", IDLE] {
            let policy = |home: &mut Home| {
                Ok(Policy::default().with(plugin, entry(home, plugin, &build.plugin(plugin)?)?.limit("idle", idle)))
            };
            let mut stage = Stage::set(&certificate, build, 1, &LOG, policy).await?;
            let session = stage.sessions.first_mut().context("there is one account")?;
            times.push(answers(session, words).await.with_context(|| stage.host.log().tail())?);
        }
        let what = format!("first answer in {language}, p50");
        let row = Row::alone(Part::Parked, what, times[1], Unit::Micros).beside("while it runs", times[0]);
        rows.push(row.goal(Goal::AtMost(SLOWER)));
    }
    Ok(rows)
}

/// Returns the memory of each parked plugin on so many accounts, in KiB.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 of anything")]
async fn each(certificate: &Certificate, build: &Build, accounts: u32) -> Result<f64> {
    let mut resident = Vec::new();
    for plugins in [1, PLUGINS] {
        let stage = parked(certificate, build, accounts, plugins).await;
        let stage = stage.with_context(|| format!("with {plugins} plugins on {accounts} accounts"))?;
        resident.push(settled(stage.host.id()).await?);
    }
    let count = (PLUGINS - 1) * accounts;
    Ok(resident[1].saturating_sub(resident[0]) as f64 / f64::from(count))
}

/// Starts a host with a number of plugins on each of a number of accounts, and waits until all are parked.
async fn parked(certificate: &Certificate, build: &Build, accounts: u32, plugins: u32) -> Result<Stage> {
    let policy = |home: &mut Home| {
        let entry =
            entry(home, "echo", &build.echo)?.limit("idle", IDLE).grant("messages.read", &["nobody@example.org"]);
        let named = |number: u32| (format!("echo-{number}"), entry.clone());
        Ok((0..plugins).map(named).fold(Policy::default(), |policy, (id, entry)| policy.with(&id, entry)))
    };
    let stage = Stage::set(certificate, build, accounts, &LOG, policy).await?;
    let count = usize::try_from(accounts * plugins)?;
    stage.host.wait_count("plugin parked", &[], count, SOON).await?;
    Ok(stage)
}

/// Returns an entry for a plugin that parks, without effective limits.
pub(crate) fn entry(home: &Home, plugin: &str, built: &Built) -> Result<Entry> {
    let entry = unlimited(home.install_bytes(plugin, &that_parks(&built.bytes()?)?)?);
    let read = entry.grant("messages.read", &["*"]);
    Ok(read.grant("messages.send", &["*"]).grant("rooms.send", &["*"]))
}

/// Returns the median time until an answer, in microseconds, with a pause before each message.
async fn answers(session: &mut Session, words: &str) -> Result<f64> {
    let mut times = Vec::new();
    for number in 0..ANSWERS {
        tokio::time::sleep(PAUSE).await;
        let begin = Instant::now();
        session.say(&somebody(), number as u64, words).await?;
        timeout(SOON, answer(session)).await.context("the plugin does not answer")??;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times.into_iter()))
}
