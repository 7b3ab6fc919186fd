//! Tests of stanzas that plugins write by hand.

use proptest::prelude::*;

use super::*;
use crate::testing::jid;

fn parse(xml: &str) -> Result<RawStanza, CallError> {
    RawStanza::parse(xml, &jid("bot@house/here"))
}

fn refused(xml: &str) -> String {
    match parse(xml) {
        Err(CallError::Invalid { argument, reason }) => format!("{argument}: {reason}"),
        other => panic!("{xml:.100} gave {other:?}"),
    }
}

#[test]
fn one_stanza_is_read_and_written_anew() {
    let stanza =
        parse(" <message to='a@b'  type=\"chat\"><body>1 &lt; 2</body><x xmlns='urn:x' y='z'/></message>\n").unwrap();
    assert_eq!((stanza.kind(), stanza.to(), stanza.is_request()), ("message", Some(jid("a@b")), false));
    let xml = stanza.to_xml();
    assert!(xml.contains("1 &lt; 2") && xml.contains("urn:x"), "{xml}");
    assert_eq!(parse(&xml).unwrap().to_xml(), xml);
    let iq = parse("<iq type='get' id='1' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>").unwrap();
    assert!(iq.is_request() && iq.to().is_none() && iq.kind() == "iq");
    assert_eq!(iq.with_id("2").id(), Some("2"));
    assert_eq!(iq.id(), Some("1"));
    assert_eq!(parse("<presence/>").unwrap().kind(), "presence");
}

#[test]
fn the_sender_is_this_account_or_nobody() {
    for from in ["", "from='bot@house'", "from='bot@house/here'", "from='BOT@House/here'"] {
        let stanza = parse(&format!("<message {from} to='a@b'/>")).unwrap();
        assert!(!stanza.to_xml().contains("from"), "{from}");
    }
    for from in ["alice@house", "bot@house/there", "house", "@", ""] {
        assert!(refused(&format!("<message from='{from}'/>")).starts_with("stanza: its from "), "{from}");
    }
}

#[test]
fn an_address_that_is_none_is_named_and_shown() {
    let why = "\"b@@b\" is not a JID: second @ found before parsing the resource";
    assert_eq!(refused("<message to='b@@b'/>"), format!("stanza: its to {why}"));
    assert_eq!(refused("<message from='b@@b'/>"), format!("stanza: its from {why}"));
    let iq = "<iq type='get' to='b@@b'><ping xmlns='urn:xmpp:ping'/></iq>";
    let error = RawStanza::parse_request(iq, &jid("bot@house/here")).unwrap_err();
    assert_eq!(error, CallError::invalid("iq", format!("its to {why}")));
}

#[test]
fn only_requests_have_a_place_and_they_need_an_id() {
    for iq in
        ["type='result' id='1'", "type='error' id='1'", "type='odd' id='1'", "id='1'", "type='get'", "type='set' id=''"]
    {
        refused(&format!("<iq {iq}><ping xmlns='urn:xmpp:ping'/></iq>"));
    }
    refused("<iq type='get' id='1'/>");
    refused("<iq type='get' id='1'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>");
    let own = jid("bot@house/here");
    let ask = |xml: &str| RawStanza::parse_request(xml, &own);
    assert!(ask("<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>").unwrap().is_request());
    assert!(ask("<iq type='result' id='1'/>").is_err());
    assert!(ask("<message to='a@b'/>").is_err());
}

#[test]
fn nothing_gets_to_the_stream_itself() {
    for xml in [
        "",
        " ",
        "hello",
        "</stream:stream>",
        "<message/></stream:stream>",
        "<message/><message/>",
        "<message/>text",
        "<message>",
        "</message><message>",
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>",
        "<message xmlns='jabber:server'/>",
        "<message xmlns=''/>",
        "<x:message xmlns:x='urn:x'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<?xml version='1.0'?><message/>",
        "<!DOCTYPE message [<!ENTITY a 'aaa'>]><message><body>&a;</body></message>",
        "<message><body>&a;</body></message>",
        "<message><!-- hidden --></message>",
        "<message><?php evil ?></message>",
        "<message><body>\u{0}</body></message>",
        "<message><body>&#0;</body></message>",
        "<message><body>\u{1b}[2J</body></message>",
        "<message><body>&#x85;</body></message>",
        "<message id='&#x7f;'/>",
        "<message to='@@'/>",
    ] {
        refused(xml);
    }
}

/// However the namespace is declared, a stanza is in `jabber:client`, and is sent as such.
#[test]
fn prefixes_change_nothing() {
    let plain = parse("<message to='a@b'><body>hi</body></message>").unwrap().to_xml();
    for xml in [
        "<c:message xmlns:c='jabber:client' to='a@b'><c:body>hi</c:body></c:message>",
        "<message xmlns='jabber:client' xmlns:x='urn:x' to='a@b'><body>hi</body></message>",
        "<message xmlns='jabber:client' to='a@b'><c:body xmlns:c='jabber:client'>hi</c:body></message>",
    ] {
        assert_eq!(parse(xml).unwrap().to_xml(), plain, "{xml}");
    }
    for xml in [
        "<s:message xmlns:s='jabber:server' to='a@b'/>",
        "<message xmlns='jabber:component:accept' to='a@b'/>",
        "<stream:message xmlns:stream='http://etherx.jabber.org/streams'/>",
        "<c:message to='a@b'/>",
        "<message xmlns:xml='urn:x'/>",
        "<c:iq xmlns:c='jabber:client' type='result' id='1'/>",
        "<c:message xmlns:c='jabber:client' from='admin@house'/>",
    ] {
        refused(xml);
    }
    // Inside a stanza it is a payload, not a separate stanza.
    let inner = parse("<message to='a@b'><iq xmlns='jabber:client' type='result' id='1'/></message>");
    assert!(inner.is_ok_and(|stanza| stanza.kind() == "message"));
    let server = parse("<message to='a@b'><body xmlns='jabber:server'>hi</body></message>").unwrap().to_xml();
    assert!(server.contains("jabber:server"), "{server}");
}

/// Otherwise it would be written as `<xmlns:x/>` or as a declaration, over which servers end the stream of all plugins.
#[test]
fn nothing_is_sent_that_is_well_formed_only_until_it_is_written_anew() {
    for x in [
        "<x xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<d:x xmlns:d='http://www.w3.org/2000/xmlns/'/>",
        "<x xmlns='urn:x' xmlns:d='http://www.w3.org/2000/xmlns/' d:stream=''/>",
        "<x xmlns='urn:x'><d:y xmlns:d='http://www.w3.org/2000/xmlns/'/></x>",
    ] {
        refused(&format!("<message to='a@b'>{x}</message>"));
        assert!(RawStanza::parse_request(&format!("<iq type='get'>{x}</iq>"), &jid("bot@house/here")).is_err(), "{x}");
    }
    for declared in ["xmlns:stream='urn:y'", "xmlns:xml='http://www.w3.org/XML/1998/namespace'", "xmlns:root='urn:y'"] {
        let xml =
            format!("<message xmlns:root='urn:root' to='a@b'><x xmlns='urn:x' {declared} xml:lang='de'/></message>");
        let xml = parse(&xml).unwrap().to_xml();
        assert_eq!(parse(&xml).unwrap().to_xml(), xml);
    }
}

#[test]
fn passwords_are_not_shown() {
    let shown = |xml: &str| parse(xml).unwrap().to_shown_xml();
    for xml in [
        "<presence to='r@muc/n'><x xmlns='http://jabber.org/protocol/muc'><password>secret</password></x></presence>",
        "<message to='a@b'><x xmlns='jabber:x:conference' jid='r@muc' password='secret'/></message>",
        "<message to='r@muc'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@b'/><password>secret</password></x></message>",
        "<iq to='r@muc' type='set' id='1'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data'><field var='muc#roomconfig_roomsecret'><value>secret</value></field></x></query></iq>",
    ] {
        assert!(parse(xml).unwrap().to_xml().contains("secret"));
        assert!(!shown(xml).contains("secret"), "{}", shown(xml));
    }
    let plain = "<message to='a@b'><body>the password is swordfish</body></message>";
    assert_eq!(shown(plain), parse(plain).unwrap().to_xml());
}

/// Plugins that may enter the room get them by the event for the invitation.
#[test]
fn passwords_of_rooms_are_left_out_of_received_invitations_and_of_nothing_else() {
    let received = |xml: &str| parse(xml).unwrap().to_received_xml();
    let direct = "<x xmlns='jabber:x:conference' jid='r@muc' password='secret'/>";
    for xml in [
        format!("<message to='a@b'><body>come</body>{direct}</message>"),
        format!(
            "<message to='a@b'><y xmlns='urn:y'><message xmlns='jabber:client' to='c@d'>{direct}</message></y></message>"
        ),
        "<message to='r@muc'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@b'/><password>secret</password></x></message>"
            .to_owned(),
    ] {
        let xml = received(&xml);
        assert!(!xml.contains("secret") && xml.contains("r@muc"), "{xml}");
    }
    for xml in [
        "<message to='a@b'><body>the password is swordfish</body></message>",
        "<message to='a@b'><x xmlns='jabber:x:data' type='submit'><field var='password'><value>swordfish</value></field></x></message>",
        "<message to='a@b'><y xmlns='urn:y' password='swordfish'><password>swordfish</password></y></message>",
    ] {
        assert_eq!(received(xml), parse(xml).unwrap().to_xml());
    }
}

#[test]
fn bombs_are_refused_before_they_are_built() {
    refused(&format!("<message><body>{}</body></message>", "x".repeat(MAX_BYTES)));
    // The stanza exceeds the limit only when written: each of these characters becomes four bytes.
    refused(&format!("<message><body>{}</body></message>", ">".repeat(MAX_BYTES / 3)));
    refused(&format!("<message>{}{}</message>", "<x xmlns='urn:x'>".repeat(70), "</x>".repeat(70)));
    refused(&format!("<message>{}</message>", "<x xmlns='urn:x'/>".repeat(MAX_ELEMENTS)));
    let attributes = (0..=MAX_ATTRIBUTES).map(|n| format!("a{n}=''")).collect::<Vec<_>>().join(" ");
    refused(&format!("<message><x xmlns='urn:x' {attributes}/></message>"));
    refused(&"<a>".repeat(50_000));
    // A namespace that is declared once is stored and written for each element: this would take 32 MiB.
    let (long, many) = ("u".repeat(8_000), "<n:y/>".repeat(MAX_ELEMENTS - 2));
    let reason = refused(&format!("<message><x xmlns='urn:x' xmlns:n='{long}'>{many}</x></message>"));
    assert!(reason.contains("namespace"), "{reason}");
    let many = "<y n:a=''/>".repeat(MAX_ELEMENTS - 2);
    let reason = refused(&format!("<message><x xmlns='urn:x' xmlns:n='{long}'>{many}</x></message>"));
    assert!(reason.contains("namespace"), "{reason}");
    let longest = "u".repeat(MAX_NAMESPACE);
    assert!(parse(&format!("<message to='a@b'><x xmlns='{longest}'/></message>")).is_ok());
}

proptest! {
    #[test]
    fn whatever_is_read_can_be_read_again(xml in "<(message|presence|iq)( (to|from|id|type|xmlns)='[a-z@/:&;#0-9]{0,9}'){0,3}>(<(body|x|error) ?(xmlns='u')?>[a-z<>&;\u{0}-\u{ff}]{0,9}</(body|x|error)>){0,3}</(message|presence|iq)>") {
        if let Ok(stanza) = parse(&xml) {
            prop_assert_eq!(parse(&stanza.to_xml()).unwrap().to_xml(), stanza.to_xml());
        }
    }

    #[test]
    fn nothing_makes_it_panic(xml in "\\PC{0,60}") {
        let _ = parse(&xml);
    }
}
