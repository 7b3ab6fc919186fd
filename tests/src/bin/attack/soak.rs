//! `attack --soak`: ten plugins that spin, ten that flood and ten that take all the memory that they get, beside one good one,
//! for minutes.
//!
//! A second house, without them, is asked in turn with this one, so that what the machine does besides weighs on both. The
//! thirty are started anew every half minute: each time there is a second in which they begin, and then the time in which
//! they are held back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use parlor_tests::policy::{Entry, Policy};
use toml::Table;

use crate::stage::{Plan, SOON, Stage, share};

/// How long the thirty go on before they begin anew.
const CYCLE: Duration = Duration::from_secs(30);
/// The time in which they begin.
const BEGINNING: Duration = Duration::from_secs(1);
/// So many messages one conversation has.
const TURNS: u64 = 200;
/// How much longer the good one's answers may take beside them, once they are held back.
const RATIO: f64 = 2.0;
/// How long they may take in the second in which they begin.
const BEGIN: Duration = Duration::from_millis(15);

/// What came of it.
pub(crate) struct Soaked {
    /// The good one's p99 without them; of several conversations the median.
    pub(crate) alone: Duration,
    /// The same beside them.
    pub(crate) beside: Duration,
    /// The same while they began.
    pub(crate) begin: Duration,
    /// How often they began.
    pub(crate) cycles: usize,
    /// How many of them were ended.
    pub(crate) ended: usize,
    /// The limits that each of them had, where those were not the defaults.
    pub(crate) limits: Table,
    /// The host's memory before and after, in KiB.
    pub(crate) resident_kib: [Option<u64>; 2],
}

impl Soaked {
    /// Beside as a multiple of alone.
    pub(crate) fn ratio(&self) -> f64 {
        self.beside.as_secs_f64() / self.alone.as_secs_f64()
    }

    /// Whether the neighbours felt no more than they may.
    pub(crate) fn is_well(&self) -> bool {
        self.ratio() <= RATIO && self.begin <= BEGIN
    }
}

/// Thirty of the same file, each with a way of its own.
fn crowd(stage: &Stage, base: &Policy) -> Result<Policy> {
    let mut policy = base.clone();
    for number in 0..10 {
        for (what, behaviour) in [("spinner", "spin"), ("flooder", "flood-emit"), ("leaker", "grow-memory")] {
            let id = format!("{what}{number}");
            let entry = stage.home.install(&id, &parlor_tests::plugins::built("unruly")?)?;
            policy = policy.with(&id, held(entry).set("behaviour", behaviour));
        }
    }
    Ok(policy)
}

/// By default the thirty would be allowed seven cores between them, and the good one would be measured on a machine that was
/// promised away; like this it is one and a half. The memory of the ten that take all stays within what the host may hold at once
/// (`PEAK_KIB`).
fn held(entry: Entry) -> Entry {
    // The log is for what the host says of them: the harness keeps its last lines alone.
    entry.limit("memory", "32 MiB").limit("cpu_share", 0.05).limit("log_lines_per_second", 0)
}

/// Lets them go on for so long.
pub(crate) async fn soak(time: Duration) -> Result<Soaked> {
    let mut alone = Box::pin(Stage::set(Plan::new()?)).await?;
    let mut house = Box::pin(Stage::set(Plan::new()?)).await?;
    let quiet = house.policy.clone();
    let crowd = crowd(&house, &quiet)?;
    let (mut without, mut beside, mut begins) = (Vec::new(), Vec::new(), Vec::new());
    let end = Instant::now() + time;
    while Instant::now() < end {
        house.reload(crowd.clone()).await?;
        let began = Instant::now();
        let mut first = Vec::new();
        while began.elapsed() < BEGINNING {
            first.extend(house.converse(TURNS).await.context("while they began")?);
        }
        first.sort_unstable();
        begins.push(share(&first, 99));
        let before = without.len();
        while began.elapsed() < CYCLE && Instant::now() < end {
            without.push(share(&alone.converse(TURNS).await?, 99));
            beside.push(share(&house.converse(TURNS).await?, 99));
        }
        progress(begins.len(), &without[before..], &beside[before..]);
        house.reload(quiet.clone()).await?;
    }
    let ended = house.host.lines("plugin ended", &[]).len();
    ensure!(house.host.lines("plugin ended", &[("plugin", "echo")]).is_empty(), "the good one was ended");
    for stage in [&alone, &house] {
        let connected = stage.host.lines("account connected", &[]).len();
        ensure!(connected == 1, "it was connected {connected} times");
    }
    tokio::time::timeout(4 * SOON, house.aftermath()).await.context("it does not come to rest")??;
    let (_, resident_kib) = house.measured();
    let cycles = begins.len();
    let (alone, beside, begin) = (median(without)?, median(beside)?, median(begins)?);
    let limits = crowd.plugin.get("spinner0").map(|entry| entry.limits.clone()).unwrap_or_default();
    Ok(Soaked { alone, beside, begin, cycles, ended, limits, resident_kib })
}

/// Reports one cycle, so that a run of minutes shows whether the ratio grows.
#[expect(clippy::print_stderr, reason = "progress beside the report")]
fn progress(cycle: usize, without: &[Duration], beside: &[Duration]) {
    let milliseconds =
        |times: &[Duration]| median(times.to_vec()).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0);
    eprintln!("  … cycle {cycle}: p99 alone {:.2} ms, beside {:.2} ms", milliseconds(without), milliseconds(beside));
}

fn median(mut times: Vec<Duration>) -> Result<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied().context("it was too short for a conversation")
}
