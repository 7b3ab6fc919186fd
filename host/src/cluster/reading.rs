//! Reads what accounts keep in the cluster, wherever they run, for commands.

use std::fs;
use std::path::{Path, PathBuf};

use jid::BareJid;
use parlor_base::atomic::{Locked, make_private_folder, try_alone_in};
use parlor_config::Config;
use parlor_nats::{Link, Stores, TakeOverError};
use parlor_store::{AccountFile, Accounts, DataError};

use super::connecting::{self, ClusterStartError};

/// Begins the names of folders for copies of accounts, within the data folder.
const FOLDER: &str = ".reading-";

/// The reason why an account cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The cluster cannot be reached.
    #[error(transparent)]
    Cluster(#[from] ClusterStartError),
    /// The account cannot be read from it.
    #[error(transparent)]
    Account(#[from] TakeOverError),
    /// The copy of its file cannot be used.
    #[error(transparent)]
    File(#[from] DataError),
}

/// A reader of the accounts of a cluster. It copies them into a folder that is removed with it: they have keys of encryption.
#[derive(Debug)]
pub struct Reading {
    stores: Stores,
    folder: Folder,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _lock: Option<Locked>,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If it stays, the next command removes it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Reading {
    /// Connects. Returns `None` if the configuration names no cluster. The host may run.
    pub async fn begin(config: &Config) -> Result<Option<Self>, ReadingError> {
        let Some(section) = &config.cluster else { return Ok(None) };
        let folder = Folder::make(&config.data).map_err(ClusterStartError::Files)?;
        let (settings, name) = connecting::settings(section).await?;
        let link = Link::connect(&settings).await.map_err(ClusterStartError::from)?;
        let accounts = Accounts::start(&folder.path).map_err(ClusterStartError::Files)?;
        let stores = Stores::open(&link, &name, accounts).await.map_err(ClusterStartError::from)?;
        Ok(Some(Self { stores, folder }))
    }

    /// Returns all that an account keeps now; `None` if it keeps nothing.
    pub async fn account(&self, jid: &BareJid) -> Result<Option<AccountFile>, ReadingError> {
        let Some(replica) = self.stores.fetch(jid).await? else { return Ok(None) };
        Ok(Some(AccountFile::of(replica, jid)?))
    }

    /// Removes the copy of an account, which must be closed.
    pub async fn forget(&self, jid: &BareJid) -> Result<(), ReadingError> {
        tracing::debug!(%jid, folder = ?self.folder.path, "a copy of an account is removed");
        Ok(self.stores.forget(jid).await?)
    }
}

impl Folder {
    fn make(data: &Path) -> std::io::Result<Self> {
        make_private_folder(data)?;
        for entry in fs::read_dir(data)? {
            let entry = entry?;
            let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER));
            // A killed process left it.
            if is_one && try_alone_in(&entry.path()).is_some() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let path = data.join(format!("{FOLDER}{}", std::process::id()));
        make_private_folder(&path)?;
        Ok(Self { _lock: try_alone_in(&path), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_a_killed_process_left_is_removed_and_no_other() {
        let data = tempfile::tempdir().unwrap();
        for name in [".reading-1", "reading-2", ".reading-3"] {
            fs::create_dir(data.path().join(name)).unwrap();
        }
        let in_use = try_alone_in(&data.path().join(".reading-3"));
        let folder = Folder::make(data.path()).unwrap();
        fs::write(folder.path.join("keys"), "x").unwrap();
        let names = || {
            let mut names: Vec<_> =
                data.path().read_dir().unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
            names.sort_unstable();
            names
        };
        let own = folder.path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected = vec![".reading-3".to_owned(), own, "reading-2".to_owned()];
        expected.sort_unstable();
        assert_eq!(names(), expected);
        drop((folder, in_use));
        assert_eq!(names(), [".reading-3", "reading-2"]);
    }
}
