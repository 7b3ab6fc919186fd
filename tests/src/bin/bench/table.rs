//! Computes the table from the rounds: medians of the ratios between neighbouring turns.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::archive::Figures;
use crate::bots::Side;
use crate::calls::Row;
use crate::measure::Round;
use crate::storage;

/// All rounds of all pairs.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pairs: Vec<(Side, Round, Round)>,
    /// The archive benchmark, if it was run.
    pub(crate) archive: Option<Figures>,
    /// The storage benchmark, if it was run.
    pub(crate) storage: Option<storage::Figures>,
}

/// How many MiB the memory of host and plugin may each grow while an archive is read.
const ARCHIVE_MIB: f64 = 8.0;
/// The expected number of values stored per second.
const SETS: f64 = 10_000.0;
/// How many times as long as a page the first message may take.
const FIRST: f64 = 1.5;

/// A quantity that is compared.
struct Quantity {
    /// The name for people.
    name: &'static str,
    /// The key for programs, with the unit.
    key: &'static str,
    unit: &'static str,
    of: fn(&Round) -> f64,
    /// The largest acceptable ratio to the native bot against the scripted peer, if there is one.
    expected: Option<f64>,
}

const QUANTITIES: &[Quantity] = &[
    Quantity { name: "round trip p50", key: "p50_us", unit: "µs", of: |r| micros(r.p50), expected: Some(1.3) },
    Quantity { name: "round trip p99", key: "p99_us", unit: "µs", of: |r| micros(r.p99), expected: None },
    Quantity {
        name: "CPU a message, one at a time",
        key: "cpu_alone_us",
        unit: "µs",
        of: |r| micros(r.cpu_alone),
        expected: Some(2.0),
    },
    Quantity {
        name: "CPU a message, 100 in flight",
        key: "cpu_together_us",
        unit: "µs",
        of: |r| micros(r.cpu_together),
        expected: Some(2.0),
    },
    Quantity { name: "messages a second", key: "messages_per_second", unit: "/s", of: |r| r.rate, expected: None },
    Quantity { name: "memory", key: "resident_mib", unit: "MiB", of: |r| mib(r.resident_kib), expected: None },
];

/// The medians of one quantity on one side.
struct Medians {
    ratio: f64,
    plugin: f64,
    native: f64,
}

impl Table {
    /// Adds a turn of both bots.
    pub(crate) fn add(&mut self, side: Side, plugin: Round, native: Round) {
        self.pairs.push((side, plugin, native));
    }

    /// Formats the table for people.
    pub(crate) fn to_text(&self, calls: &[Row]) -> String {
        let mut text = String::new();
        if !self.pairs.is_empty() {
            text.push_str("the echo bot: a plugin in parlor beside native on the same connector, medians\n");
        }
        for side in self.sides() {
            let name = side.name();
            // Writing to a string cannot fail, here and below.
            let _ =
                writeln!(text, "\n{:<30} {:>9} {:>12} {:>12}", format!("against {name}"), "ratio", "plugin", "native");
            for quantity in QUANTITIES {
                let Medians { ratio, plugin, native } = self.medians(side, quantity);
                let Quantity { name, unit, expected, .. } = quantity;
                let verdict = match expected {
                    Some(most) if side == Side::Scripted && ratio <= *most => format!("  ✓ at most {most}×"),
                    Some(most) if side == Side::Scripted => format!("  ✗ expected: at most {most}×"),
                    _ => String::new(),
                };
                let (plugin, native) = (format!("{plugin:.1} {unit}"), format!("{native:.1} {unit}"));
                let _ = writeln!(text, "{name:<30} {ratio:>8.2}× {plugin:>12} {native:>12}{verdict}");
            }
        }
        if let Some(archive) = &self.archive {
            text.push_str(&archive_text(archive));
        }
        if let Some(storage::Figures { sets, get }) = self.storage {
            let fits = if sets >= SETS { "✓ at least" } else { "✗ expected: at least" };
            let _ = writeln!(text, "\nwhat a plugin keeps, on disk when it is told so");
            let _ =
                writeln!(text, "{:<30} {:>12}  {fits} {SETS} /s", "values set, 64 at a time", format!("{sets:.0} /s"));
            let _ = writeln!(text, "{:<30} {:>12}", "one value read", format!("{get:.0} µs"));
        }
        if !calls.is_empty() {
            let _ = writeln!(text, "\n{:<30} {:>9} {:>12} {:>12}", "calls", "ratio", "parlor", "bare");
            for Row { name, parlor, bare } in calls {
                let (ratio, parlor, bare) = (parlor / bare, format!("{parlor:.0} ns"), format!("{bare:.0} ns"));
                let _ = writeln!(text, "{name:<30} {ratio:>8.2}× {parlor:>12} {bare:>12}");
            }
        }
        text
    }

    /// Formats the table for programs.
    pub(crate) fn to_json(&self, calls: &[Row]) -> Value {
        let mut sides = Map::new();
        for side in self.sides() {
            let mut quantities = Map::new();
            for quantity in QUANTITIES {
                let Medians { ratio, plugin, native } = self.medians(side, quantity);
                let row = json!({ "ratio": ratio, "plugin": plugin, "native": native });
                quantities.insert(quantity.key.to_owned(), row);
            }
            sides.insert(side.name().replace(' ', "_").to_lowercase(), quantities.into());
        }
        let calls: Vec<Value> = calls
            .iter()
            .map(|Row { name, parlor, bare }| {
                json!({ "call": name, "ratio": parlor / bare, "parlor_ns": parlor, "bare_ns": bare })
            })
            .collect();
        let sides_measured = self.sides().len().max(1);
        let archive = self.archive.as_ref().map(|archive| {
            json!({
                "messages": archive.messages, "messages_per_second": archive.rate, "page_us": archive.page,
                "first_message_us": archive.first, "host_growth_mib": archive.host_mib,
                "plugin_growth_mib": archive.plugin_mib,
            })
        });
        let storage = self.storage.map(|one| json!({ "sets_per_second": one.sets, "get_us": one.get }));
        let rounds = self.pairs.len() / sides_measured;
        json!({ "rounds": rounds, "against": sides, "archive": archive, "storage": storage, "calls": calls })
    }

    fn sides(&self) -> Vec<Side> {
        let mut sides: Vec<Side> = self.pairs.iter().map(|(side, ..)| *side).collect();
        sides.sort_unstable();
        sides.dedup();
        sides
    }

    fn medians(&self, side: Side, quantity: &Quantity) -> Medians {
        let pairs: Vec<(f64, f64)> = self
            .pairs
            .iter()
            .filter(|(at, ..)| *at == side)
            .map(|(_, plugin, native)| ((quantity.of)(plugin), (quantity.of)(native)))
            .collect();
        Medians {
            ratio: median(pairs.iter().map(|(plugin, native)| plugin / native)),
            plugin: median(pairs.iter().map(|(plugin, _)| *plugin)),
            native: median(pairs.iter().map(|(_, native)| *native)),
        }
    }
}

/// Formats the archive benchmark for people.
fn archive_text(archive: &Figures) -> String {
    let Figures { messages, rate, page, first, host_mib, plugin_mib } = archive;
    let verdict =
        |fits: bool, most: String| format!("  {} {most}", if fits { "✓ at most" } else { "✗ expected: at most" });
    let mut text = format!("\nan archive of {messages} messages through a plugin\n");
    let ratio = first / page;
    let rows = [
        ("messages a second", format!("{rate:.0} /s"), String::new()),
        ("one page of 50", format!("{page:.0} µs"), String::new()),
        ("first message of the stream", format!("{first:.0} µs"), verdict(ratio <= FIRST, format!("{FIRST} pages"))),
        (
            "host and peer grew by",
            format!("{host_mib:.1} MiB"),
            verdict(*host_mib < ARCHIVE_MIB, format!("{ARCHIVE_MIB} MiB")),
        ),
        (
            "the plugin grew by",
            format!("{plugin_mib:.1} MiB"),
            verdict(*plugin_mib < ARCHIVE_MIB, format!("{ARCHIVE_MIB} MiB")),
        ),
    ];
    for (name, value, verdict) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<30} {value:>12}{verdict}");
    }
    text
}

/// Returns the median, the upper one for an even number of values. Returns NaN for no values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a process has less memory than 2^52 KiB")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(p50: u64, rate: f64) -> Round {
        Round {
            p50: Duration::from_micros(p50),
            p99: Duration::from_micros(2 * p50),
            cpu_alone: Duration::from_micros(50),
            cpu_together: Duration::from_micros(10),
            rate,
            resident_kib: 2048,
        }
    }

    #[test]
    fn ratios_are_of_neighbours_and_what_is_too_much_is_marked() {
        let mut table = Table::default();
        // The second round was slow for both bots, so its ratio is like the others.
        for (plugin, native) in [(200, 100), (2000, 1000), (210, 100)] {
            table.add(Side::Scripted, round(plugin, 1e4), round(native, 2e4));
        }
        let json = table.to_json(&[Row { name: "guest → host", parlor: 300.0, bare: 200.0 }]);
        assert_eq!(json["rounds"], 3);
        assert_eq!(json["against"]["scripted_peer"]["p50_us"]["ratio"], 2.0);
        assert_eq!(json["against"]["scripted_peer"]["messages_per_second"]["ratio"], 0.5);
        assert_eq!(json["calls"][0]["ratio"], 1.5);
        let text = table.to_text(&[]);
        assert!(
            text.contains(
                "round trip p50                     2.00×     210.0 µs     100.0 µs  ✗ expected: at most 1.3×"
            ),
            "{text}"
        );
        assert!(
            text.contains("CPU a message, 100 in flight       1.00×      10.0 µs      10.0 µs  ✓ at most 2×"),
            "{text}"
        );
        assert!(!text.contains("Prosody"), "{text}");
    }

    #[test]
    fn what_storage_takes_is_told_beside_what_it_has_to() {
        for (sets, verdict) in
            [(12_000.0, "12000 /s  ✓ at least 10000 /s"), (9_000.0, "9000 /s  ✗ expected: at least 10000 /s")]
        {
            let table = Table { storage: Some(storage::Figures { sets, get: 25.4 }), ..Table::default() };
            assert_eq!(table.to_json(&[])["storage"]["get_us"], 25.4);
            let text = table.to_text(&[]);
            assert!(text.contains(verdict) && text.contains("25 µs"), "{text}");
        }
    }

    #[test]
    fn what_an_archive_takes_is_told_beside_what_it_may_take() {
        let archive = Figures { messages: 10, rate: 5.0, page: 100.0, first: 200.0, host_mib: 1.5, plugin_mib: 9.0 };
        let table = Table { archive: Some(archive), ..Table::default() };
        assert_eq!(table.to_json(&[])["archive"]["host_growth_mib"], 1.5);
        let text = table.to_text(&[]);
        for line in ["200 µs  ✗ expected: at most 1.5 pages", "1.5 MiB  ✓ at most 8 MiB", "9.0 MiB  ✗ expected"]
        {
            assert!(text.contains(line), "{text}");
        }
    }
}
