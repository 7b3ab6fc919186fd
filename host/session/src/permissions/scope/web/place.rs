//! The place of the servers of an entry: the public network, or the owner's own.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use parlor_base::public_network::is_public;
use parlor_base::web_address::Server;

use super::{Servers, WebPattern, lies_below, scheme};

/// The ends of names that only the owner's own network resolves (RFC 6761, RFC 6762, RFC 8375), and others that routers and companies
/// use for theirs.
const OWN_ENDS: [&str; 10] =
    ["localhost", "local", "home.arpa", "internal", "lan", "home", "localdomain", "intranet", "private", "corp"];

/// The place of the servers of an entry, and how they are reached, for an owner who decides about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerPlace {
    /// In the public network, over TLS.
    Public,
    /// In the public network, without TLS.
    Plain,
    /// In the owner's own network: a loopback, private or link-local address, or a name that only such a network resolves.
    Own,
}

impl WebPattern {
    /// Returns where its servers are.
    pub(in crate::permissions::scope) fn place(&self) -> ServerPlace {
        let (is_secure, is_own) = match &self.servers {
            Servers::All => (true, false),
            Servers::One { is_secure, server: Server::Ip(address), .. } => (*is_secure, !is_public(*address)),
            Servers::One { is_secure, server: Server::Domain(domain), .. } => {
                (*is_secure, !domain.contains('.') || is_own(domain))
            }
            Servers::Below { is_secure, domain, .. } => (*is_secure, is_own(domain)),
        };
        match (is_own, is_secure) {
            (true, _) => ServerPlace::Own,
            (false, false) => ServerPlace::Plain,
            (false, true) => ServerPlace::Public,
        }
    }

    /// Returns whether it lists servers by name, so that the address to which a name leads decides, too.
    pub(in crate::permissions::scope) fn is_by_name(&self) -> bool {
        matches!(self.servers, Servers::One { server: Server::Domain(_), .. } | Servers::Below { .. })
    }

    /// Returns the scheme and the addresses that it stands for, if it lists this machine by name (RFC 6761, section 6.3).
    pub(in crate::permissions::scope) fn loopbacks(&self) -> Option<(&'static str, [SocketAddr; 2])> {
        match &self.servers {
            Servers::One { is_secure, server: Server::Domain(domain), port }
                if domain == "localhost" || lies_below(domain, "localhost") =>
            {
                let addresses = [(Ipv4Addr::LOCALHOST, *port).into(), (Ipv6Addr::LOCALHOST, *port).into()];
                Some((scheme(*is_secure), addresses))
            }
            _ => None,
        }
    }

    /// Returns the address that it lists, if that is in the owner's own network.
    pub(in crate::permissions::scope) fn own_address(&self) -> Option<SocketAddr> {
        match self.servers {
            Servers::One { server: Server::Ip(address), port, .. } if !is_public(address) => {
                Some((address, port).into())
            }
            _ => None,
        }
    }
}

/// Returns whether only the owner's own network resolves a domain.
pub(super) fn is_own(domain: &str) -> bool {
    OWN_ENDS.iter().any(|end| domain == *end || lies_below(domain, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_in_the_owners_own_network_is_told_from_one_of_the_public_network() {
        let place = |entry: &str| WebPattern::parse(entry).unwrap().place();
        for own in [
            "https://127.0.0.1:37444",
            "http://localhost:37080",
            "GET https://0x7f.1:37444/a",
            "[::1]:8443",
            "[fd00::1]",
            "192.168.1.7",
            "169.254.169.254",
            "router",
            "http://printer.local",
            "*.local",
            "nas.home.arpa",
            "a.localhost",
            "metadata.google.internal",
        ] {
            assert_eq!(place(own), ServerPlace::Own, "{own}");
        }
        for public in
            ["*", "POST *", "api.example.org", "*.example.org", "1.1.1.1", "[2606:4700::1111]", "local.example.org"]
        {
            assert_eq!(place(public), ServerPlace::Public, "{public}");
        }
        for plain in ["http://api.example.org", "http://1.1.1.1", "http://*.example.org/a"] {
            assert_eq!(place(plain), ServerPlace::Plain, "{plain}");
        }
    }

    /// The host refuses these addresses unless an entry names them.
    #[test]
    fn a_star_includes_no_server_in_the_owners_own_network() {
        let parse = |entry: &str| WebPattern::parse(entry).unwrap();
        for own in ["https://127.0.0.1:37444", "GET https://169.254.169.254", "https://localhost:37444", "*.local"] {
            assert!(!parse("*").includes(&parse(own)) && parse(own).includes(&parse(own)), "{own}");
            assert!(parse("*").spans(&parse(own)), "{own}");
        }
        assert!(parse("*").includes(&parse("api.example.org:8443")) && parse("*").includes(&parse("1.1.1.1")));
    }
}
