//! The XML namespaces whose requests (IQs) a plugin may answer, and those that the host keeps for itself.

/// Maximum length of a namespace, in bytes. It is announced to everybody who sees the account.
pub const LONGEST_NAMESPACE: usize = 256;

/// The reasons why a namespace is reserved.
const ANSWERED: &str = "the host answers its requests itself";
const ACCOUNT: &str = "its requests are about the account itself, which the host and the server manage";
const STREAM: &str = "it belongs to the stream, not to requests";
const LOG_IN: &str = "an answer logs somebody in to a website as the account";
const DELEGATED: &str = "its requests are those of other people, which a server hands over to its component";

/// The namespaces that the host keeps for itself, each with the reason. An entry that ends in `*` stands for all
/// namespaces with this prefix.
const RESERVED: &[(&str, &str)] = &[
    ("http://jabber.org/protocol/caps", ANSWERED),
    ("http://jabber.org/protocol/commands", ANSWERED),
    ("http://jabber.org/protocol/disco#*", ANSWERED),
    ("jabber:iq:roster", ANSWERED),
    ("jabber:iq:version", ANSWERED),
    ("urn:xmpp:ping", ANSWERED),
    ("urn:xmpp:time", ANSWERED),
    ("http://jabber.org/protocol/muc", ACCOUNT),
    ("http://jabber.org/protocol/muc#*", ACCOUNT),
    ("http://jabber.org/protocol/pubsub", ACCOUNT),
    ("http://jabber.org/protocol/pubsub#*", ACCOUNT),
    ("jabber:iq:auth", ACCOUNT),
    ("jabber:iq:privacy", ACCOUNT),
    ("jabber:iq:private", ACCOUNT),
    ("jabber:iq:register", ACCOUNT),
    ("jabber:x:conference", ACCOUNT),
    ("urn:ietf:params:xml:ns:vcard-4.0", ACCOUNT),
    ("urn:xmpp:blocking", ACCOUNT),
    ("urn:xmpp:bookmarks:*", ACCOUNT),
    ("urn:xmpp:carbons:*", ACCOUNT),
    ("urn:xmpp:csi:*", ACCOUNT),
    ("urn:xmpp:mam:*", ACCOUNT),
    ("urn:xmpp:push:*", ACCOUNT),
    ("vcard-temp", ACCOUNT),
    ("vcard-temp:*", ACCOUNT),
    // XEP-0070
    ("http://jabber.org/protocol/http-auth", LOG_IN),
    // XEP-0355, XEP-0356
    ("urn:xmpp:delegation:*", DELEGATED),
    ("urn:xmpp:privilege:*", DELEGATED),
    ("http://etherx.jabber.org/streams", STREAM),
    ("http://jabber.org/features/*", STREAM),
    ("http://www.w3.org/*", STREAM),
    ("jabber:client", STREAM),
    ("jabber:component:*", STREAM),
    ("jabber:server", STREAM),
    ("jabber:server:*", STREAM),
    ("urn:ietf:params:xml:ns:xmpp-*", STREAM),
    ("urn:parlor:*", STREAM),
    ("urn:xmpp:bind:*", STREAM),
    ("urn:xmpp:sasl:*", STREAM),
    ("urn:xmpp:sm:*", STREAM),
];

/// Returns why the host keeps this namespace for itself; `None` if a plugin may answer its requests.
pub fn reserved(namespace: &str) -> Option<&'static str> {
    RESERVED.iter().find(|(one, _)| stands_for(one, namespace)).map(|(_, why)| *why)
}

/// Returns whether an entry of such a list stands for this namespace.
pub fn stands_for(entry: &str, namespace: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(begin) => namespace.starts_with(begin),
        None => namespace == entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_that_the_host_answers_are_reserved() {
        for namespace in [
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/commands",
            "jabber:iq:roster",
            "jabber:iq:version",
            "urn:xmpp:ping",
            "urn:xmpp:time",
            "urn:xmpp:carbons:2",
            "vcard-temp",
            "urn:ietf:params:xml:ns:xmpp-bind",
            "jabber:client",
            "http://jabber.org/protocol/http-auth",
            "urn:xmpp:delegation:2",
            "urn:xmpp:privilege:2",
        ] {
            assert!(reserved(namespace).is_some(), "{namespace}");
        }
        for namespace in ["urn:example:weather", "jabber:iq:rpc", "urn:xmpp:pings", "urn:xmpp:jingle:1", ""] {
            assert_eq!(reserved(namespace), None, "{namespace}");
        }
    }
}
