//! The order in which plugins start, and which of them cannot: their dependencies as a graph.
//!
//! This module starts nothing. The same function serves a start of the host and a plugin that is added while others
//! run: the caller passes the running ones and the new one, and reads the decision about the new one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlor_base::id::PluginId;
use parlor_config::Settings;
use parlor_plugins::manifest::{Dependency, Manifest};
use semver::Version;

/// A plugin as far as the start order is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The owner's id for it.
    pub id: PluginId,
    /// The author's name for it.
    pub name: PluginId,
    /// The plugin's version.
    pub version: Version,
    /// The plugins that it works with, by id or name.
    pub dependencies: BTreeMap<PluginId, Dependency>,
    /// The reason why it does not run, if it failed or is not allowed. Plugins that depend on it report the reason.
    pub unusable: Option<String>,
}

impl Candidate {
    /// Returns a candidate that may run.
    pub fn of(id: &PluginId, manifest: &Manifest) -> Self {
        Self {
            id: id.clone(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            dependencies: manifest.dependencies.clone(),
            unusable: None,
        }
    }

    /// Returns a candidate that may not run, so that plugins that depend on it can say why.
    pub fn missing(id: &PluginId, why: String) -> Self {
        let (name, version) = (id.clone(), Version::new(0, 0, 0));
        Self { id: id.clone(), name, version, dependencies: BTreeMap::new(), unusable: Some(why) }
    }
}

/// The decision about each usable candidate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The plugins that start, each after all that it waits for.
    pub starts: Vec<Start>,
    /// The plugins that do not start.
    pub refused: BTreeMap<PluginId, Refused>,
}

/// A plugin to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The plugin's id.
    pub id: PluginId,
    /// The plugins whose `initialize` must return first: its dependencies, and the one that has its name as the id.
    pub after: Vec<PluginId>,
    /// The missing dependencies that it starts without.
    pub warned: Vec<Warned>,
}

/// A missing dependency that a plugin starts without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}; it starts without", sentence(chain, why))]
pub struct Warned {
    /// The ids from the plugin to the one that is missing.
    pub chain: Vec<PluginId>,
    /// The problem with the last one.
    pub why: Missing,
}

/// The reason why a plugin does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The plugin depends on itself through others.
    #[error("its dependencies form a circle: {}; take one of them out of plugins.toml", arrows(chain))]
    Cycle {
        /// The ids from the plugin back to itself.
        chain: Vec<PluginId>,
    },
    /// A required dependency is missing.
    #[error("{}{}", sentence(chain, why), why.remedy())]
    Missing {
        /// The ids from the plugin to the one that is missing.
        chain: Vec<PluginId>,
        /// The problem with the last one.
        why: Missing,
    },
}

/// The problem with a dependency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// No plugin has this id or name.
    #[error("is not there; add it")]
    Absent,
    /// Several plugins have this name.
    #[error("is the name of several plugins: {}; call one of them so by its id", list(_0))]
    Ambiguous(Vec<PluginId>),
    /// The plugin exists in a version that is not acceptable.
    #[error("is there in version {has}, but {wants} is needed")]
    Version {
        /// The version that exists.
        has: Version,
        /// The range that is needed.
        wants: String,
    },
    /// The plugin failed, or is not allowed.
    #[error("does not run: {0}")]
    Unusable(String),
    /// The plugin depends on itself through others.
    #[error("waits for itself")]
    Cycle,
    /// The plugin depends on the one that depends on it, so neither can be first.
    #[error("waits for this one itself")]
    Mutual,
}

impl Missing {
    /// Returns a further way to let the plugin start, in addition to the one in the error itself.
    fn remedy(&self) -> &'static str {
        match self {
            Self::Absent => ", or set `strict_plugin_dependencies = false`",
            _ => "",
        }
    }
}

fn arrows(chain: &[PluginId]) -> String {
    chain.iter().map(PluginId::as_str).collect::<Vec<_>>().join(" → ")
}

fn list(ids: &[PluginId]) -> String {
    ids.iter().map(PluginId::as_str).collect::<Vec<_>>().join(", ")
}

fn sentence(chain: &[PluginId], why: &Missing) -> String {
    let last = chain.last().map_or("", PluginId::as_str);
    format!("it needs {}: {last} {why}", arrows(chain.get(1..).unwrap_or_default()))
}

/// Decides for each usable candidate whether it starts, and after which others.
///
/// With [`Strictness::Strict`], a missing dependency that is not optional refuses the plugin; otherwise it only causes
/// a warning. A circle of dependencies that are not optional always refuses all plugins in it. The same candidates give
/// the same plan.
pub fn plan(candidates: &[Candidate], strict: Strictness) -> Plan {
    let graph = Graph::new(candidates);
    let mut refused = graph.cycles();
    if strict == Strictness::Strict {
        graph.spread(&mut refused);
    }
    let mut waits: BTreeMap<&PluginId, (BTreeSet<&PluginId>, Vec<Warned>)> = BTreeMap::new();
    for (id, edges) in &graph.edges {
        if refused.contains_key(*id) {
            continue;
        }
        let (mut after, mut warned) = (BTreeSet::new(), Vec::new());
        for edge in edges {
            match usable(edge, &refused) {
                // Only an optional dependency can still close a circle, and it gives way.
                Ok(target) if edge.optional && graph.path(target, id, &refused).is_some() => {
                    warned.push(Warned { chain: vec![(*id).clone(), target.clone()], why: Missing::Mutual });
                }
                Ok(target) => {
                    after.insert(target);
                }
                Err((mut chain, why)) => {
                    chain.insert(0, (*id).clone());
                    warned.push(Warned { chain, why });
                }
            }
        }
        waits.insert(id, (after, warned));
    }
    after_namesakes(candidates, &mut waits);
    Plan { starts: sequence(waits), refused }
}

/// Lets further instances of a plugin start after the one that has the plugin's name as its id. That one is the first to take
/// names that only one of them can have, at each start. Dependencies in the other direction count more.
fn after_namesakes<'c>(
    candidates: &'c [Candidate],
    waits: &mut BTreeMap<&'c PluginId, (BTreeSet<&'c PluginId>, Vec<Warned>)>,
) {
    let firsts: BTreeSet<&PluginId> = candidates.iter().filter(|one| one.id == one.name).map(|one| &one.id).collect();
    for Candidate { id, name, .. } in candidates.iter().filter(|one| one.id != one.name) {
        let Some(first) = firsts.get(name).copied() else { continue };
        let Some((after_first, _)) = waits.get(first) else { continue };
        let is_circle = !after_first.is_empty()
            && search(first, id, |id| {
                waits.get(id).map_or_else(Vec::new, |(after, _)| after.iter().copied().collect())
            })
            .is_some();
        if let Some((after, _)) = waits.get_mut(id).filter(|_| !is_circle) {
            after.insert(first);
        }
    }
}

/// The consequence of a missing dependency: the setting `strict_plugin_dependencies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// The plugin is refused.
    Strict,
    /// The plugin starts, with a warning.
    Lenient,
}

impl Strictness {
    /// Returns the strictness in these settings.
    pub fn of(settings: &Settings) -> Self {
        if settings.strict_plugin_dependencies { Self::Strict } else { Self::Lenient }
    }
}

/// A resolved dependency.
struct Edge<'c> {
    /// The name by which the plugin refers to it.
    name: &'c PluginId,
    optional: bool,
    target: Result<&'c PluginId, Missing>,
}

/// The usable candidates and their dependencies, both ordered by name.
struct Graph<'c> {
    edges: BTreeMap<&'c PluginId, Vec<Edge<'c>>>,
}

impl<'c> Graph<'c> {
    fn new(candidates: &'c [Candidate]) -> Self {
        let by_id: BTreeMap<&PluginId, &Candidate> =
            candidates.iter().map(|candidate| (&candidate.id, candidate)).collect();
        let mut by_name: BTreeMap<&PluginId, Vec<&Candidate>> = BTreeMap::new();
        for candidate in by_id.values() {
            by_name.entry(&candidate.name).or_default().push(candidate);
        }
        let resolve = |name: &PluginId, wanted: &Dependency| {
            let found = match (by_id.get(name), by_name.get(name).map(Vec::as_slice)) {
                (Some(found), _) | (None, Some([found])) => found,
                (None, Some(several @ [_, ..])) => {
                    return Err(Missing::Ambiguous(several.iter().map(|candidate| candidate.id.clone()).collect()));
                }
                (None, Some([]) | None) => return Err(Missing::Absent),
            };
            match &found.unusable {
                Some(why) => Err(Missing::Unusable(why.clone())),
                None if wanted.version.matches(&found.version) => Ok(&found.id),
                None => Err(Missing::Version { has: found.version.clone(), wants: wanted.version.to_string() }),
            }
        };
        let usable = by_id.values().filter(|candidate| candidate.unusable.is_none());
        let edges = usable.map(|candidate| {
            let edges = candidate.dependencies.iter().map(|(name, wanted)| Edge {
                name,
                optional: wanted.optional,
                target: resolve(name, wanted),
            });
            (&candidate.id, edges.collect())
        });
        Self { edges: edges.collect() }
    }

    /// Returns the required dependencies of a plugin that were found.
    fn needs(&self, id: &PluginId) -> impl Iterator<Item = &'c PluginId> {
        let edges = self.edges.get(id).map(Vec::as_slice).unwrap_or_default();
        edges.iter().filter(|edge| !edge.optional).filter_map(|edge| edge.target.as_ref().ok().copied())
    }

    /// Returns the plugins that depend on themselves through required dependencies, each with its shortest circle.
    fn cycles(&self) -> BTreeMap<PluginId, Refused> {
        let mut refused = BTreeMap::new();
        for id in self.edges.keys() {
            let shortest = search(id, id, |id| self.needs(id).collect());
            if let Some(chain) = shortest {
                refused.insert((*id).clone(), Refused::Cycle { chain });
            }
        }
        refused
    }

    /// Refuses each plugin that needs a missing or refused one, until nothing changes.
    fn spread(&self, refused: &mut BTreeMap<PluginId, Refused>) {
        loop {
            let mut more = BTreeMap::new();
            for (id, edges) in self.edges.iter().filter(|(id, _)| !refused.contains_key(**id)) {
                let missing = edges.iter().filter(|edge| !edge.optional).find_map(|edge| usable(edge, refused).err());
                if let Some((mut chain, why)) = missing {
                    chain.insert(0, (*id).clone());
                    more.insert((*id).clone(), Refused::Missing { chain, why });
                }
            }
            if more.is_empty() {
                return;
            }
            refused.extend(more);
        }
    }

    /// Returns a path from one plugin to another through all dependencies of plugins that start.
    fn path(&self, from: &'c PluginId, to: &PluginId, refused: &BTreeMap<PluginId, Refused>) -> Option<Vec<PluginId>> {
        if from == to {
            return Some(vec![from.clone()]);
        }
        search(from, to, |id| {
            let edges = self.edges.get(id).map(Vec::as_slice).unwrap_or_default();
            edges.iter().filter_map(|edge| usable(edge, refused).ok()).collect()
        })
    }
}

/// Returns the shortest path of at least one step.
fn search<'c>(
    from: &'c PluginId,
    to: &PluginId,
    next: impl Fn(&PluginId) -> Vec<&'c PluginId>,
) -> Option<Vec<PluginId>> {
    let mut came: BTreeMap<&PluginId, &PluginId> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(id) = queue.pop_front() {
        for target in next(id) {
            if target == to {
                let mut chain = vec![to.clone(), id.clone()];
                let mut step = id;
                while step != from {
                    step = came[step];
                    chain.push(step.clone());
                }
                chain.reverse();
                return Some(chain);
            }
            if target != from && !came.contains_key(target) {
                came.insert(target, id);
                queue.push_back(target);
            }
        }
    }
    None
}

/// Returns the plugin at the end of an edge, or the chain from there to the missing one and the problem with it.
fn usable<'c>(
    edge: &Edge<'c>,
    refused: &BTreeMap<PluginId, Refused>,
) -> Result<&'c PluginId, (Vec<PluginId>, Missing)> {
    let target = edge.target.clone().map_err(|why| (vec![edge.name.clone()], why))?;
    match refused.get(target) {
        None => Ok(target),
        Some(Refused::Missing { chain, why }) => Err((chain.clone(), why.clone())),
        Some(Refused::Cycle { .. }) => Err((vec![target.clone()], Missing::Cycle)),
    }
}

/// Sorts the plugins so that each comes after all that it waits for. If several could be next, the smallest id comes
/// first.
fn sequence(waits: BTreeMap<&PluginId, (BTreeSet<&PluginId>, Vec<Warned>)>) -> Vec<Start> {
    let mut open: BTreeMap<&PluginId, usize> = waits.iter().map(|(id, (after, _))| (*id, after.len())).collect();
    let mut waiting: BTreeMap<&PluginId, Vec<&PluginId>> = BTreeMap::new();
    for (id, (after, _)) in &waits {
        for first in after {
            waiting.entry(*first).or_default().push(*id);
        }
    }
    let mut ready: BTreeSet<&PluginId> = open.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
    let mut starts = Vec::with_capacity(waits.len());
    let mut waits = waits;
    while let Some(id) = ready.pop_first() {
        for next in waiting.remove(id).unwrap_or_default() {
            if let Some(count) = open.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(next);
                }
            }
        }
        if let Some((after, warned)) = waits.remove(id) {
            starts.push(Start { id: id.clone(), after: after.into_iter().cloned().collect(), warned });
        }
    }
    debug_assert!(waits.is_empty(), "circles were refused or cut before");
    starts
}

#[cfg(test)]
mod tests;
