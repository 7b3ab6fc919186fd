//! `accounts.toml`, beside `parlor.toml`: accounts and groups in a file of their own, which the nodes of a cluster share.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use parlor_base::escape::EscapedPath as _;
use parlor_base::id::Digest;

use super::Config;
use super::error::{AccountsFileError, ConfigError};
use super::name::AccountName;
use super::sections::Document;

/// The name of the file.
pub const ACCOUNTS_FILE: &str = "accounts.toml";

/// The tables that it may have.
pub(crate) static TABLES: [&str; 2] = ["account", "group"];

/// The file `accounts.toml` that a configuration was read from, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsFile {
    /// The digest of its text.
    pub digest: Digest,
    /// Whether its text is empty but for spaces. A full disk leaves such a file.
    pub is_blank: bool,
    /// The accounts that are in it.
    pub accounts: BTreeSet<AccountName>,
}

impl AccountsFile {
    pub(crate) fn new(text: &str, accounts: BTreeSet<AccountName>) -> Self {
        Self { digest: Digest::of(text.as_bytes()), is_blank: text.trim().is_empty(), accounts }
    }
}

impl Config {
    /// Returns the file that has this account.
    pub fn file_with(&self, account: &AccountName) -> PathBuf {
        let is_beside = self.accounts_file.as_ref().is_some_and(|file| file.accounts.contains(account));
        accounts_file(&self.path).filter(|_| is_beside).unwrap_or_else(|| self.path.clone())
    }

    /// Returns the file that new accounts and groups go into: `accounts.toml` if there is one.
    pub fn file_for_accounts(&self) -> PathBuf {
        // A link that leads nowhere was created on purpose, so it counts as existing.
        let beside = accounts_file(&self.path).filter(|file| file.symlink_metadata().is_ok());
        beside.unwrap_or_else(|| self.path.clone())
    }

    /// Names the files that accounts and groups may be in, for a message.
    pub fn files(&self) -> String {
        let own = self.path.escaped();
        match accounts_file(&self.path).filter(|_| self.accounts_file.is_some()) {
            Some(beside) => format!("{own} or {}", beside.escaped()),
            None => own.to_string(),
        }
    }
}

/// Returns the path of `accounts.toml` beside a configuration file; `None` if that file has this name itself.
pub fn accounts_file(config: &Path) -> Option<PathBuf> {
    (config.file_name() != Some(OsStr::new(ACCOUNTS_FILE))).then(|| config.with_file_name(ACCOUNTS_FILE))
}

/// Checks that the text of an `accounts.toml` names no program that nodes would run.
pub fn runs_no_program(file: &Path, text: &str) -> Result<(), ConfigError> {
    let document = Document::parse(file, text)?;
    let Some(accounts) = document.top().section("account")? else { return Ok(()) };
    for (name, section) in accounts.sections()? {
        if let Some(at) = section.place_of("password_command") {
            return Err(AccountsFileError::Command { at, account: name.value.chars().take(64).collect() }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Overrides, ReadAgain};

    const CLUSTER: &str = "[cluster]\nnats = \"nats://127.0.0.1:4222\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
    const MAIN: &str = "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";
    const SECOND: &str = "[account.second]\njid = \"second@example.org\"\npassword_env = \"NONE\"\n";

    fn overrides() -> Overrides {
        Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() }
    }

    /// Reads a folder with these two files.
    fn load(config: &str, accounts: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        fs::write(&path, config).unwrap();
        fs::write(folder.path().join(ACCOUNTS_FILE), accounts).unwrap();
        let short = |error: ConfigError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
        Config::load(&path, &overrides()).map_err(short)
    }

    #[test]
    fn accounts_and_groups_come_from_both_files() {
        let group = "[group.shop]\nserver = \"xmpp.example.org:5222\"\n";
        let config = load(&format!("{MAIN}group = \"shop\"\n"), &format!("{group}{SECOND}group = \"shop\"\n")).unwrap();
        assert_eq!(config.accounts.keys().map(AccountName::as_str).collect::<Vec<_>>(), ["main", "second"]);
        assert!(config.accounts.values().all(|account| account.link.server.is_some()));
        let file = config.accounts_file.clone().unwrap();
        assert_eq!(file.accounts.iter().map(AccountName::as_str).collect::<Vec<_>>(), ["second"]);
        assert!(config.read_again().unwrap_err().to_string().contains("there is no configuration file"), "it is gone");
        let alone = load("", SECOND).unwrap();
        assert_eq!(alone.accounts.len(), 1, "parlor.toml needs no account");
    }

    #[test]
    fn without_the_file_nothing_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        fs::write(&path, MAIN).unwrap();
        assert_eq!(Config::load(&path, &overrides()).unwrap().accounts_file, None);
        // It is not read as its own neighbour.
        let own = folder.path().join(ACCOUNTS_FILE);
        fs::write(&own, MAIN).unwrap();
        assert_eq!(accounts_file(&own), None);
        assert_eq!(Config::load(&own, &overrides()).unwrap().accounts_file, None);
    }

    #[test]
    fn what_is_in_both_files_is_refused_with_both_places() {
        let both = load(MAIN, &format!("\n{MAIN}")).unwrap_err();
        assert!(both.starts_with("accounts.toml:2:") && both.contains("account main is in parlor.toml:1:"), "{both}");
        assert!(both.contains("take it out of one of the two files"), "{both}");
        let group = "[group.shop]\n";
        let both = load(&format!("{MAIN}{group}"), group).unwrap_err();
        assert!(both.starts_with("accounts.toml:1:") && both.contains("group shop is in parlor.toml:4:"), "{both}");
        // By another name.
        let twin = SECOND.replace("second@", "bot@");
        assert!(load(MAIN, &twin).unwrap_err().starts_with("accounts.toml:1:"));
    }

    #[test]
    fn a_mistake_is_told_with_its_file_and_line() {
        for (text, place, says) in [
            ("[account.second\n", "accounts.toml:1:", ""),
            ("[settings]\npriority = 1\n", "accounts.toml:1:", "known are account, group"),
            ("data = \"x\"\n", "accounts.toml:1:1: ", "known are account, group"),
            ("[cluster]\nname = \"x\"\n", "accounts.toml:1:", "unknown key"),
            ("[account.second]\njid = 5\n", "accounts.toml:2:", "jid"),
            ("[account.second]\njid = \"a@example.org\"\npassword = \"canary\"\n", "accounts.toml:3:", "password_file"),
            ("account = 5\n", "accounts.toml:1:", "table"),
        ] {
            let error = load(MAIN, text).unwrap_err();
            assert!(error.starts_with(place) && error.contains(says) && !error.contains("canary"), "{text}: {error}");
        }
        assert!(load(MAIN, &format!("#{}", "x".repeat(16 << 20))).unwrap_err().contains("more than 16777216 bytes"));
    }

    #[test]
    fn a_file_with_a_password_may_be_missing_on_a_node() {
        let lacking = SECOND.replace("password_env = \"NONE\"", "password_file = \"second.password\"");
        assert!(load(MAIN, &lacking).unwrap_err().starts_with("accounts.toml:3:"), "a host alone has its files");
        let config = load(&format!("{MAIN}{CLUSTER}"), &lacking).unwrap();
        let warning = config.warnings.iter().find(|warning| warning.contains("second.password")).unwrap();
        assert!(warning.contains("account second cannot log in"), "{warning}");
        let room = "{ jid = \"den@muc.b\", password_file = \"den.password\" }";
        let rooms = format!("{SECOND}settings = {{ auto_join_rooms = [{room}] }}\n");
        assert!(load(MAIN, &rooms).unwrap_err().starts_with("accounts.toml:4:"));
        let config = load(&format!("{MAIN}{CLUSTER}"), &rooms).unwrap();
        assert!(config.warnings.iter().any(|one| one.contains("den.password on this node")), "{:?}", config.warnings);
        let main = MAIN.replace("password_env = \"NONE\"", "password_file = \"main.password\"");
        assert!(load(&format!("{main}{CLUSTER}"), SECOND).unwrap_err().starts_with("parlor.toml:3:"));
    }

    #[test]
    fn a_node_may_wait_for_the_accounts_of_others() {
        let config = load(CLUSTER, "").unwrap();
        assert!(config.accounts.is_empty() && config.accounts_file.unwrap().is_blank);
        assert!(config.warnings.iter().any(|warning| warning.contains("no account")), "{:?}", config.warnings);
        assert!(load(&format!("{CLUSTER}share_plugins = false\n"), "").unwrap_err().contains("no account"));
        assert!(load("", "").unwrap_err().contains("no account"));
    }

    #[test]
    fn the_file_of_an_account_and_that_of_new_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("parlor.toml"), folder.path().join(ACCOUNTS_FILE));
        fs::write(&path, MAIN).unwrap();
        let config = Config::load(&path, &overrides()).unwrap();
        assert_eq!((config.file_for_accounts(), config.files()), (path.clone(), path.escaped().to_string()));
        fs::write(&beside, SECOND).unwrap();
        let config = config.read_again().unwrap();
        for (account, file) in [("main", &path), ("second", &beside)] {
            assert_eq!(config.file_with(&account.parse().unwrap()), *file);
        }
        assert_eq!(config.file_for_accounts(), beside);
        assert_eq!(config.files(), format!("{} or {}", path.escaped(), beside.escaped()));
        fs::remove_file(&beside).unwrap();
        std::os::unix::fs::symlink("nowhere", &beside).unwrap();
        assert_eq!(config.file_for_accounts(), beside, "it is refused where it is opened");
    }

    #[test]
    fn accounts_do_not_vanish_by_mistake() {
        let (before, alone) =
            (load(MAIN, SECOND).unwrap(), Config::parse(Path::new("parlor.toml"), MAIN, &overrides()));
        let (alone, blank) = (alone.unwrap(), load(MAIN, " \n").unwrap());
        for asked in [ReadAgain::ByTheOwner, ReadAgain::ByAChange] {
            assert!(matches!(before.goes_on_in(&alone, asked), Err(AccountsFileError::Gone(_))));
            assert!(alone.goes_on_in(&before, asked).is_ok() && before.goes_on_in(&before, asked).is_ok());
        }
        assert!(matches!(before.goes_on_in(&blank, ReadAgain::ByAChange), Err(AccountsFileError::Blank(_))));
        assert!(before.goes_on_in(&blank, ReadAgain::ByTheOwner).is_ok());
        assert!(blank.goes_on_in(&blank, ReadAgain::ByAChange).is_ok());
        let moved = Config::parse(Path::new("parlor.toml"), &format!("{MAIN}{SECOND}"), &overrides()).unwrap();
        assert!(before.goes_on_in(&moved, ReadAgain::ByAChange).is_ok(), "they are in parlor.toml");
    }

    #[test]
    fn a_file_that_nodes_share_names_no_program() {
        let file = Path::new("accounts.toml");
        assert!(runs_no_program(file, &format!("{MAIN}{SECOND}")).is_ok());
        let command = format!("{MAIN}[account.second]\npassword_command = \"echo canary\"\n");
        let error = runs_no_program(file, &command).unwrap_err().to_string();
        assert!(error.starts_with("accounts.toml:5:") && error.contains("second"), "{error}");
        assert!(!error.contains("canary"), "{error}");
        // Without sharing, it may.
        assert!(load(MAIN, &SECOND.replace("password_env = \"NONE\"", "password_command = \"echo x\"")).is_ok());
    }

    #[test]
    fn a_draft_of_either_file_is_read_with_the_other_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("parlor.toml"), folder.path().join(ACCOUNTS_FILE));
        fs::write(&path, MAIN).unwrap();
        let draft = |file: &Path, text: &str| Config::draft(&path, file, text, &overrides());
        assert_eq!(draft(&beside, SECOND).unwrap().accounts.len(), 2);
        assert!(draft(&beside, MAIN).is_err());
        fs::write(&beside, SECOND).unwrap();
        assert_eq!(draft(&path, &MAIN.replace("main", "first")).unwrap().accounts.len(), 2);
        assert!(draft(&path, SECOND).is_err());
        let long = format!("{SECOND}#{}", "x".repeat(16 << 20));
        let error = draft(&beside, &long).unwrap_err().to_string();
        assert!(error.contains("more than 16777216 bytes"), "a host could not read it: {error}");
    }
}
