//! Prints the faults, and what came of them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "showing is what it is for")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use xtask::Cluster;

use crate::board::{Move, share};
use crate::judge::{Said, Verdict};
use crate::plan::{KILLED, Step};

/// How many messages of each kind are described.
const SHOWN: usize = 20;
/// The longest that accounts may be away after the kill of a node: half of them, and each. On two cores, three hosts, NATS and Prosody
/// share the machine with what else runs there; half of the accounts are back within 2.5 s, and each within 3.5 s.
const FAILOVER: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(10);

/// Prints as it is told to.
pub(crate) struct Report {
    json: bool,
    verbose: bool,
    of: usize,
    seed: u64,
    done: usize,
    /// How often each kind of fault came, by its name.
    kinds: BTreeMap<&'static str, usize>,
    /// The moves after steps with one fault.
    moves: Vec<Move>,
    longest_settled: Duration,
}

impl Report {
    pub(crate) fn new(flags: &Cluster, seed: u64) -> Self {
        eprintln!("seed {seed}");
        Self {
            json: flags.json,
            verbose: flags.verbose,
            of: usize::try_from(flags.faults).unwrap_or(usize::MAX),
            seed,
            done: 0,
            kinds: BTreeMap::new(),
            moves: Vec::new(),
            longest_settled: Duration::ZERO,
        }
    }

    /// Shows a step after which all accounts run again, `settled` after it was mended.
    pub(crate) fn step(&mut self, step: &Step, moves: Vec<Move>, settled: Duration, loads: &[usize]) {
        let before = self.done * 10 / self.of;
        self.done += 1 + usize::from(step.second.is_some());
        self.longest_settled = self.longest_settled.max(settled);
        let faults: Vec<_> = [Some(step.fault), step.second.map(|(_, fault)| fault)].into_iter().flatten().collect();
        for fault in &faults {
            *self.kinds.entry(fault.name()).or_default() += 1;
        }
        let words = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let longest = moves.iter().map(|one| one.took).max();
        if self.json {
            let line = json!({
                "fault": words, "done": self.done, "moved": moves.len(), "longest_ms": longest.map(millis),
                "settled_ms": millis(settled), "loads": loads,
            });
            println!("{line}");
        } else if self.verbose {
            let moves =
                longest.map_or_else(String::new, |longest| format!(", {} moved within {longest:.1?}", moves.len()));
            println!("  {:>4}/{} {words}{moves}; settled after {settled:.1?}; {loads:?}", self.done, self.of);
        } else if self.done * 10 / self.of > before {
            eprintln!("{} of {} faults", self.done, self.of);
        }
        if step.second.is_none() {
            self.moves.extend(moves);
        }
    }

    /// Prints the result. Returns whether it is what it should be.
    pub(crate) fn end(&self, said: &[Said], verdict: &Verdict, answered: &[Duration], defects: &[String]) -> bool {
        if self.json {
            println!("{}", self.summary(said, verdict, answered, defects));
        } else {
            self.describe(said, verdict, defects);
            for (fault, times) in self.by_fault() {
                println!("{fault:<18} {}", shown(&times));
            }
            println!("answers to what was said after a kill: {}", shown(answered));
            println!("faults: {}", self.counts());
            println!("longest time until all accounts ran after all was mended: {:.1?}", self.longest_settled);
            println!(
                "again after a kill {} · after a cut {} · returned {} · lost values {} · seed {}",
                verdict.again_after_kill.len(),
                verdict.again_after_cut.len(),
                verdict.returned.len(),
                verdict.lost_values(),
                self.seed
            );
            println!("lost {} · doubled {} · of {}", verdict.lost.len(), verdict.doubled.len(), said.len());
        }
        let by_fault = self.by_fault();
        let back = by_fault.get(KILLED).map_or(&[][..], Vec::as_slice);
        let late = [("log-ins", back), ("answers", answered)].into_iter().filter_map(|(what, times)| late(what, times));
        let late: Vec<_> = late.collect();
        for line in &late {
            eprintln!("{line}");
        }
        verdict.is_good() && defects.is_empty() && late.is_empty()
    }

    /// Names the messages that should not be there, and the panics.
    fn describe(&self, said: &[Said], verdict: &Verdict, defects: &[String]) {
        let kinds = [
            ("lost", &verdict.lost),
            ("returned", &verdict.returned),
            ("doubled", &verdict.doubled),
            ("a count was lost", &verdict.forgotten),
            ("not noted in the end", &verdict.not_noted),
        ];
        let again = [("again after a kill", &verdict.again_after_kill), ("after a cut", &verdict.again_after_cut)];
        let again = again.into_iter().filter(|_| self.verbose);
        for (kind, places) in kinds.into_iter().chain(again) {
            for place in places.iter().take(SHOWN) {
                let one = &said[*place];
                let answers: Vec<_> =
                    one.answers.iter().map(|answer| format!("{:.3} s", answer.at.as_secs_f64())).collect();
                let answers = answers.join(", ");
                let at = one.at.as_secs_f64();
                println!("  {kind}: message {} to bot-{}, said at {at:.3} s, answered at {answers}", place + 1, one.to);
            }
        }
        for line in defects {
            println!("  {line}");
        }
    }

    /// Says how often each kind of fault came.
    fn counts(&self) -> String {
        self.kinds.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(" · ")
    }

    fn by_fault(&self) -> BTreeMap<&'static str, Vec<Duration>> {
        let mut by_fault: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for one in &self.moves {
            by_fault.entry(one.fault).or_default().push(one.took);
        }
        by_fault
    }

    fn summary(&self, said: &[Said], verdict: &Verdict, answered: &[Duration], defects: &[String]) -> Value {
        let times = |times: &[Duration]| {
            let [p50, p99, most] = [50, 99, 100].map(|percent| share(times, percent).map(millis));
            json!({ "count": times.len(), "p50_ms": p50, "p99_ms": p99, "max_ms": most })
        };
        let away: serde_json::Map<_, _> =
            self.by_fault().iter().map(|(fault, away)| ((*fault).to_owned(), times(away))).collect();
        json!({
            "seed": self.seed, "faults": self.done, "kinds": self.kinds, "of": said.len(), "lost": verdict.lost.len(),
            "doubled": verdict.doubled.len(), "again_after_a_kill": verdict.again_after_kill.len(),
            "again_after_a_cut": verdict.again_after_cut.len(),
            "returned": verdict.returned.len(), "lost_values": verdict.lost_values(),
            "away": away, "answers_after_a_kill": times(answered), "defects": defects,
        })
    }
}

/// Says that accounts were away for too long after kills.
fn late(what: &str, times: &[Duration]) -> Option<String> {
    let (p50, most) = (share(times, 50)?, share(times, 100)?);
    (p50 > FAILOVER || most > LONGEST).then(|| {
        format!(
            "{what} after a kill took {p50:.1?} for half of the accounts and {most:.1?} for the last one; at most {FAILOVER:?} and \
             {LONGEST:?} are allowed"
        )
    })
}

/// Describes times for people.
fn shown(times: &[Duration]) -> String {
    let [Some(p50), Some(p99), Some(most)] = [50, 99, 100].map(|percent| share(times, percent)) else {
        return "none".to_owned();
    };
    format!("{:>5} accounts, away p50 {p50:.2?} · p99 {p99:.2?} · max {most:.2?}", times.len())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::plan::{Fault, Way};

    #[test]
    fn each_fault_is_counted_by_its_kind() {
        let mut report = Report::new(&Cluster::parse_from(["cluster", "--faults", "5"]), 1);
        let (time, aim) = (Duration::from_secs(1), Duration::ZERO);
        let kill = |node| Fault::Kill { node, down: time };
        let parted = Fault::Partition { node: 1, way: Way::Cut, time };
        let of_nats = [Fault::Nats { down: time }, Fault::Server { server: 2, down: time }].map(|fault| (fault, None));
        for (fault, second) in [(kill(0), Some((time, parted))), (kill(2), None)].into_iter().chain(of_nats) {
            report.step(&Step { aim, fault, second }, Vec::new(), time, &[0; 3]);
        }
        assert_eq!(report.counts(), "NATS killed 1 · NATS server killed 1 · killed 2 · partitioned 1");
    }

    fn is_good(killed: &[u64], answered: &[u64]) -> bool {
        let seconds = |all: &[u64]| all.iter().map(|time| Duration::from_secs(*time)).collect::<Vec<_>>();
        let mut report = Report::new(&Cluster::parse_from(["cluster"]), 1);
        report.moves = seconds(killed).into_iter().map(|took| Move { fault: KILLED, took }).collect();
        report.moves.push(Move { fault: "NATS killed", took: Duration::from_mins(1) });
        report.end(&[], &Verdict::default(), &seconds(answered), &[])
    }

    #[test]
    fn accounts_that_are_away_for_too_long_after_a_kill_count_against_the_exit_code() {
        assert!(is_good(&[2, 2, 3], &[3, 3, 3]) && is_good(&[], &[]), "only NATS was away for longer");
        assert!(is_good(&[2, 5, 10], &[3, 5, 9]), "the last one of a busy machine has more time");
        assert!(!is_good(&[2, 6, 6], &[3, 3, 3]), "half of them log in late");
        assert!(!is_good(&[2, 2, 3], &[3, 6, 7]), "half of them answer late");
        assert!(!is_good(&[2, 2, 11], &[3, 3, 3]) && !is_good(&[2, 2, 3], &[3, 3, 11]), "one is very late");
    }
}
