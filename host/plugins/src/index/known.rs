//! The indexes that the owner added, each a file in the data folder: the index as it was signed, its source, its key, and
//! the publishers' keys that were seen first.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parlor_base::atomic::{self, Locked, Readers};
use parlor_base::id::{Digest, PluginId};
use parlor_base::nearest::nearest;
use parlor_base::permission::Permission;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Fetched, Index, IndexError, MAX_BYTES, MAX_PLUGINS};
use crate::listing::{IndexName, Listing, Wanted};
use crate::signature::PublisherKey;
use crate::source::Source;

/// The maximum number of indexes.
pub(super) const MAX_INDEXES: usize = 32;
/// The maximum number of publishers' keys that are remembered for one index: also those of plugins that it no longer
/// has.
pub(super) const MAX_PINS: usize = 5 * MAX_PLUGINS;
/// The maximum size of a file about an index, in bytes. JSON escapes some characters of the text.
const MAX_KEPT: u64 = 4 * MAX_BYTES as u64;

/// The indexes of one data folder.
#[derive(Debug)]
pub struct Indexes {
    folder: PathBuf,
}

/// An index that the owner added.
#[derive(Debug, Clone)]
pub struct Known {
    /// The owner's name for it.
    pub name: IndexName,
    /// The source that it is fetched from.
    pub source: Source,
    /// The key that signs it.
    pub key: PublisherKey,
    /// Its contents.
    pub index: Index,
    /// The index as it was signed.
    text: String,
    /// The key that the index named first for each plugin, or that the owner agreed to since.
    pins: BTreeMap<PluginId, PublisherKey>,
}

/// An index as the data folder has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    source: String,
    key: PublisherKey,
    pins: BTreeMap<PluginId, PublisherKey>,
    text: String,
}

/// The result of fetching an index again.
#[derive(Debug)]
pub enum Refreshed {
    /// It is as it was.
    Same(Known),
    /// It is a newer one.
    Newer(Known),
}

/// A version of a plugin that an index has.
#[derive(Debug, Clone)]
pub struct Found {
    /// The plugin, by the owner's name for the index.
    pub listing: Listing,
    /// The version.
    pub version: Version,
    /// The digest that the component must have.
    pub digest: Digest,
    /// The source of the component.
    pub source: Source,
    /// The publisher's key.
    pub key: PublisherKey,
    /// The key that was seen first, if it is another one.
    pub was: Option<PublisherKey>,
    /// The permissions that the index lists for it.
    pub permissions: BTreeSet<Permission>,
}

impl Known {
    /// Returns an index that was fetched and is not kept yet: under this name, or under the one that it gives itself.
    pub fn new(name: Option<IndexName>, key: PublisherKey, fetched: &Fetched) -> Result<Self, IndexError> {
        let (index, text) = (fetched.verified(&key)?, fetched.text()?.to_owned());
        let name = name.unwrap_or_else(|| index.name.clone());
        let mut known = Self { name, source: fetched.source.clone(), key, index, text, pins: BTreeMap::new() };
        known.pin_new()?;
        Ok(known)
    }

    /// Fetches the index again, and takes it unless it is an older one.
    pub fn refresh(self) -> Result<Refreshed, IndexError> {
        let fetched = Fetched::get(&self.source)?;
        self.refreshed(&fetched)
    }

    pub(super) fn refreshed(mut self, fetched: &Fetched) -> Result<Refreshed, IndexError> {
        let (index, text) = (fetched.verified(&self.key)?, fetched.text()?);
        // A key may sign several indexes, each with separate serial numbers.
        if index.name != self.index.name {
            return Err(IndexError::Other { name: self.name, was: self.index.name, found: index.name });
        }
        let (known, offered) = (self.index.serial, index.serial);
        if offered < known {
            return Err(IndexError::Older { name: self.name, known, offered });
        }
        if text == self.text {
            return Ok(Refreshed::Same(self));
        }
        if offered == known {
            return Err(IndexError::SameSerial { name: self.name, serial: known });
        }
        (self.text, self.index) = (text.to_owned(), index);
        self.pin_new()?;
        Ok(Refreshed::Newer(self))
    }

    /// Remembers the keys of plugins that are new in the index. Known keys do not change.
    fn pin_new(&mut self) -> Result<(), IndexError> {
        for (plugin, listed) in &self.index.plugins {
            self.pins.entry(plugin.clone()).or_insert_with(|| listed.key.clone());
        }
        if self.pins.len() > MAX_PINS { Err(IndexError::TooManyPins(self.name.clone())) } else { Ok(()) }
    }

    /// Returns whether the key of a plugin is another one than the one that was seen first.
    pub fn has_other_key(&self, plugin: &PluginId) -> bool {
        self.index.plugins.get(plugin).is_some_and(|listed| self.pins.get(plugin) != Some(&listed.key))
    }

    fn find(&self, wanted: &Wanted) -> Option<Result<Found, IndexError>> {
        let listed = self.index.plugins.get(&wanted.plugin)?;
        let listing = Listing { index: self.name.clone(), plugin: wanted.plugin.clone() };
        let (version, release) = match &wanted.version {
            // If none is for this program, the error below names what is not known.
            None => listed.newest().or_else(|| listed.versions.last_key_value())?,
            Some(version) => {
                let Some(found) = listed.versions.get_key_value(version) else {
                    let known = listed.versions.keys().map(ToString::to_string).collect();
                    return Some(Err(IndexError::NoVersion { listing, version: version.clone(), known }));
                };
                found
            }
        };
        if let Some(permission) = release.unknown.first().cloned() {
            return Some(Err(IndexError::NotForThis { listing, permission }));
        }
        let source = match release.source(&self.source) {
            Ok(source) => source,
            Err(cause) => {
                let (from, what) = (self.source.clone().into(), format!("{} {version}", wanted.plugin));
                return Some(Err(IndexError::Source { from, what, cause }));
            }
        };
        Some(Ok(Found {
            listing,
            version: version.clone(),
            digest: release.digest,
            source,
            key: listed.key.clone(),
            was: self.pins.get(&wanted.plugin).filter(|pin| **pin != listed.key).cloned(),
            permissions: release.permissions.clone(),
        }))
    }
}

/// Reads the file of an index.
fn understood(name: IndexName, bytes: &[u8]) -> Result<Known, String> {
    let Kept { source, key, pins, text } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let source = Source::parse(&source, Path::new("")).map_err(|error| error.to_string())?;
    let index = Index::parse(&text, &key).map_err(|error| error.to_string())?;
    Ok(Known { name, source, key, index, text, pins })
}

impl Indexes {
    /// Returns the indexes in a data folder. No folder is created before one is added.
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("indexes") }
    }

    fn path(&self, name: &IndexName) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Returns all indexes, by name.
    pub fn all(&self) -> Result<Vec<Known>, IndexError> {
        let unreadable =
            |cause: io::Error| IndexError::Unreadable { path: self.folder.clone(), cause: cause.to_string() };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            let is_index = path.extension() == Some(OsStr::new("json"));
            let stem = path.file_stem().and_then(OsStr::to_str).filter(|_| is_index);
            names.extend(stem.and_then(|stem| stem.parse::<IndexName>().ok()));
        }
        names.into_iter().filter_map(|name| self.get(name).transpose()).collect()
    }

    /// Returns the index of this name, if there is one.
    fn get(&self, name: IndexName) -> Result<Option<Known>, IndexError> {
        let path = self.path(&name);
        let unreadable = |cause: &dyn ToString| IndexError::Unreadable { path: path.clone(), cause: cause.to_string() };
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&error)),
            Ok(found) if found.len() > MAX_KEPT => return Err(unreadable(&"it is too long")),
            Ok(_) => {}
        }
        let bytes = fs::read(&path).map_err(|error| unreadable(&error))?;
        understood(name, &bytes).map(Some).map_err(|cause| unreadable(&cause))
    }

    /// Returns whether a file of the folder has an index, for backups.
    pub fn is_intact(name: &IndexName, bytes: &[u8]) -> bool {
        bytes.len() as u64 <= MAX_KEPT && understood(name.clone(), bytes).is_ok()
    }

    /// Keeps an index. When this returns, it is durable.
    pub fn keep(&self, known: &Known) -> Result<(), IndexError> {
        let path = self.path(&known.name);
        let unwritten = |cause: io::Error| IndexError::Unwritten { path: path.clone(), cause };
        let Known { source, key, text, pins, .. } = known.clone();
        let source = match &source {
            // The path is read again, so it is kept as it is and not as it is displayed.
            Source::File(path) => path.to_str().map(str::to_owned).ok_or_else(|| {
                let why = "the path of the index is not UTF-8";
                unwritten(io::Error::new(io::ErrorKind::InvalidInput, why))
            })?,
            other => other.to_string(),
        };
        let json = serde_json::to_vec(&Kept { source, key, pins, text }).map_err(|error| unwritten(error.into()))?;
        atomic::make_private_folder(&self.folder).map_err(unwritten)?;
        atomic::write(&path, &json, Readers::Owner).map_err(unwritten)
    }

    /// Waits for other commands that change indexes, and keeps them out until the result is dropped. Without support
    /// for locks, the last writer wins.
    pub fn lock(&self) -> Result<Option<Locked>, IndexError> {
        let made = atomic::make_private_folder(&self.folder);
        made.map_err(|cause| IndexError::Unwritten { path: self.folder.clone(), cause })?;
        Ok(atomic::alone_in(&self.folder, || {}))
    }

    /// Checks that another index of this name can be added.
    pub fn is_free(&self, name: &IndexName) -> Result<(), IndexError> {
        let all = self.all()?;
        if let Some(known) = all.iter().find(|known| known.name == *name) {
            return Err(IndexError::Taken { name: name.clone(), from: known.source.clone().into() });
        }
        if all.len() >= MAX_INDEXES { Err(IndexError::TooMany) } else { Ok(()) }
    }

    /// Returns the index of this name.
    pub fn known(&self, name: &IndexName) -> Result<Known, IndexError> {
        if let Some(known) = self.get(name.clone())? {
            return Ok(known);
        }
        let all = self.all()?;
        let near = nearest(name.as_str(), all.iter().map(|known| known.name.as_str())).map(str::to_owned);
        Err(IndexError::Unknown { name: name.clone(), near })
    }

    /// Removes an index, with the keys that were remembered for it. Plugins that were installed by it stay.
    pub fn remove(&self, name: &IndexName) -> Result<(), IndexError> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(|cause| IndexError::Unwritten { path, cause })
    }

    /// Finds a plugin.
    pub fn find(&self, wanted: &Wanted) -> Result<Found, IndexError> {
        let all = match &wanted.index {
            Some(name) => vec![self.known(name)?],
            None => self.all()?,
        };
        let has = |known: &&Known| known.index.plugins.contains_key(&wanted.plugin);
        let having: Vec<_> = all.iter().filter(has).collect();
        if having.len() > 1 {
            let all = having.iter().map(|known| format!("{}/{}", known.name, wanted.plugin)).collect();
            return Err(IndexError::Several { plugin: wanted.plugin.clone(), all });
        }
        having.first().and_then(|known| known.find(wanted)).unwrap_or_else(|| {
            let names = all.iter().flat_map(|known| known.index.plugins.keys()).map(PluginId::as_str);
            let near = nearest(wanted.plugin.as_str(), names).map(str::to_owned);
            Err(IndexError::NoPlugin { wanted: wanted.clone(), near })
        })
    }

    /// Remembers the key that the owner agreed to.
    pub fn agree(&self, found: &Found) -> Result<(), IndexError> {
        let _lock = self.lock()?;
        let mut known = self.known(&found.listing.index)?;
        known.pins.insert(found.listing.plugin.clone(), found.key.clone());
        self.keep(&known)
    }
}
