//! Converts records, payloads and errors to JSON, with the field names of the contract.

use parlor_sdk::bindings::parlor::plugin::types::Value as Given;
use parlor_sdk::prelude::*;
use parlor_sdk::types::{Actor, Chat, File, LinkPreview, Status, View};

/// Expands `{"$repeat": [text, times]}`, which stands for texts that are too long for an order.
pub(crate) fn expanded(value: Value) -> Value {
    match value {
        Value::Object(fields) => match fields.get("$repeat") {
            Some(Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), times] => {
                    let times = times.as_u64().and_then(|times| usize::try_from(times).ok()).unwrap_or_default();
                    text.repeat(times).into()
                }
                _ => Value::Null,
            },
            _ => fields.into_iter().map(|(name, value)| (name, expanded(value))).collect(),
        },
        Value::Array(list) => list.into_iter().map(expanded).collect(),
        other => other,
    }
}

/// Converts a typed error: its case and its fields.
pub(crate) fn error(error: &Error) -> Value {
    match error {
        Error::Denied { permission, scope, hint } => {
            json!({ "case": "denied", "permission": permission, "scope": scope, "hint": hint })
        }
        Error::Invalid { argument, reason } => json!({ "case": "invalid", "argument": argument, "reason": reason }),
        Error::NotFound(what) => json!({ "case": "not-found", "what": what }),
        Error::NotReady(promise) => json!({ "case": "not-ready", "what": promise }),
        Error::Unsupported(what) => json!({ "case": "unsupported", "what": what }),
        Error::Stanza(one) => {
            json!({ "case": "stanza", "condition": one.condition, "kind": one.kind, "text": one.text, "xml": one.xml })
        }
        Error::Rejected(reason) => json!({ "case": "rejected", "what": reason }),
        Error::TimedOut => json!({ "case": "timed-out" }),
        Error::Offline => json!({ "case": "offline" }),
        Error::Stopped => json!({ "case": "stopped" }),
        Error::OverLimit(limit) => json!({ "case": "over-limit", "what": limit }),
        Error::Unreachable(what) => json!({ "case": "unreachable", "what": what }),
        Error::Tls(what) => json!({ "case": "tls", "what": what }),
        Error::Protocol(what) => json!({ "case": "protocol", "what": what }),
        other => json!({ "case": "other", "what": other.to_string() }),
    }
}

/// Converts an optional record to `null` or the record.
pub(crate) fn option<T>(one: Option<T>, show: impl Fn(&T) -> Value) -> Value {
    one.map_or(Value::Null, |one| show(&one))
}

/// Converts each result to `{ok}` or `{err}`.
pub(crate) fn each<T>(results: Vec<Result<T>>, show: impl Fn(T) -> Value) -> Value {
    let results = results.into_iter().map(|result| match result {
        Ok(value) => json!({ "ok": show(value) }),
        Err(one) => json!({ "err": error(&one) }),
    });
    results.collect()
}

/// Converts an event to its name and payload.
pub(crate) fn event(event: &Event) -> Value {
    json!({ "name": event.name, "payload": payload(&event.payload) })
}

/// Converts a payload to `{case: value}`, or `"none"` if it is empty.
pub(crate) fn payload(payload: &Payload) -> Value {
    match payload {
        Payload::None => "none".into(),
        Payload::Text(text) => json!({ "text": text }),
        Payload::Status(one) => json!({ "status": status(one) }),
        Payload::Stanza(xml) => json!({ "stanza": xml }),
        Payload::Contact(one) => json!({ "contact": contact(one) }),
        Payload::Chat(one) => json!({ "chat": chat(one) }),
        Payload::Message(one) => json!({ "message": message(one) }),
        Payload::Room(one) => json!({ "room": room(one) }),
        Payload::Occupant(one) => json!({ "occupant": occupant(one) }),
        Payload::Feature(one) => json!({ "feature": { "var": one.var, "entity": one.entity } }),
        Payload::Invite(one) => {
            json!({ "invite": {
                "room": one.room, "from": one.from, "to": one.to, "reason": one.reason, "password": one.password,
            } })
        }
        Payload::Command(one) => {
            let values: Value = one.values.iter().map(|(name, value)| json!([name, given(value)])).collect();
            json!({ "command": {
                "name": one.name, "args": one.args, "message": message(&one.message), "values": values,
                "form": one.form,
            } })
        }
        Payload::Webhook(one) => json!({ "webhook": webhook(one) }),
        Payload::Schedule(one) => {
            json!({ "schedule": {
                "name": one.name, "due": one.due, "late": one.late, "missed": one.missed, "attempt": one.attempt,
            } })
        }
        Payload::IqRequest(one) => {
            json!({ "iq-request": {
                "id": one.id, "from": one.from, "kind": one.kind, "namespace": one.namespace, "name": one.name, "xml": one.xml,
            } })
        }
        Payload::PluginRequest(one) => {
            json!({ "plugin-request": {
                "id": one.id, "plugin": one.plugin, "name": one.name, "value": one.json::<Value>().unwrap_or_default(),
            } })
        }
        Payload::Hook(one) => {
            json!({ "hook": {
                "id": one.id, "plugin": one.plugin, "args": one.args, "message": message(&one.message),
            } })
        }
        Payload::PubsubItem(one) => {
            json!({ "pubsub-item": {
                "kind": one.kind, "service": one.service, "node": one.node, "id": one.id, "publisher": one.publisher, "xml": one.xml,
                "cut": one.cut,
            } })
        }
        Payload::Undecryptable(one) => {
            json!({ "undecryptable": {
                "chat": one.chat, "from": one.from, "kind": one.kind, "at": one.at, "encryption": one.encryption, "reason": one.reason,
                "id": one.id, "stanza-id": one.stanza_id, "nick": one.nick, "delayed": one.delayed, "own": one.own,
            } })
        }
        Payload::Json(_) => json!({ "json": payload.json::<Value>().unwrap_or_default() }),
    }
}

/// As bytes, the body would be a list of numbers: it is a text here, and only as long as an event can carry.
fn webhook(hook: &Webhook) -> Value {
    let headers = hook.headers.iter().map(|one| (&one.name, &one.value)).collect::<Vec<_>>();
    json!({
        "id": hook.id, "name": hook.name, "attempt": hook.attempt, "method": hook.method, "query": hook.query, "path": hook.path,
        "headers": headers, "body": String::from_utf8_lossy(&hook.body[..hook.body.len().min(10_000)]),
        "size": hook.body.len(),
    })
}

/// Converts the value of a command's argument to `{kind: value}`.
fn given(value: &Given) -> Value {
    match value {
        Given::Text(text) => json!({ "text": text }),
        Given::Integer(number) => json!({ "integer": number }),
        Given::Number(number) => json!({ "number": number }),
        Given::Duration(milliseconds) => json!({ "duration": milliseconds }),
        Given::Date(date) => json!({ "date": date }),
        Given::Time(time) => json!({ "time": time }),
        Given::Jid(jid) => json!({ "jid": jid }),
        Given::Flag(is_set) => json!({ "flag": is_set }),
    }
}

pub(crate) fn status(status: &Status) -> Value {
    json!({ "value": status.value, "message": status.message })
}

pub(crate) fn chat(chat: &Chat) -> Value {
    json!({
        "jid": chat.jid, "fullname": chat.fullname, "opened": chat.opened, "minimized": chat.minimized,
        "last-active": chat.last_active, "otr-status": chat.otr_status, "image": chat.image, "image-type": chat.image_type, "url": chat.url,
        "vcard-updated": chat.vcard_updated,
    })
}

pub(crate) fn view(view: &View) -> Value {
    let attributes =
        view.attributes.iter().map(|(name, json)| (name.clone(), json.parse::<Value>().unwrap_or_default()));
    json!({
        "jid": view.jid, "minimized": view.minimized, "shown": view.shown, "focused": view.focused,
        "attributes": attributes.collect::<Value>(), "image": view.image, "image-type": view.image_type, "url": view.url,
        "vcard-updated": view.vcard_updated,
    })
}

pub(crate) fn contact(contact: &Contact) -> Value {
    let resources = contact.resources.iter().map(|one| {
        json!({
            "name": one.name, "priority": one.priority, "show": one.show, "status": one.status, "since": one.since,
        })
    });
    json!({
        "jid": contact.jid, "fullname": contact.fullname, "user-id": contact.user_id,
        "subscription": contact.subscription, "ask": contact.ask, "requesting": contact.requesting,
        "groups": contact.groups, "chat-status": contact.chat_status, "status": contact.status,
        "resources": resources.collect::<Value>(), "image": contact.image, "image-type": contact.image_type,
        "url": contact.url, "vcard-updated": contact.vcard_updated,
    })
}

pub(crate) fn room(room: &Room) -> Value {
    json!({
        "jid": room.jid, "nick": room.nick, "joined": room.joined, "subject": room.subject, "role": room.role,
        "affiliation": room.affiliation, "occupants": room.occupants, "minimized": room.minimized, "left": room.left,
        "reason": room.reason, "alternative": room.alternative, "name": room.name, "features": room.features,
        "shows-jids": room.shows_jids, "logged": room.logged, "shown": room.shown, "focused": room.focused,
        "actor": room.actor.as_ref().map(actor),
    })
}

pub(crate) fn occupant(occupant: &Occupant) -> Value {
    json!({
        "room": occupant.room, "nick": occupant.nick, "role": occupant.role, "affiliation": occupant.affiliation,
        "jid": occupant.jid, "show": occupant.show, "status": occupant.status, "own": occupant.own,
        "previous-nick": occupant.previous_nick, "left": occupant.left, "reason": occupant.reason,
        "occupant-id": occupant.occupant_id,
        "hats": occupant.hats.iter().map(|one| (&one.uri, &one.title)).collect::<Vec<_>>(), "actor": occupant.actor.as_ref().map(actor), "image": occupant.image,
        "image-type": occupant.image_type, "url": occupant.url, "vcard-updated": occupant.vcard_updated,
    })
}

fn actor(actor: &Actor) -> Value {
    json!({ "nick": actor.nick, "jid": actor.jid })
}

pub(crate) fn file(file: &File) -> Value {
    json!({ "url": file.url, "name": file.name, "media-type": file.media_type, "size": file.size })
}

fn preview(preview: &LinkPreview) -> Value {
    json!({
        "url": preview.url, "title": preview.title, "description": preview.description, "image": preview.image,
    })
}

pub(crate) fn message(message: &Message) -> Value {
    let extensions = message.extensions.as_ref().map(|one| {
        json!({
            "thread-parent": one.thread_parent, "reply": one.reply.as_ref().map(|reply| (&reply.id, &reply.to)),
            "fallback": one.fallback.iter().map(|one| json!([one.feature, one.part])).collect::<Value>(),
            "replace": one.replace, "retract": one.retract,
            "moderated": one.moderated.as_ref().map(|one| json!({
                "id": one.id, "by": one.by, "occupant-id": one.occupant_id, "reason": one.reason,
            })),
            "markable": one.markable, "hints": one.hints,
            "reactions": one.reactions.as_ref().map(|one| (&one.id, &one.emojis)),
            "receipt-requested": one.receipt_requested, "receipt": one.receipt, "marker": one.marker,
            "marked": one.marked, "chat-state": one.chat_state,
            "files": one.files.iter().map(file).collect::<Value>(),
            "unstyled": one.unstyled, "spoiler": one.spoiler,
            "previews": one.previews.iter().map(preview).collect::<Value>(),
        })
    });
    let mut shown = json!({
        "id": message.id, "stanza-id": message.stanza_id, "origin-id": message.origin_id, "chat": message.chat, "from": message.from, "to": message.to,
        "nick": message.nick, "occupant-id": message.occupant_id, "kind": message.kind, "body": message.body, "subject": message.subject,
        "bodies": message.bodies, "command": message.command, "cut": message.cut,
        "thread": message.thread, "delayed": message.delayed, "carbon": message.carbon, "own": message.own,
        "extensions": extensions, "error": message.error.as_ref().map(|one| &one.condition), "xml": message.xml,
        "encryption": message.encryption, "device-trust": message.device_trust,
    });
    if !message.labels.is_empty() {
        shown["labels"] = message.labels.iter().map(|one| json!([one.plugin, one.text])).collect();
    }
    shown
}
