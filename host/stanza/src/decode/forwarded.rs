//! Reads messages within others: copies of what other clients sent or received, and results of archives (XEP-0297).

use minidom::rxml::Namespace;
use minidom::{Element, Node};
use xmpp_parsers::message::Message;
use xmpp_parsers::ns;

use crate::sieve::mend::mend_forwarded;

/// Returns the forwarded message if it can be parsed, with the note that a part of it was left out. Removes the
/// message's own language, as `intake` does, since otherwise texts without a language could not be distinguished from
/// others.
pub(super) fn message(forwarded: &mut Element, cut: Option<Element>) -> Option<Message> {
    let mut message = forwarded
        .remove_child("message", ns::DEFAULT_NS)
        .or_else(|| forwarded.remove_child("message", ns::FORWARD).map(|message| declared(&message)))?;
    message.attrs_mut().remove(&Namespace::XML, "lang");
    mend_forwarded(&mut message);
    let mut message = Message::try_from(message).ok()?;
    message.payloads.extend(cut);
    Some(message)
}

/// Returns a message in the namespace of clients. Some servers do not declare it within the element that forwards the
/// message, so that the message and its texts seem to be in the namespace of that element.
fn declared(element: &Element) -> Element {
    let mut meant = Element::bare(element.name(), ns::DEFAULT_NS);
    for ((namespace, name), value) in
        element.attrs().iter().filter(|((namespace, _), _)| **namespace != Namespace::XMLNS)
    {
        meant.attrs_mut().insert(namespace.clone(), name.clone(), value.clone());
    }
    for node in element.nodes() {
        match node {
            Node::Text(text) => meant.append_text_node(text.as_str()),
            Node::Element(child) if child.has_ns(ns::FORWARD) && child.name() != "forwarded" => {
                meant.append_child(declared(child));
            }
            Node::Element(child) => {
                meant.append_child(child.clone());
            }
        }
    }
    meant
}
