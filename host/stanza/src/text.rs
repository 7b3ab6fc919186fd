//! Texts, characters and names that a stanza can contain.

use jiff::Timestamp;
use minidom::Element;
use minidom::rxml::NcName;

/// The namespace of namespace declarations. Written again, an element or attribute in it would become a declaration
/// itself, over which servers end the stream.
pub(crate) const DECLARATIONS: &str = "http://www.w3.org/2000/xmlns/";
/// The beginning of namespaces that are XML's own.
pub(crate) const RESERVED: &str = "http://www.w3.org/";

/// Returns whether XML can contain this text, and it has no control characters.
pub fn is_sendable(text: &str) -> bool {
    is_usual(text) || text.chars().all(is_sendable_char)
}

/// Returns the text of an element without the white space around it, which some programs write for the layout; `None` if
/// there is no other text.
pub(crate) fn trimmed(element: &Element) -> Option<String> {
    let text = element.text();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns whether there is nothing but letters, signs and spaces of ASCII in this text, as in nearly all ids.
fn is_usual(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Returns whether XML can contain this character, and it is not a control character.
pub(crate) fn is_sendable_char(character: char) -> bool {
    !is_forbidden(character)
}

/// Returns whether XML can contain this text and it is a single line, as a name must be.
pub fn is_one_line(text: &str) -> bool {
    text.chars().all(|character| is_sendable_char(character) && !character.is_control())
}

/// Returns whether a stanza can contain this time: XEP-0082 has four digits for a year, and so nothing before the year
/// 0.
pub fn is_sendable_time(at: Timestamp) -> bool {
    const YEAR_0: i64 = -62_167_219_200;
    at.as_second() >= YEAR_0
}

/// Returns whether XML 1.0 cannot contain the character, or it is a control character that would only confuse readers.
pub(crate) fn is_forbidden(character: char) -> bool {
    matches!(character, '\u{fffe}' | '\u{ffff}') || (character.is_control() && !matches!(character, '\t' | '\n' | '\r'))
}

/// Converts a literal of this folder to an attribute name.
pub fn name(name: &'static str) -> NcName {
    NcName::try_from(name).expect("attribute names in this folder are valid")
}

/// Replaces characters that XML cannot contain, since one of them would make the whole stanza vanish.
pub(crate) fn clean(text: String) -> String {
    if !is_usual(&text) && text.chars().any(is_forbidden) { text.replace(is_forbidden, "\u{fffd}") } else { text }
}

/// Returns the beginning of a text as one line, `most` bytes at most; `None` if nothing is in it.
pub(crate) fn line(text: &str, most: usize) -> Option<String> {
    let plain = text.replace(|character: char| character.is_control() || is_forbidden(character), " ");
    let plain = plain.trim();
    (!plain.is_empty()).then(|| kept(plain.to_owned(), most))
}

/// Returns the beginning of a text, `most` bytes at most. Its memory is shrunk: otherwise each of thousands of texts
/// would take as much as a stanza may have.
pub fn kept(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text.shrink_to_fit();
    text
}
