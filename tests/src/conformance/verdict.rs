//! Judges a row, an event, a setting or a rule by the tests that name it and their records on one server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use parlor_config::Role;
use parlor_session::permissions;

use super::list::{Kind, Row};
use super::record::Seen;
use super::tests_of::{RunsIn, Test};
use crate::server::Software;

/// The results and records of one run of the tests.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The tests that passed.
    pub passed: BTreeSet<String>,
    /// The tests that failed.
    pub failed: BTreeSet<String>,
    /// The record of each test.
    pub seen: BTreeMap<String, Seen>,
}

impl Run {
    /// Returns whether any test recorded this call with this result.
    fn saw(&self, call: &str) -> bool {
        self.seen.values().any(|seen| seen.calls.contains(call))
    }
}

/// The verdict on one entry on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was shown.
    Works,
    /// The server does not support it, for this reason, and a plugin receives an error.
    Cannot(String),
    /// It is not shown, for this reason.
    Missing(String),
}

impl Verdict {
    /// Returns whether nothing is missing.
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

/// Judges a row.
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
    // Rows of the kind `host` are not driven from inside a plugin.
    let calls: &[String] = if row.kind == Kind::Host { &[] } else { &row.calls };
    match calls.iter().find(|call| !seen().any(|seen| seen.calls.contains(*call))) {
        Some(call) => Verdict::Missing(format!("none of its tests saw {call}")),
        None => Verdict::Works,
    }
}

/// Judges an event: it must be heard with its payload and no other, and refused to plugins without the grant.
pub fn of_event(event: &str, tests: &[&Test], run: &Run, units: &Run) -> Verdict {
    if let Some(missing) = unproven(tests, run, units) {
        return missing;
    }
    let Some(rule) = permissions::event(event) else {
        return Verdict::Missing("the host has no such event".to_owned());
    };
    let is_heard = |seen: &Seen| seen.events.contains(&(event.to_owned(), rule.payload.to_owned()));
    if !tests.iter().filter_map(|test| run.seen.get(&test.name)).any(is_heard) {
        return Verdict::Missing(format!("no plugin heard it with {} in any of its tests", rule.payload));
    }
    let mut heard = run.seen.values().flat_map(|seen| &seen.events);
    if let Some((_, payload)) = heard.find(|(name, payload)| name == event && payload != rule.payload) {
        return Verdict::Missing(format!("a plugin heard it with {payload} in place of {}", rule.payload));
    }
    if rule.permission.is_some() && !run.saw(&format!("listen.on({event}):denied")) {
        return Verdict::Missing("no plugin without the grant was refused it".to_owned());
    }
    Verdict::Works
}

/// Judges a setting: a plugin must read it and set it, or be refused if it is the operator's.
pub fn of_setting(setting: &str, tests: &[&Test], run: &Run, units: &Run) -> Verdict {
    if let Some(missing) = unproven(tests, run, units) {
        return missing;
    }
    let Some(rule) = parlor_config::setting(setting) else {
        return Verdict::Missing("the host has no such setting".to_owned());
    };
    let set = match rule.role {
        Role::Effect | Role::Data => format!("settings.set({setting})"),
        Role::Operator | Role::Secret => format!("settings.set({setting}):denied"),
    };
    match [format!("settings.get({setting})"), set].iter().find(|call| !run.saw(call)) {
        Some(call) => Verdict::Missing(format!("no test saw {call}")),
        None => Verdict::Works,
    }
}

/// Judges a call: a row must name it, and a plugin must have received an answer as the row says, unless the server supports none
/// of these rows.
pub fn of_call(call: &str, rows: &[Row], software: Software, run: &Run) -> Verdict {
    let naming: Vec<_> = rows.iter().filter(|row| row.names(call)).collect();
    if naming.is_empty() {
        return Verdict::Missing("no row of tests/conformance.toml names it".to_owned());
    }
    let is_meant = |named: &&String| named.split([':', '(']).next() == Some(call);
    let reasons: Option<Vec<_>> = naming.iter().map(|row| row.cannot.get(software.as_str())).collect();
    if naming.iter().flat_map(|row| &row.calls).filter(is_meant).any(|named| run.saw(named)) {
        Verdict::Works
    } else if let Some([why, ..]) = reasons.as_deref() {
        Verdict::Cannot((*why).clone())
    } else {
        Verdict::Missing("no test saw an answer to it".to_owned())
    }
}

/// Judges a rule: its tests must pass.
pub fn of_rule(tests: &[&Test], run: &Run, units: &Run) -> Verdict {
    unproven(tests, run, units).unwrap_or(Verdict::Works)
}

/// Returns why the tests themselves prove nothing, if that is so.
fn unproven(tests: &[&Test], run: &Run, units: &Run) -> Option<Verdict> {
    if tests.is_empty() {
        return Some(Verdict::Missing("no test names it".to_owned()));
    }
    for test in tests {
        let of = if test.place == RunsIn::Suite { run } else { units };
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

    fn test(name: &str, place: RunsIn) -> Test {
        let rows = BTreeSet::from([1]);
        let [events, settings, rules] = [const { BTreeSet::new() }; 3];
        Test { name: name.into(), place, rows, events, settings, rules }
    }

    fn run(passed: &[&str], seen: &Seen) -> Run {
        let passed: BTreeSet<String> = passed.iter().map(|&name| name.to_owned()).collect();
        let seen = passed.iter().map(|name| (name.clone(), seen.clone())).collect();
        Run { passed, failed: BTreeSet::new(), seen }
    }

    fn seen(servers: &[&str], calls: &[&str], events: &[(&str, &str)]) -> Seen {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let events = events.iter().map(|&(name, payload)| (name.to_owned(), payload.to_owned())).collect();
        Seen { servers: set(servers), calls: set(calls), events }
    }

    #[test]
    fn a_row_is_shown_by_passing_tests_that_saw_its_calls_on_the_server() {
        let (one, none) = (test("a", RunsIn::Suite), Run::default());
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
    fn an_event_has_to_be_heard_with_its_payload_and_refused() {
        let (one, none) = (test("a", RunsIn::Suite), Run::default());
        let heard = |calls: &[&str], events: &[(&str, &str)]| {
            of_event("message", &[&one], &run(&["a"], &seen(&[], calls, events)), &none).is_good()
        };
        let refused = ["listen.on(message):denied"];
        assert!(heard(&refused, &[("message", "message")]));
        assert!(!heard(&refused, &[("roster", "none")]));
        assert!(!heard(&refused, &[("message", "none")]));
        assert!(!heard(&refused, &[("message", "message"), ("message", "none")]));
        assert!(!heard(&["listen.on(message)"], &[("message", "message")]));
    }

    #[test]
    fn a_call_has_to_stand_in_a_row_and_be_answered() {
        let rows = [row("calls = [\"chats.open\", \"chats.end-otr:unsupported\"]")];
        let of = |call, seen_calls: &[&str]| {
            of_call(call, &rows, Software::Prosody, &run(&["a"], &seen(&[], seen_calls, &[]))).is_good()
        };
        assert!(of("chats.open", &["chats.open"]) && of("chats.end-otr", &["chats.end-otr:unsupported"]));
        assert!(!of("chats.open", &["chats.open:invalid"]), "it was refused");
        assert!(!of("chats.open", &["chats.end-otr:unsupported"]), "another call of the same row");
        assert!(!of("chats.close", &["chats.close"]), "no row has it");
        let cannot = row("calls = [\"rooms.register\"]\ncannot = { ejabberd = \"no\" }");
        let on = |software| of_call("rooms.register", std::slice::from_ref(&cannot), software, &Run::default());
        assert_eq!(on(Software::Ejabberd), Verdict::Cannot("no".into()));
        assert!(!on(Software::Prosody).is_good(), "it supports the row");
    }

    #[test]
    fn a_setting_has_to_be_read_and_set_or_refused() {
        let (one, none) = (test("a", RunsIn::Unit), Run::default());
        let units = run(&["a"], &Seen::default());
        let of = |setting, calls: &[&str], units| {
            of_setting(setting, &[&one], &run(&["other"], &seen(&[], calls, &[])), units).is_good()
        };
        assert!(of("nickname", &["settings.get(nickname)", "settings.set(nickname)"], &units));
        assert!(!of("nickname", &["settings.get(nickname)", "settings.set(nickname)"], &none));
        assert!(!of("nickname", &["settings.get(nickname)", "settings.set(nickname):denied"], &units));
        assert!(!of("nickname", &["settings.set(nickname)"], &units));
        assert!(of("debug", &["settings.get(debug)", "settings.set(debug):denied"], &units));
        assert!(!of("debug", &["settings.get(debug)", "settings.set(debug)"], &units));
        assert!(of_rule(&[&one], &none, &units).is_good());
        assert!(!of_rule(&[], &none, &units).is_good());
    }
}
