//! The server's end of a component's stream, which follows a script.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Waits for something that is immediate on an idle machine.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), work).await.expect("it comes soon")
}

/// The server's end of a stream.
pub(crate) struct Stream {
    tcp: TcpStream,
    /// What came and was not taken.
    pub(crate) read: String,
}

impl Stream {
    /// Accepts the component `bots.example.org`.
    pub(crate) async fn accept(listener: &TcpListener) -> Self {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = Self { tcp, read: String::new() };
        stream.until("to='bots.example.org'>").await;
        let header = "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' \
                      xmlns='jabber:component:accept' from='bots.example.org' id='1'>";
        stream.say(header).await;
        stream.until("</handshake>").await;
        stream.say("<handshake/>").await;
        stream
    }

    /// Takes everything up to the end of this text.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        soon(async {
            loop {
                if let Some(at) = self.read.find(end) {
                    let rest = self.read.split_off(at + end.len());
                    return std::mem::replace(&mut self.read, rest);
                }
                self.more().await;
            }
        })
        .await
    }

    /// Reads more. Cancel-safe.
    pub(crate) async fn more(&mut self) {
        let mut bytes = [0; 1_024];
        let length = self.tcp.read(&mut bytes).await.unwrap();
        assert!(length > 0, "the stream ended: {:?}", self.read);
        self.read.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.tcp.write_all(text.as_bytes()).await.unwrap();
    }
}
