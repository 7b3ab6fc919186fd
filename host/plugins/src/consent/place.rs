//! The accounts that sentences are about.

use std::fmt;

use jid::BareJid;
use parlor_config::AccountName;

use super::words::escaped;

/// An account on which a plugin runs, or is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The account's name in the configuration.
    pub account: AccountName,
    /// Its address.
    pub jid: BareJid,
    /// The number of its rooms, if that is known.
    pub rooms: Option<usize>,
}

/// Shows `main (bot@example.org, in 12 rooms)`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.account, escaped(self.jid.as_str()))?;
        match self.rooms {
            None | Some(0) => {}
            Some(1) => f.write_str(", in 1 room")?,
            Some(rooms) => write!(f, ", in {rooms} rooms")?,
        }
        f.write_str(")")
    }
}
