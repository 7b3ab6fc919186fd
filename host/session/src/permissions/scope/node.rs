//! The nodes of publish-subscribe that one entry of a scope covers, by service and name.

use std::fmt;

use jid::{BareJid, Jid};

use super::error::BadScope;
use super::pattern::Pattern;
use crate::permissions::nodes::{check_node, reserved_node};

/// The word for this account instead of a service.
const OWN: &str = "own";

/// The services that an entry covers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Services {
    /// This account.
    Own,
    /// The services with these addresses.
    Of(Pattern),
}

/// An entry of a scope of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodePattern {
    services: Services,
    /// The name of the node. None: each node.
    node: Option<Box<str>>,
}

impl NodePattern {
    /// Returns the pattern of every node.
    pub(super) fn all() -> Self {
        Self { services: Services::Of(Pattern::Everybody), node: None }
    }

    /// Parses an entry. A node that the host keeps for itself is refused.
    pub(super) fn parse(entry: &str) -> Result<Self, BadScope> {
        let bad = |reason: String| BadScope::NoNode { entry: entry.chars().take(128).collect(), reason };
        if entry == "*" {
            return Ok(Self::all());
        }
        let Some((service, node)) = entry.split_once('/') else {
            return Err(bad("it names a service without a node; `/*` behind it stands for each node".to_owned()));
        };
        let services = if service == OWN { Services::Own } else { Services::Of(Pattern::parse_service(service)?) };
        // In other letters it would be an address, and be written as the word.
        if let Services::Of(pattern) = &services
            && pattern.one_address().is_some_and(|one| [OWN, "contacts"].contains(&one.as_str()))
        {
            return Err(bad(format!("{service:?} is a word here, and is written in small letters")));
        }
        if node == "*" {
            return Ok(Self { services, node: None });
        }
        check_node(node).map_err(bad)?;
        match reserved_node(node) {
            Some(why) => Err(bad(format!("{why}; no plugin may have it"))),
            None => Ok(Self { services, node: Some(node.into()) }),
        }
    }

    /// Returns whether it covers this node of this service, which may be the account itself.
    pub(super) fn covers(
        &self,
        service: &Jid,
        node: &str,
        is_own: bool,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> bool {
        let is_named = self.node.as_deref().is_none_or(|one| one == node);
        is_named
            && match &self.services {
                Services::Own => is_own,
                Services::Of(pattern) => pattern.covers(service, is_contact),
            }
    }

    /// Returns whether it covers everything that the other one covers, for any roster.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let services = match (&self.services, &other.services) {
            (Services::Of(one), Services::Of(other)) => one.includes(other),
            (Services::Of(one), Services::Own) => *one == Pattern::Everybody,
            (Services::Own, other) => *other == Services::Own,
        };
        services && (self.node.is_none() || self.node == other.node)
    }

    /// Returns whether it depends on the roster what it covers.
    pub(super) fn names_contacts(&self) -> bool {
        self.services == Services::Of(Pattern::Contacts)
    }

    /// Returns whether it covers one node of one service.
    pub(super) fn is_one(&self) -> bool {
        let is_one = match &self.services {
            Services::Own => true,
            Services::Of(pattern) => pattern.one_address().is_some(),
        };
        is_one && self.node.is_some()
    }

    /// Returns the node that accounts may have, if it names one.
    pub(super) fn of_accounts(&self) -> Option<&str> {
        let is_of_accounts = match &self.services {
            Services::Own => true,
            Services::Of(pattern) => pattern.one_address().is_none_or(|one| one.node().is_some()),
        };
        self.node.as_deref().filter(|_| is_of_accounts)
    }
}

impl fmt::Display for NodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.services, self.node.as_deref()) {
            (Services::Of(Pattern::Everybody), None) => f.write_str("*"),
            (Services::Own, node) => write!(f, "{OWN}/{}", node.unwrap_or("*")),
            (Services::Of(pattern), node) => write!(f, "{pattern}/{}", node.unwrap_or("*")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(entry: &str, service: &str, node: &str) -> bool {
        let is_contact = |jid: &BareJid| jid.as_str() == "juliet@example.org";
        let service: Jid = service.parse().unwrap();
        let is_own = service.as_str() == "romeo@example.org";
        NodePattern::parse(entry).unwrap().covers(&service, node, is_own, &is_contact)
    }

    #[test]
    fn an_entry_covers_nodes_by_service_and_name() {
        for (entry, covered, others) in [
            (
                "pubsub.example.org/news",
                &[("pubsub.example.org", "news")][..],
                &[("pubsub.example.org", "news2"), ("example.org", "news"), ("a@pubsub.example.org", "news")][..],
            ),
            ("*", &[("pubsub.example.org", "a"), ("juliet@example.org", "b")], &[]),
            ("pubsub.example.org/*", &[("pubsub.example.org", "a/b")], &[("juliet@example.org", "a/b")]),
            (
                "contacts/http://jabber.org/protocol/mood",
                &[("juliet@example.org", "http://jabber.org/protocol/mood")],
                &[("paris@example.org", "http://jabber.org/protocol/mood"), ("juliet@example.org", "mood")],
            ),
            (
                "own/urn:example:mood",
                &[("romeo@example.org", "urn:example:mood")],
                &[("juliet@example.org", "urn:example:mood"), ("romeo@example.org", "other")],
            ),
            ("*/news", &[("a.org", "news"), ("romeo@example.org", "news")], &[("a.org", "other")]),
            ("@example.org/news", &[("paris@example.org", "news")], &[("example.org", "news")]),
        ] {
            for (service, node) in covered {
                assert!(covers(entry, service, node), "{entry}: {service} {node}");
            }
            for (service, node) in others {
                assert!(!covers(entry, service, node), "{entry}: {service} {node}");
            }
            assert_eq!(NodePattern::parse(entry).unwrap().to_string(), entry);
        }
    }

    #[test]
    fn what_is_no_node_or_is_the_hosts_is_refused() {
        for entry in [
            "",
            "news",
            "pubsub.example.org",
            "/news",
            "a.org/",
            "@/news",
            "a b@/news",
            "OWN/news",
            "Contacts/news",
            "own/storage:bookmarks",
        ] {
            assert!(NodePattern::parse(entry).is_err(), "{entry:?}");
        }
        let error = NodePattern::parse("contacts/urn:xmpp:omemo:2:devices").unwrap_err().to_string();
        assert!(error.contains("keys of encryption"), "{error}");
    }

    #[test]
    fn an_entry_includes_those_that_cover_less() {
        let includes =
            |one: &str, other: &str| NodePattern::parse(one).unwrap().includes(&NodePattern::parse(other).unwrap());
        for (wide, narrow) in [
            ("*", "own/a"),
            ("*", "contacts/*"),
            ("*/a", "own/a"),
            ("*/a", "a.org/a"),
            ("a.org/*", "a.org/a"),
            ("@a.org/a", "b@a.org/a"),
        ] {
            assert!(includes(wide, narrow) && !includes(narrow, wide), "{wide} and {narrow}");
        }
        assert!(!includes("contacts/a", "own/a") && !includes("a.org/a", "a.org/b") && !includes("*/a", "own/b"));
    }

    #[test]
    fn nodes_of_accounts_are_those_that_an_account_can_be_told_of() {
        let node = |entry: &str| NodePattern::parse(entry).unwrap().of_accounts().map(str::to_owned);
        for entry in ["own/a", "contacts/a", "*/a", "@a.org/a", "b@a.org/a"] {
            assert_eq!(node(entry).as_deref(), Some("a"), "{entry}");
        }
        for entry in ["*", "own/*", "pubsub.a.org/a"] {
            assert_eq!(node(entry), None, "{entry}");
        }
        let is_one = |entry: &str| NodePattern::parse(entry).unwrap().is_one();
        assert!(is_one("a.org/a") && is_one("own/a") && !is_one("a.org/*") && !is_one("*/a") && !is_one("contacts/a"));
    }
}
