//! `api`: a plugin's own events, raw stanzas, waiting for promises.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::poll;
use parlor_base::escape::escape_untrusted;
use parlor_base::permission::Permission;
use parlor_session::event::{self, EventName, Payload};
use parlor_session::permissions::namespaces::stands_for;
use parlor_session::permissions::nodes::reserved_node;
use parlor_session::permissions::{CallName, Granted, Target, spelling};
use parlor_session::{Emit, SendIq, SendRaw, WaitUntil};
use parlor_stanza::error::CallError;
use parlor_stanza::named_nodes::{find_namespace, find_node, find_requested};
use parlor_stanza::raw::RawStanza;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use wasmtime::component::Accessor;

use super::contacts::note_change;
use super::pacing::{order, pace_bytes, put, slow_down};
use super::promises::known_as;
use super::{answer, caller, may_fire, may_hear, types};
use crate::bindings::parlor::plugin::api::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::{Error, Payload as WitPayload};
use crate::instance::{Context, Grouping, Instance, outgoing};

/// Maximum length of the JSON in a plugin's event, in bytes.
const MAX_JSON: usize = 256 << 10;
/// Maximum length of a node's name, or of a namespace, in a denial, in bytes.
const MAX_NODE: usize = 128;

/// The reason why a namespace is kept that makes another way to log in.
const LOGS_IN: &str = "it makes a certificate or a token that logs in as the account";

/// The namespaces in which no plugin may read or change anything at the own account or server, each with the reason. An entry
/// that ends in `*` stands for all namespaces with this prefix.
const SECRET: [(&str, &str); 7] = [
    // An answer may have the password (XEP-0077, section 3.1).
    ("jabber:iq:register", "it can tell or change the account's password, or remove the account"),
    ("jabber:iq:private", "it is private storage, from which servers fill nodes that the host keeps for itself"),
    ("urn:xmpp:saslcert:*", LOGS_IN),
    ("erlang-solutions.com:xmpp:token-auth:*", LOGS_IN),
    ("http://xabber.com/protocol/auth-tokens*", LOGS_IN),
    ("https://xabber.com/protocol/auth-tokens*", LOGS_IN),
    ("https://xabber.com/protocol/devices*", LOGS_IN),
];

/// Those in which it may read, but change nothing.
const UNCHANGED: [(&str, &str); 4] = [
    ("vcard-temp", "it is the account's card, for which there is `vcard`"),
    ("urn:ietf:params:xml:ns:vcard-4.0", "it is the account's card, for which there is `vcard`"),
    (
        "http://jabber.org/protocol/commands",
        "a command of a server can change passwords, and one of a client what it does",
    ),
    ("urn:xmpp:push:*", "the server would tell somebody else of each message, also without the plugin"),
];

/// The reason why a namespace is kept by which a component acts for people on its server (XEP-0355, XEP-0356).
const FOR_OTHERS: &str = "by it a component acts in the name of its server's users";

/// The namespaces that no stanza of a plugin may have, whoever gets it, each with the reason.
const IN_NO_STANZA: [(&str, &str); 4] = [
    ("urn:xmpp:delegation:*", FOR_OTHERS),
    ("urn:xmpp:privilege:*", FOR_OTHERS),
    ("urn:xmpp:moved:*", "it makes contacts of the account those of another address"),
    // XEP-0033. Grants, rooms, hooks and the policy for OTR are compared with the recipient alone.
    ("http://jabber.org/protocol/address", "a service passes the stanza on to each address in it"),
];

/// Those that no message or presence may have. A bot that asks people to confirm a log-in of theirs uses an IQ.
const IN_NO_MESSAGE: [(&str, &str); 1] =
    [("http://jabber.org/protocol/http-auth", "it can confirm that the account logs in to a website")];

/// The namespace of the roster. A component with privileges at its server asks for other people's by ordinary IQs (XEP-0356, section 4.2).
const ROSTER: (&str, &str) = ("jabber:iq:roster", "it is the roster of somebody else");

/// A visitor that checks that every listener can read the JSON: no unpaired surrogates, and not too deep. It keeps
/// nothing.
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
        let (instance, _open) = caller(accessor, CallName::ApiSend)?;
        answer(send(&instance, &stanza).await)
    }

    async fn send_iq(accessor: &Accessor<T, Self>, iq: String) -> Result<String, Error> {
        let (instance, _open) = caller(accessor, CallName::ApiSendIq)?;
        answer(send_iq(&instance, &iq).await)
    }

    async fn wait_until(accessor: &Accessor<T, Self>, promise: String) -> Result<WitPayload, Error> {
        answer(wait_until(accessor, &promise).await)
    }
}

/// Checks a name for an event or a promise.
pub(super) fn name(argument: &str, text: &str) -> Result<EventName, CallError> {
    event::check_name(text).map_err(|reason| CallError::invalid(argument, reason))?;
    Ok(EventName::from(text))
}

/// Checks a text that is to be JSON for other plugins.
pub(super) fn json(argument: &str, text: &str) -> Result<(), CallError> {
    super::text(argument, text, MAX_JSON)?;
    let read = serde_json::from_str::<Readable>(text);
    read.map(drop).map_err(|error| CallError::invalid(argument, format!("not JSON: {error}")))
}

async fn emit<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    event: &str,
    payload: Option<String>,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::ApiEmit)?;
    let name = name("name", event)?;
    let payload = match payload {
        None => Payload::None,
        Some(text) => {
            json("payload", &text)?;
            Payload::Json(text.into())
        }
    };
    may_fire(&instance, &name)?;
    let name = known_as(&instance, &name);
    let granted = call.granted(Target::None)?;
    let _held = instance.hold(payload.weight())?;
    slow_down(instance.lasting.budgets.emitted(), 1.0, || {
        format!("{} events a second (events_per_second)", instance.limits.events_per_second)
    })
    .await?;
    let by = instance.id;
    instance.ask(&granted, Emit { by, name, payload }).await
}

/// A stanza, and the proof that the plugin may send it.
type Allowed = (RawStanza, Granted);

/// Reads a stanza that the plugin may send.
fn stanza(
    instance: &Instance,
    call: CallName,
    xml: &str,
    read: fn(&str, &jid::Jid) -> Result<RawStanza, CallError>,
) -> Result<Allowed, CallError> {
    let snapshot = instance.account.snapshot();
    let stanza = read(xml, &snapshot.jid)?;
    if let Some((node, why)) = find_node(&stanza, reserved_node) {
        return Err(names_reserved(instance, &stanza, &node, why));
    }
    if let Some((namespace, why)) = find_namespace(&stanza, |one| never_sent(one, &stanza, &snapshot.jid)) {
        return Err(has_reserved(instance, &stanza, &namespace, why));
    }
    // An anonymous account has another address on the server than in the configuration.
    let own = [&snapshot.jid.to_bare(), &instance.account.own];
    let acts = |to: &jid::Jid, is_set| own.iter().any(|own| acts_for(own, to, is_set));
    let to = stanza.to();
    // The other clients of the account obey it as well, such as another host of its owner.
    if stanza.kind() == "iq"
        && to.as_ref().is_none_or(|to| acts(&to.to_bare().into(), true))
        && let Some((namespace, why)) = find_requested(&stanza, |one| kept_from_plugins(one, stanza.is_set()))
    {
        return Err(has_reserved(instance, &stanza, &namespace, why));
    }
    let to = to.filter(|to| stanza.kind() != "iq" || !acts(to, stanza.is_set()));
    let granted = instance.granted(call, Target::Stanza { kind: stanza.kind(), to: to.as_ref() })?;
    Ok((stanza, granted))
}

/// Returns why a stanza of a plugin may not have this namespace; `None` if it may. `own` is the account's JID.
fn never_sent(namespace: &str, stanza: &RawStanza, own: &jid::Jid) -> Option<&'static str> {
    let is_iq = stanza.kind() == "iq";
    let said = IN_NO_MESSAGE.iter().filter(|_| !is_iq);
    let others = stanza.to().is_some_and(|to| to.to_bare() != own.to_bare());
    let roster = std::iter::once(&ROSTER).filter(|_| is_iq && others);
    IN_NO_STANZA.iter().chain(said).chain(roster).find(|(one, _)| stands_for(one, namespace)).map(|(_, why)| *why)
}

/// Returns why no plugin may ask the own account or server for something in this namespace; `None` if one may.
fn kept_from_plugins(namespace: &str, is_set: bool) -> Option<&'static str> {
    let unchanged = UNCHANGED.iter().filter(|_| is_set);
    SECRET.iter().chain(unchanged).find(|(one, _)| stands_for(one, namespace)).map(|(_, why)| *why)
}

/// Returns the denial of a stanza that has such a namespace.
fn has_reserved(instance: &Instance, stanza: &RawStanza, namespace: &str, why: &str) -> CallError {
    let scope = format!("{} with {}", stanza.kind(), escape_untrusted(namespace, MAX_NODE));
    let hint = format!("no grant helps: {why}; no stanza of a plugin may ask for that");
    instance.deny_for_good(Permission::StanzaSend, scope, hint)
}

/// Returns the denial of a stanza that names a node of the host's, as the calls of `pubsub` deny it. Otherwise a plugin could publish a
/// device of its own among the account's, or tell people of one.
fn names_reserved(instance: &Instance, stanza: &RawStanza, node: &str, why: &str) -> CallError {
    let scope = format!("{} with the node {}", stanza.kind(), escape_untrusted(node, MAX_NODE));
    let hint = format!("no grant helps: {why}; no stanza of a plugin may name this node, so leave it out");
    instance.deny_for_good(Permission::StanzaSend, scope, hint)
}

/// Returns whether an IQ to this address can do what only the account's owner may. The account itself obeys any IQ,
/// whether it names the account or not. Its server obeys those that change something: in-band registration (XEP-0077)
/// can set the account's password or remove the account. A server may also answer for the domains above its own.
pub fn acts_for(own: &jid::BareJid, to: &jid::Jid, is_set: bool) -> bool {
    // A domain has two spellings, and servers may take one for the other.
    let (own_domain, domain) = (spelling(own.domain()), spelling(to.domain()));
    let is_account = to.resource().is_none() && to.node() == own.node() && domain == own_domain;
    let is_server =
        || own_domain.strip_suffix(&*domain).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    is_account || (is_set && to.node().is_none() && is_server())
}

/// Returns the stanza once the plugin may send it. A parsed stanza takes many times its text, so it is not held while
/// the call waits, but parsed again.
async fn in_turn(
    instance: &Instance,
    stanza: Allowed,
    bytes: usize,
    read: impl Fn() -> Result<Allowed, CallError>,
) -> Result<Allowed, CallError> {
    let (stanza, granted) = stanza;
    {
        let mut turn = pin!(pace_bytes(instance, &granted, bytes));
        match poll!(turn.as_mut()) {
            Poll::Ready(comes) => comes?,
            Poll::Pending => {
                drop(stanza);
                turn.await?;
                return read();
            }
        }
    }
    Ok((stanza, granted))
}

/// Returns the stanza once the contacts that it adds to the roster or changes there are noted as the plugin's, as for the calls
/// of `contacts`. Otherwise a raw stanza would make anyone a contact whom the plugin's grants for `contacts` cover.
/// The stanza is not held meanwhile.
async fn noted(
    instance: &Instance,
    stanza: Allowed,
    read: impl Fn() -> Result<Allowed, CallError>,
) -> Result<Allowed, CallError> {
    let (stanza, granted) = stanza;
    let changed = stanza.changes_contacts(&instance.account.snapshot().jid);
    if changed.is_empty() {
        return Ok((stanza, granted));
    }
    drop(stanza);
    for jid in &changed {
        note_change(instance, &granted, jid).await?;
    }
    read()
}

async fn send(instance: &Arc<Instance>, xml: &str) -> Result<(), CallError> {
    let _held = instance.hold(xml.len())?;
    let read = || stanza(instance, CallName::ApiSend, xml, RawStanza::parse);
    let stanza = noted(instance, read()?, read).await?;
    let (stanza, granted) = in_turn(instance, stanza, xml.len(), read).await?;
    let by = instance.id;
    outgoing::send_raw(instance, &granted, SendRaw { by, stanza }).await
}

async fn send_iq(instance: &Arc<Instance>, xml: &str) -> Result<String, CallError> {
    let _held = instance.hold(xml.len())?;
    let read = || stanza(instance, CallName::ApiSendIq, xml, RawStanza::parse_request);
    let iq = noted(instance, read()?, read).await?;
    let request = instance.pending_iq()?;
    let (iq, granted) = in_turn(instance, iq, xml.len(), read).await?;
    let by = instance.id;
    let asked = instance.ask_for_much(&granted, SendIq { by, iq }, RawStanza::weight);
    let result = put(instance, request, asked).await?;
    Ok(result.to_xml())
}

async fn wait_until<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    promise: &str,
) -> Result<WitPayload, CallError> {
    let (instance, call) = caller(accessor, CallName::ApiWaitUntil)?;
    let name = name("promise", promise)?;
    // Data that an event shows only with a grant needs that grant in its promise as well.
    may_hear(&instance, promise)?;
    let granted = call.granted(Target::None)?;
    let _waits = instance.waits_for_session();
    let by = instance.id;
    let name = known_as(&instance, &name);
    let payload = order(&instance, &granted, WaitUntil { by, name }).await?;
    Ok(types::payload(&payload, false))
}

#[cfg(test)]
mod tests;
