//! Tests of files: untrusted metadata of strangers, and upload slots of servers.

use super::*;
use crate::decode::decode;
use crate::testing::jid;
use crate::types::Incoming;

fn files(payloads: &str) -> Vec<SharedFile> {
    let xml = format!("<message xmlns='jabber:client' from='a@b/c' type='chat'><body>x</body>{payloads}</message>");
    let element: Element = xml.parse().unwrap();
    let own = "me@house/here".parse().unwrap();
    match decode(Stanza::try_from(element).unwrap(), &own, jiff::Timestamp::UNIX_EPOCH) {
        Incoming::Message(message) => message.extensions.as_ref().map(|all| all.files.clone()).unwrap_or_default(),
        other => panic!("expected a message, found {other:?}"),
    }
}

fn oob(url: &str) -> String {
    format!("<x xmlns='jabber:x:oob'><url>{url}</url></x>")
}

fn shared_as(url: &str, about: &str) -> String {
    format!(
        "<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'>{about}</file><sources><url-data \
         xmlns='http://jabber.org/protocol/url-data' target='{url}'/></sources></file-sharing>"
    )
}

#[test]
fn both_forms_are_read_and_the_fuller_one_counts() {
    let about = "<media-type>IMAGE/png</media-type><name>a b.png</name><size>12</size>";
    for both in
        [oob("https://h/a") + &shared_as("https://h/a", about), shared_as("https://h/a", about) + &oob("https://h/a")]
    {
        let expected = SharedFile {
            url: "https://h/a".to_owned(),
            name: Some("a b.png".to_owned()),
            media_type: Some("image/png".to_owned()),
            size: Some(12),
        };
        assert_eq!(files(&both), [expected], "{both}");
    }
    assert_eq!(files(&(oob("https://h/a") + &shared_as("https://h/b", ""))).len(), 2);
}

#[test]
fn what_a_stranger_writes_is_no_path_no_script_and_not_without_end() {
    for url in ["", "file:///etc/passwd", "javascript:x", "data:,x", "https://", "https://me:secret@h/", "xmpp:a@b"] {
        assert!(files(&oob(url)).is_empty() && files(&shared_as(url, "")).is_empty(), "{url}");
    }
    assert!(files(&oob(&format!("https://h/{}", "a".repeat(MAX_URL)))).is_empty());
    let many: String = (0..100).map(|n| oob(&format!("https://h/{n}"))).collect();
    assert_eq!(files(&many).len(), MAX_FILES);
    for (name, expected) in [
        ("../../etc/passwd", Some("passwd")),
        ("C:\\a\\b.exe", Some("b.exe")),
        ("a/", None),
        ("..", None),
        ("a/..", None),
        ("C:\\.", None),
        ("...", Some("...")),
        ("a\nb", None),
        (&*"a".repeat(256), None),
    ] {
        let read = files(&shared_as("https://h/a", &format!("<name>{name}</name>")));
        assert_eq!(read[0].name.as_deref(), expected, "{name:?}");
    }
    for odd in
        ["<size>-1</size>", "<size>much</size>", "<media-type>image</media-type>", "<media-type>a/b; c</media-type>"]
    {
        let read = files(&shared_as("https://h/a", odd));
        assert_eq!((read[0].size, read[0].media_type.as_deref()), (None, None), "{odd}");
    }
}

#[test]
fn an_address_with_the_key_of_a_file_is_found_in_any_text() {
    let secret = "0aF".repeat(29) + "9";
    for (before, after) in [("", ""), ("look: (", ")"), ("#\n<", "abc>#"), ("#1 ", "\ndata:image/jpeg,")] {
        let text = |place: &str, secret: &str| format!("{before}{place}#{secret}{after}");
        for place in ["aesgcm://h/a", "AesGCM://me@h:5/ä?b=c"] {
            assert!(has_encrypted_address(&text(place, &secret)), "{before} {place}");
            assert!(!has_encrypted_address(&text(place, &secret[..60])), "{before} {place}");
            assert!(!has_encrypted_address(&text(&format!("{place} b"), &secret)), "{before} {place}");
        }
        assert!(!has_encrypted_address(&text("https://h/a", &secret)), "{before}");
    }
}

#[test]
fn the_text_of_a_decrypted_message_may_be_the_address_of_an_encrypted_file() {
    let xml = "<message xmlns='jabber:client' from='a@b/c' type='chat'><body>x</body></message>";
    let own = "me@house/here".parse().unwrap();
    let says = |body: &str| {
        let stanza = Stanza::try_from(xml.parse::<Element>().unwrap()).unwrap();
        let Incoming::Message(mut message) = decode(stanza, &own, jiff::Timestamp::UNIX_EPOCH) else {
            panic!("a message")
        };
        message.body = Some(body.to_owned());
        add_encrypted(&mut message);
        let files = message.extensions.map(|all| all.files).unwrap_or_default();
        files.into_iter().map(|file| file.url).collect::<Vec<_>>()
    };
    let (usual, long) = ("0aF".repeat(29) + "9", "b".repeat(96));
    for secret in [&usual, &long] {
        let url = format!("aesgcm://upload.example.org:443/a/b.png#{secret}");
        assert_eq!(says(&url), std::slice::from_ref(&url));
        assert_eq!(says(&format!("{url}\r\ndata:image/jpeg,/9j/4AAQ")), std::slice::from_ref(&url), "with a preview");
        assert!(files(&oob(&url)).is_empty() && files(&shared_as(&url, "")).is_empty(), "it was not encrypted");
        for other in [format!("look: {url}"), format!("{url} "), format!("\n{url}"), url.replacen("aesgcm", "https", 1)]
        {
            assert!(says(&other).is_empty(), "{other}");
        }
    }
    for bad in [
        "aesgcm://h/a".to_owned(),
        "aesgcm://h/a#".to_owned(),
        format!("aesgcm://h/a#{}", &usual[1..]),
        format!("aesgcm://h/a#{}g", &usual[1..]),
        format!("aesgcm://h/a#{usual}#{usual}"),
        format!("aesgcm:///a#{usual}"),
        format!("aesgcm://me@h/a#{usual}"),
        format!("aesgcm://h/{}#{usual}", "a".repeat(MAX_URL)),
        "aesgcm:ä#".to_owned() + &usual,
    ] {
        assert!(says(&bad).is_empty(), "{bad}");
    }
}

fn place(content: &str) -> Option<Slot> {
    let xml = format!(
        "<iq xmlns='jabber:client' type='result' id='1' from='up.b'><slot xmlns='{UPLOAD}'>{content}</slot></iq>"
    );
    slot(Ok(RawStanza::from(Stanza::try_from(xml.parse::<Element>().unwrap()).unwrap()))).ok()
}

/// XEP-0363, section 4: headers of three names are sent, and none of them breaks the line.
#[test]
fn a_place_is_within_tls_and_asks_for_known_headers() {
    let put = |headers: &str| format!("<put url='https://h/put'>{headers}</put><get url='https://h/get'/>");
    let odd = "<header name='Host'>evil</header><header name='authorization'>Basic\r\nHost: evil</header>";
    let given = place(&put(odd)).unwrap();
    assert_eq!((given.put.as_str(), given.get.as_str()), ("https://h/put", "https://h/get"));
    assert_eq!(given.headers, [("Authorization", "BasicHost: evil".to_owned())]);
    let many = "<header name='Cookie'>a</header>".repeat(900);
    assert_eq!(place(&put(&many)).unwrap().headers.len(), MAX_HEADERS);
    for bad in [
        "",
        "<put url='https://h/put'/>",
        "<put url='http://h/put'/><get url='https://h/get'/>",
        "<put url='https://h/put'/><get url='http://h/get'/>",
        "<put url='file:///a'/><get url='https://h/get'/>",
        "<put/><get/>",
    ] {
        assert!(place(bad).is_none(), "{bad}");
    }
}

/// XEP-0363, section 4: each name may be there any number of times, and the values of one name keep their order.
#[test]
fn all_headers_of_a_place_are_sent_also_if_a_name_comes_several_times() {
    let headers = "<header name='eXpires'>9</header><header name='Cookie'>b=1</header><header name='cookie'>a=2</header>\
                   <header name='X-Other'>no</header><header name='Cookie'>c=3</header>\
                   <header name='Authorization'>Bearer t</header>";
    let given = place(&format!("<put url='https://h/put'>{headers}</put><get url='https://h/get'/>")).unwrap();
    let given: Vec<_> = given.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let expected =
        [("Expires", "9"), ("Cookie", "b=1"), ("Cookie", "a=2"), ("Cookie", "c=3"), ("Authorization", "Bearer t")];
    assert_eq!(given, expected);
}

/// XEP-0363, section 5. A service refuses other files by the same condition.
#[test]
fn a_file_that_is_too_large_for_the_service_is_unsupported() {
    let failed = |error: CallError| slot(Err(error)).map(drop).unwrap_err();
    let refused = |detail: &str| {
        let xml = format!(
            "<iq xmlns='jabber:client' type='error' id='1' from='up.b'><error type='modify'><not-acceptable \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{detail}</error></iq>"
        );
        let stanza = Stanza::try_from(xml.parse::<Element>().unwrap()).unwrap();
        match decode(stanza, &"me@house/here".parse().unwrap(), jiff::Timestamp::UNIX_EPOCH) {
            Incoming::Answer(answer) => failed(CallError::Stanza(answer.outcome.unwrap_err())),
            other => panic!("expected an answer, found {other:?}"),
        }
    };
    let large = |most: &str| refused(&format!("<file-too-large xmlns='{UPLOAD}'>{most}</file-too-large>"));
    assert_eq!(large("<max-file-size>20000</max-file-size>"), CallError::Unsupported(takes_at_most(20_000)));
    for odd in ["", "<max-file-size/>", "<max-file-size>-1</max-file-size>"] {
        assert_eq!(large(odd), CallError::Unsupported("the server takes no file so large".to_owned()), "{odd}");
    }
    for other in
        ["", "<retry xmlns='urn:xmpp:http:upload:0' stamp='2017-12-03T23:42:05Z'/>", "<file-too-large xmlns='urn:x'/>"]
    {
        assert!(matches!(refused(other), CallError::Stanza(_)), "{other}");
    }
    assert_eq!(failed(CallError::TimedOut), CallError::TimedOut);
}

#[test]
fn a_request_for_a_place_says_what_it_is_for() {
    let iq: Element = slot_request(&jid("up.b"), "a & b.png", "image/png", 7).parse().unwrap();
    let expected = format!(
        "<iq xmlns='jabber:client' type='get' to='up.b'><request xmlns='{UPLOAD}' filename='a &amp; b.png' size='7' \
         content-type='image/png'/></iq>"
    );
    assert_eq!(iq, expected.parse().unwrap());
}

#[test]
fn types_and_names() {
    for good in ["image/png", "application/vnd.ms-excel", "image/svg+xml"] {
        assert!(is_media_type(good), "{good}");
    }
    for bad in ["", "image", "image/", "/png", "a/b/c", "a b/c", "a/b;c", "*/*", &format!("a/{}", "b".repeat(126))] {
        assert!(!is_media_type(bad), "{bad}");
    }
    assert!(is_file_name("a b.png") && is_file_name("ä👍") && is_file_name(&"a".repeat(MAX_NAME)));
    for bad in ["", ".", "..", "a/b", "a\\b", "a\nb", "a\0b", &"a".repeat(MAX_NAME + 1)] {
        assert!(!is_file_name(bad), "{bad:?}");
    }
}
