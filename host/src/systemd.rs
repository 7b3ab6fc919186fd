//! What the service manager is told: ready, still alive, reading the policy again, stopping (`sd_notify(3)`).
//!
//! Where no `NOTIFY_SOCKET` is set, nobody is told anything. Watchdog pings stand for a house that still answers, not only for a
//! process that still runs.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::control::views::not_in_force;
use crate::harmless::harmless;
use crate::host::Host;

/// How much of why a file does not count is told, in bytes.
const LONGEST: usize = 1 << 10;
/// What the service manager tells this process alone. Whoever is started by it and takes it for its own would speak for the house:
/// stop it, with `STOPPING=1`.
pub(crate) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// Where the service manager listens.
#[derive(Debug)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says. `variable` reads it.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let to = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()).and_then(|name| {
            let address = match name.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                path => SocketAddr::from_pathname(std::path::Path::new(std::ffi::OsStr::from_bytes(path))),
            };
            let opened = address.and_then(|address| Ok((UnixDatagram::unbound()?, address)));
            opened.map_err(|error| tracing::warn!(%error, "the service manager cannot be told anything")).ok()
        });
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|period| is_meant && *period > 0).map(Duration::from_micros);
        Self { to, watchdog }
    }

    /// Accounts and plugins had their first turn, or what was written is read. A signal to read says nothing of what came of it, so
    /// that whoever looks is told by the status if a file does not count.
    pub fn ready(&self, host: &Host) {
        let says = |file: &str, fault: Option<String>| Some(not_in_force(file, &harmless(&fault?, LONGEST)));
        let fault = says("configuration", host.config_fault()).or_else(|| says("policy", host.policy_fault()));
        self.tell(&format!("READY=1\nSTATUS={}", fault.unwrap_or_default()));
    }

    /// The configuration and the policy are read again; [`ready`](Self::ready) says when that is done.
    pub fn reloading(&self) {
        let now = monotonic();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// It was told to stop.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Tells the watchdog that the house is alive, for as long as it is: it has to answer between two pings. Never ends.
    pub async fn keep_watchdog(&self, host: &Host) {
        let Some(period) = self.watchdog.filter(|_| self.to.is_some()) else { return std::future::pending().await };
        // Half of it, as the manual wants.
        let mut tick = tokio::time::interval(period / 2);
        loop {
            tick.tick().await;
            host.status().await;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, state: &str) {
        let Some((socket, to)) = &self.to else { return };
        // It is never waited for: a service manager that does not read is not the house's to wait for.
        let told = socket.set_nonblocking(true).and_then(|()| socket.send_to_addr(state.as_bytes(), to));
        if let Err(error) = told {
            tracing::debug!(%error, state, "the service manager did not hear");
        }
    }
}

/// Microseconds of the clock that the service manager compares with.
fn monotonic() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}
