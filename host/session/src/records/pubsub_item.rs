//! A notification of a node of a publish-subscribe service.

use jid::{BareJid, Jid};

/// The kind of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PubsubKind {
    /// An item is new or changed.
    Item,
    /// An item is gone.
    Retracted,
    /// All items are gone.
    Purged,
    /// The node is gone.
    Deleted,
    /// A subscription that had to be approved is active now.
    Subscribed,
    /// The service ended the subscription.
    Unsubscribed,
}

impl PubsubKind {
    /// Returns its name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Retracted => "retracted",
            Self::Purged => "purged",
            Self::Deleted => "deleted",
            Self::Subscribed => "subscribed",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

/// An item of a node, or a change of an item or of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct PubsubItem {
    pub kind: PubsubKind,
    pub service: BareJid,
    pub node: String,
    pub id: Option<String>,
    pub publisher: Option<Jid>,
    pub xml: Option<String>,
    pub is_cut: bool,
    /// Whether the service is this account.
    pub is_own: bool,
}

impl PubsubItem {
    /// Returns about how many bytes of memory its texts take.
    pub fn bytes(&self) -> usize {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let publisher = self.publisher.as_ref().map_or(0, |jid| jid.as_str().len());
        self.service.as_str().len() + self.node.len() + of(&self.id) + publisher + of(&self.xml)
    }
}
