//! Records what happens while a test runs: the server, the calls of a plugin with their results, and the events that it
//! hears.
//!
//! Nothing is written unless `PARLOR_TEST_RECORD` names a file. A line names its test by the thread, which the test
//! program names after the test.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::server::Software;

/// The environment variable that names the file.
pub const FILE: &str = "PARLOR_TEST_RECORD";

/// An entry of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Note {
    /// The test has an account on this server.
    Server(String),
    /// A plugin got the order to make this call, under this number.
    Call(u64, String),
    /// The result of the order with this number: `ok`, or the case of the error.
    Answer(u64, String),
    /// A plugin heard an event of this name, with a payload of this case.
    Heard(String, String),
}

impl Note {
    /// Creates the entry that the test has an account on this server.
    pub fn server(software: Software) -> Self {
        Self::Server(software.to_string())
    }
}

/// Writes an entry to the record, if there is one.
pub fn note(note: &Note) {
    let Some(file) = std::env::var_os(FILE) else { return };
    let thread = std::thread::current();
    let Some(test) = thread.name() else { return };
    let line = serde_json::json!([test, note]).to_string() + "\n";
    let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
    // Each line is one write at the end of the file, so that concurrent tests do not split each other's lines.
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the record can be written");
}

/// The record of one test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The servers that it has accounts on.
    pub servers: BTreeSet<String>,
    /// The calls of a plugin: `grouping.function` if it succeeded, `grouping.function:case` if it ended in an error. A
    /// call whose argument matters is recorded a second time as `grouping.function(argument)`.
    pub calls: BTreeSet<String>,
    /// The events that a plugin heard, with the cases of their payloads.
    pub events: BTreeSet<(String, String)>,
}

/// Reads the record, by the names of the tests.
pub fn read(file: &Path) -> Result<BTreeMap<String, Seen>> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.with_context(|| format!("cannot read {}", file.display()))?,
    };
    let mut seen = BTreeMap::<String, Seen>::new();
    let mut open = BTreeMap::new();
    for line in text.lines() {
        let (name, seen_there): (String, Note) =
            serde_json::from_str(line).with_context(|| format!("a bad line: {line}"))?;
        let of = seen.entry(name.clone()).or_default();
        match seen_there {
            Note::Server(server) => drop(of.servers.insert(server)),
            Note::Heard(event, payload) => drop(of.events.insert((event, payload))),
            Note::Call(number, call) => drop(open.insert((name, number), call)),
            Note::Answer(number, outcome) => {
                let Some(call) = open.get(&(name, number)) else { continue };
                of.calls.insert(if outcome == "ok" { call.clone() } else { format!("{call}:{outcome}") });
                // The call counts without its argument as well.
                if let Some((call, _)) = call.split_once('(') {
                    of.calls.insert(if outcome == "ok" { call.to_owned() } else { format!("{call}:{outcome}") });
                }
            }
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_by_test() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = [
            ("a", Note::server(Software::Prosody)),
            ("a", Note::Call(1, "api.wait-until(roster)".into())),
            ("b", Note::Call(2, "chats.open".into())),
            ("a", Note::Answer(1, "ok".into())),
            ("b", Note::Answer(2, "invalid".into())),
            ("b", Note::Heard("message".into(), "message".into())),
        ];
        let text: String = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
        std::fs::write(file.path(), text).unwrap();
        let seen = read(file.path()).unwrap();
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&seen["a"].calls), "api.wait-until api.wait-until(roster)");
        assert_eq!(
            (names(&seen["a"].servers), names(&seen["b"].calls)),
            ("prosody".into(), "chats.open:invalid".into())
        );
        assert_eq!(seen["b"].events.iter().collect::<Vec<_>>(), [&("message".into(), "message".into())]);
    }
}
