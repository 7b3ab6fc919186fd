//! From where a request comes, also by way of proxies that are trusted.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;

/// The header in which proxies name the sender of a request. Each adds one address at its end.
const FORWARDED: &str = "x-forwarded-for";

/// Returns the address that a request comes from: the last one that no trusted proxy has. The addresses before it
/// could be invented.
pub(super) fn sender(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
    let mut from = peer;
    let values: Vec<_> = headers.get_all(FORWARDED).iter().collect();
    let mut said = values.iter().rev().flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    while proxies.contains(&from) {
        let Some(before) = said.next().and_then(address) else { break };
        from = before.to_canonical();
    }
    from
}

/// Parses an address. Some proxies add the port.
fn address(written: &str) -> Option<IpAddr> {
    let written = written.trim();
    written.parse().ok().or_else(|| Some(written.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proxies_that_are_trusted_are_believed_and_only_as_far_as_that() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED, value.parse().unwrap());
            }
            headers
        };
        let proxies = [ip("127.0.0.1"), ip("10.0.0.1")];
        let from = |peer: &str, values: &[&str]| sender(ip(peer), &headers(values), &proxies).to_string();
        assert_eq!(from("192.0.2.1", &["198.51.100.1"]), "192.0.2.1", "anybody can write the header");
        assert_eq!(from("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(from("127.0.0.1", &["203.0.113.9, 198.51.100.1"]), "198.51.100.1", "what the sender wrote");
        assert_eq!(from("127.0.0.1", &["203.0.113.9", "198.51.100.1, 10.0.0.1"]), "198.51.100.1");
        assert_eq!(from("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(from("127.0.0.1", &["nonsense"]), "127.0.0.1");
        assert_eq!(from("127.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(from("127.0.0.1", &["203.0.113.9:1, 198.51.100.1:49152"]), "198.51.100.1", "with its port");
        assert_eq!(from("127.0.0.1", &["[2001:db8::1]:49152"]), "2001:db8::1");
        assert_eq!(from("127.0.0.1", &["198.51.100.1, 10.0.0.1:80"]), "198.51.100.1");
        assert_eq!(from("127.0.0.1", &["unknown"]), "127.0.0.1");
    }
}
