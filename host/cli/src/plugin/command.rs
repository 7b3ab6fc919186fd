//! `parlor plugin command`: the names of a plugin's chat commands, which the owner may change.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::Args;
use parlor::control::views::Plugin;
use parlor_base::id::PluginId;
use parlor_base::nearest::{nearest, suggestion};
use parlor_config::Config;
use parlor_plugins::policy::Policy;
use parlor_session::command_names::{CommandName, CommandNames, NoCommandName};
use parlor_session::permissions::Grants;

use super::add::done;
use crate::show::{print, print_json, table};
use crate::status;
use crate::target::{self, Target};

/// The arguments of `parlor plugin command`.
#[derive(Debug, Args)]
#[command(
    after_help = "A name is 1 to 32 letters, digits, - and _, without the prefix; capitals do not count. If you give a command a name, all names that its author chose stop working, its aliases too, and another plugin may take these when it starts; PLUGIN.COMMAND always works. A name takes effect at once, on the running plugin. parlor knows the commands of a plugin only while it runs. plugins.toml says who may give a command, and how often: `[plugin.dice.commands.roll]` with `allow`, `person_cooldown`, `room_cooldown` or `off`.\n\nExamples:\n  parlor plugin command dice                 its commands, and what people say\n  parlor plugin command dice roll throw      !throw in the place of !roll\n  parlor plugin command dice --unset roll    !roll again\n\nExit codes: 0 done, or nothing to do, 1 it cannot be called that and nothing has changed, 2 wrong usage"
)]
pub struct CommandArgs {
    /// The plugin.
    plugin: PluginId,
    /// The command, as its author called it.
    #[arg(requires = "name", value_parser = named)]
    command: Option<CommandName>,
    /// The name for people to use.
    #[arg(value_parser = named)]
    name: Option<CommandName>,
    /// Return to the author's name for a command.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["command", "name"], value_parser = named)]
    unset: Option<CommandName>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

fn named(text: &str) -> Result<CommandName, String> {
    text.parse().map_err(|error: NoCommandName| format!("it {error}"))
}

impl CommandArgs {
    /// Shows the commands, or renames one.
    pub fn run(&self) -> anyhow::Result<()> {
        let id = &self.plugin;
        match (&self.command, &self.name, &self.unset) {
            (Some(command), Some(name), _) => {
                let config = self.target.load_to_write()?;
                let policy = Policy::load(&config.plugins)?;
                may_be_called(id, command, name, &running(&config)?, &|other| meets(&policy, id, other))?;
                let changed = target::admin(&config).name_command(id, command, Some(name))?;
                let more = if changed { "; the names that its author chose do not work meanwhile" } else { " already" };
                done(&config, id, &format!("{command} of {id} goes by the name {name}{more}"), self.json)
            }
            (_, _, Some(command)) => {
                let config = self.target.load_to_write()?;
                let changed = target::admin(&config).name_command(id, command, None)?;
                let already = if changed { "again" } else { "already" };
                done(&config, id, &format!("{command} of {id} goes by its own name {already}"), self.json)
            }
            _ => {
                let config = self.target.load()?;
                let chosen = target::admin(&config).entry(id)?.commands;
                let commands = all(&chosen, &running(&config)?, id);
                if self.json { print_json(&commands) } else { print(&screen(id, &commands, &chosen)) }
            }
        }
    }
}

/// Returns whether two plugins act in common rooms, as far as the policy names them.
fn meets(policy: &Policy, one: &PluginId, other: &str) -> bool {
    let grants = |id: &str| policy.plugins.get(id).map(|entry| &entry.grants);
    grants(one.as_str()).zip(grants(other)).is_none_or(|(one, other)| one.meets(other))
}

/// Returns why a plugin cannot act where these grants let it, as far as the running host knows: another plugin there has
/// a command that people give by the same word.
pub(super) fn clash(id: &PluginId, grants: &Grants, policy: &Policy, running: &[Plugin]) -> Option<String> {
    let others = policy.plugins.iter().filter(|(other, entry)| *other != id && entry.grants.meets(grants));
    let others: Vec<_> = others.map(|(other, _)| other.as_str()).collect();
    for one in running.iter().filter(|one| one.id == id.as_str()) {
        let near = running.iter().filter(|other| other.account == one.account && others.contains(&other.id.as_str()));
        for other in near {
            let taken = other.commands.iter().find(|(_, word)| one.commands.values().any(|own| own == *word));
            if let Some((taken, word)) = taken {
                return Some(format!(
                    "people say {word} to {other} there, for its command {taken}; give that one another name first: \
                     `parlor plugin command {other} {taken} NAME`",
                    other = other.id
                ));
            }
        }
    }
    None
}

/// Returns the plugins of the running host if it uses this policy.
pub(super) fn running(config: &Config) -> anyhow::Result<Vec<Plugin>> {
    let status = status::of(config)?;
    Ok(if target::is_its_policy(&status, config) { status.plugins } else { Vec::new() })
}

/// Returns the commands of a plugin, each with its current name: from the running plugin, else from the policy.
fn all(chosen: &CommandNames, running: &[Plugin], id: &PluginId) -> BTreeMap<String, String> {
    // Without a name of the owner's choice, a command that has rules goes by its own, or by a longer one.
    let ruled = chosen.all_rules().map(|(command, _)| (command.to_string(), command.to_string()));
    let chosen = chosen.iter().map(|(command, name)| (command.to_string(), name.to_string()));
    let on = running.iter().filter(|one| one.id == id.as_str());
    ruled.chain(chosen).chain(on.flat_map(|one| one.commands.clone())).collect()
}

fn screen(id: &PluginId, commands: &BTreeMap<String, String>, chosen: &CommandNames) -> String {
    if commands.is_empty() {
        return format!("{id} has no commands, or does not run\n");
    }
    let rules = |command: &str| chosen.rules(command).map(ToString::to_string).filter(|rules| !rules.is_empty());
    let has_rules = commands.keys().any(|command| rules(command).is_some());
    let cells: Vec<_> = commands
        .iter()
        .map(|(command, called)| {
            let rules = rules(command).unwrap_or_else(|| "-".to_owned());
            [command.clone(), called.clone(), rules].into_iter().take(2 + usize::from(has_rules)).collect::<Vec<_>>()
        })
        .collect();
    let head = ["COMMAND", "PEOPLE SAY", "YOUR RULES"];
    table(&head[..2 + usize::from(has_rules)], &cells)
}

/// Checks that a command can have this name, as far as the running host knows. `meets` tells the plugins that act in rooms
/// where this one does.
fn may_be_called(
    id: &PluginId,
    command: &CommandName,
    name: &CommandName,
    running: &[Plugin],
    meets: &dyn Fn(&str) -> bool,
) -> anyhow::Result<()> {
    CommandNames::default().choose(command.clone(), name.clone())?;
    for one in running.iter().filter(|one| one.id == id.as_str() && one.runs()) {
        if !one.commands.contains_key(command.as_str()) {
            let known: Vec<_> = one.commands.keys().map(String::as_str).collect();
            let near = nearest(command.as_str(), known.iter().copied());
            let others = match near {
                Some(_) => suggestion(near),
                None if known.is_empty() => "; it has none".to_owned(),
                None => format!("; it has {}", known.join(", ")),
            };
            bail!("{id} has no command {command}{others}");
        }
        for other in running.iter().filter(|other| other.account == one.account && meets(&other.id)) {
            let is_this = |taken: &str| other.id == one.id && taken == command.as_str();
            let taken = other.commands.iter().find(|(taken, called)| *called == name.as_str() && !is_this(taken));
            if let Some((taken, _)) = taken {
                bail!(
                    "people say {name} to {other} for its command {taken} already; give that one another name first: \
                     `parlor plugin command {other} {taken} NAME`",
                    other = other.id
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use parlor_session::command_rules::CommandRules;
    use parlor_session::permissions::RoomList;

    use super::*;

    fn plugin(id: &str, account: &str, commands: &[(&str, &str)]) -> Plugin {
        Plugin {
            id: id.to_owned(),
            account: Some(account.to_owned()),
            state: "running".to_owned(),
            reason: None,
            version: None,
            digest: String::new(),
            source: String::new(),
            record: None,
            grants: None,
            connection: None,
            node: None,
            usage: None,
            restarts: 0,
            commands: commands.iter().map(|(name, called)| ((*name).to_owned(), (*called).to_owned())).collect(),
            limits: Vec::new(),
            denied: Vec::new(),
            rooms: None,
        }
    }

    #[test]
    fn a_name_is_refused_that_is_taken_or_means_a_command_that_is_not_there() {
        let running = [
            plugin("dice", "main", &[("roll", "roll"), ("toss", "toss")]),
            plugin("games", "main", &[("roll", "games.roll"), ("deal", "cards")]),
            plugin("other", "second", &[("spin", "spin")]),
        ];
        let id: PluginId = "dice".parse().unwrap();
        let asked = |command: &str, name: &str| {
            let (command, name) = (command.parse().unwrap(), name.parse().unwrap());
            may_be_called(&id, &command, &name, &running, &|_| true).map_err(|error| error.to_string())
        };
        for (command, name) in [("roll", "throw"), ("roll", "roll"), ("roll", "deal"), ("roll", "spin")] {
            assert_eq!(asked(command, name), Ok(()), "{command} {name}");
        }
        assert_eq!(asked("rol", "x").unwrap_err(), "dice has no command rol, did you mean \"roll\"?");
        assert_eq!(asked("shuffle", "x").unwrap_err(), "dice has no command shuffle; it has roll, toss");
        let taken = "people say cards to games for its command deal already";
        assert!(asked("roll", "cards").unwrap_err().starts_with(taken));
        assert!(asked("roll", "toss").unwrap_err().starts_with("people say toss to dice for its command toss already"));
        assert_eq!(asked("roll", "help").unwrap_err(), "the command `help` is the host's; choose another name");
        // If nothing runs, the check has no information.
        assert!(may_be_called(&id, &"x".parse().unwrap(), &"y".parse().unwrap(), &[], &|_| true).is_ok());
        // In other rooms, another plugin may go by the same name.
        let (roll, cards) = ("roll".parse().unwrap(), "cards".parse().unwrap());
        assert!(may_be_called(&id, &roll, &cards, &running, &|other| other != "games").is_ok());
    }

    #[test]
    fn two_plugins_with_the_same_commands_do_not_come_to_share_a_room() {
        let digest = "a".repeat(64);
        let entry = |id: &str, rooms: &str| {
            format!("[plugin.{id}]\nsource = \"x.wasm\"\ndigest = \"sha256:{digest}\"\nrooms = [{rooms}]\n")
        };
        let text = entry("one", "\"a@muc.example.org\"") + &entry("two", "\"b@muc.example.org\"");
        let policy = Policy::parse(&text, std::path::Path::new("/x")).unwrap();
        let id: PluginId = "two".parse().unwrap();
        let kept = |room: &str| {
            let rooms = RoomList::new([RoomList::room(room).unwrap()]);
            Grants::default().in_rooms(Some(rooms))
        };
        assert!(!meets(&policy, &id, "one") && meets(&policy, &id, "two") && meets(&policy, &id, "gone"));
        let running = [plugin("one", "main", &[("ban", "ban")]), plugin("two", "main", &[("ban", "ban")])];
        let clash = |grants: &Grants, running: &[Plugin]| clash(&id, grants, &policy, running);
        assert_eq!(clash(&kept("b@muc.example.org"), &running), None);
        let why = clash(&kept("a@muc.example.org"), &running).unwrap();
        assert!(
            why.starts_with("people say ban to one there") && why.ends_with("`parlor plugin command one ban NAME`")
        );
        assert!(clash(&Grants::default(), &running).is_some());
        let apart = [plugin("one", "main", &[("ban", "ban")]), plugin("two", "other", &[("ban", "ban")])];
        assert_eq!(clash(&kept("a@muc.example.org"), &apart), None, "they run on different accounts");
    }

    #[test]
    fn what_is_chosen_is_shown_beside_what_runs() {
        let mut chosen = CommandNames::default();
        chosen.choose("old".parse().unwrap(), "ancient".parse().unwrap()).unwrap();
        let running = [plugin("dice", "main", &[("roll", "throw")])];
        let id: PluginId = "dice".parse().unwrap();
        let text = screen(&id, &all(&chosen, &running, &id), &chosen);
        assert_eq!(text, "COMMAND  PEOPLE SAY\nold      ancient\nroll     throw\n");
        chosen.rule("kick".parse().unwrap(), CommandRules { off: true, ..CommandRules::default() });
        let text = screen(&id, &all(&chosen, &running, &id), &chosen);
        let lines = [
            "COMMAND  PEOPLE SAY  YOUR RULES",
            "kick     kick        off",
            "old      ancient     -",
            "roll     throw       -",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
        assert_eq!(screen(&id, &BTreeMap::new(), &chosen), "dice has no commands, or does not run\n");
    }
}
