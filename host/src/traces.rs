//! Spans: how long things took, for tools that combine several programs.
//!
//! There are three: `handle EVENT`, a plugin's handler of one event; `call GROUPING.NAME`, a plugin's call that may
//! wait; `connect`, one attempt to log in. None contains anyone else's address, nor any message text. While exactly one
//! handler of an instance runs, its calls are children of its span. While several run, nobody can tell which one made a
//! call, and the call has no parent.
//!
//! A span is created at the place where it begins, regardless of who collects it. Without a collector this costs a
//! comparison. `parlor run --traces` sets the collector: a [`Collector`].

#[cfg(feature = "opentelemetry")]
mod collector;
#[cfg(not(feature = "opentelemetry"))]
#[path = "traces/absent.rs"]
mod collector;

use std::fmt::Display;

use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_session::event::EventName;
use tracing::{Span, field, trace_span};

pub use collector::{Collector, CollectorError};

// Builds for users usually use this file, so it is compiled and tested here as well.
#[cfg(all(test, feature = "opentelemetry"))]
pub mod absent;

/// The log target of the spans. No other line uses it.
pub const TARGET: &str = "parlor::traces";

/// Returns whether anyone collects spans.
pub(crate) fn are_wanted() -> bool {
    tracing::span_enabled!(target: TARGET, tracing::Level::TRACE)
}

/// Returns the span of a plugin's handler of an event, which waited for this many milliseconds.
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

/// Returns the span of a call, under the handler that made it if that is known.
pub(crate) fn calling(plugin: &PluginId, account: &AccountName, call: &'static str, handler: Option<&Span>) -> Span {
    trace_span!(
        target: TARGET, parent: handler.and_then(Span::id), "call",
        otel.name = %format_args!("call {call}"),
        parlor.plugin = %plugin,
        parlor.account = %account,
        parlor.call = call,
    )
}

/// Returns the span of one attempt to log in to a server.
pub(crate) fn connecting(domain: &str) -> Span {
    trace_span!(
        target: TARGET, parent: None, "connect",
        otel.kind = "client",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        parlor.domain = domain,
    )
}

/// Marks the span as failed.
pub(crate) fn failed(span: &Span, why: &dyn Display) {
    if !span.is_disabled() {
        span.record("otel.status_code", "error");
        span.record("otel.status_description", field::display(why));
    }
}
