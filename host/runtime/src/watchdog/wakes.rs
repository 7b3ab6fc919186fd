//! Wake-ups of an instance, among them those that it causes itself.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::task::Wake;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

use super::nanos;

/// The waker of an instance's futures. Most calls wake their own instance during its poll. Such a wake-up is kept until
/// the poll ends: a runtime offers a woken task to all of its threads, and one of them would wake up for nothing.
#[derive(Debug)]
pub(super) struct Wakes {
    /// [`Self::POLLING`], [`Self::WOKEN`], both or none.
    state: AtomicU8,
    began: Instant,
    /// The time of the last wake-up between two polls, in nanoseconds since `began`.
    woken: AtomicU64,
    /// The task that polls the instance.
    pub(super) task: AtomicWaker,
}

impl Wakes {
    const POLLING: u8 = 1;
    const WOKEN: u8 = 2;

    pub(super) fn new() -> Self {
        Self { state: AtomicU8::new(0), began: Instant::now(), woken: AtomicU64::new(0), task: AtomicWaker::new() }
    }

    /// Returns the time of the last wake-up between two polls.
    pub(super) fn woken(&self) -> Instant {
        self.began + Duration::from_nanos(self.woken.load(Relaxed))
    }

    /// Marks the start of a poll, which answers all earlier wake-ups.
    pub(super) fn begin(&self) {
        self.state.swap(Self::POLLING, AcqRel);
    }

    /// Returns whether there was a wake-up during the poll, which the next poll answers.
    pub(super) fn again(&self) -> bool {
        self.state.compare_exchange(Self::POLLING | Self::WOKEN, Self::POLLING, AcqRel, Acquire).is_ok()
    }

    /// Marks the end of polling. Returns whether a wake-up is still unanswered.
    pub(super) fn pause(&self) -> bool {
        self.state.swap(0, AcqRel) & Self::WOKEN != 0
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(Self::WOKEN, AcqRel) == 0 {
            self.woken.store(nanos(self.began.elapsed()), Relaxed);
            self.task.wake();
        }
    }
}
