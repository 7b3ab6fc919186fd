//! Requests of plugins on one account to one another. Asking needs `plugins.call`, answering `plugins.answer`.
//!
//! The manifest of the one that answers lists the names of its requests, under `[requests]`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! on("request").run(|request: PluginRequest| async move {
//!     let currency: String = request.json()?;
//!     match currency.as_str() {
//!         "EUR" => plugins::answer(&request, 1.08).await,
//!         _ => plugins::refuse(&request, "not a currency").await,
//!     }
//! })?;
//! // In another plugin:
//! let rate: f64 = plugins::call("money", "rate", "EUR").await?;
//! # drop(rate);
//! # Ok(()) }
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::as_json;
use crate::bindings::parlor::plugin::plugins;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::turns::in_turn;
use crate::types::PluginRequest;

/// Asks another plugin, by the id that the owner gave it, and waits for its answer. `serde` converts the value and the
/// answer to and from JSON.
///
/// [`Error::NotFound`](crate::Error::NotFound): the plugin or request does not exist, or it may not answer this plugin.
/// [`Error::Rejected`](crate::Error::Rejected): it refused. [`Error::TimedOut`](crate::Error::TimedOut): it did not
/// answer in time.
#[track_caller]
pub fn call<T: DeserializeOwned>(
    plugin: impl AsRef<str>,
    name: impl AsRef<str>,
    value: impl Serialize,
) -> impl Future<Output = Result<T>> {
    located(async move {
        let (plugin, name, value) = (plugin.as_ref(), name.as_ref(), as_json::text(&value)?);
        let call = || plugins::call(plugin.to_owned(), name.to_owned(), value.clone());
        let answer = in_turn(call).await.map_err(of_call("plugins.call", plugin))?;
        Ok(serde_json::from_str(&answer)?)
    })
}

/// Answers a request, before the handler returns.
///
/// [`Error::NotFound`](crate::Error::NotFound): no answer is awaited: it was given, or it timed out.
#[track_caller]
pub fn answer(request: &PluginRequest, value: impl Serialize) -> impl Future<Output = Result<()>> {
    located(async move {
        let value = as_json::text(&value)?;
        let call = || plugins::answer(request.id.clone(), value.clone());
        in_turn(call).await.map_err(of_call("plugins.answer", &request.name))
    })
}

/// Refuses a request: the other plugin gets [`Error::Rejected`](crate::Error::Rejected) with this reason.
///
/// [`Error::NotFound`](crate::Error::NotFound): as with [`answer`].
#[track_caller]
pub fn refuse(request: &PluginRequest, text: impl AsRef<str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let call = || plugins::refuse(request.id.clone(), text.as_ref().to_owned());
        in_turn(call).await.map_err(of_call("plugins.refuse", &request.name))
    })
}
