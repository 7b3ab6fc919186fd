//! The accounts of a host: which there are, which plugins run on them, and changes of their configuration while the
//! host runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use futures_util::future::join_all;
use parlor_base::clock::Clock;
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, AccountName, Config, GroupName, Settings};
use parlor_plugins::approved::ReadFiles;
use parlor_plugins::policy::Entry;
use parlor_runtime::account::clients::HostClients;
use parlor_runtime::account::hooks::order::set_order;
use parlor_runtime::account::{Account, Asker, Backing, Connection, Shared};
use parlor_runtime::loading::Loaded;
use parlor_runtime::order::{self, Strictness};
use parlor_runtime::supervisor::{Dependency, Supervised};
use parlor_runtime::threads::Place;
use parlor_session::ForgetCommands;
use parlor_session::permissions::Granted;
use parlor_store::By;
use serde_json::Value;
use tokio::sync::watch;

use super::adding::{load_plugin, prune_cache};
use super::domains::{Domains, without_on_nodes};
use super::plugin::{Plugin, Standing, chosen, dependencies};
use super::plugins::all_is_stored;
use super::unknown_settings::warn_of_unknown_settings;
use super::{Host, INITIALIZE, audit, claims, moved, sleeping};

/// Names of a plugin's settings, each with the value in force.
type Wins = BTreeMap<String, Option<Value>>;

impl Host {
    /// Returns the accounts of the host.
    pub fn accounts(&self) -> Vec<Arc<Shared>> {
        self.held().values().map(|account| Arc::clone(account.shared())).collect()
    }

    /// Returns the account of this name.
    pub fn account(&self, name: &AccountName) -> Option<Arc<Shared>> {
        self.held().get(name).map(|account| Arc::clone(account.shared()))
    }

    pub(super) fn held(&self) -> MutexGuard<'_, BTreeMap<AccountName, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no account is connected or retrying, and returns the state of each: failed, or not reconnecting. A
    /// host with one live account continues. Only accounts that exist at the time of the call are waited for.
    ///
    /// In a cluster, and beside a component whose addresses become accounts or sleep, it never returns: the host goes on for the
    /// accounts that it may still get.
    pub async fn all_over(&self) -> Vec<(AccountName, Connection)> {
        let config = self.config();
        let may_grow = config.cluster.is_some() || !config.new_addresses.is_empty();
        if may_grow || !config.sleep_after.is_empty() {
            return std::future::pending().await;
        }
        loop {
            join_all(self.accounts().into_iter().map(|account| over(account.connection()))).await;
            let state = |account: Arc<Shared>| (account.name.clone(), account.connection().borrow().clone());
            let states: Vec<_> = self.accounts().into_iter().map(state).collect();
            // An account may have restarted by the time that another one ends.
            if states.iter().all(|(_, connection)| connection.over().is_some()) {
                return states;
            }
        }
    }

    /// Reconnects the accounts that have failed.
    pub async fn retry(&self) {
        for account in self.accounts() {
            let is_over = account.connection().borrow().over().is_some();
            if is_over {
                tracing::info!(account = %account.name, "account tried again");
                account.connect().await;
            }
        }
    }

    /// Applies another configuration. New accounts start, and removed ones end. The others apply their new settings,
    /// and reopen the connection only if its target changed. Nothing else is affected. Changes that need a restart are
    /// ignored, with a warning.
    pub async fn reconfigure(&self, config: Config) {
        let _changing = self.changing.lock().await;
        let by = audit::edited(&config, "read again");
        configure(self, config, &by).await;
        // A file with the password of a room may have changed, and nothing else.
        join_all(self.accounts().into_iter().map(async |account| account.read_room_passwords().await)).await;
    }

    /// Starts a plugin on these accounts.
    pub(super) fn start_on(
        &self,
        accounts: &[Arc<Shared>],
        loaded: &Loaded,
        start: &order::Start,
        strictness: Strictness,
        plugins: &BTreeMap<PluginId, Plugin>,
    ) -> BTreeMap<AccountName, Supervised> {
        let started = accounts.iter().map(|account| {
            let after = dependencies(loaded, start, strictness, plugins, &account.name);
            let Loaded { admitted, compiled } = loaded.clone();
            let supervised =
                Supervised::start(admitted, compiled, Arc::clone(&self.engine), Arc::clone(account), after);
            (account.name.clone(), supervised)
        });
        started.collect()
    }
}

impl Plugin {
    /// Returns the plugin on this account, if it may run there.
    pub(super) fn on(&self, account: &AccountName) -> Option<&Supervised> {
        match &self.standing {
            Standing::Admitted { on, .. } => on.get(account),
            Standing::Refused(_) | Standing::Compiling { .. } => None,
        }
    }
}

/// Reads the configuration of a host again, and applies it. One that cannot be read changes nothing.
#[cfg(feature = "cluster")]
pub(crate) async fn read_configuration_again(host: &Host) -> Result<(), parlor_config::ConfigError> {
    // An earlier text never takes the place of a later one.
    let _changing = host.changing.lock().await;
    let config = host.config().read_again();
    let config = config.inspect_err(|error| host.configuration_refused(error.to_string()))?;
    let by = audit::edited(&config, "read again");
    configure(host, config, &by).await;
    Ok(())
}

/// Applies another configuration, which is so `by` somebody. The caller holds `changing`.
pub(super) async fn configure(host: &Host, config: Config, by: &By) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let was = host.config();
    for (what, is_same) in [
        ("data", was.data == config.data),
        ("plugins", was.plugins == config.plugins),
        ("log", was.log == config.log),
        ("watch", was.watch == config.watch),
        ("cluster", was.cluster == config.cluster),
    ] {
        if !is_same {
            tracing::warn!(key = what, "this counts when the host is started again");
        }
    }
    // The audit has what is written, also if that counts only when the host is started again.
    audit::configured(host, &config, by).await;
    let (data, plugins, log) = (was.data.clone(), was.plugins.clone(), was.log.clone());
    let (watch, cluster) = (was.watch, was.cluster.clone());
    let config = Arc::new(without_on_nodes(Config { data, plugins, log, watch, cluster, ..config }));
    host.config.store(Arc::clone(&config));
    host.clients.follow(&config);
    host.config_fault.store(None);
    host.listening.follow(config.web.clone());
    let (before, after) = (&was.accounts, &config.accounts);
    let going: Vec<_> = before.values().filter(|old| !goes_on(old, after)).map(|old| &old.name).collect();
    close(host, &going).await;
    sleeping::forget(host, &was, &going).await;
    host.claims.reconfigured(&going);
    host.domains.follow(&was, &config).await;
    let mut rewritten = Vec::new();
    for (new, old) in after.values().filter_map(|new| Some((new, before.get(&new.name)?))) {
        if new != old && goes_on(old, after) {
            rewritten.extend(rewrite(host, old, new).await);
        }
    }
    warn_of_unknown_settings(host, &rewritten).await;
    let coming = if config.cluster.is_some() { claims::begin(host) } else { begin(host, before, after) };
    if decides(&was) != decides(&config) {
        judge(host).await;
    }
    spread(host).await;
    host.forget_declared().await;
    open(host, &coming).await;
    prune_cache(host).await;
    sleeping::look_again(host);
    tracing::info!(config = %config.path.escaped(), "configuration read again");
}

/// The part of a configuration that decides whether plugins may run.
#[derive(PartialEq)]
struct Decides<'c> {
    accounts: Vec<&'c AccountName>,
    groups: &'c BTreeSet<GroupName>,
    whitelist: &'c [String],
    blacklist: &'c [String],
    is_strict: bool,
}

/// Returns the configuration that decides whether plugins may run: which accounts and groups exist, and the owner's
/// settings for all plugins.
fn decides(config: &Config) -> Decides<'_> {
    let settings = &config.settings;
    Decides {
        accounts: config.accounts.keys().collect(),
        groups: &config.groups,
        whitelist: &settings.whitelisted_plugins,
        blacklist: &settings.blacklisted_plugins,
        is_strict: settings.strict_plugin_dependencies,
    }
}

/// Starts the task of an account.
pub(super) fn start_account(
    config: &AccountConfig,
    backing: impl Into<Backing>,
    place: Place,
    domains: &Domains,
    clients: &HostClients,
) -> Account {
    let account = Account::start_with(config.clone(), backing, place, domains.dialer(config), Clock::Machine);
    account.shared().join(clients);
    account
}

/// Starts the task of an account while the host runs.
pub(super) fn start_one(host: &Host, config: &AccountConfig, backing: impl Into<Backing>) -> Arc<Shared> {
    let account = start_account(config, backing, host.threads.place(), &host.domains, &host.clients);
    let shared = Arc::clone(account.shared());
    set_order(&shared, host.hooks.load().on(&shared.name, config.group.as_ref()));
    // In this order, since a plugin that is compiled meanwhile reserves what it has on the accounts that are there.
    host.held().insert(config.name.clone(), account);
    host.reserved.keep_on(&shared, &host.config());
    shared
}

/// Starts the tasks of the accounts that were not there before.
fn begin(
    host: &Host,
    before: &BTreeMap<AccountName, AccountConfig>,
    after: &BTreeMap<AccountName, AccountConfig>,
) -> Vec<Arc<Shared>> {
    let may_run = |new: &&AccountConfig| match moved::keeps_from_running(&host.config(), &new.link.jid.to_bare()) {
        Ok(None) => true,
        Ok(Some(reason)) => {
            tracing::error!(account = %new.name, reason, "account not added");
            false
        }
        Err(error) => {
            tracing::error!(account = %new.name, %error, "account not added");
            false
        }
    };
    let start = |new: &AccountConfig| {
        let shared = start_one(host, new, host.store.clone());
        tracing::info!(account = %new.name, jid = %shared.own, "account added");
        shared
    };
    after.values().filter(|new| !goes_on(new, before)).filter(may_run).map(start).collect()
}

/// Returns whether these have an account of this name with the same bare JID, on the same component if on any.
fn goes_on(account: &AccountConfig, others: &BTreeMap<AccountName, AccountConfig>) -> bool {
    let is_same = |other: &AccountConfig| {
        let (one, other) = (&account.link, &other.link);
        one.jid.to_bare() == other.jid.to_bare() && one.component() == other.component()
    };
    others.get(&account.name).is_some_and(is_same)
}

/// Returns the plugins that may run.
pub(super) fn candidates(plugins: &BTreeMap<PluginId, Plugin>) -> Vec<order::Candidate> {
    let admitted = plugins.iter().filter_map(|(id, plugin)| match &plugin.standing {
        Standing::Admitted { admitted, .. } => Some(order::Candidate::of(id, &admitted.manifest)),
        Standing::Refused(_) | Standing::Compiling { .. } => None,
    });
    admitted.collect()
}

async fn over(mut connection: watch::Receiver<Connection>) {
    if connection.wait_for(|connection| connection.over().is_some()).await.is_err() {
        // The account was stopped, so its end is not awaited.
        std::future::pending::<()>().await;
    }
}

/// Takes the plugins from these accounts.
pub(super) async fn take_plugins(host: &Host, names: &[&AccountName]) -> Vec<Supervised> {
    let (mut plugins, mut taken) = (host.plugins.lock().await, Vec::new());
    for plugin in plugins.values_mut() {
        if let Standing::Admitted { on, .. } = &mut plugin.standing {
            taken.extend(names.iter().filter_map(|name| on.remove(*name)));
        }
    }
    taken
}

/// Gives the short names of commands free that a plugin had on these accounts, where it does not come back.
pub(super) async fn forget_commands(accounts: &[Arc<Shared>], plugin: &PluginId) {
    let granted = &Granted::HOST;
    let forget = |account: &Arc<Shared>| {
        let account = Arc::clone(account);
        let command = ForgetCommands { plugin: plugin.clone() };
        async move { account.ask(Asker::Host, granted, command).await }
    };
    // An account that has stopped has no commands, either.
    join_all(accounts.iter().map(forget)).await;
}

/// Ends these accounts, after the plugins on them.
async fn close(host: &Host, names: &[&AccountName]) {
    join_all(take_plugins(host, names).await.into_iter().map(Supervised::stop)).await;
    let going: Vec<_> = {
        let mut accounts = host.held();
        names.iter().filter_map(|name| accounts.remove(*name)).collect()
    };
    let gone: Vec<_> = going.iter().map(|account| Arc::clone(account.shared())).collect();
    join_all(going.into_iter().map(async |account| {
        // No later process resumes its session.
        let _ = account.shared().log_out(Asker::Host, &Granted::HOST).await;
        account.stop().await;
    }))
    .await;
    all_is_stored(host, &gone, &host.plugins.ids().await).await;
    for account in gone {
        tracing::info!(account = %account.name, "account removed");
    }
}

/// Applies an account's new configuration. Plugins that have settings of theirs there are notified, or restart. Returns the account if
/// its settings are others.
async fn rewrite(host: &Host, old: &AccountConfig, new: &AccountConfig) -> Option<Arc<Shared>> {
    let account = host.account(&new.name)?;
    let claimed = claimed(host, &old.settings, &new.settings, &account).await;
    account.rewrite(new.clone()).await;
    set_order(&account, host.hooks.load().on(&new.name, new.group.as_ref()));
    let leaving: Vec<_> = {
        let mut plugins = host.plugins.lock().await;
        let tell = |(id, before): (PluginId, Wins)| {
            let Standing::Admitted { on, .. } = &mut plugins.get_mut(&id)?.standing else { return None };
            on.get(&new.name)?.settings_rewritten(&before).then(|| on.remove(&new.name)).flatten()
        };
        claimed.into_iter().filter_map(tell).collect()
    };
    // They start again with the others that should run on this account.
    join_all(leaving.into_iter().map(Supervised::stop)).await;
    tracing::info!(account = %new.name, "account goes by what is written now");
    let begins = new.settings.auto_login && !old.settings.auto_login;
    let connection = account.connection().borrow().clone();
    if connection.over().is_some() || (begins && connection == Connection::Offline) {
        account.connect().await;
    }
    (new.settings != old.settings).then_some(account)
}

/// Returns the plugins' own settings that changed on this account, with their current values.
async fn claimed(host: &Host, old: &Settings, new: &Settings, account: &Shared) -> Vec<(PluginId, Wins)> {
    let plugins = host.plugins.lock().await;
    let of = |(id, plugin): (&PluginId, &Plugin)| {
        let wins = plugin.on(&account.name)?.wins(old.differing(new));
        (!wins.is_empty()).then(|| (id.clone(), wins))
    };
    plugins.iter().filter_map(of).collect()
}

/// Decides again about all plugins: a refused one may be allowed now, and a running one may no longer be.
async fn judge(host: &Host) {
    let entries: Vec<_> = {
        let plugins = host.plugins.lock().await;
        let enabled = plugins.iter().filter(|(_, plugin)| plugin.entry.enabled);
        enabled.map(|(id, plugin)| (id.clone(), plugin.entry.clone(), plugin.is_admitted())).collect()
    };
    let (mut other, mut files) = (BTreeMap::new(), ReadFiles::default());
    for (id, entry, is_admitted) in entries {
        // For a running plugin, a secret that is unavailable now decides nothing.
        let is_other = match load_plugin(host, &id, &entry, &mut files).await {
            Ok(_) => !is_admitted,
            Err(why) => is_admitted && why.forbids(),
        };
        if is_other {
            other.insert(id, *entry);
        }
    }
    let refused = order::plan(&candidates(&*host.plugins.lock().await), host.strictness()).refused;
    for id in refused.into_keys() {
        if let Some(plugin) = host.plugins.lock().await.get(&id) {
            other.insert(id, Entry::clone(&plugin.entry));
        }
    }
    host.begin_anew(other).await;
}

/// Gives the plugins on these accounts their chance to listen, and then logs in. It does not wait for plugins that
/// are still being compiled.
pub(super) async fn open(host: &Host, accounts: &[Arc<Shared>]) {
    initialized(host, accounts).await;
    for account in accounts {
        account.plugins_initialized().await;
    }
    // A plugin that is still being compiled may know them.
    let is_compiling = host.plugins.lock().await.values().any(Plugin::is_compiling);
    if !is_compiling {
        warn_of_unknown(host, accounts).await;
    }
    for account in accounts.iter().filter(|account| account.settings().auto_login) {
        account.connect().await;
    }
}

/// Waits until the plugins on these accounts have had their chance to listen.
pub(super) async fn initialized(host: &Host, accounts: &[Arc<Shared>]) {
    let settling: Vec<_> = {
        let plugins = host.plugins.lock().await;
        let all = accounts.iter().flat_map(|account| plugins.values().map(move |plugin| plugin.on(&account.name)));
        all.flatten().map(Supervised::settled).collect()
    };
    if tokio::time::timeout(INITIALIZE, join_all(settling)).await.is_err() {
        tracing::warn!(
            "some plugins took longer than {} s to initialize; logging in without them",
            INITIALIZE.as_secs()
        );
    }
}

/// Ends each plugin on the accounts that its entry names no more, and gives the short names of its commands free there.
pub(super) async fn withdraw(host: &Host) {
    let mut gone = Vec::new();
    for (id, plugin) in &mut *host.plugins.lock().await {
        let (config, selectors) = (host.config(), plugin.entry.accounts.as_deref());
        let Standing::Admitted { on, .. } = &mut plugin.standing else { continue };
        let leaves = |name: &AccountName| host.account(name).is_none() || !config.is_chosen(name, selectors);
        gone.extend(on.extract_if(.., |name, _| leaves(name)).map(|(_, supervised)| (id.clone(), supervised)));
    }
    let ends = gone.into_iter().map(|(plugin, supervised)| async move {
        let account = [Arc::clone(supervised.account())];
        supervised.stop().await;
        forget_commands(&account, &plugin).await;
    });
    join_all(ends).await;
}

/// Runs each plugin on exactly the accounts that its entry names. A plugin that a dependency kept from starting on
/// an account restarts there once that dependency runs again.
pub(super) async fn spread(host: &Host) {
    withdraw(host).await;
    let mut leaving = Vec::new();
    {
        let mut plugins = host.plugins.lock().await;
        let strictness = host.strictness();
        for start in order::plan(&candidates(&plugins), strictness).starts {
            let Some(Plugin { entry, standing: Standing::Admitted { admitted, compiled, on }, .. }) =
                plugins.get(&start.id)
            else {
                continue;
            };
            let chosen = chosen(&host.config(), host.accounts(), entry);
            let loaded = Loaded { admitted: Arc::clone(admitted), compiled: Arc::clone(compiled) };
            // A plugin's dependencies come before it, and may have restarted just now.
            let is_lacking = |account: &AccountName| {
                let after = dependencies(&loaded, &start, strictness, &plugins, account);
                after.iter().any(Dependency::is_lacking)
            };
            // In a cluster, an account may have come back since.
            let is_missing = |account: &Arc<Shared>| {
                let fits = |one: &Supervised| {
                    Arc::ptr_eq(one.account(), account) && (!one.is_kept_back() || is_lacking(&account.name))
                };
                !on.get(&account.name).is_some_and(fits)
            };
            let missing: Vec<_> = chosen.iter().filter(|one| is_missing(one)).cloned().collect();
            let new = host.start_on(&missing, &loaded, &start, strictness, &plugins);
            let Some(Plugin { standing: Standing::Admitted { on, .. }, .. }) = plugins.get_mut(&start.id) else {
                continue;
            };
            leaving.extend(new.keys().filter_map(|name| on.remove(name)));
            on.extend(new);
        }
    }
    join_all(leaving.into_iter().map(Supervised::stop)).await;
}

/// Warns about unknown settings and names of events.
pub(super) async fn warn_of_unknown(host: &Host, accounts: &[Arc<Shared>]) {
    warn_of_unknown_settings(host, accounts).await;
    for account in accounts {
        account.warn_of_unknown_names();
    }
}
