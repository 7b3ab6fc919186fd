//! Handles messages that give commands: recognises them, checks who may give them, and sends the host's own answers.

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_base::id::{InstanceId, PluginId};
use parlor_base::permission::Permission;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, Message, MessageKind};

use super::arguments::{self, Values};
use super::cooldowns::{Lengths, Tries, Wait};
use super::kinds::show_duration;
use super::people::{Around, Person};
use super::{Commands, LONGEST_WORD, Place, Reading, Registered, words};
use crate::command_names::{HELP, folded};
use crate::command_rules::CommandPlace;
use crate::effect::Effect;
use crate::event::{Event, Payload};
use crate::iq::random_id;
use crate::messages::{may_send, say};
use crate::names::event_name;
use crate::permissions::{Decision, Target, Use};
use crate::rooms::Rooms;
use crate::roster::Roster;
use crate::turn::Turn;

/// Maximum number of words of a command; the last one holds the rest of the line.
pub(super) const MAX_ARGS: usize = 256;

/// A command as someone gives it.
#[derive(Debug)]
pub(crate) struct CommandLine {
    /// The word that was used, with or without the plugin's id.
    word: String,
    /// The name under which the command is registered.
    pub(crate) name: String,
    /// The rest of the line.
    rest: String,
    /// Whether neither the prefix nor our nickname precedes it.
    pub(crate) is_bare: bool,
}

impl CommandLine {
    /// Returns what follows the name, as one word. `None`: nothing does.
    fn wanted(&self) -> Option<String> {
        words::split(&self.rest, 1).pop()
    }
}

/// The knowledge about a given command, before its cooldowns are checked.
struct Attempt {
    owner: InstanceId,
    name: Arc<str>,
    /// The text by which people give it.
    spelled: String,
    /// Whether its plugin may send messages in the place where it is given, and so the host on its behalf.
    may_answer: bool,
    /// The answer to a person who may not give it, or not in this place.
    refusal: Option<String>,
    /// Its plugin, and the contact who may not give it only because plugins made what would allow it.
    kept_out: Option<(PluginId, BareJid)>,
    tries: Tries,
    lengths: Lengths,
    /// The values of its arguments, or the answer that says what is wrong with them.
    values: Result<Values, String>,
}

impl Commands {
    /// Returns the command in a message, if it contains a registered one: after the prefix, in a room after our
    /// nickname there, or in private alone, if the owner chose that.
    pub(crate) fn command_in(&self, message: &Message, around: Around<'_>, turn: &Turn<'_>) -> Option<CommandLine> {
        if self.all.is_empty() || !is_spoken(message) {
            return None;
        }
        let prefix = turn.settings.command_prefix.as_str();
        let said = message.said();
        let prefixed = said.strip_prefix(prefix).filter(|_| !prefix.is_empty());
        let marked = prefixed.and_then(|line| self.line(line, message, around.rooms)).or_else(|| {
            let line = addressed(&said, message, around.rooms)?;
            // Some write the prefix as well.
            self.line(line.strip_prefix(prefix).unwrap_or(line), message, around.rooms)
        });
        marked.or_else(|| bare_line(self, &said, message, around, turn))
    }

    /// Returns whether the author of this message may give one more command without the prefix now, and counts it.
    pub(crate) fn takes_bare(&mut self, message: &Message, around: Around<'_>, turn: &Turn<'_>) -> bool {
        self.bare.take(Person::of(message, around).who(), turn.deadlines.elapsed())
    }

    fn line(&self, text: &str, message: &Message, rooms: &Rooms) -> Option<CommandLine> {
        let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
        if word.len() > LONGEST_WORD {
            return None;
        }
        let word = folded(word);
        let name = if word == HELP {
            word.clone()
        } else {
            let (_, name, found) = self.find(&word, Place::In(room_of(message, rooms).as_ref()))?;
            if found.names.is_off(name) {
                return None;
            }
            name.to_owned()
        };
        Some(CommandLine { word, name, rest: rest.to_owned(), is_bare: false })
    }

    /// Carries out a command that someone gives, or answers why not. Nothing but a command that its plugin gets begins a
    /// cooldown.
    pub(crate) fn obey(&mut self, message: &Arc<Message>, line: &CommandLine, around: Around<'_>, turn: &mut Turn<'_>) {
        if line.word == HELP {
            return self.help(message, line.wanted().as_deref(), around, turn);
        }
        let Some(attempt) = self.attempt(message, line, around, turn) else { return };
        let Attempt { owner, name, spelled, may_answer, refusal, kept_out, tries, lengths, values } = attempt;
        if let Some(kept_out) = &kept_out {
            self.remarks.keeps_out(turn.account(), kept_out, &name);
        }
        let now = turn.deadlines.elapsed();
        let wait = if refusal.is_none() { self.cooldowns.wait(tries, lengths, now) } else { None };
        let answer = match (refusal, wait, values) {
            (Some(refusal), ..) => refusal,
            (None, Some(wait), _) if wait.is_told => return,
            (None, Some(wait), _) => waits(&spelled, wait),
            (None, None, Err(wrong)) => wrong,
            (None, None, Ok(values)) => {
                self.cooldowns.begin(tries, lengths, now);
                let args = words::split(&line.rest, MAX_ARGS);
                let payload = Payload::Command { name, args, message: Arc::clone(message), values, form: None };
                let event = Event { name: event_name("command"), at: turn.now, payload };
                turn.out.push(Effect::FireFor(owner, event));
                return;
            }
        };
        if may_answer {
            // In a room, many may give commands at the same time.
            let in_room = message.kind == MessageKind::Groupchat;
            let nick = message.nick.as_ref().filter(|_| in_room).map(|nick| format!("{nick}: ")).unwrap_or_default();
            let answer = format!("{nick}{answer}");
            // It fails only if the account cannot send, but the command was received a moment ago.
            let _ = self.answer(message, &answer, around, turn);
        }
    }

    fn attempt(&self, message: &Message, line: &CommandLine, around: Around<'_>, turn: &Turn<'_>) -> Option<Attempt> {
        let (plugin, name, found) = self.find(&line.word, Place::In(room_of(message, around.rooms).as_ref()))?;
        let person = Person::of(message, around);
        let rules = found.names.rules(name);
        let allow = rules.allow.as_deref().unwrap_or_else(|| found.reading.allow());
        let is_allowed = person.is_among(allow, &found.mailbox);
        let prefix = shown_prefix(message, found.reading.only_in(), around.rooms, turn);
        let spelled = format!("{prefix}{}", line.word);
        // The place comes first: in a chat, a command for the moderators of a room is for nobody, which would not say what to do.
        let refusal = match found.reading.only_in() {
            Some(place) if !place.has(message.kind) => Some(format!("You can give {spelled} {}.", place.only())),
            _ if is_allowed => None,
            _ => Some(format!("You may not give {spelled} here.")),
        };
        let kept_out = if is_allowed { None } else { person.kept_out(allow) };
        let values = match &found.reading {
            Reading::Host(declared) if refusal.is_none() => {
                arguments::read(&declared.parameters, &line.rest, &|nick| person.named(nick))
                    .map_err(|misfit| format!("{misfit}\n{}", usage_of(&spelled, &found.reading)))
            }
            Reading::Host(_) | Reading::Plugin(_) => Ok(Values::new()),
        };
        Some(Attempt {
            owner: found.owner,
            name: name.into(),
            may_answer: may_speak(found, message, around.roster),
            refusal,
            kept_out: kept_out.map(|jid| (plugin.clone(), jid.clone())),
            tries: person.tries(&self.cooldowns, plugin, name, message),
            lengths: found.reading.lengths(&rules),
            values,
            spelled,
        })
    }

    /// Answers a command on behalf of its plugin, in the conversation in which it was given, unless the host has just
    /// answered the same person, or all people together, many times.
    pub(crate) fn answer(
        &mut self,
        message: &Message,
        text: &str,
        around: Around<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        let (to, kind) = if message.kind == MessageKind::Groupchat {
            (Jid::from(message.from.to_bare()), MessageKind::Groupchat)
        } else {
            (message.from.clone(), MessageKind::Chat)
        };
        let draft = Draft { body: Some(text.to_owned()), thread: message.thread.clone(), ..Draft::default() };
        may_send(around.rooms, &to, kind, &draft, turn)?;
        let person = Person::of(message, around);
        if self.answers.take(person.who(), turn.deadlines.elapsed()) {
            say(around.rooms, to, kind, random_id(), draft, turn);
        } else {
            turn.ignored += 1;
        }
        Ok(())
    }
}

/// Returns the command in a private message without the prefix.
///
/// A message may begin with a command's name by chance. So the person must be allowed to give that command there, and
/// further words count only if it takes some. Otherwise the host would refuse commands that nobody meant to give.
fn bare_line(
    commands: &Commands,
    said: &str,
    message: &Message,
    around: Around<'_>,
    turn: &Turn<'_>,
) -> Option<CommandLine> {
    if !turn.settings.command_prefix_optional_in_private || message.kind == MessageKind::Groupchat {
        return None;
    }
    let line = commands.line(said, message, around.rooms)?;
    let wanted = line.wanted();
    let is_meant = if line.word == HELP {
        wanted.is_none_or(|wanted| commands.asked_for(&wanted, message, around, turn).is_some())
    } else {
        let (_, name, found) = commands.find(&line.word, Place::In(room_of(message, around.rooms).as_ref()))?;
        let is_here = found.reading.only_in().is_none_or(|place| place.has(message.kind));
        let takes_it = wanted.is_none() || found.reading.takes_words();
        is_here && takes_it && may_give(name, found, &Person::of(message, around))
    };
    is_meant.then_some(CommandLine { is_bare: true, ..line })
}

/// Returns whether a message is new and addressed to this account. History, copies, and corrections and retractions of commands that
/// may already be done do not count.
pub(crate) fn is_spoken(message: &Message) -> bool {
    let is_said = match message.kind {
        MessageKind::Chat | MessageKind::Normal => true,
        // Messages of the room itself are not commands.
        MessageKind::Groupchat => message.nick.is_some(),
        MessageKind::Headline | MessageKind::Error => false,
    };
    let changes_another = message
        .extensions
        .as_ref()
        .is_some_and(|extensions| extensions.replace.is_some() || extensions.retract.is_some());
    is_said && !message.own && !message.delayed && message.carbon.is_none() && !changes_another
}

/// Returns what follows our nickname and `:` or `,` in a message to a room, or `@`, our nickname and a space, as some
/// clients write a mention.
pub(crate) fn addressed<'s>(said: &'s str, message: &Message, rooms: &Rooms) -> Option<&'s str> {
    if message.kind != MessageKind::Groupchat {
        return None;
    }
    let room = rooms.shown.get(&message.chat)?;
    // Keyboards for Chinese and Japanese write the last two.
    let ended = |rest: &'s str| rest.strip_prefix([':', ',', '\u{ff1a}', '\u{ff0c}']);
    let spaced = |rest: &'s str| rest.starts_with(char::is_whitespace).then_some(rest);
    let plain = after_nick(said, &room.nick).and_then(ended);
    let mention =
        || after_nick(said.strip_prefix('@')?, &room.nick).and_then(|rest| ended(rest).or_else(|| spaced(rest)));
    plain.or_else(mention).map(str::trim_start)
}

/// Returns what follows a nickname at the beginning of a text. Capitals do not count, since phones write them there.
fn after_nick<'s>(said: &'s str, nick: &str) -> Option<&'s str> {
    let mut rest = said.chars();
    for wanted in nick.chars() {
        if !rest.next()?.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
    }
    Some(rest.as_str())
}

/// Returns the room in which something was said, to all or in private.
pub(super) fn room_of(message: &Message, rooms: &Rooms) -> Option<BareJid> {
    let chat = message.chat.to_bare();
    rooms.shown.contains_key(&chat).then_some(chat)
}

/// Returns what people write before the name of a command: in the only place in which it works, or where this message is.
pub(super) fn shown_prefix(message: &Message, only_in: Option<CommandPlace>, rooms: &Rooms, turn: &Turn<'_>) -> String {
    let is_private = only_in.map_or(message.kind != MessageKind::Groupchat, |place| place == CommandPlace::Private);
    if is_private && turn.settings.command_prefix_optional_in_private {
        return String::new();
    }
    let prefix = &turn.settings.command_prefix;
    if prefix.is_empty() {
        return rooms.shown.get(&message.chat).map(|room| format!("{}: ", room.nick)).unwrap_or_default();
    }
    prefix.clone()
}

/// Returns the usage of a command that people give by these words.
pub(super) fn usage_of(spelled: &str, reading: &Reading) -> String {
    format!("Usage: {spelled} {}", reading.usage()).trim_end().to_owned()
}

pub(super) fn waits(spelled: &str, wait: Wait) -> String {
    let left = show_duration(u64::try_from(wait.left.as_millis()).unwrap_or(u64::MAX));
    let whose = if wait.is_rooms { "In this room, you" } else { "You" };
    format!("{whose} can give {spelled} again in {left}.")
}

/// Returns whether a person may give a command of this name, unless it is for another place.
pub(super) fn may_give(name: &str, command: &Registered, person: &Person<'_>) -> bool {
    let rules = command.names.rules(name);
    let allow = rules.allow.as_deref().unwrap_or_else(|| command.reading.allow());
    !rules.off && person.is_among(allow, &command.mailbox)
}

/// Returns whether the plugin of a command may speak in the conversation of this message.
pub(super) fn may_speak(command: &Registered, asked: &Message, roster: &Roster) -> bool {
    let where_to = asked.from.to_bare();
    let (permission, target) = if asked.kind == MessageKind::Groupchat {
        (Permission::RoomsSend, Target::Room(&where_to))
    } else {
        (Permission::MessagesSend, Target::Jid(&where_to))
    };
    may_send_to(command, permission, target, roster)
}

/// Returns whether the plugin of a command may send something there by this permission.
pub(super) fn may_send_to(command: &Registered, permission: Permission, target: Target<'_>, roster: &Roster) -> bool {
    let decision = command.mailbox.decide(Use::Call(permission, target), Some(&|jid| roster.has(jid)));
    decision.is_some_and(Decision::allows)
}
