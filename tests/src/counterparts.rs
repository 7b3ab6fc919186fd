//! Independent clients, as the other side of end-to-end encryption. They are programs of the tests alone: nothing is
//! linked with them.
//!
//! Three are in Python, on slixmpp-omemo, on python-potr and on libotr. They get orders in lines of JSON, and tell in such
//! lines what they see. The fourth is profanity, at a terminal.

pub mod profanity;

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use jid::BareJid;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::folder::Folder;
use crate::log::Log;
use crate::pip;
use crate::server::{Account, XmppServer};

/// The packages with their versions: another version may speak in another way.
const PACKAGES: &str = include_str!("counterparts/requirements.txt");
/// The client with OMEMO.
const OMEMO: &str = include_str!("counterparts/omemo_client.py");
/// The client with OTR.
const OTR: &str = include_str!("counterparts/otr_client.py");
/// The client with OTR by libotr, which Debian's package of profanity depends on.
const LIBOTR: &str = include_str!("counterparts/libotr_client.py");
/// The timeout for waiting for a counterpart.
pub const SOON: Duration = Duration::from_mins(1);

/// The namespace of OMEMO that most clients speak.
pub const AXOLOTL: &str = "eu.siacs.conversations.axolotl";
/// The newer namespace of OMEMO.
pub const OMEMO_2: &str = "urn:xmpp:omemo:2";

/// Installs the packages into a folder next to cargo's output, unless they are there. Returns its Python.
pub async fn python() -> Result<PathBuf> {
    static PYTHON: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    let installed = PYTHON.get_or_init(async || install().await.map_err(|error| format!("{error:#}"))).await;
    installed.clone().map_err(|error| anyhow!(error))
}

async fn install() -> Result<PathBuf> {
    Ok(pip::installed("counterparts", PACKAGES).await?.join("bin/python3"))
}

/// The clients in Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Omemo,
    Otr,
    Libotr,
}

/// A client in Python. Dropping it ends it.
#[derive(Debug)]
pub struct Counterpart {
    // The process is ended before its folder is removed.
    process: Running,
    kind: Kind,
    /// Further arguments of its command line.
    more: Vec<String>,
    account: Account,
    folder: Folder,
}

/// Its process.
#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    lines: mpsc::UnboundedReceiver<Value>,
    /// The lines that were not requested yet.
    kept: VecDeque<Value>,
    orders: u64,
    log: Log,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended on its own; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Counterpart {
    /// Logs a client with OMEMO in, and returns once its device and keys are published. It knows both namespaces.
    pub async fn omemo(server: &XmppServer, account: &Account) -> Result<Self> {
        Self::start(Kind::Omemo, server, account, &[]).await
    }

    /// Logs a client in that knows one namespace of OMEMO.
    pub async fn omemo_by(namespace: &str, server: &XmppServer, account: &Account) -> Result<Self> {
        Self::start(Kind::Omemo, server, account, &["--only", short(namespace)]).await
    }

    /// Logs a client with OTR in.
    pub async fn otr(server: &XmppServer, account: &Account) -> Result<Self> {
        Self::start(Kind::Otr, server, account, &[]).await
    }

    /// Logs in a client with OTR that sends messages in parts of a limited number of bytes.
    pub async fn otr_in_parts(server: &XmppServer, account: &Account, most: usize) -> Result<Self> {
        Self::start(Kind::Otr, server, account, &["--fragment", &most.to_string()]).await
    }

    /// Logs in a client with OTR by libotr, in these versions: `2`, `3` or `23`. It sends messages in parts of a limited
    /// number of bytes, unless that is 0.
    pub async fn libotr(server: &XmppServer, account: &Account, versions: &str, most: usize) -> Result<Self> {
        let more = ["--versions", versions, "--fragment", &most.to_string()];
        Self::start(Kind::Libotr, server, account, &more).await
    }

    async fn start(kind: Kind, server: &XmppServer, account: &Account, more: &[&str]) -> Result<Self> {
        let (folder, more) = (Folder::new()?, more.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
        let process = Running::start(kind, server, account, &folder, &more).await?;
        let mut client = Self { process, kind, more, account: account.clone(), folder };
        client.is_ready().await?;
        Ok(client)
    }

    /// Ends it and starts it again, with the same keys if it has OMEMO.
    pub async fn again(self, server: &XmppServer) -> Result<Self> {
        let Self { process, kind, more, account, folder } = self;
        drop(process);
        let process = Running::start(kind, server, &account, &folder, &more).await?;
        let mut client = Self { process, kind, more, account, folder };
        client.is_ready().await?;
        Ok(client)
    }

    async fn is_ready(&mut self) -> Result<()> {
        self.event("ready").await?;
        if self.kind == Kind::Omemo {
            self.event("published").await?;
        }
        Ok(())
    }

    /// Returns its address.
    pub fn jid(&self) -> &BareJid {
        &self.account.jid
    }

    /// Gives it an order, and returns what it says to that.
    pub async fn order(&mut self, what: &str, arguments: Value) -> Result<Value> {
        self.process.orders += 1;
        let n = self.process.orders;
        let mut order = arguments;
        order["n"] = json!(n);
        order["do"] = json!(what);
        writeln!(self.process.input, "{order}").context("a counterpart does not listen")?;
        let answer = self.wait(&format!("the answer to {what}"), |line| (line["n"] == n).then(|| line.clone())).await?;
        ensure!(answer["error"].is_null(), "{} cannot {what}: {answer}", self.account.jid);
        Ok(answer["ok"].clone())
    }

    /// Sends an encrypted message, with OMEMO by the newest namespace that the other side has.
    pub async fn send(&mut self, to: &BareJid, body: &str) -> Result<Value> {
        self.order("send", json!({ "to": to.as_str(), "body": body })).await
    }

    /// Sends a message that is encrypted by this namespace of OMEMO.
    pub async fn send_by(&mut self, namespace: &str, to: &BareJid, body: &str) -> Result<Value> {
        self.order("send", json!({ "to": to.as_str(), "body": body, "version": short(namespace) })).await
    }

    /// Returns an encrypted message that it does not send.
    pub async fn encrypted(&mut self, namespace: &str, to: &BareJid, body: &str) -> Result<String> {
        let order = json!({ "to": to.as_str(), "body": body, "version": short(namespace) });
        let said = self.order("encrypt", order).await?;
        said["xml"].as_str().map(str::to_owned).context("it gave no message")
    }

    /// Sends XML as it is.
    pub async fn raw(&mut self, xml: &str) -> Result<()> {
        self.order("raw", json!({ "xml": xml })).await.map(drop)
    }

    /// Waits until its server has handled what it sent.
    pub async fn ping(&mut self) -> Result<()> {
        self.order("ping", json!({})).await.map(drop)
    }

    /// Waits for the next event of this name.
    pub async fn event(&mut self, event: &str) -> Result<Value> {
        self.wait(event, |line| (line["event"] == event).then(|| line.clone())).await
    }

    /// Waits for a message with this text.
    pub async fn message(&mut self, body: &str) -> Result<Value> {
        let is_meant = |line: &Value| line["event"] == "message" && line["body"] == body;
        self.wait(&format!("the message {body:?}"), |line| is_meant(line).then(|| line.clone())).await
    }

    /// Waits for the next line for which `pick` returns a value. Other lines are kept for later calls.
    pub async fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(&Value) -> Option<T>) -> Result<T> {
        let Running { lines, kept, log, .. } = &mut self.process;
        for at in 0..kept.len() {
            if let Some(found) = pick(&kept[at]) {
                kept.remove(at);
                return Ok(found);
            }
        }
        let deadline = Instant::now() + SOON;
        loop {
            let Ok(line) = timeout_at(deadline, lines.recv()).await else {
                bail!("{} did not tell within {SOON:?}: {what}\n{kept:#?}\n{}", self.account.jid, log.tail());
            };
            let line = line.with_context(|| format!("{} ended before: {what}\n{}", self.account.jid, log.tail()))?;
            if let Some(found) = pick(&line) {
                return Ok(found);
            }
            kept.push_back(line);
        }
    }

    /// Returns the received lines that were not requested.
    pub fn rest(&mut self) -> Vec<Value> {
        let Running { lines, kept, .. } = &mut self.process;
        while let Ok(line) = lines.try_recv() {
            kept.push_back(line);
        }
        kept.drain(..).collect()
    }
}

impl Running {
    async fn start(
        kind: Kind,
        server: &XmppServer,
        account: &Account,
        folder: &Folder,
        more: &[String],
    ) -> Result<Self> {
        let mut command = Command::new(python().await?);
        let (name, source) = match kind {
            Kind::Omemo => ("omemo_client.py", OMEMO),
            Kind::Otr => ("otr_client.py", OTR),
            Kind::Libotr => ("libotr_client.py", LIBOTR),
        };
        command.arg(folder.write(name, source)?);
        command.arg("--password-file").arg(folder.write("password", format!("{}\n", account.password))?);
        command.args(["--jid", account.jid.as_str(), "--port", &server.ports().direct.to_string()]);
        command.arg("--ca-file").arg(&server.certificate().certificate_file);
        if kind == Kind::Omemo {
            command.arg("--storage").arg(folder.join("keys.json"));
        }
        command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = crate::process::spawn(command).with_context(|| format!("cannot start {name}"))?;
        let (sender, lines) = mpsc::unbounded_channel();
        let output = child.stdout.take().context("it has no output")?;
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else { continue };
                // The receiver is gone when the test has ended.
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let log = Log::default();
        log.follow(child.stderr.take().context("it has no second output")?);
        let input = child.stdin.take().context("it has no input")?;
        Ok(Self { child, input, lines, kept: VecDeque::new(), orders: 0, log })
    }
}

/// Returns what the client calls a namespace.
fn short(namespace: &str) -> &'static str {
    if namespace == AXOLOTL { "axolotl" } else { "omemo2" }
}
