//! `attack --neighbours`: measures how two, four and eight hostile plugins of each kind affect a good one, compared
//! with as many idle ones.
//!
//! Both hosts run at the same time and are asked in turn, so that other load on the machine affects both. The effect of
//! refused requests to webhooks is measured in `webhooks/flood.rs` on one host, with and without them in turn.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::{plugins, usage};

use crate::stage::{Plan, Stage, share};

/// The sizes of the crowds.
const CROWDS: [usize; 3] = [2, 4, 8];
/// The number of messages in one conversation.
const TURNS: u64 = 100;
/// The number of conversations that are measured on each host. With 20,000 messages, some few that the machine delays do
/// not decide the p99.
const ROUNDS: usize = 200;
/// How many times longer the median answer may take beside hostile plugins.
const P50: f64 = 1.5;
/// How many times longer the 99th percentile may take.
const P99: f64 = 3.0;
/// How many times longer the 99th percentile may take beside requests that the host refuses.
const FLOODED_P99: f64 = 2.0;
/// The memory that the host may hold for each plugin by default, in KiB: the plugin's memory, calls, mail, promises and
/// archive pages.
const BUDGET_KIB: u64 = (64 + 16 + 32 + 16 + 32) << 10;

/// A kind of hostile plugin: the resource that it holds or floods, and the behaviour that does it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    behaviour: &'static str,
}

const KINDS: [Kind; 11] = [
    Kind { name: "places of the account's task", behaviour: "convoy" },
    Kind { name: "places of the storage's thread", behaviour: "convoy-storage" },
    Kind { name: "bytes of waiting calls", behaviour: "convoy-values" },
    Kind { name: "the processor", behaviour: "spin" },
    Kind { name: "memory", behaviour: "grow-memory" },
    Kind { name: "events", behaviour: "flood-emit" },
    Kind { name: "calls", behaviour: "flood-calls" },
    Kind { name: "subscriptions", behaviour: "flood-subscriptions" },
    Kind { name: "addresses", behaviour: "flood-addresses" },
    Kind { name: "JSON", behaviour: "flood-payloads" },
    Kind { name: "the log", behaviour: "flood-log" },
];

/// The p50 and p99 of one plugin's answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Times {
    pub(crate) fn of(mut trips: Vec<Duration>) -> Self {
        trips.sort_unstable();
        Self { p50: share(&trips, 50), p99: share(&trips, 99) }
    }
}

/// The effect of one crowd on its neighbour.
#[derive(Debug)]
pub(crate) struct Felt {
    pub(crate) kind: Kind,
    pub(crate) crowd: usize,
    /// The neighbour's answer times beside idle plugins.
    pub(crate) idle: Times,
    /// The neighbour's answer times beside hostile plugins.
    pub(crate) hostile: Times,
    /// How much more memory this host uses than the one with idle plugins, in KiB.
    pub(crate) grown_kib: u64,
}

impl Felt {
    /// Returns the p50 beside hostile plugins as a multiple of that beside idle ones.
    pub(crate) fn p50(&self) -> f64 {
        self.hostile.p50.as_secs_f64() / self.idle.p50.as_secs_f64()
    }

    /// Returns the p99 beside hostile plugins as a multiple of that beside idle ones.
    pub(crate) fn p99(&self) -> f64 {
        self.hostile.p99.as_secs_f64() / self.idle.p99.as_secs_f64()
    }

    /// Returns whether the neighbour's times and the host's memory stayed within their bounds.
    pub(crate) fn is_well(&self) -> bool {
        self.p50() <= P50 && self.p99() <= P99 && self.grown_kib <= BUDGET_KIB * self.crowd as u64
    }
}

/// The effect of requests to webhooks that the host refuses on a plugin that has no webhook.
#[derive(Debug)]
pub(crate) struct Flooded {
    /// The neighbour's answer times while there are no requests.
    pub(crate) rest: Times,
    /// Its answer times beside them.
    pub(crate) beside: Times,
    /// The number of requests in a second that were to be sent, and of those that were answered.
    pub(crate) wanted: f64,
    pub(crate) reached: f64,
}

impl Flooded {
    /// Returns the p50 beside the requests as a multiple of that without.
    pub(crate) fn p50(&self) -> f64 {
        self.beside.p50.as_secs_f64() / self.rest.p50.as_secs_f64()
    }

    /// Returns the p99 beside the requests as a multiple of that without.
    pub(crate) fn p99(&self) -> f64 {
        self.beside.p99.as_secs_f64() / self.rest.p99.as_secs_f64()
    }

    /// Returns whether the neighbour's times stayed within their bound.
    pub(crate) fn is_well(&self) -> bool {
        self.p99() <= FLOODED_P99
    }
}

/// Returns all combinations of kinds and sizes.
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

/// Measures one kind in a crowd of this size.
pub(crate) async fn measure(kind: Kind, crowd: usize) -> Result<Felt> {
    let mut idle = Box::pin(Stage::set(plan(crowd, "")?)).await?;
    let mut hostile = Box::pin(Stage::set(plan(crowd, kind.behaviour)?)).await?;
    let (mut quiet, mut beside) = (Vec::new(), Vec::new());
    let mut grown_kib = 0;
    for _ in 0..ROUNDS {
        quiet.extend(idle.converse(TURNS).await?);
        beside.extend(hostile.converse(TURNS).await.with_context(|| format!("beside {crowd} × {}", kind.behaviour))?);
        let held = usage::anonymous_kib(hostile.host.id())?.saturating_sub(usage::anonymous_kib(idle.host.id())?);
        grown_kib = grown_kib.max(held);
    }
    ensure!(hostile.host.lines("plugin ended", &[("plugin", "echo")]).is_empty(), "the neighbour was ended");
    ensure!(hostile.host.lines("account connected", &[]).len() == 1, "the connection was lost");
    Ok(Felt { kind, crowd, idle: Times::of(quiet), hostile: Times::of(beside), grown_kib })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_the_times_and_of_the_memory_are_kept_or_the_run_fails() {
        let times = |p50, p99| Times { p50: Duration::from_millis(p50), p99: Duration::from_millis(p99) };
        let is_well = |p50, p99, grown_kib| {
            let felt = Felt { kind: KINDS[0], crowd: 2, idle: times(10, 100), hostile: times(p50, p99), grown_kib };
            felt.is_well()
        };
        assert!(is_well(15, 300, 2 * BUDGET_KIB));
        assert!(!is_well(16, 300, 0) && !is_well(15, 301, 0) && !is_well(15, 300, 2 * BUDGET_KIB + 1));
        let flooded = |p99| Flooded { rest: times(10, 100), beside: times(50, p99), wanted: 1.0, reached: 1.0 };
        assert!(flooded(200).is_well() && !flooded(201).is_well());
    }
}
