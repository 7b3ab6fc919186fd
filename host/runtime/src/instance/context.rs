//! The data in the Store of an instance: the parts of the host that the guest's code can reach.

use std::sync::Arc;

use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::Instance;
use crate::ceiling::Ceiling;

/// The data inside of an instance's Store.
pub struct Context {
    /// The instance that it belongs to.
    pub instance: Arc<Instance>,
    /// The limits on its memories and tables.
    pub(crate) ceiling: Ceiling,
    pub(crate) table: ResourceTable,
    /// A WASI without environment, files or sockets. Printed text goes into the log.
    pub(crate) wasi: WasiCtx,
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Gives the groupings access to their data in a Store.
pub struct Grouping;

impl HasData for Grouping {
    type Data<'a> = &'a mut Context;
}
