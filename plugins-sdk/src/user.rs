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
use crate::error::Result;
use crate::failure::{located, of_call};

pub use crate::types::Status;

/// Returns the full JID that the server gave; before the first log-in, the configured one. Free.
pub fn jid() -> String {
    user::jid()
}

/// The bare JID. Free.
pub fn bare_jid() -> String {
    user::bare_jid()
}

/// The own status and its text. Needs `status.read`.
#[track_caller]
pub fn get_status() -> Result<Status> {
    user::get_status().map_err(of_call("user.get-status", ""))
}

/// Sets the status: `online`, `chat`, `away`, `dnd`, `xa`, `offline` or `unavailable`. Needs `status.write`.
///
/// Without a message the text is kept; an empty one clears it.
#[track_caller]
pub fn set_status(value: impl AsRef<str>, message: Option<&str>) -> impl Future<Output = Result<()>> {
    located(async move {
        user::set_status(value.as_ref().to_owned(), message.map(str::to_owned))
            .await
            .map_err(of_call("user.set-status", ""))
    })
}

/// Sets only the status text. Needs `status.write`.
#[track_caller]
pub fn set_status_message(message: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        user::set_status_message(message.as_ref().to_owned()).await.map_err(of_call("user.set-status-message", ""))
    })
}

/// Logs in with the configured password, and returns when the session has begun. Needs `session.control`.
///
/// Does nothing if the account is logged in already.
#[track_caller]
pub fn login() -> impl Future<Output = Result<()>> {
    located(async move { user::login(None).await.map_err(of_call("user.login", "")) })
}

/// The same with a password of the plugin's own. The JID is the account's, perhaps with the resource to ask for.
#[track_caller]
pub fn login_with(jid: impl AsRef<str>, password: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let credentials = user::Credentials { jid: jid.as_ref().to_owned(), password: password.as_ref().to_owned() };
        user::login(Some(credentials)).await.map_err(of_call("user.login", &jid))
    })
}

/// Disconnects and forgets the session; plugins live on. Needs `session.control`.
#[track_caller]
pub fn logout() -> impl Future<Output = Result<()>> {
    located(async move { user::logout().await.map_err(of_call("user.logout", "")) })
}
