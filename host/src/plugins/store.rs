//! From an entry of the policy to code that is ready to run: read, examined, admitted, compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::admission::{Admitted, Refusal, admit, may_run};
use super::component::{ComponentError, MAX_BYTES, examine};
use super::engine::{CompileError, Compiled, Engine};
use super::id::{Digest, PluginId};
use super::policy::Entry;
use crate::config::{AccountName, Settings};

/// A plugin that may run.
pub(crate) struct Loaded {
    /// What it was admitted as.
    pub admitted: Arc<Admitted>,
    /// Its code.
    pub compiled: Arc<Compiled>,
}

/// Why a plugin of the policy may not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// The file cannot be read.
    #[error("{path} cannot be read ({source}); put the plugin's file there, or correct its `source` in plugins.toml", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a plugin for this host.
    #[error("{path}: {source}", path = path.display())]
    Component {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ComponentError,
    },
    /// The owner's policy does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The policy names an account that is not configured.
    #[error(
        "plugins.toml wants it on the account {account}, which parlor.toml does not have; name one of {known} in `accounts` under [plugin.{id}], or add [account.{account}]"
    )]
    UnknownAccount {
        /// Which plugin.
        id: PluginId,
        /// The account that it is to run on.
        account: AccountName,
        /// Those that there are.
        known: String,
    },
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The host failed while it compiled.
    #[error("the compiler failed: {0}")]
    Compiler(String),
}

/// Reads, examines, admits and compiles what an entry names. Compiling takes long and runs off the runtime.
pub(crate) async fn load(
    id: &PluginId,
    entry: &Entry,
    settings: &Settings,
    engine: &Arc<Engine>,
) -> Result<Loaded, Unfit> {
    let (id, entry, settings, engine) = (id.clone(), entry.clone(), settings.clone(), Arc::clone(engine));
    let loading = tokio::task::spawn_blocking(move || {
        let (whitelist, blacklist) = (&settings.whitelisted_plugins, &settings.blacklisted_plugins);
        may_run(&id, &entry, whitelist, blacklist)?;
        let bytes = read(&entry.source)?;
        let found = Digest::of(&bytes);
        if found != entry.digest {
            // Before the file is even looked at: bytes that the owner did not approve are nobody's to parse.
            return Err(Refusal::DigestChanged { id, approved: entry.digest, found }.into());
        }
        let examined = examine(&bytes).map_err(|source| Unfit::Component { path: entry.source.clone(), source })?;
        let admitted = admit(&id, &entry, &examined, whitelist, blacklist)?;
        for warning in &admitted.warnings {
            tracing::warn!(plugin = %id, "{warning}");
        }
        let compiled = engine.compile(found, &bytes, admitted.wasi)?;
        Ok(Loaded { admitted: Arc::new(admitted), compiled })
    });
    loading.await.unwrap_or_else(|error| Err(Unfit::Compiler(error.to_string())))
}

/// Which of these files are still those that the owner approved. Reading takes long and runs off the runtime.
pub(crate) async fn unchanged(entries: BTreeMap<PluginId, Entry>) -> BTreeSet<PluginId> {
    let reading = tokio::task::spawn_blocking(move || {
        let is_unchanged = |entry: &Entry| read(&entry.source).is_ok_and(|bytes| Digest::of(&bytes) == entry.digest);
        entries.into_iter().filter(|(_, entry)| is_unchanged(entry)).map(|(id, _)| id).collect()
    });
    // What could not be read counts as changed, and is looked at anew.
    reading.await.unwrap_or_default()
}

fn read(path: &Path) -> Result<Vec<u8>, Unfit> {
    let unreadable = |source| Unfit::File { path: path.to_owned(), source };
    // Opening a pipe would wait for somebody to write into it.
    let file = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is not a file")));
    }
    let mut bytes = Vec::new();
    // One more than allowed, so that a file that is too large is seen to be.
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
