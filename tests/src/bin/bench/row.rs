//! The rows of the table: each has a value, mostly with a value to compare with, and mostly a goal.

use std::fmt;
use std::fmt::Write as _;

use serde_json::{Value, json};
use xtask::Part;

use crate::bots::Contestant;
use crate::page::Plot;

/// A measured value.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) part: Part,
    /// The quantity, for people.
    pub(crate) what: String,
    pub(crate) value: Measure,
    /// The value that it is compared with, if there is one.
    pub(crate) beside: Option<Beside>,
    /// The goal, if there is one: of the ratio if it is compared, of the value otherwise.
    pub(crate) goal: Option<Goal>,
    /// The plot that shows the value, and the number of plugins or accounts that it is of.
    point: Option<(Plot, u32)>,
}

/// A value with its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measure {
    pub(crate) amount: f64,
    pub(crate) unit: Unit,
}

/// The value to compare with, measured in the same rounds.
#[derive(Debug, Clone)]
pub(crate) struct Beside {
    pub(crate) whose: String,
    pub(crate) amount: f64,
    /// The median of the ratios of neighbouring turns, which is more exact than the ratio of the medians.
    pub(crate) ratio: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    PerSecond,
    Mib,
    Kib,
    Calls,
    LogIns,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Millis => "ms",
            Self::Micros => "µs",
            Self::Nanos => "ns",
            Self::PerSecond => "/s",
            Self::Mib => "MiB",
            Self::Kib => "KiB",
            Self::Calls => "calls",
            Self::LogIns => "log-ins",
        }
    }

    fn of(self, amount: f64) -> Measure {
        Measure { amount, unit: self }
    }
}

impl Measure {
    /// Returns another amount in the same unit.
    pub(crate) fn of_same_unit(self, amount: f64) -> Self {
        self.unit.of(amount)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::from(self.amount.abs() < 1_000.0);
        write!(f, "{:.places$} {}", self.amount, self.unit.name())
    }
}

impl Row {
    /// A value alone.
    pub(crate) fn alone(part: Part, what: impl Into<String>, amount: f64, unit: Unit) -> Self {
        Self { part, what: what.into(), value: unit.of(amount), beside: None, goal: None, point: None }
    }

    /// Adds the value that it is compared with. The ratio is that of the two values.
    pub(crate) fn beside(self, whose: impl Into<String>, amount: f64) -> Self {
        let ratio = self.value.amount / amount;
        self.in_ratio(whose, amount, ratio)
    }

    /// Adds the value that it is compared with, and a ratio that was computed otherwise.
    pub(crate) fn in_ratio(mut self, whose: impl Into<String>, amount: f64, ratio: f64) -> Self {
        self.beside = Some(Beside { whose: whose.into(), amount, ratio });
        self
    }

    /// Adds a goal.
    pub(crate) fn goal(mut self, goal: impl Into<Option<Goal>>) -> Self {
        self.goal = goal.into();
        self
    }

    /// Shows the value in a plot, at this number of plugins or accounts.
    pub(crate) fn at(mut self, plot: Plot, number: u32) -> Self {
        self.point = Some((plot, number));
        self
    }

    /// Returns the coordinates of the value in a plot that shows it.
    pub(crate) fn point_of(&self, plot: Plot) -> Option<(f64, f64)> {
        let (_, number) = self.point.filter(|(of, _)| *of == plot)?;
        Some((number.into(), self.value.amount))
    }

    /// Returns whether the goal is reached; `None` if there is no goal.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        let judged = self.beside.as_ref().map_or(self.value.amount, |beside| beside.ratio);
        self.goal.map(|goal| match goal {
            Goal::AtMost(most) => judged <= most,
            Goal::AtLeast(least) => judged >= least,
        })
    }

    /// Formats the goal, such as `at most 1.25×`; empty without a goal.
    pub(crate) fn goal_text(&self) -> String {
        let shown = |amount: f64| match &self.beside {
            Some(_) => format!("{amount:.2}×"),
            None => self.value.unit.of(amount).to_string(),
        };
        match self.goal {
            Some(Goal::AtMost(most)) => format!("at most {}", shown(most)),
            Some(Goal::AtLeast(least)) => format!("at least {}", shown(least)),
            None => String::new(),
        }
    }

    fn to_json(&self) -> Value {
        let beside = self.beside.as_ref();
        json!({
            "part": self.part.name(), "what": self.what, "value": self.value.amount, "unit": self.value.unit.name(),
            "beside": beside.map(|beside| &beside.whose), "beside_value": beside.map(|beside| beside.amount),
            "ratio": beside.map(|beside| beside.ratio),
            "goal": self.goal.map(|_| self.goal_text()), "reached": self.is_reached(),
        })
    }
}

/// Adds rows that have the values of another revision beside those of this one. Also returns the names of rows that only this one
/// has.
pub(crate) fn paired(own: Vec<Row>, others: &[Row]) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut unpaired) = (Vec::new(), Vec::new());
    for row in own {
        let Some(other) = others.iter().find(|other| other.what == row.what) else {
            unpaired.push(row.what.clone());
            rows.push(row);
            continue;
        };
        let pair = Row::alone(row.part, row.what.as_str(), row.value.amount, row.value.unit);
        let pair = pair.beside(Contestant::Before.to_string(), other.value.amount);
        rows.extend([row, pair]);
    }
    (rows, unpaired)
}

/// Formats rows for people, under a heading for each part.
pub(crate) fn to_text(rows: &[Row]) -> String {
    let mut text = String::new();
    let width = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or_default();
    for rows in rows.chunk_by(|one, next| one.part == next.part) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "\n{}", rows[0].part.title());
        for row in rows {
            let value = row.value.to_string();
            let _ = write!(text, "  {:<width$} {value:>12}", row.what);
            if let Some(Beside { whose, amount, ratio }) = &row.beside {
                let other = row.value.unit.of(*amount).to_string();
                let _ = write!(text, "  {ratio:>6.2}× {other:>12} {whose}");
            }
            match row.is_reached() {
                Some(true) => drop(write!(text, "  ✓ {}", row.goal_text())),
                Some(false) => drop(write!(text, "  ✗ goal: {}", row.goal_text())),
                None => {}
            }
            text.push('\n');
        }
    }
    let judged: Vec<bool> = rows.iter().filter_map(Row::is_reached).collect();
    let reached = judged.iter().filter(|reached| **reached).count();
    let _ = writeln!(text, "\ngoals {reached}/{}", judged.len());
    text
}

/// Formats rows for programs.
pub(crate) fn to_json(rows: &[Row]) -> Value {
    json!({ "rows": rows.iter().map(Row::to_json).collect::<Vec<_>>() })
}

/// Returns the median, the upper one for an even number of values. Returns NaN for no values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_of_the_ratio_where_there_is_one() {
        let row = Row::alone(Part::Calls, "a call", 300.0, Unit::Nanos).beside("bare", 200.0);
        assert_eq!(row.clone().is_reached(), None);
        let missed = row.clone().goal(Goal::AtMost(1.25));
        assert_eq!((missed.is_reached(), missed.goal_text()), (Some(false), "at most 1.25×".to_owned()));
        assert_eq!(row.goal(Goal::AtMost(1.5)).is_reached(), Some(true));
        let alone = Row::alone(Part::Storage, "sets", 12_000.0, Unit::PerSecond).goal(Goal::AtLeast(60_000.0));
        assert_eq!((alone.is_reached(), alone.goal_text()), (Some(false), "at least 60000 /s".to_owned()));
        // Nothing was measured, so nothing was reached.
        let nothing = Row::alone(Part::Storage, "sets", f64::NAN, Unit::PerSecond).goal(Goal::AtLeast(1.0));
        assert_eq!(nothing.is_reached(), Some(false));
    }

    #[test]
    fn a_table_shows_values_ratios_and_missed_goals() {
        let rows = [
            Row::alone(Part::Echo, "round trip", 210.0, Unit::Micros)
                .in_ratio("native", 100.0, 2.0)
                .goal(Goal::AtMost(1.1)),
            Row::alone(Part::Echo, "memory", 36.04, Unit::Mib).goal(Goal::AtMost(40.0)),
            Row::alone(Part::Archive, "messages", 41_234.0, Unit::PerSecond),
        ];
        let text = to_text(&rows);
        for line in [
            "round trip     210.0 µs    2.00×     100.0 µs native  ✗ goal: at most 1.10×",
            "memory         36.0 MiB  ✓ at most 40.0 MiB",
            "messages       41234 /s\n",
            "goals 1/2",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let json = to_json(&rows);
        assert_eq!(json["rows"][0]["ratio"], 2.0);
        assert_eq!(json["rows"][0]["reached"], false);
        assert_eq!(json["rows"][2]["goal"], Value::Null);
    }

    #[test]
    fn each_row_of_another_revision_stands_beside_that_of_this_one_without_a_goal() {
        let row = |what: &str, micros: f64| Row::alone(Part::Web, what, micros, Unit::Micros);
        let own = vec![
            row("a GET", 30.0).beside("hyper", 20.0).goal(Goal::AtMost(1.2)),
            row("many GETs", 8.0).at(Plot::Cpu, 32),
        ];
        let (rows, unpaired) = paired(own, &[row("a GET", 40.0).beside("hyper", 10.0), row("of old", 1.0)]);
        assert_eq!(unpaired, ["many GETs"]);
        let shown: Vec<_> = rows.iter().map(|row| (row.what.as_str(), row.is_reached())).collect();
        assert_eq!(shown, [("a GET", Some(false)), ("a GET", None), ("many GETs", None)]);
        let beside = rows[1].beside.as_ref().unwrap();
        assert_eq!((beside.whose.as_str(), beside.ratio.to_bits()), ("other revision", 0.75_f64.to_bits()));
        assert!(rows[1].point_of(Plot::Cpu).is_none() && rows[2].point_of(Plot::Cpu).is_some());
    }

    #[test]
    fn a_median_is_the_upper_one_of_two() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median([1.0, 2.0].into_iter()).to_bits(), 2.0_f64.to_bits());
        assert!(median(std::iter::empty()).is_nan());
    }
}
