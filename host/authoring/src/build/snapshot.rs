//! Runs a component once, at build time, and keeps a snapshot of its memory. Interpreted languages share this code.

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parlor_base::id::Digest;
use parlor_runtime::compiler::{Cache, Fingerprint, compile_for_author, take_up_functions};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, Lift, Linker, LinkerInstance, ResourceTable, Val, WasmList};
use wasmtime::{Config, Engine, OptLevel, Store, StoreLimits, StoreLimitsBuilder, Trap};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use super::tools::show_output;
use crate::build;

/// The prefix of the contract's interfaces.
pub(super) const CONTRACT: &str = "parlor:plugin/";
/// The interface that plugins can already call during the build.
const LOG: &str = "log";

/// The reason for a missing snapshot.
pub(super) enum Failure {
    /// A mistake of the author: a parse error or an exception, in the runtime's words, with file, line and column.
    Source(String),
    /// Any other reason.
    Component(String),
}

/// The state of an instance while a plugin is built: a WASI, and limits.
pub(super) struct Building {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

/// How long a plugin's top-level code may run.
const PATIENCE: Duration = Duration::from_mins(1);
/// The maximum memory of that code, in bytes. At run time a plugin has less than a tenth of that by default.
const MEMORY: usize = 1 << 30;

/// A timer that interrupts code in an engine that computes for too long.
pub(super) struct Alarm {
    /// Dropping it ends the wait.
    _over: mpsc::Sender<()>,
}

impl Alarm {
    fn set(engine: Engine) -> Self {
        let (over, waits) = mpsc::channel();
        std::thread::spawn(move || {
            if waits.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        });
        Self { _over: over }
    }
}

impl WasiView for Building {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Runs this on a separate thread, since the caller may already be on a runtime.
pub(super) fn apart<T: Send>(work: impl Future<Output = Result<T, Failure>> + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failure::Component(error.to_string()))?;
            runtime.block_on(work)
        });
        work.join().unwrap_or_else(|_| Err(Failure::Component("the runtime cannot be started".to_owned())))
    })
}

/// Creates an engine for code that runs once.
pub(super) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true).cranelift_opt_level(OptLevel::None).epoch_interruption(true);
    take_up_functions(&mut config)?;
    Engine::new(&config)
}

/// Creates a store with limits. Code that computes for too long is interrupted until the alarm is dropped.
pub(super) fn store(engine: &Engine, wasi: WasiCtx) -> (Store<Building>, Alarm) {
    let limits = StoreLimitsBuilder::new().memory_size(MEMORY).trap_on_grow_failure(true).build();
    let mut store = Store::new(engine, Building { wasi, table: ResourceTable::new(), limits });
    store.limiter(|building| &mut building.limits);
    store.set_epoch_deadline(1);
    (store, Alarm::set(engine.clone()))
}

/// Returns the reason why the author's code trapped. The runtime's own backtrace would be of no use to an author.
pub(super) fn trapped(error: &wasmtime::Error) -> Failure {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Failure::Source(format!(
            "it computes for more than {} s before it begins: what stands outside of functions runs when it is built",
            PATIENCE.as_secs()
        )),
        _ => Failure::Source(error.root_cause().to_string()),
    }
}

/// Compiles the runtime, which takes most of a build. The result is reused, unless the plugin requests other
/// permissions; then most of its functions are.
pub(super) async fn compiled(engine: &Engine, runtime: Vec<u8>) -> Result<Component, Failure> {
    let cache = build::compiled_folder().and_then(|folder| Cache::open(&folder, Fingerprint::of(engine)).ok());
    let cache = cache.map(Arc::new);
    let digest = Digest::of(&runtime);
    let found = cache.as_ref().and_then(|cache| cache.find(&digest));
    if let Some(component) = found.and_then(|artifact| artifact.load(engine).ok()) {
        return Ok(component);
    }
    let artifact = compile_for_author(engine, runtime, cache.as_ref()).await;
    let artifact = artifact.map_err(|error| Failure::Component(error.to_string()))?;
    let component = artifact.load(engine).map_err(|error| Failure::Component(format!("{error:#}")))?;
    if let Some(cache) = cache {
        // If it cannot be stored, the next build takes as long.
        let _ = cache.keep(&digest, artifact);
        cache.keep_newest(build::MOST_COMPILED);
    }
    Ok(component)
}

/// Returns the component that continues from the present state of an instance.
pub(super) async fn of_memory(
    wizer: &Wizer,
    context: ComponentContext<'_>,
    store: &mut Store<Building>,
    instance: Instance,
) -> Result<Vec<u8>, Failure> {
    let taken = wizer.snapshot_component(context, &mut State { store, instance }).await;
    taken.map_err(|error| Failure::Component(format!("{error:#}")))
}

/// Returns a linker with WASI and a contract in which only the log works, which is shown to the author. `spelled`
/// converts names to the language, and `later` is the handler in which calls can be made.
pub(super) fn linker(
    engine: &Engine,
    component: &Component,
    spelled: fn(&str) -> String,
    later: &str,
) -> wasmtime::Result<Linker<Building>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        let Some(grouping) = name.strip_prefix(CONTRACT).and_then(|name| name.split('@').next()) else { continue };
        let mut instance = linker.instance(name)?;
        for (function, export) in interface.exports(engine) {
            let ComponentItem::ComponentFunc(ty) = export.ty else { continue };
            if grouping == LOG {
                instance.func_new(function, |_, _, values, _| {
                    says(values);
                    Ok(())
                })?;
            } else {
                let called = format!("{}.{}", spelled(grouping), spelled(function));
                no_host(&mut instance, function, ty.async_(), &called, later)?;
            }
        }
    }
    Ok(linker)
}

/// Shows a log line to the author.
fn says(values: &[Val]) {
    if let [_, Val::String(line)] = values {
        show_output(line);
    }
}

/// Defines a call of the contract that fails with advice: `later` is the handler in which it can be made.
fn no_host(
    instance: &mut LinkerInstance<'_, Building>,
    function: &str,
    is_async: bool,
    called: &str,
    later: &str,
) -> wasmtime::Result<()> {
    let text = format!("{called} is called while the plugin is built: there is no host yet; call it in {later}");
    if is_async {
        instance.func_new_concurrent(function, move |_, _, _, _| {
            let error = wasmtime::Error::msg(text.clone());
            Box::pin(async move { Err(error) })
        })
    } else {
        instance.func_new(function, move |_, _, _, _| Err(wasmtime::Error::msg(text.clone())))
    }
}

/// Gives wizer access to the instance.
struct State<'s> {
    store: &'s mut Store<Building>,
    instance: Instance,
}

impl State<'_> {
    async fn call<R: Lift + Send + Sync + 'static>(&mut self, instance: &str, function: &str) -> R {
        let own = "wizer put it there";
        let (_, place) = self.instance.get_export(&mut *self.store, None, instance).expect(own);
        let (_, function) = self.instance.get_export(&mut *self.store, Some(&place), function).expect(own);
        let function = self.instance.get_typed_func::<(), (R,)>(&mut *self.store, function).expect(own);
        function.call_async(&mut *self.store, ()).await.expect("it only reads").0
    }
}

impl ComponentInstanceState for State<'_> {
    async fn call_func_ret_list_u8(&mut self, instance: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        let list: WasmList<u8> = self.call(instance, func).await;
        contents(list.as_le_slice(&*self.store));
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).await
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).await
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).await.to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).await.to_bits()
    }
}
