//! Presence that comes before the roster. Without the roster, nobody knows whose it is.
//!
//! A server may need longer for the roster than this account waits for it, and tells who is online meanwhile. It does so only
//! once.

use parlor_stanza::types::{Incoming, Presence, PresenceKind};

use super::Features;
use crate::turn::Turn;

/// Holds a presence while the roster is awaited. Returns it if it can be handled now.
pub(super) fn before_roster(
    features: &mut Features,
    presence: Box<Presence>,
    turn: &Turn<'_>,
) -> Option<Box<Presence>> {
    let is_awaited = features.roster.may_come && features.roster.contacts.is_none();
    if !is_awaited || !is_state(&presence.kind) || presence.muc.is_some() {
        return Some(presence);
    }
    let bare = presence.from.to_bare();
    if features.rooms.has(&bare) || bare == turn.own.to_bare() {
        return Some(presence);
    }
    match features.early.hold(Incoming::Presence(presence)) {
        Some(Incoming::Presence(presence)) => Some(presence),
        Some(_) | None => None,
    }
}

/// Handles the held presence once the roster has come, or will not.
pub(super) fn take_in_early(features: &mut Features, turn: &mut Turn<'_>) {
    if features.roster.may_come && features.roster.contacts.is_none() {
        return;
    }
    for held in std::mem::take(&mut features.early).stanzas {
        features.take_in(held, turn);
    }
}

/// Returns whether a presence says that somebody is online or is not.
fn is_state(kind: &PresenceKind) -> bool {
    matches!(kind, PresenceKind::Available | PresenceKind::Unavailable | PresenceKind::Error(_))
}
