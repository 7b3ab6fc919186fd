//! Helpers for tests of stanzas, in this package and in others.

use jid::Jid;

/// Parses a JID.
///
/// # Panics
///
/// If the text is none.
pub fn jid(text: &str) -> Jid {
    text.parse().expect("a test names a JID")
}
