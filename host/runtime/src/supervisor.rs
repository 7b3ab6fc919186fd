//! The lifecycle of one plugin on one account: started, watched, ended, restarted.
//!
//! The supervisor owns the instance's task and is the only one to end it. It also removes everything that was
//! registered under an instance after the instance is gone.

mod dependency;
mod life;
mod reins;
mod settings;
mod succession;

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use dependency::dependencies;
use life::Life;
use parlor_base::id::PluginId;
use parlor_base::log_level::ChosenLevel;
use parlor_base::quantity::show_duration;
use parlor_plugins::admission::Admitted;
use parlor_session::command_names::ChosenNames;
use parlor_session::permissions::Grants;
use parlor_session::router::Shadow;
use parlor_store::Owner;
use rand::RngExt as _;
use succession::Beside;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::account;
use crate::books::Books;
use crate::catch_up;
use crate::engine::{Compiled, Engine, PAUSE_FOR_ROOM};
use crate::instance::{self, Backlog, Ended, Instance, Lasting, Parting, Start, Waits};
use crate::record::Record;
use crate::settings::OwnSettings;
use crate::watchdog::Metered;

pub use dependency::Dependency;
pub use reins::Reins;
pub use succession::Succession;

/// How long an instance must run for its earlier failures to be forgotten.
const HEALTHY: Duration = Duration::from_mins(1);
/// How long running handlers may take to finish when another instance takes over.
const HANDOVER: Duration = Duration::from_secs(10);
/// After this many failures in a row, only the owner can start it again.
const MAX_FAILURES: u32 = 5;
/// The first pause after a failure. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The state of a plugin on one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The plugin is being compiled, and starts afterwards.
    Compiling,
    /// It waits for this plugin to run, on which it depends.
    Waiting(PluginId),
    /// Its `initialize` has not returned.
    Starting,
    /// It handles events.
    Running,
    /// Its `stop` is running.
    Stopping,
    /// It was asked to stop, and is gone.
    Stopped,
    /// Its `initialize` returned an error, with this text.
    Refused(String),
    /// It failed, or there was no room for it. It starts again after the pause.
    BackingOff {
        /// The reason, in one sentence.
        why: String,
        /// The length of the pause.
        pause: Duration,
    },
    /// It failed too often, so the owner has to decide.
    Quarantined(String),
}

impl State {
    /// Returns whether its `initialize` is no longer waited for.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Compiling | Self::Waiting(_) | Self::Starting)
    }

    /// Returns whether it will never run again without the owner.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Stopped | Self::Refused(_) | Self::Quarantined(_))
    }
}

/// A plugin on one account with its supervisor.
pub struct Supervised {
    shared: Arc<Shared>,
    /// The mode in which it is to end, once it is to.
    stop: watch::Sender<Option<Parting>>,
    task: JoinHandle<()>,
}

struct Shared {
    admitted: Arc<Admitted>,
    settings: Arc<OwnSettings>,
    log: Arc<ChosenLevel>,
    commands: Arc<ChosenNames>,
    compiled: Arc<Compiled>,
    engine: Arc<Engine>,
    account: Arc<account::Shared>,
    /// The plugins that it is started after.
    after: Vec<Dependency>,
    /// Set once it no longer waits for any of these.
    has_begun: std::sync::atomic::AtomicBool,
    state: watch::Sender<State>,
    /// The instance that runs now.
    instance: watch::Sender<Option<Arc<Instance>>>,
    /// The state that one instance leaves to the next.
    lasting: Lasting,
    /// Its progress in archives, if it catches up.
    books: Books,
    /// The grants in force: those at admission, or later ones of the owner.
    grants: ArcSwap<Grants>,
    /// Set for a plugin that is to replace another one.
    beside: Mutex<Option<Beside>>,
    /// Whether it was started beside another one that it has not replaced yet.
    is_beside: watch::Sender<bool>,
    /// Receives the events that the running instance has not handled when it is asked to stop.
    rest: Mutex<Option<oneshot::Receiver<Backlog>>>,
}

impl Supervised {
    /// Starts it.
    pub fn start(
        admitted: Arc<Admitted>,
        compiled: Arc<Compiled>,
        engine: Arc<Engine>,
        account: Arc<account::Shared>,
        after: Vec<Dependency>,
    ) -> Self {
        let books = books(&admitted, &account);
        Self::begin(admitted, compiled, engine, account, after, books, None)
    }

    fn begin(
        admitted: Arc<Admitted>,
        compiled: Arc<Compiled>,
        engine: Arc<Engine>,
        account: Arc<account::Shared>,
        after: Vec<Dependency>,
        books: Books,
        beside: Option<Beside>,
    ) -> Self {
        let (grants, log, commands) = (admitted.grants.clone(), admitted.log, admitted.commands.clone());
        let settings = Arc::new(OwnSettings::new(Arc::clone(&admitted.manifest), admitted.settings.0.clone()));
        account.keep_secret(&admitted.id, settings.secrets());
        for (name, other) in account.names.declare(&admitted.id, admitted.manifest.provides()) {
            tracing::warn!(
                plugin = %admitted.id, account = %account.name, name, %other,
                "another plugin provides this name, too: whoever listens believes both"
            );
        }
        let lasting = match &beside {
            Some(beside) => beside.before.passed_on(&admitted.limits),
            None => Lasting::new(&admitted.limits, Arc::default(), account.records.of(&admitted.id)),
        };
        let shared = Arc::new(Shared {
            admitted,
            settings,
            log: Arc::new(ChosenLevel::new(log)),
            commands: Arc::new(ChosenNames::new(commands)),
            compiled,
            engine,
            account,
            after,
            has_begun: std::sync::atomic::AtomicBool::new(false),
            state: watch::Sender::new(State::Starting),
            instance: watch::Sender::new(None),
            lasting,
            books,
            grants: ArcSwap::from_pointee(grants),
            is_beside: watch::Sender::new(beside.is_some()),
            beside: Mutex::new(beside),
            rest: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(None);
        let task = tokio::spawn(supervise(Arc::clone(&shared), stopped));
        Self { shared, stop, task }
    }

    /// Returns the result of its admission.
    pub fn admitted(&self) -> &Arc<Admitted> {
        &self.shared.admitted
    }

    /// Returns a receiver for its state.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Returns the instance that runs now.
    pub fn instance(&self) -> Option<Arc<Instance>> {
        self.shared.instance.borrow().clone()
    }

    /// Returns the plugin's record on this account, which includes earlier instances.
    pub fn record(&self) -> &Record {
        &self.shared.lasting.record
    }

    /// Returns a handle on this plugin for another one that is to be started after it.
    pub fn as_dependency(&self, required: bool) -> Dependency {
        Dependency { required, shared: Arc::clone(&self.shared) }
    }

    /// Waits until its `initialize` has returned or failed, however long it waits for the session.
    pub fn tried(&self) -> impl Future<Output = ()> + use<> {
        let mut state = self.state();
        async move {
            let _ = state.wait_for(State::is_settled).await;
        }
    }

    /// Waits until its `initialize` has returned or failed, or is itself waiting for the session.
    pub fn settled(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.settled().await }
    }

    /// Asks it to stop, and waits until it is gone.
    pub async fn stop(self) {
        self.part(Parting::Now);
        self.gone().await;
    }

    /// Asks it to stop after it has handled the events in its mailbox, since the host shuts down. Waits until it is
    /// gone.
    pub async fn stop_with_the_house(self) {
        self.part(Parting::House);
        self.gone().await;
    }

    /// Asks it to end in this mode, unless it was asked before.
    fn part(&self, parting: Parting) {
        self.stop.send_if_modified(|told| {
            let is_new = told.is_none();
            told.get_or_insert(parting);
            is_new
        });
    }

    async fn gone(self) {
        if let Err(error) = self.task.await {
            tracing::error!(plugin = %self.shared.admitted.id, %error, "the supervisor of a plugin failed");
        }
    }
}

impl Shared {
    async fn settled(&self) {
        let mut state = self.state.subscribe();
        loop {
            let now = state.borrow_and_update().clone();
            if now.is_settled() {
                return;
            }
            tokio::select! {
                () = self.waits_for_session(&now) => return,
                changed = state.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Returns once this plugin, or one that it waits for, waits for the session.
    async fn waits_for_session(&self, state: &State) {
        match state {
            State::Waiting(on) => {
                let dependency = self.after.iter().find(|one| one.shared.admitted.id == *on);
                let Some(dependency) = dependency else { return };
                Box::pin(dependency.shared.settled()).await;
                if dependency.shared.state.borrow().is_settled() {
                    // The dependency runs or failed, so this plugin is started or refused at once, and its own state
                    // changes. If the dependency is backing off, the state is set again when it is retried.
                    std::future::pending::<()>().await;
                }
            }
            _ => some_call_waits(self.instance.subscribe()).await,
        }
    }
}

/// Returns once a call of the instance waits for the session. There may be no instance yet.
async fn some_call_waits(mut instance: watch::Receiver<Option<Arc<Instance>>>) {
    let found = instance.wait_for(Option::is_some).await.ok().and_then(|instance| instance.clone());
    if let Some(instance) = found {
        // The sender is part of the instance, which is held here.
        let _ = instance.waits().wait_for(|waits| waits.for_session > 0).await;
    }
}

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

async fn supervise(shared: Arc<Shared>, mut stopped: watch::Receiver<Option<Parting>>) {
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
            if !succession::takes_over(shared.is_beside.subscribe(), &mut stopped).await {
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
        let pause = pause.mul_f64(shared.account.chance.generator().random_range(0.75..1.25));
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
async fn live_once(shared: &Arc<Shared>, stopped: &mut watch::Receiver<Option<Parting>>) -> Ended {
    shared.settings.restart();
    shared.account.records.learn().await;
    let (settings, account) = (Arc::clone(&shared.settings), Arc::clone(&shared.account));
    let (log, commands) = (Arc::clone(&shared.log), Arc::clone(&shared.commands));
    let (lasting, books) = (shared.lasting.clone(), shared.books.clone());
    if let Err(error) = books.learn_rooms().await {
        let plugin = &shared.admitted.id;
        tracing::warn!(%plugin, account = %account.name, %error, "plugin may be told again what rooms said before");
    }
    let (instance, mailbox) = Instance::new(&shared.admitted, settings, log, commands, account, lasting, books);
    shared.lasting.record.begins(&instance);
    shared.instance.send_replace(Some(Arc::clone(&instance)));
    // This follows after the instance is visible: later changes of the grants then reach it too.
    shared.hand_over_grants(&instance);
    let beside = lock(&shared.beside).take();
    let backlog = match beside {
        None => {
            shared.books.restart().await;
            None
        }
        Some(Beside { old, backlog, before: _ }) => {
            instance.mailbox.shadow(Shadow::On);
            if let Some(old) = old {
                shared.account.heir(instance.id, old).await;
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
        instance::run(start).await
    };
    let allowance = instance::allowance(&instance.limits);
    let metered =
        Metered::new(life, Arc::clone(&instance.cpu), allowance, shared.engine.ticker(), shared.engine.seats());
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
        shared.books.broke().await;
    }
    shared.account.forget(instance.id).await;
    // Nothing is routed to it any more, so the counts are final.
    shared.lasting.record.ended(&instance);
    ended
}

/// Locks a mutex that is only held briefly.
fn lock<T>(what: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enforces an instance's timeouts until it has ended.
async fn watch_over(
    shared: &Shared,
    instance: &Arc<Instance>,
    life: &mut Life,
    initialized: oneshot::Receiver<()>,
    stop: oneshot::Sender<Parting>,
    stopped: &mut watch::Receiver<Option<Parting>>,
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
    let parting = stopped.borrow().unwrap_or(Parting::Now);
    let limit = match parting {
        Parting::Now | Parting::House => instance.limits.stop,
        Parting::Handover => instance.limits.stop.max(HANDOVER),
    };
    // If the instance is already gone, the send fails and `outcome` returns at once.
    let _ = stop.send(parting);
    // When the host shuts down, `stop` begins once the mailbox is handled, or the time for that is over.
    let told = if parting == Parting::House { lock(&shared.rest).take() } else { None };
    if let Some(told) = told {
        let _ = tokio::time::timeout(limit, told).await;
    }
    match tokio::time::timeout(limit, life.outcome()).await {
        Ok(Ended::Failed { why, .. }) => {
            shared.books.broke().await;
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

/// Returns the catch-up progress of a plugin.
fn books(admitted: &Admitted, account: &account::Shared) -> Books {
    if !admitted.manifest.catch_up {
        return Books::default();
    }
    let owner = Owner { account: account.own.clone(), plugin: admitted.id.clone() };
    Books::kept_in(account.data().positions(owner))
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
    use std::pin::pin;

    use futures_util::FutureExt;
    use parlor_plugins::limits::Limits;

    use super::*;

    /// The supervisor sets `Starting` before there is an instance. A caller that waits in that moment must not miss it.
    #[tokio::test]
    async fn an_instance_that_comes_late_is_seen_to_wait() {
        let current = watch::Sender::new(None);
        let mut waiting = pin!(some_call_waits(current.subscribe()));
        assert!(waiting.as_mut().now_or_never().is_none());
        let (instance, _mailbox) = instance::tests::instance("", Limits::default());
        current.send_replace(Some(Arc::clone(&instance)));
        assert!(waiting.as_mut().now_or_never().is_none());
        let _call = instance.waits_for_session();
        assert!(waiting.now_or_never().is_some());
    }

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
