//! The reasons why an account is not moved, each with a remedy.

use jid::BareJid;
use parlor_store::DataError;

use crate::away::Away;
use crate::error::{ConnectError, LogError, SnapshotError, StartError, StateError, StreamError, TakeOverError};

/// The reason why an account is not moved, or not yet. Completed steps of the move stay.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The cluster has data of the account.
    #[error(
        "the cluster {cluster} has data of {account} already; to put what this host keeps in its place, give --replace"
    )]
    Has {
        /// The account.
        account: BareJid,
        /// The cluster.
        cluster: String,
    },
    /// The file of the host has data of the account.
    #[error(
        "this host keeps {rows} rows of {account} itself; to put what the cluster keeps in their place, give --replace"
    )]
    HasHere {
        /// The account.
        account: BareJid,
        /// The number of rows.
        rows: u64,
    },
    /// A node has the account.
    #[error("{account} is at the node {node}; stop the host there, and try again")]
    Held {
        /// The account.
        account: BareJid,
        /// The name of the node.
        node: String,
    },
    /// Another command has the account.
    #[error("{account} cannot be moved, since {why} by another command; run that again, where it ran")]
    Busy {
        /// The account.
        account: BareJid,
        /// The action of the other command.
        why: Away,
    },
    /// The other way has begun.
    #[error("{account} cannot be imported, since its export to this host has begun; run `parlor cluster export` again")]
    Coming {
        /// The account.
        account: BareJid,
    },
    /// It moved into another cluster.
    #[error(
        "{account} has moved into the cluster {cluster}; write that name into parlor.toml, or export it from there"
    )]
    Elsewhere {
        /// The account.
        account: BareJid,
        /// The other cluster.
        cluster: String,
    },
    /// The cluster has nothing of an account that had moved into it.
    #[error(
        "{account} has moved into the cluster {cluster}, which does not have it any more; it is at the host that exported it, or restore a backup"
    )]
    Gone {
        /// The account.
        account: BareJid,
        /// The cluster.
        cluster: String,
    },
    /// The cluster has no such account.
    #[error("the cluster {cluster} has no account {account}; `parlor cluster status` shows those that it has")]
    Unknown {
        /// The account.
        account: BareJid,
        /// The cluster.
        cluster: String,
    },
    /// Somebody else changed its record at the same time.
    #[error("somebody else changed {0} in the cluster at the same time; nothing was done, so try again")]
    Raced(BareJid),
    /// It was to end here.
    #[error("the move was interrupted; run the command again to go on")]
    Interrupted,
    /// The folder of accounts cannot be used.
    #[error("the files of accounts cannot be used ({0}); make the data folder writable, or raise the limit of threads")]
    Files(String),
    /// The file of the host cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// NATS cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The streams of the cluster cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The cluster cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The state of the cluster cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The log of the account cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its snapshot cannot be stored or fetched.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The account cannot be read from the cluster.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
}
