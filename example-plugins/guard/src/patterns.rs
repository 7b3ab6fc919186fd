//! Patterns of names that are banned, and of texts: `*` is anything, and capitals do not matter. It calls nothing of the host's.

use std::collections::BTreeMap;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 128;
/// The fewest letters and digits in a pattern, so that it does not match everybody.
const MIN_LETTERS: usize = 3;
/// The most patterns of a room, and of all.
const MAX_OF_ROOM: usize = 50;
const MAX_ALL: usize = 1_000;

/// The patterns of banned names by room, each with the reason.
#[derive(Debug, Default)]
pub(crate) struct Patterns(BTreeMap<String, BTreeMap<String, String>>);

/// Why a pattern was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is too long, or has too few letters.
    Unfit,
    /// There are too many.
    Many,
}

/// Returns whether somebody may ask for a pattern.
pub(crate) fn is_fit(pattern: &str) -> bool {
    let letters = pattern.chars().filter(|sign| sign.is_alphanumeric()).count();
    pattern.len() <= MAX_PATTERN && letters >= MIN_LETTERS && !pattern.contains(char::is_control)
}

/// Returns whether a pattern matches the whole text. Both lengths multiplied are the most steps.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (pattern, text) = (lower(pattern), lower(text));
    let (mut at, mut place) = (0, 0);
    // Behind the last star, and where in the text that began.
    let mut back: Option<(usize, usize)> = None;
    while place < text.len() {
        if pattern.get(at) == Some(&'*') {
            at += 1;
            back = Some((at, place));
        } else if pattern.get(at) == Some(&text[place]) {
            (at, place) = (at + 1, place + 1);
        } else if let Some((behind, began)) = back {
            (at, place) = (behind, began + 1);
            back = Some((behind, began + 1));
        } else {
            return false;
        }
    }
    pattern[at.min(pattern.len())..].iter().all(|sign| *sign == '*')
}

impl Patterns {
    /// Adds a pattern to those of a room, or changes its reason.
    pub(crate) fn add(&mut self, room: &str, pattern: &str, reason: &str) -> Result<(), Refused> {
        if !is_fit(pattern) {
            return Err(Refused::Unfit);
        }
        let all: usize = self.0.values().map(BTreeMap::len).sum();
        let of_room = self.0.entry(room.to_owned()).or_default();
        if !of_room.contains_key(pattern) && (of_room.len() >= MAX_OF_ROOM || all >= MAX_ALL) {
            return Err(Refused::Many);
        }
        of_room.insert(pattern.to_owned(), reason.to_owned());
        Ok(())
    }

    /// Removes a pattern. Returns whether it was there.
    pub(crate) fn remove(&mut self, room: &str, pattern: &str) -> bool {
        self.0.get_mut(room).is_some_and(|of_room| of_room.remove(pattern).is_some())
    }

    /// Returns the reason for which somebody with one of these names is banned.
    pub(crate) fn reason<'n>(&self, room: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
        let names: Vec<_> = names.collect();
        let is_meant = |pattern: &str| names.iter().any(|name| matches(pattern, name));
        let of_room = self.0.get(room)?;
        of_room.iter().find(|(pattern, _)| is_meant(pattern)).map(|(_, reason)| reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_anything() {
        for (pattern, text) in
            [("spam*", "SPAM1"), ("*watch*", "cheap Watches"), ("a*b*c", "aXbbYc"), ("abc", "ABC"), ("abc*", "abc")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("spam*", "a spam"), ("a*b*c", "acb"), ("abc", "abcd"), ("abc", ""), ("a*a", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        assert!(!matches(&"a*".repeat(60), &"b".repeat(100_000)));
    }

    #[test]
    fn patterns_are_fit_and_few() {
        let mut patterns = Patterns::default();
        for unfit in ["", "*", "ab*", "a\nbc", &"x".repeat(129)] {
            assert_eq!(patterns.add("r", unfit, ""), Err(Refused::Unfit), "{unfit}");
        }
        for number in 0..MAX_OF_ROOM {
            assert_eq!(patterns.add("r", &format!("spam{number}"), "so"), Ok(()));
        }
        assert_eq!(patterns.add("r", "spam", ""), Err(Refused::Many));
        assert_eq!(patterns.add("r", "spam1", "again"), Ok(()), "that one is there");
        assert_eq!(patterns.reason("r", ["x", "Spam1"].into_iter()).as_deref(), Some("again"));
        assert_eq!(patterns.reason("other", ["spam1"].into_iter()), None);
        assert!(patterns.remove("r", "spam1") && !patterns.remove("r", "spam1"));
    }
}
