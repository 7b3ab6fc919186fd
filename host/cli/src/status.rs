//! `parlor status`: shows the host on one screen.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use parlor::control::VERSION;
use parlor::control::client::Client;
use parlor::control::views::{
    Account, Encryption, HookRecord, Limit, NodeStatus, Plugin, Process, Record, Status, Usage, absolute,
};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_base::quantity::show_duration;
use parlor_config::{AccountConfig, Config};
use parlor_plugins::admin::PluginAdmin;
use parlor_plugins::policy::{Entry, Policy};
use parlor_session::router::Withholder;

use super::Ended;
use super::fleet::{self, Filter, MANY, first};
use super::show::{Mark, Put as _, marked, node_column, print, print_json, size, span, table, width, wrapped};
use super::target::{self, Target};

/// How many rooms are named that an account is out of.
const LOST: usize = 5;

/// The arguments of `parlor status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor status           the host on one screen\n  parlor status --json    the same for programs\n  parlor status echo      one plugin, with each of its limits and how much of it is used\n  parlor status --state away                  the accounts that are retried or failed\n  parlor status --group support --page 2      the accounts of a group, 20 on a page\n  parlor status --match 'shop-*' --json       accounts by name, for programs\n\nWith more than 20 accounts it shows how many there are in each group and state, names those that need attention, and counts those that are out of a room. --json shows all, unless flags pick some. Times are in UTC.\n\nExit codes, by what is shown: 0 a host runs and all is well, 5 an account is retried or failed, a plugin does not run that should, webhooks cannot be listened for, a node of the cluster does not answer, accounts of the cluster run on no node, or the node does not reach NATS (with --json 0: the answer says it), 4 no host runs, 1 failed, 2 wrong usage"
)]
pub struct StatusArgs {
    /// One plugin, with its limits.
    plugin: Option<PluginId>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    /// Queries the host, and shows the answer; without a host, it shows what the files say.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_look()?;
        let (running, ills) = match &self.plugin {
            None => {
                let mut status = of(&config)?;
                self.filter.check(&config, groups_of(&status.accounts))?;
                self.filter.narrow(&mut status);
                let (running, ills) = (status.running, ills(&status));
                self.show_host(status)?;
                (running, ills)
            }
            Some(id) => {
                let (mut plugins, host) = one(&config, id)?;
                self.narrow(&config, &mut plugins)?;
                let accounts =
                    plugins.iter().filter_map(|one| Some((one.account.as_deref()?, one.connection.as_deref()?)));
                let mut ills = fleet::account_ills(accounts);
                ills.extend(fleet::plugin_ills(&plugins));
                self.show_plugin(plugins)?;
                host.as_ref().map_or(Ok(()), target::whole)?;
                (host.is_some(), ills)
            }
        };
        if !running {
            return Err(Ended::NotRunning(config.data).into());
        }
        // A program finds the faults in the JSON.
        if self.json || ills.is_empty() {
            return Ok(());
        }
        let (mut shown, more) = first(ills);
        shown.extend((more > 0).then(|| format!("and {more} more")));
        Err(Ended::Unwell(shown.join("; ")).into())
    }

    /// Leaves only the plugins on accounts that the flags pick.
    fn narrow(&self, config: &Config, plugins: &mut Vec<Plugin>) -> anyhow::Result<()> {
        if !self.filter.narrows() {
            return Ok(());
        }
        // The status of the host has the groups of accounts.
        let accounts = if self.filter.is_about_groups() { of(config)?.accounts } else { Vec::new() };
        self.filter.check(config, groups_of(&accounts))?;
        let groups: BTreeMap<_, _> = accounts.into_iter().filter_map(|one| Some((one.name, one.group?))).collect();
        plugins.retain(|plugin| {
            let account = plugin.account.as_deref().unwrap_or_default();
            let connection = plugin.connection.as_deref().unwrap_or("unknown");
            self.filter.picks(account, groups.get(account).map(String::as_str), connection)
        });
        Ok(())
    }

    fn show_host(&self, mut status: Status) -> anyhow::Result<()> {
        if self.json {
            if self.filter.is_paged() {
                self.filter.cut(&mut status);
            }
            return print_json(&status);
        }
        let width = width();
        if !self.filter.is_given() {
            return print(&screen(&status, width));
        }
        let mut others = self.filter.cut(&mut status);
        let mut text = head(&status, width);
        if status.accounts.is_empty() {
            // Others are on the pages before this one.
            let others = others.take().map(|others| format!("accounts {others}\n"));
            text.push_str(others.as_deref().unwrap_or("no account is like that\n"));
        } else {
            text.push_str(&accounts(&status.accounts, width));
        }
        if !status.plugins.is_empty() {
            text.put(format_args!("\n{}", plugins(&status.plugins, width)));
        }
        if let Some(others) = others {
            text.put(format_args!("\naccounts {others}\n"));
        }
        print(&text)
    }

    fn show_plugin(&self, mut plugins: Vec<Plugin>) -> anyhow::Result<()> {
        if self.json {
            if self.filter.is_paged() {
                self.filter.page(&mut plugins);
            }
            return print_json(&plugins);
        }
        if plugins.len() > MANY && !self.filter.is_given() {
            return print(&fleet::plugins(&plugins, width()));
        }
        if plugins.is_empty() && self.filter.narrows() {
            return print("it runs on no account like that");
        }
        let others = self.filter.page(&mut plugins);
        let mut text = closely(&plugins, width());
        if let Some(others) = others {
            text.put(format_args!("\naccounts {others}\n"));
        }
        print(&text)
    }
}

/// Returns what is not as it should be, each once: a clause about many accounts in a state, and about a plugin on many.
fn ills(status: &Status) -> Vec<String> {
    let mut ills: Vec<_> = status.host_ills().collect();
    let accounts = status.accounts.iter().map(|account| (account.name.as_str(), account.connection.as_str()));
    ills.extend(fleet::account_ills(accounts));
    ills.extend(fleet::plugin_ills(&status.plugins));
    ills.extend(status.silent());
    ills
}

/// Returns the groups of accounts.
fn groups_of(accounts: &[Account]) -> impl Iterator<Item = &str> {
    accounts.iter().filter_map(|account| account.group.as_deref())
}

/// Returns one plugin on each of its accounts, and the host if one runs.
fn one(config: &Config, id: &PluginId) -> anyhow::Result<(Vec<Plugin>, Option<Client>)> {
    // Fails if there is no plugin with this id.
    PluginAdmin::new(config).entry(id)?;
    if let Some(host) = target::host(config)? {
        return Ok((host.get(&format!("/v1/plugins/{id}"))?, Some(host)));
    }
    let mut plugins = stopped(config, &Policy::load(&config.plugins)?).plugins;
    plugins.retain(|plugin| plugin.id == id.as_str());
    Ok((plugins, None))
}

/// Shows plugins with the use of each limit.
fn closely(all: &[Plugin], width: usize) -> String {
    let mut text = plugins(all, width);
    for ill in all.iter().filter_map(Plugin::account_ill) {
        text.put(format_args!("\n{}\n", wrapped(&format!("{ill}; `parlor status` says why"), width)));
    }
    for plugin in all.iter().filter(|plugin| !plugin.limits.is_empty()) {
        let rows: Vec<_> =
            plugin.limits.iter().map(|limit| vec![limit.name.clone(), used(limit), limit.of.clone()]).collect();
        text.put(format_args!("\non {}\n", plugin.account.as_deref().unwrap_or("no account")));
        text.push_str(&table(&["LIMIT", "USED", "OF"], &rows));
        if let Some(lost) = plugin.usage.as_ref().map(|usage| usage.lost).filter(|lost| *lost > 0) {
            let id = &plugin.id;
            let says = format!(
                "events lost because its mailbox was full: {lost}; a larger `mailbox` under [plugin.{id}.limits] holds more"
            );
            text.put(format_args!("{}\n", wrapped(&says, width)));
        }
    }
    text
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are whole numbers of bytes")]
fn used(limit: &Limit) -> String {
    match (limit.name.as_str(), limit.used) {
        (_, None) => "-".to_owned(),
        ("memory" | "host_memory" | "storage" | "storage_per_second" | "bytes_per_second", Some(bytes)) => {
            size(bytes as u64)
        }
        ("cpu_burst" | "cpu_slice" | "handler", Some(seconds)) => {
            show_duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
        }
        ("cpu_share" | "messages_per_second", Some(share)) => format!("{share:.3}"),
        (_, Some(count)) => count.to_string(),
    }
}

/// Returns the status of the host in this place, running or not.
pub(super) fn of(config: &Config) -> anyhow::Result<Status> {
    match target::host(config)? {
        Some(host) => Ok(host.get("/v1/status")?),
        None => Ok(stopped(config, &Policy::load(&config.plugins)?)),
    }
}

/// Returns an account of which only the configuration is known.
pub(super) fn unknown(account: &AccountConfig) -> Account {
    Account {
        name: account.name.to_string(),
        node: None,
        group: account.group.as_ref().map(ToString::to_string),
        jid: account.link.jid.to_string(),
        connection: "unknown".to_owned(),
        reason: None,
        since: None,
        last_error: None,
        rooms: Vec::new(),
        departures: BTreeMap::new(),
        encryption: None,
        kept_awake: None,
    }
}

/// Returns the plugins of a policy, on each of their accounts, without a running host. `read` returns the version in the file of
/// a plugin.
fn unknown_plugins(
    config: &Config,
    policy: &Policy,
    read: impl Fn(&PluginId, &Entry) -> Option<String>,
) -> Vec<Plugin> {
    let mut plugins = Vec::new();
    for (id, entry) in &policy.plugins {
        // Once for all accounts, since it takes long.
        let version = read(id, entry);
        plugins.extend(config.chosen(entry.accounts.as_deref()).map(|account| Plugin {
            id: id.to_string(),
            account: Some(account.name.to_string()),
            node: None,
            connection: None,
            state: if entry.enabled { "unknown" } else { "disabled" }.to_owned(),
            reason: None,
            version: version.clone(),
            digest: entry.digest.to_string(),
            source: entry.source.to_string(),
            record: None,
            usage: None,
            restarts: 0,
            limits: Vec::new(),
            commands: BTreeMap::new(),
            denied: Vec::new(),
            grants: None,
            rooms: entry.grants.rooms().map(|rooms| rooms.iter().map(ToString::to_string).collect()),
        }));
    }
    plugins
}

/// Returns the status without a running host.
fn stopped(config: &Config, policy: &Policy) -> Status {
    let admin = PluginAdmin::new(config);
    let version = |id: &PluginId, entry: &Entry| admin.version(id, entry).map(|version| version.to_string());
    Status {
        node: None,
        nodes: Vec::new(),
        cluster: None,
        nowhere: Vec::new(),
        running: false,
        host: None,
        data: absolute(&config.data),
        policy: absolute(&config.plugins),
        policy_error: None,
        config_error: None,
        webhooks_error: None,
        components: Vec::new(),
        accounts: config.accounts.values().map(unknown).collect(),
        plugins: unknown_plugins(config, policy, version),
    }
}

/// Shows a host. Of many accounts and plugins it shows how many there are of each kind.
pub(super) fn screen(status: &Status, width: usize) -> String {
    let is_large = status.accounts.len() > MANY;
    let (accounts, plugins) = if is_large {
        let accounts =
            fleet::summary(&status.accounts, "parlor status", width) + &fleet::rooms(&status.accounts, width);
        (accounts, fleet::plugins(&status.plugins, width))
    } else {
        (accounts(&status.accounts, width), plugins(&status.plugins, width))
    };
    format!("{}{accounts}\n{plugins}", head(status, width))
}

/// Formats the lines about the host itself.
fn head(status: &Status, width: usize) -> String {
    let mut text = match &status.host {
        Some(host) => {
            let title = marked(&format!("parlor {}", host.version), Mark::Bold);
            let (up, memory) = (span(host.uptime), size(host.memory));
            let mut line = format!("{title}  up {up}, process {}, {memory}, {} tasks\n", host.pid, host.tasks);
            if host.version != VERSION {
                let says = format!("this command is of version {VERSION}: restart the host to run that one");
                line.put(format_args!("{}\n", wrapped(&says, width)));
            }
            line
        }
        None => format!("{}\n", marked("stopped", Mark::Bold)),
    };
    let [data, policy] =
        [("data", &status.data), ("policy", &status.policy)].map(|(name, path)| format!("{name} {}", path.escaped()));
    // Paths stay whole, so that people can copy them.
    let apart = if data.chars().count() + policy.chars().count() + 2 > width { "\n" } else { ", " };
    text.put(format_args!("{data}{apart}{policy}\n"));
    for warning in status.warnings().chain(status.host_ills()) {
        text.put(format_args!("{}\n", wrapped(&warning, width)));
    }
    text.push_str(&nodes(status, width));
    text.push('\n');
    text
}

/// Shows the hosts of a cluster, and those that do not answer.
fn nodes(status: &Status, width: usize) -> String {
    if status.nodes.is_empty() {
        return String::new();
    }
    let row = |node: &NodeStatus| {
        let process = node.host.as_ref();
        let cell = |of: fn(&Process) -> String| process.map_or_else(|| "-".to_owned(), of);
        let state = if process.is_some() { "answers" } else { "silent" };
        let [version, up, memory] =
            [cell(|host| host.version.clone()), cell(|host| span(host.uptime)), cell(|host| size(host.memory))];
        vec![node.name.clone(), state.to_owned(), version, up, memory]
    };
    let rows: Vec<_> = status.nodes.iter().map(row).collect();
    let mut text = format!("\n{}", table(&["NODE", "STATE", "VERSION", "UP", "MEMORY"], &rows));
    for error in status.nodes.iter().filter_map(|node| node.error.as_ref()) {
        text.put(format_args!("{}\n", wrapped(error, width)));
    }
    text
}

/// Shows accounts, since when and why some are not connected, their rooms, and how they encrypt.
fn accounts(all: &[Account], width: usize) -> String {
    let row = |one: &Account| vec![one.name.clone(), one.jid.clone(), one.connection.clone()];
    let (mut heads, mut rows) = (vec!["ACCOUNT", "JID", "CONNECTION"], all.iter().map(row).collect::<Vec<_>>());
    node_column(&mut heads, &mut rows, all.iter().map(|one| one.node.as_deref()));
    let mut text = table(&heads, &rows);
    // Without a host, nothing more is known.
    let says_more = |one: &&Account| one.connection != "connected" && (one.reason.is_some() || one.since.is_some());
    let conditions = fleet::conditions(all.iter().filter(says_more), "`parlor status --state away`");
    for (number, condition) in conditions.iter().enumerate() {
        let apart = if number == 0 { "\n" } else { "" };
        text.put(format_args!("{apart}{}\n", wrapped(condition, width)));
    }
    text.push_str(&rooms(all, width));
    let row = |one: &Account| Some(encryption(&one.name, one.encryption.as_ref()?));
    let rows: Vec<_> = all.iter().filter_map(row).collect();
    if !rows.is_empty() {
        let head = ["ACCOUNT", "OMEMO", "OTR", "TRUST", "DEVICE", "DECRYPTED", "FAILED", "SENT"];
        text.put(format_args!("\n{}", table(&head, &rows)));
    }
    text
}

/// Describes in how many rooms accounts are, and which they are out of against their will.
fn rooms(accounts: &[Account], width: usize) -> String {
    let mut text = String::new();
    for (account, count) in accounts.iter().filter_map(|one| Some((one, one.in_rooms()?))) {
        let lost: Vec<_> = account.rooms.iter().filter(|room| room.is_lost()).collect();
        let mut says = vec![format!("account {} is {count}", account.name)];
        says.extend(lost.iter().take(LOST).map(|room| {
            format!("account {} is out of {}: {}", account.name, room.room, room.why().unwrap_or_default())
        }));
        if !lost.is_empty() {
            says.push("`parlor rooms` says more".to_owned());
        }
        for one in says {
            let apart = if text.is_empty() { "\n" } else { "" };
            text.put(format_args!("{apart}{}\n", wrapped(&one, width)));
        }
    }
    text
}

/// Returns how an account encrypts, as a row. `FAILED` counts messages that could not be decrypted.
fn encryption(account: &str, encryption: &Encryption) -> Vec<String> {
    let omemo = match (encryption.omemo, encryption.device, encryption.published) {
        (false, ..) => "off",
        (true, None, _) => "no device",
        (true, Some(_), false) => "unpublished",
        (true, Some(_), true) => "published",
    };
    let otr = if encryption.otr { "allowed" } else { "off" };
    let device = encryption.device.map_or_else(|| "-".to_owned(), |device| device.to_string());
    let mut cells = vec![account.to_owned(), omemo.to_owned(), otr.to_owned(), encryption.trust.clone(), device];
    cells.extend([encryption.decrypted, encryption.undecryptable, encryption.encrypted].map(|count| count.to_string()));
    cells
}

/// Formats the table of plugins, and below it the reasons why some do not run, wrapped at `width` columns.
fn plugins(plugins: &[Plugin], width: usize) -> String {
    if plugins.is_empty() {
        return "no plugins; `parlor plugin add FILE` adds one\n".to_owned();
    }
    let rows: Vec<_> = plugins.iter().map(row).collect();
    let head = ["PLUGIN", "VERSION", "ACCOUNT", "STATE", "UP", "EVENTS", "SENT", "CPU", "MEMORY"];
    let notes: String = plugins.iter().filter_map(note).map(|note| wrapped(&note, width) + "\n").collect();
    let apart = if notes.is_empty() { "" } else { "\n" };
    table(&head, &rows) + apart + &notes + &reasons(plugins, width)
}

/// Describes what is unusual about a plugin in a sentence below the table, so that the table fits into 80 columns.
fn note(plugin: &Plugin) -> Option<String> {
    let mut notes = Vec::new();
    let times = |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    if let Some(record) = &plugin.record {
        if record.denials > 0 {
            notes.push(times(record.denials, "call denied", "calls denied"));
        }
        for (by, count) in &record.withheld {
            let events = times(*count, "event withheld", "events withheld");
            let why = if by == Withholder::ROOMS { " from other rooms".to_owned() } else { format!(" by {by}") };
            notes.push(format!("{events}{why}"));
        }
        if record.lost > 0 {
            notes.push(times(record.lost, "event lost", "events lost"));
        }
    }
    let asks = if notes.is_empty() { String::new() } else { format!("; `parlor explain {}` says why", plugin.id) };
    if let Some(rooms) = &plugin.rooms {
        notes.push(format!("kept to {}", rooms.join(", ")));
    }
    let hooks = plugin.record.as_ref().map(|record| record.hooks).unwrap_or_default();
    if hooks.seen + hooks.unjudged > 0 {
        let HookRecord { seen, altered, marked, stopped, failed, unjudged } = hooks;
        notes.push(format!(
            "as a hook {seen} seen, {altered} changed, {marked} labelled, {stopped} stopped, {failed} without a verdict, {unjudged} passed without one"
        ));
    }
    if plugin.restarts > 0 {
        notes.push(format!("restarted {}", times(plugin.restarts, "time", "times")));
    }
    if plugin.usage.as_ref().is_some_and(|usage| usage.slowed) {
        notes.push("slowed down".to_owned());
    }
    (!notes.is_empty()).then(|| format!("{}{}: {}{asks}", plugin.id, plugin.on(), notes.join(", ")))
}

/// Formats the reasons why some do not run, or not as the policy says, wrapped at `width` columns.
pub(super) fn reasons(plugins: &[Plugin], width: usize) -> String {
    let mut text = String::new();
    for (plugin, reason) in plugins.iter().filter_map(|one| Some((one, one.reason.as_ref()?))) {
        let apart = if text.is_empty() { "\n" } else { "" };
        let says = wrapped(&format!("{}{}: {reason}", plugin.id, plugin.on()), width);
        text.put(format_args!("{apart}{says}\n"));
    }
    text
}

fn row(plugin: &Plugin) -> Vec<String> {
    let mut cells = vec![
        plugin.id.clone(),
        plugin.version.clone().unwrap_or_else(|| "-".to_owned()),
        plugin.account.clone().unwrap_or_else(|| "-".to_owned()),
        plugin.state.clone(),
    ];
    let none = || "-".to_owned();
    let used = |of: fn(&Usage) -> String| plugin.usage.as_ref().map_or_else(none, of);
    let did = |of: fn(&Record) -> u64| plugin.record.as_ref().map_or_else(none, |record| of(record).to_string());
    cells.extend([
        used(|usage| span(usage.uptime)),
        did(|record| record.handled),
        did(|record| record.sent),
        used(|usage| format!("{:.1}%", usage.cpu_share * 100.0)),
        used(|usage| size(usage.memory)),
    ]);
    cells
}

#[cfg(test)]
mod tests;
