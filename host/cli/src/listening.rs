//! Says what keeps the host or the window from listening at an address.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use parlor_window::{Site, Store};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

/// Binds a socket to an address, and so finds out whether a host could listen there. The socket does not listen: nobody
/// connects to it, and a host that starts meanwhile can listen.
pub(super) fn bound(at: SocketAddr) -> Result<OwnedFd, Error> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // As for the host's own socket. Only one that listens is in the way then, and no connection that has ended.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &at)?;
    Ok(socket)
}

/// Returns why nothing can listen at an address. `window`: the sessions of this host's window, which know the address of a
/// running `parlor web`. `webhooks`: where the host listens for webhooks, unless that is the address in question.
pub(super) fn problem(at: SocketAddr, error: &Error, window: &Store, webhooks: Option<SocketAddr>) -> String {
    if error.kind() != ErrorKind::AddrInUse {
        return format!("nothing can listen at {at}: {error}");
    }
    if let Some(webhooks) = webhooks.filter(|webhooks| is_shared(*webhooks, at)) {
        return format!("{webhooks} is the address of `listen` under [web], where the host listens for webhooks");
    }
    match window.address() {
        Some(noted) if noted == Site::local(at).address() => {
            format!("the `parlor web` of this data folder listens at {at}")
        }
        // Behind a proxy, only the address of the proxy is known.
        Some(noted) => format!("another program listens at {at}, or the `parlor web` of this data folder ({noted})"),
        None => format!("another program listens at {at}"),
    }
}

/// Returns what an owner can do so that the host can listen at the address of its configuration.
pub(super) fn remedy(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => {
            "end that program before you start the host, or name another address in `listen` under [web]"
        }
        ErrorKind::PermissionDenied => {
            "name a port above 1023 in `listen` under [web]; or do nothing if the host's service may listen there, as with `AmbientCapabilities=CAP_NET_BIND_SERVICE`"
        }
        _ => "name an address that this machine has in `listen` under [web]",
    }
}

/// Returns whether only one program can listen at both addresses: `0.0.0.0` and `[::]` are all addresses.
fn is_shared(one: SocketAddr, other: SocketAddr) -> bool {
    let is_all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (is_all || one.ip() == other.ip())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_look_is_not_in_the_way_of_a_host_that_starts() {
        let looks = TcpListener::from(bound("127.0.0.1:0".parse().unwrap()).unwrap());
        let at = looks.local_addr().unwrap();
        let host = TcpListener::bind(at).unwrap();
        let error = bound(at).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(remedy(&error).starts_with("end that program"));
        drop(host);
        assert!(bound(at).is_ok());
    }

    #[test]
    fn what_to_do_depends_on_the_cause() {
        let of = |kind: ErrorKind| remedy(&kind.into());
        assert!(of(ErrorKind::PermissionDenied).contains("CAP_NET_BIND_SERVICE"));
        assert!(of(ErrorKind::AddrNotAvailable).contains("that this machine has"));
    }

    #[test]
    fn the_window_of_the_host_and_its_webhooks_are_no_other_program() {
        let folder = tempfile::tempdir().unwrap();
        let window = Store::new(folder.path());
        let at: SocketAddr = "127.0.0.1:8470".parse().unwrap();
        let says = |error: ErrorKind, webhooks| problem(at, &error.into(), &window, webhooks);
        let other = "another program listens at 127.0.0.1:8470";
        assert_eq!(says(ErrorKind::AddrInUse, None), other);
        for elsewhere in ["127.0.0.1:8080", "127.0.0.2:8470"] {
            assert_eq!(says(ErrorKind::AddrInUse, Some(elsewhere.parse().unwrap())), other);
        }
        for address in ["127.0.0.1:8470", "0.0.0.0:8470", "[::]:8470"] {
            let expected =
                format!("{address} is the address of `listen` under [web], where the host listens for webhooks");
            assert_eq!(says(ErrorKind::AddrInUse, Some(address.parse().unwrap())), expected);
        }
        assert!(says(ErrorKind::PermissionDenied, None).starts_with("nothing can listen at 127.0.0.1:8470: "));
        let noted = window.note_address("https://bots.example.org/").unwrap();
        let either = format!("{other}, or the `parlor web` of this data folder (https://bots.example.org/)");
        assert_eq!(says(ErrorKind::AddrInUse, None), either);
        noted.forget().unwrap();
        let noted = window.note_address(&Site::local(at).address()).unwrap();
        assert_eq!(says(ErrorKind::AddrInUse, None), "the `parlor web` of this data folder listens at 127.0.0.1:8470");
        noted.forget().unwrap();
        assert_eq!(says(ErrorKind::AddrInUse, None), other);
    }
}
