//! Measures what a parked plugin costs: memory of the host, counted by the allocator, and the time of its first answer.
//!
//! `cargo test --workspace --test parked_memory -- --nocapture` prints the figures.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that shows what it measures")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parlor_base::id::Digest;
use parlor_config::{AccountConfig, ChannelBinding, LinkSettings, PasswordSource, Settings, TransportChoice, Way};
use parlor_plugins::admission::Admitted;
use parlor_plugins::limits::Limits;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::SettingValues;
use parlor_runtime::account::Account;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::engine::{Compiled, Engine};
use parlor_runtime::supervisor::{State, Supervised};
use parlor_runtime::threads::Threads;
use parlor_session::command_names::CommandNames;
use parlor_session::permissions::Grants;
use parlor_store::Store;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use self::guest::{Step, component};

#[expect(dead_code, reason = "the unit tests use the rest")]
#[path = "../src/supervisor/parking/tests/guest.rs"]
mod guest;

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The number of parked plugins.
const PLUGINS: usize = 2_000;
/// The number that run at the same time before they are parked; the engine has room for a thousand.
const AT_ONCE: usize = 250;
/// The most bytes that one may take which has registered nothing; and a subscription, and a timer.
const MOST: [usize; 3] = [2 << 10, 2_560, 3_072];

const MANIFEST: &str = "[plugin]\nname = \"idler\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Waits\"\n\
    parks = true\n";

fn account() -> Account {
    let link = LinkSettings {
        jid: "bot@example.org/bot".parse().unwrap(),
        way: Way::Password,
        password: PasswordSource::Environment("NONE".to_owned()),
        server: None,
        tls: None,
        ca_file: None,
        allow_plain: false,
        channel_binding: ChannelBinding::Auto,
        transport: TransportChoice::Auto,
        websocket: None,
        keep_unsent: Duration::from_hours(1),
        bosh: None,
        prebind: None,
        ping_interval: Duration::from_mins(3),
    };
    let name = "main".parse().unwrap();
    let config = AccountConfig { name, link, owners: Vec::new(), settings: Settings::default() };
    Account::start(config, Store::in_memory(), Threads::of_the_caller().place())
}

fn admitted(number: usize, manifest: &Arc<Manifest>) -> Arc<Admitted> {
    Arc::new(Admitted {
        id: format!("idler{number}").parse().unwrap(),
        digest: Digest::of(b""),
        manifest: Arc::clone(manifest),
        grants: Arc::new(Grants::default()),
        limits: Arc::new(Limits { idle: Duration::from_millis(10), ..Limits::default() }),
        settings: SettingValues::default(),
        wasi: false,
        raises: false,
        log: None,
        commands: CommandNames::default(),
        warnings: Vec::new(),
    })
}

async fn until(plugin: &Supervised, state: State) {
    plugin.until(|now| *now == state).await;
}

/// Starts a plugin for each of these, and waits until all are parked.
async fn park(all: &[Arc<Admitted>], compiled: &Arc<Compiled>, engine: &Arc<Engine>, on: &Account) -> Vec<Supervised> {
    let start = |one: &Arc<Admitted>| {
        let (one, compiled, engine) = (Arc::clone(one), Arc::clone(compiled), Arc::clone(engine));
        Supervised::start(one, compiled, engine, Arc::clone(on.shared()), Vec::new())
    };
    let mut parked = Vec::with_capacity(all.len());
    for some in all.chunks(AT_ONCE) {
        let started: Vec<_> = some.iter().map(start).collect();
        join_all(started.iter().map(|plugin| until(plugin, State::Parked))).await;
        parked.extend(started);
    }
    // The tasks end now.
    tokio::task::yield_now().await;
    parked
}

#[tokio::test(start_paused = true)]
async fn a_parked_plugin_takes_little_memory() {
    let manifest = Arc::new(Manifest::parse(MANIFEST).unwrap());
    let engine = Arc::new(Engine::start(Compiler::ThisProcess, None).unwrap());
    for ((steps, name), most) in [
        (&[][..], "without any registration"),
        (&[Step::On("tick")], "with a subscription"),
        (&[Step::On("tick"), Step::Every(3_600_000)], "with a subscription and a timer"),
    ]
    .into_iter()
    .zip(MOST)
    {
        // A fresh one, which has no record of any plugin.
        let on = account();
        let bytes = component(steps);
        let compiled = engine.compile(Digest::of(&bytes), bytes, false).await.unwrap().0;
        let all: Vec<_> = (0..PLUGINS).map(|number| admitted(number, &manifest)).collect();
        // The first ones take what all of them share.
        for plugin in park(&all[..AT_ONCE], &compiled, &engine, &account()).await {
            plugin.stop().await;
        }
        let region = Region::new(MEMORY);
        let parked = park(&all, &compiled, &engine, &on).await;
        let change = region.change();
        let bytes = (change.bytes_allocated - change.bytes_deallocated) / PLUGINS;
        let blocks = (change.allocations - change.deallocations) / PLUGINS;
        println!("a parked plugin {name}: {bytes} bytes in {blocks} blocks");
        for plugin in parked {
            plugin.stop().await;
        }
        assert!(bytes <= most, "{name}: {bytes} bytes");
    }
}
