//! The audit of a running host: changes of its files, requests of its owners, and the counts of its plugins.

mod configuration;

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::absolute;
use std::sync::Arc;
use std::time::Duration;
use std::{iter, mem};

use parlor_base::id::PluginId;
use parlor_config::{AccountName, Config};
use parlor_plugins::policy::{Entry, Policy};
use parlor_runtime::account::Shared;
use parlor_runtime::audited;
use parlor_store::{
    Activity, Audit, AuditFile, AuditKind, AuditQuery, By, CONFIGURATION, DataError, NewAuditEntry, PolicyChange,
    PolicyRow, Share, StoreError,
};

use super::Host;

/// How often counts are written. A host that is killed loses those since.
const COUNTING: Duration = Duration::from_secs(30);
/// Once the counts of this many plugins are gathered, they are written before more are gathered. There may be 100,000 plugins, and the
/// memory of all their counts would not return to the system, since it lies between values that stay.
const COUNTED_AT_ONCE: usize = 1_000;
/// The name of the configuration file in entries.
const CONFIG: &str = "parlor.toml";
/// How many changes of the configuration are written at once: there may be thousands of accounts.
const AT_ONCE: usize = 64;
/// The most changes of an account that are looked at for one of its address.
const LOOKED_AT: u32 = 10_000;
/// The way of edits that were made while no host ran.
const AT_THE_START: &str = "found at the start";
/// The way of edits that a command finds, which then makes a change itself.
const BEFORE: &str = "before a command";
/// The way in which strangers cause accounts.
const BY_STRANGERS: &str = "new_addresses";

/// Begins the audit of a host that starts by this policy.
pub(super) async fn begin(host: &Host, policy: Policy) {
    let audit = host.store.audit();
    let config = host.config();
    audit.keep(audited::retention(&config));
    let entry = NewAuditEntry::new(AuditKind::Host, &By::host("start"), "the host was started");
    let version = Some(env!("CARGO_PKG_VERSION").to_owned());
    warn_of(audit.add(vec![NewAuditEntry { new: version, ..entry }]).await);
    configured(host, &config, &edited(&config, AT_THE_START)).await;
    changed(host, policy, AT_THE_START).await;
}

/// Records how the policy differs from the one that the audit knows. Commands record their changes beforehand.
pub(super) async fn changed(host: &Host, policy: Policy, way: &str) {
    let (audit, config) = (host.store.audit(), host.config());
    let known = match audit.policy().await {
        Ok(known) => known,
        Err(error) => return warn_of(Err(error)),
    };
    let (by, components) = (audited::edited(&config, way), host.components.clone());
    // The plugin's file has to be read to know which settings are secrets.
    let compare = move || {
        let is_shown = |id: &PluginId, entry: &Entry, name: &str| audited::is_no_secret(&components, id, entry, name);
        audited::changes(known, &policy, None, &by, &is_shown)
    };
    match tokio::task::spawn_blocking(compare).await {
        Ok(changes) => warn_of(audit.record(changes).await),
        Err(error) => tracing::error!(%error, "changes of the policy are not in the audit"),
    }
}

/// Returns somebody who edited the configuration. `way` says how the host noticed.
pub(super) fn edited(config: &Config, way: &str) -> By {
    By::file(CONFIG, &config.path, way)
}

/// Returns an edit with the file that it was made in: accounts may be in either of two files.
fn in_its_file(mut change: PolicyChange, was: &Config, is: &Config) -> PolicyChange {
    let account = configuration::account_of(&change.row.field).and_then(|account| account.parse::<AccountName>().ok());
    if let (Some(account), Some(entry)) = (account, &mut change.entry)
        && entry.by.file.is_some()
    {
        let file_in = |config: &Config| config.accounts.get(&account).map(|_| config.file_with(&account));
        // Nobody knows which file had an account that is gone when the host starts, unless there is one file.
        let only = || is.accounts_file.is_none().then(|| is.path.clone());
        let file = file_in(is).or_else(|| file_in(was)).or_else(only);
        entry.by.file = file.map(|file| absolute(&file).unwrap_or(file));
    }
    change
}

/// Returns the host, which made accounts of addresses since strangers wrote to them.
pub(super) fn strangers() -> By {
    By::host(BY_STRANGERS)
}

/// Records how this configuration differs from the one that the audit knows.
pub(super) async fn configured(host: &Host, config: &Config, by: &By) {
    let audit = host.store.audit();
    audit.keep(audited::retention(config));
    let known = match audit.configuration().await {
        Ok(known) => known,
        Err(error) => return warn_of(Err(error)),
    };
    let was = host.config();
    let had = (by.way == BY_STRANGERS).then(|| was.accounts.keys().map(AccountName::as_str).collect::<HashSet<_>>());
    let mut changes = configuration::changes(known, config, by);
    loop {
        let some = changes.by_ref().filter_map(|change| match &had {
            Some(had) => of_strangers(change, had),
            None => Some(change),
        });
        let some: Vec<_> = some.map(|change| in_its_file(change, &was, config)).take(AT_ONCE).collect();
        if some.is_empty() {
            return;
        }
        if let Err(error) = audit.record(some).await {
            return warn_of(Err(error));
        }
    }
}

/// Returns a change if strangers caused it: an account that the host did not have. The rest is what the host goes by, and the audit knows
/// what is written. A command may have recorded an account that it adds or removes, and that this host has not read yet.
fn of_strangers(mut change: PolicyChange, had: &HashSet<&str>) -> Option<PolicyChange> {
    let account = configuration::account_of(&change.row.field);
    let is_theirs = !change.is_gone && account.is_some_and(|account| !had.contains(account));
    if let Some(entry) = &mut change.entry {
        // They must not displace decisions of owners.
        entry.share = Share::Connection;
    }
    is_theirs.then_some(change)
}

/// Records that a command is about to add or remove these accounts, with entries `by` the one who gave it. The audit knows them from
/// then on as they are in `after`, so a host that reads the files does not take this for an edit. It is on disk when this returns.
pub fn record_accounts(before: &Config, after: &Config, names: &[&AccountName], by: &By) -> Result<(), DataError> {
    let mut file = AuditFile::create(&before.data, audited::retention(before))?;
    let names: HashSet<_> = names.iter().map(|name| name.as_str()).collect();
    let is_of_these = |change: &PolicyChange| {
        configuration::account_of(&change.row.field).is_some_and(|account| names.contains(account))
    };
    let of_these = |known: Vec<PolicyRow>, config: &Config, by: &By| -> Vec<PolicyChange> {
        configuration::changes(known, config, by).filter(is_of_these).collect()
    };
    let known = file.policy(CONFIGURATION)?;
    if !configuration::is_known(&known) {
        // The first host that starts here records all accounts, without entries.
        let known = configuration::changes(Vec::new(), before, by).map(|change| change.row).collect();
        let entries: Vec<_> = of_these(known, after, by).into_iter().filter_map(|change| change.entry).collect();
        return file.add(&entries);
    }
    // An earlier edit of the files is recorded separately.
    let edits = of_these(known, before, &edited(before, BEFORE)).into_iter();
    file.record(&edits.map(|change| in_its_file(change, before, before)).collect::<Vec<_>>())?;
    let known = file.policy(CONFIGURATION)?;
    file.record(&of_these(known, after, by))
}

/// Records the result of an action whose entry was written before it was begun. A failure is logged.
pub(crate) async fn done(host: &Host, entry: NewAuditEntry) {
    warn_of(host.store.audit().add(vec![entry]).await);
}

/// Records several results at once.
pub(crate) async fn all_done(host: &Host, entries: Vec<NewAuditEntry>) {
    warn_of(host.store.audit().add(entries).await);
}

/// Returns the moment, in milliseconds of the Unix clock, from which the audit is about the account that has a name now. Before, another
/// address had the name. None: no other address had it, as far as is known.
pub(crate) async fn since(host: &Host, name: &str) -> Result<Option<i64>, StoreError> {
    let config = host.config();
    let account = name.parse::<AccountName>().ok().and_then(|name| config.accounts.get(&name));
    let Some(account) = account else { return Ok(None) };
    let (own, kinds) = (account.link.jid.to_bare(), vec![AuditKind::Account]);
    let query = AuditQuery { account: Some(name.to_owned()), kinds, most: LOOKED_AT, ..AuditQuery::default() };
    Ok(configuration::end_of_another(&host.store.audit().entries(query).await?, &own))
}

/// Writes the counts of all plugins.
pub(crate) async fn count(host: &Host) {
    count_on(host, &host.accounts()).await;
}

/// Writes the counts of the plugins on these accounts.
pub(crate) async fn count_on(host: &Host, accounts: &[Arc<Shared>]) {
    write(&host.store.audit(), accounts.iter()).await;
}

/// Writes the counts of the plugins on these accounts, and entries that could not be written. If that fails, such as on a full disk, they
/// wait for the next time.
pub(super) async fn write<'a>(audit: &Audit, accounts: impl Iterator<Item = &'a Arc<Shared>>) {
    audit.retry();
    let (mut whose, mut all) = (Vec::new(), Vec::new());
    for account in accounts.collect::<Vec<_>>() {
        let some = account.records.take_activity(&account.name);
        whose.extend(iter::repeat_n(account, some.len()));
        all.extend(some);
        let is_much = all.len() >= COUNTED_AT_ONCE;
        if is_much && !write_some(audit, mem::take(&mut whose), mem::take(&mut all)).await {
            return;
        }
    }
    if !all.is_empty() {
        write_some(audit, whose, all).await;
    }
}

/// Writes counts of the plugins on these accounts. Returns false if that failed.
async fn write_some(audit: &Audit, whose: Vec<&Arc<Shared>>, all: Vec<Activity>) -> bool {
    let all = Arc::new(all);
    let result = audit.count(Arc::clone(&all)).await;
    let is_written = result.is_ok();
    if !is_written {
        for (account, activity) in whose.into_iter().zip(all.iter()) {
            account.records.give_back(activity);
        }
    }
    warn_of(result);
    is_written
}

/// Writes the counts of all plugins from time to time. It never returns.
pub(super) async fn keep_counting(host: &Host) -> Infallible {
    loop {
        tokio::time::sleep(COUNTING).await;
        count(host).await;
    }
}

/// Returns the audit.
pub(crate) fn of(host: &Host) -> Audit {
    host.store.audit()
}

pub(super) fn warn_of(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!(%error, "the audit cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use parlor_config::Overrides;
    use parlor_store::{AuditQuery, Retention};

    use super::*;

    const MAIN: &str = "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";
    const TWO: &str = "[account.two]\njid = \"two@example.org\"\npassword_env = \"NONE\"\n";

    fn config(data: &Path, text: &str) -> Config {
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        let mut config = Config::parse(Path::new("/x/parlor.toml"), text, &overrides).unwrap();
        config.data = data.to_owned();
        config
    }

    /// Does what a host does that reads this configuration.
    fn read(config: &Config) {
        let mut file = AuditFile::create(&config.data, Retention::default()).unwrap();
        let known = file.policy(CONFIGURATION).unwrap();
        let changes: Vec<_> = configuration::changes(known, config, &edited(config, AT_THE_START)).collect();
        file.record(&changes).unwrap();
    }

    /// Returns the author, the event and both values of each entry.
    fn entries(data: &Path) -> Vec<String> {
        let mut file = AuditFile::open(data).unwrap().unwrap();
        let all = file.entries(&AuditQuery { most: 100, ..AuditQuery::default() }).unwrap();
        let text = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
        let one = |entry: parlor_store::AuditEntry| {
            let (account, old, new) = (text(entry.account), text(entry.old), text(entry.new));
            format!("{} {}: {account} {}: {old} -> {new}", entry.who, entry.way, entry.what)
        };
        all.into_iter().map(one).collect()
    }

    #[test]
    fn an_account_that_a_command_adds_or_removes_has_one_entry_by_who_gave_the_command() {
        for is_new in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let at = |text: &str| config(folder.path(), text);
            let (one, both, two) = (at(MAIN), at(&format!("{MAIN}{TWO}")), "two".parse().unwrap());
            if !is_new {
                read(&one);
            }
            record_accounts(&one, &both, &[&two], &By::user(7, "parlor account add")).unwrap();
            read(&both);
            record_accounts(&both, &one, &[&two], &By::user(8, "parlor account remove")).unwrap();
            read(&one);
            let expected = [
                "uid:7 parlor account add: two added: none -> two@example.org",
                "uid:8 parlor account remove: two removed: two@example.org -> none",
            ];
            assert_eq!(entries(folder.path()), expected, "no host has run before: {is_new}");
        }
    }

    /// Returns the file that the edit of an account is said to be in, if the account is in these configurations.
    fn file_of(account: &str, was: &Config, is: &Config) -> Option<PathBuf> {
        let change = |known: Vec<PolicyRow>, config: &Config| {
            let by = edited(config, "read again");
            configuration::changes(known, config, &by).collect::<Vec<_>>()
        };
        let known = change(Vec::new(), was).into_iter().map(|change| change.row).collect();
        let is_about = |change: &PolicyChange| configuration::account_of(&change.row.field) == Some(account);
        let found = change(known, is).into_iter().find(|change| change.entry.is_some() && is_about(change)).unwrap();
        in_its_file(found, was, is).entry.unwrap().by.file
    }

    #[test]
    fn an_edit_of_an_account_is_in_the_file_that_has_or_had_it() {
        let folder = tempfile::tempdir().unwrap();
        let [own, beside] = ["parlor.toml", "accounts.toml"].map(|name| folder.path().join(name));
        let overrides = || Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        let load = |texts: [&str; 2]| {
            std::fs::write(&own, texts[0]).unwrap();
            std::fs::write(&beside, texts[1]).unwrap();
            Config::load(&own, &overrides()).unwrap()
        };
        let (one, both, changed) =
            (load([MAIN, ""]), load([MAIN, TWO]), load([&format!("{MAIN}owners = [\"a@example.org\"]\n"), ""]));
        assert_eq!(file_of("two", &one, &both), Some(beside.clone()), "it was added there");
        assert_eq!(file_of("two", &both, &one), Some(beside.clone()), "it was removed there");
        assert_eq!(file_of("main", &one, &changed), Some(own.clone()));
        // When a host starts, there is no configuration from before: only the audit knows that the account was there.
        let known = || configuration::changes(Vec::new(), &both, &By::host("x")).map(|change| change.row).collect();
        let gone_from = |is: &Config| {
            let by = edited(is, AT_THE_START);
            let gone = configuration::changes(known(), is, &by).find(|change| change.is_gone && change.entry.is_some());
            in_its_file(gone.unwrap(), is, is).entry.unwrap().by.file
        };
        assert_eq!(gone_from(&one), None, "it may have been in either");
        std::fs::remove_file(&beside).unwrap();
        std::fs::write(&own, MAIN).unwrap();
        assert_eq!(gone_from(&Config::load(&own, &overrides()).unwrap()), Some(own));
    }

    #[test]
    fn what_was_edited_before_a_command_is_no_work_of_who_gave_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |text: &str| config(folder.path(), text);
        let owned = at(&format!("{MAIN}owners = [\"mallory@example.org\"]\n{TWO}"));
        let after = at(&format!("{MAIN}owners = [\"mallory@example.org\"]\n"));
        read(&at(MAIN));
        record_accounts(&owned, &after, &[&"two".parse().unwrap()], &By::user(7, "parlor account remove")).unwrap();
        read(&after);
        let expected = [
            "file:parlor.toml before a command: two added: none -> two@example.org",
            "uid:7 parlor account remove: two removed: two@example.org -> none",
            "file:parlor.toml found at the start: main its connection or its owners: bot@example.org, owners:  -> bot@example.org, owners: mallory@example.org",
        ];
        assert_eq!(entries(folder.path()), expected);
    }
}
