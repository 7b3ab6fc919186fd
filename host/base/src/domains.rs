//! Domains that belong to one owner, by their names.

/// The second parts of domains below which countries let others have domains, such as `co.uk`.
const OF_COUNTRIES: [&str; 9] = ["ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"];

/// Returns the end of a domain that it has in common with others of the same owner: its last two parts, or three below those of
/// countries. The owner of a domain has any number of domains below it.
pub fn owned_together(domain: &str) -> &str {
    let last = |parts: usize| domain.rmatch_indices('.').nth(parts - 1).map_or(domain, |(at, _)| &domain[at + 1..]);
    let two = last(2);
    let is_of_a_country =
        two.split_once('.').is_some_and(|(second, first)| first.len() == 2 && OF_COUNTRIES.contains(&second));
    if is_of_a_country { last(3) } else { two }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_of_one_owner_are_counted_together() {
        for (domain, end) in [
            ("example.org", "example.org"),
            ("a.b.example.org", "example.org"),
            ("chat.example.co.uk", "example.co.uk"),
            ("example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("chat.abc.de", "abc.de"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(owned_together(domain), end, "{domain}");
        }
    }
}
