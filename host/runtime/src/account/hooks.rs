//! Hooks: plugins that see what passes between people and other plugins, in the owner's order, and give verdicts.
//!
//! A hook is asked by an event, and answers by a call. A message waits for that until the owner's deadline at most. Without
//! hooks everything passes here by one read of a flag.

mod chain;
pub(crate) mod incoming;
mod lines;
pub mod order;
pub(crate) mod outgoing;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use parlor_base::id::{InstanceId, PluginId};
use parlor_base::permission::Permission;
use parlor_plugins::policy::hooks::HookOrder;
use parlor_session::router::Mailbox;
use tokio::time::Instant;

use self::lines::Lines;
use crate::counters::Counters;
use crate::unanswered::{Verdict, Waiting};

/// Interval between two log lines about hooks of one account that gave no verdict.
const QUIET: Duration = Duration::from_secs(10);

/// The kinds of questions to a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// A message that another plugin sends.
    Outgoing,
    /// A received message.
    Incoming,
    /// A command to another plugin.
    Commands,
}

impl Point {
    const ALL: [Self; 3] = [Self::Outgoing, Self::Incoming, Self::Commands];

    /// Returns the name of the event, and the beginning of the ids of its questions.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::Outgoing => "hookOutgoing",
            Self::Incoming => "hookIncoming",
            Self::Commands => "hookCommand",
        }
    }

    /// Returns the key of its order in `plugins.toml`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Outgoing => "outgoing",
            Self::Incoming => "incoming",
            Self::Commands => "commands",
        }
    }

    /// Returns the permission that a hook needs.
    pub(crate) fn permission(self) -> Permission {
        match self {
            Self::Outgoing => Permission::HooksOutgoing,
            Self::Incoming => Permission::HooksIncoming,
            Self::Commands => Permission::HooksCommands,
        }
    }

    /// Returns the point that a plugin is asked about by this permission.
    pub(crate) fn of_permission(permission: Permission) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.permission() == permission)
    }

    /// Returns whether a question with this id is about this.
    pub(crate) fn asked(self, id: &str) -> bool {
        id.strip_prefix(self.event()).is_some_and(|rest| rest.starts_with('-'))
    }

    /// Returns its order.
    pub(crate) fn order(self, all: &HookOrder) -> &[PluginId] {
        match self {
            Self::Outgoing => &all.outgoing,
            Self::Incoming => &all.incoming,
            Self::Commands => &all.commands,
        }
    }
}

/// A running instance that may be asked.
#[derive(Debug)]
pub(crate) struct HookInstance {
    /// Its plugin.
    pub(crate) plugin: PluginId,
    /// The instance.
    pub(crate) instance: InstanceId,
    /// Its mailbox.
    pub(crate) mailbox: Arc<Mailbox>,
    /// The questions that wait for its verdicts.
    pub(crate) waiting: Arc<Waiting<Verdict>>,
    /// Counts them.
    pub(crate) counters: Arc<Counters>,
    /// Maximum size of a question, in bytes: a larger event would end the plugin.
    pub(crate) longest: usize,
}

/// The hooks of one account.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// Whether the order for outgoing messages has any plugin.
    sees_outgoing: AtomicBool,
    /// Whether one of the other orders has any.
    sees_incoming: AtomicBool,
    order: ArcSwap<HookOrder>,
    /// The instances that may be asked. While one is replaced by another, both are there.
    running: Mutex<Vec<Arc<HookInstance>>>,
    /// The messages of plugins that wait for verdicts.
    lines: Arc<Mutex<Lines>>,
    /// The number of questions without a verdict since that was last logged.
    failed: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

impl Hooks {
    /// Returns whether any hook sees what plugins send.
    pub(crate) fn see_outgoing(&self) -> bool {
        self.sees_outgoing.load(Relaxed)
    }

    /// Returns whether any hook sees messages that come, or commands.
    pub(crate) fn see_incoming(&self) -> bool {
        self.sees_incoming.load(Relaxed)
    }

    /// Returns the orders in force.
    pub(crate) fn order(&self) -> Arc<HookOrder> {
        self.order.load_full()
    }

    /// Returns whether a plugin is in one of the orders.
    pub(crate) fn ask(&self, plugin: &PluginId) -> bool {
        let order = self.order.load();
        [&order.outgoing, &order.incoming, &order.commands].into_iter().any(|order| order.contains(plugin))
    }

    /// Sets the orders.
    fn set_order(&self, order: HookOrder) {
        let outgoing = !order.outgoing.is_empty();
        let incoming = !order.incoming.is_empty() || !order.commands.is_empty();
        self.order.store(Arc::new(order));
        self.sees_outgoing.store(outgoing, Relaxed);
        self.sees_incoming.store(incoming, Relaxed);
    }

    /// Notes that an instance may be asked.
    pub(crate) fn add(&self, hook: HookInstance) {
        self.all().push(Arc::new(hook));
    }

    /// Forgets an instance that is gone.
    pub(crate) fn forget(&self, instance: InstanceId) {
        self.all().retain(|hook| hook.instance != instance);
    }

    /// Returns the instance of a plugin that is asked, if it runs.
    pub(crate) fn find(&self, plugin: &PluginId) -> Option<Arc<HookInstance>> {
        let all = self.all();
        all.iter().rfind(|hook| hook.plugin == *plugin && !hook.mailbox.is_shadowed()).cloned()
    }

    /// Counts a question without a verdict. Returns how many there were if it is time to log that.
    fn count_failure(&self) -> Option<u64> {
        let failed = self.failed.fetch_add(1, Relaxed) + 1;
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_some_and(|at| at.elapsed() < QUIET) {
            return None;
        }
        *logged = Some(Instant::now());
        self.failed.fetch_sub(failed, Relaxed);
        Some(failed)
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<HookInstance>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_by_the_beginning_of_its_id() {
        for point in Point::ALL {
            let id = format!("{}-00ff", point.event());
            let of = Point::ALL.into_iter().filter(|one| one.asked(&id));
            assert_eq!(of.collect::<Vec<_>>(), [point]);
        }
        assert!(!Point::Commands.asked("hookCommands-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_and_logged_now_and_then() {
        let hooks = Hooks::default();
        assert_eq!(hooks.count_failure(), Some(1));
        for _ in 0..9 {
            assert_eq!(hooks.count_failure(), None);
        }
        tokio::time::advance(QUIET).await;
        assert_eq!(hooks.count_failure(), Some(10));
        assert_eq!(hooks.count_failure(), None);
    }
}
