//! Sends spans to a collector, for `parlor run --traces`. [`parlor_base::traces`] describes the spans.

#[cfg(feature = "opentelemetry")]
mod collector;
#[cfg(not(feature = "opentelemetry"))]
#[path = "traces/absent.rs"]
mod collector;

pub use collector::{Collector, CollectorError};

// Builds for users usually use this file, so it is compiled and tested here as well.
#[cfg(all(test, feature = "opentelemetry"))]
pub mod absent;
