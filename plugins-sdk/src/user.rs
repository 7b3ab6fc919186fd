//! The account that this plugin runs for.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! user::set_status("dnd", Some("reading")).await?;
//! info!("{} does not want to be disturbed", user::bare_jid());
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::user;
use crate::error::{Error, Result};

pub use crate::types::Status;

/// The full JID that the server gave; before the first log-in, the configured one. Free.
pub fn jid() -> String {
    user::jid()
}

/// The bare JID. Free.
pub fn bare_jid() -> String {
    user::bare_jid()
}

/// The own status and its text. Needs `status.read`.
pub fn get_status() -> Result<Status> {
    user::get_status().map_err(Error::from)
}

/// Sets the status: `online`, `chat`, `away`, `dnd`, `xa`, `offline` or `unavailable`. Needs `status.write`.
///
/// Without a message the text is kept; an empty one clears it.
pub async fn set_status(value: impl AsRef<str>, message: Option<&str>) -> Result<()> {
    user::set_status(value.as_ref().to_owned(), message.map(str::to_owned)).await.map_err(Error::from)
}

/// Sets the status text alone. Needs `status.write`.
pub async fn set_status_message(message: impl AsRef<str>) -> Result<()> {
    user::set_status_message(message.as_ref().to_owned()).await.map_err(Error::from)
}
