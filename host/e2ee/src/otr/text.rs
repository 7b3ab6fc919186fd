//! Tells texts apart: plain, tagged with whitespace, a query, an error, a fragment or an encoded message.
//!
//! All marks but the whitespace tag count at the start of a text only, behind spaces and HTML tags: some clients put their query in a
//! paragraph. A sentence that mentions `?OTR?` stays a sentence.

use super::message::{InstanceTag, Version};

/// The bytes that a whitespace tag begins with.
const TAG: &str = " \t  \t\t\t\t \t \t \t  ";
const TAG_V1: &str = " \t \t  \t ";
const TAG_V2: &str = "  \t\t  \t ";
const TAG_V3: &str = "  \t\t  \t\t";
/// The greatest length of HTML tags and spaces in front of a mark, in bytes.
const LONGEST_MARKUP: usize = 1_024;
/// The length of the mark of one version in a whitespace tag.
const MARK: usize = 8;

/// The versions that somebody offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) v2: bool,
    pub(super) v3: bool,
}

impl Offer {
    /// Returns the best version that is both offered and allowed.
    pub(super) fn best(self, allowed: Self) -> Option<Version> {
        if self.v3 && allowed.v3 {
            Some(Version::V3)
        } else if self.v2 && allowed.v2 {
            Some(Version::V2)
        } else {
            None
        }
    }

    /// Returns the query that makes this offer, or `None` if it is empty.
    pub(super) fn query(self) -> Option<&'static str> {
        match (self.v2, self.v3) {
            (true, true) => Some("?OTRv23?"),
            (false, true) => Some("?OTRv3?"),
            (true, false) => Some("?OTRv2?"),
            (false, false) => None,
        }
    }

    /// Returns the text with a whitespace tag behind it that makes this offer.
    pub(super) fn tag(self, text: &str) -> String {
        let mut tagged = text.to_owned();
        if self != Self::default() {
            tagged.push_str(TAG);
        }
        for (is_offered, mark) in [(self.v2, TAG_V2), (self.v3, TAG_V3)] {
            if is_offered {
                tagged.push_str(mark);
            }
        }
        tagged
    }
}

/// A text as OTR sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text<'a> {
    Plain,
    Tagged {
        text: String,
        offer: Offer,
    },
    Query(Offer),
    Error(&'a str),
    /// A part of an encoded message, or `None` if it is not written as the protocol says.
    Fragment(Option<Fragment<'a>>),
    /// Returns the text between `?OTR:` and the dot, or `None` without a dot.
    Encoded(Option<&'a str>),
}

/// A part of an encoded message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    /// The clients that send and receive it. `None` in version 2.
    pub(super) tags: Option<FragmentTags>,
    /// The number of this part, from 1.
    pub(super) index: u16,
    /// The number of parts.
    pub(super) count: u16,
    pub(super) piece: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FragmentTags {
    pub(super) sender: InstanceTag,
    pub(super) receiver: Option<InstanceTag>,
}

/// Says whether a text is OTR's: a query, an encoded message, a part of one or an error. A whitespace tag does not count, because the
/// text with one is plain.
pub fn is_otr(text: &str) -> bool {
    without_markup(text).starts_with("?OTR") && !matches!(read(text), Text::Plain | Text::Tagged { .. })
}

/// Says whether a text is an encrypted message of OTR, or a step or a part of one: nothing that a person has written.
pub fn is_encoded(text: &str) -> bool {
    matches!(read(text), Text::Encoded(Some(_)) | Text::Fragment(Some(_)))
}

/// Returns a text without the whitespace tag in it. `None`: it has none.
pub fn untagged(text: &str) -> Option<String> {
    let Text::Tagged { text, .. } = read_tag(text) else { return None };
    Some(text)
}

/// Tells the kind of a text, and reads it.
pub(super) fn read(text: &str) -> Text<'_> {
    let Some(rest) = without_markup(text).strip_prefix("?OTR") else {
        return read_tag(text);
    };
    if let Some(base64) = rest.strip_prefix(':') {
        Text::Encoded(base64.split_once('.').map(|(base64, _)| base64))
    } else if let Some(fragment) = rest.strip_prefix('|') {
        Text::Fragment(read_v3(fragment))
    } else if let Some(fragment) = rest.strip_prefix(',') {
        Text::Fragment(read_parts(fragment, None))
    } else if let Some(error) = rest.strip_prefix(" Error:") {
        Text::Error(error.trim())
    } else {
        read_query(rest).map_or_else(|| read_tag(text), Text::Query)
    }
}

fn without_markup(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(tag) = rest.strip_prefix('<') {
        let end = tag.bytes().take(LONGEST_MARKUP).position(|byte| byte == b'>');
        let Some((_, behind)) = end.and_then(|end| tag.split_at_checked(end + 1)) else { return rest };
        rest = behind.trim_start();
        if text.len() - rest.len() > LONGEST_MARKUP {
            return text;
        }
    }
    rest
}

/// Reads `?`, `v23?` or `?v23?`.
fn read_query(rest: &str) -> Option<Offer> {
    /// More versions than this are not a query.
    const MOST: usize = 32;
    let (is_v1, rest) = rest.strip_prefix('?').map_or((false, rest), |rest| (true, rest));
    let versions = rest.strip_prefix('v').and_then(|rest| rest.split_once('?')).map(|(versions, _)| versions);
    let versions =
        versions.filter(|versions| versions.len() <= MOST && versions.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    match versions {
        Some(versions) => Some(Offer { v2: versions.contains('2'), v3: versions.contains('3') }),
        None => is_v1.then_some(Offer::default()),
    }
}

/// Reads the whitespace tags of a text. There may be several, as in a text that quotes another one.
fn read_tag(text: &str) -> Text<'_> {
    let (mut said, mut rest) = (String::new(), text);
    let (mut offer, mut is_tagged) = (Offer::default(), false);
    while let Some((front, behind)) = rest.split_once(TAG) {
        said.push_str(front);
        rest = read_marks(behind, &mut offer);
        if rest.len() == behind.len() {
            said.push_str(TAG);
        } else {
            is_tagged = true;
        }
    }
    if !is_tagged {
        return Text::Plain;
    }
    said.push_str(rest);
    Text::Tagged { text: said, offer }
}

/// Reads the marks of versions that make a tag of the bytes before them. Returns the rest of the text.
fn read_marks<'a>(text: &'a str, offer: &mut Offer) -> &'a str {
    let mut rest = text;
    while let Some((mark, behind)) = rest.split_at_checked(MARK) {
        match mark {
            TAG_V2 => offer.v2 = true,
            TAG_V3 => offer.v3 = true,
            TAG_V1 => {}
            // A later version.
            mark if mark.bytes().all(|byte| matches!(byte, b' ' | b'\t')) => {}
            _ => break,
        }
        rest = behind;
    }
    rest
}

/// Reads `5a73a599|27e31597,1,3,piece,`.
fn read_v3(text: &str) -> Option<Fragment<'_>> {
    let (sender, rest) = text.split_once('|')?;
    let (receiver, rest) = rest.split_once(',')?;
    let sender = InstanceTag::new(tag(sender)?)?;
    let receiver = match tag(receiver)? {
        0 => None,
        number => Some(InstanceTag::new(number)?),
    };
    read_parts(rest, Some(FragmentTags { sender, receiver }))
}

fn tag(digits: &str) -> Option<u32> {
    let is_plain = digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Reads `1,3,piece,`.
fn read_parts(text: &str, tags: Option<FragmentTags>) -> Option<Fragment<'_>> {
    let mut parts = text.split(',');
    let (index, count, piece, end) = (short(parts.next()?)?, short(parts.next()?)?, parts.next()?, parts.next()?);
    let is_well_formed = without_markup(end).is_empty() && parts.next().is_none();
    let is_legal = index > 0 && index <= count && !piece.is_empty();
    (is_well_formed && is_legal).then_some(Fragment { tags, index, count, piece })
}

fn short(digits: &str) -> Option<u16> {
    let is_plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{Fragment, FragmentTags, Offer, TAG, TAG_V1, TAG_V2, TAG_V3, Text, is_encoded, is_otr, read, untagged};
    use crate::otr::message::InstanceTag;

    const BOTH: Offer = Offer { v2: true, v3: true };

    #[test]
    fn queries_are_read_as_the_protocol_writes_them() {
        let only = |v2, v3| Text::Query(Offer { v2, v3 });
        for (text, expected) in [
            ("?OTR?", only(false, false)),
            ("?OTRv2?", only(true, false)),
            ("?OTRv23?", only(true, true)),
            ("?OTR?v2?", only(true, false)),
            ("?OTRv24x?", only(true, false)),
            ("?OTR?v24x?", only(true, false)),
            ("?OTR?v?", only(false, false)),
            ("?OTRv?", only(false, false)),
            ("?OTRv4?", only(false, false)),
            (" <p>?OTRv23?\n<b>Anna wants to talk privately</b>", only(true, true)),
            ("<html> <body><FONT FACE=\"Sans\">?OTRv2?</FONT></body></html>", only(true, false)),
            ("?OTRv3? Anna wants to talk privately. Do you?", only(false, true)),
        ] {
            assert_eq!(read(text), expected, "{text}");
            assert!(is_otr(text));
        }
    }

    #[test]
    fn sentences_about_otr_stay_plain() {
        for text in
            ["", "?", "?OTR", "what is ?OTR?", "?OTRv23", "?OTR v2?", "?OTRv 2?", "<p", "?otr:abc.", "a ?OTR:AAMD."]
        {
            assert_eq!(read(text), Text::Plain, "{text}");
            assert!(!is_otr(text));
        }
        // A mark is not looked for behind more markup than clients write.
        for (markup, is_mark) in [(500, true), (2_000, false)] {
            for text in [format!("<{}>?OTRv3?", "p".repeat(markup)), format!("{}?OTRv3?", "<p>".repeat(markup / 3))] {
                assert_eq!(is_otr(&text), is_mark, "{markup}");
            }
        }
    }

    #[test]
    fn tags_are_found_anywhere_and_removed() {
        let tagged = |text: &str, v2, v3| Text::Tagged { text: text.to_owned(), offer: Offer { v2, v3 } };
        assert_eq!(read(&BOTH.tag("hello")), tagged("hello", true, true));
        assert_eq!(read(&format!("a{TAG}{TAG_V1}{TAG_V2}b c")), tagged("ab c", true, false));
        assert_eq!(read(&format!("{TAG}{TAG_V3}é")), tagged("é", false, true));
        assert_eq!(read(&format!("a{TAG}\t\t\t\t\t\t\t\tb")), tagged("ab", false, false));
        assert_eq!(read(&format!("a{TAG}b")), Text::Plain);
        assert_eq!(read(&format!("a{TAG}éééé")), Text::Plain);
        assert_eq!(Offer::default().tag("hello"), "hello");
        assert!(!is_otr(&BOTH.tag("hello")));
        for text in ["hello", "", "?OTR:AAMD."] {
            assert_eq!((untagged(&BOTH.tag(text)).as_deref(), untagged(text)), (Some(text), None));
        }
    }

    #[test]
    fn all_tags_of_a_text_are_read_and_removed() {
        let tagged = |text: &str, v2, v3| Text::Tagged { text: text.to_owned(), offer: Offer { v2, v3 } };
        assert_eq!(read(&format!("a{TAG}{TAG_V2}b{TAG}{TAG_V3}c")), tagged("abc", true, true));
        assert_eq!(read(&format!("{TAG}{TAG_V2}{TAG}{TAG_V3}a")), tagged("a", true, true));
        // One of them is none, since no version is behind it.
        assert_eq!(read(&format!("a{TAG}b{TAG}{TAG_V2}")), tagged(&format!("a{TAG}b"), true, false));
        assert_eq!(read(&format!("a{TAG}{TAG_V2}b{TAG}c")), tagged(&format!("ab{TAG}c"), true, false));
        assert_eq!(read(&format!("a{TAG}b{TAG}c")), Text::Plain);
    }

    #[test]
    fn what_people_write_is_not_encoded() {
        for text in ["?OTR:AAMD.", "<p>?OTR:AAMD.</p>", "?OTR,1,3,x,", "?OTR|5a73a599|0,1,3,x,"] {
            assert!(is_encoded(text), "{text}");
        }
        for text in
            ["hello", "?OTRv23?", "?OTR Error: no key", "?OTR:AAMD", "?OTR,1,", "see ?OTR:AAMD.", &BOTH.tag("a")]
        {
            assert!(!is_encoded(text), "{text}");
        }
    }

    #[test]
    fn fragments_are_read_or_refused() {
        let tags = |receiver| FragmentTags {
            sender: InstanceTag::new(0x5a73_a599).unwrap(),
            receiver: InstanceTag::new(receiver),
        };
        let part = |tags, piece| Text::Fragment(Some(Fragment { tags, index: 1, count: 3, piece }));
        assert_eq!(read("?OTR|5a73a599|27e31597,00001,00003,?OTR:AA,"), part(Some(tags(0x27e3_1597)), "?OTR:AA"));
        assert_eq!(read("?OTR|5a73a599|0,1,3,x,"), part(Some(tags(0)), "x"));
        assert_eq!(read("?OTR,1,3,x,"), part(None, "x"));
        assert_eq!(read("<p>?OTR,1,3,x,</p>\n"), part(None, "x"));
        for broken in [
            "?OTR|5a73a599|27e31597,0,3,x,",
            "?OTR|5a73a599|27e31597,4,3,x,",
            "?OTR|5a73a599|27e31597,1,3,,",
            "?OTR|5a73a599|27e31597,1,3,x",
            "?OTR|5a73a599|27e31597,1,65536,x,",
            "?OTR|5a73a599|ff,1,3,x,",
            "?OTR|ff|27e31597,1,3,x,",
            "?OTR|+a73a599|27e31597,1,3,x,",
            "?OTR|5a73a5991|27e31597,1,3,x,",
            "?OTR,1,3,x,y,",
            "?OTR,+1,3,x,",
            "?OTR,",
            "?OTR|",
        ] {
            assert_eq!(read(broken), Text::Fragment(None), "{broken}");
        }
    }

    #[test]
    fn encoded_messages_end_with_a_dot() {
        assert_eq!(read("?OTR:AAMD."), Text::Encoded(Some("AAMD")));
        assert_eq!(read(" ?OTR:AAMD.\n"), Text::Encoded(Some("AAMD")));
        assert_eq!(read("?OTR:AAMD"), Text::Encoded(None));
        for (error, text) in
            [("?OTR Error: no key", "no key"), ("<p>?OTR Error:no key\n", "no key"), ("?OTR Error:", "")]
        {
            assert_eq!(read(error), Text::Error(text));
        }
        for plain in ["?OTR Error", "?OTR error: no key", "a ?OTR Error: no key"] {
            assert_eq!(read(plain), Text::Plain);
        }
    }
}
