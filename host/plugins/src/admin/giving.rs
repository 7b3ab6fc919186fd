//! Secrets that an owner gives together with the decision about a version, which may need them to run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use parlor_base::id::PluginId;
use serde_json::Value;
use toml::{Table, Value as Toml};

use super::settings::fits;
use super::{AdminError, NewSecret, PluginAdmin};
use crate::admission::Refusal;
use crate::manifest::Manifest;
use crate::secret::SecretSource;

/// Secrets by the names of their settings.
pub type GivenSecrets<'a> = BTreeMap<&'a str, NewSecret<'a>>;

/// Returns the secret settings that a version needs, and for which there is no value among these names.
pub fn lacking(manifest: &Manifest, has: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
    let needed = manifest.settings.iter().filter(|(_, setting)| setting.required && setting.kind.is_secret());
    needed.map(|(name, _)| name.as_str()).filter(move |name| !has(name))
}

/// Checks secrets before anything is written. Returns the references by which the policy will have them.
pub(super) fn references(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    manifest: &Manifest,
    given: &GivenSecrets<'_>,
) -> Result<BTreeMap<String, Value>, AdminError> {
    let mut all = BTreeMap::new();
    for (name, secret) in given {
        let Some(setting) = manifest.settings.get(*name) else {
            return Err(Refusal::UnknownSetting { id: id.clone(), name: (*name).to_owned(), nearest: None }.into());
        };
        if !setting.kind.is_secret() {
            return Err(AdminError::Decision(format!("the setting {name} of {id} is no secret")));
        }
        let source = match secret {
            NewSecret::Text(text) => {
                fits(id, manifest, name, text)?;
                SecretSource::File(admin.secrets.path(id, None, name))
            }
            NewSecret::At(source) => (*source).clone(),
        };
        all.insert((*name).to_owned(), source.written());
    }
    Ok(all)
}

/// Stores those that are texts. Returns the references to all.
pub(super) fn keep(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    given: &GivenSecrets<'_>,
) -> Result<BTreeMap<String, Value>, AdminError> {
    let stored = |name: &str, text: &str| -> std::io::Result<PathBuf> {
        admin.make_data()?;
        admin.secrets.keep(id, None, name, text)
    };
    let mut all = BTreeMap::new();
    for (name, secret) in given {
        let source = match secret {
            NewSecret::Text(text) => SecretSource::File(stored(name, text).map_err(|cause| admin.unwritten(cause))?),
            NewSecret::At(source) => (*source).clone(),
        };
        all.insert((*name).to_owned(), source.written());
    }
    Ok(all)
}

/// Returns a decision with these values among its settings.
pub(super) fn with_settings(decision: &Table, values: &BTreeMap<String, Value>) -> Result<Table, AdminError> {
    let mut decision = decision.clone();
    if values.is_empty() {
        return Ok(decision);
    }
    let mut settings = decision.get("settings").and_then(Toml::as_table).cloned().unwrap_or_default();
    for (name, value) in values {
        let value = Toml::try_from(value).map_err(|error| AdminError::Decision(error.to_string()))?;
        settings.insert(name.clone(), value);
    }
    decision.insert("settings".to_owned(), settings.into());
    Ok(decision)
}
