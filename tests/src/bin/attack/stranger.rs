//! A client of NATS that logs in as parlor does, and has no key of the cluster. It speaks the protocol by itself, so that it may
//! say anything.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stage::SOON;

/// A message that came on a subject to which the client listens.
pub(crate) struct Heard {
    pub(crate) subject: String,
    pub(crate) body: Vec<u8>,
}

/// The connection to NATS.
pub(crate) struct Stranger {
    stream: BufReader<TcpStream>,
    heard: VecDeque<Heard>,
    subscriptions: u32,
}

impl Stranger {
    /// Connects to the server on this port.
    pub(crate) async fn connect(port: u16) -> Result<Self> {
        let stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
        let mut stranger = Self { stream, heard: VecDeque::new(), subscriptions: 0 };
        stranger.write(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n").await?;
        stranger.flush().await?;
        Ok(stranger)
    }

    /// Sends a message. Nobody says what becomes of it.
    pub(crate) async fn send(&mut self, subject: &str, body: &[u8]) -> Result<()> {
        self.send_with(subject, "", body).await
    }

    /// Listens to a subject.
    pub(crate) async fn listen(&mut self, subject: &str) -> Result<()> {
        self.subscriptions += 1;
        let line = format!("SUB {subject} {}\r\n", self.subscriptions);
        self.write(line.as_bytes()).await?;
        self.flush().await
    }

    /// Waits until the server has handled everything that was sent. Returns what came meanwhile and before.
    pub(crate) async fn take_all(&mut self) -> Result<Vec<Heard>> {
        self.flush().await?;
        Ok(self.heard.drain(..).collect())
    }

    /// Writes a record into a stream, whatever is there. Returns the server's answer.
    pub(crate) async fn put(&mut self, subject: &str, body: &[u8]) -> Result<Value> {
        let answer = self.ask(subject, body).await?;
        serde_json::from_slice(&answer).with_context(|| format!("NATS says {}", String::from_utf8_lossy(&answer)))
    }

    /// Writes a record, and checks that the server has it.
    pub(crate) async fn plant(&mut self, subject: &str, body: &[u8]) -> Result<()> {
        let answer = self.put(subject, body).await?;
        ensure!(answer["error"].is_null() && answer["seq"].is_u64(), "NATS does not take it: {answer}");
        Ok(())
    }

    /// Returns the last record of a subject.
    pub(crate) async fn last(&mut self, stream: &str, subject: &str) -> Result<Vec<u8>> {
        let question = json!({ "last_by_subj": subject }).to_string();
        let answer = self.put(&format!("$JS.API.STREAM.MSG.GET.{stream}"), question.as_bytes()).await?;
        let data = answer["message"]["data"].as_str().with_context(|| format!("no record: {answer}"))?;
        Ok(BASE64_STANDARD.decode(data)?)
    }

    /// Sends a request, and returns the first answer.
    async fn ask(&mut self, subject: &str, body: &[u8]) -> Result<Vec<u8>> {
        let inbox = format!("_INBOX.stranger.{:016x}", rand::random::<u64>());
        self.listen(&inbox).await?;
        self.send_with(subject, &inbox, body).await?;
        let answer = async {
            loop {
                if let Some(at) = self.heard.iter().position(|one| one.subject == inbox)
                    && let Some(answer) = self.heard.remove(at)
                {
                    return Ok(answer.body);
                }
                self.read().await?;
            }
        };
        timeout(SOON, answer).await.context("NATS does not answer")?
    }

    async fn send_with(&mut self, subject: &str, reply: &str, body: &[u8]) -> Result<()> {
        let line = format!("PUB {subject} {reply} {}\r\n", body.len());
        self.write(&[line.as_bytes(), body, b"\r\n"].concat()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(bytes).await.context("NATS has ended the connection")
    }

    /// Waits until the server has handled everything that was sent.
    async fn flush(&mut self) -> Result<()> {
        self.write(b"PING\r\n").await?;
        let answered = async {
            while !self.read().await? {}
            Ok(())
        };
        timeout(SOON, answered).await.context("NATS does not answer")?
    }

    /// Reads what comes next. Returns whether it is the answer to a ping.
    async fn read(&mut self) -> Result<bool> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line).await? > 0, "NATS has ended the connection");
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["PONG"] => return Ok(true),
            ["PING"] => self.write(b"PONG\r\n").await?,
            ["MSG", subject, .., size] => {
                let size: usize = size.parse().with_context(|| format!("not a size: {line}"))?;
                // A line ends it.
                let mut body = vec![0; size + 2];
                self.stream.read_exact(&mut body).await?;
                body.truncate(size);
                self.heard.push_back(Heard { subject: subject.to_owned(), body });
            }
            ["INFO" | "+OK", ..] => {}
            _ => bail!("NATS says {line}"),
        }
        Ok(false)
    }
}
