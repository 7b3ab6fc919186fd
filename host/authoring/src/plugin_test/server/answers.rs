//! Answers the stanzas of the account: requests to the server, to rooms and to people, and its presence.

use jid::{BareJid, Jid};
use minidom::Element;
use parlor_stanza::encode::element;
use parlor_stanza::types::{BLOCKING, MAM, REPORTING};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;

use super::Server;
use super::nodes;
use super::rooms::Rooms;
use super::words::{self, error, iq, query};

impl Server {
    /// Sends a changed roster item.
    pub(super) fn push_roster(&mut self, item: Element) {
        let id = self.number("push");
        let payload = query(ns::ROSTER).append(item).build();
        self.bring(iq(None, "set", &id, Some(payload)));
    }

    /// Answers a stanza; `number` is the id that a room gives to the message.
    pub(super) fn answer(&mut self, stanza: Stanza, number: Option<&str>) {
        if let Some(error) = self.blocked.returned(&stanza) {
            return self.deliver(error);
        }
        match stanza {
            Stanza::Message(message) => {
                let told = self.rooms.message(&message, number, &self.own);
                // A message that a room refuses is not archived.
                if told.first().is_none_or(|echo| echo.attr("type") != Some("error")) {
                    self.archive_own(&message, number, told.first());
                }
                self.bring_all(told);
                let told = self.rooms.voice_answered(&message);
                self.bring_all(told);
            }
            Stanza::Presence(_) => self.presence(&element(&stanza)),
            Stanza::Iq(Iq::Get { to, id, payload, .. }) => {
                let told = self.reply_to(to.as_ref(), &payload);
                let answer = told.unwrap_or_else(|| self.get(to.as_ref(), &payload).map_err(str::to_owned));
                self.give(to.as_ref(), &id, answer);
            }
            Stanza::Iq(Iq::Set { to, id, payload, .. }) => {
                let told = self.reply_to(to.as_ref(), &payload);
                let answer = told.unwrap_or_else(|| self.set(to.as_ref(), &payload).map_err(str::to_owned));
                self.give(to.as_ref(), &id, answer);
            }
            // Answers to requests of the server need no reaction.
            Stanza::Iq(_) => {}
        }
    }

    fn give(&mut self, from: Option<&Jid>, id: &str, answer: Result<Option<Element>, String>) {
        let element = match answer {
            Ok(payload) => iq(from, "result", id, payload),
            Err(condition) => iq(from, "error", id, Some(error(&condition))),
        };
        self.bring(element);
    }

    /// Returns whether a request is for the account itself.
    pub(super) fn is_account(&self, to: Option<&Jid>) -> bool {
        to.is_none_or(|to| *to == self.own.to_bare())
    }

    /// Returns whether a request is for this server, or for the account itself.
    fn is_home(&self, to: Option<&Jid>) -> bool {
        self.is_account(to) || to.is_some_and(|to| to.node().is_none() && to.domain() == self.own.domain())
    }

    fn get(&mut self, to: Option<&Jid>, payload: &Element) -> Result<Option<Element>, &'static str> {
        if let Some(to) = to.filter(|to| Rooms::are_at(to)) {
            return self.rooms.get(to, payload, &self.own, self.archive_features());
        }
        let home = self.is_home(to);
        match payload.name() {
            "query" if home && payload.has_ns(ns::ROSTER) => {
                Ok(Some(query(ns::ROSTER).append_all(self.roster.values().cloned()).build()))
            }
            "query" if payload.has_ns(ns::DISCO_INFO) => Ok(Some(match self.archive_features() {
                // Messages in an archive have ids (XEP-0313, section 2).
                [archive] if self.is_account(to) => words::disco("account", "registered", &[*archive, ns::SID]),
                _ if home => words::disco("server", "im", &[BLOCKING, REPORTING]),
                _ => words::disco("client", "pc", &[]),
            })),
            "query" if payload.has_ns(ns::DISCO_ITEMS) => Ok(Some(query(ns::DISCO_ITEMS).build())),
            "query" if home && payload.has_ns(ns::VERSION) => Ok(Some(words::software())),
            "time" if home && payload.has_ns(ns::TIME) => Ok(Some(words::time(self.clock.now()))),
            "blocklist" if home && payload.has_ns(BLOCKING) => Ok(Some(self.blocked.list())),
            "pubsub" if home => Ok(Some(words::no_items(payload))),
            "vCard" if home => Ok(Some(Element::bare("vCard", ns::VCARD))),
            "vCard" => Err("item-not-found"),
            "ping" => Ok(None),
            _ => Err("service-unavailable"),
        }
    }

    fn set(&mut self, to: Option<&Jid>, payload: &Element) -> Result<Option<Element>, &'static str> {
        if payload.is("query", MAM) {
            return self.read_archive(to, payload).map(Some);
        }
        if let Some(to) = to.filter(|to| Rooms::are_at(to)) {
            let told = if payload.is("query", ns::REGISTER) {
                self.rooms.register(to, payload, &self.own)?.into_iter().collect()
            } else {
                self.rooms.set(to, payload, &self.own)?
            };
            self.bring_all(told);
            return Ok(None);
        }
        let home = self.is_home(to);
        match payload.name() {
            "query" if home && payload.has_ns(ns::ROSTER) => {
                let item = payload.children().next().ok_or("bad-request")?;
                let jid: BareJid = item.attr("jid").and_then(|jid| jid.parse().ok()).ok_or("bad-request")?;
                let item = if item.attr("subscription") == Some("remove") {
                    self.roster.remove(&jid);
                    item.clone()
                } else {
                    let known = self.roster.get(&jid).and_then(|known| known.attr("subscription"));
                    let groups: Vec<String> = item.children().map(Element::text).collect();
                    let item = words::roster_item(&jid, item.attr("name"), known.unwrap_or("none"), &groups);
                    self.roster.insert(jid, item.clone());
                    item
                };
                self.push_roster(item);
                Ok(None)
            }
            "block" | "unblock" if home && payload.has_ns(BLOCKING) => self.blocked.change(payload).map(|()| None),
            "pubsub" if home => Ok(nodes::published(payload, || self.number("item"))),
            "vCard" if home => Ok(None),
            _ => Err("service-unavailable"),
        }
    }

    /// Notes whether somebody sees the account's presence, as it has answered (RFC 6121, sections 3.1.5 and 3.2.2).
    fn sees_account(&mut self, jid: BareJid, sees: bool) {
        let known = self.roster.get(&jid);
        // A denial makes nobody a contact.
        if known.is_none() && !sees {
            return;
        }
        let is_seen = known.and_then(|item| item.attr("subscription")).is_some_and(|of| matches!(of, "to" | "both"));
        let subscription = match (is_seen, sees) {
            (true, true) => "both",
            (true, false) => "to",
            (false, true) => "from",
            (false, false) => "none",
        };
        let groups: Vec<String> = known.iter().flat_map(|item| item.children()).map(Element::text).collect();
        let item = words::roster_item(&jid, known.and_then(|item| item.attr("name")), subscription, &groups);
        self.roster.insert(jid, item.clone());
        self.push_roster(item);
    }

    fn presence(&mut self, presence: &Element) {
        let to = presence.attr("to").and_then(|to| to.parse::<Jid>().ok());
        if let Some(to) = to {
            match presence.attr("type") {
                Some("subscribed") => self.sees_account(to.to_bare(), true),
                Some("unsubscribed") => self.sees_account(to.to_bare(), false),
                _ => {}
            }
            let told = self.rooms.presence(&to, presence, &self.own);
            // If its nickname is taken, the account tries others, which is not reported either.
            let room = to.to_bare();
            if self.rooms.us(&room).is_some() {
                self.expected.remove(&room);
            }
            self.bring_all(told);
        } else if presence.attr("type").is_none() && !std::mem::replace(&mut self.is_present, true) {
            // RFC 6121, section 4.2.2: a new session gets the presence of everybody who is available.
            let there = self.present.values().cloned().collect();
            self.bring_all(there);
        }
    }
}

#[cfg(test)]
mod tests {
    use jid::FullJid;
    use parlor_base::clock::Clock;

    use super::super::MockServer;
    use super::*;

    #[test]
    fn the_server_says_what_it_runs_and_what_time_it_is_and_people_do_not() {
        let server = MockServer::new(FullJid::new("bot@example.org/here").unwrap(), Clock::Machine, |_| {});
        let asked = |to: &str, xml: &str| server.server().get(Some(&to.parse().unwrap()), &xml.parse().unwrap());
        let (version, time) = ("<query xmlns='jabber:iq:version'/>", "<time xmlns='urn:xmpp:time'/>");
        assert!(asked("example.org", version).unwrap().unwrap().has_child("version", ns::VERSION));
        assert!(asked("example.org", time).unwrap().unwrap().has_child("utc", ns::TIME));
        for xml in [version, time] {
            assert_eq!(asked("alice@example.org/home", xml), Err("service-unavailable"), "{xml}");
        }
    }
}
