//! What follows for a row, an event or a setting from the tests that name it and what was seen of them on one server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::list::{Kind, Row};
use super::record::Seen;
use super::tests_of::{Place, Test};
use crate::server::Software;

/// How the tests of one run ended, and what was seen of them.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The tests that passed.
    pub passed: BTreeSet<String>,
    /// The tests that failed.
    pub failed: BTreeSet<String>,
    /// What was seen, by test.
    pub seen: BTreeMap<String, Seen>,
}

/// What one server has to say about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was seen.
    Works,
    /// The server cannot do it, for this reason, and a plugin is told so.
    Cannot(String),
    /// It is not shown, for this reason.
    Missing(String),
}

impl Verdict {
    /// Whether nothing is missing.
    pub fn is_good(&self) -> bool {
        !matches!(self, Self::Missing(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.write_str("works"),
            Self::Cannot(why) => write!(f, "cannot: {why}"),
            Self::Missing(why) => write!(f, "missing: {why}"),
        }
    }
}

/// Of a row.
pub fn of_row(row: &Row, tests: &[&Test], software: Software, run: &Run, units: &Run) -> Verdict {
    if let Some(missing) = unproven(tests, run, units) {
        return missing;
    }
    if let Some(why) = row.cannot.get(software.as_str()) {
        return Verdict::Cannot(why.clone());
    }
    let seen = || tests.iter().filter_map(|test| run.seen.get(&test.name));
    if row.server && !seen().any(|seen| seen.servers.contains(software.as_str())) {
        return Verdict::Missing(format!("none of its tests ran on {software}"));
    }
    // The host's own rows are not driven from inside.
    let calls: &[String] = if row.kind == Kind::Host { &[] } else { &row.calls };
    match calls.iter().find(|call| !seen().any(|seen| seen.calls.contains(*call))) {
        Some(call) => Verdict::Missing(format!("none of its tests saw {call}")),
        None => Verdict::Works,
    }
}

/// Of an event.
pub fn of_event(event: &str, tests: &[&Test], run: &Run, units: &Run) -> Verdict {
    if let Some(missing) = unproven(tests, run, units) {
        return missing;
    }
    let seen = tests.iter().filter_map(|test| run.seen.get(&test.name));
    if seen.into_iter().any(|seen| seen.events.contains(event)) {
        Verdict::Works
    } else {
        Verdict::Missing("no plugin heard it in any of its tests".to_owned())
    }
}

/// Of a setting.
pub fn of_setting(tests: &[&Test], run: &Run, units: &Run) -> Verdict {
    unproven(tests, run, units).unwrap_or(Verdict::Works)
}

/// What is wrong with the tests themselves, if anything is.
fn unproven(tests: &[&Test], run: &Run, units: &Run) -> Option<Verdict> {
    if tests.is_empty() {
        return Some(Verdict::Missing("no test names it".to_owned()));
    }
    for test in tests {
        let of = if test.place == Place::Suite { run } else { units };
        if of.failed.contains(&test.name) {
            return Some(Verdict::Missing(format!("{} fails", test.name)));
        }
        if !of.passed.contains(&test.name) {
            return Some(Verdict::Missing(format!("{} did not run", test.name)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Row {
        toml::from_str(&format!("number = 1\nname = \"x\"\n{text}")).unwrap()
    }

    fn test(name: &str, place: Place) -> Test {
        let rows = BTreeSet::from([1]);
        Test { name: name.into(), place, rows, events: BTreeSet::new(), settings: BTreeSet::new() }
    }

    fn run(passed: &[&str], seen: &Seen) -> Run {
        let passed: BTreeSet<String> = passed.iter().map(|&name| name.to_owned()).collect();
        let seen = passed.iter().map(|name| (name.clone(), seen.clone())).collect();
        Run { passed, failed: BTreeSet::new(), seen }
    }

    fn seen(servers: &[&str], calls: &[&str], events: &[&str]) -> Seen {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Seen { servers: set(servers), calls: set(calls), events: set(events) }
    }

    #[test]
    fn a_row_is_shown_by_passing_tests_that_saw_its_calls_on_the_server() {
        let (one, none) = (test("a", Place::Suite), Run::default());
        let tests = [&one];
        let verdict = |row: &Row, run: &Run| of_row(row, &tests, Software::Ejabberd, run, &none);
        let called = row("calls = [\"chats.open\"]");
        let good = run(&["a"], &seen(&["ejabberd"], &["chats.open"], &[]));
        assert_eq!(verdict(&called, &good), Verdict::Works);
        assert!(!verdict(&called, &run(&["a"], &seen(&["prosody"], &["chats.open"], &[]))).is_good());
        assert!(!verdict(&called, &run(&["a"], &seen(&["ejabberd"], &["chats.open:invalid"], &[]))).is_good());
        assert!(!verdict(&called, &none).is_good());
        assert!(!of_row(&called, &[], Software::Ejabberd, &good, &none).is_good());
        let failed = Run { failed: BTreeSet::from(["a".to_owned()]), ..good.clone() };
        assert!(!verdict(&called, &failed).is_good());
        assert_eq!(verdict(&row("server = false"), &run(&["a"], &Seen::default())), Verdict::Works);
        assert_eq!(verdict(&row("cannot = { ejabberd = \"no\" }"), &good), Verdict::Cannot("no".into()));
        assert!(!verdict(&row("cannot = { ejabberd = \"no\" }"), &failed).is_good());
    }

    #[test]
    fn an_event_has_to_be_heard() {
        let (one, none) = (test("a", Place::Suite), Run::default());
        let heard = |events| of_event("message", &[&one], &run(&["a"], &seen(&[], &[], events)), &none);
        assert_eq!(heard(&["message"]), Verdict::Works);
        assert!(!heard(&["roster"]).is_good());
    }

    #[test]
    fn a_unit_test_shows_what_needs_no_server() {
        let (one, none) = (test("a", Place::Host), Run::default());
        let units = run(&["a"], &Seen::default());
        assert_eq!(of_setting(&[&one], &none, &units), Verdict::Works);
        assert!(!of_setting(&[&one], &none, &none).is_good());
    }
}
