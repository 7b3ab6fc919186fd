//! Reads what each test shows from the lists `Rows …`, `Events …`, `Settings …` and `Rules …` in the tests' doc
//! comments.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::root;
use crate::packages;

/// A test that names what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The name as the test program knows it, such as `chats::get_gives_what_is_open_and_opens_nothing`.
    pub name: String,
    /// The place where the test runs.
    pub place: RunsIn,
    /// The rows that it shows.
    pub rows: BTreeSet<u16>,
    /// The events that it shows.
    pub events: BTreeSet<String>,
    /// The settings that it shows.
    pub settings: BTreeSet<String>,
    /// The rules that it shows.
    pub rules: BTreeSet<String>,
}

/// The place where a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsIn {
    /// In `tests/suite`, on a real server.
    Suite,
    /// In a package of the host, next to the tested code.
    Unit,
}

/// Returns all tests that show anything, in the order of their files.
pub fn all() -> Result<Vec<Test>> {
    let mut found = Vec::new();
    found.extend(in_folder("tests/suite", RunsIn::Suite)?);
    for package in &packages::ALL {
        let tests = in_folder(&package.sources(), RunsIn::Unit)?;
        found.extend(tests.into_iter().map(|test| Test { name: package.test(&test.name), ..test }));
    }
    Ok(found)
}

fn in_folder(folder: &str, place: RunsIn) -> Result<Vec<Test>> {
    let folder = root().join(folder);
    let mut found = Vec::new();
    for file in files(&folder)? {
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let module = module(file.strip_prefix(&folder).expect("it was found there"));
        found.extend(in_file(&module, place, &text).with_context(|| format!("in {}", file.display()))?);
    }
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Converts a path to a module path: `rooms/entering.rs` is `rooms::entering`, `rooms/mod.rs` is `rooms`.
fn module(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

fn in_file(module: &[String], place: RunsIn, text: &str) -> Result<Vec<Test>> {
    let mut found = Vec::new();
    let mut inner: Vec<(usize, String)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut marked = false;
    for line in text.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if let Some(words) = code.strip_prefix("///") {
            comment.push(words.trim());
        } else if code.starts_with("#[") {
            marked |= code == "#[test]" || code.starts_with("#[tokio::test");
        } else if let Some(name) = code.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            inner.push((indent, name.to_owned()));
            comment.clear();
        } else {
            if code == "}" && inner.last().is_some_and(|(at, _)| *at == indent) {
                inner.pop();
            }
            let function = code.strip_prefix("async ").unwrap_or(code).strip_prefix("fn ");
            if let (true, Some(function)) = (marked, function) {
                let name = function.split('(').next().unwrap_or_default();
                let path = module.iter().chain(inner.iter().map(|(_, name)| name)).map(String::as_str);
                let name = path.chain([name]).collect::<Vec<_>>().join("::");
                let shown = Test::read(&name, place, &comment).with_context(|| format!("the comment of {name}"))?;
                found.extend(shown);
            }
            // A line of a macro's arguments between the attribute and the function ends neither.
            if !code.starts_with([')', ']']) || function.is_some() {
                comment.clear();
                marked = false;
            }
        }
    }
    Ok(found)
}

impl Test {
    fn read(name: &str, place: RunsIn, comment: &[&str]) -> Result<Option<Self>> {
        let mut rows = BTreeSet::new();
        let [mut events, mut settings, mut rules] = [const { BTreeSet::new() }; 3];
        // A list is a separate sentence. It ends with a full stop, or with a colon that prose follows.
        let text = comment.join(" ").replace('`', "");
        for sentence in text.split(['.', ':']).map(str::trim) {
            let (kind, list) = sentence.split_once(' ').unwrap_or((sentence, ""));
            let list = list.replace(" and ", ",");
            // A list may repeat its first word on its next line.
            let parts = list.split(',').map(|part| part.trim().trim_start_matches(kind).trim());
            let parts = parts.filter(|part| !part.is_empty());
            let is_prose = parts.clone().any(|part| part.contains(' '));
            match kind {
                "Rows" | "Row" => {
                    for part in parts {
                        rows.extend(range(part).with_context(|| format!("no number of a row: {part:?}"))?);
                    }
                }
                "Events" | "Event" if !is_prose => events.extend(parts.map(str::to_owned)),
                "Settings" | "Setting" if !is_prose => settings.extend(parts.map(str::to_owned)),
                "Rules" | "Rule" if !is_prose => rules.extend(parts.map(str::to_owned)),
                _ => {}
            }
        }
        let shows = !(rows.is_empty() && [&events, &settings, &rules].into_iter().all(BTreeSet::is_empty));
        Ok(shows.then(|| Self { name: name.to_owned(), place, rows, events, settings, rules }))
    }
}

/// Parses `73` or `73-75`.
fn range(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (first, last) = text.split_once(['-', '–']).unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::list::List;

    #[test]
    fn what_a_test_shows_is_read_from_its_comment() {
        let text = "
/// Rows 1-3, 9 and 12. Events message,
/// `messageSend`, roster,
/// Events rosterPush.
/// And prose. Settings of all kinds.
#[tokio::test(flavor = \"multi_thread\")]
async fn first() {
}
/// Rows 4: not of a test.
fn helper() {
}
#[cfg(test)]
mod inner {
    /// Settings priority, default_state.
    #[test]
    fn second() {}
    #[test]
    fn third() {}
}
/// Row 128: a read sees it.
/// Rules carbon and delayed.
#[test]
fn fourth() {}
";
        let found = in_file(&["chats".to_owned()], RunsIn::Suite, text).unwrap();
        let names: Vec<_> = found.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names, ["chats::first", "chats::inner::second", "chats::fourth"]);
        assert_eq!(found[0].rows, BTreeSet::from([1, 2, 3, 9, 12]));
        assert_eq!(found[0].events.iter().collect::<Vec<_>>(), ["message", "messageSend", "roster", "rosterPush"]);
        assert_eq!(found[1].settings.iter().collect::<Vec<_>>(), ["default_state", "priority"]);
        assert_eq!((&found[2].rows, found[2].rules.len()), (&BTreeSet::from([128]), 2));
        assert!(in_file(&[], RunsIn::Suite, "/// Rows seven.\n#[test]\nfn odd() {}").is_err());
    }

    #[test]
    fn modules_are_named_after_their_files() {
        assert_eq!(module(Path::new("rooms/entering.rs")), ["rooms", "entering"]);
        assert_eq!(module(Path::new("bad_input/mod.rs")), ["bad_input"]);
        assert!(module(Path::new("lib.rs")).is_empty());
    }

    #[test]
    fn tests_name_only_what_is_on_the_list() {
        let list = List::read().unwrap();
        for test in all().unwrap() {
            for row in &test.rows {
                assert!(list.row.iter().any(|one| one.number == *row), "{} names row {row}", test.name);
            }
            for event in &test.events {
                assert!(list.event.contains(event), "{} names the event {event}", test.name);
            }
            for setting in &test.settings {
                assert!(list.setting.contains(setting), "{} names the setting {setting}", test.name);
            }
            for rule in &test.rules {
                assert!(list.rule.iter().any(|one| one.name == *rule), "{} names the rule {rule}", test.name);
            }
        }
    }
}
