//! `settings`: a plugin's own settings, and the host's for plugins that may.

use std::collections::BTreeMap;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::escape::escape_untrusted;
use parlor_base::permission::Permission;
use parlor_config::Settings;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{ChangeSettings, Wins};
use parlor_stanza::error::CallError;
use parlor_store::{AuditKind, By, NewAuditEntry, Share};
use serde_json::Value;
use wasmtime::component::{Access, Accessor};

use super::pacing::order;
use super::{answer, bare_jid, bounded, caller, renamed, room_of_caller};
use crate::bindings::parlor::plugin::settings::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};
use crate::settings::{Layer, OwnSettings};

impl Host for Context {
    fn get_in(&mut self, room: String, key: String) -> Result<Option<String>, Error> {
        answer(get_in(&self.instance, &room, &key))
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    fn get(mut host: Access<'_, T, Self>, key: String) -> Result<Option<String>, Error> {
        let instance = Arc::clone(&host.get().instance);
        let room = room_of_caller(&instance, &mut host);
        answer(get(&instance, room.as_ref(), &key))
    }

    async fn set(accessor: &Accessor<T, Self>, key: String, value: String) -> Result<(), Error> {
        answer(change(accessor, CallName::SettingsSet, "value", vec![(key, value)], Layer::Set).await)
    }

    async fn set_many(accessor: &Accessor<T, Self>, values: Vec<(String, String)>) -> Result<(), Error> {
        answer(change(accessor, CallName::SettingsSetMany, "values", values, Layer::Set).await)
    }

    async fn update(accessor: &Accessor<T, Self>, values: Vec<(String, String)>) -> Result<(), Error> {
        answer(change(accessor, CallName::SettingsUpdate, "values", values, Layer::Offered).await)
    }
}

type Values = BTreeMap<String, Value>;

fn get(instance: &Instance, room: Option<&BareJid>, key: &str) -> Result<Option<String>, CallError> {
    OwnSettings::check_key(key)?;
    if let Some(own) = instance.settings.get_in(room, key, || instance.written(key)) {
        return Ok(Some(own.to_string()));
    }
    let settings = instance.account.settings();
    // Settings that another plugin keeps secret do not exist for this one.
    let is_written = settings.given(key).is_some() && !instance.account.is_secret(key);
    if !Settings::is_known(key) && !is_written {
        if instance.settings.missed(key) && instance.may_log() {
            warn_of(instance, key);
        }
        return Ok(None);
    }
    instance.require(Permission::SettingsRead, Target::None)?;
    if key == "jid" {
        return Ok(Some(Value::from(instance.account.own.as_str()).to_string()));
    }
    Ok(settings.get(key).map(|value| value.to_string()))
}

/// Returns the value that applies in a room, for code that handles no event of it.
fn get_in(instance: &Instance, room: &str, key: &str) -> Result<Option<String>, CallError> {
    let room = bare_jid("room", room)?;
    get(instance, Some(&room), key)
}

/// Warns about a name that neither the plugin nor the host has: a misspelt name yields nothing, or a default.
fn warn_of(instance: &Instance, key: &str) {
    let (setting, nearest) = (escape_untrusted(key, 128), instance.settings.nearest(key));
    tracing::warn!(
        plugin = %instance.plugin, account = %instance.account.name, setting, nearest,
        "plugin asks for a setting that its plugin.toml does not declare"
    );
}

/// Returns the entries of the audit about these settings of the host. No secret is among those that plugins may change.
fn changed(instance: &Instance, values: &Values) -> Vec<NewAuditEntry> {
    let settings = instance.account.settings();
    let by = By::plugin(instance.plugin.as_str());
    let entry = |(key, value): (&String, &Value)| NewAuditEntry {
        plugin: Some(instance.plugin.to_string()),
        account: Some(instance.account.name.to_string()),
        old: settings.get(key).map(|value| value.to_string()),
        new: Some(value.to_string()),
        share: Share::Plugin,
        ..NewAuditEntry::new(AuditKind::Setting, &by, &format!("setting {key}"))
    };
    values.iter().map(entry).collect()
}

/// Changes all or none: everything is checked before anything is changed.
async fn change<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    argument: &str,
    values: Vec<(String, String)>,
    layer: Layer,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, call)?;
    let granted = call.granted(Target::None)?;
    let _held = instance.hold(values.iter().map(|(key, value)| key.len() + value.len()).sum())?;
    let changed = change_all(&instance, &granted, argument, values, layer).await;
    // For several values, the error is about the list.
    changed.map_err(|error| if argument == "value" { error } else { renamed(error, argument) })
}

async fn change_all(
    instance: &Instance,
    granted: &Granted,
    argument: &str,
    values: Vec<(String, String)>,
    layer: Layer,
) -> Result<(), CallError> {
    let (own, host) = divide(instance, OwnSettings::read(argument, bounded(argument, &values)?)?)?;
    // As text they may be longer than their parsed form, and the call may wait for its turn.
    drop(values);
    if !host.is_empty() {
        // Without settings of the host, nothing is changed before `change` checks the same.
        instance.settings.check(layer, &own)?;
        let wins = match layer {
            Layer::Set => Wins::Always,
            Layer::Offered => Wins::OverDefault,
        };
        let changed = changed(instance, &host);
        let values = host;
        // Boxed: nearly all plugins change settings of their own, and their calls would have room for it.
        Box::pin(order(instance, granted, ChangeSettings { values, wins })).await?;
        for entry in changed {
            instance.account.audit.put(entry);
        }
    }
    let changes = instance.settings.change(layer, own, &|key| instance.written(key))?;
    instance.tell_changes(&changes);
    Ok(())
}

/// Divides settings into the plugin's own and those of the host that it may change.
fn divide(instance: &Instance, values: Values) -> Result<(Values, Values), CallError> {
    let mut host = Values::new();
    let mut own = Values::new();
    for (key, value) in values {
        if instance.settings.declares(&key) {
            own.insert(key, value);
        } else if Settings::operator_only(&key) {
            return Err(operators(instance, &key));
        } else if Settings::is_known(&key) {
            instance.require(Permission::SettingsWrite, Target::None)?;
            Settings::check(&key, &value).map_err(|error| CallError::invalid("value", error.to_string()))?;
            host.insert(key, value);
        } else {
            own.insert(key, value);
        }
    }
    Ok((own, host))
}

/// Returns the denial of a setting that no grant covers.
fn operators(instance: &Instance, key: &str) -> CallError {
    // A key may be as long as a call, and denials are logged.
    let shown: String = key.chars().take(128).collect();
    let hint = format!("no grant helps: {shown} is the operator's, in the configuration");
    instance.deny_for_good(Permission::SettingsWrite, shown, hint)
}

#[cfg(test)]
mod tests {
    use parlor_plugins::limits::Limits;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    fn divided(instance: &Instance, key: &str, value: Value) -> Result<(Values, Values), CallError> {
        divide(instance, Values::from([(key.to_owned(), value)]))
    }

    /// Row 119.
    #[tokio::test]
    async fn the_operators_settings_are_denied_without_a_hint_that_cannot_help() {
        let (instance, _mailbox) = disconnected_instance("\"settings.write\" = true", Limits::default());
        for key in [
            "auto_login",
            "auto_subscribe",
            "whitelisted_plugins",
            "credentials_url",
            "expose_rid_and_sid",
            "any_URL",
            "Debug",
        ] {
            let Err(CallError::Denied { hint, .. }) = divided(&instance, key, Value::Null) else {
                panic!("{key} was not denied")
            };
            assert_eq!(hint, format!("no grant helps: {key} is the operator's, in the configuration"));
            // The owner gets the same hint when asking later.
            assert_eq!(instance.lasting.record.denied().last().map(|denial| denial.hint.clone()), Some(hint));
        }
    }

    /// Row 119.
    #[tokio::test]
    async fn other_settings_of_the_host_need_the_grant_and_its_types() {
        let (instance, _mailbox) = disconnected_instance("", Limits::default());
        let Err(CallError::Denied { hint, .. }) = divided(&instance, "nickname", "x".into()) else {
            panic!("it was not denied")
        };
        assert!(hint.contains("\"settings.write\" = { scope = true"), "{hint}");
        let (instance, _mailbox) = disconnected_instance("\"settings.write\" = true", Limits::default());
        let (own, host) = divided(&instance, "nickname", "x".into()).unwrap();
        assert!(own.is_empty() && host.contains_key("nickname"));
        let refused = divided(&instance, "nickname", 7.into());
        assert!(
            matches!(refused, Err(CallError::Invalid { argument, reason }) if argument == "value" && reason.contains("must be a string"))
        );
        let (own, _) = divided(&instance, "mine", 7.into()).unwrap();
        assert!(own.contains_key("mine"));
    }

    /// Row 117. Neither a grant nor claiming the name helps.
    #[tokio::test]
    async fn what_another_plugin_keeps_secret_is_not_there() {
        let (instance, _mailbox) = disconnected_instance("\"settings.read\" = true", Limits::default());
        let values = Values::from([("token".to_owned(), "canary".into())]);
        let written = ChangeSettings { values, wins: Wins::Always };
        instance.ask(&Granted::HOST, written).await.unwrap();
        assert_eq!(get(&instance, None, "token").unwrap().as_deref(), Some("\"canary\""));
        instance.account.keep_secret(&instance.plugin, ["token"].into_iter());
        assert_eq!(get(&instance, None, "token").unwrap(), None);
        let claimed = vec![("token".to_owned(), "\"mine\"".to_owned())];
        change_all(&instance, &Granted::HOST, "values", claimed, Layer::Offered).await.unwrap();
        assert_eq!(get(&instance, None, "token").unwrap().as_deref(), Some("\"mine\""));
    }
}
