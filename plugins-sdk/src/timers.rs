//! Waiting, and being woken. Free for every plugin; at most 64 timers at once.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! timers::sleep(Duration::from_millis(500)).await;
//!
//! let tick = timers::every(Duration::from_secs(60), || async {
//!     info!("another minute");
//!     Ok(())
//! })?;
//! timers::after(Duration::from_secs(600), move || async move { tick.cancel() })?;
//! # Ok(()) }
//! ```

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::bindings::parlor::plugin::timers;
use crate::error::{Error, Result};
use crate::failure::of_call;
use crate::runtime::{self, Handler};

/// Waits. Other events of this plugin are handled meanwhile.
pub async fn sleep(duration: Duration) {
    timers::sleep(milliseconds(duration)).await;
}

/// Returns the result of `work`, or [`Error::TimedOut`] if there is none after `duration`. On a timeout `work` is
/// dropped, and the calls that it waits for are given up. Use it for something that may never come.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// timers::within(Duration::from_secs(60), wait_until("weatherReady")).await??;
/// # Ok(()) }
/// ```
pub async fn within<T>(duration: Duration, work: impl Future<Output = T>) -> Result<T> {
    let mut work = pin!(work);
    let mut end = pin!(sleep(duration));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Ok(value)),
        Poll::Pending => end.as_mut().poll(context).map(|()| Err(Error::TimedOut)),
    })
    .await
}

/// Runs `closure` once, after `duration`.
#[track_caller]
pub fn after<W>(duration: Duration, closure: impl FnOnce() -> W + 'static) -> Result<Timer>
where
    W: Future<Output = Result<()>> + 'static,
{
    let timer = timers::after(milliseconds(duration)).map_err(of_call("timers.after", ""))?;
    runtime::handle(timer, Handler::Once(Box::new(move |_| Box::pin(closure()))));
    Ok(Timer(timer))
}

/// Runs `closure` again and again. A period is at least 10 ms.
#[track_caller]
pub fn every<W>(period: Duration, closure: impl Fn() -> W + 'static) -> Result<Timer>
where
    W: Future<Output = Result<()>> + 'static,
{
    let timer = timers::every(milliseconds(period)).map_err(of_call("timers.every", ""))?;
    runtime::handle(timer, Handler::Always(Rc::new(move |_| Box::pin(closure()))));
    Ok(Timer(timer))
}

/// An active timer. It continues when this is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer(u64);

impl Timer {
    /// Ends it. [`Error::NotFound`]: it has fired.
    #[track_caller]
    pub fn cancel(self) -> Result<()> {
        runtime::forget(self.0);
        timers::cancel(self.0).map_err(of_call("timers.cancel", ""))
    }
}

/// Rounded up, so that timers do not fire too early.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn what_is_there_at_once_needs_no_clock() {
        let mut work = pin!(within(Duration::ZERO, async { 7 }));
        assert_eq!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(7)));
    }

    #[test]
    fn a_part_of_a_millisecond_counts_as_a_whole_one() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_millis(7)), 7);
        assert_eq!(milliseconds(Duration::MAX), u64::MAX);
    }
}
