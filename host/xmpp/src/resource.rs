//! The resources that clients of accounts have whose owners name none.

/// The beginning of each.
const PREFIX: &str = "parlor-";
/// The number of hex digits behind it.
const DIGITS: usize = 8;

/// Returns the resource of a new client.
pub(crate) fn made_up() -> String {
    format!("{PREFIX}{:0DIGITS$x}", rand::random::<u32>())
}

/// Returns whether a resource is one of these, of whichever process. People do not choose such.
pub fn is_made_up(resource: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = resource.strip_prefix(PREFIX);
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_is_known_as_such_and_what_people_choose_is_not() {
        for _ in 0..100 {
            let resource = made_up();
            assert!(is_made_up(&resource), "{resource}");
        }
        for chosen in ["parlor", "parlor-", "parlor-phone", "parlor-0123ABCD", "parlor-0123abcd0", "Gajim.0123abcd", ""]
        {
            assert!(!is_made_up(chosen), "{chosen}");
        }
    }
}
