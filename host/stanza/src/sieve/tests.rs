//! Tests of which data passes, is dropped or is refused, split into pieces at any place.

use proptest::prelude::*;

use super::*;
use crate::sieve::limits::{ANSWER, MAX_DEPTH, MAX_NAMESPACE, OWN_ANSWER, UNASKED};
use crate::sieve::mend::NOTES;
use crate::types::LONGEST_ADDRESS;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>";

/// Returns the output for a stream that arrives in pieces of this size, and how it ended.
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
fn a_sieve_gives_back_memory_between_stanzas_and_loses_nothing_of_one_that_has_begun() {
    let (mut sieve, mut out) = (Sieve::default(), Vec::new());
    sieve.push(HEADER.as_bytes(), &mut out).unwrap();
    sieve.push(b"<presence><x xmlns='urn:x'/></presence>", &mut out).unwrap();
    sieve.give_back();
    assert_eq!(sieve.held.take().capacity(), 0);
    out.clear();
    sieve.push(b"<message><bo", &mut out).unwrap();
    sieve.give_back();
    sieve.push(b"dy>hi</body></message>", &mut out).unwrap();
    assert_eq!(out, b"<message><body>hi</body></message>");
    assert!(sieve.header().starts_with(b"<stream:stream "));
}

#[test]
fn no_other_attribute_is_as_short_as_the_name_of_a_namespace() {
    for attribute in ["xmlns:n='", "xmlns='"].map(|name| format!("{name}{}'", "u".repeat(MAX_NAMESPACE))) {
        let xml = format!("<message><x {attribute} xmlnsx='{}'/></message>", "u".repeat(MAX_TOKEN / 2));
        assert_eq!(after_header(&xml), xml);
    }
}

/// A crowd of children is left out while an attribute behind it is being read.
#[test]
fn room_is_made_in_the_middle_of_a_tag() {
    let crowd = "<a b='' c='' d='' e='' f='' g='' h='' i=''/>".repeat(UNASKED.attributes / 8);
    let last = format!("<z k='{}'/>", "v".repeat(MAX_NAMESPACE + 44));
    for step in [1, 7, 4096] {
        let xml = format!("{HEADER}<message type='chat'>{crowd}{last}<body>hi</body></message><presence/>");
        let (out, end) = sift(xml.as_bytes(), step);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(end, Ok(None));
        assert!(out.contains("<message type='chat'><body>hi</body>") && out.ends_with("<presence/>"), "{out}");
    }
}

#[test]
fn a_name_may_be_as_long_in_its_end_tag_as_in_its_start_tag() {
    for length in [MAX_TOKEN - 1, MAX_TOKEN, MAX_TOKEN + 1] {
        let name = "N".repeat(length);
        let out = after_header(&format!("<message><{name}>x</{name}><body>hi</body></message><presence/>"));
        assert!(out.contains("<body>hi</body>") && out.ends_with("<presence/>"), "{length}");
    }
}

/// The server says nothing of the sender where it means the account itself.
#[test]
fn a_sender_that_is_too_long_is_not_taken_for_the_own_account() {
    for (before, length) in [("", MAX_TOKEN + 1), ("type='chat' ", MAX_TOKEN + 1), ("", LONGEST_ADDRESS)] {
        let from = "a".repeat(length);
        let out =
            after_header(&format!("<message {before}from='{from}@example.org' to='b@c'><body>hi</body></message>"));
        assert!(out.starts_with(&format!("<message {before}from='@' to='b@c'>")), "{out}");
    }
}

/// Returns the note that a part of a message was left out.
fn cut(why: &str) -> String {
    format!("<cut xmlns='{}'>{why}</cut>", NOTES.as_str())
}

fn deep(levels: usize) -> String {
    format!("{}{}", "<x>".repeat(levels), "</x>".repeat(levels))
}

/// Returns children that exceed a limit, each with that limit.
fn bombs() -> [(String, &'static str); 9] {
    let namespace = "u".repeat(MAX_NAMESPACE + 1);
    [
        (deep(50_000), "nested too deep"),
        (format!("<x>{}</x>", "<y/>".repeat(UNASKED.elements)), "too many elements"),
        // The library would copy the namespace for each element.
        (format!("<x xmlns='{namespace}'>{}</x>", "<y/>".repeat(9)), "a namespace that is too long"),
        (format!("<x a='' xmlns:n = \"{namespace}\"/>"), "a namespace that is too long"),
        (format!("<x>{}</x>", format!("<y {}/>", "a='' ".repeat(99)).repeat(99)), "too many attributes"),
        (format!("<x a='{}'/>", "y".repeat(MAX_TOKEN + 1)), "a name or an attribute that is too long"),
        (format!("<{0}>text</{0}>", "y".repeat(MAX_TOKEN + 1)), "a name or an attribute that is too long"),
        (format!("<x>{}</x>", "y".repeat(UNASKED.bytes)), "too long"),
        // A server writes 40,000 elements like this if their parent has declared the prefix: a stanza of 234 KiB.
        (
            format!("<x xmlns='urn:x'>{}</x>", format!("<a xmlns='{}'/>", "u".repeat(254)).repeat(40_000)),
            "too many elements",
        ),
    ]
}

#[test]
fn a_child_over_a_limit_is_left_out_and_the_rest_of_the_message_stays() {
    let next = "<message><body>next</body></message>";
    for (bomb, why) in bombs() {
        let (head, body, cut) = ("<message from='m@evil' type='chat'>", "<body>hi</body>", cut(why));
        let told = format!("{head}{body}<z/>{cut}</message>{next}");
        assert_eq!(after_header(&format!("{head}{bomb}{body}<z/></message>{next}")), told, "{why}");
        assert_eq!(after_header(&format!("{head}{body}<z/>{bomb}</message>{next}")), told, "{why}");
        assert_eq!(after_header(&format!("{head}{body}{bomb}<z/>{bomb}</message>{next}")), told, "{why}");
    }
    let most = format!("<message>{}</message>", deep(MAX_DEPTH - 2));
    assert_eq!(after_header(&most), most);
    let long = format!("<message><body>{}</body></message>", "y".repeat(600_000));
    assert_eq!(after_header(&long), long);
}

/// An occupant whose arrival was missed could still speak.
#[test]
fn a_child_over_a_limit_is_left_out_and_the_rest_of_the_presence_stays() {
    for (bomb, why) in bombs() {
        for kind in ["", " type='unavailable'"] {
            let user = "<x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/></x>";
            let presence = format!("<presence from='r@m/n'{kind}>{bomb}<show>dnd</show>{user}</presence>");
            let told = format!("<presence from='r@m/n'{kind}><show>dnd</show>{user}</presence>");
            assert_eq!(after_header(&presence), told, "{why}");
        }
    }
}

/// XEP-0280 and XEP-0313: a plugin gets the same text that other clients and the archive show.
#[test]
fn a_message_within_a_message_loses_only_the_child_that_is_too_large() {
    for (bomb, why) in bombs() {
        let wrapped = |wrapper: &str, bomb: &str, cut: &str| {
            format!(
                "<message from='me@home'><{wrapper} xmlns='urn:w' id='1'><forwarded xmlns='urn:xmpp:forward:0'><delay/>\
                 <message xmlns='jabber:client' from='m@evil'>{bomb}<body>hi</body></message></forwarded></{wrapper}>\
                 <z/>{cut}</message>"
            )
        };
        for wrapper in ["sent", "received", "result"] {
            assert_eq!(after_header(&wrapped(wrapper, &bomb, "")), wrapped(wrapper, "", &cut(why)), "{why}");
        }
    }
    // A message that only resembles one that wraps another is held to the same limits.
    for wrappers in [["sent", "sent", "sent"], ["result", "forwarded", "forwarded"], ["result", "result", "message"]] {
        let [open, close] = ["<", "</"].map(|sign| wrappers.map(|name| format!("{sign}{name}>")));
        let deep = deep(MAX_DEPTH);
        let xml = format!("<message>{}{deep}{}<body>hi</body></message>", open.concat(), close.concat());
        assert!(after_header(&xml).contains("<body>hi</body><cut "), "{wrappers:?}");
    }
    let many = "<result><forwarded><message/></forwarded></result>".repeat(UNASKED.elements);
    assert!(after_header(&format!("<message>{many}<body>hi</body></message>")).contains("<body>hi</body><cut "));
}

/// Servers pass on attributes that they do not know, even on the stanza itself.
#[test]
fn an_attribute_that_is_too_long_costs_a_stanza_nothing_else() {
    let long = "y".repeat(MAX_TOKEN + 1);
    for attribute in [format!("a='{long}'"), format!("{long}='a'"), format!("a {}='b'", " ".repeat(MAX_TOKEN))] {
        let why = cut("a name or an attribute that is too long");
        let told = format!("<message from='m@evil' id='1' type='chat'><body>hi</body>{why}</message>");
        for head in [
            format!("{attribute} from='m@evil' id='1' type='chat'"),
            format!("from='m@evil' {attribute} id='1' type='chat'"),
            format!("from='m@evil' id='1' type='chat' {attribute}"),
        ] {
            assert_eq!(after_header(&format!("<message {head}><body>hi</body></message>")), told, "{attribute:.20}");
        }
    }
    let many = (0..20_000).map(|number| format!(" a{number}='b'")).collect::<Vec<_>>().concat();
    let seen = after_header(&format!("<message{many} from='m@evil'><body>hi</body></message>"));
    assert!(seen.contains(" from='m@evil'><body>hi</body><cut ") && seen.len() < 9_000, "{seen:.100}");
    // Elements may use a prefix that is declared there.
    let prefix = format!("xmlns:p='{}'", "u".repeat(MAX_NAMESPACE + 1));
    let seen = after_header(&format!("<message {prefix} from='m@evil'><p:x/><body>hi</body></message>"));
    assert!(
        seen.contains("<message xmlns:p='urn:parlor:too-long:") && seen.contains("<p:x/><body>hi</body>"),
        "{seen}"
    );
    let carried = after_header(&format!(
        "<message><sent><forwarded><message {prefix} a='{long}' from='m@evil'><body>hi</body></message></forwarded></sent>\
         </message>"
    ));
    assert!(carried.contains(" from='m@evil'><body>hi</body></message>") && !carried.contains(&long), "{carried:.200}");
}

/// The text of a message cannot be hidden from the bot behind attributes that servers pass on.
#[test]
fn attributes_of_a_message_hide_no_text() {
    let attributes = |count: usize| (0..count).map(|number| format!(" a{number}='b'")).collect::<Vec<_>>().concat();
    let prefixes =
        |count: usize| (0..count).map(|number| format!(" xmlns:p{number}='urn:p'")).collect::<Vec<_>>().concat();
    for many in [attributes(513) + &prefixes(1), prefixes(600), prefixes(600) + " p599:a='b'"] {
        let seen = after_header(&format!(
            "<message{many} from='m@evil' xml:lang='en'><p9:x/><x><p9:x/></x><x p599:a='b'/><body>hi</body><y/></message>"
        ));
        let told = format!(" from='m@evil' xml:lang='en'><body>hi</body><y/>{}</message>", cut("too many attributes"));
        assert!(seen.ends_with(&told), "{seen:.200} … {}", &seen[seen.len() - 200..]);
        assert!(!seen.contains("p9") && !seen.contains("p599"), "{seen}");
    }
}

/// Servers whose parsers know no namespaces pass such stanzas on, such as `MongooseIM`, and the library would give up the
/// stream.
#[test]
fn a_prefix_that_is_declared_nowhere_ends_no_stream() {
    let undeclared = ["<p:x/><body>hi</body>", "<x p:a='b'/>", "<x><p:x/></x>", "<x xmlns:p='urn:p'/><p:x/>"];
    let repeated = ["<x a='b' a='c'/>", "<x xmlns:p='urn:p' xmlns:q='urn:p' p:a='b' q:a='b'/>"];
    for inner in undeclared.into_iter().chain(repeated) {
        let seen = after_header(&format!("<message from='m@evil' to='a@b'>{inner}</message>"));
        assert_eq!(seen, format!("<message from='m@evil' to='a@b'>{}</message>", cut(ILL_FORMED)), "{inner}");
        let seen = after_header(&format!("<iq from='m@evil' type='get' id='1'>{inner}</iq>"));
        assert_eq!(seen, "<iq from='m@evil' id='1' type='get'><unreadable xmlns='urn:parlor:unreadable'/></iq>");
        let seen = after_header(&format!("<presence from='m@evil/x' p:a='b'>{inner}</presence>"));
        assert_eq!(seen, "<presence from='m@evil/x'/>");
    }
    for declared in [
        "<message xmlns:p='urn:p'><p:x/></message>",
        "<message><p:x xmlns:p='urn:p' p:a='b' xml:lang='en'><p:x/></p:x></message>",
        "<message><stream:x/></message>",
    ] {
        assert_eq!(after_header(declared), declared);
    }
}

/// RFC 6120, section 4.8. Otherwise each stanza that uses such a prefix would lose its content.
#[test]
fn a_prefix_of_the_header_is_declared_in_each_element_that_uses_it() {
    let after = |declared: &str, xml: &str| {
        let header = HEADER.replace(" id='1'", &format!(" {declared} id='1'"));
        let (out, end) = sift(format!("{header}{xml}").as_bytes(), 4096);
        assert!(end.is_ok(), "{end:?}");
        String::from_utf8(out).unwrap().strip_prefix(header.as_str()).unwrap().to_owned()
    };
    let both = "xmlns:p='urn:p' xmlns:q=\"urn:q\"";
    for (xml, seen) in [
        (
            "<message to='a@b'><p:x/><body>hi</body></message>",
            "<message xmlns:p='urn:p' to='a@b'><p:x/><body>hi</body></message>",
        ),
        (
            "<message><x><q:y p:a='b'/></x></message>",
            "<message xmlns:p='urn:p' xmlns:q=\"urn:q\"><x><q:y p:a='b'/></x></message>",
        ),
        ("<message xmlns:p='urn:own'><p:x/></message>", "<message xmlns:p='urn:own'><p:x/></message>"),
        ("<message><stream:x/><body>hi</body></message>", "<message><stream:x/><body>hi</body></message>"),
        ("<message><body>p:x</body></message>", "<message><body>p:x</body></message>"),
    ] {
        assert_eq!(after(both, xml), seen);
    }
    let unknown = "<message from='m@evil' to='a@b'><r:x/></message>";
    let reduced = format!("<message from='m@evil' to='a@b'>{}</message>", cut(ILL_FORMED));
    assert_eq!(after(both, unknown), reduced);
    // More of them than any server needs.
    let many: Vec<String> = (0..20).map(|number| format!("xmlns:n{number}='urn:n'")).collect();
    for (number, is_declared) in [(7, true), (8, false), (19, false)] {
        let seen = after(&many.join(" "), &format!("<message><n{number}:x/></message>"));
        assert_eq!(seen.contains(&format!("<n{number}:x/>")), is_declared, "{seen}");
    }
}

/// RFC 6120, section 4.8.5.
#[test]
fn a_stream_with_another_prefix_says_why_it_ends() {
    let xml = "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' id='1' version='1.0'>\
               <s:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></s:error></s:stream>";
    let (_, end) = sift(xml.as_bytes(), 4096);
    assert!(matches!(&end, Ok(Some(Lost::Stream { condition, .. })) if condition == "conflict"), "{end:?}");
}

/// A client shows the first text, so a second one must not take its place.
#[test]
fn a_second_text_does_not_pass_for_one_that_was_too_long() {
    let long = "y".repeat(UNASKED.bytes);
    for name in ["body", "subject"] {
        let seen = after_header(&format!(
            "<message><{name}>{long}</{name}><{name}>other</{name}><z/><{name} xml:lang='de'/></message>"
        ));
        assert_eq!(seen, format!("<message><z/>{}</message>", cut("too long")));
    }
    let seen =
        after_header(&format!("<presence><status>{long}</status><status>other</status><show>dnd</show></presence>"));
    assert_eq!(seen, "<presence><show>dnd</show></presence>");
}

/// Text that people see cannot be hidden behind other elements.
#[test]
fn of_a_crowd_of_children_those_that_people_and_servers_go_by_stay() {
    let user = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
    for filler in ["<a/>", "<a b='c'/>", "<x/>", "<body/>", "<delay/>", "<a>some words</a>"] {
        let crowd = filler.repeat(60_000);
        let xml = format!("<message><body>first</body>{crowd}<body>last</body><stanza-id/>{user}</message>");
        let seen = after_header(&xml);
        for kept in [">first<", ">last<", "stanza-id", "muc#user", ">too many "] {
            assert!(seen.contains(kept), "{filler}: {kept}");
        }
        assert!(seen.len() < UNASKED.bytes && seen.matches('<').count() < 2 * UNASKED.elements, "{}", seen.len());
        let seen = after_header(&format!("<presence><show>dnd</show>{crowd}{user}</presence>"));
        assert!(seen.contains("<show>dnd</show>") && seen.contains("muc#user"), "{filler}: {seen:.200}");
    }
}

/// A roster or a list of members may be long; an unrequested answer of a stranger may not.
#[test]
fn an_answer_may_be_as_long_as_who_gives_it_has_reason_to() {
    for (from, limit) in [
        ("", OWN_ANSWER),
        ("from='me@home'", OWN_ANSWER),
        ("from='home'", OWN_ANSWER),
        ("from='room@muc.home'", ANSWER),
        ("from='me@home/other'", ANSWER),
        ("from='m@evil/x'", ANSWER),
        ("from=''", ANSWER),
    ] {
        let answer = |items: usize| {
            let items = "<i/>".repeat(items);
            after_header(&format!("<iq {from} to='me@home/bot' id='1' type='result'><q>{items}</q></iq>"))
        };
        assert!(answer(limit.elements - 2).contains("<i/></q>"), "{from}");
        assert!(answer(limit.elements).contains("not read: too many elements"), "{from}");
    }
}

#[test]
fn who_asked_and_who_asks_get_an_answer_even_over_the_limits() {
    let bomb = "<x>".repeat(1000) + &"</x>".repeat(1000);
    let ask = after_header(&format!("<iq from='m@evil' id=\"q'1\" type='get' a='b'>{bomb}</iq>"));
    assert_eq!(ask, "<iq from='m@evil' id=\"q'1\" type='get'><unreadable xmlns='urn:parlor:unreadable'/></iq>");
    let answer = after_header(&format!("<iq from='m@evil' id='1' type='result'>{bomb}</iq>"));
    assert!(answer.starts_with("<iq from='m@evil' id='1' type='error'><error") && answer.contains("nested too deep"));
    let gone = after_header(&format!("<presence from='r@m/n' type='unavailable'>{bomb}</presence>"));
    assert_eq!(gone, "<presence from='r@m/n' type='unavailable'></presence>");
    // An id of that length cannot be answered; the stanza is counted and dropped.
    let unanswerable = after_header(&format!("<iq from='m@evil' type='get' id='{}'/>", "y".repeat(9000)));
    assert!(!unanswerable.contains(" id="), "{unanswerable}");
}

#[test]
fn memory_is_bounded() {
    let chunk = [b'y'; 8192];
    // Nothing of the oversized part is kept, and the stream continues behind it.
    for (begin, end) in [
        ("<message><body>", "</body></message>"),
        ("<message a='", "'/>"),
        ("<message><x a='", "'/></message>"),
        ("<message><", "/></message>"),
        ("<presence>", "</presence>"),
        ("<message><sent><forwarded><message><body>", "</body></message></forwarded></sent></message>"),
        ("<iq type='result'><q>", "</q></iq>"),
        ("<iq type='set' from='m@evil'><q>", "</q></iq>"),
    ] {
        let (mut sieve, mut out) = (Sieve::default(), Vec::new());
        sieve.push(format!("{HEADER}{begin}").as_bytes(), &mut out).unwrap();
        for _ in 0..10_000 {
            sieve.push(&chunk, &mut out).unwrap();
            assert!(sieve.held.bytes().len() <= MAX_BYTES && out.len() < 1000, "{begin}");
        }
        sieve.push(format!("{end}<presence id='next'/>").as_bytes(), &mut out).unwrap();
        assert!(out.ends_with(b"<presence id='next'/>"), "{begin}");
    }
    // The exceptions are what a server says about itself, and data that is not a stanza.
    for endless in ["<stream:features>", "<", "<?xml ", "<stream:stream a='", "<message><body></body></"] {
        let (mut sieve, mut out) = (Sieve::within_a_stream(), Vec::new());
        sieve.push(endless.as_bytes(), &mut out).unwrap();
        assert!((0..10_000).any(|_| sieve.push(&chunk, &mut out).is_err()), "{endless}");
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Stanzas that reach every limit, in any order of their parts: the result is a whole stanza within the limits, the
    /// same for any split of the input, and the stream continues after it.
    #[test]
    fn what_is_left_of_a_stanza_over_any_limit_is_whole(
        parts in prop::collection::vec((0..8_usize, 0..9_usize, 0..2_600_usize, prop::sample::select(vec![0_usize, 7, 255, 257, 8_000, 8_001])), 1..7),
        head in prop::sample::select(vec![0_usize, 9, 600]),
        prefixes in prop::sample::select(vec![0_usize, 3, 600]),
        wrapped in any::<bool>(),
        step in prop::sample::select(vec![1_usize, 13, 4_096, 65_536]),
    ) {
        use std::fmt::Write as _;
        let names = ["a", "body", "x", "p1:q", "status", "delay", "subject", "z"];
        let mut inner = String::new();
        for (name, attributes, mut times, length) in parts {
            let mut part = format!("<{}", names[name]);
            (0..attributes).for_each(|number| write!(part, " k{number}='{}'", "v".repeat(length / 4)).unwrap());
            write!(part, " xmlns='{}'>{}</{}>", "u".repeat(length.min(300)), "t".repeat(length), names[name]).unwrap();
            times = times.min(3_000_000 / part.len());
            inner.push_str(&part.repeat(times));
        }
        let mut start = "<message from='m@evil' xmlns:p1='urn:p'".to_owned();
        (0..head).for_each(|number| write!(start, " a{number}='b'").unwrap());
        (2..prefixes).for_each(|number| write!(start, " xmlns:p{number}='urn:p'").unwrap());
        let message = format!("{start}>{inner}</message>");
        let stanza = if wrapped {
            format!("<message><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{message}</forwarded></sent></message>")
        } else {
            message
        };
        let xml = format!("{HEADER}{stanza}<presence id='next'/>");
        let (whole, end) = sift(xml.as_bytes(), xml.len());
        prop_assert_eq!(end, Ok(None));
        let (pieces, _) = sift(xml.as_bytes(), step);
        prop_assert!(whole == pieces, "it depends on the pieces of {} bytes", step);
        let whole = String::from_utf8(whole).unwrap();
        prop_assert!(whole.ends_with("<presence id='next'/>"));
        prop_assert!(whole.len() < UNASKED.bytes + 100_000, "{} bytes are left", whole.len());
        let document = format!("{whole}</stream:stream>");
        let parsed = document.parse::<minidom::Element>();
        prop_assert!(parsed.is_ok(), "{:?}: {:.400}", parsed, whole);
    }
}
