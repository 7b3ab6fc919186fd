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

    /// RFC 7622, section 3.5.
    #[test]
    fn an_address_has_three_parts_at_most() {
        for (text, node, domain, resource) in [
            ("example.net", None, "example.net", None),
            ("A.Example.nEt.", None, "a.example.net", None),
            ("example.net/foo@bar", None, "example.net", Some("foo@bar")),
            ("Mercutio@example.net/rp@rp/rp", Some("mercutio"), "example.net", Some("rp@rp/rp")),
            ("mercutio@example.net//@//", Some("mercutio"), "example.net", Some("/@//")),
            ("juliet@example.com/ foo", Some("juliet"), "example.com", Some(" foo")),
            ("king@example.com/\u{265a}", Some("king"), "example.com", Some("\u{265a}")),
            ("foo\\20bar@example.com", Some("foo\\20bar"), "example.com", None),
            ("127.0.0.1", None, "127.0.0.1", None),
            ("juliet@[::1]/res", Some("juliet"), "[::1]", Some("res")),
            ("juliet@123.123.123.123/res", Some("juliet"), "123.123.123.123", Some("res")),
            ("a.example.com/b@example.net", None, "a.example.com", Some("b@example.net")),
            ("room@muc.example/mercutio@example.net/x", Some("room"), "muc.example", Some("mercutio@example.net/x")),
            ("fu\u{df}ball@example.com", Some("fussball"), "example.com", None),
            ("\u{3a3}@example.com/\u{3a3}", Some("\u{3c3}"), "example.com", Some("\u{3a3}")),
        ] {
            let jid = address(text).unwrap();
            let parts = (jid.node().map(jid::NodeRef::as_str), jid.resource().map(jid::ResourceRef::as_str));
            assert_eq!((parts, jid.domain().as_str()), ((node, resource), domain), "{text}");
        }
        let label = format!("user@{}.com", "a".repeat(64));
        for text in [
            "",
            label.as_str(),
            " foo@example.com",
            "bar @example.com",
            "user@-example.com",
            "user@example.com-",
            "user@[::]1]",
            "juliet@",
            "/foobar",
            "lp@/rp",
            "@example.net/rp",
            "e@example.net/",
            "user@host@example.com",
            "foo bar@example.com",
            "b\"d@example.net",
            "b'd@example.net",
            "b:d@example.net",
            "b<d@example.net",
            "test@domain com/resource",
            "user@aaa..bbb.com",
            "user@example.com:5222",
            "[127.0.0.1]",
            "[::1",
            "::1]",
            "user@example.com/\u{1}",
            "user@example.com/te\u{200f}st",
        ] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_address_that_is_too_long_is_not_parsed() {
        let long = "a".repeat(LONGEST_PART);
        for (text, is_one) in [
            ("juliet@example.org/balcony".to_owned(), true),
            (format!("{long}@example.org/{long}"), true),
            (format!("example.org/{long}"), true),
            (format!("{long}b@example.org"), false),
            (format!("example.org/{long}b"), false),
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
