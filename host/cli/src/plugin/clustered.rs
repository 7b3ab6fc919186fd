//! The data that plugins store in a cluster.

use std::sync::{Mutex, PoisonError};

use parlor::cluster::Reading;
use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, AccountName, Config};
use parlor_store::StoredValue;

use crate::wait_for;

/// Passes each stored entry of a plugin on the configured accounts to `with`, wherever these run.
pub(super) fn each_kept(
    config: &Config,
    plugin: &PluginId,
    mut with: impl FnMut(&AccountName, StoredValue) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    wait_for(async {
        let Some(reading) = Reading::begin(config).await? else { return Ok(()) };
        for (name, account) in &config.accounts {
            let jid = account.link.jid.to_bare();
            if let Some(file) = reading.account(&jid).await? {
                file.each(plugin, |kept| with(name, kept))??;
            }
            reading.forget(&jid).await?;
        }
        Ok(())
    })?
}

/// Held while the window reads an account: all readers of a process share a folder, and each may fetch a large account.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Passes what a plugin keeps on an account to `with`, in the order of the keys, until `with` has enough.
pub(crate) fn each_on(
    config: &Config,
    plugin: &PluginId,
    account: &AccountConfig,
    mut with: impl FnMut(StoredValue) -> bool,
) -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    wait_for(async {
        let Some(reading) = Reading::begin(config).await? else { return Ok(()) };
        let jid = account.link.jid.to_bare();
        if let Some(file) = reading.account(&jid).await? {
            // Ending early is not a failure.
            let _ = file.each(plugin, |kept| if with(kept) { Ok(()) } else { Err(()) })?;
        }
        reading.forget(&jid).await?;
        Ok(())
    })?
}
