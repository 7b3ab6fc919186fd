//! The host: its accounts, its plugins, and the owner's changes while they run.

mod accounts;
pub(crate) mod actions;
mod adding;
pub(crate) mod audit;
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "only a cluster gives accounts to the host"))]
pub(crate) mod claims;
mod domains;
mod explain;
pub(crate) mod keys;
mod late;
pub(crate) mod lock;
mod moved;
mod newcomers;
mod plugin;
mod plugins;
mod reload;
mod replacing;
mod reserved;
mod sleeping;
mod standing;
mod unknown_settings;
pub(crate) mod webhooks;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::future::join_all;
use jiff::Timestamp;
use late::UncompiledAtStart;
use lock::lock;
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::{Digest, PluginId};
use parlor_config::{AccountName, Config};
use parlor_plugins::components::Components;
use parlor_plugins::policy::hooks::Hooks;
use parlor_plugins::policy::{Entry, Policy, PolicyError};
use parlor_plugins::source::Source;
use parlor_runtime::account::Account;
use parlor_runtime::account::clients::HostClients;
use parlor_runtime::account::foreign::{announce_answered, forget_answerers};
use parlor_runtime::compiler::Compiler;
use parlor_runtime::engine::{Engine, EngineError};
use parlor_runtime::instance::Instance;
use parlor_runtime::order::Strictness;
use parlor_runtime::supervisor::Supervised;
use parlor_runtime::threads::Threads;
use parlor_store::{DataError, OpenError, Store};
use plugin::{Plugin, Standing};
use reload::{Read, hook};
use standing::{Leaving, Left};
use tokio::sync::{Mutex, Notify};

use self::accounts::{open, spread, start_account};
use self::adding::{add_all, prune_cache};
use self::claims::Claims;
use self::domains::Domains;
use self::late::add_ready;
use self::plugins::Plugins;
use self::reserved::{Reserved, is_kept, is_provided_on};
use self::sleeping::Sleepers;
use self::webhooks::WebhookListening;
use crate::memory;

#[cfg(feature = "cluster")]
pub(crate) use accounts::read_configuration_again;
pub use audit::record_accounts;
pub use claims::account_started;
pub use lock::LOCK;
#[cfg(feature = "cluster")]
pub(crate) use reload::{comes, in_force};
pub(crate) use sleeping::{Asleep, wake_named, wake_one, why_awake};
pub use standing::PluginStatus;
pub(crate) use standing::{PluginHealth, health, status_on};

/// Maximum time that plugins may delay the log-in.
const INITIALIZE: Duration = Duration::from_secs(10);

/// Maximum length of the reason for a refusal, in bytes.
const LONGEST_REASON: usize = 4 << 10;

/// A running host.
pub struct Host {
    config: ArcSwap<Config>,
    /// The listening for webhooks.
    pub(crate) listening: WebhookListening,
    engine: Arc<Engine>,
    /// The threads of its accounts.
    threads: Threads,
    /// Data that outlives the process.
    store: Store,
    components: Components,
    /// Held for moments only.
    accounts: std::sync::Mutex<BTreeMap<AccountName, Account>>,
    /// The clients by which it is logged in to them.
    clients: HostClients,
    /// The accounts that a cluster gave to the host.
    claims: Claims,
    /// The addresses of components that sleep.
    sleepers: Sleepers,
    /// The cluster that it is a node of, once it is.
    #[cfg(feature = "cluster")]
    pub(crate) cluster: std::sync::OnceLock<crate::cluster::Member>,
    /// The domains of components, which take the place of a server for accounts that are addresses there.
    pub(crate) domains: Domains,
    pub(crate) plugins: Plugins,
    /// The secrets and names that each plugin has for itself.
    reserved: Reserved,
    /// Plugins that are shutting down, or about to come back.
    leaving: Leaving,
    /// Notified when a new version did not fit into the limits beside the running one.
    crowded: Notify,
    /// Held while plugins or accounts are added, removed or examined, so that no two changes see the same state and
    /// undo each other. `plugins` itself is held for moments only.
    changing: Mutex<()>,
    /// The policy as it was last read. Held for moments only.
    read: std::sync::Mutex<Read>,
    /// The text of the policy that came from another node of a cluster last, and the way by which it came.
    came: ArcSwapOption<(Digest, String)>,
    /// The owner's orders of hooks.
    hooks: ArcSwap<Hooks>,
    /// Why the configuration, as last read, is not in force. None: it is.
    config_fault: ArcSwapOption<String>,
    /// Held while the host runs: one host for each data folder.
    _lock: File,
    began: Timestamp,
    /// The start by a clock that cannot be set.
    stands_since: Instant,
}

/// The reason why the host does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be created or written to.
    #[error("the data folder {path} cannot be used ({cause}): make it writable, or name another with --data", path = path.escaped())]
    Data {
        /// The path of the data folder.
        path: PathBuf,
        /// The error of the file system.
        cause: std::io::Error,
    },
    /// The lock file in it belongs to another user.
    #[error("{path} cannot be opened ({cause}): another user may have run parlor there; give it, and all that lies beside it, to the user that the host runs as", path = path.escaped())]
    Lock {
        /// The path of the lock file.
        path: PathBuf,
        /// The error of the file system.
        cause: std::io::Error,
    },
    /// Another host uses the data folder.
    #[error("another parlor runs with the data folder {}; stop it first, or give this one its own with --data", .0.escaped())]
    Busy(PathBuf),
    /// The plugins' storage cannot be read or written.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The policy cannot be read.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// An account is in a cluster, or on its way, and would run at two places.
    #[error("{0}")]
    Moved(String),
    /// It cannot be read which accounts are in a cluster.
    #[error(transparent)]
    Moves(#[from] DataError),
    /// The configuration has a section `[cluster]`.
    #[cfg(not(feature = "cluster"))]
    #[error("this parlor was built without the feature `cluster`: take [cluster] out of {}, or use one that has it", .0.escaped())]
    NoCluster(PathBuf),
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The reason why a plugin was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The id is taken.
    #[error("there is a plugin {id} already, from {running}; {refused} was not added")]
    Taken {
        /// The id that both plugins use.
        id: PluginId,
        /// The source of the running plugin.
        running: Source,
        /// The source of the new plugin.
        refused: Source,
    },
    /// It may not run, for a reason of one sentence.
    #[error("plugin {id} is refused: {reason}")]
    Refused {
        /// The id of the plugin.
        id: PluginId,
        /// Why it may not run.
        reason: String,
    },
}

impl Host {
    /// Starts the accounts' tasks, compiles and starts all plugins, gives each its chance to listen, and then logs in.
    /// Returns when the log-ins have begun. `compiler` decides where plugins are compiled, and `threads` where accounts
    /// and plugins run.
    pub async fn start(config: Config, compiler: Compiler, threads: Threads) -> Result<Self, StartError> {
        Self::raise(config, compiler, threads, UncompiledAtStart::Awaited).await
    }

    /// Starts the host without waiting for the compiler. Plugins whose machine code is in the cache start before the
    /// log-in. The others start once they are compiled, as if they were added then. For that, the caller must poll
    /// [`Host::tend`].
    pub async fn start_at_once(config: Config, compiler: Compiler, threads: Threads) -> Result<Self, StartError> {
        Self::raise(config, compiler, threads, UncompiledAtStart::LeftBehind).await
    }

    async fn raise(
        config: Config,
        compiler: Compiler,
        threads: Threads,
        uncompiled: UncompiledAtStart,
    ) -> Result<Self, StartError> {
        // First the steps that leave nothing on disk: an unreadable policy must leave no trace.
        let text = Policy::read(&config.plugins)?;
        let policy =
            text.as_deref().map_or_else(|| Ok(Policy::default()), |text| Policy::understand(text, &config.plugins))?;
        #[cfg(not(feature = "cluster"))]
        if config.cluster.is_some() {
            return Err(StartError::NoCluster(config.path));
        }
        let lock = lock(&config.data)?;
        crate::backup::tidy(&config.data);
        #[cfg(feature = "cluster")]
        crate::cluster::tidy(&config.data);
        let engine = Arc::new(Engine::start(compiler, Some(&config.data))?);
        let store = Store::open(&config.data)?;
        moved::check(&config)?;
        let components = Components::new(&config.data);
        if let Err(error) = components.note_policy(&config.plugins) {
            tracing::warn!(%error, "the data folder cannot note its policy: what that names may be removed when another policy is changed that uses this folder");
        }
        let sleepers = sleeping::load(&config, &store).await;
        if !sleepers.are_none() {
            // To read 100,000 addresses takes several times the memory that they keep.
            memory::give_back_now().await;
        }
        let domains = Domains::start(&config, &sleepers);
        let clients = HostClients::default();
        clients.follow(&config);
        // In a cluster, accounts start when the host gets them. Addresses that sleep start when something comes for them.
        let accounts = config.accounts.values().filter(|_| config.cluster.is_none());
        let accounts: BTreeMap<_, _> = accounts
            .filter(|one| !sleepers.have(&one.link.jid.to_bare()))
            .map(|one| (one.name.clone(), start_account(one, store.clone(), threads.place(), &domains, &clients)))
            .collect();
        let host = Self {
            components,
            domains,
            listening: WebhookListening::new(
                config.web.clone(),
                engine.webhooks().watch(),
                engine.webhooks().watch_unread(),
            ),
            config: ArcSwap::from_pointee(config),
            engine,
            threads,
            store,
            accounts: accounts.into(),
            clients,
            claims: Claims::default(),
            sleepers,
            #[cfg(feature = "cluster")]
            cluster: std::sync::OnceLock::new(),
            plugins: Plugins::default(),
            reserved: Reserved::default(),
            leaving: Leaving::default(),
            crowded: Notify::new(),
            changing: Mutex::default(),
            read: Read::of(text.as_deref()).into(),
            came: ArcSwapOption::empty(),
            hooks: ArcSwap::default(),
            config_fault: ArcSwapOption::empty(),
            _lock: lock,
            began: Timestamp::now(),
            stands_since: Instant::now(),
        };
        // Before any plugin runs: nothing must pass a hook that the owner wants.
        hook(&host, policy.hooks.clone());
        let plugins = policy.plugins.clone();
        // Boxed, since it is large and over soon.
        let audited = Box::pin(audit::begin(&host, policy));
        match uncompiled {
            UncompiledAtStart::Awaited => {
                audited.await;
                add_all(&host, plugins).await;
            }
            UncompiledAtStart::LeftBehind => add_ready(&host, plugins, audited).await,
        }
        prune_cache(&host).await;
        open(&host, &host.accounts()).await;
        Ok(host)
    }

    /// Adds a plugin while the host runs. Returns when the plugin's `initialize` has returned or failed, or waits for
    /// the session.
    pub async fn add_plugin(&self, id: PluginId, entry: Entry) -> Result<(), AddError> {
        let changing = self.changing.lock().await;
        if let Some(running) = self.plugins.lock().await.get(&id) {
            return Err(AddError::Taken { id, running: running.entry.source.clone(), refused: entry.source });
        }
        add_all(self, BTreeMap::from([(id.clone(), entry)])).await;
        spread(self).await;
        sleeping::look_again(self);
        let settling = match self.plugins.lock().await.get(&id).map(|plugin| &plugin.standing) {
            Some(Standing::Refused(reason)) => return Err(AddError::Refused { id, reason: reason.clone() }),
            Some(Standing::Admitted { on, .. }) => join_all(on.values().map(Supervised::settled)),
            Some(Standing::Compiling { .. }) | None => return Ok(()),
        };
        // It may take long, and the plugin may be removed meanwhile.
        drop(changing);
        settling.await;
        Ok(())
    }

    /// Removes a plugin while the host runs. Everything that lived for it is gone when this returns. Returns `false` if
    /// there was no plugin with this id.
    pub async fn remove_plugin(&self, id: &PluginId) -> bool {
        let _changing = self.changing.lock().await;
        let was_there = self.take_away(id).await;
        self.forget_declared().await;
        was_there
    }

    /// Restarts a plugin on each of its accounts, by the entry that it ran by, and then the plugins that waited for it.
    /// Returns `false` if there was no plugin with this id.
    pub async fn restart_plugin(&self, id: &PluginId) -> bool {
        let _changing = self.changing.lock().await;
        let Some(entry) = self.plugins.lock().await.get(id).map(Plugin::held) else { return false };
        let is_enabled = entry.enabled;
        // The compiler may have failed because the machine was busy.
        self.engine.try_again(entry.digest);
        self.begin_anew(BTreeMap::from([(id.clone(), entry)])).await;
        spread(self).await;
        self.forget_declared().await;
        if !is_enabled {
            tracing::info!(plugin = %id, "plugin is disabled, and is not started");
        }
        true
    }

    /// Waits until every plugin runs, has failed, or waits for the session.
    pub async fn settled(&self) {
        self.plugins.settled(None).await;
    }

    /// Returns the configuration in force: the one that was last read, except for what only a restart can change.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Returns when the host started.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// Returns how long the host has been running, regardless of changes of the clock.
    pub fn uptime(&self) -> Duration {
        self.stands_since.elapsed()
    }

    /// Ends a plugin. Until this returns, or, for a plugin that comes back, until the returned value is dropped, it is
    /// shown as stopping. Returns `None` if there was no plugin with this id.
    async fn take_out(&self, id: &PluginId) -> Option<Left> {
        let (plugin, left) = {
            let mut plugins = self.plugins.lock().await;
            let plugin = plugins.remove(id)?;
            let all = plugins.values().flat_map(Plugin::supervised);
            let running: Vec<_> = all.filter_map(Supervised::instance).collect();
            let left = self.leaving.begin(id, plugin.rows(id, None, &running, &|_| true));
            (plugin, left)
        };
        plugin.stop().await;
        Some(left)
    }

    /// Ends these plugins and adds them again, by these entries. A version that had not replaced one of them is still
    /// waiting.
    async fn begin_anew(&self, entries: BTreeMap<PluginId, Entry>) {
        let (mut returning, mut waiting) = (Vec::new(), Vec::new());
        for id in entries.keys() {
            if let Some(plugin) = self.plugins.lock().await.get(id) {
                waiting.push((id.clone(), plugin.not_replaced.clone(), plugin.tried.clone()));
            }
            returning.extend(self.take_out(id).await);
        }
        add_all(self, entries).await;
        let mut plugins = self.plugins.lock().await;
        for (id, not_replaced, tried) in waiting {
            if let Some(plugin) = plugins.get_mut(&id) {
                (plugin.not_replaced, plugin.tried) = (not_replaced, tried);
                if plugin.wants_room().is_some() {
                    self.crowded.notify_one();
                }
            }
        }
    }

    /// Forgets the declarations of plugins that were removed or declare other names by now. Called only after a change,
    /// so that a plugin that restarts does not lose its names meanwhile.
    async fn forget_declared(&self) {
        // The counts of those that are gone are lost afterwards.
        audit::count(self).await;
        let plugins = self.plugins.lock().await;
        self.reserved.retain(&plugins);
        let config = self.config();
        for account in self.accounts() {
            account.names.forget_undeclared(|id, name| is_provided_on(&plugins, &config, &account, id, name));
            account.records.keep_only(|id| plugins.contains_key(id));
            let runs = |id: &PluginId| plugins.get(id).is_some_and(|plugin| plugin.on(&account.name).is_some());
            if forget_answerers(&account, runs) {
                announce_answered(&account).await;
            }
            account.forget_secrets(|id, key| is_kept(&plugins, id, key));
        }
    }

    fn strictness(&self) -> Strictness {
        Strictness::of(&self.config.load().settings)
    }

    /// Returns the running instance of a plugin on an account.
    pub async fn instance(&self, id: &PluginId, account: &AccountName) -> Option<Arc<Instance>> {
        match &self.plugins.lock().await.get(id)?.standing {
            Standing::Refused(_) | Standing::Compiling { .. } => None,
            Standing::Admitted { on, .. } => on.get(account)?.instance(),
        }
    }

    /// Stops delivering, lets every plugin handle what it got and shut down, then closes every account, and ends.
    pub async fn stop(self) {
        let accounts = self.accounts.into_inner().unwrap_or_else(PoisonError::into_inner);
        join_all(accounts.values().map(Account::drain)).await;
        let plugins = std::mem::take(&mut *self.plugins.lock().await);
        join_all(plugins.into_values().map(Plugin::stop_with_the_host)).await;
        audit::write(&self.store.audit(), accounts.values().map(Account::shared)).await;
        join_all(accounts.into_values().map(Account::stop)).await;
        self.domains.stop().await;
        self.store.close().await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
