//! Addresses of the web that strangers write: parsed once, as browsers parse them, so that a check and the request mean
//! the same server.
//!
//! The form that [`WebAddress`] keeps has one spelling: an IPv4 address in octal or hexadecimal is written with four
//! numbers, an international domain in its ASCII form, and a path has no `.` or `..`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Position, Url};

/// The maximum length of an address, in bytes. RFC 9110 (section 4.1) recommends that everybody supports 8,000.
pub const LONGEST: usize = 8_000;

/// An address of the form `https://host[:port]/path[?query]`, or the same with `http`. Without user name and fragment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebAddress(Arc<Url>);

/// The reason why a text is not an address for requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWebAddress {
    /// It is longer than [`LONGEST`].
    #[error("it has more than {LONGEST} bytes")]
    TooLong,
    /// It has a character that browsers drop or rewrite.
    #[error("it contains a space, a backslash or a control character; write them as %XX")]
    Character,
    /// It does not begin with `https://` or `http://`.
    #[error("it has to begin with https:// or http://")]
    Scheme,
    /// It has a user name or a password.
    #[error("leave out what stands before the @; a credential goes into a header")]
    User,
    /// Its host is invalid.
    #[error("its host is none: {0}")]
    Host(String),
}

/// The server of an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Server {
    /// A domain in its ASCII form, in small letters and without a dot at its end.
    Domain(String),
    /// An address of the network.
    Ip(IpAddr),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => f.write_str(domain),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(IpAddr::V4(address)) => write!(f, "{address}"),
        }
    }
}

impl WebAddress {
    /// Parses an absolute address.
    pub fn parse(text: &str) -> Result<Self, BadWebAddress> {
        checked(text)?;
        let behind = |scheme: &str| {
            let (begin, rest) = text.split_at_checked(scheme.len())?;
            begin.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let rest = behind("https://").or_else(|| behind("http://")).ok_or(BadWebAddress::Scheme)?;
        // Browsers drop further slashes.
        if rest.starts_with('/') {
            return Err(BadWebAddress::Host("there is none".to_owned()));
        }
        // The parser drops an empty user name.
        if rest.split(['/', '?', '#']).next().is_some_and(|server| server.contains('@')) {
            return Err(BadWebAddress::User);
        }
        Self::of(Url::parse(text).map_err(|error| BadWebAddress::Host(error.to_string()))?)
    }

    /// Resolves a reference relative to this address (RFC 3986, section 4.2), as a redirect gives it.
    pub fn to(&self, reference: &str) -> Result<Self, BadWebAddress> {
        checked(reference)?;
        Self::of(self.0.join(reference).map_err(|error| BadWebAddress::Host(error.to_string()))?)
    }

    fn of(mut url: Url) -> Result<Self, BadWebAddress> {
        if !matches!(url.scheme(), "https" | "http") {
            return Err(BadWebAddress::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadWebAddress::User);
        }
        url.set_fragment(None);
        if url.as_str().len() > LONGEST {
            return Err(BadWebAddress::TooLong);
        }
        // The dot at the end names the same server (RFC 1034, section 3.1), and would pass a check for its name.
        let undotted = url.domain().and_then(|domain| domain.strip_suffix('.')).map(str::to_owned);
        if let Some(undotted) = undotted {
            url.set_host(Some(&undotted)).map_err(|error| BadWebAddress::Host(error.to_string()))?;
        }
        if url.port() == Some(0) {
            return Err(BadWebAddress::Host("nobody is at port 0".to_owned()));
        }
        match url.host() {
            None => return Err(BadWebAddress::Host("there is none".to_owned())),
            Some(Host::Domain(domain)) => is_domain(domain).map_err(|why| BadWebAddress::Host(why.to_owned()))?,
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => {}
        }
        Ok(Self(Arc::new(url)))
    }

    /// Returns whether requests to it use TLS.
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Returns the server.
    pub fn server(&self) -> Server {
        match self.0.host() {
            Some(Host::Ipv4(address)) => Server::Ip(address.into()),
            Some(Host::Ipv6(address)) => Server::Ip(address.into()),
            Some(Host::Domain(domain)) => Server::Domain(domain.to_owned()),
            None => unreachable!("an address without host was refused"),
        }
    }

    /// Returns the server as its name or address is written; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Returns the server with its port unless that is the usual one, as the `host` header has it.
    pub fn authority(&self) -> &str {
        &self.0[Position::BeforeHost..Position::AfterPort]
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(0)
    }

    /// Returns the path, which begins with a slash.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Returns the query, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.0.query()
    }

    /// Returns the same address with another query.
    pub fn with_query(&self, query: &str) -> Result<Self, BadWebAddress> {
        checked(query)?;
        let mut url = Url::clone(&self.0);
        url.set_query(Some(query));
        Self::of(url)
    }

    /// Returns the path with the query.
    pub fn path_and_query(&self) -> &str {
        &self.0[Position::BeforePath..]
    }

    /// Returns the address with `ending` appended to its path.
    #[must_use]
    pub fn with_ending(&self, ending: &str) -> Self {
        let mut url = Url::clone(&self.0);
        url.set_path(&format!("{}{ending}", url.path()));
        Self(Arc::new(url))
    }

    /// Returns the whole address, as a request needs it. It may contain a secret.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns scheme, host and port, as logs show them: the rest may contain a secret.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Returns whether both have the same scheme, host and port.
    pub fn same_server(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }
}

/// Shows no path and no query.
impl fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebAddress({}/…)", self.origin())
    }
}

/// Returns a text as a query has it.
pub fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Returns the value of the only field of a form, if it has this name; `None` if the form has other fields.
pub fn only_field(form: &[u8], name: &str) -> Option<String> {
    let mut fields = url::form_urlencoded::parse(form);
    let (found, value) = fields.next()?;
    (found == name && fields.next().is_none()).then(|| value.into_owned())
}

/// Refuses characters that the parser would drop or rewrite silently.
fn checked(text: &str) -> Result<(), BadWebAddress> {
    if text.len() > LONGEST {
        return Err(BadWebAddress::TooLong);
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(BadWebAddress::Character);
    }
    Ok(())
}

fn is_domain(domain: &str) -> Result<(), &'static str> {
    if domain.len() > 253 {
        return Err("it is longer than 253 bytes");
    }
    if domain.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err("a part between its dots is empty, or longer than 63 bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> String {
        WebAddress::parse(text).map_or_else(|error| error.to_string(), |address| address.as_str().to_owned())
    }

    #[test]
    fn each_address_has_one_spelling() {
        for (text, expected) in [
            ("HTTPS://Example.ORG", "https://example.org/"),
            ("https://example.org:443/a/../b/./c?d#e", "https://example.org/b/c?d"),
            ("https://example.org./", "https://example.org/"),
            ("https://example.org/%2e%2E/x", "https://example.org/x"),
            ("http://0177.0.0.1:8080/", "http://127.0.0.1:8080/"),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://ex%61mple.org/", "https://example.org/"),
            // The letter is Cyrillic.
            ("https://еxample.org/", "https://xn--xample-2of.org/"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for text in [
            "",
            "example.org",
            "//example.org/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "https:/example.org/",
            "https:example.org",
            "https://",
            "https:///x",
            "https://juliet@example.org/",
            "https://@example.org/",
            "https://:pass@example.org/",
            "https://example.org\\@evil.example/",
            "https://exa\tmple.org/",
            "https://example.org/\r\nHost: evil",
            " https://example.org/",
            "https://example..org/",
            "https://.example.org/",
            "https://example.org:99999/",
            "https://example.org:0/",
            "https://256.256.256.256/",
            "https://exa mple.org/",
        ] {
            assert!(WebAddress::parse(text).is_err(), "{text:?} is {}", parsed(text));
        }
        assert_eq!(
            WebAddress::parse(&format!("https://example.org/{}", "a".repeat(LONGEST))),
            Err(BadWebAddress::TooLong)
        );
    }

    #[test]
    fn a_redirect_may_be_relative_and_is_checked_like_an_address() {
        let here = WebAddress::parse("https://example.org/a/b?c").unwrap();
        for (to, expected) in [
            ("/x", "https://example.org/x"),
            ("x", "https://example.org/a/x"),
            ("//other.example/", "https://other.example/"),
            ("http://example.org/", "http://example.org/"),
        ] {
            assert_eq!(here.to(to).unwrap().as_str(), expected, "{to}");
        }
        for to in ["ftp://example.org/", "//juliet@example.org/", "/a\r\nb", "javascript:alert(1)"] {
            assert!(here.to(to).is_err(), "{to}");
        }
    }

    #[test]
    fn neither_log_nor_debug_shows_a_path() {
        let address = WebAddress::parse("https://example.org:8443/canary?canary").unwrap();
        assert_eq!((address.origin(), address.port()), ("https://example.org:8443".to_owned(), 8443));
        assert!(!format!("{address:?}").contains("canary"));
    }

    proptest! {
        /// A check of the parsed address must hold for the requested one.
        #[test]
        fn what_was_parsed_parses_to_itself(text in "https?://[a-zA-Z0-9.:@%\\[\\]ä_-]{1,24}(/[ -~]{0,24})?") {
            let Ok(address) = WebAddress::parse(&text) else { return Ok(()) };
            prop_assert_eq!(&WebAddress::parse(address.as_str()).unwrap(), &address);
            if let Server::Domain(domain) = address.server() {
                prop_assert!(domain.is_ascii() && !domain.ends_with('.') && domain.parse::<IpAddr>().is_err());
            }
        }
    }
}
