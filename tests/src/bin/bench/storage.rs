//! Benchmark of a plugin's storage: how many values a second are stored durably, and how long reading one takes.

use std::time::{Duration, Instant};

use anyhow::Result;
use parlor_session::event::Payload;
use parlor_tests::plugins::built;
use serde_json::json;
use xtask::Part;

use crate::host::BenchHost;
use crate::row::{Goal, Row, Unit, median};

/// The number of handlers that write at once.
const WRITERS: u32 = 64;
/// The number of values that each writes in one round.
const VALUES: u32 = 1_000;
/// The number of values that are read one after the other in one round.
const READS: u32 = 2_000;
/// How often each is measured; the medians are reported.
const ROUNDS: usize = 3;

/// The limits of the plugin, which the benchmark does not reach, and its grants.
pub(crate) const LIMITS: &str = "handlers = 64\nstorage_per_second = \"256 MiB\"\nopen_calls = 256\n[plugin.meter.grants]\nstorage = [\"256 MiB\"]\n";

/// The expected number of values stored per second.
const SETS: f64 = 60_000.0;

/// Runs the benchmark, which takes some ten seconds.
pub(crate) async fn rows() -> Result<Vec<Row>> {
    let host = BenchHost::stand(&built("meter")?, LIMITS).await?;
    let (mut sets, mut gets) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sets.push(self::sets(&host).await?);
        let reading = timed(&host, "storage-get", 1, READS).await?;
        gets.push(reading.as_secs_f64() * 1e6 / f64::from(READS));
    }
    host.stop().await;
    let sets = Row::alone(Part::Storage, "values set, 64 at a time", median(sets.into_iter()), Unit::PerSecond);
    let gets = Row::alone(Part::Storage, "one value read", median(gets.into_iter()), Unit::Micros);
    Ok(vec![sets.goal(Goal::AtLeast(SETS)), gets])
}

/// Returns how many values a second are stored.
pub(crate) async fn sets(host: &BenchHost) -> Result<f64> {
    let writing = timed(host, "storage-set", WRITERS, VALUES).await?;
    Ok(f64::from(WRITERS * VALUES) / writing.as_secs_f64())
}

/// Returns how long this many handlers take to repeat the call this often each.
async fn timed(host: &BenchHost, call: &str, handlers: u32, times: u32) -> Result<Duration> {
    let before = host.handled();
    let begin = Instant::now();
    for number in 0..handlers {
        let order = json!({ "call": call, "times": times, "number": number }).to_string();
        host.emit("measure", Payload::Json(order.into())).await?;
    }
    host.until_handled(before + u64::from(handlers)).await?;
    Ok(begin.elapsed())
}
