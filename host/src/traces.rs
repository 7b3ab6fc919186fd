//! Spans: what took how long, for those who look at several programs together.
//!
//! There are three: `handle EVENT`, a plugin's handler of one event; `call GROUPING.NAME`, a call of a plugin's that may
//! wait; `connect`, one attempt to log in. None carries an address of anybody else's, nor what was said. While exactly one
//! handler of an instance runs, its calls stand under it; while several do, nobody can tell whose a call is, and it stands
//! by itself.
//!
//! A span is made where it begins, whoever wants it. While nobody does, that costs a comparison. Who collects them is said by
//! `parlor run --traces`: a [`Collector`].

#[cfg(feature = "opentelemetry")]
mod collector;
#[cfg(not(feature = "opentelemetry"))]
#[path = "traces/absent.rs"]
mod collector;

use std::fmt::Display;

use tracing::{Span, field, trace_span};

use crate::config::AccountName;
use crate::event::EventName;
use crate::plugins::PluginId;

pub use collector::{Collector, CollectorError};

// What is installed usually is built so; here at least it compiles, and says what it should.
#[cfg(all(test, feature = "opentelemetry"))]
pub mod absent;

/// What the spans are logged under; no other line is.
pub const TARGET: &str = "parlor::traces";

/// Whether anybody wants spans.
pub(crate) fn are_wanted() -> bool {
    tracing::span_enabled!(target: TARGET, tracing::Level::TRACE)
}

/// A plugin's handler of an event. The event has waited for it for so many milliseconds.
pub(crate) fn handling(
    plugin: &PluginId,
    account: &AccountName,
    event: &EventName,
    waited: impl FnOnce() -> i64,
) -> Span {
    trace_span!(
        target: TARGET, parent: None, "handle",
        otel.name = %format_args!("handle {event}"),
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        parlor.plugin = %plugin,
        parlor.account = %account,
        parlor.event = %event,
        parlor.waited_ms = waited(),
    )
}

/// A call, under the handler that it comes from if that is known.
pub(crate) fn calling(plugin: &PluginId, account: &AccountName, call: &'static str, handler: Option<&Span>) -> Span {
    trace_span!(
        target: TARGET, parent: handler.and_then(Span::id), "call",
        otel.name = %format_args!("call {call}"),
        parlor.plugin = %plugin,
        parlor.account = %account,
        parlor.call = call,
    )
}

/// One attempt to log in to a server.
pub(crate) fn connecting(domain: &str) -> Span {
    trace_span!(
        target: TARGET, parent: None, "connect",
        otel.kind = "client",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        parlor.domain = domain,
    )
}

/// What the span stands for did not come to a good end.
pub(crate) fn failed(span: &Span, why: &dyn Display) {
    if !span.is_disabled() {
        span.record("otel.status_code", "error");
        span.record("otel.status_description", field::display(why));
    }
}
