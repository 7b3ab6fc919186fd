//! Runs the same guest in bare wasmtime: every call that it makes is answered with a constant.

use std::time::{Duration, Instant};

use anyhow::Result;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

use super::{Call, Kind, order};

mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "plugin" });
}

use bindings::Plugin;
use bindings::exports::parlor::plugin::guest::Event;
use bindings::parlor::plugin::listen::Filter;
use bindings::parlor::plugin::types::{Error, Payload};

/// An instance without a host.
pub(super) struct Bare {
    store: Store<u64>,
    plugin: Plugin,
}

impl Bare {
    /// Instantiates the guest and lets it subscribe: to `tick` first, to `measure` second.
    pub(super) async fn new(component: &[u8]) -> Result<Self> {
        Self::instantiate(component).await.map_err(|error| anyhow::anyhow!("{error:#}"))
    }

    async fn instantiate(component: &[u8]) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        linker.allow_shadowing(true);
        answers(&mut linker)?;
        let mut store = Store::new(&engine, 0);
        let plugin = Plugin::instantiate_async(&mut store, &component, &linker).await?;
        let guest = plugin.parlor_plugin_guest();
        let _ = store.run_concurrent(async |accessor| guest.call_initialize(accessor).await).await??;
        Ok(Self { store, plugin })
    }

    /// Makes the calls of one round.
    pub(super) async fn run(&mut self, kind: Kind) -> Result<Duration> {
        let guest = self.plugin.parlor_plugin_guest();
        let began = Instant::now();
        let done = self.store.run_concurrent(async |accessor| -> wasmtime::Result<()> {
            match kind.call {
                Call::ToHost(call) => {
                    let payload = Payload::Json(order(call, kind.times));
                    let _ = guest.call_handle_event(accessor, event("measure", 2, payload)).await?;
                }
                Call::ToGuest | Call::Emitted => {
                    for _ in 0..kind.times {
                        let _ = guest.call_handle_event(accessor, event("tick", 1, Payload::None)).await?;
                    }
                }
            }
            Ok(())
        });
        done.await.and_then(|done| done).map_err(|error| anyhow::anyhow!("{error:#}"))?;
        Ok(began.elapsed())
    }
}

fn event(name: &str, subscription: u64, payload: Payload) -> Event {
    Event {
        name: name.to_owned(),
        at: "2026-11-20T06:24:00.000Z".to_owned(),
        subscriptions: vec![subscription],
        payload,
    }
}

/// Defines the functions that the guest imports.
fn answers(linker: &mut Linker<u64>) -> wasmtime::Result<()> {
    linker.instance("parlor:plugin/listen@0.1.0")?.func_wrap(
        "on",
        |mut store, (_name, _filter): (String, Option<Filter>)| {
            *store.data_mut() += 1;
            Ok((Ok::<u64, Error>(*store.data()),))
        },
    )?;
    linker
        .instance("parlor:plugin/user@0.1.0")?
        .func_wrap("bare-jid", |_, (): ()| Ok(("bench@localhost".to_owned(),)))?;
    let mut settings = linker.instance("parlor:plugin/settings@0.1.0")?;
    settings.func_wrap("get", |_, (_key,): (String,)| Ok((Ok::<Option<String>, Error>(None),)))?;
    settings.func_wrap_concurrent("update", |_, (_values,): (Vec<(String, String)>,)| {
        Box::pin(async { Ok((Ok::<(), Error>(()),)) })
    })?;
    linker.instance("parlor:plugin/timers@0.1.0")?.func_wrap_concurrent("sleep", |_, (_ms,): (u64,)| {
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(())
        })
    })?;
    Ok(())
}
