//! Finds, examines and admits the file that an owner approved. No other bytes are parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;

use parlor_base::escape::EscapedPath as _;
use parlor_base::id::{Digest, PluginId};
use parlor_config::{Selector, Settings};
use semver::Version;

use crate::admission::{Admitted, Refusal, admit, may_run};
use crate::component::{ComponentError, Examined, ReadError, examine};
use crate::components::Components;
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

/// Reads, examines and admits the plugin of an entry, off the runtime. Also returns its bytes.
pub async fn admitted(
    id: &PluginId,
    entry: &Entry,
    settings: &Settings,
    components: &Components,
) -> Result<(Admitted, Vec<u8>), Unfit> {
    let (id, entry, settings, components) = (id.clone(), entry.clone(), settings.clone(), components.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let (whitelist, blacklist) = (&settings.whitelisted_plugins, &settings.blacklisted_plugins);
        may_run(&id, &entry, whitelist, blacklist)?;
        let bytes = approved(&id, &entry, &components)?;
        let examined = components.examined(entry.digest, &bytes);
        let examined = examined.map_err(|cause| Unfit::component(&entry.source, cause))?;
        Ok((admit(&id, &entry, &examined, whitelist, blacklist)?, bytes))
    });
    reading.await.unwrap_or_else(|error| Err(Unfit::Reader(error.to_string())))
}

/// Examines the file of an entry without running it, provided that it is the approved one.
pub fn look(id: &PluginId, entry: &Entry, components: &Components) -> Result<Examined, Unfit> {
    let bytes = approved(id, entry, components)?;
    examine(&bytes).map_err(|cause| Unfit::component(&entry.source, cause))
}

/// Returns the version of an entry's plugin, whether it may run or not; `None` if its bytes are not the approved ones.
pub fn version(id: &PluginId, entry: &Entry, components: &Components) -> Option<Version> {
    look(id, entry, components).ok().map(|examined| examined.manifest.version.clone())
}

/// Returns which of these files are still the approved ones. Reading takes long, so it runs off the runtime.
pub async fn unchanged(entries: BTreeMap<PluginId, Entry>, components: &Components) -> BTreeSet<PluginId> {
    let components = components.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let is_unchanged = |(id, entry): &(PluginId, Entry)| approved(id, entry, &components).is_ok();
        entries.into_iter().filter(is_unchanged).map(|(id, _)| id).collect()
    });
    // Files that could not be read count as changed and are examined again.
    reading.await.unwrap_or_default()
}

/// Returns the bytes that the owner approved, from the component store or from the entry's source. Other bytes are
/// refused before any of them are parsed.
pub fn approved(id: &PluginId, entry: &Entry, components: &Components) -> Result<Vec<u8>, Unfit> {
    let path = components.path(&entry.digest);
    let unusable = match read(&path) {
        Ok(bytes) => {
            let (approved, found) = (entry.digest, Digest::of(&bytes));
            if found == approved {
                return Ok(bytes);
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

/// Returns the approved bytes from the entry's source.
fn from_source(id: &PluginId, entry: &Entry) -> Result<Vec<u8>, Unfit> {
    // Downloads only happen when the owner requests them.
    let Source::File(path) = &entry.source else {
        return Err(Unfit::Lost { id: id.clone(), from: entry.source.clone() });
    };
    let bytes = read(path)?;
    let found = Digest::of(&bytes);
    if found == entry.digest {
        Ok(bytes)
    } else {
        Err(Refusal::DigestChanged { id: id.clone(), approved: entry.digest, found }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

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
