//! `parlor plugin data`: the data that a plugin stores on this machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::id::PluginId;
use parlor_base::nearest::{nearest, suggestion};
use parlor_base::permission::Permission;
use parlor_config::{AccountConfig, AccountName, Config};
use parlor_plugins::admin::PluginAdmin;
use parlor_plugins::policy::Policy;
use parlor_session::permissions::{DEFAULT_QUOTA, Scope};
use parlor_store::{DataError, DataFile, LONGEST_KEY, LONGEST_VALUE, Owner, StoredValue, is_key};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::elsewhere;
use crate::show::{plain_json, print, print_json, size, table};
use crate::target::{self, Target};

/// How much of a value a list shows, in bytes.
const SHOWN: usize = 60;
/// The longest line that is read, in bytes: the longest value with each byte written as `\u001f`, and room for the
/// rest.
const LONGEST_LINE: u64 = 6 * LONGEST_VALUE as u64 + (16 << 10);
/// The most entries that are imported at once.
const MOST: usize = 1_000_000;

/// The arguments of `parlor plugin data`.
#[derive(Debug, Args)]
#[command(
    after_help = "The command works beside a running host. In a cluster, it reads the data of accounts wherever they run. To import there, a host has to run here, and what was imported before a failure stays. An export has one JSON object a line: account, key, `value` (text) or `hex` (other bytes), and `expires` (milliseconds of the Unix clock) if the entry expires.\n\nExamples:\n  parlor plugin data echo list\n  parlor plugin data echo export > echo.jsonl\n  parlor plugin data echo import echo.jsonl\n\nExit codes: 0 done, 1 failed and nothing imported (outside a cluster), 2 wrong usage, 4 no host runs (to import in a cluster)"
)]
pub struct DataArgs {
    /// The plugin; one that was removed may have left data behind.
    plugin: PluginId,
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show its keys, with the beginning of each value
    #[command(after_help = "Example:\n  parlor plugin data echo list\n\nExit codes: 0 shown, 1 failed, 2 wrong usage")]
    List {
        /// Print JSON: the keys with the sizes of their values; `export` prints the values.
        #[arg(long)]
        json: bool,
    },
    /// Print all of it, one JSON object a line
    #[command(
        after_help = "Example:\n  parlor plugin data echo export > echo.jsonl\n\nExit codes: 0 printed, 1 failed, 2 wrong usage"
    )]
    Export,
    /// Import an export, replacing entries with the same keys: all of it or nothing
    #[command(
        after_help = "Examples:\n  parlor plugin data echo import echo.jsonl\n  zcat echo.jsonl.gz | parlor plugin data echo import\n\nIn a cluster, the nodes that have the accounts import it, some hundred KiB at a time, so a part may be imported if it fails: import it again.\n\nExit codes: 0 imported, 1 failed and nothing imported (outside a cluster), 2 wrong usage, 4 no host runs (in a cluster)"
    )]
    Import {
        /// The file; by default, or with `-`, standard input.
        file: Option<PathBuf>,
    },
}

/// A line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object as `export` prints it")]
struct Line {
    account: AccountName,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
}

impl Line {
    fn new(account: &AccountName, kept: StoredValue) -> Self {
        let StoredValue { key, value, expires } = kept;
        let (value, hex) = match String::from_utf8(value) {
            Ok(text) => (Some(text), None),
            Err(bytes) => (None, Some(hex::encode(bytes.as_bytes()))),
        };
        Self { account: account.clone(), key, value, hex, expires }
    }

    fn kept(self) -> anyhow::Result<StoredValue> {
        let value = match (self.value, self.hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(digits)) => hex::decode(digits).context("`hex` is not hexadecimal")?,
            _ => bail!("it needs just one of `value` and `hex`"),
        };
        if !is_key(&self.key) {
            bail!("a key has 1 to {LONGEST_KEY} bytes and no control characters");
        }
        if value.len() > LONGEST_VALUE {
            bail!("a value has at most {LONGEST_VALUE} bytes");
        }
        Ok(StoredValue { key: self.key, value, expires: self.expires })
    }
}

/// Passes each stored entry of a plugin on the configured accounts to `with`, even if the plugin is not installed any
/// more.
pub(super) fn each_kept(
    config: &Config,
    plugin: &PluginId,
    mut with: impl FnMut(&AccountName, StoredValue) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    #[cfg(feature = "cluster")]
    if config.cluster.is_some() {
        return super::clustered::each_kept(config, plugin, with);
    }
    let Some(file) = DataFile::open(&config.data)? else { return Ok(()) };
    for (name, account) in &config.accounts {
        file.each(&owner(plugin, account), |kept| with(name, kept))??;
    }
    Ok(())
}

fn owner(plugin: &PluginId, account: &AccountConfig) -> Owner {
    Owner { account: account.link.jid.to_bare(), plugin: plugin.clone() }
}

impl DataArgs {
    /// Runs the subcommand.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = match &self.what {
            What::List { .. } | What::Export => self.target.load()?,
            What::Import { .. } => self.target.load_to_write()?,
        };
        match &self.what {
            What::List { json: true } => self.list_json(&config),
            What::List { json: false } => self.list(&config),
            What::Export => self.export(&config),
            What::Import { file } => self.import(&config, file.as_ref()),
        }
    }

    fn list_json(&self, config: &Config) -> anyhow::Result<()> {
        let mut all = Vec::new();
        each_kept(config, &self.plugin, |name, kept| {
            all.push(json!({ "account": name, "key": kept.key, "bytes": kept.value.len(), "expires": kept.expires }));
            Ok(())
        })?;
        if all.is_empty() {
            self.known(config)?;
        }
        print_json(&all)
    }

    fn list(&self, config: &Config) -> anyhow::Result<()> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        each_kept(config, &self.plugin, |name, kept| {
            bytes += kept.value.len() as u64;
            let begins = String::from_utf8_lossy(&kept.value[..kept.value.len().min(SHOWN)]).into_owned();
            let key = escape_untrusted(&kept.key, 512);
            rows.push(vec![name.to_string(), key, size(kept.value.len() as u64), escape_untrusted(&begins, SHOWN)]);
            Ok(())
        })?;
        if rows.is_empty() {
            self.known(config)?;
            let place = config.cluster.as_ref().map(|section| format!(" in the cluster {}", section.name));
            return print(&format!("{} keeps nothing{}", self.plugin, place.unwrap_or_default()));
        }
        let total = format!("{}, {}", entries(rows.len()), size(bytes));
        print(&format!("{}{total}", table(&["ACCOUNT", "KEY", "SIZE", "VALUE"], &rows)))
    }

    fn export(&self, config: &Config) -> anyhow::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut is_empty = true;
        each_kept(config, &self.plugin, |name, kept| {
            is_empty = false;
            // A stored text may hold anything, and the output may be a terminal. The JSON stays the same.
            let line = plain_json(&serde_json::to_string(&Line::new(name, kept))?);
            writeln!(out, "{line}").context("standard output")
        })?;
        out.flush().context("standard output")?;
        if is_empty { self.known(config) } else { Ok(()) }
    }

    /// Fails if the policy has no such plugin. A removed plugin may have left data that is still wanted; an id without
    /// data is probably a typo.
    fn known(&self, config: &Config) -> anyhow::Result<()> {
        let policy = Policy::load(&config.plugins)?;
        if policy.plugins.contains_key(&self.plugin) {
            return Ok(());
        }
        let near = suggestion(nearest(self.plugin.as_str(), policy.plugins.keys().map(PluginId::as_str)));
        bail!("there is no plugin {} in {}, and no data of one{near}", self.plugin, config.plugins.escaped());
    }

    fn import(&self, config: &Config, from: Option<&PathBuf>) -> anyhow::Result<()> {
        // Only a node can ask the others.
        let node = config.cluster.as_ref().map(|_| target::running(config)).transpose()?;
        let input: Box<dyn io::Read> = match from {
            Some(path) if path.as_path() != Path::new("-") => {
                Box::new(File::open(path).with_context(|| format!("cannot read {}", path.escaped()))?)
            }
            Some(_) | None => Box::new(io::stdin().lock()),
        };
        let quota =
            PluginAdmin::new(config).entry(&self.plugin)?.grants.get(Permission::Storage).and_then(Scope::quota);
        let quota = quota.unwrap_or(DEFAULT_QUOTA);
        let mut by_account = BTreeMap::<AccountName, Entries>::new();
        let (mut number, mut count, mut expired) = (0_usize, 0, 0);
        let now = Timestamp::now().as_millisecond();
        let mut input = BufReader::new(input);
        loop {
            number += 1;
            let at = || format!("line {number}; nothing was imported");
            let mut text = String::new();
            let length = input.by_ref().take(LONGEST_LINE + 1).read_line(&mut text).with_context(at)?;
            if length == 0 {
                break;
            }
            if text.trim_end().len() as u64 > LONGEST_LINE {
                return Err(anyhow!("it has more than {LONGEST_LINE} bytes").context(at()));
            }
            // An editor may leave an empty line at the end.
            if text.trim().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_str(&text).with_context(at)?;
            if !config.accounts.contains_key(&line.account) {
                return Err(anyhow!("there is no account {}", line.account).context(at()));
            }
            let account = line.account.clone();
            let kept = line.kept().with_context(at)?;
            // It would expire at once, and delete the existing entry of its key.
            if kept.expires.is_some_and(|expires| expires <= now) {
                expired += 1;
                continue;
            }
            let all = by_account.entry(account).or_default();
            all.put(kept);
            // Check early, before it exhausts the memory.
            if all.bytes > quota {
                return Err(DataError::TooMuch(quota).into());
            }
            count += 1;
            if count > MOST {
                bail!("more than {MOST} entries; import them in parts");
            }
        }
        let all = by_account.into_iter().map(|(name, all)| (name, all.kept.into_values().collect::<Vec<_>>()));
        if let Some(node) = node {
            elsewhere::import(&node, &self.plugin, quota, all)?;
        } else {
            parlor_base::atomic::make_private_folder(&config.data)?;
            let kept = all.map(|(name, kept)| (owner(&self.plugin, &config.accounts[&name]), kept));
            DataFile::create(&config.data)?.import(quota, kept.collect())?;
        }
        let left_out = if expired == 0 { String::new() } else { format!("; {} had expired", entries(expired)) };
        print(&format!("{} imported{left_out}", entries(count)))
    }
}

/// The entries to import for one account; the last of several under one key wins.
#[derive(Default)]
struct Entries {
    kept: BTreeMap<String, StoredValue>,
    /// The size of their keys and values.
    bytes: u64,
}

impl Entries {
    fn put(&mut self, kept: StoredValue) {
        let bytes = |kept: &StoredValue| (kept.key.len() + kept.value.len()) as u64;
        self.bytes += bytes(&kept);
        if let Some(earlier) = self.kept.insert(kept.key.clone(), kept) {
            self.bytes -= bytes(&earlier);
        }
    }
}

fn entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}
