//! The files that the configuration and the policy name: passwords, certificates with their keys, and secrets of plugins.
//!
//! Only those below the folder of the configuration and below `secrets` in the data folder are taken along: elsewhere a restore
//! would write over files that are none of parlor's.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use parlor_base::atomic::{folder_of, open_plain};
use parlor_config::{ClusterLogin, Config, PasswordSource, Way};
use parlor_plugins::policy::Policy;
use parlor_plugins::secret::SecretSource;
use serde::{Deserialize, Serialize};

/// The folder with secrets of plugins, in a data folder.
pub(super) const FOLDER: &str = "secrets";

/// The largest file that is taken along, in bytes.
const LARGEST: u64 = 1 << 20;

/// The folder that a file is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Base {
    /// The folder of the configuration.
    Config,
    /// The data folder.
    Data,
}

/// A file with a secret.
#[derive(Serialize, Deserialize)]
pub(super) struct SecretFile {
    /// The folder that it is below.
    pub(super) base: Base,
    /// Its path from there.
    pub(super) path: String,
    /// Its bytes, in hexadecimal digits.
    pub(super) hex: String,
}

/// The content of the encrypted part of a backup.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// The keys of encryption, as the store writes them.
    pub(super) keys: Option<String>,
    /// The files.
    pub(super) files: Vec<SecretFile>,
}

/// Returns the files that are named, as far as they may hold secrets.
pub(super) fn named(config: &Config, policy: &Policy) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    let accounts = config.accounts.values().map(|account| &account.link);
    for link in accounts.chain(config.components.values()) {
        if let PasswordSource::File(file) = &link.password {
            all.insert(file.clone());
        }
        if let Way::Certificate { chain, key } = &link.way {
            all.extend([chain.clone(), key.clone()]);
        }
        all.extend(link.ca_file.clone());
    }
    if let Some((certificate, key)) = &config.web.certificate {
        all.extend([certificate.clone(), key.clone()]);
    }
    all.extend(config.web.ca_file.clone());
    if let Some(cluster) = &config.cluster {
        match &cluster.login {
            ClusterLogin::Password { password: PasswordSource::File(file), .. }
            | ClusterLogin::Token(PasswordSource::File(file)) => all.extend([file.clone()]),
            ClusterLogin::Certificate { certificate, key } => all.extend([certificate.clone(), key.clone()]),
            ClusterLogin::Nothing | ClusterLogin::Password { .. } | ClusterLogin::Token(_) => {}
        }
        if let PasswordSource::File(file) = &cluster.key {
            all.insert(file.clone());
        }
        all.extend(cluster.ca_file.clone());
    }
    for value in policy.plugins.values().flat_map(|entry| entry.settings.0.values()) {
        for source in SecretSource::all_of(value) {
            if let SecretSource::File(file) = source {
                all.insert(file);
            }
        }
    }
    all
}

/// Reads a file; none if it is elsewhere, too large or no plain file.
pub(super) fn read(file: &Path, config: &Config) -> Option<SecretFile> {
    let (base, path) = place(file, config)?;
    let mut bytes = Vec::new();
    open_plain(file, 0).ok()?.take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LARGEST).then(|| SecretFile { base, path, hex: hex::encode(bytes) })
}

fn place(file: &Path, config: &Config) -> Option<(Base, String)> {
    // A link may lead out of the folder.
    let (file, data) = (file.canonicalize().ok()?, real(&config.data).ok()?);
    let (base, path) = match file.strip_prefix(&data) {
        Ok(path) => (Base::Data, path.to_owned()),
        Err(_) => (Base::Config, file.strip_prefix(real(folder_of(&config.path)).ok()?).ok()?.to_owned()),
    };
    let path = path.to_str()?.to_owned();
    is_below(base, &path).then_some((base, path))
}

/// Returns the path of a folder without links.
pub(super) fn real(folder: &Path) -> io::Result<PathBuf> {
    folder.canonicalize().or_else(|_| std::path::absolute(folder))
}

/// Returns whether a path stays below its folder, and in a data folder below `secrets`.
pub(super) fn is_below(base: Base, path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let is_plain = !path.is_empty() && parts.clone().all(|part| matches!(part, Component::Normal(_)));
    let first = parts.next();
    is_plain && (base == Base::Config || first == Some(Component::Normal(FOLDER.as_ref())) && parts.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_folder() {
        for good in ["bot.password", "keys/bot.key"] {
            assert!(is_below(Base::Config, good), "{good}");
        }
        assert!(is_below(Base::Data, "secrets/echo/token"));
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "./x"] {
            assert!(!is_below(Base::Config, bad), "{bad}");
        }
        for bad in ["parlor.db", "secrets", "secrets/../parlor.db", "/secrets/x", "components/x"] {
            assert!(!is_below(Base::Data, bad), "{bad}");
        }
    }
}
