//! Makes accounts of addresses of components when somebody writes to them, as `new_addresses` of the component says. It writes
//! them into `accounts.toml`, so that they are accounts like others, also after a restart.
//!
//! Strangers choose the addresses and the time. So they choose no name, nothing else of the files counts because of them, and an
//! address of which no account can be made keeps none of the others from becoming one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, NodeRef};
use parlor_base::atomic::lock_beside;
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::Digest;
use parlor_config::{AccountName, Config, ConfigFile, NewAddresses, ReadAgain, Selector, accounts_file};
use parlor_plugins::policy::edit::add_all_in;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use toml::Table;

use super::accounts::configure;
use super::plugin::awaited;
use super::{Host, audit, claims};

/// How long addresses are gathered, to be written together.
const GATHERED: Duration = Duration::from_millis(300);
/// How much longer than the work on the files the pause after it is: strangers choose how often there is work. To apply what was
/// written, and to read it once more when the files are watched, takes about as long.
const PAUSES: u32 = 8;
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How often messages that wait in vain are looked for, and how soon a failure is tried again.
const LOOKED: Duration = Duration::from_secs(5);
/// How long other commands that change the accounts are waited for.
const LOCKED: Duration = Duration::from_secs(1);
/// How often it is logged that addresses become no accounts.
const TOLD: Duration = Duration::from_mins(10);
/// How many addresses a line of the log names.
const NAMED: usize = 5;

/// The text of an `accounts.toml` that is made here.
const HEAD: &str = "# Accounts and groups, beside those of parlor.toml.\n";

/// The separator between the two parts of the name of an account.
const MARK: &str = AccountName::OF_NEW_ADDRESS;

/// An address that is to become an account, with the name of its component.
type Newcomer = (AccountName, BareJid);

/// The result for some new addresses.
#[derive(Debug, Default)]
struct Made {
    /// The accounts that are in the files now, and that the host does not have yet.
    accounts: BTreeMap<AccountName, BareJid>,
    /// The addresses that become none, since their components have as many accounts as they may have.
    surplus: Vec<Newcomer>,
    /// The addresses that become none by the files as they are now.
    unfit: Vec<Newcomer>,
    /// How long the work on the files took.
    worked: Duration,
}

/// Makes accounts of addresses while the host runs. It never returns.
pub(super) async fn make_accounts(host: &Host) -> Infallible {
    let (mut told, mut wait, mut next) = (None, false, Instant::now());
    loop {
        let pause = next.saturating_duration_since(Instant::now());
        let looked = if pause.is_zero() { LOOKED } else { pause.min(LOOKED) };
        tokio::select! {
            () = host.domains.arrivals(), if pause.is_zero() => sleep(GATHERED).await,
            () = sleep(looked), if wait || !pause.is_zero() => {}
        }
        if next <= Instant::now() {
            let newcomers = ready(host, host.domains.newcomers()).await;
            if !newcomers.is_empty() {
                let (worked, why) = make(host, newcomers).await;
                next = Instant::now() + worked.saturating_mul(PAUSES).min(LONGEST_PAUSE);
                if let Some(why) = why
                    && told.is_none_or(|told: Instant| told.elapsed() >= TOLD)
                {
                    told = Some(Instant::now());
                    tracing::warn!(
                        reason = why,
                        "somebody wrote to addresses of a component that do not become accounts"
                    );
                }
            }
        }
        wait = host.domains.turn_away_overdue();
    }
}

/// Puts addresses off on which a plugin is to run that waits for the compiler: an account without it would take the message, and nobody
/// would hear of it. Returns the others.
async fn ready(host: &Host, newcomers: Vec<Newcomer>) -> Vec<Newcomer> {
    let awaited = awaited(&*host.plugins.lock().await);
    let config = host.config();
    let waits = |(component, jid): &Newcomer| {
        let group = config.new_addresses.get(component).and_then(|new| new.group.as_ref());
        let name = name_of(component, jid, |_| false);
        let covers = |one: &Selector| name.as_ref().is_some_and(|name| one.covers(name, group));
        awaited.iter().any(|selectors| selectors.as_ref().is_none_or(|all| all.iter().any(covers)))
    };
    let (late, ready): (Vec<_>, Vec<_>) = newcomers.into_iter().partition(waits);
    for (component, jid) in &late {
        host.domains.put_off(component, jid);
    }
    ready
}

/// Makes accounts of these addresses. Returns how long the work on the files took, and why some become none.
async fn make(host: &Host, newcomers: Vec<Newcomer>) -> (Duration, Option<String>) {
    let config = host.config();
    let all = newcomers.clone();
    let written = spawn_blocking(move || write(&config, newcomers)).await;
    // A mistake in the files may be repaired before the messages go back.
    let failed = |why: String| {
        for (component, jid) in &all {
            host.domains.put_off(component, jid);
        }
        (LOOKED / PAUSES, Some(format!("{why}; parlor tries again while the messages wait")))
    };
    let Made { accounts, surplus, unfit, worked } = match written.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(made) => made,
        Err(why) => return failed(why),
    };
    for (component, jid) in surplus.iter().chain(&unfit) {
        host.domains.turn_away(component, jid);
    }
    if !accounts.is_empty() {
        tracing::info!(
            accounts = accounts.len(),
            such_as = shown(accounts.values()),
            "somebody wrote to addresses of a component; they are accounts now"
        );
        if let Err(why) = begin(host, &accounts).await {
            return failed(why);
        }
        claims::note_start(host);
    }
    let why = surplus.first().map(|(component, _)| {
        format!(
            "the component {component} has as many accounts as new_addresses_limit allows: {}; raise it, or remove accounts",
            shown(surplus.iter().map(|(_, jid)| jid))
        )
    });
    (worked, why)
}

/// Starts these accounts, as far as they are still in the files. Nothing else of the files counts: with `watch = false`, an owner
/// says when that is.
async fn begin(host: &Host, accounts: &BTreeMap<AccountName, BareJid>) -> Result<(), String> {
    // An account that was removed meanwhile does not start.
    let _changing = host.changing.lock().await;
    let config = host.config();
    let files = Arc::clone(&config);
    let read = spawn_blocking(move || files.read_again()).await.map_err(|error| error.to_string())?;
    let read = read.map_err(|error| error.to_string())?;
    let is_new = |name: &AccountName| accounts.contains_key(name) && !config.accounts.contains_key(name);
    let coming: BTreeMap<_, _> = read.accounts.into_iter().filter(|(name, _)| is_new(name)).collect();
    if coming.is_empty() {
        return Ok(());
    }
    let mut new = Config { accounts_file: read.accounts_file, warnings: Vec::new(), ..Config::clone(&config) };
    new.accounts.extend(coming);
    configure(host, new, &audit::strangers()).await;
    Ok(())
}

/// Lists some of these.
fn shown<'a>(all: impl ExactSizeIterator<Item = &'a BareJid>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let text = all.take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// Counts the accounts of each component.
fn counts(config: &Config) -> BTreeMap<AccountName, usize> {
    let mut counts = BTreeMap::new();
    for component in config.accounts.values().filter_map(|account| account.link.component()) {
        *counts.entry(component.clone()).or_default() += 1;
    }
    counts
}

/// Returns whether a component with so many accounts gets no more.
fn is_full(config: &Config, counts: &BTreeMap<AccountName, usize>, component: &AccountName) -> bool {
    let limit = config.new_addresses.get(component).map_or(0, |new| new.limit as usize);
    counts.get(component).copied().unwrap_or_default() >= limit
}

/// Returns whether an address may become an account by this configuration.
fn is_fit(config: &Config, (component, jid): &Newcomer) -> bool {
    let is_of_domain = config.components.get(component).is_some_and(|link| link.jid.domain() == jid.domain());
    // A file has to mean the address that was written to. With some rare letters it would mean another one.
    let is_kept = BareJid::new(jid.as_str()).is_ok_and(|read| read == *jid);
    is_of_domain && is_kept && config.new_addresses.get(component).is_some_and(|new| new.fits(jid))
}

/// Writes these addresses into `accounts.toml`, as far as there is room for them.
fn write(config: &Config, mut newcomers: Vec<Newcomer>) -> Result<Made, String> {
    let running: HashSet<_> = config.accounts.values().map(|account| account.link.jid.to_bare()).collect();
    // Messages to an account that is about to log in wait for that.
    newcomers.retain(|(_, jid)| !running.contains(jid));
    let counted = counts(config);
    // A host that is full reads no files for strangers.
    if newcomers.iter().all(|(component, _)| is_full(config, &counted, component)) {
        return Ok(Made { surplus: newcomers, ..Made::default() });
    }
    let listed = accounts_file(&config.path)
        .ok_or_else(|| format!("there is no accounts.toml beside {}, which has that name", config.path.escaped()))?;
    let file = ConfigFile::open(config, &listed, |beside| lock_beside(beside, LOCKED, || ()).map(Some));
    let file = file.map_err(|error| error.to_string())?;
    let began = Instant::now();
    // Changes that others have written count.
    let now = config.read_again().map_err(|error| error.to_string())?;
    // A file that is gone or empty by mistake stays so: with one account in it, all others would seem to be removed.
    config.goes_on_in(&now, ReadAgain::ByAChange).map_err(|error| error.to_string())?;
    let (mut made, entries) = sorted(&now, newcomers);
    if !entries.is_empty() {
        let new = add_all_in("account", file.text().unwrap_or(HEAD), &entries);
        let new = new.map_err(|error| format!("{}: {error}", listed.escaped()))?;
        let draft = file.draft(new).map_err(|error| error.to_string())?;
        file.write(&draft).map_err(|error| error.to_string())?;
    }
    made.worked = began.elapsed();
    Ok(made)
}

/// Decides about each of these addresses by the files as they are now. Returns the tables of those that become accounts, too.
fn sorted(now: &Config, newcomers: Vec<Newcomer>) -> (Made, Vec<(String, Table)>) {
    let known: HashMap<_, _> =
        now.accounts.values().map(|account| (account.link.jid.to_bare(), &account.name)).collect();
    let (mut made, mut entries, mut counted) = (Made::default(), Vec::new(), counts(now));
    for newcomer in newcomers {
        if !is_fit(now, &newcomer) {
            made.unfit.push(newcomer);
            continue;
        }
        let (component, jid) = newcomer;
        if let Some(name) = known.get(&jid) {
            made.accounts.insert(AccountName::clone(name), jid);
            continue;
        }
        if is_full(now, &counted, &component) {
            made.surplus.push((component, jid));
            continue;
        }
        let is_taken = |name: &AccountName| now.accounts.contains_key(name) || made.accounts.contains_key(name);
        let Some(name) = name_of(&component, &jid, is_taken) else {
            made.unfit.push((component, jid));
            continue;
        };
        entries.push((name.to_string(), entry(now, &component, &jid)));
        *counted.entry(component).or_default() += 1;
        made.accounts.insert(name, jid);
    }
    (made, entries)
}

/// Returns the table of an account.
fn entry(config: &Config, component: &AccountName, jid: &BareJid) -> Table {
    let mut entry = Table::new();
    entry.insert("jid".to_owned(), jid.as_str().into());
    entry.insert("component".to_owned(), component.as_str().into());
    if let Some(group) = config.new_addresses.get(component).and_then(|new| new.group.as_ref()) {
        entry.insert("group".to_owned(), group.as_str().into());
    }
    entry
}

/// Returns the name of the account: that of the component, two hyphens, and the part of the address before the `@`. If that is no
/// name, or is taken, digits that follow from the address take the place of the second part.
///
/// Patterns of the policy that do not have the two hyphens do not mean it. Without these, a stranger could take a name that the
/// policy has for another account, and get its plugins.
fn name_of(component: &AccountName, jid: &BareJid, is_taken: impl Fn(&AccountName) -> bool) -> Option<AccountName> {
    let node = jid.node().map(NodeRef::as_str).unwrap_or_default();
    let beginning = NewAddresses::beginning_of_names(component);
    let digits = AccountName::LONGEST - beginning.len() - MARK.len();
    // An address may have been chosen so that its name is the one that follows from another address.
    let others = (0_u32..).map(|number| {
        let digest = Digest::of(format!("{jid} {number}").as_bytes()).to_hex();
        format!("{beginning}{MARK}{}", digest.get(..digits).unwrap_or_default())
    });
    // With more hyphens, it could be a name that an address of another component has.
    let is_plain = !node.starts_with('-') && !node.contains(MARK);
    let first = is_plain.then(|| format!("{component}{MARK}{node}"));
    let all = first.into_iter().chain(others);
    all.filter_map(|name| name.parse::<AccountName>().ok()).find(|name| !is_taken(name))
}

#[cfg(test)]
mod tests;
