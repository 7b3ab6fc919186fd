//! The wasmtime setup of the whole host: one engine, one linker, the memory pool, the ticker, and the runtimes beside
//! those of accounts.
//!
//! Bytes come here only after `component::examine` accepted them, and go on to `compiler`. All instances with the same
//! digest share the compiled code.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use parlor_base::id::Digest;
use parlor_plugins::component::MAX_INSTANCES;
use parlor_plugins::limits::{Limits, MAX_TABLE_ELEMENTS, ROOM};
use tokio::sync::Notify;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::{Plugin, PluginPre};
use crate::compiler::{Artifact, Cache, CompileError, Compiler, Fingerprint, base};
use crate::instance::{Context, Grouping};
use crate::traces::Traces;
use crate::watchdog::{Runtimes, Ticker};

/// The largest linear memory that a limit can allow: everything that 32 bits can address.
const MAX_MEMORY: usize = 4 << 30;
/// The pause when the host has no room for another plugin, unless one ends before that.
pub const PAUSE_FOR_ROOM: Duration = Duration::from_mins(1);
/// The number of stacks in the pool for each plugin. Each store keeps one, and each component instance may be suspended
/// while it holds one. So no plugin takes the stacks of others, however its component is composed.
const STACKS: u32 = MAX_INSTANCES + 1;
/// The mappings of the process that are reserved for everything else: the program, libraries, threads, heaps and files.
const MAPPINGS_OF_THE_HOST: u64 = 2_000;
/// The mappings of a plugin's code: the part before the instructions, the instructions, and the part after them.
const MAPPINGS_OF_CODE: u32 = 3;

/// Everything that instances of all accounts share.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Linker<Context>,
    /// The same linker with an empty WASI added.
    wasi_linker: Linker<Context>,
    /// The maximum number of plugins.
    places: u32,
    ticker: Ticker,
    runtimes: Runtimes,
    compiler: Compiler,
    /// The cache; `None` without a data folder, and then everything is compiled again at each start.
    cache: Option<Arc<Cache>>,
    /// Held while a component is compiled, so that the limits for one compiler hold for all of them together.
    compiling: tokio::sync::Mutex<()>,
    /// The compiled components that are in use, by digest.
    compiled: Mutex<HashMap<Digest, Weak<Compiled>>>,
    /// The components that cannot be compiled, with the reason, so that nobody waits for that twice.
    hopeless: Mutex<HashMap<Digest, CompileError>>,
    /// Notified when an instance has ended.
    left: Notify,
}

/// A component that is ready to be instantiated.
pub struct Compiled {
    pub(super) pre: PluginPre<Context>,
}

/// The reason why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused its configuration, or the machine lacks something.
    #[error("the WebAssembly engine cannot start: {0:#}")]
    Wasmtime(wasmtime::Error),
    /// A thread could not be started.
    #[error("a thread of the WebAssembly engine cannot start")]
    Thread(#[from] std::io::Error),
}

/// The origin of machine code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Other instances in this process use it.
    Shared,
    /// An earlier run left it in the cache.
    Cache,
    /// It was compiled just now.
    Compiler,
}

impl Engine {
    /// Sets up wasmtime, and starts the ticker and the runtimes beside those of accounts. The compile cache is in the data folder, if
    /// there is one.
    pub fn start(compiler: Compiler, data: Option<&Path>) -> Result<Self, EngineError> {
        // An engine whose code is compiled elsewhere has no compiler at all.
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
                // Some containers limit address space. Plugins then start a little slower.
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
            runtimes: Runtimes::start()?,
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

    /// Compiles a component, or returns the code compiled for the same digest, in this or an earlier run.
    pub async fn compile(
        &self,
        digest: Digest,
        bytes: Vec<u8>,
        wasi: bool,
    ) -> Result<(Arc<Compiled>, Origin), CompileError> {
        // Code that exists already does not wait for other compilations.
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

    /// Returns the code compiled for a digest, in this or an earlier run, or the error if it is known not to compile.
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

    /// Allows another attempt to compile this component, even if it failed before.
    pub fn try_again(&self, digest: Digest) {
        self.hopeless().remove(&digest);
    }

    /// Looks up a component in the cache.
    async fn find(&self, digest: Digest) -> Result<Option<Component>, CompileError> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        let engine = self.wasmtime.clone();
        off_the_runtime(move || {
            let artifact = cache.find(&digest)?;
            // The entry is authentic but may be unusable, for instance because the machine has another processor now.
            artifact.load(&engine).inspect_err(|_| cache.forget(&digest)).ok()
        })
        .await
    }

    /// Compiles a component and adds it to the cache.
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

    /// Removes from the cache on disk all components but these.
    pub async fn keep_only(&self, used: BTreeSet<Digest>) {
        self.hopeless().retain(|digest, _| used.contains(digest));
        let Some(cache) = self.cache.clone() else { return };
        if let Err(error) = off_the_runtime(move || cache.prune(&used)).await {
            tracing::warn!(%error, "the compile cache was not looked through");
        }
    }

    /// Removes the least recently used entries from the cache on disk until the rest fits into this many bytes.
    pub async fn keep_newest(&self, bytes: u64) {
        let Some(cache) = self.cache.clone() else { return };
        if let Err(error) = off_the_runtime(move || cache.keep_newest(bytes)).await {
            tracing::warn!(%error, "the compile cache was not looked through");
        }
    }

    /// Returns the maximum number of plugins, counted separately for each account.
    pub(super) fn places(&self) -> u32 {
        self.places
    }

    /// Reports that an instance has ended, so there may be room for another one.
    pub(super) fn made_room(&self) {
        self.left.notify_one();
    }

    /// Waits until an instance has ended. Each end wakes one waiter.
    pub async fn room(&self) {
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

    /// Returns the runtimes for guests that leave the thread of their account.
    pub(super) fn runtimes(&self) -> &Runtimes {
        &self.runtimes
    }

    /// Returns the number of tasks on these runtimes.
    pub fn tasks(&self) -> usize {
        self.runtimes.tasks()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Every instance holds the engine, so none is left that would need a tick.
        self.ticker.stop();
    }
}

/// Runs work in a blocking thread: reading, checking and mapping tens of megabytes takes longer than a task may.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CompileError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| CompileError::Host(error.to_string()))
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Context>> {
    let mut linker = Linker::new(engine);
    Plugin::add_to_linker::<_, Grouping>(&mut linker, |context| context)?;
    Ok(linker)
}

/// Returns how many mappings the kernel allows a process, if it says so.
fn most_mappings() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

/// Returns the maximum number of plugins for this number of mappings. Beyond it even the host's own allocations fail,
/// and it aborts. A plugin may need two mappings for each stack (the guard and the stack) and two for each memory (the
/// accessible part and the rest). All tables together are one.
fn places(mappings: Option<u64>) -> u32 {
    let each = 2 * STACKS + 2 * Limits::default().memories + MAPPINGS_OF_CODE;
    let Some(mappings) = mappings else { return ROOM };
    let places = mappings.saturating_sub(MAPPINGS_OF_THE_HOST) / u64::from(each);
    u32::try_from(places).unwrap_or(ROOM).clamp(1, ROOM)
}

/// Configures a pool with room for this many plugins at their default limits, so that none takes the room of others.
/// The pool takes address space: 4 GiB and a guard of 32 MiB for a memory, 8 MB for a table. For the maximum number of
/// plugins that is 16 TiB of the 128 TiB that a process has on `x86_64` (47 bits), and of the 256 TiB on `aarch64` (48
/// bits). The pool's own lists take some 1.5 MB.
fn pooled(traces: Traces, places: u32) -> Config {
    let each = Limits::default();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        // These take no room of their own.
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
    use crate::ceiling::Ceiling;
    use crate::compiler::Bounds;
    use crate::loading::LoadError;

    /// A compiler process has no pool, and the engine that runs its code has no compiler.
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

    /// Each reload requests it again, and compiling again would take minutes for an answer that is known.
    #[tokio::test]
    async fn what_does_not_compile_is_tried_once_and_holds_up_nobody() {
        let engine = Engine::start(Compiler::ThisProcess, None).unwrap();
        let digest = Digest::of(b"a plugin");
        let compile = |bytes: &[u8]| engine.compile(digest, bytes.to_vec(), false);
        // This one compiles, and is no plugin.
        let component = wat::parse_str("(component)").unwrap();
        assert!(matches!(compile(b"nothing that compiles").await, Err(CompileError::Compile(_))));
        let busy = engine.compiling.lock().await;
        assert!(matches!(compile(&component).await, Err(CompileError::Compile(_))));
        drop(busy);
        engine.try_again(digest);
        assert!(matches!(compile(&component).await, Err(CompileError::Link(_))));
    }

    /// A timeout is not the file's fault. The paused clock advances as soon as the test waits.
    #[tokio::test(start_paused = true)]
    async fn what_a_busy_machine_has_not_compiled_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("compiler");
        // Another process writes the script: a file that this process, or a child that it is just starting, has open
        // for writing cannot be executed.
        let script = "printf '#!/bin/sh\\nexec sleep 1000\\n' > \"$0\" && chmod +x \"$0\"";
        let written = std::process::Command::new("sh").args(["-c", script]).arg(&program).status().unwrap();
        assert!(written.success());
        let (bounds, traces) = (Bounds::default(), Traces::Functions);
        let compiler = Compiler::Process { program, bounds, traces };
        let engine = Engine::start(compiler, None).unwrap();
        let Err(error) = engine.compile(Digest::of(b"a plugin"), Vec::new(), false).await else { panic!("compiled") };
        assert!(matches!(error, CompileError::Slow(_)), "{error}");
        assert!(engine.hopeless().is_empty() && !LoadError::from(error).is_final());
    }

    /// The mappings that plugins do not use have to suffice for the host.
    #[test]
    fn there_is_room_for_as_many_as_the_kernel_allows_mappings_for() {
        assert_eq!(places(Some(65_530)), ROOM);
        assert_eq!(places(Some(10_000)), 421);
        assert_eq!(places(Some(u64::MAX)), ROOM);
        assert_eq!(places(Some(0)), 1);
        // The kernel does not report the limit.
        assert_eq!(places(None), ROOM);
    }

    /// Otherwise one plugin within its limits, on many accounts, would take the room of all others.
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

    /// The pool has room for the largest limits that an owner may set.
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
