//! The answers of a component itself, since there is no server behind its addresses that would give them.

use jid::Jid;
use minidom::Element;
use parlor_stanza::encode::name;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Type};
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

/// The entity that answers, which has a category and a type (XEP-0030).
#[derive(Debug, Clone, Copy)]
pub(super) enum Answers {
    /// The domain of the component.
    Domain,
    /// The account of an address.
    Account,
}

/// The words for what only a server does.
const NO_SERVER: &str = "this is an address of a component, which keeps nothing for it";
/// The words for a node that is asked about.
const NO_NODE: &str = "there is no such node";

/// Returns the answer to a request; `None` if it is none.
pub(super) fn answer(request: &Iq, by: Answers) -> Option<Stanza> {
    let (is_get, from, to, id, payload) = match request {
        Iq::Get { from, to, id, payload } => (true, from, to, id, payload),
        Iq::Set { from, to, id, payload } => (false, from, to, id, payload),
        Iq::Result { .. } | Iq::Error { .. } => return None,
    };
    let (from, to, id) = (to.clone(), from.clone(), id.clone());
    let node = payload.attr("node");
    // An empty node means none, and the answer repeats it.
    let names_node = node.is_some_and(|node| !node.is_empty());
    let asks = |namespace: &str| is_get && payload.is("query", namespace);
    let is_discovery = asks(ns::DISCO_INFO) || asks(ns::DISCO_ITEMS);
    let outcome = if is_get && payload.is("ping", ns::PING) {
        Ok(None)
    } else if is_discovery && names_node {
        Err((DefinedCondition::ItemNotFound, NO_NODE))
    } else if asks(ns::DISCO_INFO) {
        Ok(Some(info(by, node)))
    } else if asks(ns::DISCO_ITEMS) {
        // An entity without items has an empty list (XEP-0030, section 4.1).
        Ok(Some(Element::builder("query", ns::DISCO_ITEMS).attr(name("node"), node).build()))
    } else {
        Err((DefinedCondition::ServiceUnavailable, NO_SERVER))
    };
    Some(Stanza::Iq(match outcome {
        Ok(payload) => Iq::Result { from, to, id, payload },
        Err((condition, words)) => {
            let error = StanzaError::new(ErrorType::Cancel, condition, "en", words);
            Iq::Error { from, to, id, error, payload: None }
        }
    }))
}

fn info(by: Answers, node: Option<&str>) -> Element {
    let (category, kind) = match by {
        Answers::Domain => ("component", "generic"),
        Answers::Account => ("account", "registered"),
    };
    let identity =
        Element::builder("identity", ns::DISCO_INFO).attr(name("category"), category).attr(name("type"), kind).build();
    let features = [ns::DISCO_INFO, ns::PING];
    let features =
        features.map(|feature| Element::builder("feature", ns::DISCO_INFO).attr(name("var"), feature).build());
    Element::builder("query", ns::DISCO_INFO).attr(name("node"), node).append(identity).append_all(features).build()
}

/// Returns the refusal of a request to see an address.
pub(super) fn unsubscribed(request: &Presence) -> Stanza {
    let mut answer = Presence::new(Type::Unsubscribed);
    answer.from = request.to.as_ref().map(|to| Jid::from(to.to_bare()));
    answer.to = request.from.as_ref().map(|from| Jid::from(from.to_bare()));
    Stanza::Presence(answer)
}
