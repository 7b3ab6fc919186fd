//! Parses HTTP answers for BOSH and for the opening of `WebSocket`s: the head, and a body that ends by length, by chunks or with
//! the connection.
//!
//! A library does not tell when a request was written, and BOSH measures the pause to the next one from there.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The maximum number of headers in an answer.
const MOST_HEADERS: usize = 100;
/// The maximum length of a head, in bytes.
const LONGEST_HEAD: usize = 32 << 10;
/// The maximum number of interim answers (1xx) before the final one.
const MOST_FOREWORDS: usize = 8;
/// The maximum length of the line before a chunk, in bytes.
const LONGEST_LINE: usize = 1 << 10;

/// A connection to a server, with the bytes that were read but not yet parsed.
pub(crate) struct Wire<S> {
    stream: S,
    bytes: Vec<u8>,
}

/// The head of an answer.
pub(crate) struct Head {
    /// The status code (RFC 9110, section 15).
    pub(crate) status: u16,
    /// The reason phrase of the status line.
    pub(crate) reason: String,
    /// The headers, with lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    /// Whether the server speaks HTTP/1.1.
    is_current: bool,
}

impl Head {
    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns what a header lists, in all its lines (RFC 9110, section 5.3).
    fn listed<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        let lines = self.headers.iter().filter(move |(known, _)| known == name);
        lines.flat_map(|(_, value)| value.split(',')).map(str::trim)
    }

    /// Returns whether the connection can carry another request after this body (RFC 9112, section 9.3).
    pub(crate) fn keeps_open(&self) -> bool {
        let says_its_end = self.header("content-length").or_else(|| self.header("transfer-encoding")).is_some();
        self.is_current && says_its_end && !self.listed("connection").any(|word| word.eq_ignore_ascii_case("close"))
    }

    /// Returns the length of the body, if the head says it. Some proxies repeat it (RFC 9112, section 6.3).
    fn length(&self) -> Result<Option<u64>, String> {
        let mut said = self.listed("content-length");
        let Some(first) = said.next() else { return Ok(None) };
        let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
        let length = first.parse().ok().filter(|_| is_number).ok_or("its length is no number")?;
        if said.any(|other| other != first) {
            return Err("it has more than one length".to_owned());
        }
        Ok(Some(length))
    }
}

/// An error from reading a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoBody {
    /// The body is larger than allowed.
    TooLarge,
    /// The body has this coding, which is not supported.
    Compressed(String),
    /// The body is incomplete or malformed.
    Broken(String),
}

impl From<String> for NoBody {
    fn from(cause: String) -> Self {
        Self::Broken(cause)
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Sends a request.
    pub(crate) async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Wraps a connection from which nothing was read yet.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, bytes: Vec::new() }
    }

    /// Returns whether the server sent more than the answer. Such a connection cannot be reused.
    pub(crate) fn has_more(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Returns the connection and the unparsed bytes, for a switch to a protocol other than HTTP.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.bytes)
    }

    /// Reads the body that belongs to this head, at most `most` bytes.
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) async fn body(&mut self, head: &Head, most: usize) -> Result<Vec<u8>, NoBody> {
        let mut body = Vec::new();
        self.each_part(head, most as u64, |part| {
            if part.len() > most - body.len() {
                return Err(NoBody::TooLarge);
            }
            body.extend_from_slice(part);
            Ok(())
        })
        .await?;
        Ok(body)
    }

    /// Passes the body that belongs to this head to `take` part by part, as it arrives. Fails if the server announces
    /// more than `most` bytes.
    pub(crate) async fn each_part(
        &mut self,
        head: &Head,
        most: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), NoBody>,
    ) -> Result<(), NoBody> {
        let is_packed = |coding: &&str| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity");
        if let Some(coding) = head.listed("content-encoding").find(is_packed) {
            return Err(NoBody::Compressed(coding.to_owned()));
        }
        let transfer: Vec<&str> = head.listed("transfer-encoding").filter(|coding| !coding.is_empty()).collect();
        match transfer.as_slice() {
            [] => {
                let length = head.length()?;
                if length.is_some_and(|length| length > most) {
                    return Err(NoBody::TooLarge);
                }
                self.rest(length, &mut take).await
            }
            // The chunks count, whatever length is said beside them.
            [coding] if coding.eq_ignore_ascii_case("chunked") => self.chunks(most, &mut take).await,
            _ => Err(NoBody::Compressed(transfer.join(", "))),
        }
    }

    /// Reads more bytes; returns false at the end of the connection.
    async fn more(&mut self) -> Result<bool, String> {
        match self.stream.read_buf(&mut self.bytes).await {
            Ok(read) => Ok(read > 0),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err("the connection was cut".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Reads the head of the final answer. Interim answers have no body and are skipped, requested or not (RFC 9110,
    /// section 15.2). Status 101 is returned, because the connection speaks another protocol after it.
    pub(crate) async fn head(&mut self) -> Result<Head, String> {
        for _ in 0..=MOST_FOREWORDS {
            let head = self.next_head().await?;
            if !matches!(head.status, 100 | 102..=199) {
                return Ok(head);
            }
        }
        Err("it announces an answer again and again, and gives none".to_owned())
    }

    async fn next_head(&mut self) -> Result<Head, String> {
        let mut config = httparse::ParserConfig::default();
        config.allow_obsolete_multiline_headers_in_responses(true);
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut parsed = httparse::Response::new(&mut headers);
            match config.parse_response(&mut parsed, &self.bytes) {
                Ok(httparse::Status::Complete(length)) => {
                    let headers = parsed.headers.iter();
                    let headers = headers.map(|header| (header.name.to_ascii_lowercase(), unfolded(header.value)));
                    let head = Head {
                        status: parsed.code.unwrap_or_default(),
                        reason: parsed.reason.unwrap_or_default().to_owned(),
                        headers: headers.collect(),
                        is_current: parsed.version == Some(1),
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

    /// Reads a body of this length, or up to the end of the connection.
    async fn rest(
        &mut self,
        length: Option<u64>,
        take: &mut impl FnMut(&[u8]) -> Result<(), NoBody>,
    ) -> Result<(), NoBody> {
        if let Some(length) = length {
            return self.exactly(length, take).await;
        }
        loop {
            take(&self.bytes)?;
            self.bytes.clear();
            if !self.more().await? {
                return Ok(());
            }
        }
    }

    /// Passes exactly `left` bytes to `take`.
    async fn exactly(
        &mut self,
        mut left: u64,
        take: &mut impl FnMut(&[u8]) -> Result<(), NoBody>,
    ) -> Result<(), NoBody> {
        loop {
            let amount = usize::try_from(left).unwrap_or(usize::MAX).min(self.bytes.len());
            if amount > 0 {
                take(&self.bytes[..amount])?;
                self.bytes.drain(..amount);
                left -= amount as u64;
            }
            if left == 0 {
                return Ok(());
            }
            if !self.more().await? {
                return Err("it ends too early".to_owned().into());
            }
        }
    }

    /// Reads a chunked body (RFC 9112, section 7.1) and ignores its trailer fields.
    async fn chunks(
        &mut self,
        mut left: u64,
        take: &mut impl FnMut(&[u8]) -> Result<(), NoBody>,
    ) -> Result<(), NoBody> {
        loop {
            let (line, size) = loop {
                match httparse::parse_chunk_size(&self.bytes) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) if self.bytes.len() < LONGEST_LINE => {}
                    Ok(_) | Err(_) => return Err("a part of it has no size".to_owned().into()),
                }
                if !self.more().await? {
                    return Err("it ends too early".to_owned().into());
                }
            };
            self.bytes.drain(..line);
            if size == 0 {
                self.trailer().await?;
                return Ok(());
            }
            left = left.checked_sub(size).ok_or(NoBody::TooLarge)?;
            self.exactly(size, take).await?;
            while self.bytes.len() < 2 {
                if !self.more().await? {
                    return Err("it ends too early".to_owned().into());
                }
            }
            if !self.bytes.starts_with(b"\r\n") {
                return Err("a part of it is longer than it says".to_owned().into());
            }
            self.bytes.drain(..2);
        }
    }

    /// Skips the trailer fields behind the last chunk, and the empty line that ends them.
    async fn trailer(&mut self) -> Result<(), String> {
        let mut passed = 0;
        loop {
            if let Some(end) = self.bytes.windows(2).position(|two| two == b"\r\n") {
                self.bytes.drain(..end + 2);
                if end == 0 {
                    return Ok(());
                }
                passed += end;
                if passed > LONGEST_HEAD {
                    return Err("what follows it does not end".to_owned());
                }
            } else if self.bytes.len() > LONGEST_LINE {
                return Err("what follows it does not end".to_owned());
            } else if !self.more().await? {
                // The connection ended, but the body is complete.
                return Ok(());
            }
        }
    }
}

/// Returns the value of a header as one line. Old servers break a long one into several (RFC 9112, section 5.2).
fn unfolded(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if !text.contains(['\r', '\n']) {
        return text.into_owned();
    }
    let lines = text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the body of an answer with these headers.
    async fn body(header: &str, text: &str, most: usize) -> Result<Vec<u8>, NoBody> {
        let answer = format!("HTTP/1.1 200 OK\r\n{header}\r\n{text}");
        let mut wire = Wire::new(answer.as_bytes());
        let head = wire.head().await.unwrap();
        wire.body(&head, most).await
    }

    async fn chunks(text: &str, most: usize) -> Result<Vec<u8>, NoBody> {
        body("transfer-encoding: chunked\r\n", text, most).await
    }

    async fn rest(text: &str, length: Option<usize>, most: usize) -> Result<Vec<u8>, NoBody> {
        body(&length.map(|length| format!("content-length: {length}\r\n")).unwrap_or_default(), text, most).await
    }

    #[tokio::test]
    async fn a_body_ends_where_it_says() {
        assert_eq!(rest("abcdef", Some(4), 10).await, Ok(b"abcd".to_vec()));
        assert_eq!(rest("abcd", None, 4).await, Ok(b"abcd".to_vec()));
        assert_eq!(rest("abcde", None, 4).await, Err(NoBody::TooLarge));
        assert_eq!(rest("", Some(5), 4).await, Err(NoBody::TooLarge));
        assert!(rest("abc", Some(4), 10).await.is_err());
        assert_eq!(chunks("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 5).await, Ok(b"abcde".to_vec()));
        assert_eq!(chunks("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", 5).await, Err(NoBody::TooLarge));
        assert_eq!(chunks("ffffffffffffffff\r\n", 5).await, Err(NoBody::TooLarge));
        for bad in ["3\r\nabcd\r\n0\r\n\r\n", "3\r\nab", "x\r\n", "3\r\nabc\r\n", ""] {
            assert!(chunks(bad, 50).await.is_err(), "{bad:?}");
        }
    }

    /// RFC 9110, section 5.3, and RFC 9112, section 6.3.
    #[tokio::test]
    async fn all_lines_of_a_header_say_where_a_body_ends() {
        for twice in ["content-length: 3\r\ncontent-length: 3\r\n", "content-length: 3, 3\r\n"] {
            assert_eq!(body(twice, "abcd", 10).await, Ok(b"abc".to_vec()), "{twice}");
        }
        for odd in ["3\r\ncontent-length: 4", "3, 4", "3,", "+3", "", "0x3", "99999999999999999999"] {
            let read = body(&format!("content-length: {odd}\r\n"), "abcd", 10).await;
            assert!(matches!(read, Err(NoBody::Broken(_))), "{odd}: {read:?}");
        }
        for packed in
            ["content-encoding: identity\r\ncontent-encoding", "transfer-encoding: chunked\r\ntransfer-encoding"]
        {
            let read = body(&format!("{packed}: gzip\r\n"), "0\r\n\r\n", 10).await;
            assert!(matches!(read, Err(NoBody::Compressed(_))), "{packed}: {read:?}");
        }
        assert_eq!(body("content-encoding:\r\ncontent-length: 3\r\n", "abcd", 10).await, Ok(b"abc".to_vec()));
        let both = "content-length: 99\r\ntransfer-encoding: chunked\r\n";
        assert_eq!(body(both, "3\r\nabc\r\n0\r\n\r\n", 10).await, Ok(b"abc".to_vec()));
    }

    #[tokio::test]
    async fn what_follows_the_last_chunk_is_bounded() {
        let after = async |lines: usize| chunks(&format!("1\r\na\r\n0\r\n{}\r\n", "x: y\r\n".repeat(lines)), 5).await;
        assert_eq!(after(2).await, Ok(b"a".to_vec()));
        assert!(matches!(after(LONGEST_HEAD).await, Err(NoBody::Broken(_))));
    }

    /// RFC 9112, section 9.3.
    #[tokio::test]
    async fn a_connection_that_the_server_closes_takes_no_more_requests() {
        for (lines, expected) in [
            ("", true),
            ("connection: keep-alive\r\n", true),
            ("connection: x, Close\r\n", false),
            ("connection: keep-alive\r\nConnection: close\r\n", false),
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{lines}\r\n");
            let head = Wire::new(answer.as_bytes()).head().await.unwrap();
            assert_eq!(head.keeps_open(), expected, "{lines}");
        }
    }

    /// RFC 9112, section 5.2.
    #[tokio::test]
    async fn a_header_that_was_broken_into_lines_is_one_line() {
        let answer = b"HTTP/1.1 200 OK\r\nx-folded: a\r\n\tb\r\n  c\r\ncontent-length: 3\r\n\r\nabc";
        let mut wire = Wire::new(&answer[..]);
        let head = wire.head().await.unwrap();
        assert_eq!(head.header("x-folded"), Some("a b c"));
        assert_eq!(wire.body(&head, 3).await, Ok(b"abc".to_vec()));
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

    #[tokio::test]
    async fn what_comes_before_an_answer_is_passed_over_and_not_for_ever() {
        const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
        let said = format!("HTTP/1.1 100 Continue\r\n\r\n{HINTS}HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
        let mut wire = Wire::new(said.as_bytes());
        let head = wire.head().await.unwrap();
        assert_eq!((head.status, head.header("link")), (200, None));
        assert_eq!(wire.body(&head, 3).await, Ok(b"abc".to_vec()));
        let endless = HINTS.repeat(MOST_FOREWORDS + 1);
        let error = Wire::new(endless.as_bytes()).head().await.err();
        assert_eq!(error.as_deref(), Some("it announces an answer again and again, and gives none"));
        let other = Wire::new(&b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"[..]).head().await.unwrap();
        assert_eq!(other.status, 101);
    }
}
