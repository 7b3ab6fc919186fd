//! Stanzas that a test writes out as they are, and the account's answers to those that are requests.

use std::collections::BTreeSet;

use jid::Jid;
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;

use super::action::Action;
use super::impossible::Impossible;
use super::{MockServer, Server, words};

/// The requests that were written out and have no answer, by sender and id.
#[derive(Debug, Default)]
pub(super) struct Requests(BTreeSet<(Option<Jid>, String)>);

impl Requests {
    /// Notes a stanza that was written out, if it is a request.
    fn note(&mut self, stanza: &Stanza) {
        if let Stanza::Iq(Iq::Get { from, id, .. } | Iq::Set { from, id, .. }) = stanza {
            self.0.insert((from.clone(), id.clone()));
        }
    }
}

impl MockServer {
    /// Sends a stanza as it is written.
    pub fn bring_xml(&self, xml: &str) -> Result<(), Impossible> {
        let mut element = Element::from_reader_with_prefixes(xml.as_bytes(), ns::JABBER_CLIENT.to_owned())
            .map_err(|error| Impossible(format!("that is no stanza: {error}")))?;
        let stanza = Stanza::try_from(element.clone());
        let stanza = stanza.map_err(|error| Impossible(format!("that is no stanza: {error}")))?;
        let mut guard = self.server();
        let server = &mut *guard;
        server.written.note(&stanza);
        if let (Stanza::Message(message), Some(archive)) = (&stanza, &mut server.archive)
            && let Some(id) = archive.put_written(message, &server.own, server.clock.now())
        {
            element.append_child(words::numbered(&server.own.to_bare(), &id));
        }
        server.bring(element);
        Ok(())
    }
}

impl Server {
    /// Returns what the account answers to a request that was written out; `None` if the stanza is no such answer.
    pub(super) fn written_answer(&mut self, stanza: &Stanza) -> Option<Action> {
        let (to, id, action) = match stanza {
            Stanza::Iq(Iq::Result { to, id, payload, .. }) => {
                (to, id, Action::Replied { to: to.clone(), payload: payload.as_ref().map(String::from) })
            }
            Stanza::Iq(Iq::Error { to, id, error, .. }) => {
                let element = Element::from(error.clone());
                let is_condition = |child: &&Element| child.has_ns(ns::XMPP_STANZAS) && child.name() != "text";
                let condition = element.children().find(is_condition).map_or("error", Element::name).to_owned();
                let text = error.texts.values().next().cloned();
                (to, id, Action::Refused { to: to.clone(), condition, text })
            }
            _ => return None,
        };
        self.written.0.remove(&(to.clone(), id.clone())).then_some(action)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use jid::FullJid;
    use parlor_base::clock::Clock;

    use super::super::Coming;
    use super::*;
    use crate::plugin_test::notes::Happened;
    use crate::plugin_test::shown::Shown;

    /// The account announces that it assigns ids to archived messages (XEP-0359, section 4).
    #[test]
    fn a_message_that_is_written_out_has_the_number_that_it_has_in_the_archive() {
        let own = FullJid::new("bot@example.org/here").unwrap();
        let server = MockServer::new(own, Clock::Machine, |_| {});
        for (xml, id) in [
            ("<message from='bob@example.org/home' type='chat'><body>hi</body></message>", Some("archive-1")),
            ("<message from='bob@example.org/home' type='chat'><subject>hi</subject></message>", None),
            ("<message from='bob@example.org/home'><body>hi</body></message>", Some("archive-2")),
            ("<message from='garden@rooms.example.org/bob' type='groupchat'><body>hi</body></message>", None),
        ] {
            server.bring_xml(xml).unwrap();
            let coming = server.server().coming.pop_front();
            let Some(Coming::Stanza(element)) = &coming else { panic!("{coming:?}") };
            let numbered = element.get_child("stanza-id", ns::SID);
            assert_eq!(numbered.and_then(|numbered| numbered.attr("id")), id, "{xml}");
            assert_eq!(numbered.and_then(|numbered| numbered.attr("by")), id.map(|_| "bot@example.org"));
        }
    }

    #[test]
    fn the_answer_to_a_request_that_is_written_out_is_shown_once_and_to_whom() {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let lines = Arc::clone(&seen);
        let own = FullJid::new("bot@example.org/here").unwrap();
        let server = MockServer::new(own, Clock::Machine, move |action| {
            lines.lock().unwrap().extend(Shown::default().lines(&Happened::Did(action)));
        });
        let request = "<iq type='get' id='1' from='alice@example.org/home'><place xmlns='urn:example:weather'/></iq>";
        let answers = |of: &str, inside: &str| {
            let answer = format!("<iq xmlns='jabber:client' to='alice@example.org/home' {of}>{inside}</iq>");
            let stanza = Stanza::try_from(answer.parse::<Element>().unwrap()).unwrap();
            server.server().hear(stanza, false);
            seen.lock().unwrap().drain(..).collect::<Vec<_>>()
        };
        let warm = "<temperature xmlns='urn:example:weather'>7</temperature>";
        assert!(answers("type='result' id='1'", warm).is_empty(), "nobody has asked");
        server.bring_xml(request).unwrap();
        assert!(answers("type='result' id='2'", warm).is_empty(), "that answers something else");
        assert_eq!(answers("type='result' id='1'", warm), [format!("answers alice: {warm}")]);
        assert!(answers("type='result' id='1'", warm).is_empty(), "it is answered");
        server.bring_xml(request).unwrap();
        assert_eq!(answers("type='result' id='1'", ""), ["answers alice"]);
        let condition = "<not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
        server.bring_xml(request).unwrap();
        let refused = format!("<error type='cancel'>{condition}</error>");
        assert_eq!(answers("type='error' id='1'", &refused), ["refuses alice: not-allowed"]);
        server.bring_xml(request).unwrap();
        let text = "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>it can only be read</text>";
        let refused = format!("<error type='cancel'>{condition}{text}</error>");
        assert_eq!(answers("type='error' id='1'", &refused), ["refuses alice: not-allowed (it can only be read)"]);
    }
}
