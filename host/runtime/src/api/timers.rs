//! `timers`: sleeping, and timer events.

use std::time::Duration;

use parlor_session::permissions::CallName;
use parlor_session::router::SubscriptionId;
use parlor_stanza::error::CallError;
use tokio::time::Instant;
use wasmtime::component::Accessor;

use super::answer;
use crate::bindings::parlor::plugin::timers::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};
use crate::timers::SHORTEST_PERIOD;

/// Longer times are slept in pieces: no sum can overflow, and the runtime counts two years at most.
const LONGEST_PIECE: Duration = Duration::from_hours(24);

impl Host for Context {
    fn after(&mut self, milliseconds: u64) -> Result<u64, Error> {
        answer(set(&self.instance, Duration::from_millis(milliseconds), false))
    }

    fn every(&mut self, milliseconds: u64) -> Result<u64, Error> {
        let period = Duration::from_millis(milliseconds);
        answer(if period < SHORTEST_PERIOD {
            Err(CallError::invalid("milliseconds", format!("a period of at least {} ms", SHORTEST_PERIOD.as_millis())))
        } else {
            set(&self.instance, period, true)
        })
    }

    fn cancel(&mut self, timer: u64) -> Result<(), Error> {
        let was_set = self.instance.registered.with_timers(|timers| timers.cancel(SubscriptionId(timer)));
        answer(was_set.then_some(()).ok_or_else(|| CallError::NotFound(format!("timer {timer}"))))
    }
}

fn set(instance: &Instance, after: Duration, repeats: bool) -> Result<u64, CallError> {
    let limit = instance.limits.timers;
    instance.registered.with_timers(|timers| {
        if timers.len() >= limit as usize {
            return Err(CallError::OverLimit(format!("{limit} timers")));
        }
        Ok(timers.set(Instant::now(), after, repeats).0)
    })
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn sleep(accessor: &Accessor<T, Self>, milliseconds: u64) {
        // The contract has no error here. A call over the limit waits like the others.
        let _open = accessor.with(|mut access| access.get().instance.count_call(CallName::TimersSleep));
        if milliseconds == 0 {
            tokio::task::yield_now().await;
        } else {
            wait(Duration::from_millis(milliseconds)).await;
        }
    }
}

async fn wait(mut left: Duration) {
    while !left.is_zero() {
        let piece = left.min(LONGEST_PIECE);
        tokio::time::sleep(piece).await;
        left -= piece;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_days_waits_for_days() {
        let began = Instant::now();
        wait(Duration::from_hours(3 * 24)).await;
        assert_eq!(began.elapsed().as_secs(), 3 * 24 * 60 * 60);
        let for_ever = wait(Duration::from_millis(u64::MAX));
        assert!(tokio::time::timeout(Duration::from_hours(24 * 365), for_ever).await.is_err());
    }
}
