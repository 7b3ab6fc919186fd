//! What a plugin's author declares: the TOML in the section `parlor:manifest` of a component.
//!
//! It is a claim and nothing more: `component` compares it with the imports, `admission` with what the owner granted.

pub mod keys;

use std::{collections::BTreeMap, str::FromStr};

use semver::{Version, VersionReq};
use toml::de::DeValue;

use super::{
    id::PluginId,
    setting::{Setting, SettingKind},
};
use crate::document::{Document, DocumentError, Node, Section};
use crate::error::CallError;
use crate::event;
use crate::permissions::{Grants, Permission, Scope, denial, example, table, undeclared, unquoted};

/// The custom section of a component that holds the manifest.
pub const SECTION: &str = "parlor:manifest";

/// The most bytes that a manifest has.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most entries of each list and table.
pub const MAX_ENTRIES: usize = 64;
/// The most bytes of a reason.
const MAX_REASON: usize = 500;
/// The most bytes of a description.
pub(super) const MAX_DESCRIPTION: usize = 1000;
/// The most bytes of a licence.
const MAX_LICENSE: usize = 200;
/// The most bytes of a setting's name.
const MAX_SETTING_NAME: usize = 64;

/// What a plugin's author declares.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The author's name for it, for people; what counts is the owner's id.
    pub name: PluginId,
    /// Which version this is.
    pub version: Version,
    /// The version of the contract that it was built against.
    pub api: Version,
    /// What it does, in one sentence.
    pub description: String,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// Under which terms, an SPDX expression.
    pub license: Option<String>,
    /// What is new in this version and those before it, a sentence each, in the author's words.
    pub changes: BTreeMap<Version, String>,
    /// It is told what it missed (`catch_up`).
    pub catch_up: bool,
    /// What it asks for.
    pub permissions: BTreeMap<Permission, Request>,
    /// The plugins that it works with, by their id or name.
    pub dependencies: BTreeMap<PluginId, Dependency>,
    /// Its own settings.
    pub settings: BTreeMap<String, Setting>,
    /// The events that it fires.
    pub events: Vec<String>,
    /// The promises that it adds.
    pub promises: Vec<String>,
}

/// A permission that a plugin asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// How far it would like it to reach, written as in `plugins.toml`; `true` where there is no scope.
    pub scope: toml::Value,
    /// Why, in the author's words.
    pub reason: String,
    /// It runs without it too.
    pub optional: bool,
}

impl Request {
    /// The line of `plugins.toml` that grants just this.
    pub fn line(&self, permission: Permission) -> String {
        format!("\"{}\" = {}", permission.as_str(), self.scope)
    }
}

impl Request {
    /// What it would like to reach, entry by entry; empty where there is no scope.
    pub fn entries(&self, permission: Permission) -> Vec<String> {
        let table = toml::Table::from_iter([(permission.to_string(), self.scope.clone())]);
        // The manifest was read with the same reader.
        let grants = Grants::from_table(&table).unwrap_or_default();
        grants.get(permission).map(Scope::entries).unwrap_or_default()
    }
}

/// Another plugin that this one works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Which versions of it will do.
    pub version: VersionReq,
    /// It runs without it too.
    pub optional: bool,
}

/// Why a text is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is too long to be read at all.
    #[error("the manifest has {0} bytes, at most {MAX_BYTES} are read")]
    TooLong(usize),
    /// Something in it is wrong.
    #[error("in the manifest, {0}")]
    Invalid(#[from] DocumentError),
}

impl Manifest {
    /// The names of the settings that are secrets of the plugin's own.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let secret = self.settings.iter().filter(|(_, setting)| setting.kind == SettingKind::Secret);
        secret.map(|(key, _)| key.as_str())
    }

    /// The names that it fires: of its events, and of its promises.
    pub fn provides(&self) -> impl Iterator<Item = &String> {
        self.events.iter().chain(&self.promises)
    }

    /// The denial of a call to this plugin, which its owner calls by this id, with what would allow it: a grant, or a line of its
    /// author's where it does not even ask.
    pub fn denial(&self, plugin: &PluginId, permission: Permission, scope: Option<String>) -> CallError {
        if self.permissions.contains_key(&permission) {
            denial(plugin.as_str(), permission, scope)
        } else {
            undeclared(permission, scope)
        }
    }

    /// Reads a manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_BYTES {
            return Err(ManifestError::TooLong(text.len()));
        }
        Ok(Self::read(&Document::parse(text)?.root())?)
    }

    fn read(root: &Section<'_>) -> Result<Self, DocumentError> {
        root.entries().try_for_each(|node| misplaced(&node))?;
        root.allow(&["plugin", "permissions", "dependencies", "settings", "provides"])?;
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
        Ok(Self {
            catch_up: catch_up(&plugin, &permissions)?,
            name: plugin.require("name", "write the plugin's name")?.parse()?,
            version: version(&plugin.require("version", "write a semantic version such as \"0.1.0\"")?)?,
            api: version(&plugin.require("api", "write the version of the contract that it was built against")?)?,
            description: plugin
                .require("description", "say in one sentence what it does")?
                .sentence(MAX_DESCRIPTION)?,
            authors,
            license: plugin.get("license").map(|node| node.sentence(MAX_LICENSE)).transpose()?,
            changes: each(&plugin, "changes", |node| Ok((changed(node)?, node.sentence(MAX_DESCRIPTION)?)))?,
            permissions,
            dependencies: each(root, "dependencies", |node| Ok((node.parse_key()?, dependency(node)?)))?,
            settings: each(root, "settings", |node| Ok((setting_name(node)?, setting(node)?)))?,
            events: names("events")?,
            promises: names("promises")?,
        })
    }
}

impl FromStr for Manifest {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        Self::parse(text)
    }
}

/// A table with a bounded number of entries.
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

/// A version by the rules of semver.
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

/// The version that somebody means who left out of it what is nought; where it is none, any.
fn completed(text: &str) -> Version {
    let text = text.trim().trim_start_matches(['v', 'V']);
    let whole = ["", ".0", ".0.0"].iter().find_map(|rest| Version::parse(&format!("{text}{rest}")).ok());
    whole.unwrap_or(Version::new(0, 1, 0))
}

/// The version in which something has changed.
fn changed(node: &Node<'_>) -> Result<Version, DocumentError> {
    let refusal = |_| {
        let key = node.key().escape_debug();
        node.error(format!("`{key}` is no version: write three numbers in quotes, such as \"0.1.0\" = \"…\""))
    };
    node.key().parse().map_err(refusal)
}

/// Refuses what tells of the plugin as a whole and stands elsewhere.
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
    let wish = example(permission);
    let section = node.section().map_err(|_| {
        let key = node.key();
        node.error(format!("`{key}` has to be a table with a reason: {{ scope = {wish}, reason = \"…\" }}"))
    })?;
    section.allow(&keys::of("permissions"))?;
    let reason = section.require("reason", "say to the owner why the plugin needs it")?.sentence(MAX_REASON)?;
    let scope = section.get("scope").map_or(Ok(toml::Value::Boolean(true)), |scope| scope.value())?;
    if scope == toml::Value::Boolean(false) || scope.as_array().is_some_and(Vec::is_empty) {
        return Err(node.error("a permission that is not asked for is left out"));
    }
    // The owner's file has the same language, so its reader says whether such a line can be granted.
    let granted = Grants::from_table(&toml::Table::from_iter([(node.key().to_owned(), scope.clone())]));
    granted.map_err(|error| match section.get("scope") {
        Some(scope) => scope.error(format!("in `scope`, {error}")),
        None => node.error(format!("no `scope`, and {error}")),
    })?;
    Ok(Request { scope, reason, optional: section.get("optional").map_or(Ok(false), |node| node.boolean())? })
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

/// Which versions will do.
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

fn names(node: &Node<'_>) -> Result<Vec<String>, DocumentError> {
    let names: Vec<String> = node.strings(MAX_ENTRIES)?.into_iter().map(str::to_owned).collect();
    for (index, name) in names.iter().enumerate() {
        event::check_name(name).map_err(|reason| node.error(format!("in `{}`, {reason}", node.key())))?;
        if table::event(name).is_some() {
            return Err(node.error(format!("`{name}` is the host's own name; choose another")));
        }
        if names[..index].contains(name) {
            return Err(node.error(format!("`{}` is in the list twice", name.escape_debug())));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
