//! Converts stanzas to [`Incoming`]: their contents, as far as RFC 6120, RFC 6121 and the XEPs permit trusting them.
//!
//! Pure. Never panics, on any input. Refuses carbons that are not from the own account, and ignores such roster pushes;
//! the layers above decide about everything else.

use std::collections::BTreeMap;

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use minidom::Element;
use minidom::rxml::Namespace;
use parlor_base::escape::{escape_untrusted, is_odd_space};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Lang, Message as WireMessage, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence as WirePresence, Show as WireShow, Type};
use xmpp_parsers::stanza::Stanza;

use crate::encode::AVATAR;
use crate::error::{StanzaError, numbered};
use crate::raw::{BroadcastPresence, RawStanza, returned};
use crate::sieve::mend::{CUT, NOTES};
use crate::text::{is_one_line, kept, name, trimmed};
use crate::types::{Carbon, Incoming, Message, MessageKind, Presence, PresenceKind, RosterItem, Show, address};
use crate::xml::Xml;

mod archive;
mod bookmarks;
mod entity;
mod extensions;
mod filled;
mod forwarded;
mod iq;
mod muc;
mod omemo;
mod plain;
mod presence;
mod pubsub;
mod retraction;

pub use self::filled::filled_in;
pub use self::omemo::read_envelope;
pub use self::plain::{Addresses, Arrived, PlainMessage, arrived};

/// The bytes of an error's text that are kept: a room that refuses entry is remembered with it, and each waiting call
/// gets it.
const MAX_ERROR_TEXT: usize = 4 << 10;
/// The maximum length of an error as XML, to be kept completely.
const MAX_ERROR: usize = 16 << 10;
/// The types of a stanza error (RFC 6120, section 8.3.2).
const ERROR_KINDS: [&str; 5] = ["auth", "cancel", "continue", "modify", "wait"];

/// Reads a stanza for the account that is bound as `own`, at the time `now`.
pub fn decode(stanza: Stanza, own: &FullJid, now: Timestamp) -> Incoming {
    match stanza {
        Stanza::Message(message) => decode_message(message, own, now),
        Stanza::Presence(presence) => Incoming::Presence(Box::new(decode_presence(presence, own))),
        Stanza::Iq(Iq::Get { from, id, payload, .. }) => iq::request(from, id, payload),
        Stanza::Iq(Iq::Set { from, to, id, payload }) => iq::order(from, to, id, payload, own),
        Stanza::Iq(answer) => iq::answer(answer),
    }
}

impl RawStanza {
    /// Returns an outgoing message of `own` in the form that subscribers get; `None` if it is not a message.
    pub fn leaving(&self, own: &FullJid, now: Timestamp) -> Option<Box<Message>> {
        leaving(self.stanza(), own, now).map(Box::new)
    }

    /// Returns the error for a message that is not sent any more.
    pub fn returned(&self, own: &FullJid, now: Timestamp) -> Option<Incoming> {
        Some(decode(returned(self.stanza())?, own, now))
    }

    /// Returns the own status in this stanza; `None` if it is not a presence, or has a recipient.
    pub fn broadcast_presence(&self) -> Option<BroadcastPresence> {
        let Stanza::Presence(presence) = self.stanza() else { return None };
        let is_available = match presence.type_ {
            Type::None => true,
            Type::Unavailable => false,
            _ => return None,
        };
        presence.to.is_none().then(|| BroadcastPresence {
            is_available,
            show: presence.show.as_ref().map(show),
            status: only(&presence.statuses).map(|(_, text)| text.clone()).unwrap_or_default(),
        })
    }
}

/// Returns whether this sender is the own account itself (RFC 6120, section 8.1.2.1: no sender means the account).
fn is_own_account(from: Option<&Jid>, own: &FullJid) -> bool {
    from.is_none_or(|from| from.is_bare() && is_same_bare(from, own))
}

/// Compares two addresses without their resources, and without building either.
fn is_same_bare(one: &Jid, other: &Jid) -> bool {
    one.node() == other.node() && one.domain() == other.domain()
}

fn decode_message(mut message: WireMessage, own: &FullJid, now: Timestamp) -> Incoming {
    // People in a room see this message, so it must not be possible to hide it from bots by labelling it as a copy. A subject, a
    // reaction or an encrypted text has no body. Copies come from the account, and results of an archive from the room itself.
    let is_of_occupant = message.from.as_ref().is_some_and(Jid::is_full);
    if message.type_ == MessageType::Groupchat && (is_of_occupant || !message.bodies.is_empty()) {
        return Incoming::Message(Box::new(read_message(message, None, None, own, now)));
    }
    if let Some(at) = archive::find(&message) {
        return archive::result(message, at, own, now);
    }
    let Some((at, carbon)) = find_carbon(&message) else {
        // The account's own storage sends from its bare JID (XEP-0163, section 4.3.1); others could forge this.
        if is_own_account(message.from.as_ref(), own)
            && let Some(event) = message.payloads.iter().find(|payload| payload.is("event", ns::PUBSUB_EVENT))
            && let Some(changes) = bookmarks::changes(event, cut_note(&message.payloads).is_some())
        {
            return Incoming::Bookmarks(changes);
        }
        let pubsub = pubsub::events(&message, own);
        return Incoming::Message(Box::new(Message { pubsub, ..read_message(message, None, None, own, now) }));
    };
    if !is_own_account(message.from.as_ref(), own) {
        return Incoming::Refused("a carbon that is not from the own account");
    }
    let cut = cut_note(&message.payloads).cloned();
    // A carbon of an error is an error as well. Any other carbon of this type is a stanza of ours that bounced.
    let came_back = message.type_ == MessageType::Error;
    let mut wrapper = message.payloads.swap_remove(at);
    let Some(mut forwarded) = wrapper.remove_child("forwarded", ns::FORWARD) else {
        return Incoming::Refused("a carbon without a message");
    };
    let stamp = forwarded.get_child("delay", ns::DELAY).and_then(extensions::stamp);
    match forwarded::message(&mut forwarded, cut) {
        Some(inner) if came_back && inner.type_ != MessageType::Error => {
            Incoming::Refused("a carbon that came back as an error")
        }
        Some(inner) if inner.type_ == MessageType::Groupchat => Incoming::Refused("a carbon of a groupchat message"),
        Some(inner) if !is_copy_for(&inner, carbon, own) => {
            Incoming::Refused("a carbon of what this account neither sent nor received")
        }
        Some(inner) if archive::find(&inner).is_some() => Incoming::Refused("an archive result that nobody asked for"),
        Some(inner) => Incoming::Message(Box::new(read_message(inner, Some(carbon), stamp, own, now))),
        None => Incoming::Refused("a carbon without a message"),
    }
}

/// The notes of `intake` in a stanza.
#[derive(Debug, Default)]
struct Notes {
    /// The limit over which a part of the stanza was left out.
    cut: Option<String>,
    /// All texts of a stanza that has several of one kind.
    texts: Option<Element>,
}

impl Notes {
    /// Removes the notes from the payloads.
    fn take(payloads: &mut Vec<Element>) -> Self {
        let mut notes = Self::default();
        // Most stanzas have no notes.
        for note in payloads.extract_if(.., |payload| payload.has_ns(NOTES.as_str())) {
            match note.name() {
                CUT => notes.cut = Some(note.text()),
                _ => notes.texts = Some(note),
            }
        }
        notes
    }

    /// Returns all texts of this kind with their languages, in their order; empty unless there are several.
    fn texts(&self, kind: &str) -> Vec<(String, String)> {
        let children = self.texts.iter().flat_map(Element::children).filter(|text| text.name() == kind);
        let lang = |text: &Element| text.attr_ns(&Namespace::XML, "lang").unwrap_or_default().to_owned();
        let texts: Vec<_> = children.map(|text| (lang(text), text.text())).collect();
        if texts.len() > 1 { texts } else { Vec::new() }
    }
}

/// Returns the note that a part of a message was left out.
fn cut_note(payloads: &[Element]) -> Option<&Element> {
    payloads.iter().find(|payload| payload.is(CUT, NOTES.as_str()))
}

/// Returns whether a sent copy is from this account, or a received one is for it.
fn is_copy_for(message: &WireMessage, carbon: Carbon, own: &FullJid) -> bool {
    let ours = match carbon {
        Carbon::Sent => &message.from,
        Carbon::Received => &message.to,
    };
    ours.as_ref().is_none_or(|ours| is_same_bare(ours, own))
}

/// Returns the position and direction of the carbon in the payloads (XEP-0280, section 8).
fn find_carbon(message: &WireMessage) -> Option<(usize, Carbon)> {
    message.payloads.iter().enumerate().find_map(|(at, payload)| {
        let carbon = match payload.name() {
            "received" => Carbon::Received,
            "sent" => Carbon::Sent,
            _ => return None,
        };
        payload.has_ns(ns::CARBONS).then_some((at, carbon))
    })
}

/// The part of a message that is read before its payloads, by the library or the fast parser.
struct Head<'a> {
    from: Option<Jid>,
    to: Option<Jid>,
    kind: MessageKind,
    id: Option<&'a str>,
    /// The id of the thread, and of its parent.
    thread: Option<(&'a str, Option<&'a str>)>,
    /// The chosen text with its language.
    body: Option<(&'a str, &'a str)>,
    /// All texts with their languages, if there are several.
    bodies: Vec<(String, String)>,
    subject: Option<String>,
    /// The limit over which a part was left out.
    cut: Option<String>,
    /// The direction, if it is a carbon.
    carbon: Option<Carbon>,
    /// When it was sent, according to the element that forwards it.
    forwarded_at: Option<Timestamp>,
    /// The error, if it is one.
    error: Option<Box<StanzaError>>,
    raw: RawStanza,
}

fn read_message(
    mut message: WireMessage,
    carbon: Option<Carbon>,
    forwarded_at: Option<Timestamp>,
    own: &FullJid,
    now: Timestamp,
) -> Message {
    let notes = Notes::take(&mut message.payloads);
    let mut bodies = notes.texts("body");
    if bodies.is_empty() && message.bodies.len() > 1 {
        // The order is unknown in a stanza that was not received. A hook must see all of them.
        bodies = message.bodies.iter().map(|(lang, text)| (lang.to_string(), text.clone())).collect();
    }
    let raw = RawStanza::from(Stanza::Message(message));
    let whole = raw.clone();
    let Stanza::Message(message) = whole.stanza() else { unreachable!("it was made of a message") };
    // Clients show the first body.
    let first_body = bodies.first().cloned();
    let body = first_body.as_ref().map(|(lang, text)| (lang.as_str(), text.as_str()));
    let head = Head {
        from: message.from.clone(),
        to: message.to.clone(),
        kind: match message.type_ {
            MessageType::Chat => MessageKind::Chat,
            MessageType::Normal => MessageKind::Normal,
            MessageType::Headline => MessageKind::Headline,
            MessageType::Groupchat => MessageKind::Groupchat,
            MessageType::Error => MessageKind::Error,
        },
        id: message.id.as_ref().map(|id| id.0.as_str()),
        thread: message.thread.as_ref().map(|thread| (thread.id.as_str(), thread.parent.as_deref())),
        body: body.or_else(|| only(&message.bodies).map(|(lang, text)| (lang, text.as_str()))),
        bodies,
        subject: first(&notes, "subject", &message.subjects),
        cut: notes.cut,
        carbon,
        forwarded_at,
        error: (message.type_ == MessageType::Error).then(|| Box::new(error_in(&message.payloads))),
        raw,
    };
    assemble(head, &message.payloads, own, now)
}

/// Reads the payloads of a message, and returns it with them.
fn assemble<'a, E: Xml<'a>>(
    head: Head<'_>,
    payloads: impl IntoIterator<Item = E>,
    own: &FullJid,
    now: Timestamp,
) -> Message {
    let Head { from, to, kind, id, thread, body, bodies, subject, cut, carbon, forwarded_at, error, raw } = head;
    let account = || Jid::from(own.to_bare());
    let from = from.unwrap_or_else(account);
    let to = to.unwrap_or_else(account);
    let is_own = is_same_bare(&from, own);
    let lang = body.map_or("", |(lang, _)| lang);
    let mut found = match error {
        // All other payloads belong to the bounced message, so they are not content of this one (RFC 6120, section
        // 8.3.1).
        Some(error) => extensions::Found::error(error),
        None => extensions::read(payloads.into_iter(), kind, lang, &from, own),
    };
    let id = id.and_then(|id| match kind {
        // The bounced message had this id, with any form.
        MessageKind::Error => Some(id.to_owned()),
        MessageKind::Chat | MessageKind::Normal | MessageKind::Headline | MessageKind::Groupchat => {
            extensions::sendable_id(id)
        }
    });
    let parent = thread.and_then(|(_, parent)| parent).and_then(extensions::sendable_id);
    let thread = thread.and_then(|(thread, _)| extensions::sendable_id(thread));
    if let Some(parent) = parent.filter(|_| thread.is_some() && kind != MessageKind::Error) {
        found.extensions().thread_parent = Some(parent);
    }
    // Some clients and gateways add a meaningless empty body to a receipt or a chat state.
    let says_enough = found.extensions.as_ref().is_some_and(|extensions| !extensions.say_nothing());
    let body = body.map(|(_, text)| text).filter(|text| !(says_enough && text.is_empty())).map(str::to_owned);
    let other = if is_own { &to } else { &from };
    // A hint without a text says nothing.
    let sealed_by = found.sealed_by.or(found.hinted.filter(|_| body.is_some()));
    Message {
        id,
        stanza_id: found.stanza_id,
        origin_id: found.origin_id,
        chat: other.clone().into_bare().into(),
        nick: match kind {
            // No stanza of ours contains our nickname in a room.
            MessageKind::Groupchat if !is_own => from.resource().map(|nick| nick.as_str().to_owned()),
            _ => None,
        },
        occupant_id: found.occupant_id.filter(|_| kind == MessageKind::Groupchat && from.is_full() && !is_own),
        kind,
        body,
        subject,
        bodies,
        command: None,
        cut,
        thread,
        at: found.delay.or(forwarded_at).unwrap_or(now),
        delayed: found.delay.is_some(),
        claimed_at: found.claim,
        carbon,
        own: is_own,
        of_occupant: found.of_occupant,
        extensions: found.extensions,
        error: found.error,
        invite: found.invite,
        declined: found.declined,
        voice: found.voice,
        room_status: found.room_status,
        affiliation: found.affiliation,
        labels: Vec::new(),
        encryption: None,
        device_trust: None,
        encrypted: found.encrypted,
        sealed_by,
        pubsub: Vec::new(),
        from,
        to,
        raw,
    }
}

/// Returns an outgoing message in the form that subscribers get; `None` if the stanza is not a message.
pub fn leaving(stanza: &Stanza, own: &FullJid, now: Timestamp) -> Option<Message> {
    let Stanza::Message(message) = stanza else { return None };
    let message = WireMessage { from: Some(own.clone().into()), ..message.clone() };
    let message = read_message(message, None, None, own, now);
    // The message is not stored yet, and an invitation in it is not for us.
    Some(Message { at: now, delayed: false, claimed_at: None, stanza_id: None, own: true, invite: None, ..message })
}

/// Converts the availability in a presence (RFC 6121, section 4.7.2.1).
pub fn show(show: &WireShow) -> Show {
    match show {
        WireShow::Away => Show::Away,
        WireShow::Chat => Show::Chat,
        WireShow::Dnd => Show::Dnd,
        WireShow::Xa => Show::Xa,
    }
}

/// Returns the text of a stanza that has one of its kind.
pub fn only(texts: &BTreeMap<Lang, String>) -> Option<(&str, &String)> {
    texts.first_key_value().map(|(lang, text)| (lang.0.as_str(), text))
}

/// Returns the first text of this kind.
fn first(notes: &Notes, kind: &str, texts: &BTreeMap<Lang, String>) -> Option<String> {
    let several = notes.texts(kind);
    several.into_iter().next().map(|(_, text)| text).or_else(|| only(texts).map(|(_, text)| text.clone()))
}

fn decode_presence(mut presence: WirePresence, own: &FullJid) -> Presence {
    let notes = Notes::take(&mut presence.payloads);
    let payload = |name: &str, namespace: &str| presence.payloads.iter().find(|payload| payload.is(name, namespace));
    let kind = match presence.type_ {
        Type::None => PresenceKind::Available,
        Type::Unavailable => PresenceKind::Unavailable,
        Type::Subscribe => PresenceKind::Subscribe,
        Type::Subscribed => PresenceKind::Subscribed,
        Type::Unsubscribe => PresenceKind::Unsubscribe,
        Type::Unsubscribed => PresenceKind::Unsubscribed,
        Type::Probe => PresenceKind::Probe,
        Type::Error => PresenceKind::Error(Box::new(error_in(&presence.payloads))),
    };
    Presence {
        // In other presences a nickname has no effect: contacts have the names in the roster.
        nick: payload("nick", ns::NICK).filter(|_| kind == PresenceKind::Subscribe).and_then(nick),
        muc: muc::user(&presence.payloads, &kind).map(|x| Box::new(muc::occupant(x, &presence.payloads))),
        kind,
        show: presence.show.as_ref().map(show),
        status: first(&notes, "status", &presence.statuses),
        priority: presence.priority.0,
        delay: payload("delay", ns::DELAY)
            .and_then(extensions::stamp)
            .or_else(|| payload("x", extensions::OLDER_DELAY).and_then(extensions::older_stamp)),
        avatar: payload("x", AVATAR).and_then(presence::avatar),
        caps: payload("c", ns::CAPS).and_then(presence::caps).map(Box::new),
        from: presence.from.unwrap_or_else(|| own.to_bare().into()),
    }
}

/// Returns the nickname that a sender claims, cut to the limit; `None` if it is not a name on one line.
fn nick(nick: &Element) -> Option<String> {
    // Japanese names contain a space of their own. Names that differ only in the kind of space look the same.
    let text = nick.text().replace(is_odd_space, " ");
    let name = text.trim();
    let name = &name[..name.floor_char_boundary(RosterItem::LONGEST_NAME)];
    // A name must not reverse the direction of the text behind it, or differ from another only invisibly.
    let is_plain = is_one_line(name) && escape_untrusted(name, name.len()) == name;
    (!name.is_empty() && is_plain).then(|| name.to_owned())
}

/// Reads the error of a stanza of type error, even if its content is missing.
fn error_in(payloads: &[Element]) -> StanzaError {
    let error = payloads.iter().find(|payload| payload.is("error", ns::DEFAULT_NS));
    error.map_or_else(|| stanza_error(&Element::bare("error", ns::DEFAULT_NS)), stanza_error)
}

/// Reads an `<error/>`. It need not be well-formed: an odd error is still an answer.
fn stanza_error(error: &Element) -> StanzaError {
    let defined = |child: &&Element| child.has_ns(ns::XMPP_STANZAS);
    let condition = error.children().filter(defined).find(|child| child.name() != "text");
    let of_old = error.attr("code").filter(|_| condition.is_none()).and_then(numbered);
    let (unnamed, usual) = of_old.unwrap_or(("undefined-condition", "cancel"));
    let called = condition.map_or(unnamed, Element::name);
    let kind = error.attr("type").filter(|kind| ERROR_KINDS.contains(kind)).unwrap_or(usual);
    let texts = || error.children().filter(defined).filter(|child| child.name() == "text");
    let of_lang = |lang: Option<&str>| texts().find(|text| text.attr_ns(&Namespace::XML, "lang") == lang);
    let text = of_lang(None).or_else(|| of_lang(Some("en"))).or_else(|| texts().next()).and_then(trimmed);
    // Its text was that of the error itself.
    let text = text.or_else(|| of_old.and_then(|_| trimmed(error)));
    let moved = condition.filter(|condition| matches!(condition.name(), "gone" | "redirect"));
    let xml = xml_within(error, MAX_ERROR).unwrap_or_else(|| {
        let short = Element::builder("error", ns::DEFAULT_NS).attr(name("type"), kind);
        String::from(&short.append(Element::bare(called, ns::XMPP_STANZAS)).build())
    });
    StanzaError {
        condition: called.to_owned(),
        // Metronome writes the new address into the text.
        gone_to: moved.and_then(|moved| gone_to(&moved.text()).or_else(|| gone_to(text.as_deref()?))),
        kind: kind.to_owned(),
        text: text.map(|text| kept(text, MAX_ERROR_TEXT)),
        xml,
    }
}

/// Serialises an element if it takes at most `most` bytes. Writing stops at the limit: a namespace that a stanza
/// declares once is written for each element in it, which may take two hundred times the length of the stanza.
fn xml_within(element: &Element, most: usize) -> Option<String> {
    let mut room = vec![0_u8; most];
    let mut left = room.as_mut_slice();
    element.write_to(&mut left).ok()?;
    let length = most - left.len();
    std::str::from_utf8(&room[..length]).ok().map(str::to_owned)
}

/// Returns the new address of an entity that is gone, or that sends others elsewhere for now (RFC 6120, sections 8.3.3.5 and
/// 8.3.3.14), without the query of its URI (RFC 5122).
fn gone_to(uri: &str) -> Option<BareJid> {
    let address = uri.trim().strip_prefix("xmpp:")?.split(['?', '#']).next()?;
    // An address with undecoded escapes would belong to somebody else.
    self::address(address).ok().filter(|_| !address.contains('%')).map(Jid::into_bare)
}

/// Reads an attribute that holds a JID.
fn jid_attribute(element: &Element, name: &str) -> Option<Jid> {
    element.attr(name).and_then(|jid| address(jid).ok())
}

/// Reads an attribute that holds a bare JID; a resource is removed.
fn bare_jid_attribute(element: &Element, name: &str) -> Option<BareJid> {
    jid_attribute(element, name).map(Jid::into_bare)
}

#[cfg(test)]
mod tests;
