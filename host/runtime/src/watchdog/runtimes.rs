//! The runtimes for guests that leave the thread of their account.

use std::io;
use std::num::NonZero;

use tokio::runtime::{Builder, Handle, Runtime};

use super::Runs;

/// The runtimes besides those of the accounts.
#[derive(Debug)]
pub(crate) struct Runtimes {
    computing: OwnedRuntime,
    background: OwnedRuntime,
}

impl Runtimes {
    /// Starts their threads.
    pub(crate) fn start() -> io::Result<Self> {
        // Half of the cores, so that the threads of accounts always find one.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let computing = OwnedRuntime::start(builder("parlor-computing", (cores / 2).max(1)))?;
        let mut background = builder("parlor-bg", 1);
        background.on_thread_start(step_back);
        Ok(Self { computing, background: OwnedRuntime::start(background)? })
    }

    /// Returns the runtime that polls an instance. `account` is the one of its account.
    pub(crate) fn of<'a>(&'a self, runs: Runs, account: &'a Handle) -> &'a Handle {
        match runs {
            Runs::WithAccount => account,
            Runs::Computing => self.computing.handle(),
            Runs::InBackground => self.background.handle(),
        }
    }

    /// Returns the number of tasks on all of them.
    pub(crate) fn tasks(&self) -> usize {
        [&self.computing, &self.background].map(|beside| beside.handle().metrics().num_alive_tasks()).into_iter().sum()
    }
}

fn builder(name: &str, threads: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).enable_all();
    // Guests take whole slices here, and timers and new tasks must not wait for 61 of them.
    builder.event_interval(1).global_queue_interval(1);
    builder
}

/// A runtime that ends when it is dropped.
#[derive(Debug)]
struct OwnedRuntime(Option<Runtime>);

impl OwnedRuntime {
    fn start(mut builder: Builder) -> io::Result<Self> {
        Ok(Self(Some(builder.build()?)))
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("taken only on drop").handle()
    }
}

impl Drop for OwnedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A plain drop would block, and would panic inside another runtime.
            runtime.shutdown_background();
        }
    }
}

/// Lets the calling thread run only when no other thread wants to.
#[expect(unsafe_code, reason = "the scheduling class of a thread has no safe interface")]
fn step_back() {
    // SAFETY: an all-zero `sched_param` is valid, it outlives the call, and 0 names the calling thread.
    let failed = unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) != 0
    };
    if failed {
        tracing::warn!(error = %io::Error::last_os_error(), "the background runtime runs at normal priority");
    }
}
