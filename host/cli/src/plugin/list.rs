//! `parlor plugin list`: lists the installed plugins.

use std::collections::BTreeSet;

use clap::Args;
use parlor::control::views::{Plugin, Status};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::{Digest, PluginId};
use parlor_plugins::admin::PluginAdmin;
use parlor_plugins::policy::{Entry, Policy};
use serde_json::{Value, json};

use super::room_names;
use crate::show::{Put as _, fitted, print, print_json, terminal_width, width};
use crate::status;
use crate::target::{self, Target};

/// The arguments of `parlor plugin list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin list\n  parlor plugin list --json\n  parlor plugin list --names      for scripts, and for what completes names in shells\n\nExit codes: 0 shown, whether a host runs or not, 1 failed, 2 wrong usage"
)]
pub struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print only the ids in the policy, one a line.
    #[arg(long, conflicts_with = "json")]
    names: bool,
    #[command(flatten)]
    target: Target,
}

impl ListArgs {
    /// Prints the plugins.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load()?;
        let policy = Policy::load(&config.plugins)?;
        if self.names {
            // Shell completion runs this at each key, so do not wait for a host.
            let ids: Vec<_> = policy.plugins.keys().map(PluginId::as_str).collect();
            return if ids.is_empty() { Ok(()) } else { print(&ids.join("\n")) };
        }
        let mut status = status::of(&config)?;
        let is_elsewhere = !target::is_its_policy(&status, &config);
        // The same id in another policy is another plugin. A plugin that is being removed is not shown.
        status.plugins.retain(|one| !is_elsewhere && (one.state != "stopping" || is_named(&policy, one)));
        let admin = PluginAdmin::new(&config);
        let running = status.plugins.iter().filter_map(|one| one.id.parse::<PluginId>().ok());
        let ids: BTreeSet<PluginId> = policy.plugins.keys().cloned().chain(running).collect();
        let rows: Vec<_> = ids.iter().map(|id| Row::of(id, policy.plugins.get(id), &status, &admin)).collect();
        if self.json {
            return print_json(&rows.iter().map(Row::json).collect::<Vec<_>>());
        }
        let unnamed: Vec<_> = rows.iter().filter(|row| row.entry.is_none()).map(|row| row.id.as_str()).collect();
        let mut text = if rows.is_empty() {
            "no plugins; `parlor plugin add FILE` adds one\n".to_owned()
        } else {
            let mut head = vec!["PLUGIN", "VERSION", "ENABLED", "ACCOUNTS", "STATE", "DIGEST", "SOURCE"];
            let mut cells: Vec<_> = rows.iter().map(|row| row.cells(&status)).collect();
            // Without signatures, and without a rule that requires them, the column would be empty.
            if policy.require_signature || policy.plugins.values().any(|entry| entry.signer.is_some()) {
                // The longest column stays last.
                head.insert(6, "SIGNER");
                for (row, cells) in rows.iter().zip(&mut cells) {
                    let signer = row.entry.and_then(|entry| entry.signer.as_ref());
                    cells.insert(6, signer.map_or_else(|| "-".to_owned(), ToString::to_string));
                }
            }
            if policy.plugins.values().any(|entry| entry.grants.rooms().is_some()) {
                head.insert(4, "ROOMS");
                for (row, cells) in rows.iter().zip(&mut cells) {
                    let rooms = row.entry.and_then(|entry| entry.grants.rooms());
                    cells.insert(4, rooms.map_or_else(|| "all".to_owned(), room_names::shown));
                }
            }
            fitted(&head, &cells, terminal_width()) + &status::reasons(&status.plugins, width())
        };
        if is_elsewhere {
            text.put(format_args!("\nthe host that runs reads {} instead\n", status.policy.escaped()));
        }
        if !unnamed.is_empty() {
            let (policy, unnamed) = (config.plugins.escaped(), unnamed.join(", "));
            text.put(format_args!(
                "\n{policy} does not name {unnamed}, which the host still has by what it said before: put that back; or, if \
                 it is not wanted any more, say `parlor reload`\n"
            ));
        }
        print(&text)
    }
}

fn is_named(policy: &Policy, plugin: &Plugin) -> bool {
    policy.plugins.keys().any(|id| id.as_str() == plugin.id)
}

/// A plugin with the owner's decision. Its version, digest and source are the running host's, if there is one: the
/// policy may name another version that did not start, or no longer name the plugin.
struct Row<'a> {
    id: &'a PluginId,
    entry: Option<&'a Entry>,
    version: Option<String>,
    digest: Option<Digest>,
    source: Option<String>,
    states: Vec<&'a str>,
    reason: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(id: &'a PluginId, entry: Option<&'a Entry>, host: &'a Status, admin: &PluginAdmin<'_>) -> Self {
        let on: Vec<_> = host.plugins.iter().filter(|one| one.id == id.as_str()).collect();
        let mut states: Vec<_> = on.iter().map(|one| one.state.as_str()).collect();
        states.dedup();
        let (version, digest, source) = match (on.first(), entry) {
            (Some(one), _) => (one.version.clone(), one.digest.parse::<Digest>().ok(), Some(one.source.clone())),
            (None, Some(entry)) => {
                let version = admin.version(id, entry).map(|one| one.to_string());
                (version, Some(entry.digest), Some(entry.source.to_string()))
            }
            (None, None) => (None, None, None),
        };
        let reason = on.iter().find_map(|one| one.reason.as_deref());
        Self { id, entry, version, digest, source, states, reason }
    }

    fn json(&self) -> Value {
        let Self { id, entry, version, digest, source, states, reason } = self;
        json!({
            "id": id, "version": version, "enabled": entry.map(|entry| entry.enabled),
            "accounts": entry.and_then(|entry| entry.accounts.as_ref()), "states": states, "reason": reason, "source": source,
            "digest": digest, "signer": entry.and_then(|entry| entry.signer.as_ref()),
            "index": entry.and_then(|entry| entry.index.as_ref()),
            "publisher": entry.and_then(|entry| entry.publisher.as_ref()),
            "rooms": entry.and_then(|entry| entry.grants.rooms()).map(room_names::names),
            "grants": entry.map(|entry| entry.grants.to_table()),
        })
    }

    fn cells(&self, host: &Status) -> Vec<String> {
        let accounts = |entry: &Entry| {
            let names = entry.accounts.as_ref()?.iter().map(ToString::to_string);
            Some(names.collect::<Vec<_>>().join(", "))
        };
        let unknown = || "-".to_owned();
        let states = if self.states.is_empty() { unknown() } else { self.states.join(", ") };
        vec![
            self.id.to_string(),
            self.version.clone().unwrap_or_else(unknown),
            self.entry.map_or_else(unknown, |entry| if entry.enabled { "yes" } else { "no" }.to_owned()),
            self.entry.map_or_else(unknown, |entry| accounts(entry).unwrap_or_else(|| "all".to_owned())),
            if host.running { states } else { "host stopped".to_owned() },
            self.digest.map_or_else(unknown, |digest| digest.short()),
            self.source.clone().unwrap_or_else(unknown),
        ]
    }
}
