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
    if let Some(key) = values.keys().find(|key| Settings::is_known(key)) {
        // Row 119: whatever the grant, these are the operator's; the others come with `settings.write`.
        return Err(instance.deny(Permission::SettingsWrite, Some(key.clone())));
    }
    instance.settings.set(values)
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
