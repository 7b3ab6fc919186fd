//! The echo bot: every contestant answers the same messages on both servers, in turns.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use xtask::Part;

use crate::bots::{Contestant, Programs, Side, Stage};
use crate::measure::{self, Round};
use crate::row::{Goal, Row, Unit, median};

/// No further round begins after this time: on a slow or busy machine fewer rounds must do.
const ROUNDS: Duration = Duration::from_mins(4);

/// A quantity that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    P50,
    P99,
    CpuAlone,
    CpuTogether,
    Memory,
}

impl Quantity {
    fn name(self) -> &'static str {
        match self {
            Self::P50 => "round trip p50",
            Self::P99 => "round trip p99",
            Self::CpuAlone => "CPU a message, one at a time",
            Self::CpuTogether => "CPU a message, 100 in flight",
            Self::Memory => "memory with one plugin",
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::P50 | Self::P99 | Self::CpuAlone | Self::CpuTogether => Unit::Micros,
            Self::Memory => Unit::Mib,
        }
    }

    fn of(self, round: &Round) -> f64 {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        match self {
            Self::P50 => micros(round.p50),
            Self::P99 => micros(round.p99),
            Self::CpuAlone => micros(round.cpu_alone),
            Self::CpuTogether => micros(round.cpu_together),
            Self::Memory => mib(round.resident_kib),
        }
    }
}

/// One bot beside another, and how many times as much it may cost; `None` if there is no goal.
type Comparison = (Contestant, Contestant, Quantity, Option<f64>);

const COMPARISONS: [Comparison; 15] = {
    use Contestant::{Bare, Before, Native, Parlor, Slixmpp};
    use Quantity::{CpuAlone, CpuTogether, Memory, P50, P99};
    [
        (Parlor, Native, P50, Some(1.1)),
        (Parlor, Native, P99, Some(1.5)),
        (Parlor, Native, CpuAlone, Some(1.25)),
        (Parlor, Native, CpuTogether, Some(1.25)),
        (Parlor, Slixmpp, P50, Some(1.0)),
        (Parlor, Slixmpp, CpuAlone, Some(1.0 / 2.0)),
        (Parlor, Slixmpp, CpuTogether, Some(1.0 / 3.0)),
        (Native, Bare, P50, None),
        (Native, Bare, CpuAlone, None),
        (Native, Bare, CpuTogether, Some(1.0)),
        (Parlor, Before, P50, None),
        (Parlor, Before, P99, None),
        (Parlor, Before, CpuAlone, None),
        (Parlor, Before, CpuTogether, None),
        (Parlor, Before, Memory, None),
    ]
};

/// The most resident memory of the host with one plugin, in MiB.
const MEMORY: f64 = 20.0;

/// The turns of all bots.
#[derive(Debug, Default)]
struct Turns(Vec<(Side, Contestant, Round)>);

/// Measures all bots in turns, on both servers.
#[expect(clippy::print_stderr, reason = "progress beside the table")]
pub(crate) async fn rows(programs: &Programs, rounds: u32) -> Result<Vec<Row>> {
    let mut stage = Stage::set(programs).await?;
    // Everything is paged in, compiled and connected before measuring.
    for (side, contestant, bot) in &mut stage.bots {
        measure::warm_up(bot).await.with_context(|| format!("{contestant} on {}", side.name()))?;
    }
    let (begin, mut turns) = (Instant::now(), Turns::default());
    for round in 1..=rounds {
        if begin.elapsed() > ROUNDS {
            eprintln!("no time for more");
            break;
        }
        eprintln!("round {round} of {rounds}");
        for (side, contestant, bot) in &mut stage.bots {
            turns.0.push((*side, *contestant, Round::run(bot).await?));
        }
        // Each begins once in a while, since a later one may find the machine warmer.
        stage.bots.rotate_left(1);
    }
    stage.stop().await?;
    Ok(turns.rows())
}

impl Turns {
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for side in Side::ALL {
            rows.extend(COMPARISONS.into_iter().filter_map(|comparison| self.row(side, comparison)));
            let memory = self.of(side, Contestant::Parlor).map(|round| Quantity::Memory.of(round));
            let what = format!("{}, {}", Quantity::Memory.name(), side.name());
            rows.push(Row::alone(Part::Echo, what, median(memory), Unit::Mib).goal(Goal::AtMost(MEMORY)));
        }
        rows
    }

    /// Returns the row of a comparison; `None` if one of both was not there.
    fn row(&self, side: Side, (bot, other, quantity, most): Comparison) -> Option<Row> {
        let values = |whose| self.of(side, whose).map(move |round| quantity.of(round));
        let ratios = values(bot).zip(values(other)).map(|(own, other)| own / other);
        values(other).next()?;
        let whose = if bot == Contestant::Parlor { String::new() } else { format!("{bot}: ") };
        let what = format!("{whose}{}, {}", quantity.name(), side.name());
        let row = Row::alone(Part::Echo, what, median(values(bot)), quantity.unit());
        let row = row.in_ratio(other.to_string(), median(values(other)), median(ratios));
        Some(row.goal(most.map(Goal::AtMost)))
    }

    fn of(&self, side: Side, contestant: Contestant) -> impl Iterator<Item = &Round> {
        let is_meant = move |(at, whose, _): &&(Side, Contestant, Round)| *at == side && *whose == contestant;
        self.0.iter().filter(is_meant).map(|(_, _, round)| round)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a process has less memory than 2^52 KiB")]
pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(p50: u64) -> Round {
        let p50 = Duration::from_micros(p50);
        Round { p50, p99: 2 * p50, cpu_alone: p50, cpu_together: p50 / 2, resident_kib: 2048 }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // The second round was slow for both bots, so its ratio is like the others.
        let turns = [(200, 100), (2000, 1000), (210, 100)].into_iter().flat_map(|(parlor, native)| {
            [(Contestant::Parlor, parlor), (Contestant::Native, native)]
                .map(|(whose, p50)| (Side::Scripted, whose, round(p50)))
        });
        let rows = Turns(turns.collect()).rows();
        let p50 = &rows[0];
        assert_eq!(p50.what, "round trip p50, scripted peer");
        let beside = p50.beside.as_ref().unwrap();
        assert_eq!((p50.value.amount.to_bits(), beside.ratio.to_bits()), (210f64.to_bits(), 2f64.to_bits()));
        assert_eq!(p50.is_reached(), Some(false));
        // Nobody else was there, and nothing was measured on Prosody but its memory row, which is not reached.
        assert_eq!(rows.iter().filter(|row| row.beside.is_some()).count(), 4);
        assert_eq!(rows.last().map(Row::is_reached), Some(Some(false)));
    }

    #[test]
    fn another_revision_has_its_memory_beside_the_own_one() {
        let of = |whose, resident_kib| (Side::Scripted, whose, Round { resident_kib, ..round(100) });
        let rows = Turns(vec![of(Contestant::Parlor, 3072), of(Contestant::Before, 2048)]).rows();
        let beside = |row: &Row| Some((row.value, row.beside.as_ref()?.whose.clone(), row.beside.as_ref()?.amount));
        let memory = rows.iter().filter(|row| row.what == "memory with one plugin, scripted peer").find_map(beside);
        let (value, whose, amount) = memory.unwrap();
        assert_eq!(
            (value.to_string(), whose.as_str(), amount.to_bits()),
            ("3.0 MiB".to_owned(), "other revision", 2f64.to_bits())
        );
    }
}
