//! The replacement for the collector in builds without it.

use std::convert::Infallible;

use parlor_base::loopback::Loopback;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::layer::{Identity, Layer};

/// A collector that cannot exist in this build.
#[derive(Debug)]
pub struct Collector(Infallible);

/// The reason why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "this parlor was built without traces: build it with `cargo install --features opentelemetry`, or leave --traces out"
)]
pub struct CollectorError;

impl Collector {
    /// Fails, because this build has no collector.
    pub fn start(_: Loopback, _: Handle) -> Result<Self, CollectorError> {
        Err(CollectorError)
    }

    /// Returns a layer that does nothing.
    pub fn layer<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        Identity::new()
    }

    /// Does nothing.
    pub fn stop(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_wants_traces_of_a_program_without_them_is_told_how_to_get_them() {
        let refused = Collector::start("127.0.0.1:4318".parse().unwrap(), Handle::current()).unwrap_err();
        assert!(refused.to_string().contains("build it with `cargo install --features opentelemetry`"), "{refused}");
    }
}
