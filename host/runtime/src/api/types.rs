//! `types`: conversion between the host's records and those of the contract.

mod carried;
mod told;

use std::fmt::Write as _;

use jiff::Timestamp;
use parlor_session::event::Payload;
use parlor_session::{Chat, CommandValue, Contact, KnownCard, Occupant, Room, Status};
use parlor_stanza::draft::{check_draft, stand_in_for_retraction};
use parlor_stanza::error::{CallError, StanzaError};
use parlor_stanza::types::{Actor, Carbon, Draft, EncryptionWish, Extensions, Hat, Invite, Label, Message, Show};

use self::carried::extensions;
use crate::bindings::parlor::plugin::types as wit;
use crate::instance::Context;

impl wit::Host for Context {}

/// Formats a point in time according to XEP-0082.
pub(super) fn date_time(at: Timestamp) -> String {
    let mut text = String::with_capacity("2026-11-20T06:24:00.000Z".len());
    // To the millisecond, as servers do. A text takes all that is written to it.
    let _ = write!(text, "{at:.3}");
    text
}

impl From<CallError> for wit::Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Denied { permission, scope, hint } => {
                Self::Denied(wit::Denial { permission: permission.to_string(), scope, hint })
            }
            CallError::NotOwner(what) => Self::Denied(wit::Denial {
                permission: "owner".to_owned(),
                hint: "no grant helps: only the plugin that added it may".to_owned(),
                scope: Some(what),
            }),
            CallError::Invalid { argument, reason } => Self::Invalid(wit::BadArgument { name: argument, reason }),
            CallError::NotFound(what) => Self::NotFound(what),
            CallError::NotReady(promise) => Self::NotReady(promise.to_owned()),
            CallError::Unsupported(what) => Self::Unsupported(what),
            CallError::Stanza(error) => Self::Stanza((*error).into()),
            CallError::Rejected(reason) => Self::Rejected(reason),
            CallError::TimedOut => Self::TimedOut,
            CallError::Offline => Self::Offline,
            CallError::Stopped => Self::Stopped,
            CallError::OverLimit(what) => Self::OverLimit(what),
            CallError::Unreachable(what) => Self::Unreachable(what),
            CallError::Tls(what) => Self::Tls(what),
            CallError::Protocol(what) => Self::Protocol(what),
            CallError::Other(what) => Self::Other(what),
        }
    }
}

impl From<StanzaError> for wit::StanzaError {
    fn from(StanzaError { condition, kind, text, gone_to: _, xml }: StanzaError) -> Self {
        Self { condition, kind, text, xml }
    }
}

fn show(show: Show) -> String {
    show.as_str().to_owned()
}

impl From<&Contact> for wit::Contact {
    fn from(contact: &Contact) -> Self {
        let jid = match &contact.occupant {
            Some(nick) => format!("{}/{nick}", contact.jid),
            None => contact.jid.to_string(),
        };
        let card = contact.card.as_deref();
        Self {
            user_id: contact.jid.node().map_or_else(|| jid.clone(), ToString::to_string),
            jid,
            fullname: contact.fullname.clone(),
            subscription: contact.subscription.clone(),
            ask: contact.ask.then(|| "subscribe".to_owned()),
            requesting: contact.requesting,
            groups: contact.groups.clone(),
            chat_status: contact.chat_status().to_owned(),
            status: contact.resources.first().and_then(|resource| resource.status.clone()),
            resources: contact
                .resources
                .iter()
                .map(|resource| wit::Resource {
                    name: resource.name.clone(),
                    priority: resource.priority,
                    show: resource.show.map(show),
                    status: resource.status.clone(),
                    since: date_time(resource.since),
                })
                .collect(),
            image: image(card),
            image_type: image_type(card),
            url: url(card),
            vcard_updated: vcard_updated(card),
        }
    }
}

impl From<&Chat> for wit::Chat {
    fn from(chat: &Chat) -> Self {
        let card = chat.card.as_deref();
        Self {
            jid: chat.jid.to_string(),
            fullname: chat.fullname.clone(),
            opened: date_time(chat.opened),
            minimized: chat.view.minimized,
            last_active: chat.last_active.map(date_time),
            otr_status: chat.otr_status.as_str().map(str::to_owned),
            image: image(card),
            image_type: image_type(card),
            url: url(card),
            vcard_updated: vcard_updated(card),
        }
    }
}

/// Converts a chat into the record that says how to show it.
impl From<&Chat> for wit::View {
    fn from(Chat { jid, view, card, .. }: &Chat) -> Self {
        let card = card.as_deref();
        Self {
            jid: jid.to_string(),
            minimized: view.minimized,
            shown: view.shown,
            focused: view.focused,
            attributes: view.attributes().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            image: image(card),
            image_type: image_type(card),
            url: url(card),
            vcard_updated: vcard_updated(card),
        }
    }
}

/// Returns the picture on a vCard, as base64.
pub(super) fn image(card: Option<&KnownCard>) -> Option<String> {
    card?.card.picture.as_ref().map(|picture| picture.base64().to_owned())
}

/// Returns the media type of the picture.
pub(super) fn image_type(card: Option<&KnownCard>) -> Option<String> {
    card?.card.picture_type.clone()
}

/// Returns the web page on a vCard.
pub(super) fn url(card: Option<&KnownCard>) -> Option<String> {
    card?.card.url.clone()
}

/// Returns when a vCard was fetched.
pub(super) fn vcard_updated(card: Option<&KnownCard>) -> Option<String> {
    card.map(|known| date_time(known.updated))
}

/// Returns the size of the vCard fields of a record in a plugin's memory, in addition to the record.
pub(super) fn shown_card(card: Option<&KnownCard>) -> usize {
    let Some(KnownCard { card, .. }) = card else { return 0 };
    let texts = [&card.picture_type, &card.url].into_iter().flatten().map(String::len).sum::<usize>();
    card.picture.as_ref().map_or(0, |picture| picture.base64().len()) + texts
}

impl From<&Actor> for wit::Actor {
    fn from(actor: &Actor) -> Self {
        Self { nick: actor.nick.clone(), jid: actor.jid.as_ref().map(ToString::to_string) }
    }
}

impl From<&Room> for wit::Room {
    fn from(room: &Room) -> Self {
        Self {
            jid: room.jid.to_string(),
            nick: room.nick.clone(),
            joined: room.joined,
            subject: room.subject.clone(),
            role: room.role.clone(),
            affiliation: room.affiliation.clone(),
            occupants: u32::try_from(room.occupants.len()).unwrap_or(u32::MAX),
            minimized: room.view.minimized,
            shown: room.view.shown,
            focused: room.view.focused,
            left: room.left.map(str::to_owned),
            reason: room.reason.clone(),
            alternative: room.alternative.as_ref().map(ToString::to_string),
            actor: room.actor.as_ref().map(Into::into),
            name: room.about.name.clone(),
            features: room.about.features.clone(),
            shows_jids: room.shows_jids,
            logged: room.logged,
        }
    }
}

impl From<&Occupant> for wit::Occupant {
    fn from(occupant: &Occupant) -> Self {
        let card = occupant.card.as_deref();
        Self {
            room: occupant.room.to_string(),
            nick: occupant.nick.clone(),
            role: occupant.role.clone(),
            affiliation: occupant.affiliation.clone(),
            jid: occupant.jid.as_ref().map(ToString::to_string),
            show: occupant.show.map(show),
            status: occupant.status.clone(),
            own: occupant.own,
            previous_nick: occupant.previous_nick.clone(),
            left: occupant.left.map(str::to_owned),
            reason: occupant.reason.clone(),
            occupant_id: occupant.occupant_id.clone(),
            hats: occupant.hats.iter().map(Into::into).collect(),
            actor: occupant.actor.as_ref().map(Into::into),
            image: image(card),
            image_type: image_type(card),
            url: url(card),
            vcard_updated: vcard_updated(card),
        }
    }
}

impl From<&Hat> for wit::Hat {
    fn from(hat: &Hat) -> Self {
        Self { uri: hat.uri.clone(), title: hat.title.clone() }
    }
}

impl From<&Invite> for wit::Invite {
    fn from(invite: &Invite) -> Self {
        Self {
            room: invite.room.to_string(),
            from: invite.from.to_string(),
            to: invite.to.to_string(),
            reason: invite.reason.clone(),
            password: invite.password.clone(),
        }
    }
}

impl From<&Status> for wit::Status {
    fn from(status: &Status) -> Self {
        Self { value: status.value.as_str().to_owned(), message: status.message.clone() }
    }
}

/// Converts a message. Its XML is included only if it was requested and granted.
pub(super) fn message(message: &Message, xml: bool) -> wit::Message {
    wit::Message {
        id: message.id.clone(),
        stanza_id: message.stanza_id.clone(),
        origin_id: message.origin_id.clone(),
        // Copied, and not formatted: every message has them.
        chat: message.chat.as_str().to_owned(),
        from: message.from.as_str().to_owned(),
        to: message.to.as_str().to_owned(),
        nick: message.nick.clone(),
        occupant_id: message.occupant_id.clone(),
        kind: message.kind.as_str().to_owned(),
        body: message.body.clone(),
        bodies: message.bodies.clone(),
        command: message.command.clone(),
        cut: message.cut.clone(),
        subject: message.subject.clone(),
        thread: message.thread.clone(),
        at: date_time(message.at),
        delayed: message.delayed,
        carbon: message.carbon.map(|carbon| {
            match carbon {
                Carbon::Received => "received",
                Carbon::Sent => "sent",
            }
            .to_owned()
        }),
        own: message.own,
        extensions: message.extensions.as_deref().map(Into::into),
        error: message.error.as_deref().cloned().map(Into::into),
        labels: message.labels.iter().map(label).collect(),
        encryption: message.encryption.map(|way| way.as_str().to_owned()),
        device_trust: message.device_trust.map(|trust| trust.as_str().to_owned()),
        xml: xml.then(|| message.raw.to_received_xml()),
    }
}

fn label(Label { plugin, text }: &Label) -> wit::Label {
    wit::Label { plugin: plugin.clone(), text: text.clone() }
}

/// Converts the payload of an event.
pub(super) fn payload(payload: &Payload, xml: bool) -> wit::Payload {
    match payload {
        Payload::None => wit::Payload::None,
        Payload::Text(text) => wit::Payload::Text(text.clone()),
        Payload::Status(status) => wit::Payload::Status(status.into()),
        Payload::Stanza { xml, to: _ } => wit::Payload::Stanza(xml.clone()),
        Payload::Contact(contact) => wit::Payload::Contact((&**contact).into()),
        Payload::Chat(chat) => wit::Payload::Chat((&**chat).into()),
        Payload::Message(one) => wit::Payload::Message(message(one, xml)),
        Payload::Room(room) => wit::Payload::Room((&**room).into()),
        Payload::Occupant(occupant) => wit::Payload::Occupant((&**occupant).into()),
        Payload::Feature { var, entity } => {
            wit::Payload::Feature(wit::Feature { var: var.clone(), entity: entity.to_string() })
        }
        Payload::Invite(invite) => wit::Payload::Invite((&**invite).into()),
        Payload::Command { name, args, message: carried, values, form } => wit::Payload::Command(wit::Command {
            name: name.to_string(),
            args: args.clone(),
            message: message(carried, xml),
            values: values.iter().map(|(name, one)| (name.clone(), value(one))).collect(),
            form: form.as_ref().map(ToString::to_string),
        }),
        Payload::Webhook(webhook) => wit::Payload::Webhook((&**webhook).into()),
        Payload::Schedule(due) => wit::Payload::Schedule((&**due).into()),
        Payload::IqRequest(request) => wit::Payload::IqRequest((&**request).into()),
        Payload::PluginRequest(request) => wit::Payload::PluginRequest((&**request).into()),
        Payload::Hook(hook) => wit::Payload::Hook((&**hook).into()),
        Payload::PubsubItem(item) => wit::Payload::PubsubItem((&**item).into()),
        Payload::Undecryptable(message) => wit::Payload::Undecryptable((&**message).into()),
        Payload::Json(json) | Payload::Field { json, entity: _ } => wit::Payload::Json(json.to_string()),
    }
}

/// Converts the value of an argument of a command.
fn value(value: &CommandValue) -> wit::Value {
    match value {
        CommandValue::Text(text) => wit::Value::Text(text.clone()),
        CommandValue::Integer(number) => wit::Value::Integer(*number),
        CommandValue::Number(number) => wit::Value::Number(*number),
        CommandValue::Duration(milliseconds) => wit::Value::Duration(*milliseconds),
        CommandValue::Date(date) => wit::Value::Date(date.to_string()),
        CommandValue::Time(time) => wit::Value::Time(time.to_string()),
        CommandValue::Jid(jid) => wit::Value::Jid(jid.to_string()),
        CommandValue::Flag(flag) => wit::Value::Flag(*flag),
    }
}

/// Converts a message that a plugin wants to send. The session checks the contents of all messages, and so does this: a
/// call may wait for its turn, and hundreds of calls of the maximum size would take a gigabyte.
pub(super) fn draft(outgoing: wit::Outgoing) -> Result<Draft, CallError> {
    let wit::Outgoing { body, subject, thread, extensions: carried, encryption } = outgoing;
    let encryption = encryption.as_deref().map_or(Ok(EncryptionWish::default()), wish)?;
    let mut extensions = carried.map(extensions).transpose()?.map(Box::new);
    let body = body.or_else(|| extensions.as_deref_mut().and_then(stand_in_for_retraction));
    // Clients that know no files show the address (XEP-0066).
    let first = extensions.as_deref().and_then(|extensions: &Extensions| extensions.files.first());
    let body = body.or_else(|| first.map(|file| file.url.clone()));
    let draft = Draft { body, subject, thread, extensions, encryption, is_secret: false };
    check_draft(&draft)?;
    Ok(draft)
}

fn wish(name: &str) -> Result<EncryptionWish, CallError> {
    let known = EncryptionWish::ALL.map(EncryptionWish::as_str).join(", ");
    EncryptionWish::named(name)
        .ok_or_else(|| CallError::invalid("message.encryption", format!("{name:.32} is none of {known}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stamps_are_written_to_the_millisecond_in_utc(at in -62_135_596_800_000_i64..253_402_207_200_000) {
            let at = Timestamp::from_millisecond(at).unwrap();
            let text = date_time(at);
            prop_assert!(text.ends_with('Z') && text.len() == "2026-11-20T06:24:00.000Z".len(), "{}", text);
            prop_assert_eq!(text.parse::<Timestamp>().unwrap(), at);
        }
    }

    #[test]
    fn what_is_too_long_for_a_message_is_refused_before_it_waits_for_its_turn() {
        let fallback = (0..100_000).map(|_| wit::Fallback { feature: None, part: None }).collect();
        let carried = wit::Extensions {
            thread_parent: None,
            reply: None,
            fallback,
            replace: None,
            retract: None,
            moderated: None,
            reactions: None,
            receipt_requested: false,
            receipt: None,
            markable: false,
            marker: None,
            marked: None,
            chat_state: None,
            hints: Vec::new(),
            files: Vec::new(),
            unstyled: false,
            spoiler: None,
            previews: Vec::new(),
        };
        let long = || Some("x".repeat(1 << 20));
        let message =
            |body, subject, extensions| wit::Outgoing { body, subject, thread: None, extensions, encryption: None };
        for (outgoing, expected) in [
            (message(long(), None, None), "message.body"),
            (message(None, long(), None), "message.subject"),
            (message(Some("hi".to_owned()), None, Some(carried)), "message.extensions.fallback"),
        ] {
            match draft(outgoing) {
                Err(CallError::Invalid { argument, .. }) => assert_eq!(argument, expected),
                other => panic!("{expected}: {:?}", other.map(drop)),
            }
        }
    }
}
