//! A NATS server with `JetStream`, for hosts that are nodes of a cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::folder::Folder;
use crate::host::Home;
use crate::log::{Log, Mark};
use crate::process::{Process, Signal};

/// How long a start may take.
const START: Duration = Duration::from_secs(30);
/// The file that Debian installs, which is not in everybody's path.
const INSTALLED: &str = "/usr/sbin/nats-server";
/// Its configuration.
const CONFIG: &str = "nats.conf";
/// How often a killed server is started again, if its port is taken meanwhile.
const TRIES: usize = 5;

/// A file of keys with the key of the tests' clusters. It is no secret.
pub const CLUSTER_KEY: &str = "e6389e9e3f211b20 0101010101010101010101010101010101010101010101010101010101010101\n";
/// The name of that file in the folder of a host.
pub const KEY_FILE: &str = "cluster.key";

/// Makes a host the node of this name of the cluster `suite`, whose NATS is at this address.
pub fn make_node(home: &mut Home, nats: &str, node: &str) -> Result<()> {
    home.write(KEY_FILE, CLUSTER_KEY)?;
    for (key, value) in [("nats", nats), ("name", "suite"), ("node", node), ("key_file", KEY_FILE)] {
        home.set_cluster(key, value)?;
    }
    Ok(())
}

/// A running server on a free port of 127.0.0.1. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Nats {
    // Dropped in this order: the process before the folder that it writes to.
    process: Process,
    program: PathBuf,
    port: u16,
    folder: Folder,
}

impl Nats {
    /// Starts a server, and returns once it accepts connections.
    pub async fn start() -> Result<Self> {
        let installed = Path::new(INSTALLED);
        let program = if installed.is_file() { installed } else { Path::new("nats-server") };
        Self::start_with(program, "host: 127.0.0.1\njetstream: {}\n".to_owned()).await
    }

    /// Starts a server of this program with this configuration, in the same way.
    pub(crate) async fn start_with(program: &Path, config: String) -> Result<Self> {
        let folder = Folder::new()?;
        folder.write(CONFIG, config)?;
        // -1 is a free port; 0 would be the usual one.
        let (process, port) = started(program, &folder, "-1").await?;
        Ok(Self { process, program: program.to_owned(), port, folder })
    }

    /// Kills the server. It keeps its port and its data.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::Kill)?;
        self.process.wait(START).await.map(drop)
    }

    /// Starts the server again after it was killed, with its port and its data.
    pub async fn start_again(&mut self) -> Result<()> {
        let port = self.port.to_string();
        for _ in 1..TRIES {
            if let Ok((process, _)) = started(&self.program, &self.folder, &port).await {
                self.process = process;
                return Ok(());
            }
        }
        self.process = started(&self.program, &self.folder, &port).await?.0;
        Ok(())
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its address.
    pub fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Returns the bytes of all files that the server keeps now.
    pub fn stored(&self) -> Result<Vec<u8>> {
        let (mut bytes, mut folders) = (Vec::new(), vec![self.folder.join("data")]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    // The server may have removed it meanwhile.
                    bytes.extend(std::fs::read(path).unwrap_or_default());
                }
            }
        }
        Ok(bytes)
    }

    /// Returns its log.
    pub fn log(&self) -> &Log {
        self.process.log()
    }
}

/// Starts a server that keeps its data in this folder, and returns it with its port once it is ready.
async fn started(program: &Path, folder: &Folder, port: &str) -> Result<(Process, u16)> {
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join(CONFIG)).args(["-p", port]).arg("-sd").arg(folder.join("data"));
    let process = Process::start("nats-server", command).context("`cargo xtask` says how to install it")?;
    let mut mark = Mark::default();
    let listens = |line: &str| {
        let (_, port) = line.split_once("Listening for client connections on 127.0.0.1:")?;
        port.trim().parse().ok()
    };
    let port = process.log().wait("the port of NATS", &mut mark, START, listens).await?;
    let is_ready = |line: &str| line.contains("Server is ready").then_some(());
    process.log().wait("NATS is ready", &mut mark, START, is_ready).await?;
    Ok((process, port))
}
