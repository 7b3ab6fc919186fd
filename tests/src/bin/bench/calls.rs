//! Measures the cost of a call between host and guest, beside the same call in bare wasmtime.
//!
//! One guest, `tests/guests/meter`, makes the calls in both. The host adds its account, grants, limits and CPU
//! accounting. Bare wasmtime answers with constants. The difference is what parlor adds.

mod bare;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use parlor_session::event::Payload;
use parlor_tests::plugins::built;
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
    /// The host delivers an event to the guest.
    ToGuest,
}

const KINDS: [Kind; 4] = [
    Kind { name: "guest → host, plain", call: Call::ToHost("plain"), times: 300_000, most: 1.0 },
    Kind { name: "guest → host, async", call: Call::ToHost("async"), times: 100_000, most: 1.25 },
    Kind { name: "guest → host, with a yield", call: Call::ToHost("yield"), times: 50_000, most: 1.1 },
    Kind { name: "host → guest, an event", call: Call::ToGuest, times: 50_000, most: 1.5 },
];

/// Measures all kinds, which takes a few seconds.
pub(crate) async fn rows() -> Result<Vec<Row>> {
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
    let began = Instant::now();
    let before = host.handled().await?;
    let events = match kind.call {
        Call::ToHost(call) => {
            host.emit("measure", Payload::Json(order(call, kind.times).into())).await?;
            1
        }
        Call::ToGuest => {
            for _ in 0..kind.times {
                host.emit("tick", Payload::None).await?;
            }
            kind.times
        }
    };
    while host.handled().await? < before + u64::from(events) {
        let handled = host.handled().await?.wrapping_sub(before);
        ensure!(began.elapsed() < Duration::from_secs(30), "{}: {handled} of {events} after 30 s", kind.name);
        tokio::task::yield_now().await;
    }
    Ok(began.elapsed())
}

fn each(time: Duration, kind: Kind) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(kind.times)
}

/// Builds the order to the guest.
fn order(call: &str, times: u32) -> String {
    serde_json::json!({ "call": call, "times": times }).to_string()
}
