//! A parked plugin: it has no guest and no task. Its mailbox and its next timer hold a waker that starts it again.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parlor_session::router::MailReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

use super::runs::{Failures, forget, supervise};
use super::{Shared, State, Supervised, lock};
use crate::account::PluginNeeds;
use crate::instance::Instance;
use crate::run::{Backlog, ShutdownMode};
use crate::{account, catch_up, instance};

/// The part of an instance that one run leaves to the next.
pub(super) struct Kept {
    pub(super) instance: Arc<Instance>,
    pub(super) mailbox: MailReceiver,
    /// Receives its unhandled events when it is asked to stop. `None` while it is parked.
    pub(super) rest: Option<oneshot::Sender<Backlog>>,
}

impl Kept {
    /// Returns whether its guest is not needed any more to stop in this mode.
    pub(super) fn is_done(&self, shutdown: Option<ShutdownMode>) -> bool {
        match shutdown {
            None => false,
            Some(ShutdownMode::Host) => self.mailbox.is_empty(),
            Some(ShutdownMode::Now | ShutdownMode::Handover) => true,
        }
    }
}

/// A parked plugin.
struct Parked {
    since: Instant,
    kept: Kept,
    failures: Failures,
    alarms: Alarms,
}

/// The causes for which a parked plugin wakes, in addition to its mail.
struct Alarms {
    timer: Option<Pin<Box<Sleep>>>,
    catch_up: Option<BoxFuture<'static, ()>>,
}

impl Alarms {
    /// Sets the alarms of an instance. Must be called on the runtime of its account.
    fn of(instance: &Arc<Instance>) -> Self {
        let due = instance.registered.timers().park();
        Self {
            timer: due.map(|due| Box::pin(tokio::time::sleep_until(due))),
            catch_up: catch_up::falls_behind(instance).map(|behind| Box::pin(behind) as BoxFuture<'_, ()>),
        }
    }

    /// Gives them the waker. Returns whether one is due.
    fn are_due(&mut self, waker: &Waker) -> bool {
        let context = &mut Context::from_waker(waker);
        let is_due = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready());
        is_due || self.catch_up.as_mut().is_some_and(|behind| behind.as_mut().poll(context).is_ready())
    }
}

/// The task of a plugin, or its state while it is parked.
#[derive(Default)]
pub(super) struct Parking {
    /// The task; `None` while it is parked.
    task: Option<JoinHandle<()>>,
    phase: Phase,
}

#[derive(Default)]
enum Phase {
    /// Its task runs.
    #[default]
    Awake,
    /// Its task is about to end. Something may have woken it meanwhile.
    Parking { is_woken: bool },
    /// It is parked.
    Parked(Box<Parked>),
}

impl Parking {
    /// Returns how long it has been parked; `None` if it is not.
    fn parked_for(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Parked(parked) => Some(parked.since.elapsed()),
            Phase::Awake | Phase::Parking { .. } => None,
        }
    }

    /// Takes the task, to wait for its end.
    pub(super) fn take_task(&mut self) -> Option<JoinHandle<()>> {
        self.task.take()
    }

    /// Ends the pause of a plugin that is parked.
    fn take_parked(&mut self) -> Option<Parked> {
        match std::mem::take(&mut self.phase) {
            Phase::Parked(parked) => Some(*parked),
            other => {
                self.phase = other;
                None
            }
        }
    }
}

/// Wakes a plugin. It does not keep it alive.
struct WakeUp(Weak<Shared>);

impl Wake for WakeUp {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            wake(&shared);
        }
    }
}

/// Parks a plugin whose instance is idle and whose guest has ended. The caller, its task, must end afterwards. Returns
/// the instance if it has work by now.
pub(super) async fn park(shared: &Arc<Shared>, mut kept: Kept, failures: Failures) -> Option<(Kept, Failures)> {
    let instance = &kept.instance;
    instance::parking::has_parked(instance);
    if instance::parking::is_known_to_session(instance) {
        account::parking::park(&shared.account, instance.id).await;
    }
    lock(&shared.parking).phase = Phase::Parking { is_woken: false };
    // Not under the lock: these may wake it at once.
    let waker = Waker::from(Arc::new(WakeUp(Arc::downgrade(shared))));
    let mut alarms = Alarms::of(instance);
    let is_due = alarms.are_due(&waker);
    let has_mail = !kept.mailbox.wake_with_mail(waker);
    let mut parking = lock(&shared.parking);
    let is_woken = matches!(parking.phase, Phase::Parking { is_woken: true });
    // `part` sets this first, and then looks whether the plugin is parked.
    if is_due || has_mail || is_woken || shared.standing.shutdown().is_some() {
        parking.phase = Phase::Awake;
        return Some((kept, failures));
    }
    tracing::debug!(plugin = %shared.admitted.id, account = %shared.account.name, "plugin parked");
    shared.standing.set_state(State::Parked);
    (kept.rest, *lock(&shared.rest)) = (None, None);
    parking.phase = Phase::Parked(Box::new(Parked { since: Instant::now(), kept, failures, alarms }));
    // Its memory is freed when the task ends, which is now.
    parking.task = None;
    None
}

impl Supervised {
    /// Returns why the plugin needs its account to run, if it does. Without that, a stanza for the account starts it again, as its
    /// next event would. `quiet` is how long it must have been parked.
    pub fn needs_account(&self, quiet: Duration) -> Option<PluginNeeds> {
        let shared = &self.shared;
        if shared.webhooks.is_some() {
            return Some(PluginNeeds::Webhook);
        }
        if shared.lasting.schedules.are_told() {
            return Some(PluginNeeds::Schedule);
        }
        let is_at_rest = lock(&shared.parking).parked_for().is_some_and(|parked| parked >= quiet);
        let Some(instance) = self.instance().filter(|_| is_at_rest) else { return Some(PluginNeeds::Run) };
        if instance.registered.timers().next_due().is_some() {
            Some(PluginNeeds::Timer)
        } else if instance.registered.has_any_promise() {
            Some(PluginNeeds::Promise)
        } else {
            None
        }
    }
}

/// Starts the task of a plugin.
pub(super) fn begin_task(shared: &Shared, parking: &mut Parking, task: impl Future<Output = ()> + Send + 'static) {
    parking.task = Some(shared.account.place.runtime.spawn(task));
}

/// Starts a parked plugin again.
fn wake(shared: &Arc<Shared>) {
    let mut parking = lock(&shared.parking);
    if let Phase::Parking { is_woken } = &mut parking.phase {
        *is_woken = true;
        return;
    }
    let Some(Parked { mut kept, failures, alarms, .. }) = parking.take_parked() else { return };
    shared.standing.set_state(State::Starting);
    // A successor may ask for the rest before the task has begun.
    kept.rest = Some(new_rest(shared));
    let woken = Arc::clone(shared);
    begin_task(shared, &mut parking, async move {
        // The caller must not drop the alarms: it may be one of them.
        drop(alarms);
        supervise(woken, Some((kept, failures))).await;
    });
}

/// Ends a plugin that is to stop while it is parked. Its guest has no work to do.
pub(super) fn end_if_parked(shared: &Arc<Shared>) {
    let mut parking = lock(&shared.parking);
    let Some(Parked { mut kept, .. }) = parking.take_parked() else { return };
    kept.rest = Some(new_rest(shared));
    let ended = Arc::clone(shared);
    begin_task(shared, &mut parking, async move { forget(&ended, kept).await });
}

/// Lets a successor wait for the events that the instance leaves. Returns where they are to be put.
pub(super) fn new_rest(shared: &Shared) -> oneshot::Sender<Backlog> {
    let (sender, rest) = oneshot::channel();
    *lock(&shared.rest) = Some(rest);
    sender
}

#[cfg(test)]
mod tests;
