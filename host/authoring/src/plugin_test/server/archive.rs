//! The archives of the mock server (XEP-0313): the account's, and that of each room.

use std::collections::VecDeque;
use std::str::FromStr;

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use minidom::Element;
use parlor_stanza::encode::{HINTS, name};
use parlor_stanza::raw::weight;
use parlor_stanza::types::MAM;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;

use super::Server;
use super::rooms::Rooms;
use super::said::{Ids, Said};
use super::words::numbered;

/// The maximum number of messages in all archives together; older ones are dropped.
const MOST: usize = 10_000;

/// The approximate maximum memory of these messages, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// The maximum page size, for any request, as on Prosody by default.
const LONGEST_PAGE: usize = 50;

/// All archives together, from the oldest message to the newest.
#[derive(Debug, Default)]
pub(super) struct Archive {
    kept: VecDeque<ArchivedMessage>,
    /// The approximate memory of the messages, in bytes.
    weight: usize,
    /// The number of ids assigned in the account's own archive.
    numbered: u64,
}

#[derive(Debug)]
struct ArchivedMessage {
    id: String,
    /// The owner of the archive: the account's bare JID, or the room's.
    archive: BareJid,
    /// The other party of the message; an occupant in a room.
    with: Jid,
    at: Timestamp,
    message: Element,
    weight: usize,
}

impl ArchivedMessage {
    fn is_with(&self, with: &Jid) -> bool {
        if with.is_full() { self.with == *with } else { self.with.to_bare() == *with }
    }

    /// Returns the message as a result of a query (XEP-0313, section 4.2).
    fn result(&self, queryid: Option<&str>, own: &FullJid) -> Element {
        let delay = Element::builder("delay", ns::DELAY).attr(name("stamp"), self.at.to_string()).build();
        let forwarded = Element::builder("forwarded", ns::FORWARD).append(delay).append(self.message.clone()).build();
        let result = Element::builder("result", MAM)
            .attr(name("queryid"), queryid)
            .attr(name("id"), self.id.as_str())
            .append(forwarded)
            .build();
        Element::builder("message", ns::JABBER_CLIENT)
            .attr(name("from"), self.archive.to_string())
            .attr(name("to"), own.to_string())
            .append(result)
            .build()
    }
}

impl Archive {
    /// Returns a new id for the account's own archive; a room's archive uses the room's ids.
    fn number(&mut self) -> String {
        self.numbered += 1;
        format!("archive-{}", self.numbered)
    }

    /// Stores a message, and drops the oldest ones above the limits.
    fn put(&mut self, archive: BareJid, with: Jid, id: String, message: Element, at: Timestamp) {
        let weight = weight(&message);
        self.weight += weight;
        self.kept.push_back(ArchivedMessage { id, archive, with, at, message, weight });
        while self.kept.len() > MOST || self.weight > MOST_BYTES {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.weight -= oldest.weight;
        }
    }

    /// Stores a message of the account to somebody, if it belongs into an archive.
    fn put_own(&mut self, message: &Message, own: &FullJid, at: Timestamp) {
        if let Some(to) = message.to.clone().filter(|_| is_of_two(message) && is_kept(message)) {
            let copy = Message { from: Some(own.clone().into()), ..message.clone() };
            let id = self.number();
            self.put(own.to_bare(), to, id, copy.into(), at);
        }
    }

    /// Stores a message that was given as XML, if it belongs into an archive. Returns its id then.
    pub(super) fn put_written(&mut self, message: &Message, own: &FullJid, at: Timestamp) -> Option<String> {
        let from = message.from.clone().filter(|_| is_of_two(message) && is_kept(message))?;
        let id = self.number();
        self.put(own.to_bare(), from, id.clone(), message.clone().into(), at);
        Some(id)
    }

    /// Returns a page (XEP-0313, section 4; XEP-0059): its messages, and its end.
    fn page(&self, archive: &BareJid, query: &Element, own: &FullJid) -> Result<(Vec<Element>, Element), &'static str> {
        let (with, start, end) =
            (field::<Jid>(query, "with")?, field::<Timestamp>(query, "start")?, field::<Timestamp>(query, "end")?);
        let fits = |one: &ArchivedMessage| {
            one.archive == *archive
                && with.as_ref().is_none_or(|with| one.is_with(with))
                && start.is_none_or(|start| one.at >= start)
                && end.is_none_or(|end| one.at <= end)
        };
        let all: Vec<(usize, &ArchivedMessage)> = self.kept.iter().enumerate().filter(|(_, one)| fits(one)).collect();
        // A page may begin behind any message of the archive, even one that does not match.
        let place = |id: &str| {
            let place = self.kept.iter().position(|one| one.archive == *archive && one.id == id);
            place.ok_or("item-not-found")
        };
        let set = query.get_child("set", ns::RSM);
        let part = |part: &str| set.and_then(|set| set.get_child(part, ns::RSM)).map(Element::text);
        let max = part("max").map(|max| max.parse::<usize>().map_err(|_| "bad-request")).transpose()?;
        let max = max.map_or(LONGEST_PAGE, |max| max.min(LONGEST_PAGE));
        let is_backwards = part("before").is_some();
        let (begin, end) = match (part("before"), part("after")) {
            (Some(before), _) => {
                let before = if before.is_empty() { usize::MAX } else { place(&before)? };
                let end = all.partition_point(|(at, _)| *at < before);
                (end.saturating_sub(max), end)
            }
            (None, Some(after)) => {
                let after = place(&after)?;
                let begin = all.partition_point(|(at, _)| *at <= after);
                (begin, all.len().min(begin + max))
            }
            // Prosody and ejabberd answer the same.
            (None, None) if part("index").is_some() => return Err("feature-not-implemented"),
            (None, None) => (0, all.len().min(max)),
        };
        let page = &all[begin..end];
        let results = page.iter().map(|(_, one)| one.result(query.attr("queryid"), own)).collect();
        let is_complete = if is_backwards { begin == 0 } else { end == all.len() };
        let first = page.first().map(|(_, first)| {
            let index = name("index");
            Element::builder("first", ns::RSM).attr(index, begin.to_string()).append(first.id.as_str()).build()
        });
        let last = page.last().map(|(_, last)| Element::builder("last", ns::RSM).append(last.id.as_str()).build());
        let count = Element::builder("count", ns::RSM).append(all.len().to_string()).build();
        let set = Element::builder("set", ns::RSM).append_all(first).append_all(last).append(count).build();
        let fin = Element::builder("fin", MAM).attr(name("complete"), is_complete.then_some("true")).append(set);
        Ok((results, fin.build()))
    }
}

impl Server {
    /// Stores a message of somebody in the archive where it belongs. Returns the id that it gets in the account's archive.
    pub(super) fn archive_said(&mut self, said: &Said, ids: &Ids, element: &mut Element) -> Option<String> {
        // An encrypted message could not be decrypted there.
        let archive = self.archive.as_mut().filter(|_| said.sealed.is_none())?;
        let (from, now) = (Jid::from(said.from.clone()), self.clock.now());
        if let Some(id) = &ids.rooms {
            archive.put(from.to_bare(), from, id.clone(), element.clone(), now);
            return None;
        }
        let (own, id) = (self.own.to_bare(), archive.number());
        element.append_child(numbered(&own, &id));
        archive.put(own, from, id.clone(), element.clone(), now);
        Some(id)
    }

    /// Stores a message of the account. In a room, stores the room's echo with this id.
    pub(super) fn archive_own(&mut self, message: &Message, number: Option<&str>, echo: Option<&Element>) {
        let Some(archive) = &mut self.archive else { return };
        let now = self.clock.now();
        let us = message.to.as_ref().and_then(|room| self.rooms.us(&room.to_bare()));
        if let (Some(number), Some(echo), Some(us)) = (number, echo, us) {
            if is_kept(message) {
                archive.put(us.to_bare(), us.into(), number.to_owned(), echo.clone(), now);
            }
        } else {
            archive.put_own(message, &self.own, now);
        }
    }

    /// Returns the features of an entity with an archive.
    pub(super) fn archive_features(&self) -> &'static [&'static str] {
        if self.archive.is_some() { &[MAM] } else { &[] }
    }

    /// Returns the end of a page of an archive, after sending its messages.
    pub(super) fn read_archive(&mut self, to: Option<&Jid>, query: &Element) -> Result<Element, &'static str> {
        let whose = match to {
            Some(room) if Rooms::are_at(room) => self.rooms.known(room)?,
            to if self.is_account(to) => self.own.to_bare(),
            _ => return Err("service-unavailable"),
        };
        let archive = self.archive.as_ref().ok_or("service-unavailable")?;
        let (messages, end) = archive.page(&whose, query, &self.own)?;
        self.bring_all(messages);
        Ok(end)
    }
}

/// Returns whether the message is for one recipient: messages to all are in the room's archive.
fn is_of_two(message: &Message) -> bool {
    matches!(message.type_, MessageType::Chat | MessageType::Normal)
}

/// Returns whether an archive stores the message (XEP-0313, section 5.1.1; XEP-0334).
fn is_kept(message: &Message) -> bool {
    let hints = |hint: &str| message.payloads.iter().any(|payload| payload.is(hint, HINTS));
    !hints("no-store") && !hints("no-permanent-store") && (!message.bodies.is_empty() || hints("store"))
}

/// Returns the value of a field in a query.
fn field<T: FromStr>(query: &Element, var: &str) -> Result<Option<T>, &'static str> {
    let mut fields = query.get_child("x", ns::DATA_FORMS).into_iter().flat_map(Element::children);
    let value = fields
        .find(|field| field.attr("var") == Some(var))
        .and_then(|field| field.get_child("value", ns::DATA_FORMS))
        .map(Element::text);
    value.map(|value| value.trim().parse().map_err(|_| "bad-request")).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(jid: &str) -> BareJid {
        jid.parse().unwrap()
    }

    fn own() -> FullJid {
        "bot@example.org/here".parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn message(number: usize) -> Element {
        let body = Element::builder("body", ns::JABBER_CLIENT).append(number.to_string());
        Element::builder("message", ns::JABBER_CLIENT).append(body).build()
    }

    /// Creates an archive with messages of alice and bob alternately, one a second, and one message of a room.
    fn filled(count: usize) -> Archive {
        let mut archive = Archive::default();
        for number in 0..count {
            let who = if number % 2 == 0 { "alice@example.org/home" } else { "bob@example.org/home" };
            let second = i64::try_from(number).unwrap();
            archive.put(own().to_bare(), who.parse().unwrap(), number.to_string(), message(number), at(second));
        }
        let occupant = "garden@rooms.example.org/alice".parse().unwrap();
        archive.put(bare("garden@rooms.example.org"), occupant, "room".to_owned(), message(0), at(0));
        archive
    }

    fn query(fields: &[(&str, String)], set: &[(&'static str, &str)]) -> Element {
        let fields = fields.iter().map(|(var, value)| {
            let value = Element::builder("value", ns::DATA_FORMS).append(value.as_str());
            Element::builder("field", ns::DATA_FORMS).attr(name("var"), *var).append(value)
        });
        let form = Element::builder("x", ns::DATA_FORMS).append_all(fields);
        let set = set.iter().map(|(part, value)| Element::builder(*part, ns::RSM).append(*value));
        let set = Element::builder("set", ns::RSM).append_all(set);
        Element::builder("query", MAM).attr(name("queryid"), "q").append(form).append(set).build()
    }

    /// Returns the ids of a page, whether it is the last one, and the total number of messages.
    fn page(archive: &Archive, query: &Element) -> Result<(Vec<String>, bool, String), &'static str> {
        let (results, fin) = archive.page(&own().to_bare(), query, &own())?;
        let ids = results.iter().map(|result| {
            let result = result.get_child("result", MAM).unwrap();
            assert_eq!(result.attr("queryid"), Some("q"));
            result.attr("id").unwrap().to_owned()
        });
        let set = fin.get_child("set", ns::RSM).unwrap();
        let count = set.get_child("count", ns::RSM).unwrap().text();
        Ok((ids.collect(), fin.attr("complete").is_some(), count))
    }

    #[test]
    fn a_page_is_where_it_was_asked_for() {
        let archive = filled(6);
        for (set, ids, is_complete) in [
            (&[("max", "2")][..], &["0", "1"][..], false),
            (&[("max", "2"), ("after", "3")], &["4", "5"], true),
            (&[("max", "2"), ("after", "5")], &[], true),
            (&[("max", "2"), ("before", "")], &["4", "5"], false),
            (&[("max", "2"), ("before", "2")], &["0", "1"], true),
            (&[("max", "0")], &[], false),
            (&[], &["0", "1", "2", "3", "4", "5"], true),
        ] {
            let expected = (ids.iter().map(|id| (*id).to_owned()).collect(), is_complete, "6".to_owned());
            assert_eq!(page(&archive, &query(&[], set)), Ok(expected), "{set:?}");
        }
        for (set, condition) in [
            (("after", "room"), "item-not-found"),
            (("before", "6"), "item-not-found"),
            (("index", "2"), "feature-not-implemented"),
            (("max", "many"), "bad-request"),
        ] {
            assert_eq!(page(&archive, &query(&[], &[set])), Err(condition), "{set:?}");
        }
        assert_eq!(page(&archive, &query(&[("start", "noon".to_owned())], &[])), Err("bad-request"));
    }

    #[test]
    fn a_query_may_want_some_messages_alone() {
        let archive = filled(6);
        let with = |who: &str| ("with", who.to_owned());
        for (fields, set, ids, count) in [
            (&[with("alice@example.org")][..], &[][..], &["0", "2", "4"][..], "3"),
            (&[with("bob@example.org/home")], &[("after", "2")], &["3", "5"], "3"),
            (&[with("bob@example.org/work")], &[], &[], "0"),
            (&[("start", at(2).to_string()), ("end", at(3).to_string())], &[], &["2", "3"], "2"),
        ] {
            let expected = (ids.iter().map(|id| (*id).to_owned()).collect(), true, count.to_owned());
            assert_eq!(page(&archive, &query(fields, set)), Ok(expected), "{fields:?}");
        }
    }

    #[test]
    fn the_last_messages_are_kept_and_pages_are_no_longer_than_a_servers() {
        let archive = filled(MOST + 5);
        assert_eq!(archive.kept.len(), MOST);
        let (ids, is_complete, count) = page(&archive, &query(&[], &[("max", "1000")])).unwrap();
        // The room's message is one of them.
        assert_eq!((ids.len(), is_complete, count), (LONGEST_PAGE, false, (MOST - 1).to_string()));
        assert_eq!(ids[0], "6");
        let mut heavy = Archive::default();
        let long = Element::builder("message", ns::JABBER_CLIENT).append("x".repeat(MOST_BYTES / 3)).build();
        for number in 0..4 {
            heavy.put(own().to_bare(), own().into(), number.to_string(), long.clone(), at(0));
        }
        assert_eq!(heavy.kept.len(), 2);
    }

    #[test]
    fn what_no_archive_keeps_is_not_kept() {
        for (xml, is_there) in [
            ("<body>a</body>", true),
            ("<composing xmlns='http://jabber.org/protocol/chatstates'/>", false),
            ("<store xmlns='urn:xmpp:hints'/>", true),
            ("<body>a</body><no-store xmlns='urn:xmpp:hints'/>", false),
        ] {
            let xml = format!("<message xmlns='jabber:client' type='chat' to='alice@example.org'>{xml}</message>");
            let message = Message::try_from(xml.parse::<Element>().unwrap()).unwrap();
            let mut archive = Archive::default();
            archive.put_own(&message, &own(), at(0));
            assert_eq!(archive.kept.len() == 1, is_there, "{xml}");
        }
    }
}
