//! The stringprep profiles (RFC 3454) of RFC 3920 and RFC 4013, for current Unicode: they define what addresses and
//! passwords may contain, and which spellings are equal.
//!
//! This crate replaces the crate of the same name that `jid` depends on. That crate restricts every address to Unicode
//! 3.2 of 2002, so users with an emoji in their resource or nickname would be unreachable. RFC 7622 permits all of
//! Unicode. RFC 3454 (section 7) lets programs that only look up addresses pass on characters that they do not know:
//! the server decides which addresses exist. So characters newer than Unicode 3.2 stay unchanged. All others are
//! prepared as servers prepare them, so that host and servers agree on which spellings are the same address.
//!
//! ```
//! # fn main() -> Result<(), stringprep::Error> {
//! assert_eq!(stringprep::nodeprep("Straße")?, "strasse");
//! assert_eq!(stringprep::resourceprep("Anna 🐢")?, "Anna 🐢");
//! assert!(stringprep::nodeprep("two words").is_err());
//! # Ok(())
//! # }
//! ```

mod unassigned;

use std::borrow::Cow;

use thiserror::Error;
use unassigned::UNASSIGNED;
use unicode_bidi::{BidiClass, bidi_class};
use unicode_normalization::UnicodeNormalization;

/// An error that says why a text is not valid in an address or password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// The text contains a prohibited character (RFC 3454, appendix C).
    #[error("{0:?} may not be in it")]
    Prohibited(char),
    /// The text mixes right-to-left characters with others (RFC 3454, section 6).
    #[error("it is written from the right and from the left")]
    Directions,
}

/// Prepares the local part of an address (RFC 3920, appendix A), ignoring case.
pub fn nodeprep(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')) {
        return Ok(Cow::Borrowed(text));
    }
    let prepared = folded(text);
    check(&prepared, |c| {
        is_space(c) || c.is_ascii_control() || matches!(c, '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@')
    })?;
    check_directions(&prepared)?;
    Ok(Cow::Owned(prepared))
}

/// Prepares the domain of an address (RFC 3491), ignoring case.
///
/// Always returns an owned string, even if nothing changes. `jid` 0.12.3 removes the final dot of a domain (RFC 7622,
/// section 3.2). If it gets a borrowed domain, it keeps the dot in the text and takes the resource one character too
/// early. `jid::Jid::new("a@b./c")` shows it.
pub fn nameprep(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-')) {
        return Ok(Cow::Owned(text.to_owned()));
    }
    let prepared = folded(text);
    check(&prepared, |c| is_space(c) && c != ' ')?;
    check_directions(&prepared)?;
    Ok(Cow::Owned(prepared))
}

/// Prepares the resource of an address, and so a nickname in a room (RFC 3920, appendix B). Text of both directions may
/// be mixed (RFC 8265, section 4.2).
pub fn resourceprep(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(Cow::Borrowed(text));
    }
    let prepared = mapped(text.chars(), |known| known.nfkc().collect());
    check(&prepared, |c| (is_space(c) && c != ' ') || c.is_ascii_control())?;
    Ok(Cow::Owned(prepared))
}

/// Prepares a password for SCRAM (RFC 4013).
pub fn saslprep(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(Cow::Borrowed(text));
    }
    let spaced = text.chars().map(|c| if is_space(c) { ' ' } else { c });
    let prepared = mapped(spaced, |known| known.nfkc().collect());
    check(&prepared, |c| (is_space(c) && c != ' ') || c.is_ascii_control())?;
    check_directions(&prepared)?;
    Ok(Cow::Owned(prepared))
}

/// Folds case and normalises to NFKC (table B.2). Some letters decompose when they are folded, and the resulting
/// letters have a case of their own, hence the second pass.
fn folded(text: &str) -> String {
    mapped(text.chars(), |known| {
        let once: String = known.chars().flat_map(fold).nfkc().collect();
        once.chars().flat_map(fold).nfkc().collect()
    })
}

/// Folds the case of a letter as Unicode 3.2 defines it. A letter whose folded form is newer stays unchanged.
fn fold(letter: char) -> impl Iterator<Item = char> {
    let folded = caseless::default_case_fold_str(letter.encode_utf8(&mut [0; 4]));
    let is_known = !folded.contains(is_unassigned);
    let (folded, letter) = if is_known { (folded, None) } else { (String::new(), Some(letter)) };
    folded.chars().chain(letter).collect::<Vec<_>>().into_iter()
}

/// Applies `map` to each run of characters that Unicode 3.2 knows, and leaves all others unchanged.
fn mapped(text: impl Iterator<Item = char>, map: impl Fn(&str) -> String) -> String {
    let (mut whole, mut known) = (String::new(), String::new());
    for c in text.filter(|&c| !is_nothing(c)) {
        if is_unassigned(c) {
            whole.push_str(&map(&known));
            known.clear();
            whole.push(c);
        } else {
            known.push(c);
        }
    }
    whole + &map(&known)
}

/// Returns whether the character is in table A.1.
fn is_unassigned(c: char) -> bool {
    let after = UNASSIGNED.partition_point(|(first, _)| *first <= c);
    after > 0 && c <= UNASSIGNED[after - 1].1
}

fn check(text: &str, is_prohibited_here: impl Fn(char) -> bool) -> Result<(), Error> {
    match text.chars().find(|&c| is_prohibited(c) || is_prohibited_here(c)) {
        Some(c) => Err(Error::Prohibited(c)),
        None => Ok(()),
    }
}

/// Checks bidirectional text (RFC 3454, section 6).
fn check_directions(text: &str) -> Result<(), Error> {
    let is_from_right = |c: char| matches!(bidi_class(c), BidiClass::R | BidiClass::AL);
    let is_from_left = |c: char| bidi_class(c) == BidiClass::L;
    if !text.chars().any(is_from_right) {
        return Ok(());
    }
    let ends = text.starts_with(is_from_right) && text.ends_with(is_from_right);
    if ends && !text.chars().any(is_from_left) { Ok(()) } else { Err(Error::Directions) }
}

/// Returns whether the character is commonly mapped to nothing (table B.1).
fn is_nothing(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{1806}'
            | '\u{180b}'..='\u{180d}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2060}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
    )
}

/// Returns whether the character is in table C.1.1 or C.1.2.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Returns whether every profile prohibits the character (tables C.2.2 to C.9).
fn is_prohibited(c: char) -> bool {
    let is_control = matches!(
        c,
        '\u{80}'..='\u{9f}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{180e}'
            | '\u{200c}'..='\u{200d}'
            | '\u{2028}'..='\u{2029}'
            | '\u{2060}'..='\u{2063}'
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            | '\u{1d173}'..='\u{1d17a}'
    );
    let is_private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}');
    let is_no_character = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    let is_for_something_else = matches!(
        c,
        '\u{fff9}'..='\u{fffd}'
            | '\u{2ff0}'..='\u{2ffb}'
            | '\u{340}'..='\u{341}'
            | '\u{200e}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}'
    );
    is_control || is_private || is_no_character || is_for_something_else
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_local_part_has_one_spelling() {
        for (text, same) in [
            ("juliet", "juliet"),
            ("Juliet", "juliet"),
            ("Straße", "strasse"),
            ("ΝΊΚΟΣ", "νίκοσ"),
            ("fooBAR", "foobar"),
            ("ﬁn", "fin"),
            ("I\u{ad}X", "ix"),
            ("Ⅸ", "ix"),
            ("㎒", "mhz"),
            ("e\u{301}va", "éva"),
            ("🐢", "🐢"),
            ("שלום", "שלום"),
            ("a\\20b", "a\\20b"),
            // PRECIS permits no symbols (RFC 8265, section 3.3), but servers do, and users with such names must be
            // reachable.
            ("♚", "♚"),
        ] {
            assert_eq!(nodeprep(text).as_deref(), Ok(same), "{text}");
        }
    }

    /// Servers keep these spellings apart, so each may be another user.
    #[test]
    fn what_unicode_3_2_does_not_know_is_nobody_elses_spelling() {
        for text in ["ᵃdmin", "🄰dmin", "straẞe", "ꭰ", "ᴬnna", "Ⴀ", "Ӏ"] {
            assert_eq!(nodeprep(text).as_deref(), Ok(text), "{text}");
            assert_eq!(resourceprep(text).as_deref(), Ok(text), "{text}");
            assert_eq!(saslprep(text).as_deref(), Ok(text), "{text}");
        }
        assert!(UNASSIGNED.is_sorted() && UNASSIGNED.iter().all(|(first, last)| first <= last));
        assert!(is_unassigned('\u{221}') && !is_unassigned('\u{220}') && is_unassigned('🐢') && !is_unassigned('a'));
    }

    #[test]
    fn a_local_part_has_no_space_and_nothing_that_addresses_are_parted_by() {
        for text in
            ["a b", "a\u{a0}b", "a\u{3000}b", "\"", "a&b", "a'b", "a/b", "a:b", "a<b", "a>b", "a@b", "a\tb", "\u{7f}"]
        {
            assert!(matches!(nodeprep(text), Err(Error::Prohibited(_))), "{text:?}");
        }
        assert_eq!(nodeprep("אa"), Err(Error::Directions));
        assert_eq!(nodeprep("א1"), Err(Error::Directions));
        assert_eq!(nodeprep("א1א").as_deref(), Ok("א1א"));
    }

    #[test]
    fn a_resource_may_be_nearly_anything_that_can_be_read() {
        for (text, same) in [
            ("Home PC", "Home PC"),
            ("\"&'/:<>@", "\"&'/:<>@"),
            ("📱", "📱"),
            ("res👔", "res👔"),
            ("Anna 🐢", "Anna 🐢"),
            ("👨‍👩‍👧", "👨👩👧"),
            ("❤️", "❤"),
            ("₽", "₽"),
            ("בית phone", "בית phone"),
            ("a\u{a0}b", "a b"),
            ("Ünal", "Ünal"),
        ] {
            assert_eq!(resourceprep(text).as_deref(), Ok(same), "{text}");
        }
        for text in
            ["a\nb", "a\u{7}", "\u{85}", "\u{202e}evil", "\u{2028}", "\u{e000}", "\u{fffd}", "\u{1fffe}", "\u{e0041}"]
        {
            assert!(matches!(resourceprep(text), Err(Error::Prohibited(_))), "{text:?}");
        }
    }

    #[test]
    fn a_domain_has_one_spelling() {
        assert_eq!(nameprep("EXAMPLE.org").as_deref(), Ok("example.org"));
        assert_eq!(nameprep("Bücher.example").as_deref(), Ok("bücher.example"));
        assert!(nameprep("a\u{200e}b").is_err());
    }

    /// Checks the examples of RFC 4013, section 3.
    #[test]
    fn a_password_is_as_rfc_4013_has_it() {
        for (text, same) in
            [("I\u{ad}X", "IX"), ("user", "user"), ("USER", "USER"), ("\u{aa}", "a"), ("\u{2168}", "IX")]
        {
            assert_eq!(saslprep(text).as_deref(), Ok(same), "{text:?}");
        }
        assert_eq!(saslprep("a\u{1680}b").as_deref(), Ok("a b"));
        assert_eq!(saslprep("\u{7}"), Err(Error::Prohibited('\u{7}')));
        assert_eq!(saslprep("\u{627}1"), Err(Error::Directions));
        assert_eq!(saslprep("correct 🐴 battery").as_deref(), Ok("correct 🐴 battery"));
    }

    type Profile = fn(&str) -> Result<Cow<'_, str>, Error>;

    proptest! {
        #[test]
        fn what_is_prepared_stays_as_it_is(text in "\\PC{0,24}") {
            for prepare in [nodeprep, nameprep, resourceprep, saslprep] as [Profile; 4] {
                if let Ok(once) = prepare(&text) {
                    let again = prepare(&once);
                    prop_assert_eq!(again.as_deref(), Ok(&*once));
                }
            }
        }

        #[test]
        fn case_does_not_count_in_a_local_part(text in "[a-zA-Z0-9äöüÄÖÜéÉαΑωΩжЖ]{0,24}") {
            let (upper, lower) = (text.to_uppercase(), text.to_lowercase());
            prop_assert_eq!(nodeprep(&text), nodeprep(&upper));
            prop_assert_eq!(nodeprep(&text), nodeprep(&lower));
        }
    }
}
