//! Converts [`Outgoing`] to stanzas. Pure; writes no `from`, and no text that could end the stream.

mod adhoc;
mod archive;
mod blocking;
mod pubsub;

use std::collections::BTreeMap;

use jid::Jid;
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Id, Lang, Message, MessageType, Thread};
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Priority, Show as WireShow, Type};
use xmpp_parsers::stanza::Stanza;

use crate::card::Avatar;
use crate::files;
use crate::omemo;
use crate::previews;
use crate::raw::RawStanza;
use crate::text::clean;
use crate::types::{
    Ask, BLOCKING, Caps, Disco, Draft, Extensions, Fallback, Form, MAM, MessageKind, Outgoing, PresenceOut,
    PresenceOutKind, REPLY, RETRACT, Reply, RosterItem, SPOILER, STYLING, Show,
};
use crate::whole_card;

pub use crate::raw::element;
pub use crate::text::name;

mod rooms;
mod written;

pub use self::written::Written;

/// XEP-0428.
pub const FALLBACK: &str = "urn:xmpp:fallback:0";
/// XEP-0428, in clients with an earlier version of it.
pub(crate) const OLDER_FALLBACK: &str = "urn:xmpp:feature-fallback:0";
/// XEP-0334.
pub const HINTS: &str = "urn:xmpp:hints";
/// XEP-0425.
pub const MODERATE: &str = "urn:xmpp:message-moderate:1";
/// XEP-0425, version 0.2.
pub const OLDER_MODERATE: &str = "urn:xmpp:message-moderate:0";
/// XEP-0424, version 0.2.
pub(crate) const OLDER_RETRACT: &str = "urn:xmpp:message-retract:0";
/// XEP-0422, in which older requests and retractions are wrapped.
pub(crate) const FASTEN: &str = "urn:xmpp:fasten:0";
/// XEP-0012.
pub(crate) const LAST_ACTIVITY: &str = "jabber:iq:last";
/// XEP-0045, for owners.
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// XEP-0045, for administrators.
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";

/// The namespace of XEP-0153.
pub const AVATAR: &str = "vcard-temp:x:update";

/// Returns the stanza for an outgoing item.
pub fn encode(outgoing: Outgoing) -> Stanza {
    match outgoing {
        Outgoing::Message { to, kind, id, draft, to_occupant } => {
            let mut message = message(to, kind, id, draft);
            message.payloads.extend(to_occupant.then(|| Element::bare("x", ns::MUC_USER)));
            Stanza::Message(message)
        }
        Outgoing::Sealed(sealed) => Stanza::Message(omemo::sealed(*sealed)),
        Outgoing::Presence(out) => Stanza::Presence(presence(out)),
        Outgoing::Invite { to, id, invitation } => Stanza::Message(rooms::invitation(to, id, invitation)),
        Outgoing::Voice { room, id, voice } => Stanza::Message(rooms::voice(room, id, voice)),
        Outgoing::Ask { to, id, ask } => Stanza::Iq(request(to, id, ask)),
        Outgoing::Reply { to, id, reply } => Stanza::Iq(answer(to, id, reply)),
        Outgoing::Raw(raw) | Outgoing::Again(raw) | Outgoing::Private(raw, _) => raw.into_stanza(),
    }
}

impl RawStanza {
    /// Returns the exact stanza that will be sent for this.
    pub fn of(outgoing: Outgoing) -> Self {
        match outgoing {
            Outgoing::Raw(raw) | Outgoing::Again(raw) | Outgoing::Private(raw, _) => raw,
            other => Self::from(encode(other)),
        }
    }
}

/// Returns the library's type of a message.
pub(crate) fn message_type(kind: MessageKind) -> MessageType {
    match kind {
        MessageKind::Chat => MessageType::Chat,
        MessageKind::Normal => MessageType::Normal,
        MessageKind::Headline => MessageType::Headline,
        MessageKind::Groupchat => MessageType::Groupchat,
        MessageKind::Error => MessageType::Error,
    }
}

fn message(to: Jid, kind: MessageKind, id: String, draft: Draft) -> Message {
    let mut message = Message::new_with_type(message_type(kind), to);
    let id = clean(id);
    // XEP-0359, section 3.1: rooms and relays must not change this id. It equals the message's id, so that only one
    // must be kept.
    message.payloads.push(with_id("origin-id", ns::SID, id.clone()).build());
    message.id = Some(Id(id));
    message.bodies.extend(draft.body.map(|body| (Lang::new(), clean(body))));
    message.subjects.extend(draft.subject.map(|subject| (Lang::new(), clean(subject))));
    let mut extensions = draft.extensions;
    let parent = extensions.as_mut().and_then(|extensions| extensions.thread_parent.take());
    message.thread = draft.thread.map(|id| Thread { parent: parent.map(clean), id: clean(id) });
    if let Some(mut extensions) = extensions {
        let shared = std::mem::take(&mut extensions.files);
        // Clients show the file in place of a body that is its address alone.
        let is_own = shared.first().is_some_and(|file| message.bodies.values().any(|body| *body == file.url));
        message.payloads.extend(files::elements(shared, is_own));
        extension_elements(*extensions, &mut message.payloads);
    }
    message
}

/// Adds the elements of a message's extensions.
pub fn extension_elements(extensions: Extensions, elements: &mut Vec<Element>) {
    let Extensions {
        // It is written with the thread.
        thread_parent: _,
        reply,
        fallback,
        replace,
        retract,
        // Only rooms say this.
        moderated: _,
        reactions,
        receipt_requested,
        receipt,
        markable,
        marker,
        marked,
        chat_state,
        hints,
        files,
        spoiler,
        unstyled,
        previews,
    } = extensions;
    elements.extend(files::elements(files, false));
    elements.extend(fallback.into_iter().map(fallback_element));
    elements.extend(hints.into_iter().map(|hint| Element::bare(hint.as_str(), HINTS)));
    if markable {
        elements.push(Element::bare("markable", ns::DISPLAYED_MARKERS));
    }
    if let Some(reply) = reply {
        elements.push(with_id("reply", REPLY, reply.id).attr(name("to"), reply.to.map(|to| to.to_string())).build());
    }
    if let Some(id) = replace {
        elements.push(with_id("replace", ns::MESSAGE_CORRECT, id).build());
    }
    if let Some(id) = retract {
        elements.push(with_id("retract", RETRACT, id).build());
    }
    if let Some(reactions) = reactions {
        let emojis = reactions.emojis.into_iter().map(|emoji| text("reaction", ns::REACTIONS, emoji));
        elements.push(with_id("reactions", ns::REACTIONS, reactions.id).append_all(emojis).build());
    }
    if receipt_requested {
        elements.push(Element::bare("request", ns::RECEIPTS));
    }
    if let Some(id) = receipt {
        elements.push(with_id("received", ns::RECEIPTS, id).build());
    }
    // Element names must not come from outside, so only known names are written.
    if let (Some(marker), Some(id)) = (marker, marked)
        && let Some(marker) = known(&["received", "displayed", "acknowledged"], &marker)
    {
        elements.push(with_id(marker, ns::DISPLAYED_MARKERS, id).build());
    }
    if let Some(state) = chat_state
        && let Some(state) = known(&["active", "composing", "paused", "inactive", "gone"], &state)
    {
        elements.push(Element::bare(state, ns::CHATSTATES));
    }
    if let Some(hint) = spoiler {
        let bare = hint.is_empty().then(|| Element::bare("spoiler", SPOILER));
        elements.push(bare.unwrap_or_else(|| text("spoiler", SPOILER, hint)));
    }
    elements.extend(unstyled.then(|| Element::bare("unstyled", STYLING)));
    elements.extend(previews.into_iter().map(previews::element));
}

fn fallback_element(fallback: Fallback) -> Element {
    let body = Element::builder("body", FALLBACK);
    let body = match fallback.part {
        Some((start, end)) => body.attr(name("start"), start.to_string()).attr(name("end"), end.to_string()),
        None => body,
    };
    Element::builder("fallback", FALLBACK).attr(name("for"), fallback.feature.map(clean)).append(body.build()).build()
}

fn known(names: &[&'static str], wanted: &str) -> Option<&'static str> {
    names.iter().copied().find(|name| *name == wanted)
}

pub(crate) fn with_id(element: &'static str, namespace: &'static str, id: String) -> minidom::ElementBuilder {
    Element::builder(element, namespace).attr(name("id"), clean(id))
}

fn text(element: &'static str, namespace: &'static str, text: String) -> Element {
    Element::builder(element, namespace).append(clean(text)).build()
}

fn presence(out: PresenceOut) -> Presence {
    let mut presence = Presence::new(match out.kind {
        PresenceOutKind::Available => Type::None,
        PresenceOutKind::Unavailable => Type::Unavailable,
        PresenceOutKind::Subscribe => Type::Subscribe,
        PresenceOutKind::Subscribed => Type::Subscribed,
        PresenceOutKind::Unsubscribe => Type::Unsubscribe,
        PresenceOutKind::Unsubscribed => Type::Unsubscribed,
    });
    presence.to = out.to;
    presence.show = out.show.map(|show| match show {
        Show::Away => WireShow::Away,
        Show::Chat => WireShow::Chat,
        Show::Dnd => WireShow::Dnd,
        Show::Xa => WireShow::Xa,
    });
    presence.statuses.extend(out.status.map(|status| (Lang::new(), clean(status))));
    // The library writes a priority in every presence, zero if none is set.
    presence.priority = Priority(out.priority.unwrap_or(0));
    presence.payloads.extend(out.join.map(|join| rooms::join(join).into()));
    presence.payloads.extend(out.avatar.map(avatar));
    presence.payloads.extend(out.caps.map(|caps| capabilities(&caps)));
    presence
}

/// Returns this presence with capabilities, unless it names some itself. Prosody and `MongooseIM` notify of no nodes
/// (XEP-0163) after a presence without them.
#[must_use]
pub fn with_caps(stanza: &RawStanza, caps: &Caps) -> RawStanza {
    match stanza.stanza() {
        Stanza::Presence(presence) if !presence.payloads.iter().any(|payload| payload.is("c", ns::CAPS)) => {
            let mut presence = presence.clone();
            presence.payloads.push(capabilities(caps));
            RawStanza::from(Stanza::Presence(presence))
        }
        _ => stanza.clone(),
    }
}

fn capabilities(caps: &Caps) -> Element {
    Element::builder("c", ns::CAPS)
        .attr(name("hash"), clean(caps.hash.clone()))
        .attr(name("node"), clean(caps.node.clone()))
        .attr(name("ver"), clean(caps.ver.clone()))
        .build()
}

/// Returns the avatar element of our presence (XEP-0153, section 3): unknown yet, none, or a hash.
fn avatar(avatar: Avatar) -> Element {
    let update = Element::builder("x", AVATAR);
    match avatar {
        Avatar::Unknown => update.build(),
        Avatar::None => update.append(Element::bare("photo", AVATAR)).build(),
        Avatar::Hash(hash) => update.append(text("photo", AVATAR, hash)).build(),
    }
}

fn request(to: Option<Jid>, id: String, ask: Ask) -> Iq {
    let (is_set, payload) = match ask {
        Ask::Roster { version } => {
            (false, Element::builder("query", ns::ROSTER).attr(name("ver"), version.map(clean)).build())
        }
        Ask::SetRoster(item) => (true, Element::builder("query", ns::ROSTER).append(roster_item(item)).build()),
        Ask::DiscoInfo { node } => {
            (false, Element::builder("query", ns::DISCO_INFO).attr(name("node"), node.map(clean)).build())
        }
        Ask::DiscoItems => (false, Element::bare("query", ns::DISCO_ITEMS)),
        Ask::Ping => (false, Element::bare("ping", ns::PING)),
        Ask::Archive(query) => (true, archive::query(*query)),
        Ask::ArchivePreferences => (false, Element::bare("prefs", MAM)),
        Ask::SetArchivePreferences(preferences) => (true, archive::preferences(preferences)),
        Ask::Card => (false, Element::bare("vCard", ns::VCARD)),
        Ask::SetCard { whole, change } => (true, whole_card::changed(whole, *change)),
        Ask::EnableCarbons => (true, Element::bare("enable", ns::CARBONS)),
        Ask::DisableCarbons => (true, Element::bare("disable", ns::CARBONS)),
        Ask::RoomConfig => (false, Element::bare("query", MUC_OWNER)),
        Ask::ConfigureRoom { fields } => (true, rooms::configuration(fields)),
        Ask::CancelRoomConfig => (true, rooms::cancelled_configuration()),
        Ask::DestroyRoom { reason, alternative } => (true, rooms::destruction(reason, alternative)),
        Ask::SetRole { nick, role, reason } => (true, rooms::admin_item(Some(("nick", nick)), ("role", role), reason)),
        Ask::SetAffiliation { user, affiliation, reason } => {
            (true, rooms::admin_item(Some(("jid", user.to_string())), ("affiliation", affiliation), reason))
        }
        Ask::Moderate { id, reason, is_older } => (true, rooms::moderation(id, reason, is_older)),
        Ask::Block { jid, report } => (true, blocking::block(&jid, report.map(|report| *report))),
        Ask::Unblock(jid) => (true, blocking::unblock(&jid)),
        Ask::Blocked => (false, Element::bare("blocklist", BLOCKING)),
        Ask::Affiliations { affiliation } => (false, rooms::admin_item(None, ("affiliation", affiliation), None)),
        Ask::Activity => (false, Element::bare("query", LAST_ACTIVITY)),
        Ask::Time => (false, Element::bare("time", ns::TIME)),
        Ask::Software => (false, Element::bare("query", ns::VERSION)),
        Ask::Registration => (false, Element::bare("query", ns::REGISTER)),
        Ask::Register { fields } => (true, rooms::registration(fields)),
        Ask::Unregister => (true, rooms::end_of_registration()),
        Ask::Bookmarks { place } => (false, rooms::bookmarks(place)),
        Ask::PublishBookmark { bookmark, plain } => (true, rooms::published(*bookmark, plain)),
        Ask::PrepareBookmarks { create, counted } => (true, rooms::prepared(create, counted)),
        Ask::RetractBookmark(room) => (true, rooms::retracted(&room)),
        Ask::Pubsub(ask) => pubsub::request(*ask),
    };
    if is_set { Iq::Set { from: None, to, id, payload } } else { Iq::Get { from: None, to, id, payload } }
}

/// Returns a roster item as a client may set it (RFC 6121, section 2.1.2): without subscription, unless it should be
/// removed.
fn roster_item(item: RosterItem) -> Element {
    let entry = Element::builder("item", ns::ROSTER).attr(name("jid"), item.jid.to_string());
    if item.subscription == "remove" {
        return entry.attr(name("subscription"), "remove").build();
    }
    let groups = item.groups.into_iter().map(|group| text("group", ns::ROSTER, group));
    entry.attr(name("name"), item.name.map(clean)).append_all(groups).build()
}

fn answer(to: Option<Jid>, id: String, reply: Reply) -> Iq {
    let payload = match reply {
        Reply::Refuse { kind, condition } => return refusal(to, id, kind, condition, None),
        Reply::RefuseWithText { kind, condition, text } => return refusal(to, id, kind, condition, Some(text)),
        Reply::Payload(payload) => Some(payload.into_element()),
        Reply::RefuseAdHoc(why) => return adhoc::refused(to, id, why),
        Reply::Done => None,
        Reply::Disco { node, disco } => Some(disco_element(node, disco)),
        Reply::NoItems { node } => {
            Some(Element::builder("query", ns::DISCO_ITEMS).attr(name("node"), node.map(clean)).build())
        }
        Reply::Commands { of, items } => Some(adhoc::list(of.as_str(), &items)),
        Reply::AdHoc(answer) => Some(adhoc::answer(*answer)),
        Reply::Version => Some(
            Element::builder("query", ns::VERSION)
                .append(text("name", ns::VERSION, "parlor".to_owned()))
                .append(text("version", ns::VERSION, env!("CARGO_PKG_VERSION").to_owned()))
                .build(),
        ),
        Reply::Time(now) => Some(
            Element::builder("time", ns::TIME)
                .append(text("tzo", ns::TIME, "+00:00".to_owned()))
                .append(text("utc", ns::TIME, now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))
                .build(),
        ),
    };
    Iq::Result { from: None, to, id, payload }
}

fn disco_element(node: Option<String>, disco: Disco) -> Element {
    let identities = disco.identities.into_iter().map(|identity| {
        Element::builder("identity", ns::DISCO_INFO)
            .attr(name("category"), clean(identity.category))
            .attr(name("type"), clean(identity.kind))
            .attr(name("name"), identity.name.map(clean))
            .attr_ns(minidom::rxml::Namespace::XML, name("lang"), identity.lang.map(clean))
            .build()
    });
    let features = disco
        .features
        .into_iter()
        .map(|var| Element::builder("feature", ns::DISCO_INFO).attr(name("var"), clean(var)).build());
    Element::builder("query", ns::DISCO_INFO)
        .attr(name("node"), node.map(clean))
        .append_all(identities)
        .append_all(features)
        .append_all(disco.forms.into_iter().map(result_form))
        .build()
}

fn result_form(form: Form) -> Element {
    let fields = form.fields.into_iter().map(|field| {
        Element::builder("field", ns::DATA_FORMS)
            .attr(name("var"), clean(field.var))
            .attr(name("type"), field.kind.map(clean))
            .append_all(field.values.into_iter().map(|value| text("value", ns::DATA_FORMS, value)))
            .build()
    });
    Element::builder("x", ns::DATA_FORMS).attr(name("type"), "result").append_all(fields).build()
}

fn refusal(to: Option<Jid>, id: String, kind: &'static str, condition: &'static str, words: Option<String>) -> Iq {
    use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};
    let error = Element::builder("error", ns::DEFAULT_NS)
        .attr(name("type"), kind)
        .append(Element::bare(condition, ns::XMPP_STANZAS))
        .append_all(words.map(|words| text("text", ns::XMPP_STANZAS, words)))
        .build();
    // The caller names a defined condition; if it did not, the requester would still be owed an answer.
    let error = StanzaError::try_from(error).unwrap_or_else(|_| StanzaError {
        type_: ErrorType::Cancel,
        by: None,
        defined_condition: DefinedCondition::ServiceUnavailable,
        texts: BTreeMap::new(),
        other: None,
    });
    Iq::Error { from: None, to, id, error, payload: None }
}

#[cfg(test)]
mod tests;
