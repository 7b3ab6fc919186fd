//! Whether a plugin may run: the owner's decision held against what the file really is.
//!
//! Every rule of admission is here and nowhere else. It reads no file and starts nothing.

use std::{fmt::Write as _, sync::Arc};

use super::{
    command_names::CommandNames,
    component::{Examined, Import},
    id::{Digest, PluginId},
    limits::Limits,
    log_level::LogLevel,
    manifest::Manifest,
    policy::{Entry, SettingValues},
    secret::SecretSource,
    setting::{Setting, SettingKind},
};
use crate::{
    harmless::harmless,
    nearest::nearest,
    permissions::{Grants, Permission, table},
};

/// How much of what a setting is for is repeated, in bytes.
const LONGEST_ABOUT: usize = 200;

/// A plugin that may run, with all that an instance of it needs to know.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The owner's id.
    pub id: PluginId,
    /// Which bytes.
    pub digest: Digest,
    /// What its author declares.
    pub manifest: Arc<Manifest>,
    /// What it may do and see: what was granted and asked for.
    pub grants: Grants,
    /// How much of the machine it may use.
    pub limits: Limits,
    /// The owner's values for its settings; each fits its schema. Secrets are references until the plugin is loaded.
    pub settings: SettingValues,
    /// Whether it gets an empty WASI.
    pub wasi: bool,
    /// Whether its language raises an error of its own where there is no more memory.
    pub raises: bool,
    /// From which level on its lines stand in the log; none = as everything else.
    pub log: Option<LogLevel>,
    /// The owner's names for its commands.
    pub commands: CommandNames,
    /// What the owner should know, one sentence each.
    pub warnings: Vec<String>,
}

/// A permission together with the line of `plugins.toml` that grants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// What is lacking.
    pub permission: Permission,
    /// What the owner would write.
    pub line: String,
}

/// A digest beside another one: as much of it as it takes to tell the two apart.
fn told_apart(one: &Digest, other: &Digest) -> String {
    if one.short() == other.short() { one.to_string() } else { one.short() }
}

/// Why a plugin may not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The owner switched it off.
    #[error("{0} is disabled; `enabled = true` under [plugin.{0}] in plugins.toml lets it run")]
    Disabled(PluginId),
    /// The owner lists the plugins that may run, and this one is not there.
    #[error("{0} is not among the `whitelisted_plugins`; add it there to let it run")]
    NotWhitelisted(PluginId),
    /// The owner lists it as one that may not run.
    #[error("{0} is among the `blacklisted_plugins`; remove it there to let it run")]
    Blacklisted(PluginId),
    /// The bytes are not those that the owner allowed.
    #[error(
        "the file of {id} has the digest {}, but {} was approved: someone changed the file; if it was you, write `digest = \"{found}\"` under [plugin.{id}] in plugins.toml",
        told_apart(found, approved),
        told_apart(approved, found)
    )]
    DigestChanged {
        /// Which plugin.
        id: PluginId,
        /// The digest in the policy.
        approved: Digest,
        /// The digest of the file.
        found: Digest,
    },
    /// It calls what its manifest does not say that it needs.
    #[error(
        "{id} calls what its manifest does not ask for: {}; its author has to declare it under [permissions]",
        calls(undeclared)
    )]
    Undeclared {
        /// Which plugin.
        id: PluginId,
        /// Each call with the permission it needs.
        undeclared: Vec<(Import, Permission)>,
    },
    /// It cannot work without what was not granted.
    #[error(
        "{id} needs what was not granted; to allow it, add under [plugin.{id}.grants] in plugins.toml: {}",
        lines(lacking)
    )]
    NotGranted {
        /// Which plugin.
        id: PluginId,
        /// Each permission with its line.
        lacking: Vec<Lacking>,
    },
    /// The plugin has no such setting.
    #[error("{id} has no setting `{}`{}", name.escape_debug(), hint(nearest.as_deref()))]
    UnknownSetting {
        /// Which plugin.
        id: PluginId,
        /// What the owner wrote.
        name: String,
        /// The nearest setting that it has.
        nearest: Option<String>,
    },
    /// A value does not fit the schema.
    #[error("the setting `{name}` under [plugin.{id}.settings] in plugins.toml does not fit: {why}")]
    Setting {
        /// Which plugin.
        id: PluginId,
        /// Which setting.
        name: String,
        /// What it has to be.
        why: String,
    },
    /// A setting that has to be given is not.
    #[error("{id} needs its setting `{name}` ({about}): `parlor plugin config {id} {name} VALUE` gives it")]
    Unset {
        /// Which plugin.
        id: PluginId,
        /// Which setting.
        name: String,
        /// What it is for, in its author's words.
        about: String,
    },
}

fn calls(undeclared: &[(Import, Permission)]) -> String {
    let mut text = String::new();
    for (index, (import, permission)) in undeclared.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing into a String cannot fail.
        let _ = write!(text, "{comma}{}.{} (needs {permission})", import.grouping, import.function);
    }
    text
}

fn lines(lacking: &[Lacking]) -> String {
    lacking.iter().map(|lacking| lacking.line.as_str()).collect::<Vec<_>>().join(", ")
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// Decides whether a plugin may run.
///
/// The lists are the settings `whitelisted_plugins`, which lets all through while it is empty, and
/// `blacklisted_plugins`, which always wins.
pub fn admit(
    id: &PluginId,
    entry: &Entry,
    examined: &Examined,
    whitelist: &[String],
    blacklist: &[String],
) -> Result<Admitted, Refusal> {
    may_run(id, entry, whitelist, blacklist)?;
    if entry.digest != examined.digest {
        return Err(Refusal::DigestChanged { id: id.clone(), approved: entry.digest, found: examined.digest });
    }
    let manifest = &examined.manifest;
    declared(id, examined)?;
    let mut warnings = Vec::new();
    let grants = granted(id, entry, manifest, &mut warnings)?;
    settings_fit(id, entry, manifest)?;
    settings_given(id, entry, manifest)?;
    if let Some(version) = entry.version.as_ref().filter(|version| **version != manifest.version) {
        warnings
            .push(format!("plugins.toml says that {id} has version {version}, but the file says {}", manifest.version));
    }
    Ok(Admitted {
        id: id.clone(),
        digest: examined.digest,
        manifest: Arc::clone(manifest),
        grants,
        limits: entry.limits.clone(),
        settings: entry.settings.clone(),
        wasi: examined.wasi,
        raises: examined.raises(),
        log: entry.log,
        commands: entry.commands.clone(),
        warnings,
    })
}

/// The rules that need no look at the file, for a caller that wants to spare itself the reading.
pub fn may_run(id: &PluginId, entry: &Entry, whitelist: &[String], blacklist: &[String]) -> Result<(), Refusal> {
    let listed = |list: &[String]| list.iter().any(|name| name == id.as_str());
    if listed(blacklist) {
        Err(Refusal::Blacklisted(id.clone()))
    } else if !entry.enabled {
        Err(Refusal::Disabled(id.clone()))
    } else if !whitelist.is_empty() && !listed(whitelist) {
        Err(Refusal::NotWhitelisted(id.clone()))
    } else {
        Ok(())
    }
}

/// The manifest asks for what the imports need; so an owner who reads it knows all.
fn declared(id: &PluginId, examined: &Examined) -> Result<(), Refusal> {
    let undeclared = undeclared(examined);
    if undeclared.is_empty() { Ok(()) } else { Err(Refusal::Undeclared { id: id.clone(), undeclared }) }
}

/// The calls that a component imports although its manifest does not ask for what they need.
pub fn undeclared(examined: &Examined) -> Vec<(Import, Permission)> {
    examined
        .imports
        .iter()
        .filter_map(|import| {
            let permission = table::call(&import.grouping, &import.function)?.permission?;
            (!examined.manifest.permissions.contains_key(&permission)).then(|| (import.clone(), permission))
        })
        .collect()
}

/// The permissions that a manifest asks for although the component imports no call that may need them.
///
/// One that also lets events through is not among them: what a plugin hears is only known when it runs.
pub fn unused(examined: &Examined) -> Vec<Permission> {
    let is_imported = |call: &table::Call| {
        examined.imports.iter().any(|import| import.grouping == call.grouping && import.function == call.function)
    };
    let is_used = |permission: Permission| {
        table::EVENTS.iter().any(|event| event.permission == Some(permission))
            || table::CALLS
                .iter()
                .chain(table::BESIDES)
                .any(|call| call.permission == Some(permission) && is_imported(call))
    };
    examined.manifest.permissions.keys().copied().filter(|permission| !is_used(*permission)).collect()
}

/// What was granted and asked for.
fn granted(id: &PluginId, entry: &Entry, manifest: &Manifest, warnings: &mut Vec<String>) -> Result<Grants, Refusal> {
    let lacking: Vec<_> = manifest
        .permissions
        .iter()
        .filter(|(permission, request)| !request.optional && !entry.grants.has(**permission))
        .map(|(permission, request)| Lacking { permission: *permission, line: request.line(*permission) })
        .collect();
    if !lacking.is_empty() {
        return Err(Refusal::NotGranted { id: id.clone(), lacking });
    }
    let mut grants = entry.grants.clone();
    for (permission, _) in entry.grants.iter().filter(|(permission, _)| !manifest.permissions.contains_key(permission))
    {
        grants.revoke(permission);
        warnings
            .push(format!("{id} does not ask for {permission}, so it does not get it although plugins.toml grants it"));
    }
    Ok(grants)
}

/// Whether the owner's values fit the schema.
pub fn settings_fit(id: &PluginId, entry: &Entry, manifest: &Manifest) -> Result<(), Refusal> {
    for (name, value) in &entry.settings.0 {
        let Some(checked) = setting_fits(manifest, name, value) else {
            let known = manifest.settings.keys().map(String::as_str);
            let nearest = nearest(name, known).map(str::to_owned);
            return Err(Refusal::UnknownSetting { id: id.clone(), name: name.clone(), nearest });
        };
        checked.map_err(|why| Refusal::Setting { id: id.clone(), name: name.clone(), why })?;
    }
    Ok(())
}

/// Whether the owner has given all that has to be given.
fn settings_given(id: &PluginId, entry: &Entry, manifest: &Manifest) -> Result<(), Refusal> {
    let lacks = |(name, setting): &(&String, &Setting)| setting.required && !entry.settings.0.contains_key(*name);
    let Some((name, setting)) = manifest.settings.iter().find(lacks) else { return Ok(()) };
    let about = harmless(&setting.description, LONGEST_ABOUT);
    Err(Refusal::Unset { id: id.clone(), name: name.clone(), about })
}

/// Whether a value fits the schema, else why not; none where the schema has no such setting.
pub fn setting_fits(manifest: &Manifest, name: &str, value: &serde_json::Value) -> Option<Result<(), String>> {
    let setting = manifest.settings.get(name)?;
    // What a secret refers to is read when it is needed.
    Some(match setting.kind {
        SettingKind::Secret => SecretSource::read(value).map(drop).map_err(str::to_owned),
        _ => setting.check(value),
    })
}

#[cfg(test)]
mod tests;
