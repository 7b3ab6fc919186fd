//! wasmtime's set-up for the whole house: one engine, one linker, the memory pool, the ticker and the yard.
//!
//! Bytes come here only after `component::examine` found nothing against them; what is compiled is shared by all
//! instances of the same digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::component::{Component, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::id::Digest;
use super::instance::{Context, Grouping};
use super::limits::{MAX_TABLE_ELEMENTS, WASM_STACK};
use super::watchdog::{Ticker, Yard};
use crate::bindings::{Plugin, PluginPre};

/// How many instances may live at once. Each takes a slot of the pool: address space, not memory.
pub(super) const MAX_INSTANCES: u32 = 1_000;
/// The largest linear memory that a limit can allow: all that 32 bits reach.
pub(super) const MAX_MEMORY: usize = 4 << 30;

/// Everything that instances of all accounts share.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Linker<Context>,
    /// The same, plus an empty WASI.
    wasi_linker: Linker<Context>,
    ticker: Ticker,
    yard: Yard,
    /// What is compiled and still in use, by digest.
    compiled: Mutex<HashMap<Digest, Weak<Compiled>>>,
}

/// A component that is ready to be instantiated.
pub struct Compiled {
    pub(super) pre: PluginPre<Context>,
}

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused its configuration, or the machine lacks something.
    #[error("the WebAssembly engine cannot start: {0:#}")]
    Wasmtime(wasmtime::Error),
    /// A thread could not be started.
    #[error("a thread of the WebAssembly engine cannot start")]
    Thread(#[from] std::io::Error),
}

/// Why a component that passed its examination cannot run.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It does not compile.
    #[error("it does not compile: {0:#}")]
    Compile(wasmtime::Error),
    /// It imports what the host does not have, or in another shape.
    #[error("it does not fit this host's API: {0:#}")]
    Link(wasmtime::Error),
}

impl Engine {
    /// Sets wasmtime up, and starts the ticker and the yard.
    pub fn start() -> Result<Self, EngineError> {
        let wasmtime = wasmtime::Engine::new(&pooled())
            .or_else(|error| {
                // Some containers limit address space; plugins then start a little slower.
                tracing::warn!(
                    error = format!("{error:#}"),
                    "no memory pool for plugins; each gets its memory when it starts"
                );
                wasmtime::Engine::new(&base())
            })
            .map_err(EngineError::Wasmtime)?;
        let linker = linker(&wasmtime).map_err(EngineError::Wasmtime)?;
        let mut wasi_linker = linker.clone();
        wasmtime_wasi::p2::add_to_linker_async(&mut wasi_linker).map_err(EngineError::Wasmtime)?;
        Ok(Self {
            ticker: Ticker::start(&wasmtime)?,
            yard: Yard::start()?,
            linker,
            wasi_linker,
            wasmtime,
            compiled: Mutex::default(),
        })
    }

    /// Compiles a component, or gives what was compiled for the same digest. Takes long: call it off the runtime.
    pub fn compile(&self, digest: Digest, bytes: &[u8], wasi: bool) -> Result<Arc<Compiled>, CompileError> {
        if let Some(compiled) = self.compiled().get(&digest).and_then(Weak::upgrade) {
            return Ok(compiled);
        }
        let component = Component::new(&self.wasmtime, bytes).map_err(CompileError::Compile)?;
        let linker = if wasi { &self.wasi_linker } else { &self.linker };
        let pre = linker.instantiate_pre(&component).and_then(PluginPre::new).map_err(CompileError::Link)?;
        let compiled = Arc::new(Compiled { pre });
        let mut all = self.compiled();
        all.retain(|_, compiled| compiled.strong_count() > 0);
        all.insert(digest, Arc::downgrade(&compiled));
        Ok(compiled)
    }

    fn compiled(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Weak<Compiled>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    pub(super) fn ticker(&self) -> Ticker {
        self.ticker.clone()
    }

    pub(super) fn yard(&self) -> &Yard {
        &self.yard
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Every instance holds the engine, so none is left that would need a tick.
        self.ticker.stop();
    }
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Context>> {
    let mut linker = Linker::new(engine);
    Plugin::add_to_linker::<_, Grouping>(&mut linker, |context| context)?;
    Ok(linker)
}

fn base() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model_async(true)
        // Deep recursion ends that guest with a trap.
        .max_wasm_stack(WASM_STACK.as_usize())
        .async_stack_size(2 * WASM_STACK.as_usize())
        // Copy-on-write images double the mappings of an instance, and the kernel allows 65,530 of them.
        .memory_init_cow(false);
    config
}

fn pooled() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MAX_INSTANCES)
        // These take no place of their own.
        .total_core_instances(MAX_INSTANCES * 100)
        .total_memories(MAX_INSTANCES + 200)
        .total_tables(MAX_INSTANCES * 4)
        // Each store keeps one stack, and handlers that are interrupted need more.
        .total_stacks(MAX_INSTANCES * 4)
        .max_memory_size(MAX_MEMORY)
        .table_elements(MAX_TABLE_ELEMENTS as usize)
        .max_unused_warm_slots(64);
    let mut config = base();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module, Store};

    use super::*;
    use crate::plugins::ceiling::Ceiling;
    use crate::plugins::limits::Limits;

    /// What an owner may allow, the pool has room for.
    #[tokio::test]
    async fn the_largest_tables_and_memories_that_limits_allow_are_there() {
        let engine = wasmtime::Engine::new(&pooled()).unwrap();
        let text = format!("(module (table {MAX_TABLE_ELEMENTS} funcref) (memory 65520))");
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut limits = Limits::default();
        for (name, most) in
            [("table_elements", toml::Value::Integer(MAX_TABLE_ELEMENTS.into())), ("memory", "4095 MiB".into())]
        {
            limits.set(name, &most).unwrap();
        }
        let mut store = Store::new(&engine, Ceiling::new(&limits, Arc::default()));
        store.limiter(|ceiling| ceiling);
        Instance::new_async(&mut store, &module, &[]).await.unwrap();
    }
}
