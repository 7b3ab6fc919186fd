//! Plugins that are not compiled when the host starts. The log-in does not wait for them. Each starts once it is
//! compiled, like a plugin that is added to a running host.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use parlor_base::id::PluginId;
use parlor_plugins::admission::Admitted;
use parlor_plugins::approved::ReadFiles;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::Entry;
use parlor_runtime::loading::{LoadError, Loaded, Prepared};

use super::accounts::{spread, warn_of_unknown};
use super::adding::{add_loaded, load_plugin, prepare_plugin, prune_cache};
use super::plugin::{Plugin, Standing};
use super::{Host, sleeping};

/// How a start treats plugins that must be compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UncompiledAtStart {
    /// It waits for the compiler.
    Awaited,
    /// It continues without them.
    LeftBehind,
}

/// A plugin that must be compiled.
struct Uncompiled {
    entry: Entry,
    admitted: Arc<Admitted>,
    size: usize,
}

impl Host {
    /// Does the ongoing work of a running host: starts plugins once they are compiled, retries versions that did
    /// not fit into the limits, makes accounts of addresses of components, and lets addresses fall asleep and wake. The owner of a host
    /// polls it. It never returns.
    pub async fn tend(&self) -> Infallible {
        let compile = async {
            compile_late(self).await;
            std::future::pending::<Infallible>().await
        };
        // Most hosts have no component that it could concern, and it is large.
        let newcomers = Box::pin(super::newcomers::make_accounts(self));
        let sleepers = Box::pin(sleeping::tend(self));
        tokio::select! {
            never = compile => never,
            never = self.use_room() => never,
            never = super::audit::keep_counting(self) => never,
            never = newcomers => never,
            never = sleepers => never,
        }
    }
}

/// Returns the ids of plugins, and the names that their authors gave them: a dependency may name either.
fn names<'p>(plugins: impl Iterator<Item = (&'p PluginId, &'p Manifest)>) -> BTreeSet<PluginId> {
    plugins.flat_map(|(id, manifest)| [id.clone(), manifest.name.clone()]).collect()
}

fn depends_on(manifest: &Manifest, names: &BTreeSet<PluginId>) -> bool {
    manifest.dependencies.keys().any(|dependency| names.contains(dependency))
}

/// Compiles the plugins that a start left behind, one after the other, and starts each.
async fn compile_late(host: &Host) {
    let mut was_late = false;
    loop {
        let next = next_to_compile(host).await;
        if next.is_empty() {
            break;
        }
        was_late = true;
        // The owner may change the policy meanwhile: `changing` is not held.
        let (mut loaded, mut files) = (BTreeMap::new(), ReadFiles::default());
        for (id, entry) in next {
            let result = load_plugin(host, &id, &entry, &mut files).await;
            let is_refused = result.is_err();
            loaded.insert(id, (entry, result));
            // The owner learns of this one now. The others may take as long, and come next.
            if is_refused {
                break;
            }
        }
        let _changing = host.changing.lock().await;
        {
            let plugins = host.plugins.lock().await;
            loaded.retain(|id, (entry, _)| {
                plugins.get(id).is_some_and(|plugin| plugin.is_compiling() && *plugin.entry == *entry)
            });
        }
        if !loaded.is_empty() {
            add_loaded(host, loaded, &mut files).await;
            spread(host).await;
            // Something may have come for addresses that sleep, which waits for these plugins alone.
            sleeping::look_again(host);
        }
    }
    // Addresses that sleep could not be compared with their plugins before.
    sleeping::look_again(host);
    if was_late {
        prune_cache(host).await;
        warn_of_unknown(host, &host.accounts()).await;
    }
}

/// Returns the smallest plugin among those that wait for the compiler and depend on none of the others, with those of them
/// that have the same file. If all depend on one another, returns all: only together do they show the cycle for which they
/// are refused.
pub(super) async fn next_to_compile(host: &Host) -> Vec<(PluginId, Entry)> {
    let plugins = host.plugins.lock().await;
    let late = || {
        plugins.iter().filter_map(|(id, plugin)| match &plugin.standing {
            Standing::Compiling { admitted, size } => Some((id, plugin, &*admitted.manifest, *size)),
            Standing::Refused(_) | Standing::Admitted { .. } => None,
        })
    };
    let waiting = Waiting::of(late().map(|(id, _, manifest, _)| (id, manifest)));
    let free: Vec<_> = late().filter(|(id, _, manifest, _)| !waiting.has_dependency_of(id, manifest)).collect();
    let entry = |(id, plugin, ..): (&PluginId, &Plugin, _, _)| (id.clone(), Entry::clone(&plugin.entry));
    let Some((_, smallest, ..)) = free.iter().min_by_key(|(_, _, _, size)| *size) else {
        return late().map(entry).collect();
    };
    let digest = smallest.entry.digest;
    free.into_iter().filter(|(_, plugin, ..)| plugin.entry.digest == digest).map(entry).collect()
}

/// How many of the plugins that wait for the compiler have each id or name.
struct Waiting<'p>(BTreeMap<&'p PluginId, usize>);

impl<'p> Waiting<'p> {
    fn of(plugins: impl Iterator<Item = (&'p PluginId, &'p Manifest)>) -> Self {
        let mut counts = BTreeMap::<_, usize>::new();
        for (id, manifest) in plugins {
            *counts.entry(id).or_default() += 1;
            if manifest.name != *id {
                *counts.entry(&manifest.name).or_default() += 1;
            }
        }
        Self(counts)
    }

    /// Returns whether one of the others has the id or name of a dependency of this plugin, which is among those that wait.
    fn has_dependency_of(&self, id: &PluginId, manifest: &Manifest) -> bool {
        manifest.dependencies.keys().any(|dependency| {
            let own = usize::from(dependency == id || *dependency == manifest.name);
            self.0.get(dependency).is_some_and(|count| *count > own)
        })
    }
}

/// Plugins that are prepared as far as possible without the compiler.
#[derive(Default)]
struct AllPrepared {
    loaded: BTreeMap<PluginId, (Entry, Result<Loaded, LoadError>)>,
    late: BTreeMap<PluginId, Uncompiled>,
    files: ReadFiles,
}

async fn prepare_all(host: &Host, entries: BTreeMap<PluginId, Entry>) -> AllPrepared {
    let AllPrepared { mut loaded, mut late, mut files } = AllPrepared::default();
    for (id, entry) in entries {
        let result = match prepare_plugin(host, &id, &entry, &mut files).await {
            Ok(Prepared::Uncompiled { admitted, size }) => {
                late.insert(id, Uncompiled { entry, admitted, size });
                continue;
            }
            Ok(Prepared::Ready(loaded)) => Ok(loaded),
            Err(unfit) => Err(unfit),
        };
        loaded.insert(id, (entry, result));
    }
    AllPrepared { loaded, late, files }
}

/// Starts the plugins whose machine code is cached. The others wait for the compiler, and so do the plugins that
/// depend on them. They are read while the audit begins, and none starts before `audited` is over.
pub(super) async fn add_ready(host: &Host, entries: BTreeMap<PluginId, Entry>, audited: impl Future<Output = ()>) {
    let (prepared, ()) = tokio::join!(prepare_all(host, entries), audited);
    let AllPrepared { mut loaded, mut late, mut files } = prepared;
    loop {
        let names = names(late.iter().map(|(id, one)| (id, &*one.admitted.manifest)));
        let waits = |(_, (_, result)): &(&PluginId, &(Entry, Result<Loaded, LoadError>))| {
            result.as_ref().is_ok_and(|one| depends_on(&one.admitted.manifest, &names))
        };
        let Some(id) = loaded.iter().find(waits).map(|(id, _)| id.clone()) else { break };
        if let Some((entry, Ok(one))) = loaded.remove(&id) {
            // Its code is in the cache, so loading it later costs nothing.
            late.insert(id, Uncompiled { entry, admitted: one.admitted, size: 0 });
        }
    }
    {
        let mut plugins = host.plugins.lock().await;
        for (id, Uncompiled { entry, admitted, size }) in late {
            let version = Some(admitted.manifest.version.clone());
            plugins.insert(id, Plugin::new(entry, Standing::Compiling { admitted, size }, version));
        }
    }
    add_loaded(host, loaded, &mut files).await;
}
