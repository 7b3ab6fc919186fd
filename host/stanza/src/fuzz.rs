//! Entry points for hostile bytes, for `tests/fuzz` and for property tests. They are not part of a normal build.

use jid::{FullJid, Jid};
use jiff::Timestamp;
use minidom::Element;
use xmpp_parsers::stanza::Stanza;

use crate::decode::decode;
use crate::raw::RawStanza;
use crate::sieve::Sieve;
use crate::types::Incoming;

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const OWN: &str = "me@house/parlor";

/// Feeds the bytes that a server may send after its stream header, down to what the session gets. The first byte sets
/// the size of the pieces in which they arrive. Returns the number of stanzas that were understood.
pub fn from_the_server(bytes: &[u8]) -> usize {
    let Some((first, bytes)) = bytes.split_first() else { return 0 };
    let own: FullJid = OWN.parse().expect("it is one");
    let told = told(bytes, usize::from(*first) + 1, &own, Timestamp::UNIX_EPOCH);
    told.into_iter().map(|incoming| drop(format!("{incoming:?}"))).count()
}

/// Returns what the session gets from bytes that arrive in pieces of this size.
pub fn told(bytes: &[u8], piece: usize, own: &FullJid, now: Timestamp) -> Vec<Incoming> {
    let (mut sieve, mut out) = (Sieve::default(), Vec::new());
    let header = sieve.push(HEADER.as_bytes(), &mut out);
    debug_assert!(header.is_ok(), "the header is within the limits");
    for piece in bytes.chunks(piece) {
        if sieve.push(piece, &mut out).is_err() {
            break;
        }
        let _ = sieve.farewell();
    }
    // A repair or replacement adds a fixed amount at most, and no stanza is shorter than four bytes.
    assert!(out.len() <= HEADER.len() + bytes.len() * 256 + 4096, "{} bytes became {}", bytes.len(), out.len());
    out.extend_from_slice(b"</stream:stream>");
    let Ok(stream) = Element::from_reader(out.as_slice()) else { return Vec::new() };
    let stanzas = stream.children().filter_map(|child| Stanza::try_from(child.clone()).ok());
    stanzas.map(|stanza| decode(stanza, own, now)).collect()
}

/// Feeds what a plugin may pass to `api.send` and `api.send-iq`. An accepted text is written as a single stanza, which
/// can be parsed again and names no other sender.
pub fn from_a_plugin(text: &str) -> bool {
    let own: Jid = OWN.parse().expect("it is one");
    let taken = [RawStanza::parse(text, &own), RawStanza::parse_request(text, &own)];
    for stanza in taken.iter().flatten() {
        let written = stanza.to_xml();
        let again: Element = written.parse().expect("what is written can be read");
        assert!(matches!(again.name(), "message" | "presence" | "iq"), "{written}");
        assert_eq!(again.attr("from"), None, "{written}");
        assert!(RawStanza::parse(&written, &own).is_ok(), "{written}");
    }
    taken.iter().any(Result::is_ok)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Declarations for any start tag: the author of a stanza chooses its declarations.
    const DECLARATIONS: &[&str] = &[
        " xmlns:stream='urn:y'",
        " xmlns:stream='http://etherx.jabber.org/streams'",
        " xmlns:xml='http://www.w3.org/XML/1998/namespace'",
        " xml:lang='de'",
        " xmlns='http://www.w3.org/2000/xmlns/'",
        " xmlns:d='http://www.w3.org/2000/xmlns/'",
        " xmlns:d='http://www.w3.org/2000/xmlns/' d:tns0=''",
        " xmlns='urn:x'",
        " xmlns=''",
        " xmlns:root='urn:y' root:a='1'",
        " xmlns:tns0='urn:y' tns0:a='1'",
    ];

    /// Generates a declaration that is as long as permitted, or a little longer.
    fn long_declaration() -> impl Strategy<Value = String> {
        (250_usize..262).prop_map(|length| format!(" xmlns:root='{}'", "u".repeat(length)))
    }

    /// Generates odd stanzas from pieces that are nearly valid in a random order.
    pub(crate) fn pieces() -> impl Strategy<Value = String> {
        let mut pieces = vec![
            "<message",
            "<presence",
            "<iq",
            "</message>",
            "</presence>",
            "</iq>",
            ">",
            "/>",
            " type='chat'",
            " type='get'",
            " type='set'",
            " type='error'",
            " id='1'",
            " from='me@house'",
            " from='a@b/c'",
            " from='@@'",
            " to='x@y'",
            " xmlns='jabber:client'",
            "<body>hi</body>",
            "<body/>",
            "<thread>t</thread>",
            "<![CDATA[",
            "]]>",
            "<query xmlns='jabber:iq:roster'><item jid='a@b'/></query>",
            "<ping xmlns='urn:xmpp:ping'/>",
            "<!--",
            "-->",
            "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>",
            "</forwarded></received>",
            "<x xmlns='http://jabber.org/protocol/muc#user'>",
            "<delay xmlns='urn:xmpp:delay' stamp='x'/>",
            "<error type='cancel'><gone/></error>",
            "&lt;",
            "&#0;",
            "&bomb;",
            "<x xmlns='urn:x'",
            "<p:y xmlns:p='urn:y' p:a='1'/>",
            "<stream:x/>",
            "</x>",
            "<enabled xmlns='urn:xmpp:sm:3' max='inf'",
            "<?xml version='1.0'?>",
            "<!DOCTYPE x>",
            "\u{0}",
            "\u{fffe}",
            "</stream:stream>",
            "<stream:error/>",
            "<",
            "'",
            "=",
            " ",
        ];
        pieces.extend(DECLARATIONS);
        let piece = prop::sample::select(pieces).prop_map(str::to_owned);
        prop::collection::vec(prop_oneof![18 => piece, 2 => "\\PC{0,8}", 1 => long_declaration()], 0..24)
            .prop_map(|pieces| pieces.concat())
    }

    fn declarations() -> impl Strategy<Value = String> {
        let long = prop_oneof![9 => Just(String::new()), 1 => long_declaration()];
        (prop::sample::subsequence(DECLARATIONS, 0..4), long).prop_map(|(some, long)| some.concat() + &long)
    }

    /// Generates nested elements that are odd only in their declarations.
    fn elements() -> impl Strategy<Value = String> {
        let leaf = declarations().prop_map(|declared| format!("<x{declared}/>"));
        leaf.prop_recursive(3, 8, 2, |inner| {
            let name = prop::sample::select(vec!["x", "x", "root:x", "stream:x"]);
            (name, declarations(), prop::collection::vec(inner, 0..3)).prop_map(|(name, declared, inner)| {
                let inner = inner.concat();
                format!("<{name}{declared}>{inner}</{name}>")
            })
        })
    }

    /// Generates whole stanzas, and other elements of a stream, that are odd in their declarations: the random pieces
    /// rarely form one.
    pub(crate) fn stanzas() -> impl Strategy<Value = String> {
        let head = prop::sample::select(vec![
            ("message", " to='x@y'"),
            ("message", " type='odd'"),
            ("presence", ""),
            ("iq", " type='get' id='1'"),
            ("iq", " type='error' id='1'"),
            ("iq", " type='odd' id='1'"),
            ("enabled", " xmlns='urn:xmpp:sm:3' max='inf'"),
            ("stream:features", ""),
        ]);
        let odd = prop::sample::select(vec!["", "", "<show>odd</show>", "<thread/><thread/>", "<error type='odd'/>"]);
        // The declarations below repeat a name that is declared above.
        let declared =
            prop::sample::select(vec!["", " xmlns:root='urn:root'", " xmlns:root='urn:r' xmlns:stream='urn:s'"]);
        (head, declared, odd, prop::collection::vec(elements(), 0..3)).prop_map(|(head, declared, odd, elements)| {
            let ((name, attributes), elements) = (head, elements.concat());
            format!("<{name}{declared}{attributes}>{odd}{elements}</{name}>")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_a_server_sends_nothing_panics(first: u8, text in pieces()) {
            from_the_server(&[&[first], text.as_bytes()].concat());
        }

        #[test]
        fn whatever_bytes_a_server_sends_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            from_the_server(&bytes);
        }

        #[test]
        fn whatever_a_stanza_of_a_server_declares_nothing_panics(first: u8, text in stanzas()) {
            from_the_server(&[&[first], text.as_bytes()].concat());
        }

        #[test]
        fn whatever_a_plugin_sends_is_one_stanza_or_refused(text in pieces()) {
            from_a_plugin(&text);
        }

        #[test]
        fn whatever_a_stanza_of_a_plugin_declares_it_is_one_or_refused(text in stanzas()) {
            from_a_plugin(&text);
        }
    }

    #[test]
    fn what_is_right_is_understood() {
        let stanzas = "<message from='a@b'><body>hi</body></message><presence from='a@b/c'/><iq type='get' id='1'>\
                       <ping xmlns='urn:xmpp:ping'/></iq>";
        assert_eq!(from_the_server(format!("\u{3}{stanzas}").as_bytes()), 3);
        assert!(from_a_plugin("<message to='a@b'><body>hi</body></message>"));
        assert!(!from_a_plugin("<message to='a@b'/><presence/>"));
    }
}
