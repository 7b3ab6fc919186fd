//! The place of a host: the flags that every owner's command takes, and the files that they lead to.

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::{Arg, Args};
use parlor::control::client::{self, Client};
use parlor::control::views::{Status, absolute};
use parlor::host::LOCK;
use parlor_base::atomic::{PATIENCE, folder_of};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_base::nearest::suggestion;
use parlor_config::{AccountName, Config, Overrides};
use parlor_plugins::admin::{AdminError, PluginAdmin};
use parlor_runtime::audited::record;
use parlor_store::By;
use ratatui::crossterm::terminal::is_raw_mode_enabled;
use serde::Serialize;

use super::Ended;
use super::show::{error_lines, print, print_json};

/// The configuration that a command takes unless one is named.
pub(super) const USUAL: &str = "parlor.toml";
/// The configuration of a service, which is the fallback if there is no [`USUAL`] one.
const OF_SERVICE: &str = "/etc/parlor/parlor.toml";

/// The request for the status of the host itself, without other nodes of its cluster.
pub(super) const OWN_STATUS: &str = "/v1/status?at=.";

/// The flags that select a host.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The configuration file. By default parlor.toml in this folder, or else /etc/parlor/parlor.toml.
    #[arg(long, env = "PARLOR_CONFIG")]
    pub config: Option<PathBuf>,
    /// The host's data folder, instead of the configuration's `data`.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The policy file, instead of the configuration's `plugins`. As long as it exists, the data folder keeps
    /// everything that it names, whatever changes in another policy.
    #[arg(long)]
    pub plugins: Option<PathBuf>,
}

impl Target {
    /// Returns the values that override the configuration.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides { data: self.data.clone(), plugins: self.plugins.clone(), ..Overrides::default() }
    }

    /// Returns the configuration file. If it falls back to that of the service, it prints a message.
    pub(super) fn config(&self) -> PathBuf {
        if let Some(named) = &self.config {
            return named.clone();
        }
        let found = usual(Path::new(USUAL), Path::new(OF_SERVICE));
        if found == Path::new(OF_SERVICE) {
            say(&format!("parlor: there is no {USUAL} in this folder; using {OF_SERVICE}"));
        }
        found.to_owned()
    }

    /// Loads the configuration as a host started here would.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        self.is_named_policy_there()?;
        self.load_as_it_is()
    }

    /// Loads the configuration, even if a named policy is missing.
    pub(super) fn load_as_it_is(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config(), &self.overrides())?)
    }

    /// Loads the configuration for a command that only reads.
    pub(super) fn load_to_look(&self) -> anyhow::Result<Config> {
        self.is_named_policy_there()?;
        self.load_of_host()
    }

    /// Connects to the host that runs there, for a command that needs no more of the configuration.
    pub(super) fn host(&self) -> anyhow::Result<Client> {
        running(&self.load_to_look()?)
    }

    /// Loads the configuration for a command that removes or disables something.
    pub(super) fn load_to_stop(&self) -> anyhow::Result<Config> {
        let config = self.load_of_host()?;
        is_own_host(&config)?;
        Ok(config)
    }

    /// Loads the configuration, or falls back to the running host if the file is broken: the host keeps running, and
    /// these commands only need its place. The host itself reports the policy that it uses.
    fn load_of_host(&self) -> anyhow::Result<Config> {
        let path = self.config();
        let error = match Config::load(&path, &self.overrides()) {
            Ok(config) => return Ok(config),
            Err(error) => error,
        };
        let Ok(mut config) = Config::places_alone(&path, &self.overrides()) else { return Err(error.into()) };
        let Ok(Some(host)) = host(&config) else { return Err(error.into()) };
        if self.plugins.is_none() {
            let status: Status = host.get(OWN_STATUS)?;
            config.plugins = status.policy;
        }
        say(&format!("parlor: {error}; the host that runs goes on as it was"));
        Ok(config)
    }

    /// Refuses a policy that was named explicitly and does not exist. The default one may be missing: then there are no
    /// plugins.
    pub(super) fn is_named_policy_there(&self) -> anyhow::Result<()> {
        match self.plugins.as_deref().filter(|path| !path.exists()) {
            Some(path) => {
                bail!("there is no policy {}: correct --plugins, or write an empty file there", path.escaped())
            }
            None => Ok(()),
        }
    }

    /// Loads the configuration for a command that writes.
    pub(super) fn load_to_write(&self) -> anyhow::Result<Config> {
        let config = self.load_as_it_is()?;
        is_own_host(&config)?;
        Ok(config)
    }

    /// Loads the configuration for a command that adds accounts: there may be none yet.
    pub(super) fn load_to_add(&self) -> anyhow::Result<Config> {
        let config = Config::load(&self.config(), &Overrides { needs_no_account: true, ..self.overrides() })?;
        is_own_host(&config)?;
        Ok(config)
    }
}

/// Returns the configuration of this folder, or that of the service where this folder has none.
fn usual<'a>(here: &'a Path, of_service: &'a Path) -> &'a Path {
    // A dangling link was created on purpose, so it counts as existing.
    if here.symlink_metadata().is_err() && of_service.exists() { of_service } else { here }
}

/// Returns the error of a host about a plugin. If the policy has no such plugin either, it names the one that was probably meant.
pub(super) fn or_mistyped(config: &Config, id: &PluginId, error: anyhow::Error) -> anyhow::Error {
    if error.is::<Ended>() {
        return error;
    }
    match PluginAdmin::new(config).entry(id) {
        Err(unknown @ AdminError::Unknown { .. }) => unknown.into(),
        Ok(_) | Err(_) => error,
    }
}

/// Refuses to let root write files for a host of another user. Files that root creates belong to root, and the host
/// could no longer read them, so not even a revocation would take effect.
pub(super) fn is_own_host(config: &Config) -> anyhow::Result<()> {
    // The owner of the lock is the host's user; before its first start, the owner of the folders.
    is_own(&[&config.data.join(LOCK), &config.data, folder_of(&config.plugins)])
}

/// Checks the owner of the first of these paths that exists.
pub(super) fn is_own(places: &[&Path]) -> anyhow::Result<()> {
    let user_of = |path: &Path| path.metadata().ok().map(|found| found.uid());
    let Some((place, owner)) = places.iter().find_map(|place| Some((place, user_of(place)?))) else { return Ok(()) };
    // Only root could leave files there that the owner cannot read.
    if user_of(Path::new("/proc/self")) != Some(0) || owner == 0 {
        return Ok(());
    }
    let user = name_of(owner);
    bail!(
        "{} belongs to {user}, and what root writes there {user} could not read: run `sudo -u '{user}' parlor …`",
        place.escaped()
    )
}

/// Returns the name of a user on this machine, as `sudo -u` takes it.
fn name_of(user: u32) -> String {
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let fields = known.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let name = fields
        .filter(|fields| fields.get(2).is_some_and(|id| id.parse() == Ok(user)))
        .find_map(|fields| fields.first().map(|name| (*name).to_owned()));
    name.unwrap_or_else(|| format!("#{user}"))
}

/// Refuses to start a new policy while the running host still uses the old one, whose file is gone: the host would
/// remove all plugins that are not in the new one.
pub(super) fn is_policy_in_force(config: &Config) -> anyhow::Result<()> {
    let policy = &config.plugins;
    if std::fs::read_to_string(policy).is_ok_and(|text| !text.trim().is_empty()) {
        return Ok(());
    }
    let Some(host) = host(config)? else { return Ok(()) };
    let status: Status = host.get(OWN_STATUS)?;
    if !is_its_policy(&status, config) || status.plugins.is_empty() {
        return Ok(());
    }
    let mut ids: Vec<_> = status.plugins.into_iter().map(|plugin| plugin.id).collect();
    ids.dedup();
    bail!(
        "{} is gone or empty, but the host still runs {} by what it said: put it back; or, if they are not wanted any more, write an empty one and say `parlor reload`",
        policy.escaped(),
        ids.join(", ")
    )
}

/// Returns whether the host uses the policy of this configuration: it may have been started with another one.
pub(super) fn is_its_policy(status: &Status, config: &Config) -> bool {
    // A missing file has no canonical path.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| absolute(path));
    real(&status.policy) == real(&config.plugins)
}

/// Returns the host that runs there. Fails if none does.
pub(super) fn running(config: &Config) -> anyhow::Result<Client> {
    host(config)?.ok_or_else(|| Ended::NotRunning(config.data.clone()).into())
}

/// Finds the host that runs in this place.
pub(super) fn host(config: &Config) -> anyhow::Result<Option<Client>> {
    Ok(client::find(&config.data, || say_that_it_waits(&config.data))?)
}

/// Fails if something was missing in an answer that was shown, since a node of the cluster did not answer.
pub(super) fn whole(host: &Client) -> anyhow::Result<()> {
    host.incomplete().map_or(Ok(()), |reasons| Err(Ended::Incomplete(reasons).into()))
}

/// The flag that names a node of a cluster.
#[derive(Debug, Clone, Default, Args)]
pub struct AtNode {
    /// The node of the cluster that is asked, instead of this one.
    #[arg(long = "node", value_name = "NAME")]
    node: Option<String>,
}

impl AtNode {
    /// Returns the part of a request that names the node, or else this one.
    pub(super) fn or_here(&self) -> String {
        let node = self.node.as_ref().map_or_else(|| ".".to_owned(), |node| client::escaped(node));
        format!("at={node}")
    }

    /// Returns the part of a request that names the node, if there is one.
    pub(super) fn given(&self) -> Option<String> {
        self.node.as_ref().map(|node| format!("at={}", client::escaped(node)))
    }
}

/// The flags of a command that asks the running host about accounts, or for a change on one of them.
#[derive(Debug, Clone, Args)]
pub(super) struct AccountRequest {
    /// Only of this account.
    #[arg(long, value_name = "NAME")]
    pub(super) account: Option<AccountName>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) target: Target,
}

impl AccountRequest {
    /// Describes `--account` for a command about something that one account has.
    pub(super) fn of_one(account: Arg) -> Arg {
        account.help("The account; needed if several could be meant")
    }

    /// Connects to the running host.
    pub(super) fn host(&self) -> anyhow::Result<Client> {
        self.target.host()
    }

    /// Returns the path of a request, with the account if there is one.
    pub(super) fn path(&self, path: &str) -> String {
        with_account(path, self.account.as_ref().map(AccountName::as_str))
    }

    /// Returns whether to show what this account has.
    pub(super) fn picks(&self, account: &str) -> bool {
        self.account.as_ref().is_none_or(|name| account == name.as_str())
    }

    /// Prints an answer of the host: as JSON, or as this text.
    pub(super) fn show(&self, answer: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.json { print_json(answer) } else { print(&text()) }
    }
}

/// Returns an address that was typed. One that is invalid in any case is wrong usage, whether a host runs or not.
pub(super) fn typed<T>(read: Result<T, String>) -> anyhow::Result<T> {
    read.map_err(|says| Ended::Usage(says).into())
}

/// Returns the error for a name that no account of the configuration has.
pub(super) fn no_account(config: &Config, name: &AccountName) -> anyhow::Error {
    let near = suggestion(config.meant_by(name.as_str()).map(AccountName::as_str));
    anyhow!("there is no account {name} in {}{near}", config.files())
}

/// Returns the path of a request, with the account if there is one. An empty name is none.
pub(super) fn with_account(path: &str, account: Option<&str>) -> String {
    let Some(name) = account.filter(|name| !name.is_empty()) else { return path.to_owned() };
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}account={}", client::escaped(name))
}

/// Returns a flag for the query of a request.
pub(super) fn flag(name: &str, is_set: bool) -> String {
    if is_set { format!("&{name}=true") } else { String::new() }
}

fn say_that_it_waits(data: &Path) {
    say(&format!(
        "waiting for the host that has the data folder {} and does not listen yet, for a minute at most: it may be compiling its \
         plugins, or stopping",
        data.escaped()
    ));
}

/// Says that a command waits for another one that changes this file.
pub(super) fn say_that_another_works_on(file: &Path) {
    let (file, most) = (file.escaped(), PATIENCE.as_secs());
    say(&format!("waiting for another command that is changing {file}, for {most} s at most"));
}

/// Opens the plugin administration, for a command that changes something.
pub(super) fn admin(config: &Config) -> PluginAdmin<'_> {
    admin_by(config, by())
}

/// Opens the plugin administration. `by` is recorded with each change.
pub(super) fn admin_by(config: &Config, by: By) -> PluginAdmin<'_> {
    let admin = PluginAdmin::new(config).saying(say_that_another_works_on);
    admin.recording(move |decided| record(config, decided, &by))
}

/// Returns the user who runs this command, and the command, for the audit.
pub(super) fn by() -> By {
    By::user(rustix::process::getuid().as_raw(), &command(std::env::args()))
}

/// Returns the name of a command without its arguments, which may hold a secret.
fn command(mut typed: impl Iterator<Item = String>) -> String {
    let is_name = |word: &String| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let _ = typed.next();
    let mut words = vec!["parlor".to_owned()];
    if let Some(first) = typed.next().filter(is_name) {
        let is_group = matches!(first.as_str(), "account" | "cluster" | "index" | "plugin");
        words.push(first);
        words.extend(typed.next().filter(|word| is_group && is_name(word)));
    }
    words.join(" ")
}

/// Prints a message for the user on standard error, apart from the output.
pub(super) fn say(sentence: &str) {
    // It would appear in the middle of `parlor top`.
    if is_raw_mode_enabled().unwrap_or(false) {
        return;
    }
    // The command continues even if the message cannot be written.
    let _ = writeln!(io::stderr(), "{}", error_lines(sentence));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_the_service_is_taken_where_this_folder_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let (here, of_service) = (folder.path().join("parlor.toml"), folder.path().join("of-service.toml"));
        assert_eq!(usual(&here, &of_service), here, "there is neither");
        std::fs::write(&of_service, "").unwrap();
        assert_eq!(usual(&here, &of_service), of_service);
        std::os::unix::fs::symlink("nowhere", &here).unwrap();
        assert_eq!(usual(&here, &of_service), here);
    }

    #[test]
    fn an_account_is_added_to_the_path_of_a_request_and_escaped() {
        assert_eq!(with_account("/v1/rooms", Some("main")), "/v1/rooms?account=main");
        assert_eq!(with_account("/v1/rooms/show?room=a@b", Some("x&y")), "/v1/rooms/show?room=a@b&account=x%26y");
        for none in [None, Some("")] {
            assert_eq!(with_account("/v1/rooms", none), "/v1/rooms");
        }
    }

    #[test]
    fn the_name_of_a_command_has_none_of_its_arguments() {
        let of = |typed: &str| command(typed.split(' ').map(str::to_owned));
        assert_eq!(of("/usr/bin/parlor plugin grant echo messages.read"), "parlor plugin grant");
        assert_eq!(of("parlor plugin --help"), "parlor plugin");
        assert_eq!(of("parlor index add /etc/examples.toml"), "parlor index add");
        assert_eq!(of("parlor account add second"), "parlor account add");
        assert_eq!(of("parlor top"), "parlor top");
        assert_eq!(of("parlor top secret"), "parlor top");
        assert_eq!(of("parlor --x y"), "parlor");
        assert_eq!(of("parlor"), "parlor");
    }
}
