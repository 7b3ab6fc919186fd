//! The files of this node that sharing reads and writes. Everything here waits for the disk.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parlor_base::atomic::{self, Readers};
use parlor_base::document;
use parlor_base::id::Digest;
use parlor_config::Config;
use parlor_nats::SharedText;
use parlor_plugins::components::{Components, KeptVersion};
use parlor_plugins::policy::file::{self, EditError};
use parlor_plugins::policy::{Policy, RoomSettings, SettingValues};
use parlor_plugins::sharing;

use super::decide::Base;

/// The largest file with the version that this node had last, in bytes.
const LARGEST: u64 = 4096;
/// How many files of this node can lie beside a file that nodes share.
const MOST_ASIDE: usize = 100;

/// Returns the file in the data folder with the version that this node had last.
fn memory(data: &Path, of: SharedText) -> PathBuf {
    data.join(match of {
        SharedText::Plugins => "cluster-plugins.json",
        SharedText::Accounts => "cluster-accounts.json",
    })
}

/// Returns the version of this cluster that the node had last, if it is known.
pub(super) fn remembered(data: &Path, of: SharedText, cluster: &str) -> Option<Base> {
    let text = document::read(&memory(data, of), LARGEST).ok().flatten()?;
    serde_json::from_str(&text).ok().filter(|base: &Base| base.cluster == cluster)
}

/// Notes the version that the node has.
pub(super) fn remember(data: &Path, of: SharedText, base: &Base) -> io::Result<()> {
    atomic::write(&memory(data, of), &serde_json::to_vec(base)?, Readers::Owner)
}

/// Returns the components that a policy names and that are not here.
pub(super) fn lacking(config: &Config, policy: &Policy) -> BTreeSet<Digest> {
    sharing::lacking(policy, &Components::new(&config.data))
}

/// Stores a component, which somebody has compared with its digest.
pub(super) fn keep(config: &Config, bytes: &[u8]) -> Result<(), EditError> {
    let path = &config.plugins;
    let kept = file::locked(path, || Components::new(&config.data).keep(bytes))?;
    kept.map_err(|cause| EditError::Write { path: config.data.clone(), cause })
}

/// Writes a policy of the cluster in the place of the present text. If that has changes of this node, it is put aside, and the
/// file with it is returned.
pub(super) fn take(
    config: &Config,
    present: Option<&str>,
    text: &str,
    is_changed: bool,
) -> Result<Option<PathBuf>, EditError> {
    let mut aside = None;
    file::replace(&config.plugins, present, text, |path| {
        if let Some(present) = present.filter(|_| is_changed) {
            aside = Some(put_aside(path, present)?);
        }
        note_versions(config, present, text)
    })?;
    Ok(aside)
}

/// Writes this node's text beside the file, under the first name that is free.
pub(super) fn put_aside(file: &Path, text: &str) -> io::Result<PathBuf> {
    for number in 1..=MOST_ASIDE {
        let mut name = OsString::from(file.file_name().unwrap_or_default());
        name.push(if number == 1 { ".mine".to_owned() } else { format!(".mine.{number}") });
        let path = file.with_file_name(name);
        if path.symlink_metadata().is_ok() {
            continue;
        }
        atomic::write(&path, text.as_bytes(), Readers::Owner)?;
        return Ok(path);
    }
    Err(io::Error::other("there are 100 files beside it that end in .mine: look through them and remove them"))
}

/// Notes the versions of plugins that come with a policy, so that a rollback is possible on this node, too.
fn note_versions(config: &Config, present: Option<&str>, text: &str) -> io::Result<()> {
    let understood = |text: &str| Policy::understand(text, &config.plugins).unwrap_or_default();
    let (old, components) = (present.map(understood).unwrap_or_default(), Components::new(&config.data));
    for (id, entry) in understood(text).plugins {
        let before = old.plugins.get(&id).map(|entry| entry.digest);
        let Some(version) = entry.version.filter(|_| before != Some(entry.digest)) else { continue };
        if before.is_none() {
            // Those of an earlier plugin with this id do not count for this one.
            components.forget(&id)?;
        }
        let kept = KeptVersion {
            version,
            digest: entry.digest,
            source: entry.source.to_string(),
            signer: entry.signer,
            at: Timestamp::now().to_string(),
            settings: SettingValues::default(),
            settings_in: RoomSettings::default(),
        };
        components.note(&id, kept, before.as_ref())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_that_is_put_aside_has_its_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("plugins.toml");
        let names = ["one", "two"].map(|text| put_aside(&policy, text).unwrap());
        assert_eq!(names, ["plugins.toml.mine", "plugins.toml.mine.2"].map(|name| folder.path().join(name)));
        assert_eq!(std::fs::read_to_string(&names[1]).unwrap(), "two");
        for number in 3..=MOST_ASIDE {
            std::fs::write(folder.path().join(format!("plugins.toml.mine.{number}")), "").unwrap();
        }
        assert!(put_aside(&policy, "three").is_err(), "nothing of what is there is overwritten");
    }

    #[test]
    fn the_version_of_another_cluster_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let base = Base { cluster: "a".to_owned(), revision: 7, number: 2, digest: Digest::of(b"text") };
        remember(folder.path(), SharedText::Plugins, &base).unwrap();
        let plugins = |cluster: &str| remembered(folder.path(), SharedText::Plugins, cluster);
        assert_eq!(plugins("a"), Some(base));
        assert_eq!(plugins("b"), None);
        assert_eq!(remembered(folder.path(), SharedText::Accounts, "a"), None, "each file has its own");
        std::fs::write(folder.path().join("cluster-plugins.json"), "{").unwrap();
        assert_eq!(plugins("a"), None);
    }
}
