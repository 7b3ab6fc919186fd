//! The run of an instance, from its first call to its last: it serves its mail, hands it over or finishes it, and says
//! goodbye. Dropping the future of [`run`] ends the instance: only that future holds its parts.

mod detail;
mod ended;
mod idle;
mod mail;
mod store;
mod turns;
mod when_woken;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FusedFuture, FutureExt, join_all};
use futures_util::stream::FuturesUnordered;
use parlor_base::escape::escape_untrusted;
use parlor_session::permissions::Granted;
use parlor_session::router::{Mail, MailReceiver};
use tokio::sync::oneshot;
use tokio::time::Instant;
use wasmtime::component::Accessor;

use self::idle::Idle;
use self::mail::{HandleEvent, Incoming, Spare, SparePlace, fire_timers, handle, is_noted, next_due};
use self::turns::Turns;
use self::when_woken::WhenWoken;
use crate::api;
use crate::bindings::exports::parlor::plugin::guest::Guest;
use crate::engine::{Compiled, Engine};
use crate::instance::{Context, Instance, LONGEST_REASON, parking, resting};
use crate::may_act::next_confirmed;
use crate::progress::Handling;

pub(crate) use self::ended::{Ended, Remains};
pub(crate) use self::mail::{Backlog, Inherited};
pub(crate) use self::store::store;

/// How long a failed plugin may take to send error replies to the users whose commands it was handling.
const ANSWERS: Duration = Duration::from_secs(1);

/// The mode in which an instance is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShutdownMode {
    /// At once: waiting handlers are dropped.
    Now,
    /// Another instance replaces it. Running handlers finish first, so that no message is left half-answered.
    Handover,
    /// The host shuts down and delivers nothing more. Events in the mailbox are handled first, for at most the limit
    /// `stop`. Then the plugin's `stop` has as much time.
    Host,
}

/// Everything that an instance needs to run.
pub(crate) struct Start {
    /// The instance.
    pub instance: Arc<Instance>,
    /// Its code.
    pub compiled: Arc<Compiled>,
    /// The engine that compiled it.
    pub engine: Arc<Engine>,
    /// The receiving end of its mailbox.
    pub mailbox: MailReceiver,
    /// Whether its plugin was parked before.
    pub is_woken: bool,
    /// Notified when `initialize` has returned.
    pub initialized: oneshot::Sender<()>,
    /// Asks it to stop.
    pub stop: oneshot::Receiver<ShutdownMode>,
    /// The part that the replaced instance leaves, whose events come before all others; `None` if it replaces none.
    pub inherited: Option<oneshot::Receiver<Inherited>>,
    /// Receives the events that it has not handled, as soon as it is asked to stop.
    pub rest: oneshot::Sender<Backlog>,
}

/// Runs an instance from its first call to its last.
pub(crate) async fn run(start: Start) -> Ended {
    let instance = Arc::clone(&start.instance);
    match live(start).await {
        Ok(ended) => ended,
        Err(error) => {
            let ended = Ended::by(error, &instance);
            if matches!(ended, Ended::Failed { .. }) {
                log_lost(&instance);
                answer_cut_off(&instance).await;
            }
            ended
        }
    }
}

async fn live(start: Start) -> wasmtime::Result<Ended> {
    let Start { instance, compiled, engine, mailbox, is_woken, initialized, stop, inherited, rest } = start;
    // Declared before the Store, so given back after it is gone.
    let _mappings = match compiled.reserve(engine.mappings()) {
        Ok(mappings) => mappings,
        Err(none) => return Ok(Ended::NoRoom { why: none.to_string(), remains: Some(Remains { mailbox, rest }) }),
    };
    let mut store = store(&engine, &instance);
    let plugin = compiled.pre.instantiate_async(&mut store).await?;
    instance.taken.count(compiled.pre.instance_pre().component());
    let guest = plugin.parlor_plugin_guest();
    let handle_event: HandleEvent = guest.func_handle_event().func().typed(&store)?;
    store
        .run_concurrent(async |accessor| {
            let mail = Incoming::new(mailbox, inherited, Turns::of(&instance));
            let mut running = Running::new(&instance, guest, handle_event, accessor, mail);
            running.is_waking = is_woken;
            // A request to stop may arrive before this call returns. The call is still completed.
            let initialize = pin!(guest.call_initialize(accessor).fuse());
            let served = WhenWoken::new(pin!(running.serve(initialize, initialized, stop))).await?;
            let shutdown = match served {
                Served::Declined(words) => return Ok(Ended::Declined(words)),
                Served::Idle => {
                    let mailbox = running.mail.into_mailbox();
                    return Ok(Ended::Parked(Some(Remains { mailbox, rest })));
                }
                Served::Until(shutdown) => shutdown,
            };
            // Handlers do not wait for people any more.
            instance.seldom.dialogs.end();
            if shutdown == ShutdownMode::Host {
                running.finish_mail().await?;
            }
            running.leave(shutdown, rest);
            if shutdown == ShutdownMode::Handover {
                running.finish_handlers().await?;
            }
            running.say_goodbye().await?;
            Ok(Ended::Stopped)
        })
        .await
        .flatten()
}

/// The reason why an instance stopped serving its mail.
enum Served {
    /// Its `initialize` returned an error, with this text.
    Declined(String),
    /// It was idle for long enough to be parked.
    Idle,
    /// It is to stop in this mode.
    Until(ShutdownMode),
}

/// A guest that runs, with its mail and its handlers.
struct Running<'a> {
    instance: &'a Arc<Instance>,
    guest: &'a Guest,
    handle_event: HandleEvent,
    accessor: &'a Accessor<Context>,
    /// The handlers that have not returned. Before the mail: people whose commands they handle are answered first.
    handlers: FuturesUnordered<BoxFuture<'a, wasmtime::Result<Option<Handling>>>>,
    mail: Incoming,
    /// The maximum number of handlers, not counting the additional one for a timer.
    most: usize,
    spare: Spare,
    /// In a cluster, what the next event waits for: an answer of NATS.
    confirming: Option<BoxFuture<'static, bool>>,
    /// Whether its plugin was parked and its `initialize` has not returned. Mail and timers wait for that: the guest does
    /// not know its subscriptions before.
    is_waking: bool,
}

impl<'a> Running<'a> {
    fn new(
        instance: &'a Arc<Instance>,
        guest: &'a Guest,
        handle_event: HandleEvent,
        accessor: &'a Accessor<Context>,
        mail: Incoming,
    ) -> Self {
        let (handlers, most, spare) = (FuturesUnordered::new(), instance.limits.handlers as usize, Spare::default());
        let (confirming, is_waking) = (None, false);
        Self { instance, guest, handle_event, accessor, handlers, mail, most, spare, confirming, is_waking }
    }

    /// Starts the guest, and gives it mail and timers until it is to stop.
    async fn serve(
        &mut self,
        mut initialize: Pin<&mut impl FusedFuture<Output = wasmtime::Result<Result<(), String>>>>,
        initialized: oneshot::Sender<()>,
        mut stop: oneshot::Receiver<ShutdownMode>,
    ) -> wasmtime::Result<Served> {
        let (instance, mut initialized) = (self.instance, Some(initialized));
        let (mut timer, mut idle) = (pin!(tokio::time::sleep_until(Instant::now())), Idle::of(instance));
        let notify = instance.registered.changes();
        // Kept: a new one would be put into the list of waiters, and taken out again, several times for one event.
        let mut changed = pin!(notify.notified());
        let (mut due, mut host_stops) = (None, false);
        loop {
            let is_full = self.spare.is_needed(self.taken(), self.most);
            let takes_mail = !self.is_waking;
            let may_fire = self.confirming.is_none() && self.spare.is_there(self.taken(), self.most);
            tokio::select! {
                biased;
                result = &mut initialize => {
                    if let Err(words) = result? {
                        return Ok(Served::Declined(escape_untrusted(&words, LONGEST_REASON)));
                    }
                    self.has_started(&mut initialized);
                    if host_stops {
                        return Ok(Served::Until(ShutdownMode::Host));
                    }
                    due = next_due(instance, timer.as_mut());
                    idle.ends();
                }
                Some(result) = self.handlers.next(), if !self.handlers.is_empty() => {
                    has_returned(self.instance, result?).await;
                    idle.ends();
                }
                // If the sender is dropped, the instance is to end.
                shutdown = &mut stop, if !host_stops => match shutdown.unwrap_or(ShutdownMode::Now) {
                    ShutdownMode::Host if self.is_waking => host_stops = true,
                    shutdown => return Ok(Served::Until(shutdown)),
                },
                () = &mut timer, if due.is_some() && may_fire => {
                    let at_once = is_full || self.mail.is_held_up();
                    if at_once && self.waits_for_cluster() {
                        // It stays due.
                    } else if let Some(mail) = fire_timers(instance, at_once) {
                        let place = Some(self.spare.take());
                        self.begin(mail, place).await;
                    }
                    due = next_due(instance, timer.as_mut());
                    idle.ends();
                }
                () = &mut changed, if takes_mail => {
                    changed.set(notify.notified());
                    due = next_due(instance, timer.as_mut());
                }
                mail = self.mail.next(), if takes_mail && !is_full && self.confirming.is_none() => {
                    let Some(mail) = mail else { return Ok(Served::Until(ShutdownMode::Now)) };
                    self.begin_confirmed(mail).await;
                    idle.ends();
                }
                is_confirmed = next_confirmed(&mut self.confirming), if self.confirming.is_some() => {
                    self.confirming = None;
                    // If there is no place, a timer waited for the answer.
                    if !is_full && let Some(mail) = self.mail.waiting().filter(|_| is_confirmed) {
                        self.begin(mail, None).await;
                    }
                    idle.ends();
                }
                () = idle.lasts(instance), if self.may_park() => if self.parks() {
                    return Ok(Served::Idle);
                } else {
                    idle.ends();
                },
            }
        }
    }

    /// Returns how many places handlers take. A handler that waits for the answer to a question takes none.
    fn taken(&self) -> usize {
        self.handlers.len().saturating_sub(resting(self.instance))
    }

    /// Notes that `initialize` has returned.
    fn has_started(&mut self, initialized: &mut Option<oneshot::Sender<()>>) {
        self.instance.only_handles.store(true, Relaxed);
        if std::mem::take(&mut self.is_waking) {
            parking::has_woken(self.instance);
        }
        if let Some(initialized) = initialized.take() {
            // The supervisor may have given up meanwhile, and then stops this instance.
            let _ = initialized.send(());
        }
    }

    /// Returns whether it has started and no handler of it runs.
    fn may_park(&self) -> bool {
        !self.instance.is_starting() && self.handlers.is_empty() && self.confirming.is_none()
    }

    /// Keeps its subscriptions for the next run, unless mail waits. Returns whether it did.
    fn parks(&self) -> bool {
        let (router, mailbox) = (&self.instance.account.router, &self.instance.mailbox);
        // Park first: events that end a subscription from now on wait for the next run.
        router.park(mailbox);
        let is_idle = self.mail.is_empty();
        if !is_idle {
            router.end_unclaimed(mailbox);
        }
        is_idle
    }

    /// Begins to handle mail, in a cluster once NATS has answered. Mail whose handling nothing notes waits only if NATS has not answered a
    /// moment ago. Meanwhile the handlers that run go on.
    async fn begin_confirmed(&mut self, mail: Box<Mail>) {
        self.confirming = self.instance.account.may_act.before(is_noted(self.instance, &mail));
        match self.confirming {
            Some(_) => self.mail.put_back(mail),
            None => self.begin(mail, None).await,
        }
    }

    /// Returns whether a timer that is handled at once has to wait until the cluster has answered. Asks it if so.
    fn waits_for_cluster(&mut self) -> bool {
        self.confirming = self.instance.account.may_act.before(false);
        self.confirming.is_some()
    }

    /// Begins to handle mail, unless another node of a cluster may have the account: the mail is not handled here then.
    async fn begin(&mut self, mail: Box<Mail>, place: Option<SparePlace>) {
        if !self.instance.account.may_act.now() {
            return;
        }
        self.instance.cpu.has_begun();
        let handler = handle(self.instance, self.handle_event, self.accessor, mail, place, &mut self.mail).await;
        self.handlers.extend(handler.map(FutureExt::boxed));
    }

    /// Handles the mail that waits, for at most the limit `stop`. The rest is lost, except that a plugin that catches up
    /// gets the messages again.
    async fn finish_mail(&mut self) -> wasmtime::Result<()> {
        let limit = self.instance.limits.stop;
        let finished = async {
            loop {
                while self.taken() < self.most
                    && let Some(mail) = self.mail.waiting()
                {
                    let Some(confirmed) = self.instance.account.may_act.confirmed() else {
                        self.begin(mail, None).await;
                        continue;
                    };
                    // If there is no time left for it, it is left to the instance that follows.
                    self.mail.put_back(mail);
                    tokio::select! {
                        _ = confirmed => if let Some(mail) = self.mail.waiting() {
                            self.begin(mail, None).await;
                        },
                        Some(result) = self.handlers.next(), if !self.handlers.is_empty() => {
                            has_returned(self.instance, result?).await;
                        }
                    }
                }
                let Some(result) = self.handlers.next().await else { return Ok(()) };
                has_returned(self.instance, result?).await;
            }
        };
        tokio::time::timeout(limit, finished).await.unwrap_or(Ok(()))
    }

    /// Takes no more mail, and leaves what it has not handled to the instance that follows. Running handlers may finish
    /// during `stop`; the supervisor's timeout limits both.
    fn leave(&mut self, shutdown: ShutdownMode, rest: oneshot::Sender<Backlog>) {
        let (instance, left) = (self.instance, self.mail.close());
        if shutdown == ShutdownMode::Host && !left.is_empty() {
            tracing::warn!(
                plugin = %instance.plugin, account = %instance.account.name, left = left.len(),
                "plugin did not come to handle all that it was told"
            );
        }
        // The receiver may be gone.
        let _ = rest.send(left);
    }

    async fn finish_handlers(&mut self) -> wasmtime::Result<()> {
        while let Some(result) = self.handlers.next().await {
            has_returned(self.instance, result?).await;
        }
        Ok(())
    }

    /// Calls the guest's `stop`, concurrently with the handlers that still run.
    async fn say_goodbye(&mut self) -> wasmtime::Result<()> {
        self.instance.only_handles.store(false, Relaxed);
        let mut goodbye = pin!(self.guest.call_stop(self.accessor).fuse());
        loop {
            tokio::select! {
                biased;
                result = &mut goodbye => return result,
                Some(result) = self.handlers.next(), if !self.handlers.is_empty() => {
                    self.instance.progress.returned(result?).await;
                }
            }
        }
    }
}

/// Logs how many events waited when the instance failed. They are lost with its mailbox, which is gone.
fn log_lost(instance: &Instance) {
    let lost = instance.mailbox.take_lost();
    if lost > 0 {
        tracing::info!(plugin = %instance.plugin, account = %instance.account.name, lost, "plugin failed, events lost");
    }
}

/// Sends error replies to the users whose commands the instance was handling when it failed, or that waited for their turn. The
/// next instance starts even if that fails.
async fn answer_cut_off(instance: &Instance) {
    let unanswered = instance.take_unanswered();
    let answers = unanswered.into_iter().map(|command| api::commands::failed(instance, &Granted::HOST, command));
    let _ = tokio::time::timeout(ANSWERS, join_all(answers)).await;
}

/// Counts a handler that has returned.
async fn has_returned(instance: &Instance, handling: Option<Handling>) {
    instance.cpu.has_returned();
    instance.progress.returned(handling).await;
    instance.counters.handled.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests;
