//! The checked-in list of the API: `tests/conformance.toml`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::root;

/// Everything that must be shown.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The rows, in the order of their numbers.
    pub row: Vec<Row>,
    /// The names of the host's events.
    pub event: Vec<String>,
    /// The names of the host's settings.
    pub setting: Vec<String>,
    /// The rules that the host keeps for any behaviour of plugins and servers.
    pub rule: Vec<Rule>,
}

/// A rule that the host keeps.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The word by which tests name the rule.
    pub name: String,
    /// The text of the rule.
    pub text: String,
}

/// A statement about the API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The number, from 1 to 163.
    pub number: u16,
    /// The subject, in a few words.
    pub name: String,
    /// How the row is shown.
    #[serde(default)]
    pub kind: Kind,
    /// The calls that a plugin must make: `grouping.function`, or `grouping.function:case` if it must end in this
    /// error.
    #[serde(default)]
    pub calls: Vec<String>,
    /// Whether a server takes part.
    #[serde(default = "yes")]
    pub server: bool,
    /// The servers that do not support it, each with the reason.
    #[serde(default)]
    pub cannot: BTreeMap<String, String>,
    /// The servers that support all but a part, each with that part.
    #[serde(default)]
    pub but: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// How a row is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// From inside a plugin.
    #[default]
    Plain,
    /// Through the library or the command line.
    Host,
    /// The call is declared, and the plugin receives the error that says it is unsupported.
    Unsupported,
}

impl Row {
    /// Returns whether the row names this call, with or without an error case.
    pub fn names(&self, call: &str) -> bool {
        self.calls.iter().any(|named| named.split([':', '(']).next() == Some(call))
    }
}

impl List {
    /// Reads the list.
    pub fn read() -> Result<Self> {
        let path = root().join("tests/conformance.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not what it should be", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use parlor_config::SETTINGS;
    use parlor_session::permissions::{self, EVENTS};

    use super::*;

    #[test]
    fn the_rows_are_those_of_the_contract() {
        let list = List::read().unwrap();
        let numbers: Vec<u16> = list.row.iter().map(|row| row.number).collect();
        assert_eq!(numbers, (1..=163).chain([172]).collect::<Vec<_>>());
        assert_eq!(list.row.iter().filter(|row| row.kind == Kind::Unsupported).count(), 0);
        for row in &list.row {
            for call in &row.calls {
                let name = call.split([':', '(']).next().unwrap();
                let (grouping, function) = name.split_once('.').unwrap();
                assert!(permissions::call(grouping, function).is_some(), "row {}: there is no {name}", row.number);
            }
            assert!(
                row.cannot.keys().chain(row.but.keys()).all(|server| crate::server::Software::named(server).is_some()),
                "{row:?}"
            );
        }
    }

    #[test]
    fn each_call_of_the_contract_stands_in_a_row() {
        let (list, calls) = (List::read().unwrap(), crate::docs::calls().unwrap());
        assert_eq!(calls.len(), permissions::CALLS.len(), "the contract was read to its end");
        let forgotten: Vec<_> = calls.iter().filter(|call| !list.row.iter().any(|row| row.names(call))).collect();
        assert!(forgotten.is_empty(), "no row of tests/conformance.toml has {forgotten:?}: name each, and test it");
    }

    #[test]
    fn events_and_settings_are_those_of_the_hosts_tables() {
        let list = List::read().unwrap();
        let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(sorted(&list.event), EVENTS.iter().map(|rule| rule.name.to_owned()).collect());
        assert_eq!(sorted(&list.setting), SETTINGS.iter().map(|rule| rule.key.to_owned()).collect());
        assert_eq!((list.event.len(), list.setting.len()), (EVENTS.len(), SETTINGS.len()), "something is there twice");
    }
}
