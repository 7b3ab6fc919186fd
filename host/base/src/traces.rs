//! Spans: how long things took, for tools that combine several programs.
//!
//! There are three: `handle EVENT`, a plugin's handler of one event; `call GROUPING.NAME`, a plugin's call that may
//! wait; `connect`, one attempt to log in. None contains anyone else's address, nor any message text. While exactly one
//! handler of an instance runs, its calls are children of its span. While several run, it is unknown which one made a
//! call, and the call has no parent.
//!
//! A span is created at the place where it begins, regardless of who collects it. Without a collector this costs a
//! comparison. `parlor run --traces` sets the collector.

use std::fmt::Display;

use tracing::{Span, field};

/// The log target of the spans. No other line uses it.
pub const TARGET: &str = "parlor_cli::traces";

/// Returns whether anyone collects spans.
pub fn are_wanted() -> bool {
    tracing::span_enabled!(target: TARGET, tracing::Level::TRACE)
}

/// Marks the span as failed.
pub fn failed(span: &Span, why: &dyn Display) {
    if !span.is_disabled() {
        span.record("otel.status_code", "error");
        span.record("otel.status_description", field::display(why));
    }
}
