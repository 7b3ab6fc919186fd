//! Reads what accounts keep in the cluster, wherever they run, for commands.

use std::path::{Path, PathBuf};
use std::{fs, io};

use jid::BareJid;
use parlor_base::atomic::{Locked, lock_leftover, make_private_folder, try_alone_in};
use parlor_base::escape::EscapedPath as _;
use parlor_config::Config;
use parlor_nats::{Link, Stores, TakeOverError, is_unused};
use parlor_store::{AccountFile, Accounts, DataError, DataFile, Stage};

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
    /// The copy of its file, or the file of this host, cannot be used.
    #[error(transparent)]
    File(#[from] DataError),
    /// NATS has nothing of the cluster that had the account.
    #[error(
        "{account} was in the cluster {cluster}, and NATS has nothing of it: check nats and name under [cluster]; if NATS has lost \
         its data, take the account from an earlier backup"
    )]
    Lost {
        /// The account.
        account: BareJid,
        /// The cluster.
        cluster: String,
    },
}

/// A reader of the accounts of a cluster. It copies them into a folder that is removed with it: they have keys of encryption.
#[derive(Debug)]
pub struct Reading {
    /// None if NATS has nothing of the cluster yet.
    stores: Option<Stores>,
    folder: Folder,
    /// The data folder of this host.
    data: PathBuf,
    cluster: String,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _lock: Option<Locked>,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If it stays, the next command or start of the host removes it.
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
        let is_unused = is_unused(&link, &name).await.map_err(ClusterStartError::from)?;
        let stores = if is_unused {
            None
        } else {
            let accounts = Accounts::start(&folder.path).map_err(ClusterStartError::Files)?;
            Some(Stores::open(&link, &name, accounts).await.map_err(ClusterStartError::from)?)
        };
        Ok(Some(Self { stores, folder, data: config.data.clone(), cluster: section.name.clone() }))
    }

    /// Returns all that an account keeps now; `None` if it keeps nothing in the cluster, as before its import.
    pub async fn account(&self, jid: &BareJid) -> Result<Option<AccountFile>, ReadingError> {
        let Some(stores) = &self.stores else {
            let was_there = was_in_a_cluster(&self.data, jid)?;
            let lost = || ReadingError::Lost { account: jid.clone(), cluster: self.cluster.clone() };
            return if was_there { Err(lost()) } else { Ok(None) };
        };
        let Some(replica) = stores.fetch(jid).await? else { return Ok(None) };
        Ok(Some(AccountFile::of(replica, jid)?))
    }

    /// Removes the copy of an account, which must be closed.
    pub async fn forget(&self, jid: &BareJid) -> Result<(), ReadingError> {
        let Some(stores) = &self.stores else { return Ok(()) };
        tracing::debug!(%jid, folder = ?self.folder.path, "a copy of an account is removed");
        Ok(stores.forget(jid).await?)
    }
}

/// Returns whether a cluster has, or had, what an account keeps, as this host knows.
fn was_in_a_cluster(data: &Path, jid: &BareJid) -> Result<bool, DataError> {
    let mark = DataFile::open(data)?.map(|file| file.mark(jid)).transpose()?.flatten();
    Ok(match mark.map(|mark| mark.stage) {
        Some(Stage::Left | Stage::Coming) => true,
        // This host has all of it.
        Some(Stage::Leaving | Stage::Came) => false,
        None => Accounts::has(data, jid),
    })
}

/// Removes the copies of accounts that killed commands left: they have keys of messages, which the accounts erase. Called when a host
/// starts, which must not fail because of that.
pub(crate) fn tidy(data: &Path) {
    match remove_leftovers(data) {
        Ok(removed) => {
            for folder in removed {
                tracing::info!(folder = %folder.escaped(), "a command was killed; its copies of accounts, which have keys, are removed");
            }
        }
        Err(error) => tracing::warn!(
            %error,
            "copies of accounts of a killed command, which have keys, cannot be removed: remove {FOLDER}* in the data folder"
        ),
    }
}

/// Removes the folders of killed commands. A command that works has its folder locked. Returns the removed folders.
fn remove_leftovers(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER));
        if is_one && let Some(_lock) = lock_leftover(&entry.path()) {
            fs::remove_dir_all(entry.path())?;
            removed.push(entry.path());
        }
    }
    Ok(removed)
}

impl Folder {
    fn make(data: &Path) -> io::Result<Self> {
        make_private_folder(data)?;
        remove_leftovers(data)?;
        let path = data.join(format!("{FOLDER}{}", std::process::id()));
        make_private_folder(&path)?;
        Ok(Self { _lock: try_alone_in(&path), path })
    }
}

#[cfg(test)]
mod tests {
    use parlor_store::Mark;

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
        // A host that starts removes it as well.
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("mine"), "").unwrap();
        std::os::unix::fs::symlink(other.path(), data.path().join(".reading-4")).unwrap();
        tidy(data.path());
        assert_eq!(names(), [".reading-4", "reading-2"]);
        assert!(other.path().join("mine").exists(), "a link leads elsewhere");
    }

    #[test]
    fn an_account_that_is_not_imported_yet_was_in_no_cluster() {
        let data = tempfile::tempdir().unwrap();
        let jid: BareJid = "bot@example.org".parse().unwrap();
        assert!(!was_in_a_cluster(data.path(), &jid).unwrap(), "there is no file");
        let mut file = DataFile::create(data.path()).unwrap();
        let mut was_there = |stage: Option<Stage>| {
            let mark = stage.map(|stage| Mark { stage, cluster: "bots".to_owned(), mark: "a1".to_owned() });
            file.set_mark(&jid, mark.as_ref()).unwrap();
            was_in_a_cluster(data.path(), &jid).unwrap()
        };
        let stages = [None, Some(Stage::Leaving), Some(Stage::Left), Some(Stage::Coming), Some(Stage::Came)];
        assert_eq!(stages.map(&mut was_there), [false, false, true, true, false]);
        // A node had it, and has no more than its file.
        let accounts = Accounts::start(data.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        drop(runtime.block_on(accounts.open(&jid)).unwrap());
        assert!(was_there(None) && !was_there(Some(Stage::Came)));
    }
}
