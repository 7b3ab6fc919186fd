//! Requests that others send to the plugin over the web. Needs `webhooks.receive`.
//!
//! The manifest declares each webhook, as `[webhook.NAME]`. The host verifies a request before the plugin hears the event `webhook`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! on("webhook").webhook("github").run(|hook: Webhook| async move {
//!     let push: Value = hook.json()?;
//!     let commit = push["after"].as_str().unwrap_or("nothing");
//!     rooms::send("hall@rooms.example.org", format!("The repository is at {commit}")).await?;
//!     Ok(())
//! })?;
//! // One with `mode = "answer"` in the manifest:
//! on("webhook").webhook("books").run(|hook: Webhook| async move {
//!     webhooks::answer(&hook, webhooks::Answer::json(&json!({ "books": 12 }))?).await
//! })?;
//! // Not into the log: the address is a secret.
//! chats::send("juliet@example.org", format!("Give GitHub {}", webhooks::address("github").await?)).await?;
//! # Ok(()) }
//! ```

use serde::Serialize;

use crate::as_json;
use crate::bindings::parlor::plugin::webhooks::{self, Response};
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::fields::find_field;
use crate::http::add_header;
use crate::turns::in_turn;
use crate::types::Webhook;

/// An answer that [`answer`] gives. The contract says which headers it may have.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an answer is given by `answer`"]
pub struct Answer(Response);

impl Answer {
    /// An answer with this status code, from 200 to 599, and without a body.
    ///
    /// ```
    /// # use parlor_sdk::prelude::*;
    /// let wait = webhooks::Answer::new(503).header("retry-after", "60");
    /// ```
    pub fn new(status: u16) -> Self {
        Self(Response { status, headers: Vec::new(), body: Vec::new() })
    }

    /// An answer with a text as its body, its `content-type`, and the status code 200.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(200).header("content-type", "text/plain; charset=utf-8").body(text.into())
    }

    /// An answer with a value as JSON, its `content-type`, and the status code 200.
    ///
    /// [`Error::Other`](crate::Error::Other): it cannot be written as JSON.
    ///
    /// ```
    /// # use parlor_sdk::prelude::*;
    /// # fn example() -> Result<()> {
    /// let created = webhooks::Answer::json(&json!({ "id": 12 }))?.status(201);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn json(value: &impl Serialize) -> Result<Self> {
        Ok(Self::new(200).header("content-type", "application/json").body(as_json::bytes(value)?))
    }

    /// Sets the status code, from 200 to 599.
    pub fn status(mut self, status: u16) -> Self {
        self.0.status = status;
        self
    }

    /// Adds a header. A `content-type` takes the place of that of [`text`](Self::text) and [`json`](Self::json).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        add_header(&mut self.0.headers, name.into(), value.into());
        self
    }

    /// Sets the body, at most 1 MiB.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }
}

/// Answers a request to a webhook whose mode is `answer`. Without it the answer is 204 when the handler returns, and 500 when it fails.
///
/// [`Error::NotFound`](crate::Error::NotFound): no answer is awaited: it was given, it timed out, the other side has
/// disconnected, or the mode is `queue`.
#[track_caller]
pub fn answer(hook: &Webhook, answer: Answer) -> impl Future<Output = Result<()>> {
    located(async move {
        let Answer(response) = answer;
        let call = || webhooks::answer(hook.id.clone(), response.clone());
        in_turn(call).await.map_err(of_call("webhooks.answer", &hook.name))
    })
}

/// Returns the address of a webhook, which the sender of requests must know. It stays the same until the owner changes
/// it.
///
/// [`Error::NotFound`](crate::Error::NotFound): the manifest has none of this name.
/// [`Error::Unsupported`](crate::Error::Unsupported): the owner has not configured where the host listens.
#[track_caller]
pub fn address(name: impl AsRef<str>) -> impl Future<Output = Result<String>> {
    located(async move {
        let name = name.as_ref();
        in_turn(|| webhooks::address(name.to_owned())).await.map_err(of_call("webhooks.address", name))
    })
}

/// Returns the value of the first field of this name, decoded, of a query or of a body that is a form without files
/// (`application/x-www-form-urlencoded`).
///
/// ```
/// # use parlor_sdk::prelude::*;
/// # fn example(hook: &Webhook) {
/// let room = webhooks::field(hook.query.as_deref(), "room");
/// let payload = webhooks::field(&*hook.text(), "payload");
/// # }
/// assert_eq!(webhooks::field("title=But+soft%21&day=1", "title").as_deref(), Some("But soft!"));
/// ```
pub fn field<'f>(fields: impl Into<Option<&'f str>>, name: impl AsRef<str>) -> Option<String> {
    find_field(fields.into()?, name.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_query_are_decoded_and_the_first_one_of_a_name_counts() {
        let query = "a&&ro%6fm=t%C3%ABa+%26+pie=2&room=no&odd=%zz%4&bad=%FF&empty=";
        let value = |name: &str| field(query, name);
        assert_eq!(value("room").as_deref(), Some("tëa & pie=2"));
        assert_eq!((value("odd").as_deref(), value("bad").as_deref()), (Some("%zz%4"), Some("\u{fffd}")));
        assert_eq!((value("a").as_deref(), value("empty").as_deref()), (Some(""), Some("")));
        assert_eq!((value(""), value("b"), field(None::<&str>, "a")), (None, None, None));
    }

    #[test]
    fn an_answer_says_of_what_type_its_body_is() {
        let type_of = |answer: &Answer| answer.0.headers.first().map(|one| (one.name.clone(), one.value.clone()));
        let header = |value: &str| Some(("content-type".to_owned(), value.to_owned()));
        let pong = Answer::text("pong");
        assert_eq!((pong.0.status, pong.0.body.as_slice()), (200, &b"pong"[..]));
        assert_eq!(type_of(&pong), header("text/plain; charset=utf-8"));
        let listed = Answer::json(&[1]).unwrap().status(201);
        assert_eq!((listed.0.status, listed.0.body.as_slice()), (201, &b"[1]"[..]));
        assert_eq!(type_of(&listed), header("application/json"));
        assert_eq!(type_of(&Answer::new(204)), None);
        let page = Answer::text("<p>pong").header("Content-Type", "text/html");
        assert_eq!((page.0.headers.len(), page.0.headers[0].value.as_str()), (1, "text/html"));
    }
}
