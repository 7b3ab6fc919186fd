//! The policy as the audit keeps it: its fields, and the entries about their changes. Values of settings are recorded
//! only if they are not secret; otherwise their digest is.

use std::collections::{BTreeMap, BTreeSet};

use parlor_base::id::{Digest, PluginId};
use parlor_base::permission::Permission;
use parlor_config::{AccountConfig, Config, Selector};
use parlor_plugins::admin::Decided;
use parlor_plugins::approved;
use parlor_plugins::components::Components;
use parlor_plugins::consent::{Place, Sentence, sentences};
use parlor_plugins::limits::Limits;
use parlor_plugins::policy::hooks::Hooks;
use parlor_plugins::policy::{Entry, Policy};
use parlor_plugins::secret::SecretSource;
use parlor_plugins::signature::TrustedKey;
use parlor_plugins::source::{Source, without_passwords};
use parlor_session::permissions::{Grants, Scope};
use parlor_store::{AuditFile, AuditKind, By, NewAuditEntry, PolicyChange, PolicyRow, Retention};
use serde_json::Value;

/// The field with the plugin's file.
const FILE: &str = "file";
/// The text in place of a value that is not shown.
pub const HIDDEN: &str = "(not shown)";

/// A field of the policy.
struct Field {
    mark: String,
    /// The value, if it is always shown.
    shown: Option<String>,
}

/// Fields of a policy, by plugin and name.
type Fields = BTreeMap<(String, String), Field>;

impl Field {
    fn open(value: String) -> Self {
        Self { mark: value.clone(), shown: Some(value) }
    }
}

/// Returns the changes since the audit last saw the policy, or those of one plugin.
///
/// The value of a changed setting is shown if `is_shown` returns that it is not secret.
pub fn changes(
    known: Vec<PolicyRow>,
    policy: &Policy,
    only: Option<&PluginId>,
    by: &By,
    is_shown: &dyn Fn(&PluginId, &Entry, &str) -> bool,
) -> Vec<PolicyChange> {
    let mut fields = Fields::new();
    for (id, entry) in policy.plugins.iter().filter(|(id, _)| only.is_none_or(|only| only == *id)) {
        let of_entry = of_entry(entry).into_iter();
        fields.extend(of_entry.map(|(name, field)| ((id.to_string(), name), field)));
    }
    if only.is_none() {
        fields.extend(of_all(policy).into_iter().map(|(name, field)| ((String::new(), name), field)));
    }
    compare(known, fields, policy, by, is_shown)
}

/// Returns the changes of settings that concern no plugin, in the same way.
fn changes_for_all(known: Vec<PolicyRow>, policy: &Policy, by: &By) -> Vec<PolicyChange> {
    let fields = of_all(policy).into_iter().map(|(name, field)| ((String::new(), name), field)).collect();
    compare(known, fields, policy, by, &|_, _, _| false)
}

/// Returns the differences between what the audit knows and these fields of the policy.
fn compare(
    known: Vec<PolicyRow>,
    fields: Fields,
    policy: &Policy,
    by: &By,
    is_shown: &dyn Fn(&PluginId, &Entry, &str) -> bool,
) -> Vec<PolicyChange> {
    let mut known: BTreeMap<_, _> =
        known.into_iter().map(|row| ((row.plugin.clone(), row.field.clone()), row)).collect();
    let before: BTreeSet<_> =
        known.keys().filter(|(_, field)| field == FILE).map(|(plugin, _)| plugin.clone()).collect();
    let is_installed = |plugin: &str| plugin.is_empty() || policy.plugins.contains_key(plugin);
    let mut all = Vec::new();
    for ((plugin, name), Field { mark, shown }) in fields {
        let row = known.remove(&(plugin.clone(), name.clone()));
        if row.as_ref().is_some_and(|row| row.mark == mark) {
            continue;
        }
        let shown = shown.or_else(|| value_of(policy, &plugin, &name, is_shown));
        let (old, was) = row.map_or((None, None), |row| (Some(told(row.shown)), Some(row.mark)));
        let mut entry = entry(&plugin, &name, by, old, Some(told(shown.clone())));
        if !plugin.is_empty() && !before.contains(&plugin) {
            // It ran nowhere before, so that what is usual is no value before.
            entry.old = None;
        }
        let entry = Some(entry);
        all.push(PolicyChange { row: PolicyRow { plugin, field: name, mark, shown }, is_gone: false, was, entry });
    }
    for ((plugin, name), row) in known {
        // The removal of a plugin is one entry, not one for each of its fields.
        let is_told = is_installed(&plugin) || name == FILE;
        let entry = is_told.then(|| entry(&plugin, &name, by, Some(told(row.shown.clone())), None));
        all.push(PolicyChange { was: Some(row.mark.clone()), row, is_gone: true, entry });
    }
    // The entry about a plugin's file comes before those about its fields.
    all.sort_by_key(|change| (change.row.plugin.clone(), change.row.field != FILE));
    all
}

/// Records a decision that is about to be written, in the audit of this configuration's data folder.
pub fn record(config: &Config, decided: Decided<'_>, by: &By) -> Result<(), String> {
    let mut file = AuditFile::create(&config.data, retention(config)).map_err(|error| error.to_string())?;
    let components = Components::new(&config.data);
    let is_shown = |id: &PluginId, entry: &Entry, name: &str| is_no_secret(&components, id, entry, name);
    let recorded = match decided {
        Decided::Entry { id, present, new } => {
            let mut catch_up = |policy: &Policy, by: &By, said: &[Sentence]| {
                let known = file.policy(id.as_str())?;
                let mut changes = changes(known, policy, Some(id), by, &is_shown);
                say(&mut changes, said);
                file.record(&changes)
            };
            // An earlier edit of the file is recorded separately. Nobody was asked about it.
            let said = consent(config, present.plugins.get(id), new.plugins.get(id));
            let before = catch_up(present, &edited(config, "before a command"), &[]);
            before.and_then(|()| catch_up(new, by, &said))
        }
        Decided::Hooks { present, new } => {
            let mut catch_up = |policy: &Policy, by: &By| {
                let known = file.policy("")?;
                file.record(&changes_for_all(known, policy, by))
            };
            catch_up(present, &edited(config, "before a command")).and_then(|()| catch_up(new, by))
        }
        Decided::Secret { id, name } => file.add(&[secret(id, name, by)]),
        Decided::Index { name, key } => {
            let [old, new] = key.map(|key| key.map(ToString::to_string));
            let entry = NewAuditEntry::new(AuditKind::Pin, by, &format!("key of the index {name}"));
            file.add(&[NewAuditEntry { old, new, ..entry }])
        }
    };
    recorded.map_err(|error| error.to_string())
}

/// Returns the sentences about the grants that this entry adds to the one before. They have no numbers of rooms: only a host knows
/// these, and they change.
fn consent(config: &Config, old: Option<&Entry>, new: Option<&Entry>) -> Vec<Sentence> {
    let Some(new) = new else { return Vec::new() };
    let before = old.map(|old| old.grants.clone()).unwrap_or_default();
    let is_more =
        |(permission, scope): &(Permission, &Scope)| before.get(*permission).is_none_or(|had| !had.includes(scope));
    let more: Grants =
        new.grants.iter().filter(is_more).map(|(permission, scope)| (permission, scope.clone())).collect();
    let place = |one: &AccountConfig| Place { account: one.name.clone(), jid: one.link.jid.to_bare(), rooms: None };
    let places: Vec<_> = config.chosen(new.accounts.as_deref()).map(place).collect();
    sentences(&more, &before, &places)
}

/// Adds to the entry of each grant the sentences about it, alone and together with others.
fn say(changes: &mut [PolicyChange], said: &[Sentence]) {
    for change in changes.iter_mut().filter(|change| !change.is_gone) {
        let (Some(name), Some(entry)) = (change.row.field.strip_prefix("grants."), &mut change.entry) else { continue };
        let is_about = |one: &&Sentence| one.permissions.iter().any(|permission| permission.as_str() == name);
        entry.said = said.iter().filter(is_about).map(|one| one.text.clone()).collect();
    }
}

/// Returns how much of the audit is kept.
pub fn retention(config: &Config) -> Retention {
    Retention { days: config.audit.days, bytes: config.audit.size.0 }
}

/// Returns the author of an edit of the policy by hand. `way` says when the host noticed it.
pub fn edited(config: &Config, way: &str) -> By {
    let name = config.plugins.file_name().unwrap_or(config.plugins.as_os_str());
    By::file(&name.to_string_lossy(), &config.plugins, way)
}

/// Returns the entry for a secret of a plugin that was stored again under the same reference.
fn secret(id: &PluginId, name: &str, by: &By) -> NewAuditEntry {
    let hidden = Some(HIDDEN.to_owned());
    let entry = NewAuditEntry::new(AuditKind::Setting, by, &format!("the secret {name} was stored"));
    NewAuditEntry { plugin: Some(id.to_string()), old: hidden.clone(), new: hidden, ..entry }
}

/// Returns whether the audit may show the value of a setting: the plugin's file declares it, and as no secret.
pub fn is_no_secret(components: &Components, id: &PluginId, entry: &Entry, name: &str) -> bool {
    let Ok(manifest) = approved::manifest(id, entry, components) else { return false };
    manifest.settings.get(name).is_some_and(|setting| !setting.kind.is_secret())
}

fn value_of(
    policy: &Policy,
    plugin: &str,
    field: &str,
    is_shown: &dyn Fn(&PluginId, &Entry, &str) -> bool,
) -> Option<String> {
    let (id, entry) = policy.plugins.get_key_value(plugin)?;
    let (name, value) = match (field.strip_prefix("settings."), field.strip_prefix("settings_in.")) {
        (Some(name), _) => (name, entry.settings.0.get(name)?),
        (None, Some(field)) => {
            let (room, name) = field.split_once(' ')?;
            (name, entry.settings_in.get(room, name)?)
        }
        (None, None) => return None,
    };
    (SecretSource::read(value).is_err() && is_shown(id, entry, name)).then(|| value.to_string())
}

fn of_entry(entry: &Entry) -> Vec<(String, Field)> {
    let Entry {
        source,
        digest,
        version,
        signer,
        index,
        publisher,
        accounts,
        skips_missing_accounts,
        enabled,
        log,
        commands,
        grants,
        limits,
        settings,
        settings_in,
    } = entry;
    let version = version.as_ref().map(|version| format!("{version} ")).unwrap_or_default();
    let signer = signer.as_ref().map(|signer| format!(", signed by {signer}")).unwrap_or_default();
    // Whether a path is relative depends on where a command is run.
    let source = match source {
        Source::File(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        other => without_passwords(&other.to_string()),
    };
    let mut all = vec![(FILE.to_owned(), Field::open(format!("{version}{digest} from {source}{signer}")))];
    let mut put =
        |name: &str, value: Option<String>| all.extend(value.map(|value| (name.to_owned(), Field::open(value))));
    put("index", index.as_ref().map(ToString::to_string));
    put("publisher", publisher.as_ref().map(ToString::to_string));
    put("enabled", (!enabled).then(|| "false".to_owned()));
    let names = |accounts: &Vec<Selector>| accounts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    put("accounts", accounts.as_ref().map(names));
    put("missing_accounts", skips_missing_accounts.then(|| "skip".to_owned()));
    put("rooms", grants.rooms().map(ToString::to_string));
    put("log", log.map(|level| level.as_str().to_owned()));
    put("commands", Some(commands.to_string()).filter(|commands| !commands.is_empty()));
    for (permission, scope) in grants.iter() {
        let entries = scope.entries();
        let scope = if entries.is_empty() { "granted".to_owned() } else { entries.join(", ") };
        put(&format!("grants.{permission}"), Some(scope));
    }
    let usual = Limits::default();
    // Most plugins have the default limits, and there may be thousands of them.
    if **limits != usual {
        for ((name, value, _), (_, usual, _)) in limits.shown().into_iter().zip(usual.shown()) {
            put(&format!("limits.{name}"), Some(value).filter(|value| *value != usual));
        }
    }
    for (name, value) in &settings.0 {
        all.push((format!("settings.{name}"), Field { mark: mark(value), shown: None }));
    }
    for (room, name, value) in settings_in.iter() {
        all.push((format!("settings_in.{room} {name}"), Field { mark: mark(value), shown: None }));
    }
    all
}

/// Returns the fields that are about no plugin.
fn of_all(policy: &Policy) -> Vec<(String, Field)> {
    let key = |key: &TrustedKey| Field::open(Digest::of(format!("{key:?}").as_bytes()).to_string());
    let keys = policy.keys.iter().map(|(name, one)| (format!("keys.{name}"), key(one)));
    let mut all: Vec<_> = keys.collect();
    if policy.require_signature {
        all.push(("require_signature".to_owned(), Field::open("true".to_owned())));
    }
    if policy.hooks != Hooks::default() {
        all.push(("hooks".to_owned(), Field::open(policy.hooks.to_string())));
    }
    all
}

/// Returns a digest by which changes of a value are noticed, since it may be a secret. All paths to a file have the same digest.
fn mark(value: &Value) -> String {
    let path = match SecretSource::read(value) {
        Ok(SecretSource::File(path)) => path.canonicalize().or_else(|_| std::path::absolute(&path)).ok(),
        Ok(SecretSource::Command(_)) | Err(_) => None,
    };
    // A reference to a former secret or to that of a sender is a change, too.
    let beside = ["former", "senders"].map(|key| value.get(key).map(Value::to_string).unwrap_or_default()).concat();
    let digest = match path {
        Some(path) => Digest::of(&[path.as_os_str().as_encoded_bytes(), beside.as_bytes()].concat()),
        None => Digest::of(value.to_string().as_bytes()),
    };
    digest.to_string()
}

/// Returns the value, or the text in place of one that is not shown.
fn told(shown: Option<String>) -> String {
    shown.unwrap_or_else(|| HIDDEN.to_owned())
}

/// Returns the entry about a change of a field.
fn entry(plugin: &str, field: &str, by: &By, old: Option<String>, new: Option<String>) -> NewAuditEntry {
    let (group, name) = field.split_once('.').unwrap_or((field, field));
    let (kind, usual, what) = match group {
        FILE => {
            let what = match (&old, &new) {
                (None, _) => "installed",
                (_, None) => "removed",
                _ => "another file",
            };
            (AuditKind::Version, None, what.to_owned())
        }
        "grants" => (AuditKind::Grant, None, name.to_owned()),
        "settings" => (AuditKind::Setting, None, format!("setting {name}")),
        "settings_in" => {
            let (room, name) = name.split_once(' ').unwrap_or(("", name));
            (AuditKind::Setting, None, format!("setting {name} in {room}"))
        }
        "limits" => (AuditKind::Limit, usual_limit(name), format!("limit {name}")),
        "enabled" => (AuditKind::Run, Some("true".to_owned()), "enabled".to_owned()),
        "rooms" => (AuditKind::Grant, Some("all".to_owned()), "rooms".to_owned()),
        "accounts" => (AuditKind::Account, Some("all".to_owned()), "accounts".to_owned()),
        "missing_accounts" => (AuditKind::Account, Some("refuse".to_owned()), "missing accounts".to_owned()),
        "log" => (AuditKind::Run, Some("default".to_owned()), "log".to_owned()),
        "commands" => (AuditKind::Command, None, "names and rules of commands".to_owned()),
        "index" => (AuditKind::Version, None, "index".to_owned()),
        "publisher" => (AuditKind::Pin, None, "key of the publisher".to_owned()),
        "keys" => (AuditKind::Pin, None, format!("trusted key {name}")),
        "require_signature" => (AuditKind::Pin, Some("false".to_owned()), "require_signature".to_owned()),
        _ => (AuditKind::Run, Some(Hooks::default().to_string()), "order of hooks".to_owned()),
    };
    let (old, new) = (old.or_else(|| usual.clone()), new.or_else(|| usual.clone()));
    let plugin = (!plugin.is_empty()).then(|| plugin.to_owned());
    NewAuditEntry { plugin, old, new, ..NewAuditEntry::new(kind, by, &what) }
}

fn usual_limit(name: &str) -> Option<String> {
    let usual = Limits::default().shown();
    usual.into_iter().find(|(known, ..)| *known == name).map(|(_, value, _)| value)
}

#[cfg(test)]
mod tests;
