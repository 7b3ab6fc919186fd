//! `settings`: a plugin's own, and a look at the host's.

use std::collections::BTreeMap;

use serde_json::Value;
use wasmtime::component::Accessor;

use super::{answer, bounded, caller};
use crate::bindings::parlor::plugin::settings::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::config::Settings;
use crate::error::CallError;
use crate::permissions::{Permission, Target};
use crate::plugins::{Context, Grouping, Instance};

impl Host for Context {
    fn get(&mut self, key: String) -> Result<Option<String>, Error> {
        answer(get(&self.instance, &key))
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn set(accessor: &Accessor<T, Self>, key: String, value: String) -> Result<(), Error> {
        answer(set(accessor, "value", &[(key, value)]))
    }

    async fn set_many(accessor: &Accessor<T, Self>, values: Vec<(String, String)>) -> Result<(), Error> {
        answer(set(accessor, "values", &values))
    }

    async fn update(accessor: &Accessor<T, Self>, values: Vec<(String, String)>) -> Result<(), Error> {
        answer(update(accessor, &values))
    }
}

fn get(instance: &Instance, key: &str) -> Result<Option<String>, CallError> {
    if let Some(own) = instance.settings.get(key) {
        return Ok(Some(own.to_string()));
    }
    let settings = instance.account.settings();
    if !Settings::is_known(key) && settings.get(key).is_none() {
        return Ok(None);
    }
    instance.require(Permission::SettingsRead, Target::None)?;
    Ok(settings.get(key).map(|value| value.to_string()))
}

fn set<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    argument: &str,
    values: &[(String, String)],
) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor)?;
    let values = parse(argument, values)?;
    values.keys().filter(|key| Settings::is_known(key)).try_for_each(|key| may_set(&instance, key))?;
    instance.settings.set(values)
}

/// Whether a plugin may change this setting of the host's.
fn may_set(instance: &Instance, key: &str) -> Result<(), CallError> {
    if Settings::operator_only(key) {
        // API row 119: whatever the grant.
        let hint = format!("no grant helps: {key} is the operator's, in parlor.toml");
        return match instance.deny(Permission::SettingsWrite, Some(key.to_owned())) {
            CallError::Denied { permission, scope, .. } => Err(CallError::Denied { permission, scope, hint }),
            other => Err(other),
        };
    }
    instance.require(Permission::SettingsWrite, Target::None)?;
    Err(CallError::Unsupported(format!("changing the host's setting {key} while it runs")))
}

fn update<T: Send + 'static>(accessor: &Accessor<T, Grouping>, values: &[(String, String)]) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor)?;
    instance.settings.offer(parse("values", values)?)
}

fn parse(argument: &str, values: &[(String, String)]) -> Result<BTreeMap<String, Value>, CallError> {
    bounded(argument, values)?
        .iter()
        .map(|(key, json)| {
            let value = serde_json::from_str(json)
                .map_err(|error| CallError::invalid(argument, format!("{key}: not JSON: {error}")))?;
            Ok((key.clone(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::disconnected_instance;
    use crate::plugins::limits::Limits;

    #[tokio::test]
    async fn the_operators_settings_are_denied_without_a_hint_that_cannot_help() {
        let (instance, _mailbox) = disconnected_instance("\"settings.write\" = true", Limits::default());
        for key in ["auto_login", "whitelisted_plugins", "credentials_url", "expose_rid_and_sid"] {
            let Err(CallError::Denied { hint, .. }) = may_set(&instance, key) else { panic!("{key} was not denied") };
            assert_eq!(hint, format!("no grant helps: {key} is the operator's, in parlor.toml"));
        }
    }

    #[tokio::test]
    async fn other_settings_of_the_host_need_the_grant() {
        let (instance, _mailbox) = disconnected_instance("", Limits::default());
        let Err(CallError::Denied { hint, .. }) = may_set(&instance, "nickname") else { panic!("it was not denied") };
        assert!(hint.ends_with("\"settings.write\" = true"), "{hint}");
        let (instance, _mailbox) = disconnected_instance("\"settings.write\" = true", Limits::default());
        assert!(matches!(may_set(&instance, "nickname"), Err(CallError::Unsupported(_))));
    }
}
