//! Addresses that the server lets nothing through from (XEP-0191).

use std::collections::BTreeSet;

use jid::Jid;
use minidom::Element;
use parlor_stanza::encode::name;
use parlor_stanza::types::BLOCKING;

/// The blocked addresses of the account.
#[derive(Debug, Default)]
pub(super) struct Blocked(BTreeSet<Jid>);

impl Blocked {
    /// Returns the list.
    pub(super) fn list(&self) -> Element {
        let item = |jid: &Jid| Element::builder("item", BLOCKING).attr(name("jid"), jid.to_string()).build();
        Element::builder("blocklist", BLOCKING).append_all(self.0.iter().map(item)).build()
    }

    /// Blocks or unblocks the addresses in a request.
    pub(super) fn change(&mut self, payload: &Element) -> Result<(), &'static str> {
        let jids = payload.children().map(|item| item.attr("jid").and_then(|jid| jid.parse::<Jid>().ok()));
        let jids = jids.collect::<Option<BTreeSet<_>>>().ok_or("bad-request")?;
        match payload.name() {
            "block" if !jids.is_empty() => self.0.extend(jids),
            // Without an address, all are unblocked.
            "unblock" if jids.is_empty() => self.0.clear(),
            "unblock" => self.0.retain(|jid| !jids.contains(jid)),
            _ => return Err("bad-request"),
        }
        Ok(())
    }

    /// Returns whether a stanza is from a blocked address.
    pub(super) fn has_sender_of(&self, stanza: &Element) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(from) = stanza.attr("from").and_then(|from| from.parse::<Jid>().ok()) else { return false };
        let covers = |jid: &Jid| match (jid.is_bare(), jid.node()) {
            (false, _) => *jid == from,
            (true, Some(_)) => *jid == from.to_bare(),
            (true, None) => jid.domain() == from.domain(),
        };
        self.0.iter().any(covers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_covers_what_is_under_it() {
        let mut blocked = Blocked::default();
        let order = |what: &str, jid: &str| {
            format!("<{what} xmlns='{BLOCKING}'><item jid='{jid}'/></{what}>").parse::<Element>().unwrap()
        };
        for jid in ["bob@example.org", "spam.example", "garden@rooms.example.org/eve"] {
            blocked.change(&order("block", jid)).unwrap();
        }
        let is_blocked = |blocked: &Blocked, from: &str| {
            let xml = format!("<message xmlns='jabber:client' from='{from}'/>");
            blocked.has_sender_of(&xml.parse().unwrap())
        };
        for from in ["bob@example.org/home", "bob@example.org", "anybody@spam.example", "garden@rooms.example.org/eve"]
        {
            assert!(is_blocked(&blocked, from), "{from}");
        }
        for from in ["alice@example.org", "garden@rooms.example.org/bob", "example.org"] {
            assert!(!is_blocked(&blocked, from), "{from}");
        }
        assert_eq!(blocked.list().children().count(), 3);
        blocked.change(&order("unblock", "bob@example.org")).unwrap();
        assert!(!is_blocked(&blocked, "bob@example.org/home"));
        assert_eq!(blocked.change(&order("block", "@@")), Err("bad-request"));
        blocked.change(&Element::bare("unblock", BLOCKING)).unwrap();
        assert_eq!(blocked.list().children().count(), 0);
    }
}
