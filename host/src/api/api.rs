//! `api`: events of a plugin's own, raw stanzas, waiting for promises.

use std::fmt;
use std::pin::pin;
use std::task::Poll;

use futures_util::poll;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use wasmtime::component::Accessor;

use super::{answer, caller, may_fire, may_hear, order, pace, question, types};
use crate::bindings::parlor::plugin::api::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::{Error, Payload as WitPayload};
use crate::error::CallError;
use crate::event::{self, EventName, Payload};
use crate::permissions::{Permission, Target};
use crate::plugins::{Context, Grouping, Instance};
use crate::session::Command;
use crate::xmpp::RawStanza;

/// The longest JSON that an event of a plugin's can carry.
const MAX_JSON: usize = 256 << 10;

/// JSON that everybody can read who listens: no unpaired surrogates, and not too deep. Nothing of it is kept.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn emit(accessor: &Accessor<T, Self>, name: String, payload: Option<String>) -> Result<(), Error> {
        answer(emit(accessor, &name, payload).await)
    }

    async fn send(accessor: &Accessor<T, Self>, stanza: String) -> Result<(), Error> {
        answer(send(accessor, &stanza).await)
    }

    async fn send_iq(accessor: &Accessor<T, Self>, iq: String) -> Result<String, Error> {
        answer(send_iq(accessor, &iq).await)
    }

    async fn wait_until(accessor: &Accessor<T, Self>, promise: String) -> Result<WitPayload, Error> {
        answer(wait_until(accessor, &promise).await)
    }
}

/// A name that may be an event's or a promise's.
pub(super) fn name(argument: &str, text: &str) -> Result<EventName, CallError> {
    event::check_name(text).map_err(|reason| CallError::invalid(argument, reason))?;
    Ok(EventName::from(text))
}

async fn emit<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    event: &str,
    payload: Option<String>,
) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor, "api.emit")?;
    let name = name("name", event)?;
    let payload = match payload {
        None => Payload::None,
        Some(json) => {
            super::text("payload", &json, MAX_JSON)?;
            serde_json::from_str::<Readable>(&json)
                .map_err(|error| CallError::invalid("payload", format!("not JSON: {error}")))?;
            Payload::Json(json.into())
        }
    };
    may_fire(&instance, &name)?;
    super::slow_down(&instance.emitted, 1.0, || format!("{} events a second", instance.limits.events_per_second))
        .await?;
    let by = instance.id;
    instance.account.ask(|answer| Command::Emit { by, name, payload, answer }).await
}

fn stanza(
    instance: &Instance,
    xml: &str,
    read: fn(&str, &jid::Jid) -> Result<RawStanza, CallError>,
) -> Result<RawStanza, CallError> {
    let stanza = read(xml, &instance.account.snapshot().jid)?;
    // An IQ to the own account does whatever its owner may do there, whether it names the recipient or not.
    let is_own = |to: &jid::Jid| stanza.kind() == "iq" && *to == instance.account.own;
    let to = stanza.to().filter(|to| !is_own(to));
    instance.require(Permission::StanzaSend, Target::Stanza { kind: stanza.kind(), to: to.as_ref() })?;
    Ok(stanza)
}

async fn send<T: Send + 'static>(accessor: &Accessor<T, Grouping>, xml: &str) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor, "api.send")?;
    let read = || stanza(&instance, xml, RawStanza::parse);
    let mut stanza = read()?;
    let mut turn = pin!(pace(&instance));
    match poll!(turn.as_mut()) {
        Poll::Ready(comes) => comes?,
        Poll::Pending => {
            // What is made of a text takes many times as much, so it is not held while the call waits.
            drop(stanza);
            turn.await?;
            stanza = read()?;
        }
    }
    let by = instance.id;
    instance.account.ask(|answer| Command::SendRaw { by, stanza, answer }).await
}

async fn send_iq<T: Send + 'static>(accessor: &Accessor<T, Grouping>, xml: &str) -> Result<String, CallError> {
    let (instance, _open) = caller(accessor, "api.send-iq")?;
    let iq = stanza(&instance, xml, RawStanza::parse_request)?;
    let by = instance.id;
    let result = question(&instance, |answer| Command::SendIq { by, iq, answer }).await?;
    Ok(result.to_xml())
}

async fn wait_until<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    promise: &str,
) -> Result<WitPayload, CallError> {
    let (instance, _open) = caller(accessor, "api.wait-until")?;
    let name = name("promise", promise)?;
    // What an event may show only with a grant, its promise may not show without.
    may_hear(&instance, promise)?;
    let _waits = instance.waits_for_session();
    let payload = order(&instance, |answer| Command::WaitUntil { name, answer }).await?;
    Ok(types::payload(&payload, false))
}
