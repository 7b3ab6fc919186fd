//! Reads items and notifications of nodes (XEP-0060). Their senders are checked above.

use jid::FullJid;
use minidom::Element;
use xmpp_parsers::message::{Message as WireMessage, MessageType};
use xmpp_parsers::ns;

use super::extensions::names;
use super::{cut_note, jid_attribute, xml_within};
use crate::iq_payload::MAX_BYTES;
use crate::text::is_one_line;
use crate::types::{Body, MAX_ITEM_ID, MAX_NODE_CHANGES, MAX_NODE_ITEMS, NodeChange, NodeEvent, NodeItem, NodePage};

/// The maximum length of the name of a node, in bytes.
const MAX_NODE: usize = 1_024;
/// The maximum number of nodes read from one message. Nearly all are about one.
const MAX_NODES: usize = 32;
/// The maximum number of collections read from the headers of one message, and from the items of one node.
const MAX_COLLECTIONS: usize = 16;
/// The namespace of headers (XEP-0131).
const SHIM: &str = "http://jabber.org/protocol/shim";

/// Reads an answer; `None` if it has another subject.
pub(super) fn answer(payload: &Element) -> Option<Body> {
    if !payload.is("pubsub", ns::PUBSUB) {
        return None;
    }
    let child = payload.children().find(|child| child.has_ns(ns::PUBSUB))?;
    match child.name() {
        "publish" => Some(Body::Published(child.get_child("item", ns::PUBSUB).and_then(id))),
        "items" => Some(Body::NodeItems(Box::new(page(payload, child)))),
        // Services may leave out the state, or want an approval or options first (XEP-0060, section 4.2).
        "subscription" => {
            let state = child.attr("subscription");
            let is_pending = state.is_some_and(|state| state != "subscribed");
            Some(Body::Subscription { is_pending, id: bounded(child, "subid") })
        }
        _ => None,
    }
}

/// Reads the events of nodes in a message to the account that is bound as `own`. They may have no changes. Messages of rooms and
/// returned messages cannot contain events.
pub(super) fn events(message: &WireMessage, own: &FullJid) -> Vec<NodeEvent> {
    let mut told = Told::default();
    if matches!(message.type_, MessageType::Groupchat | MessageType::Error) {
        return told.events;
    }
    let Some(event) = message.payloads.iter().find(|payload| payload.is("event", ns::PUBSUB_EVENT)) else {
        if let Some(notice) = message.payloads.iter().find(|payload| payload.is("pubsub", ns::PUBSUB)) {
            of_owner(notice, own, &mut told);
        }
        return told.events;
    };
    for child in event.children().filter(|child| child.has_ns(ns::PUBSUB_EVENT)) {
        let Some(node) = child.attr("node").filter(|node| is_name(node)) else { continue };
        match child.name() {
            // A node that keeps no items and sends no payloads has none to name (section 7.1.3.6).
            "items" if child.children().next().is_none() && cut_note(&message.payloads).is_none() => {
                told.add(node, [NodeChange::Item(NodeItem::default())]);
            }
            "items" => told.add_items(node, child),
            "purge" => told.add(node, [NodeChange::Purged]),
            "delete" => told.add(node, [NodeChange::Deleted]),
            "subscription" => told.add(node, of_subscription(child, own)),
            // A new configuration is no message of a person, either.
            _ => told.add(node, None),
        }
    }
    let collections = collections(message);
    for event in &mut told.events {
        event.collections.splice(0..0, collections.iter().cloned());
    }
    told.events
}

/// What a message tells of nodes: [`MAX_NODE_CHANGES`] changes of [`MAX_NODES`] nodes at most.
#[derive(Default)]
struct Told {
    events: Vec<NodeEvent>,
    /// The number of changes of all nodes.
    changes: usize,
}

impl Told {
    /// Adds changes of a node, as far as there is room. Without any, the message still is no message of a person.
    fn add(&mut self, node: &str, changes: impl IntoIterator<Item = NodeChange>) {
        if self.events.last().is_none_or(|last| last.node != node) {
            if self.events.len() >= MAX_NODES {
                return;
            }
            self.events.push(NodeEvent { node: node.to_owned(), collections: Vec::new(), changes: Vec::new() });
        }
        let Some(event) = self.events.last_mut() else { return };
        let known = event.changes.len();
        event.changes.extend(changes.into_iter().take(MAX_NODE_CHANGES - self.changes));
        self.changes += event.changes.len() - known;
    }

    /// Adds the items of a node. To subscribers of a collection, Openfire names the collection around the items, and their own
    /// node only at each of them.
    fn add_items(&mut self, named: &str, items: &Element) {
        for item in items.children() {
            let node = item.attr("node").unwrap_or(named);
            if !is_name(node) {
                continue;
            }
            self.add(node, change(item));
            let last = self.events.last_mut().filter(|last| last.node == node && node != named);
            let last = last.filter(|event| event.collections.len() < MAX_COLLECTIONS);
            if let Some(event) = last.filter(|event| !event.collections.iter().any(|one| one == named)) {
                event.collections.push(named.to_owned());
            }
        }
        if self.events.is_empty() {
            self.add(named, None);
        }
    }
}

/// Reads a service's notice that the owner of a node changed a subscription or an affiliation of the account (XEP-0060, sections
/// 8.8.4 and 8.9.4). It is no event of the node, and has the namespace of requests. Affiliations are none for plugins.
fn of_owner(notice: &Element, own: &FullJid, told: &mut Told) {
    for child in notice.children().filter(|child| child.has_ns(ns::PUBSUB)) {
        let mut add = |changed: &Element| {
            if let Some(node) = changed.attr("node").or_else(|| child.attr("node")).filter(|node| is_name(node)) {
                told.add(node, of_subscription(changed, own));
            }
        };
        let all = |name: &'static str| child.children().filter(move |changed| changed.is(name, ns::PUBSUB));
        match child.name() {
            "subscription" => add(child),
            "subscriptions" => all("subscription").for_each(add),
            "affiliations" => all("affiliation").for_each(add),
            _ => {}
        }
    }
}

/// Reads what became of the account's subscription. The account is subscribed by its bare address. Services may also tell
/// the owners of a node that others have subscribed or unsubscribed (`pubsub#notify_sub`).
fn of_subscription(subscription: &Element, own: &FullJid) -> Option<NodeChange> {
    let is_ours = subscription.attr("jid").is_none_or(|jid| names(jid, own));
    let id = || bounded(subscription, "subid");
    match subscription.attr("subscription").filter(|_| is_ours)? {
        "none" => Some(NodeChange::Unsubscribed { id: id() }),
        "subscribed" => Some(NodeChange::Subscribed { id: id() }),
        _ => None,
    }
}

/// Reads the collections through which a service sends the event (XEP-0248, section 5.2). Headers are those of XEP-0131.
fn collections(message: &WireMessage) -> Vec<String> {
    let headers = message.payloads.iter().find(|payload| payload.is("headers", SHIM));
    let headers = headers.into_iter().flat_map(Element::children).filter(|header| header.is("header", SHIM));
    let names = headers.filter(|header| header.attr("name") == Some("Collection")).map(Element::text);
    names.filter(|name| is_name(name)).take(MAX_COLLECTIONS).collect()
}

/// Returns whether a node may have this name.
fn is_name(node: &str) -> bool {
    !node.is_empty() && node.len() <= MAX_NODE && is_one_line(node)
}

fn change(element: &Element) -> Option<NodeChange> {
    match element.name() {
        "item" if element.has_ns(ns::PUBSUB_EVENT) => Some(NodeChange::Item(item(element))),
        "retract" if element.has_ns(ns::PUBSUB_EVENT) => id(element).map(NodeChange::Retracted),
        _ => None,
    }
}

fn page(payload: &Element, items: &Element) -> NodePage {
    let of_node = items.children().filter(|one| one.is("item", ns::PUBSUB));
    let items: Vec<_> = of_node.map(item).take(MAX_NODE_ITEMS).collect();
    let Some(set) = payload.get_child("set", ns::RSM) else {
        return NodePage { items, is_paged: false, last: None };
    };
    let text = |name: &str| set.get_child(name, ns::RSM).map(Element::text);
    let number = |text: Option<String>| text.and_then(|text| text.trim().parse::<u64>().ok());
    let index = set.get_child("first", ns::RSM).and_then(|first| first.attr("index")).map(str::to_owned);
    let is_end = match (number(index), number(text("count"))) {
        (Some(index), Some(count)) => index.saturating_add(items.len() as u64) >= count,
        _ => false,
    };
    let last =
        text("last").filter(|last| !is_end && !items.is_empty() && !last.is_empty() && last.len() <= MAX_ITEM_ID);
    NodePage { items, is_paged: true, last }
}

fn item(item: &Element) -> NodeItem {
    let payload = item.children().next();
    let xml = payload.and_then(|payload| xml_within(payload, MAX_BYTES));
    NodeItem {
        id: id(item),
        publisher: jid_attribute(item, "publisher"),
        is_cut: payload.is_some() && xml.is_none(),
        xml,
    }
}

/// Returns the id of an item, unless it is too long.
fn id(item: &Element) -> Option<String> {
    bounded(item, "id")
}

/// Returns the id in an attribute, unless it is too long.
fn bounded(element: &Element, attribute: &str) -> Option<String> {
    element.attr(attribute).filter(|id| !id.is_empty() && id.len() <= MAX_ITEM_ID).map(str::to_owned)
}
