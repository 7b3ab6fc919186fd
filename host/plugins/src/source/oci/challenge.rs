//! The authentication challenge of a registry (RFC 9110, section 11.6.1; the token protocol of distribution).

use std::fmt::Write as _;

/// A way to authenticate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a token that is issued at this address, for this service.
    Bearer { realm: String, service: Option<String> },
    /// With the name and password themselves.
    Basic,
}

impl Challenge {
    /// Parses a `www-authenticate` header, which may name several ways. Unknown ones are left out.
    pub(super) fn read(header: &str) -> Vec<Self> {
        let mut found: Vec<(&str, Option<String>, Option<String>)> = Vec::new();
        for part in parts(header) {
            let (first, rest) = part.split_once([' ', '\t']).unwrap_or((part, ""));
            let rest = rest.trim_start();
            // Commas separate both challenges and the parameters of one challenge. A parameter has a `=`.
            let is_scheme = !first.contains('=') && !rest.starts_with('=');
            if is_scheme {
                found.push((first, None, None));
            }
            let parameter = if is_scheme { rest } else { part };
            let (Some((_, realm, service)), Some((name, value))) = (found.last_mut(), parameter.split_once('=')) else {
                continue;
            };
            match name.trim_end().to_ascii_lowercase().as_str() {
                "realm" => *realm = unquoted(value.trim_start()),
                "service" => *service = unquoted(value.trim_start()),
                _ => {}
            }
        }
        let known =
            found.into_iter().filter_map(|(scheme, realm, service)| match scheme.to_ascii_lowercase().as_str() {
                "basic" => Some(Self::Basic),
                "bearer" => realm.map(|realm| Self::Bearer { realm, service }),
                _ => None,
            });
        known.collect()
    }
}

/// Splits a header at its commas, except for those in quotes.
fn parts(header: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let divides = move |one: char| {
        if std::mem::take(&mut is_escaped) {
            return false;
        }
        match one {
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    };
    header.split(divides).map(str::trim).filter(|part| !part.is_empty())
}

/// Removes the quotes of a value; `None` if they do not end.
fn unquoted(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let mut signs = quoted.strip_suffix('"')?.chars();
    let mut text = String::new();
    while let Some(sign) = signs.next() {
        text.push(if sign == '\\' { signs.next()? } else { sign });
    }
    Some(text)
}

/// Encodes a value for a query or a form.
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
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        };
        for (header, expected) in [
            (
                r#"Bearer realm="https://a/t",service="r, s",scope="repository:a:pull""#,
                bearer("https://a/t", Some("r, s")),
            ),
            (r#"bearer xrealm="https://b", Realm="https://a""#, bearer("https://a", None)),
            ("Bearer service=r,realm=https://a", bearer("https://a", Some("r"))),
            ("Bearer\trealm = \"https://a\" , service=\t\"r\"", bearer("https://a", Some("r"))),
            (r#"Bearer realm="https://a",service="\"r\\, s\"""#, bearer("https://a", Some(r#""r\, s""#))),
            (r#"Basic realm="x""#, Challenge::Basic),
            ("Basic", Challenge::Basic),
        ] {
            assert_eq!(Challenge::read(header), [expected], "{header}");
        }
        for none in ["", "Negotiate", "Bearer", "Bearer service=\"a\"", "Bearer realm=\"a", "realm=\"a\"", ", ,"] {
            assert!(Challenge::read(none).is_empty(), "{none}");
        }
        // Several challenges at once, in any order: the parameters of one are not assigned to another.
        let of_bearer = r#"Bearer realm="https://a",service="r, Basic s""#;
        let both = [bearer("https://a", Some("r, Basic s")), Challenge::Basic];
        assert_eq!(Challenge::read(&format!(r#"Negotiate YQ==, {of_bearer}, Basic realm="x""#)), both);
        let [first, second] = both;
        assert_eq!(Challenge::read(&format!(r#"Basic realm="x", Digest realm="y", {of_bearer}"#)), [second, first]);
        assert_eq!(encoded("a b&c=/:"), "a%20b%26c%3D/:");
    }
}
