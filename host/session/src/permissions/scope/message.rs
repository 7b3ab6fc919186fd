//! The messages that one entry of a scope covers: those of people and rooms, all of them or only what was encrypted.

use std::fmt;

use jid::{BareJid, Jid};

use super::error::BadScope;
use super::pattern::Pattern;

/// The prefix of entries that cover encrypted messages alone. No address begins with it: a colon is in none but those of IPv6, in
/// brackets.
pub(in crate::permissions) const ENCRYPTED: &str = "encrypted:";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MessagePattern {
    pub(super) of: Pattern,
    /// Whether it covers encrypted messages alone.
    pub(super) is_encrypted: bool,
}

impl MessagePattern {
    pub(super) const fn all() -> Self {
        Self { of: Pattern::Everybody, is_encrypted: false }
    }

    pub(super) fn parse(entry: &str) -> Result<Self, BadScope> {
        if entry == "encrypted" {
            return Err(BadScope::Word { entry: entry.to_owned(), meant: "encrypted:*" });
        }
        match entry.strip_prefix(ENCRYPTED) {
            Some(of) => Ok(Self { of: Pattern::parse_person(of)?, is_encrypted: true }),
            None => Ok(Self { of: Pattern::parse_person(entry)?, is_encrypted: false }),
        }
    }

    /// Returns whether it covers all that the other pattern covers, for any roster.
    pub(super) fn includes(&self, other: &Self) -> bool {
        (!self.is_encrypted || other.is_encrypted) && self.of.includes(&other.of)
    }

    /// Returns what both cover, if an entry can express it.
    pub(super) fn common(&self, other: &Self) -> Option<Self> {
        let narrow = if self.of.includes(&other.of) {
            &other.of
        } else if other.of.includes(&self.of) {
            &self.of
        } else {
            return None;
        };
        Some(Self { of: narrow.clone(), is_encrypted: self.is_encrypted || other.is_encrypted })
    }

    /// Returns its address, if it covers all messages of one address and nothing else.
    pub(super) fn one_address(&self) -> Option<Jid> {
        if self.is_encrypted { None } else { self.of.one_address() }
    }
}

impl fmt::Display for MessagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_encrypted {
            f.write_str(ENCRYPTED)?;
        }
        self.of.fmt(f)
    }
}

/// Returns whether any of the patterns covers messages of this conversation: encrypted ones, or all. The roster is checked last, since
/// that costs most.
pub(super) fn covered(
    patterns: &[MessagePattern],
    chat: &Jid,
    is_encrypted: bool,
    is_contact: &dyn Fn(&BareJid) -> bool,
) -> bool {
    let fits = |pattern: &&MessagePattern| is_encrypted || !pattern.is_encrypted;
    let mut others = patterns.iter().filter(fits).filter(|pattern| pattern.of != Pattern::Contacts);
    others.any(|pattern| pattern.of.covers(chat, is_contact))
        || patterns.iter().filter(fits).any(|pattern| pattern.of == Pattern::Contacts)
            && Pattern::Contacts.covers(chat, is_contact)
}
