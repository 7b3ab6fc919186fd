//! The findings of `parlor doctor`, each with its remedy.

use parlor_base::escape::escape_untrusted;
use serde::Serialize;

/// The most of a reason that is shown, in bytes.
const LONGEST: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Fine,
    Warning,
    Broken,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    /// The part of the host that was checked.
    pub(crate) check: String,
    pub(crate) state: State,
    pub(crate) says: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Findings {
    pub(crate) findings: Vec<Finding>,
}

impl Findings {
    pub(super) fn fine(&mut self, check: &str, says: impl Into<String>) {
        self.put(check, State::Fine, &says.into(), None);
    }

    pub(super) fn warn(&mut self, check: &str, says: impl Into<String>, remedy: &str) {
        self.put(check, State::Warning, &says.into(), Some(remedy));
    }

    pub(super) fn broken(&mut self, check: &str, says: impl Into<String>, remedy: &str) {
        self.put(check, State::Broken, &says.into(), Some(remedy));
    }

    pub(super) fn is_broken(&self, check: &str) -> bool {
        self.findings.iter().any(|one| one.check == check && one.state == State::Broken)
    }

    fn put(&mut self, check: &str, state: State, says: &str, remedy: Option<&str>) {
        // An error may have several lines; each is escaped separately.
        let says: Vec<_> = says.lines().map(|line| escape_untrusted(line, LONGEST)).collect();
        let says = says.join("\n");
        self.findings.push(Finding { check: check.to_owned(), state, says, remedy: remedy.map(str::to_owned) });
    }
}
