//! Imports a plugin into a running interpreter, and keeps a snapshot of its memory afterwards.

use std::path::Path;

use parlor_base::escape::EscapedPath as _;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx};
use wasmtime_wizer::Wizer;

use super::super::snapshot::{self, Failure, compiled};
use super::base::Base;
use super::parts::{self, EVALUATE, FORGETS};
use super::stubs::snake;

/// The maximum length of a plugin's output during the build that is kept for its author, in bytes.
const MOST_PRINTED: usize = 1 << 20;

/// A plugin that was imported.
pub(super) struct Taken {
    /// The component that continues from there.
    pub(super) component: Vec<u8>,
    /// The output of the plugin meanwhile.
    pub(super) printed: Vec<u8>,
}

/// Imports the plugin in a folder, with the packages of a virtual environment if one is given. If it fails, its output
/// comes before the reason.
pub(super) fn take(base: &Base, component: &[u8], folder: &Path, packages: Option<&Path>) -> Result<Taken, Failure> {
    snapshot::apart(import(base, component, folder, packages))
}

async fn import(base: &Base, component: &[u8], folder: &Path, packages: Option<&Path>) -> Result<Taken, Failure> {
    let other = |error: wasmtime::Error| Failure::Component(format!("{error:#}"));
    let wizer = Wizer::new();
    let (context, instrumented) =
        wizer.instrument_component(component).map_err(|error| Failure::Component(format!("{error:#}")))?;
    let engine = snapshot::engine().map_err(other)?;
    let instrumented = compiled(&engine, instrumented).await?;
    let linker = snapshot::linker(&engine, &instrumented, snake, "@on_start").map_err(other)?;
    let printed = MemoryOutputPipe::new(MOST_PRINTED);
    let mut wasi = WasiCtx::builder();
    wasi.stdout(printed.clone()).stderr(printed.clone());
    for (place, name) in base.folders(folder, packages) {
        // Imported code cannot write to the author's folder.
        wasi.preopened_dir(&place, name, FsPerms::ReadOnly)
            .map_err(|error| Failure::Component(format!("{}: {error:#}", place.escaped())))?;
    }
    let (mut store, _alarm) = snapshot::store(&engine, wasi.build());
    let instance = linker.instantiate_async(&mut store, &instrumented).await.map_err(other)?;

    let evaluate = instance.get_typed_func::<(), (Result<(), String>,)>(&mut store, EVALUATE).map_err(other)?;
    let (evaluated,) = evaluate.call_async(&mut store, ()).await.map_err(|error| snapshot::trapped(&error))?;
    if let Err(traceback) = evaluated {
        return Err(Failure::Source(String::from_utf8_lossy(&printed.contents()).into_owned() + &traceback));
    }
    for (_, name) in FORGETS {
        let forget = instance.get_typed_func::<(), ()>(&mut store, name).map_err(other)?;
        forget.call_async(&mut store, ()).await.map_err(other)?;
    }

    let component = snapshot::of_memory(&wizer, context, &mut store, instance).await?;
    let component = parts::without_building(&component).map_err(|error| Failure::Component(error.to_string()))?;
    Ok(Taken { component, printed: printed.contents().to_vec() })
}
