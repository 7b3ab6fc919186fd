//! `help`, the host's own command.

use std::fmt::Write as _;

use parlor_base::id::PluginId;
use parlor_stanza::types::{Message, MessageKind};

use super::giving::{may_give, may_speak, room_of, shown_prefix, usage_of};
use super::people::{Around, Person};
use super::replaced::in_force;
use super::{Commands, Place, Reading, Registered, usage};
use crate::command_names::{CommandName, folded};
use crate::turn::Turn;

/// Maximum length of an answer of the host, in bytes.
const MAX_ANSWER: usize = 8 << 10;

/// A command that somebody asks for.
pub(super) struct Asked<'a> {
    /// The word by which they ask for it.
    word: String,
    plugin: &'a PluginId,
    /// The name under which it is registered.
    name: &'a str,
    command: &'a Registered,
}

impl Commands {
    /// Lists the commands, or explains one, in the conversation in which `help` was given. In a room, an unknown name
    /// is not answered, since it may be meant for another bot.
    ///
    /// A plugin's texts are sent only where the plugin may speak itself: otherwise help would be its way to send
    /// strangers what it hears. People see no commands that they may not give. The list leaves out those for another place;
    /// who asks for one of them by its name learns where it works.
    pub(super) fn help(&mut self, message: &Message, wanted: Option<&str>, around: Around<'_>, turn: &mut Turn<'_>) {
        let in_room = message.kind == MessageKind::Groupchat;
        let text = match wanted {
            None => self.list(message, &shown_prefix(message, None, around.rooms, turn), around),
            Some(wanted) => match self.asked_for(wanted, message, around, turn) {
                Some(Asked { word, plugin, name, command }) => {
                    let room = room_of(message, around.rooms);
                    let called = self.called(plugin, name, command, Place::In(room.as_ref()));
                    let prefix = shown_prefix(message, command.reading.only_in(), around.rooms, turn);
                    explained(name, command, [&word, &called], &prefix)
                }
                None if in_room => return,
                None => "There is no command of that name.".to_owned(),
            },
        };
        // It fails only if the account cannot send, but the request was received a moment ago.
        let _ = self.answer(message, text.trim_end(), around, turn);
    }

    /// Returns the command that somebody asks for, with or without the prefix, if they see it in this conversation.
    pub(super) fn asked_for(
        &self,
        wanted: &str,
        message: &Message,
        around: Around<'_>,
        turn: &Turn<'_>,
    ) -> Option<Asked<'_>> {
        let shown = shown_prefix(message, None, around.rooms, turn);
        let bare = wanted.strip_prefix(&shown).filter(|_| !shown.is_empty());
        let bare = bare.or_else(|| wanted.strip_prefix(&turn.settings.command_prefix)).unwrap_or(wanted);
        // A name has no spaces: a plugin that takes `!count up` as `count_up` has the help of both there.
        let word = folded(&bare.split_whitespace().collect::<Vec<_>>().join("_"));
        let (plugin, name, command) = self.find(&word, Place::In(room_of(message, around.rooms).as_ref()))?;
        let is_seen = is_shown(name, command, &Person::of(message, around), message, around);
        is_seen.then_some(Asked { word, plugin, name, command })
    }

    /// Lists all commands of plugins that may speak here, by name. The text does not begin with the prefix: another bot
    /// would take it for a command.
    fn list(&self, asked: &Message, prefix: &str, around: Around<'_>) -> String {
        let person = Person::of(asked, around);
        let room = room_of(asked, around.rooms);
        let place = Place::In(room.as_ref());
        let mut lines: Vec<String> = Vec::new();
        for (plugin, own) in &self.all {
            let shown = own.iter().filter_map(|(name, one)| Some((name, in_force(self, plugin, name, one)?)));
            let shown = shown.filter(|(_, one)| one.acts_in(place));
            let shown = shown.filter(|(_, one)| one.reading.only_in().is_none_or(|place| place.has(asked.kind)));
            let shown = shown.filter(|(name, one)| is_shown(name, one, &person, asked, around));
            lines.extend(shown.map(|(name, one)| {
                let dash = if one.help.is_empty() { "" } else { " – " };
                format!("{prefix}{}{dash}{}", self.called(plugin, name, one, place), one.help)
            }));
        }
        if lines.is_empty() {
            return "There are no commands here.".to_owned();
        }
        lines.sort();
        let mut text = "Commands:".to_owned();
        for (index, line) in lines.iter().enumerate() {
            if text.len() + line.len() > MAX_ANSWER {
                // Writing into a String cannot fail.
                let _ = write!(text, "\n… and {} more", lines.len() - index);
                break;
            }
            text.push('\n');
            text.push_str(line);
        }
        text
    }
}

/// Returns whether this person sees the command in this conversation.
fn is_shown(name: &str, one: &Registered, person: &Person<'_>, asked: &Message, around: Around<'_>) -> bool {
    may_give(name, one, person) && may_speak(one, asked, around.roster)
}

/// Explains a command that somebody asked for by this word, and that is listed by that one.
fn explained(name: &str, one: &Registered, [word, called]: [&str; 2], prefix: &str) -> String {
    let mut lines = vec![usage_of(&format!("{prefix}{word}"), &one.reading), one.help.clone()];
    if let Reading::Host(declared) = &one.reading {
        lines.retain(|line| !line.is_empty());
        lines.extend(usage::lines(&declared.parameters));
    }
    lines.extend(one.reading.only_in().map(|place| format!("You can give it {}.", place.only())));
    let aliases = one.aliases.iter().map(CommandName::as_str).filter(|alias| one.has_alias(name, alias));
    let others = std::iter::once(called).chain(aliases).filter(|other| *other != word);
    let others: Vec<_> = others.map(|other| format!("{prefix}{other}")).collect();
    if !others.is_empty() {
        lines.push(format!("Also: {}", others.join(", ")));
    }
    let mut text = lines.join("\n");
    text.truncate(text.floor_char_boundary(MAX_ANSWER));
    text
}
