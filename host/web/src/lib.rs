//! The web for plugins: requests that the host makes for them.
//!
//! **Owns:** the rule for addresses of the network; connections and their pools; limits on time, size and redirects;
//! bodies as streams in both directions.
//!
//! **Must not** know plugins, grants or credentials: whoever sends a request says which server it may go to.
//!
//! **Begin with** [`Client::send`].

mod address;
mod body;
mod client;
mod connector;
mod error;

pub use address::is_public;
pub use body::{Answer, Outgoing, Sender};
pub use client::{Client, Hop, Request};
pub use error::{Late, WebError};
pub use hyper::{HeaderMap, Method, header};

#[cfg(test)]
mod tests;
