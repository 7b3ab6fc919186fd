//! A parked plugin: it has no guest and no task. Its mailbox and its next timer hold a waker that starts it again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parlor_session::router::MailReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

use super::replacement::Replacement;
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
    /// Receives its unhandled events when it is asked to stop.
    pub(super) rest: oneshot::Sender<Backlog>,
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

    /// Lets no more mail in, and leaves what waits to a successor, if there is one. Returns the instance.
    pub(super) fn leave(self, shared: &Shared) -> Arc<Instance> {
        let Self { instance, mut mailbox, rest } = self;
        mailbox.close();
        drop(lock(&shared.parking).take_unclaimed(shared.standing.shutdown()));
        let left = std::iter::from_fn(|| mailbox.try_recv().ok()).collect();
        // The receiver may be gone.
        let _ = rest.send(left);
        instance
    }
}

/// A parked plugin.
struct Parked {
    since: Instant,
    instance: Arc<Instance>,
    mailbox: MailReceiver,
    failures: Failures,
    /// Its alarms, if it has any.
    alarms: Option<Box<Alarms>>,
}

/// The causes for which a parked plugin wakes, in addition to its mail.
struct Alarms {
    timer: Option<Pin<Box<Sleep>>>,
    catch_up: Option<BoxFuture<'static, ()>>,
}

impl Alarms {
    /// Sets the alarms of an instance, if it has any. Must be called on the runtime of its account.
    fn of(instance: &Arc<Instance>) -> Option<Box<Self>> {
        let due = instance.registered.timers().park();
        let timer = due.map(|due| Box::pin(tokio::time::sleep_until(due)));
        let catch_up = catch_up::falls_behind(instance).map(|behind| Box::pin(behind) as BoxFuture<'_, ()>);
        (timer.is_some() || catch_up.is_some()).then(|| Box::new(Self { timer, catch_up }))
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
    /// Receives the events that the running instance has not handled when it is asked to stop. `None` while it is parked.
    rest: Option<Box<oneshot::Receiver<Backlog>>>,
    /// Set for a plugin that is to replace another one, until its instance begins.
    replacement: Option<Box<Replacement>>,
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
    /// Creates the state of a plugin without a task, which may be to replace another one.
    pub(super) fn of(replacement: Option<Replacement>) -> Self {
        Self { replacement: replacement.map(Box::new), ..Self::default() }
    }

    /// Takes the other plugin that it is to replace.
    pub(super) fn take_replacement(&mut self) -> Option<Replacement> {
        self.replacement.take().map(|replacement| *replacement)
    }

    /// Lets a successor wait for the events that the instance leaves. Returns where they are to be put.
    pub(super) fn new_rest(&mut self) -> oneshot::Sender<Backlog> {
        let (sender, rest) = oneshot::channel();
        self.rest = Some(Box::new(rest));
        sender
    }

    /// Takes what receives these events.
    pub(super) fn take_rest(&mut self) -> Option<Box<oneshot::Receiver<Backlog>>> {
        self.rest.take()
    }

    /// Takes what receives these events, unless a successor does. Kept here, they would never be dropped: a task that waits for how the
    /// handler of one ends keeps this plugin.
    pub(super) fn take_unclaimed(&mut self, shutdown: Option<ShutdownMode>) -> Option<Box<oneshot::Receiver<Backlog>>> {
        if shutdown == Some(ShutdownMode::Handover) { None } else { self.take_rest() }
    }

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

/// Mail and alarms wake a parked plugin. They keep it alive until then: it is parked no longer when its supervisor is dropped.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        wake(&self);
    }
}

/// Parks a plugin whose instance is idle and whose guest has ended. The caller, its task, must end afterwards. Returns
/// the instance if it has work by now.
pub(super) async fn park(shared: &Arc<Shared>, kept: Kept, failures: Failures) -> Option<(Kept, Failures)> {
    let instance = &kept.instance;
    instance::parking::has_parked(instance);
    if instance::parking::is_known_to_session(instance) {
        account::parking::park(&shared.account, instance.id).await;
    }
    lock(&shared.parking).phase = Phase::Parking { is_woken: false };
    // Not under the lock: these may wake it at once.
    let waker = Waker::from(Arc::clone(shared));
    let mut alarms = Alarms::of(instance);
    let is_due = alarms.as_mut().is_some_and(|alarms| alarms.are_due(&waker));
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
    let Kept { instance, mailbox, rest } = kept;
    drop((rest, parking.take_rest()));
    parking.phase = Phase::Parked(Box::new(Parked { since: Instant::now(), instance, mailbox, failures, alarms }));
    // Its memory is freed when the task ends, which is now.
    parking.task = None;
    None
}

impl Supervised {
    /// Returns why the plugin needs its account to run, if it does. Without that, a stanza for the account starts it again, as its
    /// next event would. `quiet` is how long it must have been parked.
    pub fn needs_account(&self, quiet: Duration) -> Option<PluginNeeds> {
        let shared = &self.shared;
        if self.state().is_over() {
            return Some(PluginNeeds::Owner);
        }
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
    let Some(Parked { instance, mailbox, failures, alarms, .. }) = parking.take_parked() else { return };
    shared.standing.set_state(State::Starting);
    // A successor may ask for the rest before the task has begun.
    let kept = Kept { instance, mailbox, rest: parking.new_rest() };
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
    let Some(Parked { instance, mailbox, .. }) = parking.take_parked() else { return };
    let kept = Kept { instance, mailbox, rest: parking.new_rest() };
    let ended = Arc::clone(shared);
    begin_task(shared, &mut parking, async move { forget(&ended, kept).await });
}

#[cfg(test)]
mod tests;
