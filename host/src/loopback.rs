//! Addresses that only this machine can reach, for what asks nobody who is there.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// An address and a port of this machine's own: one of 127.0.0.0/8, or `::1`.
///
/// ```
/// use parlor::loopback::Loopback;
///
/// let own: Loopback = "127.0.0.1:9100".parse()?;
/// assert_eq!(own.address().port(), 9100);
/// assert!("0.0.0.0:9100".parse::<Loopback>().is_err());
/// # Ok::<(), parlor::loopback::NotLoopback>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loopback(SocketAddr);

/// Why something is none.
#[derive(Debug, thiserror::Error)]
pub enum NotLoopback {
    /// It is no address at all.
    #[error("write an address and a port, such as 127.0.0.1:PORT")]
    NoAddress,
    /// Others can reach it, or it is elsewhere.
    #[error("{0} is not this machine's alone, and nobody is asked there who they are: write 127.0.0.1:{port}, and leave the rest to a proxy or a collector beside it", port = .0.port())]
    Open(SocketAddr),
}

impl Loopback {
    /// The address, which is one of loopback.
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Loopback {
    type Err = NotLoopback;

    fn from_str(text: &str) -> Result<Self, NotLoopback> {
        let address: SocketAddr = text.parse().map_err(|_| NotLoopback::NoAddress)?;
        if address.ip().is_loopback() { Ok(Self(address)) } else { Err(NotLoopback::Open(address)) }
    }
}

impl fmt::Display for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
