//! Setting one of a plugin's own settings, or unsetting it. It is checked by itself, whatever else keeps the plugin
//! from running. Also the files of stored secrets, which are removed once nothing refers to them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parlor_base::id::PluginId;
use serde_json::Value;
use toml::Value as Toml;

use super::recording::{Decided, change_entry, record};
use super::{AdminError, PluginAdmin, known};
use crate::admission::settings_fit;
use crate::manifest::Manifest;
use crate::policy::edit::Change;
use crate::policy::file::PolicyFile;
use crate::policy::{Entry, Policy, SettingValues};
use crate::secret::SecretSource;

impl PluginAdmin<'_> {
    /// Sets one of a plugin's own settings, or removes the owner's value. A value has to fit the schema.
    pub fn set(&self, id: &PluginId, name: &str, value: Option<&Value>) -> Result<(), AdminError> {
        let mut file = self.open()?;
        let entry = known(self, file.policy(), id)?;
        if let Some(value) = value {
            judge(self, id, entry, name, value)?;
        }
        write(self, &mut file, id, name, value)
    }

    /// Stores a secret of a plugin in a file of the data folder that only this user can read, and sets a reference to
    /// it. A credential has to be long enough.
    pub fn keep_secret(&self, id: &PluginId, name: &str, text: &str) -> Result<(), AdminError> {
        let mut file = self.open()?;
        let entry = known(self, file.policy(), id)?;
        let reference = |path: PathBuf| SecretSource::File(path).written();
        // This is checked before the file is written, so that an invalid setting does not overwrite the stored secret.
        let manifest = judge(self, id, entry, name, &reference(self.secrets.path(id, name)))?;
        if manifest.settings.get(name).is_some_and(|setting| !setting.kind.is_long_enough(text)) {
            return Err(AdminError::ShortCredential { id: id.clone(), name: name.to_owned() });
        }
        record(self, Decided::Secret { id, name })?;
        let path = self.make_data().and_then(|()| self.secrets.keep(id, name, text));
        let path = path.map_err(|cause| self.unwritten(cause))?;
        write(self, &mut file, id, name, Some(&reference(path)))
    }

    /// Removes the secrets of this removed plugin only. Those of others stay: a policy without them may be the wrong
    /// one, and secrets cannot be recovered. If an owner renames a plugin's id by hand, its secrets stay in place.
    pub(super) fn prune_secrets(&self, policies: &[Policy], gone: &PluginId) -> io::Result<()> {
        let referred = referred(self, policies)?;
        let is_named = policies.iter().any(|policy| policy.plugins.contains_key(gone));
        self.secrets.prune(|id, file| {
            id == gone.as_str() && !is_named && !file.canonicalize().is_ok_and(|file| referred.contains(&file))
        })
    }
}

/// Returns the change that sets a value, or removes it.
pub(super) fn written(name: &str, value: Option<&Value>) -> Result<Change, AdminError> {
    let keys = vec!["settings".to_owned(), name.to_owned()];
    Ok(match value {
        None => Change::Unset(keys),
        Some(value) => {
            Change::Set(keys, Toml::try_from(value).map_err(|error| AdminError::Decision(error.to_string()))?)
        }
    })
}

/// Checks that a value fits the schema, and returns the manifest that has it. Other settings may be wrong too; they are
/// corrected separately.
fn judge(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    entry: &Entry,
    name: &str,
    value: &Value,
) -> Result<Arc<Manifest>, AdminError> {
    let manifest = admin.look(id, entry)?.manifest;
    let settings = SettingValues(BTreeMap::from([(name.to_owned(), value.clone())]));
    settings_fit(id, &Entry { settings, ..entry.clone() }, &manifest)?;
    Ok(manifest)
}

fn write(
    admin: &PluginAdmin<'_>,
    file: &mut PolicyFile,
    id: &PluginId,
    name: &str,
    value: Option<&Value>,
) -> Result<(), AdminError> {
    change_entry(admin, file, id, &[written(name, value)?])?;
    let kept = admin.secrets.path(id, name).canonicalize();
    let is_left = |kept: &Path| {
        let referred = admin.policies(file).map_err(io::Error::other).and_then(|all| referred(admin, &all));
        referred.is_ok_and(|files| !files.contains(kept))
    };
    if kept.is_ok_and(|kept| is_left(&kept)) {
        // Nothing refers to it any more.
        let _ = admin.secrets.forget(id, name);
    }
    Ok(())
}

/// Returns the files of secrets that are referred to, by present settings or by those put aside with earlier
/// versions.
fn referred(admin: &PluginAdmin<'_>, policies: &[Policy]) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for (id, entry) in policies.iter().flat_map(|policy| &policy.plugins) {
        let waiting = admin.components.versions(id)?.into_iter().map(|kept| kept.settings);
        for settings in waiting.chain([entry.settings.clone()]) {
            files.extend(settings.0.values().filter_map(|value| match SecretSource::read(value) {
                Ok(SecretSource::File(path)) => path.canonicalize().ok(),
                Ok(SecretSource::Command(_)) | Err(_) => None,
            }));
        }
    }
    Ok(files)
}
