//! Commands that people give to plugins by name, and `help`.
//!
//! This file keeps the registered commands, and decides who may add which. `commands/declaration.rs` checks commands
//! with typed arguments, `commands/giving.rs` handles the messages that give commands, `commands/help.rs` lists the
//! commands that a person may give, `commands/filling.rs` offers them as forms, and `commands/forms.rs` keeps the open
//! forms.

pub(super) mod answers;
mod arguments;
pub(super) mod bare;
mod cooldowns;
pub(super) mod declaration;
mod fields;
pub(super) mod filling;
mod forms;
pub(super) mod giving;
mod help;
pub(super) mod kinds;
pub(super) mod people;
pub(super) mod refusing;
mod remarks;
mod replaced;
mod usage;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use parlor_base::id::{InstanceId, PluginId};
use parlor_stanza::draft::check_text;
use parlor_stanza::error::CallError;

use crate::command_names::{ChosenNames, CommandName, HELP, NoCommandName, called};
use crate::command_rules::{CommandPlace, CommandRules, People};
use crate::permissions::Grants;
use crate::router::Mailbox;
use crate::turn::Turn;
use answers::Answers;
use bare::BareCommands;
use cooldowns::{Cooldowns, Lengths};
use declaration::Declared;
use forms::Forms;
use remarks::Remarks;
use replaced::{in_force, put, remove_former};

/// Maximum length of a command's name with the plugin's id before it, in bytes.
const LONGEST_WORD: usize = PluginId::MAX_LEN + 1 + CommandName::MAX_BYTES;
/// Maximum length of help and usage, in bytes.
const MAX_HELP: usize = 256;

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

/// A command that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The name under which it is registered.
    pub name: String,
    /// Whether it can be given by that name alone, unless the owner chose another name.
    pub is_short: bool,
    /// Its other names that were left out, since other commands have them.
    pub left_out: Vec<String>,
}

/// The party that parses the arguments of a command.
#[derive(Debug)]
pub(super) enum Reading {
    /// The plugin, which describes them in this text. The text may be empty.
    Plugin(String),
    /// The host.
    Host(Box<Declared>),
}

impl Reading {
    /// Returns what precedes the names of fields in errors: the one call has them as arguments, the other in a record.
    fn place(&self) -> &'static str {
        match self {
            Self::Plugin(_) => "",
            Self::Host(_) => "command.",
        }
    }

    /// Returns the other names that the author chose.
    fn aliases(&self) -> &[CommandName] {
        match self {
            Self::Plugin(_) => &[],
            Self::Host(declared) => &declared.aliases,
        }
    }

    /// Returns the usage.
    fn usage(&self) -> String {
        match self {
            Self::Plugin(usage) => usage.clone(),
            Self::Host(declared) => usage::usage(&declared.parameters),
        }
    }

    /// Returns whether words may follow its name.
    fn takes_words(&self) -> bool {
        match self {
            Self::Plugin(_) => true,
            Self::Host(declared) => !declared.parameters.is_empty(),
        }
    }

    /// Returns the people whom the author allows to give it. Empty: everybody.
    fn allow(&self) -> &[People] {
        match self {
            Self::Plugin(_) => &[],
            Self::Host(declared) => &declared.allow,
        }
    }

    /// Returns the only place in which it may be given. `None`: anywhere.
    fn only_in(&self) -> Option<CommandPlace> {
        match self {
            Self::Plugin(_) => None,
            Self::Host(declared) => declared.place,
        }
    }

    /// Returns the cooldowns by the author's choice, and the owner's in place of it.
    fn lengths(&self, rules: &CommandRules) -> Lengths {
        let (person, room) = match self {
            Self::Plugin(_) => (Duration::ZERO, Duration::ZERO),
            Self::Host(declared) => (declared.person_cooldown, declared.room_cooldown),
        };
        Lengths { person: rules.person_cooldown.unwrap_or(person), room: rules.room_cooldown.unwrap_or(room) }
    }
}

/// A command that a plugin adds.
pub(super) struct New {
    pub(super) mailbox: Arc<Mailbox>,
    /// The owner's names and rules for the plugin's commands.
    pub(super) names: Arc<ChosenNames>,
    pub(super) plugin: PluginId,
    /// Maximum number of commands that the plugin may have.
    pub(super) most: usize,
    /// The name, with or without the plugin's id before it.
    pub(super) name: String,
    pub(super) help: String,
    pub(super) reading: Reading,
}

#[derive(Debug)]
struct Registered {
    owner: InstanceId,
    /// The mailbox of its instance, which has the plugin's grants.
    mailbox: Arc<Mailbox>,
    /// Maximum number of commands that the plugin may have.
    most: usize,
    help: String,
    reading: Reading,
    /// Its other names.
    aliases: Vec<CommandName>,
    /// Whether it can also be given by its name alone, unless the owner chose another name.
    is_short: bool,
    /// The owner's names and rules for its plugin's commands.
    names: Arc<ChosenNames>,
    /// Whether its plugin is parked, or has not added it again since.
    is_kept: bool,
    /// Whether its instance got no events when it added it: most likely, it waits to replace another one.
    is_early: bool,
}

/// The place in which a command is given.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    /// In this room, or by somebody there in private. None: outside of rooms.
    In(Option<&'a BareJid>),
    /// Anywhere that a plugin with these grants acts.
    WhereActs(&'a Grants),
}

impl Registered {
    /// Returns whether its plugin acts in a place, as far as the owner keeps it to rooms.
    fn acts_in(&self, place: Place<'_>) -> bool {
        let grants = self.mailbox.grants();
        match place {
            Place::In(room) => grants.serves(room),
            Place::WhereActs(others) => grants.meets(others),
        }
    }

    /// Returns whether it can be given by its name alone in a place. `name` is that name.
    fn is_short_in(&self, name: &str, place: Place<'_>) -> bool {
        self.is_short && self.names.of(name).is_none() && self.acts_in(place)
    }

    /// Returns whether this is one of its other names. None of them counts while the owner chose a name. A name for which the owner has
    /// a name or rules does not count either, since they may be for another command of the plugin, and would not be applied.
    fn has_alias(&self, name: &str, word: &str) -> bool {
        let is_there = self.aliases.iter().any(|alias| alias.as_str() == word);
        is_there && self.names.of(name).is_none() && self.names.leave_free(word)
    }
}

/// The commands of an account, and the number of answers that the host may give.
#[derive(Debug, Default)]
pub(super) struct Commands {
    all: BTreeMap<PluginId, BTreeMap<String, Registered>>,
    answers: Answers,
    bare: BareCommands,
    /// Commands of an instance that its designated replacement has overwritten.
    displaced: Vec<Displaced>,
    /// The commands with short names of plugins that are away. Otherwise another plugin could wait for that, and take the names.
    away: Vec<(PluginId, String, Registered)>,
    cooldowns: Cooldowns,
    forms: Forms,
    pub(super) remarks: Remarks,
}

#[derive(Debug)]
struct Displaced {
    by: InstanceId,
    plugin: PluginId,
    name: String,
    was: Registered,
}

impl Commands {
    /// Returns the command that people mean by this word, among those of plugins that act in a place. A name of the owner's
    /// choice comes before a plugin's name, and that before other names.
    fn find(&self, word: &str, place: Place<'_>) -> Option<(&PluginId, &str, &Registered)> {
        let (plugin, (name, found)) = if let Some((plugin, word)) = word.split_once('.') {
            let (plugin, own) = self.all.get_key_value(plugin)?;
            let found = own.get_key_value(word);
            (plugin, found.or_else(|| own.iter().find(|(name, found)| found.has_alias(name, word)))?)
        } else {
            let chosen = self.chosen(word, place);
            chosen.or_else(|| self.short(word, place)).or_else(|| self.by_alias(word, place))?
        };
        let found = match place {
            Place::In(_) => in_force(self, plugin, name, found)?,
            // Whose name it is does not depend on that.
            Place::WhereActs(_) => found,
        };
        // The version that runs may be kept to other rooms than the one that starts.
        if !found.acts_in(place) {
            return None;
        }
        Some((plugin, name, found))
    }

    fn by_alias(&self, word: &str, place: Place<'_>) -> Option<(&PluginId, (&String, &Registered))> {
        self.all.iter().find_map(|(plugin, own)| {
            let found = own.iter().find(|(name, found)| found.has_alias(name, word) && found.acts_in(place))?;
            Some((plugin, found))
        })
    }

    /// Returns the command that the owner has given this name, whichever other command has it.
    fn chosen(&self, word: &str, place: Place<'_>) -> Option<(&PluginId, (&String, &Registered))> {
        self.all.iter().find_map(|(plugin, own)| {
            let found = own.iter().find(|(name, found)| found.names.is(name, word) && found.acts_in(place))?;
            Some((plugin, found))
        })
    }

    /// Returns whether somebody may still have to wait for a command.
    pub(super) fn have_cooldowns(&self, now: Duration) -> bool {
        self.cooldowns.run_at(now)
    }

    /// Returns the word that people use for a command in a place where its plugin acts.
    fn called(&self, plugin: &PluginId, name: &str, command: &Registered, place: Place<'_>) -> String {
        called(plugin, name, command.is_short, &command.names, |word| self.chosen(word, place).is_some())
    }

    fn short(&self, name: &str, place: Place<'_>) -> Option<(&PluginId, (&String, &Registered))> {
        self.all.iter().find_map(|(plugin, own)| {
            let (name, found) = own.get_key_value(name)?;
            found.is_short_in(name, place).then_some((plugin, (name, found)))
        })
    }

    /// Returns the plugin that is away and keeps this short name in this place, if it is another one.
    fn kept_for(&self, name: &str, plugin: &PluginId, place: Place<'_>) -> Option<&PluginId> {
        let is_kept = |(owner, word, one): &&(PluginId, String, Registered)| {
            owner != plugin && word == name && one.is_short_in(name, place)
        };
        self.away.iter().find(is_kept).map(|(owner, ..)| owner)
    }

    /// Returns the other plugin that has this word in this place, also while it is away.
    fn taken_by(&self, word: &str, plugin: &PluginId, place: Place<'_>) -> Option<&PluginId> {
        let other = self.find(word, place).map(|(owner, ..)| owner).filter(|owner| *owner != plugin);
        other.or_else(|| self.kept_for(word, plugin, place))
    }

    /// Frees the short names of a plugin that does not come back.
    pub(super) fn forget_plugin(&mut self, plugin: &PluginId) {
        self.away.retain(|(one, ..)| one != plugin);
    }

    pub(super) fn instance_gone(&mut self, gone: InstanceId) {
        let mut away = Vec::new();
        self.all.retain(|plugin, own| {
            let left: Vec<_> = own.extract_if(.., |_, one| one.owner == gone).collect();
            // Otherwise another instance of the plugin goes on.
            if own.is_empty() {
                let short = left.into_iter().filter(|(_, one)| one.is_short);
                away.extend(short.map(|(name, one)| (plugin.clone(), name, one)));
            }
            !own.is_empty()
        });
        if let Some((plugin, _, Registered { most, .. })) = away.first() {
            // An earlier run may have had others, which this one failed to add. No more are kept than one instance may have.
            let mut number = away.len();
            self.away.retain(|(one, ..)| {
                number += usize::from(one == plugin);
                one != plugin || number <= *most
            });
        }
        self.away.extend(away);
        self.displaced.retain(|one| one.was.owner != gone);
        // It never replaced the other instance, which continues.
        for back in self.displaced.extract_if(.., |one| one.by == gone) {
            self.away.retain(|(plugin, ..)| *plugin != back.plugin);
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
        let all = self.all.values_mut().flat_map(BTreeMap::values_mut);
        all.filter(|one| one.owner == new).for_each(|one| one.is_early = false);
    }

    /// Returns whether the host reads the arguments of any of them.
    pub(super) fn has_declared(&self) -> bool {
        self.all.values().flat_map(BTreeMap::values).any(|one| matches!(one.reading, Reading::Host(_)))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.values().map(BTreeMap::len).sum()
    }

    /// Registers a command, unless the plugin has too many.
    pub(super) fn add_command(&mut self, new: New, turn: &mut Turn<'_>) -> Result<Added, CallError> {
        let New { mailbox, names, plugin, most, name, help, reading } = new;
        let (by, place) = (mailbox.instance(), reading.place());
        let field = format!("{place}name");
        let (name, mut is_short) = parse_name(&field, &plugin, &name)?;
        check_line(&format!("{place}help"), &help)?;
        if let Reading::Plugin(usage) = &reading {
            check_line("usage", usage)?;
        }
        if is_short && name == HELP {
            let reason = format!("the command {HELP} is the host's; choose another name, or {plugin}.{HELP}");
            return Err(CallError::invalid(field, reason));
        }
        // Plugins that act in different rooms may have commands of the same name.
        let grants = mailbox.grants();
        let somewhere = Place::WhereActs(&grants);
        if is_short && let Some(owner) = self.taken_by(&name, &plugin, somewhere) {
            // A command that the owner has renamed needs no short name.
            is_short = false;
            if names.of(&name).is_none() {
                return Err(CallError::NotOwner(format!("the command {name} of the plugin {owner}")));
            }
        }
        if let Some(own) = self.all.get(&plugin) {
            check_shared(own, by, place, (name.as_str(), reading.aliases()))?;
        }
        let is_taken =
            |alias: &CommandName| alias.as_str() == HELP || self.taken_by(alias.as_str(), &plugin, somewhere).is_some();
        let (left_out, aliases): (Vec<_>, Vec<_>) = reading.aliases().iter().cloned().partition(is_taken);
        let is_successor = turn.promises.is_successor(by);
        self.away.retain(|(one, word, _)| *one != plugin || *word != name);
        let own = self.all.entry(plugin.clone()).or_default();
        // A command that was kept while its plugin was parked counts as new: otherwise a plugin could add more with
        // each wake-up.
        let has_it = own.get(&name).is_some_and(|one| !one.is_kept);
        if !has_it && own.values().filter(|one| !one.is_kept).count() >= most {
            return Err(CallError::OverLimit(format!("{most} commands")));
        }
        let (is_early, is_kept) = (mailbox.is_shadowed(), false);
        let new = Registered { owner: by, mailbox, most, help, reading, aliases, is_short, names, is_kept, is_early };
        put(self, plugin, &name, new, is_successor);
        let left_out = left_out.iter().map(ToString::to_string).collect();
        Ok(Added { name, is_short, left_out })
    }

    /// Removes a command and returns its name.
    pub(super) fn remove_command(
        &mut self,
        by: InstanceId,
        plugin: &PluginId,
        name: &str,
        turn: &mut Turn<'_>,
    ) -> Result<String, CallError> {
        let (name, _) = parse_name("name", plugin, name)?;
        let is_successor = turn.promises.is_successor(by);
        if !is_successor && let Some(result) = remove_former(self, by, plugin, &name) {
            return result.map(|()| name);
        }
        let found = self.all.get_mut(plugin).and_then(|own| own.remove(&name));
        self.all.retain(|_, own| !own.is_empty());
        let Some(was) = found else { return Err(CallError::NotFound(format!("the command {name} of {plugin}"))) };
        // The replaced instance gets it back if the replacement fails.
        if is_successor && was.owner != by {
            self.displaced.push(Displaced { by, plugin: plugin.clone(), name: name.clone(), was });
        }
        Ok(name)
    }
}

/// Returns the name as it is registered, and whether it was given without the plugin's id.
/// The error names this field.
fn parse_name(field: &str, plugin: &PluginId, name: &str) -> Result<(String, bool), CallError> {
    let invalid = |reason: String| Err(CallError::invalid(field, reason));
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

/// Checks that no other command of this instance has the name of a new command, or one of its other names: people could not tell
/// which of the two they get. Commands of an instance that it replaces, and those of its last run, do not count.
fn check_shared(
    own: &BTreeMap<String, Registered>,
    by: InstanceId,
    place: &str,
    (name, aliases): (&str, &[CommandName]),
) -> Result<(), CallError> {
    for (other, one) in own.iter().filter(|(other, one)| *other != name && one.owner == by && !one.is_kept) {
        let others = one.reading.aliases();
        if others.iter().any(|alias| alias.as_str() == name) {
            let reason = format!("is another name of this plugin's command {other}; leave it out of its aliases");
            return Err(CallError::invalid(format!("{place}name"), reason));
        }
        if let Some(alias) = aliases.iter().find(|alias| alias.as_str() == other || others.contains(alias)) {
            let reason =
                format!("has {alias}, which this plugin's command {other} has, too; leave it out of one of them");
            return Err(CallError::invalid(format!("{place}aliases"), reason));
        }
    }
    Ok(())
}

/// Checks a single line of text that the host may send on behalf of a plugin.
fn check_line(argument: &str, text: &str) -> Result<(), CallError> {
    check_text(argument, text, MAX_HELP)?;
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(CallError::invalid(argument, format!("contains {c:?}, and is to be one line"))),
        None => Ok(()),
    }
}
