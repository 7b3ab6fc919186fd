//! The nodes of publish-subscribe that the host keeps for itself, on every service, and the form of a node's name.

use parlor_stanza::raw::is_one_line;

/// Maximum length of the name of a node, in bytes.
pub const LONGEST_NODE: usize = 1_024;

/// The reasons why a node is reserved.
const KEPT: &str = "the host keeps it itself";
const KEYS: &str = "it has to do with keys of encryption";
const CARD: &str = "it is a card or a picture of a person, for which there is `vcard`";
const PRIVATE: &str = "it is private storage of the account's clients";

/// The nodes that no plugin may have, each with the reason. An entry that ends in `*` stands for all nodes with this
/// prefix.
const RESERVED: &[(&str, &str)] = &[
    ("urn:parlor:*", KEPT),
    ("urn:xmpp:bookmarks:*", KEPT),
    ("eu.siacs.conversations.axolotl*", KEYS),
    ("urn:xmpp:omemo:*", KEYS),
    ("urn:xmpp:openpgp*", KEYS),
    ("urn:xmpp:ox:*", KEYS),
    ("urn:ietf:params:xml:ns:vcard-4.0*", CARD),
    ("urn:xmpp:avatar:*", CARD),
    ("urn:xmpp:vcard4*", CARD),
    ("vcard-temp*", CARD),
    ("storage:*", PRIVATE),
    ("urn:xmpp:mds:*", PRIVATE),
    ("urn:xmpp:push:*", PRIVATE),
];

/// Returns why no plugin may have this node; `None` if one may.
pub fn reserved_node(node: &str) -> Option<&'static str> {
    // Some servers compare the names of nodes without regard to case, or to white space around them.
    let node = node.trim().to_lowercase();
    let is_meant = |one: &str| match one.strip_suffix('*') {
        Some(begin) => node.starts_with(begin),
        None => node == one,
    };
    RESERVED.iter().find(|(one, _)| is_meant(one)).map(|(_, why)| *why)
}

/// Checks that this may be the name of a node. The error is a clause.
pub fn check_node(node: &str) -> Result<(), String> {
    if node.is_empty() || node.len() > LONGEST_NODE {
        return Err(format!("a node has a name of 1 to {LONGEST_NODE} bytes"));
    }
    if !is_one_line(node) {
        return Err("the name of a node has no control characters".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_secrets_or_is_the_hosts_is_reserved() {
        for node in [
            "storage:bookmarks",
            "urn:xmpp:bookmarks:1",
            "urn:xmpp:bookmarks:0",
            "eu.siacs.conversations.axolotl.devicelist",
            "eu.siacs.conversations.axolotl.bundles:1",
            "urn:xmpp:omemo:2:devices",
            "urn:xmpp:omemo:2:bundles",
            "urn:xmpp:openpgp:0:public-keys",
            "urn:xmpp:avatar:data",
            "urn:xmpp:vcard4",
            "vcard-temp",
            "URN:XMPP:OpenPGP:0:secret-key",
            " storage:bookmarks",
        ] {
            assert!(reserved_node(node).is_some(), "{node}");
        }
        for node in ["news", "urn:example:mood", "http://jabber.org/protocol/tune", "urn:xmpp:microblog:0", "*", ""] {
            assert_eq!(reserved_node(node), None, "{node}");
        }
    }

    #[test]
    fn a_node_has_a_name_on_one_line() {
        assert!(check_node("news").is_ok() && check_node(&"x".repeat(LONGEST_NODE)).is_ok());
        for node in ["", "a\nb", "a\u{0}", &"x".repeat(LONGEST_NODE + 1)] {
            assert!(check_node(node).is_err(), "{node:.10}");
        }
    }
}
