//! Sets and unsets a plugin's own settings. A setting is checked separately, even if other problems keep the plugin
//! from running. Also the files of stored secrets, which are removed once nothing refers to them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jid::BareJid;
use parlor_base::id::PluginId;
use serde_json::Value;
use toml::Value as Toml;

use super::recording::{Decided, change_entry, record};
use super::{AdminError, PluginAdmin, known};
use crate::admission::settings_fit;
use crate::manifest::Manifest;
use crate::policy::edit::Change;
use crate::policy::file::PolicyFile;
use crate::policy::{Entry, Policy, RoomSettings, SettingValues};
use crate::secret::{SecretName, SecretSource};

/// A setting to change, with the value that the owner was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingChange {
    /// The setting.
    pub name: String,
    /// The owner's value that was shown; `None` = none was set.
    pub shown: Option<Value>,
    /// The new value; `None` removes the owner's value.
    pub new: Option<Value>,
}

impl PluginAdmin<'_> {
    /// Sets one of a plugin's own settings in a room, or everywhere, or removes the owner's value. A value must fit the
    /// schema. A reference to a secret leaves those of single senders.
    pub fn set(
        &self,
        id: &PluginId,
        room: Option<&BareJid>,
        name: &str,
        value: Option<&Value>,
    ) -> Result<(), AdminError> {
        let mut file = self.open()?;
        let entry = known(self, file.policy(), id)?;
        let value = value.map(|value| match (room, SecretSource::read(value)) {
            (None, Ok(_)) => beside_senders(entry, name, value.clone()),
            (Some(_), _) | (None, Err(_)) => value.clone(),
        });
        if let Some(value) = &value {
            judge(self, (id, entry), room, name, value)?;
        }
        write(self, &mut file, id, room, name, value.as_ref())
    }

    /// Stores a secret of a plugin in a file of the data folder that only this user can read, and sets a reference to
    /// it. A credential must be long enough. The secrets of single senders stay.
    pub fn keep_secret(&self, id: &PluginId, room: Option<&BareJid>, name: &str, text: &str) -> Result<(), AdminError> {
        let mut file = self.open()?;
        let entry = known(self, file.policy(), id)?.clone();
        let reference = |path: PathBuf| SecretSource::File(path).written();
        // This is checked before the file is written, so that an invalid setting does not overwrite the stored secret.
        let manifest = judge(self, (id, &entry), room, name, &reference(self.secrets.path(id, address(room), name)))?;
        fits(id, &manifest, name, text)?;
        let what = room.map_or_else(|| name.to_owned(), |room| format!("{name} in {room}"));
        record(self, Decided::Secret { id, name: &what })?;
        let own = reference(stored(self, id, address(room), name, text)?);
        let whole = if room.is_none() { beside_senders(&entry, name, own) } else { own };
        write(self, &mut file, id, room, name, Some(&whole))
    }

    /// Removes the secrets of this removed plugin only. Secrets of other plugins stay: a policy without those plugins
    /// may be the wrong one, and secrets cannot be recovered. If an owner renames a plugin's id by hand, its secrets
    /// stay in place.
    pub(super) fn prune_secrets(&self, policies: &[Policy], gone: &PluginId) -> io::Result<()> {
        let referred = referred(self, policies)?;
        let is_named = policies.iter().any(|policy| policy.plugins.contains_key(gone));
        self.secrets.prune(|id, file| {
            id == gone.as_str() && !is_named && !file.canonicalize().is_ok_and(|file| referred.contains(&file))
        })
    }
}

/// Changes several of a plugin's own settings at once, everywhere. If one of them does not have the value any more that the
/// owner was shown, none is changed.
pub fn change_settings(admin: &PluginAdmin<'_>, id: &PluginId, changes: &[SettingChange]) -> Result<(), AdminError> {
    let mut file = admin.open()?;
    let entry = known(admin, file.policy(), id)?;
    for SettingChange { name, shown, new } in changes {
        if entry.settings.0.get(name) != shown.as_ref() {
            return Err(AdminError::SettingChanged { id: id.clone(), name: name.clone() });
        }
        if let Some(new) = new {
            judge(admin, (id, entry), None, name, new)?;
        }
    }
    let all: Vec<_> =
        changes.iter().map(|change| written(None, &change.name, change.new.as_ref())).collect::<Result<_, _>>()?;
    change_entry(admin, &mut file, id, &all)?;
    for change in changes {
        forget_unused(admin, &file, id, None, &change.name);
    }
    Ok(())
}

/// Checks a secret that the owner keeps in a file of their own, as [`keep_secret`](Self::keep_secret) does.
pub fn check_secret(admin: &PluginAdmin<'_>, id: &PluginId, name: &str, text: &str) -> Result<(), AdminError> {
    let file = admin.open()?;
    let entry = known(admin, file.policy(), id)?;
    fits(id, &admin.look(id, entry)?.manifest, name, text)
}

/// Checks that a credential is long enough, and that requests to webhooks can be verified by a secret.
pub fn fits(id: &PluginId, manifest: &Manifest, name: &str, text: &str) -> Result<(), AdminError> {
    let (id, setting) = (id.clone(), name.to_owned());
    if manifest.settings.get(name).is_some_and(|setting| !setting.kind.is_long_enough(text)) {
        return Err(AdminError::ShortCredential { id, name: setting });
    }
    let by_it = manifest.webhooks.iter().filter(|(_, webhook)| webhook.secret.as_deref() == Some(name));
    let mut unfit = by_it.filter_map(|(name, webhook)| Some((name, webhook.verification.wanted_form(text)?)));
    let Some((webhook, form)) = unfit.next() else { return Ok(()) };
    Err(AdminError::SecretForm { id, name: setting, webhook: webhook.clone(), form })
}

/// Stores a secret in a file of the data folder. The one that the file had before is gone, so references to it that are put aside with
/// other versions go first: with such a version, the new secret would go to servers that its owner did not give it for.
pub(super) fn stored(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    room: Option<&str>,
    name: &str,
    text: &str,
) -> Result<PathBuf, AdminError> {
    let place = admin.secrets.path(id, room, name);
    let is_there = |value: &Value| {
        let mut sources = SecretSource::all_of(value);
        sources.any(|source| matches!(source, SecretSource::File(file) if is_same(&file, &place)))
    };
    let made = admin.make_data().and_then(|()| admin.components.forget_aside(id, is_there));
    made.and_then(|()| admin.secrets.keep(id, room, name, text)).map_err(|cause| admin.unwritten(cause))
}

/// Returns whether two paths lead to the same file.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

/// Returns the name under which the former secret of a setting or a sender is kept. No setting has this name.
pub(super) fn former(name: &str) -> String {
    format!("{name}.former")
}

/// Returns a reference to the secret of a setting, with the secrets of single senders that the setting has.
fn beside_senders(entry: &Entry, name: &str, own: Value) -> Value {
    match entry.settings.0.get(name) {
        Some(present) => SecretName::setting(name).within(present, own),
        None => own,
    }
}

fn address(room: Option<&BareJid>) -> Option<&str> {
    room.map(|room| room.as_str())
}

/// Returns the change that sets a value in a room, or everywhere, or removes it.
pub(super) fn written(room: Option<&str>, name: &str, value: Option<&Value>) -> Result<Change, AdminError> {
    let table = if room.is_some() { "settings_in" } else { "settings" };
    let keys = [Some(table), room, Some(name)].into_iter().flatten().map(str::to_owned).collect();
    Ok(match value {
        None => Change::Unset(keys),
        Some(value) => {
            Change::Set(keys, Toml::try_from(value).map_err(|error| AdminError::Decision(error.to_string()))?)
        }
    })
}

/// Checks that a value fits the schema, and returns the manifest that has it. Other settings may be wrong too; they are
/// corrected separately.
pub(super) fn judge(
    admin: &PluginAdmin<'_>,
    (id, entry): (&PluginId, &Entry),
    room: Option<&BareJid>,
    name: &str,
    value: &Value,
) -> Result<Arc<Manifest>, AdminError> {
    let manifest = admin.look(id, entry)?.manifest;
    let (mut settings, mut settings_in) = (SettingValues::default(), RoomSettings::default());
    match room {
        Some(room) => settings_in.put(room.as_str(), name, value.clone()),
        None => drop(settings.0.insert(name.to_owned(), value.clone())),
    }
    settings_fit(id, &Entry { settings, settings_in, ..entry.clone() }, &manifest)?;
    // A public key, or what else verifies requests and is no reference to a secret.
    if let Some(text) = value.as_str() {
        fits(id, &manifest, name, text)?;
    }
    Ok(manifest)
}

pub(super) fn write(
    admin: &PluginAdmin<'_>,
    file: &mut PolicyFile,
    id: &PluginId,
    room: Option<&BareJid>,
    name: &str,
    value: Option<&Value>,
) -> Result<(), AdminError> {
    let room = address(room);
    change_entry(admin, file, id, &[written(room, name, value)?])?;
    forget_unused(admin, file, id, room, name);
    Ok(())
}

/// Removes the stored secrets of a setting to which nothing refers any more.
fn forget_unused(admin: &PluginAdmin<'_>, file: &PolicyFile, id: &PluginId, room: Option<&str>, name: &str) {
    let is_left = |kept: &Path| {
        let referred = admin.policies(file).map_err(io::Error::other).and_then(|all| referred(admin, &all));
        referred.is_ok_and(|files| !files.contains(kept))
    };
    for name in std::iter::once(name.to_owned()).chain(admin.secrets.beside(id, name)) {
        let kept = admin.secrets.path(id, room, &name).canonicalize();
        if kept.is_ok_and(|kept| is_left(&kept)) {
            // A file that cannot be removed harms nobody.
            let _ = admin.secrets.forget(id, room, &name);
        }
    }
}

/// Returns the files of secrets that are referred to, by present settings or by those put aside with earlier
/// versions.
fn referred(admin: &PluginAdmin<'_>, policies: &[Policy]) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for (id, entry) in policies.iter().flat_map(|policy| &policy.plugins) {
        let waiting = admin.components.versions(id)?.into_iter().map(|kept| (kept.settings, kept.settings_in));
        for (settings, rooms) in waiting.chain([(entry.settings.clone(), entry.settings_in.clone())]) {
            let values = settings.0.values().chain(rooms.iter().map(|(_, _, value)| value));
            files.extend(values.flat_map(SecretSource::all_of).filter_map(|source| match source {
                SecretSource::File(path) => path.canonicalize().ok(),
                SecretSource::Command(_) => None,
            }));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use parlor_base::id::Digest;
    use parlor_config::{Config, Overrides};

    use super::*;
    use crate::component::tests::plugin_with;

    /// Installs a plugin with this in its manifest.
    fn installed(folder: &Path, manifest: &str) -> Config {
        let bytes = plugin_with(&format!(
            "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n{manifest}"
        ));
        let policy = format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{}\"\n", Digest::of(&bytes));
        fs::write(folder.join("echo.wasm"), bytes).unwrap();
        fs::write(folder.join("plugins.toml"), policy).unwrap();
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        Config::places_in(&folder.join("parlor.toml"), "", &overrides).unwrap()
    }

    /// The key of Discord is public, and may be in a setting of the type string.
    #[test]
    fn a_text_by_which_every_request_would_be_refused_is_not_set() {
        let folder = tempfile::tempdir().unwrap();
        let config = installed(
            folder.path(),
            "[permissions]\n\"webhooks.receive\" = { reason = \"r\" }\n\
             [settings]\nkey = { type = \"string\", description = \"X\" }\n\
             [webhook.garden]\ndescription = \"X\"\nverify = \"discord\"\nsecret = \"key\"\n",
        );
        let (admin, id) = (PluginAdmin::new(&config), "echo".parse::<PluginId>().unwrap());
        let set = |text: &str| admin.set(&id, None, "key", Some(&Value::from(text)));
        let says = set("the id of the application").unwrap_err().to_string();
        assert!(says.contains("its webhook garden would be refused") && says.contains("64 hex digits"), "{says}");
        assert_eq!(admin.entry(&id).unwrap().settings.0.get("key"), None);
        let key = "0123456789abcdef".repeat(4);
        set(&key).unwrap();
        let [shown, new] = [key.as_str(), "0x01"].map(|text| Some(Value::from(text)));
        let change = SettingChange { name: "key".to_owned(), shown, new };
        assert!(matches!(change_settings(&admin, &id, &[change]), Err(AdminError::SecretForm { .. })));
    }

    #[test]
    fn a_setting_that_another_owner_changed_meanwhile_is_not_changed_back() {
        let folder = tempfile::tempdir().unwrap();
        let settings = "[settings]\nfirst = { type = \"string\", description = \"X\" }\n\
                        second = { type = \"string\", description = \"X\" }\n";
        let config = installed(folder.path(), settings);
        let (admin, id) = (PluginAdmin::new(&config), "echo".parse::<PluginId>().unwrap());
        let change = |name: &str, shown: Option<&str>, new: Option<&str>| {
            let [shown, new] = [shown, new].map(|value| value.map(Value::from));
            SettingChange { name: name.to_owned(), shown, new }
        };
        let values = || {
            let settings = admin.entry(&id).unwrap().settings.0;
            ["first", "second"].map(|name| settings.get(name).and_then(Value::as_str).map(str::to_owned))
        };
        let [a, b, c] = ["a", "b", "c"].map(|value| Some(value.to_owned()));

        change_settings(&admin, &id, &[change("first", None, Some("a")), change("second", None, Some("b"))]).unwrap();
        assert_eq!(values(), [a.clone(), b.clone()]);
        // Of the second one, this owner was shown that it is not set.
        let changes = [change("first", Some("a"), Some("c")), change("second", None, Some("c"))];
        let error = change_settings(&admin, &id, &changes).unwrap_err().to_string();
        assert!(error.starts_with("second of echo was changed meanwhile"), "{error}");
        assert_eq!(values(), [a, b.clone()], "none is changed");
        let changes = [change("first", Some("a"), Some("c")), change("second", Some("a"), None)];
        assert!(matches!(change_settings(&admin, &id, &changes), Err(AdminError::SettingChanged { .. })));
        change_settings(&admin, &id, &[change("first", Some("a"), Some("c"))]).unwrap();
        assert_eq!(values(), [c.clone(), b]);
        change_settings(&admin, &id, &[change("second", Some("b"), None)]).unwrap();
        assert_eq!(values(), [c, None]);
    }
}
