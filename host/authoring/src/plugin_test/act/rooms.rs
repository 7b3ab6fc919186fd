//! Parses the rooms at the top of a test, with their occupants.

use jid::{BareJid, FullJid};
use parlor_base::nearest::nearest;

use super::super::names;
use super::super::server::{Rank, RoomKind};

/// The occupants of a room, each with an explicit rank or the usual one.
type Occupants = Vec<(FullJid, Option<Rank>)>;

/// Parses `garden, anonymous: alice (admin), bob`.
pub(super) fn room(text: &str) -> Result<(BareJid, RoomKind, Occupants), String> {
    let (name, nicks) = text.split_once(':').map_or((text, None), |(name, nicks)| (name.trim(), Some(nicks)));
    let (name, kind) = name.split_once(',').map_or((name, None), |(name, kind)| (name.trim(), Some(kind.trim())));
    let kind = match kind {
        None => RoomKind::Usual,
        Some("anonymous") => RoomKind::Anonymous,
        Some("moderated") => RoomKind::Moderated,
        Some("retracting") => RoomKind::Retracting,
        Some(_) => {
            return Err(format!(
                "a room is like any other, anonymous, moderated or retracting: room {name}, anonymous: alice"
            ));
        }
    };
    let room = names::room(name)?;
    let nicks = nicks.into_iter().flat_map(|nicks| nicks.split(',')).map(str::trim).filter(|nick| !nick.is_empty());
    let occupants = nicks.map(|nick| -> Result<_, String> {
        let (nick, rank) = ranked(nick)?;
        Ok((room.with_resource_str(nick).map_err(|error| error.to_string())?, rank))
    });
    let occupants = occupants.collect::<Result<_, _>>()?;
    Ok((room, kind, occupants))
}

/// Parses `alice (admin)`. Other words in brackets are part of the nickname.
fn ranked(text: &str) -> Result<(&str, Option<Rank>), String> {
    let Some((nick, word)) = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) else {
        return Ok((text, None));
    };
    match (Rank::of(word), nearest(word, Rank::WORDS)) {
        (Some(rank), _) => Ok((nick.trim(), Some(rank))),
        (None, Some(near)) => Err(format!("nobody is {word} in a room; did you mean {nick} ({near})?")),
        (None, None) => Ok((text, None)),
    }
}
