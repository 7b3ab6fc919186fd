//! A NATS server, as a child process on a free port with its data in a temporary folder.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{Cluster, KeyRing, Link, Login, Settings, prepare};

/// A server. Dropping it ends the process.
pub(super) struct Server {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// Starts a server, and returns once it accepts connections.
    pub(super) fn start() -> Self {
        Self::with("jetstream: {}\n")
    }

    /// Starts a server with these lines in its configuration.
    pub(super) fn with(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::within(folder, lines)
    }

    /// Starts a server whose configuration may name files in this folder.
    pub(super) fn within(folder: tempfile::TempDir, lines: &str) -> Self {
        std::fs::write(folder.path().join("nats.conf"), format!("host: 127.0.0.1\n{lines}")).unwrap();
        // -1 is a free port; 0 would be the usual one.
        let (child, port) = run(&folder, -1);
        Self { child, folder, port }
    }

    /// Has it use these lines in its configuration from its next start on.
    pub(super) fn configure(&self, lines: &str) {
        std::fs::write(self.folder.path().join("nats.conf"), format!("host: 127.0.0.1\n{lines}")).unwrap();
    }

    /// Kills the server: it has no time to write anything.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, with the same data on the same port.
    pub(super) fn start_again(&mut self) {
        let (child, port) = run(&self.folder, self.port.into());
        assert_eq!(port, self.port);
        self.child = child;
    }

    /// Returns a copy of what the server keeps. It must be killed.
    pub(super) fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_all(&self.folder.path().join("data"), copy.path());
        copy
    }

    /// Puts a copy in the place of what the server keeps. It must be killed.
    pub(super) fn put_back(&self, copy: &tempfile::TempDir) {
        let data = self.folder.path().join("data");
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::create_dir(&data).unwrap();
        copy_all(copy.path(), &data);
    }

    /// Returns the bytes of all files that the server keeps.
    pub(super) fn stored(&self) -> Vec<u8> {
        let (mut bytes, mut folders) = (Vec::new(), vec![self.folder.path().join("data")]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { bytes.extend(std::fs::read(path).unwrap()) }
            }
        }
        bytes
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Connects.
    pub(super) async fn link(&self) -> Link {
        Link::connect(&settings(self.port)).await.unwrap()
    }

    /// Connects, and creates the streams of a cluster.
    pub(super) async fn cluster(&self) -> (Link, Cluster) {
        let (link, cluster) = (self.link().await, cluster());
        prepare(&link, &cluster).await.unwrap();
        (link, cluster)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Returns how to reach a server that asks for nothing.
pub(super) fn settings(port: u16) -> Settings {
    let servers = vec![format!("nats://127.0.0.1:{port}")];
    Settings { servers, login: Login::Nothing, ca_file: None, allow_unencrypted: false, replicas: 1 }
}

/// The keys of the cluster, and others.
pub(super) const KEY: &str = "e6389e9e3f211b20 0101010101010101010101010101010101010101010101010101010101010101\n";
pub(super) const LATER_KEY: &str =
    "5c717affd2ed3373 0202020202020202020202020202020202020202020202020202020202020202\n";

/// Returns the cluster of the tests, with a key.
pub(super) fn cluster() -> Cluster {
    with_keys(&[KEY])
}

/// Returns the same cluster as nodes with other keys have it.
pub(super) fn with_keys(lines: &[&str]) -> Cluster {
    Cluster::new("c", KeyRing::parse(&lines.concat()).unwrap()).unwrap()
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}

fn run(folder: &tempfile::TempDir, port: i32) -> (Child, u16) {
    // Debian has it where not everybody looks for programs.
    let installed = Path::new("/usr/sbin/nats-server");
    let mut command = Command::new(if installed.is_file() { installed } else { Path::new("nats-server") });
    command.arg("-c").arg(folder.path().join("nats.conf")).args(["-p", &port.to_string()]);
    command.arg("-sd").arg(folder.path().join("data"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("nats-server is installed; `cargo xtask` says how");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let (mut port, mut said) = (None, String::new());
    for line in lines.by_ref() {
        if let Some((_, at)) = line.split_once("Listening for client connections on 127.0.0.1:") {
            port = at.parse().ok();
        }
        if line.contains("Server is ready") {
            break;
        }
        said += &line;
        said.push('\n');
    }
    let port = port.unwrap_or_else(|| panic!("the server did not start:\n{said}"));
    // A full pipe would hold it up.
    std::thread::spawn(move || lines.for_each(drop));
    (child, port)
}
