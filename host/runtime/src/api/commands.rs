//! `commands`: commands that people give to a plugin by name.

use std::sync::Arc;

use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{AddCommand, AnswerFailed, RemoveCommand, Spoken};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Message;
use wasmtime::component::Accessor;

use super::{answer, caller, order, pace, text};
use crate::bindings::parlor::plugin::commands::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};

/// Maximum length of a text that may wait for the session, which is stricter.
const LONGEST: usize = 4_096;

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn add(accessor: &Accessor<T, Self>, name: String, help: String, usage: String) -> Result<(), Error> {
        answer(add(accessor, Spoken { name, help, usage }).await)
    }

    async fn remove(accessor: &Accessor<T, Self>, name: String) -> Result<(), Error> {
        answer(remove(accessor, name).await)
    }
}

async fn add<T: Send + 'static>(accessor: &Accessor<T, Grouping>, spoken: Spoken) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::CommandsAdd)?;
    let granted = call.granted(Target::None)?;
    for (argument, given) in [("name", &spoken.name), ("help", &spoken.help), ("usage", &spoken.usage)] {
        text(argument, given, LONGEST)?;
    }
    let added = match put(&instance, &granted, spoken.clone()).await {
        // If one name is taken, the plugin should still start.
        Err(CallError::NotOwner(taken)) if instance.is_starting() => {
            let (plugin, account) = (&instance.plugin, &instance.account.name);
            let name = format!("{plugin}.{}", spoken.name);
            // Not each time that a parked plugin wakes.
            if !instance.registered.commands().contains_key(&spoken.name) {
                tracing::warn!(%plugin, %account, taken, "a command has the name of another plugin's, so people give it as {name} alone");
            }
            put(&instance, &granted, Spoken { name, ..spoken }).await
        }
        added => added,
    };
    let (name, is_short) = added?;
    instance.registered.commands().insert(name, is_short);
    Ok(())
}

/// Informs the person who gave a command that it failed. This counts as a message of the plugin's, and needs no grant:
/// the owner chose the words.
pub async fn failed(instance: &Instance, granted: &Granted, message: Arc<Message>) {
    if pace(instance).await.is_ok() {
        // It cannot be sent without a session, or outside of the room. The failure itself is in the log.
        let _ = instance.ask(granted, AnswerFailed { message }).await;
    }
}

/// Adds the command. Returns its name, and whether it can be given by that name alone.
async fn put(instance: &Instance, granted: &Granted, spoken: Spoken) -> Result<(String, bool), CallError> {
    let (plugin, most) = (instance.plugin.clone(), instance.limits.commands as usize);
    let (mailbox, names) = (Arc::clone(&instance.mailbox), Arc::clone(&instance.command_names));
    order(instance, granted, AddCommand { mailbox, names, plugin, spoken, most }).await
}

async fn remove<T: Send + 'static>(accessor: &Accessor<T, Grouping>, name: String) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::CommandsRemove)?;
    let granted = call.granted(Target::None)?;
    text("name", &name, LONGEST)?;
    let (by, plugin) = (instance.id, instance.plugin.clone());
    let removed = order(&instance, &granted, RemoveCommand { by, plugin, name }).await?;
    instance.registered.commands().remove(&removed);
    Ok(())
}
