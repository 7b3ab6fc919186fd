//! The names of a plugin's chat commands: those its author chose, and those the owner chose instead, with the owner's
//! rules for single commands.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use parlor_base::id::PluginId;
use serde::{Serialize, Serializer};
use unicode_normalization::UnicodeNormalization as _;

use crate::command_rules::CommandRules;

/// The maximum length of a name, in characters.
const MOST: usize = 32;
/// The host's own command.
pub const HELP: &str = "help";

/// The name of a command without its plugin's id: letters, digits, `-` and `_`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandName(Box<str>);

impl CommandName {
    /// The maximum length of a name, in bytes.
    pub const MAX_BYTES: usize = 4 * MOST;

    /// Returns the name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The error for a text that is not a valid command name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not 1 to {MOST} letters, digits, - and _")]
pub struct NoCommandName;

impl FromStr for CommandName {
    type Err = NoCommandName;

    fn from_str(text: &str) -> Result<Self, NoCommandName> {
        let text: String = text.nfc().collect();
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        if text.is_empty() || text.chars().count() > MOST || !text.chars().all(fits) {
            return Err(NoCommandName);
        }
        Ok(Self(text.to_lowercase().into()))
    }
}

impl Borrow<str> for CommandName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommandName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for CommandName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Returns a word as names of commands and arguments are compared: in lower case, and each letter with its accents as one
/// sign where there is one. Some systems write these as several.
pub(crate) fn folded(word: &str) -> String {
    word.nfc().collect::<String>().to_lowercase()
}

/// The names that the owner chose for a plugin's commands, and the owner's rules, keyed by the author's names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct CommandNames {
    names: BTreeMap<CommandName, CommandName>,
    #[serde(skip)]
    rules: BTreeMap<CommandName, CommandRules>,
}

/// The error for a name that cannot be given to a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotChosen {
    /// The host has a command of this name.
    #[error("the command `{HELP}` is the host's; choose another name")]
    Help,
    /// Another command of the same plugin is to have this name.
    #[error("`{name}` is to be the name of `{other}` already; choose another name for one of them")]
    Twice {
        /// The name.
        name: CommandName,
        /// The command that has the name already.
        other: CommandName,
    },
    /// The command was given a name already.
    #[error("`{0}` has a name already; its capitals do not count")]
    Again(CommandName),
}

impl CommandNames {
    /// Returns the owner's name for a command, if there is one.
    pub fn get(&self, command: &str) -> Option<&CommandName> {
        self.names.get(command)
    }

    /// Returns pairs of the author's and the owner's name.
    pub fn iter(&self) -> impl Iterator<Item = (&CommandName, &CommandName)> {
        self.names.iter()
    }

    /// Gives a command this name.
    pub fn choose(&mut self, command: CommandName, name: CommandName) -> Result<(), NotChosen> {
        if name.as_str() == HELP {
            return Err(NotChosen::Help);
        }
        if let Some((other, _)) = self.names.iter().find(|(_, taken)| **taken == name) {
            return Err(NotChosen::Twice { name, other: other.clone() });
        }
        if self.names.contains_key(&command) {
            return Err(NotChosen::Again(command));
        }
        self.names.insert(command, name);
        Ok(())
    }

    /// Sets the owner's rules for a command.
    pub fn rule(&mut self, command: CommandName, rules: CommandRules) {
        self.rules.insert(command, rules);
    }

    /// Returns the owner's rules for a command, if there are any.
    pub fn rules(&self, command: &str) -> Option<&CommandRules> {
        self.rules.get(command)
    }

    /// Returns pairs of the author's name and the owner's rules.
    pub fn all_rules(&self) -> impl Iterator<Item = (&CommandName, &CommandRules)> {
        self.rules.iter()
    }
}

impl fmt::Display for CommandNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (command, name)) in self.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{command}={name}")?;
        }
        for (number, (command, rules)) in self.all_rules().enumerate() {
            let comma = if number == 0 && self.names.is_empty() { "" } else { ", " };
            write!(f, "{comma}{command} ({rules})")?;
        }
        Ok(())
    }
}

/// The owner's names and rules for the commands of one plugin, which may change while it runs.
#[derive(Debug, Default)]
pub struct ChosenNames(ArcSwap<CommandNames>);

impl ChosenNames {
    /// Holds the names.
    pub fn new(names: CommandNames) -> Self {
        // Most owners choose none.
        static NONE: LazyLock<Arc<CommandNames>> = LazyLock::new(Arc::default);
        let is_none = names == CommandNames::default();
        Self(ArcSwap::new(if is_none { Arc::clone(&NONE) } else { Arc::new(names) }))
    }

    /// Replaces the names.
    pub fn set(&self, names: CommandNames) {
        self.0.store(Arc::new(names));
    }

    /// Returns the owner's name for a command, if there is one.
    pub fn of(&self, command: &str) -> Option<CommandName> {
        self.0.load().get(command).cloned()
    }

    /// Returns whether the owner gave the command this name.
    pub fn is(&self, command: &str, word: &str) -> bool {
        self.0.load().get(command).is_some_and(|name| name.as_str() == word)
    }

    /// Returns the owner's rules for a command; without any, rules that change nothing.
    pub fn rules(&self, command: &str) -> CommandRules {
        self.0.load().rules(command).cloned().unwrap_or_default()
    }

    /// Returns whether the owner has neither a name nor rules for a command of this name.
    pub fn leave_free(&self, command: &str) -> bool {
        let names = self.0.load();
        names.get(command).is_none() && names.rules(command).is_none()
    }

    /// Returns whether the owner keeps everybody from giving the command.
    pub fn is_off(&self, command: &str) -> bool {
        self.0.load().rules(command).is_some_and(|rules| rules.off)
    }
}

/// Returns the word by which users call a command: the owner's name for it, else the author's name alone if that is
/// allowed (`is_short`) and the owner gave it to no other command, else the name prefixed with the plugin's id.
pub fn called(
    plugin: &PluginId,
    name: &str,
    is_short: bool,
    names: &ChosenNames,
    is_chosen: impl FnOnce(&str) -> bool,
) -> String {
    match names.of(name) {
        Some(chosen) => chosen.to_string(),
        None if is_short && !is_chosen(name) => name.to_owned(),
        None => format!("{plugin}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CommandName {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_one_word_of_letters_and_digits_whatever_its_capitals() {
        assert_eq!(name("W\u{dc}rfel-2_x").as_str(), "w\u{fc}rfel-2_x");
        assert_eq!(name("Wu\u{308}rfel-2_x").as_str(), "w\u{fc}rfel-2_x");
        assert_eq!(folded("WU\u{308}RFEL-2_x"), "w\u{fc}rfel-2_x", "as people write it");
        for text in ["", "a b", "a.b", "!a", "a\n", &"x".repeat(33)] {
            assert_eq!(text.parse::<CommandName>(), Err(NoCommandName), "{text:?}");
        }
        assert!("x".repeat(32).parse::<CommandName>().is_ok());
    }

    #[test]
    fn no_two_commands_go_by_one_name_and_none_by_the_hosts() {
        let mut names = CommandNames::default();
        names.choose(name("roll"), name("Dice")).unwrap();
        // Two commands may swap their names.
        names.choose(name("dice"), name("roll")).unwrap();
        assert_eq!(names.to_string(), "dice=roll, roll=dice");
        assert_eq!(names.choose(name("x"), name("HELP")), Err(NotChosen::Help));
        let twice = NotChosen::Twice { name: name("dice"), other: name("roll") };
        assert_eq!(names.choose(name("x"), name("dice")), Err(twice));
        assert_eq!(names.choose(name("ROLL"), name("y")), Err(NotChosen::Again(name("roll"))));
    }

    #[test]
    fn what_was_chosen_last_counts() {
        let chosen = ChosenNames::default();
        assert!(!chosen.is("roll", "dice"));
        let mut names = CommandNames::default();
        names.choose(name("roll"), name("dice")).unwrap();
        chosen.set(names);
        assert!(chosen.is("roll", "dice") && !chosen.is("roll", "roll") && !chosen.is("dice", "dice"));
        assert_eq!(chosen.of("roll"), Some(name("dice")));
    }

    #[test]
    fn rules_are_for_a_command_by_its_authors_name() {
        let mut names = CommandNames::default();
        names.choose(name("roll"), name("dice")).unwrap();
        names.rule(name("roll"), CommandRules { off: true, ..CommandRules::default() });
        assert_eq!(names.to_string(), "roll=dice, roll (off)");
        let chosen = ChosenNames::new(names);
        assert!(chosen.is_off("roll") && !chosen.is_off("dice"));
        assert_eq!(chosen.rules("dice"), CommandRules::default());
        chosen.set(CommandNames::default());
        assert!(!chosen.is_off("roll"));
    }
}
