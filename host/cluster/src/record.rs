//! The records that the store keeps for a cluster: one for each session, and one for each account.

use std::sync::Arc;

/// The revision of a key: the number of the write in the whole store. Later writes have higher ones; 0 is no write.
pub type Revision = u64;

/// A session of a node. No two sessions have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// A random number that the process drew when it started.
    pub process: u64,
    /// The number of the session within the process.
    pub number: u32,
}

/// Identifies a holder of an account: how often the account was given to somebody. A later holder has a higher token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    /// Returns the token of the next holder.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A key of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The record of a session.
    Session(SessionId),
    /// The record of an account, by the account's name.
    Account(Arc<str>),
}

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The record of a session.
    Session(Session),
    /// The record of an account.
    Claim(Claim),
}

/// A session of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The name that the owner gave the node.
    pub node: Arc<str>,
    /// The load that the node can take, in relation to other nodes.
    pub capacity: u32,
    /// The number of the renewal.
    pub beat: u64,
    /// Whether the session goes on.
    pub state: SessionState,
    /// The CPU time of the node.
    pub cpu: Cpu,
}

/// How busy a node is, and how many accounts it takes for that reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// The percentage of the CPU time of its machine that the node has used lately.
    pub used: u32,
    /// The percentage of its capacity that counts when accounts are placed, 1 to 100.
    pub share: u32,
}

impl Default for Cpu {
    fn default() -> Self {
        Self { used: 0, share: 100 }
    }
}

/// Whether a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// The node takes accounts.
    Open,
    /// The node takes no more accounts, and hands over those that it has.
    Draining,
    /// The session is over, and none of its accounts runs. This is final.
    Over,
}

/// The claim on an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The session whose node runs the account; `None` if nobody does.
    pub session: Option<SessionId>,
    /// The token of the holder. It changes with `session`. It is also raised if the store has lost claims with higher ones.
    pub token: Token,
    /// The load that the account is.
    pub weight: u32,
    /// The processes of nodes that cannot run the account, since their configuration lacks it, in order. It is not placed there. A process
    /// takes itself out once its configuration has the account.
    pub lacking: Vec<u64>,
}
