//! The part of a path below the address of a webhook, which the sender of a request chooses.

/// The longest part below an address, in bytes as it is written.
const LONGEST: usize = 1 << 10;
/// The maximum number of pieces between its slashes.
const MOST: usize = 16;

/// Decodes the part of a path below an address. `None` if no plugin gets it: it is too long, or has a piece that is empty,
/// as in `a//b`, that is `.` or `..`, or that has an encoded slash, a backslash, a percent sign, a control character, or bytes
/// that are not UTF-8.
///
/// So a plugin may split it at its slashes, and use the pieces as names: none leads elsewhere, also if it is decoded again.
pub fn below(written: &str) -> Option<String> {
    if written.len() > LONGEST || written.split('/').count() > MOST {
        return None;
    }
    let pieces: Option<Vec<String>> = written.split('/').map(piece).collect();
    Some(pieces?.join("/"))
}

fn piece(written: &str) -> Option<String> {
    let piece = String::from_utf8(decoded(written)?).ok()?;
    let is_odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | '%');
    (!["", ".", ".."].contains(&piece.as_str()) && !piece.contains(is_odd)).then_some(piece)
}

/// Decodes what is percent-encoded (RFC 3986, section 2.1).
fn decoded(written: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' { 16 * digit(rest.next()?)? + digit(rest.next()?)? } else { byte });
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_below_an_address_is_decoded_once() {
        for (written, expected) in [
            ("garden", "garden"),
            ("Garden/2", "Garden/2"),
            ("t%C3%ABa%20time", "tëa time"),
            ("t%c3%aba", "tëa"),
            ("%67arden", "garden"),
            ("a%3Fb%23c", "a?b#c"),
            ("...", "..."),
            (".well", ".well"),
            ("a;x=1", "a;x=1"),
        ] {
            assert_eq!(below(written).as_deref(), Some(expected), "{written}");
        }
    }

    #[test]
    fn a_part_below_an_address_leads_nowhere_else() {
        for written in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            "%2e",
            "%2e%2e",
            ".%2E",
            "a/%2E%2e/b",
            "a%2fb",
            "..%2fa",
            "a%2F",
            "a%5cb",
            "a\\b",
            "%252e%252e",
            "a%25b",
            "%",
            "a%2",
            "a%zz",
            "%+1",
            "a%00",
            "a%0d%0ab",
            "a\u{7f}",
            "%ff",
            "%c0%ae%c0%ae",
            "%C2%85",
            "%e2%82",
        ] {
            assert_eq!(below(written), None, "{written:?}");
        }
    }

    #[test]
    fn a_part_below_an_address_is_bounded() {
        assert!(below(&"a".repeat(LONGEST)).is_some() && below(&"a".repeat(LONGEST + 1)).is_none());
        assert!(below(&vec!["a"; MOST].join("/")).is_some() && below(&vec!["a"; MOST + 1].join("/")).is_none());
        assert!(below(&"/".repeat(60_000)).is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_written_has_plain_pieces_or_is_refused(written in r"(%[0-9a-f]{2}|[a./\\%]|.){0,12}") {
            if let Some(below) = below(&written) {
                for piece in below.split('/') {
                    prop_assert!(!["", ".", ".."].contains(&piece), "{:?}", written);
                }
                prop_assert!(!below.contains(|c: char| c.is_control() || c == '%' || c == '\\'), "{:?}", written);
            }
        }
    }
}
