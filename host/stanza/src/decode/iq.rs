//! Reads IQs: requests of others to this account, and their answers. Each get and set becomes something to answer.

use std::collections::BTreeMap;

use jid::{FullJid, Jid};
use minidom::Element;
use minidom::rxml::Namespace;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;

use super::{archive, bare_jid_attribute, bookmarks, entity, is_own_account, jid_attribute, muc, pubsub, stanza_error};
use crate::iq_payload::IqPayload;
use crate::raw::RawStanza;
use crate::sieve::mend::MALFORMED;
use crate::types::{
    AdHoc, AdHocAction, Answer, BLOCKING, Body, COMMANDS, Disco, Field, Form, Identity, Incoming, LONGEST_VALUE, MAM,
    MAX_BLOCKED, Query, RefusedValue, Request, RosterItem, kept,
};
use crate::whole_card;

/// The namespace of lists of rules for stanzas (XEP-0016). ejabberd keeps blocked addresses in one.
const PRIVACY: &str = "jabber:iq:privacy";
/// The maximum number of groups read for one contact.
const MAX_GROUPS: usize = 64;
/// The maximum number of fields read from a command, and the maximum length of a name, in bytes. Some clients send fields
/// of their own as well.
const MAX_FIELDS: usize = 64;
const MAX_FIELD: usize = 1_024;
/// The maximum length of the id of a request that a plugin may answer, in bytes.
const MAX_ID: usize = 1_024;

/// Reads an IQ of type get.
pub(super) fn request(from: Option<Jid>, id: String, payload: Element) -> Incoming {
    let node = || payload.attr("node").map(str::to_owned);
    let known = match payload.name() {
        _ if payload.has_ns(MALFORMED) => Some(Query::Malformed),
        "ping" if payload.has_ns(ns::PING) => Some(Query::Ping),
        "query" if payload.has_ns(ns::DISCO_INFO) => Some(Query::DiscoInfo { node: node() }),
        "query" if payload.has_ns(ns::DISCO_ITEMS) => Some(Query::DiscoItems { node: node() }),
        "query" if payload.has_ns(ns::VERSION) => Some(Query::Version),
        "time" if payload.has_ns(ns::TIME) => Some(Query::Time),
        _ => None,
    };
    let query = known.unwrap_or_else(|| foreign(&id, false, payload));
    Incoming::Request(Request { from, id, query })
}

/// Reads an IQ of type set.
pub(super) fn order(from: Option<Jid>, to: Option<Jid>, id: String, payload: Element, own: &FullJid) -> Incoming {
    if payload.has_ns(MALFORMED) {
        return Incoming::Request(Request { from, id, query: Query::Malformed });
    }
    if payload.is("command", COMMANDS) {
        let query = ad_hoc(&payload).map_or(Query::Other, |command| Query::AdHoc(Box::new(command)));
        return Incoming::Request(Request { from, id, query });
    }
    let is_blocking = payload.has_ns(BLOCKING) && matches!(payload.name(), "block" | "unblock");
    let is_of_list = is_blocking || payload.is("query", PRIVACY);
    if is_of_list && is_own_account(from.as_ref(), own) {
        return Incoming::Request(Request { from, id, query: Query::BlockingPush });
    }
    if !payload.is("query", ns::ROSTER) {
        let query = foreign(&id, true, payload);
        return Incoming::Request(Request { from, id, query });
    }
    // RFC 6121, section 2.1.6: a push from anybody but the account itself must be ignored. It is still a request, and
    // is answered like any unknown one (RFC 6120, section 8.2.3).
    if !is_own_account(from.as_ref(), own) {
        return Incoming::Request(Request { from, id, query: Query::Other });
    }
    let version = payload.attr("ver").map(str::to_owned);
    let mut items = payload.children().filter(|child| child.is("item", ns::ROSTER));
    let read = match (items.next(), items.next()) {
        (Some(item), None) => roster_item(item, Sent::Push).map(|read| (read, is_of_client(item))),
        // A push has exactly one item; any other number is answered with an error.
        (None | Some(_), _) => None,
    };
    let Some((item, of_client)) = read else {
        return Incoming::Request(Request { from, id, query: Query::Malformed });
    };
    let stanza = Stanza::Iq(Iq::Set { from: from.clone(), to, id: id.clone(), payload });
    let query = Query::RosterPush { version, item, of_client, xml: RawStanza::from(stanza).to_xml() };
    Incoming::Request(Request { from, id, query })
}

/// Reads a request that the host does not know. If the id is too long to be repeated with a plugin's answer, the host
/// answers the request.
fn foreign(id: &str, is_set: bool, payload: Element) -> Query {
    if id.len() > MAX_ID { Query::Other } else { Query::Foreign { is_set, payload: IqPayload::of(payload) } }
}

/// Reads a command request; `None` if it names no command.
fn ad_hoc(payload: &Element) -> Option<AdHoc> {
    let form = payload.get_child("x", ns::DATA_FORMS);
    // XEP-0004, section 3.1: a form of this type is not filled in.
    let is_cancelled = form.is_some_and(|form| form.attr("type") == Some("cancel"));
    let form = form.filter(|_| !is_cancelled);
    let fields = form.into_iter().flat_map(Element::children).filter(|field| field.is("field", ns::DATA_FORMS));
    let (mut values, mut refused) = (BTreeMap::<String, String>::new(), BTreeMap::new());
    for field in fields.take(MAX_FIELDS) {
        let var = field.attr("var").filter(|var| var.len() <= MAX_FIELD);
        let mut given = field.children().filter(|value| value.is("value", ns::DATA_FORMS)).map(Element::text);
        let (Some(var), Some(value)) = (var, given.next()) else { continue };
        let is_other = values.get(var).is_some_and(|before| *before != value);
        if is_other || given.any(|another| another != value) {
            values.remove(var);
            refused.insert(var.to_owned(), RefusedValue::Several);
        } else if value.len() > LONGEST_VALUE {
            refused.insert(var.to_owned(), RefusedValue::TooLong);
        } else if !refused.contains_key(var) {
            values.insert(var.to_owned(), value);
        }
    }
    Some(AdHoc {
        node: payload.attr("node").filter(|node| node.len() <= MAX_FIELD)?.to_owned(),
        session: payload.attr("sessionid").map(|session| session.chars().take(MAX_FIELD).collect()),
        action: match payload.attr("action") {
            // A client that goes back may give back the form of the page that it leaves.
            Some("prev") => AdHocAction::Back,
            _ if is_cancelled => AdHocAction::Cancel,
            // `execute` is the default action, which is the next page, or the end after the last one.
            None | Some("execute") => AdHocAction::Go,
            Some("next") => AdHocAction::Next,
            Some("complete") => AdHocAction::Complete,
            Some("cancel") => AdHocAction::Cancel,
            Some(_) => AdHocAction::Unknown,
        },
        has_form: form.is_some(),
        values,
        refused,
    })
}

/// Reads an IQ of type result or error.
pub(super) fn answer(iq: Iq) -> Incoming {
    let outcome = match &iq {
        Iq::Error { error, .. } => Err(Box::new(stanza_error(&Element::from(error.clone())))),
        Iq::Result { payload: None, .. } => Ok(Body::Empty),
        Iq::Result { payload: Some(payload), .. } => Ok(body(payload)),
        Iq::Get { .. } | Iq::Set { .. } => return Incoming::Refused("a request where an answer was expected"),
    };
    Incoming::Answer(Answer {
        from: iq.from().cloned(),
        id: iq.id().to_owned(),
        outcome,
        raw: RawStanza::from(Stanza::Iq(iq)),
    })
}

fn body(payload: &Element) -> Body {
    if payload.is("query", ns::ROSTER) {
        // One invalid entry must not cost the whole roster.
        let items = payload.children().filter(|child| child.is("item", ns::ROSTER));
        // The later of two entries counts: that of the contact itself, and not that of one of its clients.
        let (of_clients, own): (Vec<_>, Vec<_>) = items.partition(|item| is_of_client(item));
        let items = of_clients.into_iter().chain(own).filter_map(|item| roster_item(item, Sent::Result)).collect();
        return Body::Roster { version: payload.attr("ver").map(str::to_owned), items };
    }
    if payload.is("query", ns::DISCO_INFO) {
        return Body::Disco(disco(payload));
    }
    if payload.is("fin", MAM) {
        return Body::ArchiveFin(archive::fin(payload));
    }
    if payload.is("prefs", MAM) {
        return Body::ArchivePreferences(archive::preferences(payload));
    }
    if payload.is("blocklist", BLOCKING) {
        let items = payload.children().filter(|item| item.is("item", BLOCKING));
        return Body::Blocked(items.filter_map(|item| jid_attribute(item, "jid")).take(MAX_BLOCKED).collect());
    }
    if payload.is("vCard", ns::VCARD) {
        return match whole_card::read(payload) {
            Ok((card, whole)) => Body::Card { card: Box::new(card), whole },
            Err(_) => Body::OversizedCard,
        };
    }
    if payload.is("query", ns::DISCO_ITEMS) {
        // An item with a node is part of another entity; entities of their own have none, or an empty one.
        let is_entity = |item: &&Element| item.attr("node").is_none_or(str::is_empty);
        let items = payload.children().filter(|item| item.is("item", ns::DISCO_ITEMS)).filter(is_entity);
        return Body::Items(items.filter_map(|item| jid_attribute(item, "jid")).collect());
    }
    let known = muc::answer(payload).or_else(|| bookmarks::answer(payload)).or_else(|| entity::answer(payload));
    let known = known.or_else(|| pubsub::answer(payload));
    known.unwrap_or(Body::Other)
}

/// The context of a roster item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Push,
    Result,
}

/// Returns whether the address of a roster item has a resource. Beside the entry of the contact itself, old clients made such
/// entries on servers that permit them, such as ejabberd.
fn is_of_client(item: &Element) -> bool {
    item.attr("jid").is_some_and(|jid| jid.contains('/'))
}

/// Reads one roster item (RFC 6121, section 2.1.2); `None` if it has no address. It is read by hand, because the RFC
/// says to ignore unknown values, and not the whole item.
fn roster_item(item: &Element, place: Sent) -> Option<RosterItem> {
    let subscription = match item.attr("subscription") {
        Some(known @ ("to" | "from" | "both")) => known,
        Some("remove") if place == Sent::Push => "remove",
        Some(_) | None => "none",
    };
    let mut groups: Vec<String> = Vec::new();
    for group in item.children().filter(|child| child.is("group", ns::ROSTER)).take(MAX_GROUPS) {
        let name = kept(group.text(), RosterItem::LONGEST_NAME);
        if !name.is_empty() && !groups.contains(&name) {
            groups.push(name);
        }
    }
    Some(RosterItem {
        jid: bare_jid_attribute(item, "jid")?,
        name: item.attr("name").map(|name| kept(name.to_owned(), RosterItem::LONGEST_NAME)),
        subscription: subscription.to_owned(),
        ask: item.attr("ask") == Some("subscribe"),
        groups,
    })
}

/// Reads service discovery information by hand, so that one odd form does not hide the entity's features.
fn disco(payload: &Element) -> Disco {
    let children = |name: &'static str| payload.children().filter(move |child| child.is(name, ns::DISCO_INFO));
    Disco {
        identities: children("identity")
            .filter_map(|identity| {
                Some(Identity {
                    category: identity.attr("category")?.to_owned(),
                    kind: identity.attr("type")?.to_owned(),
                    name: identity.attr("name").map(str::to_owned),
                    lang: identity.attr_ns(&Namespace::XML, "lang").map(str::to_owned),
                })
            })
            .collect(),
        features: children("feature").filter_map(|feature| feature.attr("var").map(str::to_owned)).collect(),
        // XEP-0128, section 2: only a form of type result is a statement about the entity.
        forms: payload
            .children()
            .filter(|form| form.is("x", ns::DATA_FORMS) && form.attr("type") == Some("result"))
            .map(form)
            .collect(),
    }
}

fn form(form: &Element) -> Form {
    let fields: Vec<Field> = form
        .children()
        .filter(|field| field.is("field", ns::DATA_FORMS))
        .filter_map(|field| {
            let values = field.children().filter(|value| value.is("value", ns::DATA_FORMS)).map(Element::text);
            Some(Field {
                var: field.attr("var")?.to_owned(),
                kind: field.attr("type").map(str::to_owned),
                values: values.collect(),
            })
        })
        .collect();
    // XEP-0068: only a hidden field of this name gives the type of the form.
    let named = fields.iter().find(|field| field.var == "FORM_TYPE" && field.kind.as_deref() == Some("hidden"));
    Form { form_type: named.and_then(|field| field.values.first().cloned()), fields }
}
