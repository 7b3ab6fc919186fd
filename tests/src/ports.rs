//! Finds free ports of the loopback interface.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Below the range of ephemeral ports, so that no outgoing connection takes one.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// The number of ports to try before giving up.
const TRIES: usize = 200;

/// Returns a port that was free a moment ago. Another process may take it first, so callers must be ready to retry.
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
    // It is not asserted that the port can be bound again: a child that another test just starts may hold it for an
    // instant.
    #[test]
    fn a_free_port_is_outside_the_range_of_outgoing_connections() {
        assert!(super::RANGE.contains(&super::free().unwrap()));
    }
}
