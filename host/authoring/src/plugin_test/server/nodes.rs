//! Requests about nodes of publish-subscribe (XEP-0060), as an observer sees them.

use jid::{FullJid, Jid};
use minidom::Element;
use parlor_session::permissions::nodes::reserved_node;
use parlor_stanza::encode::name;
use xmpp_parsers::ns;

use super::action::Action;
use super::words::value;

/// The action of a request on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRequest {
    /// It publishes this item.
    Publish {
        /// Its id, if the plugin gave one.
        id: Option<String>,
        /// The options of the node, if this item makes it.
        options: Vec<(&'static str, String)>,
        /// The item as XML.
        xml: String,
    },
    /// It retracts the item of this id.
    Retract(String),
    /// It subscribes the account.
    Subscribe,
    /// It ends the subscription of the account.
    Unsubscribe,
    /// It asks for items.
    Items {
        /// At most how many.
        max: Option<String>,
        /// The place behind which they begin.
        after: Option<String>,
    },
    /// It asks for the item of this id.
    Item(String),
    /// It creates the node with these options.
    Create(Vec<(&'static str, String)>),
    /// It changes these options.
    Configure(Vec<(&'static str, String)>),
    /// It removes all items.
    Purge,
    /// It deletes the node.
    Delete,
}

/// The fields of a node's options, with the names that the contract gives them.
const OPTIONS: [(&str, &str); 5] = [
    ("access", "pubsub#access_model"),
    ("publishers", "pubsub#publish_model"),
    ("persist", "pubsub#persist_items"),
    ("max-items", "pubsub#max_items"),
    ("title", "pubsub#title"),
];

/// Returns whether a request or an answer is about nodes.
pub(super) fn is_about_nodes(payload: &Element) -> bool {
    payload.is("pubsub", ns::PUBSUB) || payload.is("pubsub", ns::PUBSUB_OWNER)
}

/// Returns the part of a request that names the node. The host itself uses nodes that are reserved for it, such as that
/// of bookmarks: `None` for those.
pub(super) fn of_a_plugin(payload: &Element) -> Option<(&Element, &str)> {
    let part = payload.children().find(|part| part.attr("node").is_some()).filter(|_| is_about_nodes(payload))?;
    let node = part.attr("node").filter(|node| reserved_node(node).is_none())?;
    Some((part, node))
}

/// Returns the answer to a request that publishes an item, which gets an id if it has none (XEP-0060, section 7.1.2); `None` to
/// others.
pub(super) fn published(payload: &Element, number: impl FnOnce() -> String) -> Option<Element> {
    let publish = payload.get_child("publish", ns::PUBSUB)?;
    let given = publish.get_child("item", ns::PUBSUB).and_then(|item| item.attr("id")).map(str::to_owned);
    let item = Element::builder("item", ns::PUBSUB).attr(name("id"), given.unwrap_or_else(number));
    let publish = Element::builder("publish", ns::PUBSUB).attr(name("node"), publish.attr("node")).append(item);
    Some(Element::builder("pubsub", ns::PUBSUB).append(publish).build())
}

/// Returns what a plugin asks a service to do with a node.
pub(super) fn of(to: Option<&Jid>, is_set: bool, payload: &Element, own: &FullJid) -> Option<Action> {
    let (part, node) = of_a_plugin(payload)?;
    let item = part.get_child("item", ns::PUBSUB);
    let id = item.and_then(|item| item.attr("id")).map(str::to_owned);
    let request = match (part.name(), is_set, payload.has_ns(ns::PUBSUB_OWNER)) {
        ("publish", true, false) => {
            let xml = item?.children().next().map(String::from).unwrap_or_default();
            NodeRequest::Publish { id, options: options(payload.get_child("publish-options", ns::PUBSUB)), xml }
        }
        ("retract", true, false) => NodeRequest::Retract(id?),
        ("subscribe", true, false) => NodeRequest::Subscribe,
        ("unsubscribe", true, false) => NodeRequest::Unsubscribe,
        ("create", true, false) => NodeRequest::Create(options(payload.get_child("configure", ns::PUBSUB))),
        ("configure", true, true) => NodeRequest::Configure(options(Some(part))),
        ("purge", true, true) => NodeRequest::Purge,
        ("delete", true, true) => NodeRequest::Delete,
        ("items", false, false) => match id {
            Some(id) => NodeRequest::Item(id),
            None => page(payload, part),
        },
        _ => return None,
    };
    let at = to.filter(|to| **to != own.to_bare()).cloned();
    Some(Action::Node { at, node: node.to_owned(), request })
}

/// Returns the request for a page of items (XEP-0059), or for the newest ones.
fn page(payload: &Element, items: &Element) -> NodeRequest {
    let set = payload.get_child("set", ns::RSM);
    let of_set = |name: &str| set.and_then(|set| set.get_child(name, ns::RSM)).map(Element::text);
    let max = of_set("max").or_else(|| items.attr("max_items").map(str::to_owned));
    NodeRequest::Items { max, after: of_set("after") }
}

/// Returns the options in a form.
fn options(configure: Option<&Element>) -> Vec<(&'static str, String)> {
    let form = configure.and_then(|configure| configure.get_child("x", ns::DATA_FORMS));
    let given = |(option, field): &(&'static str, &str)| Some((*option, value(form?, field)?));
    OPTIONS.iter().filter_map(given).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use parlor_base::clock::Clock;
    use parlor_stanza::iq_payload::IqPayload;
    use parlor_stanza::types::{Ask, NodeOptions, Outgoing, PubsubAsk};
    use parlor_xmpp::LocalServer as _;

    use super::super::MockServer;
    use super::*;
    use crate::plugin_test::notes::Happened;
    use crate::plugin_test::shown::Shown;

    /// Returns the lines that a test sees of requests about nodes.
    fn lines(asks: impl IntoIterator<Item = (Option<&'static str>, PubsubAsk)>) -> Vec<String> {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let lines = Arc::clone(&seen);
        let own = FullJid::new("bot@example.org/here").unwrap();
        let server = MockServer::new(own, Clock::Machine, move |action| {
            lines.lock().unwrap().extend(Shown::default().lines(&Happened::Did(action)));
        });
        for (to, ask) in asks {
            let to = to.map(|to| Jid::new(to).unwrap());
            server.hear(Outgoing::Ask { to, id: "1".to_owned(), ask: Ask::Pubsub(Box::new(ask)) });
        }
        std::mem::take(&mut seen.lock().unwrap())
    }

    #[test]
    fn an_item_that_is_published_without_an_id_gets_one() {
        let published = |inside: &str| {
            let payload = format!("<pubsub xmlns='{}'>{inside}</pubsub>", ns::PUBSUB).parse().unwrap();
            let answer = published(&payload, || "item-1".to_owned())?;
            let publish = answer.get_child("publish", ns::PUBSUB)?;
            let id = publish.get_child("item", ns::PUBSUB)?.attr("id")?;
            Some(format!("{} {id}", publish.attr("node")?))
        };
        assert_eq!(published("<publish node='mood'><item/></publish>").as_deref(), Some("mood item-1"));
        assert_eq!(published("<publish node='mood'><item id='a'/></publish>").as_deref(), Some("mood a"));
        assert_eq!(published("<retract node='mood'><item id='a'/></retract>"), None);
    }

    #[test]
    fn each_request_about_a_node_is_shown_and_those_of_the_host_are_not() {
        let node = || "urn:example:news".to_owned();
        let own = || Jid::new("bot@example.org").unwrap().to_bare();
        let id = || "i1".to_owned();
        let options = || NodeOptions {
            access: Some("open"),
            max_items: Some(10),
            title: Some("Tëa".to_owned()),
            ..NodeOptions::default()
        };
        let payload = || IqPayload::parse("<entry xmlns='urn:example:news'/>").unwrap();
        let asks = [
            (
                PubsubAsk::Publish { node: node(), id: None, payload: payload(), options: NodeOptions::default() },
                "publishes urn:example:news at pubsub.example.org: <entry xmlns='urn:example:news'/>",
            ),
            (
                PubsubAsk::Publish { node: node(), id: Some(id()), payload: payload(), options: options() },
                "publishes item i1 of urn:example:news at pubsub.example.org with access = open, max-items = 10, \
                 title = Tëa: <entry xmlns='urn:example:news'/>",
            ),
            (
                PubsubAsk::Retract { node: node(), id: id() },
                "retracts item i1 of urn:example:news at pubsub.example.org",
            ),
            (PubsubAsk::Subscribe { node: node(), jid: own() }, "subscribes to urn:example:news at pubsub.example.org"),
            (
                PubsubAsk::Unsubscribe { node: node(), jid: own(), id: None },
                "unsubscribes from urn:example:news at pubsub.example.org",
            ),
            (
                PubsubAsk::Items { node: node(), max: 5, after: None },
                "asks for 5 items of urn:example:news at pubsub.example.org",
            ),
            (
                PubsubAsk::Items { node: node(), max: 5, after: Some(id()) },
                "asks for 5 items of urn:example:news at pubsub.example.org after i1",
            ),
            (PubsubAsk::Item { node: node(), id: id() }, "asks for item i1 of urn:example:news at pubsub.example.org"),
            (
                PubsubAsk::Create { node: node(), options: NodeOptions::default() },
                "creates urn:example:news at pubsub.example.org",
            ),
            (
                PubsubAsk::Configure { node: node(), options: options() },
                "configures urn:example:news at pubsub.example.org with access = open, max-items = 10, title = Tëa",
            ),
            (PubsubAsk::Purge { node: node() }, "purges urn:example:news at pubsub.example.org"),
            (PubsubAsk::Delete { node: node() }, "deletes urn:example:news at pubsub.example.org"),
        ];
        for (ask, shown) in asks {
            assert_eq!(lines([(Some("pubsub.example.org"), ask)]), [shown]);
        }
        assert_eq!(lines([(None, PubsubAsk::Purge { node: node() })]), ["purges urn:example:news"]);
        let bookmarks = || ns::BOOKMARKS2.to_owned();
        let of_the_host = [
            PubsubAsk::Items { node: bookmarks(), max: 5, after: None },
            PubsubAsk::Configure { node: bookmarks(), options: options() },
            PubsubAsk::Retract { node: bookmarks(), id: id() },
        ];
        assert!(lines(of_the_host.map(|ask| (None, ask))).is_empty(), "these are no plugin's");
    }
}
