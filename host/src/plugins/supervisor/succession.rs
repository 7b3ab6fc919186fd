//! How one instance takes another one's place: between two events, and with the mail that the other one has not handled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{HANDOVER, Shared, Supervised, lock};
use crate::plugins::instance::{Backlog, Parting};

/// How one that was started beside another one takes its place.
pub struct Succession {
    pub(super) shared: Arc<Shared>,
    /// Where what the old one leaves is put.
    pub(super) backlog: oneshot::Sender<Backlog>,
}

impl Succession {
    /// Puts the new one, which runs, in the place of the old one: from one event to the next, and with all that the old one has not
    /// handled. Then the old one ends.
    pub async fn take_over(self, old: Supervised) {
        let new = self.shared.instance.borrow().clone();
        let Some(new) = new else { return old.stop().await };
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
