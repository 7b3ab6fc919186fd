//! The table of detectors: `tests/detectors.toml`.

use anyhow::{Context as _, Result, ensure};
use parlor_tests::conformance::root;
use serde::Deserialize;

use crate::check::Check;

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    pub(crate) detector: Vec<Detector>,
}

/// A change that breaks a promise, and the check that must detect it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Detector {
    /// The detector's name: a word or a few, with `-` between them.
    pub(crate) name: String,
    /// The broken behaviour, in one sentence.
    pub(crate) broken: String,
    /// The file to change, relative to the workspace's root.
    pub(crate) file: String,
    /// The text to replace, which occurs once in the file.
    pub(crate) find: String,
    /// The replacement.
    pub(crate) instead: String,
    /// The check that must fail.
    pub(crate) seen_by: Check,
}

impl Table {
    pub(crate) fn read() -> Result<Self> {
        let path = root().join("tests/detectors.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }
}

impl Detector {
    /// Returns the file's text with the change applied.
    pub(crate) fn applied_to(&self, text: &str) -> Result<String> {
        let times = text.matches(&self.find).count();
        ensure!(
            times == 1,
            "what {} breaks stands {times} times in {}, and has to stand there once: correct tests/detectors.toml",
            self.name,
            self.file
        );
        ensure!(self.find != self.instead, "{} changes nothing: correct tests/detectors.toml", self.name);
        Ok(text.replacen(&self.find, &self.instead, 1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use parlor_tests::packages::{self, Package};

    use super::*;

    /// Returns the text of all Rust files below a folder.
    fn sources(folder: &Path) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all += &sources(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all += &std::fs::read_to_string(path).unwrap();
            }
        }
        all
    }

    /// Without this test, an outdated detector would be noticed only by the next long run.
    #[test]
    fn each_change_fits_the_present_sources_and_each_check_is_there() {
        let table = Table::read().unwrap();
        let mut names = BTreeSet::new();
        let [suite, attacks] = ["tests/suite", "tests/src/bin/attack"].map(|folder| sources(&root().join(folder)));
        let of_package = |package: &Package| sources(&root().join(package.sources()));
        for detector in &table.detector {
            assert!(names.insert(&detector.name), "{} is there twice", detector.name);
            let source = std::fs::read_to_string(root().join(&detector.file)).unwrap();
            detector.applied_to(&source).unwrap();
            let function = |test: &str| format!("fn {}(", test.split("::").last().unwrap());
            let is_there = match &detector.seen_by {
                Check::Unit(test) => of_package(packages::of_test(test).0).contains(&function(test)),
                Check::Suite(test) => suite.contains(&function(test)),
                Check::Attack(case) => attacks.contains(&format!("case!({case}, ")),
            };
            assert!(is_there, "{}: there is no {}", detector.name, detector.seen_by);
        }
        assert!(names.len() >= 12, "the table was read: {names:?}");
    }

    #[test]
    fn a_change_that_does_not_fit_is_named() {
        let detector = |find: &str, instead: &str| Detector {
            name: "limit".to_owned(),
            broken: String::new(),
            file: "a.rs".to_owned(),
            find: find.to_owned(),
            instead: instead.to_owned(),
            seen_by: Check::Attack(1),
        };
        assert_eq!(detector("b", "x").applied_to("a b c").unwrap(), "a x c");
        let error = detector("d", "x").applied_to("a b c").unwrap_err().to_string();
        assert!(error.starts_with("what limit breaks stands 0 times in a.rs"), "{error}");
        let error = detector("a", "x").applied_to("a b a").unwrap_err().to_string();
        assert!(error.contains("stands 2 times"), "{error}");
        let error = detector("a", "a").applied_to("a b").unwrap_err().to_string();
        assert!(error.starts_with("limit changes nothing"), "{error}");
    }
}
