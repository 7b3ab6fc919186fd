//! Polls what an instance waits for only if something of it was woken.
//!
//! wasmtime polls the future of `run_concurrent` before each step of the guest, which is several times for one event. Most of
//! these polls find nothing new. Each would ask the mailbox, the timers, the handlers and the request to stop once more.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::AcqRel;
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A future that is polled once, and then only if it was woken since its last poll.
pub(super) struct WhenWoken<'f, F> {
    inner: Pin<&'f mut F>,
    wakes: Arc<Wakes>,
    /// `wakes` as a [`Waker`].
    waker: Waker,
}

/// The wake-ups of a future since its last poll.
struct Wakes {
    /// Whether there was one.
    is_woken: AtomicBool,
    /// The task that polls it.
    task: AtomicWaker,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Set first: the poll that follows must see it.
        if !self.is_woken.swap(true, AcqRel) {
            self.task.wake();
        }
    }
}

impl<'f, F> WhenWoken<'f, F> {
    /// Wraps a future whose parts all wake it when they have something new.
    pub(super) fn new(inner: Pin<&'f mut F>) -> Self {
        let wakes = Arc::new(Wakes { is_woken: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { inner, waker: Waker::from(Arc::clone(&wakes)), wakes }
    }
}

impl<F: Future> Future for WhenWoken<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        // Registered first: a wake-up after the look at the flag wakes the task.
        this.wakes.task.register(context.waker());
        if !this.wakes.is_woken.swap(false, AcqRel) {
            return Poll::Pending;
        }
        this.inner.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::poll;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_once_and_then_after_each_time_that_it_was_woken() {
        let (polls, kept) = (Cell::new(0), Cell::new(None));
        let mut inner = pin!(poll_fn(|context: &mut Context<'_>| {
            polls.set(polls.get() + 1);
            kept.set(Some(context.waker().clone()));
            if polls.get() < 3 { Poll::Pending } else { Poll::Ready(polls.get()) }
        }));
        let mut woken = pin!(WhenWoken::new(inner.as_mut()));
        for expected in [1, 2] {
            for _ in 0..3 {
                assert_eq!(poll!(woken.as_mut()), Poll::Pending);
                assert_eq!(polls.get(), expected);
            }
            let waker: Waker = kept.take().unwrap();
            waker.wake_by_ref();
            waker.wake();
        }
        assert_eq!(poll!(woken.as_mut()), Poll::Ready(3));
    }

    #[tokio::test]
    async fn a_wake_up_reaches_the_task_that_polls_it() {
        let (done, arrives) = oneshot::channel();
        let waits = tokio::spawn(async move {
            let mut arrives = pin!(arrives);
            WhenWoken::new(arrives.as_mut()).await
        });
        tokio::task::yield_now().await;
        done.send(7).unwrap();
        let result = timeout(Duration::from_secs(20), waits).await.unwrap().unwrap();
        assert_eq!(result, Ok(7));
    }

    /// As a future does that yields: the wake-up comes while it is polled.
    #[tokio::test]
    async fn a_future_that_wakes_itself_is_polled_again() {
        let mut left = 3;
        let mut inner = pin!(poll_fn(|context: &mut Context<'_>| {
            left -= 1;
            context.waker().wake_by_ref();
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        }));
        timeout(Duration::from_secs(20), WhenWoken::new(inner.as_mut())).await.unwrap();
    }
}
