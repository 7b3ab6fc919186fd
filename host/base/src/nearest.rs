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

/// Counts the slips in the name of a room or a person, compared with a known one; none if they are probably two names. These names are
/// chosen freely, and short ones are often similar, so this is stricter than [`nearest`].
pub fn slips(typed: &str, known: &str) -> Option<usize> {
    if typed.len().max(known.len()) > LONGEST {
        return None;
    }
    // Somebody who numbers rooms means each of them.
    let unnumbered = |name: &str| name.chars().filter(|one| !one.is_ascii_digit()).collect::<String>();
    if typed != known && unnumbered(typed) == unnumbered(known) {
        return None;
    }
    let most = (typed.chars().count().max(known.chars().count()) / 4).min(2);
    Some(strsim::damerau_levenshtein(typed, known)).filter(|slips| *slips <= most)
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

    #[test]
    fn a_freely_chosen_name_has_few_slips_and_a_short_one_has_none() {
        for (typed, known, counted) in [
            ("hall", "hall", Some(0)),
            ("hal", "hall", Some(1)),
            ("hlal", "hall", Some(1)),
            ("julet", "juliet", Some(1)),
            ("mainteance", "maintenance", Some(1)),
            ("x", "hall", None),
            ("den", "hall", None),
            ("den", "pen", None),
            ("staff", "hall", None),
            ("tea", "annex", None),
            ("team1", "team2", None),
            ("team", "team2", None),
            ("maintenance", "main", None),
        ] {
            assert_eq!(slips(typed, known), counted, "{typed} {known}");
        }
        assert_eq!(slips(&"x".repeat(100), &"x".repeat(100)), None);
    }
}
