//! Finds free ports of the loopback interface.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Below the range of ephemeral ports, so that no outgoing connection takes one.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// The number of ports to try before giving up.
const TRIES: usize = 200;

/// The ports that this process has given out: a server may bind its port late, or leave it for a while, and where nobody is
/// to listen, nobody binds it at all.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Returns a port that was free a moment ago, and never the same port twice. Another process may take it first, so callers
/// must be ready to retry.
pub fn free() -> Result<u16> {
    let is_new = |port: &u16| GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(*port);
    (0..TRIES)
        .map(|_| rand::random_range(RANGE))
        .find(|port| is_new(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .with_context(|| {
            format!("no free port on 127.0.0.1 in {TRIES} tries between {} and {}", RANGE.start, RANGE.end)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    // It is not asserted that the port can be bound again: a child that another test just starts may hold it for an
    // instant.
    #[test]
    fn a_free_port_is_outside_the_range_of_outgoing_connections() {
        assert!(super::RANGE.contains(&super::free().unwrap()));
    }

    /// Of so many random ports, some would be equal.
    #[test]
    fn no_port_is_given_out_twice() {
        const COUNT: usize = 500;
        let ports: BTreeSet<_> = (0..COUNT).map(|_| super::free().unwrap()).collect();
        assert_eq!(ports.len(), COUNT);
    }
}
