//! The author's declaration of a plugin: the TOML in the section `parlor:manifest` of a component.
//!
//! It is only a claim: `component` compares it with the imports, and `admission` with the grants.

pub mod keys;

use std::{collections::BTreeMap, str::FromStr};

use parlor_base::document::{Document, DocumentError, Node, Section};
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_session::event;
use parlor_session::permissions::{
    GrantError, Grants, Scope, denial, denial_of_encrypted, example, table, undeclared, unquoted,
};
use parlor_stanza::error::CallError;
use semver::{Version, VersionReq};
use toml::de::DeValue;

use crate::setting::{Setting, SettingKind};
use crate::webhook::{self, Verification, Webhook};

/// The custom section of a component that holds the manifest.
pub const SECTION: &str = "parlor:manifest";

/// The maximum length of a manifest, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The maximum number of entries of each list and table.
pub const MAX_ENTRIES: usize = 64;
/// The maximum length of a reason, in bytes.
const MAX_REASON: usize = 500;
/// The maximum length of a licence, in bytes.
const MAX_LICENSE: usize = 200;
/// The maximum length of a setting's name, in bytes.
const MAX_SETTING_NAME: usize = 64;

/// A plugin's manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The author's name for the plugin, for display. The host identifies it by the owner's id.
    pub name: PluginId,
    /// The version of the plugin.
    pub version: Version,
    /// The version of the contract that the plugin was built against.
    pub api: Version,
    /// A description of the plugin, in one sentence.
    pub description: String,
    /// The authors' names.
    pub authors: Vec<String>,
    /// The licence as an SPDX expression.
    pub license: Option<String>,
    /// The changes in this version and earlier ones, a sentence each, in the author's words.
    pub changes: BTreeMap<Version, String>,
    /// Whether the plugin is sent the messages that it missed (`catch_up`).
    pub catch_up: bool,
    /// Whether the plugin's instance may be ended while it has nothing to do, and started again with the next event
    /// (`parks`).
    pub parks: bool,
    /// Whether the events of one conversation are handled one after the other (`in_order`).
    pub in_order: bool,
    /// The permissions that the plugin requests.
    pub permissions: BTreeMap<Permission, Request>,
    /// The plugins that this one works with, by id or name.
    pub dependencies: BTreeMap<PluginId, Dependency>,
    /// The plugin's own settings.
    pub settings: BTreeMap<String, Setting>,
    /// The webhooks at which others send it requests, by name.
    pub webhooks: BTreeMap<String, Webhook>,
    /// The events that the plugin fires.
    pub events: Vec<String>,
    /// The promises that the plugin adds.
    pub promises: Vec<String>,
    /// The requests of other plugins that the plugin answers, by name.
    pub requests: Vec<String>,
}

/// A permission that a plugin requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The requested scope, written as in `plugins.toml`; `true` for a permission without a scope.
    pub scope: toml::Value,
    /// The author's reason for the request.
    pub reason: String,
    /// Whether the plugin also runs without this permission.
    pub optional: bool,
}

impl Request {
    /// Returns the line of `plugins.toml` that grants exactly this.
    pub fn line(&self, permission: Permission) -> String {
        format!("\"{}\" = {}", permission.as_str(), self.scope)
    }
}

impl Request {
    /// Returns the entries of the requested scope. The list is empty for a permission without a scope.
    pub fn entries(&self, permission: Permission) -> Vec<String> {
        let table = toml::Table::from_iter([(permission.to_string(), self.scope.clone())]);
        // The manifest was parsed by the same function, so this cannot fail.
        let grants = Grants::from_table(&table).unwrap_or_default();
        grants.get(permission).map(Scope::entries).unwrap_or_default()
    }

    /// Returns whether it is for encrypted messages, and no others.
    fn is_for_encrypted_alone(&self, permission: Permission) -> bool {
        let scope = Scope::parse(permission.scope_kind(), &self.entries(permission));
        scope.is_ok_and(|scope| scope.is_encrypted_alone())
    }
}

/// A dependency on another plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The versions that are acceptable.
    pub version: VersionReq,
    /// Whether the plugin also runs without this dependency.
    pub optional: bool,
}

/// The error for a text that is not a valid manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The text is too long to be parsed at all. Holds its length in bytes.
    #[error("the manifest has {0} bytes, at most {MAX_BYTES} are read")]
    TooLong(usize),
    /// The text has a mistake.
    #[error("in the manifest, {0}")]
    Invalid(#[from] DocumentError),
}

impl Manifest {
    /// Returns the names of the plugin's own settings that are secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let secret = self.settings.iter().filter(|(_, setting)| setting.kind.is_secret());
        secret.map(|(key, _)| key.as_str())
    }

    /// Returns whether its webhooks are more open to others than those of an earlier version. They are if one is new,
    /// one demands less of its senders, or one answers that did not before.
    pub fn opens_more_than(&self, earlier: &Self) -> bool {
        !self.opened_since(earlier).is_empty()
    }

    /// Describes what is more open about its webhooks than in an earlier version, a clause each.
    pub fn opened_since(&self, earlier: &Self) -> Vec<String> {
        let webhooks = self.webhooks.iter();
        webhooks.flat_map(|(name, webhook)| webhook.opened_since(name, earlier.webhooks.get(name))).collect()
    }

    /// Returns the names of the events that the plugin fires and of the promises that it adds.
    pub fn provides(&self) -> impl Iterator<Item = &String> {
        self.events.iter().chain(&self.promises)
    }

    /// Returns the denial of a call by this plugin, whose owner's id is `plugin`. It says what would allow the call: a
    /// grant, or a declaration by the author if the manifest does not request the permission.
    pub fn denial(&self, plugin: &PluginId, permission: Permission, scope: Option<String>) -> CallError {
        match self.permissions.get(&permission) {
            Some(request) if request.is_for_encrypted_alone(permission) => {
                denial_of_encrypted(plugin.as_str(), permission, scope)
            }
            Some(_) => denial(plugin.as_str(), permission, scope),
            None => undeclared(permission, scope),
        }
    }

    /// Parses a manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_BYTES {
            return Err(ManifestError::TooLong(text.len()));
        }
        Ok(Self::read(&Document::parse(text)?.root())?)
    }

    fn read(root: &Section<'_>) -> Result<Self, DocumentError> {
        root.entries().try_for_each(|node| misplaced(&node))?;
        root.allow(&["plugin", "permissions", "dependencies", "settings", "webhook", "requests", "provides"])?;
        let plugin = root.require("plugin", "a manifest begins with [plugin]")?.section()?;
        plugin.allow(&keys::of("plugin"))?;
        let authors = match plugin.get("authors") {
            None => Vec::new(),
            Some(node) => node.strings(MAX_ENTRIES)?.into_iter().map(str::to_owned).collect(),
        };
        let provides = root.section("provides")?;
        if let Some(provides) = &provides {
            provides.allow(&keys::of("provides"))?;
        }
        let names =
            |key| provides.as_ref().and_then(|provides| provides.get(key)).map_or(Ok(Vec::new()), |node| names(&node));
        let permissions = each(root, "permissions", |node| {
            let permission = permission(node)?;
            Ok((permission, request(node, permission)?))
        })?;
        let requests = requests(root, &permissions)?;
        let settings = each(root, "settings", |node| Ok((setting_name(node)?, setting(node)?)))?;
        Ok(Self {
            webhooks: webhooks(root, &permissions, &settings)?,
            catch_up: catch_up(&plugin, &permissions)?,
            parks: plugin.get("parks").map_or(Ok(false), |node| node.boolean())?,
            in_order: plugin.get("in_order").map_or(Ok(false), |node| node.boolean())?,
            name: plugin.require("name", "write the plugin's name")?.parse()?,
            version: version(&plugin.require("version", "write a semantic version such as \"0.1.0\"")?)?,
            api: version(&plugin.require("api", "write the version of the contract that it was built against")?)?,
            description: plugin
                .require("description", "say in one sentence what it does")?
                .sentence(keys::MAX_DESCRIPTION)?,
            authors,
            license: plugin.get("license").map(|node| node.sentence(MAX_LICENSE)).transpose()?,
            changes: each(&plugin, "changes", |node| Ok((changed(node)?, node.sentence(keys::MAX_DESCRIPTION)?)))?,
            permissions,
            dependencies: each(root, "dependencies", |node| Ok((node.parse_key()?, dependency(node)?)))?,
            settings,
            events: names("events")?,
            promises: names("promises")?,
            requests,
        })
    }
}

impl FromStr for Manifest {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        Self::parse(text)
    }
}

/// Parses a table with a bounded number of entries.
fn each<K: Ord, V>(
    root: &Section<'_>,
    key: &str,
    read: impl Fn(&Node<'_>) -> Result<(K, V), DocumentError>,
) -> Result<BTreeMap<K, V>, DocumentError> {
    let Some(section) = root.section(key)? else { return Ok(BTreeMap::new()) };
    let mut entries = BTreeMap::new();
    for (index, node) in section.entries().enumerate() {
        if index == MAX_ENTRIES {
            return Err(node.error(format!("[{key}] has more than {MAX_ENTRIES} entries")));
        }
        let (key, value) = read(&node)?;
        entries.insert(key, value);
    }
    Ok(entries)
}

fn catch_up(plugin: &Section<'_>, asked: &BTreeMap<Permission, Request>) -> Result<bool, DocumentError> {
    match plugin.get("catch_up") {
        None => Ok(false),
        Some(node) if node.boolean()? && !asked.contains_key(&Permission::MessagesRead) => {
            Err(node.error("`catch_up` tells messages that were missed: ask for \"messages.read\" as well"))
        }
        Some(node) => node.boolean(),
    }
}

/// Parses a semantic version.
fn version(node: &Node<'_>) -> Result<Version, DocumentError> {
    if let Ok(version) = node.string().unwrap_or_default().parse() {
        return Ok(version);
    }
    let written = match node.written() {
        DeValue::Integer(number) => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        other => other.as_str().unwrap_or_default(),
    };
    Err(node.wants(&format!("a version, three numbers in quotes such as \"{}\"", completed(written))))
}

/// Guesses the version that was meant by a text without its trailing zeros or with a leading `v`, for the error
/// message. If there is none, any version serves as the example.
fn completed(text: &str) -> Version {
    let text = text.trim().trim_start_matches(['v', 'V']);
    let whole = ["", ".0", ".0.0"].iter().find_map(|rest| Version::parse(&format!("{text}{rest}")).ok());
    whole.unwrap_or(Version::new(0, 1, 0))
}

/// Parses the version that a change belongs to.
fn changed(node: &Node<'_>) -> Result<Version, DocumentError> {
    let refusal = |_| {
        let key = node.key().escape_debug();
        node.error(format!("`{key}` is no version: write three numbers in quotes, such as \"0.1.0\" = \"…\""))
    };
    node.key().parse().map_err(refusal)
}

/// Refuses a key of `[plugin]` that is written in another table.
fn misplaced(node: &Node<'_>) -> Result<(), DocumentError> {
    if keys::of("plugin").contains(&node.key()) {
        return Err(node.error(format!("`{}` stands under [plugin]", node.key())));
    }
    Ok(())
}

fn permission(node: &Node<'_>) -> Result<Permission, DocumentError> {
    node.parse_key().or_else(|unknown| {
        misplaced(node)?;
        Err(unquoted(node.key(), &node.value()?).map_or(unknown, |error| node.error(error)))
    })
}

fn request(node: &Node<'_>, permission: Permission) -> Result<Request, DocumentError> {
    let request = example(permission);
    let section = node.section().map_err(|_| {
        let key = node.key();
        node.error(format!("`{key}` has to be a table with a reason: {{ scope = {request}, reason = \"…\" }}"))
    })?;
    section.allow(&keys::of("permissions"))?;
    let reason = section.require("reason", "say to the owner why the plugin needs it")?.sentence(MAX_REASON)?;
    let scope = section.get("scope").map_or(Ok(toml::Value::Boolean(true)), |scope| scope.value())?;
    if scope == toml::Value::Boolean(false) || scope.as_array().is_some_and(Vec::is_empty) {
        return Err(node.error("a permission that is not asked for is left out"));
    }
    let written = match section.get("only") {
        None => scope.clone(),
        Some(only) => {
            let parts = [("scope".to_owned(), scope.clone()), ("only".to_owned(), only.value()?)];
            toml::Value::Table(toml::Table::from_iter(parts))
        }
    };
    // The owner's file has the same syntax, so its parser decides whether such a line can be granted.
    let granted = Grants::from_table(&toml::Table::from_iter([(node.key().to_owned(), written)]));
    let granted = granted.map_err(|error| match (section.get("only"), section.get("scope")) {
        (Some(only), _) if matches!(error, GrantError::BadOnly { .. }) => only.error(error),
        (_, Some(scope)) => scope.error(format!("in `scope`, {error}")),
        (_, None) => node.error(format!("no `scope`, and {error}")),
    })?;
    let scope = match (section.get("only"), granted.get(permission)) {
        (Some(_), Some(granted)) => toml::Value::from(granted.entries()),
        _ => scope,
    };
    if permission == Permission::IqAnswer {
        listed(&section, &scope)?;
    }
    Ok(Request { scope, reason, optional: section.get("optional").map_or(Ok(false), |node| node.boolean())? })
}

/// Checks that the namespaces whose requests the plugin answers are listed one by one: they are announced.
fn listed(section: &Section<'_>, scope: &toml::Value) -> Result<(), DocumentError> {
    let entries = scope.as_array().map_or(&[][..], Vec::as_slice);
    let is_all = entries.iter().any(|entry| entry.as_str() == Some("*"));
    match section.get("scope") {
        Some(node) if is_all => {
            Err(node.error("list each namespace by its name; `*` is for the owner, who grants what is listed"))
        }
        Some(node) if entries.len() > MAX_ENTRIES => Err(node.error(format!("has more than {MAX_ENTRIES} namespaces"))),
        Some(_) | None => Ok(()),
    }
}

fn dependency(node: &Node<'_>) -> Result<Dependency, DocumentError> {
    match node.as_section() {
        None => Ok(Dependency { version: range(node)?, optional: false }),
        Some(section) => {
            section.allow(&keys::of("dependencies"))?;
            Ok(Dependency {
                version: range(&section.require("version", "write a range such as \"^0.1\", or \"*\"")?)?,
                optional: section.get("optional").map_or(Ok(false), |node| node.boolean())?,
            })
        }
    }
}

/// Parses a range of versions.
fn range(node: &Node<'_>) -> Result<VersionReq, DocumentError> {
    let refusal = |why| node.wants(&format!("a range of versions such as \"^0.1\", or \"*\"{why}"));
    let text = node.string().map_err(|_| refusal(String::new()))?;
    text.parse().map_err(|error: semver::Error| refusal(format!(": {error}")))
}

fn setting(node: &Node<'_>) -> Result<Setting, DocumentError> {
    match node.as_section() {
        Some(section) => Setting::read(&section),
        None => Err(node.wants("a table: { type = \"…\", default = …, description = \"…\" }")),
    }
}

/// Parses the webhooks. A credential that is not sent to any server must be the secret of a webhook.
fn webhooks(
    root: &Section<'_>,
    asked: &BTreeMap<Permission, Request>,
    settings: &BTreeMap<String, Setting>,
) -> Result<BTreeMap<String, Webhook>, DocumentError> {
    let can_be_secret = |name: &str| {
        settings.get(name).is_some_and(|setting| setting.kind.is_secret() || setting.kind == SettingKind::String)
    };
    let webhooks = each(root, "webhook", |node| {
        if !asked.contains_key(&Permission::WebhooksReceive) {
            return Err(node.error("a webhook needs a permission: ask for \"webhooks.receive\" as well"));
        }
        Ok((webhook::name(node)?, Webhook::read(node, can_be_secret)?))
    })?;
    for node in root.section("webhook")?.into_iter().flat_map(|section| section.entries().collect::<Vec<_>>()) {
        webhooks.get(node.key()).map_or(Ok(()), |webhook| webhook.shows_none_of(&node, webhooks.values()))?;
    }
    refuse_public(root, &webhooks, settings)?;
    let is_used = |name: &str| webhooks.values().any(|webhook| webhook.secret.as_deref() == Some(name));
    let mut declared = root.section("settings")?.into_iter().flat_map(|section| section.entries().collect::<Vec<_>>());
    let idle = declared.find(|node| {
        let kind = settings.get(node.key()).map(|setting| &setting.kind);
        kind == Some(&SettingKind::Credential(None)) && !is_used(node.key())
    });
    match idle {
        Some(node) => Err(node.error("no `hosts`, and no webhook names it: list the servers that it goes to")),
        None => Ok(webhooks),
    }
}

/// Refuses a default for the secret of a webhook: anyone who has the manifest could sign requests with it. At Discord
/// it is a public key, which may be known.
fn refuse_public(
    root: &Section<'_>,
    webhooks: &BTreeMap<String, Webhook>,
    settings: &BTreeMap<String, Setting>,
) -> Result<(), DocumentError> {
    let is_guarded = |name: &str| {
        let guards = |webhook: &Webhook| {
            webhook.secret.as_deref() == Some(name) && webhook.verification != Verification::Discord
        };
        webhooks.values().any(guards)
    };
    let has_default = |name: &str| settings.get(name).is_some_and(|setting| setting.default.is_some());
    let Some(section) = root.section("settings")? else { return Ok(()) };
    let public = section.entries().find(|node| has_default(node.key()) && is_guarded(node.key()));
    let Some(node) = public else { return Ok(()) };
    let section = node.section()?;
    let default = section.get("default");
    Err(default.as_ref().unwrap_or(&node).error(
        "a webhook is verified by this setting, and everybody who has the file could read its default: leave out `default`",
    ))
}

fn setting_name(node: &Node<'_>) -> Result<String, DocumentError> {
    let name = node.key();
    let fits = name.len() <= MAX_SETTING_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
    if !fits {
        return Err(node.error(format!(
            "`{}` cannot be a setting's name: 1 to {MAX_SETTING_NAME} of a-z, 0-9 and _, the first one a letter",
            name.escape_debug()
        )));
    }
    Ok(name.to_owned())
}

/// Parses the names of the requests of other plugins that the plugin answers.
fn requests(root: &Section<'_>, asked: &BTreeMap<Permission, Request>) -> Result<Vec<String>, DocumentError> {
    let Some(section) = root.section("requests")? else { return Ok(Vec::new()) };
    section.allow(&keys::of("requests"))?;
    let node = section.require("names", "list the names of the requests that the plugin answers")?;
    if !asked.contains_key(&Permission::PluginsAnswer) {
        return Err(node.error("requests of other plugins need a permission: ask for \"plugins.answer\" as well"));
    }
    listed_once(&node)
}

/// Parses the names of events or promises of the plugin's own.
fn names(node: &Node<'_>) -> Result<Vec<String>, DocumentError> {
    let names = listed_once(node)?;
    match names.iter().find(|name| table::event(name).is_some()) {
        Some(name) => Err(node.error(format!("`{name}` is the host's own name; choose another"))),
        None => Ok(names),
    }
}

/// Parses a list of names, none of which is in it twice.
fn listed_once(node: &Node<'_>) -> Result<Vec<String>, DocumentError> {
    let names: Vec<String> = node.strings(MAX_ENTRIES)?.into_iter().map(str::to_owned).collect();
    for (index, name) in names.iter().enumerate() {
        event::check_name(name).map_err(|reason| node.error(format!("in `{}`, {reason}", node.key())))?;
        if names[..index].contains(name) {
            return Err(node.error(format!("`{}` is in the list twice", name.escape_debug())));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
