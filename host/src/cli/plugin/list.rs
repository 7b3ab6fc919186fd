//! `parlor plugin list`: what is installed.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::place::Place;
use crate::cli::show::{print, print_json, table};
use crate::cli::status;
use crate::control::views::Status;
use crate::plugins::PluginId;
use crate::plugins::desk::Desk;
use crate::plugins::id::Digest;
use crate::plugins::policy::{Entry, Policy};

/// How it is shown.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin list\n  parlor plugin list --json\n\nExit codes: 0 shown, whether a host runs or not, 1 failed, 2 wrong usage"
)]
pub struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl ListArgs {
    /// Shows them.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.place.load()?;
        let policy = Policy::load(&config.plugins)?;
        let house = status::of(&config)?;
        let desk = Desk::new(&config);
        let rows: Vec<_> = policy.plugins.iter().map(|(id, entry)| Row::of(id, entry, &house, &desk)).collect();
        if self.json {
            return print_json(&rows.iter().map(Row::json).collect::<Vec<_>>());
        }
        if rows.is_empty() {
            return print("no plugins; `parlor plugin add FILE` adds one");
        }
        let rows: Vec<_> = rows.iter().map(|row| row.cells(&house)).collect();
        let head = ["PLUGIN", "VERSION", "ENABLED", "ACCOUNTS", "STATE", "DIGEST", "SOURCE"];
        print(&(table(&head, &rows) + &status::reasons(&house.plugins)))
    }
}

/// A plugin, as the owner decided about it. What it is, is that of what a host has now, where one runs: the policy may name another
/// version, which did not start.
struct Row<'a> {
    id: &'a PluginId,
    entry: &'a Entry,
    version: Option<String>,
    digest: Digest,
    source: String,
    states: Vec<&'a str>,
    reason: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(id: &'a PluginId, entry: &'a Entry, house: &'a Status, desk: &Desk<'_>) -> Self {
        let on: Vec<_> = house.plugins.iter().filter(|one| one.id == id.as_str()).collect();
        let mut states: Vec<_> = on.iter().map(|one| one.state.as_str()).collect();
        states.dedup();
        let (version, digest, source) = match on.first() {
            Some(one) => (one.version.clone(), one.digest.parse().unwrap_or(entry.digest), one.source.clone()),
            None => (desk.version(id, entry).map(|one| one.to_string()), entry.digest, entry.source.to_string()),
        };
        let reason = on.iter().find_map(|one| one.reason.as_deref());
        Self { id, entry, version, digest, source, states, reason }
    }

    fn json(&self) -> Value {
        let Self { id, entry, version, digest, source, states, reason } = self;
        json!({
            "id": id, "version": version, "enabled": entry.enabled, "accounts": entry.accounts,
            "states": states, "reason": reason, "source": source, "digest": digest, "signer": entry.signer,
            "grants": entry.grants.to_table(),
        })
    }

    fn cells(&self, house: &Status) -> Vec<String> {
        let accounts: Option<Vec<_>> =
            self.entry.accounts.as_ref().map(|names| names.iter().map(ToString::to_string).collect());
        vec![
            self.id.to_string(),
            self.version.clone().unwrap_or_else(|| "-".to_owned()),
            if self.entry.enabled { "yes" } else { "no" }.to_owned(),
            accounts.map_or_else(|| "all".to_owned(), |names| names.join(", ")),
            if house.running { self.states.join(", ") } else { "host stopped".to_owned() },
            self.digest.short(),
            self.source.clone(),
        ]
    }
}
