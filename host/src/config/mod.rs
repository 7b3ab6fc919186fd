//! What the operator wrote: `parlor.toml`, the environment and flags, as types. It reads files and writes none.
//!
//! Flags win over the environment, and that over the file. Secrets are here as references: the folder `xmpp` reads the
//! values when it needs them. What a plugin may is not here, but in the policy file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jid::Jid;
use serde_json::Value;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

mod account;
mod error;
pub mod keys;
mod link;
mod sections;
mod settings;

pub use account::{AccountConfig, AccountName, BadAccountName};
pub use error::{ConfigError, Origin, Place};
pub use link::{
    BadEndpoint, BadUrl, ChannelBinding, Endpoint, Hidden, LinkSettings, PasswordSource, Prebind, TlsMode,
    TransportChoice, Way, WebUrl,
};
pub use settings::{
    Archiving, Authentication, AutoJoin, Effective, Role, SETTINGS, SettingError, SettingKind, SettingRule, Settings,
    setting,
};

use crate::document::{self, ReadError};
use crate::nearest::{nearest, suggestion};
use sections::{Document, Section, Written};

/// How large a configuration file may be, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// What the operator wrote.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it came from.
    pub path: PathBuf,
    /// The folder for components, cache, storage and the control socket.
    pub data: PathBuf,
    /// The policy file: which plugins there are, and what each may.
    pub plugins: PathBuf,
    /// What to log, as a filter of `tracing`.
    pub log: String,
    /// Whether this file and the policy are read again when somebody writes to them.
    pub watch: bool,
    /// Settings of the host, before those of an account.
    pub settings: Settings,
    /// Its accounts; one at least.
    pub accounts: BTreeMap<AccountName, AccountConfig>,
    /// What is not wrong, but should be put right: one sentence each.
    pub warnings: Vec<String>,
}

/// What wins over the file.
#[derive(Debug, Clone)]
pub struct Overrides {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--plugins`.
    pub plugins: Option<PathBuf>,
    /// `--log`.
    pub log: Option<String>,
    /// `--set KEY=JSON`, for every account. What is not JSON is taken as text where the setting is one.
    pub settings: Vec<(String, String)>,
    /// Reads a variable of the environment: `PARLOR_DATA`, `PARLOR_PLUGINS`, `PARLOR_LOG`, `PARLOR_SETTING_<KEY>`,
    /// `PARLOR_PASSWORD_<ACCOUNT>`.
    pub environment: fn(&str) -> Option<String>,
    /// The names of all variables of the environment, so that a misspelt one is found.
    pub variables: fn() -> Vec<String>,
}

impl Default for Overrides {
    /// No flags, and the environment of this process.
    fn default() -> Self {
        Self {
            data: None,
            plugins: None,
            log: None,
            settings: Vec::new(),
            environment: |name| std::env::var(name).ok().filter(|value| !value.is_empty()),
            variables: || std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect(),
        }
    }
}

impl Config {
    /// Reads a configuration file. Paths in it are relative to its folder; those of flags and environment are not.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::parse(path, &read(path)?, overrides)
    }

    /// Of a file that cannot be used, where the host that was started by it may be: as flags and the environment say, or the file,
    /// as far as it can be read, or the usual places. There is no account in it.
    pub(crate) fn places_alone(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let text = read(path).unwrap_or_default();
        let document = Document::parse(path, &text).or_else(|_| Document::parse(path, ""))?;
        let (data, plugins) = places(&document.top(), path.parent().unwrap_or(Path::new("")), overrides)?;
        Ok(Self {
            path: path.to_owned(),
            data,
            plugins,
            log: String::new(),
            watch: false,
            settings: Settings::default(),
            accounts: BTreeMap::new(),
            warnings: Vec::new(),
        })
    }

    /// What the text of the file at this path says.
    pub(crate) fn parse(path: &Path, text: &str, overrides: &Overrides) -> Result<Self, ConfigError> {
        let document = Document::parse(path, text)?;
        let top = document.top();
        top.allow_only(&keys::TOP_NAMES)?;

        let folder = path.parent().unwrap_or(Path::new(""));
        let (data, plugins) = places(&top, folder, overrides)?;
        let over = settings_over_the_file(overrides)?;
        let base = with_section(Settings::default(), top.section("settings")?.as_ref(), "NAME")?;
        let settings = with_all(base.clone(), &over)?;
        let log = log(overrides, top.text("log")?, &settings)?;
        let mut accounts: BTreeMap<AccountName, AccountConfig> = BTreeMap::new();
        let named = top.section("account")?;
        if let Some(at) = named.as_ref().and_then(|accounts| accounts.place_of_text("jid")) {
            return Err(ConfigError::NamelessAccount { at });
        }
        for (name, section) in named.map_or(Ok(Vec::new()), |section| section.sections())? {
            let account = account(&name, &section, folder, overrides, &base, &over)?;
            if let Some(twin) = accounts.values().find(|other| is_same(&other.link.jid, &account.link.jid)) {
                let (first, second) = (twin.name.clone(), account.name);
                return Err(ConfigError::SameJid { at: section.at, first, second });
            }
            accounts.insert(account.name.clone(), account);
        }
        if accounts.is_empty() {
            return Err(ConfigError::NoAccount(path.to_owned()));
        }
        let watch = top.flag("watch")?.unwrap_or(true);
        let misspelt = (overrides.variables)().into_iter().filter_map(|name| misspelt(&name));
        let warnings = misspelt.chain(accounts.values().flat_map(AccountConfig::warnings)).collect();
        Ok(Self { path: path.to_owned(), data, plugins, log, watch, settings, accounts, warnings })
    }
}

/// The data folder and the policy.
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

/// Whether two addresses are one account of a server, and nobody gave each a resource of its own: everything would come to
/// both. Who logs in anonymously is somebody else each time.
fn is_same(one: &Jid, other: &Jid) -> bool {
    let are_apart = one.is_full() && other.is_full() && one != other;
    one.node().is_some() && one.to_bare() == other.to_bare() && !are_apart
}

/// How the names of variables begin that say what a setting is.
const SETTING_VARIABLES: &str = "PARLOR_SETTING_";

/// A setting from elsewhere than the file.
type Over = (Origin, String, Value);

fn read(path: &Path) -> Result<String, ConfigError> {
    match document::read(path, LARGEST_FILE) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(ConfigError::Absent(path.to_owned())),
        Err(ReadError::Unreadable(cause)) => Err(ConfigError::Unreadable { file: path.to_owned(), cause }),
        Err(ReadError::TooLong) => Err(ConfigError::TooLarge { file: path.to_owned(), most: LARGEST_FILE }),
    }
}

/// What to log: as somebody says, else more where the setting `debug` is on.
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

/// Whether a part of what to log can be meant. A word that is no level is the name of a part of the program, all of which is shown.
/// A misspelt level would be one, too, and nothing would be logged any more, not even errors.
fn can_be_meant(part: &str) -> bool {
    part.contains(['=', '[']) || part.starts_with("parlor") || part.parse::<LevelFilter>().is_ok()
}

fn account(
    name: &Written<&str>,
    section: &Section<'_>,
    folder: &Path,
    overrides: &Overrides,
    base: &Settings,
    over: &[Over],
) -> Result<AccountConfig, ConfigError> {
    let parsed = name.value.parse().map_err(|_: BadAccountName| ConfigError::BadAccountName {
        at: name.at.clone(),
        name: name.value.chars().take(64).collect(),
    })?;
    let own = with_section(base.clone(), section.section("settings")?.as_ref(), name.value)?;
    let settings = with_all(own, over)?;
    AccountConfig::read(parsed, section, folder, overrides.environment, settings)
}

/// The settings with those of a table, which is for the account of this name.
fn with_section(mut settings: Settings, section: Option<&Section<'_>>, account: &str) -> Result<Settings, ConfigError> {
    for (key, Written { value, at }) in section.map_or(Ok(Vec::new()), Section::json)? {
        let origin = Origin::File(at);
        is_no_key(&origin, key, account)?;
        let wrong = |reason| ConfigError::Setting { origin, reason };
        settings = settings.with(key, value).map_err(wrong)?;
    }
    Ok(settings)
}

fn with_all(mut settings: Settings, over: &[Over]) -> Result<Settings, ConfigError> {
    for (origin, key, value) in over {
        is_no_key(origin, key, "NAME")?;
        let wrong = |reason| ConfigError::Setting { origin: origin.clone(), reason };
        settings = settings.with(key, value.clone()).map_err(wrong)?;
    }
    Ok(settings)
}

/// Refuses a setting that is named like a key of the file: it would be kept for plugins, and the key would have no effect without
/// a word.
fn is_no_key(origin: &Origin, key: &str, account: &str) -> Result<(), ConfigError> {
    let named = |names: &[&'static str]| names.iter().copied().find(|name| *name == key && !Settings::is_known(name));
    let (key, place) = match (named(&keys::ACCOUNT_NAMES), named(&keys::TOP_NAMES)) {
        (Some(key), _) => (key, format!("to [account.{}]", account.chars().take(64).collect::<String>())),
        (None, Some(key)) => (key, "to the top of parlor.toml, before the first table".to_owned()),
        (None, None) => return Ok(()),
    };
    Err(ConfigError::Misplaced { origin: origin.clone(), key, place })
}

/// Settings of the environment, and after them those of flags, so that flags win.
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

/// The variable of the environment that says what a setting is.
fn variable(rule: &SettingRule) -> String {
    format!("{SETTING_VARIABLES}{}", rule.key.to_ascii_uppercase())
}

/// What to say of a variable that looks as if it said what a setting is, and does not.
fn misspelt(name: &str) -> Option<String> {
    let known: Vec<_> = SETTINGS.iter().map(variable).collect();
    if !name.starts_with(SETTING_VARIABLES) || known.iter().any(|known| known == name) {
        return None;
    }
    let near = suggestion(nearest(name, known.iter().map(String::as_str)));
    let name: String = name.chars().take(64).collect();
    Some(format!("the variable {name:?} of the environment names no setting{near}"))
}

/// Whether a value without quotes can only be meant as text.
fn is_text(key: &str) -> bool {
    setting(key).is_some_and(|rule| matches!(rule.kind, SettingKind::Text | SettingKind::Choice(_)))
}

#[cfg(test)]
mod tests;
