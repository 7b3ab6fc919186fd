//! `user`: the account that a plugin runs for.

use wasmtime::component::Accessor;

use super::{answer, caller, pace, text};
use crate::bindings::parlor::plugin::types::{Error, Status as WitStatus};
use crate::bindings::parlor::plugin::user::{Host, HostWithStore};
use crate::error::CallError;
use crate::permissions::{Permission, Target};
use crate::plugins::{Context, Grouping};
use crate::session::{Command, StatusValue};

/// The longest status text.
const MAX_MESSAGE: usize = 4 << 10;

impl Host for Context {
    fn jid(&mut self) -> String {
        self.instance.account.snapshot().jid.to_string()
    }

    fn bare_jid(&mut self) -> String {
        self.instance.account.own.to_string()
    }

    fn get_status(&mut self) -> Result<WitStatus, Error> {
        self.instance.require(Permission::StatusRead, Target::None)?;
        Ok((&self.instance.account.snapshot().status).into())
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn set_status(accessor: &Accessor<T, Self>, value: String, message: Option<String>) -> Result<(), Error> {
        answer(match value.parse() {
            Ok(value) => set(accessor, Some(value), message).await,
            Err(error) => Err(CallError::invalid("value", format!("{error}"))),
        })
    }

    async fn set_status_message(accessor: &Accessor<T, Self>, message: String) -> Result<(), Error> {
        answer(set(accessor, None, Some(message)).await)
    }
}

async fn set<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    value: Option<StatusValue>,
    message: Option<String>,
) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor)?;
    if let Some(message) = &message {
        text("message", message, MAX_MESSAGE)?;
    }
    instance.require(Permission::StatusWrite, Target::None)?;
    pace(&instance).await?;
    instance.account.ask(|answer| Command::SetStatus { value, message, answer }).await
}
