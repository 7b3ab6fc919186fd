//! Web addresses (`https` URLs), as far as downloads and the host's own servers need them.

use std::fmt;
use std::str::FromStr;

use parlor_base::web_address::{BadWebAddress, LONGEST, WebAddress};

use crate::Endpoint;

/// An address of the form `https://host[:port]/path[?query]`. No other scheme and no user name is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(WebAddress);

/// An error from parsing an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The scheme is not `https`.
    #[error("it has to begin with https://: nothing goes over the web without TLS")]
    Scheme,
    /// The host or port has no valid form.
    #[error("its host is none: {0}")]
    Host(String),
    /// The address contains a user name or a password.
    #[error("leave out what stands before the @: nobody is logged in by an address")]
    User,
    /// The part behind the host contains characters that must be escaped, or the address is too long.
    #[error("behind the host it has to be of plain characters, others as %XX, and at most {LONGEST} bytes long")]
    Path,
}

impl From<BadWebAddress> for UrlError {
    fn from(error: BadWebAddress) -> Self {
        match error {
            BadWebAddress::Scheme => Self::Scheme,
            BadWebAddress::User => Self::User,
            BadWebAddress::Host(reason) => Self::Host(reason),
            BadWebAddress::TooLong | BadWebAddress::Character => Self::Path,
        }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        plain(text)?;
        Self::of(WebAddress::parse(text)?)
    }
}

impl Url {
    fn of(address: WebAddress) -> Result<Self, UrlError> {
        if address.is_secure() { Ok(Self(address)) } else { Err(UrlError::Scheme) }
    }

    /// Returns the host with its port.
    pub fn server(&self) -> Endpoint {
        Endpoint { host: self.host().to_owned(), port: Some(self.port()) }
    }

    /// Returns the host's name or address; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// Returns the port, 443 by default.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Returns the host for the `host` header, with the port unless it is the default.
    pub fn authority(&self) -> String {
        self.0.authority().to_owned()
    }

    /// Returns the path with the query.
    pub fn path(&self) -> &str {
        self.0.path_and_query()
    }

    /// Returns whether both addresses have the same host and port.
    pub fn same_server(&self, other: &Self) -> bool {
        self.0.same_server(&other.0)
    }

    /// Returns the address with `ending` appended to its path.
    #[must_use]
    pub fn with_ending(&self, ending: &str) -> Self {
        Self(self.0.with_ending(ending))
    }

    /// Resolves a reference relative to this address (RFC 3986, section 4.2).
    pub fn to(&self, reference: &str) -> Result<Self, UrlError> {
        plain(reference)?;
        Self::of(self.0.to(reference)?)
    }
}

/// Checks that nothing but a host's name has characters beyond ASCII, nor those that other programs read differently.
fn plain(reference: &str) -> Result<(), UrlError> {
    // The fragment is not sent to the server.
    let sent = reference.split('#').next().unwrap_or_default();
    let (scheme, rest) = sent.split_once("//").unwrap_or_default();
    let has_host = sent.starts_with("//") || (scheme.ends_with(':') && !scheme.contains('/'));
    let path = if has_host { &rest[rest.find(['/', '?']).unwrap_or(rest.len())..] } else { sent };
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\'));
    if is_plain { Ok(()) } else { Err(UrlError::Path) }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn only_https_is_an_address() {
        assert_eq!(url("https://example.org").to_string(), "https://example.org/");
        assert_eq!(url("https://example.org:443/a?b=c#d").to_string(), "https://example.org/a?b=c");
        assert_eq!(url("https://[::1]:8443?x").to_string(), "https://[::1]:8443/?x");
        for bad in ["http://example.org/", "ftp://x/", "https://", "https:///a", "https://u:p@x/", "https://x:0/", "x"]
        {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
        for bad in ["https://x/a b", "https://x/\r\nhost: y", "https://x/ü", "https://x?ü"] {
            assert_eq!(bad.parse::<Url>(), Err(UrlError::Path), "{bad}");
        }
        for bad in ["ü", "/ü", "a//ü", "//x/ü", "https://x/ü", "?ü", "a b", "a\\b"] {
            assert_eq!(url("https://example.org").to(bad), Err(UrlError::Path), "{bad}");
        }
        assert_eq!(url("https://x/a#b").to_string(), "https://x/a");
    }

    #[test]
    fn a_host_has_one_name_and_nobody_before_it() {
        assert_eq!(url("https://EXAMPLE.org/A").to_string(), "https://example.org/A");
        assert!(url("https://example.ORG:443/x").same_server(&url("https://Example.org/y")));
        assert_eq!(url("https://b\u{fc}cher.example/").to_string(), "https://xn--bcher-kva.example/");
        assert_eq!(url("https://[2001:DB8::1]/").to_string(), "https://[2001:db8::1]/");
        // IDNA maps this full-width character to a slash.
        assert!("https://example.org\u{ff0f}.evil.example/".parse::<Url>().is_err());
        for user in ["https://u:p@x/", "https://example.org@evil.example/x", "https://@x/"] {
            assert_eq!(user.parse::<Url>(), Err(UrlError::User), "{user}");
        }
        assert_eq!(url("https://x/a@b").path(), "/a@b");
    }

    /// Checks the examples of RFC 3986, section 5.4.
    #[test]
    fn references_are_resolved_as_everywhere() {
        let here = url("https://a/b/c/d;p?q");
        for (reference, expected) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            (";x", "/b/c/;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./g/.", "/b/c/g/"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/../x", "/b/c/g?y/../x"),
        ] {
            assert_eq!(here.to(reference).unwrap().path(), expected, "{reference:?}");
        }
        assert_eq!(here.to("//g").unwrap().to_string(), "https://g/");
        assert_eq!(here.to("http:g"), Err(UrlError::Scheme));
    }

    #[test]
    fn references_lead_where_they_say() {
        let here = url("https://example.org:8443/a/b?c");
        let to = |reference: &str| here.to(reference).map(|url| url.to_string()).ok();
        assert_eq!(to("https://other.example/x").as_deref(), Some("https://other.example/x"));
        assert_eq!(to("//other.example/x").as_deref(), Some("https://other.example/x"));
        assert_eq!(to("/x?y").as_deref(), Some("https://example.org:8443/x?y"));
        assert_eq!(to("x").as_deref(), Some("https://example.org:8443/a/x"));
        assert_eq!(to("?x=y").as_deref(), Some("https://example.org:8443/a/b?x=y"));
        assert_eq!(to("HTTPS://other.example/x").as_deref(), Some("https://other.example/x"));
        assert_eq!(to("http://example.org/x"), None);
        assert_eq!(to("file:///etc/passwd"), None);
        assert_eq!(here.with_ending(".minisig").path(), "/a/b.minisig?c");
    }
}
