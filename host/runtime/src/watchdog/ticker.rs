//! The thread that advances the epoch, so that guests that compute are interrupted.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

/// The interval at which the epoch advances while guests compute.
const TICK: Duration = Duration::from_millis(1);
/// The interval at which the thread looks whether one does, while they only run for moments. A guest that begins to
/// compute is interrupted that much later, once.
const LOOK: Duration = Duration::from_millis(4);
/// The time without any poll after which the thread parks. An idle host costs nothing then, and polls that follow each
/// other are spared the wake-up.
const QUIET: Duration = Duration::from_millis(50);

/// Advances the epoch every millisecond while guests compute, and sleeps while none does.
#[derive(Debug, Clone)]
pub(crate) struct Ticker {
    shared: Arc<TickerShared>,
}

#[derive(Debug)]
struct TickerShared {
    /// The number of polls that have begun, and of those that have ended.
    begun: AtomicU64,
    ended: AtomicU64,
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
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
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
        shared.begun.fetch_add(1, SeqCst);
        if shared.is_parked.load(SeqCst) {
            shared.unpark();
        }
        Awake(shared)
    }
}

pub(super) struct Awake<'a>(&'a TickerShared);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
    }
}

impl TickerShared {
    fn run(&self, engine: &Engine) {
        let (mut begun, mut quiet) = (0, Duration::ZERO);
        while !self.stopped.load(Relaxed) {
            // A poll of a few microseconds needs no tick.
            let nap = if self.is_awake() { TICK } else { LOOK };
            std::thread::sleep(nap);
            engine.increment_epoch();
            let now = self.begun.load(Relaxed);
            quiet = if now == begun && !self.is_awake() { quiet + nap } else { Duration::ZERO };
            begun = now;
            if quiet >= QUIET {
                self.park();
                quiet = Duration::ZERO;
            }
        }
    }

    /// Returns whether a poll is running.
    fn is_awake(&self) -> bool {
        // In this order, a poll that ends in between shows as running, and no running one is missed.
        let ended = self.ended.load(SeqCst);
        self.begun.load(SeqCst) != ended
    }

    fn park(&self) {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        *parked = true;
        self.is_parked.store(true, SeqCst);
        // A poll that began before `is_parked` was visible shows here.
        while *parked && !self.is_awake() && !self.stopped.load(Relaxed) {
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
