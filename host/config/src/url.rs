//! Web addresses (`https` URLs), as far as downloads need them.

use std::fmt;
use std::str::FromStr;

use idna::AsciiDenyList;

use crate::{BadEndpoint, Endpoint};

/// The maximum length of an address behind the scheme, in bytes. RFC 9110 (section 4.1) recommends that everybody
/// supports 8,000. Registries redirect to signed addresses that contain a token of some thousand bytes.
const LONGEST: usize = 8000;
/// The scheme that every address begins with.
const SCHEME: &str = "https://";
/// The default port of `https`.
const PORT: u16 = 443;

/// An address of the form `https://host[:port]/path[?query]`. No other scheme and no user name is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    server: Endpoint,
    /// The path with its leading slash, and the query.
    path: String,
}

/// An error from parsing an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The scheme is not `https`.
    #[error("it has to begin with https://: nothing goes over the web without TLS")]
    Scheme,
    /// The host or port has no valid form.
    #[error("its host is none: {0}")]
    Host(BadEndpoint),
    /// The host is not a valid domain name.
    #[error("its host is none: no server can have that name")]
    Name,
    /// The address contains a user name or a password.
    #[error("leave out what stands before the @: nobody is logged in by an address")]
    User,
    /// The part behind the host contains characters that must be escaped, or the address is too long.
    #[error("behind the host it has to be of plain characters, others as %XX, and at most {LONGEST} bytes long")]
    Path,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        // The scheme is case-insensitive (RFC 3986, section 3.1).
        let (scheme, rest) = text.split_at_checked(SCHEME.len()).ok_or(UrlError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(UrlError::Scheme);
        }
        if rest.len() > LONGEST {
            return Err(UrlError::Path);
        }
        // The fragment behind `#` is not sent to the server.
        let rest = rest.split('#').next().unwrap_or(rest);
        let (server, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
        let slash = if path.starts_with('/') { "" } else { "/" };
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\')) {
            return Err(UrlError::Path);
        }
        if server.contains('@') {
            return Err(UrlError::User);
        }
        let server: Endpoint = server.parse().map_err(UrlError::Host)?;
        // Host names are case-insensitive, and servers know an international name only by its ASCII form.
        let host = if server.host.contains(':') {
            server.host.to_ascii_lowercase()
        } else {
            let host = idna::domain_to_ascii_cow(server.host.as_bytes(), AsciiDenyList::URL);
            host.map_err(|_| UrlError::Name)?.into_owned()
        };
        let (place, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let place = without_dots(&format!("{slash}{place}"));
        Ok(Self { server: Endpoint { host, ..server }, path: format!("{place}{query}") })
    }
}

impl Url {
    /// Returns the host with its port.
    pub fn server(&self) -> Endpoint {
        Endpoint { port: Some(self.port()), ..self.server.clone() }
    }

    /// Returns the host's name or address.
    pub fn host(&self) -> &str {
        &self.server.host
    }

    /// Returns the port, 443 by default.
    pub fn port(&self) -> u16 {
        self.server.port.unwrap_or(PORT)
    }

    /// Returns the host for the `host` header, with the port unless it is the default.
    pub fn authority(&self) -> String {
        Endpoint { port: self.server.port.filter(|port| *port != PORT), ..self.server.clone() }.to_string()
    }

    /// Returns the path with the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns whether both addresses have the same host and port.
    pub fn same_server(&self, other: &Self) -> bool {
        self.host() == other.host() && self.port() == other.port()
    }

    /// Returns the address with `ending` appended to its path.
    #[must_use]
    pub fn with_ending(&self, ending: &str) -> Self {
        let (path, query) = self.path.split_at(self.path.find('?').unwrap_or(self.path.len()));
        Self { path: format!("{path}{ending}{query}"), ..self.clone() }
    }

    /// Resolves a reference relative to this address (RFC 3986, section 4.2).
    pub fn to(&self, reference: &str) -> Result<Self, UrlError> {
        if let Some(rest) = reference.strip_prefix("//") {
            return format!("https://{rest}").parse();
        }
        // A scheme comes before the first slash.
        if reference.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) {
            return reference.parse();
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let folder = match reference.chars().next() {
            Some('/') => "",
            // The reference replaces the query only.
            Some('?') => path,
            None | Some('#') => self.path.as_str(),
            _ => &path[..=path.rfind('/').unwrap_or(0)],
        };
        format!("https://{}{folder}{reference}", self.server).parse()
    }
}

/// Removes the segments `.` and `..` from a path (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment == ".." {
            kept.pop();
        }
        if !matches!(segment, "." | "..") {
            kept.push(segment);
        } else if segments.peek().is_none() {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.path)
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
        for bad in ["https://x/a b", "https://x/\r\nhost: y", "https://x/ü"] {
            assert_eq!(bad.parse::<Url>(), Err(UrlError::Path), "{bad}");
        }
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
