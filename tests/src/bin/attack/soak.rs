//! `attack --soak`: ten plugins that spin, ten that flood and ten that take all memory they can get, with one good one
//! among them, for minutes.
//!
//! A second host without them is asked in turn with this one, so that other load on the machine affects both. The
//! thirty are restarted every half minute. Each cycle has one second in which they start, and then the time in which
//! they are throttled.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use parlor_tests::policy::{Entry, Policy};
use toml::Table;

use crate::stage::{Plan, SOON, Stage, share};

/// How long the thirty run before they are restarted.
const CYCLE: Duration = Duration::from_secs(30);
/// The time in which they start.
const BEGINNING: Duration = Duration::from_secs(1);
/// The number of messages in one conversation.
const TURNS: u64 = 200;
/// How many times longer the good plugin's answers may take during the attack, once the others are throttled.
const RATIO: f64 = 2.0;
/// How long the answers may take in the second in which they start.
const BEGIN: Duration = Duration::from_millis(15);

/// The result of the soak test.
pub(crate) struct Soaked {
    /// The good plugin's p99 without them, as the median of several conversations.
    pub(crate) alone: Duration,
    /// The good plugin's p99 during the attack.
    pub(crate) beside: Duration,
    /// The good plugin's p99 while they started.
    pub(crate) begin: Duration,
    /// How often they were started.
    pub(crate) cycles: usize,
    /// How many of them were ended.
    pub(crate) ended: usize,
    /// The limits of each of them that differ from the defaults.
    pub(crate) limits: Table,
    /// The host's memory before and after, in KiB.
    pub(crate) memory_kib: [Option<u64>; 2],
}

impl Soaked {
    /// Returns the p99 during the attack as a multiple of that before.
    pub(crate) fn ratio(&self) -> f64 {
        self.beside.as_secs_f64() / self.alone.as_secs_f64()
    }

    /// Returns whether the effect on the good plugin is within bounds.
    pub(crate) fn is_well(&self) -> bool {
        self.ratio() <= RATIO && self.begin <= BEGIN
    }
}

/// Thirty plugins of the same file, each with a separate behaviour.
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

/// Sets lower limits. By default the thirty could use seven cores together, and no machine would be left to measure the
/// good one on. With these limits they use one and a half cores. The memory of the ten that take all they can get stays
/// within what the host may hold at once (`PEAK_KIB`).
fn held(entry: Entry) -> Entry {
    // The harness keeps only the last lines of the log, and these must be the host's own.
    entry.limit("memory", "32 MiB").limit("cpu_share", 0.05).limit("log_lines_per_second", 0)
}

/// Runs the soak test for this long.
pub(crate) async fn soak(time: Duration) -> Result<Soaked> {
    let mut alone = Box::pin(Stage::set(Plan::new()?)).await?;
    let mut crowded = Box::pin(Stage::set(Plan::new()?)).await?;
    let quiet = crowded.policy.clone();
    let crowd = crowd(&crowded, &quiet)?;
    let (mut without, mut beside, mut begins) = (Vec::new(), Vec::new(), Vec::new());
    let end = Instant::now() + time;
    while Instant::now() < end {
        crowded.reload(crowd.clone()).await?;
        let began = Instant::now();
        let mut first = Vec::new();
        while began.elapsed() < BEGINNING {
            first.extend(crowded.converse(TURNS).await.context("while they began")?);
        }
        first.sort_unstable();
        begins.push(share(&first, 99));
        let before = without.len();
        while began.elapsed() < CYCLE && Instant::now() < end {
            without.push(share(&alone.converse(TURNS).await?, 99));
            beside.push(share(&crowded.converse(TURNS).await?, 99));
        }
        progress(begins.len(), &without[before..], &beside[before..]);
        crowded.reload(quiet.clone()).await?;
    }
    let ended = crowded.host.lines("plugin ended", &[]).len();
    ensure!(crowded.host.lines("plugin ended", &[("plugin", "echo")]).is_empty(), "the good one was ended");
    for stage in [&alone, &crowded] {
        let connected = stage.host.lines("account connected", &[]).len();
        ensure!(connected == 1, "it was connected {connected} times");
    }
    tokio::time::timeout(4 * SOON, crowded.aftermath()).await.context("it does not come to rest")??;
    let (_, memory_kib) = crowded.measured();
    let cycles = begins.len();
    let (alone, beside, begin) = (median(without)?, median(beside)?, median(begins)?);
    let limits = crowd.plugin.get("spinner0").map(|entry| entry.limits.clone()).unwrap_or_default();
    Ok(Soaked { alone, beside, begin, cycles, ended, limits, memory_kib })
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
