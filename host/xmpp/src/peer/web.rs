//! The scripted server as a web server: pages, WebSocket, and portals.

use parlor_config::LinkSettings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response as Upgraded};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::Peer;

/// A connection of a web server, which sends what a test wants.
pub struct Page {
    stream: TlsStream<TcpStream>,
    bytes: Vec<u8>,
}

impl Page {
    /// Returns the body of the next request; `None` if there are no more.
    pub async fn hear(&mut self) -> Option<String> {
        loop {
            let text = String::from_utf8_lossy(&self.bytes).into_owned();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let length: usize = length.parse().unwrap();
                if rest.len() >= length {
                    self.bytes.drain(..head.len() + 4 + length);
                    return Some(rest[..length].to_owned());
                }
            }
            if self.stream.read_buf(&mut self.bytes).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Answers with this status and body.
    pub async fn say(&mut self, status: &str, body: &str) {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.say_raw(answer.as_bytes()).await;
    }

    /// Answers with these bytes.
    pub async fn say_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }
}

impl Peer {
    /// Accepts the next connection as a web server.
    pub async fn accept_page(&self) -> Page {
        let stream = self.acceptor.accept(self.accept_socket().await).await.unwrap();
        Page { stream, bytes: Vec::new() }
    }

    /// Accepts the next connection as a WebSocket (RFC 7395).
    pub async fn accept_websocket(&self) -> WebSocketStream<TlsStream<TcpStream>> {
        let stream = self.acceptor.accept(self.accept_socket().await).await.unwrap();
        #[expect(clippy::result_large_err, reason = "it is the library's")]
        let speaks_xmpp = |_: &Request, mut response: Upgraded| {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("xmpp"));
            Ok(response)
        };
        accept_hdr_async(stream, speaks_xmpp).await.unwrap()
    }

    /// Returns settings that lead to this server over WebSocket.
    pub fn over_websocket(&self) -> LinkSettings {
        let url = format!("wss://localhost:{}/ws", self.port());
        LinkSettings { websocket: Some(url.parse().unwrap()), ..self.settings() }
    }

    /// Answers one request like a web server that knows nothing about XMPP.
    pub async fn answer_like_a_portal(&self) {
        self.answer_web("200 OK", "<html>Please log in to the network</html>").await;
    }

    /// Answers one request without a body with this status and body. Returns its head.
    pub async fn answer_web(&self, status: &str, body: &str) -> String {
        let mut stream = self.acceptor.accept(self.accept_socket().await).await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        String::from_utf8(request).unwrap()
    }
}
