//! Why a page is not shown, or a change not made.

use axum::http::StatusCode;
use maud::{Markup, html};

use crate::text::stranger;

/// The reason why a request is not fulfilled, for the person who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status code.
    pub status: u16,
    /// The sentence with the problem and the remedy. It may hold words of strangers, and is shown like these.
    pub sentence: String,
    /// After how many seconds the browser loads the page again, if that may help.
    pub(crate) refresh: Option<u32>,
}

impl Problem {
    /// Returns a problem with this status code.
    pub fn new(status: u16, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), refresh: None }
    }

    /// Returns the problem of something that is not there.
    pub fn missing(sentence: impl Into<String>) -> Self {
        Self::new(404, sentence)
    }

    /// Returns the problem of something that was sent and does not fit.
    pub fn wrong(sentence: impl Into<String>) -> Self {
        Self::new(400, sentence)
    }

    /// Returns the problem of a request that the session may not make, or that does not come from its page.
    pub fn forbidden(sentence: impl Into<String>) -> Self {
        Self::new(403, sentence)
    }

    /// Returns the problem of something that failed here.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self::new(500, sentence)
    }

    /// Has the browser load the page again after this many seconds, without any script. Sentences about changes wait meanwhile.
    #[must_use]
    pub fn refreshing(self, seconds: u32) -> Self {
        Self { refresh: Some(seconds), ..self }
    }

    /// Returns whether the browser loads the page again.
    #[cfg(any(test, feature = "test-support"))]
    pub fn is_refreshing(&self) -> bool {
        self.refresh.is_some()
    }

    /// Returns the paragraph that reports it.
    pub(crate) fn told(&self) -> Markup {
        html! { p #problem { (stranger(&self.sentence)) } }
    }

    /// Returns the title of the page that reports it.
    pub(crate) fn title(&self) -> &'static str {
        match self.status {
            400 => "That does not fit",
            403 => "Not allowed",
            404 => "Not found",
            405 => "Not in this way",
            408 => "Too slow",
            409 => "Not now",
            413 => "Too large",
            429 => "Too often",
            503 => "Not available",
            _ => "That failed",
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
