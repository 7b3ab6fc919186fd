//! `connection`: the connection to the server.

use wasmtime::component::Accessor;

use super::{answer, caller};
use crate::bindings::parlor::plugin::connection::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::error::CallError;
use crate::permissions::{Permission, Target};
use crate::plugins::{Context, Grouping};

impl Host for Context {
    fn connected(&mut self) -> bool {
        self.instance.account.snapshot().connected
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn disconnect(accessor: &Accessor<T, Self>) -> Result<(), Error> {
        answer(disconnect(accessor).await)
    }
}

async fn disconnect<T: Send + 'static>(accessor: &Accessor<T, Grouping>) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor, "connection.disconnect")?;
    instance.require(Permission::SessionControl, Target::None)?;
    instance.account.disconnect().await
}
