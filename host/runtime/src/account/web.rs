//! Answers to requests over the web that a test gives instead of the network.

use std::fmt;
use std::sync::OnceLock;

/// A request of a plugin, as the plugin wrote it: without its credentials.
#[derive(Debug, Clone, Copy)]
pub struct WebRequest<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The address.
    pub url: &'a str,
    /// The headers, with their names in small letters.
    pub headers: &'a [(String, String)],
    /// The body; empty if there is none.
    pub body: &'a [u8],
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAnswer {
    /// The status code.
    pub status: u16,
    /// The headers, with their names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

pub(crate) type Answer = Box<dyn Fn(WebRequest<'_>) -> Option<WebAnswer> + Send + Sync>;

/// A script that answers instead of the network, if there is one.
#[derive(Default)]
pub struct WebScript(OnceLock<Answer>);

impl WebScript {
    /// Answers the requests of plugins from now on; the network is not asked. Only the first script counts.
    pub fn set(&self, answer: impl Fn(WebRequest<'_>) -> Option<WebAnswer> + Send + Sync + 'static) {
        // A second one would change what a running test was promised.
        let _ = self.0.set(Box::new(answer));
    }

    /// Returns the script's answer function, if there is a script. A request for which it returns `None` gets no
    /// answer.
    pub(crate) fn get(&self) -> Option<&Answer> {
        self.0.get()
    }
}

impl fmt::Debug for WebScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebScript({})", self.0.get().is_some())
    }
}
