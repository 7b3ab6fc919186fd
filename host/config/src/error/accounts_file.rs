//! Errors about `accounts.toml` as a whole.

use std::path::PathBuf;

use parlor_base::escape::EscapedPath as _;

use super::FilePosition;

/// An error about `accounts.toml` as a whole.
#[derive(Debug, thiserror::Error)]
pub enum AccountsFileError {
    /// An account or a group is in the configuration file, too.
    #[error("{at}: the {name} is in {first}, too: take it out of one of the two files")]
    InBoth {
        /// The place of the second one.
        at: FilePosition,
        /// Its name, such as `account main`.
        name: String,
        /// The place of the first one.
        first: FilePosition,
    },
    /// Nodes share it, and it has them run a program.
    #[error(
        "{at}: the account {account} has a password_command, and nodes run no program that others name: write password_file, with a file that each node has, or move the account to parlor.toml"
    )]
    Command {
        /// The place of the key.
        at: FilePosition,
        /// The account.
        account: String,
    },
    /// It was there before.
    #[error("{} is gone; nothing has changed. Put it back, or an empty one if its accounts are to stop", .0.escaped())]
    Gone(PathBuf),
    /// It is empty, which may be a mistake.
    #[error("{} is empty; nothing has changed. `parlor reload` or SIGHUP makes it count if its accounts are to stop", .0.escaped())]
    Blank(PathBuf),
}
