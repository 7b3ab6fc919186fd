//! Whether a change of an account, or the name of a snapshot before it, waits for the log.
//!
//! If several servers keep the streams, each stream has a leader of its own. The server that leads the log of an account may be lost while
//! the one that leads the state goes on and takes leases. Until another server leads the log, which takes seconds, the account could act
//! and note nothing of it.
//!
//! If one server keeps them, the connection of the stores may hang alone: those of the lease and of the threads of accounts go on.

use std::sync::Arc;
use std::time::Duration;

use parlor_cluster::FRESH;
use tokio::sync::watch;

use crate::clock;

/// Tells since when a change waits, by the clock of nodes; `None` if none does. Copies share it.
#[derive(Debug, Clone)]
pub(crate) struct Unnoted(Arc<watch::Sender<Option<Duration>>>);

impl Default for Unnoted {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Unnoted {
    /// Notes that a change waits from now on.
    pub(crate) fn begins(&self, now: Duration) {
        self.0.send_replace(Some(now));
    }

    /// Notes that no change waits any more.
    pub(crate) fn ends(&self) {
        self.0.send_replace(None);
    }

    /// Returns whether a change has waited for so long that the account must not act.
    pub(crate) fn is_long(&self, now: Duration) -> bool {
        self.0.borrow().is_some_and(|since| now > since + FRESH)
    }

    /// Returns once no change has waited for long.
    pub(crate) async fn is_over(&self) {
        let mut told = self.0.subscribe();
        // The sender is here, so this never fails.
        while self.is_long(clock::now()) && told.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_change_may_wait_for_a_moment() {
        let (unnoted, now) = (Unnoted::default(), clock::now());
        assert!(!unnoted.is_long(now) && unnoted.is_over().now_or_never().is_some());
        unnoted.begins(now);
        assert!(!unnoted.is_long(now + FRESH) && unnoted.is_long(now + FRESH * 2));
        unnoted.begins(now.saturating_sub(FRESH * 2));
        let mut waits = Box::pin(unnoted.is_over());
        assert!((&mut waits).now_or_never().is_none());
        unnoted.ends();
        assert!(waits.now_or_never().is_some() && !unnoted.is_long(now + FRESH * 2));
    }
}
