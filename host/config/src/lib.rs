//! The operator's configuration as types: `parlor.toml` with `accounts.toml`, the environment and flags. Flags override the environment, which
//! overrides the file.
//!
//! **Owns:** the [`keys`] of the file, the table of settings ([`SETTINGS`]), accounts, their groups and how each is reached
//! ([`LinkSettings`]), addresses of servers and files ([`Endpoint`], [`url`]).
//!
//! **Must not** hold the value of a secret: secrets are references here, and `xmpp` reads them when it needs them. It
//! writes its own files alone, by [`ConfigFile`]. It does not decide what a plugin may do; the policy file does.
//!
//! **Begin with** [`Config::load`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

mod account;
mod accounts;
mod accounts_file;
mod audit;
mod cluster;
mod component;
mod config_file;
mod encryption;
mod endpoint;
mod error;
mod group;
mod groups;
pub mod keys;
mod link;
mod meant;
mod name;
mod new_addresses;
mod owners;
mod room_files;
mod sections;
mod settings;
pub mod url;
mod variable;
mod web;
mod window;

use accounts::With;
use groups::Groups;
use parlor_base::document::{self, ReadError};
use parlor_base::nearest::{nearest, suggestion};
use sections::{Document, Section, Written};

pub use account::AccountConfig;
pub use accounts_file::{ACCOUNTS_FILE, AccountsFile, accounts_file, runs_no_program};
pub use audit::Audit;
pub use cluster::{Cluster, ClusterLogin};
pub use config_file::{ConfigFile, ConfigFileError, Draft};
pub use encryption::{Encryption, OtrPeople, OtrPolicy, TrustPolicy};
pub use endpoint::{BadEndpoint, BadUrl, Endpoint, WebUrl};
pub use error::{AccountsFileError, ClusterError, ConfigError, FilePosition, Origin};
pub use group::{BadGroupName, BadPattern, BadSelector, GroupName, Pattern, Selector};
pub use link::{ChannelBinding, Hidden, LinkSettings, PasswordSource, Prebind, TlsMode, TransportChoice, Way};
pub use name::{AccountName, BadAccountName};
pub use new_addresses::{NewAddresses, OwnAddresses};
pub use settings::{
    ALERTS, Archiving, Authentication, AutoJoin, Effective, Rejoin, Role, RoomPasswordPlace, RoomPasswordPlaces,
    SETTINGS, SettingError, SettingKind, SettingRule, Settings, setting,
};
pub use variable::is_variable;
pub use web::Web;
pub use window::{SentLinks, Window};

/// The largest configuration file, in bytes.
const LARGEST_FILE: u64 = 16 << 20;
/// How many names an error lists.
const MOST_LISTED: usize = 20;
/// The warning of a node that has no account.
const NO_ACCOUNT: &str = "there is no account in parlor.toml and accounts.toml: the node runs those of the accounts.toml of other nodes, once it comes from the cluster";

/// The reason why the files are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAgain {
    /// The owner says so.
    ByTheOwner,
    /// They have changed.
    ByAChange,
}

/// The operator's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from.
    pub path: PathBuf,
    /// The folder for components, cache, storage and the control socket.
    pub data: PathBuf,
    /// The policy file, which lists the plugins and their grants.
    pub plugins: PathBuf,
    /// The log filter, in the syntax of `tracing`.
    pub log: String,
    /// Whether this file and the policy are reloaded when they change.
    pub watch: bool,
    /// The section `[audit]`.
    pub audit: Audit,
    /// The section `[cluster]`, if the host is a node of one.
    pub cluster: Option<Cluster>,
    /// The section `[web]`.
    pub web: Web,
    /// The section `[window]`.
    pub window: Window,
    /// The host's settings, before those of an account.
    pub settings: Settings,
    /// The accounts. There is at least one, except on a node of a cluster, which may get them from other nodes, and beside a
    /// component whose addresses become accounts.
    pub accounts: BTreeMap<AccountName, AccountConfig>,
    /// The groups that accounts may be in.
    pub groups: BTreeSet<GroupName>,
    /// The connections as components of servers. The `jid` of each is its domain.
    pub components: BTreeMap<AccountName, LinkSettings>,
    /// The rules by which addresses of each component become accounts when somebody writes to them.
    pub new_addresses: BTreeMap<AccountName, NewAddresses>,
    /// How long the addresses of each component have nothing to do before they fall asleep. Those of other components never do.
    pub sleep_after: BTreeMap<AccountName, Duration>,
    /// The file `accounts.toml` beside the configuration file, if there is one.
    pub accounts_file: Option<AccountsFile>,
    /// The values that override the files, also when they are read again.
    pub overrides: Overrides,
    /// Problems that are not errors, but should be fixed: one sentence each.
    pub warnings: Vec<String>,
}

/// Values that override the file.
#[derive(Debug, Clone)]
pub struct Overrides {
    /// The flag `--data`.
    pub data: Option<PathBuf>,
    /// The flag `--plugins`.
    pub plugins: Option<PathBuf>,
    /// The flag `--log`.
    pub log: Option<String>,
    /// The flags `--set KEY=JSON`, for every account. If a value is not JSON and the setting is a text, it is taken as text.
    pub settings: Vec<(String, String)>,
    /// Reads an environment variable: `PARLOR_DATA`, `PARLOR_PLUGINS`, `PARLOR_LOG`, `PARLOR_SETTING_<KEY>`, `PARLOR_PASSWORD_<ACCOUNT>`.
    pub environment: fn(&str) -> Option<String>,
    /// Lists the names of all environment variables, to find misspelt ones.
    pub variables: fn() -> Vec<String>,
    /// Whether a configuration without an account can be read, as by the command that adds the first one. No host runs with it.
    pub needs_no_account: bool,
}

impl Default for Overrides {
    /// Uses no flags, and the environment of this process.
    fn default() -> Self {
        Self {
            data: None,
            plugins: None,
            log: None,
            settings: Vec::new(),
            environment: |name| std::env::var(name).ok().filter(|value| !value.is_empty()),
            variables: || std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect(),
            needs_no_account: false,
        }
    }
}

impl Config {
    /// Reads a configuration file, with `accounts.toml` if that is beside it. Paths in them are relative to their folder; those
    /// of flags and environment are not.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::parse_both(path, &read(path)?, accounts_text(path)?.as_deref(), overrides)
    }

    /// Reads the same files again.
    pub fn read_again(&self) -> Result<Self, ConfigError> {
        Self::load(&self.path, &self.overrides)
    }

    /// Reads the configuration as it would be if `file`, which is the configuration file or its `accounts.toml`, had this
    /// text.
    pub fn draft(path: &Path, file: &Path, text: &str, overrides: &Overrides) -> Result<Self, ConfigError> {
        if text.len() as u64 > LARGEST_FILE {
            // It could be written, and never be read again.
            return Err(ConfigError::TooLarge { file: file.to_owned(), most: LARGEST_FILE });
        }
        if accounts_file(path).as_deref() == Some(file) {
            Self::parse_both(path, &read(path)?, Some(text), overrides)
        } else {
            Self::parse_both(path, text, accounts_text(path)?.as_deref(), overrides)
        }
    }

    /// Checks that accounts of `accounts.toml` did not vanish by mistake since this configuration was read. `asked` says why the
    /// files were read again.
    pub fn goes_on_in(&self, new: &Self, asked: ReadAgain) -> Result<(), AccountsFileError> {
        let (Some(was), Some(file)) = (&self.accounts_file, accounts_file(&self.path)) else { return Ok(()) };
        if was.accounts.iter().all(|name| new.accounts.contains_key(name)) {
            return Ok(());
        }
        match &new.accounts_file {
            None => Err(AccountsFileError::Gone(file)),
            Some(read) if read.is_blank && asked == ReadAgain::ByAChange => Err(AccountsFileError::Blank(file)),
            Some(_) => Ok(()),
        }
    }

    /// Returns the places of a host whose configuration file may be unusable. They come from flags and environment,
    /// from the file as far as it can be parsed, or from the defaults. The result has no accounts.
    pub fn places_alone(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let text = read(path).unwrap_or_default();
        match Self::places_in(path, &text, overrides) {
            Err(ConfigError::Syntax { .. }) => Self::places_in(path, "", overrides),
            found => found,
        }
    }

    /// Same as [`places_alone`](Self::places_alone), for a text that is to be the file at this path.
    pub fn places_in(path: &Path, text: &str, overrides: &Overrides) -> Result<Self, ConfigError> {
        let document = Document::parse(path, text)?;
        let (data, plugins) = places(&document.top(), path.parent().unwrap_or(Path::new("")), overrides)?;
        Ok(Self {
            path: path.to_owned(),
            data,
            plugins,
            log: String::new(),
            watch: false,
            audit: Audit::default(),
            cluster: None,
            web: Web::default(),
            window: Window::default(),
            settings: Settings::default(),
            accounts: BTreeMap::new(),
            groups: BTreeSet::new(),
            components: BTreeMap::new(),
            new_addresses: BTreeMap::new(),
            sleep_after: BTreeMap::new(),
            accounts_file: None,
            overrides: overrides.clone(),
            warnings: Vec::new(),
        })
    }

    /// Parses the text of the file at this path, without an `accounts.toml`.
    pub fn parse(path: &Path, text: &str, overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::parse_both(path, text, None, overrides)
    }

    /// Parses the texts of the file at this path and of the `accounts.toml` beside it.
    fn parse_both(path: &Path, text: &str, beside: Option<&str>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let document = Document::parse(path, text)?;
        let top = document.top();
        top.allow_only(&keys::TOP_NAMES)?;
        let beside_path = path.with_file_name(ACCOUNTS_FILE);
        let with_accounts = beside.map(|text| Document::parse(&beside_path, text)).transpose()?;
        let is_of_nodes = top.place_of("cluster").is_some();
        let with_accounts = with_accounts.map(|read| if is_of_nodes { read.of_nodes() } else { read });
        let mut tops = vec![top.clone()];
        if let Some(read) = &with_accounts {
            let beside = read.top();
            beside.allow_only(&accounts_file::TABLES)?;
            tops.push(beside);
        }

        let folder = path.parent().unwrap_or(Path::new(""));
        let (data, plugins) = places(&top, folder, overrides)?;
        let over = settings_over_the_file(overrides)?;
        let base = with_section(Settings::default(), top.section("settings")?.as_ref(), "account.NAME", folder)?;
        let settings = with_all(base.clone(), &over)?;
        let log = log(overrides, top.text("log")?, &settings)?;
        let audit = Audit::read(top.section("audit")?.as_ref())?;
        let web = Arc::new(Web::read(top.section("web")?.as_ref(), folder)?);
        let window = Window::read(top.section("window")?.as_ref())?;
        let groups =
            Groups::read(&tops, folder, |section, table| with_section(base.clone(), section, table, folder).map(drop))?;
        let components = component::read_all(top.section("component")?.as_ref(), folder, &settings)?;
        let new_addresses = new_addresses::read_all(top.section("component")?.as_ref(), &groups)?;
        let sleep_after = component::read_sleep_after(top.section("component")?.as_ref())?;
        let cluster = Cluster::read(top.section("cluster")?.as_ref(), folder, overrides.environment)?;
        let with =
            With { folder, overrides, base: &base, over: &over, groups: &groups, components: &components, web: &web };
        let (mut accounts, in_the_file) = accounts::read_all(&tops, &with)?;
        let may_be_empty = cluster.as_ref().map_or(!new_addresses.is_empty(), |cluster| cluster.share_plugins);
        if accounts.is_empty() && !may_be_empty && !overrides.needs_no_account {
            return Err(ConfigError::NoAccount(path.to_owned()));
        }
        if let Some(cluster) = &cluster {
            cluster.fit(&mut accounts, &new_addresses)?;
        }
        let watch = top.flag("watch")?.unwrap_or(true);
        let misspelt = (overrides.variables)().into_iter().filter_map(|name| misspelt(&name));
        let of_sections = components.values().flat_map(LinkSettings::warnings).chain(web.warning());
        let of_rooms = room_files::warnings(accounts.values().map(|account| &account.settings));
        let warnings = accounts.values().flat_map(AccountConfig::warnings).chain(of_sections);
        let none = (cluster.is_some() && accounts.is_empty()).then(|| NO_ACCOUNT.to_owned());
        let warnings = misspelt.chain(warnings).chain(of_rooms).chain(none).collect();
        let accounts_file = beside.map(|text| AccountsFile::new(text, in_the_file));
        let (path, overrides) = (path.to_owned(), overrides.clone());
        let groups = groups.into_names().collect();
        Ok(Self {
            path,
            data,
            plugins,
            log,
            watch,
            audit,
            cluster,
            web: Web::clone(&web),
            window,
            settings,
            accounts,
            groups,
            components,
            new_addresses,
            sleep_after,
            accounts_file,
            overrides,
            warnings,
        })
    }

    /// Returns whether these name this account; `None` names all.
    pub fn is_chosen(&self, account: &AccountName, selectors: Option<&[Selector]>) -> bool {
        let group = self.accounts.get(account).and_then(|account| account.group.as_ref());
        selectors.is_none_or(|all| all.iter().any(|selector| selector.covers(account, group)))
    }

    /// Returns the accounts that these name; `None` names all.
    pub fn chosen(&self, selectors: Option<&[Selector]>) -> impl Iterator<Item = &AccountConfig> {
        self.accounts.values().filter(move |account| self.is_chosen(&account.name, selectors))
    }

    /// Lists the names that a selector of this kind could have, for an error; only some, if there are many.
    pub fn known_like(&self, selector: &Selector) -> String {
        let names: Vec<_> = match selector {
            Selector::Group(_) => self.groups.iter().map(GroupName::as_str).collect(),
            Selector::Account(_) | Selector::Pattern(_) => self.accounts.keys().map(AccountName::as_str).collect(),
        };
        match names.len() {
            0 => "none".to_owned(),
            count if count > MOST_LISTED => {
                format!("{} and {} more", names[..MOST_LISTED].join(", "), count - MOST_LISTED)
            }
            _ => names.join(", "),
        }
    }

    /// Returns whether the account or the group of this name exists. A pattern may describe accounts that are added
    /// later.
    pub fn has(&self, selector: &Selector) -> bool {
        match selector {
            Selector::Account(name) => self.accounts.contains_key(name),
            Selector::Group(name) => self.groups.contains(name),
            Selector::Pattern(_) => true,
        }
    }
}

/// Returns the data folder and the policy file.
fn places(top: &Section<'_>, folder: &Path, overrides: &Overrides) -> Result<(PathBuf, PathBuf), ConfigError> {
    let variable = |name: &str| (overrides.environment)(name).filter(|value| !value.is_empty());
    let place = |flag: &Option<PathBuf>, variable_name, key, default| -> Result<PathBuf, ConfigError> {
        let written = top.text(key)?.map_or(default, |written| written.value);
        let chosen = flag.clone().or_else(|| variable(variable_name).map(PathBuf::from));
        Ok(chosen.unwrap_or_else(|| folder.join(written)))
    };
    let data = place(&overrides.data, "PARLOR_DATA", "data", "data")?;
    let plugins = place(&overrides.plugins, "PARLOR_PLUGINS", "plugins", "plugins.toml")?;
    Ok((data, plugins))
}

/// The prefix of environment variables that set a setting.
const SETTING_VARIABLES: &str = "PARLOR_SETTING_";

/// A setting from a flag or the environment: its origin, key and value.
type Over = (Origin, String, Value);

fn read(path: &Path) -> Result<String, ConfigError> {
    read_if_there(path)?.ok_or_else(|| ConfigError::Absent(path.to_owned()))
}

/// Returns the text of the `accounts.toml` beside a configuration file; `None` if there is none.
pub fn accounts_text(config: &Path) -> Result<Option<String>, ConfigError> {
    accounts_file(config).map_or(Ok(None), |file| read_if_there(&file))
}

fn read_if_there(path: &Path) -> Result<Option<String>, ConfigError> {
    match document::read(path, LARGEST_FILE) {
        Ok(text) => Ok(text),
        Err(ReadError::Unreadable(cause)) => Err(ConfigError::Unreadable { file: path.to_owned(), cause }),
        Err(ReadError::TooLong) => Err(ConfigError::TooLarge { file: path.to_owned(), most: LARGEST_FILE }),
    }
}

/// Returns the log filter: the given one, else `info`, or `debug` if the setting `debug` is on.
fn log(overrides: &Overrides, written: Option<Written<&str>>, settings: &Settings) -> Result<String, ConfigError> {
    let variable = (overrides.environment)("PARLOR_LOG").filter(|value| !value.is_empty());
    let (origin, log) = match (&overrides.log, variable, written) {
        (Some(flag), _, _) => (Origin::Flag("--log"), flag.clone()),
        (None, Some(variable), _) => (Origin::Environment("PARLOR_LOG".to_owned()), variable),
        (None, None, Some(Written { value, at })) => (Origin::File(at), value.to_owned()),
        (None, None, None) => return Ok(if settings.debug { "debug" } else { "info" }.to_owned()),
    };
    let is_understood = EnvFilter::builder().parse(&log).is_ok() && log.split(',').all(can_be_meant);
    if is_understood { Ok(log) } else { Err(ConfigError::BadLog { origin, log: log.chars().take(128).collect() }) }
}

/// Returns whether a part of the log filter is plausible. A word that is not a level is the name of a target, which is
/// then logged at all levels. A misspelt level would be such a name, and nothing would be logged any more, not even
/// errors.
fn can_be_meant(part: &str) -> bool {
    part.contains(['=', '[']) || part.starts_with("parlor") || part.parse::<LevelFilter>().is_ok()
}

/// Applies a table of settings, which belongs to this table of an account or a group. Paths in it are relative to `folder`.
fn with_section(
    mut settings: Settings,
    section: Option<&Section<'_>>,
    table: &str,
    folder: &Path,
) -> Result<Settings, ConfigError> {
    for (key, Written { value, at }) in section.map_or(Ok(Vec::new()), Section::json)? {
        let origin = Origin::File(at.clone());
        is_no_key(&origin, key, table)?;
        let wrong = |reason| ConfigError::Setting { origin, reason };
        settings = settings.with_written(key, value, folder).map_err(wrong)?;
        room_files::are_present(&settings, key, section, &at)?;
    }
    Ok(settings)
}

fn with_all(mut settings: Settings, over: &[Over]) -> Result<Settings, ConfigError> {
    for (origin, key, value) in over {
        is_no_key(origin, key, "account.NAME")?;
        let wrong = |reason| ConfigError::Setting { origin: origin.clone(), reason };
        settings = settings.with_written(key, value.clone(), Path::new("")).map_err(wrong)?;
    }
    Ok(settings)
}

/// Refuses a setting that is named like a key of the file. It would be kept as a plugin's setting, and the key would
/// silently have no effect.
fn is_no_key(origin: &Origin, key: &str, table: &str) -> Result<(), ConfigError> {
    let named = |names: &[&'static str]| names.iter().copied().find(|name| *name == key && !Settings::is_known(name));
    let (key, place) = match (named(&keys::ACCOUNT_NAMES), named(&keys::TOP_NAMES)) {
        (Some(key), _) => (key, format!("to [{}]", table_of(key, table))),
        (None, Some(key)) => (key, "to the top of parlor.toml, before the first table".to_owned()),
        (None, None) => return Ok(()),
    };
    Err(ConfigError::Misplaced { origin: origin.clone(), key, place })
}

/// Returns the table where a key of an account belongs that stands among the settings of this table.
fn table_of<'t>(key: &str, table: &'t str) -> &'t str {
    let is_of_account = table.starts_with("group.") && !keys::GROUP_NAMES.contains(&key);
    if is_of_account { "account.NAME" } else { table }
}

/// Returns the settings of the environment, followed by those of flags, so that flags win.
fn settings_over_the_file(overrides: &Overrides) -> Result<Vec<Over>, ConfigError> {
    let variables = SETTINGS.iter().filter_map(|rule| {
        let variable = variable(rule);
        let value = (overrides.environment)(&variable)?;
        Some((Origin::Environment(variable), rule.key, value))
    });
    let flags = overrides.settings.iter().map(|(key, value)| (Origin::Flag("--set"), key.as_str(), value.clone()));
    variables
        .chain(flags)
        .map(|(origin, key, text)| match serde_json::from_str(&text) {
            Ok(value) => Ok((origin, key.to_owned(), value)),
            Err(_) if is_text(key) => Ok((origin, key.to_owned(), Value::String(text))),
            Err(error) => Err(ConfigError::NotJson {
                origin,
                key: key.chars().take(64).collect(),
                reason: if error.is_eof() { "it ends too early" } else { "it cannot be parsed" },
            }),
        })
        .collect()
}

/// Returns the environment variable of a setting.
fn variable(rule: &SettingRule) -> String {
    format!("{SETTING_VARIABLES}{}", rule.key.to_ascii_uppercase())
}

/// Returns a warning for a variable with the prefix of settings that names no setting.
fn misspelt(name: &str) -> Option<String> {
    let known: Vec<_> = SETTINGS.iter().map(variable).collect();
    if !name.starts_with(SETTING_VARIABLES) || known.iter().any(|known| known == name) {
        return None;
    }
    let near = suggestion(nearest(name, known.iter().map(String::as_str)));
    let name: String = name.chars().take(64).collect();
    Some(format!("the variable {name:?} of the environment names no setting{near}"))
}

/// Returns whether an unquoted value of this setting can only be a text.
fn is_text(key: &str) -> bool {
    setting(key).is_some_and(|rule| matches!(rule.kind, SettingKind::Text | SettingKind::Choice(_)))
}

#[cfg(test)]
mod tests;
