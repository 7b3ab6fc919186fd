//! Addresses that the server lets nothing through from (XEP-0191).

use std::collections::BTreeSet;

use jid::Jid;
use minidom::Element;
use parlor_stanza::encode::name;
use parlor_stanza::types::BLOCKING;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::MessageType;
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;

use super::words;

/// The namespace of the error for a stanza to a blocked address (XEP-0191, section 3.3).
const ERRORS: &str = "urn:xmpp:blocking:errors";

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
        // Most accounts block nobody.
        let from = stanza.attr("from").filter(|_| !self.0.is_empty());
        from.and_then(|from| from.parse::<Jid>().ok()).is_some_and(|from| self.has(&from))
    }

    /// Returns whether an address is blocked.
    pub(super) fn has(&self, jid: &Jid) -> bool {
        let covers = |blocked: &Jid| match (blocked.is_bare(), blocked.node()) {
            (false, _) => blocked == jid,
            (true, Some(_)) => *blocked == jid.to_bare(),
            (true, None) => blocked.domain() == jid.domain(),
        };
        self.0.iter().any(covers)
    }

    /// Returns the error for a message or request of the account to a blocked address.
    pub(super) fn returned(&self, stanza: &Stanza) -> Option<Element> {
        let is_blocked = |to: &&Jid| self.has(to);
        let mut error = words::error("not-acceptable");
        error.append_child(Element::bare("blocked", ERRORS));
        match stanza {
            Stanza::Message(message) if message.type_ != MessageType::Error => {
                let to = message.to.as_ref().filter(is_blocked)?;
                let id = message.id.as_ref().map(|id| id.0.clone());
                Some(
                    Element::builder("message", ns::JABBER_CLIENT)
                        .attr(name("from"), to.to_string())
                        .attr(name("type"), "error")
                        .attr(name("id"), id)
                        .append(error)
                        .build(),
                )
            }
            Stanza::Iq(Iq::Get { to, id, .. } | Iq::Set { to, id, .. }) => {
                let to = to.as_ref().filter(is_blocked)?;
                Some(words::iq(Some(to), "error", id, Some(error)))
            }
            Stanza::Message(_) | Stanza::Iq(_) | Stanza::Presence(_) => None,
        }
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

    /// XEP-0191, section 3.3.
    #[test]
    fn what_the_account_sends_to_a_blocked_address_comes_back() {
        let mut blocked = Blocked::default();
        let order = format!("<block xmlns='{BLOCKING}'><item jid='bob@example.org'/></block>");
        blocked.change(&order.parse().unwrap()).unwrap();
        let returned = |blocked: &Blocked, xml: &str| {
            let stanza = Stanza::try_from(xml.parse::<Element>().unwrap()).unwrap();
            let returned = blocked.returned(&stanza)?;
            let error = returned.get_child("error", ns::JABBER_CLIENT)?;
            assert!(error.has_child("blocked", ERRORS) && error.has_child("not-acceptable", ns::XMPP_STANZAS));
            Some([returned.name(), returned.attr("from")?, returned.attr("type")?, returned.attr("id")?].join(" "))
        };
        for (xml, answer) in [
            ("<message xmlns='jabber:client' to='bob@example.org' id='1'/>", Some("message bob@example.org error 1")),
            ("<message xmlns='jabber:client' to='bob@example.org' id='1' type='error'/>", None),
            ("<message xmlns='jabber:client' to='alice@example.org' id='1'/>", None),
            (
                "<iq xmlns='jabber:client' to='bob@example.org/x' id='2' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
                Some("iq bob@example.org/x error 2"),
            ),
            ("<iq xmlns='jabber:client' id='2' type='get'><ping xmlns='urn:xmpp:ping'/></iq>", None),
        ] {
            assert_eq!(returned(&blocked, xml).as_deref(), answer, "{xml}");
        }
    }
}
