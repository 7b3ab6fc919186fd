//! Nodes of publish-subscribe services (XEP-0060) and of accounts (XEP-0163): requests about them, and notifications.

use jid::{BareJid, Jid};

use crate::iq_payload::IqPayload;

/// Maximum number of items that are read from one answer. Services without pages give all items in one answer or
/// never, so this is the number that plugins may have a node keep. The length of a stanza bounds their texts.
pub const MAX_NODE_ITEMS: usize = 10_000;
/// Maximum number of changes that are read from one message.
pub const MAX_NODE_CHANGES: usize = 64;
/// Maximum length of the id of an item, in bytes.
pub const MAX_ITEM_ID: usize = 1_024;

/// A request about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PubsubAsk {
    /// Publish an item (XEP-0060, section 7.1).
    Publish {
        /// The name of the node.
        node: String,
        /// The id of the item. None: the service makes one up.
        id: Option<String>,
        /// Its element.
        payload: IqPayload,
        /// The options that the node has, or is created with.
        options: NodeOptions,
    },
    /// Take an item back, and tell subscribers (section 7.2).
    Retract {
        /// The name of the node.
        node: String,
        /// The id of the item.
        id: String,
    },
    /// Some items (section 6.5), as a page (XEP-0059).
    Items {
        /// The name of the node.
        node: String,
        /// At most how many.
        max: u32,
        /// The place in the service's order behind which they begin.
        after: Option<String>,
    },
    /// An item (section 6.5.8).
    Item {
        /// The name of the node.
        node: String,
        /// The id of the item.
        id: String,
    },
    /// Subscribe an address (section 6.1).
    Subscribe {
        /// The name of the node.
        node: String,
        /// The address.
        jid: BareJid,
    },
    /// End the subscription of an address (section 6.2).
    Unsubscribe {
        /// The name of the node.
        node: String,
        /// The address.
        jid: BareJid,
        /// The id of the subscription, if the service gave it one: an address may have several.
        id: Option<String>,
    },
    /// Create a node (section 8.1).
    Create {
        /// The name of the node.
        node: String,
        /// Its options.
        options: NodeOptions,
    },
    /// Change a node's options (section 8.2).
    Configure {
        /// The name of the node.
        node: String,
        /// The options to change.
        options: NodeOptions,
    },
    /// Take all items of a node back (section 8.5).
    Purge {
        /// The name of the node.
        node: String,
    },
    /// Delete a node (section 8.4).
    Delete {
        /// The name of the node.
        node: String,
    },
}

/// The options of a node (section 16.4.3). None: as it is, or as the service has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeOptions {
    /// The access model, which decides who may read.
    pub access: Option<&'static str>,
    /// The publisher model, which decides who may publish.
    pub publishers: Option<&'static str>,
    /// Whether items are kept.
    pub persist: Option<bool>,
    /// How many items are kept.
    pub max_items: Option<u32>,
    /// Whether the node keeps as many items as the service allows, if there is no number.
    pub keeps_all: bool,
    /// The title.
    pub title: Option<String>,
}

/// An item of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeItem {
    /// Its id. None: it has none, as items that are not kept.
    pub id: Option<String>,
    /// The publisher, as the service says.
    pub publisher: Option<Jid>,
    /// Its element as XML. None: it has none, or a too long one.
    pub xml: Option<String>,
    /// Whether its element was left out for its length.
    pub is_cut: bool,
}

impl NodeItem {
    /// Returns about how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let texts = [&self.id, &self.xml].into_iter().flatten().map(String::len).sum::<usize>();
        size_of::<Self>() + texts + self.publisher.as_ref().map_or(0, |jid| jid.as_str().len())
    }
}

/// Some items of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePage {
    /// The items, [`MAX_NODE_ITEMS`] at most.
    pub items: Vec<NodeItem>,
    /// Whether the service gives pages (XEP-0059).
    pub is_paged: bool,
    /// The place behind which the next page begins. None: there is none.
    pub last: Option<String>,
}

/// A notification of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// The name of the node.
    pub node: String,
    /// The collections through which the service sends it. Subscribers of a collection get the events of the nodes in it
    /// (XEP-0248).
    pub collections: Vec<String>,
    /// The changes, [`MAX_NODE_CHANGES`] at most. Empty: the event is none for plugins, such as a new configuration.
    pub changes: Vec<NodeChange>,
}

/// A change of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeChange {
    /// An item is new or changed.
    Item(NodeItem),
    /// The item of this id is gone.
    Retracted(String),
    /// All items are gone.
    Purged,
    /// The node is gone.
    Deleted,
    /// The subscription of this account is in force.
    Subscribed {
        /// The id of the subscription, if the service names it.
        id: Option<String>,
    },
    /// The subscription of this account has ended.
    Unsubscribed {
        /// The id of the subscription, if the service names it.
        id: Option<String>,
    },
}
