//! The errors of this package, each with the cause and a remedy.

use std::path::PathBuf;

use jid::BareJid;
use parlor_base::escape::EscapedPath as _;
use parlor_cluster::Revision;
use parlor_https::trust::TrustError;
use parlor_store::{DataError, OpenError, ReplayError};

use crate::record::{MOST_IN_A_CHANGE, MOST_IN_A_RECORD, MOST_IN_A_SNAPSHOT, RecordError};
use crate::room::remedy;
use crate::seal::KeyId;

/// The reason why there is no usable connection to NATS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No server is named.
    #[error("no NATS server is named; name at least one, such as tls://nats.example.org:4222")]
    NoServer,
    /// An address of a server cannot be used.
    #[error(
        "the NATS server {server:?} cannot be used: {cause}; write tls://HOST:PORT, or nats://HOST:PORT for one on this machine"
    )]
    Server {
        /// The address as it was given, without what stands before an `@`.
        server: String,
        /// The reason.
        cause: String,
    },
    /// The connection would not be encrypted.
    #[error(
        "the connection to the NATS server {0:?} would not be encrypted; write tls:// in front, or allow unencrypted connections if the network is private"
    )]
    Unencrypted(String),
    /// A certificate logs in, and there is no TLS that shows it.
    #[error("a client certificate cannot log in at the NATS server {0:?} without TLS; write tls:// in front")]
    CertificateWithoutTls(String),
    /// The client certificate or its key cannot be used.
    #[error("the client certificate for NATS, {}, cannot be used with its key: {cause}; both must be PEM files that belong together", path.escaped())]
    Certificate {
        /// The file that was looked at.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
    /// It cannot be decided which servers are trusted.
    #[error("no NATS server can be trusted: {0}")]
    Trust(#[from] TrustError),
    /// No server answers as a NATS server does.
    #[error(
        "NATS cannot be reached at {servers}: {cause}; check that a server runs there and that this machine may connect to it"
    )]
    Unreachable {
        /// The addresses.
        servers: String,
        /// The reason.
        cause: String,
    },
    /// The server does not accept the log-in.
    #[error(
        "the NATS server at {servers} refused the log-in ({cause}); check user and password, token or certificate against its configuration"
    )]
    LogIn {
        /// The addresses.
        servers: String,
        /// The reason.
        cause: String,
    },
    /// The server is too old.
    #[error(
        "the NATS server has version {found}, and {replicas} replicas of each stream need {needed} or newer, since earlier ones accept two writes where one must be refused; update NATS on all servers"
    )]
    OldServer {
        /// Its version.
        found: String,
        /// The lowest version that is permitted.
        needed: &'static str,
        /// How many replicas are asked for.
        replicas: usize,
    },
    /// The server accepts only small messages.
    #[error(
        "the NATS server accepts messages of at most {found} bytes, and a record may have {needed}; set max_payload to 1MB or more in its configuration"
    )]
    SmallPayload {
        /// The largest message that it accepts.
        found: usize,
        /// The largest that parlor sends.
        needed: usize,
    },
    /// The user of the log-in lacks a right.
    #[error(
        "NATS does not let the log-in of parlor {0}; correct the permissions of its user in the configuration of NATS: docs/owner/cluster.md has those that parlor needs, with the name of the cluster in them"
    )]
    Denied(String),
    /// The server has no `JetStream`.
    #[error("the NATS server has no JetStream; start it with -js, or add jetstream to its configuration")]
    NoJetStream,
}

/// The reason why a stream cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The server did not create or describe it.
    #[error(
        "the NATS stream {stream} could not be created or read: {cause}; check that JetStream has room, and that the log-in may use $JS.API.>"
    )]
    Server {
        /// The name of the stream.
        stream: String,
        /// The server's error.
        cause: String,
    },
    /// It exists with other settings than parlor needs.
    #[error(
        "the NATS stream {stream} has {setting} {found}, and parlor needs {needed}; change it with `nats stream edit`, or give the cluster another name"
    )]
    Differs {
        /// The name of the stream.
        stream: String,
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// The value that it must have.
        needed: String,
    },
    /// It had been there, and was created again.
    #[error(
        "the stream {stream} was gone from NATS, and was created again, empty: find out who deleted it; if accounts have lost what they kept, take them from a backup (parlor cluster import NAME --replace)"
    )]
    Gone {
        /// The name of the stream.
        stream: String,
    },
}

/// The reason why a write was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The subject has another revision.
    #[error("another write came first; read it and try again")]
    Refused,
    /// There was no answer. It may have been written, or may be later.
    #[error("NATS did not answer, so the write may be done or not; check the connection to NATS")]
    Unknown,
    /// There has been no answer to any write for a while, although there is a connection.
    #[error(
        "NATS is connected and answers no write; look at its log: its disk may be full, JetStream may be off, or most of its servers may be away. If its disk was full, make room and start NATS again"
    )]
    Silent,
    /// It is larger than the server permits.
    #[error("the write is larger than NATS permits; at most {MOST_IN_A_RECORD} bytes fit")]
    TooLarge,
    /// The connection led to a server that cannot be used.
    #[error("{0}")]
    Unfit(ConnectError),
    /// The server refused it.
    #[error("NATS refused a write: {description:?} (error {code}); {}", remedy(*code))]
    Server {
        /// The number of the error in NATS.
        code: u32,
        /// The server's words.
        description: String,
    },
}

/// The reason why sessions and claims cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A record cannot be read.
    #[error(
        "the record {revision} of {subject:?} in NATS cannot be read: {cause}; a newer parlor or another program wrote it"
    )]
    Unreadable {
        /// The subject.
        subject: String,
        /// The place in the stream.
        revision: Revision,
        /// The mistake in it.
        cause: String,
    },
    /// The name is empty or too long.
    #[error("{what} {name:?} cannot stand in the state of a cluster; it must have 1 to {most} bytes")]
    Name {
        /// Whether it is a node or an account.
        what: &'static str,
        /// The beginning of the name.
        name: String,
        /// The maximum length.
        most: usize,
    },
    /// The nodes do not have the same times.
    #[error("the cluster {cluster} has other times than this node ({found}, here {own}); give all nodes the same")]
    Timing {
        /// The cluster.
        cluster: String,
        /// The times of the cluster.
        found: String,
        /// The times of this node.
        own: String,
    },
    /// A record could not be written.
    #[error("the state of the cluster in NATS could not be written: {0}")]
    Put(PutError),
    /// The cluster has another key than this node.
    #[error(
        "the cluster {cluster} encrypts with the key {found}, which this node does not have; copy the key file of another node, and start this node again"
    )]
    Key {
        /// The cluster.
        cluster: String,
        /// The id of the key of the cluster.
        found: KeyId,
    },
    /// Writes that were confirmed are not there any more.
    #[error(
        "NATS has lost what it had confirmed of the cluster {0}, as when it starts with an empty disk or with an older copy; this node reads all anew and goes on, but accounts may have lost what they kept: look at the disks of NATS, and take those accounts from a backup (parlor cluster import NAME --replace)"
    )]
    Lost(String),
    /// The records were not delivered in time.
    #[error(
        "NATS does not deliver the state of the cluster {0}; check the connection to NATS, how many consumers it permits, and what the log-in of parlor may do there"
    )]
    Silent(String),
    /// Another host has the name of this node.
    #[error("another host is node {0:?}; give this one another name: key node under [cluster], or PARLOR_NODE")]
    Twin(String),
}

/// The reason why a node does not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A stream cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The state of the cluster cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The system did not start its thread.
    #[error("the thread for the node's lease could not be started ({0}); raise the limit of threads")]
    Thread(String),
}

/// The reason why an account's log ended, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Another node has taken the account over.
    #[error("another node has taken the account over; this one stops it")]
    Fenced,
    /// The change does not fit into the log.
    #[error(
        "a change of {size} bytes does not fit into a log, which takes at most {MOST_IN_A_CHANGE}; make several changes of it"
    )]
    TooLarge {
        /// The size of the change.
        size: usize,
    },
    /// There is a message in the log that is no record.
    #[error(
        "message {revision} of {subject:?} in NATS is no record of parlor: {cause}; update parlor, or restore the account from a backup"
    )]
    Foreign {
        /// The subject.
        subject: String,
        /// The place in the stream.
        revision: Revision,
        /// The mistake in it.
        cause: RecordError,
    },
    /// A record is encrypted with a key that this node does not have.
    #[error(
        "message {revision} of {subject:?} in NATS is encrypted with the key {key}, which this node does not have; copy the line of that key from the key file of another node, and start this node again"
    )]
    Key {
        /// The subject.
        subject: String,
        /// The place in the stream.
        revision: Revision,
        /// The id of the key.
        key: KeyId,
    },
    /// A record does not decrypt.
    #[error(
        "message {revision} of {subject:?} in NATS does not decrypt, so it was changed, moved, or put there by another program; find out who can write to NATS, and restore the account from a backup"
    )]
    Changed {
        /// The subject.
        subject: String,
        /// The place in the stream.
        revision: Revision,
    },
    /// Records are missing.
    #[error(
        "record {expected} of {subject:?} is not in NATS, where {found} follows; restore the stream from a backup, or the account from a snapshot"
    )]
    Gap {
        /// The subject.
        subject: String,
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A record that was acknowledged is not there any more.
    #[error(
        "record {revision} of {subject:?} was acknowledged and is gone from NATS; somebody removed it, or a server lost power; restore the account from a backup"
    )]
    Lost {
        /// The subject.
        subject: String,
        /// The place in the stream.
        revision: Revision,
    },
    /// The log could not be read for a while.
    #[error("NATS does not deliver the log {subject:?}: {cause}; check the connection to NATS")]
    Silent {
        /// The subject.
        subject: String,
        /// The reason.
        cause: String,
    },
    /// The server refused a write, or cannot be used.
    #[error(transparent)]
    Put(PutError),
    /// An earlier append was given up, or failed.
    #[error("the log was given up in the middle of a change; open it again with a new token")]
    Ended,
}

/// The reason why a snapshot cannot be stored or fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is too large.
    #[error("a snapshot of {size} bytes is not stored; at most {MOST_IN_A_SNAPSHOT} are")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// It is encrypted with a key that this node does not have.
    #[error(
        "the snapshot {name:?} in NATS is encrypted with the key {key}, which this node does not have; copy the line of that key from the key file of another node, and start this node again"
    )]
    Key {
        /// The name of the object.
        name: String,
        /// The id of the key.
        key: KeyId,
    },
    /// It was changed or cut off.
    #[error("the snapshot {name:?} in NATS is not the one that was stored there; take the account from a backup")]
    Changed {
        /// The name of the object.
        name: String,
    },
    /// A record names it, and it is not there.
    #[error("the snapshot {name:?}, which a record names, is not in NATS; take the account from a backup")]
    Missing {
        /// The name of the object.
        name: String,
    },
    /// The log did not take the record of it, so it does not count.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The stream of the object store was gone, or cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A record that names a snapshot cannot be read.
    #[error(
        "a record names a snapshot as {0:?}, which parlor does not write; a newer version or another program wrote it"
    )]
    Name(String),
    /// The server did not store or deliver it.
    #[error(
        "the snapshot {name:?} could not be stored in NATS or fetched from it: {cause}; check the connection to NATS and the room there"
    )]
    Server {
        /// The name of the object.
        name: String,
        /// The reason.
        cause: String,
    },
}

/// The reason why an account could not be taken over. Nothing of it was started.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// Its log cannot be written or read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The stream of its log was gone, or cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Its snapshot cannot be fetched.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] OpenError),
    /// A record cannot be applied to its file.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// Its snapshot does not have what the log says of it.
    #[error(
        "the snapshot of {account} goes up to record {found}, and its log says {expected}; take the account from a backup"
    )]
    OtherSnapshot {
        /// The account.
        account: BareJid,
        /// The number of the last record that the snapshot has.
        found: u64,
        /// The number that it should be.
        expected: u64,
    },
}

impl TakeOverError {
    /// Returns whether it stays until the owner does something, so that trying again soon is of no use.
    pub(crate) fn needs_owner(&self) -> bool {
        let is_of_log = |error: &LogError| {
            matches!(error, LogError::Key { .. } | LogError::Changed { .. } | LogError::Foreign { .. })
        };
        match self {
            Self::Log(error) | Self::Snapshot(SnapshotError::Log(error)) if is_of_log(error) => true,
            // A newer parlor wrote what cannot be read. Another node may run that one, so the first pause is as short as any.
            Self::Snapshot(SnapshotError::Key { .. } | SnapshotError::Changed { .. } | SnapshotError::Name(_))
            | Self::Replay(ReplayError::Record(_)) => true,
            Self::File(error) => error.is_of_a_newer_parlor(),
            _ => self.may_be_replaced(),
        }
    }

    /// Returns whether something is missing that a snapshot replaces: records, or the snapshot before it. If the holder has just made
    /// one, all of the account is there when it is read again. Otherwise NATS has lost it.
    pub(crate) fn may_be_replaced(&self) -> bool {
        matches!(
            self,
            Self::Log(LogError::Gap { .. })
                | Self::Snapshot(SnapshotError::Missing { .. } | SnapshotError::Log(LogError::Gap { .. }))
        )
    }
}

/// The reason why a snapshot of an account was not made. The account goes on, and its log stays long.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The log or the file has ended: what the account was given since then is nowhere.
    #[error("its log had ended before it stopped: {0}")]
    Ended(LogError),
    /// The file could not be copied.
    #[error(transparent)]
    File(#[from] DataError),
    /// The copy could not be stored in NATS.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}
