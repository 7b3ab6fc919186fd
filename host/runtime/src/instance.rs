//! A plugin on an account while it runs: one Store, one task, one mailbox.
//!
//! [`Instance`] is the part that the host's calls use. [`Context`] is the data inside of its Store. Nothing here calls the
//! guest: `run` does, above the calls of `api`.

mod answering;
mod asking;
mod budgets;
mod context;
pub(crate) mod denied;
mod dialogs;
mod handed;
mod lasting;
mod open;
mod open_parts;
pub(crate) mod outgoing;
pub(crate) mod parking;
mod registered;
mod seen_files;
mod seldom;
mod settings;
mod usage;
mod web;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use parlor_base::held::Held;
use parlor_base::id::{InstanceId, PluginId};
use parlor_plugins::admission::Admitted;
use parlor_plugins::limits::Limits;
use parlor_plugins::manifest::Manifest;
use parlor_session::router::{MailReceiver, Mailbox, Setup};
use tokio::time::Instant;

use self::open::Open;
use self::registered::Registrations;
use self::seldom::Seldom;
use crate::account;
use crate::catch_up::CaughtUp;
use crate::ceiling::TakenNow;
use crate::counters::Counters;
use crate::progress::CatchUpProgress;
use crate::settings::OwnSettings;
use crate::watchdog::{self, Allowance};
use crate::watched::Watched;

pub(crate) use self::asking::Waits;
pub use self::budgets::Budgets;
pub use self::context::{Context, Grouping};
pub(crate) use self::dialogs::{Asked, OpenDialog, Resting, resting};
pub(crate) use self::handed::{Handed, at_what};
pub(crate) use self::lasting::Lasting;
pub(crate) use self::open::{Handling, OpenFile, OpenWebRequest, left_unanswered, room_of_handler, turn_lasts};
pub use self::open::{OpenArchiveQuery, OpenCall, PendingIq};
pub use self::registered::Rooms;
pub use self::usage::{Kept, LimitUse, Usage};
pub(crate) use self::web::WebClient;
pub use crate::unanswered::WebhookAnswer;

/// The maximum length of a guest's own text in a status, in bytes.
pub(crate) const LONGEST_REASON: usize = 300;

/// A running plugin as the host's calls see it.
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The owner's id for the plugin.
    pub plugin: PluginId,
    /// The account that it runs for.
    pub account: Arc<account::Shared>,
    /// The queue of its events, with its grants.
    pub mailbox: Arc<Mailbox>,
    /// The resources that it may use.
    pub limits: Arc<Limits>,
    /// Its own settings, and the minimum level of its log lines.
    pub settings: Arc<OwnSettings>,
    /// The CPU time that it used, and the bytes that the host holds for its calls.
    pub cpu: Arc<watchdog::Account>,
    /// The number of its events, stanzas and denied calls.
    pub counters: Arc<Counters>,
    /// The author's manifest.
    pub(crate) manifest: Arc<Manifest>,
    /// The engine resources that it holds.
    pub(crate) taken: TakenNow,
    /// Whether its language raises an error when memory runs out.
    pub(crate) raises: bool,
    /// The time when it started.
    pub(crate) since: Timestamp,
    /// The same time on the monotonic clock.
    began: Instant,
    /// The state that outlives it, such as its rate limits and its schedules.
    pub(crate) lasting: Arc<Lasting>,
    /// The operations that have not ended.
    open: Open,
    /// Its questions to people, its files and its requests over the web.
    pub(crate) seldom: Seldom,
    /// Its commands, timers and promises.
    pub(crate) registered: Registrations,
    /// Whether only handlers of it run: it has started, and is not stopping yet.
    pub(crate) only_handles: AtomicBool,
    /// The calls that wait for others, whose time does not count against the plugin.
    waits: Watched<Waits>,
    /// Its progress in archives, if it catches up.
    pub(crate) progress: CatchUpProgress,
    /// The streams and visits to rooms for which it has caught up, if it does.
    pub(crate) caught_up: Option<Box<CaughtUp>>,
}

impl Instance {
    /// Creates an instance. Also returns the end of its mailbox that [`run`](crate::run::run) reads.
    pub(super) fn new(
        admitted: &Admitted,
        settings: Arc<OwnSettings>,
        account: Arc<account::Shared>,
        lasting: Arc<Lasting>,
        progress: CatchUpProgress,
    ) -> (Arc<Self>, MailReceiver) {
        let id = InstanceId::next();
        let limits = Arc::clone(&admitted.limits);
        let knows_rooms: Weak<account::Shared> = Arc::downgrade(&account);
        let mut setup = Setup {
            catches_up: progress.rooms().cloned(),
            own_contacts: Some(account.records.own_contacts(&admitted.id)),
            account: Some(knows_rooms),
            bounds_conversations: false,
        };
        // The position in an archive must not pass a message that waits, and without it the message would be lost.
        if admitted.manifest.in_order && !progress.is_kept() {
            setup.bounds_conversations = true;
        }
        let (mailbox, receiver) = Mailbox::with(id, limits.mailbox as usize, Arc::clone(&admitted.grants), setup);
        let cpu = Arc::new(watchdog::Account::charged_by(Held::up_to(limits.host_memory.as_usize())));
        // A plugin that may use a whole core all the time is not throttled at its start either.
        if lasting.failed.load(Relaxed) && limits.cpu_share < 1.0 {
            cpu.begin_in_background();
        }
        let counters = Arc::new(Counters::new(Arc::clone(&mailbox), Arc::clone(&cpu)));
        let instance = Self {
            id,
            plugin: admitted.id.clone(),
            mailbox,
            settings,
            cpu,
            counters,
            manifest: Arc::clone(&admitted.manifest),
            taken: TakenNow::default(),
            raises: admitted.raises,
            since: account.clock.now(),
            began: Instant::now(),
            lasting,
            open: Open::default(),
            seldom: Seldom::default(),
            registered: Registrations::default(),
            only_handles: AtomicBool::new(false),
            waits: Watched::default(),
            account,
            caught_up: progress.is_kept().then(Box::default),
            progress,
            limits,
        };
        answering::begin(&instance);
        (Arc::new(instance), receiver)
    }

    /// Returns whether another line about this plugin may be logged, so that no plugin fills the disk. A refused line
    /// is counted, and the count is logged before the next line.
    pub fn may_log(&self) -> bool {
        if self.lasting.budgets.log_lines().take(1.0).is_err() {
            self.counters.log_dropped.fetch_add(1, Relaxed);
            return false;
        }
        let dropped = self.counters.take_dropped();
        if dropped > 0 {
            tracing::warn!(
                target: "plugin", plugin = %self.plugin, account = %self.account.name, dropped, "log lines dropped"
            );
        }
        true
    }

    /// Returns the CPU time that it may use.
    pub(super) fn allowance(&self) -> Allowance {
        Allowance {
            share: self.limits.cpu_share,
            burst: self.limits.cpu_burst,
            slice: self.limits.cpu_slice,
            leaves: self.account.place.is_own(),
        }
    }

    /// Returns whether its `initialize` has not returned.
    pub(crate) fn is_starting(&self) -> bool {
        !self.only_handles.load(Relaxed)
    }
}

#[cfg(test)]
pub mod tests;
