//! What a registry wants of whoever asks (RFC 9110, section 11.6.1; the token protocol of distribution).

use std::fmt::Write as _;

/// How one is to log in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a token that is given at this address, for this service.
    Bearer { realm: String, service: Option<String> },
    /// With the name and the password themselves.
    Basic,
}

impl Challenge {
    /// Reads the header `www-authenticate`; none: it asks for something else.
    pub(super) fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        let mut rest = rest;
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            match name.trim_start_matches([',', ' ']).trim_end().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = after;
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// A value as it stands in a query or a form.
pub(super) fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_by_its_names() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        assert_eq!(
            Challenge::read("Bearer realm=\"https://a/t\",service=\"r, s\",scope=\"repository:a:pull\""),
            bearer("https://a/t", Some("r, s"))
        );
        assert_eq!(Challenge::read("bearer xrealm=\"https://b\", Realm=\"https://a\""), bearer("https://a", None));
        assert_eq!(Challenge::read("Bearer service=r,realm=https://a"), bearer("https://a", Some("r")));
        assert_eq!(Challenge::read("Basic realm=\"x\""), Some(Challenge::Basic));
        for none in ["", "Negotiate", "Bearer", "Bearer service=\"a\"", "Bearer realm=\"a"] {
            assert_eq!(Challenge::read(none), None, "{none}");
        }
        assert_eq!(encoded("a b&c=/:"), "a%20b%26c%3D/:");
    }
}
