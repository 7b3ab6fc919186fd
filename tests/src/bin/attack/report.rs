//! Prints the results: a line for each case, and the count.
#![expect(clippy::print_stdout, reason = "showing is what it is for")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::case::{Case, TOTAL};
use crate::neighbours::{Felt, Flooded};
use crate::soak::Soaked;
use crate::trial::{Outcome, Verdict};

pub(crate) struct Report {
    json: bool,
    contained: usize,
    escaped: usize,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, contained: 0, escaped: 0 }
    }

    pub(crate) fn list(&mut self, case: &Case) {
        if self.json {
            println!("{}", json!({ "case": case.number, "attack": case.name }));
        } else {
            println!("{:>3}  {}", case.number, case.name);
        }
    }

    pub(crate) fn case(&mut self, case: &Case, verdict: &Verdict) {
        let (mark, state, ending) = match &verdict.outcome {
            Outcome::Contained(how) => {
                self.contained += 1;
                ("✓", "contained", how.clone())
            }
            Outcome::Escaped(error) => {
                self.escaped += 1;
                ("✗", "escaped", format!("{error:#}"))
            }
            Outcome::Absent(why) => ("-", "does not apply", (*why).to_owned()),
        };
        let [before, during, after] = verdict.p99;
        let [base, rest] = verdict.memory_kib;
        if self.json {
            let line = json!({
                "case": case.number, "attack": case.name, "outcome": state, "ending": ending,
                "p99_ms": { "before": millis(before), "during": millis(during), "after": millis(after) },
                "memory_kib": { "before": base, "after": rest }, "seconds": verdict.took.as_secs_f64(),
            });
            println!("{line}");
            return;
        }
        let time = |time: Option<Duration>| millis(time).map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let size = |kib: Option<u64>| kib.map_or_else(|| "-".to_owned(), |kib| format!("{}", kib >> 10));
        println!(
            "{:>3} {mark} {:<52} p99 {:>5} / {:>5} / {:>5} ms  memory {:>3} → {:>3} MiB  {}",
            case.number,
            case.name,
            time(before),
            time(during),
            time(after),
            size(base),
            size(rest),
            ending
        );
    }

    /// Prints the result of the soak test. Returns whether it passed.
    pub(crate) fn soak(&self, soaked: &Soaked) -> bool {
        let [base, rest] = soaked.memory_kib;
        let p99 = [soaked.alone, soaked.beside, soaked.begin].map(|time| millis(Some(time)));
        if self.json {
            let line = json!({
                "p99_ms": { "alone": p99[0], "beside": p99[1], "begin": p99[2] }, "ratio": soaked.ratio(),
                "cycles": soaked.cycles, "ended": soaked.ended, "limits": soaked.limits,
                "memory_kib": { "before": base, "after": rest },
            });
            println!("{line}");
        } else {
            let [alone, beside, begin] = p99.map(|ms| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}")));
            let size = |kib: Option<u64>| kib.map_or_else(|| "-".to_owned(), |kib| format!("{}", kib >> 10));
            println!(
                "thirty bad plugins, begun {} times, {} ended; the connection was never lost",
                soaked.cycles, soaked.ended
            );
            let limits: Vec<_> = soaked.limits.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            println!("each of them with {}, and the defaults otherwise", limits.join(", "));
            println!("p99 alone {alone} ms, beside them {beside} ms, while they begin {begin} ms");
            println!("memory {} → {} MiB", size(base), size(rest));
            println!("ratio {:.2}", soaked.ratio());
        }
        soaked.is_well()
    }

    /// Prints how one crowd affected its neighbour. Returns whether the effect is within bounds.
    pub(crate) fn neighbour(&self, felt: &Felt) -> bool {
        let times =
            [felt.idle.p50, felt.hostile.p50, felt.idle.p99, felt.hostile.p99].map(|time| time.as_secs_f64() * 1e3);
        let [idle_p50, hostile_p50, idle_p99, hostile_p99] = times;
        if self.json {
            let line = json!({
                "kind": felt.kind.name, "crowd": felt.crowd, "well": felt.is_well(),
                "p50_ms": { "idle": idle_p50, "hostile": hostile_p50, "ratio": felt.p50() },
                "p99_ms": { "idle": idle_p99, "hostile": hostile_p99, "ratio": felt.p99() },
                "grown_kib": felt.grown_kib,
            });
            println!("{line}");
        } else {
            println!(
                "{} {:>2} × {:<31} p50 {idle_p50:>6.2} → {hostile_p50:>6.2} ms ({:.2}×)  p99 {idle_p99:>6.2} → {hostile_p99:>7.2} ms \
                 ({:.2}×)  memory + {:>3} MiB",
                if felt.is_well() { "✓" } else { "✗" },
                felt.crowd,
                felt.kind.name,
                felt.p50(),
                felt.p99(),
                felt.grown_kib >> 10,
            );
        }
        felt.is_well()
    }

    /// Prints how refused requests affected a neighbour. Returns whether the effect is within bounds.
    pub(crate) fn flooded(&self, flooded: &Flooded) -> bool {
        let Flooded { rest, beside, wanted, reached } = flooded;
        let [rest_p50, beside_p50, rest_p99, beside_p99] =
            [rest.p50, beside.p50, rest.p99, beside.p99].map(|time| time.as_secs_f64() * 1e3);
        if self.json {
            let line = json!({
                "kind": "refused requests", "requests_per_second": { "wanted": wanted, "reached": reached.round() },
                "well": flooded.is_well(),
                "p50_ms": { "rest": rest_p50, "beside": beside_p50, "ratio": flooded.p50() },
                "p99_ms": { "rest": rest_p99, "beside": beside_p99, "ratio": flooded.p99() },
            });
            println!("{line}");
        } else {
            let sent = format!("{reached:.0} of {wanted:.0} refused requests/s");
            println!(
                "{} {sent:<36} p50 {rest_p50:>6.2} → {beside_p50:>6.2} ms ({:.2}×)  p99 {rest_p99:>6.2} → {beside_p99:>7.2} ms \
                 ({:.2}×)",
                if flooded.is_well() { "✓" } else { "✗" },
                flooded.p50(),
                flooded.p99(),
            );
        }
        flooded.is_well()
    }

    /// Prints the last line. Returns whether all cases are contained.
    pub(crate) fn end(&self) -> bool {
        if self.json {
            println!("{}", json!({ "contained": self.contained, "escaped": self.escaped, "of": TOTAL }));
        } else {
            println!("contained {}/{TOTAL}", self.contained);
        }
        self.escaped == 0
    }
}

fn millis(time: Option<Duration>) -> Option<f64> {
    time.map(|time| (time.as_secs_f64() * 1e6).round() / 1e3)
}

/// Formats an error or an answer on one line.
pub(crate) fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 120 { text } else { text.chars().take(119).chain(['…']).collect() }
}
