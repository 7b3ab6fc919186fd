//! `parlor plugin list`: what is installed.

use clap::Args;
use serde_json::json;

use crate::cli::place::Place;
use crate::cli::show::{print, print_json, table};
use crate::cli::status;
use crate::plugins::desk::Desk;
use crate::plugins::policy::Policy;

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
        let rows: Vec<_> = policy
            .plugins
            .iter()
            .map(|(id, entry)| {
                let mut states: Vec<_> =
                    house.plugins.iter().filter(|one| one.id == id.as_str()).map(|one| one.state.clone()).collect();
                states.dedup();
                let accounts = entry.accounts.as_ref().map(|names| names.iter().map(ToString::to_string).collect());
                (id, (entry, desk.version(id, entry)), states, accounts.unwrap_or_else(|| vec!["all".to_owned()]))
            })
            .collect();
        if self.json {
            let all: Vec<_> = rows
                .iter()
                .map(|(id, (entry, version), states, _)| {
                    json!({
                        "id": id, "version": version, "enabled": entry.enabled, "accounts": entry.accounts,
                        "states": states, "source": entry.source, "digest": entry.digest, "signer": entry.signer,
                        "grants": entry.grants.to_table(),
                    })
                })
                .collect();
            return print_json(&all);
        }
        if rows.is_empty() {
            return print("no plugins; `parlor plugin add FILE` adds one");
        }
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(id, (entry, version), states, accounts)| {
                let version = version.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
                let state = if house.running { states.join(", ") } else { "host stopped".to_owned() };
                let enabled = if entry.enabled { "yes" } else { "no" };
                let (digest, source) = (entry.digest.short(), entry.source.to_string());
                vec![id.to_string(), version, enabled.to_owned(), accounts.join(", "), state, digest, source]
            })
            .collect();
        print(&table(&["PLUGIN", "VERSION", "ENABLED", "ACCOUNTS", "STATE", "DIGEST", "SOURCE"], &rows))
    }
}
