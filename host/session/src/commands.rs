//! Commands that people give to plugins by name, and `help`.

mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jid::Jid;
use parlor_base::id::{InstanceId, PluginId};
use parlor_base::permission::Permission;
use parlor_stanza::draft::check_text;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, Message, MessageKind};

use crate::command_names::{ChosenNames, CommandName, HELP, NoCommandName, called};
use crate::effect::Effect;
use crate::event::{Event, Payload};
use crate::iq::random_id;
use crate::messages::{may_send, outgoing};
use crate::permissions::{Decision, Target, Use};
use crate::rooms::Rooms;
use crate::roster::Roster;
use crate::router::Mailbox;
use crate::turn::Turn;

/// Maximum length of a command's name with the plugin's id before it, in bytes.
const LONGEST_WORD: usize = PluginId::MAX_LEN + 1 + CommandName::MAX_BYTES;
/// Maximum length of help and usage, in bytes.
const MAX_HELP: usize = 256;
/// Maximum number of arguments; the last one holds the rest of the line.
const MAX_ARGS: usize = 256;
/// Maximum length of an answer of the host, in bytes.
const MAX_ANSWER: usize = 8 << 10;
/// Number of answers that the host gives at once, and the time after which it may give another one.
pub(super) const ANSWERS: u32 = 5;
const ANSWER_EVERY: Duration = Duration::from_secs(2);

/// A command as a plugin describes it.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// The name, with or without the plugin's id before it.
    pub name: String,
    /// The description, in one sentence.
    pub help: String,
    /// The arguments that follow the name; may be empty.
    pub usage: String,
}

/// A command as someone gives it.
#[derive(Debug)]
pub(super) struct CommandLine {
    /// The word that was used, with or without the plugin's id.
    word: String,
    /// The name under which the command is registered.
    pub(super) name: String,
    /// The rest of the line.
    rest: String,
}

#[derive(Debug)]
struct Registered {
    owner: InstanceId,
    /// The mailbox of its instance, which has the plugin's grants.
    mailbox: Arc<Mailbox>,
    help: String,
    usage: String,
    /// Whether it can also be given by its name alone, unless the owner chose another name.
    is_short: bool,
    /// The owner's names for its plugin's commands.
    names: Arc<ChosenNames>,
    /// Whether its plugin is parked, or has not added it again since.
    is_kept: bool,
}

/// The commands of an account, and the number of answers that the host may give.
#[derive(Debug)]
pub(super) struct Commands {
    all: BTreeMap<PluginId, BTreeMap<String, Registered>>,
    answers: u32,
    /// The start of the wait for the next answer.
    since: Duration,
    /// Commands of an instance that its designated replacement has overwritten.
    displaced: Vec<Displaced>,
}

#[derive(Debug)]
struct Displaced {
    by: InstanceId,
    plugin: PluginId,
    name: String,
    was: Registered,
}

impl Default for Commands {
    fn default() -> Self {
        Self { all: BTreeMap::new(), answers: ANSWERS, since: Duration::ZERO, displaced: Vec::new() }
    }
}

impl Commands {
    fn find(&self, name: &str) -> Option<(&PluginId, &str, &Registered)> {
        let (plugin, (name, found)) = match name.split_once('.') {
            Some((plugin, name)) => {
                let (plugin, own) = self.all.get_key_value(plugin)?;
                (plugin, own.get_key_value(name)?)
            }
            None => self.chosen(name).or_else(|| self.short(name))?,
        };
        Some((plugin, name, found))
    }

    /// Returns the command that the owner has given this name, whichever other command has it.
    fn chosen(&self, word: &str) -> Option<(&PluginId, (&String, &Registered))> {
        self.all.iter().find_map(|(plugin, own)| {
            let found = own.iter().find(|(name, found)| found.names.is(name, word))?;
            Some((plugin, found))
        })
    }

    /// Returns the word that people use for a command.
    fn called(&self, plugin: &PluginId, name: &str, command: &Registered) -> String {
        called(plugin, name, command.is_short, &command.names, |word| self.chosen(word).is_some())
    }

    fn short(&self, name: &str) -> Option<(&PluginId, (&String, &Registered))> {
        self.all.iter().find_map(|(plugin, own)| {
            let (name, found) = own.get_key_value(name)?;
            (found.is_short && found.names.of(name).is_none()).then_some((plugin, (name, found)))
        })
    }

    pub(super) fn instance_gone(&mut self, gone: InstanceId) {
        self.all.retain(|_, own| {
            own.retain(|_, one| one.owner != gone);
            !own.is_empty()
        });
        self.displaced.retain(|one| one.was.owner != gone);
        // It never replaced the other instance, which continues.
        for back in self.displaced.extract_if(.., |one| one.by == gone) {
            self.all.entry(back.plugin).or_default().entry(back.name).or_insert(back.was);
        }
    }

    /// Keeps the commands of an instance whose plugin is parked, for the next run.
    pub(super) fn instance_parked(&mut self, parked: InstanceId) {
        let all = self.all.values_mut().flat_map(BTreeMap::values_mut);
        all.filter(|one| one.owner == parked).for_each(|one| one.is_kept = true);
    }

    /// Removes the commands that an instance has not added again since it was parked. Returns their names.
    pub(super) fn instance_woken(&mut self, woken: InstanceId) -> Vec<String> {
        let mut removed = Vec::new();
        self.all.retain(|_, own| {
            let left = own.extract_if(.., |_, one| one.owner == woken && one.is_kept);
            removed.extend(left.map(|(name, _)| name));
            !own.is_empty()
        });
        removed
    }

    /// Makes the commands that an instance has overwritten its own for good.
    pub(super) fn inherit(&mut self, new: InstanceId) {
        self.displaced.retain(|one| one.by != new);
    }

    /// Returns whether the host may give another answer, and counts it.
    fn may_answer(&mut self, now: Duration) -> bool {
        let ready = now.saturating_sub(self.since).as_millis() / ANSWER_EVERY.as_millis();
        self.answers = ANSWERS.min(self.answers.saturating_add(u32::try_from(ready).unwrap_or(ANSWERS)));
        if ready > 0 || self.answers == ANSWERS {
            self.since = now;
        }
        let may = self.answers > 0;
        self.answers = self.answers.saturating_sub(1);
        may
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.values().map(BTreeMap::len).sum()
    }

    /// Registers a command, unless the plugin has too many. Returns its name, and whether it can be given by that name
    /// alone.
    pub(super) fn add_command(
        &mut self,
        mailbox: Arc<Mailbox>,
        names: Arc<ChosenNames>,
        plugin: PluginId,
        spoken: Spoken,
        most: usize,
        turn: &mut Turn<'_>,
    ) -> Result<(String, bool), CallError> {
        let by = mailbox.instance();
        let (name, mut is_short) = parse_name(&plugin, &spoken.name)?;
        check_line("help", &spoken.help)?;
        check_line("usage", &spoken.usage)?;
        if is_short && name == HELP {
            let reason = format!("the command {HELP} is the host's; choose another name, or {plugin}.{HELP}");
            return Err(CallError::invalid("name", reason));
        }
        if is_short
            && let Some((owner, ..)) = self.find(&name)
            && *owner != plugin
        {
            // A command that the owner has renamed needs no short name.
            is_short = false;
            if names.of(&name).is_none() {
                return Err(CallError::NotOwner(format!("the command {name} of the plugin {owner}")));
            }
        }
        let is_successor = turn.promises.is_successor(by);
        let own = self.all.entry(plugin.clone()).or_default();
        // One that was kept counts as new: otherwise a plugin would have more with each waking.
        let has_it = own.get(&name).is_some_and(|one| !one.is_kept);
        if !has_it && own.values().filter(|one| !one.is_kept).count() >= most {
            return Err(CallError::OverLimit(format!("{most} commands")));
        }
        let new =
            Registered { owner: by, mailbox, help: spoken.help, usage: spoken.usage, is_short, names, is_kept: false };
        let was = own.insert(name.clone(), new);
        if let Some(was) = was
            && is_successor
            && was.owner != by
        {
            self.displaced.push(Displaced { by, plugin, name: name.clone(), was });
        }
        Ok((name, is_short))
    }

    /// Returns the command in a message, if it contains a registered one.
    pub(super) fn command_in(&self, message: &Message, turn: &mut Turn<'_>) -> Option<CommandLine> {
        let prefix = turn.settings.command_prefix.as_str();
        if self.all.is_empty() || prefix.is_empty() || !is_spoken(message) {
            return None;
        }
        let said = message.said();
        let line = said.strip_prefix(prefix)?;
        let (word, rest) = line.split_at(line.find(char::is_whitespace).unwrap_or(line.len()));
        if word.len() > LONGEST_WORD {
            return None;
        }
        let name = word.to_lowercase();
        let name = if name == HELP { name } else { self.find(&name)?.1.to_owned() };
        Some(CommandLine { word: word.to_lowercase(), name, rest: rest.to_owned() })
    }

    /// Removes a command and returns its name.
    pub(super) fn remove_command(
        &mut self,
        by: InstanceId,
        plugin: &PluginId,
        name: &str,
        turn: &mut Turn<'_>,
    ) -> Result<String, CallError> {
        let (name, _) = parse_name(plugin, name)?;
        let is_successor = turn.promises.is_successor(by);
        let found = self.all.get_mut(plugin).and_then(|own| own.remove(&name));
        self.all.retain(|_, own| !own.is_empty());
        let Some(was) = found else { return Err(CallError::NotFound(format!("the command {name} of {plugin}"))) };
        // The instance to be replaced gets it back if the replacement fails.
        if is_successor && was.owner != by {
            self.displaced.push(Displaced { by, plugin: plugin.clone(), name: name.clone(), was });
        }
        Ok(name)
    }
}

/// Returns the name as it is registered, and whether it was given without the plugin's id.
fn parse_name(plugin: &PluginId, name: &str) -> Result<(String, bool), CallError> {
    let invalid = |reason: String| Err(CallError::invalid("name", reason));
    if name.len() > LONGEST_WORD {
        return invalid(NoCommandName.to_string());
    }
    let (short, is_short) = match name.split_once('.') {
        Some((before, short)) if before == plugin.as_str() => (short, false),
        Some(_) => return invalid(format!("begins with another id than this plugin's, {plugin}")),
        None => (name, true),
    };
    match short.parse::<CommandName>() {
        Ok(name) => Ok((name.to_string(), is_short)),
        Err(error) => invalid(error.to_string()),
    }
}

/// Checks a single line of text that the host may send on behalf of a plugin.
fn check_line(argument: &str, text: &str) -> Result<(), CallError> {
    check_text(argument, text, MAX_HELP)?;
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(CallError::invalid(argument, format!("contains {c:?}, and is to be one line"))),
        None => Ok(()),
    }
}

impl Commands {
    /// Carries out a command that someone gives.
    pub(super) fn obey(
        &mut self,
        message: &Arc<Message>,
        line: &CommandLine,
        rooms: &Rooms,
        roster: &Roster,
        turn: &mut Turn<'_>,
    ) {
        if line.word == HELP {
            let wanted = words::split(&line.rest, 1).pop();
            return self.help(message, wanted.as_deref(), rooms, roster, turn);
        }
        let Some((_, name, found)) = self.find(&line.word) else { return };
        let args = words::split(&line.rest, MAX_ARGS);
        let payload = Payload::Command { name: name.into(), args, message: Arc::clone(message) };
        let event = Event { name: turn.names.get("command"), at: turn.now, payload };
        turn.out.push(Effect::FireFor(found.owner, event));
    }

    /// Lists the commands, or explains one, in the conversation in which `help` was given. In a room, an unknown name
    /// is not answered, since it may be meant for another bot.
    ///
    /// A plugin's texts are sent only where the plugin may speak itself: otherwise help would be its way to send
    /// strangers what it hears.
    fn help(&mut self, message: &Message, wanted: Option<&str>, rooms: &Rooms, roster: &Roster, turn: &mut Turn<'_>) {
        let in_room = message.kind == MessageKind::Groupchat;
        let prefix = &turn.settings.command_prefix;
        let text = match wanted {
            None => self.list(message, roster, turn),
            Some(wanted) => {
                let name = wanted.strip_prefix(prefix).unwrap_or(wanted).to_lowercase();
                match self.find(&name).filter(|(_, _, found)| may_speak(found, message, roster)) {
                    Some((_, _, found)) => {
                        let space = if found.usage.is_empty() { "" } else { " " };
                        format!("Usage: {prefix}{name}{space}{}\n{}", found.usage, found.help)
                    }
                    None if in_room => return,
                    None => "There is no command of that name.".to_owned(),
                }
            }
        };
        // It fails only if sending is impossible, and the request came a moment ago.
        let _ = self.answer(message, text.trim_end(), rooms, turn);
    }

    /// Answers a command on behalf of its plugin, in the conversation in which it was given, unless the host has just
    /// answered many.
    pub(super) fn answer(
        &mut self,
        message: &Message,
        text: &str,
        rooms: &Rooms,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        let (to, kind) = if message.kind == MessageKind::Groupchat {
            (Jid::from(message.from.to_bare()), MessageKind::Groupchat)
        } else {
            (message.from.clone(), MessageKind::Chat)
        };
        let draft = Draft { body: Some(text.to_owned()), thread: message.thread.clone(), ..Draft::default() };
        may_send(rooms, &to, kind, &draft, turn)?;
        if self.may_answer(turn.deadlines.elapsed()) {
            turn.send(outgoing(rooms, to, kind, random_id(), draft));
        } else {
            turn.ignored += 1;
        }
        Ok(())
    }

    /// Lists all commands of plugins that may speak here, by name. The text does not begin with the prefix: another bot
    /// would take it for a command.
    fn list(&self, asked: &Message, roster: &Roster, turn: &mut Turn<'_>) -> String {
        let prefix = &turn.settings.command_prefix;
        let mut lines: Vec<String> = Vec::new();
        for (plugin, own) in &self.all {
            lines.extend(own.iter().filter(|(_, one)| may_speak(one, asked, roster)).map(|(name, one)| {
                let dash = if one.help.is_empty() { "" } else { " – " };
                format!("{prefix}{}{dash}{}", self.called(plugin, name, one), one.help)
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

/// Returns whether a message is new and addressed to this account. History, copies, and corrections and retractions of
/// commands that may already be done do not count.
fn is_spoken(message: &Message) -> bool {
    let is_said = match message.kind {
        MessageKind::Chat | MessageKind::Normal => true,
        // Messages of the room itself are no commands.
        MessageKind::Groupchat => message.nick.is_some(),
        MessageKind::Headline | MessageKind::Error => false,
    };
    let changes_another = message
        .extensions
        .as_ref()
        .is_some_and(|extensions| extensions.replace.is_some() || extensions.retract.is_some());
    is_said && !message.own && !message.delayed && message.carbon.is_none() && !changes_another
}

/// Returns whether the plugin of a command may speak in the conversation of this message.
fn may_speak(command: &Registered, asked: &Message, roster: &Roster) -> bool {
    let where_to = asked.from.to_bare();
    let (permission, target) = if asked.kind == MessageKind::Groupchat {
        (Permission::RoomsSend, Target::Room(&where_to))
    } else {
        (Permission::MessagesSend, Target::Jid(&where_to))
    };
    let decision = command.mailbox.decide(Use::Call(permission, target), Some(&|jid| roster.has(jid)));
    decision.is_some_and(Decision::allows)
}
