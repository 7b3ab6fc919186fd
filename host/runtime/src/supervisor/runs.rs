//! The instances of a plugin, one after another: each is run, watched over, and started again if it failed.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parlor_base::quantity::show_duration;
use parlor_session::router::{MailReceiver, Shadow};
use rand::RngExt as _;
use tokio::sync::oneshot;

use super::dependency::dependencies;
use super::life::InstanceTask;
use super::noted;
use super::parking::{self, Kept};
use super::replacement::{self, Replacement};
use super::turn::StartTurn;
use super::{HANDOVER, Shared, State, lock, schedules};
use crate::catch_up;
use crate::engine::PAUSE_FOR_ROOM;
use crate::instance::{self, Instance, Waits};
use crate::run::{self, Ended, Inherited, Remains, ShutdownMode, Start};
use crate::watchdog::Metered;
use crate::watched::Watched;

/// How long an instance must run for its earlier failures to be forgotten.
const HEALTHY: Duration = Duration::from_mins(1);
/// After this many failures in a row, only the owner can start it again.
const MAX_FAILURES: u32 = 5;
/// The first pause after a failure. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The failures of a plugin in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Failures {
    pub(super) count: u32,
    /// For how many milliseconds its instances have run since the last one, not counting the time that it was parked.
    ran: u32,
}

impl Failures {
    /// Notes another one.
    pub(super) fn add(&mut self) {
        *self = Self { count: self.count + 1, ran: 0 };
    }

    /// Notes that an instance ran for this long. That may be long enough to forget earlier failures.
    pub(super) fn ran(&mut self, time: Duration) {
        self.ran = self.ran.saturating_add(u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        if Duration::from_millis(self.ran.into()) >= HEALTHY {
            *self = Self::default();
        }
    }
}

/// Logs how an instance ended, and sets the state if nothing follows. Returns why another one follows.
fn told(shared: &Shared, ended: Ended, failures: &mut Failures) -> Option<String> {
    let (plugin, account) = (&shared.admitted.id, &shared.account.name);
    Some(match ended {
        // A parked instance was handled before.
        Ended::Stopped | Ended::Parked(_) => {
            has_stopped(shared);
            return None;
        }
        Ended::Declined(words) => {
            noted::declined(shared, &words);
            shared.standing.set_state(State::Refused(words));
            return None;
        }
        // This never causes quarantine, even if it happens often.
        Ended::NoRoom { why, remains: _ } => {
            tracing::warn!(%plugin, %account, reason = %why, "plugin found no room");
            why
        }
        Ended::Failed { why, detail } => {
            failures.add();
            tracing::warn!(%plugin, %account, reason = %why, failures = failures.count, "plugin ended");
            tracing::debug!(%plugin, %account, detail, "how it ended");
            why
        }
    })
}

fn has_stopped(shared: &Shared) {
    noted::ended(shared, shared.standing.shutdown());
    shared.standing.set_state(State::Stopped);
}

/// Waits for the dependencies of a plugin. Returns false if it is not to start.
async fn may_start(shared: &Shared) -> bool {
    let ready = tokio::select! {
        ready = dependencies(shared) => ready,
        () = shared.standing.is_to_end() => {
            shared.standing.set_state(State::Stopped);
            return false;
        }
    };
    if let Err(reason) = ready {
        tracing::error!(plugin = %shared.admitted.id, account = %shared.account.name, %reason, "plugin refused");
        shared.standing.set_state(State::Refused(reason));
        return false;
    }
    true
}

/// Runs the instances of a plugin until it is asked to stop, fails too often, or is parked. A parked plugin continues
/// with its kept state. The large steps are boxed: thousands of plugins may wait for their turn to start at once.
pub(super) async fn supervise(shared: Arc<Shared>, woken: Option<(Kept, Failures)>) {
    if woken.is_none() && !may_start(&shared).await {
        return;
    }
    let (mut kept, mut failures) = woken.map_or_else(Default::default, |(kept, failures)| (Some(kept), failures));
    loop {
        let shutdown = shared.standing.shutdown();
        if let Some(kept) = kept.take_if(|kept| kept.is_done(shutdown)) {
            return Box::pin(forget(&shared, kept)).await;
        }
        let Some(turn) = StartTurn::of(&shared, kept.is_some()).await else { return has_stopped(&shared) };
        let began = Instant::now();
        let (ended, left) = Box::pin(live_once(&shared, kept.take(), turn)).await;
        failures.ran(began.elapsed());
        let is_crowded = matches!(ended, Ended::NoRoom { .. });
        if !is_crowded {
            shared.engine.made_room();
        }
        match left {
            Some(left) if !is_crowded => match Box::pin(parking::park(&shared, left, failures)).await {
                Some((left, _)) => {
                    kept = Some(left);
                    continue;
                }
                None => return,
            },
            left => kept = left,
        }
        if kept.is_none() {
            shared.standing.set_instance(None);
        }
        let Some(why) = told(&shared, ended, &mut failures) else { return };
        if shared.standing.is_beside() {
            // If there was only no room, the code that replaces the plugin tries again.
            let (why, pause) = (why.clone(), PAUSE_FOR_ROOM);
            let state = if is_crowded { State::BackingOff { why, pause } } else { State::Quarantined(why) };
            shared.standing.set_state(state);
            if !replacement::takes_over(&shared.standing).await {
                return;
            }
        }
        if failures.count >= MAX_FAILURES {
            quarantine(&shared, &why, failures.count);
            return;
        }
        let pause = if is_crowded { PAUSE_FOR_ROOM } else { FIRST_PAUSE * 2_u32.pow(failures.count - 1) };
        if !Box::pin(pauses(&shared, why.clone(), pause, is_crowded)).await {
            match kept.take() {
                Some(kept) => Box::pin(forget(&shared, kept)).await,
                None => shared.standing.set_state(State::Stopped),
            }
            return;
        }
        noted::restarted(&shared, &why, is_crowded);
    }
}

fn quarantine(shared: &Shared, why: &str, failures: u32) {
    // The state is set before the log line, so that a reader of the log who asks for the state sees it.
    shared.standing.set_state(State::Quarantined(why.to_owned()));
    noted::quarantined(shared, why);
    tracing::error!(
        plugin = %shared.admitted.id, account = %shared.account.name, reason = %why, failures,
        remedy = "`parlor plugin restart` tries it again; or change its entry in plugins.toml", "plugin quarantined"
    );
}

/// Waits before a plugin is started again. Returns false if it is asked to stop meanwhile.
async fn pauses(shared: &Shared, why: String, pause: Duration, is_crowded: bool) -> bool {
    // Random jitter, so that plugins that failed together do not restart together.
    let pause = pause.mul_f64(shared.account.rng.generator().random_range(0.75..1.25));
    shared.standing.set_state(State::BackingOff { why, pause });
    tokio::select! {
        () = tokio::time::sleep(pause) => true,
        () = shared.engine.room(), if is_crowded => true,
        () = shared.standing.is_to_end() => false,
    }
}

/// Ends an instance that has no guest, and leaves the mail that waits to its successor.
pub(super) async fn forget(shared: &Shared, kept: Kept) {
    let instance = kept.leave(shared);
    shared.account.forget(instance.id).await;
    shared.lasting.record.ended(&instance.counters);
    shared.standing.set_instance(None);
    has_stopped(shared);
}

/// Creates an instance. Also returns what receives the part that the replaced one leaves.
async fn begin(shared: &Shared) -> (Arc<Instance>, MailReceiver, Option<oneshot::Receiver<Inherited>>) {
    shared.account.records.learn(|| Arc::clone(&shared.account.snapshot())).await;
    let (settings, account) = (Arc::clone(&shared.settings), Arc::clone(&shared.account));
    let (lasting, progress) = (Arc::clone(&shared.lasting), shared.progress.clone());
    if let Err(error) = progress.learn_rooms().await {
        let plugin = &shared.admitted.id;
        tracing::warn!(%plugin, account = %account.name, %error, "plugin may be told again what rooms said before");
    }
    let (instance, mailbox) = Instance::new(&shared.admitted, settings, account, lasting, progress);
    shared.lasting.record.begins(&instance.counters);
    shared.standing.set_instance(Some(Arc::clone(&instance)));
    // This follows after the instance is visible: later changes of the grants then reach it too.
    shared.hand_over_grants(&instance);
    let beside = lock(&shared.parking).take_replacement();
    let inherited = match beside {
        None => {
            shared.progress.restart().await;
            None
        }
        Some(Replacement { old, inherited, before: _ }) => {
            instance.account.router.shadow(&instance.mailbox, Shadow::On);
            if let Some(old) = old {
                shared.account.successor(instance.id, old).await;
            }
            Some(inherited)
        }
    };
    (instance, mailbox, inherited)
}

/// Runs one instance from start to end, and removes everything that it registered. If its plugin is parked instead, or
/// was parked and did not fit into the limits, also returns the state that its next run continues with.
async fn live_once(shared: &Arc<Shared>, kept: Option<Kept>, turn: StartTurn) -> (Ended, Option<Kept>) {
    let is_woken = kept.is_some();
    let (instance, mailbox, inherited, rest) = if let Some(Kept { instance, mailbox, rest }) = kept {
        shared.settings.wakes();
        instance::parking::wakes(&instance);
        (instance, mailbox, None, Some(rest))
    } else {
        shared.settings.restart();
        schedules::begin(shared).await;
        let (instance, mailbox, inherited) = begin(shared).await;
        (instance, mailbox, inherited, None)
    };
    let rest = rest.unwrap_or_else(|| lock(&shared.parking).new_rest());
    // The state changes after the instance is set: observers of the state find the instance that may wait for the
    // session.
    shared.standing.set_state(State::Starting);
    let (initialized_sender, initialized) = oneshot::channel();
    let (stop_sender, stop) = oneshot::channel();
    let (alive, gone) = oneshot::channel::<()>();
    let start = Start {
        instance: Arc::clone(&instance),
        compiled: Arc::clone(&shared.compiled),
        engine: Arc::clone(&shared.engine),
        mailbox,
        is_woken,
        initialized: initialized_sender,
        stop,
        inherited,
        rest,
    };
    let life = async move {
        // Declared first, so dropped last: when it is gone, so is the Store.
        let _alive = alive;
        turn.until_polled(pin!(run::run(start))).await
    };
    let allowance = instance.allowance();
    let metered = Metered::new(life, Arc::clone(&instance.cpu), allowance, shared.engine.ticker());
    let mut life = InstanceTask::begin(metered, Arc::clone(&shared.engine), Arc::clone(&instance));
    let started = Started { initialized, is_woken };
    let mut ended = watch_over(shared, &instance, &mut life, started, stop_sender).await;
    // The guest is ended first and then forgotten: a guest that still ran could register something afterwards.
    drop(life);
    let _ = gone.await;
    // Open requests and files hold the instance itself, and connections.
    instance.seldom.end_parts();
    // Every failure counts, including a timeout or a fault in the host. An instance that was started beside another one
    // has not begun any message, and the other one has not completed those that it is handling.
    let failed = matches!(ended, Ended::Failed { .. });
    shared.lasting.failed.store(failed, Relaxed);
    if failed && !shared.standing.is_beside() {
        shared.progress.broke().await;
    }
    let is_kept = is_woken || matches!(ended, Ended::Parked(_));
    if let Some(Remains { mailbox, rest }) = ended.take_remains().filter(|_| is_kept) {
        return (ended, Some(Kept { instance, mailbox, rest }));
    }
    shared.account.forget(instance.id).await;
    // Nothing is routed to it any more, so the counts are final.
    shared.lasting.record.ended(&instance.counters);
    (ended, None)
}

/// Tells when `initialize` has returned.
struct Started {
    initialized: oneshot::Receiver<()>,
    /// Whether the plugin was parked before.
    is_woken: bool,
}

/// Enforces an instance's timeouts until it has ended.
async fn watch_over(
    shared: &Shared,
    instance: &Arc<Instance>,
    life: &mut InstanceTask,
    started: Started,
    stop: oneshot::Sender<ShutdownMode>,
) -> Ended {
    let (Started { initialized, is_woken }, limit) = (started, instance.limits.initialize);
    let mut started = pin!(within_own_time(initialized, instance.waits(), limit, || instance.cpu.kept_waiting()));
    let mut slow = pin!(tokio::time::sleep(limit));
    let is_started = loop {
        tokio::select! {
            biased;
            ended = life.outcome() => return ended,
            started = &mut started => {
                if !started {
                    let why = format!("its initialize did not return within {} (limit `initialize`)", show_duration(limit));
                    return Ended::Failed { why, detail: String::new() };
                }
                break true;
            }
            // The thing that it waits for may never come, and no timeout reports that.
            () = &mut slow, if !slow.is_elapsed() => if instance.waits().with(|waits| waits.for_session > 0) {
                tracing::warn!(
                    plugin = %instance.plugin, account = %shared.account.name,
                    "plugin has not started: its initialize waits for the connection or for another plugin"
                );
            },
            () = shared.standing.is_to_end() => break false,
        }
    };
    if is_started {
        has_started(shared, instance, is_woken).await;
    }
    tokio::select! {
        biased;
        ended = life.outcome() => return ended,
        () = shared.standing.is_to_end() => {}
        never = keep_up(shared, instance) => match never {},
    }
    shared.standing.set_state(State::Stopping);
    let shutdown = shared.standing.shutdown().unwrap_or(ShutdownMode::Now);
    let limit = match shutdown {
        ShutdownMode::Now | ShutdownMode::Host => instance.limits.stop,
        ShutdownMode::Handover => instance.limits.stop.max(HANDOVER),
    };
    // If the instance is already gone, the send fails and `outcome` returns at once.
    let _ = stop.send(shutdown);
    // When the host shuts down, `stop` begins once the mailbox is handled, or the time for that is over.
    let told = lock(&shared.parking).take_unclaimed(Some(shutdown));
    if let Some(told) = told.filter(|_| shutdown == ShutdownMode::Host) {
        let _ = tokio::time::timeout(limit, told).await;
    }
    match tokio::time::timeout(limit, life.outcome()).await {
        Ok(Ended::Failed { why, .. }) => {
            shared.progress.broke().await;
            tracing::warn!(plugin = %instance.plugin, account = %shared.account.name, reason = %why, "plugin failed while stopping");
        }
        // Mail may have come since.
        Ok(parked @ Ended::Parked(_)) => return parked,
        Ok(Ended::Stopped | Ended::Declined(_) | Ended::NoRoom { .. }) => {}
        Err(_) => {
            tracing::warn!(
                plugin = %instance.plugin, account = %shared.account.name,
                "plugin did not stop within {} and was ended", show_duration(limit)
            );
        }
    }
    Ended::Stopped
}

/// Notes that the `initialize` of an instance has returned.
async fn has_started(shared: &Shared, instance: &Instance, is_woken: bool) {
    let (plugin, account) = (&instance.plugin, &shared.account.name);
    if is_woken {
        tracing::debug!(%plugin, %account, "plugin woken");
    } else {
        noted::runs(shared);
    }
    shared.standing.set_state(State::Running);
    if is_woken && instance::parking::is_known_to_session(instance) {
        instance::parking::settle_with_session(instance).await;
    }
}

/// Delivers missed messages to an instance as long as it runs, once it has replaced the one that it was to replace.
async fn keep_up(shared: &Shared, instance: &Arc<Instance>) -> Infallible {
    shared.standing.until(|standing| !standing.is_beside).await;
    catch_up::keep_up(Arc::clone(instance)).await;
    std::future::pending().await
}

/// Waits for `done` for at most `limit` of the plugin's own time. That excludes time in which a call waits for others,
/// and time in which it waits for the CPU (the total of which is `kept_waiting`).
async fn within_own_time(
    mut done: oneshot::Receiver<()>,
    waits: &Watched<Waits>,
    limit: Duration,
    kept_waiting: impl Fn() -> Duration,
) -> bool {
    let (mut left, mut credited) = (limit, kept_waiting());
    loop {
        let waiting = waits.with(|waits| waits.any());
        let began = tokio::time::Instant::now();
        tokio::select! {
            biased;
            started = &mut done => match started {
                Ok(()) => return true,
                // The instance has ended, and its outcome says how.
                Err(_) => std::future::pending().await,
            },
            () = waits.until(|waits| waits.any() != waiting) => {}
            () = tokio::time::sleep(left), if !waiting => {
                let all = kept_waiting();
                left = all.saturating_sub(std::mem::replace(&mut credited, all));
                if left.is_zero() {
                    return false;
                }
                continue;
            }
        }
        if !waiting {
            left = left.saturating_sub(began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    fn own_time_of(
        done: oneshot::Receiver<()>,
        waits: &Arc<Watched<Waits>>,
        limit: Duration,
        kept_waiting: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> JoinHandle<bool> {
        let waits = Arc::clone(waits);
        tokio::spawn(async move { within_own_time(done, &waits, limit, kept_waiting).await })
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_a_plugin_waits_for_the_session_is_not_held_against_it() {
        let (done, receiver) = oneshot::channel();
        let waits = Arc::new(Watched::new(Waits { for_session: 1, for_turn: 0 }));
        let limit = Duration::from_secs(10);
        let own_time = own_time_of(receiver, &waits, limit, || Duration::ZERO);
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(!own_time.is_finished());
        waits.change(|waits| *waits = Waits { for_session: 0, for_turn: 1 });
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(!own_time.is_finished(), "others are served before it");
        waits.change(|waits| *waits = Waits::default());
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(!own_time.is_finished());
        done.send(()).unwrap();
        assert!(own_time.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn an_initialize_that_takes_too_long_of_its_own_time_fails() {
        let (_done, receiver) = oneshot::channel();
        let waits = Arc::<Watched<Waits>>::default();
        let own_time = own_time_of(receiver, &waits, Duration::from_secs(10), || Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(6)).await;
        // A call in between does not restart the time limit.
        waits.change(|waits| *waits = Waits { for_session: 1, for_turn: 0 });
        tokio::time::sleep(Duration::from_mins(1)).await;
        waits.change(|waits| *waits = Waits::default());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(own_time.is_finished());
        assert!(!own_time.await.unwrap());
    }
    #[tokio::test(start_paused = true)]
    async fn time_that_others_have_the_processor_is_not_held_against_a_plugin() {
        let (_done, receiver) = oneshot::channel();
        let waits = Arc::<Watched<Waits>>::default();
        let kept_waiting = Arc::new(std::sync::atomic::AtomicU64::new(5));
        let counted = Arc::clone(&kept_waiting);
        let kept = move || Duration::from_secs(counted.load(Relaxed));
        let own_time = own_time_of(receiver, &waits, Duration::from_secs(10), kept);
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Waiting before the start counts for nothing.
        kept_waiting.store(12, Relaxed);
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(!own_time.is_finished());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(own_time.is_finished());
        assert!(!own_time.await.unwrap());
    }
}
