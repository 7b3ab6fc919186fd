//! Requests, and the answers that count.

use std::collections::BTreeSet;

use parlor_stanza::types::Reply;

use super::*;
use crate::iq;

fn send_iq(test: &mut TestSession, to: Option<&str>) -> (Receiver<Result<RawStanza, CallError>>, String) {
    let to = to.map(|to| format!("to='{to}'")).unwrap_or_default();
    let iq = raw(&format!("<iq xmlns='jabber:client' type='get' id='guess' {to}><ping xmlns='urn:xmpp:ping'/></iq>"));
    let receiver = test.ask(SendIq { by: InstanceId(1), iq });
    let id = match test.sent.last() {
        Some(Outgoing::Private(iq, _)) => {
            let xml = iq.to_xml();
            let (_, rest) = xml.split_once("id=").unwrap();
            rest[1..].split(['"', '\'']).next().unwrap().to_owned()
        }
        _ => String::new(),
    };
    (receiver, id)
}

/// Rules iq-reply.
#[test]
fn an_answer_counts_only_from_whom_was_asked() {
    let own = [None, Some("bot@example.org"), Some("bot@example.org/parlor")];
    for (to, counts, ignored) in [
        (
            Some("a@example.org/x"),
            &[Some("a@example.org/x")][..],
            &[None, Some("a@example.org"), Some("example.org")][..],
        ),
        (Some("example.org"), &[None, Some("example.org")], &[Some("bot@example.org"), Some("evil.example")]),
        (Some("rooms.example.org"), &[Some("rooms.example.org")], &[None, Some("example.org")]),
        (Some("bot@example.org"), &own, &[Some("example.org"), Some("bot@example.org/other")]),
        (
            None,
            &[None, Some("bot@example.org"), Some("bot@example.org/parlor"), Some("example.org")],
            &[Some("evil.example"), Some("bot@example.org/other")],
        ),
    ] {
        for from in counts {
            let mut test = TestSession::connected(Settings::default());
            let (mut receiver, id) = send_iq(&mut test, to);
            assert_eq!(id.len(), 16, "the host chooses the id");
            test.answer(*from, id, Ok(Body::Other));
            assert!(got(&mut receiver).unwrap().is_ok(), "{to:?} {from:?}");
        }
        for from in ignored {
            let mut test = TestSession::connected(Settings::default());
            let (mut receiver, id) = send_iq(&mut test, to);
            test.answer(*from, id, Ok(Body::Other));
            test.answer(*from, "guess".to_owned(), Ok(Body::Other));
            assert!(got(&mut receiver).is_none(), "{to:?} {from:?}");
            assert_eq!(test.session.ignored(), 2);
        }
    }
}

/// Rules iq-reply. A room may refuse a request to an occupant, and an account one to its client, but neither speaks for them.
#[test]
fn a_refusal_may_come_from_the_bare_address_of_whom_was_asked() {
    for (to, bare) in [("room@muc.example.org/nurse", "room@muc.example.org"), ("a@example.org/x", "a@example.org")] {
        let mut test = TestSession::connected(Settings::default());
        let (mut receiver, id) = send_iq(&mut test, Some(to));
        test.answer(Some(bare), id.clone(), Ok(Body::Other));
        for other in ["muc.example.org", "example.org", "b@example.org", "room@muc.example.org/mallory"] {
            test.answer(Some(other), id.clone(), Err(stanza_error("forbidden")));
        }
        assert!(got(&mut receiver).is_none(), "{to}");
        test.answer(Some(bare), id, Err(stanza_error("item-not-found")));
        let refused = got(&mut receiver);
        assert!(
            matches!(&refused, Some(Err(CallError::Stanza(error))) if error.condition == "item-not-found"),
            "{to}: {refused:?}"
        );
    }
}

#[test]
fn a_request_ends_with_its_answer_an_error_or_in_time() {
    let mut test = TestSession::connected(Settings::default());
    let (mut receiver, id) = send_iq(&mut test, Some("a@example.org"));
    test.answer(Some("a@example.org"), id.clone(), Err(stanza_error("forbidden")));
    assert!(matches!(got(&mut receiver), Some(Err(CallError::Stanza(error))) if error.condition == "forbidden"));
    test.answer(Some("a@example.org"), id, Ok(Body::Other));
    assert_eq!(test.session.ignored(), 1, "answered once");
    let (mut receiver, _) = send_iq(&mut test, None);
    test.wait(29);
    assert!(got(&mut receiver).is_none());
    test.wait(1);
    assert_eq!(got(&mut receiver).unwrap().unwrap_err(), CallError::TimedOut);
    let (mut receiver, _) = send_iq(&mut test, None);
    test.run(|session, now, effects| session.lost("gone", now, effects));
    assert_eq!(got(&mut receiver).unwrap().unwrap_err(), CallError::Offline);
    let (mut receiver, _) = send_iq(&mut test, None);
    assert_eq!(got(&mut receiver).unwrap().unwrap_err(), CallError::Offline);
}

#[test]
fn only_requests_are_sent_and_only_so_many() {
    let mut test = TestSession::connected(Settings::default());
    let mut receiver = test.ask(SendIq { by: InstanceId(1), iq: some_raw() });
    assert!(matches!(got(&mut receiver), Some(Err(CallError::Invalid { argument, .. })) if argument == "iq"));
    let open: Vec<_> = (0..iq::MAX_OUTSTANDING).map(|_| send_iq(&mut test, None)).collect();
    assert!(matches!(got(&mut send_iq(&mut test, None).0), Some(Err(CallError::OverLimit(_)))));
    drop(open);
    assert!(got(&mut send_iq(&mut test, None).0).is_none());
}

#[test]
fn a_plugin_that_asks_as_much_as_one_may_takes_no_place_of_another_one() {
    let mut test = TestSession::connected(Settings::default());
    let open: Vec<_> = (0..MOST_IQS).map(|_| send_iq(&mut test, None)).collect();
    assert!(got(&mut send_iq(&mut test, None).0).is_none(), "a neighbour asks all the same");
    drop(open);
    let mut discover = |entity: &str| test.ask(Discover { entity: jid(entity) });
    let open: Vec<_> = (0..MOST_IQS).map(|_| discover("a@b/c")).collect();
    assert!(got(&mut discover("a@b/d")).is_none(), "and what somebody can do");
    drop(open);
}

/// RFC 6120, sections 8.2.3 and 8.3.3.1.
#[test]
fn what_is_no_request_at_all_is_answered_as_such() {
    let mut test = TestSession::connected(Settings::default());
    let malformed = "> reply Refuse { kind: \"modify\", condition: \"bad-request\" }";
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    for (kind, payload, answer) in [
        ("get", String::new(), Some(malformed)),
        ("set", format!("{ping}{ping}"), Some(malformed)),
        ("odd", ping.to_owned(), Some(malformed)),
        ("get", format!("text{ping}"), Some("> reply Done")),
        ("result", format!("{ping}{ping}"), None),
        ("error", format!("{ping}{ping}"), None),
    ] {
        test.hear_xml(&format!("<iq from='a@b/c' id='7' type='{kind}'>{payload}</iq>"));
        assert_eq!(test.lines().first().map(String::as_str), answer, "{kind} {payload}");
    }
}

#[test]
fn every_request_is_answered() {
    let mut test = TestSession::connected(Settings::default());
    let ask = |test: &mut TestSession, query| {
        let from = Some(jid("a@example.org/x"));
        test.hear(Incoming::Request(Request { from: from.clone(), id: "q".to_owned(), query }));
        match test.sent.pop() {
            Some(Outgoing::Reply { to, id, reply }) if to == from && id == "q" => reply,
            other => panic!("no reply but {other:?}"),
        }
    };
    let node = Some("n".to_owned());
    assert_eq!(ask(&mut test, Query::Ping), Reply::Done);
    assert_eq!(ask(&mut test, Query::Version), Reply::Version);
    assert_eq!(ask(&mut test, Query::Time), Reply::Time(test.now));
    assert_eq!(ask(&mut test, Query::DiscoItems { node: None }), Reply::NoItems { node: None });
    // The rooms that we are in are private (XEP-0045, section 6.7).
    let rooms = Some("http://jabber.org/protocol/muc#rooms".to_owned());
    assert_eq!(ask(&mut test, Query::DiscoItems { node: rooms.clone() }), Reply::NoItems { node: rooms });
    let refuse = |condition| Reply::Refuse { kind: "cancel", condition };
    assert_eq!(ask(&mut test, Query::DiscoItems { node: node.clone() }), refuse("item-not-found"));
    assert_eq!(ask(&mut test, Query::DiscoInfo { node }), refuse("item-not-found"));
    assert_eq!(ask(&mut test, Query::Other), refuse("service-unavailable"));
    // An empty node means none, and the answer repeats it.
    let empty = Some(String::new());
    assert_eq!(ask(&mut test, Query::DiscoItems { node: empty.clone() }), Reply::NoItems { node: empty.clone() });
    for asked in [None, empty] {
        match ask(&mut test, Query::DiscoInfo { node: asked.clone() }) {
            Reply::Disco { node, disco } => {
                assert_eq!(node, asked);
                let itself = &disco.identities[0];
                assert_eq!((itself.category.as_str(), itself.kind.as_str()), ("client", "bot"));
                assert!(disco.features.contains(&"urn:xmpp:ping".to_owned()));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A namespace of the host's own reaches no plugin, also where the host itself has no answer.
#[test]
fn requests_of_other_namespaces_are_left_to_plugins_and_those_of_the_hosts_are_not() {
    let mut test = TestSession::connected(Settings::default());
    let refused = "> reply Refuse { kind: \"cancel\", condition: \"service-unavailable\" }";
    for (kind, payload, expected) in [
        ("get", "<x xmlns='urn:example:weather'/>", "ask urn:example:weather"),
        ("set", "<x xmlns='urn:example:weather'/>", "ask urn:example:weather"),
        ("get", "<query xmlns='jabber:iq:roster'/>", refused),
        ("set", "<query xmlns='jabber:iq:roster'/>", refused),
        ("set", "<query xmlns='http://jabber.org/protocol/disco#info'/>", refused),
        ("set", "<ping xmlns='urn:xmpp:ping'/>", refused),
        ("get", "<vCard xmlns='vcard-temp'/>", refused),
        ("get", "<query xmlns='jabber:iq:register'/>", refused),
        ("get", "<message xmlns='jabber:client'/>", refused),
    ] {
        test.hear_xml(&format!("<iq from='a@b/c' id='7' type='{kind}'>{payload}</iq>"));
        assert_eq!(test.lines().first().map(String::as_str), Some(expected), "{kind} {payload}");
    }
}

/// A plugin that may send IQs could otherwise ask the plugin that answers them as a moderator of a room, or as a client of the account's
/// owner. The host's own answers tell nothing, and some rooms are asked in this way whether we are in (XEP-0410).
#[test]
fn no_request_of_this_very_client_is_passed_to_a_plugin() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let weather = "<x xmlns='urn:example:weather'/>";
    let refused = "> reply Refuse { kind: \"cancel\", condition: \"service-unavailable\" }";
    let own = test.session.snapshot().jid.to_string();
    for (from, payload, expected) in [
        (format!("{ROOM}/bot"), weather, refused),
        (own.clone(), weather, refused),
        (format!("{ROOM}/bot"), "<ping xmlns='urn:xmpp:ping'/>", "> reply Done"),
        (own, "<ping xmlns='urn:xmpp:ping'/>", "> reply Done"),
        (format!("{ROOM}/juliet"), weather, "ask urn:example:weather"),
        ("bot@example.org/telephone".to_owned(), weather, "ask urn:example:weather"),
    ] {
        test.hear_xml(&format!("<iq from='{from}' id='7' type='get'>{payload}</iq>"));
        assert_eq!(test.lines().first().map(String::as_str), Some(expected), "{from} {payload}");
    }
}

/// The features of the account name what its plugins answer, for as long as they do.
#[test]
fn what_plugins_answer_is_announced() {
    let mut test = TestSession::connected(Settings::default());
    let has = |test: &TestSession| test.session.snapshot().own.features.contains(&"urn:example:weather".to_owned());
    assert_eq!(
        test.session.announce(vec!["urn:example:weather".to_owned(), "urn:xmpp:ping".to_owned()], BTreeSet::new()),
        0
    );
    assert!(has(&test));
    let features = test.session.snapshot().own.features.clone();
    assert_eq!(features.iter().filter(|one| *one == "urn:xmpp:ping").count(), 1);
    assert_eq!(test.session.announce(Vec::new(), BTreeSet::new()), 0);
    assert!(!has(&test));
    let many = (0..400).map(|number| format!("urn:{number:0>250}")).collect();
    assert!(test.session.announce(many, BTreeSet::new()) > 0, "one answer has to hold them all");
}
