//! Promises that other plugins wait for with [`wait_until`](crate::api::wait_until). Needs no permission.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! promises::add("libraryOpen").await?;
//! // … and once it is:
//! emit("libraryOpen", json!({ "books": 12 })).await?;
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::promises;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::types::owned;

/// Adds a promise. The first plugin that adds a name owns it. It loses the name to a plugin that adds it and is the only one whose
/// manifest provides it. If the plugin that has it adds it again, it is pending again.
#[track_caller]
pub fn add(name: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move { promises::add(name.as_ref().to_owned()).await.map_err(of_call("promises.add", &name)) })
}

/// Adds all of them, or none.
#[track_caller]
pub fn add_all(names: impl IntoIterator<Item = impl AsRef<str>>) -> impl Future<Output = Result<()>> {
    located(async move { promises::add_all(owned(names)).await.map_err(of_call("promises.add-all", "")) })
}

/// Rejects one of the plugin's own promises: plugins that wait for it get [`Error::Rejected`](crate::Error::Rejected).
#[track_caller]
pub fn reject(name: impl AsRef<str>, reason: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        promises::reject(name.as_ref().to_owned(), reason.as_ref().to_owned())
            .await
            .map_err(of_call("promises.reject", &name))
    })
}
