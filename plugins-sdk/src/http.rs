//! Requests over the web, which the host makes for the plugin. Needs `http.fetch`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # #[derive(serde::Deserialize)]
//! # struct Weather { temperature: f64 }
//! # async fn example() -> Result<()> {
//! let city = "Castelfranco Veneto & Asolo";
//! let weather: Weather = http::get("https://api.example.org/weather?key={{api_key}}")
//!     .query("city", city)
//!     .credential("api_key")
//!     .send()
//!     .await?
//!     .success()?
//!     .json()?;
//! info!("{} degrees", weather.temperature);
//! http::post("https://hooks.example.org/notes").json(&json!({ "text": "hello" }))?.send().await?.success()?;
//! # Ok(()) }
//! ```
//!
//! Large bodies go in parts, and are never whole in memory:
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! let mut exchange = http::put("https://api.example.org/log").open().await?;
//! for day in 1..=31 {
//!     exchange.write(format!("day {day}\n")).await?;
//! }
//! let head = exchange.answer().await?.success()?;
//! info!("the server answered {}", head.status);
//! while let Some(part) = exchange.read().await? {
//!     info!("{} bytes", part.len());
//! }
//! # Ok(()) }
//! ```

use std::borrow::Cow;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::as_json;
use crate::bindings::parlor::plugin::http;
use crate::error::{Error, Result};
use crate::failure::{located, of_call};
use crate::fields::push_field;
use crate::timers;
use crate::turns::in_turn;

pub use crate::bindings::parlor::plugin::http::Header;

/// How many bytes the host takes of a body at once.
pub(crate) const MOST: usize = 1 << 20;

/// A request that [`Request::send`] makes, or [`Request::open`] begins.
#[derive(Debug, Clone)]
#[must_use = "a request is made by `send` or `open`"]
pub struct Request(http::Request);

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The status code (RFC 9110, section 15).
    pub status: u16,
    /// The address that answered, after all redirects.
    pub url: String,
    /// The headers, with their names in small letters.
    pub headers: Vec<Header>,
    /// The body.
    pub body: Vec<u8>,
}

/// Begins a request of the method GET.
pub fn get(url: impl Into<String>) -> Request {
    request("GET", url)
}

/// Begins a request of the method POST.
pub fn post(url: impl Into<String>) -> Request {
    request("POST", url)
}

/// Begins a request of the method PUT.
pub fn put(url: impl Into<String>) -> Request {
    request("PUT", url)
}

/// Begins a request of the method DELETE.
pub fn delete(url: impl Into<String>) -> Request {
    request("DELETE", url)
}

/// Begins a request of a method in capitals.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> Request {
    Request(http::Request {
        method: method.into(),
        url: url.into(),
        headers: Vec::new(),
        body: None,
        credentials: Vec::new(),
        follow: 0,
        timeout: None,
    })
}

impl Request {
    /// Adds a header. A `content-type` takes the place of an earlier one.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        add_header(&mut self.0.headers, name.into(), value.into());
        self
    }

    /// Adds a field to the query of the address, before a fragment. The name and the value may be any text, such as what a person wrote:
    /// they are encoded here, braces as well. So write the place of a credential, `{{name}}`, into the address.
    pub fn query(mut self, name: impl AsRef<str>, value: impl Display) -> Self {
        let url = &mut self.0.url;
        // A client does not send the fragment, the part from the # on (RFC 3986, section 3.5).
        let fragment = url.find('#').map(|at| url.split_off(at)).unwrap_or_default();
        url.push(if url.contains('?') { '&' } else { '?' });
        push_field(url, name.as_ref(), &value);
        url.push_str(&fragment);
        self
    }

    /// Lets the host replace `{{name}}` by a credential: a setting of the type `credential`. It does so in the parts of the request that
    /// `insert_in` in `plugin.toml` lists; without it, in headers and the query.
    pub fn credential(mut self, name: impl Into<String>) -> Self {
        self.0.credentials.push(name.into());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = Some(body.into());
        self
    }

    /// Sets the body to a value as JSON, with its `content-type` unless the request has one.
    ///
    /// [`Error::Other`]: it cannot be written as JSON.
    #[track_caller]
    pub fn json(self, value: &impl Serialize) -> Result<Self> {
        Ok(self.of_type("application/json").body(as_json::bytes(value)?))
    }

    /// Sets the body to the fields of a form without files, with its `content-type` unless the request has one. They are encoded as
    /// by [`Request::query`].
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # async fn example(song: &str) -> Result<()> {
    /// let fields = [("title", song), ("day", "today")];
    /// http::post("https://api.example.org/songs").fields(fields).send().await?.success()?;
    /// # Ok(()) }
    /// ```
    pub fn fields<N: AsRef<str>, V: Display>(self, fields: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut form = String::new();
        for (name, value) in fields {
            if !form.is_empty() {
                form.push('&');
            }
            push_field(&mut form, name.as_ref(), &value);
        }
        self.of_type("application/x-www-form-urlencoded").body(form)
    }

    /// Says of which media type the body is, unless the author has said it.
    fn of_type(self, media_type: &str) -> Self {
        let is_typed = named(&self.0.headers, CONTENT_TYPE).is_some();
        if is_typed { self } else { self.header(CONTENT_TYPE, media_type) }
    }

    /// Sets the body to a form of these parts, with its `content-type`, as browsers send files (RFC 7578).
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// use parlor_sdk::http::Part;
    ///
    /// # async fn example(picture: Vec<u8>) -> Result<()> {
    /// let parts = [Part::text("title", "The balcony"), Part::file("file", "balcony.png", "image/png", picture)];
    /// http::post("https://api.example.org/pictures").multipart(parts).send().await?.success()?;
    /// # Ok(()) }
    /// ```
    pub fn multipart(self, parts: impl IntoIterator<Item = Part>) -> Self {
        let parts: Vec<Part> = parts.into_iter().collect();
        let boundary = boundary(&parts);
        let mut body = Vec::new();
        for part in &parts {
            body.extend_from_slice(format!("--{boundary}\r\n{}\r\n\r\n", part.head).as_bytes());
            body.extend_from_slice(&part.content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        self.header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}")).body(body)
    }

    /// Follows at most this number of redirects, up to 10. [`Request::open`] follows none.
    pub fn follow(mut self, redirects: u8) -> Self {
        self.0.follow = redirects;
        self
    }

    /// Gives up after this time; after [`Request::open`], it bounds each wait separately.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.0.timeout = Some(timers::milliseconds(time).max(1));
        self
    }

    /// Makes the request, and waits for the whole answer. A status from 400 on is not an error here, see
    /// [`Response::success`].
    #[track_caller]
    pub fn send(self) -> impl Future<Output = Result<Response>> {
        located(async move {
            let Self(request) = self;
            let answer = in_turn(|| http::fetch(request.clone())).await;
            let answer = answer.map_err(of_call("http.fetch", without_query(&request.url)))?;
            let http::Response { status, url, headers, body } = answer;
            Ok(Response { status, url, headers, body })
        })
    }

    /// Begins the request, for bodies of any size: they are sent in parts, and are never completely in memory. Without
    /// [`Request::body`], the body consists of the parts for [`Exchange::write`].
    ///
    /// It counts among the limit `http_requests` until it is dropped, or its answer was read to the end. No redirect is
    /// followed. With a header `content-length`, exactly this number of bytes must be written: some servers require the
    /// header.
    #[track_caller]
    pub fn open(self) -> impl Future<Output = Result<Exchange>> {
        located(async move {
            let Self(request) = self;
            let server = without_query(&request.url).to_owned();
            let id = in_turn(|| http::open(request.clone())).await.map_err(of_call("http.open", &server))?;
            Ok(Exchange { id, server, is_over: false })
        })
    }
}

/// Returns an address without its query, which may have a secret of the plugin's own, and without its fragment, which is
/// the key of an encrypted file.
pub(crate) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// A part of a form, for [`Request::multipart`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its headers, without the line end of the last one.
    head: String,
    content: Vec<u8>,
}

impl Part {
    /// A field with a text.
    pub fn text(name: impl AsRef<str>, text: impl Into<String>) -> Self {
        let head = format!("content-disposition: form-data; name=\"{}\"", escaped(name.as_ref()));
        Self { head, content: text.into().into_bytes() }
    }

    /// A field with a file: the file's name, its media type and its bytes.
    pub fn file(
        name: impl AsRef<str>,
        file_name: impl AsRef<str>,
        media_type: impl AsRef<str>,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        let (name, file_name) = (escaped(name.as_ref()), escaped(file_name.as_ref()));
        // A line end in it would begin another header.
        let media_type = media_type.as_ref().replace(['\r', '\n'], " ");
        let disposition = format!("content-disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"");
        Self { head: format!("{disposition}\r\ncontent-type: {media_type}"), content: content.into() }
    }
}

/// Escapes a name for a header as browsers do (RFC 7578, section 4.2; the HTML standard, "multipart form data").
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// Returns a text that does not occur in the parts.
fn boundary(parts: &[Part]) -> String {
    // A hash of the parts, which no part can contain in advance: otherwise somebody could cause many failed attempts.
    let mut hasher = DefaultHasher::new();
    for part in parts {
        hasher.write(&part.content);
    }
    let hash = hasher.finish();
    let mut number = 0_u64;
    loop {
        let boundary = format!("parlor-{hash:016x}-{number}");
        let has = |text: &[u8]| text.windows(boundary.len()).any(|piece| piece == boundary.as_bytes());
        if !parts.iter().any(|part| has(part.head.as_bytes()) || has(&part.content)) {
            return boundary;
        }
        number += 1;
    }
}

/// A request whose bodies go in parts, after [`Request::open`]. Write the body, then wait for the answer, then read it. Dropping it
/// ends the request.
#[derive(Debug)]
pub struct Exchange {
    id: u64,
    server: String,
    /// The answer was read to its end.
    is_over: bool,
}

impl Exchange {
    /// Sends a part of the body, of any size. It waits while the server accepts no more.
    ///
    /// [`Error::Protocol`]: the server takes no more of it; it may have answered, so call [`Exchange::answer`]. [`Error::Invalid`]: that is
    /// more than its `content-length`. [`Error::NotFound`]: the body has ended.
    #[track_caller]
    pub fn write(&mut self, part: impl AsRef<[u8]>) -> impl Future<Output = Result<()>> {
        located(async move {
            for piece in part.as_ref().chunks(MOST) {
                let sent = in_turn(|| http::write(self.id, piece.to_vec())).await;
                sent.map_err(of_call("http.write", &self.server))?;
            }
            Ok(())
        })
    }

    /// Ends the body, and waits for the beginning of the answer. A status from 400 on is not an error here, see
    /// [`Head::success`].
    ///
    /// The errors are those of [`Request::send`]. [`Error::NotFound`]: it was answered. [`Error::Invalid`]: bytes of its `content-length` are
    /// missing, and it stays open.
    #[track_caller]
    pub fn answer(&mut self) -> impl Future<Output = Result<Head>> {
        located(async move {
            let answer = in_turn(|| http::answer(self.id)).await;
            let http::Head { status, headers } = answer.map_err(of_call("http.answer", &self.server))?;
            Ok(Head { status, headers })
        })
    }

    /// Reads the next part of the answer, of at most 64 KiB; none at its end. The server sends no more than is read.
    ///
    /// [`Error::NotFound`]: there was no [`Exchange::answer`] yet. A part that is in transit when the future is dropped
    /// is lost.
    #[track_caller]
    pub fn read(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>>> {
        located(async move {
            if self.is_over {
                return Ok(None);
            }
            let part = in_turn(|| http::read(self.id)).await.map_err(of_call("http.read", &self.server))?;
            self.is_over = part.is_none();
            Ok(part)
        })
    }

    /// Reads the rest of the answer into memory.
    ///
    /// [`Error::Other`]: it has more than `limit` bytes.
    #[track_caller]
    pub fn read_all(&mut self, limit: usize) -> impl Future<Output = Result<Vec<u8>>> {
        located(async move {
            let mut whole = Vec::new();
            while let Some(part) = self.read().await? {
                append(&mut whole, &part, limit)?;
            }
            Ok(whole)
        })
    }

    /// Ends the request, wherever it stands, as dropping it does.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.is_over {
            // An exchange that has ended need not be closed.
            let _ = http::close(self.id);
        }
    }
}

/// Appends a part to the others, up to a limit.
pub(crate) fn append(whole: &mut Vec<u8>, part: &[u8], limit: usize) -> Result<()> {
    if part.len() > limit.saturating_sub(whole.len()) {
        return Err(Error::other(format_args!("it has more than {limit} bytes")));
    }
    whole.extend_from_slice(part);
    Ok(())
}

/// The beginning of an answer, after [`Exchange::answer`].
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The status code (RFC 9110, section 15).
    pub status: u16,
    /// The headers, with their names in small letters.
    pub headers: Vec<Header>,
}

impl Head {
    /// Returns it, unless its status is 400 or more.
    ///
    /// [`Error::Other`] with the status.
    #[track_caller]
    pub fn success(self) -> Result<Self> {
        succeeded(self.status).map(|()| self)
    }

    /// Returns the first header of this name, however it is spelled.
    pub fn header(&self, name: &str) -> Option<&str> {
        named(&self.headers, name)
    }
}

/// Whether the status of an answer is below 400.
#[track_caller]
fn succeeded(status: u16) -> Result<()> {
    if status < 400 { Ok(()) } else { Err(Error::other(format_args!("the server answered {status}"))) }
}

/// The name of the header with the type of a body.
const CONTENT_TYPE: &str = "content-type";

/// Adds a header. A body has one type, so the last `content-type` counts.
pub(crate) fn add_header(headers: &mut Vec<Header>, name: String, value: String) {
    if name.eq_ignore_ascii_case(CONTENT_TYPE) {
        headers.retain(|one| !one.name.eq_ignore_ascii_case(CONTENT_TYPE));
    }
    headers.push(Header { name, value });
}

/// Returns the first header of this name, however it is spelled.
fn named<'h>(headers: &'h [Header], name: &str) -> Option<&'h str> {
    headers.iter().find(|one| one.name.eq_ignore_ascii_case(name)).map(|one| one.value.as_str())
}

impl Response {
    /// Returns the answer, unless its status is 400 or more.
    ///
    /// [`Error::Other`] with the status.
    #[track_caller]
    pub fn success(self) -> Result<Self> {
        succeeded(self.status).map(|()| self)
    }

    /// Returns the first header of this name, however it is spelled.
    pub fn header(&self, name: &str) -> Option<&str> {
        named(&self.headers, name)
    }

    /// Returns the body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Reads the body as JSON.
    ///
    /// [`Error::Other`]: it is none, or not of this type.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(without_mark(&self.body))?)
    }
}

/// Returns a body without the byte order mark that some servers write before JSON, and that readers may ignore (RFC 8259,
/// section 8.1).
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

#[cfg(test)]
mod tests;
