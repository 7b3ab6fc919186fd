//! Notices that a plugin which parks has had nothing to do for long enough.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::instance::{Instance, parking};

/// The time since a plugin last had anything to do. It costs nothing for plugins that do not park.
pub(super) struct Idle(Option<Counted>);

struct Counted {
    /// How long it must be idle.
    after: Duration,
    since: Instant,
    /// Set for the earliest time at which it may have been idle for long enough. Resetting it with each event would
    /// cost more than checking the time when it fires.
    check: Pin<Box<Sleep>>,
}

impl Idle {
    pub(super) fn of(instance: &Instance) -> Self {
        Self(parking::parks_after(instance).map(|after| {
            let since = Instant::now();
            Counted { after, since, check: Box::pin(sleep_until(since + after)) }
        }))
    }

    /// Notes that the plugin has something to do.
    pub(super) fn ends(&mut self) {
        if let Some(counted) = &mut self.0 {
            counted.since = Instant::now();
        }
    }

    /// Waits until the plugin has been idle for long enough, with nothing under way. Cancel-safe.
    pub(super) async fn lasts(&mut self, instance: &Instance) {
        let Some(Counted { after, since, check }) = &mut self.0 else { return pending().await };
        loop {
            check.as_mut().await;
            let now = Instant::now();
            if *since + *after > now {
                check.as_mut().reset(*since + *after);
            } else if parking::is_idle(instance) {
                return;
            } else {
                // The end of a call is not noticed here.
                check.as_mut().reset(now + *after);
            }
        }
    }
}
