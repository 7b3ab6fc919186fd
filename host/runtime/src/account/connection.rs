//! The state of an account's connection, and the credentials for opening it, as plain values.

use jid::Jid;
use parlor_xmpp::Supplied;

/// The state of an account's connection to its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// It has not been asked to log in, or has logged out.
    Offline,
    /// It connects for the first time.
    Connecting,
    /// It is bound to this full JID.
    Connected(Jid),
    /// It lost its connection, or could not connect, and retries.
    Retrying(String),
    /// It lost its connection and does not reconnect, because the owner has disabled the setting `auto_reconnect`. A
    /// retry would help.
    Left(String),
    /// It does not retry, and a retry would not help.
    Failed(String),
}

impl Connection {
    /// Returns why the connection has ended until someone asks for another one.
    pub fn over(&self) -> Option<&str> {
        match self {
            Self::Left(why) | Self::Failed(why) => Some(why),
            Self::Offline | Self::Connecting | Self::Connected(_) | Self::Retrying(_) => None,
        }
    }
}

/// Credentials that a plugin supplies.
#[derive(Debug)]
pub struct Credentials {
    /// The account's address, optionally with the resource to request.
    pub jid: Jid,
    /// The password of that account.
    pub password: Supplied,
}
