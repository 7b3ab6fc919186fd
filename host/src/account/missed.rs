//! What a plugin missed, told to it by the account's task: between two events, so that nobody tells the same at the same time.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Order, Shared};
use crate::error::CallError;
use crate::event::{Event, Payload};
use crate::router::Mailbox;
use crate::session::Archived;

/// Messages of the archive for one plugin.
#[derive(Debug)]
pub(super) struct Missed {
    to: Arc<Mailbox>,
    messages: VecDeque<Archived>,
    /// How many were told, and what was left for want of room.
    outcome: oneshot::Sender<(usize, VecDeque<Archived>)>,
}

impl Missed {
    /// Tells as much as there is room for.
    pub(super) fn tell(mut self, shared: &Shared) {
        let mut told = 0;
        while self.to.has_room_for_the_past()
            && let Some(archived) = self.messages.pop_front()
        {
            let payload = Payload::Message(Arc::from(archived.message));
            let event = Event { name: "message".into(), at: shared.clock.now(), payload };
            told += usize::from(shared.route_missed(&self.to, event));
        }
        // Its plugin may have ended.
        let _ = self.outcome.send((told, self.messages));
    }
}

impl Shared {
    /// Tells an instance what it missed, the first of these first, as far as its mailbox has room for what can wait. Gives
    /// how many it hears, and the rest.
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
