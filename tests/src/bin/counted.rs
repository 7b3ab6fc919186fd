//! A host that counts its allocations, for `tests/suite/counts.rs`. It is `parlor run` in all that it does for plugins.
//!
//! At SIGUSR1 it logs how often it has allocated, how often much at once, and how many bytes it has now.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Result;
use parlor::host::Host;
use parlor_config::{Config, Overrides};
use parlor_runtime::compiler::{Bounds, Compiler};
use parlor_runtime::threads::Threads;
use parlor_runtime::traces::Traces;
use parlor_tests::plugins;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The most bytes of an allocation that is fast: up to this, glibc keeps what a thread has freed for the same thread.
const FAST: usize = 1_032;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LARGE: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn grew(allocated: *mut u8, bytes: usize) -> *mut u8 {
    if !allocated.is_null() {
        ALLOCATIONS.fetch_add(1, Relaxed);
        LARGE.fetch_add(u64::from(bytes > FAST), Relaxed);
        BYTES.fetch_add(bytes as u64, Relaxed);
    }
    allocated
}

fn shrank(bytes: usize) {
    BYTES.fetch_sub(bytes as u64, Relaxed);
}

#[expect(unsafe_code, reason = "the interface of allocators is unsafe")]
// SAFETY: each call is passed on as it is to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, here and below.
        grew(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see above.
        grew(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, allocated: *mut u8, layout: Layout) {
        shrank(layout.size());
        // SAFETY: see above.
        unsafe { System.dealloc(allocated, layout) }
    }

    unsafe fn realloc(&self, allocated: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: see above.
        let moved = grew(unsafe { System.realloc(allocated, layout, bytes) }, bytes);
        if !moved.is_null() {
            shrank(layout.size());
        }
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<()> {
    // Most lines of the level below would be allocations that `parlor run` does not make.
    let filter = EnvFilter::new("info,parlor_runtime::supervisor::parking=debug");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).json().flatten_event(true).init();
    let config = Config::load(Path::new("parlor.toml"), &Overrides::default())?;
    let (program, bounds, traces) = (plugins::program("parlor")?, Bounds::default(), Traces::Functions);
    let (mut count, mut stop) = (signal(SignalKind::user_defined1())?, signal(SignalKind::terminate())?);
    let compiler = Compiler::Process { program, bounds, traces };
    let host = Host::start(config, compiler, Threads::of_this_machine()?).await?;
    loop {
        tokio::select! {
            _ = count.recv() => {
                let [allocations, large, bytes] = [&ALLOCATIONS, &LARGE, &BYTES].map(|count| count.load(Relaxed));
                tracing::info!(allocations, large, bytes, "counted");
            }
            _ = stop.recv() => break,
        }
    }
    host.stop().await;
    Ok(())
}
