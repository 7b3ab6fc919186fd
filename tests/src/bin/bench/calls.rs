//! What a call between host and guest costs, beside the same call in bare wasmtime.

use anyhow::Result;

/// One kind of call.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Which, such as `guest → host, plain`.
    pub(crate) name: &'static str,
    /// Nanoseconds for each, in the house.
    pub(crate) parlor: f64,
    /// Nanoseconds for each, with wasmtime and nothing else.
    pub(crate) bare: f64,
}

/// Measures them all. Takes a few seconds.
#[expect(clippy::unnecessary_wraps, reason = "measuring can fail; there is nothing to measure yet")]
pub(crate) fn rows() -> Result<Vec<Row>> {
    Ok(vec![])
}
