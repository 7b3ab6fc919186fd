//! The addresses that sleep, as the host has them in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jid::BareJid;
use jiff::Timestamp;
use parlor_config::{AccountName, Config};
use parlor_runtime::account::KeepsAwake;
use parlor_store::{Store, StoredSleeper};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::sleep_after;

/// An address that sleeps.
#[derive(Debug, Clone)]
pub(in crate::host) struct Sleeper {
    pub(super) name: AccountName,
    pub(super) component: AccountName,
    pub(super) since: Timestamp,
    /// Stands for its configuration and its plugins at that time.
    pub(super) mark: i64,
}

impl Sleeper {
    /// Returns how the store has it.
    pub(super) fn stored(&self, jid: &BareJid) -> StoredSleeper {
        StoredSleeper { jid: jid.clone(), since: self.since.as_millisecond(), mark: self.mark }
    }
}

/// An address that sleeps, for the owner.
#[derive(Debug, Clone)]
pub(crate) struct Asleep {
    /// The name of the account.
    pub(crate) name: AccountName,
    pub(crate) jid: BareJid,
    pub(crate) component: AccountName,
    pub(crate) since: Timestamp,
}

impl Asleep {
    /// Returns whether a configuration has this account. While the name of an account goes to another address, it does not, and the
    /// owners of the account that comes are not those of this one.
    pub(crate) fn is_in(&self, config: &Config) -> bool {
        config.accounts.get(&self.name).is_some_and(|account| account.link.jid.to_bare() == self.jid)
    }
}

/// The addresses that sleep.
#[derive(Debug, Default)]
pub(in crate::host) struct Sleepers {
    /// Held for moments only.
    state: Mutex<State>,
    /// Notified when some have woken.
    woken: Notify,
}

#[derive(Debug, Default)]
struct State {
    all: HashMap<BareJid, Sleeper>,
    /// Those that are falling asleep, or whose accounts were started and are not connected yet.
    between: HashSet<BareJid>,
    /// Those that an owner has named, or that could not be woken before.
    named: BTreeSet<BareJid>,
    /// Those that something has come for, and whose plugins wait for the compiler.
    late: HashSet<BareJid>,
    /// Those whose configuration or plugins have changed since they fell asleep.
    outdated: VecDeque<BareJid>,
    /// Whether others may have become so.
    is_stale: bool,
    /// When owners named addresses, also those that are awake.
    touched: HashMap<BareJid, Instant>,
    /// The reasons that keep accounts awake that may sleep, as of the last look.
    awake: BTreeMap<AccountName, KeepsAwake>,
    /// The account that the last look ended with. None: it came to the end of all.
    looked: Option<AccountName>,
}

/// Reads which addresses sleep on. Others that are stored are gone, and forgotten.
pub(in crate::host) async fn load(config: &Config, store: &Store) -> Sleepers {
    let stored = store.sleepers().await.unwrap_or_else(|error| {
        tracing::error!(%error, "the store cannot say which addresses sleep; all of them start");
        Vec::new()
    });
    if stored.is_empty() {
        return Sleepers::default();
    }
    let accounts = config.accounts.values().filter(|account| sleep_after(config, account).is_some());
    let mut may_sleep: HashMap<_, _> = accounts.map(|account| (account.link.jid.to_bare(), account)).collect();
    let (mut all, mut gone) = (HashMap::new(), Vec::new());
    for StoredSleeper { jid, since, mark } in stored {
        let account = may_sleep.remove(&jid);
        let Some((account, component)) = account.and_then(|account| Some((account, account.link.component()?))) else {
            gone.push(jid);
            continue;
        };
        let since = Timestamp::from_millisecond(since).unwrap_or_default();
        all.insert(jid, Sleeper { name: account.name.clone(), component: component.clone(), since, mark });
    }
    if !gone.is_empty()
        && let Err(error) = store.woke_up(gone).await
    {
        tracing::warn!(%error, "the store still has addresses that sleep no longer; the next start removes them");
    }
    if !all.is_empty() {
        tracing::info!(addresses = all.len(), "addresses sleep on");
    }
    let is_stale = !all.is_empty();
    Sleepers { state: Mutex::new(State { all, is_stale, ..State::default() }), woken: Notify::new() }
}

impl Sleepers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether no address sleeps.
    pub(in crate::host) fn are_none(&self) -> bool {
        self.state().all.is_empty()
    }

    /// Returns whether this address sleeps.
    pub(in crate::host) fn have(&self, jid: &BareJid) -> bool {
        self.state().all.contains_key(jid)
    }

    /// Returns the addresses of each component that sleep.
    pub(in crate::host) fn by_component(&self) -> BTreeMap<AccountName, Vec<BareJid>> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for (jid, sleeper) in &self.state().all {
            all.entry(sleeper.component.clone()).or_default().push(jid.clone());
        }
        all
    }

    /// Returns all that sleep, for the owner, in the order of their names.
    pub(in crate::host) fn listed(&self) -> Vec<Asleep> {
        let of = |(jid, sleeper): (&BareJid, &Sleeper)| Asleep {
            name: sleeper.name.clone(),
            jid: jid.clone(),
            component: sleeper.component.clone(),
            since: sleeper.since,
        };
        let mut all: Vec<_> = self.state().all.iter().map(of).collect();
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Returns all that sleep, with their marks.
    pub(super) fn marked(&self) -> Vec<(BareJid, AccountName, i64)> {
        self.state().all.iter().map(|(jid, one)| (jid.clone(), one.name.clone(), one.mark)).collect()
    }

    /// Notes that an address has fallen asleep.
    pub(super) fn add(&self, jid: BareJid, sleeper: Sleeper) {
        let mut state = self.state();
        state.awake.remove(&sleeper.name);
        state.between.remove(&jid);
        state.all.insert(jid, sleeper);
        self.woken.notify_waiters();
    }

    /// Removes an address of an account that is gone.
    pub(super) fn forget(&self, jid: &BareJid) -> Option<Sleeper> {
        let forgotten = self.state().all.remove(jid);
        self.woken.notify_waiters();
        forgotten
    }

    /// Notes that an address is about to fall asleep, so that owners who name it wait.
    pub(super) fn falls_asleep(&self, jid: &BareJid) {
        self.state().between.insert(jid.clone());
    }

    /// Leaves of these addresses, which are to wake, those that sleep.
    pub(super) fn keep_asleep(&self, addresses: &mut Vec<BareJid>) {
        let state = self.state();
        addresses.retain(|jid| state.all.contains_key(jid));
    }

    /// Notes that an address wakes. Returns the name of its account.
    pub(super) fn wake(&self, jid: &BareJid) -> Option<AccountName> {
        let mut state = self.state();
        let Sleeper { name, .. } = state.all.remove(jid)?;
        state.between.insert(jid.clone());
        Some(name)
    }

    /// Notes that these addresses could not be woken, and are to be tried again.
    pub(super) fn not_woken(&self, addresses: Vec<BareJid>) {
        self.state().named.extend(addresses);
    }

    /// Notes that an address is awake: it is connected, or has had its time for that, or did not fall asleep after all.
    pub(super) fn is_awake(&self, jid: &BareJid) {
        self.state().between.remove(jid);
        self.woken.notify_waiters();
    }

    /// Has an address woken that an owner has named, and waits until it is. `rouse` tells who wakes it.
    pub(super) async fn name(&self, jid: &BareJid, rouse: impl Fn()) {
        loop {
            // An address that wakes after this line ends the wait below.
            let woken = self.woken.notified();
            {
                let mut state = self.state();
                if state.all.contains_key(jid) {
                    state.named.insert(jid.clone());
                } else if !state.between.contains(jid) {
                    return;
                }
            }
            rouse();
            woken.await;
        }
    }

    /// Leaves of these addresses, which something has come for, those whose plugins do not wait for the compiler. The others are noted.
    pub(super) fn put_off(&self, addresses: &mut Vec<BareJid>, waits: impl Fn(&AccountName) -> bool) {
        let mut state = self.state();
        let State { all, late, .. } = &mut *state;
        addresses.retain(|jid| {
            let is_late = all.get(jid).is_some_and(|one| waits(&one.name));
            if is_late {
                late.insert(jid.clone());
            }
            !is_late
        });
    }

    /// Takes the addresses that were put off and still sleep, with their components.
    pub(super) fn take_late(&self) -> Vec<(AccountName, BareJid)> {
        let mut state = self.state();
        let late = std::mem::take(&mut state.late);
        let component = |jid: BareJid| Some((state.all.get(&jid)?.component.clone(), jid));
        late.into_iter().filter_map(component).collect()
    }

    /// Takes up to so many addresses that owners have named.
    pub(super) fn next_named(&self, most: usize) -> Vec<BareJid> {
        let mut state = self.state();
        std::iter::from_fn(|| state.named.pop_first()).take(most).collect()
    }

    /// Takes up to so many addresses whose configuration or plugins have changed.
    pub(super) fn next_outdated(&self, most: usize) -> Vec<BareJid> {
        let mut state = self.state();
        let most = most.min(state.outdated.len());
        state.outdated.drain(..most).collect()
    }

    pub(super) fn set_outdated(&self, outdated: VecDeque<BareJid>) {
        self.state().outdated = outdated;
    }

    /// Notes that the configuration or plugins of sleeping addresses may have changed.
    pub(super) fn set_stale(&self) {
        self.state().is_stale = true;
    }

    pub(super) fn take_stale(&self) -> bool {
        std::mem::take(&mut self.state().is_stale)
    }

    /// Notes that an owner has named an address.
    pub(super) fn touch(&self, jid: &BareJid) {
        self.state().touched.insert(jid.clone(), Instant::now());
    }

    /// Returns whether an owner named an address within this time.
    pub(super) fn was_touched(&self, jid: &BareJid, within: Duration) -> bool {
        self.state().touched.get(jid).is_some_and(|at| at.elapsed() < within)
    }

    /// Begins to look for accounts that may fall asleep. What owners did longer ago than this is forgotten. Returns the account after
    /// which the look goes on, if the last one did not come to the end.
    pub(super) fn begin_look(&self, longest: Duration) -> Option<AccountName> {
        let mut state = self.state();
        state.touched.retain(|_, at| at.elapsed() < longest);
        let looked = state.looked.take();
        if looked.is_none() {
            state.awake.clear();
        }
        looked
    }

    /// Notes that a look ended with this account, and that the next one goes on after it. If each began anew, the first accounts could
    /// keep all others from falling asleep: their sessions may have something to do for good.
    pub(super) fn look_on_after(&self, name: AccountName) {
        self.state().looked = Some(name);
    }

    pub(super) fn note_awake(&self, name: &AccountName, why: KeepsAwake) {
        self.state().awake.insert(name.clone(), why);
    }

    /// Returns what keeps an account awake that may sleep, as of the last look.
    pub(in crate::host) fn why_awake(&self, name: &AccountName) -> Option<KeepsAwake> {
        self.state().awake.get(name).cloned()
    }
}
