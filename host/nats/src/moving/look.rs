//! Looks at accounts of a cluster, and writes nothing there: it creates no stream, agrees on nothing and ends no session.

use std::time::Duration;

use jid::BareJid;
use parlor_cluster::{Claim, Revision, Timing, Token};
use parlor_store::DataFile;

use super::{Look, MoveError, not_held};
use crate::away::Standing;
use crate::connect::{Link, Settings};
use crate::error::StateError;
use crate::keys::{self, Found};
use crate::log;
use crate::names::Cluster;
use crate::state::State;

/// Looks at the accounts of a cluster. It writes nothing there.
#[derive(Debug)]
pub struct Looker {
    pub(super) link: Link,
    pub(super) cluster: Cluster,
    pub(super) state: State,
    /// After this time without a renewal, a session is over.
    pub(super) patience: Duration,
    /// Whether a node or a command has been there. Otherwise there may be no streams.
    pub(super) is_there: bool,
}

impl Looker {
    /// Connects. It fails if this host does not have the key of the cluster.
    pub async fn open(settings: &Settings, cluster: &Cluster, timing: Timing) -> Result<Self, MoveError> {
        let (link, cluster) = (Link::connect(settings).await?, cluster.clone());
        let is_there = keys::find(&link, &cluster).await? != Found::Nothing;
        let state = State { link: link.clone(), cluster: cluster.clone() };
        Ok(Self { link, cluster, state, patience: timing.patience(), is_there })
    }

    /// Returns what an import would do.
    pub async fn look(&self, file: &DataFile, account: &BareJid, is_replacing: bool) -> Result<Look, MoveError> {
        let found = self.find(file, account, is_replacing).await?;
        if let (Look::Move { .. }, Standing::Claimed(claim)) = (found.look, &found.standing) {
            self.check_free(account, claim).await?;
        }
        Ok(found.look)
    }

    /// Returns why what the cluster has of an account cannot be read; `None` if it can, or if there is nothing. It looks at the
    /// record of the account and at both ends of its log, as a node does before it starts an account.
    pub async fn damage(&self, account: &BareJid) -> Result<Option<String>, MoveError> {
        if !self.is_there {
            return Ok(None);
        }
        match self.state.standing(account.as_str()).await {
            Err(error @ StateError::Unreadable { .. }) => return Ok(Some(error.to_string())),
            read => drop(read?),
        }
        let damage = log::damage(&self.link, &self.cluster, account.as_str()).await?;
        Ok(damage.map(|damage| damage.to_string()))
    }

    /// Makes sure that no node has an account.
    pub(super) async fn check_free(&self, account: &BareJid, claim: &Claim) -> Result<(), MoveError> {
        let Some(session) = claim.session else { return Ok(()) };
        not_held(account, self.state.renewing_node(session, self.patience).await?)
    }

    /// Returns the record of an account. One that cannot be read counts as none if all of the account is to be replaced.
    pub(super) async fn standing(
        &self,
        account: &BareJid,
        is_replacing: bool,
    ) -> Result<(Standing, Revision), MoveError> {
        if !self.is_there {
            return Ok((Standing::Unknown, 0));
        }
        match self.state.standing(account.as_str()).await {
            Err(StateError::Unreadable { revision, .. }) if is_replacing => Ok((Standing::Unknown, revision)),
            read => Ok(read?),
        }
    }

    /// Returns the token of the last record of an account's log; `None` if it has no records.
    pub(super) async fn last_token(&self, account: &BareJid) -> Result<Option<Token>, MoveError> {
        if !self.is_there {
            return Ok(None);
        }
        Ok(log::last_token(&self.link, &self.cluster, account.as_str()).await?)
    }
}
