//! `parlor cluster import`, `export` and `remove`: accounts go into the cluster and out of it.

use anyhow::bail;
use clap::Args;
use jid::BareJid;
use parlor::cluster::{Export, ExportLook, Import, Look, MovePreview, Moving, MovingError, Removing, Step};
use parlor_base::escape::EscapedPath as _;
use parlor_config::{AccountName, Config};
use serde_json::{Value, json};

use crate::show::{Put as _, print, print_json, size};
use crate::target::{self, Target};
use crate::{Ended, wait_for};

/// The arguments of `parlor cluster import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Stop the host first, and take a backup (`parlor backup`). The configuration must have [cluster]. The import moves all of an account: data of plugins, schedules, requests to webhooks, contacts, positions in archives, the session at the server and all keys. The audit stays on this host. Start no other node that has these accounts before the import is done: there they would begin with nothing.\n\nThe host's own file keeps an account until NATS has all of it. Afterwards the file says that the account has moved, and no host without [cluster] runs it: OMEMO sessions that continue at two places use keys of messages twice. If the command is killed, run it again.\n\nExamples:\n  parlor cluster import --dry-run          show what would be moved\n  parlor cluster import                    all accounts of the configuration\n  parlor cluster import main               one of them\n  parlor cluster import main --replace     also if the cluster has data of it, which is lost\n\nExit codes: 0 all are there, 1 some are not, 2 wrong usage"
)]
pub struct ImportArgs {
    #[command(flatten)]
    which: Which,
    /// Show what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// The arguments of `parlor cluster export`.
#[derive(Debug, Args)]
#[command(
    after_help = "First stop this host and the hosts that have the accounts: no node may run an account during its export. The export writes all data of the account into this host's own file, and removes it from NATS. Then take [cluster] out of parlor.toml and start the host. Nodes do not run the account again until you import it, even if it is in their files.\n\nThe command also takes back an import that was interrupted. If it is killed, run it again.\n\nExamples:\n  parlor cluster export --dry-run          show what would be moved\n  parlor cluster export                    all accounts of the configuration\n  parlor cluster export main               one of them\n  parlor cluster export main --replace     also if this host keeps data of it, which is lost\n\nExit codes: 0 all are here, 1 some are not, 2 wrong usage"
)]
pub struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// Show what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// The accounts that move.
#[derive(Debug, Args)]
struct Which {
    /// The names of accounts; by default all of the configuration.
    accounts: Vec<AccountName>,
    /// Replace what is there. The accounts must be named.
    #[arg(long, requires = "accounts")]
    replace: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// The arguments of `parlor cluster remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "First take the account out of the files of all nodes (`parlor account remove`). The command removes its log and its snapshots from NATS, and its file from each node. Nothing brings them back. The command works while hosts run, and on exported accounts: if a node has such an account again, it begins with nothing.\n\nExamples:\n  parlor cluster remove bot@example.org          shows what would be removed\n  parlor cluster remove bot@example.org --yes\n\nExit codes: 0 removed, 1 failed, 2 wrong usage, 3 nothing was removed, since --yes was not given"
)]
pub struct RemoveArgs {
    /// The address of the account.
    account: BareJid,
    /// Remove it.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// The result for one account.
struct Row {
    name: AccountName,
    jid: BareJid,
    /// A word for programs.
    outcome: &'static str,
    rows: Option<u64>,
    /// A sentence for people.
    said: String,
}

impl Row {
    fn json(&self) -> Value {
        let Self { name, jid, outcome, rows, said } = self;
        let error = (*outcome == "failed").then_some(said);
        json!({ "account": name, "jid": jid.as_str(), "outcome": outcome, "rows": rows, "error": error })
    }
}

impl ImportArgs {
    /// Moves the accounts, or shows what would be moved.
    pub fn run(&self) -> anyhow::Result<()> {
        let (config, accounts) = self.which.load()?;
        let replace = self.which.replace;
        let rows = wait_for(async {
            if self.dry_run {
                let preview = MovePreview::begin(&config).await?;
                let look = async |_: &AccountName, jid: &BareJid| preview.look(jid, replace).await.map(looked);
                return Ok(each(accounts, look).await);
            }
            let mut moving = Moving::begin(&config, target::by()).await?;
            let import = async |name: &AccountName, jid: &BareJid| {
                if replace && let Some(damage) = moving.damage(jid).await? {
                    target::say(&format!("parlor: warning: {}", unreadable(jid, &damage)));
                }
                let mut said = Vec::new();
                let told = |step| say_step(&IMPORTS, &mut said, jid, step);
                moving.import(name, jid, replace, told).await.map(imported)
            };
            Ok::<_, MovingError>(each(accounts, import).await)
        })??;
        let next = if self.dry_run { "" } else { "start the host: it is a node then" };
        self.which.show(&config, &rows, self.dry_run, next)
    }
}

impl ExportArgs {
    /// Moves the accounts.
    pub fn run(&self) -> anyhow::Result<()> {
        let (config, accounts) = self.which.load()?;
        let replace = self.which.replace;
        let rows = wait_for(async {
            if self.dry_run {
                let preview = MovePreview::begin(&config).await?;
                let look = async |_: &AccountName, jid: &BareJid| {
                    preview.look_at_export(jid, replace).await.map(looked_at_export)
                };
                return Ok(each(accounts, look).await);
            }
            let mut moving = Moving::begin(&config, target::by()).await?;
            let export = async |name: &AccountName, jid: &BareJid| {
                let mut said = Vec::new();
                let told = |step| say_step(&EXPORTS, &mut said, jid, step);
                moving.export(name, jid, replace, told).await.map(exported)
            };
            Ok::<_, MovingError>(each(accounts, export).await)
        })??;
        let next = format!("take [cluster] out of {}, and start the host", config.path.escaped());
        self.which.show(&config, &rows, self.dry_run, if self.dry_run { "" } else { &next })
    }
}

impl Which {
    /// Returns the configuration, and the accounts that move.
    fn load(&self) -> anyhow::Result<(Config, Vec<(AccountName, BareJid)>)> {
        let config = self.target.load_to_write()?;
        for name in &self.accounts {
            if !config.accounts.contains_key(name) {
                return Err(target::no_account(&config, name));
            }
        }
        let is_meant = |name: &AccountName| self.accounts.is_empty() || self.accounts.contains(name);
        let meant = config.accounts.values().filter(|account| is_meant(&account.name));
        let accounts = meant.map(|account| (account.name.clone(), account.link.jid.to_bare())).collect();
        Ok((config, accounts))
    }

    fn show(&self, config: &Config, rows: &[Row], dry_run: bool, next: &str) -> anyhow::Result<()> {
        let cluster = config.cluster.as_ref().map(|section| section.name.as_str());
        let failed = rows.iter().filter(|row| row.outcome == "failed").count();
        if self.json {
            let accounts: Vec<_> = rows.iter().map(Row::json).collect();
            print_json(&json!({ "cluster": cluster, "dry_run": dry_run, "accounts": accounts }))?;
        } else {
            let mut text = String::new();
            for Row { jid, said, .. } in rows {
                text.put(format_args!("{jid}: {said}\n"));
            }
            if failed == 0 && !next.is_empty() {
                text.put(format_args!("Next: {next}\n"));
            }
            print(text.trim_end())?;
        }
        if failed > 0 {
            bail!("{failed} of {} accounts are not moved", rows.len());
        }
        Ok(())
    }
}

/// The word for programs, how many rows there are, and the sentence for people.
type Done = (&'static str, Option<u64>, String);

/// Moves accounts, or looks at them, one after the other. The row of one that fails has the error, and the others follow.
async fn each(
    accounts: Vec<(AccountName, BareJid)>,
    mut one: impl AsyncFnMut(&AccountName, &BareJid) -> Result<Done, MovingError>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, jid) in accounts {
        let done = one(&name, &jid).await;
        let (outcome, count, said) = done.unwrap_or_else(|error| ("failed", None, error.to_string()));
        rows.push(Row { name, jid, outcome, rows: count, said });
    }
    rows
}

fn looked(look: Look) -> Done {
    match look {
        Look::Move { rows, replaces: false } => ("would-move", Some(rows), format!("{rows} rows would be moved")),
        Look::Move { rows, replaces: true } => {
            ("would-replace", Some(rows), format!("{rows} rows would replace the cluster's data"))
        }
        Look::Finish => ("would-finish", None, "all of it is in the cluster, and nodes would get it".to_owned()),
        Look::Already => ("already", None, "it has moved already".to_owned()),
        Look::Nothing => ("nothing", Some(0), "this host keeps nothing of it".to_owned()),
    }
}

fn imported(done: Import) -> Done {
    match done {
        Import::Moved { rows: Some(rows) } => ("moved", Some(rows), format!("moved, {rows} rows")),
        Import::Moved { rows: None } => ("moved", None, "moved, by an earlier attempt that is finished now".to_owned()),
        Import::Already => ("already", None, "it has moved already".to_owned()),
        Import::Nothing => ("nothing", Some(0), "this host keeps nothing of it".to_owned()),
    }
}

fn looked_at_export(look: ExportLook) -> Done {
    match look {
        ExportLook::Move { replaces: false } => ("would-move", None, "it would be moved to this host".to_owned()),
        ExportLook::Move { replaces: true } => {
            ("would-replace", None, "the cluster's data would replace what this host keeps".to_owned())
        }
        ExportLook::Finish => {
            ("would-finish", None, "all of it is on this host, and the cluster would be told so".to_owned())
        }
        ExportLook::Keep => {
            ("would-keep", None, "it has not left this host, and its import would be taken back".to_owned())
        }
    }
}

fn exported(done: Export) -> Done {
    match done {
        Export::Moved { rows: Some(rows) } => ("moved", Some(rows), format!("moved to this host, {rows} rows")),
        Export::Moved { rows: None } => {
            ("moved", None, "moved to this host, by an earlier attempt that is finished now".to_owned())
        }
        Export::Kept => ("kept", None, "it had not left this host, and its import is taken back".to_owned()),
    }
}

/// Returns the warning about an account that is replaced or removed although nobody can read what the cluster has of it.
fn unreadable(jid: &BareJid, damage: &str) -> String {
    format!("the cluster's data of {jid} could not be read, and is removed all the same: {damage}")
}

/// Steps, and what is said of each.
type Words = [(Step, &'static str); 3];

/// The messages about the steps of an import that take time or change who has the account.
const IMPORTS: Words = [
    (Step::Reserved, "no node starts it before the import is done"),
    (Step::Stored, "all of its data is in NATS"),
    (Step::Kept, "its data is removed from this host's own file"),
];
/// The same of an export.
const EXPORTS: Words = [
    (Step::Reserved, "no node runs it any more"),
    (Step::Kept, "all of its data is in this host's own file"),
    (Step::Cleared, "its data is removed from NATS"),
];

/// Says on standard error how far the move of an account has come.
fn say_step(words: &Words, said: &mut Vec<Step>, jid: &BareJid, step: Step) {
    if let Some(far) = news(words, said, step) {
        target::say(&format!("parlor: {jid}: {far}"));
    }
}

/// Returns what is said of a step. One that comes again is not said again.
fn news(words: &Words, said: &mut Vec<Step>, step: Step) -> Option<&'static str> {
    let (_, far) = words.iter().find(|(one, _)| *one == step && !said.contains(one))?;
    said.push(step);
    Some(*far)
}

impl RemoveArgs {
    /// Removes the account, or shows what would be removed.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let account = &self.account;
        if let Some(own) = config.accounts.values().find(|own| own.link.jid.to_bare() == *account) {
            bail!(
                "{account} is the account {} of {}: take it out there, and on all other nodes, and run `parlor reload`",
                own.name,
                config.file_with(&own.name).escaped()
            );
        }
        let removal = wait_for(async {
            let removing = Removing::begin(&config, target::by()).await?;
            let removal = removing.look(account).await?;
            if self.yes {
                removing.remove(account).await?;
            }
            Ok::<_, MovingError>(removal)
        })??;
        let why = removal.away.map(|why| why.to_string());
        if self.json {
            print_json(&json!({
                "jid": account.as_str(), "removed": self.yes, "node": removal.node, "away": why,
                "snapshots": removal.snapshots, "bytes": removal.bytes, "damage": removal.damage,
            }))?;
        } else {
            let done = if self.yes { "removed" } else { "would be removed" };
            let (snapshots, bytes) = (removal.snapshots, size(removal.bytes));
            let mut text = format!("{account} {done}, with its log and {snapshots} snapshots ({bytes})");
            if let Some(node) = &removal.node {
                text.put(format_args!("\nthe node {node} has it, and ends it at once"));
            }
            if let Some(why) = &why {
                text.put(format_args!("\nno node runs it, since {why}"));
            }
            if let Some(damage) = &removal.damage {
                text.put(format_args!("\nwarning: {}", unreadable(account, damage)));
            }
            print(&text)?;
        }
        if self.yes {
            return Ok(());
        }
        Err(Ended::Declined("nothing was removed: give --yes to remove it for good".to_owned()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_account_has_a_row_with_what_became_of_it_and_one_that_fails_stops_no_other() {
        let account =
            |name: &str| (name.parse::<AccountName>().unwrap(), "bot@example.org".parse::<BareJid>().unwrap());
        let damage = |name: &AccountName| {
            if name.as_str() == "main" { Err(MovingError::NoCluster("parlor.toml".into())) } else { Ok(7) }
        };
        let rows = each(vec![account("main"), account("second")], async |name: &AccountName, _: &BareJid| {
            let count = damage(name)?;
            Ok(imported(Import::Moved { rows: Some(count) }))
        });
        let rows: Vec<_> = rows.await.iter().map(Row::json).collect();
        let error = "parlor.toml names no cluster: write [cluster] into it";
        let failed =
            json!({ "account": "main", "jid": "bot@example.org", "outcome": "failed", "rows": null, "error": error });
        let second =
            json!({ "account": "second", "jid": "bot@example.org", "outcome": "moved", "rows": 7, "error": null });
        assert_eq!(rows, [failed, second]);
        let words = [Look::Move { rows: 1, replaces: true }, Look::Finish, Look::Already, Look::Nothing].map(looked);
        assert_eq!(words.map(|(word, ..)| word), ["would-replace", "would-finish", "already", "nothing"]);
        assert_eq!(exported(Export::Kept).0, "kept");
        let moves = [false, true].map(|replaces| ExportLook::Move { replaces });
        let words = moves.into_iter().chain([ExportLook::Finish, ExportLook::Keep]).map(looked_at_export);
        let words: Vec<_> = words.map(|(word, ..)| word).collect();
        assert_eq!(words, ["would-move", "would-replace", "would-finish", "would-keep"]);
    }

    /// An export takes two of its steps twice.
    #[test]
    fn each_step_of_a_move_is_said_once() {
        let steps = [Step::Marked, Step::Reserved, Step::Kept, Step::Reserved, Step::Cleared, Step::Told, Step::Kept];
        let mut said = Vec::new();
        let all: Vec<_> = steps.into_iter().filter_map(|step| news(&EXPORTS, &mut said, step)).collect();
        assert_eq!(all, EXPORTS.map(|(_, far)| far));
    }
}
