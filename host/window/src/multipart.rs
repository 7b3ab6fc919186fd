//! Forms with files (RFC 7578), read as they come: no more than a part of the file is in memory.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::problem::Problem;

/// The longest head of a part, in bytes.
const LONGEST_HEAD: usize = 8 << 10;
/// The longest boundary, in bytes (RFC 2046, section 5.1.1).
const LONGEST_BOUNDARY: usize = 70;
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body of several parts.
pub(crate) struct Multipart {
    body: Body,
    /// Bytes that were read and not used yet.
    buffer: Vec<u8>,
    /// The bytes between two parts.
    delimiter: Vec<u8>,
    /// How much may still be read, in bytes.
    left: usize,
    /// Whether a delimiter was read, and nothing behind it.
    is_between: bool,
}

/// The name of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) field: String,
    /// The name of the file, if the part is one. A stranger may have chosen it.
    pub(crate) file: Option<String>,
}

impl Multipart {
    /// Begins to read a body of at most `most` bytes.
    pub(crate) fn new(headers: &HeaderMap, body: Body, most: usize) -> Result<Self, Problem> {
        let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        let boundary = boundary(media).ok_or_else(|| Problem::wrong("what was sent is no form with a file"))?;
        // The first delimiter has no line before it.
        let (buffer, delimiter) = (b"\r\n".to_vec(), format!("\r\n--{boundary}").into_bytes());
        Ok(Self { body, buffer, delimiter, left: most, is_between: false })
    }

    /// Moves to the next part. Returns `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Head>, Problem> {
        self.rest(|_| Ok(())).await?;
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        if self.buffer.starts_with(b"--") {
            return Ok(None);
        }
        if !self.buffer.starts_with(b"\r\n") {
            return Err(malformed());
        }
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head = String::from_utf8(self.buffer.drain(..end).collect()).map_err(|_| malformed())?;
                self.buffer.drain(..4);
                self.is_between = false;
                return head_of(&head).map(Some).ok_or_else(malformed);
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err(malformed());
            }
            self.fill().await?;
        }
    }

    /// Hands the rest of the present part to `take`, piece by piece.
    pub(crate) async fn rest(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), Problem>) -> Result<(), Problem> {
        while !self.is_between {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                take(&self.buffer[..at])?;
                self.buffer.drain(..at + self.delimiter.len());
                self.is_between = true;
                break;
            }
            // The end may be the beginning of a delimiter.
            let sure = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            take(&self.buffer[..sure])?;
            self.buffer.drain(..sure);
            self.fill().await?;
        }
        Ok(())
    }

    /// Reads more of the body.
    async fn fill(&mut self) -> Result<(), Problem> {
        loop {
            let frame = timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.map_err(|_| Problem::new(408, "no more of the file arrived: send it again"))?;
            let frame = frame.ok_or_else(malformed)?.map_err(|_| malformed())?;
            // Trailers are of no use to anybody.
            let Ok(data) = frame.into_data() else { continue };
            self.left = self.left.checked_sub(data.len()).ok_or_else(too_large)?;
            if !data.is_empty() {
                self.buffer.extend_from_slice(&data);
                return Ok(());
            }
        }
    }
}

pub(crate) fn too_large() -> Problem {
    Problem::new(413, "the file is too large")
}

fn malformed() -> Problem {
    Problem::wrong("the form broke off, or is none: send it again")
}

/// Returns where a text begins in another.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Returns the boundary of a type of content.
fn boundary(media: &str) -> Option<&str> {
    let (media, parameters) = media.split_once(';')?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let boundary = boundary.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"')).unwrap_or(boundary);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    let is_one = (1..=LONGEST_BOUNDARY).contains(&boundary.len()) && boundary.bytes().all(is_plain);
    is_one.then_some(boundary)
}

/// Reads the head of a part. Browsers write quotes and line ends in names as `%22`, `%0D` and `%0A`.
fn head_of(head: &str) -> Option<Head> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut dispositions = lines.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    let (_, value) = dispositions.next()?;
    let parameters = value.trim().strip_prefix("form-data")?;
    Some(Head { field: parameter(parameters, "name")?, file: parameter(parameters, "filename") })
}

/// Returns a quoted parameter.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let begin = format!("; {name}=\"");
    let at = parameters.find(&begin)? + begin.len();
    let (value, _) = parameters[at..].split_once('"')?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    type Part = (Head, Vec<u8>);

    /// Reads a body that comes in pieces of these sizes.
    async fn read(body: &[u8], sizes: &[usize], most: usize) -> Result<Vec<Part>, u16> {
        let (mut pieces, mut rest) = (Vec::new(), body);
        for size in sizes.iter().chain(std::iter::repeat(&7)) {
            if rest.is_empty() {
                break;
            }
            let (piece, more) = rest.split_at((*size).min(rest.len()));
            pieces.push(Ok::<_, Infallible>(piece.to_vec()));
            rest = more;
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "multipart/form-data; boundary=----x".parse().unwrap());
        let parts = async {
            let mut multipart = Multipart::new(&headers, Body::from_stream(stream::iter(pieces)), most)?;
            let mut parts = Vec::new();
            while let Some(head) = multipart.next().await? {
                let mut text = Vec::new();
                let take = |piece: &[u8]| {
                    text.extend_from_slice(piece);
                    Ok(())
                };
                multipart.rest(take).await?;
                parts.push((head, text));
            }
            Ok(parts)
        };
        parts.await.map_err(|problem: Problem| problem.status)
    }

    fn body(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, file, text) in parts {
            let file = file.map(|file| format!("; filename=\"{file}\"\r\nContent-Type: x")).unwrap_or_default();
            body.extend(format!("------x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
            body.extend(*text);
            body.extend(b"\r\n");
        }
        body.extend(b"------x--\r\n");
        body
    }

    proptest! {
        #[test]
        fn parts_are_read_however_they_come(
            text in proptest::collection::vec(prop::sample::select(&b"\r\n-xab"[..]), 0..60),
            sizes in proptest::collection::vec(0_usize..9, 0..40),
        ) {
            prop_assume!(find(&text, b"\r\n------x").is_none());
            let body = body(&[("csrf", None, b"t"), ("file", Some("a.wasm"), &text), ("more", None, b"")]);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let parts = runtime.block_on(read(&body, &sizes, body.len())).unwrap();
            let texts: Vec<_> = parts.iter().map(|(head, text)| (head.field.as_str(), text.as_slice())).collect();
            prop_assert_eq!(texts, [("csrf", &b"t"[..]), ("file", text.as_slice()), ("more", &b""[..])]);
            prop_assert_eq!(parts[1].0.file.as_deref(), Some("a.wasm"));
        }

        #[test]
        fn nonsense_ends(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            prop_assert!(runtime.block_on(read(&body, &[], 1 << 10)).is_err());
        }
    }

    #[tokio::test]
    async fn a_body_is_bounded_and_whole() {
        let whole = body(&[("a", None, &[b'x'; 1_000])]);
        assert_eq!(read(&whole, &[], 500).await, Err(413));
        assert_eq!(read(&whole[..600], &[], 5_000).await, Err(400));
        assert!(read(&whole, &[], 5_000).await.is_ok());
    }

    #[test]
    fn a_boundary_is_one() {
        assert_eq!(
            boundary("multipart/form-data; boundary=----WebKitFormBoundaryA1"),
            Some("----WebKitFormBoundaryA1")
        );
        assert_eq!(boundary("Multipart/Form-Data; charset=x; boundary=\"a b\""), None);
        assert_eq!(boundary("multipart/form-data; boundary=\"a:b\""), Some("a:b"));
        for wrong in ["", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=a"] {
            assert_eq!(boundary(wrong), None, "{wrong}");
        }
    }
}
