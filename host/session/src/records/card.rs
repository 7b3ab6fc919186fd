//! A vCard that was fetched.

use jiff::Timestamp;
use parlor_stanza::card::Card;

/// A vCard, with the time at which it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCard {
    /// The vCard itself.
    pub card: Card,
    /// When it was fetched.
    pub updated: Timestamp,
}
