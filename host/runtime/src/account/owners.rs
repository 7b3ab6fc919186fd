//! Commands of owners (XEP-0050) on their way from the session to the task that carries them out, and back.

use std::sync::PoisonError;

use jid::Jid;
use parlor_stanza::types::{AdHocRequest, Outgoing, Reply};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::order::Order;
use super::shared::Shared;
use super::worker::Worker;

/// Maximum number of commands that wait to be carried out. Further ones are refused.
pub(super) const REQUESTS: usize = 4;

impl Worker {
    /// Passes a command to the task that carries it out.
    pub(super) fn hand_on(&mut self, request: AdHocRequest) {
        // No task serves owners, or too many commands wait already.
        let sent = self.owner_requests.try_send(Box::new(request));
        if let Err(TrySendError::Closed(request) | TrySendError::Full(request)) = sent {
            let reply = Reply::Refuse { kind: "wait", condition: "resource-constraint" };
            self.put_out(Outgoing::Reply { to: Some(request.from), id: request.id, reply }, None);
        }
    }
}

impl Shared {
    /// Takes the receiver of the owners' commands. None: it was taken already.
    pub fn owner_requests(&self) -> Option<mpsc::Receiver<Box<AdHocRequest>>> {
        self.owner_requests.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers a command of an owner.
    pub async fn reply(&self, to: Jid, id: String, reply: Reply) {
        // An account that has stopped sends no answers.
        let _ = self.orders.send(Box::new(Order::Reply { to: Some(to), id, reply })).await;
    }
}
