//! Nodes of publish-subscribe: items, subscriptions, and the nodes themselves.

use jid::BareJid;
use parlor_base::id::InstanceId;
use parlor_stanza::iq_payload::IqPayload;
use parlor_stanza::types::{NodeOptions, NodePage, PubsubAsk};

use super::Command;
use crate::answer::Answer;
use crate::features::Features;
use crate::iq::pubsub::{NodeAddress, PubsubIq};
use crate::pubsub::{ask, may_ask};
use crate::turn::Turn;

/// Publish an item. Answered with its id.
#[derive(Debug)]
pub struct PublishItem {
    /// The service.
    pub service: BareJid,
    /// The name of the node.
    pub node: String,
    /// The id of the item. None: the service makes one up.
    pub id: Option<String>,
    /// Its element.
    pub payload: IqPayload,
    /// The options that the node has, or is created with.
    pub options: NodeOptions,
}

impl Command for PublishItem {
    type Answer = String;

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.payload.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(&self.service, turn) {
            return turn.answer(answer, Err(error));
        }
        let Self { service, node, id, payload, options } = self;
        let at = NodeAddress { service, node: node.clone() };
        let request = PubsubAsk::Publish { node, id: id.clone(), payload, options };
        ask(&at, request, PubsubIq::Publish { id, answer }, turn);
    }
}

/// The change of a node or of its items.
#[derive(Debug)]
pub enum NodeAction {
    /// Take back the item of this id.
    Retract(String),
    /// Create the node with these options.
    Create(NodeOptions),
    /// Change these options.
    Configure(NodeOptions),
    /// Take all its items back.
    Purge,
    /// Delete the node.
    Delete,
}

/// Change a node or its items. Answered when the service has done it.
#[derive(Debug)]
pub struct ChangeNode {
    /// The service.
    pub service: BareJid,
    /// The name of the node.
    pub node: String,
    /// The change to make.
    pub action: NodeAction,
}

impl Command for ChangeNode {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(&self.service, turn) {
            return turn.answer(answer, Err(error));
        }
        let Self { service, node, action } = self;
        let at = NodeAddress { service, node: node.clone() };
        let request = match action {
            NodeAction::Retract(id) => PubsubAsk::Retract { node, id },
            NodeAction::Create(options) => PubsubAsk::Create { node, options },
            NodeAction::Configure(options) => PubsubAsk::Configure { node, options },
            NodeAction::Purge => PubsubAsk::Purge { node },
            NodeAction::Delete => PubsubAsk::Delete { node },
        };
        ask(&at, request, PubsubIq::Change(answer), turn);
    }
}

/// The items that are asked for.
#[derive(Debug)]
pub enum WhichItems {
    /// The item of this id.
    One(String),
    /// A page of items, after a position in the service's order.
    Page {
        /// The maximum number of items.
        max: u32,
        /// The place. None: from the first on.
        after: Option<String>,
    },
}

/// Get items of a node. Answered with them.
#[derive(Debug)]
pub struct GetItems {
    /// The service.
    pub service: BareJid,
    /// The name of the node.
    pub node: String,
    /// The items to get.
    pub which: WhichItems,
}

impl Command for GetItems {
    type Answer = NodePage;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(&self.service, turn) {
            return turn.answer(answer, Err(error));
        }
        let Self { service, node, which } = self;
        let at = NodeAddress { service, node: node.clone() };
        let request = match which {
            WhichItems::One(id) => PubsubAsk::Item { node, id },
            WhichItems::Page { max, after } => PubsubAsk::Items { node, max, after },
        };
        ask(&at, request, PubsubIq::Items(answer), turn);
    }
}

/// Subscribe the account to a node. Answered with whether the subscription is in force.
#[derive(Debug)]
pub struct SubscribeNode {
    /// The calling instance.
    pub by: InstanceId,
    /// The service.
    pub service: BareJid,
    /// The name of the node.
    pub node: String,
}

impl Command for SubscribeNode {
    type Answer = bool;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { by, service, node } = self;
        features.pubsub.subscribe(by, NodeAddress { service, node }, answer, turn);
    }
}

/// End a plugin's subscription to a node. Answered when it has ended.
#[derive(Debug)]
pub struct UnsubscribeNode {
    /// The calling instance.
    pub by: InstanceId,
    /// The service.
    pub service: BareJid,
    /// The name of the node.
    pub node: String,
}

impl Command for UnsubscribeNode {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { by, service, node } = self;
        features.pubsub.unsubscribe(by, NodeAddress { service, node }, answer, turn);
    }
}
