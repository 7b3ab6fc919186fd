//! Blocking addresses, and having a room retract somebody's message.

use parlor_stanza::types::{Disco, Report, ReportKind};

use super::*;

const SPAMMER: &str = "spammer@example.net";

fn features(of: &[&str]) -> Body {
    let features = of.iter().map(|&feature| feature.to_owned()).collect();
    Body::Disco(Disco { features, ..Disco::default() })
}

/// Returns a connected test on whose server there are these features.
fn on_a_server(of: &[&str]) -> TestSession {
    let mut test = TestSession::connected(Settings::default());
    let id = test.asked_of("example.org", |ask| matches!(ask, Ask::DiscoInfo { .. }));
    test.answer(Some("example.org"), id, Ok(features(of)));
    test.sent.clear();
    test.forget();
    test
}

fn report() -> Report {
    Report { kind: ReportKind::Spam, text: None, stanza_ids: Vec::new() }
}

/// Rows 158.
#[test]
fn an_address_is_blocked_and_reported_as_far_as_the_server_can() {
    let mut test = on_a_server(&["urn:xmpp:blocking"]);
    let mut blocked = test.ask(BlockAddress { jid: jid(SPAMMER), report: None });
    let id = test.asked(|ask| matches!(ask, Ask::Block { jid, report: None } if *jid == self::jid(SPAMMER)));
    assert!(got(&mut blocked).is_none(), "the server has to say so");
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut blocked), Some(Ok(())));
    test.sent.clear();
    let mut reported = test.ask(BlockAddress { jid: jid(SPAMMER), report: Some(report()) });
    assert!(matches!(got(&mut reported), Some(Err(CallError::Unsupported(why))) if why.contains("XEP-0377")));
    assert!(test.sent.is_empty(), "nor is it blocked without the report");
    let mut listed = test.ask(ListBlocked);
    let id = test.asked(|ask| matches!(ask, Ask::Blocked));
    test.answer(None, id, Ok(Body::Blocked(vec![jid(SPAMMER)])));
    assert_eq!(got(&mut listed), Some(Ok(vec![jid(SPAMMER)])));
    let mut unblocked = test.ask(UnblockAddress { jid: jid(SPAMMER) });
    let id = test.asked(|ask| matches!(ask, Ask::Unblock(jid) if *jid == self::jid(SPAMMER)));
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut unblocked), Some(Ok(())));

    let mut test = on_a_server(&["urn:xmpp:blocking", "urn:xmpp:reporting:1"]);
    let mut reported = test.ask(BlockAddress { jid: jid(SPAMMER), report: Some(report()) });
    let id = test.asked(|ask| matches!(ask, Ask::Block { report: Some(_), .. }));
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut reported), Some(Ok(())));

    let mut test = on_a_server(&["urn:x"]);
    let mut none = test.ask(UnblockAddress { jid: jid(SPAMMER) });
    assert!(matches!(got(&mut none), Some(Err(CallError::Unsupported(_)))));
    assert!(test.sent.is_empty());
}

/// Rows 158. Such a block would make the account deaf.
#[test]
fn neither_the_account_nor_its_server_is_blocked() {
    let mut test = on_a_server(&["urn:xmpp:blocking"]);
    for own in ["bot@example.org", "bot@example.org/parlor", "example.org", "example.org/x"] {
        let mut refused = test.ask(BlockAddress { jid: jid(own), report: None });
        let error = got(&mut refused).unwrap().unwrap_err();
        assert!(matches!(&error, CallError::Invalid { argument, .. } if argument == "jid"), "{own}: {error:?}");
    }
    assert!(test.sent.is_empty());
}

/// Rows 158. XEP-0191, section 3.4: other clients of the account may change the list, and the push wants an answer.
#[test]
fn a_push_of_the_list_is_answered() {
    for push in
        ["<unblock xmlns='urn:xmpp:blocking'/>", "<query xmlns='jabber:iq:privacy'><list name='blocked'/></query>"]
    {
        let mut test = on_a_server(&["urn:xmpp:blocking"]);
        test.hear_xml(&format!("<iq type='set' id='7'>{push}</iq>"));
        let is_answered =
            matches!(&test.sent[..], [Outgoing::Reply { to: None, id, reply: types::Reply::Done }] if id == "7");
        assert!(is_answered, "{push}: {:?}", test.sent);
    }
}

/// Rows 157.
#[test]
fn a_room_retracts_in_the_form_that_it_announces() {
    let retract = || RetractInRoom { jid: bare(ROOM), id: "7".to_owned(), reason: Some("rude".to_owned()) };
    let (newer, older) = ("urn:xmpp:message-moderate:1", "urn:xmpp:message-moderate:0");
    for (known, form) in [(&[newer, older][..], Some(false)), (&[older][..], Some(true)), (&["muc_open"][..], None)] {
        // In a room that has said what it can, and of one that is asked first.
        for is_inside in [true, false] {
            let mut test = TestSession::connected(Settings::default());
            if is_inside {
                test.in_room();
            }
            let early = if is_inside { None } else { Some(test.ask(retract())) };
            let id = test.asked_of(ROOM, |ask| matches!(ask, Ask::DiscoInfo { .. }));
            test.answer(Some(ROOM), id, Ok(features(known)));
            let mut retracted = early.unwrap_or_else(|| test.ask(retract()));
            let Some(form) = form else {
                let error = got(&mut retracted).unwrap().unwrap_err();
                assert!(matches!(&error, CallError::Unsupported(why) if why.contains("XEP-0425")), "{error:?}");
                continue;
            };
            let id = test.asked_of(
                ROOM,
                |ask| matches!(ask, Ask::Moderate { id, reason: Some(_), is_older } if id == "7" && *is_older == form),
            );
            assert!(got(&mut retracted).is_none());
            test.answer(Some(ROOM), id, Err(stanza_error("forbidden")));
            assert_eq!(got(&mut retracted), Some(Err(CallError::Stanza(stanza_error("forbidden")))));
        }
    }
}
