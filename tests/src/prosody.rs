//! A real Prosody, as a child process on free ports with its data in a temporary folder.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jid::BareJid;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::certificate::Certificate;
use crate::connector::Connector;
use crate::folder::Folder;
use crate::log::Log;
use crate::ports;
use crate::process::Process;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(20);
/// Somebody else may take a port between choosing and listening: then with others.
const TRIES: usize = 3;

/// The server's domain.
pub const DOMAIN: &str = "localhost";
/// The domain of its rooms.
pub const ROOMS: &str = "conference.localhost";

/// The server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Prosody {
    // Fields are dropped in this order: the process before the folder that it writes to.
    process: Process,
    ports: Ports,
    certificate: Certificate,
    folder: Folder,
}

/// Where it listens, all on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Clients, STARTTLS.
    pub starttls: u16,
    /// Clients, direct TLS.
    pub direct: u16,
    /// BOSH and WebSocket.
    pub http: u16,
}

/// What the server archives of chats, unless an account says otherwise (XEP-0313).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// Every message.
    Everything,
    /// Nothing: for measuring, since an archive that grows makes each message dearer than the one before.
    Nothing,
}

/// Somebody who can log in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its address.
    pub jid: BareJid,
    /// Its password: random, so that it is found wherever it leaks to.
    pub password: String,
}

impl Prosody {
    /// Starts one and returns when it accepts connections.
    pub async fn start() -> Result<Self> {
        Self::start_with(Archive::Everything).await
    }

    /// Starts one that archives what it is told to.
    pub async fn start_with(archive: Archive) -> Result<Self> {
        let mut tried = 0;
        loop {
            tried += 1;
            match Self::try_start(archive).await {
                Err(error) if tried < TRIES && error.is::<PortTaken>() => {}
                result => return result.context("Prosody did not start"),
            }
        }
    }

    async fn try_start(archive: Archive) -> Result<Self> {
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let ports = Ports { starttls: ports::free()?, direct: ports::free()?, http: ports::free()? };
        std::fs::create_dir(folder.join("data")).context("cannot make the data folder")?;
        let config = folder.write("prosody.cfg.lua", config(&folder, &certificate, ports, archive))?;
        let mut command = Command::new("prosody");
        command.arg("--config").arg(config).arg("-F").current_dir(folder.path()).env("LC_ALL", "C.UTF-8");
        let process = Process::start("prosody", command)
            .context("`cargo xtask demo` installs it on Debian and Ubuntu; elsewhere install Prosody 0.12 or newer")?;
        let mut prosody = Self { process, ports, certificate, folder };
        let Ports { starttls, direct, http } = ports;
        for port in [starttls, direct, http] {
            prosody.listens(port).await?;
        }
        Ok(prosody)
    }

    /// Waits until the port accepts connections.
    async fn listens(&mut self, port: u16) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if self.log().all().iter().any(|line| line.contains("Failed to open server port")) {
                return Err(PortTaken.into());
            }
            if let Some(status) = self.process.ended()? {
                bail!("it ended at once: {status}\n{}", self.log().tail());
            }
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < deadline => {}
                Err(error) => {
                    return Err(error)
                        .context(format!("port {port} is not open after {START:?}\n{}", self.log().tail()));
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Where it listens.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// What it shows to clients.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What a client of the harness connects with.
    pub fn connector(&self) -> Result<Connector> {
        Connector::new(self.ports.direct, &self.certificate.der).context("the certificate cannot be trusted")
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Adds an account; it can log in at once. `name` is of lower-case letters and digits.
    ///
    /// The server reads an account's file at log-in, so writing it is all there is to it. Its own command takes 0.3 s.
    pub fn add_account(&self, name: &str) -> Result<Account> {
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        ensure!(plain, "an account's name is of lower-case letters and digits: {name:?}");
        let jid = BareJid::new(&format!("{name}@{DOMAIN}")).context("a bad account name")?;
        let password = format!("{:032x}", rand::random::<u128>());
        let entry = format!("return {{ [\"password\"] = \"{password}\" }};\n");
        self.folder.write(format!("data/{DOMAIN}/accounts/{name}.dat"), entry)?;
        Ok(Account { jid, password })
    }

    /// Adds an account of a name that nobody has.
    pub fn fresh_account(&self, prefix: &str) -> Result<Account> {
        self.add_account(&format!("{prefix}{:016x}", rand::random::<u64>()))
    }

    /// The address of a room that nobody uses.
    pub fn fresh_room(&self) -> BareJid {
        BareJid::new(&format!("room{:016x}@{ROOMS}", rand::random::<u64>())).expect("letters and digits are a name")
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::log::keep("prosody", self.process.log());
        }
    }
}

/// A port was free when it was chosen, and is not any more.
#[derive(Debug)]
struct PortTaken;

impl std::fmt::Display for PortTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a chosen port was taken meanwhile")
    }
}

impl std::error::Error for PortTaken {}

/// Storage in memory where nothing has to last, since its files make it twenty times slower; no limits; Nagle's
/// algorithm off, which would measure itself.
fn config(folder: &Folder, certificate: &Certificate, ports: Ports, archive: Archive) -> String {
    let Ports { starttls, direct, http } = ports;
    let archived = archive == Archive::Everything;
    let data = lua(&folder.join("data").display().to_string());
    let cert = lua(&certificate.certificate_file.display().to_string());
    let key = lua(&certificate.key_file.display().to_string());
    format!(
        r#"run_as_root = true
daemonize = false
pidfile = {pid}
data_path = {data}
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {starttls} }}
c2s_direct_tls_ports = {{ {direct} }}
s2s_ports = {{}}
s2s_direct_tls_ports = {{}}
http_ports = {{ {http} }}
https_ports = {{}}
network_settings = {{ nagle = false }}
ssl = {{ certificate = {cert}, key = {key} }}
c2s_direct_tls_ssl = {{ certificate = {cert}, key = {key} }}
modules_enabled = {{
  "disco", "roster", "saslauth", "tls", "carbons", "pep", "private", "blocklist", "bookmarks", "smacks", "vcard4",
  "vcard_legacy", "ping", "register", "mam", "csi_simple", "bosh", "websocket", "posix", "offline",
}}
modules_disabled = {{ "s2s" }}
c2s_require_encryption = true
consider_bosh_secure = true
consider_websocket_secure = true
authentication = "internal_plain"
storage = {{ archive = "memory", muc_log = "memory", offline = "memory", pep = "memory" }}
default_archive_policy = {archived}
smacks_hibernation_time = 60

VirtualHost "{DOMAIN}"

Component "{ROOMS}" "muc"
  modules_enabled = {{ "muc_mam" }}
  restrict_room_creation = false
"#,
        pid = lua(&folder.join("prosody.pid").display().to_string()),
    )
}

/// A string as Lua spells it.
fn lua(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests;
