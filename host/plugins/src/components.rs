//! The component store in the data folder: the installed components by digest, and the versions that each plugin had.
//!
//! A file is stored before the policy names it, so a policy never names a missing file. Callers that change the store
//! hold the lock of the policy. A data folder may be used with several policies, one at a time: components that any of
//! them names are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use parlor_base::atomic::{self, Readers};
use parlor_base::id::{Digest, PluginId};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::component::{ComponentError, Examined, examine};
use crate::policy::{RoomSettings, SettingValues};
use crate::signature::KeyName;

/// How many versions of a plugin are kept, including the present one.
const KEPT: usize = 5;

/// How many files are remembered as examined. Their manifests, which are most of it, are those of plugins that run.
const EXAMINED: usize = 256;

/// The component store of one data folder.
#[derive(Debug, Clone)]
pub struct Components {
    folder: PathBuf,
    versions: PathBuf,
    /// The file with the paths of the policies, one per line.
    policies: PathBuf,
    examined: Arc<Mutex<BTreeMap<Digest, Arc<Examined>>>>,
}

/// A version that a plugin has or had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVersion {
    /// The version number.
    pub version: Version,
    /// The digest of its file.
    pub digest: Digest,
    /// The source that it was installed from.
    pub source: String,
    /// The trusted key that had signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<KeyName>,
    /// The time of its first installation, as RFC 3339.
    pub at: String,
    /// The owner's settings for this version for which the version after it has no place.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub settings: SettingValues,
    /// The same for single rooms.
    #[serde(default, skip_serializing_if = "RoomSettings::is_empty")]
    pub settings_in: RoomSettings,
}

fn is_empty(settings: &SettingValues) -> bool {
    settings.0.is_empty()
}

impl Components {
    /// Returns the store in a data folder. No folder is created before something is stored.
    pub fn new(data: &Path) -> Self {
        Self {
            folder: data.join("components"),
            versions: data.join("versions"),
            policies: data.join("policies"),
            examined: Arc::default(),
        }
    }

    /// Returns the policies that this data folder was used with. They may no longer exist.
    pub fn policies(&self) -> Vec<PathBuf> {
        let text = fs::read(&self.policies).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| PathBuf::from(OsStr::from_bytes(line))).collect()
    }

    /// Records a policy that uses this data folder, so that a change of another policy removes nothing that this one
    /// names.
    pub fn note_policy(&self, policy: &Path) -> io::Result<()> {
        let (mut all, policy) = (self.policies(), std::path::absolute(policy)?);
        if all.contains(&policy) {
            return Ok(());
        }
        all.push(policy);
        let lines: Vec<_> = all.iter().map(|path| path.as_os_str().as_bytes()).collect();
        atomic::write(&self.policies, &lines.join(&b'\n'), Readers::Owner)
    }

    /// Returns the path of the component with this digest, whether it exists or not.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_hex()).with_extension("wasm")
    }

    /// Examines the component with this digest and these bytes. It is done once for all plugins with the same file.
    pub(crate) fn examined(&self, digest: Digest, bytes: &[u8]) -> Result<Arc<Examined>, ComponentError> {
        let known = || self.examined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(examined) = known().get(&digest) {
            return Ok(Arc::clone(examined));
        }
        let examined = Arc::new(examine(bytes)?);
        let mut known = known();
        // Nothing is lost but the time to examine it again.
        if known.len() >= EXAMINED {
            known.clear();
        }
        known.insert(digest, Arc::clone(&examined));
        Ok(examined)
    }

    /// Stores a component. When this returns, the file is durable.
    pub fn keep(&self, bytes: &[u8]) -> io::Result<()> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        if fs::read(&path).is_ok_and(|kept| Digest::of(&kept) == digest) {
            return Ok(());
        }
        atomic::make_private_folder(&self.folder)?;
        atomic::write(&path, bytes, Readers::Owner)
    }

    fn versions_of(&self, id: &PluginId) -> PathBuf {
        self.versions.join(id.as_str()).with_extension("json")
    }

    /// Returns the versions that a plugin had, in order of installation; none if the file cannot be parsed.
    pub fn versions(&self, id: &PluginId) -> io::Result<Vec<KeptVersion>> {
        match fs::read(self.versions_of(id)) {
            Ok(json) => Ok(serde_json::from_slice(&json).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Records a version of a plugin after `present`, the one that it replaces, so that a rollback leads there. A
    /// version that is already recorded keeps its position. If there are too many, the oldest are dropped, but never
    /// `present` or the new one.
    pub fn note(&self, id: &PluginId, version: KeptVersion, present: Option<&Digest>) -> io::Result<()> {
        let (mut all, new) = (self.versions(id)?, version.digest);
        if all.iter().any(|kept| kept.digest == new) {
            return Ok(());
        }
        let replaced = all.iter().position(|kept| Some(&kept.digest) == present);
        all.insert(replaced.map_or(all.len(), |at| at + 1), version);
        while all.len() > KEPT {
            let oldest = all.iter().position(|kept| Some(&kept.digest) != present && kept.digest != new).unwrap_or(0);
            all.remove(oldest);
        }
        self.write_versions(id, &all)
    }

    /// Stores with the version that is being replaced the settings that only fit that version.
    pub fn put_aside(
        &self,
        id: &PluginId,
        left: &Digest,
        settings: SettingValues,
        settings_in: RoomSettings,
    ) -> io::Result<()> {
        let mut all = self.versions(id)?;
        match all.iter_mut().find(|kept| kept.digest == *left) {
            Some(kept) if kept.settings != settings || kept.settings_in != settings_in => {
                (kept.settings, kept.settings_in) = (settings, settings_in);
            }
            _ => return Ok(()),
        }
        self.write_versions(id, &all)
    }

    /// Forgets the settings put aside with any version of a plugin whose values this says are gone.
    pub fn forget_aside(&self, id: &PluginId, is_gone: impl Fn(&Value) -> bool) -> io::Result<()> {
        let before = self.versions(id)?;
        let mut all = before.clone();
        for kept in &mut all {
            kept.settings.0.retain(|_, value| !is_gone(value));
            kept.settings_in = kept.settings_in.filter(|_, _, value| !is_gone(value));
        }
        if all == before { Ok(()) } else { self.write_versions(id, &all) }
    }

    fn write_versions(&self, id: &PluginId, all: &[KeptVersion]) -> io::Result<()> {
        atomic::make_private_folder(&self.versions)?;
        atomic::write(&self.versions_of(id), &serde_json::to_vec_pretty(all)?, Readers::Owner)
    }

    /// Removes the record of a plugin's versions.
    pub fn forget(&self, id: &PluginId) -> io::Result<()> {
        match fs::remove_file(self.versions_of(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes the records of every plugin that is not in `present`, and every component that none of the others has or
    /// had.
    pub fn prune(&self, present: impl IntoIterator<Item = (PluginId, Digest)>) -> io::Result<()> {
        let mut used = BTreeSet::new();
        for (id, digest) in present {
            used.extend([self.path(&digest), self.versions_of(&id)]);
            used.extend(self.versions(&id)?.iter().map(|kept| self.path(&kept.digest)));
        }
        for folder in [&self.versions, &self.folder] {
            let entries = match fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let path = entry?.path();
                if !used.contains(&path) {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: &[u8], minor: u64) -> KeptVersion {
        let (digest, source) = (Digest::of(bytes), "x".to_owned());
        KeptVersion {
            version: Version::new(0, minor, 0),
            digest,
            source,
            signer: None,
            at: String::new(),
            settings: SettingValues::default(),
            settings_in: RoomSettings::default(),
        }
    }

    #[test]
    fn what_is_kept_is_found_by_its_digest_and_mended_if_it_was_spoiled() {
        let folder = tempfile::tempdir().unwrap();
        let store = Components::new(folder.path());
        store.keep(b"one").unwrap();
        let path = store.path(&Digest::of(b"one"));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        fs::write(&path, b"two").unwrap();
        store.keep(b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn policies_are_noted_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let store = Components::new(folder.path());
        assert!(store.policies().is_empty());
        for name in ["plugins.toml", "other.toml", "plugins.toml"] {
            store.note_policy(&Path::new("/etc/parlor").join(name)).unwrap();
        }
        assert_eq!(store.policies(), ["/etc/parlor/plugins.toml", "/etc/parlor/other.toml"].map(PathBuf::from));
    }

    #[test]
    fn versions_are_remembered_in_order_and_the_rest_is_pruned() {
        let folder = tempfile::tempdir().unwrap();
        let store = Components::new(folder.path());
        let id: PluginId = "echo".parse().unwrap();
        let all: Vec<_> = (0..8).map(|minor| format!("bytes {minor}").into_bytes()).collect();
        for (bytes, minor) in all.iter().zip(0..) {
            store.keep(bytes).unwrap();
            let before = (minor > 0).then(|| Digest::of(&all[usize::try_from(minor).unwrap() - 1]));
            store.note(&id, kept(bytes, minor), before.as_ref()).unwrap();
        }
        let minors =
            |store: &Components| store.versions(&id).unwrap().iter().map(|kept| kept.version.minor).collect::<Vec<_>>();
        assert_eq!(minors(&store), [3, 4, 5, 6, 7]);
        // Go back to an earlier version and update from there: a rollback must not return to the abandoned version.
        store.keep(b"new").unwrap();
        store.note(&id, kept(b"new", 8), Some(&Digest::of(&all[5]))).unwrap();
        assert_eq!(minors(&store), [4, 5, 8, 6, 7]);
        store.note(&id, kept(&all[4], 4), None).unwrap();
        assert_eq!(minors(&store), [4, 5, 8, 6, 7]);
        // Back to the very first version: the one just recorded is not dropped as the oldest.
        store.keep(b"newer").unwrap();
        store.note(&id, kept(b"newer", 9), Some(&Digest::of(&all[4]))).unwrap();
        assert_eq!(minors(&store), [4, 9, 8, 6, 7]);
        store.keep(b"nobody has it").unwrap();
        store.prune([(id.clone(), Digest::of(b"new"))]).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("components")).unwrap().count(), 5);
        store.forget(&id).unwrap();
        store.forget(&id).unwrap();
        store.prune([(id.clone(), Digest::of(b"new"))]).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("components")).unwrap().count(), 1);
        // A plugin that was removed from the policy by hand.
        store.note(&id, kept(b"new", 8), None).unwrap();
        store.prune([]).unwrap();
        assert!(store.versions(&id).unwrap().is_empty());
        assert_eq!(fs::read_dir(folder.path().join("components")).unwrap().count(), 0);
    }
}
