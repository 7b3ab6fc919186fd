//! Messages that a plugin missed. The account's task delivers them between two events, so that nothing else delivers to
//! it at that time.

use std::collections::VecDeque;
use std::sync::Arc;

use parlor_session::event::{Event, Payload};
use parlor_session::router::Mailbox;
use parlor_session::{Archived, Undecryptable};
use parlor_stanza::error::CallError;
use tokio::sync::oneshot;

use super::order::{Missed, Order};
use super::shared::Shared;

impl Missed {
    /// Delivers as many messages as there is room for.
    pub(super) fn tell(mut self, shared: &Shared) {
        let mut told = 0;
        while self.to.has_room_for_the_past()
            && let Some(archived) = self.messages.pop_front()
        {
            let at = shared.clock.now();
            let event = match archived.undecryptable {
                None => Event { name: "message".into(), at, payload: Payload::Message(Arc::from(archived.message)) },
                Some(reason) => {
                    let payload = Payload::Undecryptable(Arc::new(Undecryptable::of(*archived.message, reason)));
                    Event { name: "undecryptable".into(), at, payload }
                }
            };
            let snapshot = shared.snapshot.load();
            let is_told = shared.router.route_missed(self.to.instance(), event, &|jid| snapshot.is_contact(jid));
            told += usize::from(is_told);
        }
        // The plugin may have ended.
        let _ = self.outcome.send((told, self.messages));
    }
}

impl Shared {
    /// Delivers the messages that an instance missed, in order, as far as its mailbox has room for messages that can
    /// wait. Returns how many were delivered, and the rest.
    pub(crate) async fn tell_missed(
        &self,
        to: &Arc<Mailbox>,
        messages: VecDeque<Archived>,
    ) -> Result<(usize, VecDeque<Archived>), CallError> {
        let (outcome, arrives) = oneshot::channel();
        self.order(Order::TellMissed(Missed { to: Arc::clone(to), messages, outcome })).await?;
        arrives.await.map_err(|_| CallError::Stopped)
    }
}
