//! The background runtime, for instances that used more than their share of the CPU.

/// The background runtime for instances whose account is overdrawn: one thread that runs only when no other thread
/// wants to.
#[derive(Debug)]
pub(crate) struct BackgroundRuntime(Option<tokio::runtime::Runtime>);

impl BackgroundRuntime {
    /// Starts its thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("parlor-bg")
            .enable_all()
            // Guests take whole slices here, and timers and new tasks must not wait for 61 of them.
            .event_interval(1)
            .global_queue_interval(1)
            .on_thread_start(step_back)
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Returns the handle to spawn tasks on it.
    pub(crate) fn handle(&self) -> &tokio::runtime::Handle {
        self.0.as_ref().expect("taken only on drop").handle()
    }
}

impl Drop for BackgroundRuntime {
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
        tracing::warn!(error = %std::io::Error::last_os_error(), "the background runtime runs at normal priority");
    }
}
