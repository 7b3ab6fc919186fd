//! Why a configuration cannot be used: where it is wrong, what is wrong, and what to write instead.
//!
//! A cause that stands in the middle of a sentence is no `source`, which whoever prints the chain would say again.
//! No error repeats a value that may be a secret, nor the line that it stands on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::account::AccountName;
use super::settings::SettingError;
use crate::harmless::{EscapedPath as _, shell_word};
use crate::nearest::suggestion;

/// A place in a file that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.escaped(), self.line, self.column)
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(Place),
    /// A flag, as it is typed, such as `--log`.
    Flag(&'static str),
    /// A variable of the environment.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(place) => place.fmt(f),
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment(variable) => f.write_str(variable),
        }
    }
}

/// The flag with which `parlor init` writes this file; none for the one that it writes anyway.
fn init_flag(file: &Path) -> String {
    if file == Path::new("parlor.toml") {
        String::new()
    } else {
        format!(" --config {}", shell_word(&file.to_string_lossy()))
    }
}

/// What may stand there: the nearest name, else all.
fn known_instead(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(_) => suggestion(nearest),
        None => format!(": known are {}", known.join(", ")),
    }
}

fn pem_remedy(key: &str) -> &'static str {
    if key == "ca_file" { "put the server's certificate there, as PEM" } else { "put it there, as PEM" }
}

impl ConfigError {
    /// Whether what was typed with the command is wrong, and no file.
    pub(crate) fn is_usage(&self) -> bool {
        let (Self::BadLog { origin, .. }
        | Self::Setting { origin, .. }
        | Self::Misplaced { origin, .. }
        | Self::NotJson { origin, .. }) = self
        else {
            return false;
        };
        matches!(origin, Origin::Flag(_))
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no file.
    #[error("there is no configuration file {file}: `parlor init{to}` writes one, which you then fill in", file = .0.escaped(), to = init_flag(.0))]
    Absent(PathBuf),
    /// The file cannot be read.
    #[error("cannot read the configuration file {file} ({cause})", file = file.escaped())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("the configuration file {file} has more than {most} bytes: is it the right file?", file = file.escaped())]
    TooLarge {
        /// Which.
        file: PathBuf,
        /// How many it may have.
        most: u64,
    },
    /// It is not TOML.
    #[error("{at}: {reason}")]
    Syntax {
        /// Where.
        at: Place,
        /// What the parser says.
        reason: String,
    },
    /// A key or table that does not exist.
    #[error("{at}: unknown key {key:?} {within}{}", known_instead(*nearest, known))]
    Unknown {
        /// Where.
        at: Place,
        /// What was written.
        key: String,
        /// `in [account.main]`, or `at the top of the file`.
        within: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
        /// All that may stand there.
        known: &'static [&'static str],
    },
    /// A value of another type than it must have.
    #[error("{at}: {key} must be {expected}, not {found}")]
    WrongType {
        /// Where.
        at: Place,
        /// Of which key.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// What belongs to an account stands where accounts are named.
    #[error("{at}: an account needs a name: write [account.main] in place of [account]")]
    NamelessAccount {
        /// Where.
        at: Place,
    },
    /// A setting stands where the account itself is described.
    #[error(
        "{at}: {key} is a setting: write it under [account.{account}.settings], or under [settings] for all accounts"
    )]
    SettingOfAccount {
        /// Where.
        at: Place,
        /// Which.
        key: &'static str,
        /// Whose.
        account: AccountName,
    },
    /// An account's name is none.
    #[error("{at}: {name:?} cannot name an account: write 1 to 32 of a-z, 0-9, - and _, such as [account.main]")]
    BadAccountName {
        /// Where.
        at: Place,
        /// What was written.
        name: String,
    },
    /// No account is configured.
    #[error("{file}: there is no account: write [account.main] with a jid and a password_file", file = .0.escaped())]
    NoAccount(PathBuf),
    /// An account has no JID.
    #[error("{at}: the account {account} has no jid: write one, such as jid = \"bot@example.org\"")]
    NoJid {
        /// Where.
        at: Place,
        /// Which account.
        account: AccountName,
    },
    /// A JID is none, or not an account's.
    #[error("{at}: {jid:?} is not the JID of an account ({reason}): write one, such as \"bot@example.org\"")]
    BadJid {
        /// Where.
        at: Place,
        /// What was written.
        jid: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two accounts are one on the server, where they would push each other off, or be told everything twice.
    #[error(
        "{at}: the accounts {first} and {second} are the same one on the server: leave one out, or write a resource of its own behind each one's jid"
    )]
    SameJid {
        /// Where the second is.
        at: Place,
        /// One.
        first: AccountName,
        /// The other.
        second: AccountName,
    },
    /// Nothing says where the password is.
    #[error(
        "{at}: the account {account} has no password: write password_file, password_command or password_env, or set {variable}"
    )]
    NoPassword {
        /// Where.
        at: Place,
        /// Which account.
        account: AccountName,
        /// The variable of the environment that would do.
        variable: String,
    },
    /// The session that an account shall go on with is not said.
    #[error("{at}: the account {account} cannot go on with a session that somebody else began: {reason}")]
    Prebind {
        /// Where.
        at: Place,
        /// Which account.
        account: AccountName,
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// The file with the password is not there.
    #[error("{at}: password_file names {file}, which cannot be found ({cause}): write the password into its first line, readable by you alone (umask 077)", file = file.escaped())]
    NoPasswordFile {
        /// Where.
        at: Place,
        /// Which file.
        file: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// Two things say where the password is.
    #[error("{at}: {second} stands beside {first}: keep one of them")]
    TwoPasswords {
        /// Where the second is.
        at: Place,
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The password itself is in the file.
    #[error(
        "{at}: a password does not belong into this file: write it into a file of its own, readable by you alone, and \
         password_file = \"FILE\" here (or password_command, or password_env)"
    )]
    LiteralPassword {
        /// Where.
        at: Place,
    },
    /// A server is none.
    #[error("{at}: {server:?} is no server ({reason}): write a host, or host:port, such as \"xmpp.example.org:5222\"")]
    BadServer {
        /// Where.
        at: Place,
        /// What was written.
        server: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An address on the web is none, or is not encrypted.
    #[error("{at}: {key} = {url:?} cannot be used: {reason}")]
    BadUrl {
        /// Whose: the account's section.
        at: Place,
        /// Which setting.
        key: &'static str,
        /// What was written.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A mode of TLS that does not exist.
    #[error(
        "{at}: tls = {found:?} does not exist: write \"starttls\" or \"direct\"; there is no connection without TLS"
    )]
    BadTls {
        /// Where.
        at: Place,
        /// What was written.
        found: String,
    },
    /// A transport that does not exist.
    #[error("{at}: transport = {found:?} does not exist: write \"auto\", \"tcp\", \"websocket\" or \"bosh\"")]
    BadTransport {
        /// Where.
        at: Place,
        /// What was written.
        found: String,
    },
    /// A way of binding log-ins that does not exist.
    #[error("{at}: channel_binding = {found:?} does not exist: write \"auto\", \"required\" or \"never\"")]
    BadChannelBinding {
        /// Where.
        at: Place,
        /// What was written.
        found: String,
    },
    /// Log-ins have to be bound to their connection, and never can be.
    #[error("{at}: channel_binding = \"required\" contradicts {reason}")]
    NeverBound {
        /// Where it is required.
        at: Place,
        /// The other side of the contradiction, and the remedy.
        reason: &'static str,
    },
    /// A file with certificates or a key is not there.
    #[error("{at}: {key} names {file}, which is no file that can be read ({cause}): {}", pem_remedy(key), file = file.escaped())]
    NoPemFile {
        /// Where.
        at: Place,
        /// Which key of the account.
        key: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// What should be a time is none.
    #[error("{at}: {key} has to be a time such as \"10 min\" or \"1 h\"")]
    BadDuration {
        /// Where.
        at: Place,
        /// Which key.
        key: &'static str,
    },
    /// The account is to log in with a certificate, and has none.
    #[error(
        "{at}: the setting authentication is external: write certificate = \"FILE\" and certificate_key = \"FILE\" here, both PEM"
    )]
    NoCertificate {
        /// Where the account is.
        at: Place,
    },
    /// It has one and is not to use it.
    #[error(
        "{at}: a certificate is for accounts whose setting authentication is \"external\": set it, or take this out"
    )]
    IdleCertificate {
        /// Where.
        at: Place,
    },
    /// Others can read the key.
    #[error("{at}: others on this machine may read the key {file}: chmod 600 {}", shell_word(&file.to_string_lossy()), file = file.escaped())]
    OpenKey {
        /// Where.
        at: Place,
        /// Which file.
        file: PathBuf,
    },
    /// What to log cannot be understood.
    #[error("{origin}: {log:?} does not say what to log: write a level such as \"info\", or \"info,parlor=debug\"")]
    BadLog {
        /// Where it stands.
        origin: Origin,
        /// What was written.
        log: String,
    },
    /// A setting of the host has a wrong value.
    #[error("{origin}: {reason}")]
    Setting {
        /// Where it stands.
        origin: Origin,
        /// What is wrong.
        reason: SettingError,
    },
    /// A key of the file stands among the settings, where it has no effect.
    #[error(
        "{origin}: {key} is no setting: move it {place}; a plugin's own setting of this name belongs under [plugin.ID.settings] in plugins.toml"
    )]
    Misplaced {
        /// Where it stands.
        origin: Origin,
        /// Which.
        key: &'static str,
        /// Where it belongs.
        place: String,
    },
    /// A setting's value is not JSON.
    #[error("{origin}: the value of {key:?} is not JSON ({reason}): write true, 5, '\"text\"' or '[\"a\",\"b\"]'")]
    NotJson {
        /// Where it stands.
        origin: Origin,
        /// Which.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
}
