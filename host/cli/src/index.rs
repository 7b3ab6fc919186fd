//! `parlor index`: the signed lists of plugins that the owner added.

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use parlor_plugins::admin::PluginAdmin;
use parlor_plugins::index::{Fetched, IndexError, Indexes, Known, Refreshed};
use parlor_plugins::listing::IndexName;
use parlor_plugins::signature::{PublisherKey, today, trusted};
use parlor_plugins::source::{Source, SourceError};
use serde_json::{Value, json};

use super::Ended;
use super::ask::Terminal;
use super::show::{Put as _, fitted, print, print_json, terminal_width};
use super::target::{self, Target, say};

/// Add, show, refresh and remove indexes of plugins
///
/// An index is a signed list of plugins that somebody publishes. `parlor search` finds plugins in it, and
/// `parlor plugin add NAME` installs one. Adding an index installs nothing and grants nothing.
#[derive(Debug, Subcommand)]
#[command(after_help = "Exit codes: 0 done, 3 not agreed to, 1 failed, 2 wrong usage")]
pub enum IndexCommand {
    /// Add an index, and remember the key that signs it
    Add(AddArgs),
    /// Show the indexes that were added
    List(ListArgs),
    /// Get the indexes anew
    Refresh(RefreshArgs),
    /// Remove an index; what was installed by it stays
    Remove(RemoveArgs),
}

impl IndexCommand {
    /// Runs the subcommand.
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Add(arguments) => arguments.run(),
            Self::List(arguments) => arguments.run(),
            Self::Refresh(arguments) => arguments.run(),
            Self::Remove(arguments) => arguments.run(),
        }
    }
}

/// The arguments of `parlor index add`.
#[derive(Debug, Args)]
#[command(
    after_help = "The signature lies beside the index, as index.toml.minisig. An index without one is refused. Without --key, parlor accepts the key that the index names if plugins.toml trusts it under [key.NAME]. Otherwise it asks you on a terminal.\n\nExamples:\n  parlor index add https://example.org/plugins/index.toml\n  parlor index add https://example.org/plugins/index.toml --key PUBLIC\n  parlor index add ./index.toml --name mine\n\nExit codes: 0 added, 3 not agreed to, 1 failed, 2 wrong usage"
)]
pub struct AddArgs {
    /// The index: an address that begins with https://, or a file.
    #[arg(value_parser = source)]
    source: Source,
    /// The key that has to sign it: the second line of its publisher's minisign.pub.
    #[arg(long, value_name = "PUBLIC")]
    key: Option<PublisherKey>,
    /// Your name for it; by default the name that it gives itself.
    #[arg(long)]
    name: Option<IndexName>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Parses a source as a user types it: relative to the current folder.
fn source(text: &str) -> Result<Source, SourceError> {
    Source::parse(text, Path::new(""))
}

impl AddArgs {
    fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let (admin, indexes) = (target::admin(&config), Indexes::new(&config.data));
        let source = match &self.source {
            // It is refreshed from other folders.
            Source::File(path) => Source::File(std::path::absolute(path)?),
            other => other.clone(),
        };
        let fetched = Fetched::get(&source)?;
        let key = self.agreed_key(&admin, &fetched)?;
        let known = Known::new(self.name.clone(), key, &fetched)?;
        let _lock = indexes.lock()?;
        indexes.is_free(&known.name)?;
        admin.record_index(&known.name, [None, Some(&known.key)])?;
        indexes.keep(&known)?;
        if self.json {
            return print_json(&as_json(&known));
        }
        let Known { name, key, index, .. } = &known;
        let (serial, count) = (index.serial, plugins(index.plugins.len()));
        print(&format!(
            "{name} is added, with the serial number {serial} and {count}; it has to be signed by {key} from now on\n\
             `parlor search` shows what it has, and `parlor plugin add {name}/NAME` installs it"
        ))
    }

    /// Returns the key that must sign the index, after the owner agreed to it.
    fn agreed_key(&self, admin: &PluginAdmin<'_>, fetched: &Fetched) -> anyhow::Result<PublisherKey> {
        if let Some(key) = &self.key {
            return Ok(key.clone());
        }
        let claimed = fetched.claimed_key()?;
        // Do not ask the owner about a key that did not sign it.
        fetched.verified(&claimed)?;
        if trusted(&admin.policy()?.keys, &claimed, today()).is_some() {
            return Ok(claimed);
        }
        let Some(terminal) = Terminal::open_unless(self.json) else {
            let sentence = format!(
                "it is signed by the key {claimed}, and nobody can be asked here whether that is the right one; compare it \
                 with what its publisher says elsewhere, and give it by --key"
            );
            return Err(Ended::Declined(sentence).into());
        };
        let question = format!(
            "It is signed by the key {claimed}, which you have not trusted before. Compare it with what its publisher says \
             elsewhere. Trust it for this index?"
        );
        terminal.consent(&question)?;
        Ok(claimed)
    }
}

/// The arguments of `parlor index list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor index list\n  parlor index list --json | jq -r '.[].index'\n\nExit codes: 0 shown, 1 failed, 2 wrong usage"
)]
pub struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl ListArgs {
    fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_look()?;
        let all = Indexes::new(&config.data).all()?;
        if self.json {
            return print_json(&all.iter().map(as_json).collect::<Vec<_>>());
        }
        if all.is_empty() {
            return print("no indexes; `parlor index add URL` adds one");
        }
        let cells = |known: &Known| {
            let (serial, count) = (known.index.serial.to_string(), known.index.plugins.len().to_string());
            vec![known.name.to_string(), serial, count, known.key.to_string(), known.source.to_string()]
        };
        let rows: Vec<_> = all.iter().map(cells).collect();
        print(&fitted(&["INDEX", "SERIAL", "PLUGINS", "KEY", "SOURCE"], &rows, terminal_width()))
    }
}

fn as_json(known: &Known) -> Value {
    let index = &known.index;
    let other = index.plugins.keys().filter(|plugin| known.has_other_key(plugin)).collect::<Vec<_>>();
    json!({
        "index": known.name, "serial": index.serial, "description": index.description,
        "homepage": index.homepage.as_ref().map(ToString::to_string), "plugins": index.plugins.len(), "key": known.key,
        "source": known.source, "other_keys": other,
    })
}

/// The arguments of `parlor index refresh`.
#[derive(Debug, Args)]
#[command(
    after_help = "An index that is older than the known one is refused, and so is one that another key signed. In both cases the known one stays.\n\nExamples:\n  parlor index refresh\n  parlor index refresh examples\n\nExit codes: 0 all are as new as their sources, 1 one could not be refreshed, 2 wrong usage"
)]
pub struct RefreshArgs {
    /// Only this one.
    name: Option<IndexName>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl RefreshArgs {
    fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let indexes = Indexes::new(&config.data);
        let all = match &self.name {
            Some(name) => vec![indexes.known(name)?],
            None => indexes.all()?,
        };
        if all.is_empty() && !self.json {
            return print("no indexes; `parlor index add URL` adds one");
        }
        // An index that cannot be fetched does not stop the others. All failures are the result.
        let (mut failed, mut rows) = (Vec::new(), Vec::new());
        for Known { name, .. } in all {
            match refresh(&indexes, &name) {
                Ok((known, before)) if self.json => rows.push(refreshed_json(&known, before)),
                Ok((known, before)) => print(&refreshed(&known, before))?,
                Err(error) => {
                    rows.push(json!({ "index": name, "error": error.to_string() }));
                    failed.push(format!("{name}: {error}"));
                }
            }
        }
        if self.json {
            print_json(&rows)?;
        }
        if failed.is_empty() { Ok(()) } else { Err(anyhow!(failed.join("\n"))) }
    }
}

/// Refreshes an index. Also returns the serial number that it had, if it is a newer one now.
///
/// Another command that refreshes it at the same time waits, so that the newest one stays.
fn refresh(indexes: &Indexes, name: &IndexName) -> Result<(Known, Option<u64>), IndexError> {
    let _lock = indexes.lock()?;
    let known = indexes.known(name)?;
    let before = known.index.serial;
    match known.refresh()? {
        Refreshed::Same(known) => Ok((known, None)),
        Refreshed::Newer(known) => {
            indexes.keep(&known)?;
            Ok((known, Some(before)))
        }
    }
}

fn plugins(count: usize) -> String {
    if count == 1 { "1 plugin".to_owned() } else { format!("{count} plugins") }
}

fn refreshed(known: &Known, before: Option<u64>) -> String {
    let Known { name, index, .. } = known;
    let (serial, count) = (index.serial, plugins(index.plugins.len()));
    let mut text = match before {
        Some(before) => format!("{name}: {before} → {serial}, {count}\n"),
        None => format!("{name}: still {serial}, {count}\n"),
    };
    for plugin in index.plugins.keys().filter(|plugin| known.has_other_key(plugin)) {
        text.put(format_args!(
            "  {plugin} is by another key than before; `parlor plugin add` and `update` ask about it\n"
        ));
    }
    text
}

fn refreshed_json(known: &Known, before: Option<u64>) -> Value {
    let mut json = as_json(known);
    json["was"] = before.unwrap_or(known.index.serial).into();
    json
}

/// The arguments of `parlor index remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "This also removes the keys of publishers that came with the index. A plugin that you installed from it continues, and its updates still need its publisher's key.\n\nExample:\n  parlor index remove examples\n\nExit codes: 0 removed, 1 failed, 2 wrong usage"
)]
pub struct RemoveArgs {
    /// The index.
    name: IndexName,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl RemoveArgs {
    fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let (admin, indexes) = (target::admin(&config), Indexes::new(&config.data));
        let _lock = indexes.lock()?;
        let known = indexes.known(&self.name)?;
        // A key can be given up without the audit.
        if let Err(error) = admin.record_index(&known.name, [Some(&known.key), None]) {
            say(&error.to_string());
        }
        indexes.remove(&known.name)?;
        if self.json {
            return print_json(&json!({ "index": known.name, "done": "removed" }));
        }
        print(&format!("{} is removed; what was installed by it stays", known.name))
    }
}
