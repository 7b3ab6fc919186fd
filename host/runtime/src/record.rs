//! The record of one plugin on one account since the host started.
//!
//! A record outlives instances: it continues over restarts, new settings, updates and rollbacks. It ends when the
//! plugin is removed from the policy, or with the account.

mod contacts;
mod counts;

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use jiff::Timestamp;
use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_session::router::PluginContacts;
use parlor_store::{Activity, AddedContacts, TallyKind, Traffic};
use tokio::sync::OnceCell;

use self::counts::{Count, counts};
use crate::counters::{Counters, Totals};
use crate::denials::{Denial, Denials};
use crate::named::Named;
use crate::webhooks::queue::Queue;

/// The record of one plugin on one account.
#[derive(Debug, Default)]
pub struct Record {
    /// How often an instance was started, not counting parked ones that wake.
    starts: AtomicU64,
    counted: Mutex<Counted>,
    /// The counts that the audit has.
    told: Mutex<Box<[Count]>>,
    /// Made when it is first used: most plugins of a large host wait.
    rare: OnceLock<Box<Rare>>,
}

/// The part of a record that a plugin without denials, failures and names does not need.
#[derive(Debug, Default)]
struct Rare {
    denied: Denials,
    restarts: AtomicU64,
    /// How many messages and commands passed without its verdict as a hook. It may not have run then.
    unjudged: AtomicU64,
    named: Named,
    /// The queue of its webhooks, which each instance shares with the next one. Made when it is first used.
    webhook_queue: OnceLock<Arc<Queue>>,
}

#[derive(Debug, Default)]
struct Counted {
    /// The counters of the instance that was started last, while it runs.
    newest: Weak<Counters>,
    /// Those of other instances, once there were some.
    others: Option<Box<Others>>,
}

/// The counts of instances in addition to the newest one.
#[derive(Debug, Default)]
struct Others {
    /// The sum over instances that have ended.
    past: Totals,
    /// The counters of instances that run beside the newest one: one, while the newest replaces it.
    beside: Vec<Weak<Counters>>,
}

impl Counted {
    /// Returns the counters of the running instances.
    fn live(&self) -> impl Iterator<Item = Arc<Counters>> {
        let beside = self.others.iter().flat_map(|others| others.beside.iter());
        beside.chain([&self.newest]).filter_map(Weak::upgrade)
    }
}

impl Record {
    /// Records the denial of a call.
    pub(super) fn deny(&self, denial: Denial) {
        let Denial { at, permission, scope, hint: _ } = &denial;
        let name = scope.as_ref().map_or_else(|| permission.to_string(), |scope| format!("{permission} {scope}"));
        self.rare().named.note(TallyKind::Denial, &name, *at, None);
        self.rare().denied.put(denial);
    }

    /// Notes whom an allowed call sends to, or which server it asks.
    pub(super) fn reached(&self, kind: TallyKind, name: &str, at: Timestamp) {
        self.rare().named.note(kind, name, at, None);
    }

    /// Notes how a request over the web ended, in either direction, and the bytes of it and of its answer.
    pub(super) fn passed(&self, kind: TallyKind, name: &str, at: Timestamp, traffic: Traffic) {
        self.rare().named.note(kind, name, at, Some(traffic));
    }

    /// Takes what it did since this was last asked, for the audit. `None`: nothing.
    pub fn take_activity(&self, plugin: &PluginId, account: &AccountName) -> Option<Activity> {
        let now = counts(&self.totals(), self.starts.load(Relaxed));
        let mut told = lock(&self.told);
        let more = |(what, count): &Count| {
            let before = told.iter().find(|(told, _)| told == what).map_or(0, |(_, before)| *before);
            let more = count.saturating_sub(before);
            (more > 0).then(|| (what.to_string(), more))
        };
        let mut counts: Vec<_> = now.iter().filter_map(more).collect();
        counts.sort_unstable();
        // No count ever decreases. Most plugins are idle, and keep the slice that they have.
        if !counts.is_empty() {
            *told = now;
        }
        drop(told);
        let (tallies, others) = self.rare.get().map(|rare| rare.named.take()).unwrap_or_default();
        counts.extend(others);
        let is_idle = counts.is_empty() && tallies.is_empty();
        let (plugin, account) = (plugin.to_string(), account.to_string());
        (!is_idle).then_some(Activity { plugin, account, counts, tallies })
    }

    /// Takes back what could not be written, so that it is taken again the next time.
    fn give_back(&self, activity: &Activity) {
        let mut told = lock(&self.told);
        for (what, count) in &mut **told {
            let name = what.to_string();
            let lost = activity.counts.iter().find(|(lost, _)| *lost == name);
            *count = count.saturating_sub(lost.map_or(0, |(_, more)| *more));
        }
        drop(told);
        self.rare().named.give_back(activity);
    }

    /// Counts a start. Returns whether it was not the first one.
    pub(super) fn starts(&self) -> bool {
        self.starts.fetch_add(1, Relaxed) > 0
    }

    /// Counts an automatic restart.
    pub(super) fn restarted(&self) {
        self.rare().restarts.fetch_add(1, Relaxed);
    }

    /// Includes the counters of an instance in the totals from now on.
    pub(super) fn begins(&self, counters: &Arc<Counters>) {
        let mut counted = self.counted();
        let before = mem::replace(&mut counted.newest, Arc::downgrade(counters));
        if before.strong_count() > 0 {
            counted.others.get_or_insert_default().beside.push(before);
        }
    }

    /// Adds the final counts of an instance, after its end.
    pub(super) fn ended(&self, counters: &Arc<Counters>) {
        let mut counted = self.counted();
        let is_this = |one: &Weak<Counters>| std::ptr::eq(one.as_ptr(), Arc::as_ptr(counters));
        let was_beside = counted.others.as_mut().is_some_and(|others| {
            let before = others.beside.len();
            others.beside.retain(|one| !is_this(one));
            others.beside.len() < before
        });
        let is_newest = is_this(&counted.newest);
        if is_newest {
            counted.newest = Weak::new();
        }
        if is_newest || was_beside {
            counted.others.get_or_insert_default().past.add(counters.totals());
        }
    }

    /// Returns the last denied calls, oldest first.
    pub fn denied(&self) -> Vec<Denial> {
        self.rare.get().map(|rare| rare.denied.last()).unwrap_or_default()
    }

    /// Returns how many calls were denied to it so far.
    pub fn denials(&self) -> u64 {
        let counted = self.counted();
        let past = counted.others.as_ref().map_or(0, |others| others.past.denials);
        past + counted.live().map(|counters| counters.denials.load(Relaxed)).sum::<u64>()
    }

    /// Returns how often it was restarted automatically.
    pub fn restarts(&self) -> u64 {
        self.rare.get().map_or(0, |rare| rare.restarts.load(Relaxed))
    }

    /// Returns the totals so far. No count ever decreases.
    pub fn totals(&self) -> Totals {
        let counted = self.counted();
        let mut all = counted.others.as_ref().map(|others| others.past.clone()).unwrap_or_default();
        for counters in counted.live() {
            all.add(counters.totals());
        }
        all.hooks.unjudged = self.rare.get().map_or(0, |rare| rare.unjudged.load(Relaxed));
        all
    }

    /// Returns the queue of its webhooks.
    pub(crate) fn webhook_queue(&self) -> &Arc<Queue> {
        self.rare().webhook_queue.get_or_init(Arc::default)
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        lock(&self.counted)
    }
}

/// Maximum number of contacts that one plugin may have added to an account, or changed there. They are remembered on disk.
pub const MOST_ADDED: usize = 10_000;

/// The records of an account's plugins, and the contacts that each of them added or changed.
#[derive(Debug)]
pub struct Records {
    all: Mutex<BTreeMap<PluginId, Arc<Record>>>,
    own_contacts: Arc<PluginContacts>,
    kept: AddedContacts,
    /// Set once the stored contacts were loaded.
    learned: OnceCell<()>,
}

impl Records {
    /// Creates the records of an account, whose plugins have added or changed these contacts.
    pub fn new(kept: AddedContacts) -> Self {
        Self { all: Mutex::default(), own_contacts: Arc::default(), kept, learned: OnceCell::new() }
    }

    /// Returns the record of this plugin, creating it if there is none.
    pub fn of(&self, plugin: &PluginId) -> Arc<Record> {
        Arc::clone(lock(&self.all).entry(plugin.clone()).or_default())
    }

    /// Returns the record of this plugin, if there is one.
    pub fn find(&self, plugin: &PluginId) -> Option<Arc<Record>> {
        lock(&self.all).get(plugin).map(Arc::clone)
    }

    /// Counts a message or a command that passes without the verdicts of these hooks.
    pub(crate) fn passed_without(&self, hooks: &[PluginId]) {
        for hook in hooks {
            self.of(hook).rare().unjudged.fetch_add(1, Relaxed);
        }
    }

    /// Takes what all plugins did since this was last asked, for the audit.
    pub fn take_activity(&self, account: &AccountName) -> Vec<Activity> {
        let all = lock(&self.all);
        all.iter().filter_map(|(plugin, record)| record.take_activity(plugin, account)).collect()
    }

    /// Takes back the activity of a plugin that could not be written. It is lost if the plugin was removed meanwhile.
    pub fn give_back(&self, activity: &Activity) {
        if let Some(record) = activity.plugin.parse::<PluginId>().ok().and_then(|plugin| self.find(&plugin)) {
            record.give_back(activity);
        }
    }

    /// Drops the records of removed plugins, so that another plugin with such an id starts with an empty one.
    pub fn keep_only(&self, is_there: impl Fn(&PluginId) -> bool) {
        lock(&self.all).retain(|plugin, _| is_there(plugin));
    }
}

/// Locks a mutex that is only held briefly.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use jid::BareJid;
    use parlor_base::permission::Permission;
    use parlor_plugins::limits::Limits;
    use parlor_session::router::Withholder;
    use parlor_store::Store;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    #[tokio::test]
    async fn a_record_goes_on_where_the_instance_before_left_off() {
        let record = Record::default();
        for round in 1..=3 {
            let (instance, _mailbox) = disconnected_instance("", Limits::default());
            record.begins(&instance.counters);
            instance.counters.sent.fetch_add(2, Relaxed);
            instance.deny(Permission::ContactsRead, None);
            instance.mailbox.withheld.count(Permission::MessagesRead.into());
            let running = record.totals();
            record.ended(&instance.counters);
            record.ended(&instance.counters);
            assert_eq!(record.totals(), running, "its end changes no count, however often it is told");
            assert_eq!((running.sent, running.denials), (2 * round, round));
            assert_eq!(record.denials(), round);
            assert_eq!(running.withheld, BTreeMap::from([(Withholder::Permission(Permission::MessagesRead), round)]));
        }
    }

    #[tokio::test]
    async fn what_the_audit_is_told_is_told_once() {
        let (record, echo, main) = (Record::default(), "echo".parse().unwrap(), "main".parse().unwrap());
        assert_eq!(record.take_activity(&echo, &main), None);
        let (instance, _mailbox) = disconnected_instance("", Limits::default());
        record.begins(&instance.counters);
        instance.counters.sent.fetch_add(2, Relaxed);
        record.reached(TallyKind::Recipient, "juliet@example.org", Timestamp::UNIX_EPOCH);
        let activity = record.take_activity(&echo, &main).unwrap();
        assert_eq!(activity.counts, [("sent".to_owned(), 2)]);
        assert_eq!(activity.tallies.len(), 1);
        record.ended(&instance.counters);
        instance.counters.sent.fetch_add(5, Relaxed);
        assert_eq!(record.take_activity(&echo, &main), None, "its end changes no count");
    }

    /// As on a full disk: the owner still learns whom the plugin wrote to.
    #[tokio::test]
    async fn what_could_not_be_written_is_taken_again_with_what_came_since() {
        let records = Records::new(Store::in_memory().added_contacts(&BareJid::new("bot@example.org").unwrap()));
        let (echo, main): (PluginId, AccountName) = ("echo".parse().unwrap(), "main".parse().unwrap());
        let record = records.of(&echo);
        let (instance, _mailbox) = disconnected_instance("", Limits::default());
        record.begins(&instance.counters);
        let at = |second| Timestamp::from_second(second).unwrap();
        instance.counters.sent.fetch_add(2, Relaxed);
        record.reached(TallyKind::Recipient, "juliet@example.org", at(1));
        let lost = records.take_activity(&main);
        instance.counters.sent.fetch_add(1, Relaxed);
        instance.counters.handled.fetch_add(5, Relaxed);
        record.reached(TallyKind::Recipient, "juliet@example.org", at(2));
        for activity in &lost {
            records.give_back(activity);
        }
        let all = records.take_activity(&main);
        let [all] = &all[..] else { panic!("one plugin: {all:?}") };
        assert_eq!(all.counts, [("events".to_owned(), 5), ("sent".to_owned(), 3)]);
        let [juliet] = &all.tallies[..] else { panic!("one recipient: {:?}", all.tallies) };
        assert_eq!((juliet.first, juliet.last, juliet.count), (1_000, 2_000, 2));
        assert!(records.take_activity(&main).is_empty(), "once");
        records.keep_only(|_| false);
        for activity in &lost {
            records.give_back(activity);
        }
        assert!(records.take_activity(&main).is_empty(), "the plugin is gone");
    }

    #[tokio::test]
    async fn the_record_of_a_plugin_that_is_gone_is_dropped() {
        let records = Records::new(Store::in_memory().added_contacts(&BareJid::new("bot@example.org").unwrap()));
        let [echo, other]: [PluginId; 2] = ["echo", "other"].map(|id| id.parse().unwrap());
        records.of(&echo).restarted();
        records.of(&other).restarted();
        records.keep_only(|id| *id == echo);
        assert_eq!((records.of(&echo).restarts(), records.of(&other).restarts()), (1, 0));
    }
}
