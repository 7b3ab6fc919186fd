//! Tests that the fast parser reads messages in simple XML like the library.

use proptest::prelude::*;

use super::*;
use crate::fuzz::tests::{pieces, stanzas};
use crate::sieve::{Sieve, Whole};
use crate::stream::{Read, StreamReader};

const OWN: &str = "me@house/parlor";

fn header(lang: &str) -> String {
    format!("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'{lang}>")
}

/// Reads a stanza as it is read without this module.
fn by_the_library(text: &str, lang: &str) -> Option<Stanza> {
    let mut reader = StreamReader::behind(header(lang).as_bytes()).unwrap();
    let mut rest = text.as_bytes();
    match reader.read(&mut rest) {
        Ok(Read::Element(Ok(stanza))) if rest.is_empty() => Some(stanza),
        _ => None,
    }
}

fn plain(text: &str, lang: Option<&str>) -> Option<PlainMessage> {
    // An address that is read again is the same.
    let (element, mut addresses) = (|| PlainElement::read(text.as_bytes()), Addresses::default());
    let lang = lang.map(Arc::from);
    let first = PlainMessage::of(element()?, lang.as_ref(), &mut addresses);
    let second = PlainMessage::of(element()?, lang.as_ref(), &mut addresses);
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    second
}

#[test]
fn an_address_is_remembered_only_as_it_is_written() {
    let mut addresses = Addresses::default();
    for at in 0..20 {
        for (text, read) in [("You@FAR/x", "you@far/x"), ("you@far/x", "you@far/x"), ("a@b", "a@b")] {
            assert_eq!(addresses.read(text).unwrap().as_str(), read);
        }
        assert_eq!(addresses.read(&format!("u{at}@far")).unwrap().as_str(), format!("u{at}@far"));
        assert!(addresses.read("@").is_none());
    }
    assert!(addresses.recent.iter().flatten().all(|known| !known.as_str().contains("FAR")));
}

/// Checks that a text is read here as by the library, or not at all. Returns whether it is read.
fn is_read_alike(text: &str, lang: Option<&str>) -> bool {
    let (own, now) = (OWN.parse().unwrap(), Timestamp::UNIX_EPOCH);
    let Some(message) = plain(text, lang) else { return false };
    let declared = lang.map(|lang| format!(" xml:lang='{lang}'")).unwrap_or_default();
    let stanza = by_the_library(text, &declared).unwrap_or_else(|| panic!("the library does not read {text:?}"));
    let (here, there) = (message.decode(&own, now), decode(stanza, &own, now));
    assert_eq!(format!("{here:?}"), format!("{there:?}"), "{text}");
    let (here, there) = match (here, there) {
        (Incoming::Message(here), Incoming::Message(there)) => (here, there),
        (Incoming::Archived(here), Incoming::Archived(there)) => (here.message.unwrap(), there.message.unwrap()),
        (here, _) => panic!("{here:?}: {text}"),
    };
    assert_eq!(here.raw.weight(), there.raw.weight(), "{text}");
    assert_eq!(here.raw.stanza(), there.raw.stanza(), "{text}");
    assert_eq!(here.raw.to_xml(), there.raw.to_xml(), "{text}");
    is_passed(text);
    true
}

/// Checks that the sieve passes a text as it is, so that it makes no difference whether it sees it.
fn is_passed(text: &str) {
    let (mut sieve, mut out) = (Sieve::within_a_stream(), Vec::new());
    assert!(sieve.is_between_elements());
    let passed = sieve.push_one(text.as_bytes(), &mut out);
    assert_eq!(passed, Ok((text.len(), Some(Whole::Message))), "{text}");
    assert_eq!(out, text.as_bytes(), "{text}");
    assert!(sieve.is_between_elements() && sieve.farewell().is_none());
}

const TYPICAL: &str = "<message type='chat' id='5b' to='me@house/parlor' from='you@far/x' xml:lang='en'><body>Fish &amp; \
     chips &lt;3</body><origin-id id='5b' xmlns='urn:xmpp:sid:0'/><request xmlns='urn:xmpp:receipts'/><markable \
     xmlns='urn:xmpp:chat-markers:0'/><active xmlns='http://jabber.org/protocol/chatstates'/><stanza-id \
     xmlns='urn:xmpp:sid:0' by='me@house' id='01'/></message>";

#[test]
fn what_servers_send_is_read() {
    assert!(is_read_alike(TYPICAL, Some("en")));
    for inside in [
        "",
        "<body/>",
        "<body xml:lang='de'>a\nb\tc ]] d</body><subject>s</subject><thread parent='p'>t</thread>",
        "<body>é ï \u{ffff0}</body><delay xmlns='urn:xmpp:delay' from='house' stamp='2020-01-01T00:00:00Z'/>",
        "<x xmlns='jabber:x:delay' stamp='20200101T00:00:00'/><body>old</body>",
        "<received xmlns='urn:xmpp:receipts' id='7'/><store xmlns='urn:xmpp:hints'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='7'/>",
        "<reply xmlns='urn:xmpp:reply:0' id='7' to='a@b/c'/><fallback xmlns='urn:xmpp:fallback:0' \
         for='urn:xmpp:reply:0'><body start='0' end='3'/><body xml:lang='en' start='1' end='2'/></fallback>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='7'><reaction>a</reaction><reaction>b</reaction></reactions>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='7'/><body>gone</body><store xmlns='urn:xmpp:hints'/>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='7'><moderated xmlns='urn:xmpp:message-moderate:1' \
         by='hall@muc/m'><occupant-id xmlns='urn:xmpp:occupant-id:0' id='o'/></moderated><reason>so</reason></retract>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='7'><moderated xmlns='urn:xmpp:message-moderate:0' by='hall@muc/m'>\
         <retract xmlns='urn:xmpp:message-retract:0'/><reason>so</reason></moderated></apply-to>",
        "<body xml:lang='de'>x</body><spoiler xmlns='urn:xmpp:spoiler:0'>a</spoiler><unstyled xmlns='urn:xmpp:styling:0'/>\
         <spoiler xmlns='urn:xmpp:spoiler:0' xml:lang='de'>b</spoiler>",
        "<replace xmlns='urn:xmpp:message-correct:0' id='7'/><other xmlns='urn:x'><in><side/></in>",
    ] {
        let whole = format!("<message type='chat' from='you@far/x'>{inside}</message>");
        let is_whole = !inside.ends_with("<in><side/></in>");
        assert_eq!(is_read_alike(&whole, None), is_whole, "{whole}");
        let room = format!("<message type='groupchat' from='hall@muc/you' id='1'>{inside}</message>");
        assert_eq!(is_read_alike(&room, Some("de")), is_whole, "{room}");
        let by_room = format!("<message type='groupchat' from='hall@muc' id='1'>{inside}</message>");
        assert_eq!(is_read_alike(&by_room, Some("de")), is_whole, "{by_room}");
    }
}

/// Returns the answer of an archive with this message.
fn result(head: &str, message: &str) -> String {
    format!(
        "<message to='me@house/parlor'><result xmlns='urn:xmpp:mam:2' queryid='q' id='7'{head}><forwarded \
         xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-20T06:24:00Z'/>{message}</forwarded>\
         </result></message>"
    )
}

/// XEP-0313, section 4.2.
#[test]
fn what_archives_send_is_read() {
    let inner = TYPICAL.replace(" xml:lang='en'", " xmlns='jabber:client'");
    for lang in [None, Some("en")] {
        assert!(is_read_alike(&result("", &inner), lang));
        assert!(is_read_alike(&result("", &inner.replace("chat'", "groupchat'").replace("you@far", "hall@muc")), lang));
        assert!(is_read_alike(&result(" odd='1'", "<message xmlns='jabber:client'/>"), lang));
        assert!(is_read_alike(&result("", &inner.replace("<body>", "<body xml:lang='de'>")), lang));
    }
    let of_occupant =
        |from: &str| result("", &inner).replacen("<message", &format!("<message type='groupchat' from='{from}'"), 1);
    assert!(is_read_alike(&of_occupant("hall@muc"), None));
    assert!(!is_read_alike(&of_occupant("hall@muc/you"), None), "the library reads it");
    let without_stamp = result("", &inner).replace("<delay xmlns='urn:xmpp:delay' stamp='2026-11-20T06:24:00Z'/>", "");
    assert!(is_read_alike(&without_stamp, None));
    assert!(is_read_alike(
        &without_stamp.replace("<body>", "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/><body>"),
        None
    ));
    for odd in [
        result("", TYPICAL),
        result("", &inner.replace("<message", "<message xml:lang='de'")),
        result("", &inner.replace("<message", "<message type='error'").replace(" type='chat'", "")),
        result("", &format!("{inner}{inner}")),
        result("", "<message xmlns='jabber:client'><x xmlns='http://jabber.org/protocol/muc#user'/></message>"),
        result("", ""),
        result("", &result("", &inner).replace("<message to", "<message xmlns='jabber:client' to")),
        result("", &inner).replace(" id='7'", ""),
        result("", &inner).replace(" id='7'", " id=''"),
        result("", &inner).replace("mam:2", "mam:1"),
        result("", &inner).replace("forward:0", "forward:1"),
        result("", &inner).replace("<result", "<body>a</body><result"),
        result("", &inner).replace("<message to", "<message type='error' to"),
        result("", &inner).replace("<delay", "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/><delay"),
    ] {
        assert!(plain(&odd, None).is_none(), "{odd}");
    }
}

#[test]
fn what_has_rules_of_its_own_is_left_to_the_library() {
    for inside in [
        "<received xmlns='urn:xmpp:carbons:2'/>",
        "<sent xmlns='urn:xmpp:carbons:2'/>",
        "<result xmlns='urn:xmpp:mam:2' id='1'/>",
        "<event xmlns='http://jabber.org/protocol/pubsub#event'/>",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>",
        "<x xmlns='http://jabber.org/protocol/muc#user'/>",
        "<x xmlns='jabber:x:conference' jid='a@b'/>",
        "<error type='cancel'/>",
        "<body>a</body><body xml:lang='de'>b</body>",
        "<body>a</body><body>b</body>",
        "<thread>a</thread><thread>b</thread>",
        "<body><b/></body>",
        "<body odd='1'>a</body>",
        "text",
        "<y xmlns='urn:y'>a<z/></y>",
        "<y xmlns='urn:y'><z/>a</y>",
        "<p:y xmlns:p='urn:y'/>",
        "<y xmlns='urn:y' p:a='1'/>",
        "<y xmlns=''/>",
        "<y xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<y xmlns='urn:y' a='1' a='2'/>",
        "<y xmlns='urn:y' a='1\n2'/>",
        "<y xmlns='urn:y' a='<'/>",
        "<y xmlns='urn:y' a=1/>",
        "<y xmlns='urn:y' a='1'b='2'/>",
        "<body>&#65;</body>",
        "<body>&bomb;</body>",
        "<body>]]></body>",
        "<body>\u{1}</body>",
        "<body>a\rb</body>",
        "<body>\u{fffe}</body>",
        "<body><![CDATA[a]]></body>",
        "<body><!-- a --></body>",
        "<body>a</bodyx>",
        "<body>a</ body>",
        "<body>a",
    ] {
        let whole = format!("<message type='chat' from='you@far/x'>{inside}</message>");
        assert!(plain(&whole, None).is_none(), "{whole}");
    }
    let note = format!("<message><cut xmlns='{}'/></message>", NOTES.as_str());
    assert!(plain(&note, None).is_none());
    for head in ["type='error'", "type='odd'", "from='@'", "to='a@b@c'", "odd='1'", "xmlns='urn:x'", "xmlns:a='urn:x'"]
    {
        assert!(plain(&format!("<message {head}/>"), None).is_none(), "{head}");
    }
    for whole in
        ["<presence/>", "<message/><message/>", "<message/> ", " <message/>", "<message", "", "<", "</message>"]
    {
        assert!(plain(whole, None).is_none(), "{whole}");
    }
}

#[test]
fn what_comes_behind_an_element_does_not_matter() {
    for rest in ["", "<", "<message", "&", "\u{1}", " "] {
        let (element, length) = PlainElement::first(format!("{TYPICAL}{rest}").as_bytes()).unwrap();
        assert_eq!((&**element.text(), length), (TYPICAL, TYPICAL.len()));
    }
    for length in 0..TYPICAL.len() {
        assert!(PlainElement::first(&TYPICAL.as_bytes()[..length]).is_none(), "{length}");
    }
    assert!(PlainElement::first(b"<message><body>\xff</body></message>").is_none());
    assert!(PlainElement::first(b"<message><body>a</body></message>\xff").is_some());
}

#[test]
fn what_is_near_a_limit_is_passed_or_left_to_the_library() {
    let many = |count: usize, one: &str| one.repeat(count);
    let long = |length: usize| "a".repeat(length);
    let attributes = |count: usize| (0..count).map(|at| format!(" a{at}='1'")).collect::<Vec<_>>().concat();
    for (inside, is_read) in [
        (many(490, "<y xmlns='urn:y'/>"), true),
        (many(510, "<y xmlns='urn:y'/>"), false),
        (format!("<y xmlns='urn:y'>{}{}</y>", many(29, "<a>"), many(29, "</a>")), true),
        (format!("<y xmlns='urn:y'>{}{}</y>", many(33, "<a>"), many(33, "</a>")), false),
        (format!("<y xmlns='urn:y'{}/>", attributes(15)), true),
        (format!("<y xmlns='urn:y'{}/>", attributes(17)), false),
        (format!("<y xmlns='urn:y' a='{}'/>", long(2_048)), true),
        (format!("<y xmlns='urn:y' a='{}'/>", long(2_049)), false),
        (format!("<y xmlns='urn:y' {}='1'/>", long(128)), true),
        (format!("<y xmlns='urn:y' {}='1'/>", long(129)), false),
        (format!("<y xmlns='{}'/>", long(256)), true),
        (format!("<y xmlns='{}'/>", long(257)), false),
        (format!("<body>{}</body>", long(60_000)), true),
        (format!("<body>{}</body>", long(70_000)), false),
        (format!("<body>{}</body>", many(9_000, "&amp;")), true),
    ] {
        assert_eq!(
            is_read_alike(&format!("<message from='you@far/x'>{inside}</message>"), None),
            is_read,
            "{inside:.60}"
        );
    }
}

/// Each of its devices has a key, also in what the room reflects of the account's own messages.
#[test]
fn a_message_that_is_encrypted_for_a_room_of_many_devices_is_read_here() {
    let key = format!("<key rid='7' prekey='true'>{}</key>", "abcd".repeat(62));
    let header = format!("<header sid='1'>{}<iv>YWJjYWJjYWJjYWJj</iv></header>", key.repeat(150));
    let encrypted =
        format!("<encrypted xmlns='eu.siacs.conversations.axolotl'>{header}<payload>YWJj</payload></encrypted>");
    let message = format!("<message type='groupchat' from='hall@muc/x'><body>no</body>{encrypted}</message>");
    assert!(is_read_alike(&message, None));
}

/// Generates messages, most of them in simple XML.
fn messages() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        4 => "[a-zA-Z0-9 .,!?äß]{0,12}",
        1 => "\\PC{0,6}",
        2 => prop::sample::select(vec!["&amp;", "&lt;b&gt;", "&apos;&quot;", "]]", "]]>", "&#65;", "\n", "\u{85}", "\u{7f}"])
            .prop_map(str::to_owned),
    ];
    let texts = prop::collection::vec(text, 0..3).prop_map(|texts| texts.concat());
    let value = texts.clone().prop_map(|text| text.replace(['\'', '<'], ""));
    let head = prop::collection::vec(
        prop_oneof![
            prop::sample::select(vec!["chat", "groupchat", "normal", "headline", "error", "odd"])
                .prop_map(|kind| format!(" type='{kind}'")),
            prop::sample::select(vec!["me@house", "house", "me@house/parlor", "you@far/x", "Hall@MUC/ä", "@", ""])
                .prop_map(|from| format!(" from='{from}'")),
            prop::sample::select(vec!["me@house", "me@house/parlor", "you@far"]).prop_map(|to| format!(" to=\"{to}\"")),
            value.clone().prop_map(|id| format!(" id='{id}'")),
            prop::sample::select(vec!["de", "en", ""]).prop_map(|lang| format!(" xml:lang='{lang}'")),
            Just(" xmlns='jabber:client'".to_owned()),
        ],
        0..5,
    );
    let names = vec![
        ("body", ""),
        ("body", " xml:lang='de'"),
        ("subject", ""),
        ("thread", ""),
        ("thread", " parent='p'"),
        ("origin-id", " xmlns='urn:xmpp:sid:0'"),
        ("stanza-id", " xmlns='urn:xmpp:sid:0' by='me@house'"),
        ("stanza-id", " xmlns='urn:xmpp:sid:0' by='hall@muc'"),
        ("delay", " xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'"),
        ("delay", " xmlns='urn:xmpp:delay' from='house' stamp='2021-01-01T00:00:00Z'"),
        ("x", " xmlns='jabber:x:delay' stamp='20200101T00:00:00'"),
        ("x", " xmlns='http://jabber.org/protocol/muc#user'"),
        ("markable", " xmlns='urn:xmpp:chat-markers:0'"),
        ("displayed", " xmlns='urn:xmpp:chat-markers:0'"),
        ("received", " xmlns='urn:xmpp:receipts'"),
        ("request", " xmlns='urn:xmpp:receipts'"),
        ("composing", " xmlns='http://jabber.org/protocol/chatstates'"),
        ("no-store", " xmlns='urn:xmpp:hints'"),
        ("replace", " xmlns='urn:xmpp:message-correct:0'"),
        ("reply", " xmlns='urn:xmpp:reply:0' to='a@b/c'"),
        ("fallback", " xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'"),
        ("reactions", " xmlns='urn:xmpp:reactions:0'"),
        ("reaction", " xmlns='urn:xmpp:reactions:0'"),
        ("body", " xmlns='urn:xmpp:fallback:0' start='0' end='2'"),
        ("odd", " xmlns='urn:x'"),
        ("odd", ""),
    ];
    let child = (prop::sample::select(names), prop::option::of(value)).prop_map(|((name, attributes), id)| {
        let id = id.map(|id| format!(" id='{id}'")).unwrap_or_default();
        (name, format!("{attributes}{id}"))
    });
    let leaf = (child.clone(), texts).prop_map(|((name, attributes), text)| match text.as_str() {
        "" => format!("<{name}{attributes}/>"),
        text => format!("<{name}{attributes}>{text}</{name}>"),
    });
    let element = prop_oneof![
        4 => leaf.clone(),
        1 => (child, prop::collection::vec(leaf, 1..3))
            .prop_map(|((name, attributes), inside)| format!("<{name}{attributes}>{}</{name}>", inside.concat())),
    ];
    (head, prop::collection::vec(element, 0..5)).prop_map(|(mut head, inside)| {
        head.sort();
        head.dedup_by_key(|one| one.split('=').next().unwrap_or_default().to_owned());
        format!("<message{}>{}</message>", head.concat(), inside.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_message_is_read_as_the_library_reads_it(text in messages(), lang in prop::sample::select(vec![None, Some("de"), Some("")])) {
        is_read_alike(&text, lang);
    }

    #[test]
    fn an_archives_message_is_read_as_the_library_reads_it(text in messages(), lang in prop::option::of(Just("de"))) {
        is_read_alike(&result("", &text.replacen("<message", "<message xmlns='jabber:client'", 1)), lang);
    }

    #[test]
    fn whatever_comes_is_read_as_the_library_reads_it(text in pieces()) {
        is_read_alike(&text, None);
        is_read_alike(&format!("<message{text}</message>"), None);
        is_read_alike(&format!("<message>{text}</message>"), None);
    }

    #[test]
    fn whatever_a_stanza_declares_it_is_read_as_the_library_reads_it(text in stanzas()) {
        is_read_alike(&text, None);
    }

    #[test]
    fn a_message_with_one_other_character_is_read_as_the_library_reads_it(at in 0..TYPICAL.len(), other: char) {
        let (before, after) = TYPICAL.split_at(at);
        is_read_alike(&format!("{before}{other}{after}"), None);
        is_read_alike(&format!("{before}{other}{}", &after[1..]), None);
        is_read_alike(&format!("{before}{}", &after[1..]), None);
    }

    #[test]
    fn a_message_with_another_sign_is_read_as_the_library_reads_it(at in 0..TYPICAL.len(), other in "[<>&'\"/= a:;\\]\n\t\r-]") {
        let (before, after) = TYPICAL.split_at(at);
        is_read_alike(&format!("{before}{other}{after}"), None);
        is_read_alike(&format!("{before}{other}{}", &after[1..]), None);
    }
}
