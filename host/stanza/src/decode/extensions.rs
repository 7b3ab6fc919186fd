//! Reads a message's extensions in one pass over its payloads, since this runs for every message.

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use xmpp_parsers::ns;

use super::retraction::{self, Retraction};
use super::{is_same_bare, muc, omemo};
use crate::encode::{FALLBACK, HINTS, OLDER_FALLBACK};
use crate::error::StanzaError;
use crate::files;
use crate::omemo::{HINT, OTR};
use crate::previews;
use crate::text::{is_sendable, is_sendable_time, line};
use crate::types::{
    Encrypted, Encryption, Extensions, Fallback, Hint, Invite, MAX_SPOILER, MessageKind, MucUser, OmemoForm, REPLY,
    Reactions, ReplyTo, SPOILER, STYLING, VoiceRequest, address,
};
use crate::xml::Xml;

/// The maximum length of an id that a server or another client made, in bytes.
pub(super) const MAX_ID: usize = 1_024;

/// The namespace of delays from old servers (XEP-0091).
pub(super) const OLDER_DELAY: &str = "jabber:x:delay";
/// The namespace of `OpenPGP` (XEP-0373).
const OPENPGP: &str = "urn:xmpp:openpgp:0";
/// The namespace of the former use of `OpenPGP` (XEP-0027).
const PGP: &str = "jabber:x:encrypted";
/// The maximum number of reactions read from one message.
const MAX_REACTIONS: usize = 64;
/// The maximum length of a reaction in bytes; longer texts are not emoji.
const MAX_REACTION: usize = 64;
/// The maximum number of fallback parts read from one message.
const MAX_FALLBACKS: usize = 8;

/// The extensions found in a message.
#[derive(Default)]
pub(super) struct Found {
    pub stanza_id: Option<String>,
    /// Whether an id from the archive was found, usable or not.
    is_numbered: bool,
    pub origin_id: Option<String>,
    /// The id of the author in a room, from any sender.
    pub occupant_id: Option<String>,
    /// Whether such an id was found, usable or not.
    is_identified: bool,
    /// When the message was sent, from a sender that is trusted.
    pub delay: Option<Timestamp>,
    /// When the message was sent, from any other sender.
    pub claim: Option<Timestamp>,
    /// When the message was sent, from an unsigned stamp outside rooms.
    unsigned: Option<Timestamp>,
    pub extensions: Option<Box<Extensions>>,
    pub error: Option<Box<StanzaError>>,
    pub invite: Option<Box<Invite>>,
    pub declined: Option<Box<Invite>>,
    pub voice: Option<Box<VoiceRequest>>,
    pub room_status: Vec<u16>,
    pub affiliation: Option<Box<MucUser>>,
    pub of_occupant: bool,
    /// The encrypted contents, one in each form.
    pub encrypted: Vec<Encrypted>,
    /// How the message is encrypted, if it has a content that the host cannot decrypt.
    pub sealed_by: Option<Encryption>,
    /// How it is encrypted, says a hint.
    pub hinted: Option<Encryption>,
}

impl Found {
    /// Returns what is found in an error.
    pub(super) fn error(error: Box<StanzaError>) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Returns the extensions, which are only allocated for a message that has any.
    pub(super) fn extensions(&mut self) -> &mut Extensions {
        self.extensions.get_or_insert_default()
    }

    /// Returns the field for the time of this stamp, which depends on its author.
    fn stamped<'a>(
        &mut self,
        delay: impl Xml<'a>,
        kind: MessageKind,
        from: &Jid,
        own: &FullJid,
    ) -> &mut Option<Timestamp> {
        match delay.attr("from") {
            Some(by) if counts(by, kind, from, own) => &mut self.delay,
            None if kind != MessageKind::Groupchat => &mut self.unsigned,
            // In a room, any occupant may have written it.
            Some(_) | None => &mut self.claim,
        }
    }
}

/// Reads each payload once. Names are compared first, since namespaces share long beginnings. `lang` is the language of
/// the chosen body; empty if it has none of its own. The message must not be of type error.
pub(super) fn read<'a, E: Xml<'a>>(
    payloads: impl Iterator<Item = E>,
    kind: MessageKind,
    lang: &str,
    from: &Jid,
    own: &FullJid,
) -> Found {
    let mut found = Found::default();
    let mut older = None;
    for payload in payloads {
        match payload.name() {
            "stanza-id" if payload.has_ns(ns::SID) => {
                // Anybody can write this element; only the archive's own counts (XEP-0359, section 5). The archive must
                // remove forged ones. Of two ids, one is forged. It is unknown which one, so neither counts.
                let archive: &Jid = if kind == MessageKind::Groupchat { from } else { own };
                if payload.attr("by").is_some_and(|by| names(by, archive)) {
                    let is_second = std::mem::replace(&mut found.is_numbered, true);
                    found.stanza_id = id_of(payload).filter(|_| !is_second);
                }
            }
            "origin-id" if payload.has_ns(ns::SID) => {
                found.origin_id = found.origin_id.take().or_else(|| id_of(payload));
            }
            "delay" if payload.has_ns(ns::DELAY) => {
                let known = found.stamped(payload, kind, from, own);
                *known = known.or_else(|| stamp(payload));
            }
            "x" if payload.has_ns(PGP) => found.sealed_by = Some(Encryption::Pgp),
            "x" if payload.has_ns(OLDER_DELAY) => older = older.or(Some(payload)),
            "x" if payload.has_ns(files::OOB) => {
                if let Some(file) = files::outside(payload) {
                    files::add(&mut found.extensions().files, file);
                }
            }
            // A room speaks about itself under its own address.
            "x" if kind == MessageKind::Groupchat && from.is_bare() && payload.has_ns(ns::MUC_USER) => {
                let Some(payload) = payload.element() else { continue };
                found.room_status = muc::status(payload);
                found.affiliation = muc::affiliation(payload, from).map(Box::new);
            }
            "x" if kind != MessageKind::Groupchat => {
                // A message from the fast parser has none.
                let Some(payload) = payload.element() else { continue };
                let (before, invite) = (found.invite.take(), muc::invite(payload, from, own).map(Box::new));
                // The invitation that a room forwards has more details than the older form, which services write before
                // or behind it.
                found.invite = if payload.has_ns(ns::MUC_USER) { invite.or(before) } else { before.or(invite) };
                found.declined = found.declined.take().or_else(|| muc::declined(payload, from, own).map(Box::new));
                found.affiliation = found.affiliation.take().or_else(|| muc::affiliation(payload, from).map(Box::new));
                found.voice = found.voice.take().or_else(|| muc::voice_request(payload, from).map(Box::new));
                found.of_occupant |= muc::is_of_occupant(payload);
            }
            "encrypted" => {
                if let Some(encrypted) = omemo::read(payload, own)
                    && found.encrypted.iter().all(|known| known.form != encrypted.form)
                {
                    found.encrypted.push(encrypted);
                }
            }
            "retract" | "apply-to" => read_retraction(payload, kind, from, &mut found),
            _ => read_extension(payload, lang, &mut found),
        }
    }
    let is_stamped = found.delay.or(found.unsigned).or(found.claim).is_some();
    if let Some(delay) = older.filter(|_| !is_stamped) {
        *found.stamped(delay, kind, from, own) = older_stamp(delay);
    }
    // The stamp may be from the own server, which stored the message, or from anybody: the session knows more.
    if let Some(at) = found.unsigned.filter(|_| found.delay.is_none()) {
        (found.delay, found.claim) = (Some(at), Some(at));
    }
    found
}

/// Reads a retraction. Services and clients write both forms, in any order; the newer one says more.
fn read_retraction<'a>(payload: impl Xml<'a>, kind: MessageKind, from: &Jid, found: &mut Found) {
    let is_newer = payload.name() == "retract";
    match retraction::read(payload, kind, from) {
        Some(Retraction::OfAuthor(id)) => {
            let known = &mut found.extensions().retract;
            *known = known.take().filter(|_| !is_newer).or(Some(id));
        }
        Some(Retraction::OfRoom(moderated)) => {
            let known = &mut found.extensions().moderated;
            *known = known.take().filter(|_| !is_newer).or(Some(moderated));
        }
        None => {}
    }
}

/// Reads a hint at the encryption of a message. One at off-the-record messaging says nothing that its text does not say.
fn hinted<'a>(hint: impl Xml<'a>) -> Option<Encryption> {
    match hint.attr("namespace")? {
        OTR => None,
        OPENPGP => Some(Encryption::OpenPgp),
        PGP => Some(Encryption::Pgp),
        namespace if OmemoForm::of_namespace(namespace).is_some() => Some(Encryption::Omemo),
        _ => Some(Encryption::Other),
    }
}

/// Returns an id unless it cannot be sent, since an answer must quote it.
pub(super) fn sendable_id(id: &str) -> Option<String> {
    (!id.is_empty() && id.len() <= MAX_ID && is_sendable(id)).then(|| id.to_owned())
}

pub(super) fn id_of<'a>(payload: impl Xml<'a>) -> Option<String> {
    payload.attr("id").and_then(sendable_id)
}

/// Returns whether the author of a stamp is trusted to say when a message was sent: the own account or server, which
/// stored it, or the room.
fn counts(by: &str, kind: MessageKind, from: &Jid, own: &FullJid) -> bool {
    if kind == MessageKind::Groupchat {
        return names(by, from);
    }
    by == own.domain().as_str() || names(by, own) || names(by, &BareJid::from_parts(None, own.domain()))
}

/// Returns whether this text is the address of `archive` without its resource.
pub(super) fn names(by: &str, archive: &Jid) -> bool {
    let resource = archive.resource().map_or(0, |resource| resource.as_str().len() + 1);
    // Servers usually write the address as it is; parsing a JID would cost more than the rest of the message.
    by == &archive.as_str()[..archive.as_str().len() - resource]
        || address(by).is_ok_and(|by| by.is_bare() && is_same_bare(&by, archive))
}

fn read_extension<'a>(payload: impl Xml<'a>, lang: &str, found: &mut Found) {
    match payload.name() {
        // A room removes what an occupant writes in its name. If there are two, it does not, and neither counts.
        "occupant-id" if payload.has_ns(ns::OID) => {
            let is_second = std::mem::replace(&mut found.is_identified, true);
            found.occupant_id = id_of(payload).filter(|_| !is_second);
        }
        "reply" if payload.has_ns(REPLY) => {
            if let Some(id) = id_of(payload) {
                let to = payload.attr("to").and_then(|to| address(to).ok());
                found.extensions().reply = Some(ReplyTo { id, to });
            }
        }
        "fallback" if payload.has_ns(FALLBACK) || payload.has_ns(OLDER_FALLBACK) => read_fallback(payload, lang, found),
        "replace" if payload.has_ns(ns::MESSAGE_CORRECT) => {
            if let Some(id) = id_of(payload) {
                found.extensions().replace = Some(id);
            }
        }
        "reactions" if payload.has_ns(ns::REACTIONS) => {
            if let Some(id) = id_of(payload) {
                found.extensions().reactions = Some(Reactions { id, emojis: reactions(payload) });
            }
        }
        "encryption" if payload.has_ns(HINT) => found.hinted = found.hinted.or_else(|| hinted(payload)),
        "openpgp" if payload.has_ns(OPENPGP) => found.sealed_by = Some(Encryption::OpenPgp),
        "request" if payload.has_ns(ns::RECEIPTS) => found.extensions().receipt_requested = true,
        "received" if payload.has_ns(ns::RECEIPTS) => {
            if let Some(id) = id_of(payload) {
                found.extensions().receipt = Some(id);
            }
        }
        "markable" if payload.has_ns(ns::DISPLAYED_MARKERS) => found.extensions().markable = true,
        marker @ ("received" | "displayed" | "acknowledged") if payload.has_ns(ns::DISPLAYED_MARKERS) => {
            if let Some(id) = id_of(payload) {
                let extensions = found.extensions();
                extensions.marker = Some(marker.to_owned());
                extensions.marked = Some(id);
            }
        }
        state @ ("active" | "composing" | "paused" | "inactive" | "gone") if payload.has_ns(ns::CHATSTATES) => {
            found.extensions().chat_state = Some(state.to_owned());
        }
        "file-sharing" if payload.has_ns(files::SHARING) => {
            if let Some(file) = files::shared(payload) {
                files::add(&mut found.extensions().files, file);
            }
        }
        "spoiler" if payload.has_ns(SPOILER) => {
            let hint = &mut found.extensions().spoiler;
            // Of several, the one in the language of the text is for its readers.
            if hint.is_none() || payload.lang() == Some(lang) {
                *hint = Some(line(&payload.text(), MAX_SPOILER).unwrap_or_default());
            }
        }
        "unstyled" if payload.has_ns(STYLING) => found.extensions().unstyled = true,
        "Description" if payload.has_ns(previews::RDF) => {
            // The fast parser takes no element of this namespace.
            if let Some(preview) = payload.element().and_then(previews::read) {
                previews::add(&mut found.extensions().previews, preview);
            }
        }
        hint if payload.has_ns(HINTS) => {
            if let Some(hint) = Hint::named(hint)
                && !found.extensions().hints.contains(&hint)
            {
                found.extensions().hints.push(hint);
            }
        }
        _ => {}
    }
}

/// Reads the set of reactions; repeated ones count once (XEP-0444, section 3.1).
fn reactions<'a>(payload: impl Xml<'a>) -> Vec<String> {
    fn is_reaction<'a>(child: &impl Xml<'a>) -> bool {
        child.name() == "reaction" && child.has_ns(ns::REACTIONS)
    }
    let mut emojis: Vec<String> = Vec::new();
    for child in payload.children().filter(is_reaction).take(MAX_REACTIONS) {
        let text = child.text();
        let emoji = text.trim();
        if !emoji.is_empty() && emoji.len() <= MAX_REACTION && !emojis.iter().any(|known| known == emoji) {
            emojis.push(emoji.to_owned());
        }
    }
    emojis
}

/// Reads the parts of the body that are only for clients without a feature; the whole body if no part is named. Parts
/// of a body in another language are ignored if there are parts in this language, or without one.
fn read_fallback<'a, E: Xml<'a>>(payload: E, lang: &str, found: &mut Found) {
    let number = |body: E, name: &str| body.attr(name).and_then(|number| number.parse().ok());
    let part = |body: E| match (number(body, "start"), number(body, "end")) {
        (Some(start), Some(end)) if start <= end => Some(Some((start, end))),
        (None, None) if body.attr("start").is_none() && body.attr("end").is_none() => Some(None),
        // An invalid range says nothing about the body.
        _ => None,
    };
    let feature = payload.attr("for").map(str::to_owned);
    let all = payload.children().next().is_none().then_some(None);
    let bodies = || payload.children().filter(move |child| child.name() == "body" && child.is_beside(payload));
    let is_in = |body: E, lang: &str| body.lang().unwrap_or_default() == lang;
    let lang = [lang, ""].into_iter().find(|lang| bodies().any(|body| is_in(body, lang)));
    let parts = bodies().filter(|body| lang.is_none_or(|lang| is_in(*body, lang))).filter_map(part);
    for part in all.into_iter().chain(parts) {
        let fallback = &mut found.extensions().fallback;
        if fallback.len() < MAX_FALLBACKS {
            fallback.push(Fallback { feature: feature.clone(), part });
        }
    }
}

/// Reads when the message was sent (XEP-0203).
pub(super) fn stamp<'a>(delay: impl Xml<'a>) -> Option<Timestamp> {
    time(delay.attr("stamp")?).filter(|at| is_sendable_time(*at))
}

/// Parses a time of XEP-0082, whose fractions of a second may have any number of digits (section 3.2).
pub(super) fn time(text: &str) -> Option<Timestamp> {
    const DIGITS: usize = 9;
    let shortened = || {
        let (whole, fraction) = text.split_once('.')?;
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let zone = (digits > DIGITS).then(|| &fraction[digits..])?;
        zoned(&format!("{whole}.{}{zone}", &fraction[..DIGITS]))
    };
    zoned(text).or_else(shortened).or_else(|| zoned(&padded(text)?))
}

/// Returns a time with two digits for month and day, if one of them has a single digit. Some services write so.
fn padded(text: &str) -> Option<String> {
    let (date, time) = text.split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_short = [month, day].iter().all(|part| (1..=2).contains(&part.len()));
    is_short.then(|| format!("{year}-{month:0>2}-{day:0>2}T{time}"))
}

/// Parses a time with its zone. Some programs omit the zone, which XEP-0082 requires, and mean UTC. Without its stamp,
/// a stored message would count as new, and commands in it would run.
fn zoned(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| in_utc(text.parse().ok()?))
}

fn in_utc(time: DateTime) -> Option<Timestamp> {
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Same as [`stamp`], for older services: in UTC, without a zone (XEP-0091, section 2). Some of them left out leading zeros
/// of the month and the day.
pub(super) fn older_stamp<'a>(delay: impl Xml<'a>) -> Option<Timestamp> {
    let text = delay.attr("stamp")?;
    let older = |text: &str| in_utc(DateTime::strptime("%Y%m%dT%H:%M:%S", text).ok()?);
    let short = || {
        let (date, clock) = text.split_once('T')?;
        let (year, rest) = date.split_at_checked(4)?;
        let (month, day) = rest.split_at_checked(1)?;
        older(&format!("{year}0{month}{day:0>2}T{clock}"))
    };
    time(text).or_else(|| older(text)).or_else(short).filter(|at| is_sendable_time(*at))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::time;

    /// Otherwise a message that a service had stored counts as new, and commands in it run.
    #[test]
    fn a_time_may_lack_the_leading_zeros_of_its_date() {
        let at: Option<Timestamp> = "2002-09-01T23:08:25.5Z".parse().ok();
        for text in ["2002-9-1T23:08:25.5Z", "2002-09-1T23:08:25.5", "2002-9-01T18:08:25.5-05:00"] {
            assert_eq!(time(text), at, "{text}");
        }
        for text in ["2002-9-T23:08:25Z", "2002-009-1T23:08:25Z", "2002-9-1", "2002-13-1T23:08:25Z"] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
