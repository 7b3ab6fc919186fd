//! `parlor audit`: changes with their authors, and the activity of plugins. It is kept over restarts, and shown with or
//! without a host.

mod together;

use std::io::{self, Write as _};

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use parlor::control::audit::{Audit, Counted, Entry, MOST_ENTRIES, Name};
use parlor::control::client::{Client, escaped};
use parlor_base::id::PluginId;
use parlor_base::nearest::{nearest, suggestion};
use parlor_base::quantity::duration;
use parlor_config::{AccountName, Config, GroupName};
use parlor_plugins::policy::Policy;
use parlor_store::{AuditFile, AuditKind, AuditQuery};

use self::together::{may_be_cut, together};
use super::Ended;
use super::fleet::check_group;
use super::show::{
    Mark, Put as _, fitted, for_terminal, hanging, marked, on_node, plain_json, print, print_json, second, size,
    terminal_width,
};
use super::target::{self, AtNode, Target};

/// The column in which an entry says what was done, after its time and its kind.
const COLUMN: usize = 30;

/// The arguments of `parlor audit`.
#[derive(Debug, Args)]
#[command(
    after_help = "The author of an entry: uid:1000 is a user of this machine, jid:… an owner in a chat, file:plugins.toml somebody who edited that file (its path follows), plugin:… a plugin, and host the host itself. The audit never shows secrets, only that they changed. Times are in UTC.\n\nThe kinds are grant, setting, limit, version, run, account, command, webhook, login, pin, host and cut. The keys under [audit] in parlor.toml set how much is kept; an entry of the kind cut says what was removed.\n\nExamples:\n  parlor audit                               the last hundred entries\n  parlor audit --plugin echo --since 7d      what echo did, to whom, and what it was denied\n  parlor audit --kind grant --kind version   who granted or installed something\n  parlor audit --kind grant --full           what each grant lets a plugin do, as it was asked for\n  parlor audit --since 2026-11-20 --json     for programs\n  parlor audit --follow                      each entry as it comes\n  parlor audit --group support               what became of the accounts of a group\n  parlor audit --node two                    those of one node of a cluster\n\nEntries that say the same of more than three accounts within ten seconds are one line; JSON has each of them. In a cluster, the entries of all nodes are shown, and with --follow those of one node.\n\nExit codes: 0 shown, 1 failed, 2 wrong usage, 4 no host runs to follow, or it has stopped, 5 a node of the cluster did not answer"
)]
pub struct AuditArgs {
    /// Only about this plugin; with what it did, in numbers and by name.
    #[arg(long, value_name = "ID")]
    plugin: Option<PluginId>,
    /// Only about this account.
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// Only about the accounts that are in this group now.
    #[arg(long, value_name = "NAME", conflicts_with = "account")]
    group: Option<GroupName>,
    /// Only from then on: a time before now, such as 2h or 7d, a date, or today.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Only entries of this kind; may be repeated.
    #[arg(long, value_name = "KIND")]
    kind: Vec<AuditKind>,
    /// The number of entries to show, the last ones.
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=i64::from(MOST_ENTRIES)))]
    lines: u32,
    /// Continue with each new entry.
    #[arg(short, long)]
    follow: bool,
    /// Below each grant, show the sentences in which it is asked for; JSON has them in any case.
    #[arg(long, conflicts_with = "json")]
    full: bool,
    /// Print JSON; with --follow one object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: AtNode,
    #[command(flatten)]
    target: Target,
}

/// Parses a time before now, a date, or `today`.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    let wrong = || "write a time before now, such as 30min, 2h or 7d, a date such as 2026-11-20, or today".to_owned();
    if text == "today" {
        return Ok(first_of_day(Timestamp::now()));
    }
    if let Ok(ago) = duration(text) {
        let ago = SignedDuration::try_from(ago).map_err(|_| wrong())?;
        return Timestamp::now().checked_sub(ago).map_err(|_| wrong());
    }
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(|local| TimeZone::UTC.to_timestamp(local)))
        .map_err(|_| wrong())
}

/// Returns the first moment of the day, in UTC.
fn first_of_day(at: Timestamp) -> Timestamp {
    at.to_zoned(TimeZone::UTC).start_of_day().map_or(at, |day| day.timestamp())
}

impl AuditArgs {
    /// Shows the audit.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_look()?;
        let host = target::host(&config)?;
        if self.follow {
            let Some(host) = host else { return Err(Ended::NotRunning(config.data).into()) };
            return self.go_on(&host, config);
        }
        self.is_group_known(&config)?;
        let audit = self.fetch(&config, host.as_ref())?;
        self.is_known(&config, host.as_ref(), &audit)?;
        let shown = if self.json {
            print_json(&audit)
        } else {
            print(&screen(&audit, self.plugin.is_some(), self.since, self.full, terminal_width()))
        };
        shown.and_then(|()| host.as_ref().map_or(Ok(()), target::whole))
    }

    /// Returns the entries to show. It reads more if several entries are one change of a group, or if the first one that is shown may be
    /// the rest of a change.
    fn fetch(&self, config: &Config, host: Option<&Client>) -> anyhow::Result<Audit> {
        let (mut most, shown) = (self.lines, usize::try_from(self.lines).unwrap_or(usize::MAX));
        loop {
            let query = AuditQuery { most, ..self.query(None) };
            let mut audit = match (host, self.at.given()) {
                (None, Some(_)) => return Err(Ended::NotRunning(config.data.clone()).into()),
                (Some(host), Some(at)) => host.get(&format!("{}&{at}", request(&query)))?,
                _ => read(config, host, &query)?,
            };
            let has_more = u32::try_from(audit.entries.len()).is_ok_and(|count| count >= most) && most < MOST_ENTRIES;
            let oldest = audit.entries.first().map(|entry| entry.at.clone());
            let read = audit.entries.len();
            audit.entries = self.chosen(config, audit.entries);
            let begin = audit.entries.len().checked_sub(shown);
            let is_whole =
                |first: &Entry| self.json || first.account.is_none() || !may_be_cut(oldest.as_deref(), &first.at);
            if !has_more || begin.is_some_and(|begin| audit.entries.get(begin).is_none_or(is_whole)) {
                if let Some(says) = older(read, audit.entries.len(), shown) {
                    target::say(&says);
                }
                audit.entries.drain(..begin.unwrap_or_default());
                return Ok(audit);
            }
            most = most.saturating_mul(10).min(MOST_ENTRIES);
        }
    }

    /// Leaves the entries about accounts of the given group, and puts those of one change together on the screen.
    fn chosen(&self, config: &Config, mut entries: Vec<Entry>) -> Vec<Entry> {
        let group_of = |account: &str| group_of(config, account);
        if let Some(group) = &self.group {
            let is_in = |account: &String| group_of(account).as_deref() == Some(group.as_str());
            entries.retain(|entry| entry.account.as_ref().is_some_and(is_in));
        }
        if self.json { entries } else { together(entries, &group_of) }
    }

    /// Fails if the configuration has no group of the given name.
    fn is_group_known(&self, config: &Config) -> anyhow::Result<()> {
        self.group.as_ref().map_or(Ok(()), |group| check_group(group, config, []))
    }

    /// Returns the entries to show: the last ones, or those after this one.
    fn query(&self, after: Option<i64>) -> AuditQuery {
        AuditQuery {
            plugin: self.plugin.as_ref().map(ToString::to_string),
            account: self.account.as_ref().map(ToString::to_string),
            since: self.since.map(Timestamp::as_millisecond),
            kinds: self.kind.clone(),
            after,
            before: None,
            // To follow, the number of an entry is needed: the next answer has those after it.
            most: if self.follow { self.lines.max(1) } else { self.lines },
        }
    }

    /// Returns the entries of an answer to print. With `-n 0`, the first one only says where the new entries begin.
    fn to_print<'a>(&self, audit: &'a Audit, after: Option<i64>) -> &'a [Entry] {
        if self.lines == 0 && after.is_none() { &[] } else { &audit.entries }
    }

    /// Fails if there is no plugin or account of the given name, and nothing was ever recorded of one: a mistyped name would look as
    /// if nothing had happened. One that was removed has entries.
    fn is_known(&self, config: &Config, host: Option<&Client>, audit: &Audit) -> anyhow::Result<()> {
        if !is_empty(audit) {
            return Ok(());
        }
        let unknown = self.unknown(config);
        if unknown.is_empty() || !is_empty(&read(config, host, &self.of_names())?) {
            return Ok(());
        }
        bail!("{}", unknown.join("; "))
    }

    /// Returns the query for anything of this plugin and account.
    fn of_names(&self) -> AuditQuery {
        AuditQuery { since: None, kinds: Vec::new(), most: 1, ..self.query(None) }
    }

    fn unknown(&self, config: &Config) -> Vec<String> {
        let (mut sentences, plugin) = (Vec::new(), self.plugin.as_ref().map(PluginId::as_str));
        // If the policy cannot be read, nobody knows which plugins there are.
        if let Ok(policy) = Policy::load(&config.plugins) {
            let known = policy.plugins.keys().map(PluginId::as_str);
            sentences.extend(missing("plugin", plugin, &known.collect::<Vec<_>>()));
        }
        let known: Vec<_> = config.accounts.keys().map(AccountName::as_str).collect();
        // There are none either if the file is broken, and only the places of the host that runs are known.
        let account = self.account.as_ref().map(AccountName::as_str).filter(|_| !known.is_empty());
        sentences.extend(missing("account", account, &known));
        sentences
    }

    /// Prints the last entries, and each further one as it comes.
    fn go_on(&self, host: &Client, config: Config) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let audit: Audit = match host.get(&format!("{}&{}", request(&self.query(after)), self.at.or_here())) {
                Err(_) if !host.is_heard() => return Err(Ended::Stopped(config.data).into()),
                audit => audit?,
            };
            if after.is_none() {
                self.is_group_known(&config)?;
                self.is_known(&config, Some(host), &audit)?;
            }
            for one in self.chosen(&config, self.to_print(&audit, after).to_vec()) {
                let text = if self.json {
                    plain_json(&serde_json::to_string(&one)?) + "\n"
                } else {
                    for_terminal(&lines(&one, self.full, terminal_width()))
                };
                write!(io::stdout().lock(), "{text}").context("standard output")?;
            }
            after = audit.entries.last().map(|entry| entry.id).or(after).or(Some(0));
        }
    }
}

/// Says that older entries may be missing, if as many were read as can be at once, and fewer are left to show than are wanted: the
/// others are of other groups, or are shown together.
fn older(read: usize, left: usize, wanted: usize) -> Option<String> {
    let is_cut = u32::try_from(read).is_ok_and(|read| read >= MOST_ENTRIES) && left < wanted;
    is_cut.then(|| {
        format!(
            "parlor: only the newest {read} entries were looked at; `--account`, `--plugin` and `--kind` look further back"
        )
    })
}

/// Returns the group of an account, if it is configured and in one.
fn group_of(config: &Config, account: &str) -> Option<String> {
    let account = config.accounts.get(&account.parse::<AccountName>().ok()?)?;
    account.group.as_ref().map(ToString::to_string)
}

fn is_empty(Audit { entries, counts, names }: &Audit) -> bool {
    entries.is_empty() && counts.is_empty() && names.is_empty()
}

/// Says that there is nothing of this name, unless it is known or none is given.
fn missing(what: &str, name: Option<&str>, known: &[&str]) -> Option<String> {
    let name = name.filter(|name| !known.contains(name))?;
    Some(format!("there is no {what} {name}{}", suggestion(nearest(name, known.iter().copied()))))
}

/// Reads the audit of a host that runs or not.
pub(super) fn read(config: &Config, host: Option<&Client>, query: &AuditQuery) -> anyhow::Result<Audit> {
    if let Some(host) = host {
        return Ok(host.get(&request(query))?);
    }
    target::is_own_host(config)?;
    let Some(mut file) = AuditFile::open(&config.data)? else { return Ok(Audit::default()) };
    let entries = file.entries(query)?;
    let activity = file.activity(query.plugin.as_deref(), query.account.as_deref(), query.since)?;
    Ok(Audit::of(entries, activity))
}

/// Reads the entries of a cluster before some. `numbers` is a JSON object with the number of an entry for each node.
pub(super) fn read_before(
    config: &Config,
    host: Option<&Client>,
    query: &AuditQuery,
    numbers: &str,
) -> anyhow::Result<Audit> {
    // Without a host, there are the entries of this node alone.
    let host = host.ok_or_else(|| Ended::NotRunning(config.data.clone()))?;
    Ok(host.get(&format!("{}&before={}", request(query), escaped(numbers)))?)
}

/// Returns what to ask the host for. It waits for entries after another one.
pub(super) fn request(query: &AuditQuery) -> String {
    let AuditQuery { plugin, account, since, kinds, after, before, most } = query;
    let mut target = format!("/v1/audit?lines={most}");
    if let Some(after) = after {
        target.put(format_args!("&after={after}&wait=true"));
    }
    let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    let kinds = Some(kinds.join(",")).filter(|kinds| !kinds.is_empty());
    let [since, before] = [since, before].map(|number| number.map(|number| number.to_string()));
    let values = [("plugin", plugin), ("account", account), ("since", &since), ("before", &before), ("kinds", &kinds)];
    for (name, value) in values {
        if let Some(value) = value {
            target.put(format_args!("&{name}={}", escaped(value)));
        }
    }
    target
}

/// Formats an entry on one line, or on several if the terminal is too narrow.
fn line(entry: &Entry, terminal: Option<usize>) -> String {
    let Entry { node, at, kind, plugin, account, way, what, old, new, .. } = entry;
    let is_many = account.as_deref().is_some_and(|account| account.contains(' '));
    let about = match (plugin, account) {
        (Some(plugin), Some(accounts)) if is_many => format!("{plugin} on {accounts}: "),
        (None, Some(accounts)) if is_many => format!("{accounts}: "),
        (Some(plugin), Some(account)) => format!("{plugin}@{account} "),
        (Some(one), None) | (None, Some(one)) => format!("{one} "),
        (None, None) => String::new(),
    };
    let change = match (old, new) {
        (Some(old), Some(new)) => format!(": {old} → {new}"),
        (None, Some(new)) => format!(": {new}"),
        (Some(old), None) => format!(": {old} → none"),
        (None, None) => String::new(),
    };
    let at = marked(&second(at), Mark::Dim);
    let (mut what, mut by) =
        (format!("{about}{what}{change}"), format!("by {}, {way}{}", entry.author(), on_node(node.as_deref())));
    let mut apart = "  ".to_owned();
    let length = COLUMN + what.chars().count() + 2 + by.chars().count();
    if terminal.is_some_and(|width| length > width) {
        (what, by) = (hanging(&what, COLUMN, terminal), hanging(&by, COLUMN, terminal));
        apart = format!("\n{:COLUMN$}", "");
    }
    format!("{at}  {kind:<7}  {what}{apart}{}", marked(&by, Mark::Dim))
}

/// Formats an entry, with the sentences about it below if they are wanted.
fn lines(entry: &Entry, with_sentences: bool, terminal: Option<usize>) -> String {
    let mut text = line(entry, terminal) + "\n";
    for sentence in entry.said.iter().filter(|_| with_sentences) {
        text.put(format_args!("      {}\n", hanging(sentence, 6, terminal)));
    }
    text
}

/// Formats an audit; with the activity of a plugin, if it is of one, from this moment on.
fn screen(
    audit: &Audit,
    is_of_plugin: bool,
    since: Option<Timestamp>,
    with_sentences: bool,
    terminal: Option<usize>,
) -> String {
    let mut text = String::new();
    for entry in &audit.entries {
        text.push_str(&lines(entry, with_sentences, terminal));
    }
    if audit.entries.is_empty() {
        text.push_str("no entries\n");
    }
    if is_of_plugin {
        if let Some(since) = since.filter(|_| !(audit.counts.is_empty() && audit.names.is_empty())) {
            let day = first_of_day(since).strftime("%Y-%m-%d");
            text.put(format_args!(
                "\nfrom {day} on, by whole days in UTC; the names that were used since then, with all their times\n"
            ));
        }
        counts(&mut text, &audit.counts, terminal);
        for (kind, head, title) in [
            ("recipient", "TO", "it wrote to"),
            ("server", "SERVER", "it asked over the web"),
            ("request", "REQUEST", "requests that it made over the web"),
            ("webhook", "WEBHOOK", "requests to its webhooks"),
            ("denial", "CALL", "it was denied"),
        ] {
            let rows: Vec<_> = audit.names.iter().filter(|name| name.kind == kind).map(row).collect();
            let heads: &[&str] = match rows.first().map(Vec::len) {
                None => continue,
                Some(7..) => &[head, "ACCOUNT", "TIMES", "SENT", "RECEIVED", "FIRST", "LAST"],
                Some(_) => &[head, "ACCOUNT", "TIMES", "FIRST", "LAST"],
            };
            text.put(format_args!("\n{title}\n{}", fitted(heads, &rows, terminal)));
        }
    }
    text
}

fn row(name: &Name) -> Vec<String> {
    let Name { account, what, first, last, count, sent, received, kind: _ } = name;
    let bytes = [sent, received].into_iter().flatten().map(|bytes| size(*bytes));
    let cells = [what.clone(), account.clone(), count.to_string()].into_iter().chain(bytes);
    cells.chain([second(first), second(last)]).collect()
}

fn counts(text: &mut String, counts: &[Counted], terminal: Option<usize>) {
    if counts.is_empty() {
        return;
    }
    let row =
        |Counted { account, name, count, plugin: _ }: &Counted| vec![name.clone(), account.clone(), count.to_string()];
    let rows: Vec<_> = counts.iter().map(row).collect();
    let shown = fitted(&["COUNT", "ACCOUNT", "TIMES"], &rows, terminal);
    text.put(format_args!("\nwhat it did, to the day\n{shown}"));
}

/// Returns what is known of one plugin by name, of a host that runs or not.
pub(super) fn names(config: &Config, host: Option<&Client>, plugin: &PluginId) -> anyhow::Result<Vec<Name>> {
    if let Some(host) = host {
        return Ok(host.get::<Audit>(&format!("/v1/audit?lines=0&plugin={plugin}"))?.names);
    }
    target::is_own_host(config)?;
    let Some(mut file) = AuditFile::open(&config.data)? else { return Ok(Vec::new()) };
    Ok(Audit::of(Vec::new(), file.activity(Some(plugin.as_str()), None, None)?).names)
}

#[cfg(test)]
pub(super) mod tests;
