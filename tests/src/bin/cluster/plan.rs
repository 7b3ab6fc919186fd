//! Plans the faults: their order and how long each lasts. All of it follows from the seed.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::judge::Kind;

/// The number of nodes.
pub(crate) const NODES: usize = 3;
/// How long a node stands still, or does not reach NATS, in milliseconds. A lease ends within.
const SILENCE: std::ops::Range<u64> = 500..8_000;
/// How long a killed or stopped node is away, in milliseconds.
const DOWN: std::ops::Range<u64> = 100..5_000;
/// How long NATS is away, in milliseconds.
const NATS_DOWN: std::ops::Range<u64> = 100..4_000;
/// How long a node is drained, in milliseconds.
const DRAINED: std::ops::Range<u64> = 1_000..8_000;
/// The delay of each piece between a slow node and NATS, in milliseconds. A renewal takes two, and 0.3 s at most.
const DELAY: std::ops::Range<u64> = 20..250;
/// The time from messages to all accounts to the fault, in microseconds: the fault hits their handlers at any point.
const AIM: std::ops::Range<u64> = 0..60_000;
/// Of so many steps, one breaks two nodes.
const PAIRS: u32 = 6;

/// The name of a kill in tables.
pub(crate) const KILLED: &str = "killed";

/// A fault, with the time until it is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A node gets SIGKILL, and is started again.
    Kill { node: usize, down: Duration },
    /// A node gets SIGTERM, and is started again once it has ended.
    Stop { node: usize, down: Duration },
    /// A node gets SIGSTOP and later SIGCONT.
    Suspend { node: usize, time: Duration },
    /// A node does not reach NATS.
    Partition { node: usize, way: Way, time: Duration },
    /// A node reaches NATS slowly.
    Slow { node: usize, delay: Duration, time: Duration },
    /// A node is drained, and then takes accounts again.
    Drain { node: usize, time: Duration },
    /// NATS gets SIGKILL, on all servers at once, and is started again.
    Nats { down: Duration },
    /// One of several servers of NATS gets SIGKILL, and is started again.
    Server { server: usize, down: Duration },
}

/// The directions of the connection to NATS that are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Both directions.
    Whole,
    /// Both directions. The connection breaks, and what was on its way is lost.
    Cut,
    /// Only data from NATS.
    Deaf,
    /// Only data from the node.
    Mute,
}

/// One or two faults at about the same time, after all accounts run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The time from messages to all accounts to the fault.
    pub(crate) aim: Duration,
    pub(crate) fault: Fault,
    /// A fault of another node, and how long after the first it comes.
    pub(crate) second: Option<(Duration, Fault)>,
}

/// Returns the steps with so many faults in all, for so many servers of NATS.
pub(crate) fn plan(seed: u64, faults: usize, servers: usize) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut steps, mut left) = (Vec::new(), faults);
    while left > 0 {
        let aim = Duration::from_micros(random.random_range(AIM));
        let fault = any(&mut random, servers);
        let mut second = None;
        if let Some(node) = fault.node().filter(|_| left > 1 && random.random_range(0..PAIRS) == 0)
            && fault.may_have_company()
        {
            let other = (node + random.random_range(1..NODES)) % NODES;
            let after = Duration::from_millis(random.random_range(0..3_000));
            second = Some((after, of_node(&mut random, other)));
        }
        left -= 1 + usize::from(second.is_some());
        steps.push(Step { aim, fault, second });
    }
    steps
}

fn any(random: &mut StdRng, servers: usize) -> Fault {
    let node = random.random_range(0..NODES);
    match random.random_range(0..20) {
        1 | 4..8 if servers > 1 => {
            Fault::Server { server: random.random_range(0..servers), down: millis(random, NATS_DOWN) }
        }
        0 | 1 => Fault::Nats { down: millis(random, NATS_DOWN) },
        2 => Fault::Drain { node, time: millis(random, DRAINED) },
        3 => Fault::Slow { node, delay: millis(random, DELAY), time: millis(random, SILENCE) },
        _ => of_node(random, node),
    }
}

/// Returns a fault that another node may have at the same time.
fn of_node(random: &mut StdRng, node: usize) -> Fault {
    match random.random_range(0..16) {
        0..6 => Fault::Kill { node, down: millis(random, DOWN) },
        6 | 7 => Fault::Stop { node, down: millis(random, DOWN) },
        8..11 => Fault::Suspend { node, time: millis(random, SILENCE) },
        _ => {
            let way = [Way::Whole, Way::Cut, Way::Deaf, Way::Mute][random.random_range(0..4)];
            Fault::Partition { node, way, time: millis(random, SILENCE) }
        }
    }
}

fn millis(random: &mut StdRng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.random_range(range))
}

impl Fault {
    /// Returns the node that it hits; `None` for NATS.
    pub(crate) fn node(self) -> Option<usize> {
        match self {
            Self::Kill { node, .. }
            | Self::Stop { node, .. }
            | Self::Suspend { node, .. }
            | Self::Partition { node, .. }
            | Self::Slow { node, .. }
            | Self::Drain { node, .. } => Some(node),
            Self::Nats { .. } | Self::Server { .. } => None,
        }
    }

    /// Returns its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill { .. } => KILLED,
            Self::Stop { .. } => "stopped",
            Self::Suspend { .. } => "suspended",
            Self::Partition { .. } => "partitioned",
            Self::Slow { .. } => "slow",
            Self::Drain { .. } => "drained",
            Self::Nats { .. } => "NATS killed",
            Self::Server { .. } => "NATS server killed",
        }
    }

    /// Returns what it does to the work of the node.
    pub(crate) fn kind(self, is_alone: bool) -> Kind {
        match self {
            Self::Kill { .. } if is_alone => Kind::Killed,
            Self::Kill { .. } => Kind::KilledBesideAnother,
            Self::Suspend { .. } | Self::Partition { .. } | Self::Nats { .. } | Self::Server { .. } => Kind::Cut,
            Self::Stop { .. } | Self::Slow { .. } | Self::Drain { .. } => Kind::Orderly,
        }
    }

    /// Returns whether another node may be broken meanwhile. A drain is ordered, which takes a node that answers.
    fn may_have_company(self) -> bool {
        !matches!(self, Self::Drain { .. } | Self::Nats { .. } | Self::Server { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node().map_or(0, |node| node + 1);
        match self {
            Self::Kill { down, .. } => write!(f, "node {node} killed, started again after {down:.1?}"),
            Self::Stop { down, .. } => write!(f, "node {node} stopped, started again after {down:.1?}"),
            Self::Suspend { time, .. } => write!(f, "node {node} suspended for {time:.1?}"),
            Self::Partition { way, time, .. } => write!(f, "node {node} parted from NATS for {time:.1?}: {way}"),
            Self::Slow { delay, time, .. } => write!(f, "node {node} {delay:?} away from NATS for {time:.1?}"),
            Self::Drain { time, .. } => write!(f, "node {node} drained for {time:.1?}"),
            Self::Nats { down } => write!(f, "NATS killed, started again after {down:.1?}"),
            Self::Server { server, down } => {
                write!(f, "NATS server {} killed, started again after {down:.1?}", server + 1)
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "both directions held",
            Self::Cut => "connection broken",
            Self::Deaf => "hears nothing",
            Self::Mute => "is not heard",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        for servers in [1, 3] {
            assert_eq!(plan(7, 200, servers), plan(7, 200, servers));
            assert_ne!(plan(7, 200, servers), plan(8, 200, servers));
        }
    }

    #[test]
    fn a_plan_has_as_many_faults_as_asked_for_and_all_kinds_of_them() {
        for (seed, count) in [(0, 1), (1, 2), (2, 7), (3, 200)] {
            let faults = plan(seed, count, 1).iter().map(|step| 1 + usize::from(step.second.is_some())).sum::<usize>();
            assert_eq!(faults, count);
        }
        for (servers, kinds) in [(1, 7), (3, 8)] {
            has_all_kinds(&plan(3, 200, servers), kinds);
        }
    }

    fn has_all_kinds(plan: &[Step], kinds: usize) {
        let all = || plan.iter().flat_map(|step| [Some(step.fault), step.second.map(|(_, fault)| fault)]).flatten();
        assert_eq!(all().map(Fault::name).collect::<BTreeSet<_>>().len(), kinds);
        let hit: BTreeSet<_> = all().filter_map(Fault::node).collect();
        assert_eq!(hit.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(plan.iter().any(|step| step.second.is_some()));
    }

    #[test]
    fn two_faults_at_a_time_hit_two_nodes() {
        for step in plan(11, 500, 3) {
            if let Some((_, second)) = step.second {
                let (Some(first), Some(second)) = (step.fault.node(), second.node()) else { panic!("{step:?}") };
                assert_ne!(first, second);
            }
        }
    }
}
