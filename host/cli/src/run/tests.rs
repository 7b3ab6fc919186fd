//! Tests of the log.

use parlor::control::lines::{Lines, Wanted};
use tracing_subscriber::layer::{Identity, SubscriberExt as _};
use tracing_subscriber::{EnvFilter, Layer as _};

use super::shown;

/// While NATS is down, these would be four lines a second.
#[test]
fn attempts_to_connect_to_nats_are_no_lines_of_the_log() {
    for filter in ["info", "trace", "info,async_nats=trace"] {
        let lines = Lines::default();
        let shown = shown(lines.clone(), Identity::new().boxed(), EnvFilter::new(filter));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(shown), || {
            tracing::info!(target: "async_nats::connector", "an attempt");
            tracing::info!(target: "async_nats", "an event");
            tracing::error!(target: "async_nats::connector", "a log-in that is refused");
            tracing::info!("our own line");
        });
        let (said, _) = lines.after(0, &Wanted::default());
        let said: Vec<_> = said.iter().map(|line| serde_json::to_value(&**line).unwrap()["message"].clone()).collect();
        assert_eq!(said, ["our own line"], "{filter}");
    }
}
