//! Other nicknames in the rooms that we are in: a new one of the settings, and ours when it is free again (XEP-0045, section
//! 7.6).

use std::sync::Arc;

use jid::{BareJid, FullJid};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Bookmark, Outgoing};

use super::membership::{Membership, Stage};
use super::{RoomTurn, Rooms};
use crate::turn::Turn;

/// Finds the bookmark of a room.
type Bookmarked<'a> = &'a dyn Fn(&BareJid) -> Option<Arc<Bookmark>>;

/// Returns the rooms in which we ask for the nickname that the bookmarks and the settings give. In others, a plugin or another client
/// of the account has chosen one, which stays.
pub(crate) fn named_by_settings(rooms: &Rooms, bookmarked: Bookmarked<'_>, turn: &Turn<'_>) -> Vec<BareJid> {
    let is_given = |jid: &&BareJid| {
        let asked = rooms.memberships.get(*jid).map(|membership| membership.nick.as_str());
        address_given(jid, bookmarked, turn).is_ok_and(|given| asked == Some(given.resource().as_str()))
    };
    rooms.shown.keys().filter(is_given).cloned().collect()
}

/// Asks these rooms for the nickname that the settings give now, at once or when they are entered: one presence for each room, of
/// which there are [`MAX_ROOMS`](super::MAX_ROOMS) at most.
pub(crate) fn rename(rooms: &mut Rooms, named: &[BareJid], bookmarked: Bookmarked<'_>, turn: &mut Turn<'_>) {
    for jid in named {
        let Ok(address) = address_given(jid, bookmarked, turn) else { continue };
        let nick = address.resource().as_str();
        let Some(membership) = rooms.memberships.get_mut(jid).filter(|membership| membership.nick != nick) else {
            continue;
        };
        membership.is_called(nick);
        let is_in = matches!(membership.stage, Stage::Inside | Stage::Configuring);
        let is_hidden = turn.status.value.is_hidden();
        // A presence before we are in would be another attempt to enter. The next attempt is with the new one.
        membership.is_renamed = !is_in || is_hidden;
        let is_other = rooms.shown.get(jid).is_some_and(|room| room.nick != nick);
        // Until the room confirms it, and if it refuses, the old one is ours.
        if is_in && is_other && turn.is_live() && !is_hidden {
            turn.send(Outgoing::Presence(turn.presence_to(Some(address.into()))));
        }
    }
}

/// Returns the listed rooms that we are out of because somebody else has our nickname, each with the address that was ours to ask for.
pub(crate) fn refused_for_nicknames(
    rooms: &Rooms,
    bookmarked: Bookmarked<'_>,
    turn: &Turn<'_>,
) -> Vec<(BareJid, Option<FullJid>)> {
    let is_listed = |jid: &BareJid| {
        turn.settings.auto_join_rooms.iter().any(|listed| listed.jid == *jid)
            || bookmarked(jid).is_some_and(|bookmark| bookmark.autojoin)
    };
    let is_refused = |&jid: &&BareJid| rooms.records.out_because(jid) == Some("nickname-taken") && is_listed(jid);
    let given = |jid: &BareJid| (jid.clone(), address_given(jid, bookmarked, turn).ok());
    rooms.records.rooms.keys().filter(is_refused).map(given).collect()
}

/// Returns those of these rooms in which we ask for another address now.
pub(crate) fn named_anew(
    refused: Vec<(BareJid, Option<FullJid>)>,
    bookmarked: Bookmarked<'_>,
    turn: &Turn<'_>,
) -> Vec<BareJid> {
    let is_other = |(jid, before): &(BareJid, Option<FullJid>)| {
        address_given(jid, bookmarked, turn).is_ok_and(|now| before.as_ref() != Some(&now))
    };
    refused.into_iter().filter(is_other).map(|(jid, _)| jid).collect()
}

/// Asks the rooms that we are in for the nicknames that the settings gave while the account was hidden.
pub(crate) fn ask_for_new_nicknames(rooms: &mut Rooms, turn: &mut Turn<'_>) {
    let is_due = |membership: &Membership| membership.stage.is_in() && membership.is_renamed;
    let due = rooms.memberships.iter().filter(|(_, membership)| is_due(membership));
    let mut due: Vec<BareJid> = due.map(|(jid, _)| jid.clone()).collect();
    due.sort();
    for jid in due {
        rooms.one(&jid, turn).tell_what_has_changed();
    }
}

/// Asks for the nickname that we want, if somebody has just given it up. That is mostly our own client of a lost stream. A
/// nickname that the room gave us stays.
pub(super) fn take_nick_back(one: &mut RoomTurn<'_, '_>, freed: &str) {
    let jid = one.jid;
    let (Some(membership), Some(room)) = (one.rooms.memberships.get(jid), one.rooms.shown.get(jid)) else { return };
    let is_wanted = membership.nick == freed && is_in_place_of(&room.nick, freed);
    if !is_wanted || !membership.stage.is_in() || !one.turn.is_live() || one.turn.status.value.is_hidden() {
        return;
    }
    let Ok(address) = jid.with_resource_str(freed) else { return };
    // Until the room confirms it, and if it refuses, the other one is ours.
    one.turn.send(Outgoing::Presence(one.turn.presence_to(Some(address.into()))));
}

/// Returns whether we have this nickname because the wanted one was taken.
fn is_in_place_of(nick: &str, wanted: &str) -> bool {
    let number = nick.strip_prefix(wanted).and_then(|rest| rest.strip_prefix('_'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Returns our address in a room with the nickname that the list of rooms, the bookmark or the account's settings give.
fn address_given(room: &BareJid, bookmarked: Bookmarked<'_>, turn: &Turn<'_>) -> Result<FullJid, CallError> {
    let listed = turn.settings.auto_join_rooms.iter().find(|listed| listed.jid == *room);
    let nick = listed.and_then(|listed| listed.nick.clone());
    turn.address_in(room, nick, bookmarked(room).as_deref())
}
