//! The findings of `parlor doctor`, each with its remedy, and how a screen shows them.

use std::collections::BTreeMap;

use parlor_base::escape::escape_untrusted;
use serde::Serialize;

use crate::Ended;
use crate::show::{Mark, Put as _, hanging, marked};

/// The most of a reason that is shown, in bytes.
const LONGEST: usize = 1_000;
/// The widest column of checks on a terminal. A longer name has its own line.
const WIDEST_CHECK: usize = 24;
/// How many accounts are named of those of which the same was found. Of so many, each has a finding of its own.
const NAMED: usize = 3;
/// The check of findings about several accounts.
pub(super) const ACCOUNTS: &str = "accounts";
/// The remedy for a plugin that may not run.
pub(super) const OR_DISABLE: &str = "do as it says, or `parlor plugin disable` it";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
    /// The part that findings about other accounts have, too. Programs get each finding by itself.
    #[serde(skip)]
    pub(crate) alike: Option<Alike>,
}

/// A finding about an account, as it is shown together with the same findings about others.
#[derive(Debug, Clone)]
pub(crate) struct Alike {
    account: String,
    check: String,
    says: String,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Findings {
    pub(crate) findings: Vec<Finding>,
    /// How many accounts there are.
    #[serde(skip)]
    pub(crate) accounts: usize,
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

    /// Says that the last finding is about this account, and how it is shown if the same is found of several: under this check,
    /// in these words.
    pub(super) fn alike(&mut self, account: &str, check: &str, says: &str) {
        if let Some(last) = self.findings.last_mut() {
            last.alike = Some(Alike { account: account.to_owned(), check: check.to_owned(), says: escaped(says) });
        }
    }

    /// Says the same of all findings from this one on, in their own words. `own` is the account's address, which these may begin
    /// with.
    pub(super) fn all_alike(&mut self, from: usize, account: &str, own: &str) {
        let check_of_account = format!("account {account}");
        for one in self.findings.iter_mut().skip(from) {
            let check = if one.check == check_of_account { ACCOUNTS } else { one.check.as_str() }.to_owned();
            let says = one.says.strip_prefix(own).unwrap_or(&one.says).trim_start().to_owned();
            one.alike = Some(Alike { account: account.to_owned(), check, says });
        }
    }

    /// Returns the findings for people: one in place of those that say the same of many accounts.
    pub(crate) fn grouped(&self) -> Vec<Finding> {
        let mut groups = BTreeMap::<_, Vec<(&str, Option<&str>)>>::new();
        for one in &self.findings {
            if let Some(alike) = &one.alike {
                let key = (one.state, alike.check.as_str(), alike.says.as_str());
                groups.entry(key).or_default().push((alike.account.as_str(), one.remedy.as_deref()));
            }
        }
        let mut all = Vec::new();
        for one in &self.findings {
            let key = one.alike.as_ref().map(|alike| (one.state, alike.check.as_str(), alike.says.as_str()));
            let group = key.and_then(|key| groups.get_mut(&key));
            match (&one.alike, group) {
                // It is shown with the first one.
                (Some(_), Some(group)) if group.is_empty() => {}
                (Some(alike), Some(group)) if accounts_of(group).len() > NAMED => {
                    all.push(together(one.state, alike, group, self.accounts));
                    group.clear();
                }
                _ => all.push(one.clone()),
            }
        }
        all
    }

    fn put(&mut self, check: &str, state: State, says: &str, remedy: Option<&str>) {
        let remedy = remedy.map(str::to_owned);
        self.findings.push(Finding { check: check.to_owned(), state, says: escaped(says), remedy, alike: None });
    }
}

/// Returns the name of the check for a plugin.
pub(super) fn check_of(id: &str) -> String {
    format!("plugin {id}")
}

/// Escapes a text. An error may have several lines; each is escaped separately.
fn escaped(says: &str) -> String {
    let lines: Vec<_> = says.lines().map(|line| escape_untrusted(line, LONGEST)).collect();
    lines.join("\n")
}

/// Returns the accounts of findings, which are in their order. The same may be found of one account several times.
fn accounts_of<'f>(group: &[(&'f str, Option<&str>)]) -> Vec<&'f str> {
    let mut accounts: Vec<_> = group.iter().map(|(account, _)| *account).collect();
    accounts.dedup();
    accounts
}

/// Returns one finding in place of several that are alike: what was found, of how many accounts, and the first of them.
fn together(state: State, alike: &Alike, group: &[(&str, Option<&str>)], all: usize) -> Finding {
    let accounts = accounts_of(group);
    let (count, named) = (accounts.len(), accounts.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "));
    let (all, more, says) = (all.max(count), count.saturating_sub(NAMED), &alike.says);
    let says = format!("{count} of {all} accounts ({named} and {more} more): {says}; `parlor doctor --all` names each");
    let mut remedies: Vec<_> = group.iter().map(|(_, remedy)| *remedy).collect();
    remedies.dedup();
    let remedy = match remedies.as_slice() {
        [one] => one.map(str::to_owned),
        _ => Some("`parlor doctor --all` says what to do for each".to_owned()),
    };
    Finding { check: alike.check.clone(), state, says, remedy, alike: None }
}

/// Ends the command after it has shown these findings. If some are broken, the error has their number as a reader counts them.
pub(super) fn ended(shown: &[Finding]) -> anyhow::Result<()> {
    match shown.iter().filter(|one| one.state == State::Broken).count() {
        0 => Ok(()),
        one_or_more => Err(Ended::Broken(one_or_more).into()),
    }
}

/// Shows findings on a screen.
pub(super) fn screen(findings: &[Finding], terminal: Option<usize>) -> String {
    let longest = findings.iter().map(|one| one.check.chars().count()).max().unwrap_or(0);
    let width = if terminal.is_some() { longest.min(WIDEST_CHECK) } else { longest };
    let (column, mut text) = (11 + width, String::new());
    for one in findings {
        let state = match one.state {
            State::Fine => marked("fine   ", Mark::Dim),
            State::Warning => marked("warning", Mark::Yellow),
            State::Broken => marked("broken ", Mark::Red),
        };
        let is_long = one.check.chars().count() > width;
        let apart = if is_long { format!("\n{:column$}", "") } else { "  ".to_owned() };
        let says = hanging(&one.says, column, terminal);
        text.put(format_args!("{state}  {:width$}{apart}{says}\n", one.check));
        if let Some(remedy) = &one.remedy {
            text.put(format_args!("{:column$}→ {}\n", "", hanging(remedy, column + 2, terminal)));
        }
    }
    text
}
