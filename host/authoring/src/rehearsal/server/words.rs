//! Builds the stanzas of the mock server and of people.

use jid::{BareJid, FullJid, Jid};
use minidom::{Element, ElementBuilder};
use parlor_stanza::encode::{extension_elements, name};
use parlor_stanza::types::Extensions;
use xmpp_parsers::ns;

use super::rooms::Occupant;
use super::told::Ids;

/// A message from somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The sender; an occupant's JID in a room.
    pub from: FullJid,
    /// Whether it is for everybody in the room, and not only for the account.
    pub to_room: bool,
    /// The text; empty for a reaction.
    pub body: String,
    /// The earlier message that it refers to.
    pub about: Option<About>,
}

/// A reference to an earlier message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The kind of reference.
    pub how: How,
    /// The beginning of the earlier message.
    pub begins: String,
    /// The number of the message, from 1, among those that begin like this; `None` for the last one.
    pub which: Option<usize>,
}

/// The kind of a reference to an earlier message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Reactions to it, which replace earlier ones (XEP-0444).
    Reaction(Vec<String>),
    /// A reply to it (XEP-0461).
    Reply,
    /// A new text for it (XEP-0308).
    Correction,
}

impl Said {
    pub(super) fn element(&self, ids: &Ids, body: &str, extensions: Extensions, own: &FullJid) -> Element {
        let mut payloads = Vec::new();
        extension_elements(extensions, &mut payloads);
        let body = (!body.is_empty()).then(|| Element::builder("body", ns::JABBER_CLIENT).append(body).build());
        Element::builder("message", ns::JABBER_CLIENT)
            .attr(name("from"), self.from.to_string())
            .attr(name("to"), own.to_string())
            .attr(name("type"), if self.to_room { "groupchat" } else { "chat" })
            .attr(name("id"), ids.own.as_str())
            .append_all(body)
            .append_all(payloads)
            .append_all(ids.rooms.as_ref().map(|id| numbered(&self.from.to_bare(), id)))
            .build()
    }
}

/// Returns the id of a message in a room or archive (XEP-0359).
pub(super) fn numbered(by: &BareJid, id: &str) -> Element {
    Element::builder("stanza-id", ns::SID).attr(name("by"), by.to_string()).attr(name("id"), id).build()
}

pub(super) fn query(namespace: &str) -> ElementBuilder {
    Element::builder("query", namespace)
}

pub(super) fn iq(from: Option<&Jid>, kind: &str, id: &str, payload: Option<Element>) -> Element {
    Element::builder("iq", ns::JABBER_CLIENT)
        .attr(name("from"), from.map(Jid::to_string))
        .attr(name("type"), kind)
        .attr(name("id"), id)
        .append_all(payload)
        .build()
}

pub(super) fn error(condition: &str) -> Element {
    Element::builder("error", ns::JABBER_CLIENT)
        .attr(name("type"), if condition == "forbidden" { "auth" } else { "cancel" })
        .append(Element::bare(condition, ns::XMPP_STANZAS))
        .build()
}

pub(super) fn presence(from: Option<&Jid>, kind: Option<&str>, payloads: Vec<Element>) -> Element {
    Element::builder("presence", ns::JABBER_CLIENT)
        .attr(name("from"), from.map(Jid::to_string))
        .attr(name("type"), kind)
        .append_all(payloads)
        .build()
}

/// Returns somebody's presence: `offline`, `online`, or a value of `<show/>`.
pub(super) fn appearance(who: &FullJid, show: &str, status: Option<&str>) -> Element {
    let text = |name: &str, text: &str| Element::builder(name, ns::JABBER_CLIENT).append(text).build();
    let shown = (!matches!(show, "online" | "offline")).then(|| text("show", show));
    let payloads = shown.into_iter().chain(status.map(|status| text("status", status))).collect();
    presence(Some(&who.clone().into()), (show == "offline").then_some("unavailable"), payloads)
}

pub(super) fn roster_item(jid: &BareJid, called: Option<&str>, subscription: &str, groups: &[String]) -> Element {
    let groups = groups.iter().map(|group| Element::builder("group", ns::ROSTER).append(group.as_str()).build());
    Element::builder("item", ns::ROSTER)
        .attr(name("jid"), jid.to_string())
        .attr(name("name"), called)
        .attr(name("subscription"), subscription)
        .append_all(groups)
        .build()
}

/// Returns the identity and features of an entity, with those of its archive if it has one.
pub(super) fn disco(category: &str, kind: &str, archive: &[&'static str]) -> Element {
    let identity =
        Element::builder("identity", ns::DISCO_INFO).attr(name("category"), category).attr(name("type"), kind);
    let features: &[&'static str] = match category {
        "conference" => &[ns::DISCO_INFO, ns::MUC, ns::SID, ns::OID],
        _ => &[ns::DISCO_INFO, ns::PING],
    };
    let feature = |var: &&'static str| Element::builder("feature", ns::DISCO_INFO).attr(name("var"), *var).build();
    let features = features.iter().chain(archive).map(feature);
    query(ns::DISCO_INFO).append(identity).append_all(features).build()
}

/// Returns an empty list for any requested node.
pub(super) fn no_items(asked: &Element) -> Element {
    let node = asked.children().next().and_then(|items| items.attr("node"));
    let items = Element::builder("items", ns::PUBSUB).attr(name("node"), node);
    Element::builder("pubsub", ns::PUBSUB).append(items).build()
}

/// Returns a direct invitation (XEP-0249).
pub(super) fn invitation(from: &FullJid, room: &BareJid, reason: Option<&str>) -> Element {
    let x =
        Element::builder("x", "jabber:x:conference").attr(name("jid"), room.to_string()).attr(name("reason"), reason);
    Element::builder("message", ns::JABBER_CLIENT).attr(name("from"), from.to_string()).append(x).build()
}

/// Returns an occupant's presence (XEP-0045, section 7.2.2).
pub(super) fn occupant(at: &FullJid, kind: Option<&str>, one: &Occupant, codes: &[&str]) -> Element {
    let item = item(one, if kind.is_some() { "none" } else { one.role.as_str() });
    in_room(at, kind, item, codes, one)
}

/// Returns the presence of an occupant who changes the nickname (XEP-0045, section 7.6).
pub(super) fn renamed(at: &FullJid, nick: &str, one: &Occupant) -> Element {
    let item = item(one, &one.role).attr(name("nick"), nick);
    in_room(at, Some("unavailable"), item, &["303"], one)
}

/// Returns the occupant id of somebody (XEP-0421).
pub(super) fn occupant_id(id: &str) -> Element {
    Element::builder("occupant-id", ns::OID).attr(name("id"), id).build()
}

fn item(one: &Occupant, role: &str) -> ElementBuilder {
    Element::builder("item", ns::MUC_USER)
        .attr(name("affiliation"), one.affiliation.as_str())
        .attr(name("role"), role)
        .attr(name("jid"), one.address.as_ref().map(FullJid::to_string))
}

fn in_room(at: &FullJid, kind: Option<&str>, item: ElementBuilder, codes: &[&str], one: &Occupant) -> Element {
    let codes = codes.iter().map(|code| Element::builder("status", ns::MUC_USER).attr(name("code"), *code).build());
    let x = Element::builder("x", ns::MUC_USER).append(item).append_all(codes).build();
    presence(Some(&at.clone().into()), kind, vec![x, occupant_id(&one.id)])
}

/// Returns the error for a message that is refused.
pub(super) fn sent_back(from: &BareJid, to: &FullJid, id: Option<&str>, condition: &str) -> Element {
    Element::builder("message", ns::JABBER_CLIENT)
        .attr(name("from"), from.to_string())
        .attr(name("to"), to.to_string())
        .attr(name("type"), "error")
        .attr(name("id"), id)
        .append(error(condition))
        .build()
}

pub(super) fn subject(from: &Jid, text: &str) -> Element {
    Element::builder("message", ns::JABBER_CLIENT)
        .attr(name("from"), from.to_string())
        .attr(name("type"), "groupchat")
        .append(Element::builder("subject", ns::JABBER_CLIENT).append(text))
        .build()
}
