//! Pending requests about nodes of publish-subscribe.

use jid::BareJid;
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;
use parlor_stanza::types::NodePage;

use crate::answer::Answer;
use crate::effect::Effect;

/// A node, with its service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeAddress {
    /// The service.
    pub(crate) service: BareJid,
    /// The name of the node.
    pub(crate) node: String,
}

/// The purpose of a pending request about a node.
#[derive(Debug)]
pub(crate) enum PubsubIq {
    /// Change a node or its items.
    Change(Answer<()>),
    /// Publish an item, of this id if the plugin named one.
    Publish { id: Option<String>, answer: Answer<String> },
    /// Get items.
    Items(Answer<NodePage>),
    /// Subscribe the account, for a plugin.
    Subscribe { at: NodeAddress, by: InstanceId, answer: Answer<bool> },
    /// End the subscription of the account, for the last plugin that had it.
    Unsubscribe { at: NodeAddress, by: InstanceId, answer: Answer<()> },
    /// Subscribe the account again, on a new stream.
    Again(NodeAddress),
    /// End a subscription of the account that another one has replaced.
    Superseded,
}

impl PubsubIq {
    /// Returns whether the plugin that asked has ended.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Change(answer) | Self::Unsubscribe { answer, .. } => answer.is_abandoned(),
            Self::Publish { answer, .. } => answer.is_abandoned(),
            Self::Items(answer) => answer.is_abandoned(),
            Self::Subscribe { answer, .. } => answer.is_abandoned(),
            Self::Again(_) | Self::Superseded => false,
        }
    }

    /// Ends the request, because the stream is gone.
    pub(super) fn end(self, out: &mut Vec<Effect>) {
        match self {
            Self::Change(answer) | Self::Unsubscribe { answer, .. } => {
                out.push(Effect::answer(answer, Err(CallError::Offline)));
            }
            Self::Publish { answer, .. } => out.push(Effect::answer(answer, Err(CallError::Offline))),
            Self::Items(answer) => out.push(Effect::answer(answer, Err(CallError::Offline))),
            Self::Subscribe { answer, .. } => out.push(Effect::answer(answer, Err(CallError::Offline))),
            Self::Again(_) | Self::Superseded => {}
        }
    }
}
