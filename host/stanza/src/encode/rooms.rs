//! Writes requests to rooms, invitations, requests for voice, and bookmarks (XEP-0045, XEP-0249, XEP-0402).

use jid::{BareJid, Jid};
use minidom::Element;
use xmpp_parsers::date::DateTime;
use xmpp_parsers::message::{Id, Message};
use xmpp_parsers::muc::Muc;
use xmpp_parsers::muc::muc::History as WireHistory;
use xmpp_parsers::ns;

use super::{FASTEN, MODERATE, MUC_ADMIN, MUC_OWNER, OLDER_MODERATE, OLDER_RETRACT, clean, name, text, with_id};
use crate::types::{
    Bookmark, BookmarkPlace, History, Invitation, MAX_BOOKMARKS, RETRACT, RoomJoin, VOICE, Voice, VoiceRequest,
};

const DIRECT_INVITE: &str = "jabber:x:conference";
const ROOM_CONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
const REGISTER: &str = "http://jabber.org/protocol/muc#register";
pub(super) const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
pub(super) const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
pub(super) const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";

const MAX_ITEMS: &str = "pubsub#max_items";
/// The publish options of XEP-0402, section 3.
const OPTIONS: [(&str, &str); 4] = [
    ("pubsub#persist_items", "true"),
    (MAX_ITEMS, "max"),
    ("pubsub#send_last_published_item", "never"),
    ("pubsub#access_model", "whitelist"),
];
/// The options that every server with bookmarks supports: they persist, and are private.
const KNOWN_OPTIONS: [&str; 2] = ["pubsub#persist_items", "pubsub#access_model"];

pub(super) fn join(join: RoomJoin) -> Muc {
    Muc { password: join.password.map(clean), history: join.history.map(history) }
}

fn history(history: History) -> WireHistory {
    WireHistory {
        maxchars: history.max_chars,
        maxstanzas: history.max_stanzas,
        seconds: history.seconds,
        // Rounded down to the second, since servers interpret fractions differently.
        since: history
            .since
            .and_then(|since| since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().parse::<DateTime>().ok()),
    }
}

pub(super) fn invitation(to: Jid, id: String, invitation: Invitation) -> Message {
    let x = match invitation {
        Invitation::Direct { room, reason, password } => Element::builder("x", DIRECT_INVITE)
            .attr(name("jid"), room.to_string())
            .attr(name("reason"), reason.map(clean))
            .attr(name("password"), password.map(clean))
            .build(),
        Invitation::Mediated { user, reason } => by_way_of_room("invite", &user.into(), reason),
        Invitation::Declined { inviter, reason } => by_way_of_room("decline", &inviter, reason),
    };
    carrying(to, id, x)
}

/// Returns a message that has nothing but this element.
fn carrying(to: Jid, id: String, payload: Element) -> Message {
    let mut message = Message::normal(to);
    message.id = Some(Id(clean(id)));
    message.payloads.push(payload);
    message
}

/// Returns a request for voice, or the answer to one (XEP-0045, sections 7.13 and 8.6).
pub(super) fn voice(room: BareJid, id: String, voice: Voice) -> Message {
    let mut fields = vec![("muc#role", "participant".to_owned())];
    if let Voice::Answer { to: VoiceRequest { jid, nick }, allow } = voice {
        fields.extend([
            ("muc#jid", jid.to_string()),
            ("muc#roomnick", nick),
            ("muc#request_allow", if allow { "true" } else { "false" }.to_owned()),
        ]);
    }
    let fields = fields.into_iter().map(|(var, value)| (var.to_owned(), vec![value])).collect();
    carrying(room.into(), id, submitted_as(VOICE, fields))
}

/// Returns the request to register with a room (XEP-0045, section 7.10).
pub(super) fn registration(fields: Vec<(String, Vec<String>)>) -> Element {
    Element::builder("query", ns::REGISTER).append(submitted_as(REGISTER, fields)).build()
}

/// Returns the request to end the registration with a room (XEP-0077, section 3.2).
pub(super) fn end_of_registration() -> Element {
    Element::builder("query", ns::REGISTER).append(Element::bare("remove", ns::REGISTER)).build()
}

fn by_way_of_room(what: &'static str, to: &Jid, reason: Option<String>) -> Element {
    let said = Element::builder(what, ns::MUC_USER)
        .attr(name("to"), to.to_string())
        .append_all(reason.map(|reason| text("reason", ns::MUC_USER, reason)));
    Element::builder("x", ns::MUC_USER).append(said).build()
}

pub(super) fn configuration(fields: Vec<(String, Vec<String>)>) -> Element {
    let form = if fields.is_empty() { submitted(std::iter::empty()) } else { submitted_as(ROOM_CONFIG, fields) };
    Element::builder("query", MUC_OWNER).append(form).build()
}

pub(super) fn cancelled_configuration() -> Element {
    let form = Element::builder("x", ns::DATA_FORMS).attr(name("type"), "cancel");
    Element::builder("query", MUC_OWNER).append(form).build()
}

/// Returns a submitted form (XEP-0004, section 3.1).
pub(super) fn submitted_as(kind: &str, fields: Vec<(String, Vec<String>)>) -> Element {
    let kind = ("FORM_TYPE".to_owned(), vec![kind.to_owned()]);
    submitted(std::iter::once(kind).chain(fields))
}

fn submitted(fields: impl Iterator<Item = (String, Vec<String>)>) -> Element {
    let fields = fields.map(|(var, values)| {
        let kind = (var == "FORM_TYPE").then_some("hidden");
        Element::builder("field", ns::DATA_FORMS)
            .attr(name("var"), clean(var))
            .attr(name("type"), kind)
            .append_all(values.into_iter().map(|value| text("value", ns::DATA_FORMS, value)))
            .build()
    });
    Element::builder("x", ns::DATA_FORMS).attr(name("type"), "submit").append_all(fields).build()
}

pub(super) fn destruction(reason: Option<String>, alternative: Option<BareJid>) -> Element {
    let destroy = Element::builder("destroy", MUC_OWNER)
        .attr(name("jid"), alternative.map(|jid| jid.to_string()))
        .append_all(reason.map(|reason| text("reason", MUC_OWNER, reason)));
    Element::builder("query", MUC_OWNER).append(destroy).build()
}

/// Returns an item of `muc#admin`: for a user (`nick` or `jid`), with the new value (`role` or `affiliation`).
pub(super) fn admin_item(
    whom: Option<(&'static str, String)>,
    what: (&'static str, &'static str),
    reason: Option<String>,
) -> Element {
    let mut item = Element::builder("item", MUC_ADMIN).attr(name(what.0), what.1);
    if let Some((by, whom)) = whom {
        item = item.attr(name(by), clean(whom));
    }
    let item = item.append_all(reason.map(|reason| text("reason", MUC_ADMIN, reason)));
    Element::builder("query", MUC_ADMIN).append(item).build()
}

/// Returns the request to retract somebody's message (XEP-0425), in the form of version 0.2 for older rooms.
pub(super) fn moderation(id: String, reason: Option<String>, is_older: bool) -> Element {
    if is_older {
        let moderate = Element::builder("moderate", OLDER_MODERATE)
            .append(Element::bare("retract", OLDER_RETRACT))
            .append_all(reason.map(|reason| text("reason", OLDER_MODERATE, reason)));
        return with_id("apply-to", FASTEN, id).append(moderate).build();
    }
    with_id("moderate", MODERATE, id)
        .append(Element::bare("retract", RETRACT))
        .append_all(reason.map(|reason| text("reason", MODERATE, reason)))
        .build()
}

pub(super) fn bookmarks(place: BookmarkPlace) -> Element {
    let node = match place {
        BookmarkPlace::Items => ns::BOOKMARKS2,
        BookmarkPlace::Node => ns::BOOKMARKS,
        BookmarkPlace::Private => {
            return Element::builder("query", ns::PRIVATE).append(Element::bare("storage", ns::BOOKMARKS)).build();
        }
    };
    let items = Element::builder("items", ns::PUBSUB).attr(name("node"), node);
    Element::builder("pubsub", ns::PUBSUB).append(items).build()
}

/// Returns the request to publish a bookmark so that only the account ever sees it (XEP-0402, section 3; XEP-0223).
pub(super) fn published(bookmark: Bookmark, plain: bool) -> Element {
    let Bookmark { room, name: called, autojoin, nick, password, extensions, is_cut: _ } = bookmark;
    let conference = Element::builder("conference", ns::BOOKMARKS2)
        .attr(name("name"), called.map(clean))
        .attr(name("autojoin"), if autojoin { "true" } else { "false" })
        .append_all(nick.map(|nick| text("nick", ns::BOOKMARKS2, nick)))
        .append_all(password.map(|password| text("password", ns::BOOKMARKS2, password)))
        // It was an element when it was received.
        .append_all(extensions.and_then(|xml| xml.parse::<Element>().ok()));
    let item = Element::builder("item", ns::PUBSUB).attr(name("id"), room.to_string()).append(conference);
    let publish = Element::builder("publish", ns::PUBSUB).attr(name("node"), ns::BOOKMARKS2).append(item);
    let options = options(PUBLISH_OPTIONS, false, |var| !plain || KNOWN_OPTIONS.contains(&var));
    let options = Element::builder("publish-options", ns::PUBSUB).append(options);
    Element::builder("pubsub", ns::PUBSUB).append(publish).append(options).build()
}

pub(super) fn prepared(create: bool, counted: bool) -> Element {
    let form = options(NODE_CONFIG, counted, |_| true);
    if create {
        let create = Element::builder("create", ns::PUBSUB).attr(name("node"), ns::BOOKMARKS2);
        let configure = Element::builder("configure", ns::PUBSUB).append(form);
        return Element::builder("pubsub", ns::PUBSUB).append(create).append(configure).build();
    }
    let configure = Element::builder("configure", PUBSUB_OWNER).attr(name("node"), ns::BOOKMARKS2).append(form);
    Element::builder("pubsub", PUBSUB_OWNER).append(configure).build()
}

fn options(form: &str, counted: bool, wanted: impl Fn(&str) -> bool) -> Element {
    let options = OPTIONS.into_iter().filter(|(var, _)| wanted(var)).map(|(var, value)| {
        let value = if counted && var == MAX_ITEMS { MAX_BOOKMARKS.to_string() } else { value.to_owned() };
        (var.to_owned(), vec![value])
    });
    submitted_as(form, options.collect())
}

/// Returns the request to remove a bookmark, which also notifies the account's other clients (XEP-0060, section
/// 7.2.2.1).
pub(super) fn retracted(room: &BareJid) -> Element {
    let item = Element::builder("item", ns::PUBSUB).attr(name("id"), room.to_string());
    let retract = Element::builder("retract", ns::PUBSUB)
        .attr(name("node"), ns::BOOKMARKS2)
        .attr(name("notify"), "true")
        .append(item);
    Element::builder("pubsub", ns::PUBSUB).append(retract).build()
}
