//! Builds the stanzas of the mock server and of people.

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use minidom::{Element, ElementBuilder};
use parlor_stanza::encode::{MODERATE, name};
use parlor_stanza::types::RETRACT;
use xmpp_parsers::ns;

/// Returns the id of a message in a room or archive (XEP-0359).
pub(super) fn numbered(by: &BareJid, id: &str) -> Element {
    Element::builder("stanza-id", ns::SID).attr(name("by"), by.to_string()).attr(name("id"), id).build()
}

/// The field with the nickname in the form by which one registers with a room (XEP-0045, section 7.10).
pub(super) const REGISTERED_NICK: &str = "muc#register_roomnick";

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

/// Returns what the server says that it runs (XEP-0092).
pub(super) fn software() -> Element {
    let text = |name: &str, text: &str| Element::builder(name, ns::VERSION).append(text).build();
    query(ns::VERSION).append(text("name", "parlor")).append(text("version", env!("CARGO_PKG_VERSION"))).build()
}

/// Returns the server's time (XEP-0202).
pub(super) fn time(now: Timestamp) -> Element {
    let text = |name: &str, text: &str| Element::builder(name, ns::TIME).append(text).build();
    Element::builder("time", ns::TIME).append(text("tzo", "Z")).append(text("utc", &now.to_string())).build()
}

/// Returns a direct invitation (XEP-0249).
pub(super) fn invitation(from: &FullJid, room: &BareJid, reason: Option<&str>) -> Element {
    let x =
        Element::builder("x", "jabber:x:conference").attr(name("jid"), room.to_string()).attr(name("reason"), reason);
    Element::builder("message", ns::JABBER_CLIENT).attr(name("from"), from.to_string()).append(x).build()
}

/// Returns the occupant id of somebody (XEP-0421).
pub(super) fn occupant_id(id: &str) -> Element {
    Element::builder("occupant-id", ns::OID).attr(name("id"), id).build()
}

/// Returns the value of a field of a form.
pub(super) fn value(form: &Element, var: &str) -> Option<String> {
    let field = form.children().find(|field| field.attr("var") == Some(var))?;
    Some(field.get_child("value", ns::DATA_FORMS)?.text())
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

/// Returns a room's message that it has retracted one for a moderator (XEP-0425).
pub(super) fn moderated(room: &BareJid, id: &str, by: &FullJid, reason: Option<&Element>) -> Element {
    let moderated = Element::builder("moderated", MODERATE).attr(name("by"), by.to_string()).build();
    let reason = reason.map(|reason| Element::builder("reason", RETRACT).append(reason.text()).build());
    let retract = Element::builder("retract", RETRACT).attr(name("id"), id).append(moderated).append_all(reason);
    Element::builder("message", ns::JABBER_CLIENT)
        .attr(name("from"), room.to_string())
        .attr(name("type"), "groupchat")
        .append(retract)
        .build()
}

/// Returns who caused a change in a room, and why, as far as the room says that.
pub(super) fn explained(actor: Option<&str>, reason: Option<&str>) -> Vec<Element> {
    let actor = actor.map(|nick| Element::builder("actor", ns::MUC_USER).attr(name("nick"), nick).build());
    let reason = reason.map(|reason| Element::builder("reason", ns::MUC_USER).append(reason).build());
    actor.into_iter().chain(reason).collect()
}

/// Returns a room's message about the affiliation of somebody who is not in it.
pub(super) fn affiliation(room: &BareJid, user: &BareJid, affiliation: &str, reason: Option<&str>) -> Element {
    let item = Element::builder("item", ns::MUC_USER)
        .attr(name("affiliation"), affiliation)
        .attr(name("jid"), user.to_string())
        .append_all(explained(None, reason));
    Element::builder("message", ns::JABBER_CLIENT)
        .attr(name("from"), room.to_string())
        .append(Element::builder("x", ns::MUC_USER).append(item))
        .build()
}

/// Adds elements to the MUC extension of a presence, and to its item.
pub(super) fn with_more(mut presence: Element, into_item: Vec<Element>, more: Vec<Element>) -> Element {
    if let Some(x) = presence.get_child_mut("x", ns::MUC_USER) {
        if let Some(item) = x.get_child_mut("item", ns::MUC_USER) {
            for part in into_item {
                item.append_child(part);
            }
        }
        for part in more {
            x.append_child(part);
        }
    }
    presence
}
