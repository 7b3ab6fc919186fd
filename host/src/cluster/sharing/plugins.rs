//! The part of sharing for `plugins.toml` alone: nodes also share the components that it names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_base::id::Digest;
use parlor_cluster::Revision;
use parlor_config::Config;
use parlor_nats::SharedError;
use parlor_plugins::components::Components;
use parlor_plugins::policy::Policy;
use parlor_plugins::sharing;

use super::progress::{Progress, Sharing};
use super::{SharingError, blocking, files};
use crate::host::Host;

/// How long after an attempt components are asked for again.
const AGAIN: Duration = Duration::from_mins(1);

impl Sharing {
    /// Checks a policy that is to go to other nodes, and stores its components in the cluster.
    pub(super) async fn offer_policy(&self, config: &Arc<Config>, text: &str) -> Result<(), SharingError> {
        let policy = Arc::new(Policy::understand(text, &config.plugins)?);
        let (checked, data) = (Arc::clone(&policy), config.data.clone());
        blocking(move || sharing::check(&checked, &Components::new(&data))).await??;
        self.store_all(config, &policy).await
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

    /// Checks a policy of another node, and fetches its components. Returns why it cannot be used here.
    pub(super) async fn prepare_policy(
        &self,
        config: &Arc<Config>,
        text: &str,
    ) -> Result<Result<(), String>, SharingError> {
        let policy = match Policy::understand(text, &config.plugins) {
            Ok(policy) => policy,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if let Err(error) = sharing::runs_no_program(&policy) {
            return Ok(Err(error.to_string()));
        }
        // Components come first, so that plugins are started once. The policy counts without them, too: it may revoke.
        self.fetch(config, Arc::new(policy)).await?;
        Ok(Ok(()))
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
    /// stored. Components that are neither there nor here are a trouble of those nodes that lack them. If this node has just published
    /// that version, the components that no version needs are removed.
    pub(super) async fn have_stored(
        &self,
        config: &Config,
        text: &str,
        published: Option<Revision>,
    ) -> Result<(), SharingError> {
        let policy = Arc::new(Policy::understand(text, &config.plugins)?);
        match self.store_all(config, &policy).await {
            Err(SharingError::Unshareable(error)) => tracing::debug!(%error, "a component is not in the cluster"),
            stored => stored?,
        }
        if let Some(revision) = published {
            let (shared, used) = (self.shared.clone(), sharing::named(&policy).into_keys().collect::<BTreeSet<_>>());
            // Nobody waits for that, least of all a node that starts.
            tokio::spawn(async move {
                if let Err(error) = shared.clean(revision, &used).await {
                    tracing::debug!(%error, "what no version needs stays in NATS until the next one");
                }
            });
        }
        Ok(())
    }

    /// Fetches the components that this node lacks, if they are new or were asked for long ago. Returns why some are not here.
    pub(super) async fn complete(
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
}

/// Says which plugins lack a component, and why.
fn not_here(policy: &Policy, digest: &Digest, error: &SharedError) -> String {
    let ids = sharing::named(policy).remove(digest).unwrap_or_default();
    let ids = ids.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("this node does not have the component of {ids}: {error}")
}
