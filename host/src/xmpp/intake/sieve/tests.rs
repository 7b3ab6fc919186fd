//! Bytes as they come, cut anywhere: what is let through, dropped and refused.

use proptest::prelude::*;

use super::*;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>";

/// What comes out of a stream that comes in so many bytes at a time, and how it ended.
fn sift(xml: &[u8], step: usize) -> (Vec<u8>, Result<Option<Lost>, Lost>) {
    let (mut sieve, mut out) = (Sieve::default(), Vec::new());
    for chunk in xml.chunks(step) {
        if let Err(lost) = sieve.push(chunk, &mut out) {
            return (out, Err(lost));
        }
    }
    (out, Ok(sieve.farewell()))
}

fn after_header(xml: &str) -> String {
    let (out, end) = sift(format!("{HEADER}{xml}").as_bytes(), 4096);
    assert!(end.is_ok(), "{end:?}");
    String::from_utf8(out).unwrap().strip_prefix(HEADER).unwrap().to_owned()
}

#[test]
fn a_stream_passes_as_it_is_however_it_is_cut() {
    let xml = format!(
        "{HEADER}<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>\n \
         <success xmlns='urn:x'>a=b</success>{HEADER}<message from=\"a@b/c > d='\" to='x@y'><body>1 &lt; 2 > 0</body>\
         <x xmlns='urn:x'><![CDATA[ <not> ]] a ]> tag ]]]></x></message><presence/><r xmlns='urn:xmpp:sm:3'/>\
         <iq type='result' id='1'/></stream:stream>"
    );
    for step in [1, 2, 3, 7, 4096] {
        let (out, end) = sift(xml.as_bytes(), step);
        assert_eq!(String::from_utf8(out).unwrap(), xml, "{step}");
        assert_eq!(end, Ok(Some(Lost::Closed)));
    }
}

#[test]
fn nothing_of_a_stanza_is_given_before_its_end() {
    let (mut sieve, mut out) = (Sieve::default(), Vec::new());
    sieve.push(HEADER.as_bytes(), &mut out).unwrap();
    out.clear();
    sieve.push(b"<message><body>hi</body></message", &mut out).unwrap();
    assert!(out.is_empty());
    sieve.push(b">", &mut out).unwrap();
    assert_eq!(out, b"<message><body>hi</body></message>");
}

#[test]
fn no_other_attribute_is_as_short_as_the_name_of_a_namespace() {
    for attribute in ["xmlns:n='", "xmlns='"].map(|name| format!("{name}{}'", "u".repeat(MAX_NAMESPACE))) {
        let xml = format!("<message><x {attribute} xmlnsx='{}'/></message>", "u".repeat(MAX_TOKEN / 2));
        assert_eq!(after_header(&xml), xml);
    }
}

#[test]
fn a_stanza_over_a_limit_is_replaced_and_the_next_one_passes() {
    let deep = |levels: usize| format!("{}{}", "<x>".repeat(levels), "</x>".repeat(levels));
    let next = "<message><body>next</body></message>";
    let bombs = [
        deep(50_000),
        "<x/>".repeat(MAX_ELEMENTS),
        // The library would copy it for each of them.
        format!("<x xmlns='{}'>{}</x>", "u".repeat(MAX_NAMESPACE + 1), "<y/>".repeat(9)),
        format!("<x a='' xmlns:n = \"{}\"/>", "u".repeat(MAX_NAMESPACE + 1)),
        format!("<x {}/>", "a='' ".repeat(MAX_ATTRIBUTES + 1)),
        format!("<x a='{}'/>", "y".repeat(MAX_TOKEN + 1)),
        format!("<{}/>", "y".repeat(MAX_TOKEN + 1)),
    ];
    for bomb in bombs {
        let head = "<message from='m@evil' type='chat'>";
        assert_eq!(
            after_header(&format!("{head}{bomb}</message>{next}")),
            format!("<message type='unreadable'/>{next}")
        );
    }
    let most = format!("<message>{}</message>", deep(MAX_DEPTH - 2));
    assert_eq!(after_header(&most), most);
    let long = format!("<message><body>{}</body></message>", "y".repeat(200_000));
    assert_eq!(after_header(&long), long);
}

#[test]
fn who_asked_and_who_asks_get_an_answer_even_over_the_limits() {
    let bomb = "<x>".repeat(1000) + &"</x>".repeat(1000);
    let ask = after_header(&format!("<iq from='m@evil' id=\"q'1\" type='get' a='b'>{bomb}</iq>"));
    assert_eq!(ask, "<iq from='m@evil' id=\"q'1\" type='get'><unreadable xmlns='urn:parlor:unreadable'/></iq>");
    let answer = after_header(&format!("<iq from='m@evil' id='1' type='result'>{bomb}</iq>"));
    assert!(answer.starts_with("<iq from='m@evil' id='1' type='error'><error") && answer.contains("nested too deep"));
    let gone = after_header(&format!("<presence from='r@m/n' type='unavailable'>{bomb}</presence>"));
    assert_eq!(gone, "<presence from='r@m/n' type='unavailable'/>");
    // An id of that length cannot be answered; the stanza is counted and dropped.
    let unanswerable = after_header(&format!("<iq from='m@evil' type='get' id='{}'/>", "y".repeat(9000)));
    assert!(!unanswerable.contains(" id="), "{unanswerable}");
}

#[test]
fn memory_is_bounded() {
    let mut sieve = Sieve::default();
    let mut out = Vec::new();
    sieve.push(HEADER.as_bytes(), &mut out).unwrap();
    sieve.push(b"<message><body>", &mut out).unwrap();
    let chunk = [b'y'; 8192];
    let end = (0..10_000).find_map(|_| sieve.push(&chunk, &mut out).err());
    assert_eq!(end, Some(Lost::TooLarge { limit: MAX_BYTES }));
    assert!(sieve.held.len() <= MAX_BYTES && out.len() < 1000);
    // Also what is no stanza at all.
    for endless in [&b"<"[..], b"<?xml ", b"<stream:stream a='"] {
        let mut sieve = Sieve::default();
        sieve.push(endless, &mut out).unwrap();
        assert!((0..10_000).any(|_| sieve.push(&chunk, &mut out).is_err()));
    }
}

#[test]
fn what_goes_out_is_cut_and_nothing_else() {
    let stanzas = [
        format!("<message to='a@b'><x a='{}'/></message>", "&#39;".repeat(1800)),
        format!("<message to='a@b'>{}{}</message>", "<x>".repeat(70), "</x>".repeat(70)),
        "<iq id='1' type='result'><a xmlns='u:a'/><b xmlns='u:b'/></iq>".to_owned(),
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'>=</auth>".to_owned(),
    ];
    let (mut cutter, mut cut) = (Cutter::default(), Vec::new());
    let written = format!("{HEADER}{}</stream:stream>", stanzas.concat());
    for chunk in written.as_bytes().chunks(1000) {
        cutter.cut(chunk, |element| cut.push(element.to_owned())).unwrap();
    }
    // The declaration and the header come first, and the footer last.
    assert_eq!(cut[2..cut.len() - 1], stanzas);
    assert_eq!(cut.concat(), written);
}

/// RFC 6120, section 6.4.6.
#[test]
fn what_is_spelled_as_nothing_is_nothing() {
    let sasl = "xmlns:s='urn:ietf:params:xml:ns:xmpp-sasl'";
    for name in ["s:success", "s:challenge"] {
        assert_eq!(after_header(&format!("<{name} {sasl}>=</{name}>")), format!("<{name} {sasl}></{name}>"));
        let something = format!("<{name} {sasl}>dj0=</{name}>");
        assert_eq!(after_header(&something), something);
    }
    let other = "<s:other>=</s:other><message><success>=</success></message>";
    assert_eq!(after_header(other), other);
}

#[test]
fn what_has_no_place_in_a_stream_ends_it() {
    for xml in ["<message><!-- x --></message>", "<message><?php x ?></message>", "<!DOCTYPE x>", "<stream:stream/>"] {
        assert_eq!(sift(format!("{HEADER}{xml}").as_bytes(), 4096).1, Err(Lost::Unreadable), "{xml}");
    }
    assert_eq!(sift(b"</a>", 4).1, Err(Lost::Unreadable));
}

#[test]
fn the_reason_of_a_stream_error_is_kept() {
    let xml = format!(
        "{HEADER}<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text \
         xmlns='urn:ietf:params:xml:ns:xmpp-streams'>taken\u{9b}2J</text></stream:error></stream:stream>"
    );
    let (_, end) = sift(xml.as_bytes(), 5);
    let lost = end.unwrap().unwrap();
    assert!(lost.is_conflict());
    assert!(
        lost.to_string().starts_with("the server ended the stream: conflict (taken\\u{9b}2J); somebody else"),
        "{lost}"
    );
}

proptest! {
    #[test]
    fn chunks_make_no_difference(xml in "(<(/?(message|iq|x|stream:stream)( (id|type)='[a-z<>]{0,3}')?/?>|!\\[CDATA\\[|!)|[a-z\\]>' ]){0,20}", step in 1_usize..9) {
        let xml = format!("{HEADER}{xml}");
        prop_assert_eq!(sift(xml.as_bytes(), step), sift(xml.as_bytes(), xml.len()));
    }

    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1_usize..9) {
        let _ = sift(&bytes, step);
        let _ = sift(&[HEADER.as_bytes(), &bytes].concat(), step);
    }
}
