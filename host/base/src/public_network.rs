//! The addresses of the network that anybody may dial, and those that only owners can allow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns whether an address is of the public network: none of this machine, of a private network, of a provider's own
/// services, or of a protocol's.
///
/// By the registries of addresses with a special purpose (RFC 6890) at IANA. Of IPv6 only what is assigned for the
/// public network counts (`2000::/3`). Forms that carry an IPv4 address are refused whole: v4-mapped, NAT64 (RFC 6052),
/// 6to4 (RFC 3056) and Teredo (RFC 4380).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Returns whether an address is of the public network, as it is seen where the owner's network translates to IPv4 (NAT64): an
/// address with the well-known prefix stands for the IPv4 address in it, which has to be public itself (RFC 6052, section 3.1).
pub fn is_public_with_nat64(address: IpAddr) -> bool {
    match address {
        IpAddr::V6(six) => translated(six).map_or_else(|| is_public(address), is_public_v4),
        IpAddr::V4(_) => is_public(address),
    }
}

/// Returns the IPv4 address in one with the well-known prefix `64:ff9b::/96` (RFC 6052, section 2.1).
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_wire_server = address.octets() == [168, 63, 129, 16];
    !is_wire_server
        && !matches!(
            (a, b, c),
            // This network, private, loopback; multicast, reserved and broadcast.
            (0 | 10 | 127 | 224..=255, ..)
            // Shared by customers of a provider (RFC 6598).
            | (100, 64..=127, _)
            // Link-local, where clouds have their metadata; one cloud has them elsewhere.
            | (169, 254, _)
            // Private.
            | (172, 16..=31, _)
            // Protocol assignments; documentation; the former 6to4 relays; private.
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            // Benchmarks, and documentation.
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
        )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    match (a, b) {
        // Protocol assignments with Teredo and ORCHID, documentation, 6to4.
        (0x2001, 0..=0x01ff | 0x0db8) | (0x2002, _) | (0x3fff, 0..=0x0fff) => false,
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_nat64_the_ipv4_address_decides() {
        for address in ["64:ff9b::8.8.8.8", "64:ff9b::1.1.1.1", "8.8.8.8", "2606:4700::1111"] {
            assert!(is_public_with_nat64(address.parse().unwrap()), "{address}");
        }
        for address in [
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::168.63.129.16",
            "64:ff9b::0.0.0.0",
            "64:ff9b::192.168.1.1",
            "64:ff9b:0:0:0:1:808:808",
            "64:ff9b:1::8.8.8.8",
            "64:ff9a::8.8.8.8",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "2002:808:808::",
            "127.0.0.1",
            "::1",
            "fe80::1",
        ] {
            assert!(!is_public_with_nat64(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn only_addresses_of_the_public_network_are_public() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
