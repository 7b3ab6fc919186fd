//! Prints the table: rows, calls, events, settings, rules, and the summary line.
#![expect(clippy::print_stdout, reason = "the table is what was asked for")]

use std::collections::BTreeSet;

use parlor_tests::conformance::list::{Kind, List};
use parlor_tests::conformance::tests_of::Test;
use parlor_tests::conformance::verdict::{self, Run, Verdict};
use parlor_tests::server::Software;
use serde_json::json;

/// The most tests that a line names; the others are counted.
const NAMED: usize = 3;

/// The results to print.
pub(crate) struct Report<'a> {
    pub(crate) list: &'a List,
    /// The calls of the contract.
    pub(crate) calls: &'a [String],
    pub(crate) tests: &'a [Test],
    pub(crate) runs: &'a [(Software, Run)],
    pub(crate) units: &'a Run,
}

/// A line of the table.
struct Entry<'a> {
    what: &'static str,
    number: Option<u16>,
    name: &'a str,
    kind: Kind,
    verdicts: Vec<(Software, Verdict)>,
    tests: Vec<&'a Test>,
    /// The parts that a server does not support, each with the server.
    but: Vec<(&'a str, &'a str)>,
}

impl Entry<'_> {
    fn is_good(&self) -> bool {
        self.verdicts.iter().all(|(_, verdict)| verdict.is_good())
    }
}

impl Report<'_> {
    /// Prints the table. Returns whether everything that is required was shown.
    pub(crate) fn print(&self, json: bool) -> bool {
        let (rows, calls, events) = (self.rows(), self.calls(), self.events());
        let (settings, rules) = (self.settings(), self.rules());
        for (title, entries) in
            [("rows", &rows), ("calls", &calls), ("events", &events), ("settings", &settings), ("rules", &rules)]
        {
            if !json && !entries.is_empty() {
                println!("{title}");
            }
            for entry in entries {
                println!("{}", if json { to_json(entry) } else { to_text(entry) });
            }
        }
        let good = |entries: &[Entry<'_>]| entries.iter().filter(|entry| entry.is_good()).count();
        let declared = rows.iter().filter(|entry| entry.kind == Kind::Unsupported && entry.is_good()).count();
        let shown = good(&rows) - declared;
        let (of_rows, of_calls, of_events) = (rows.len(), calls.len(), events.len());
        let (of_settings, of_rules) = (settings.len(), rules.len());
        if json {
            let sum = json!({
                "rows": [shown, of_rows], "declared": declared, "calls": [good(&calls), of_calls],
                "events": [good(&events), of_events],
                "settings": [good(&settings), of_settings], "rules": [good(&rules), of_rules],
            });
            println!("{sum}");
        } else {
            println!(
                "rows {shown}/{of_rows} · declared {declared} · calls {}/{of_calls} · events {}/{of_events} · settings {}/{of_settings} · rules {}/{of_rules}",
                good(&calls),
                good(&events),
                good(&settings),
                good(&rules)
            );
        }
        let mut all = rows.iter().chain(&calls).chain(&events).chain(&settings).chain(&rules);
        all.all(Entry::is_good)
    }

    fn rows(&self) -> Vec<Entry<'_>> {
        let rows = self.list.row.iter();
        rows.map(|row| {
            let tests: Vec<_> = self.tests.iter().filter(|test| test.rows.contains(&row.number)).collect();
            let of = |software, run| verdict::of_row(row, &tests, software, run, self.units);
            let verdicts = self.runs.iter().map(|(software, run)| (*software, of(*software, run))).collect();
            let but = row.but.iter().map(|(server, why)| (server.as_str(), why.as_str())).collect();
            Entry { what: "row", number: Some(row.number), name: &row.name, kind: row.kind, verdicts, tests, but }
        })
        .collect()
    }

    fn calls(&self) -> Vec<Entry<'_>> {
        let of = |call: &str, software, run| verdict::of_call(call, &self.list.row, software, run);
        let calls = self.calls.iter();
        calls
            .map(|name| {
                let verdicts = self.runs.iter().map(|(software, run)| (*software, of(name, *software, run))).collect();
                let (number, tests, but) = (None, Vec::new(), Vec::new());
                Entry { what: "call", number, name, kind: Kind::Plain, verdicts, tests, but }
            })
            .collect()
    }

    fn events(&self) -> Vec<Entry<'_>> {
        let of = |name: &str, tests: &[&Test], run: &Run| verdict::of_event(name, tests, run, self.units);
        let names = self.list.event.iter().map(|name| (name.as_str(), Kind::Plain));
        self.named("event", names, |test| &test.events, of)
    }

    fn settings(&self) -> Vec<Entry<'_>> {
        let of = |name: &str, tests: &[&Test], run: &Run| verdict::of_setting(name, tests, run, self.units);
        let names = self.list.setting.iter().map(|name| (name.as_str(), Kind::Plain));
        self.named("setting", names, |test| &test.settings, of)
    }

    fn rules(&self) -> Vec<Entry<'_>> {
        let of = |_: &str, tests: &[&Test], run: &Run| verdict::of_rule(tests, run, self.units);
        let names = self.list.rule.iter().map(|rule| (rule.name.as_str(), Kind::Plain));
        let mut entries = self.named("rule", names, |test| &test.rules, of);
        for (entry, rule) in entries.iter_mut().zip(&self.list.rule) {
            entry.name = &rule.text;
        }
        entries
    }

    fn named<'a>(
        &'a self,
        what: &'static str,
        names: impl Iterator<Item = (&'a str, Kind)>,
        shown: impl Fn(&Test) -> &BTreeSet<String>,
        of: impl Fn(&str, &[&Test], &Run) -> Verdict,
    ) -> Vec<Entry<'a>> {
        names
            .map(|(name, kind)| {
                let tests: Vec<_> = self.tests.iter().filter(|test| shown(test).contains(name)).collect();
                let verdicts = self.runs.iter().map(|(software, run)| (*software, of(name, &tests, run))).collect();
                Entry { what, number: None, name, kind, verdicts, tests, but: Vec::new() }
            })
            .collect()
    }
}

fn to_text(entry: &Entry<'_>) -> String {
    let number = entry.number.map_or_else(|| "   ".to_owned(), |number| format!("{number:>3}"));
    let mark = |verdict: &Verdict| match verdict {
        Verdict::Works if entry.kind == Kind::Unsupported => "declared",
        Verdict::Works => "✓",
        Verdict::Cannot(_) => "cannot",
        Verdict::Missing(_) => "✗",
    };
    let marks = entry.verdicts.iter().map(|(software, verdict)| format!("{software} {:<8}", mark(verdict)));
    let marks = marks.collect::<Vec<_>>().join(" ");
    let named = entry.tests.iter().take(NAMED).map(|test| test.name.as_str()).collect::<Vec<_>>().join(", ");
    let more = entry.tests.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let mut line = format!("  {number} {:<30} {marks} {named}{more}", entry.name).trim_end().to_owned();
    for (software, verdict) in &entry.verdicts {
        if *verdict != Verdict::Works {
            line = format!("{line}\n        {software} {verdict}");
        }
        for (_, why) in entry.but.iter().filter(|(server, _)| *server == software.as_str()) {
            line = format!("{line}\n        {software} but: {why}");
        }
    }
    line
}

fn to_json(entry: &Entry<'_>) -> String {
    let verdicts = entry.verdicts.iter().map(|(software, verdict)| (software.to_string(), verdict.to_string().into()));
    let verdicts: serde_json::Map<_, serde_json::Value> = verdicts.collect();
    let tests: Vec<_> = entry.tests.iter().map(|test| test.name.as_str()).collect();
    let name = entry.number.map_or_else(|| json!(entry.name), |number| json!(number));
    let but: serde_json::Map<_, _> = entry.but.iter().map(|(server, why)| ((*server).to_owned(), json!(why))).collect();
    json!({ entry.what: name, "name": entry.name, "verdicts": verdicts, "but": but, "tests": tests }).to_string()
}
