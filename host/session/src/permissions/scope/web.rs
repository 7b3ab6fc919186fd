//! The servers of the web that one entry of a scope covers: a host or a domain, with method and path or for all of them.

mod place;

use std::fmt;
use std::net::SocketAddr;

use parlor_base::nearest::nearest;
use parlor_base::web_address::{Server, WebAddress};

use super::error::BadScope;
pub use place::ServerPlace;
use place::is_own;

/// The methods that are common.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The others that servers have: those of the registry for RFC 9110 (section 16.1) that consist of letters, and some that are
/// used without it (`UPnP`, caches, and stores of secrets).
const RARE: [&str; 33] = [
    "ACL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LIST",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SUBSCRIBE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "UPDATEREDIRECTREF",
];

/// The methods that no plugin can send, for proxies and for tests of servers.
const NEVER: [&str; 2] = ["CONNECT", "TRACE"];

/// The top-level domains that no public server has, for tests and documentation (RFC 2606).
const RESERVED: [&str; 2] = ["example", "test"];

/// An entry of a scope of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebPattern {
    /// The method; none = each.
    method: Option<Box<str>>,
    servers: Servers,
    /// The path that a path must equal or lie below; none = each.
    path: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Servers {
    /// Every server, over TLS.
    All,
    /// This server.
    One { is_secure: bool, server: Server, port: u16 },
    /// The servers whose domain lies below this one, at this port.
    Below { is_secure: bool, domain: Box<str>, port: u16 },
}

impl WebPattern {
    /// Returns the entry for every server over TLS.
    pub(super) fn all() -> Self {
        Self { method: None, servers: Servers::All, path: None }
    }

    pub(super) fn parse(entry: &str) -> Result<Self, BadScope> {
        let bad = |reason: String| BadScope::NoServer { entry: entry.chars().take(128).collect(), reason };
        let (method, rest) = entry.split_once(' ').map_or((None, entry), |(method, rest)| (Some(method), rest));
        if method.is_some_and(|method| !is_method(method)) {
            return Err(bad("before the space, there is no method in capitals".to_owned()));
        }
        if method.is_some_and(|method| NEVER.contains(&method)) {
            return Err(bad("no plugin can send CONNECT and TRACE".to_owned()));
        }
        if let Some(method) = method.filter(|method| !METHODS.contains(method) && !RARE.contains(method)) {
            let remedy = nearest(method, METHODS).map_or_else(
                || {
                    let all = METHODS.join(", ");
                    format!("write {all}, or another that servers have, such as PROPFIND; without one, it is for all")
                },
                |meant| format!("did you mean {meant}?"),
            );
            return Err(bad(format!("there is no method {method}: {remedy}")));
        }
        let method = method.map(Box::from);
        if rest == "*" {
            return Ok(Self { method, servers: Servers::All, path: None });
        }
        let (scheme, rest) = match rest.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            None => ("https", rest),
        };
        let (below, rest) = rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
        let address = WebAddress::parse(&format!("{scheme}://{rest}")).map_err(|error| bad(error.to_string()))?;
        if rest.contains(['?', '#']) {
            return Err(bad("it ends before the query".to_owned()));
        }
        let (is_secure, port) = (address.is_secure(), address.port());
        let servers = match (address.server(), below) {
            (Server::Domain(domain), true) if domain.contains('*') => {
                return Err(bad("it has a second star".to_owned()));
            }
            (Server::Domain(domain), true)
                if !domain.contains('.') && !is_own(&domain) && !RESERVED.contains(&domain.as_str()) =>
            {
                return Err(bad(format!("anybody can have a server below {domain}: write somebody's domain, or *")));
            }
            (Server::Domain(domain), true) => Servers::Below { is_secure, domain: domain.into(), port },
            (Server::Ip(_), true) => return Err(bad("nothing lies below an address".to_owned())),
            (Server::Domain(domain), false) if domain.contains('*') => {
                return Err(bad("a star stands at the begin, before a dot, or by itself".to_owned()));
            }
            (server, false) => Servers::One { is_secure, server, port },
        };
        if !is_below(address.path(), address.path()) {
            let why = "no entry covers a path with `//`, a part that begins with `..`, or an encoded slash, backslash or percent sign";
            return Err(bad(format!("{why}: name the server without its path")));
        }
        let path = Some(address.path()).filter(|path| *path != "/").map(Box::from);
        Ok(Self { method, servers, path })
    }

    /// Returns whether it covers a request with this method to this address.
    pub(super) fn covers(&self, method: &str, address: &WebAddress) -> bool {
        self.method.as_deref().is_none_or(|one| one == method)
            && self.servers.cover(address)
            && self.path.as_deref().is_none_or(|path| is_below(address.path(), path))
    }

    /// Returns whether it covers one server.
    pub(super) fn is_one(&self) -> bool {
        matches!(self.servers, Servers::One { .. })
    }

    /// Returns whether it lists exactly this address of the network. For a name that resolves to it, the entry must
    /// cover every method and path, since the name's own entry restricts them.
    pub(super) fn lists(&self, address: SocketAddr, by_name: bool) -> bool {
        let is_whole = self.method.is_none() && self.path.is_none();
        let is_there = matches!(self.servers, Servers::One { server: Server::Ip(one), port, .. }
            if one == address.ip() && port == address.port());
        is_there && (is_whole || !by_name)
    }

    /// Returns whether it covers everything that the other one covers, and lets a plugin reach the same servers: `*` lets it reach no
    /// server in the owner's own network.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let is_beyond = self.servers == Servers::All && other.place() == ServerPlace::Own;
        !is_beyond && self.spans(other)
    }

    /// Returns whether it covers every request that the other one covers. The address of the server may still be refused.
    pub(super) fn spans(&self, other: &Self) -> bool {
        (self.method.is_none() || self.method == other.method)
            && self.servers.include(&other.servers)
            && match (self.path.as_deref(), other.path.as_deref()) {
                (None, _) => true,
                (Some(one), Some(other)) => is_below(other, one),
                (Some(_), None) => false,
            }
    }
}

impl Servers {
    fn cover(&self, address: &WebAddress) -> bool {
        let alike = |is_secure: bool, port: u16| is_secure == address.is_secure() && port == address.port();
        match self {
            Self::All => address.is_secure(),
            Self::One { is_secure, server, port } => alike(*is_secure, *port) && *server == address.server(),
            Self::Below { is_secure, domain, port } => {
                let is_below = |server: &Server| matches!(server, Server::Domain(one) if lies_below(one, domain));
                alike(*is_secure, *port) && is_below(&address.server())
            }
        }
    }

    fn include(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::All, Self::One { is_secure, .. } | Self::Below { is_secure, .. }) => *is_secure,
            (Self::One { .. }, _) => self == other,
            (Self::Below { .. }, Self::All) => false,
            (Self::Below { is_secure, domain, port }, Self::One { is_secure: secure, server, port: at }) => {
                (is_secure, port) == (secure, at) && matches!(server, Server::Domain(one) if lies_below(one, domain))
            }
            (Self::Below { is_secure, domain, port }, Self::Below { is_secure: secure, domain: one, port: at }) => {
                (is_secure, port) == (secure, at) && (one == domain || lies_below(one, domain))
            }
        }
    }
}

impl fmt::Display for WebPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        let written = |f: &mut fmt::Formatter<'_>, is_secure: bool, host: &dyn fmt::Display, port: u16| {
            let usual = if is_secure { 443 } else { 80 };
            write!(f, "{}://{host}", scheme(is_secure))?;
            if port == usual { Ok(()) } else { write!(f, ":{port}") }
        };
        match &self.servers {
            Servers::All => f.write_str("*")?,
            Servers::One { is_secure, server, port } => written(f, *is_secure, server, *port)?,
            Servers::Below { is_secure, domain, port } => written(f, *is_secure, &format_args!("*.{domain}"), *port)?,
        }
        f.write_str(self.path.as_deref().unwrap_or_default())
    }
}

fn scheme(is_secure: bool) -> &'static str {
    if is_secure { "https" } else { "http" }
}

fn is_method(word: &str) -> bool {
    (1..=20).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Returns whether a domain lies below another one, and is not that itself.
fn lies_below(domain: &str, above: &str) -> bool {
    domain.strip_suffix(above).is_some_and(|begin| begin.len() > 1 && begin.ends_with('.'))
}

/// Returns whether a path is this one or lies below it. A path that a server could interpret as another one lies below
/// none: one with an encoded slash or percent sign, an empty part, or a part that begins with two dots, encoded or not.
fn is_below(path: &str, above: &str) -> bool {
    let lower = path.to_ascii_lowercase().replace("%2e", ".");
    // `%25` may be decoded twice, and `..;` is read as `..` by some.
    let is_plain = ["%2f", "%5c", "%25", "//", "/..", "/.;"].iter().all(|trick| !lower.contains(trick));
    let folder = above.strip_suffix('/').unwrap_or(above);
    is_plain
        && path.strip_prefix(folder).is_some_and(|rest| match rest {
            "" => folder == above,
            rest => rest.starts_with('/'),
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(entry: &str, request: &str) -> bool {
        let (method, address) = request.split_once(' ').unwrap_or(("GET", request));
        WebPattern::parse(entry).unwrap().covers(method, &WebAddress::parse(address).unwrap())
    }

    #[test]
    fn an_entry_covers_what_it_says_and_nothing_that_looks_like_it() {
        for (entry, covered, others) in [
            (
                "api.example.org",
                &["https://api.example.org/", "POST https://API.example.org:443/x?y", "https://api.example.org./"][..],
                &[
                    "http://api.example.org/",
                    "https://api.example.org:8443/",
                    "https://api.example.org.evil.example/",
                    "https://xapi.example.org/",
                    "https://example.org/",
                    "https://a.api.example.org/",
                ][..],
            ),
            (
                "GET https://api.example.org/repos/",
                &["https://api.example.org/repos/", "https://api.example.org/repos/a/b"],
                &[
                    "POST https://api.example.org/repos/a",
                    "https://api.example.org/repos",
                    "https://api.example.org/reposts",
                    "https://api.example.org/repos/../user",
                    "https://api.example.org/repos/%2e%2e/user",
                    "https://api.example.org/repos/..%2fuser",
                    "https://api.example.org/repos/..%5Cuser",
                    "https://api.example.org/repos//user",
                    "https://api.example.org/repos/..;/user",
                    "https://api.example.org/repos/%2e%2e;/user",
                    "https://api.example.org/repos/.%2E;/user",
                    "https://api.example.org/repos/%2E.;x/user",
                    "https://api.example.org/repos/%252e%252e/user",
                    "https://api.example.org/Repos/a",
                ],
            ),
            (
                "https://example.org/a",
                &["https://example.org/a", "https://example.org/a/b"],
                &["https://example.org/ab"],
            ),
            (
                "*.example.org",
                &["https://a.example.org/", "https://a.b.example.org/"],
                &[
                    "https://example.org/",
                    "https://aexample.org/",
                    "https://a.example.org.evil/",
                    "http://a.example.org/",
                ],
            ),
            (
                "http://printer.local:631",
                &["http://printer.local:631/"],
                &["https://printer.local:631/", "http://printer.local/"],
            ),
            (
                "http://127.0.0.1:8080",
                &["http://0177.1:8080/", "http://127.1:8080/"],
                &["http://127.0.0.1/", "http://127.0.0.2:8080/"],
            ),
            ("[2001:db8::1]", &["https://[2001:DB8:0::1]/"], &["https://[2001:db8::2]/"]),
            ("bücher.example", &["https://xn--bcher-kva.example/"], &["https://bucher.example/"]),
            ("*", &["https://anything.example:8443/"], &["http://anything.example/"]),
            ("POST *", &["POST https://anything.example/"], &["GET https://anything.example/"]),
        ] {
            for request in covered {
                assert!(covers(entry, request), "{entry} and {request}");
            }
            for request in others {
                assert!(!covers(entry, request), "{entry} and {request}");
            }
        }
    }

    #[test]
    fn an_address_is_listed_with_its_port_and_for_names_only_whole() {
        let lists = |entry: &str, address: &str, by_name: bool| {
            WebPattern::parse(entry).unwrap().lists(address.parse().unwrap(), by_name)
        };
        for by_name in [true, false] {
            assert!(lists("http://127.0.0.1:8080", "127.0.0.1:8080", by_name) && lists("[::1]", "[::1]:443", by_name));
            assert!(!lists("http://127.0.0.1:8080", "127.0.0.1:80", by_name) && !lists("*", "127.0.0.1:443", by_name));
        }
        for entry in ["GET http://127.0.0.1:8080", "http://127.0.0.1:8080/metrics"] {
            assert!(lists(entry, "127.0.0.1:8080", false) && !lists(entry, "127.0.0.1:8080", true));
        }
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for entry in [
            "",
            " ",
            "get example.org",
            "GET ",
            "ftp://example.org",
            "example.org?x",
            "example.org#x",
            "a*.example.org",
            "*.*.example.org",
            "*.",
            "*.127.0.0.1",
            "juliet@example.org",
            "@example.org",
            "example.org/a b",
            "**",
            "https://",
        ] {
            assert!(WebPattern::parse(entry).is_err(), "{entry:?}");
        }
    }

    /// An owner would wait for its effect, or grant more than meant.
    #[test]
    fn an_entry_that_covers_nothing_or_the_servers_of_anybody_is_refused() {
        for (entry, says) in [
            ("GET https://api.example.org//quote", "no entry covers a path with `//`"),
            ("https://api.example.org/a%2Fb", "no entry covers a path"),
            ("https://api.example.org/..;/a", "name the server without its path"),
            ("CONNECT https://api.example.org", "no plugin can send CONNECT"),
            ("TRACE *", "no plugin can send CONNECT"),
            ("*.com", "anybody can have a server below com"),
            ("POST https://*.org/a", "anybody can have a server below org"),
        ] {
            let error = WebPattern::parse(entry).unwrap_err().to_string();
            assert!(error.contains(says), "{entry}: {error}");
        }
        for entry in ["*.lan", "http://*.local", "*.co.uk", "https://api.example.org/a/"] {
            assert!(WebPattern::parse(entry).is_ok(), "{entry}");
        }
    }

    #[test]
    fn a_method_that_no_server_has_is_refused() {
        for (written, meant) in [("GOT", "GET"), ("PSOT", "POST"), ("PATH", "PATCH"), ("DELET", "DELETE")] {
            let error = WebPattern::parse(&format!("{written} http://example.org/a")).unwrap_err().to_string();
            assert!(error.contains(&format!("there is no method {written}: did you mean {meant}?")), "{error}");
        }
        let error = WebPattern::parse("FETCH https://example.org").unwrap_err().to_string();
        assert!(
            error.contains("there is no method FETCH: write GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, or "),
            "{error}"
        );
        for method in METHODS.into_iter().chain(RARE) {
            assert!(WebPattern::parse(&format!("{method} http://example.org/a")).is_ok(), "{method}");
        }
    }

    #[test]
    fn an_entry_includes_those_that_cover_less() {
        let includes =
            |one: &str, other: &str| WebPattern::parse(one).unwrap().includes(&WebPattern::parse(other).unwrap());
        let widest_first = ["*", "*.example.org", "api.example.org", "api.example.org/a", "GET api.example.org/a/b"];
        for (at, one) in widest_first.iter().enumerate() {
            for (place, other) in widest_first.iter().enumerate() {
                assert_eq!(includes(one, other), at <= place, "{one} and {other}");
            }
        }
        for (one, other) in [("*", "http://a.org"), ("*.a.org", "a.org"), ("GET *", "*"), ("a.org", "a.org:8443")] {
            assert!(!includes(one, other), "{one} and {other}");
        }
    }

    fn entry() -> impl Strategy<Value = String> {
        let host =
            prop_oneof!["[a-c]\\.(org|com)", "\\*\\.[a-c]\\.org", Just("127.0.0.1".to_owned()), Just("*".to_owned())];
        let (method, scheme) =
            (prop_oneof![Just(""), Just("GET "), Just("PUT ")], prop_oneof![Just(""), Just("http://")]);
        (method, scheme, host, prop_oneof![Just(""), Just("/a"), Just("/a/"), Just("/a/b")]).prop_map(
            |(method, scheme, host, path)| match host.as_str() {
                "*" => format!("{method}*"),
                host => format!("{method}{scheme}{host}{path}"),
            },
        )
    }

    proptest! {
        #[test]
        fn entries_read_back_and_whatever_one_includes_it_covers(
            one in entry(), other in entry(),
            request in "(http|https)://(x\\.)?[a-c]\\.(org|com)/(a(/b)?)?",
            method in prop_oneof![Just("GET"), Just("PUT")],
        ) {
            let (one, other) = (WebPattern::parse(&one).unwrap(), WebPattern::parse(&other).unwrap());
            prop_assert_eq!(&WebPattern::parse(&one.to_string()).unwrap(), &one);
            let address = WebAddress::parse(&request).unwrap();
            if one.includes(&other) && other.covers(method, &address) {
                prop_assert!(one.covers(method, &address), "{} and {}", one, other);
            }
        }
    }
}
