//! The answers that people and services give to requests of the account, as a test says.

use std::collections::BTreeMap;
use std::iter;

use jid::{BareJid, Jid};
use minidom::Element;

use super::impossible::Impossible;
use super::nodes::{is_about_nodes, of_a_plugin};
use super::{MockServer, Server};

/// An answer: a payload, or the condition of an error.
type Reply = Result<Option<Element>, String>;

/// The answers that a test has set.
#[derive(Debug, Default)]
pub(super) struct Replies(BTreeMap<Kind, Reply>);

/// Requests that get the same answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    who: BareJid,
    name: String,
    namespace: String,
    /// The action of a request on a node, since all such requests have the same payload. `None`: any.
    does: Option<String>,
}

impl Kind {
    fn of(who: BareJid, payload: &Element) -> Self {
        let part = payload.children().next().filter(|_| is_about_nodes(payload));
        let does = part.map(|part| match part.name() {
            // The answer says what became of the subscription (XEP-0060, section 6.1.2).
            "subscription" => "subscribe".to_owned(),
            name => name.to_owned(),
        });
        Self { who, name: payload.name().to_owned(), namespace: payload.ns(), does }
    }
}

impl MockServer {
    /// Sets the answer of somebody to requests of this kind, which `xml` shows: the answer itself, or the request if it
    /// is `refused` by a condition.
    pub fn answer_for(&self, who: &BareJid, xml: &str, refused: Option<&str>) -> Result<(), Impossible> {
        let what = if refused.is_none() { "no answer to an IQ" } else { "no IQ" };
        let payload: Element =
            xml.parse().map_err(|error| Impossible(format!("that is {what}, which is one element: {error}")))?;
        let kind = Kind::of(who.clone(), &payload);
        let reply = refused.map_or(Ok(Some(payload)), |condition| Err(condition.to_owned()));
        self.server().replies.0.insert(kind, reply);
        Ok(())
    }
}

impl Server {
    /// Returns the answer of somebody to this request.
    pub(super) fn reply_to(&self, to: Option<&Jid>, asked: &Element) -> Option<Reply> {
        // Of what the account asks its own server, a test answers only what plugins ask about nodes.
        let is_hosts = if is_about_nodes(asked) { of_a_plugin(asked).is_none() } else { to.is_none() };
        if is_hosts {
            return None;
        }
        // A room answers for an occupant if the test says so. Else it passes the request on to that person's client.
        let bare = to.map_or_else(|| self.own.to_bare(), Jid::to_bare);
        let person = to.and_then(|to| self.rooms.user(to));
        iter::once(bare).chain(person).find_map(|who| {
            let kind = Kind::of(who, asked);
            let any = Kind { does: None, ..kind.clone() };
            self.replies.0.get(&kind).or_else(|| self.replies.0.get(&any)).cloned()
        })
    }
}

#[cfg(test)]
mod tests {
    use jid::FullJid;
    use parlor_base::clock::Clock;
    use xmpp_parsers::ns;

    use super::*;

    #[test]
    fn a_request_to_an_occupant_is_answered_by_the_person() {
        let server = MockServer::new(FullJid::new("bot@example.org/here").unwrap(), Clock::Machine, |_| {});
        let version = "<query xmlns='jabber:iq:version'/>";
        server.answer_for(&BareJid::new("alice@example.org").unwrap(), version, None).unwrap();
        let asked: Element = version.parse().unwrap();
        let is_answered = |to: &str| server.server().reply_to(Some(&Jid::new(to).unwrap()), &asked).is_some();
        assert!(is_answered("alice@example.org/phone") && !is_answered("garden@rooms.example.org/al"));
        let al = FullJid::new("garden@rooms.example.org/al").unwrap();
        server.enter_room(&al, &FullJid::new("alice@example.org/home").unwrap()).unwrap();
        assert!(is_answered("garden@rooms.example.org/al"));
        assert!(!is_answered("garden@rooms.example.org/bob") && !is_answered("garden@rooms.example.org"));
        server.answer_for(&BareJid::new("garden@rooms.example.org").unwrap(), version, None).unwrap();
        assert!(is_answered("garden@rooms.example.org/bob"), "the room answers for all of them");
    }

    #[test]
    fn a_service_answers_each_kind_of_request_about_a_node_by_itself() {
        let server = MockServer::new(FullJid::new("bot@example.org/here").unwrap(), Clock::Machine, |_| {});
        let news = BareJid::new("pubsub.example.org").unwrap();
        let of = |namespace: &str, inside: &str| format!("<pubsub xmlns='{namespace}'>{inside}</pubsub>");
        let reply = |to: Option<&BareJid>, namespace: &str, inside: &str| {
            let asked: Element = of(namespace, inside).parse().unwrap();
            let to = to.map(|to| Jid::from(to.clone()));
            let reply = server.server().reply_to(to.as_ref(), &asked);
            reply.map(|reply| reply.map(|payload| payload.map(|payload| payload.children().count())))
        };
        let subscribe = "<subscribe node='n' jid='bot@example.org'/>";
        assert_eq!(reply(Some(&news), ns::PUBSUB, subscribe), None);
        server.answer_for(&news, &of(ns::PUBSUB, "<subscription node='n' subscription='pending'/>"), None).unwrap();
        assert_eq!(reply(Some(&news), ns::PUBSUB, subscribe), Some(Ok(Some(1))));
        assert_eq!(reply(Some(&news), ns::PUBSUB, "<items node='n'/>"), None, "that is another request");
        server.answer_for(&news, &of(ns::PUBSUB, "<items/>"), Some("item-not-found")).unwrap();
        assert_eq!(reply(Some(&news), ns::PUBSUB, "<items node='n'/>"), Some(Err("item-not-found".to_owned())));
        server.answer_for(&news, &of(ns::PUBSUB, ""), None).unwrap();
        assert_eq!(reply(Some(&news), ns::PUBSUB, "<retract node='n'/>"), Some(Ok(Some(0))), "one for all others");
        assert_eq!(reply(Some(&news), ns::PUBSUB, subscribe), Some(Ok(Some(1))));
        assert_eq!(reply(Some(&news), ns::PUBSUB_OWNER, "<purge node='n'/>"), None);
        // The account's own nodes, without those of the host.
        let own = BareJid::new("bot@example.org").unwrap();
        server.answer_for(&own, &of(ns::PUBSUB, ""), Some("not-allowed")).unwrap();
        let bookmarks = format!("<items node='{}'/>", ns::BOOKMARKS2);
        assert_eq!(reply(None, ns::PUBSUB, "<items node='n'/>"), Some(Err("not-allowed".to_owned())));
        assert_eq!(reply(None, ns::PUBSUB, &bookmarks), None);
    }
}
