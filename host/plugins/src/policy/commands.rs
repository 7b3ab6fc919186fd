//! `[plugin.ID.commands]`: the owner's names for a plugin's chat commands, and the owner's rules for single ones.

use std::collections::BTreeSet;
use std::time::Duration;

use parlor_base::document::{DocumentError, Node, Section};
use parlor_base::quantity::duration;
use parlor_session::command_names::{CommandName, CommandNames, NoCommandName};
use parlor_session::command_rules::{CommandRules, LONGEST_COOLDOWN, MOST_PEOPLE, NoPeople, People};

use super::keys;

/// The word for all people.
const EVERYBODY: &str = "everybody";

/// Reads the owner's decisions about the commands of a plugin: a name, or a table of rules.
pub(super) fn commands(section: &Section<'_>) -> Result<CommandNames, DocumentError> {
    let mut names = CommandNames::default();
    let mut known = BTreeSet::new();
    let Some(written) = section.section("commands")? else { return Ok(names) };
    for node in written.entries() {
        let command = name(&node, node.key())?;
        if !known.insert(command.clone()) {
            return Err(node.error(format!("`{command}` is there twice; its capitals do not count")));
        }
        let chosen = match node.as_section() {
            None => Some(name(&node, node.string()?)?),
            Some(table) => {
                table.allow(&keys::COMMAND_NAMES)?;
                names.rule(command.clone(), rules(&table)?);
                table.get("name").map(|node| name(&node, node.string()?)).transpose()?
            }
        };
        if let Some(chosen) = chosen {
            names.choose(command, chosen).map_err(|error| node.error(error))?;
        }
    }
    Ok(names)
}

/// Parses the name of a command. An error is about the node.
fn name(node: &Node<'_>, text: &str) -> Result<CommandName, DocumentError> {
    text.parse().map_err(|error: NoCommandName| node.error(format!("{text:?} cannot be a command: it {error}")))
}

fn rules(table: &Section<'_>) -> Result<CommandRules, DocumentError> {
    Ok(CommandRules {
        allow: table.get("allow").map(|node| allow(&node)).transpose()?,
        person_cooldown: table.get("person_cooldown").map(|node| cooldown(&node)).transpose()?,
        room_cooldown: table.get("room_cooldown").map(|node| cooldown(&node)).transpose()?,
        off: table.get("off").map_or(Ok(false), |node| node.boolean())?,
    })
}

/// Reads groups of people. None of them is everybody.
fn allow(node: &Node<'_>) -> Result<Vec<People>, DocumentError> {
    let texts = node.strings(MOST_PEOPLE)?;
    if texts.is_empty() {
        let remedy =
            format!("`allow` is empty; write `off = true` if nobody may give the command, else [\"{EVERYBODY}\"]");
        return Err(node.error(remedy));
    }
    if texts == [EVERYBODY] {
        return Ok(Vec::new());
    }
    if texts.contains(&EVERYBODY) {
        return Err(node.error(format!("`{EVERYBODY}` has all others in it; leave them out")));
    }
    let people = texts.into_iter().map(|text| text.parse().map_err(|error: NoPeople| node.error(error)));
    people.collect()
}

fn cooldown(node: &Node<'_>) -> Result<Duration, DocumentError> {
    let time = duration(node.string()?).map_err(|error| node.error(error))?;
    if time > LONGEST_COOLDOWN { Err(node.wants("at most a day, `24 h`")) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use parlor_base::document::Document;

    use super::*;

    fn read(text: &str) -> Result<CommandNames, String> {
        let document = Document::parse(text).unwrap();
        commands(&document.root()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_may_have_a_name_and_rules() {
        let names = read(
            "[commands]\nroll = \"throw\"\n[commands.Kick]\nname = \"out\"\nallow = [\"contacts\", \"role:moderator\"]\n\
             person_cooldown = \"30s\"\nroom_cooldown = \"2 min\"\n[commands.ban]\noff = true\n[commands.say]\n\
             allow = [\"everybody\"]\n",
        )
        .unwrap();
        assert_eq!(names.get("roll").unwrap().as_str(), "throw");
        assert_eq!(names.get("kick").unwrap().as_str(), "out");
        let kick = names.rules("kick").unwrap();
        assert_eq!(kick.allow.as_ref().map(Vec::len), Some(2));
        assert_eq!(kick.person_cooldown, Some(Duration::from_secs(30)));
        assert_eq!(kick.room_cooldown, Some(Duration::from_mins(2)));
        assert!(!kick.off && names.rules("ban").unwrap().off && names.rules("roll").is_none());
        assert_eq!(names.rules("say").unwrap().allow, Some(Vec::new()));
    }

    #[test]
    fn every_mistake_names_its_line_and_what_to_write() {
        let refusal = |rule: &str| read(&format!("[commands.kick]\n{rule}\n")).unwrap_err();
        assert_eq!(refusal("alow = []"), "2:1: unknown key `commands.kick.alow`; did you mean `allow`?");
        assert!(refusal("allow = []").starts_with("2:1: `allow` is empty; write `off = true`"));
        assert!(refusal("allow = [\"contact\"]").contains("did you mean \"contacts\"?"));
        assert!(refusal("allow = [\"everybody\", \"owners\"]").contains("leave them out"));
        assert!(refusal("allow = \"contacts\"").contains("has to be a list of texts"));
        let many = ["\"owners\""; 17].join(", ");
        assert!(refusal(&format!("allow = [{many}]")).contains("at most 16"));
        assert!(refusal("person_cooldown = \"30\"").contains("write a whole number and a unit"));
        assert!(refusal("room_cooldown = \"25 h\"").ends_with("has to be at most a day, `24 h`"));
        assert!(refusal("off = \"yes\"").ends_with("has to be true or false"));
        assert!(refusal("name = \"help\"").contains("is the host's"));
        let twice = read("[commands]\nKICK = \"x\"\n[commands.kick]\noff = true\n").unwrap_err();
        assert!(twice.starts_with("3:11: `kick` is there twice"), "{twice}");
    }
}
