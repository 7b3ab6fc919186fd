//! The thread that advances the epoch, so that guests that compute are interrupted.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

/// The interval at which the epoch advances while guests compute.
const TICK: Duration = Duration::from_millis(1);

/// Advances the epoch every millisecond while guests compute, and sleeps while none does.
#[derive(Debug, Clone)]
pub(crate) struct Ticker {
    shared: Arc<TickerShared>,
}

#[derive(Debug)]
struct TickerShared {
    /// The number of running polls.
    awake: AtomicU64,
    /// Whether the thread is parked. The lock ensures that no wake-up is lost.
    parked: Mutex<bool>,
    wake: Condvar,
    /// The same, read without the lock in every poll.
    is_parked: AtomicBool,
    stopped: AtomicBool,
}

impl Ticker {
    /// Starts the thread. It ends when `stop` is called.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(TickerShared {
            awake: AtomicU64::new(0),
            parked: Mutex::new(false),
            wake: Condvar::new(),
            is_parked: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let (engine, ticking) = (engine.clone(), Arc::clone(&shared));
        std::thread::Builder::new().name("parlor-ticker".into()).spawn(move || ticking.run(&engine))?;
        Ok(Self { shared })
    }

    /// Stops the thread. Guests that compute are no longer interrupted, so end them first.
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Relaxed);
        self.shared.unpark();
    }

    /// Keeps the ticker running while the guard lives.
    pub(super) fn awake(&self) -> Awake<'_> {
        let shared = &*self.shared;
        shared.awake.fetch_add(1, SeqCst);
        if shared.is_parked.load(SeqCst) {
            shared.unpark();
        }
        Awake(shared)
    }
}

pub(super) struct Awake<'a>(&'a TickerShared);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.awake.fetch_sub(1, Relaxed);
    }
}

impl TickerShared {
    fn run(&self, engine: &Engine) {
        // A poll of a few microseconds needs no tick. Parking after a quiet time makes an idle host cost nothing, and
        // staying awake between closely spaced polls spares them the wake-up.
        const QUIET_TICKS: u32 = 50;
        let mut quiet = 0;
        while !self.stopped.load(Relaxed) {
            std::thread::sleep(TICK);
            engine.increment_epoch();
            quiet = if self.awake.load(Relaxed) == 0 { quiet + 1 } else { 0 };
            if quiet >= QUIET_TICKS {
                self.park();
                quiet = 0;
            }
        }
    }

    fn park(&self) {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        *parked = true;
        self.is_parked.store(true, SeqCst);
        // A poll that began before `is_parked` was visible shows in `awake`.
        while *parked && self.awake.load(SeqCst) == 0 && !self.stopped.load(Relaxed) {
            parked = self.wake.wait(parked).unwrap_or_else(PoisonError::into_inner);
        }
        *parked = false;
        self.is_parked.store(false, SeqCst);
    }

    fn unpark(&self) {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        *parked = false;
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_ticker_parks_when_nothing_runs_and_wakes_for_a_poll() {
        let ticker = Ticker::start(&Engine::default()).unwrap();
        let parked = |want: bool| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while ticker.shared.is_parked.load(Relaxed) != want {
                assert!(Instant::now() < deadline, "the ticker did not reach parked = {want}");
                std::thread::yield_now();
            }
        };
        parked(true);
        let awake = ticker.awake();
        parked(false);
        drop(awake);
        parked(true);
        ticker.stop();
    }
}
