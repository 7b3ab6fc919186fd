//! Removes an account from the cluster, with its log and snapshots.

use jid::BareJid;
use parlor_cluster::Revision;

use super::{MoveError, Progress, Remover, Step, highest, tell};
use crate::away::{Away, Standing};

/// The data that the removal of an account would remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The name of the node that has it, if one has.
    pub node: Option<String>,
    /// Why no node may run it, if so.
    pub away: Option<Away>,
    /// Why what is removed cannot be read, if so.
    pub damage: Option<String>,
    /// The number of its snapshots, also of those that nobody needs.
    pub snapshots: usize,
    /// The size of the snapshots.
    pub bytes: u64,
}

impl Remover {
    /// Returns what a removal would remove. It changes nothing.
    pub async fn look(&self, account: &BareJid) -> Result<Removal, MoveError> {
        let (standing, _) = self.find(account).await?;
        let (mut node, mut away) = (None, None);
        match &standing {
            Standing::Claimed(claim) => match self.looker.check_free(account, claim).await {
                Err(MoveError::Held { node: holder, .. }) => node = Some(holder),
                free => free?,
            },
            Standing::Away { why, .. } => away = Some(*why),
            Standing::Unknown => {}
        }
        let (snapshots, bytes) = self.snapshots.sizes(account.as_str()).await?;
        let damage = self.looker.damage(account).await?;
        Ok(Removal { node, away, damage, snapshots, bytes })
    }

    /// Removes an account, also if nothing of it can be read. A node that has it ends it at once.
    pub async fn remove(&self, account: &BareJid, progress: &mut Progress<'_>) -> Result<(), MoveError> {
        let (standing, revision) = self.find(account).await?;
        let token = highest(&standing, self.looker.last_token(account).await?);
        let revision = self.reserve(account, (Away::Removing, token, ""), revision).await?;
        tell(progress, Step::Reserved)?;
        self.empty(account, token, progress).await?;
        self.reserve(account, (Away::Removed, token, ""), revision).await?;
        tell(progress, Step::Told)
    }

    async fn find(&self, account: &BareJid) -> Result<(Standing, Revision), MoveError> {
        let (standing, revision) = self.looker.standing(account, true).await?;
        let is_known = match &standing {
            // With a revision, its record cannot be read.
            Standing::Unknown => revision > 0 || self.looker.last_token(account).await?.is_some(),
            // After that of one that was exported, nodes may add it again.
            Standing::Away { why, .. } => *why != Away::Removed,
            Standing::Claimed(_) => true,
        };
        let unknown = || MoveError::Unknown { account: account.clone(), cluster: self.looker.cluster.to_string() };
        if is_known { Ok((standing, revision)) } else { Err(unknown()) }
    }
}
