//! Says what keeps the host or the window from listening at an address.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use parlor_window::{Site, Store};

/// Returns why nothing can listen at an address. `window`: the sessions of this host's window, which know the address of a running
/// `parlor web`. `webhooks`: where the host listens for webhooks, unless that is the address in question.
pub(super) fn problem(at: SocketAddr, error: &Error, window: &Store, webhooks: Option<SocketAddr>) -> String {
    if error.kind() != ErrorKind::AddrInUse {
        return format!("nothing can listen at {at}: {error}");
    }
    if webhooks == Some(at) {
        return format!("{at} is the address of `listen` under [web], where the host listens for webhooks");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_the_host_and_its_webhooks_are_no_other_program() {
        let folder = tempfile::tempdir().unwrap();
        let window = Store::new(folder.path());
        let at: SocketAddr = "127.0.0.1:8470".parse().unwrap();
        let says = |error: ErrorKind, webhooks| problem(at, &error.into(), &window, webhooks);
        let other = "another program listens at 127.0.0.1:8470";
        assert_eq!(says(ErrorKind::AddrInUse, None), other);
        assert_eq!(says(ErrorKind::AddrInUse, Some("127.0.0.1:8080".parse().unwrap())), other);
        assert!(says(ErrorKind::AddrInUse, Some(at)).ends_with("where the host listens for webhooks"));
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
