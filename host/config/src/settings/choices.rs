//! Settings that are one of a few words.

use serde::Deserialize;

/// How an account authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authentication {
    /// With a password.
    Login,
    /// With a certificate.
    External,
    /// Anonymously.
    Anonymous,
    /// With a session that another program opened.
    Prebind,
}

/// The messages that the server's archive should keep (XEP-0313, preferences).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Archiving {
    /// No messages.
    Never,
    /// All messages.
    Always,
    /// Messages of contacts.
    Roster,
}

/// Whether the account enters a room again that it was kicked from. It never does so automatically after a ban, or if
/// the room was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejoin {
    /// After each kick, later each time.
    Always,
    /// After the first kick. After the next one it stays out.
    KickedOnce,
    /// It stays out.
    Never,
}
