//! Replacing one instance by another: between two events, and with the events that the old one has not handled.

use std::sync::Arc;
use std::time::Duration;

use parlor_base::id::InstanceId;
use parlor_plugins::admission::Admitted;
use tokio::sync::oneshot;

use super::{Dependency, HANDOVER, Shared, Standing, Supervised, lock, progress};
use crate::engine::{Compiled, Engine};
use crate::instance::Lasting;
use crate::run::{Inherited, ShutdownMode};
use crate::watched::Watched;

/// The state that an instance needs to replace another one.
pub(super) struct Replacement {
    /// The other instance, if it runs.
    pub(super) old: Option<InstanceId>,
    /// Receives the part that the other one leaves.
    pub(super) inherited: oneshot::Receiver<Inherited>,
    /// The lasting state of the other one, such as the rooms that it opened.
    pub(super) before: Arc<Lasting>,
}

/// A handle that lets a plugin started beside another one replace it.
pub struct Successor {
    pub(super) shared: Arc<Shared>,
    /// Sends the part that the old instance leaves.
    pub(super) leaves: oneshot::Sender<Inherited>,
}

impl Supervised {
    /// Starts a plugin beside another one on the same account, which it will replace. It receives no events until then.
    /// If it fails before, it is not restarted.
    pub fn start_beside(
        old: &Self,
        admitted: Arc<Admitted>,
        compiled: Arc<Compiled>,
        engine: Arc<Engine>,
        after: Vec<Dependency>,
    ) -> (Self, Successor) {
        let account = Arc::clone(&old.shared.account);
        let (leaves, inherited) = oneshot::channel();
        let before = Arc::clone(&old.shared.lasting);
        let replaced = Replacement { old: old.instance().map(|instance| instance.id), inherited, before };
        let progress = match (admitted.manifest.catch_up, &old.shared.progress) {
            (true, known) if known.is_kept() => known.clone(),
            _ => progress(&admitted, &account),
        };
        let new = Self::begin(admitted, compiled, engine, account, after, progress, Some(replaced));
        let replacement = Successor { shared: Arc::clone(&new.shared), leaves };
        (new, replacement)
    }
}

impl Successor {
    /// Replaces the old plugin by the new one, which runs: between two events, and with all events that the old one has
    /// not handled. Then the old one ends. If the new one handles events in order, those of rooms and people wait for that.
    pub async fn take_over(self, old: Supervised) {
        let new = self.shared.standing.with(|standing| standing.instance.clone());
        let Some(new) = new else {
            // The new one just failed. It is restarted like any plugin that fails. The old one ends first: two at once
            // would answer twice.
            old.stop().await;
            self.shared.standing.has_replaced();
            return;
        };
        let account = &self.shared.account;
        self.shared.progress.succeed().await;
        self.shared.standing.has_replaced();
        let before = old.instance().map(|instance| (Arc::clone(&instance.mailbox), instance.limits.stop));
        let limit = before.as_ref().map_or(Duration::ZERO, |(_, limit)| (*limit).max(HANDOVER));
        account.swap(before.map(|(mailbox, _)| mailbox), Arc::clone(&new.mailbox)).await;
        // First: one that is parked leaves its rest then.
        old.part(ShutdownMode::Handover);
        let rest = lock(&old.shared.parking).take_rest();
        let left = match rest {
            // If the old instance does not respond in time, its events are lost.
            Some(rest) => tokio::time::timeout(limit, rest).await.ok().and_then(Result::ok).unwrap_or_default(),
            None => Vec::new(),
        };
        let snapshot = account.snapshot();
        let is_contact = |jid: &jid::BareJid| snapshot.is_contact(jid);
        // The new instance has its own subscriptions, so events that it did not subscribe to are dropped.
        let mail = left.into_iter().filter_map(|mail| account.router.mail_again(new.id, mail, &is_contact));
        let backlog = mail.collect();
        drop(snapshot);
        let (has_ended, old_ends) = oneshot::channel();
        // The new one may have failed just now, and then takes none.
        let _ = self.leaves.send(Inherited { backlog, old_ends });
        old.stop().await;
        drop(has_ended);
    }
}

/// Waits for the decision about an instance that failed beside another one: true if it replaces the other one anyway,
/// because the failure occurred too late.
pub(super) async fn takes_over(standing: &Watched<Standing>) -> bool {
    let decided = |standing: &Standing| match standing {
        Standing { shutdown: Some(_), .. } => Some(false),
        Standing { is_beside, .. } => (!is_beside).then_some(true),
    };
    standing.pick(decided).await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// It may fail after it was seen running, when replacing the other one was already decided.
    #[tokio::test]
    async fn one_that_failed_is_over_unless_it_has_the_other_ones_place() {
        let standing = Watched::new(Standing { is_beside: true, ..Standing::default() });
        assert!(takes_over(&standing).now_or_never().is_none());
        standing.change(|standing| standing.is_beside = false);
        assert_eq!(takes_over(&standing).now_or_never(), Some(true));
        standing.change(|standing| (standing.is_beside, standing.shutdown) = (true, Some(ShutdownMode::Now)));
        assert_eq!(takes_over(&standing).now_or_never(), Some(false));
    }
}
