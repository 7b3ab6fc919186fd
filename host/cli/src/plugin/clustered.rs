//! The data that plugins store in a cluster.

use parlor::cluster::Reading;
use parlor_base::id::PluginId;
use parlor_config::{AccountName, Config};
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
