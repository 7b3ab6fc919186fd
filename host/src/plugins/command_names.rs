//! What a plugin's commands are called: the names that its author chose, and others that the owner chose in their place.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Serialize, Serializer};

use super::PluginId;

/// How many characters a name may have.
const MOST: usize = 32;
/// The host's own command.
pub(crate) const HELP: &str = "help";

/// A command's name without its plugin's id: letters, digits, `-` and `_`, in small letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandName(Box<str>);

impl CommandName {
    /// The most bytes that a name has.
    pub(crate) const MAX_BYTES: usize = 4 * MOST;

    /// As it is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is no command's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not 1 to {MOST} letters, digits, - and _")]
pub struct NoCommandName;

impl FromStr for CommandName {
    type Err = NoCommandName;

    fn from_str(text: &str) -> Result<Self, NoCommandName> {
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

/// The names that the owner chose for a plugin's commands, by those that its author chose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CommandNames(BTreeMap<CommandName, CommandName>);

/// A name cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotChosen {
    /// The host has that command.
    #[error("the command `{HELP}` is the host's; choose another name")]
    Help,
    /// Another command of the same plugin is called that.
    #[error("`{name}` is to be the name of `{other}` already; choose another name for one of them")]
    Twice {
        /// The name.
        name: CommandName,
        /// The command that has it.
        other: CommandName,
    },
    /// The command stands there once more.
    #[error("`{0}` has a name already; its capitals do not count")]
    Again(CommandName),
}

impl CommandNames {
    /// The owner's name for a command.
    pub fn get(&self, command: &str) -> Option<&CommandName> {
        self.0.get(command)
    }

    /// All of them: the author's, and the owner's.
    pub fn iter(&self) -> impl Iterator<Item = (&CommandName, &CommandName)> {
        self.0.iter()
    }

    /// Has a command go by this name.
    pub(crate) fn choose(&mut self, command: CommandName, name: CommandName) -> Result<(), NotChosen> {
        if name.as_str() == HELP {
            return Err(NotChosen::Help);
        }
        if let Some((other, _)) = self.0.iter().find(|(_, taken)| **taken == name) {
            return Err(NotChosen::Twice { name, other: other.clone() });
        }
        if self.0.contains_key(&command) {
            return Err(NotChosen::Again(command));
        }
        self.0.insert(command, name);
        Ok(())
    }
}

impl fmt::Display for CommandNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (command, name)) in self.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{command}={name}")?;
        }
        Ok(())
    }
}

/// The owner's names for the commands of one plugin, which may change while it runs.
#[derive(Debug, Default)]
pub struct ChosenNames(ArcSwap<CommandNames>);

impl ChosenNames {
    pub(crate) fn new(names: CommandNames) -> Self {
        Self(ArcSwap::from_pointee(names))
    }

    pub(crate) fn set(&self, names: CommandNames) {
        self.0.store(Arc::new(names));
    }

    /// The owner's name for a command.
    pub(crate) fn of(&self, command: &str) -> Option<CommandName> {
        self.0.load().get(command).cloned()
    }

    /// Whether the owner has a command go by this word.
    pub(crate) fn is(&self, command: &str, word: &str) -> bool {
        self.0.load().get(command).is_some_and(|name| name.as_str() == word)
    }
}

/// The word that people say for a command, who need not know the plugin's id where there is a shorter one: the owner's name for it,
/// or its own where it may go by that alone and the owner has no other command go by it.
pub(crate) fn called(
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
        for text in ["", "a b", "a.b", "!a", "a\n", &"x".repeat(33)] {
            assert_eq!(text.parse::<CommandName>(), Err(NoCommandName), "{text:?}");
        }
        assert!("x".repeat(32).parse::<CommandName>().is_ok());
    }

    #[test]
    fn no_two_commands_go_by_one_name_and_none_by_the_hosts() {
        let mut names = CommandNames::default();
        names.choose(name("roll"), name("Dice")).unwrap();
        // Two may change places.
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
}
