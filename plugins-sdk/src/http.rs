//! Requests over the web, which the host makes for the plugin. Needs `http.fetch`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # #[derive(serde::Deserialize)]
//! # struct Weather { temperature: f64 }
//! # async fn example() -> Result<()> {
//! let weather: Weather = http::get("https://api.example.org/weather?city=Verona&key={{api_key}}")
//!     .credential("api_key")
//!     .send()
//!     .await?
//!     .success()?
//!     .json()?;
//! info!("{} degrees", weather.temperature);
//! http::post("https://hooks.example.org/notes").json(&json!({ "text": "hello" }))?.send().await?.success()?;
//! # Ok(()) }
//! ```

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::parlor::plugin::http as wit;
use crate::error::{Error, Result};
use crate::failure::{located, of_call};
use crate::timers;
use crate::turns::in_turn;

pub use crate::bindings::parlor::plugin::http::Header;

/// A request that [`Request::send`] makes.
#[derive(Debug, Clone)]
#[must_use = "a request is made by `send`"]
pub struct Request(wit::Request);

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
    Request(wit::Request {
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
    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push(Header { name: name.into(), value: value.into() });
        self
    }

    /// Lets the host write a credential where `{{name}}` stands in headers, query and body: a setting of the type `credential`.
    pub fn credential(mut self, name: impl Into<String>) -> Self {
        self.0.credentials.push(name.into());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = Some(body.into());
        self
    }

    /// Sets the body to a value as JSON, with its `content-type`.
    ///
    /// [`Error::Other`]: it cannot be written as JSON.
    #[track_caller]
    pub fn json(self, value: &impl Serialize) -> Result<Self> {
        Ok(self.header("content-type", "application/json").body(serde_json::to_vec(value)?))
    }

    /// Follows at most so many redirects, 10 at most.
    pub fn follow(mut self, redirects: u8) -> Self {
        self.0.follow = redirects;
        self
    }

    /// Gives up after this time.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.0.timeout = Some(timers::milliseconds(time).max(1));
        self
    }

    /// Makes the request, and waits for the whole answer. A status from 400 on is no error here, see [`Response::success`].
    #[track_caller]
    pub fn send(self) -> impl Future<Output = Result<Response>> {
        located(async move {
            let Self(request) = self;
            // The query may have a secret of the plugin's own.
            let server = request.url.split('?').next().unwrap_or_default().to_owned();
            let answer = in_turn(|| wit::fetch(request.clone())).await.map_err(of_call("http.fetch", &server))?;
            let wit::Response { status, url, headers, body } = answer;
            Ok(Response { status, url, headers, body })
        })
    }
}

impl Response {
    /// Returns the answer, unless its status is 400 or more.
    ///
    /// [`Error::Other`] with the status.
    #[track_caller]
    pub fn success(self) -> Result<Self> {
        if self.status < 400 {
            Ok(self)
        } else {
            Err(Error::other(format_args!("the server answered {}", self.status)))
        }
    }

    /// Returns the first header of this name, however it is spelled.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|one| one.name.eq_ignore_ascii_case(name)).map(|one| one.value.as_str())
    }

    /// Returns the body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Reads the body as JSON.
    ///
    /// [`Error::Other`]: it is none, or not of this type.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Response {
        let headers = vec![Header { name: "content-type".to_owned(), value: "application/json".to_owned() }];
        Response { status, url: "https://example.org/".to_owned(), headers, body: b"{\"a\":1}".to_vec() }
    }

    #[test]
    fn an_answer_is_read_as_json_and_a_status_from_400_on_is_an_error_where_it_is_asked() {
        let one = answer(200).success().unwrap();
        assert_eq!(one.json::<serde_json::Value>().unwrap()["a"], 1);
        assert!(one.json::<Vec<u8>>().is_err());
        assert_eq!((one.header("Content-Type"), &*one.text()), (Some("application/json"), "{\"a\":1}"));
        assert_eq!(answer(404).success(), Err(Error::Other("the server answered 404".into())));
    }

    #[test]
    fn a_body_as_json_says_so() {
        let Request(one) = post("https://example.org/").json(&[1]).unwrap().timeout(Duration::ZERO);
        assert_eq!((one.body.as_deref(), one.timeout), (Some(&b"[1]"[..]), Some(1)));
        assert_eq!(one.headers, answer(200).headers);
    }
}
