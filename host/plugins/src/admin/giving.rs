//! Secrets that an owner gives together with the decision about a version, which may need them to run.

use std::collections::BTreeMap;

use parlor_base::id::PluginId;
use serde_json::Value;
use toml::{Table, Value as Toml};

use super::recording::{Decided, record};
use super::settings::{fits, stored};
use super::{AdminError, NewSecret, PluginAdmin};
use crate::admission::Refusal;
use crate::manifest::Manifest;
use crate::secret::{SecretName, SecretSource};

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
    let mut all = BTreeMap::new();
    for (name, secret) in given {
        let source = match secret {
            NewSecret::Text(text) => {
                // The reference may stay the same, and would not tell of it.
                record(admin, Decided::Secret { id, name })?;
                SecretSource::File(stored(admin, id, None, name, text)?)
            }
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
        // Single senders keep their own.
        let before = settings.get(name).and_then(|before| serde_json::to_value(before).ok()).unwrap_or_default();
        let value = SecretName::setting(name).within(&before, value.clone());
        let value = Toml::try_from(value).map_err(|error| AdminError::Decision(error.to_string()))?;
        settings.insert(name.clone(), value);
    }
    decision.insert("settings".to_owned(), settings.into());
    Ok(decision)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use parlor_config::{Config, Overrides};

    use super::*;
    use crate::admin::{Carried, Offer, Older, Plan};
    use crate::component::tests::plugin_with;

    /// Returns the configuration of a host in this folder.
    fn config(folder: &tempfile::TempDir) -> Config {
        fs::write(folder.path().join("plugins.toml"), "").unwrap();
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        Config::places_in(&folder.path().join("parlor.toml"), "data = \"data\"\n", &overrides).unwrap()
    }

    /// Returns a version with a credential that it sends to this server.
    fn offer(version: &str, server: &str) -> Offer {
        let text = format!(
            "[plugin]\nname = \"echo\"\nversion = \"{version}\"\napi = \"0.1.0\"\ndescription = \"X\"\n[settings.key]\n\
             type = \"credential\"\nhosts = [\"{server}\"]\ndescription = \"X\"\n"
        );
        Offer::of(format!("{version}.wasm"), plugin_with(&text)).unwrap()
    }

    fn echo() -> PluginId {
        "echo".parse().unwrap()
    }

    fn given(text: &str) -> GivenSecrets<'_> {
        GivenSecrets::from([("key", NewSecret::Text(text))])
    }

    fn install(admin: &PluginAdmin<'_>, offer: &Offer, text: &str) -> Result<(), AdminError> {
        let plan = admin.plan_install(&echo(), offer, true).unwrap();
        admin.install(&plan, &Table::new(), &given(text))
    }

    fn replace(admin: &PluginAdmin<'_>, offer: &Offer, older: Older, given: &GivenSecrets<'_>) -> Carried {
        let entry = admin.entry(&echo()).unwrap();
        match admin.plan(&echo(), &entry, offer, older).unwrap() {
            Plan::Replace(plan) => admin.replace(&plan, &[], given).unwrap(),
            plan @ (Plan::Nothing | Plan::Restore) => panic!("{plan:?}"),
        }
    }

    #[test]
    fn a_secret_that_was_given_for_another_server_does_not_come_back_with_an_earlier_version() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let admin = PluginAdmin::new(&config);
        let (one, two, nothing) =
            (offer("0.1.0", "a.example.org"), offer("0.2.0", "b.example.org"), GivenSecrets::new());
        // Returns the secret that the plugin has.
        let secret = || {
            let entry = admin.entry(&echo()).unwrap();
            let SecretSource::File(file) = SecretSource::read(entry.settings.0.get("key")?).unwrap() else {
                return None;
            };
            Some(fs::read_to_string(file).unwrap())
        };
        install(&admin, &one, "s3cr3t-of-a").unwrap();
        replace(&admin, &two, Older::Refused, &nothing);
        assert_eq!(secret(), None);
        // Nobody has given another one.
        replace(&admin, &one, Older::Had, &nothing);
        assert_eq!(secret().as_deref(), Some("s3cr3t-of-a"));
        replace(&admin, &two, Older::Refused, &given("s3cr3t-of-b"));
        assert_eq!(secret().as_deref(), Some("s3cr3t-of-b"));
        let carried = replace(&admin, &one, Older::Had, &nothing);
        assert_eq!((secret(), carried.names()), (None, [vec!["key"], vec![]]));
        replace(&admin, &two, Older::Refused, &nothing);
        assert_eq!(secret().as_deref(), Some("s3cr3t-of-b"));
        // The same if the owner sets it, and takes it back before the rollback.
        replace(&admin, &one, Older::Had, &given("s3cr3t-of-a"));
        replace(&admin, &two, Older::Refused, &nothing);
        admin.keep_secret(&echo(), None, "key", "s3cr3t-of-b").unwrap();
        admin.set(&echo(), None, "key", None).unwrap();
        replace(&admin, &one, Older::Had, &nothing);
        assert_eq!(secret(), None);
    }

    #[test]
    fn secrets_of_a_plugin_that_is_not_installed_after_all_do_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let unrecorded = PluginAdmin::new(&config).recording(|decided| match decided {
            Decided::Entry { .. } => Err("the disk is full".to_owned()),
            _ => Ok(()),
        });
        let one = offer("0.1.0", "a.example.org");
        assert!(matches!(install(&unrecorded, &one, "s3cr3t-of-a"), Err(AdminError::Unrecorded(_))));
        assert!(!folder.path().join("data/secrets/echo").exists());
        install(&PluginAdmin::new(&config), &one, "s3cr3t-of-a").unwrap();
        assert!(folder.path().join("data/secrets/echo/key").exists());
    }

    #[test]
    fn a_secret_that_is_given_with_a_version_is_recorded_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let recorded = Mutex::new(Vec::new());
        let admin = PluginAdmin::new(&config).recording(|decided| {
            recorded.lock().unwrap().push(format!("{decided:?}"));
            Ok(())
        });
        install(&admin, &offer("0.1.0", "a.example.org"), "s3cr3t-one").unwrap();
        // The policy names the same file before and after.
        replace(&admin, &offer("0.2.0", "a.example.org"), Older::Refused, &given("s3cr3t-two"));
        let recorded = recorded.lock().unwrap();
        let stored = recorded.iter().filter(|one| one.starts_with("Secret {") && one.contains("\"key\""));
        assert_eq!(stored.count(), 2, "{recorded:?}");
        assert!(!recorded.iter().any(|one| one.contains("s3cr3t")), "{recorded:?}");
    }
}
