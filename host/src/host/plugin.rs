//! A plugin of the host: its entry in the policy, and its instances.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use parlor_base::id::PluginId;
use parlor_base::log_level::LogLevel;
use parlor_config::{AccountName, Config, Selector};
use parlor_plugins::admission::{Admitted, settings_fit, settings_given};
use parlor_plugins::policy::{Entry, RoomSettings, SettingValues};
use parlor_plugins::secret::without_former;
use parlor_runtime::account::Shared;
use parlor_runtime::engine::Compiled;
use parlor_runtime::loading::Loaded;
use parlor_runtime::order::{self, Strictness};
use parlor_runtime::supervisor::{Dependency, GrantHandle, Supervised};
use parlor_session::command_names::CommandNames;
use parlor_session::permissions::Grants;

/// A plugin that the policy names.
pub(super) struct Plugin {
    /// Boxed, since nodes of the map are half empty.
    pub(super) entry: Box<Entry>,
    pub(super) standing: Standing,
    /// Why the version that the policy names has not replaced this one.
    pub(super) not_replaced: Option<String>,
    /// The version that was tried in its place and did not start.
    pub(super) tried: Option<TriedVersion>,
    /// Handles to the grants of the version that is being tried in its place.
    pub(super) beside: Vec<GrantHandle>,
    /// The grants of the policy that was read last: a version that is still compiled starts with no more than these.
    held_to: Option<Grants>,
    /// The version of a plugin that may not run.
    pub(super) version: Option<semver::Version>,
    /// It may not run, but only because of a dependency.
    pub(super) is_early: bool,
}

pub(super) enum Standing {
    /// It may not run, for this reason.
    Refused(String),
    /// It may run, and is still being compiled. It starts after that, like a plugin that is added then.
    Compiling {
        /// Its manifest, settings and grants as admitted.
        admitted: Arc<Admitted>,
        /// The size of its file in bytes.
        size: usize,
    },
    /// It runs, or tries to, on these accounts.
    Admitted { admitted: Arc<Admitted>, compiled: Arc<Compiled>, on: BTreeMap<AccountName, Supervised> },
}

/// A version that was tried as a replacement of the running one. Few plugins have one.
#[derive(Clone)]
pub(super) enum TriedVersion {
    /// It did not start, and would not the next time.
    Failed(Box<Entry>),
    /// It did not fit into the limits. It is tried again when another plugin has ended.
    NoRoom(Box<Entry>),
}

impl Plugin {
    /// Creates a plugin that the policy names, with no other version tried in its place.
    pub(super) fn new(entry: Entry, standing: Standing, version: Option<semver::Version>) -> Self {
        let entry = Box::new(entry);
        let (beside, held_to) = (Vec::new(), None);
        Self { entry, standing, not_replaced: None, tried: None, beside, held_to, version, is_early: false }
    }

    /// Returns whether it waits for the compiler.
    pub(super) fn is_compiling(&self) -> bool {
        matches!(self.standing, Standing::Compiling { .. })
    }

    /// Notes that this version matches the policy, so that no other version waits to replace it.
    pub(super) fn is_as_decided(&mut self) {
        self.not_replaced = None;
        self.tried = None;
    }

    /// Returns the version that replaces it as soon as there is room.
    pub(super) fn wants_room(&self) -> Option<&Entry> {
        match &self.tried {
            Some(TriedVersion::NoRoom(entry)) => Some(entry),
            Some(TriedVersion::Failed(_)) | None => None,
        }
    }

    /// Returns its entry, with no more grants than it has now.
    pub(super) fn held(&self) -> Entry {
        let mut entry = Entry::clone(&self.entry);
        if let Standing::Admitted { admitted, .. } = &self.standing {
            entry.grants = entry.grants.within(&admitted.grants);
        }
        entry
    }

    /// Notes the version that is being tried in its place. Grants that the owner withdraws meanwhile are withdrawn from it, too, and so
    /// are those that were withdrawn while it was compiled.
    pub(super) fn tries(&mut self, beside: &BTreeMap<AccountName, Supervised>) {
        self.beside = beside.values().map(Supervised::grant_handle).collect();
        if let Some(grants) = &self.held_to {
            for handle in &self.beside {
                handle.hold_to(grants);
            }
        }
    }

    /// Limits what runs to grants that both its own entry and these contain.
    pub(super) fn hold_to(&mut self, id: &PluginId, grants: &Grants) {
        self.held_to = Some(grants.clone());
        for handle in &self.beside {
            handle.hold_to(grants);
        }
        if let Some(TriedVersion::NoRoom(entry)) = &mut self.tried {
            entry.grants = entry.grants.within(grants);
        }
        let Standing::Admitted { admitted, on, .. } = &mut self.standing else { return };
        let both = self.entry.grants.within(grants);
        let held = Arc::new(both.only(|permission| admitted.manifest.permissions.contains_key(&permission)));
        if held == admitted.grants {
            return;
        }
        for supervised in on.values() {
            supervised.grant(&held);
        }
        *admitted = Arc::new(Admitted { grants: held, ..Admitted::clone(admitted) });
        tracing::info!(plugin = %id, "grants held to what the policy says");
    }

    /// Returns whether any instance of it runs, or will run without intervention.
    pub(super) fn lives(&self) -> bool {
        self.supervised().any(|one| !one.state().is_over())
    }

    pub(super) fn is_admitted(&self) -> bool {
        matches!(self.standing, Standing::Admitted { .. })
    }

    pub(super) fn is_refused_for(&self, reason: &str) -> bool {
        matches!(&self.standing, Standing::Refused(told) if told == reason)
    }

    /// Returns what it has on each account that it runs on.
    pub(super) fn on_each<T>(&self, find: impl Fn(&Supervised) -> Option<T>) -> Vec<(AccountName, T)> {
        let Standing::Admitted { on, .. } = &self.standing else { return Vec::new() };
        on.iter().filter_map(|(account, one)| Some((account.clone(), find(one)?))).collect()
    }

    pub(super) fn supervised(&self) -> impl Iterator<Item = &Supervised> {
        match &self.standing {
            Standing::Refused(_) | Standing::Compiling { .. } => None,
            Standing::Admitted { on, .. } => Some(on.values()),
        }
        .into_iter()
        .flatten()
    }

    /// Applies an entry that differs only in settings to a plugin that listens to `settingsChanged`, without a restart.
    /// `values` are the entry's settings with its secrets. Returns `false` if they differ and the plugin must restart
    /// for them.
    pub(super) fn take_settings(
        &mut self,
        id: &PluginId,
        entry: &Entry,
        (values, in_rooms): (SettingValues, RoomSettings),
    ) -> bool {
        let Standing::Admitted { admitted, on, .. } = &mut self.standing else { return true };
        let (settings, settings_in) = (self.entry.settings.clone(), self.entry.settings_in.clone());
        let rest_is_same = Entry { settings, settings_in, ..entry.clone() } == *self.entry;
        let changed = admitted.settings != values || admitted.settings_in != in_rooms;
        if !rest_is_same || (!changed && *entry == *self.entry) {
            return true;
        }
        // A plugin does not notice that a former secret begins or ends to count.
        let is_noticed =
            admitted.settings_in != in_rooms || without_former(&admitted.settings) != without_former(&values);
        let is_told = !is_noticed || on.values().all(Supervised::hears_of_settings);
        let manifest = &admitted.manifest;
        if !is_told || settings_fit(id, entry, manifest).is_err() || settings_given(id, entry, manifest).is_err() {
            return !changed;
        }
        for supervised in on.values() {
            supervised.settings_changed(values.0.clone(), in_rooms.clone());
        }
        *admitted = Arc::new(Admitted { settings: values, settings_in: in_rooms, ..Admitted::clone(admitted) });
        *self.entry = entry.clone();
        tracing::info!(plugin = %id, "plugin has new settings");
        true
    }

    pub(super) fn log_from(&mut self, id: &PluginId, level: Option<LogLevel>) {
        self.entry.log = level;
        let Standing::Admitted { admitted, on, .. } = &mut self.standing else { return };
        for supervised in on.values() {
            supervised.log_from(level);
        }
        *admitted = Arc::new(Admitted { log: level, ..Admitted::clone(admitted) });
        let level = level.map_or("as everything else", LogLevel::as_str);
        tracing::info!(plugin = %id, level, "plugin is logged from another level on");
    }

    pub(super) async fn stop(self) {
        if let Standing::Admitted { on, .. } = self.standing {
            join_all(on.into_values().map(Supervised::stop)).await;
        }
    }

    pub(super) async fn stop_with_the_host(self) {
        if let Standing::Admitted { on, .. } = self.standing {
            join_all(on.into_values().map(Supervised::stop_with_the_host)).await;
        }
    }

    /// Applies the owner's names for its commands.
    pub(super) fn name_commands(&mut self, id: &PluginId, names: &CommandNames) {
        self.entry.commands = names.clone();
        let Standing::Admitted { admitted, on, .. } = &mut self.standing else { return };
        for supervised in on.values() {
            supervised.name_commands(names.clone());
        }
        *admitted = Arc::new(Admitted { commands: names.clone(), ..Admitted::clone(admitted) });
        tracing::info!(plugin = %id, commands = %names, "plugin's commands go by the owner's names");
    }
}

/// Returns the plugins after which a plugin is started on an account.
pub(super) fn dependencies(
    loaded: &Loaded,
    start: &order::Start,
    strictness: Strictness,
    plugins: &BTreeMap<PluginId, Plugin>,
    account: &AccountName,
) -> Vec<Dependency> {
    let declared = &loaded.admitted.manifest.dependencies;
    let after = start.after.iter().filter_map(|dependency| match &plugins.get(dependency)?.standing {
        Standing::Admitted { admitted, on, .. } => {
            let optional = [dependency, &admitted.manifest.name]
                .iter()
                .find_map(|name| declared.get(*name))
                // It may start after one that it does not depend on: another instance of its own plugin.
                .is_none_or(|dependency| dependency.optional);
            Some(on.get(account)?.as_dependency(strictness == Strictness::Strict && !optional))
        }
        Standing::Refused(_) | Standing::Compiling { .. } => None,
    });
    after.collect()
}

/// Returns the accounts that each plugin is for that waits for the compiler. An account that starts now would lack it.
pub(super) fn awaited(plugins: &BTreeMap<PluginId, Plugin>) -> Vec<Option<Vec<Selector>>> {
    let late = plugins.values().filter(|plugin| plugin.is_compiling());
    late.map(|plugin| plugin.entry.accounts.clone()).collect()
}

/// Returns the accounts on which an entry wants its plugin to run.
pub(super) fn chosen(config: &Config, accounts: Vec<Arc<Shared>>, entry: &Entry) -> Vec<Arc<Shared>> {
    let selectors = entry.accounts.as_deref();
    accounts.into_iter().filter(|account| config.is_chosen(&account.name, selectors)).collect()
}
