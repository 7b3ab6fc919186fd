//! `api`: a plugin's own events, raw stanzas, waiting for promises.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::poll;
use parlor_base::escape::escape_untrusted;
use parlor_base::permission::Permission;
use parlor_session::event::{self, EventName, Payload};
use parlor_session::permissions::nodes::reserved_node;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{Emit, SendIq, SendRaw, WaitUntil};
use parlor_stanza::error::CallError;
use parlor_stanza::named_nodes::{find_changed, find_node};
use parlor_stanza::raw::RawStanza;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use wasmtime::component::Accessor;

use super::contacts::note_as_added;
use super::{answer, caller, may_fire, may_hear, order, pace_bytes, put, types};
use crate::bindings::parlor::plugin::api::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::{Error, Payload as WitPayload};
use crate::instance::{Context, Grouping, Instance, outgoing};

/// Maximum length of the JSON in a plugin's event, in bytes.
const MAX_JSON: usize = 256 << 10;
/// Maximum length of a node's name in a denial, in bytes.
const MAX_NODE: usize = 128;

/// The namespaces in which no plugin may change anything at the own account or server, each with the reason.
const KEPT_FROM_PLUGINS: [(&str, &str); 4] = [
    ("jabber:iq:register", "it can change the account's password, or remove the account"),
    ("jabber:iq:private", "it is private storage, from which servers fill nodes that the host keeps for itself"),
    ("vcard-temp", "it is the account's card, for which there is `vcard`"),
    ("http://jabber.org/protocol/commands", "a command of a server can change passwords"),
];

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
    let granted = call.granted(Target::None)?;
    let _held = instance.hold(payload.weight())?;
    super::slow_down(instance.budgets.emitted(), 1.0, || {
        format!("{} events a second", instance.limits.events_per_second)
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
    // An anonymous account has another address on the server than in the configuration.
    let own = [&snapshot.jid.to_bare(), &instance.account.own];
    let to =
        stanza.to().filter(|to| stanza.kind() != "iq" || !own.iter().any(|own| acts_for(own, to, stanza.is_set())));
    if to.is_none()
        && let Some((namespace, why)) = find_changed(&stanza, kept_from_plugins)
    {
        let hint = format!("no grant helps: {why}; no stanza of a plugin may change it");
        return Err(instance.deny_for_good(Permission::StanzaSend, format!("iq with {namespace}"), hint));
    }
    let granted = instance.granted(call, Target::Stanza { kind: stanza.kind(), to: to.as_ref() })?;
    Ok((stanza, granted))
}

/// Returns why no plugin may change something in this namespace at the own account or server; `None` if one may.
fn kept_from_plugins(namespace: &str) -> Option<&'static str> {
    KEPT_FROM_PLUGINS.iter().find(|(one, _)| *one == namespace).map(|(_, why)| *why)
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
    let ascii = |domain: &jid::DomainRef| idna::domain_to_ascii(domain.as_str()).unwrap_or_else(|_| domain.to_string());
    let is_server = || {
        let (own, to) = (ascii(own.domain()), ascii(to.domain()));
        own.strip_suffix(to.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let is_account = || to.resource().is_none() && to.node() == own.node() && ascii(to.domain()) == ascii(own.domain());
    is_account() || (is_set && to.node().is_none() && is_server())
}

/// Returns the stanza once the plugin may send it. A parsed stanza takes many times its text, so it is not held while
/// the call waits, but parsed again.
async fn in_turn(
    instance: &Instance,
    stanza: Allowed,
    bytes: usize,
    read: impl Fn() -> Result<Allowed, CallError>,
) -> Result<Allowed, CallError> {
    let mut turn = pin!(pace_bytes(instance, bytes));
    match poll!(turn.as_mut()) {
        Poll::Ready(comes) => {
            comes?;
            Ok(stanza)
        }
        Poll::Pending => {
            drop(stanza);
            turn.await?;
            read()
        }
    }
}

/// Returns the stanza once the contacts that it adds to the roster are noted as added by the plugin, as for
/// `contacts.add`. Otherwise a raw stanza would make anyone a contact whom the plugin's grants for `contacts` cover.
/// The stanza is not held meanwhile.
async fn noted(
    instance: &Instance,
    stanza: Allowed,
    read: impl Fn() -> Result<Allowed, CallError>,
) -> Result<Allowed, CallError> {
    let added = stanza.0.adds_contacts(&instance.account.snapshot().jid);
    if added.is_empty() {
        return Ok(stanza);
    }
    drop(stanza);
    for jid in &added {
        note_as_added(instance, jid).await?;
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
    let payload = order(&instance, &granted, WaitUntil { by, name }).await?;
    Ok(types::payload(&payload, false))
}

#[cfg(test)]
mod tests {
    use parlor_base::id::InstanceId;
    use parlor_config::Settings;
    use parlor_plugins::limits::Limits;
    use parlor_session::{Answer, AnyCommand, Session};

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    /// A parsed stanza takes many times its text, so the maximum number of open calls would take hundreds of MiB.
    #[tokio::test]
    async fn what_waiting_calls_carry_is_bounded_and_given_back() {
        let mut limits = Limits::default();
        limits.set("host_memory", &"1 MiB".into()).unwrap();
        let (instance, _mailbox) = disconnected_instance("\"stanza.send\" = [\"message\"]", limits);
        let many = format!("<message to='a@b'><x xmlns='urn:x'>{}</x></message>", "<y/>".repeat(3_000));
        let held = || instance.usage(None).limits.into_iter().find(|one| one.name == "host_memory").unwrap().used;
        {
            let mut first = pin!(send(&instance, &many));
            assert!(poll!(first.as_mut()).is_pending());
            assert!(held().unwrap() > 600_000.0, "{:?}", held());
            let second = send(&instance, &many).await;
            assert!(matches!(&second, Err(CallError::OverLimit(what)) if what.contains("1 MiB")), "{second:?}");
            assert_eq!(first.await, Err(CallError::Offline));
        }
        assert!(held().unwrap() < 1.0, "{:?}", held());
    }

    /// Other people decide how long answers are, and a plugin that is not scheduled does not take them.
    #[tokio::test]
    async fn an_answer_that_waits_counts_against_what_the_host_holds() {
        let mut limits = Limits::default();
        limits.set("host_memory", &"1 MiB".into()).unwrap();
        let (instance, _mailbox) = disconnected_instance("\"stanza.send\" = [\"iq\"]", limits);
        let held = || instance.usage(None).limits.into_iter().find(|one| one.name == "host_memory").unwrap().used;
        let long = "x".repeat(600 << 10);
        let asks = || {
            let (answers, taken) = std::sync::mpsc::channel();
            let command = move |answer| {
                answers.send(answer).unwrap();
                let (answer, _arrives) = Answer::channel();
                AnyCommand::with(Emit { by: InstanceId::next(), name: "asked".into(), payload: Payload::None }, answer)
            };
            (instance.ask_for_much_with(&Granted::HOST, command, String::len), taken)
        };
        let (first, answers) = asks();
        let mut first = pin!(first);
        assert!(poll!(first.as_mut()).is_pending());
        answers.recv().unwrap().give(Ok(long.clone()));
        assert!(held().unwrap() > 600_000.0, "{:?}", held());
        let (second, answers) = asks();
        let mut second = pin!(second);
        assert!(poll!(second.as_mut()).is_pending());
        answers.recv().unwrap().give(Ok(long.clone()));
        assert!(matches!(second.await, Err(CallError::OverLimit(what)) if what.contains("1 MiB")));
        assert_eq!(first.await, Ok(long));
        assert!(held().unwrap() < 1.0, "{:?}", held());
    }

    /// The server assigns the address of an account that logs in anonymously.
    #[tokio::test]
    async fn an_iq_to_the_own_account_needs_all_of_them_however_the_server_calls_it() {
        let (instance, _mailbox) = disconnected_instance("\"stanza.send\" = [\"iq:@example.org\"]", Limits::default());
        let named = Session::new("stranger@example.org/here".parse().unwrap(), Settings::default());
        instance.account.publish(named.snapshot());
        let send = |to: &str| {
            let xml = format!("<iq type='set' id='1' to='{to}'><x xmlns='urn:x'/></iq>");
            stanza(&instance, CallName::ApiSend, &xml, RawStanza::parse).map(drop)
        };
        for own in ["stranger@example.org", "bot@example.org"] {
            let result = send(own);
            assert!(matches!(result, Err(CallError::Denied { .. })), "{own}: {result:?}");
        }
        assert_eq!(send("romeo@example.org"), Ok(()));
    }

    /// Otherwise it could add a device of its own to the account, which people would encrypt for.
    #[tokio::test]
    async fn a_stanza_that_names_a_node_of_the_hosts_is_denied_whoever_gets_it() {
        const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
        let grants = "\"stanza.send\" = [\"iq\", \"message\", \"presence\"]";
        let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
        let named = Session::new("bot@example.org/here".parse().unwrap(), Settings::default());
        instance.account.publish(named.snapshot());
        let send = |xml: &str| stanza(&instance, CallName::ApiSend, xml, RawStanza::parse).map(drop);
        let nodes = [
            "urn:xmpp:omemo:2:devices",
            "urn:xmpp:omemo:2:bundles",
            "eu.siacs.conversations.axolotl.devicelist",
            "eu.siacs.conversations.axolotl.bundles:1",
            " Eu.Siacs.Conversations.AXOLOTL.devicelist",
            "eu\u{ad}.siacs.conversations.axol\u{f3}tl.devicelist",
            "urn:xmpp:bookmarks:1",
            "urn:xmpp:openpgp:0:public-keys",
        ];
        for node in nodes {
            for to in ["", "to='bot@example.org'", "to='example.org'", "to='bot@example.org/here'", "to='a@b.org'"] {
                for (kind, namespace, child) in [
                    ("set", "", "publish"),
                    ("set", "", "retract"),
                    ("set", "", "create"),
                    ("set", "", "subscribe"),
                    ("set", "", "unsubscribe"),
                    ("get", "", "items"),
                    ("get", "", "options"),
                    ("get", "", "affiliations"),
                    ("set", "#owner", "configure"),
                    ("get", "#owner", "configure"),
                    ("set", "#owner", "delete"),
                    ("set", "#owner", "purge"),
                    ("set", "#owner", "affiliations"),
                    ("get", "#owner", "subscriptions"),
                    ("get", "#owner", "default"),
                ] {
                    let content = format!("<p:{child} node='mine'/><p:{child} node='{node}'/>");
                    let xml = format!(
                        "<iq type='{kind}' id='1' {to}><p:pubsub xmlns:p='{PUBSUB}{namespace}'>{content}</p:pubsub></iq>"
                    );
                    let result = send(&xml);
                    let Err(CallError::Denied { permission, hint, .. }) = result else { panic!("{xml}: {result:?}") };
                    assert_eq!(permission, Permission::StanzaSend);
                    assert!(hint.contains("no grant helps") && hint.contains("leave it out"), "{hint}");
                }
                let event = format!("<event xmlns='{PUBSUB}#event'><items node='{node}'/></event>");
                let result = send(&format!("<message {to}>{event}</message>"));
                assert!(matches!(result, Err(CallError::Denied { .. })), "{to}: {result:?}");
            }
        }
        let own = format!("<iq type='set' id='1'><pubsub xmlns='{PUBSUB}'><publish node='mine'/></pubsub></iq>");
        assert_eq!(send(&own), Ok(()));
    }

    /// XEP-0077, sections 3.2 and 3.3: a plugin that may change something on the server could take over the account.
    #[tokio::test]
    async fn an_iq_that_changes_something_on_the_own_server_needs_all_of_them() {
        let scopes = ["iq:example.org", "iq:@example.org", "iq:rooms.example.org", "iq:org"];
        let grants = format!("\"stanza.send\" = {scopes:?}");
        let (instance, _mailbox) = disconnected_instance(&grants, Limits::default());
        let named = Session::new("bot@example.org/here".parse().unwrap(), Settings::default());
        instance.account.publish(named.snapshot());
        for read in [RawStanza::parse, RawStanza::parse_request] {
            let send = |kind: &str, to: &str| {
                let xml = format!("<iq type='{kind}' id='1' to='{to}'><query xmlns='jabber:iq:register'/></iq>");
                stanza(&instance, CallName::ApiSendIq, &xml, read).map(drop)
            };
            for to in ["example.org", "EXAMPLE.org", "example.org.", "example.org./x", "example.org/resource", "org"] {
                let result = send("set", to);
                assert!(matches!(result, Err(CallError::Denied { .. })), "{to}: {result:?}");
                // The features of a server are not secret.
                assert_eq!(send("get", to), Ok(()), "{to}");
            }
            assert_eq!(send("set", "rooms.example.org"), Ok(()));
        }
        let (instance, _mailbox) = disconnected_instance("\"stanza.send\" = [\"iq\"]", Limits::default());
        let send = |to: &str, payload: &str| {
            let xml = format!("<iq type='set' id='1' {to}>{payload}</iq>");
            stanza(&instance, CallName::ApiSend, &xml, RawStanza::parse).map(drop)
        };
        assert_eq!(send("to='example.org'", "<block xmlns='urn:xmpp:blocking'/>"), Ok(()));
        // What takes the account over needs more than all of them.
        for payload in [
            "<query xmlns='jabber:iq:register'/>",
            "<query xmlns='jabber:iq:private'/>",
            "<vCard xmlns='vcard-temp'/>",
            "<command xmlns='http://jabber.org/protocol/commands'/>",
            "<x xmlns='urn:x'><query xmlns='jabber:iq:register'/></x>",
        ] {
            for to in ["", "to='bot@example.org'", "to='EXAMPLE.org'", "to='example.org/x'", "to='org'"] {
                let result = send(to, payload);
                let Err(CallError::Denied { hint, .. }) = result else { panic!("{to} {payload}: {result:?}") };
                assert!(hint.contains("no grant helps"), "{hint}");
            }
            assert_eq!(send("to='rooms.example.org'", payload), Ok(()), "{payload}");
        }
    }

    /// RFC 7622, section 3.2: a server may know its domain in either spelling.
    #[test]
    fn the_own_server_is_known_by_each_spelling_of_its_domain() {
        let acts = |own: &str, to: &str| acts_for(&own.parse().unwrap(), &to.parse().unwrap(), true);
        for (one, other) in
            [("b\u{fc}cher.example", "xn--bcher-kva.example"), ("xn--bcher-kva.example", "B\u{dc}CHER.example.")]
        {
            assert!(acts(&format!("bot@{one}"), other), "{one} {other}");
            assert!(acts(&format!("bot@chat.{one}"), other), "{one} {other}");
            assert!(acts(&format!("bot@{one}"), &format!("bot@{other}")), "{one} {other}");
            assert!(!acts(&format!("bot@{one}"), &format!("juliet@{other}")), "{one} {other}");
            assert!(!acts(&format!("bot@{one}"), &format!("chat.{other}")), "{one} {other}");
        }
    }

    /// Otherwise a plugin that may send presence could make anyone a contact, and write to them.
    #[tokio::test]
    async fn a_contact_that_a_raw_stanza_adds_is_none_for_the_plugins_own_grants() {
        let grants = "\"stanza.send\" = [\"presence\", \"iq\"]\n\"messages.send\" = [\"contacts\"]";
        let roster =
            |items: &str| format!("<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{items}</query></iq>");
        for (xml, added) in [
            ("<presence type='subscribe' to='zed@example.net/phone'/>".to_owned(), true),
            ("<presence type='subscribed' to='ZED@example.net.'/>".to_owned(), true),
            ("<presence type='unsubscribed' to='zed@example.net'/>".to_owned(), false),
            ("<presence to='zed@example.net'/>".to_owned(), false),
            (roster("<item jid='zed@example.net' name='Zed'/>"), true),
            (roster("<item jid='a@b'/><item jid='zed@example.net'/>"), true),
            (roster("<item jid='zed@example.net' subscription='remove'/>"), false),
            // The roster of another account.
            (roster("<item jid='zed@example.net'/>").replace("id='1'", "id='1' to='juliet@example.org'"), false),
        ] {
            let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
            let zed = "zed@example.net".parse().unwrap();
            assert_eq!(send(&instance, &xml).await, Err(CallError::Offline));
            assert_eq!(instance.mailbox.added(&zed), added, "{xml}");
            let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
            if xml.starts_with("<iq") {
                send_iq(&instance, &xml).await.unwrap_err();
                assert_eq!(instance.mailbox.added(&zed), added, "{xml}");
            }
        }
    }

    /// A stanza takes many times its text, and hundreds of calls may wait.
    #[tokio::test(start_paused = true)]
    async fn a_stanza_is_not_held_while_its_call_waits_and_goes_by_what_is_granted_then() {
        const MESSAGE: &str = "<message to='romeo@example.org'><body>hi</body></message>";
        const IQ: &str = "<iq type='get' to='romeo@example.org'><x xmlns='urn:x'/></iq>";
        for asks in [false, true] {
            let limits = Limits { messages_per_second: 1, messages_burst: 1, ..Limits::default() };
            let (instance, _mailbox) = disconnected_instance("\"stanza.send\" = [\"message\", \"iq\"]", limits);
            instance.budgets.outgoing().take(1.0).unwrap();
            let mut call = pin!(async {
                if asks { send_iq(&instance, IQ).await.map(drop) } else { send(&instance, MESSAGE).await }
            });
            assert!(poll!(call.as_mut()).is_pending());
            instance.account.router.grant(&instance.mailbox, Arc::default());
            let result = call.await;
            assert!(matches!(result, Err(CallError::Denied { .. })), "{result:?}");
        }
    }
}
