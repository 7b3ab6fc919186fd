//! The top level: a plugin's own events, raw stanzas, waiting for a promise.
//!
//! ```no_run
//! # use parlor_sdk::{prelude::*, stanza::{self, Element, IqKind, ns}};
//! # async fn example() -> Result<()> {
//! emit("libraryOpen", json!({ "books": 12 })).await?;
//! wait_until("rosterContactsFetched").await?;
//! let query = Element::new("query").ns(ns::VERSION);
//! let answer = api::ask(stanza::iq(IqKind::Get).to("example.org").child(query)).await?;
//! # Ok(()) }
//! ```

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::as_json;
use crate::bindings::parlor::plugin::api;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::stanza::{Parsed, parse};
use crate::turns::in_turn;
use crate::types::Payload;

/// Fires the event `name` for every plugin that listens to it, and resolves the promise of the same name. Free.
///
/// `serde` converts the payload to JSON; `()` means no payload.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// emit("greeted", json!({ "nick": "juliet" })).await?;
/// emit("ready", ()).await?;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn emit(name: impl AsRef<str>, payload: impl Serialize) -> impl Future<Output = Result<()>> {
    located(async move {
        let payload = match as_json::tree(&payload)? {
            Value::Null => None,
            value => Some(value.to_string()),
        };
        let name = name.as_ref();
        in_turn(|| api::emit(name.to_owned(), payload.clone())).await.map_err(of_call("api.emit", name))
    })
}

/// Waits until the promise `name` is resolved, and returns its payload; at once if it already is.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// wait_until("rosterContactsFetched").await?;
/// let friends = contacts::get_all()?;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn wait_until(promise: impl AsRef<str>) -> impl Future<Output = Result<Payload>> {
    located(
        async move { api::wait_until(promise.as_ref().to_owned()).await.map_err(of_call("api.wait-until", &promise)) },
    )
}

/// Sends one message, presence or IQ, best made with [`stanza`](crate::stanza). Needs `stanza.send`.
#[track_caller]
pub fn send(stanza: impl fmt::Display) -> impl Future<Output = Result<()>> {
    located(async move {
        let stanza = stanza.to_string();
        in_turn(|| api::send(stanza.clone())).await.map_err(of_call("api.send", ""))
    })
}

/// Sends one IQ of the type get or set, and reads the answer. Needs `stanza.send` for `iq`.
///
/// ```no_run
/// # use parlor_sdk::{prelude::*, stanza::{self, Element, IqKind, ns}};
/// # async fn example() -> Result<()> {
/// let query = Element::new("query").ns(ns::DISCO_INFO);
/// let answer = api::ask(stanza::iq(IqKind::Get).to("example.org").child(query)).await?;
/// for feature in answer.find("query", ns::DISCO_INFO).iter().flat_map(|query| query.all("feature", ns::DISCO_INFO)) {
///     info!("it has {}", feature.attribute("var").unwrap_or_default());
/// }
/// # Ok(()) }
/// ```
#[track_caller]
pub fn ask(iq: impl fmt::Display) -> impl Future<Output = Result<Parsed>> {
    located(async move { parse(&send_iq(iq).await?) })
}

/// The same, with the answer as XML.
#[track_caller]
pub fn send_iq(iq: impl fmt::Display) -> impl Future<Output = Result<String>> {
    located(async move { api::send_iq(iq.to_string()).await.map_err(of_call("api.send-iq", "")) })
}
