//! Copies the data that accounts keep in a cluster into a backup, as if the host were alone.

use std::path::Path;

use parlor_config::Config;
use parlor_session::Secret;

use super::BackupError;

/// Puts what the accounts of the configuration keep in its cluster into a copy of the store, and returns the keys that the copy lacks.
#[cfg(feature = "cluster")]
pub(super) fn add(config: &Config, copy: &Path, keys: Secret) -> Result<Secret, BackupError> {
    use parlor_store::backup;

    use crate::cluster::{Reading, ReadingError};

    let Some(section) = &config.cluster else { return Ok(keys) };
    let failed = |what: String, cause: ReadingError| BackupError::Cluster { what, cause: cause.to_string() };
    let add = async || {
        let of_all = || format!("what accounts keep in the cluster {}", section.name);
        let Some(reading) = Reading::begin(config).await.map_err(|cause| failed(of_all(), cause))? else {
            return Ok(keys);
        };
        let mut keys = keys;
        for account in config.accounts.values() {
            let jid = account.link.jid.to_bare();
            let failed = |cause| failed(format!("what {jid} keeps in the cluster {}", section.name), cause);
            if let Some(file) = reading.account(&jid).await.map_err(failed)? {
                keys = backup::add(copy, &file, &keys)?;
                drop(file);
                reading.forget(&jid).await.map_err(failed)?;
            }
        }
        Ok(keys)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(BackupError::file(copy))?;
    runtime.block_on(add())
}

/// A host without the feature does not start with a cluster in its configuration.
#[cfg(not(feature = "cluster"))]
#[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
pub(super) fn add(_: &Config, _: &Path, keys: Secret) -> Result<Secret, BackupError> {
    Ok(keys)
}
