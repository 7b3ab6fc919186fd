//! What goes over the control socket, as JSON. Words of strangers are harmless in all of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::permissions::question::Outcome;

/// The house.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Whether a host runs with this data folder. What is below about a host is left out where none does.
    pub running: bool,
    /// The host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Process>,
    /// The data folder, absolute.
    pub data: PathBuf,
    /// The policy file, absolute.
    pub policy: PathBuf,
    /// Why that file, as it is written now, is not what the host goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_error: Option<String>,
    /// The same of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// Its accounts, ordered by name.
    pub accounts: Vec<Account>,
    /// Its plugins on their accounts, ordered by id and account.
    pub plugins: Vec<Plugin>,
}

impl Status {
    /// The accounts and plugins that do not do what they are to do, a clause each; none: all is well. Health is asked for here, too.
    pub(crate) fn ills(&self) -> Vec<String> {
        let is_ill = |one: &&Account| ["retrying", "failed"].contains(&one.connection.as_str());
        let accounts = self.accounts.iter().filter(is_ill);
        let accounts = accounts.map(|account| format!("account {} is {}", account.name, account.connection));
        accounts.chain(self.plugins.iter().filter_map(Plugin::ill)).collect()
    }

    /// Which of its files do not count as they are written now, and why.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let files = [("configuration", &self.config_error), ("policy", &self.policy_error)];
        files.into_iter().filter_map(|(file, error)| Some((file, error.as_deref()?)))
    }

    /// The same, a sentence each.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.faults().map(|(file, error)| not_in_force(file, error))
    }
}

/// That a file of the house does not count, and why.
pub(crate) fn not_in_force(file: &str, error: &str) -> String {
    format!("the {file} does not count as it is written now, the one before does: {error}")
}

/// A path that means the same to whoever asks from another folder.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The process that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its version of parlor.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started, RFC 3339.
    pub since: String,
    /// For how many seconds it has run.
    pub uptime: u64,
    /// How many bytes of memory it holds (resident).
    pub memory: u64,
    /// How many tasks it has: its own, three of each plugin that runs on an account, and one of whoever asks.
    #[serde(default)]
    pub tasks: u64,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name in the configuration.
    pub name: String,
    /// Its JID; the full one that it is bound to while it is connected.
    pub jid: String,
    /// `offline`, `connecting`, `connected`, `retrying` or `failed`; `unknown` where no host runs.
    pub connection: String,
    /// Why it is retried or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A plugin on one account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plugin {
    /// The owner's id.
    pub id: String,
    /// The account; none where the plugin may not run at all.
    pub account: Option<String>,
    /// `running`, `compiling`, `waiting`, `starting`, `stopping`, `stopped`, `refused`, `backing-off`, `quarantined`,
    /// `disabled`; `unknown` where no host runs.
    pub state: String,
    /// Why, where the state has a reason: one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The digest of its file.
    pub digest: String,
    /// Where its file came from.
    pub source: String,
    /// Its record since the host started, across restarts and replacements; none where it may not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// The use of the instance that runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// How often it was started again by itself.
    pub restarts: u64,
    /// Its commands, with the word that people say for each, without the prefix.
    #[serde(default)]
    pub commands: BTreeMap<String, String>,
    /// Its limits and what it uses of them; only where one plugin was asked for, and runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// The last calls that it was denied, oldest first; only where one plugin was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denied>,
    /// What it may see and do now: the entries of each permission, none for what has none; only where one plugin was asked for, and
    /// may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<BTreeMap<String, Vec<String>>>,
}

impl Plugin {
    /// Whether it is to run and does not, for as long as nobody does anything about it or it is tried again.
    pub(crate) fn is_down(&self) -> bool {
        ["backing-off", "quarantined", "refused"].contains(&self.state.as_str())
    }

    /// That it is down, in a clause.
    pub(crate) fn ill(&self) -> Option<String> {
        self.is_down().then(|| format!("plugin {} is {}", self.id, self.state))
    }

    /// Whether it runs, but not as it was decided last; its reason says why.
    pub(crate) fn is_behind(&self) -> bool {
        self.state == "running" && self.reason.is_some()
    }
}

/// The record of a plugin on one account since the host started, instances that are gone included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Events that it has handled.
    pub handled: u64,
    /// Stanzas that it has sent.
    pub sent: u64,
    /// Calls that were denied.
    pub denials: u64,
    /// Events that were lost because its mailbox was full.
    pub lost: u64,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// Events that it listens to and was not shown, by the permission that did not cover them.
    pub withheld: BTreeMap<String, u64>,
}

/// The answer to a question about a plugin on one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The account; none where it may run on none, or where no host runs.
    pub account: Option<String>,
    /// `yes`, `no`, `partly` or `unknown`.
    pub answer: Outcome,
    /// The permission that it needs; none where it is free.
    pub permission: Option<String>,
    /// Why, in a clause.
    pub reason: String,
    /// The command or line that would allow it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What an instance has used since it started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// When it started, RFC 3339.
    pub since: String,
    /// For how many seconds it has run.
    pub uptime: u64,
    /// Events that it has handled.
    pub handled: u64,
    /// Stanzas that it has sent.
    pub sent: u64,
    /// Calls that were denied.
    pub denials: u64,
    /// Events that were lost because its mailbox was full.
    #[serde(default)]
    pub lost: u64,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// Its share of one core over the time that it has run, 1 = a whole one.
    pub cpu_share: f64,
    /// The share of one core that it may use for long.
    pub cpu_limit: f64,
    /// It used more than its share, or the one before it failed, and it runs only when nobody else wants to.
    pub slowed: bool,
    /// How many bytes of memory it holds.
    pub memory: u64,
    /// How many it may hold.
    pub memory_limit: u64,
}

/// How much of a limit is used now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Its key under `[plugin.NAME.limits]`; `storage` stands under `[plugin.NAME.grants]`.
    pub name: String,
    /// So much, in bytes for sizes and in seconds for times; none for what nobody can say from outside of a call.
    pub used: Option<f64>,
    /// Of so much, as an owner would write it.
    pub of: String,
    /// The same as a number, in the unit of `used`; none where nothing is bounded.
    #[serde(default)]
    pub most: Option<f64>,
}

/// A call that was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// When, RFC 3339.
    pub at: String,
    /// The permission that it would have needed.
    pub permission: String,
    /// For whom or what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// How the owner would allow it.
    pub hint: String,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number since the host started. A gap means that lines were dropped before anybody read them.
    pub number: u64,
    /// When, RFC 3339.
    pub at: String,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Which part of the host; `plugin` where a plugin wrote it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Its fields, such as `plugin`, `account` and `reason`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// Why something was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One sentence.
    pub error: String,
}
