//! The data that plugins store in a cluster.

use std::sync::{Mutex, PoisonError};

use parlor::cluster::Reading;
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_config::{AccountConfig, AccountName, Config};
use parlor_store::{DataFile, Owner, StoredValue};

use crate::{target, wait_for};

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
        Ok::<_, anyhow::Error>(())
    })??;
    if let Some(left) = left_here(config, plugin)? {
        target::say(&format!("parlor: {left}"));
    }
    Ok(())
}

/// Says on which accounts a plugin keeps something in the file of this host, which the cluster does not have before an import.
fn left_here(config: &Config, plugin: &PluginId) -> anyhow::Result<Option<String>> {
    let (Some(section), Some(file)) = (&config.cluster, DataFile::open(&config.data)?) else { return Ok(None) };
    let mut names = Vec::new();
    for (name, account) in &config.accounts {
        let owner = Owner { account: account.link.jid.to_bare(), plugin: plugin.clone() };
        // The first entry is enough.
        if file.each(&owner, |_| Err(()))?.is_err() {
            names.push(name);
        }
    }
    let Some(first) = names.first() else { return Ok(None) };
    let others = match names.len() - 1 {
        0 => String::new(),
        1 => " and 1 other account".to_owned(),
        count => format!(" and {count} other accounts"),
    };
    Ok(Some(format!(
        "what {plugin} keeps on {first}{others} is still in the data folder {} of this host, and not in the cluster {}: stop the host, and \
         run parlor cluster import",
        config.data.escaped(),
        section.name
    )))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use parlor_config::Overrides;

    use super::*;

    #[test]
    fn data_that_is_not_imported_yet_is_said_to_be_here() {
        let folder = tempfile::tempdir().unwrap();
        let account = |name: &str| format!("[account.{name}]\njid = \"{name}@b.example\"\npassword_env = \"NONE\"\n");
        let cluster = "[cluster]\nnats = \"nats://127.0.0.1:4222\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
        let text = account("main") + &account("second") + cluster;
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        let config = Config::parse(&folder.path().join("parlor.toml"), &text, &overrides).unwrap();
        let plugin = "echo".parse().unwrap();
        assert_eq!(left_here(&config, &plugin).unwrap(), None, "there is no data folder");
        fs::create_dir(&config.data).unwrap();
        let mut file = DataFile::create(&config.data).unwrap();
        assert_eq!(left_here(&config, &plugin).unwrap(), None);
        for (name, others) in [("second", ""), ("main", " and 1 other account")] {
            let account = config.accounts[&name.parse().unwrap()].link.jid.to_bare();
            let owner = Owner { account, plugin: plugin.clone() };
            let value = StoredValue { key: "a".to_owned(), value: b"b".to_vec(), expires: None };
            file.import(1024, vec![(owner, vec![value])]).unwrap();
            let left = left_here(&config, &plugin).unwrap().unwrap();
            assert!(left.starts_with(&format!("what echo keeps on {name}{others} is still in ")), "{left}");
            assert!(left.ends_with("not in the cluster bots: stop the host, and run parlor cluster import"), "{left}");
        }
        assert_eq!(left_here(&config, &"other".parse().unwrap()).unwrap(), None);
    }
}
