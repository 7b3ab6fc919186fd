//! NATS, as one server or as three that keep each stream together.

use std::time::Duration;

use anyhow::Result;
use parlor_tests::host::Home;
use parlor_tests::log;
use parlor_tests::nats::{Nats, make_node};
use parlor_tests::nats_servers::{NatsServers, SERVERS, make_replicated_node};
use tokio::time::sleep;

/// The servers of NATS.
pub(crate) enum Store {
    /// It keeps each stream once.
    One(Nats),
    /// Each of them keeps each stream.
    Three(NatsServers),
}

impl Store {
    /// Starts one server, or three.
    pub(crate) async fn start(servers: usize) -> Result<Self> {
        Ok(if servers == 1 { Self::One(Nats::start().await?) } else { Self::Three(NatsServers::start().await?) })
    }

    /// Returns the port of each server.
    pub(crate) fn ports(&self) -> Vec<u16> {
        match self {
            Self::One(nats) => vec![nats.port()],
            Self::Three(servers) => servers.ports().collect(),
        }
    }

    /// Kills one server or all, and starts what it killed again after a while. On return, each server has all that was written.
    pub(crate) async fn restart(&mut self, server: Option<usize>, down: Duration) -> Result<()> {
        match self {
            Self::One(nats) => {
                nats.kill().await?;
                sleep(down).await;
                nats.start_again().await
            }
            Self::Three(servers) => {
                let killed = server.map_or(0..SERVERS, |server| server..server + 1);
                for one in killed.clone() {
                    servers.kill(one).await?;
                }
                sleep(down).await;
                for one in killed {
                    servers.start_again(one).await?;
                }
                servers.are_whole().await
            }
        }
    }

    /// Writes their logs to files, and prints where.
    pub(crate) fn keep_logs(&self) {
        match self {
            Self::One(nats) => log::keep("nats-server", nats.log()),
            Self::Three(servers) => servers.logs().for_each(|(name, of_one)| log::keep(name, of_one)),
        }
    }
}

/// Makes a host the node of this name, which reaches the servers by these ports.
pub(crate) fn make_node_of(home: &mut Home, ports: &[u16], name: &str) -> Result<()> {
    let addresses: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
    match &addresses[..] {
        [address] => make_node(home, address, name),
        several => make_replicated_node(home, several, name),
    }
}
