//! Decides whether a plugin may run, by comparing the owner's decision with the plugin's file.
//!
//! All rules of admission are here. This module reads no file and starts nothing.

use std::{fmt::Write as _, sync::Arc};

use parlor_base::escape::escape_untrusted;
use parlor_base::id::{Digest, PluginId};
use parlor_base::log_level::LogLevel;
use parlor_base::nearest::nearest;
use parlor_base::permission::Permission;
use parlor_session::command_names::CommandNames;
use parlor_session::permissions::{Grants, table};

use crate::component::{Examined, Import, Needs};
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::policy::{Entry, RoomSettings, SettingValues};
use crate::secret::SecretSource;
use crate::setting::Setting;

/// The maximum length of a setting's description in an error, in bytes.
const LONGEST_ABOUT: usize = 200;

/// A plugin that may run, with everything that an instance of it needs to know.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The owner's id.
    pub id: PluginId,
    /// The digest of the bytes.
    pub digest: Digest,
    /// The author's manifest.
    pub manifest: Arc<Manifest>,
    /// The permissions in force: those that were both granted and requested.
    pub grants: Arc<Grants>,
    /// The resources that it may use.
    pub limits: Arc<Limits>,
    /// The owner's values for its settings, which fit the schema. Secrets are references until the plugin is loaded.
    pub settings: SettingValues,
    /// The owner's values in single rooms, of which the same holds.
    pub settings_in: RoomSettings,
    /// Its needs of the engine.
    pub needs: Needs,
    /// Whether its language raises an error when memory runs out.
    pub raises: bool,
    /// The minimum level of its log lines; `None` = the same as for everything else.
    pub log: Option<LogLevel>,
    /// The owner's names for its commands.
    pub commands: CommandNames,
    /// Warnings for the owner, one sentence each.
    pub warnings: Vec<String>,
}

/// A missing permission and the line of `plugins.toml` that grants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// The permission that is missing.
    pub permission: Permission,
    /// The line that the owner would write.
    pub line: String,
}

/// Returns as much of a digest as it takes to distinguish it from another one.
fn told_apart(one: &Digest, other: &Digest) -> String {
    if one.short() == other.short() { one.to_string() } else { one.short() }
}

/// The reason why a plugin may not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The owner disabled it.
    #[error("{0} is disabled; `enabled = true` under [plugin.{0}] in plugins.toml lets it run")]
    Disabled(PluginId),
    /// The owner lists the plugins that may run, and this one is not among them.
    #[error("{0} is not among the `whitelisted_plugins`; add it there to let it run")]
    NotWhitelisted(PluginId),
    /// The owner lists it as one that may not run.
    #[error("{0} is among the `blacklisted_plugins`; remove it there to let it run")]
    Blacklisted(PluginId),
    /// The bytes are not those that the owner approved.
    #[error(
        "the file of {id} has the digest {}, but {} was approved: the file is not the one that was approved, or the digest in plugins.toml was changed; if you want this file, write `digest = \"{found}\"` under [plugin.{id}] in plugins.toml",
        told_apart(found, approved),
        told_apart(approved, found)
    )]
    DigestChanged {
        /// The plugin's id.
        id: PluginId,
        /// The digest in the policy.
        approved: Digest,
        /// The digest of the file.
        found: Digest,
    },
    /// The plugin imports calls whose permission its manifest does not request.
    #[error(
        "{id} calls what its manifest does not ask for: {}; its author has to declare it under [permissions]",
        calls(undeclared)
    )]
    Undeclared {
        /// The plugin's id.
        id: PluginId,
        /// Each such call with the permission that it needs.
        undeclared: Vec<(Import, Permission)>,
    },
    /// A required permission was not granted.
    #[error(
        "{id} needs what was not granted; to allow it, add under [plugin.{id}.grants] in plugins.toml: {}",
        lines(lacking)
    )]
    NotGranted {
        /// The plugin's id.
        id: PluginId,
        /// Each missing permission with its line.
        lacking: Vec<Lacking>,
    },
    /// The plugin has no setting of this name.
    #[error("{id} has no setting `{}`{}", name.escape_debug(), hint(nearest.as_deref()))]
    UnknownSetting {
        /// The plugin's id.
        id: PluginId,
        /// The name that the owner wrote.
        name: String,
        /// The most similar name of a setting that it has.
        nearest: Option<String>,
    },
    /// A value does not fit the schema.
    #[error("the setting `{name}` under [plugin.{id}.settings] in plugins.toml does not fit: {why}")]
    Setting {
        /// The plugin's id.
        id: PluginId,
        /// The setting's name.
        name: String,
        /// The requirement on the value.
        why: String,
    },
    /// A value in a room does not fit the schema.
    #[error("the setting `{name}` under [plugin.{id}.settings_in.\"{room}\"] in plugins.toml does not fit: {why}")]
    SettingIn {
        /// The plugin's id.
        id: PluginId,
        /// The room.
        room: String,
        /// The setting's name.
        name: String,
        /// The requirement on the value.
        why: String,
    },
    /// A required setting has no value.
    #[error("{id} needs its setting `{name}` ({about}): `parlor plugin config {id} {name}{}", given(*is_secret))]
    Unset {
        /// The plugin's id.
        id: PluginId,
        /// The setting's name.
        name: String,
        /// The author's description of its purpose.
        about: String,
        /// Whether it is a secret, which is no argument of a command.
        is_secret: bool,
    },
}

/// Returns the end of the command that sets a value.
fn given(is_secret: bool) -> &'static str {
    if is_secret { "` asks for it, or reads standard input" } else { " VALUE` gives it" }
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
/// `whitelist` and `blacklist` are the settings `whitelisted_plugins`, which allows all plugins if it is empty, and
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
        grants: Arc::new(grants),
        limits: Arc::clone(&entry.limits),
        settings: entry.settings.clone(),
        settings_in: entry.settings_in.clone(),
        needs: examined.needs,
        raises: examined.raises(),
        log: entry.log,
        commands: entry.commands.clone(),
        warnings,
    })
}

/// Checks the rules that do not depend on the file, so that a caller need not read it first.
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

/// Checks that the manifest requests what the imports need, so that an owner who reads the manifest knows everything.
fn declared(id: &PluginId, examined: &Examined) -> Result<(), Refusal> {
    let undeclared = undeclared(examined);
    if undeclared.is_empty() { Ok(()) } else { Err(Refusal::Undeclared { id: id.clone(), undeclared }) }
}

/// Returns the imported calls whose permission the manifest does not request.
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

/// Returns the permissions that a manifest requests although the component imports no call that may need them.
///
/// A permission that also lets events through is never among them: which events a plugin subscribes to is only known
/// when it runs.
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

/// Returns the permissions that were both granted and requested.
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

/// Checks that the owner's values fit the schema.
pub fn settings_fit(id: &PluginId, entry: &Entry, manifest: &Manifest) -> Result<(), Refusal> {
    let unknown = |name: &str| {
        let nearest = nearest(name, manifest.settings.keys().map(String::as_str)).map(str::to_owned);
        Refusal::UnknownSetting { id: id.clone(), name: name.to_owned(), nearest }
    };
    for (name, value) in &entry.settings.0 {
        let checked = setting_fits(manifest, name, value).ok_or_else(|| unknown(name))?;
        checked.map_err(|why| Refusal::Setting { id: id.clone(), name: name.clone(), why })?;
    }
    for (room, name, value) in entry.settings_in.iter() {
        let checked = setting_fits(manifest, name, value).ok_or_else(|| unknown(name))?;
        let (id, room, name) = (id.clone(), room.to_owned(), name.to_owned());
        checked.map_err(|why| Refusal::SettingIn { id, room, name, why })?;
    }
    Ok(())
}

/// Checks that the owner has given all required values.
pub fn settings_given(id: &PluginId, entry: &Entry, manifest: &Manifest) -> Result<(), Refusal> {
    let lacks = |(name, setting): &(&String, &Setting)| setting.required && !entry.settings.0.contains_key(*name);
    let Some((name, setting)) = manifest.settings.iter().find(lacks) else { return Ok(()) };
    let about = escape_untrusted(&setting.description, LONGEST_ABOUT);
    Err(Refusal::Unset { id: id.clone(), name: name.clone(), about, is_secret: setting.kind.is_secret() })
}

/// Checks whether a value fits the schema; `None` if the schema has no such setting.
pub fn setting_fits(manifest: &Manifest, name: &str, value: &serde_json::Value) -> Option<Result<(), String>> {
    let setting = manifest.settings.get(name)?;
    // Only the reference is checked here; the secret itself is read when it is needed.
    Some(match setting.kind {
        _ if setting.kind.is_secret() => SecretSource::read(value).map(drop).map_err(str::to_owned),
        _ => setting.check(value),
    })
}

#[cfg(test)]
mod tests;
