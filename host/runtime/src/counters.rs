//! The activity of plugins in numbers: the counters of an instance, and the sums in a plugin's record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parlor_session::router::{Mailbox, Withholder};
use parlor_store::Traffic;

use crate::unanswered::Verdict;
use crate::watchdog;

/// A plugin's activity in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events that it has handled.
    pub handled: u64,
    /// Stanzas that it has sent.
    pub sent: u64,
    /// Requests that it has made over the web.
    pub requests: u64,
    /// The bytes of these, of files, and of the answers.
    pub web: Traffic,
    /// Calls that its grants were asked about.
    pub calls: u64,
    /// Calls that were denied.
    pub denials: u64,
    /// Events that were lost: its mailbox was full, or they waited when it failed.
    pub lost: u64,
    /// CPU time that it used.
    pub cpu: Duration,
    /// Events that it subscribed to and that were withheld, by what withheld them.
    pub withheld: BTreeMap<Withholder, u64>,
    /// Its verdicts as a hook.
    pub hooks: HookTotals,
}

/// The verdicts of a plugin as a hook, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookTotals {
    /// Messages and commands that it was asked about.
    pub seen: u64,
    /// Messages that it changed.
    pub altered: u64,
    /// Messages that it gave a label.
    pub marked: u64,
    /// Messages and commands that it stopped.
    pub stopped: u64,
    /// Messages and commands about which it gave no verdict in time.
    pub failed: u64,
    /// Messages and commands that passed without its verdict, for whatever reason. The record counts them, and no instance.
    pub unjudged: u64,
}

impl HookTotals {
    fn add(&mut self, more: Self) {
        let Self { seen, altered, marked, stopped, failed, unjudged } = more;
        self.seen += seen;
        self.altered += altered;
        self.marked += marked;
        self.stopped += stopped;
        self.failed += failed;
        self.unjudged += unjudged;
    }
}

impl Totals {
    /// Adds more activity of the same plugin.
    pub(super) fn add(&mut self, more: Self) {
        self.handled += more.handled;
        self.sent += more.sent;
        self.requests += more.requests;
        self.web.add(more.web);
        self.calls += more.calls;
        self.denials += more.denials;
        self.lost += more.lost;
        self.cpu += more.cpu;
        self.hooks.add(more.hooks);
        for (by, count) in more.withheld {
            *self.withheld.entry(by).or_default() += count;
        }
    }
}

/// The work of an instance since it started, in numbers. The record of its plugin reads them for as long as the instance
/// exists.
#[derive(Debug)]
pub struct Counters {
    /// The number of events that it has handled.
    pub handled: AtomicU64,
    /// The number of stanzas that it sent.
    pub sent: AtomicU64,
    /// The number of calls that its grants were asked about.
    pub calls: AtomicU64,
    /// The number of calls that were denied.
    pub denials: AtomicU64,
    /// Counts what most plugins never do, once there is something to count.
    rare: OnceLock<Box<RareCounters>>,
    /// The number of lines that were dropped since one was last logged.
    pub(super) log_dropped: AtomicU64,
    /// Counts the events that it lost, and those that were withheld from it.
    mailbox: Arc<Mailbox>,
    /// Counts the CPU time that it used.
    cpu: Arc<watchdog::Account>,
}

impl Counters {
    /// Creates the counters of an instance with this mailbox and this CPU account.
    pub(super) fn new(mailbox: Arc<Mailbox>, cpu: Arc<watchdog::Account>) -> Self {
        let [handled, sent, calls, denials, log_dropped] = std::array::from_fn(|_| AtomicU64::new(0));
        Self { handled, sent, calls, denials, rare: OnceLock::new(), log_dropped, mailbox, cpu }
    }

    /// Returns what counts its requests over the web.
    pub(super) fn web(&self) -> &WebCounters {
        &self.rare.get_or_init(Box::default).web
    }

    /// Returns what counts its verdicts.
    pub(super) fn hooks(&self) -> &HookCounters {
        &self.rare.get_or_init(Box::default).hooks
    }

    /// Returns the number of lines that were dropped, and resets it.
    pub(super) fn take_dropped(&self) -> u64 {
        self.log_dropped.swap(0, Relaxed)
    }

    /// Returns the counts so far.
    pub fn totals(&self) -> Totals {
        let rare = self.rare.get().map(|rare| (rare.web.totals(), rare.hooks.totals()));
        let ((requests, web), hooks) = rare.unwrap_or_default();
        Totals {
            handled: self.handled.load(Relaxed),
            sent: self.sent.load(Relaxed),
            requests,
            web,
            calls: self.calls.load(Relaxed),
            denials: self.denials.load(Relaxed),
            lost: self.mailbox.lost(),
            cpu: self.cpu.used(),
            withheld: self.mailbox.withheld.counts(),
            hooks,
        }
    }
}

/// The work of an instance that makes requests over the web, or is a hook.
#[derive(Debug, Default)]
struct RareCounters {
    web: WebCounters,
    hooks: HookCounters,
}

/// The requests of an instance over the web, in numbers.
#[derive(Debug, Default)]
pub(super) struct WebCounters {
    /// The number of requests that it made.
    pub(super) requests: AtomicU64,
    /// The bytes that it sent.
    pub(super) sent: AtomicU64,
    /// The bytes that it got.
    pub(super) received: AtomicU64,
}

impl WebCounters {
    /// Returns the number of requests, and the bytes.
    fn totals(&self) -> (u64, Traffic) {
        let traffic = Traffic { sent: self.sent.load(Relaxed), received: self.received.load(Relaxed) };
        (self.requests.load(Relaxed), traffic)
    }
}

/// The verdicts of an instance, in numbers.
#[derive(Debug, Default)]
pub(super) struct HookCounters {
    /// The number of messages and commands that it was asked about.
    pub(super) seen: AtomicU64,
    altered: AtomicU64,
    marked: AtomicU64,
    stopped: AtomicU64,
    /// The number of those about which it gave no verdict in time.
    pub(super) failed: AtomicU64,
}

impl HookCounters {
    /// Counts a verdict.
    pub(super) fn count(&self, verdict: &Verdict) {
        let counter = match verdict {
            Verdict::Allow => return,
            Verdict::Alter(_) => &self.altered,
            Verdict::Mark(_) => &self.marked,
            Verdict::Stop(_) => &self.stopped,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn totals(&self) -> HookTotals {
        HookTotals {
            seen: self.seen.load(Relaxed),
            altered: self.altered.load(Relaxed),
            marked: self.marked.load(Relaxed),
            stopped: self.stopped.load(Relaxed),
            failed: self.failed.load(Relaxed),
            unjudged: 0,
        }
    }
}
