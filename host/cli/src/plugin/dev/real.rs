//! A plugin under development on a real account: a separate host with only this plugin, and every request granted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parlor::control::client;
use parlor::control::views::Status;
use parlor::host::Host;
use parlor_authoring::plugin_test::ByHand;
use parlor_base::atomic::{self, Readers};
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::id::Digest;
use parlor_config::{AccountName, Config, Overrides};
use parlor_plugins::component::read;
use parlor_plugins::component::{Examined, examine};
use parlor_plugins::manifest::Manifest;
use parlor_plugins::secret::SecretSource;
use parlor_runtime::account::Connection;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::supervisor::State;
use parlor_runtime::threads::Threads;
use tempfile::TempDir;

use super::credentials;
use crate::run::leave_no_core;
use crate::target::no_account;

/// How long the account may take after its log-in until others see it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much is shown of a response from the control socket, in bytes.
const SHOWN: usize = 1 << 10;

/// The host of the plugin.
pub(super) struct Real {
    config: Config,
    account: AccountName,
    host: Option<Host>,
    running: Option<Digest>,
    /// A warning to show before the log-in.
    beside: Option<String>,
    /// The values of its credentials.
    credentials: BTreeMap<String, String>,
    /// The folder with its data and policy, deleted with this.
    folder: TempDir,
}

impl Real {
    /// Prepares a host for this account. It logs in only once there is a plugin.
    pub(super) fn at(config: &Path, account: &AccountName, by_hand: &ByHand) -> anyhow::Result<Self> {
        leave_no_core()?;
        let folder = tempfile::tempdir().context("no folder for what is kept can be made")?;
        let (data, plugins) = (folder.path().join("data"), folder.path().join("plugins.toml"));
        let mut config = Config::load(config, &Overrides::default())?;
        let Some(found) = config.accounts.get(account) else {
            let known: Vec<_> = config.accounts.keys().map(AccountName::as_str).collect();
            bail!("{}; known are {}", no_account(&config, account), known.join(", "));
        };
        // A host that does not answer is assumed not to use the account.
        let status = client::try_get::<Status>(&config.data, "/v1/status");
        let beside = status.and_then(|status| beside(&status, account, found.link.jid.is_full()));
        config.accounts.retain(|name, _| name == account);
        (config.data, config.plugins) = (data, plugins);
        if let Some(file) = &by_hand.ca_file {
            config.web.ca_file = Some(file.clone());
            for account in config.accounts.values_mut() {
                Arc::make_mut(&mut account.web).ca_file = Some(file.clone());
            }
        }
        let credentials = by_hand.credentials.clone();
        Ok(Self { config, account: account.clone(), host: None, running: None, beside, credentials, folder })
    }

    /// Returns a warning to show before the log-in: another host uses this account as well.
    pub(super) fn beside(&self) -> Option<&str> {
        self.beside.as_deref()
    }

    /// Runs this file in place of the previous one. None: it is already running.
    pub(super) async fn replace(&mut self, file: &Path) -> anyhow::Result<Option<Examined>> {
        let bytes = read(file)?;
        let examined = examine(&bytes).map_err(|error| anyhow::anyhow!("{}: {error}", file.escaped()))?;
        if self.running == Some(examined.digest) {
            return Ok(None);
        }
        // Copy it: the next build overwrites the file, and a file whose digest changed does not run.
        let copy = self.folder.path().join(format!("{}.wasm", examined.digest.to_hex()));
        let policy = policy(&examined.manifest, examined.digest, &copy, self.settings(&examined.manifest)?)?;
        let cannot = || format!("{} cannot be written", self.folder.path().escaped());
        fs::write(&copy, &bytes).and_then(|()| fs::write(&self.config.plugins, policy)).with_context(cannot)?;
        if let Some(host) = &self.host {
            host.reload().await?;
        } else {
            let threads = Threads::of_the_caller();
            self.host = Some(Host::start(self.config.clone(), Compiler::for_authors(), threads).await?);
        }
        let Some(host) = &self.host else { bail!("the host does not run; please report this") };
        host.settled().await;
        for plugin in host.status().await {
            if let Some(why) = plugin.not_replaced {
                bail!("{why}");
            }
            if let State::Refused(why) | State::Quarantined(why) = plugin.state {
                bail!("{}: {why}", plugin.id);
            }
        }
        if let Some(account) = host.account(&self.account) {
            let mut connection = account.connection();
            let settled = |now: &Connection| !matches!(now, Connection::Connecting | Connection::Offline);
            if let Ok(Connection::Failed(why) | Connection::Left(why) | Connection::Retrying(why)) =
                connection.wait_for(settled).await.map(|now| now.clone())
            {
                bail!("account {}: {why}", self.account);
            }
            // Messages sent before the account is available arrive later as history, which plugins do not answer. The
            // account becomes available after the roster arrives, and before chats are fetched.
            let _ = tokio::time::timeout(PATIENCE, account.until("chatBoxesFetched")).await;
        }
        self.running = Some(examined.digest);
        Ok(Some(examined))
    }

    /// Keeps the credentials in files that only this user can read, as `parlor plugin config` does. Returns the plugin's settings.
    fn settings(&self, manifest: &Manifest) -> anyhow::Result<toml::Table> {
        let mut settings = toml::Table::new();
        for name in credentials::secrets(manifest) {
            let Some(value) = self.credentials.get(name) else { continue };
            let file = self.folder.path().join(format!("{name}.secret"));
            atomic::write(&file, value.as_bytes(), Readers::Owner)
                .with_context(|| format!("{} cannot be written", file.escaped()))?;
            settings.insert(name.to_owned(), toml::Value::try_from(SecretSource::File(file).written())?);
        }
        Ok(settings)
    }

    /// Returns the hint for a user who wants to talk to the plugin.
    pub(super) fn invitation(&self) -> String {
        let jid = self.config.accounts.get(&self.account).map(|account| account.link.jid.to_bare().to_string());
        format!("write to {} with a client of yours; here, /quit ends", jid.unwrap_or_default())
    }

    /// Logs out.
    pub(super) async fn close(self) {
        if let Some(host) = self.host {
            host.stop().await;
        }
    }
}

/// Returns the warning if another host uses the same account; none if that has no effect. Only one client can have a
/// resource.
fn beside(status: &Status, account: &AccountName, names_resource: bool) -> Option<String> {
    let there = status.accounts.iter().find(|one| one.name == account.as_str())?;
    if !["connected", "connecting", "retrying"].contains(&there.connection.as_str()) {
        return None;
    }
    if names_resource {
        return Some(format!(
            "the host that runs here is on account {account}, too, and its `jid` names a resource, so that the server throws \
             out one of them: stop that host meanwhile, or write the `jid` without /RESOURCE"
        ));
    }
    let is_up = |state: &str| ["running", "parked", "waiting", "starting", "backing-off"].contains(&state);
    let ours =
        status.plugins.iter().filter(|one| one.account.as_deref() == Some(account.as_str()) && is_up(&one.state));
    let ids: Vec<_> = ours.map(|one| one.id.as_str()).collect();
    let first = escape_untrusted(ids.first()?, SHOWN);
    Some(format!(
        "the host that runs here is on account {account}, too, with {}: what people say reaches that host as well, and both \
         answer; `parlor plugin disable {first}` keeps one quiet meanwhile",
        escape_untrusted(&ids.join(", "), SHOWN)
    ))
}

/// Returns a policy with only this plugin, and every request granted.
fn policy(manifest: &Manifest, digest: Digest, file: &Path, settings: toml::Table) -> anyhow::Result<String> {
    let grants = manifest.permissions.iter().map(|(permission, one)| (permission.to_string(), one.scope.clone()));
    let entry = toml::Table::from_iter([
        ("source".to_owned(), file.to_string_lossy().into_owned().into()),
        ("digest".to_owned(), digest.to_string().into()),
        ("grants".to_owned(), grants.collect::<toml::Table>().into()),
        ("settings".to_owned(), settings.into()),
    ]);
    let plugins = toml::Table::from_iter([(manifest.name.to_string(), entry.into())]);
    let policy = toml::Table::from_iter([("plugin".to_owned(), toml::Value::from(plugins))]);
    toml::to_string(&policy).context("a policy")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(connection: &str, plugins: &[(&str, &str, &str)]) -> Status {
        let plugins: Vec<_> = plugins
            .iter()
            .map(|(id, account, state)| {
                serde_json::json!({
                    "id": id, "account": account, "state": state, "version": null, "digest": "", "source": "", "restarts": 0
                })
            })
            .collect();
        let account = serde_json::json!({ "name": "main", "jid": "bot@example.org", "connection": connection });
        let status = serde_json::json!({
            "running": true, "data": "data", "policy": "plugins.toml", "accounts": [account], "plugins": plugins
        });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn who_is_answered_twice_is_told_before_and_how_to_avoid_it() {
        let main: AccountName = "main".parse().unwrap();
        let plugins = [
            ("echo", "main", "running"),
            ("other", "second", "running"),
            ("repeat", "main", "backing-off"),
            ("quiet", "main", "disabled"),
        ];
        let says = beside(&status_of("connected", &plugins), &main, false).unwrap();
        assert!(says.contains("on account main, too, with echo, repeat: ") && says.contains("both answer"), "{says}");
        assert!(says.contains("`parlor plugin disable echo`"), "{says}");
        let many = vec![("\u{1b}[2Jp", "main", "running"); 1_000];
        let says = beside(&status_of("connected", &many), &main, false).unwrap();
        assert!(!says.contains('\u{1b}') && says.len() < 3 * SHOWN, "{says}");
        let says = beside(&status_of("connected", &[]), &main, true).unwrap();
        assert!(says.contains("throws out one of them") && says.contains("without /RESOURCE"), "{says}");
        for nothing in [
            beside(&status_of("connected", &plugins[1..2]), &main, false),
            beside(&status_of("failed", &plugins), &main, false),
            beside(&status_of("connected", &plugins), &"third".parse().unwrap(), true),
        ] {
            assert_eq!(nothing, None);
        }
    }
}
