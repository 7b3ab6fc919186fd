//! `connection`: the connection to the server.

use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;
use wasmtime::component::Accessor;

use super::pacing::pace_order;
use super::{answer, caller};
use crate::bindings::parlor::plugin::connection::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};

impl Host for Context {
    fn connected(&mut self) -> bool {
        self.instance.account.snapshot().connected
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn disconnect(accessor: &Accessor<T, Self>) -> Result<(), Error> {
        let (instance, _open) = caller(accessor, CallName::ConnectionDisconnect)?;
        answer(disconnect(&instance).await)
    }
}

async fn disconnect(instance: &Instance) -> Result<(), CallError> {
    let granted = instance.granted(CallName::ConnectionDisconnect, Target::None)?;
    pace_order(instance, &granted).await?;
    instance.in_turn(instance.account.disconnect(instance.asker(), &granted)).await
}

#[cfg(test)]
mod tests {
    use parlor_plugins::limits::Limits;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    /// Every plugin gets an event for it.
    #[tokio::test]
    async fn nobody_disconnects_more_often_than_calls_may_be() {
        let limits = Limits { calls_per_second: 0, ..Limits::default() };
        let (instance, _mailbox) = disconnected_instance("\"session.control\" = true", limits);
        let result = disconnect(&instance).await;
        assert!(matches!(result, Err(CallError::OverLimit(_))), "{result:?}");
    }
}
