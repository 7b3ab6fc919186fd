//! `commands`: what people say to a plugin by name.

use std::sync::Arc;

use wasmtime::component::Accessor;

use super::{answer, caller, order, text};
use crate::bindings::parlor::plugin::commands::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::error::CallError;
use crate::plugins::{Context, Grouping, Instance};
use crate::session::{Command, Spoken};

/// The longest text that may wait for the session, which is stricter.
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
    let (instance, _open) = caller(accessor, "commands.add")?;
    for (argument, given) in [("name", &spoken.name), ("help", &spoken.help), ("usage", &spoken.usage)] {
        text(argument, given, LONGEST)?;
    }
    let added = match put(&instance, spoken.clone()).await {
        // One name that somebody else has is no reason to go without the whole plugin.
        Err(CallError::NotOwner(taken)) if instance.is_starting() => {
            let (plugin, account) = (&instance.plugin, &instance.account.name);
            let name = format!("{plugin}.{}", spoken.name);
            tracing::warn!(%plugin, %account, taken, "a command has the name of another plugin's, so people give it as {name} alone");
            put(&instance, Spoken { name, ..spoken }).await
        }
        added => added,
    };
    instance.has_commands(added?);
    Ok(())
}

/// Gives how many the plugin has then.
async fn put(instance: &Arc<Instance>, spoken: Spoken) -> Result<usize, CallError> {
    let (plugin, most) = (instance.plugin.clone(), instance.limits.commands as usize);
    let mailbox = Arc::clone(&instance.mailbox);
    order(instance, |answer| Command::AddCommand { mailbox, plugin, spoken, most, answer }).await
}

async fn remove<T: Send + 'static>(accessor: &Accessor<T, Grouping>, name: String) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor, "commands.remove")?;
    text("name", &name, LONGEST)?;
    let (by, plugin) = (instance.id, instance.plugin.clone());
    let now = order(&instance, |answer| Command::RemoveCommand { by, plugin, name, answer }).await?;
    instance.has_commands(now);
    Ok(())
}
