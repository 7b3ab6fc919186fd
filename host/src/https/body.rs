//! The bytes of an answer: its head, and its body in one of the three ways in which its end is told.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::MOST_HEADERS;

/// How long a head may be, in bytes.
const LONGEST_HEAD: usize = 32 << 10;
/// How long the line before a chunk may be.
const LONGEST_LINE: usize = 1 << 10;

/// What comes from a server, and what of it was not looked at yet.
pub(super) struct Wire<S> {
    stream: S,
    bytes: Vec<u8>,
}

/// How an answer begins.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: Vec<(String, String)>,
}

impl<S: AsyncRead + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, bytes: Vec::new() }
    }

    /// Waits for more; false at the end.
    async fn more(&mut self) -> Result<bool, String> {
        match self.stream.read_buf(&mut self.bytes).await {
            Ok(read) => Ok(read > 0),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err("the connection was cut".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) async fn head(&mut self) -> Result<Head, String> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut parsed = httparse::Response::new(&mut headers);
            match parsed.parse(&self.bytes) {
                Ok(httparse::Status::Complete(length)) => {
                    let headers = parsed.headers.iter().map(|header| {
                        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
                    });
                    let head = Head {
                        status: parsed.code.unwrap_or_default(),
                        reason: parsed.reason.unwrap_or_default().to_owned(),
                        headers: headers.collect(),
                    };
                    self.bytes.drain(..length);
                    return Ok(head);
                }
                Ok(httparse::Status::Partial) if self.bytes.len() < LONGEST_HEAD => {}
                Ok(httparse::Status::Partial) => return Err("its head does not end".to_owned()),
                Err(error) => return Err(format!("it is no HTTP: {error}")),
            }
            if !self.more().await? {
                return Err("it ends in its head".to_owned());
            }
        }
    }

    /// A body of this length, or up to the end of the connection. None: there is too much of it.
    pub(super) async fn rest(mut self, length: Option<usize>, most: usize) -> Result<Option<Vec<u8>>, String> {
        if length.is_some_and(|length| length > most) {
            return Ok(None);
        }
        while self.bytes.len() < length.unwrap_or(most + 1) {
            if !self.more().await? {
                if length.is_some() {
                    return Err("it ends too early".to_owned());
                }
                break;
            }
        }
        if let Some(length) = length {
            self.bytes.truncate(length);
        }
        Ok((self.bytes.len() <= most).then_some(self.bytes))
    }

    /// A body in chunks (RFC 9112, section 7.1); what comes behind them is of no interest. None: there is too much of it.
    pub(super) async fn chunks(mut self, most: usize) -> Result<Option<Vec<u8>>, String> {
        let mut body = Vec::new();
        loop {
            let (line, size) = loop {
                match httparse::parse_chunk_size(&self.bytes) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) if self.bytes.len() < LONGEST_LINE => {}
                    Ok(_) | Err(_) => return Err("a part of it has no size".to_owned()),
                }
                if !self.more().await? {
                    return Err("it ends too early".to_owned());
                }
            };
            if size == 0 {
                return Ok(Some(body));
            }
            let size = match usize::try_from(size) {
                Ok(size) if size <= most.saturating_sub(body.len()) => size,
                Ok(_) | Err(_) => return Ok(None),
            };
            let end = line + size;
            while self.bytes.len() < end + 2 {
                if !self.more().await? {
                    return Err("it ends too early".to_owned());
                }
            }
            if &self.bytes[end..end + 2] != b"\r\n" {
                return Err("a part of it is longer than it says".to_owned());
            }
            body.extend_from_slice(&self.bytes[line..end]);
            self.bytes.drain(..end + 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn chunks(text: &str, most: usize) -> Result<Option<Vec<u8>>, String> {
        Wire::new(text.as_bytes()).chunks(most).await
    }

    async fn rest(text: &str, length: Option<usize>, most: usize) -> Result<Option<Vec<u8>>, String> {
        Wire::new(text.as_bytes()).rest(length, most).await
    }

    #[tokio::test]
    async fn a_body_ends_where_it_says() {
        assert_eq!(rest("abcdef", Some(4), 10).await, Ok(Some(b"abcd".to_vec())));
        assert_eq!(rest("abcd", None, 4).await, Ok(Some(b"abcd".to_vec())));
        assert_eq!(rest("abcde", None, 4).await, Ok(None));
        assert_eq!(rest("", Some(5), 4).await, Ok(None));
        assert!(rest("abc", Some(4), 10).await.is_err());
        assert_eq!(chunks("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 5).await, Ok(Some(b"abcde".to_vec())));
        assert_eq!(chunks("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", 5).await, Ok(None));
        assert_eq!(chunks("ffffffffffffffff\r\n", 5).await, Ok(None));
        for bad in ["3\r\nabcd\r\n0\r\n\r\n", "3\r\nab", "x\r\n", "3\r\nabc\r\n", ""] {
            assert!(chunks(bad, 50).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_head_is_bounded() {
        let mut wire = Wire::new(&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"[..]);
        let head = wire.head().await.unwrap();
        assert_eq!((head.status, head.headers), (200, vec![("content-length".to_owned(), "3".to_owned())]));
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LONGEST_HEAD));
        assert_eq!(Wire::new(long.as_bytes()).head().await.err().as_deref(), Some("its head does not end"));
        assert!(Wire::new(&b"hello\r\n\r\n"[..]).head().await.is_err());
        assert!(Wire::new(&b"HTTP/1.1 200"[..]).head().await.is_err());
    }
}
