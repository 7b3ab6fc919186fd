//! What a call between host and guest costs, beside the same call in bare wasmtime.
//!
//! One guest, `tests/guests/meter`, makes the calls in both. The house gives it its account, grants, limits and CPU
//! account; bare wasmtime answers with constants. What is left between them is what parlor adds.

mod bare;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor::config::{AccountName, Config, Overrides};
use parlor::event::{EventName, Payload};
use parlor::host::Host;
use parlor::plugins::{Compiler, InstanceId, State};
use parlor::session::Command;
use parlor_tests::plugins::{Built, built};

use crate::table::median;

/// One kind of call.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Which, such as `guest → host, plain`.
    pub(crate) name: &'static str,
    /// Nanoseconds for each, in the house.
    pub(crate) parlor: f64,
    /// Nanoseconds for each, with wasmtime and nothing else.
    pub(crate) bare: f64,
}

/// How often each is measured; medians count.
const ROUNDS: usize = 5;

/// A call that is measured: what the guest is told, and how often it makes it in one round.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    call: Call,
    times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// The guest makes it.
    ToHost(&'static str),
    /// The host delivers an event.
    ToGuest,
}

const KINDS: [Kind; 4] = [
    Kind { name: "guest → host, plain", call: Call::ToHost("plain"), times: 300_000 },
    Kind { name: "guest → host, async", call: Call::ToHost("async"), times: 100_000 },
    Kind { name: "guest → host, with a yield", call: Call::ToHost("yield"), times: 50_000 },
    Kind { name: "host → guest, an event", call: Call::ToGuest, times: 50_000 },
];

/// Measures them all. Takes a few seconds.
pub(crate) async fn rows() -> Result<Vec<Row>> {
    let plugin = built("meter")?;
    let mut bare = bare::Bare::new(&std::fs::read(&plugin.file)?).await?;
    let house = House::stand(&plugin).await?;
    let mut rows = Vec::new();
    for kind in KINDS {
        let (mut in_house, mut on_bare) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            in_house.push(each(house.run(kind).await?, kind));
            on_bare.push(each(bare.run(kind).await?, kind));
        }
        rows.push(Row { name: kind.name, parlor: median(in_house.into_iter()), bare: median(on_bare.into_iter()) });
    }
    house.host.stop().await;
    Ok(rows)
}

fn each(time: Duration, kind: Kind) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(kind.times)
}

/// What the guest is told to do.
fn order(call: &str, times: u32) -> String {
    serde_json::json!({ "call": call, "times": times }).to_string()
}

/// The host in this process, with an account that never connects.
struct House {
    host: Host,
    account: AccountName,
    _folder: tempfile::TempDir,
}

impl House {
    async fn stand(plugin: &Built) -> Result<Self> {
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
                "[plugin.meter]\nsource = {:?}\ndigest = \"{}\"\n[plugin.meter.limits]\n{limits}",
                plugin.file.display().to_string(),
                plugin.digest
            ),
        )?;
        let host = Host::start(Config::load(&file, &Overrides::default())?, Compiler::ThisProcess).await?;
        Ok(Self { host, account: "bench".parse()?, _folder: folder })
    }

    async fn run(&self, kind: Kind) -> Result<Duration> {
        let began = Instant::now();
        let before = self.handled().await?;
        let events = match kind.call {
            Call::ToHost(call) => {
                self.emit("measure", Payload::Json(order(call, kind.times).into())).await?;
                1
            }
            Call::ToGuest => {
                for _ in 0..kind.times {
                    self.emit("tick", Payload::None).await?;
                }
                kind.times
            }
        };
        while self.handled().await? < before + u64::from(events) {
            let handled = self.handled().await?.wrapping_sub(before);
            ensure!(began.elapsed() < Duration::from_secs(30), "{}: {handled} of {events} after 30 s", kind.name);
            tokio::task::yield_now().await;
        }
        Ok(began.elapsed())
    }

    async fn emit(&self, name: &str, payload: Payload) -> Result<()> {
        let account = self.host.account(&self.account).context("the account is configured")?;
        let (by, name) = (InstanceId::next(), EventName::from(name));
        Ok(account.ask(|answer| Command::Emit { by, name, payload, answer }).await?)
    }

    async fn handled(&self) -> Result<u64> {
        let status: BTreeMap<_, _> = self.host.status().await.into_iter().map(|one| (one.id.clone(), one)).collect();
        let meter = status.values().next().context("the meter is there")?;
        ensure!(meter.state == State::Running, "the meter does not run: {:?}", meter.state);
        Ok(meter.handled)
    }
}
