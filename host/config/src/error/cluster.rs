//! Errors in the section `[cluster]`, and in accounts that cannot be in a cluster.

use std::io;
use std::path::PathBuf;

use jid::BareJid;
use parlor_base::escape::{EscapedPath as _, shell_word};

use super::FilePosition;
use crate::name::AccountName;

/// An error in the section `[cluster]`, or in an account that cannot be in a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A key is missing that has no default.
    #[error("{at}: a cluster needs {key}: write {key} = {example}")]
    Missing {
        /// The place of the section.
        at: FilePosition,
        /// The key.
        key: &'static str,
        /// An example of a value.
        example: &'static str,
    },
    /// Nothing says where the key is.
    #[error(
        "{at}: a cluster needs a key, with which it encrypts what accounts keep in NATS: run `parlor cluster key`, copy its file to all nodes, and write key_file = \"cluster.key\" (or key_command, or key_env)"
    )]
    NoKey {
        /// The place of the section.
        at: FilePosition,
    },
    /// The file of the key does not exist.
    #[error("{at}: key_file names {}, which cannot be found ({cause}): copy it from another node, or make it for the first one: parlor cluster key {}", file.escaped(), shell_word(&file.to_string_lossy()))]
    NoKeyFile {
        /// The place of the key.
        at: FilePosition,
        /// The file.
        file: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// A password and a certificate stand side by side.
    #[error("{at}: a node logs in at NATS with a password or with a certificate: keep one of them")]
    TwoLogins {
        /// The place of the section.
        at: FilePosition,
    },
    /// An account is an address of a component, which only one host can be connected as.
    #[error(
        "the account {account} is an address of a component, and a component has one connection, not one on each node: take [cluster] out, or the account"
    )]
    Component {
        /// The account.
        account: AccountName,
    },
    /// Addresses of a component become accounts, which cannot be in a cluster.
    #[error(
        "the component {component} has new_addresses, and addresses of a component cannot be in a cluster: take [cluster] out, or new_addresses"
    )]
    NewAddresses {
        /// The component.
        component: AccountName,
    },
    /// An account goes on with a session that exists once.
    #[error(
        "the account {account} goes on with a session that somebody else began, and no other node could go on with it: take [cluster] out, or give the account a password"
    )]
    Prebind {
        /// The account.
        account: AccountName,
    },
    /// Two accounts have the same bare address.
    #[error(
        "the accounts {first} and {second} both are {jid}, and a cluster has each address once: take [cluster] out, or one of the accounts"
    )]
    SameAddress {
        /// The first account.
        first: AccountName,
        /// The second account.
        second: AccountName,
        /// The address.
        jid: BareJid,
    },
}
