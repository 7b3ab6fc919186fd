//! The order of search results.

use parlor_base::id::PluginId;

use super::{Known, Listed};

/// A plugin that a search found.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// The index that has it.
    pub known: &'a Known,
    /// Its name.
    pub plugin: &'a PluginId,
    /// Its entry in the index.
    pub listed: &'a Listed,
}

/// Finds the plugins in which each of these words occurs, the best first. Without words it finds all, by name.
///
/// A word counts more in a name than in a description, a language or a permission, and most if it is the whole name.
pub fn search<'a>(all: &'a [Known], words: &[String]) -> Vec<Hit<'a>> {
    let words: Vec<_> = words.iter().map(|word| word.to_lowercase()).collect();
    let hits = all.iter().flat_map(|known| {
        let plugins = known.index.plugins.iter();
        plugins.map(move |(plugin, listed)| Hit { known, plugin, listed })
    });
    let mut ranked: Vec<_> = hits.filter_map(|hit| Some((rank(&hit, &words)?, hit))).collect();
    ranked.sort_by_key(|(rank, hit)| (*rank, hit.plugin, &hit.known.name));
    ranked.into_iter().map(|(_, hit)| hit).collect()
}

/// Returns how far down a hit belongs; `None` if a word does not occur in it.
fn rank(hit: &Hit<'_>, words: &[String]) -> Option<usize> {
    let description = hit.listed.description.to_lowercase();
    let language = hit.listed.language.as_deref().unwrap_or_default().to_lowercase();
    let newest = hit.listed.newest().map(|(_, release)| &release.permissions);
    let of = |word: &String| {
        let (name, word) = (hit.plugin.as_str(), word.as_str());
        let asks = || newest.is_some_and(|all| all.iter().any(|permission| permission.as_str().starts_with(word)));
        match () {
            () if name == word => Some(0),
            () if name.starts_with(word) => Some(1),
            () if name.contains(word) => Some(2),
            () if description.contains(word) || language == word || asks() => Some(3),
            () => None,
        }
    };
    words.iter().map(of).sum()
}
