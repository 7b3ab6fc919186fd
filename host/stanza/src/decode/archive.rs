//! Reads answers of archives: results, the ends of pages, preferences (XEP-0313, XEP-0059, XEP-0441).
//!
//! The session decides whether a result was requested.

use jid::{FullJid, Jid};
use jiff::Timestamp;
use minidom::Element;
use xmpp_parsers::message::Message as WireMessage;
use xmpp_parsers::ns;

use super::extensions::MAX_ID;
use super::{cut_note, extensions, forwarded, jid_attribute, read_message};
use crate::raw::weight;
use crate::types::{ArchiveFin, ArchivePreferences, ArchiveResult, Incoming, MAM, Message, address};

/// The maximum number of JIDs read from a list of preferences.
const MAX_JIDS: usize = 10_000;

/// Returns the position of an archive result in the payloads of a message, for any version of the protocol.
pub(super) fn find(message: &WireMessage) -> Option<usize> {
    message.payloads.iter().position(|payload| payload.name() == "result" && payload.ns().starts_with("urn:xmpp:mam:"))
}

/// Reads one message of an archive (XEP-0313, section 4.2).
pub(super) fn result(mut message: WireMessage, at: usize, own: &FullJid, now: Timestamp) -> Incoming {
    let from = message.from.take().unwrap_or_else(|| Jid::from(own.to_bare()));
    let cut = cut_note(&message.payloads).cloned();
    let mut result = message.payloads.swap_remove(at);
    let Some(id) = result.attr("id").filter(|id| !id.is_empty() && id.len() <= MAX_ID).map(str::to_owned) else {
        return Incoming::Refused("an archive result without an id");
    };
    if result.ns() != MAM {
        return Incoming::Refused("an archive result of a version that nobody asked for");
    }
    let queryid = result.attr("queryid").map(str::to_owned);
    let weight = weight(&result);
    let (mut stamp, mut read, mut author) = (None, None, None);
    if let Some(mut around) = result.remove_child("forwarded", ns::FORWARD) {
        stamp = around.get_child("delay", ns::DELAY).and_then(extensions::stamp);
        if let Some(inner) = forwarded::message(&mut around, cut) {
            author = real_author(&inner);
            read = Some(read_message(inner, None, stamp, own, now));
        }
    }
    archived(ArchiveResult { from, queryid, id, inner_id: None, stamp, message: None, author, weight }, read)
}

/// Returns a result with this message, which is history.
pub(super) fn archived(result: ArchiveResult, message: Option<Message>) -> Incoming {
    let (mut stamp, mut inner_id) = (result.stamp, None);
    // An invitation that a room forwards is no message here, either.
    let message = message.filter(|message| !message.is_text_of_room()).map(|mut message| {
        // The archive knows when the message arrived; a stamp of its author may be any time.
        message.at = stamp.filter(|_| message.claimed_at.is_some()).unwrap_or(message.at);
        stamp = stamp.or_else(|| message.delayed.then_some(message.at));
        message.delayed = true;
        inner_id = message.stanza_id.replace(result.id.clone());
        // An old invitation is shown but not followed.
        message.invite = None;
        Box::new(message)
    });
    Incoming::Archived(Box::new(ArchiveResult { inner_id, stamp, message, ..result }))
}

/// Returns the real author of a room's message, if its archive tells it (XEP-0313, section 5.1.1).
fn real_author(message: &WireMessage) -> Option<Jid> {
    let user = message.payloads.iter().find(|payload| payload.is("x", ns::MUC_USER))?;
    jid_attribute(user.get_child("item", ns::MUC_USER)?, "jid")
}

/// Reads the end of a page (XEP-0313, section 4.1).
pub(super) fn fin(fin: &Element) -> ArchiveFin {
    let set = fin.get_child("set", ns::RSM);
    let child = |name| set.and_then(|set| set.get_child(name, ns::RSM));
    let id = |name| child(name).map(Element::text).filter(|id| !id.is_empty() && id.len() <= MAX_ID);
    ArchiveFin {
        complete: matches!(fin.attr("complete"), Some("true" | "1")),
        first: id("first"),
        index: child("first").and_then(|first| first.attr("index")).and_then(|index| index.parse().ok()),
        last: id("last"),
        count: child("count").and_then(|count| count.text().trim().parse().ok()),
    }
}

/// Reads the preferences of an archive (XEP-0441).
pub(super) fn preferences(prefs: &Element) -> ArchivePreferences {
    let jids = |name: &str| {
        let list = prefs.get_child(name, MAM).into_iter().flat_map(Element::children);
        let jids = list.filter(|child| child.is("jid", MAM)).take(MAX_JIDS);
        jids.filter_map(|jid| address(jid.text().trim()).ok()).collect()
    };
    ArchivePreferences {
        default: prefs.attr("default").unwrap_or_default().to_owned(),
        always: jids("always"),
        never: jids("never"),
    }
}
