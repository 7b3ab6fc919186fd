//! Reads `muc#user`, `muc#owner`, `muc#admin`, forms of rooms, hats and direct invitations (XEP-0045, XEP-0249, XEP-0317).
//! They are read by hand, since the library's types lack half of this.

use jid::{FullJid, Jid, ResourcePart};
use minidom::Element;
use xmpp_parsers::ns;

use super::{bare_jid_attribute, jid_attribute};
use crate::encode::{MUC_ADMIN, MUC_OWNER};
use crate::text::{is_one_line, line, trimmed};
use crate::types::{
    Actor, Affiliated, Body, FormField, HATS, Hat, Invite, MAX_AFFILIATED, MAX_FORM_FIELDS, MAX_FORM_VALUES, MAX_HATS,
    MucUser, PresenceKind, Registration, VOICE, VoiceRequest, address,
};

const DIRECT_INVITE: &str = "jabber:x:conference";
/// The namespace of rules for the values of a field (XEP-0122).
const VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";
/// The maximum number of status codes read from one stanza.
const MAX_STATUS: usize = 16;
/// The maximum length of the URI and of the title of a hat, in bytes.
const MAX_HAT: usize = 256;
/// The roles and affiliations (XEP-0045, sections 5.1 and 5.2). The first of each replaces an invalid word.
const ROLES: [&str; 4] = ["none", "visitor", "participant", "moderator"];
const AFFILIATIONS: [&str; 5] = ["none", "outcast", "member", "admin", "owner"];

/// Returns the element in which a room describes an occupant. `MongooseIM` 6.2 and 6.3 describe an arriving occupant,
/// and so our own arrival, in the namespace of the request to join. The room's own element is last, behind those that
/// an occupant may have written.
pub(super) fn user<'a>(payloads: &'a [Element], kind: &PresenceKind) -> Option<&'a Element> {
    let usual = payloads.iter().find(|payload| payload.is("x", ns::MUC_USER));
    let is_misnamed = |payload: &&Element| payload.is("x", ns::MUC) && payload.has_child("item", ns::MUC);
    usual.or_else(|| payloads.iter().rfind(is_misnamed).filter(|_| *kind == PresenceKind::Available))
}

/// Reads a room's description of an occupant, from a presence with these payloads.
pub(super) fn occupant(x: &Element, payloads: &[Element]) -> MucUser {
    let namespace = x.ns();
    let child = |name: &str| x.get_child(name, namespace.as_str());
    let item = child("item");
    let destroy = child("destroy");
    let attribute = |name: &str| item.and_then(|item| item.attr(name)).map(str::to_owned);
    MucUser {
        affiliation: word(item, "affiliation", &AFFILIATIONS),
        role: word(item, "role", &ROLES),
        jid: item.and_then(|item| jid_attribute(item, "jid")),
        // Normalised like the address that the occupant's presence will come from.
        nick: attribute("nick").and_then(|nick| Some(ResourcePart::new(&nick).ok()?.as_str().to_owned())),
        reason: item.and_then(reason).or_else(|| destroy.and_then(reason)),
        actor: item.and_then(actor),
        status: status(x),
        destroyed: destroy.map(|destroy| bare_jid_attribute(destroy, "jid")),
        occupant_id: only(payloads, "occupant-id", ns::OID).and_then(|id| id.attr("id")).map(str::to_owned),
        hats: only(payloads, "hats", HATS).map(hats).unwrap_or_default(),
    }
}

/// Returns the element of this name that a room adds to stanzas of occupants. A room removes theirs; if there are two,
/// it does not, and neither counts.
fn only<'a>(payloads: &'a [Element], name: &str, namespace: &str) -> Option<&'a Element> {
    let mut found = payloads.iter().filter(|payload| payload.is(name, namespace));
    found.next().filter(|_| found.next().is_none())
}

/// Reads the first hats of an occupant (XEP-0317). A hat is known by its URI: its further titles are in other languages.
fn hats(hats: &Element) -> Vec<Hat> {
    let read = |hat: &Element| {
        let uri = hat.attr("uri").filter(|uri| !uri.is_empty() && uri.len() <= MAX_HAT && is_one_line(uri))?;
        Some(Hat { uri: uri.to_owned(), title: line(hat.attr("title")?, MAX_HAT)? })
    };
    let mut found: Vec<Hat> = Vec::new();
    for hat in hats.children().filter(|child| child.is("hat", HATS)).filter_map(read) {
        if found.len() < MAX_HATS && found.iter().all(|known| known.uri != hat.uri) {
            found.push(hat);
        }
    }
    found
}

/// Reads a room's notice that a visitor asks for voice (XEP-0045, section 8.6). Only the room itself may say so.
pub(super) fn voice_request(x: &Element, from: &Jid) -> Option<VoiceRequest> {
    if !from.is_bare() || !x.is("x", ns::DATA_FORMS) || x.attr("type") != Some("form") {
        return None;
    }
    let value = |var: &str| {
        let is_meant = |field: &&Element| field.is("field", ns::DATA_FORMS) && field.attr("var") == Some(var);
        Some(x.children().find(is_meant)?.get_child("value", ns::DATA_FORMS)?.text())
    };
    value("FORM_TYPE").filter(|kind| kind == VOICE)?;
    let jid = address(value("muc#jid")?.trim()).ok()?;
    let nick = ResourcePart::new(&value("muc#roomnick")?).ok()?.as_str().to_owned();
    Some(VoiceRequest { jid, nick })
}

/// Returns one of these words, or an empty string if the attribute is missing. Occupants are many, so a room's free
/// text is not stored for each.
fn word(item: Option<&Element>, name: &str, words: &[&str]) -> String {
    let Some(said) = item.and_then(|item| item.attr(name)) else { return String::new() };
    let word = if words.contains(&said) { said } else { words[0] };
    word.to_owned()
}

/// Reads the status codes in an `<x/>` of `muc#user`.
pub(super) fn status(x: &Element) -> Vec<u16> {
    let namespace = x.ns();
    x.children()
        .filter(|child| child.is("status", namespace.as_str()))
        .filter_map(|status| status.attr("code")?.parse().ok())
        .take(MAX_STATUS)
        .collect()
}

/// Reads the invitation in this payload: forwarded by the room (XEP-0045, section 7.8.2), or from the inviter
/// (XEP-0249).
pub(super) fn invite(x: &Element, from: &Jid, own: &FullJid) -> Option<Invite> {
    let to = || Jid::from(own.to_bare());
    if x.has_ns(DIRECT_INVITE) {
        return Some(Invite {
            room: bare_jid_attribute(x, "jid")?,
            from: from.clone(),
            to: to(),
            // Before XEP-0249, the reason was the text.
            reason: x.attr("reason").map(str::to_owned).or_else(|| trimmed(x)).filter(|reason| !reason.is_empty()),
            password: x.attr("password").map(str::to_owned),
        });
    }
    let invite = x.get_child("invite", ns::MUC_USER).filter(|_| x.has_ns(ns::MUC_USER))?;
    // Only the room itself sends from its bare JID; other senders could forge the name of the inviter.
    if !from.is_bare() {
        return None;
    }
    Some(Invite {
        room: from.to_bare(),
        from: jid_attribute(invite, "from").unwrap_or_else(|| from.clone()),
        to: to(),
        reason: reason(invite),
        password: x.get_child("password", ns::MUC_USER).map(Element::text),
    })
}

/// Reads the refusal of an invitation of ours, which the room forwards (XEP-0045, section 7.8.2).
pub(super) fn declined(x: &Element, from: &Jid, own: &FullJid) -> Option<Invite> {
    let no = x.get_child("decline", ns::MUC_USER).filter(|_| x.has_ns(ns::MUC_USER) && from.is_bare())?;
    Some(Invite {
        room: from.to_bare(),
        from: jid_attribute(no, "from").unwrap_or_else(|| from.clone()),
        to: Jid::from(own.to_bare()),
        reason: reason(no),
        password: None,
    })
}

/// Returns whether a message with this payload is a private message of a room (XEP-0045, section 7.5).
pub(super) fn is_of_occupant(x: &Element) -> bool {
    let speaks_of_rooms = || x.children().any(|child| matches!(child.name(), "invite" | "decline"));
    x.has_ns(ns::MUC_USER) && !speaks_of_rooms()
}

/// Reads who caused the change that an item describes, if it names anybody (XEP-0045, section 8.2).
fn actor(item: &Element) -> Option<Actor> {
    let actor = item.get_child("actor", item.ns().as_str())?;
    let nick = actor.attr("nick").and_then(|nick| Some(ResourcePart::new(nick).ok()?.as_str().to_owned()));
    let jid = jid_attribute(actor, "jid");
    (nick.is_some() || jid.is_some()).then_some(Actor { nick, jid })
}

/// Reads the affiliation of somebody who is not in the room (XEP-0045, section 9.3, for instance). Only the room itself
/// may report on others.
pub(super) fn affiliation(x: &Element, from: &Jid) -> Option<MucUser> {
    let item = x.get_child("item", ns::MUC_USER).filter(|_| x.has_ns(ns::MUC_USER) && from.is_bare())?;
    item.attr("affiliation")?;
    Some(occupant(x, &[])).filter(|muc| muc.jid.is_some())
}

fn reason(element: &Element) -> Option<String> {
    let reason = element.children().find(|child| child.name() == "reason" && child.ns() == element.ns());
    reason.map(Element::text).filter(|reason| !reason.is_empty())
}

/// Reads a room's answer to a request of an owner or admin; `None` if it has another form.
pub(super) fn answer(payload: &Element) -> Option<Body> {
    if payload.is("query", MUC_ADMIN) {
        return Some(Body::Affiliations(payload.children().filter_map(affiliated).take(MAX_AFFILIATED).collect()));
    }
    // A cancelled form has nothing to fill in.
    let form = || payload.get_child("x", ns::DATA_FORMS).filter(|form| form.attr("type") == Some("form")).map(fields);
    if payload.is("query", ns::REGISTER) {
        let is_registered = payload.has_child("registered", ns::REGISTER);
        return Some(Body::Registration(Registration { is_registered, form: form() }));
    }
    if payload.is("query", MUC_OWNER) { form().map(Body::RoomForm) } else { None }
}

fn fields(form: &Element) -> Vec<FormField> {
    form.children().filter_map(field).take(MAX_FORM_FIELDS + 1).collect()
}

fn affiliated(item: &Element) -> Option<Affiliated> {
    if !item.is("item", MUC_ADMIN) {
        return None;
    }
    Some(Affiliated {
        jid: bare_jid_attribute(item, "jid")?,
        affiliation: item.attr("affiliation").filter(|said| AFFILIATIONS.contains(said))?.to_owned(),
        nick: item.attr("nick").map(str::to_owned),
        reason: reason(item),
    })
}

fn field(field: &Element) -> Option<FormField> {
    let kind = field.attr("type").unwrap_or("text-single");
    // A fixed field is text for people, and is never sent back (XEP-0004, section 3.3).
    if !field.is("field", ns::DATA_FORMS) || kind == "fixed" {
        return None;
    }
    let value = |of: &Element| of.get_child("value", ns::DATA_FORMS).map(Element::text);
    // The listed values are suggestions, and others are allowed (XEP-0122, section 3.2.1).
    let is_open = field.get_child("validate", VALIDATE).is_some_and(|rules| rules.has_child("open", VALIDATE));
    Some(FormField {
        var: field.attr("var")?.to_owned(),
        kind: kind.to_owned(),
        values: field
            .children()
            .filter(|child| child.is("value", ns::DATA_FORMS))
            .map(Element::text)
            .take(MAX_FORM_VALUES + 1)
            .collect(),
        options: field
            .children()
            .filter(|child| child.is("option", ns::DATA_FORMS) && !is_open)
            .filter_map(value)
            .take(MAX_FORM_VALUES)
            .collect(),
    })
}
