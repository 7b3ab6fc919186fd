//! Finds free ports of the loopback interface.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::net::TcpSocket;

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
    (0..TRIES).map(|_| rand::random_range(RANGE)).find(|port| is_new(port) && bound(*port).is_ok()).with_context(|| {
        format!("no free port on 127.0.0.1 in {TRIES} tries between {} and {}", RANGE.start, RANGE.end)
    })
}

/// Binds a port on which nobody listens, and does not listen itself. A child that another test starts in this moment has a
/// copy of the socket until it runs its program, and a copy that listens would keep the server of the port from starting.
fn bound(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_free_port_is_outside_the_range_of_outgoing_connections() {
        assert!(super::RANGE.contains(&super::free().unwrap()));
    }

    #[test]
    fn a_server_can_listen_while_a_child_still_has_the_socket_that_found_the_port() {
        let port = super::free().unwrap();
        let of_a_child = super::bound(port).unwrap();
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(super::bound(port).is_err(), "somebody listens there");
        drop((of_a_child, server));
    }

    /// Of so many random ports, some would be equal.
    #[test]
    fn no_port_is_given_out_twice() {
        const COUNT: usize = 500;
        let ports: BTreeSet<_> = (0..COUNT).map(|_| super::free().unwrap()).collect();
        assert_eq!(ports.len(), COUNT);
    }
}
