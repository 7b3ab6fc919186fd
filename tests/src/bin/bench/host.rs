//! A host in this process with the meter plugin and an account that never connects, for benchmarks without a server.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use parlor::host::Host;
use parlor_base::id::InstanceId;
use parlor_config::{AccountName, Config, Overrides};
use parlor_runtime::account::Asker;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::supervisor::State;
use parlor_runtime::threads::Threads;
use parlor_session::Emit;
use parlor_session::event::{EventName, Payload};
use parlor_session::permissions::Granted;
use parlor_tests::plugins::Built;

pub(crate) struct BenchHost {
    host: Host,
    account: AccountName,
    _folder: tempfile::TempDir,
}

impl BenchHost {
    /// Starts the host. The plugin's entry ends with the lines of `more`: limits, and then tables.
    pub(crate) async fn stand(plugin: &Built, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("parlor.toml");
        std::fs::write(
            &file,
            "[account.bench]\njid = \"bench@localhost\"\npassword_env = \"UNUSED\"\n[settings]\nauto_login = false\n",
        )?;
        let limits = "cpu_share = 1.0\ncpu_burst = \"60 s\"\ncpu_slice = \"60 s\"\nmailbox = 65536\n";
        std::fs::write(
            folder.path().join("plugins.toml"),
            format!(
                "[plugin.meter]\nsource = {:?}\ndigest = \"{}\"\n[plugin.meter.limits]\n{limits}{more}",
                plugin.file.display().to_string(),
                plugin.digest
            ),
        )?;
        let host = Host::start(
            Config::load(&file, &Overrides::default())?,
            Compiler::ThisProcess,
            // The caller emits events and waits for them: another thread would be woken up for each.
            Threads::of_the_caller(),
        )
        .await?;
        Ok(Self { host, account: "bench".parse()?, _folder: folder })
    }

    pub(crate) async fn emit(&self, name: &str, payload: Payload) -> Result<()> {
        let account = self.host.account(&self.account).context("the account is configured")?;
        let (by, name) = (InstanceId::next(), EventName::from(name));
        Ok(account.ask(Asker::Plugin(by), &Granted::HOST, Emit { by, name, payload }).await?)
    }

    /// Returns how many events the meter has handled.
    pub(crate) async fn handled(&self) -> Result<u64> {
        let status: BTreeMap<_, _> = self.host.status().await.into_iter().map(|one| (one.id.clone(), one)).collect();
        let meter = status.values().next().context("the meter is there")?;
        ensure!(meter.state == State::Running, "the meter does not run: {:?}", meter.state);
        Ok(meter.handled)
    }

    pub(crate) async fn stop(self) {
        self.host.stop().await;
    }
}
