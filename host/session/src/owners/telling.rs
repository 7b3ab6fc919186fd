//! Messages of the host to the owners.

use jid::Jid;
use jiff::Timestamp;
use parlor_stanza::types::{Draft, MessageKind};

use crate::effect::Effect;
use crate::iq::random_id;
use crate::messages::say;
use crate::session::Session;

/// Sends each owner this message, from the account itself, encrypted as their chat is. Nothing is sent before the
/// account was announced on this stream.
pub fn tell_owners(session: &mut Session, words: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    session.input(now, effects, |features, turn| {
        if !turn.is_live() || !turn.announced {
            return;
        }
        let own = turn.own.to_bare();
        // A message of the account to itself would be returned as a message from its owner.
        for owner in features.owners.all().iter().filter(|owner| **owner != own) {
            let draft = Draft { body: Some(words.to_owned()), ..Draft::default() };
            let to = Jid::from(owner.clone());
            say(&features.rooms, to, MessageKind::Chat, random_id(), draft, turn);
        }
    });
}
