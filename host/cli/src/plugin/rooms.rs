//! `parlor plugin rooms`: the rooms that a plugin is kept to.

use anyhow::bail;
use clap::Args;
use jid::BareJid;
use parlor::control::views::Room;
use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_config::Config;
use parlor_plugins::admin::keep_to_rooms;
use parlor_plugins::policy::Policy;
use parlor_session::permissions::RoomList;
use serde_json::json;

use super::add::done;
use super::command::{clash, running};
use super::room_names::{self, names, shown};
use crate::show::{print, print_json};
use crate::target::{self, Target};

/// The arguments of `parlor plugin rooms`.
#[derive(Debug, Args)]
#[command(
    after_help = "A plugin that is restricted to rooms sees and does nothing in others, whatever its grants are, and its commands work only in these rooms. Several instances of a plugin may have the same commands, each in its own rooms:\n\n  parlor plugin add guard.wasm --id guard-a --rooms lounge@conference.example.org\n  parlor plugin add guard.wasm --id guard-b --rooms staff@conference.example.org\n\nExamples:\n  parlor plugin rooms guard-b                                       its rooms\n  parlor plugin rooms guard-b staff@conference.example.org          these, and no others\n  parlor plugin rooms guard-b --add hall@conference.example.org\n  parlor plugin rooms guard-b --remove hall@conference.example.org\n  parlor plugin rooms guard-b --all                                 all that its grants cover\n\nA change takes effect at once, on the running plugin. Exit codes: 0 done, or nothing to do, 1 failed and nothing has changed, 2 wrong usage"
)]
pub struct RoomsArgs {
    /// The plugin.
    plugin: PluginId,
    /// The rooms that it is kept to.
    #[arg(value_name = "ROOM", value_parser = room_names::room)]
    rooms: Vec<BareJid>,
    /// One more room; may be given several times.
    #[arg(long, value_name = "ROOM", value_parser = room_names::room, conflicts_with_all = ["rooms", "all"])]
    add: Vec<BareJid>,
    /// One room less; may be given several times.
    #[arg(long, value_name = "ROOM", value_parser = room_names::room, conflicts_with_all = ["rooms", "all"])]
    remove: Vec<BareJid>,
    /// Let it act in all rooms that its grants cover.
    #[arg(long, conflicts_with = "rooms")]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl RoomsArgs {
    /// Shows the rooms of a plugin, or changes them.
    pub fn run(&self) -> anyhow::Result<()> {
        let id = &self.plugin;
        let is_change = self.all || [&self.rooms, &self.add, &self.remove].into_iter().any(|rooms| !rooms.is_empty());
        if !is_change {
            let entry = target::admin(&self.target.load()?).entry(id)?;
            return self.show(entry.grants.rooms());
        }
        let config = self.target.load_to_write()?;
        let admin = target::admin(&config);
        let before = admin.entry(id)?;
        let rooms = self.wanted(before.grants.rooms())?;
        let after = before.grants.clone().in_rooms(rooms.clone());
        if let Some(clash) = clash(id, &after, &Policy::load(&config.plugins)?, &running(&config)?) {
            bail!("{clash}; nothing was changed");
        }
        let already = if keep_to_rooms(&admin, id, rooms.as_ref())? { "" } else { " already" };
        let sentence = match &rooms {
            None => format!("{id} acts in all rooms that its grants cover{already}"),
            Some(rooms) => format!("{id} acts in {}{already}", shown(rooms)),
        };
        self.hint(&config);
        done(&config, id, &sentence, self.json)
    }

    /// Hints at rooms that no account is in, which may be slips. The rooms of a host that does not run are not known.
    fn hint(&self, config: &Config) {
        let given = self.rooms.iter().chain(&self.add);
        let Ok(Some(host)) = target::host(config) else { return };
        let Ok(known) = host.get::<Vec<Room>>("/v1/rooms") else { return };
        if let Some(hint) = room_names::unknown(given, &known) {
            target::say(&format!("parlor: {hint}"));
        }
    }

    /// Returns the rooms that it is to be kept to; `None` = all.
    fn wanted(&self, before: Option<&RoomList>) -> anyhow::Result<Option<RoomList>> {
        let id = &self.plugin;
        if self.all {
            return Ok(None);
        }
        let rooms = match before {
            _ if !self.rooms.is_empty() => RoomList::new(self.rooms.iter().cloned()),
            None => bail!("{id} is kept to no rooms; `parlor plugin rooms {id} ROOM` keeps it to one"),
            Some(before) => {
                if let Some(other) = self.remove.iter().find(|room| !before.has(room)) {
                    bail!(
                        "{} is no room of {id}; it has {}",
                        escape_untrusted(other.as_str(), usize::MAX),
                        shown(before)
                    );
                }
                let all = before.iter().chain(&self.add).filter(|room| !self.remove.contains(room));
                RoomList::new(all.cloned())
            }
        };
        match rooms.iter().count() {
            0 => bail!(
                "{id} would have no room left; `parlor plugin disable {id}` stops it, and --all gives it all rooms"
            ),
            1..=RoomList::MOST => Ok(Some(rooms)),
            _ => bail!("a plugin is kept to at most {} rooms", RoomList::MOST),
        }
    }

    fn show(&self, rooms: Option<&RoomList>) -> anyhow::Result<()> {
        if self.json {
            return print_json(&json!({ "plugin": self.plugin, "rooms": rooms.map(names) }));
        }
        match rooms {
            None => print("all rooms that its grants cover"),
            Some(rooms) => print(&names(rooms).join("\n")),
        }
    }
}
