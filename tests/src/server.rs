//! A real server, as a child process on free ports with its data in a temporary folder: what Prosody and ejabberd have in
//! common, so that a test may run on either.

use std::fmt;
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
use crate::conformance::record::{self, Note};
use crate::connector::Connector;
use crate::ejabberd::Ejabberd;
use crate::folder::Folder;
use crate::log::Log;
use crate::ports;
use crate::process::Process;
use crate::prosody::Prosody;

/// How long it may take to listen.
const START: Duration = Duration::from_mins(1);
/// Somebody else may take a port between choosing and listening: then with others.
const TRIES: usize = 3;

/// The server's domain.
pub const DOMAIN: &str = "localhost";
/// The domain of its rooms.
pub const ROOMS: &str = "conference.localhost";

/// Which server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// Prosody 0.12 or newer.
    Prosody,
    /// ejabberd 23.01 or newer.
    Ejabberd,
}

impl Software {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Prosody, Self::Ejabberd];

    /// Its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prosody => "prosody",
            Self::Ejabberd => "ejabberd",
        }
    }

    /// The server of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Starts one that archives every message, and returns when it accepts connections.
    pub async fn start(self) -> Result<XmppServer> {
        self.start_with(Archive::Everything).await
    }

    /// Starts one that archives what it is told to.
    pub async fn start_with(self, archive: Archive) -> Result<XmppServer> {
        match self {
            Self::Prosody => Prosody::start_with(archive).await,
            Self::Ejabberd => Ejabberd::start_with(archive).await,
        }
    }
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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

/// Where a server listens, all on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Clients, STARTTLS.
    pub starttls: u16,
    /// Clients, direct TLS.
    pub direct: u16,
    /// BOSH and WebSocket.
    pub http: u16,
}

/// How one software is started and talked to.
pub(crate) struct Way {
    pub(crate) software: Software,
    /// Writes its configuration and gives the command that runs it in the foreground.
    pub(crate) command: fn(&Folder, &Certificate, Ports, Archive) -> Result<Command>,
    /// What its log says when a port is not free.
    pub(crate) port_taken: &'static str,
    /// Adds an account of this name and password.
    pub(crate) add_account: fn(&XmppServer, &str, &str) -> Result<()>,
    /// How to come by it.
    pub(crate) install: &'static str,
}

/// The server. Dropping it ends it and removes its data.
pub struct XmppServer {
    // Fields are dropped in this order: the process before the folder that it writes to.
    process: Process,
    ports: Ports,
    certificate: Certificate,
    folder: Folder,
    way: &'static Way,
}

impl fmt::Debug for XmppServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("XmppServer");
        shown.field("software", &self.way.software).field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl XmppServer {
    /// Starts one, and returns when it accepts connections.
    pub(crate) async fn start(way: &'static Way, archive: Archive) -> Result<Self> {
        let mut tried = 0;
        loop {
            tried += 1;
            match Self::try_start(way, archive).await {
                Err(error) if tried < TRIES && error.is::<PortTaken>() => {}
                result => return result.with_context(|| format!("{} did not start", way.software)),
            }
        }
    }

    async fn try_start(way: &'static Way, archive: Archive) -> Result<Self> {
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let ports = Ports { starttls: ports::free()?, direct: ports::free()?, http: ports::free()? };
        std::fs::create_dir(folder.join("data")).context("cannot make the data folder")?;
        let mut command = (way.command)(&folder, &certificate, ports, archive).context(way.install)?;
        command.current_dir(folder.path()).env("LC_ALL", "C.UTF-8");
        let process = Process::start(way.software.as_str(), command).context(way.install)?;
        let mut server = Self { process, ports, certificate, folder, way };
        let Ports { starttls, direct, http } = ports;
        for port in [starttls, direct, http] {
            server.listens(port).await?;
        }
        Ok(server)
    }

    /// Waits until the port accepts connections.
    async fn listens(&mut self, port: u16) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if self.log().all().iter().any(|line| line.contains(self.way.port_taken)) {
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

    /// Which one it is.
    pub fn software(&self) -> Software {
        self.way.software
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

    /// Writes a file of its data.
    pub(crate) fn write(&self, name: &str, content: String) -> Result<()> {
        self.folder.write(name, content).map(drop)
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
    pub fn add_account(&self, name: &str) -> Result<Account> {
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        ensure!(plain, "an account's name is of lower-case letters and digits: {name:?}");
        let jid = BareJid::new(&format!("{name}@{DOMAIN}")).context("a bad account name")?;
        let password = format!("{:032x}", rand::random::<u128>());
        (self.way.add_account)(self, name, &password).with_context(|| format!("cannot add the account {jid}"))?;
        record::note(&Note::server(self.software()));
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

impl Drop for XmppServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::log::keep(self.way.software.as_str(), self.process.log());
        }
    }
}

/// A port was free when it was chosen, and is not any more.
#[derive(Debug)]
struct PortTaken;

impl fmt::Display for PortTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chosen port was taken meanwhile")
    }
}

impl std::error::Error for PortTaken {}

#[cfg(test)]
mod tests;
