//! The store of a cluster: NATS with `JetStream`.
//!
//! **Owns:** the connection to NATS, what a server must be able to do, the streams, and how records are written in them: the
//! logs of accounts, the leases of nodes, snapshots, and what all nodes share. It also owns the requests that nodes
//! send one another. The data of accounts and these requests are encrypted with a key that NATS does not have.
//!
//! **Must not** decide which node runs an account: that is `parlor_cluster`, which it feeds. It does not know what a change
//! or a snapshot holds: that is `parlor_store`, whose log it is.
//!
//! **Begin with** [`Runner`], which runs the accounts of a node on an [`AccountHost`]. It is made of [`Link`], the connection, of
//! [`Driver`], which tells when to start and stop accounts, and of [`Stores`], which takes over an account with all that it
//! kept. [`AccountLog`] is where an account writes. [`Mover`] takes accounts into the cluster and out of it. [`Shared`] has
//! a text and the files that all nodes share.
//!
//! # What is certain
//!
//! A change that was acknowledged is in the log, and no holder that lost the account can append to it any more. This
//! holds whenever nodes and NATS servers are killed or suspended. It does not hold if a machine loses power: a NATS
//! server acknowledges what it gave to its operating system.

mod answer;
mod away;
mod bucket;
mod changes;
mod clock;
mod connect;
mod cpu;
mod delivery;
mod denials;
mod drains;
mod drive;
mod envelope;
mod error;
mod examine;
mod fields;
mod fitness;
mod health;
mod inbox;
mod keys;
mod log;
mod losses;
mod lost_nodes;
mod moving;
mod names;
mod overview;
mod permit;
mod pulse;
mod queue;
mod record;
mod requests;
mod room;
mod run;
mod seal;
mod serving;
mod shared;
mod shared_text;
mod silence;
mod snapshots;
mod state;
mod store_log;
mod stores;
mod streams;
mod teller;
mod thread_links;
mod unnoted;
mod watch;

pub use away::Away;
pub use clock::now;
pub use connect::{Link, Login, Settings};
pub use drive::{Driver, NodeSettings, Order};
pub use envelope::{EnvelopeError, MOST_IN_A_REQUEST};
pub use error::{
    ConnectError, CopyError, LogError, PutError, SnapshotError, StartError, StateError, StreamError, TakeOverError,
};
pub use examine::{Examined, examine};
pub use health::NodeHealth;
pub use inbox::{Asked, CLOCKS, Inbox};
pub use keys::{agree_on_keys, is_unused};
pub use log::{AccountLog, read_log};
pub use lost_nodes::LostNode;
pub use moving::{
    Export, ExportLook, Import, Look, Looker, MoveError, Mover, Progress, Removal, Remover, Step, encrypt_remains_anew,
};
pub use names::{Cluster, NameError};
pub use overview::{AccountRow, AwayRow, NodeRow, Overview};
pub use permit::Permit;
pub use record::{Kind, MOST_IN_A_CHANGE, MOST_IN_A_RECORD, MOST_IN_A_SNAPSHOT, Position, Record, RecordError};
pub use requests::{MOST_IN_AN_ANSWER, RequestError, Requests, SILENCE, Topic};
pub use run::{AccountHost, Runner, Trouble};
pub use seal::{KeyId, KeyRing, KeyRingError};
pub use serving::Serving;
pub use shared::{Changes, Forgery, MOST_IN_A_FILE, MOST_IN_A_TEXT, Next, Shared, SharedError, Standing, Version};
pub use shared_text::SharedText;
pub use snapshots::{Snapshot, Snapshots};
pub use state::{Added, State};
pub use stores::{Held, Stores};
pub use streams::prepare;
pub use teller::Teller;

/// Returns whether a library that logs under this target sees records. Below `info`, it logs what it is answered.
pub fn sees_records(target: &str) -> bool {
    target.split("::").next() == Some("async_nats")
}

#[cfg(test)]
mod tests;
