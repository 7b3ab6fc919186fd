//! Requests to a webhook: signed, sent over connections that are kept alive, each stored before it is answered.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use parlor_tests::webhooks::{Connection, github};
use xtask::Part;

use super::Stage;
use crate::row::{Goal, Row, Unit, median};

/// The number of connections that requests come over.
const CONNECTIONS: u32 = 32;
/// The number of requests of each connection in one round.
const EACH: u32 = 250;
/// How often they are sent; the medians are reported.
const ROUNDS: u32 = 3;
/// The least requests a second that are stored and answered.
const RATE: f64 = 3_000.0;

/// Measures how many a second are stored, and with how many the plugin keeps up.
pub(super) async fn rows(stage: &mut Stage) -> Result<Vec<Row>> {
    let (at, path) = stage.webhook().await?;
    let (mut stored, mut told) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (path, secret) = (path.as_str(), super::SECRET);
        let begin = Instant::now();
        try_join_all((0..CONNECTIONS).map(|number| send(at, path, secret, number))).await?;
        stored.push(f64::from(CONNECTIONS * EACH) / begin.elapsed().as_secs_f64());
        let all = u64::from(round * CONNECTIONS * EACH);
        while stage.order("told").await? < all {}
        told.push(f64::from(CONNECTIONS * EACH) / begin.elapsed().as_secs_f64());
    }
    let all = stage.order("told").await?;
    ensure!(all == u64::from(ROUNDS * CONNECTIONS * EACH), "the plugin was told of {all} requests");
    let row = |what: &str, rates: Vec<f64>| Row::alone(Part::Web, what, median(rates.into_iter()), Unit::PerSecond);
    Ok(vec![
        row("requests to a webhook, each on disk when answered", stored).goal(Goal::AtLeast(RATE)),
        row("such requests, until the plugin has handled them", told),
    ])
}

/// Sends requests over one connection, each after the answer to the one before.
async fn send(at: SocketAddr, path: &str, secret: &str, number: u32) -> Result<()> {
    let mut connection = Connection::open(Ipv4Addr::LOCALHOST, at).await?;
    for at in 0..EACH {
        let body = format!("{{\"connection\":{number},\"request\":{at},\"text\":\"{:512}\"}}", "pushed");
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{}", github(secret, &body));
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let answered = connection.ask(request.as_bytes()).await;
        let status = answered.with_context(|| format!("after {at} requests"))?;
        ensure!(status == 202, "not stored, but answered with {status}");
    }
    Ok(())
}
