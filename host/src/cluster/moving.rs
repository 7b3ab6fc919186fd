//! Moves the accounts of a host that is stopped into its cluster, and out of it, and removes accounts from the cluster.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;

use jid::BareJid;
use parlor_base::escape::EscapedPath as _;
use parlor_cluster::Timing;
use parlor_config::{AccountName, Config};
use parlor_nats::{Export, ExportLook, Import, Look, Looker, MoveError, Mover, Removal, Remover, Step};
use parlor_runtime::audited::retention;
use parlor_store::{AuditFile, AuditKind, By, DataError, DataFile, NewAuditEntry};

use super::connecting::{self, ClusterStartError};
use crate::host::StartError;
use crate::host::lock::lock;

/// The reason why accounts are not moved.
#[derive(Debug, thiserror::Error)]
pub enum MovingError {
    /// The configuration names no cluster.
    #[error("{} names no cluster: write [cluster] into it", .0.escaped())]
    NoCluster(PathBuf),
    /// A host runs, or the data folder cannot be used.
    #[error(transparent)]
    Data(#[from] StartError),
    /// The file of the host cannot be used.
    #[error(transparent)]
    File(#[from] DataError),
    /// The cluster cannot be reached.
    #[error(transparent)]
    Cluster(#[from] ClusterStartError),
    /// An account was not moved.
    #[error(transparent)]
    Move(#[from] MoveError),
}

/// The accounts of a host that is stopped. It cannot be started meanwhile.
#[derive(Debug)]
pub struct Moving {
    mover: Mover,
    file: DataFile,
    config: Config,
    by: By,
    cluster: String,
    _lock: File,
}

impl Moving {
    /// Locks the data folder, and connects to the cluster. Fails if the host runs. `by` is for the audit.
    pub async fn begin(config: &Config, by: By) -> Result<Self, MovingError> {
        let Some(section) = &config.cluster else { return Err(MovingError::NoCluster(config.path.clone())) };
        // First: nothing is to be changed in NATS if the host runs.
        let lock = lock(&config.data)?;
        let file = DataFile::create(&config.data)?;
        let (settings, name) = connecting::settings(section).await?;
        let mover = Mover::open(&settings, &name, Timing::default(), &config.data).await?;
        Ok(Self { mover, file, config: config.clone(), by, cluster: section.name.clone(), _lock: lock })
    }

    /// Returns why what the cluster has of an account cannot be read; `None` if it can, or if there is nothing.
    pub async fn damage(&self, jid: &BareJid) -> Result<Option<String>, MovingError> {
        Ok(self.mover.damage(jid).await?)
    }

    /// Moves an account into the cluster. `told` hears of each step.
    pub async fn import(
        &mut self,
        name: &AccountName,
        jid: &BareJid,
        is_replacing: bool,
        mut told: impl FnMut(Step),
    ) -> Result<Import, MovingError> {
        let mut progress = |step| {
            told(step);
            ControlFlow::Continue(())
        };
        let done = self.mover.import(&mut self.file, jid, is_replacing, &mut progress).await?;
        if matches!(done, Import::Moved { .. }) {
            self.record(Some(name), &format!("{jid} moved into a cluster"))?;
        }
        Ok(done)
    }

    /// Moves an account out of the cluster. `told` hears of each step.
    pub async fn export(
        &mut self,
        name: &AccountName,
        jid: &BareJid,
        is_replacing: bool,
        mut told: impl FnMut(Step),
    ) -> Result<Export, MovingError> {
        let mut progress = |step| {
            told(step);
            ControlFlow::Continue(())
        };
        let done = self.mover.export(&mut self.file, jid, is_replacing, &mut progress).await?;
        self.record(Some(name), &format!("{jid} moved out of a cluster"))?;
        Ok(done)
    }

    fn record(&self, name: Option<&AccountName>, what: &str) -> Result<(), DataError> {
        record(&self.config, &self.by, name, what, &self.cluster)
    }
}

/// Looks at what an import or an export would do, while the host is stopped. It writes nothing to NATS.
#[derive(Debug)]
pub struct MovePreview {
    looker: Looker,
    file: DataFile,
    _lock: File,
}

impl MovePreview {
    /// Locks the data folder, and connects to the cluster. Fails if the host runs.
    pub async fn begin(config: &Config) -> Result<Self, MovingError> {
        let Some(section) = &config.cluster else { return Err(MovingError::NoCluster(config.path.clone())) };
        let lock = lock(&config.data)?;
        let file = DataFile::create(&config.data)?;
        let (settings, name) = connecting::settings(section).await?;
        let looker = Looker::open(&settings, &name, Timing::default()).await?;
        Ok(Self { looker, file, _lock: lock })
    }

    /// Returns what an import of an account would do.
    pub async fn look(&self, jid: &BareJid, is_replacing: bool) -> Result<Look, MovingError> {
        Ok(self.looker.look(&self.file, jid, is_replacing).await?)
    }

    /// Returns what an export of an account would do.
    pub async fn look_at_export(&self, jid: &BareJid, is_replacing: bool) -> Result<ExportLook, MovingError> {
        Ok(self.looker.look_at_export(&self.file, jid, is_replacing).await?)
    }
}

/// Removes an account from the cluster. The host may run.
#[derive(Debug)]
pub struct Removing {
    remover: Remover,
    config: Config,
    by: By,
    cluster: String,
}

impl Removing {
    /// Connects to the cluster. `by` is for the audit.
    pub async fn begin(config: &Config, by: By) -> Result<Self, MovingError> {
        let Some(section) = &config.cluster else { return Err(MovingError::NoCluster(config.path.clone())) };
        let (settings, name) = connecting::settings(section).await?;
        let remover = Remover::open(&settings, &name, Timing::default()).await?;
        Ok(Self { remover, config: config.clone(), by, cluster: section.name.clone() })
    }

    /// Returns what would be removed.
    pub async fn look(&self, jid: &BareJid) -> Result<Removal, MovingError> {
        Ok(self.remover.look(jid).await?)
    }

    /// Removes the account. A node that has it ends it at once.
    pub async fn remove(&self, jid: &BareJid) -> Result<(), MovingError> {
        self.remover.remove(jid, &mut |_| ControlFlow::Continue(())).await?;
        Ok(record(&self.config, &self.by, None, &format!("{jid} removed from a cluster"), &self.cluster)?)
    }
}

fn record(config: &Config, by: &By, account: Option<&AccountName>, what: &str, cluster: &str) -> Result<(), DataError> {
    let entry = NewAuditEntry::new(AuditKind::Account, by, what);
    let account = account.map(ToString::to_string);
    let entry = NewAuditEntry { account, new: Some(format!("cluster {cluster}")), ..entry };
    AuditFile::create(&config.data, retention(config))?.add(&[entry])
}
