//! Commands that hooks refuse.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parlor_base::id::{InstanceId, PluginId};
use parlor_stanza::types::Message;

use super::Registered;
use super::people::{Around, Person};
use crate::effect::Effect;
use crate::features::Features;
use crate::session::Session;

/// Answers somebody whose command was refused with these words, in the conversation in which it was given, unless the host has
/// just answered many of theirs, or of all people's.
pub fn refuse_command(
    session: &mut Session,
    message: &Message,
    words: &str,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) {
    session.input(now, effects, |features, turn| {
        let Features { commands, rooms, roster, owners, .. } = features;
        // It fails only if the account cannot send, but the command was received a moment ago.
        let _ = commands.answer(message, words, Around { rooms, roster, owners }, turn);
    });
}

/// Ends the cooldowns of a command that the plugin of this instance does not get: hooks keep it back, or the mailbox loses it. Only a
/// command that the plugin gets begins one.
pub fn withhold_command(session: &mut Session, message: &Message, instance: InstanceId, name: &str) {
    let Some(plugin) = command_owner(session, instance) else { return };
    let Features { commands, rooms, roster, owners, .. } = &mut session.features;
    let person = Person::of(message, Around { rooms, roster, owners });
    let tries = person.tries(&commands.cooldowns, &plugin, name, message);
    commands.cooldowns.take_back(tries);
}

/// Returns the plugin whose commands this instance has, also while another version of it starts beside it.
pub fn command_owner(session: &Session, instance: InstanceId) -> Option<PluginId> {
    let commands = &session.features.commands;
    let has_one = |own: &BTreeMap<String, Registered>| own.values().any(|one| one.owner == instance);
    let own = commands.all.iter().find(|(_, own)| has_one(own)).map(|(plugin, _)| plugin);
    let displaced = || commands.displaced.iter().find(|one| one.was.owner == instance).map(|one| &one.plugin);
    own.or_else(displaced).cloned()
}
