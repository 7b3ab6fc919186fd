//! The state of an account's connection, since when and after which error, and the credentials for opening it, as plain
//! values.

use std::mem::discriminant;

use jid::Jid;
use jiff::Timestamp;
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
    /// Returns its name in answers and on screens.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Connecting => "connecting",
            Self::Connected(_) => "connected",
            Self::Retrying(_) => "retrying",
            Self::Left(_) | Self::Failed(_) => "failed",
        }
    }

    /// Returns why the connection has ended until someone asks for another one.
    pub fn over(&self) -> Option<&str> {
        match self {
            Self::Left(why) | Self::Failed(why) => Some(why),
            Self::Offline | Self::Connecting | Self::Connected(_) | Self::Retrying(_) => None,
        }
    }

    /// Returns the error after which it is in this state.
    fn error(&self) -> Option<&str> {
        match self {
            Self::Retrying(why) | Self::Left(why) | Self::Failed(why) => Some(why),
            Self::Offline | Self::Connecting | Self::Connected(_) => None,
        }
    }
}

/// The past of an account's connection since the host started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionHistory {
    /// The time at which the connection came into its state. Another attempt that fails does not change it.
    pub since: Timestamp,
    /// The last error, with its time. It stays after the connection is open again, so that owners can see why it was lost.
    pub last_error: Option<(Timestamp, String)>,
}

impl ConnectionHistory {
    /// Returns the history of a connection that begins at this time.
    pub(super) fn new(since: Timestamp) -> Self {
        Self { since, last_error: None }
    }

    /// Notes that the connection changes from one state to another.
    pub(super) fn note(&mut self, before: &Connection, now: &Connection, at: Timestamp) {
        if discriminant(before) != discriminant(now) {
            self.since = at;
        }
        if let Some(why) = now.error() {
            self.last_error = Some((at, why.to_owned()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_has_when_a_state_began_and_the_last_error_also_after_it_is_over() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let lost = |why: &str| Connection::Retrying(why.to_owned());
        let connected = || Connection::Connected("bot@example.org/parlor".parse().unwrap());
        let (mut history, mut before) = (ConnectionHistory::new(at(0)), Connection::Offline);
        let mut note = |now: Connection, second| {
            history.note(&before, &now, at(second));
            before = now;
            (history.since.as_second(), history.last_error.clone().map(|(at, why)| (at.as_second(), why)))
        };
        assert_eq!(note(Connection::Connecting, 1), (1, None));
        assert_eq!(note(connected(), 2), (2, None));
        assert_eq!(note(lost("cut"), 5), (5, Some((5, "cut".to_owned()))));
        // The second attempt fails as well: it is away since the first one.
        assert_eq!(note(lost("no route"), 8), (5, Some((8, "no route".to_owned()))));
        assert_eq!(note(connected(), 9), (9, Some((8, "no route".to_owned()))));
        assert_eq!(note(Connection::Failed("refused".to_owned()), 12), (12, Some((12, "refused".to_owned()))));
    }
}
