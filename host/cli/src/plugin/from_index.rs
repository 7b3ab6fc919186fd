//! Plugins by their names in indexes: which file is meant, and whether it is still of the same publisher.

use std::path::Path;

use anyhow::bail;
use parlor_base::id::PluginId;
use parlor_config::Config;
use parlor_plugins::admin::{AdminError, Expected, Older, Publisher};
use parlor_plugins::index::{Found, Indexes};
use parlor_plugins::listing::Wanted;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::Entry;
use parlor_plugins::signature::PublisherKey;
use parlor_plugins::source::{LogIn, Source};

use super::origin::Origin;
use crate::Ended;
use crate::ask::Terminal;
use crate::target::say;

/// How a person can be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    /// Whether a program reads the output, so that no questions are asked.
    pub(crate) json: bool,
    /// Whether nothing is changed, so that no questions are needed.
    pub(crate) check: bool,
}

/// The plugin to update.
pub(crate) struct Installed<'a> {
    pub(crate) entry: &'a Entry,
    /// Whether the owner takes what is not of the same publisher.
    pub(crate) older: Older,
}

/// The chosen file, and the requirements on it.
pub(crate) struct Chosen {
    pub(crate) source: Source,
    pub(crate) expected: Expected,
    /// Its entry in the index, if it is from one.
    found: Option<Found>,
}

/// Returns the typed source, or an index's entry with that name. For an installed plugin, `typed` may be omitted.
///
/// A file of that name comes first, as it does without indexes.
pub(crate) fn choose(
    config: &Config,
    typed: Option<&Source>,
    origin: &Origin,
    installed: Option<&Installed<'_>>,
    asking: Asking,
) -> anyhow::Result<Chosen> {
    let mut expected = origin.expected()?;
    let entry = installed.map(|installed| installed.entry);
    let Some(found) = find(config, typed, entry)? else {
        let Some(source) = typed.or(entry.map(|entry| &entry.source)).cloned() else {
            bail!(Ended::Usage("give the source of the plugin".to_owned()));
        };
        let pinned = entry.and_then(|entry| entry.publisher.clone());
        if let (Some(key), Some(Installed { entry, older: Older::Refused })) = (pinned, installed) {
            expected.publisher = Some(Publisher { key, index: entry.index.clone(), is_agreed: false });
        }
        return Ok(Chosen { source, expected, found: None });
    };
    listed(found, expected, entry, asking)
}

/// Returns an index's entry with a name, if it cannot be a file.
pub(crate) fn choose_listed(
    config: &Config,
    wanted: &Wanted,
    expected: Expected,
    asking: Asking,
) -> anyhow::Result<Chosen> {
    listed(Indexes::new(&config.data).find(wanted)?, expected, None, asking)
}

/// Requires of a file what its index says. `entry` is the installed plugin, if it is an update.
fn listed(found: Found, expected: Expected, entry: Option<&Entry>, asking: Asking) -> anyhow::Result<Chosen> {
    let (listing, digest) = (&found.listing, found.digest);
    if expected.unsigned {
        let sentence = format!("what an index names has to be signed: leave out --unsigned, or give {}", found.source);
        bail!(Ended::Usage(sentence));
    }
    // An index can name any server, also one that collects passwords.
    let is_known = entry.is_some_and(|entry| entry.source.has_registry_of(&found.source));
    if matches!(expected.login, LogIn::Given { .. }) && !is_known {
        let source = &found.source;
        let sentence = format!(
            "an index says that {listing} is at {source}, and a password goes only to a registry that you name: leave out \
             --username, or give {source} if the password is for it"
        );
        bail!(Ended::Usage(sentence));
    }
    if let Some(other) = expected.digest.filter(|wanted| *wanted != digest) {
        bail!("{other} was asked for, but the index has {digest} as {listing} {}", found.version);
    }
    let before = match entry.and_then(|entry| entry.publisher.clone()) {
        // The key of the installed plugin counts, even if the index was removed and added again since.
        Some(key) => Some(key).filter(|key| *key != found.key),
        None => found.was.clone(),
    };
    let is_agreed = before.map_or(Ok(false), |was| agrees(&found, &was, asking))?;
    let publisher = Publisher { key: found.key.clone(), index: Some(listing.clone()), is_agreed };
    let expected = Expected { digest: Some(digest), publisher: Some(publisher), ..expected };
    Ok(Chosen { source: found.source.clone(), expected, found: Some(found) })
}

/// Finds the typed name in the indexes, or the name under which an installed plugin was installed.
fn find(config: &Config, typed: Option<&Source>, entry: Option<&Entry>) -> anyhow::Result<Option<Found>> {
    let indexes = Indexes::new(&config.data);
    let wanted: Wanted = match (typed, entry.and_then(|entry| entry.index.clone())) {
        (Some(Source::File(path)), _) => match named(path) {
            // Without an index it can only be a file, and the error about that says more.
            Some(wanted) if !indexes.all()?.is_empty() => wanted,
            Some(_) | None => return Ok(None),
        },
        // The index may have been removed; then the source and the key stay as they are.
        (None, Some(listing)) if indexes.known(&listing.index).is_ok() => listing.into(),
        _ => return Ok(None),
    };
    Ok(Some(indexes.find(&wanted)?))
}

/// Interprets a path as a name in an index, if the file does not exist.
fn named(path: &Path) -> Option<Wanted> {
    if path.symlink_metadata().is_ok() {
        return None;
    }
    path.to_str()?.parse().ok()
}

/// Asks whether another key than before may sign the plugin. No flag answers that.
fn agrees(found: &Found, was: &PublisherKey, asking: Asking) -> anyhow::Result<bool> {
    let Found { listing, key, .. } = found;
    let says = format!(
        "{listing} is by another key than before, {key} instead of {was}: its publisher changed it, or somebody else took the \
         publisher's place"
    );
    if asking.check {
        say(&format!("{says}; an update asks about that"));
        return Ok(true);
    }
    let Some(terminal) = Terminal::open_unless(asking.json) else {
        let sentence = format!("{says}; run this on a terminal to agree, and ask the publisher first");
        return Err(Ended::Declined(sentence).into());
    };
    terminal.consent(&format!("{says}. Take the new key?"))?;
    Ok(true)
}

impl Chosen {
    /// Checks that the component matches the index. Since it has the digest of the index, the index is wrong otherwise.
    pub(crate) fn is_as_listed(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let Some(Found { listing, version, permissions, .. }) = &self.found else { return Ok(()) };
        if manifest.name != listing.plugin || manifest.version != *version {
            let (name, is) = (&manifest.name, &manifest.version);
            bail!(
                "the index has {listing} {version}, but the component is {name} {is}; nothing was changed, tell its publisher"
            );
        }
        let asked = manifest.permissions.keys().filter(|permission| !permissions.contains(permission));
        let more: Vec<_> = asked.map(ToString::to_string).collect();
        if !more.is_empty() {
            let more = more.join(", ");
            bail!("{listing} asks for {more}, which the index does not say; nothing was changed, tell its publisher");
        }
        Ok(())
    }

    /// Explains an error about the origin of an update.
    pub(crate) fn explained(&self, error: AdminError, id: &PluginId) -> AdminError {
        match error {
            AdminError::NotByPublisher { key, .. } if self.found.is_none() => {
                AdminError::OtherPublisher { id: id.clone(), key }
            }
            error => error,
        }
    }

    /// Remembers the key that the owner agreed to, after the signed plugin was installed.
    pub(crate) fn pin(&self, config: &Config) {
        let is_agreed = self.expected.publisher.as_ref().is_some_and(|publisher| publisher.is_agreed);
        let Some(found) = self.found.as_ref().filter(|_| is_agreed) else { return };
        if let Err(error) = Indexes::new(&config.data).agree(found) {
            say(&format!("the new key was not remembered, so it will be asked about again: {error}"));
        }
    }

    /// Returns a file that no index lists.
    pub(crate) fn unlisted(source: Source, expected: Expected) -> Self {
        Self { source, expected, found: None }
    }
}
