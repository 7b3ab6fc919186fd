//! Presence that comes before the roster. Without the roster, nobody knows whose it is.
//!
//! A server may need longer for the roster than this account waits for it, and tells who is online meanwhile. It does so only
//! once.

use jid::Jid;
use parlor_stanza::types::{Incoming, Presence, PresenceKind};

use super::{Features, HeldBack};
use crate::roster::Roster;
use crate::turn::Turn;

impl HeldBack {
    /// Forgets the presence that a newer one from this address makes out of date. One from a bare address counts for all clients.
    fn forget_older(&mut self, from: &Jid) {
        let is_from = |held: &Jid| {
            held == from || (from.is_bare() && held.node() == from.node() && held.domain() == from.domain())
        };
        self.stanzas.retain(|held| {
            let is_older = matches!(held, Incoming::Presence(presence) if is_from(&presence.from));
            if is_older {
                self.bytes -= held.weight();
            }
            !is_older
        });
    }
}

/// Holds a presence while the roster is awaited. Returns it if it can be handled now.
pub(super) fn before_roster(
    features: &mut Features,
    mut presence: Box<Presence>,
    turn: &Turn<'_>,
) -> Option<Box<Presence>> {
    if !is_awaited(&features.roster) || !is_state(&presence.kind) || presence.muc.is_some() {
        return Some(presence);
    }
    let bare = presence.from.to_bare();
    if features.rooms.has(&bare) || bare == turn.own.to_bare() {
        return Some(presence);
    }
    presence.delay.get_or_insert(turn.now);
    let Some(Incoming::Presence(presence)) = features.early.hold(Incoming::Presence(presence)) else { return None };
    // There is no space. Older presence of the same client must not count instead of this.
    features.early.forget_older(&presence.from);
    match features.early.hold(Incoming::Presence(presence)) {
        Some(Incoming::Presence(presence)) => Some(presence),
        Some(_) | None => None,
    }
}

/// Handles the held presence once the roster has come, or will not.
pub(super) fn take_in_early(features: &mut Features, turn: &mut Turn<'_>) {
    if is_awaited(&features.roster) {
        return;
    }
    for held in std::mem::take(&mut features.early).stanzas {
        // Presence of a room from before the account entered it is out of date.
        let is_of_room = matches!(&held, Incoming::Presence(presence) if features.rooms.has(&presence.from.to_bare()));
        if !is_of_room {
            features.take_in(held, turn);
        }
    }
}

/// Returns whether there is no roster, but one may come.
fn is_awaited(roster: &Roster) -> bool {
    roster.may_come && roster.contacts.is_none()
}

/// Returns whether a presence says that somebody is online or is not.
fn is_state(kind: &PresenceKind) -> bool {
    matches!(kind, PresenceKind::Available | PresenceKind::Unavailable | PresenceKind::Error(_))
}
