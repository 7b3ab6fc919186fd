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
/// The maximum number of collections read from one message.
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

/// Reads the event of a node in a message to the account that is bound as `own`. It may have no changes. Messages of rooms and
/// returned messages cannot contain events.
pub(super) fn event(message: &WireMessage, own: &FullJid) -> Option<NodeEvent> {
    if matches!(message.type_, MessageType::Groupchat | MessageType::Error) {
        return None;
    }
    let Some(event) = message.payloads.iter().find(|payload| payload.is("event", ns::PUBSUB_EVENT)) else {
        let notice = message.payloads.iter().find(|payload| payload.is("pubsub", ns::PUBSUB))?;
        return of_owner(notice, own);
    };
    let child = event.children().find(|child| child.has_ns(ns::PUBSUB_EVENT))?;
    let named = child.attr("node").filter(|node| is_name(node))?;
    let (node, mut through) = (of_items(child).unwrap_or(named), collections(message));
    if node != named {
        through.push(named.to_owned());
    }
    let changes: Vec<_> = match child.name() {
        // A node that keeps no items and sends no payloads has none to name (section 7.1.3.6).
        "items" if child.children().next().is_none() && cut_note(&message.payloads).is_none() => {
            vec![NodeChange::Item(NodeItem::default())]
        }
        "items" => {
            let is_of_node = |one: &&Element| one.attr("node").is_none_or(|of| of == node);
            child.children().filter(is_of_node).filter_map(change).take(MAX_NODE_CHANGES).collect()
        }
        "purge" => vec![NodeChange::Purged],
        "delete" => vec![NodeChange::Deleted],
        "subscription" => of_subscription(child, own).into_iter().collect(),
        // A new configuration is no message of a person, either.
        _ => Vec::new(),
    };
    Some(NodeEvent { node: node.to_owned(), collections: through, changes })
}

/// Returns the node that the items themselves name. To subscribers of a collection, Openfire names the collection around
/// the items, and their own node only at each of them.
fn of_items(items: &Element) -> Option<&str> {
    let mut nodes = items.children().filter(|_| items.name() == "items").filter_map(|one| one.attr("node"));
    nodes.next().filter(|node| is_name(node))
}

/// Reads a service's notice that the owner of a node changed a subscription or an affiliation of the account (XEP-0060, sections
/// 8.8.4 and 8.9.4). It is no event of the node, and has the namespace of requests. Affiliations are none for plugins.
fn of_owner(notice: &Element, own: &FullJid) -> Option<NodeEvent> {
    let child = notice.children().find(|child| child.has_ns(ns::PUBSUB))?;
    let changed = match child.name() {
        "subscription" => child,
        "subscriptions" => child.get_child("subscription", ns::PUBSUB)?,
        "affiliations" => child.get_child("affiliation", ns::PUBSUB)?,
        _ => return None,
    };
    let node = changed.attr("node").or_else(|| child.attr("node")).filter(|node| is_name(node))?.to_owned();
    Some(NodeEvent { node, collections: Vec::new(), changes: of_subscription(changed, own).into_iter().collect() })
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
