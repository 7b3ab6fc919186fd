//! The JSON types of the control socket. All untrusted text in them is escaped.

mod cluster;
mod data;
mod ills;
mod keys;
mod rooms;
mod settings;
mod webhooks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parlor_session::permissions::question::Outcome;
use serde::{Deserialize, Serialize};

pub use self::rooms::{Left, People, Person, Room, RoomPlugin, Said};
pub use cluster::{
    AccountWithoutNode, Cluster, ClusterAccount, ClusterHealth, ClusterMove, ClusterNode, IdleAccount, LostNode,
    NodeStatus, SharedVersion,
};
pub use data::{DataChange, DataEntry, DataHead, DataPage};
pub use ills::{ComponentStatus, Failure, LastError};
pub use keys::{Compared, Comparison, Encryption, Key, Keys, OwnOmemo, shown};
pub use settings::{NewSetting, PluginSetting};
pub use webhooks::{FormerSecret, SecretSender, Webhook, WebhookRequest, Webhooks};

/// The state of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The node of a cluster that answered; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The nodes of the cluster, that one first. Their accounts and plugins are below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeStatus>,
    /// The report of that node about the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterHealth>,
    /// The accounts of its files that no node runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nowhere: Vec<AccountWithoutNode>,
    /// Whether a host runs with this data folder. If none does, the fields about a host are omitted.
    pub running: bool,
    /// The process of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Process>,
    /// The data folder, as an absolute path.
    pub data: PathBuf,
    /// The policy file, as an absolute path.
    pub policy: PathBuf,
    /// Why the current text of the policy file is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_error: Option<String>,
    /// Why the current text of the configuration file is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// Why webhooks cannot be listened for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhooks_error: Option<String>,
    /// The connections as components, ordered by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentStatus>,
    /// The accounts, ordered by name.
    pub accounts: Vec<Account>,
    /// The plugins on their accounts, ordered by id and account.
    pub plugins: Vec<Plugin>,
}

/// Returns the files whose current text is not in force, each with the reason.
fn faults<'e>(config: Option<&'e str>, policy: Option<&'e str>) -> impl Iterator<Item = (&'static str, &'e str)> {
    let files = [("configuration", config), ("policy", policy)];
    files.into_iter().filter_map(|(file, error)| Some((file, error?)))
}

/// Returns a clause about an account whose connection is in a state that it should not be in.
fn account_ill(name: &str, connection: &str) -> Option<String> {
    ["retrying", "failed"].contains(&connection).then(|| format!("account {name} is {connection}"))
}

/// Returns the sentence for a file whose current text is not in force.
pub fn not_in_force(file: &str, error: &str) -> String {
    format!("the {file} does not count as it is written now, the one before does: {error}")
}

/// Makes a path absolute, for readers in another folder.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The process of a running host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// The version of parlor.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// The start time, RFC 3339.
    pub since: String,
    /// The seconds since the start.
    pub uptime: u64,
    /// The resident memory, in bytes.
    pub memory: u64,
    /// The number of tasks: the host's own, three for each running plugin on an account, and one per control
    /// connection.
    #[serde(default)]
    pub tasks: u64,
}

/// An account of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The name in the configuration.
    pub name: String,
    /// The node of a cluster that has it; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The group that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The JID; the bound full JID while it is connected.
    pub jid: String,
    /// The state: `offline`, `connecting`, `connected`, `asleep`, `retrying` or `failed`; `unknown` if no host runs.
    pub connection: String,
    /// Why it is retrying or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when the connection is in that state, RFC 3339; none if no host runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The last error of the connection since the host started, also while it is connected again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Its rooms, ordered by address, without the plugins in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<Room>,
    /// How often it was put out of a room or not let in, by the reason, since it logged in first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub departures: BTreeMap<String, u64>,
    /// How it encrypts; none if no host runs, or if it is asleep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The reason that kept it awake at the last look, as a clause, if it is an address of a component that may sleep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_awake: Option<String>,
}

impl Account {
    /// Returns in how many rooms it is, in a clause. Rooms that it left on request do not count. None: there are none.
    pub fn in_rooms(&self) -> Option<String> {
        let joined = self.rooms.iter().filter(|room| room.state == "joined").count();
        let all = self.rooms.iter().filter(|room| room.state != "out" || room.is_lost()).count();
        match (joined, all) {
            (_, 0) => None,
            (1, 1) => Some("in 1 room".to_owned()),
            (joined, all) if joined == all => Some(format!("in {all} rooms")),
            (joined, all) => Some(format!("in {joined} of {all} rooms")),
        }
    }
}

/// A plugin on one account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plugin {
    /// The plugin's id, chosen by the owner.
    pub id: String,
    /// The account; none if the plugin may not run at all.
    pub account: Option<String>,
    /// The node of a cluster where that is so; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The state of its account's connection, as in [`Account`]; only if one plugin was queried, and has an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The state: `running`, `parked`, `compiling`, `waiting`, `starting`, `stopping`, `stopped`, `refused`,
    /// `backing-off`, `quarantined` or `disabled`; `unknown` if no host runs.
    pub state: String,
    /// The reason for the state, if it has one: one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The plugin's version.
    pub version: Option<String>,
    /// The digest of its file.
    pub digest: String,
    /// The source of its file.
    pub source: String,
    /// Its totals since the host started, across restarts and replacements; none if it may not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// The use of the current instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// How often the host restarted it after a failure.
    pub restarts: u64,
    /// Its commands, each with the word that people send for it, without the prefix.
    #[serde(default)]
    pub commands: BTreeMap<String, String>,
    /// Its limits, each with the current use; only if one plugin was queried, and runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Its last denied calls, oldest first; only if one plugin was queried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denied>,
    /// Its current grants: the entries of each permission, empty for a permission without scope; only if one plugin was
    /// queried, and may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<BTreeMap<String, Vec<String>>>,
    /// The rooms that it is kept to; none if it is kept to none, or may not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Vec<String>>,
}

impl Plugin {
    /// Every state.
    pub const STATES: [&'static str; 12] = [
        "running",
        "parked",
        "compiling",
        "waiting",
        "starting",
        "stopping",
        "stopped",
        "refused",
        "backing-off",
        "quarantined",
        "disabled",
        "unknown",
    ];

    /// Returns whether it handles events: it runs, or is parked and runs with its next event.
    pub fn runs(&self) -> bool {
        ["running", "parked"].contains(&self.state.as_str())
    }

    /// Returns whether it should run and does not, until the owner acts or the host retries.
    pub fn is_down(&self) -> bool {
        ["backing-off", "quarantined", "refused"].contains(&self.state.as_str())
    }

    /// Returns a clause about it if it is down. The clause names its node, unless it is about one account.
    pub fn ill(&self) -> Option<String> {
        let on = if self.account.is_none() { self.on() } else { String::new() };
        self.is_down().then(|| format!("plugin {} is {}{on}", self.id, self.state))
    }

    /// Says where that is, to follow its id: on its account, or else on its node; empty if it has neither.
    pub fn on(&self) -> String {
        match (&self.account, &self.node) {
            (Some(account), _) => format!(" on {account}"),
            (None, Some(node)) => format!(" on node {node}"),
            (None, None) => String::new(),
        }
    }

    /// Returns a clause about its account if that is retried or has failed.
    pub fn account_ill(&self) -> Option<String> {
        account_ill(self.account.as_deref()?, self.connection.as_deref()?)
    }

    /// Returns whether it runs, but not as the policy last decided; its reason says why.
    pub fn is_behind(&self) -> bool {
        self.runs() && self.reason.is_some()
    }
}

/// The schedules of a plugin on one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedules {
    /// The plugin.
    pub plugin: String,
    /// The account.
    pub account: String,
    /// The node of a cluster that has that account; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Each schedule, ordered by name.
    pub schedules: Vec<Schedule>,
}

/// A schedule. Times are written as in RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// When it is due, in words.
    pub when: String,
    /// The next due time; none if no other one follows.
    pub next: Option<String>,
    /// The due time that is being delivered.
    pub due: Option<String>,
    /// The number of failed attempts to deliver it.
    pub attempts: u32,
    /// The due times that were missed before that one, or before the next one, and are not delivered.
    pub missed: u32,
    /// The last due time that is over.
    pub last: Option<String>,
    /// Whether the plugin failed too often on that one.
    pub failed: bool,
    /// Whether the owner has paused it.
    pub paused: bool,
}

/// The totals of a plugin on one account since the host started, including past instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Events that it has handled.
    pub handled: u64,
    /// Stanzas that it has sent.
    pub sent: u64,
    /// Requests that it has made over the web.
    #[serde(default)]
    pub requests: u64,
    /// The bytes that it sent over the web.
    #[serde(default)]
    pub web_sent: u64,
    /// The bytes that it got over the web.
    #[serde(default)]
    pub web_received: u64,
    /// Calls that were denied.
    pub denials: u64,
    /// Events that were lost because its mailbox was full.
    pub lost: u64,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// Events that it listens to and did not receive, by the permission that did not cover them; `rooms`: those from rooms
    /// that the owner does not keep it to.
    pub withheld: BTreeMap<String, u64>,
    /// Its decisions as a hook.
    #[serde(default)]
    pub hooks: HookRecord,
}

/// A plugin's decisions as a hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRecord {
    /// Messages and commands that it was asked about.
    pub seen: u64,
    /// Messages that it changed.
    pub altered: u64,
    /// Messages that it gave a label.
    pub marked: u64,
    /// Messages and commands that it stopped.
    pub stopped: u64,
    /// Messages and commands about which it gave no verdict in time.
    pub failed: u64,
    /// Messages and commands that passed without its verdict.
    #[serde(default)]
    pub unjudged: u64,
}

/// The answer to a question about a plugin on one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The account; none if it may run on none, or if no host runs.
    pub account: Option<String>,
    /// The outcome: `yes`, `no`, `partly` or `unknown`.
    pub answer: Outcome,
    /// The permission that it needs; none if it is free.
    pub permission: Option<String>,
    /// The reason, in a clause.
    pub reason: String,
    /// The command or line that would allow it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// The use of an instance since it started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The start time, RFC 3339.
    pub since: String,
    /// The seconds since the start.
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
    /// Its average share of a core since it started; 1 = a whole core.
    pub cpu_share: f64,
    /// The share of a core that it may use in the long run.
    pub cpu_limit: f64,
    /// Whether it is throttled: it exceeded its share, or its predecessor failed, and it runs only while the CPU is
    /// idle.
    pub slowed: bool,
    /// The memory that it holds, in bytes.
    pub memory: u64,
    /// The memory that it may hold, in bytes.
    pub memory_limit: u64,
}

/// The current use of a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Its key under `[plugin.NAME.limits]`; `storage` is under `[plugin.NAME.grants]`.
    pub name: String,
    /// The use, in bytes for sizes and in seconds for times; none if it is only known during a call.
    pub used: Option<f64>,
    /// The limit, as an owner would write it.
    pub of: String,
    /// The limit as a number, in the unit of `used`; none if it is unlimited.
    #[serde(default)]
    pub most: Option<f64>,
}

/// A call that was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The time of the call, RFC 3339.
    pub at: String,
    /// The permission that it needed.
    pub permission: String,
    /// The target of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// How the owner can allow it.
    pub hint: String,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number since the host started. A gap means that lines were dropped before they were read.
    pub number: u64,
    /// The time, RFC 3339.
    pub at: String,
    /// The level: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The part of the host that wrote it; `plugin` if a plugin wrote it.
    pub target: String,
    /// The message.
    pub message: String,
    /// Its fields, such as `plugin`, `account` and `reason`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}
