//! Reads bookmarks (XEP-0402), also from the storage of older clients (XEP-0048).

use jid::{BareJid, Jid};
use minidom::Element;
use xmpp_parsers::ns;

use super::{bare_jid_attribute, jid_attribute, xml_within};
use crate::types::{Body, Bookmark, BookmarkChange, MAX_BOOKMARKS};

/// The maximum length of one bookmark's extensions to be kept, in bytes.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// The maximum length of a name, nickname or password to be kept, in bytes.
const MAX_TEXT: usize = 4 * 1024;

/// Reads all bookmarks from an answer; `None` if it has another subject.
pub(super) fn answer(payload: &Element) -> Option<Body> {
    let bookmarks = if payload.is("pubsub", ns::PUBSUB) {
        let items = payload.get_child("items", ns::PUBSUB)?;
        match items.attr("node")? {
            ns::BOOKMARKS2 => items.children().filter_map(|one| item(one, ns::PUBSUB)).take(MAX_BOOKMARKS).collect(),
            // There is only one item, with any id.
            ns::BOOKMARKS => items.get_child("item", ns::PUBSUB).map(stored).unwrap_or_default(),
            _ => return None,
        }
    } else if payload.is("query", ns::PRIVATE) {
        payload.get_child("storage", ns::BOOKMARKS)?;
        stored(payload)
    } else {
        return None;
    };
    Some(Body::Bookmarks(bookmarks))
}

/// Reads all bookmarks in the storage directly below this element.
fn stored(parent: &Element) -> Vec<Bookmark> {
    let storage = parent.get_child("storage", ns::BOOKMARKS);
    let all = storage.into_iter().flat_map(Element::children).filter_map(legacy);
    all.take(MAX_BOOKMARKS).collect()
}

/// Reads changes from a notification of the own account; `None` if it has another subject. `is_cut`: a part of it was left out.
pub(super) fn changes(event: &Element, is_cut: bool) -> Option<Vec<BookmarkChange>> {
    let about = |node: &'static str| event.children().find(move |child| child.attr("node") == Some(node));
    let Some(child) = about(ns::BOOKMARKS2) else {
        // Of a cut list, those that are missing would count as removed.
        return about(ns::BOOKMARKS).and_then(list).filter(|_| !is_cut).map(|change| vec![change]);
    };
    match child.name() {
        "purge" | "delete" => Some(vec![BookmarkChange::AllRemoved]),
        "items" => {
            let changes = child.children().filter_map(|one| match one.name() {
                "retract" => room(one).map(BookmarkChange::Removed),
                _ => item(one, ns::PUBSUB_EVENT).map(BookmarkChange::Set),
            });
            Some(changes.take(MAX_BOOKMARKS).collect())
        }
        _ => None,
    }
}

/// Reads the whole list from a notification of the older place. That an item or the node is gone does not say that there are no
/// bookmarks: the service may have replaced the item, and a client may have brought all of them to the newer place.
fn list(child: &Element) -> Option<BookmarkChange> {
    let item = Some(child).filter(|child| child.is("items", ns::PUBSUB_EVENT))?.get_child("item", ns::PUBSUB_EVENT)?;
    item.has_child("storage", ns::BOOKMARKS).then(|| BookmarkChange::Stored(stored(item)))
}

fn item(item: &Element, namespace: &str) -> Option<Bookmark> {
    if !item.is("item", namespace) {
        return None;
    }
    let room = room(item)?;
    let conference = item.get_child("conference", ns::BOOKMARKS2)?;
    let written = conference.get_child("extensions", ns::BOOKMARKS2);
    let extensions = written.and_then(|written| xml_within(written, MAX_EXTENSIONS));
    let is_cut = written.is_some() && extensions.is_none();
    Some(Bookmark { extensions, is_cut, ..read(room, conference, ns::BOOKMARKS2) })
}

fn legacy(conference: &Element) -> Option<Bookmark> {
    let room = bare_jid_attribute(conference, "jid").filter(|_| conference.is("conference", ns::BOOKMARKS))?;
    Some(read(room, conference, ns::BOOKMARKS))
}

fn read(room: BareJid, conference: &Element, namespace: &str) -> Bookmark {
    let kept = |text: String| Some(text).filter(|text| !text.is_empty() && text.len() <= MAX_TEXT);
    let child = |name: &str| conference.get_child(name, namespace).map(Element::text).and_then(kept);
    Bookmark {
        room,
        name: conference.attr("name").map(str::to_owned).and_then(kept),
        autojoin: matches!(conference.attr("autojoin").map(str::trim), Some("true" | "1")),
        nick: child("nick"),
        password: child("password"),
        extensions: None,
        is_cut: false,
    }
}
/// Returns the room that an item is about.
fn room(item: &Element) -> Option<BareJid> {
    jid_attribute(item, "id").filter(Jid::is_bare).map(Jid::into_bare)
}
