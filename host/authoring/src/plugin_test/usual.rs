//! The settings of the connection and the limits, which are the same in all tests.

use std::time::Duration;

use parlor_base::clock::Clock;
use parlor_config::{ChannelBinding, LinkSettings, PasswordSource, TransportChoice, Way};
use parlor_plugins::limits::Limits;

use super::names;

/// Returns link settings that connect nowhere, since the server is in the process.
pub(super) fn link() -> LinkSettings {
    LinkSettings {
        jid: names::own().into(),
        way: Way::Password,
        password: PasswordSource::Environment(String::new()),
        server: None,
        tls: None,
        ca_file: None,
        allow_plain: false,
        channel_binding: ChannelBinding::Auto,
        transport: TransportChoice::Tcp,
        websocket: None,
        keep_unsent: Duration::from_hours(1),
        bosh: None,
        prebind: None,
        ping_interval: Duration::from_mins(3),
    }
}

/// Returns the plugin's usual limits. With a paused clock, limits that are measured on the machine's clock are wide,
/// since test time says nothing about it.
pub(super) fn limits(clock: Clock) -> Limits {
    const LONG: Duration = Duration::from_hours(24);
    if is_of_a_test(clock) {
        Limits { cpu_share: 1.0, cpu_burst: LONG, cpu_slice: Duration::from_secs(10), ..Limits::default() }
    } else {
        Limits::default()
    }
}

/// Returns whether it is the clock of a test, and not that of the machine.
pub(super) fn is_of_a_test(clock: Clock) -> bool {
    matches!(clock, Clock::Runtime { .. })
}
