//! `plugins.toml` with the components that it names, and `accounts.toml`, which all nodes of a cluster share.
//!
//! The file of each node stays what its owner, the commands and the host read and write. A node whose file has changed
//! makes it the next version of the cluster, unless another node came first. A node that has an earlier version writes the
//! present one into its file, and has the host read it. A change that came second is put aside.
//!
//! A version that no node of the cluster sealed changes nothing here, nor does one that is older than what this node had. The owner
//! decides then which file counts, by having the host of that node read it.
//!
//! A version that this parlor cannot read changes nothing here, and a file with a mistake goes nowhere.

mod accounts;
mod decide;
mod error;
mod files;
mod plugins;
mod progress;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parlor_base::id::Digest;
use parlor_config::{Config, ConfigFileError};
use parlor_nats::{Changes, Next, Shared, SharedError, SharedText, Standing, State, Version};
use parlor_plugins::policy::Policy;
use parlor_plugins::policy::file::EditError;
use tokio::sync::{Mutex, Notify};

use self::decide::{Base, File, Step, When, decide};
use self::progress::Progress;
use crate::host::{Host, comes, in_force, read_configuration_again};

pub use error::SharingError;
pub(crate) use progress::Sharing;

/// The version of this parlor.
const RELEASE: &str = env!("CARGO_PKG_VERSION");
/// How often the file and the version are compared at the latest.
pub(super) const LATEST: Duration = Duration::from_secs(10);
/// How often they are compared at a stretch, if one of them changes meanwhile.
const ATTEMPTS: usize = 5;
/// For how long a command whose change was put aside is told so.
const RECENT: Duration = Duration::from_secs(30);

impl Sharing {
    pub(super) fn new(shared: Shared, config: &Config, cluster: &str, node: &str) -> Self {
        let of = shared.of();
        let base = files::remembered(&config.data, of, cluster);
        let progress = Mutex::new(Progress { base, ..Progress::default() });
        let (cluster, node) = (cluster.to_owned(), node.to_owned());
        Self { shared, of, cluster, node, changed: Notify::new(), is_behind: AtomicBool::new(false), progress }
    }

    /// Returns the name of the file.
    pub(super) fn name(&self) -> &'static str {
        self.of.name()
    }

    /// Watches for versions of other nodes.
    pub(super) fn changes(&self) -> Changes {
        self.shared.changes()
    }

    /// Waits until the host has read a file that was changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns whether the file was not the present one when it was compared last, or could not be compared.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// Tells that the host has read a file that was changed.
    pub(super) fn read_again(&self) {
        self.changed.notify_one();
    }

    /// Takes the version of the cluster before the node takes accounts. A version that cannot be used is reported, and the
    /// node starts as it was.
    pub(super) async fn start(&self, host: &Host) -> Result<(), SharingError> {
        let settled = self.settle(host, When::Start).await;
        // No command waits to hear of a file that was put aside here. The log says so.
        self.progress.lock().await.conflict = None;
        match settled {
            Err(error) if error.is_passing() => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Compares after the owner had the host read its files.
    pub(super) async fn reloaded(&self, host: &Host) -> Result<(), SharingError> {
        self.settle(host, When::Reloaded).await
    }

    /// Compares because something may have changed.
    pub(super) async fn look(&self, host: &Host) {
        // An error was reported.
        let _ = self.settle(host, When::Looked).await;
    }

    /// Compares the file with the version of the cluster, and does what follows until both are the same.
    async fn settle(&self, host: &Host, when: When) -> Result<(), SharingError> {
        let progress = &mut *self.progress.lock().await;
        let settled = self.step_by_step(host, when, progress).await;
        self.is_behind.store(!matches!(settled, Ok(None)), Ordering::Relaxed);
        let trouble = match &settled {
            Ok(trouble) => trouble.clone(),
            Err(error) if error.is_passing() => {
                tracing::debug!(%error, "{} is compared with the cluster again soon", self.of.name());
                return settled.map(drop);
            }
            Err(error) => Some(error.to_string()),
        };
        self.tell(progress, trouble).await;
        let conflict = progress.conflict.take_if(|(_, at)| when == When::Reloaded || at.elapsed() > RECENT);
        match (settled, conflict) {
            (Ok(_), Some((conflict, at))) if at.elapsed() <= RECENT => Err(conflict),
            (settled, _) => settled.map(drop),
        }
    }

    /// Tells the log and the other nodes what this node has, if that is news.
    async fn tell(&self, progress: &mut Progress, trouble: Option<String>) {
        let base = progress.base.as_ref();
        let standing =
            Standing { revision: base.map(|base| base.revision), number: base.map(|base| base.number), trouble };
        if let Some(trouble) = &standing.trouble
            && progress.logged.as_ref() != Some(trouble)
        {
            tracing::error!("{trouble}");
        }
        progress.logged.clone_from(&standing.trouble);
        if progress.told.as_ref() == Some(&standing) {
            return;
        }
        // A report may also come through of which this node hears no answer.
        progress.told = None;
        match self.shared.report(&self.node, &standing).await {
            Ok(()) => progress.told = Some(standing),
            Err(error) => tracing::debug!(%error, "this node reports its version to the other nodes again soon"),
        }
    }

    /// Does one step after the other. Returns why something is not as it should be, although nothing failed.
    async fn step_by_step(
        &self,
        host: &Host,
        when: When,
        progress: &mut Progress,
    ) -> Result<Option<String>, SharingError> {
        let (mut is_published, mut is_taken) = (false, false);
        for _ in 0..ATTEMPTS {
            let (found, config) = (self.shared.version().await, host.config());
            let text = self.read(&config)?;
            let file = File::of(text.as_deref(), self.in_force(host), when);
            if let (Err(error), File::InForce(_), Some(text)) = (&found, file, &text)
                && let Some(after) = error.replaceable().filter(|_| when == When::Reloaded)
            {
                is_published |= self.publish(&config, progress, text, Next { after, number: 1 }).await?;
                continue;
            }
            let version = found?;
            let present = version.as_ref().map(|version| Base::of(&self.cluster, version));
            let has_file = text.is_some();
            match (decide(present.as_ref(), progress.base.as_ref(), file, when), version, text) {
                (Step::Publish, version, Some(text)) => {
                    is_published |= self.publish(&config, progress, &text, Next::of(version.as_ref())).await?;
                }
                (Step::Refuse { known }, Some(version), _) => {
                    return Err(SharingError::Older { file: self.of.name(), number: version.number, known });
                }
                (Step::Take { is_changed }, Some(version), text) => {
                    is_taken |= self.take(host, progress, text, &version, is_changed).await?;
                }
                (Step::InSync, Some(version), Some(text)) => {
                    self.remember(&config, progress, &version)?;
                    let is_lost = when == When::Reloaded && !self.shared.has_text(&version).await?;
                    if is_lost && matches!(file, File::InForce(_)) {
                        is_published |= self.publish(&config, progress, &text, Next::of(Some(&version))).await?;
                        continue;
                    }
                    if self.of == SharedText::Accounts {
                        return Ok(host.config_fault());
                    }
                    if is_published || when != When::Looked {
                        self.have_stored(&config, &text, is_published.then_some(version.revision)).await?;
                    }
                    return self.complete(host, progress, &text, is_taken || when == When::Start).await;
                }
                _ => return Ok(self.fault(host).filter(|_| has_file || self.of == SharedText::Plugins)),
            }
        }
        Err(SharingError::Busy(self.of.name()))
    }

    /// Returns the text of the file of this node; `None` if there is none.
    fn read(&self, config: &Config) -> Result<Option<String>, SharingError> {
        Ok(match self.of {
            SharedText::Plugins => Policy::read(&config.plugins)?,
            SharedText::Accounts => accounts::read(config)?,
        })
    }

    /// Returns the digest of the text that the host goes by.
    fn in_force(&self, host: &Host) -> Option<Digest> {
        match self.of {
            SharedText::Plugins => in_force(host),
            SharedText::Accounts => host.config().accounts_file.as_ref().map(|file| file.digest),
        }
    }

    /// Returns why the host does not go by the file of this node.
    fn fault(&self, host: &Host) -> Option<String> {
        match self.of {
            SharedText::Plugins => host.policy_fault(),
            SharedText::Accounts => host.config_fault(),
        }
    }

    /// Makes the file the version at this place, with a higher number if this node had one already. Returns false if another node
    /// came first.
    async fn publish(
        &self,
        config: &Arc<Config>,
        progress: &mut Progress,
        text: &str,
        next: Next,
    ) -> Result<bool, SharingError> {
        match self.of {
            SharedText::Plugins => self.offer_policy(config, text).await?,
            SharedText::Accounts => accounts::check(config, text)?,
        }
        // Also after NATS has lost its state, a version is never older than what this node had.
        let known = progress.base.as_ref().map_or(0, |base| base.number);
        let next = Next { number: next.number.max(known + 1), ..next };
        let Some(version) = self.shared.publish(text, next, &self.node, RELEASE).await? else { return Ok(false) };
        tracing::info!(version = version.number, "{} was given to the other nodes", self.of.name());
        self.remember(config, progress, &version)?;
        Ok(true)
    }

    /// Writes a version of another node into the file, and has the host read it. Returns false if the file changed meanwhile.
    async fn take(
        &self,
        host: &Host,
        progress: &mut Progress,
        present: Option<String>,
        version: &Version,
        is_changed: bool,
    ) -> Result<bool, SharingError> {
        let (config, text) = (host.config(), self.shared.text(version).await?);
        let prepared = match self.of {
            SharedText::Plugins => self.prepare_policy(&config, &text).await?,
            SharedText::Accounts => {
                let (config, text) = (Arc::clone(&config), text.clone());
                blocking(move || accounts::fits(&config, &text).map_err(|error| error.to_string())).await?
            }
        };
        prepared.map_err(|cause| {
            let Version { number, node, release, .. } = version.clone();
            SharingError::Unusable { file: self.of.name(), number, node, release, cause }
        })?;
        if self.of == SharedText::Plugins {
            comes(host, &text, format!("version {} of node {}", version.number, version.node));
        }
        let writing = {
            let (of, config) = (self.of, Arc::clone(&config));
            move || -> Result<_, SharingError> {
                Ok(match of {
                    SharedText::Plugins => files::take(&config, present.as_deref(), &text, is_changed)?,
                    SharedText::Accounts => accounts::take(&config, present.as_deref(), &text, is_changed)?,
                })
            }
        };
        let aside = match blocking(writing).await? {
            Ok(aside) => aside,
            Err(
                SharingError::Write(EditError::Changed(_)) | SharingError::WriteAccounts(ConfigFileError::Changed(_)),
            ) => return Ok(false),
            Err(error) => return Err(error),
        };
        self.remember(&config, progress, version)?;
        tracing::info!(version = version.number, node = %version.node, "{} came from another node", self.of.name());
        if let Some(aside) = aside {
            self.put_aside(progress, version, aside);
        }
        match self.of {
            SharedText::Plugins => host.reload().await?,
            SharedText::Accounts => read_configuration_again(host).await?,
        }
        Ok(true)
    }

    fn put_aside(&self, progress: &mut Progress, version: &Version, aside: PathBuf) {
        let (file, node, number) = (self.of.name(), version.node.clone(), version.number);
        let conflict = SharingError::Conflict { file, node, number, aside };
        tracing::error!(node = %self.node, "{conflict}");
        progress.conflict = Some((conflict, Instant::now()));
    }

    fn remember(&self, config: &Config, progress: &mut Progress, version: &Version) -> Result<(), SharingError> {
        let base = Base::of(&self.cluster, version);
        if progress.base.as_ref() != Some(&base) {
            files::remember(&config.data, self.of, &base).map_err(SharingError::Data)?;
            progress.base = Some(base);
        }
        Ok(())
    }
}

/// Does something that waits for the disk.
async fn blocking<T: Send + 'static>(doing: impl FnOnce() -> T + Send + 'static) -> Result<T, SharingError> {
    tokio::task::spawn_blocking(doing).await.map_err(|error| SharingError::Task(error.to_string()))
}

/// Tells the other nodes that this one goes by its own files.
pub(super) async fn goes_alone(state: &State, node: &str) -> Result<(), SharedError> {
    let standing = Standing { revision: None, number: None, trouble: None };
    let shared = Shared::open(state, SharedText::Plugins).await?;
    for of in SharedText::ALL {
        shared.about(of).report(node, &standing).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
