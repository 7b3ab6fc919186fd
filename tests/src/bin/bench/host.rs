//! A host in this process with the meter plugin and an account that never connects, for benchmarks without a server.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use parlor::cluster::Cluster;
use parlor::host::Host;
use parlor_base::id::InstanceId;
use parlor_config::{Config, Overrides};
use parlor_runtime::account::Asker;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::instance::Instance;
use parlor_runtime::threads::Threads;
use parlor_session::Emit;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::permissions::Granted;
use parlor_tests::folder::write_private;
use parlor_tests::nats::{CLUSTER_KEY, KEY_FILE, Nats};
use parlor_tests::plugins::Built;

/// How long what is measured may take.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct BenchHost {
    host: Arc<Host>,
    node: Option<Cluster>,
    meter: Arc<Instance>,
    _folder: tempfile::TempDir,
}

impl BenchHost {
    /// Starts the host. The plugin's entry ends with the lines of `more`: limits, and then tables.
    pub(crate) async fn stand(plugin: &Built, more: &str) -> Result<Self> {
        Self::begin(plugin, more, "").await
    }

    /// Starts the host as the only node of a cluster.
    pub(crate) async fn stand_in_cluster(plugin: &Built, more: &str, nats: &Nats) -> Result<Self> {
        let nats = nats.address();
        let section =
            format!("[cluster]\nnats = \"{nats}\"\nname = \"bench\"\nnode = \"one\"\nkey_file = \"{KEY_FILE}\"\n");
        Self::begin(plugin, more, &section).await
    }

    /// Starts the host with more sections in its configuration.
    async fn begin(plugin: &Built, more: &str, sections: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("parlor.toml");
        write_private(&folder.path().join(KEY_FILE), CLUSTER_KEY.as_bytes())?;
        std::fs::write(
            &file,
            format!(
                "[account.bench]\njid = \"bench@localhost\"\npassword_env = \"UNUSED\"\n[settings]\nauto_login = false\n{sections}"
            ),
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
            Compiler::ThisProcess { optimized: true },
            // The caller emits events and waits for them: another thread would be woken up for each.
            Threads::of_the_caller(),
        )
        .await?;
        let host = Arc::new(host);
        let node = Cluster::start(&host).await?;
        let (began, plugin, account) = (Instant::now(), "meter".parse()?, "bench".parse()?);
        let meter = loop {
            if let Some(meter) = host.instance(&plugin, &account).await {
                break meter;
            }
            // A node gets its accounts soon.
            ensure!(node.is_some() && began.elapsed() < LIMIT, "the meter does not run");
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        Ok(Self { host, node, meter, _folder: folder })
    }

    pub(crate) async fn emit(&self, name: &str, payload: Payload) -> Result<()> {
        emit(&self.meter, name, payload).await
    }

    /// Emits an event without a payload this many times, each after the one before was carried out. A task does so, as the
    /// tasks of plugins do in a host: each time the future that `block_on` polls is woken, the runtime makes a system call.
    pub(crate) async fn emit_times(&self, name: &'static str, times: u32) -> Result<()> {
        let meter = Arc::clone(&self.meter);
        let emitting = tokio::spawn(async move {
            for _ in 0..times {
                emit(&meter, name, Payload::None).await?;
            }
            anyhow::Ok(())
        });
        emitting.await?
    }

    /// Lets the router decide that the meter gets an event.
    pub(crate) fn route(&self, name: &str) {
        let account = &self.meter.account;
        let event = Event { name: EventName::from(name), at: account.clock.now(), payload: Payload::None };
        account.router.route(event, account.router.live(), &|_| false);
    }

    /// Returns how many events the meter has handled.
    pub(crate) fn handled(&self) -> u64 {
        self.meter.counters.handled.load(Relaxed)
    }

    /// Waits until the meter has handled this many events. It looks each millisecond, and what is measured takes at least
    /// twenty of them.
    pub(crate) async fn until_handled(&self, events: u64) -> Result<()> {
        let began = Instant::now();
        while self.handled() < events {
            ensure!(began.elapsed() < LIMIT, "{} of {events} events handled after {LIMIT:?}", self.handled());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    pub(crate) async fn stop(self) {
        if let Some(node) = self.node {
            node.leave().await;
        }
        if let Some(host) = Arc::into_inner(self.host) {
            host.stop().await;
        }
    }
}

/// Emits an event in the name of an instance that does not exist, and waits until that is carried out.
async fn emit(meter: &Instance, name: &str, payload: Payload) -> Result<()> {
    let (by, name) = (InstanceId::next(), EventName::from(name));
    Ok(meter.account.ask(Asker::Plugin(by), &Granted::HOST, Emit { by, name, payload }).await?)
}
