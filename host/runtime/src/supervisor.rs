//! The lifecycle of one plugin on one account: started, watched, ended, restarted.
//!
//! The supervisor owns the instance's task and is the only one to end it. It also removes everything that was
//! registered under an instance after the instance is gone.

mod dependency;
mod grant_handle;
mod iqs;
mod life;
mod noted;
mod parking;
mod replacement;
mod runs;
mod schedules;
mod settings;
mod staying;
mod turn;
mod webhooks;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::OptionFuture;
use parlor_base::id::PluginId;
use parlor_plugins::admission::Admitted;
use parlor_session::permissions::Grants;
use parlor_store::Owner;

use self::iqs::Iqs;
use self::parking::Parking;
use self::replacement::Replacement;
use self::runs::supervise;
use crate::account;
use crate::engine::{Compiled, Engine};
use crate::instance::{Instance, Lasting};
use crate::progress::CatchUpProgress;
use crate::record::Record;
use crate::run::ShutdownMode;
use crate::settings::OwnSettings;
use crate::watched::Watched;
use crate::webhooks::Webhooks;

pub use dependency::Dependency;
pub use grant_handle::GrantHandle;
pub use replacement::Successor;
pub use webhooks::door::{Candidate, Door, Verified};
pub use webhooks::reply::Reply;

/// How long running handlers may take to finish when another instance takes over.
const HANDOVER: Duration = Duration::from_secs(10);
/// The state of a plugin on one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// The plugin is being compiled, and starts afterwards.
    Compiling,
    /// It waits for this plugin to run, on which it depends.
    Waiting(PluginId),
    /// Its `initialize` has not returned.
    #[default]
    Starting,
    /// It handles events.
    Running,
    /// It had nothing to do, so it has no instance. The next event starts one.
    Parked,
    /// Its `stop` is running.
    Stopping,
    /// It was asked to stop, and is gone.
    Stopped,
    /// Its `initialize` returned an error, with this text.
    Refused(String),
    /// It failed, or did not fit into the limits. It starts again after the pause.
    BackingOff {
        /// The reason, in one sentence.
        why: String,
        /// The length of the pause.
        pause: Duration,
    },
    /// It failed too often, so the owner must decide.
    Quarantined(String),
}

impl State {
    /// Returns whether other plugins no longer wait for its `initialize`.
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
    pub(crate) shared: Arc<Shared>,
}

/// How a plugin stands on one account, for all who wait for a change of that.
#[derive(Default)]
struct Standing {
    state: State,
    /// The instance that runs now, or that is parked.
    instance: Option<Arc<Instance>>,
    /// The mode in which it is to end, once it is to.
    shutdown: Option<ShutdownMode>,
    /// Whether it was started beside another one that it has not replaced yet.
    is_beside: bool,
    /// Whether it no longer waits for any of the plugins that it is started after.
    has_begun: bool,
}

impl Watched<Standing> {
    fn state(&self) -> State {
        self.with(|standing| standing.state.clone())
    }

    fn set_state(&self, state: State) {
        self.change(|standing| standing.state = state);
    }

    fn set_instance(&self, instance: Option<Arc<Instance>>) {
        self.change(|standing| standing.instance = instance);
    }

    /// Returns whether it was started beside another one that it has not replaced yet.
    fn is_beside(&self) -> bool {
        self.with(|standing| standing.is_beside)
    }

    /// Notes that it has replaced the other one.
    fn has_replaced(&self) {
        self.change(|standing| standing.is_beside = false);
    }

    /// Returns the mode in which it is to end, once it is to.
    fn shutdown(&self) -> Option<ShutdownMode> {
        self.with(|standing| standing.shutdown)
    }

    /// Waits until it is to end.
    async fn is_to_end(&self) {
        self.until(|standing| standing.shutdown.is_some()).await;
    }
}

pub(crate) struct Shared {
    pub(crate) admitted: Arc<Admitted>,
    pub(crate) settings: Arc<OwnSettings>,
    compiled: Arc<Compiled>,
    engine: Arc<Engine>,
    pub(crate) account: Arc<account::Shared>,
    /// The plugins that it is started after.
    after: Box<[Dependency]>,
    standing: Watched<Standing>,
    /// Its task while it runs, and its remaining state while it is parked.
    parking: Mutex<Parking>,
    /// The state that one instance leaves to the next.
    lasting: Arc<Lasting>,
    /// Its progress in archives, if it catches up.
    progress: CatchUpProgress,
    /// Its webhooks, if it has any.
    pub(crate) webhooks: Option<Arc<Webhooks>>,
    /// The requests (IQs) of others that it answers, if it may answer any. Boxed, since few plugins do.
    iqs: Option<Box<Iqs>>,
    /// The grants in force: those at admission, or later ones of the owner.
    pub(crate) grants: ArcSwap<Grants>,
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
        let progress = progress(&admitted, &account);
        Self::begin(admitted, compiled, engine, account, after, progress, None)
    }

    fn begin(
        admitted: Arc<Admitted>,
        compiled: Arc<Compiled>,
        engine: Arc<Engine>,
        account: Arc<account::Shared>,
        after: Vec<Dependency>,
        progress: CatchUpProgress,
        beside: Option<Replacement>,
    ) -> Self {
        let grants = Arc::clone(&admitted.grants);
        let settings = Arc::new(OwnSettings::new(
            Arc::clone(&admitted.manifest),
            admitted.settings.0.clone(),
            admitted.settings_in.clone(),
        ));
        settings.log.set(admitted.log);
        account.keep_secret(&admitted.id, settings.secrets());
        for (name, other) in account.names.declare(&admitted.id, admitted.manifest.provides()) {
            tracing::warn!(
                plugin = %admitted.id, account = %account.name, name, %other,
                "another plugin provides this name, too: whoever listens believes both"
            );
        }
        let (iqs, requests) = Iqs::of(&admitted, &account).unzip();
        let tokens = beside.as_ref().and_then(|beside| beside.before.webhooks.clone()).unwrap_or_default();
        let webhooks = Webhooks::of(&admitted, &settings, &account, engine.webhooks(), tokens);
        let mut lasting = match &beside {
            Some(beside) => beside.before.passed_on(&admitted.limits),
            None => Lasting::new(&admitted.limits, account.records.of(&admitted.id)),
        };
        lasting.name_commands(admitted.commands.clone());
        lasting.webhooks = webhooks.as_ref().map(|webhooks| Arc::clone(&webhooks.tokens));
        let shared = Arc::new(Shared {
            admitted,
            settings,
            compiled,
            engine,
            account,
            after: after.into_boxed_slice(),
            standing: Watched::new(Standing { is_beside: beside.is_some(), ..Standing::default() }),
            parking: Mutex::new(Parking::of(beside)),
            lasting: Arc::new(lasting),
            progress,
            webhooks,
            iqs: iqs.map(Box::new),
            grants: ArcSwap::new(grants),
        });
        webhooks::begin(&shared);
        iqs::begin(&shared, requests);
        // The thread that adds plugins makes a few bytes of the task. The rest is made on the thread of the account, where later
        // instances use the memory again.
        let begun = Arc::clone(&shared);
        let task = async move { Box::pin(supervise(begun, None)).await };
        parking::begin_task(&shared, &mut lock(&shared.parking), task);
        Self { shared }
    }

    /// Returns the account that it runs on.
    pub fn account(&self) -> &Arc<account::Shared> {
        &self.shared.account
    }

    /// Returns the result of its admission.
    pub fn admitted(&self) -> &Arc<Admitted> {
        &self.shared.admitted
    }

    /// Returns its state.
    pub fn state(&self) -> State {
        self.shared.standing.state()
    }

    /// Waits until its state is as wanted, and returns it.
    pub fn until<F: Fn(&State) -> bool>(&self, is_wanted: F) -> impl Future<Output = State> + use<F> {
        let shared = Arc::clone(&self.shared);
        async move { shared.standing.pick(|standing| is_wanted(&standing.state).then(|| standing.state.clone())).await }
    }

    /// Returns the instance that runs now, or that is parked.
    pub fn instance(&self) -> Option<Arc<Instance>> {
        self.shared.standing.with(|standing| standing.instance.clone())
    }

    /// Returns the plugin's record on this account, which includes earlier instances.
    pub fn record(&self) -> &Record {
        &self.shared.lasting.record
    }

    /// Returns a handle on this plugin for another one that starts after it.
    pub fn as_dependency(&self, required: bool) -> Dependency {
        Dependency { required, shared: Arc::clone(&self.shared) }
    }

    /// Waits until its `initialize` has returned or failed, however long it waits for the session.
    pub fn tried(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.standing.until(|standing| standing.state.is_settled()).await }
    }

    /// Waits until its `initialize` has returned or failed, or is itself waiting for the session.
    pub fn settled(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.settled().await }
    }

    /// Asks it to stop, and waits until it is gone.
    pub async fn stop(self) {
        self.part(ShutdownMode::Now);
        self.gone().await;
    }

    /// Asks it to stop after it has handled the events in its mailbox, since the host shuts down. Waits until it is
    /// gone.
    pub async fn stop_with_the_host(self) {
        self.part(ShutdownMode::Host);
        self.gone().await;
    }

    /// Asks it to end in this mode, unless it was asked before.
    fn part(&self, shutdown: ShutdownMode) {
        self.shared.standing.change(|standing| _ = standing.shutdown.get_or_insert(shutdown));
        parking::end_if_parked(&self.shared);
    }

    async fn gone(self) {
        let task = lock(&self.shared.parking).take_task();
        if let Some(Err(error)) = OptionFuture::from(task).await {
            tracing::error!(plugin = %self.shared.admitted.id, %error, "the supervisor of a plugin failed");
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.part(ShutdownMode::Now);
    }
}

impl Shared {
    async fn settled(&self) {
        loop {
            let now = self.standing.state();
            if now.is_settled() {
                return;
            }
            tokio::select! {
                () = self.waits_for_session(&now) => return,
                () = self.standing.until(|standing| standing.state != now) => {}
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
                if dependency.shared.standing.state().is_settled() {
                    // The dependency runs or failed, so this plugin is started or refused at once, and its own state
                    // changes. If the dependency is backing off, the state is set again when it is retried.
                    std::future::pending::<()>().await;
                }
            }
            _ => some_call_waits(&self.standing).await,
        }
    }
}

/// Returns once a call of the instance waits for the session. There may be no instance yet.
async fn some_call_waits(standing: &Watched<Standing>) {
    let instance = standing.pick(|standing| standing.instance.clone()).await;
    instance.waits().until(|waits| waits.for_session > 0).await;
}

/// Locks a mutex that is only held briefly.
fn lock<T>(what: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the catch-up progress of a plugin.
pub(crate) fn progress(admitted: &Admitted, account: &account::Shared) -> CatchUpProgress {
    if !admitted.manifest.catch_up {
        return CatchUpProgress::default();
    }
    let owner = Owner { account: account.own.clone(), plugin: admitted.id.clone() };
    CatchUpProgress::kept_in(account.data().positions(owner))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use parlor_plugins::limits::Limits;

    use super::*;
    use crate::instance;

    /// Returns the size of the future that a function with two arguments returns.
    fn size_of_future<A, B, F: Future>(_function: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// Each plugin of a host has one while it waits for its turn to start. Freed ones leave gaps between the values that
    /// the plugins keep, and the system gets back only whole pages.
    #[test]
    fn a_plugin_that_waits_for_its_turn_takes_little() {
        let size = size_of_future(supervise);
        assert!(size <= 1024, "{size} bytes");
    }

    /// The supervisor sets `Starting` before there is an instance. A caller that waits in that moment must not miss it.
    #[tokio::test]
    async fn an_instance_that_comes_late_is_seen_to_wait() {
        let current = Watched::<Standing>::default();
        let mut waiting = pin!(some_call_waits(&current));
        assert!(waiting.as_mut().now_or_never().is_none());
        let (instance, _mailbox) = instance::tests::instance("", Limits::default());
        current.change(|standing| standing.instance = Some(Arc::clone(&instance)));
        assert!(waiting.as_mut().now_or_never().is_none());
        let _call = instance.waits_for_session();
        assert!(waiting.now_or_never().is_some());
    }
}
