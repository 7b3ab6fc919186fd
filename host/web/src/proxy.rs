//! Connections through a proxy of the owner's network, by the method CONNECT (RFC 9110, section 9.3.6).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest head of a proxy's answer, in bytes.
const LONGEST_HEAD: usize = 8 << 10;

/// A proxy, through which servers are reached.
#[derive(Clone)]
pub struct Proxy {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it looks names up, and so decides which addresses are dialed.
    pub resolves: bool,
    /// Returns whether an address is reached through it; others are dialed directly.
    pub reaches: Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>,
}

impl Proxy {
    /// Asks for a tunnel to a server over a connection to the proxy. The server has the form `host:port`.
    pub(crate) async fn tunnel(&self, mut stream: TcpStream, server: &str) -> io::Result<TcpStream> {
        let request = format!("CONNECT {server} HTTP/1.1\r\nhost: {server}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // Bytes after the head belong to the server, so nothing beyond its end is read.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == LONGEST_HEAD {
                return Err(self.failed("its answer has no end"));
            }
            let byte = stream.read_u8().await.map_err(|_| self.failed("it ended the connection"))?;
            head.push(byte);
        }
        match status(&head) {
            Some(200..=299) => Ok(stream),
            Some(407) => Err(self.failed("it wants a password, and parlor has none for proxies")),
            Some(status) => Err(self.failed(&format!("it answered with {status}"))),
            None => Err(self.failed("it speaks no HTTP")),
        }
    }

    /// Returns an error that names the proxy.
    pub(crate) fn failed(&self, cause: &str) -> io::Error {
        io::Error::other(format!("the proxy {}:{}: {cause}", self.host, self.port))
    }
}

/// Returns the status of an answer.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let (version, status) = rest.split_at_checked(2)?;
    let digits = status.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let is_whole = matches!(version, [b'0' | b'1', b' ']) && matches!(status.get(3), Some(b' ' | b'\r'));
    std::str::from_utf8(digits).ok().filter(|_| is_whole)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_proxys_answer_is_read_strictly() {
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407\r\n\r\n", Some(407)),
            ("HTTP/1.1 2000 OK\r\n\r\n", None),
            ("HTTP/1.1 +20 OK\r\n\r\n", None),
            ("HTTP/2 200\r\n\r\n", None),
            ("SSH-2.0-x\r\n\r\n", None),
            ("HTTP/1.1", None),
            ("", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }
}
