//! The configuration file or its `accounts.toml` while somebody changes it: locked against others that write it, read as a host
//! would read it before it is written, and replaced as a whole.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parlor_base::atomic::{self, Locked, Readers, folder_of};
use parlor_base::escape::EscapedPath as _;

use super::error::ConfigError;
use super::{ACCOUNTS_FILE, Config, Overrides, read, read_if_there};

/// The reason why a file was not written. It is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// A file cannot be read, or the configuration could not be used with the new text.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// Others change it, or the other file, at the moment.
    #[error("another command is changing the accounts in {} or beside it: answer its question or end it, and try again; `lslocks` shows its process id", .0.escaped())]
    Busy(PathBuf),
    /// It was changed since it was read.
    #[error("somebody changed {} at the same moment, so nothing was written: the next try reads it anew", .0.escaped())]
    Changed(PathBuf),
    /// It cannot be written, for instance because the disk is full.
    #[error("{} cannot be written ({cause}), and has not changed: look at the permissions of its folder, and the space there", path.escaped())]
    Write {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
}

impl From<ConfigError> for ConfigFileError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

/// A text that a host could read, together with the other file.
#[derive(Debug)]
pub struct Draft {
    text: String,
    config: Config,
}

impl Draft {
    /// Returns the configuration as it is with this text.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

/// The file, locked. Others that take the lock wait until this is dropped; editors do not take it.
#[derive(Debug)]
pub struct ConfigFile {
    /// The configuration file. Paths in both files are relative to its folder.
    config: PathBuf,
    overrides: Overrides,
    /// The path as the owner gave it.
    named: PathBuf,
    /// The path without links, so that a link to the file stays one.
    path: PathBuf,
    /// The text as it was read; `None` if there is no file.
    text: Option<String>,
    _lock: Option<Locked>,
}

impl ConfigFile {
    /// Locks and reads `named`, which is the file of this configuration or its `accounts.toml`. `lock` decides how long to wait for
    /// others, and gets the file beside which the lock is: one for both, since each is read together with the other. The
    /// configuration file itself must exist.
    pub fn open(
        config: &Config,
        named: &Path,
        lock: impl FnOnce(&Path) -> io::Result<Option<Locked>>,
    ) -> Result<Self, ConfigFileError> {
        let path = without_links(named)?;
        let beside = folder_of(&path).join(ACCOUNTS_FILE);
        let lock = lock(&beside).map_err(|cause| match cause.kind() {
            ErrorKind::WouldBlock => ConfigFileError::Busy(named.to_owned()),
            _ => ConfigFileError::Write { path: named.to_owned(), cause },
        })?;
        let text = if named == config.path { Some(read(named)?) } else { read_if_there(named)? };
        let (named, overrides) = (named.to_owned(), config.overrides.clone());
        Ok(Self { config: config.path.clone(), overrides, named, path, text, _lock: lock })
    }

    /// Returns the path as the owner gave it.
    pub fn named(&self) -> &Path {
        &self.named
    }

    /// Returns the path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the text as it was read; `None` if there is no file.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Reads another text as a host would.
    pub fn draft(&self, text: String) -> Result<Draft, ConfigError> {
        let config = Config::draft(&self.config, &self.named, &text, &self.overrides)?;
        Ok(Draft { text, config })
    }

    /// Replaces the file as a whole, if it still is as it was read. When this returns, the change is durable. Only this user can
    /// read a new file.
    pub fn write(&self, draft: &Draft) -> Result<(), ConfigFileError> {
        if read_if_there(&self.path)? != self.text {
            return Err(ConfigFileError::Changed(self.named.clone()));
        }
        atomic::write(&self.path, draft.text.as_bytes(), Readers::Same)
            .map_err(|cause| ConfigFileError::Write { path: self.named.clone(), cause })
    }
}

/// Returns the path without links. A link that leads nowhere is refused: a file in its place would hide the one that is missing.
fn without_links(named: &Path) -> Result<PathBuf, ConfigError> {
    match named.canonicalize() {
        Err(cause) if named.symlink_metadata().is_ok() => {
            Err(ConfigError::Unreadable { file: named.to_owned(), cause })
        }
        found => Ok(found.unwrap_or_else(|_| named.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::Duration;

    use parlor_base::atomic::{lock_beside, try_alone_in};

    use super::*;

    /// A folder with a configuration file.
    fn place() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        fs::write(&path, account("main")).unwrap();
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        let config = Config::load(&path, &overrides).unwrap();
        (folder, config)
    }

    fn account(name: &str) -> String {
        format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n")
    }

    fn open(config: &Config, named: &Path) -> Result<ConfigFile, ConfigFileError> {
        ConfigFile::open(config, named, |beside| lock_beside(beside, Duration::ZERO, || ()).map(Some))
    }

    #[test]
    fn either_file_is_written_as_a_whole_after_it_was_read_with_the_other_one() {
        let (folder, config) = place();
        let beside = folder.path().join("accounts.toml");
        let file = open(&config, &beside).unwrap();
        assert_eq!(file.text(), None);
        let draft = file.draft(account("second")).unwrap();
        assert_eq!(draft.config().accounts.len(), 2);
        file.write(&draft).unwrap();
        assert_eq!(beside.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        fs::set_permissions(&beside, Permissions::from_mode(0o640)).unwrap();
        let file = open(&config, &beside).unwrap();
        assert!(file.draft(account("main")).is_err(), "it is in the configuration file");
        file.write(&file.draft(format!("# Mine.\n{}", account("third"))).unwrap()).unwrap();
        assert_eq!(beside.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        drop(file);
        let file = open(&config, &config.path).unwrap();
        assert_eq!(file.text(), Some(account("main").as_str()));
        file.write(&file.draft(account("first")).unwrap()).unwrap();
        let names: Vec<_> = config.read_again().unwrap().accounts.into_keys().map(|name| name.to_string()).collect();
        assert_eq!(names, ["first", "third"]);
    }

    #[test]
    fn what_somebody_wrote_meanwhile_is_not_lost() {
        let (folder, config) = place();
        let beside = folder.path().join("accounts.toml");
        let file = open(&config, &beside).unwrap();
        let draft = file.draft(account("second")).unwrap();
        fs::write(&beside, "# Mine.\n").unwrap();
        assert!(matches!(file.write(&draft), Err(ConfigFileError::Changed(path)) if path == beside));
        assert_eq!(fs::read_to_string(&beside).unwrap(), "# Mine.\n");
        drop(file);
        let file = open(&config, &config.path).unwrap();
        let draft = file.draft(account("first")).unwrap();
        fs::remove_file(&config.path).unwrap();
        assert!(matches!(file.write(&draft), Err(ConfigFileError::Changed(_))));
        assert!(!config.path.exists(), "somebody moved it away");
    }

    #[test]
    fn others_are_kept_out_and_waited_for_as_the_caller_says() {
        let (folder, config) = place();
        let held = open(&config, &config.path).unwrap();
        // Each of the two is read together with the other one.
        for file in [&config.path, &folder.path().join("accounts.toml")] {
            assert!(matches!(open(&config, file), Err(ConfigFileError::Busy(path)) if path == *file));
        }
        ConfigFile::open(&config, &config.path, |_| Ok(None)).unwrap();
        drop(held);
        open(&config, &config.path).unwrap();
    }

    /// Others can open the folder, and lock it.
    #[test]
    fn nobody_who_can_open_the_folder_keeps_its_owner_waiting() {
        let (folder, config) = place();
        let _held = try_alone_in(folder.path());
        open(&config, &config.path).unwrap();
        let lock = folder.path().join(".accounts.toml.lock");
        assert_eq!(lock.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_stays_a_link_and_one_that_leads_nowhere_is_refused() {
        let (folder, config) = place();
        let (link, real) = (folder.path().join("accounts.toml"), folder.path().join("elsewhere/accounts.toml"));
        symlink(&real, &link).unwrap();
        let refused = open(&config, &link).unwrap_err().to_string();
        assert!(refused.contains("accounts.toml (No such file"), "{refused}");
        fs::create_dir(folder.path().join("elsewhere")).unwrap();
        fs::write(&real, "").unwrap();
        let file = open(&config, &link).unwrap();
        assert_eq!((file.named(), file.path()), (link.as_path(), real.canonicalize().unwrap().as_path()));
        file.write(&file.draft(account("second")).unwrap()).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), account("second"));
        let gone = Config { path: folder.path().join("gone.toml"), ..config };
        let refused = open(&gone, &gone.path).unwrap_err().to_string();
        assert!(refused.contains("there is no configuration file"), "{refused}");
    }
}
