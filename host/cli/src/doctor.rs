//! `parlor doctor`: finds problems of a host, and says how to fix them. It leaves nothing behind: it writes a file
//! into the data folder to test it, and removes it.

#[cfg(feature = "cluster")]
mod cluster;
mod disk;
mod files;
mod findings;
mod plugins;

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use parlor::control::views::{Account, ComponentStatus, Status};
#[cfg(feature = "authoring")]
use parlor_authoring::build::toolchains;
use parlor_base::escape::EscapedPath as _;
use parlor_config::{ACCOUNTS_FILE, AccountConfig, Config, ConfigError, Prebind, Selector, Settings};
use parlor_plugins::admin::{PluginAdmin, waiting};
use parlor_plugins::policy::Policy;
use parlor_plugins::secret;
use parlor_runtime::compiler::{self, Layer};
use parlor_runtime::order::{self, Candidate, Strictness};
use parlor_store::Store;
use parlor_xmpp::{Feature, probe};

use super::listening;
use super::show::{Put as _, print, print_json, terminal_width};
use super::target::Target;
use super::{status, wait_for};

pub(super) use self::disk::existing;
pub(super) use self::files::open_to_others;
use self::findings::{ACCOUNTS, OR_DISABLE, check_of, ended, screen};
pub(super) use self::findings::{Finding, Findings, State};

/// The largest acceptable difference between two clocks, in seconds.
const CLOCKS: i64 = 60;
/// The reason why an unsigned plugin may run although the policy requires signatures.
const UNDER_THE_RULE: &str =
    "`require_signature = true` counts where something is installed, not for what is there already";

/// The arguments of `parlor doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "The command logs in once for each account, under a resource of its own, so that a running host stays connected. It does not use a session that `sid` and `rid` name.\n\nExamples:\n  parlor doctor\n  parlor doctor --all       each account by itself, however many have the same\n  parlor doctor --json      each finding, for programs\n\nExit codes: 0 nothing is broken, 5 something is, 1 it could not look, 2 wrong usage"
)]
pub struct DoctorArgs {
    #[command(flatten)]
    target: Target,
    /// Do not connect to any server.
    #[arg(long)]
    offline: bool,
    /// Show each account by itself. Otherwise, what is the same of more than three accounts is one finding.
    #[arg(long, conflicts_with = "json")]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    /// Runs all checks, and prints the findings.
    pub fn run(&self) -> anyhow::Result<()> {
        let mut findings = Findings::default();
        examine(self.target.load(), self.offline, &mut findings)?;
        #[cfg(feature = "authoring")]
        for (languages, problem) in toolchains() {
            match problem {
                None => findings.fine("toolchain", format!("plugins in {languages} can be built here")),
                Some(problem) => findings.warn(
                    "toolchain",
                    format!("no plugins in {languages} can be built here: {problem}"),
                    "nothing, unless you build plugins here: only `parlor plugin build` needs it",
                ),
            }
        }
        if self.json {
            print_json(&findings)?;
            return ended(&findings.findings);
        }
        let shown = if self.all { findings.findings } else { findings.grouped() };
        print(&screen(&shown, terminal_width()))?;
        ended(&shown)
    }
}

/// Looks for problems, also of a configuration that cannot be loaded; `offline`: without connecting to any server.
pub(super) fn examine(loaded: anyhow::Result<Config>, offline: bool, findings: &mut Findings) -> anyhow::Result<()> {
    match loaded {
        Err(error) => {
            let is_absent = matches!(error.downcast_ref(), Some(ConfigError::Absent(_)));
            let remedy = if is_absent { "run `parlor init`" } else { "correct the file at that place" };
            findings.broken("configuration", format!("{error:#}"), remedy);
        }
        Ok(config) => look(&config, offline, findings)?,
    }
    Ok(())
}

fn look(config: &Config, offline: bool, findings: &mut Findings) -> anyhow::Result<()> {
    let accounts = config.accounts.len();
    findings.accounts = accounts;
    let beside = config
        .accounts_file
        .as_ref()
        .map_or_else(String::new, |file| format!(", of which {} are in {ACCOUNTS_FILE}", file.accounts.len()));
    findings.fine("configuration", format!("{} is in order; accounts: {accounts}{beside}", config.path.escaped()));
    for warning in &config.warnings {
        findings.warn("configuration", warning.clone(), "do as it says");
    }
    files::check(config, findings);
    compiler(findings);
    let status = status::of(config);
    policy(config, status.as_ref().ok(), findings)?;
    match status {
        Ok(status) => {
            host(&status, findings);
            if status.host.is_none() {
                webhooks(config, findings);
            }
        }
        Err(error) => findings.broken("host", format!("{error:#}"), "do as it says"),
    }
    store(&config.data, findings);
    disk::check(&config.data, findings);
    #[cfg(feature = "cluster")]
    if let Some(section) = &config.cluster {
        cluster::check(section, offline, findings)?;
    }
    if offline {
        return Ok(());
    }
    for account in config.accounts.values() {
        let from = findings.findings.len();
        connection(account, &config.data, findings)?;
        findings.all_alike(from, account.name.as_str(), account.link.jid.to_bare().as_str());
    }
    Ok(())
}

/// Checks the store in the data folder. A host that cannot read it begins anew, and says so only in its log and in the audit.
fn store(data: &Path, findings: &mut Findings) {
    const KEPT: &str = "the data of plugins, the audit and the accounts' own keys";
    if let Err(error) = Store::look(data) {
        findings.broken("data", error.to_string(), "do as it says");
    }
    if let Some(why) = Store::reason_to_set_aside(data) {
        let says = format!(
            "parlor.db in the data folder {} cannot be used ({why}): a host that starts begins anew, without {KEPT}",
            data.escaped()
        );
        findings.broken(
            "data",
            says,
            "take it from a backup by `parlor restore`, or start the host if nothing of that matters",
        );
    }
    for aside in Store::all_set_aside(data) {
        let says = format!(
            "{} was set aside, since it could not be used, and the host began anew: {KEPT} until then are in it",
            aside.escaped()
        );
        findings.warn(
            "data",
            says,
            "take them from a backup by `parlor restore`; remove the file once nobody needs it",
        );
    }
}

/// Warns of settings that neither the host nor one of its plugins knows.
fn unknown_settings(config: &Config, is_claimed: impl Fn(&str) -> bool, findings: &mut Findings) {
    let all = std::iter::once(&config.settings).chain(config.accounts.values().map(|account| &account.settings));
    let unknown: BTreeMap<_, _> = all.flat_map(Settings::unknown).filter(|(key, _)| !is_claimed(key)).collect();
    for (key, nearest) in unknown {
        let near = nearest.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        let says = format!("the host does not know the setting {key:?}{near}");
        findings.warn(
            "configuration",
            says,
            "correct its name, or take it out; leave it if a plugin is to come that knows it",
        );
    }
}

/// Reports which kernel protections the compiler process has.
fn compiler(findings: &mut Findings) {
    let layers = match compiler::look() {
        Ok(layers) => layers,
        Err(error) => {
            let says = format!("what plugins are compiled in cannot be started ({error})");
            return findings.warn("compiler", says, "run `parlor doctor` on the machine that plugins run on");
        }
    };
    for Layer { name, missing } in &layers {
        if let Some(why) = missing {
            let says =
                format!("plugins are compiled without {name} ({why}); a fault of the compiler could do more harm");
            findings.warn(
                "compiler",
                says,
                "use a kernel with Landlock and seccomp, if you can; the other bounds hold",
            );
        }
    }
    let there: Vec<_> =
        layers.iter().filter(|layer| layer.missing.is_none()).map(|layer| layer.name.as_str()).collect();
    if there.is_empty() {
        return;
    }
    findings.fine("compiler", format!("plugins are compiled in a process that is held by {}", there.join(", ")));
}

/// Checks the policy. `status` is that of the host: [`host`] reports the plugins that it does not run as the policy says.
fn policy(config: &Config, status: Option<&Status>, findings: &mut Findings) -> anyhow::Result<()> {
    let policy = match Policy::load(&config.plugins) {
        Ok(policy) => policy,
        Err(error) => {
            findings.broken(
                "policy",
                error.to_string(),
                "correct the file at that place; a host that runs goes on as it was",
            );
            return Ok(());
        }
    };
    findings.fine("policy", format!("{} is in order; plugins: {}", config.plugins.escaped(), policy.plugins.len()));
    let admin = PluginAdmin::new(config);
    let fit: BTreeMap<_, _> = policy.plugins.iter().map(|(id, entry)| (id, admin.fit(id, entry))).collect();
    let mut lacking = BTreeMap::new();
    // A disabled plugin needs nothing, and its secrets should not be read.
    for (id, entry) in policy.plugins.iter().filter(|(_, entry)| entry.enabled) {
        if let Ok(manifest) = &fit[id]
            && let Err((setting, error)) =
                wait_for(secret::opened_with_rooms(&entry.settings, &entry.settings_in, manifest))?
        {
            let says = format!("its secret {setting} is unavailable: {error}");
            lacking.insert(id, (says, format!("`parlor plugin config {id} {setting}` stores another")));
        }
    }
    let candidates = policy.plugins.iter().map(|(id, entry)| match (&fit[id], lacking.get(id)) {
        _ if !entry.enabled => Candidate::missing(id, "it is disabled".to_owned()),
        (Ok(_), Some((says, _))) => Candidate::missing(id, says.clone()),
        (Ok(manifest), None) => Candidate::of(id, manifest),
        (Err(error), _) => Candidate::missing(id, error.to_string()),
    });
    let refused = order::plan(&candidates.collect::<Vec<_>>(), Strictness::of(&config.settings)).refused;
    let is_claimed = |key: &str| fit.values().flatten().any(|manifest| manifest.settings.contains_key(key));
    unknown_settings(config, is_claimed, findings);
    plugins::without_plugins(config, &policy, findings);
    plugins::hooks_without_rule(&policy, findings);
    plugins::hooks_without_grant(&policy, findings);
    plugins::unknown_commands(&policy, status.map_or(&[][..], |status| &status.plugins[..]), findings);
    for (id, entry) in &policy.plugins {
        let check = check_of(id.as_str());
        if !entry.enabled {
            match &fit[id] {
                Ok(_) => findings.fine(&check, "it is disabled"),
                Err(error) => {
                    let says = format!("it is disabled, and could not be enabled: {error}");
                    findings.warn(&check, says, "do as it says, if it is to run again");
                }
            }
            continue;
        }
        match (&fit[id], refused.get(id), lacking.get(id)) {
            (Err(error), _, _) => findings.broken(&check, error.to_string(), &plugins::remedy(id, error)),
            (Ok(_), Some(refused), _) => findings.broken(&check, refused.to_string(), OR_DISABLE),
            (Ok(_), None, Some((says, remedy))) => findings.broken(&check, says, remedy),
            (Ok(_), None, None) if plugins::is_ill(status, id) => {}
            (Ok(_), None, None) if !policy.lets_through(entry.signer.as_ref()) => {
                let says = format!("it may run, but was not signed by anybody whom you trust today: {UNDER_THE_RULE}");
                findings.warn(&check, says, "install one that is, or `parlor plugin disable` it");
            }
            (Ok(manifest), None, None) => {
                reach(config, entry.accounts.as_deref(), &check, findings);
                plugins::webhooks_in_vain(config, id, entry, manifest, findings);
            }
        }
    }
    for (account, plugins) in waiting(&policy, config.accounts.values()) {
        let names = plugins.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let says = |account: &str| {
            format!("plugins that do not run there: {names}; `parlor plugin accounts ID --add {account}` asks")
        };
        findings.fine(&format!("account {account}"), says(account.as_str()));
        findings.alike(account.as_str(), ACCOUNTS, &says("NAME"));
    }
    Ok(())
}

/// Reports whether a plugin that may run has an account to run on.
fn reach(config: &Config, accounts: Option<&[Selector]>, check: &str, findings: &mut Findings) {
    if config.chosen(accounts).next().is_some() {
        return findings.fine(check, "it may run");
    }
    if config.new_addresses.values().any(|new| new.are_chosen(accounts)) {
        return findings.fine(check, "it may run, on addresses that become accounts when somebody writes to them");
    }
    let says = "it may run, but `accounts` in its entry names no account that there is";
    findings.warn(check, says.to_owned(), "add one to the group, or name another");
}

/// Checks whether a host could listen for webhooks. None may run: it would be what listens there.
fn webhooks(config: &Config, findings: &mut Findings) {
    let Some(at) = config.web.listen else { return };
    if let Err(error) = listening::bound(at) {
        let says = listening::problem(at, &error, &parlor_window::Store::new(&config.data), None);
        findings.warn("webhooks", says, listening::remedy(&error));
    }
}

fn host(status: &Status, findings: &mut Findings) {
    let Some(host) = &status.host else {
        return findings.fine("host", "none runs; `parlor run` starts one");
    };
    findings.fine("host", format!("parlor {} runs, process {}", host.version, host.pid));
    for (file, error) in status.faults() {
        // An error in the file itself was already reported.
        if !findings.is_broken(file) {
            let says = format!("its {file} does not count as it is written now, the one before does: {error}");
            findings.broken("host", says, "do as it says; `parlor reload` reads it again");
        }
    }
    for says in status.cluster_ills() {
        findings.broken("cluster", says, "do as it says; `parlor cluster status` and the logs of the nodes say more");
    }
    for says in status.webhook_ills() {
        findings.broken("webhooks", says, "do as it says; the host tries it again every ten seconds");
    }
    for says in status.components.iter().filter_map(ComponentStatus::full) {
        findings.warn("host", says, "raise new_addresses_limit of the component in parlor.toml, or remove accounts");
    }
    for component in &status.components {
        let Some(reason) = &component.reason else { continue };
        let says = format!("its component {} is {}: {reason}", component.name, component.connection);
        if component.connection == "failed" {
            findings.broken("host", says, "do as it says; `parlor reload` tries it again");
        } else {
            findings.warn("host", says, "do as it says; the host tries it again by itself");
        }
    }
    findings.accounts = findings.accounts.max(status.accounts.len());
    connections(&status.accounts, findings);
    for room in status.accounts.iter().flat_map(|account| &account.rooms).filter(|room| room.is_lost()) {
        let why = room.why().unwrap_or_default();
        let says = format!("the account {} is out of the room {}: {why}", room.account, room.room);
        findings.warn("rooms", says, room.remedy.as_deref().unwrap_or("`parlor rooms` says more"));
        findings.alike(&room.account, "rooms", &format!("out of a room: {why}"));
    }
    for account in &status.accounts {
        encryption(account, findings);
    }
    plugins::running(&status.plugins, findings);
}

/// Reports the accounts of the host that are not connected, at once those for the same reason: all addresses of a component share
/// its connection.
fn connections(accounts: &[Account], findings: &mut Findings) {
    let mut alike = BTreeMap::<_, Vec<_>>::new();
    for account in accounts.iter().filter(|account| !account.is_reached()) {
        alike.entry((&account.connection, &account.reason)).or_default().push(account.name.as_str());
    }
    for ((connection, reason), names) in alike {
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let says = match names.as_slice() {
            [first, _, ..] => {
                format!("{} accounts of the host, such as {first}, are {connection}{reason}", names.len())
            }
            names => format!("the host's account {} is {connection}{reason}", names.concat()),
        };
        findings.warn("host", says, "see below what a log-in says now; `parlor logs` says what happened");
    }
}

/// Reports how an account of the host encrypts, and the problems with it.
fn encryption(account: &Account, findings: &mut Findings) {
    let Some(encryption) = &account.encryption else { return };
    let name = &account.name;
    findings.fine("encryption", format!("{name}: {}", encryption.says()));
    findings.alike(name, "encryption", &encryption.kind());
    if encryption.omemo && !encryption.published && account.connection == "connected" {
        let says = format!("the OMEMO keys of {name} are not published: nobody can write to it encrypted");
        let remedy =
            "`parlor logs` says why; the server needs personal eventing (XEP-0163); omemo = false turns it off";
        findings.warn("encryption", says, remedy);
        findings.alike(name, "encryption", "OMEMO keys are not published: nobody can write to them encrypted");
    }
    if encryption.undecryptable > 0 {
        let count = encryption.undecryptable;
        let says = format!("{count} encrypted messages for {name} could not be decrypted since the host started");
        let remedy =
            "`parlor logs` says whose, and why; a client that has written to former keys does it right the next time";
        findings.warn("encryption", says, remedy);
        findings.alike(name, "encryption", "encrypted messages could not be decrypted since the host started");
    }
}

fn connection(account: &AccountConfig, data: &Path, findings: &mut Findings) -> anyhow::Result<()> {
    let check = format!("account {}", account.name);
    if matches!(account.link.prebind, Some(Prebind::Given { .. })) {
        let says = "not looked at: there is one session, which sid and rid name, and to look would end it";
        findings.warn(&check, says, "see `parlor status` while the host runs");
        return Ok(());
    }
    if let Some(component) = account.link.component() {
        // ejabberd would give this connection a share of what is for the running host.
        let says = format!("not looked at: it is an address of the component {component}, which has one connection");
        findings.fine(&check, format!("{says}; see `parlor status` while the host runs"));
        return Ok(());
    }
    // An owner runs this when something seems wrong: this log-in must be no weaker than the host's.
    let pins = match Store::look_for_pins(data, &account.link.jid.to_bare()) {
        Ok(pins) => pins,
        Err(error) => {
            let says = format!(
                "not logged in to, since nobody knows whether its log-ins were bound to their connection: {error}"
            );
            findings.broken(&check, says, "do as it says, and look again; `--offline` looks at all else");
            return Ok(());
        }
    };
    match wait_for(probe(&account.link, pins))? {
        Err(error) => {
            let remedy = if error.is_final() {
                "do as it says: `parlor run` does not retry it by itself, and ends if no other account can connect"
            } else {
                "do as it says; `parlor run` tries it again by itself"
            };
            findings.broken(&check, error.to_string(), remedy);
        }
        Ok(looked) => {
            findings.fine(&check, format!("{} logs in over TLS", account.link.jid.to_bare()));
            for feature in looked.features {
                if feature.present {
                    findings.fine(&check, format!("the server has {}", feature.name));
                } else {
                    let says = format!("the server has no {}: {}", feature.name, feature.without);
                    findings.warn(&check, says, "turn it on there, if you need it");
                }
            }
            match looked.clock {
                None => findings.fine("clock", "the server does not say what time it has"),
                Some(apart) if apart.abs() > CLOCKS => {
                    let says = format!("this clock and the server's are {} s apart", apart.abs());
                    findings.warn("clock", says, "set this machine's clock by NTP");
                }
                Some(_) => findings.fine("clock", "it agrees with the server's"),
            }
        }
    }
    Ok(())
}

/// Lists the features of a server, one a line.
pub(super) fn feature_lines(features: &[Feature]) -> String {
    let mut text = String::new();
    for feature in features {
        if feature.present {
            text.put(format_args!("  yes  {}\n", feature.name));
        } else {
            text.put(format_args!("  no   {}: {}\n", feature.name, feature.without));
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests;
