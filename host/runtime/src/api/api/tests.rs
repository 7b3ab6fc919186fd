//! Tests of events, promises and stanzas of plugins.

use parlor_base::id::InstanceId;
use parlor_config::Settings;
use parlor_plugins::limits::Limits;
use parlor_session::{Answer, AnyCommand, Contact, Session, Snapshot};
use parlor_stanza::types::RosterItem;

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
            let xml = format!("<iq type='{kind}' id='1' to='{to}'><query xmlns='urn:x'/></iq>");
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
}

/// XEP-0077 and XEP-0257: with a password, a certificate or a token, a plugin could log in itself, also once it is removed.
#[tokio::test]
async fn no_grant_lets_a_stanza_ask_the_own_server_for_a_way_to_log_in() {
    let every = "\"stanza.send\" = [\"iq\"]";
    let narrow = "\"stanza.send\" = [\"iq:example.org\", \"iq:org\", \"iq:@example.org\"]";
    let card = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>";
    let changes = ["<vCard xmlns='vcard-temp'/>", card, "<enable xmlns='urn:xmpp:push:0' jid='evil.net'/>"];
    let reads = [
        "<query xmlns='jabber:iq:register'/>",
        "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>",
        "<append xmlns='urn:xmpp:saslcert:1'/>",
        "<append xmlns='urn:xmpp:saslcert:0'/>",
        "<query xmlns='erlang-solutions.com:xmpp:token-auth:0'/>",
        "<issue xmlns='https://xabber.com/protocol/auth-tokens'/>",
        "<register xmlns='https://xabber.com/protocol/devices'/>",
        "<x xmlns='urn:x'><query xmlns='jabber:iq:register'/></x>",
    ];
    let command = "<command xmlns='http://jabber.org/protocol/commands'/>";
    for grants in [every, narrow] {
        let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
        let named = Session::new("bot@example.org/here".parse().unwrap(), Settings::default());
        instance.account.publish(named.snapshot());
        let send = |kind: &str, to: &str, payload: &str| {
            let xml = format!("<iq type='{kind}' id='1' {to}>{payload}</iq>");
            stanza(&instance, CallName::ApiSend, &xml, RawStanza::parse).map(drop)
        };
        let own = ["", "to='bot@example.org'", "to='EXAMPLE.org'", "to='example.org/x'", "to='org'"];
        for to in own.into_iter().chain(["to='bot@example.org/phone'"]) {
            let sets = changes.iter().chain([&command]).map(|payload| ("set", payload));
            let asked = reads.iter().flat_map(|payload| [("set", payload), ("get", payload)]);
            for (kind, payload) in sets.chain(asked) {
                let result = send(kind, to, payload);
                let Err(CallError::Denied { hint, .. }) = result else { panic!("{kind} {to} {payload}: {result:?}") };
                assert!(hint.contains("no grant helps"), "{hint}");
            }
        }
        // Cards may be read, and a server that is not the own one obeys no more than a stranger.
        assert_eq!(send("get", "to='example.org'", card), Ok(()));
    }
    let (instance, _mailbox) = disconnected_instance(every, Limits::default());
    for to in ["", "to='example.org'"] {
        let xml = format!("<iq type='set' id='1' {to}><block xmlns='urn:xmpp:blocking'/></iq>");
        assert_eq!(stanza(&instance, CallName::ApiSend, &xml, RawStanza::parse).map(drop), Ok(()), "{to}");
    }
    for payload in reads.iter().chain(&changes) {
        let xml = format!("<iq type='set' id='1' to='rooms.example.org'>{payload}</iq>");
        assert_eq!(stanza(&instance, CallName::ApiSend, &xml, RawStanza::parse).map(drop), Ok(()), "{payload}");
    }
}

/// XEP-0070, XEP-0283, XEP-0355 and XEP-0356: otherwise a plugin on a component with privileges would be each user of the server.
#[tokio::test]
async fn no_grant_lets_a_stanza_act_for_somebody_else_or_confirm_a_log_in() {
    let grants = "\"stanza.send\" = [\"iq\", \"message\", \"presence\"]";
    let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
    let named = Session::new("bot@example.org/here".parse().unwrap(), Settings::default());
    instance.account.publish(named.snapshot());
    let send = |xml: &str| stanza(&instance, CallName::ApiSend, xml, RawStanza::parse).map(drop);
    let denied = |xml: &str| {
        let result = send(xml);
        let Err(CallError::Denied { scope, hint, .. }) = result else { panic!("{xml}: {result:?}") };
        assert!(hint.contains("no grant helps"), "{hint}");
        assert!(scope.unwrap().len() < 200, "a plugin chose how long the namespace is");
    };
    let said = "<message xmlns='jabber:client' from='juliet@example.org' to='a@b.org'><body>hi</body></message>";
    let forwarded = format!("<forwarded xmlns='urn:xmpp:forward:0'>{said}</forwarded>");
    let request = "<iq xmlns='jabber:client' type='get' id='2'><query xmlns='jabber:iq:roster'/></iq>";
    let payloads = [
        format!("<privilege xmlns='urn:xmpp:privilege:2'>{forwarded}</privilege>"),
        format!("<x xmlns='urn:x'><privilege xmlns='urn:xmpp:privilege:1'>{forwarded}</privilege></x>"),
        format!("<privileged_iq xmlns='urn:xmpp:privilege:2'>{request}</privileged_iq>"),
        format!("<delegation xmlns='urn:xmpp:delegation:2'>{forwarded}</delegation>"),
        format!("<privilege xmlns='urn:xmpp:privilege:{}'/>", "x".repeat(220)),
        "<moved xmlns='urn:xmpp:moved:1'><new-jid>evil@example.net</new-jid></moved>".to_owned(),
    ];
    for to in ["", "to='example.org'", "to='juliet@example.org'", "to='pubsub.example.net'"] {
        for payload in &payloads {
            denied(&format!("<message {to}>{payload}</message>"));
            denied(&format!("<presence {to}>{payload}</presence>"));
            denied(&format!("<iq type='set' id='1' {to}>{payload}</iq>"));
        }
        let confirm =
            "<confirm xmlns='http://jabber.org/protocol/http-auth' id='7' method='GET' url='https://b.org/'/>";
        denied(&format!("<message {to}>{confirm}</message>"));
        assert_eq!(send(&format!("<iq type='get' id='1' {to}>{confirm}</iq>")), Ok(()), "a bot may ask people");
    }
    for to in ["juliet@example.org", "example.org", "bot@example.net"] {
        for kind in ["get", "set"] {
            denied(&format!("<iq type='{kind}' id='1' to='{to}'><query xmlns='jabber:iq:roster'/></iq>"));
        }
    }
    for to in ["", "to='bot@example.org'"] {
        assert_eq!(send(&format!("<iq type='get' id='1' {to}><query xmlns='jabber:iq:roster'/></iq>")), Ok(()));
    }
    assert_eq!(send(&format!("<message to='a@b.org'>{forwarded}</message>")), Ok(()));
}

/// XEP-0033: a plugin that may write to a service would write to everybody, and in rooms from which its owner keeps it.
#[tokio::test]
async fn no_stanza_names_further_recipients() {
    let (instance, _mailbox) =
        disconnected_instance("\"stanza.send\" = [\"message:multicast.example.org\", \"presence\"]", Limits::default());
    let named = Session::new("bot@example.org/here".parse().unwrap(), Settings::default());
    instance.account.publish(named.snapshot());
    let send = |xml: &str| stanza(&instance, CallName::ApiSend, xml, RawStanza::parse).map(drop);
    let to = |more: &str| format!("<message to='multicast.example.org'><body>hi</body>{more}</message>");
    assert_eq!(send(&to("")), Ok(()));
    for kind in ["to", "cc", "bcc"] {
        let address = format!("<address type='{kind}' jid='hall@rooms.example.org'/>");
        let addresses = format!("<addresses xmlns='http://jabber.org/protocol/address'>{address}</addresses>");
        for xml in [to(&addresses), format!("<presence to='multicast.example.org/x'>{addresses}</presence>")] {
            let result = send(&xml);
            let Err(CallError::Denied { hint, .. }) = result else { panic!("{xml}: {result:?}") };
            assert!(hint.contains("passes the stanza on"), "{hint}");
        }
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
    let roster = |items: &str| format!("<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{items}</query></iq>");
    for (xml, added) in [
        ("<presence type='subscribe' to='zed@example.net/phone'/>".to_owned(), true),
        ("<presence type='subscribed' to='ZED@example.net.'/>".to_owned(), true),
        ("<presence type='unsubscribed' to='zed@example.net'/>".to_owned(), false),
        ("<presence to='zed@example.net'/>".to_owned(), false),
        (roster("<item jid='zed@example.net' name='Zed'/>"), true),
        (roster("<item jid='a@b'/><item jid='zed@example.net'/>"), true),
        (roster("<item jid='zed@example.net' subscription='remove'/>"), false),
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

/// Otherwise a plugin could put a contact of the owner's into a group whose members give commands of another plugin.
#[tokio::test]
async fn what_a_raw_stanza_makes_of_a_contact_is_not_the_owners() {
    let roster = |item: &str| format!("<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{item}</query></iq>");
    for (xml, is_noted) in [
        (roster("<item jid='zed@example.net'><group>admins</group></item>"), true),
        (roster("<item jid='zed@example.net/phone' name='Zed'/>"), true),
        ("<presence type='subscribe' to='zed@example.net'/>".to_owned(), true),
        (roster("<item jid='zed@example.net' subscription='remove'/>"), false),
        ("<presence to='zed@example.net'/>".to_owned(), false),
    ] {
        let (instance, _mailbox) = disconnected_instance("\"stanza.send\" = [\"presence\", \"iq\"]", Limits::default());
        let session = Session::new("bot@example.org/here".parse().unwrap(), Settings::default());
        let zed: jid::BareJid = "zed@example.net".parse().unwrap();
        let contact = Contact::new(RosterItem {
            jid: zed.clone(),
            name: None,
            subscription: "from".to_owned(),
            ask: false,
            groups: vec!["staff".to_owned()],
        });
        let contacts = Some([(zed.clone(), Arc::new(contact))].into_iter().collect());
        instance.account.publish(Snapshot { contacts, ..session.snapshot() });
        assert_eq!(send(&instance, &xml).await, Err(CallError::Offline));
        let own = instance.account.records.own_contacts(&instance.plugin);
        assert_eq!((own.count() == 1, own.has(&zed)), (is_noted, false), "it stays a contact for its grants: {xml}");
        let is_in = |group: &str| own.is_owners(&zed, |part| part.groups.iter().any(|one| one == group));
        assert_eq!((is_in("staff"), is_in("admins")), (true, !is_noted), "{xml}");
        assert_eq!(own.is_owners(&zed, |part| part.is_seen), !is_noted, "{xml}");
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
        instance.lasting.budgets.outgoing().take(1.0).unwrap();
        let mut call =
            pin!(async { if asks { send_iq(&instance, IQ).await.map(drop) } else { send(&instance, MESSAGE).await } });
        assert!(poll!(call.as_mut()).is_pending());
        instance.account.router.grant(&instance.mailbox, Arc::default());
        let result = call.await;
        assert!(matches!(result, Err(CallError::Denied { .. })), "{result:?}");
    }
}
