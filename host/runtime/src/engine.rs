//! The wasmtime setup of the whole host: one engine, one linker, the mappings that plugins may take, the ticker, and
//! the runtimes besides those of accounts.
//!
//! It gets bytes only after `component::examine` accepted them, and passes them to `compiler`. All instances with the
//! same digest share the compiled code.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use parlor_base::id::Digest;
use parlor_plugins::component::Needs;
use tokio::sync::Notify;
use wasmtime::component::{Component, Linker};

use crate::bindings::{Plugin, PluginPre};
use crate::compiler::{Artifact, Cache, CompileError, Compiler, Fingerprint, base, take_up_functions};
use crate::instance::{Context, Grouping};
use crate::mappings::{Mappings, NoMappings, Reserved, of_an_instance, of_code};
use crate::watchdog::{Runtimes, Ticker};
use crate::webhooks::listening::Listening;

/// The pause when the host has no room for another plugin, unless one ends before that.
pub const PAUSE_FOR_ROOM: Duration = Duration::from_mins(1);

/// Everything that instances of all accounts share.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Linker<Context>,
    /// The same linker with an empty WASI added.
    wasi_linker: Linker<Context>,
    mappings: Arc<Mappings>,
    ticker: Ticker,
    runtimes: Runtimes,
    compiler: Compiler,
    /// The cache; `None` without a data folder, and then everything is compiled again at each start.
    cache: Option<Arc<Cache>>,
    /// Held while a component is compiled, so that the limits for one compiler hold for all of them together.
    compiling: tokio::sync::Mutex<()>,
    /// The compiled components that are in use, by digest.
    compiled: Mutex<HashMap<Digest, Weak<Compiled>>>,
    /// The components that cannot be compiled, with the reason, so that compiling is not repeated.
    hopeless: Mutex<HashMap<Digest, CompileError>>,
    /// Notified when an instance has ended.
    left: Notify,
    /// How many plugins have webhooks.
    webhooks: Listening,
}

/// A component that is ready to be instantiated.
pub struct Compiled {
    pub(super) pre: PluginPre<Context>,
    /// How many mappings an instance may take.
    mappings: u32,
    /// The mappings of the code, taken with those of the first instance.
    code: Mutex<Option<Reserved>>,
}

impl Compiled {
    /// Takes the mappings of another instance.
    pub(super) fn reserve(&self, mappings: &Arc<Mappings>) -> Result<Reserved, NoMappings> {
        let mut code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        if code.is_none() {
            *code = Some(of_code(mappings)?);
        }
        mappings.reserve(self.mappings)
    }
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
    /// Sets up wasmtime, and starts the ticker and the runtimes besides those of accounts. The compile cache is in the
    /// data folder, if there is one.
    pub fn start(compiler: Compiler, data: Option<&Path>) -> Result<Self, EngineError> {
        // An engine whose code is compiled elsewhere has no compiler at all.
        let has_own = matches!(compiler, Compiler::ThisProcess { .. });
        let mut config = base(compiler.traces(), compiler.optimizes());
        config.enable_compiler(has_own);
        if has_own && !compiler.optimizes() {
            take_up_functions(&mut config).map_err(EngineError::Wasmtime)?;
        }
        let wasmtime = wasmtime::Engine::new(&config).map_err(EngineError::Wasmtime)?;
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
            mappings: Mappings::of_this_process(),
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
            webhooks: Listening::default(),
        })
    }

    /// Returns the numbers of plugins with webhooks, for the listener.
    pub fn webhooks(&self) -> &Listening {
        &self.webhooks
    }

    /// Compiles a component, or returns the code compiled for the same digest, in this or an earlier run.
    pub async fn compile(
        &self,
        digest: Digest,
        bytes: Vec<u8>,
        needs: Needs,
    ) -> Result<(Arc<Compiled>, Origin), CompileError> {
        // Code that exists already does not wait for other compilations.
        if let Some(known) = self.at_hand(digest, needs).await? {
            return Ok(known);
        }
        let _compiling = self.compiling.lock().await;
        if let Some(known) = self.at_hand(digest, needs).await? {
            return Ok(known);
        }
        match self.make(digest, bytes).await {
            Ok(component) => Ok((self.linked(digest, &component, needs)?, Origin::Compiler)),
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
        needs: Needs,
    ) -> Result<Option<(Arc<Compiled>, Origin)>, CompileError> {
        if let Some(compiled) = self.compiled().get(&digest).and_then(Weak::upgrade) {
            return Ok(Some((compiled, Origin::Shared)));
        }
        if let Some(error) = self.hopeless().get(&digest).and_then(CompileError::again) {
            return Err(error);
        }
        let Some(component) = self.find(digest).await? else { return Ok(None) };
        Ok(Some((self.linked(digest, &component, needs)?, Origin::Cache)))
    }

    fn linked(&self, digest: Digest, component: &Component, needs: Needs) -> Result<Arc<Compiled>, CompileError> {
        let linker = if needs.wasi { &self.wasi_linker } else { &self.linker };
        let pre = linker.instantiate_pre(component).and_then(PluginPre::new).map_err(CompileError::Link)?;
        let mappings = of_an_instance(component, needs);
        let compiled = Arc::new(Compiled { pre, mappings, code: Mutex::default() });
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

    /// Returns the mappings that plugins may take.
    pub(super) fn mappings(&self) -> &Arc<Mappings> {
        &self.mappings
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
        // Every instance holds the engine, so no instance is left that needs a tick.
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

#[cfg(test)]
mod tests {
    use parlor_plugins::limits::{Limits, MAX_TABLE_ELEMENTS};
    use wasmtime::{Instance, Module, Store};

    use super::*;
    use crate::ceiling::Ceiling;
    use crate::compiler::Bounds;
    use crate::loading::LoadError;
    use crate::traces::Traces;

    /// The engine that runs what a compiler process makes has no compiler.
    #[test]
    fn what_a_compiler_process_makes_runs_here() {
        for traces in [Traces::Functions, Traces::Lines] {
            let compiler = wasmtime::Engine::new(&base(traces, traces.are_for_owners())).unwrap();
            let code = compiler.precompile_component(&wat::parse_str("(component)").unwrap()).unwrap();
            let engine = wasmtime::Engine::new(base(traces, traces.are_for_owners()).enable_compiler(false)).unwrap();
            Artifact::made_of(code.clone()).load(&engine).unwrap();
            assert!(Component::new(&engine, "(component)").is_err());
            let another = wasmtime::Engine::new(base(traces, traces.are_for_owners()).enable_compiler(false)).unwrap();
            assert_eq!(Fingerprint::of(&engine), Fingerprint::of(&another));
        }
    }

    /// Each reload requests it again, and compiling again would take minutes for an answer that is known.
    #[tokio::test]
    async fn what_does_not_compile_is_tried_once_and_holds_up_nobody() {
        let engine = Engine::start(Compiler::ThisProcess { optimized: false }, None).unwrap();
        let digest = Digest::of(b"a plugin");
        let compile = |bytes: &[u8]| engine.compile(digest, bytes.to_vec(), Needs::default());
        // This component compiles, but is not a plugin.
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
        let Err(error) = engine.compile(Digest::of(b"a plugin"), Vec::new(), Needs::default()).await else {
            panic!("compiled")
        };
        assert!(matches!(error, CompileError::Slow(_)), "{error}");
        assert!(engine.hopeless().is_empty() && !LoadError::from(error).is_final());
    }

    /// The largest limits that an owner may set can be reached.
    #[tokio::test]
    async fn the_largest_tables_and_memories_that_limits_allow_are_there() {
        let engine = wasmtime::Engine::new(&base(Traces::Functions, true)).unwrap();
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
