//! Moves accounts into the cluster and out of it, while nobody runs them.
//!
//! Three places say where an account is: a mark in the file of the host, its record in the state of the cluster, and its log. Each step
//! changes one of them, in an order in which no two sides can run the account, and one of them always has all of it. A command
//! that was killed between two steps is run again: it goes on by what the three places say.

mod error;
mod export;
mod import;
mod look;
mod remains;
mod remove;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;
use parlor_cluster::{Claim, Revision, Timing, Token};
use parlor_store::{Accounts, Mark, Stage};
use tokio::time::timeout;

use crate::away::{Away, Standing};
use crate::connect::{Link, Settings};
use crate::error::{LogError, PutError, StateError};
use crate::keys::agree_on_keys;
use crate::log::{AccountLog, forget_before};
use crate::names::Cluster;
use crate::record::Kind;
use crate::snapshots::Snapshots;
use crate::state::State;
use crate::stores::Stores;
use crate::streams::prepare;

pub use error::MoveError;
pub use export::{Export, ExportLook};
pub use import::{Import, Look};
pub use look::Looker;
pub use remains::encrypt_remains_anew;
pub use remove::Removal;

/// How long a command waits for the log of an account: three servers may need a while to choose the one that leads it. A node
/// waits as long as it has the account.
const PATIENCE: Duration = if cfg!(test) { Duration::from_secs(5) } else { Duration::from_secs(30) };

/// A completed step of a move. A step is reported once it is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The file of the host says that the account moves.
    Marked,
    /// The cluster says that no node may run it.
    Reserved,
    /// No earlier holder can write into its log any more.
    Fenced,
    /// Its snapshot is in NATS, and was fetched again.
    Stored,
    /// Its log names the snapshot, or begins with nothing.
    Named,
    /// Data that is not needed any more was removed from NATS.
    Cleared,
    /// The file of the host has what it is to have.
    Kept,
    /// The cluster says what became of the account.
    Told,
}

impl Step {
    /// All steps. A move does not have to take each, nor in this order.
    pub const ALL: [Self; 8] =
        [Self::Marked, Self::Reserved, Self::Fenced, Self::Stored, Self::Named, Self::Cleared, Self::Kept, Self::Told];
}

/// Hears of each step that is done. A move ends there if it is told to, as if it was killed.
pub type Progress<'a> = dyn FnMut(Step) -> ControlFlow<()> + 'a;

fn tell(progress: &mut Progress<'_>, step: Step) -> Result<(), MoveError> {
    if progress(step).is_break() { Err(MoveError::Interrupted) } else { Ok(()) }
}

/// Removes accounts from a cluster.
#[derive(Debug)]
pub struct Remover {
    looker: Looker,
    snapshots: Snapshots,
}

/// Moves accounts between the cluster and the file of a host that is stopped.
#[derive(Debug)]
pub struct Mover {
    remover: Remover,
    stores: Stores,
}

impl Remover {
    /// Connects, and creates what a cluster needs, unless it is there.
    pub async fn open(settings: &Settings, cluster: &Cluster, timing: Timing) -> Result<Self, MoveError> {
        let link = Link::connect(settings).await?;
        prepare(&link, cluster).await?;
        // Nodes could not read what another key encrypts.
        agree_on_keys(&link, cluster).await?;
        let state = State::open(&link, cluster, timing).await?;
        let snapshots = Snapshots::open(&link, cluster).await?;
        let looker = Looker { link, cluster: cluster.clone(), state, patience: timing.patience(), is_there: true };
        Ok(Self { looker, snapshots })
    }

    /// Makes sure that no node has an account. It ends the session of a node that was killed.
    async fn check_free(&self, account: &BareJid, claim: &Claim) -> Result<(), MoveError> {
        let Some(session) = claim.session else { return Ok(()) };
        not_held(account, self.looker.state.living_node(session, self.looker.patience).await?)
    }

    /// Keeps all nodes from running an account, and all others from moving it. Returns the revision of its record.
    async fn reserve(
        &self,
        account: &BareJid,
        (why, token, mark): (Away, Token, &str),
        expected: Revision,
    ) -> Result<Revision, MoveError> {
        match self.looker.state.put_away(account.as_str(), (why, token, mark), expected).await {
            Ok(revision) => Ok(revision),
            Err(PutError::Refused) => Err(MoveError::Raced(account.clone())),
            Err(error) => Err(StateError::from(error).into()),
        }
    }

    /// Has the account begin with nothing, and removes all that the cluster kept of it. One record stays: the numbers of its log must go
    /// on if it comes back, since files on other nodes may have the old ones. Nothing of the account needs to be readable.
    async fn empty(&self, account: &BareJid, token: Token, progress: &mut Progress<'_>) -> Result<(), MoveError> {
        let Looker { link, cluster, .. } = &self.looker;
        begin_anew(link, cluster, account.as_str(), token, |step| tell(progress, step)).await?;
        self.snapshots.forget_all(account.as_str(), None).await?;
        tell(progress, Step::Cleared)
    }
}

/// Waits for the log of an account, but not for ever. The command can be run again, as if it was killed. Callers box what they
/// wait for, which is large.
async fn in_time<T>(
    cluster: &Cluster,
    account: &str,
    waits: impl Future<Output = Result<T, LogError>>,
) -> Result<T, LogError> {
    timeout(PATIENCE, waits).await.unwrap_or_else(|_| {
        let (_, subject) = cluster.log(account);
        Err(LogError::Silent { subject, cause: "there is no answer".to_owned() })
    })
}

/// Fails if a node has the account.
fn not_held(account: &BareJid, node: Option<Arc<str>>) -> Result<(), MoveError> {
    node.map_or(Ok(()), |node| Err(MoveError::Held { account: account.clone(), node: node.to_string() }))
}

/// Has an account begin with nothing: one record stays in its log. No earlier one needs to be readable.
async fn begin_anew(
    link: &Link,
    cluster: &Cluster,
    account: &str,
    token: Token,
    mut told: impl FnMut(Step) -> Result<(), MoveError>,
) -> Result<(), MoveError> {
    let opening = Box::pin(AccountLog::open_to_replace(link, cluster, account, token));
    let mut log = in_time(cluster, account, opening).await?;
    told(Step::Fenced)?;
    let last = in_time(cluster, account, Box::pin(log.write(Kind::Anew, Bytes::new()))).await?;
    told(Step::Named)?;
    Ok(forget_before(link, cluster, account, last.revision).await?)
}

impl Mover {
    /// Connects, with the files of accounts in this data folder. No other process may use that meanwhile.
    pub async fn open(settings: &Settings, cluster: &Cluster, timing: Timing, data: &Path) -> Result<Self, MoveError> {
        let remover = Remover::open(settings, cluster, timing).await?;
        let accounts = Accounts::start(data).map_err(|error| MoveError::Files(error.to_string()))?;
        let stores = Stores::open(&remover.looker.link, cluster, accounts).await?;
        Ok(Self { remover, stores })
    }

    /// Returns why what the cluster has of an account cannot be read; `None` if it can, or if there is nothing.
    pub async fn damage(&self, account: &BareJid) -> Result<Option<String>, MoveError> {
        self.remover.looker.damage(account).await
    }

    fn mark(&self, stage: Stage, name: &str) -> Mark {
        Mark { stage, cluster: self.remover.looker.cluster.to_string(), mark: name.to_owned() }
    }
}

/// Returns a name for a move.
fn new_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Returns a token that is higher than all that were given for an account.
fn highest(standing: &Standing, in_the_log: Option<Token>) -> Token {
    standing.next_token().max(in_the_log.map_or(Token(0), Token::next))
}
