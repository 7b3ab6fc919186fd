//! The errors of a configuration: the place, the mistake, and the correction.
//!
//! A cause that is part of the message is not a `source`: printing the error chain would repeat it. No error repeats a
//! value that may be a secret, or the line that holds it.

mod accounts_file;
mod cluster;
mod origin;

use std::io;
use std::path::{Path, PathBuf};

use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_base::nearest::suggestion;

pub use self::accounts_file::AccountsFileError;
pub use self::cluster::ClusterError;
pub use self::origin::{FilePosition, Origin};
use super::group::GroupName;
use super::name::AccountName;
use super::settings::SettingError;

/// Returns the flag with which `parlor init` writes this file; empty for its default file.
fn init_flag(file: &Path) -> String {
    if file == Path::new("parlor.toml") {
        String::new()
    } else {
        format!(" --config {}", shell_word(&file.to_string_lossy()))
    }
}

/// Suggests the nearest name, or lists all known names.
fn known_instead(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(_) => suggestion(nearest),
        None => format!(": known are {}", known.join(", ")),
    }
}

fn pem_remedy(key: &str) -> &'static str {
    if key.ends_with("ca_file") { "put the server's certificate there, as PEM" } else { "put it there, as PEM" }
}

/// The reason why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file does not exist.
    #[error("there is no configuration file {file}: `parlor init{to}` writes one", file = .0.escaped(), to = init_flag(.0))]
    Absent(PathBuf),
    /// The file cannot be read.
    #[error("cannot read the configuration file {file} ({cause})", file = file.escaped())]
    Unreadable {
        /// The configuration file.
        file: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("the configuration file {file} has more than {most} bytes: is it the right file?", file = file.escaped())]
    TooLarge {
        /// The configuration file.
        file: PathBuf,
        /// The most bytes that it may have.
        most: u64,
    },
    /// The file is not TOML.
    #[error("{at}: {reason}")]
    Syntax {
        /// The place of the error.
        at: FilePosition,
        /// The message of the parser.
        reason: String,
    },
    /// The key or table does not exist.
    #[error("{at}: unknown key {key:?} {within}{}", known_instead(*nearest, known))]
    Unknown {
        /// The place of the key.
        at: FilePosition,
        /// The unknown key.
        key: String,
        /// The table, as in `in [account.main]` or `at the top of the file`.
        within: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
        /// All keys that are valid there.
        known: &'static [&'static str],
    },
    /// A value has the wrong type.
    #[error("{at}: {key} must be {expected}, not {found}")]
    WrongType {
        /// The place of the value.
        at: FilePosition,
        /// The key of the value.
        key: String,
        /// The expected type.
        expected: &'static str,
        /// The type that was found.
        found: &'static str,
    },
    /// Only one of two keys that belong together is set.
    #[error("{at}: {key} goes with {other} alone: write both, or none")]
    Alone {
        /// The place of the key.
        at: FilePosition,
        /// The key.
        key: &'static str,
        /// The one that is missing.
        other: &'static str,
    },
    /// Keys of an account are directly under `[account]`, without an account name.
    #[error("{at}: an account needs a name: write [account.main] in place of [account]")]
    NamelessAccount {
        /// The place of the account's `jid`.
        at: FilePosition,
    },
    /// A setting is among the keys of an account.
    #[error(
        "{at}: {key} is a setting: write it under [account.{account}.settings], or under [settings] for all accounts"
    )]
    SettingOfAccount {
        /// The place of the setting.
        at: FilePosition,
        /// The setting.
        key: &'static str,
        /// The account.
        account: AccountName,
    },
    /// A setting is among the keys of a group.
    #[error("{at}: {key} is a setting: write it under [group.{group}.settings], or under [settings] for all accounts")]
    SettingOfGroup {
        /// The place of the setting.
        at: FilePosition,
        /// The setting.
        key: &'static str,
        /// The group.
        group: GroupName,
    },
    /// A key that each account has for itself is among the keys of a group.
    #[error("{at}: {key} is no key of a group: write it under [account.NAME] of each account in {group}")]
    KeyOfAccount {
        /// The place of the key.
        at: FilePosition,
        /// The key.
        key: &'static str,
        /// The group.
        group: GroupName,
    },
    /// The name of a group is invalid.
    #[error("{at}: {name:?} cannot name a group: write 1 to 32 of a-z, 0-9, - and _, such as [group.support]")]
    BadGroupName {
        /// The place of the name.
        at: FilePosition,
        /// The invalid name.
        name: String,
    },
    /// An account names a group that does not exist.
    #[error(
        "{at}: there is no group {group:?}; write a table for it, such as [group.support], which may be empty{near}"
    )]
    NoGroup {
        /// The place of the group.
        at: FilePosition,
        /// The unknown group.
        group: String,
        /// The suggestion of a known one; empty if none is like it.
        near: String,
    },
    /// The name of an account is invalid.
    #[error(
        "{at}: {name:?} cannot name an account or a component: write 1 to 32 of a-z, 0-9, - and _, such as [account.main]"
    )]
    BadAccountName {
        /// The place of the name.
        at: FilePosition,
        /// The invalid name.
        name: String,
    },
    /// No account is configured.
    #[error("{file}: there is no account: write [account.main] with a jid and a password_file", file = .0.escaped())]
    NoAccount(PathBuf),
    /// An account has no JID.
    #[error("{at}: the account {account} has no jid: write one, such as jid = \"bot@example.org\"")]
    NoJid {
        /// The place of the account.
        at: FilePosition,
        /// The account.
        account: AccountName,
    },
    /// A JID is invalid, or not an account's.
    #[error("{at}: {jid:?} is not the JID of an account ({reason}): write one, such as \"bot@example.org\"")]
    BadJid {
        /// The place of the JID.
        at: FilePosition,
        /// The invalid JID.
        jid: String,
        /// Why it is invalid.
        reason: String,
    },
    /// Two accounts are the same one on the server: they would disconnect each other, or receive everything twice.
    #[error("{at}: the accounts {first} and {second} are the same one on the server: {remedy}")]
    SameJid {
        /// The place of the second account.
        at: FilePosition,
        /// The first account.
        first: AccountName,
        /// The second account.
        second: AccountName,
        /// The instruction for the owner.
        remedy: &'static str,
    },
    /// An account has no source for its password.
    #[error(
        "{at}: the account {account} has no password: write password_file, password_command or password_env, or set {variable}"
    )]
    NoPassword {
        /// The place of the account.
        at: FilePosition,
        /// The account.
        account: AccountName,
        /// The environment variable that could hold the password.
        variable: String,
    },
    /// The BOSH session that an account should attach to is not fully configured.
    #[error("{at}: the account {account} cannot go on with a session that somebody else began: {reason}")]
    Prebind {
        /// The place of the account.
        at: FilePosition,
        /// The account.
        account: AccountName,
        /// The missing or invalid part.
        reason: &'static str,
    },
    /// The password file does not exist.
    #[error("{at}: password_file names {file}, which cannot be found ({cause}): write the password into its first line, readable by you alone (umask 077)", file = file.escaped())]
    NoPasswordFile {
        /// The place of the key.
        at: FilePosition,
        /// The password file.
        file: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// A secret has two sources.
    #[error("{at}: {second} stands beside {first}: keep one of them")]
    TwoPasswords {
        /// The place of the second source.
        at: FilePosition,
        /// The key of the first source.
        first: &'static str,
        /// The key of the second source.
        second: &'static str,
    },
    /// The password itself is in the file.
    #[error(
        "{at}: a password does not belong into this file: write it into a file of its own, readable by you alone, and \
         password_file = \"FILE\" here (or password_command, or password_env)"
    )]
    LiteralPassword {
        /// The place of the password.
        at: FilePosition,
    },
    /// The name of an environment variable is invalid. It may be the password itself, so it is not shown.
    #[error(
        "{at}: {key} is no name of a variable: write 1 to 128 of A-Z, a-z, 0-9 and _, without a digit first, \
         such as \"BOT_PASSWORD\", and set the secret in that variable of the environment"
    )]
    BadVariable {
        /// The place of the name.
        at: FilePosition,
        /// The key.
        key: &'static str,
    },
    /// A server is invalid.
    #[error("{at}: {server:?} is no server ({reason}): write a host, or host:port, such as \"xmpp.example.org:5222\"")]
    BadServer {
        /// The place of the server.
        at: FilePosition,
        /// The invalid server.
        server: String,
        /// Why it is invalid.
        reason: &'static str,
    },
    /// A web address is invalid, or not encrypted.
    #[error("{at}: {key} = {url:?} cannot be used: {reason}")]
    BadUrl {
        /// The place of the account's section.
        at: FilePosition,
        /// The setting with the address.
        key: &'static str,
        /// The address; `…` if it is a secret.
        url: String,
        /// Why it is refused.
        reason: String,
    },
    /// The TLS mode does not exist.
    #[error(
        "{at}: tls = {found:?} does not exist: write \"starttls\" or \"direct\"; there is no connection without TLS"
    )]
    BadTls {
        /// The place of the value.
        at: FilePosition,
        /// The unknown mode.
        found: String,
    },
    /// The transport does not exist.
    #[error("{at}: transport = {found:?} does not exist: write \"auto\", \"tcp\", \"websocket\" or \"bosh\"")]
    BadTransport {
        /// The place of the value.
        at: FilePosition,
        /// The unknown transport.
        found: String,
    },
    /// The mode of channel binding does not exist.
    #[error("{at}: channel_binding = {found:?} does not exist: write \"auto\", \"required\" or \"never\"")]
    BadChannelBinding {
        /// The place of the value.
        at: FilePosition,
        /// The unknown mode.
        found: String,
    },
    /// Channel binding is required, but another key or setting rules it out.
    #[error("{at}: channel_binding = \"required\" contradicts {reason}")]
    NeverBound {
        /// The place of the key `channel_binding`.
        at: FilePosition,
        /// The other side of the contradiction, and the remedy.
        reason: &'static str,
    },
    /// A file with certificates or a key does not exist, or is not a file.
    #[error("{at}: {key} names {file}, which is no file that can be read ({cause}): {}", pem_remedy(key), file = file.escaped())]
    NoPemFile {
        /// The place of the key.
        at: FilePosition,
        /// The key of the account that names the file.
        key: &'static str,
        /// The missing file.
        file: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// A component names no domain, or no valid one.
    #[error(
        "{at}: the domain of the component {component} cannot be used ({reason}): write domain = \"bots.example.org\""
    )]
    BadDomain {
        /// The place of the domain, or of the component.
        at: FilePosition,
        /// The component.
        component: AccountName,
        /// Why it cannot be used.
        reason: String,
    },
    /// Two components have the same domain.
    #[error("{at}: the components {first} and {second} have the same domain: leave one out")]
    SameDomain {
        /// The place of the second component.
        at: FilePosition,
        /// The first component.
        first: AccountName,
        /// The second component.
        second: AccountName,
    },
    /// A component has no source for its secret.
    #[error("{at}: the component {component} has no secret: write password_file, password_command or password_env")]
    NoSecret {
        /// The place of the component.
        at: FilePosition,
        /// The component.
        component: AccountName,
    },
    /// A component would send everything unencrypted to another machine.
    #[error(
        "{at}: {server} is not on this machine, and nothing is sent unencrypted: write tls = \"direct\", or a server such as \"127.0.0.1:5347\""
    )]
    OpenComponent {
        /// The place of the server.
        at: FilePosition,
        /// The server.
        server: String,
    },
    /// There is no such component.
    #[error(
        "{at}: there is no component {component}: write [component.{component}], with a domain and a password_file"
    )]
    NoComponent {
        /// The place of the key.
        at: FilePosition,
        /// The component.
        component: AccountName,
    },
    /// An account is no address of its component.
    #[error(
        "{at}: {jid} is no address of the component {component}, which has the domain {domain}: correct one of them"
    )]
    OtherDomain {
        /// The place of the key.
        at: FilePosition,
        /// The component.
        component: AccountName,
        /// The domain of the component.
        domain: String,
        /// The address of the account.
        jid: String,
    },
    /// An address of a component has a key that is about a server of its own.
    #[error("{at}: the account {account} is an address of a component, and has no server of its own: take {key} out")]
    OfComponent {
        /// The place of the key.
        at: FilePosition,
        /// The key.
        key: &'static str,
        /// The account.
        account: AccountName,
    },
    /// A value is not a duration.
    #[error("{at}: {key} has to be a time such as \"10 min\" or \"1 h\"")]
    BadDuration {
        /// The place of the value.
        at: FilePosition,
        /// The key of the value.
        key: &'static str,
    },
    /// The account should log in with a certificate, and has none.
    #[error(
        "{at}: the setting authentication is external: write certificate = \"FILE\" and certificate_key = \"FILE\" here, both PEM"
    )]
    NoCertificate {
        /// The place of the account.
        at: FilePosition,
    },
    /// The account has a certificate, but its setting `authentication` does not use it.
    #[error(
        "{at}: a certificate is for accounts whose setting authentication is \"external\": set it, or take this out"
    )]
    IdleCertificate {
        /// The place of the certificate.
        at: FilePosition,
    },
    /// Other users can read the private key.
    #[error("{at}: others on this machine may read the key {file}: chmod 600 {}", shell_word(&file.to_string_lossy()), file = file.escaped())]
    OpenKey {
        /// The place of the key `certificate_key`.
        at: FilePosition,
        /// The file with the private key.
        file: PathBuf,
    },
    /// The log filter is invalid.
    #[error("{origin}: {log:?} does not say what to log: write a level such as \"info\", or \"info,parlor=debug\"")]
    BadLog {
        /// The origin of the filter.
        origin: Origin,
        /// The invalid filter.
        log: String,
    },
    /// A setting has an invalid value.
    #[error("{origin}: {reason}")]
    Setting {
        /// The origin of the value.
        origin: Origin,
        /// Why it is invalid.
        reason: SettingError,
    },
    /// A key of the file is among the settings, where it has no effect.
    #[error(
        "{origin}: {key} is no setting: move it {place}; a plugin's own setting of this name belongs under [plugin.ID.settings] in plugins.toml"
    )]
    Misplaced {
        /// The origin of the key.
        origin: Origin,
        /// The misplaced key.
        key: &'static str,
        /// The place where it belongs.
        place: String,
    },
    /// A setting's value is not JSON.
    #[error("{origin}: the value of {key:?} is not JSON ({reason}): write true, 5, '\"text\"' or '[\"a\",\"b\"]'")]
    NotJson {
        /// The origin of the value.
        origin: Origin,
        /// The setting.
        key: String,
        /// Why it is not JSON.
        reason: &'static str,
    },
    /// `accounts.toml` and the configuration file do not fit together, or it cannot be shared.
    #[error(transparent)]
    AccountsFile(#[from] AccountsFileError),
    /// The section `[cluster]` is invalid, or something beside it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}
