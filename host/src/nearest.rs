//! The known name that is nearest to one that nobody knows, for errors and warnings. It knows no names itself.

use std::cmp::Reverse;

/// What a longer name than this is near to does not interest anybody, and comparing costs its length times the other's.
const LONGEST: usize = 64;

/// The known name that `name` was probably meant to be; none when nothing is close enough to be a slip of the keys.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let slips = (name.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|&(distance, _)| distance <= slips)
        // Of those that are as near, the one that begins like it for longest: at the end another word was on somebody's mind.
        .min_by_key(|&(distance, candidate)| (distance, Reverse(common(name, candidate))))
        .map(|(_, candidate)| candidate)
}

/// How many characters two names begin with in common.
fn common(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// `: did you mean "…"?` for the end of an error, or nothing.
pub(crate) fn suggestion(nearest: Option<&str>) -> String {
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
