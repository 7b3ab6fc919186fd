//! `attack --neighbours`: what a good plugin feels of two, four and eight hostile ones of each kind, against as many that are idle.
//!
//! Both houses run at the same time and are asked in turn, so that the machine's other work weighs on both.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::{plugins, usage};

use crate::stage::{Plan, Stage, share};

/// The sizes of the crowds.
const CROWDS: [usize; 3] = [2, 4, 8];
/// How many messages one conversation has.
const TURNS: u64 = 100;
/// How many conversations of each house are measured.
const ROUNDS: usize = 6;
/// How much longer the median answer may take beside hostile plugins.
const P50: f64 = 1.5;
/// The same of 99 answers of 100.
const P99: f64 = 3.0;
/// What each plugin may have the host hold by default, in KiB: its memory, its calls, its mail, its promises and its archive pages.
const BUDGET_KIB: u64 = (64 + 16 + 32 + 16 + 32) << 10;

/// A kind of hostile plugin: what it holds or floods, and the behaviour that does it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    behaviour: &'static str,
}

const KINDS: [Kind; 8] = [
    Kind { name: "places of the account's task", behaviour: "convoy" },
    Kind { name: "places of the storage's thread", behaviour: "convoy-storage" },
    Kind { name: "bytes of waiting calls", behaviour: "convoy-values" },
    Kind { name: "the processor", behaviour: "spin" },
    Kind { name: "memory", behaviour: "grow-memory" },
    Kind { name: "events", behaviour: "flood-emit" },
    Kind { name: "calls", behaviour: "flood-calls" },
    Kind { name: "the log", behaviour: "flood-log" },
];

/// The p50 and p99 of one plugin's answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Times {
    fn of(mut trips: Vec<Duration>) -> Self {
        trips.sort_unstable();
        Self { p50: share(&trips, 50), p99: share(&trips, 99) }
    }
}

/// What one crowd did to its neighbour.
#[derive(Debug)]
pub(crate) struct Felt {
    pub(crate) kind: Kind,
    pub(crate) crowd: usize,
    /// The neighbour's answers beside idle plugins.
    pub(crate) idle: Times,
    /// The same beside hostile ones.
    pub(crate) hostile: Times,
    /// How much more memory the host has than the one with idle plugins, in KiB.
    pub(crate) grown_kib: u64,
}

impl Felt {
    /// The p50 beside hostile plugins as a multiple of that beside idle ones.
    pub(crate) fn p50(&self) -> f64 {
        self.hostile.p50.as_secs_f64() / self.idle.p50.as_secs_f64()
    }

    /// The same of the p99.
    pub(crate) fn p99(&self) -> f64 {
        self.hostile.p99.as_secs_f64() / self.idle.p99.as_secs_f64()
    }

    /// Whether the neighbour felt no more than it may, and the host holds no more than the plugins' budgets.
    pub(crate) fn is_well(&self) -> bool {
        self.p50() <= P50 && self.p99() <= P99 && self.grown_kib <= BUDGET_KIB * self.crowd as u64
    }
}

/// All kinds and sizes.
pub(crate) fn all() -> impl Iterator<Item = (Kind, usize)> {
    KINDS.into_iter().flat_map(|kind| CROWDS.map(|crowd| (kind, crowd)))
}

fn plan(crowd: usize, behaviour: &str) -> Result<Plan> {
    let mut plan = Plan::new()?;
    for number in 0..crowd {
        let id = format!("crowd{number}");
        let entry = plan.home.install(&id, &plugins::built("unruly")?)?.set("behaviour", behaviour);
        plan = plan.with(&id, entry.grant("storage", &["64 MiB"]));
    }
    Ok(plan)
}

/// Measures one kind in one number.
pub(crate) async fn measure(kind: Kind, crowd: usize) -> Result<Felt> {
    let mut idle = Box::pin(Stage::set(plan(crowd, "")?)).await?;
    let mut hostile = Box::pin(Stage::set(plan(crowd, kind.behaviour)?)).await?;
    let (mut quiet, mut beside) = (Vec::new(), Vec::new());
    let mut grown_kib = 0;
    for _ in 0..ROUNDS {
        quiet.extend(idle.converse(TURNS).await?);
        beside.extend(hostile.converse(TURNS).await.with_context(|| format!("beside {crowd} × {}", kind.behaviour))?);
        let held = usage::resident_kib(hostile.host.id())?.saturating_sub(usage::resident_kib(idle.host.id())?);
        grown_kib = grown_kib.max(held);
    }
    ensure!(hostile.host.lines("plugin ended", &[("plugin", "echo")]).is_empty(), "the neighbour was ended");
    ensure!(hostile.host.lines("account connected", &[]).len() == 1, "the connection was lost");
    Ok(Felt { kind, crowd, idle: Times::of(quiet), hostile: Times::of(beside), grown_kib })
}
