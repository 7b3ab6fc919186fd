//! How one instance takes another one's place: between two events, and with the mail that the other one has not handled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::{Dependency, HANDOVER, Shared, Supervised, books, lock};
use crate::plugins::InstanceId;
use crate::plugins::admission::Admitted;
use crate::plugins::engine::{Compiled, Engine};
use crate::plugins::instance::{Backlog, Lasting, Parting};

/// How an instance begins that is to take another one's place.
pub(super) struct Beside {
    /// The other one, if it runs.
    pub(super) old: Option<InstanceId>,
    /// What the other one leaves.
    pub(super) backlog: oneshot::Receiver<Backlog>,
    /// What the other one passes on: whoever takes its place has the rooms that it has opened.
    pub(super) before: Lasting,
}

/// How one that was started beside another one takes its place.
pub struct Succession {
    pub(super) shared: Arc<Shared>,
    /// Where what the old one leaves is put.
    pub(super) backlog: oneshot::Sender<Backlog>,
}

impl Supervised {
    /// Starts it beside another one on the same account, whose place it is to take: it hears nothing until then. If it fails
    /// before, it is over.
    pub fn start_beside(
        old: &Self,
        admitted: Arc<Admitted>,
        compiled: Arc<Compiled>,
        engine: Arc<Engine>,
        after: Vec<Dependency>,
    ) -> (Self, Succession) {
        let account = Arc::clone(&old.shared.account);
        let (sender, backlog) = oneshot::channel();
        let before = old.shared.lasting.clone();
        let beside = Beside { old: old.instance().map(|instance| instance.id), backlog, before };
        let books = match (admitted.manifest.catch_up, &old.shared.books) {
            (true, known) if known.are_kept() => known.clone(),
            _ => books(&admitted, &account),
        };
        let new = Self::begin(admitted, compiled, engine, account, after, books, Some(beside));
        let succession = Succession { shared: Arc::clone(&new.shared), backlog: sender };
        (new, succession)
    }
}

impl Succession {
    /// Puts the new one, which runs, in the place of the old one: from one event to the next, and with all that the old one has not
    /// handled. Then the old one ends.
    pub async fn take_over(self, old: Supervised) {
        let new = self.shared.instance.borrow().clone();
        let Some(new) = new else {
            // It failed just now, and is started again, as one that fails in that place. Two at once would answer twice.
            old.stop().await;
            self.shared.is_beside.send_replace(false);
            return;
        };
        let account = &self.shared.account;
        self.shared.books.succeed().await;
        self.shared.is_beside.send_replace(false);
        let before = old.instance().map(|instance| (Arc::clone(&instance.mailbox), instance.limits.stop));
        let limit = before.as_ref().map_or(Duration::ZERO, |(_, limit)| (*limit).max(HANDOVER));
        account.swap(before.map(|(mailbox, _)| mailbox), Arc::clone(&new.mailbox)).await;
        let rest = lock(&old.shared.rest).take();
        old.part(Parting::Handover);
        let left = match rest {
            // One that does not come to itself within its time takes along what it has.
            Some(rest) => tokio::time::timeout(limit, rest).await.ok().and_then(Result::ok).unwrap_or_default(),
            None => Vec::new(),
        };
        let snapshot = account.snapshot();
        let is_contact = |jid: &jid::BareJid| snapshot.is_contact(jid);
        // The new one listens in its own way: what it does not want to hear, it does not hear.
        let mail = left.into_iter().filter_map(|mail| account.router.mail_again(new.id, mail, &is_contact));
        let mail = mail.collect();
        drop(snapshot);
        // It may have failed just now.
        let _ = self.backlog.send(mail);
        old.stop().await;
    }
}

/// Whether one that failed beside another one takes its place all the same: whoever gives it that may not have heard of it yet.
pub(super) async fn takes_over(
    mut beside: watch::Receiver<bool>,
    stopped: &mut watch::Receiver<Option<Parting>>,
) -> bool {
    tokio::select! {
        biased;
        _ = stopped.wait_for(Option::is_some) => false,
        taken = beside.wait_for(|beside| !beside) => taken.is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// It may fail when it has been seen to run, and the other one is to go.
    #[tokio::test]
    async fn one_that_failed_is_over_unless_it_has_the_other_ones_place() {
        let (beside, (stop, mut stopped)) = (watch::Sender::new(true), watch::channel(None));
        assert!(takes_over(beside.subscribe(), &mut stopped).now_or_never().is_none());
        beside.send_replace(false);
        assert_eq!(takes_over(beside.subscribe(), &mut stopped).now_or_never(), Some(true));
        beside.send_replace(true);
        stop.send_replace(Some(Parting::Now));
        assert_eq!(takes_over(beside.subscribe(), &mut stopped).now_or_never(), Some(false));
    }
}
