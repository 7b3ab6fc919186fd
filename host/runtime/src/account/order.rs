//! The requests to an account's task.

use std::collections::VecDeque;
use std::sync::Arc;

use jid::Jid;
use parlor_base::held::Holding;
use parlor_base::id::InstanceId;
use parlor_config::AccountConfig;
use parlor_session::router::Mailbox;
use parlor_session::{Answer, AnyCommand, Archived, Secret, Woken};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, Reply};
use tokio::sync::oneshot;

use super::alerts::Alert;
use super::connection::Credentials;
use super::keeps_awake::KeepsAwake;

/// An order that the account carries out however full its link is. A server that reads nothing must not delay the end
/// of a plugin, nor the shutdown of the host.
#[derive(Debug)]
pub(super) enum Order {
    PluginsInitialized { done: oneshot::Sender<()> },
    Connect,
    Disconnect(Answer<()>),
    LogIn(Option<Credentials>, Answer<()>),
    LogOut(Answer<()>),
    Forget { instance: InstanceId, done: oneshot::Sender<()> },
    Park { instance: InstanceId, done: oneshot::Sender<()> },
    Wake { instance: InstanceId, done: oneshot::Sender<Woken> },
    Successor { new: InstanceId, of: InstanceId, done: oneshot::Sender<()> },
    Swap { old: Option<Arc<Mailbox>>, new: Arc<Mailbox>, done: oneshot::Sender<()> },
    TellMissed(Missed),
    Reply { to: Option<Jid>, id: String, reply: Reply },
    Answered { done: oneshot::Sender<()> },
    AskAgain { question: u64, draft: Result<Draft, CallError>, done: oneshot::Sender<()> },
    FormHandled { form: String, is_well: bool },
    Alert(Alert),
    OtrKey(Secret),
    Drain { done: oneshot::Sender<()> },
    RoomPasswords { done: oneshot::Sender<()> },
    Rewrite { config: Box<AccountConfig>, done: oneshot::Sender<()> },
    Rest { done: oneshot::Sender<Option<KeepsAwake>> },
    Stop { done: oneshot::Sender<()> },
}

/// Messages of the archive for one plugin.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) to: Arc<Mailbox>,
    pub(super) messages: VecDeque<Archived>,
    /// Receives the number of delivered messages, and the messages that did not fit.
    pub(super) outcome: oneshot::Sender<(usize, VecDeque<Archived>)>,
}

/// A request to the account's task, handled when it is its sender's turn.
#[derive(Debug)]
pub(super) enum Asked {
    /// A command for the session, with the memory that is accounted for while it waits. A command that sends something
    /// waits for room in the link.
    Command(AnyCommand, Option<Holding>),
    /// An order that plugins may give, too. Boxed: commands are far more, and each would move and keep as many bytes.
    Order(Box<Order>),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each message that a plugin sends is one: it is moved into a future and into a lane, which has room for four.
    #[test]
    fn a_request_that_waits_is_small() {
        assert!(size_of::<Asked>() <= 40, "{} bytes", size_of::<Asked>());
    }
}
