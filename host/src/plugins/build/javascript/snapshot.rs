//! Running a plugin's modules once, at build time, and keeping what its memory is afterwards.
//!
//! Nothing but the modules can be reached meanwhile: there is no host to call, and a WASI that is empty, whose clocks stand still
//! and whose random numbers are always the same. So the same source gives the same bytes.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, Lift, Linker, LinkerInstance, ResourceTable, Val, WasmList};
use wasmtime::{Config, Engine, OptLevel, Store, StoreLimits, StoreLimitsBuilder, Trap};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use super::super::tools::announce;
use super::imports;
use super::link::LOADER;
use super::modules::{CONTRACT, Modules};
use super::types::camel;
use crate::plugins::build;
use crate::plugins::compiler::{Cache, Compiler, Fingerprint};
use crate::plugins::id::Digest;

/// The function of the runtime that evaluates modules.
const INIT: &str = "init";

/// The grouping that authors may use at once.
const LOG: &str = "parlor:plugin/log@";

/// What the module is called that the host's calls go to.
const MAIN: &str = "/parlor-main.js";

/// In what steps the clock would go.
const STEP: Duration = Duration::from_millis(1);

/// Why there is no snapshot.
pub(super) enum Failure {
    /// The author's own: it does not parse, or throws. In the runtime's words, with file, line and column.
    Source(String),
    /// Anything else.
    Component(String),
}

/// A clock at the beginning of 1970.
struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

struct Building {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

/// How long what stands outside of functions may run.
const PATIENCE: Duration = Duration::from_mins(1);
/// How much memory it may take, in bytes; a plugin has less than a tenth of that, if its owner says nothing.
const MEMORY: usize = 1 << 30;

/// Ends what computes in an engine for too long.
struct Alarm {
    /// Nobody waits any more once this is gone.
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

/// Evaluates the plugin, and gives the component that goes on from there.
pub(super) fn take(component: &[u8], modules: Modules) -> Result<Vec<u8>, Failure> {
    // On a thread of its own: whoever builds may run on a runtime already.
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failure::Component(error.to_string()))?;
            runtime.block_on(evaluate(component, Arc::new(modules)))
        });
        work.join().unwrap_or_else(|_| Err(Failure::Component("the runtime cannot be started".to_owned())))
    })
}

async fn evaluate(component: &[u8], modules: Arc<Modules>) -> Result<Vec<u8>, Failure> {
    let other = |error: wasmtime::Error| Failure::Component(format!("{error:#}"));
    let wizer = Wizer::new();
    let (context, instrumented) =
        wizer.instrument_component(component).map_err(|error| Failure::Component(format!("{error:#}")))?;

    let mut config = Config::new();
    // It runs once.
    config.wasm_component_model_async(true).cranelift_opt_level(OptLevel::None).epoch_interruption(true);
    let engine = Engine::new(&config).map_err(other)?;
    let instrumented = compiled(&engine, instrumented).await?;
    let linker = linker(&engine, &instrumented, &modules).map_err(other)?;
    // What the runtime seeds with them is in the file that is built, for everybody to read, whatever it is.
    let random = || Deterministic::new(Digest::of(component).as_bytes().to_vec());
    let wasi = WasiCtx::builder()
        .secure_random(random())
        .insecure_random(random())
        .insecure_random_seed(0)
        .wall_clock(Still)
        .monotonic_clock(Still)
        .build();
    let limits = StoreLimitsBuilder::new().memory_size(MEMORY).trap_on_grow_failure(true).build();
    let mut store = Store::new(&engine, Building { wasi, table: ResourceTable::new(), limits });
    store.limiter(|building| &mut building.limits);
    store.set_epoch_deadline(1);
    let _alarm = Alarm::set(engine.clone());
    let instance = linker.instantiate_async(&mut store, &instrumented).await.map_err(other)?;

    // What the generated bindings would add; plugins make no streams of their own.
    let shim = "globalThis.wit = {};".to_owned();
    let init = instance
        .get_typed_func::<(String, String, Option<String>, bool), (Result<(), String>,)>(&mut store, INIT)
        .map_err(other)?;
    let arguments = (shim, modules.main(), Some(MAIN.to_owned()), false);
    // A trap has the runtime's own backtrace around it, which tells an author nothing.
    let trapped = |error: wasmtime::Error| match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Failure::Source(format!(
            "it computes for more than {} s before it begins: what stands outside of functions runs when it is built",
            PATIENCE.as_secs()
        )),
        _ => Failure::Source(error.root_cause().to_string()),
    };
    let (evaluated,) = init.call_async(&mut store, arguments).await.map_err(trapped)?;
    evaluated.map_err(|reason| Failure::Source(imports::placed(&in_short(&reason), &modules)))?;

    wizer
        .snapshot_component(context, &mut State { store: &mut store, instance })
        .await
        .map_err(|error| Failure::Component(format!("{error:#}")))
}

/// Compiles the runtime, which takes most of a build. It is the same each time, unless the plugin asks for other permissions.
async fn compiled(engine: &Engine, runtime: Vec<u8>) -> Result<Component, Failure> {
    let cache = build::compiled_folder().and_then(|folder| Cache::open(&folder, Fingerprint::of(engine)).ok());
    let digest = Digest::of(&runtime);
    let found = cache.as_ref().and_then(|cache| cache.find(&digest));
    if let Some(component) = found.and_then(|artifact| artifact.load(engine).ok()) {
        return Ok(component);
    }
    let artifact = Compiler::ThisProcess.compile(engine, runtime).await;
    let artifact = artifact.map_err(|error| Failure::Component(error.to_string()))?;
    let component = artifact.load(engine).map_err(|error| Failure::Component(format!("{error:#}")))?;
    if let Some(cache) = cache {
        // Where it cannot be kept, the next build takes as long.
        let _ = cache.keep(&digest, artifact);
        cache.keep_newest(build::MOST_COMPILED);
    }
    Ok(component)
}

fn linker(engine: &Engine, component: &Component, modules: &Arc<Modules>) -> wasmtime::Result<Linker<Building>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    for (name, import) in component.component_type().imports(engine) {
        if let ComponentItem::ComponentInstance(grouping) = import.ty
            && name.starts_with(CONTRACT)
        {
            let mut instance = linker.instance(name)?;
            for (function, export) in grouping.exports(engine) {
                if let ComponentItem::ComponentFunc(ty) = export.ty {
                    if name.starts_with(LOG) {
                        instance.func_new(function, |_, _, values, _| {
                            says(values);
                            Ok(())
                        })?;
                        continue;
                    }
                    no_host(&mut instance, name, function, ty.async_())?;
                }
            }
        }
    }
    let mut loader = linker.instance(LOADER)?;
    let finds = Arc::clone(modules);
    loader.func_wrap("resolve", move |_, (referrer, wanted): (String, String)| {
        Ok((finds.resolve(&referrer, &wanted),))
    })?;
    let loads = Arc::clone(modules);
    loader.func_wrap("load", move |_, (name,): (String,)| Ok((loads.load(&name),)))?;
    Ok(linker)
}

/// What a plugin writes to the log while it is built, for the author.
fn says(values: &[Val]) {
    if let [_, Val::String(line)] = values {
        announce(line);
    }
}

/// A call that has nobody to go to yet.
fn no_host(
    grouping: &mut LinkerInstance<'_, Building>,
    name: &str,
    function: &str,
    is_async: bool,
) -> wasmtime::Result<()> {
    fn refused(called: &str) -> wasmtime::Error {
        wasmtime::Error::msg(format!(
            "{called} is called while the plugin is built: there is no host yet; call it in onStart"
        ))
    }
    let short = name.strip_prefix(CONTRACT).and_then(|name| name.split('@').next()).unwrap_or(name);
    let called = format!("{}.{}", camel(short), camel(function));
    if is_async {
        grouping.func_new_concurrent(function, move |_, _, _, _| {
            let error = refused(&called);
            Box::pin(async move { Err(error) })
        })
    } else {
        grouping.func_new(function, move |_, _, _, _| Err(refused(&called)))
    }
}

/// What the runtime says, without what it says of itself each time.
fn in_short(reason: &str) -> String {
    let parts = [
        "Failed to evaluate user JavaScript module: ",
        "Failed to evaluate JavaScript module: ",
        "Failed to finish JavaScript module evaluation: ",
        "Failed to declare JavaScript module: ",
        "Error: Error: ",
    ];
    let mut text = reason.trim();
    while let Some(rest) = parts.iter().find_map(|part| text.strip_prefix(part)) {
        text = rest;
    }
    // A module that cannot be loaded is then looked for among the contract's.
    let text = text.replace("WIT import not found\n", "");
    // Types are taken away without looking at what the other module has.
    let advice = "\nin TypeScript, if that is a type, say so where it is named: import { type X } or export { type X }";
    let own = if text.contains("in module 'parlor'") { "\nwhat parlor exports stands in parlor.d.ts" } else { "" };
    if text.contains("Could not find export") { text + own + advice } else { text }
}

/// How wizer looks into the instance.
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
