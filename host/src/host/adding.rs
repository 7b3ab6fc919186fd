//! Starting plugins: loading them, ordering them by their dependencies, and running them.

use std::collections::BTreeMap;

use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_config::Config;
use parlor_plugins::admission::Admitted;
use parlor_plugins::approved::{self, Found, ReadFiles, Unfit};
use parlor_plugins::policy::Entry;
use parlor_runtime::loading::{LoadError, Loaded, Prepared, load, prepare};
use parlor_runtime::order::{self, Candidate};

use super::plugin::{Plugin, Standing, chosen};
use super::reserved::reserve;
use super::{Host, LONGEST_REASON, webhooks};

/// Checks that the accounts and groups that an entry names exist, as far as it cannot do without them.
pub(super) fn has_accounts(config: &Config, id: &PluginId, entry: &Entry) -> Result<(), Unfit> {
    let Some(unknown) = entry.missing_account(|account| config.has(account)) else { return Ok(()) };
    let (known, files) = (config.known_like(unknown), config.files());
    Err(Unfit::UnknownAccount { id: id.clone(), account: unknown.clone(), files, known })
}

/// Examines, admits, orders and starts these plugins, and with them those that were refused only because of a
/// dependency.
pub(super) async fn add_all(host: &Host, entries: BTreeMap<PluginId, Entry>) {
    let (mut loaded, mut files) = (BTreeMap::new(), ReadFiles::default());
    for (id, entry) in entries {
        let result = load_anew(host, &id, &entry, &mut files).await;
        loaded.insert(id, (entry, result));
    }
    add_loaded(host, loaded, &mut files).await;
}

/// Loads a plugin that may have been refused before. If it has to be compiled, the status says so meanwhile.
async fn load_anew(host: &Host, id: &PluginId, entry: &Entry, files: &mut ReadFiles) -> Result<Loaded, LoadError> {
    if host.leaving.is_refused(id) {
        if let Prepared::Ready(loaded) = prepare_plugin(host, id, entry, files).await? {
            return Ok(loaded);
        }
        host.leaving.compiles(id);
    }
    load_plugin(host, id, entry, files).await
}

/// Orders and starts loaded plugins, and with them those that were refused only because of a dependency.
/// `files` are those that were read for them.
pub(super) async fn add_loaded(
    host: &Host,
    mut loaded: BTreeMap<PluginId, (Entry, Result<Loaded, LoadError>)>,
    files: &mut ReadFiles,
) {
    let early: Vec<_> = {
        let plugins = host.plugins.lock().await;
        let early = plugins.iter().filter(|(id, plugin)| plugin.is_early && !loaded.contains_key(*id));
        early.map(|(id, plugin)| (id.clone(), Entry::clone(&plugin.entry))).collect()
    };
    for (id, entry) in early {
        let result = load_plugin(host, &id, &entry, files).await;
        loaded.insert(id, (entry, result));
    }
    let mut versions = BTreeMap::new();
    for (id, (entry, result)) in &loaded {
        let version = match result {
            Ok(one) => Some(one.admitted.manifest.version.clone()),
            Err(_) => look_at_refused(host, id, entry, files).await,
        };
        versions.insert(id.clone(), version);
    }
    let mut plugins = host.plugins.lock().await;
    let there = plugins.iter().filter(|(id, _)| !loaded.contains_key(*id));
    let there = there.map(|(id, plugin)| match &plugin.standing {
        Standing::Admitted { admitted, .. } => Candidate::of(id, &admitted.manifest),
        Standing::Refused(why) => Candidate::missing(id, why.clone()),
        Standing::Compiling { .. } => Candidate::missing(id, "it is still being compiled".to_owned()),
    });
    let new = loaded.iter().map(|(id, (_, result))| match result {
        Ok(one) => Candidate::of(id, &one.admitted.manifest),
        Err(unfit) => Candidate::missing(id, unfit.to_string()),
    });
    let candidates: Vec<_> = there.chain(new).collect();
    let strictness = host.strictness();
    let mut plan = order::plan(&candidates, strictness);
    for start in &plan.starts {
        // Plugins that run already had their turn.
        let Some((entry, Ok(one))) = loaded.get(&start.id) else { continue };
        for warning in &start.warned {
            tracing::warn!(plugin = %start.id, reason = %warning, "plugin starts without a dependency");
        }
        let on = host.start_on(&chosen(&host.config(), host.accounts(), entry), one, start, strictness, &plugins);
        let Loaded { admitted, compiled } = one.clone();
        let standing = Standing::Admitted { admitted, compiled, on };
        plugins.insert(start.id.clone(), Plugin::new(entry.clone(), standing, None));
    }
    for (id, (entry, result)) in loaded {
        let (reason, is_early) = match (result, plan.refused.remove(&id)) {
            (Err(unfit), _) => (unfit.to_string(), false),
            (Ok(_), Some(refused)) => (refused.to_string(), true),
            (Ok(_), None) => continue,
        };
        // The reason may repeat names from the file.
        let reason = escape_untrusted(&reason, LONGEST_REASON);
        // The plugin may be examined again each time that another one is added.
        let was_told = plugins.get(&id).is_some_and(|was| was.is_refused_for(&reason));
        if entry.enabled && !was_told {
            tracing::error!(plugin = %id, %reason, "plugin refused");
        }
        let version = versions.remove(&id).flatten();
        let mut plugin = Plugin::new(entry, Standing::Refused(reason), version);
        plugin.is_early = is_early;
        plugins.insert(id, plugin);
    }
    drop(plugins);
    webhooks::note_resting(host).await;
}

/// Drops the machine code of plugins that are gone.
pub(super) async fn prune_cache(host: &Host) {
    let used = {
        let plugins = host.plugins.lock().await;
        plugins
            .values()
            .flat_map(|plugin| [Some(&*plugin.entry), plugin.wants_room()])
            .flatten()
            .map(|one| one.digest)
            .collect()
    };
    host.engine.keep_only(used).await;
}

/// Reserves the secrets and names of a plugin that may not run, since it may run later. Returns its version for the owner: from its
/// file, else from the policy.
pub(super) async fn look_at_refused(
    host: &Host,
    id: &PluginId,
    entry: &Entry,
    files: &mut ReadFiles,
) -> Option<semver::Version> {
    let looked_at = files.examined(id, entry, &host.components).await;
    let Ok((examined, _)) = looked_at else { return entry.version.clone() };
    reserve(host, id, entry, &examined.manifest);
    Some(examined.manifest.version.clone())
}

/// Loads a plugin. Its secrets and names are reserved before it is compiled, since other plugins run meanwhile.
pub(super) async fn load_plugin(
    host: &Host,
    id: &PluginId,
    entry: &Entry,
    files: &mut ReadFiles,
) -> Result<Loaded, LoadError> {
    let config = host.config.load();
    has_accounts(&config, id, entry)?;
    let found = |admitted: &Admitted| reserve(host, id, entry, &admitted.manifest);
    load(id, entry, &config.settings, &host.engine, &host.components, files, found).await
}

/// Prepares a plugin as far as possible without the compiler. Its secrets and names are reserved, since other plugins may run before
/// it is compiled.
pub(super) async fn prepare_plugin(
    host: &Host,
    id: &PluginId,
    entry: &Entry,
    files: &mut ReadFiles,
) -> Result<Prepared, LoadError> {
    let config = host.config.load();
    has_accounts(&config, id, entry)?;
    let seen = |admitted: &Admitted| reserve(host, id, entry, &admitted.manifest);
    prepare(id, entry, &config.settings, &host.engine, &host.components, files, seen).await
}

/// Returns whether a plugin may run, without getting it ready: its secrets are not read.
pub(super) async fn admit(host: &Host, id: &PluginId, entry: &Entry) -> Result<Admitted, Unfit> {
    let config = host.config.load();
    has_accounts(&config, id, entry)?;
    let files = &mut ReadFiles::default();
    let Found { admitted, .. } = approved::admitted(id, entry, &config.settings, &host.components, files).await?;
    Ok(admitted)
}
