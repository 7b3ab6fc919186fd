//! Requests (IQs) of others on their way from the session to the plugin that answers them, and back.

use std::sync::Arc;

use jid::Jid;
use parlor_base::id::PluginId;
use parlor_session::router::Mailbox;
use parlor_stanza::types::{ForeignRequest, Outgoing, Reply};

use super::answerers::NotPassed;
use super::order::Order;
use super::shared::Shared;
use super::worker::Worker;

impl Worker {
    /// Passes a request to the plugin that answers its namespace, or refuses it.
    pub(super) fn ask_plugin(&mut self, request: ForeignRequest) {
        if let Err(not_passed) = self.shared.answerers.pass(request) {
            let NotPassed { request, reply } = *not_passed;
            self.put_out(Outgoing::Reply { to: request.from, id: request.id, reply }, None);
        }
    }

    /// Announces the namespaces that plugins answer now, the nodes that they subscribe to, and their own features.
    pub(super) fn announce_answered(&mut self) {
        let mut features = self.shared.answerers.answered();
        let (nodes, left_out_nodes) = self.shared.announcers.features();
        features.extend(nodes);
        if left_out_nodes > 0 {
            tracing::warn!(
                account = %self.shared.name, left_out = left_out_nodes,
                "plugins want to be told of more nodes than the account can announce; grant pubsub.read for fewer named nodes"
            );
        }
        let left_out = self.session.announce(features, self.shared.announcers.withheld());
        if left_out > 0 {
            tracing::warn!(
                account = %self.shared.name, left_out,
                "plugins answer requests of more namespaces than the account can announce; revoke iq.answer for some"
            );
        }
    }
}

/// Announces the nodes that an instance subscribes to, and its features, as its new grants let it.
pub(crate) fn announce_granted(account: &Arc<Shared>, mailbox: &Arc<Mailbox>) {
    account.announcers.add(mailbox);
    let told = Arc::clone(account);
    account.place.runtime.spawn(async move { announce_answered(&told).await });
}

/// Announces the namespaces that plugins answer now, and the nodes that they subscribe to.
pub async fn announce_answered(account: &Shared) {
    account.tell(|done| Order::Answered { done }).await;
}

/// Answers a request of somebody. Without an address, of the own server or account.
pub(crate) async fn answer(account: &Shared, to: Option<Jid>, id: String, reply: Reply) {
    // An account that has stopped sends no answers.
    let _ = account.order(Order::Reply { to, id, reply }).await;
}

/// Forgets the claims of plugins that are gone to answer requests. Returns whether there were any: other plugins may
/// answer them now, which must be [announced](announce_answered).
pub fn forget_answerers(account: &Shared, is_there: impl Fn(&PluginId) -> bool) -> bool {
    account.answerers.forget(is_there)
}
