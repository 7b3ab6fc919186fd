//! The nodes of publish-subscribe that a stanza of a plugin names, and the namespaces of its elements.

use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::stanza::Stanza;

use crate::raw::RawStanza;

/// The fields of forms whose values are nodes (XEP-0060, section 8.6, and XEP-0248).
const FIELDS: [&str; 3] = ["pubsub#node", "pubsub#collection", "pubsub#children"];

/// Returns the first node that a stanza names and that is meant, at any depth and in any namespace, with the reason.
///
/// Nodes occur in requests (XEP-0060), in queries of archives (XEP-0313) and features (XEP-0030), and in events, which clients may believe
/// of a contact whoever wrote them. So all of them count.
pub fn find_node<R>(stanza: &RawStanza, is_meant: impl Fn(&str) -> Option<R>) -> Option<(String, R)> {
    payloads(stanza).iter().find_map(|payload| within(payload, &is_meant))
}

/// Returns the first namespace of a stanza that is meant, at any depth.
pub fn find_namespace<R>(stanza: &RawStanza, is_meant: impl Fn(&str) -> Option<R>) -> Option<(String, R)> {
    payloads(stanza).iter().find_map(|payload| namespace_within(payload, &is_meant))
}

/// Returns the elements of a stanza.
fn payloads(stanza: &RawStanza) -> &[Element] {
    match stanza.stanza() {
        Stanza::Message(message) => &message.payloads,
        Stanza::Presence(presence) => &presence.payloads,
        Stanza::Iq(Iq::Get { payload, .. } | Iq::Set { payload, .. }) => std::slice::from_ref(payload),
        Stanza::Iq(Iq::Result { payload, .. } | Iq::Error { payload, .. }) => payload.as_slice(),
    }
}

/// Returns the first namespace of a request (an IQ of the type get or set) that is meant, at any depth; `None` for other stanzas.
pub fn find_requested<R>(stanza: &RawStanza, is_meant: impl Fn(&str) -> Option<R>) -> Option<(String, R)> {
    let Stanza::Iq(Iq::Get { payload, .. } | Iq::Set { payload, .. }) = stanza.stanza() else { return None };
    namespace_within(payload, &is_meant)
}

/// Returns the first such namespace of an element. The depth is bounded on input.
fn namespace_within<R>(element: &Element, is_meant: &impl Fn(&str) -> Option<R>) -> Option<(String, R)> {
    let namespace = element.ns();
    match is_meant(&namespace) {
        Some(reason) => Some((namespace, reason)),
        None => element.children().find_map(|child| namespace_within(child, is_meant)),
    }
}

/// Returns the first such node of an element. The depth is bounded on input.
fn within<R>(element: &Element, is_meant: &impl Fn(&str) -> Option<R>) -> Option<(String, R)> {
    let meant = |node: &str| is_meant(node).map(|reason| (node.to_owned(), reason));
    // Some servers do not look at the namespace of an attribute.
    let mut attributes = element.attrs().iter().filter(|((_, name), _)| name.as_str() == "node");
    let is_field = element.name() == "field" && element.attr("var").is_some_and(|var| FIELDS.contains(&var.trim()));
    attributes
        .find_map(|(_, node)| meant(node))
        .or_else(|| element.children().filter(|_| is_field).find_map(|value| meant(&value.text())))
        .or_else(|| element.children().find_map(|child| within(child, is_meant)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::jid;

    fn found(xml: &str) -> Option<String> {
        let stanza = RawStanza::parse(xml, &jid("bot@house/here")).unwrap();
        find_node(&stanza, |node| (node == "secret").then_some(())).map(|(node, ())| node)
    }

    #[test]
    fn a_namespace_is_found_at_any_depth_of_a_request() {
        let found = |xml: &str| {
            let stanza = RawStanza::parse(xml, &jid("bot@house/here")).unwrap();
            find_requested(&stanza, |namespace| (namespace == "urn:y").then_some(())).map(|(namespace, ())| namespace)
        };
        for payload in ["<q xmlns='urn:y'/>", "<p:q xmlns:p='urn:y'/>", "<x xmlns='urn:x'><a/><y xmlns='urn:y'/></x>"] {
            for kind in ["get", "set"] {
                let xml = format!("<iq type='{kind}' id='1'>{payload}</iq>");
                assert_eq!(found(&xml).as_deref(), Some("urn:y"), "{xml}");
            }
        }
        assert_eq!(found("<iq type='set' id='1'><x xmlns='urn:x' xmlns:y='urn:y'/></iq>"), None);
        assert_eq!(found("<message><x xmlns='urn:y'/></message>"), None);
    }

    #[test]
    fn a_namespace_is_found_in_a_stanza_of_any_kind() {
        let found = |xml: &str| {
            let stanza = RawStanza::parse(xml, &jid("bot@house/here")).unwrap();
            find_namespace(&stanza, |namespace| (namespace == "urn:y").then_some(())).is_some()
        };
        for stanza in ["<message", "<presence", "<iq type='get' id='1'", "<iq type='set' id='1'"] {
            let end = stanza.split([' ', '<']).nth(1).unwrap_or_default();
            for payload in ["<q xmlns='urn:y'/>", "<x xmlns='urn:x'><p:q xmlns:p='urn:y'/></x>"] {
                assert!(found(&format!("{stanza}>{payload}</{end}>")), "{stanza} {payload}");
            }
            assert!(!found(&format!("{stanza}><x xmlns='urn:x' y='urn:y'>urn:y</x></{end}>")), "{stanza}");
        }
    }

    #[test]
    fn a_node_is_found_wherever_a_stanza_names_it() {
        const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
        let iq = |payload: &str| format!("<iq type='set' id='1'>{payload}</iq>");
        let form = |var: &str| {
            iq(&format!(
                "<pubsub xmlns='{PUBSUB}#owner'><configure node='mine'><x xmlns='jabber:x:data' type='submit'>\
                 <field var='{var}'><value>other</value><value>secret</value></field></x></configure></pubsub>"
            ))
        };
        for xml in [
            iq(&format!("<pubsub xmlns='{PUBSUB}'><publish node='secret'/></pubsub>")),
            iq(&format!("<pubsub xmlns='{PUBSUB}'><items node='mine'/><items node='secret'/></pubsub>")),
            iq(&format!("<p:pubsub xmlns:p='{PUBSUB}#owner'><p:delete node='secret'/></p:pubsub>")),
            iq(&format!("<pubsub xmlns='{PUBSUB}'><publish node='sec&#x72;et'/></pubsub>")),
            iq("<x xmlns='urn:x'><y><z><items node='secret'/></z></y></x>"),
            iq("<query xmlns='urn:xmpp:mam:2' node='secret'/>"),
            iq("<x xmlns='urn:x' xmlns:y='urn:y' y:node='secret'/>"),
            form("pubsub#collection"),
            form("pubsub#node"),
            format!("<message to='a@b'><event xmlns='{PUBSUB}#event'><items node='secret'/></event></message>"),
            "<presence><x xmlns='urn:x' node='secret'/></presence>".to_owned(),
        ] {
            assert_eq!(found(&xml).as_deref(), Some("secret"), "{xml}");
        }
        for xml in [
            iq(&format!("<pubsub xmlns='{PUBSUB}'><publish node='mine'><item id='secret'/></publish></pubsub>")),
            iq("<query xmlns='urn:x'>secret</query>"),
            form("title"),
            "<message to='a@b'><body>secret</body></message>".to_owned(),
        ] {
            assert_eq!(found(&xml), None, "{xml}");
        }
    }
}
