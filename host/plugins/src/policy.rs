//! The owner's decisions: `plugins.toml`, which is read as a whole or not at all.
//!
//! This module only parses what the owner wrote. `admission` compares it with the plugin's file.

mod commands;
pub mod edit;
mod error;
pub mod file;
pub mod hooks;
pub mod keys;
pub mod values;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use parlor_base::document::{self, Document, DocumentError, ReadError, Section};
use parlor_base::id::{Digest, PluginId};
use parlor_base::log_level::LogLevel;
use parlor_config::Selector;
use parlor_session::command_names::CommandNames;
use parlor_session::permissions::{Grants, RoomList};
use semver::Version;

use crate::limits::Limits;
use crate::listing::Listing;
use crate::signature::{self, KeyName, Keys, PublisherKey, TrustedKey};
use crate::source::Source;
use commands::commands;
use hooks::{Hooks, hooks};
use values::{settings, settings_in};

pub use error::PolicyError;
pub use values::{RoomSettings, SettingValues};

/// The maximum size of a policy, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// The maximum number of plugins in one policy.
const MAX_PLUGINS: usize = 16_000;
/// The maximum number of keys in one policy.
const MAX_KEYS: usize = 1000;
/// The maximum number of accounts of one plugin.
const MAX_ACCOUNTS: usize = 16_000;

/// The owner's decisions about all plugins.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// The entry of each plugin.
    pub plugins: BTreeMap<PluginId, Entry>,
    /// The keys whose signatures the owner trusts.
    pub keys: Keys,
    /// The plugins that see what others send and get.
    pub hooks: Hooks,
    /// Whether only plugins signed with one of these keys can be installed.
    pub require_signature: bool,
}

/// The owner's decisions about one plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The source of the file. A relative path was resolved against the policy's folder.
    pub source: Source,
    /// The digest of the bytes that may run.
    pub digest: Digest,
    /// The version that the owner believes it is, for display.
    pub version: Option<Version>,
    /// The key that had signed it when it was installed.
    pub signer: Option<KeyName>,
    /// Its name in the index that it was installed by.
    pub index: Option<Listing>,
    /// The key that the index named, which must sign updates.
    pub publisher: Option<PublisherKey>,
    /// The accounts on which it runs; `None` = all of them, also those that are added later.
    pub accounts: Option<Vec<Selector>>,
    /// Whether it runs without those of its accounts that are not configured any more. Otherwise it is refused then.
    pub skips_missing_accounts: bool,
    /// Whether it may run at all.
    pub enabled: bool,
    /// The minimum level of its log lines; `None` = the same as for everything else.
    pub log: Option<LogLevel>,
    /// The owner's names and rules for its commands, in place of the author's.
    pub commands: CommandNames,
    /// The permissions that it is granted, and the rooms that it is kept to.
    pub grants: Grants,
    /// The resources that it may use. All of its instances share them, and so do other plugins with the same limits.
    pub limits: Arc<Limits>,
    /// The values of its own settings.
    pub settings: SettingValues,
    /// Their values in single rooms.
    pub settings_in: RoomSettings,
}

impl Entry {
    /// Returns whether the two differ only in the accounts and in fields for display.
    pub fn differs_in_accounts_alone(&self, other: &Self) -> bool {
        let (accounts, skips_missing_accounts) = (other.accounts.clone(), other.skips_missing_accounts);
        let is_same = self.accounts == accounts && self.skips_missing_accounts == skips_missing_accounts;
        !is_same && Self { accounts, skips_missing_accounts, ..self.with_origin_of(other) } == *other
    }

    /// Returns the first of its accounts and groups that has to be configured and is not.
    pub fn missing_account(&self, is_there: impl Fn(&Selector) -> bool) -> Option<&Selector> {
        let names = self.accounts.as_deref()?;
        if self.skips_missing_accounts && names.iter().any(&is_there) {
            return None;
        }
        names.iter().find(|name| !is_there(name))
    }

    /// Returns whether the two differ only in the grants and in fields for display.
    pub fn differs_in_grants_alone(&self, other: &Self) -> bool {
        let grants = other.grants.clone();
        Self { grants, ..self.with_origin_of(other) } == *other
    }

    /// Shares the limits and the grants of another one as far as they are equal: a large host has the same for many plugins.
    fn share_with(&mut self, other: &Self) {
        if self.limits == other.limits {
            self.limits = Arc::clone(&other.limits);
        }
        if self.grants == other.grants {
            self.grants = other.grants.clone();
        }
    }

    /// Returns the same with the other one's origin, which a running plugin does not depend on.
    fn with_origin_of(&self, other: &Self) -> Self {
        let Self { source, version, signer, index, publisher, .. } = other.clone();
        Self { source, version, signer, index, publisher, ..self.clone() }
    }
}

impl Policy {
    /// Reads the owner's file. A file that does not exist is a policy that allows nothing.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        Self::read(path)?.map_or_else(|| Ok(Self::default()), |text| Self::understand(&text, path))
    }

    /// Reads the text of the owner's file; `None` if there is no file.
    pub fn read(path: &Path) -> Result<Option<String>, PolicyError> {
        document::read(path, MAX_BYTES).map_err(|error| match error {
            ReadError::Unreadable(cause) => PolicyError::Read { path: path.to_owned(), cause },
            ReadError::TooLong => PolicyError::TooLong { path: path.to_owned() },
        })
    }

    /// Returns whether the policy's rule about signatures allows a plugin with this signer, or with none.
    pub fn lets_through(&self, signer: Option<&KeyName>) -> bool {
        let counts = |key: &TrustedKey| key.ended(signature::today()).is_none();
        !self.require_signature || signer.and_then(|name| self.keys.get(name)).is_some_and(counts)
    }

    /// Parses the text of the file at this path. Refuses a text that would be too long to [read](Self::read), so
    /// that nobody writes it.
    pub fn understand(text: &str, path: &Path) -> Result<Self, PolicyError> {
        if text.len() as u64 > MAX_BYTES {
            return Err(PolicyError::TooLong { path: path.to_owned() });
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(text, folder).map_err(|error| PolicyError::Invalid { path: path.to_owned(), error })
    }

    /// Parses a policy whose relative paths begin at `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, DocumentError> {
        let document = Document::parse(text)?;
        let root = document.root();
        root.allow(&keys::TOP_NAMES)?;
        let require_signature = root.get("require_signature").map_or(Ok(false), |node| node.boolean())?;
        let mut policy = Self { require_signature, ..Self::default() };
        if let Some(keys) = root.section("key")? {
            for (index, node) in keys.entries().enumerate() {
                if index == MAX_KEYS {
                    return Err(node.error(format!("there are more than {MAX_KEYS} keys")));
                }
                policy.keys.insert(node.parse_key()?, TrustedKey::read(&node.section()?)?);
            }
        }
        if let Some(plugins) = root.section("plugin")? {
            for (index, node) in plugins.entries().enumerate() {
                if index == MAX_PLUGINS {
                    return Err(node.error(format!("there are more than {MAX_PLUGINS} plugins")));
                }
                let (id, mut one) = (node.parse_key()?, entry(&node.section()?, folder)?);
                if let Some(other) = policy.plugins.values().next_back() {
                    one.share_with(other);
                }
                policy.plugins.insert(id, one);
            }
        }
        policy.hooks = hooks(&root, &policy.plugins)?;
        Ok(policy)
    }
}

/// Checks that a text is valid as a decision about a plugin that is not installed yet: an entry, except for the keys
/// that follow from the plugin's file.
pub fn is_decision(text: &str) -> Result<(), DocumentError> {
    let document = Document::parse(text)?;
    let root = document.root();
    root.allow(&[
        "accounts",
        "commands",
        "enabled",
        "grants",
        "limits",
        "log",
        "missing_accounts",
        "rooms",
        "settings",
        "settings_in",
    ])?;
    root.get("enabled").map(|node| node.boolean()).transpose()?;
    root.get("log").map(|node| node.parse::<LogLevel>()).transpose()?;
    accounts(&root)?;
    skips_missing_accounts(&root)?;
    commands(&root)?;
    grants(&root)?;
    rooms(&root)?;
    limits(&root)?;
    settings(&root, Path::new(""))?;
    settings_in(&root, Path::new(""))?;
    Ok(())
}

fn entry(section: &Section<'_>, folder: &Path) -> Result<Entry, DocumentError> {
    section.allow(&keys::PLUGIN_NAMES)?;
    let source = section.require("source", "write the path or the address of the plugin's file")?;
    if source.string()?.is_empty() {
        return Err(source.error("`source` is empty; write the path or the address of the plugin's file"));
    }
    let digest = section.require("digest", "`parlor plugin inspect FILE` prints it")?;
    Ok(Entry {
        source: Source::parse(source.string()?, folder).map_err(|error| source.error(error))?,
        digest: digest.parse()?,
        version: section.get("version").map(|node| node.parse()).transpose()?,
        signer: section.get("signer").map(|node| node.parse()).transpose()?,
        index: section.get("index").map(|node| node.parse()).transpose()?,
        publisher: section.get("publisher").map(|node| node.parse()).transpose()?,
        accounts: accounts(section)?,
        skips_missing_accounts: skips_missing_accounts(section)?,
        enabled: section.get("enabled").map_or(Ok(true), |node| node.boolean())?,
        log: section.get("log").map(|node| node.parse()).transpose()?,
        commands: commands(section)?,
        grants: grants(section)?.in_rooms(rooms(section)?),
        limits: Arc::new(limits(section)?),
        settings: settings(section, folder)?,
        settings_in: settings_in(section, folder)?,
    })
}

fn accounts(section: &Section<'_>) -> Result<Option<Vec<Selector>>, DocumentError> {
    let Some(node) = section.get("accounts") else { return Ok(None) };
    let mut accounts = Vec::new();
    for name in node.strings(MAX_ACCOUNTS)? {
        let account: Selector = name.parse().map_err(|error| node.error(error))?;
        if accounts.contains(&account) {
            return Err(node.error(format!("the account `{account}` is in the list twice")));
        }
        accounts.push(account);
    }
    if accounts.is_empty() {
        return Err(node.error("`accounts` is empty; leave it out for every account, or write `enabled = false`"));
    }
    Ok(Some(accounts))
}

fn rooms(section: &Section<'_>) -> Result<Option<RoomList>, DocumentError> {
    let Some(node) = section.get("rooms") else { return Ok(None) };
    let texts = node.strings(RoomList::MOST)?;
    if texts.is_empty() {
        return Err(node.error("`rooms` is empty; leave it out for every room, or write `enabled = false`"));
    }
    let rooms = texts.into_iter().map(|text| RoomList::room(text).map_err(|error| node.error(error)));
    Ok(Some(RoomList::new(rooms.collect::<Result<Vec<_>, _>>()?)))
}

fn skips_missing_accounts(section: &Section<'_>) -> Result<bool, DocumentError> {
    let Some(node) = section.get("missing_accounts") else { return Ok(false) };
    match node.string()? {
        "refuse" => Ok(false),
        "skip" => Ok(true),
        _ => Err(node.error("`missing_accounts` has to be \"refuse\" or \"skip\"")),
    }
}

fn grants(section: &Section<'_>) -> Result<Grants, DocumentError> {
    let mut table = toml::Table::new();
    let Some(granted) = section.section("grants")? else { return Ok(Grants::default()) };
    for node in granted.entries() {
        let value = node.value()?;
        // Each is parsed alone first, so that the error has the line of the wrong grant.
        let single = toml::Table::from_iter([(node.key().to_owned(), value.clone())]);
        Grants::from_table(&single).map_err(|error| node.error(error))?;
        table.insert(node.key().to_owned(), value);
    }
    Grants::from_table(&table).map_err(|error| granted.error(error))
}

fn limits(section: &Section<'_>) -> Result<Limits, DocumentError> {
    let mut limits = Limits::default();
    if let Some(written) = section.section("limits")? {
        for node in written.entries() {
            limits.set(node.key(), &node.value()?).map_err(|error| node.error(error))?;
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use parlor_base::quantity::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn whole() -> String {
        format!(
            r#"# who may run
[plugin.echo]
source = "plugins/echo.wasm"
digest = "{}"
version = "0.1.0"
accounts = ["main"]
[plugin.echo.grants]
"messages.read" = ["*"]
"contacts.read" = true
[plugin.echo.limits]
memory = "32 MiB"
[plugin.echo.settings]
greeting = "Hello"
key = "s3cr3t-canary"
[plugin.snoop]
source = "/srv/snoop.wasm"
digest = "{}"
enabled = false
"#,
            Digest::of(b"echo"),
            Digest::of(b"snoop")
        )
    }

    fn parse(text: &str) -> Result<Policy, DocumentError> {
        Policy::parse(text, Path::new("/etc/parlor"))
    }

    fn refusal(from: &str, to: &str) -> String {
        assert!(whole().contains(from));
        parse(&whole().replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_policy_is_read() {
        let policy = parse(&whole()).unwrap();
        let echo = &policy.plugins["echo"];
        assert_eq!(echo.source, Source::File("/etc/parlor/plugins/echo.wasm".into()));
        assert_eq!((echo.digest, echo.enabled), (Digest::of(b"echo"), true));
        assert_eq!(echo.accounts.as_deref(), Some(&["main".parse().unwrap()][..]));
        assert_eq!(echo.grants.iter().count(), 2);
        assert_eq!(echo.limits.memory, Bytes::mib(32));
        assert_eq!(echo.settings.0["greeting"], json!("Hello"));
        let snoop = &policy.plugins["snoop"];
        assert_eq!((&snoop.source, snoop.enabled), (&Source::File("/srv/snoop.wasm".into()), false));
        assert_eq!(snoop.accounts, None);
    }

    #[test]
    fn no_file_allows_nothing_and_a_broken_one_names_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.toml");
        assert_eq!(Policy::load(&path).unwrap(), Policy::default());
        fs::write(&path, whole()).unwrap();
        assert_eq!(
            Policy::load(&path).unwrap().plugins["echo"].source,
            Source::File(folder.path().join("plugins/echo.wasm"))
        );
        fs::write(&path, &whole()[..40]).unwrap();
        assert!(Policy::load(&path).unwrap_err().to_string().contains("plugins.toml:3:"));
        fs::write(&path, " ".repeat(16 << 20 | 1)).unwrap();
        assert!(matches!(Policy::load(&path), Err(PolicyError::TooLong { .. })));
        fs::write(&path, b"# caf\xc3\xa9\n# na\xefve\n").unwrap();
        let error = Policy::load(&path).unwrap_err();
        assert!(matches!(error, PolicyError::Read { .. }), "{error}");
        assert!(error.to_string().contains("plugins.toml (line 2, column 5 is not UTF-8)"), "{error}");
    }

    #[test]
    fn every_mistake_names_its_line() {
        assert_eq!(refusal("digest", "digset"), "4:1: unknown key `plugin.echo.digset`; did you mean `digest`?");
        assert_eq!(refusal("[plugin.echo]", "[plugins.echo]"), "2:2: unknown key `plugins`; did you mean `plugin`?");
        assert!(
            refusal("plugins/echo.wasm", "http://x/echo.wasm")
                .starts_with("3:1: \"http://x/echo.wasm\" is not an address")
        );
        assert_eq!(
            refusal("[plugin.snoop]", "[plugin.echo]"),
            "15:9: `echo` is there twice; the first is in line 2; keep one of them, or rename one"
        );
        assert!(
            refusal("[plugin.snoop]", "[plugin.\"../snoop\"]").starts_with("15:9: `../snoop` cannot be a plugin's id")
        );
        assert!(
            refusal("memory = \"32 MiB\"", "memory = \"1 B\"")
                .starts_with("11:1: the limit `memory` has to be from 64 KiB")
        );
        assert!(refusal("messages.read", "messages.reed").starts_with("8:1: "));
        assert!(refusal("sha256:", "sha1:").starts_with("4:1: `plugin.echo.digest`: a digest begins with `sha256:`"));
        assert!(refusal("\"main\"", "\"main\", \"main\"").contains("`main` is in the list twice"));
        assert!(refusal("\"main\"", "").contains("`accounts` is empty"));
        let missing = "enabled = false\nmissing_accounts = \"drop\"";
        assert!(refusal("enabled = false", missing).ends_with("has to be \"refuse\" or \"skip\""));
        assert!(
            refusal("enabled = false", "enabled = \"no\"").ends_with("`plugin.snoop.enabled` has to be true or false")
        );
        assert!(
            refusal("source = \"plugins/echo.wasm\"\n", "")
                .ends_with("[plugin.echo] has no `source`; write the path or the address of the plugin's file")
        );
    }

    #[test]
    fn an_account_that_is_gone_refuses_the_plugin_unless_the_owner_lets_it_go() {
        let lists = |more: &str| {
            let accounts = format!("accounts = [\"main\", \"second\"]\n{more}");
            let text = whole().replacen("accounts = [\"main\"]\n", &accounts, 1);
            parse(&text).unwrap().plugins.remove("echo").unwrap()
        };
        let missing = |entry: &Entry, there: &[&str]| {
            entry.missing_account(|name| there.contains(&name.to_string().as_str())).map(ToString::to_string)
        };
        let (refuses, skips) = (lists(""), lists("missing_accounts = \"skip\"\n"));
        assert_eq!(missing(&refuses, &["main"]).as_deref(), Some("second"));
        assert_eq!(missing(&skips, &["main"]), None);
        assert_eq!(missing(&skips, &["other"]).as_deref(), Some("main"), "it would run nowhere");
        assert_eq!(missing(&refuses, &["main", "second"]), None);
        assert!(refuses.differs_in_accounts_alone(&skips) && !skips.differs_in_accounts_alone(&skips));
        assert_eq!(lists("missing_accounts = \"refuse\"\n"), refuses);
    }

    #[test]
    fn commands_may_have_other_names() {
        let with = |commands: &str| {
            parse(&whole().replacen(
                "[plugin.snoop]",
                &format!("[plugin.echo.commands]\n{commands}\n[plugin.snoop]"),
                1,
            ))
        };
        let policy = with("Say = \"sag\"\nshout = \"say\"").unwrap();
        assert_eq!(policy.plugins["echo"].commands.to_string(), "say=sag, shout=say");
        let refusal = |commands: &str| with(commands).unwrap_err().to_string();
        assert_eq!(
            refusal("say = \"s a\""),
            "16:1: \"s a\" cannot be a command: it is not 1 to 32 letters, digits, - and _"
        );
        assert_eq!(refusal("say = \"help\""), "16:1: the command `help` is the host's; choose another name");
        assert!(refusal("say = \"x\"\nshout = \"X\"").starts_with("17:1: `x` is to be the name of `say` already"));
        assert!(refusal("say = 1").starts_with("16:1: "));
    }

    #[test]
    fn a_plugin_may_be_kept_to_rooms() {
        let with = |rooms: &str| whole().replacen("version = \"0.1.0\"", &format!("rooms = {rooms}"), 1);
        let policy = parse(&with("[\"b@muc.example.org\", \"A@muc.example.org\"]")).unwrap();
        let rooms = policy.plugins["echo"].grants.rooms().unwrap();
        assert_eq!(rooms.to_string(), "a@muc.example.org, b@muc.example.org");
        assert_eq!(policy.plugins["snoop"].grants.rooms(), None);
        // A change of them is one of the grants, for which nothing restarts.
        let all = parse(&whole()).unwrap();
        let [all, kept] = [&all, &policy].map(|policy| &policy.plugins["echo"]);
        assert!(all.differs_in_grants_alone(kept) && all != kept);
        let refusal = |rooms: &str| parse(&with(rooms)).unwrap_err().to_string();
        assert!(refusal("[]").starts_with("5:1: `rooms` is empty; leave it out for every room"));
        assert!(refusal("[\"muc.example.org\"]").contains("is no room: write its own address"));
        assert!(refusal("\"a@muc.example.org\"").contains("has to be a list of texts"));
    }

    #[test]
    fn the_value_of_a_setting_is_never_shown() {
        let policy = parse(&whole()).unwrap();
        assert!(!format!("{policy:?}").contains("canary"));
        assert!(!refusal("\"s3cr3t-canary\"", "\"s3cr3t-canary").contains("canary"));
        assert!(!refusal("key = \"s3cr3t-canary\"", "key = { a = \"s3cr3t-canary\", a = 1 }").contains("canary"));
    }

    proptest! {
        #[test]
        fn a_half_written_policy_is_an_error_or_a_shorter_policy(cut in 0_usize..300) {
            if let Ok(policy) = parse(&whole()[..cut]) {
                prop_assert!(policy.plugins.len() <= 2);
            }
        }
    }
}
