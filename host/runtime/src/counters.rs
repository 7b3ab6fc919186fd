//! The activity of plugins in numbers: what an instance counts, and the sums in a plugin's record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parlor_base::permission::Permission;
use parlor_session::router::Mailbox;

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
    /// Calls that were denied.
    pub denials: u64,
    /// Events that were lost because its mailbox was full.
    pub lost: u64,
    /// CPU time that it used.
    pub cpu: Duration,
    /// Events that it subscribed to and that were withheld, by the permission that did not cover them.
    pub withheld: BTreeMap<Permission, u64>,
}

impl Totals {
    /// Adds more activity of the same plugin.
    pub(super) fn add(&mut self, more: Self) {
        self.handled += more.handled;
        self.sent += more.sent;
        self.requests += more.requests;
        self.denials += more.denials;
        self.lost += more.lost;
        self.cpu += more.cpu;
        for (permission, count) in more.withheld {
            *self.withheld.entry(permission).or_default() += count;
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
    /// The number of requests that it made over the web.
    pub requests: AtomicU64,
    /// The number of calls that were denied.
    pub denials: AtomicU64,
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
        let [handled, sent, requests, denials, log_dropped] = std::array::from_fn(|_| AtomicU64::new(0));
        Self { handled, sent, requests, denials, log_dropped, mailbox, cpu }
    }

    /// Returns the number of lines that were dropped, and counts anew.
    pub(super) fn take_dropped(&self) -> u64 {
        self.log_dropped.swap(0, Relaxed)
    }

    /// Returns the counts so far.
    pub fn totals(&self) -> Totals {
        Totals {
            handled: self.handled.load(Relaxed),
            sent: self.sent.load(Relaxed),
            requests: self.requests.load(Relaxed),
            denials: self.denials.load(Relaxed),
            lost: self.mailbox.lost(),
            cpu: self.cpu.used(),
            withheld: self.mailbox.withheld.counts(),
        }
    }
}
