//! Free ports of the loopback interface.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Below the range from which outgoing connections take their ports, so that none of those gets in between.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// So many are tried before giving up.
const TRIES: usize = 200;

/// A port that was free a moment ago. Whoever uses it must cope with somebody else having been faster.
pub fn free() -> Result<u16> {
    (0..TRIES)
        .map(|_| rand::random_range(RANGE))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .with_context(|| {
            format!("no free port on 127.0.0.1 in {TRIES} tries between {} and {}", RANGE.start, RANGE.end)
        })
}

#[cfg(test)]
mod tests {
    // That it can be bound again is not asserted: a child that another test is just starting may hold it for an instant.
    #[test]
    fn a_free_port_is_outside_the_range_of_outgoing_connections() {
        assert!(super::RANGE.contains(&super::free().unwrap()));
    }
}
