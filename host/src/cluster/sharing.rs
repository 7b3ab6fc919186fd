//! `plugins.toml` and the components that it names, which all nodes of a cluster share.
//!
//! The file of each node stays what its owner, the commands and the host read and write. A node whose file has changed
//! makes it the next version of the cluster, unless another node came first. A node that has an earlier version writes the
//! present one into its file, with the components, and has the host read it. A change that came second is put aside.
//!
//! A version that no node of the cluster sealed changes nothing here, nor does one that is older than what this node had. The owner
//! decides then which file counts, by having the host of that node read it.
//!
//! A version that this parlor cannot read changes nothing here, and a file with a mistake goes nowhere.

mod decide;
mod error;
mod files;
mod progress;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_base::id::Digest;
use parlor_config::Config;
use parlor_nats::{Changes, Next, Shared, SharedError, Standing, State, Version};
use parlor_plugins::components::Components;
use parlor_plugins::policy::Policy;
use parlor_plugins::policy::file::EditError;
use parlor_plugins::sharing;
use tokio::sync::{Mutex, Notify};

use self::decide::{Base, File, Step, When, decide};
use self::progress::Progress;
use crate::host::{Host, in_force};

pub use error::SharingError;
pub(crate) use progress::Sharing;

/// The version of this parlor.
const RELEASE: &str = env!("CARGO_PKG_VERSION");
/// How often the file and the version are compared at the latest.
pub(super) const LATEST: Duration = Duration::from_secs(10);
/// How often they are compared at a stretch, if one of them changes meanwhile.
const ATTEMPTS: usize = 5;
/// How long after an attempt components are asked for again.
const AGAIN: Duration = Duration::from_mins(1);
/// For how long a command whose change was put aside is told so.
const RECENT: Duration = Duration::from_secs(30);

impl Sharing {
    pub(super) async fn open(state: &State, config: &Config, cluster: &str, node: &str) -> Result<Self, SharedError> {
        let base = files::remembered(&config.data, cluster);
        let progress = Mutex::new(Progress { base, ..Progress::default() });
        let (cluster, node) = (cluster.to_owned(), node.to_owned());
        let shared = Shared::open(state).await?;
        Ok(Self { shared, cluster, node, changed: Notify::new(), progress })
    }

    /// Watches for versions of other nodes.
    pub(super) fn changes(&self) -> Changes {
        self.shared.changes()
    }

    /// Waits until the host has read a file that was changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
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
        let trouble = match &settled {
            Ok(trouble) => trouble.clone(),
            Err(error) if error.is_passing() => {
                tracing::debug!(%error, "plugins.toml is compared with the cluster again soon");
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
        if progress.told.as_ref() == Some(&standing) {
            return;
        }
        if let Some(trouble) = &standing.trouble
            && progress.told.as_ref().is_none_or(|told| told.trouble.as_ref() != Some(trouble))
        {
            tracing::error!("{trouble}");
        }
        match self.shared.report(&self.node, &standing).await {
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "the other nodes do not know what this one has"),
        }
        progress.told = Some(standing);
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
            let text = Policy::read(&config.plugins)?;
            let file = File::of(text.as_deref(), in_force(host), when);
            if let (Err(error), File::InForce(_), Some(text)) = (&found, file, &text)
                && let Some(after) = error.replaceable().filter(|_| when == When::Reloaded)
            {
                is_published |= self.publish(&config, progress, text, Next { after, number: 1 }).await?;
                continue;
            }
            let version = found?;
            let present = version.as_ref().map(|version| Base::of(&self.cluster, version));
            match (decide(present.as_ref(), progress.base.as_ref(), file, when), version, text) {
                (Step::Publish, version, Some(text)) => {
                    is_published |= self.publish(&config, progress, &text, Next::of(version.as_ref())).await?;
                }
                (Step::Refuse { known }, Some(version), _) => {
                    return Err(SharingError::Older { number: version.number, known });
                }
                (Step::Take { is_changed }, Some(version), text) => {
                    is_taken |= self.take(host, progress, text, &version, is_changed).await?;
                }
                (Step::InSync, Some(version), Some(text)) => {
                    self.remember(&config, progress, &version)?;
                    if is_published || when != When::Looked {
                        self.have_stored(&config, &text, is_published).await?;
                    }
                    return self.complete(host, progress, &text, is_taken || when == When::Start).await;
                }
                _ => return Ok(host.policy_fault()),
            }
        }
        Err(SharingError::Busy)
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
        let policy = Arc::new(Policy::understand(text, &config.plugins)?);
        let (checked, data) = (Arc::clone(&policy), config.data.clone());
        blocking(move || sharing::check(&checked, &Components::new(&data))).await??;
        self.store_all(config, &policy).await?;
        // Also after NATS has lost its state, a version is never older than what this node had.
        let known = progress.base.as_ref().map_or(0, |base| base.number);
        let next = Next { number: next.number.max(known + 1), ..next };
        let Some(version) = self.shared.publish(text, next, &self.node, RELEASE).await? else { return Ok(false) };
        tracing::info!(version = version.number, "plugins.toml was given to the other nodes");
        self.remember(config, progress, &version)?;
        Ok(true)
    }

    /// Stores the components that a policy names in the cluster, as far as they are not there.
    async fn store_all(&self, config: &Config, policy: &Arc<Policy>) -> Result<(), SharingError> {
        let named = sharing::named(policy);
        for digest in named.into_keys() {
            if self.shared.has(&digest).await? {
                continue;
            }
            let (policy, data) = (Arc::clone(policy), config.data.clone());
            let reading = move || {
                let ids = sharing::named(&policy).remove(&digest).unwrap_or_default();
                sharing::component(&policy, &ids, &Components::new(&data))
            };
            self.shared.keep(&blocking(reading).await??).await?;
        }
        Ok(())
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
        let unusable = |cause: String| {
            let Version { number, node, release, .. } = version.clone();
            SharingError::Unusable { number, node, release, cause }
        };
        let policy = Policy::understand(&text, &config.plugins).map_err(|error| unusable(error.to_string()))?;
        sharing::runs_no_program(&policy).map_err(|error| unusable(error.to_string()))?;
        // Components come first, so that plugins are started once. The policy counts without them, too: it may revoke.
        self.fetch(&config, Arc::new(policy)).await?;
        let writing = {
            let config = Arc::clone(&config);
            move || files::take(&config, present.as_deref(), &text, is_changed)
        };
        let aside = match blocking(writing).await? {
            Ok(aside) => aside,
            Err(EditError::Changed(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.remember(&config, progress, version)?;
        tracing::info!(version = version.number, node = %version.node, "plugins.toml came from another node");
        if let Some(aside) = aside {
            self.put_aside(progress, version, aside);
        }
        host.reload().await?;
        Ok(true)
    }

    fn put_aside(&self, progress: &mut Progress, version: &Version, aside: PathBuf) {
        let conflict = SharingError::Conflict { node: version.node.clone(), number: version.number, aside };
        tracing::error!(node = %self.node, "{conflict}");
        progress.conflict = Some((conflict, Instant::now()));
    }

    /// Fetches the components that are not here. Returns why some are still not.
    async fn fetch(&self, config: &Arc<Config>, policy: Arc<Policy>) -> Result<Option<String>, SharingError> {
        let (looked_at, of) = (Arc::clone(config), Arc::clone(&policy));
        let lacking: BTreeSet<Digest> = blocking(move || files::lacking(&looked_at, &of)).await?;
        let mut trouble = None;
        for digest in lacking {
            match self.shared.file(&digest).await {
                Ok(bytes) => {
                    let config = Arc::clone(config);
                    blocking(move || files::keep(&config, &bytes)).await??;
                }
                Err(error) => {
                    let is_silent = error.is_passing();
                    trouble = trouble.or_else(|| Some(not_here(&policy, &digest, &error)));
                    if is_silent {
                        break;
                    }
                }
            }
        }
        Ok(trouble)
    }

    /// Has the components in the cluster that its present version names: somebody may have removed them since they were
    /// stored. Components that are neither there nor here are a trouble of those nodes that lack them.
    async fn have_stored(&self, config: &Config, text: &str, is_published: bool) -> Result<(), SharingError> {
        let policy = Arc::new(Policy::understand(text, &config.plugins)?);
        match self.store_all(config, &policy).await {
            Err(SharingError::Unshareable(error)) => tracing::debug!(%error, "a component is not in the cluster"),
            stored => stored?,
        }
        if is_published {
            let mut used: BTreeSet<_> = sharing::named(&policy).into_keys().collect();
            used.insert(Digest::of(text.as_bytes()));
            if let Err(error) = self.shared.clean(&used).await {
                tracing::debug!(%error, "what no version needs stays in NATS until the next one");
            }
        }
        Ok(())
    }

    /// Fetches the components that this node lacks, if they are new or were asked for long ago. Returns why some are not here.
    async fn complete(
        &self,
        host: &Host,
        progress: &mut Progress,
        text: &str,
        is_new: bool,
    ) -> Result<Option<String>, SharingError> {
        let is_due = progress.lacking.as_ref().is_some_and(|(_, asked)| asked.elapsed() > AGAIN);
        if is_new || is_due {
            let config = host.config();
            let policy = Policy::understand(text, &config.plugins)?;
            let before = progress.lacking.take();
            let trouble = self.fetch(&config, Arc::new(policy)).await?;
            progress.lacking = trouble.map(|trouble| (trouble, Instant::now()));
            if before.is_some() && progress.lacking.is_none() {
                host.reload().await?;
            }
        }
        Ok(progress.lacking.as_ref().map(|(trouble, _)| trouble.clone()))
    }

    fn remember(&self, config: &Config, progress: &mut Progress, version: &Version) -> Result<(), SharingError> {
        let base = Base::of(&self.cluster, version);
        if progress.base.as_ref() != Some(&base) {
            files::remember(&config.data, &base).map_err(SharingError::Data)?;
            progress.base = Some(base);
        }
        Ok(())
    }
}

/// Says which plugins lack a component, and why.
fn not_here(policy: &Policy, digest: &Digest, error: &SharedError) -> String {
    let ids = sharing::named(policy).remove(digest).unwrap_or_default();
    let ids = ids.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("this node does not have the component of {ids}: {error}")
}

/// Does something that waits for the disk.
async fn blocking<T: Send + 'static>(doing: impl FnOnce() -> T + Send + 'static) -> Result<T, SharingError> {
    tokio::task::spawn_blocking(doing).await.map_err(|error| SharingError::Task(error.to_string()))
}

/// Tells the other nodes that this one goes by its own files.
pub(super) async fn goes_alone(state: &State, node: &str) -> Result<(), SharedError> {
    let standing = Standing { revision: None, number: None, trouble: None };
    Shared::open(state).await?.report(node, &standing).await
}

#[cfg(test)]
mod tests;
