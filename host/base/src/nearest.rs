//! Finds the known name that is nearest to an unknown one, for errors and warnings. It has no names of its own.

use std::cmp::Reverse;

/// The longest name that is compared, in bytes. Comparing costs the product of both lengths.
const LONGEST: usize = 64;

/// Returns the known name that `name` was probably meant to be; none if no known name is close enough to be a typo.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let slips = (name.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|&(distance, _)| distance <= slips)
        // Among equally near names, take the one with the longest common prefix: a different ending is another word.
        .min_by_key(|&(distance, candidate)| (distance, Reverse(common(name, candidate))))
        .map(|(_, candidate)| candidate)
}

/// Counts the characters that two names begin with in common.
fn common(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// Returns `, did you mean "…"?` for the end of an error, or nothing.
pub fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(", did you mean \"{name}\"?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["messages.send", "messages.read", "rooms.read"];
        assert_eq!(nearest("mesages.send", known), Some("messages.send"));
        assert_eq!(nearest("messages.raed", known), Some("messages.read"));
        assert_eq!(nearest("vcard.write", known), None);
        assert_eq!(nearest("rooms.speak", ["rooms.read", "rooms.send", "rooms.join"]), Some("rooms.send"));
        assert_eq!(nearest(&"messages.send".repeat(100), known), None);
    }
}
