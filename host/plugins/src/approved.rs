//! Finds, examines and admits the file that an owner approved. No other bytes are parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use parlor_base::escape::EscapedPath as _;
use parlor_base::id::{Digest, PluginId};
use parlor_config::{Selector, Settings};
use semver::Version;

use crate::admission::{Admitted, Refusal, admit, may_run};
use crate::component::{ComponentError, Examined, ReadError, examine};
use crate::components::Components;
use crate::manifest::Manifest;
use crate::policy::Entry;
use crate::source::Source;

pub use crate::component::read;

/// The reason why a plugin of the policy may not run.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The file cannot be read, or is too large for a plugin.
    #[error(transparent)]
    File(#[from] ReadError),
    /// The component was downloaded and is no longer in the component store.
    #[error(
        "what was installed from {from} is not in the component store any more; `parlor plugin update {id}` gets it again"
    )]
    Lost {
        /// The plugin's id.
        id: PluginId,
        /// The source that it was downloaded from.
        from: Source,
    },
    /// The installed file is in the component store, but cannot be read.
    #[error("{path}, which was installed as {id}, cannot be read ({cause}): run parlor as the user that the host runs as, or take it away and get it again by `parlor plugin update {id}`", path = path.escaped())]
    KeptVersion {
        /// The plugin's id.
        id: PluginId,
        /// The path in the component store.
        path: PathBuf,
        /// The error of the file system.
        cause: std::io::Error,
    },
    /// The installed file in the component store was altered.
    #[error("{path}, which was installed as {id}, was altered: it has the digest {found}, and you approved {approved}. Find out by whom; then get it again by `parlor plugin update {id}`", path = path.escaped())]
    Altered {
        /// The plugin's id.
        id: PluginId,
        /// The path in the component store.
        path: PathBuf,
        /// The digest in the policy.
        approved: Digest,
        /// The digest of the file now.
        found: Digest,
    },
    /// The file is not a plugin for this host.
    #[error("{from}: {cause}")]
    Component {
        /// The source of the file.
        from: String,
        /// The reason.
        cause: ComponentError,
    },
    /// The owner's policy does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The policy names an account that is not configured.
    #[error(
        "plugins.toml wants it on the {}, which is not in {files}; name one of {known} in `accounts` under [plugin.{id}], or add [{}]",
        account.described(), account.described().replacen(' ', ".", 1)
    )]
    UnknownAccount {
        /// The plugin's id.
        id: PluginId,
        /// The account that it is to run on.
        account: Selector,
        /// The files that it could be in.
        files: String,
        /// The accounts or groups that are configured.
        known: String,
    },
    /// The host failed while reading and examining it.
    #[error("the file was not read: {0}")]
    Reader(String),
}

impl Unfit {
    /// Returns the error for a file from this source that is not a plugin for this host.
    pub fn component(from: &impl ToString, cause: ComponentError) -> Self {
        Self::Component { from: from.to_string(), cause }
    }

    /// Returns whether the owner does not allow it to run. A mistake in a setting does not count: a plugin that already
    /// runs keeps its present values.
    pub fn forbids(&self) -> bool {
        let is_slip = matches!(
            self,
            Self::Refused(
                Refusal::UnknownSetting { .. }
                    | Refusal::Setting { .. }
                    | Refusal::SettingIn { .. }
                    | Refusal::Unset { .. }
            )
        );
        !is_slip && matches!(self, Self::Refused(_) | Self::UnknownAccount { .. })
    }
}

/// The maximum number of files that one step of work remembers.
const REMEMBERED: usize = 256;

/// The place of a file, and the digest that its bytes had.
type Checked = (PathBuf, Digest);

/// The approved files that one step of work has read, such as a start of the host. All plugins of a file share the reading,
/// the comparison of its digest and the examination. Make a new one for each step, so that a file that has changed since
/// then is noticed.
#[derive(Debug, Default)]
pub struct ReadFiles(BTreeMap<Checked, Arc<Examined>>);

impl ReadFiles {
    /// Returns the examined file of an entry, and its bytes if it was read for this entry. Reading and examining run off
    /// the runtime.
    pub async fn examined(
        &mut self,
        id: &PluginId,
        entry: &Entry,
        components: &Components,
    ) -> Result<(Arc<Examined>, Option<Vec<u8>>), Unfit> {
        if let Some(examined) = places(entry, components).find_map(|place| self.0.get(&place)) {
            let examined = Arc::clone(examined);
            // There may be thousands of such plugins, and other tasks get on in between.
            tokio::task::yield_now().await;
            return Ok((examined, None));
        }
        let (id, entry, components) = (id.clone(), entry.clone(), components.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let (path, bytes) = find(&id, &entry, &components)?;
            let examined = components.examined(entry.digest, &bytes);
            let examined = examined.map_err(|cause| Unfit::component(&entry.source, cause))?;
            Ok(((path, entry.digest), examined, bytes))
        });
        let read = reading.await.unwrap_or_else(|error| Err(Unfit::Reader(error.to_string())));
        let (place, examined, bytes) = read?;
        // Nothing is lost but the time to read it again.
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(place, Arc::clone(&examined));
        Ok((examined, Some(bytes)))
    }
}

/// A plugin that may run, with its file.
#[derive(Debug)]
pub struct Found {
    /// The result of the admission.
    pub admitted: Admitted,
    /// The size of the file in bytes.
    pub size: usize,
    /// The bytes of the file; `None` if they were read for another plugin before.
    pub bytes: Option<Vec<u8>>,
}

/// Reads, examines and admits the plugin of an entry. A file that is among `files` is not read again.
pub async fn admitted(
    id: &PluginId,
    entry: &Entry,
    settings: &Settings,
    components: &Components,
    files: &mut ReadFiles,
) -> Result<Found, Unfit> {
    let (whitelist, blacklist) = (&settings.whitelisted_plugins, &settings.blacklisted_plugins);
    may_run(id, entry, whitelist, blacklist)?;
    let (examined, bytes) = files.examined(id, entry, components).await?;
    let admitted = admit(id, entry, &examined, whitelist, blacklist)?;
    Ok(Found { admitted, size: examined.size, bytes })
}

/// Reads the approved bytes of an entry, off the runtime.
pub async fn bytes(id: &PluginId, entry: &Entry, components: &Components) -> Result<Vec<u8>, Unfit> {
    let (id, entry, components) = (id.clone(), entry.clone(), components.clone());
    let reading = tokio::task::spawn_blocking(move || approved(&id, &entry, &components));
    reading.await.unwrap_or_else(|error| Err(Unfit::Reader(error.to_string())))
}

/// Examines the file of an entry without running it, provided that it is the approved one.
pub fn look(id: &PluginId, entry: &Entry, components: &Components) -> Result<Examined, Unfit> {
    let bytes = approved(id, entry, components)?;
    examine(&bytes).map_err(|cause| Unfit::component(&entry.source, cause))
}

/// Returns the manifest of an entry's plugin, whether it may run or not. The approved bytes are read each time, and examined once
/// for all plugins with the same file.
pub fn manifest(id: &PluginId, entry: &Entry, components: &Components) -> Result<Arc<Manifest>, Unfit> {
    let bytes = approved(id, entry, components)?;
    let examined = components.examined(entry.digest, &bytes);
    let examined = examined.map_err(|cause| Unfit::component(&entry.source, cause))?;
    Ok(Arc::clone(&examined.manifest))
}

/// Returns the version of an entry's plugin, whether it may run or not; `None` if its bytes are not the approved ones.
pub fn version(id: &PluginId, entry: &Entry, components: &Components) -> Option<Version> {
    look(id, entry, components).ok().map(|examined| examined.manifest.version.clone())
}

/// Returns which of these files are still the approved ones. Each file is read once. Reading takes long, so it runs off the
/// runtime.
pub async fn unchanged(entries: BTreeMap<PluginId, Entry>, components: &Components) -> BTreeSet<PluginId> {
    let components = components.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut read = BTreeSet::new();
        let mut is_unchanged = |id: &PluginId, entry: &Entry| {
            if places(entry, &components).any(|place| read.contains(&place)) {
                return true;
            }
            let found = find(id, entry, &components);
            found.is_ok_and(|(path, _)| {
                read.insert((path, entry.digest));
                true
            })
        };
        entries.into_iter().filter(|(id, entry)| is_unchanged(id, entry)).map(|(id, _)| id).collect()
    });
    // Files that could not be read count as changed and are examined again.
    reading.await.unwrap_or_default()
}

/// Returns the bytes that the owner approved, from the component store or from the entry's source. Other bytes are
/// refused before any of them are parsed.
pub fn approved(id: &PluginId, entry: &Entry, components: &Components) -> Result<Vec<u8>, Unfit> {
    find(id, entry, components).map(|(_, bytes)| bytes)
}

/// Returns the paths at which the file of an entry may be, each with the approved digest: in the component store, and at
/// its source.
fn places(entry: &Entry, components: &Components) -> impl Iterator<Item = Checked> + use<> {
    let source = match &entry.source {
        Source::File(path) => Some(path.clone()),
        Source::Web(_) | Source::Registry(_) => None,
    };
    let digest = entry.digest;
    std::iter::once(components.path(&digest)).chain(source).map(move |path| (path, digest))
}

/// Returns the approved bytes, and the path at which they are.
fn find(id: &PluginId, entry: &Entry, components: &Components) -> Result<(PathBuf, Vec<u8>), Unfit> {
    let path = components.path(&entry.digest);
    let unusable = match read(&path) {
        Ok(bytes) => {
            let (approved, found) = (entry.digest, Digest::of(&bytes));
            if found == approved {
                return Ok((path, bytes));
            }
            Some(Unfit::Altered { id: id.clone(), path, approved, found })
        }
        Err(ReadError::File { path, cause }) if cause.kind() != ErrorKind::NotFound => {
            Some(Unfit::KeptVersion { id: id.clone(), path, cause })
        }
        Err(_) => None,
    };
    // If both fail, the problem in the store is reported: the file at the source may legitimately have changed.
    from_source(id, entry).map_err(|error| unusable.unwrap_or(error))
}

/// Returns the approved bytes from the entry's source, and its path.
fn from_source(id: &PluginId, entry: &Entry) -> Result<(PathBuf, Vec<u8>), Unfit> {
    // Downloads only happen when the owner requests them.
    let Source::File(path) = &entry.source else {
        return Err(Unfit::Lost { id: id.clone(), from: entry.source.clone() });
    };
    let bytes = read(path)?;
    let found = Digest::of(&bytes);
    if found == entry.digest {
        Ok((path.clone(), bytes))
    } else {
        Err(Refusal::DigestChanged { id: id.clone(), approved: entry.digest, found }.into())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::component::tests::plugin_with;
    use crate::policy::Policy;

    /// Returns the bytes of a plugin with this name.
    fn plugin(name: &str) -> Vec<u8> {
        let about = "version = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"";
        plugin_with(&format!("[plugin]\nname = \"{name}\"\n{about}\n"))
    }

    /// Returns entries of plugins, each with the source and the bytes that were approved.
    fn entries(folder: &Path, plugins: &[(&str, &str, &[u8])]) -> BTreeMap<PluginId, Entry> {
        let one = |(id, source, bytes): &(&str, &str, &[u8])| {
            format!("[plugin.{id}]\nsource = \"{source}\"\ndigest = \"{}\"\n", Digest::of(bytes))
        };
        Policy::parse(&plugins.iter().map(one).collect::<String>(), folder).unwrap().plugins
    }

    /// Otherwise a host with thousands of plugins of one component reads the same bytes thousands of times at each start.
    #[tokio::test]
    async fn plugins_of_one_file_share_its_reading_for_one_step() {
        let folder = tempfile::tempdir().unwrap();
        let (components, settings, echo) = (Components::new(folder.path()), Settings::default(), plugin("echo"));
        let source = folder.path().join("echo.wasm");
        std::fs::write(&source, &echo).unwrap();
        let all = entries(folder.path(), &[("one", "echo.wasm", &echo), ("two", "echo.wasm", &echo)]);
        let mut files = ReadFiles::default();
        let mut read = Vec::new();
        for (id, entry) in &all {
            let found = admitted(id, entry, &settings, &components, &mut files).await.unwrap();
            assert_eq!((&found.admitted.id, found.admitted.digest, found.size), (id, entry.digest, echo.len()));
            read.push(found.bytes.is_some());
            // The next one finds no file that it could read.
            std::fs::write(&source, b"something else").unwrap();
        }
        assert_eq!(read, [true, false]);
        for (id, entry) in &all {
            let again = admitted(id, entry, &settings, &components, &mut ReadFiles::default()).await;
            assert!(
                matches!(again, Err(Unfit::Refused(Refusal::DigestChanged { .. }))),
                "the next step reads it again"
            );
        }
    }

    #[tokio::test]
    async fn a_file_that_was_read_stands_for_no_other_file_and_no_other_digest() {
        let folder = tempfile::tempdir().unwrap();
        let (components, settings) = (Components::new(folder.path()), Settings::default());
        let (echo, other) = (plugin("echo"), plugin("other"));
        std::fs::write(folder.path().join("echo.wasm"), &echo).unwrap();
        std::fs::write(folder.path().join("other.wasm"), &other).unwrap();
        let all = entries(
            folder.path(),
            &[
                ("a", "echo.wasm", &echo),
                ("b", "other.wasm", &other),
                ("c", "echo.wasm", &other),
                ("d", "gone.wasm", &echo),
                ("e", "other.wasm", &other),
            ],
        );
        let mut files = ReadFiles::default();
        let mut names = Vec::new();
        for (id, entry) in &all {
            let found = admitted(id, entry, &settings, &components, &mut files).await;
            names.push(found.ok().map(|found| found.admitted.manifest.name.to_string()));
        }
        assert_eq!(names, [Some("echo"), Some("other"), None, None, Some("other")].map(|name| name.map(str::to_owned)));
        let ids = |all: BTreeSet<PluginId>| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ids(unchanged(all.clone(), &components).await), ["a", "b", "e"]);
        std::fs::write(folder.path().join("other.wasm"), b"something else").unwrap();
        assert_eq!(ids(unchanged(all, &components).await), ["a"]);
    }

    #[test]
    fn a_stored_component_that_was_altered_is_said_to_be_so() {
        let folder = tempfile::tempdir().unwrap();
        let components = Components::new(folder.path());
        components.keep(b"one").unwrap();
        let digest = Digest::of(b"one");
        let text = format!("[plugin.echo]\nsource = \"gone.wasm\"\ndigest = \"{digest}\"\n");
        let (id, entry) = Policy::parse(&text, folder.path()).unwrap().plugins.into_iter().next().unwrap();
        assert_eq!(approved(&id, &entry, &components).unwrap(), b"one");
        let path = components.path(&digest);
        std::fs::write(&path, b"two").unwrap();
        let error = approved(&id, &entry, &components).unwrap_err().to_string();
        assert!(
            error.contains("was altered: it has the digest sha256:") && error.contains("plugin update echo"),
            "{error}"
        );
        // The file at the source is used instead.
        std::fs::write(folder.path().join("gone.wasm"), b"one").unwrap();
        assert_eq!(approved(&id, &entry, &components).unwrap(), b"one");
    }
}
