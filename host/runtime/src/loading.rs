//! Turns an entry of the policy into code that is ready to run.

use std::sync::Arc;

use parlor_base::id::PluginId;
use parlor_config::Settings;
use parlor_plugins::admission::Admitted;
use parlor_plugins::approved::{self, Found, ReadFiles, Unfit, admitted};
use parlor_plugins::components::Components;
use parlor_plugins::policy::Entry;
use parlor_plugins::secret::{self, SecretError};

use crate::compiler::CompileError;
use crate::engine::{Compiled, Engine, Origin};

/// The reason why a plugin of the policy cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It may not run.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// One of its secrets cannot be read.
    #[error("the secret {name} of {id} is unavailable: {cause}; `parlor plugin config {id} {name}` stores another")]
    Secret {
        /// The plugin's id.
        id: PluginId,
        /// The setting's name.
        name: String,
        /// The reason.
        cause: SecretError,
    },
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl LoadError {
    /// Returns whether the owner does not allow it to run.
    pub fn forbids(&self) -> bool {
        matches!(self, Self::Unfit(unfit) if unfit.forbids())
    }

    /// Returns whether trying the same bytes again would fail again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Compile(error) if matches!(error, CompileError::Link(_)) || error.again().is_some())
    }
}

/// A plugin that may run.
#[derive(Clone)]
pub struct Loaded {
    /// The result of admission.
    pub admitted: Arc<Admitted>,
    /// The compiled code.
    pub compiled: Arc<Compiled>,
}

/// Components of at least this size take seconds to compile, so that is logged first.
const LARGE: usize = 1024 * 1024;

/// A plugin that may run, prepared as far as possible without the compiler.
pub enum Prepared {
    /// Its machine code was available.
    Ready(Loaded),
    /// It must be compiled.
    Uncompiled {
        /// The result of admission.
        admitted: Arc<Admitted>,
        /// The size of its file in bytes.
        size: usize,
    },
}

/// Reads, examines, admits and compiles the plugin of an entry. Slow work runs off the runtime, and a file that is among `files`
/// is not read again. `found` is told the result of the admission, before anything is compiled and before secrets are read.
pub async fn load(
    id: &PluginId,
    entry: &Entry,
    settings: &Settings,
    engine: &Arc<Engine>,
    components: &Components,
    files: &mut ReadFiles,
    found: impl FnOnce(&Admitted),
) -> Result<Loaded, LoadError> {
    let Found { admitted, size, bytes } = admitted(id, entry, settings, components, files).await?;
    found(&admitted);
    warn(&admitted);
    let (compiled, origin) = if let Some(known) = engine.at_hand(entry.digest, admitted.needs).await? {
        known
    } else {
        if size >= LARGE {
            tracing::info!(plugin = %id, size, "compiling plugin, which may take a while");
        }
        // The bytes were not kept if another plugin of the file was loaded before, whose code is gone by now.
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => approved::bytes(id, entry, components).await?,
        };
        engine.compile(entry.digest, bytes, admitted.needs).await?
    };
    with_secrets(admitted, compiled, origin).await
}

/// Does the same without the compiler. A plugin that is not compiled yet stays so.
pub async fn prepare(
    id: &PluginId,
    entry: &Entry,
    settings: &Settings,
    engine: &Arc<Engine>,
    components: &Components,
    files: &mut ReadFiles,
    found: impl FnOnce(&Admitted),
) -> Result<Prepared, LoadError> {
    let Found { admitted, size, bytes } = admitted(id, entry, settings, components, files).await?;
    // The start of a host prepares many plugins.
    drop(bytes);
    found(&admitted);
    let Some((compiled, origin)) = engine.at_hand(entry.digest, admitted.needs).await? else {
        return Ok(Prepared::Uncompiled { admitted: Arc::new(admitted), size });
    };
    warn(&admitted);
    with_secrets(admitted, compiled, origin).await.map(Prepared::Ready)
}

fn warn(admitted: &Admitted) {
    for warning in &admitted.warnings {
        tracing::warn!(plugin = %admitted.id, "{warning}");
    }
}

async fn with_secrets(mut admitted: Admitted, compiled: Arc<Compiled>, origin: Origin) -> Result<Loaded, LoadError> {
    match origin {
        Origin::Compiler => tracing::info!(plugin = %admitted.id, digest = admitted.digest.short(), "plugin compiled"),
        Origin::Cache => {
            tracing::debug!(plugin = %admitted.id, digest = admitted.digest.short(), "plugin found in the compile cache");
        }
        Origin::Shared => {}
    }
    let opened = secret::opened_with_rooms(&admitted.settings, &admitted.settings_in, &admitted.manifest).await;
    (admitted.settings, admitted.settings_in) =
        opened.map_err(|(name, cause)| LoadError::Secret { id: admitted.id.clone(), name, cause })?;
    Ok(Loaded { admitted: Arc::new(admitted), compiled })
}
