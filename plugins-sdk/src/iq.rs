//! Requests (IQs) that others send to the account, in XML namespaces that the plugin answers. Needs `iq.answer`.
//!
//! The manifest lists the namespaces as the scope of `iq.answer`. A request in one of them is the event `iq`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # fn example() -> Result<()> {
//! on("iq").run(|request: IqRequest| async move {
//!     if request.kind != "get" {
//!         return iq::refuse(&request, "not-allowed", Some("it can only be read")).await;
//!     }
//!     let degrees = Element::new("temperature").ns("urn:example:weather").text("7");
//!     iq::answer(&request, Some(degrees)).await
//! })?;
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::iq;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::stanza::Element;
use crate::turns::in_turn;
use crate::types::IqRequest;

/// Answers a request: with an element that declares its namespace, or with nothing. Without it the answer is
/// `service-unavailable` when the handler returns, and `internal-server-error` when it fails.
///
/// [`Error::NotFound`](crate::Error::NotFound): no answer is awaited: it was given, or it timed out.
#[track_caller]
pub fn answer(request: &IqRequest, payload: Option<Element>) -> impl Future<Output = Result<()>> {
    located(async move {
        let xml = payload.map(|payload| payload.to_string());
        let call = || iq::answer(request.id.clone(), xml.clone());
        in_turn(call).await.map_err(of_call("iq.answer", &request.namespace))
    })
}

/// Refuses a request by a condition of RFC 6120, section 8.3.3, such as `item-not-found`, with a text for people.
///
/// [`Error::Invalid`](crate::Error::Invalid): the condition does not exist.
/// [`Error::NotFound`](crate::Error::NotFound): as with [`answer`].
#[track_caller]
pub fn refuse(request: &IqRequest, condition: impl AsRef<str>, text: Option<&str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let (condition, text) = (condition.as_ref(), text.map(str::to_owned));
        let call = || iq::refuse(request.id.clone(), condition.to_owned(), text.clone());
        in_turn(call).await.map_err(of_call("iq.refuse", &request.namespace))
    })
}
