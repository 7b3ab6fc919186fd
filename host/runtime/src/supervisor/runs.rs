//! The instances of a plugin, one after another: each is run, watched over, and started again if it failed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parlor_base::quantity::show_duration;
use parlor_session::router::Shadow;
use rand::RngExt as _;
use tokio::sync::{oneshot, watch};

use super::dependency::dependencies;
use super::life::Life;
use super::replacement::{self, Replacement};
use super::{HANDOVER, Shared, State, lock};
use crate::catch_up;
use crate::engine::PAUSE_FOR_ROOM;
use crate::instance::{Instance, Waits};
use crate::run::{self, Ended, ShutdownMode, Start};
use crate::watchdog::Metered;

/// How long an instance must run for its earlier failures to be forgotten.
const HEALTHY: Duration = Duration::from_mins(1);
/// After this many failures in a row, only the owner can start it again.
const MAX_FAILURES: u32 = 5;
/// The first pause after a failure. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Logs how an instance ended, and sets the state if nothing follows. Returns why another one follows.
fn told(shared: &Shared, ended: Ended, failures: &mut u32) -> Option<String> {
    let (plugin, account) = (&shared.admitted.id, &shared.account.name);
    Some(match ended {
        Ended::Stopped => {
            tracing::info!(%plugin, %account, "plugin stopped");
            shared.state.send_replace(State::Stopped);
            return None;
        }
        Ended::Declined(words) => {
            tracing::warn!(%plugin, %account, reason = %words, "plugin declined to start");
            shared.state.send_replace(State::Refused(words));
            return None;
        }
        // This never leads to quarantine, however often it happens.
        Ended::NoRoom { why, detail } => {
            tracing::warn!(%plugin, %account, reason = %why, "plugin found no room");
            tracing::debug!(%plugin, %account, detail, "what there was no room for");
            why
        }
        Ended::Failed { why, detail } => {
            *failures += 1;
            tracing::warn!(%plugin, %account, reason = %why, failures = *failures, "plugin ended");
            tracing::debug!(%plugin, %account, detail, "how it ended");
            why
        }
    })
}

/// Runs the instances of a plugin until it is asked to stop, or fails too often.
pub(super) async fn supervise(shared: Arc<Shared>, mut stopped: watch::Receiver<Option<ShutdownMode>>) {
    let (plugin, account) = (shared.admitted.id.clone(), shared.account.name.clone());
    let ready = tokio::select! {
        ready = dependencies(&shared) => ready,
        _ = stopped.wait_for(Option::is_some) => {
            shared.state.send_replace(State::Stopped);
            return;
        }
    };
    if let Err(reason) = ready {
        tracing::error!(%plugin, %account, %reason, "plugin refused");
        shared.state.send_replace(State::Refused(reason));
        return;
    }
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let ended = live_once(&shared, &mut stopped).await;
        shared.instance.send_replace(None);
        if began.elapsed() >= HEALTHY {
            failures = 0;
        }
        let is_crowded = matches!(ended, Ended::NoRoom { .. });
        if !is_crowded {
            shared.engine.made_room();
        }
        let Some(why) = told(&shared, ended, &mut failures) else { return };
        if *shared.is_beside.borrow() {
            // If there was only no room, the code that replaces the plugin tries again.
            let (why, pause) = (why.clone(), PAUSE_FOR_ROOM);
            let state = if is_crowded { State::BackingOff { why, pause } } else { State::Quarantined(why) };
            shared.state.send_replace(state);
            if !replacement::takes_over(shared.is_beside.subscribe(), &mut stopped).await {
                return;
            }
        }
        if failures >= MAX_FAILURES {
            // The state is set before the log line, so that a reader of the log who asks for the state sees it.
            shared.state.send_replace(State::Quarantined(why.clone()));
            tracing::error!(
                %plugin, %account, reason = %why, failures,
                remedy = "`parlor plugin restart` tries it again; or change its entry in plugins.toml", "plugin quarantined"
            );
            return;
        }
        let pause = if is_crowded { PAUSE_FOR_ROOM } else { FIRST_PAUSE * 2_u32.pow(failures - 1) };
        // Random jitter, so that plugins that failed together do not restart together.
        let pause = pause.mul_f64(shared.account.rng.generator().random_range(0.75..1.25));
        shared.state.send_replace(State::BackingOff { why, pause });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.engine.room(), if is_crowded => {}
            _ = stopped.wait_for(Option::is_some) => {
                shared.state.send_replace(State::Stopped);
                return;
            }
        }
        if !is_crowded {
            shared.lasting.record.restarted();
        }
    }
}

/// Runs one instance from start to end, and removes everything that it registered.
async fn live_once(shared: &Arc<Shared>, stopped: &mut watch::Receiver<Option<ShutdownMode>>) -> Ended {
    shared.settings.restart();
    shared.account.records.learn().await;
    let (settings, account) = (Arc::clone(&shared.settings), Arc::clone(&shared.account));
    let (log, commands) = (Arc::clone(&shared.log), Arc::clone(&shared.commands));
    let (lasting, progress) = (shared.lasting.clone(), shared.progress.clone());
    if let Err(error) = progress.learn_rooms().await {
        let plugin = &shared.admitted.id;
        tracing::warn!(%plugin, account = %account.name, %error, "plugin may be told again what rooms said before");
    }
    let (instance, mailbox) = Instance::new(&shared.admitted, settings, log, commands, account, lasting, progress);
    shared.lasting.record.begins(&instance.counters);
    shared.instance.send_replace(Some(Arc::clone(&instance)));
    // This follows after the instance is visible: later changes of the grants then reach it too.
    shared.hand_over_grants(&instance);
    let beside = lock(&shared.beside).take();
    let backlog = match beside {
        None => {
            shared.progress.restart().await;
            None
        }
        Some(Replacement { old, backlog, before: _ }) => {
            instance.account.router.shadow(&instance.mailbox, Shadow::On);
            if let Some(old) = old {
                shared.account.successor(instance.id, old).await;
            }
            Some(backlog)
        }
    };
    let (rest_sender, rest) = oneshot::channel();
    *lock(&shared.rest) = Some(rest);
    // The state changes after the instance is set: observers of the state find the instance that may wait for the
    // session.
    shared.state.send_replace(State::Starting);
    let (initialized_sender, initialized) = oneshot::channel();
    let (stop_sender, stop) = oneshot::channel();
    let (alive, gone) = oneshot::channel::<()>();
    let start = Start {
        instance: Arc::clone(&instance),
        compiled: Arc::clone(&shared.compiled),
        engine: Arc::clone(&shared.engine),
        mailbox,
        initialized: initialized_sender,
        stop,
        backlog,
        rest: rest_sender,
    };
    let life = async move {
        // Declared first, so dropped last: when it is gone, so is the Store.
        let _alive = alive;
        run::run(start).await
    };
    let allowance = instance.allowance();
    let metered = Metered::new(life, Arc::clone(&instance.cpu), allowance, shared.engine.ticker());
    let mut life = Life::begin(metered, Arc::clone(&shared.engine), Arc::clone(&instance));
    let ended = watch_over(shared, &instance, &mut life, initialized, stop_sender, stopped).await;
    // The guest is ended first and then forgotten: a guest that still ran could register something afterwards.
    drop(life);
    let _ = gone.await;
    // Every failure counts, including a timeout or a fault in the host. An instance beside another one has not begun
    // with any message, and those that the other one is handling are not done.
    let failed = matches!(ended, Ended::Failed { .. });
    shared.lasting.failed.store(failed, Relaxed);
    if failed && !*shared.is_beside.borrow() {
        shared.progress.broke().await;
    }
    shared.account.forget(instance.id).await;
    // Nothing is routed to it any more, so the counts are final.
    shared.lasting.record.ended(&instance.counters);
    ended
}

/// Enforces an instance's timeouts until it has ended.
async fn watch_over(
    shared: &Shared,
    instance: &Arc<Instance>,
    life: &mut Life,
    initialized: oneshot::Receiver<()>,
    stop: oneshot::Sender<ShutdownMode>,
    stopped: &mut watch::Receiver<Option<ShutdownMode>>,
) -> Ended {
    let limit = instance.limits.initialize;
    let mut started =
        std::pin::pin!(within_own_time(initialized, instance.waits(), limit, || instance.cpu.kept_waiting()));
    let mut slow = std::pin::pin!(tokio::time::sleep(limit));
    loop {
        tokio::select! {
            biased;
            ended = life.outcome() => return ended,
            started = &mut started => {
                if !started {
                    let why = format!("its initialize did not return within {}", show_duration(limit));
                    return Ended::Failed { why, detail: String::new() };
                }
                tracing::info!(plugin = %instance.plugin, account = %shared.account.name, "plugin running");
                shared.state.send_replace(State::Running);
                break;
            }
            // The thing that it waits for may never come, and no timeout reports that.
            () = &mut slow, if !slow.is_elapsed() => if instance.waits().borrow().for_session > 0 {
                tracing::warn!(
                    plugin = %instance.plugin, account = %shared.account.name,
                    "plugin has not started: its initialize waits for the connection or for another plugin"
                );
            },
            _ = stopped.wait_for(Option::is_some) => break,
        }
    }
    tokio::select! {
        biased;
        ended = life.outcome() => return ended,
        _ = stopped.wait_for(Option::is_some) => {}
        never = keep_up(shared, instance) => match never {},
    }
    shared.state.send_replace(State::Stopping);
    let shutdown = stopped.borrow().unwrap_or(ShutdownMode::Now);
    let limit = match shutdown {
        ShutdownMode::Now | ShutdownMode::Host => instance.limits.stop,
        ShutdownMode::Handover => instance.limits.stop.max(HANDOVER),
    };
    // If the instance is already gone, the send fails and `outcome` returns at once.
    let _ = stop.send(shutdown);
    // When the host shuts down, `stop` begins once the mailbox is handled, or the time for that is over.
    let told = if shutdown == ShutdownMode::Host { lock(&shared.rest).take() } else { None };
    if let Some(told) = told {
        let _ = tokio::time::timeout(limit, told).await;
    }
    match tokio::time::timeout(limit, life.outcome()).await {
        Ok(Ended::Failed { why, .. }) => {
            shared.progress.broke().await;
            tracing::warn!(plugin = %instance.plugin, account = %shared.account.name, reason = %why, "plugin failed while stopping");
        }
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

/// Delivers missed messages to an instance as long as it runs, once it has replaced the one that it was to replace.
async fn keep_up(shared: &Shared, instance: &Arc<Instance>) -> Infallible {
    let mut beside = shared.is_beside.subscribe();
    // The sender lives as long as this.
    let _ = beside.wait_for(|beside| !beside).await;
    catch_up::keep_up(Arc::clone(instance)).await;
    std::future::pending().await
}

/// Waits for `done` for at most `limit` of the plugin's own time. That excludes time in which a call waits for others,
/// and time in which it waits for the CPU (the total of which is `kept_waiting`).
async fn within_own_time(
    mut done: oneshot::Receiver<()>,
    mut waits: watch::Receiver<Waits>,
    limit: Duration,
    kept_waiting: impl Fn() -> Duration,
) -> bool {
    let (mut left, mut credited) = (limit, kept_waiting());
    loop {
        let waiting = waits.borrow_and_update().any();
        let began = tokio::time::Instant::now();
        tokio::select! {
            biased;
            started = &mut done => match started {
                Ok(()) => return true,
                // The instance has ended, and its outcome says how.
                Err(_) => std::future::pending().await,
            },
            changed = waits.changed() => if changed.is_err() { std::future::pending().await },
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
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_that_a_plugin_waits_for_the_session_is_not_held_against_it() {
        let (done, receiver) = oneshot::channel();
        let waits = watch::Sender::new(Waits { for_session: 1, for_turn: 0 });
        let limit = Duration::from_secs(10);
        let own_time = tokio::spawn(within_own_time(receiver, waits.subscribe(), limit, || Duration::ZERO));
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(!own_time.is_finished());
        waits.send_replace(Waits { for_session: 0, for_turn: 1 });
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(!own_time.is_finished(), "others are served before it");
        waits.send_replace(Waits::default());
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(!own_time.is_finished());
        done.send(()).unwrap();
        assert!(own_time.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn an_initialize_that_takes_too_long_of_its_own_time_fails() {
        let (_done, receiver) = oneshot::channel();
        let waits = watch::Sender::<Waits>::default();
        let own_time =
            tokio::spawn(within_own_time(receiver, waits.subscribe(), Duration::from_secs(10), || Duration::ZERO));
        tokio::time::sleep(Duration::from_secs(6)).await;
        // A call in between does not restart the time limit.
        waits.send_replace(Waits { for_session: 1, for_turn: 0 });
        tokio::time::sleep(Duration::from_mins(1)).await;
        waits.send_replace(Waits::default());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(own_time.is_finished());
        assert!(!own_time.await.unwrap());
    }
    #[tokio::test(start_paused = true)]
    async fn time_that_others_have_the_processor_is_not_held_against_a_plugin() {
        let (_done, receiver) = oneshot::channel();
        let waits = watch::Sender::<Waits>::default();
        let kept_waiting = Arc::new(std::sync::atomic::AtomicU64::new(5));
        let counted = Arc::clone(&kept_waiting);
        let kept = move || Duration::from_secs(counted.load(Relaxed));
        let own_time = tokio::spawn(within_own_time(receiver, waits.subscribe(), Duration::from_secs(10), kept));
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
