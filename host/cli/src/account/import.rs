//! `parlor account import`: adds many accounts from a file. It checks all of them before it writes anything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jid::BareJid;
use parlor_base::atomic::is_open;
use parlor_base::document::{self, ReadError};
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_base::nearest::{nearest, suggestion};
use parlor_config::{AccountConfig, Config, ConfigFile, GroupName};
use parlor_plugins::policy::edit::add_all_in;
use serde_json::json;
use toml::{Table, Value};

use super::lines::{Bad, LARGEST, Line, Source, is_same, parse};
use super::{GROUP, applied, open, plugins_on, record, secret_file};
use crate::login::new_secret;
use crate::show::{Put as _, print, print_json};
use crate::target::{self, Target};

/// How many bad lines an error names.
const NAMED: usize = 20;
/// After how many password files the progress is told.
const STEP: usize = 1_000;
/// The longest password file that is compared, in bytes.
const LONGEST_SECRET: u64 = 2 << 10;
/// The source of the password in a check, before there is a file.
const NO_FILE_YET: (&str, &str) = ("password_env", "PARLOR_IMPORTED_PASSWORD");

/// The arguments of `parlor account import`.
#[derive(Debug, Args)]
#[command(
    after_help = "The file is CSV with the names of its columns in the first line, or has a JSON object on each line. The columns are jid, name, group, and one of password, password_file, password_command, password_env and component; only jid is required. Without a name, the account gets the part of its jid before the @. A group is a table [group.NAME] in parlor.toml or accounts.toml.\n\nThe command first checks all lines. If one is bad, it changes nothing, and names each bad line. Accounts that exist already stay as they are, so you can import the same file again. The check does not log in: the running host logs in with the new accounts, at most a hundred a second to the same server, and `parlor status --state away` shows those that it cannot connect. Comments in the files stay.\n\nExamples:\n  parlor account import accounts.csv --dry-run\n  parlor account import accounts.csv\n  generate-accounts | parlor account import - --json      from standard input, for programs\n\nSuch a file:\n  jid,group,password\n  support-1@example.org,support,their password\n  support-2@example.org,support,another password\n\nA password goes into NAME.password beside parlor.toml, as with `parlor account add`. Delete the imported file then.\n\nExit codes: 0 added, or all are there already; 1 failed, and nothing was changed; 2 wrong usage"
)]
pub struct ImportArgs {
    /// The file with the accounts, at most 10,000 in 8 MiB; - is standard input.
    file: PathBuf,
    /// Check the file, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, also of bad lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl ImportArgs {
    /// Adds the accounts.
    pub fn run(&self) -> anyhow::Result<()> {
        let text = self.text()?;
        let config = self.target.load_to_add()?;
        let file = open(&config, &config.file_for_accounts())?;
        // Parse it again: from now on no other command changes it.
        let config = config.read_again()?;
        let (plan, mut bad) = Plan::of(&config, parse(&text));
        let is_fine = |new: &[New]| {
            let text = add_all_in(GROUP, file.text().unwrap_or_default(), &entries(new, New::checked));
            file.draft(text.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
        };
        let after = is_fine(&plan.new);
        if after.is_err() {
            let mut more = Vec::new();
            culprits(&plan.new, &|new| is_fine(new).map(drop), &mut more);
            bad.extend(more);
            bad.sort_by_key(|bad| bad.line);
        }
        let (Ok(after), true) = (after, bad.is_empty()) else { return self.refused(&bad) };
        let (new, old) = (plan.new.len(), plan.unchanged.len());
        target::say(&format!("checked {}: {new} new, {old} there already", accounts(new + old)));
        let names: Vec<_> = plan.new.iter().map(|new| &new.line.name).collect();
        let plugins = plugins_on(after.config(), &names);
        if self.dry_run || plan.new.is_empty() {
            return self.show(file.named(), &plan, &plugins, None);
        }
        write(&config, &file, &plan)?;
        let host = applied(&config)?;
        self.show(file.named(), &plan, &plugins, Some(host))
    }

    /// Returns the text of the file.
    fn text(&self) -> anyhow::Result<String> {
        if self.file == Path::new("-") {
            let mut bytes = Vec::new();
            io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes).context("standard input")?;
            if bytes.len() as u64 > LARGEST {
                bail!("standard input has more than {LARGEST} bytes: make several files of it");
            }
            return String::from_utf8(bytes).map_err(|_| anyhow!("standard input is no text in UTF-8"));
        }
        let file = self.file.escaped();
        match document::read(&self.file, LARGEST) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(anyhow!("there is no file {file}")),
            Err(ReadError::Unreadable(cause)) => Err(anyhow!("{file} cannot be read ({cause})")),
            Err(ReadError::TooLong) => Err(anyhow!("{file} has more than {LARGEST} bytes: make several files of it")),
        }
    }

    /// Says which lines are bad.
    fn refused<T>(&self, bad: &[Bad]) -> anyhow::Result<T> {
        if self.json {
            let errors: Vec<_> =
                bad.iter().map(|Bad { line, reason }| json!({ "line": line, "reason": reason })).collect();
            print_json(&json!({ "added": [], "unchanged": [], "errors": errors }))?;
        }
        let mut text = format!("nothing was changed, because of {} in {}", lines(bad.len()), self.file.escaped());
        let reasons = by_reason(bad);
        for (numbers, reason) in reasons.iter().take(NAMED) {
            text.put(format_args!("\n{}: {reason}", numbered(numbers)));
        }
        let more: usize = reasons.iter().skip(NAMED).map(|(numbers, _)| numbers.len()).sum();
        if more > 0 {
            text.put(format_args!("\nand {more} more"));
        }
        Err(anyhow!(text))
    }

    /// Says what was done to this file, or would be. `host` is none if nothing was changed.
    fn show(
        &self,
        file: &Path,
        plan: &Plan,
        plugins: &BTreeMap<String, usize>,
        host: Option<(&'static str, &'static str)>,
    ) -> anyhow::Result<()> {
        let added: Vec<_> = plan.new.iter().map(|new| &new.line.name).collect();
        if self.json {
            return print_json(&json!({
                "added": added, "unchanged": plan.unchanged, "errors": [], "plugins": plugins, "dry_run": self.dry_run,
                "host": host.map(|(word, _)| word),
            }));
        }
        let path = file.escaped();
        let (new, old) = (accounts(added.len()), plan.unchanged.len());
        let mut text = match host {
            Some((_, host)) => format!("{new} added to {path}, {old} there already; {host}"),
            None if self.dry_run => format!("{new} would be added to {path}, {old} there already; nothing was changed"),
            None => format!("all {old} are in {path} already; nothing was changed"),
        };
        for (id, count) in plugins {
            let run = if host.is_some() { "runs" } else { "would run" };
            text.put(format_args!("\n{id} {run} on {count} of them, as its entry in plugins.toml says"));
        }
        if host.is_some() && plan.has_passwords {
            text.put(format_args!("\ntheir passwords are in NAME.password beside {path}"));
            if self.file != Path::new("-") {
                let file = shell_word(&self.file.to_string_lossy());
                text.put(format_args!("; delete the file, which has them, too: rm {file}"));
                if fs::metadata(&self.file).is_ok_and(|found| is_open(&found.permissions())) {
                    text.put(format_args!("\nothers on this machine may read {file}"));
                }
            }
        }
        print(&text)
    }
}

/// Writes the password files, the audit and the configuration, in this order.
fn write(config: &Config, file: &ConfigFile, plan: &Plan) -> anyhow::Result<()> {
    let mut secrets = Secrets::default();
    let all = plan.new.iter().filter(|new| new.secret().is_some()).count();
    for (done, (new, secret)) in plan.new.iter().filter_map(|new| Some((new, new.secret()?))).enumerate() {
        if done > 0 && done % STEP == 0 {
            target::say(&format!("{done} of {all} passwords are written"));
        }
        if !new.has_secret {
            secrets.0.push(new_secret(&secret_file(config, &new.line.name), secret)?);
        }
    }
    let text = add_all_in(GROUP, file.text().unwrap_or_default(), &entries(&plan.new, New::entry))?;
    let after = file.draft(text)?;
    record(config, after.config(), &plan.new.iter().map(|new| &new.line.name).collect::<Vec<_>>())?;
    file.write(&after)?;
    secrets.keep();
    Ok(())
}

/// The changes of an import.
#[derive(Debug)]
struct Plan {
    new: Vec<New>,
    /// The names of the accounts that are there already.
    unchanged: Vec<String>,
    /// The file itself has passwords.
    has_passwords: bool,
}

/// An account that is to be added.
#[derive(Debug)]
struct New {
    line: Line,
    /// Its password file is there already, with this password: an import before was ended.
    has_secret: bool,
}

impl Plan {
    /// Compares lines with the configuration. Returns also all that are bad, with those that were before.
    fn of(config: &Config, (lines, mut bad): (Vec<Line>, Vec<Bad>)) -> (Self, Vec<Bad>) {
        let mut known = HashMap::<BareJid, Vec<&AccountConfig>>::new();
        for account in config.accounts.values() {
            known.entry(account.link.jid.to_bare()).or_default().push(account);
        }
        let has_passwords = lines.iter().any(|line| matches!(line.password, Source::Text(_)));
        let mut plan = Self { new: Vec::new(), unchanged: Vec::new(), has_passwords };
        // Together with the line that it repeats, a line would be a reason to blame both.
        let is_bad: HashSet<_> = bad.iter().map(|bad| bad.line).collect();
        for line in lines.into_iter().filter(|line| !is_bad.contains(&line.number)) {
            let twins = known.get(&line.jid.to_bare()).map(Vec::as_slice).unwrap_or_default();
            let twin = twins.iter().copied().find(|twin| is_same(&twin.link.jid, &line.jid));
            let number = line.number;
            match (twin, config.accounts.contains_key(&line.name)) {
                (Some(twin), _) => match differs(config, &line, twin) {
                    None => plan.unchanged.push(twin.name.to_string()),
                    Some(reason) => bad.push(Bad::new(number, reason)),
                },
                (None, true) => bad.push(Bad::new(
                    number,
                    format!(
                        "{} has another account of its name: give it another in a column name",
                        config.file_with(&line.name).escaped()
                    ),
                )),
                (None, false) => match New::of(config, line) {
                    Ok(new) => plan.new.push(new),
                    Err(reason) => bad.push(Bad::new(number, reason)),
                },
            }
        }
        bad.sort_by_key(|bad| bad.line);
        bad.dedup_by_key(|bad| bad.line);
        (plan, bad)
    }
}

/// Returns why a line is not about the account as it is there. An import changes no account.
fn differs(config: &Config, line: &Line, account: &AccountConfig) -> Option<String> {
    let how = if line.is_named && line.name != account.name {
        "with another name"
    } else if line.group != account.group {
        "in another group or in none: change it there"
    } else {
        return None;
    };
    Some(format!("its account is in {} already, {how}", config.file_with(&account.name).escaped()))
}

impl New {
    fn of(config: &Config, line: Line) -> Result<Self, String> {
        if let Some(group) = line.group.as_ref().filter(|group| !config.groups.contains(*group)) {
            let known: Vec<_> = config.groups.iter().map(GroupName::as_str).collect();
            let known = match nearest(group.as_str(), known.iter().copied()) {
                Some(near) => suggestion(Some(near)),
                None if known.is_empty() => String::new(),
                None => format!("; the groups are {}", known[..known.len().min(NAMED)].join(", ")),
            };
            let (files, file) = (config.files(), config.file_for_accounts());
            return Err(format!(
                "there is no such group in {files}: write a table [group.NAME] for it into {} first{known}",
                file.escaped()
            ));
        }
        let mut new = Self { line, has_secret: false };
        match &new.line.password {
            Source::Text(text) => new.has_secret = has_secret(&secret_file(config, &new.line.name), &text.0)?,
            Source::File(file) => {
                let file = Path::new(file).canonicalize().map_err(|error| format!("its password_file: {error}"))?;
                if file.is_dir() {
                    return Err("its password_file is a folder".to_owned());
                }
                new.line.password = Source::File(file.to_string_lossy().into_owned());
            }
            Source::Key("component", name) => {
                let Some((_, component)) = config.components.iter().find(|(known, _)| known.as_str() == name) else {
                    return Err(format!(
                        "{} has no such component: write a table [component.NAME] for it first",
                        config.path.escaped()
                    ));
                };
                if component.jid.domain() != new.line.jid.domain() {
                    let domain = component.jid.domain().as_str();
                    return Err(format!("its jid is no address of its component, which has the domain {domain}"));
                }
            }
            Source::Key(..) | Source::Elsewhere => {}
        }
        Ok(new)
    }

    /// Returns its password, if that goes into a file.
    fn secret(&self) -> Option<&str> {
        match &self.line.password {
            Source::Text(text) => Some(&text.0),
            Source::File(_) | Source::Key(..) | Source::Elsewhere => None,
        }
    }

    /// Returns its table in the configuration, as `parlor account add` writes it.
    fn entry(&self) -> Table {
        let mut entry = Table::new();
        entry.insert("jid".to_owned(), self.line.jid.as_str().into());
        if let Some(group) = &self.line.group {
            entry.insert("group".to_owned(), group.as_str().into());
        }
        let password = match &self.line.password {
            Source::Text(_) => Some(("password_file", format!("{}.password", self.line.name))),
            Source::File(file) => Some(("password_file", file.clone())),
            Source::Key(key, value) => Some((*key, value.clone())),
            Source::Elsewhere => None,
        };
        entry.extend(password.map(|(key, value)| (key.to_owned(), Value::from(value))));
        entry
    }

    /// Returns the same before its password file is there.
    fn checked(&self) -> Table {
        let mut entry = self.entry();
        if self.secret().is_some() {
            entry.remove("password_file");
            entry.insert(NO_FILE_YET.0.to_owned(), NO_FILE_YET.1.into());
        }
        entry
    }
}

fn entries(new: &[New], entry: impl Fn(&New) -> Table) -> Vec<(String, Table)> {
    new.iter().map(|new| (new.line.name.to_string(), entry(new))).collect()
}

/// Returns whether a password file has this password; an error if it has another one.
fn has_secret(path: &Path, password: &str) -> Result<bool, String> {
    if path.symlink_metadata().is_err() {
        return Ok(false);
    }
    let mut text = String::new();
    let read =
        path.is_file() && File::open(path).and_then(|file| file.take(LONGEST_SECRET).read_to_string(&mut text)).is_ok();
    if read && text.lines().next() == Some(password) {
        return Ok(true);
    }
    Err(format!(
        "the file for its password, {}, is there already with something else in it: move it away, or name it as password_file",
        path.escaped()
    ))
}

/// Finds the lines with which the configuration could not be read, by halves.
fn culprits(new: &[New], is_fine: &dyn Fn(&[New]) -> Result<(), String>, bad: &mut Vec<Bad>) {
    let before = bad.len();
    let (Some(first), true) = (new.first(), before < NAMED) else { return };
    let Err(reason) = is_fine(new) else { return };
    if new.len() > 1 {
        let (left, right) = new.split_at(new.len() / 2);
        culprits(left, is_fine, bad);
        culprits(right, is_fine, bad);
    }
    if bad.len() == before {
        bad.push(Bad::new(first.line.number, without_place(&reason)));
    }
}

/// Returns an error of the configuration without its place in the file, which does not have the new lines yet.
fn without_place(reason: &str) -> &str {
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<usize>().is_ok());
    let ends_in_a_place = |text: &str| {
        let mut parts = text.rsplit(':');
        is_number(parts.next()) && is_number(parts.next())
    };
    let places = reason.match_indices(": ").map(|(at, _)| reason.split_at(at));
    let mut rests = places.filter_map(|(place, rest)| if ends_in_a_place(place) { rest.get(2..) } else { None });
    rests.next().unwrap_or(reason)
}

/// Returns each reason once, with its lines, in the order of the first of them.
fn by_reason(bad: &[Bad]) -> Vec<(Vec<usize>, &str)> {
    let (mut all, mut known) = (Vec::<(Vec<usize>, &str)>::new(), HashMap::<&str, usize>::new());
    for Bad { line, reason } in bad {
        let reason = reason.as_str();
        let at = *known.entry(reason).or_insert(all.len());
        match all.get_mut(at) {
            Some((numbers, _)) => numbers.push(*line),
            None => all.push((vec![*line], reason)),
        }
    }
    all
}

/// Names lines, of many the first ones.
fn numbered(numbers: &[usize]) -> String {
    let [number] = numbers else {
        let shown: Vec<_> = numbers.iter().take(NAMED).map(ToString::to_string).collect();
        let more = numbers.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return format!("lines {}{more}", shown.join(", "));
    };
    format!("line {number}")
}

fn lines(count: usize) -> String {
    if count == 1 { "1 bad line".to_owned() } else { format!("{count} bad lines") }
}

fn accounts(count: usize) -> String {
    if count == 1 { "1 account".to_owned() } else { format!("{count} accounts") }
}

/// New password files. They are removed again unless the configuration names them.
#[derive(Debug, Default)]
struct Secrets(Vec<PathBuf>);

impl Secrets {
    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests;
