//! The Store of an instance: the engine's limits on the guest's code, and its empty WASI.

use std::sync::Arc;

use rand::RngExt as _;
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use crate::api::log::Printed;
use crate::ceiling::Ceiling;
use crate::clocks::{Monotonic, Wall};
use crate::engine::Engine;
use crate::instance::{Context, Instance};
use crate::watchdog;

/// Creates the Store of an instance, with its limits.
pub(crate) fn store(engine: &Engine, instance: &Arc<Instance>) -> Store<Context> {
    let (limits, rng) = (&instance.limits, &instance.account.rng);
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.handles as usize);
    let context = Context {
        instance: Arc::clone(instance),
        ceiling: Ceiling::new(limits, instance.raises, instance.taken.begin()),
        table,
        // Random bytes are first produced in the host's memory, so their number is limited. Sockets are denied, since
        // even an unconnected one takes a file descriptor of the host.
        wasi: WasiCtx::builder()
            .secure_random(rng.generator())
            .insecure_random(rng.generator())
            .insecure_random_seed(rng.generator().random())
            .max_random_size(limits.hostcall_bytes.as_usize() as u64)
            .allow_tcp(false)
            .allow_udp(false)
            .monotonic_clock(Monotonic::start())
            .wall_clock(Wall(instance.account.clock))
            .stdout(Printed::output(instance))
            .stderr(Printed::error(instance))
            .build(),
    };
    let mut store = Store::new(engine.wasmtime(), context);
    store.limiter(|context| &mut context.ceiling);
    store.set_hostcall_fuel(limits.hostcall_bytes.as_usize());
    store.set_max_component_handles(limits.handles as usize);
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(limits.handles as usize);
    }
    let (cpu, allowance) = (Arc::clone(&instance.cpu), instance.allowance());
    store.epoch_deadline_callback(move |_| watchdog::on_epoch(&cpu, allowance).map_err(wasmtime::Error::new));
    store.set_epoch_deadline(1);
    store
}
