//! The part of sharing for `accounts.toml` alone: a node reads it together with its own `parlor.toml`.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use parlor_base::atomic::lock_beside;
use parlor_config::{Config, ConfigError, ConfigFile, ConfigFileError, accounts_file, accounts_text, runs_no_program};

use super::{SharingError, files};

/// Returns the path of the file of this node.
fn file_of(config: &Config) -> PathBuf {
    accounts_file(&config.path).unwrap_or_default()
}

/// Returns the text of the file of this node; `None` if there is none.
pub(super) fn read(config: &Config) -> Result<Option<String>, ConfigError> {
    accounts_text(&config.path)
}

/// Checks the text of this node before it goes to others.
pub(super) fn check(config: &Config, text: &str) -> Result<(), SharingError> {
    let checked = runs_no_program(&file_of(config), text);
    checked.map_err(|error| SharingError::Accounts(Box::new(error)))
}

/// Checks a text of another node: it has to fit beside the configuration file of this one.
pub(super) fn fits(config: &Config, text: &str) -> Result<(), ConfigError> {
    let file = file_of(config);
    runs_no_program(&file, text)?;
    Config::draft(&config.path, &file, text, &config.overrides).map(drop)
}

/// Writes a text of the cluster in the place of the present one. If that has changes of this node, it is put aside, and the
/// file with it is returned.
pub(super) fn take(
    config: &Config,
    present: Option<&str>,
    text: &str,
    is_changed: bool,
) -> Result<Option<PathBuf>, ConfigFileError> {
    // A command that has the lock compares the file before it writes, too. It may be waiting for this host.
    let file = ConfigFile::open(config, &file_of(config), |beside| match lock_beside(beside, Duration::ZERO, || ()) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        locked => locked.map(Some),
    })?;
    if file.text() != present {
        return Err(ConfigFileError::Changed(file.named().to_owned()));
    }
    let draft = file.draft(text.to_owned())?;
    let aside = present.filter(|_| is_changed).map(|present| files::put_aside(file.path(), present)).transpose();
    let aside = aside.map_err(|cause| ConfigFileError::Write { path: file.named().to_owned(), cause })?;
    file.write(&draft)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use parlor_config::Overrides;

    use super::*;

    fn config(folder: &tempfile::TempDir) -> Config {
        let path = folder.path().join("parlor.toml");
        fs::write(&path, account("main")).unwrap();
        Config::load(&path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap()
    }

    fn account(name: &str) -> String {
        format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n")
    }

    #[test]
    fn a_text_of_another_node_has_to_fit_beside_the_configuration_of_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        fits(&config, &account("second")).unwrap();
        for (text, cause) in [
            (account("main"), "out of one of the two files"),
            ("[settings]\npriority = 1\n".to_owned(), "unknown key"),
            ("[account.second\n".to_owned(), "accounts.toml:1:"),
            (account("second").replace("password_env = \"NONE\"", "password_command = \"touch canary\""), "command"),
        ] {
            let error = fits(&config, &text).unwrap_err().to_string();
            assert!(error.contains(cause) && !error.contains("canary"), "{error}");
        }
        assert!(check(&config, &account("second").replace("_env", "_command")).is_err());
    }

    #[test]
    fn a_text_of_the_cluster_is_for_its_owner_alone_and_loses_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let file = folder.path().join("accounts.toml");
        let now = || fs::read_to_string(&file).unwrap();
        assert_eq!(take(&config, None, "# one\n", false).unwrap(), None);
        assert_eq!((now().as_str(), file.metadata().unwrap().permissions().mode() & 0o777), ("# one\n", 0o600));
        assert!(matches!(take(&config, None, "# two\n", false), Err(ConfigFileError::Changed(_))));
        let aside = take(&config, Some("# one\n"), "# two\n", true).unwrap().unwrap();
        assert_eq!(aside.file_name().unwrap(), "accounts.toml.mine");
        assert_eq!((now().as_str(), fs::read_to_string(&aside).unwrap().as_str()), ("# two\n", "# one\n"));
        // A command that holds the lock waits for nobody, and nobody for it.
        let _held = lock_beside(&file, Duration::ZERO, || ()).unwrap();
        take(&config, Some("# two\n"), "# three\n", false).unwrap();
        assert_eq!(now(), "# three\n");
    }
}
