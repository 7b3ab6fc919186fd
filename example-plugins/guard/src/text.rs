//! Reads the texts of messages: which are the same, and which have links. It calls nothing of the host's.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The most bytes of a text that are compared.
const MAX_TEXT: usize = 200;
/// The most texts of a message that are compared.
const MAX_TEXTS: usize = 4;
/// The longest name of a person that is remembered as it is, in bytes.
const MAX_KEY: usize = 256;
/// The most bytes of a nickname that are remembered and shown.
const MAX_NICK: usize = 64;

/// Returns the part of a text that has at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// Returns the letters and digits of a text in small letters. If it has none, as with emojis, all but its spaces are
/// returned.
fn normalized(text: &str) -> String {
    let kept = |is_kept: fn(char) -> bool| {
        let letters = text.chars().filter(|letter| is_kept(*letter)).flat_map(char::to_lowercase);
        // The rest can be long, and would be cut off below.
        letters.take(MAX_TEXT).collect::<String>()
    };
    let letters = kept(char::is_alphanumeric);
    let found = if letters.is_empty() { kept(|letter| !letter.is_whitespace()) } else { letters };
    cut(&found, MAX_TEXT).to_owned()
}

/// Returns the normalized texts of a message, without empty ones.
pub(crate) fn comparable<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.take(MAX_TEXTS).map(normalized).filter(|text| !text.is_empty()).collect()
}

/// Returns whether clients are likely to show a link in this text.
pub(crate) fn has_link(text: &str) -> bool {
    text.split_whitespace().any(|word| {
        let word = word.to_lowercase();
        let begins = word.trim_start_matches(|sign: char| !sign.is_alphanumeric());
        let has_scheme = word.split_once("://").is_some_and(|(scheme, rest)| {
            scheme.ends_with(|sign: char| sign.is_ascii_alphanumeric()) && !rest.is_empty()
        });
        let is_named = ["www.", "xmpp:", "magnet:"].iter().any(|begin| begins.starts_with(begin));
        has_scheme || is_named || is_bare_address(begins)
    })
}

/// Returns whether a word is an address without a scheme, such as `example.org/x`, which many clients show as a link. Without
/// the slash it may be the name of a file.
fn is_bare_address(word: &str) -> bool {
    let address = word.split_once('/').and_then(|(host, _)| host.rsplit_once('.'));
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|sign| sign.is_alphanumeric() || sign == '-');
    address.is_some_and(|(name, top)| {
        top.chars().count() >= 2 && top.chars().all(char::is_alphabetic) && name.split('.').all(is_label)
    })
}

/// Returns the name by which a person is remembered. One that is too long is replaced by its hash.
pub(crate) fn key(name: &str) -> String {
    if name.len() <= MAX_KEY {
        return name.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    format!("{}#{:016x}", cut(name, MAX_NICK), hasher.finish())
}

/// Returns a nickname on one line, without characters that could disguise it.
pub(crate) fn nick(nick: &str) -> String {
    let hides = |sign: char| {
        sign.is_control() || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown: String = nick.chars().filter(|sign| !hides(*sign)).collect();
    cut(&shown, MAX_NICK).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_whatever_their_capitals_spaces_and_signs() {
        assert_eq!(normalized("Buy  THIS, now!"), "buythisnow");
        assert_eq!(normalized("🍕 🍕"), "🍕🍕");
        assert_eq!(comparable(["", " ", "a"].into_iter()), ["a"]);
        assert_eq!(normalized(&"é".repeat(1_000)).len(), MAX_TEXT);
    }

    #[test]
    fn links_are_found_within_words() {
        for text in [
            "http://x.example",
            "see (HTTPS://x.example)",
            "<www.x.example>",
            "xmpp:r@x?join",
            "(shop.x.example/buy)",
            "x.example/",
        ] {
            assert!(has_link(text), "{text}");
        }
        let plain = [
            "",
            "e.g. this",
            "a :// b",
            "http://",
            "awww. nice",
            "src/lib.rs",
            "and/or",
            "1.5/2",
            "a..b/c",
            ".rs/x",
            "n.b/a",
        ];
        for text in plain {
            assert!(!has_link(text), "{text}");
        }
    }

    #[test]
    fn names_are_short_and_on_one_line() {
        assert_eq!(nick("a\nb\u{202e}c"), "abc");
        assert_eq!(nick(&"x".repeat(1_000)).len(), MAX_NICK);
        let (one, other) = ("a".repeat(1_000), "a".repeat(1_001));
        assert_ne!(key(&one), key(&other));
        assert!(key(&one).len() <= MAX_KEY);
    }
}
