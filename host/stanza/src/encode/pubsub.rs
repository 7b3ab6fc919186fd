//! Writes requests about nodes of publish-subscribe (XEP-0060).

use minidom::{Element, ElementBuilder};
use xmpp_parsers::ns;

use super::rooms::{NODE_CONFIG, PUBLISH_OPTIONS, PUBSUB_OWNER, submitted_as};
use super::{clean, name, text};
use crate::types::{NodeOptions, PubsubAsk};

/// Returns whether the request is a set, and its payload.
pub(super) fn request(ask: PubsubAsk) -> (bool, Element) {
    match ask {
        PubsubAsk::Publish { node, id, payload, options } => {
            let item = with_id(id).append(payload.into_element());
            let publish = about("publish", ns::PUBSUB, node).append(item);
            let options = form(PUBLISH_OPTIONS, options)
                .map(|form| Element::builder("publish-options", ns::PUBSUB).append(form).build());
            (true, pubsub(ns::PUBSUB).append(publish).append_all(options).build())
        }
        PubsubAsk::Retract { node, id } => {
            let retract = about("retract", ns::PUBSUB, node).attr(name("notify"), "true").append(with_id(Some(id)));
            (true, pubsub(ns::PUBSUB).append(retract).build())
        }
        PubsubAsk::Items { node, max, after } => {
            // Services without pages know the attribute alone. It counts from the newest item, not from a place.
            let most = after.is_none().then(|| max.to_string());
            let items = about("items", ns::PUBSUB, node).attr(name("max_items"), most);
            let set = Element::builder("set", ns::RSM)
                .append(text("max", ns::RSM, max.to_string()))
                .append_all(after.map(|after| text("after", ns::RSM, after)));
            (false, pubsub(ns::PUBSUB).append(items).append(set).build())
        }
        PubsubAsk::Item { node, id } => {
            let items = about("items", ns::PUBSUB, node).append(with_id(Some(id)));
            (false, pubsub(ns::PUBSUB).append(items).build())
        }
        PubsubAsk::Subscribe { node, jid } => {
            let subscribe = about("subscribe", ns::PUBSUB, node).attr(name("jid"), jid.to_string());
            (true, pubsub(ns::PUBSUB).append(subscribe).build())
        }
        PubsubAsk::Unsubscribe { node, jid, id } => {
            let unsubscribe = about("unsubscribe", ns::PUBSUB, node).attr(name("jid"), jid.to_string());
            let unsubscribe = unsubscribe.attr(name("subid"), id);
            (true, pubsub(ns::PUBSUB).append(unsubscribe).build())
        }
        PubsubAsk::Create { node, options } => {
            let configure =
                form(NODE_CONFIG, options).map(|form| Element::builder("configure", ns::PUBSUB).append(form).build());
            (true, pubsub(ns::PUBSUB).append(about("create", ns::PUBSUB, node)).append_all(configure).build())
        }
        PubsubAsk::Configure { node, options } => {
            let configure = about("configure", PUBSUB_OWNER, node).append_all(form(NODE_CONFIG, options));
            (true, pubsub(PUBSUB_OWNER).append(configure).build())
        }
        PubsubAsk::Purge { node } => (true, pubsub(PUBSUB_OWNER).append(about("purge", PUBSUB_OWNER, node)).build()),
        PubsubAsk::Delete { node } => (true, pubsub(PUBSUB_OWNER).append(about("delete", PUBSUB_OWNER, node)).build()),
    }
}

fn pubsub(namespace: &'static str) -> ElementBuilder {
    Element::builder("pubsub", namespace)
}

fn about(element: &'static str, namespace: &'static str, node: String) -> ElementBuilder {
    Element::builder(element, namespace).attr(name("node"), clean(node))
}

fn with_id(id: Option<String>) -> ElementBuilder {
    Element::builder("item", ns::PUBSUB).attr(name("id"), id.map(clean))
}

/// Returns the form with these options; `None` if nothing is given.
fn form(kind: &str, options: NodeOptions) -> Option<Element> {
    let NodeOptions { access, publishers, persist, max_items, keeps_all, title } = options;
    let most = max_items.map(|most| most.to_string()).or_else(|| keeps_all.then(|| "max".to_owned()));
    let fields = [
        ("pubsub#access_model", access.map(str::to_owned)),
        ("pubsub#publish_model", publishers.map(str::to_owned)),
        ("pubsub#persist_items", persist.map(|persist| persist.to_string())),
        ("pubsub#max_items", most),
        ("pubsub#title", title),
    ];
    let fields: Vec<_> = fields.into_iter().filter_map(|(var, value)| Some((var.to_owned(), vec![value?]))).collect();
    (!fields.is_empty()).then(|| submitted_as(kind, fields))
}
