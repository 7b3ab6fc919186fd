//! Tests of repairing elements that the library does not accept.

use super::*;
use crate::sieve::Sieve;

/// Returns what the library reads from a stanza; `None` if it reads nothing.
fn mended(xml: &str) -> Option<String> {
    let (mut sieve, mut out) = (Sieve::default(), Vec::new());
    sieve.push(b"<stream:stream>", &mut out).unwrap();
    out.clear();
    sieve.push(xml.as_bytes(), &mut out).unwrap();
    let stanza = Stanza::try_from(parse(&out)?).ok()?;
    let element: Element = match stanza {
        Stanza::Message(message) => message.into(),
        Stanza::Presence(presence) => presence.into(),
        Stanza::Iq(iq) => iq.into(),
    };
    Some(String::from(&element))
}

#[test]
fn a_good_stanza_is_left_as_it_is() {
    for xml in [
        "<message from='a@b/c' type='chat' xml:lang='de'><body>hallo</body><subject>gruß</subject></message>",
        "<presence from='a@b/c'><show>away</show><priority>-3</priority></presence>",
        "<iq from='a@b/c' id='1' type='error'><error type='wait'><conflict \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
    ] {
        assert_eq!(mend(xml.as_bytes()), None);
        assert!(mended(xml).is_some());
    }
}

#[test]
fn an_error_stays_an_answer_however_odd_it_is() {
    let stanzas = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";
    for (error, wanted) in [
        (String::new(), "undefined-condition"),
        ("<error/>".to_owned(), "undefined-condition"),
        ("<error code='409'/>".to_owned(), "<conflict"),
        ("<error code='500'/>".to_owned(), "type='wait'"),
        ("<error code='502'/>".to_owned(), "type='wait'"),
        ("<error code='404' type='cancel'>Not Found</error>".to_owned(), ">Not Found<"),
        (format!("<error type='odd'><item-not-found {stanzas}/></error>"), "item-not-found"),
        (format!("<error type='cancel'><teapot {stanzas}/></error>"), ">teapot<"),
        (format!("<error type='cancel'><teapot {stanzas}/><text {stanzas}> </text></error>"), ">teapot<"),
        (format!("<error type='cancel'><teapot {stanzas}/><text {stanzas}>short and stout</text></error>"), "stout"),
        (format!("<error type='cancel'><gone {stanzas}/><a xmlns='u:a'/><b xmlns='u:b'/></error>"), "gone"),
        (format!("<x xmlns='u:x'/><y xmlns='u:y'/><error type='wait'><conflict {stanzas}/></error>"), "conflict"),
    ] {
        let xml = mended(&format!("<iq from='a@b' id='7' type='error'>{error}</iq>"));
        let xml = xml.unwrap_or_else(|| panic!("{error} was not mended"));
        assert!(xml.contains(wanted) && xml.contains("id='7'") && xml.contains("from='a@b'"), "{xml}");
    }
}

/// Bifröst answers so if it does not find a vCard.
#[test]
fn an_error_in_the_payload_is_that_of_the_answer() {
    let xml = mended(
        "<iq from='a@b' id='7' type='error'><vCard xmlns='vcard-temp'><error type='cancel' code='404'><item-not-found \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></vCard></iq>",
    );
    let xml = xml.expect("a readable answer");
    assert_eq!(xml.matches("<item-not-found").count(), 2, "{xml}");
    assert!(!xml.contains("undefined-condition"), "{xml}");
}

/// RFC 6120, section 8.3.2: one such condition is permitted; the library refuses two.
#[test]
fn an_error_keeps_who_found_it_and_the_first_condition_of_its_own() {
    let error = |by: &str| {
        mended(&format!(
            "<iq from='a@b' id='7' type='error'><error type='auth' by='{by}'><forbidden \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><a xmlns='u:a'>why</a><b xmlns='u:b'/></error></iq>"
        ))
    };
    let xml = error("room@muc").unwrap();
    for kept in ["type='auth'", "by='room@muc'", "forbidden", "<a xmlns='u:a'>why</a>"] {
        assert!(xml.contains(kept), "{kept}: {xml}");
    }
    assert!(!xml.contains("u:b"), "{xml}");
    let xml = error("@@").unwrap();
    assert!(xml.contains("forbidden") && xml.contains("u:a") && !xml.contains("@@"), "{xml}");
}

/// RFC 6120, sections 8.3.3.5 and 8.3.3.14.
#[test]
fn an_error_keeps_where_to_go_instead() {
    for (condition, wanted) in [("gone", true), ("redirect", true), ("conflict", false)] {
        let xml = mended(&format!(
            "<iq from='a@b' id='7' type='error'><error type='modify'><{condition} \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:there@muc</{condition}><a xmlns='u:a'/><b xmlns='u:b'/>\
             </error></iq>"
        ));
        let xml = xml.unwrap_or_else(|| panic!("{condition} was lost"));
        assert!(xml.contains(condition) && xml.contains("xmpp:there@muc") == wanted, "{xml}");
    }
}

/// RFC 6120, sections 8.2.3 and 8.3.3.1: a request has one child and a valid type.
#[test]
fn a_request_that_cannot_be_read_stays_a_request() {
    for (kind, payload) in [
        ("type='get'", ""),
        ("type='get'", "text"),
        ("type='set'", "<a xmlns='u:a'/><b xmlns='u:b'/>"),
        ("type='get'", "<ping xmlns='urn:xmpp:ping'/>text<ping xmlns='urn:xmpp:ping'/>"),
        ("type='subscribe'", "<a xmlns='u:a'/>"),
        ("", "<a xmlns='u:a'/>"),
    ] {
        let xml = mended(&format!("<iq from='a@b' id='7' {kind}>{payload}</iq>"));
        let xml = xml.unwrap_or_else(|| panic!("{kind} {payload} was not mended"));
        assert!(xml.contains("urn:parlor:malformed") && xml.contains("id='7'") && xml.contains("from='a@b'"), "{xml}");
    }
    // Without an id or a sender, an answer is impossible.
    assert_eq!(mended("<iq from='a@b' type='get'/>"), None);
    assert_eq!(mended("<iq from='a@b' type='odd'><a xmlns='u:a'/></iq>"), None);
    assert_eq!(mended("<iq id='7' type='odd'><a xmlns='u:a'/></iq>"), None);
    // Text has no meaning, and does not cost the sender its answer.
    let both = mended("<iq from='a@b' id='7' type='get'>text<a xmlns='u:a'/></iq>").unwrap();
    assert!(both.contains("u:a") && !both.contains("text"), "{both}");
    assert!(mended("<iq from='a@b' id='7' type='result'>text<a xmlns='u:a'/></iq>").unwrap().contains("u:a"));
}

/// Some servers push changes without an id, which RFC 6120, section 8.2.3, demands.
#[test]
fn a_change_of_the_roster_needs_no_id() {
    let xml = mended("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>").unwrap();
    assert!(xml.contains("jid='a@b'") && xml.contains(" id=''"), "{xml}");
    assert_eq!(mended("<iq type='set'><a xmlns='u:a'/></iq>"), None);
}

/// RFC 6120, section 8.2.3: a result has at most one child. The requester gets the first.
#[test]
fn an_answer_with_too_much_in_it_is_an_answer() {
    let xml = mended("<iq from='a@b' id='7' type='result'><a xmlns='u:a'/><b xmlns='u:b'/></iq>").unwrap();
    assert!(xml.contains("u:a") && !xml.contains("u:b"), "{xml}");
}

#[test]
fn a_message_keeps_what_came_first() {
    let xml = mended(
        "<message from='a@b' type='odd'>stray<body>one</body><body xml:lang='de'>drei</body><thread>1</thread>\
         <thread>2</thread><body xmlns='u:x'/></message>",
    )
    .unwrap();
    assert!(xml.contains("one") && xml.contains("drei") && xml.contains("u:x"), "{xml}");
    for lost in ["stray", "<thread>2", "odd"] {
        assert!(!xml.contains(lost), "{lost}: {xml}");
    }
}

/// RFC 6121, section 5.2.3: a text without a language has that of the stanza, or of the stream.
#[test]
fn of_several_texts_the_one_without_a_language_can_be_told() {
    let stanzas = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";
    for xml in [
        "<message from='a@b' xml:lang='en'><body xml:lang='cs'>čaj</body><body>tea</body></message>".to_owned(),
        "<message from='a@b' xml:lang='en'><subject>tea</subject><subject xml:lang='cs'>čaj</subject></message>"
            .to_owned(),
        "<presence from='a@b/c' xml:lang='en'><status>tea</status><status xml:lang='cs'>čaj</status></presence>"
            .to_owned(),
        format!(
            "<iq from='a@b' id='7' type='error' xml:lang='en'><error type='wait'><conflict {stanzas}/>\
             <text {stanzas}>tea</text><text {stanzas} xml:lang='cs'>čaj</text></error></iq>"
        ),
    ] {
        let read = mended(&xml).unwrap_or_else(|| panic!("{xml} was lost"));
        assert!(read.contains(">tea<") && read.contains(">čaj<") && read.contains("xml:lang='cs'"), "{read}");
        assert!(!read.contains("'en'"), "{read}");
        // Nor does it take the language of the stream.
        let given = mend(xml.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
        assert!(given.is_some_and(|given| given.contains("xml:lang=''")), "{xml}");
    }
}

/// RFC 6121, section 5.2.3 permits one text in each language. Clients show the first. If the library kept the last, a
/// sender could show one text to people and another to bots.
#[test]
fn of_several_texts_in_one_language_the_first_is_kept_and_all_are_noted() {
    for (stanza, text) in [("message", "body"), ("message", "subject"), ("presence", "status")] {
        let xml = format!(
            "<{stanza} from='a@b'><{text} xml:lang='en'>1</{text}><{text}>2</{text}><{text} xml:lang='en'>3</{text}>\
             <{text} xmlns='urn:x'>4</{text}></{stanza}>"
        );
        let read = mended(&xml).unwrap_or_else(|| panic!("{xml} was lost"));
        let (texts, noted) = read.split_once("<texts ").unwrap_or_else(|| panic!("nothing is noted: {read}"));
        assert!(texts.contains(">1<") && texts.contains(">2<") && !texts.contains(">3<"), "{read}");
        assert!(texts.contains(">4<") && !noted.contains(">4<"), "{read}");
        let places: Vec<_> = [">1<", ">2<", ">3<"].map(|one| noted.find(one)).into();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{read}");
    }
    let one = "<message from='a@b'><body>1</body><subject>2</subject></message>";
    assert!(!mended(one).unwrap().contains("texts"));
}

#[test]
fn a_presence_is_not_lost_over_a_detail() {
    for detail in
        ["<show>odd</show>", "<show/>", "<priority>200</priority>", "<show>dnd</show><show>xa</show>", "stray"]
    {
        let xml = mended(&format!(
            "<presence from='r@m/n' type='unavailable'>{detail}<x xmlns='http://jabber.org/protocol/muc#user'/></presence>"
        ));
        let xml = xml.unwrap_or_else(|| panic!("{detail} was not mended"));
        assert!(xml.contains("muc#user") && xml.contains("type='unavailable'"), "{xml}");
    }
}

#[test]
fn white_space_around_what_a_presence_says_means_nothing() {
    let xml = "<presence from='a@b/c'>\n <show>\n dnd\t</show>\n <priority> 5 </priority>\n <show>xa</show></presence>";
    let xml = mended(xml).expect("it means something");
    assert!(xml.contains("<show>dnd</show>") && xml.contains("<priority>5</priority>"), "{xml}");
}

/// Some clients write the type that others omit; Tigase and `MongooseIM` pass it on.
#[test]
fn who_says_in_so_many_words_to_be_there_is_there() {
    let xml = mended("<presence from='a@b/c' type='available'><show>away</show><x xmlns='urn:x'/></presence>");
    let xml = xml.expect("it means something");
    assert!(xml.contains("away") && xml.contains("urn:x") && !xml.contains("available"), "{xml}");
    assert_eq!(mended("<presence from='a@b/c' type='invisible'/>"), None, "that means nothing");
}

/// A stranger chooses the prefixes, and servers pass them on.
#[test]
fn a_stanza_is_mended_whatever_prefixes_it_declares() {
    for declared in [
        "xmlns:stream='urn:y'",
        "xmlns:stream='http://etherx.jabber.org/streams'",
        "xmlns:xml='http://www.w3.org/XML/1998/namespace'",
        "xmlns:root='urn:y'",
        "xmlns:tns0='urn:y' root:a='1'",
        "xmlns:d='http://www.w3.org/2000/xmlns/' d:tns0=''",
    ] {
        let x = format!("<x xmlns='urn:x' {declared}>text<y/></x><x xmlns='http://www.w3.org/2000/xmlns/'/>");
        let root = "xmlns:root='urn:root' from='a@b' type='odd'";
        let xml = mended(&format!("<message {root}><body xml:lang='de'>hallo</body>{x}</message>"));
        let xml = xml.unwrap_or_else(|| panic!("{declared} was not mended"));
        assert!(xml.contains("urn:x") && xml.contains(">text<") && xml.contains("xml:lang='de'"), "{xml}");
        assert!(!xml.contains("2000/xmlns") && !xml.contains("xmlns:x"), "{xml}");
        assert!(
            mended(&format!("<presence from='a@b'><show>odd</show>{x}</presence>")).is_some()
                || declared.contains("root:")
        );
    }
}

/// RFC 3920, section 4.7.3.
#[test]
fn a_condition_of_before_is_known_by_its_name_of_today() {
    let xml = format!("<stream:error><xml-not-well-formed xmlns='{}'/></stream:error>", ns::XMPP_STREAMS);
    let condition = "not-well-formed".to_owned();
    assert_eq!(stream_error(xml.as_bytes()), Lost::Stream { condition, text: None, elsewhere: None });
}

/// Some programs break the lines of what they write, or write an empty text.
#[test]
fn the_layout_of_a_stream_error_is_none_of_its_words() {
    let read = |text: &str, place: &str| {
        let xml = format!(
            "<stream:error><see-other-host xmlns='{0}'>{place}</see-other-host><text xmlns='{0}'>{text}</text></stream:error>",
            ns::XMPP_STREAMS
        );
        stream_error(xml.as_bytes())
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let lost = |text, elsewhere| Lost::Stream {
        condition: "see-other-host".to_owned(),
        text: owned(text),
        elsewhere: owned(elsewhere),
    };
    assert_eq!(read("\n  moved\n", "\n  b.house:5222\n"), lost(Some("moved"), Some("b.house:5222")));
    assert_eq!(read(" ", ""), lost(None, None));
}

/// XEP-0440, section 3: a client uses a type that it knows. RFC 6120, section 4.3.2: unknown features are ignored.
#[test]
fn features_of_another_day_hide_none_of_those_that_are_known() {
    let given = |more: &str| {
        let (mut sieve, mut out) = (Sieve::default(), Vec::new());
        sieve.push(b"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>", &mut out).unwrap();
        out.clear();
        let known = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism></mechanisms>\
                     <sm xmlns='urn:xmpp:sm:3'/>";
        sieve.push(format!("<stream:features>{known}{more}</stream:features>").as_bytes(), &mut out).unwrap();
        StreamFeatures::try_from(parse(&out).unwrap()).ok()
    };
    let good = given("").unwrap();
    for more in [
        "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>0</max-bytes></limits>",
        "<limits xmlns='urn:xmpp:stream-limits:0'><idle-seconds>99999999999</idle-seconds></limits>",
        "<authentication xmlns='urn:xmpp:sasl:2'><inline><bind xmlns='urn:xmpp:bind:0'><inline><feature/></inline></bind></inline></authentication>",
        "<register xmlns='http://jabber.org/features/iq-register'><optional/></register>",
        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms><sm xmlns='urn:xmpp:sm:3'/>",
    ] {
        assert_eq!(given(more).as_ref(), Some(&good), "{more}");
    }
    let types = "<channel-binding type='tls-of-tomorrow'/><channel-binding type='tls-exporter'/><channel-binding/>";
    let bindings = given(&format!("<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>{types}</sasl-channel-binding>"));
    let bindings = bindings.unwrap();
    assert_eq!(bindings.sasl_cb.unwrap().types, [xmpp_parsers::sasl_cb::Type::TlsExporter]);
    // The hash covers all types (XEP-0474).
    let noted: Vec<_> = bindings.others[0].children().map(|one| one.attr("type")).collect();
    assert!(bindings.others[0].is(BINDINGS, NOTES.as_str()), "{:?}", bindings.others);
    assert_eq!(noted, [Some("tls-of-tomorrow"), Some("tls-exporter"), None]);
    // Nothing else is left out.
    let other = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>";
    assert_eq!(given(other).unwrap().others.len(), 1);
}

/// Prosody 13 with a `smacks_hibernation_time` of `"never"`, Prosody on Lua 5.4 with a quotient, and other possible
/// values.
#[test]
fn a_session_that_is_kept_for_an_odd_time_is_managed() {
    let declared = "xmlns:xml='http://www.w3.org/XML/1998/namespace'";
    let enabled_for =
        |max: &str| format!("<enabled xmlns='{}' {declared} id='one' resume='true' max='{max}'/>", ns::SM);
    for odd in ["inf", "5400.0", "-1", ""] {
        let mended = enabled(enabled_for(odd).as_bytes()).unwrap();
        let read = Enabled::try_from(parse(&mended).unwrap()).unwrap();
        assert_eq!((read.id.map(|id| id.0), read.resume, read.max), (Some("one".to_owned()), true, None), "{odd}");
    }
    // The element may declare any prefix, like stanzas.
    for declared in ["xmlns:xml='http://www.w3.org/XML/1998/namespace'", "xmlns:d='http://www.w3.org/2000/xmlns/'"] {
        let odd = enabled_for("inf").replace(" id=", &format!(" {declared} id="));
        let read = Enabled::try_from(parse(&enabled(odd.as_bytes()).unwrap()).unwrap()).unwrap();
        assert_eq!((read.resume, read.max), (true, None), "{declared}");
    }
    assert_eq!(enabled(enabled_for("600").as_bytes()), None);
    assert_eq!(enabled(b"<enabled xmlns='urn:other' max='inf'/>"), None);
}
