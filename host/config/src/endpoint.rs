//! Addresses of servers: a host with its port, and an address of XMPP over WebSocket.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use jid::DomainPart;

/// The address of a server, overriding the DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port; none = the default port of the TLS mode.
    pub port: Option<u16>,
}

/// The reason why a text is not an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadEndpoint(pub(super) &'static str);

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        if text.contains("://") {
            return Err(BadEndpoint("it begins with the scheme of an address, which does not belong there"));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(BadEndpoint("a ] is missing"))?;
                host.parse::<Ipv6Addr>().map_err(|_| BadEndpoint("what is in brackets is no IPv6 address"))?;
                match rest {
                    "" => (host, None),
                    rest => (host, Some(rest.strip_prefix(':').ok_or(BadEndpoint("after ] comes :port"))?)),
                }
            }
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => {
                let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
                DomainPart::new(host)
                    .map_err(|_| BadEndpoint("the host has a character or length that no host has"))?;
                (host, port)
            }
        };
        let port = match port {
            None => None,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(BadEndpoint("the port is not a number from 1 to 65535")),
                Ok(port) => Some(port),
            },
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (false, None) => f.write_str(&self.host),
        }
    }
}

/// The address of XMPP over WebSocket: a host, a port, a path. Always within TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl {
    /// The host and its port.
    pub server: Endpoint,
    /// The path and query, with the leading slash.
    pub path: String,
}

/// The reason why a text is not a [`WebUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(pub(super) &'static str);

impl FromStr for WebUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let rest = match text.split_once("://") {
            Some(("wss", rest)) => rest,
            Some(("ws" | "http", _)) => return Err(BadUrl("nothing is sent unencrypted: it has to begin with wss://")),
            _ => return Err(BadUrl("it has to begin with wss://")),
        };
        let (server, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'#' | b'\\');
        if !path.starts_with('/') || !path.bytes().all(plain) {
            return Err(BadUrl("after the host comes a path of plain characters"));
        }
        let mut server: Endpoint = server.parse().map_err(|BadEndpoint(reason)| BadUrl(reason))?;
        server.port.get_or_insert(443);
        Ok(Self { server, path: path.to_owned() })
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wss://{}{}", self.server, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings `websocket_url`.
    #[test]
    fn an_address_on_the_web_is_encrypted_and_plain() {
        let url: WebUrl = "wss://xmpp.example.org/ws?a=b".parse().unwrap();
        assert_eq!((url.server.port, url.path.as_str()), (Some(443), "/ws?a=b"));
        assert_eq!("wss://[::1]:5281".parse::<WebUrl>().unwrap().to_string(), "wss://[::1]:5281/");
        for bad in [
            "",
            "ws://localhost/ws",
            "https://localhost/",
            "wss://",
            "wss:///ws",
            "wss://user:secret@localhost/",
            "wss://localhost:0/",
            "wss://localhost/a b",
            "wss://localhost/a\r\nHost: other",
            "wss://localhost/#x",
        ] {
            assert!(bad.parse::<WebUrl>().is_err(), "{bad}");
        }
        assert!("ws://localhost/ws".parse::<WebUrl>().unwrap_err().to_string().contains("wss://"));
    }
}
