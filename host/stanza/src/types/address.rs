//! Addresses, whose length is checked before they are parsed: the time to parse one grows with the square of its
//! domain's length, which peers choose.

use jid::Jid;

/// The maximum length of a part of an address, in bytes (RFC 7622, section 3.1).
const LONGEST_PART: usize = 1023;
/// The maximum length of an address, in bytes: three parts with `@` and `/`.
pub const LONGEST_ADDRESS: usize = 3 * LONGEST_PART + 2;

/// The reason why a text is not an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// The address or its domain is too long.
    #[error("longer than {LONGEST_ADDRESS} bytes, or its domain than {LONGEST_PART}")]
    TooLong,
    /// It is not written as an address is.
    #[error(transparent)]
    Odd(#[from] jid::Error),
}

/// Parses an address that a peer chose.
pub fn address(text: &str) -> Result<Jid, NoAddress> {
    let bare = text.split_once('/').map_or(text, |(bare, _)| bare);
    let domain = bare.split_once('@').map_or(bare, |(_, domain)| domain);
    if text.len() > LONGEST_ADDRESS || domain.len() > LONGEST_PART {
        return Err(NoAddress::TooLong);
    }
    Ok(Jid::new(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_too_long_is_not_parsed() {
        let long = "a".repeat(LONGEST_PART);
        for (text, is_one) in [
            ("juliet@example.org/balcony".to_owned(), true),
            (format!("{long}@example.org/{long}"), true),
            (format!("example.org/{long}"), true),
            (format!("a@{long}b"), false),
            (format!("{long}b/c@d"), false),
            (format!("a@b/{}", "c".repeat(LONGEST_ADDRESS)), false),
        ] {
            assert_eq!(address(&text).is_ok(), is_one, "{text:.40}");
        }
        assert_eq!(address(&format!("a@xn--{}", "b".repeat(8_000))), Err(NoAddress::TooLong));
        assert!(matches!(address("@"), Err(NoAddress::Odd(_))));
    }
}
