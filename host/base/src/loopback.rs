//! Addresses that only this machine can reach, for services that do not authenticate their clients.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A loopback address and a port: one of 127.0.0.0/8, or `::1`.
///
/// ```
/// use parlor_base::loopback::Loopback;
///
/// let own: Loopback = "127.0.0.1:9100".parse()?;
/// assert_eq!(own.address().port(), 9100);
/// assert!("0.0.0.0:9100".parse::<Loopback>().is_err());
/// # Ok::<(), parlor_base::loopback::NotLoopback>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loopback(SocketAddr);

/// An error from parsing a loopback address.
#[derive(Debug, thiserror::Error)]
pub enum NotLoopback {
    /// The text is not an address with a port.
    #[error("write an address and a port, such as 127.0.0.1:PORT")]
    NoAddress,
    /// The address is not a loopback address, so other machines may reach it.
    #[error("{0} is not this machine's alone, and nobody is asked there who they are: write 127.0.0.1:{port}, and leave the rest to a proxy or a collector beside it", port = .0.port())]
    Open(SocketAddr),
}

impl Loopback {
    /// Returns the loopback address and its port.
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
