//! Addresses of components that sleep: nothing of them runs until something comes for them, or an owner names them.
//!
//! An address is asleep in its component before its account ends, so that what comes meanwhile waits for the next account. The store
//! has it after that, and no longer before the address wakes. A host that is killed in between starts the account, or lets it sleep
//! on: both lose nothing.

mod asleep;
mod marks;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use futures_util::stream::FuturesUnordered;
use jid::BareJid;
use jiff::Timestamp;
use parlor_config::{AccountConfig, AccountName, Config};
use parlor_runtime::account::{Account, Connection, KeepsAwake, Shared, resting};
use parlor_runtime::supervisor::Supervised;
use parlor_store::StoredSleeper;
use parlor_xmpp::Component;
use tokio::time::{Instant, sleep, timeout};

use self::marks::Marks;
use super::accounts::{initialized, spread, start_one, take_plugins};
use super::plugin::awaited;
use super::{Host, audit, claims};

pub(crate) use asleep::Asleep;
pub(super) use asleep::{Sleeper, Sleepers, load};

/// The maximum number of addresses that wake at a time, and that of those that fall asleep together.
const AT_ONCE: usize = 64;
/// The maximum number of addresses that fall asleep before it is looked whether others are to wake.
const MOST_AT_A_LOOK: usize = 512;
/// How often it is looked for addresses with nothing to do, in the time after which they fall asleep.
const LOOKS: u32 = 4;
/// The bounds of the time between two looks.
const SHORTEST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_LOOK: Duration = Duration::from_secs(30);
/// How often stanzas that wait in vain are looked for.
const WAITS: Duration = Duration::from_secs(5);
/// How long an address may take to connect before it makes room for another one.
const CONNECTS: Duration = Duration::from_secs(5);
/// How long a command of an owner waits for an address to wake.
const PATIENCE: Duration = Duration::from_secs(20);

/// The accounts that wake, until they are connected.
type Opening<'h> = FuturesUnordered<BoxFuture<'h, ()>>;

/// An account that may fall asleep.
struct SleepCandidate {
    account: Arc<Shared>,
    component: Arc<Component>,
    /// How long it must have had nothing to do.
    after: Duration,
}

impl Host {
    /// Returns the addresses that sleep, by the names of their accounts.
    pub(crate) fn asleep(&self) -> Vec<Asleep> {
        self.sleepers.listed()
    }
}

/// Returns what keeps an account awake that may sleep, as of the last look.
pub(crate) fn why_awake(host: &Host, account: &AccountName) -> Option<KeepsAwake> {
    host.sleepers.why_awake(account)
}

/// Returns after which time an account falls asleep that has nothing to do; `None`: it never does.
fn sleep_after(config: &Config, account: &AccountConfig) -> Option<Duration> {
    config.sleep_after.get(account.link.component()?).copied()
}

/// Lets addresses fall asleep and wake while the host runs. It never returns.
pub(super) async fn tend(host: &Host) -> Infallible {
    let mut opening = Opening::new();
    let (mut next_look, mut waits, mut are_more) = (Instant::now(), false, false);
    loop {
        let look = host.config().sleep_after.values().min().map(|after| time_between_looks(*after));
        let until_look = look.map(|_| next_look.saturating_duration_since(Instant::now()));
        let has_room = opening.len() < AT_ONCE;
        let at_once = (are_more && has_room).then_some(Duration::ZERO);
        let pause = until_look.into_iter().chain(waits.then_some(WAITS)).chain(at_once).min();
        tokio::select! {
            () = host.domains.roused() => {}
            Some(()) = opening.next() => {}
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
        let room = AT_ONCE.saturating_sub(opening.len());
        let (woken, is_rest) = beside(&mut opening, Box::pin(wake_some(host, room))).await;
        are_more = is_rest;
        opening.extend(woken.into_iter().map(|account| open(host, account).boxed()));
        if let Some(look) = look
            && next_look <= Instant::now()
        {
            let are_all = beside(&mut opening, Box::pin(put_to_sleep(host))).await;
            next_look = Instant::now() + if are_all { look } else { SHORTEST_LOOK };
        }
        waits = host.domains.give_up_overdue();
    }
}

fn time_between_looks(after: Duration) -> Duration {
    (after / LOOKS).clamp(SHORTEST_LOOK, LONGEST_LOOK)
}

/// Waits for this, while the accounts that wake go on.
async fn beside<T>(opening: &mut Opening<'_>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            Some(()) = opening.next() => {}
        }
    }
}

/// Wakes up to so many addresses: those that owners have named, then those that something has come for, then those whose
/// configuration or plugins have changed since they fell asleep. Also returns whether there may be more of them.
async fn wake_some(host: &Host, room: usize) -> (Vec<Arc<Shared>>, bool) {
    if host.sleepers.take_stale() && !host.sleepers.are_none() {
        find_outdated(host).await;
    }
    let mut coming = host.sleepers.next_named(room);
    coming.extend(next_roused(host, room - coming.len()).await);
    let rest = room - coming.len();
    coming.extend(host.sleepers.next_outdated(rest));
    let is_full = coming.len() == room;
    if coming.is_empty() {
        return (Vec::new(), is_full);
    }
    let woken = wake(host, coming).await;
    // If none could be woken, they are tried again at the next look.
    let are_more = is_full && !woken.is_empty();
    (woken, are_more)
}

/// Returns up to so many addresses that something has come for. Those whose plugins wait for the compiler sleep on until it is done with
/// these: an account without them would take what has come, and nobody would hear of it.
async fn next_roused(host: &Host, most: usize) -> Vec<BareJid> {
    let awaited = awaited(&*host.plugins.lock().await);
    let config = host.config();
    let waits = |name: &AccountName| awaited.iter().any(|selectors| config.is_chosen(name, selectors.as_deref()));
    let mut roused = Vec::new();
    loop {
        let mut more = host.domains.next_roused(most - roused.len());
        if more.is_empty() {
            return roused;
        }
        host.sleepers.put_off(&mut more, waits);
        roused.extend(more);
    }
}

/// Looks for addresses whose configuration or plugins have changed since they fell asleep: a plugin may have something to begin.
async fn find_outdated(host: &Host) {
    let marks = {
        let _changing = host.changing.lock().await;
        Marks::of(host).await
    };
    // If a plugin is still being compiled, this is done after it.
    let Some(marks) = marks else { return };
    let (config, all) = (host.config(), host.sleepers.marked());
    let outdated = move || {
        let is_outdated = |(_, name, mark): &(BareJid, AccountName, i64)| {
            let account = config.accounts.get(name).filter(|account| sleep_after(&config, account).is_some());
            account.is_none_or(|account| marks.of_account(&config, account) != *mark)
        };
        all.into_iter().filter(is_outdated).map(|(jid, ..)| jid).collect::<VecDeque<_>>()
    };
    // There may be 100,000.
    let outdated = tokio::task::spawn_blocking(outdated).await.unwrap_or_default();
    if !outdated.is_empty() {
        tracing::info!(
            addresses = outdated.len(),
            "addresses sleep whose configuration or plugins have changed; they wake, some at a time"
        );
    }
    host.sleepers.set_outdated(outdated);
}

/// Starts the accounts of addresses that sleep. The caller opens them.
async fn wake(host: &Host, mut addresses: Vec<BareJid>) -> Vec<Arc<Shared>> {
    addresses.sort_unstable();
    addresses.dedup();
    let _changing = host.changing.lock().await;
    host.sleepers.keep_asleep(&mut addresses);
    if addresses.is_empty() {
        return Vec::new();
    }
    // Otherwise an address that has something to do by then would sleep after a restart.
    if let Err(error) = host.store.woke_up(addresses.clone()).await {
        tracing::error!(%error, "addresses that sleep cannot be woken, since the store cannot note it; parlor tries again");
        host.sleepers.not_woken(addresses);
        return Vec::new();
    }
    let config = host.config();
    let mut started = Vec::new();
    for jid in addresses {
        let Some(name) = host.sleepers.wake(&jid) else { continue };
        if let Some(account) = config.accounts.get(&name) {
            started.push(start_one(host, account, host.store.clone()));
            tracing::info!(account = %name, %jid, "address woke up");
        }
    }
    spread(host).await;
    claims::note_start(host);
    started
}

/// Gives the plugins on an account that wakes their chance to listen, and then logs in: it was connected when it fell asleep.
async fn open(host: &Host, account: Arc<Shared>) {
    initialized(host, std::slice::from_ref(&account)).await;
    account.plugins_initialized().await;
    account.connect().await;
    let mut connection = account.connection();
    let is_connected = connection.wait_for(|connection| matches!(connection, Connection::Connected(_)));
    // Without a stream, stanzas for it go on waiting.
    let _ = timeout(CONNECTS, is_connected).await;
    host.sleepers.is_awake(&account.own);
}

/// Wakes the account of this name, if it sleeps, and keeps it awake for a while. An owner is about to do something with it.
pub(crate) async fn wake_named(host: &Host, name: &str) {
    let config = host.config();
    let Some(account) = name.parse::<AccountName>().ok().and_then(|name| config.accounts.get(&name)) else { return };
    if account.link.component().is_none() || (config.sleep_after.is_empty() && host.sleepers.are_none()) {
        return;
    }
    let jid = account.link.jid.to_bare();
    // First: if it is falling asleep, that is seen, or it is woken again.
    host.sleepers.touch(&jid);
    let wakes = host.sleepers.name(&jid, || host.domains.rouse());
    if timeout(PATIENCE, wakes).await.is_err() {
        tracing::warn!(account = %account.name, "an address that sleeps did not wake in time for a command of its owner");
    }
}

/// Wakes the first of these accounts, unless one of them runs. An owner needs one of them, and has not said which.
pub(crate) async fn wake_one(host: &Host, names: &[&AccountName]) {
    if names.iter().all(|name| host.account(name).is_none())
        && let Some(first) = names.first()
    {
        wake_named(host, first.as_str()).await;
    }
}

/// Lets accounts fall asleep that have nothing to do. Returns false if there may be more of them.
async fn put_to_sleep(host: &Host) -> bool {
    let candidates = find_candidates(host, MOST_AT_A_LOOK).await;
    for some in candidates.chunks(AT_ONCE) {
        lull(host, some).await;
    }
    candidates.len() < MOST_AT_A_LOOK
}

/// Looks for up to so many accounts that may fall asleep, and notes what keeps the others awake. The next look goes on where this one
/// ends.
async fn find_candidates(host: &Host, most: usize) -> Vec<SleepCandidate> {
    let config = host.config();
    let longest = config.sleep_after.values().max().copied().unwrap_or_default();
    let looked = host.sleepers.begin_look(longest);
    let mut all = Vec::new();
    // They are in the order of their names.
    for account in host.accounts() {
        if looked.as_ref().is_some_and(|looked| account.name <= *looked) {
            continue;
        }
        let Some(configured) = config.accounts.get(&account.name) else { continue };
        let Some(after) = sleep_after(&config, configured) else { continue };
        let component = configured.link.component().and_then(|name| host.domains.component(name));
        let Some(component) = component else { continue };
        let candidate = SleepCandidate { account, component, after };
        match keeps_awake(host, &candidate).await {
            Some(why) => host.sleepers.note_awake(&candidate.account.name, why),
            None if all.len() + 1 == most => {
                host.sleepers.look_on_after(candidate.account.name.clone());
                all.push(candidate);
                break;
            }
            None => all.push(candidate),
        }
    }
    all
}

/// Returns what keeps an account awake, but for what only its task knows.
async fn keeps_awake(host: &Host, candidate: &SleepCandidate) -> Option<KeepsAwake> {
    let SleepCandidate { account, component, after } = candidate;
    if host.sleepers.was_touched(&account.own, *after) {
        return Some(KeepsAwake::Owner);
    }
    if !component.is_quiet(&account.own, *after) {
        return Some(KeepsAwake::Stanza);
    }
    let plugins = host.plugins.lock().await;
    plugins.iter().find_map(|(id, plugin)| {
        let needs = plugin.on(&account.name)?.needs_account(*after)?;
        Some(KeepsAwake::Plugin(id.clone(), needs))
    })
}

/// Lets these accounts fall asleep, as far as nothing keeps them awake.
async fn lull(host: &Host, some: &[SleepCandidate]) {
    let _changing = host.changing.lock().await;
    let Some(marks) = Marks::of(host).await else { return };
    let mut names = Vec::new();
    for candidate in some {
        let SleepCandidate { account, component, after } = candidate;
        let is_there = host.account(&account.name).is_some_and(|now| Arc::ptr_eq(&now, account));
        if !is_there {
            continue;
        }
        host.sleepers.falls_asleep(&account.own);
        // From here on, stanzas wait until it wakes. So none is missed that comes while the rest is looked at.
        if !component.fall_asleep(&account.own, *after) {
            host.sleepers.is_awake(&account.own);
            continue;
        }
        let mut why = resting::keeps_awake(account).await;
        if why.is_none() {
            why = keeps_awake(host, candidate).await;
        }
        match why {
            Some(why) => {
                component.stay_awake(&account.own);
                host.sleepers.is_awake(&account.own);
                host.sleepers.note_awake(&account.name, why);
            }
            None => names.push(&account.name),
        }
    }
    let plugins = take_plugins(host, &names).await;
    let accounts: Vec<_> = {
        let mut held = host.held();
        names.iter().filter_map(|name| held.remove(*name)).collect()
    };
    end(host, accounts, plugins).await;
    let asleep = sleepers(&host.config(), &marks, &names);
    let stored = asleep.iter().map(|(jid, sleeper)| sleeper.stored(jid)).collect::<Vec<StoredSleeper>>();
    if let Err(error) = host.store.fell_asleep(stored).await {
        tracing::warn!(%error, "the store cannot note which addresses have fallen asleep; they start with the host");
    }
    for (jid, sleeper) in asleep {
        tracing::info!(account = %sleeper.name, %jid, "address fell asleep");
        host.sleepers.add(jid, sleeper);
    }
    // Those who serve the owners of these accounts give their memory back.
    claims::note_start(host);
}

/// Returns the entries of accounts that fall asleep now.
fn sleepers(config: &Config, marks: &Marks, names: &[&AccountName]) -> Vec<(BareJid, Sleeper)> {
    let sleeper = |name: &&AccountName| {
        let account = config.accounts.get(*name)?;
        let (name, component) = (account.name.clone(), account.link.component()?.clone());
        let sleeper = Sleeper { name, component, since: Timestamp::now(), mark: marks.of_account(config, account) };
        Some((account.link.jid.to_bare(), sleeper))
    };
    names.iter().filter_map(sleeper).collect()
}

/// Ends accounts that fall asleep, after the plugins on them. If the future is dropped, they end at once.
async fn end(host: &Host, accounts: Vec<Account>, plugins: Vec<Supervised>) {
    let _killing: Vec<_> = accounts.iter().map(Account::kill_on_drop).collect();
    join_all(accounts.iter().map(Account::drain)).await;
    join_all(plugins.into_iter().map(Supervised::stop_with_the_host)).await;
    audit::write(&host.store.audit(), accounts.iter().map(Account::shared)).await;
    join_all(accounts.into_iter().map(Account::stop)).await;
}

/// Forgets sleeping addresses of accounts that are gone, or are others by now. The caller holds `changing`.
pub(super) async fn forget(host: &Host, before: &Config, names: &[&AccountName]) {
    let mut forgotten = Vec::new();
    for link in names.iter().filter_map(|name| Some(&before.accounts.get(*name)?.link)) {
        let jid = link.jid.to_bare();
        // Its component takes one that wakes for asleep until it logs in.
        if let Some(component) = link.component().and_then(|name| host.domains.component(name)) {
            component.remove_sleeper(&jid);
        }
        let Some(sleeper) = host.sleepers.forget(&jid) else { continue };
        tracing::info!(account = %sleeper.name, "account removed while it slept");
        forgotten.push(jid);
    }
    if forgotten.is_empty() {
        return;
    }
    if let Err(error) = host.store.woke_up(forgotten).await {
        tracing::warn!(%error, "the store still has addresses that sleep and are gone; the next start removes them");
    }
}

/// Has the host compare sleeping addresses with their configuration and their plugins, which may have changed, and look at those again
/// whose plugins waited for the compiler.
pub(super) fn look_again(host: &Host) {
    for (component, jid) in host.sleepers.take_late() {
        if let Some(component) = host.domains.component(&component) {
            component.rouse_again(jid);
        }
    }
    host.sleepers.set_stale();
    host.domains.rouse();
}

#[cfg(test)]
mod tests;
