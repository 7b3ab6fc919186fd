//! Runs a plugin's modules once, at build time, and keeps a snapshot of its memory afterwards.
//!
//! Meanwhile only the modules can be accessed: there is no host to call, and WASI is empty, with stopped clocks and
//! deterministic random numbers. So the same source gives the same bytes.

use std::sync::Arc;
use std::time::Duration;

use parlor_base::id::Digest;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx};
use wasmtime_wizer::Wizer;

use super::super::snapshot::{self, Building, Failure, compiled};
use super::imports;
use super::link::LOADER;
use super::modules::Modules;
use super::types::camel;

/// The function of the runtime that evaluates modules.
const INIT: &str = "init";

/// The name of the module that receives the host's calls.
const MAIN: &str = "/parlor-main.js";

/// The resolution that the clock claims.
const STEP: Duration = Duration::from_millis(1);

/// A clock that is stopped at the beginning of 1970.
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

/// Evaluates the plugin, and returns the component that continues from there.
pub(super) fn take(component: &[u8], modules: Modules) -> Result<Vec<u8>, Failure> {
    snapshot::apart(evaluate(component, Arc::new(modules)))
}

async fn evaluate(component: &[u8], modules: Arc<Modules>) -> Result<Vec<u8>, Failure> {
    let other = |error: wasmtime::Error| Failure::Component(format!("{error:#}"));
    let wizer = Wizer::new();
    let (context, instrumented) =
        wizer.instrument_component(component).map_err(|error| Failure::Component(format!("{error:#}")))?;

    let engine = snapshot::engine().map_err(other)?;
    let instrumented = compiled(&engine, instrumented).await?;
    let linker = linker(&engine, &instrumented, &modules).map_err(other)?;
    // The random seed becomes part of the built file, which everybody can read, so it need not be secret.
    let random = || Deterministic::new(Digest::of(component).as_bytes().to_vec());
    let wasi = WasiCtx::builder()
        .secure_random(random())
        .insecure_random(random())
        .insecure_random_seed(0)
        .wall_clock(Still)
        .monotonic_clock(Still)
        .build();
    let (mut store, _alarm) = snapshot::store(&engine, wasi);
    let instance = linker.instantiate_async(&mut store, &instrumented).await.map_err(other)?;

    // The generated bindings would define this. Plugins create no streams of their own.
    let shim = "globalThis.wit = {};".to_owned();
    let init = instance
        .get_typed_func::<(String, String, Option<String>, bool), (Result<(), String>,)>(&mut store, INIT)
        .map_err(other)?;
    let arguments = (shim, modules.main(), Some(MAIN.to_owned()), false);
    let (evaluated,) = init.call_async(&mut store, arguments).await.map_err(|error| snapshot::trapped(&error))?;
    evaluated.map_err(|reason| Failure::Source(imports::placed(&in_short(&reason), &modules)))?;

    snapshot::of_memory(&wizer, context, &mut store, instance).await
}

fn linker(engine: &Engine, component: &Component, modules: &Arc<Modules>) -> wasmtime::Result<Linker<Building>> {
    let mut linker = snapshot::linker(engine, component, camel, "onStart")?;
    let mut loader = linker.instance(LOADER)?;
    let finds = Arc::clone(modules);
    loader.func_wrap("resolve", move |_, (referrer, wanted): (String, String)| {
        Ok((finds.resolve(&referrer, &wanted),))
    })?;
    let loads = Arc::clone(modules);
    loader.func_wrap("load", move |_, (name,): (String,)| Ok((loads.load(&name),)))?;
    Ok(linker)
}

/// Removes the runtime's fixed phrases from its message.
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
    // The runtime then looks for a module that it could not load among the contract's.
    let text = text.replace("WIT import not found\n", "");
    // Types are removed without looking at the exports of the other module.
    let advice = "\nin TypeScript, if that is a type, say so where it is named: import { type X } or export { type X }";
    let own = if text.contains("in module 'parlor'") { "\nwhat parlor exports stands in parlor.d.ts" } else { "" };
    if text.contains("Could not find export") { text + own + advice } else { text }
}
