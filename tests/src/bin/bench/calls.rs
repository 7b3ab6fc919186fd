//! Measures the cost of a call between host and guest, beside the same call in bare wasmtime.
//!
//! One guest, `tests/guests/meter`, makes the calls in both. The host adds its account, grants, limits and CPU
//! accounting. Bare wasmtime answers with constants. The difference is what parlor adds.

mod bare;

use std::time::{Duration, Instant};

use anyhow::Result;
use parlor_session::event::Payload;
use parlor_tests::plugins::built;
use tokio::runtime::Builder;
use xtask::Part;

use crate::host::BenchHost;
use crate::row::{Goal, Row, Unit, median};

/// How often each kind is measured; the medians are reported.
const ROUNDS: usize = 5;

/// A kind of call to measure: the guest's order, the number of calls in one round, and how many times as long as in bare
/// wasmtime it may take.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    call: Call,
    times: u32,
    most: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// The guest calls the host.
    ToHost(&'static str),
    /// The router decides that the guest gets an event. Measured from then on.
    ToGuest,
    /// A task emits an event to which the guest listens, and waits until the account's task has carried that out.
    Emitted,
}

/// The number of events that the router decides about before they are handled.
const BATCH: u32 = 10_000;

const KINDS: [Kind; 5] = [
    Kind { name: "guest → host, plain", call: Call::ToHost("plain"), times: 300_000, most: 1.0 },
    Kind { name: "guest → host, async", call: Call::ToHost("async"), times: 100_000, most: 1.25 },
    Kind { name: "guest → host, with a yield", call: Call::ToHost("yield"), times: 50_000, most: 1.1 },
    Kind { name: "router → guest, an event", call: Call::ToGuest, times: 50_000, most: 1.5 },
    Kind { name: "emit → guest, an event", call: Call::Emitted, times: 50_000, most: 2.5 },
];

/// Measures all kinds, which takes a few seconds, on a thread like those on which accounts run with their plugins.
pub(crate) async fn rows() -> Result<Vec<Row>> {
    tokio::task::spawn_blocking(|| Builder::new_current_thread().enable_all().build()?.block_on(measured())).await?
}

async fn measured() -> Result<Vec<Row>> {
    let plugin = built("meter")?;
    let mut bare = bare::Bare::new(&std::fs::read(&plugin.file)?).await?;
    let host = BenchHost::stand(&plugin, "").await?;
    let mut rows = Vec::new();
    for kind in KINDS {
        let (mut in_host, mut on_bare) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            in_host.push(each(run(&host, kind).await?, kind));
            on_bare.push(each(bare.run(kind).await?, kind));
        }
        let (in_host, on_bare) = (median(in_host.into_iter()), median(on_bare.into_iter()));
        let row = Row::alone(Part::Calls, kind.name, in_host, Unit::Nanos);
        rows.push(row.beside("bare", on_bare).goal(Goal::AtMost(kind.most)));
    }
    host.stop().await;
    Ok(rows)
}

/// Returns how long the host takes for all calls of one round.
async fn run(host: &BenchHost, kind: Kind) -> Result<Duration> {
    match kind.call {
        Call::ToHost(call) => {
            let began = Instant::now();
            let handled = host.handled();
            host.emit("measure", Payload::Json(order(call, kind.times).into())).await?;
            host.until_handled(handled + 1).await?;
            Ok(began.elapsed())
        }
        Call::ToGuest => {
            let mut took = Duration::ZERO;
            for _ in 0..kind.times / BATCH {
                let handled = host.handled();
                (0..BATCH).for_each(|_| host.route("tick"));
                let began = Instant::now();
                host.until_handled(handled + u64::from(BATCH)).await?;
                took += began.elapsed();
            }
            Ok(took)
        }
        Call::Emitted => {
            let (began, handled) = (Instant::now(), host.handled());
            host.emit_times("tick", kind.times).await?;
            host.until_handled(handled + u64::from(kind.times)).await?;
            Ok(began.elapsed())
        }
    }
}

fn each(time: Duration, kind: Kind) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(kind.times)
}

/// Builds the order to the guest.
fn order(call: &str, times: u32) -> String {
    serde_json::json!({ "call": call, "times": times }).to_string()
}
