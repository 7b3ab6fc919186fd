//! The address of the window: which hosts and origins requests may name.
//!
//! A stranger's page can have a name that resolves to this machine (DNS rebinding), and can send forms anywhere. The
//! browser writes the stranger's name into `Host` and `Origin` then.

use std::net::SocketAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Uri};
use url::{Host, Url};

/// The header in which browsers say where a request comes from: <https://www.w3.org/TR/fetch-metadata/>.
static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The address of the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The values of `Host` that are served.
    hosts: Vec<String>,
    /// The values of `Origin` that may change something.
    origins: Vec<String>,
    /// The path before all others: empty, or such as `/parlor`.
    base: String,
    /// The name of the cookie.
    cookie: String,
}

/// The error for an address that cannot be that of a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// The origin.
    #[error(
        "{0:?} is no origin for it: write https:// and the name by which browsers reach the proxy, without a path, such as https://bots.example.org"
    )]
    Origin(String),
    /// The path.
    #[error("{0:?} is no path for it: write letters, digits, - and _ between two slashes, such as /parlor/")]
    Path(String),
}

impl Site {
    /// Returns the site of a server that only this machine reaches.
    pub fn local(at: SocketAddr) -> Self {
        let port = at.port();
        // The one that it listens at comes first: links begin with it, and nothing may listen at the others.
        let names = [url_host(at), "127.0.0.1".to_owned(), "localhost".to_owned(), "[::1]".to_owned()];
        let mut hosts: Vec<_> = names.iter().map(|name| format!("{name}:{port}")).collect();
        if port == 80 {
            hosts.extend(names);
        }
        let origins = hosts.iter().map(|host| format!("http://{host}")).collect();
        // Cookies do not know ports: two windows on one machine would end each other's sessions.
        Self { hosts, origins, base: String::new(), cookie: format!("parlor-{port}") }
    }

    /// Returns the site of a server behind a proxy with this origin, below this path.
    pub fn public(origin: &str, path: &str) -> Result<Self, SiteError> {
        let wrong = || SiteError::Origin(origin.to_owned());
        let url = Url::parse(origin).map_err(|_| wrong())?;
        let is_local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(wrong()),
        };
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_nobodys = url.username().is_empty() && url.password().is_none();
        let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_local;
        if !is_bare || !is_nobodys || !is_safe {
            return Err(wrong());
        }
        let base = path.trim_end_matches('/');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte);
        if !base.is_empty() && (!base.starts_with('/') || base.contains("//")) || !base.bytes().all(is_plain) {
            return Err(SiteError::Path(path.to_owned()));
        }
        let origin = url.origin().ascii_serialization();
        let host = origin.split_once("://").map(|(_, host)| host.to_owned()).ok_or_else(wrong)?;
        // A browser takes a cookie of the first name only for the whole host, and one of the second only over TLS.
        let cookie = match (url.scheme(), base) {
            ("https", "") => "__Host-parlor",
            ("https", _) => "__Secure-parlor",
            _ => "parlor",
        };
        // A proxy may name the usual port, too, which browsers leave out (RFC 9110, section 4.2.3).
        let usual = url.port_or_known_default().filter(|_| url.port().is_none());
        let hosts = usual.map(|port| format!("{host}:{port}")).into_iter().chain([host]).collect();
        Ok(Self { hosts, origins: vec![origin], base: base.to_owned(), cookie: cookie.to_owned() })
    }

    /// Returns the address of the first page.
    pub fn address(&self) -> String {
        self.origins.first().map(|origin| format!("{origin}{}/", self.base)).unwrap_or_default()
    }

    /// Returns the path before all others, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns the name of the cookie.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Returns whether browsers reach it by TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.origins.iter().all(|origin| origin.starts_with("https:"))
    }

    /// Returns whether a request names this site as its host, once.
    pub(crate) fn is_host(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let is_own = |host: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        let named = only(headers, &HOST).is_some_and(is_own);
        named && uri.authority().is_none_or(|authority| is_own(authority.as_str()))
    }

    /// Returns whether a request that changes something comes from a page of this site.
    ///
    /// Browsers send `Origin` with each of them, and by now `Sec-Fetch-Site`. A page cannot set either.
    pub(crate) fn is_own_page(&self, headers: &HeaderMap) -> bool {
        let is_absent = |name: &HeaderName| !headers.contains_key(name);
        let origin = only(headers, &ORIGIN).is_some_and(|origin| self.origins.iter().any(|own| own == origin));
        let same = only(headers, &FETCH_SITE) == Some("same-origin");
        (origin && (same || is_absent(&FETCH_SITE))) || (same && is_absent(&ORIGIN))
    }

    /// Returns the rest of a path below the base, with the slash; none for a path elsewhere.
    pub(crate) fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.base.as_str())?;
        rest.starts_with('/').then_some(rest)
    }
}

/// Returns the host of an address as URLs have it.
fn url_host(at: SocketAddr) -> String {
    match at {
        SocketAddr::V4(at) => at.ip().to_string(),
        SocketAddr::V6(at) => format!("[{}]", at.ip()),
    }
}

/// Returns the value of a header that occurs exactly once: of two, it is unknown which one a proxy used.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_name_that_leads_here_is_not_enough() {
        let site = Site::local("127.0.0.1:8470".parse().unwrap());
        let is_host = |host: &str| site.is_host(&headers(&[("host", host)]), &Uri::from_static("/"));
        for own in ["127.0.0.1:8470", "localhost:8470", "LOCALHOST:8470", "[::1]:8470"] {
            assert!(is_host(own), "{own}");
        }
        for other in ["evil.example:8470", "127.0.0.1", "localhost:80", "localhost:8470.evil.example", "", "127.1:8470"]
        {
            assert!(!is_host(other), "{other}");
        }
        let twice = headers(&[("host", "localhost:8470"), ("host", "localhost:8470")]);
        assert!(!site.is_host(&twice, &Uri::from_static("/")));
        assert!(!site.is_host(&HeaderMap::new(), &Uri::from_static("/")));
        let own = headers(&[("host", "localhost:8470")]);
        assert!(!site.is_host(&own, &Uri::from_static("http://evil.example/")));
    }

    #[test]
    fn links_lead_to_where_it_listens() {
        for (at, address) in [
            ("127.0.0.1:8470", "http://127.0.0.1:8470/"),
            ("127.0.0.2:8470", "http://127.0.0.2:8470/"),
            ("[::1]:8470", "http://[::1]:8470/"),
        ] {
            let site = Site::local(at.parse().unwrap());
            assert_eq!(site.address(), address);
            let own = address.trim_start_matches("http://").trim_end_matches('/');
            for host in [own, "localhost:8470"] {
                assert!(site.is_host(&headers(&[("host", host)]), &Uri::from_static("/")), "{host}");
            }
        }
    }

    #[test]
    fn a_proxy_may_name_the_usual_port_and_no_other() {
        let is_host = |origin: &str, host: &str| {
            let site = Site::public(origin, "/").unwrap();
            site.is_host(&headers(&[("host", host)]), &Uri::from_static("/"))
        };
        for (origin, host) in [
            ("https://bots.example.org", "bots.example.org"),
            ("https://bots.example.org", "Bots.example.org:443"),
            ("https://bots.example.org:443", "bots.example.org"),
            ("https://[2001:db8::1]", "[2001:DB8::1]:443"),
            ("https://bots.example.org:8443", "bots.example.org:8443"),
            ("http://localhost", "localhost:80"),
        ] {
            assert!(is_host(origin, host), "{host} for {origin}");
        }
        for (origin, host) in [
            ("https://bots.example.org", "bots.example.org:80"),
            ("https://bots.example.org:8443", "bots.example.org"),
            ("https://bots.example.org:8443", "bots.example.org:443"),
            ("https://bots.example.org", "evil.example:443"),
        ] {
            assert!(!is_host(origin, host), "{host} for {origin}");
        }
    }

    #[test]
    fn only_own_pages_change_something() {
        let site = Site::public("https://bots.example.org", "/parlor/").unwrap();
        let is_own = |all: &[(&str, &str)]| site.is_own_page(&headers(all));
        let origin = ("origin", "https://bots.example.org");
        assert!(is_own(&[origin]));
        assert!(is_own(&[origin, ("sec-fetch-site", "same-origin")]));
        assert!(is_own(&[("sec-fetch-site", "same-origin")]));
        for other in [
            &[][..],
            &[("origin", "https://evil.example")],
            &[("origin", "http://bots.example.org")],
            &[("origin", "https://bots.example.org.evil.example")],
            &[("origin", "null")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[origin, ("sec-fetch-site", "same-site")],
            &[origin, ("sec-fetch-site", "cross-site")],
            &[origin, ("sec-fetch-site", "none")],
            &[origin, origin],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!is_own(other), "{other:?}");
        }
    }

    #[test]
    fn an_origin_is_one_and_a_path_is_plain() {
        let site = Site::public("https://Bots.example.org:8443", "/parlor/").unwrap();
        assert_eq!(site.address(), "https://bots.example.org:8443/parlor/");
        assert_eq!((site.below("/parlor/plugins"), site.below("/parlor/")), (Some("/plugins"), Some("/")));
        assert_eq!((site.below("/parlor"), site.below("/parlorx/"), site.below("/")), (None, None, None));
        assert_eq!(Site::public("https://x.example", "/").unwrap().cookie(), "__Host-parlor");
        assert_eq!(Site::public("https://x.example", "/a").unwrap().cookie(), "__Secure-parlor");
        assert!(Site::public("http://localhost:9000", "/").is_ok());
        for wrong in [
            "",
            "bots.example.org",
            "http://bots.example.org",
            "https://x.example/a",
            "https://a@x.example",
            "https://x.example/?a",
            "ftp://x.example",
            "file:///",
        ] {
            assert!(matches!(Site::public(wrong, "/"), Err(SiteError::Origin(_))), "{wrong}");
        }
        for wrong in ["parlor", "/a/../b", "/a//b", "/a b", "/%41"] {
            let site = Site::public("https://x.example", wrong);
            assert!(matches!(site, Err(SiteError::Path(_))), "{wrong}");
        }
    }
}
