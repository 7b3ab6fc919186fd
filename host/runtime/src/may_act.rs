//! Whether an account may act: in a cluster, only as long as its node has it.

use std::fmt;
use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};

/// The permission of an account to act. Without a cluster it always may, and asking costs nothing.
///
/// It is asked before a handler starts, before something is sent, before a request over the web, and before the answer to a request
/// to a webhook. Once it is gone, it never comes back: the account is about to end here, and may run elsewhere.
#[derive(Clone, Default)]
pub struct MayAct(Option<Arc<dyn Permission>>);

/// The permission that a cluster gives an account.
pub trait Permission: Send + Sync {
    /// Returns whether the account may act now.
    fn now(&self) -> bool;

    /// Returns whether the cluster has answered a moment ago. Otherwise the node may be cut off, and the account waits until it
    /// is [confirmed](Self::confirmed) before it does anything that others can see.
    fn is_fresh(&self) -> bool;

    /// Waits until the cluster has answered, and returns whether the account may act then. An action while it does
    /// not answer cannot be noted, and would be repeated elsewhere.
    fn confirmed(&self) -> BoxFuture<'static, bool>;
}

/// A permission that needs no confirmation.
struct Asking<F>(F);

impl<F: Fn() -> bool + Send + Sync> Permission for Asking<F> {
    fn now(&self) -> bool {
        self.0()
    }

    fn is_fresh(&self) -> bool {
        true
    }

    fn confirmed(&self) -> BoxFuture<'static, bool> {
        Box::pin(ready(self.0()))
    }
}

impl MayAct {
    /// Creates a permission that is asked for in this way each time.
    pub fn asking(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self::given_by(Asking(ask))
    }

    /// Creates a permission that a cluster gives.
    pub fn given_by(permission: impl Permission + 'static) -> Self {
        Self(Some(Arc::new(permission)))
    }

    /// Returns whether the account may act now.
    pub fn now(&self) -> bool {
        self.0.as_ref().is_none_or(|permission| permission.now())
    }

    /// Returns whether the cluster has answered a moment ago, so that nothing has to wait. It costs a look at the clock.
    pub(crate) fn is_fresh(&self) -> bool {
        self.0.as_ref().is_none_or(|permission| permission.is_fresh())
    }

    /// Waits until the cluster has answered, unless it has a moment ago. Returns whether the account may act then.
    pub(crate) async fn now_or_confirmed(&self) -> bool {
        let Some(permission) = &self.0 else { return true };
        permission.now() && (permission.is_fresh() || permission.confirmed().await)
    }

    /// Returns what a piece of work waits for; `None` if it may begin at once.
    ///
    /// If it is noted once it is done, the cluster must answer a question that is asked now: a node that is cut off could not note it, and the
    /// next one would do it again. Nobody does other work again, so that it waits only if the cluster has not answered a moment ago.
    pub(crate) fn before(&self, is_noted: bool) -> Option<BoxFuture<'static, bool>> {
        let permission = self.0.as_ref()?;
        (is_noted || !permission.is_fresh()).then(|| permission.confirmed())
    }

    /// Returns what waits until the cluster has answered; `None` without a cluster.
    pub(crate) fn confirmed(&self) -> Option<BoxFuture<'static, bool>> {
        self.0.as_ref().map(|permission| permission.confirmed())
    }

    /// Returns whether a cluster gives it, so that the account may go on elsewhere.
    pub(crate) fn is_of_a_cluster(&self) -> bool {
        self.0.is_some()
    }
}

/// Waits until the cluster has answered, or forever if nothing waits for that. Returns whether the account may act then.
pub(crate) async fn next_confirmed(confirming: &mut Option<BoxFuture<'static, bool>>) -> bool {
    match confirming {
        Some(confirming) => confirming.await,
        None => std::future::pending().await,
    }
}

impl fmt::Debug for MayAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MayAct").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cluster {
        now: bool,
        is_fresh: bool,
        answers: bool,
    }

    impl Permission for Cluster {
        fn now(&self) -> bool {
            self.now
        }

        fn is_fresh(&self) -> bool {
            self.is_fresh
        }

        fn confirmed(&self) -> BoxFuture<'static, bool> {
            Box::pin(ready(self.answers))
        }
    }

    #[tokio::test]
    async fn an_act_needs_a_lease_and_an_answer_of_the_cluster() {
        assert!(MayAct::default().now_or_confirmed().await, "there is no cluster");
        for (now, is_fresh, answers, expected) in [
            (true, true, false, true),
            (true, false, true, true),
            (true, false, false, false),
            (false, true, true, false),
            (false, false, true, false),
        ] {
            let may_act = MayAct::given_by(Cluster { now, is_fresh, answers });
            assert_eq!(may_act.now_or_confirmed().await, expected, "{now} {is_fresh} {answers}");
        }
    }

    /// Otherwise each message of each plugin would be a question to NATS.
    #[tokio::test]
    async fn work_that_nobody_notes_waits_only_if_the_cluster_has_not_answered_a_moment_ago() {
        for is_noted in [true, false] {
            assert!(MayAct::default().before(is_noted).is_none(), "there is no cluster");
            for is_fresh in [true, false] {
                let may_act = MayAct::given_by(Cluster { now: true, is_fresh, answers: true });
                let waits = may_act.before(is_noted);
                assert_eq!(waits.is_some(), is_noted || !is_fresh, "{is_noted} {is_fresh}");
                if let Some(answered) = waits {
                    assert!(answered.await);
                }
            }
        }
    }
}
