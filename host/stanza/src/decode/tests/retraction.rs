//! Retractions, moderation, and pushes of blocked addresses.

use super::*;

/// XEP-0424: the reader compares the authors. XEP-0425: only a room moderates.
#[test]
fn a_retraction_is_the_authors_and_moderation_the_rooms() {
    let own = "<retract xmlns='urn:xmpp:message-retract:1' id='7'/>";
    let older_own =
        "<apply-to xmlns='urn:xmpp:fasten:0' id='7'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>";
    let newer = "<retract xmlns='urn:xmpp:message-retract:1' id='7'><moderated xmlns='urn:xmpp:message-moderate:1' \
                 by='r@muc/boss'><occupant-id xmlns='urn:xmpp:occupant-id:0' id='o'/></moderated><reason>rude</reason>\
                 </retract>";
    let older = "<apply-to xmlns='urn:xmpp:fasten:0' id='7'><moderated xmlns='urn:xmpp:message-moderate:0' \
                 by='r@muc/boss'><retract xmlns='urn:xmpp:message-retract:0'/><reason>rude</reason></moderated></apply-to>";
    for head in ["from='a@b/c' type='chat'", "from='r@muc/n' type='groupchat'", "from='r@muc' type='groupchat'"] {
        for payload in [own, older_own] {
            let found = message(head, payload).extensions.unwrap();
            assert_eq!((found.retract.as_deref(), found.moderated.is_none()), (Some("7"), true), "{head}: {payload}");
        }
    }
    for (payload, occupant_id) in [(newer, Some("o")), (older, None)] {
        let Extensions { moderated, retract, .. } =
            *message("from='r@muc' type='groupchat'", payload).extensions.unwrap();
        let told = moderated.unwrap();
        assert_eq!((told.id.as_str(), told.by, retract), ("7", Some(jid("r@muc/boss")), None), "{payload}");
        assert_eq!((told.occupant_id.as_deref(), told.reason.as_deref()), (occupant_id, Some("rude")), "{payload}");
        for head in ["from='r@muc/n' type='groupchat'", "from='r@muc' type='chat'", "from='r@muc/n'", ""] {
            assert!(message(head, payload).extensions.is_none(), "{head}: {payload}");
        }
        let elsewhere = message("from='other@muc' type='groupchat'", payload).extensions.unwrap();
        assert_eq!(elsewhere.moderated.unwrap().by, None, "nobody of that room did it");
    }
    for both in [format!("{newer}{older}"), format!("{older}{newer}")] {
        let found = message("from='r@muc' type='groupchat'", &both).extensions.unwrap();
        assert_eq!(found.moderated.unwrap().occupant_id.as_deref(), Some("o"), "{both}");
    }
    for odd in [
        "<retract xmlns='urn:x' id='7'/>",
        "<retract xmlns='urn:xmpp:message-retract:1'/>",
        "<apply-to id='7'/>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='7'/>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='7'><retract xmlns='urn:x'/></apply-to>",
        "<apply-to xmlns='urn:xmpp:fasten:0'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
        // A room adds the preview of a link to a message.
        "<apply-to xmlns='urn:xmpp:fasten:0' id='7'><meta xmlns='http://www.w3.org/1999/xhtml' property='og:title' \
         content='x'/></apply-to>",
        "<moderated xmlns='urn:xmpp:message-moderate:0' by='r@muc/boss'><retract xmlns='urn:xmpp:message-retract:1' \
         id='7'/></moderated>",
    ] {
        assert!(message("from='r@muc' type='groupchat'", odd).extensions.is_none(), "{odd}");
    }
}

/// `MongooseIM` lets clients name the id in the archive. `extensions.retract` has that id in rooms, and that of the author elsewhere.
#[test]
fn a_retraction_by_the_id_in_an_archive_is_read_in_rooms_alone() {
    let payload = "<apply-to xmlns='urn:xmpp:fasten:0' id='7'><retract \
                   xmlns='urn:esl:message-retract-by-stanza-id:0'/></apply-to>";
    for head in ["from='r@muc/n' type='groupchat'", "from='r@muc' type='groupchat'"] {
        let found = message(head, payload).extensions.unwrap();
        assert_eq!((found.retract.as_deref(), found.moderated.is_none()), (Some("7"), true), "{head}");
    }
    for head in ["from='a@b/c' type='chat'", "from='a@b/c'", "from='r@muc/n' type='chat'", ""] {
        assert!(message(head, payload).extensions.is_none(), "{head}");
    }
}

/// XEP-0424, section 4, and XEP-0425, section 4: it only says that the retraction is in the archive as well.
#[test]
fn what_an_archive_keeps_of_a_retracted_message_retracts_none() {
    for left in [
        "<retracted xmlns='urn:xmpp:message-retract:1' id='7' stamp='2019-09-20T23:09:32Z'/>",
        "<retracted xmlns='urn:xmpp:message-retract:1' id='7'><moderated xmlns='urn:xmpp:message-moderate:1' \
         by='r@muc/boss'/><reason>rude</reason></retracted>",
        "<retracted xmlns='urn:xmpp:message-retract:0' stamp='2019-09-20T23:09:32Z'/>",
        "<moderated xmlns='urn:xmpp:message-moderate:0' by='r@muc/boss'><retracted \
         xmlns='urn:xmpp:message-retract:0'/><reason>rude</reason></moderated>",
    ] {
        for head in ["from='r@muc' type='groupchat'", "from='r@muc/n' type='groupchat'", "from='a@b/c' type='chat'"] {
            assert!(message(head, left).extensions.is_none(), "{head}: {left}");
        }
        let inside = format!("<message xmlns='jabber:client' from='r@muc/n' type='groupchat' id='1'>{left}</message>");
        let Incoming::Archived(result) = archived("from='r@muc'", RESULT, &forwarded(&inside)) else {
            panic!("a result was sent")
        };
        let message = result.message.unwrap();
        assert!(message.body.is_none() && message.extensions.is_none(), "{left}");
        assert_eq!((message.id.as_deref(), message.stanza_id.as_deref()), (Some("1"), Some("28")), "{left}");
    }
}

#[test]
fn a_push_of_the_blocked_is_the_own_accounts() {
    let pushed = |from: &str, push: &str| {
        let iq = format!("<iq xmlns='jabber:client' type='set' id='1' {from}>{push}</iq>");
        match decode(Stanza::try_from(iq.parse::<Element>().unwrap()).unwrap(), &own(), now()) {
            Incoming::Request(request) => request.query,
            other => panic!("{other:?}"),
        }
    };
    let blocked = "<block xmlns='urn:xmpp:blocking'><item jid='x@y'/></block>";
    // XEP-0016: ejabberd sends it beside the other one.
    let rules = "<query xmlns='jabber:iq:privacy'><list name='blocked'/></query>";
    for push in [blocked, rules] {
        for ours in ["", "from='me@house'"] {
            assert_eq!(pushed(ours, push), Query::BlockingPush, "{ours}: {push}");
        }
        for other in ["from='x@y'", "from='house'"] {
            assert_ne!(pushed(other, push), Query::BlockingPush, "{other}: {push}");
        }
    }
}
