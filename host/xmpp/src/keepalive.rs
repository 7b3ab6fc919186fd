//! How long a stream may be silent before its server is asked for a sign of life, and for how long an answer is awaited.

use std::time::Duration;

use parlor_config::LinkSettings;
use tokio_xmpp::xmlstream::Timeouts;

/// The prefix of the ids of pings that a link makes itself. Any received data shows that the server is alive, so no
/// answer is awaited.
pub(super) const PROBE_PREFIX: &str = "parlor-alive-";
/// The time for a server to answer whether it is still there, or how much it has handled.
pub(super) const RESPONSE_LIMIT: Duration = Duration::from_secs(30);
/// The longest silence over WebSocket: proxies close a silent connection, nginx after a minute.
const WEBSOCKET_SILENCE: Duration = Duration::from_secs(45);
/// The longest silence if the owner disabled pings.
pub(super) const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// Returns the timeouts of a stream.
pub(super) fn timeouts(settings: &LinkSettings) -> Timeouts {
    let read_timeout = if settings.ping_interval.is_zero() { FOR_EVER } else { settings.ping_interval.min(FOR_EVER) };
    Timeouts { read_timeout, response_timeout: RESPONSE_LIMIT }
}

/// Returns the timeouts for WebSocket (RFC 7395, section 3.8).
pub(super) fn websocket_timeouts(settings: &LinkSettings) -> Timeouts {
    let usual = timeouts(settings);
    let longest = if settings.ping_interval.is_zero() { FOR_EVER } else { WEBSOCKET_SILENCE };
    Timeouts { read_timeout: usual.read_timeout.min(longest), ..usual }
}
