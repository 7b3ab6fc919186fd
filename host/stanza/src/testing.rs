//! What tests of stanzas need, in this package and in others.
#![allow(clippy::unwrap_used, reason = "this is part of tests")]

use jid::Jid;

/// Parses a JID.
pub fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}
