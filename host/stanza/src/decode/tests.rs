//! Tests of reading stanzas as servers and strangers write them.

mod bookmarks;
mod clients;
mod nodes;
mod retraction;
mod rooms;
mod spoilers;

use proptest::prelude::*;

use super::*;
use crate::testing::jid;
use crate::types::{Answer, ArchiveFin, Body, Disco, Draft, Extensions, Fallback, Query, ReplyTo, Request, RosterItem};

fn own() -> FullJid {
    "me@house/here".parse().unwrap()
}

fn now() -> Timestamp {
    "2024-05-06T07:08:09Z".parse().unwrap()
}

fn read(xml: &str) -> Incoming {
    let element: Element = xml.parse().unwrap();
    decode(Stanza::try_from(element).unwrap(), &own(), now())
}

fn message(attributes: &str, content: &str) -> Message {
    match read(&format!("<message xmlns='jabber:client' {attributes}>{content}</message>")) {
        Incoming::Message(message) => *message,
        other => panic!("expected a message, found {other:?}"),
    }
}

fn presence(attributes: &str, content: &str) -> Presence {
    match read(&format!("<presence xmlns='jabber:client' {attributes}>{content}</presence>")) {
        Incoming::Presence(presence) => *presence,
        other => panic!("expected a presence, found {other:?}"),
    }
}

fn iq(attributes: &str, content: &str) -> Incoming {
    read(&format!("<iq xmlns='jabber:client' id='1' {attributes}>{content}</iq>"))
}

fn carbon(from: &str, which: &str, inner: &str) -> Incoming {
    read(&format!(
        "<message xmlns='jabber:client' {from}><{which} xmlns='urn:xmpp:carbons:2'><forwarded \
         xmlns='urn:xmpp:forward:0'>{inner}</forwarded></{which}></message>"
    ))
}

const INNER: &str =
    "<message xmlns='jabber:client' from='me@house/phone' to='friend@far/x' type='chat'><body>hi</body></message>";

#[test]
fn a_plain_message() {
    let message = message("from='friend@far/x' to='me@house/here' type='chat' id='7'", "<body>hi</body>");
    assert_eq!(message.chat, jid("friend@far"));
    assert_eq!((message.from, message.to), (jid("friend@far/x"), jid("me@house/here")));
    assert_eq!((message.id.as_deref(), message.body.as_deref()), (Some("7"), Some("hi")));
    assert_eq!((message.at, message.delayed, message.own), (now(), false, false));
    assert!(message.extensions.is_none() && message.carbon.is_none() && message.nick.is_none());
    assert!(message.raw.to_xml().contains("friend@far/x"));
}

/// RFC 7622, section 3.4: addresses may contain all of Unicode, including what came after RFC 3920.
#[test]
fn nobody_is_unheard_for_an_emoji_in_the_address() {
    assert_eq!(message("from='friend@far/📱'", "<body>hi</body>").from, jid("friend@far/📱"));
    let turtle = presence("from='room@muc/Anna 🐢'", "<x xmlns='http://jabber.org/protocol/muc#user'/>");
    assert_eq!(turtle.from, jid("room@muc/Anna 🐢"));
    let inner = INNER.replace("friend@far/x", "friend@far/res👔");
    let copy = message(
        "from='me@house'",
        &format!("<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></sent>"),
    );
    assert_eq!((copy.to, copy.body.as_deref()), (jid("friend@far/res👔"), Some("hi")));
}

/// Rules absent-from.
#[test]
fn no_sender_is_the_own_account() {
    let message = message("", "<body>hi</body>");
    assert_eq!((message.from, message.to, message.own), (jid("me@house"), jid("me@house"), true));
    assert_eq!(message.kind, MessageKind::Normal);
    assert_eq!(presence("", "").from, jid("me@house"));
}

#[test]
fn a_groupchat_message_belongs_to_its_room() {
    let message = message("from='room@muc/Nick' to='me@house/here' type='groupchat'", "<subject>s</subject>");
    assert_eq!((message.chat, message.nick.as_deref(), message.own), (jid("room@muc"), Some("Nick"), false));
    assert_eq!((message.subject.as_deref(), message.body), (Some("s"), None));
}

/// Some servers keep messages in rooms in the account's archive, too.
#[test]
fn what_we_said_in_a_room_belongs_to_the_room() {
    let message = message("from='me@house/phone' to='room@muc' type='groupchat'", "<body>hi</body>");
    assert_eq!((message.chat, message.nick, message.own), (jid("room@muc"), None, true));
}

#[test]
fn the_text_that_people_are_shown_is_taken_and_all_are_told() {
    assert_eq!(message("", "<body xml:lang='de'>hallo</body>").body.as_deref(), Some("hallo"));
    // A forwarded message may have a language as a whole, which applies to a text without one.
    let inner = INNER.replace("<body>", "<body xml:lang='de'>hallo</body><body>");
    let inner = inner.replace("type='chat'", "type='chat' xml:lang='en'");
    let Incoming::Message(copy) = carbon("from='me@house'", "sent", &inner) else { panic!("a copy was sent") };
    let bodies = [("de".to_owned(), "hallo".to_owned()), (String::new(), "hi".to_owned())];
    assert_eq!((copy.body.as_deref(), copy.bodies.as_slice()), (Some("hallo"), bodies.as_slice()));
    assert!(!copy.raw.to_xml().contains("urn:parlor"), "{}", copy.raw.to_xml());
    let Incoming::Archived(result) = archived("", RESULT, &forwarded(&inner)) else { panic!("a result was sent") };
    let message = result.message.unwrap();
    assert_eq!((message.body.as_deref(), message.bodies.as_slice()), (Some("hallo"), bodies.as_slice()));
}

/// Other clients and the archive show these copies, so they are repaired although the library would drop them.
#[test]
fn a_copy_is_mended_like_the_message_itself() {
    for odd in [
        "type='odd'><body>hi</body>",
        "type='chat'><thread>1</thread><thread>2</thread><body>hi</body>",
        "type='chat'>text<body>hi</body>",
    ] {
        let inner = format!("<message xmlns='jabber:client' from='me@house/phone' to='friend@far/x' {odd}</message>");
        let Incoming::Message(copy) = carbon("from='me@house'", "sent", &inner) else { panic!("{odd}") };
        assert_eq!(copy.body.as_deref(), Some("hi"), "{odd}");
    }
}

/// Rules carbon.
#[test]
fn carbons_count_only_from_the_own_bare_jid() {
    for from in ["from='me@house'", ""] {
        let Incoming::Message(sent) = carbon(from, "sent", INNER) else { panic!("{from}") };
        assert_eq!((sent.carbon, sent.own, sent.chat), (Some(Carbon::Sent), true, jid("friend@far")));
        assert!(!sent.raw.to_xml().contains("carbons"));
    }
    let inner = "<message xmlns='jabber:client' from='friend@far/x' to='me@house/phone'><body>hi</body></message>";
    let Incoming::Message(received) = carbon("from='me@house'", "received", inner) else { panic!("a carbon") };
    assert_eq!((received.carbon, received.own, received.chat), (Some(Carbon::Received), false, jid("friend@far")));
    for from in ["mallory@evil", "me@house/here", "house", "me@evil", "room@muc/me@house"] {
        for which in ["sent", "received"] {
            let outcome = carbon(&format!("from='{from}'"), which, INNER);
            assert!(matches!(outcome, Incoming::Refused(_)), "{from}: {outcome:?}");
        }
    }
}

#[test]
fn a_carbon_holds_one_message_and_not_a_rooms() {
    assert!(matches!(carbon("", "sent", ""), Incoming::Refused(_)));
    assert!(matches!(carbon("", "sent", "<presence xmlns='jabber:client'/>"), Incoming::Refused(_)));
    assert!(matches!(carbon("", "sent", "<message xmlns='urn:x'/>"), Incoming::Refused(_)));
    let groupchat = "<message xmlns='jabber:client' type='groupchat' from='r@muc/n'/>";
    assert!(matches!(carbon("", "sent", groupchat), Incoming::Refused(_)));
}

/// XEP-0280, section 6.1: a bounced message is copied, and the copy is of the same type.
#[test]
fn a_copy_of_an_error_is_an_error() {
    let inner = "<message xmlns='jabber:client' from='friend@far' to='me@house/phone' type='error' id='7'><error \
                 type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
    for wrapper in ["from='me@house' type='error'", "from='me@house' type='chat'"] {
        let Incoming::Message(copy) = carbon(wrapper, "received", inner) else { panic!("{wrapper}") };
        assert_eq!((copy.kind, copy.carbon), (MessageKind::Error, Some(Carbon::Received)));
        assert_eq!(copy.error.unwrap().condition, "gone");
    }
}

#[test]
fn only_the_outermost_carbon_is_unwrapped() {
    let nested = format!(
        "<message xmlns='jabber:client' from='mallory@evil' to='me@house'><sent xmlns='urn:xmpp:carbons:2'><forwarded \
         xmlns='urn:xmpp:forward:0'>{INNER}</forwarded></sent></message>"
    );
    let Incoming::Message(message) = carbon("", "received", &nested) else { panic!("a carbon") };
    assert_eq!((message.from, message.body, message.own), (jid("mallory@evil"), None, false));
    let forwarded = format!("<forwarded xmlns='urn:xmpp:forward:0'>{INNER}</forwarded>");
    let quoted = self::message("from='mallory@evil'", &forwarded);
    assert_eq!((quoted.from, quoted.body), (jid("mallory@evil"), None));
}

fn archived(from: &str, result: &str, content: &str) -> Incoming {
    read(&format!(
        "<message xmlns='jabber:client' {from}><result {result}>{content}</result><body>outside</body></message>"
    ))
}

fn forwarded(content: &str) -> String {
    format!("<forwarded xmlns='urn:xmpp:forward:0'>{content}</forwarded>")
}

const RESULT: &str = "xmlns='urn:xmpp:mam:2' id='28' queryid='q1'";
const STAMP: &str = "<delay xmlns='urn:xmpp:delay' stamp='2020-01-02T03:04:05Z'/>";

/// Rows 44.
#[test]
fn a_result_of_an_archive_is_history_with_the_archives_id() {
    let Incoming::Archived(result) = archived("from='me@house'", RESULT, &forwarded(&format!("{STAMP}{INNER}"))) else {
        panic!("a result was sent")
    };
    assert_eq!((result.from, result.queryid.as_deref(), &*result.id), (jid("me@house"), Some("q1"), "28"));
    let at = "2020-01-02T03:04:05Z".parse().unwrap();
    let message = result.message.unwrap();
    assert_eq!((result.stamp, message.at, message.delayed), (Some(at), at, true));
    assert_eq!((message.stanza_id.as_deref(), message.body.as_deref()), (Some("28"), Some("hi")));
    assert_eq!((message.chat, message.own, message.carbon), (jid("friend@far"), true, None));
    let xml = message.raw.to_xml();
    assert!(xml.contains("<body>hi") && !xml.contains("outside"), "the message that was archived: {xml}");
    assert!(result.weight > xml.len());
    let Incoming::Archived(result) = archived("", RESULT, &forwarded(INNER)) else { panic!("a result was sent") };
    assert_eq!((result.from, result.stamp), (jid("me@house"), None), "no sender is the own account, no stamp is none");
    for (by, expected) in [("", at), ("from='house'", Timestamp::UNIX_EPOCH)] {
        let delay = format!("<delay xmlns='urn:xmpp:delay' {by} stamp='1970-01-01T00:00:00Z'/>");
        let inner = format!("<message xmlns='jabber:client' from='friend@far/x' to='me@house'>{delay}</message>");
        let content = forwarded(&format!("{STAMP}{inner}"));
        let Incoming::Archived(result) = archived("", RESULT, &content) else { panic!("a result was sent") };
        assert_eq!(result.message.unwrap().at, expected, "stamped by its author or by who stored it: {by}");
    }
}

#[test]
fn a_result_without_a_message_that_can_be_read_is_still_one() {
    for content in [
        String::new(),
        forwarded(""),
        forwarded("<message xmlns='urn:else'/>"),
        forwarded("<presence xmlns='jabber:client' from='a@b'/>"),
        forwarded("<message xmlns='jabber:client' from='@@'/>"),
        format!("<forwarded xmlns='urn:xmpp:forward:1'>{INNER}</forwarded>"),
        INNER.to_owned(),
    ] {
        let Incoming::Archived(result) = archived("", RESULT, &content) else { panic!("{content}") };
        assert!(result.message.is_none(), "{content}");
    }
    let old = "xmlns='urn:xmpp:mam:0' id='28' queryid='q1'";
    let long = format!("xmlns='urn:xmpp:mam:2' queryid='q1' id='{}'", "x".repeat(1_025));
    for odd in [old, &long, "xmlns='urn:xmpp:mam:2' queryid='q1'", "xmlns='urn:xmpp:mam:2' queryid='q1' id=''"] {
        assert!(matches!(archived("", odd, &forwarded(INNER)), Incoming::Refused(_)), "{odd}");
    }
}

/// A message of an OMEMO client, a reaction, and a message that claims to be a room's invitation.
#[test]
fn what_is_archived_need_not_have_a_text_and_is_not_followed() {
    let inner =
        |content: &str| format!("<message xmlns='jabber:client' from='friend@far/x' to='me@house'>{content}</message>");
    for content in [
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><payload>AAAA</payload></encrypted>",
        "<x xmlns='jabber:x:conference' jid='room@muc'/>",
        "<result xmlns='urn:xmpp:mam:2' id='1'/>",
    ] {
        let Incoming::Archived(result) = archived("", RESULT, &forwarded(&inner(content))) else { panic!("{content}") };
        let message = result.message.unwrap();
        assert!(message.body.is_none() && message.invite.is_none(), "{content}");
    }
}

/// Rows 43.
#[test]
fn the_end_of_a_page_says_what_the_archive_knows_of_it() {
    let fin = |attributes: &str, set: &str| {
        let set = format!(
            "<fin xmlns='urn:xmpp:mam:2' {attributes}><set xmlns='http://jabber.org/protocol/rsm'>{set}</set></fin>"
        );
        match iq("type='result'", &set) {
            Incoming::Answer(Answer { outcome: Ok(Body::ArchiveFin(fin)), .. }) => fin,
            other => panic!("expected the end of a page, found {other:?}"),
        }
    };
    assert_eq!(
        fin("complete='true'", "<first index='7'>a</first><last>b</last><count>12</count>"),
        ArchiveFin { complete: true, first: Some("a".into()), index: Some(7), last: Some("b".into()), count: Some(12) }
    );
    assert!(fin("complete='1'", "").complete);
    let long = format!("<first index='-1'>{}</first><last/><count>many</count>", "x".repeat(1_025));
    assert_eq!(fin("complete='yes'", &long), ArchiveFin::default());
    let none = iq("type='result'", "<fin xmlns='urn:xmpp:mam:2'/>");
    assert!(matches!(none, Incoming::Answer(Answer { outcome: Ok(Body::ArchiveFin(_)), .. })));
}

#[test]
fn preferences_are_read_with_their_lists() {
    let prefs =
        "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>a@b</jid><jid>@@</jid></always><never/></prefs>";
    let Incoming::Answer(Answer { outcome: Ok(Body::ArchivePreferences(found)), .. }) = iq("type='result'", prefs)
    else {
        panic!("preferences were sent")
    };
    assert_eq!((&*found.default, found.always, found.never), ("roster", vec![jid("a@b")], vec![]));
}

#[test]
fn a_delayed_message_is_history() {
    let message = message("from='a@b'", "<delay xmlns='urn:xmpp:delay' stamp='2020-01-02T03:04:05Z'/>");
    assert!(message.delayed);
    assert_eq!(message.at, "2020-01-02T03:04:05Z".parse().unwrap());
    let fine = "<delay xmlns='urn:xmpp:delay' stamp='2017-11-05T01:41:20.123123123123123-00:00'/>";
    let fine = self::message("from='a@b'", fine);
    assert_eq!(fine.at, "2017-11-05T01:41:20.123123123Z".parse().unwrap(), "XEP-0082 has no limit");
    // Without the zone, which XEP-0082 requires.
    for stamp in ["2017-11-05T01:41:20", "2017-11-05T01:41:20.000", "2017-11-05T01:41:20.000000000000"] {
        let bare = self::message("from='a@b'", &format!("<delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>"));
        assert_eq!((bare.delayed, bare.at), (true, "2017-11-05T01:41:20Z".parse().unwrap()), "{stamp}");
    }
    let odd = self::message("from='a@b'", "<delay xmlns='urn:xmpp:delay' stamp='yesterday'/>");
    assert_eq!((odd.delayed, odd.at), (false, now()));
}

/// RFC 7622, section 3.2: `jid` reads the resource of such an address wrongly, unless its domain is copied when it is
/// prepared.
#[test]
fn the_final_dot_of_a_domain_is_no_part_of_an_address() {
    for (written, same) in [
        ("juliet@example.com./balcony", "juliet@example.com/balcony"),
        ("juliet@example.com.", "juliet@example.com"),
        ("example.com./balcony", "example.com/balcony"),
        ("example.com.", "example.com"),
        ("juliet@xn--mnchen-3ya.de./x", "juliet@xn--mnchen-3ya.de/x"),
    ] {
        assert_eq!(jid(written), jid(same), "{written}");
        assert_eq!(jid(written).resource(), jid(same).resource(), "{written}");
        let message = message(&format!("from='{written}'"), "");
        assert_eq!((message.from, message.chat), (jid(same), jid(same).to_bare().into()), "{written}");
    }
}

/// XEP-0091, which servers wrote before XEP-0203 and some still do.
#[test]
fn what_an_old_service_delayed_is_history() {
    let old = |from: &str| format!("<x xmlns='jabber:x:delay' {from} stamp='20020910T23:08:25'>Offline Storage</x>");
    let at: Timestamp = "2002-09-10T23:08:25Z".parse().unwrap();
    let stored = message("from='a@b'", &old("from='house'"));
    assert_eq!((stored.delayed, stored.at), (true, at));
    let claimed = message("from='room@muc/a' type='groupchat'", &old("from='room@muc/a'"));
    assert_eq!((claimed.delayed, claimed.claimed_at), (false, Some(at)));
    let both = format!("{}<delay xmlns='urn:xmpp:delay' stamp='2020-01-02T03:04:05Z'/>", old(""));
    assert_eq!(message("from='a@b'", &both).at, "2020-01-02T03:04:05Z".parse().unwrap());
    assert!(!message("from='a@b'", "<x xmlns='jabber:x:delay' stamp='yesterday'/>").delayed);
}

proptest! {
    /// This holds for each way in which XEP-0082 permits writing a time.
    #[test]
    fn stamps_are_read_to_the_moment(
        at in 0_i64..4_102_444_800_000,
        offset in -12 * 60..=14 * 60_i64,
        digits in 0..=6_usize,
    ) {
        let at = Timestamp::from_millisecond(at).unwrap();
        let at = if digits < 3 { Timestamp::from_second(at.as_second()).unwrap() } else { at };
        let local = at + jiff::SignedDuration::from_mins(offset);
        let fraction = match digits {
            0..3 => String::new(),
            digits => format!(".{:0<digits$}", format!("{:03}", at.subsec_millisecond())),
        };
        let (sign, minutes) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
        let zone = if offset == 0 { "Z".to_owned() } else { format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60) };
        let stamp = format!("{}{fraction}{zone}", local.strftime("%Y-%m-%dT%H:%M:%S"));
        let message = message("from='a@b'", &format!("<delay xmlns='urn:xmpp:delay' from='house' stamp='{stamp}'/>"));
        prop_assert_eq!((message.at, message.delayed), (at, true), "{}", stamp);
    }
}

/// Rules delayed.
#[test]
fn only_who_stored_a_message_says_that_it_is_history() {
    let stamp = "2020-01-02T03:04:05Z";
    let delayed = |attributes: &str, from: &str| {
        let delay = format!("<delay xmlns='urn:xmpp:delay' {from} stamp='{stamp}'/>");
        let message = message(attributes, &delay);
        assert_eq!(message.at == stamp.parse().unwrap(), message.delayed, "{attributes} {from}");
        // A stamp without an author may be from either.
        assert_eq!(message.claimed_at.is_some(), !message.delayed || from.is_empty());
        message.delayed
    };
    let (chat, room) = ("from='friend@far/x' type='chat'", "from='room@muc/n' type='groupchat'");
    for from in ["", "from='house'", "from='me@house'", "from='Me@House'"] {
        assert!(delayed(chat, from), "{from}");
    }
    for from in
        ["from='friend@far/x'", "from='friend@far'", "from='far'", "from='evil'", "from='me@house/here'", "from='@'"]
    {
        assert!(!delayed(chat, from), "{from}");
    }
    assert!(delayed(room, "from='room@muc'"));
    // Any occupant of the room may have written these.
    for from in ["", "from='room@muc/n'", "from='muc'", "from='house'", "from='me@house'", "from='other@muc'"] {
        assert!(!delayed(room, from), "{from}");
    }
    let both = "<delay xmlns='urn:xmpp:delay' from='evil' stamp='1999-01-01T00:00:00Z'/><delay xmlns='urn:xmpp:delay' \
                from='house' stamp='2020-01-02T03:04:05Z'/>";
    assert_eq!(message(chat, both).at, stamp.parse().unwrap());
    let late = both.replace(" from='evil'", "");
    let late = message(chat, &late);
    assert_eq!(
        (late.at, late.claimed_at),
        (stamp.parse().unwrap(), None),
        "its author stamped it before it was stored"
    );
}

/// Rules carbon.
#[test]
fn a_copy_is_of_what_this_account_sent_or_received() {
    let inner = |from: &str, to: &str| {
        format!("<message xmlns='jabber:client' from='{from}' to='{to}' type='chat'><body>hi</body></message>")
    };
    for (which, from, to, counts) in [
        ("sent", "me@house/phone", "friend@far", true),
        ("received", "friend@far/x", "me@house", true),
        ("received", "me@house/phone", "me@house", true),
        ("sent", "friend@far/x", "me@house", false),
        ("received", "friend@far/x", "other@house", false),
        ("sent", "other@house/x", "friend@far", false),
    ] {
        let outcome = carbon("from='me@house'", which, &inner(from, to));
        assert_eq!(matches!(outcome, Incoming::Message(_)), counts, "{which} {from} {to}");
    }
    let good = inner("friend@far/x", "me@house");
    assert!(matches!(carbon("from='me@house' type='error'", "received", &good), Incoming::Refused(_)));
    let archived =
        "<message xmlns='jabber:client' from='friend@far' to='me@house'><result xmlns='urn:xmpp:mam:2'/></message>";
    assert!(matches!(carbon("from='me@house'", "received", archived), Incoming::Refused(_)));
    // The whole chain of elements must be there, each in its own namespace.
    for wrong in [
        format!("<received xmlns='urn:xmpp:carbons:2'>{good}</received>"),
        format!("<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:x'>{good}</forwarded></received>"),
        format!(
            "<received xmlns='urn:xmpp:carbons:2'><x xmlns='urn:x'><forwarded xmlns='urn:xmpp:forward:0'>{good}</forwarded></x></received>"
        ),
    ] {
        let outcome = read(&format!("<message xmlns='jabber:client' from='me@house'>{wrong}</message>"));
        assert!(matches!(outcome, Incoming::Refused(_)), "{wrong}");
    }
}

#[test]
fn reactions_are_a_set() {
    let read = |content: &str| {
        let xml = format!("<reactions xmlns='urn:xmpp:reactions:0' id='m'>{content}</reactions>");
        message("from='a@b'", &xml).extensions.unwrap().reactions.unwrap().emojis
    };
    assert_eq!(read("<reaction>👍</reaction><reaction>🎉</reaction><reaction>👍</reaction><reaction/>"), ["👍", "🎉"]);
    assert_eq!(read("<reaction>👋  </reaction><reaction>\n👋</reaction><reaction> </reaction>"), ["👋"]);
    assert!(read("").is_empty(), "all are taken back");
    assert_eq!(read(&format!("<reaction>{}</reaction><reaction>👍</reaction>", "x".repeat(65))), ["👍"]);
    assert!(message("from='a@b'", "<reactions xmlns='urn:xmpp:reactions:0'/>").extensions.is_none(), "of nothing");
}

#[test]
fn parts_of_a_body_that_are_only_there_for_others() {
    let read = |content: &str| {
        let xml = format!("<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'>{content}</fallback>");
        message("from='a@b'", &xml).extensions.map(|extensions| extensions.fallback).unwrap_or_default()
    };
    let fallback = |part| vec![Fallback { feature: Some("urn:xmpp:reply:0".to_owned()), part }];
    assert_eq!(read("<body start='0' end='7'/>"), fallback(Some((0, 7))));
    assert_eq!(read("<body/>"), fallback(None));
    assert_eq!(read(""), fallback(None));
    for none in ["<subject/>", "<body start='7' end='0'/>", "<body start='0'/>", "<body start='-1' end='x'/>"] {
        assert!(read(none).is_empty(), "{none}");
    }
    assert_eq!(read(&"<body/>".repeat(20)).len(), 8);
    // Parts in another language belong to another body.
    let both = "<body start='0' end='33'/><body xml:lang='de' start='0' end='40'/>";
    assert_eq!(read(both), fallback(Some((0, 33))));
    assert_eq!(read("<body xml:lang='de' start='0' end='40'/>"), fallback(Some((0, 40))), "better than none");
    let german = format!(
        "<body xml:lang='de'>x</body><fallback xmlns='urn:xmpp:feature-fallback:0' for='urn:xmpp:reply:0'>{both}</fallback>"
    );
    let german =
        message("from='a@b'", &german.replace("<body start", "<body xmlns='urn:xmpp:feature-fallback:0' start"));
    assert_eq!(german.extensions.unwrap().fallback, fallback(Some((0, 40))));
    // Parts without a language belong to a body that has the language of its stanza.
    let english =
        format!("<body>x</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'>{both}</fallback>");
    let english = message("from='a@b' xml:lang='en'", &english);
    assert_eq!(english.extensions.unwrap().fallback, fallback(Some((0, 33))));
}

#[test]
fn ids_that_are_empty_are_none() {
    let found = message(
        "from='a@b' id='7'",
        "<reply xmlns='urn:xmpp:reply:0' id=''/><replace xmlns='urn:xmpp:message-correct:0'/><received \
         xmlns='urn:xmpp:receipts'/><displayed xmlns='urn:xmpp:chat-markers:0' id=''/><origin-id xmlns='urn:xmpp:sid:0' id=''/>",
    );
    assert!(found.extensions.is_none() && found.origin_id.is_none());
}

#[test]
fn an_empty_body_beside_what_says_something_by_itself_is_none() {
    for beside in [
        "<received xmlns='urn:xmpp:receipts' id='1'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>",
    ] {
        assert_eq!(message("from='a@b'", &format!("<body/>{beside}")).body, None, "{beside}");
        let said = message("from='a@b'", &format!("<body>hi</body>{beside}"));
        assert_eq!(said.body.as_deref(), Some("hi"), "{beside}");
    }
    let asks = "<request xmlns='urn:xmpp:receipts'/><store xmlns='urn:xmpp:hints'/>";
    for alone in ["", asks, "<received xmlns='urn:xmpp:receipts'/>"] {
        let said = message("from='a@b'", &format!("<body/>{alone}"));
        assert_eq!(said.body.as_deref(), Some(""), "{alone}");
    }
}

/// An answer must quote the id.
#[test]
fn ids_and_threads_that_cannot_be_sent_are_none() {
    let long = "x".repeat(1_025);
    for odd in ["", "a\u{85}b", long.as_str()] {
        let found = message(
            &format!("from='a@b' id='{odd}'"),
            &format!("<thread parent='p'>{odd}</thread><origin-id xmlns='urn:xmpp:sid:0' id='{odd}'/>"),
        );
        assert_eq!((found.id, found.thread, found.origin_id), (None, None, None), "{odd:.9}");
        assert!(found.extensions.is_none(), "a parent of no thread: {odd:.9}");
        let orphan = message("from='a@b'", &format!("<thread parent='{odd}'>t</thread>"));
        assert_eq!((orphan.thread.as_deref(), orphan.extensions), (Some("t"), None), "{odd:.9}");
        let error = message(&format!("from='a@b' type='error' id='{odd}'"), "");
        assert_eq!(error.id.as_deref(), Some(odd), "what came back was called so");
    }
    let found = message(&format!("from='a@b' id='{}'", &long[1..]), "<thread parent='p'>t</thread>");
    assert_eq!((found.id.as_deref(), found.thread.as_deref()), (Some(&long[1..]), Some("t")));
    assert_eq!(found.extensions.unwrap().thread_parent.as_deref(), Some("p"));
}

/// RFC 6120, section 8.3.1: an error carries the bounced message, which is not said again.
#[test]
fn what_an_error_brings_back_is_not_said_again() {
    let error = message(
        "from='friend@far' type='error' id='7'",
        "<body>hi</body><request xmlns='urn:xmpp:receipts'/><active xmlns='http://jabber.org/protocol/chatstates'/>\
         <delay xmlns='urn:xmpp:delay' stamp='2020-01-02T03:04:05Z'/><x xmlns='jabber:x:conference' jid='room@muc'/>\
         <error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    );
    assert_eq!((error.id.as_deref(), error.chat), (Some("7"), jid("friend@far")));
    assert!(error.extensions.is_none() && error.invite.is_none() && !error.delayed);
    assert_eq!(error.error.unwrap().condition, "gone");
}

#[test]
fn a_message_on_its_way_out_is_ours_and_news() {
    let raw = RawStanza::parse(
        "<message to='friend@far/x' type='chat' id='1'><body>hi</body><delay xmlns='urn:xmpp:delay' \
         stamp='2020-01-02T03:04:05Z'/><stanza-id xmlns='urn:xmpp:sid:0' by='me@house' id='forged'/></message>",
        &jid("me@house/here"),
    );
    let message = raw.unwrap().leaving(&own(), now()).unwrap();
    assert_eq!(
        (&message.from, &message.to, &message.chat),
        (&jid("me@house/here"), &jid("friend@far/x"), &jid("friend@far"))
    );
    assert!(message.own && !message.delayed && message.stanza_id.is_none() && message.at == now());
    assert_eq!(message.body.as_deref(), Some("hi"));
    let said =
        RawStanza::parse("<message to='hall@muc' type='groupchat'><body>hi</body></message>", &jid("me@house/here"));
    let said = said.unwrap().leaving(&own(), now()).unwrap();
    assert_eq!((&said.from, &said.chat), (&jid("me@house/here"), &jid("hall@muc")));
    assert!(said.own && said.nick.is_none(), "the room says what we are called there");
    let presence = RawStanza::parse("<presence/>", &jid("me@house/here")).unwrap();
    assert!(presence.leaving(&own(), now()).is_none());
}

/// Rules duplicate.
#[test]
fn a_stanza_id_counts_only_from_the_archives_own_entity() {
    let ids = "<stanza-id xmlns='urn:xmpp:sid:0' by='mallory@evil' id='bad'/><stanza-id xmlns='urn:xmpp:sid:0' \
               by='me@house' id='mine'/><stanza-id xmlns='urn:xmpp:sid:0' by='room@muc' id='rooms'/><origin-id \
               xmlns='urn:xmpp:sid:0' id='origin'/>";
    let chat = message("from='friend@far/x' type='chat'", ids);
    assert_eq!((chat.stanza_id.as_deref(), chat.origin_id.as_deref()), (Some("mine"), Some("origin")));
    let room = message("from='room@muc/n' type='groupchat'", ids);
    assert_eq!(room.stanza_id.as_deref(), Some("rooms"));
    let shouted = message("type='chat'", "<stanza-id xmlns='urn:xmpp:sid:0' by='Me@HOUSE' id='1'/>");
    assert_eq!(shouted.stanza_id.as_deref(), Some("1"));
    let forged =
        message("from='friend@far/x' type='chat'", "<stanza-id xmlns='urn:xmpp:sid:0' by='friend@far' id='1'/>");
    assert_eq!(forged.stanza_id, None);
    // A server that removes nothing may put its own id before the forged one or behind it.
    for ids in [&["forged", "mine"][..], &["mine", "forged"], &["mine", ""], &["", "mine"], &["1", "2", "3"]] {
        let both = ids.iter().map(|id| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='me@house' id='{id}'/>"));
        let both: String = both.collect();
        assert_eq!(message("from='friend@far/x' type='chat'", &both).stanza_id, None, "{both}");
    }
}

#[test]
fn extensions() {
    let message = message(
        "from='a@b'",
        "<reply xmlns='urn:xmpp:reply:0' id='r' to='x@y'/><replace xmlns='urn:xmpp:message-correct:0' id='old'/>\
         <reactions xmlns='urn:xmpp:reactions:0' id='m'><reaction>👍</reaction><other/></reactions><request \
         xmlns='urn:xmpp:receipts'/><received xmlns='urn:xmpp:receipts' id='got'/><displayed \
         xmlns='urn:xmpp:chat-markers:0' id='seen'/><composing xmlns='http://jabber.org/protocol/chatstates'/>",
    );
    let found = message.extensions.unwrap();
    assert_eq!(found.reply.as_ref().map(|reply| (reply.id.as_str(), reply.to.clone())), Some(("r", Some(jid("x@y")))));
    assert_eq!(found.replace.as_deref(), Some("old"));
    assert_eq!(found.reactions.unwrap().emojis, ["👍"]);
    assert_eq!((found.receipt_requested, found.receipt.as_deref()), (true, Some("got")));
    assert_eq!((found.marker.as_deref(), found.marked.as_deref()), (Some("displayed"), Some("seen")));
    assert_eq!(found.chat_state.as_deref(), Some("composing"));
    let elsewhere = self::message(
        "from='a@b'",
        "<active xmlns='urn:x'/><store xmlns='urn:x'/><odd xmlns='urn:xmpp:hints'/><fallback xmlns='urn:x'/>",
    );
    assert!(elsewhere.extensions.is_none());
}

#[test]
fn roles_and_affiliations_are_words_of_the_xep_or_none() {
    let long = "x".repeat(7_000);
    for (said, read) in [("moderator", "moderator"), ("Moderator", "none"), ("", "none"), (&long, "none")] {
        let x =
            format!("<x xmlns='http://jabber.org/protocol/muc#user'><item role='{said}' affiliation='{said}'/></x>");
        let muc = presence("from='r@muc/n'", &x).muc.unwrap();
        assert_eq!((muc.role.as_str(), muc.affiliation.as_str()), (read, "none"), "{said:.20}");
    }
    let owner =
        presence("from='r@muc/n'", "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner'/></x>");
    let owner = owner.muc.unwrap();
    assert_eq!((owner.role.as_str(), owner.affiliation.as_str()), ("", "owner"), "its role is not said");
}

/// `MongooseIM` 6.2 and 6.3 do this for an arriving occupant; their other presences are like those of other servers.
#[test]
fn a_room_may_say_who_has_come_under_the_name_of_what_asks_to_be_let_in() {
    const ASKS: &str = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='9'/></x>";
    const SAYS: &str = "<x xmlns='http://jabber.org/protocol/muc'><item role='moderator' affiliation='owner' \
                        jid='me@house/here'><reason>tea</reason></item><status code='110'/><status code='201'/></x>";
    let come = presence("from='r@muc/n'", &format!("{ASKS}{SAYS}")).muc.unwrap();
    assert_eq!((come.role.as_str(), come.affiliation.as_str()), ("moderator", "owner"));
    assert_eq!((come.status.as_slice(), come.reason.as_deref()), (&[110, 201][..], Some("tea")));
    assert_eq!(come.jid, Some(jid("me@house/here")));
    let usual = "<x xmlns='http://jabber.org/protocol/muc#user'><item role='visitor'/></x>";
    let both = presence("from='r@muc/n'", &format!("{SAYS}{usual}")).muc.unwrap();
    assert!(both.role == "visitor" && both.status.is_empty(), "what an occupant wrote is not the room's");
    assert_eq!(presence("from='r@muc/n'", ASKS).muc, None);
    // MongooseIM sends this to somebody who is not in the room; it tells no more than a ping would.
    assert_eq!(presence("from='r@muc/n' type='unavailable'", SAYS).muc, None);
}

#[test]
fn a_stamp_of_which_xep_0082_has_no_way_of_writing_is_none() {
    for (stamp, delayed) in [("0000-01-01T00:00:00Z", true), ("-000044-03-15T00:00:00Z", false)] {
        let message = message("from='a@b'", &format!("<delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>"));
        assert_eq!(message.delayed, delayed, "{stamp}");
    }
}

#[test]
fn errors_keep_odd_conditions() {
    let message = message(
        "from='a@b' type='error'",
        "<error type='modify'><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text><very-odd \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    );
    let error = message.error.unwrap();
    assert_eq!(
        (error.condition.as_str(), error.kind.as_str(), error.text.as_deref()),
        ("very-odd", "modify", Some("no"))
    );
    assert!(error.xml.contains("very-odd"));
    let PresenceKind::Error(error) = presence("from='r@muc/n' type='error'", "").kind else { panic!("an error") };
    assert_eq!(error.condition, "undefined-condition");
    let error = self::message("from='r@muc' type='error' id='7'", "<body>what came back</body>").error;
    assert_eq!(
        error.map(|error| error.condition).as_deref(),
        Some("undefined-condition"),
        "nor need a message say why"
    );
    assert!(self::message("from='a@b'", "<error type='cancel'/>").error.is_none());
}

/// The contract defines five.
#[test]
fn what_to_do_about_an_error_is_one_of_the_words_of_the_rfc() {
    for (said, read) in [("type='wait'", "wait"), ("type='please'", "cancel"), ("type=''", "cancel"), ("", "cancel")] {
        let error = format!("<error {said}><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>");
        assert_eq!(message("from='a@b' type='error'", &error).error.unwrap().kind, read, "{said}");
        let PresenceKind::Error(error) = presence("from='r@muc/n' type='error'", &error).kind else {
            panic!("an error")
        };
        assert_eq!((error.kind.as_str(), error.condition.as_str()), (read, "conflict"), "{said}");
    }
}

#[test]
fn of_what_an_error_says_the_text_without_a_language_comes_first() {
    let text =
        |lang: &str, text: &str| format!("<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' {lang}>{text}</text>");
    let (plain, cs, de) = (text("", "full"), text("xml:lang='cs'", "plno"), text("xml:lang='de'", "voll"));
    for (texts, first) in [(format!("{cs}{plain}{de}"), "full"), (format!("{de}{cs}"), "voll")] {
        let error = format!(
            "<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{texts}</error>"
        );
        let error = message("from='r@muc' type='error'", &error).error.unwrap();
        assert_eq!(error.text.as_deref(), Some(first));
    }
}

/// A room is remembered with its error, and a thousand calls may wait for it.
#[test]
fn an_error_is_kept_as_far_as_anybody_reads() {
    let (words, more) = ("é".repeat(5_000), "x".repeat(20_000));
    let error = message(
        "from='r@muc' type='error'",
        &format!(
            "<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{words}</text><more xmlns='urn:x'>{more}</more></error>"
        ),
    );
    let error = error.error.unwrap();
    assert_eq!((error.condition.as_str(), error.kind.as_str()), ("resource-constraint", "wait"));
    assert_eq!(error.text.as_ref().map(String::len), Some(4_096));
    let is_short = error.xml.len() < 1_000 && error.xml.contains("<resource-constraint") && error.xml.contains("wait");
    assert!(is_short, "{:.2000}", error.xml);
    assert!(error.text.is_some_and(|text| text.capacity() < 5_000), "nor is there room for the rest");
}

#[test]
fn xml_is_written_as_far_as_it_may_be_long() {
    let element: Element = "<x xmlns='urn:x' a='1'>é<y xmlns='urn:y'/></x>".parse().unwrap();
    let whole = String::from(&element);
    assert_eq!(xml_within(&element, whole.len()), Some(whole.clone()));
    for less in 0..whole.len() {
        assert_eq!(xml_within(&element, less), None);
    }
}

#[test]
fn who_is_gone_may_say_where_to() {
    let to = |condition: &str, text: &str| {
        let condition = format!("<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{text}</{condition}>");
        message("from='r@muc' type='error'", &format!("<error type='cancel'>{condition}</error>"))
            .error
            .unwrap()
            .gone_to
    };
    for uri in ["xmpp:s@muc?join", "xmpp:s@muc", " xmpp:s@muc/nick "] {
        let there = Some("s@muc".parse().unwrap());
        assert_eq!((to("gone", uri), to("redirect", uri)), (there.clone(), there), "{uri}");
    }
    for (condition, uri) in [
        ("gone", ""),
        ("gone", "xmpp:"),
        ("gone", "s@muc"),
        ("gone", "https://s.muc/"),
        ("gone", "xmpp:a%20b@muc"),
        ("conflict", "xmpp:s@muc"),
    ] {
        assert_eq!(to(condition, uri), None, "{condition} {uri}");
    }
}

#[test]
fn invitations_come_from_the_room_or_the_inviter() {
    let mediated = "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='friend@far/x'><reason>tea</reason>\
                    </invite><password>p</password></x>";
    let invite = message("from='room@muc'", mediated).invite.unwrap();
    assert_eq!((invite.room.as_str(), invite.from), ("room@muc", jid("friend@far/x")));
    assert_eq!((invite.reason.as_deref(), invite.password.as_deref()), (Some("tea"), Some("p")));
    // Services add the older form without inviter and reason, and some write it first.
    let older = "<x xmlns='jabber:x:conference' jid='room@muc'/>";
    for both in [format!("{older}{mediated}"), format!("{mediated}{older}")] {
        let invite = message("from='room@muc'", &both).invite.unwrap();
        assert_eq!((invite.from, invite.reason.as_deref()), (jid("friend@far/x"), Some("tea")));
        assert_eq!(invite.password.as_deref(), Some("p"));
    }
    assert!(message("from='mallory@evil/x'", mediated).invite.is_none());
    assert!(message("from='room@muc' type='groupchat'", mediated).invite.is_none());
    let direct = message("from='friend@far/x'", "<x xmlns='jabber:x:conference' jid='room@muc' reason='tea'/>");
    let invite = direct.invite.unwrap();
    assert_eq!((invite.room.as_str(), invite.from), ("room@muc", jid("friend@far/x")));
    assert!(message("from='friend@far/x'", "<x xmlns='jabber:x:conference' jid='@@'/>").invite.is_none());
    // Before there was an attribute for it, the reason was the text.
    for (x, reason) in [
        ("<x xmlns='jabber:x:conference' jid='room@muc'>\n come over </x>", Some("come over")),
        ("<x xmlns='jabber:x:conference' jid='room@muc' reason='tea'>come over</x>", Some("tea")),
        ("<x xmlns='jabber:x:conference' jid='room@muc' reason=''/>", None),
        ("<x xmlns='jabber:x:conference' jid='room@muc'>\n</x>", None),
    ] {
        let invite = message("from='friend@far/x'", x).invite.unwrap();
        assert_eq!((invite.reason.as_deref(), invite.from), (reason, jid("friend@far/x")), "{x}");
    }
}

#[test]
fn what_is_between_an_occupant_and_us_says_so() {
    let x = |content: &str| format!("<x xmlns='http://jabber.org/protocol/muc#user'>{content}</x>");
    let is = |kind: &str, x: &str| message(&format!("from='room@muc/n' type='{kind}'"), x).of_occupant;
    assert!(is("chat", &x("")) && is("chat", &x("<item role='visitor'/>")));
    assert!(!is("groupchat", &x("")) && !is("error", &x("")) && !is("chat", "<x xmlns='urn:other'/>"));
    assert!(!is("normal", &x("<invite from='a@b'/>")) && !is("normal", &x("<decline from='a@b'/>")));
}

#[test]
fn a_no_to_an_invitation_comes_from_the_room() {
    let no = "<x xmlns='http://jabber.org/protocol/muc#user'><decline from='hecate@far'><reason>too busy</reason>\
              </decline></x>";
    let told = message("from='room@muc' to='me@house/here'", no);
    assert!(told.invite.is_none() && told.body.is_none());
    let told = told.declined.unwrap();
    assert_eq!((told.room.as_str(), told.from, told.to), ("room@muc", jid("hecate@far"), jid("me@house")));
    assert_eq!(told.reason.as_deref(), Some("too busy"));
    for from in ["from='mallory@evil/x'", "from='room@muc/hecate'", "from='room@muc' type='groupchat'"] {
        assert!(message(from, no).declined.is_none(), "{from}");
    }
}

#[test]
fn presences() {
    let away = presence("from='a@b/c'", "<show>xa</show><status>out</status><priority>-5</priority>");
    assert_eq!((away.show, away.status.as_deref(), away.priority), (Some(Show::Xa), Some("out"), -5));
    assert_eq!((away.kind, away.muc), (PresenceKind::Available, None));
    assert_eq!(presence("type='subscribe'", "").kind, PresenceKind::Subscribe);
}

#[test]
fn occupants() {
    let user = |content: &str| {
        let x = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{content}</x>");
        *presence("from='room@muc/n'", &x).muc.unwrap()
    };
    let kicked = user(
        "<item affiliation='member' role='none' jid='a@b/c' nick='new'><actor nick='boss'/><reason>rude</reason></item>\
         <status code='110'/><status code='307'/><status code='many'/>",
    );
    assert_eq!((kicked.affiliation.as_str(), kicked.role.as_str()), ("member", "none"));
    assert_eq!(
        (kicked.jid, kicked.nick.as_deref(), kicked.reason.as_deref()),
        (Some(jid("a@b/c")), Some("new"), Some("rude"))
    );
    assert_eq!((kicked.status, kicked.destroyed), (vec![110, 307], None));
    let destroyed = user("<item/><destroy jid='other@muc'><reason>over</reason></destroy>");
    assert_eq!((destroyed.affiliation.as_str(), destroyed.reason.as_deref()), ("", Some("over")), "it is not said");
    assert_eq!(destroyed.destroyed, Some(Some("other@muc".parse().unwrap())));
    let bare = user("<destroy/>");
    assert_eq!((bare.destroyed, bare.role.as_str(), bare.affiliation.as_str()), (Some(None), "", ""));
}

#[test]
fn every_request_is_owed_an_answer() {
    let query = |attributes: &str, content: &str| match iq(attributes, content) {
        Incoming::Request(request) => request.query,
        other => panic!("expected a request, found {other:?}"),
    };
    assert_eq!(query("type='get' from='a@b'", "<ping xmlns='urn:xmpp:ping'/>"), Query::Ping);
    assert_eq!(
        query("type='get'", "<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>"),
        Query::DiscoInfo { node: Some("n".to_owned()) }
    );
    assert_eq!(
        query("type='get'", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
        Query::DiscoItems { node: None }
    );
    assert_eq!(query("type='get'", "<query xmlns='jabber:iq:version'/>"), Query::Version);
    assert_eq!(query("type='get'", "<time xmlns='urn:xmpp:time'/>"), Query::Time);
    for (attributes, content, namespace, name) in [
        ("type='get'", "<query xmlns='jabber:iq:roster'/>", "jabber:iq:roster", "query"),
        ("type='set'", "<ping xmlns='urn:xmpp:ping'/>", "urn:xmpp:ping", "ping"),
        ("type='get'", "<x xmlns='urn:x'><y/></x>", "urn:x", "x"),
    ] {
        let Query::Foreign { is_set, payload } = query(attributes, content) else { panic!("{content}") };
        assert_eq!(
            (is_set, payload.namespace().as_str(), payload.name()),
            (attributes.contains("set"), namespace, name)
        );
    }
    // A plugin's answer must fit next to it.
    let long = format!("<iq xmlns='jabber:client' id='{}' type='get'><x xmlns='urn:x'/></iq>", "x".repeat(1_025));
    assert!(matches!(read(&long), Incoming::Request(Request { query: Query::Other, .. })));
}

/// Rules roster-push.
#[test]
fn roster_pushes_count_only_from_the_own_account() {
    let push = |from: &str, items: &str| {
        iq(&format!("type='set' {from}"), &format!("<query xmlns='jabber:iq:roster' ver='9'>{items}</query>"))
    };
    let item = "<item jid='friend@far' name='F' subscription='from' ask='subscribe'><group>g</group></item>";
    for from in ["", "from='me@house'"] {
        let Incoming::Request(request) = push(from, item) else { panic!("a push") };
        let expected = RosterItem {
            jid: "friend@far".parse().unwrap(),
            name: Some("F".to_owned()),
            subscription: "from".to_owned(),
            ask: true,
            groups: vec!["g".to_owned()],
        };
        let Query::RosterPush { version, item, of_client: false, xml } = request.query else { panic!("a push") };
        assert_eq!((version.as_deref(), item), (Some("9"), expected));
        assert!(xml.starts_with("<iq") && xml.contains("friend@far") && xml.contains("<group>g</group>"), "{xml}");
    }
    for from in ["mallory@evil", "house", "me@house/other", "me@evil"] {
        let pushed = push(&format!("from='{from}'"), item);
        assert!(matches!(pushed, Incoming::Request(Request { query: Query::Other, .. })), "{from}");
    }
    for odd in ["", "<item/>", "<item jid='@@'/>", "<item jid='a@b'/><item jid='c@d'/>"] {
        assert!(matches!(push("", odd), Incoming::Request(Request { query: Query::Malformed, .. })), "{odd}");
    }
}

/// RFC 6121, section 2.1.2: unknown values are ignored, but not the whole item.
#[test]
fn an_odd_entry_of_a_roster_is_read_as_far_as_it_goes() {
    let read = |item: &str| {
        let roster = format!("<query xmlns='jabber:iq:roster'>{item}</query>");
        match iq("type='result'", &roster) {
            Incoming::Answer(Answer { outcome: Ok(Body::Roster { version: None, mut items }), .. }) => items.pop(),
            other => panic!("expected a roster, found {other:?}"),
        }
    };
    let long = "é".repeat(1_000);
    for (item, subscription, groups) in [
        ("<item jid='a@b/c'/>", "none", 0),
        ("<item jid='a@b' subscription='sideways' ask='unsubscribe' approved='maybe' odd=''/>", "none", 0),
        ("<item jid='a@b' subscription='remove'/>", "none", 0),
        ("<item jid='a@b'><group>x</group><group/><group>x</group><group>y</group><odd/></item>", "none", 2),
        (&format!("<item jid='a@b' name='{long}'>{}</item>", "<group>x</group><group>y</group>".repeat(99)), "none", 2),
    ] {
        let read = read(item).unwrap();
        assert_eq!((read.jid.as_str(), read.subscription.as_str(), read.ask), ("a@b", subscription, false), "{item}");
        assert_eq!(read.groups.len(), groups);
        assert!(read.name.is_none_or(|name| name.len() == 1_022), "cut between characters");
    }
    assert_eq!(read("<item name='nobody'/>"), None);
}

#[test]
fn answers_say_what_the_host_understands_and_keep_the_rest() {
    let answer = |attributes: &str, content: &str| match iq(attributes, content) {
        Incoming::Answer(answer) => answer,
        other => panic!("expected an answer, found {other:?}"),
    };
    assert_eq!(answer("type='result'", "").outcome, Ok(Body::Empty));
    let roster = "<query xmlns='jabber:iq:roster' ver='3'><item jid='a@b'/><item jid='@@'/></query>";
    let Ok(Body::Roster { version, items }) = answer("type='result'", roster).outcome else { panic!("a roster") };
    assert_eq!((version.as_deref(), items.len()), (Some("3"), 1));
    let disco = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im' \
                 xml:lang='en'/><feature var='urn:x'/><odd/></query>";
    let Ok(Body::Disco(Disco { identities, features, .. })) = answer("type='result'", disco).outcome else { panic!() };
    assert_eq!((identities[0].kind.as_str(), identities[0].lang.as_deref()), ("im", Some("en")));
    assert_eq!(features, ["urn:x"]);
    let card = answer("type='result'", "<vCard xmlns='vcard-temp'><FN>x</FN></vCard>");
    assert!(matches!(card.outcome, Ok(Body::Card { card, .. }) if card.full_name.as_deref() == Some("x")));
    let other = answer("type='result' from='a@b'", "<unknown xmlns='urn:unknown'/>");
    assert_eq!((other.outcome, other.from), (Ok(Body::Other), Some(jid("a@b"))));
    assert!(other.raw.to_xml().contains("unknown"));
    let error = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let error = answer("type='error'", error).outcome.unwrap_err();
    assert_eq!((error.condition.as_str(), error.kind.as_str()), ("item-not-found", "cancel"));
}

fn any_jid() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        "me@house",
        "me@house/here",
        "house",
        "mallory@evil/x",
        "room@muc/Nick",
        "@@",
        "me@evil",
    ])
    .prop_map(str::to_owned)
}

fn any_element() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "sent",
        "received",
        "result",
        "forwarded",
        "message",
        "x",
        "invite",
        "item",
        "status",
        "destroy",
        "delay",
        "error",
        "stanza-id",
        "query",
        "reply",
        "reactions",
        "reaction",
        "displayed",
        "composing",
        "text",
        "ping",
        "reason",
    ]);
    let namespace = prop::sample::select(vec![
        "urn:xmpp:carbons:2",
        "urn:xmpp:forward:0",
        "jabber:client",
        "urn:xmpp:mam:2",
        "urn:xmpp:sid:0",
        "urn:xmpp:delay",
        "http://jabber.org/protocol/muc#user",
        "jabber:x:conference",
        "jabber:iq:roster",
        "urn:xmpp:bookmarks:1",
        "http://jabber.org/protocol/pubsub#event",
        "jabber:x:data",
        "urn:xmpp:receipts",
        "urn:xmpp:reactions:0",
        "urn:ietf:params:xml:ns:xmpp-stanzas",
        "http://jabber.org/protocol/disco#info",
    ]);
    let attribute = prop::sample::select(vec!["jid", "from", "by", "id", "code", "stamp", "type", "node"]);
    let leaf = "[a-z0-9]{0,4}".prop_map(|text| text);
    leaf.prop_recursive(5, 24, 3, move |inner| {
        (name.clone(), namespace.clone(), attribute.clone(), any_jid(), prop::collection::vec(inner, 0..3)).prop_map(
            |(name, namespace, attribute, value, children)| {
                format!("<{name} xmlns='{namespace}' {attribute}='{value}'>{}</{name}>", children.concat())
            },
        )
    })
}

/// Generates what somebody may write as an id.
fn any_id() -> impl Strategy<Value = String> {
    let long = prop::sample::select(vec![1_024_usize, 1_025]).prop_map(|length| "x".repeat(length));
    prop_oneof!["[a-z \u{7f}-\u{9f}é]{0,4}", long]
}

proptest! {
    #[test]
    fn whatever_somebody_calls_it_can_be_answered(
        kind in prop::sample::select(vec!["chat", "normal", "headline", "groupchat"]),
        ids in [any_id(), any_id(), any_id(), any_id()],
    ) {
        let [id, origin, thread, parent] = ids;
        let message = message(
            &format!("from='friend@far/x' type='{kind}' id='{id}'"),
            &format!("<thread parent='{parent}'>{thread}</thread><origin-id xmlns='urn:xmpp:sid:0' id='{origin}'/>"),
        );
        let thread_parent = message.extensions.and_then(|extensions| extensions.thread_parent);
        for id in [None, message.id, message.origin_id] {
            let reply = id.map(|id| ReplyTo { id, to: Some(message.from.clone()) });
            let extensions = Extensions { thread_parent: thread_parent.clone(), reply, ..Extensions::default() };
            let (body, thread) = (Some("hi".to_owned()), message.thread.clone());
            let draft = Draft { body, thread, extensions: Some(Box::new(extensions)), ..Draft::default() };
            prop_assert_eq!(crate::draft::check_draft(&draft), Ok(()));
        }
    }

    #[test]
    fn nothing_makes_it_panic_and_nobody_speaks_for_the_account(
        stanza in prop::sample::select(vec!["message", "presence", "iq"]),
        kind in prop::sample::select(vec!["", "chat", "groupchat", "error", "headline", "get", "set", "result", "subscribe"]),
        from in any_jid(),
        content in prop::collection::vec(any_element(), 0..4),
    ) {
        let from_attribute = if from.is_empty() { String::new() } else { format!("from='{from}'") };
        let kind = if kind.is_empty() { String::new() } else { format!("type='{kind}'") };
        let xml = format!("<{stanza} xmlns='jabber:client' id='1' {kind} {from_attribute}>{}</{stanza}>", content.concat());
        let parsed = xml.parse::<Element>().ok().and_then(|element| Stanza::try_from(element).ok());
        prop_assume!(parsed.is_some());
        let trusted = from.is_empty() || from == "me@house";
        match decode(parsed.unwrap(), &own(), now()) {
            Incoming::Message(message) => {
                prop_assert!(trusted || message.carbon.is_none());
                let sender = jid(if from.is_empty() { "me@house" } else { &from });
                prop_assert!(message.carbon.is_some() || message.from == sender);
                prop_assert_eq!(message.chat.resource(), None);
                let _ = message.raw.to_xml();
            }
            Incoming::Request(request) => {
                let is_push = matches!(request.query, Query::RosterPush { .. });
                prop_assert!(trusted || !is_push);
            }
            // The sender is kept, so that the session can compare it with the recipient of its request.
            Incoming::Archived(result) => {
                prop_assert_eq!(result.from, jid(if from.is_empty() { "me@house" } else { &from }));
            }
            Incoming::Bookmarks(_) => prop_assert!(trusted),
            Incoming::Presence(_) | Incoming::Answer(_) | Incoming::Refused(_) => {}
        }
    }
}

#[test]
fn presence_claims_what_its_sender_can_do() {
    let c = |attributes: &str| {
        presence("from='a@b/c'", &format!("<c xmlns='http://jabber.org/protocol/caps' {attributes}/>")).caps
    };
    let caps = c("hash='sha-1' node='urn:n' ver='v'").unwrap();
    assert_eq!((&*caps.hash, &*caps.node, &*caps.ver), ("sha-1", "urn:n", "v"));
    assert!(c("node='urn:n' ver='v'").is_none(), "the older form");
    assert!(c("hash='sha-1' node='urn:n' ver=''").is_none());
    assert!(presence("from='a@b/c'", "").caps.is_none());
}

#[test]
fn forms_in_disco_are_those_that_are_results() {
    let field = "<field var='FORM_TYPE' type='hidden'><value>urn:f</value></field><field var='a'><value>1</value>\
                 <value/></field><field><value>nameless</value></field>";
    let disco = format!(
        "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:a'/><feature/><x \
         xmlns='jabber:x:data' type='result'>{field}</x><x xmlns='jabber:x:data' type='form'>{field}</x><x \
         xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>urn:f</value></field></x></query>"
    );
    let Incoming::Answer(answer) = iq("type='result'", &disco) else { panic!() };
    let Ok(Body::Disco(Disco { features, forms, .. })) = answer.outcome else { panic!() };
    assert_eq!(features, ["urn:a"]);
    assert_eq!(forms.len(), 2);
    assert_eq!(forms[0].form_type.as_deref(), Some("urn:f"));
    assert_eq!(
        (forms[0].fields[1].var.as_str(), &forms[0].fields[1].values[..]),
        ("a", &["1".into(), String::new()][..])
    );
    assert_eq!(forms[1].form_type, None, "only a hidden field says what a form is about");
}

#[test]
fn items_are_those_with_an_address_and_no_node() {
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'><item jid='muc.b'/><item jid='x.b' node='n'/>\
                 <item jid='@@'/><item/><item jid='y.b' node=''/></query>";
    let Incoming::Answer(answer) = iq("type='result'", items) else { panic!() };
    assert_eq!(answer.outcome, Ok(Body::Items(vec![jid("muc.b"), jid("y.b")])));
}

fn body_of(content: &str) -> Body {
    match iq("type='result' from='r@muc'", content) {
        Incoming::Answer(answer) => answer.outcome.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rooms_form_is_read_field_by_field() {
    let form = |kind: &str, fields: &str| {
        body_of(&format!(
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='{kind}'>\
             <title>t</title>{fields}</x></query>"
        ))
    };
    let fields = "<field type='fixed'><value>words</value></field><field var='a'/><field><value>nameless</value></field>\
                  <field var='b' type='list-multi'><value>1</value><value>2</value><option label='x'><value>1</value>\
                  </option><option><value>2</value></option></field>";
    let Body::RoomForm(read) = form("form", fields) else { panic!("a form") };
    assert_eq!(
        read.iter().map(|field| (&*field.var, &*field.kind)).collect::<Vec<_>>(),
        [("a", "text-single"), ("b", "list-multi")]
    );
    assert_eq!((read[1].values.join(","), read[1].options.join(",")), ("1,2".to_owned(), "1,2".to_owned()));
    for kind in ["cancel", "result", "submit", "nonsense"] {
        assert_eq!(form(kind, fields), Body::Other, "{kind}");
    }
    let many = "<field var='f'/>".repeat(10_000);
    let Body::RoomForm(read) = form("form", &many) else { panic!("a form") };
    assert_eq!(read.len(), crate::types::MAX_FORM_FIELDS + 1);
    for other in [
        "<query xmlns='http://jabber.org/protocol/muc#owner'/>",
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='urn:other' type='form'/></query>",
        "<query xmlns='urn:other'><x xmlns='jabber:x:data' type='form'/></query>",
    ] {
        assert_eq!(body_of(other), Body::Other, "{other}");
    }
}

#[test]
fn affiliations_are_read_one_by_one() {
    let list = body_of(
        "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner' jid='a@b/c' nick='A'/>\
         <item affiliation='owner' jid='@@'/><item jid='x@y'/><other/><item affiliation='outcast' jid='x@y'>\
         <reason>rude</reason></item></query>",
    );
    let Body::Affiliations(people) = list else { panic!("{list:?}") };
    let shown: Vec<_> = people.iter().map(|one| (one.jid.as_str(), &*one.affiliation, one.reason.as_deref())).collect();
    assert_eq!(shown, [("a@b", "owner", None), ("x@y", "outcast", Some("rude"))]);
}

#[test]
fn names_in_a_roster_take_no_more_room_than_is_kept_of_them() {
    let item = format!("<item jid='a@b' name='{0}'><group>{0}</group></item>", "x".repeat(5_000));
    let roster = body_of(&format!("<query xmlns='jabber:iq:roster'>{item}</query>"));
    let Body::Roster { items, .. } = roster else { panic!("{roster:?}") };
    for name in [items[0].name.as_ref().unwrap(), &items[0].groups[0]] {
        assert_eq!(name.len(), RosterItem::LONGEST_NAME);
        assert!(name.capacity() < 2_000, "what is cut off takes no room");
    }
}

#[test]
fn bookmarks_are_read_from_all_places() {
    let item = |id: &str, autojoin: &str| {
        format!(
            "<item id='{id}'><conference xmlns='urn:xmpp:bookmarks:1' name='R' autojoin='{autojoin}'><nick>Puck</nick>\
             <extensions><x xmlns='urn:other'/></extensions></conference></item>"
        )
    };
    let items = [item("r@muc", "1"), item("@@", "true"), item("s@muc", "false"), item("t@muc", "true")].concat();
    let all = body_of(&format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'>{items}<item id='u@muc'/>\
         </items></pubsub>"
    ));
    let Body::Bookmarks(all) = all else { panic!("{all:?}") };
    let shown: Vec<_> = all.iter().map(|one| (one.room.as_str(), one.autojoin, one.nick.as_deref())).collect();
    assert_eq!(shown, [("r@muc", true, Some("Puck")), ("s@muc", false, Some("Puck")), ("t@muc", true, Some("Puck"))]);
    assert!(all[0].extensions.as_ref().unwrap().contains("urn:other") && !all[0].is_cut);
    let long = item("r@muc", "1").replace("<x ", &format!("<y>{}</y><x ", "x".repeat(16 << 10)));
    let long = format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'>{long}</items></pubsub>"
    );
    let Body::Bookmarks(long) = body_of(&long) else { panic!("{long}") };
    assert!(long[0].extensions.is_none() && long[0].is_cut);
    let storage = "<storage xmlns='storage:bookmarks'><url url='x'/><conference jid='r@muc' autojoin='true'>\
                   <nick>Puck</nick><password>p</password></conference></storage>";
    let node = |items: &str| {
        format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='storage:bookmarks'>{items}</items></pubsub>"
        )
    };
    for old in [
        format!("<query xmlns='jabber:iq:private'>{storage}</query>"),
        node(&format!("<item id='current'>{storage}</item>")),
    ] {
        let Body::Bookmarks(old) = body_of(&old) else { panic!("{old}") };
        assert_eq!((old.len(), old[0].autojoin, old[0].password.as_deref()), (1, true, Some("p")));
    }
    assert_eq!(body_of(&node("")), Body::Bookmarks(Vec::new()));
    let other = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:other'/></pubsub>";
    assert!(matches!(body_of(other), Body::NodeItems(page) if page.items.is_empty()));
}

#[test]
fn only_the_own_account_says_that_bookmarks_changed() {
    use crate::types::BookmarkChange;
    let notice = |from: &str, content: &str| {
        read(&format!(
            "<message xmlns='jabber:client' {from}><event xmlns='http://jabber.org/protocol/pubsub#event'>{content}\
             </event></message>"
        ))
    };
    let set = "<items node='urn:xmpp:bookmarks:1'><item id='r@muc'><conference xmlns='urn:xmpp:bookmarks:1' \
               autojoin='true'/></item><retract id='s@muc'/></items>";
    for from in ["from='me@house'", ""] {
        let Incoming::Bookmarks(changes) = notice(from, set) else { panic!("bookmarks") };
        assert!(
            matches!(&changes[..], [BookmarkChange::Set(set), BookmarkChange::Removed(gone)]
            if set.autojoin && gone.as_str() == "s@muc"),
            "{changes:?}"
        );
        for end in ["purge", "delete"] {
            let Incoming::Bookmarks(changes) = notice(from, &format!("<{end} node='urn:xmpp:bookmarks:1'/>")) else {
                panic!("bookmarks")
            };
            assert_eq!(changes, [BookmarkChange::AllRemoved]);
        }
        assert!(matches!(notice(from, "<items node='urn:other'/>"), Incoming::Message(_)));
    }
    for from in ["mallory@evil", "house", "me@house/other", "r@muc/me@house"] {
        assert!(matches!(notice(&format!("from='{from}'"), set), Incoming::Message(_)), "{from}");
    }
}
