//! wasmtime's set-up for the whole house: one engine, one linker, the memory pool, the ticker and the yard.
//!
//! Bytes come here only after `component::examine` found nothing against them, and go on to `compiler`; what is compiled is
//! shared by all instances of the same digest.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails};

use super::Traces;
use super::compiler::{Artifact, Cache, CompileError, Compiler, Fingerprint};
use super::component::MAX_INSTANCES;
use super::id::Digest;
use super::instance::{Context, Grouping};
use super::limits::{Limits, MAX_TABLE_ELEMENTS, ROOM, WASM_STACK};
use super::watchdog::{Seats, Ticker, Yard};
use crate::bindings::{Plugin, PluginPre};

/// The largest linear memory that a limit can allow: all that 32 bits reach.
pub(super) const MAX_MEMORY: usize = 4 << 30;
/// The pause where the house is full, unless another one leaves before that.
pub(crate) const PAUSE_FOR_ROOM: Duration = Duration::from_mins(1);
/// How many stacks the pool has for each plugin: each store keeps one, and each instance of a component may be interrupted while it
/// holds one. So nobody takes those of others, however a component is put together.
const STACKS: u32 = MAX_INSTANCES + 1;
/// So many of a process's mappings are for all else: the program and its libraries, threads, heaps, and files.
const MAPPINGS_OF_THE_HOST: u64 = 2_000;
/// The code of a plugin is three mappings: what comes before the instructions, those, and what comes behind them.
const MAPPINGS_OF_CODE: u32 = 3;

/// Everything that instances of all accounts share.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Linker<Context>,
    /// The same, plus an empty WASI.
    wasi_linker: Linker<Context>,
    /// For how many plugins there is room.
    places: u32,
    ticker: Ticker,
    yard: Yard,
    seats: Seats,
    compiler: Compiler,
    /// None where no data folder has one: everything is compiled at each start then.
    cache: Option<Arc<Cache>>,
    /// Held while something is compiled, so that what compilers use up together is what one may.
    compiling: tokio::sync::Mutex<()>,
    /// What is compiled and still in use, by digest.
    compiled: Mutex<HashMap<Digest, Weak<Compiled>>>,
    /// What would not compile if it were tried again, and why: nobody waits for it twice.
    hopeless: Mutex<HashMap<Digest, CompileError>>,
    /// An instance has left.
    left: Notify,
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

/// Where machine code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Other instances in this process use it.
    Shared,
    /// An earlier run left it in the cache.
    Cache,
    /// It was compiled just now.
    Compiler,
}

impl Engine {
    /// Sets wasmtime up, and starts the ticker and the yard. The cache of what is compiled lies in the data folder, if there is
    /// one.
    pub fn start(compiler: Compiler, data: Option<&Path>) -> Result<Self, EngineError> {
        // An engine that compiles elsewhere has no compiler at all.
        let has_own = matches!(compiler, Compiler::ThisProcess);
        let traces = compiler.traces();
        let mappings = most_mappings();
        let places = places(mappings);
        if places < ROOM {
            tracing::warn!(
                places,
                mappings,
                "room for fewer plugins than elsewhere, since the kernel allows a process few mappings; raise vm.max_map_count"
            );
        }
        let wasmtime = wasmtime::Engine::new(pooled(traces, places).enable_compiler(has_own))
            .or_else(|error| {
                // Some containers limit address space; plugins then start a little slower.
                tracing::warn!(
                    error = format!("{error:#}"),
                    "no memory pool for plugins; each gets its memory when it starts"
                );
                wasmtime::Engine::new(base(traces).enable_compiler(has_own))
            })
            .map_err(EngineError::Wasmtime)?;
        let cache = data.and_then(|data| {
            let cache = Cache::open(data, Fingerprint::of(&wasmtime));
            cache
                .inspect_err(
                    |error| tracing::warn!(%error, "no compile cache; plugins are compiled anew at each start"),
                )
                .ok()
        });
        let linker = linker(&wasmtime).map_err(EngineError::Wasmtime)?;
        let mut wasi_linker = linker.clone();
        wasmtime_wasi::p2::add_to_linker_async(&mut wasi_linker).map_err(EngineError::Wasmtime)?;
        Ok(Self {
            places,
            ticker: Ticker::start(&wasmtime)?,
            yard: Yard::start()?,
            seats: Seats::of_this_machine(),
            linker,
            wasi_linker,
            wasmtime,
            compiler,
            cache: cache.map(Arc::new),
            compiling: tokio::sync::Mutex::default(),
            compiled: Mutex::default(),
            hopeless: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// Compiles a component, or gives what was compiled for the same digest, now or in an earlier run.
    pub(crate) async fn compile(
        &self,
        digest: Digest,
        bytes: Vec<u8>,
        wasi: bool,
    ) -> Result<(Arc<Compiled>, Origin), CompileError> {
        // What is there already does not wait for what is being compiled.
        if let Some(known) = self.at_hand(digest, wasi).await? {
            return Ok(known);
        }
        let _compiling = self.compiling.lock().await;
        if let Some(known) = self.at_hand(digest, wasi).await? {
            return Ok(known);
        }
        match self.make(digest, bytes).await {
            Ok(component) => Ok((self.linked(digest, &component, wasi)?, Origin::Compiler)),
            Err(error) => {
                if let Some(hopeless) = error.again() {
                    self.hopeless().insert(digest, hopeless);
                }
                Err(error)
            }
        }
    }

    /// What was compiled for a digest, now or in an earlier run, or why that is of no use.
    pub(crate) async fn at_hand(
        &self,
        digest: Digest,
        wasi: bool,
    ) -> Result<Option<(Arc<Compiled>, Origin)>, CompileError> {
        if let Some(compiled) = self.compiled().get(&digest).and_then(Weak::upgrade) {
            return Ok(Some((compiled, Origin::Shared)));
        }
        if let Some(error) = self.hopeless().get(&digest).and_then(CompileError::again) {
            return Err(error);
        }
        let Some(component) = self.find(digest).await? else { return Ok(None) };
        Ok(Some((self.linked(digest, &component, wasi)?, Origin::Cache)))
    }

    fn linked(&self, digest: Digest, component: &Component, wasi: bool) -> Result<Arc<Compiled>, CompileError> {
        let linker = if wasi { &self.wasi_linker } else { &self.linker };
        let pre = linker.instantiate_pre(component).and_then(PluginPre::new).map_err(CompileError::Link)?;
        let compiled = Arc::new(Compiled { pre });
        let mut all = self.compiled();
        all.retain(|_, compiled| compiled.strong_count() > 0);
        all.insert(digest, Arc::downgrade(&compiled));
        Ok(compiled)
    }

    /// Compiles this one again, should it be asked for, also if it did not compile before.
    pub(crate) fn try_again(&self, digest: Digest) {
        self.hopeless().remove(&digest);
    }

    /// What an earlier run left of a component.
    async fn find(&self, digest: Digest) -> Result<Option<Component>, CompileError> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        let engine = self.wasmtime.clone();
        off_the_runtime(move || {
            let artifact = cache.find(&digest)?;
            // Authentic, and yet of no use: for instance, the machine has another processor now.
            artifact.load(&engine).inspect_err(|_| cache.forget(&digest)).ok()
        })
        .await
    }

    /// Compiles a component, and keeps what comes of it.
    async fn make(&self, digest: Digest, bytes: Vec<u8>) -> Result<Component, CompileError> {
        let artifact: Artifact = self.compiler.compile(&self.wasmtime, bytes, self.cache.as_ref()).await?;
        let (engine, cache) = (self.wasmtime.clone(), self.cache.clone());
        off_the_runtime(move || {
            let component = artifact.load(&engine).map_err(|error| CompileError::Foreign(format!("{error:#}")))?;
            if let Some(Err(error)) = cache.map(|cache| cache.keep(&digest, artifact)) {
                tracing::warn!(%error, "the compile cache cannot be written; this plugin is compiled anew at the next start");
            }
            Ok(component)
        })
        .await?
    }

    /// Drops from the cache on disk what was made of all components but these.
    pub(crate) async fn keep_only(&self, used: BTreeSet<Digest>) {
        self.hopeless().retain(|digest, _| used.contains(digest));
        let Some(cache) = self.cache.clone() else { return };
        if let Err(error) = off_the_runtime(move || cache.prune(&used)).await {
            tracing::warn!(%error, "the compile cache was not looked through");
        }
    }

    /// Drops from the cache on disk what was compiled first, until what is left has no more bytes than that.
    pub async fn keep_newest(&self, bytes: u64) {
        let Some(cache) = self.cache.clone() else { return };
        if let Err(error) = off_the_runtime(move || cache.keep_newest(bytes)).await {
            tracing::warn!(%error, "the compile cache was not looked through");
        }
    }

    /// For how many plugins there is room, counted on each account by itself.
    pub(super) fn places(&self) -> u32 {
        self.places
    }

    /// Says that an instance has left, so that there may be room for another one.
    pub(super) fn made_room(&self) {
        self.left.notify_one();
    }

    /// Waits until an instance has left, for which nobody else has waited.
    pub(crate) async fn room(&self) {
        self.left.notified().await;
    }

    fn hopeless(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, CompileError>> {
        self.hopeless.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub(super) fn seats(&self) -> Seats {
        self.seats.clone()
    }

    pub(super) fn yard(&self) -> &Yard {
        &self.yard
    }

    /// How many tasks there are in the yard.
    pub(crate) fn tasks_in_yard(&self) -> usize {
        self.yard.handle().metrics().num_alive_tasks()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Every instance holds the engine, so none is left that would need a tick.
        self.ticker.stop();
    }
}

/// Reading, checking and mapping tens of megabytes takes longer than a task may.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CompileError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| CompileError::Host(error.to_string()))
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Context>> {
    let mut linker = Linker::new(engine);
    Plugin::add_to_linker::<_, Grouping>(&mut linker, |context| context)?;
    Ok(linker)
}

/// What counts for code as well: a compiler process has the same.
pub(super) fn base(traces: Traces) -> Config {
    let mut config = Config::new();
    match traces {
        // Said at all, so that it does not depend on a variable that a compiler process does not have.
        Traces::Functions => config.wasm_backtrace_details(WasmBacktraceDetails::Disable),
        Traces::Lines => {
            config.wasm_backtrace_details(WasmBacktraceDetails::Enable).cranelift_opt_level(OptLevel::None)
        }
    };
    config
        .epoch_interruption(true)
        .wasm_component_model_async(true)
        // Deep recursion ends that guest with a trap.
        .max_wasm_stack(WASM_STACK.as_usize())
        .async_stack_size(2 * WASM_STACK.as_usize())
        // Copy-on-write images double the mappings of an instance, and the kernel allows a process so many and no more.
        .memory_init_cow(false);
    config
}

/// How many mappings the kernel allows a process, where it says so.
fn most_mappings() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

/// For how many plugins there is room where a process may have so many mappings; past them even the host's own memory is
/// refused, and it aborts. Each plugin may have two for each stack, the guard and the stack, and two for each memory, what is open
/// of it and what is not. All tables are one.
fn places(mappings: Option<u64>) -> u32 {
    let each = 2 * STACKS + 2 * Limits::default().memories + MAPPINGS_OF_CODE;
    let Some(mappings) = mappings else { return ROOM };
    let places = mappings.saturating_sub(MAPPINGS_OF_THE_HOST) / u64::from(each);
    u32::try_from(places).unwrap_or(ROOM).clamp(1, ROOM)
}

/// With places for all that limits allow so many plugins by default, so that nobody takes those of others: of address space, where a
/// memory takes 4 GiB and 32 MiB of guard behind it, and a table 8 MB. For as many as there can be that is 16 TiB of the 128 that a
/// process has on `x86_64` (47 bits), and of the 256 on `aarch64` (48 bits). The lists of all places take some 1.5 MB of the host's
/// own memory.
fn pooled(traces: Traces, places: u32) -> Config {
    let each = Limits::default();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        // These take no place of their own.
        .total_core_instances(places * each.instances)
        .total_memories(places * each.memories)
        .total_tables(places * each.tables)
        .total_stacks(places * STACKS)
        .max_memory_size(MAX_MEMORY)
        .table_elements(MAX_TABLE_ELEMENTS as usize)
        .max_unused_warm_slots(64);
    let mut config = base(traces);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module, PoolConcurrencyLimitError, Store};

    use super::*;
    use crate::plugins::ceiling::Ceiling;
    use crate::plugins::compiler::Bounds;
    use crate::plugins::store::Unfit;

    /// A compiler process knows nothing of the pool, and the engine that runs what it makes has no compiler.
    #[test]
    fn what_a_compiler_process_makes_runs_here() {
        for traces in [Traces::Functions, Traces::Lines] {
            let compiler = wasmtime::Engine::new(&base(traces)).unwrap();
            let code = compiler.precompile_component(&wat::parse_str("(component)").unwrap()).unwrap();
            for config in [&mut pooled(traces, ROOM), &mut base(traces)] {
                let engine = wasmtime::Engine::new(config.enable_compiler(false)).unwrap();
                Artifact::made_of(code.clone()).load(&engine).unwrap();
                assert!(Component::new(&engine, "(component)").is_err());
                assert_eq!(Fingerprint::of(&engine), Fingerprint::of(&wasmtime::Engine::new(config).unwrap()));
            }
        }
    }

    /// Each reload asks for it anew, and minutes of a compiler's time are the price of an answer that is known.
    #[tokio::test]
    async fn what_does_not_compile_is_tried_once_and_holds_up_nobody() {
        let engine = Engine::start(Compiler::ThisProcess, None).unwrap();
        let digest = Digest::of(b"a plugin");
        let compile = |bytes: &[u8]| engine.compile(digest, bytes.to_vec(), false);
        // It compiles, and is no plugin.
        let component = wat::parse_str("(component)").unwrap();
        assert!(matches!(compile(b"nothing that compiles").await, Err(CompileError::Compile(_))));
        let busy = engine.compiling.lock().await;
        assert!(matches!(compile(&component).await, Err(CompileError::Compile(_))));
        drop(busy);
        engine.try_again(digest);
        assert!(matches!(compile(&component).await, Err(CompileError::Link(_))));
    }

    /// It is no fault of the file's. The clock goes on as soon as the test waits.
    #[tokio::test(start_paused = true)]
    async fn what_a_busy_machine_has_not_compiled_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("compiler");
        // Written by somebody else: what this process has open for writing, or one that it starts just now, does not start.
        let script = "printf '#!/bin/sh\\nexec sleep 1000\\n' > \"$0\" && chmod +x \"$0\"";
        let written = std::process::Command::new("sh").args(["-c", script]).arg(&program).status().unwrap();
        assert!(written.success());
        let (bounds, traces) = (Bounds::default(), Traces::Functions);
        let compiler = Compiler::Process { program, bounds, traces };
        let engine = Engine::start(compiler, None).unwrap();
        let Err(error) = engine.compile(Digest::of(b"a plugin"), Vec::new(), false).await else { panic!("compiled") };
        assert!(matches!(error, CompileError::Slow(_)), "{error}");
        assert!(engine.hopeless().is_empty() && !Unfit::from(error).is_final());
    }

    /// What is not taken for plugins has to do for the host.
    #[test]
    fn there_is_room_for_as_many_as_the_kernel_allows_mappings_for() {
        assert_eq!(places(Some(65_530)), ROOM);
        assert_eq!(places(Some(10_000)), 421);
        assert_eq!(places(Some(u64::MAX)), ROOM);
        assert_eq!(places(Some(0)), 1);
        // Where the kernel does not say it.
        assert_eq!(places(None), ROOM);
    }

    /// One plugin within its limits, on many accounts, would else take the places of all others.
    #[tokio::test]
    async fn there_is_room_for_all_that_limits_allow_by_default() {
        for places in [3, ROOM] {
            room_for(places).await;
        }
    }

    async fn room_for(places: u32) {
        let engine = wasmtime::Engine::new(&pooled(Traces::Functions, places)).unwrap();
        let module = |text: &str| Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let (memory, table) = (module("(module (memory 0))"), module("(module (table 0 funcref))"));
        let limits = Limits::default();
        let store = || {
            let mut store = Store::new(&engine, Ceiling::new(&limits, false, Arc::default()));
            store.limiter(|ceiling| ceiling);
            store
        };
        let mut all = Vec::new();
        for _ in 0..places {
            let mut one = store();
            for (module, most) in [(&memory, limits.memories), (&table, limits.tables)] {
                for _ in 0..most {
                    Instance::new_async(&mut one, module, &[]).await.unwrap();
                }
            }
            all.push(one);
        }
        for module in [&memory, &table] {
            let error = Instance::new_async(&mut store(), module, &[]).await.unwrap_err();
            assert!(error.is::<PoolConcurrencyLimitError>(), "{error:?}");
        }
    }

    /// What an owner may allow, the pool has room for.
    #[tokio::test]
    async fn the_largest_tables_and_memories_that_limits_allow_are_there() {
        let engine = wasmtime::Engine::new(&pooled(Traces::Functions, 1)).unwrap();
        let text = format!("(module (table {MAX_TABLE_ELEMENTS} funcref) (memory 65520))");
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut limits = Limits::default();
        for (name, most) in
            [("table_elements", toml::Value::Integer(MAX_TABLE_ELEMENTS.into())), ("memory", "4095 MiB".into())]
        {
            limits.set(name, &most).unwrap();
        }
        let mut store = Store::new(&engine, Ceiling::new(&limits, false, Arc::default()));
        store.limiter(|ceiling| ceiling);
        Instance::new_async(&mut store, &module, &[]).await.unwrap();
    }
}
