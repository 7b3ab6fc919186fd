//! A real server, as a child process on free ports with its data in a temporary folder. This is the common part of
//! Prosody and ejabberd, so that a test may run on either.

use std::fmt;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jid::BareJid;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::certificate::Certificate;
use crate::conformance::record::{self, Note};
use crate::connector::Connector;
use crate::ejabberd::Ejabberd;
use crate::folder::Folder;
use crate::log::Log;
use crate::ports;
use crate::process::Process;
use crate::prosody::Prosody;

/// How long a server may take to listen on all of its ports.
const START: Duration = Duration::from_mins(1);
/// Another process may take a port after it was chosen. Then other ports are tried, this often.
const TRIES: usize = 3;

/// The server's domain.
pub const DOMAIN: &str = "localhost";
/// The domain of the server's rooms.
pub const ROOMS: &str = "conference.localhost";
/// The domain of the publish-subscribe service.
pub const PUBSUB: &str = "pubsub.localhost";
/// The domain of the component, on a server that has one.
pub const BOTS: &str = "bots.localhost";
/// The secret of that component.
pub const BOTS_SECRET: &str = "the secret of the bots";
/// The name of the account that may create nodes there.
pub const LIBRARIAN: &str = "librarian";

/// A server software.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// Prosody 0.12 or newer.
    Prosody,
    /// ejabberd 23.01 or newer.
    Ejabberd,
}

impl Software {
    /// Both servers.
    pub const ALL: [Self; 2] = [Self::Prosody, Self::Ejabberd];

    /// Returns its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prosody => "prosody",
            Self::Ejabberd => "ejabberd",
        }
    }

    /// Returns the software with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Starts a server that archives every message, and returns once it accepts connections.
    pub async fn start(self) -> Result<XmppServer> {
        self.start_with(Archive::Everything).await
    }

    /// Starts a server that has the domain [`BOTS`] as a component (XEP-0114).
    pub async fn start_with_component(self) -> Result<XmppServer> {
        match self {
            Self::Prosody => Prosody::start_with_component().await,
            Self::Ejabberd => Ejabberd::start_with_component().await,
        }
    }

    /// Starts a server that archives what `archive` says.
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

/// The messages of chats that the server archives, unless an account overrides it (XEP-0313).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// Every message.
    Everything,
    /// Nothing, for measurements: in a growing archive each message costs more than the one before.
    Nothing,
}

/// The components that a server has (XEP-0114).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Components {
    /// None: each would be listed to all clients.
    None,
    /// [`BOTS`].
    Bots,
}

/// An account that can log in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its address.
    pub jid: BareJid,
    /// Its password, which is random, so that it is recognizable wherever it leaks.
    pub password: String,
}

/// The ports of a server, all on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// The client port with STARTTLS.
    pub starttls: u16,
    /// The client port with direct TLS.
    pub direct: u16,
    /// The port of BOSH and WebSocket.
    pub http: u16,
    /// The port of uploaded files, within TLS.
    pub files: u16,
    /// The port of components, if the server has one.
    pub component: Option<u16>,
}

/// How to start and use one server software.
pub(crate) struct Way {
    pub(crate) software: Software,
    /// Writes its configuration and returns the command that runs it in the foreground.
    pub(crate) command: fn(&Folder, &Certificate, Ports, Archive) -> Result<Command>,
    /// The text in its log if a port is not free.
    pub(crate) port_taken: &'static str,
    /// Adds an account with this name and password.
    pub(crate) add_account: fn(&XmppServer, &str, &str) -> Result<()>,
    /// How to install it.
    pub(crate) install: &'static str,
}

/// A running server. Dropping it ends it and removes its data.
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
    /// Starts a server, and returns once it accepts connections.
    pub(crate) async fn start(way: &'static Way, archive: Archive, components: Components) -> Result<Self> {
        let mut tried = 0;
        loop {
            tried += 1;
            match Self::try_start(way, archive, components).await {
                Err(error) if tried < TRIES && error.is::<PortTaken>() => {}
                result => return result.with_context(|| format!("{} did not start", way.software)),
            }
        }
    }

    async fn try_start(way: &'static Way, archive: Archive, components: Components) -> Result<Self> {
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let [starttls, direct, http, files] = [ports::free()?, ports::free()?, ports::free()?, ports::free()?];
        let component = match components {
            Components::None => None,
            Components::Bots => Some(ports::free()?),
        };
        let ports = Ports { starttls, direct, http, files, component };
        std::fs::create_dir(folder.join("data")).context("cannot make the data folder")?;
        let mut command = (way.command)(&folder, &certificate, ports, archive).context(way.install)?;
        command.current_dir(folder.path()).env("LC_ALL", "C.UTF-8");
        let process = Process::start(way.software.as_str(), command).context(way.install)?;
        let mut server = Self { process, ports, certificate, folder, way };
        let deadline = Instant::now() + START;
        let ways = [(starttls, "STARTTLS"), (direct, "direct TLS"), (http, "BOSH and WebSocket"), (files, "uploads")];
        for (port, what) in ways.into_iter().chain(component.map(|port| (port, "components"))) {
            server.listens(port, what, deadline).await?;
        }
        Ok(server)
    }

    /// Waits until the port accepts connections. `what` says what it is for.
    async fn listens(&mut self, port: u16, what: &str, deadline: Instant) -> Result<()> {
        loop {
            if self.log().all().iter().any(|line| line.contains(self.way.port_taken)) {
                return Err(PortTaken.into());
            }
            if let Some(status) = self.process.ended()? {
                bail!("it ended at once: {status}\n{}", self.log().tail());
            }
            // A port that neither accepts nor refuses would be tried for minutes.
            match timeout_at(deadline, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < deadline => {}
                Ok(Err(error)) => return Err(error).context(self.not_open(port, what)),
                Err(_) => bail!(self.not_open(port, what)),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The error that a port is not open, with the server's last output.
    fn not_open(&self, port: u16, what: &str) -> String {
        format!("port {port}, for {what}, is not open {START:?} after the start\n{}", self.log().tail())
    }

    /// Returns its software.
    pub fn software(&self) -> Software {
        self.way.software
    }

    /// Returns its ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Returns its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns a connector for the harness's clients.
    pub fn connector(&self) -> Result<Connector> {
        Connector::new(self.ports.direct, &self.certificate.der).context("the certificate cannot be trusted")
    }

    /// Returns its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of its data.
    pub(crate) fn write(&self, name: &str, content: String) -> Result<()> {
        self.folder.write(name, content).map(drop)
    }

    /// Returns its log.
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Adds an account, which can log in at once. `name` consists of lower-case letters and digits.
    pub fn add_account(&self, name: &str) -> Result<Account> {
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        ensure!(plain, "an account's name is of lower-case letters and digits: {name:?}");
        let jid = BareJid::new(&format!("{name}@{DOMAIN}")).context("a bad account name")?;
        let password = format!("{:032x}", rand::random::<u128>());
        (self.way.add_account)(self, name, &password).with_context(|| format!("cannot add the account {jid}"))?;
        record::note(&Note::server(self.software()));
        Ok(Account { jid, password })
    }

    /// Adds an account with a new name.
    pub fn fresh_account(&self, prefix: &str) -> Result<Account> {
        self.add_account(&format!("{prefix}{:016x}", rand::random::<u64>()))
    }

    /// Returns the address of an unused room.
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

/// An error: a port was free when it was chosen, and is not any more.
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
