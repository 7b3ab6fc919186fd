//! The web for plugins: requests that the host makes for them, and requests of others to them.
//!
//! **Owns:** connections and their pools; limits on time, size and redirects;
//! bodies as streams in both directions; the [`server`] with its bounds, and when its certificate ends.
//!
//! **Must not** know plugins, grants, credentials or webhooks: the caller of a request decides which servers it may
//! reach, and the caller that starts the server answers requests.
//!
//! **Begin with** [`Client::send`] and [`server::Server`].

mod body;
mod client;
mod connector;
mod error;
mod expiry;
mod headers;
mod interim;
mod proxy;
pub mod server;
mod window;

pub use body::{Answer, Outgoing, Sender};
pub use client::{Client, Hop, Request, becomes_get, is_redirect, redirected, strip};
pub use error::{Late, WebError};
pub use expiry::expiry;
pub use hyper::{HeaderMap, Method, header};
pub use proxy::Proxy;

#[cfg(test)]
mod tests;
